//! Turns of the users, as a model that hears them is told of them.

use serde::{Deserialize, Serialize};

use super::super::event::{CutCause, EventKind};
use super::super::hear::{UNINTELLIGIBLE, clip};
use super::super::output::Output;
use super::super::plan::Plan;
use super::super::{Ended, Session};
use super::speaker;
use crate::clock::Tick;
use crate::graph::Occasion;
use crate::id::{ItemId, LaneId, TurnId, UtteranceId};
use crate::talk::floor::TurnEnd;
use crate::talk::transcript::{Said, Speaker};
use crate::think::native::wish::NativeWish;

/// Turns whose words are awaited at most: what is older is not written down any more.
const UNWRITTEN_MAX: usize = 16;

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
        if is_voice {
            self.await_words(turn);
        }
        if !self.answers() {
            self.wish(NativeWish::Clear, out);
            return;
        }
        self.reopen_native(plan, now, out);
        if acts && !ended.typed {
            return;
        }
        // An answer to a question for approval is heard, and what it means decides what is said.
        let decides = approved || is_voice && self.awaits_approval();
        if !decides {
            self.native_overtaken(plan, now, out);
        }
        if let Some(native) = &mut self.native {
            native.step = 0;
        }
        let wish = if ended.typed {
            NativeWish::Write(words)
        } else {
            NativeWish::Commit { words, answer: !decides }
        };
        if self.wish(wish, out) && !decides {
            self.await_answer(plan, now, out);
        }
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
        if !native.asked.is_empty() || !unsaid.is_empty() {
            self.silence_native(now, out);
        }
        if unsaid.iter().any(|item| self.playout.is_kept(*item)) {
            self.floor.decided();
            self.forget_cut(plan, now, out);
        }
        if self.playout.saying().is_some_and(|(item, _)| unsaid.contains(&item)) {
            // It is heard right now: it fades.
            self.cut(plan, now, CutCause::Overtaken, (now, 0), out);
            self.forget_cut(plan, now, out);
        }
        for item in unsaid {
            self.unsay(plan, now, item, CutCause::Overtaken, out);
        }
        self.native_release(plan, now, out);
    }

    /// An utterance is over, and its words are not known.
    pub(in super::super) const fn note_spoken(&mut self, lane: LaneId, utterance: UtteranceId) {
        if let Some(native) = &mut self.native {
            native.spoken = Some((lane, utterance));
        }
    }

    /// The words of this turn are to come from the model.
    fn await_words(&mut self, turn: &TurnEnd) {
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
            source: None,
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
        if plan.recogniser.is_some() {
            return;
        }
        let Some(native) = &mut self.native else { return };
        let of_it = |it: &Unwritten| it.source.as_deref() == Some(source);
        let at = native.unwritten.iter().position(of_it);
        let Some(at) = at.or_else(|| native.unwritten.iter().position(|it| it.source.is_none()))
        else {
            // A turn that the session has not noticed.
            if last && !text.trim().is_empty() {
                let lane = self.lanes.iter().find(|lane| lane.present).map(|lane| lane.id);
                let text = clip(text, plan.limits.text);
                self.floor.words(now, lane.unwrap_or_default(), text, |_| true);
            }
            return;
        };
        let turn = &mut native.unwritten[at];
        turn.source.get_or_insert_with(|| source.to_owned());
        if last {
            turn.text = text;
        } else {
            turn.text.push_str(&text);
        }
        turn.text = clip(std::mem::take(&mut turn.text), plan.limits.text);
        let (lane, text) = (turn.lane, turn.text.clone());
        if let Some(utterance) = turn.utterance {
            let (text, confidence) = (text.clone(), 1.0);
            let kind = EventKind::UserTranscript { lane, utterance, text, confidence, last };
            self.event(now, kind, out);
        }
        let Some(native) = self.native.as_mut().filter(|_| last) else { return };
        let Some(turn) = native.unwritten.remove(at) else { return };
        let unknown = text.trim().is_empty();
        if !unknown {
            self.dialogue.user_words(turn.entry, &text);
            let Unwritten { lane, since, last_voiced, .. } = turn;
            let (speaker, to) = (Speaker::User(lane), now);
            let said = Said { speaker, text: text.clone(), from: since, to, interrupted: false };
            self.transcript.push(said);
            let kind = EventKind::UserMessage {
                turn: turn.turn,
                lane,
                text: text.clone(),
                intent: None,
                typed: false,
                last_voiced,
            };
            self.event(now, kind, out);
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
}
