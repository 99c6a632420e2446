//! What an agent still has to do, as one sees it from outside: for callers that wait until it is done.
//!
//! **Invariant:** it follows from what the session has come to, and changes nothing.

use crate::clock::Tick;
use crate::graph::verb::Verb;
use crate::id::CallId;
use crate::session::event::EventKind;
use crate::session::output::{AgentState, Output};

/// What an agent still has to do.
#[derive(Debug, Clone, Default)]
pub struct Errands {
    /// Calls of tools without an outcome.
    calls: Vec<CallId>,
    /// A turn of the caller is still to be answered.
    turn: bool,
    /// There was something to do in the last tick.
    busy: bool,
    /// Since when there is nothing.
    since: Tick,
}

impl Errands {
    /// The caller has begun to say something, which is to be answered.
    pub const fn expect_turn(&mut self) {
        self.turn = true;
    }

    /// Since when there is nothing to do; none if there is something.
    #[must_use]
    pub fn free_since(&self) -> Option<Tick> {
        (!self.busy && !self.turn).then_some(self.since)
    }

    /// Takes what came of a tick.
    pub fn take(&mut self, now: Tick, out: &Output) {
        let mut moves = false;
        for event in &out.events {
            match &event.kind {
                EventKind::UserMessage { .. } => {
                    self.turn = false;
                    self.since = now.after(1);
                }
                // One that calls an agent waits for as long as the caller talks with that one.
                EventKind::ToolCalled { call, name, .. }
                    if Verb::of(name) != Some(Verb::CallAgent) =>
                {
                    self.calls.push(*call);
                }
                EventKind::ToolResult { call, .. } => {
                    self.calls.retain(|open| open != call);
                    // Who asked may learn it at the next tick only.
                    moves = true;
                }
                EventKind::TransitionExecuted { .. }
                | EventKind::AgentCalled { .. }
                | EventKind::AgentReturned { .. } => moves = true,
                _ => {}
            }
        }
        let speaks = out.agent_speech || out.agent_state != AgentState::Listening;
        self.busy = speaks || moves || !self.calls.is_empty();
        if self.busy {
            self.since = now.after(1);
        }
    }
}
