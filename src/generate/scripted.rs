//! A model that says what it was told to say: for tests and examples.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use futures_util::{StreamExt, stream};

use super::{BoxFuture, Deltas, LanguageModel};
use crate::think::chat::{
    Call, ErrorKind, FinishReason, ModelDelta, ModelError, ModelRef, ModelRequest, Part, Response,
};

/// A model with its answers, one for each request.
#[derive(Debug, Default)]
pub struct Scripted {
    answers: Mutex<VecDeque<Result<Response, ModelError>>>,
    asked: Mutex<Vec<ModelRequest>>,
}

impl Scripted {
    /// A model that answers so, and fails when it has nothing more to say.
    pub fn new(answers: impl IntoIterator<Item = Response>) -> Self {
        Self::failing(answers.into_iter().map(Ok))
    }

    /// A model that answers so, or fails.
    pub fn failing(answers: impl IntoIterator<Item = Result<Response, ModelError>>) -> Self {
        Self { answers: Mutex::new(answers.into_iter().collect()), asked: Mutex::default() }
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<ModelRequest> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn answer(&self, request: ModelRequest) -> Result<Response, ModelError> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        let answer = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let nothing =
            || Err(ModelError::new(ErrorKind::Provider, "the script has no more answers"));
        answer.unwrap_or_else(nothing)
    }
}

impl LanguageModel for Scripted {
    fn reference(&self) -> ModelRef {
        ModelRef { provider: "scripted".to_owned(), model: "scripted".to_owned() }
    }

    /// Word by word, and the arguments of calls in two pieces.
    fn stream(&self, request: ModelRequest) -> BoxFuture<'_, Result<Deltas, ModelError>> {
        let answer = self.answer(request).map(|response| pieces(&response));
        Box::pin(async move { Ok(stream::iter(answer?.into_iter().map(Ok)).boxed()) })
    }

    fn generate(&self, request: ModelRequest) -> BoxFuture<'_, Result<Response, ModelError>> {
        let answer = self.answer(request);
        Box::pin(async move { answer })
    }
}

fn pieces(response: &Response) -> Vec<ModelDelta> {
    let mut deltas =
        vec![ModelDelta::Started { id: response.id.clone(), model: response.model.clone() }];
    let mut index = 0;
    for part in &response.parts {
        match part {
            Part::Text(text) => {
                deltas.extend(
                    text.split_inclusive(' ').map(|word| ModelDelta::Text(word.to_owned())),
                );
            }
            Part::Reasoning(text) => deltas.push(ModelDelta::Reasoning(text.clone())),
            Part::ToolCall(call) => {
                deltas.extend(call_in_pieces(index, call));
                index += 1;
            }
            Part::ToolResult(result) => deltas.push(ModelDelta::ToolResult(result.clone())),
            other => deltas.push(ModelDelta::Part(other.clone())),
        }
    }
    deltas.extend(response.usage.map(ModelDelta::Usage));
    deltas.extend(response.warnings.iter().cloned().map(ModelDelta::Warning));
    if let Some(reason) = response.finish_reason.clone() {
        deltas.push(ModelDelta::Finished { reason, raw: response.raw_finish_reason.clone() });
    }
    deltas
}

fn call_in_pieces(index: u32, call: &Call) -> [ModelDelta; 2] {
    let text = call.text();
    let (begin, end) = text.split_at(text.floor_char_boundary(text.len() / 2));
    let piece = |id: &str, name: &str, arguments: &str| ModelDelta::ToolCall {
        index,
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        provider_executed: call.provider_executed,
    };
    [piece(&call.id, &call.name, begin), piece("", "", end)]
}

impl Response {
    /// An answer of words.
    pub fn saying(text: impl Into<String>) -> Self {
        let parts = vec![Part::Text(text.into())];
        Self { parts, finish_reason: Some(FinishReason::Stop), ..Self::default() }
    }

    /// An answer that calls tools.
    pub fn calling(calls: impl IntoIterator<Item = Call>) -> Self {
        let parts = calls.into_iter().map(Part::ToolCall).collect();
        Self { parts, finish_reason: Some(FinishReason::ToolCalls), ..Self::default() }
    }
}
