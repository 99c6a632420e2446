//! What is recorded while a contender runs: histograms, and where each deadline stood against the clock.
//!
//! All room is made, and touched, before the run: a record while it lasts is a few additions.

use hdrhistogram::Histogram;

use crate::host::laps::LapTimes;
use crate::session::laps::Phase;

/// Ticks that a contender does before it is measured: caches are warm then, buffers grown.
pub(super) const WARM_UP: u64 = 3;

/// The longest time that is told apart, in nanoseconds: an hour, by which a loop that drifts may be off.
const NS_MAX: u64 = 3_600_000_000_000;

/// Digits that a histogram keeps.
const DIGITS: u8 = 3;

/// Parts of a run of which medians are taken: the least that show a trend.
const BLOCKS: usize = 10;

/// Times in nanoseconds.
pub(super) type Times = Histogram<u32>;

fn times() -> Times {
    let mut times =
        Histogram::new_with_bounds(1, NS_MAX, DIGITS).expect("these bounds are in order");
    // Written to, so that the system gives the memory before it is needed.
    times.clear();
    times
}

/// What a run is to record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Course {
    /// Ticks, after those to warm up.
    pub(super) ticks: u64,
    pub(super) len_ns: u64,
    /// Parts into which it is cut, so that there is a spread.
    pub(super) parts: usize,
}

impl Course {
    /// Ticks with those to warm up.
    pub(super) const fn all(&self) -> u64 {
        WARM_UP + self.ticks
    }
}

/// A stretch of a run.
#[derive(Debug)]
pub(super) struct Part {
    /// Deadline to thread running, where it had slept.
    pub(super) wake: Times,
    /// Deadline to the step of a session.
    pub(super) start: Times,
    /// A session's tick with all its edges.
    pub(super) work: Times,
    /// The phases of [`Phase::ALL`].
    pub(super) phases: Vec<Times>,
    /// Ticks whose work was longer than they.
    pub(super) overruns: u64,
    /// Ticks jumped over.
    pub(super) skipped: u64,
}

impl Part {
    fn new() -> Self {
        Self {
            wake: times(),
            start: times(),
            work: times(),
            phases: Phase::ALL.iter().map(|_| times()).collect(),
            overruns: 0,
            skipped: 0,
        }
    }
}

/// A run, while it lasts and after.
#[derive(Debug)]
pub(super) struct Recording {
    course: Course,
    pub(super) parts: Vec<Part>,
    /// The tick, and how much later than its nominal time it began, of one session.
    stood: Vec<(u64, i64)>,
    /// How often the watchdog demoted the thread.
    pub(super) demotions: u32,
}

impl Recording {
    pub(super) fn new(course: Course) -> Self {
        Self {
            course,
            parts: (0..course.parts).map(|_| Part::new()).collect(),
            stood: Vec::with_capacity(course.ticks as usize),
            demotions: 0,
        }
    }

    /// The part of a tick; none while it warms up.
    fn part(&mut self, tick: u64) -> Option<&mut Part> {
        let tick = tick.checked_sub(WARM_UP)?;
        let at = (tick * self.parts.len() as u64 / self.course.ticks) as usize;
        let last = self.parts.len() - 1;
        self.parts.get_mut(at.min(last))
    }

    /// The thread had slept for a deadline.
    pub(super) fn woke(&mut self, tick: u64, late_ns: u64) {
        let Some(part) = self.part(tick) else { return };
        part.wake.saturating_record(late_ns);
    }

    /// A session's step began so late, and took so long.
    pub(super) fn stepped(&mut self, tick: u64, late_ns: u64, took_ns: u64) {
        let len_ns = self.course.len_ns;
        let Some(part) = self.part(tick) else { return };
        part.start.saturating_record(late_ns);
        part.work.saturating_record(took_ns);
        part.overruns += u64::from(took_ns > len_ns);
    }

