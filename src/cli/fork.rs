//! `antiphon fork`: what if, from a tick of a recorded call on?

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};

use super::engines::Engines;
use super::failure::Failure;
use super::load;
use super::moment::Moment;
use super::outside;
use super::summary::summary;
use super::view::line;
use crate::clock::Tick;
use crate::config::{self, Config};
use crate::host::ink::Ink;
use crate::host::transcoder::transcoder;
use crate::journal::{Journal, Tail, Transcode};
use crate::record::recount::{self, JOURNAL};
use crate::record::{Folder, Timing};
use crate::session::checkpoint::BUILD;
use crate::session::plan::Plan;
use crate::sim::fork::{Change, Fork};
use crate::sim::player::plan_of;
use crate::sim::recall::{Live, Unknown};
use crate::sim::tools::{Latency, VirtualTools};
use crate::slot::Status;
use crate::tool::Registry;

/// The exit code of a journal of another build.
const INCOMPATIBLE: u8 = 3;

/// Continues a recorded call from one of its ticks on other settings.
///
/// Participants go on as they were recorded, whatever they hear. Recorded answers of tools and engines
/// are reused while name, arguments and occurrence match; what was never recorded is a failure, or is
/// asked for anew with `--live-effects`. Ticks from the first difference on are marked counterfactual in
/// every file. It ends where the recording ends.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon fork out/demo/journal.antiphon --at 80s --set turn.barge_in_ms=4000
  antiphon fork call.antiphon --at 4021 --config other.yaml --out out/other

Exit codes: 0 the fork was made, 1 its session panicked or its files are incomplete, 2 it cannot be
made, 3 another build wrote the journal.")]
pub(super) struct ForkArgs {
    /// The journal.
    journal: PathBuf,
    /// The first moment on the other settings: a tick (4021) or a time (80.42s, 500ms, 1:20.4).
    #[arg(long, value_name = "TICK|TIME")]
    at: Moment,
    /// Another configuration; its tick length, rate and engines must be those of the call.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting, as turn.barge_in_ms=2000; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where the output goes.
    #[arg(long, value_name = "DIR", default_value = "out/fork")]
    out: PathBuf,
    /// Ask tools and engines where the recording has no answer.
    #[arg(long)]
    live_effects: bool,
    /// An object instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn fork(args: &ForkArgs, tools: Registry) -> Result<ExitCode, Failure> {
    let shown = args.journal.display().to_string();
    let journal =
        recount::journal(&args.journal).map_err(|error| Failure::input(error.to_string()))?;
    let wrong = |why: &dyn std::fmt::Display| Failure::input(format!("{shown}: {why}"));
    if journal.header.build != BUILD {
        eprintln!(
            "{shown}: written by another build: `{}`; this is `{BUILD}`",
            journal.header.build
        );
        return Ok(ExitCode::from(INCOMPATIBLE));
    }
    if let Tail::Torn { at } = journal.tail {
        eprintln!("{shown}: the last entry is incomplete (from byte {at}); it is left out");
    }
    let recorded = plan_of(&journal).map_err(|error| wrong(&error))?;
    let at = args.at.tick(recorded.len);
    let config = other_config(args, &recorded)?;
    let (plan, live) = effects(args, config.clone(), &recorded, tools)?;
    let journal = Arc::new(journal);
    let decoders = decoders(&journal, &recorded).map_err(|why| wrong(&why))?;
    let of = args.journal.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let change = Change { at, config, of, live };
    let fork = Fork::new(Arc::clone(&journal), decoders, change).map_err(|error| wrong(&error))?;
    run(args, &shown, fork, plan, at, journal.header.seed)
}

