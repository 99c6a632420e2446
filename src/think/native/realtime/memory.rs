//! The conversation, as another session of the provider's has to be told it.
//!
//! Of what the model said, only what was really played counts. An item that is still being played is
//! told when it is over, and whatever comes after it waits.
//!
//! **Invariant:** bounded; an item is told to a session once, in its place.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::client::NewItem;
use crate::think::chat::{Message, Part, Role};
use crate::think::native::{beginning, shown};

/// Entries at most: the oldest are forgotten.
pub const ENTRIES_MAX: usize = 512;

/// The text of all entries, in bytes, at most.
pub const BYTES_MAX: usize = 512 << 10;

/// What is known of the conversation, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    entries: VecDeque<Entry>,
    bytes: usize,
    forgotten: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    what: What,
    /// The session of the provider's knows it.
    known: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum What {
    User { item: String, text: String, whole: bool },
    Agent(Spoken),
    Call { call: String, name: String, arguments: String },
    Result { call: String, output: String },
}

/// What the model says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoken {
    /// The item.
    pub item: String,
    /// Its words, as far as they came.
    pub text: String,
    /// Samples that came.
    pub received: u64,
    /// Samples that were played.
    pub played: u64,
    /// No more comes.
    pub whole: bool,
    /// No more is played.
    pub over: bool,
    /// Half a sample that came.
    pub half: Option<u8>,
}

impl Spoken {
    /// The words that were heard.
    #[must_use]
    pub fn heard(&self) -> &str {
        let chars = shown(self.text.chars().count(), self.played, self.received);
        beginning(&self.text, chars)
    }

    fn is_playing(&self) -> bool {
        self.received > 0 && !self.over
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        match &self.what {
            What::User { item, text, .. } => item.len() + text.len(),
            What::Agent(spoken) => spoken.item.len() + spoken.text.len(),
            What::Call { call, name, arguments } => call.len() + name.len() + arguments.len(),
            What::Result { call, output } => call.len() + output.len(),
        }
    }

    /// What a session is told of it; none: nothing.
    fn told(&self) -> Option<NewItem> {
        let words = |text: &str| (!text.trim().is_empty()).then(|| text.to_owned());
        match &self.what {
            What::User { text, .. } => words(text).map(NewItem::User),
            What::Agent(spoken) => words(spoken.heard()).map(NewItem::Assistant),
            What::Call { call, name, arguments } => Some(NewItem::Call {
                call: call.clone(),
                name: name.clone(),
                arguments: arguments.clone(),
            }),
            What::Result { call, output } => {
                Some(NewItem::Result { call: call.clone(), output: output.clone() })
            }
        }
    }
}

impl Memory {
    fn push(&mut self, what: What, known: bool) {
        let entry = Entry { what, known };
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
        self.bound();
    }

    /// Forgets the oldest, never the last. What came of a call goes with it.
    fn bound(&mut self) {
        while self.entries.len() > 1 && (self.entries.len() > ENTRIES_MAX || self.bytes > BYTES_MAX)
        {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes -= entry.bytes();
            self.forgotten += 1;
            if let What::Call { call, .. } = entry.what {
                let result = |entry: &Entry| matches!(&entry.what, What::Result { call: of, .. } if *of == call);
                if let Some(at) = self.entries.iter().position(result)
                    && let Some(entry) = self.entries.remove(at)
                {
                    self.bytes -= entry.bytes();
                    self.forgotten += 1;
                }
            }
        }
    }

    /// Entries that were forgotten.
    #[must_use]
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What was said, or called, before there was a session.
    pub fn recall(&mut self, message: &Message) {
        for part in &message.parts {
            let what = match (message.role, part) {
                (Role::Assistant, Part::Text(text)) => What::Agent(Spoken {
                    text: text.clone(),
                    received: 1,
                    played: 1,
                    whole: true,
                    over: true,
                    ..Spoken::default()
                }),
                (_, Part::Text(text)) => {
                    What::User { item: String::new(), text: text.clone(), whole: true }
                }
                (_, Part::ToolCall(call)) => What::Call {
                    call: call.id.clone(),
                    name: call.name.clone(),
                    arguments: call.text(),
                },
                (_, Part::ToolResult(result)) => {
                    What::Result { call: result.call.clone(), output: result.output.text() }
                }
                _ => continue,
            };
            self.push(what, false);
        }
    }

    /// The user's turn is an item that the provider has.
    pub fn user_spoke(&mut self, item: &str) {
        let same = |entry: &Entry| matches!(&entry.what, What::User { item: of, .. } if of == item);
        if !self.entries.iter().any(same) {
            let what = What::User { item: item.to_owned(), text: String::new(), whole: false };
            self.push(what, true);
        }
    }

    /// The user wrote something.
    pub fn user_wrote(&mut self, text: &str) {
        let text = text.to_owned();
        self.push(What::User { item: String::new(), text, whole: true }, false);
    }

    /// Words of a user's item; the last are all of them.
    pub fn user_words(&mut self, item: &str, words: &str, last: bool) {
        self.user_spoke(item);
        let of = self.entries.iter_mut().rev().find_map(|entry| match &mut entry.what {
            What::User { item: of, text, whole } if of == item && !*whole => Some((text, whole)),
            _ => None,
        });
        let Some((text, whole)) = of else { return };
        let before = text.len();
        if last {
            words.clone_into(text);
        } else {
            text.push_str(words);
        }
        *whole = last;
        self.bytes = self.bytes + text.len() - before;
        self.bound();
    }

    /// What the model says in an item, if it is known.
    #[must_use]
    pub fn spoken(&self, item: &str) -> Option<&Spoken> {
        self.entries.iter().rev().find_map(|entry| match &entry.what {
            What::Agent(spoken) if spoken.item == item => Some(spoken),
            _ => None,
        })
    }

