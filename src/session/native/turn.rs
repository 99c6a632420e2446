//! Turns of the users, as a model that hears them is told of them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::super::event::{CutCause, EventKind};
use super::super::hear::{UNINTELLIGIBLE, clip};
use super::super::output::Output;
use super::super::plan::Plan;
use super::super::think::UserMessage;
use super::super::{Ended, Session};
use super::speaker;
use crate::clock::Tick;
use crate::graph::Occasion;
use crate::id::{ItemId, LaneId, TurnId, UtteranceId};
use crate::talk::floor::TurnEnd;
use crate::think::native::event::NativeEvent;
use crate::think::native::wish::NativeWish;

/// Turns whose words are awaited at most: what is older is not written down any more.
const UNWRITTEN_MAX: usize = 16;

/// So long words are waited for, in milliseconds: what is not written down by then will not be.
const WORDS_MS: u32 = 10_000;

/// A turn whose words are being written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unwritten {
    turn: TurnId,
    lane: LaneId,
    /// Its last utterance.
    utterance: Option<UtteranceId>,
    since: Tick,
    last_voiced: Tick,
    /// When the first utterance began.
    began: Tick,
    /// Its place in what models are told.
    entry: u64,
    /// The model's id of it, once something of it came.
    source: Option<String>,
    /// So long they are waited for.
    until: Tick,
    /// Words so far.
    text: String,
    /// It was an answer to a question for approval.
    answers_approval: bool,
}

impl Session {
    /// A turn of the users has ended: the model of the current agent answers it.
    pub(in super::super) fn native_turn(
        &mut self,
        plan: &Plan,
        now: Tick,
        (ended, turn): (&Ended, &TurnEnd),
        approved: bool,
        out: &mut Output,
    ) {
        let Some(speaker) = speaker(plan, self.agent) else { return };
        let acts = speaker.acts();
        let words: Vec<String> = turn.by_lane().into_iter().map(|(_, text)| text).collect();
        let words = words.join("\n");
        let is_voice = words.trim().is_empty();
        if acts && !ended.typed {
            return;
        }
        if !self.answers() {
            self.wish(NativeWish::Clear, out);
            return;
        }
        self.enter_at_last(plan, now, out);
        self.reopen_native(plan, now, out);
        // An answer to a question for approval is heard, and what it means decides what is said.
        if approved {
            return;
        }
        let decides = is_voice && self.awaits_approval();
        if is_voice {
            self.await_words(plan, now, turn, None);
        }
        if !decides {
            self.native_overtaken(plan, now, out);
        }
        if let Some(native) = &mut self.native {
            native.step = 0;
        }
        let wish = if ended.typed {
            NativeWish::Write { text: words, answer: true }
        } else {
            NativeWish::Commit { words, answer: !decides }
        };
        if self.wish(wish, out) && !decides {
            self.await_answer(plan, now, out);
        }
    }

    /// The users have answered a question for approval: the model is told what they said, and not asked to answer.
    pub(in super::super) fn tell_answer(&self, typed: bool, text: &str, out: &mut Output) {
        let (text, answer) = (text.to_owned(), false);
        let wish = if typed {
            NativeWish::Write { text, answer }
        } else {
            NativeWish::Commit { words: text, answer }
        };
        self.wish(wish, out);
    }

    /// What the model has not said yet is not said any more. Where nobody may interrupt, what has begun goes on.
    fn native_overtaken(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let Some(native) = &self.native else { return };
        let unsaid = native.items.iter().filter(|item| !item.over).filter_map(|item| item.item);
        let unsaid: Vec<ItemId> = unsaid.collect();
        if plan.rules.barge_in.is_none() && !unsaid.is_empty() {
            return;
        }
        // Who is silent need not be told to be.
        if native.answer.is_some() || native.wanted.is_some() || !unsaid.is_empty() {
            self.silence_native(now, out);
        }
        if unsaid.iter().any(|item| self.playout.is_kept(*item)) {
            self.floor.decided();
            self.forget_cut(plan, now, out);
        }
        self.unsay_all(plan, now, &unsaid, CutCause::Overtaken, out);
        self.native_release(plan, now, out);
    }

    /// An utterance is over, and its words are not known.
    pub(in super::super) const fn note_spoken(&mut self, lane: LaneId, utterance: UtteranceId) {
        if let Some(native) = &mut self.native {
            native.spoken = Some((lane, utterance));
        }
    }

    /// The words of this turn are to come from the model.
    fn await_words(&mut self, plan: &Plan, now: Tick, turn: &TurnEnd, source: Option<String>) {
        let until = now.after(plan.len.ticks_min_one(WORDS_MS));
        let answers_approval = self.awaits_approval();
        let Some(native) = &mut self.native else { return };
        let Some((lane, _)) = turn.parts.first() else { return };
        if native.unwritten.len() >= UNWRITTEN_MAX {
            native.unwritten.pop_front();
        }
        let entry = self.dialogue.user_spoke(*lane);
        let spoken = native.spoken.take().filter(|(of, _)| of == lane);
        native.unwritten.push_back(Unwritten {
            turn: turn.id,
            lane: *lane,
            utterance: spoken.map(|(_, utterance)| utterance),
            since: turn.since,
            last_voiced: turn.last_voiced,
            began: self.began,
            entry,
            source,
            until,
            text: String::new(),
            answers_approval,
        });
    }

