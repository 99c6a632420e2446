//! Meters: the figures of a process while it runs, in the text format of Prometheus.
//!
//! One [`Meters`] serves all sessions of a process. Each session has a [`SessionMeter`] that feeds it, on
//! the thread of its tick: an observation is an atomic addition or two, so there is no queue on the way,
//! nothing to fall behind, and nothing to lose. What an observation is, and where a latency begins and
//! ends, is said in [`observe`](super::observe) alone; `metrics.json` of a call has the same figures.
//!
//! Labels have few values, which are known beforehand. No session, participant, tool or word is ever
//! one: tools, too, come from configurations, of which a process may see many, and their overruns are
//! told by name in `timing.jsonl`.
//!
//! How busy a process is follows from `antiphon_tick_step_seconds_sum`: its increase in a second is the
//! share of a core that ticks take.
//!
//! **Invariant:** [`METERS`] is all there is, on the wire in that order, from the first moment on; and
//! feeding takes no lock and no memory from the system.
//!
//! | meter | kind | unit | meaning |
//! |---|---|---|---|
//! | `antiphon_build_info` | info | | version of this program |
//! | `antiphon_sessions_active` | gauge | sessions | sessions that are stepped at present |
//! | `antiphon_sessions_total` | counter | sessions | sessions that are over, by end: ended, stopped or panicked |
//! | `antiphon_ticks_total` | counter | ticks | ticks that were stepped |
//! | `antiphon_tick_lateness_seconds` | histogram | seconds | time from the moment a tick was due to its beginning; nothing in virtual time |
//! | `antiphon_tick_step_seconds` | histogram | seconds | time that a tick took with all its edges |
//! | `antiphon_tick_overruns_total` | counter | ticks | ticks that took longer than a tick lasts; none in virtual time |
//! | `antiphon_tick_skipped_total` | counter | ticks | ticks that the pacer jumped over |
//! | `antiphon_turns_total` | counter | turns | turns of the user, typed ones too |
//! | `antiphon_user_end_to_agent_start_seconds` | histogram | seconds | time from the last voiced tick of a spoken turn to the tick in which the agent's next item begins |
//! | `antiphon_interruptions_total` | counter | cuts | ticks in which the agent was cut, for any cause |
//! | `antiphon_false_interruptions_total` | counter | cuts | cuts after which the agent went on where it was |
//! | `antiphon_backchannels_total` | counter | utterances | short sounds of attention |
//! | `antiphon_interrupt_to_silence_seconds` | histogram | seconds | time from the first voiced tick of an interruption by voice to the first tick, from the cut on, in which the agent is not heard |
//! | `antiphon_hand_overs_total` | counter | moves | hand-overs from agent to agent |
//! | `antiphon_tool_calls_total` | counter | calls | calls of tools that are over, by outcome: done or failed |
//! | `antiphon_tool_deferred_total` | counter | calls | calls that were not back at the next tick |
//! | `antiphon_sessions_shed_total` | counter | sessions | sessions that were told to end since they took more than their share, by what: time or events |
//! | `antiphon_tool_overruns_total` | counter | calls | inline calls that took longer than their budget |
//! | `antiphon_recogniser_failures_total` | counter | utterances | utterances that the recogniser gave up |
//! | `antiphon_synthesiser_failures_total` | counter | items | items that the synthesiser gave up |
//! | `antiphon_limits_reached_total` | counter | refusals | refusals because a bound was reached |
//! | `antiphon_journal_lost_total` | counter | journals | journals that could not be written any more during their call |
//! | `antiphon_overload_stage` | gauge | | what is left out while there is too much to do: 0 nothing, 1 new sessions, 2 pages and reports too, 3 work of sessions that is no audio too |
//! | `antiphon_overload_shed_total` | counter | pieces | pages and reports that were left out |
//! | `antiphon_sessions_strained` | gauge | sessions | sessions that do what is no audio less often at present |
//! | `antiphon_worker_load` | gauge | share | how much of what it may take on a worker has taken on: 0.7 is its limit |
//! | `antiphon_worker_registrations` | gauge | registrations | registrations of a worker that LiveKit servers hold at present |
//! | `antiphon_worker_draining` | gauge | | 1 while a worker takes no more jobs, and ends with the last |
//! | `antiphon_jobs_active` | gauge | jobs | jobs of a worker under way, those on their way to a room included |
//! | `antiphon_jobs_total` | counter | jobs | jobs that are over, by outcome: done, failed or refused |
//! | `antiphon_jobs_taken_over_total` | counter | jobs | jobs of workers that had died, with which this one has gone on |
//! | `antiphon_job_start_seconds` | histogram | seconds | time from the offer of a job to the first tick of its session; a room in which nobody is yet waits |