    fn spoken_mut(&mut self, item: &str) -> Option<&mut Spoken> {
        self.entries.iter_mut().rev().find_map(|entry| match &mut entry.what {
            What::Agent(spoken) if spoken.item == item => Some(spoken),
            _ => None,
        })
    }

    /// The model begins an item.
    pub fn agent_begins(&mut self, item: &str) {
        if self.spoken(item).is_none() {
            self.push(What::Agent(Spoken { item: item.to_owned(), ..Spoken::default() }), true);
        }
    }

    /// Changes what is known of an item.
    pub fn agent(&mut self, item: &str, change: impl FnOnce(&mut Spoken)) {
        let Some(spoken) = self.spoken_mut(item) else { return };
        let before = spoken.text.len();
        change(spoken);
        let after = spoken.text.len();
        self.bytes = self.bytes + after - before;
        self.bound();
    }

    /// The model has called a tool. False if it is known.
    pub fn called(&mut self, call: &str, name: &str, arguments: &str) -> bool {
        if self.has_call(call) {
            return false;
        }
        let what = What::Call {
            call: call.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        };
        self.push(what, true);
        true
    }

    fn has_call(&self, id: &str) -> bool {
        self.entries.iter().any(|e| matches!(&e.what, What::Call { call, .. } if call == id))
    }

    /// What came of a call. False if the call is forgotten: nobody is told.
    pub fn result(&mut self, call: &str, output: &str) -> bool {
        let known = self.has_call(call);
        if known {
            let (call, output) = (call.to_owned(), output.to_owned());
            self.push(What::Result { call, output }, false);
        }
        known
    }

    /// There will be another session, which knows nothing. What did not come to its end will not.
    pub fn unknown(&mut self) {
        for entry in &mut self.entries {
            entry.known = false;
            if let What::Agent(spoken) = &mut entry.what {
                (spoken.whole, spoken.half) = (true, None);
            }
        }
    }

    /// Nothing waits to be played: what is whole is over.
    pub fn nothing_waits(&mut self) {
        for entry in &mut self.entries {
            if let What::Agent(spoken) = &mut entry.what {
                spoken.over |= spoken.whole;
            }
        }
    }

    /// What the session has to be told next, in its order, up to what is still being played.
    pub fn tell(&mut self, mut say: impl FnMut(NewItem)) {
        for entry in &mut self.entries {
            if entry.known {
                continue;
            }
            if matches!(&entry.what, What::Agent(spoken) if spoken.is_playing()) {
                break;
            }
            entry.known = true;
            if let Some(item) = entry.told() {
                say(item);
            }
        }
    }

    /// Whether the session knows all of it.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.entries.iter().all(|entry| entry.known)
    }

    /// Whether anything is being played, or waits to be.
    #[must_use]
    pub fn is_playing(&self) -> bool {
        self.entries.iter().any(|e| matches!(&e.what, What::Agent(spoken) if spoken.is_playing()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(memory: &mut Memory) -> Vec<NewItem> {
        let mut told = Vec::new();
        memory.tell(|item| told.push(item));
        told
    }

    fn spoken(memory: &mut Memory, item: &str, text: &str, received: u64) {
        memory.agent_begins(item);
        memory.agent(item, |spoken| {
            spoken.text.push_str(text);
            spoken.received += received;
        });
    }

    #[test]
    fn another_session_is_told_what_was_played_and_no_more() {
        let mut memory = Memory::default();
        memory.user_spoke("u");
        spoken(&mut memory, "a", "abcdefghij", 1_000);
        memory.user_words("u", "hel", false);
        memory.user_words("u", "Hello.", true);
        memory.agent("a", |spoken| (spoken.played, spoken.over) = (400, true));
        spoken(&mut memory, "b", "never played", 0);
        assert_eq!(told(&mut memory), [], "the session knows it");
        memory.unknown();
        assert_eq!(
            told(&mut memory),
            [NewItem::User("Hello.".into()), NewItem::Assistant("abcd".into())]
        );
        assert_eq!(told(&mut memory), [], "once");
    }

    #[test]
    fn what_is_being_played_is_told_when_it_is_over_and_holds_what_follows() {
        let mut memory = Memory::default();
        memory.user_wrote("one");
        spoken(&mut memory, "a", "two", 10);
        memory.called("c", "find", "{}");
        memory.unknown();
        assert_eq!(told(&mut memory), [NewItem::User("one".into())]);
        memory.result("c", "3");
        assert!(told(&mut memory).is_empty() && memory.is_playing() && !memory.is_known());
        memory.agent("a", |spoken| (spoken.played, spoken.over) = (10, true));
        assert_eq!(told(&mut memory).len(), 3);
        assert!(memory.is_known() && !memory.is_playing());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_no_result_outlives_its_call() {
        let mut memory = Memory::default();
        for n in 0..2_000 {
            memory.called(&n.to_string(), "find", "{}");
            memory.result(&n.to_string(), &"x".repeat(n));
        }
        assert!(memory.len() <= ENTRIES_MAX && memory.bytes <= BYTES_MAX);
        assert_eq!(memory.bytes, memory.entries.iter().map(Entry::bytes).sum::<usize>());
        assert!(!memory.result("0", "late") && memory.forgotten() > 0);
        memory.unknown();
        let told = told(&mut memory);
        for (at, item) in told.iter().enumerate() {
            if let NewItem::Result { call, .. } = item {
                let call_of =
                    |item: &NewItem| matches!(item, NewItem::Call { call: of, .. } if of == call);
                assert!(told[..at].iter().any(call_of), "{call}");
            }
        }
    }
}
