//! The graph is asked: at most one move, effective at the next tick.
//!
//! **Invariant:** what happened before the current agent took over moves nobody, and what has moved
//! somebody is forgotten with the move.

use super::agents::{Arrival, Next};
use super::event::EventKind;
use super::output::Output;
use super::plan::Plan;
use super::think::Occasions;
use super::{Life, Session};
use crate::clock::Tick;
use crate::graph::event::EventName;
use crate::graph::rules::Variables;
use crate::graph::{Carry, Cause, Move, Occasion, Situation, Transition, route};
use crate::id::AgentId;
use crate::think::script::render;
use crate::tool::{Json, Outcome};

/// Keys that are kept of a user who presses many.
const DIGITS_MAX: usize = 32;

impl Session {
    /// Consults the graph; how many of the tick's events it has looked at.
    pub(super) fn route(
        &mut self,
        plan: &Plan,
        now: Tick,
        occasions: &mut Occasions,
        out: &mut Output,
    ) -> usize {
        self.note(plan, 0, out);
        let noted = out.events.len();
        let mut all = std::mem::take(&mut self.tenure.occurred);
        all.append(&mut occasions.all);
        // A call or a return goes first: it was asked for by a tool. Who says goodbye stays.
        let second = now.0 % plan.len.ticks_min_one(1_000) <= self.put_off();
        let stays = self.next.is_some() || self.life != Life::Running;
        if stays || !plan.graph.is_asked(self.agent, !all.is_empty(), second) {
            return noted;
        }
        // One that is refused leaves the others open.
        while self.try_move(plan, now, (occasions, &all), second, out) {}
        noted
    }

    /// Tries the first move that the situation leads to; whether it was refused.
    fn try_move(
        &mut self,
        plan: &Plan,
        now: Tick,
        (occasions, all): (&Occasions, &[Occasion]),
        second: bool,
        out: &mut Output,
    ) -> bool {
        let variables = Known { session: self, plan };
        let situation = Situation {
            now,
            occasions: all,
            current_for: now.since(self.tenure.since),
            // Who is on hold waits, and nobody has fallen silent.
            silent_for: if self.hold.is_some() { 0 } else { self.floor.silence(now) },
            agent_turns: self.tenure.turns,
            call_turns: self.turn_count,
            digits: &self.tenure.digits,
            refused: &self.refused,
            variables: &variables,
            second,
        };
        let mut failures = Vec::new();
        let taken = route(&plan.graph, self.agent, &situation, &mut failures);
        for (transition, cause) in failures {
            // Once: what is wrong now is wrong a second later as well.
            if self.tenure.failed.insert(transition) {
                self.event(now, EventKind::RuleFailed { transition, cause }, out);
            }
        }
        let Some(Move { transition, to, cause, updates }) = taken else { return false };
        let cause = match cause {
            Cause::Timer(ticks) => Cause::Timer(plan.len.span_ms(ticks)),
            Cause::Silence(ticks) => Cause::Silence(plan.len.span_ms(ticks)),
            other => other,
        };
        if let Some(reason) = self.refuses(plan, to) {
            let name = |id| plan.agent(id).name.clone();
            let (from, to) = (name(self.agent), name(to));
            self.refused.push(transition.id);
            self.event(now, EventKind::TransitionRefused { from, to, cause, reason }, out);
            return true;
        }
        for (name, value) in updates {
            self.remember(plan, now, &name, value, out);
        }
        self.go(plan, now, (transition, to, cause), (occasions, all), out);
        false
    }

    /// Why there is no move to this agent now, though a transition leads there.
    fn refuses(&self, plan: &Plan, to: AgentId) -> Option<String> {
        if let Some(policy) = self.forbids(plan, to) {
            return Some(policy);
        }
        (self.moves_in_turn >= plan.moves_max)
            .then(|| format!("{} hand-overs within one turn", self.moves_in_turn))
    }

    fn go(
        &mut self,
        plan: &Plan,
        now: Tick,
        (transition, to, cause): (&Transition, AgentId, Cause),
        (occasions, all): (&Occasions, &[Occasion]),
        out: &mut Output,
    ) {
        self.moves_in_turn += 1;
        // The result that has made it fire, not just any of this tick.
        let outcome = all.iter().find_map(|occasion| match occasion {
            Occasion::ToolResult { tool, outcome: outcome @ Outcome::Done(value) } => {
                transition.condition.fulfilled_by(tool, &value.0).map(|_| outcome)
            }
            _ => None,
        });
        let text = |template| render(template, &occasions.slots, &self.facts, outcome);
        let say = transition.say.as_ref().map(text);
        let arrival = transition.arrival.as_ref().map(text);
        let (along, summary, history) = match &transition.carry {
            Carry::Everything => (None, None, true),
            Carry::Facts(names) => (Some(names.clone()), None, false),
            Carry::Summary(template) => (Some(Vec::new()), Some(text(template)), false),
            Carry::Nothing => (Some(Vec::new()), None, false),
        };
        if let Some(say) = say {
            self.say_in_leaving(plan, now, say, out);
        }
        self.next = Some(Next {
            to,
            along,
            summary,
            history,
            results: transition.results,
            arrival: arrival.map_or(Arrival::Own, Arrival::Words),
            by_call: false,
        });
        let name = |id| plan.agent(id).name.clone();
        let (from, to) = (name(self.agent), name(to));
        let kind = EventKind::TransitionExecuted { from, to, transition: transition.id, cause };
        self.event(now, kind, out);
    }

    /// Notes the events of this tick from a position on, as far as a transition of the current agent
    /// waits for them.
    pub(super) fn note(&mut self, plan: &Plan, from: usize, out: &Output) {
        let leaving = plan.graph.leaving(self.agent);
        for event in &out.events[from..] {
            if event.seq < self.tenure.first {
                continue;
            }
            if let EventKind::UserDigit { digit, .. } = event.kind {
                if self.tenure.digits.chars().count() >= DIGITS_MAX {
                    self.tenure.digits.remove(0);
                }
                self.tenure.digits.push(digit);
                self.tenure.occurred.push(Occasion::Change);
            }
            let name: EventName = event.kind.name();
            if leaving.iter().any(|transition| transition.condition.awaits(name)) {
                let data = Json(serde_json::Value::Object(event.kind.data()));
                self.tenure.occurred.push(Occasion::Event { name, seq: event.seq, data });
            }
        }
    }
}

/// What business rules know of a session. What the user said and a tool answered before the current agent
/// took over is not known.
struct Known<'a> {
    session: &'a Session,
    plan: &'a Plan,
}

impl Variables for Known<'_> {
    fn user_input(&self) -> &str {
        self.session.tenure.input.as_deref().unwrap_or_default()
    }

    fn current_agent_name(&self) -> &str {
        &self.plan.agent(self.session.agent).name
    }

    fn current_agent_type(&self) -> &str {
        &self.plan.agent(self.session.agent).agent_type
    }

    fn conversation_turn_count(&self) -> u64 {
        u64::from(self.session.turn_count)
    }

    fn last_tool_name(&self) -> &str {
        self.session.tenure.result.as_ref().map_or("", |(name, _)| name)
    }

    fn last_tool_result(&self) -> &str {
        &self.session.tenure.result_text
    }

    fn fact(&self, name: &str) -> Option<&serde_json::Value> {
        self.session.facts.get(name).map(|fact| &fact.value.0)
    }
}
