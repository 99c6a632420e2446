//! The agents of a call as a picture: who may hand over to whom, and what causes it.
//!
//! A [`Picture`] is what is drawn: agents, and ways between them, each with the words that stand beside it.
//! It is written as Mermaid or as dot, for other programs to draw, or as an SVG that is complete in itself.
//! In an SVG a [`Trail`] can stand out: where a call went, step by step.
//!
//! Transitions between the same two agents that wait for the same kind of thing share one line, with the words
//! of each; of different kinds, they have a line each. None is left out.
//!
//! **Invariant:** texts stay texts in whatever is written, and equal pictures are written alike.

mod dot;
mod layout;
mod mermaid;
mod order;
mod place;
mod svg;
mod text;
mod words;

use std::fmt;

use crate::config::Agent as Configured;
use crate::graph::{Condition, Transition};
use crate::id::AgentId;
use crate::session::plan::Plan;

pub use svg::CSS;

/// The most agents of an SVG: beyond, nobody finds a way through it.
pub const AGENTS_MAX: usize = 100;

/// The most ways of an SVG.
pub const EDGES_MAX: usize = 400;

/// Agents, and the ways between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    name: String,
    agents: Vec<Agent>,
    edges: Vec<Edge>,
}

/// An agent of a picture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// The call begins with it.
    pub starts: bool,
    /// It may end the call.
    pub ends: bool,
}

/// A way from one agent to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The agent that hands over or calls, by its position in the picture.
    pub from: usize,
    /// The other one.
    pub to: usize,
    /// What it is.
    pub kind: EdgeKind,
    /// What causes it, one text for each transition.
    pub labels: Vec<String>,
    /// The transitions that it stands for, by their ids; none for a call.
    pub transitions: Vec<u32>,
}

/// What a way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeKind {
    /// The call is handed over.
    HandOver,
    /// The other agent is called, and returns; drawn dashed.
    Call,
}

/// Where a call went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trail {
    /// The agents that had the call, by their positions in the picture.
    pub visited: Vec<usize>,
    /// The ways taken, by their positions in the picture and in their order; step 1 is the first. None is a
    /// step that the picture has no way for.
    pub steps: Vec<Option<usize>>,
}

/// A picture that would be too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge {
    /// How many agents it has.
    pub agents: usize,
    /// How many ways it has.
    pub edges: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { agents, edges } = self;
        write!(
            f,
            "{agents} agents and {edges} ways between them are too much for an SVG, which takes {AGENTS_MAX} \
             and {EDGES_MAX}; write dot or mermaid instead"
        )
    }
}

impl std::error::Error for TooLarge {}

impl Picture {
    /// A picture of these agents. None if a way leads from or to an agent that is not among them.
    #[must_use]
    pub fn new(name: &str, agents: Vec<Agent>, edges: Vec<Edge>) -> Option<Self> {
        let inside = |edge: &Edge| edge.from.max(edge.to) < agents.len();
        edges.iter().all(inside).then(|| Self { name: name.to_owned(), agents, edges })
    }

