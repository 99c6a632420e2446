//! The limits within which agents work.
//!
//! **Invariant:** a bound is told once, when it is reached, and nothing goes on beyond it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::{EndReason, EventKind};
use super::output::{AgentState, Output};
use super::plan::{Kept, Plan, pair};
use super::{Life, Session};
use crate::clock::Tick;
use crate::id::AgentId;

/// What is used of the policies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Used {
    /// Ticks in which the session did not wait for the user.
    worked: u64,
    /// Turns and outcomes answered.
    steps: u64,
    /// Messages between two agents that hand over to each other.
    messages: BTreeMap<(AgentId, AgentId), u64>,
    /// The agent that handed over to the current one.
    former: Option<AgentId>,
}

/// From which share of a bound on a session is warned, in percent.
const TIMEOUT_WARNING: u64 = 80;
const STEPS_WARNING: u64 = 90;

impl Session {
    /// A tick is over: it was work, unless it waited for the user.
    pub(super) fn worked(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let Some(kept) = &plan.policies.timeout else { return };
        if out.agent_state == AgentState::Listening || self.life != Life::Running {
            return;
        }
        self.used.worked += 1;
        self.bound(now, self.used.worked, kept, TIMEOUT_WARNING, out);
    }

    /// An agent has answered a turn or an outcome.
    pub(super) fn stepped(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let Some(kept) = plan.policies.max_steps.as_ref().filter(|_| self.life == Life::Running)
        else {
            return;
        };
        self.used.steps += 1;
        self.bound(now, self.used.steps, kept, STEPS_WARNING, out);
    }

    /// Warns when most of a bound is used, and ends the call when all is.
    fn bound(&mut self, now: Tick, used: u64, kept: &Kept<u64>, warning: u64, out: &mut Output) {
        let Kept { bound, policy } = kept;
        if used >= *bound {
            let reached = EventKind::PolicyReached { policy: policy.clone() };
            self.event(now, reached, out);
            self.close(EndReason::Policy(policy.clone()));
        } else if used == bound * warning / 100 {
            let (policy, percent) = (policy.clone(), warning as u32);
            self.event(now, EventKind::PolicyWarned { policy, percent }, out);
        }
    }

    /// The current agent says something: between two that hand over to each other, that is counted.
    pub(super) fn spoke(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let Some(former) = self.used.former else { return };
        let pair = pair(former, self.agent);
        let Some(Kept { bound, policy }) = plan.policies.max_turns.get(&pair) else { return };
        let count = self.used.messages.entry(pair).or_default();
        *count += 1;
        if *count == *bound {
            let policy = policy.clone();
            self.event(now, EventKind::PolicyReached { policy }, out);
        }
    }

    /// Another agent takes over.
    pub(super) fn took_over(&mut self, plan: &Plan, to: AgentId) {
        let between = |former: AgentId| plan.policies.max_turns.contains_key(&pair(former, to));
        self.used.former = Some(self.agent).filter(|former| between(*former));
    }

    /// The policy that forbids the current agent to hand over to this one.
    pub(super) fn forbids(&self, plan: &Plan, to: AgentId) -> Option<String> {
        let pair = pair(self.agent, to);
        let Kept { bound, policy } = plan.policies.max_turns.get(&pair)?;
        let count = self.used.messages.get(&pair).copied().unwrap_or(0);
        (count >= *bound).then(|| format!("the policy {policy}"))
    }
}
