//! Clerks: threads that make what a session needs and put away what is left of it, since both wait for disks.
//!
//! While there is too much to do (`host::overload`), reports are left out and files are put away slowly; what begins is not
//! kept waiting, and a journal is always finished.
//!
//! **Invariant:** whatever a clerk is given comes back as an event: made, not made, or put away.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::dev::Reloaded;
use super::leases::Right;
use super::making::{Making, Order, make};
use super::{Event, Made};
use crate::cli::failure::Failure;
use crate::cli::watch::{LiveWatch, Over, Show};
use crate::host::overload::{Place, Stage};
use crate::host::pace::{Clock, pause};
use crate::record::{FolderThread, SessionEnd};
use crate::session::event::EventKind;
use crate::slot::message;

/// Clerks of each kind: one that waits for a disk does not keep a call from beginning.
const CLERKS: usize = 2;

/// Papers that wait at most: a beginning and an end of each of hundreds of jobs.
const PAPERS_WAITING: usize = 4_096;

/// How long a clerk rests at most between two papers, in milliseconds, while there is too much to do: as long as the last one
/// took otherwise, so that half of its time is left to others.
const REST_MS_MAX: u64 = 250;

/// Why there is no report.
const LEFT_OUT: &str = "the worker had too much to do; `antiphon report` with this folder makes it";

enum Paper {
    Make(Box<Order>),
    PutAway(String, Box<Over>, Option<Right>),
    Load(usize, Box<dyn FnOnce() -> Reloaded + Send>),
}

/// The clerks.
pub(super) struct Clerks {
    papers: Sender<Paper>,
}

impl Clerks {
    /// Starts them.
    pub(super) fn start(tell: &Sender<Event>, place: &Place) -> std::io::Result<Self> {
        let (papers, given) = bounded(PAPERS_WAITING);
        // Who puts files away makes no call wait that begins.
        let (kept, to_keep) = bounded(PAPERS_WAITING);
        let clerks = Self { papers };
        for given in [given, to_keep].iter().flat_map(|given| [given; CLERKS]) {
            let (given, tell) = (given.clone(), tell.clone());
            let clerk = Clerk { tell, kept: kept.clone(), place: place.clone() };
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
    place: Place,
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
                Paper::PutAway(job, over, right) => {
                    let begun = Clock::default().now();
                    let put = AssertUnwindSafe(|| put_away(*over, right, &self.place));
                    let put = catch_unwind(put);
                    let troubles = put.unwrap_or_else(|panic| vec![message(&*panic)]);
                    drop(self.tell.send(Event::Kept { job, troubles }));
                    if self.place.stage() >= Stage::Sparing {
                        let took_ms = Clock::default().now().since_ns(begun) / 1_000_000;
                        pause(took_ms.min(REST_MS_MAX) as u32);
                    }
                }
            }
        }
    }

    fn made(&self, order: Order) -> Result<Made, String> {
        let (job, shown) = (order.job.clone(), order.shown);
        let (making, right) = make(order);
        let Making { slot, folder, journal, overran, taken } = making?;
        let show = self.show(&job, shown);
        let (papers, tell) = (self.kept.clone(), self.tell.clone());
        let watch = LiveWatch {
            folder: folder.map(FolderThread::spawn),
            journal,
            meter: None,
            tally: None,
            overran,
            show,
            // Not on the thread of ticks; there is room for one end of each job.
            done: Some(Box::new(move |over| {
                // The server is told before the room is left: files may take longer.
                let (reason, end) = (over.reason.clone(), SessionEnd::from(&over.status));
                drop(tell.try_send(Event::Ended { job: job.clone(), reason, end }));
                drop(papers.try_send(Paper::PutAway(job, Box::new(over), right)));
            })),
            reason: None,
        };
        Ok(Made { slot, watch, taken })
    }

    /// Shows what happens, where that is wanted: a terminal that does not keep up loses lines.
    fn show(&self, job: &str, shown: bool) -> Show {
        let (job, tell) = (job.to_owned(), self.tell.clone());
        Box::new(move |_, out, _| {
            for event in &out.events {
                if matches!(event.kind, EventKind::JournalLost { .. }) {
                    drop(tell.try_send(Event::Unwritten(job.clone())));
                }
                if shown {
                    drop(tell.try_send(Event::Happened(job.clone(), Box::new(event.clone()))));
                }
            }
            true
        })
    }
}

/// Closes the files of a call; what went wrong with them.
fn put_away(over: Over, right: Option<Right>, place: &Place) -> Vec<String> {
    let Over { folder, journal, tally: _, status, reason: _, slot } = over;
    drop(slot);
    if right.is_some_and(|right| !right.holds()) {
        // They are another worker's.
        return Vec::new();
    }
    let loss = journal.and_then(|journal| journal.finish().1);
    let mut troubles = Vec::new();
    if let Some(mut folder) = folder {
        folder.journal_lost(loss.as_ref().map_or(0, |loss| loss.ticks));
        if place.sheds() {
            folder.without_report(LEFT_OUT);
        }
        troubles = folder.finish(SessionEnd::from(&status).name()).1;
    }
    troubles.extend(loss.map(|loss| format!("journal: {loss}")));
    troubles
}
