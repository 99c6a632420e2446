//! A session that is held in real time, on a shard of its own: begun, looked at while it lasts, and put away.
//!
//! **Invariant:** who looks on makes no tick wait: what finds no room on its way to a screen is lost to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::engines::{Engines, LiveEngines, OF_ONE};
use super::failure::Failure;
use super::journalled::Journalled;
use super::outside::{Following, Outside, Reloads};
use super::watch::{LiveWatch, Over};
use crate::clock::Tick;
use crate::host::ink::Loss;
use crate::host::pace::Class;
use crate::host::shard::Shard;
use crate::host::tools::{LiveTools, RoomCall, WORKERS, Workers};
use crate::host::watchdog::Standing;
use crate::pcm::mix;
use crate::record::{Folder, FolderThread, Metrics, SessionEnd, SessionMeter, Tally, Timing};
use crate::session::Session;
use crate::session::event::Event;
use crate::session::output::{AgentState, Output, Saying};
use crate::session::plan::Plan;
use crate::slot::{Edge, Slot, Status};
use crate::tool::Registry;

/// Glimpses on their way to the screen at most; a slow terminal loses lines, never a tick.
const GLIMPSES_WAITING: usize = 4_096;

/// What is said of a thread that the watchdog put back.
const DEMOTED: &str = "the session's thread took nearly all of a core for half a second: it left the real-time \
                       class, and ticks may be late when the machine is busy; see which inline tool takes so long";

/// What is said where the real-time class is not permitted.
const ORDINARY: &str =
    "the real-time class is not permitted: ticks may be late when the machine is busy";

/// Whether the call is to stop at the next tick.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// The exit code of who was interrupted, by convention 128 and the number of the signal.
pub(super) const INTERRUPTED: u8 = 130;

/// Whether the call was interrupted.
pub(super) fn is_stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

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

/// The name of a call's session, to the tools of this process: always the same, so that what they do can be repeated.
/// One of which others hear has a name of its own: they would take its calls for those of an earlier one otherwise.
pub(super) fn session_name(is_heard_outside: bool) -> String {
    const SESSION: &str = "local";
    if is_heard_outside {
        format!("{SESSION}:{:x}", crate::host::pace::wall_ms())
    } else {
        SESSION.to_owned()
    }
}

/// What a session is held with.
pub(super) struct Setting {
    pub(super) plan: Arc<Plan>,
    pub(super) tools: Registry,
    pub(super) outside: Option<Outside>,
    pub(super) seed: u64,
    pub(super) meter: Option<SessionMeter>,
}

/// Something to be shown.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Glimpse {
    Event(Event),
    Beat(Beat),
}

/// What is shown of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beat {
    pub(super) now: Tick,
    /// The loudest sample of all users, and of the agent, as magnitudes.
    pub(super) user_peak: u16,
    pub(super) agent_peak: u16,
    pub(super) user_speech: bool,
    pub(super) agent_speech: bool,
    pub(super) agent: AgentState,
    pub(super) saying: Option<Saying>,
    pub(super) timing: Timing,
}

/// A session under way.
pub(super) struct Live {
    shard: Shard,
    /// What happens, as it happens; it ends when the session does.
    pub(super) glimpses: Receiver<Glimpse>,
    finished: Receiver<Over>,
    following: Option<Following>,
    /// Held as long as the session: the network that models are asked over is theirs.
    _engines: LiveEngines,
    plan: Arc<Plan>,
    /// How often the watchdog has put the thread back, as far as that was told.
    demotions: u32,
}

/// What is left of a session that was held.
pub(super) struct Held {
    pub(super) status: Status,
    pub(super) metrics: Metrics,
    /// What could not be written, in sentences.
    pub(super) troubles: Vec<String>,
    /// Where the journal is.
    pub(super) journal: Option<PathBuf>,
}

