//! From a device's frames to ticks of audio, by our clock.
//!
//! A device's thread puts what it records into a ring, and says when. The thread of the tick takes exactly one tick of
//! audio out, resampled by what the device's clock is off at the moment, so that the delay neither grows nor shrinks.
//! What a speaker really played is taken in the same way, for echo cancellation.
//!
//! **Invariant:** a tick that is taken is whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rtrb::{Consumer, Producer};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Adjustable, Async, FixedAsync, Resampler};

use super::follow::{Bend, Flow, Follower, Marks, resampler, ring};
use crate::host::pace::Moment;

/// An error is made good within a minute, and by no more than cancelling echo bears: speaker and microphone are bent
/// each for themselves.
const BEND: Bend = Bend { settle_s: 30.0, most: 30e-6 };

/// If half of the spare is used up, the rest of an error is made good at once: a gap is worse than echo.
const BEND_DRY: Bend = Bend { settle_s: 0.5, most: 0.005 };

/// More that is there than should be is left out at once, in milliseconds: bending would take minutes.
const LEFT_OUT_MS: f64 = 20.0;

/// Less that is there than should be is waited for, in milliseconds: the device has lost time.
const AHEAD_MS: f64 = 80.0;

/// What is kept ready of a microphone beyond its period, in milliseconds: how late its thread may be without anything
/// missing. What comes from a sound server has waited for three threads.
const SPARE_MS: f64 = 10.0;

/// The end that a device's thread puts its frames into.
#[derive(Debug)]
pub struct Feed {
    samples: Producer<f32>,
    marks: Marks,
    /// Frames that found no room.
    lost: Arc<AtomicU64>,
}

impl Feed {
    /// Puts frames in, one sample each, which came at `at`. What finds no room is lost: nobody takes anything out then.
    pub fn put(&mut self, frames: impl ExactSizeIterator<Item = f32>, at: Moment) {
        let count = frames.len();
        let room = self.samples.slots().min(count);
        if let Ok(chunk) = self.samples.write_chunk_uninit(room) {
            chunk.fill_from_iter(frames);
        }
        if room < count {
            self.lost.fetch_add((count - room) as u64, Ordering::Relaxed);
        }
        self.marks.tell(count, at);
    }
}

/// What came of asking for a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// A tick of audio.
    Whole,
    /// The device has not come so far: it has just begun, is late, or stands still.
    Nothing,
}

/// The end that ticks are taken from.
pub struct Capture {
    samples: Consumer<f32>,
    follower: Follower,
    resampler: Async<f32>,
    chunk: Vec<f32>,
    /// Frames that have left the ring, or were lost before it.
    taken: u64,
    lost: Arc<AtomicU64>,
    told_lost: u64,
    running: bool,
    /// The last tick was not whole: what comes late now is not heard any more.
    missed: bool,
    ahead: bool,
    jumps: u32,
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Capture({:?})", self.flow())
    }
}

/// Both ends for a device of this rate, of which ticks of `tick_ms` at `to_hz` are taken.
///
/// # Errors
/// There is no way from one rate to the other.
pub fn capture(rate_hz: u32, to_hz: u32, tick_ms: u32) -> Result<(Feed, Capture), String> {
    let (put, samples) = ring(rate_hz);
    let (marks, follower) = Follower::new(rate_hz, tick_ms, SPARE_MS);
    let samples_a_tick = (to_hz * tick_ms / 1_000) as usize;
    let resampler = resampler(rate_hz, to_hz, samples_a_tick, FixedAsync::Output)?;
    let lost = Arc::new(AtomicU64::new(0));
    let capture = Capture {
        samples,
        follower,
        chunk: vec![0.0; resampler.input_frames_max()],
        resampler,
        taken: 0,
        lost: Arc::clone(&lost),
        told_lost: 0,
        running: false,
        missed: false,
        ahead: false,
        jumps: 0,
    };
    Ok((Feed { samples: put, marks, lost }, capture))
}

impl Capture {
    /// Fills a tick, whose nominal moment is `at`; silence if there is nothing.
    pub fn take(&mut self, at: Moment, tick: &mut [f32]) -> Taken {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost != self.told_lost {
            // Nobody has taken anything for a while: what is in the ring is old.
            self.taken += lost - self.told_lost;
            self.told_lost = lost;
            self.running = false;
        }
        self.follower.listen();
        if self.fill(at, tick) {
            return Taken::Whole;
        }
        tick.fill(0.0);
        Taken::Nothing
    }

