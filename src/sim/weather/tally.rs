//! What went wrong by intention, counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The kinds of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A frame of a participant was lost on its way.
    FrameLost,
    /// A frame came twice.
    FrameDoubled,
    /// A frame came late.
    FrameDelayed,
    /// An engine's or tool's result came later than its latency.
    ResultLate,
    /// A result never came.
    ResultLost,
    /// A result came twice.
    ResultDoubled,
    /// An engine or tool failed instead of giving its result.
    ResultFailed,
    /// A tool's code panicked.
    ToolPanicked,
    /// Audio came for an item that was dropped.
    AudioUnwanted,
    /// The pacer jumped over ticks.
    TicksSkipped,
    /// A participant was cut off, and perhaps came back.
    LineDropped,
    /// Somebody hung up in the middle.
    HungUp,
    /// The program was being stopped in the middle.
    Closed,
    /// Something came that nobody had asked for.
    Nonsense,
    /// The process had too much to do, for a while or for good.
    Strained,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Self; 15] = [
        Self::FrameLost,
        Self::FrameDoubled,
        Self::FrameDelayed,
        Self::ResultLate,
        Self::ResultLost,
        Self::ResultDoubled,
        Self::ResultFailed,
        Self::ToolPanicked,
        Self::AudioUnwanted,
        Self::TicksSkipped,
        Self::LineDropped,
        Self::HungUp,
        Self::Closed,
        Self::Nonsense,
        Self::Strained,
    ];

    /// Its name, as it is reported.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FrameLost => "frame lost",
            Self::FrameDoubled => "frame doubled",
            Self::FrameDelayed => "frame delayed",
            Self::ResultLate => "result late",
            Self::ResultLost => "result lost",
            Self::ResultDoubled => "result doubled",
            Self::ResultFailed => "result failed",
            Self::ToolPanicked => "tool panicked",
            Self::AudioUnwanted => "audio unwanted",
            Self::TicksSkipped => "ticks skipped",
            Self::LineDropped => "line dropped",
            Self::HungUp => "hung up",
            Self::Closed => "closed",
            Self::Nonsense => "nonsense",
            Self::Strained => "strained",
        }
    }
}

/// A count for each kind of fault, shared by the edges of one call.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<[AtomicU64; Fault::ALL.len()]>);

impl Tally {
    /// Counts a fault.
    pub fn add(&self, fault: Fault) {
        self.0[fault as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often a fault has happened.
    #[must_use]
    pub fn count(&self, fault: Fault) -> u64 {
        self.0[fault as usize].load(Ordering::Relaxed)
    }
}
