//! Tool calls, from the call to its result.

use std::collections::BTreeMap;

use serde_json::Value;

use super::kept::Kept;
use super::prose::beginning;
use crate::clock::Tick;
use crate::id::CallId;
use crate::tool::{Json, Outcome};

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
    /// Where the calls without a result stand; a session has 32 of them at most.
    open: BTreeMap<CallId, usize>,
    /// The last value that each tool gave, for what it set in motion.
    values: BTreeMap<String, Answered>,
}

/// A call with its value.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    pub(super) called: Tick,
    pub(super) at: Tick,
    pub(super) value: Value,
}

impl Calls {
    pub(super) const fn new() -> Self {
        Self { list: Kept::new(CALLS_MAX), open: BTreeMap::new(), values: BTreeMap::new() }
    }

    pub(super) fn called(&mut self, call: Call) {
        let id = call.id;
        let call = Call { arguments: told(&call.arguments), ..call };
        if let Some(at) = self.list.push(call) {
            self.open.insert(id, at);
        }
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
    ) {
        if let Some(call) = self.find(id) {
            let outcome = match outcome {
                Outcome::Done(value) => Outcome::Done(Json(told(&value.0))),
                Outcome::Failed(failure) => Outcome::Failed(failure.clone()),
            };
            call.result = Some((now, outcome));
        }
        self.open.remove(&id);
        // Tools are those of the configuration, so that their names are few.
        if let Outcome::Done(value) = outcome {
            let called = Tick(now.0.saturating_sub(after));
            let answered = Answered { called, at: now, value: value.0.clone() };
            self.values.insert(tool.to_owned(), answered);
        }
    }

    /// The last value that a tool gave.
    pub(super) fn last(&self, tool: &str) -> Option<&Answered> {
        self.values.get(tool)
    }

    fn find(&mut self, id: CallId) -> Option<&mut Call> {
        let at = *self.open.get(&id)?;
        self.list.get_mut(at)
    }
}

/// A value, or the beginning of a long one as text.
fn told(value: &Value) -> Value {
    let text = value.to_string();
    if text.len() <= VALUE_MAX { value.clone() } else { beginning(&text, VALUE_MAX).into() }
}
