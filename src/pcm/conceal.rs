//! Fills in for frames that were lost on PCM transports (Opus brings its own concealment).
//!
//! Speech is periodic over tens of milliseconds, so a lost frame is replaced by repeating the last
//! pitch period, fading to silence within 60 ms; beyond that a repeated vowel sounds like a robot.
//! When frames return, the repetition is cross-faded into them over 5 ms.
//!
//! The period is found by normalised autocorrelation at about 4 kHz, which costs a few microseconds
//! at any rate, and refined to one sample where it differs least at the full rate. A period never
//! repeats perfectly; the step this leaves at the seam is spread over the beginning of the cycle, so
//! that the seam is as smooth as the signal was one period earlier.
//!
//! **Invariant:** no delay is added and received frames pass unchanged, except for the first 5 ms
//! after a loss. Integers decide everything but the choice among pitch lags, which divides two
//! exact integers: the output is bit-identical everywhere.

use serde::{Deserialize, Serialize};

use super::resample::RATES_HZ;

/// Searched pitch: 2.5 ms (400 Hz, a child) to 15 ms (67 Hz, a low man).
const LAG_MIN_US: u32 = 2_500;
const LAG_MAX_US: u32 = 15_000;
/// What is compared with its past: one period of the lowest voices nearly, four of the highest.
const TEMPLATE_US: u32 = 10_000;
/// From full level to silence.
const FADE_US: u32 = 60_000;
/// From the repetition back to what is received.
const RETURN_US: u32 = 5_000;
/// The seam's step is spread over at most this long (and at most one period).
const SEAM_US: u32 = 2_500;

/// The first search runs at the least multiple of this rate that the sample rate divides into,
/// between 4 and 6 kHz: pitch itself is below 400 Hz.
const COARSE_HZ: u32 = 4_000;
/// 25 ms (the longest lag and the template) at less than 6 kHz.
const COARSE_LEN: usize = 150;

/// One stream's concealment: 1.3 KB at 16 kHz, all of it allocated at construction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concealer {
    rate_hz: u32,
    /// The last 25 ms played, oldest first.
    history: Vec<i16>,
    /// The period being repeated, in the first `gap.period` samples.
    cycle: Vec<i16>,
    gap: Option<Gap>,
}

/// A run of lost frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Gap {
    /// Samples in the cycle, at least 1.
    period: usize,
    /// Samples since the gap began; stops counting at the end of the fade.
    elapsed: usize,
    /// The cycle's sample to be played next.
    at: usize,
}

impl Concealer {
    /// Begins a stream at `rate_hz`, after silence.
    ///
    /// # Panics
    /// If the rate is outside 8,000 to 48,000 Hz.
    #[must_use]
    pub fn new(rate_hz: u32) -> Self {
        assert!(
            RATES_HZ.contains(&rate_hz),
            "sample rate {rate_hz} Hz is outside 8000..=48000; check it before concealing"
        );
        Self {
            rate_hz,
            history: vec![0; samples(rate_hz, LAG_MAX_US + TEMPLATE_US)],
            cycle: vec![0; samples(rate_hz, LAG_MAX_US)],
            gap: None,
        }
    }

    /// Takes note of a received frame, and after a loss cross-fades its first 5 ms in place.
    ///
    /// A frame may have any length; after a loss it is best 5 ms or longer.
    pub fn receive(&mut self, frame: &mut [i16]) {
        if let Some(mut gap) = self.gap.take() {
            let n = samples(self.rate_hz, RETURN_US).min(frame.len());
            let fade = samples(self.rate_hz, FADE_US);
            for (i, sample) in (1..).zip(&mut frame[..n]) {
                let (new, old) = (i32::from(*sample), i32::from(gap.next(&self.cycle, fade)));
                let (i, n) = (i, n as i32);
                *sample = ((new * i + old * (n - i)) / n) as i16;
            }
        }
        self.remember(frame);
    }

    /// Fills `frame` in place of one that was lost.
    pub fn conceal(&mut self, frame: &mut [i16]) {
        if self.is_silent() {
            frame.fill(0);
            return self.remember(frame);
        }
        let mut gap = match self.gap {
            Some(gap) => gap,
            None => self.open(),
        };
        let fade = samples(self.rate_hz, FADE_US);
        frame.fill_with(|| gap.next(&self.cycle, fade));
        self.gap = Some(gap);
        self.remember(frame);
    }

