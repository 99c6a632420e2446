//! The arguments of each command.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::bench::BenchArgs;
use super::completions::CompletionsArgs;
use super::console::ConsoleArgs;
use super::diff::DiffArgs;
use super::fork::ForkArgs;
use super::graph::GraphArgs;
use super::init::InitArgs;
use super::journal::JournalArgs;
use super::metrics::MetricsArgs;
use super::report::ReportArgs;
use super::scenario::ScenarioArgs;
use super::schema::SchemaArgs;
use super::test::TestArgs;
use super::timeline::TimelineArgs;

/// A real-time voice agent gateway.
///
/// Agents talk with callers on fixed audio ticks: they listen, answer, call tools and hand a call
/// over. A call is the same each time it is replayed, and runs in virtual time as well as in real
/// time.
#[derive(Debug, Parser)]
#[command(
    name = "antiphon",
    version,
    propagate_version = true,
    after_help = "\
Examples:
  antiphon demo --fast        # holds a call, and writes it to out/demo
  antiphon init my-shop       # makes a project of your own
  antiphon help run           # explains a command

Exit codes: 0 done, 1 it went wrong on the way, 2 something given is wrong."
)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

// Each command is described where its arguments are: a comment here would hide that.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Demo(DemoArgs),
    Init(InitArgs),
    Check(CheckArgs),
    Graph(GraphArgs),
    Schema(SchemaArgs),
    Test(TestArgs),
    Run(RunArgs),
    Console(ConsoleArgs),
    #[cfg(feature = "livekit")]
    Connect(super::connect::ConnectArgs),
    #[cfg(feature = "livekit")]
    Start(super::worker::StartArgs),
    #[cfg(feature = "livekit")]
    Dev(super::worker::DevArgs),
    #[cfg(feature = "device")]
    Devices(super::devices::DevicesArgs),
    Doctor(super::doctor::DoctorArgs),
    Replay(ReplayArgs),
    Fork(ForkArgs),
    Diff(DiffArgs),
    Timeline(TimelineArgs),
    Report(ReportArgs),
    Scenario(ScenarioArgs),
    Journal(JournalArgs),
    Bench(BenchArgs),
    Completions(CompletionsArgs),
}

/// Holds a spoken call between a recorded caller and a shop's agents.
///
/// The caller, its clips and the agents are part of the program: no file, account or network is
/// needed, only the offline speech libraries. It takes 100 seconds in real time and ten with
/// `--fast`. What was heard is conversation.wav in the output folder; journal.antiphon beside it can
/// be replayed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon demo
  antiphon demo --fast --out out/demo

Exit codes: 0 the call ended, 1 it went wrong, 2 it could not begin, 130 it was interrupted.")]
pub(super) struct DemoArgs {
    /// Holds the call in virtual time, as fast as it goes.
    #[arg(long)]
    pub(super) fast: bool,
    /// Hears callers through Opus, as a network would carry them; the journal keeps the packets.
    #[arg(long)]
    pub(super) opus: bool,
    /// The folder that the output goes to.
    #[arg(long, value_name = "DIR", default_value = "out/demo")]
    pub(super) out: PathBuf,
    /// Prints an object per event instead of text.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) metrics: MetricsArgs,
}

/// Holds a call between your agents and recorded callers.
///
/// Each `--input` is a participant: a WAV file, which is played at once (8 to 48 kHz, 8 to 32 bits
/// or float, mono or stereo), or a YAML file of cues, which plays clips and types texts as the agent
/// speaks (`antiphon schema cues` describes it).
///
/// The call is held in real time, on a thread of the real-time class where that is permitted, or
/// with `--fast` in virtual time. The output folder then has the recording, the transcript, every
/// event and tick, figures, and the journal. Anything wrong with what is given is told before
/// anything is written.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon run configs/demo.yaml --input audio/demo.wav --out out/call --fast
  antiphon run config.yaml --input anna.yaml --input ben.yaml --out out/call
  antiphon run config.yaml --input caller.yaml --out out/call --seed 7 --json

Exit codes: 0 the call ended, 1 it went wrong, 2 it could not begin, 130 it was interrupted.")]
pub(super) struct RunArgs {
    /// The configuration, a YAML file.
    pub(super) config: PathBuf,
    /// A caller: a WAV file that is played, or a YAML file of cues. Once for each participant.
    #[arg(long, value_name = "FILE", required = true)]
    pub(super) input: Vec<PathBuf>,
    /// The folder that the output goes to.
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// The conversation to hold, of those in the configuration.
    #[arg(long, value_name = "NAME")]
    pub(super) conversation: Option<String>,
    /// Holds the call in virtual time, as fast as it goes.
    #[arg(long)]
    pub(super) fast: bool,
    /// Hears callers through Opus, as a network would carry them; the journal keeps the packets.
    #[arg(long)]
    pub(super) opus: bool,
    /// The seed, instead of the configuration's.
    #[arg(long, value_name = "N", value_parser = seed, allow_negative_numbers = true)]
    pub(super) seed: Option<u64>,
    /// Where the journal goes, instead of journal.antiphon in the output folder.
    #[arg(long, value_name = "FILE")]
    pub(super) journal: Option<PathBuf>,
    /// Prints an object per event instead of text.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) metrics: MetricsArgs,
}

/// Steps a recorded call again and compares every tick.
///
/// A journal holds everything that came to the call from outside, so that no engine, tool or network
/// is needed. Where a tick differs, it is printed as it was recorded and as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon replay out/demo/journal.antiphon
  antiphon replay out/call/journal.antiphon --json

Exit codes: 0 every tick is equal, 1 one differs, 2 the journal cannot be read, 3 another build wrote it.")]
pub(super) struct ReplayArgs {
    /// The journal.
    pub(super) journal: PathBuf,
    /// Prints an object instead of text.
    #[arg(long)]
    pub(super) json: bool,
}

/// Checks configurations.
///
/// Everything that is wrong is told at once, each with line, column and what to do: misspelt keys,
/// numbers out of range, agents, tools, intents and placeholders that there are not. What is allowed
/// and hardly meant is a warning: agents that nobody reaches, dead ends, transitions that never fire,
/// facts that nobody sets. No engine is started.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon check config.yaml
  antiphon check configs/demo.yaml configs/echo.yaml

Exit codes: 0 all are right, 2 at least one is not.")]
pub(super) struct CheckArgs {
    /// Takes warnings for mistakes.
    #[arg(long)]
    pub(super) strict: bool,
    /// The configurations.
    #[arg(required = true)]
    pub(super) config: Vec<PathBuf>,
}

/// A seed, whose mistakes are told in words that are not the parser's.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("write a whole number from 0 to {}", u64::MAX))
}
