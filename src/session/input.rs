//! All that can make a session act.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Tick;
use crate::graph::facts::Scope;
use crate::id::{AskId, CallId, ItemId, LaneId, NativeId, RequestId, UtteranceId};
use crate::pcm::{Clip, pcm_bytes};
use crate::think::chat::{ModelDelta, ModelError};
use crate::think::native::event::NativeEvent;
use crate::tool::{Json, Outcome};

/// What arrived for one tick, in order of arrival. Reused from tick to tick.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// The tick.
    pub tick: Tick,
    /// How many ticks the pacer jumped over before this one.
    pub skipped: u32,
    /// The values, in arrival order.
    pub inbound: Vec<Inbound>,
    /// The samples of this tick's [`Inbound::Audio`] frames, one after the other.
    #[serde(with = "pcm_bytes")]
    pub pcm: Vec<i16>,
    /// What frames of coded lanes were decoded from, in order of arrival: for the journal, which keeps
    /// the packets instead of the samples. The session does not look at it.
    pub coded: Vec<Coded>,
    /// The bytes of its packets, one after the other.
    pub packets: Vec<u8>,
}

impl Input {
    /// Empties it for the next tick.
    pub fn clear(&mut self, tick: Tick, skipped: u32) {
        self.tick = tick;
        self.skipped = skipped;
        self.inbound.clear();
        self.pcm.clear();
        self.coded.clear();
        self.packets.clear();
    }

    /// Notes a packet of a coded lane.
    pub fn packet(&mut self, lane: LaneId, seq: u16, bytes: &[u8]) {
        let from = self.packets.len() as u32;
        self.packets.extend_from_slice(bytes);
        self.coded.push(Coded::Packet { lane, seq, from, len: bytes.len() as u16 });
    }

    /// Adds a 20 ms frame of a participant's audio, at the session's rate.
    pub fn audio(&mut self, lane: LaneId, seq: u16, frame: &[i16]) {
        let from = self.pcm.len() as u32;
        self.pcm.extend_from_slice(frame);
        self.inbound.push(Inbound::Audio { lane, seq, from, len: frame.len() as u16 });
    }
}

/// Where a frame's samples begin that are still to be decoded: nowhere.
pub const UNDECODED: u32 = u32::MAX;

/// What happened on a lane whose audio comes in packets of a codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Coded {
    /// A decoder begins.
    Joined {
        /// The lane.
        lane: LaneId,
    },
    /// The decoder ends.
    Left {
        /// The lane.
        lane: LaneId,
    },
    /// A packet came.
    Packet {
        /// The lane.
        lane: LaneId,
        /// Its sequence number, which wraps: RTP's.
        seq: u16,
        /// Where it begins in [`Input::packets`].
        from: u32,
        /// How many bytes it has.
        len: u16,
    },
}

