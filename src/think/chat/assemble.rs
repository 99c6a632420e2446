//! An answer from its pieces.

use serde::{Deserialize, Serialize};

use super::error::{ErrorKind, ModelError};
use super::message::{Call, Part};
use super::response::{ModelDelta, Response};

/// The longest answer, in bytes of words and of arguments: a quarter of a million characters are an hour
/// of speech.
const BYTES_MAX: usize = 1 << 20;

/// Calls in an answer at most.
const CALLS_MAX: usize = 128;

/// Parts of an answer at most.
const PARTS_MAX: usize = 4_096;

/// Makes a response of pieces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Assembler {
    response: Response,
    calls: Vec<Writing>,
    bytes: usize,
    finished: bool,
}

/// A call that is being written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Writing {
    index: u32,
    id: String,
    name: String,
    arguments: String,
    provider_executed: bool,
    /// How many parts came before it.
    at: usize,
}

impl Assembler {
    /// Takes a piece.
    ///
    /// # Errors
    /// The answer has become too long; it is not worth going on.
    pub fn take(&mut self, delta: &ModelDelta) -> Result<(), ModelError> {
        match delta {
            ModelDelta::Started { id, model } => {
                self.response.id = id.clone().or(self.response.id.take());
                self.response.model = model.clone().or(self.response.model.take());
            }
            ModelDelta::Text(text) => {
                self.count(text)?;
                let begins = self.begins_after_call();
                match self.response.parts.last_mut() {
                    Some(Part::Text(known)) if !begins => known.push_str(text),
                    _ => self.part(Part::Text(text.clone()))?,
                }
            }
            ModelDelta::Reasoning(text) => {
                self.count(text)?;
                match self.response.parts.last_mut() {
                    Some(Part::Reasoning(known)) => known.push_str(text),
                    _ => self.part(Part::Reasoning(text.clone()))?,
                }
            }
            ModelDelta::ToolCall { index, id, name, arguments, provider_executed } => {
                self.count(arguments)?;
                let call = self.call(*index, id)?;
                call.id.push_str(if call.id.is_empty() { id } else { "" });
                call.name.push_str(if call.name.is_empty() { name } else { "" });
                call.arguments.push_str(arguments);
                call.provider_executed |= provider_executed;
            }
            ModelDelta::ToolResult(result) => self.part(Part::ToolResult(result.clone()))?,
            ModelDelta::Part(part) => self.part(part.clone())?,
            ModelDelta::Usage(usage) => self.response.usage = Some(*usage),
            ModelDelta::Warning(warning) => {
                self.count(warning)?;
                self.response.warnings.push(warning.clone());
            }
            ModelDelta::Metadata(metadata) => {
                self.response.provider_metadata = Some(metadata.clone());
            }
            ModelDelta::Finished { reason, raw } => {
                self.finished = true;
                self.response.finish_reason = Some(reason.clone());
                self.response.raw_finish_reason.clone_from(raw);
            }
        }
        Ok(())
    }

    /// Whether a call has begun since the last words: what comes now is told after it.
    fn begins_after_call(&self) -> bool {
        self.calls.last().is_some_and(|call| call.at == self.response.parts.len())
    }

    fn count(&mut self, text: &str) -> Result<(), ModelError> {
        self.bytes += text.len();
        if self.bytes > BYTES_MAX || self.response.warnings.len() > PARTS_MAX {
            let message = format!("the model's answer has more than {BYTES_MAX} bytes");
            return Err(ModelError::new(ErrorKind::TooLong, message));
        }
        Ok(())
    }

    fn part(&mut self, part: Part) -> Result<(), ModelError> {
        if self.response.parts.len() == PARTS_MAX {
            let message = format!("the model's answer has more than {PARTS_MAX} parts");
            return Err(ModelError::new(ErrorKind::TooLong, message));
        }
        self.response.parts.push(part);
        Ok(())
    }

    fn call(&mut self, index: u32, id: &str) -> Result<&mut Writing, ModelError> {
        // Some servers count every call as the first, and tell them apart by id alone.
        let same = |call: &Writing| {
            call.index == index && (id.is_empty() || call.id.is_empty() || call.id == id)
        };
        if let Some(at) = self.calls.iter().rposition(same) {
            return Ok(&mut self.calls[at]);
        }
        if self.calls.len() == CALLS_MAX {
            let message = format!("the model's answer has more than {CALLS_MAX} calls");
            return Err(ModelError::new(ErrorKind::TooLong, message));
        }
        self.calls.push(Writing {
            index,
            id: String::new(),
            name: String::new(),
            arguments: String::new(),
            provider_executed: false,
            at: self.response.parts.len(),
        });
        Ok(self.calls.last_mut().expect("it was pushed"))
    }

