//! Sample-rate conversion between any two rates from 8 to 48 kHz.
//!
//! A rational polyphase FIR: a Kaiser-windowed sinc, 48 taps long at the *lower* of the two rates
//! (so 80 input samples for 24 → 16 kHz after rounding up to whole vectors). The coefficients live
//! in a [`ResamplerTable`], built once at load and shared by every session; what a session carries
//! is a [`Resampler`]: the last few input samples and the phase, a few hundred bytes.
//!
//! Everything is integer arithmetic on Q15 coefficients, and the coefficients themselves are made
//! with `+ - * /` alone, never with the platform's `sin`: the same input gives the same bits on
//! every machine, whatever its instruction set.
//!
//! | figure                    | value |
//! |---------------------------|-------|
//! | pass-band                 | flat within 0.5 dB up to 0.9 of the lower Nyquist frequency |
//! | aliases and images        | 60 dB down, save within 3 % of the lower Nyquist frequency |
//! | delay                     | 24 samples at the lower rate: 1.5 ms at 16 kHz, 3 ms at 8 kHz (up to a third more where taps were rounded up) |
//! | gain for a constant input | exactly 1 |
//!
//! **Invariant:** after `n` input samples exactly `ceil(n * to / from)` have come out, however the
//! input was cut; hence 20 ms in are always 20 ms out where both rates have whole 20 ms frames.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::mix::is_silent;

/// The rates that can be converted, in Hz: telephony up to studio.
pub const RATES_HZ: RangeInclusive<u32> = 8_000..=48_000;

/// Taps at the lower rate. At 60 dB this gives a transition band 0.15 of Nyquist wide.
const TAPS: usize = 48;

/// Tap counts are multiples of this, so that each half of a window is whole 128-bit vectors.
const TAPS_STEP: usize = 16;

/// Centre of the transition band (the -6 dB point), as a share of the lower Nyquist frequency:
/// half a transition above 0.875, so that 0.9 loses just under 0.5 dB, and half below 1.03.
const CUTOFF: f64 = 0.95;

/// Kaiser's shape parameter: 0.1102 * (A - 8.7) for A = 62 dB, two spare for rounding to Q15.
const BETA: f64 = 5.87;

/// Coefficients are Q15.
const SHIFT: u32 = 15;

/// The filter for one pair of rates: immutable, built at load, shared by reference.
///
/// At most 4.6 MB, and that only for rates without a common divisor; 24 → 16 kHz takes 320 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResamplerTable {
    from_hz: u32,
    to_hz: u32,
    /// Taps per phase; 0 where the rates are equal and samples are copied.
    taps: usize,
    /// `to / gcd`: how many positions between two input samples an output sample can have.
    phases: u32,
    /// `from / gcd`: how many of these positions lie between two output samples.
    step: u32,
    /// One window of `taps` per phase, oldest input sample first.
    coefs: Vec<i16>,
}

impl ResamplerTable {
    /// Builds the filter from `from_hz` to `to_hz`.
    ///
    /// # Panics
    /// If a rate is outside [`RATES_HZ`]; rates are checked where they enter (`wav`, configuration).
    #[must_use]
    pub fn new(from_hz: u32, to_hz: u32) -> Self {
        for rate_hz in [from_hz, to_hz] {
            assert!(
                RATES_HZ.contains(&rate_hz),
                "sample rate {rate_hz} Hz is outside 8000..=48000; check it before building a table"
            );
        }
        let divisor = gcd(from_hz, to_hz);
        let mut table = Self {
            from_hz,
            to_hz,
            taps: 0,
            phases: to_hz / divisor,
            step: from_hz / divisor,
            coefs: Vec::new(),
        };
        if from_hz != to_hz {
            let lower_hz = from_hz.min(to_hz);
            table.taps =
                (TAPS * from_hz as usize).div_ceil(lower_hz as usize).next_multiple_of(TAPS_STEP);
            let cutoff = CUTOFF * f64::from(lower_hz) / f64::from(from_hz);
            table.coefs = windows(table.phases, table.taps, cutoff);
        }
        table
    }

    /// The input rate in Hz.
    #[must_use]
    pub fn from_hz(&self) -> u32 {
        self.from_hz
    }

    /// The output rate in Hz.
    #[must_use]
    pub fn to_hz(&self) -> u32 {
        self.to_hz
    }

    /// How far the output lags the input, in input samples.
    #[must_use]
    pub fn delay_samples(&self) -> usize {
        self.taps / 2
    }

    fn window(&self, phase: u32) -> &[i16] {
        let start = phase as usize * self.taps;
        &self.coefs[start..start + self.taps]
    }
}