mod kinds;
mod session;

use std::fmt::{self, Display};
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use super::Timing;
use super::observe::Observation;
use crate::clock::TickLen;
use crate::host::budget::Excess;
use crate::host::overload::Place;
use kinds::{Histogram, ShedOf, Split, StageOf};
pub use session::{SessionEnd, SessionMeter};

/// A meter: its name on the wire, its kind, its unit and its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meter {
    /// Its name in the text format of Prometheus.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// What is counted; seconds where a time is measured.
    pub unit: &'static str,
    /// What it means.
    pub help: &'static str,
}

/// The kinds of meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It rises and falls.
    Gauge,
    /// Durations, in seconds, by bucket.
    Histogram,
    /// It is always 1; its labels say something.
    Info,
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        })
    }
}

const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Meter {
    Meter { name, kind: Kind::Counter, unit, help }
}

const fn histogram(name: &'static str, help: &'static str) -> Meter {
    Meter { name, kind: Kind::Histogram, unit: "seconds", help }
}

/// All meters, in the order of the text.
pub const METERS: &[Meter] = &[
    Meter {
        name: "antiphon_build_info",
        kind: Kind::Info,
        unit: "",
        help: "version of this program",
    },
    Meter {
        name: "antiphon_sessions_active",
        kind: Kind::Gauge,
        unit: "sessions",
        help: "sessions that are stepped at present",
    },
    counter(
        "antiphon_sessions_total",
        "sessions",
        "sessions that are over, by end: ended, stopped or panicked",
    ),
    counter("antiphon_ticks_total", "ticks", "ticks that were stepped"),
    histogram(
        "antiphon_tick_lateness_seconds",
        "time from the moment a tick was due to its beginning; nothing in virtual time",
    ),
    histogram("antiphon_tick_step_seconds", "time that a tick took with all its edges"),
    counter(
        "antiphon_tick_overruns_total",
        "ticks",
        "ticks that took longer than a tick lasts; none in virtual time",
    ),
    counter("antiphon_tick_skipped_total", "ticks", "ticks that the pacer jumped over"),
    counter("antiphon_turns_total", "turns", "turns of the user, typed ones too"),
    histogram(
        "antiphon_user_end_to_agent_start_seconds",
        "time from the last voiced tick of a spoken turn to the tick in which the agent's next item begins",
    ),
    counter(
        "antiphon_interruptions_total",
        "cuts",
        "ticks in which the agent was cut, for any cause",
    ),
    counter(
        "antiphon_false_interruptions_total",
        "cuts",
        "cuts after which the agent went on where it was",
    ),
    counter("antiphon_backchannels_total", "utterances", "short sounds of attention"),
    histogram(
        "antiphon_interrupt_to_silence_seconds",
        "time from the first voiced tick of an interruption by voice to the first tick, from the cut on, in which the agent is not heard",
    ),
    counter("antiphon_hand_overs_total", "moves", "hand-overs from agent to agent"),
    counter(
        "antiphon_tool_calls_total",
        "calls",
        "calls of tools that are over, by outcome: done or failed",
    ),
    counter("antiphon_tool_deferred_total", "calls", "calls that were not back at the next tick"),
    counter(
        "antiphon_sessions_shed_total",
        "sessions",
        "sessions that were told to end since they took more than their share, by what: time or events",
    ),
    counter(
        "antiphon_tool_overruns_total",
        "calls",
        "inline calls that took longer than their budget",
    ),
    counter(
        "antiphon_recogniser_failures_total",
        "utterances",
        "utterances that the recogniser gave up",
    ),
    counter("antiphon_synthesiser_failures_total", "items", "items that the synthesiser gave up"),
    counter("antiphon_limits_reached_total", "refusals", "refusals because a bound was reached"),
    counter(
        "antiphon_journal_lost_total",
        "journals",
        "journals that could not be written any more during their call",
    ),
    Meter {
        name: "antiphon_overload_stage",
        kind: Kind::Gauge,
        unit: "",
        help: "what is left out while there is too much to do: 0 nothing, 1 new sessions, 2 pages and reports too, 3 work of sessions that is no audio too",
    },
    counter("antiphon_overload_shed_total", "pieces", "pages and reports that were left out"),
    Meter {
        name: "antiphon_sessions_strained",
        kind: Kind::Gauge,
        unit: "sessions",
        help: "sessions that do what is no audio less often at present",
    },
    Meter {
        name: "antiphon_worker_load",
        kind: Kind::Gauge,
        unit: "share",
        help: "how much of what it may take on a worker has taken on: 0.7 is its limit",
    },
    Meter {
        name: "antiphon_worker_registrations",
        kind: Kind::Gauge,
        unit: "registrations",
        help: "registrations of a worker that LiveKit servers hold at present",
    },
    Meter {
        name: "antiphon_worker_draining",
        kind: Kind::Gauge,
        unit: "",
        help: "1 while a worker takes no more jobs, and ends with the last",
    },
    Meter {
        name: "antiphon_jobs_active",
        kind: Kind::Gauge,
        unit: "jobs",
        help: "jobs of a worker under way, those on their way to a room included",
    },
    counter(
        "antiphon_jobs_total",
        "jobs",
        "jobs that are over, by outcome: done, failed or refused",
    ),
    counter(
        "antiphon_jobs_taken_over_total",
        "jobs",
        "jobs of workers that had died, with which this one has gone on",
    ),
    histogram(
        "antiphon_job_start_seconds",
        "time from the offer of a job to the first tick of its session; a room in which nobody is yet waits",
    ),
];

