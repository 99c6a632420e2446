//! Tools, synchronously, in the order of the calls.

use super::event::EventKind;
use super::output::Output;
use super::plan::Plan;
use super::think::Occasions;
use super::{Answered, Asker, Pending, Session, Wanted};
use crate::clock::Tick;
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
                let Some((answered, delivery)) = self.call(plan, now, hands, wanted, out) else {
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
        out: &mut Output,
    ) -> Option<(Answered, Delivery)> {
        self.called(now, &call, out);
        let spec = plan.tools.get(&call.name);
        match hands.call(&call) {
            Called::Submitted => {
                // A tool that is not in the plan has no timeout of its own: the default of 30 s.
                let timeout_ms = spec.map_or(30_000, |spec| spec.timeout_ms);
                let timeout = plan.len.ticks_min_one(timeout_ms);
                let (id, name) = (call.id, call.name);
                self.pending.push(Pending {
                    call: id,
                    name,
                    since: now,
                    timeout,
                    asker,
                    deferred: false,
                });
                None
            }
            Called::Done(outcome) => {
                self.record(now, call.id, &call.name, &outcome, (now, false), out);
                if let Asker::Participant(request) = asker {
                    self.respond_with(now, request, outcome, out);
                    return None;
                }
                let delivery = spec.map(|spec| spec.delivery).unwrap_or_default();
                Some((Answered { name: call.name, asker, outcome }, delivery))
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
        let Pending { name, since, asker, deferred, .. } = self.pending.remove(at);
        self.record(now, call, &name, &outcome, (since, deferred), out);
        match asker {
            Asker::Participant(request) => self.respond_with(now, request, outcome, out),
            Asker::Agent(_) => self.answered.push(Answered { name, asker, outcome }),
        }
    }

    /// The session ends: calls that are still under way have failed.
    pub(super) fn end_calls(&mut self, now: Tick, out: &mut Output) {
        while let Some(Pending { call, .. }) = self.pending.first() {
            let (call, message) = (*call, "the session ended first");
            self.tool_result(now, call, Outcome::failed(FailureKind::SessionEnded, message), out);
        }
        self.answered.clear();
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
            if pending.deferred || pending.since >= now {
                continue;
            }
            pending.deferred = true;
            let (call, name) = (pending.call, pending.name.clone());
            self.event(now, EventKind::ToolDeferred { call, name }, out);
        }
    }
}
