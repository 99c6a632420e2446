//! An agent whose model hears and speaks by itself.
//!
//! The conversation with the model is the edge's; here is what the session has to know of it: which items are the
//! model's, which answers and calls are under way, and which words of the users are still being written down.
//!
//! ```text
//! heard ─ Hear, Commit ─▶ Effect::Native ⇢ the model ⇢ Inbound::Native ─▶ items ─▶ playout ─▶ heard by the users
//!                              ▲                              │                        │
//!                              └── Result ◀─ work ◀─ calls ◀──┘      Played, Cut ◀─────┘
//! ```
//!
//! What the model says is an item like any other: it is cut, resumed, transcribed and recorded as others are. Who ends a
//! turn is the floor, or the provider, as the configuration has it.
//!
//! **Invariant:** only the current agent has a conversation; an item that was cut gives no sound any more; a call is made
//! once and its outcome told once.

mod call;
mod items;
mod said;
mod turn;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::event::EventKind;
use super::mind::Approving;
use super::output::{Effect, Output};
use super::plan::{AgentKind, Plan, Speaker};
use super::{Asker, Life, Session};
use crate::clock::Tick;
use crate::id::{AgentId, AskId, CallId, LaneId, NativeId, UtteranceId};
use crate::think::chat::{Call, ErrorKind, Usage};
use crate::think::native::wish::NativeWish;
use crate::think::script::render;

use items::Item;
use turn::Unwritten;

/// So long the words are waited for that were said before a hand-over, in milliseconds: the next agent is to know them.
const LEAVING_MS: u32 = 1_000;

/// The conversation of the current agent with its model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Native {
    id: NativeId,
    /// Nobody makes a connection any more.
    gone: bool,
    /// The answer that is under way, and the one that is wanted after it, or where none is.
    answer: Option<Asking>,
    wanted: Option<Asking>,
    /// There is no connection, and another is being made.
    down: bool,
    items: VecDeque<Item>,
    /// Calls that are under way.
    calls: Vec<Made>,
    approving: Option<Approving>,
    /// Calls that wait until another one is approved of, or is not.
    waiting: VecDeque<Call>,
    /// The utterance that was over last, whose words are not known.
    spoken: Option<(LaneId, UtteranceId)>,
    /// Turns whose words are being written down.
    unwritten: VecDeque<Unwritten>,
    /// Times that the model was told to be silent and has not said so: what comes before that is of an answer that was cut.
    silenced: u32,
    /// What the provider has said of trouble since the last answer.
    trouble: Option<(ErrorKind, String)>,
    /// What the answer has cost.
    usage: Option<Usage>,
    /// Answers since the users' last turn.
    step: u32,
}

/// A conversation that is over, but for the words of turns that are still being written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Leaving {
    id: NativeId,
    unwritten: VecDeque<Unwritten>,
    until: Tick,
}

/// An answer that is wanted or under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asking {
    ask: AskId,
    since: Tick,
    /// When anything of it came last, or of the one before it.
    heard: Tick,
    /// When it began.
    first: Option<Tick>,
}

/// A call of the model's that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    call: CallId,
    /// The model's id of it.
    id: String,
}

/// The model that hears and speaks for an agent, if one does.
pub(super) fn speaker(plan: &Plan, agent: AgentId) -> Option<&Speaker> {
    match &plan.agent(agent).kind {
        AgentKind::Native(speaker) => Some(speaker),
        AgentKind::Scripted(_) | AgentKind::Model(_) | AgentKind::Echo { .. } => None,
    }
}

impl Session {
    /// Whether the current agent's model finds out by itself when the users begin and end.
    pub(super) fn provider_decides(&self, plan: &Plan) -> bool {
        speaker(plan, self.agent).is_some_and(Speaker::acts)
    }

    /// Whether a voice is all that the session knows of what the users say, when they say it.
    pub(super) fn goes_by_voice(&self, plan: &Plan) -> bool {
        plan.recogniser.is_none() && speaker(plan, self.agent).is_some()
    }

    /// Wants something of the model; false where there is none.
    fn wish(&self, wish: NativeWish, out: &mut Output) -> bool {
        let Some(native) = self.native.as_ref().filter(|native| !native.gone) else { return false };
        out.effects.push(Effect::Native { native: native.id, wish });
        true
    }

