//! Holding a call: in virtual time as fast as it goes, or in real time on a shard.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::engines::{Engines, OF_ONE};
use super::failure::Failure;
use super::journalled::{self, Journalled};
use super::metrics::Metering;
use super::outside::{Outside, Reloads};
use super::summary::summary;
use super::view::{View, line};
use super::watch::{LiveWatch, Over};
use crate::clock::Tick;
use crate::host::ink::Loss;
use crate::host::pace::{Class, Clock};
use crate::host::shard::Shard;
use crate::host::tools::{LiveTools, RoomCall, WORKERS, Workers};
use crate::host::transcoder::through_opus;
use crate::host::watchdog::Standing;
use crate::id::LaneId;
use crate::record::{Folder, FolderThread, SessionEnd, Timing};
use crate::seed::Seed;
use crate::session::Session;
use crate::session::event::Event;
use crate::session::output::Output;
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

/// The name of a call's session, to the tools of this process: always the same, so that what they do can be
/// repeated.
const SESSION: &str = "local";

/// The name of a call's session. One of which others hear has a name of its own: they would take its calls for
/// those of an earlier one otherwise.
fn session_name(call: &Call) -> String {
    if call.outside.is_none() {
        return SESSION.to_owned();
    }
    format!("{SESSION}:{:x}", crate::host::pace::wall_ms())
}

/// The longest run in virtual time, in ticks: a hundred days of 20 ms. Every caller hangs up before.
const TICKS_MAX: u64 = 432_000_000;

/// Events on their way to the screen at most; a slow terminal loses lines, never a tick.
const EVENTS_WAITING: usize = 4_096;

/// Ticks between two looks at the status line: 200 ms.
const STATUS_TICKS: u64 = 10;

/// What is said of a thread that the watchdog put back.
const DEMOTED: &str = "the session's thread took nearly all of a core for half a second: it left the real-time \
                       class, and ticks may be late when the machine is busy; see which inline tool takes so long";

/// Holds the call, shows it, and says where everything is.
pub(super) fn hold(call: Call) -> Result<ExitCode, Failure> {
    let view = View::new(&call.plan, call.json);
    let plan = &call.plan;
    let is_scripted = plan.agents.iter().any(|agent| matches!(agent.kind, AgentKind::Scripted(_)));
    if plan.recogniser.is_none() && is_scripted && call.has_voice() {
        let whose = if plan.has_natives { " by agents that are not of kind native" } else { "" };
        eprintln!(
            "speech.recogniser.engine is none: callers are heard, but what they say is not understood{whose}; only \
             typed text is"
        );
    }
    if call.fast {
        super::minds::not_in_virtual_time(plan)?;
    }
    let engines = Engines::new(&call.plan, &mut |text| eprintln!("{text}"))?;
    held(call, engines, view)
}

/// Holds a call with engines that are ready.
pub(super) fn held(mut call: Call, engines: Engines, view: View) -> Result<ExitCode, Failure> {
    let (folder, journal) = call.open()?;
    stop_on_interrupt();
    let with = std::mem::replace(&mut call.with, With::Callers(Vec::new()));
    match with {
        With::Callers(parts) if call.fast => fast(call, &parts, &engines, view, folder, journal),
        With::Callers(parts) => {
            let company = Company::recorded(call.callers(&parts)?, session_name(&call));
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

/// Who is in a live call.
pub(super) struct Company {
    /// Their edges, before those of engines.
    pub(super) edges: Vec<Box<dyn Edge>>,
    /// The session's name, to tools.
    pub(super) session: String,
    /// Where calls of a room's tools go.
    pub(super) calls: Option<Sender<RoomCall>>,
    /// What the one who holds the call should know, as it happens.
    pub(super) warnings: Receiver<String>,
}

impl Company {
    fn recorded(edges: Vec<Box<dyn Edge>>, session: String) -> Self {
        Self { edges, session, calls: None, warnings: crossbeam_channel::never() }
    }
}

/// Whether the call was interrupted.
#[cfg(feature = "livekit")]
pub(super) fn is_stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

/// Whether the call is to stop at the next tick.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// The exit code of who was interrupted, by convention 128 and the number of the signal.
pub(super) const INTERRUPTED: u8 = 130;

/// The first interrupt ends the call in good order, its files complete; the second ends the program.
pub(super) fn stop_on_interrupt() {
    let handler = || {
        if STOPPED.swap(true, Ordering::Relaxed) {
            #[expect(clippy::exit, reason = "it was asked for twice")]
            std::process::exit(i32::from(INTERRUPTED));
        }
    };
    // Where it cannot be set, an interrupt ends the program at once; the journal is kept all the same.
    drop(ctrlc::set_handler(handler));
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
        journalled::open(&about, || {
            let folder = Folder::create(&self.out, Arc::clone(&self.plan), self.fast);
            let mut folder = folder.map_err(|error| Failure::input(error.to_string()))?;
            folder.seeded(self.seed);
            Ok(folder)
        })
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
    let name = session_name(&call);
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
                view.status(now.0, "");
            }
        }
        journal.flow_waiting(slot, 1 << 16);
        before = clock.now();
        !STOPPED.load(Ordering::Relaxed)
    });
    if let Some(meter) = meter {
        meter.end(SessionEnd::from(&ran.status));
    }
    journal.flow_waiting(&mut slot, 0);
    let (place, loss) = journal.finish();
    folder.journal_lost(lost(loss.as_ref()));
    finish(call, &view, &ran.status, |end| folder.finish(end), place, loss)
}

