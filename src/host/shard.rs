//! A shard: one thread that steps many sessions in real time.
//!
//! Tick *n* of a session is due at its start plus *n* ticks: deadlines are absolute, so that nothing
//! adds up. The starts are spread over the tick, so that sessions do not all wake at once. A session
//! that is up to [`CATCH_UP_TICKS`] late is stepped back to back until it is in time again; one that
//! is later jumps ahead, and the skip is an input, so that a replay sees the same jump.
//!
//! The thread's timers have no slack, and in the real-time class it has a [watchdog].
//!
//! A session that takes more than its [share](super::budget) is told to end. Where the process has [too much to
//! do](super::overload), all are told to do less of what is no audio.
//!
//! **Invariant:** a session that panics ends alone; one whose shard stops ends as any other does, and says
//! so.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};

use super::budget::{Budget, Excess};
use super::laps::LapTimes;
use super::overload::{Beat, Relief};
use super::pace::{Class, Clock, Moment, sharpen};
use super::watchdog::{self, Enlisted, Standing};
use crate::session::input::Inbound;
use crate::slot::{Slot, Status, message};

/// Ticks that a late session makes up for back to back. More would push the others late.
pub const CATCH_UP_TICKS: u64 = 3;

/// Sessions on their way to a shard at most.
const ADMISSIONS_WAITING: usize = 64;

/// How long a shard may take to take up a session.
pub const ADMISSION_TIME: Duration = Duration::from_secs(1);

/// How long the sessions of a shard that stops have to end, in nanoseconds. A session ends in the tick
/// that it is told so; one that takes longer has an edge that is in nobody's hands.
const STOPPING_NS: u64 = 5_000_000_000;

/// Why sessions end whose shard stops.
pub const STOPPED: &str = "stopped";

/// The name of a shard's thread.
pub const SHARD: &str = "shard";

/// Phases of a tick over which the starts of sessions are spread.
const PHASES: u64 = 16;

/// From one session's phase to the next one's: odd, so that all phases are used, and near 16 divided
/// by the golden ratio, so that any number of sessions is spread evenly.
const PHASE_STEP: u64 = 9;

/// How far into the tick a shard's sessions are due: the one that it admits after so many others, in ticks of so
/// many nanoseconds.
#[must_use]
pub const fn phase_ns(admitted: u64, tick_ns: u64) -> u64 {
    tick_ns / PHASES * (admitted * PHASE_STEP % PHASES)
}

/// What was measured about a tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measured {
    /// From the deadline to the step, in nanoseconds.
    pub lateness_ns: u64,
    /// From the deadline to the moment at which the thread ran again, in nanoseconds. None if it had not slept: it
    /// was late, or had just stepped another session.
    pub wake_ns: Option<u64>,
    /// How long the step took, edges included, in nanoseconds.
    pub step_ns: u64,
    /// Ticks jumped over before it.
    pub skipped: u32,
    /// What the session has taken too much of: it is told to end for that, from the next tick on.
    pub excess: Option<Excess>,
}

/// Looks on while a session runs, on the thread of the shard.
pub trait Watch: Send {
    /// Where the phases of the next tick are to be timed. Nowhere unless said otherwise, and then no clock is read
    /// within a tick.
    fn laps(&mut self) -> Option<&mut LapTimes> {
        None
    }

    /// After each tick. Answers whether the session is to go on.
    fn ticked(&mut self, slot: &mut Slot, measured: Measured) -> bool;

    /// After the last.
    fn ended(&mut self, slot: Slot, status: Status);
}

struct Member {
    slot: Slot,
    watch: Box<dyn Watch>,
    budget: Budget,
    relief: Relief,
}

impl Member {
    /// The slot's next tick, timed where that is wanted.
    fn tick(&mut self, begun: Moment, skipped: u32) -> Status {
        let Self { slot, watch, budget, relief: _ } = self;
        budget.begin();
        let tick = AssertUnwindSafe(|| match watch.laps() {
            Some(laps) => {
                laps.begin(begun);
                slot.tick_marked(skipped, laps).clone()
            }
            None => slot.tick(skipped).clone(),
        });
        catch_unwind(tick).unwrap_or_else(|panic| Status::Panicked(message(&*panic)))
    }

