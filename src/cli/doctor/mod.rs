//! `antiphon doctor`: whether this machine can do what calls need, and what to do if not.
//!
//! A check is a function that looks at one thing and comes to a [`Finding`]; what it finds is judged by functions
//! without a system, which tests give any system. Without a configuration the checks look at what the machine has, with
//! one at what its calls need.
//!
//! **Invariant:** whatever is not as it should be has a remedy; no value of a variable of the environment is part of a
//! finding.

#[cfg(feature = "device")]
mod audio;
#[cfg(not(feature = "device"))]
#[path = "no_audio.rs"]
mod audio;
mod cgroup;
mod class;
mod disk;
mod finding;
mod keys;
#[cfg(feature = "livekit")]
mod livekit;
#[cfg(not(feature = "livekit"))]
#[path = "no_livekit.rs"]
mod livekit;
mod speech;
mod timer;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::ValueEnum;

use super::failure::Failure;
use super::load;
use super::view::line;
use crate::session::plan::Plan;
use crate::tool::Registry;
use finding::{Finding, State, Told};

/// Says whether this machine can do what calls need.
///
/// Each check is told by its state, its name, and what was found; where that is not as it should be, the line below says
/// what to do. Without a configuration it looks at what the machine has, and at the environment; with one, at what its
/// calls need: speech engines, variables that hold keys (whether they are set, never what is in them), programs of tools,
/// clips, the folder of journals.
///
/// `audio` plays chirps on the speaker and listens for them at the microphone, so that it can be heard for some seconds;
/// a machine that holds calls in rooms alone does without, by `--no-audio`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon doctor
  antiphon doctor config.yaml --no-audio
  antiphon doctor --only class --only timer --json

Exit codes: 0 all is well, or there are only warnings, 1 a check failed, 2 something given is wrong.")]
pub(super) struct DoctorArgs {
    /// The configuration whose needs are looked at.
    config: Option<PathBuf>,
    /// This check alone; may be given several times.
    #[arg(long, value_name = "CHECK", value_enum)]
    only: Vec<Check>,
    /// Plays nothing, and opens no device.
    #[arg(long)]
    no_audio: bool,
    /// Chirps that are played, one a second: more of them tell more of drift.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..=3_600)
    )]
    chirps: u32,
    /// Prints an object instead of text.
    #[arg(long)]
    json: bool,
    #[cfg(feature = "livekit")]
    #[command(flatten, next_help_heading = "LiveKit")]
    server: super::livekit::ServerArgs,
    #[cfg(feature = "device")]
    #[command(flatten)]
    devices: super::devices::ChoiceArgs,
}

/// What is looked at, in this order: what takes long, and is heard, comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Check {
    /// The real-time class for threads
    Class,
    /// Processor time that a control group gives, and throttling
    Cgroup,
    /// How late threads wake up
    Timer,
    /// Speech libraries
    Speech,
    /// Variables of the environment that hold keys
    Keys,
    /// Programs of tools and MCP servers
    Tools,
    /// Sound files of the configuration
    Clips,
    /// Room for journals
    Disk,
    /// The LiveKit server, and whether it accepts the key
    Livekit,
    /// Microphone and speaker
    Audio,
}

impl Check {
    const fn name(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Cgroup => "cgroup",
            Self::Timer => "timer",
            Self::Speech => "speech",
            Self::Keys => "keys",
            Self::Tools => "tools",
            Self::Clips => "clips",
            Self::Disk => "disk",
            Self::Livekit => "livekit",
            Self::Audio => "audio",
        }
    }

    /// Whether there is nothing to look at without a configuration.
    const fn needs_plan(self) -> bool {
        matches!(self, Self::Tools | Self::Clips)
    }

    fn look(self, args: &DoctorArgs, plan: Option<&Plan>) -> Finding {
        match self {
            Self::Class => class::class(),
            Self::Cgroup => cgroup::cgroup(),
            Self::Timer => timer::timer(),
            Self::Speech => speech::speech(plan),
            Self::Keys => keys::keys(plan),
            Self::Tools => plan.map_or_else(unasked, tools::tools),
            Self::Clips => plan.map_or_else(unasked, speech::clips),
            Self::Disk => disk::disk(plan),
            Self::Livekit => livekit::livekit(args),
            Self::Audio if args.no_audio => {
                Finding::skipped("nothing was played", "leave out --no-audio to try it")
            }
            Self::Audio => audio::audio(args),
        }
    }
}

/// What is known of something that only a configuration needs.
fn unasked() -> Finding {
    Finding::skipped(
        "no configuration was given",
        "name one, as in `antiphon doctor config.yaml`, to see what it needs",
    )
}

pub(super) fn doctor(args: &DoctorArgs, tools: Registry) -> Result<ExitCode, Failure> {
    let plan = args.plan(tools)?;
    let mut all = Vec::new();
    for check in Check::value_variants() {
        let wanted = if args.only.is_empty() {
            plan.is_some() || !check.needs_plan()
        } else {
            args.only.contains(check)
        };
        if !wanted {
            continue;
        }
        let told = Told { name: check.name(), finding: check.look(args, plan.as_deref()) };
        if !args.json {
            line(&told);
        }
        all.push(told);
    }
    let count = |is: fn(&State) -> bool| all.iter().filter(|told| is(&told.finding.state)).count();
    let failed = count(|state| matches!(state, State::Failed(_)));
    let warnings = count(|state| matches!(state, State::Warning(_)));
    if args.json {
        let checks: Vec<_> = all.iter().map(Told::to_json).collect();
        line(serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ok": failed == 0,
            "failed": failed,
            "warnings": warnings,
            "checks": checks,
        }));
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl DoctorArgs {
    /// What the configuration comes to, if one is given.
    fn plan(&self, tools: Registry) -> Result<Option<Arc<Plan>>, Failure> {
        let Some(path) = &self.config else { return Ok(None) };
        let config = load::config(path)?;
        let (plan, _) = load::plan(config, tools).map_err(|failure| failure.about(path))?;
        Ok(Some(plan))
    }
}
