//! The arguments of each command.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// A real-time voice agent gateway.
#[derive(Debug, Parser)]
#[command(name = "antiphon", version, propagate_version = true)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Holds a spoken conversation between a recorded caller and the demo's agents.
    Demo(DemoArgs),
    /// Runs a configuration on recorded callers.
    Run(RunArgs),
    /// Steps a recorded call again and compares every tick.
    Replay(ReplayArgs),
    /// Checks a configuration.
    Check(CheckArgs),
    /// Measures what this machine gives.
    Bench(super::bench::BenchArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// As fast as it goes, in virtual time.
    #[arg(long)]
    pub(super) fast: bool,
    /// Where the output goes.
    #[arg(long, value_name = "DIR", default_value = "out/demo")]
    pub(super) out: PathBuf,
    /// An object per event instead of text.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: antiphon run configs/demo.yaml --input audio/demo.wav --out out/call --fast"
)]
pub(super) struct RunArgs {
    /// The configuration.
    pub(super) config: PathBuf,
    /// A caller: a WAV file that is played, or a YAML file of cues. Each is a participant.
    #[arg(long, value_name = "FILE", required = true)]
    pub(super) input: Vec<PathBuf>,
    /// Where the output goes.
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// As fast as it goes, in virtual time.
    #[arg(long)]
    pub(super) fast: bool,
    /// The seed, instead of the configuration's.
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Where the journal goes, instead of journal.antiphon in the output folder.
    #[arg(long, value_name = "FILE")]
    pub(super) journal: Option<PathBuf>,
    /// An object per event instead of text.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 equal, 1 diverged, 2 unreadable, 3 written by another build."
)]
pub(super) struct ReplayArgs {
    /// The journal.
    pub(super) journal: PathBuf,
    /// An object instead of text.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// The configurations.
    #[arg(required = true)]
    pub(super) config: Vec<PathBuf>,
}
