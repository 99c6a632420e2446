//! The agent graph: who may hand over to whom, and why.
//!
//! Agents are nodes; a [`Transition`] is an edge with a [`Condition`]. [`route()`] is asked once a tick,
//! with what has happened since it was asked last, and answers with at most one move; the session makes
//! it effective at the next tick. Two transitions between the same pair both live.
//!
//! | module | what it holds |
//! |---|---|
//! | [`event`] | the names of what happens |
//! | [`condition`] | when a transition fires |
//! | [`facts`] | what is known, by whom, and what goes along |
//! | [`route`](mod@route) | the choice of at most one move |
//! | [`rules`] | business rules |
//! | [`topology`] | links between agents, as people write them, and policies |
//! | [`verb`] | the built-in tools: end, transfer, hold, hand over … |
//!
//! **Invariant:** an edge's ends exist: a graph with a dangling edge cannot be built.

pub mod condition;
pub mod event;
pub mod facts;
pub mod route;
pub mod rules;
pub mod topology;
pub mod verb;

use std::collections::BTreeSet;

pub use condition::{Cause, Condition, Occasion, Rules, at_path};
pub use facts::Carry;
pub use route::{Move, Situation, route};

use crate::id::AgentId;
use crate::talk::template::Template;

/// Agents and the transitions between them.
#[derive(Debug, Clone, Default)]
pub struct AgentGraph {
    agents: usize,
    /// By the agent that hands over, and in the order in which they are tried.
    transitions: Vec<Transition>,
    /// Where an agent's transitions begin; one more than there are agents.
    starts: Vec<u32>,
    /// Who may call whom, and is returned to.
    calls: BTreeSet<(AgentId, AgentId)>,
}

/// A hand-over that may happen.
#[derive(Debug, Clone)]
pub struct Transition {
    /// Its position in the configuration: its id, and the tie-breaker.
    pub id: u32,
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
    /// Said by the agent that takes over, instead of its arrival.
    pub arrival: Option<Template>,
    /// What goes along.
    pub carry: Carry,
    /// What becomes of the outcomes that the agent awaits.
    pub results: Results,
}

impl Transition {
    /// A transition of the priority 0, at which nothing is said and everything goes along.
    #[must_use]
    pub fn new(id: u32, from: AgentId, to: AgentId, condition: Condition) -> Self {
        Self {
            id,
            from,
            to,
            condition,
            priority: 0,
            say: None,
            arrival: None,
            carry: Carry::default(),
            results: Results::default(),
        }
    }

    /// The order in which transitions of an agent are tried: rules first, then by descending priority,
    /// then as listed.
    fn order(&self) -> (AgentId, bool, std::cmp::Reverse<i32>, u32) {
        (self.from, !self.condition.is_rules(), std::cmp::Reverse(self.priority), self.id)
    }
}

/// What becomes of the outcomes of tools that an agent awaits when it hands over.
#[derive(
    Debug,
    Default,
    Clone,
    Copy,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Results {
    /// They are told when they are there, in the words of the agent that asked, and move nobody on.
    #[default]
    Tell,
    /// They are told, and may move on whoever is current.
    Follow,
    /// They wait until the agent that asked is current again.
    Stay,
    /// Nobody is told: `tool.orphaned` says so.
    Drop,
}

