//! A device's clock, seen from ours.
//!
//! A device tells of so many frames at a time, when it gets round to it; what is wanted is how many there are at any
//! moment. A Kalman filter follows the moment and the length of a frame: what it knows already decides how much the next
//! call may change. Calls are late now and then, and never early, so an error counts for twice the usual one at most.
//!
//! Echo decides how good this has to be: cancelled echo grows audible again where the ways of speaker and microphone
//! drift apart by a ten-thousandth; a third of that does no harm.
//!
//! **Invariant:** a number of calls and their moments alone decide; nothing here reads a clock.

use crate::host::pace::Moment;

/// The first calls come in a bunch and tell of nothing; after so many seconds they are believed, and for so many more
/// the one that is least late tells the moment.
const BUNCH_S: f64 = 0.1;
const FIRST_S: f64 = 0.2;

/// How far that moment may be off, in seconds, and how far the rate may be off from the one that a device tells of, as a
/// share: crystals are within a ten-thousandth.
const FIRST_OFF_S: f64 = 2e-3;
const FIRST_OFF: f64 = 200e-6;

/// How far the rate is taken to have changed where a device stood still, as a share: the crystal is the same.
const STILL_OFF: f64 = 20e-6;

/// How far a rate wanders in a second, as a share: crystals follow the temperature.
const WANDER: f64 = 0.2e-6;

/// How far off calls usually are, in seconds: at first, least and most.
const USUAL_FIRST_S: f64 = 1e-4;
const USUAL_LEAST_S: f64 = 20e-6;
const USUAL_MOST_S: f64 = 5e-3;

/// By which share that is more after a call that was further off, and less after one that was not: half of all are.
const USUAL_STEP: f64 = 0.03;

/// The standard deviation of errors of a bell curve whose median is 1.
const SIGMA: f64 = 1.4826;

/// An error counts for so many standard deviations at most.
const CLIPPED: f64 = 2.0;

/// A call this much off is no jitter: the device has stood still, and what was known of its moments is not true
/// any more.
const LOST_NS: f64 = 150e6;

/// More than this of an error is not believed, in nanoseconds: a busy machine wakes a thread late now and then.
const BELIEVED_NS: f64 = 3e6;

/// Errors that are not believed for so long, all on one side, are true, in seconds: the device has lost time.
const DISBELIEF_S: f64 = 0.5;

/// The most that a device's clock may be off, as a share of its rate: crystals are within a ten-thousandth, and what is
/// paced by programs within some thousandths.
const OFF_MAX: f64 = 0.005;

/// A call of a device: so many frames, at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The frames of this call.
    pub frames: u32,
    /// When it came.
    pub at: Moment,
}

/// What is known of a device's clock.
#[derive(Debug, Clone)]
pub struct Beat {
    /// Frames per nanosecond by the device's own word.
    nominal: f64,
    origin: Option<Moment>,
    /// All frames so far.
    frames: u64,
    /// When they were reached, in nanoseconds from the origin, smoothed.
    reached: f64,
    /// The length of a frame in nanoseconds, smoothed.
    frame_ns: f64,
    doubt: Doubt,
    /// How far off calls usually are, in seconds: the median.
    usual_s: f64,
    /// Since when it is followed, in nanoseconds from the origin, and for how many seconds now.
    since: f64,
    followed: f64,
    /// The earliest that calls say at first of the moment of frame 0.
    first: f64,
    /// For how long errors were not believed, in seconds: positive if all were late.
    disbelief: f64,
    /// How often the device stood still.
    lost: u32,
}

/// How far off what is known may be: the covariance of the moment, in seconds, and the rate, as a share.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    moment: f64,
    both: f64,
    rate: f64,
}

impl Doubt {
    const fn first(rate: f64) -> Self {
        Self { moment: FIRST_OFF_S * FIRST_OFF_S, both: 0.0, rate: rate * rate }
    }

    /// So many seconds later.
    fn grow(&mut self, seconds: f64) {
        self.moment += seconds * seconds.mul_add(self.rate, 2.0 * self.both);
        self.both += seconds * self.rate;
        self.rate += WANDER * WANDER * seconds;
    }

    /// How much of the error of a call with this standard deviation is the moment's, and what of it a second's.
    fn shrink(&mut self, sigma: f64) -> (f64, f64) {
        let all = sigma.mul_add(sigma, self.moment);
        let (moment, rate) = (self.moment / all, self.both / all);
        self.rate -= rate * self.both;
        self.both -= moment * self.both;
        self.moment -= moment * self.moment;
        (moment, rate)
    }
}

