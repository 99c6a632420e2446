//! What both ways have in common: a ring of samples between two threads, the moments of a device's calls, and by how much
//! what is on the way is off from what it should be.
//!
//! **Invariant:** the two threads never wait for each other; nothing is allocated after the beginning.

use rtrb::{Consumer, Producer, RingBuffer};
use rubato::{
    Async, FixedAsync, SincInterpolationParameters, SincInterpolationType, WindowFunction,
};

use super::beat::{Beat, Mark, Period};
use crate::host::pace::Moment;

/// What a ring holds, in milliseconds: longer than any thread is ever late.
const RING_MS: u32 = 500;

/// Calls whose moments wait to be taken: as many as come in that time, 1 ms apart.
const MARKS: usize = 512;

/// The most that a ratio may differ from the nominal one: what a clock may be off, and the bend.
const RATIO_MAX: f64 = 1.03;

/// Taps of the resampler's filter at the lower rate: a delay of 24 samples, half a millisecond at 48 kHz.
const TAPS: usize = 48;

/// How much is added to what is kept ready whenever it was not enough, and the most that it becomes, in milliseconds.
const SPARE_STEP_MS: f64 = 2.5;
const SPARE_MAX_MS: f64 = 60.0;

/// After so many ticks in which nothing was missing, it is a step less again: 10 s.
const CALM_TICKS: u32 = 500;

/// How an error of the delay is made good by bending the pitch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bend {
    /// How long two thirds of it take, in seconds.
    pub(super) settle_s: f64,
    /// The most that the pitch is bent, as a share.
    pub(super) most: f64,
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

/// A ring for the samples of a device with this rate.
pub(super) fn ring(rate_hz: u32) -> (Producer<f32>, Consumer<f32>) {
    RingBuffer::new((rate_hz * RING_MS / 1_000) as usize)
}

/// How a device's audio comes, or goes: for meters and breakdowns.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Flow {
    /// By how much its clock is off, in millionths.
    pub off_ppm: f64,
    /// What is kept ready beyond what is needed at once, in milliseconds: a period of the device and some spare.
    pub held_ms: f64,
    /// The device's period: how much comes at a time, in milliseconds.
    pub period_ms: f64,
    /// How often something was missing.
    pub missed: u32,
    /// How often time was jumped over.
    pub jumps: u32,
}

impl Flow {
    /// What is kept ready beyond a period, in milliseconds.
    #[must_use]
    pub fn spare_ms(&self) -> f64 {
        self.held_ms - self.period_ms
    }
}

/// The end at which a device's thread tells when it called.
#[derive(Debug)]
pub(super) struct Marks {
    marks: Producer<Mark>,
    /// Frames whose mark found no room: they are counted with the next.
    untold: u32,
}

impl Marks {
    pub(super) fn tell(&mut self, frames: usize, at: Moment) {
        self.untold += frames as u32;
        if self.marks.push(Mark { frames: self.untold, at }).is_ok() {
            self.untold = 0;
        }
    }
}

/// The end at which the thread of the tick follows it.
#[derive(Debug)]
pub(super) struct Follower {
    marks: Consumer<Mark>,
    beat: Beat,
    period: Period,
    spare: Spare,
    rate_hz: f64,
    tick_s: f64,
}

impl Follower {
    /// Both ends for a device with this rate; `spare_ms` are kept ready beyond its period at least.
    pub(super) fn new(rate_hz: u32, tick_ms: u32, spare_ms: f64) -> (Marks, Self) {
        let (told, marks) = RingBuffer::new(MARKS);
        let follower = Self {
            marks,
            beat: Beat::new(rate_hz),
            period: Period::new(rate_hz),
            spare: Spare::new(spare_ms),
            rate_hz: f64::from(rate_hz),
            tick_s: f64::from(tick_ms) / 1_000.0,
        };
        (Marks { marks: told, untold: 0 }, follower)
    }

    /// Takes what the device has told.
    pub(super) fn listen(&mut self) {
        while let Ok(mark) = self.marks.pop() {
            self.beat.mark(mark);
            self.period.mark(mark);
        }
    }

    /// How many frames there are at a moment; none before the device has begun.
    pub(super) fn frames_at(&self, at: Moment) -> Option<f64> {
        self.beat.frames_at(at)
    }

    /// Whether its clock is known.
    pub(super) fn is_known(&self) -> bool {
        self.beat.is_known()
    }

    /// A tick in which something was missing, or nothing was.
    pub(super) fn tick(&mut self, missing: bool) {
        self.spare.tick(missing);
    }

    /// Its frames in so many milliseconds, by its own word.
    pub(super) fn frames(&self, ms: f64) -> f64 {
        ms * self.rate_hz / 1e3
    }

    /// So many of its frames in milliseconds.
    pub(super) fn ms(&self, frames: f64) -> f64 {
        frames / self.rate_hz * 1e3
    }

    /// Its frames in a tick, by our clock.
    pub(super) fn per_tick(&self) -> f64 {
        self.beat.rate_hz() * self.tick_s
    }

    /// Frames that are kept ready beyond those that a tick needs.
    pub(super) fn held(&self) -> f64 {
        self.spare() + self.period.frames()
    }

    /// Those of them that are spare: beyond a period.
    pub(super) fn spare(&self) -> f64 {
        self.frames(self.spare.ms)
    }

    /// Its rate by our clock, as a share of the rate that it tells of.
    pub(super) fn pace(&self) -> f64 {
        self.beat.rate_hz() / self.rate_hz
    }

    /// By which share the pitch is bent so that an error of so many frames is made good.
    pub(super) fn bend(&self, bend: Bend, error: f64) -> f64 {
        (error / (bend.settle_s * self.rate_hz)).clamp(-bend.most, bend.most)
    }

    pub(super) fn flow(&self, jumps: u32) -> Flow {
        Flow {
            off_ppm: self.beat.off_ppm(),
            held_ms: self.ms(self.held()),
            period_ms: self.ms(self.period.frames()),
            missed: self.spare.missed,
            jumps,
        }
    }
}

/// How much is kept ready beyond a period of a device, so that what comes late is not heard.
#[derive(Debug, Clone, Copy)]
struct Spare {
    ms: f64,
    least_ms: f64,
    missed: u32,
    /// Something is missing now: that is one time, however many ticks it lasts.
    missing: bool,
    calm: u32,
}

impl Spare {
    const fn new(least_ms: f64) -> Self {
        Self { ms: least_ms, least_ms, missed: 0, missing: false, calm: 0 }
    }

    fn tick(&mut self, missing: bool) {
        if missing && !self.missing {
            self.missed += 1;
            self.ms = (self.ms + SPARE_STEP_MS).min(SPARE_MAX_MS);
        }
        self.missing = missing;
        self.calm = if missing { 0 } else { self.calm + 1 };
        if self.calm == CALM_TICKS {
            self.calm = 0;
            self.ms = (self.ms - SPARE_STEP_MS).max(self.least_ms);
        }
    }
}
