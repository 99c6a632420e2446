//! The loop of a model and its tools, as a state machine without I/O.
//!
//! ```text
//! prepare → ask the model → run its calls, one after the other → step → stop? → prepare …
//! ```
//!
//! Whoever drives it [polls](ToolLoop::poll) for what is to be done, does it, and says what came of it. A
//! session drives it within its ticks; programs without audio drive it as well.
//!
//! **Invariant:** equal options, messages and answers lead to equal steps; a call that was run is never run
//! again; a run has exactly one ending.

mod decide;
mod options;
pub mod output;
mod step;
mod stop;
#[cfg(test)]
mod tests;
mod work;

pub use options::{Approval, LoopOptions, LoopTool, MAX_STEPS, Prepared, Resolver};
pub use step::StepResult;
pub use stop::StopCondition;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::work::Working;
use super::chat::{
    Assembler, Call, Message, ModelDelta, ModelError, ModelRef, ModelRequest, Part, Response,
    ToolChoice, ToolOutput, Usage,
};
use crate::tool::Json;

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Todo {
    /// Say what is different in this step: [`ToolLoop::prepared`].
    Prepare {
        /// Which step, from 0.
        step: u32,
    },
    /// Ask the model: [`ToolLoop::delta`] and [`ToolLoop::end`], or [`ToolLoop::respond`], or
    /// [`ToolLoop::fail`].
    Ask(Box<ModelRequest>),
    /// Say whether a call may be made: [`ToolLoop::approval`].
    Approve(Call),
    /// Run a call: [`ToolLoop::result`].
    Execute(Call),
    /// A step is done: it is the last of [`ToolLoop::steps`].
    Step,
    /// Nothing, until what is under way has come.
    Wait,
    /// Nothing more.
    Over,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ending {
    /// The model called nothing more, or nobody runs what it called.
    Natural,
    /// A condition said so.
    Stopped,
    /// There are as many steps as there may be. This is no error.
    MaxSteps,
    /// Somebody has to approve of calls: the run goes on as a new one, with the answers.
    AwaitsApproval,
    /// The model did not answer.
    Failed(ModelError),
    /// Nobody wants it any more.
    Cancelled,
    /// The messages cannot be gone on from.
    Invalid(String),
}

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolLoop {
    id: String,
    history: Vec<Message>,
    steps: Vec<StepResult>,
    context: Json,
    stage: Stage,
    /// What came of the calls that were run, by their ids.
    known: BTreeMap<String, ToolOutput>,
    /// Calls of the provider's own whose results have not come.
    deferred: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Stage {
    /// Answers to requests for approval may be there.
    Begin,
    /// A step is to be prepared.
    Prepare,
    /// Somebody prepares it.
    Preparing,
    /// The model is to be asked.
    Ask(Box<Asking>, Box<ModelRequest>),
    /// The model is asked.
    Asked(Box<Asking>),
    /// The calls of its answer.
    Work(Box<Working>),
    /// A step is done, and to be told; whether its calls ask for another, and for approval.
    Noted { goes_on: bool, awaits: bool },
    /// What follows is to be decided.
    Decide { goes_on: bool, awaits: bool },
    /// It is over.
    Over(Ending),
}

/// A request under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Asking {
    model: ModelRef,
    declared: Vec<String>,
    /// The request, if steps keep theirs.
    kept: Option<Box<ModelRequest>>,
    assembler: Assembler,
}

impl ToolLoop {
    /// A run from these messages; `id` is the same for all its steps. Where the last message answers
    /// requests for approval, what is approved is run first.
    pub fn new(id: impl Into<String>, messages: Vec<Message>) -> Self {
        Self {
            id: id.into(),
            history: messages,
            steps: Vec::new(),
            context: Json(Value::Object(serde_json::Map::new())),
            stage: Stage::Begin,
            known: BTreeMap::new(),
            deferred: BTreeSet::new(),
        }
    }

    /// The same with a context: a map, for whoever prepares steps.
    #[must_use]
    pub fn with_context(mut self, context: Json) -> Self {
        self.context = context;
        self
    }

    /// What is to be done next. What is told once is under way then.
    pub fn poll(&mut self, options: &LoopOptions) -> Todo {
        loop {
            match &mut self.stage {
                Stage::Begin => self.stage = self.begin(options),
                Stage::Prepare if self.steps.len() >= options.steps() as usize => {
                    self.stage = Stage::Over(Ending::MaxSteps);
                }
                Stage::Prepare if options.prepares => {
                    self.stage = Stage::Preparing;
                    return Todo::Prepare { step: self.steps.len() as u32 };
                }
                Stage::Prepare => self.prepare(options, Prepared::default()),
                Stage::Preparing | Stage::Asked(_) => return Todo::Wait,
                Stage::Ask(..) => {
                    let ask = std::mem::replace(&mut self.stage, Stage::Prepare);
                    let Stage::Ask(asking, request) = ask else { unreachable!("it was matched") };
                    self.stage = Stage::Asked(asking);
                    return Todo::Ask(request);
                }
                Stage::Work(working) => {
                    if let Some(todo) = working.poll(options, &self.id, &self.known) {
                        return todo;
                    }
                    let work = std::mem::replace(&mut self.stage, Stage::Prepare);
                    let Stage::Work(working) = work else { unreachable!("it was matched") };
                    self.stage = self.finish(options, *working);
                }
                Stage::Noted { goes_on, awaits } => {
                    self.stage = Stage::Decide { goes_on: *goes_on, awaits: *awaits };
                    return Todo::Step;
                }
                Stage::Decide { goes_on, awaits } => {
                    let (goes_on, awaits) = (*goes_on, *awaits);
                    self.stage = self.decide(options, goes_on, awaits);
                }
                Stage::Over(_) => return Todo::Over,
            }
        }
    }

    /// Says what is different in the step that is to be prepared.
    pub fn prepared(&mut self, options: &LoopOptions, prepared: Prepared) {
        if self.stage == Stage::Preparing {
            self.prepare(options, prepared);
        }
    }

    fn prepare(&mut self, options: &LoopOptions, prepared: Prepared) {
        if let Some(context) = prepared.context {
            self.context = context;
        }
        let systems = [prepared.system, options.system.clone()].into_iter().flatten();
        let mut messages: Vec<Message> = systems.map(Message::system).collect();
        messages.extend(prepared.messages.unwrap_or_else(|| self.history.clone()));
        let active = prepared.active_tools.as_ref().or(options.active_tools.as_ref());
        let is_active = |name: &String| active.is_none_or(|active| active.contains(name));
        let tools: Vec<_> = options
            .tools
            .iter()
            .map(|tool| &tool.declaration)
            .filter(|tool| is_active(&tool.name))
            .cloned()
            .collect();
        let mut provider_options = options.provider_options.clone();
        for (name, over) in prepared.provider_options {
            merge(&mut provider_options.entry(name).or_default().0, over.0);
        }
        let tool_choice = prepared.tool_choice.unwrap_or_else(|| options.tool_choice.clone());
        let request = ModelRequest {
            model: prepared.model.unwrap_or_else(|| options.model.clone()),
            messages,
            // Providers refuse a choice among no tools.
            tool_choice: if tools.is_empty() { ToolChoice::Auto } else { tool_choice },
            tools,
            params: options.params.clone(),
            format: options.format.clone(),
            provider_options,
        };
        let asking = Asking {
            model: request.model.clone(),
            declared: request.tools.iter().map(|tool| tool.name.clone()).collect(),
            kept: options.keeps_requests.then(|| Box::new(request.clone())),
            assembler: Assembler::default(),
        };
        self.stage = Stage::Ask(Box::new(asking), Box::new(request));
    }

    /// A piece of the model's answer. What comes when nothing was asked is ignored.
    pub fn delta(&mut self, delta: &ModelDelta) {
        if let Stage::Asked(asking) = &mut self.stage
            && let Err(error) = asking.assembler.take(delta)
        {
            self.stage = Stage::Over(Ending::Failed(error));
        }
    }

    /// The model's answer has ended. Words without an end are an answer all the same; calls that are not
    /// whole are none.
    pub fn end(&mut self) {
        let Stage::Asked(asking) = &mut self.stage else { return };
        let unnamed = format!("{}-{}", self.id, self.steps.len());
        match std::mem::take(&mut asking.assembler).end(&unnamed) {
            Ok(response) => self.respond(response),
            Err(error) => self.stage = Stage::Over(Ending::Failed(error)),
        }
    }

    /// The model's answer, as a whole.
    pub fn respond(&mut self, mut response: Response) {
        if !matches!(self.stage, Stage::Asked(_)) {
            return;
        }
        let asked = std::mem::replace(&mut self.stage, Stage::Prepare);
        let Stage::Asked(asking) = asked else { unreachable!("it was matched") };
        self.tell_apart(&mut response.parts);
        self.stage = Stage::Work(Box::new(Working::of(*asking, response)));
    }

    /// Gives a call an id of its own whose id another call has: some servers number the calls of each answer
    /// from 0. The same call once more in one answer is none.
    fn tell_apart(&self, parts: &mut Vec<Part>) {
        let made = self.history.iter().flat_map(Message::calls);
        let mut made: Vec<(String, String, String)> =
            made.map(|call| (call.id.clone(), call.name.clone(), call.text())).collect();
        let before = made.len();
        parts.retain_mut(|part| {
            let Part::ToolCall(call) = part else { return true };
            let of = (call.id.clone(), call.name.clone(), call.text());
            if made[before..].contains(&of) {
                return false;
            }
            if made.iter().any(|known| known.0 == of.0) && !made.contains(&of) {
                call.id = format!("{}-{}-{}", call.id, self.steps.len(), made.len() - before);
            }
            made.push((call.id.clone(), of.1, of.2));
            true
        });
    }

    /// The model did not answer: the run is over.
    pub fn fail(&mut self, error: ModelError) {
        if matches!(self.stage, Stage::Asked(_)) {
            self.stage = Stage::Over(Ending::Failed(error));
        }
    }

    /// Whether a call may be made. An answer about another call is ignored.
    pub fn approval(&mut self, call: &str, approval: Approval) {
        if let Stage::Work(working) = &mut self.stage {
            working.approval(call, approval);
        }
    }

    /// What came of a call. A result of another call is ignored, and so is a second one.
    pub fn result(&mut self, call: &str, output: ToolOutput) {
        if let Stage::Work(working) = &mut self.stage
            && working.result(call, output.clone())
        {
            self.known.insert(call.to_owned(), output);
        }
    }

    /// Nobody wants it any more.
    pub fn cancel(&mut self) {
        if !matches!(self.stage, Stage::Over(_)) {
            self.stage = Stage::Over(Ending::Cancelled);
        }
    }

    /// The id of the run.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The steps that are done.
    #[must_use]
    pub fn steps(&self) -> &[StepResult] {
        &self.steps
    }

    /// All messages: those it began with, and those of its steps.
    #[must_use]
    pub fn history(&self) -> &[Message] {
        &self.history
    }

    /// The context.
    #[must_use]
    pub const fn context(&self) -> &Json {
        &self.context
    }

    /// How it ended, once it has.
    #[must_use]
    pub const fn ending(&self) -> Option<&Ending> {
        match &self.stage {
            Stage::Over(ending) => Some(ending),
            _ => None,
        }
    }

    /// What all steps have cost, if that was told.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        Usage::merged(self.steps.iter().map(StepResult::usage))
    }

    /// Its last word: the text of the last message, which is empty if a tool has it.
    #[must_use]
    pub fn text(&self) -> String {
        self.steps.last().map(StepResult::text).unwrap_or_default()
    }
}

/// Puts a value over another, map by map.
fn merge(into: &mut Value, over: Value) {
    match (into, over) {
        (Value::Object(into), Value::Object(over)) => {
            for (key, value) in over {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, over) => *into = over,
    }
}
