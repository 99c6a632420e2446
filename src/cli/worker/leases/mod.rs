//! Leases: which worker holds which call, in a folder that workers share.
//!
//! In its folder `leases`, a worker has a file, `NAME.worker`, with a number that rises twice a second. A call has one,
//! `JOB.N.lease`: who holds it for the Nth time, and what another one needs to go on with it. A worker whose number stands
//! still for [`HELD`], by the clock of whoever looks, is taken for dead: clocks of different machines are never compared.
//! Whoever makes the file with the next number has the call; a file can be made once, so that nobody shares one. A worker
//! that finds a higher number than its own, or none, has lost the call, and ends it without writing.
//!
//! **Invariant:** of two workers that believe that they hold a call, the one with the lower number is told that it does
//! not, and no lease is given back by any but its holder.

mod folder;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use serde::{Deserialize, Serialize};

use self::folder::Shared;
use crate::livekit::roster::Seat;
use crate::livekit::worker;

/// How long a worker may be silent until its calls are anybody's.
pub(super) const HELD: Duration = Duration::from_secs(2);

/// How long a call is anybody's until it is nobody's any more: nobody in it waits longer.
pub(super) const GIVEN_UP: Duration = Duration::from_secs(300);

/// How often a worker says that it is there.
const RENEWED: Duration = Duration::from_millis(500);

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Orders that wait at most: some of each of thousands of calls.
const ORDERS_WAITING: usize = 16_384;

/// What another worker needs to go on with a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Call {
    /// The job.
    pub(super) job: worker::Job,
    /// Where the server is.
    pub(super) server: String,
    /// The configuration's name.
    pub(super) config: String,
    /// Which of its conversations.
    pub(super) conversation: Option<String>,
    /// What the session's tools call it: the same wherever it goes on.
    pub(super) session: String,
    /// The build that steps it: only the same one can go on.
    pub(super) build: String,
    /// Who has had a lane, in the order of the lanes.
    pub(super) seats: Vec<Seat>,
}

/// A call that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lease {
    /// How many have held it, this one included.
    pub(super) number: u32,
    /// The worker that holds it.
    pub(super) worker: String,
    pub(super) call: Call,
}

impl Lease {
    /// The job's id.
    pub(super) fn id(&self) -> &str {
        &self.call.job.id
    }
}

/// What happens to leases.
#[derive(Debug)]
pub(super) enum News {
    /// The holder of this call is dead, for so long: it can be [claimed](Leases::claim). Told again while that is so.
    Free(Box<Lease>, Duration),
    /// This worker has taken it over; how long ago its journal was written, in milliseconds, if it was.
    Claimed(Box<Lease>, Option<u64>),
    /// Another worker has taken it over.
    Lost(String),
    /// Something does not work, in words.
    Trouble(String),
}

enum Order {
    Hold(Box<Call>),
    Seats(String, Vec<Seat>),
    Moved(String, String),
    Claim(Box<Lease>),
    Release(String),
    GiveBack(String),
}

/// The leases of a worker. What they do is done on a thread of theirs, since folders may be slow.
pub(super) struct Leases {
    shared: Shared,
    orders: Option<Sender<Order>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Leases {
    /// Looks after the leases of a worker in this folder, which is made if need be.
    ///
    /// # Errors
    /// The folder cannot be used; in words.
    pub(super) fn open(
        folder: &Path,
        tell: impl Fn(News) + Send + 'static,
    ) -> Result<Self, String> {
        let shared = Shared::open(folder)?;
        let (orders, given) = bounded(ORDERS_WAITING);
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("leases".to_owned())
            .spawn(move || watch::watch(of_thread, &given, tell))
            .map_err(|error| format!("no thread for leases: {error}"))?;
        Ok(Self { shared, orders: Some(orders), thread: Some(thread) })
    }

    /// Holds a call from now on.
    pub(super) fn hold(&self, call: Call) {
        self.order(Order::Hold(Box::new(call)));
    }

    /// Notes who has a lane.
    pub(super) fn seats(&self, job: &str, seats: Vec<Seat>) {
        self.order(Order::Seats(job.to_owned(), seats));
    }

    /// Notes that the room is another one, of the same name.
    pub(super) fn moved(&self, job: &str, room_sid: &str) {
        self.order(Order::Moved(job.to_owned(), room_sid.to_owned()));
    }

    /// Tries to have a call that is free.
    pub(super) fn claim(&self, lease: Lease) {
        self.order(Order::Claim(Box::new(lease)));
    }

    /// Gives a call back that others are to go on with.
    pub(super) fn give_back(&self, job: &str) {
        self.order(Order::GiveBack(job.to_owned()));
    }

    /// Gives a call back that is over.
    pub(super) fn release(&self, job: &str) {
        self.order(Order::Release(job.to_owned()));
    }

    /// Where the journal of a call lies.
    pub(super) fn journal(&self, job: &str) -> PathBuf {
        self.shared.journal(job)
    }

    /// What tells whether a call is still this worker's.
    pub(super) fn right(&self, job: &str) -> Right {
        Right { shared: self.shared.clone(), job: job.to_owned() }
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            drop(orders.try_send(order));
        }
    }
}

/// What was ordered is done, and the worker's file is removed.
impl Drop for Leases {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// The right to write the files of a call.
pub(super) struct Right {
    shared: Shared,
    job: String,
}

impl Right {
    /// Whether there still is one: nobody has taken the call over.
    pub(super) fn holds(&self) -> bool {
        self.shared.holds(&self.job)
    }
}
