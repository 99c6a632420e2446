//! `antiphon bench latency`: an echo through a real server, click to click, and where its time goes.
//!
//! Everything is measured in one run: our echo agent and the raw Python SDK's, in turn, heard by the same Python
//! client; our echo heard by a client of ours, with the time of each stage; and the time from joining to the first
//! audio of the agent.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::guest::{Agent, Caller, House, plan, until};
use super::server::ServerArgs;
use super::stages::{Stages, Timed};
use crate::cli::failure::Failure;
use crate::cli::view::line;
use crate::host::pace::{Clock, Moment};
use crate::livekit::room::{News, Stamp};
use crate::session::plan::Plan;
use crate::slot::Edge;

/// A frame of a caller of ours, in nanoseconds.
const FRAME_NS: u64 = 20_000_000;

/// Frames between two clicks, and before the first.
const EVERY: u64 = 25;
const SETTLING: u64 = 100;

/// A sample that is no noise.
const LOUD: i16 = 3_000;

/// Rooms that are joined at once.
const AT_ONCE: usize = 20;

/// Measures an echo through a real LiveKit server, click to click, and the time to an agent's first audio.
///
/// The echo agent says back what it hears at once. It is heard by the official Python client, in turn with an echo
/// agent of the raw Python SDK, and by a client of ours, with the time of each stage. The server is one of its own
/// unless one is named. Without Python, its part is left out, and said so.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon bench latency
  antiphon bench latency --clicks 60 --json

