//! The loops that are compared: the production shard, and three that a person might write.
//!
//! Each runs on a thread of its own, in the same class, without timer slack, under the same watchdog. All but
//! the bare one step the same sessions: the shard each at its own phase of the tick, the others all at the
//! tick's begin. The bare one sleeps to the shard's deadlines, each phase of the tick that has a session: who wakes
//! more often is not late in the same way, and the limit is that of the shard.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use crossbeam_channel::{Sender, bounded};

use super::recording::{Course, Recording};
use super::talkers::drain;
use crate::cli::failure::Failure;
use crate::host::laps::LapTimes;
use crate::host::pace::{Class, Clock, Moment, sharpen};
use crate::host::shard::{Measured, Shard, Watch, phase_ns};
use crate::host::watchdog::{Enlisted, Standing, enlist};
use crate::slot::{Slot, Status, message};

/// A loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Contender {
    /// The production shard
    Shard,
    /// Bare clock_nanosleep to the shard's deadlines: the limit
    Bare,
    /// tokio::time::interval
    Tokio,
    /// Sleeping for what is left of the tick
    Sleep,
}

impl Contender {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Shard, Self::Bare, Self::Tokio, Self::Sleep];

    /// Its name, in tables and objects.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Shard => "shard",
            Self::Bare => "bare",
            Self::Tokio => "tokio",
            Self::Sleep => "sleep",
        }
    }

    /// What it is.
    pub(super) const fn is(self) -> &'static str {
        match self {
            Self::Shard => "the production shard",
            Self::Bare => "clock_nanosleep to the shard's deadlines, no work: the limit",
            Self::Tokio => "tokio::time::interval, current-thread runtime",
            Self::Sleep => "work, then sleep for what is left of the tick",
        }
    }

    /// Whether it steps sessions.
    pub(super) const fn works(self) -> bool {
        match self {
            Self::Shard | Self::Tokio | Self::Sleep => true,
            Self::Bare => false,
        }
    }

    /// Runs it over a course; the bare loop does nothing with the sessions but be due when they are.
    pub(super) fn run(
        self,
        course: Course,
        class: Class,
        slots: Vec<Slot>,
    ) -> Result<Recording, Failure> {
        match self {
            Self::Shard => shard(course, class, slots),
            Self::Bare => on_thread(class, move || Ok(bare(course, slots.len()))),
            Self::Tokio => on_thread(class, move || tokio(course, slots)),
            Self::Sleep => on_thread(class, move || sleep(course, slots)),
        }
    }
}

/// What is said if the class is refused half-way: figures of another one would mislead.
const NO_CLASS: &str = "the real-time class, permitted before, is refused";

fn broken(what: &str, why: impl std::fmt::Display) -> Failure {
    Failure::broken(format!("{what}: {why}"))
}

// ---- The shard ------------------------------------------------------------------------------------

fn shard(course: Course, class: Class, slots: Vec<Slot>) -> Result<Recording, Failure> {
    let no_thread = |why| broken("no thread for the sessions", why);
    let shard = Shard::start(class).map_err(no_thread)?;
    if class == Class::RealTime && shard.class() == Standing::Normal {
        return Err(broken("the shard", NO_CLASS));
    }
    let recording = Arc::new(Mutex::new(Recording::new(course)));
    let (done, finished) = bounded(slots.len());
    for (at, slot) in slots.into_iter().enumerate() {
        let clock = Clock::default();
        let watch = Recorder {
            recording: Arc::clone(&recording),
            course,
            clock,
            laps: LapTimes::new(clock),
            tick: 0,
            first: None,
            shows_drift: at == 0,
            block: Vec::with_capacity(1 << 16),
            done: done.clone(),
        };
        if !shard.admit(slot, Box::new(watch)) {
            return Err(broken("the shard", "its thread is gone"));
        }
    }
    drop(done);
    for (_, status) in finished {
        if let Status::Panicked(why) = status {
            return Err(broken("a session panicked", why));
        }
    }
    let demotions = shard.demotions();
    shard.stop();
    let recording = Arc::into_inner(recording).ok_or_else(|| broken("the shard", "goes on"))?;
    let mut recording = recording.into_inner().unwrap_or_else(PoisonError::into_inner);
    recording.demotions = demotions;
    Ok(recording)
}