    /// Whether the last frame was concealed.
    #[must_use]
    pub fn is_concealing(&self) -> bool {
        self.gap.is_some()
    }

    /// Whether the concealment has faded out, so that further frames are digital silence.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.gap.is_some_and(|gap| gap.elapsed >= samples(self.rate_hz, FADE_US))
    }

    /// Finds the period and copies it, its seam mended, to the cycle.
    fn open(&mut self) -> Gap {
        let period = self.period();
        let end = self.history.len();
        let cycle = &mut self.cycle[..period];
        cycle.copy_from_slice(&self.history[end - period..]);
        // How much later the last sample is off from the one a period before it. Where the cycle
        // follows that last sample, first and at each repetition, it begins this much off as well.
        let step = i32::from(self.history[end - 1]) - i32::from(self.history[end - period - 1]);
        let seam = samples(self.rate_hz, SEAM_US).min(period) as i32;
        for (i, sample) in (1..seam).zip(cycle) {
            let mended = i32::from(*sample) + step * (seam - i) / seam;
            *sample = mended.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
        }
        Gap { period, elapsed: 0, at: 0 }
    }

    /// The lag at which the last 10 ms resemble their past most, in samples.
    fn period(&self) -> usize {
        let factor = (self.rate_hz / COARSE_HZ) as usize;
        let mut coarse = [0; COARSE_LEN];
        let len = self.history.len() / factor;
        // Aligned to the newest sample; a sum serves as well as a mean.
        for (sum, part) in coarse[..len].iter_mut().rev().zip(self.history.rchunks_exact(factor)) {
            *sum = part.iter().map(|&s| i64::from(s)).sum();
        }
        let us = |us| samples(self.rate_hz, us);
        let (template, past) = (&coarse[len - us(TEMPLATE_US) / factor..len], &coarse[..len]);
        let mut best = (0.0, us(LAG_MAX_US) / factor);
        for lag in us(LAG_MIN_US).div_ceil(factor)..=us(LAG_MAX_US) / factor {
            let earlier = &past[len - lag - template.len()..len - lag];
            let (likeness, energy) = template
                .iter()
                .zip(earlier)
                .fold((0_i64, 0_i64), |(l, e), (&a, &b)| (l + a * b, e + b * b));
            if likeness > 0 {
                let score = likeness as f64 * likeness as f64 / energy as f64;
                if score > best.0 {
                    best = (score, lag);
                }
            }
        }
        let near = best.1 * factor;
        let template = &self.history[self.history.len() - us(TEMPLATE_US)..];
        (near.saturating_sub(factor).max(us(LAG_MIN_US))..=(near + factor).min(us(LAG_MAX_US)))
            .min_by_key(|lag| {
                let end = self.history.len() - lag;
                difference(template, &self.history[end - template.len()..end])
            })
            .unwrap_or(near)
    }

    fn remember(&mut self, frame: &[i16]) {
        let kept = self.history.len().saturating_sub(frame.len());
        let dropped = self.history.len() - kept;
        self.history.copy_within(dropped.., 0);
        self.history[kept..].copy_from_slice(&frame[frame.len() - dropped..]);
    }
}

impl Gap {
    /// The next sample of the repetition, which falls to silence over `fade` samples.
    fn next(&mut self, cycle: &[i16], fade: usize) -> i16 {
        if self.elapsed >= fade {
            return 0;
        }
        self.elapsed += 1;
        let sample = i32::from(cycle[self.at]) * (fade - self.elapsed) as i32 / fade as i32;
        self.at = if self.at + 1 == self.period { 0 } else { self.at + 1 };
        sample as i16
    }
}

/// Sum of absolute differences: at most 480 samples of 65,535 each.
fn difference(a: &[i16], b: &[i16]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| (i32::from(a) - i32::from(b)).abs()).sum()
}

