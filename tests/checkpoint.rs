//! Random calls: equal inputs give equal digests, from the start, from the journal, from a checkpoint.
//!
//! Each case is drawn from one number. `ANTIPHON_CASES` sets how many are played, `ANTIPHON_SEED` the
//! first one, so that a case that failed can be played alone. What holds within a call is watched at
//! the same time; `tests/worlds.rs` does that for far more of them.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod soak;

use antiphon::journal::Journal;
use antiphon::seed::Seed;
use antiphon::session::checkpoint::{Checkpoint, NotRestored};
use antiphon::session::output::Output;
use antiphon::session::plan::Plan;
use antiphon::sim::replay::{Remembering, Replayed, plan_of, replay};
use antiphon::sim::trial::{Cast, Trial};
use soak::{cast, number, record};

/// The longest call.
const MS_MAX: u64 = 15_000;

fn check(case: u64, cast: &Cast) -> Result<(), String> {
    let trial = Trial::any(case, cast);
    let ticks_max = MS_MAX / u64::from(trial.plan.len.ms());
    let trial = trial.at_most(ticks_max);
    let once = record(&trial, &[]).map_err(|failed| failed.to_string())?;

    let count = once.ticks.len() as u64;
    let mut draw = Seed::new(case).branch("checkpoints");
    let checkpoints = [1, draw.below(count), draw.below(count)];
    let again = record(&trial, &checkpoints).map_err(|failed| failed.to_string())?;
    assert!(once.ticks == again.ticks, "two runs, equal digests");
    assert!(once.journal == again.journal, "and equal journals");

    let journal = once.read()?;
    assert_eq!(replay(&journal, |_, _| {}), Ok(Replayed::Equal { ticks: count }));
    for bytes in &again.checkpoints {
        goes_on_alike(bytes, &journal);
    }
    Ok(())
}

/// Restores a checkpoint and steps what the journal has from there on.
fn goes_on_alike(checkpoint: &[u8], journal: &Journal) {
    let plan = plan_of(journal).unwrap();
    let restored = Checkpoint::from_bytes(checkpoint).unwrap();
    let at = restored.tick;
    let mut session = restored.restore(&plan).unwrap();
    let mut out = Output::default();
    let rest = journal.ticks.iter().filter(|entry| entry.input.tick >= at);
    assert_eq!(session.tick(), at);
    for entry in rest {
        let mut hands = Remembering { called: entry.outcomes.called.iter().cloned().collect() };
        session.step(&plan, &mut entry.input.clone(), &mut hands, &mut out);
        let tick = entry.input.tick;
        assert_eq!(out.digest, entry.outcomes.digest, "restored at tick {at}, tick {tick}");
        // As text: a confidence that is no number does not equal itself.
        assert_eq!(format!("{:?}", out.events), format!("{:?}", entry.outcomes.events));
    }
}

#[test]
fn random_calls_go_on_alike_from_journal_and_checkpoint() {
    let (cast, first) = (cast(), number("ANTIPHON_SEED").unwrap_or(1));
    for case in first..first + number("ANTIPHON_CASES").unwrap_or(40) {
        let told = Told(case);
        check(case, &cast).unwrap_or_else(|why| panic!("{why}"));
        drop(told);
    }
}

/// Says which case failed.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let again = "cargo test --test checkpoint -- random_calls";
            eprintln!("again: ANTIPHON_SEED={} ANTIPHON_CASES=1 {again}", self.0);
        }
    }
}

fn a_checkpoint() -> (Trial, Vec<u8>) {
    let trial = Trial::any(3, &cast()).at_most(30);
    let mut recorded = record(&trial, &[20]).unwrap();
    (trial, recorded.checkpoints.remove(0))
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let (_, bytes) = a_checkpoint();
    assert!(Checkpoint::from_bytes(&bytes).is_ok());
    for at in (0..bytes.len()).step_by(97) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 4;
        let refused = Checkpoint::from_bytes(&bytes).unwrap_err();
        assert!(matches!(refused, NotRestored::Unreadable(_)), "byte {at}: {refused}");
        assert!(Checkpoint::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn a_checkpoint_belongs_to_its_configuration() {
    let (trial, bytes) = a_checkpoint();
    let mut config = trial.plan.config.clone();
    config.turn.away_ms += 1;
    let other = Plan::new(config).unwrap();
    let restored = Checkpoint::from_bytes(&bytes).unwrap().restore(&other);
    assert_eq!(restored.map(|_| ()), Err(NotRestored::OtherConfig));
}
