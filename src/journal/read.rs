//! Reading a journal, to the last whole entry.

use serde::Deserialize;

use super::{
    ENTRY_MAX, Happened, Header, Kind, LEN_MASK, Logged, MAGIC, Outcomes, VERSION, checked_len,
    pack,
};
use crate::clock::Tick;
use crate::pcm::{Clip, pcm_bytes};
use crate::session::input::{Coded, Inbound, Input, UNDECODED};
use crate::think::native::event::NativeEvent;

/// Samples of clips for each byte of a file at most, beyond the first ones: speech packs to less than
/// one, and what unfolds so much further is not believed. Each clip is in memory once.
const UNFOLDS_MAX: usize = 50;

/// Samples of clips that any file may have: half an hour of silence at 16 kHz, which packs to nearly
/// nothing.
const UNFOLDED_MIN: usize = 32 << 20;

/// The last tick that is believed: a hundred days of 20 ms.
const TICK_MAX: u64 = 432_000_000;

/// A journal in memory.
#[derive(Debug, Clone)]
pub struct Journal {
    /// What the run depended on.
    pub header: Header,
    /// The ticks, in order. One that is not full has those in which something happened.
    pub ticks: Vec<TickEntry>,
    /// The other configurations that the session ran on, in order.
    pub changes: Vec<Change>,
    /// The first tick in which a fork went another way than its recording.
    pub diverged: Option<Tick>,
    /// How the file ends.
    pub tail: Tail,
    /// What takes how much room.
    pub sizes: Sizes,
    /// How many clips there are in it: whoever goes on with it numbers theirs from here.
    pub(super) clips: u32,
}

/// Another configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The position in [`Journal::ticks`] of the first tick on it.
    pub before: usize,
    /// The configuration as JSON.
    pub config: String,
}

/// What takes how much of a journal, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The agents' audio, as it is in the file.
    pub speech: usize,
    /// The agents' audio, unpacked.
    pub speech_unpacked: usize,
    /// Packets of participants.
    pub packets: usize,
    /// Samples of participants.
    pub samples: usize,
    /// The whole entries of ticks: packets and samples are part of it.
    pub ticks: usize,
    /// All of it.
    pub file: usize,
}

/// A tick of a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct TickEntry {
    /// What arrived. The frames of coded lanes are still to be [decoded](super::Transcode).
    pub input: Input,
    /// What it came to.
    pub outcomes: Outcomes,
}

/// How a journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// With a whole entry.
    Whole,
    /// In the middle of an entry, which is left out: the writer was killed.
    Torn {
        /// Where the whole entries end.
        at: usize,
    },
}

/// Why bytes cannot be read as a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAJournal {
    /// They do not begin as one.
    Other,
    /// Another version of the format.
    Version(u16),
    /// An entry is damaged, with more after it.
    Damaged {
        /// Where the entry begins.
        at: usize,
        /// What is wrong with it.
        why: String,
    },
}

impl std::fmt::Display for NotAJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Other => {
                f.write_str("this is not a journal; name the journal.antiphon of an output folder")
            }
            Self::Version(found) => {
                write!(
                    f,
                    "the journal has format {found}, this program reads format {VERSION}; use the program that wrote it"
                )
            }
            Self::Damaged { at, why } => write!(
                f,
                "the journal is damaged at byte {at}: {why}; what lies before can be cut out (head -c {at})"
            ),
        }
    }
}

impl std::error::Error for NotAJournal {}

#[derive(Deserialize)]
struct Arrived {
    tick: Tick,
    skipped: u32,
    inbound: Vec<Logged>,
    coded: Vec<Coded>,
    packets: Vec<u8>,
    #[serde(with = "pcm_bytes")]
    pcm: Vec<i16>,
}

impl Journal {
    /// Reads a journal.
    ///
    /// # Errors
    /// The bytes are not a journal, are of another format, or are damaged before their end.
    pub fn read(bytes: &[u8]) -> Result<Self, NotAJournal> {
        let body = bytes.strip_prefix(MAGIC.as_slice()).ok_or(NotAJournal::Other)?;
        let version =
            body.first_chunk::<2>().map(|v| u16::from_le_bytes(*v)).ok_or(NotAJournal::Other)?;
        if version != VERSION {
            return Err(NotAJournal::Version(version));
        }
        let mut entries = Entries { bytes, at: MAGIC.len() + 2, tail: Tail::Whole };
        let header = match entries.next() {
            Some(Ok((_, Kind::Header, payload))) => payload,
            Some(Err(damage)) => return Err(damage),
            _ => {
                return Err(NotAJournal::Damaged {
                    at: entries.at,
                    why: "it has no header".into(),
                });
            }
        };
        let header = decode::<Header>(MAGIC.len() + 2, header)?.0;
        let mut journal = Self {
            header,
            ticks: Vec::new(),
            changes: Vec::new(),
            diverged: None,
            tail: Tail::Whole,
            sizes: Sizes { file: bytes.len(), ..Sizes::default() },
            clips: 0,
        };
        let mut clips = Vec::new();
        while let Some(entry) = entries.next() {
            let (at, kind, payload) = entry?;
            journal.take(at, kind, payload, &mut clips)?;
        }
        journal.tail = entries.tail;
        journal.clips = clips.len() as u32;
        Ok(journal)
    }

