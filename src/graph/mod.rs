//! The agent graph: who may hand over to whom, and why.
//!
//! Agents are nodes; a [`Transition`] is an edge with a condition. [`route`] is asked once a tick, with
//! what happened in it, and answers with at most one move; the session makes it effective at the next
//! tick. Two transitions between the same pair both live.
//!
//! **Invariant:** an edge's ends exist: a graph with a dangling edge cannot be built.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::AgentId;
use crate::talk::template::Template;
use crate::tool::Outcome;

pub mod condition;
pub mod rules;
pub mod topology;

pub use condition::at_path;
use condition::{Operator, compare, name_of};

/// Agents and the transitions between them.
#[derive(Debug, Clone, Default)]
pub struct AgentGraph {
    agents: usize,
    /// By descending priority, then in listed order.
    transitions: Vec<Transition>,
}

/// A hand-over that may happen.
#[derive(Debug, Clone)]
pub struct Transition {
    /// Its position in the configuration: its id, and the tie-breaker.
    pub id: u16,
    /// The agent that hands over.
    pub from: AgentId,
    /// The agent that takes over.
    pub to: AgentId,
    /// When.
    pub condition: Condition,
    /// The highest goes first.
    pub priority: i32,
    /// Said by the agent that hands over.
    pub say: Option<Template>,
}

/// When a transition fires.
#[derive(Debug, Clone, PartialEq)]
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
}

/// Something that happened in this tick, as conditions see it.
#[derive(Debug, Clone, PartialEq)]
pub enum Occasion {
    /// The current agent understood an intent.
    Intent(String),
    /// A tool's outcome reached the current agent.
    ToolResult {
        /// The tool.
        tool: String,
        /// Its outcome.
        outcome: Outcome,
    },
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
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Intent(name) => write!(f, "intent {name}"),
            Self::ToolResult { tool, condition } => write!(f, "result of {tool}: {condition}"),
        }
    }
}

/// An edge of the graph that leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dangling {
    /// The transition.
    pub transition: u16,
}

impl AgentGraph {
    /// A graph of `agents` agents.
    ///
    /// # Errors
    /// The first transition with an end that is not among them.
    pub fn new(agents: usize, mut transitions: Vec<Transition>) -> Result<Self, Dangling> {
        let inside = |id: AgentId| usize::from(id.0) < agents;
        if let Some(bad) = transitions.iter().find(|t| !inside(t.from) || !inside(t.to)) {
            return Err(Dangling { transition: bad.id });
        }
        transitions.sort_by_key(|t| (std::cmp::Reverse(t.priority), t.id));
        Ok(Self { agents, transitions })
    }

    /// How many agents there are.
    #[must_use]
    pub const fn agents(&self) -> usize {
        self.agents
    }

    /// All transitions, in the order in which they are tried.
    #[must_use]
    pub fn transitions(&self) -> &[Transition] {
        &self.transitions
    }
}

/// The transition to take from `at`, given what happened in this tick, and why: the first, in order
/// of priority, whose condition any occasion fulfils.
#[must_use]
pub fn route<'g>(
    graph: &'g AgentGraph,
    at: AgentId,
    occasions: &[Occasion],
) -> Option<(&'g Transition, Cause)> {
    let leaving = graph.transitions.iter().filter(|t| t.from == at);
    leaving.into_iter().find_map(|transition| {
        let cause = occasions.iter().find_map(|occasion| fires(&transition.condition, occasion))?;
        Some((transition, cause))
    })
}

fn fires(condition: &Condition, occasion: &Occasion) -> Option<Cause> {
    let fits = match (condition, occasion) {
        (Condition::Intent(wanted), Occasion::Intent(name)) => wanted == name,
        (_, Occasion::ToolResult { tool, outcome: Outcome::Done(result) }) => {
            condition.fulfilled_by(tool, &result.0).is_some()
        }
        (Condition::Intent(_) | Condition::ToolResult { .. }, _) => false,
    };
    fits.then(|| condition.cause())
}

impl Condition {
    /// What a tool's value has at the path that is looked at, if that fulfils the condition.
    #[must_use]
    pub fn fulfilled_by<'v>(&self, tool: &str, value: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Intent(_) => None,
            Self::ToolResult { tool: wanted, key, operator, value: compared } => {
                let found = at_path(value, key).filter(|_| wanted == tool)?;
                compare(found, *operator, compared).then_some(found)
            }
        }
    }

    /// Why a transition with it has fired.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Intent(name) => Cause::Intent(name.clone()),
            Self::ToolResult { tool, key, operator, value } => Cause::ToolResult {
                tool: tool.clone(),
                condition: format!("{key} {} {value}", name_of(*operator)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tool::Json;

    fn edge(id: u16, to: u16, condition: Condition, priority: i32) -> Transition {
        Transition { id, from: AgentId(0), to: AgentId(to), condition, priority, say: None }
    }

    fn intent(name: &str) -> Condition {
        Condition::Intent(name.into())
    }

    #[test]
    fn priority_then_listed_order() {
        let edges = vec![
            edge(0, 1, intent("a"), 0),
            edge(1, 1, intent("b"), 5),
            edge(2, 2, intent("b"), 5),
        ];
        let graph = AgentGraph::new(3, edges).unwrap();
        let both = [Occasion::Intent("a".into()), Occasion::Intent("b".into())];
        assert_eq!(route(&graph, AgentId(0), &both).unwrap().0.id, 1);
        assert_eq!(route(&graph, AgentId(0), &both[..1]).unwrap().0.id, 0);
        assert!(route(&graph, AgentId(1), &both).is_none(), "nothing leaves agent 1");
    }

    #[test]
    fn results_are_compared_by_path() {
        let check = |key: &str, operator, value: Value, expected: bool| {
            let condition =
                Condition::ToolResult { tool: "t".into(), key: key.into(), operator, value };
            let graph = AgentGraph::new(2, vec![edge(0, 1, condition.clone(), 0)]).unwrap();
            let result = json!({ "a": { "n": 3, "l": ["x"] }, "s": "text", "b": null });
            let outcome = Outcome::Done(Json(result));
            let occasion = Occasion::ToolResult { tool: "t".into(), outcome };
            assert_eq!(route(&graph, AgentId(0), &[occasion]).is_some(), expected, "{condition:?}");
        };
        check("a.n", Operator::Eq, json!(3.0), true);
        check("a.n", Operator::Gt, json!(2), true);
        check("a.n", Operator::Lt, json!("4"), false);
        check("a.l.0", Operator::Eq, json!("x"), true);
        check("a.l", Operator::Contains, json!("x"), true);
        check("s", Operator::NotContains, json!("q"), true);
        check("a.n", Operator::NotContains, json!("q"), false);
        check("missing", Operator::Neq, json!(1), false);
        check("b", Operator::Eq, Value::Null, true);
    }

    #[test]
    fn a_dangling_edge_is_refused() {
        let edges = vec![edge(4, 9, intent("a"), 0)];
        assert_eq!(AgentGraph::new(2, edges).unwrap_err(), Dangling { transition: 4 });
    }
}
