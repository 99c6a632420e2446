//! Holding a call: in virtual time as fast as it goes, or in real time on a shard.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::engines::Engines;
use super::failure::Failure;
use super::journalled::{self, Journalled};
use super::live::{Company, Glimpse, Held, Live, Setting, is_stopped, lost, session_name};
use super::live::{INTERRUPTED, stop_on_interrupt};
use super::metrics::Metering;
use super::outside::Outside;
use super::summary::summary;
use super::view::{View, complain, line};
use crate::host::pace::Clock;
use crate::host::transcoder::through_opus;
use crate::id::LaneId;
use crate::record::{Folder, SessionEnd, Timing};
use crate::seed::Seed;
use crate::session::Session;
use crate::session::plan::{AgentKind, Plan};
use crate::sim::caller::{Caller, Part};
use crate::sim::network::{Faults, Network};
use crate::sim::tools::{Latency, VirtualTools};
use crate::sim::world;
use crate::slot::{Edge, Slot, Status};
use crate::tool::Registry;

/// A call to hold.
pub(super) struct Call {
    pub(super) plan: Arc<Plan>,
    pub(super) tools: Registry,
    /// Whoever carries out some of them, and is followed while the call lasts.
    pub(super) outside: Option<Outside>,
    pub(super) with: With,
    pub(super) seed: u64,
    pub(super) out: PathBuf,
    pub(super) journal: Option<PathBuf>,
    pub(super) fast: bool,
    /// Whether callers are heard through Opus.
    pub(super) opus: bool,
    pub(super) json: bool,
    pub(super) metering: Option<Metering>,
}

/// Whom a call is with.
pub(super) enum With {
    /// Recorded callers.
    Callers(Vec<Part>),
    /// Whoever is in a room.
    #[cfg(feature = "livekit")]
    Room(Box<super::connect::Joined>),
}

/// The longest run in virtual time, in ticks: a hundred days of 20 ms. Every caller hangs up before.
const TICKS_MAX: u64 = 432_000_000;

/// Ticks between two looks at the status line: 200 ms.
const STATUS_TICKS: u64 = 10;

/// Holds the call, shows it, and says where everything is.
pub(super) fn hold(call: Call) -> Result<ExitCode, Failure> {
    let view = View::new(&call.plan, call.json);
    let plan = &call.plan;
    if call.has_voice() {
        deaf(plan).into_iter().for_each(|text| eprintln!("{text}"));
    }
    if call.fast {
        super::minds::not_in_virtual_time(plan)?;
    }
    let engines = Engines::new(&call.plan, &mut |text| eprintln!("{text}"))?;
    held(call, engines, view)
}

/// What the one who holds a call by voice should know, if nobody understands words that are spoken.
pub(super) fn deaf(plan: &Plan) -> Option<String> {
    let is_scripted = plan.agents.iter().any(|agent| matches!(agent.kind, AgentKind::Scripted(_)));
    if plan.recogniser.is_some() || !is_scripted {
        return None;
    }
    let whose = if plan.has_natives { " by agents that are not of kind native" } else { "" };
    Some(format!(
        "speech.recogniser.engine is none: callers are heard, but what they say is not understood{whose}; only typed \
         text is"
    ))
}

/// Holds a call with engines that are ready.
pub(super) fn held(mut call: Call, engines: Engines, view: View) -> Result<ExitCode, Failure> {
    let (folder, journal) = call.open()?;
    stop_on_interrupt();
    let with = std::mem::replace(&mut call.with, With::Callers(Vec::new()));
    match with {
        With::Callers(parts) if call.fast => fast(call, &parts, &engines, view, folder, journal),
        With::Callers(parts) => {
            let company = Company {
                edges: call.callers(&parts)?,
                session: session_name(call.outside.is_some()),
                calls: None,
                warnings: crossbeam_channel::never(),
            };
            live(call, company, engines, view, folder, journal)
        }
        #[cfg(feature = "livekit")]
        With::Room(joined) => {
            let (company, room) = joined.company();
            let json = call.json;
            let code = live(call, company, engines, view, folder, journal);
            let in_order = room.left(json);
            match code {
                Ok(ExitCode::SUCCESS) if !in_order => Ok(ExitCode::FAILURE),
                code => code,
            }
        }
    }
}

impl Call {
    /// Opens everything that is written to. If something cannot be, all is left as it was.
    fn open(&self) -> Result<(Folder, Journalled), Failure> {
        let about = journalled::About {
            plan: &self.plan,
            out: &self.out,
            named: self.journal.as_deref(),
            seed: self.seed,
            virtual_time: self.fast,
            opus: self.opus,
            shared: false,
        };
        journalled::open(&about)
    }

    fn ending(self) -> Ending {
        Ending { json: self.json, out: Some(self.out), metering: self.metering }
    }

    /// Whether anybody may be heard.
    fn has_voice(&self) -> bool {
        match &self.with {
            With::Callers(parts) => parts.iter().any(|part| part.audio),
            #[cfg(feature = "livekit")]
            With::Room(_) => true,
        }
    }

    /// The edges of participants, each on its lane.
    fn callers(&self, parts: &[Part]) -> Result<Vec<Box<dyn Edge>>, Failure> {
        let seed = Seed::new(self.seed);
        let company = Arc::new(AtomicUsize::new(parts.len()));
        let caller = |(lane, part): (usize, &Part)| -> Result<Box<dyn Edge>, Failure> {
            let network = Network::new(Faults::NONE, seed.branch(&part.name));
            let lane = LaneId(lane as u16);
            let (len, rate) = (self.plan.len, self.plan.rate);
            let caller = Caller::new(part.clone(), lane, len, rate, network);
            let caller = Box::new(caller.among(Arc::clone(&company)));
            if self.opus {
                through_opus(caller, &self.plan).map_err(Failure::input)
            } else {
                Ok(caller)
            }
        };
        parts.iter().enumerate().map(caller).collect()
    }
}

