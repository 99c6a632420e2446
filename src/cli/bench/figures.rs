//! From recordings to figures: medians over repetitions, with their spread.
//!
//! **Invariant:** ratios are taken within a repetition, where both loops had the same machine; only then is
//! their median taken.

use serde_json::{Map, Value, json};

use super::contender::Contender;
use super::recording::{Drift, Part, Recording, Times};
use crate::session::laps::Phase;

/// A median, and the least and the most it came from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// Of some values; `None` if there are none.
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { median, min, max })
    }

    fn to_json(self) -> Value {
        let Self { median, min, max } = self;
        json!({ "median": rounded(median), "min": rounded(min), "max": rounded(max) })
    }
}

/// To a thousandth: a nanosecond, where the unit is a microsecond.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// Values that a thousandth of them takes to be more than the largest one.
const THOUSANDTH_MIN: u64 = 1_000;

/// The percentiles of a time, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Quantiles {
    /// How many values there are, in all repetitions.
    pub(super) count: u64,
    pub(super) p50: Spread,
    pub(super) p90: Spread,
    pub(super) p99: Spread,
    /// None where a repetition has too few values for it.
    pub(super) p999: Option<Spread>,
    pub(super) max: Spread,
}

impl Quantiles {
    /// Of the repetitions' histograms, those without a value left out.
    fn of<'a>(times: impl Iterator<Item = &'a Times>) -> Option<Self> {
        let times: Vec<&Times> = times.filter(|times| !times.is_empty()).collect();
        let at = |quantile: f64| Spread::of(times.iter().map(|times| us(times, quantile)));
        Some(Self {
            count: times.iter().map(|times| times.len()).sum(),
            p50: at(0.5)?,
            p90: at(0.9)?,
            p99: at(0.99)?,
            p999: times
                .iter()
                .all(|times| times.len() >= THOUSANDTH_MIN)
                .then(|| at(0.999))
                .flatten(),
            max: at(1.0)?,
        })
    }

    /// Each with its name.
    pub(super) const fn named(&self) -> [(&'static str, Option<Spread>); 5] {
        [
            ("p50", Some(self.p50)),
            ("p90", Some(self.p90)),
            ("p99", Some(self.p99)),
            ("p99.9", self.p999),
            ("max", Some(self.max)),
        ]
    }

    fn to_json(self) -> Value {
        let mut object = Map::new();
        object.insert("count".to_owned(), self.count.into());
        for (name, spread) in self.named() {
            object.insert(name.to_owned(), spread.map_or(Value::Null, Spread::to_json));
        }
        object.into()
    }
}

/// A quantile in microseconds.
pub(super) fn us(times: &Times, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1_000.0
}

/// What became of one contender.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) contender: Contender,
    /// Deadline to thread running.
    pub(super) wake: Option<Quantiles>,
    /// Deadline to a session's step.
    pub(super) start: Option<Quantiles>,
    /// A session's tick.
    pub(super) work: Option<Quantiles>,
    /// Its phases, where they were timed.
    pub(super) phases: Vec<(Phase, Quantiles)>,
    pub(super) drift_us: Option<Spread>,
    pub(super) trend_ppm: Option<Spread>,
    pub(super) overruns: u64,
    pub(super) skipped: u64,
    pub(super) demotions: u32,
    /// Its wake lateness as a multiple of the bare loop's.
    pub(super) to_bare: Option<Ratios>,
    /// All its wakes, for the plot.
    pub(super) all_wakes: Times,
}

/// Multiples of the bare loop's figures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ratios {
    /// Repetitions in which both loops slept, of all.
    pub(super) slept: usize,
    pub(super) of: usize,
    pub(super) p50: Spread,
    pub(super) p99: Spread,
}

