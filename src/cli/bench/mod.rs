//! `antiphon bench`: figures of this machine, from the program as it runs in production.
//!
//! **Invariant:** what is measured is what calls run on, not an imitation of it.

mod contender;
#[cfg(feature = "opus")]
mod density;
#[cfg(feature = "livekit")]
mod dispatch;
mod figures;
#[cfg(feature = "livekit")]
mod guest;
#[cfg(feature = "livekit")]
mod latency;
#[cfg(feature = "opus")]
mod overload;
mod pacing;
mod plot;
#[cfg(feature = "opus")]
mod process;
mod recording;
#[cfg(feature = "livekit")]
mod rooms;
#[cfg(feature = "livekit")]
mod server;
#[cfg(feature = "livekit")]
mod stages;
mod table;
mod talkers;
#[cfg(feature = "livekit")]
mod worker;

use std::process::ExitCode;

use clap::Subcommand;

use super::failure::Failure;

/// Measures what this machine gives.
///
/// Each bench measures the code that holds calls, beside the limit of what the machine permits in the
/// same run: machines are shared and noisy, and ratios within a run are what can be compared.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon bench pacing
  antiphon bench pacing --busy 2 --class fifo --plot pacing.svg
  antiphon bench latency
  antiphon bench rooms
  antiphon bench dispatch
  antiphon bench density --depth media
  antiphon bench overload")]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    bench: Bench,
}

// Each command is described where its arguments are: a comment here would hide that.
#[derive(Debug, Subcommand)]
enum Bench {
    Pacing(pacing::PacingArgs),
    #[cfg(feature = "opus")]
    Density(density::DensityArgs),
    #[cfg(feature = "opus")]
    Overload(overload::OverloadArgs),
    #[cfg(feature = "livekit")]
    Latency(latency::LatencyArgs),
    #[cfg(feature = "livekit")]
    Rooms(rooms::RoomsArgs),
    #[cfg(feature = "livekit")]
    Dispatch(dispatch::DispatchArgs),
}

pub(super) fn bench(args: &BenchArgs) -> Result<ExitCode, Failure> {
    match &args.bench {
        Bench::Pacing(args) => pacing::pacing(args),
        #[cfg(feature = "opus")]
        Bench::Density(args) => density::density(args),
        #[cfg(feature = "opus")]
        Bench::Overload(args) => overload::overload(args),
        #[cfg(feature = "livekit")]
        Bench::Latency(args) => latency::latency(args),
        #[cfg(feature = "livekit")]
        Bench::Rooms(args) => rooms::rooms(args),
        #[cfg(feature = "livekit")]
        Bench::Dispatch(args) => dispatch::dispatch(args),
    }
}
