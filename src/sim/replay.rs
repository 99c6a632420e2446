//! Replay: a session stepped from its journal, and compared.
//!
//! After each tick the digests must be equal. The first that is not is where the two timelines part.

pub use super::player::{NotReplayable, Remembering, plan_of};

use super::player::Player;
use crate::journal::{CODEC, Journal, TickEntry, Transcode};
use crate::session::checkpoint::BUILD;
use crate::session::event::Event;
use crate::session::output::Output;

/// How a replay went.
#[derive(Debug, Clone, PartialEq)]
pub enum Replayed {
    /// All digests are equal.
    Equal {
        /// Ticks compared.
        ticks: u64,
    },
    /// They part at a tick.
    Diverged(Box<Divergence>),
    /// Another build, or another codec, wrote the journal: nothing can be said.
    Incompatible {
        /// What wrote it.
        build: String,
    },
}

/// The first tick in which a replay is not what was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// The tick.
    pub tick: u64,
    /// The digests: recorded, replayed.
    pub digests: [u64; 2],
    /// Whether the audio heard is the same: if not, the codec differs, not the session.
    pub heard_alike: bool,
    /// The events of the tick: recorded, replayed.
    pub events: [Vec<Event>; 2],
}

/// Replays a journal of PCM; `each` sees every tick's output.
///
/// # Errors
/// The configuration in the journal cannot be used, or it has no inputs.
pub fn replay(
    journal: &Journal,
    each: impl FnMut(&TickEntry, &Output),
) -> Result<Replayed, NotReplayable> {
    if journal.header.codec != CODEC {
        let build = format!("{} with codec {}", journal.header.build, journal.header.codec);
        return Ok(Replayed::Incompatible { build });
    }
    replay_coded(journal, None, each)
}

/// Replays a journal whose packets this turns into frames.
///
/// # Errors
/// As for [`replay`].
pub fn replay_coded(
    journal: &Journal,
    transcode: Option<Box<dyn Transcode>>,
    mut each: impl FnMut(&TickEntry, &Output),
) -> Result<Replayed, NotReplayable> {
    if journal.header.build != BUILD {
        return Ok(Replayed::Incompatible { build: journal.header.build.clone() });
    }
    let mut player = Player::new(journal, transcode)?;
    while let Some(entry) = player.tick()? {
        let out = player.output();
        each(entry, out);
        if out.digest != entry.outcomes.digest {
            let heard_alike = player.heard() == entry.outcomes.heard;
            return Ok(Replayed::Diverged(Box::new(Divergence {
                tick: entry.input.tick.0,
                digests: [entry.outcomes.digest, out.digest],
                heard_alike,
                events: [entry.outcomes.events.clone(), out.events.clone()],
            })));
        }
    }
    Ok(Replayed::Equal { ticks: journal.ticks.len() as u64 })
}
