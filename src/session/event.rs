//! What happens in a session, by name.
//!
//! **Invariant:** each event once, numbered in a total order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::{Tick, TickLen};
use crate::graph::Cause;
use crate::graph::event::EventName;
use crate::graph::facts::Scope;
use crate::id::{AskId, CallId, ItemId, LaneId, NativeId, RequestId, TurnId, UtteranceId};
use crate::think::chat::{ErrorKind, FinishReason, Usage};
use crate::tool::{Json, Outcome};

use super::input::Quality;
use super::output::RpcError;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number in the session, from 0.
    pub seq: u64,
    /// The tick in which it happened.
    pub tick: Tick,
    /// What.
    pub kind: EventKind,
}

/// Why an agent was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutCause {
    /// The user's voice, for the barge-in time.
    Voice,
    /// The words of a short utterance.
    Words,
    /// Typed text.
    Text,
    /// The user has said more before it was heard.
    Overtaken,
    /// The call is ended from outside.
    Closed,
    /// Somebody asked for it without a word: by a key, say.
    Asked,
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The agent ended the call.
    AgentEnded,
    /// The call was as long as it may be.
    MaxLength,
    /// Something outside ended it.
    HungUp(String),
    /// The last participant had gone, and nobody came back.
    Alone,
    /// Neither side was heard for as long as a call may be silent.
    Silence,
    /// The agent ended the call, and said why.
    Agent(String),
    /// The call was passed on, to this.
    Transferred(String),
    /// The user did not answer as many idle prompts as there may be.
    Idle,
    /// This policy's bound was reached.
    Policy(String),
    /// Something outside ended it in good order: the agent has said its goodbye.
    Closed(String),
}

impl std::fmt::Display for EndReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AgentEnded => f.write_str("the agent ended the call"),
            Self::MaxLength => f.write_str("the call reached its longest duration"),
            Self::HungUp(reason) | Self::Closed(reason) => f.write_str(reason),
            Self::Alone => f.write_str("the last participant has left"),
            Self::Silence => f.write_str("neither side was heard for too long"),
            Self::Agent(reason) => write!(f, "the agent ended the call: {reason}"),
            Self::Transferred(to) => write!(f, "the call was passed on to {to}"),
            Self::Idle => f.write_str("the user did not answer any more"),
            Self::Policy(policy) => write!(f, "the policy {policy} ended the call"),
        }
    }
}

