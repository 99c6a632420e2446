//! Plays chirps, and listens for them: how long the way from speaker to microphone is, how it drifts, how loud it
//! comes back.
//!
//! A chirp is a tone that rises from 300 Hz to 3.4 kHz: what any loudspeaker plays and any microphone hears, and what
//! can be found again in noise to the sample, since it is like itself at no other moment.

use std::f64::consts::TAU;

use super::capture::Capture;
use super::follow::Flow;
use super::keeper::{Ends, Part, Shape};
use super::line::Breakdown;
use super::playback::Playback;
use crate::host::pace::Clock;

/// The rate at which it is played and recorded.
pub const RATE_HZ: u32 = 48_000;

/// How a probe paces itself.
pub const SHAPE: Shape = Shape { session_hz: RATE_HZ, echo_hz: RATE_HZ, tick_ms: TICK_MS };

const TICK_MS: u32 = 20;
const TICK: usize = (RATE_HZ * TICK_MS / 1_000) as usize;

/// The length of a chirp, and from one to the next.
const CHIRP_MS: u32 = 60;
const EVERY_MS: u32 = 1_000;

/// How long the devices' clocks are listened to before the first: errors of their delays are made good by then.
const LEAD_MS: u32 = 2_000;

/// Where it begins and ends.
const FROM_HZ: f64 = 300.0;
const TO_HZ: f64 = 3_400.0;

/// How loud it is: -12 dBFS.
const GAIN: f64 = 0.25;

/// A chirp is found if it stands out of everything else like it by this factor.
const CLEAR: f64 = 6.0;

/// How it was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// When it was played, in seconds from the first.
    pub at_s: f64,
    /// How long it was under way, in milliseconds.
    pub after_ms: f64,
    /// How much weaker it came back, in dB; negative.
    pub level_db: f64,
}

/// What a probe heard.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heard {
    /// Chirps that were played.
    pub played: usize,
    /// Those that came back.
    pub found: Vec<Found>,
    /// How loud the microphone was between them, in dBFS.
    pub noise_dbfs: f64,
    /// The microphone.
    pub input: Option<Flow>,
    /// The speaker.
    pub output: Option<Flow>,
    /// What was added to the devices' own delays.
    pub added: Breakdown,
}

impl Heard {
    /// The round trip in the middle, in milliseconds.
    #[must_use]
    pub fn round_trip_ms(&self) -> Option<f64> {
        let mut all: Vec<_> = self.found.iter().map(|found| found.after_ms).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied()
    }

    /// How much weaker chirps come back on average, in dB.
    #[must_use]
    pub fn level_db(&self) -> Option<f64> {
        let all = self.found.iter().map(|found| found.level_db);
        (!self.found.is_empty()).then(|| all.sum::<f64>() / self.found.len() as f64)
    }

    /// The shortest and the longest round trip, in milliseconds.
    #[must_use]
    pub fn round_trips_ms(&self) -> Option<(f64, f64)> {
        let all = self.found.iter().map(|found| found.after_ms);
        let (least, most) = (all.clone().reduce(f64::min)?, all.reduce(f64::max)?);
        Some((least, most))
    }

    /// By how much the round trip grows, in milliseconds a minute: the slope in the middle of those between any two, to
    /// which a chirp that came late once is nothing. Nothing is known from fewer than four.
    #[must_use]
    pub fn drift_ms_a_minute(&self) -> Option<f64> {
        if self.found.len() < 4 {
            return None;
        }
        // Those that are compared are bounded: a hundred, evenly taken, are as good as all.
        let step = self.found.len().div_ceil(100);
        let few: Vec<_> = self.found.iter().step_by(step).collect();
        let later = |(at, first): (usize, &&Found)| {
            let (at_s, after_ms) = (first.at_s, first.after_ms);
            few[at + 1..].iter().map(move |f| (f.after_ms - after_ms) / (f.at_s - at_s) * 60.0)
        };
        let mut slopes: Vec<f64> = few.iter().enumerate().flat_map(later).collect();
        slopes.sort_by(f64::total_cmp);
        slopes.get(slopes.len() / 2).copied()
    }
}

/// Plays so many chirps, a second apart, and listens to each.
#[must_use]
pub fn probe(ends: &Ends, chirps: usize) -> Heard {
    let chirp = chirp();
    let clock = Clock::default();
    let (mut input, mut output) = (None, None);
    // Two seconds for streams to settle, and one for the last to come back.
    let lead = (LEAD_MS / TICK_MS) as usize;
    let every = (EVERY_MS / TICK_MS) as usize;
    let ticks = lead + chirps * every + every;
    let (mut played, mut heard) = (vec![0.0; ticks * TICK], vec![0.0; ticks * TICK]);
    for number in 0..chirps {
        let at = (lead + number * every) * TICK;
        played[at..at + chirp.len()].copy_from_slice(&chirp);
    }
    let start = clock.now();
    for tick in 0..ticks {
        let at = start.after_ns(tick as u64 * u64::from(TICK_MS) * 1_000_000);
        clock.sleep_until(at);
        while let Ok(part) = ends.parts.try_recv() {
            match part {
                Part::Input(part) => input = part,
                Part::Output(part) => output = part,
            }
        }
        let range = tick * TICK..(tick + 1) * TICK;
        if let Some(capture) = &mut input {
            capture.take(at, &mut heard[range.clone()]);
        }
        if let Some(both) = &mut output {
            both.0.put(at, &played[range]);
        }
    }
    let mut found = Vec::new();
    for number in 0..chirps {
        let at = (lead + number * every) * TICK;
        if let Some((lag, gain)) = find(&chirp, &heard[at..at + every * TICK]) {
            found.push(Found {
                at_s: f64::from(number as u32 * EVERY_MS) / 1e3,
                after_ms: lag / f64::from(RATE_HZ) * 1e3,
                level_db: 20.0 * gain.log10(),
            });
        }
    }
    let before = &heard[lead * TICK / 2..lead * TICK];
    let power = before.iter().map(|&s| f64::from(s) * f64::from(s)).sum::<f64>();
    let (input, output) = (input.as_deref(), output.as_deref().map(|both| &both.0));
    Heard {
        played: chirps,
        found,
        noise_dbfs: 10.0 * (power / before.len() as f64).max(1e-12).log10(),
        input: input.map(Capture::flow),
        output: output.map(Playback::flow),
        added: Breakdown::of(input, output, TICK_MS),
    }
}

