//! When a transition fires: conditions, and what they are compared with.
//!
//! A condition looks at what has happened since the current agent began, each [`Occasion`] once: what
//! happened before never fires anything. Conditions of time look at how long something has lasted.
//!
//! **Invariant:** what a condition cannot be compared with does not match: no value, no event and no
//! rule ends a session.

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::event::EventName;
use super::rules::{Action, AgentKey, RuleSet, Variables};
use crate::clock::TickLen;
use crate::id::AgentId;
use crate::tool::{Json, Outcome};

/// When a transition fires.
#[derive(Debug, Clone)]
pub enum Condition {
    /// The agent understood this intent.
    Intent(String),
    /// A tool has answered in a certain way.
    ToolResult {
        /// The tool.
        tool: String,
        /// The value looked at: keys joined by dots, empty for the whole.
        key: String,
        /// The comparison.
        operator: Operator,
        /// What it is compared with.
        value: Value,
    },
    /// An event happened.
    Event {
        /// Its name.
        name: EventName,
        /// What it holds, at least; compared as deep as it is written.
        data: Map<String, Value>,
    },
    /// The user said something.
    UserInput(Words),
    /// The agent decided something.
    Decision {
        /// About what.
        key: String,
        /// For what.
        value: Value,
    },
    /// The agent has been the current one for so many ticks.
    Timer(u64),
    /// Neither side was heard for so many ticks since the agent began.
    Silence(u64),
    /// The user has had so many turns.
    Turns {
        /// Which are counted.
        of: TurnsOf,
        /// How many, at least.
        at_least: u32,
    },
    /// The user has pressed these keys one after the other.
    Digits(String),
    /// Business rules, which may lead elsewhere than the transition does.
    Rules(Rules),
    /// It never fires: the condition of another system that this one does not know.
    Never,
}

/// Business rules, and the agents that they lead to.
#[derive(Debug, Clone)]
pub struct Rules {
    set: RuleSet,
    /// Of each rule.
    targets: Vec<Option<AgentId>>,
}

/// What rules have come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruled {
    /// The rule, by its position.
    pub rule: u32,
    /// The agent that it leads to.
    pub to: AgentId,
    /// The facts that it sets.
    pub updates: Vec<(String, Value)>,
}

impl Rules {
    /// Rules whose agents are found by their name or number.
    ///
    /// # Errors
    /// The agent that is not found.
    pub fn new(
        set: RuleSet,
        agent: &dyn Fn(&AgentKey) -> Option<AgentId>,
    ) -> Result<Self, AgentKey> {
        let mut targets = Vec::new();
        for rule in set.rules() {
            // Of several the last, as the rules have it.
            let key = rule.actions.iter().rev().find_map(|action| match action {
                Action::TransitionToAgent { agent } => Some(agent),
                Action::SetContextValue { .. } | Action::LogTransition => None,
            });
            targets.push(key.map(|key| agent(key).ok_or_else(|| key.clone())).transpose()?);
        }
        Ok(Self { set, targets })
    }

    /// The rules.
    #[must_use]
    pub const fn set(&self) -> &RuleSet {
        &self.set
    }

    /// The agents that they lead to.
    pub fn targets(&self) -> impl Iterator<Item = AgentId> {
        self.targets.iter().copied().flatten()
    }

    /// What they come to; nothing without a rule that leads somewhere.
    ///
    /// # Errors
    /// Why they cannot be evaluated.
    pub fn evaluate(&self, variables: &dyn Variables) -> Result<Option<Ruled>, String> {
        let triggered = self.set.evaluate(variables).map_err(|error| error.to_string())?;
        let Some(triggered) = triggered else { return Ok(None) };
        let Some(to) = self.targets.get(triggered.rule).copied().flatten() else { return Ok(None) };
        let updates =
            triggered.updates().map(|(key, value)| (key.to_owned(), value.clone().into()));
        Ok(Some(Ruled { rule: triggered.rule as u32, to, updates: updates.collect() }))
    }
}

/// What the user's words are compared with.
#[derive(Debug, Clone)]
pub enum Words {
    /// They contain this, whatever the case; in lower case.
    Contain(String),
    /// This pattern is found in them.
    Match(Regex),
}

