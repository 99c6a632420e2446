//! Writing a journal, into a buffer that the driver empties.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};
use xxhash_rust::xxh3::Xxh3;

use super::{Header, Kind, LoggedRef, MAGIC, OutcomesRef, VERSION, checked_len};
use crate::clock::Tick;
use crate::id::CallId;
use crate::pcm::Clip;
use crate::session::digest_pcm;
use crate::session::event::Event;
use crate::session::input::{Inbound, Input};
use crate::tool::Called;

/// Clips remembered for reference; beyond, audio is written again. 4,096 phrases are hours of talk.
const CLIPS_MAX: usize = 4_096;

/// Writes a journal.
#[derive(Debug)]
pub struct Scribe {
    /// Bytes not yet taken by the driver.
    bytes: Vec<u8>,
    /// Where the open entry's payload begins.
    open: Option<usize>,
    clips: BTreeMap<(u128, usize), u32>,
    next_clip: u32,
    heard: u64,
    /// The clips of the open tick's speech, in order.
    spoken: Vec<u32>,
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
            bytes: Vec::with_capacity(1 << 12),
            open: None,
            clips: BTreeMap::new(),
            next_clip: 0,
            heard: 0,
            spoken: Vec::new(),
        };
        scribe.bytes.extend_from_slice(MAGIC);
        scribe.bytes.extend_from_slice(&VERSION.to_le_bytes());
        scribe.begin(Kind::Header);
        scribe.put(header);
        scribe.end();
        scribe
    }

    /// Notes what arrived for a tick, before the session takes it.
    pub fn arrived(&mut self, input: &Input) {
        debug_assert!(self.open.is_none(), "the last tick was not sealed");
        // Here and not later: a tick's entry refers to all of its clips.
        if self.clips.len() + input.inbound.len() > CLIPS_MAX {
            self.clips.clear();
        }
        self.spoken.clear();
        for value in &input.inbound {
            if let Inbound::Speech { pcm, .. } = value {
                let clip = self.clip(pcm);
                self.spoken.push(clip);
            }
        }
        let mut hash = Xxh3::new();
        digest_pcm(&mut hash, &input.pcm);
        self.heard = hash.digest();
        self.begin(Kind::Tick);
        let arrived = Arrived {
            tick: input.tick,
            skipped: input.skipped,
            inbound: Inbounds { values: &input.inbound, spoken: &self.spoken },
            pcm: Pcm(&input.pcm),
        };
        put(&mut self.bytes, &arrived);
    }

    /// Closes the tick's entry with what it came to; nothing if none is open.
    pub fn sealed(&mut self, sealed: Sealed<'_>) {
        if self.open.is_none() {
            return;
        }
        let Sealed { called, events, digest } = sealed;
        self.put(&OutcomesRef { called, events, digest, heard: self.heard });
        self.end();
    }

    /// The bytes written since they were last taken; only whole entries.
    pub fn take(&mut self, into: &mut Vec<u8>) {
        debug_assert!(self.open.is_none(), "an entry is open");
        into.append(&mut self.bytes);
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
        self.begin(Kind::Clip);
        self.put(pcm);
        self.end();
        number
    }

    fn begin(&mut self, kind: Kind) {
        self.bytes.extend_from_slice(&[0; 8]);
        self.open = Some(self.bytes.len());
        self.bytes.push(kind as u8);
    }

    fn put(&mut self, value: &impl Serialize) {
        put(&mut self.bytes, value);
    }

    fn end(&mut self) {
        let Some(from) = self.open.take() else { return };
        let (head, payload) = self.bytes.split_at_mut(from);
        let head = &mut head[from - 8..];
        head[..4].copy_from_slice(&checked_len(payload.len() as u32).to_le_bytes());
        head[4..].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    }
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
    pcm: Pcm<'a>,
}

struct Pcm<'a>(&'a [i16]);

impl Serialize for Pcm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::pcm::pcm_bytes::serialize(self.0, serializer)
    }
}

struct Inbounds<'a> {
    values: &'a [Inbound],
    spoken: &'a [u32],
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
                (other, _) => LoggedRef::Other(other),
            };
            list.serialize_element(&logged)?;
        }
        list.end()
    }
}
