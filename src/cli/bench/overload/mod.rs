//! `antiphon bench overload`: what a process leaves out when it has more to do than it can, and in what order.
//!
//! **Invariant:** what is measured is production's shard, sessions, lookout and page of meters; the bench adds callers, and
//! takes the time.

mod figures;
mod judge;
mod probe;
mod ramp;

use std::process::ExitCode;

use serde_json::json;

use self::judge::verdicts;
use self::ramp::{Ramp, Setting};
use super::density::told;
use crate::cli::failure::Failure;
use crate::cli::view::line;

/// Shows what is left out when there is too much to do, and what is not.
///
/// Sessions with media come until no more are admitted. Then those come that were on their way, more than the thread of
/// ticks has time for; with --burn, other threads take the processors as well. At last they go again. Beside each step
/// stands how late ticks were, the stage, who was refused, what was left out, which sessions do less, and the gaps in
/// running audio.
///
/// What is promised: stages follow each other one by one, no audio has a gap before sessions do all that they can without,
/// all sessions do so alike, and everything comes back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon bench overload
  antiphon bench overload --burn 4 --ordinary
  antiphon bench overload --seconds 2 --json --assert

Exit codes: 0 measured, 1 something failed on the way or, with --assert, a promise was broken, 2 it cannot be measured.")]
pub(super) struct OverloadArgs {
    /// How long each step lasts at least, in seconds
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=600))]
    seconds: u32,
    /// Threads of the ordinary class that compute all the time while more is to be done than can be: 0 to 256
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=256))]
    burn: u16,
    /// Ticks in the ordinary class, as where the real-time class is not permitted
    #[arg(long)]
    ordinary: bool,
    /// Sessions at most
    #[arg(long, value_name = "N", default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(8..=20_000))]
    most: u32,
    /// A broken promise is a failure: the exit code is 1
    #[arg(long)]
    assert: bool,
    /// An object instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn overload(args: &OverloadArgs) -> Result<ExitCode, Failure> {
    let setting = Setting {
        seconds: args.seconds,
        burn: usize::from(args.burn),
        ordinary: args.ordinary,
        most: args.most as usize,
    };
    let run = Ramp::start(setting)?.run()?;
    let verdicts = verdicts(&run);
    if args.json {
        let judged: Vec<_> =
            verdicts.iter().map(|of| json!({ "promise": of.says, "holds": of.holds })).collect();
        let mut object =
            serde_json::to_value(&run).map_err(|why| Failure::broken(why.to_string()))?;
        object["bench"] = "overload".into();
        object["verdicts"] = judged.into();
        line(object);
    } else {
        line(run.text().trim_end());
        line(told(&verdicts).trim_end());
    }
    let broken = verdicts.iter().any(|of| !of.holds);
    Ok(if args.assert && broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