/// Which turns of the user are counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TurnsOf {
    /// Those since the agent became the current one.
    #[default]
    Agent,
    /// All of the call.
    Call,
}

/// Something that happened, as conditions see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Occasion {
    /// The current agent understood an intent.
    Intent(String),
    /// A turn of the user ended, with these words.
    Words(String),
    /// A tool's outcome reached the current agent.
    ToolResult {
        /// The tool.
        tool: String,
        /// Its outcome.
        outcome: Outcome,
    },
    /// The current agent decided something.
    Decision {
        /// About what.
        key: String,
        /// For what.
        value: Json,
    },
    /// An event that a transition of the current agent waits for.
    Event {
        /// Its name.
        name: EventName,
        /// Its number in the session.
        seq: u64,
        /// What it holds: an object.
        data: Json,
    },
    /// A key was pressed, or a turn counted: only what lasts has changed.
    Change,
}

/// Why a transition fired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// This intent was understood.
    Intent(String),
    /// This tool's result fitted the condition.
    ToolResult {
        /// The tool.
        tool: String,
        /// The condition, as text.
        condition: String,
    },
    /// This event happened.
    Event {
        /// Its name.
        name: String,
        /// Its number in the session.
        seq: u64,
    },
    /// The user's words fitted the condition, given as text.
    UserInput(String),
    /// The agent decided so.
    Decision {
        /// About what.
        key: String,
        /// For what, as JSON.
        value: String,
    },
    /// The agent had been the current one for so long, in milliseconds.
    Timer(u64),
    /// Neither side was heard for so long, in milliseconds.
    Silence(u64),
    /// So many turns of the user.
    Turns(u32),
    /// These keys were pressed.
    Digits(String),
    /// The business rule at this position, from 0, was triggered.
    Rule(u32),
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Intent(name) => write!(f, "intent {name}"),
            Self::ToolResult { tool, condition } => write!(f, "result of {tool}: {condition}"),
            Self::Event { name, seq } => write!(f, "event {name} (number {seq})"),
            Self::UserInput(condition) => write!(f, "the user's words {condition}"),
            Self::Decision { key, value } => write!(f, "decision {key}: {value}"),
            Self::Timer(ms) => write!(f, "{ms} ms as the current agent"),
            Self::Silence(ms) => write!(f, "{ms} ms of silence"),
            Self::Turns(1) => f.write_str("one turn"),
            Self::Turns(count) => write!(f, "{count} turns"),
            Self::Digits(digits) => write!(f, "keys {digits}"),
            Self::Rule(at) => write!(f, "rule {at}"),
        }
    }
}

impl Condition {
    /// Whether it is a set of business rules, which are tried before all others.
    #[must_use]
    pub const fn is_rules(&self) -> bool {
        matches!(self, Self::Rules(_))
    }

    /// Whether it may be fulfilled without anything happening: by time alone.
    #[must_use]
    pub const fn is_timed(&self) -> bool {
        matches!(self, Self::Timer(_) | Self::Silence(_))
    }

    /// Whether it waits for this event.
    #[must_use]
    pub fn awaits(&self, event: EventName) -> bool {
        matches!(self, Self::Event { name, .. } if *name == event)
    }

    /// Whether an occasion fulfils it, and why. Those that look at what lasts are not asked here.
    #[must_use]
    pub fn fulfilled(&self, occasion: &Occasion) -> Option<Cause> {
        match (self, occasion) {
            (Self::Intent(wanted), Occasion::Intent(name)) if wanted == name => {
                Some(Cause::Intent(name.clone()))
            }
            (Self::UserInput(words), Occasion::Words(text)) => words.fit(text),
            (
                Self::ToolResult { .. },
                Occasion::ToolResult { tool, outcome: Outcome::Done(result) },
            ) => self.fulfilled_by(tool, &result.0).map(|_| self.of_result()),
            (
                Self::Decision { key, value },
                Occasion::Decision { key: decided, value: Json(found) },
            ) if key == decided && equal(found, value) => {
                Some(Cause::Decision { key: key.clone(), value: found.to_string() })
            }
            (
                Self::Event { name, data },
                Occasion::Event { name: happened, seq, data: Json(Value::Object(holds)) },
            ) if name == happened && is_part(data, holds) => {
                Some(Cause::Event { name: name.to_string(), seq: *seq })
            }
            _ => None,
        }
    }

