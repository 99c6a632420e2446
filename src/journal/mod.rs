//! The journal: everything that came from outside, tick by tick, with the digest of each tick.
//!
//! A file is a magic number, a format version, and entries: a length, a CRC-32, and that many bytes.
//! The first entry is the [`Header`]: what the run depended on, and the [`Mode`]. Then, in a *full*
//! journal, each tick has an entry with its inputs, the outcomes of its tool calls, its events and its
//! digests; one of *events* has the events and digests alone, and so has a *redacted* one, without
//! texts. Agent audio is written once and referred to by number: a phrase that is said ten times is in
//! the file once. Lanes whose audio comes in packets of a codec are written as packets.
//!
//! A file that ends in the middle of an entry is whole up to there: that is what a killed process
//! leaves. A checksum that does not fit in the middle is damage, and is said to be.
//!
//! **Invariant:** what is read back makes a session step alike; no clock, no file, only bytes.

pub mod frames;
pub mod pack;
mod read;
mod redact;
mod write;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

pub use crate::config::JournalMode;
pub use read::{Change, Journal, NotAJournal, Sizes, Tail, TickEntry};
pub use redact::redact;
pub use write::{Scribe, Sealed};

use crate::clock::Tick;
use crate::id::{CallId, ItemId, LaneId, NativeId};
use crate::pcm::Clip;
use crate::session::checkpoint::BUILD;
use crate::session::digest_pcm;
use crate::session::event::Event;
use crate::session::input::{Inbound, Input};
use crate::session::plan::Plan;
use crate::think::native::event::NativeEvent;
use crate::tool::Called;

/// What a file begins with.
pub const MAGIC: &[u8; 8] = b"ANTIPHON";

/// The version of the format. Readers know exactly their own.
pub const VERSION: u16 = 2;

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

/// The codec of a journal without packets: PCM as it was heard.
pub const CODEC: &str = "pcm16";

/// What a run depended on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The build that wrote it; another one may step otherwise.
    pub build: String,
    /// The codec of its packets and that codec's build, or [`CODEC`].
    pub codec: String,
    /// The configuration as JSON. It holds no secrets: those are only in the environment.
    pub config: String,
    /// The seed of the session.
    pub seed: u64,
    /// Whether time was virtual.
    pub virtual_time: bool,
    /// When the run started, in milliseconds since 1970, or nothing in virtual time.
    pub started_ms: Option<u64>,
    /// What is in it.
    pub mode: Mode,
    /// The recording that it was forked from, if it was.
    pub fork: Option<Origin>,
}

impl Header {
    /// The head of a full journal of PCM, of a session of this plan in virtual time.
    #[must_use]
    pub fn new(plan: &Plan, seed: u64) -> Self {
        Self {
            build: BUILD.to_owned(),
            codec: CODEC.to_owned(),
            config: plan.config.to_json(),
            seed,
            virtual_time: true,
            started_ms: None,
            mode: Mode::Full,
            fork: None,
        }
    }
}

/// What is in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything: the call can be replayed.
    Full,
    /// What happened, without what it came from.
    Events,
    /// When what happened and what was decided, without audio and text.
    Redacted,
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Events => "events",
            Self::Redacted => "redacted",
        })
    }
}

/// The recording that a call was forked from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The file, by its name alone.
    pub of: String,
    /// The first tick that ran on other settings.
    pub at: Tick,
}

/// Turns the packets of a tick into the frames that were heard, as the edge did that heard them.
pub trait Transcode: Send {
    /// Fills in the frames of [`Input::coded`] lanes that are still to be decoded.
    fn fill(&mut self, input: &mut Input);
}

/// The kinds of entry, by their first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Header = 0,
    Clip = 1,
    Tick = 2,
    /// A clip, or what it was converted from, packed.
    Packed = 3,
    /// What happened in a tick, in a journal of events.
    Events = 4,
    /// Another configuration from the next tick on.
    Change = 5,
    /// The call goes another way than the recording that it was forked from, from the last tick on.
    Diverged = 6,
    /// What a clip was converted from.
    Source = 7,
}