/// The state of one stream through a [`ResamplerTable`]; always used with the table it began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resampler {
    /// The last `taps - 1` input samples.
    history: Vec<i16>,
    /// Whole input samples to take in before the next output sample falls due.
    skip: usize,
    /// Where between two input samples the next output sample lies, in `1 / phases`.
    phase: u32,
}

impl Resampler {
    /// Begins a stream, as after endless silence.
    #[must_use]
    pub fn new(table: &ResamplerTable) -> Self {
        Self { history: vec![0; table.taps.saturating_sub(1)], skip: 0, phase: 0 }
    }

    /// Converts `input`, of any length, and appends the result to `out`.
    ///
    /// Allocates nothing once `out` has room and an input of this length was seen before.
    ///
    /// # Panics
    /// If `table` has another tap count than the table this stream began with.
    pub fn push(&mut self, table: &ResamplerTable, input: &[i16], out: &mut Vec<i16>) {
        assert_eq!(
            self.history.len(),
            table.taps.saturating_sub(1),
            "a resampler was pushed with another table than the one it began with"
        );
        if table.taps == 0 {
            out.extend_from_slice(input);
            return;
        }
        self.history.extend_from_slice(input);
        let (whole, part) = ((table.step / table.phases) as usize, table.step % table.phases);
        let (mut at, mut phase) = (self.skip, self.phase);
        if is_silent(&self.history) {
            // Of zeros alone comes zero, whatever the coefficients; only the place goes on.
            let (step, phases) = (u64::from(table.step), u64::from(table.phases));
            let from = at as u64 * phases + u64::from(phase);
            let come = (input.len() as u64 * phases).saturating_sub(from).div_ceil(step);
            out.resize(out.len() + come as usize, 0);
            let to = from + come * step;
            (at, phase) = ((to / phases) as usize, (to % phases) as u32);
        }
        while at < input.len() {
            out.push(convolve(&self.history[at..at + table.taps], table.window(phase)));
            phase += part;
            at += whole;
            if phase >= table.phases {
                phase -= table.phases;
                at += 1;
            }
        }
        (self.skip, self.phase) = (at - input.len(), phase);
        self.history.drain(..input.len());
    }

    /// Appends what is still inside the filter to `out`, by pushing silence for the length of the
    /// delay.
    pub fn flush(&mut self, table: &ResamplerTable, out: &mut Vec<i16>) {
        // 48 → 8 kHz has the most taps, 288, and so the longest delay.
        let silence = [0; 144];
        self.push(table, &silence[..table.delay_samples()], out);
    }
}

/// Converts a whole recording: without delay, without a lost tail, `round(n * to / from)` samples.
///
/// # Panics
/// If a rate is outside [`RATES_HZ`].
#[must_use]
pub fn convert(pcm: &[i16], from_hz: u32, to_hz: u32) -> Vec<i16> {
    let table = ResamplerTable::new(from_hz, to_hz);
    let (n, from, to) = (pcm.len() as u64, u64::from(from_hz), u64::from(to_hz));
    // The +2 is room for what `flush` may bring beyond the rounded length.
    let frames = usize::try_from((n * to + from / 2) / from).expect("a recording fits in memory");
    let mut out = Vec::with_capacity(frames + 2);
    let mut stream = Resampler::new(&table);
    // The first output waits until the filter is centred on the first input.
    stream.skip = table.delay_samples();
    stream.push(&table, pcm, &mut out);
    stream.flush(&table, &mut out);
    out.truncate(frames);
    out
}

/// One output sample. Each half is summed in 32 bits and cannot overflow: `windows` sees to it that
/// a half's absolute coefficients stay below 2.0. Integer sums are the same in any order, so the
/// compiler is free to use vectors.
fn convolve(pcm: &[i16], window: &[i16]) -> i16 {
    let half = window.len() / 2;
    let left = dot(&pcm[..half], &window[..half]);
    let right = dot(&pcm[half..], &window[half..]);
    let rounded = (i64::from(left) + i64::from(right) + (1 << (SHIFT - 1))) >> SHIFT;
    rounded.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16
}

fn dot(pcm: &[i16], window: &[i16]) -> i32 {
    // Written so that the compiler multiplies eight at once; `TAPS_STEP` leaves no remainder.
    let (pcm, _) = pcm.as_chunks::<8>();
    let (window, _) = window.as_chunks::<8>();
    let vectors = pcm.iter().zip(window);
    vectors.flat_map(|(p, w)| p.iter().zip(w)).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum()
}

