//! Business rules: what people write to say when agents hand over, and what is noted then.
//!
//! A rule has conditions and actions. Conditions are `all` or `any` of others, or compare one
//! [`Variable`] of the conversation with a value; actions hand over, note facts, or log. A
//! [`RuleSet`] is made once from JSON, and then [evaluated](RuleSet::evaluate) as often as wanted: its
//! first rule whose conditions hold is triggered, and no other.
//!
//! ```
//! use antiphon::graph::rules::{AgentKey, RuleSet, Variables};
//! use serde_json::{Value, json};
//!
//! struct Heard(&'static str);
//!
//! impl Variables for Heard {
//!     fn user_input(&self) -> &str { self.0 }
//!     fn current_agent_name(&self) -> &str { "desk" }
//!     fn current_agent_type(&self) -> &str { "general" }
//!     fn conversation_turn_count(&self) -> u64 { 1 }
//!     fn last_tool_name(&self) -> &str { "" }
//!     fn last_tool_result(&self) -> &str { "" }
//!     fn fact(&self, _: &str) -> Option<&Value> { None }
//! }
//!
//! let rules = RuleSet::new(&json!([{
//!     "conditions": { "all": [
//!         { "name": "user_input", "operator": "contains", "value": "invoice" },
//!         { "name": "is_first_turn", "operator": "is_true" },
//!     ] },
//!     "actions": [{ "name": "transition_to_agent", "params": { "agent_id": "billing" } }],
//! }])).unwrap();
//!
//! let triggered = rules.evaluate(&Heard("my invoice is wrong")).unwrap().unwrap();
//! assert_eq!(triggered.transition(), Some(&AgentKey::Name("billing".into())));
//! assert!(rules.evaluate(&Heard("hello")).unwrap().is_none());
//! ```
//!
//! **Invariant:** a rule set that was made can be evaluated: the one thing that may go wrong is a fact
//! that is no text. Its JSON makes an equal rule set.

mod action;
mod condition;
mod description;
mod operator;
mod read;
#[cfg(test)]
mod tests;
mod variable;

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

pub use super::topology::Fault;
pub use action::{Action, AgentKey, Scalar};
pub use condition::{Condition, Test};
pub use description::description;
pub use operator::{
    Check, NumberOperator, SelectOperator, SharedOperator, TextOperator, TextPattern,
};
pub use variable::{FACT_PREFIX, Kind, USER_INPUT_TYPES, Variable, Variables};

/// The most rules of a set.
pub const RULES_MAX: usize = 1_000;

/// The most conditions of a set, those within others included.
pub const CONDITIONS_MAX: usize = 10_000;

/// How deep conditions nest: more than a person keeps in view.
pub const DEPTH_MAX: usize = 16;

/// The most actions of a rule.
pub const ACTIONS_MAX: usize = 100;

/// The most regular expressions of a set.
pub const PATTERNS_MAX: usize = 100;

/// The largest regular expression when compiled, in bytes.
pub const PATTERN_SIZE_MAX: usize = 1 << 20;

/// The longest text in a rule, in bytes.
pub const TEXT_MAX: usize = 10_000;

/// Rules in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSet {
    rules: Vec<Rule>,
}

/// What is done when.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// When.
    pub conditions: Condition,
    /// What is done, in this order.
    pub actions: Vec<Action>,
}

/// A rule whose conditions hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Triggered<'r> {
    /// Its position in the set, from 0.
    pub rule: usize,
    /// What is to be done, in this order.
    pub actions: &'r [Action],
}

/// A variable had a value that its condition cannot be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// The position of the rule in its set, from 0.
    pub rule: usize,
    /// The variable, as it is written.
    pub variable: String,
    /// What it was instead of a text.
    pub found: &'static str,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, variable, found } = self;
        write!(f, "rule {rule}: `{variable}` is {found}; conditions compare texts with it")
    }
}

impl std::error::Error for RuleError {}

impl RuleSet {
    /// Makes a rule set from JSON: a list of maps of `conditions` and `actions`.
    ///
    /// # Errors
    /// All that is wrong, each with its place.
    pub fn new(value: &Value) -> Result<Self, Vec<Fault>> {
        read::rule_set(value)
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Finds the first rule whose conditions hold. Of `all` and `any` no more is looked at than
    /// decides.
    ///
    /// # Errors
    /// A fact that was looked at is a list or a map.
    pub fn evaluate(&self, variables: &dyn Variables) -> Result<Option<Triggered<'_>>, RuleError> {
        for (index, rule) in self.rules.iter().enumerate() {
            let holds = rule.conditions.holds(variables).map_err(|(variable, found)| {
                RuleError { rule: index, variable: variable.to_string(), found }
            })?;
            if holds {
                return Ok(Some(Triggered { rule: index, actions: &rule.actions }));
            }
        }
        Ok(None)
    }

    /// The JSON of the rules: [`RuleSet::new`] makes an equal set of it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        self.rules.iter().map(Rule::to_value).collect()
    }
}

impl Serialize for RuleSet {
    /// Writes the list of rules.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl Rule {
    fn to_value(&self) -> Value {
        let actions: Vec<Value> = self.actions.iter().map(Action::to_value).collect();
        json!({ "conditions": self.conditions.to_value(), "actions": actions })
    }
}

impl<'r> Triggered<'r> {
    /// The agent to hand over to: of several the last.
    #[must_use]
    pub fn transition(&self) -> Option<&'r AgentKey> {
        self.actions.iter().rev().find_map(|action| match action {
            Action::TransitionToAgent { agent } => Some(agent),
            Action::SetContextValue { .. } | Action::LogTransition => None,
        })
    }

    /// The facts to note: none without a hand-over, since they belong to it.
    pub fn updates(&self) -> impl Iterator<Item = (&'r str, &'r Scalar)> + use<'r> {
        let actions = if self.transition().is_some() { self.actions } else { &[] };
        actions.iter().filter_map(|action| match action {
            Action::SetContextValue { key, value } => Some((key.as_str(), value)),
            Action::TransitionToAgent { .. } | Action::LogTransition => None,
        })
    }
}
