//! An agent's mind: a model that answers for it, and the tools that it calls, within the ticks.
//!
//! A run begins with a turn of the user. Its state is the [`ToolLoop`]; the session polls it, asks the
//! model by an effect, takes the pieces of its answer as inputs, makes its calls in the work phase, and says
//! what it has to say sentence by sentence:
//!
//! ```text
//! turn ─ engage ─▶ ToolLoop ─ Ask ─▶ Effect::Ask ⇢ Inbound::Model… ─▶ sentences ─▶ items ─▶ heard
//!                     ▲                                                                      │
//!                     └──────── outcomes ◀─ work ◀─ Execute                    dialogue ◀────┘
//! ```
//!
//! **Invariant:** one run speaks at a time; what nobody wants any more is dropped at the edge as well; a
//! call that was made has its outcome told once.

mod approve;
mod early;
mod go_on;
mod patience;
mod say;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::dialogue::bounded;
use super::event::{CutCause, EventKind};
use super::native::speaker;
use super::output::{Effect, Output};
use super::plan::{AgentKind, Plan, Thinker};
use super::{Asker, Session};
use crate::clock::Tick;
use crate::id::{AgentId, AskId, CallId, ItemId, LaneId};
use crate::talk::sentences::Sentences;
use crate::think::chat::{
    ErrorKind, FinishReason, Message, ModelDelta, ModelError, ModelRequest, Usage,
};
use crate::think::tool_loop::ToolLoop;
use crate::tool::{FailureKind, OnBargeIn, Outcome};

pub(super) use approve::{APPROVAL, Approving};

/// Runs of a session at most: the one that speaks, those that wait for agents that were called, and
/// turns that wait where nobody may interrupt.
const RUNS_MAX: usize = 12;

/// Why a call is not made about which the user was asked: something else was said.
pub(super) const SAID_ELSE: &str = "the user said something else";

/// Why a call is not made, or not waited for: the user wants the agent to stop.
pub(super) const INTERRUPTED: &str = "the user has interrupted it";

/// A run of a model and its tools.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Mind {
    /// Its number in the session.
    id: u32,
    pub(super) agent: AgentId,
    /// The participant whose turn it answers.
    lane: Option<LaneId>,
    run: ToolLoop,
    /// A request that is to be made in this tick.
    wants: Option<Box<ModelRequest>>,
    /// Its model was asked at least once.
    was_asked: bool,
    asked: Option<Asking>,
    /// A question whose answer is none, until that is told.
    timed: Option<Asking>,
    sentences: Sentences,
    /// What is to be said, and not announced yet.
    ready: VecDeque<String>,
    /// What is announced, and not over.
    items: Vec<ItemId>,
    /// The call that is made.
    executing: Option<Executing>,
    approving: Option<Approving>,
    /// It was asked before the turn had ended, and these are the words that it answers.
    early: Option<String>,
    /// The turn has ended with these words: it goes on, unless another agent takes over.
    adopted: bool,
    /// Something was said in it.
    spoke: bool,
    over: bool,
    /// Something came of an earlier call that it has not been told.
    news: bool,
}

/// A model that is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Asking {
    ask: AskId,
    since: Tick,
    /// When it was heard of last.
    heard: Tick,
    /// When its answer began.
    first: Option<Tick>,
    /// What it has told of itself.
    model: Option<String>,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    warnings: Vec<String>,
}

/// Warnings of an answer that are told.
const WARNINGS_MAX: usize = 8;

/// Sentences that wait to be announced at most: twenty minutes of speech, which nobody hears out.
const READY_MAX: usize = 256;

/// A call of the model's that is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Executing {
    call: CallId,
    /// The model's id of it.
    id: String,
}

impl Mind {
    /// Whether it is a run of this agent's that is not over, and no early one.
    fn is_at_work(&self, agent: AgentId) -> bool {
        self.agent == agent && !self.over && self.early.is_none()
    }

    /// Whether it waits for what comes of this call.
    fn waits_for(&self, call: CallId) -> bool {
        self.executing.as_ref().is_some_and(|made| made.call == call)
    }
}

impl Asking {
    const fn new(ask: AskId, since: Tick) -> Self {
        Self {
            ask,
            since,
            heard: since,
            first: None,
            model: None,
            finish: None,
            usage: None,
            warnings: Vec::new(),
        }
    }

    fn note(&mut self, delta: &ModelDelta) {
        match delta {
            ModelDelta::Started { model, .. } => self.model = model.clone().or(self.model.take()),
            ModelDelta::Usage(usage) => self.usage = Some(*usage),
            ModelDelta::Finished { reason, .. } => self.finish = Some(reason.clone()),
            ModelDelta::Warning(text) if self.warnings.len() < WARNINGS_MAX => {
                self.warnings.push(text.clone());
            }
            _ => {}
        }
    }
}

