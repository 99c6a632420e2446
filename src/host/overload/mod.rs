//! Overload: what a process leaves out when it has more to do than it can, one stage after the other.
//!
//! ```text
//! calm ──▶ full ──▶ sparing ──▶ strained        a stage a look, after a few looks that say so
//!      ◀──      ◀──         ◀──                 a stage a time, after seconds that say so
//! ```
//!
//! | stage | what is left out |
//! |---|---|
//! | [`Stage::Calm`] | nothing |
//! | [`Stage::Full`] | new sessions; those on their way come |
//! | [`Stage::Sparing`] | the page of the meters is one of some seconds ago, reports of calls that end are not made, files are put away slowly |
//! | [`Stage::Strained`] | sessions do what is no audio in one of a few ticks, all alike: see [`crate::session::strain`] |
//!
//! A [`Machine`] decides, without a clock; a [`Lookout`] looks at the threads of ticks and tells it. Audio is never left
//! out on purpose: beyond all stages, the shard's own rule of ticks that are made up for and jumped over is what is left.
//!
//! **Invariant:** stages follow each other one by one, both ways, and whatever is left out is counted or recorded.

mod lookout;
mod machine;
mod pulse;
mod relief;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

pub use lookout::{Look, Lookout};
pub use machine::{Machine, Signs, Thresholds};
pub use pulse::{Beat, Pulse};
pub(super) use relief::Relief;

/// How far a process has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It has time for everything.
    #[default]
    Calm,
    /// No session is admitted.
    Full,
    /// What can be done later, or not at all, is.
    Sparing,
    /// Sessions do less.
    Strained,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [Self::Calm, Self::Full, Self::Sparing, Self::Strained];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Full => "full",
            Self::Sparing => "sparing",
            Self::Strained => "strained",
        }
    }

    /// The next one.
    const fn up(self) -> Self {
        match self {
            Self::Calm => Self::Full,
            Self::Full => Self::Sparing,
            Self::Sparing | Self::Strained => Self::Strained,
        }
    }

    /// The one before.
    const fn down(self) -> Self {
        match self {
            Self::Calm | Self::Full => Self::Calm,
            Self::Sparing => Self::Full,
            Self::Strained => Self::Sparing,
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a process stands: one writes it, and everybody may look, without a lock.
#[derive(Debug, Clone, Default)]
pub struct Place(Arc<Standing>);

#[derive(Debug, Default)]
struct Standing {
    stage: AtomicU8,
    shed: AtomicU64,
}

impl Place {
    /// The stage.
    #[must_use]
    pub fn stage(&self) -> Stage {
        Stage::ALL[usize::from(self.0.stage.load(Ordering::Acquire)).min(3)]
    }

    /// Whether sessions are admitted.
    #[must_use]
    pub fn admits(&self) -> bool {
        self.stage() == Stage::Calm
    }

    /// Whether something that can be done later, or not at all, is left out now; if so, that is counted.
    #[must_use]
    pub fn sheds(&self) -> bool {
        let sheds = self.stage() >= Stage::Sparing;
        self.0.shed.fetch_add(u64::from(sheds), Ordering::Relaxed);
        sheds
    }

    /// How often something was left out.
    #[must_use]
    pub fn shed(&self) -> u64 {
        self.0.shed.load(Ordering::Relaxed)
    }

    /// Says that it is this one. For a [`Lookout`], and for tests of those who look.
    pub fn set(&self, stage: Stage) {
        self.0.stage.store(stage as u8, Ordering::Release);
    }
}
