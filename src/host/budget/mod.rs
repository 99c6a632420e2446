//! What a session may take of what it shares with others: the time of its shard's thread, and events.
//!
//! Each session has an allowance of both that every tick fills up a little. One that takes a quarter of its thread for
//! good, or floods whoever listens with events, has used its allowance up within moments, and is shed: it is told to
//! end, for a reason that names what it took too much of. The others are late by as much as it took until then, which
//! is less than the three ticks that are made up for.
//!
//! A step may also be long since something else had the processor. So a session is charged what its steps took by the
//! clock on the wall only until half of its time is gone; from then on the system is asked what its own part was: the
//! thread's processor time, and all of a step in which the thread waited of its own accord.
//!
//! **Invariant:** who does what a call does is never shed, however busy the machine is.

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod os;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod os;

use std::fmt;

/// The part of its thread that a session may take for good: a call of today takes a hundredth.
const SHARE: i64 = 4;

/// How many ticks' time it may take at once: what a shard makes up for.
const TICKS_AT_ONCE: i64 = super::shard::CATCH_UP_TICKS as i64;

/// Events that a session may tell in each tick for good: a lively call tells a few in a second.
const EVENTS_A_TICK: i64 = 10;

/// Events that it may tell at once: a room full of people with all their attributes.
const EVENTS_AT_ONCE: i64 = 10_000;

/// What a session has taken too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// Time of the thread.
    Time,
    /// Events.
    Events,
}

impl Excess {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Time, Self::Events];

    /// Its name, as a label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Events => "events",
        }
    }
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "shed: it takes more than its share of the tick",
            Self::Events => "shed: it tells more events than any call has",
        })
    }
}

/// What a thread has used.
#[derive(Debug, Clone, Copy)]
struct Usage {
    /// Processor time, in nanoseconds.
    cpu_ns: u64,
    /// How often it waited of its own accord, and how often it was made to.
    waited: u64,
    preempted: u64,
}

/// The allowance of a session.
#[derive(Debug)]
pub(super) struct Budget {
    tick_ns: i64,
    time_ns: i64,
    events: i64,
    /// Its steps were long: from now on its own part is charged.
    suspect: bool,
    before: Option<Usage>,
    shed: bool,
}

impl Budget {
    /// A full one, for ticks of so many nanoseconds.
    pub(super) const fn new(tick_ns: u64) -> Self {
        let tick_ns = tick_ns as i64;
        Self {
            tick_ns,
            time_ns: TICKS_AT_ONCE * tick_ns,
            events: EVENTS_AT_ONCE,
            suspect: false,
            before: None,
            shed: false,
        }
    }

    /// A step begins.
    pub(super) fn begin(&mut self) {
        self.before = if self.suspect { os::usage() } else { None };
    }

    /// It took so long, and told so many events. What it has taken too much of, once.
    pub(super) fn end(&mut self, step_ns: u64, events: usize) -> Option<Excess> {
        let after = self.before.and_then(|_| os::usage());
        let own = self.before.zip(after).map_or(step_ns, |(before, after)| {
            // Whoever waits on the thread of a tick keeps it, whether it computes or not; unless others had it meanwhile.
            let waited = after.waited > before.waited && after.preempted == before.preempted;
            let cpu_ns = after.cpu_ns.saturating_sub(before.cpu_ns).min(step_ns);
            if waited { step_ns } else { cpu_ns }
        });
        self.charge(own, events)
    }

    fn charge(&mut self, own_ns: u64, events: usize) -> Option<Excess> {
        let full = TICKS_AT_ONCE * self.tick_ns;
        let own_ns = i64::try_from(own_ns).unwrap_or(i64::MAX / 2);
        self.time_ns = self.time_ns.saturating_add(self.tick_ns / SHARE).min(full) - own_ns;
        self.events = self.events.saturating_add(EVENTS_A_TICK).min(EVENTS_AT_ONCE) - events as i64;
        if !self.suspect && self.time_ns < full / 2 {
            self.suspect = true;
            self.time_ns = full;
        } else if self.suspect && self.time_ns >= full - self.tick_ns / SHARE {
            self.suspect = false;
        }
        let excess = match (self.time_ns < 0, self.events < 0) {
            (true, _) => Excess::Time,
            (_, true) => Excess::Events,
            (false, false) => return None,
        };
        (!std::mem::replace(&mut self.shed, true)).then_some(excess)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK_NS: u64 = 20_000_000;

    /// After how many steps like this it is shed.
    fn shed_after(own_ns: u64, events: usize) -> Option<(u32, Excess)> {
        let mut budget = Budget::new(TICK_NS);
        (1..10_000).find_map(|step| Some((step, budget.charge(own_ns, events)?)))
    }

    #[test]
    fn who_takes_more_than_a_quarter_for_good_is_shed_soon_and_nobody_else() {
        assert_eq!(shed_after(5_000_000, 0), None, "a quarter");
        assert_eq!(shed_after(100_000_000, 0), Some((2, Excess::Time)), "five ticks a tick");
        let (steps, _) = shed_after(15_000_000, 0).expect("three quarters");
        assert!(steps < 15, "{steps}");
        assert!(shed_after(6_000_000, 0).is_some());
    }

    #[test]
    fn one_long_step_is_forgiven() {
        let mut budget = Budget::new(TICK_NS);
        assert_eq!(budget.charge(2_000_000_000, 0), None);
        assert!((0..1_000).all(|_| budget.charge(200_000, 3).is_none()));
        assert!(!budget.suspect);
    }

    #[test]
    fn who_floods_with_events_is_shed_and_a_full_room_is_not() {
        assert_eq!(shed_after(0, 10), None);
        assert_eq!(shed_after(0, 200), Some((53, Excess::Events)));
        let mut budget = Budget::new(TICK_NS);
        assert_eq!(budget.charge(0, 5_000), None);
        assert_eq!(budget.charge(0, 10), None);
    }

    #[test]
    fn it_is_told_once() {
        let mut budget = Budget::new(TICK_NS);
        let told = (0..10).filter_map(|_| budget.charge(1_000_000_000, 0)).count();
        assert_eq!(told, 1);
    }
}