Exit codes: 0 measured, 1 something failed on the way, 2 it cannot be measured.")]
pub(super) struct LatencyArgs {
    /// Clicks of each repetition
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    clicks: u32,
    /// Joins of each repetition
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    joins: u32,
    /// Repetitions of everything, of which the medians count
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repetitions: u32,
    /// A Python with the `livekit` package
    #[arg(long, value_name = "FILE", default_value = ".tools/python/bin/python")]
    python: PathBuf,
    /// An object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

const ECHO: &str = "name: echo\ncall: { alone_ms: 0 }\nturn: { away_ms: 0 }\n\
                    agents: { echo: { kind: echo, delay_ms: 0 } }\n";

const ECHO_PY: &str = include_str!("../../../benches/peers/echo.py");
const CLICKS_PY: &str = include_str!("../../../benches/peers/clicks.py");

pub(super) fn latency(args: &LatencyArgs) -> Result<ExitCode, Failure> {
    let house = House::new(args.server.server()?)?;
    let plan = plan(ECHO)?;
    let python = python(&args.python);
    if let Err(why) = &python {
        eprintln!("without Python: {why}");
    }
    let (mut ours, mut raw, mut rust) = (Vec::new(), Vec::new(), Vec::new());
    let mut stages = Stages::default();
    for repetition in 0..args.repetitions as usize {
        if let Ok(python) = &python {
            ours.push(ours_to_python(&house, &plan, python, args.clicks, repetition)?);
            raw.push(raw_to_python(&house, python, args.clicks, repetition)?);
        }
        rust.push(to_rust(&house, &plan, args.clicks, repetition, &mut stages)?);
    }
    let (mut first, mut crowd) = (Vec::new(), Vec::new());
    for repetition in 0..args.repetitions as usize {
        for at in 0..args.joins {
            first.extend(joins(&house, &plan, &format!("join-{repetition}-{at}"), 1)?);
        }
        crowd.extend(joins(&house, &plan, &format!("crowd-{repetition}"), AT_ONCE)?);
    }
    let figures = json!({
        "python_hears_antiphon_ms": spread(&ours),
        "python_hears_raw_sdk_ms": spread(&raw),
        "rust_hears_antiphon_ms": spread(&rust),
        "stages_us": stages.figures(),
        "join_to_audio_ms": { "one": whole(&first), "twenty": whole(&crowd) },
    });
    if args.json {
        line(figures);
    } else {
        show(&figures);
    }
    Ok(ExitCode::SUCCESS)
}

/// The Python to use, if it has the client.
pub(super) fn python(path: &Path) -> Result<PathBuf, String> {
    let tried = Command::new(path).args(["-c", "import livekit.rtc"]).stdin(Stdio::null()).output();
    match tried {
        Ok(output) if output.status.success() => Ok(path.to_owned()),
        Ok(_) => Err(format!(
            "{} has no package `livekit`; scripts/setup.sh rooms installs it",
            path.display()
        )),
        Err(why) => Err(format!(
            "{}: {why}; scripts/setup.sh rooms makes it, or name one with --python",
            path.display()
        )),
    }
}

/// A script's process, ended with its value.
struct Script(Child);

impl Drop for Script {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn script(python: &Path, text: &str, words: &[&str]) -> Result<Script, Failure> {
    let child = Command::new(python)
        .args(["-c", text])
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    child.map(Script).map_err(|why| Failure::broken(format!("{}: {why}", python.display())))
}

fn clicks(house: &House, python: &Path, room: &str, count: u32) -> Result<Vec<f64>, Failure> {
    use std::io::Read;
    let pass = house.server.key.visitor(room, "clicks", "clicks", None).map_err(Failure::broken)?;
    let url = house.server.address.to_string();
    let mut script = script(python, CLICKS_PY, &[&url, pass.secret(), &count.to_string()])?;
    let mut text = String::new();
    if let Some(mut out) = script.0.stdout.take() {
        out.read_to_string(&mut text).map_err(|why| Failure::broken(why.to_string()))?;
    }
    let times: Vec<f64> = serde_json::from_str(text.trim())
        .map_err(|_| Failure::broken("the Python client ended without its times"))?;
    if times.is_empty() {
        return Err(Failure::broken("no click came back to the Python client"));
    }
    Ok(times)
}

fn ours_to_python(
    house: &House,
    plan: &Arc<Plan>,
    python: &Path,
    count: u32,
    repetition: usize,
) -> Result<Vec<f64>, Failure> {
    let room = format!("ours-{repetition}");
    let agent = agent(house, plan, &room)?;
    let times = clicks(house, python, &room, count)?;
    agent.leave()?;
    Ok(times)
}

fn raw_to_python(
    house: &House,
    python: &Path,
    count: u32,
    repetition: usize,
) -> Result<Vec<f64>, Failure> {
    use std::io::{BufRead, BufReader};
    let room = format!("raw-{repetition}");
    let pass = house.server.key.agent(&room, "agent", "agent").map_err(Failure::broken)?;
    let url = house.server.address.to_string();
    let mut echo = script(python, ECHO_PY, &[&url, pass.secret()])?;
    let mut ready = String::new();
    if let Some(out) = echo.0.stdout.take() {
        BufReader::new(out)
            .read_line(&mut ready)
            .map_err(|why| Failure::broken(why.to_string()))?;
    }
    if ready.trim() != "ready" {
        return Err(Failure::broken("the raw SDK's echo did not start"));
    }
    clicks(house, python, &room, count)
}

fn agent(house: &House, plan: &Arc<Plan>, room: &str) -> Result<Agent, Failure> {
    let agent = house.agent(plan, room, false, |edge, _| Box::new(edge) as Box<dyn Edge>)?;
    until(&agent.room, |news| matches!(news, News::Path(_)))?;
    Ok(agent)
}

/// Clicks at a client of ours: each from handing it to the network until a frame comes in which it is loud.
fn to_rust(
    house: &House,
    plan: &Arc<Plan>,
    count: u32,
    repetition: usize,
    stages: &mut Stages,
) -> Result<Vec<f64>, Failure> {
    let room = format!("rust-{repetition}");
    let noted = Arc::new(Mutex::new(std::mem::take(stages)));
    let timed = |edge, stamps: &_| {
        Box::new(Timed::new(edge, Clone::clone(stamps), Arc::clone(&noted))) as Box<dyn Edge>
    };
    let agent = house.agent(plan, &room, true, timed)?;
    until(&agent.room, |news| matches!(news, News::Path(_)))?;
    let mut caller = house.caller(plan, &room, "clicks")?;
    let mut times = Vec::new();
    let mut said: Option<Moment> = None;
    let mut noise = 1_u32;
    pace(SETTLING + u64::from(count) * EVERY, |frame, now| {
        let click = frame >= SETTLING && (frame - SETTLING).is_multiple_of(EVERY);
        if click {
            said = Some(now);
        }
        let heard = caller.step(|pcm| {
            for (at, sample) in pcm.iter_mut().enumerate() {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let tone = if at / 12 % 2 == 0 { 12_000 } else { -12_000 };
                *sample = if click { tone } else { (noise >> 27) as i16 - 16 };
            }
        });
        if !click
            && let Some(since) = said
            && heard.iter().any(|sample| sample.saturating_abs() > LOUD)
        {
            times.push(now.since_ns(since) as f64 / 1e6);
            said = None;
        }
        true
    });
    caller.leave()?;
    agent.leave()?;
    *stages = std::mem::take(&mut *noted.lock().unwrap_or_else(PoisonError::into_inner));
    if times.is_empty() {
        return Err(Failure::broken("no click came back to the client of ours"));
    }
    Ok(times)
}

/// Calls a frame at a time, when it is due, for as long as it answers so.
pub(super) fn pace(frames: u64, mut step: impl FnMut(u64, Moment) -> bool) {
    let clock = Clock::default();
    let begun = clock.now();
    for frame in 0..frames {
        clock.sleep_until(begun.after_ns(frame * FRAME_NS));
        if !step(frame, clock.now()) {
            return;
        }
    }
}

/// The times from joining to the agent's first audio: callers who come at once, each to a room of their own in which
/// an agent waits and answers.
fn joins(house: &House, plan: &Arc<Plan>, name: &str, count: usize) -> Result<Vec<f64>, Failure> {
    let rooms: Vec<String> = (0..count).map(|at| format!("{name}-{at}")).collect();
    let agents =
        rooms.iter().map(|room| agent(house, plan, room)).collect::<Result<Vec<_>, _>>()?;
    let mut callers = rooms
        .iter()
        .map(|room| house.caller(plan, room, "caller"))
        .collect::<Result<Vec<Caller>, _>>()?;
    let mut times = vec![None; count];
    // Five seconds: who has heard nothing by then will not.
    pace(250, |_, _| {
        for (caller, time) in callers.iter_mut().zip(&mut times) {
            caller.step(|pcm| {
                for (at, sample) in pcm.iter_mut().enumerate() {
                    *sample = if at / 12 % 2 == 0 { 6_000 } else { -6_000 };
                }
            });
            for stamp in caller.stamps.try_iter() {
                if let Stamp::Came { read, .. } = stamp {
                    time.get_or_insert(read.since_ns(caller.joined) as f64 / 1e6);
                }
            }
        }
        true
    });
    callers.into_iter().try_for_each(Caller::leave)?;
    agents.into_iter().try_for_each(Agent::leave)?;
    let heard: Vec<f64> = times.into_iter().flatten().collect();
    if heard.len() < count {
        return Err(Failure::broken(format!(
            "{} of {count} callers heard nothing",
            count - heard.len()
        )));
    }
    Ok(heard)
}

/// The value below which a share of the times lies.
pub(super) fn percentile(times: &[f64], share: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (share * (sorted.len().saturating_sub(1)) as f64).round() as usize;
    sorted.get(at).copied().unwrap_or(0.0)
}

/// The median of the repetitions' figures, and between which values they lie.
fn spread(repetitions: &[Vec<f64>]) -> Value {
    if repetitions.is_empty() {
        return Value::Null;
    }
    let of = |share: f64| -> Value {
        let each: Vec<f64> = repetitions.iter().map(|times| percentile(times, share)).collect();
        json!({ "median": percentile(&each, 0.5), "from": percentile(&each, 0.0), "to": percentile(&each, 1.0) })
    };
    json!({ "p50": of(0.5), "p95": of(0.95), "clicks": repetitions.iter().map(Vec::len).sum::<usize>() })
}

fn whole(times: &[f64]) -> Value {
    json!({ "p50": percentile(times, 0.5), "p95": percentile(times, 0.95), "joins": times.len() })
}

fn show(figures: &Value) {
    let row = |name: &str, key: &str| {
        let figure = &figures[key];
        if figure.is_null() {
            return line(format_args!("{name:<44} not measured"));
        }
        let of = |share: &str| {
            let at = |what: &str| figure[share][what].as_f64().unwrap_or(0.0);
            format!("{:6.1} ({:.1} to {:.1})", at("median"), at("from"), at("to"))
        };
        line(format_args!("{name:<44} p50 {}   p95 {}", of("p50"), of("p95")));
    };
    line("echo, click to click, in ms: the median of the repetitions, and their spread");
    row("Antiphon, heard by the Python client", "python_hears_antiphon_ms");
    row("the raw Python SDK, heard by the same", "python_hears_raw_sdk_ms");
    row("Antiphon, heard by a client of ours", "rust_hears_antiphon_ms");
    line("stages of Antiphon's echo, in µs");
    for stage in figures["stages_us"].as_array().into_iter().flatten() {
        let at = |what: &str| stage[what].as_f64().unwrap_or(0.0);
        let name = stage["stage"].as_str().unwrap_or_default();
        line(format_args!("  {name:<42} p50 {:8.0}   p99 {:8.0}", at("p50"), at("p99")));
    }
    line("from joining to the agent's first audio, in ms");
    for (name, key) in [("one room", "one"), ("twenty rooms at once", "twenty")] {
        let at = |what: &str| figures["join_to_audio_ms"][key][what].as_f64().unwrap_or(0.0);
        line(format_args!("  {name:<42} p50 {:8.1}   p95 {:8.1}", at("p50"), at("p95")));
    }
}
