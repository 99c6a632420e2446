//! What the agent is in a LiveKit room: whom it hears, what it sends, and which methods it has.
//!
//! Where the room is, and what opens it, is no part of a configuration: a command is told the address,
//! and secrets come from the environment.
//!
//! **Invariant:** every method is run by a declared tool once [`parse`](super::parse) has accepted it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conversation::fits;

/// The agent in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Livekit {
    /// The name under which participants see the agent. Without it, `name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub name: Option<String>,
    /// Under which name the agent is dispatched to rooms: only where it is asked for by this name. Default "": to every
    /// room, by itself.
    #[schemars(length(max = 200))]
    pub agent_name: String,
    /// When a worker is sent a job for the agent: `room` when a room begins, `participant` when somebody joins,
    /// `publisher` when somebody publishes for the first time; the latter two are for that one person, and the agent
    /// hears nobody else. Default `room`.
    pub job: JobKind,
    /// The rooms that the agent is for, by name, where a worker has several of the same `agent_name`; `*` stands for any
    /// characters. Default none: for those that are nobody else's.
    #[schemars(length(max = 100), inner(length(min = 1, max = 200)))]
    pub rooms: Vec<String>,
    /// The identity of the only participant who is heard. Without it, everybody is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub listen_to: Option<String>,
    /// The LiveKit server's outbound SIP trunk (`ST_…`), from which `transfer_call` calls a number and
    /// brings it into the room. Without it, calls are passed on warmly only to participants and SIP
    /// addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub sip_trunk: Option<String>,
    /// The methods that participants may call, from name to the tool that runs them. The payload is the
    /// tool's arguments, a JSON object or nothing; the answer is its result as JSON. Nothing of it is
    /// said. Default none.
    // 64 bytes are LiveKit's bound for the name of a method.
    #[schemars(extend("propertyNames" = {"minLength": 1, "maxLength": 64}, "maxProperties" = 200))]
    pub rpc: BTreeMap<String, String>,
    /// How the agent's audio is sent.
    pub publish: Publish,
}

impl Livekit {
    /// Whether the agent is for a room of this name in particular.
    #[must_use]
    pub fn is_for(&self, room: &str) -> bool {
        self.rooms.iter().any(|pattern| fits(pattern, room))
    }
}

/// When a LiveKit server makes a job.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// When a room begins.
    #[default]
    Room,
    /// When a participant publishes for the first time; the agent is for this one.
    Publisher,
    /// When a participant joins; the agent is for this one.
    Participant,
}

impl JobKind {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Publisher => "publisher",
            Self::Participant => "participant",
        }
    }
}

/// How the agent's audio is sent: settings of its Opus encoder and of its track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Publish {
    /// Bits per second: 6000 to 510000, what Opus can. Default 32000, wideband speech without audible
    /// loss.
    #[schemars(range(min = 6_000, max = 510_000))]
    pub bitrate_bps: u32,
    /// How much work the encoder takes: 0 to 10. Default 5: nearly all of a session's time is spent
    /// here, and speech hardly gains beyond.
    #[schemars(range(min = 0, max = 10))]
    pub complexity: u32,
    /// Lost packets to be prepared for, in percent: 0 to 100. Default 5. Above 0, each packet also holds
    /// a coarse copy of the one before (in-band FEC).
    #[schemars(range(min = 0, max = 100))]
    pub loss_percent: u32,
    /// Whether hardly anything is sent while the agent is silent (DTX). Default true.
    pub dtx: bool,
    /// Whether each packet also holds the ones before (RED). Default true.
    pub red: bool,
}

impl Default for Publish {
    fn default() -> Self {
        Self { bitrate_bps: 32_000, complexity: 5, loss_percent: 5, dtx: true, red: true }
    }
}