/// The kinds of event. Their names are those of the one dotted namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are named after the things that they hold")]
pub enum EventKind {
    /// The session began, with this agent.
    #[serde(rename = "session.created")]
    SessionCreated { agent: String },
    /// The session is over.
    #[serde(rename = "session.ended")]
    SessionEnded { reason: EndReason },
    /// A participant is there.
    #[serde(rename = "user.joined")]
    UserJoined { lane: LaneId, name: String },
    /// A participant has gone.
    #[serde(rename = "user.left")]
    UserLeft { lane: LaneId },
    /// A participant's voice is heard.
    #[serde(rename = "user.speech_started")]
    UserSpeechStarted { lane: LaneId, utterance: UtteranceId, over_agent: bool },
    /// A participant's utterance is over, for the minimum silence.
    #[serde(rename = "user.speech_stopped")]
    UserSpeechStopped { lane: LaneId, utterance: UtteranceId, voiced_ms: u64 },
    /// The recogniser's words.
    #[serde(rename = "user.transcript")]
    UserTranscript {
        lane: LaneId,
        utterance: UtteranceId,
        text: String,
        confidence: f32,
        last: bool,
    },
    /// A turn of the user ended: what was said, and what the agent understood.
    #[serde(rename = "user.message")]
    UserMessage {
        turn: TurnId,
        lane: LaneId,
        text: String,
        intent: Option<String>,
        typed: bool,
        last_voiced: Tick,
    },
    /// A short sound of attention, which does not take the turn.
    #[serde(rename = "user.backchannel")]
    UserBackchannel { lane: LaneId, text: String },
    /// Neither side was heard for the away time.
    #[serde(rename = "user.away")]
    UserAway,
    /// The user is heard again.
    #[serde(rename = "user.returned")]
    UserReturned,
    /// An agent became the current one.
    #[serde(rename = "agent.started")]
    AgentStarted { agent: String },
    /// An agent has something to say.
    #[serde(rename = "agent.message")]
    AgentMessage { item: ItemId, agent: String, text: String },
    /// The first sample of an item is played.
    #[serde(rename = "agent.speech_started")]
    AgentSpeechStarted { item: ItemId },
    /// The last sample of an item is played.
    #[serde(rename = "agent.speech_finished")]
    AgentSpeechFinished { item: ItemId },
    /// An item was cut.
    #[serde(rename = "agent.interrupted")]
    AgentInterrupted {
        item: ItemId,
        cause: CutCause,
        since: Tick,
        voiced_ms: u64,
        played_ms: u64,
        spoken: String,
        unspoken: String,
    },
    /// The interruption was false: the agent goes on where it was cut.
    #[serde(rename = "agent.resumed")]
    AgentResumed,
    /// A tool is called.
    #[serde(rename = "tool.called")]
    ToolCalled { call: CallId, name: String, arguments: Json, occurrence: u32 },
    /// A call was not back at the next tick.
    #[serde(rename = "tool.deferred")]
    ToolDeferred { call: CallId, name: String },
    /// A call has ended.
    #[serde(rename = "tool.result")]
    ToolResult { call: CallId, name: String, outcome: Outcome, after_ticks: u64 },
    /// A result came for a call that is not awaited.
    #[serde(rename = "tool.unexpected")]
    ToolUnexpected { call: CallId },
    /// A hand-over, effective at the next tick.
    #[serde(rename = "transition.executed")]
    TransitionExecuted { from: String, to: String, transition: u32, cause: Cause },
    /// A hand-over did not happen: the turn had as many as it may.
    #[serde(rename = "transition.refused")]
    TransitionRefused { from: String, to: String, cause: Cause, reason: String },
    /// The recogniser failed on an utterance.
    #[serde(rename = "recogniser.failed")]
    RecogniserFailed { lane: LaneId, utterance: UtteranceId, cause: String },
    /// The synthesiser failed on an item.
    #[serde(rename = "synthesiser.failed")]
    SynthesiserFailed { item: ItemId, cause: String },
    /// The pacer was so late that it jumped over ticks.
    #[serde(rename = "tick.skipped")]
    TickSkipped { count: u32 },
    /// The journal could not be written from here on: the call cannot be replayed beyond.
    #[serde(rename = "journal.lost")]
    JournalLost { cause: String },
    /// Something was refused because its bound was reached.
    #[serde(rename = "limit.reached")]
    LimitReached { limit: String },
    /// A participant has an audio track.
    #[serde(rename = "user.published")]
    UserPublished { lane: LaneId },
    /// A participant has no audio track any more.
    #[serde(rename = "user.unpublished")]
    UserUnpublished { lane: LaneId },
    /// A participant has muted itself.
    #[serde(rename = "user.muted")]
    UserMuted { lane: LaneId },
    /// A participant is no longer muted.
    #[serde(rename = "user.unmuted")]
    UserUnmuted { lane: LaneId },
    /// A participant has an audio track that cannot be heard, and why.
    #[serde(rename = "user.unheard")]
    UserUnheard { lane: LaneId, cause: String },
    /// The transport's opinion of who speaks.
    #[serde(rename = "user.speaking")]
    UserSpeaking { lane: LaneId, speaking: bool },
    /// Attributes of a participant that have changed; an empty value is a removed one.
    #[serde(rename = "user.attributes")]
    UserAttributes { lane: LaneId, changed: BTreeMap<String, String> },
    /// The metadata of a participant.
    #[serde(rename = "user.metadata")]
    UserMetadata { lane: LaneId, text: String },
    /// The metadata of the room.
    #[serde(rename = "room.metadata")]
    RoomMetadata { text: String },
    /// Data came: from a participant, or from the server. `text` is there where the bytes are UTF-8;
    /// `bytes` is how many they were.
    #[serde(rename = "data.received")]
    DataReceived {
        lane: Option<LaneId>,
        topic: String,
        text: Option<String>,
        bytes: u64,
        reliable: bool,
    },
    /// How good the connection of a participant is, or the agent's own.
    #[serde(rename = "connection.quality")]
    ConnectionQuality { lane: Option<LaneId>, quality: Quality },
    /// A participant pressed a key.
    #[serde(rename = "user.digit")]
    UserDigit { lane: LaneId, digit: char },
    /// A participant calls a method of the agent.
    #[serde(rename = "rpc.called")]
    RpcCalled { request: RequestId, lane: Option<LaneId>, method: String },
    /// The call of a method is answered: with a value, unless there is an error.
    #[serde(rename = "rpc.answered")]
    RpcAnswered { request: RequestId, error: Option<RpcError>, after_ticks: u64 },
    /// The agent's own connection to the room is lost, and is being made again.
    #[serde(rename = "connection.lost")]
    ConnectionLost { cause: String },
    /// It is back.
    #[serde(rename = "connection.restored")]
    ConnectionRestored,
    /// An agent is no longer the current one.
    #[serde(rename = "agent.stopped")]
    AgentStopped { agent: String },
    /// An agent cannot answer.
    #[serde(rename = "agent.error")]
    AgentError { agent: String, cause: String },
    /// An agent has decided something, by a tool.
    #[serde(rename = "agent.decided")]
    AgentDecided { agent: String, key: String, value: Json },
    /// An agent is called by another, and becomes the current one at the next tick.
    #[serde(rename = "agent.called")]
    AgentCalled { agent: String, by: String, call: CallId },
    /// An agent that was called has returned, and the one that called is current at the next tick.
    #[serde(rename = "agent.returned")]
    AgentReturned { agent: String, to: String, call: CallId },
    /// The outcome of a call is told to nobody, since the agent that asked has handed over.
    #[serde(rename = "tool.orphaned")]
    ToolOrphaned { call: CallId, name: String },
    /// Business rules of a transition could not be evaluated; they count as no match.
    #[serde(rename = "rule.failed")]
    RuleFailed { transition: u32, cause: String },
    /// A fact is known, or has another value.
    #[serde(rename = "fact.set")]
    FactSet { name: String, scope: Scope, value: Json },
    /// The time of a fact is over: it is forgotten.
    #[serde(rename = "fact.expired")]
    FactExpired { name: String },
    /// The call is passed on: to a telephone number, a SIP address or a participant.
    #[serde(rename = "call.transferred")]
    CallTransferred { to: String, warm: bool },
    /// The user is on hold.
    #[serde(rename = "call.held")]
    CallHeld,
    /// The user is no longer on hold.
    #[serde(rename = "call.resumed")]
    CallResumed { after_ticks: u64 },
    /// Keys were sent to the other end.
    #[serde(rename = "digits.sent")]
    DigitsSent { digits: String },
    /// A clip is played, as an item.
    #[serde(rename = "clip.played")]
    ClipPlayed { item: ItemId, clip: String },
    /// Most of what a policy allows is used.
    #[serde(rename = "policy.warned")]
    PolicyWarned { policy: String, percent: u32 },
    /// All that a policy allows is used.
    #[serde(rename = "policy.reached")]
    PolicyReached { policy: String },
    /// An event of somebody's own, from outside.
    #[serde(rename = "custom")]
    Custom { name: String, lane: Option<LaneId>, data: Json },
    /// From this tick on the session runs on another configuration: its hash, in hexadecimal.
    #[serde(rename = "config.reloaded")]
    ConfigReloaded { config: String },
    /// Another configuration came that cannot be used; the session goes on as it was.
    #[serde(rename = "config.refused")]
    ConfigRefused { cause: String },
    /// A model is asked for an agent: which step of its turn, and with how many messages.
    #[serde(rename = "model.asked")]
    ModelAsked { ask: AskId, agent: String, model: String, step: u32, messages: u32 },
    /// A model's answer is whole: after so many ticks it began, and it took so many in all.
    #[serde(rename = "model.answered")]
    ModelAnswered {
        ask: AskId,
        model: Option<String>,
        first_after_ticks: Option<u64>,
        after_ticks: u64,
        finish: Option<FinishReason>,
        usage: Option<Usage>,
        warnings: Vec<String>,
    },
    /// A model, and all that stood in for it, has failed.
    #[serde(rename = "model.failed")]
    ModelFailed { ask: AskId, kind: ErrorKind, cause: String },
    /// The answer of a model is no longer wanted.
    #[serde(rename = "model.dropped")]
    ModelDropped { ask: AskId },
    /// Somebody has to approve of a call before it is made.
    #[serde(rename = "approval.asked")]
    ApprovalAsked { approval: u32, agent: String, name: String, arguments: Json },
    /// Somebody did, or did not.
    #[serde(rename = "approval.given")]
    ApprovalGiven { approval: u32, name: String, approved: bool, reason: Option<String> },
    /// A model that speaks by itself has begun an item for an agent: its words follow as `agent.words`, and are all
    /// there with its `agent.message`. `source` is the provider's id of it.
    #[serde(rename = "agent.began")]
    AgentBegan { item: ItemId, agent: String, source: String },
    /// More words of an item that a model speaks by itself.
    #[serde(rename = "agent.words")]
    AgentWords { item: ItemId, text: String },
    /// A model that hears and speaks by itself is there; `again` if it was there before.
    #[serde(rename = "model.connected")]
    ModelConnected { native: NativeId, again: bool },
    /// A model that hears and speaks by itself is not there; another attempt follows unless it is the `last`.
    #[serde(rename = "model.disconnected")]
    ModelDisconnected { native: NativeId, cause: String, last: bool },
    /// The process has too much to do: what is not audio is done in one of so many ticks only, and words of utterances
    /// that are not over are left out.
    #[serde(rename = "session.strained")]
    SessionStrained { every: u16 },
    /// All is done in every tick again; it was not for so many.
    #[serde(rename = "session.relieved")]
    SessionRelieved { after_ticks: u64 },
}

