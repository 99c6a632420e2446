//! A session is made: a new one, or one that another worker has held, as that one left it.
//!
//! **Invariant:** what is written of a call that was taken over is written to files of this worker's own: whoever held
//! it before, and is not quite dead, writes to nothing.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::leases::Right;
use super::served::Served;
use crate::cli::journalled::{self, About, Journalled};
use crate::host::codec::OpusInlet;
use crate::host::standby;
use crate::host::tools::{LiveTools, Overrun, RoomCall};
use crate::host::transcoder::transcoder;
use crate::id::LaneId;
use crate::journal::Journal;
use crate::livekit::edge::RoomEdge;
use crate::livekit::roster::Seat;
use crate::record::{Folder, Timing};
use crate::seed::Seed;
use crate::session::Session;
use crate::session::event::{Event, EventKind};
use crate::session::input::{Inbound, LineState};
use crate::session::plan::Plan;
use crate::sim::owed::{Again, GONE};
use crate::sim::player::plan_of;
use crate::sim::resume::{Resumed, resume};
use crate::slot::{Edge, Slot};
use crate::tool::{Called, Hands};

/// Ticks of a call whose folder is filled from its beginning when it is gone on with: five minutes of 20 ms. Stepping more
/// takes longer than anybody in a call waits; what is missing can be had from the journal.
const WHOLE_TICKS: usize = 15_000;

/// Inline calls that took too long and are told of in a tick at most.
const OVERRUNS_WAITING: usize = 64;

/// What a session is to be made of.
pub(super) struct Order {
    pub(super) job: String,
    /// The same wherever the call goes on, and another for each call: what tools are told to tell calls apart.
    pub(super) session: String,
    pub(super) served: Arc<Served>,
    pub(super) plan: Arc<Plan>,
    pub(super) edge: RoomEdge,
    pub(super) calls: Sender<RoomCall>,
    /// Where its files go, if it is to have any beside a journal.
    pub(super) out: Option<PathBuf>,
    /// Where the journal is that others could go on with, and the right to write it.
    pub(super) shared: Option<(PathBuf, Right)>,
    /// Whose lanes it has, if somebody else has held it.
    pub(super) seats: Option<Vec<Seat>>,
    /// Whether what happens in it is to be shown.
    pub(super) shown: bool,
}

/// A session with everything around it.
pub(super) struct Making {
    pub(super) slot: Slot,
    pub(super) folder: Option<Folder>,
    pub(super) journal: Option<Journalled>,
    pub(super) overran: Receiver<Overrun>,
    pub(super) taken: Option<Taken>,
}

/// How a session was taken over.
pub(super) struct Taken {
    /// Ticks of its journal, and those that were stepped.
    pub(super) ticks: u64,
    pub(super) stepped: u64,
}

/// Makes it; the right to write its files comes back.
pub(super) fn make(order: Order) -> (Result<Making, String>, Option<Right>) {
    let Order { job, session, served, plan, edge, calls, out, shared, seats, shown: _ } = order;
    let (path, right) = shared.unzip();
    let taken_over = seats.is_some();
    let seats = seats.unwrap_or_default();
    let maker = Maker { job, session, served, plan, calls, out, path, seats };
    let made = match maker.path.clone().filter(|_| taken_over) {
        Some(path) => match fs::read(&path) {
            // It died before the session began.
            Ok(bytes) if bytes.is_empty() => maker.new_one(edge),
            Ok(bytes) => {
                let aside = maker.set_aside();
                let made = maker.taken_over(&bytes, (&path, right.as_ref()), edge);
                aside.end(made.is_ok());
                made
            }
            Err(error) if error.kind() == ErrorKind::NotFound => maker.new_one(edge),
            Err(error) => Err(format!("{}: {error}", path.display())),
        },
        None => maker.new_one(edge),
    };
    (made, right)
}

struct Maker {
    job: String,
    session: String,
    served: Arc<Served>,
    plan: Arc<Plan>,
    calls: Sender<RoomCall>,
    out: Option<PathBuf>,
    path: Option<PathBuf>,
    seats: Vec<Seat>,
}

