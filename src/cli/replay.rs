//! `antiphon replay`: step a recorded call again, and compare.

use std::process::ExitCode;

use serde_json::json;

use super::args::ReplayArgs;
use super::failure::Failure;
use super::view::line;
use crate::clock::TickLen;
use crate::host::transcoder::transcoder;
use crate::journal::{Header, Journal, Tail};
use crate::record::recount;
use crate::session::checkpoint::BUILD;
use crate::session::event::Event;
use crate::sim::replay::{self, Divergence, NotReplayable, Replayed};

/// The exit codes.
const DIVERGED: u8 = 1;
const INCOMPATIBLE: u8 = 3;

pub(super) fn replay(args: &ReplayArgs) -> Result<ExitCode, Failure> {
    let shown = args.journal.display();
    let journal =
        recount::journal(&args.journal).map_err(|error| Failure::input(error.to_string()))?;
    if let Tail::Torn { at } = journal.tail {
        eprintln!("{shown}: the last entry is incomplete (from byte {at}); it is left out");
    }
    let replayed =
        replayed(&journal).map_err(|error| Failure::input(format!("{shown}: {error}")))?;
    let (code, text, object) = match &replayed {
        Replayed::Equal { ticks } => (
            0,
            format!("{shown}: equal: {ticks} ticks, every digest as recorded"),
            json!({ "result": "equal", "ticks": ticks }),
        ),
        Replayed::Diverged(divergence) => {
            let len = replay::plan_of(&journal).map(|plan| plan.len);
            let len = len.map_err(|error| Failure::input(error.to_string()))?;
            (DIVERGED, told(&shown.to_string(), divergence, len), object(divergence, len))
        }
        Replayed::Incompatible { build } => (
            INCOMPATIBLE,
            format!("{shown}: written by another build: `{build}`; this is `{BUILD}`"),
            json!({ "result": "incompatible", "build": build, "this": BUILD }),
        ),
    };
    line(if args.json { object.to_string() } else { text });
    Ok(ExitCode::from(code))
}

pub(super) fn replayed(journal: &Journal) -> Result<Replayed, NotReplayable> {
    let Header { build, codec, .. } = &journal.header;
    if build != BUILD {
        return Ok(Replayed::Incompatible { build: build.clone() });
    }
    match transcoder(codec, &replay::plan_of(journal)?) {
        Ok(transcode) => replay::replay_coded(journal, transcode, |_, _| {}),
        Err(codec) => Ok(Replayed::Incompatible { build: format!("{build} with codec {codec}") }),
    }
}

fn told(shown: &str, divergence: &Divergence, len: TickLen) -> String {
    let [recorded, replayed] = divergence.digests;
    let at_ms = divergence.tick * u64::from(len.ms());
    let audio = if divergence.heard_alike { "is the same" } else { "differs: the codec differs" };
    let mut text = format!(
        "{shown}: diverged at tick {} ({at_ms} ms); the audio heard {audio}\n\
         recorded: digest {recorded:016x}\n{}replayed: digest {replayed:016x}\n{}",
        divergence.tick,
        lines(&divergence.events[0], len),
        lines(&divergence.events[1], len),
    );
    text.truncate(text.trim_end().len());
    text
}

fn lines(events: &[Event], len: TickLen) -> String {
    events.iter().map(|event| format!("  {}\n", event.to_json(len))).collect()
}

fn object(divergence: &Divergence, len: TickLen) -> serde_json::Value {
    let events = |at: usize| -> Vec<_> {
        divergence.events[at].iter().map(|event| event.to_json(len)).collect()
    };
    json!({
        "result": "diverged",
        "tick": divergence.tick,
        "heard_alike": divergence.heard_alike,
        "recorded": { "digest": format!("{:016x}", divergence.digests[0]), "events": events(0) },
        "replayed": { "digest": format!("{:016x}", divergence.digests[1]), "events": events(1) },
    })
}
