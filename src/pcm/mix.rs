//! Sums, gains, fades and levels of 16-bit audio.
//!
//! Several participants are mixed by adding them in 32 bits and saturating once at the end. There
//! is deliberately no limiter and no automatic gain: either one looks ahead (latency), carries state
//! that couples participants (one shout turns everybody down for 100 ms), and makes "what was heard"
//! a function of who else spoke. People who shout at once clip for a moment, which they do in a room
//! as well; whoever wants headroom mixes with a [`Gain`].
//!
//! **Invariant:** nothing here wraps around, whatever the samples and gains; everything is integer
//! arithmetic and bit-identical everywhere, except [`rms_dbfs`] and [`Gain::from_db`], which end in
//! the platform's logarithm and power.

use serde::{Deserialize, Serialize};

/// Q15's one.
const UNITY: u32 = 1 << 15;

/// A factor for amplitudes from 0 to 16 (+24 dB), in steps of 1/32768.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "u32", into = "u32")]
pub struct Gain(u32);

impl Gain {
    /// Nothing is left.
    pub const SILENCE: Self = Self(0);
    /// Nothing changes: samples come out bit for bit.
    pub const UNITY: Self = Self(UNITY);
    /// The largest gain, +24 dB: quiet handsets need up to 20.
    pub const MAX: Self = Self(16 * UNITY);

    /// The gain of `q15 / 32768`, at most [`Gain::MAX`].
    #[must_use]
    pub const fn from_q15(q15: u32) -> Self {
        if q15 > Self::MAX.0 { Self::MAX } else { Self(q15) }
    }

    /// The gain of `db` decibels, rounded to the nearest step and at most [`Gain::MAX`]; NaN is
    /// silence. For configuration: `powf` is the platform's.
    #[must_use]
    pub fn from_db(db: f32) -> Self {
        // A cast saturates, and makes 0 of NaN.
        Self::from_q15((10_f32.powf(db / 20.0) * UNITY as f32).round() as u32)
    }

    /// The gain as a number of 1/32768ths.
    #[must_use]
    pub const fn q15(self) -> u32 {
        self.0
    }

    /// One sample times this gain, rounded half up, not yet saturated: at most ±524,288.
    fn times(self, sample: i16) -> i32 {
        ((i64::from(sample) * i64::from(self.0) + i64::from(UNITY / 2)) >> 15) as i32
    }
}

impl From<u32> for Gain {
    fn from(q15: u32) -> Self {
        Self::from_q15(q15)
    }
}

impl From<Gain> for u32 {
    fn from(gain: Gain) -> Self {
        gain.0
    }
}

/// Samples that [`is_silent`] looks at together: a cache line's two, so that speech is told at once.
const LOOK: usize = 64;

/// Whether it is digital silence: nothing but zeros.
#[must_use]
pub fn is_silent(pcm: &[i16]) -> bool {
    pcm.chunks(LOOK).all(|part| part.iter().fold(0, |any, &sample| any | sample) == 0)
}

/// Adds `pcm` to `acc`; both are mono at one rate and of one length (else the shorter counts).
pub fn mix_into(acc: &mut [i32], pcm: &[i16]) {
    debug_assert_eq!(acc.len(), pcm.len(), "mixing slices of different lengths");
    for (sum, &sample) in acc.iter_mut().zip(pcm) {
        *sum = sum.saturating_add(i32::from(sample));
    }
}

/// Adds `pcm` times `gain` to `acc`; each product is rounded half up to a whole sample first.
pub fn mix_scaled_into(acc: &mut [i32], pcm: &[i16], gain: Gain) {
    debug_assert_eq!(acc.len(), pcm.len(), "mixing slices of different lengths");
    for (sum, &sample) in acc.iter_mut().zip(pcm) {
        *sum = sum.saturating_add(gain.times(sample));
    }
}

/// Writes `acc` to `out`, clipped to 16 bits; slices of one length (else the shorter counts).
pub fn saturate(acc: &[i32], out: &mut [i16]) {
    debug_assert_eq!(acc.len(), out.len(), "saturating slices of different lengths");
    for (&sum, sample) in acc.iter().zip(out) {
        *sample = clip(sum);
    }
}

/// Writes `acc` without `own` to `out`, clipped to 16 bits: what one participant hears of a mix to
/// which `own` was added by [`mix_into`]. Exact, since `acc` was not clipped.
pub fn saturate_without(acc: &[i32], own: &[i16], out: &mut [i16]) {
    debug_assert_eq!(acc.len(), own.len(), "subtracting a slice of another length");
    debug_assert_eq!(acc.len(), out.len(), "saturating slices of different lengths");
    for ((&sum, &own), sample) in acc.iter().zip(own).zip(out) {
        *sample = clip(sum.saturating_sub(i32::from(own)));
    }
}

/// Multiplies `pcm` by `gain`, rounded half up and saturated.
pub fn apply_gain(pcm: &mut [i16], gain: Gain) {
    if gain == Gain::UNITY {
        return;
    }
    for sample in pcm {
        *sample = clip(gain.times(*sample));
    }
}

/// Multiplies `pcm` by a gain that moves linearly and reaches `to` exactly at the last sample.
///
/// The first sample is already one step away from `from`, so that a fade cut into several slices
/// has no sample twice: end one slice at the gain with which the next begins.
pub fn fade(pcm: &mut [i16], from: Gain, to: Gain) {
    let n = pcm.len() as i64;
    let (from, to) = (i64::from(from.0), i64::from(to.0));
    for (i, sample) in (1..).zip(pcm) {
        let gain = (from * (n - i) + to * i) / n;
        *sample = clip(Gain(gain as u32).times(*sample));
    }
}