/// Whether the model of an agent was given this tool.
fn has_tool(plan: &Plan, agent: AgentId, name: &str) -> bool {
    let tools = thinker(plan, agent).map(|thinker| &thinker.options.tools);
    tools.into_iter().flatten().any(|tool| tool.declaration.name == name)
}

/// What a model needs to be told, if the agent has one.
pub(super) fn thinker(plan: &Plan, agent: AgentId) -> Option<&Thinker> {
    match &plan.agent(agent).kind {
        AgentKind::Model(thinker) => Some(thinker),
        AgentKind::Scripted(_) | AgentKind::Native(_) | AgentKind::Echo { .. } => None,
    }
}

impl Session {
    /// Answers what was said last: by a run of the current agent's, which overtakes those before it. `said` is
    /// what one participant has said, if it was one.
    pub(super) fn engage(
        &mut self,
        plan: &Plan,
        now: Tick,
        lane: Option<LaneId>,
        said: Option<&str>,
        out: &mut Output,
    ) {
        if speaker(plan, self.agent).is_some() {
            self.ask_to_say(plan, now, None, out);
        }
        if thinker(plan, self.agent).is_none() {
            return;
        }
        if said.is_some_and(|said| self.adopt(said)) {
            return;
        }
        self.overtake(plan, now, out);
        self.begin_run(plan, now, lane, out);
    }

    /// Begins a run for the current agent, if a model answers for it.
    fn begin_run(&mut self, plan: &Plan, now: Tick, lane: Option<LaneId>, out: &mut Output) {
        if thinker(plan, self.agent).is_none() {
            return;
        }
        let messages = self.talk_so_far(None);
        self.new_run(now, lane, messages, out);
    }

    /// A run on these messages; none where there are too many.
    fn new_run(
        &mut self,
        now: Tick,
        lane: Option<LaneId>,
        messages: Vec<Message>,
        out: &mut Output,
    ) -> Option<u32> {
        if self.minds.len() >= RUNS_MAX {
            self.limit(now, "runs", out);
            return None;
        }
        let id = self.runs;
        self.runs += 1;
        self.minds.push(Mind {
            id,
            agent: self.agent,
            lane,
            run: ToolLoop::new(format!("run-{id}"), messages),
            wants: None,
            was_asked: false,
            asked: None,
            timed: None,
            sentences: Sentences::default(),
            ready: VecDeque::new(),
            items: Vec::new(),
            executing: None,
            approving: None,
            early: None,
            adopted: false,
            spoke: false,
            over: false,
            news: false,
        });
        Some(id)
    }

    /// What the current agent's model is told of the talk, and of what a participant has said since.
    pub(super) fn talk_so_far(&mut self, since: Option<(LaneId, &str)>) -> Vec<Message> {
        let several = self.lanes.len() > 1;
        let lanes = &self.lanes;
        let name = |id: LaneId| {
            let lane = lanes.iter().find(|lane| several && lane.id == id)?;
            Some(lane.name.clone()).filter(|name| !name.is_empty())
        };
        self.dialogue.messages(self.tenure.known, &name, since)
    }

    /// The user has said more: what an earlier run has not said yet is not said any more. Where nobody may
    /// interrupt, a run that has begun to speak goes on, and the next one waits.
    fn overtake(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        // What was cut does not go on, since something else is answered.
        let mine = |mind: &Mind| mind.items.iter().any(|item| self.playout.is_kept(*item));
        if self.minds.iter().any(mine) {
            self.floor.decided();
            self.forget_cut(plan, now, out);
        }
        let mut at = 0;
        while let Some(mind) = self.minds.get(at) {
            let speaks = !mind.items.is_empty() || !mind.ready.is_empty();
            let goes_on = plan.rules.barge_in.is_none() && speaks;
            if mind.agent != self.agent || goes_on {
                at += 1;
            } else {
                self.abandon(plan, now, at, CutCause::Overtaken, out);
            }
        }
    }

    /// Ends a run: its model is not listened to any more, and what it has not said is not said.
    fn abandon(&mut self, plan: &Plan, now: Tick, at: usize, why: CutCause, out: &mut Output) {
        let mind = self.minds.remove(at);
        self.unask(now, &mind, out);
        let waits = |item: &ItemId| self.speaking.contains_key(item);
        let unsaid: Vec<ItemId> = mind.items.iter().copied().filter(waits).collect();
        self.unsay_all(plan, now, &unsaid, why, out);
        if let Some(Approving { call, .. }) = &mind.approving {
            let reason = if why == CutCause::Asked { INTERRUPTED } else { SAID_ELSE };
            self.dialogue.denied(call, Some(reason.to_owned()));
        }
        self.release(plan, now, &mind, out);
    }