    /// Hands the slot over; what the one who looks on does about it is no matter of the shard's.
    fn end(self, status: Status) {
        let Self { slot, mut watch, budget: _, relief: _ } = self;
        drop(catch_unwind(AssertUnwindSafe(move || watch.ended(slot, status))));
    }
}

enum Order {
    Admit(Box<Member>),
    Stop,
}

/// A thread that steps sessions.
pub struct Shard {
    orders: Sender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Nothing comes from here; it closes when the thread ends.
    running: Receiver<()>,
    /// Let go when the thread has ended.
    enlisted: Option<Enlisted>,
    beat: Arc<Beat>,
}

impl Shard {
    /// Starts a shard, in the real-time class where that is wanted and permitted.
    ///
    /// # Errors
    /// The system has no thread.
    pub fn start(wanted: Class) -> std::io::Result<Self> {
        let (orders, incoming) = bounded(ADMISSIONS_WAITING);
        let (tell, told) = bounded(1);
        let (run, running) = bounded::<()>(0);
        let beat = Arc::new(Beat::default());
        let own = Arc::clone(&beat);
        let thread = std::thread::Builder::new().name(SHARD.to_owned()).spawn(move || {
            sharpen();
            let enlisted = match wanted {
                Class::RealTime => watchdog::enlist(),
                Class::Normal => None,
            };
            // The one who started the shard waits for this.
            drop(tell.try_send(enlisted));
            Loop::new(incoming, own).run();
            drop(run);
        })?;
        let enlisted = told.recv().ok().flatten();
        Ok(Self { orders, thread: Mutex::new(Some(thread)), running, enlisted, beat })
    }

    /// The class that the thread is in, and whether that is because the [watchdog] put it there.
    #[must_use]
    pub fn class(&self) -> Standing {
        self.enlisted.as_ref().map_or(Standing::Normal, Enlisted::standing)
    }

    /// How often the thread was demoted from the real-time class.
    #[must_use]
    pub fn demotions(&self) -> u32 {
        self.enlisted.as_ref().map_or(0, Enlisted::demotions)
    }

    /// How long the thread has been in ticks since it began, in nanoseconds: its increase in a second is the share of
    /// the tick budget that is in use.
    #[must_use]
    pub fn busy_ns(&self) -> u64 {
        self.beat.pulse().busy_ns
    }

    /// What the thread tells of itself, and is told.
    #[must_use]
    pub const fn beat(&self) -> &Arc<Beat> {
        &self.beat
    }

    /// Gives a session to the shard; its first tick is due at once. False if the shard is gone, or takes nothing for
    /// longer than [`ADMISSION_TIME`]: a tick does not come back.
    pub fn admit(&self, slot: Slot, watch: Box<dyn Watch>) -> bool {
        let budget = Budget::new(u64::from(slot.plan().len.ms()) * 1_000_000);
        let order =
            Order::Admit(Box::new(Member { slot, watch, budget, relief: Relief::default() }));
        self.orders.send_timeout(order, ADMISSION_TIME).is_ok()
    }

    /// Ends all sessions and the thread. Each session is told to end, [`STOPPED`], and goes on to its end.
    pub fn stop(self) {
        drop(self);
    }

    /// The same, and waits no longer than this. False if the thread goes on by then, since somebody's
    /// code does not come back; it is left to itself.
    pub fn stop_within(&self, patience: Duration) -> bool {
        let ordered = self.orders.send_timeout(Order::Stop, patience);
        drop(ordered);
        let ended = self.running.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected);
        if let Some(thread) = self.thread()
            && ended
        {
            drop(thread.join());
        }
        ended
    }

    fn thread(&self) -> Option<JoinHandle<()>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        if let Some(thread) = self.thread() {
            drop(self.orders.send(Order::Stop));
            drop(thread.join());
        } else if self.running.try_recv() == Err(TryRecvError::Empty)
            && let Some(enlisted) = self.enlisted.take()
        {
            // Left to itself, and all the more to be watched.
            Box::leak(Box::new(enlisted));
        }
    }
}

