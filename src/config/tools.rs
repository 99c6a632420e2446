//! Tools: what an agent can have done.
//!
//! A tool is declared here and either answers from its `canned` table or is registered in code
//! under the same name.
//!
//! **Invariant:** `parameters` is a valid JSON Schema of an object once [`parse`](super::parse) has
//! accepted it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

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
    /// Answers without code, for demonstrations and tests. Without it a tool of this name must be
    /// registered in code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canned: Option<Canned>,
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
            canned: None,
        }
    }
}

/// Where a tool runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    /// On a tool worker; a tick never waits for it in real time.
    #[default]
    Worker,
    /// On the session's own thread: pure, and over within `budget_ms`.
    Inline,
}

/// When a result reaches the one who called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// At the next tick after it is there.
    #[default]
    NextTick,
    /// In the same tick, by re-entering it.
    SameTick,
}

/// A table of answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Canned {
    /// The argument whose value selects the answer. Without it, `otherwise` is always the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub by: Option<String>,
    /// From the value of that argument, as text, to the answer: any JSON. Default none.
    pub answers: BTreeMap<String, Value>,
    /// The answer where none is listed: any JSON. Without it such a call fails with "no answer for
    /// …".
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "written")]
    pub otherwise: Option<Value>,
    /// How long the answer really takes, asleep on a worker, in milliseconds: 0 to 600000. Default
    /// 0. Stands for a slow backend.
    #[schemars(range(min = 0, max = 600_000))]
    pub takes_ms: u32,
    /// So many calls of a session fail before the first succeeds: 0 to 1000. Default 0.
    #[schemars(range(min = 0, max = 1_000))]
    pub fails_first: u32,
    /// The error of those failures. Default "the service is not available".
    #[schemars(length(min = 1, max = 1000))]
    pub failure: String,
}

impl Default for Canned {
    fn default() -> Self {
        Self {
            by: None,
            answers: BTreeMap::new(),
            otherwise: None,
            takes_ms: 0,
            fails_first: 0,
            failure: "the service is not available".into(),
        }
    }
}

/// Keeps `otherwise: null` apart from no `otherwise`: null is an answer as good as any.
fn written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
