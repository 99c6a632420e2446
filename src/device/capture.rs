//! From a device's frames to ticks of audio, by our clock.
//!
//! A device's thread puts what it records into a ring, and says when. The thread of the tick takes exactly one tick of
//! audio out, resampled by what the device's clock is off at the moment, so that the delay neither grows nor shrinks.
//! What a speaker really played is taken in the same way, for echo cancellation.
//!
//! **Invariant:** the two threads never wait for each other; nothing is allocated after the beginning.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rtrb::{Consumer, Producer, RingBuffer};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Adjustable, Async, FixedAsync, Resampler, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};

use super::beat::{Beat, Mark, Period};
use crate::host::pace::Moment;

/// What a ring holds, in milliseconds: longer than any thread is ever late.
const RING_MS: u32 = 500;

/// Calls whose moments wait to be taken: as many as come in that time, 1 ms apart.
const MARKS: usize = 512;

/// How long an error of the delay takes to be made good for two thirds, in seconds. Faster would be heard as pitch.
pub(super) const SETTLE_S: f64 = 2.0;

/// The most that the pitch may be bent to make an error good: five thousandths, a twelfth of a semitone.
pub(super) const BEND_MAX: f64 = 0.005;

/// The most that a ratio may differ from the nominal one: what a clock may be off, and the bend.
const RATIO_MAX: f64 = 1.03;

/// An error that is not made good by bending, in milliseconds: it would take minutes. Time is jumped over.
const JUMP_MS: f64 = 80.0;

/// Taps of the resampler's filter at the lower rate: a delay of 24 samples, half a millisecond at 48 kHz.
const TAPS: usize = 48;

/// What is kept ready of a microphone beyond its period, in milliseconds: how late its thread may be without anything
/// missing. What comes from a sound server has waited for three threads.
const SPARE_MS: f64 = 10.0;

/// How much is added to that whenever it was not enough, and the most that it becomes.
const SPARE_STEP_MS: f64 = 2.5;
const SPARE_MAX_MS: f64 = 60.0;

/// After so many ticks in which nothing was missing, it is a step less again: 10 s.
const CALM_TICKS: u32 = 500;

/// How much is kept ready beyond a period of a device, so that what comes late is not heard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spare {
    ms: f64,
    missed: u32,
    /// Something is missing now: that is one time, however many ticks it lasts.
    missing: bool,
    calm: u32,
    least: f64,
}

impl Spare {
    pub(super) const fn new(least: f64) -> Self {
        Self { ms: least, missed: 0, missing: false, calm: 0, least }
    }

    /// A tick in which something was missing, or nothing was.
    pub(super) fn tick(&mut self, missing: bool) {
        if missing && !self.missing {
            self.missed += 1;
            self.ms = (self.ms + SPARE_STEP_MS).min(SPARE_MAX_MS);
        }
        self.missing = missing;
        self.calm = if missing { 0 } else { self.calm + 1 };
        if self.calm == CALM_TICKS {
            self.calm = 0;
            self.ms = (self.ms - SPARE_STEP_MS).max(self.least);
        }
    }

    pub(super) const fn ms(&self) -> f64 {
        self.ms
    }

    pub(super) const fn missed(&self) -> u32 {
        self.missed
    }
}

/// The filter by which clocks are brought together. Building it takes milliseconds: not for the thread of a tick.
pub(super) fn resampler(
    from_hz: u32,
    to_hz: u32,
    chunk: usize,
    fixed: FixedAsync,
) -> Result<Async<f32>, String> {
    let sinc = SincInterpolationParameters {
        sinc_len: TAPS,
        f_cutoff: None,
        oversampling_factor: 128,
        interpolation: SincInterpolationType::Cubic,
        window: WindowFunction::Blackman2,
    };
    let ratio = f64::from(to_hz) / f64::from(from_hz);
    Async::new_sinc(ratio, RATIO_MAX, &sinc, chunk, 1, fixed)
        .map_err(|error| format!("no resampler from {from_hz} to {to_hz} Hz: {error}"))
}

/// The end that a device's thread puts its frames into.
#[derive(Debug)]
pub struct Feed {
    samples: Producer<f32>,
    marks: Producer<Mark>,
    /// Frames that found no room.
    lost: Arc<AtomicU64>,
    untold: u32,
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
        // A mark that finds no room is one of many: the frames of the next are counted with it.
        self.untold += count as u32;
        if self.marks.push(Mark { frames: self.untold, at }).is_ok() {
            self.untold = 0;
        }
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

/// How a device's audio comes: for meters and breakdowns.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Flow {
    /// By how much its clock is off, in millionths.
    pub off_ppm: f64,
    /// What is kept ready beyond what is needed at once, in milliseconds: a period of the device and some spare.
    pub held_ms: f64,
    /// The device's period: how much comes at a time, in milliseconds.
    pub period_ms: f64,
    /// How much the delay is off from what it should be, in milliseconds.
    pub error_ms: f64,
    /// How often something was missing.
    pub missed: u32,
    /// How often time was jumped over.
    pub jumps: u32,
}

