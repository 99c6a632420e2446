//! Time inside a session: a count of ticks, and the length of one.
//!
//! A tick is the only time that the core knows. Configuration speaks milliseconds; they are turned
//! into ticks here, once, by integer floor.
//!
//! **Invariant:** nothing here asks an operating system for the time.

use serde::{Deserialize, Serialize};

/// Milliseconds in a [frame](FRAME_MS): the unit in which audio moves.
///
/// 20 ms is the packet length that Opus and WebRTC use by default.
pub const FRAME_MS: u32 = 20;

/// The index of a tick, counted from 0 at the start of the session.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Tick(pub u64);

impl Tick {
    /// The tick `count` ticks later.
    #[must_use]
    pub const fn after(self, count: u64) -> Self {
        Self(self.0 + count)
    }

    /// Ticks from `earlier` to this one; 0 if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::fmt::Display for Tick {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The length of a tick: a whole number of 20 ms frames, from 20 ms to 1,000 ms.
///
/// ```
/// use antiphon::clock::TickLen;
/// let len = TickLen::from_ms(20).unwrap();
/// assert_eq!(len.ticks(510), 25); // floor
/// assert_eq!(len.frames(), 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TickLen(u32);

impl TickLen {
    /// A tick of `ms` milliseconds; `None` unless it is a multiple of 20 between 20 and 1,000.
    #[must_use]
    pub const fn from_ms(ms: u32) -> Option<Self> {
        if ms >= FRAME_MS && ms <= 1_000 && ms.is_multiple_of(FRAME_MS) {
            Some(Self(ms))
        } else {
            None
        }
    }

    /// Milliseconds in a tick.
    #[must_use]
    pub const fn ms(self) -> u32 {
        self.0
    }

    /// 20 ms frames in a tick.
    #[must_use]
    pub const fn frames(self) -> u32 {
        self.0 / FRAME_MS
    }

    /// Whole ticks in `ms` milliseconds, rounded down.
    #[must_use]
    pub const fn ticks(self, ms: u32) -> u64 {
        (ms / self.0) as u64
    }

    /// Whole ticks in `ms` milliseconds, rounded down but at least one.
    #[must_use]
    pub const fn ticks_min_one(self, ms: u32) -> u64 {
        let ticks = self.ticks(ms);
        if ticks == 0 { 1 } else { ticks }
    }

    /// Milliseconds from the start of the session to the start of `tick`.
    #[must_use]
    pub const fn start_ms(self, tick: Tick) -> u64 {
        tick.0 * self.0 as u64
    }

    /// Milliseconds in `ticks` ticks.
    #[must_use]
    pub const fn span_ms(self, ticks: u64) -> u64 {
        ticks * self.0 as u64
    }
}

/// Samples of a second of mono audio: 8, 16, 24 or 48 kHz, the rates that Opus codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(u32);

impl Rate {
    /// The rate of the lane that voice detection and recognition hear.
    pub const SPEECH: Self = Self(16_000);

    /// The rate of `hz` samples a second; `None` unless 8,000, 16,000, 24,000 or 48,000.
    #[must_use]
    pub const fn from_hz(hz: u32) -> Option<Self> {
        match hz {
            8_000 | 16_000 | 24_000 | 48_000 => Some(Self(hz)),
            _ => None,
        }
    }

    /// Samples a second.
    #[must_use]
    pub const fn hz(self) -> u32 {
        self.0
    }

    /// Samples in a 20 ms frame.
    #[must_use]
    pub const fn frame(self) -> usize {
        (self.0 / 1_000 * FRAME_MS) as usize
    }

    /// Samples in `ms` milliseconds.
    #[must_use]
    pub const fn samples(self, ms: u32) -> usize {
        self.0 as usize / 1_000 * ms as usize
    }

    /// Milliseconds that `samples` samples last, rounded down.
    #[must_use]
    pub const fn ms(self, samples: u64) -> u64 {
        samples * 1_000 / self.0 as u64
    }
}
