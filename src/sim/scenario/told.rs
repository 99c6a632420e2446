//! What did not go as expected, in words.
//!
//! ```text
//!   turn 2, the caller types “has it been sent”, at 4.20 s (tick 210)
//!     says
//!       - the words [order, delivered]
//!       + “Order 4217 is shipped.”  at 4.22 s (tick 211)  ← missing: delivered
//! ```
//!
//! **Invariant:** a mismatch is told with everything that came in its place.

use std::fmt::Write as _;

use super::Turn;
use super::judge::Mismatch;
use crate::clock::{Tick, TickLen};
use crate::config::scenario::Case;
use crate::sim::timeline::{Timeline, seconds};

/// What came is told up to so many lines.
const GOT_MAX: usize = 12;

/// Time that is shown from before and after a turn, in milliseconds.
const AROUND_MS: u32 = 200;

/// Tells what did not go as expected, turn by turn, and what happened around it.
#[must_use]
pub fn tell(
    case: &Case<'_>,
    turns: &[Turn],
    mismatches: &[Mismatch],
    timeline: &Timeline,
) -> String {
    let mut text = String::new();
    let len = timeline.tick_len();
    let mut last = None;
    for mismatch in mismatches {
        if last.replace(mismatch.turn) != Some(mismatch.turn) {
            let _ = writeln!(text, "  {}", heading(case, turns, mismatch.turn, len));
        }
        let Mismatch { key, expected, got, .. } = mismatch;
        let _ = writeln!(text, "    {key}\n      - {expected}");
        for got in got.iter().take(GOT_MAX) {
            let at = got.at.map_or_else(String::new, |at| format!("  at {}", moment(len, at)));
            let near = got.near.as_ref().map_or_else(String::new, |near| format!("  ← {near}"));
            let _ = writeln!(text, "      + {}{at}{near}", got.text);
        }
        if got.len() > GOT_MAX {
            let _ = writeln!(text, "      + and {} more", got.len() - GOT_MAX);
        }
    }
    text.push('\n');
    for line in around(turns, mismatches, timeline).lines() {
        let _ = writeln!(text, "{}", format!("    {line}").trim_end());
    }
    text
}

fn heading(case: &Case<'_>, turns: &[Turn], index: usize, len: TickLen) -> String {
    let what = match index.checked_sub(1).and_then(|at| case.cues.get(at)) {
        None => "before the first cue".to_owned(),
        Some(cue) => format!("turn {index}, the caller {}", cue.act),
    };
    match turns.get(index) {
        Some(turn) if index > 0 => format!("{what}, at {}", moment(len, turn.begun)),
        _ => what,
    }
}

fn moment(len: TickLen, tick: Tick) -> String {
    format!("{} s (tick {tick})", seconds(len, tick))
}

/// The timeline of the turns that did not go as expected.
fn around(turns: &[Turn], mismatches: &[Mismatch], timeline: &Timeline) -> String {
    let around = timeline.tick_len().ticks(AROUND_MS);
    let shown = mismatches.iter().filter_map(|mismatch| turns.get(mismatch.turn));
    let from = shown.clone().map(|turn| turn.begun.0).min();
    let to = shown.map(|turn| turn.last.0).max();
    let end = turns.last().map_or(0, |turn| turn.last.0);
    // A cue that was not reached: how the call ended is what matters.
    let (from, to) = from.zip(to).unwrap_or((end, end));
    timeline.render(from.saturating_sub(around)..to + 1 + around)
}
