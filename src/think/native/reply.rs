//! Results of calls, on their way to the model.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::think::chat::ToolOutput;

/// Results that wait at most: a tick tells them all.
const REPLIES_MAX: usize = 256;

/// What a model is told of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The call's id.
    pub call: String,
    /// What came of it.
    pub output: ToolOutput,
    /// The model is to go on now.
    pub goes_on: bool,
}

impl Reply {
    /// Whether it tells of an error: for providers that want to know.
    #[must_use]
    pub fn is_error(&self) -> bool {
        match &self.output {
            ToolOutput::Json(_) => false,
            ToolOutput::Text(text) => text.starts_with("<tool error:"),
            ToolOutput::Error(_) | ToolOutput::Denied(_) => true,
        }
    }
}

/// Results that are told at the beginning of the next tick.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Replies(VecDeque<Reply>);

impl Replies {
    /// Notes a result. False if there is no room for it: it is not told.
    pub fn push(&mut self, call: String, output: ToolOutput) -> bool {
        let room = self.0.len() < REPLIES_MAX;
        if room {
            self.0.push_back(Reply { call, output, goes_on: false });
        }
        room
    }

    /// All of them; the last asks the model to go on.
    pub fn flush(&mut self) -> impl Iterator<Item = Reply> {
        if let Some(last) = self.0.back_mut() {
            last.goes_on = true;
        }
        self.0.drain(..)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::Json;

    #[test]
    fn of_several_results_only_the_last_asks_to_go_on() {
        let mut replies = Replies::default();
        for call in ["a", "b", "c"] {
            assert!(replies.push(call.into(), ToolOutput::Json(Json(1.into()))));
        }
        let told: Vec<(String, bool)> = replies.flush().map(|r| (r.call, r.goes_on)).collect();
        assert_eq!(told, [("a".into(), false), ("b".into(), false), ("c".into(), true)]);
        assert!(replies.is_empty());
    }

    #[test]
    fn errors_are_told_as_errors() {
        let reply = |output| Reply { call: "a".into(), output, goes_on: true };
        assert!(reply(ToolOutput::failed("no line")).is_error());
        assert!(reply(ToolOutput::Denied(None)).is_error());
        assert!(!reply(ToolOutput::Text("fine".into())).is_error());
    }

    #[test]
    fn a_result_without_room_is_refused() {
        let mut replies = Replies::default();
        let took = (0..1_000).filter(|n| replies.push(n.to_string(), ToolOutput::failed("x")));
        assert_eq!(took.count(), REPLIES_MAX);
    }
}
