//! The kinds of meter that the library has not, or only with a lock.
//!
//! **Invariant:** to feed one is a few atomic additions: no lock, no memory from the system, no waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;

use crate::host::overload::Place;

/// Nanoseconds of a second.
const SECOND_NS: f64 = 1e9;

/// Durations, counted by bucket.
///
/// A reader may see a duration in its bucket before it is in the sum. The count is that of the buckets
/// read, so that they are never at odds.
#[derive(Debug, Clone)]
pub(super) struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    /// The upper bounds, which belong to their buckets, in nanoseconds and in order.
    bounds_ns: &'static [u64],
    /// Durations by bucket; the last one is without a bound.
    counts: Box<[AtomicU64]>,
    /// In nanoseconds, which is enough for five centuries.
    sum_ns: AtomicU64,
}

impl Histogram {
    pub(super) fn new(bounds_ns: &'static [u64]) -> Self {
        let counts = (0..=bounds_ns.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Buckets { bounds_ns, counts, sum_ns: AtomicU64::new(0) }))
    }

    pub(super) fn observe_ns(&self, ns: u64) {
        let Buckets { bounds_ns, counts, sum_ns } = &*self.0;
        let bucket = bounds_ns.partition_point(|&bound| bound < ns);
        counts[bucket].fetch_add(1, Ordering::Relaxed);
        sum_ns.fetch_add(ns, Ordering::Relaxed);
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Buckets { bounds_ns, counts, sum_ns } = &*self.0;
        let sum_s = sum_ns.load(Ordering::Relaxed) as f64 / SECOND_NS;
        let bounds_s = bounds_ns.iter().map(|&ns| ns as f64 / SECOND_NS).chain([f64::INFINITY]);
        let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds_s.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum_s, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// A counter for each value of one label, all there from the start and always in the same order.
#[derive(Debug, Clone)]
pub(super) struct Split<const N: usize> {
    label: &'static str,
    counters: [(&'static str, Counter); N],
}

impl<const N: usize> Split<N> {
    pub(super) fn new(label: &'static str, values: [&'static str; N]) -> Self {
        Self { label, counters: values.map(|value| (value, Counter::default())) }
    }

    /// The counters, in the order of their values.
    pub(super) fn counters(&self) -> [Counter; N] {
        self.counters.each_ref().map(|(_, counter)| counter.clone())
    }
}

impl<const N: usize> EncodeMetric for Split<N> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (value, counter) in &self.counters {
            counter.encode(encoder.encode_family(&[(self.label, *value)])?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

/// The stage of an overload, as its number: 0 is calm.
#[derive(Debug, Clone)]
pub(super) struct StageOf(pub(super) Place);

impl EncodeMetric for StageOf {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.encode_gauge(&(self.0.stage() as i64))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// What was left out because of one.
#[derive(Debug, Clone)]
pub(super) struct ShedOf(pub(super) Place);

impl EncodeMetric for ShedOf {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.encode_counter::<NoLabelSet, _, u64>(&self.0.shed(), None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::prometheus_text::encode;
    use prometheus_client::registry::Registry;

    fn text(metric: impl EncodeMetric + Send + Sync + std::fmt::Debug + 'static) -> String {
        let mut registry = Registry::default();
        registry.register("x", "It", metric);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn a_bound_belongs_to_its_bucket_and_buckets_add_up() {
        let histogram = Histogram::new(&[10_000, 1_000_000_000]);
        for ns in [0, 10_000, 10_001, 1_000_000_000, 1_500_000_000] {
            histogram.observe_ns(ns);
        }
        let expected = "# HELP x It.\n# TYPE x histogram\nx_bucket{le=\"1e-05\"} 2\n\
                        x_bucket{le=\"1\"} 4\nx_bucket{le=\"+Inf\"} 5\n\
                        x_sum 2.500020001\nx_count 5\n";
        assert_eq!(text(histogram), expected);
    }

    #[test]
    fn values_of_a_label_are_there_before_anything_is_counted() {
        let split = Split::new("outcome", ["done", "failed"]);
        split.counters()[1].inc();
        let expected = "# HELP x_total It.\n# TYPE x_total counter\n\
                        x_total{outcome=\"done\"} 0\nx_total{outcome=\"failed\"} 1\n";
        assert_eq!(text(split), expected);
    }
}