    fn fill(&mut self, at: Moment, tick: &mut [f32]) -> bool {
        let Some(there) = self.follower.frames_at(at) else { return false };
        let per_tick = self.follower.per_tick();
        // Where this tick should end.
        let end = there - self.follower.held();
        if !self.running {
            let begin = end - per_tick;
            if begin < self.taken as f64 || !self.follower.is_known() {
                return false;
            }
            self.skip((begin - self.taken as f64) as usize);
            (self.running, self.missed) = (true, false);
        }
        let error = end - (self.taken as f64 + per_tick);
        if error < -self.follower.frames(AHEAD_MS) {
            self.jumps += u32::from(!self.ahead);
            self.ahead = true;
            return false;
        }
        self.ahead = false;
        let left_out = self.leave_out(error, per_tick);
        let error = error - left_out as f64;
        let dry = error.min(0.0) + self.follower.spare() / 2.0;
        let bend = if dry < 0.0 {
            self.follower.bend(BEND_DRY, dry)
        } else {
            self.follower.bend(BEND, error)
        };
        let pull = self.follower.pace() * (1.0 + bend);
        if self.resampler.set_resample_ratio_relative(1.0 / pull, true).is_err() {
            return false;
        }
        let wanted = self.resampler.input_frames_next();
        self.missed = self.samples.slots() < wanted;
        self.follower.tick(self.missed);
        if self.missed {
            return false;
        }
        let chunk = &mut self.chunk[..wanted];
        if self.samples.pop_entire_slice(chunk).is_err() {
            return false;
        }
        self.taken += wanted as u64;
        let from = InterleavedSlice::new(chunk, 1, wanted);
        let len = tick.len();
        let to = InterleavedSlice::new_mut(tick, 1, len);
        let (Ok(from), Ok(mut to)) = (from, to) else { return false };
        self.resampler.process_into_buffer(&from, &mut to, None).is_ok()
    }

    /// Leaves out what is more than should be, if that is much or follows a gap. What is really there is kept, up to the
    /// spare: a device that has lost time is not known to have done so at once.
    fn leave_out(&mut self, error: f64, per_tick: f64) -> usize {
        let most = if self.missed { 0.0 } else { self.follower.frames(LEFT_OUT_MS) };
        let there = self.samples.slots() as f64 - per_tick - self.follower.spare();
        let more = error.min(there);
        if error <= most || more < 1.0 {
            return 0;
        }
        self.jumps += u32::from(!self.missed);
        self.skip(more as usize)
    }

    /// Leaves frames out, as many as there are.
    fn skip(&mut self, frames: usize) -> usize {
        let frames = frames.min(self.samples.slots());
        if let Ok(chunk) = self.samples.read_chunk(frames) {
            chunk.commit_all();
            self.taken += frames as u64;
        }
        frames
    }

    /// Ticks come at other moments from now on: the next begins anew.
    pub(super) const fn anew(&mut self) {
        self.running = false;
    }

    /// Whether audio comes.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.running
    }

    /// How it goes.
    #[must_use]
    pub fn flow(&self) -> Flow {
        self.follower.flow(self.jumps)
    }

    /// The delay of its filter, in milliseconds.
    #[must_use]
    pub fn filter_ms(&self) -> f64 {
        self.follower.ms(self.resampler.output_delay() as f64 / self.resampler.resample_ratio())
    }
}

#[cfg(test)]
mod tests {
    use super::{Capture, Feed, Taken, capture};
    use crate::host::pace::{Clock, Moment};

    /// What becomes of the 10 ms that end at some moment.
    #[derive(Clone, Copy)]
    enum Fate {
        InTime,
        LateMs(u64),
        Lost,
    }

    /// A microphone whose every frame says when it was recorded, in milliseconds.
    struct Device {
        start: Moment,
        feed: Feed,
        capture: Capture,
        /// Up to when it has handed over, in milliseconds.
        until_ms: u64,
        frames: u64,
        frames_a_ms: f64,
        /// The tick that is taken next.
        next_ms: u64,
    }

    impl Device {
        fn new(fast_ppm: f64) -> Self {
            let (feed, capture) = capture(48_000, 48_000, 20).unwrap();
            let start = Clock::default().now();
            let frames_a_ms = 48.0 * (1.0 + fast_ppm / 1e6);
            Self { start, feed, capture, until_ms: 0, frames: 0, frames_a_ms, next_ms: 0 }
        }

