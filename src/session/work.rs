//! Tools, synchronously, in the order of the calls.

use super::event::EventKind;
use super::output::Output;
use super::plan::Plan;
use super::think::Occasions;
use super::{Answered, Asker, Pending, Session, Wanted};
use crate::clock::Tick;
use crate::graph::Results;
use crate::graph::verb::Verb;
use crate::id::CallId;
use crate::tool::{CallRecord, Called, Delivery, FailureKind, Hands, Outcome};

impl Session {
    /// Makes the calls that this tick has led to. Outcomes for the same tick go back to the agent at
    /// once, at most so often; all others reach it at its next tick.
    pub(super) fn work(
        &mut self,
        plan: &Plan,
        now: Tick,
        hands: &mut dyn Hands,
        occasions: &mut Occasions,
        out: &mut Output,
    ) {
        for entry in 0..=plan.limits.reentries {
            if occasions.wanted.is_empty() {
                return;
            }
            let mut at_once = Vec::new();
            for wanted in std::mem::take(&mut occasions.wanted) {
                let Some((answered, delivery)) =
                    self.call(plan, now, hands, wanted, occasions, out)
                else {
                    continue;
                };
                match delivery {
                    Delivery::SameTick if entry < plan.limits.reentries => at_once.push(answered),
                    Delivery::SameTick | Delivery::NextTick => self.answered.push(answered),
                }
            }
            for answered in at_once {
                self.answer(plan, now, answered, occasions, out);
            }
        }
    }

    /// Makes one call; the outcome if it is there at once, for the agent.
    fn call(
        &mut self,
        plan: &Plan,
        now: Tick,
        hands: &mut dyn Hands,
        Wanted { call, asker }: Wanted,
        occasions: &mut Occasions,
        out: &mut Output,
    ) -> Option<(Answered, Delivery)> {
        self.called(now, &call, out);
        let spec = plan.tools.get(&call.name);
        let verb = Verb::of(&call.name);
        let own = verb.filter(|verb| verb.room().is_none());
        let (called, doing) = match (own, Self::doing(&call)) {
            (Some(verb), _) => (self.verb(plan, now, verb, (&call, &asker), occasions, out), None),
            (None, Ok(doing)) => (hands.call(&call), doing),
            (None, Err(outcome)) => (Called::Done(outcome), None),
        };
        match called {
            Called::Submitted => {
                // A tool that is not in the plan has no timeout of its own: the default of 30 s. An agent
                // that was called talks to the user for as long as that takes.
                let timeout_ms = spec.map_or(30_000, |spec| spec.timeout_ms);
                let timeout = match verb {
                    Some(Verb::CallAgent) => u64::MAX,
                    _ => plan.len.ticks_min_one(timeout_ms),
                };
                let kept = match &asker {
                    Asker::Agent(asked) => plan.policies.agent_timeout(asked.agent),
                    Asker::Model { agent, .. } | Asker::Native { agent, .. } => {
                        plan.policies.agent_timeout(*agent)
                    }
                    Asker::Participant(_) => None,
                };
                let kept = kept.filter(|kept| kept.bound < timeout && timeout < u64::MAX);
                let timeout = kept.map_or(timeout, |kept| kept.bound);
                let policy = kept.map(|kept| kept.policy.clone());
                let (id, name) = (call.id, call.name);
                let conduct = plan.conducts.get(&name);
                self.pending.push(Pending {
                    call: id,
                    name,
                    since: now,
                    timeout,
                    asker,
                    deferred: false,
                    fate: Results::default(),
                    patience: conduct.and_then(|conduct| conduct.patience),
                    filled: conduct.is_none_or(|conduct| conduct.filler.is_none()),
                    policy,
                    verb: doing,
                });
                None
            }
            Called::Done(outcome) => {
                self.record(now, call.id, &call.name, &outcome, (now, false), out);
                if let Some(doing) = doing.filter(|_| outcome.is_done()) {
                    self.done(now, doing, out);
                }
                if let Asker::Participant(request) = asker {
                    self.respond_with(now, request, outcome, out);
                    return None;
                }
                let delivery = spec.map(|spec| spec.delivery).unwrap_or_default();
                let (call, name) = (call.id, call.name);
                let fate = Results::default();
                Some((Answered { call, name, asker, outcome, fate }, delivery))
            }
        }
    }

    /// The outcome of a call that a worker had: who asked learns it in this tick.
    pub(super) fn tool_result(
        &mut self,
        now: Tick,
        call: CallId,
        outcome: Outcome,
        out: &mut Output,
    ) {
        let Some(at) = self.pending.iter().position(|pending| pending.call == call) else {
            return self.event(now, EventKind::ToolUnexpected { call }, out);
        };
        let Pending { name, since, asker, deferred, fate, verb, .. } = self.pending.remove(at);
        self.callers.retain(|caller| caller.call != call);
        self.record(now, call, &name, &outcome, (since, deferred), out);
        if let Some(doing) = verb.filter(|_| outcome.is_done()) {
            self.done(now, doing, out);
        }
        match asker {
            Asker::Participant(request) => self.respond_with(now, request, outcome, out),
            Asker::Agent(_) | Asker::Model { .. } | Asker::Native { .. } => {
                self.answered.push(Answered { call, name, asker, outcome, fate });
            }
        }
    }

    /// The session ends: calls that are still under way have failed.
    pub(super) fn end_calls(&mut self, now: Tick, out: &mut Output) {
        while let Some(Pending { call, .. }) = self.pending.first() {
            let (call, message) = (*call, "the session ended first");
            self.tool_result(now, call, Outcome::failed(FailureKind::SessionEnded, message), out);
        }
        for Answered { call, name, asker, fate, .. } in std::mem::take(&mut self.answered) {
            let stays = asker.agent().is_some_and(|agent| agent != self.agent);
            if stays && fate == Results::Stay {
                self.event(now, EventKind::ToolOrphaned { call, name }, out);
            }
        }
    }

    fn record(
        &mut self,
        now: Tick,
        id: CallId,
        name: &str,
        outcome: &Outcome,
        (since, deferred): (Tick, bool),
        out: &mut Output,
    ) {
        let after_ticks = now.since(since);
        let (name, outcome) = (name.to_owned(), outcome.clone());
        out.results.push(CallRecord { id, name: name.clone(), outcome: outcome.clone(), deferred });
        self.event(now, EventKind::ToolResult { call: id, name, outcome, after_ticks }, out);
    }

    /// Notes the calls that are not back at the tick after they were made.
    pub(super) fn note_deferred(&mut self, now: Tick, out: &mut Output) {
        for at in 0..self.pending.len() {
            let pending = &mut self.pending[at];
            // An agent that was called is not late.
            if pending.deferred || pending.since >= now || pending.timeout == u64::MAX {
                continue;
            }
            pending.deferred = true;
            let (call, name) = (pending.call, pending.name.clone());
            self.event(now, EventKind::ToolDeferred { call, name }, out);
        }
    }
}
