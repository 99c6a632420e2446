//! `antiphon timeline`: a call as text.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::failure::Failure;
use super::moment::Moment;
use super::view::line;
use crate::clock::Tick;
use crate::record::recount::Recount;
use crate::sim::timeline::{Timeline, seconds};

/// Tells a call as text, tick by tick.
///
/// First who is heard when, as a strip; then a line for each event: when, in which tick, who is heard in
/// it (`u` a participant, `a` the agent), its name, and what it says. Lines of a fork that went another
/// way begin with `~`. A moment is a tick (4021) or a time (80.42s, 500ms, 1:20.4).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon timeline out/demo
  antiphon timeline out/demo/journal.antiphon --from 77s --to 1:24

Exit codes: 0 it was told, 2 it cannot be read.")]
pub(super) struct TimelineArgs {
    /// The folder of a run, or a journal.
    call: PathBuf,
    /// The first moment.
    #[arg(long, value_name = "TICK|TIME")]
    from: Option<Moment>,
    /// The moment before which it ends.
    #[arg(long, value_name = "TICK|TIME")]
    to: Option<Moment>,
}

pub(super) fn timeline(args: &TimelineArgs) -> Result<ExitCode, Failure> {
    let timeline = told(&args.call)?;
    let tick = |moment: Moment| moment.tick(timeline.tick_len()).0;
    let last = timeline.ticks().last().map_or(0, |told| told.tick.0);
    let range = args.from.map_or(0, tick)..args.to.map_or(u64::MAX, tick);
    if !timeline.ticks().iter().any(|told| range.contains(&told.tick.0)) {
        let seconds = seconds(timeline.tick_len(), Tick(last));
        return Err(Failure::input(format!(
            "{}: there is no tick in that range; the call ends with tick {last} ({seconds} s)",
            args.call.display(),
        )));
    }
    line(timeline.render(range).trim_end());
    Ok(ExitCode::SUCCESS)
}

/// The timeline of a folder or journal; what it lacks is said aside.
pub(super) fn told(call: &Path) -> Result<Timeline, Failure> {
    let recount = Recount::open(call).map_err(|error| Failure::input(error.to_string()))?;
    for lack in &recount.lacks {
        eprintln!("{lack}");
    }
    let mut timeline = Timeline::new(&recount.plan);
    if let Some(diverged) = recount.diverged {
        timeline.diverge(diverged);
    }
    if !recount.knows_who_is_heard() {
        timeline.unheard();
    }
    // What was told up to there is told.
    if let Err(error) = recount.tell(|now, out, _| timeline.tick(now, out)) {
        eprintln!("{}: told up to here: {error}", call.display());
    }
    Ok(timeline)
}
