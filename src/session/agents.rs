//! The current agent: its arrival, what it has been given, and who waits for it to return.
//!
//! **Invariant:** one agent is current; it changes at the beginning of a tick, and an agent knows
//! nothing of what happened before it came but what it was given.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::event::EventKind;
use super::output::Output;
use super::plan::{AgentKind, Plan};
use super::{Life, Session};
use crate::clock::Tick;
use crate::graph::{Occasion, Results};
use crate::id::{AgentId, CallId};
use crate::think::echo::Echo;
use crate::think::script::Moment;
use crate::tool::{FailureKind, Json, Outcome};

/// So deep may agents call each other: one that is called may call another.
pub(super) const CALLERS_MAX: usize = 5;

/// The agent that takes over at the next tick, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Next {
    pub(super) to: AgentId,
    /// The facts that go along; none: all that the agent sees that hands over.
    pub(super) along: Option<Vec<String>>,
    /// A text that goes along as the fact `summary`.
    pub(super) summary: Option<String>,
    /// Whether what was said goes along.
    pub(super) history: bool,
    pub(super) results: Results,
    pub(super) arrival: Arrival,
    /// It is called, or returned to: nobody who waits for a value is affected.
    pub(super) by_call: bool,
}

impl Next {
    /// An agent that is called, or returned to: it knows what was said, and outcomes wait for who asked.
    fn by_call(to: AgentId, along: Option<Vec<String>>, arrival: Arrival) -> Self {
        let (summary, history, results) = (None, true, Results::Stay);
        Self { to, along, summary, history, results, arrival, by_call: true }
    }
}

/// What is said when an agent takes over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Arrival {
    /// Its own words.
    Own,
    /// These.
    Words(String),
    /// Nothing: it goes on with a value that it waited for.
    Return,
}

/// What has come since the current agent took over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tenure {
    pub(super) since: Tick,
    /// The first event that counts.
    pub(super) first: u64,
    /// From when on it knows what was said.
    pub(super) history: Tick,
    /// The same, as models are told it: the number of the first entry.
    pub(super) known: u64,
    pub(super) turns: u32,
    pub(super) digits: String,
    /// What the user said last.
    pub(super) input: Option<String>,
    /// The latest outcome that it was told.
    pub(super) result: Option<(String, Json)>,
    /// The same as text.
    pub(super) result_text: String,
    /// Transitions whose rules could not be evaluated.
    pub(super) failed: BTreeSet<u32>,
    /// What happened since the graph was asked last.
    pub(super) occurred: Vec<Occasion>,
}

/// What an agent begins with that waits for the last words of the conversation before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entering {
    moment: Option<Moment>,
    words: Option<String>,
}

/// An agent that has called another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Caller {
    pub(super) agent: AgentId,
    pub(super) call: CallId,
}

impl Session {
    /// The agent that takes over does so.
    pub(super) fn arrive(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let Some(next) = self.next.take() else { return };
        let Next { to, along, summary, history, results, arrival, by_call } = next;
        self.entering = None;
        self.leave_minds(plan, now, out);
        self.close_native(plan, now, out);
        let stopped = plan.agent(self.agent).name.clone();
        self.event(now, EventKind::AgentStopped { agent: stopped }, out);
        if !by_call {
            self.forget_callers(now, to, out);
        }
        self.facts.hand_over(to, along.as_deref());
        if let Some(summary) = summary {
            self.remember(plan, now, "summary", summary.into(), out);
        }
        let fates = self.pending.iter_mut().map(|pending| (&pending.asker, &mut pending.fate));
        let known = self.answered.iter_mut().map(|answered| (&answered.asker, &mut answered.fate));
        for (asker, fate) in fates.chain(known) {
            if asker.agent() == Some(self.agent) {
                *fate = results;
            }
        }
        let known = if history { self.tenure.known } else { self.dialogue.next() };
        let history = if history { self.tenure.history } else { now };
        self.took_over(plan, to);
        self.agent = to;
        self.refused.clear();
        self.tenure =
            Tenure { since: now, first: self.events, history, known, ..Tenure::default() };
        match arrival {
            // Who comes when the call is ending has nothing to say any more.
            _ if self.life != Life::Running => self.enter(plan, now, None, out),
            Arrival::Own => self.enter(plan, now, Some(Moment::Arrival), out),
            Arrival::Return => self.enter(plan, now, None, out),
            Arrival::Words(text) => {
                self.enter(plan, now, None, out);
                match &mut self.entering {
                    Some(entering) => entering.words = Some(text),
                    None => self.say(plan, now, text, out),
                }
            }
        }
    }

