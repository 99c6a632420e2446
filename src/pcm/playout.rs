//! Playout: ragged agent audio in, exactly one tick of samples out, and an account of what was heard.
//!
//! What the agent says is an **item**: a text, and audio that arrives in pieces of any length. Items
//! play in order, back to back. The text that counts as spoken follows the samples played:
//! `ceil(min(1, played ÷ received) · characters)`, and never goes back; while more is to come, what is
//! expected stands for what was received, so that a first short piece is not taken for the whole. A [`cut`](Playout::cut) ends
//! all of it at once, with a short fade; what was not played is kept aside, so that a false
//! interruption can [`resume`](Playout::resume) at the very sample.
//!
//! **Invariant:** every pull fills the whole tick, with silence where there is no audio; no sample is
//! played twice, save those under the fade of a cut that is resumed.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Clip;
use crate::clock::Tick;
use crate::id::{AgentId, ItemId};

/// Everything the agent has still to play.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Playout {
    items: VecDeque<Item>,
    kept: VecDeque<Item>,
    /// The end of a cut, not yet played.
    #[serde(with = "super::pcm_bytes")]
    fade: Vec<i16>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Item {
    id: ItemId,
    agent: AgentId,
    text: String,
    asked: Tick,
    pieces: VecDeque<Piece>,
    expected: u64,
    received: u64,
    played: u64,
    shown: usize,
    last: bool,
    started: bool,
    starved_since: Option<Tick>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Piece {
    pcm: Clip,
    at: usize,
}

/// What one tick played of one item. Positions are bytes of the item's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Played {
    /// The item.
    pub item: ItemId,
    /// The agent whose voice it is.
    pub agent: AgentId,
    /// Samples of it in this tick.
    pub samples: u32,
    /// Where the text spoken in this tick begins.
    pub from: u32,
    /// Where the text spoken so far ends.
    pub to: u32,
    /// Its first sample is in this tick.
    pub started: bool,
    /// Its last sample is in this tick.
    pub finished: bool,
}

/// An item as far as it was heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The item.
    pub item: ItemId,
    /// The agent whose voice it was.
    pub agent: AgentId,
    /// Samples played of it.
    pub samples: u64,
    /// The text that was played.
    pub spoken: String,
    /// The text that was not.
    pub unspoken: String,
}

impl Item {
    /// The end, in bytes, of the text that the samples played stand for.
    fn spoken_end(&self) -> usize {
        if self.received == 0 {
            return 0;
        }
        if self.last && self.played >= self.received {
            return self.text.len();
        }
        let whole = if self.last { self.received } else { self.received.max(self.expected) };
        let of = |chars: usize| {
            (u128::from(self.played) * chars as u128).div_ceil(u128::from(whole)) as usize
        };
        if self.text.is_ascii() {
            return of(self.text.len()).min(self.text.len());
        }
        let chars = of(self.text.chars().count());
        self.text.char_indices().nth(chars).map_or(self.text.len(), |(at, _)| at)
    }

    fn heard(&self) -> Heard {
        let (spoken, unspoken) = self.text.split_at(self.shown);
        Heard {
            item: self.id,
            agent: self.agent,
            samples: self.played,
            spoken: spoken.to_owned(),
            unspoken: unspoken.to_owned(),
        }
    }

    fn is_done(&self) -> bool {
        self.last && self.pieces.is_empty()
    }
}

impl Playout {
    /// Announces an item, asked for at `tick`, whose audio will follow: about `expected` samples.
    pub fn queue(&mut self, id: ItemId, agent: AgentId, text: String, tick: Tick, expected: u64) {
        self.items.push_back(Item {
            id,
            agent,
            text,
            asked: tick,
            pieces: VecDeque::with_capacity(4),
            expected,
            received: 0,
            played: 0,
            shown: 0,
            last: false,
            started: false,
            starved_since: None,
        });
    }

    /// Takes a piece of an item's audio; `last` says that no more will come. False if the item is
    /// not (or no longer) known: such audio is dropped.
    pub fn push(&mut self, id: ItemId, pcm: Clip, last: bool) -> bool {
        let waiting = self.items.iter_mut().chain(&mut self.kept);
        let Some(item) = waiting.into_iter().find(|item| item.id == id && !item.last) else {
            return false;
        };
        item.received += pcm.0.len() as u64;
        item.last = last;
        item.starved_since = None;
        if !pcm.0.is_empty() {
            item.pieces.push_back(Piece { pcm, at: 0 });
        }
        true
    }

