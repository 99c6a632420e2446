//! Files into values: configurations, callers, clips.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::failure::Failure;
use crate::config::scenario::{self, After, Case};
use crate::config::{self, Config};
use crate::graph::verb::Verb;
use crate::model::clips::Clips;
use crate::pcm::mix::{Gain, apply_gain};
use crate::pcm::{Clip, resample, wav};
use crate::session::plan::{Plan, tool_spec};
use crate::sim::caller::{Act, Cue, HANG_UP_MS, PATIENCE_MS, Part, When};
use crate::tool::{Registry, ToolContext};

/// Where clips come from: the disk, or the program itself.
pub(super) type Open<'a> = &'a dyn Fn(&str) -> Result<Vec<u8>, Failure>;

/// Reads a configuration file.
pub(super) fn config(path: &Path) -> Result<Config, Failure> {
    let mut config = config::read(File::open(path), &path.display().to_string())
        .map_err(|complaints| Failure::input(complaints.to_string()))?;
    // Clips lie beside the configuration, wherever the program was started.
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    for clip in config.clips.values_mut() {
        *clip = folder.join(&*clip).display().to_string();
    }
    // So do the folders of processes.
    let servers = config.mcp_servers.values_mut().map(|server| &mut server.cwd);
    let tools = config.tools.values_mut();
    let processes = tools.filter_map(|tool| tool.process.as_mut()).map(|tool| &mut tool.cwd);
    for cwd in servers.chain(processes).flatten() {
        *cwd = folder.join(&*cwd).display().to_string();
    }
    Ok(config)
}

/// Reads a configuration file, for a conversation of it if one is named.
pub(super) fn conversation(path: &Path, name: Option<&str>) -> Result<Config, Failure> {
    let config = config(path)?;
    let Some(name) = name else { return Ok(config) };
    let unknown = |wrong| Failure::input(format!("{}: {wrong}", path.display()));
    config.of_conversation(name).map_err(unknown)
}

/// The clips of a configuration, at the session's rate.
pub(super) fn clips(plan: &Plan, warn: &mut dyn FnMut(String)) -> Result<Clips, Failure> {
    let mut wrong = Vec::new();
    let mut clips = BTreeMap::new();
    for (name, path) in &plan.config.clips {
        let loaded = bytes(Path::new(path)).and_then(|bytes| clip(path, &bytes, plan, warn));
        match loaded {
            Ok(pcm) => drop(clips.insert(name.clone(), Clip::from(pcm.to_vec()))),
            Err(failure) => wrong.push(format!("clips.{name}: {failure}")),
        }
    }
    if wrong.is_empty() { Ok(Clips::new(clips)) } else { Err(Failure::input(wrong.join("\n"))) }
}

/// The plan of a configuration, and its tools: those of the program, the canned ones, and those that a
/// room carries out. Those that are carried out elsewhere are in `tools` where they can be reached; where not, their
/// calls fail and say so.
pub(super) fn plan(
    mut config: Config,
    mut tools: Registry,
) -> Result<(Arc<Plan>, Registry), Failure> {
    described(&mut config, &tools);
    let mut missing = Vec::new();
    for (name, tool) in &config.tools {
        let spec = tool_spec(name, tool);
        let is_known = tools.spec(name).is_some();
        let added = match (&tool.canned, tool.room()) {
            (Some(canned), _) => tools.add(spec, canned.clone()),
            (None, Some(room)) => tools.add(spec, room),
            (None, None) if tool.is_remote() && !is_known => tools.add(spec, unreached),
            (None, None) => {
                if !is_known {
                    missing.push(name.as_str());
                }
                Ok(())
            }
        };
        added.map_err(|wrong| Failure::input(wrong.to_string()))?;
    }
    if !missing.is_empty() {
        return Err(Failure::input(format!(
            "this program has no tool `{}`; give it a `canned` answer, say who carries it out (`http`, `process`, \
             `mcp`), or register it in code (examples/own_tool.rs)",
            missing.join("`, `")
        )));
    }
    Verb::add_to(&mut tools);
    let mut plan = Plan::new(config).map_err(|wrong| Failure::input(wrong.to_string()))?;
    // A tool of the program that the configuration does not describe is known all the same.
    for spec in tools.specs() {
        plan.tools.entry(spec.name.clone()).or_insert_with(|| spec.clone());
    }
    Ok((Arc::new(plan), tools))
}

/// What stands for a tool where whoever carries it out is not reached.
fn unreached(_context: &ToolContext, _arguments: &Value) -> Result<Value, String> {
    Err("nobody outside of this process is reached here".to_owned())
}

/// Says of the program's tools what their code says, where the configuration does not: models are told what
/// stands there, and so is the journal.
pub(super) fn described(config: &mut Config, tools: &Registry) {
    for (name, tool) in &mut config.tools {
        let is_own = tool.canned.is_none() && tool.room().is_none() && !tool.is_remote();
        let Some(spec) = tools.spec(name).filter(|_| is_own) else { continue };
        if tool.description.is_empty() {
            tool.description.clone_from(&spec.description);
        }
        if tool.parameters == config::Tool::default().parameters {
            tool.parameters = spec.parameters.0.clone();
        }
    }
}