    fn take(
        &mut self,
        at: usize,
        kind: Kind,
        payload: &[u8],
        clips: &mut Vec<Clip>,
    ) -> Result<(), NotAJournal> {
        let damaged = |why: String| NotAJournal::Damaged { at, why };
        match kind {
            Kind::Header => return Err(damaged("a second header".into())),
            Kind::Clip | Kind::Packed | Kind::Source => {
                let unpacked = self.sizes.speech_unpacked / 2;
                let most = UNFOLDED_MIN + self.sizes.file * UNFOLDS_MAX;
                let bound = most.saturating_sub(unpacked);
                let clip = match kind {
                    Kind::Packed => pack::unpack(payload, bound).map_err(damaged)?,
                    Kind::Source => pack::convert(payload, bound).map_err(damaged)?,
                    _ => decode::<Clip>(at, payload)?.0,
                };
                self.sizes.speech += payload.len();
                self.sizes.speech_unpacked += clip.0.len() * 2;
                clips.push(clip);
            }
            Kind::Tick => {
                let entry = tick(at, payload, clips)?;
                self.is_next(entry.input.tick).map_err(damaged)?;
                self.sizes.ticks += payload.len();
                self.sizes.packets += entry.input.packets.len();
                self.sizes.samples += entry.input.pcm.len() * 2;
                self.ticks.push(entry);
            }
            Kind::Events => {
                let Happened { tick, events, digest } = decode(at, payload)?.0;
                self.is_next(tick).map_err(damaged)?;
                self.sizes.ticks += payload.len();
                let outcomes = Outcomes { events, digest, ..Outcomes::default() };
                self.ticks.push(TickEntry { input: Input { tick, ..Input::default() }, outcomes });
            }
            Kind::Change => {
                let config = decode(at, payload)?.0;
                self.changes.push(Change { before: self.ticks.len(), config });
            }
            Kind::Diverged => self.diverged = Some(decode(at, payload)?.0),
        }
        Ok(())
    }
}

impl Journal {
    /// Time goes on, and not for ever.
    fn is_next(&self, tick: Tick) -> Result<(), String> {
        let last = self.ticks.last().map(|entry| entry.input.tick);
        if tick.0 > TICK_MAX || last.is_some_and(|last| tick <= last) {
            let last =
                last.map_or_else(|| "the beginning".to_owned(), |last| format!("tick {last}"));
            return Err(format!("tick {tick} cannot follow {last}"));
        }
        Ok(())
    }
}

fn tick(at: usize, payload: &[u8], clips: &[Clip]) -> Result<TickEntry, NotAJournal> {
    let (arrived, rest) = decode::<Arrived>(at, payload)?;
    let (outcomes, _) = decode::<Outcomes>(at, rest)?;
    let Arrived { tick, skipped, inbound: logged, coded, packets, pcm } = arrived;
    let known = |clip: u32| {
        clips.get(clip as usize).cloned().ok_or_else(|| NotAJournal::Damaged {
            at,
            why: format!("it refers to audio {clip}, which is not there"),
        })
    };
    let mut inbound = Vec::with_capacity(logged.len());
    for value in logged {
        inbound.push(match value {
            Logged::Other(value) => value,
            Logged::Frame { lane, seq } => Inbound::Audio { lane, seq, from: UNDECODED, len: 0 },
            Logged::Speech { item, clip, last } => {
                Inbound::Speech { item, pcm: known(clip)?, last }
            }
            Logged::Native { native, item, clip } => {
                let event = NativeEvent::Audio { item, pcm: known(clip)? };
                Inbound::Native { native, event }
            }
        });
    }
    let input = Input { tick, skipped, inbound, pcm, coded, packets };
    Ok(TickEntry { input, outcomes })
}

fn decode<'b, T: Deserialize<'b>>(
    at: usize,
    bytes: &'b [u8],
) -> Result<(T, &'b [u8]), NotAJournal> {
    postcard::take_from_bytes(bytes)
        .map_err(|error| NotAJournal::Damaged { at, why: error.to_string() })
}

/// Where an entry begins, its kind, and its payload.
type Entry<'b> = (usize, Kind, &'b [u8]);

struct Entries<'b> {
    bytes: &'b [u8],
    at: usize,
    tail: Tail,
}

impl<'b> Entries<'b> {
    /// The next whole entry. At the torn end of a file there is none.
    fn next(&mut self) -> Option<Result<Entry<'b>, NotAJournal>> {
        let at = self.at;
        let rest = &self.bytes[at..];
        if rest.is_empty() {
            return None;
        }
        let damaged = |why: &str| Some(Err(NotAJournal::Damaged { at, why: why.into() }));
        let word = rest.first_chunk::<4>().map(|word| u32::from_le_bytes(*word));
        if word.is_some_and(|word| word != checked_len(word)) {
            return damaged("an entry of impossible length");
        }
        let whole = rest.split_first_chunk::<8>().and_then(|(head, body)| {
            let len = (word? & LEN_MASK) as usize;
            let sum = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
            Some((len, sum, body.get(..len)?))
        });
        let Some((len, sum, payload)) = whole else {
            self.tail = Tail::Torn { at };
            self.at = self.bytes.len();
            return None;
        };
        self.at = at + 8 + len;
        if len == 0 || len > ENTRY_MAX {
            return damaged("an entry of impossible length");
        }
        if crc32fast::hash(payload) != sum {
            if self.at == self.bytes.len() {
                // The last block may have reached the disk in part.
                self.tail = Tail::Torn { at };
                return None;
            }
            return damaged("the checksum does not fit");
        }
        match Kind::from_byte(payload[0]) {
            Some(kind) => Some(Ok((at, kind, &payload[1..]))),
            None => damaged("an entry of unknown kind"),
        }
    }
}
