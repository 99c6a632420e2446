//! Metrics of a call, and the tally they are made of.
//!
//! A [`Tally`] collects what is [observed](super::observe) in the outputs of a session, tick by tick,
//! and needs no folder. Latencies are counted in ticks and told in milliseconds; only `lateness_us`,
//! `step_us` and `overruns` come from a clock, and those are an edge's business: [`Tally::timing`] and
//! [`Tally::overrun`].
//!
//! **Invariant:** equal outputs give equal metrics, save those three.
//!
//! | key | unit | meaning |
//! |---|---|---|
//! | `end` | text | why the call ended |
//! | `turns` | turns | turns of the user, typed ones too |
//! | `agent_turns` | turns | times that the agent spoke up: its items without a turn of the user between them are one |
//! | `response_latency_ms.mean` | ms | mean time from the last voiced tick of a spoken turn to the tick in which the agent's next item begins; null without any |
//! | `response_latency_ms.p50` | ms | its median |
//! | `response_latency_ms.p95` | ms | its 95th percentile |
//! | `response_latency_ms.max` | ms | its largest value |
//! | `response_latency_ms.count` | turns | spoken turns that were answered before the next turn |
//! | `typed_response_latency_ms.mean` | ms | the same for typed turns, from the tick of the text |
//! | `typed_response_latency_ms.p50` | ms | its median |
//! | `typed_response_latency_ms.p95` | ms | its 95th percentile |
//! | `typed_response_latency_ms.max` | ms | its largest value |
//! | `typed_response_latency_ms.count` | turns | typed turns that were answered before the next turn |
//! | `yield_latency_ms.mean` | ms | mean time from the first voiced tick of an interruption by voice to the first tick, from the cut on, in which the agent is not heard |
//! | `yield_latency_ms.p50` | ms | its median |
//! | `yield_latency_ms.p95` | ms | its 95th percentile |
//! | `yield_latency_ms.max` | ms | its largest value |
//! | `yield_latency_ms.count` | cuts | cuts by voice while the agent was heard |
//! | `interruptions` | cuts | ticks in which the agent was cut, for any cause |
//! | `false_interruptions` | cuts | cuts after which the agent went on where it was |
//! | `backchannels` | utterances | short sounds of attention |
//! | `hand_overs` | moves | hand-overs from agent to agent |
//! | `tool_calls` | calls | calls of tools |
//! | `tool_failures` | calls | calls that gave no value |
//! | `deferred` | calls | calls that were not back at the next tick |
//! | `overruns` | calls by tool | inline calls that took longer than their budget |
//! | `recogniser_failures` | utterances | utterances that the recogniser gave up |
//! | `synthesiser_failures` | items | items that the synthesiser gave up |
//! | `ticks` | ticks | ticks that were stepped and recorded |
//! | `call_ms` | ms | time from the start of the call to the end of its last tick |
//! | `skipped_ticks` | ticks | ticks that the pacer jumped over |
//! | `journal_lost_ticks` | ticks | ticks that are not in the journal, because it could not be written |
//! | `strained_ticks` | ticks | ticks in which the session did what is no audio less often, since the process had too much to do |
//! | `report_left_out` | text | why report.html was not made with the other files; null if it was. `antiphon report` makes it |
//! | `lateness_us.p50` | µs | how late ticks began: median; null in virtual time |
//! | `lateness_us.p99` | µs | its 99th percentile |
//! | `lateness_us.p999` | µs | its 99.9th percentile |
//! | `lateness_us.max` | µs | its largest value |
//! | `step_us.p50` | µs | how long the session's step took: median; null if not measured |
//! | `step_us.p99` | µs | its 99th percentile |
//! | `step_us.p999` | µs | its 99.9th percentile |
//! | `step_us.max` | µs | its largest value |
//! | `counterfactual_from_tick` | tick | the first tick that goes another way than the recording it was forked from; null if none does |

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Timing;
use super::observe::{Observation, Observer};
use crate::clock::{Tick, TickLen};
use crate::session::event::EventKind;
use crate::session::output::Output;
use crate::session::plan::Plan;

