//! A run that is waited for.

use std::fmt;

use serde_json::Value;

use super::drive::{Driver, Nobody};
use super::options::{Finish, Options};
use super::{LanguageModel, ToolResolver};
use crate::think::chat::{Call, CallResult, Message, ModelError, Response, Usage};
use crate::think::tool_loop::{Ending, StepResult, ToolLoop, output};
use crate::tool::Json;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GenerateError {
    /// The model did not answer.
    Model(ModelError),
    /// The messages cannot be gone on from.
    Invalid(String),
    /// Nobody wanted it any more.
    Cancelled,
    /// There was not one step: a fault of this program's.
    NoSteps,
}

impl fmt::Display for GenerateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(error) => error.fmt(f),
            Self::Invalid(why) => f.write_str(why),
            Self::Cancelled => f.write_str("it was cancelled"),
            Self::NoSteps => f.write_str("no steps were produced"),
        }
    }
}

impl std::error::Error for GenerateError {}

/// What came of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// The last answer. Where there were as many steps as there may be, one made of the last words.
    pub response: Response,
    /// All steps.
    pub steps: Vec<StepResult>,
    /// All messages, those that the run began with included: what a next run goes on from.
    pub messages: Vec<Message>,
    /// The JSON that was asked for; none without words.
    pub output: Result<Option<Value>, String>,
    /// The context.
    pub context: Json,
    /// How it ended.
    pub ending: Ending,
}

impl Generated {
    pub(super) fn of(run: &ToolLoop, options: &Options) -> Self {
        let text = run.text();
        let format = options.rules.format.as_ref();
        let output = format.map_or(Ok(None), |format| output::read(&text, &format.schema.0));
        Self {
            response: last_word(run),
            steps: run.steps().to_vec(),
            messages: run.history().to_vec(),
            output,
            context: run.context().clone(),
            ending: run.ending().cloned().unwrap_or(Ending::Natural),
        }
    }

    /// The words of the last answer.
    #[must_use]
    pub fn text(&self) -> String {
        self.response.text()
    }

    /// The calls of all steps.
    pub fn tool_calls(&self) -> impl Iterator<Item = &Call> {
        self.steps.iter().flat_map(StepResult::tool_calls)
    }

    /// What came of them.
    pub fn tool_results(&self) -> impl Iterator<Item = &CallResult> {
        self.steps.iter().flat_map(StepResult::tool_results)
    }

    /// What all steps have cost, if that was told.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        Usage::merged(self.steps.iter().map(StepResult::usage))
    }

    /// What providers wanted to be known.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().flat_map(|step| &step.response.warnings).map(String::as_str)
    }
}

/// The last answer, or one made of the last words where the run was cut short.
pub(super) fn last_word(run: &ToolLoop) -> Response {
    let last = run.steps().last().map(|step| step.response.clone()).unwrap_or_default();
    match run.ending() {
        Some(Ending::MaxSteps) => {
            Response { parts: vec![crate::think::chat::Part::Text(run.text())], ..last }
        }
        _ => last,
    }
}

/// Asks a model, runs the tools that it calls, and waits for the answer.
///
/// # Errors
/// The model does not answer, or the messages cannot be gone on from.
pub async fn generate(
    model: &dyn LanguageModel,
    messages: Vec<Message>,
    tools: Option<&dyn ToolResolver>,
    options: &Options,
) -> Result<Generated, GenerateError> {
    let mut driver = Driver::new(model, messages, tools, options);
    driver.drive(&mut Nobody).await?;
    let generated = Generated::of(&driver.run, options);
    finished(&driver.run, &generated.response, options);
    Ok(generated)
}

pub(super) fn finished(run: &ToolLoop, response: &Response, options: &Options) {
    let (Some(told), Some(ending)) = (&options.on_finish, run.ending()) else { return };
    told(&Finish {
        response,
        steps: run.steps(),
        messages: run.history(),
        total_usage: run.usage(),
        context: run.context(),
        ending,
    });
}
