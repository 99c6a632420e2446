//! Random worlds: calls of every kind with faults of every kind, under invariants.
//!
//! `ANTIPHON_HOURS` sets how many simulated hours are lived through, `ANTIPHON_SEED` the first seed and
//! `ANTIPHON_CASES` how many seeds, so that a call that failed can be made alone.

mod soak;

use std::ops::ControlFlow;

use antiphon::sim::weather::Fault;
use soak::number;

/// Simulated hours in an ordinary run of the tests.
const HOURS: u64 = 20;

fn again(seed: u64) -> String {
    format!(
        "ANTIPHON_SEED={seed} ANTIPHON_CASES=1 cargo test --test worlds -- --nocapture every_invariant"
    )
}

#[test]
fn every_invariant_holds_in_every_world() {
    let (cases, hours) = (number("ANTIPHON_CASES"), number("ANTIPHON_HOURS").unwrap_or(HOURS));
    let totals = soak::soak(number("ANTIPHON_SEED").unwrap_or(1), again, |totals| {
        let enough = cases.map_or(totals.ms >= hours * 3_600_000, |cases| {
            totals.worlds + totals.failures.len() as u64 >= cases
        });
        if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    println!("{} worlds, {:.1} simulated hours", totals.worlds, totals.hours());
    assert!(totals.failures.is_empty(), "\n\n{}\n", totals.failures.join("\n\n"));
    if cases.is_none() && hours >= HOURS {
        is_worth_it(&totals);
    }
}

/// Everything that can go wrong has gone wrong, and everything that can come of it has come of it.
fn is_worth_it(totals: &soak::Totals) {
    for fault in Fault::ALL {
        assert!(totals.faults.contains_key(&fault), "never a {}", fault.name());
    }
    for name in [
        "agent.interrupted",
        "agent.resumed",
        "connection.lost",
        "connection.quality",
        "connection.restored",
        "data.received",
        "recogniser.failed",
        "room.metadata",
        "rpc.answered",
        "rpc.called",
        "session.ended",
        "synthesiser.failed",
        "tick.skipped",
        "tool.deferred",
        "tool.unexpected",
        "transition.executed",
        "transition.refused",
        "user.attributes",
        "user.away",
        "user.backchannel",
        "user.digit",
        "user.metadata",
        "user.muted",
        "user.published",
        "user.returned",
        "user.speaking",
        "user.unheard",
        "user.unmuted",
        "user.unpublished",
    ] {
        assert!(totals.events.contains_key(name), "no {name} in {:?}", totals.events);
    }
}
