//! The hands of live sessions.
//!
//! An inline tool runs on the thread of the tick, and is timed: longer than its budget is an overrun,
//! counted by name. Every other call goes to a worker, through a bounded queue, and its outcome comes
//! back at a later tick. A worker whose call has timed out is left behind, and another started.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::pace::{Clock, pause};
use crate::clock::Tick;
use crate::id::CallId;
use crate::session::input::{Inbound, Input};
use crate::session::output::Output;
use crate::slot::Edge;
use crate::tool::{Called, FailureKind, Hands, Outcome, Registry, Run, ToolCall, ToolContext};

/// Workers of a pool: as many slow calls can be under way at once.
pub const WORKERS: usize = 8;

/// Calls that wait for a worker at most; beyond, a call fails at once and says so.
const CALLS_WAITING: usize = 64;

/// Outcomes that wait for a session's tick at most.
const OUTCOMES_WAITING: usize = 64;

/// Workers left behind at most: each keeps a thread that is stuck in somebody's code.
const ABANDONED_MAX: usize = 32;

/// An inline call that took longer than its budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overrun {
    /// The tool.
    pub tool: String,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// How long it may take, in microseconds.
    pub budget_us: u64,
}

/// A bounded number of workers, shared by sessions.
#[derive(Debug, Clone)]
pub struct Workers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tools: Registry,
    calls: (Sender<Work>, Receiver<Work>),
    abandoned: AtomicUsize,
}

#[derive(Debug)]
struct Work {
    context: ToolContext,
    call: ToolCall,
    state: Arc<AtomicU8>,
    reply: Sender<(CallId, Outcome)>,
}

/// Where a call is: it waits for a worker, a worker has it, or nobody wants it any more.
const QUEUED: u8 = 0;
const RUNNING: u8 = 1;
const DROPPED: u8 = 2;

/// Moves a call on from the queue; false if the other side was first.
fn take_from_queue(state: &AtomicU8, to: u8) -> bool {
    state.compare_exchange(QUEUED, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

impl Workers {
    /// Starts workers for these tools.
    #[must_use]
    pub fn start(tools: Registry, count: usize) -> Self {
        let calls = bounded(CALLS_WAITING);
        let workers =
            Self { shared: Arc::new(Shared { tools, calls, abandoned: AtomicUsize::new(0) }) };
        for _ in 0..count {
            workers.add();
        }
        workers
    }

    fn add(&self) {
        let shared = Arc::downgrade(&self.shared);
        let calls = self.shared.calls.1.clone();
        let tools = self.shared.tools.clone();
        let thread = std::thread::Builder::new().name("tool worker".to_owned());
        // Without a thread there is a worker less; a full queue says so when it matters.
        drop(thread.spawn(move || {
            while shared.strong_count() > 0 {
                let Ok(work) = calls.recv_timeout(Duration::from_secs(1)) else { continue };
                let Work { context, call, state, reply } = work;
                // Told to have failed, it must not happen after all.
                if !take_from_queue(&state, RUNNING) {
                    continue;
                }
                let outcome = tools.execute(&context, &call);
                // A session that is gone does not want it any more.
                drop(reply.send((call.id, outcome)));
            }
        }));
    }

    fn abandon(&self) {
        if self.shared.abandoned.fetch_add(1, Ordering::Relaxed) < ABANDONED_MAX {
            self.add();
        }
    }

    /// The tools.
    #[must_use]
    pub fn tools(&self) -> &Registry {
        &self.shared.tools
    }
}

/// The hands of one live session.
#[derive(Debug)]
pub struct LiveTools {
    workers: Workers,
    session: String,
    clock: Clock,
    reply: Sender<(CallId, Outcome)>,
    outcomes: Receiver<(CallId, Outcome)>,
    overruns: Sender<Overrun>,
    under_way: Vec<(CallId, Arc<AtomicU8>)>,
}

impl LiveTools {
    /// Hands for a session of this name; overruns are reported to `overruns`, and dropped where it
    /// is full.
    #[must_use]
    pub fn new(workers: Workers, session: String, overruns: Sender<Overrun>) -> Self {
        let (reply, outcomes) = bounded(OUTCOMES_WAITING);
        let (clock, under_way) = (Clock::default(), Vec::new());
        Self { workers, session, clock, reply, outcomes, overruns, under_way }
    }

    /// STUB
    #[must_use]
    pub fn with_room(self, _calls: Sender<RoomCall>) -> Self { self }

    fn inline(&self, context: &ToolContext, call: &ToolCall, budget_ms: u32) -> Outcome {
        let begun = self.clock.now();
        let outcome = self.workers.tools().execute(context, call);
        let took_us = self.clock.now().since_ns(begun) / 1_000;
        let budget_us = u64::from(budget_ms) * 1_000;
        if took_us > budget_us {
            let overrun = Overrun { tool: call.name.clone(), took_us, budget_us };
            drop(self.overruns.try_send(overrun));
        }
        outcome
    }
}

impl Edge for LiveTools {
    fn give(&mut self, _now: Tick, input: &mut Input) {
        let outcomes = self.outcomes.try_iter();
        input.inbound.extend(outcomes.map(|(call, outcome)| Inbound::ToolResult { call, outcome }));
    }

    fn take(&mut self, _now: Tick, out: &Output) {
        let timed_out = |outcome: &Outcome| matches!(outcome, Outcome::Failed(failure) if failure.kind == FailureKind::TimedOut);
        for result in &out.results {
            let Some(at) = self.under_way.iter().position(|(call, _)| *call == result.id) else {
                continue;
            };
            let (_, state) = self.under_way.swap_remove(at);
            // One that still waits in the queue is not run any more; one that runs has its worker stuck.
            if timed_out(&result.outcome) && !take_from_queue(&state, DROPPED) {
                self.workers.abandon();
            }
        }
    }
}

impl Hands for LiveTools {
    fn call(&mut self, call: &ToolCall) -> Called {
        let context = ToolContext {
            session: self.session.clone(),
            call: call.id.to_string(),
            occurrence: call.occurrence,
            pause,
        };
        match self.workers.tools().spec(&call.name) {
            None => Called::Done(self.workers.tools().execute(&context, call)),
            Some(spec) if spec.run == Run::Inline => {
                let budget_ms = spec.budget_ms;
                Called::Done(self.inline(&context, call, budget_ms))
            }
            Some(_) => {
                let state = Arc::new(AtomicU8::new(QUEUED));
                let (call, reply) = (call.clone(), self.reply.clone());
                let (id, name) = (call.id, call.name.clone());
                let work = Work { context, call, state: Arc::clone(&state), reply };
                match self.workers.shared.calls.0.try_send(work) {
                    Ok(()) => {
                        self.under_way.push((id, state));
                        Called::Submitted
                    }
                    Err(_) => Called::Done(Outcome::failed(
                        FailureKind::NoWorker,
                        format!("no worker is free for `{name}`"),
                    )),
                }
            }
        }
    }
}

/// STUB
#[derive(Debug)]
pub struct RoomCall { pub call: CallId, pub lane: Option<crate::id::LaneId>, pub act: RoomAct, pub reply: Sender<(CallId, Outcome)> }
/// STUB
#[derive(Debug, Clone, PartialEq)]
pub enum RoomAct { Rpc{method: String, to: Option<String>, payload: String, timeout_ms: u32}, Data{topic: String, reliable: bool, to: Option<String>, payload: String} }
impl RoomCall {
    /// STUB
    pub fn done(self, outcome: Outcome) { drop(self.reply.try_send((self.call, outcome))); }
}