impl EventKind {
    /// Its name in the vocabulary.
    #[must_use]
    pub const fn name(&self) -> EventName {
        match self {
            Self::SessionCreated { .. } => EventName::SessionCreated,
            Self::SessionEnded { .. } => EventName::SessionEnded,
            Self::UserJoined { .. } => EventName::UserJoined,
            Self::UserLeft { .. } => EventName::UserLeft,
            Self::UserSpeechStarted { .. } => EventName::UserSpeechStarted,
            Self::UserSpeechStopped { .. } => EventName::UserSpeechStopped,
            Self::UserTranscript { .. } => EventName::UserTranscript,
            Self::UserMessage { .. } => EventName::UserMessage,
            Self::UserBackchannel { .. } => EventName::UserBackchannel,
            Self::UserAway => EventName::UserAway,
            Self::UserReturned => EventName::UserReturned,
            Self::AgentStarted { .. } => EventName::AgentStarted,
            Self::AgentMessage { .. } => EventName::AgentMessage,
            Self::AgentSpeechStarted { .. } => EventName::AgentSpeechStarted,
            Self::AgentSpeechFinished { .. } => EventName::AgentSpeechFinished,
            Self::AgentInterrupted { .. } => EventName::AgentInterrupted,
            Self::AgentResumed => EventName::AgentResumed,
            Self::ToolCalled { .. } => EventName::ToolCalled,
            Self::ToolDeferred { .. } => EventName::ToolDeferred,
            Self::ToolResult { .. } => EventName::ToolResult,
            Self::ToolUnexpected { .. } => EventName::ToolUnexpected,
            Self::TransitionExecuted { .. } => EventName::TransitionExecuted,
            Self::TransitionRefused { .. } => EventName::TransitionRefused,
            Self::RecogniserFailed { .. } => EventName::RecogniserFailed,
            Self::SynthesiserFailed { .. } => EventName::SynthesiserFailed,
            Self::TickSkipped { .. } => EventName::TickSkipped,
            Self::JournalLost { .. } => EventName::JournalLost,
            Self::LimitReached { .. } => EventName::LimitReached,
            Self::UserPublished { .. } => EventName::UserPublished,
            Self::UserUnpublished { .. } => EventName::UserUnpublished,
            Self::UserMuted { .. } => EventName::UserMuted,
            Self::UserUnmuted { .. } => EventName::UserUnmuted,
            Self::UserUnheard { .. } => EventName::UserUnheard,
            Self::UserSpeaking { .. } => EventName::UserSpeaking,
            Self::UserAttributes { .. } => EventName::UserAttributes,
            Self::UserMetadata { .. } => EventName::UserMetadata,
            Self::RoomMetadata { .. } => EventName::RoomMetadata,
            Self::DataReceived { .. } => EventName::DataReceived,
            Self::ConnectionQuality { .. } => EventName::ConnectionQuality,
            Self::UserDigit { .. } => EventName::UserDigit,
            Self::RpcCalled { .. } => EventName::RpcCalled,
            Self::RpcAnswered { .. } => EventName::RpcAnswered,
            Self::ConnectionLost { .. } => EventName::ConnectionLost,
            Self::ConnectionRestored => EventName::ConnectionRestored,
            Self::AgentStopped { .. } => EventName::AgentStopped,
            Self::AgentError { .. } => EventName::AgentError,
            Self::AgentDecided { .. } => EventName::AgentDecided,
            Self::AgentCalled { .. } => EventName::AgentCalled,
            Self::AgentReturned { .. } => EventName::AgentReturned,
            Self::ToolOrphaned { .. } => EventName::ToolOrphaned,
            Self::RuleFailed { .. } => EventName::RuleFailed,
            Self::FactSet { .. } => EventName::FactSet,
            Self::FactExpired { .. } => EventName::FactExpired,
            Self::CallTransferred { .. } => EventName::CallTransferred,
            Self::CallHeld => EventName::CallHeld,
            Self::CallResumed { .. } => EventName::CallResumed,
            Self::DigitsSent { .. } => EventName::DigitsSent,
            Self::ClipPlayed { .. } => EventName::ClipPlayed,
            Self::PolicyWarned { .. } => EventName::PolicyWarned,
            Self::PolicyReached { .. } => EventName::PolicyReached,
            Self::Custom { .. } => EventName::Custom,
            Self::ConfigReloaded { .. } => EventName::ConfigReloaded,
            Self::ConfigRefused { .. } => EventName::ConfigRefused,
            Self::ModelAsked { .. } => EventName::ModelAsked,
            Self::ModelAnswered { .. } => EventName::ModelAnswered,
            Self::ModelFailed { .. } => EventName::ModelFailed,
            Self::ModelDropped { .. } => EventName::ModelDropped,
            Self::ApprovalAsked { .. } => EventName::ApprovalAsked,
            Self::ApprovalGiven { .. } => EventName::ApprovalGiven,
            Self::AgentBegan { .. } => EventName::AgentBegan,
            Self::AgentWords { .. } => EventName::AgentWords,
            Self::ModelConnected { .. } => EventName::ModelConnected,
            Self::ModelDisconnected { .. } => EventName::ModelDisconnected,
            Self::SessionStrained { .. } => EventName::SessionStrained,
            Self::SessionRelieved { .. } => EventName::SessionRelieved,
        }
    }

