//! Calls of a model that hears and speaks.
//!
//! **Invariant:** a call is made once, after it was approved of where that is needed, and what came of it is told once.

use super::super::dialogue::UNDER_WAY;
use super::super::event::CutCause;
use super::super::mind::{Approving, INTERRUPTED, SAID_ELSE};
use super::super::output::Output;
use super::super::plan::Plan;
use super::super::{Asker, Life, Session, Wanted};
use super::{Made, speaker};
use crate::clock::Tick;
use crate::id::{AskId, CallId, ItemId, NativeId};
use crate::think::chat::{Call, ToolOutput};
use crate::think::native::wish::NativeWish;
use crate::think::tool_loop::Approval;

/// Calls that wait for approval at most, beside the one that the users are asked about.
const WAITING_MAX: usize = 8;

impl Session {
    /// The model calls a tool.
    pub(super) fn native_call(&mut self, plan: &Plan, now: Tick, call: Call, out: &mut Output) {
        let Some(native) = &mut self.native else { return };
        if native.silenced > 0 {
            // The users have cut the answer that it is of.
            let output = ToolOutput::Denied(Some(INTERRUPTED.to_owned()));
            let (call, answer) = (call.id, false);
            self.wish(NativeWish::Result { call, output, answer }, out);
            return;
        }
        self.answer_heard(plan, now, out);
        let Some(native) = &mut self.native else { return };
        let Some(speaker) = speaker(plan, self.agent) else { return };
        let Some(tool) = speaker.tools.iter().find(|tool| tool.declaration.name == call.name)
        else {
            let there = speaker.tools.iter().map(|tool| tool.declaration.name.as_str());
            let output = ToolOutput::unknown_tool(there);
            return self.tell_native(plan, now, &call.id, output, out);
        };
        if let Some(wrong) = call.malformed.clone().or_else(|| tool.wrong(&call.arguments)) {
            let output = ToolOutput::invalid_arguments(&wrong);
            return self.tell_native(plan, now, &call.id, output, out);
        }
        let conduct = plan.conducts.get(&call.name);
        if conduct.is_none_or(|conduct| conduct.approval.is_none()) {
            return self.make_native(plan, now, &call, out);
        }
        // A provider that answers by itself would go on before anybody has said yes.
        let refusal = if speaker.acts() {
            Some("this call needs approval, which cannot be asked for here")
        } else if native.waiting.len() >= WAITING_MAX {
            Some("too many calls wait for approval")
        } else {
            None
        };
        if let Some(why) = refusal {
            let why = Some(why.to_owned());
            self.dialogue.denied(&call, why.clone());
            return self.tell_native(plan, now, &call.id, ToolOutput::Denied(why), out);
        }
        native.waiting.push_back(call);
        self.ask_approval(plan, now, out);
    }

    /// Asks the users about the next call that waits for their yes.
    fn ask_approval(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let Some(native) = self.native.as_mut().filter(|native| native.approving.is_none()) else {
            return;
        };
        let Some(call) = native.waiting.pop_front() else { return };
        let Some(mut waits) = self.approving(plan, now, self.agent, &call, out) else {
            return self.make_native(plan, now, &call, out);
        };
        let question = waits.pose();
        if let Some(native) = &mut self.native {
            native.approving = Some(waits);
        }
        let asks = self.ask_to_say(plan, now, question.as_deref(), out);
        let Some(native) = &mut self.native else { return };
        let posed = native.wanted.as_ref().filter(|_| asks).map(|wanted| wanted.ask);
        if let Some(approving) = &mut native.approving {
            approving.posed = posed;
        }
    }

    /// A question that was decided is not asked any more, unless it is being heard.
    pub(in super::super) fn unpose(
        &mut self,
        plan: &Plan,
        now: Tick,
        posed: Option<AskId>,
        out: &mut Output,
    ) {
        let Some(native) = self.native.as_ref().filter(|_| posed.is_some()) else { return };
        let asked = [&native.answer, &native.wanted].into_iter().flatten();
        let is_awaited = asked.into_iter().any(|asked| Some(asked.ask) == posed);
        let unheard = native.items.iter().filter(|item| item.ask == posed && !item.over);
        let unheard: Vec<ItemId> = unheard.filter_map(|item| item.item).collect();
        if unheard.iter().any(|item| self.is_being_heard(*item)) {
            return;
        }
        if is_awaited {
            self.silence_native(now, out);
        }
        self.unsay_all(plan, now, &unheard, CutCause::Overtaken, out);
    }

    /// What the current agent's model waits for a yes for.
    pub(in super::super) fn native_approving(&self) -> Option<&Approving> {
        self.native.as_ref()?.approving.as_ref()
    }

    pub(in super::super) fn take_native_approving(&mut self) -> Option<Approving> {
        self.native.as_mut()?.approving.take()
    }

    /// An item begins to be heard: if it is the model's, the users hear its question.
    pub(in super::super) fn note_native_begun(&mut self, now: Tick, item: ItemId) {
        let Some(native) = &mut self.native else { return };
        let of = native.items.iter().find(|known| known.item == Some(item));
        let ask = of.and_then(|known| known.ask);
        let asks = |approving: &&mut Approving| ask.is_some() && approving.posed == ask;
        if let Some(approving) = native.approving.as_mut().filter(asks) {
            approving.is_heard(now);
        }
    }

