//! The session's source of randomness: a seed that steps.
//!
//! SplitMix64 (Steele, Lea, Flood 2014): eight bytes of state, serialised with the session, and the
//! same sequence on every machine. Not for secrets.
//!
//! **Invariant:** no global generator is read; equal seeds give equal sequences.

use serde::{Deserialize, Serialize};

/// A seeded sequence of pseudo-random numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed(u64);

impl Seed {
    /// The sequence that `seed` starts.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A sequence of its own for the part called `name`, unrelated to the others of this seed.
    #[must_use]
    pub fn branch(&self, name: &str) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64_with_seed(name.as_bytes(), self.0))
    }

    /// The next number, over all 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The next number in `0..bound`; 0 when `bound` is 0. The bias of the multiplication is below
    /// 2⁻³² for the bounds used here (< 2³²).
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True with probability `percent` in a hundred.
    pub fn chance(&mut self, percent: f64) -> bool {
        ((self.next_u64() >> 11) as f64) < percent / 100.0 * (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Seed;

    #[test]
    fn sequences_repeat_and_branches_differ() {
        let (mut a, mut b) = (Seed::new(7), Seed::new(7));
        assert_eq!(a.next_u64(), b.next_u64());
        assert_ne!(a.branch("loss").next_u64(), a.branch("noise").next_u64());
        assert!((0..1000).all(|_| a.below(10) < 10));
    }
}
