//! The record of a run: a folder that a person can listen to and a program can read.
//!
//! ```text
//! conversation.wav   what was heard: users left, agent right, at the session's rate
//! events.jsonl       what happened, one event a line
//! ticks.jsonl        every tick as tau2 tells it
//! timing.jsonl       what was measured about each tick, and inline calls beyond their budget
//! transcript.json    who said what, from when to when
//! metrics.json       counts and latencies; the keys are those of METRICS_KEYS
//! report.html        all of it as one page to look at and listen to: see `report`
//! config.json        the configuration that the call ran on
//! ```
//!
//! A [`Folder`] takes the [`Output`] of each tick, in virtual time on the thread that steps, in real
//! time on a [thread of its own](FolderThread). A [`Tally`] gives the metrics alone, to who wants no
//! files; [`Meters`] are those of all sessions together, while they run. The first four files are
//! written as the call goes on, and to the disk's cache once a second: a killed process leaves a
//! recording that plays, and whole lines. The others are there at the end, the configuration from the
//! start.
//!
//! The agents of a plan are drawn by [`drawing`], alone or with the path that a call took.
//!
//! A call is read again by a [`Recount`](recount::Recount), told as text by a
//! [`Timeline`](crate::sim::timeline::Timeline), and put beside another by [`compare`](compare::compare).
//!
//! Ticks that were jumped over have no line, since nothing happened in them; the recording is silent
//! for so long, and stays in time.
//!
//! A call that was forked from a recording is *counterfactual* from the tick on in which it goes another
//! way ([`Folder::diverge`]). Lines and turns from there on have `"counterfactual": true`, the metrics name
//! the tick, the recording has a mark there, and the report shows it.
//!
//! **Invariant:** what was measured stands in `timing.jsonl`, in three values of `metrics.json`, and of a
//! live run in `wall_clock_duration_seconds` and `report.html`. All else comes from ticks: the same run in virtual time
//! gives the same bytes.

pub mod compare;
pub mod drawing;
mod folder;
pub mod meters;
pub mod metrics;
pub mod observe;
pub mod recount;
pub mod report;
pub mod stamp;
#[cfg(test)]
mod tests;
mod thread;
mod ticks;
mod turns;
mod written;

pub use crate::host::tools::Overrun;
pub use folder::{Folder, FolderError};
pub use meters::{Format, JobEnd, Meters, SessionEnd, SessionMeter, WorkerFigures};
pub use metrics::{METRICS_KEYS, Metrics, Tally};
pub use report::{Report, Sound, Story};
pub use thread::FolderThread;
pub use turns::{Side, Turn};

#[cfg(doc)]
use crate::session::output::Output;

/// What was measured about one tick: an edge's business.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// How long after its due time the tick began, in nanoseconds; none in virtual time.
    pub lateness_ns: Option<u64>,
    /// How long the tick took with all its edges, in nanoseconds.
    pub step_ns: u64,
    /// Ticks that were jumped over before it.
    pub skipped: u32,
}
