//! Looks for the most sessions that there is room for: by halves, each trial in a process of its own.

use std::process::{Command, ExitCode, Stdio};

#[cfg(feature = "livekit")]
use clap::ValueEnum as _;

use super::figures::{Figures, Verdict, told};
use super::{DensityArgs, Depth, listed};
use crate::cli::failure::Failure;
use crate::cli::view::line;

/// Sessions of the first trial.
const FIRST: u32 = 16;

/// The span that is left is not worth a trial: a fiftieth.
const CLOSE: u32 = 50;

/// Trials at most.
const TRIALS: usize = 14;

/// At so much of the most, no tick may be late.
const CALM: f64 = 0.7;

/// What the watchdog lets a thread of the real-time class have of a core.
const FAIR: f64 = 0.8;

/// One trial; nothing comes of it where there are so many that they cannot even begin.
fn trial(args: &DensityArgs, sessions: u32) -> Result<Option<Figures>, Failure> {
    let broken = |why: String| Failure::broken(format!("a trial with {sessions} sessions: {why}"));
    let program = std::env::current_exe().map_err(|why| broken(why.to_string()))?;
    let mut command = Command::new(program);
    command.args(["bench", "density", "--json", "--depth", args.depth.name()]);
    let numbers = [
        ("--sessions", sessions.to_string()),
        ("--talk", args.talk.to_string()),
        ("--seconds", args.seconds.to_string()),
        ("--complexity", args.complexity.to_string()),
    ];
    for (name, number) in numbers {
        command.arg(name).arg(number);
    }
    #[cfg(feature = "livekit")]
    {
        let agent = args.agent.to_possible_value();
        command.arg("--agent").arg(agent.as_ref().map_or("echo", |value| value.get_name()));
        command.arg("--python").arg(&args.python);
        args.server.pass_on(&mut command);
    }
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|why| broken(why.to_string()))?;
    match output.status.code() {
        Some(0) => serde_json::from_slice(&output.stdout).map_err(|why| broken(why.to_string())),
        Some(1) => Ok(None),
        _ => Err(broken(output.status.to_string())),
    }
}

pub(super) fn search(args: &DensityArgs) -> Result<ExitCode, Failure> {
    let mut trials: Vec<Figures> = Vec::new();
    let (mut good, mut bad): (Option<Figures>, Option<u32>) = (None, None);
    let mut next = FIRST.min(args.most);
    while trials.len() < TRIALS {
        let figures = trial(args, next)?;
        if !args.json {
            eprintln!("{next} sessions: {}", figures.as_ref().map_or("none".to_owned(), in_short));
        }
        let is_more =
            |found: &&Figures| good.as_ref().is_none_or(|good| found.sessions > good.sessions);
        match figures.as_ref().filter(|figures| figures.is_good()) {
            Some(found) => good = Some(found).filter(is_more).cloned().or(good),
            None => bad = Some(bad.map_or(next, |bad| bad.min(next))),
        }
        trials.extend(figures);
        let least = good.as_ref().map_or(0, |good| good.sessions);
        next = match bad {
            // What one costs says about where to look.
            None => {
                let share = good.as_ref().map_or(1.0, |good| good.cores.max(1e-4));
                let fits = f64::from(least) / share;
                ((fits * 0.9) as u32).min(least.saturating_mul(16)).max(least + 1).min(args.most)
            }
            Some(bad) if bad <= least + (least / CLOSE).max(1) => break,
            Some(bad) => least + (bad - least) / 2,
        };
        if next == 0 || least == args.most {
            break;
        }
    }
    let found =
        good.ok_or_else(|| Failure::broken("not even one session has its ticks in time"))?;
    let calm = trial(args, ((f64::from(found.sessions) * CALM) as u32).max(1))?;
    let calm =
        calm.ok_or_else(|| Failure::broken("fewer sessions do not begin where more have"))?;
    let verdicts = verdicts(args, &found, &calm);
    if args.json {
        line(serde_json::json!({
            "bench": "density",
            "depth": args.depth.name(),
            "found": found,
            "calm": calm,
            "trials": trials,
            "verdicts": listed(&verdicts),
        }));
    } else {
        line(format_args!("the most: {} sessions", found.sessions));
        line(found.text().trim_end());
        line(format_args!("at {:.0} % of them:", CALM * 100.0));
        line(calm.text().trim_end());
        line(told(&verdicts).trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// A trial in a line.
fn in_short(figures: &Figures) -> String {
    format!(
        "{} ({:.2} cores, p99.9 {:.0} µs, {:.3} % lost)",
        if figures.is_good() { "good" } else { "too many" },
        figures.cores,
        figures.lateness.p999_us,
        figures.packets.loss() * 100.0
    )
}

fn verdicts(args: &DensityArgs, found: &Figures, calm: &Figures) -> Vec<Verdict> {
    let mut all = found.verdicts();
    let mut judge = |holds: bool, says: String| all.push(Verdict { says, holds });
    let most = found.sessions;
    match args.depth {
        Depth::Bare => {
            judge(most >= 1_000, format!("room: {most} sessions a core, promised 1000"));
        }
        Depth::Media => {
            if let Some(bare) = found.bare() {
                let alone = 20_000.0 / bare;
                let share = f64::from(most) / alone * 100.0;
                let fair = share / FAIR;
                judge(
                    share >= 75.0,
                    format!(
                        "room: {most} sessions a core, {share:.0} % of the {alone:.0} for which bare Opus has time, \
                         promised 75 % ({fair:.0} % of those in four fifths of a core, which is what the watchdog \
                         leaves a thread where others want the rest)"
                    ),
                );
            }
        }
        Depth::Session => {}
        #[cfg(feature = "livekit")]
        Depth::Livekit => {}
    }
    let (late, sessions) = (calm.lateness.late, calm.sessions);
    judge(late == 0, format!("at 70 %: {late} late ticks with {sessions} sessions, promised none"));
    all
}
