//! Calls that somebody has to approve of: the user is asked, and its next turn is the answer; or an event is.
//!
//! **Invariant:** a call that needs approval is made after a yes, and after nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::Session;
use super::super::event::{CutCause, EventKind};
use super::super::hear::clip;
use super::super::output::Output;
use super::super::plan::Plan;
use super::has_tool;
use crate::clock::Tick;
use crate::graph::facts::spoken;
use crate::id::{AgentId, AskId, ItemId};
use crate::talk::words::{contains_phrase, words};
use crate::think::chat::Call;
use crate::think::script::render;
use crate::think::tool_loop::Approval;
use crate::tool::Json;

/// So long is an answer awaited, in milliseconds: longer than anybody thinks about a yes or a no.
const PATIENCE_MS: u32 = 60_000;

/// Words that may stand beside a yes, and change nothing about it.
const BESIDE: [&str; 14] = [
    "please", "thanks", "thank", "you", "do", "it", "that", "then", "oh", "uh", "um", "well", "so",
    "ja",
];

/// The name of the event that answers: `{approval, approved, reason?, arguments?}`.
pub(in super::super) const APPROVAL: &str = "approval";

/// A call that waits for a yes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct Approving {
    pub(in super::super) call: Call,
    /// Its number in the session.
    pub(in super::super) number: u32,
    since: Tick,
    /// The question, until it is announced.
    question: Option<String>,
    pub(super) item: Option<ItemId>,
    /// When the question began to be heard.
    begun: Option<Tick>,
    /// The answer of a model that speaks in which it poses the question.
    pub(in super::super) posed: Option<AskId>,
}

/// Who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// A run, by its place.
    Run(usize),
    /// The model that hears and speaks for the current agent.
    Native,
}

impl Approving {
    /// The question, for who poses it.
    pub(in super::super) const fn pose(&mut self) -> Option<String> {
        self.question.take()
    }

    /// Whether the question is heard, or was.
    pub(in super::super) const fn was_heard(&self) -> bool {
        self.begun.is_some()
    }

    /// The question is heard.
    pub(in super::super) fn is_heard(&mut self, now: Tick) {
        self.begun.get_or_insert(now);
    }
}

/// What the words of a turn say to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    Yes,
    No,
    Other,
}

/// A yes is nothing but a yes: whoever says more may mean something else. A no is one wherever it stands,
/// unless a yes stands there as well.
fn reply(text: &str, yes: &[String], no: &[String]) -> Reply {
    let mut left = words(text);
    let mut approves = false;
    for phrase in yes.iter().map(|phrase| words(phrase)).filter(|phrase| !phrase.is_empty()) {
        while let Some(at) = left.windows(phrase.len()).position(|part| part == phrase) {
            left.drain(at..at + phrase.len());
            approves = true;
        }
    }
    let denies = no.iter().any(|phrase| contains_phrase(&left.join(" "), phrase));
    match (approves, denies) {
        (true, false) if left.iter().all(|word| BESIDE.contains(&word.as_str())) => Reply::Yes,
        (false, true) => Reply::No,
        _ => Reply::Other,
    }
}

impl Session {
    /// Looks whether a call needs approval, and asks for it.
    pub(super) fn approve(
        &mut self,
        plan: &Plan,
        now: Tick,
        at: usize,
        call: Call,
        out: &mut Output,
    ) {
        let agent = self.minds[at].agent;
        // Of a tool that the agent does not have, nobody is asked.
        let asks = has_tool(plan, agent, &call.name);
        match asks.then(|| self.approving(plan, now, agent, &call, out)).flatten() {
            Some(waits) => self.minds[at].approving = Some(waits),
            None => {
                let arguments = call.arguments.clone();
                self.minds[at].run.approval(&call.id, Approval::Approve(arguments));
            }
        }
    }

    /// What waits for a yes before a call is made; none where none is needed.
    pub(in super::super) fn approving(
        &mut self,
        plan: &Plan,
        now: Tick,
        agent: AgentId,
        call: &Call,
        out: &mut Output,
    ) -> Option<Approving> {
        let question = plan.conducts.get(&call.name)?.approval.as_ref()?;
        let slots = call.arguments.0.as_object().into_iter().flatten();
        let slots: BTreeMap<String, String> =
            slots.map(|(name, value)| (name.clone(), spoken(value).into_owned())).collect();
        let question = clip(render(question, &slots, &self.facts, None), plan.limits.text);
        let number = self.approvals;
        self.approvals += 1;
        let (name, arguments) = (call.name.clone(), call.arguments.clone());
        let agent = plan.agent(agent).name.clone();
        let asked = EventKind::ApprovalAsked { approval: number, agent, name, arguments };
        self.event(now, asked, out);
        let (call, question) = (call.clone(), Some(question));
        Some(Approving { call, number, since: now, question, item: None, begun: None, posed: None })
    }

    /// Announces the question of a run, once nothing stands before it.
    pub(super) fn pose(&mut self, plan: &Plan, now: Tick, at: usize, out: &mut Output) {
        let approving = self.minds[at].approving.as_mut();
        let Some(question) = approving.and_then(|approving| approving.question.take()) else {
            return;
        };
        let item = self.say_of(plan, now, at, question, out);
        if let Some(approving) = &mut self.minds[at].approving {
            approving.item = item;
            // Without a voice, what is written is said.
            approving.begun = item.is_none().then_some(now);
        }
    }