/// The configuration from the tick of the fork on; none if nothing is changed.
fn other_config(args: &ForkArgs, recorded: &Plan) -> Result<Option<Config>, Failure> {
    let base = match &args.config {
        Some(path) => Some(load::config(path)?),
        None => None,
    };
    if args.set.is_empty() {
        return Ok(base);
    }
    let name = args.config.as_ref().map_or("the recorded configuration", |_| "the configuration");
    let base = base.unwrap_or_else(|| recorded.config.clone());
    let mut value = serde_json::to_value(&base).unwrap_or_default();
    let wrong: Vec<String> =
        args.set.iter().filter_map(|setting| set(&mut value, setting).err()).collect();
    if !wrong.is_empty() {
        return Err(Failure::input(wrong.join("\n")));
    }
    // As a document, so that it is checked as one.
    let text = serde_json::to_vec_pretty(&value).unwrap_or_default();
    config::parse(&text, &format!("{name} with --set"))
        .map(Some)
        .map_err(|complaints| Failure::input(complaints.to_string()))
}

/// Puts a setting into a configuration.
fn set(config: &mut Value, setting: &str) -> Result<(), String> {
    let Some((path, value)) = setting.split_once('=') else {
        return Err(format!(
            "--set {setting}: there is no `=`; write KEY=VALUE, as turn.barge_in_ms=2000"
        ));
    };
    // What is no JSON is a text.
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    let mut place = config;
    for key in path.split('.') {
        place = match place {
            Value::Object(map) => map.entry(key.to_owned()).or_insert(Value::Null),
            Value::Array(items) => {
                let count = items.len();
                key.parse().ok().and_then(|at: usize| items.get_mut(at)).ok_or_else(|| {
                    format!(
                        "--set {setting}: `{key}` is no position in a list of {count}; count from 0"
                    )
                })?
            }
            // The check of the whole says what is wrong with a key that is new.
            Value::Null => {
                *place = json!({});
                match place {
                    Value::Object(map) => map.entry(key.to_owned()).or_insert(Value::Null),
                    _ => unreachable!("it has just been made a map"),
                }
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                return Err(format!(
                    "--set {setting}: there is nothing below a plain value; `{key}` is too much"
                ));
            }
        };
    }
    *place = value;
    Ok(())
}

/// The plan that the output is written by, and what answers live.
fn effects(
    args: &ForkArgs,
    config: Option<Config>,
    recorded: &Plan,
    tools: Registry,
) -> Result<(Arc<Plan>, Option<Live>), Failure> {
    let config = config.unwrap_or_else(|| recorded.config.clone());
    if !args.live_effects {
        let plan = Plan::new(config).map_err(|error| Failure::input(error.to_string()))?;
        return Ok((Arc::new(plan), None));
    }
    let tools = outside::again(&config, tools)?;
    let (plan, tools) = load::plan(config, tools)?;
    let engines = Engines::new(&plan, &mut |text| eprintln!("{text}"))?;
    let tools = VirtualTools::new(tools, Latency::Declared, plan.len, "fork".to_owned());
    let live = Live { engines: engines.virtual_edges(&plan)?, tools: Box::new(tools) };
    Ok((plan, Some(live)))
}

fn decoders(journal: &Journal, plan: &Plan) -> Result<[Option<Box<dyn Transcode>>; 2], String> {
    let decoder = || {
        transcoder(&journal.header.codec, plan)
            .map_err(|codec| format!("its audio is coded as {codec}, which this program lacks"))
    };
    Ok([decoder()?, decoder()?])
}

