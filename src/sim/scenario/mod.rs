//! Scenarios: a call in virtual time, and whether it went as expected.
//!
//! A [`Watch`] looks on, tick by tick, and keeps what happened in each *turn*: from one cue of the caller to
//! the next. [`judge`](judge::judge) compares the turns with what a [scenario](crate::config::scenario)
//! expects, and [`told`] says in words where they differ. [`mocks`] answer for tools, and a
//! [`Draft`](draft::Draft) makes a scenario of a call that was held.
//!
//! **Invariant:** only what happened is judged: equal events give equal verdicts.

pub mod draft;
pub mod judge;
pub mod mocks;
pub mod told;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::clock::Tick;
use crate::session::Session;
use crate::session::event::Event;
use crate::session::output::Output;
use crate::session::plan::Plan;
use crate::sim::caller::Progress;

/// What happened from one cue to the next.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Turn {
    /// The tick in which the cue began, or the call.
    pub begun: Tick,
    /// The tick in which the cue was over.
    pub over: Option<Tick>,
    /// The last tick of the turn.
    pub last: Tick,
    /// What happened.
    pub events: Vec<Event>,
    /// The current agent at the end.
    pub agent: String,
    /// What is known at the end, by any agent.
    pub facts: BTreeMap<String, Value>,
}

/// Looks on at a call of one caller.
#[derive(Debug)]
pub struct Watch {
    progress: Arc<Progress>,
    /// The first is the opening, before any cue.
    turns: Vec<Turn>,
}

impl Watch {
    /// Looks on at the call of a caller that tells how far it has come.
    #[must_use]
    pub fn new(progress: Arc<Progress>) -> Self {
        Self { progress, turns: vec![Turn::default()] }
    }

    /// Takes what came of a tick.
    pub fn tick(&mut self, now: Tick, plan: &Plan, session: &Session, out: &Output) {
        let known = |turn: &mut Turn| {
            turn.agent.clone_from(&plan.agent(session.agent()).name);
            let facts = session.facts().iter();
            turn.facts =
                facts.map(|(name, fact)| (name.to_owned(), fact.value.0.clone())).collect();
        };
        while self.turns.len() <= self.progress.begun() {
            // What was known before is what the turn begins with.
            let before = self.turns.last().cloned().unwrap_or_default();
            let Turn { agent, facts, .. } = before;
            self.turns.push(Turn { begun: now, agent, facts, ..Turn::default() });
        }
        let over = self.progress.over();
        for turn in self.turns.iter_mut().skip(1).take(over) {
            turn.over.get_or_insert(now);
        }
        let Some(turn) = self.turns.last_mut() else { return };
        turn.last = now;
        if !out.events.is_empty() {
            known(turn);
            turn.events.extend(out.events.iter().cloned());
        }
    }

    /// The turns so far: before the first cue, and from each cue on.
    #[must_use]
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }
}
