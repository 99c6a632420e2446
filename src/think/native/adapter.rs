//! The discrete-time adapter: what a provider sends whenever it likes, and exactly one tick of it.
//!
//! Audio waits in a buffer and leaves it a tick at a time, padded with silence at the end. When the user
//! speaks while there is something to play, what is not played is dropped; the item that was being said
//! is silent from then on, whatever still comes of it. The words that are told follow the samples that
//! were played, item by item, and never go back.
//!
//! Time is counted in samples of the provider's rate and in ticks; nothing waits here. What paces the
//! ticks is the pacer.
//!
//! **Invariant:** each tick has exactly its samples; no sample is played twice, and none of what was cut;
//! everything is bounded, and what is dropped is counted.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::event::{NativeEvent, UsageRecord};
use super::ledger::Ledger;
use super::reply::Replies;
use super::{beginning, shown};
use crate::pcm::Clip;
use crate::think::chat::{Call, ModelError};

mod result;

pub use result::{Cut, PlayedItem, Speech, TickResult};

/// No provider event for so long is a stall, unless another value is given, in milliseconds.
pub const STALL_MS: u32 = 40_000;

/// What a tick may take longer than it lasts, in milliseconds, before whoever runs it gives up.
pub const OVERTIME_MS: u32 = 30_000;

/// Audio that waits at most, in milliseconds, unless another value is given: longer than anybody speaks in one go.
pub const BUFFER_MS: u32 = 300_000;

/// Items known at most: those that are over are forgotten first.
const ITEMS_MAX: usize = 64;

/// The longest text of an item, in bytes.
const TEXT_MAX: usize = 64 << 10;

/// Calls, records, cues of speech and troubles in a tick at most, of each.
const PER_TICK_MAX: usize = 256;

/// What an adapter goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The provider's rate, in samples a second.
    pub hz: u32,
    /// The length of a tick, in milliseconds.
    pub tick_ms: u32,
    /// No event for so long is a stall, in milliseconds; 0: never.
    pub stall_ms: u32,
    /// Audio that waits at most, in milliseconds.
    pub buffer_ms: u32,
    /// The provider's word that the user speaks cuts what the agent says.
    pub yields: bool,
}

/// Rules that nobody can go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongRules {
    /// A tick has no length, or more than a minute.
    Tick,
    /// The rate is none: 8,000 to 48,000.
    Rate,
}

impl std::fmt::Display for WrongRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tick => "a tick needs a length: 1 to 60,000 ms",
            Self::Rate => "audio needs a rate: 8,000 to 48,000 samples a second",
        })
    }
}

impl std::error::Error for WrongRules {}

impl Rules {
    /// The usual rules.
    #[must_use]
    pub const fn new(hz: u32, tick_ms: u32) -> Self {
        Self { hz, tick_ms, stall_ms: STALL_MS, buffer_ms: BUFFER_MS, yields: true }
    }

    /// Samples of a tick, rounded down.
    #[must_use]
    pub const fn samples_per_tick(self) -> usize {
        (self.hz as u64 * self.tick_ms as u64 / 1_000) as usize
    }

    /// Milliseconds that samples last, rounded down.
    #[must_use]
    pub const fn ms(self, samples: u64) -> u64 {
        (samples as u128 * 1_000 / self.hz as u128) as u64
    }

    /// Whether a tick that took so long is given up.
    #[must_use]
    pub const fn is_overdue(self, took_ms: u32) -> bool {
        took_ms > self.tick_ms.saturating_add(OVERTIME_MS)
    }

    const fn stall_ticks(self) -> u64 {
        (self.stall_ms as u64).div_ceil(self.tick_ms as u64)
    }
}

/// A tick was asked for before there was a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotConnected;

impl std::fmt::Display for NotConnected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the adapter is not connected: connect it before the first tick")
    }
}

impl std::error::Error for NotConnected {}

/// Events in, ticks out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Adapter {
    rules: Rules,
    connected: bool,
    stopped: bool,
    owned: bool,
    tick: u64,
    user_samples: u64,
    items: VecDeque<Item>,
    queue: VecDeque<Piece>,
    queued: u64,
    skip: Option<String>,
    quiet: u64,
    /// Results that are told at the beginning of the next tick.
    pub replies: Replies,
    /// What was used so far; a lost connection changes nothing.
    pub ledger: Ledger,
    now: Arrived,
}

