//! Tools that answer without code: for demos, tests and first drafts of a configuration.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{Tool, ToolContext};

/// A tool with ready answers, chosen by the value of one argument.
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

impl Tool for Canned {
    fn call(&self, context: &ToolContext, arguments: &Value) -> Result<Value, String> {
        (context.pause)(self.takes_ms);
        if context.occurrence < self.fails_first {
            return Err(self.failure.clone());
        }
        let asked = self.by.as_ref().map(|name| match &arguments[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        asked
            .as_ref()
            .and_then(|value| self.answers.get(value))
            .or(self.otherwise.as_ref())
            .cloned()
            .ok_or_else(|| match asked {
                Some(value) => format!("there is no answer for {value}"),
                None => "there is no answer".to_owned(),
            })
    }
}