    /// Whether the answer's end was told.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether nothing of an answer has come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.response.parts.is_empty() && self.calls.is_empty()
    }

    /// The answer, with its calls where they began. A call without an id gets one from `unnamed`. Of an
    /// answer whose end was not told, the words stand, and calls whose arguments are whole; it has a
    /// warning.
    ///
    /// # Errors
    /// It was cut off before anything of it had come.
    pub fn end(self, unnamed: &str) -> Result<Response, ModelError> {
        let Self { mut response, mut calls, finished, .. } = self;
        if !finished {
            // What was not written to its end may be half of what was meant.
            calls.retain(|call| serde_json::from_str::<serde_json::Value>(&call.arguments).is_ok());
            let message = "the model's answer was cut off";
            if response.parts.is_empty() && calls.is_empty() {
                return Err(ModelError::new(ErrorKind::CutOff, message));
            }
            response.warnings.push(message.to_owned());
        }
        // Nobody can answer a call of nothing, and providers refuse to be told of one.
        let named = calls.len();
        calls.retain(|call| !call.name.trim().is_empty());
        if calls.len() < named {
            response.warnings.push("the model called a tool without a name".to_owned());
        }
        let texts = std::mem::take(&mut response.parts);
        let mut calls = calls.into_iter().enumerate().peekable();
        for (at, part) in texts.into_iter().enumerate() {
            while let Some((number, call)) = calls.next_if(|(_, call)| call.at <= at) {
                response.parts.push(call.done(unnamed, number));
            }
            response.parts.push(part);
        }
        response.parts.extend(calls.map(|(number, call)| call.done(unnamed, number)));
        Ok(response)
    }
}

impl Writing {
    fn done(self, unnamed: &str, number: usize) -> Part {
        let Self { id, name, arguments, provider_executed, .. } = self;
        let id = if id.is_empty() { format!("{unnamed}-{number}") } else { id };
        Part::ToolCall(Call { provider_executed, ..Call::written(id, name, &arguments) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::think::chat::FinishReason;

    fn piece(index: u32, id: &str, name: &str, arguments: &str) -> ModelDelta {
        let (id, name, arguments) = (id.to_owned(), name.to_owned(), arguments.to_owned());
        ModelDelta::ToolCall { index, id, name, arguments, provider_executed: false }
    }

    fn finished() -> ModelDelta {
        ModelDelta::Finished { reason: FinishReason::Stop, raw: None }
    }

    fn assembled(deltas: &[ModelDelta]) -> Response {
        let mut assembler = Assembler::default();
        for delta in deltas {
            assembler.take(delta).unwrap();
        }
        assembler.take(&finished()).unwrap();
        assembler.end("run-0").unwrap()
    }

    #[test]
    fn a_call_without_a_name_is_none() {
        let response = assembled(&[ModelDelta::Text("So.".into()), piece(0, "a", "", "{}")]);
        assert_eq!((response.parts.len(), response.warnings.len()), (1, 1), "{response:?}");
    }

    #[test]
    fn words_calls_and_words_keep_their_order() {
        let response = assembled(&[
            ModelDelta::Text("One ".into()),
            ModelDelta::Text("moment.".into()),
            piece(0, "a", "find", "{\"x\""),
            piece(1, "", "book", ""),
            piece(0, "", "", ": 1}"),
            ModelDelta::Text(" So.".into()),
        ]);
        assert_eq!(
            response.parts,
            [
                Part::Text("One moment.".into()),
                Part::ToolCall(Call::new("a", "find", json!({ "x": 1 }))),
                Part::ToolCall(Call::new("run-0-1", "book", json!({}))),
                Part::Text(" So.".into()),
            ]
        );
    }

    #[test]
    fn a_call_in_a_hundred_fragments_is_one_call() {
        let text = json!({ "q": "x".repeat(200) }).to_string();
        let mut deltas = vec![piece(0, "a", "find", "")];
        let pieces = text.as_bytes().chunks(2).map(|two| String::from_utf8_lossy(two).into_owned());
        deltas.extend(pieces.map(|two| piece(0, "", "", &two)));
        assert!(deltas.len() > 100);
        let response = assembled(&deltas);
        let [Part::ToolCall(call)] = &*response.parts else { panic!("{response:?}") };
        assert_eq!((call.text(), &call.malformed), (text, &None));
    }

    #[test]
    fn calls_of_one_index_are_told_apart_by_id() {
        let response = assembled(&[piece(0, "a", "f", "{}"), piece(0, "b", "g", "{}")]);
        assert_eq!(response.parts.len(), 2);
    }

    #[test]
    fn what_is_cut_off_keeps_its_words_and_its_whole_calls() {
        let mut assembler = Assembler::default();
        for delta in [
            ModelDelta::Text("half a".into()),
            piece(0, "a", "whole", "{}"),
            piece(1, "b", "half", "{\"x\": "),
            piece(2, "c", "begun", ""),
        ] {
            assembler.take(&delta).unwrap();
        }
        let response = assembler.end("x").unwrap();
        let names = response.parts.iter().map(|part| match part {
            Part::ToolCall(call) => call.name.clone(),
            part => format!("{part:?}"),
        });
        assert_eq!(names.collect::<Vec<_>>(), ["Text(\"half a\")", "whole"]);
        assert_eq!((response.finish_reason, response.warnings.len()), (None, 1));
        assert_eq!(Assembler::default().end("x").unwrap_err().kind, ErrorKind::CutOff);
    }

    #[test]
    fn what_is_endless_is_too_long() {
        let mut assembler = Assembler::default();
        let long = ModelDelta::Text("x".repeat(BYTES_MAX / 4));
        let took = (0..8).map(|_| assembler.take(&long)).collect::<Result<Vec<_>, _>>();
        assert_eq!(took.unwrap_err().kind, ErrorKind::TooLong);
        let mut assembler = Assembler::default();
        let many = (0..200).map(|index| assembler.take(&piece(index, "", "f", "")));
        assert_eq!(many.collect::<Result<Vec<_>, _>>().unwrap_err().kind, ErrorKind::TooLong);
    }
}