    /// What a tool's value has at the path that is looked at, if that fulfils the condition.
    #[must_use]
    pub fn fulfilled_by<'v>(&self, tool: &str, value: &'v Value) -> Option<&'v Value> {
        let Self::ToolResult { tool: wanted, key, operator, value: compared } = self else {
            return None;
        };
        let found = at_path(value, key).filter(|_| wanted == tool)?;
        compare(found, *operator, compared).then_some(found)
    }

    /// Whether it may be what this cause tells of.
    #[must_use]
    pub fn is_cause(&self, cause: &Cause) -> bool {
        match (self, cause) {
            (Self::Intent(wanted), Cause::Intent(name)) => wanted == name,
            (Self::ToolResult { .. }, Cause::ToolResult { .. }) => self.of_result() == *cause,
            (Self::Event { name, .. }, Cause::Event { name: happened, .. }) => {
                name.as_str() == happened
            }
            (Self::UserInput(words), Cause::UserInput(condition)) => words.told() == *condition,
            (Self::Decision { key, .. }, Cause::Decision { key: decided, .. }) => key == decided,
            (Self::Digits(digits), Cause::Digits(pressed)) => digits == pressed,
            (Self::Timer(_), Cause::Timer(_))
            | (Self::Silence(_), Cause::Silence(_))
            | (Self::Turns { .. }, Cause::Turns(_)) => true,
            _ => self.is_rules() && matches!(cause, Cause::Rule(_)),
        }
    }

    /// When it fires, in a few words that a person understands without the configuration.
    #[must_use]
    pub fn words(&self, len: TickLen) -> String {
        match self {
            Self::Intent(name) => format!("intent {name}"),
            Self::ToolResult { tool, key, operator, value } => {
                let what = if key.is_empty() { "result" } else { key };
                format!("{what} of {tool} {} {value}", operator.words())
            }
            Self::Event { name, data } => {
                let parts = data.iter().map(|(key, value)| format!(" {key} {value}"));
                let parts: Vec<String> = parts.collect();
                let with = if parts.is_empty() { "" } else { " with" };
                format!("event {name}{with}{}", parts.join(" and"))
            }
            Self::UserInput(Words::Contain(part)) => format!("user says “{part}”"),
            Self::UserInput(Words::Match(pattern)) => format!("user’s words match {pattern}"),
            Self::Decision { key, value } => match value {
                Value::String(to) if key == "transition_to" => format!("decides for {to}"),
                value => format!("decides {key} is {value}"),
            },
            Self::Timer(ticks) => format!("{} with the call", lasting(len.span_ms(*ticks))),
            Self::Silence(ticks) => format!("{} of silence", lasting(len.span_ms(*ticks))),
            Self::Turns { of, at_least } => {
                let plural = if *at_least == 1 { "" } else { "s" };
                let all = if *of == TurnsOf::Call { " of the call" } else { "" };
                format!("after {at_least} turn{plural}{all}")
            }
            Self::Digits(digits) => format!("keys {digits}"),
            Self::Rules(rules) => match rules.set.rules().len() {
                1 => "a business rule".to_owned(),
                count => format!("{count} business rules"),
            },
            Self::Never => "never".to_owned(),
        }
    }

    fn of_result(&self) -> Cause {
        let (tool, condition) = match self {
            Self::ToolResult { tool, key, operator, value } => {
                (tool.clone(), format!("{key} {} {value}", name_of(*operator)))
            }
            _ => Default::default(),
        };
        Cause::ToolResult { tool, condition }
    }
}

impl Words {
    fn fit(&self, text: &str) -> Option<Cause> {
        let fits = match self {
            Self::Contain(part) => text.to_lowercase().contains(part),
            Self::Match(pattern) => pattern.is_match(text),
        };
        fits.then(|| Cause::UserInput(self.told()))
    }