impl Beat {
    /// The clock of a device with this rate, of which nothing is known yet.
    #[must_use]
    pub fn new(rate_hz: u32) -> Self {
        let nominal = f64::from(rate_hz) / 1e9;
        Self {
            nominal,
            origin: None,
            frames: 0,
            reached: 0.0,
            frame_ns: 1.0 / nominal,
            doubt: Doubt::first(FIRST_OFF),
            usual_s: USUAL_FIRST_S,
            since: 0.0,
            followed: 0.0,
            first: f64::MAX,
            disbelief: 0.0,
            lost: 0,
        }
    }

    /// Takes a call into account.
    pub fn mark(&mut self, mark: Mark) {
        let Some(origin) = self.origin else {
            self.origin = Some(mark.at);
            self.frames = u64::from(mark.frames);
            return;
        };
        if mark.frames == 0 {
            return;
        }
        self.frames += u64::from(mark.frames);
        let frames = f64::from(mark.frames);
        let at = mark.at.since_ns(origin) as f64;
        let expected = frames.mul_add(self.frame_ns, self.reached);
        let error = at - expected;
        let seconds = frames * self.frame_ns / 1e9;
        self.disbelief = match error.abs() > BELIEVED_NS {
            true if error.signum() == self.disbelief.signum() => {
                self.disbelief + error.signum() * seconds
            }
            true => error.signum() * seconds,
            false => 0.0,
        };
        if self.is_known() && (error.abs() > LOST_NS || self.disbelief.abs() > DISBELIEF_S) {
            self.disbelief = 0.0;
            self.lost += 1;
            self.reached = at;
            self.doubt = Doubt::first(self.doubt.rate.sqrt().max(STILL_OFF));
            self.usual_s = USUAL_FIRST_S;
            (self.since, self.followed, self.first) = (at, 0.0, f64::MAX);
            return;
        }
        // By our clock: a bunch of frames may be seconds of theirs.
        self.followed = (at - self.since) / 1e9;
        if !self.is_known() {
            let length = self.frames as f64 * self.frame_ns;
            if self.followed > BUNCH_S {
                self.first = self.first.min(at - length);
            }
            self.reached = if self.first == f64::MAX { at } else { self.first + length };
            return;
        }
        self.doubt.grow(seconds);
        let error_s = error / 1e9;
        let sigma = SIGMA * self.usual_s;
        let is_further = error_s.abs() > self.usual_s;
        let step = if is_further { 1.0 + USUAL_STEP } else { 1.0 / (1.0 + USUAL_STEP) };
        self.usual_s = (self.usual_s * step).clamp(USUAL_LEAST_S, USUAL_MOST_S);
        let (moment, rate) = self.doubt.shrink(sigma);
        let error_s = error_s.clamp(-CLIPPED * sigma, CLIPPED * sigma);
        self.reached = (moment * 1e9).mul_add(error_s, expected);
        self.frame_ns = (rate * error_s).mul_add(1.0 / self.nominal, self.frame_ns);
        let (least, most) = (1.0 - OFF_MAX, 1.0 + OFF_MAX);
        self.frame_ns = self.frame_ns.clamp(least / self.nominal, most / self.nominal);
    }

    /// Whether it was followed for long enough that the moment is known, to a millisecond or so.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.followed >= BUNCH_S + FIRST_S
    }

    /// How many frames there are at a moment, as if they came one by one; none before the first call.
    #[must_use]
    pub fn frames_at(&self, moment: Moment) -> Option<f64> {
        let origin = self.origin?;
        let at = moment.since_ns(origin) as f64;
        Some((at - self.reached) / self.frame_ns + self.frames as f64)
    }

    /// Frames a second, by our clock.
    #[must_use]
    pub fn rate_hz(&self) -> f64 {
        1e9 / self.frame_ns
    }

    /// By how much the device's clock is off, in millionths: positive if it is fast.
    #[must_use]
    pub fn off_ppm(&self) -> f64 {
        (self.rate_hz() / (self.nominal * 1e9) - 1.0) * 1e6
    }

    /// How often the device stood still for longer than jitter explains.
    #[must_use]
    pub const fn lost(&self) -> u32 {
        self.lost
    }
}

/// What a device hands over at a time: the longest call of late but one, since a single one tells of a busy machine.
#[derive(Debug, Clone, Copy)]
pub struct Period {
    rate_hz: f64,
    /// Frames of this window so far, and how many it is to have.
    into: f64,
    window: f64,
    /// The two longest of this window, and of the one before.
    longest: [[u32; 2]; 2],
    /// Frames of calls that came at once, and when the first of them did.
    bunch: u32,
    first: Option<Moment>,
}

