//! Engines without speech: words drawn for an utterance, samples made for a text.

use std::collections::{BTreeSet, VecDeque};

use crate::clock::{Rate, Tick, TickLen};
use crate::id::ItemId;
use crate::pcm::Clip;
use crate::seed::Seed;
use crate::session::input::{Inbound, Input};
use crate::session::output::{Effect, Output};
use crate::sim::weather::{Fault, Tally};
use crate::slot::Edge;
use crate::slot::due::Due;

/// Frames between words of an utterance that is not over.
const INTERIM_FRAMES: u64 = 25;

/// A recogniser that hears something drawn from a list, whatever is said.
#[derive(Debug)]
pub(super) struct Ear {
    words: Vec<String>,
    latency: u64,
    seed: Seed,
    frames: u64,
    due: Due,
}

impl Ear {
    pub(super) fn new(words: Vec<String>, latency_ms: u32, len: TickLen, seed: Seed) -> Self {
        let latency = len.ticks_min_one(latency_ms);
        Self { words, latency, seed, frames: 0, due: Due::new() }
    }

    /// What was said: mostly words that somebody knows, now and then a short sound or nothing.
    fn words(&mut self) -> (String, f32) {
        let text = match self.seed.below(12) {
            0 => "mm-hmm",
            1 => "",
            2 => "nonsense",
            _ => {
                let at = self.seed.below(self.words.len() as u64) as usize;
                self.words.get(at).map_or("", String::as_str)
            }
        };
        (text.to_owned(), if self.seed.below(10) == 0 { 0.3 } else { 0.95 })
    }
}

impl Edge for Ear {
    fn give(&mut self, now: Tick, input: &mut Input) {
        self.due.give(now, input);
    }

    fn take(&mut self, now: Tick, out: &Output) {
        for effect in &out.effects {
            let (lane, utterance, last) = match *effect {
                Effect::Listen { lane, utterance, .. } => {
                    self.frames += 1;
                    if !self.frames.is_multiple_of(INTERIM_FRAMES) {
                        continue;
                    }
                    (lane, utterance, false)
                }
                Effect::ListenEnd { lane, utterance } => (lane, utterance, true),
                Effect::ListenDrop { .. }
                | Effect::Speak { .. }
                | Effect::SpeakDrop { .. }
                | Effect::Answer { .. }
                | Effect::Ask { .. }
                | Effect::AskDrop { .. }
                | Effect::Native { .. }
                | Effect::Play { .. } => {
                    continue;
                }
            };
            let (text, confidence) = self.words();
            let due = now.after(if last { self.latency } else { 1 });
            let value = Inbound::Transcript { lane, utterance, text, confidence, last };
            self.due.push(due, value);
        }
    }
}

/// A synthesiser whose samples tell their item and place, in pieces of any length.
#[derive(Debug)]
pub(super) struct Mouth {
    latency: u64,
    rate: Rate,
    len: TickLen,
    seed: Seed,
    tally: Tally,
    due: VecDeque<(Tick, ItemId, Clip, bool)>,
    dropped: BTreeSet<ItemId>,
}

impl Mouth {
    pub(super) fn new(latency_ms: u32, len: TickLen, rate: Rate, seed: Seed, tally: Tally) -> Self {
        let latency = len.ticks_min_one(latency_ms);
        Self { latency, rate, len, seed, tally, due: VecDeque::new(), dropped: BTreeSet::new() }
    }

    fn speak(&mut self, now: Tick, item: ItemId, text: &str) {
        let character_ms = self.seed.below(90) as usize;
        // A text can come out as no sound at all.
        let silent = self.seed.below(40) == 0;
        let samples =
            if silent { 0 } else { character_ms * self.rate.samples(1) * text.chars().count() };
        let pieces = 1 + self.seed.below(6) as usize;
        let mut due = now.after(self.latency);
        let mut from = 0;
        for piece in 1..=pieces {
            let last = piece == pieces;
            let rest = samples - from;
            let len = if last { rest } else { self.seed.below(rest as u64 + 1) as usize };
            let pcm: Vec<i16> = (from..from + len).map(|at| sample(item, at)).collect();
            self.due.push_back((due, item, Clip::from(pcm), last));
            from += len;
            // Faster than it is played, mostly; sometimes so slow that the item runs dry.
            let behind = self.len.ticks_min_one(self.seed.below(1_200) as u32);
            due = due.after(if self.seed.below(4) == 0 { behind } else { self.seed.below(3) });
        }
        self.due.make_contiguous().sort_by_key(|(due, ..)| *due);
    }
}

/// A sample that says whose it is and where: neighbours and items differ, and none is silence.
fn sample(item: ItemId, at: usize) -> i16 {
    let place = (at as u64 * 31 + u64::from(item.0) * 977) % 4_001;
    place as i16 + 1
}

impl Edge for Mouth {
    fn give(&mut self, now: Tick, input: &mut Input) {
        while self.due.front().is_some_and(|(due, ..)| *due <= now) {
            let Some((_, item, pcm, last)) = self.due.pop_front() else { break };
            if self.dropped.contains(&item) {
                self.tally.add(Fault::AudioUnwanted);
            }
            input.inbound.push(Inbound::Speech { item, pcm, last });
        }
    }

    fn take(&mut self, now: Tick, out: &Output) {
        for effect in &out.effects {
            match effect {
                Effect::Speak { item, text, .. } | Effect::Play { item, clip: text } => {
                    self.speak(now, *item, text);
                }
                Effect::SpeakDrop { item } => {
                    // Most synthesisers stop. Some go on to the end.
                    if self.seed.below(4) > 0 {
                        self.due.retain(|(_, due, ..)| due != item);
                    } else {
                        self.dropped.insert(*item);
                    }
                }
                Effect::Listen { .. }
                | Effect::ListenEnd { .. }
                | Effect::ListenDrop { .. }
                | Effect::Ask { .. }
                | Effect::AskDrop { .. }
                | Effect::Native { .. }
                | Effect::Answer { .. } => {}
            }
        }
    }
}