    /// Adds words to an item whose text comes along with its audio; a character is expected to take so many samples. False
    /// if the item is not known, or whole.
    pub fn words(&mut self, id: ItemId, text: &str, character: u64) -> bool {
        let waiting = self.items.iter_mut().chain(&mut self.kept);
        let Some(item) = waiting.into_iter().find(|item| item.id == id && !item.last) else {
            return false;
        };
        item.text.push_str(text);
        item.expected += character * text.chars().count() as u64;
        true
    }

    /// Fills `out` with what is due at `tick`, and appends to `played` what it was of. An item that
    /// has not begun waits while `may_start` is false. Pieces that were played to the end move to
    /// `spent`, so that the caller frees them elsewhere.
    pub fn pull(
        &mut self,
        tick: Tick,
        may_start: bool,
        out: &mut [i16],
        played: &mut Vec<Played>,
        spent: &mut Vec<Clip>,
    ) {
        out.fill(0);
        let mut filled = self.fade(out);
        while let Some(item) = self.items.front_mut() {
            if !item.started && !may_start {
                break;
            }
            let before = filled;
            let from = item.shown;
            filled = item.fill(out, filled, spent);
            let finished = item.is_done();
            // An item without a sample begins and ends at once.
            let started = !item.started && (filled > before || finished);
            item.started |= started;
            if filled > before || finished {
                item.shown = item.spoken_end().max(item.shown);
                played.push(Played {
                    item: item.id,
                    agent: item.agent,
                    samples: (filled - before) as u32,
                    from: from as u32,
                    to: item.shown as u32,
                    started,
                    finished,
                });
            }
            if !finished {
                if item.started && item.pieces.is_empty() && item.starved_since.is_none() {
                    item.starved_since = Some(tick);
                }
                break;
            }
            self.items.pop_front();
        }
    }

    /// Plays the end of a cut. Returns where the silence begins.
    fn fade(&mut self, out: &mut [i16]) -> usize {
        let len = self.fade.len().min(out.len());
        for (slot, sample) in out.iter_mut().zip(self.fade.drain(..len)) {
            *slot = sample;
        }
        len
    }

    /// Ends everything at once. The next pull fades over `fade_samples`. What was heard of each item
    /// is appended to `heard`; the rest is kept until [`resume`](Self::resume) or
    /// [`forget`](Self::forget).
    ///
    /// What an earlier cut kept has to be resumed or forgotten before.
    pub fn cut(&mut self, fade_samples: usize, heard: &mut Vec<Heard>) {
        debug_assert!(self.kept.is_empty(), "a cut forgets what the one before has kept");
        std::mem::swap(&mut self.items, &mut self.kept);
        self.fade.clear();
        if let Some(item) = self.kept.front().filter(|item| item.started) {
            // The next samples, down to silence. They stay in what is kept, too.
            let samples = item.pieces.iter().flat_map(|piece| &piece.pcm.0[piece.at..]);
            let faded = samples.take(fade_samples).enumerate().map(|(n, &sample)| {
                (i32::from(sample) * (fade_samples - n) as i32 / fade_samples as i32) as i16
            });
            self.fade.extend(faded);
        }
        heard.extend(self.kept.iter().map(Item::heard));
    }

    /// Goes on with what the last cut kept. False if there was nothing.
    pub fn resume(&mut self, tick: Tick) -> bool {
        let any = !self.kept.is_empty();
        self.fade.clear();
        for mut item in self.kept.drain(..).rev() {
            item.asked = tick;
            item.starved_since = item.starved_since.map(|_| tick);
            self.items.push_front(item);
        }
        any
    }

    /// Drops what the last cut kept, an item at a time, from its end; its audio moves to `spent`.
    pub fn forget(&mut self, spent: &mut Vec<Clip>) -> Option<ItemId> {
        let item = self.kept.pop_back()?;
        spent.extend(item.pieces.into_iter().map(|piece| piece.pcm));
        Some(item.id)
    }

    /// The first item that has waited for audio longer than `patience` ticks: since it was asked for
    /// if nothing has come and it is at the front, since it ran dry otherwise.
    #[must_use]
    pub fn overdue(&self, tick: Tick, patience: u64) -> Option<ItemId> {
        let item = self.items.front()?;
        let since = match item.starved_since {
            Some(since) => since,
            None if item.received == 0 => item.asked,
            None => return None,
        };
        (!item.last && tick.since(since) >= patience).then_some(item.id)
    }

