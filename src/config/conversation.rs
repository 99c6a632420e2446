//! Which conversation a session holds.
//!
//! **Invariant:** what is picked is there: a name that nobody knows is an error, and no session.

use std::fmt;

use serde_json::Value;

use super::{Agent, Config, Conversation};
use crate::graph::rules::AgentKey;
use crate::talk::near::suggestion;

/// A conversation was asked for that is not configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownConversation {
    /// Its name, or what stands instead of one.
    pub name: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for UnknownConversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no conversation `{}`; {}", self.name, self.remedy)
    }
}

impl std::error::Error for UnknownConversation {}

impl Config {
    /// The conversation that was picked, if one was.
    #[must_use]
    pub fn picked(&self) -> Option<&Conversation> {
        self.conversations.get(self.conversation.as_ref()?)
    }

    /// Whether an agent takes part in the conversation that was picked. Without one, all do.
    #[must_use]
    pub fn takes_part(&self, agent: &str) -> bool {
        self.picked().is_none_or(|picked| picked.agents.iter().any(|known| known == agent))
    }

    /// The name of the agent that business rules name so.
    #[must_use]
    pub fn agent_of<'a>(&'a self, key: &'a AgentKey) -> Option<&'a str> {
        match key {
            AgentKey::Name(name) => self.agents.contains_key(name).then_some(name.as_str()),
            AgentKey::Number(id) => {
                let mut agents = self.agents.iter();
                let of = |agent: &Agent| agent.id().is_some_and(|known| u64::from(known) == *id);
                agents.find(|(_, agent)| of(agent)).map(|(name, _)| name.as_str())
            }
        }
    }

    /// The same configuration for this conversation.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn of_conversation(mut self, name: &str) -> Result<Self, UnknownConversation> {
        self.known(name)?;
        self.conversation = Some(name.to_owned());
        Ok(self)
    }

    fn known(&self, name: &str) -> Result<(), UnknownConversation> {
        if self.conversations.contains_key(name) {
            return Ok(());
        }
        let known: Vec<&str> = self.conversations.keys().map(String::as_str).collect();
        let remedy = suggestion(name, "conversations", &known);
        Err(UnknownConversation { name: name.to_owned(), remedy })
    }

    /// The same configuration for the conversation of a room: the one that `metadata` names, where it is
    /// a JSON object with the key `conversation`; or else the first, by name, that is held in a room of
    /// this name, or that is called as the room is. Where there is none, it is as it was.
    ///
    /// # Errors
    /// The metadata names a conversation that is not there.
    pub fn for_room(self, room: &str, metadata: &str) -> Result<Self, UnknownConversation> {
        match self.conversation_of(room, metadata)? {
            Some(name) => self.of_conversation(&name),
            None => Ok(self),
        }
    }

    /// The name of that conversation, if there is one.
    ///
    /// # Errors
    /// The metadata names a conversation that is not there.
    pub fn conversation_of(
        &self,
        room: &str,
        metadata: &str,
    ) -> Result<Option<String>, UnknownConversation> {
        if let Some(name) = named(metadata, "conversation") {
            return self.known(&name).map(|()| Some(name));
        }
        let held = self.conversations.iter().find(|(name, conversation)| {
            *name == room || conversation.rooms.iter().any(|pattern| fits(pattern, room))
        });
        Ok(held.map(|(name, _)| name.clone()))
    }
}

/// What metadata that is a JSON object names under a key; what is no text as JSON.
#[must_use]
pub fn named(metadata: &str, key: &str) -> Option<String> {
    let metadata = serde_json::from_str::<Value>(metadata).ok()?;
    let named = metadata.get(key)?;
    Some(named.as_str().map_or_else(|| named.to_string(), str::to_owned))
}

/// Whether a text is as a pattern says, in which `*` stands for any characters.
#[must_use]
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, expected) in [
            ("sales", "sales", true),
            ("sales", "sales-2", false),
            ("sales-*", "sales-2", true),
            ("sales-*", "sales", false),
            ("*", "", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "acb", false),
            ("*-eu", "x-eu-eu", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn metadata_goes_before_the_rooms_name_and_a_wrong_name_is_an_error() {
        let yaml = b"
name: firm
start: a
agents: { a: {}, b: {} }
conversations:
  sales: { start: b, agents: [b], rooms: ['shop-*'] }
  help: { start: a, agents: [a, b] }
";
        let config = parse(yaml, "firm.yaml").unwrap();
        let picked = |room: &str, metadata: &str| {
            config.clone().for_room(room, metadata).map(|config| config.conversation)
        };
        assert_eq!(picked("shop-7", ""), Ok(Some("sales".to_owned())));
        assert_eq!(picked("help", "no JSON"), Ok(Some("help".to_owned())));
        assert_eq!(picked("shop-7", r#"{"conversation":"help"}"#), Ok(Some("help".to_owned())));
        assert_eq!(picked("elsewhere", "{}"), Ok(None));
        let wrong = picked("shop-7", r#"{"conversation":"sale"}"#).unwrap_err();
        assert_eq!(wrong.to_string(), "there is no conversation `sale`; did you mean `sales`?");
        let sales = config.of_conversation("sales").unwrap();
        assert_eq!(sales.start_agent(), "b");
        assert!(!sales.takes_part("a"));
    }
}