    fn told(&self) -> String {
        match self {
            Self::Contain(part) => format!("contain \"{part}\""),
            Self::Match(pattern) => format!("match /{pattern}/"),
        }
    }
}

/// Whether all that is in `part` is in `whole` as well, as deep as it goes. Lists are equal or not.
#[must_use]
pub fn is_part(part: &Map<String, Value>, whole: &Map<String, Value>) -> bool {
    part.iter().all(|(key, wanted)| match (wanted, whole.get(key)) {
        (Value::Object(part), Some(Value::Object(whole))) => is_part(part, whole),
        (wanted, Some(found)) => equal(found, wanted),
        (_, None) => false,
    })
}

/// A comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// Equal.
    #[default]
    Eq,
    /// Not equal.
    Neq,
    /// Greater than; numbers only.
    Gt,
    /// Less than; numbers only.
    Lt,
    /// Greater than or equal; numbers only.
    Gte,
    /// Less than or equal; numbers only.
    Lte,
    /// A text contains the text, or a list the value.
    Contains,
    /// The contrary of `contains`.
    NotContains,
}

impl Operator {
    /// How it is said between what is compared.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Eq => "is",
            Self::Neq => "is not",
            Self::Gt => "is greater than",
            Self::Lt => "is less than",
            Self::Gte => "is at least",
            Self::Lte => "is at most",
            Self::Contains => "contains",
            Self::NotContains => "does not contain",
        }
    }
}

/// A length of time in the largest unit that tells it without a fraction.
fn lasting(ms: u64) -> String {
    match ms {
        ms if ms > 0 && ms.is_multiple_of(60_000) => format!("{} min", ms / 60_000),
        ms if ms.is_multiple_of(1_000) => format!("{} s", ms / 1_000),
        ms => format!("{ms} ms"),
    }
}

/// The value at a path of keys (or list positions) joined by dots; the whole for an empty path.
#[must_use]
pub fn at_path<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').filter(|key| !key.is_empty()).try_fold(value, |value, key| match value {
        Value::Object(map) => map.get(key),
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Compares as the operator says; values of types that it cannot compare do not match.
fn compare(found: &Value, operator: Operator, wanted: &Value) -> bool {
    let numbers = || Some((found.as_f64()?, wanted.as_f64()?));
    let contains = || match (found, wanted) {
        (Value::String(text), Value::String(part)) => Some(text.contains(part.as_str())),
        (Value::Array(list), item) => Some(list.iter().any(|one| equal(one, item))),
        _ => None,
    };
    match operator {
        Operator::Eq => equal(found, wanted),
        Operator::Neq => !equal(found, wanted),
        Operator::Gt => numbers().is_some_and(|(a, b)| a > b),
        Operator::Lt => numbers().is_some_and(|(a, b)| a < b),
        Operator::Gte => numbers().is_some_and(|(a, b)| a >= b),
        Operator::Lte => numbers().is_some_and(|(a, b)| a <= b),
        Operator::Contains => contains() == Some(true),
        Operator::NotContains => contains() == Some(false),
    }
}

/// Equal as JSON, with numbers compared by value: 1 equals 1.0, and the numbers of two orders that differ
/// by one are different, however long they are.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            // Whole numbers are what they are.
            if a == b || !(a.is_f64() || b.is_f64()) {
                return a == b;
            }
            let near = |a: f64, b: f64| (a - b).abs() <= f64::EPSILON * a.abs().max(b.abs());
            a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| near(a, b))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same = |(key, a): (&String, &Value)| b.get(key).is_some_and(|b| equal(a, b));
            a.len() == b.len() && a.iter().all(same)
        }
        _ => a == b,
    }
}

const fn name_of(operator: Operator) -> &'static str {
    match operator {
        Operator::Eq => "eq",
        Operator::Neq => "neq",
        Operator::Gt => "gt",
        Operator::Lt => "lt",
        Operator::Gte => "gte",
        Operator::Lte => "lte",
        Operator::Contains => "contains",
        Operator::NotContains => "not_contains",
    }
}