    /// A model is not listened to any more.
    fn unask(&mut self, now: Tick, mind: &Mind, out: &mut Output) {
        if let Some(Asking { ask, .. }) = &mind.asked {
            out.effects.push(Effect::AskDrop { ask: *ask });
        }
        if let Some(Asking { ask, .. }) = mind.asked.as_ref().or(mind.timed.as_ref()) {
            let ask = *ask;
            self.event(now, EventKind::ModelDropped { ask }, out);
        }
    }

    /// Items that are announced are not said.
    pub(super) fn unsay_all(
        &mut self,
        plan: &Plan,
        now: Tick,
        items: &[ItemId],
        why: CutCause,
        out: &mut Output,
    ) {
        if self.playout.saying().is_some_and(|(item, _)| items.contains(&item)) {
            // It is heard right now: it fades, and all others with it.
            self.cut(plan, now, why, (now, 0), out);
            return self.forget_cut(plan, now, out);
        }
        for item in items {
            self.unsay(plan, now, *item, why, out);
        }
    }

    /// An item that is announced is not said.
    fn unsay(&mut self, plan: &Plan, now: Tick, item: ItemId, cause: CutCause, out: &mut Output) {
        let Some(heard) = self.playout.remove(item) else { return };
        let from = self.speaking.remove(&item).map_or(now, |speaking| speaking.from);
        self.unwanted(item, out);
        self.heard_in_part(now, &heard, from);
        let kind = EventKind::AgentInterrupted {
            item,
            cause,
            since: now,
            voiced_ms: 0,
            played_ms: plan.rate.ms(heard.samples),
            spoken: heard.spoken,
            unspoken: heard.unspoken,
        };
        self.event(now, kind, out);
    }

    /// The calls of a run that is over: those that nobody wants any more fail, others go on.
    fn release(&mut self, plan: &Plan, now: Tick, mind: &Mind, out: &mut Output) {
        let Some(Executing { call, .. }) = &mind.executing else { return };
        if let Some(outcome) = self.cancelled(plan, *call) {
            self.dialogue.answered(*call, &outcome.clone().into());
            self.tool_result(now, *call, outcome, out);
        }
    }

    /// What comes of a call when the user interrupts; none: it goes on.
    pub(super) fn cancelled(&self, plan: &Plan, call: CallId) -> Option<Outcome> {
        let pending = self.pending.iter().find(|pending| pending.call == call)?;
        let spec = plan.tools.get(&pending.name)?;
        let cancels = spec.on_barge_in == OnBargeIn::Cancel;
        cancels.then(|| Outcome::failed(FailureKind::Cancelled, INTERRUPTED))
    }

    /// What was cut is not said: neither is what the same run was about to say.
    pub(super) fn cut_for_good(
        &mut self,
        plan: &Plan,
        now: Tick,
        cut: &[ItemId],
        out: &mut Output,
    ) {
        self.native_cut(now, cut, out);
        let of = |mind: &Mind| mind.items.iter().any(|item| cut.contains(item));
        while let Some(at) = self.minds.iter().position(of) {
            let mind = &mut self.minds[at];
            mind.items.retain(|item| !cut.contains(item));
            // Who answers over the question has understood it: the turn decides.
            if mind.approving.as_ref().is_some_and(|waits| waits.item.is_some()) {
                continue;
            }
            self.abandon(plan, now, at, CutCause::Overtaken, out);
        }
    }

    /// The user wants the agent to stop: what its model is about to say is not said. A question for approval that was
    /// heard still waits for its answer, and what is asked before a turn has ended is not said anyway.
    pub(super) fn stop_minds(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let asks = |mind: &Mind| mind.approving.as_ref().is_some_and(Approving::was_heard);
        let speaks = |mind: &Mind| mind.early.is_none() || mind.adopted;
        let agent = self.agent;
        let stops = |mind: &Mind| mind.agent == agent && speaks(mind) && !asks(mind);
        while let Some(at) = self.minds.iter().position(stops) {
            self.abandon(plan, now, at, CutCause::Asked, out);
        }
    }