fn run(
    args: &ForkArgs,
    shown: &str,
    mut fork: Fork,
    plan: Arc<Plan>,
    at: Tick,
    seed: u64,
) -> Result<ExitCode, Failure> {
    let len = plan.len;
    let (mut folder, mut ink) = open(args, plan)?;
    folder.seeded(seed);
    let (mut marked, mut last) = (false, None);
    while let Some(now) = fork.tick() {
        if let Some(diverged) = fork.diverged().filter(|_| !marked) {
            marked = true;
            folder.diverge(diverged);
        }
        if !matches!(fork.status(), Status::Panicked(_)) {
            last = Some(now);
            folder.tick(now, fork.slot().output(), Timing::default());
        }
        if let Some(scribe) = fork.slot().scribe() {
            ink.flow_waiting(scribe);
        }
    }
    let end = match fork.status() {
        Status::Ended => "ended",
        Status::Running => "stopped",
        Status::Panicked(_) => "panicked",
    };
    let loss = ink.finish(last);
    folder.journal_lost(loss.as_ref().map_or(0, |loss| loss.ticks));
    let (metrics, mut troubles) = folder.finish(end);
    troubles.extend(loss.map(|loss| format!("journal: {loss}")));
    for trouble in &troubles {
        eprintln!("{trouble}");
    }
    let seconds = |tick: Tick| format!("{:.2}", len.start_ms(tick) as f64 / 1_000.0);
    let diverged = fork.diverged();
    if args.json {
        let Unknown { calls, texts, utterances, models } = fork.unknown();
        line(json!({
            "of": shown, "at": at, "diverged": diverged, "end": end, "metrics": metrics,
            "unknown": { "calls": calls, "texts": texts, "utterances": utterances, "models": models },
        }));
    } else {
        line(format_args!("forked {shown} at {} s (tick {at})", seconds(at)));
        line(match diverged {
            None => "nothing came out differently: equal to the end of the recording".to_owned(),
            Some(tick) => format!(
                "equal up to {} s; counterfactual from there (tick {tick}) on",
                seconds(tick)
            ),
        });
        line(summary(&metrics));
        unknown(fork.unknown(), args.live_effects);
        line(format_args!("written to {}", args.out.display()));
        if diverged.is_some() {
            let (a, b) = (args.journal.display(), args.out.display());
            line(format_args!("compare: antiphon diff {a} {b}"));
        }
    }
    match fork.status() {
        Status::Panicked(why) => {
            Err(Failure::broken(format!("the session panicked: {why}; its journal is kept")))
        }
        Status::Ended | Status::Running if troubles.is_empty() => Ok(ExitCode::SUCCESS),
        Status::Ended | Status::Running => Ok(ExitCode::FAILURE),
    }
}

/// Opens what is written to; the journal first, since it may be refused. A fork that overwrites what it
/// is made of is a slip of the keyboard.
fn open(args: &ForkArgs, plan: Arc<Plan>) -> Result<(Folder, Ink), Failure> {
    let out = args.out.display();
    let canonical = |path: &Path| path.canonicalize().ok();
    let folder = args
        .journal
        .parent()
        .map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let same = folder.and_then(canonical).zip(canonical(&args.out));
    let is_call = args.out.join("conversation.wav").exists();
    if same.is_some_and(|(a, b)| a == b) && (is_call || args.out.join(JOURNAL).exists()) {
        return Err(Failure::input(format!(
            "{out}: the fork would be written over the recording; name another folder with --out"
        )));
    }
    let path = args.out.join(JOURNAL);
    let ink = || {
        Ink::create(&path).map_err(|error| {
            let shown = path.display();
            Failure::input(format!(
                "{shown}: the journal cannot be written: {error}; name another folder with --out"
            ))
        })
    };
    let early = path.exists().then(ink).transpose()?;
    let folder = Folder::create(&args.out, plan, true);
    let folder = folder.map_err(|error| Failure::input(error.to_string()))?;
    Ok((folder, early.map_or_else(ink, Ok)?))
}

fn unknown(Unknown { calls, texts, utterances, models }: Unknown, live: bool) {
    let counted = [
        (calls, "calls of tools"),
        (texts, "texts to be spoken"),
        (utterances, "utterances to be recognised"),
        (models, "requests to models"),
    ];
    let lacking: Vec<String> = counted
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if !lacking.is_empty() && !live {
        line(format_args!(
            "not in the recording: {}; --live-effects asks for them anew",
            lacking.join(", ")
        ));
    }
}