/// The folder of a call as somebody else has left it, until it is known that there is another.
struct Aside(Option<(PathBuf, PathBuf)>);

impl Aside {
    fn end(self, is_made: bool) {
        let Some((aside, out)) = self.0 else { return };
        if is_made {
            drop(fs::remove_dir_all(aside));
        } else {
            drop(fs::remove_dir_all(&out));
            drop(fs::rename(aside, out));
        }
    }
}

impl Maker {
    fn set_aside(&self) -> Aside {
        let moved = self.out.as_ref().and_then(|out| {
            let aside = out.with_extension("before");
            fs::rename(out, &aside).ok().map(|()| (aside, out.clone()))
        });
        Aside(moved)
    }

    /// Whoever is in the room, and of whom a session does not know: the room takes them for known.
    fn greet(&self, session: &Session, edge: &mut RoomEdge) -> Result<Vec<Inbound>, String> {
        let mut joined = Vec::new();
        for (at, seat) in self.seats.iter().enumerate().filter(|(_, seat)| !seat.sid.is_empty()) {
            let lane = LaneId(at as u16);
            if !session.lanes().iter().any(|known| known.id == lane && known.present) {
                let inlet = OpusInlet::new(self.plan.rate, self.plan.reorder);
                edge.take_up(lane, inlet.map_err(|error| error.to_string())?);
                joined.push(Inbound::Joined { lane, name: seat.identity.clone() });
            }
        }
        Ok(joined)
    }

    fn new_one(self, mut edge: RoomEdge) -> Result<Making, String> {
        let seed = Seed::new(self.plan.config.seed).branch(&self.job).next_u64();
        let session = Session::new(&self.plan, seed);
        let joined = self.greet(&session, &mut edge)?;
        let mut edges: Vec<Box<dyn Edge>> = vec![Box::new(edge)];
        edges.extend(self.engines(&self.plan)?);
        let (folder, mut journal) = self.files(seed)?;
        let (tools, overran) = self.tools(journal.as_ref());
        let scribe = journal.as_mut().and_then(|journal| journal.scribe.take());
        let mut slot = Slot::new(self.plan, session, edges, Box::new(tools), scribe);
        if let Some(journal) = &mut journal {
            journal.announce(&mut slot);
        }
        joined.into_iter().for_each(|value| slot.announce(value));
        Ok(Making { slot, folder, journal, overran, taken: None })
    }

    /// Goes on where the journal ends.
    fn taken_over(
        self,
        bytes: &[u8],
        (path, right): (&Path, Option<&Right>),
        mut edge: RoomEdge,
    ) -> Result<Making, String> {
        let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let journal = Journal::read(bytes).map_err(|error| wrong(&error))?;
        if journal.ticks.is_empty() {
            return self.new_one(edge);
        }
        let is_over = |event: &Event| matches!(event.kind, EventKind::SessionEnded { .. });
        if journal.ticks.last().is_some_and(|last| last.outcomes.events.iter().any(is_over)) {
            return Err(OVER.to_owned());
        }
        let recorded = Arc::new(plan_of(&journal).map_err(|error| wrong(&error))?);
        let (resumed, folder) = match self.quick(path, &journal) {
            Some(resumed) => (resumed, self.folder(&recorded, &journal)?),
            None => {
                let transcode = transcoder(&journal.header.codec, &recorded)
                    .map_err(|codec| wrong(&format!("another codec wrote it: {codec}")))?;
                let mut folder = self.folder(&recorded, &journal)?;
                let resumed = resume(&journal, transcode, None, |input, out| {
                    if let Some(folder) = &mut folder {
                        let timing = Timing { skipped: input.skipped, ..Timing::default() };
                        folder.tick(input.tick, out, timing);
                    }
                });
                (resumed.map_err(|error| wrong(&error))?, folder)
            }
        };
        let Resumed { plan, session, owed, stepped } = resumed;
        if (plan.rate, plan.len) != (self.plan.rate, self.plan.len) {
            return Err(wrong(&"the configuration has another rate or tick by now"));
        }
        for lane in session.lanes().iter().filter(|lane| lane.present) {
            let inlet = OpusInlet::new(plan.rate, plan.reorder).map_err(|error| wrong(&error))?;
            edge.take_up(lane.id, inlet.numbered(lane.next_frame()));
        }
        let joined = self.greet(&session, &mut edge)?;
        let mut edges: Vec<Box<dyn Edge>> = vec![Box::new(edge)];
        let mut engines = self.engines(&plan)?;
        let known = self.served.workers.tools();
        let again = owed.again(|tool| known.spec(tool).is_some_and(|spec| spec.idempotent));
        let Again { output, mut told, calls } = again;
        for engine in &mut engines {
            engine.take(session.tick(), &output);
        }
        edges.append(&mut engines);
        let holds = || right.is_none_or(Right::holds);
        let mut written = journalled::go_on(path, bytes, &journal, holds)
            .map_err(|error| wrong(&format!("the journal cannot be gone on with: {error}")))?;
        let (mut tools, overran) = self.tools(Some(&written));
        for call in calls {
            if let Called::Done(outcome) = tools.call(&call) {
                told.push(Inbound::ToolResult { call: call.id, outcome });
            }
        }
        let mut slot = Slot::new(plan, session, edges, Box::new(tools), written.scribe.take());
        let lost = LineState::Lost(GONE.to_owned());
        slot.announce(Inbound::Line { state: lost });
        slot.announce(Inbound::Line { state: LineState::Restored });
        joined.into_iter().chain(told).for_each(|value| slot.announce(value));
        let taken = Some(Taken { ticks: journal.ticks.len() as u64, stepped });
        Ok(Making { slot, folder, journal: Some(written), overran, taken })
    }