/// Bounds for lateness and steps, in nanoseconds. An idle machine wakes a thread within tens of
/// microseconds, and a step takes as long: 10 µs tells such a machine from a better one. A tick of
/// 20 ms is late by a whole tick at 20 ms, and is skipped at more than three; 100 ms is beyond that.
const TICK_BOUNDS_NS: &[u64] = &[
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
];

/// Bounds for what a person waits for, in nanoseconds. People answer each other after some 200 ms and
/// notice a pause of a second, so the bounds are close together between; nobody waits for 10 s.
const PATIENCE_BOUNDS_NS: &[u64] = &[
    50_000_000,
    100_000_000,
    200_000_000,
    300_000_000,
    400_000_000,
    500_000_000,
    600_000_000,
    800_000_000,
    1_000_000_000,
    1_500_000_000,
    2_000_000_000,
    3_000_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// The text formats that scrapers read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus, version 0.0.4: what everything reads, people too.
    Prometheus,
    /// OpenMetrics, version 1.0.0: with units, and an end that shows that nothing is missing.
    OpenMetrics,
}

impl Format {
    /// Its name in HTTP.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The meters of a process.
#[derive(Debug)]
pub struct Meters {
    registry: Registry,
    sessions_active: Gauge,
    /// By end, in the order of [`SessionEnd::ALL`].
    sessions: [Counter; 3],
    ticks: Counter,
    tick_lateness: Histogram,
    tick_step: Histogram,
    tick_overruns: Counter,
    tick_skipped: Counter,
    turns: Counter,
    user_end_to_agent_start: Histogram,
    interruptions: Counter,
    false_interruptions: Counter,
    backchannels: Counter,
    interrupt_to_silence: Histogram,
    hand_overs: Counter,
    /// By outcome: done, failed.
    tool_calls: [Counter; 2],
    tool_deferred: Counter,
    /// By cause, in the order of [`Excess::ALL`].
    shed: [Counter; 2],
    tool_overruns: Counter,
    recogniser_failures: Counter,
    synthesiser_failures: Counter,
    limits_reached: Counter,
    journal_lost: Counter,
    /// Where the process stands: whoever leaves something out looks here.
    place: Place,
    strained: Gauge,
    worker_load: Gauge<f64, AtomicU64>,
    worker_registrations: Gauge,
    worker_draining: Gauge,
    jobs_active: Gauge,
    /// By outcome, in the order of [`JobEnd::ALL`].
    jobs: [Counter; 3],
    taken_over: Counter,
    job_start: Histogram,
}

/// How a worker is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct WorkerFigures {
    /// What it reports as its load.
    pub load: f64,
    /// Registrations that servers hold.
    pub registrations: usize,
    /// Whether it takes no more jobs.
    pub draining: bool,
    /// Jobs under way.
    pub jobs: usize,
}

