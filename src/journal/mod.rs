//! The journal: everything that came from outside, tick by tick, with the digest of each tick.
//!
//! A file is a magic number, a format version, and entries: a length, a CRC-32, and that many bytes.
//! The first entry says what the run depended on; then each tick has one with its inputs, the
//! outcomes of its tool calls, its events and its digests. Agent audio is written once and referred
//! to by number: a phrase that is said ten times is in the file once.
//!
//! A file that ends in the middle of an entry is whole up to there: that is what a killed process
//! leaves. A checksum that does not fit in the middle is damage, and is said to be.
//!
//! **Invariant:** what is read back makes a session step alike; no clock, no file, only bytes.

mod read;
mod write;

use serde::{Deserialize, Serialize};

pub use read::{Journal, NotAJournal, Tail, TickEntry};
pub use write::{Scribe, Sealed};

use crate::id::{CallId, ItemId};
use crate::session::event::Event;
use crate::session::input::Inbound;
use crate::tool::Called;

/// What a file begins with.
pub const MAGIC: &[u8; 8] = b"ANTIPHON";

/// The version of the format. Readers know exactly their own.
pub const VERSION: u16 = 1;

/// The longest entry that is believed: a minute of audio at 48 kHz is 6 MB.
const ENTRY_MAX: usize = 32 << 20;

/// The length of an entry with its check in the highest four bits. A wrong length would hide all
/// that follows, as if the file were torn there; any one flipped bit shows.
const fn checked_len(len: u32) -> u32 {
    let mut check = 0xF;
    let mut rest = len & LEN_MASK;
    while rest > 0 {
        check ^= rest & 0xF;
        rest >>= 4;
    }
    (len & LEN_MASK) | check << 28
}

/// The bits of an entry's length: far more than [`ENTRY_MAX`].
const LEN_MASK: u32 = (1 << 28) - 1;

/// The codec of the audio in a journal: PCM as it was heard.
pub const CODEC: &str = "pcm16";

/// What a run depended on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The build that wrote it; another one may step otherwise.
    pub build: String,
    /// The codec and its build.
    pub codec: String,
    /// The configuration as JSON. It holds no secrets: those are only in the environment.
    pub config: String,
    /// The seed of the session.
    pub seed: u64,
    /// Whether time was virtual.
    pub virtual_time: bool,
    /// When the run started, in milliseconds since 1970, or nothing in virtual time.
    pub started_ms: Option<u64>,
}

/// The kinds of entry, by their first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Header = 0,
    Clip = 1,
    Tick = 2,
}

impl Kind {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Header),
            1 => Some(Self::Clip),
            2 => Some(Self::Tick),
            _ => None,
        }
    }
}

/// An inbound value as it is written: audio of the agent by number.
#[derive(Debug, Deserialize)]
enum Logged {
    Speech { item: ItemId, clip: u32, last: bool },
    Other(Inbound),
}

/// The same, to be written.
#[derive(Serialize)]
enum LoggedRef<'a> {
    Speech { item: ItemId, clip: u32, last: bool },
    Other(&'a Inbound),
}

/// What came of a tick, as it is written after it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcomes {
    /// What became of the tick's calls, in order.
    pub called: Vec<(CallId, Called)>,
    /// The events of the tick.
    pub events: Vec<Event>,
    /// The digest of the session after it.
    pub digest: u64,
    /// The digest of the audio that was heard, which tells a codec's difference from a session's.
    pub heard: u64,
}

/// The same, to be written.
#[derive(Serialize)]
struct OutcomesRef<'a> {
    called: &'a [(CallId, Called)],
    events: &'a [Event],
    digest: u64,
    heard: u64,
}
