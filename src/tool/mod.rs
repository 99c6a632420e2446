//! Tools: what an agent can do besides talk.
//!
//! A [`Tool`] takes JSON arguments that fit its schema and gives a JSON value or a failure. All tools
//! of a process stand in one [`Registry`], and [`Registry::execute`] is the one way to run them: it
//! finds the tool, checks the arguments, and turns a panic into a failed outcome.
//!
//! The session does not run tools itself. In its work phase it asks [`Hands`], in the order of the
//! calls: an `inline` tool is done at once, on the same thread; any other may be *submitted*, and its
//! outcome comes back as an input of a later tick. A replay has hands that only remember.
//!
//! **Invariant:** a call has exactly one outcome, and the outcome is recorded.

pub mod canned;
pub mod fill;
mod function;
mod json;
mod registry;
pub mod remote;
pub mod room;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use function::parameters_of;
pub use json::Json;
pub use registry::{
    DEPTH_MAX, Registry, Tool, ToolContext, WrongTool, is_deeper, misfit, schema_of,
};
pub use room::RoomTool;

use crate::id::{CallId, LaneId};

/// What is known of a tool besides its code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// The name by which agents call it.
    pub name: String,
    /// What it does, for people and models.
    pub description: String,
    /// JSON Schema of the arguments.
    pub parameters: Json,
    /// Where it runs.
    pub run: Run,
    /// An inline call that takes longer is counted as an overrun, in milliseconds.
    pub budget_ms: u32,
    /// How long a call takes in virtual time, in milliseconds.
    pub latency_ms: u32,
    /// After this long without an outcome the call has failed, in milliseconds.
    pub timeout_ms: u32,
    /// When the agent learns the outcome.
    pub delivery: Delivery,
    /// Whether repeating a call with the same arguments does no harm.
    pub idempotent: bool,
    /// What is asked of the room, if it is the room that carries the calls out.
    pub room: Option<RoomTool>,
    /// So many calls run at the same time in a process at most; none: as many as there are workers.
    pub max_concurrent: Option<u32>,
    /// What becomes of a model's call when the user interrupts the turn that made it.
    pub on_barge_in: OnBargeIn,
}

impl ToolSpec {
    /// A worker tool of this name that takes any object, with the default limits.
    #[must_use]
    pub fn new(name: &str, description: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            parameters: Json(serde_json::json!({ "type": "object" })),
            run: Run::Worker,
            budget_ms: 5,
            latency_ms: 0,
            timeout_ms: 30_000,
            delivery: Delivery::NextTick,
            idempotent: false,
            room: None,
            max_concurrent: None,
            on_barge_in: OnBargeIn::Keep,
        }
    }

    /// Sets the JSON Schema of the arguments.
    #[must_use]
    pub fn parameters(mut self, schema: serde_json::Value) -> Self {
        self.parameters = Json(schema);
        self
    }

    /// Makes it run on the thread of the tick: for pure and quick tools only.
    #[must_use]
    pub const fn inline(mut self) -> Self {
        self.run = Run::Inline;
        self
    }
}

/// Where a tool runs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    /// On the thread of the tick: pure and bounded.
    Inline,
    /// On a tool worker: may wait, and the tick does not wait for it.
    #[default]
    Worker,
}

/// What becomes of a model's call when the user interrupts the turn that made it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBargeIn {
    /// It goes on, and its result is told when it is there.
    #[default]
    Keep,
    /// It is not wanted any more. One that waits for a worker is not made; what one that runs has done
    /// stays done.
    Cancel,
}

/// When the agent learns the outcome of a call that was done within the tick.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// At its next tick.
    #[default]
    NextTick,
    /// In the same tick, by at most four re-entries.
    SameTick,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The call's id within its session.
    pub id: CallId,
    /// The tool's name.
    pub name: String,
    /// The arguments, an object.
    pub arguments: Json,
    /// How many calls of this tool came before it in the session.
    pub occurrence: u32,
    /// The participant whose turn or request it answers, if it answers one's.
    pub lane: Option<LaneId>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// The tool's value.
    Done(Json),
    /// Why there is none.
    Failed(Failure),
}

impl Outcome {
    /// A failed outcome.
    pub fn failed(kind: FailureKind, message: impl Into<String>) -> Self {
        Self::Failed(Failure { kind, message: message.into() })
    }

    /// Whether the tool gave a value.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

/// Why a call gave no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// The reason, for a person to read.
    pub message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No tool has this name.
    UnknownTool,
    /// The arguments do not fit the tool's schema.
    InvalidArguments,
    /// The tool said so.
    Failed,
    /// The tool's code panicked.
    Panicked,
    /// No outcome came within the tool's time.
    TimedOut,
    /// No worker could take the call: the queue is full.
    NoWorker,
    /// The session ended before there was one.
    SessionEnded,
    /// Nothing was recorded for this call (replay and forks).
    NotRecorded,
    /// It is not wanted any more.
    Cancelled,
    /// The process that ran it is gone: whether it was done is not known, and it is not done again.
    Interrupted,
}

/// The outcome of a call, as it is recorded on a tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The call.
    pub id: CallId,
    /// The tool's name.
    pub name: String,
    /// How the call ended.
    pub outcome: Outcome,
    /// It was not there at the tick after the call.
    pub deferred: bool,
}

/// What became of a call in its tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Called {
    /// It is done.
    Done(Outcome),
    /// A worker has it; the outcome will be an input of a later tick.
    Submitted,
}

/// Runs calls for a session, within the tick.
pub trait Hands {
    /// Runs `call`, or submits it.
    fn call(&mut self, call: &ToolCall) -> Called;
}

/// Hands that can do nothing: every call fails as an unknown tool.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoHands;

impl Hands for NoHands {
    fn call(&mut self, call: &ToolCall) -> Called {
        Called::Done(unknown(&call.name))
    }
}

/// The outcome of calling a tool that does not exist.
#[must_use]
pub fn unknown(name: &str) -> Outcome {
    Outcome::failed(FailureKind::UnknownTool, format!("there is no tool `{name}`"))
}