    /// The picture of a plan: the agents of the conversation that was picked.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let ids = (0..plan.agents.len()).map(|at| AgentId(at as u16));
        let part = |id: &AgentId| plan.agent_id(&plan.agent(*id).name) == Some(*id);
        let ids: Vec<AgentId> = ids.filter(part).collect();
        let place = |id: AgentId| ids.iter().position(|known| *known == id);
        let agents = ids.iter().map(|&id| {
            let name = plan.agent(id).name.clone();
            Agent { starts: id == plan.start, ends: may_end(plan, &name), name }
        });
        let mut groups: Vec<(Edge, &Condition)> = Vec::new();
        for transition in in_order(plan) {
            for target in targets(transition) {
                let (Some(from), Some(to)) = (place(transition.from), place(target)) else {
                    continue;
                };
                let words = transition.condition.words(plan.len);
                let group = groups.iter_mut().find(|(edge, condition)| {
                    (edge.from, edge.to) == (from, to) && is_like(condition, &transition.condition)
                });
                if let Some((edge, _)) = group {
                    edge.labels.push(words);
                    edge.transitions.push(transition.id);
                } else {
                    let (labels, transitions) = (vec![words], vec![transition.id]);
                    let kind = EdgeKind::HandOver;
                    let edge = Edge { from, to, kind, labels, transitions };
                    groups.push((edge, &transition.condition));
                }
            }
        }
        let calls = plan.graph.calls().filter_map(|(from, to)| {
            let (from, to) = (place(from)?, place(to)?);
            let labels = vec!["calls".to_owned()];
            Some(Edge { from, to, kind: EdgeKind::Call, labels, transitions: Vec::new() })
        });
        let edges = groups.into_iter().map(|(edge, _)| edge).chain(calls).collect();
        Self { name: plan.conversation.clone(), agents: agents.collect(), edges }
    }

    /// What it is a picture of.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The agents.
    #[must_use]
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }

    /// The ways between them.
    #[must_use]
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// As a flowchart of Mermaid.
    #[must_use]
    pub fn mermaid(&self) -> String {
        mermaid::written(self)
    }

    /// As a graph of dot, Graphviz's language.
    #[must_use]
    pub fn dot(&self) -> String {
        dot::written(self)
    }

    /// As an SVG that is complete in itself: a document.
    ///
    /// # Errors
    /// It has more than [`AGENTS_MAX`] agents or [`EDGES_MAX`] ways.
    pub fn svg(&self) -> Result<String, TooLarge> {
        self.fits()?;
        Ok(svg::document(self))
    }

    /// As an SVG element for a page that has [`CSS`] in its style, in which a trail stands out.
    ///
    /// # Errors
    /// It has more than [`AGENTS_MAX`] agents or [`EDGES_MAX`] ways.
    pub fn svg_of_trail(&self, trail: &Trail) -> Result<String, TooLarge> {
        self.fits()?;
        Ok(svg::element(self, trail))
    }

    const fn fits(&self) -> Result<(), TooLarge> {
        let (agents, edges) = (self.agents.len(), self.edges.len());
        if agents > AGENTS_MAX || edges > EDGES_MAX {
            return Err(TooLarge { agents, edges });
        }
        Ok(())
    }

    /// The words beside a way, each once and on a line of its own, with how many transitions have them if
    /// several do.
    fn labels(edge: &Edge) -> Vec<String> {
        let mut counted: Vec<(String, usize)> = Vec::new();
        for label in &edge.labels {
            let label = text::plain(label);
            match counted.iter_mut().find(|(known, _)| *known == label) {
                Some((_, count)) => *count += 1,
                None => counted.push((label, 1)),
            }
        }
        let told = |(at, (label, count)): (usize, (String, usize))| {
            let or = if at == 0 { "" } else { "or " };
            if count == 1 { format!("{or}{label}") } else { format!("{or}{label} (×{count})") }
        };
        counted.into_iter().enumerate().map(told).collect()
    }

    /// What is to be said of an agent, in a few words.
    const fn caption(agent: &Agent) -> &'static str {
        match (agent.starts, agent.ends) {
            (true, true) => "begins, may end the call",
            (true, false) => "begins the call",
            (false, true) => "may end the call",
            (false, false) => "",
        }
    }
}

/// The transitions as the configuration lists them.
fn in_order(plan: &Plan) -> Vec<&Transition> {
    let mut all: Vec<&Transition> = plan.graph.transitions().iter().collect();
    all.sort_by_key(|transition| transition.id);
    all
}

/// The agents that a transition leads to: rules may lead elsewhere.
fn targets(transition: &Transition) -> Vec<AgentId> {
    let mut targets = vec![transition.to];
    if let Condition::Rules(rules) = &transition.condition {
        for target in rules.targets() {
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
    }
    targets
}

/// Whether two conditions wait for the same kind of thing.
fn is_like(a: &Condition, b: &Condition) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// Whether an intent of an agent ends the call.
fn may_end(plan: &Plan, name: &str) -> bool {
    match plan.config.agents.get(name) {
        Some(Configured::Scripted(scripted)) => scripted.intents.iter().any(|intent| {
            let verb = crate::graph::verb::Verb::EndCall.name();
            intent.end_call || intent.call.as_ref().is_some_and(|call| call.tool == verb)
        }),
        Some(agent @ (Configured::Model(_) | Configured::Native(_))) => {
            agent.tools().iter().any(|tool| tool == crate::graph::verb::Verb::EndCall.name())
        }
        Some(Configured::Echo(_)) | None => false,
    }
}
