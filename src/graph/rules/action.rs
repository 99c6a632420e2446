//! What is done when a rule is triggered.

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};

/// What is done when a rule is triggered.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Hands over to an agent.
    TransitionToAgent {
        /// Which.
        agent: AgentKey,
    },
    /// Notes a fact, if there is a hand-over.
    SetContextValue {
        /// Its name.
        key: String,
        /// Its value.
        value: Scalar,
    },
    /// Logs that the rule was triggered.
    LogTransition,
}

/// An agent, by its name or its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AgentKey {
    /// By its number.
    Number(u64),
    /// By its name.
    Name(String),
}

/// A value without parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// True or false.
    Boolean(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
}

impl From<Scalar> for Value {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Boolean(flag) => Self::Bool(flag),
            Scalar::Number(number) => Self::Number(number),
            Scalar::Text(text) => Self::String(text),
        }
    }
}

/// The actions, each with its parameters and what these hold.
pub(super) const ACTIONS: [(&str, &[(&str, &str)]); 3] = [
    ("transition_to_agent", &[("agent_id", "agent")]),
    ("set_context_value", &[("key", "text"), ("value", "scalar")]),
    ("log_transition", &[]),
];

impl Action {
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::TransitionToAgent { agent } => {
                json!({ "name": "transition_to_agent", "params": { "agent_id": agent } })
            }
            Self::SetContextValue { key, value } => {
                json!({ "name": "set_context_value", "params": { "key": key, "value": value } })
            }
            Self::LogTransition => json!({ "name": "log_transition" }),
        }
    }
}
