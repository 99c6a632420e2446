//! Calls that take long: something is said meanwhile, and a model's turn goes on without them.
//!
//! **Invariant:** a call is filled at most once, and its outcome is told whoever waits for it.

use std::collections::BTreeMap;

use super::super::dialogue::UNDER_WAY;
use super::super::output::Output;
use super::super::plan::Plan;
use super::super::{Asker, Session};
use crate::clock::Tick;
use crate::think::chat::ToolOutput;
use crate::think::script::render;

impl Session {
    /// Says the words of a tool that takes long, where nothing else is said.
    pub(in super::super) fn fill(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        if self.pending.iter().all(|pending| pending.filled) || !self.answers() {
            return;
        }
        let speaks = !self.playout.is_idle() || self.playout.has_kept();
        if speaks || self.minds.iter().any(|mind| mind.early.is_none() && !mind.ready.is_empty()) {
            return;
        }
        let agent = self.agent;
        for pending in self.pending.iter_mut().filter(|pending| !pending.filled) {
            let Some(conduct) = plan.conducts.get(&pending.name) else { continue };
            if now.since(pending.since) < conduct.filler_after
                || pending.asker.agent() != Some(agent)
            {
                continue;
            }
            pending.filled = true;
            let Some(filler) = &conduct.filler else { continue };
            let text = render(filler, &BTreeMap::new(), &self.facts, None);
            return self.say(plan, now, text, out);
        }
    }

    /// Lets the turns of models go on that have waited for a call for long enough.
    pub(in super::super) fn lose_patience(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let mut natives = Vec::new();
        for pending in &mut self.pending {
            if pending.patience.is_none_or(|patience| now.since(pending.since) < patience) {
                continue;
            }
            pending.patience = None;
            let call = pending.call;
            if matches!(pending.asker, Asker::Native { .. }) {
                natives.push(call);
                continue;
            }
            let waits = self.minds.iter_mut().find(|mind| mind.waits_for(call));
            let Some(mind) = waits else { continue };
            if let Some(made) = mind.executing.take() {
                self.dialogue.told_under_way(call);
                mind.run.result(&made.id, ToolOutput::Text(UNDER_WAY.to_owned()));
            }
        }
        for call in natives {
            self.lose_native_patience(plan, now, call, out);
        }
    }
}