/// A value from outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Inbound {
    /// A participant is there.
    Joined {
        /// Its lane.
        lane: LaneId,
        /// Its name.
        name: String,
    },
    /// A participant has gone.
    Left {
        /// Its lane.
        lane: LaneId,
    },
    /// A 20 ms frame of a participant's audio.
    Audio {
        /// Its lane.
        lane: LaneId,
        /// Its sequence number, which wraps.
        seq: u16,
        /// Where its samples begin in [`Input::pcm`].
        from: u32,
        /// How many samples it has.
        len: u16,
    },
    /// A participant typed a text.
    UserText {
        /// Its lane.
        lane: LaneId,
        /// The text.
        text: String,
    },
    /// The recogniser's words for an utterance.
    Transcript {
        /// The lane.
        lane: LaneId,
        /// The utterance.
        utterance: UtteranceId,
        /// All its words so far.
        text: String,
        /// How sure the recogniser is, 0 to 1.
        confidence: f32,
        /// No more will come for this utterance.
        last: bool,
    },
    /// The recogniser gave an utterance up.
    RecogniserFailed {
        /// The lane.
        lane: LaneId,
        /// The utterance.
        utterance: UtteranceId,
        /// Why, for a person to read.
        cause: String,
    },
    /// A piece of an item's audio, at the session's rate.
    Speech {
        /// The item.
        item: ItemId,
        /// The samples.
        pcm: Clip,
        /// No more will come for this item.
        last: bool,
    },
    /// The synthesiser gave an item up.
    SynthesiserFailed {
        /// The item.
        item: ItemId,
        /// Why, for a person to read.
        cause: String,
    },
    /// The outcome of a call that a worker had.
    ToolResult {
        /// The call.
        call: CallId,
        /// How it ended.
        outcome: Outcome,
    },
    /// The journal of this call cannot be written any more; the call goes on.
    JournalLost {
        /// Why, for a person to read.
        cause: String,
    },
    /// End the call, for the reason given.
    HangUp {
        /// Who asked for it, or why.
        reason: String,
    },
    /// End the call in good order, for the reason given: the agent says its goodbye first.
    Close {
        /// Who asked for it, or why.
        reason: String,
    },
    /// A participant's audio track has changed.
    Track {
        /// Its lane.
        lane: LaneId,
        /// What has become of it.
        change: TrackChange,
    },
    /// The transport takes a participant for one of the active speakers, or no longer. The session's
    /// own voice detection decides; this is told and no more.
    Speaking {
        /// Its lane.
        lane: LaneId,
        /// Whether it speaks.
        speaking: bool,
    },
    /// Attributes of a participant: all at first, later those that have changed.
    Attributes {
        /// Its lane.
        lane: LaneId,
        /// From name to value; an empty value is an attribute that was removed.
        changed: BTreeMap<String, String>,
    },
    /// The metadata of a participant or of the room.
    Metadata {
        /// The participant's lane; none: the room's.
        lane: Option<LaneId>,
        /// All of it.
        text: String,
    },
    /// A packet of data.
    Data {
        /// The lane of the participant who sent it; none: the server did.
        lane: Option<LaneId>,
        /// What it is about.
        topic: String,
        /// Its bytes.
        bytes: Vec<u8>,
        /// Whether it came over the channel on which nothing is lost.
        reliable: bool,
    },
    /// How good a connection to the room is.
    Quality {
        /// The participant's lane; none: the agent's own connection.
        lane: Option<LaneId>,
        /// How good.
        quality: Quality,
    },
    /// A participant pressed a key of a telephone: DTMF.
    Digit {
        /// Its lane.
        lane: LaneId,
        /// `0` to `9`, `*`, `#` or `A` to `D`; anything else is ignored.
        digit: char,
    },
    /// A participant calls a method of the agent, and awaits
    /// [`Effect::Answer`](super::output::Effect::Answer).
    Request {
        /// Its number, which no other request of the session has.
        request: RequestId,
        /// The participant's lane, if it has one.
        lane: Option<LaneId>,
        /// The method.
        method: String,
        /// The arguments: a JSON object, or empty.
        payload: String,
    },
    /// The agent's own connection to the room has changed.
    Line {
        /// How it is.
        state: LineState,
    },
    /// Something that somebody outside has to tell, by a name of its own: `custom` for conditions.
    Custom {
        /// The participant whom it is about, if it is about one.
        lane: Option<LaneId>,
        /// What it is called.
        name: String,
        /// What it holds: any JSON, at most as deep and as long as a tool's arguments.
        data: Json,
    },
    /// A fact that somebody outside knows.
    Fact {
        /// The participant whom it is about, if it is about one: what belongs to a user is forgotten when
        /// that one leaves.
        lane: Option<LaneId>,
        /// Its name: an identifier.
        name: String,
        /// Its value.
        value: Json,
        /// What it belongs to.
        scope: Scope,
        /// After so long it is forgotten, in milliseconds.
        ttl_ms: Option<u32>,
    },
    /// Go on with another configuration. Whoever steps the session prepares it
    /// [before the tick](super::Session::reload); the event says whether it could be used.
    Reload {
        /// All of it, as JSON: [`Config::to_json`](crate::config::Config::to_json). It is not checked as
        /// a file is, only for what would keep a session from going on.
        config: String,
    },
    /// A piece of a model's answer. What comes for a question that is not awaited any more is ignored.
    Model {
        /// The question.
        ask: AskId,
        /// The piece.
        delta: ModelDelta,
    },
    /// A model's answer is over.
    ModelEnd {
        /// The question.
        ask: AskId,
    },
    /// A model, and all that stood in for it, has failed.
    ModelFailed {
        /// The question.
        ask: AskId,
        /// Why.
        error: ModelError,
    },
    /// Something that a model that hears and speaks has to tell. What comes of a conversation that was closed is ignored.
    Native {
        /// The conversation.
        native: NativeId,
        /// What; its audio is at the session's rate.
        event: NativeEvent,
    },
    /// The process has too much to do: what is not audio is done in every so many ticks only, until another value says
    /// otherwise; 1 is every tick, as it is at first.
    Strain {
        /// In one of so many ticks, at most [`EVERY_MAX`](super::strain::EVERY_MAX).
        every: u16,
        /// In which one: sessions that have different ones do not all work in the same tick.
        turn: u16,
    },
    /// A participant wants the agent to stop, without saying anything: what it says is cut and does not go on, and what it
    /// was about to say is not said. An agent that may not be interrupted is not.
    Interrupt {
        /// The participant's lane.
        lane: LaneId,
    },
}