/// The keys of `metrics.json`, each with its unit and meaning. Those of an inner object follow a dot.
pub const METRICS_KEYS: &[(&str, &str, &str)] = &[
    ("end", "text", "why the call ended"),
    ("turns", "turns", "turns of the user, typed ones too"),
    (
        "agent_turns",
        "turns",
        "times that the agent spoke up: its items without a turn of the user between them are one",
    ),
    (
        "response_latency_ms.mean",
        "ms",
        "mean time from the last voiced tick of a spoken turn to the tick in which the agent's next item begins; null without any",
    ),
    ("response_latency_ms.p50", "ms", "its median"),
    ("response_latency_ms.p95", "ms", "its 95th percentile"),
    ("response_latency_ms.max", "ms", "its largest value"),
    ("response_latency_ms.count", "turns", "spoken turns that were answered before the next turn"),
    ("typed_response_latency_ms.mean", "ms", "the same for typed turns, from the tick of the text"),
    ("typed_response_latency_ms.p50", "ms", "its median"),
    ("typed_response_latency_ms.p95", "ms", "its 95th percentile"),
    ("typed_response_latency_ms.max", "ms", "its largest value"),
    (
        "typed_response_latency_ms.count",
        "turns",
        "typed turns that were answered before the next turn",
    ),
    (
        "yield_latency_ms.mean",
        "ms",
        "mean time from the first voiced tick of an interruption by voice to the first tick, from the cut on, in which the agent is not heard",
    ),
    ("yield_latency_ms.p50", "ms", "its median"),
    ("yield_latency_ms.p95", "ms", "its 95th percentile"),
    ("yield_latency_ms.max", "ms", "its largest value"),
    ("yield_latency_ms.count", "cuts", "cuts by voice while the agent was heard"),
    ("interruptions", "cuts", "ticks in which the agent was cut, for any cause"),
    ("false_interruptions", "cuts", "cuts after which the agent went on where it was"),
    ("backchannels", "utterances", "short sounds of attention"),
    ("hand_overs", "moves", "hand-overs from agent to agent"),
    ("tool_calls", "calls", "calls of tools"),
    ("tool_failures", "calls", "calls that gave no value"),
    ("deferred", "calls", "calls that were not back at the next tick"),
    ("overruns", "calls by tool", "inline calls that took longer than their budget"),
    ("recogniser_failures", "utterances", "utterances that the recogniser gave up"),
    ("synthesiser_failures", "items", "items that the synthesiser gave up"),
    ("ticks", "ticks", "ticks that were stepped and recorded"),
    ("call_ms", "ms", "time from the start of the call to the end of its last tick"),
    ("skipped_ticks", "ticks", "ticks that the pacer jumped over"),
    (
        "journal_lost_ticks",
        "ticks",
        "ticks that are not in the journal, because it could not be written",
    ),
    (
        "strained_ticks",
        "ticks",
        "ticks in which the session did what is no audio less often, since the process had too much to do",
    ),
    (
        "report_left_out",
        "text",
        "why report.html was not made with the other files; null if it was. `antiphon report` makes it",
    ),
    ("lateness_us.p50", "µs", "how late ticks began: median; null in virtual time"),
    ("lateness_us.p99", "µs", "its 99th percentile"),
    ("lateness_us.p999", "µs", "its 99.9th percentile"),
    ("lateness_us.max", "µs", "its largest value"),
    ("step_us.p50", "µs", "how long the session's step took: median; null if not measured"),
    ("step_us.p99", "µs", "its 99th percentile"),
    ("step_us.p999", "µs", "its 99.9th percentile"),
    ("step_us.max", "µs", "its largest value"),
    (
        "counterfactual_from_tick",
        "tick",
        "the first tick that goes another way than the recording it was forked from; null if none does",
    ),
];

/// The largest duration that is told apart: a minute, in nanoseconds.
const DURATION_NS_MAX: u64 = 60_000_000_000;

/// Digits of a duration that are kept: 1 % is less than two runs differ by, and costs 15 KB.
const DURATION_DIGITS: u8 = 2;

