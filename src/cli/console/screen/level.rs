//! What moves with every tick: how loud both sides are, and how late ticks begin.
//!
//! **Invariant:** it says whether anything that can be seen has changed, so that nothing is drawn for nothing.

use std::collections::VecDeque;

/// What is shown as silence, in decibels of full scale.
pub(in super::super) const FLOOR_DB: f32 = -60.0;

/// A level falls so fast, in decibels per second: slow enough to be read, fast enough to follow words.
const FALL_DB: f32 = 40.0;

/// So long a peak is held, in milliseconds.
const HOLD_MS: u32 = 1_500;

/// A level meter with a peak that is held.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Meter {
    pub(super) level_db: f32,
    pub(super) peak_db: f32,
    held_ms: u32,
}

impl Meter {
    pub(super) const fn new() -> Self {
        Self { level_db: FLOOR_DB, peak_db: FLOOR_DB, held_ms: 0 }
    }

    /// Takes the loudest sample of so many milliseconds. Whether it looks different now.
    pub(super) fn feed(&mut self, peak: u16, ms: u32) -> bool {
        let before = self.shown();
        let fall = FALL_DB * ms as f32 / 1_000.0;
        let now = 20.0 * (f32::from(peak.max(1)) / 32_768.0).log10();
        self.level_db = (self.level_db - fall).max(now).max(FLOOR_DB);
        self.held_ms = self.held_ms.saturating_add(ms);
        if self.level_db >= self.peak_db {
            (self.peak_db, self.held_ms) = (self.level_db, 0);
        } else if self.held_ms > HOLD_MS {
            self.peak_db = (self.peak_db - fall).max(self.level_db);
        }
        before != self.shown()
    }

    /// In whole decibels, as it is shown.
    const fn shown(&self) -> (i32, i32) {
        (self.level_db as i32, self.peak_db as i32)
    }
}

/// The last seconds of which the lateness is told, in milliseconds.
const WINDOW_MS: u32 = 10_000;

/// How late ticks began in the last seconds, and how many were jumped over in all.
#[derive(Debug, Clone)]
pub(super) struct Lateness {
    late_us: VecDeque<u32>,
    window: usize,
    /// Ticks until it is counted anew: once a second.
    renew_in: usize,
    each: usize,
    pub(super) figures: Option<Figures>,
    pub(super) skipped: u64,
}

/// Of the last seconds, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) p50: u32,
    pub(super) p99: u32,
    pub(super) max: u32,
}

impl Lateness {
    /// Of ticks of so many milliseconds.
    pub(super) fn new(tick_ms: u32) -> Self {
        let of = |ms: u32| (ms / tick_ms.max(1)).max(1) as usize;
        Self {
            late_us: VecDeque::new(),
            window: of(WINDOW_MS),
            renew_in: of(1_000),
            each: of(1_000),
            figures: None,
            skipped: 0,
        }
    }

    /// Takes what was measured of a tick. Whether it looks different now.
    pub(super) fn feed(&mut self, late_ns: Option<u64>, skipped: u32) -> bool {
        self.skipped += u64::from(skipped);
        let Some(late_ns) = late_ns else { return skipped > 0 };
        if self.late_us.len() == self.window {
            self.late_us.pop_front();
        }
        self.late_us.push_back(u32::try_from(late_ns / 1_000).unwrap_or(u32::MAX));
        self.renew_in -= 1;
        if self.renew_in > 0 {
            return skipped > 0;
        }
        self.renew_in = self.each;
        let mut sorted: Vec<u32> = self.late_us.iter().copied().collect();
        sorted.sort_unstable();
        let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100];
        let figures = Figures { p50: at(50), p99: at(99), max: at(100) };
        self.figures.replace(figures) != Some(figures) || skipped > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_held_and_falls_and_silence_changes_nothing() {
        let mut meter = Meter::new();
        assert!(!meter.feed(0, 20));
        assert!(meter.feed(32_767, 20));
        assert!(meter.level_db > -0.1 && meter.peak_db > -0.1);
        for _ in 0..50 {
            meter.feed(0, 20);
        }
        assert!(meter.level_db < -39.0 && meter.peak_db > -0.1, "{meter:?}");
        for _ in 0..200 {
            meter.feed(0, 20);
        }
        assert_eq!((meter.level_db, meter.peak_db), (FLOOR_DB, FLOOR_DB));
        assert!(!meter.feed(3, 20), "what is below the floor is not seen");
    }

    #[test]
    fn lateness_is_that_of_the_last_seconds() {
        let mut lateness = Lateness::new(20);
        for n in 0..50_u64 {
            let changed = lateness.feed(Some(n * 1_000), 0);
            assert_eq!(changed, n == 49, "once a second");
        }
        assert_eq!(lateness.figures, Some(Figures { p50: 24, p99: 48, max: 49 }));
        assert!(lateness.feed(Some(0), 4));
        for _ in 0..600 {
            lateness.feed(Some(7_000), 0);
        }
        assert_eq!(lateness.figures, Some(Figures { p50: 7, p99: 7, max: 7 }));
        assert_eq!(lateness.skipped, 4);
    }
}
