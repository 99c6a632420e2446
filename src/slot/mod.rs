//! A slot: one session with everything around it, stepped a tick at a time.
//!
//! Each tick a slot gathers what its edges have to give, in their fixed order, notes it in the
//! journal, steps the session, and lets the edges take what came of it. Who calls
//! [`Slot::tick`], and when, is the driver's: a shard in real time, a world in virtual time.
//!
//! **Invariant:** both drivers run exactly this code; only the edges differ.

pub mod due;
pub mod subscribers;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::clock::Tick;
use crate::id::CallId;
use crate::journal::{Scribe, Sealed};
use crate::session::Session;
use crate::session::input::{Inbound, Input};
use crate::session::laps::{Laps, Phase, Unmarked};
use crate::session::output::Output;
use crate::session::plan::Plan;
use crate::tool::{Called, Hands, ToolCall};

/// Something that a session is in touch with: participants, engines, workers, files.
pub trait Edge: Send {
    /// Adds what has arrived to the input of this tick.
    fn give(&mut self, now: Tick, input: &mut Input);

    /// Takes what came of this tick.
    fn take(&mut self, now: Tick, out: &Output);
}

/// The edge that runs tools.
pub trait ToolEdge: Edge + Hands {}

impl<T: Edge + Hands> ToolEdge for T {}

/// How a tick went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The session goes on.
    Running,
    /// It ended in this tick, or before.
    Ended,
    /// It panicked, and is not stepped any more: a bug, with its message.
    Panicked(String),
}

/// One session with everything around it.
pub struct Slot {
    plan: Arc<Plan>,
    session: Session,
    edges: Vec<Box<dyn Edge>>,
    tools: Box<dyn ToolEdge>,
    scribe: Option<Scribe>,
    input: Input,
    output: Output,
    called: Vec<(CallId, Called)>,
    /// What the driver itself has to say, for the next tick.
    announced: Vec<Inbound>,
    /// Ticks to be jumped over, once the session is at rest.
    jump: u32,
    status: Status,
    done: Option<Tick>,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slot(tick {}, {:?})", self.session.tick(), self.status)
    }
}

