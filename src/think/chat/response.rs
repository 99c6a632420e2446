//! What a model answers, in pieces and as a whole.

use serde::{Deserialize, Serialize};

use super::message::{CallResult, Part, words};
use crate::tool::Json;

/// A piece of an answer, as it comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ModelDelta {
    /// The answer begins.
    Started {
        /// The provider's id of it.
        id: Option<String>,
        /// The model that answers, which may be another than was asked for.
        model: Option<String>,
    },
    /// More words.
    Text(String),
    /// More of what it thinks to itself.
    Reasoning(String),
    /// A call begins, or more is known of it. Fields that are not told are empty.
    ToolCall {
        /// Which of the answer's calls.
        index: u32,
        /// Its id.
        id: String,
        /// The tool.
        name: String,
        /// More of the arguments' text.
        arguments: String,
        /// The provider runs it by itself.
        provider_executed: bool,
    },
    /// What came of a call that the provider has run.
    ToolResult(CallResult),
    /// A source, or a file.
    Part(Part),
    /// What it has cost; the last one counts.
    Usage(Usage),
    /// Something that the provider wants to be known.
    Warning(String),
    /// What only this provider tells.
    Metadata(Json),
    /// Why the answer ends. More may come: what it has cost.
    Finished {
        /// As everybody calls it.
        reason: FinishReason,
        /// As the provider does.
        raw: Option<String>,
    },
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// All is said.
    Stop,
    /// It was too long.
    Length,
    /// Tools are to be called.
    ToolCalls,
    /// The provider does not want to say it.
    ContentFilter,
    /// Something else.
    Other,
}

/// What an answer has cost, in tokens. What a provider does not tell is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Of the request.
    pub prompt: Option<u64>,
    /// Of the answer.
    pub completion: Option<u64>,
    /// Both.
    pub total: Option<u64>,
    /// Of the request, those that were known already.
    pub cached: Option<u64>,
    /// Of the answer, those that nobody reads.
    pub reasoning: Option<u64>,
}

impl Usage {
    /// The sum, field by field.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (known, None) | (None, known) => known,
        };
        Self {
            prompt: sum(self.prompt, other.prompt),
            completion: sum(self.completion, other.completion),
            total: sum(self.total, other.total),
            cached: sum(self.cached, other.cached),
            reasoning: sum(self.reasoning, other.reasoning),
        }
    }

    /// The sum of those that are known; none if none is.
    pub fn merged(all: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        all.into_iter().flatten().reduce(Self::and)
    }
}

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The provider's id of it.
    pub id: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// What it says, in its order.
    pub parts: Vec<Part>,
    /// Why it ended, if that was told.
    pub finish_reason: Option<FinishReason>,
    /// The same, in the provider's words.
    pub raw_finish_reason: Option<String>,
    /// What it has cost.
    pub usage: Option<Usage>,
    /// What the provider wants to be known.
    pub warnings: Vec<String>,
    /// What only this provider tells.
    pub provider_metadata: Option<Json>,
}

impl Response {
    /// Its words, one part after the other.
    #[must_use]
    pub fn text(&self) -> String {
        words(&self.parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_summed_field_by_field() {
        let a = Usage { prompt: Some(3), total: Some(5), ..Usage::default() };
        let b = Usage { prompt: Some(4), completion: Some(1), ..Usage::default() };
        let sum =
            Usage { prompt: Some(7), completion: Some(1), total: Some(5), ..Usage::default() };
        assert_eq!(Usage::merged([Some(a), None, Some(b)]), Some(sum));
        assert_eq!(Usage::merged([None, None]), None);
    }
}