fn samples(rate_hz: u32, us: u32) -> usize {
    (u64::from(rate_hz) * u64::from(us) / 1_000_000) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AMPLITUDE: f64 = 12_000.0;

    fn frame(hz: f64, rate_hz: u32, index: usize) -> Vec<i16> {
        let n = rate_hz as usize / 50;
        let step = hz / f64::from(rate_hz) * std::f64::consts::TAU;
        (index * n..(index + 1) * n).map(|i| ((i as f64 * step).sin() * AMPLITUDE) as i16).collect()
    }

    /// Ten frames of a sine, of which those in `lost` are concealed.
    fn call(hz: f64, rate_hz: u32, lost: std::ops::Range<usize>) -> Vec<i16> {
        let mut concealer = Concealer::new(rate_hz);
        let mut heard = Vec::new();
        for i in 0..10 {
            let mut pcm = frame(hz, rate_hz, i);
            if lost.contains(&i) {
                pcm.fill(i16::MAX);
                concealer.conceal(&mut pcm);
            } else {
                concealer.receive(&mut pcm);
            }
            heard.extend(pcm);
        }
        heard
    }

    fn step_max(pcm: &[i16]) -> i32 {
        pcm.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap_or(0)
    }

    #[test]
    fn a_lost_frame_in_a_sine_does_not_click() {
        for rate_hz in [8_000, 11_025, 16_000, 24_000, 44_100, 48_000] {
            for hz in [90.0, 133.3, 220.0, 350.0, 440.0] {
                let natural = AMPLITUDE * hz / f64::from(rate_hz) * std::f64::consts::TAU;
                // A cross-fade may add the full amplitude over 5 ms, if the phases are opposite.
                let crossing = 2.0 * AMPLITUDE / (f64::from(rate_hz) * 0.005);
                let bound = (natural * 1.1 + crossing).ceil() as i32 + 2;
                let step = step_max(&call(hz, rate_hz, 5..6));
                assert!(step <= bound, "{hz} Hz at {rate_hz}: a step of {step}, not {bound}");
            }
        }
    }

    #[test]
    fn a_lost_frame_keeps_most_of_the_level() {
        let heard = call(200.0, 16_000, 5..6);
        let energy: f64 = heard[5 * 320..6 * 320].iter().map(|&s| f64::from(s).powi(2)).sum();
        let full = 320.0 * AMPLITUDE * AMPLITUDE / 2.0;
        // A linear fade from 1 to 2/3 has a mean square of 0.70.
        assert!((energy / full - 0.70).abs() < 0.02, "{}", energy / full);
    }

    #[test]
    fn a_long_loss_fades_to_silence_in_60_ms() {
        let heard = call(200.0, 16_000, 4..9);
        assert!(heard[6 * 320..7 * 320 - 20].iter().any(|&s| s.abs() > 100));
        assert!(heard[7 * 320 - 1..9 * 320].iter().all(|&s| s == 0));
        assert!(heard[9 * 320..].iter().any(|&s| s.abs() > 11_000));
    }

    #[test]
    fn without_loss_everything_passes_unchanged() {
        let untouched: Vec<i16> = (0..10).flat_map(|i| frame(200.0, 16_000, i)).collect();
        assert_eq!(call(200.0, 16_000, 0..0), untouched);
    }

    #[test]
    fn a_restored_checkpoint_goes_on_bit_identically() {
        let mut concealer = Concealer::new(24_000);
        concealer.receive(&mut frame(170.0, 24_000, 0));
        concealer.conceal(&mut [0; 480]);
        let saved = serde_json::to_string(&concealer).expect("state is plain data");
        let mut restored: Concealer = serde_json::from_str(&saved).expect("just written");
        assert_eq!(restored, concealer);
        let (mut expected, mut got) = (frame(170.0, 24_000, 2), frame(170.0, 24_000, 2));
        concealer.receive(&mut expected);
        restored.receive(&mut got);
        assert_eq!((got, restored), (expected, concealer));
    }

    proptest! {
        #[test]
        fn no_audio_and_no_frame_length_make_it_panic(
            rate_hz in 8_000_u32..=48_000,
            frames in prop::collection::vec((any::<bool>(), 0_usize..1_500, any::<i16>()), 1..12),
        ) {
            let mut concealer = Concealer::new(rate_hz);
            for (lost, len, loud) in frames {
                let mut pcm: Vec<i16> =
                    (0..len).map(|i| if i % 7 < 3 { loud } else { i16::MIN }).collect();
                if lost {
                    concealer.conceal(&mut pcm);
                } else {
                    concealer.receive(&mut pcm);
                }
            }
        }
    }
}
