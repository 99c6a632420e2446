//! The directory of sessions: many, of several configurations, on several shards.
//!
//! A session is created under an id, and is in the directory until it has ended; whoever creates one
//! that is there already is given that one. A new one goes to the shard with the fewest. Everything
//! here may be called from any thread, save the tick's own, and at once.
//!
//! A [reload](Sessions::reload) is for new sessions. Those under way are [told](Sessions::renew) where
//! that is wanted, and go on with it at a tick boundary.
//!
//! ```no_run
//! use std::sync::Arc;
//! use antiphon::{config, host::{pace::Class, sessions::Sessions}, session::{Session, plan::Plan}};
//! # use antiphon::{host::shard::Watch, slot::Slot};
//! # fn slot(_: &Arc<Plan>, _: Session) -> Slot { panic!("not run") }
//! # fn watch() -> Box<dyn Watch> { panic!("not run") }
//!
//! let sessions = Sessions::start(2, Class::RealTime)?;
//! let config = config::read(std::fs::File::open("shop.yaml"), "shop.yaml")?;
//! sessions.plans().load("shop", Arc::new(Plan::new(config)?));
//! let make = |plan: &Arc<Plan>| Ok((slot(plan, Session::new(plan, 1)), watch()));
//! let created = sessions.create("call-17", "shop", make)?;
//! assert!(created.new);
//! sessions.end("call-17");
//! sessions.shut_down();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Invariant:** no lock is held while anything is waited for, made or stepped, and no shard waits for
//! one that is.

mod plans;
mod seat;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use plans::{NotReloaded, Plans};
pub use seat::{END_MAX, Entry, MAIL_MAX, State};

use seat::{Leave, Seat, Watched};

use super::overload::Beat;
use super::pace::{Class, Clock};
use super::shard::{STOPPED, Shard, Watch};
use super::watchdog::Standing;
use crate::session::input::Inbound;
use crate::session::plan::Plan;
use crate::session::reload::config_hash;
use crate::slot::Slot;

/// Sessions at most: far more than the shards of a machine can step.
pub const SESSIONS_MAX: usize = 10_000;

/// Characters of an id at most.
pub const ID_MAX: usize = 128;

/// Why sessions end that are ended by [`Sessions::end`].
pub const ENDED: &str = "ended from outside";

/// How long a shard may take to stop once its sessions have ended, or have had their time.
const SHARD_STOP_MAX: Duration = Duration::from_secs(1);

/// Why a session was not created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotCreated {
    /// The id is empty, has more than [`ID_MAX`] characters, or one that cannot be printed.
    BadId,
    /// There is no configuration of this name.
    UnknownConfiguration(String),
    /// There are [`SESSIONS_MAX`] sessions.
    Full,
    /// All sessions are being ended.
    ShutDown,
    /// Its maker gave up, for this reason.
    Unmade(String),
    /// The thread that would have stepped it is gone.
    NoShard,
}

impl std::fmt::Display for NotCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BadId => {
                write!(f, "the id of a session has 1 to {ID_MAX} characters that can be printed")
            }
            Self::UnknownConfiguration(name) => {
                write!(f, "there is no configuration `{name}`; load it first")
            }
            Self::Full => {
                write!(f, "there are {SESSIONS_MAX} sessions, and no more at once; end some")
            }
            Self::ShutDown => f.write_str("all sessions are being ended, and none begins"),
            Self::Unmade(why) => write!(f, "the session cannot be made: {why}"),
            Self::NoShard => {
                f.write_str("the thread that would step the session is gone, or does not come back")
            }
        }
    }
}

impl std::error::Error for NotCreated {}

/// A session that is there.
#[derive(Debug)]
pub struct Created {
    /// Whether it is new; otherwise it was there before.
    pub new: bool,
    /// The session.
    pub session: Handle,
}

/// A session of the directory, to look at and to talk to from anywhere.
#[derive(Clone)]
pub struct Handle {
    seat: Arc<Seat>,
    directory: Arc<Directory>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle({})", self.seat.id)
    }
}