/// What is known of a call: `metrics.json`. [`METRICS_KEYS`] says what each field means.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the table of METRICS_KEYS documents each field with its unit")]
pub struct Metrics {
    pub end: String,
    pub turns: u64,
    pub agent_turns: u64,
    pub response_latency_ms: Latency,
    pub typed_response_latency_ms: Latency,
    pub yield_latency_ms: Latency,
    pub interruptions: u64,
    pub false_interruptions: u64,
    pub backchannels: u64,
    pub hand_overs: u64,
    pub tool_calls: u64,
    pub tool_failures: u64,
    pub deferred: u64,
    pub overruns: BTreeMap<String, u64>,
    pub recogniser_failures: u64,
    pub synthesiser_failures: u64,
    pub ticks: u64,
    pub call_ms: u64,
    pub skipped_ticks: u64,
    pub journal_lost_ticks: u64,
    pub strained_ticks: u64,
    pub report_left_out: Option<String>,
    pub lateness_us: Option<Durations>,
    pub step_us: Option<Durations>,
    pub counterfactual_from_tick: Option<Tick>,
}

/// Latencies of a call, in milliseconds: exact, by nearest rank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Their mean, to a tenth.
    pub mean: Option<f64>,
    /// Their median.
    pub p50: Option<u64>,
    /// Their 95th percentile.
    pub p95: Option<u64>,
    /// The largest.
    pub max: Option<u64>,
    /// How many there are.
    pub count: u64,
}

/// Measured durations, in microseconds: percentiles to 1 %, the maximum exactly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Durations {
    /// Their median.
    pub p50: f64,
    /// Their 99th percentile.
    pub p99: f64,
    /// Their 99.9th percentile.
    pub p999: f64,
    /// The largest.
    pub max: f64,
}

/// What has been counted of a call so far.
#[derive(Debug, Clone)]
pub struct Tally {
    observer: Observer,
    /// The counts; latencies and durations are filled in when they are asked for.
    counts: Metrics,
    responses: Latencies,
    typed: Latencies,
    yields: Latencies,
    lateness: Spread,
    step: Spread,
    /// Since when the session is under strain.
    strained: Option<Tick>,
}

/// Latencies in ticks. A turn has one at most, so that even a day of talk is some hundred kilobytes.
#[derive(Debug, Clone, Default)]
struct Latencies(Vec<u32>);

/// Durations in nanoseconds.
#[derive(Debug, Clone)]
struct Spread {
    histogram: Histogram<u32>,
    max_ns: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl Tally {
    /// A tally of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            observer: Observer::default(),
            counts: Metrics::default(),
            responses: Latencies::default(),
            typed: Latencies::default(),
            yields: Latencies::default(),
            lateness: Spread::new(),
            step: Spread::new(),
            strained: None,
        }
    }

    /// Counts what came of one tick.
    pub fn tick(&mut self, plan: &Plan, now: Tick, out: &Output) {
        self.counts.ticks += 1;
        self.counts.call_ms = plan.len.start_ms(now.after(1));
        let mut observer = self.observer;
        observer.tick(plan, now, out, |observation| self.note(observation));
        self.observer = observer;
        for event in &out.events {
            match event.kind {
                EventKind::SessionStrained { .. } => {
                    self.strained.get_or_insert(now);
                }
                EventKind::SessionRelieved { .. } => self.strained = None,
                _ => {}
            }
        }
        self.counts.strained_ticks += u64::from(self.strained.is_some());
    }

    fn note(&mut self, observation: Observation) {
        let counts = &mut self.counts;
        match observation {
            Observation::Turn => counts.turns += 1,
            Observation::AgentTurn => counts.agent_turns += 1,
            Observation::Answered(ticks) => self.responses.push(ticks),
            Observation::AnsweredTyped(ticks) => self.typed.push(ticks),
            Observation::Interruption => counts.interruptions += 1,
            Observation::Yielded(ticks) => self.yields.push(ticks),
            Observation::FalseInterruption => counts.false_interruptions += 1,
            Observation::Backchannel => counts.backchannels += 1,
            Observation::HandOver => counts.hand_overs += 1,
            Observation::ToolCall => counts.tool_calls += 1,
            Observation::ToolDeferred => counts.deferred += 1,
            Observation::ToolFailure => counts.tool_failures += 1,
            Observation::RecogniserFailure => counts.recogniser_failures += 1,
            Observation::SynthesiserFailure => counts.synthesiser_failures += 1,
            Observation::Skipped(ticks) => counts.skipped_ticks += u64::from(ticks),
            Observation::ToolDone | Observation::JournalLost | Observation::LimitReached => {}
        }
    }

    /// From this tick on, the call goes another way than the recording that it was forked from.
    pub const fn diverge(&mut self, from: Tick) {
        self.counts.counterfactual_from_tick = Some(from);
    }

    /// Counts what was measured about one tick.
    pub fn timing(&mut self, timing: Timing) {
        if let Some(ns) = timing.lateness_ns {
            self.lateness.record(ns);
        }
        self.step.record(timing.step_ns);
    }

    /// Counts an inline call that took longer than its budget.
    pub fn overrun(&mut self, tool: &str) {
        match self.counts.overruns.get_mut(tool) {
            Some(count) => *count += 1,
            None => drop(self.counts.overruns.insert(tool.to_owned(), 1)),
        }
    }

    /// Notes that so many ticks are not in the journal.
    pub const fn journal_lost(&mut self, ticks: u64) {
        self.counts.journal_lost_ticks = ticks;
    }

    /// The metrics so far, of a call that ended for this reason.
    #[must_use]
    pub fn metrics(&self, plan: &Plan, end: &str) -> Metrics {
        Metrics {
            end: end.to_owned(),
            response_latency_ms: self.responses.told(plan.len),
            typed_response_latency_ms: self.typed.told(plan.len),
            yield_latency_ms: self.yields.told(plan.len),
            lateness_us: self.lateness.told(),
            step_us: self.step.told(),
            ..self.counts.clone()
        }
    }
}

