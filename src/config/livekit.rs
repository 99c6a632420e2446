//! What the agent is in a LiveKit room: whom it hears, what it sends, and which methods it has.
//!
//! Where the room is, and what opens it, is no part of a configuration: a command is told the address,
//! and secrets come from the environment.
//!
//! **Invariant:** every method is run by a declared tool once [`parse`](super::parse) has accepted it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The agent in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Livekit {
    /// The name under which participants see the agent. Without it, `name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub name: Option<String>,
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