impl Slot {
    /// A slot for a session. The edges give and take in the order in which they are listed; tools
    /// come last.
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        session: Session,
        edges: Vec<Box<dyn Edge>>,
        tools: Box<dyn ToolEdge>,
        scribe: Option<Scribe>,
    ) -> Self {
        Self {
            plan,
            session,
            edges,
            tools,
            scribe,
            input: Input::default(),
            output: Output::default(),
            called: Vec::new(),
            announced: Vec::new(),
            jump: 0,
            status: Status::Running,
            done: None,
        }
    }

    /// Does the next tick, after jumping over `skipped` ticks. A panic, of the session or of an edge,
    /// is the end of this slot and of nothing else; the journal keeps the inputs that led to it.
    pub fn tick(&mut self, skipped: u32) -> &Status {
        self.guarded(skipped, |_| (), &mut Unmarked)
    }

    /// The same tick, and `laps` is told of the end of each phase.
    pub fn tick_marked<L: Laps>(&mut self, skipped: u32, laps: &mut L) -> &Status {
        self.guarded(skipped, |_| (), laps)
    }

    /// The same tick, and `see` is shown what has arrived before the session takes it.
    pub fn tick_seen(&mut self, skipped: u32, see: impl FnOnce(&Input)) -> &Status {
        self.guarded(skipped, see, &mut Unmarked)
    }

    fn guarded<L: Laps>(
        &mut self,
        skipped: u32,
        see: impl FnOnce(&Input),
        laps: &mut L,
    ) -> &Status {
        if self.status != Status::Running {
            return &self.status;
        }
        self.done = None;
        let tick = AssertUnwindSafe(|| self.tick_unguarded(skipped, see, laps));
        if let Err(panic) = catch_unwind(tick) {
            self.output.clear();
            self.seal();
            self.status = Status::Panicked(message(&*panic));
        }
        &self.status
    }

    fn tick_unguarded<L: Laps>(&mut self, skipped: u32, see: impl FnOnce(&Input), laps: &mut L) {
        let skipped = skipped.saturating_add(self.jumped());
        let now = self.session.tick().after(u64::from(skipped));
        self.input.clear(now, skipped);
        for edge in &mut self.edges {
            edge.give(now, &mut self.input);
        }
        self.tools.give(now, &mut self.input);
        self.input.inbound.append(&mut self.announced);
        see(&self.input);
        laps.lap(Phase::Give);
        if let Some(scribe) = &mut self.scribe {
            scribe.arrived(&self.input);
        }
        laps.lap(Phase::Journal);
        self.called.clear();
        self.session.reload(&mut self.plan, &self.input);
        let Self { plan, session, tools, input, output, called, .. } = self;
        let mut hands = Noting { hands: tools.as_mut(), called };
        session.step_marked(plan, input, &mut hands, output, laps);
        self.seal();
        laps.lap(Phase::Journal);
        if self.output.ended {
            self.status = Status::Ended;
        }
        for edge in &mut self.edges {
            edge.take(now, &self.output);
        }
        self.tools.take(now, &self.output);
        self.done = Some(now);
        laps.lap(Phase::Take);
    }

    /// Closes the journal's entry of this tick, if it is open.
    fn seal(&mut self) {
        let Some(scribe) = &mut self.scribe else { return };
        let Output { events, digest, .. } = &self.output;
        scribe.sealed(Sealed { called: &self.called, events, digest: *digest });
    }

    /// Gives the session a value of the driver's own at its next tick, after those of the edges.
    pub fn announce(&mut self, value: Inbound) {
        self.announced.push(value);
    }

    /// Jumps over so many ticks, in which nobody has stepped the session, as soon as it is [at
    /// rest](Session::is_at_rest): it does not lose its patience for a time in which nobody was asked.
    pub const fn jump(&mut self, ticks: u32) {
        self.jump = ticks;
    }

    /// How many ticks are jumped over now.
    fn jumped(&mut self) -> u32 {
        if self.jump > 0 && self.session.is_at_rest() { std::mem::take(&mut self.jump) } else { 0 }
    }

    /// Goes on with a plan that [succeeds](Plan::succeeding) the present one, from the next tick on: a
    /// driver's own doing, which the journal notes as such. What comes from outside is
    /// [`Inbound::Reload`].
    pub fn replan(&mut self, plan: Arc<Plan>) {
        self.session.replan(&plan);
        if let Some(scribe) = &mut self.scribe {
            scribe.changed(&plan.config.to_json());
        }
        self.plan = plan;
    }

    /// The tick that was done last; none if it panicked, and has no output.
    #[must_use]
    pub const fn done(&self) -> Option<Tick> {
        self.done
    }

    /// How the session is.
    #[must_use]
    pub const fn status(&self) -> &Status {
        &self.status
    }

    /// What came of the last tick.
    #[must_use]
    pub const fn output(&self) -> &Output {
        &self.output
    }

    /// Audio that was played to its end, to be freed elsewhere.
    pub const fn output_mut(&mut self) -> &mut Output {
        &mut self.output
    }

    /// The session.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Its plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The journal's writer.
    pub const fn scribe(&mut self) -> Option<&mut Scribe> {
        self.scribe.as_mut()
    }
}

/// What a panic said.
#[must_use]
pub fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// Hands that note what became of each call, for the journal.
struct Noting<'a> {
    hands: &'a mut dyn ToolEdge,
    called: &'a mut Vec<(CallId, Called)>,
}

impl Hands for Noting<'_> {
    fn call(&mut self, call: &ToolCall) -> Called {
        let called = self.hands.call(call);
        self.called.push((call.id, called.clone()));
        called
    }
}
