//! Writing a journal, into a buffer that the driver empties.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};
use xxhash_rust::xxh3::Xxh3;

use super::{
    HappenedRef, Header, Journal, Kind, LoggedRef, MAGIC, Mode, OutcomesRef, Pcm, SourcedRef,
    VERSION, agent_audio, checked_len, frames, heard,
};
use crate::clock::Tick;
use crate::id::{CallId, LaneId};
use crate::pcm::{Clip, Source};
use crate::session::digest_pcm;
use crate::session::event::Event;
use crate::session::input::{Coded, Inbound, Input};
use crate::think::native::event::NativeEvent;
use crate::tool::Called;

/// Clips remembered for reference; beyond, audio is written again. 4,096 phrases are hours of talk.
const CLIPS_MAX: usize = 4_096;

/// In a journal of events, ticks between two entries at most: a second of 20 ms.
const EVENTS_APART_MAX: u64 = 50;

/// Writes a journal.
#[derive(Debug)]
pub struct Scribe {
    mode: Mode,
    /// Bytes not yet taken by the driver.
    bytes: Vec<u8>,
    /// Where the open entry's payload begins.
    open: Option<usize>,
    /// The tick that arrived last.
    now: Tick,
    /// The last tick with an entry, in a journal of events.
    told: Option<Tick>,
    clips: BTreeMap<(u128, usize), u32>,
    next_clip: u32,
    heard: u16,
    /// The clips of the open tick's speech, in order.
    spoken: Vec<u32>,
    /// Lanes whose audio comes in packets.
    coded: Vec<LaneId>,
    /// Frames not yet taken by the driver, if it wants them.
    frames: Option<Vec<u8>>,
}

/// What a tick came to, for its entry.
#[derive(Debug, Clone, Copy)]
pub struct Sealed<'a> {
    /// What became of the tick's calls, in order.
    pub called: &'a [(CallId, Called)],
    /// The events of the tick.
    pub events: &'a [Event],
    /// The digest after it.
    pub digest: u64,
}

impl Scribe {
    /// Begins a journal.
    #[must_use]
    pub fn new(header: &Header) -> Self {
        let mut scribe = Self {
            mode: header.mode,
            bytes: Vec::with_capacity(1 << 12),
            open: None,
            now: Tick(0),
            told: None,
            clips: BTreeMap::new(),
            next_clip: 0,
            heard: 0,
            spoken: Vec::new(),
            coded: Vec::new(),
            frames: None,
        };
        scribe.bytes.extend_from_slice(MAGIC);
        scribe.bytes.extend_from_slice(&VERSION.to_le_bytes());
        scribe.entry(Kind::Header, header);
        scribe
    }

    /// Goes on with a journal that another one has begun, after its last whole entry.
    #[must_use]
    pub fn resume(journal: &Journal) -> Self {
        let mut coded = Vec::new();
        for entry in &journal.ticks {
            follow(&mut coded, &entry.input.coded);
        }
        let mut scribe = Self::new(&journal.header);
        scribe.discard();
        Self { next_clip: journal.clips, coded, ..scribe }
    }

    /// Notes what arrived for a tick, before the session takes it.
    pub fn arrived(&mut self, input: &Input) {
        debug_assert!(self.open.is_none(), "the last tick was not sealed");
        self.now = input.tick;
        if self.mode != Mode::Full {
            return;
        }
        // Here and not later: a tick's entry refers to all of its clips.
        if self.clips.len() + input.inbound.len() > CLIPS_MAX {
            self.clips.clear();
        }
        self.spoken.clear();
        for value in &input.inbound {
            if let Some(pcm) = agent_audio(value) {
                let clip = self.clip(pcm);
                self.spoken.push(clip);
            }
        }
        self.heard = heard(input);
        follow(&mut self.coded, &input.coded);
        if let Some(frames) = &mut self.frames {
            frames::encode(input, frames);
        }
        self.open = Some(begin_entry(&mut self.bytes, Kind::Tick));
        let arrived = Arrived {
            tick: input.tick,
            skipped: input.skipped,
            inbound: Inbounds { values: &input.inbound, spoken: &self.spoken, coded: &self.coded },
            coded: &input.coded,
            packets: Bytes(&input.packets),
            pcm: Samples { input, coded: &self.coded },
        };
        put(&mut self.bytes, &arrived);
    }

    /// Closes the tick's entry with what it came to; nothing if none is open.
    pub fn sealed(&mut self, sealed: Sealed<'_>) {
        let Sealed { called, events, digest } = sealed;
        let tick = self.now;
        if self.mode != Mode::Full {
            let due = self.told.is_none_or(|told| tick.since(told) >= EVENTS_APART_MAX);
            if due || !events.is_empty() {
                self.told = Some(tick);
                self.entry(Kind::Events, &HappenedRef { tick, events, digest });
            }
            return;
        }
        let Some(from) = self.open.take() else { return };
        put(&mut self.bytes, &OutcomesRef { called, events, digest, heard: self.heard });
        end_entry(&mut self.bytes, from);
    }

    /// Notes that the session runs on another configuration, as JSON, from the next tick on.
    pub fn changed(&mut self, config: &str) {
        self.entry(Kind::Change, &config);
    }

    /// Notes that the call goes another way than the recording that it was forked from, from the last
    /// tick on.
    pub fn diverged(&mut self) {
        self.entry(Kind::Diverged, &self.now.clone());
    }