/// The end that ticks are taken from.
pub struct Capture {
    samples: Consumer<f32>,
    marks: Consumer<Mark>,
    beat: Beat,
    resampler: Async<f32>,
    chunk: Vec<f32>,
    rate_hz: f64,
    tick_s: f64,
    /// Frames that have left the ring, or were lost before it.
    taken: u64,
    lost: Arc<AtomicU64>,
    told_lost: u64,
    period: Period,
    spare: Spare,
    running: bool,
    ahead: bool,
    jumps: u32,
    error: f64,
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
    let (put, samples) = RingBuffer::new((rate_hz * RING_MS / 1_000) as usize);
    let (told, marks) = RingBuffer::new(MARKS);
    let samples_a_tick = (to_hz * tick_ms / 1_000) as usize;
    let resampler = resampler(rate_hz, to_hz, samples_a_tick, FixedAsync::Output)?;
    let lost = Arc::new(AtomicU64::new(0));
    let capture = Capture {
        samples,
        marks,
        beat: Beat::new(rate_hz),
        chunk: vec![0.0; resampler.input_frames_max()],
        resampler,
        rate_hz: f64::from(rate_hz),
        tick_s: f64::from(tick_ms) / 1_000.0,
        taken: 0,
        lost: Arc::clone(&lost),
        told_lost: 0,
        period: Period::new(rate_hz),
        spare: Spare::new(SPARE_MS),
        running: false,
        ahead: false,
        jumps: 0,
        error: 0.0,
    };
    Ok((Feed { samples: put, marks: told, lost, untold: 0 }, capture))
}

impl Capture {
    /// Whether the device's thread is there.
    #[must_use]
    pub fn is_fed(&self) -> bool {
        !self.marks.is_abandoned()
    }

    /// Fills a tick, whose nominal moment is `at`; silence if there is nothing.
    pub fn take(&mut self, at: Moment, tick: &mut [f32]) -> Taken {
        self.listen();
        if self.fill(at, tick) {
            return Taken::Whole;
        }
        tick.fill(0.0);
        Taken::Nothing
    }

    fn listen(&mut self) {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost != self.told_lost {
            // Nobody has taken anything for a while: what is in the ring is old.
            self.taken += lost - self.told_lost;
            self.told_lost = lost;
            self.running = false;
        }
        while let Ok(mark) = self.marks.pop() {
            self.beat.mark(mark);
            self.period.mark(mark);
        }
    }

    /// Frames that are kept ready beyond those that a tick needs.
    fn held(&self) -> f64 {
        self.spare.ms().mul_add(self.rate_hz / 1e3, self.period.frames())
    }

    fn fill(&mut self, at: Moment, tick: &mut [f32]) -> bool {
        let Some(there) = self.beat.frames_at(at) else { return false };
        let per_tick = self.beat.rate_hz() * self.tick_s;
        // Where this tick should end.
        let end = there - self.held();
        if !self.running {
            let begin = end - per_tick;
            if begin < self.taken as f64 || !self.beat.is_known() {
                return false;
            }
            self.skip((begin - self.taken as f64) as usize);
            self.running = true;
        }
        self.error = end - (self.taken as f64 + per_tick);
        if self.error.abs() > JUMP_MS * self.rate_hz / 1e3 {
            // Ahead of the device: wait for it, and begin anew.
            if self.error < 0.0 {
                self.jumps += u32::from(!self.ahead);
                self.ahead = true;
                return false;
            }
            self.jumps += 1;
            self.skip(self.error as usize);
            self.error = 0.0;
        }
        self.ahead = false;
        let bend = (self.error / (SETTLE_S * self.rate_hz)).clamp(-BEND_MAX, BEND_MAX);
        let pull = self.beat.rate_hz() / self.rate_hz * (1.0 + bend);
        if self.resampler.set_resample_ratio_relative(1.0 / pull, true).is_err() {
            return false;
        }
        let wanted = self.resampler.input_frames_next();
        let missing = self.samples.slots() < wanted;
        self.spare.tick(missing);
        if missing {
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

    /// Leaves frames out.
    fn skip(&mut self, frames: usize) {
        let frames = frames.min(self.samples.slots());
        if let Ok(chunk) = self.samples.read_chunk(frames) {
            chunk.commit_all();
            self.taken += frames as u64;
        }
    }

    /// Whether audio comes.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.running
    }

    /// How it goes.
    #[must_use]
    pub fn flow(&self) -> Flow {
        let ms = |frames: f64| frames / self.rate_hz * 1e3;
        Flow {
            off_ppm: self.beat.off_ppm(),
            held_ms: ms(self.held()),
            period_ms: ms(self.period.frames()),
            error_ms: ms(self.error),
            missed: self.spare.missed(),
            jumps: self.jumps,
        }
    }

    /// The delay of its filter, in milliseconds.
    #[must_use]
    pub fn filter_ms(&self) -> f64 {
        self.resampler.output_delay() as f64 / (self.resampler.resample_ratio() * self.rate_hz)
            * 1e3
    }
}
