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
        self.follower.error = error - left_out as f64;
        let pull = self.follower.pace() * (1.0 + self.follower.bend(BEND));
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
