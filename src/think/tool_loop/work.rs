//! The calls of an answer, one after the other.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::options::{Approval, LoopOptions};
use super::{Asking, Todo};
use crate::think::chat::message::calls;
use crate::think::chat::{Call, CallResult, Part, Response, ToolOutput};

/// An answer whose calls are run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Working {
    /// The request and its answer; none for calls that were approved of since.
    pub(super) answer: Option<(Asking, Response)>,
    /// The calls that are not looked at yet.
    calls: VecDeque<Call>,
    current: Option<(Call, At)>,
    /// What came of the others.
    pub(super) results: Vec<CallResult>,
    /// Requests for approval.
    pub(super) asked: Vec<Part>,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum At {
    /// Somebody is asked whether it may be made.
    Approving,
    /// It is to be run.
    Run,
    /// It is run.
    Running,
}

impl Working {
    /// The calls of an answer.
    pub(super) fn of(asking: Asking, response: Response) -> Self {
        let calls = calls(&response.parts).cloned().collect();
        let answer = Some((asking, response));
        Self { answer, calls, current: None, results: Vec::new(), asked: Vec::new() }
    }

    /// Calls that somebody has approved of, and what came of others.
    pub(super) fn approved(calls: VecDeque<Call>, results: Vec<CallResult>) -> Self {
        Self { answer: None, calls, current: None, results, asked: Vec::new() }
    }

    /// What is to be done next; none when all calls are done.
    pub(super) fn poll(
        &mut self,
        options: &LoopOptions,
        run: &str,
        known: &BTreeMap<String, ToolOutput>,
    ) -> Option<Todo> {
        loop {
            if let Some((call, at)) = &mut self.current {
                return Some(match at {
                    At::Approving | At::Running => Todo::Wait,
                    At::Run => {
                        *at = At::Running;
                        Todo::Execute(call.clone())
                    }
                });
            }
            let call = self.calls.pop_front()?;
            if call.provider_executed {
                continue;
            }
            // A call that was run is not run again, whoever repeats it.
            if let Some(output) = known.get(&call.id) {
                self.done(call, output.clone());
                continue;
            }
            if self.answer.is_none() {
                self.current = Some((call, At::Run));
                continue;
            }
            if let Some(todo) = self.consider(options, run, call) {
                return Some(todo);
            }
        }
    }

    /// Looks at a call of the model's: it is run, answered, or left alone.
    fn consider(&mut self, options: &LoopOptions, run: &str, call: Call) -> Option<Todo> {
        let declared =
            self.answer.as_ref().is_some_and(|(asking, _)| asking.declared.contains(&call.name));
        let resolver = options.resolver.as_ref()?;
        if !declared && !resolver.knows(&call.name) {
            return None;
        }
        let tool = options.tool(&call.name);
        let schema = || tool.and_then(|tool| tool.wrong(&call.arguments));
        if let Some(reason) = call.malformed.clone().or_else(schema) {
            self.done(call, ToolOutput::invalid_arguments(&reason));
            return None;
        }
        if options.approves {
            self.current = Some((call.clone(), At::Approving));
            return Some(Todo::Approve(call));
        }
        if tool.is_some_and(|tool| tool.needs_approval) {
            // Requests of a later run are others, since its steps begin anew and its id is another.
            let id = format!("approval-{run}-{}", call.id);
            self.asked.push(Part::ApprovalRequest { id, call: call.id });
            return None;
        }
        self.current = Some((call, At::Run));
        None
    }

    fn done(&mut self, call: Call, output: ToolOutput) {
        let Call { id, name, .. } = call;
        self.results.push(CallResult { call: id, name, output, provider_executed: false });
    }

    pub(super) fn approval(&mut self, id: &str, approval: Approval) {
        let Some((call, At::Approving)) = &mut self.current else { return };
        if call.id != id {
            return;
        }
        match approval {
            Approval::Approve(arguments) | Approval::Modify(arguments) => {
                call.arguments = arguments;
                let call = call.clone();
                self.current = Some((call, At::Run));
            }
            Approval::Deny { reason } => {
                if let Some((call, _)) = self.current.take() {
                    self.done(call, ToolOutput::Denied(reason));
                }
            }
        }
    }

    /// What came of the call that is run; false if another one is.
    pub(super) fn result(&mut self, id: &str, output: ToolOutput) -> bool {
        let is_it = |(call, _): &mut (Call, At)| call.id == id;
        let Some((call, _)) = self.current.take_if(|it| it.1 == At::Running && is_it(it)) else {
            return false;
        };
        self.done(call, output);
        true
    }
}
