//! How a run begins, what a step comes to, and what follows it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::options::LoopOptions;
use super::step::StepResult;
use super::work::Working;
use super::{Ending, Stage, ToolLoop};
use crate::think::chat::message::calls;
use crate::think::chat::{Call, CallResult, Message, Part, Role, ToolOutput};

impl ToolLoop {
    /// Looks whether the last message answers requests for approval.
    pub(super) fn begin(&self, options: &LoopOptions) -> Stage {
        match self.answered(options) {
            Ok(None) => Stage::Prepare,
            Ok(Some(working)) => Stage::Work(Box::new(working)),
            Err(why) => Stage::Over(Ending::Invalid(why)),
        }
    }

    fn answered(&self, options: &LoopOptions) -> Result<Option<Working>, String> {
        let Some(last) = self.history.last().filter(|last| last.role == Role::Tool) else {
            return Ok(None);
        };
        let mut requests: BTreeMap<&str, &str> = BTreeMap::new();
        let mut made: BTreeMap<&str, &Call> = BTreeMap::new();
        let mut results: BTreeSet<&str> = BTreeSet::new();
        for part in self.history.iter().flat_map(|message| &message.parts) {
            match part {
                Part::ApprovalRequest { id, call } => drop(requests.insert(id, call)),
                Part::ToolCall(call) => drop(made.insert(&call.id, call)),
                Part::ToolResult(result) => drop(results.insert(&result.call)),
                _ => {}
            }
        }
        let (mut approved, mut denied) = (VecDeque::new(), Vec::new());
        for part in &last.parts {
            let Part::ApprovalResponse { id, approved: yes, reason } = part else { continue };
            let call = requests.get(id.as_str());
            let call = call.ok_or_else(|| format!("nobody asked for the approval `{id}`"))?;
            let call = made.get(call);
            let call = call.ok_or_else(|| format!("the approval `{id}` is of no known call"))?;
            if results.contains(call.id.as_str()) || call.provider_executed {
                continue;
            }
            if !yes {
                let (call, name) = (call.id.clone(), call.name.clone());
                let output = ToolOutput::Denied(reason.clone());
                denied.push(CallResult { call, name, output, provider_executed: false });
            } else if options.resolver.is_none() {
                return Err(format!("`{}` is approved, and nobody runs tools", call.name));
            } else {
                approved.push_back((*call).clone());
            }
        }
        let is_none = approved.is_empty() && denied.is_empty();
        Ok((!is_none).then(|| Working::approved(approved, denied)))
    }

    /// The calls of an answer are done.
    pub(super) fn finish(&mut self, options: &LoopOptions, working: Working) -> Stage {
        let Working { answer, results, asked, .. } = working;
        let told = results.iter().cloned().map(Message::result);
        let Some((asking, response)) = answer else {
            self.history.extend(told);
            return Stage::Prepare;
        };
        let mut said = response.parts.clone();
        said.extend(asked.iter().cloned());
        let mut content = said.clone();
        content.extend(results.iter().cloned().map(Part::ToolResult));
        for part in &response.parts {
            match part {
                Part::ToolCall(call) if call.provider_executed => {
                    self.deferred.insert(call.id.clone());
                }
                Part::ToolResult(result) => drop(self.deferred.remove(&result.call)),
                _ => {}
            }
        }
        let clients = calls(&response.parts).filter(|call| !call.provider_executed).count();
        let answered = options.resolver.is_some() && clients > 0 && results.len() >= clients;
        let goes_on = answered || !self.deferred.is_empty();
        let mut messages = vec![Message { role: Role::Assistant, parts: said }];
        messages.extend(told);
        // Providers refuse a message that says nothing.
        let worth = messages.iter().filter(|message| !message.parts.is_empty());
        self.history.extend(worth.cloned());
        self.steps.push(StepResult {
            call_id: self.id.clone(),
            step_number: self.steps.len() as u32,
            model: asking.model,
            request: asking.kept,
            function_id: options.function_id.clone(),
            metadata: options.metadata.clone(),
            context: self.context.clone(),
            content,
            messages,
            declared: asking.declared,
            response,
        });
        Stage::Noted { goes_on, awaits: !asked.is_empty() }
    }

    /// What follows a step.
    pub(super) fn decide(&self, options: &LoopOptions, goes_on: bool, awaits: bool) -> Stage {
        if options.stop.iter().any(|condition| condition.holds(&self.steps)) {
            return Stage::Over(Ending::Stopped);
        }
        match (goes_on, awaits) {
            (_, true) => Stage::Over(Ending::AwaitsApproval),
            (true, false) => Stage::Prepare,
            (false, false) => Stage::Over(Ending::Natural),
        }
    }
}