fn fast(
    call: Call,
    parts: &[Part],
    engines: &Engines,
    mut view: View,
    mut folder: Folder,
    mut journal: Journalled,
) -> Result<ExitCode, Failure> {
    let mut edges = call.callers(parts)?;
    edges.extend(engines.virtual_edges(&call.plan)?);
    let session = Session::new(&call.plan, call.seed);
    let len = call.plan.len;
    let name = session_name(call.outside.is_some());
    let tools = VirtualTools::new(call.tools.clone(), Latency::Declared, len, name);
    let scribe = journal.scribe.take();
    let mut slot = Slot::new(Arc::clone(&call.plan), session, edges, Box::new(tools), scribe);
    journal.announce(&mut slot);
    let clock = Clock::default();
    let mut meter = call.metering.as_ref().map(Metering::session);
    let mut before = clock.now();
    let ran = world::run(&mut slot, TICKS_MAX, |slot| {
        let step_ns = clock.now().since_ns(before);
        if let Some(now) = slot.done() {
            let timing = Timing { lateness_ns: None, step_ns, skipped: 0 };
            folder.tick(now, slot.output(), timing);
            if let Some(meter) = &mut meter {
                meter.tick(slot.plan(), now, slot.output(), timing);
            }
            for event in &slot.output().events {
                view.event(event);
            }
            if now.0.is_multiple_of(STATUS_TICKS * 50) {
                view.status(now, "");
            }
        }
        journal.flow_waiting(slot, 1 << 16);
        before = clock.now();
        !is_stopped()
    });
    if let Some(meter) = meter {
        meter.end(SessionEnd::from(&ran.status));
    }
    journal.flow_waiting(&mut slot, 0);
    let (journal, loss) = journal.finish();
    folder.journal_lost(lost(loss.as_ref()));
    let (metrics, mut troubles) = folder.finish(SessionEnd::from(&ran.status).name());
    troubles.extend(loss.map(|loss| format!("journal: {loss}")));
    let held = Held { status: ran.status, metrics, troubles, journal };
    call.ending().tell(&view, held)
}

fn live(
    mut call: Call,
    company: Company,
    engines: Engines,
    mut view: View,
    folder: Folder,
    journal: Journalled,
) -> Result<ExitCode, Failure> {
    let mut warnings = company.warnings.clone();
    let setting = Setting {
        plan: Arc::clone(&call.plan),
        tools: call.tools.clone(),
        outside: call.outside.take(),
        seed: call.seed,
        meter: call.metering.as_ref().map(Metering::session),
    };
    let mut live = Live::begin(setting, company, engines, Some((folder, journal)), STATUS_TICKS)?;
    if let Some(remark) = live.remark() {
        eprintln!("{remark}");
    }
    loop {
        let glimpse = crossbeam_channel::select! {
            recv(live.glimpses) -> glimpse => glimpse,
            recv(warnings) -> warning => {
                match warning {
                    Ok(warning) => view.warn(&warning),
                    // Nobody has anything to say any more.
                    Err(_) => warnings = crossbeam_channel::never(),
                }
                continue;
            }
        };
        match glimpse {
            Ok(Glimpse::Event(event)) => view.event(&event),
            Ok(Glimpse::Beat(beat)) => {
                live.demoted().into_iter().for_each(|remark| view.warn(remark));
                view.beat(&beat);
            }
            Err(_) => break,
        }
    }
    live.demoted().into_iter().for_each(|remark| view.warn(remark));
    call.ending().tell(&view, live.put_away()?)
}

/// What is told when a call is over.
pub(super) struct Ending {
    pub(super) json: bool,
    /// The folder that it was written to.
    pub(super) out: Option<PathBuf>,
    pub(super) metering: Option<Metering>,
}

impl Ending {
    /// Says how a call went, and where everything is.
    pub(super) fn tell(self, view: &View, held: Held) -> Result<ExitCode, Failure> {
        let Held { status, metrics, troubles, journal } = held;
        let prometheus = self.metering.map(Metering::finish);
        view.finish();
        if self.json {
            let end = SessionEnd::from(&status).name();
            let mut summary =
                serde_json::json!({ "type": "summary", "end": end, "metrics": metrics });
            if let Some(text) = prometheus {
                summary["prometheus"] = text.into();
            }
            line(summary);
        } else {
            line(summary(&metrics));
            if let Some(out) = &self.out {
                line(format_args!("written to {}", out.display()));
                line(format_args!("look at it: {}", out.join("report.html").display()));
            }
            if let Some(journal) = journal.filter(|path| path.parent() != self.out.as_deref()) {
                line(format_args!("journal: {}", journal.display()));
            }
            if let Some(text) = prometheus {
                line(text.trim_end());
            }
        }
        for trouble in &troubles {
            complain(trouble);
        }
        match status {
            Status::Panicked(why) => Err(Failure::broken(format!(
                "the session panicked: {why}\nthis is a fault of the program; its journal is kept"
            ))),
            Status::Running if troubles.is_empty() => Ok(ExitCode::from(INTERRUPTED)),
            Status::Ended if troubles.is_empty() => Ok(ExitCode::SUCCESS),
            Status::Ended | Status::Running => Ok(ExitCode::FAILURE),
        }
    }
}
