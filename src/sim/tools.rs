//! Tools in virtual time: each call runs to its end at once, and its outcome counts from the tick
//! after the tool's declared latency.

use std::collections::{BTreeMap, VecDeque};

use crate::clock::{Tick, TickLen};
use crate::id::CallId;
use crate::session::input::{Inbound, Input};
use crate::session::output::Output;
use crate::slot::Edge;
use crate::tool::{Called, Hands, Outcome, Registry, Run, ToolCall, ToolContext};

/// What virtual time does about a tool's latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latency {
    /// Nothing: every call is done within its tick, as if time had waited for it.
    Waited,
    /// A worker tool's outcome arrives after its declared latency.
    Declared,
}

/// Runs tools in virtual time.
#[derive(Debug)]
pub struct VirtualTools {
    tools: Registry,
    latency: Latency,
    len: TickLen,
    session: String,
    now: Tick,
    due: VecDeque<(Tick, CallId, Outcome)>,
    taking: BTreeMap<String, Vec<Option<u32>>>,
}

impl VirtualTools {
    /// Tools for a session of this name.
    #[must_use]
    pub const fn new(tools: Registry, latency: Latency, len: TickLen, session: String) -> Self {
        let now = Tick(0);
        Self { tools, latency, len, session, now, due: VecDeque::new(), taking: BTreeMap::new() }
    }

    /// How long the calls of some tools take, one by one, in milliseconds; the last counts for all further
    /// calls, and none is as long as declared. An inline tool takes no time.
    #[must_use]
    pub fn taking(mut self, taking: BTreeMap<String, Vec<Option<u32>>>) -> Self {
        self.taking = taking;
        self
    }

    /// How long a call takes, in milliseconds.
    fn taken(&self, call: &ToolCall) -> u32 {
        let Some(spec) = self.tools.spec(&call.name).filter(|spec| spec.run == Run::Worker) else {
            return 0;
        };
        let list = self.taking.get(&call.name).map_or(&[][..], Vec::as_slice);
        let own = list.get(call.occurrence as usize).or(list.last()).copied().flatten();
        own.unwrap_or(spec.latency_ms)
    }
}

impl Edge for VirtualTools {
    fn give(&mut self, now: Tick, input: &mut Input) {
        self.now = now;
        // In order of the tick, then of the call.
        while self.due.front().is_some_and(|(due, ..)| *due <= now) {
            let Some((_, call, outcome)) = self.due.pop_front() else { break };
            input.inbound.push(Inbound::ToolResult { call, outcome });
        }
    }

    fn take(&mut self, _now: Tick, _out: &Output) {}
}

impl Hands for VirtualTools {
    fn call(&mut self, call: &ToolCall) -> Called {
        let context = ToolContext {
            session: self.session.clone(),
            call: call.id.to_string(),
            occurrence: call.occurrence,
            pause: |_| (),
        };
        let outcome = self.tools.execute(&context, call);
        match self.taken(call) {
            ms @ 1.. if self.latency == Latency::Declared => {
                let due = self.now.after(self.len.ticks_min_one(ms));
                let at = self.due.partition_point(|(other, ..)| *other <= due);
                self.due.insert(at, (due, call.id, outcome));
                Called::Submitted
            }
            _ => Called::Done(outcome),
        }
    }
}
