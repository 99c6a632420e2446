//! The watchdog of the real-time class: what runs before all ordinary threads must not run for ever.
//!
//! A thread of the real-time class that does not sleep takes its core from everybody else, and with it perhaps
//! the shell in which it could be stopped. So whoever wants the class [enlists](enlist): the first to do so
//! starts the watchdog, a thread of a *higher* priority, and the last to leave ends it. Every [`LOOK_MS`] it
//! looks at each enlisted thread's count of processor time and decides on it (`conduct`): one that hardly slept for
//! half a second goes back to the ordinary class, where it competes like everyone, and returns once it has been
//! calm for ten seconds. What several threads take of one core it adds up (`cores`): the one that took most goes.
//!
//! **Invariant:** no thread is in the real-time class unwatched; where the watchdog cannot have its priority,
//! nobody is promoted. The watchdog waits for no lock and asks for no memory: an ordinary thread that is kept
//! from its core may hold either.

mod conduct;
mod cores;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod os;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod os;

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::bounded;

use super::pace::Clock;
use conduct::{Conduct, Verdict};
use cores::{Cores, Share};

/// From one look to the next, in milliseconds: a fifth of what a thread may take.
pub const LOOK_MS: u64 = 100;

/// Threads that can be enlisted at once; more than any machine has cores to give away. Whoever comes then stays
/// in the ordinary class.
pub const SEATS: usize = 64;

/// Low among real-time priorities (1 to 99): above all ordinary threads, below the kernel's own and those of
/// audio servers.
pub const PRIORITY: i32 = 10;

/// One above those that it watches.
pub const WATCHDOG_PRIORITY: i32 = PRIORITY + 1;

/// What a thread is in the class for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// Ticks, which have a time at which they are due.
    Ticks,
    /// Packets, which wait for no tick, and hold none up: one below.
    Packets,
}

impl Rank {
    const fn priority(self) -> i32 {
        match self {
            Self::Ticks => PRIORITY,
            Self::Packets => PRIORITY - 1,
        }
    }
}

/// Where a thread stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In the ordinary class, since it did not ask for more or was not permitted it.
    Normal,
    /// In the real-time class.
    RealTime,
    /// In the ordinary class again: it took nearly all of a core, alone or with others.
    Demoted,
}

/// A thread's place under the watchdog. To be held by whoever waits for the end of that thread, or by the thread
/// itself as its last act.
#[derive(Debug)]
pub struct Enlisted {
    seat: &'static Seat,
}

impl Enlisted {
    /// Where the thread stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self.seat.state.load(Ordering::Acquire) {
            DEMOTED => Standing::Demoted,
            _ => Standing::RealTime,
        }
    }

    /// How often it was demoted.
    #[must_use]
    pub fn demotions(&self) -> u32 {
        self.seat.demotions.load(Ordering::Relaxed)
    }
}

impl Drop for Enlisted {
    fn drop(&mut self) {
        let mut duty = duty();
        self.seat.state.store(FREE, Ordering::Release);
        end_if_last(&mut duty, 1);
    }
}

/// Puts the calling thread into the real-time class for ticks, under the watchdog; `None` where that is not permitted,
/// or where the system has no such class.
#[must_use]
pub fn enlist() -> Option<Enlisted> {
    enlist_for(Rank::Ticks)
}

/// The same for what the thread does.
#[must_use]
pub fn enlist_for(rank: Rank) -> Option<Enlisted> {
    let thread = os::Thread::this()?;
    let mut duty = duty();
    if duty.is_none() {
        *duty = Some(Duty::begin()?);
    }
    let seat = SEATED.iter().find(|seat| seat.state.load(Ordering::Acquire) == FREE);
    match (seat, duty.as_mut()) {
        (Some(seat), Some(duty)) if os::promote(thread.id, rank.priority()) => {
            seat.take(thread, rank);
            duty.enlisted += 1;
            Some(Enlisted { seat })
        }
        _ => {
            end_if_last(&mut duty, 0);
            None
        }
    }
}

/// How long a thread has been on a processor: to be read by any other.
#[derive(Debug, Clone, Copy)]
pub struct ThreadClock(Option<os::Thread>);

impl ThreadClock {
    /// The calling thread's.
    #[must_use]
    pub fn this() -> Self {
        Self(os::Thread::this())
    }

    /// Nanoseconds; 0 if the thread has ended, and where the system does not say.
    #[must_use]
    pub fn busy_ns(&self) -> u64 {
        self.0.and_then(|thread| os::cpu_ns(thread.cpu_clock)).unwrap_or(0)
    }
}

// ---- Who is watched -----------------------------------------------------------------------------

/// The states of a seat.
const FREE: u8 = 0;
const REAL_TIME: u8 = 1;
const DEMOTED: u8 = 2;

/// What the watchdog knows of a thread. Atomics, since it may not wait for a lock.
#[derive(Debug)]
struct Seat {
    state: AtomicU8,
    /// Counts those who sat here, so that the watchdog sees a change.
    sitter: AtomicU32,
    thread: AtomicI32,
    cpu_clock: AtomicI32,
    priority: AtomicI32,
    demotions: AtomicU32,
}

static SEATED: [Seat; SEATS] = [const { Seat::new() }; SEATS];

