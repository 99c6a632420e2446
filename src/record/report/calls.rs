//! Tool calls, from the call to its result.

use std::collections::BTreeMap;

use serde_json::Value;

use super::kept::Kept;
use super::prose::{QUOTE_MAX, beginning};
use super::stage::Said;
use crate::clock::Tick;
use crate::id::CallId;
use crate::session::plan::Plan;
use crate::tool::{Delivery, Failure, Json, Outcome};

/// Calls that are told one by one.
const CALLS_MAX: usize = 2_000;

/// Characters of arguments and of a result that are told.
const VALUE_MAX: usize = 1_000;

/// A call of a tool.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) id: CallId,
    pub(super) tool: String,
    pub(super) arguments: Value,
    pub(super) agent: String,
    pub(super) at: Tick,
    pub(super) deferred: bool,
    pub(super) result: Option<(Tick, Outcome)>,
}

/// The calls so far.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    pub(super) list: Kept<Call>,
    /// The calls without a result; a session has 32 of them at most.
    open: BTreeMap<CallId, Open>,
    /// The values of this tick and the one before, in order, for what they set in motion.
    values: Vec<Answered>,
}

/// A call whose result has not come.
#[derive(Debug, Clone)]
struct Open {
    /// Where it stands in the list, if it does.
    at: Option<usize>,
    agent: String,
    /// The turn of a user that led to it.
    turn: Option<Said>,
}

/// A call with its value: as much of that as is told, since a tool may return a book.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    pub(super) called: Tick,
    pub(super) at: Tick,
    /// The beginning of the value.
    pub(super) value: String,
    /// The turn of a user that led to it.
    pub(super) turn: Option<Said>,
    /// The agent that asked.
    agent: String,
    /// When that agent learnt it.
    learnt: Tick,
    /// The transitions whose condition the value fulfils, each with the beginning of what it looked at.
    fits: Vec<(u32, String)>,
}

impl Calls {
    pub(super) const fn new() -> Self {
        Self { list: Kept::new(CALLS_MAX), open: BTreeMap::new(), values: Vec::new() }
    }

    pub(super) fn called(&mut self, call: Call, turn: Option<Said>) {
        let (id, agent) = (call.id, call.agent.clone());
        let at = self.list.push(Call { arguments: told(&call.arguments), ..call });
        self.open.insert(id, Open { at, agent, turn });
    }

    pub(super) fn deferred(&mut self, id: CallId) {
        if let Some(call) = self.find(id) {
            call.deferred = true;
        }
    }

    pub(super) fn result(
        &mut self,
        now: Tick,
        id: CallId,
        tool: &str,
        outcome: &Outcome,
        after: u64,
        plan: &Plan,
    ) {
        if let Some(call) = self.find(id) {
            let outcome = match outcome {
                Outcome::Done(value) => Outcome::Done(Json(told(&value.0))),
                Outcome::Failed(failure) => {
                    let message = beginning(&failure.message, VALUE_MAX);
                    Outcome::Failed(Failure { message, kind: failure.kind })
                }
            };
            call.result = Some((now, outcome));
        }
        self.values.retain(|known| known.at.after(1) >= now);
        let Some(Open { agent, turn, .. }) = self.open.remove(&id) else { return };
        let Outcome::Done(Json(value)) = outcome else { return };
        let edges = plan.graph.transitions().iter();
        let fits = edges.filter_map(|edge| {
            let found = edge.condition.fulfilled_by(tool, value)?;
            Some((edge.id, beginning(&found.to_string(), QUOTE_MAX)))
        });
        // What is answered in the tick of the call may be told in the next.
        let waits = plan.tools.get(tool).is_some_and(|spec| spec.delivery == Delivery::NextTick);
        self.values.push(Answered {
            called: Tick(now.0.saturating_sub(after)),
            at: now,
            value: beginning(&value.to_string(), QUOTE_MAX),
            turn,
            agent,
            learnt: now.after(u64::from(after == 0 && waits)),
            fits: fits.collect(),
        });
    }

    /// The value that made a transition of this agent fire: the first that it learnt in this tick and
    /// that fits, as the graph has it. It has only what that transition looked at.
    pub(super) fn led_to(&self, now: Tick, transition: u32, agent: &str) -> Option<Answered> {
        let looked_at = |known: &Answered| {
            known.fits.iter().find(|(edge, _)| *edge == transition && known.agent == agent).cloned()
        };
        let mut known = self.values.iter().filter(|known| looked_at(known).is_some());
        let first = known.clone().find(|known| known.learnt == now);
        // The last of a chain of calls within a tick is learnt in the next.
        let first = first.or_else(|| known.find(|known| known.at.after(1) == now))?;
        Some(Answered { fits: looked_at(first).into_iter().collect(), ..first.clone() })
    }

    fn find(&mut self, id: CallId) -> Option<&mut Call> {
        let at = self.open.get(&id)?.at?;
        self.list.get_mut(at)
    }
}

impl Answered {
    /// What the transition looked at.
    pub(super) fn found(&self) -> Option<&str> {
        self.fits.first().map(|(_, found)| found.as_str())
    }
}

/// A value, or the beginning of a long one as text.
fn told(value: &Value) -> Value {
    let text = value.to_string();
    if text.len() <= VALUE_MAX { value.clone() } else { beginning(&text, VALUE_MAX).into() }
}
