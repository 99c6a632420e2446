//! What is expected of the agents, from a cue to the next one.
//!
//! **Invariant:** what is not named is not looked at; an empty list of things that were said, called or
//! moved means that there were none.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::pattern::Pattern;
use crate::config::schema::IDENTIFIER;

/// What is expected of a turn. Default nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct Expect {
    /// The current agent at the end of the turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = IDENTIFIER))]
    pub agent: Option<String>,
    /// What the agent understood last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub intent: Option<String>,
    /// What the agents say, in this order; they may say more. `[]`: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub says: Option<Vec<Pattern>>,
    /// What no agent says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub not_says: Vec<Pattern>,
    /// The tools that are called, in this order; others may be called as well. `[]`: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub calls: Option<Vec<Called>>,
    /// What happens, in this order; other things may happen as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub events: Vec<Happens>,
    /// What happens, in any order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub events_any_order: Vec<Happens>,
    /// What does not happen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub not_events: Vec<Happens>,
    /// Facts that are known at the end of the turn, by name: any JSON.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": IDENTIFIER}, "maxProperties" = 256))]
    pub facts: BTreeMap<String, Value>,
    /// Hand-overs, in this order; there may be others as well. `[]`: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub transitions: Option<Vec<Moved>>,
    /// The call ends, for this reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<Pattern>,
    /// So long after the cue is over an agent has begun to answer, in milliseconds: 1 to 600000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 600_000))]
    pub within_ms: Option<u32>,
}

/// A call of a tool that is expected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Called {
    /// The tool.
    #[schemars(regex(pattern = IDENTIFIER))]
    pub tool: String,
    /// Arguments that it is called with, at least; compared as deep as they are written.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub with: Map<String, Value>,
    /// How the call ends within the turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Ends>,
}

/// How a call of a tool ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ends {
    /// With a value.
    Done,
    /// With a failure.
    Failed,
}

impl Ends {
    /// `done` or `failed`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// An event that is expected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Happens {
    /// Its name, as in `user.joined`; the spellings of other systems are understood as well.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// What it holds, at least; compared as deep as it is written.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}

/// A hand-over that is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// The agent that hands over. Default none: whichever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = IDENTIFIER))]
    pub from: Option<String>,
    /// The agent that takes over.
    #[schemars(regex(pattern = IDENTIFIER))]
    pub to: String,
    /// Why, as timelines tell it: `intent bill`, for one. Default none: for whatever reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Pattern>,
}

/// What a tool answers instead of being asked: exactly one of `value` and `failure`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = value_or_failure)]
pub struct Answer {
    /// Its value: any JSON. Either this or `failure`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "written")]
    pub value: Option<Value>,
    /// It fails, for this reason. Either this or `value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub failure: Option<String>,
    /// How long it takes, in milliseconds: 0 to 600000. Default none: as long as the configuration says.
    /// An inline tool takes no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 600_000))]
    pub latency_ms: Option<u32>,
}

/// Keeps `value: null` apart from no `value`: null is a value as good as any.
fn written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn value_or_failure(schema: &mut schemars::Schema) {
    let branches = serde_json::json!([{"required": ["value"]}, {"required": ["failure"]}]);
    schema.insert("oneOf".into(), branches);
}
