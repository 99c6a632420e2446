//! What was said and called so far, as a model is told it.
//!
//! What an agent says is written down when it is announced, and how much of it counts is known when it was
//! played: what nobody heard was never said. Calls stand where they were made, with what came of them.
//!
//! **Invariant:** it is bounded: what is oldest is forgotten first; a call never stands without an answer.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::id::{CallId, ItemId, LaneId};
use crate::think::chat::{Call, CallResult, Message, Part, Role, ToolOutput};

/// Entries at most: an hour of lively talk.
const ENTRIES_MAX: usize = 1_024;

/// Bytes of texts, arguments and results at most: what most models can read at once.
const BYTES_MAX: usize = 256 << 10;

/// Bytes of a result that a model is told at most: a tool that gives a book is of no use in a talk.
const RESULT_MAX: usize = 32 << 10;

/// What a model is told of a call that is not back.
pub(super) const UNDER_WAY: &str = "<the call is under way; what comes of it will be told>";

/// What a model is told that takes over and knows of nothing.
const JUST_BEGUN: &str = "<the call was handed over to you; say something>";

/// All that was said and called.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Dialogue {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The number of the next entry.
    next: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    number: u64,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum What {
    User {
        lane: LaneId,
        text: String,
    },
    Agent {
        item: Option<ItemId>,
        text: String,
        heard: Heard,
    },
    Called {
        made: Option<CallId>,
        call: Call,
        output: Option<ToolOutput>,
        told: bool,
    },
    /// Something that happened beside the talk.
    Note(String),
}

/// How much of what an agent says was heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Heard {
    /// That is not known yet: it waits to be played, or is played.
    Waits,
    /// All of it.
    All,
    /// This; nothing at all if it is empty.
    Part(String),
}

impl What {
    fn bytes(&self) -> usize {
        // A few for what stands around it in a request.
        let around = 16;
        around
            + match self {
                Self::User { text, .. } | Self::Agent { text, .. } | Self::Note(text) => text.len(),
                Self::Called { call, output, .. } => {
                    let output = output.as_ref().map_or(0, |output| output.text().len());
                    call.text().len() + call.id.len() + call.name.len() + output
                }
            }
    }
}

impl Dialogue {
    fn push(&mut self, what: What) {
        self.bytes += what.bytes();
        self.entries.push_back(Entry { number: self.next, what });
        self.next += 1;
        while self.entries.len() > ENTRIES_MAX || (self.bytes > BYTES_MAX && self.entries.len() > 1)
        {
            let gone = self.entries.pop_front().map_or(0, |entry| entry.what.bytes());
            self.bytes = self.bytes.saturating_sub(gone);
        }
    }

    /// A participant has said this.
    pub(super) fn user(&mut self, lane: LaneId, text: &str) {
        self.push(What::User { lane, text: text.to_owned() });
    }

    /// A participant has said something that is still to be written down; its number.
    pub(super) fn user_spoke(&mut self, lane: LaneId) -> u64 {
        self.push(What::User { lane, text: String::new() });
        self.next - 1
    }

    /// What a participant has said, whose place this is.
    pub(super) fn user_words(&mut self, number: u64, words: &str) {
        let entry = self.entries.iter_mut().rev().find(|entry| entry.number == number);
        if let Some(Entry { what: What::User { text, .. }, .. }) = entry {
            words.clone_into(text);
            self.bytes += words.len();
        }
    }

    /// More words of an item.
    pub(super) fn words(&mut self, item: ItemId, words: &str) {
        let entry = self.entries.iter_mut().rev().find_map(|entry| match &mut entry.what {
            What::Agent { item: Some(of), text, .. } if *of == item => Some(text),
            _ => None,
        });
        if let Some(text) = entry {
            text.push_str(words);
            self.bytes += words.len();
        }
    }

    /// Whether anything is known from an entry on.
    pub(super) fn has_any(&self, since: u64) -> bool {
        self.entries.back().is_some_and(|entry| entry.number >= since)
    }

    /// An agent says this; without an item, it is said already.
    pub(super) fn agent(&mut self, item: Option<ItemId>, text: &str) {
        let heard = if item.is_some() { Heard::Waits } else { Heard::All };
        self.push(What::Agent { item, text: text.to_owned(), heard });
    }

    /// How much of an item was heard; the first word on it stands.
    pub(super) fn heard(&mut self, item: ItemId, how: Heard) {
        let entry = self.entries.iter_mut().rev().find_map(|entry| match &mut entry.what {
            What::Agent { item: Some(of), heard, .. } if *of == item => Some(heard),
            _ => None,
        });
        if let Some(heard) = entry.filter(|heard| **heard == Heard::Waits) {
            *heard = how;
        }
    }