/// Calls that come so soon after the first of them come at once, in nanoseconds: most devices' period is longer.
const AT_ONCE_NS: u64 = 1_000_000;

/// How long a call is remembered at least, in seconds; at first less, since the first calls come in a bunch.
const WINDOW_FIRST_S: f64 = 0.15;
const WINDOW_S: f64 = 2.0;

impl Period {
    /// Of a device with this rate that has called nobody yet.
    #[must_use]
    pub fn new(rate_hz: u32) -> Self {
        let rate_hz = f64::from(rate_hz);
        Self {
            rate_hz,
            into: 0.0,
            window: WINDOW_FIRST_S * rate_hz,
            longest: [[0; 2]; 2],
            bunch: 0,
            first: None,
        }
    }

    /// Takes a call into account. What comes at once belongs together.
    pub fn mark(&mut self, mark: Mark) {
        if self.first.is_none_or(|first| mark.at.since_ns(first) >= AT_ONCE_NS) {
            self.first = Some(mark.at);
            self.note();
        }
        self.bunch = self.bunch.saturating_add(mark.frames);
        if self.into >= self.window {
            if self.longest[1][0] > 0 {
                self.window = WINDOW_S * self.rate_hz;
            }
            self.into = 0.0;
            self.longest = [[0; 2], self.longest[0]];
        }
        self.into += f64::from(mark.frames);
    }

    /// What came at once is whole.
    fn note(&mut self) {
        let [first, second] = &mut self.longest[0];
        let bunch = std::mem::take(&mut self.bunch);
        if bunch > *first {
            (*first, *second) = (bunch, *first);
        } else {
            *second = bunch.max(*second);
        }
    }

    /// In frames.
    #[must_use]
    pub fn frames(&self) -> f64 {
        let [[a, b], [c, d]] = self.longest;
        let second = a.min(c).max(b).max(d);
        // One call alone is all that is known at first.
        f64::from(if second > 0 { second } else { a.max(c) })
    }
}

#[cfg(test)]
mod tests {
    use super::{Beat, Mark};
    use crate::host::pace::{Clock, Moment};
    use crate::seed::Seed;

    const PERIOD: u32 = 480;

    /// A device whose clock is off by `ppm`, and whose calls come up to `jitter_ms` late. Its true frames at a moment
    /// are given to `see` with what the beat takes them for.
    fn follow(ppm: f64, jitter_ms: f64, seconds: u32, mut see: impl FnMut(f64, f64, &Beat)) {
        let start = Clock::default().now();
        let rate = 48_000.0 * (1.0 + ppm / 1e6);
        let mut beat = Beat::new(48_000);
        let mut seed = Seed::new(3);
        for call in 1..=(seconds * 48_000 / PERIOD) {
            let frames = f64::from(call) * f64::from(PERIOD);
            let due_ns = frames / rate * 1e9;
            let late_ns = (seed.next_u64() >> 40) as f64 / f64::from(1 << 24) * jitter_ms * 1e6;
            let at: Moment = start.after_ns((due_ns + late_ns) as u64);
            beat.mark(Mark { frames: PERIOD, at });
            // A moment in the middle of what is to come.
            let ahead_ns = 3.7e6;
            let moment = start.after_ns((due_ns + ahead_ns) as u64);
            let told = beat.frames_at(moment).unwrap();
            see(due_ns / 1e9, told - (frames + ahead_ns / 1e9 * rate), &beat);
        }
    }

    #[test]
    fn a_clock_that_is_off_is_known_for_what_it_is() {
        for ppm in [0.0, 1_000.0, -1_000.0, 80.0] {
            follow(ppm, 4.0, 60, |seconds, _, beat| {
                if seconds > 40.0 {
                    assert!((beat.off_ppm() - ppm).abs() < 60.0, "{ppm}: {}", beat.off_ppm());
                }
            });
        }
    }

    #[test]
    fn jitter_of_calls_is_not_seen_in_the_frames() {
        let (mut least, mut most) = (f64::MAX, f64::MIN);
        follow(1_000.0, 4.0, 60, |seconds, error, _| {
            if seconds > 20.0 {
                (least, most) = (least.min(error), most.max(error));
            }
        });
        // Calls are two milliseconds late on average, which is 96 frames, and spread over four.
        assert!(most - least < 24.0, "half a millisecond at most: {least} to {most}");
    }

