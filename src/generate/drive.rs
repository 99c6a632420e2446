//! One run, from its first request to its end: the same for those who wait and for those who listen.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use serde_json::Value;

use super::options::{Options, TelemetryEvent};
use super::run::GenerateError;
use super::stream::StreamEvent;
use super::{LanguageModel, ToolEvent, ToolResolver};
use crate::host::pace::{Clock, Moment};
use crate::think::chat::message::calls;
use crate::think::chat::{Call, Message, ModelDelta, ModelError, ModelRequest, Part, ToolOutput};
use crate::think::tool_loop::{Approval, Ending, LoopOptions, Prepared, Resolver, Todo, ToolLoop};
use crate::tool::Json;

/// Where pieces go as they come.
pub(super) trait Listener: Send {
    /// Takes a piece; whether more are wanted.
    fn tell(&mut self, event: StreamEvent) -> impl Future<Output = bool> + Send;

    /// Whether pieces are wanted at all.
    const LISTENS: bool;
}

/// Nobody listens.
pub(super) struct Nobody;

impl Listener for Nobody {
    async fn tell(&mut self, _: StreamEvent) -> bool {
        true
    }

    const LISTENS: bool = false;
}

/// A run that is being driven.
pub(super) struct Driver<'a> {
    pub(super) model: &'a dyn LanguageModel,
    pub(super) tools: Option<&'a dyn ToolResolver>,
    pub(super) options: &'a Options,
    rules: LoopOptions,
    pub(super) run: ToolLoop,
    clock: Clock,
    begun: Moment,
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        model: &'a dyn LanguageModel,
        messages: Vec<Message>,
        tools: Option<&'a dyn ToolResolver>,
        options: &'a Options,
    ) -> Self {
        let mut rules = LoopOptions {
            model: model.reference(),
            prepares: options.prepare_step.is_some(),
            approves: options.on_tool_approval.is_some(),
            ..options.rules.clone()
        };
        // Others are asked for by name, when they are called.
        rules.resolver = tools.map(|_| Resolver::Known(BTreeSet::new()));
        let clock = Clock::default();
        let begun = clock.now();
        let mut run = ToolLoop::new(call_id(), messages);
        if let Some(context) = &options.context {
            run = run.with_context(context.clone());
        }
        Self { model, tools, options, rules, run, clock, begun }
    }

    /// Drives it to its end.
    pub(super) async fn drive<L: Listener>(
        &mut self,
        listener: &mut L,
    ) -> Result<(), GenerateError> {
        self.record(TelemetryEvent::SpanStart {
            call_id: self.run.id().to_owned(),
            max_steps: self.rules.steps(),
            has_tools: self.tools.is_some(),
            function_id: self.rules.function_id.clone(),
        });
        loop {
            match self.run.poll(&self.rules) {
                Todo::Prepare { step } => {
                    let prepare = self.options.prepare_step.as_ref();
                    let prepared =
                        prepare.map_or_else(Prepared::default, |prepare| prepare(step, &self.run));
                    self.run.prepared(&self.rules, prepared);
                }
                Todo::Ask(request) => {
                    if let Err(error) = self.ask(*request, listener).await {
                        self.run.fail(error);
                    }
                }
                Todo::Approve(call) => {
                    self.input(&call);
                    let approves = self.options.on_tool_approval.as_ref();
                    let approval = approves.map_or_else(
                        || Approval::Approve(call.arguments.clone()),
                        |approves| approves(&call),
                    );
                    self.run.approval(&call.id, approval);
                }
                Todo::Execute(call) => {
                    if !self.rules.approves {
                        self.input(&call);
                    }
                    let output = self.execute(&call, listener).await;
                    self.run.result(&call.id, output);
                }
                Todo::Step => self.step(listener).await,
                Todo::Wait | Todo::Over => return self.finish(),
            }
        }
    }

    fn input(&self, call: &Call) {
        if let Some(told) = &self.options.on_tool_input {
            told(call);
        }
    }

    /// Asks the model for one step.
    async fn ask<L: Listener>(
        &mut self,
        request: ModelRequest,
        listener: &mut L,
    ) -> Result<(), ModelError> {
        if !L::LISTENS {
            let response = self.model.generate(request).await?;
            for call in calls(&response.parts) {
                self.called(&call.name);
            }
            self.run.respond(response);
            return Ok(());
        }
        let mut deltas = self.model.stream(request).await?;
        let mut begun = Vec::new();
        while let Some(delta) = deltas.next().await {
            let delta = delta?;
            if let ModelDelta::ToolCall { name, .. } = &delta {
                self.called(name);
            }
            self.run.delta(&delta);
            for event in StreamEvent::of(&delta, &mut begun) {
                if !listener.tell(event).await {
                    self.run.cancel();
                    return Ok(());
                }
            }
        }
        self.run.end();
        Ok(())
    }

    /// Whether a tool that is called is known is asked of who runs calls.
    fn called(&mut self, name: &str) {
        if let (Some(tools), Some(Resolver::Known(names))) = (self.tools, &mut self.rules.resolver)
            && tools.knows(name)
        {
            names.insert(name.to_owned());
        }
    }

    async fn execute<L: Listener>(&mut self, call: &Call, listener: &mut L) -> ToolOutput {
        let Some(tools) = self.tools else { return ToolOutput::failed("nobody runs tools") };
        if L::LISTENS && !listener.tell(StreamEvent::ToolCall(call.clone())).await {
            self.run.cancel();
            return ToolOutput::failed("nobody wants it any more");
        }
        let mut events = tools.run(call);
        let mut output = ToolOutput::failed("no final result");
        while let Some(event) = events.next().await {
            match event {
                ToolEvent::Preliminary(value) => self.preliminary(call, value, listener).await,
                ToolEvent::Final(Ok(value)) => {
                    output = ToolOutput::Json(Json(value));
                    break;
                }
                ToolEvent::Final(Err(why)) => {
                    output = ToolOutput::failed(&why);
                    break;
                }
            }
        }
        output
    }

    async fn preliminary<L: Listener>(&mut self, call: &Call, value: Value, listener: &mut L) {
        if let Some(told) = &self.options.on_preliminary_tool_result {
            told(&call.name, &call.id, &value);
        }
        if L::LISTENS {
            let (call, name) = (call.id.clone(), call.name.clone());
            let event = StreamEvent::Preliminary { call, name, value };
            if !listener.tell(event).await {
                self.run.cancel();
            }
        }
    }

    async fn step<L: Listener>(&mut self, listener: &mut L) {
        let Some(step) = self.run.steps().last() else { return };
        if let Some(told) = &self.options.on_step_finish {
            told(step);
        }
        if !L::LISTENS {
            return;
        }
        let (number, mut events) = (step.step_number, Vec::new());
        for message in &step.messages {
            for part in &message.parts {
                match part {
                    Part::ApprovalRequest { id, call } => {
                        let (id, call) = (id.clone(), call.clone());
                        events.push(StreamEvent::ApprovalRequest { id, call });
                    }
                    Part::ToolResult(result) if !result.provider_executed => {
                        events.push(StreamEvent::ToolResult(result.clone()));
                    }
                    _ => {}
                }
            }
        }
        events.push(StreamEvent::StepEnd { step: number });
        for event in events {
            if !listener.tell(event).await {
                return self.run.cancel();
            }
        }
    }

    fn finish(&self) -> Result<(), GenerateError> {
        let ending = self.run.ending();
        let error = match ending {
            Some(Ending::Failed(error)) => Some(GenerateError::Model(error.clone())),
            Some(Ending::Invalid(why)) => Some(GenerateError::Invalid(why.clone())),
            Some(Ending::Cancelled) => Some(GenerateError::Cancelled),
            Some(_) if self.run.steps().is_empty() => Some(GenerateError::NoSteps),
            Some(_) => None,
            None => Some(GenerateError::NoSteps),
        };
        let (call_id, total_steps) = (self.run.id().to_owned(), self.run.steps().len() as u32);
        let last = self.run.steps().last();
        self.record(TelemetryEvent::SpanEnd {
            call_id: call_id.clone(),
            total_steps,
            finish_reason: last
                .and_then(|step| step.finish_reason())
                .map(|reason| format!("{reason:?}").to_lowercase()),
            max_steps_reached: ending == Some(&Ending::MaxSteps),
            error: error.as_ref().map(ToString::to_string),
        });
        if let Some(error) = error {
            return Err(error);
        }
        let duration_us = self.clock.now().since_ns(self.begun) / 1_000;
        let usage = self.run.usage();
        self.record(TelemetryEvent::Orchestrated { call_id, total_steps, usage, duration_us });
        Ok(())
    }

    fn record(&self, event: TelemetryEvent) {
        if let Some(telemetry) = &self.options.telemetry {
            telemetry.record(event);
        }
    }
}

/// An id that no other run of this process has.
fn call_id() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static RUNS: AtomicU64 = AtomicU64::new(0);
    format!("run-{}", RUNS.fetch_add(1, Ordering::Relaxed))
}
