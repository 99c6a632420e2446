//! What the session hears: participants, their voice, their words.

use super::event::{CutCause, EventKind};
use super::lane::{Change, Lane, WORDLESS_MS};
use super::output::{Effect, Level, Output};
use super::plan::Plan;
use super::{Session, Talk};
use crate::clock::Tick;
use crate::id::{LaneId, UtteranceId};
use crate::pcm::mix;
use crate::talk::floor::Presence;
use crate::talk::words::is_backchannel;

impl Session {
    /// Hears every lane, mixes them, and tells the floor.
    pub(super) fn hear(&mut self, plan: &Plan, now: Tick, skipped: u32, out: &mut Output) {
        let speaks = self.playout.is_speaking();
        let others = self.is_listening();
        let (mut opened, mut closed) = (false, Vec::new());
        let mut lanes = std::mem::take(&mut self.lanes);
        for lane in lanes.iter_mut().filter(|lane| lane.present) {
            match lane.hear(plan, now, skipped, speaks, out) {
                None => {}
                Some(Change::Opened(utterance)) => {
                    opened = true;
                    if self.floor.parts() == 0 && !others {
                        self.began = now;
                    }
                    let kind = EventKind::UserSpeechStarted {
                        lane: lane.id,
                        utterance,
                        over_agent: speaks,
                    };
                    self.event(now, kind, out);
                    self.user_is_here(now, out);
                }
                Some(Change::Closed(utterance, voiced)) => {
                    let voiced_ms = plan.len.span_ms(voiced);
                    closed.push((lane.id, utterance, voiced_ms));
                    self.event(
                        now,
                        EventKind::UserSpeechStopped { lane: lane.id, utterance, voiced_ms },
                        out,
                    );
                }
            }
        }
        self.lanes = lanes;
        self.mix(plan, out);
        let present = self.lanes.iter().filter(|lane| lane.present);
        out.levels.extend(present.map(|lane| Level {
            lane: lane.id,
            voiced: lane.voiced,
            peak: mix::peak(&lane.tick),
        }));
        out.user_speech = self.lanes.iter().any(|lane| lane.voiced);
        // What has not begun is not talked over: it waits, and is said afterwards.
        let busy =
            self.playout.is_speaking() && self.hold.is_none() && !self.provider_decides(plan);
        let barge_in = self.floor.hear(&plan.rules, now, out.user_speech, busy);
        if let Some(barge_in) = barge_in {
            let voiced_ms = plan.len.span_ms(barge_in.voiced);
            self.cut(plan, now, CutCause::Voice, (barge_in.since, voiced_ms), out);
            if self.goes_by_voice(plan) {
                // No words will come that could show it to be none.
                self.forget_cut(plan, now, out);
            } else {
                self.floor.interrupted(now);
            }
        }
        if opened {
            self.reopen_native(plan, now, out);
        }
        for closed in closed {
            if self.provider_decides(plan) {
                self.note_spoken(closed.0, closed.1);
            } else if self.goes_by_voice(plan) {
                self.spoke_without_words(plan, now, closed, out);
            }
        }
        self.let_native_hear(plan, out);
    }

    /// An utterance is over of which the session will not know the words in time: it is a turn, unless it was a cough, or
    /// a sound of attention that has not interrupted.
    fn spoke_without_words(
        &mut self,
        plan: &Plan,
        now: Tick,
        (lane, utterance, voiced_ms): (LaneId, UtteranceId, u64),
        out: &mut Output,
    ) {
        let is_heard = self.playout.is_speaking() && self.hold.is_none();
        let enough = if is_heard { u64::from(plan.config.turn.barge_in_ms) } else { WORDLESS_MS };
        if voiced_ms >= enough {
            self.floor.spoke(now, lane);
            self.note_spoken(lane, utterance);
        } else {
            self.forget_heard(plan, out);
        }
    }

    fn mix(&self, plan: &Plan, out: &mut Output) {
        let samples = plan.samples();
        let mut present = self.lanes.iter().filter(|lane| lane.present);
        match (present.next(), present.next()) {
            (None, _) => out.heard.resize(samples, 0),
            (Some(lane), None) => out.heard.extend_from_slice(&lane.tick),
            (Some(first), Some(second)) => {
                out.mixing.clear();
                out.mixing.resize(samples, 0);
                for lane in [first, second].into_iter().chain(present) {
                    mix::mix_into(&mut out.mixing, &lane.tick);
                }
                out.heard.resize(samples, 0);
                mix::saturate(&out.mixing, &mut out.heard);
            }
        }
    }

