//! How long the phases of a tick take, by the clock.
//!
//! A [`Watch`](super::shard::Watch) that wants to know keeps a [`LapTimes`]; the shard then steps its session
//! with it. For all others no clock is read within a tick.

use super::pace::{Clock, Moment};
use crate::session::laps::{Laps, Phase};

/// The times of one tick's phases.
#[derive(Debug, Clone, Copy)]
pub struct LapTimes {
    clock: Clock,
    last: Moment,
    ns: [u64; Phase::ALL.len()],
}

impl LapTimes {
    /// Times by this clock; all are 0.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, last: clock.now(), ns: [0; Phase::ALL.len()] }
    }

    /// A tick begins; what was measured of the one before is forgotten.
    pub const fn begin(&mut self, now: Moment) {
        self.last = now;
        self.ns = [0; Phase::ALL.len()];
    }

    /// How long a phase of the last tick took, in nanoseconds; one that comes in pieces, all of them.
    #[must_use]
    pub const fn ns(&self, phase: Phase) -> u64 {
        self.ns[phase as usize]
    }
}

impl Laps for LapTimes {
    fn lap(&mut self, phase: Phase) {
        let now = self.clock.now();
        self.ns[phase as usize] += now.since_ns(self.last);
        self.last = now;
    }
}
