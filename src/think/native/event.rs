//! What a model that speaks has to tell, whoever provides it.

use serde::{Deserialize, Serialize};

use crate::pcm::Clip;
use crate::think::chat::{Call, ModelError, Usage};

/// Something that came of a provider, in the order in which it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum NativeEvent {
    /// The provider is there, and takes audio.
    Ready {
        /// It is another session of the provider's than before; the conversation was told to it.
        again: bool,
    },
    /// A piece of an item's audio, at the provider's rate.
    Audio {
        /// The item, by the provider's id.
        item: String,
        /// The samples.
        pcm: Clip,
    },
    /// Words of an item's audio. They may come before it, with it or after it.
    Words {
        /// The item.
        item: String,
        /// What is added to its words.
        text: String,
    },
    /// No more audio will come of an item.
    ItemDone {
        /// The item.
        item: String,
    },
    /// The user began to speak.
    SpeechStarted {
        /// Where, in milliseconds of all of the user's audio in this call; none: now.
        at_ms: Option<u64>,
    },
    /// The user ended.
    SpeechStopped {
        /// Where, in milliseconds of all of the user's audio in this call.
        at_ms: Option<u64>,
    },
    /// The provider has cut what it was saying.
    Interrupted,
    /// What the user said.
    Heard {
        /// The user's item.
        item: String,
        /// What is added to its words; all of them if it is the last.
        text: String,
        /// No more will come.
        last: bool,
    },
    /// A tool is to be called.
    Call(Call),
    /// What something has cost.
    Usage(UsageRecord),
    /// An answer has ended.
    ResponseDone {
        /// Its id.
        response: String,
        /// How.
        end: ResponseEnd,
    },
    /// The model was asked for an answer: what comes from here on is of that one.
    Asked,
    /// The user's turn is an item of the conversation; none: it found no place there, and nobody writes it down.
    Committed {
        /// The item.
        item: Option<String>,
    },
    /// The model was told to be silent, and is: what came before this may be of an answer that was cut.
    Silenced,
    /// Trouble that the provider tells of, or has; unless [`Lost`](Self::Lost) follows, it goes on.
    Trouble(ModelError),
    /// There is no connection. It is made again, unless this is the end.
    Lost {
        /// Why.
        error: ModelError,
        /// Nobody will try again.
        last: bool,
    },
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseEnd {
    /// It is whole.
    Completed,
    /// It was cut: the user spoke, or somebody asked for it.
    Cancelled,
    /// The provider stopped it: it was too long, or filtered.
    Incomplete,
    /// The provider has failed.
    Failed,
}

/// What something has cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UsageRecord {
    /// It comes on top of what was.
    Delta {
        /// What for: `response`, `transcription`.
        scope: String,
        /// Tokens.
        usage: Usage,
    },
    /// It is all so far; the last value counts.
    Total {
        /// What for.
        scope: String,
        /// Tokens.
        usage: Usage,
    },
}
