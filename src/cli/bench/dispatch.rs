//! `antiphon bench dispatch`: from asking for an agent to its first audio, at a worker of its own process.
//!
//! A caller is in a room, and asks the server for an agent by its name; the worker is `antiphon start` as it runs in
//! production. The time is taken until the first packet of the agent's voice is read at the caller.

use std::process::ExitCode;
use std::sync::Arc;

use crossbeam_channel::bounded;
use serde_json::{Value, json};

use super::guest::{Caller, House, plan, until};
use super::latency::{pace, percentile};
use super::server::ServerArgs;
use super::worker::Worker;
use crate::cli::failure::Failure;
use crate::cli::view::line;
use crate::host::pace::{Clock, Moment};
use crate::livekit::room::{News, Stamp};
use crate::session::plan::Plan;

/// The name that the agent is asked for by.
const NAME: &str = "bench";

/// What callers are, as sessions: they hear the agent, and are stepped by the bench.
const CALLER: &str = "name: caller\nagents: { echo: { kind: echo } }\n";

/// What the worker serves: an agent with a text, which says hello at once with the built-in voice.
const AGENT: &str = "name: bench\nspeech: { synthesiser: { engine: tone } }\n\
                     call: { alone_ms: 200 }\nturn: { away_ms: 0 }\n\
                     agents: { desk: { greeting: Hello. } }\n";

/// Frames that an agent's first audio is waited for at most: 5 s.
const FRAMES_MAX: u64 = 250;

/// Measures the time from dispatching an agent to its first audio.
///
/// A worker of its own process serves a text agent that says hello at once. A caller who is in a room asks for it, and
/// the time is taken until the first packet of the agent's voice has come. That is done with no other calls, and with
/// so many calls under way in the same worker, in which callers take turns in talking. The server is one of its own
/// unless one is named.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon bench dispatch
  antiphon bench dispatch --jobs 20 --samples 10 --json

Exit codes: 0 measured, 1 something failed on the way, 2 it cannot be measured.")]
pub(super) struct DispatchArgs {
    /// Calls under way
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    jobs: u32,
    /// Times that an agent is asked for, without other calls and with them
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    samples: u32,
    /// How many of the calls under way are talked in at a time, as a share
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    talk: f64,
    /// An object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn dispatch(args: &DispatchArgs) -> Result<ExitCode, Failure> {
    let house = House::new(args.server.server()?)?;
    let plan = plan(CALLER)?;
    let worker = Worker::start(&house, NAME, AGENT, &[])?;
    let base_kib = worker.process().memory_kib();
    let mut bench = Bench { house, plan, talk: args.talk, callers: Vec::new(), rooms: 0 };
    let alone = bench.samples(args.samples)?;
    // What the first calls leave behind serves every other.
    let warm_kib = worker.process().memory_kib();
    for _ in 0..args.jobs {
        let (caller, _) = bench.arrives()?;
        bench.callers.push(caller);
    }
    let among = bench.samples(args.samples)?;
    let all_kib = worker.process().memory_kib();
    let of_one_kib = warm_kib
        .zip(all_kib)
        .map(|(warm, all)| all.saturating_sub(warm) as f64 / f64::from(args.jobs));
    bench.callers.into_iter().try_for_each(Caller::leave)?;
    let figures = json!({
        "jobs": args.jobs,
        "talk": args.talk,
        "dispatch_to_audio_ms": { "alone": spread(&alone), "among": spread(&among) },
        "memory": { "base_kib": base_kib, "kib_a_call": of_one_kib },
    });
    if args.json {
        line(figures);
    } else {
        line("from dispatching an agent to its first audio at the caller, in ms");
        let among_name = format!("with {} calls under way", args.jobs);
        for (name, key) in [("no other call", "alone"), (among_name.as_str(), "among")] {
            let at =
                |what: &str| figures["dispatch_to_audio_ms"][key][what].as_f64().unwrap_or(0.0);
            line(format_args!(
                "  {name:<28} p50 {:7.1}   p95 {:7.1}   max {:7.1}",
                at("p50"),
                at("p95"),
                at("max")
            ));
        }
        if let (Some(base), Some(of_one)) = (base_kib, of_one_kib) {
            line(format_args!(
                "memory of the worker: {:.1} MiB without a call, {of_one:.0} KiB more for each",
                base as f64 / 1_024.0
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn spread(times: &[f64]) -> Value {
    let at = |share| percentile(times, share);
    json!({ "p50": at(0.5), "p95": at(0.95), "max": at(1.0), "samples": times.len() })
}

struct Bench {
    house: House,
    plan: Arc<Plan>,
    talk: f64,
    /// Those in calls that are under way.
    callers: Vec<Caller>,
    rooms: u32,
}

impl Bench {
    fn samples(&mut self, count: u32) -> Result<Vec<f64>, Failure> {
        let mut times = Vec::new();
        for _ in 0..count {
            let (caller, ms) = self.arrives()?;
            caller.leave()?;
            times.push(ms);
        }
        Ok(times)
    }

    /// Somebody joins a room of their own and asks for an agent; the caller, and how long that took, in milliseconds.
    fn arrives(&mut self) -> Result<(Caller, f64), Failure> {
        self.rooms += 1;
        let room = format!("dispatch-{}", self.rooms);
        let mut caller = self.house.caller(&self.plan, &room, "caller")?;
        until(&caller.room, |news| matches!(news, News::Path(_)))?;
        let clock = Clock::default();
        let (tell, told) = bounded(1);
        let asked = clock.now();
        self.house.dispatch(&room, NAME, tell)?;
        let mut heard = None;
        let (talk, callers) = (self.talk, &mut self.callers);
        pace(FRAMES_MAX, |frame, _| {
            step(&mut caller, false);
            for stamp in caller.stamps.try_iter() {
                if let Stamp::Came { read, .. } = stamp {
                    heard.get_or_insert(read);
                }
            }
            let talking = ((callers.len() as f64 * talk).ceil() as usize).max(1);
            // A second each.
            let first = (frame / 50) as usize * talking;
            let count = callers.len().max(1);
            for (at, other) in callers.iter_mut().enumerate() {
                step(other, (at + count - first % count) % count < talking);
                other.stamps.try_iter().for_each(drop);
            }
            heard.is_none()
        });
        if let Ok(Err(why)) = told.try_recv() {
            return Err(Failure::broken(format!("the server dispatches nobody: {why}")));
        }
        let heard: Moment = heard.ok_or_else(|| Failure::broken("no agent was heard in 5 s"))?;
        Ok((caller, heard.since_ns(asked) as f64 / 1e6))
    }
}

/// A frame of somebody who talks, or is silent.
fn step(caller: &mut Caller, talks: bool) {
    caller.step(|pcm| {
        if talks {
            for (at, sample) in pcm.iter_mut().enumerate() {
                *sample = if at / 60 % 2 == 0 { 6_000 } else { -6_000 };
            }
        }
    });
}