    /// The current agent begins: by greeting, by saying that it has taken over, or without a word.
    pub(super) fn enter(
        &mut self,
        plan: &Plan,
        now: Tick,
        moment: Option<Moment>,
        out: &mut Output,
    ) {
        let agent = plan.agent(self.agent);
        self.echo = match agent.kind {
            AgentKind::Echo { delay } => Some(Echo::new(delay, plan.samples())),
            AgentKind::Scripted(_) | AgentKind::Model(_) | AgentKind::Native(_) => None,
        };
        self.event(now, EventKind::AgentStarted { agent: agent.name.clone() }, out);
        if self.life != Life::Running {
            return;
        }
        let is_scripted = matches!(agent.kind, AgentKind::Scripted(_) | AgentKind::Echo { .. });
        if self.leaving.is_some() && !is_scripted {
            // A model is to know what was said last.
            self.entering = Some(Entering { moment, words: None });
            return;
        }
        self.open_native(plan, now, out);
        self.say_on_entering(plan, now, moment, out);
    }

    /// The current agent begins with what it has waited to begin with.
    pub(super) fn enter_at_last(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let Some(Entering { moment, words }) = self.entering.take() else { return };
        if self.life != Life::Running {
            return;
        }
        self.open_native(plan, now, out);
        match words {
            Some(words) => self.say(plan, now, words, out),
            None => self.say_on_entering(plan, now, moment, out),
        }
    }

    fn say_on_entering(
        &mut self,
        plan: &Plan,
        now: Tick,
        moment: Option<Moment>,
        out: &mut Output,
    ) {
        let Some(moment) = moment else { return };
        let says = self.say_at(plan, now, moment, out);
        // Who has no words of its own for it answers what was said last.
        if !says && moment == Moment::Arrival {
            self.engage(plan, now, None, None, out);
        }
    }

    /// Who waited for a value and is current again without one learns that there is none, and so do those
    /// that were called after it.
    fn forget_callers(&mut self, now: Tick, to: AgentId, out: &mut Output) {
        let Some(at) = self.callers.iter().position(|caller| caller.agent == to) else { return };
        for caller in self.callers.split_off(at) {
            let message = "the call came back without a value";
            let outcome = Outcome::failed(FailureKind::Failed, message);
            self.tool_result(now, caller.call, outcome, out);
        }
    }

    /// Calls another agent: it is current at the next tick, and the call is open until it returns.
    pub(super) fn call_agent(
        &mut self,
        plan: &Plan,
        now: Tick,
        (call, to): (CallId, &str),
        facts: Option<Vec<String>>,
        out: &mut Output,
    ) -> Result<(), String> {
        let Some(callee) = plan.agent_id(to) else {
            return Err(format!("there is no agent `{to}`"));
        };
        let by = plan.agent(self.agent).name.clone();
        if !plan.graph.may_call(self.agent, callee) {
            return Err(format!("`{by}` may not call `{to}`: there is no link `{by} <=> {to}`"));
        }
        if self.next.is_some() {
            return Err("a hand-over is under way".to_owned());
        }
        if self.callers.len() >= CALLERS_MAX {
            return Err(format!("agents call each other {CALLERS_MAX} deep at most"));
        }
        self.callers.push(Caller { agent: self.agent, call });
        self.next = Some(Next::by_call(callee, facts, Arrival::Own));
        self.event(now, EventKind::AgentCalled { agent: to.to_owned(), by, call }, out);
        Ok(())
    }

    /// Returns a value to the agent that called last, which is current at the next tick.
    pub(super) fn return_value(
        &mut self,
        plan: &Plan,
        now: Tick,
        value: serde_json::Value,
        out: &mut Output,
    ) -> Result<serde_json::Value, String> {
        if self.next.is_some() {
            return Err("a hand-over is under way".to_owned());
        }
        let Some(Caller { agent, call }) = self.callers.pop() else {
            return Err("no agent waits for a value".to_owned());
        };
        let name = |id| plan.agent(id).name.clone();
        let (from, to) = (name(self.agent), name(agent));
        self.next = Some(Next::by_call(agent, None, Arrival::Return));
        let kind = EventKind::AgentReturned { agent: from, to: to.clone(), call };
        self.event(now, kind, out);
        // Told at the next tick, when the agent that asked is current again.
        self.tool_result(now, call, Outcome::Done(Json(value)), out);
        Ok(json!({ "agent": to }))
    }
}
