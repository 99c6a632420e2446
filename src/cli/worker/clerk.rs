//! Clerks: threads that make what a session needs and put away what is left of it, since both wait for disks.
//!
//! **Invariant:** whatever a clerk is given comes back as an event: made, not made, or put away.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::dev::Reloaded;
use super::served::Served;
use super::{Event, Made};
use crate::cli::failure::Failure;
use crate::cli::journalled::{self, About, Journalled};
use crate::cli::watch::{LiveWatch, Over, Show};
use crate::host::tools::{LiveTools, RoomCall};
use crate::livekit::edge::RoomEdge;
use crate::record::{Folder, FolderThread, SessionEnd};
use crate::seed::Seed;
use crate::session::Session;
use crate::session::plan::Plan;
use crate::slot::{Edge, Slot, message};

/// Clerks of each kind: one that waits for a disk does not keep a call from beginning.
const CLERKS: usize = 2;

/// Papers that wait at most: a beginning and an end of each of hundreds of jobs.
const PAPERS_WAITING: usize = 4_096;

/// Inline calls that took too long and are told of in a tick at most.
const OVERRUNS_WAITING: usize = 64;

/// What a session is to be made of.
pub(super) struct Order {
    pub(super) job: String,
    pub(super) room_sid: String,
    pub(super) served: Arc<Served>,
    pub(super) plan: Arc<Plan>,
    pub(super) edge: RoomEdge,
    pub(super) calls: Sender<RoomCall>,
    /// Where its files go, if it is to have any beside a journal.
    pub(super) out: Option<PathBuf>,
    /// Whether what happens in it is to be shown.
    pub(super) shown: bool,
}

enum Paper {
    Make(Box<Order>),
    PutAway(String, Box<Over>),
    Load(usize, Box<dyn FnOnce() -> Reloaded + Send>),
}

/// The clerks.
pub(super) struct Clerks {
    papers: Sender<Paper>,
}

impl Clerks {
    /// Starts them.
    pub(super) fn start(tell: &Sender<Event>) -> std::io::Result<Self> {
        let (papers, given) = bounded(PAPERS_WAITING);
        // Who puts files away makes no call wait that begins.
        let (kept, to_keep) = bounded(PAPERS_WAITING);
        let clerks = Self { papers };
        for given in [given, to_keep].iter().flat_map(|given| [given; CLERKS]) {
            let (given, tell) = (given.clone(), tell.clone());
            let clerk = Clerk { tell, kept: kept.clone() };
            std::thread::Builder::new()
                .name("clerk".to_owned())
                .spawn(move || clerk.work(&given))?;
        }
        Ok(clerks)
    }

    /// Has a configuration read anew.
    pub(super) fn load(&self, at: usize, load: impl FnOnce() -> Reloaded + Send + 'static) {
        drop(self.papers.try_send(Paper::Load(at, Box::new(load))));
    }

    /// Has a session made. False if there is too much to do.
    pub(super) fn make(&self, order: Order) -> bool {
        self.papers.try_send(Paper::Make(Box::new(order))).is_ok()
    }
}

struct Clerk {
    tell: Sender<Event>,
    kept: Sender<Paper>,
}

impl Clerk {
    fn work(self, given: &Receiver<Paper>) {
        for paper in given {
            match paper {
                Paper::Make(order) => {
                    let job = order.job.clone();
                    let made = catch_unwind(AssertUnwindSafe(|| self.made(*order)));
                    let made = made.unwrap_or_else(|panic| Err(message(&*panic)));
                    drop(self.tell.send(Event::Made(job, made.map(Box::new))));
                }
                Paper::Load(at, load) => {
                    let loaded = catch_unwind(AssertUnwindSafe(load));
                    let loaded =
                        loaded.unwrap_or_else(|panic| Err(Failure::broken(message(&*panic))));
                    drop(self.tell.send(Event::Loaded(at, loaded)));
                }
                Paper::PutAway(job, over) => {
                    let put = catch_unwind(AssertUnwindSafe(|| put_away(*over)));
                    let troubles = put.unwrap_or_else(|panic| vec![message(&*panic)]);
                    drop(self.tell.send(Event::Kept { job, troubles }));
                }
            }
        }
    }