struct Loop {
    clock: Clock,
    /// What the phases of ticks are counted from.
    epoch: Moment,
    orders: Receiver<Order>,
    members: Vec<Option<Box<Member>>>,
    due: BinaryHeap<Reverse<(Moment, usize)>>,
    admitted: u64,
    beat: Arc<Beat>,
}

impl Loop {
    fn new(orders: Receiver<Order>, beat: Arc<Beat>) -> Self {
        let clock = Clock::default();
        Self {
            clock,
            epoch: clock.now(),
            orders,
            members: Vec::new(),
            due: BinaryHeap::new(),
            admitted: 0,
            beat,
        }
    }

    fn run(mut self) {
        while self.take_orders() {
            let Some(Reverse((due, at))) = self.due.pop() else { continue };
            let woke = self.clock.sleep_until(due);
            self.step(due, woke, at);
        }
        self.wind_up();
        for member in self.members.drain(..).flatten() {
            member.end(Status::Ended);
        }
    }

    /// Lets sessions come to their end, those on their way to the shard included.
    fn wind_up(&mut self) {
        while let Ok(Order::Admit(member)) = self.orders.try_recv() {
            self.admit(member);
        }
        for member in self.members.iter_mut().flatten() {
            member.slot.announce(Inbound::HangUp { reason: STOPPED.to_owned() });
        }
        let latest = self.clock.now().after_ns(STOPPING_NS);
        while let Some(Reverse((due, at))) = self.due.pop()
            && self.clock.now() < latest
        {
            let woke = self.clock.sleep_until(due);
            self.step(due, woke, at);
        }
    }

    /// Takes what was ordered; waits for it only when there is nothing else to do.
    fn take_orders(&mut self) -> bool {
        loop {
            let order = if self.due.is_empty() {
                self.orders.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                self.orders.try_recv()
            };
            match order {
                Ok(Order::Admit(member)) => self.admit(member),
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
            if !self.due.is_empty() && self.orders.is_empty() {
                return true;
            }
        }
    }

    fn admit(&mut self, member: Box<Member>) {
        let tick_ns = u64::from(member.slot.plan().len.ms()) * 1_000_000;
        let phase_ns = phase_ns(self.admitted, tick_ns);
        self.admitted += 1;
        // At the next such phase of the shard's own time: counted from the admission, which comes right
        // after somebody's tick, sessions would meet.
        let now = self.clock.now();
        let into = now.since_ns(self.epoch) % tick_ns;
        let start = now.after_ns((phase_ns + tick_ns - into) % tick_ns);
        let free = self.members.iter().position(Option::is_none);
        let at = free.unwrap_or(self.members.len());
        if free.is_none() {
            self.members.push(None);
        }
        self.members[at] = Some(member);
        self.due.push(Reverse((start, at)));
    }

    fn step(&mut self, due: Moment, woke: Option<Moment>, at: usize) {
        let Some(member) = &mut self.members[at] else { return };
        let tick_ns = u64::from(member.slot.plan().len.ms()) * 1_000_000;
        let begun = self.clock.now();
        let lateness_ns = begun.since_ns(due);
        let wake_ns = woke.map(|woke| woke.since_ns(due));
        let late = lateness_ns / tick_ns;
        let skipped = if late > CATCH_UP_TICKS { late as u32 } else { 0 };
        if let Some(strain) = member.relief.tell(self.beat.is_strained(), at, tick_ns) {
            member.slot.announce(strain);
        }
        let status = member.tick(begun, skipped);
        let step_ns = self.clock.now().since_ns(begun);
        self.beat.ticked(tick_ns, lateness_ns, step_ns, skipped);
        let excess = member.budget.end(step_ns, member.slot.output().events.len());
        if let Some(excess) = excess {
            member.slot.announce(Inbound::HangUp { reason: excess.to_string() });
        }
        let measured = Measured { lateness_ns, wake_ns, step_ns, skipped, excess };
        let watched = AssertUnwindSafe(|| member.watch.ticked(&mut member.slot, measured));
        let go_on = catch_unwind(watched).unwrap_or(false);
        if status == Status::Running && go_on {
            self.due.push(Reverse((due.after_ns((1 + u64::from(skipped)) * tick_ns), at)));
            return;
        }
        if let Some(member) = self.members[at].take() {
            member.end(status);
        }
    }
}
