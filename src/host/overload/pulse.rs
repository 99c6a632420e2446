//! What a thread of ticks tells of itself, and is told: atomics that it writes as it goes along.
//!
//! **Invariant:** to tell costs a few atomic additions a tick, and nobody waits for anybody.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A shard's side of it.
#[derive(Debug, Default)]
pub struct Beat {
    busy_ns: AtomicU64,
    ticks: AtomicU64,
    late: AtomicU64,
    skipped: AtomicU64,
    /// Its sessions are to do what is no audio less often.
    strained: AtomicBool,
}

/// How it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Nanoseconds within ticks.
    pub busy_ns: u64,
    /// Ticks of sessions that were stepped.
    pub ticks: u64,
    /// Those that began half a tick late or later.
    pub late: u64,
    /// Ticks that were jumped over.
    pub skipped: u64,
}

impl Beat {
    /// A tick of this length began so late, took so long, and followed so many that were jumped over.
    pub fn ticked(&self, tick_ns: u64, lateness_ns: u64, step_ns: u64, skipped: u32) {
        self.busy_ns.fetch_add(step_ns, Ordering::Relaxed);
        self.ticks.fetch_add(1, Ordering::Relaxed);
        if lateness_ns >= tick_ns / 2 {
            self.late.fetch_add(1, Ordering::Relaxed);
        }
        if skipped > 0 {
            self.skipped.fetch_add(u64::from(skipped), Ordering::Relaxed);
        }
    }

    /// How it stands.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        let read = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Pulse {
            busy_ns: read(&self.busy_ns),
            ticks: read(&self.ticks),
            late: read(&self.late),
            skipped: read(&self.skipped),
        }
    }

    /// Puts the shard's sessions under strain, or takes it from them.
    pub fn strain(&self, strained: bool) {
        self.strained.store(strained, Ordering::Release);
    }

    pub(in super::super) fn is_strained(&self) -> bool {
        self.strained.load(Ordering::Acquire)
    }
}
