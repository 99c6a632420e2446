//! The sessions of a bench in one process: production's slots, with less around them or more.
//!
//! **Invariant:** what stands in for an engine answers as one would that is elsewhere, and costs next to nothing; all
//! else is what calls run on.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::bounded;

use super::Depth;
use super::callers::LANE;
use crate::cli::bench::talkers::clips;
use crate::cli::failure::Failure;
use crate::cli::load;
use crate::clock::Tick;
use crate::config;
use crate::host::codec::{OpusInlet, OpusOutlet, OutletOptions};
use crate::host::packets::{Trunk, line};
use crate::host::tools::{LiveTools, WORKERS, Workers};
use crate::journal::{Header, Scribe};
use crate::model::live::{EarPool, LiveEar, LiveMouth, MouthPool};
use crate::model::{Recognised, Recogniser, SpeechError, Synthesiser};
use crate::session::Session;
use crate::session::input::Input;
use crate::session::output::Output;
use crate::session::plan::Plan;
use crate::slot::{Edge, Slot};
use crate::tool::Registry;

/// An agent whom nobody has joined: it stays ready.
const BARE: &str = "name: density\njournal: \"off\"\ncall: { alone_ms: 0 }\nturn: { away_ms: 0 }\n\
                    agents: { desk: { greeting: Hello., intents: [] } }\n";

/// An agent that says back what it hears, half a second later.
const MEDIA: &str = "name: density\njournal: \"off\"\ncall: { alone_ms: 0 }\nturn: { away_ms: 0 }\n\
                     agents: { echo: { kind: echo, delay_ms: 500 } }\n";

const SESSION: &str = include_str!("session.yaml");

/// What is heard, in turn: each of it leads to something in one of the agents.
const HEARD: [&str; 5] = [
    "do you have them in blue",
    "when are you open",
    "I have a question about my bill",
    "how much do I owe",
    "take me back please",
];

/// Recognisers at most: what a worker has of those that are elsewhere.
const EARS: usize = 256;

/// Synthesisers.
const MOUTHS: usize = 2;

/// How long a session waits for a voice, in ticks.
const PATIENCE: u64 = 250;

/// What sessions are made of.
pub(in crate::cli::bench) struct Calls {
    depth: Depth,
    plan: Arc<Plan>,
    workers: Workers,
    header: Header,
    options: OutletOptions,
    engines: Option<(EarPool, MouthPool)>,
}

impl Calls {
    pub(in crate::cli::bench) fn new(
        depth: Depth,
        count: usize,
        options: OutletOptions,
    ) -> Result<Self, Failure> {
        let text = match depth {
            Depth::Bare => BARE,
            Depth::Media => MEDIA,
            _ => SESSION,
        };
        let broken = |why: String| Failure::broken(format!("the bench's own session: {why}"));
        let config = config::parse(text.as_bytes(), "density");
        let config = config.map_err(|why| broken(why.to_string()))?;
        let (plan, tools) = load::plan(config, Registry::default())?;
        let engines = (depth == Depth::Session).then(|| -> Result<_, Failure> {
            let ears = EarPool::start(count.min(EARS), || Ok(Box::new(HearsPhrases)));
            let said: Arc<[Arc<[i16]>]> = clips(plan.rate).map_err(broken)?.into();
            let rate_hz = plan.rate.hz();
            let new = move || {
                let said = Arc::clone(&said);
                Ok(Box::new(SpeaksClips { said, next: 0, rate_hz }) as Box<dyn Synthesiser>)
            };
            let mouths = MouthPool::with_queue(MOUTHS, 2 * count, new);
            let failed = |why: SpeechError| broken(why.to_string());
            Ok((ears.map_err(failed)?, mouths.map_err(failed)?))
        });
        let engines = engines.transpose()?;
        let header = Header { virtual_time: false, ..Header::new(&plan, 1) };
        let workers = Workers::start(tools, WORKERS);
        Ok(Self { depth, plan, workers, header, options, engines })
    }

    pub(in crate::cli::bench) const fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// A session, and its participant's end of the line if it has one.
    pub(in crate::cli::bench) fn call(&self, at: usize) -> Result<(Slot, Option<Trunk>), Failure> {
        let Self { depth, plan, workers, header, options, engines } = self;
        let mut edges: Vec<Box<dyn Edge>> = Vec::new();
        let mut trunk = None;
        if *depth == Depth::Bare {
            edges.push(Box::new(Silent));
        } else {
            let no_codec = |why| Failure::broken(format!("a session's codec: {why}"));
            let outlet = OpusOutlet::new(plan.rate, *options).map_err(no_codec)?;
            let inlet = OpusInlet::new(plan.rate, plan.reorder).map_err(no_codec)?;
            let (mut far, opus) = line(outlet, plan.len);
            far.join(LANE, "caller".to_owned(), Box::new(inlet));
            edges.push(Box::new(opus));
            trunk = Some(far);
        }
        if let Some((ears, mouths)) = engines {
            edges.push(Box::new(LiveEar::new(ears.clone())));
            edges.push(Box::new(LiveMouth::new(mouths.clone(), None, plan.rate, PATIENCE)));
        }
        let tools = LiveTools::new(workers.clone(), "density".to_owned(), bounded(1).0);
        let session = Session::new(plan, at as u64);
        let scribe = (*depth == Depth::Session).then(|| Scribe::new(header));
        Ok((Slot::new(Arc::clone(plan), session, edges, Box::new(tools), scribe), trunk))
    }
}

/// Nobody: gives nothing, and takes nothing.
struct Silent;

impl Edge for Silent {
    fn give(&mut self, _now: Tick, _input: &mut Input) {}

    fn take(&mut self, _now: Tick, _out: &Output) {}
}

/// A recogniser that hears one phrase after the other.
struct HearsPhrases;

/// Which phrase comes next, of whichever recogniser: each call gets its own share of all.
static NEXT: AtomicUsize = AtomicUsize::new(0);

impl Recogniser for HearsPhrases {
    fn begin(&mut self) -> Result<(), SpeechError> {
        Ok(())
    }

    fn feed(&mut self, _pcm: &[i16]) -> Result<(), SpeechError> {
        Ok(())
    }

    fn partial(&mut self) -> Option<String> {
        None
    }

    fn end(&mut self) -> Result<Recognised, SpeechError> {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Recognised { text: HEARD[next % HEARD.len()].to_owned(), confidence: 1.0 })
    }
}

/// A synthesiser that says one clip after the other, whatever the text.
struct SpeaksClips {
    said: Arc<[Arc<[i16]>]>,
    next: usize,
    rate_hz: u32,
}

impl Synthesiser for SpeaksClips {
    fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    fn speak(
        &mut self,
        _text: &str,
        _voice: &str,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), SpeechError> {
        self.next += 1;
        let _: ControlFlow<()> = sink(&self.said[self.next % self.said.len()]);
        Ok(())
    }

    fn voices(&self) -> Vec<String> {
        vec!["rms".to_owned()]
    }
}
