//! What a run has to say, sentence by sentence.
//!
//! **Invariant:** sentences are announced in their order, by one run at a time, and no more of them ahead
//! than are needed to speak without a gap: what is synthesised and not heard is paid for all the same.

use super::super::Session;
use super::super::output::Output;
use super::super::plan::Plan;
use crate::clock::Tick;
use crate::id::ItemId;

/// Sentences announced and not over, at most: one that is heard, one that is ready, and one that is made.
const AHEAD: usize = 3;

impl Session {
    /// Announces what the first run of the current agent has to say.
    pub(in super::super) fn say_ready(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let speaks = |mind: &super::Mind| mind.agent == self.agent && mind.has_words();
        let Some(at) = self.minds.iter().position(speaks) else { return };
        let speaking = &self.speaking;
        self.minds[at].items.retain(|item| speaking.contains_key(item));
        // A question may be cut before it is posed.
        while self.minds[at].items.len() < AHEAD {
            let Some(text) = self.minds[at].ready.pop_front() else {
                return self.pose(plan, now, at, out);
            };
            self.say_of(plan, now, at, text, out);
        }
    }

    /// Says something of a run's; its item, where there is a voice.
    pub(super) fn say_of(
        &mut self,
        plan: &Plan,
        now: Tick,
        at: usize,
        text: String,
        out: &mut Output,
    ) -> Option<ItemId> {
        self.take_off_hold(now, out);
        let item = self.announce(plan, now, text, false, out);
        self.minds[at].items.extend(item);
        item
    }
}

impl super::Mind {
    /// Whether it speaks, or is about to.
    fn has_words(&self) -> bool {
        self.early.is_none() && (!self.over || !self.ready.is_empty() || !self.items.is_empty())
    }
}