    pub(super) fn join(
        &mut self,
        plan: &Plan,
        now: Tick,
        id: LaneId,
        name: String,
        out: &mut Output,
    ) {
        let name = clip(name, plan.limits.text);
        let known = self.lanes.iter().position(|lane| lane.id == id);
        if known.is_none() && self.lanes.len() == plan.limits.lanes {
            // The seat of one who has gone, and of whom no words are awaited.
            if let Some(free) =
                self.lanes.iter().position(|lane| !lane.present && !lane.is_listening())
            {
                self.lanes.remove(free);
            }
        }
        if known.is_none() && self.lanes.len() == plan.limits.lanes {
            return self.limit(now, "lanes", out);
        }
        let mut lane = Lane::new(id, name.clone(), plan);
        match known {
            Some(at) => {
                lane.follow(&mut self.lanes[at], plan, out);
                self.lanes[at] = lane;
            }
            None => self.lanes.push(lane),
        }
        self.alone_since = None;
        self.event(now, EventKind::UserJoined { lane: id, name }, out);
    }

    pub(super) fn leave(&mut self, plan: &Plan, now: Tick, id: LaneId, out: &mut Output) {
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.id == id && lane.present) else {
            return;
        };
        lane.leave(plan, now, out);
        if self.lanes.iter().all(|lane| !lane.present) {
            self.alone_since = Some(now);
        }
        self.facts.left(id);
        self.event(now, EventKind::UserLeft { lane: id }, out);
    }

    /// Typed text is a turn of its own, complete as it arrives; the agent stops talking for it.
    pub(super) fn typed(
        &mut self,
        plan: &Plan,
        now: Tick,
        lane: LaneId,
        text: String,
        out: &mut Output,
    ) {
        let text = clip(text, plan.limits.text);
        if text.trim().is_empty() {
            return;
        }
        self.user_is_here(now, out);
        if plan.rules.barge_in.is_some() && !self.playout.is_idle() && self.hold.is_none() {
            self.cut(plan, now, CutCause::Text, (now, 0), out);
        }
        // A voice that has cut the agent needs no words any more.
        self.floor.decided();
        self.forget_cut(plan, now, out);
        self.floor.words(now, lane, text, |_| true);
        let turn = self.floor.take_turn();
        self.turns.push(super::Ended { turn, typed: true });
    }

    /// Somebody wants the agent to stop, and says nothing: there is no turn, and nothing goes on afterwards. What tools have
    /// yet to tell, and what a question was asked for, stays as it is.
    pub(super) fn interrupt(&mut self, plan: &Plan, now: Tick, lane: LaneId, out: &mut Output) {
        if !self.is_there(lane) {
            return;
        }
        self.user_is_here(now, out);
        self.floor.noticed(now);
        if plan.rules.barge_in.is_none() || self.hold.is_some() {
            return;
        }
        // With what an earlier cut has kept, which is not resumed either.
        self.floor.decided();
        if self.playout.is_idle() {
            self.forget_cut(plan, now, out);
        } else {
            self.cut(plan, now, CutCause::Asked, (now, 0), out);
            self.forget_cut(plan, now, out);
        }
        self.stop_minds(plan, now, out);
        self.stop_native(plan, now, out);
    }

    /// Words of the recogniser.
    pub(super) fn transcript(
        &mut self,
        plan: &Plan,
        now: Tick,
        (lane, utterance): (LaneId, UtteranceId),
        (text, confidence, last): (String, f32, bool),
        out: &mut Output,
    ) {
        let Some(at) = self.lanes.iter().position(|known| known.id == lane) else { return };
        if !self.lanes[at].knows(utterance) {
            return;
        }
        if !last && self.is_strained() {
            // It was under way when its edge was told.
            return;
        }
        let text = clip(text, plan.limits.text);
        let kind =
            EventKind::UserTranscript { lane, utterance, text: text.clone(), confidence, last };
        self.event(now, kind, out);
        if plan.has_models {
            self.note_interim(lane, utterance, &text, last);
        }
        // Before its utterance is over, nothing is final: not even a recogniser that says so.
        let Some(awaited) = last.then(|| self.lanes[at].settle(utterance)).flatten() else {
            return;
        };
        // Where the provider finds out when a turn ends, it writes down what was said in it as well.
        if self.provider_decides(plan) {
            return;
        }
        let text = believed(plan, text, confidence, awaited.voiced);
        // To a question, `okay` is an answer.
        let attention = is_backchannel(&text, &plan.backchannels) && !self.awaits_approval();
        if text.trim().is_empty() || (attention && awaited.over_agent) {
            if attention {
                self.event(now, EventKind::UserBackchannel { lane, text }, out);
            }
            // What has cut the agent was no interruption, unless more is being said.
            let may_resume = plan.rules.false_interruption.is_some();
            if may_resume && self.floor.awaits_words() && !self.is_listening() {
                self.resume(now, out);
            }
            return self.forget_heard(plan, out);
        }
        self.interrupt_by_words(plan, now, awaited.over_agent, out);
        let is_cut = self.talk == Talk::Cut;
        let Self { floor, agent, .. } = self;
        floor.words(now, lane, text, |all| super::think::is_understood(plan, *agent, all));
        if is_cut {
            self.answer_talker();
        }
    }

    /// A participant who talks for longer than a turn may last is cut off.
    pub(super) fn wake_talker(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let Some(max) = plan.turn_max.filter(|_| !self.provider_decides(plan)) else { return };
        let talks = self.is_listening() || self.floor.parts() > 0;
        match self.talk {
            Talk::Quiet if talks => self.talk = Talk::Since(now),
            Talk::Since(_) | Talk::Cut | Talk::Answered if !talks => self.talk = Talk::Quiet,
            Talk::Since(since) if now.since(since) >= max => {
                self.limit(now, "turn", out);
                self.talk = Talk::Cut;
                for at in 0..self.lanes.len() {
                    let lane = self.lanes[at].id;
                    if let Some((utterance, voiced)) = self.lanes[at].cut(plan, now, out) {
                        if self.goes_by_voice(plan) {
                            self.floor.spoke(now, lane);
                            self.note_spoken(lane, utterance);
                        }
                        let voiced_ms = plan.len.span_ms(voiced);
                        let kind = EventKind::UserSpeechStopped { lane, utterance, voiced_ms };
                        self.event(now, kind, out);
                    }
                }
                // Without words to wait for, those that are there are all.
                if !self.is_listening() {
                    self.answer_talker();
                }
            }
            Talk::Quiet | Talk::Since(_) | Talk::Cut | Talk::Answered => {}
        }
    }

    fn answer_talker(&mut self) {
        if let Some(turn) = self.floor.take_turn() {
            self.turns.push(super::Ended { turn: Some(turn), typed: false });
            self.floor.talked_over();
            self.talk = Talk::Answered;
        }
    }

    /// Whether somebody has talked for so long that the agent does not wait any more.
    pub(super) fn is_talked_over(&self) -> bool {
        self.talk == Talk::Answered
    }

    /// Words were said: an interruption by voice is a true one, and a short utterance over the agent
    /// becomes one.
    fn interrupt_by_words(&mut self, plan: &Plan, now: Tick, over_agent: bool, out: &mut Output) {
        if self.floor.awaits_words() {
            self.floor.decided();
            self.forget_cut(plan, now, out);
        } else if over_agent
            && plan.rules.barge_in.is_some()
            && self.playout.is_speaking()
            && self.hold.is_none()
            && !self.provider_decides(plan)
        {
            let since = self.floor.last_voiced();
            self.cut(plan, now, CutCause::Words, (since, 0), out);
            self.forget_cut(plan, now, out);
        }
    }

    pub(super) fn recogniser_failed(
        &mut self,
        plan: &Plan,
        now: Tick,
        lane: LaneId,
        utterance: UtteranceId,
        cause: String,
        out: &mut Output,
    ) {
        let Some(known) = self.lanes.iter_mut().find(|known| known.id == lane) else { return };
        if !known.give_up(utterance) {
            return;
        }
        if plan.recogniser.is_some() {
            out.effects.push(Effect::ListenDrop { lane, utterance });
        }
        // Whether the agent was interrupted will not be known: the apology ends it.
        self.floor.decided();
        self.forget_cut(plan, now, out);
        let cause = clip(cause, plan.limits.text);
        self.event(now, EventKind::RecogniserFailed { lane, utterance, cause }, out);
        self.apologise(plan, now, out);
    }

    /// Whether any utterance is open, or its words are awaited.
    pub(super) fn is_listening(&self) -> bool {
        self.lanes.iter().any(Lane::is_listening)
    }

    pub(super) fn user_is_here(&mut self, now: Tick, out: &mut Output) {
        if self.floor.user_active() == Some(Presence::Returned) {
            self.event(now, EventKind::UserReturned, out);
        }
    }
}

/// Speech that was not understood: no words that any script knows.
pub(super) const UNINTELLIGIBLE: &str = "…";

/// Voice of which the recogniser is unsure is noise when it is shorter than this: coughs, laughs and
/// doors last under a second, and a caller who says something says more.
const NOISE_MS_MAX: u64 = 1_000;

/// What a recogniser's words are taken for, given how sure it is.
fn believed(plan: &Plan, text: String, confidence: f32, voiced: u64) -> String {
    if confidence >= plan.confidence {
        text
    } else if plan.len.span_ms(voiced) < NOISE_MS_MAX {
        String::new()
    } else {
        UNINTELLIGIBLE.to_owned()
    }
}

/// A text cut at `max` characters: what comes from outside is bounded.
pub(super) fn clip(mut text: String, max: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(max) {
        text.truncate(at);
    }
    text
}
