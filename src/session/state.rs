//! What the agent is doing, for whoever shows it: listening, thinking or speaking, and how far it has
//! come with its words.
//!
//! **Invariant:** nothing here changes the session: it follows from what the tick has come to.

use super::output::{AgentState, Output, Saying};
use super::plan::{AgentKind, Plan};
use super::{Asker, Life, Session};
use crate::graph::{Condition, Results};

impl Session {
    /// Notes what is to be shown of this tick.
    pub(super) fn show(&self, plan: &Plan, out: &mut Output) {
        out.agent_state = self.agent_state(plan, out);
        let ended = out.played.last().filter(|played| played.finished);
        let ended = ended.map(|played| Saying { item: played.item, spoken: played.to });
        let goes_on = self.playout.saying();
        out.saying = goes_on.map(|(item, spoken)| Saying { item, spoken: spoken as u32 }).or(ended);
    }

    fn agent_state(&self, plan: &Plan, out: &Output) -> AgentState {
        if self.life == Life::Ended {
            return AgentState::Listening;
        }
        // An echo pauses where the user does: as long as a run of voice lasts, it speaks.
        let echoes = self.echo.is_some() && self.floor.user_speaks();
        let is_played = out.played.iter().any(|played| played.samples > 0);
        if is_played || self.playout.is_speaking() || echoes {
            return AgentState::Speaking;
        }
        // An agent that was called talks in the meantime.
        let awaited = self.pending.iter().filter(|pending| pending.timeout < u64::MAX);
        let awaited = awaited.map(|pending| (&pending.asker, &*pending.name));
        // What stays for an agent that is not there is told later, if at all.
        let told = |answered: &&super::Answered| answered.fate != Results::Stay;
        let known = self.answered.iter().filter(told);
        let known = known.map(|answered| (&answered.asker, &*answered.name));
        let mut outcomes = awaited.chain(known);
        if self.has_thoughts()
            || !self.playout.is_idle()
            || outcomes.any(|(asker, tool)| is_told(plan, asker, tool))
        {
            return AgentState::Thinking;
        }
        AgentState::Listening
    }
}

/// Whether the agent will tell of a call's outcome: by its script, or because the outcome may hand over.
fn is_told(plan: &Plan, asker: &Asker, tool: &str) -> bool {
    let asked = match asker {
        Asker::Agent(asked) => asked,
        // A model is told of all that comes.
        Asker::Model { .. } | Asker::Native { .. } => return true,
        Asker::Participant(_) => return false,
    };
    let AgentKind::Scripted(script) = &plan.agent(asked.agent).kind else { return false };
    let hands_over = |condition: &Condition| matches!(condition, Condition::ToolResult { tool: of, .. } if of == tool);
    script.tells(asked)
        || plan.graph.leaving(asked.agent).iter().any(|way| hands_over(&way.condition))
}
