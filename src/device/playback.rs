//! From ticks of audio, by our clock, to a device's frames.
//!
//! The thread of the tick resamples what is to be heard by what the device's clock is off at the moment, and puts it
//! into a ring; the device's thread takes it from there, and silence where there is nothing. What it took goes into
//! another ring, as the reference of echo cancellation: that, and nothing else, was sent to the speaker.
//!
//! **Invariant:** what is put in is heard once, in its order, after the delay that is kept ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rtrb::{Consumer, Producer};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Adjustable, Async, FixedAsync, Resampler};

use super::follow::{Bend, Flow, Follower, Marks, resampler, ring};
use crate::host::pace::Moment;

/// What is kept ready beyond a period of the speaker when the next tick comes, in milliseconds: how late a tick may be.
const SPARE_MS: f64 = 5.0;

/// In silence, an error of more than this is made good at once, in milliseconds: nobody hears it.
const SILENT_STEP_MS: f64 = 0.5;

/// An error is made good within seconds, and nobody hears five thousandths: a twelfth of a semitone. What was really
/// played is told as it was, so that cancelling echo does not suffer.
const BEND: Bend = Bend { settle_s: 2.0, most: 0.005 };

/// The end that a device's thread takes its frames from.
#[derive(Debug)]
pub struct Drain {
    samples: Consumer<f32>,
    marks: Marks,
    /// Frames for which there was nothing.
    empty: Arc<AtomicU64>,
    /// How often there was nothing in the middle of something.
    gaps: Arc<AtomicU32>,
    was_heard: bool,
}

impl Drain {
    /// Gives the frames of a call that comes at `at`, one sample each, to `each`.
    pub fn take(&mut self, frames: usize, at: Moment, mut each: impl FnMut(f32)) {
        let there = self.samples.slots().min(frames);
        let mut heard = false;
        if let Ok(chunk) = self.samples.read_chunk(there) {
            for sample in chunk {
                heard |= sample != 0.0;
                each(sample);
            }
        }
        let missing = frames - there;
        for _ in 0..missing {
            each(0.0);
        }
        if missing > 0 {
            self.empty.fetch_add(missing as u64, Ordering::Relaxed);
            if heard || self.was_heard {
                self.gaps.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.was_heard = heard && missing == 0;
        self.marks.tell(frames, at);
    }
}

/// The end that ticks are put into.
pub struct Playback {
    samples: Producer<f32>,
    follower: Follower,
    empty: Arc<AtomicU64>,
    gaps: Arc<AtomicU32>,
    told_gaps: u32,
    resampler: Async<f32>,
    chunk: Vec<f32>,
    put: u64,
    was_silent: bool,
}

impl std::fmt::Debug for Playback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Playback({:?})", self.flow())
    }
}

/// Both ends for a device of this rate, to which ticks of `tick_ms` at `from_hz` are given.
///
/// # Errors
/// There is no way from one rate to the other.
pub fn playback(from_hz: u32, rate_hz: u32, tick_ms: u32) -> Result<(Playback, Drain), String> {
    let (put, samples) = ring(rate_hz);
    let (marks, follower) = Follower::new(rate_hz, tick_ms, SPARE_MS);
    let resampler =
        resampler(from_hz, rate_hz, (from_hz * tick_ms / 1_000) as usize, FixedAsync::Input)?;
    let (empty, gaps) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU32::new(0)));
    let drain = Drain {
        samples,
        marks,
        empty: Arc::clone(&empty),
        gaps: Arc::clone(&gaps),
        was_heard: false,
    };
    let playback = Playback {
        samples: put,
        follower,
        empty,
        gaps,
        told_gaps: 0,
        chunk: vec![0.0; 2 * resampler.output_frames_max()],
        resampler,
        put: 0,
        was_silent: true,
    };
    Ok((playback, drain))
}

impl Playback {
    /// Puts in a tick of audio, whose nominal moment is `at`.
    pub fn put(&mut self, at: Moment, tick: &[f32]) {
        self.follower.listen();
        // A device that has not begun keeps nobody's audio waiting: it would be heard late for ever.
        let Some(asked) = self.follower.frames_at(at) else { return };
        let gaps = self.gaps.load(Ordering::Relaxed);
        let ran_dry = gaps != self.told_gaps;
        self.told_gaps = gaps;
        self.follower.tick(ran_dry);
        let empty = self.empty.load(Ordering::Relaxed);
        // What is left of former ticks; what was asked for and was not there has used nothing up.
        let left = self.put as f64 - (asked - empty as f64);
        let error = left - self.follower.held();
        let silent = tick.iter().all(|&sample| sample == 0.0);
        let is_off = error.abs() > self.follower.frames(SILENT_STEP_MS);
        if silent && self.was_silent && is_off {
            self.silence(self.follower.per_tick() - error);
        } else {
            let mut rest = error;
            if is_off && error < 0.0 && (self.was_silent || ran_dry) {
                self.silence(-error);
                rest = 0.0;
            }
            self.resample(self.follower.pace() * (1.0 - self.follower.bend(BEND, rest)), tick);
        }
        self.was_silent = silent;
    }

    /// Puts in so many frames of silence.
    fn silence(&mut self, frames: f64) {
        let frames = frames.clamp(0.0, self.chunk.len() as f64) as usize;
        self.chunk[..frames].fill(0.0);
        self.push(frames);
    }

    fn resample(&mut self, ratio: f64, tick: &[f32]) {
        if self.resampler.set_resample_ratio_relative(ratio, true).is_err() {
            return;
        }
        let from = InterleavedSlice::new(tick, 1, tick.len());
        let len = self.chunk.len();
        let to = InterleavedSlice::new_mut(&mut self.chunk, 1, len);
        let (Ok(from), Ok(mut to)) = (from, to) else { return };
        if let Ok((_, frames)) = self.resampler.process_into_buffer(&from, &mut to, None) {
            self.push(frames);
        }
    }

    fn push(&mut self, frames: usize) {
        let frames = frames.min(self.samples.slots());
        if self.samples.push_entire_slice(&self.chunk[..frames]).is_ok() {
            self.put += frames as u64;
        }
    }

    /// Whether the device is known to play.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.follower.is_known()
    }

    /// The delay of its filter, in milliseconds.
    #[must_use]
    pub fn filter_ms(&self) -> f64 {
        self.follower.ms(self.resampler.output_delay() as f64)
    }

    /// How it goes.
    #[must_use]
    pub fn flow(&self) -> Flow {
        self.follower.flow(0)
    }
}
