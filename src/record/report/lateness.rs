//! How late ticks began, in bins that double.

use serde::Serialize;

/// The first bin is below a microsecond; each next one is twice as wide. The last is beyond half a
/// minute.
const BINS: usize = 26;

/// Counts of ticks by lateness.
#[derive(Debug, Clone, Default)]
pub(super) struct Lateness {
    bins: [u64; BINS],
    skipped: u64,
}

/// A bin with the ticks in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Bin {
    /// Its lower end in microseconds.
    pub(super) from_us: u64,
    /// Its upper end.
    pub(super) to_us: u64,
    pub(super) ticks: u64,
}

impl Lateness {
    pub(super) fn note(&mut self, lateness_ns: Option<u64>, skipped: u32) {
        self.skipped += u64::from(skipped);
        if let Some(ns) = lateness_ns {
            let us = ns / 1_000;
            let bin = (u64::BITS - us.leading_zeros()) as usize;
            self.bins[bin.min(BINS - 1)] += 1;
        }
    }

    /// Whether anything was measured.
    pub(super) fn is_measured(&self) -> bool {
        self.bins.iter().any(|ticks| *ticks > 0)
    }

    pub(super) const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The bins from the first that is not empty to the last.
    pub(super) fn told(&self) -> Vec<Bin> {
        let first = self.bins.iter().position(|ticks| *ticks > 0);
        let last = self.bins.iter().rposition(|ticks| *ticks > 0);
        let (Some(first), Some(last)) = (first, last) else { return Vec::new() };
        let end = |bin: usize| 1_u64 << bin;
        let bins = first..=last;
        bins.map(|bin| Bin {
            from_us: if bin == 0 { 0 } else { end(bin - 1) },
            to_us: end(bin),
            ticks: self.bins[bin],
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_double() {
        let mut lateness = Lateness::default();
        assert!(!lateness.is_measured());
        for ns in [900, 1_000, 1_999, 2_000, 3_999_999, u64::MAX] {
            lateness.note(Some(ns), 0);
        }
        lateness.note(None, 3);
        let told = lateness.told();
        assert_eq!(told.len(), BINS);
        let bin = |at: usize| (told[at].from_us, told[at].to_us, told[at].ticks);
        assert_eq!([bin(0), bin(1), bin(2)], [(0, 1, 1), (1, 2, 2), (2, 4, 1)]);
        assert_eq!(bin(12), (2_048, 4_096, 1));
        assert_eq!(told.last().unwrap().ticks, 1);
        assert_eq!(lateness.skipped(), 3);
    }
}
