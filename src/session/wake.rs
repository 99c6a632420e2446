//! Delays that are over.

use super::Session;
use super::event::{EndReason, EventKind};
use super::lane::Lane;
use super::output::Output;
use super::plan::Plan;
use crate::clock::Tick;
use crate::talk::floor::Presence;
use crate::think::script::Moment;
use crate::tool::{FailureKind, Outcome};

impl Session {
    /// Acts on every delay that ends in this tick.
    pub(super) fn wake(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        self.wake_recogniser(plan, now, out);
        self.wake_synthesiser(plan, now, out);
        self.wake_tools(plan, now, out);
        self.wake_minds(plan, now, out);
        // Words that are still awaited come too late; a voice that is still heard does not.
        let voice = self.lanes.iter().any(Lane::is_open);
        if self.floor.was_false(&plan.rules, now) && !voice {
            self.resume(now, out);
        } else if plan.rules.false_interruption.is_none()
            && !self.is_listening()
            && self.floor.awaits_words()
        {
            // Never to go on is decided as soon as nothing more is heard.
            self.floor.decided();
            self.forget_cut(plan, now, out);
        }
        self.wake_talker(plan, now, out);
        if let Some(turn) = self.floor.end_turn(&plan.rules, now, self.is_listening()) {
            self.turns.push(super::Ended { turn: Some(turn), typed: false });
        }
        self.wake_early(plan, now, out);
        self.wake_hold(plan, now, out);
        self.wake_idle(plan, now, out);
        if plan.call_max.is_some_and(|max| now.0 >= max) {
            self.close(EndReason::MaxLength);
        }
        if let (Some(max), Some(since)) = (plan.alone_max, self.alone_since)
            && now.since(since) >= max
        {
            self.close(EndReason::Alone);
        }
        let silent = self.hold.is_none().then(|| self.floor.silence(now));
        if plan.silence_max.is_some_and(|max| silent.is_some_and(|silent| silent >= max)) {
            self.close(EndReason::Silence);
        }
    }

    /// Nobody was heard for the away time: the agent asks, and after as many prompts as there may be
    /// without an answer, the call ends.
    fn wake_idle(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        // Who waits for a model, or for a yes, is not to be hurried.
        if !self.answers() || self.has_thoughts() {
            return;
        }
        if self.floor.presence(&plan.rules, now) == Some(Presence::Away) {
            self.event(now, EventKind::UserAway, out);
            return self.prompt(plan, now, out);
        }
        let Some(away) = plan.rules.away.filter(|_| self.idle_prompts > 0) else { return };
        let silent = self.floor.silence(now).min(now.since(self.prompted));
        if plan.idle_prompts_max == 0 || silent < away || self.is_thinking() {
            return;
        }
        if self.idle_prompts >= plan.idle_prompts_max {
            self.close(EndReason::Idle);
        } else {
            self.prompt(plan, now, out);
        }
    }

    fn prompt(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        self.idle_prompts += 1;
        self.prompted = now;
        self.say_at(plan, now, Moment::Idle, out);
    }

    /// Whether something is to be said, or an outcome awaited.
    fn is_thinking(&self) -> bool {
        let awaits = self.pending.iter().any(|pending| pending.timeout < u64::MAX);
        !self.playout.is_idle() || awaits || self.has_thoughts()
    }

    fn wake_recogniser(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let Some(patience) = plan.recogniser else { return };
        for at in 0..self.lanes.len() {
            let lane = self.lanes[at].id;
            while let Some(utterance) = self.lanes[at].overdue(now, patience) {
                let cause = format!("no words within {} ms", plan.len.span_ms(patience));
                self.recogniser_failed(plan, now, lane, utterance, cause, out);
            }
        }
    }

    fn wake_synthesiser(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        // Clips come without a synthesiser as well: 10 s are its own patience.
        let patience = plan.synthesiser.unwrap_or_else(|| plan.len.ticks_min_one(10_000));
        if let Some(item) = self.playout.overdue(now, patience) {
            self.unwanted(item, out);
            let cause = format!("no audio for {} ms", plan.len.span_ms(patience));
            self.synthesiser_failed(plan, now, item, cause, out);
        }
    }

    fn wake_tools(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        self.fill(plan, now, out);
        self.lose_patience(plan, now, out);
        let late = |p: &&super::Pending| now.since(p.since) >= p.timeout;
        while let Some(late) = self.pending.iter().find(late) {
            let call = late.call;
            let message = format!("tool `{}` gave no answer in time", late.name);
            if let Some(policy) = late.policy.clone() {
                self.event(now, EventKind::PolicyReached { policy }, out);
            }
            self.tool_result(now, call, Outcome::failed(FailureKind::TimedOut, message), out);
        }
    }
}
