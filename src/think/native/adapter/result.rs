//! What came of one tick of a model that speaks.

use serde::{Deserialize, Serialize};

use crate::think::chat::{Call, ModelError};
use crate::think::native::event::UsageRecord;

/// What came of a tick. Reused from tick to tick.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TickResult {
    /// Which tick it is, counted from 0.
    pub tick: u64,
    /// Its length, in milliseconds.
    pub tick_ms: u32,
    /// The rate of its audio, in samples a second.
    pub hz: u32,
    /// The agent's audio: exactly one tick, with silence at the end where there was not enough.
    pub audio: Vec<i16>,
    /// Whether any of it came from the provider.
    pub is_speech: bool,
    /// Samples of the user's audio that went to the provider.
    pub sent_samples: u64,
    /// Milliseconds of the user's audio before this tick.
    pub user_ms_at_start: u64,
    /// How many events came.
    pub events: u32,
    /// What the provider told of speech.
    pub speech: Vec<Speech>,
    /// The calls that are to be made.
    pub calls: Vec<Call>,
    /// What was used, as far as it was told in this tick.
    pub usage: Vec<UsageRecord>,
    /// Trouble.
    pub troubles: Vec<ModelError>,
    /// What was played, item by item, in order.
    pub played: Vec<PlayedItem>,
    /// The words of what was played; those of several items are parted by a space.
    pub transcript: String,
    /// The user cut in, and there was something to cut.
    pub truncated: bool,
    /// Samples that came and will not be played, as far as that became known in this tick.
    pub truncated_samples: u64,
    /// What was cut in this tick, and how far it was played.
    pub cuts: Vec<Cut>,
    /// The item of which no more is played; until another one comes.
    pub skipping: Option<String>,
    /// Where the user cut in, as the provider has it.
    pub interruption_ms: Option<u64>,
    /// Samples that wait.
    pub buffered: u64,
    /// The provider has been silent for too long. The count begins anew.
    pub stalled: bool,
    /// Calls, records and cues for which there was no room.
    pub refused: u32,
}

/// What a provider tells of the user's speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Speech {
    /// It began.
    Started {
        /// Where, in milliseconds of the user's audio.
        at_ms: Option<u64>,
    },
    /// It ended.
    Stopped {
        /// Where, in milliseconds of the user's audio.
        at_ms: Option<u64>,
    },
    /// The provider has cut what it was saying.
    Interrupted,
}

/// What a tick played of an item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlayedItem {
    /// The item.
    pub item: String,
    /// Samples of it in this tick.
    pub samples: u32,
    /// Samples of it so far.
    pub total: u64,
    /// The words that belong to them.
    pub text: String,
    /// It is over, and all of it was played.
    pub finished: bool,
}

impl PlayedItem {
    pub(super) fn of(item: &str, samples: u32) -> Self {
        Self { item: item.to_owned(), samples, ..Self::default() }
    }
}

/// An item of which no more is played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The item.
    pub item: String,
    /// Samples that were played of it.
    pub samples: u64,
    /// The same in milliseconds, rounded down: what the provider is told.
    pub audio_end_ms: u64,
    /// The words that belong to them.
    pub spoken: String,
}

impl TickResult {
    /// Empties it for the next tick, of silence.
    pub(super) fn clear(&mut self, len: usize) {
        let mut audio = std::mem::take(&mut self.audio);
        audio.clear();
        audio.resize(len, 0);
        let (mut played, mut cuts) =
            (std::mem::take(&mut self.played), std::mem::take(&mut self.cuts));
        played.clear();
        cuts.clear();
        *self = Self { audio, played, cuts, ..Self::default() };
    }

    /// Milliseconds of the user's audio that went to the provider, rounded down.
    #[must_use]
    pub const fn sent_ms(&self) -> u64 {
        if self.hz == 0 { 0 } else { self.sent_samples * 1_000 / self.hz as u64 }
    }
}
