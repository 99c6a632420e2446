//! A run goes on: what its loop asks for is done, until it waits for something from outside.
//!
//! **Invariant:** only the current agent asks its model, and only while the call is answered.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::dialogue::bounded;
use super::super::event::EventKind;
use super::super::output::{Effect, Output};
use super::super::plan::Plan;
use super::super::think::Occasions;
use super::super::{Answered, Asker, Session, Wanted};
use super::{Asking, Executing, Mind, thinker};
use crate::clock::Tick;
use crate::graph::verb::Verb;
use crate::graph::{Occasion, Results};
use crate::id::{AskId, CallId};
use crate::think::chat::{Call, ModelError, ToolChoice, ToolOutput};
use crate::think::script::render;
use crate::think::tool_loop::{Ending, Prepared, Todo};
use crate::tool::{Json, Outcome};

/// Warnings of an answer that are told.
const WARNINGS_MAX: usize = 8;

impl Session {
    /// Lets all runs go on, and the first of the current agent's speak.
    pub(in super::super) fn minds_go_on(
        &mut self,
        plan: &Plan,
        now: Tick,
        occasions: &mut Occasions,
        out: &mut Output,
    ) {
        let ids: Vec<u32> = self.minds.iter().map(|mind| mind.id).collect();
        for id in ids {
            self.go_on(plan, now, id, occasions, out);
        }
        self.say_ready(plan, now, out);
    }

    /// Lets a run go on.
    fn go_on(
        &mut self,
        plan: &Plan,
        now: Tick,
        id: u32,
        occasions: &mut Occasions,
        out: &mut Output,
    ) {
        while let Some(at) = self.minds.iter().position(|mind| mind.id == id && !mind.over) {
            let mind = &mut self.minds[at];
            // What comes of its answer is for when the turn has ended.
            let is_asked = mind.asked.is_some() || mind.timed.is_some() || mind.wants.is_some();
            if mind.early.is_some() && is_asked {
                return;
            }
            let Some(thinker) = thinker(plan, mind.agent) else {
                // Another configuration has another kind of agent in its place.
                let mind = self.minds.remove(at);
                return self.unask(now, &mind, out);
            };
            match mind.run.poll(&thinker.options) {
                Todo::Prepare { step } => {
                    let system = render(&thinker.instructions, &BTreeMap::new(), &self.facts, None);
                    let choice = if step == 0 { thinker.first.clone() } else { ToolChoice::Auto };
                    let prepared = Prepared {
                        system: Some(system).filter(|system| !system.trim().is_empty()),
                        tool_choice: Some(choice),
                        ..Prepared::default()
                    };
                    mind.run.prepared(&thinker.options, prepared);
                }
                Todo::Ask(request) => {
                    mind.wants = Some(request);
                    return;
                }
                Todo::Approve(call) => self.approve(plan, now, at, call, out),
                Todo::Execute(call) => self.make(plan, now, at, &call, occasions, out),
                Todo::Step => self.note_step(plan, now, at, out),
                Todo::Wait => return,
                Todo::Over => return self.run_over(plan, now, at, out),
            }
        }
    }

    /// Makes a call of a model's in this tick.
    fn make(
        &mut self,
        plan: &Plan,
        now: Tick,
        at: usize,
        call: &Call,
        occasions: &mut Occasions,
        out: &mut Output,
    ) {
        let mind = &mut self.minds[at];
        let (agent, lane) = (mind.agent, mind.lane);
        let tools = thinker(plan, agent).map(|thinker| &thinker.options.tools);
        let names = tools.into_iter().flatten().map(|tool| tool.declaration.name.as_str());
        let names: Vec<&str> = names.collect();
        if !names.contains(&call.name.as_str()) {
            let reason = format!("there is no such tool; there is {}", names.join(", "));
            let error = json!({ "error": "unknown_tool", "reason": reason });
            return mind.run.result(&call.id, ToolOutput::Error(Json(error)));
        }
        let known = self.answered.len() + self.pending.len();
        if known + occasions.wanted.len() >= plan.limits.calls {
            mind.run.result(&call.id, ToolOutput::failed("too many calls are under way"));
            return self.limit(now, "calls", out);
        }
        let made = self.next_call(&call.name, call.arguments.clone(), lane);
        self.dialogue.called(now, Some(made.id), call);
        let mind = &mut self.minds[at];
        mind.executing = Some(Executing { call: made.id, id: call.id.clone() });
        let asker = Asker::Model { agent, run: mind.id };
        occasions.wanted.push(Wanted { call: made, asker });
    }

    /// The outcome of a call that a model has asked for.
    pub(in super::super) fn answer_model(
        &mut self,
        plan: &Plan,
        now: Tick,
        answered: Answered,
        occasions: &mut Occasions,
        out: &mut Output,
    ) {
        let Answered { call, name, asker, outcome, fate } = answered;
        let Asker::Model { agent, run } = asker else { return };
        let is_current = agent == self.agent;
        if is_current || fate == Results::Follow {
            self.happened(&name, &outcome, occasions);
        }
        let output = bounded(outcome.into());
        let is_it =
            |mind: &&mut Mind| mind.executing.as_ref().is_some_and(|made| made.call == call);
        if let Some(mind) = self.minds.iter_mut().filter(|mind| mind.id == run).find(is_it) {
            self.dialogue.answered(call, &output);
            if let Some(Executing { id, .. }) = mind.executing.take() {
                mind.run.result(&id, output);
            }
            return self.go_on(plan, now, run, occasions, out);
        }
        // What the session has done itself is done, and what the next agent's model was told already is told.
        let is_own = Verb::of(&name).is_some_and(|verb| verb != Verb::CallAgent);
        let is_told = self.dialogue.has_answer(call);
        if is_own {
            self.dialogue.answered(call, &output);
        } else if !is_told {
            self.tell_late(plan, now, (call, &name), &output, out);
        }
    }

