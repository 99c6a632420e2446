//! A seat: what the directory knows of one session, and the line to it.
//!
//! The thread of the shard writes it and never waits for it; whoever looks may see the last tick but
//! one. What a session is told goes through a bounded channel; that it is to end is beside it, so that
//! this always arrives.
//!
//! **Invariant:** a seat is in the directory for exactly as long as its session may be stepped, save one
//! that was removed by force.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Directory;
use crate::host::laps::LapTimes;
use crate::host::pace::{Clock, Moment, wall_ms};
use crate::host::shard::{Measured, Watch};
use crate::id::AgentId;
use crate::session::input::Inbound;
use crate::session::plan::Plan;
use crate::slot::{Slot, Status};

/// How long a session that was told to end may take until it is removed by force.
pub const END_MAX: Duration = Duration::from_secs(5);

/// Values on their way to a session at most, until its next tick.
pub const MAIL_MAX: usize = 32;

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is being made, or has not been stepped yet.
    Starting,
    /// It is stepped.
    Running,
    /// It was told to end.
    Ending,
}

/// A session, as the list has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// The name of the configuration that it began with.
    pub configuration: String,
    /// The agent that has the call.
    pub agent: String,
    /// When it was created, in milliseconds since 1970.
    pub since_ms: u64,
    /// Ticks done, those jumped over included.
    pub ticks: u64,
    /// Participants that are there.
    pub participants: usize,
    /// How far it has come.
    pub state: State,
    /// The shard that steps it, from 0.
    pub shard: usize,
}

struct End {
    reason: String,
    since: Moment,
}

/// What the directory knows of a session.
pub(super) struct Seat {
    pub(super) id: String,
    pub(super) configuration: String,
    pub(super) shard: usize,
    since_ms: u64,
    agent: Mutex<String>,
    ticks: AtomicU64,
    participants: AtomicUsize,
    end: OnceLock<End>,
    /// It is out of the directory.
    gone: AtomicBool,
    mail: Sender<Inbound>,
}

impl Seat {
    pub(super) fn new(
        id: &str,
        configuration: &str,
        shard: usize,
        plan: &Plan,
    ) -> (Arc<Self>, Receiver<Inbound>) {
        let (mail, inbox) = bounded(MAIL_MAX);
        let seat = Self {
            id: id.to_owned(),
            configuration: configuration.to_owned(),
            shard,
            since_ms: wall_ms(),
            agent: Mutex::new(plan.agent(plan.start).name.clone()),
            ticks: AtomicU64::new(0),
            participants: AtomicUsize::new(0),
            end: OnceLock::new(),
            gone: AtomicBool::new(false),
            mail,
        };
        (Arc::new(seat), inbox)
    }

    pub(super) fn entry(&self) -> Entry {
        let ticks = self.ticks.load(Ordering::Relaxed);
        let state = match (self.end.get(), ticks) {
            (Some(_), _) => State::Ending,
            (None, 0) => State::Starting,
            (None, _) => State::Running,
        };
        Entry {
            id: self.id.clone(),
            configuration: self.configuration.clone(),
            agent: self.agent.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            since_ms: self.since_ms,
            ticks,
            participants: self.participants.load(Ordering::Relaxed),
            state,
            shard: self.shard,
        }
    }

    /// Tells the session something at its next tick. False if it is gone, or was told too much at once.
    pub(super) fn tell(&self, value: Inbound) -> bool {
        !self.gone.load(Ordering::Acquire) && self.mail.try_send(value).is_ok()
    }

    /// Tells it to end; the first reason stands.
    pub(super) fn end(&self, reason: &str) {
        let (reason, since) = (reason.to_owned(), Clock::default().now());
        drop(self.end.set(End { reason, since }));
    }

    /// Whether it was told to end and has had its time.
    pub(super) fn is_overdue(&self, now: Moment) -> bool {
        let overdue = |end: &End| now.since_ns(end.since) >= END_MAX.as_nanos() as u64;
        self.end.get().is_some_and(overdue)
    }

    pub(super) fn leave(&self) {
        self.gone.store(true, Ordering::Release);
    }
}

/// Takes a seat out of the directory, whatever becomes of the one who holds this.
pub(super) struct Leave {
    pub(super) directory: Arc<Directory>,
    pub(super) seat: Arc<Seat>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.directory.remove(&self.seat);
    }
}

/// Looks on for the directory, and for the one who made the session.
pub(super) struct Watched {
    pub(super) watch: Box<dyn Watch>,
    pub(super) inbox: Receiver<Inbound>,
    pub(super) shown: Option<AgentId>,
    pub(super) told_to_end: bool,
    /// The last field: the session leaves when all else of it is gone.
    pub(super) leave: Leave,
}

impl Watched {
    fn show(&mut self, slot: &Slot) {
        let (seat, session) = (&self.leave.seat, slot.session());
        seat.ticks.store(session.tick().0, Ordering::Relaxed);
        let there = session.lanes().iter().filter(|lane| lane.present).count();
        seat.participants.store(there, Ordering::Relaxed);
        if self.shown != Some(session.agent())
            && let Ok(mut agent) = seat.agent.try_lock()
        {
            agent.clone_from(&slot.plan().agent(session.agent()).name);
            self.shown = Some(session.agent());
        }
    }
}

impl Watch for Watched {
    fn laps(&mut self) -> Option<&mut LapTimes> {
        self.watch.laps()
    }

    fn ticked(&mut self, slot: &mut Slot, measured: Measured) -> bool {
        self.show(slot);
        for value in self.inbox.try_iter().take(MAIL_MAX) {
            slot.announce(value);
        }
        let seat = &self.leave.seat;
        if let Some(end) = seat.end.get() {
            if !std::mem::replace(&mut self.told_to_end, true) {
                slot.announce(Inbound::HangUp { reason: end.reason.clone() });
            } else if seat.is_overdue(Clock::default().now()) {
                return false;
            }
        }
        self.watch.ticked(slot, measured)
    }

    fn ended(&mut self, slot: Slot, status: Status) {
        self.watch.ended(slot, status);
    }
}