/// Records what the shard measured of one session.
struct Recorder {
    /// Shared by the sessions of the shard: all are on its thread, so that nobody ever waits for it.
    recording: Arc<Mutex<Recording>>,
    course: Course,
    clock: Clock,
    laps: LapTimes,
    tick: u64,
    /// When the first tick was due.
    first: Option<Moment>,
    shows_drift: bool,
    block: Vec<u8>,
    /// Slots go where they are freed without hurry.
    done: Sender<(Slot, Status)>,
}

impl Watch for Recorder {
    fn laps(&mut self) -> Option<&mut LapTimes> {
        Some(&mut self.laps)
    }

    fn ticked(&mut self, slot: &mut Slot, measured: Measured) -> bool {
        let over = self.clock.now();
        let Measured { lateness_ns, wake_ns, step_ns, skipped, excess: _ } = measured;
        let first = *self.first.get_or_insert(over.before_ns(step_ns).before_ns(lateness_ns));
        self.tick += u64::from(skipped);
        let mut recording = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wake_ns) = wake_ns {
            recording.woke(self.tick, wake_ns);
        }
        recording.stepped(self.tick, lateness_ns, step_ns);
        recording.phases(self.tick, &self.laps);
        recording.skipped(self.tick, skipped);
        if self.shows_drift {
            // Against the clock, not against what the shard holds for its deadline.
            let nominal = first.after_ns(self.tick * self.course.len_ns);
            recording.stood(self.tick, signed(over.before_ns(step_ns), nominal));
        }
        drop(recording);
        drain(slot, &mut self.block);
        self.tick += 1;
        self.tick < self.course.all()
    }

    fn ended(&mut self, slot: Slot, status: Status) {
        drop(self.done.try_send((slot, status)));
    }
}

// ---- The others -----------------------------------------------------------------------------------

/// Runs a loop on a thread like a shard's.
fn on_thread(
    class: Class,
    act: impl FnOnce() -> io::Result<Recording> + Send + 'static,
) -> Result<Recording, Failure> {
    let contender = move || {
        sharpen();
        let enlisted = match class {
            Class::RealTime => Some(enlist().ok_or_else(|| io::Error::other(NO_CLASS))?),
            Class::Normal => None,
        };
        let mut recording = act()?;
        recording.demotions = enlisted.as_ref().map_or(0, Enlisted::demotions);
        Ok(recording)
    };
    let thread = thread::Builder::new().name("contender".to_owned()).spawn(contender);
    let thread = thread.map_err(|why| broken("no thread for a loop", why))?;
    let ended: io::Result<Recording> =
        thread.join().map_err(|panic| broken("a loop panicked", message(&*panic)))?;
    ended.map_err(|why| broken("a loop", why))
}

fn bare(course: Course, sessions: usize) -> Recording {
    let (clock, mut recording) = (Clock::default(), Recording::new(course));
    let phases = phases(sessions, course.len_ns);
    let start = clock.now().after_ns(course.len_ns);
    for tick in 0..course.all() {
        let begin = start.after_ns(tick * course.len_ns);
        for phase_ns in &phases {
            let due = begin.after_ns(*phase_ns);
            let woke = clock.sleep_until(due);
            if let Some(woke) = woke {
                recording.woke(tick, woke.since_ns(due));
            }
            // One session shows how the loop drifts; the first to come is due at the begin.
            if *phase_ns == 0 {
                recording.stood(tick, signed(woke.unwrap_or_else(|| clock.now()), due));
            }
        }
    }
    recording
}

/// How far into a tick a shard with so many sessions wakes.
fn phases(sessions: usize, len_ns: u64) -> BTreeSet<u64> {
    (0..sessions as u64).map(|admitted| phase_ns(admitted, len_ns)).collect()
}