    /// And its phases so long.
    pub(super) fn phases(&mut self, tick: u64, laps: &LapTimes) {
        let Some(part) = self.part(tick) else { return };
        for (times, phase) in part.phases.iter_mut().zip(Phase::ALL) {
            times.saturating_record(laps.ns(phase));
        }
    }

    pub(super) fn skipped(&mut self, tick: u64, count: u32) {
        let Some(part) = self.part(tick) else { return };
        part.skipped += u64::from(count);
    }

    /// Where a tick stood against the clock: nominal times are the first one's and whole ticks.
    pub(super) fn stood(&mut self, tick: u64, late_ns: i64) {
        if tick >= WARM_UP {
            self.stood.push((tick, late_ns));
        }
    }

    pub(super) fn drift(&self) -> Drift {
        drift(&self.stood, self.course.len_ns)
    }
}

/// How a loop moved away from its nominal times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Drift {
    /// The lateness of the last tenth of the run beyond that of the first, medians, in nanoseconds.
    pub(super) ns: i64,
    /// The slope of the lateness, in millionths of the time: of the line closest to the medians of ten tenths.
    pub(super) ppm: f64,
}

fn drift(stood: &[(u64, i64)], len_ns: u64) -> Drift {
    let size = stood.len().div_ceil(BLOCKS).max(1);
    let blocks: Vec<(f64, i64)> = stood.chunks(size).map(middle).collect();
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
        return Drift { ns: 0, ppm: 0.0 };
    };
    let count = blocks.len() as f64;
    let mean_x = blocks.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = blocks.iter().map(|(_, y)| *y as f64).sum::<f64>() / count;
    let (mut xy, mut xx) = (0.0, 0.0);
    for (x, y) in &blocks {
        xy += (x - mean_x) * (*y as f64 - mean_y);
        xx += (x - mean_x) * (x - mean_x);
    }
    let slope = if xx > 0.0 { xy / xx } else { 0.0 };
    Drift { ns: last.1 - first.1, ppm: slope / len_ns as f64 * 1e6 }
}

/// The tick in the middle of a block, and the median of its latenesses.
fn middle(block: &[(u64, i64)]) -> (f64, i64) {
    let mut late: Vec<i64> = block.iter().map(|(_, late)| *late).collect();
    late.sort_unstable();
    let (first, last) = (block[0].0, block[block.len() - 1].0);
    ((first + last) as f64 / 2.0, late[late.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_loses_a_thousandth_drifts_by_it() {
        let loses = |tick: u64| (tick, 50_000 + tick as i64 * 20_000);
        let stood: Vec<_> = (0..1_000).map(loses).collect();
        let Drift { ns, ppm } = drift(&stood, 20_000_000);
        assert!((ppm - 1_000.0).abs() < 1e-6, "{ppm}");
        assert_eq!(ns, 900 * 20_000);
    }

    #[test]
    fn one_late_tick_is_no_drift() {
        let mut stood: Vec<_> = (0..1_000).map(|tick| (tick, 50_000)).collect();
        stood[999].1 = 19_000_000;
        assert_eq!(drift(&stood, 20_000_000), Drift { ns: 0, ppm: 0.0 });
        assert_eq!(drift(&[], 20_000_000), Drift { ns: 0, ppm: 0.0 });
        assert_eq!(drift(&stood[..1], 20_000_000), Drift { ns: 0, ppm: 0.0 });
    }

    #[test]
    fn ticks_that_warm_up_are_not_recorded_and_the_rest_is_cut_evenly() {
        let mut recording = Recording::new(Course { ticks: 10, len_ns: 20_000_000, parts: 5 });
        for tick in 0..WARM_UP + 10 {
            recording.woke(tick, 1_000);
        }
        // A tick that was jumped to may lie beyond the last.
        recording.woke(WARM_UP + 12, 1_000);
        let counts: Vec<u64> = recording.parts.iter().map(|part| part.wake.len()).collect();
        assert_eq!(counts, [2, 2, 2, 2, 3]);
    }
}