impl Handle {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.seat.id
    }

    /// How it is, or was last.
    #[must_use]
    pub fn entry(&self) -> Entry {
        self.seat.entry()
    }

    /// Tells the session something, for its next tick. False if it is gone, or has been told
    /// [`MAIL_MAX`] values since its last tick.
    #[must_use]
    pub fn tell(&self, value: Inbound) -> bool {
        self.seat.tell(value)
    }

    /// Tells the session to end, for this reason; the first one stands. After [`END_MAX`] it is removed
    /// by force.
    pub fn end(&self, reason: &str) {
        self.seat.end(reason);
    }

    /// Waits until the session is gone, for so long. Whether it is.
    #[must_use]
    pub fn wait_gone(&self, patience: Duration) -> bool {
        let here = |seats: &mut Seats| seats.holds(&self.seat);
        let seats = self.directory.lock();
        let waited = self.directory.left.wait_timeout_while(seats, patience, here);
        let (seats, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !seats.holds(&self.seat)
    }
}

/// What came of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// The [hash](config_hash) of the configuration that new sessions run on from now on.
    pub hash: String,
    /// The sessions that have begun with the former ones and run on: none of them is told of this one
    /// unless that is [asked for](Sessions::renew).
    pub running: Vec<String>,
}

#[derive(Default)]
struct Seats {
    by_id: BTreeMap<String, Arc<Seat>>,
    shut_down: bool,
}

impl Seats {
    fn holds(&self, seat: &Arc<Seat>) -> bool {
        self.by_id.get(&seat.id).is_some_and(|held| Arc::ptr_eq(held, seat))
    }
}

/// Who is there.
#[derive(Default)]
struct Directory {
    seats: Mutex<Seats>,
    /// Somebody has left.
    left: Condvar,
}

impl Directory {
    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, without those who were told to end and have had their time.
    fn current(&self) -> MutexGuard<'_, Seats> {
        let mut seats = self.lock();
        let (before, now) = (seats.by_id.len(), Clock::default().now());
        seats.by_id.retain(|_, seat| {
            let stays = !seat.is_overdue(now);
            if !stays {
                seat.leave();
            }
            stays
        });
        if seats.by_id.len() < before {
            self.left.notify_all();
        }
        seats
    }

    fn remove(&self, seat: &Arc<Seat>) {
        seat.leave();
        let mut seats = self.lock();
        // Another one may have the id by now, if this was removed by force.
        if seats.holds(seat) {
            seats.by_id.remove(&seat.id);
        }
        drop(seats);
        self.left.notify_all();
    }
}

/// The directory.
pub struct Sessions {
    directory: Arc<Directory>,
    plans: Plans,
    shards: Vec<Shard>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sessions({} on {} shards)", self.session_count(), self.shards.len())
    }
}

