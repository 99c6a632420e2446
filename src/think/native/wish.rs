//! What a session wants of a model that hears and speaks, whoever provides it.

use serde::{Deserialize, Serialize};

use super::realtime::settings::Settings;
use crate::think::chat::{Message, ToolOutput};

/// Something for a model that hears and speaks, in the order in which it is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum NativeWish {
    /// Begin a conversation.
    Open {
        /// The model, by its name in the configuration.
        model: String,
        /// What it is to be.
        settings: Box<Settings>,
        /// What was said and called before.
        history: Vec<Message>,
    },
    /// Hear this tick of the users' audio: [`Output::heard`](crate::session::output::Output::heard).
    Hear,
    /// The users' turn is over with what was heard so far, for models that do not find out themselves.
    Commit {
        /// What was said, as far as somebody else has understood it.
        words: String,
        /// An answer is wanted.
        answer: bool,
    },
    /// What was heard since the last turn is not wanted.
    Clear,
    /// A user has written this.
    Write {
        /// What.
        text: String,
        /// An answer is wanted.
        answer: bool,
    },
    /// An answer is wanted.
    Ask {
        /// Words that it is to have, where they are given.
        say: Option<String>,
    },
    /// The answer that there is does not go on.
    Cancel,
    /// What came of a call.
    Result {
        /// The call, by the model's id.
        call: String,
        /// What came of it.
        output: ToolOutput,
        /// When those of an answer are all there, another is wanted.
        answer: bool,
    },
    /// An item was played to its end.
    Played {
        /// The item, by the model's id.
        item: String,
        /// Samples of it, at the session's rate.
        samples: u64,
    },
    /// Of an item no more is played.
    Cut {
        /// The item, by the model's id.
        item: String,
        /// Samples that were played of it, at the session's rate.
        samples: u64,
    },
    /// The conversation is over.
    Close,
}

impl NativeWish {
    /// Whether the conversation is over with it.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        matches!(self, Self::Close)
    }

    /// What a model is told, so that it says these words and no others.
    #[must_use]
    pub fn to_say(words: &str) -> String {
        format!("Say exactly this to the user, and nothing else: {words}")
    }
}