fn live(
    mut call: Call,
    company: Company,
    engines: Engines,
    mut view: View,
    folder: Folder,
    mut journal: Journalled,
) -> Result<ExitCode, Failure> {
    let engines = engines.live(OF_ONE)?;
    let Company { mut edges, session: name, calls, mut warnings } = company;
    edges.extend(engines.edges(&call.plan)?);
    let session = Session::new(&call.plan, call.seed);
    let (overruns, overran) = bounded(64);
    let workers = Workers::start(call.tools.clone(), WORKERS);
    let mut following = None;
    if let Some(outside) = call.outside.take() {
        let (tell, reloads) = Reloads::new();
        let follows = outside
            .follow(workers.clone(), tell)
            .map_err(|error| Failure::broken(format!("no thread for changes of tools: {error}")))?;
        edges.push(Box::new(reloads));
        following = Some(follows);
    }
    let tools = LiveTools::new(workers, name, overruns);
    let tools = match calls {
        Some(calls) => tools.with_room(calls),
        None => tools,
    };
    let scribe = journal.scribe.take();
    let mut slot = Slot::new(Arc::clone(&call.plan), session, edges, Box::new(tools), scribe);
    journal.announce(&mut slot);
    let shard = Shard::start(Class::RealTime)
        .map_err(|error| Failure::broken(format!("no thread for the session: {error}")))?;
    if shard.class() == Standing::Normal {
        eprintln!(
            "the real-time class is not permitted: ticks may be late when the machine is busy"
        );
    }
    let (shown, showing) = bounded(EVENTS_WAITING);
    let (done, finished) = bounded(1);
    let folder = FolderThread::spawn(folder);
    let meter = call.metering.as_ref().map(Metering::session);
    let show = Box::new(move |now: Tick, out: &Output| {
        for event in &out.events {
            // A terminal that does not keep up loses lines.
            drop(shown.try_send(Glimpse::Event(event.clone())));
        }
        if now.0.is_multiple_of(STATUS_TICKS) {
            let state = match (out.user_speech, out.agent_speech) {
                (true, true) => "both speak",
                (true, false) => "the user speaks",
                (false, true) => "speaking",
                (false, false) => "listening",
            };
            drop(shown.try_send(Glimpse::Status(now.0, state)));
        }
        !STOPPED.load(Ordering::Relaxed)
    });
    let watch = LiveWatch {
        folder: Some(folder),
        journal: Some(journal),
        meter,
        overran,
        show,
        done: Some(Box::new(move |over| drop(done.try_send(over)))),
        reason: None,
    };
    if !shard.admit(slot, Box::new(watch)) {
        return Err(Failure::broken("the session's thread is gone"));
    }
    let mut demotions = 0;
    loop {
        let glimpse = crossbeam_channel::select! {
            recv(showing) -> glimpse => glimpse,
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
            Ok(Glimpse::Status(tick, state)) => {
                warn_if_demoted(&shard, &view, &mut demotions);
                view.status(tick, state);
            }
            Err(_) => break,
        }
    }
    warn_if_demoted(&shard, &view, &mut demotions);
    let Ok(Over { folder: Some(mut folder), journal: Some(journal), status, .. }) = finished.recv()
    else {
        return Err(Failure::broken("the session's thread is gone"));
    };
    shard.stop();
    drop(following);
    let (place, loss) = journal.finish();
    folder.journal_lost(lost(loss.as_ref()));
    finish(call, &view, &status, |end| folder.finish(end), place, loss)
}

fn lost(loss: Option<&Loss>) -> u64 {
    loss.map_or(0, |loss| loss.ticks)
}

/// Says so each time the watchdog has put the thread back; `told` are the times that were told.
fn warn_if_demoted(shard: &Shard, view: &View, told: &mut u32) {
    let demotions = shard.demotions();
    if demotions > std::mem::replace(told, demotions) {
        view.warn(DEMOTED);
    }
}

/// Says how a call went, and where everything is.
fn finish(
    call: Call,
    view: &View,
    status: &Status,
    close: impl FnOnce(&str) -> (crate::record::Metrics, Vec<String>),
    journal: Option<PathBuf>,
    loss: Option<Loss>,
) -> Result<ExitCode, Failure> {
    let end = SessionEnd::from(status).name();
    let (metrics, mut troubles) = close(end);
    troubles.extend(loss.map(|loss| format!("journal: {loss}")));
    let prometheus = call.metering.map(Metering::finish);
    view.finish();
    if call.json {
        let mut summary = serde_json::json!({ "type": "summary", "end": end, "metrics": metrics });
        if let Some(text) = prometheus {
            summary["prometheus"] = text.into();
        }
        line(summary);
    } else {
        line(summary(&metrics));
        line(format_args!("written to {}", call.out.display()));
        line(format_args!("look at it: {}", call.out.join("report.html").display()));
        if let Some(journal) = journal.filter(|path| path.parent() != Some(&call.out)) {
            line(format_args!("journal: {}", journal.display()));
        }
        if let Some(text) = prometheus {
            line(text.trim_end());
        }
    }
    for trouble in &troubles {
        eprintln!("{trouble}");
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

enum Glimpse {
    Event(Event),
    Status(u64, &'static str),
}
