//! What the current agent makes of turns and outcomes.

use super::event::EventKind;
use super::hear::UNINTELLIGIBLE;
use super::mind::thinker;
use super::native::speaker;
use super::output::Output;
use super::plan::{AgentKind, Plan};
use super::{Answered, Asker, EndReason, Ended, Session, Wanted};
use crate::clock::Tick;
use crate::graph::verb::Verb;
use crate::graph::{Occasion, Results};
use crate::id::{AgentId, LaneId, TurnId};
use crate::talk::transcript::{Said, Speaker};
use crate::think::Thought;
use crate::think::script::{Moment, Script};
use crate::tool::{Json, ToolCall};

/// What a model is told of speech that was not understood.
const NOT_UNDERSTOOD: &str = "<speech that was not understood>";

/// What happened in a tick, for the graph, and the calls it led to.
#[derive(Default)]
pub(super) struct Occasions {
    pub(super) all: Vec<Occasion>,
    pub(super) wanted: Vec<Wanted>,
    pub(super) slots: std::collections::BTreeMap<String, String>,
}

/// What a participant has said in a turn.
pub(super) struct UserMessage {
    pub(super) turn: TurnId,
    pub(super) lane: LaneId,
    pub(super) text: String,
    /// When its first words were known.
    pub(super) since: Tick,
    pub(super) intent: Option<String>,
    pub(super) typed: bool,
    pub(super) last_voiced: Tick,
}

/// Whether an agent would understand these words: then they are complete.
pub(super) fn is_understood(plan: &Plan, agent: AgentId, text: &str) -> bool {
    if speaker(plan, agent).is_some() {
        // A model that hears them judges itself.
        return true;
    }
    if thinker(plan, agent).is_some() {
        // Where the recogniser says that a sentence has ended, it has.
        return text.trim_end().ends_with(['.', '?', '!', '。', '？', '！']);
    }
    script_of(plan, agent).is_some_and(|script| script.understand(text).is_some())
}

fn script_of(plan: &Plan, agent: AgentId) -> Option<&Script> {
    match &plan.agent(agent).kind {
        AgentKind::Scripted(script) => Some(script),
        AgentKind::Model(thinker) => Some(&thinker.script),
        AgentKind::Native(speaker) => Some(&speaker.script),
        AgentKind::Echo { .. } => None,
    }
}

/// What the session has done itself is done: of that, nothing is owed to who has handed over.
pub(super) fn is_own(tool: &str) -> bool {
    Verb::of(tool).is_some_and(|verb| verb != Verb::CallAgent)
}

impl Session {
    /// Answers what is new: outcomes first, since they were asked for earlier, then turns.
    pub(super) fn think(&mut self, plan: &Plan, now: Tick, out: &mut Output) -> Occasions {
        let wanted = std::mem::take(&mut self.requested);
        let mut occasions = Occasions { wanted, ..Occasions::default() };
        // In place, since some may wait for long.
        let mut at = 0;
        while at < self.answered.len() {
            if self.stays(&self.answered[at]) {
                at += 1;
                continue;
            }
            let answered = self.answered.remove(at);
            if let Some(answered) = self.due(now, answered, out) {
                self.answer(plan, now, answered, &mut occasions, out);
            }
        }
        for ended in std::mem::take(&mut self.turns) {
            self.reply(plan, now, ended, &mut occasions, out);
        }
        self.minds_go_on(plan, now, &mut occasions, out);
        occasions
    }

    /// Whether the agent that asked has handed over.
    fn is_elsewhere(&self, answered: &Answered) -> bool {
        answered.asker.agent().is_some_and(|agent| agent != self.agent)
    }

    /// Whether the outcome waits for the agent that asked to come back.
    fn stays(&self, answered: &Answered) -> bool {
        answered.fate == Results::Stay && self.is_elsewhere(answered) && !is_own(&answered.name)
    }

    /// The outcome, unless the hand-over since says that it is not to be told.
    fn due(&mut self, now: Tick, answered: Answered, out: &mut Output) -> Option<Answered> {
        let elsewhere = self.is_elsewhere(&answered);
        match answered.fate {
            Results::Drop | Results::Stay if elsewhere && is_own(&answered.name) => None,
            Results::Drop if elsewhere => {
                let Answered { call, name, .. } = answered;
                self.event(now, EventKind::ToolOrphaned { call, name }, out);
                None
            }
            _ => Some(answered),
        }
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
        if matches!(answered.asker, Asker::Model { .. } | Asker::Native { .. }) {
            return self.answer_model(plan, now, answered, occasions, out);
        }
        let Answered { name, asker, outcome, fate, .. } = answered;
        let Asker::Agent(asked) = asker else { return };
        let Some(script) = script_of(plan, asked.agent) else { return };
        let thoughts = script.answer(&asked, &outcome, &self.facts);
        // Only what the current agent asked can move it on, unless the hand-over says otherwise.
        if asked.agent == self.agent || fate == Results::Follow {
            self.happened(&name, &outcome, occasions);
        }
        self.perform(plan, now, None, thoughts, occasions, out);
        self.stepped(plan, now, out);
    }