impl Live {
    /// Puts a session on a shard of its own. What came of every so many ticks is shown; without `files`, nothing is
    /// written anywhere.
    pub(super) fn begin(
        setting: Setting,
        company: Company,
        engines: Engines,
        files: Option<(Folder, Journalled)>,
        beat_ticks: u64,
    ) -> Result<Self, Failure> {
        let Setting { plan, tools, outside, seed, meter } = setting;
        let engines = engines.live(OF_ONE)?;
        let Company { mut edges, session: name, calls, warnings: _ } = company;
        edges.extend(engines.edges(&plan)?);
        let (overruns, overran) = bounded(64);
        let workers = Workers::start(tools, WORKERS);
        let mut following = None;
        if let Some(outside) = outside {
            let (tell, reloads) = Reloads::new();
            let follows = outside.follow(workers.clone(), tell).map_err(|error| {
                Failure::broken(format!("no thread for changes of tools: {error}"))
            })?;
            edges.push(Box::new(reloads));
            following = Some(follows);
        }
        let tools = LiveTools::new(workers, name, overruns);
        let tools = match calls {
            Some(calls) => tools.with_room(calls),
            None => tools,
        };
        let (folder, mut journal) = files.unzip();
        let scribe = journal.as_mut().and_then(|journal| journal.scribe.take());
        let session = Session::new(&plan, seed);
        let mut slot = Slot::new(Arc::clone(&plan), session, edges, Box::new(tools), scribe);
        if let Some(journal) = &mut journal {
            journal.announce(&mut slot);
        }
        let shard = Shard::start(Class::RealTime)
            .map_err(|error| Failure::broken(format!("no thread for the session: {error}")))?;
        let (shown, glimpses) = bounded(GLIMPSES_WAITING);
        let (done, finished) = bounded(1);
        let watch = LiveWatch {
            tally: folder.is_none().then(Tally::new),
            folder: folder.map(FolderThread::spawn),
            journal,
            meter,
            overran,
            show: Box::new(move |now, out, timing| {
                for event in &out.events {
                    // A terminal that does not keep up loses lines.
                    drop(shown.try_send(Glimpse::Event(event.clone())));
                }
                if now.0.is_multiple_of(beat_ticks) {
                    drop(shown.try_send(Glimpse::Beat(Beat::of(now, out, timing))));
                }
                !is_stopped()
            }),
            done: Some(Box::new(move |over| drop(done.try_send(over)))),
            reason: None,
        };
        if !shard.admit(slot, Box::new(watch)) {
            return Err(Failure::broken("the session's thread is gone"));
        }
        Ok(Self { shard, glimpses, finished, following, _engines: engines, plan, demotions: 0 })
    }

    /// What is to be known of the thread from the start.
    pub(super) fn remark(&self) -> Option<&'static str> {
        (self.shard.class() == Standing::Normal).then_some(ORDINARY)
    }

    /// Told each time that the watchdog has put the thread back.
    pub(super) fn demoted(&mut self) -> Option<&'static str> {
        let demotions = self.shard.demotions();
        let told = std::mem::replace(&mut self.demotions, demotions);
        (demotions > told).then_some(DEMOTED)
    }

    /// Waits for the end of the session, and closes its files.
    pub(super) fn put_away(self) -> Result<Held, Failure> {
        let Self { shard, finished, following, plan, .. } = self;
        let gone = || Failure::broken("the session's thread is gone");
        let Over { folder, journal, tally, status, slot, .. } =
            finished.recv().map_err(|_| gone())?;
        drop(slot);
        shard.stop();
        drop(following);
        let (place, loss) = journal.map_or((None, None), Journalled::finish);
        let end = SessionEnd::from(&status).name();
        let (metrics, mut troubles) = match (folder, tally) {
            (Some(mut folder), _) => {
                folder.journal_lost(lost(loss.as_ref()));
                folder.finish(end)
            }
            (None, tally) => (tally.unwrap_or_default().metrics(&plan, end), Vec::new()),
        };
        troubles.extend(loss.map(|loss| format!("journal: {loss}")));
        Ok(Held { status, metrics, troubles, journal: place })
    }
}

impl Beat {
    fn of(now: Tick, out: &Output, timing: Timing) -> Self {
        Self {
            now,
            user_peak: out.levels.iter().map(|level| level.peak).max().unwrap_or(0),
            agent_peak: mix::peak(&out.audio),
            user_speech: out.user_speech,
            agent_speech: out.agent_speech,
            agent: out.agent_state,
            saying: out.saying,
            timing,
        }
    }
}

/// Ticks that a journal lacks.
pub(super) fn lost(loss: Option<&Loss>) -> u64 {
    loss.map_or(0, |loss| loss.ticks)
}