/// What has come since the last tick.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Arrived {
    events: u32,
    speech: Vec<Speech>,
    calls: Vec<Call>,
    usage: Vec<UsageRecord>,
    troubles: Vec<ModelError>,
    /// The tick's audio ends here, in samples: there was a cut.
    limit: Option<u64>,
    interruption_ms: Option<u64>,
    dropped: u64,
    refused: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Item {
    id: String,
    text: String,
    chars: usize,
    received: u64,
    played: u64,
    queued: u64,
    shown: usize,
    /// It was cut: no more of it is heard.
    cut: bool,
    /// That was in this tick.
    cut_now: bool,
    /// There was no room for more of it: a gap would be worse than an end.
    full: bool,
    /// No more of it comes.
    done: bool,
    /// Its end was told.
    told: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Piece {
    item: String,
    pcm: Clip,
    from: usize,
    to: usize,
}

impl Adapter {
    /// An adapter. `owned`: whoever stops it has made the connection, too.
    ///
    /// # Errors
    /// The rules have no tick or no rate.
    pub fn new(rules: Rules, owned: bool) -> Result<Self, WrongRules> {
        if rules.tick_ms == 0 || rules.tick_ms > 60_000 {
            return Err(WrongRules::Tick);
        }
        if !crate::pcm::resample::RATES_HZ.contains(&rules.hz) {
            return Err(WrongRules::Rate);
        }
        Ok(Self {
            rules,
            connected: false,
            stopped: false,
            owned,
            tick: 0,
            user_samples: 0,
            items: VecDeque::new(),
            queue: VecDeque::new(),
            queued: 0,
            skip: None,
            quiet: 0,
            replies: Replies::default(),
            ledger: Ledger::default(),
            now: Arrived::default(),
        })
    }

    /// There is a connection. True if there was one already: it is a new one, and what has come is still
    /// played.
    pub const fn connect(&mut self) -> bool {
        (self.quiet, self.stopped) = (0, false);
        std::mem::replace(&mut self.connected, true)
    }

    /// It is over. True if the connection is to be closed as well. Ticks go on until the buffer is empty
    /// if somebody wants them; how many samples that are is [`buffered`](Self::buffered).
    pub const fn stop(&mut self) -> bool {
        let closes = self.owned && self.connected;
        (self.connected, self.stopped) = (self.connected && !closes, true);
        closes
    }

    /// What it goes by.
    #[must_use]
    pub const fn rules(&self) -> Rules {
        self.rules
    }

    /// Samples that wait.
    #[must_use]
    pub const fn buffered(&self) -> u64 {
        self.queued
    }

    /// Milliseconds of the user's audio until the tick that is next.
    #[must_use]
    pub const fn user_ms(&self) -> u64 {
        self.rules.ms(self.user_samples)
    }

    /// Takes what a provider has sent since the last tick.
    pub fn take(&mut self, event: NativeEvent) {
        self.now.events = self.now.events.saturating_add(1);
        match event {
            NativeEvent::Ready { .. } => drop(self.connect()),
            NativeEvent::Audio { item, pcm } => self.audio(&item, pcm),
            NativeEvent::Words { item, text } => self.words(&item, &text),
            NativeEvent::ItemDone { item } => {
                if let Some(at) = self.known(&item) {
                    self.items[at].done = true;
                }
            }
            NativeEvent::SpeechStarted { at_ms } => {
                self.note_speech(Speech::Started { at_ms });
                if self.rules.yields {
                    self.cut(at_ms);
                }
            }
            NativeEvent::SpeechStopped { at_ms } => self.note_speech(Speech::Stopped { at_ms }),
            NativeEvent::Interrupted => {
                self.note_speech(Speech::Interrupted);
                self.cut(None);
            }
            NativeEvent::Call(call) => note(&mut self.now.calls, call, &mut self.now.refused),
            NativeEvent::Usage(record) => {
                self.ledger.take(&record);
                note(&mut self.now.usage, record, &mut self.now.refused);
            }
            NativeEvent::Trouble(error) | NativeEvent::Lost { error, .. } => {
                note(&mut self.now.troubles, error, &mut self.now.refused);
            }
            NativeEvent::Heard { .. }
            | NativeEvent::ResponseDone { .. }
            | NativeEvent::Asked
            | NativeEvent::Committed { .. }
            | NativeEvent::Silenced => {}
        }
    }

    fn note_speech(&mut self, speech: Speech) {
        note(&mut self.now.speech, speech, &mut self.now.refused);
    }

    fn known(&self, id: &str) -> Option<usize> {
        self.items.iter().rposition(|item| item.id == id)
    }

    /// Where an item is; a new one gets a place, if there is one.
    fn place(&mut self, id: &str) -> Option<usize> {
        if let Some(at) = self.known(id) {
            return Some(at);
        }
        if self.items.len() == ITEMS_MAX {
            let over = self.items.iter().position(|item| item.queued == 0 && !item.cut_now)?;
            self.items.remove(over);
        }
        self.items.push_back(Item {
            id: id.to_owned(),
            text: String::new(),
            chars: 0,
            received: 0,
            played: 0,
            queued: 0,
            shown: 0,
            cut: false,
            cut_now: false,
            full: false,
            done: false,
            told: false,
        });
        Some(self.items.len() - 1)
    }

    fn audio(&mut self, id: &str, pcm: Clip) {
        let samples = pcm.0.len() as u64;
        let bound = u64::from(self.rules.hz) * u64::from(self.rules.buffer_ms) / 1_000;
        let Some(at) = self.place(id) else {
            self.now.dropped += samples;
            return;
        };
        let item = &mut self.items[at];
        if !item.cut && self.skip.as_deref().is_some_and(|skip| skip != id) {
            self.skip = None;
        }
        item.received += samples;
        item.full |= self.queued + samples > bound;
        if item.cut || item.full || item.done {
            self.now.dropped += samples;
            return;
        }
        if samples > 0 {
            item.queued += samples;
            self.queued += samples;
            self.queue.push_back(Piece { item: id.to_owned(), to: pcm.0.len(), pcm, from: 0 });
        }
    }

    fn words(&mut self, id: &str, text: &str) {
        let Some(at) = self.place(id) else { return };
        let item = &mut self.items[at];
        if item.text.len() + text.len() <= TEXT_MAX {
            item.chars += text.chars().count();
            item.text.push_str(text);
        }
    }

    /// Drops what is not played before `at_ms` of the user's audio, if there is anything to play; none:
    /// from the beginning of the tick on.
    pub fn cut(&mut self, at_ms: Option<u64>) {
        if self.queue.is_empty() {
            return;
        }
        let tick_ms = u64::from(self.rules.tick_ms);
        let position_ms = at_ms.map_or(0, |at| at.saturating_sub(self.user_ms()).min(tick_ms));
        let position = u64::from(self.rules.hz) * position_ms / 1_000;
        let limit = position
            .min(self.now.limit.unwrap_or(u64::MAX))
            .min(self.rules.samples_per_tick() as u64)
            .min(self.queued);
        self.now.limit = Some(limit);
        self.now.interruption_ms = self.now.interruption_ms.or(at_ms);
        // The last item may still be coming; all others lose what is not played.
        if let Some(last) = self.queue.back() {
            self.skip = Some(last.item.clone());
            let id = last.item.clone();
            self.silence(&id);
        }
        while self.queued > limit {
            let Some(mut piece) = self.queue.pop_back() else { break };
            let len = (piece.to - piece.from) as u64;
            let gone = len.min(self.queued - limit);
            self.queued -= gone;
            self.now.dropped += gone;
            if let Some(at) = self.known(&piece.item) {
                self.items[at].queued -= gone;
            }
            let id = piece.item.clone();
            self.silence(&id);
            if gone < len {
                piece.to -= gone as usize;
                self.queue.push_back(piece);
            }
        }
    }

    fn silence(&mut self, id: &str) {
        if let Some(at) = self.known(id) {
            let item = &mut self.items[at];
            item.cut_now |= !item.cut;
            item.cut = true;
        }
    }

    /// Ends the tick, in which `sent` samples of the user's audio went to the provider.
    ///
    /// # Errors
    /// There is no connection, and nothing is left that has come over one. `out` is silence then.
    pub fn tick(&mut self, sent: u64, out: &mut TickResult) -> Result<(), NotConnected> {
        let len = self.rules.samples_per_tick();
        out.clear(len);
        if !(self.connected || self.stopped && self.queued > 0) {
            return Err(NotConnected);
        }
        out.tick = self.tick;
        out.tick_ms = self.rules.tick_ms;
        out.hz = self.rules.hz;
        out.sent_samples = sent;
        out.user_ms_at_start = self.user_ms();
        self.play(out);
        self.tell(out);

        let now = std::mem::take(&mut self.now);
        self.quiet = if now.events > 0 { 0 } else { self.quiet + 1 };
        let patience = self.rules.stall_ticks();
        if patience > 0 && self.quiet >= patience {
            (out.stalled, self.quiet) = (true, 0);
        }
        out.events = now.events;
        out.truncated = now.limit.is_some();
        out.truncated_samples = now.dropped;
        out.interruption_ms = now.interruption_ms;
        out.refused = now.refused;
        (out.speech, out.calls) = (now.speech, now.calls);
        (out.usage, out.troubles) = (now.usage, now.troubles);
        out.skipping.clone_from(&self.skip);
        out.buffered = self.queued;
        self.user_samples += sent;
        self.tick += 1;
        Ok(())
    }

    /// Moves a tick's samples out of the buffer.
    fn play(&mut self, out: &mut TickResult) {
        let len = self.now.limit.map_or(out.audio.len(), |limit| limit as usize);
        let mut filled = 0;
        while filled < len {
            let Some(piece) = self.queue.front_mut() else { break };
            let take = (piece.to - piece.from).min(len - filled);
            let samples = &piece.pcm.0[piece.from..piece.from + take];
            out.audio[filled..filled + take].copy_from_slice(samples);
            piece.from += take;
            filled += take;
            self.queued -= take as u64;
            let id = piece.item.clone();
            if piece.from == piece.to {
                self.queue.pop_front();
            }
            let Some(item) = self.items.iter_mut().rfind(|item| item.id == id) else { continue };
            item.played += take as u64;
            item.queued -= take as u64;
            if out.played.last().is_none_or(|last| last.item != id) {
                out.played.push(PlayedItem::of(&id, 0));
            }
            if let Some(last) = out.played.last_mut() {
                (last.samples, last.total) = (last.samples + take as u32, item.played);
            }
        }
        out.is_speech = filled > 0;
    }

    /// Tells what words belong to what was played, what was cut, and what is over.
    fn tell(&mut self, out: &mut TickResult) {
        for played in &mut out.played {
            let Some(at) = self.items.iter().rposition(|item| item.id == played.item) else {
                continue;
            };
            let item = &mut self.items[at];
            let now = shown(item.chars, item.played, item.received).max(item.shown);
            let text = &item.text[beginning(&item.text, item.shown).len()..];
            played.text.push_str(beginning(text, now - item.shown));
            item.shown = now;
            played.finished = item.is_over();
            item.told |= played.finished;
        }
        // The end of an item may come when all of it was played.
        for item in &mut self.items {
            if item.is_over() && !item.told && item.received > 0 {
                item.told = true;
                let mut played = PlayedItem::of(&item.id, 0);
                (played.total, played.finished) = (item.played, true);
                out.played.push(played);
            }
            if std::mem::take(&mut item.cut_now) {
                out.cuts.push(Cut {
                    item: item.id.clone(),
                    samples: item.played,
                    audio_end_ms: self.rules.ms(item.played),
                    spoken: beginning(&item.text, item.shown).to_owned(),
                });
            }
        }
        let texts = out.played.iter().map(|played| played.text.as_str());
        for text in texts.filter(|text| !text.is_empty()) {
            if !out.transcript.is_empty() {
                out.transcript.push(' ');
            }
            out.transcript.push_str(text);
        }
    }
}

impl Item {
    /// All of it was played, and no more will be.
    const fn is_over(&self) -> bool {
        (self.done || self.full) && self.queued == 0 && !self.cut
    }
}

fn note<T>(list: &mut Vec<T>, value: T, refused: &mut u32) {
    if list.len() < PER_TICK_MAX {
        list.push(value);
    } else {
        *refused = refused.saturating_add(1);
    }
}

#[cfg(test)]
mod tests;