impl Figures {
    /// Of one contender's recordings; `bare` are those of the bare loop in the same repetitions.
    pub(super) fn new(contender: Contender, runs: &[Recording], bare: &[Recording]) -> Self {
        let parts: Vec<&Part> = runs.iter().flat_map(|run| &run.parts).collect();
        let drifts: Vec<Drift> = runs.iter().map(Recording::drift).collect();
        let phase = |(at, phase): (usize, Phase)| {
            Some((phase, Quantiles::of(parts.iter().map(|part| &part.phases[at]))?))
        };
        let mut all_wakes = Times::new_from(&parts[0].wake);
        for part in &parts {
            all_wakes += &part.wake;
        }
        Self {
            contender,
            wake: Quantiles::of(parts.iter().map(|part| &part.wake)),
            start: Quantiles::of(parts.iter().map(|part| &part.start)),
            work: Quantiles::of(parts.iter().map(|part| &part.work)),
            phases: Phase::ALL.into_iter().enumerate().filter_map(phase).collect(),
            drift_us: Spread::of(drifts.iter().map(|drift| drift.ns as f64 / 1_000.0)),
            trend_ppm: Spread::of(drifts.iter().map(|drift| drift.ppm)),
            overruns: parts.iter().map(|part| part.overruns).sum(),
            skipped: parts.iter().map(|part| part.skipped).sum(),
            demotions: runs.iter().map(|run| run.demotions).sum(),
            to_bare: (contender != Contender::Bare).then(|| ratios(runs, bare)).flatten(),
            all_wakes,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let quantiles = |of: Option<Quantiles>| of.map(Quantiles::to_json);
        let spread = |of: Option<Spread>| of.map(Spread::to_json);
        let phases = self.phases.iter();
        let phases: Map<String, Value> =
            phases.map(|(phase, of)| (phase.name().to_owned(), of.to_json())).collect();
        let ratios = self.to_bare.map(
            |Ratios { slept, of: _, p50, p99 }| json!({ "repetitions": slept, "wake_p50": p50.to_json(), "wake_p99": p99.to_json() }),
        );
        json!({
            "is": self.contender.is(),
            "wakes": self.all_wakes.len(),
            "wake_us": quantiles(self.wake),
            "start_us": quantiles(self.start),
            "work_us": quantiles(self.work),
            "phases_us": if phases.is_empty() { Value::Null } else { phases.into() },
            "drift_us": spread(self.drift_us),
            "trend_ppm": spread(self.trend_ppm),
            "overruns": self.overruns,
            "skipped": self.skipped,
            "demotions": self.demotions,
            "ratio_to_bare": ratios,
        })
    }
}

fn ratios(runs: &[Recording], bare: &[Recording]) -> Option<Ratios> {
    let parts = |runs: &[Recording]| -> Vec<[f64; 2]> {
        let parts = runs.iter().flat_map(|run| &run.parts);
        parts.map(|part| [us(&part.wake, 0.5), us(&part.wake, 0.99)]).collect()
    };
    let (own, bare) = (parts(runs), parts(bare));
    let pairs: Vec<_> =
        own.iter().zip(&bare).filter(|(own, bare)| own[0] > 0.0 && bare[0] > 0.0).collect();
    let ratio = |at: usize| Spread::of(pairs.iter().map(|(own, bare)| own[at] / bare[at]));
    Some(Ratios { slept: pairs.len(), of: own.len(), p50: ratio(0)?, p99: ratio(1)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::recording::{Course, WARM_UP};

    /// A run in which every wake was so late.
    fn late(us: u64) -> Recording {
        let mut run = Recording::new(Course { ticks: 10, len_ns: 20_000_000, parts: 1 });
        for tick in 0..WARM_UP + 10 {
            run.woke(tick, us * 1_000);
        }
        run
    }

    #[test]
    fn ratios_are_those_of_the_same_repetition() {
        // A machine that grows slower: the medians alone would be 60 and 40.
        let runs = [late(60), late(120), late(30)];
        let bare = [late(50), late(100), late(40)];
        let figures = Figures::new(Contender::Shard, &runs, &bare);
        let Ratios { p50, .. } = figures.to_bare.unwrap();
        let close = |a: f64, b: f64| (a - b).abs() < 0.01;
        assert!(close(p50.median, 1.2) && close(p50.min, 0.75) && close(p50.max, 1.2), "{p50:?}");
        assert_eq!(figures.wake.unwrap().count, 30);
        assert!(figures.start.is_none() && figures.phases.is_empty());
    }

    #[test]
    fn a_thousandth_of_a_few_values_is_not_told() {
        let times = |count: u64| {
            let mut times =
                Recording::new(Course { ticks: 1, len_ns: 1, parts: 1 }).parts.remove(0).wake;
            (1..=count).for_each(|us| times.record(us * 1_000).unwrap());
            times
        };
        let quantiles = |counts: [u64; 2]| Quantiles::of(counts.map(times).iter()).unwrap();
        assert!(quantiles([1_000, 1_000]).p999.is_some());
        let few = quantiles([1_000, 999]);
        assert!(few.p999.is_none() && few.to_json()["p99.9"].is_null(), "{few:?}");
        assert_eq!(few.count, 1_999);
    }

    #[test]
    fn a_spread_is_a_median_between_its_ends() {
        let of = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(of(&[4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    }
}
