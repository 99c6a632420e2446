//! Calls that somebody has to approve of: the user is asked, and its next turn is the answer; or an event is.
//!
//! **Invariant:** a call that needs approval is made after a yes, and after nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::Session;
use super::super::event::EventKind;
use super::super::output::Output;
use super::super::plan::Plan;
use crate::clock::Tick;
use crate::graph::facts::spoken;
use crate::talk::words::contains_phrase;
use crate::think::chat::Call;
use crate::think::script::render;
use crate::think::tool_loop::Approval;
use crate::tool::Json;

/// So long is an answer awaited, in milliseconds: longer than anybody thinks about a yes or a no.
const PATIENCE_MS: u32 = 60_000;

/// The name of the event that answers: `{approved, reason?, arguments?, tool?}`.
pub(in super::super) const APPROVAL: &str = "approval";

/// A call that waits for a yes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Approving {
    pub(super) call: Call,
    since: Tick,
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
        let conduct = plan.conducts.get(&call.name);
        let Some(question) = conduct.and_then(|conduct| conduct.approval.as_ref()) else {
            let arguments = call.arguments.clone();
            return self.minds[at].run.approval(&call.id, Approval::Approve(arguments));
        };
        let slots = call.arguments.0.as_object().into_iter().flatten();
        let slots: BTreeMap<String, String> =
            slots.map(|(name, value)| (name.clone(), spoken(value).into_owned())).collect();
        let question = render(question, &slots, &self.facts, None);
        let (name, arguments) = (call.name.clone(), call.arguments.clone());
        let agent = plan.agent(self.minds[at].agent).name.clone();
        self.event(now, EventKind::ApprovalAsked { agent, name, arguments }, out);
        let mind = &mut self.minds[at];
        mind.approving = Some(Approving { call, since: now });
        mind.ready.push_back(question);
    }

    /// A turn of the user, if it answers a question for approval.
    pub(in super::super) fn approved_by_voice(
        &mut self,
        plan: &Plan,
        now: Tick,
        text: &str,
        out: &mut Output,
    ) -> bool {
        let Some(at) = self.approving_at() else { return false };
        let speech = &plan.config.speech;
        let says = |words: &[String]| words.iter().any(|phrase| contains_phrase(text, phrase));
        if says(&speech.no) {
            self.decided(now, at, Err(None), out);
        } else if says(&speech.yes) {
            self.decided(now, at, Ok(None), out);
        } else {
            let reason = format!("the user said something else: \u{201c}{text}\u{201d}");
            self.decided(now, at, Err(Some(reason)), out);
        }
        true
    }

    /// An event that answers.
    pub(in super::super) fn approved_by_event(
        &mut self,
        now: Tick,
        data: &Value,
        out: &mut Output,
    ) {
        let Some(at) = self.approving_at() else { return };
        let tool = data.get("tool").and_then(Value::as_str);
        let approving = self.minds[at].approving.as_ref();
        if tool.is_some_and(|tool| approving.is_some_and(|it| it.call.name != tool)) {
            return;
        }
        match data.get("approved").and_then(Value::as_bool) {
            Some(true) => {
                let arguments = data.get("arguments").filter(|with| with.is_object());
                self.decided(now, at, Ok(arguments.cloned()), out);
            }
            Some(false) => {
                let reason = data.get("reason").and_then(Value::as_str).map(str::to_owned);
                self.decided(now, at, Err(reason), out);
            }
            // It says nothing about it.
            None => {}
        }
    }

    fn approving_at(&self) -> Option<usize> {
        let waits = |mind: &super::Mind| mind.agent == self.agent && mind.approving.is_some();
        self.minds.iter().position(waits)
    }

    fn decided(
        &mut self,
        now: Tick,
        at: usize,
        how: Result<Option<Value>, Option<String>>,
        out: &mut Output,
    ) {
        let mind = &mut self.minds[at];
        let Some(Approving { call, .. }) = mind.approving.take() else { return };
        let (name, approved) = (call.name.clone(), how.is_ok());
        let reason = how.as_ref().err().cloned().flatten();
        let approval = match how {
            Ok(None) => Approval::Approve(call.arguments.clone()),
            Ok(Some(arguments)) => Approval::Modify(Json(arguments)),
            Err(reason) => {
                self.dialogue.denied(now, &call, reason.clone());
                Approval::Deny { reason }
            }
        };
        mind.run.approval(&call.id, approval);
        self.event(now, EventKind::ApprovalGiven { name, approved, reason }, out);
    }

    /// Questions that nobody answers are answered with no.
    pub(super) fn wake_approvals(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let patience = plan.len.ticks_min_one(PATIENCE_MS);
        let late = |mind: &super::Mind| {
            mind.approving.as_ref().is_some_and(|it| now.since(it.since) >= patience)
        };
        while let Some(at) = self.minds.iter().position(late) {
            self.decided(now, at, Err(Some("nobody has answered".to_owned())), out);
        }
    }
}
