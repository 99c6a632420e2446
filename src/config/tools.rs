//! Tools: what an agent can have done.
//!
//! A tool is declared here and answers from its `canned` table, is carried out by the room (`rpc` or
//! `data`), by an HTTP server (`http`), by a process (`process`) or by an MCP server (`mcp`), or is registered
//! in code under the same name.
//!
//! **Invariant:** `parameters` is a valid JSON Schema of an object once [`parse`](super::parse) has
//! accepted it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::tool::RoomTool;
pub use crate::tool::canned::Canned;
pub use crate::tool::remote::{HttpTool, McpTool, Method, ProcessTool};
pub use crate::tool::room::{Data, Rpc};
pub use crate::tool::{Delivery, OnBargeIn, Run};

/// A tool, and how it is run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tool {
    /// What the tool does, for people and for models. Default empty.
    #[schemars(length(max = 4000))]
    pub description: String,
    /// JSON Schema of the arguments, itself checked to be a valid schema. Default `{type: object}`.
    #[schemars(with = "Map<String, Value>")]
    pub parameters: Value,
    /// Where it runs. Default `worker`.
    pub run: Run,
    /// For `inline`: longer than this is counted as an overrun, in milliseconds: 1 to 1000. Default
    /// 5, a quarter of the shortest tick.
    #[schemars(range(min = 1, max = 1_000))]
    pub budget_ms: u32,
    /// Declared latency, applied in virtual time when asked to, in milliseconds: 0 to 600000.
    /// Default 0.
    #[schemars(range(min = 0, max = 600_000))]
    pub latency_ms: u32,
    /// How long a result is waited for, in milliseconds: 1 to 600000. Default 30000.
    #[schemars(range(min = 1, max = 600_000))]
    pub timeout_ms: u32,
    /// When the caller of the tool sees the result. Default `next_tick`.
    pub delivery: Delivery,
    /// Whether a call may be repeated without harm after a crash. Default false.
    pub idempotent: bool,
    /// Said when a call takes longer than `filler_after_ms` and nothing else is being said. A template of
    /// facts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub filler: Option<String>,
    /// How long a call may take before `filler` is said, in milliseconds: 0 to 600000. Default 700, by
    /// when a silence is noticed.
    #[schemars(range(min = 0, max = 600_000))]
    pub filler_after_ms: u32,
    /// How long a model's turn waits for a result, in milliseconds: 0 to 600000. Default 0: as long as it
    /// takes. After that the model is told that the call is under way, and goes on; it is asked again when
    /// the result is there.
    #[schemars(range(min = 0, max = 600_000))]
    pub patience_ms: u32,
    /// So many calls run at the same time in this process at most; further ones wait: 0 to 1000. Default
    /// 0: as many as there are workers.
    #[schemars(range(min = 0, max = 1_000))]
    pub max_concurrent: u32,
    /// What the user is asked before a model's call is made. A template of the call's arguments and of
    /// facts. Without it, calls are made unasked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub approval: Option<String>,
    /// What becomes of a call of a model's when the user interrupts the turn that made it. Default `keep`.
    pub on_barge_in: OnBargeIn,
    /// Answers without code, for demonstrations and tests. Without it and all other ways below, a tool of
    /// this name must be registered in code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canned: Option<Canned>,
    /// A method of a participant of the room, instead of code. Not for `inline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpc: Option<Rpc>,
    /// Data to participants of the room, instead of code. Not for `inline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
    /// A request to an HTTP server, instead of code. Not for `inline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpTool>,
    /// A process, instead of code. Not for `inline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessTool>,
    /// A tool of an MCP server, instead of code. Not for `inline`. Where `description` and `parameters` are not
    /// written, they are the server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp: Option<McpTool>,
}

impl Tool {
    /// What is asked of the room, if it is the room that carries the calls out.
    #[must_use]
    pub fn room(&self) -> Option<RoomTool> {
        let rpc = self.rpc.clone().map(RoomTool::Rpc);
        rpc.or_else(|| self.data.clone().map(RoomTool::Data))
    }

    /// Whether a server or a process outside of this one carries the calls out.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        self.http.is_some() || self.process.is_some() || self.mcp.is_some()
    }
}

impl Default for Tool {
    fn default() -> Self {
        Self {
            description: String::new(),
            parameters: json!({"type": "object"}),
            run: Run::Worker,
            budget_ms: 5,
            latency_ms: 0,
            timeout_ms: 30_000,
            delivery: Delivery::NextTick,
            idempotent: false,
            filler: None,
            filler_after_ms: 700,
            patience_ms: 0,
            max_concurrent: 0,
            approval: None,
            on_barge_in: OnBargeIn::Keep,
            canned: None,
            rpc: None,
            data: None,
            http: None,
            process: None,
            mcp: None,
        }
    }
}
