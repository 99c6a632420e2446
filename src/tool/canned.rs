//! Tools that answer without code: for demos, tests and first drafts of a configuration.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Tool, ToolContext};

/// A tool with ready answers, chosen by the value of one argument.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Canned {
    /// The argument that selects the answer.
    pub by: Option<String>,
    /// Answers by the argument's value, as text.
    pub answers: BTreeMap<String, Value>,
    /// The answer where none is selected; without it such a call fails.
    pub otherwise: Option<Value>,
    /// How long a call really takes, in milliseconds of real time.
    pub takes_ms: u32,
    /// So many calls of a session fail before the first that works.
    pub fails_first: u32,
    /// The reason that those failures give.
    pub failure: String,
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