/// What became of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEnd {
    /// It came to its end.
    Done,
    /// It did not.
    Failed,
    /// It was not taken.
    Refused,
}

impl JobEnd {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Done, Self::Failed, Self::Refused];

    /// Its name, as a label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

impl Default for Meters {
    fn default() -> Self {
        Self::new()
    }
}

impl Meters {
    /// Meters at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let shelf = &mut registry;
        let place = Place::default();
        put(shelf, "antiphon_build_info", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        // In the order of METERS, which is that of the text.
        Self {
            sessions_active: shared(shelf, "antiphon_sessions_active", Gauge::default()),
            sessions: {
                let ends = Split::new("end", SessionEnd::ALL.map(SessionEnd::name));
                shared(shelf, "antiphon_sessions_total", ends).counters()
            },
            ticks: count(shelf, "antiphon_ticks_total"),
            tick_lateness: time(shelf, "antiphon_tick_lateness_seconds", TICK_BOUNDS_NS),
            tick_step: time(shelf, "antiphon_tick_step_seconds", TICK_BOUNDS_NS),
            tick_overruns: count(shelf, "antiphon_tick_overruns_total"),
            tick_skipped: count(shelf, "antiphon_tick_skipped_total"),
            turns: count(shelf, "antiphon_turns_total"),
            user_end_to_agent_start: {
                time(shelf, "antiphon_user_end_to_agent_start_seconds", PATIENCE_BOUNDS_NS)
            },
            interruptions: count(shelf, "antiphon_interruptions_total"),
            false_interruptions: count(shelf, "antiphon_false_interruptions_total"),
            backchannels: count(shelf, "antiphon_backchannels_total"),
            interrupt_to_silence: {
                time(shelf, "antiphon_interrupt_to_silence_seconds", PATIENCE_BOUNDS_NS)
            },
            hand_overs: count(shelf, "antiphon_hand_overs_total"),
            tool_calls: {
                let outcomes = Split::new("outcome", ["done", "failed"]);
                shared(shelf, "antiphon_tool_calls_total", outcomes).counters()
            },
            tool_deferred: count(shelf, "antiphon_tool_deferred_total"),
            shed: {
                let causes = Split::new("cause", Excess::ALL.map(Excess::name));
                shared(shelf, "antiphon_sessions_shed_total", causes).counters()
            },
            tool_overruns: count(shelf, "antiphon_tool_overruns_total"),
            recogniser_failures: count(shelf, "antiphon_recogniser_failures_total"),
            synthesiser_failures: count(shelf, "antiphon_synthesiser_failures_total"),
            limits_reached: count(shelf, "antiphon_limits_reached_total"),
            journal_lost: count(shelf, "antiphon_journal_lost_total"),
            place: {
                put(shelf, "antiphon_overload_stage", StageOf(place.clone()));
                put(shelf, "antiphon_overload_shed_total", ShedOf(place.clone()));
                place
            },
            strained: shared(shelf, "antiphon_sessions_strained", Gauge::default()),
            worker_load: shared(shelf, "antiphon_worker_load", Gauge::default()),
            worker_registrations: {
                shared(shelf, "antiphon_worker_registrations", Gauge::default())
            },
            worker_draining: shared(shelf, "antiphon_worker_draining", Gauge::default()),
            jobs_active: shared(shelf, "antiphon_jobs_active", Gauge::default()),
            jobs: {
                let outcomes = Split::new("outcome", JobEnd::ALL.map(JobEnd::name));
                shared(shelf, "antiphon_jobs_total", outcomes).counters()
            },
            taken_over: count(shelf, "antiphon_jobs_taken_over_total"),
            job_start: time(shelf, "antiphon_job_start_seconds", PATIENCE_BOUNDS_NS),
            registry,
        }
    }

    /// All meters as they stand, as text.
    #[must_use]
    pub fn text(&self, format: Format) -> String {
        let mut text = String::new();
        let written = match format {
            Format::Prometheus => prometheus_text::encode(&mut text, &self.registry),
            Format::OpenMetrics => text::encode(&mut text, &self.registry),
        };
        debug_assert!(written.is_ok(), "memory takes all text");
        text
    }

