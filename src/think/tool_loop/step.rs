//! A step of a loop: a request, an answer, and what came of its calls.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::think::chat::message::{calls, words};
use crate::think::chat::{
    Call, CallResult, FinishReason, Message, ModelRef, ModelRequest, Part, Response, Usage,
};
use crate::tool::Json;

/// What a step has come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepResult {
    /// The id of the whole run.
    pub call_id: String,
    /// Which step, from 0.
    pub step_number: u32,
    /// The model that was asked.
    pub model: ModelRef,
    /// What it was asked, where [`keeps_requests`](super::LoopOptions::keeps_requests) says so.
    pub request: Option<Box<ModelRequest>>,
    /// What it answered.
    pub response: Response,
    /// What the run is for, as its owner says.
    pub function_id: Option<String>,
    /// What its owner wants to be told along.
    pub metadata: Option<Json>,
    /// The context, after the step was prepared.
    pub context: Json,
    /// What the model said, and then the results of tools.
    pub content: Vec<Part>,
    /// The messages that it adds: the model's first, then those of tools.
    pub messages: Vec<Message>,
    /// The names of the tools that were declared in it.
    pub declared: Vec<String>,
}

impl StepResult {
    /// All words, one part after the other.
    #[must_use]
    pub fn text(&self) -> String {
        let said = words(&self.content);
        if !said.is_empty() {
            return said;
        }
        self.messages.first().map(Message::words).unwrap_or_default()
    }

    /// What the model thought to itself, a line a part.
    #[must_use]
    pub fn reasoning(&self) -> String {
        let parts = self.content.iter().filter_map(|part| match part {
            Part::Reasoning(text) => Some(text.as_str()),
            _ => None,
        });
        parts.collect::<Vec<_>>().join("\n")
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &Part> {
        self.content.iter().filter(|part| matches!(part, Part::File { .. }))
    }

    /// The sources.
    pub fn sources(&self) -> impl Iterator<Item = &Part> {
        self.content.iter().filter(|part| matches!(part, Part::Source { .. }))
    }

    /// The calls.
    pub fn tool_calls(&self) -> impl Iterator<Item = &Call> {
        calls(&self.content)
    }

    /// The calls of tools that were declared.
    pub fn static_tool_calls(&self) -> impl Iterator<Item = &Call> {
        self.tool_calls().filter(|call| !self.is_dynamic(call))
    }

    /// The calls of others: the provider says so, or the name was not declared in this step.
    pub fn dynamic_tool_calls(&self) -> impl Iterator<Item = &Call> {
        self.tool_calls().filter(|call| self.is_dynamic(call))
    }

    fn is_dynamic(&self, call: &Call) -> bool {
        call.dynamic || !self.declared.contains(&call.name)
    }

    /// The results of tools: the provider's first, then the others.
    pub fn tool_results(&self) -> impl Iterator<Item = &CallResult> {
        let results = |local: bool| {
            self.content.iter().filter_map(move |part| match part {
                Part::ToolResult(result) if result.provider_executed != local => Some(result),
                _ => None,
            })
        };
        results(false).chain(results(true))
    }

    /// Whether it calls a tool.
    #[must_use]
    pub fn has_tool_calls(&self) -> bool {
        self.tool_calls().next().is_some()
    }

    /// Whether a tool gave a result.
    #[must_use]
    pub fn has_tool_results(&self) -> bool {
        self.tool_results().next().is_some()
    }

    /// Why the answer ended, if that was told.
    #[must_use]
    pub const fn finish_reason(&self) -> Option<&FinishReason> {
        self.response.finish_reason.as_ref()
    }

    /// What it has cost, if that was told.
    #[must_use]
    pub const fn usage(&self) -> Option<Usage> {
        self.response.usage
    }

    /// The context as a map; of something else, an empty one.
    #[must_use]
    pub fn context(&self) -> Map<String, Value> {
        self.context.0.as_object().cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::think::chat::ToolOutput;

    #[test]
    fn a_step_tells_its_parts_by_kind() {
        let result = |call: &str, provider_executed| {
            let (call, name, output) = (call.to_owned(), String::new(), ToolOutput::failed("x"));
            Part::ToolResult(CallResult { call, name, output, provider_executed })
        };
        let step = StepResult {
            declared: vec!["find".into()],
            content: vec![
                Part::Reasoning("a".into()),
                Part::Text("One".into()),
                Part::Reasoning("b".into()),
                Part::ToolCall(Call::new("1", "find", json!({}))),
                Part::ToolCall(Call::new("2", "search", json!({}))),
                Part::Text(" two".into()),
                result("1", false),
                result("2", true),
            ],
            ..StepResult::default()
        };
        assert_eq!((step.text(), step.reasoning()), ("One two".into(), "a\nb".into()));
        let names = |calls: &mut dyn Iterator<Item = &Call>| {
            calls.map(|call| call.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&mut step.static_tool_calls()), ["find"]);
        assert_eq!(names(&mut step.dynamic_tool_calls()), ["search"]);
        let of: Vec<_> = step.tool_results().map(|result| result.call.as_str()).collect();
        assert_eq!(of, ["2", "1"], "the provider's first");
        assert!(step.has_tool_calls() && step.has_tool_results());
    }
}