    fn made(&self, order: Order) -> Result<Made, String> {
        let Order { job, room_sid, served, plan, edge, calls, out, shown } = order;
        let mut edges: Vec<Box<dyn Edge>> = vec![Box::new(edge)];
        edges.extend(served.engines.edges(&plan).map_err(|failure| failure.to_string())?);
        // The same wherever the call goes on, and another for each call: what tools are told to tell calls apart.
        let name = format!("livekit:{room_sid}:{job}");
        let (overruns, overran) = bounded(OVERRUNS_WAITING);
        let tools = LiveTools::new(served.workers.clone(), name, overruns).with_room(calls);
        let seed = Seed::new(plan.config.seed).branch(&job).next_u64();
        let (folder, mut journal) = files(&plan, out, seed)?;
        let session = Session::new(&plan, seed);
        let scribe = journal.as_mut().and_then(|journal| journal.scribe.take());
        let mut slot = Slot::new(plan, session, edges, Box::new(tools), scribe);
        if let Some(journal) = &mut journal {
            journal.announce(&mut slot);
        }
        let show = self.show(&job, shown);
        let (papers, tell) = (self.kept.clone(), self.tell.clone());
        let watch = LiveWatch {
            folder: folder.map(FolderThread::spawn),
            journal,
            meter: None,
            overran,
            show,
            // Not on the thread of ticks; there is room for one end of each job.
            done: Some(Box::new(move |over| {
                // The server is told before the room is left: files may take longer.
                let (reason, end) = (over.reason.clone(), SessionEnd::from(&over.status));
                drop(tell.try_send(Event::Ended { job: job.clone(), reason, end }));
                drop(papers.try_send(Paper::PutAway(job, Box::new(over))));
            })),
            reason: None,
        };
        Ok(Made { slot, watch })
    }

    /// Shows what happens, where that is wanted: a terminal that does not keep up loses lines.
    fn show(&self, job: &str, shown: bool) -> Show {
        if !shown {
            return Box::new(|_, _| true);
        }
        let (job, tell) = (job.to_owned(), self.tell.clone());
        Box::new(move |_, out| {
            for event in &out.events {
                drop(tell.try_send(Event::Happened(job.clone(), Box::new(event.clone()))));
            }
            true
        })
    }
}

/// The folder and the journal of a call, as far as they are wanted.
fn files(
    plan: &Arc<Plan>,
    out: Option<PathBuf>,
    seed: u64,
) -> Result<(Option<Folder>, Option<Journalled>), String> {
    let nowhere = PathBuf::new();
    let about = About {
        plan,
        out: out.as_deref().unwrap_or(&nowhere),
        named: None,
        seed,
        virtual_time: false,
        opus: true,
    };
    let Some(out) = &out else { return Ok((None, journalled::alone(&about))) };
    let opened = journalled::open(&about, || {
        let folder = Folder::create(out, Arc::clone(plan), false);
        let mut folder = folder.map_err(|error| Failure::input(error.to_string()))?;
        folder.seeded(seed);
        Ok(folder)
    });
    opened.map(|(folder, journal)| (Some(folder), Some(journal))).map_err(|error| error.to_string())
}

/// Closes the files of a call; what went wrong with them.
fn put_away(over: Over) -> Vec<String> {
    let Over { folder, journal, status, reason: _, slot } = over;
    drop(slot);
    let loss = journal.and_then(|journal| journal.finish().1);
    let mut troubles = Vec::new();
    if let Some(mut folder) = folder {
        folder.journal_lost(loss.as_ref().map_or(0, |loss| loss.ticks));
        troubles = folder.finish(SessionEnd::from(&status).name()).1;
    }
    troubles.extend(loss.map(|loss| format!("journal: {loss}")));
    troubles
}
