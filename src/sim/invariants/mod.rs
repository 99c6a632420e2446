//! Invariants: what holds in every tick of every call, whatever arrives.
//!
//! An [`Observer`] is shown what arrives for each tick and what came of it, and says which
//! [`Invariant`] is broken first. It knows nothing of how a session works: it keeps its own account of
//! what was announced, received, played, called and handed over, and compares.
//!
//! ```
//! # use std::sync::Arc;
//! # use antiphon::{session::{Session, input::Input, output::Output, plan::Plan}, tool::NoHands};
//! use antiphon::sim::invariants::Observer;
//! # let config = antiphon::config::parse(b"name: a\nagents: { a: { kind: echo } }", "a.yaml").unwrap();
//! # let plan = Plan::new(config).unwrap();
//! # let (mut session, mut input, mut out) = (Session::new(&plan, 1), Input::default(), Output::default());
//! let mut observer = Observer::default();
//! for _ in 0..10 {
//!     input.clear(session.tick(), 0);
//!     observer.arrived(&input);
//!     session.step(&plan, &mut input, &mut NoHands, &mut out);
//!     observer.ticked(&plan, &session, &out).unwrap();
//! }
//! ```
//!
//! **Invariant:** the observer changes nothing: a session that is watched steps as if it were not.

mod order;
mod spoken;

use crate::clock::Tick;
use crate::pcm::mix;
use crate::session::Session;
use crate::session::event::EventKind;
use crate::session::input::Input;
use crate::session::output::Output;
use crate::session::plan::Plan;
use order::{Asks, Calls, Ears, Moves, Natives, Requests};
use spoken::Spoken;

/// What holds in every tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Both sides of a tick are exactly one tick of audio.
    Audio,
    /// What is heard is the sum of those who are there.
    Mix,
    /// Time goes on, and only what was skipped is missing.
    Time,
    /// Events are numbered without gaps, each in its tick.
    Events,
    /// Each call returns exactly once, at the latest with the session.
    Calls,
    /// Each request has exactly one answer, at the latest with the session.
    Requests,
    /// Nothing is spoken twice, out of order, or after it was dropped.
    Speech,
    /// The transcript claims no more than was played, and that once.
    Transcript,
    /// Each question to a model ends exactly once, at the latest with the session, and no provider would refuse it.
    Asks,
    /// Only a conversation that is open is told anything; a call has one result, an item one end.
    Natives,
    /// Each hand-over has an edge; there is one in a tick at most, effective at the next.
    Moves,
    /// An utterance is listened to in one piece.
    Listening,
    /// Nothing that a session holds is beyond its limit.
    Limits,
    /// Once ended, nothing more happens.
    End,
}

impl std::fmt::Display for Invariant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Audio => "both sides of a tick are exactly one tick of audio",
            Self::Mix => "what is heard is the sum of those who are there",
            Self::Time => "time goes on, and only what was skipped is missing",
            Self::Events => "events are numbered without gaps, each in its tick",
            Self::Calls => "each call returns exactly once, at the latest with the session",
            Self::Requests => "each request has exactly one answer, at the latest with the session",
            Self::Speech => "nothing is spoken twice, out of order, or after it was dropped",
            Self::Transcript => "the transcript claims no more than was played, and that once",
            Self::Asks => {
                "each question to a model is one that providers take, and ends exactly once"
            }
            Self::Natives => {
                "a model that speaks is told of a call and of an item's end once, while it is there"
            }
            Self::Moves => "each hand-over has an edge, one in a tick, effective at the next",
            Self::Listening => "an utterance is listened to in one piece",
            Self::Limits => "nothing that a session holds is beyond its limit",
            Self::End => "once ended, nothing more happens",
        })
    }
}

/// An invariant that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub invariant: Invariant,
    /// In which tick.
    pub tick: Tick,
    /// How, for a person to read.
    pub what: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tick {}: {}; but “{}”", self.tick, self.what, self.invariant)
    }
}

impl std::error::Error for Broken {}

/// What one part of the account says.
type Checked = Result<(), (Invariant, String)>;

/// Fails with an invariant and what breaks it, unless the condition holds.
macro_rules! hold {
    ($holds:expr, $invariant:ident, $($what:tt)+) => {
        if !$holds {
            return Err(($crate::sim::invariants::Invariant::$invariant, format!($($what)+)));
        }
    };
}
use hold;

/// Watches one session from its first tick on.
#[derive(Debug, Default)]
pub struct Observer {
    /// The next tick, if none is skipped.
    next: Tick,
    /// The tick of what arrived last, and how many were skipped before it.
    arrived: Option<(Tick, u32)>,
    events: u64,
    ended: bool,
    calls: Calls,
    requests: Requests,
    asks: Asks,
    natives: Natives,
    moves: Moves,
    ears: Ears,
    spoken: Spoken,
    /// Room for mixing.
    sum: Vec<i32>,
    mixed: Vec<i16>,
}