    /// A model has called a tool; without a number, the call was not made.
    pub(super) fn called(&mut self, made: Option<CallId>, call: &Call) {
        self.push(What::Called { made, call: call.clone(), output: None, told: false });
    }

    fn call(&mut self, of: CallId) -> Option<(&mut Option<ToolOutput>, &mut bool)> {
        self.entries.iter_mut().rev().find_map(|entry| match &mut entry.what {
            What::Called { made: Some(made), output, told, .. } if *made == of => {
                Some((output, told))
            }
            _ => None,
        })
    }

    /// What came of a call; the first word on it stands. Where a model was told that it is under way, it
    /// stays so, and a note has to tell the rest.
    pub(super) fn answered(&mut self, of: CallId, with: &ToolOutput) {
        if let Some((output, told)) = self.call(of)
            && !*told
            && output.is_none()
        {
            *output = Some(with.clone());
            self.bytes += with.text().len();
        }
    }

    /// Whether it is known here what came of a call.
    pub(super) fn has_answer(&mut self, of: CallId) -> bool {
        self.call(of).is_some_and(|(output, _)| output.is_some())
    }

    /// A model is told that a call is under way.
    pub(super) fn told_under_way(&mut self, of: CallId) {
        if let Some((output, told)) = self.call(of) {
            *told |= output.is_none();
        }
    }

    /// A call that was not made: nobody allowed it.
    pub(super) fn denied(&mut self, call: &Call, why: Option<String>) {
        let output = Some(ToolOutput::Denied(why));
        self.push(What::Called { made: None, call: call.clone(), output, told: true });
    }

    /// Something that happened beside the talk.
    pub(super) fn note(&mut self, text: String) {
        self.push(What::Note(text));
    }

    /// The number of what comes next: for who is to know nothing of what was before.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Whether a call stands among what somebody knows.
    pub(super) fn has_call(&self, of: CallId, since: u64) -> bool {
        let mut known = self.entries.iter().filter(|entry| entry.number >= since);
        known.any(|entry| matches!(entry.what, What::Called { made: Some(made), .. } if made == of))
    }

    /// What came of a call, for the run that has waited for it: whatever others were told meanwhile.
    pub(super) fn settle(&mut self, of: CallId, with: &ToolOutput) {
        if let Some((_, told)) = self.call(of) {
            *told = false;
        }
        self.answered(of, with);
    }

    /// All from an entry on, as messages, and what a participant has said since that is not written down yet;
    /// `name` is what a participant is called where there are several.
    pub(super) fn messages(
        &mut self,
        since: u64,
        name: &dyn Fn(LaneId) -> Option<String>,
        unwritten: Option<(LaneId, &str)>,
    ) -> Vec<Message> {
        let named = |lane: LaneId, text: &str| match name(lane) {
            Some(name) => format!("{name}: {text}"),
            None => text.to_owned(),
        };
        let mut messages: Vec<Message> = Vec::new();
        let mut results: Vec<Message> = Vec::new();
        for Entry { what, .. } in self.entries.iter_mut().filter(|entry| entry.number >= since) {
            if !matches!(what, What::Called { .. }) {
                messages.append(&mut results);
            }
            match what {
                // It is still to be written down.
                What::User { text, .. } if text.is_empty() => {}
                What::User { lane, text } => hear(&mut messages, &named(*lane, text)),
                What::Agent { text, heard, .. } => {
                    let said = match heard {
                        Heard::Waits | Heard::All => text,
                        Heard::Part(part) => part,
                    };
                    if !said.is_empty() {
                        say(&mut messages, said);
                    }
                }
                What::Called { call, output, told, .. } => {
                    *told |= output.is_none();
                    match messages.last_mut().filter(|last| last.role == Role::Assistant) {
                        Some(last) => last.parts.push(Part::ToolCall(call.clone())),
                        None => messages.push(Message {
                            role: Role::Assistant,
                            parts: vec![Part::ToolCall(call.clone())],
                        }),
                    }
                    let output = output.clone();
                    results.push(Message::result(CallResult {
                        call: call.id.clone(),
                        name: call.name.clone(),
                        output: output.unwrap_or_else(|| ToolOutput::Text(UNDER_WAY.to_owned())),
                        provider_executed: false,
                    }));
                }
                // No system message: many servers take one at the beginning alone, and what a tool gives is
                // nothing that a model is to obey.
                What::Note(text) => hear(&mut messages, text),
            }
        }
        messages.append(&mut results);
        if let Some((lane, text)) = unwritten {
            hear(&mut messages, &named(lane, text));
        }
        if messages.is_empty() {
            messages.push(Message::user(JUST_BEGUN));
        }
        messages
    }
}

