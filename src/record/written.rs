//! The files of a call's folder, read again: what is left where there is no journal to step.
//!
//! **Invariant:** what was not written is not made up: levels are those of the mix.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Timing;
use super::recount::NothingToTell;
use crate::clock::Tick;
use crate::config::Config;
use crate::id::LaneId;
use crate::journal::Journal;
use crate::pcm::mix;
use crate::pcm::wav;
use crate::session::event::{Event, EventKind};
use crate::session::output::{Level, Output};
use crate::session::plan::Plan;

/// The configuration of a run, in its folder.
pub(super) const CONFIG: &str = "config.json";

/// What is read of a folder.
#[derive(Debug, Clone)]
pub(super) struct Files {
    events: Vec<Event>,
    /// Who is heard in each tick: users, agent.
    heard: BTreeMap<Tick, (bool, bool)>,
    timing: BTreeMap<Tick, Timing>,
    /// Users and agent.
    audio: [Vec<i16>; 2],
    diverged: Option<Tick>,
}

impl Files {
    /// Reads a folder.
    pub(super) fn open(dir: &Path) -> Result<Self, NothingToTell> {
        let shown = dir.display();
        let lines = |name: &str| -> Vec<Value> {
            let text = fs::read_to_string(dir.join(name)).unwrap_or_default();
            // The last line of a killed run may be half of one.
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
        };
        let events = lines("events.jsonl");
        if events.is_empty() {
            return Err(NothingToTell(format!(
                "{shown}: there is no call in it: neither a journal nor events; name the folder of a \
                 run, or a journal"
            )));
        }
        let marked = |line: &&Value| line["counterfactual"] == true;
        let diverged = events.iter().find(marked).and_then(|line| line["tick"].as_u64());
        let ticks = lines("ticks.jsonl");
        let earlier = ticks.iter().find(marked).and_then(|line| line["tick_id"].as_u64());
        let heard = ticks.iter().filter_map(|line| {
            let speech = |side: &str| line[side]["contains_speech"].as_bool().unwrap_or(false);
            let heard = (speech("user_chunk"), speech("agent_chunk"));
            Some((Tick(line["tick_id"].as_u64()?), heard))
        });
        let ns = |value: &Value| value.as_f64().map(|us| (us * 1e3) as u64);
        let timing = lines("timing.jsonl");
        let timing = timing.iter().filter_map(|line| {
            let timing = Timing {
                lateness_ns: ns(&line["lateness_us"]),
                step_ns: ns(&line["step_us"])?,
                skipped: line["skipped"].as_u64().unwrap_or(0) as u32,
            };
            Some((Tick(line["tick"].as_u64()?), timing))
        });
        Ok(Self {
            events: events.iter().filter_map(Event::from_json).collect(),
            heard: heard.collect(),
            timing: timing.collect(),
            audio: recording(dir),
            diverged: [diverged, earlier].into_iter().flatten().min().map(Tick),
        })
    }

    /// The configuration that the call ran on.
    pub(super) fn config(&self, dir: &Path) -> Result<Config, NothingToTell> {
        let path = dir.join(CONFIG);
        let wrong = |why: String| NothingToTell(format!("{}: {why}", path.display()));
        let text = fs::read(&path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))
    }

    /// Whether something is written of ticks after the last of a journal.
    pub(super) fn go_beyond(&self, journal: &Journal) -> bool {
        let last = journal.ticks.last().map(|entry| entry.input.tick);
        let events = self.events.last().map(|event| event.tick);
        let ticks = self.heard.last_key_value().map(|(tick, _)| *tick);
        events.max(ticks) > last
    }

    pub(super) const fn diverged(&self) -> Option<Tick> {
        self.diverged
    }

    pub(super) fn timing(&self, tick: Tick) -> Timing {
        self.timing.get(&tick).copied().unwrap_or_default()
    }

    pub(super) fn tell(&self, plan: &Plan, each: &mut impl FnMut(Tick, &Output, Timing)) {
        let mut ticks: BTreeSet<Tick> = self.heard.keys().copied().collect();
        ticks.extend(self.events.iter().map(|event| event.tick));
        let mut events = self.events.iter().peekable();
        let (mut present, mut open) = (BTreeSet::new(), BTreeSet::new());
        let mut out = Output::default();
        for tick in ticks {
            out.clear();
            while let Some(event) = events.next_if(|event| event.tick <= tick) {
                follow(&event.kind, &mut present, &mut open);
                out.events.push(event.clone());
            }
            (out.user_speech, out.agent_speech) =
                self.heard.get(&tick).copied().unwrap_or_default();
            let samples = plan.samples();
            let from = tick.0 as usize * samples;
            for (side, into) in self.audio.iter().zip([&mut out.heard, &mut out.audio]) {
                into.extend_from_slice(side.get(from..from + samples).unwrap_or_default());
                into.resize(samples, 0);
            }
            let peak = mix::peak(&out.heard);
            out.levels.extend(present.iter().map(|&lane| Level {
                lane,
                voiced: out.user_speech && open.contains(&lane),
                peak,
            }));
            each(tick, &out, self.timing(tick));
        }
    }
}

fn follow(kind: &EventKind, present: &mut BTreeSet<LaneId>, open: &mut BTreeSet<LaneId>) {
    match kind {
        EventKind::UserJoined { lane, .. } => drop(present.insert(*lane)),
        EventKind::UserLeft { lane } => {
            present.remove(lane);
            open.remove(lane);
        }
        EventKind::UserSpeechStarted { lane, .. } => drop(open.insert(*lane)),
        EventKind::UserSpeechStopped { lane, .. } => drop(open.remove(lane)),
        _ => {}
    }
}

/// The recording's two sides; nothing where there is none, or another program has changed it.
fn recording(dir: &Path) -> [Vec<i16>; 2] {
    let read = fs::read(dir.join("conversation.wav")).ok();
    let sides = read.and_then(|bytes| wav::read_sides(&bytes).ok());
    sides.unwrap_or_default()
}