        fn at(&self, ms: u64) -> Moment {
            self.start.after_ns(ms * 1_000_000)
        }

        /// Takes the tick that is due at `ms`: how long ago its middle was recorded, in milliseconds; none if it is not
        /// whole.
        fn take(&mut self, ms: u64, fate: impl Fn(u64) -> Fate) -> Option<f64> {
            loop {
                let due_ms = self.until_ms + 10;
                let fate = fate(due_ms);
                let at_ms = due_ms + if let Fate::LateMs(late_ms) = fate { late_ms } else { 0 };
                if at_ms > ms {
                    break;
                }
                let until = (due_ms as f64 * self.frames_a_ms) as u64;
                let frames: Vec<f32> =
                    (self.frames..until).map(|n| (n as f64 / self.frames_a_ms) as f32).collect();
                if !matches!(fate, Fate::Lost) {
                    self.feed.put(frames.into_iter(), self.at(at_ms));
                }
                (self.until_ms, self.frames) = (due_ms, until);
            }
            let mut tick = [0.0; 960];
            let taken = self.capture.take(self.at(ms), &mut tick);
            (taken == Taken::Whole).then(|| ms as f64 - f64::from(tick[480]))
        }

        /// Takes ticks up to a moment.
        fn run(&mut self, to_ms: u64, fate: impl Fn(u64) -> Fate) -> Vec<Option<f64>> {
            let from_ms = std::mem::replace(&mut self.next_ms, to_ms);
            (from_ms..to_ms).step_by(20).map(|ms| self.take(ms, &fate)).collect()
        }
    }

    #[test]
    fn the_way_stays_as_long_as_it_is() {
        for fast_ppm in [0.0, 120.0, -80.0] {
            let mut device = Device::new(fast_ppm);
            // Now and then a call is late.
            let fate = |ms: u64| match ms {
                ms if ms % 70 == 0 => Fate::LateMs(ms / 70 % 6),
                _ => Fate::InTime,
            };
            device.run(2_000, fate);
            let delays: Vec<_> = device.run(30_000, fate).into_iter().map(Option::unwrap).collect();
            for second in delays.windows(50) {
                let grown_ppm = (second[49] - second[0]) / 0.98 * 1e3;
                assert!(grown_ppm.abs() < 50.0, "{fast_ppm}: by {grown_ppm:.1} ppm in a second");
            }
        }
    }

    #[test]
    fn what_comes_late_is_left_out_and_the_way_is_as_long_as_before() {
        let mut device = Device::new(0.0);
        let before = device.run(5_000, |_| Fate::InTime).last().copied().flatten().unwrap();
        let stall =
            |ms| if (5_000..5_060).contains(&ms) { Fate::LateMs(5_060 - ms) } else { Fate::InTime };
        let ticks = device.run(5_300, stall);
        let gap = ticks.iter().filter(|tick| tick.is_none()).count();
        assert!((1..=3).contains(&gap), "{gap} ticks are missing");
        // What is kept ready is a step more after a gap.
        let after = ticks.last().copied().flatten().unwrap();
        assert!((after - before - 2.5).abs() < 1.0, "{before:.1} ms before, {after:.1} ms after");
    }

    #[test]
    fn a_device_that_loses_time_is_heard_on() {
        let mut device = Device::new(0.0);
        let before = device.run(5_000, |_| Fate::InTime).last().copied().flatten().unwrap();
        let loss = |ms| if (5_000..5_060).contains(&ms) { Fate::Lost } else { Fate::InTime };
        let ticks = device.run(8_000, loss);
        let gap = ticks.iter().filter(|tick| tick.is_none()).count();
        assert!((2..=4).contains(&gap), "{gap} ticks are missing");
        let after = ticks.last().copied().flatten().unwrap();
        assert!((after - before).abs() < 12.0, "{before:.1} ms before, {after:.1} ms after");
    }

    #[test]
    fn ticks_that_come_at_other_moments_begin_anew() {
        let mut device = Device::new(0.0);
        device.run(1_000, |_| Fate::InTime);
        // Nobody takes anything for 70 ms, which is less than would be jumped over.
        let stale = device.take(1_070, |_| Fate::InTime);
        device.capture.anew();
        let fresh = device.take(1_090, |_| Fate::InTime);
        let (stale, fresh) = (stale.unwrap(), fresh.unwrap());
        assert!(fresh < stale + 0.1, "{stale:.1} ms, and {fresh:.1} ms");
        assert!(fresh < 40.0, "{fresh:.1} ms");
    }
}
