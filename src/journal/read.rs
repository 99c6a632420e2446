//! Reading a journal, to the last whole entry.

use serde::Deserialize;

use super::{ENTRY_MAX, Header, Kind, LEN_MASK, Logged, MAGIC, Outcomes, VERSION, checked_len};
use crate::clock::Tick;
use crate::pcm::{Clip, pcm_bytes};
use crate::session::input::{Inbound, Input};

/// A journal in memory.
#[derive(Debug, Clone)]
pub struct Journal {
    /// What the run depended on.
    pub header: Header,
    /// The ticks, in order.
    pub ticks: Vec<TickEntry>,
    /// How the file ends.
    pub tail: Tail,
}

/// A tick of a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct TickEntry {
    /// What arrived.
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
                write!(f, "the journal has format {found}, this program reads format {VERSION}")
            }
            Self::Damaged { at, why } => write!(f, "the journal is damaged at byte {at}: {why}"),
        }
    }
}

impl std::error::Error for NotAJournal {}

#[derive(Deserialize)]
struct Arrived {
    tick: Tick,
    skipped: u32,
    inbound: Vec<Logged>,
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
        let (mut clips, mut ticks) = (Vec::<Clip>::new(), Vec::new());
        while let Some(entry) = entries.next() {
            let (at, kind, payload) = entry?;
            match kind {
                Kind::Header => {
                    return Err(NotAJournal::Damaged { at, why: "a second header".into() });
                }
                Kind::Clip => clips.push(decode(at, payload)?.0),
                Kind::Tick => ticks.push(tick(at, payload, &clips)?),
            }
        }
        Ok(Self { header, ticks, tail: entries.tail })
    }
}

fn tick(at: usize, payload: &[u8], clips: &[Clip]) -> Result<TickEntry, NotAJournal> {
    let (arrived, rest) = decode::<Arrived>(at, payload)?;
    let (outcomes, _) = decode::<Outcomes>(at, rest)?;
    let Arrived { tick, skipped, inbound: logged, pcm } = arrived;
    let mut inbound = Vec::with_capacity(logged.len());
    for value in logged {
        inbound.push(match value {
            Logged::Other(value) => value,
            Logged::Speech { item, clip, last } => {
                let pcm =
                    clips.get(clip as usize).cloned().ok_or_else(|| NotAJournal::Damaged {
                        at,
                        why: format!("it refers to audio {clip}, which is not there"),
                    })?;
                Inbound::Speech { item, pcm, last }
            }
        });
    }
    Ok(TickEntry { input: Input { tick, skipped, inbound, pcm }, outcomes })
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
