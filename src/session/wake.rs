//! Delays that are over.

use super::event::{EndReason, EventKind};
use super::lane::Lane;
use super::output::{Effect, Output};
use super::plan::Plan;
use super::{Life, Session};
use crate::clock::Tick;
use crate::talk::floor::Presence;
use crate::think::script::Moment;
use crate::tool::{FailureKind, Outcome};

impl Session {
    /// Acts on every delay that ends in this tick.
    pub(super) fn wake(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        self.wake_recogniser(plan, now, out);
        self.wake_synthesiser(plan, now, out);
        self.wake_tools(now, out);
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
            self.forget_cut(out);
        }
        if let Some(turn) = self.floor.end_turn(&plan.rules, now, self.is_listening()) {
            self.turns.push(super::Ended { turn: Some(turn), typed: false });
        }
        if self.life == Life::Running
            && self.floor.presence(&plan.rules, now) == Some(Presence::Away)
        {
            self.event(now, EventKind::UserAway, out);
            self.say_at(plan, now, Moment::Idle, out);
        }
        if plan.call_max.is_some_and(|max| now.0 >= max) {
            self.close(EndReason::MaxLength);
        }
        if let (Some(max), Some(since)) = (plan.alone_max, self.alone_since)
            && now.since(since) >= max
        {
            self.close(EndReason::Alone);
        }
        if plan.silence_max.is_some_and(|max| self.floor.silence(now) >= max) {
            self.close(EndReason::Silence);
        }
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
        let Some(patience) = plan.synthesiser else { return };
        if let Some(item) = self.playout.overdue(now, patience) {
            out.effects.push(Effect::SpeakDrop { item });
            let cause = format!("no audio for {} ms", plan.len.span_ms(patience));
            self.synthesiser_failed(plan, now, item, cause, out);
        }
    }

    fn wake_tools(&mut self, now: Tick, out: &mut Output) {
        while let Some(late) = self.pending.iter().find(|p| now.since(p.since) >= p.timeout) {
            let call = late.call;
            let message = format!("tool `{}` gave no answer in time", late.name);
            self.tool_result(now, call, Outcome::failed(FailureKind::TimedOut, message), out);
        }
    }
}
