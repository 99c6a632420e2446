//! The canned model: it answers from a list, for demonstrations and tests that need no model.
//!
//! **Invariant:** equal replies and requests give equal answers.

use crate::config::Reply;
use crate::graph::at_path;
use crate::graph::facts::spoken;
use crate::talk::template::Template;
use crate::think::chat::{
    ErrorKind, FinishReason, Message, ModelDelta, ModelError, ModelRequest, Part, Role, ToolOutput,
};

/// The pieces of an answer, and why it broke off, if it did: the first reply that fits, word by word.
///
/// What the user has said last is compared as it is, in whatever case; a result is told by the name of its
/// tool.
#[must_use]
pub fn answer(replies: &[Reply], request: &ModelRequest) -> (Vec<ModelDelta>, Option<ModelError>) {
    let heard = Heard::of(&request.messages);
    let Some((at, reply)) = replies.iter().enumerate().find(|(_, reply)| heard.fits(reply)) else {
        let why = "the canned model has no reply to this";
        return (Vec::new(), Some(ModelError::new(ErrorKind::Provider, why)));
    };
    let mut deltas = Vec::new();
    if let Some(say) = &reply.say {
        deltas.extend(words(&heard.filled(say)).map(ModelDelta::Text));
    }
    if let Some(call) = &reply.call {
        // No two calls of a conversation have one id: it has more messages each time.
        let id = format!("canned-{at}-{}", request.messages.len());
        deltas.push(ModelDelta::ToolCall {
            index: 0,
            id,
            name: call.tool.clone(),
            arguments: serde_json::to_string(&call.with).unwrap_or_default(),
            provider_executed: false,
        });
    }
    if let Some(why) = &reply.fails {
        return (deltas, Some(ModelError::new(ErrorKind::Provider, why.clone())));
    }
    let calls = reply.call.is_some();
    let reason = if calls { FinishReason::ToolCalls } else { FinishReason::Stop };
    deltas.push(ModelDelta::Finished { reason, raw: None });
    (deltas, None)
}

/// What a reply is chosen by.
enum Heard<'a> {
    /// The user's last words.
    User(String),
    /// The result that came last.
    Result(&'a str, &'a ToolOutput),
}

impl<'a> Heard<'a> {
    fn of(messages: &'a [Message]) -> Self {
        // What is told beside the talk is what a result is told by when it comes late.
        let last = messages.iter().rev().find(|message| message.role != Role::Assistant);
        let result = last.and_then(|last| match last.parts.last() {
            Some(Part::ToolResult(result)) => Some(Self::Result(&result.name, &result.output)),
            _ => None,
        });
        result.unwrap_or_else(|| Self::User(last.map(Message::words).unwrap_or_default()))
    }

    fn fits(&self, reply: &Reply) -> bool {
        match (self, &reply.after, &reply.hears) {
            (Self::Result(name, output), Some(after), hears) => {
                after == name && hears.as_ref().is_none_or(|part| contains(&output.text(), part))
            }
            (Self::User(text), None, hears) => {
                hears.as_ref().is_none_or(|part| contains(text, part))
            }
            (Self::Result(..), None, _) | (Self::User(_), Some(_), _) => false,
        }
    }

    /// The words of a reply, with what came of the tool.
    fn filled(&self, say: &str) -> String {
        let Ok(template) = Template::parse(say) else { return say.to_owned() };
        template.render(&|name| {
            let Self::Result(_, output) = self else { return None };
            match (output, name.split_once('.')) {
                (ToolOutput::Json(value) | ToolOutput::Error(value), Some(("result", path))) => {
                    at_path(&value.0, path).map(|found| spoken(found).into_owned())
                }
                (ToolOutput::Json(value), None) if name == "result" => {
                    Some(spoken(&value.0).into_owned())
                }
                (other, None) if name == "result" => Some(other.text()),
                _ => None,
            }
        })
    }
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

/// The words of a text, each with the space before it.
fn words(text: &str) -> impl Iterator<Item = String> {
    let mut from = 0;
    let mut pieces = Vec::new();
    for (at, _) in text.char_indices().filter(|(_, c)| c.is_whitespace()) {
        if at > from {
            pieces.push(text[from..at].to_owned());
            from = at;
        }
    }
    pieces.push(text[from..].to_owned());
    pieces.into_iter().filter(|piece| !piece.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Invocation;
    use crate::think::chat::{Call, CallResult};
    use crate::tool::Json;

    fn request(messages: Vec<Message>) -> ModelRequest {
        ModelRequest { messages, ..ModelRequest::default() }
    }

    fn said(deltas: &[ModelDelta]) -> String {
        let texts = deltas.iter().filter_map(|delta| match delta {
            ModelDelta::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    #[test]
    fn the_first_reply_that_fits_is_given() {
        let call =
            Invocation { tool: "clock".into(), with: [("zone".into(), json!("utc"))].into() };
        let replies = [
            Reply { hears: Some("TIME".into()), call: Some(call), ..Reply::default() },
            Reply {
                after: Some("clock".into()),
                say: Some("It is {result.time}.".into()),
                ..Reply::default()
            },
            Reply {
                hears: Some("break".into()),
                say: Some("Well, I".into()),
                fails: Some("gone".into()),
                ..Reply::default()
            },
            Reply { say: Some("Hello there.".into()), ..Reply::default() },
        ];
        let mut messages = vec![Message::system("Be kind."), Message::user("What time is it?")];
        let (deltas, error) = answer(&replies, &request(messages.clone()));
        let ModelDelta::ToolCall { id, name, arguments, .. } = &deltas[0] else {
            panic!("{deltas:?}")
        };
        assert_eq!(
            (name.as_str(), arguments.as_str(), error),
            ("clock", r#"{"zone":"utc"}"#, None)
        );
        messages.push(Message {
            role: Role::Assistant,
            parts: vec![Part::ToolCall(Call::new(id, "clock", json!({})))],
        });
        messages.push(Message::result(CallResult {
            call: id.clone(),
            name: "clock".into(),
            output: ToolOutput::Json(Json(json!({ "time": "noon" }))),
            provider_executed: false,
        }));
        let (deltas, _) = answer(&replies, &request(messages));
        assert_eq!(said(&deltas), "It is noon.");
        assert!(deltas.len() > 3, "word by word: {deltas:?}");
        let (deltas, _) = answer(&replies, &request(vec![Message::user("hi")]));
        assert_eq!(said(&deltas), "Hello there.");
        let (deltas, error) = answer(&replies, &request(vec![Message::user("break off")]));
        assert_eq!(
            (said(&deltas).as_str(), error.map(|error| error.message)),
            ("Well, I", Some("gone".into()))
        );
        let (deltas, error) = answer(&replies[..1], &request(vec![Message::user("hi")]));
        assert!(deltas.is_empty() && error.is_some());
    }
}