impl Latencies {
    fn push(&mut self, ticks: u64) {
        self.0.push(u32::try_from(ticks).unwrap_or(u32::MAX));
    }

    fn told(&self, len: TickLen) -> Latency {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let count = sorted.len();
        let rank = |percent: usize| sorted.get((count * percent).div_ceil(100).checked_sub(1)?);
        let ms = |ticks: Option<&u32>| ticks.map(|&ticks| len.span_ms(u64::from(ticks)));
        let sum: u64 = sorted.iter().map(|&ticks| len.span_ms(u64::from(ticks))).sum();
        Latency {
            mean: (count > 0).then(|| (sum as f64 / count as f64 * 10.0).round() / 10.0),
            p50: ms(rank(50)),
            p95: ms(rank(95)),
            max: ms(sorted.last()),
            count: count as u64,
        }
    }
}

impl Spread {
    fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, DURATION_NS_MAX, DURATION_DIGITS);
        Self { histogram: histogram.expect("the bounds are in order"), max_ns: 0 }
    }

    fn record(&mut self, ns: u64) {
        self.histogram.saturating_record(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    fn told(&self) -> Option<Durations> {
        let us = |ns: u64| ns.min(self.max_ns) as f64 / 1_000.0;
        let at = |quantile| us(self.histogram.value_at_quantile(quantile));
        (!self.histogram.is_empty()).then(|| Durations {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: us(self.max_ns),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let len = TickLen::from_ms(20).unwrap();
        let latency = Latencies((1..=20).rev().collect()).told(len);
        let expected = Latency {
            mean: Some(210.0),
            p50: Some(200),
            p95: Some(380),
            max: Some(400),
            count: 20,
        };
        assert_eq!(latency, expected);
        assert_eq!(Latencies::default().told(len), Latency::default());
    }

    #[test]
    fn durations_are_known_to_a_hundredth() {
        let mut spread = Spread::new();
        (1..=1_000).for_each(|us| spread.record(us * 1_000));
        let Durations { p50, p99, p999, max } = spread.told().unwrap();
        for (told, exact) in [(p50, 500.0), (p99, 990.0), (p999, 999.0)] {
            assert!((told - exact).abs() <= exact / 100.0, "{told} is not {exact}");
        }
        assert_eq!(max, 1_000.0);
        assert_eq!(Spread::new().told(), None);
    }

    #[test]
    fn the_table_above_says_what_the_keys_say() {
        let page = include_str!("metrics.rs");
        for (key, unit, meaning) in METRICS_KEYS {
            let row = format!("//! | `{key}` | {unit} | {meaning} |\n");
            assert!(page.contains(&row), "the table has no row {row}");
        }
        let rows = page.lines().filter(|line| line.starts_with("//! | `"));
        assert_eq!(rows.count(), METRICS_KEYS.len());
    }
}