    /// The bytes written since they were last taken; only whole entries.
    pub fn take(&mut self, into: &mut Vec<u8>) {
        debug_assert!(self.open.is_none(), "an entry is open");
        into.append(&mut self.bytes);
    }

    /// Keeps the [frames](super::frames) of each tick from now on.
    pub fn keep_frames(&mut self) {
        self.frames.get_or_insert_default();
    }

    /// The frames that were kept since they were last taken, in exchange for an empty buffer; none if there are none.
    pub fn take_frames(&mut self, empty: impl FnOnce() -> Vec<u8>) -> Option<Vec<u8>> {
        let frames = self.frames.as_mut().filter(|frames| !frames.is_empty())?;
        Some(std::mem::replace(frames, empty()))
    }

    /// Throws away what is written and not taken.
    pub fn discard(&mut self) {
        self.bytes.clear();
        if let Some(frames) = &mut self.frames {
            frames.clear();
        }
    }

    /// Bytes waiting to be taken.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.bytes.len()
    }

    /// The number of a clip, which is written if it is new.
    fn clip(&mut self, pcm: &Clip) -> u32 {
        let key = clip_key(pcm);
        if let Some(known) = self.clips.get(&key) {
            return *known;
        }
        let number = self.next_clip;
        self.clips.insert(key, number);
        self.next_clip += 1;
        match pcm.source().filter(|source| source.pcm.len() < pcm.0.len()) {
            Some(source) => {
                let Source { from_hz, to_hz, ref pcm } = *source;
                self.entry(Kind::Source, &SourcedRef { from_hz, to_hz, pcm: Pcm(pcm) });
            }
            None => self.entry(Kind::Clip, pcm),
        }
        number
    }

    fn entry(&mut self, kind: Kind, value: &impl Serialize) {
        let from = begin_entry(&mut self.bytes, kind);
        put(&mut self.bytes, value);
        end_entry(&mut self.bytes, from);
    }
}

/// Follows which lanes' audio comes in packets.
fn follow(lanes: &mut Vec<LaneId>, coded: &[Coded]) {
    for coded in coded {
        match *coded {
            Coded::Joined { lane } if !lanes.contains(&lane) => lanes.push(lane),
            Coded::Left { lane } => lanes.retain(|known| *known != lane),
            Coded::Joined { .. } | Coded::Packet { .. } => {}
        }
    }
}

/// Begins an entry; where its payload begins.
pub(super) fn begin_entry(bytes: &mut Vec<u8>, kind: Kind) -> usize {
    bytes.extend_from_slice(&[0; 8]);
    let from = bytes.len();
    bytes.push(kind as u8);
    from
}

/// Ends the entry whose payload begins at `from`: its length and checksum are known now.
pub(super) fn end_entry(bytes: &mut [u8], from: usize) {
    let (head, payload) = bytes.split_at_mut(from);
    let head = &mut head[from - 8..];
    head[..4].copy_from_slice(&checked_len(payload.len() as u32).to_le_bytes());
    head[4..].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
}

fn put(bytes: &mut Vec<u8>, value: &impl Serialize) {
    // Taken out and put back: the extending writer wants to own what it extends.
    let taken = std::mem::take(bytes);
    *bytes =
        postcard::to_extend(value, taken).expect("every value of a journal has a compact form");
}

/// Clips are the same if these are: 128 bits do not meet by chance, and nobody gains by forging.
fn clip_key(pcm: &Clip) -> (u128, usize) {
    let mut hash = Xxh3::new();
    digest_pcm(&mut hash, &pcm.0);
    (hash.digest128(), pcm.0.len())
}

#[derive(Serialize)]
struct Arrived<'a> {
    tick: Tick,
    skipped: u32,
    inbound: Inbounds<'a>,
    coded: &'a [Coded],
    packets: Bytes<'a>,
    pcm: Samples<'a>,
}

struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// The samples of a tick; none if all of them can be decoded again.
struct Samples<'a> {
    input: &'a Input,
    coded: &'a [LaneId],
}

impl Serialize for Samples<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let decoded = |value: &Inbound| match value {
            Inbound::Audio { lane, .. } => self.coded.contains(lane),
            _ => true,
        };
        let pcm = if self.input.inbound.iter().all(decoded) { &[] } else { &self.input.pcm[..] };
        crate::pcm::pcm_bytes::serialize(pcm, serializer)
    }
}

struct Inbounds<'a> {
    values: &'a [Inbound],
    spoken: &'a [u32],
    coded: &'a [LaneId],
}

impl Serialize for Inbounds<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.values.len()))?;
        let mut spoken = self.spoken.iter();
        for value in self.values {
            let logged = match (value, spoken.as_slice()) {
                (Inbound::Speech { item, last, .. }, [clip, ..]) => {
                    spoken.next();
                    LoggedRef::Speech { item: *item, clip: *clip, last: *last }
                }
                (
                    Inbound::Native { native, event: NativeEvent::Audio { item, .. } },
                    [clip, ..],
                ) => {
                    spoken.next();
                    LoggedRef::Native { native: *native, item, clip: *clip }
                }
                (Inbound::Audio { lane, seq, .. }, _) if self.coded.contains(lane) => {
                    LoggedRef::Frame { lane: *lane, seq: *seq }
                }
                (other, _) => LoggedRef::Other(other),
            };
            list.serialize_element(&logged)?;
        }
        list.end()
    }
}