    /// Begins a conversation for the current agent, if a model hears and speaks for it.
    pub(super) fn open_native(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let Some(speaker) = speaker(plan, self.agent) else { return };
        self.close_native(plan, now, out);
        self.end_leaving(plan, now, out);
        // What has come while another agent had the call is part of what is told.
        for answered in &self.answered {
            if matches!(answered.asker, Asker::Native { agent, .. } if agent == self.agent) {
                let output = super::dialogue::bounded(answered.outcome.clone().into());
                self.dialogue.settle(answered.call, &output);
            }
        }
        let mut settings = speaker.settings.clone();
        settings.instructions = render(&speaker.instructions, &BTreeMap::new(), &self.facts, None);
        settings.tools = speaker.tools.iter().map(|tool| tool.declaration.clone()).collect();
        let known = self.dialogue.has_any(self.tenure.known);
        let history = if known { self.talk_so_far(None) } else { Vec::new() };
        let id = NativeId(self.natives);
        self.natives += 1;
        self.native = Some(Native {
            id,
            gone: false,
            answer: None,
            wanted: None,
            down: false,
            items: VecDeque::new(),
            calls: Vec::new(),
            approving: None,
            waiting: VecDeque::new(),
            spoken: None,
            unwritten: VecDeque::new(),
            silenced: 0,
            trouble: None,
            usage: None,
            step: 0,
        });
        let (model, settings) = (speaker.model.clone(), Box::new(settings));
        self.wish(NativeWish::Open { model, settings, history }, out);
    }

    /// Begins another conversation where the one before was lost for good: somebody speaks again.
    pub(super) fn reopen_native(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        if self.native.as_ref().is_some_and(|native| native.gone) && self.answers() {
            self.open_native(plan, now, out);
        }
    }

    /// Ends the conversation. What has come of the model is still said, and what the users have said is still written
    /// down.
    pub(super) fn close_native(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        if self.native.is_none() {
            return;
        }
        self.end_items(plan, now, out);
        self.drop_answers(now, out);
        self.drop_approvals(now, "the conversation is over", out);
        let Some(native) = self.native.take() else { return };
        self.end_leaving(plan, now, out);
        if native.unwritten.is_empty() || native.gone || self.life != Life::Running {
            out.effects.push(Effect::Native { native: native.id, wish: NativeWish::Close });
        } else {
            let until = now.after(plan.len.ticks_min_one(LEAVING_MS));
            self.leaving = Some(Leaving { id: native.id, unwritten: native.unwritten, until });
        }
    }

    /// Whatever is still to be written down of a conversation that is over is not waited for.
    pub(super) fn end_leaving(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let Some(Leaving { id, .. }) = self.leaving.take() else { return };
        out.effects.push(Effect::Native { native: id, wish: NativeWish::Close });
        self.enter_at_last(plan, now, out);
    }

    /// The answers that are under way are not wanted any more.
    fn drop_answers(&mut self, now: Tick, out: &mut Output) {
        let Some(native) = &mut self.native else { return };
        (native.usage, native.trouble) = (None, None);
        for Asking { ask, .. } in [native.answer.take(), native.wanted.take()].into_iter().flatten()
        {
            self.event(now, EventKind::ModelDropped { ask }, out);
        }
    }

    /// An answer is wanted: several that are, beside one that is under way, are one.
    fn await_answer(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let Some(native) = self.native.as_mut().filter(|native| native.wanted.is_none()) else {
            return;
        };
        let ask = AskId(self.asks);
        self.asks += 1;
        native.wanted = Some(Asking { ask, since: now, heard: now, first: None });
        let step = native.step;
        native.step += 1;
        let model = speaker(plan, self.agent).map(|speaker| speaker.model.clone());
        let (agent, model) = (plan.agent(self.agent).name.clone(), model.unwrap_or_default());
        let kind = EventKind::ModelAsked { ask, agent, model, step, messages: 0 };
        self.event(now, kind, out);
    }

    /// Asks the model to say this; false where there is none that could.
    pub(super) fn ask_to_say(
        &mut self,
        plan: &Plan,
        now: Tick,
        text: Option<&str>,
        out: &mut Output,
    ) -> bool {
        let Some(native) = &self.native else { return false };
        if self.next.is_some() || !self.answers() {
            return false;
        }
        // What is wanted already will say whatever is to be said.
        if text.is_none() && native.wanted.is_some() {
            return true;
        }
        let asks = self.wish(NativeWish::Ask { say: text.map(str::to_owned) }, out);
        if asks {
            self.await_answer(plan, now, out);
        }
        asks
    }

