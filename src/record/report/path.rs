//! The call's path through the graph of its agents: a picture in which it stands out, and a list of its steps.
//!
//! **Invariant:** a number in the picture is that of a step in the list.

use std::collections::BTreeSet;

use serde::Serialize;

use super::kept::Kept;
use crate::clock::Tick;
use crate::graph::Cause;
use crate::record::drawing::{EdgeKind, Picture, Trail};
use crate::session::plan::Plan;

/// Steps that are told one by one: as many as hand-overs are.
const STEPS_MAX: usize = 1_000;

/// The path so far.
#[derive(Debug, Clone)]
pub(super) struct Path {
    steps: Kept<Step>,
    /// The agents that had the call: no more than the plan has.
    visited: BTreeSet<String>,
}

/// From one agent to another one.
#[derive(Debug, Clone)]
struct Step {
    at: Tick,
    from: String,
    to: String,
    how: How,
}

/// How an agent came to the call.
#[derive(Debug, Clone)]
pub(super) enum How {
    /// By this transition, for this cause.
    HandedOver(u32, Cause),
    /// The other one called it.
    Called,
    /// The other one returned to it.
    Returned,
}

/// A path as the page shows it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    /// The picture, which stands in the page already; or why there is none.
    #[serde(skip)]
    pub(super) svg: String,
    void: Option<String>,
    start: String,
    steps: Vec<ShownStep>,
}

#[derive(Debug, Serialize)]
struct ShownStep {
    at_ms: u64,
    from: String,
    to: String,
    cause: String,
}

impl Path {
    pub(super) const fn new() -> Self {
        Self { steps: Kept::new(STEPS_MAX), visited: BTreeSet::new() }
    }

    /// An agent has the call.
    pub(super) fn arrived(&mut self, agent: &str) {
        if !self.visited.contains(agent) {
            self.visited.insert(agent.to_owned());
        }
    }

    pub(super) fn step(&mut self, at: Tick, (from, to): (&str, &str), how: How) {
        self.steps.push(Step { at, from: from.to_owned(), to: to.to_owned(), how });
    }

    /// Steps that are not told.
    pub(super) const fn lost(&self) -> u64 {
        self.steps.lost()
    }

    /// The path through the graph of the plan; none if there is one agent and no way to go.
    pub(super) fn shown(&self, plan: &Plan) -> Option<Shown> {
        let picture = Picture::of(plan);
        if picture.agents().len() < 2 && picture.edges().is_empty() {
            return None;
        }
        let steps = self.steps.iter().map(|step| step.edge(&picture)).collect();
        let visited = picture.agents().iter().enumerate();
        let visited = visited.filter(|(_, agent)| self.visited.contains(&agent.name));
        let trail = Trail { visited: visited.map(|(at, _)| at).collect(), steps };
        let (svg, void) = match picture.svg_of_trail(&trail) {
            Ok(svg) => (svg, None),
            Err(large) => (String::new(), Some(large.to_string())),
        };
        let start = plan.agent(plan.start).name.clone();
        Some(Shown { svg, void, start, steps: self.steps.iter().map(|s| s.shown(plan)).collect() })
    }
}

impl Step {
    /// The way of the picture that was taken.
    fn edge(&self, picture: &Picture) -> Option<usize> {
        let place = |name: &str| picture.agents().iter().position(|agent| agent.name == name);
        let (from, to) = (place(&self.from)?, place(&self.to)?);
        let find = |kind, (from, to), transition: Option<u32>| {
            picture.edges().iter().position(|edge| {
                (edge.kind, edge.from, edge.to) == (kind, from, to)
                    && transition.is_none_or(|id| edge.transitions.contains(&id))
            })
        };
        match &self.how {
            How::HandedOver(id, _) => find(EdgeKind::HandOver, (from, to), Some(*id)),
            How::Called => find(EdgeKind::Call, (from, to), None),
            How::Returned => find(EdgeKind::Call, (to, from), None),
        }
    }

    fn shown(&self, plan: &Plan) -> ShownStep {
        let cause = match &self.how {
            How::HandedOver(_, cause @ Cause::Rule(_)) => format!("business {cause}"),
            How::HandedOver(id, cause) => match plan.graph.transition(*id) {
                Some(transition) => transition.condition.words(plan.len),
                None => cause.to_string(),
            },
            How::Called => "calls".to_owned(),
            How::Returned => "returns".to_owned(),
        };
        let (from, to) = (self.from.clone(), self.to.clone());
        ShownStep { at_ms: plan.len.start_ms(self.at), from, to, cause }
    }
}