    /// Where the process stands when it has too much to do.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Sessions that are under strain.
    #[must_use]
    pub fn strained(&self) -> u64 {
        self.strained.get().unsigned_abs()
    }

    /// Shows how a worker is.
    pub fn worker(&self, figures: WorkerFigures) {
        let WorkerFigures { load, registrations, draining, jobs } = figures;
        self.worker_load.set(load);
        self.worker_registrations.set(registrations as i64);
        self.worker_draining.set(i64::from(draining));
        self.jobs_active.set(jobs as i64);
    }

    /// Counts a job that is over, or was not taken.
    pub fn job(&self, end: JobEnd) {
        self.jobs[end as usize].inc();
    }

    /// Counts a job that was taken over.
    pub fn job_taken_over(&self) {
        self.taken_over.inc();
    }

    /// Notes how long after its offer the session of a job has begun.
    pub fn job_began(&self, after_ns: u64) {
        self.job_start.observe_ns(after_ns);
    }

    fn timing(&self, len: TickLen, timing: Timing) {
        self.ticks.inc();
        self.tick_step.observe_ns(timing.step_ns);
        // In virtual time nothing is due: engines run to their end within a tick.
        let Some(lateness_ns) = timing.lateness_ns else { return };
        self.tick_lateness.observe_ns(lateness_ns);
        if timing.step_ns > u64::from(len.ms()) * MS_NS {
            self.tick_overruns.inc();
        }
    }

    fn note(&self, len: TickLen, found: Observation) {
        let [tools_done, tools_failed] = &self.tool_calls;
        let waited = |histogram: &Histogram, ticks| {
            histogram.observe_ns(len.span_ms(ticks).saturating_mul(MS_NS));
        };
        let counter = match found {
            Observation::Turn => &self.turns,
            Observation::Interruption => &self.interruptions,
            Observation::FalseInterruption => &self.false_interruptions,
            Observation::Backchannel => &self.backchannels,
            Observation::HandOver => &self.hand_overs,
            Observation::ToolDone => tools_done,
            Observation::ToolFailure => tools_failed,
            Observation::ToolDeferred => &self.tool_deferred,
            Observation::RecogniserFailure => &self.recogniser_failures,
            Observation::SynthesiserFailure => &self.synthesiser_failures,
            Observation::LimitReached => &self.limits_reached,
            Observation::JournalLost => &self.journal_lost,
            Observation::Answered(ticks) => return waited(&self.user_end_to_agent_start, ticks),
            Observation::Yielded(ticks) => return waited(&self.interrupt_to_silence, ticks),
            Observation::Skipped(ticks) => {
                self.tick_skipped.inc_by(u64::from(ticks));
                return;
            }
            // A call is counted when it is over, and a typed turn has no end of speech.
            Observation::ToolCall | Observation::AgentTurn | Observation::AnsweredTyped(_) => {
                return;
            }
        };
        counter.inc();
    }
}

/// Nanoseconds of a millisecond.
const MS_NS: u64 = 1_000_000;

/// Registers a meter. The library appends to its name what kind and unit ask for.
fn put(registry: &mut Registry, name: &str, metric: impl Metric) {
    let meter = METERS.iter().find(|meter| meter.name == name).expect("a meter is in METERS");
    let stem = |suffix| name.strip_suffix(suffix).expect("its name says its kind or unit");
    match meter.kind {
        Kind::Counter => registry.register(stem("_total"), meter.help, metric),
        Kind::Gauge => registry.register(name, meter.help, metric),
        Kind::Histogram => {
            registry.register_with_unit(stem("_seconds"), meter.help, Unit::Seconds, metric);
        }
        Kind::Info => registry.register(stem("_info"), meter.help, metric),
    }
}

fn shared<M: Metric + Clone>(registry: &mut Registry, name: &str, metric: M) -> M {
    put(registry, name, metric.clone());
    metric
}

fn count(registry: &mut Registry, name: &str) -> Counter {
    shared(registry, name, Counter::default())
}

fn time(registry: &mut Registry, name: &str, bounds_ns: &'static [u64]) -> Histogram {
    shared(registry, name, Histogram::new(bounds_ns))
}

#[cfg(test)]
mod tests;