    /// Tells the model to be silent: nothing of what it is about to say is wanted.
    fn silence_native(&mut self, now: Tick, out: &mut Output) {
        if self.wish(NativeWish::Cancel, out)
            && let Some(native) = &mut self.native
        {
            native.silenced += 1;
        }
        self.drop_answers(now, out);
    }

    /// Gives a model that listens this tick of what the users say.
    pub(super) fn let_native_hear(&self, plan: &Plan, out: &mut Output) {
        if self.native.is_none() || self.hold.is_some() {
            return;
        }
        let talks = self.is_listening() || self.floor.parts() > 0;
        if talks || self.provider_decides(plan) {
            self.wish(NativeWish::Hear, out);
        }
    }

    /// What was heard since the last turn was none.
    pub(super) fn forget_heard(&self, plan: &Plan, out: &mut Output) {
        if !self.provider_decides(plan) && self.floor.parts() == 0 && !self.is_listening() {
            self.wish(NativeWish::Clear, out);
        }
    }

    /// Whether the current agent's model is about to say something.
    pub(super) fn native_thinks(&self) -> bool {
        self.native.as_ref().is_some_and(|native| {
            native.answer.is_some()
                || native.wanted.is_some()
                || !native.calls.is_empty()
                || native.approving.is_some()
        })
    }

    /// A model of which nothing comes for too long is not waited for.
    pub(super) fn wake_native(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        if self.leaving.as_ref().is_some_and(|leaving| now >= leaving.until) {
            self.end_leaving(plan, now, out);
        }
        self.wake_unwritten(plan, now, out);
        let Some(native) = &self.native else {
            // Another configuration has an agent of this kind in the place of the current one.
            if self.entering.is_none() && self.life == Life::Running {
                self.open_native(plan, now, out);
            }
            return;
        };
        let Some(speaker) = speaker(plan, self.agent) else {
            // The other way round.
            return self.close_native(plan, now, out);
        };
        // One that is wanted waits for the one before it.
        let Some(front) = native.answer.as_ref().or(native.wanted.as_ref()) else { return };
        if now.since(front.heard) < speaker.patience {
            return;
        }
        let kind = if front.first.is_some() { ErrorKind::Stalled } else { ErrorKind::TimedOut };
        let span = plan.len.span_ms(speaker.patience);
        let cause = format!("nothing was heard of the model for {span} ms");
        let agent = plan.agent(self.agent).name.clone();
        self.event(now, EventKind::AgentError { agent, cause: cause.clone() }, out);
        self.fail_answer(plan, now, kind, cause, out);
        self.silence_native(now, out);
    }

    /// The answer that is under way fails: the users are told.
    fn fail_answer(
        &mut self,
        plan: &Plan,
        now: Tick,
        kind: ErrorKind,
        cause: String,
        out: &mut Output,
    ) {
        let Some(Asking { ask, .. }) = self.take_answer(now) else { return };
        self.event(now, EventKind::ModelFailed { ask, kind, cause }, out);
        if self.answers() {
            self.apologise_at_last(plan, now, out);
        }
    }

    /// The answer that is under way is over; the one after it has its own time from now on.
    fn take_answer(&mut self, now: Tick) -> Option<Asking> {
        let native = self.native.as_mut()?;
        let over = native.answer.take().or_else(|| native.wanted.take());
        if let Some(wanted) = &mut native.wanted {
            wanted.heard = now;
        }
        over
    }

    /// Calls that the users were asked about are not made.
    fn drop_approvals(&mut self, now: Tick, why: &str, out: &mut Output) -> Vec<Call> {
        let Some(native) = &mut self.native else { return Vec::new() };
        let asked = native.approving.take();
        let waiting = std::mem::take(&mut native.waiting);
        let mut denied = Vec::new();
        if let Some(approving) = asked {
            let (approval, name) = (approving.number, approving.call.name.clone());
            let reason = Some(why.to_owned());
            let given = EventKind::ApprovalGiven { approval, name, approved: false, reason };
            self.event(now, given, out);
            denied.push(approving.call);
        }
        denied.extend(waiting);
        for call in &denied {
            self.dialogue.denied(call, Some(why.to_owned()));
        }
        denied
    }
}