    /// Takes an item out, as far as it was heard; what is not yet played of it is dropped.
    pub fn remove(&mut self, id: ItemId) -> Option<Heard> {
        [&mut self.items, &mut self.kept].into_iter().find_map(|items| {
            let at = items.iter().position(|item| item.id == id)?;
            items.remove(at).map(|item| item.heard())
        })
    }

    /// Puts an announced item before all others that have not begun.
    pub fn prefer(&mut self, id: ItemId) {
        let Some(at) = self.items.iter().position(|item| item.id == id) else { return };
        let Some(item) = self.items.remove(at) else { return };
        let first = self.items.iter().position(|item| !item.started).unwrap_or(self.items.len());
        self.items.insert(first, item);
    }

    /// Whether the agent has anything to play or to wait for.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether an item has begun and is not at its end.
    #[must_use]
    pub fn is_speaking(&self) -> bool {
        self.items.front().is_some_and(|item| item.started)
    }

    /// The item that has begun and is not at its end, and how many bytes of its text are spoken: the
    /// whole words of what a [`cut`](Self::cut) would give as spoken.
    #[must_use]
    pub fn saying(&self) -> Option<(ItemId, usize)> {
        let item = self.items.front().filter(|item| item.started)?;
        Some((item.id, whole_words(&item.text, item.shown)))
    }

    /// Whether a cut has kept something that could be resumed.
    #[must_use]
    pub fn has_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Whether a cut keeps this item.
    #[must_use]
    pub fn is_kept(&self, id: ItemId) -> bool {
        self.kept.iter().any(|item| item.id == id)
    }

    /// Items announced and not over: those that a cut keeps may yet be played.
    #[must_use]
    pub fn held(&self) -> usize {
        self.items.len() + self.kept.len()
    }

    /// Items announced and not finished.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether no item is announced.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl Item {
    /// Copies samples into `out` from `filled` on; returns how far it is filled then.
    fn fill(&mut self, out: &mut [i16], mut filled: usize, spent: &mut Vec<Clip>) -> usize {
        while filled < out.len() {
            let Some(piece) = self.pieces.front_mut() else { break };
            let rest = &piece.pcm.0[piece.at..];
            let take = rest.len().min(out.len() - filled);
            out[filled..filled + take].copy_from_slice(&rest[..take]);
            filled += take;
            piece.at += take;
            self.played += take as u64;
            if piece.at == piece.pcm.0.len() {
                spent.extend(self.pieces.pop_front().map(|piece| piece.pcm));
            }
        }
        filled
    }
}