/// What has become of a participant's audio track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrackChange {
    /// It is there.
    Published,
    /// It is gone.
    Unpublished,
    /// It is silent by the participant's will.
    Muted,
    /// It is not, any more.
    Unmuted,
    /// It is not heard, for this reason, for a person to read: it is encrypted end to end, for one.
    Refused(String),
}

/// How good a connection is: the four steps that LiveKit tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Nothing to complain of.
    Excellent,
    /// Good enough for speech.
    Good,
    /// Words get lost.
    Poor,
    /// Nothing comes through.
    Lost,
}

impl Quality {
    /// Its name, as events have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Excellent => "excellent",
            Self::Good => "good",
            Self::Poor => "poor",
            Self::Lost => "lost",
        }
    }
}

/// How the agent's own connection to the room is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LineState {
    /// It is lost, for this reason, and is being made again.
    Lost(String),
    /// It is back.
    Restored,
}

impl Inbound {
    /// The question to a model that it answers, if it answers one.
    #[must_use]
    pub const fn ask(&self) -> Option<AskId> {
        match self {
            Self::Model { ask, .. } | Self::ModelEnd { ask } | Self::ModelFailed { ask, .. } => {
                Some(*ask)
            }
            _ => None,
        }
    }

    /// The lane that it is about, if it is about one.
    #[must_use]
    pub const fn lane(&self) -> Option<LaneId> {
        match self {
            Self::Joined { lane, .. }
            | Self::Left { lane }
            | Self::Audio { lane, .. }
            | Self::UserText { lane, .. }
            | Self::Transcript { lane, .. }
            | Self::RecogniserFailed { lane, .. }
            | Self::Track { lane, .. }
            | Self::Speaking { lane, .. }
            | Self::Attributes { lane, .. }
            | Self::Digit { lane, .. }
            | Self::Interrupt { lane } => Some(*lane),
            Self::Metadata { lane, .. }
            | Self::Data { lane, .. }
            | Self::Quality { lane, .. }
            | Self::Custom { lane, .. }
            | Self::Fact { lane, .. }
            | Self::Request { lane, .. } => *lane,
            Self::Speech { .. }
            | Self::SynthesiserFailed { .. }
            | Self::ToolResult { .. }
            | Self::JournalLost { .. }
            | Self::HangUp { .. }
            | Self::Close { .. }
            | Self::Line { .. }
            | Self::Model { .. }
            | Self::ModelEnd { .. }
            | Self::ModelFailed { .. }
            | Self::Native { .. }
            | Self::Strain { .. }
            | Self::Reload { .. } => None,
        }
    }
}
