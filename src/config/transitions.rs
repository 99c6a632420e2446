//! Hand-overs from agent to agent: what causes them, what is said, and what goes along.
//!
//! **Invariant:** every name used here is declared, once [`parse`](super::parse) has accepted the file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::schema::IDENTIFIER;
pub use crate::graph::Results;
pub use crate::graph::condition::{Operator, TurnsOf};
use crate::tool::room::KEYS;

/// A hand-over from one agent to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    /// The agent that hands over.
    pub from: String,
    /// The agent that takes over.
    pub to: String,
    /// What causes it.
    pub when: When,
    /// Said by the agent that hands over. A template of facts, of the intent's slots, or of the
    /// tool's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub say: Option<String>,
    /// Said by the agent that takes over, instead of its `arrival`. A template as `say` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub arrival: Option<String>,
    /// What goes along. Default everything.
    #[serde(default)]
    pub carry: Carry,
    /// What becomes of the outcomes of tools that the agent awaits that hands over. Default `tell`.
    #[serde(default)]
    pub results: Results,
    /// Among several that apply, the highest wins; among equals the one listed first: -1000 to
    /// 1000. Business rules go before all others. Default 0.
    #[serde(default)]
    #[schemars(range(min = -1000, max = 1000))]
    pub priority: i32,
    /// What it is for. Default empty.
    #[serde(default)]
    #[schemars(length(max = 4000))]
    pub description: String,
}

/// What goes along with a hand-over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Carry {
    /// All facts that the agent knows that hands over, and what was said.
    #[default]
    Everything,
    /// Neither facts nor what was said.
    Nothing,
    /// These facts, by name, and not what was said.
    Facts(#[schemars(length(min = 1, max = 256), inner(regex(pattern = IDENTIFIER)))] Vec<String>),
    /// A text, as the fact `summary`, and not what was said. A template as `say` is.
    Summary(#[schemars(length(min = 1, max = 4000))] String),
}

/// The cause of a transition: exactly one of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum When {
    /// An intent of the agent that hands over was recognised.
    Intent(String),
    /// A tool has answered in a certain way.
    ToolResult(ToolResult),
    /// Something happened since the agent became the current one.
    Event(Event),
    /// The user said something since the agent became the current one.
    UserInput(UserInput),
    /// The agent decided something, by the tools `decide` or `hand_over`.
    Decision(Decision),
    /// The agent has been the current one for so long, in milliseconds: 0 to 86400000. 0: at once.
    AfterMs(#[schemars(range(min = 0, max = 86_400_000))] u32),
    /// Neither side was heard for so long, in milliseconds: 1 to 86400000.
    SilenceMs(#[schemars(range(min = 1, max = 86_400_000))] u32),
    /// The user has had so many turns.
    Turns(Turns),
    /// The user has pressed these keys one after the other: 0 to 9, A to D, `*`, `#`.
    Digits(#[schemars(regex(pattern = KEYS))] String),
    /// Business rules, a list of `conditions` and `actions`; `antiphon schema rules` describes them.
    Rules(Vec<Value>),
    /// A condition of another system. It never fires.
    Custom(Map<String, Value>),
}

/// A comparison with a tool's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolResult {
    /// The tool whose result is looked at.
    pub tool: String,
    /// Which value of the result: keys joined by `.`; an empty text is the whole result. Default
    /// empty.
    #[serde(default)]
    #[schemars(length(max = 400))]
    pub key: String,
    /// How to compare. Default `eq`.
    #[serde(default)]
    pub operator: Operator,
    /// What to compare with: any JSON; for `gt`, `lt`, `gte` and `lte` a number.
    pub value: Value,
}

/// An event that is waited for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Its name, as in `user.joined`; the spellings of other systems are understood as well.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// What it must hold, at least. Default nothing.
    #[serde(default)]
    pub data: Map<String, Value>,
}

/// What the user's words are compared with: exactly one of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum UserInput {
    /// They contain this, whatever the case.
    Contains(#[schemars(length(min = 1, max = 400))] String),
    /// This regular expression is found in them, in the syntax of the `regex` crate. At most 1 MiB
    /// when compiled.
    Matches(#[schemars(length(min = 1, max = 1000))] String),
}

/// A decision that is waited for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// About what. Default `transition_to`, which the tool `hand_over` decides.
    #[serde(default = "transition_to")]
    #[schemars(length(min = 1, max = 64))]
    pub key: String,
    /// For what: any JSON. Without it, the name of the agent that takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

fn transition_to() -> String {
    "transition_to".to_owned()
}

/// Turns that are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Turns {
    /// Which. Default `agent`: since it became the current one.
    #[serde(default)]
    pub of: TurnsOf,
    /// How many: 1 to 10000.
    #[schemars(range(min = 1, max = 10_000))]
    pub at_least: u32,
}