    /// The users have said yes, or something else.
    pub(in super::super) fn native_decided(
        &mut self,
        plan: &Plan,
        now: Tick,
        call: Call,
        approval: Approval,
        out: &mut Output,
    ) {
        match approval {
            Approval::Approve(arguments) | Approval::Modify(arguments) => {
                let call = Call { arguments, ..call };
                self.make_native(plan, now, &call, out);
            }
            Approval::Deny { reason } => {
                self.tell_native(plan, now, &call.id, ToolOutput::Denied(reason), out);
            }
        }
        self.ask_approval(plan, now, out);
    }

    /// Makes a call in this tick.
    fn make_native(&mut self, plan: &Plan, now: Tick, call: &Call, out: &mut Output) {
        if self.has_many_calls(plan, self.requested.len()) {
            let output = ToolOutput::failed("too many calls are under way");
            self.tell_native(plan, now, &call.id, output, out);
            return self.limit(now, "calls", out);
        }
        let lane = self.lanes.iter().find(|lane| lane.present).map(|lane| lane.id);
        let made = self.next_call(&call.name, call.arguments.clone(), lane);
        self.dialogue.called(Some(made.id), call);
        let Some(native) = &mut self.native else { return };
        native.calls.push(Made { call: made.id, id: call.id.clone() });
        let asker = Asker::Native { agent: self.agent, native: native.id };
        self.requested.push(Wanted { call: made, asker });
    }

    /// The model is told what came of a call; when nothing else is awaited, it goes on.
    pub(in super::super) fn tell_native(
        &mut self,
        plan: &Plan,
        now: Tick,
        call: &str,
        output: ToolOutput,
        out: &mut Output,
    ) {
        // In a goodbye, nothing more is to be said.
        if self.life != Life::Running {
            return;
        }
        // On hold, silence is what was asked for.
        let (call, answer) = (call.to_owned(), self.hold.is_none());
        let told = self.wish(NativeWish::Result { call, output, answer }, out);
        let waits = |native: &super::Native| {
            !native.calls.is_empty() || native.approving.is_some() || !native.waiting.is_empty()
        };
        if told && answer && !self.native.as_ref().is_some_and(waits) {
            self.await_answer(plan, now, out);
        }
    }

    /// Another conversation was told of an outcome before it began, and is to go on from there.
    pub(in super::super) fn go_on_elsewhere(
        &mut self,
        plan: &Plan,
        now: Tick,
        asked: NativeId,
        out: &mut Output,
    ) {
        if self.native.as_ref().is_some_and(|native| native.id != asked) {
            self.ask_to_say(plan, now, None, out);
        }
    }

    /// The model's id of a call that it waits for.
    pub(in super::super) fn take_made(&mut self, call: CallId) -> Option<String> {
        let native = self.native.as_mut()?;
        let at = native.calls.iter().position(|made| made.call == call)?;
        Some(native.calls.remove(at).id)
    }

    /// Something has happened that the model is to tell of; false where there is none.
    pub(in super::super) fn note_to_native(
        &mut self,
        plan: &Plan,
        now: Tick,
        text: &str,
        out: &mut Output,
    ) -> bool {
        let told = self.wish(NativeWish::Write { text: text.to_owned(), answer: true }, out);
        if told {
            self.await_answer(plan, now, out);
        }
        told
    }

    /// The model goes on without a call that takes too long.
    pub(in super::super) fn lose_native_patience(
        &mut self,
        plan: &Plan,
        now: Tick,
        call: CallId,
        out: &mut Output,
    ) {
        if let Some(id) = self.take_made(call) {
            self.dialogue.told_under_way(call);
            self.tell_native(plan, now, &id, ToolOutput::Text(UNDER_WAY.to_owned()), out);
        }
    }

    /// The users have said something else: calls that nobody wants then fail, and what was to be approved of was not.
    pub(super) fn native_release(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        self.cancel_calls(plan, now, out);
        self.deny_native(now, SAID_ELSE, out);
    }

    /// The users want the agent to stop. A question for approval that was heard still waits for its answer.
    pub(in super::super) fn stop_native(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let Some(native) = &self.native else { return };
        if native.answer.is_some() || native.wanted.is_some() {
            self.silence_native(now, out);
        }
        self.cancel_calls(plan, now, out);
        if !self.native_approving().is_some_and(Approving::was_heard) {
            self.deny_native(now, INTERRUPTED, out);
        }
    }

    /// Calls fail that nobody wants when the users interrupt.
    fn cancel_calls(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let Some(native) = &self.native else { return };
        let made: Vec<CallId> = native.calls.iter().map(|made| made.call).collect();
        // What is said next answers the users, and not these.
        for made in made {
            let Some(outcome) = self.cancelled(plan, made) else { continue };
            let output: ToolOutput = outcome.clone().into();
            self.dialogue.settle(made, &output);
            if let Some(call) = self.take_made(made) {
                self.wish(NativeWish::Result { call, output, answer: false }, out);
            }
            self.tool_result(now, made, outcome, out);
        }
    }

    /// Calls about which the users were to be asked are not made, and the model is told.
    fn deny_native(&mut self, now: Tick, why: &str, out: &mut Output) {
        for Call { id: call, .. } in self.drop_approvals(now, why, out) {
            let output = ToolOutput::Denied(Some(why.to_owned()));
            self.wish(NativeWish::Result { call, output, answer: false }, out);
        }
    }
}
