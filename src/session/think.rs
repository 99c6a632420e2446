//! What the current agent makes of turns and outcomes.

use super::event::EventKind;
use super::output::Output;
use super::plan::{AgentKind, Plan};
use super::{Answered, Asker, EndReason, Ended, Life, Session, Wanted};
use crate::clock::Tick;
use crate::graph::{Occasion, route};
use crate::id::{AgentId, LaneId};
use crate::talk::transcript::{Said, Speaker};
use crate::think::Thought;
use crate::think::echo::Echo;
use crate::think::script::{Moment, Script, render};
use crate::tool::{Json, Outcome, ToolCall};

/// What happened in a tick, for the graph, and the calls it led to.
#[derive(Default)]
pub(super) struct Occasions {
    pub(super) all: Vec<Occasion>,
    pub(super) wanted: Vec<Wanted>,
    slots: std::collections::BTreeMap<String, String>,
}

/// Whether an agent would understand these words: then they are complete.
pub(super) fn is_understood(plan: &Plan, agent: AgentId, text: &str) -> bool {
    script_of(plan, agent).is_some_and(|script| script.understand(text).is_some())
}

fn script_of(plan: &Plan, agent: AgentId) -> Option<&Script> {
    match &plan.agent(agent).kind {
        AgentKind::Scripted(script) => Some(script),
        AgentKind::Echo { .. } => None,
    }
}

impl Session {
    /// Answers what is new: outcomes first, since they were asked for earlier, then turns.
    pub(super) fn think(&mut self, plan: &Plan, now: Tick, out: &mut Output) -> Occasions {
        let wanted = std::mem::take(&mut self.requested);
        let mut occasions = Occasions { wanted, ..Occasions::default() };
        for answered in std::mem::take(&mut self.answered) {
            self.answer(plan, now, answered, &mut occasions, out);
        }
        for ended in std::mem::take(&mut self.turns) {
            self.reply(plan, now, ended, &mut occasions, out);
        }
        occasions
    }

    /// The agent learns an outcome. It answers by the script of the agent that asked, since only
    /// that one knows what the question was.
    pub(super) fn answer(
        &mut self,
        plan: &Plan,
        now: Tick,
        answered: Answered,
        occasions: &mut Occasions,
        out: &mut Output,
    ) {
        let Answered { name, asker, outcome } = answered;
        let Asker::Agent(asked) = asker else { return };
        let Some(script) = script_of(plan, asked.agent) else { return };
        let thoughts = script.answer(&asked, &outcome, &self.facts);
        // Only what the current agent asked can move it on.
        if asked.agent == self.agent {
            occasions.all.push(Occasion::ToolResult { tool: name, outcome });
        }
        self.perform(plan, now, None, thoughts, occasions, out);
    }

    fn reply(
        &mut self,
        plan: &Plan,
        now: Tick,
        ended: Ended,
        occasions: &mut Occasions,
        out: &mut Output,
    ) {
        let Some(turn) = ended.turn else { return };
        self.moves_in_turn = 0;
        for (lane, text) in turn.by_lane() {
            let script = script_of(plan, self.agent);
            let understood = script.and_then(|script| script.understand(&text));
            let speaker = Speaker::User(lane);
            let (from, to) = (turn.since, now);
            self.transcript.push(Said {
                speaker,
                text: text.clone(),
                from,
                to,
                interrupted: false,
            });
            let kind = EventKind::UserMessage {
                turn: turn.id,
                lane,
                text,
                intent: understood.as_ref().map(|understood| understood.name.clone()),
                typed: ended.typed,
                last_voiced: turn.last_voiced,
            };
            self.event(now, kind, out);
            // Who has said goodbye does not begin anew.
            let Some(script) = script.filter(|_| self.life == Life::Running) else { continue };
            let thoughts = script.reply(self.agent, understood.as_ref(), &self.facts);
            if let Some(understood) = understood {
                occasions.all.push(Occasion::Intent(understood.name));
                occasions.slots = understood.slots;
            }
            self.perform(plan, now, Some(lane), thoughts, occasions, out);
        }
    }