/// An edge of the graph that leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dangling {
    /// The transition.
    pub transition: u32,
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
        transitions.sort_by_key(Transition::order);
        let mut starts = vec![0; agents + 1];
        for transition in &transitions {
            starts[usize::from(transition.from.0) + 1] += 1;
        }
        for at in 0..agents {
            starts[at + 1] += starts[at];
        }
        Ok(Self { agents, transitions, starts, calls: BTreeSet::new() })
    }

    /// The same graph, in which the first of each pair may call the second, and is returned to.
    #[must_use]
    pub fn with_calls(mut self, calls: impl IntoIterator<Item = (AgentId, AgentId)>) -> Self {
        self.calls = calls.into_iter().collect();
        self
    }

    /// How many agents there are.
    #[must_use]
    pub const fn agents(&self) -> usize {
        self.agents
    }

    /// All transitions, by the agent that hands over and then in the order in which they are tried.
    #[must_use]
    pub fn transitions(&self) -> &[Transition] {
        &self.transitions
    }

    /// The transitions of an agent, in the order in which they are tried.
    #[must_use]
    pub fn leaving(&self, from: AgentId) -> &[Transition] {
        let at = usize::from(from.0);
        match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(start), Some(end)) => &self.transitions[*start as usize..*end as usize],
            _ => &[],
        }
    }

    /// The transition of this id.
    #[must_use]
    pub fn transition(&self, id: u32) -> Option<&Transition> {
        self.transitions.iter().find(|transition| transition.id == id)
    }

    /// Whether a transition of an agent may be fulfilled now: something has happened, or one waits for
    /// time to pass, or there are rules, which are looked at once a second in any case.
    #[must_use]
    pub fn is_asked(&self, at: AgentId, happened: bool, second: bool) -> bool {
        let due = |c: &Condition| happened || c.is_timed() || (second && c.is_rules());
        self.leaving(at).iter().any(|transition| due(&transition.condition))
    }

    /// Gives a transition these rules instead of its condition; those that it had are replaced.
    ///
    /// # Errors
    /// There is no such transition.
    pub fn attach_rules(&mut self, transition: u32, rules: Rules) -> Result<(), Dangling> {
        let known = self.transitions.iter_mut().find(|known| known.id == transition);
        let known = known.ok_or(Dangling { transition })?;
        known.condition = Condition::Rules(rules);
        // Within the agent's own transitions: rules go first.
        self.transitions.sort_by_key(Transition::order);
        Ok(())
    }

    /// The rules of a transition.
    #[must_use]
    pub fn rules(&self, transition: u32) -> Option<&Rules> {
        match &self.transition(transition)?.condition {
            Condition::Rules(rules) => Some(rules),
            _ => None,
        }
    }

    /// Takes the rules of a transition away, which never fires from then on; false if it had none.
    pub fn detach_rules(&mut self, transition: u32) -> bool {
        let known = self.transitions.iter_mut().find(|known| known.id == transition);
        let Some(known) = known.filter(|known| known.condition.is_rules()) else { return false };
        known.condition = Condition::Never;
        self.transitions.sort_by_key(Transition::order);
        true
    }

    /// Whether `from` may call `to`, and is returned to.
    #[must_use]
    pub fn may_call(&self, from: AgentId, to: AgentId) -> bool {
        self.calls.contains(&(from, to))
    }

    /// Who may call whom.
    pub fn calls(&self) -> impl Iterator<Item = (AgentId, AgentId)> {
        self.calls.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Tick;
    use crate::graph::condition::Operator;
    use crate::graph::rules::RuleSet;
    use crate::tool::{Json, Outcome};

    fn edge(id: u32, to: u16, condition: Condition, priority: i32) -> Transition {
        Transition { priority, ..Transition::new(id, AgentId(0), AgentId(to), condition) }
    }

    fn intent(name: &str) -> Condition {
        Condition::Intent(name.into())
    }

    fn taken(graph: &AgentGraph, at: u16, occasions: &[Occasion]) -> Option<u32> {
        let situation = Situation { occasions, ..Situation::at(Tick(0)) };
        route(graph, AgentId(at), &situation, &mut Vec::new()).map(|taken| taken.transition.id)
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
        assert_eq!(taken(&graph, 0, &both), Some(1));
        assert_eq!(taken(&graph, 0, &both[..1]), Some(0));
        assert_eq!(taken(&graph, 1, &both), None, "nothing leaves agent 1");
    }

    #[test]
    fn parallel_transitions_both_live() {
        let edges = vec![edge(0, 1, intent("a"), 0), edge(1, 1, intent("b"), 0)];
        let graph = AgentGraph::new(2, edges).unwrap();
        assert_eq!(graph.leaving(AgentId(0)).len(), 2);
        assert_eq!(taken(&graph, 0, &[Occasion::Intent("a".into())]), Some(0));
        assert_eq!(taken(&graph, 0, &[Occasion::Intent("b".into())]), Some(1));
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
            assert_eq!(taken(&graph, 0, &[occasion]).is_some(), expected, "{condition:?}");
        };
        check("a.n", Operator::Eq, json!(3.0), true);
        check("a.n", Operator::Neq, json!(4), true);
        check("a.n", Operator::Neq, json!(3.0), false);
        check("a.n", Operator::Gt, json!(2), true);
        check("a.n", Operator::Gt, json!(3), false);
        check("a.n", Operator::Lt, json!(4), true);
        check("a.n", Operator::Lt, json!(3), false);
        check("a.n", Operator::Lt, json!("4"), false);
        check("a.l.0", Operator::Eq, json!("x"), true);
        check("a.l", Operator::Contains, json!("x"), true);
        check("s", Operator::Contains, json!("ex"), true);
        check("s", Operator::NotContains, json!("ex"), false);
        check("s", Operator::NotContains, json!("q"), true);
        check("a.n", Operator::NotContains, json!("q"), false);
        check("missing", Operator::Neq, json!(1), false);
        check("b", Operator::Eq, Value::Null, true);
    }

    #[test]
    fn rules_are_attached_read_replaced_and_taken_away() {
        let rules = |word: &str| {
            let set = json!([{
                "conditions": { "all": [{ "name": "current_agent_name", "operator": "equal_to", "value": word }] },
                "actions": [{ "name": "transition_to_agent", "params": { "agent_id": "b" } }],
            }]);
            Rules::new(RuleSet::new(&set).unwrap(), &|_| Some(AgentId(1))).unwrap()
        };
        let edges = vec![edge(0, 1, intent("a"), 0), edge(7, 1, Condition::Never, 0)];
        let mut graph = AgentGraph::new(2, edges).unwrap();
        let happened = [Occasion::Change];
        assert!(graph.attach_rules(3, rules("")).is_err());
        assert!(graph.rules(7).is_none() && !graph.detach_rules(7));
        graph.attach_rules(7, rules("never")).unwrap();
        assert_eq!(taken(&graph, 0, &happened), None);
        graph.attach_rules(7, rules("")).unwrap();
        assert_eq!(graph.rules(7).unwrap().set().rules().len(), 1, "replaced");
        assert_eq!(taken(&graph, 0, &happened), Some(7), "before all others");
        assert!(graph.detach_rules(7));
        assert_eq!(taken(&graph, 0, &happened), None);
        assert_eq!(taken(&graph, 0, &[Occasion::Intent("a".into())]), Some(0));
    }

    #[test]
    fn a_dangling_edge_is_refused() {
        let edges = vec![edge(4, 9, intent("a"), 0)];
        assert_eq!(AgentGraph::new(2, edges).unwrap_err(), Dangling { transition: 4 });
    }
}