impl Sessions {
    /// Starts so many shards, at least one, in the real-time class where that is wanted and permitted.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn start(shards: usize, class: Class) -> std::io::Result<Self> {
        let shards: std::io::Result<Vec<Shard>> =
            (0..shards.max(1)).map(|_| Shard::start(class)).collect();
        Ok(Self { directory: Arc::default(), plans: Plans::default(), shards: shards? })
    }

    /// The configurations that sessions can be created with.
    #[must_use]
    pub const fn plans(&self) -> &Plans {
        &self.plans
    }

    /// The session of this id: the one that is there, or a new one of this configuration. `make` is
    /// given the plan, is called on this thread, and only for a new one.
    ///
    /// # Errors
    /// It cannot be; nothing is left of it.
    pub fn create(
        &self,
        id: &str,
        configuration: &str,
        make: impl FnOnce(&Arc<Plan>) -> Result<(Slot, Box<dyn Watch>), String>,
    ) -> Result<Created, NotCreated> {
        if id.is_empty() || id.chars().count() > ID_MAX || id.chars().any(char::is_control) {
            return Err(NotCreated::BadId);
        }
        let directory = Arc::clone(&self.directory);
        let mut seats = directory.current();
        if let Some(seat) = seats.by_id.get(id) {
            let session = self.handle(seat);
            return Ok(Created { new: false, session });
        }
        if seats.shut_down {
            return Err(NotCreated::ShutDown);
        }
        if seats.by_id.len() >= SESSIONS_MAX {
            return Err(NotCreated::Full);
        }
        // Under the lock, so that a reload finds every session that began on what was before.
        let Some(plan) = self.plans.get(configuration) else {
            return Err(NotCreated::UnknownConfiguration(configuration.to_owned()));
        };
        let shard = self.least_loaded(&seats);
        let (seat, inbox) = Seat::new(id, configuration, shard, &plan);
        seats.by_id.insert(id.to_owned(), Arc::clone(&seat));
        drop(seats);

        let session = self.handle(&seat);
        let leave = Leave { directory, seat };
        let (slot, watch) = make(&plan).map_err(NotCreated::Unmade)?;
        let watched = Watched { watch, inbox, shown: None, told_to_end: false, leave };
        if !self.shards[shard].admit(slot, Box::new(watched)) {
            return Err(NotCreated::NoShard);
        }
        Ok(Created { new: true, session })
    }

    fn handle(&self, seat: &Arc<Seat>) -> Handle {
        Handle { seat: Arc::clone(seat), directory: Arc::clone(&self.directory) }
    }

    /// The shard with the fewest sessions, the first of several.
    fn least_loaded(&self, seats: &Seats) -> usize {
        let mut loads = vec![0_usize; self.shards.len()];
        for seat in seats.by_id.values() {
            loads[seat.shard] += 1;
        }
        (0..loads.len()).min_by_key(|shard| loads[*shard]).unwrap_or(0)
    }

    /// The session of this id, if it is there.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Handle> {
        self.directory.current().by_id.get(id).map(|seat| self.handle(seat))
    }

    /// The sessions that are there, in the order of their ids.
    #[must_use]
    pub fn list(&self) -> Vec<Entry> {
        let seats: Vec<Arc<Seat>> = self.directory.current().by_id.values().cloned().collect();
        seats.iter().map(|seat| seat.entry()).collect()
    }

    /// The ids of the sessions that are there, in order.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.directory.current().by_id.keys().cloned().collect()
    }

    /// How many sessions are there.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.directory.current().by_id.len()
    }

    /// How long the thread of each shard has been in ticks, in nanoseconds: see [`Shard::busy_ns`].
    #[must_use]
    pub fn busy_ns(&self) -> Vec<u64> {
        self.shards.iter().map(Shard::busy_ns).collect()
    }

    /// What the thread of each shard tells of itself, and is told.
    #[must_use]
    pub fn beats(&self) -> Vec<Arc<Beat>> {
        self.shards.iter().map(|shard| Arc::clone(shard.beat())).collect()
    }

    /// How many of the shards are not in the real-time class.
    #[must_use]
    pub fn ordinary(&self) -> usize {
        self.shards.iter().filter(|shard| shard.class() == Standing::Normal).count()
    }

    /// Tells the session of this id to end, [`ENDED`], and does not wait for it; after [`END_MAX`] it
    /// is removed by force. False if there is none.
    pub fn end(&self, id: &str) -> bool {
        let handle = self.get(id);
        if let Some(handle) = &handle {
            handle.end(ENDED);
        }
        handle.is_some()
    }

    /// Puts a configuration in the place of the one of this name, for new sessions. `file_name` is what
    /// complaints call it.
    ///
    /// # Errors
    /// There is none of this name, or something is wrong with this one: then all stays as it was.
    pub fn reload(
        &self,
        configuration: &str,
        text: &[u8],
        file_name: &str,
    ) -> Result<Reloaded, NotReloaded> {
        let plan = self.plans.reload(configuration, text, file_name)?;
        let seats = self.directory.current();
        let ids = seats.by_id.values().filter(|seat| seat.configuration == configuration);
        let running = ids.map(|seat| seat.id.clone()).collect();
        drop(seats);
        Ok(Reloaded { hash: config_hash(&plan.config), running })
    }

    /// Tells the session of this id to go on with its configuration as it is loaded now, from its next
    /// tick on. Its own event says what came of that: `config.reloaded` or `config.refused`. False if
    /// there is no such session, or it was told too much at once.
    pub fn renew(&self, id: &str) -> bool {
        let Some(handle) = self.get(id) else { return false };
        let Some(plan) = self.plans.get(&handle.seat.configuration) else { return false };
        handle.tell(Inbound::Reload { config: plan.config.to_json() })
    }

    /// Ends all sessions, `stopped`, and all shards; none begins any more. Waits for [`END_MAX`] at
    /// most, and a second for each shard whose thread does not come back. The sessions that had not
    /// ended by then. Not from a shard's own thread: it would wait for itself.
    pub fn shut_down(&self) -> Vec<String> {
        let mut seats = self.directory.lock();
        seats.shut_down = true;
        for seat in seats.by_id.values() {
            seat.end(STOPPED);
        }
        let any = |seats: &mut Seats| !seats.by_id.is_empty();
        let waited = self.directory.left.wait_timeout_while(seats, END_MAX, any);
        let (mut seats, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let forced = std::mem::take(&mut seats.by_id);
        drop(seats);
        for seat in forced.values() {
            seat.leave();
        }
        self.directory.left.notify_all();
        for shard in &self.shards {
            shard.stop_within(SHARD_STOP_MAX);
        }
        forced.into_keys().collect()
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.shut_down();
    }
}