fn tokio(course: Course, mut slots: Vec<Slot>) -> io::Result<Recording> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let (clock, mut recording) = (Clock::default(), Recording::new(course));
    let mut block = Vec::with_capacity(1 << 16);
    runtime.block_on(async {
        let start = clock.now();
        let mut interval = tokio::time::interval(Duration::from_nanos(course.len_ns));
        for tick in 0..course.all() {
            let due = start.after_ns(tick * course.len_ns);
            let sleeps = clock.now() < due;
            interval.tick().await;
            let woke = clock.now();
            if sleeps {
                recording.woke(tick, woke.since_ns(due));
            }
            recording.stood(tick, signed(woke, due));
            step_all(&mut slots, (tick, due), clock, &mut recording, &mut block)?;
        }
        Ok(recording)
    })
}

#[expect(clippy::disallowed_methods, reason = "this loop does what a shard does not")]
fn sleep(course: Course, mut slots: Vec<Slot>) -> io::Result<Recording> {
    let (clock, mut recording) = (Clock::default(), Recording::new(course));
    let mut block = Vec::with_capacity(1 << 16);
    let start = clock.now();
    let mut rest = Rest::default();
    for tick in 0..course.all() {
        let (begun, due) = (clock.now(), start.after_ns(tick * course.len_ns));
        if let Some(late_ns) = rest.late_ns(begun) {
            recording.woke(tick, late_ns);
        }
        recording.stood(tick, signed(begun, due));
        step_all(&mut slots, (tick, due), clock, &mut recording, &mut block)?;
        thread::sleep(Duration::from_nanos(rest.take_ns(begun, clock.now(), course.len_ns)));
    }
    Ok(recording)
}

/// The sleep for what is left of a tick: how late it ends is measured from where it was to end. Where the tick
/// should have begun is another matter, the drift's.
#[derive(Debug, Default)]
struct Rest {
    until: Option<Moment>,
}

impl Rest {
    /// How long to sleep, after work from `begun` to `now`.
    fn take_ns(&mut self, begun: Moment, now: Moment, len_ns: u64) -> u64 {
        let until = begun.after_ns(len_ns);
        self.until = (until > now).then_some(until);
        until.since_ns(now)
    }

    /// How much later it ended; none if there was none.
    fn late_ns(&self, woke: Moment) -> Option<u64> {
        self.until.map(|until| woke.since_ns(until))
    }
}

/// Steps all sessions, one after the other.
fn step_all(
    slots: &mut [Slot],
    (tick, due): (u64, Moment),
    clock: Clock,
    recording: &mut Recording,
    block: &mut Vec<u8>,
) -> io::Result<()> {
    for slot in slots {
        let begun = clock.now();
        if let Status::Panicked(why) = slot.tick(0) {
            return Err(io::Error::other(why.clone()));
        }
        let took_ns = clock.now().since_ns(begun);
        recording.stepped(tick, begun.since_ns(due), took_ns);
        drain(slot, block);
    }
    Ok(())
}

/// How much later than another moment, or earlier.
fn signed(moment: Moment, than: Moment) -> i64 {
    moment.since_ns(than) as i64 - than.since_ns(moment) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN_NS: u64 = 20_000_000;

    #[test]
    fn the_bare_loop_wakes_as_often_as_a_shard() {
        for (sessions, wakes) in [(1, 1), (2, 2), (5, 5), (16, 16), (17, 16), (1_000, 16)] {
            let phases = phases(sessions, LEN_NS);
            assert_eq!(phases.len(), wakes, "{sessions} sessions");
            assert!(phases.contains(&0) && phases.iter().all(|phase_ns| *phase_ns < LEN_NS));
        }
    }

    #[test]
    fn a_sleep_is_as_late_as_it_ended_and_not_as_all_before_it() {
        let (mut rest, mut begun) = (Rest::default(), Clock::default().now());
        assert_eq!(rest.late_ns(begun), None, "nobody slept before the first tick");
        for _ in 0..100 {
            let worked = begun.after_ns(LEN_NS / 4);
            let slept_ns = rest.take_ns(begun, worked, LEN_NS) + 70_000;
            begun = worked.after_ns(slept_ns);
            assert_eq!(rest.late_ns(begun), Some(70_000));
        }
        assert_eq!(rest.take_ns(begun, begun.after_ns(LEN_NS), LEN_NS), 0);
        assert_eq!(
            rest.late_ns(begun.after_ns(LEN_NS)),
            None,
            "there was nothing left to sleep for"
        );
    }
}