/// The coefficients of all phases; `cutoff` is in units of the input's Nyquist frequency.
fn windows(phases: u32, taps: usize, cutoff: f64) -> Vec<i16> {
    let half = (taps / 2) as f64;
    let bessel = bessel_series();
    let mut coefs = Vec::with_capacity(phases as usize * taps);
    let mut ideal = vec![0.0; taps];
    for phase in 0..phases {
        let newest = f64::from(phase) / f64::from(phases) - half;
        for (age, tap) in ideal.iter_mut().rev().enumerate() {
            let t = newest + age as f64;
            *tap = sinc(cutoff * t) * kaiser(t / half, &bessel);
        }
        // Every phase sums to exactly 1.0, or a constant input would come out with a whine.
        let unity = f64::from(1 << SHIFT);
        let scale = unity / ideal.iter().sum::<f64>();
        let begin = coefs.len();
        coefs.extend(ideal.iter().map(|tap| (tap * scale).round() as i16));
        let window = &mut coefs[begin..];
        let missing = (1 << SHIFT) - window.iter().map(|&c| i32::from(c)).sum::<i32>();
        let centre = &mut window[taps / 2 - usize::from(newest + half < 0.5)];
        *centre += i16::try_from(missing).expect("rounding is at most half a unit per tap");
        for side in [&window[..taps / 2], &window[taps / 2..]] {
            let reach: i32 = side.iter().map(|&c| i32::from(c).abs()).sum();
            assert!(reach < 2 << SHIFT, "half a window sums to {reach} and could overflow 32 bits");
        }
    }
    coefs
}

/// sin(πx) / πx from arithmetic alone: Taylor's series after reduction to ±π/2, good to 1e-11.
fn sinc(x: f64) -> f64 {
    let whole = x.round();
    let angle = (x - whole) * std::f64::consts::PI;
    let square = angle * angle;
    let series = (1..=8).rev().fold(1.0, |sum, k| {
        let k = f64::from(k) * 2.0;
        1.0 - square * sum / (k * (k + 1.0))
    });
    let sine = if whole % 2.0 == 0.0 { angle * series } else { -angle * series };
    if x == 0.0 { 1.0 } else { sine / (x * std::f64::consts::PI) }
}

/// Kaiser's window at `u` in -1..=1, not normalised (`windows` does that).
fn kaiser(u: f64, bessel: &[f64; 20]) -> f64 {
    let y = 1.0 - u * u;
    bessel.iter().rev().fold(0.0, |sum, c| sum * y + c)
}

