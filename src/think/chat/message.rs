//! Messages between a user, a model and tools.

use serde::{Deserialize, Serialize};

use crate::tool::{Failure, Json, Outcome};

/// Whose message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// What the model is to be.
    System,
    /// The user.
    User,
    /// The model.
    Assistant,
    /// Results of tools, and answers to requests for approval.
    Tool,
}

/// A message: parts in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Whose it is.
    pub role: Role,
    /// What it says.
    pub parts: Vec<Part>,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Part {
    /// Words.
    Text(String),
    /// What a model thinks to itself.
    Reasoning(String),
    /// A file: its media type, and its data in base 64 or its URL.
    File {
        /// The media type, `image/png` for one.
        media_type: String,
        /// Base 64, or a URL.
        data: String,
    },
    /// Where a model has something from.
    Source {
        /// Its URL.
        url: String,
        /// Its title, if it has one.
        title: Option<String>,
    },
    /// A call of a tool.
    ToolCall(Call),
    /// What came of one.
    ToolResult(CallResult),
    /// Somebody has to approve of a call.
    ApprovalRequest {
        /// The id of the request.
        id: String,
        /// The id of the call.
        call: String,
    },
    /// Somebody did, or did not.
    ApprovalResponse {
        /// The id of the request.
        id: String,
        /// Whether the call may be made.
        approved: bool,
        /// Why not, for the model to read.
        reason: Option<String>,
    },
}

/// A call of a tool, as a model wrote it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The provider's id, which no other call of the run has.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments; of a [malformed](Self::malformed) call, the text that the model wrote.
    pub arguments: Json,
    /// Why the text is no JSON, if it is none.
    pub malformed: Option<String>,
    /// The provider runs it by itself.
    pub provider_executed: bool,
    /// The provider says that the tool was not declared to it.
    pub dynamic: bool,
}

impl Call {
    /// A call that a client runs.
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: impl Into<Json>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
            malformed: None,
            provider_executed: false,
            dynamic: false,
        }
    }

    /// A call whose arguments are the text that a model wrote. No text at all is an empty object.
    pub fn written(id: impl Into<String>, name: impl Into<String>, text: &str) -> Self {
        let text = if text.trim().is_empty() { "{}" } else { text };
        match serde_json::from_str::<serde_json::Value>(text) {
            Ok(value) => Self::new(id, name, value),
            Err(error) => Self {
                malformed: Some(format!("the arguments are not JSON: {error}")),
                ..Self::new(id, name, serde_json::Value::from(text))
            },
        }
    }

    /// The arguments as the model wrote them, or as JSON: what providers are told again.
    #[must_use]
    pub fn text(&self) -> String {
        match (&self.malformed, self.arguments.0.as_str()) {
            (Some(_), Some(text)) => text.to_owned(),
            _ => self.arguments.0.to_string(),
        }
    }
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallResult {
    /// The id of the call.
    pub call: String,
    /// The tool.
    pub name: String,
    /// What it gave.
    pub output: ToolOutput,
    /// The provider ran it.
    pub provider_executed: bool,
}

/// What a tool gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToolOutput {
    /// A value.
    Json(Json),
    /// Words.
    Text(String),
    /// What is wrong, for the model to mend.
    Error(Json),
    /// Nobody approved of the call; the reason, if one was given.
    Denied(Option<String>),
}

impl ToolOutput {
    /// A failure of the tool: `<tool error: …>`.
    #[must_use]
    pub fn failed(why: &str) -> Self {
        Self::Text(format!("<tool error: {why}>"))
    }

    /// A call of a tool that is not there; there are these.
    #[must_use]
    pub fn unknown_tool<'a>(there: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = there.into_iter().collect();
        let reason = format!("there is no such tool; there is {}", names.join(", "));
        Self::Error(Json(serde_json::json!({ "error": "unknown_tool", "reason": reason })))
    }

    /// Arguments that the tool does not take.
    #[must_use]
    pub fn invalid_arguments(reason: &str) -> Self {
        let error = serde_json::json!({ "error": "invalid_args", "reason": reason });
        Self::Error(Json(error))
    }

    /// What a model is told.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Json(value) | Self::Error(value) => value.0.to_string(),
            Self::Text(text) => text.clone(),
            Self::Denied(None) => "execution denied".to_owned(),
            Self::Denied(Some(reason)) => format!("execution denied: {reason}"),
        }
    }
}

impl From<Outcome> for ToolOutput {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done(value) => Self::Json(value),
            Outcome::Failed(Failure { message, .. }) => Self::failed(&message),
        }
    }
}

impl Message {
    /// A message of words.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, parts: vec![Part::Text(text.into())] }
    }

    /// What the model is to be.
    pub fn system(text: impl Into<String>) -> Self {
        Self::text(Role::System, text)
    }

    /// What the user says.
    pub fn user(text: impl Into<String>) -> Self {
        Self::text(Role::User, text)
    }

    /// What the model said.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::text(Role::Assistant, text)
    }

    /// What came of a call.
    #[must_use]
    pub fn result(result: CallResult) -> Self {
        Self { role: Role::Tool, parts: vec![Part::ToolResult(result)] }
    }

    /// Its words, one part after the other.
    #[must_use]
    pub fn words(&self) -> String {
        words(&self.parts)
    }

    /// Its calls.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        calls(&self.parts)
    }
}

/// The words of parts, one after the other.
#[must_use]
pub fn words(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// The calls among parts.
pub fn calls(parts: &[Part]) -> impl Iterator<Item = &Call> {
    parts.iter().filter_map(|part| match part {
        Part::ToolCall(call) => Some(call),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_kept_as_they_were_written() {
        let call = Call::written("1", "find", r#"{"what": 1}"#);
        assert_eq!(
            (call.arguments.0.clone(), call.malformed.clone()),
            (json!({ "what": 1 }), None)
        );
        assert_eq!(Call::written("1", "find", " ").arguments.0, json!({}));
        let wrong = Call::written("1", "find", r#"{"what": "#);
        assert!(wrong.malformed.as_deref().unwrap().contains("not JSON"), "{wrong:?}");
        assert_eq!(wrong.text(), r#"{"what": "#);
    }
}
