//! Those who want to be told of a session's events, on its own thread.
//!
//! A subscriber names the events that it wants, `tool.called`, `tool.*` or `*`, and is told of each
//! after the tick in which it happened, in the order in which subscribers came. A callback runs on the
//! thread of the tick, which is that of every other session of its shard: it must not block, nor wait
//! for a lock that anybody holds for long. Whoever has more to do takes a channel.
//!
//! ```
//! use antiphon::slot::subscribers::Subscribers;
//! use antiphon::{clock::Tick, session::event::{Event, EventKind}};
//!
//! let mut subscribers = Subscribers::default();
//! subscribers.call("session.*", |event| println!("{} at tick {}", event.kind.name(), event.tick))?;
//! let told = subscribers.channel("user.away", 8)?;
//! // From here on an edge of the slot: `Slot::new(plan, session, vec![Box::new(subscribers)], …)`.
//! subscribers.tell(&[Event { seq: 0, tick: Tick(50), kind: EventKind::UserAway }]);
//! assert_eq!(told.recv()?.event.kind, EventKind::UserAway);
//! assert!(subscribers.call("user.awy", |_| {}).is_err(), "no event has such a name");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Invariant:** what a subscriber does is no matter of the session's, nor of another subscriber's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::Edge;
use crate::clock::Tick;
use crate::graph::event::EventName;
use crate::session::event::Event;
use crate::session::input::Input;
use crate::session::output::Output;

/// After so many panics a callback is taken out: it will not get better, and each costs the tick's time.
pub const PANICS_MAX: u32 = 3;

/// Subscribers of a session at most: each event is shown to all of them within the tick.
pub const SUBSCRIBERS_MAX: usize = 64;

/// An event, as a channel brings it.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The event.
    pub event: Event,
    /// Events that were left out before it, since the channel was full.
    pub missed: u64,
}

/// Why somebody cannot subscribe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotSubscribed {
    /// No event has a name like that; what to write instead.
    Unknown {
        /// What was asked for.
        pattern: String,
        /// What to do about it.
        remedy: String,
    },
    /// There are [`SUBSCRIBERS_MAX`] already.
    Full,
}

impl std::fmt::Display for NotSubscribed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown { pattern, remedy } => {
                write!(f, "no event is called `{pattern}`: {remedy}")
            }
            Self::Full => write!(f, "a session has at most {SUBSCRIBERS_MAX} subscribers"),
        }
    }
}

impl std::error::Error for NotSubscribed {}

/// A subscription, to look at and to end from anywhere.
#[derive(Debug, Clone, Default)]
pub struct Subscription(Arc<Standing>);

#[derive(Debug, Default)]
struct Standing {
    panics: AtomicU32,
    over: AtomicBool,
}

impl Subscription {
    /// How often the callback has panicked.
    #[must_use]
    pub fn panics(&self) -> u32 {
        self.0.panics.load(Ordering::Relaxed)
    }

    /// Whether it is over: it was ended, has panicked [`PANICS_MAX`] times, or nobody has its channel.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Relaxed)
    }

    /// Ends it; an event that is being told is told.
    pub fn end(&self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

enum Way {
    Call(Box<dyn FnMut(&Event) + Send>),
    Channel { to: Sender<Told>, missed: u64 },
}

struct Subscriber {
    names: Vec<EventName>,
    way: Way,
    standing: Subscription,
}

/// The subscribers of a session: an edge that gives nothing.
#[derive(Default)]
pub struct Subscribers {
    all: Vec<Subscriber>,
}

impl std::fmt::Debug for Subscribers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subscribers({})", self.all.len())
    }
}

impl Subscribers {
    /// Calls this with every event of these names. A panic is caught and counted.
    ///
    /// # Errors
    /// No event has a name like that, or there are too many subscribers.
    pub fn call(
        &mut self,
        pattern: &str,
        call: impl FnMut(&Event) + Send + 'static,
    ) -> Result<Subscription, NotSubscribed> {
        self.add(pattern, Way::Call(Box::new(call)))
    }

    /// A channel with every event of these names, which holds up to `capacity` of them, at least one.
    /// While it is full, events are left out: nobody waits, what is in it stays, and the next event that
    /// fits says how many were missed. Dropping the receiver ends the subscription.
    ///
    /// # Errors
    /// As for [`Self::call`].
    pub fn channel(
        &mut self,
        pattern: &str,
        capacity: usize,
    ) -> Result<Receiver<Told>, NotSubscribed> {
        let (to, told) = bounded(capacity.max(1));
        self.add(pattern, Way::Channel { to, missed: 0 })?;
        Ok(told)
    }

    fn add(&mut self, pattern: &str, way: Way) -> Result<Subscription, NotSubscribed> {
        let names = matching(pattern)?;
        if self.all.len() >= SUBSCRIBERS_MAX {
            return Err(NotSubscribed::Full);
        }
        let standing = Subscription::default();
        self.all.push(Subscriber { names, way, standing: standing.clone() });
        Ok(standing)
    }

    /// Tells the events of a tick. The slot does so where this is one of its edges.
    pub fn tell(&mut self, events: &[Event]) {
        for event in events {
            let name = event.kind.name();
            for subscriber in &mut self.all {
                if subscriber.names.contains(&name) && !subscriber.standing.is_over() {
                    subscriber.tell(event);
                }
            }
        }
        self.all.retain(|subscriber| !subscriber.standing.is_over());
    }
}

impl Subscriber {
    fn tell(&mut self, event: &Event) {
        match &mut self.way {
            Way::Call(call) => {
                if catch_unwind(AssertUnwindSafe(|| call(event))).is_err()
                    && self.standing.0.panics.fetch_add(1, Ordering::Relaxed) + 1 >= PANICS_MAX
                {
                    self.standing.end();
                }
            }
            Way::Channel { to, missed } => {
                match to.try_send(Told { event: event.clone(), missed: *missed }) {
                    Ok(()) => *missed = 0,
                    Err(TrySendError::Full(_)) => *missed += 1,
                    Err(TrySendError::Disconnected(_)) => self.standing.end(),
                }
            }
        }
    }
}

impl Edge for Subscribers {
    fn give(&mut self, _now: Tick, _input: &mut Input) {}

    fn take(&mut self, _now: Tick, out: &Output) {
        self.tell(&out.events);
    }
}

/// The names that a pattern stands for: a name or another system's spelling of it, `*`, or what comes
/// before a `.*`.
fn matching(pattern: &str) -> Result<Vec<EventName>, NotSubscribed> {
    let names: Vec<EventName> = match pattern.strip_suffix('*') {
        Some(start) if start.is_empty() || start.ends_with('.') => {
            EventName::ALL.iter().copied().filter(|n| n.as_str().starts_with(start)).collect()
        }
        _ => EventName::read(pattern).into_iter().collect(),
    };
    if names.is_empty() {
        let remedy = EventName::suggestion(pattern);
        return Err(NotSubscribed::Unknown { pattern: pattern.to_owned(), remedy });
    }
    Ok(names)
}
