//! How long each turn of a user waited for its answer, and for what.
//!
//! The time from the end of a turn's voice to the first sound of the answer is cut at what happened in
//! between: the utterance was over, its words were known, the turn had ended, the agent knew what to
//! say. The sum is what the latencies of the metrics count.

use std::collections::BTreeMap;

use super::kept::Kept;
use super::prose::{QUOTE_MAX, beginning};
use crate::clock::Tick;
use crate::id::ItemId;

/// Answers that are told one by one: an hour of quick exchange.
const ANSWERS_MAX: usize = 2_000;

/// Items that are announced and not heard; a session has half as many.
const ITEMS_MAX: usize = 64;

/// A turn that was answered before the next.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) who: String,
    pub(super) text: String,
    pub(super) typed: bool,
    /// Its last voiced tick, or that of the typed text.
    pub(super) since: Tick,
    /// The utterance was over.
    pub(super) stopped: Tick,
    /// Its last words were known.
    pub(super) words: Tick,
    /// The turn had ended, and the agent was asked.
    pub(super) ended: Tick,
    /// The agent knew what to say.
    pub(super) known: Tick,
    /// The first sample of it.
    pub(super) heard: Tick,
    /// The agent that answered.
    pub(super) agent: String,
}

/// Turns and their answers.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    stopped: Tick,
    words: Tick,
    waiting: Option<Answer>,
    items: BTreeMap<ItemId, (Tick, String)>,
    /// The last item that a model has begun to speak by itself.
    begun: Option<ItemId>,
    /// One that was heard when no turn was known to wait: when it was known, when it was heard, and whose it is.
    early: Option<(Tick, Tick, String)>,
    pub(super) list: Kept<Answer>,
}

impl Answers {
    pub(super) const fn new() -> Self {
        Self {
            stopped: Tick(0),
            words: Tick(0),
            waiting: None,
            items: BTreeMap::new(),
            begun: None,
            early: None,
            list: Kept::new(ANSWERS_MAX),
        }
    }

    /// An utterance is over.
    pub(super) fn stopped(&mut self, now: Tick) {
        self.stopped = now;
        self.early = None;
    }

    /// The last words of an utterance are known.
    pub(super) const fn words(&mut self, now: Tick) {
        self.words = now;
    }

    /// A turn has ended; its voice was last heard at `since`.
    pub(super) fn turn(&mut self, now: Tick, who: &str, text: &str, typed: bool, since: Tick) {
        let since = since.min(now);
        let early = self.early.take().filter(|(_, heard, _)| *heard > since);
        let stopped = self.stopped.clamp(since, now);
        self.waiting = Some(Answer {
            who: who.to_owned(),
            text: beginning(text, QUOTE_MAX),
            typed,
            since,
            stopped,
            words: self.words.clamp(stopped, now),
            ended: now,
            ..Answer::default()
        });
        // The words of a turn may be known later than its answer, which a model that hears needs none for.
        if let Some((known, heard, agent)) = early
            && let Some(answer) = self.waiting.take()
        {
            let ended = answer.ended.min(known);
            let (stopped, words) = (answer.stopped.min(ended), answer.words.min(ended));
            self.list.push(Answer { stopped, words, ended, known, heard, agent, ..answer });
        }
    }

    /// A model that speaks by itself has begun an item.
    pub(super) fn began(&mut self, now: Tick, item: ItemId, agent: &str) {
        self.announced(now, item, agent);
        self.begun = Some(item);
    }

    /// An agent has something to say.
    pub(super) fn announced(&mut self, now: Tick, item: ItemId, agent: &str) {
        if self.items.len() == ITEMS_MAX {
            self.items.pop_first();
        }
        self.items.insert(item, (now, agent.to_owned()));
    }

    /// It begins to be heard, or read where there is no voice.
    pub(super) fn heard(&mut self, now: Tick, item: ItemId) {
        let (known, agent) = self.items.remove(&item).unwrap_or((now, String::new()));
        let Some(answer) = self.waiting.take() else {
            if self.begun.is_some_and(|begun| item <= begun) {
                self.early.get_or_insert((known, now, agent));
            }
            return;
        };
        let known = known.clamp(answer.ended, now);
        self.list.push(Answer { known, heard: now, agent, ..answer });
    }
}