    /// As a sound server was seen to call: to some hundredths of a millisecond in time, but for one call in six, which
    /// is up to 5 ms late.
    #[test]
    fn a_clock_is_known_within_seconds_to_what_echo_cancellation_bears() {
        let start = Clock::default().now();
        for ppm in [0.0, 120.0, -1_000.0] {
            let rate = 48_000.0 * (1.0 + ppm / 1e6);
            let mut beat = Beat::new(48_000);
            let mut seed = Seed::new(5);
            for call in 1..=6_000_u32 {
                let due_ns = f64::from(call) * 480.0 / rate * 1e9;
                let share = (seed.next_u64() >> 40) as f64 / f64::from(1 << 24);
                let is_late = seed.next_u64().is_multiple_of(6);
                let late_ns = share * if is_late { 5e6 } else { 50e3 };
                beat.mark(Mark { frames: 480, at: start.after_ns((due_ns + late_ns) as u64) });
                let off = (beat.off_ppm() - ppm).abs();
                // The one that is a thousandth off is no crystal.
                let seconds = if ppm.abs() > 200.0 { 4 } else { 2 };
                assert!(call < seconds * 100 || off < 50.0, "{ppm}, call {call}: {off}");
                assert!(call < 1_000 || off < 5.0, "{ppm}, call {call}: {off}");
            }
        }
    }

    #[test]
    fn a_device_that_stood_still_is_followed_anew() {
        let start = Clock::default().now();
        let mut beat = Beat::new(48_000);
        let mut at_ns = 0;
        for call in 0..600 {
            at_ns += if call == 300 { 2_000_000_000 } else { 10_000_000 };
            beat.mark(Mark { frames: PERIOD, at: start.after_ns(at_ns) });
        }
        assert_eq!(beat.lost(), 1);
        let told = beat.frames_at(start.after_ns(at_ns)).unwrap();
        assert!((told - 600.0 * 480.0).abs() < 5.0, "{told}");
        assert!(beat.off_ppm().abs() < 100.0, "{}", beat.off_ppm());
    }

    #[test]
    fn calls_that_come_late_now_and_then_are_not_believed() {
        let start = Clock::default().now();
        let mut beat = Beat::new(48_000);
        let mut seed = Seed::new(8);
        for call in 1..=6_000_u64 {
            let late_ms =
                if seed.next_u64().is_multiple_of(20) { 5 + seed.next_u64() % 60 } else { 0 };
            let at = start.after_ns(call * 10_000_000 + late_ms * 1_000_000);
            beat.mark(Mark { frames: PERIOD, at });
            assert!(beat.off_ppm().abs() < 300.0, "call {call}: {}", beat.off_ppm());
            if call > 500 {
                let told = beat.frames_at(start.after_ns(call * 10_000_000)).unwrap();
                let error = told - call as f64 * f64::from(PERIOD);
                assert!(error.abs() < 96.0, "call {call}: {error} frames");
            }
        }
        assert_eq!(beat.lost(), 0);
    }

    #[test]
    fn a_period_is_what_comes_at_a_time_whatever_pieces_it_comes_in() {
        let start = Clock::default().now();
        // Pieces of so many frames, so many at once, and from one time to the next.
        for (frames, pieces, every_us) in
            [(480, 1, 10_000), (120, 4, 10_000), (24, 1, 500), (480, 2, 20_000)]
        {
            let mut period = super::Period::new(48_000);
            for time in 0..2_000_u64 {
                // Once in a while a busy machine lets a lot wait.
                let at_us =
                    if (300..305).contains(&time) { 305 * every_us } else { time * every_us };
                for piece in 0..pieces {
                    let at = start.after_ns((at_us + piece * 50) * 1_000);
                    period.mark(Mark { frames, at });
                }
            }
            let there = f64::from(frames) * pieces as f64;
            let most = there.max(48.0);
            assert!((there..=most).contains(&period.frames()), "{frames}: {}", period.frames());
        }
    }

    #[test]
    fn a_bunch_at_first_tells_of_no_other_rate() {
        let start = Clock::default().now();
        let mut beat = Beat::new(48_000);
        let mut at_ns = 1_000_000;
        for call in 0..400 {
            // Eighty milliseconds at once, and a pause as long; then as it should be.
            at_ns += match call {
                0..8 => 50_000,
                8 => 80_000_000,
                _ => 10_000_000,
            };
            beat.mark(Mark { frames: PERIOD, at: start.after_ns(at_ns) });
            assert!(beat.off_ppm().abs() < 200.0, "call {call}: {}", beat.off_ppm());
        }
        let told = beat.frames_at(start.after_ns(at_ns)).unwrap();
        assert!((told - 400.0 * 480.0).abs() < 24.0, "{told}");
    }
}
