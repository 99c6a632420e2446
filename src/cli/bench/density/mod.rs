//! `antiphon bench density`: how many calls there is room for, and what each of them costs.
//!
//! **Invariant:** what is measured runs in a process of its own, with the code that holds calls; what stands beside it
//! is measured in the same run.

mod callers;
mod calls;
mod codec;
#[cfg(feature = "livekit")]
mod content;
mod figures;
#[cfg(feature = "livekit")]
mod guests;
mod local;
mod pattern;
mod probe;
#[cfg(feature = "livekit")]
mod rooms;
#[cfg(feature = "livekit")]
mod scrape;
mod search;
mod stage;

#[cfg(feature = "livekit")]
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value, json};

pub(super) use self::callers::Callers;
pub(super) use self::calls::Calls;
use self::figures::Figures;
pub(super) use self::figures::{Verdict, told};
pub(super) use self::pattern::Pattern;
pub(super) use self::stage::{Stage, Stages};
#[cfg(feature = "livekit")]
use crate::cli::bench::server::ServerArgs;
use crate::cli::failure::Failure;
use crate::cli::view::line;
use crate::host::codec::OutletOptions;

/// Sessions that are tried at most unless it is said.
const MOST: u32 = 8_000;

/// Says how many sessions there is room for, and what each costs, beside bare Opus.
///
/// With --sessions it measures so many. Without, it looks for the most of which 999 of 1000 ticks begin less than a
/// tick late and less than 0.5 % of packets are lost; each trial is a process of its own. Depths of one process have
/// one thread of ticks, so that their figure is that of a core. Opus that decodes and encodes the same packets, and
/// does nothing else, is measured before and after.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon bench density --depth media
  antiphon bench density --depth media --sessions 40 --talk 1 --json
  antiphon bench density --depth bare --sessions 1000
  antiphon bench density --depth livekit --sessions 40 --talk 1 --seconds 60

Exit codes: 0 measured, 1 something failed on the way, 2 it cannot be measured.")]
pub(super) struct DensityArgs {
    /// How much there is of a session
    #[arg(long, value_enum)]
    depth: Depth,
    /// So many sessions; without it, the most that there is room for
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    sessions: Option<u32>,
    /// Where to look for the most, at most
    #[arg(long, value_name = "N", default_value_t = MOST, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    most: u32,
    /// The share of the time for which each participant talks: 1 is without a pause
    #[arg(long, value_name = "SHARE", default_value_t = 0.4, value_parser = share)]
    talk: f64,
    /// How long is measured, in seconds
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// What the encoder tries, 0 to 10
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(0..=10))]
    complexity: u8,
    /// In rooms: who answers
    #[cfg(feature = "livekit")]
    #[arg(long, value_enum, default_value_t = Agent::Echo)]
    agent: Agent,
    /// In rooms: a Python with the `livekit` package, whose clients look at what is heard in two of them
    #[cfg(feature = "livekit")]
    #[arg(long, value_name = "FILE", default_value = ".tools/python/bin/python")]
    python: PathBuf,
    /// An object instead of text
    #[arg(long)]
    json: bool,
    #[cfg(feature = "livekit")]
    #[command(flatten)]
    server: ServerArgs,
}

/// How much there is of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Depth {
    /// The loop of ticks and an agent whom nobody has joined
    Bare,
    /// A participant's packets decoded, voice detection, an echo encoded
    Media,
    /// Turns, agents that hand over, tools, recogniser and synthesiser (stand-ins), meters, the journal's entries
    Session,
    /// Rooms on a real server, with a worker of a process of its own; one of the bench's own unless it is named
    #[cfg(feature = "livekit")]
    Livekit,
}

/// Who answers in a room.
#[cfg(feature = "livekit")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Agent {
    /// An echo, half a second later: it speaks as much as it is spoken to
    Echo,
    /// A scripted agent that says hello
    Text,
}

impl Depth {
    const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Media => "media",
            Self::Session => "session",
            #[cfg(feature = "livekit")]
            Self::Livekit => "livekit",
        }
    }
}

/// What is measured, and how.
#[derive(Debug, Clone)]
struct Setting {
    depth: Depth,
    sessions: u32,
    talk: f64,
    seconds: u32,
    options: OutletOptions,
    #[cfg(feature = "livekit")]
    agent: Agent,
}

/// A share, whose mistakes are told in words that are not the parser's.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share: &f64| (0.01..=1.0).contains(share));
    share.ok_or_else(|| "write a share from 0.01 to 1, like 0.4".to_owned())
}

pub(super) fn density(args: &DensityArgs) -> Result<ExitCode, Failure> {
    let Some(sessions) = args.sessions else { return search::search(args) };
    let options =
        OutletOptions { complexity: i32::from(args.complexity), ..OutletOptions::default() };
    let setting = Setting {
        depth: args.depth,
        sessions,
        talk: args.talk,
        seconds: args.seconds,
        options,
        #[cfg(feature = "livekit")]
        agent: args.agent,
    };
    let figures = match args.depth {
        Depth::Bare | Depth::Media | Depth::Session => local::measure(&setting)?,
        #[cfg(feature = "livekit")]
        Depth::Livekit => rooms::measure(&setting, &args.server, &args.python)?,
    };
    let verdicts = figures.verdicts();
    if args.json {
        line(object(&figures, &verdicts)?);
    } else {
        line(figures.text().trim_end());
        line(told(&verdicts).trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// Figures with what they say of promises.
fn object(figures: &Figures, verdicts: &[Verdict]) -> Result<Value, Failure> {
    let unwritten = |why: serde_json::Error| Failure::broken(why.to_string());
    let mut object = serde_json::to_value(figures).map_err(unwritten)?;
    object["bench"] = "density".into();
    object["bare_ratio"] = figures.ratio().into();
    object["loss"] = figures.packets.loss().into();
    object["verdicts"] = listed(verdicts);
    Ok(object)
}

fn listed(verdicts: &[Verdict]) -> Value {
    verdicts.iter().map(|of| json!({ "promise": of.says, "holds": of.holds })).collect()
}
