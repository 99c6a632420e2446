//! Replay: a session stepped from its journal.
//!
//! Every value that came from outside is given again at its tick; no tool is called, nothing is sent.
//! After each tick the digests must be equal. The first that is not is where the two timelines part.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::config::Config;
use crate::id::CallId;
use crate::journal::{CODEC, Header, Journal, TickEntry};
use crate::session::checkpoint::BUILD;
use crate::session::event::Event;
use crate::session::output::Output;
use crate::session::plan::Plan;
use crate::session::{Session, digest_pcm};
use crate::slot::message;
use crate::tool::{Called, FailureKind, Hands, Outcome, ToolCall};

/// How a replay went.
#[derive(Debug, Clone, PartialEq)]
pub enum Replayed {
    /// All digests are equal.
    Equal {
        /// Ticks compared.
        ticks: u64,
    },
    /// They part at a tick.
    Diverged(Box<Divergence>),
    /// Another build wrote the journal: nothing can be said.
    Incompatible {
        /// What wrote it.
        build: String,
    },
}

/// The first tick in which a replay is not what was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// The tick.
    pub tick: u64,
    /// The digests: recorded, replayed.
    pub digests: [u64; 2],
    /// Whether the audio heard is the same: if not, the codec differs, not the session.
    pub heard_alike: bool,
    /// The events of the tick: recorded, replayed.
    pub events: [Vec<Event>; 2],
}

/// Why a journal cannot be replayed at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReplayable(pub String);

impl std::fmt::Display for NotReplayable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotReplayable {}

/// The plan that a journal's session ran on.
///
/// # Errors
/// The configuration in the journal cannot be used by this program.
pub fn plan_of(journal: &Journal) -> Result<Plan, NotReplayable> {
    let wrong = |why: String| NotReplayable(format!("the configuration in the journal: {why}"));
    let config: Config =
        serde_json::from_str(&journal.header.config).map_err(|e| wrong(e.to_string()))?;
    Plan::new(config).map_err(|error| wrong(error.to_string()))
}

/// Replays a journal; `each` sees every tick's output.
///
/// # Errors
/// The configuration in the journal cannot be used.
pub fn replay(
    journal: &Journal,
    mut each: impl FnMut(&TickEntry, &Output),
) -> Result<Replayed, NotReplayable> {
    let Header { build, codec, .. } = &journal.header;
    if build != BUILD {
        return Ok(Replayed::Incompatible { build: build.clone() });
    }
    if codec != CODEC {
        return Ok(Replayed::Incompatible { build: format!("{build} with codec {codec}") });
    }
    let plan = plan_of(journal)?;
    let mut session = Session::new(&plan, journal.header.seed);
    let mut out = Output::default();
    for entry in &journal.ticks {
        let expected = session.tick().after(u64::from(entry.input.skipped));
        if entry.input.tick != expected {
            return Err(NotReplayable(format!("tick {expected} is missing from the journal")));
        }
        let mut input = entry.input.clone();
        let mut hands = Remembering { called: entry.outcomes.called.iter().cloned().collect() };
        let step = || session.step(&plan, &mut input, &mut hands, &mut out);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(step)) {
            let why = message(&*panic);
            return Err(NotReplayable(format!("the session panics at tick {expected}: {why}")));
        }
        each(entry, &out);
        if out.digest != entry.outcomes.digest {
            let mut hash = xxhash_rust::xxh3::Xxh3::new();
            digest_pcm(&mut hash, &entry.input.pcm);
            return Ok(Replayed::Diverged(Box::new(Divergence {
                tick: entry.input.tick.0,
                digests: [entry.outcomes.digest, out.digest],
                heard_alike: hash.digest() == entry.outcomes.heard,
                events: [entry.outcomes.events.clone(), out.events.clone()],
            })));
        }
    }
    Ok(Replayed::Equal { ticks: journal.ticks.len() as u64 })
}

/// Hands that give back what was recorded for a tick.
pub struct Remembering {
    /// What became of the calls, in order.
    pub called: VecDeque<(CallId, Called)>,
}

impl Hands for Remembering {
    fn call(&mut self, call: &ToolCall) -> Called {
        match self.called.pop_front() {
            Some((id, called)) if id == call.id => called,
            _ => Called::Done(Outcome::failed(
                FailureKind::NotRecorded,
                format!("the journal has no outcome for this call of `{}`", call.name),
            )),
        }
    }
}