    /// The session from its last checkpoint on, where that is quicker, and a folder is not to have all of the call.
    fn quick(&self, path: &Path, journal: &Journal) -> Option<Resumed> {
        if self.out.is_some() && journal.ticks.len() < WHOLE_TICKS {
            return None;
        }
        let (checkpoint, kept) = standby::read(path)?;
        resume(journal, Some(Box::new(kept)), Some(checkpoint), |_, _| {}).ok()
    }

    /// The folder of a call that somebody else has begun and that is set aside: its files are made anew.
    fn folder(&self, plan: &Arc<Plan>, journal: &Journal) -> Result<Option<Folder>, String> {
        let Some(out) = &self.out else { return Ok(None) };
        let folder = journalled::begun(out, plan, journal.header.seed, false);
        let mut folder = folder.map_err(|failure| failure.to_string())?;
        if let Some(began_ms) = journal.header.started_ms {
            folder.live_since(began_ms);
        }
        Ok(Some(folder))
    }

    fn engines(&self, plan: &Plan) -> Result<Vec<Box<dyn Edge>>, String> {
        self.served.engines.edges(plan).map_err(|failure| failure.to_string())
    }

    fn tools(&self, journal: Option<&Journalled>) -> (LiveTools, Receiver<Overrun>) {
        let (overruns, overran) = bounded(OVERRUNS_WAITING);
        let tools = LiveTools::new(self.served.workers.clone(), self.session.clone(), overruns);
        // Only where others may go on with the call is there anything to be kept from being done twice.
        let mark = journal.filter(|_| self.path.is_some()).and_then(Journalled::mark);
        (tools.with_room(self.calls.clone()).with_journal(mark), overran)
    }

    /// The folder and the journal of a call, as far as they are wanted.
    fn files(&self, seed: u64) -> Result<(Option<Folder>, Option<Journalled>), String> {
        let nowhere = PathBuf::new();
        let about = About {
            plan: &self.plan,
            out: self.out.as_deref().unwrap_or(&nowhere),
            named: self.path.as_deref(),
            seed,
            virtual_time: false,
            opus: true,
            shared: self.path.is_some(),
        };
        if self.out.is_none() {
            return Ok((None, journalled::alone(&about)));
        }
        let opened = journalled::open(&about);
        let opened = opened.map_err(|error| error.to_string())?;
        Ok((Some(opened.0), Some(opened.1)))
    }
}

/// Why a call is not gone on with that was over when its worker died.
const OVER: &str = "the call was over already";