    /// The current agent hands over: what its model has decided to say is said, and no more is asked. Who
    /// has called another agent goes on when that one returns.
    pub(super) fn leave_minds(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        if self.callers.iter().any(|caller| caller.agent == self.agent) {
            return;
        }
        for answered in &self.answered {
            // What has just come is told to the next agent's model where it belongs.
            if let Asker::Model { agent, .. } | Asker::Native { agent, .. } = answered.asker
                && agent == self.agent
            {
                let output = bounded(answered.outcome.clone().into());
                self.dialogue.answered(answered.call, &output);
            }
        }
        while let Some(at) = self.minds.iter().position(|mind| mind.agent == self.agent) {
            let mut mind = self.minds.remove(at);
            let ready = std::mem::take(&mut mind.ready);
            // What was asked early is no answer yet.
            for text in ready.into_iter().filter(|_| mind.early.is_none()) {
                self.say(plan, now, text, out);
            }
            self.unask(now, &mind, out);
        }
    }

    /// The session ends: nobody listens to models any more.
    pub(super) fn end_minds(&mut self, now: Tick, out: &mut Output) {
        for mind in std::mem::take(&mut self.minds) {
            self.unask(now, &mind, out);
        }
    }

    /// Who is asked; nobody, if the answer is not wanted any more.
    fn asked_at(&self, ask: AskId) -> Option<usize> {
        self.minds
            .iter()
            .position(|mind| mind.asked.as_ref().is_some_and(|asking| asking.ask == ask))
    }

    /// A piece of a model's answer.
    pub(super) fn model_said(
        &mut self,
        now: Tick,
        ask: AskId,
        delta: &ModelDelta,
        out: &mut Output,
    ) {
        let Some(at) = self.asked_at(ask) else { return };
        let mind = &mut self.minds[at];
        if let Some(asking) = &mut mind.asked {
            asking.heard = now;
            asking.first.get_or_insert(now);
            asking.note(delta);
        }
        mind.run.delta(delta);
        if mind.run.ending().is_some() {
            // It is too long: nobody listens to the rest.
            mind.sentences = Sentences::default();
            mind.timed = mind.asked.take();
            return out.effects.push(Effect::AskDrop { ask });
        }
        if let ModelDelta::Text(text) = delta {
            let whole = mind.sentences.push(text);
            let room = READY_MAX.saturating_sub(mind.ready.len());
            mind.spoke |= !whole.is_empty();
            mind.ready.extend(whole.into_iter().take(room));
        }
    }

    /// A model's answer is over.
    pub(super) fn model_ended(&mut self, now: Tick, ask: AskId, out: &mut Output) {
        let Some(at) = self.asked_at(ask) else { return };
        let mind = &mut self.minds[at];
        if let Some(rest) = mind.sentences.end() {
            mind.spoke = true;
            mind.ready.push_back(rest);
        }
        let asking = mind.asked.take();
        mind.run.end();
        if mind.run.ending().is_some() {
            mind.timed = asking;
            return;
        }
        let Some(Asking { since, first, model, finish, usage, mut warnings, .. }) = asking else {
            return;
        };
        if finish.is_none() {
            warnings.push("the model's answer was cut off".to_owned());
        }
        let kind = EventKind::ModelAnswered {
            ask,
            model,
            first_after_ticks: first.map(|first| first.since(since)),
            after_ticks: now.since(since),
            finish,
            usage,
            warnings,
        };
        self.event(now, kind, out);
    }

    /// A model has failed.
    pub(super) fn model_failed(&mut self, ask: AskId, error: ModelError) {
        let Some(at) = self.asked_at(ask) else { return };
        let mind = &mut self.minds[at];
        // Half a sentence is worse than none.
        mind.sentences = Sentences::default();
        mind.timed = mind.asked.take();
        mind.run.fail(error);
    }

    /// Models that have not been heard of for too long have failed.
    pub(super) fn wake_minds(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        for at in 0..self.minds.len() {
            let mind = &self.minds[at];
            let Some(thinker) = thinker(plan, mind.agent) else { continue };
            let late = mind.asked.as_ref();
            let late = late.filter(|asking| now.since(asking.heard) >= thinker.patience);
            let Some(&Asking { ask, first, .. }) = late else { continue };
            out.effects.push(Effect::AskDrop { ask });
            let kind = if first.is_some() { ErrorKind::Stalled } else { ErrorKind::TimedOut };
            let span = plan.len.span_ms(thinker.patience);
            let error =
                ModelError::new(kind, format!("nothing was heard of the model for {span} ms"));
            self.model_failed(ask, error);
        }
        self.wake_native(plan, now, out);
        self.wake_approvals(plan, now, out);
    }

    /// Whether the current agent's model is at work.
    pub(super) fn has_thoughts(&self) -> bool {
        self.minds.iter().any(|mind| mind.is_at_work(self.agent)) || self.native_thinks()
    }
}