    fn perform(
        &mut self,
        plan: &Plan,
        now: Tick,
        lane: Option<LaneId>,
        thoughts: Vec<Thought>,
        occasions: &mut Occasions,
        out: &mut Output,
    ) {
        for thought in thoughts {
            match thought {
                Thought::Say(text) => self.say(plan, now, text, out),
                Thought::Apologise => self.apologise(plan, now, out),
                Thought::Call { tool, arguments, asked } => {
                    if self.pending.len() + occasions.wanted.len() >= plan.limits.calls {
                        self.limit(now, "calls", out);
                        continue;
                    }
                    let call = self.next_call(&tool, arguments, lane);
                    occasions.wanted.push(Wanted { call, asker: Asker::Agent(asked) });
                }
                Thought::Remember(name, value) => {
                    let known = self.facts.contains_key(&name);
                    if !known && self.facts.len() >= plan.limits.facts {
                        self.limit(now, "facts", out);
                    } else {
                        self.facts.insert(name, value);
                    }
                }
                Thought::EndCall => self.close(EndReason::AgentEnded),
            }
        }
    }

    /// Consults the graph: at most one move, effective at the next tick.
    pub(super) fn route(
        &mut self,
        plan: &Plan,
        now: Tick,
        occasions: &Occasions,
        out: &mut Output,
    ) {
        if occasions.all.is_empty() {
            return;
        }
        let Some((transition, cause)) = route(&plan.graph, self.agent, &occasions.all) else {
            return;
        };
        let name = |id| plan.agent(id).name.clone();
        let (from, to) = (name(transition.from), name(transition.to));
        if self.moves_in_turn >= plan.moves_max {
            let reason = format!("{} hand-overs within one turn", self.moves_in_turn);
            return self.event(now, EventKind::TransitionRefused { from, to, cause, reason }, out);
        }
        self.moves_in_turn += 1;
        if let Some(say) = &transition.say {
            // The result that has made it fire, not just any of this tick.
            let outcome = occasions.all.iter().find_map(|occasion| match occasion {
                Occasion::ToolResult { tool, outcome: outcome @ Outcome::Done(value) } => {
                    transition.condition.fulfilled_by(tool, &value.0).map(|_| outcome)
                }
                Occasion::ToolResult { .. } | Occasion::Intent(_) => None,
            });
            let text = render(say, &occasions.slots, &self.facts, outcome);
            self.say(plan, now, text, out);
        }
        self.next_agent = Some(transition.to);
        let kind = EventKind::TransitionExecuted { from, to, transition: transition.id, cause };
        self.event(now, kind, out);
    }

    /// The current agent begins: by greeting, or by saying that it has taken over.
    pub(super) fn enter(&mut self, plan: &Plan, now: Tick, moment: Moment, out: &mut Output) {
        let agent = plan.agent(self.agent);
        self.echo = match agent.kind {
            AgentKind::Echo { delay } => Some(Echo::new(delay, plan.samples())),
            AgentKind::Scripted(_) => None,
        };
        self.event(now, EventKind::AgentStarted { agent: agent.name.clone() }, out);
        self.say_at(plan, now, moment, out);
    }

    /// What the current agent says unasked at this moment, if anything.
    pub(super) fn say_at(&mut self, plan: &Plan, now: Tick, moment: Moment, out: &mut Output) {
        let script = script_of(plan, self.agent);
        if let Some(text) = script.and_then(|script| script.at(moment, &self.facts)) {
            self.say(plan, now, text, out);
        }
    }
}

impl Session {
    /// The arguments of a call, for the event.
    pub(super) fn called(&mut self, now: Tick, call: &ToolCall, out: &mut Output) {
        let kind = EventKind::ToolCalled {
            call: call.id,
            name: call.name.clone(),
            arguments: Json(call.arguments.0.clone()),
            occurrence: call.occurrence,
        };
        self.event(now, kind, out);
        out.calls.push(call.clone());
    }
}