    /// An outcome whose run does not wait for it any more: the next one is told, and where none is at work,
    /// one begins to tell the user.
    fn tell_late(
        &mut self,
        plan: &Plan,
        now: Tick,
        (call, name): (CallId, &str),
        output: &ToolOutput,
        out: &mut Output,
    ) {
        if thinker(plan, self.agent).is_none() || !self.answers() {
            let name = name.to_owned();
            return self.event(now, EventKind::ToolOrphaned { call, name }, out);
        }
        self.dialogue.told_under_way(call);
        let text = format!("The call of `{name}` has come to an end: {}", output.text());
        self.dialogue.note(now, text);
        match self
            .minds
            .iter_mut()
            .find(|mind| mind.agent == self.agent && !mind.over && mind.early.is_none())
        {
            Some(mind) => mind.news = true,
            None => self.begin_run(plan, now, None, out),
        }
    }

    /// What happened is there for the graph.
    pub(in super::super) fn happened(
        &mut self,
        name: &str,
        outcome: &Outcome,
        occasions: &mut Occasions,
    ) {
        if let Outcome::Done(value) = outcome {
            self.tenure.result_text = value.0.to_string();
            self.tenure.result = Some((name.to_owned(), value.clone()));
        }
        let (tool, outcome) = (name.to_owned(), outcome.clone());
        occasions.all.push(Occasion::ToolResult { tool, outcome });
    }

    fn note_step(&mut self, plan: &Plan, now: Tick, at: usize, out: &mut Output) {
        let mind = &mut self.minds[at];
        if let (Some(timed), Some(step)) = (mind.timed.take(), mind.run.steps().last()) {
            let kind = EventKind::ModelAnswered {
                ask: timed.ask,
                model: step.response.model.clone(),
                first_after_ticks: timed.first.map(|first| first.since(timed.since)),
                after_ticks: now.since(timed.since),
                finish: step.response.finish_reason.clone(),
                usage: step.response.usage,
                warnings: step.response.warnings.iter().take(WARNINGS_MAX).cloned().collect(),
            };
            self.event(now, kind, out);
        }
        self.stepped(plan, now, out);
    }

    fn run_over(&mut self, plan: &Plan, now: Tick, at: usize, out: &mut Output) {
        let mind = &mut self.minds[at];
        mind.over = true;
        let (news, lane) = (std::mem::take(&mut mind.news), mind.lane);
        let agent = plan.agent(mind.agent).name.clone();
        let timed = mind.timed.take();
        match mind.run.ending().cloned() {
            Some(Ending::Failed(ModelError { kind, message })) => {
                // What was whole is said; after that the user hears that there is no more.
                self.say_ready(plan, now, out);
                if let Some(Asking { ask, .. }) = timed {
                    let (kind, cause) = (kind, message.clone());
                    self.event(now, EventKind::ModelFailed { ask, kind, cause }, out);
                }
                self.event(now, EventKind::AgentError { agent, cause: message }, out);
                self.apologise(plan, now, out);
            }
            Some(Ending::Invalid(cause)) => {
                self.event(now, EventKind::AgentError { agent, cause }, out);
                self.apologise(plan, now, out);
            }
            Some(Ending::MaxSteps) => self.limit(now, "model steps", out),
            Some(
                Ending::Natural | Ending::Stopped | Ending::AwaitsApproval | Ending::Cancelled,
            )
            | None => {}
        }
        if news {
            self.begin_run(plan, now, lane, out);
        }
    }

    /// Asks the models that are to be asked, unless the current agent is about to hand over: then the next
    /// one answers.
    pub(in super::super) fn ask_models(
        &mut self,
        plan: &Plan,
        now: Tick,
        occasions: &mut Occasions,
        out: &mut Output,
    ) {
        // Runs that have begun since the others went on.
        self.minds_go_on(plan, now, occasions, out);
        if self.next.is_some() {
            return;
        }
        let mut at = 0;
        while at < self.minds.len() {
            let mind = &self.minds[at];
            if mind.wants.is_none() || mind.agent != self.agent {
                at += 1;
            } else if !self.answers() {
                // After a goodbye, or on hold, nothing more is said.
                let ready = !mind.ready.is_empty() || !mind.items.is_empty();
                let mind = &mut self.minds[at];
                mind.wants = None;
                mind.run.cancel();
                mind.over = true;
                at += usize::from(ready);
                if !ready {
                    self.minds.remove(at);
                }
            } else {
                self.ask(plan, now, at, out);
                at += 1;
            }
        }
        let speaking = &self.speaking;
        self.minds.retain_mut(|mind| {
            mind.items.retain(|item| speaking.contains_key(item));
            !mind.over || !mind.ready.is_empty() || !mind.items.is_empty()
        });
    }

    fn ask(&mut self, plan: &Plan, now: Tick, at: usize, out: &mut Output) {
        let ask = AskId(self.asks);
        self.asks += 1;
        let mind = &mut self.minds[at];
        let (Some(request), Some(thinker)) = (mind.wants.take(), thinker(plan, mind.agent)) else {
            return;
        };
        mind.asked = Some(Asking { ask, since: now, heard: now, first: None });
        let (agent, model) = (plan.agent(mind.agent).name.clone(), thinker.model.clone());
        let (step, messages) = (mind.run.steps().len() as u32, request.messages.len() as u32);
        let kind = EventKind::ModelAsked { ask, agent, model: model.clone(), step, messages };
        self.event(now, kind, out);
        out.effects.push(Effect::Ask { ask, model, request });
    }
}
