//! Asking before it is known that the user has finished: what is answered is thrown away unheard if it goes
//! on.
//!
//! A pause is enough: the words so far, those of an open utterance included, are what the user will have said
//! if nothing more comes. A run on them is asked and listened to, and nothing else: it calls no tools and
//! says nothing before the turn has ended with the very same words.
//!
//! **Invariant:** an early run has no effect but its question.

use super::super::Session;
use super::super::output::Output;
use super::super::plan::Plan;
use super::thinker;
use crate::clock::Tick;
use crate::id::{LaneId, UtteranceId};
use crate::talk::words::words;

/// So long a pause is enough, in milliseconds: longer than the stop of a consonant.
const PAUSE_MS: u32 = 120;

impl Session {
    /// Words of an utterance that is not over.
    pub(in super::super) fn note_interim(
        &mut self,
        lane: LaneId,
        utterance: UtteranceId,
        text: &str,
        last: bool,
    ) {
        match &self.interim {
            Some((of, id, _)) if last && (*of, *id) == (lane, utterance) => self.interim = None,
            _ if last => {}
            _ => self.interim = Some((lane, utterance, text.to_owned())),
        }
    }

    /// Asks early, or drops what was asked early.
    pub(in super::super) fn wake_early(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        if !thinker(plan, self.agent).is_some_and(|thinker| thinker.preemptive) {
            return;
        }
        let early = self.minds.iter().position(|mind| mind.early.is_some());
        if self.is_strained() {
            // What may be thrown away is not asked for; nor is it waited for.
            if let Some(at) = early.filter(|at| !self.minds[*at].adopted) {
                let mind = self.minds.remove(at);
                self.unask(now, &mind, out);
            }
            return;
        }
        let guess = self.guess(plan, now);
        if let Some(at) = early.filter(|at| !self.minds[*at].adopted) {
            let same = guess.as_ref().is_some_and(|(_, text)| self.is_early_for(at, text));
            if same || guess.is_none() && !out.user_speech {
                return;
            }
            let mind = self.minds.remove(at);
            self.unask(now, &mind, out);
        }
        let Some((lane, text)) = guess else { return };
        if self.has_thoughts() || !self.answers() {
            return;
        }
        let messages = self.talk_so_far(Some((lane, &text)));
        let id = self.new_run(now, Some(lane), messages, out);
        if let Some(mind) = self.minds.iter_mut().find(|mind| Some(mind.id) == id) {
            mind.early = Some(text);
        }
    }

    /// What the one participant who speaks will have said, if nothing more comes.
    fn guess(&self, plan: &Plan, now: Tick) -> Option<(LaneId, String)> {
        let pauses = now.since(self.floor.last_voiced()) >= plan.len.ticks_min_one(PAUSE_MS);
        if !pauses || self.playout.is_speaking() || self.floor.awaits_words() {
            return None;
        }
        let mut said = self.floor.said();
        if let Some((lane, utterance, text)) = &self.interim {
            let awaited = self.lanes.iter().find(|known| known.id == *lane);
            if awaited.is_some_and(|known| known.knows(*utterance)) && !text.trim().is_empty() {
                match said.iter_mut().find(|(of, _)| of == lane) {
                    Some((_, words)) => *words = format!("{words} {text}"),
                    None => said.push((*lane, text.clone())),
                }
            }
        }
        match said.as_slice() {
            [(lane, text)] => Some((*lane, text.clone())),
            _ => None,
        }
    }

    fn is_early_for(&self, at: usize, text: &str) -> bool {
        let early = self.minds[at].early.as_deref();
        early.is_some_and(|early| words(early) == words(text))
    }

    /// Takes up what was asked early, if the turn has ended with the same words.
    pub(in super::super) fn adopt(&mut self, text: &str) -> bool {
        let agent = self.agent;
        let early = |mind: &super::Mind| mind.early.is_some() && mind.agent == agent;
        let Some(at) = self.minds.iter().position(early) else { return false };
        let same = self.is_early_for(at, text);
        self.minds[at].adopted |= same;
        same
    }

    /// What was asked early and taken up is as any other run from the next tick on; unless another agent takes
    /// over, who answers instead.
    pub(super) fn take_up(&mut self, now: Tick, out: &mut Output) {
        let Some(at) = self.minds.iter().position(|mind| mind.adopted) else { return };
        if self.next.is_some() {
            let mind = self.minds.remove(at);
            return self.unask(now, &mind, out);
        }
        let mind = &mut self.minds[at];
        (mind.early, mind.adopted) = (None, false);
    }
}
