//! The policies of a configuration: seconds into ticks, names into ids.

use std::collections::BTreeMap;

use super::Unplanned;
use crate::clock::TickLen;
use crate::graph::topology::{Policy, Seconds};
use crate::id::AgentId;

/// A bound, and the policy as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept<T> {
    /// The bound.
    pub bound: T,
    /// The policy, as it is told.
    pub policy: String,
}

/// What limits the agents of a session. Where two policies bound the same, the smaller bound counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policies {
    /// So many ticks of work: those in which the session does not wait for the user.
    pub timeout: Option<Kept<u64>>,
    /// So many steps: turns and outcomes that agents have answered.
    pub max_steps: Option<Kept<u64>>,
    /// So many messages between two agents that hand over to each other, the smaller id first.
    pub max_turns: BTreeMap<(AgentId, AgentId), Kept<u64>>,
    /// So many ticks for what an agent has asked for.
    pub agent_timeout: BTreeMap<AgentId, Kept<u64>>,
    /// The same for all other agents.
    pub default_timeout: Option<Kept<u64>>,
}

impl Policies {
    pub(super) fn new(
        policies: &[Policy],
        len: TickLen,
        agent: &impl Fn(&str) -> Result<AgentId, Unplanned>,
    ) -> Result<Self, Unplanned> {
        let mut kept = Self::default();
        let ticks = |time: Seconds| (time.ms() / u64::from(len.ms())).max(1);
        for policy in policies {
            let told = policy.to_string();
            let keep = |bound| Kept { bound, policy: told.clone() };
            match policy {
                Policy::Timeout(time) => lower(&mut kept.timeout, keep(ticks(*time))),
                Policy::MaxSteps(steps) => lower(&mut kept.max_steps, keep(u64::from(*steps))),
                Policy::MaxTurns { between: [a, b], turns } => {
                    let pair = pair(agent(a)?, agent(b)?);
                    let kept = kept.max_turns.entry(pair);
                    let bound = keep(u64::from(*turns));
                    kept.and_modify(|known| {
                        if bound.bound < known.bound {
                            known.clone_from(&bound);
                        }
                    })
                    .or_insert(bound);
                }
                Policy::AgentTimeout { agents, default } => {
                    for (name, time) in agents {
                        let told = format!("agent_timeout({name}: {time})");
                        let bound = Kept { bound: ticks(*time), policy: told };
                        kept.agent_timeout.insert(agent(name)?, bound);
                    }
                    if let Some(time) = default {
                        let told = format!("agent_timeout(default: {time})");
                        let bound = Kept { bound: ticks(*time), policy: told };
                        lower(&mut kept.default_timeout, bound);
                    }
                }
                Policy::MaxAgents(_) | Policy::Parallel(_) | Policy::ConvergencePoint(_) => {
                    return Err(Unplanned(format!("the policy `{told}` is not yet executable")));
                }
            }
        }
        Ok(kept)
    }

    /// How long what this agent has asked for may take.
    #[must_use]
    pub fn agent_timeout(&self, agent: AgentId) -> Option<&Kept<u64>> {
        self.agent_timeout.get(&agent).or(self.default_timeout.as_ref())
    }
}

/// Two agents, whichever comes first.
#[must_use]
pub fn pair(a: AgentId, b: AgentId) -> (AgentId, AgentId) {
    (a.min(b), a.max(b))
}

fn lower(kept: &mut Option<Kept<u64>>, bound: Kept<u64>) {
    if kept.as_ref().is_none_or(|known| bound.bound < known.bound) {
        *kept = Some(bound);
    }
}
