//! Many random calls under invariants, on every core: what `tests/worlds.rs` and `make soak` share.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;

use antiphon::clock::Tick;
use antiphon::journal::Journal;
use antiphon::pcm::{resample, wav};
use antiphon::session::checkpoint::Checkpoint;
use antiphon::sim::replay::{Replayed, replay};
use antiphon::sim::trial::{Cast, Failed, Passed, Trial};
use antiphon::sim::weather::{Fault, HAUNTED};

/// Of so many calls one is made twice and replayed: that costs three times as much.
const REPLAYED: u64 = 12;

/// The callers of the demo, a cough and a backchannel.
pub(crate) fn cast() -> Cast {
    let clips = [
        "caller-02-hours",
        "caller-04-owe",
        "caller-08-barge-in",
        "caller-10-goodbye",
        "mm-hmm",
        "cough",
    ];
    let clips = clips.map(|name| {
        let path = format!("{}/audio/{name}.wav", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let file = wav::read(&bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
        resample::convert(&file.pcm, file.rate_hz, 16_000)
    });
    Cast::new(&clips)
}

/// A number from the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: not a number: {text}")))
}

/// A call that was made, with all that was written of it.
pub(crate) struct Recorded {
    pub(crate) passed: Passed,
    /// Each tick with its digest.
    pub(crate) ticks: Vec<(Tick, u64)>,
    pub(crate) journal: Vec<u8>,
    pub(crate) checkpoints: Vec<Vec<u8>>,
}

impl Recorded {
    /// The journal, read.
    pub(crate) fn read(&self) -> Result<Journal, String> {
        Journal::read(&self.journal).map_err(|error| error.to_string())
    }
}

/// Makes a call and writes it down, with checkpoints after these of its steps.
pub(crate) fn record(trial: &Trial, checkpoints: &[u64]) -> Result<Recorded, Box<Failed>> {
    let mut recorded = Recorded {
        passed: Passed {
            ticks: 0,
            ms: 0,
            digest: 0,
            events: BTreeMap::new(),
            faults: BTreeMap::new(),
        },
        ticks: Vec::new(),
        journal: Vec::new(),
        checkpoints: Vec::new(),
    };
    recorded.passed = trial.watch(|slot| {
        let (tick, digest) = (slot.session().tick(), slot.output().digest);
        recorded.ticks.push((tick, digest));
        if let Some(scribe) = slot.scribe() {
            scribe.take(&mut recorded.journal);
        }
        if checkpoints.contains(&(recorded.ticks.len() as u64)) {
            let taken = Checkpoint::take(slot.session(), slot.plan());
            recorded.checkpoints.push(taken.to_bytes());
        }
    })?;
    Ok(recorded)
}

/// Makes the call of a seed under invariants, and some of them twice and from their journal.
fn check(seed: u64, cast: &Cast) -> Result<Passed, String> {
    let trial = Trial::any(seed, cast);
    if !seed.is_multiple_of(REPLAYED) {
        return trial.run().map_err(|failed| failed.to_string());
    }
    let recorded = record(&trial, &[]).map_err(|failed| failed.to_string())?;
    let again = trial.run().map_err(|failed| failed.to_string())?;
    if again != recorded.passed {
        return Err(format!("seed {seed}: two runs differ: {:?}, {again:?}", recorded.passed));
    }
    let journal = recorded.read().map_err(|why| format!("seed {seed}: its journal: {why}"))?;
    match replay(&journal, |_, _| {}) {
        Ok(Replayed::Equal { ticks }) if ticks == again.ticks => Ok(again),
        other => Err(format!("seed {seed}: its journal replays as {other:?}")),
    }
}

/// What has been seen so far.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) worlds: u64,
    pub(crate) ms: u64,
    pub(crate) events: BTreeMap<String, u64>,
    pub(crate) faults: BTreeMap<Fault, u64>,
    /// What failed: all of it, with the way to do it again.
    pub(crate) failures: Vec<String>,
}

impl Totals {
    pub(crate) fn hours(&self) -> f64 {
        self.ms as f64 / 3_600_000.0
    }

    fn add(&mut self, passed: Passed) {
        self.worlds += 1;
        self.ms += passed.ms;
        for (name, count) in passed.events {
            *self.events.entry(name).or_default() += count;
        }
        for (fault, count) in passed.faults {
            *self.faults.entry(fault).or_default() += count;
        }
    }
}

/// So many failures are enough to begin with.
const FAILURES_MAX: usize = 5;

/// Makes calls from a seed on, on every core, until `seen` has seen enough of the totals. `again` is
/// how to make the call of one seed again.
pub(crate) fn soak(
    first: u64,
    again: impl Fn(u64) -> String,
    mut seen: impl FnMut(&Totals) -> ControlFlow<()>,
) -> Totals {
    quiet_haunting();
    let (cast, next, stop) = (cast(), AtomicU64::new(first), AtomicBool::new(false));
    let mut totals = Totals::default();
    let (give, take) = sync_channel::<(u64, Result<Passed, String>)>(64);
    std::thread::scope(|scope| {
        let (cast, next, stop) = (&cast, &next, &stop);
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            let give = give.clone();
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if give.send((seed, check(seed, cast))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(give);
        for (seed, checked) in take {
            match checked {
                Ok(passed) => totals.add(passed),
                Err(why) => totals.failures.push(format!("{why}\nagain: {}", again(seed))),
            }
            if seen(&totals).is_break() || totals.failures.len() >= FAILURES_MAX {
                stop.store(true, Ordering::Relaxed);
            }
        }
    });
    totals
}

/// Tools that panic by intention are counted, not printed.
fn quiet_haunting() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.payload_as_str() != Some(HAUNTED) {
                before(panic);
            }
        }));
    });
}
