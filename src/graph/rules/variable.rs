//! What conditions can be about.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use super::super::topology::type_of;

/// What is known of a conversation at the time of a check.
pub trait Variables {
    /// What the user said or typed last; empty before.
    fn user_input(&self) -> &str;

    /// The name of the agent that is talking.
    fn current_agent_name(&self) -> &str;

    /// The type of the agent that is talking.
    fn current_agent_type(&self) -> &str;

    /// How many turns the user has taken.
    fn conversation_turn_count(&self) -> u64;

    /// Whether the user has taken at most one turn.
    fn is_first_turn(&self) -> bool {
        self.conversation_turn_count() <= 1
    }

    /// What kind of input the last was: one of [`USER_INPUT_TYPES`], or another word.
    fn user_input_type(&self) -> &str {
        "unknown"
    }

    /// The tool that was called last; empty before.
    fn last_tool_name(&self) -> &str;

    /// What that tool gave, as the text of its JSON; empty before.
    fn last_tool_result(&self) -> &str;

    /// A fact of the conversation.
    fn fact(&self, name: &str) -> Option<&Value>;
}

/// The usual kinds of input.
pub const USER_INPUT_TYPES: [&str; 4] = ["question", "statement", "command", "unknown"];

/// What stands before the name of a fact: `fact.tier`.
pub const FACT_PREFIX: &str = "fact.";

/// What a condition is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// See [`Variables::user_input`].
    UserInput,
    /// See [`Variables::current_agent_name`].
    CurrentAgentName,
    /// See [`Variables::current_agent_type`].
    CurrentAgentType,
    /// See [`Variables::conversation_turn_count`].
    ConversationTurnCount,
    /// See [`Variables::is_first_turn`].
    IsFirstTurn,
    /// See [`Variables::user_input_type`].
    UserInputType,
    /// See [`Variables::last_tool_name`].
    LastToolName,
    /// See [`Variables::last_tool_result`].
    LastToolResult,
    /// The fact of this name. As a text, numbers and booleans are as they are written, and nothing is the
    /// empty text; as a number, a text is the number that it spells.
    Fact(String),
}

/// What a variable holds, which says how it can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// One or more of a set of words.
    Select,
    /// A fact: a text, or a number if it is compared with one.
    Fact,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Number => "numeric",
            Self::Boolean => "boolean",
            Self::Select => "select",
            Self::Fact => "fact",
        }
    }
}

impl Variable {
    /// All but facts.
    pub(super) const NAMED: [Self; 8] = [
        Self::UserInput,
        Self::CurrentAgentName,
        Self::CurrentAgentType,
        Self::ConversationTurnCount,
        Self::IsFirstTurn,
        Self::UserInputType,
        Self::LastToolName,
        Self::LastToolResult,
    ];

    /// The variable of a name; `fact.` is followed by the name of a fact.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name.strip_prefix(FACT_PREFIX) {
            Some("") => None,
            Some(fact) => Some(Self::Fact(fact.to_owned())),
            None => Self::NAMED.into_iter().find(|variable| variable.word() == name),
        }
    }

    /// What it holds.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::UserInput
            | Self::CurrentAgentName
            | Self::CurrentAgentType
            | Self::LastToolName
            | Self::LastToolResult => Kind::Text,
            Self::Fact(_) => Kind::Fact,
            Self::ConversationTurnCount => Kind::Number,
            Self::IsFirstTurn => Kind::Boolean,
            Self::UserInputType => Kind::Select,
        }
    }

    /// Its name, without that of a fact.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::UserInput => "user_input",
            Self::CurrentAgentName => "current_agent_name",
            Self::CurrentAgentType => "current_agent_type",
            Self::ConversationTurnCount => "conversation_turn_count",
            Self::IsFirstTurn => "is_first_turn",
            Self::UserInputType => "user_input_type",
            Self::LastToolName => "last_tool_name",
            Self::LastToolResult => "last_tool_result",
            Self::Fact(_) => FACT_PREFIX,
        }
    }

    /// Its value now, or what it is instead of a text.
    pub(super) fn value<'v>(&self, now: &'v dyn Variables) -> Result<Held<'v>, &'static str> {
        let text = |text: &'v str| Held::Text(Cow::Borrowed(text));
        Ok(match self {
            Self::UserInput => text(now.user_input()),
            Self::CurrentAgentName => text(now.current_agent_name()),
            Self::CurrentAgentType => text(now.current_agent_type()),
            Self::ConversationTurnCount => Held::Number(now.conversation_turn_count()),
            Self::IsFirstTurn => Held::Boolean(now.is_first_turn()),
            Self::UserInputType => text(now.user_input_type()),
            Self::LastToolName => text(now.last_tool_name()),
            Self::LastToolResult => text(now.last_tool_result()),
            Self::Fact(name) => match now.fact(name) {
                None | Some(Value::Null) => text(""),
                Some(Value::String(fact)) => text(fact),
                Some(Value::Bool(true)) => text("true"),
                Some(Value::Bool(false)) => text("false"),
                Some(Value::Number(number)) => Held::Text(Cow::Owned(number.to_string())),
                Some(other @ (Value::Array(_) | Value::Object(_))) => return Err(type_of(other)),
            },
        })
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Self::Fact(name) => f.write_str(name),
            _ => Ok(()),
        }
    }
}

/// The value of a variable.
pub(super) enum Held<'v> {
    Text(Cow<'v, str>),
    Number(u64),
    Boolean(bool),
}