/// Fades `pcm` linearly from the gain it had so far to silence; the last sample is 0.
pub fn fade_out(pcm: &mut [i16], from: Gain) {
    fade(pcm, from, Gain::SILENCE);
}

/// The level [`rms_dbfs`] gives for silence: 10 dB below one constant bit of 16.
pub const SILENCE_DBFS: f32 = -100.0;

/// Root mean square in dB below full scale, from [`SILENCE_DBFS`] to 0.
///
/// 0 dB is a square wave of full scale; a sine of full scale has -3.01. An empty slice is silence.
#[must_use]
pub fn rms_dbfs(pcm: &[i16]) -> f32 {
    let energy: u64 = pcm.iter().map(|&s| u64::from(s.unsigned_abs()).pow(2)).sum();
    if energy == 0 {
        return SILENCE_DBFS;
    }
    let full_scale = 32_768.0 * 32_768.0 * pcm.len() as f64;
    ((10.0 * (energy as f64 / full_scale).log10()) as f32).max(SILENCE_DBFS)
}

/// The largest absolute sample, 0 to 32,768; 0 for an empty slice.
#[must_use]
pub fn peak(pcm: &[i16]) -> u16 {
    pcm.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0)
}

fn clip(sample: i32) -> i16 {
    sample.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn three_loud_voices_clip_instead_of_wrapping() {
        let mut acc = [0; 2];
        for _ in 0..3 {
            mix_into(&mut acc, &[30_000, -30_000]);
        }
        let mut out = [0; 2];
        saturate(&acc, &mut out);
        assert_eq!(out, [i16::MAX, i16::MIN]);
        saturate_without(&acc, &[30_000, -30_000], &mut out);
        assert_eq!(out, [i16::MAX, i16::MIN]);
    }

    #[test]
    fn everybody_hears_all_but_themselves() {
        let mut acc = [0; 2];
        mix_into(&mut acc, &[100, -5]);
        mix_into(&mut acc, &[20, 7]);
        let mut out = [0; 2];
        saturate_without(&acc, &[100, -5], &mut out);
        assert_eq!(out, [20, 7]);
    }

    #[test]
    fn gains_round_half_up() {
        let mut pcm = [3, -3, 1, -1, i16::MIN];
        apply_gain(&mut pcm, Gain::from_q15(UNITY / 2));
        assert_eq!(pcm, [2, -1, 1, 0, -16_384]);
        assert_eq!(Gain::from_db(0.0), Gain::UNITY);
        assert_eq!(Gain::from_db(-6.0206), Gain::from_q15(UNITY / 2));
        assert_eq!(Gain::from_db(f32::INFINITY), Gain::MAX);
        assert_eq!(Gain::from_db(f32::NAN), Gain::SILENCE);
    }

    #[test]
    fn a_fade_ends_in_silence_and_can_be_cut_anywhere() {
        let mut whole = [10_000; 100];
        fade_out(&mut whole, Gain::UNITY);
        assert_eq!((whole[0], whole[99]), (9_900, 0));
        assert!(whole.windows(2).all(|w| w[0] - w[1] == 100));
        let mut cut = [10_000; 100];
        fade(&mut cut[..50], Gain::UNITY, Gain::from_q15(UNITY / 2));
        fade_out(&mut cut[50..], Gain::from_q15(UNITY / 2));
        assert_eq!(cut, whole);
        fade_out(&mut [], Gain::UNITY);
    }

    #[test]
    fn levels_have_their_textbook_values() {
        assert!((rms_dbfs(&[i16::MIN; 8]) - 0.0).abs() < 1e-3);
        assert!((rms_dbfs(&[1; 8]) - -90.309).abs() < 1e-3);
        assert_eq!(rms_dbfs(&[0; 8]), SILENCE_DBFS);
        assert_eq!(rms_dbfs(&[]), SILENCE_DBFS);
        assert_eq!(peak(&[3, i16::MIN, 9]), 32_768);
        assert_eq!(peak(&[]), 0);
    }

    proptest! {
        #[test]
        fn mixing_never_wraps(
            start: [i32; 4],
            voices in prop::collection::vec((any::<[i16; 4]>(), any::<u32>()), 0..9),
        ) {
            let mut acc = start;
            let mut exact = start.map(i64::from);
            for (pcm, q15) in &voices {
                let gain = Gain::from_q15(*q15);
                mix_scaled_into(&mut acc, pcm, gain);
                for (sum, &s) in exact.iter_mut().zip(pcm) {
                    let product = (i64::from(s) * i64::from(gain.q15()) + 16_384).div_euclid(32_768);
                    *sum = (*sum + product).clamp(i64::from(i32::MIN), i64::from(i32::MAX));
                }
            }
            prop_assert_eq!(acc.map(i64::from), exact);
            let mut out = [0; 4];
            saturate(&acc, &mut out);
            prop_assert_eq!(out.map(i64::from), exact.map(|s| s.clamp(-32_768, 32_767)));
        }

        #[test]
        fn gains_and_fades_never_wrap(pcm: [i16; 8], from: u32, to: u32) {
            let (from, to) = (Gain::from_q15(from), Gain::from_q15(to));
            let mut louder = pcm;
            apply_gain(&mut louder, from);
            let mut faded = pcm;
            fade(&mut faded, from, to);
            for ((&before, gained), faded) in pcm.iter().zip(louder).zip(faded) {
                // A gain of at least 0 keeps or loses the sign; rounding can only reach 0.
                prop_assert!(i32::from(before) * i32::from(gained) >= 0);
                prop_assert!(i32::from(before) * i32::from(faded) >= 0);
            }
        }
    }
}