impl Kind {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Header),
            1 => Some(Self::Clip),
            2 => Some(Self::Tick),
            3 => Some(Self::Packed),
            4 => Some(Self::Events),
            5 => Some(Self::Change),
            6 => Some(Self::Diverged),
            7 => Some(Self::Source),
            _ => None,
        }
    }
}

/// An inbound value as it is written: audio of the agent by number, and none of coded lanes.
#[derive(Debug, Deserialize)]
enum Logged {
    Speech { item: ItemId, clip: u32, last: bool },
    Frame { lane: LaneId, seq: u16 },
    Other(Inbound),
    Native { native: NativeId, item: String, clip: u32 },
}

/// The same, to be written.
#[derive(Serialize)]
enum LoggedRef<'a> {
    Speech { item: ItemId, clip: u32, last: bool },
    Frame { lane: LaneId, seq: u16 },
    Other(&'a Inbound),
    Native { native: NativeId, item: &'a str, clip: u32 },
}

/// The audio of the agent's that a value brings.
const fn agent_audio(value: &Inbound) -> Option<&Clip> {
    match value {
        Inbound::Speech { pcm, .. }
        | Inbound::Native { event: NativeEvent::Audio { pcm, .. }, .. } => Some(pcm),
        _ => None,
    }
}

/// The digest of the audio that was heard in a tick, in order of arrival; 0 without any. 16 bits tell
/// whether two decoders differ, which they do in many ticks or in none.
#[must_use]
pub fn heard(input: &Input) -> u16 {
    let mut hash = None;
    for value in &input.inbound {
        if let Inbound::Audio { from, len, .. } = *value {
            let frame = input.pcm.get(from as usize..).and_then(|pcm| pcm.get(..usize::from(len)));
            digest_pcm(hash.get_or_insert_with(Xxh3::new), frame.unwrap_or_default());
        }
    }
    hash.map_or(0, |hash| hash.digest() as u16)
}

/// A digest as eight bytes: as a number of variable length it would take ten.
mod digest_bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(digest: &u64, to: S) -> Result<S::Ok, S::Error> {
        digest.to_le_bytes().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        <[u8; 8]>::deserialize(from).map(u64::from_le_bytes)
    }
}

/// What came of a tick, as it is written after it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcomes {
    /// What became of the tick's calls, in order.
    pub called: Vec<(CallId, Called)>,
    /// The events of the tick.
    pub events: Vec<Event>,
    /// The digest of the session after it.
    #[serde(with = "digest_bytes")]
    pub digest: u64,
    /// The [digest](heard) of the audio that was heard, which tells a codec's difference from a
    /// session's.
    pub heard: u16,
}

/// The same, to be written.
#[derive(Serialize)]
struct OutcomesRef<'a> {
    called: &'a [(CallId, Called)],
    events: &'a [Event],
    #[serde(with = "digest_bytes")]
    digest: u64,
    heard: u16,
}

/// What a clip was converted from.
#[derive(Debug, Serialize, Deserialize)]
struct Sourced {
    from_hz: u32,
    to_hz: u32,
    pcm: Clip,
}

/// The same, to be written.
#[derive(Serialize)]
struct SourcedRef<'a> {
    from_hz: u32,
    to_hz: u32,
    pcm: Pcm<'a>,
}

/// Samples as a clip is written.
struct Pcm<'a>(&'a [i16]);

impl Serialize for Pcm<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::pcm::pcm_bytes::serialize(self.0, serializer)
    }
}

/// What happened in a tick, where inputs are not written.
#[derive(Debug, Deserialize)]
struct Happened {
    tick: Tick,
    events: Vec<Event>,
    #[serde(with = "digest_bytes")]
    digest: u64,
}

/// The same, to be written.
#[derive(Serialize)]
struct HappenedRef<'a> {
    tick: Tick,
    events: &'a [Event],
    #[serde(with = "digest_bytes")]
    digest: u64,
}