/// Reads a file whole.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        let (what, remedy) = match error.kind() {
            ErrorKind::NotFound => ("there is no such file".into(), "check the path"),
            ErrorKind::IsADirectory => ("it is a folder".into(), "name a file in it"),
            _ => (error.to_string(), "check the file and its permissions"),
        };
        Failure::input(format!("{}: cannot be read: {what}; {remedy}", path.display()))
    })
}

/// A caller from a WAV file, which is played at once, or from a file of cues.
pub(super) fn caller(
    path: &Path,
    plan: &Plan,
    warn: &mut dyn FnMut(String),
) -> Result<Part, Failure> {
    let shown = path.display().to_string();
    let stem =
        path.file_stem().map_or_else(|| shown.clone(), |stem| stem.to_string_lossy().into_owned());
    let is_cues = path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml");
    if is_cues {
        let scenario = scenario::read(File::open(path), &shown)
            .map_err(|complaints| Failure::input(complaints.to_string()))?;
        let cases = scenario.cases(&stem);
        let [case] = cases.as_slice() else {
            return Err(Failure::input(format!(
                "{shown}: it holds {} tests, each with a caller; `antiphon test` holds their calls",
                cases.len()
            )));
        };
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let open = |name: &str| bytes(&folder.join(name));
        return part(case, &stem, &open, plan, warn);
    }
    let clip = clip(&shown, &bytes(path)?, plan, warn)?;
    Ok(Part {
        name: stem,
        cues: vec![Cue { when: When::Start(0), act: Act::Play(clip) }],
        noise: Arc::default(),
        patience_ms: PATIENCE_MS,
        hang_up_ms: HANG_UP_MS,
        audio: true,
    })
}

/// A caller's part from cues; every clip that cannot be used is complained about at once.
pub(super) fn part(
    case: &Case<'_>,
    stem: &str,
    open: Open<'_>,
    plan: &Plan,
    warn: &mut dyn FnMut(String),
) -> Result<Part, Failure> {
    let mut wrong = Vec::new();
    let mut load = |name: &str, gain_db: f64, warn: &mut dyn FnMut(String)| -> Arc<[i16]> {
        let loaded = open(name).and_then(|bytes| clip(name, &bytes, plan, warn));
        match loaded {
            Ok(pcm) if gain_db == 0.0 => pcm,
            Ok(pcm) => {
                let mut pcm = pcm.to_vec();
                apply_gain(&mut pcm, Gain::from_db(gain_db as f32));
                pcm.into()
            }
            Err(failure) => {
                wrong.push(failure.to_string());
                Arc::default()
            }
        }
    };
    let file = case.file;
    let noise = file.noise.as_ref().map(|name| load(name, file.noise_gain_db, warn));
    let mut acts = Vec::new();
    for cue in case.cues {
        let when = match case.after(cue) {
            After::StartMs(ms) => When::Start(ms),
            After::PreviousMs(ms) => When::Previous(ms),
            After::AgentSpokeMs(ms) => When::AgentSpoke(ms),
            After::AgentSilentMs(ms) => When::AgentSilent(ms),
            After::AgentDoneMs(ms) => When::AgentDone(ms),
        };
        let act = match &cue.act {
            scenario::Act::Play(name) => Act::Play(load(name, cue.gain_db, warn)),
            scenario::Act::Type(text) => Act::Type(text.clone()),
            scenario::Act::Press(keys) => Act::Press(keys.clone()),
            scenario::Act::Tell(event) => match event.told() {
                Ok(told) => Act::Tell(told),
                // A file that was parsed has no such event.
                Err(untold) => {
                    return Err(Failure::input(format!("{}; {}", untold.what, untold.remedy)));
                }
            },
        };
        acts.push(Cue { when, act });
    }
    if !wrong.is_empty() {
        return Err(Failure::input(wrong.join("\n")));
    }
    let plays = acts.iter().any(|cue| matches!(cue.act, Act::Play(_)));
    Ok(Part {
        name: file.name.clone().unwrap_or_else(|| stem.to_owned()),
        audio: plays || noise.is_some(),
        cues: acts,
        noise: noise.unwrap_or_default(),
        patience_ms: case.patience_ms,
        hang_up_ms: case.hang_up_ms,
    })
}

/// A WAV file at the session's rate.
fn clip(
    name: &str,
    bytes: &[u8],
    plan: &Plan,
    warn: &mut dyn FnMut(String),
) -> Result<Arc<[i16]>, Failure> {
    let wav = wav::read(bytes).map_err(|error| Failure::input(format!("{name}: {error}")))?;
    if let Some(cut) = &wav.truncated {
        warn(format!(
            "{name}: the file is truncated: {} of {} samples are there, and are played",
            cut.got_frames, cut.expected_frames
        ));
    }
    Ok(resample::convert(&wav.pcm, wav.rate_hz, plan.rate.hz()).into())
}
