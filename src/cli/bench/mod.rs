//! `antiphon bench`: figures of this machine, from the program as it runs in production.
//!
//! **Invariant:** what is measured is what calls run on, not an imitation of it.

mod contender;
mod figures;
mod pacing;
mod plot;
mod recording;
mod table;
mod talkers;

use std::process::ExitCode;

use clap::Subcommand;

use super::failure::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// How late ticks are, beside the barest loop that the system permits.
    Pacing(pacing::PacingArgs),
}

pub(super) fn bench(args: &BenchArgs) -> Result<ExitCode, Failure> {
    match &args.bench {
        Bench::Pacing(args) => pacing::pacing(args),
    }
}