    /// An item begins to be heard: it may be a question.
    pub(in super::super) fn note_begun(&mut self, now: Tick, item: ItemId) {
        let waiting = self.minds.iter_mut().filter_map(|mind| mind.approving.as_mut());
        for approving in waiting.filter(|approving| approving.item == Some(item)) {
            approving.begun.get_or_insert(now);
        }
        self.note_native_begun(now, item);
    }

    /// Whether the current agent waits for a yes.
    pub(in super::super) fn awaits_approval(&self) -> bool {
        self.awaits().is_some()
    }

    /// A turn of the user that began at this tick, if it answers a question for approval. What was begun
    /// before the question was heard is no answer to it.
    pub(in super::super) fn approved_by_voice(
        &mut self,
        plan: &Plan,
        now: Tick,
        (text, began): (&str, Tick),
        out: &mut Output,
    ) -> bool {
        let Some((who, approving)) = self.awaits() else { return false };
        let begun = approving.begun;
        let speech = &plan.config.speech;
        let how = match reply(text, &speech.yes, &speech.no) {
            Reply::Yes if begun.is_some_and(|begun| began >= begun) => Ok(None),
            Reply::No => Err(None),
            Reply::Yes | Reply::Other => {
                Err(Some(format!("the user said something else: \u{201c}{text}\u{201d}")))
            }
        };
        self.decided(plan, now, who, how, out);
        true
    }

    /// An event that answers the question of this number.
    pub(in super::super) fn approved_by_event(
        &mut self,
        plan: &Plan,
        now: Tick,
        data: &Value,
        out: &mut Output,
    ) {
        let Some((who, approving)) = self.awaits() else { return };
        let number = data.get("approval").and_then(Value::as_u64);
        if number != Some(u64::from(approving.number)) {
            return;
        }
        match data.get("approved").and_then(Value::as_bool) {
            Some(true) => {
                let arguments = data.get("arguments").filter(|with| with.is_object());
                self.decided(plan, now, who, Ok(arguments.cloned()), out);
            }
            Some(false) => {
                let reason = data.get("reason").and_then(Value::as_str);
                let reason = reason.map(|reason| clip(reason.to_owned(), plan.limits.text));
                self.decided(plan, now, who, Err(reason), out);
            }
            // It says nothing about it.
            None => {}
        }
    }

    /// Who waits for a yes for the current agent, and for what.
    fn awaits(&self) -> Option<(Waits, &Approving)> {
        let waits = |mind: &super::Mind| mind.agent == self.agent && mind.approving.is_some();
        match self.minds.iter().position(waits) {
            Some(at) => Some((Waits::Run(at), self.minds[at].approving.as_ref()?)),
            None => Some((Waits::Native, self.native_approving()?)),
        }
    }

    fn decided(
        &mut self,
        plan: &Plan,
        now: Tick,
        who: Waits,
        how: Result<Option<Value>, Option<String>>,
        out: &mut Output,
    ) {
        let approving = match who {
            Waits::Run(at) => self.minds[at].approving.take(),
            Waits::Native => self.take_native_approving(),
        };
        let Some(Approving { call, number, item, posed, .. }) = approving else { return };
        let (name, approved) = (call.name.clone(), how.is_ok());
        let reason = how.as_ref().err().cloned().flatten();
        let approval = match how {
            Ok(None) => Approval::Approve(call.arguments.clone()),
            Ok(Some(arguments)) => Approval::Modify(Json(arguments)),
            Err(reason) => {
                self.dialogue.denied(&call, reason.clone());
                Approval::Deny { reason }
            }
        };
        let given = EventKind::ApprovalGiven { approval: number, name, approved, reason };
        self.event(now, given, out);
        match who {
            Waits::Run(at) => self.minds[at].run.approval(&call.id, approval),
            Waits::Native => {
                self.unpose(plan, now, posed, out);
                self.native_decided(plan, now, call, approval, out);
            }
        }
        // What is decided is not asked any more.
        let unheard = item.filter(|item| self.speaking.contains_key(item));
        if let Some(item) = unheard.filter(|item| !self.is_being_heard(*item)) {
            self.unsay_all(plan, now, &[item], CutCause::Overtaken, out);
        }
    }

    /// Questions that nobody answers are answered with no.
    pub(super) fn wake_approvals(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let patience = plan.len.ticks_min_one(PATIENCE_MS);
        let late = |mind: &super::Mind| {
            mind.approving.as_ref().is_some_and(|it| now.since(it.since) >= patience)
        };
        let waits = self.native_approving();
        if waits.is_some_and(|waits| now.since(waits.since) >= patience) {
            let why = Err(Some("nobody has answered".to_owned()));
            self.decided(plan, now, Waits::Native, why, out);
        }
        while let Some(at) = self.minds.iter().position(late) {
            let why = Err(Some("nobody has answered".to_owned()));
            self.decided(plan, now, Waits::Run(at), why, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Speech;

    #[test]
    fn a_yes_is_nothing_but_a_yes() {
        let speech = Speech::default();
        let said = |text: &str| reply(text, &speech.yes, &speech.no);
        for text in [
            "yes",
            "Yes, please.",
            "oh yes please do it",
            "sure, go ahead",
            "okay then",
            "yeah yeah",
        ] {
            assert_eq!(said(text), Reply::Yes, "{text}");
        }
        for text in ["no", "No, thank you", "please don't", "stop that", "never mind then"] {
            assert_eq!(said(text), Reply::No, "{text}");
        }
        for text in [
            "I'm not sure about that",
            "that is not okay",
            "sure, but only twenty",
            "okay, wait",
            "yes, cancel it",
            "yes no",
            "thank you",
            "",
            "how much is it again",
        ] {
            assert_eq!(said(text), Reply::Other, "{text}");
        }
    }
}