/// I0(BETA * sqrt(y)) as a polynomial in y: (BETA²/4)^k / k!². The twentieth term is below 1e-16.
fn bessel_series() -> [f64; 20] {
    let mut term = 1.0;
    std::array::from_fn(|k| {
        if k > 0 {
            term *= BETA * BETA / 4.0 / (k * k) as f64;
        }
        term
    })
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sine(hz: f64, rate_hz: u32, frames: usize) -> Vec<i16> {
        let step = hz / f64::from(rate_hz) * std::f64::consts::TAU;
        (0..frames).map(|i| ((i as f64 * step).sin() * 16_000.0).round() as i16).collect()
    }

    /// Level of the middle of `pcm` relative to the 16,000 of `sine`, in dB.
    fn level_db(pcm: &[i16]) -> f64 {
        let middle = &pcm[pcm.len() / 4..pcm.len() * 3 / 4];
        let power: f64 = middle.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
        10.0 * (power / middle.len() as f64 / (16_000.0 * 16_000.0 / 2.0)).log10()
    }

    #[test]
    fn there_and_back_keeps_a_sine() {
        for (from, to) in [(24_000, 16_000), (48_000, 16_000), (16_000, 24_000), (8_000, 48_000)] {
            let before = sine(1_000.0, from, from as usize);
            let after = convert(&convert(&before, from, to), to, from);
            assert_eq!(after.len(), before.len());
            let middle = before.len() / 4..before.len() * 3 / 4;
            let noise: Vec<i16> = middle.clone().map(|i| before[i] - after[i]).collect();
            let power: f64 = noise.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
            let snr_db = 10.0 * (128e6 / (power / noise.len() as f64)).log10();
            assert!(snr_db > 55.0, "{from} → {to} → {from}: {snr_db:.1} dB");
        }
    }

    #[test]
    fn passes_the_band_and_stops_what_would_alias() {
        for (from, to) in [(24_000, 16_000), (48_000, 16_000), (48_000, 8_000), (44_100, 16_000)] {
            let nyquist = f64::from(to) / 2.0;
            for share in [0.05, 0.3, 0.6, 0.8, 0.9] {
                let db = level_db(&convert(&sine(nyquist * share, from, 9_600), from, to));
                assert!(db.abs() < 0.5, "{from} → {to} at {share} of Nyquist: {db:.2} dB");
            }
            for share in [1.03, 1.1, 1.2, 1.33, 1.45] {
                let db = level_db(&convert(&sine(nyquist * share, from, 9_600), from, to));
                assert!(db < -60.0, "{from} → {to} at {share} of Nyquist: {db:.2} dB");
            }
        }
    }

    #[test]
    fn a_constant_stays_exactly_itself() {
        for (from, to) in [(24_000, 16_000), (8_000, 16_000), (44_100, 48_000), (48_000, 8_000)] {
            let out = convert(&[12_345; 4_000], from, to);
            let middle = &out[out.len() / 4..out.len() * 3 / 4];
            assert!(middle.iter().all(|&s| s == 12_345), "{from} → {to}");
        }
    }

    #[test]
    fn twenty_ms_in_are_twenty_ms_out() {
        for (from, to) in [
            (24_000, 16_000),
            (48_000, 16_000),
            (8_000, 16_000),
            (16_000, 24_000),
            (16_000, 8_000),
            (24_000, 24_000),
            (44_100, 16_000),
        ] {
            let table = ResamplerTable::new(from, to);
            let mut stream = Resampler::new(&table);
            let frame = sine(440.0, from, from as usize / 50);
            for _ in 0..20 {
                let mut out = Vec::new();
                stream.push(&table, &frame, &mut out);
                assert_eq!(out.len(), to as usize / 50, "{from} → {to}");
            }
        }
    }

    #[test]
    fn silence_between_sounds_comes_out_as_if_it_had_been_computed() {
        for (from_hz, to_hz) in [(24_000, 16_000), (16_000, 48_000), (44_100, 16_000)] {
            let table = ResamplerTable::new(from_hz, to_hz);
            let pcm: Vec<i16> = (0..40)
                .flat_map(|at| match at % 4 {
                    0 => vec![at * 100 + 1; 333],
                    _ => vec![0; 777],
                })
                .collect();
            let mut whole = Vec::new();
            Resampler::new(&table).push(&table, &pcm, &mut whole);
            for chunk in [1, 7, 160, 441, 480] {
                let (mut stream, mut out) = (Resampler::new(&table), Vec::new());
                pcm.chunks(chunk).for_each(|part| stream.push(&table, part, &mut out));
                assert_eq!(out, whole, "{from_hz} to {to_hz} by {chunk}");
            }
        }
    }

    #[test]
    fn a_restored_checkpoint_goes_on_bit_identically() {
        let table = ResamplerTable::new(24_000, 16_000);
        let pcm = sine(700.0, 24_000, 2_000);
        let mut stream = Resampler::new(&table);
        stream.push(&table, &pcm[..777], &mut Vec::new());
        let saved = serde_json::to_string(&stream).expect("state is plain data");
        let mut restored: Resampler = serde_json::from_str(&saved).expect("it was just written");
        assert_eq!(restored, stream);
        let (mut expected, mut got) = (Vec::new(), Vec::new());
        stream.push(&table, &pcm[777..], &mut expected);
        restored.push(&table, &pcm[777..], &mut got);
        assert_eq!(got, expected);
    }

    #[test]
    fn the_filter_is_the_same_on_every_machine() {
        let table = ResamplerTable::new(44_100, 48_000);
        let hash = table.coefs.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &c| {
            (hash ^ u64::from(c.cast_unsigned())).wrapping_mul(0x0100_0000_01b3)
        });
        assert_eq!(
            hash, 14_573_051_198_755_736_565,
            "a changed filter changes every journal; if meant, write it down here"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// Rates in steps of 25 Hz keep the tables small enough for a debug build.
        #[test]
        fn any_rates_any_cuts_keep_the_count(
            from in 320_u32..=1_920,
            to in 320_u32..=1_920,
            loud: bool,
            cuts in prop::collection::vec(0_usize..700, 1..8),
        ) {
            let (from, to) = (from * 25, to * 25);
            let table = ResamplerTable::new(from, to);
            let mut stream = Resampler::new(&table);
            let mut out = Vec::new();
            let pcm: Vec<i16> = (0..cuts.iter().sum::<usize>())
                // A square wave at full scale is the loudest thing there is.
                .map(|i| if (i / 3) % 2 == 0 { i16::MIN } else { i16::MAX } / if loud { 1 } else { 9 })
                .collect();
            let mut rest = pcm.as_slice();
            for cut in cuts {
                stream.push(&table, &rest[..cut], &mut out);
                rest = &rest[cut..];
            }
            let expected = (pcm.len() * to as usize).div_ceil(from as usize);
            prop_assert_eq!(out.len(), expected);
            let mut whole = Vec::new();
            Resampler::new(&table).push(&table, &pcm, &mut whole);
            prop_assert_eq!(out, whole, "cutting the input changed the output");
            let rounded = (pcm.len() * to as usize + from as usize / 2) / from as usize;
            prop_assert_eq!(convert(&pcm, from, to).len(), rounded);
        }
    }
}