    /// What it holds, as JSON.
    #[must_use]
    pub fn data(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(kind)) => match kind.into_iter().next() {
                Some((_, Value::Object(fields))) => fields,
                _ => Map::new(),
            },
            _ => Map::new(),
        }
    }
}

impl Event {
    /// The event that [`Event::to_json`] has written; none if it is not one.
    #[must_use]
    pub fn from_json(json: &Value) -> Option<Self> {
        let mut fields = json.as_object()?.clone();
        let (seq, tick) = (fields.remove("seq")?.as_u64()?, fields.remove("tick")?.as_u64()?);
        let Value::String(name) = fields.remove("type")? else { return None };
        fields.remove("ms");
        // Not part of the event: the record of a fork says so of its ticks.
        fields.remove("counterfactual");
        let kind = if fields.is_empty() {
            Value::String(name)
        } else {
            Value::Object(Map::from_iter([(name, Value::Object(fields))]))
        };
        Some(Self { seq, tick: Tick(tick), kind: serde_json::from_value(kind).ok()? })
    }

    /// The event as one flat JSON object: `seq`, `tick`, `ms`, `type` and the fields of its kind.
    #[must_use]
    pub fn to_json(&self, len: TickLen) -> Value {
        let mut object = Map::new();
        object.insert("seq".into(), json!(self.seq));
        object.insert("tick".into(), json!(self.tick));
        object.insert("ms".into(), json!(len.start_ms(self.tick)));
        match serde_json::to_value(&self.kind) {
            Ok(Value::String(name)) => {
                object.insert("type".into(), Value::String(name));
            }
            Ok(Value::Object(kind)) => {
                for (name, fields) in kind {
                    object.insert("type".into(), Value::String(name));
                    if let Value::Object(fields) = fields {
                        object.extend(fields);
                    }
                }
            }
            other => debug_assert!(false, "an event kind is a name or an object: {other:?}"),
        }
        Value::Object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_vocabulary() {
        let kinds = [
            EventKind::UserAway,
            EventKind::AgentStopped { agent: "a".into() },
            EventKind::Custom { name: "a".into(), lane: None, data: Json::default() },
            EventKind::CallResumed { after_ticks: 1 },
            EventKind::LimitReached { limit: "a".into() },
        ];
        for kind in kinds {
            let event = Event { seq: 0, tick: Tick(0), kind };
            let json = event.to_json(TickLen::from_ms(20).unwrap());
            assert_eq!(json["type"], event.kind.name().as_str());
        }
    }

    #[test]
    fn json_is_flat_and_named() {
        let len = TickLen::from_ms(20).unwrap();
        let kind = EventKind::UserLeft { lane: LaneId(2) };
        let json = Event { seq: 4, tick: Tick(10), kind }.to_json(len);
        assert_eq!(
            json,
            json!({ "seq": 4, "tick": 10, "ms": 200, "type": "user.left", "lane": 2 })
        );
        let json = Event { seq: 0, tick: Tick(0), kind: EventKind::UserAway }.to_json(len);
        assert_eq!(json["type"], "user.away");
    }

    #[test]
    fn json_is_read_as_the_event_that_it_was() {
        let kinds = [
            EventKind::UserAway,
            EventKind::UserLeft { lane: LaneId(2) },
            EventKind::ConnectionRestored,
            EventKind::ConnectionQuality { lane: None, quality: Quality::Poor },
            EventKind::UserDigit { lane: LaneId(1), digit: '#' },
            EventKind::UserAttributes {
                lane: LaneId(0),
                changed: BTreeMap::from([("type".into(), String::new())]),
            },
            EventKind::RpcAnswered {
                request: RequestId(3),
                error: Some(RpcError::new(RpcError::TIMED_OUT, "late")),
                after_ticks: 9,
            },
            EventKind::SessionEnded { reason: EndReason::HungUp("ann hung up".into()) },
            EventKind::ToolResult {
                call: CallId(1),
                name: "look".into(),
                outcome: Outcome::Done(Json(json!({ "type": "a", "seq": [1.5] }))),
                after_ticks: 3,
            },
        ];
        for kind in kinds {
            let event = Event { seq: 7, tick: Tick(9), kind };
            let mut json = event.to_json(TickLen::from_ms(20).unwrap());
            assert_eq!(Event::from_json(&json), Some(event.clone()));
            json["counterfactual"] = true.into();
            assert_eq!(Event::from_json(&json), Some(event));
        }
        assert_eq!(Event::from_json(&json!({ "seq": 1, "tick": 2, "type": "no.such" })), None);
    }
}