    fn reply(
        &mut self,
        plan: &Plan,
        now: Tick,
        ended: Ended,
        occasions: &mut Occasions,
        out: &mut Output,
    ) {
        let Some(turn) = &ended.turn else { return };
        self.moves_in_turn = 0;
        self.refused.clear();
        self.idle_prompts = 0;
        self.turn_count += 1;
        self.tenure.turns += 1;
        let hears = speaker(plan, self.agent).is_some();
        let thinks = hears || thinker(plan, self.agent).is_some();
        let mut approved = false;
        let mut asker = None;
        let mut said = None;
        for (lane, text) in turn.by_lane() {
            // A voice whose words are still to be written down.
            if text.trim().is_empty() {
                continue;
            }
            let script = script_of(plan, self.agent);
            let understood = script.and_then(|script| script.understand(&text));
            let message = UserMessage {
                turn: turn.id,
                lane,
                text: text.clone(),
                since: turn.since,
                intent: understood.as_ref().map(|understood| understood.name.clone()),
                typed: ended.typed,
                last_voiced: turn.last_voiced,
            };
            self.user_said(now, message, out);
            if plan.has_models {
                self.dialogue
                    .user(lane, if text == UNINTELLIGIBLE { NOT_UNDERSTOOD } else { &text });
            }
            // Who has said goodbye does not begin anew, and who is on hold is not answered.
            if !self.answers() {
                continue;
            }
            self.tenure.input = Some(text.clone());
            if thinks {
                let began = if ended.typed { now } else { self.began };
                if hears && self.awaits_approval() {
                    // What was said comes before what it means.
                    self.tell_answer(ended.typed, &text, out);
                    approved = true;
                }
                if !self.approved_by_voice(plan, now, (&text, began), out) {
                    said = asker.is_none().then(|| text.clone());
                    asker = Some(lane);
                }
                occasions.all.push(Occasion::Words(text));
                continue;
            }
            occasions.all.push(Occasion::Words(text));
            let Some(script) = script else { continue };
            let thoughts = script.reply(self.agent, understood.as_ref(), &self.facts);
            if let Some(understood) = understood {
                occasions.all.push(Occasion::Intent(understood.name));
                occasions.slots = understood.slots;
            }
            self.perform(plan, now, Some(lane), thoughts, occasions, out);
            self.stepped(plan, now, out);
        }
        if hears {
            return self.native_turn(plan, now, (&ended, turn), approved, out);
        }
        // All that was said in a turn has one answer.
        if asker.is_some() {
            self.engage(plan, now, asker, said.as_deref(), out);
        }
    }

    /// What a participant has said in a turn is written down, and told.
    pub(super) fn user_said(&mut self, now: Tick, message: UserMessage, out: &mut Output) {
        let UserMessage { turn, lane, text, since, intent, typed, last_voiced } = message;
        let speaker = Speaker::User(lane);
        let said = Said { speaker, text: text.clone(), from: since, to: now, interrupted: false };
        self.transcript.push(said);
        let kind = EventKind::UserMessage { turn, lane, text, intent, typed, last_voiced };
        self.event(now, kind, out);
    }

    /// Whether no more calls may be made, beside so many that are about to be.
    pub(super) fn has_many_calls(&self, plan: &Plan, wanted: usize) -> bool {
        self.answered.len() + self.pending.len() + wanted >= plan.limits.calls
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
                    if self.has_many_calls(plan, occasions.wanted.len()) {
                        self.limit(now, "calls", out);
                        continue;
                    }
                    let call = self.next_call(&tool, arguments, lane);
                    occasions.wanted.push(Wanted { call, asker: Asker::Agent(asked) });
                }
                Thought::Remember(name, value) => {
                    self.remember(plan, now, &name, value.into(), out);
                }
                Thought::EndCall => self.close(EndReason::AgentEnded),
            }
        }
    }

    /// Says what the current agent says unasked at this moment; false if that is nothing.
    pub(super) fn say_at(
        &mut self,
        plan: &Plan,
        now: Tick,
        moment: Moment,
        out: &mut Output,
    ) -> bool {
        let script = script_of(plan, self.agent);
        let text = script.and_then(|script| script.at(moment, &self.facts));
        let says = text.is_some();
        if let Some(text) = text {
            self.say(plan, now, text, out);
        }
        says
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