impl Seat {
    const fn new() -> Self {
        Self {
            state: AtomicU8::new(FREE),
            sitter: AtomicU32::new(0),
            thread: AtomicI32::new(0),
            cpu_clock: AtomicI32::new(0),
            priority: AtomicI32::new(0),
            demotions: AtomicU32::new(0),
        }
    }

    /// Sits down; only who has the duty's lock does.
    fn take(&self, thread: os::Thread, rank: Rank) {
        self.thread.store(thread.id, Ordering::Relaxed);
        self.cpu_clock.store(thread.cpu_clock, Ordering::Relaxed);
        self.priority.store(rank.priority(), Ordering::Relaxed);
        self.demotions.store(0, Ordering::Relaxed);
        self.sitter.fetch_add(1, Ordering::Relaxed);
        self.state.store(REAL_TIME, Ordering::Release);
    }

    /// Looks at the one who sits here, `wall_ns` after the last look; what he took, if he is in the class still.
    fn look(&self, watched: &mut Watched, wall_ns: u64) -> Option<Share> {
        let state = self.state.load(Ordering::Acquire);
        if state == FREE {
            return None;
        }
        // A thread that has ended has no clock any more; its seat will be free soon.
        let cpu_ns = os::cpu_ns(self.cpu_clock.load(Ordering::Relaxed))?;
        let sitter = self.sitter.load(Ordering::Relaxed);
        if watched.sitter != sitter {
            *watched = Watched { sitter, cpu_ns, ..Watched::default() };
            return None;
        }
        let spent_ns = cpu_ns.saturating_sub(watched.cpu_ns);
        watched.cpu_ns = cpu_ns;
        watched.recent_ns = watched.recent_ns / 2 + spent_ns;
        let thread = self.thread.load(Ordering::Relaxed);
        match watched.conduct.look(wall_ns, spent_ns) {
            Verdict::Stays if state == REAL_TIME => {
                let core = os::core(thread)?;
                return Some(Share { core, spent_ns, recent_ns: watched.recent_ns });
            }
            Verdict::Stays => {}
            Verdict::Demote => self.demote(),
            Verdict::Promote => {
                if os::promote(thread, self.priority.load(Ordering::Relaxed)) {
                    self.change(DEMOTED, REAL_TIME);
                }
            }
        }
        None
    }

    /// Puts the one who sits here into the ordinary class.
    fn demote(&self) {
        let is_demoted = os::demote(self.thread.load(Ordering::Relaxed));
        if is_demoted && self.change(REAL_TIME, DEMOTED) {
            self.demotions.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the state was changed: who has left meanwhile is nobody's concern.
    fn change(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

// ---- The one who watches ------------------------------------------------------------------------

/// What the watchdog remembers of a seat.
#[derive(Debug, Clone, Copy, Default)]
struct Watched {
    sitter: u32,
    cpu_ns: u64,
    /// What it took of late: each look counts twice as much as the one before.
    recent_ns: u64,
    conduct: Conduct,
}

/// The watchdog at work.
#[derive(Debug)]
struct Duty {
    enlisted: usize,
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Whether there is a watchdog; taken where threads begin and end, never by the watchdog.
static DUTY: Mutex<Option<Duty>> = Mutex::new(None);

fn duty() -> MutexGuard<'static, Option<Duty>> {
    DUTY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `leaving` of the enlisted leave; nobody left has no watchdog.
fn end_if_last(duty: &mut Option<Duty>, leaving: usize) {
    let Some(at_work) = duty else { return };
    at_work.enlisted = at_work.enlisted.saturating_sub(leaving);
    if at_work.enlisted > 0 {
        return;
    }
    if let Some(Duty { over, thread, .. }) = duty.take() {
        over.store(true, Ordering::Release);
        thread.thread().unpark();
        drop(thread.join());
    }
}

impl Duty {
    /// Starts the watchdog, if it may have its priority.
    fn begin() -> Option<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let (tell, told) = bounded(1);
        let is_over = Arc::clone(&over);
        let thread = std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            let this = os::Thread::this();
            let may = this.is_some_and(|this| os::promote(this.id, WATCHDOG_PRIORITY));
            tell.try_send(may).ok();
            if may {
                watch(&is_over);
            }
        });
        let thread = thread.ok()?;
        told.recv().unwrap_or(false).then_some(Self { enlisted: 0, over, thread })
    }
}

fn watch(over: &AtomicBool) {
    let clock = Clock::default();
    let mut watched = [Watched::default(); SEATS];
    let mut cores = Cores::default();
    let mut before = clock.now();
    while !over.load(Ordering::Acquire) {
        std::thread::park_timeout(Duration::from_millis(LOOK_MS));
        let now = clock.now();
        let wall_ns = now.since_ns(before);
        let mut shares = [None; SEATS];
        for ((seat, watched), share) in SEATED.iter().zip(&mut watched).zip(&mut shares) {
            *share = seat.look(watched, wall_ns);
        }
        let demoted = cores.look(wall_ns, &shares);
        for (at, _) in demoted.into_iter().enumerate().filter(|(_, demoted)| *demoted) {
            watched[at].conduct.demote();
            SEATED[at].demote();
        }
        before = now;
    }
}