/// Adds to what the user said last, or begins anew: many servers want both sides to take turns.
fn hear(messages: &mut Vec<Message>, heard: &str) {
    let last = messages.last_mut().filter(|last| last.role == Role::User);
    match last.and_then(|last| last.parts.last_mut()) {
        Some(Part::Text(text)) => {
            text.push('\n');
            text.push_str(heard);
        }
        _ => messages.push(Message::user(heard)),
    }
}

/// Adds to what the agent said last, or begins anew.
fn say(messages: &mut Vec<Message>, said: &str) {
    let last = messages.last_mut().filter(|last| last.role == Role::Assistant);
    match last.and_then(|last| last.parts.last_mut()) {
        Some(Part::Text(text)) => {
            text.push(' ');
            text.push_str(said);
        }
        _ => messages.push(Message::assistant(said)),
    }
}

/// An output of a length that a model is told.
pub(super) fn bounded(output: ToolOutput) -> ToolOutput {
    let mut text = match &output {
        ToolOutput::Json(value) | ToolOutput::Error(value) => value.0.to_string(),
        ToolOutput::Text(text) => text.clone(),
        ToolOutput::Denied(_) => return output,
    };
    if text.len() <= RESULT_MAX {
        return output;
    }
    text.truncate(text.floor_char_boundary(RESULT_MAX));
    text.push_str("… <cut off: the result is too long>");
    ToolOutput::Text(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(dialogue: &mut Dialogue) -> Vec<(Role, String)> {
        let messages = dialogue.messages(0, &|_| None, None);
        messages.into_iter().map(|message| (message.role, message.words())).collect()
    }

    #[test]
    fn what_nobody_heard_was_never_said() {
        let mut dialogue = Dialogue::default();
        dialogue.user(LaneId(0), "when");
        dialogue.agent(Some(ItemId(0)), "At nine.");
        dialogue.agent(Some(ItemId(1)), "And at ten in the evening.");
        dialogue.agent(Some(ItemId(2)), "Anything else?");
        dialogue.heard(ItemId(0), Heard::All);
        dialogue.heard(ItemId(1), Heard::Part("And at ten".into()));
        dialogue.heard(ItemId(2), Heard::Part(String::new()));
        dialogue.heard(ItemId(2), Heard::All);
        let said = "At nine. And at ten".to_owned();
        assert_eq!(told(&mut dialogue), [(Role::User, "when".into()), (Role::Assistant, said)]);
    }

    #[test]
    fn calls_stand_with_their_answers() {
        let mut dialogue = Dialogue::default();
        let call = |id: &str| Call::new(id, "look", json!({}));
        dialogue.agent(None, "One moment.");
        dialogue.called(Some(CallId(0)), &call("a"));
        dialogue.called(Some(CallId(1)), &call("b"));
        let output = ToolOutput::Json(json!(3).into());
        dialogue.answered(CallId(0), &output);
        dialogue.answered(CallId(0), &ToolOutput::Text("again".into()));
        assert!(dialogue.has_answer(CallId(0)) && !dialogue.has_answer(CallId(1)));
        dialogue.agent(None, "Three.");
        let messages = dialogue.messages(0, &|_| None, None);
        let roles: Vec<Role> = messages.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::Assistant, Role::Tool, Role::Tool, Role::Assistant]);
        assert_eq!(messages[0].calls().count(), 2);
        let Part::ToolResult(second) = &messages[2].parts[0] else { panic!("{messages:?}") };
        assert_eq!(second.output, ToolOutput::Text(UNDER_WAY.into()), "never without an answer");
        assert_eq!(messages[3].words(), "Three.");
    }

    #[test]
    fn what_is_oldest_is_forgotten_first() {
        let mut dialogue = Dialogue::default();
        for at in 0..2_000 {
            dialogue.user(LaneId(0), &format!("{at} {}", "x".repeat(400)));
        }
        let messages = dialogue.messages(0, &|_| None, None);
        let bytes: usize = messages.iter().map(|message| message.words().len()).sum();
        assert!(bytes < BYTES_MAX && bytes > BYTES_MAX / 2, "{bytes}");
        assert!(messages.last().unwrap().words().contains("\n1999 "));
        assert_eq!(messages.len(), 1, "one side takes one turn");
        let long = bounded(ToolOutput::Text("é".repeat(RESULT_MAX)));
        assert!(long.text().len() < RESULT_MAX + 100 && long.text().contains("cut off"));
    }

    #[test]
    fn several_participants_are_named() {
        let mut dialogue = Dialogue::default();
        dialogue.user(LaneId(3), "hello");
        let messages =
            dialogue.messages(0, &|lane| Some(format!("Ann {}", lane.0)), Some((LaneId(4), "and")));
        assert_eq!(messages[0].words(), "Ann 3: hello\nAnn 4: and");
    }
}
