//! A run goes on: what its loop asks for is done, until it waits for something from outside.
//!
//! **Invariant:** only the current agent asks its model, and only while the call is answered.

use std::collections::BTreeMap;

use super::super::dialogue::bounded;
use super::super::event::EventKind;
use super::super::output::{Effect, Output};
use super::super::plan::Plan;
use super::super::think::{Occasions, is_own};
use super::super::{Answered, Asker, Life, Session, Wanted};
use super::{Asking, Executing, Mind, has_tool, thinker};
use crate::clock::Tick;
use crate::graph::{Occasion, Results};
use crate::id::{AskId, CallId};
use crate::think::chat::{Call, ModelError, ToolChoice, ToolOutput};
use crate::think::script::render;
use crate::think::tool_loop::{Ending, Prepared, Todo};
use crate::tool::Outcome;

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
            if mind.early.is_some() && (mind.was_asked || mind.wants.is_some()) {
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
                    // Who may not be asked again has to say something.
                    let is_last = step > 0 && step + 1 >= thinker.options.steps();
                    let choice = match step {
                        0 => thinker.first.clone(),
                        _ if is_last => ToolChoice::None,
                        _ => ToolChoice::Auto,
                    };
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
                Todo::Step => self.stepped(plan, now, out),
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
        if !has_tool(plan, agent, &call.name) {
            let tools = thinker(plan, agent).map(|thinker| &thinker.options.tools);
            let there = tools.into_iter().flatten().map(|tool| tool.declaration.name.as_str());
            return mind.run.result(&call.id, ToolOutput::unknown_tool(there));
        }
        if self.has_many_calls(plan, occasions.wanted.len()) {
            let mind = &mut self.minds[at];
            mind.run.result(&call.id, ToolOutput::failed("too many calls are under way"));
            return self.limit(now, "calls", out);
        }
        let made = self.next_call(&call.name, call.arguments.clone(), lane);
        self.dialogue.called(Some(made.id), call);
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
        let Some(agent) = asker.agent() else { return };
        if agent == self.agent || fate == Results::Follow {
            self.happened(&name, &outcome, occasions);
        }
        let output = bounded(outcome.into());
        if let Asker::Model { run, .. } = asker {
            let is_it = |mind: &&mut Mind| mind.id == run && mind.waits_for(call);
            if let Some(mind) = self.minds.iter_mut().find(is_it) {
                self.dialogue.settle(call, &output);
                if let Some(Executing { id, .. }) = mind.executing.take() {
                    mind.run.result(&id, output);
                }
                return self.go_on(plan, now, run, occasions, out);
            }
        } else if let Some(id) = self.take_made(call) {
            self.dialogue.settle(call, &output);
            self.tell_native(plan, now, &id, output, out);
            return self.stepped(plan, now, out);
        }
        // What the session has done itself is done, and what the next agent's model was told already is told.
        let is_told = self.dialogue.has_answer(call);
        if is_own(&name) {
            self.dialogue.answered(call, &output);
        } else if !is_told {
            self.tell_late(plan, now, (call, &name), &output, out);
        }
        if let Asker::Native { native, .. } = asker
            && is_told
            && agent == self.agent
        {
            self.go_on_elsewhere(plan, now, native, out);
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
        let unknown = !self.dialogue.has_call(call, self.tenure.known);
        let is_over = self.life != Life::Running;
        let has_model = thinker(plan, self.agent).is_some() || self.native.is_some();
        if !has_model || is_over || unknown {
            let name = name.to_owned();
            return self.event(now, EventKind::ToolOrphaned { call, name }, out);
        }
        self.dialogue.told_under_way(call);
        let text = format!("<the call of `{name}` has come to an end: {}>", output.text());
        self.dialogue.note(text.clone());
        if self.note_to_native(plan, now, &text, out) {
            return;
        }
        match self.minds.iter_mut().find(|mind| mind.is_at_work(self.agent)) {
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

    fn run_over(&mut self, plan: &Plan, now: Tick, at: usize, out: &mut Output) {
        let mind = &mut self.minds[at];
        mind.over = true;
        let (news, lane, spoke) = (std::mem::take(&mut mind.news), mind.lane, mind.spoke);
        let agent = plan.agent(mind.agent).name.clone();
        let timed = mind.timed.take();
        match mind.run.ending().cloned() {
            Some(Ending::Failed(ModelError { kind, message })) => {
                if let Some(Asking { ask, .. }) = timed {
                    let (kind, cause) = (kind, message.clone());
                    self.event(now, EventKind::ModelFailed { ask, kind, cause }, out);
                }
                self.cannot_answer(plan, now, (at, agent, message), out);
            }
            Some(Ending::Invalid(cause)) => {
                self.cannot_answer(plan, now, (at, agent, cause), out);
            }
            Some(ending @ (Ending::MaxSteps | Ending::Natural)) => {
                if ending == Ending::MaxSteps {
                    self.limit(now, "model steps", out);
                }
                // A turn without an answer is a riddle; on hold, and in a goodbye, silence is one.
                if !spoke && self.answers() && self.next.is_none() {
                    let cause = "the model has ended its turn without a word".to_owned();
                    self.cannot_answer(plan, now, (at, agent, cause), out);
                }
            }
            Some(Ending::Stopped | Ending::AwaitsApproval | Ending::Cancelled) | None => {}
        }
        if news {
            self.begin_run(plan, now, lane, out);
        }
    }

    /// What was whole is said; after that the user hears that there is no more.
    fn cannot_answer(
        &mut self,
        plan: &Plan,
        now: Tick,
        (at, agent, cause): (usize, String, String),
        out: &mut Output,
    ) {
        self.event(now, EventKind::AgentError { agent, cause }, out);
        let mut unheard = !self.minds[at].items.is_empty();
        while let Some(text) = self.minds[at].ready.pop_front() {
            unheard = true;
            self.say_of(plan, now, at, text, out);
        }
        if unheard {
            self.apologise_at_last(plan, now, out);
        } else {
            self.apologise(plan, now, out);
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
        self.take_up(now, out);
        // Runs that have begun since the others went on; what they have is their question.
        let fresh = self.minds.iter().filter(|mind| !mind.was_asked && mind.wants.is_none());
        for id in fresh.map(|mind| mind.id).collect::<Vec<_>>() {
            self.go_on(plan, now, id, occasions, out);
        }
        self.say_ready(plan, now, out);
        if self.next.is_some() {
            return;
        }
        let mut at = 0;
        while at < self.minds.len() {
            let mind = &self.minds[at];
            if mind.wants.is_none() || mind.agent != self.agent {
                at += 1;
            } else if self.life != Life::Running {
                // After a goodbye nothing more is said.
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
        mind.was_asked = true;
        mind.asked = Some(Asking::new(ask, now));
        let (agent, model) = (plan.agent(mind.agent).name.clone(), thinker.model.clone());
        let (step, messages) = (mind.run.steps().len() as u32, request.messages.len() as u32);
        let kind = EventKind::ModelAsked { ask, agent, model: model.clone(), step, messages };
        self.event(now, kind, out);
        out.effects.push(Effect::Ask { ask, model, request });
    }
}