/// The end of the last whole word within the first `end` bytes of a text. Scripts that are written
/// without spaces, those from U+2E80 on, have a word a character.
fn whole_words(text: &str, end: usize) -> usize {
    let (shown, rest) = text.split_at(end);
    let mut next = rest.chars().next();
    for (at, last) in shown.char_indices().rev() {
        let ends = next.is_none_or(char::is_whitespace) || last >= '\u{2e80}';
        if ends && !last.is_whitespace() {
            return at + last.len_utf8();
        }
        next = Some(last);
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        playout: Playout,
        tick: Tick,
        texts: Vec<&'static str>,
    }

    impl Bench {
        fn new(items: &[(&'static str, usize)]) -> Self {
            let mut playout = Playout::default();
            for (n, &(text, samples)) in items.iter().enumerate() {
                let id = ItemId(n as u32);
                playout.queue(id, AgentId(0), text.to_owned(), Tick(0), 0);
                playout.push(id, Clip::from(vec![1_000; samples]), true);
            }
            Self { playout, tick: Tick(0), texts: items.iter().map(|i| i.0).collect() }
        }

        /// One pull of 1,600 samples: samples that are not silent, and the text of the tick.
        fn pull(&mut self) -> (usize, String) {
            let mut out = [7; 1_600];
            let mut played = Vec::new();
            self.playout.pull(self.tick, true, &mut out, &mut played, &mut Vec::new());
            self.tick = self.tick.after(1);
            let texts = played
                .iter()
                .map(|p| &self.texts[p.item.0 as usize][p.from as usize..p.to as usize])
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>();
            (out.iter().filter(|&&s| s != 0).count(), texts.join(" "))
        }
    }

    #[test]
    fn text_follows_the_samples_played() {
        let mut bench = Bench::new(&[("Hello there friend", 4_000)]);
        assert_eq!(bench.pull(), (1_600, "Hello th".into()));
        assert_eq!(bench.pull(), (1_600, "ere fri".into()));
        assert_eq!(bench.pull(), (800, "end".into()));
        assert_eq!(bench.pull(), (0, String::new()));
    }

    #[test]
    fn what_is_said_are_the_whole_words_of_what_a_cut_gives_as_spoken() {
        let mut bench = Bench::new(&[("Hello there friend", 4_000)]);
        assert_eq!(bench.playout.saying(), None, "it has not begun");
        bench.pull();
        assert_eq!(bench.playout.saying(), Some((ItemId(0), "Hello".len())), "of “Hello th”");
        bench.pull();
        assert_eq!(bench.playout.saying(), Some((ItemId(0), "Hello there".len())));
        let mut heard = Vec::new();
        bench.playout.cut(0, &mut heard);
        assert_eq!((heard[0].spoken.as_str(), bench.playout.saying()), ("Hello there fri", None));
    }

    #[test]
    fn words_end_at_spaces_and_at_characters_that_are_words() {
        for (text, end, words) in [
            ("", 0, ""),
            ("word", 4, "word"),
            ("word", 3, ""),
            ("two  words", 5, "two"),
            ("two words", 3, "two"),
            (" a", 1, ""),
            ("今日は", 6, "今日"),
            ("ab今", 2, ""),
        ] {
            assert_eq!(&text[..whole_words(text, end)], words, "{end} bytes of “{text}”");
        }
    }

    #[test]
    fn two_items_share_a_tick() {
        let mut bench = Bench::new(&[("one", 800), ("two", 800)]);
        assert_eq!(bench.pull(), (1_600, "one two".into()));
    }

    #[test]
    fn a_cut_keeps_what_was_not_heard_and_resumes_at_the_sample() {
        let mut bench = Bench::new(&[("abcdefgh", 3_200), ("next", 800)]);
        bench.pull();
        let mut heard = Vec::new();
        bench.playout.cut(160, &mut heard);
        assert_eq!((heard[0].spoken.as_str(), heard[0].unspoken.as_str()), ("abcd", "efgh"));
        assert_eq!((heard[1].spoken.as_str(), heard[1].samples), ("", 0));
        assert_eq!(bench.pull(), (160, String::new()), "only the fade sounds");
        assert_eq!(bench.pull(), (0, String::new()));
        assert!(bench.playout.resume(Tick(4)));
        assert_eq!(bench.pull(), (1_600, "efgh".into()));
        assert_eq!(bench.pull(), (800, "next".into()));
    }

    #[test]
    fn an_item_without_audio_becomes_overdue() {
        let mut playout = Playout::default();
        playout.queue(ItemId(3), AgentId(0), "late".into(), Tick(10), 0);
        assert_eq!(playout.overdue(Tick(59), 50), None);
        assert_eq!(playout.overdue(Tick(60), 50), Some(ItemId(3)));
        playout.push(ItemId(3), Clip::from(vec![1; 10]), false);
        assert_eq!(playout.overdue(Tick(200), 50), None, "it has not begun to play");
        playout.pull(Tick(200), true, &mut [0; 20], &mut Vec::new(), &mut Vec::new());
        assert_eq!(playout.overdue(Tick(250), 50), Some(ItemId(3)), "it ran dry at 200");
        assert_eq!(playout.remove(ItemId(3)).unwrap().samples, 10);
        assert!(playout.is_empty());
    }

    #[test]
    fn a_waiting_item_starts_only_when_it_may() {
        let mut bench = Bench::new(&[("hello", 1_600)]);
        let mut out = [0; 1_600];
        bench.playout.pull(Tick(0), false, &mut out, &mut Vec::new(), &mut Vec::new());
        assert!(out.iter().all(|&s| s == 0));
        assert_eq!(bench.pull().0, 1_600);
    }

    #[test]
    fn a_first_piece_is_not_the_whole() {
        let mut playout = Playout::default();
        playout.queue(ItemId(0), AgentId(0), "0123456789".into(), Tick(0), 1_000);
        playout.push(ItemId(0), Clip::from(vec![1; 100]), false);
        playout.pull(Tick(0), true, &mut [0; 100], &mut Vec::new(), &mut Vec::new());
        let mut heard = Vec::new();
        playout.cut(0, &mut heard);
        assert_eq!(heard[0].spoken, "0");
    }

    #[test]
    fn late_and_unknown_audio_is_dropped() {
        let mut bench = Bench::new(&[("a", 10)]);
        assert!(!bench.playout.push(ItemId(0), Clip::default(), true), "it is complete");
        assert!(!bench.playout.push(ItemId(9), Clip::default(), true));
    }
}