    /// Words of a turn were written down. Where a recogniser of the session's own does that, its words stand.
    pub(super) fn words_written(
        &mut self,
        plan: &Plan,
        now: Tick,
        (source, text, last): (&str, String, bool),
        out: &mut Output,
    ) {
        let Some(unwritten) = self.unwritten() else { return };
        let of_it = |it: &Unwritten| it.source.as_deref() == Some(source);
        let at = unwritten.iter().position(of_it);
        // A provider that does not say which item a turn is says what was said in their order.
        let at = at.or_else(|| unwritten.iter().position(|it| it.source.is_none()));
        let Some(at) = at else { return };
        let turn = &mut unwritten[at];
        turn.source.get_or_insert_with(|| source.to_owned());
        if last {
            turn.text = text;
        } else {
            turn.text.push_str(&text);
        }
        turn.text = clip(std::mem::take(&mut turn.text), plan.limits.text);
        let (lane, text) = (turn.lane, turn.text.clone());
        // Where a recogniser of the session's own has said it, that is told already.
        let is_news = !text.is_empty() || !last;
        let utterance = turn.utterance.filter(|_| plan.recogniser.is_none() && is_news);
        if let Some(utterance) = utterance {
            let (text, confidence) = (text.clone(), 1.0);
            let kind = EventKind::UserTranscript { lane, utterance, text, confidence, last };
            self.event(now, kind, out);
        }
        let Some(unwritten) = self.unwritten().filter(|_| last) else { return };
        let Some(turn) = unwritten.remove(at) else { return };
        let unknown = text.trim().is_empty();
        if !unknown {
            self.dialogue.user_words(turn.entry, &text);
            let Unwritten { turn, lane, since, last_voiced, .. } = turn;
            let (text, intent, typed) = (text.clone(), None, false);
            let message = UserMessage { turn, lane, text, since, intent, typed, last_voiced };
            self.user_said(now, message, out);
        }
        if !unknown && self.answers() {
            self.tenure.input = Some(text.clone());
            self.tenure.occurred.push(Occasion::Words(text.clone()));
        }
        if turn.answers_approval {
            let text = if unknown { UNINTELLIGIBLE } else { &text };
            self.approved_by_voice(plan, now, (text, turn.began), out);
        }
    }

    /// Turns whose words are awaited: of the conversation, or of the one before it.
    fn unwritten(&mut self) -> Option<&mut VecDeque<Unwritten>> {
        match (&mut self.leaving, &mut self.native) {
            (Some(leaving), _) => Some(&mut leaving.unwritten),
            (None, Some(native)) => Some(&mut native.unwritten),
            (None, None) => None,
        }
    }

    /// What a conversation that is over still has to tell: what was said in it.
    pub(super) fn told_in_leaving(
        &mut self,
        plan: &Plan,
        now: Tick,
        event: NativeEvent,
        out: &mut Output,
    ) {
        match event {
            NativeEvent::Heard { item, text, last } => {
                self.words_written(plan, now, (&item, text, last), out);
            }
            NativeEvent::Committed { item } => self.turn_written(plan, now, item, out),
            NativeEvent::Lost { .. } => return self.end_leaving(plan, now, out),
            _ => {}
        }
        if self.leaving.as_ref().is_some_and(|leaving| leaving.unwritten.is_empty()) {
            self.end_leaving(plan, now, out);
        }
    }

    /// A turn is an item of the model's conversation, or found no place in it. Where the provider finds out when turns
    /// end, this one has.
    pub(super) fn turn_committed(
        &mut self,
        plan: &Plan,
        now: Tick,
        item: Option<String>,
        out: &mut Output,
    ) {
        if !self.provider_decides(plan) {
            return self.turn_written(plan, now, item, out);
        }
        let spoken = self.native.as_ref().and_then(|native| native.spoken);
        let there = self.lanes.iter().find(|lane| lane.present).map(|lane| lane.id);
        let lane = spoken.map(|(lane, _)| lane).or(there).unwrap_or_default();
        let turn = self.floor.ended_elsewhere(now, lane);
        self.await_words(plan, now, &turn, item);
        self.turns.push(Ended { turn: Some(turn), typed: false });
    }

    /// The oldest turn that is not known to be an item is this one.
    fn turn_written(&mut self, plan: &Plan, now: Tick, item: Option<String>, out: &mut Output) {
        let Some(unwritten) = self.unwritten() else { return };
        let Some(at) = unwritten.iter().position(|it| it.source.is_none()) else { return };
        match item {
            Some(item) => unwritten[at].source = Some(item),
            None => {
                let turn = unwritten.remove(at);
                self.no_words(plan, now, turn, out);
            }
        }
    }

    /// Nobody writes down any more what was said; `committed`: what is known to be an item.
    pub(super) fn words_lost(&mut self, plan: &Plan, now: Tick, committed: bool, out: &mut Output) {
        let Some(native) = &mut self.native else { return };
        let all = std::mem::take(&mut native.unwritten);
        let (lost, kept): (VecDeque<_>, VecDeque<_>) =
            all.into_iter().partition(|turn| !committed || turn.source.is_some());
        native.unwritten = kept;
        for turn in lost {
            self.no_words(plan, now, Some(turn), out);
        }
    }

    /// Words that have not come in time will not.
    pub(super) fn wake_unwritten(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let late = |turn: &Unwritten| now >= turn.until;
        while self.native.as_ref().is_some_and(|native| native.unwritten.front().is_some_and(late))
        {
            let turn = self.native.as_mut().and_then(|native| native.unwritten.pop_front());
            self.no_words(plan, now, turn, out);
        }
    }

    /// A turn has no words: if it was an answer, it was none.
    fn no_words(&mut self, plan: &Plan, now: Tick, turn: Option<Unwritten>, out: &mut Output) {
        if let Some(turn) = turn.filter(|turn| turn.answers_approval) {
            self.approved_by_voice(plan, now, (UNINTELLIGIBLE, turn.began), out);
        }
    }
}