impl Observer {
    /// Notes what arrived for a tick; called before the session takes it. Audio of an item arrives after
    /// the tick that announced it: no edge knows its number before.
    pub fn arrived(&mut self, input: &Input) {
        self.arrived = Some((input.tick, input.skipped));
        self.spoken.arrived(input);
        self.requests.arrived(input);
        self.natives.arrived(input);
    }

    /// Compares what came of the tick with the account of all before it.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn ticked(&mut self, plan: &Plan, session: &Session, out: &Output) -> Result<(), Broken> {
        let (now, skipped) = self.arrived.take().unwrap_or((self.next, 0));
        let broken = |(invariant, what)| Broken { invariant, tick: now, what };
        if self.ended {
            return after_the_end(plan, session, out).map_err(broken);
        }
        self.time(now, skipped, session).map_err(broken)?;
        self.audio(plan, session, out).map_err(broken)?;
        self.events(now, skipped, out).map_err(broken)?;
        self.calls.ticked(now, out).map_err(broken)?;
        self.requests.ticked(out).map_err(broken)?;
        self.asks.ticked(out).map_err(broken)?;
        self.natives.ticked(out).map_err(broken)?;
        self.moves.ticked(plan, session, out).map_err(broken)?;
        self.ears.ticked(out).map_err(broken)?;
        self.spoken.ticked(plan, now, session, out).map_err(broken)?;
        limits(plan, session).map_err(broken)?;
        self.ended = out.ended;
        Ok(())
    }

    fn time(&mut self, now: Tick, skipped: u32, session: &Session) -> Checked {
        let expected = self.next.after(u64::from(skipped));
        hold!(now == expected, Time, "tick {now} follows where tick {expected} is due");
        self.next = now.after(1);
        hold!(session.tick() == self.next, Time, "the session is at tick {}", session.tick());
        Ok(())
    }

    fn audio(&mut self, plan: &Plan, session: &Session, out: &Output) -> Checked {
        let (samples, sides) = (plan.samples(), [out.audio.len(), out.heard.len()]);
        hold!(sides == [samples; 2], Audio, "{sides:?} samples of {samples}");
        self.sum.clear();
        self.sum.resize(samples, 0);
        let mut present = 0;
        for lane in session.lanes().iter().filter(|lane| lane.present) {
            let len = lane.tick.len();
            hold!(len == samples, Audio, "{} has {len} samples of {samples}", lane.id);
            mix::mix_into(&mut self.sum, &lane.tick);
            let level = out.levels.get(present).map(|level| level.lane);
            hold!(level == Some(lane.id), Mix, "level {present} is not that of {}", lane.id);
            present += 1;
        }
        hold!(out.levels.len() == present, Mix, "{} levels of {present} lanes", out.levels.len());
        self.mixed.resize(samples, 0);
        mix::saturate(&self.sum, &mut self.mixed);
        hold!(self.mixed == out.heard, Mix, "what is heard is something else");
        Ok(())
    }

    fn events(&mut self, now: Tick, skipped: u32, out: &Output) -> Checked {
        let mut told = 0;
        for event in &out.events {
            let (seq, expected) = (event.seq, self.events);
            hold!(seq == expected, Events, "event {seq} where {expected} is due");
            hold!(event.tick == now, Events, "event {seq} is of tick {}", event.tick);
            self.events += 1;
            match &event.kind {
                EventKind::TickSkipped { count } => told += count,
                EventKind::SessionEnded { .. } => {
                    let last = self.events - out.events[0].seq == out.events.len() as u64;
                    hold!(out.ended && last, End, "the session ended, and went on");
                }
                _ => {}
            }
        }
        hold!(told == skipped, Time, "{skipped} ticks were skipped, and {told} are told");
        let ends = matches!(
            out.events.last().map(|event| &event.kind),
            Some(EventKind::SessionEnded { .. })
        );
        hold!(out.ended == ends, End, "an end without its event, or an event without the end");
        Ok(())
    }
}

fn limits(plan: &Plan, session: &Session) -> Checked {
    for held in session.held(plan) {
        let (what, count, limit) = (held.what, held.count, held.limit);
        hold!(count <= limit, Limits, "{count} {what}, more than {limit}");
    }
    Ok(())
}

fn after_the_end(plan: &Plan, session: &Session, out: &Output) -> Checked {
    hold!(out.ended && session.has_ended(), End, "the session lives again");
    let sides = [&out.audio, &out.heard];
    let silent = sides.iter().all(|side| side.iter().all(|sample| *sample == 0));
    hold!(silent && sides.iter().all(|s| s.len() == plan.samples()), End, "something is heard");
    let idle = out.events.is_empty() && out.effects.is_empty() && out.played.is_empty();
    hold!(idle && out.calls.is_empty() && out.results.is_empty(), End, "something happens");
    Ok(())
}