/// A chirp, faded in and out so that it does not click.
fn chirp() -> Vec<f32> {
    let len = (RATE_HZ * CHIRP_MS / 1_000) as usize;
    let seconds = f64::from(CHIRP_MS) / 1e3;
    let sample = |n: usize| {
        let t = n as f64 / f64::from(RATE_HZ);
        let phase = TAU * (FROM_HZ * t + (TO_HZ - FROM_HZ) / (2.0 * seconds) * t * t);
        let fade = (std::f64::consts::PI * n as f64 / len as f64).sin();
        (GAIN * fade * phase.sin()) as f32
    };
    (0..len).map(sample).collect()
}

/// Where in `heard` the chirp begins, in samples, and how loud it is there compared with what was played.
///
/// It is looked for at a sixth of the rate first, which has all of a chirp and takes a thirty-sixth of the work, and then
/// to the sample near by.
fn find(chirp: &[f32], heard: &[f32]) -> Option<(f64, f64)> {
    let coarse = correlated(&thinned(chirp), &thinned(heard));
    let (near, peak) = highest(&coarse)?;
    let usual =
        (coarse.iter().map(|value| value * value).sum::<f64>() / coarse.len() as f64).sqrt();
    if peak.abs() < CLEAR * usual || usual == 0.0 {
        return None;
    }
    let last = heard.len().checked_sub(chirp.len())?;
    let from = (near * THIN).saturating_sub(2 * THIN).min(last);
    let to = (near * THIN + 2 * THIN).min(last);
    let all = correlated(chirp, &heard[from..to + chirp.len()]);
    let (best, peak) = highest(&all)?;
    let energy = alike(chirp, chirp);
    let lag = (from + best) as f64;
    // Between samples: the top of the parabola through the three highest values.
    let (Some(&left), Some(&right)) = (all.get(best.wrapping_sub(1)), all.get(best + 1)) else {
        return Some((lag, peak.abs() / energy));
    };
    let bend = left - 2.0 * peak + right;
    let between = if bend == 0.0 { 0.0 } else { 0.5 * (left - right) / bend };
    Some((lag + between, peak.abs() / energy))
}

/// How many samples become one where it is looked for first: 8 kHz are left.
const THIN: usize = 6;

/// Sums that do not wait for each other, so that a processor takes them at once.
const LANES: usize = 8;

fn thinned(samples: &[f32]) -> Vec<f32> {
    samples.chunks_exact(THIN).map(|chunk| chunk.iter().sum::<f32>() / THIN as f32).collect()
}

/// How much like a chirp it is at each lag.
fn correlated(chirp: &[f32], heard: &[f32]) -> Vec<f64> {
    heard.windows(chirp.len().max(1)).map(|window| alike(chirp, window)).collect()
}

/// The sum of the products.
fn alike(a: &[f32], b: &[f32]) -> f64 {
    let (mut sums, mut rest) = ([0.0_f32; LANES], 0.0);
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (a, b) in a.remainder().iter().zip(b.remainder()) {
        rest += a * b;
    }
    for (a, b) in a.zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    f64::from(sums.iter().sum::<f32>() + rest)
}

fn highest(all: &[f64]) -> Option<(usize, f64)> {
    let all = all.iter().copied().enumerate();
    all.max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()))
}

#[cfg(test)]
mod tests {
    use super::{Found, Heard, RATE_HZ, chirp, find};

    #[test]
    fn one_late_chirp_is_no_drift() {
        let heard = |after: [f64; 5]| {
            let at =
                |(n, after_ms): (usize, f64)| Found { at_s: n as f64, after_ms, level_db: -9.0 };
            Heard { found: after.into_iter().enumerate().map(at).collect(), ..Heard::default() }
        };
        let late = heard([60.0, 60.1, 85.0, 60.0, 60.1]);
        let drift = late.drift_ms_a_minute().unwrap();
        assert!(drift.abs() < 7.0, "{drift}");
        assert_eq!(late.round_trips_ms(), Some((60.0, 85.0)));
        let growing = heard([60.0, 61.0, 62.0, 63.0, 64.0]).drift_ms_a_minute().unwrap();
        assert!((growing - 60.0).abs() < 1e-9, "{growing}");
        assert_eq!(Heard::default().drift_ms_a_minute(), None);
    }

    #[test]
    fn a_chirp_is_found_in_noise_where_it_is() {
        let chirp = chirp();
        let mut seed = crate::seed::Seed::new(5);
        let mut heard: Vec<f32> = (0..RATE_HZ as usize)
            .map(|_| ((seed.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0) * 0.02)
            .collect();
        assert_eq!(find(&chirp, &heard), None, "there is none");
        for (to, from) in heard[7_654..].iter_mut().zip(&chirp) {
            *to -= from * 0.1;
        }
        let (lag, gain) = find(&chirp, &heard).unwrap();
        assert!((lag - 7_654.0).abs() < 0.5, "{lag}");
        assert!((gain - 0.1).abs() < 0.01, "{gain}");
    }
}
