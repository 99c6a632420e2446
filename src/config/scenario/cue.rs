//! A cue: something that the caller does, or that an application tells, when, and what is expected then.
//!
//! A cue is written flat, with the key of what it does; `Line` is how it is written, [`Cue`] what
//! it means.
//!
//! **Invariant:** a cue does exactly one thing.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::expect::Expect;
use super::tell::Tell;
use crate::tool::room::KEYS;

/// Something that the caller does, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Line", into = "Line")]
pub struct Cue {
    /// What the caller does; in a file one of the keys `play`, `type`, `digits` and `event`.
    pub act: Act,
    /// When. Default none: once the agent has nothing more to do, where the file names a
    /// configuration, and `{ agent_silent_ms: 600 }` otherwise.
    pub after: Option<After>,
    /// How much louder a clip is than its file, in decibels: -60 to 20; only with `play`. Default
    /// 0.
    pub gain_db: f64,
    /// What is expected from here to the next cue. Default none.
    pub expect: Option<Box<Expect>>,
}

/// What a caller does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Plays a WAV file, whose name is relative to the file of the cue.
    Play(String),
    /// Types a text.
    Type(String),
    /// Presses keys of a telephone, one after the other: 1 to 32 of 0 to 9, A to D, `*` and `#`.
    Press(String),
    /// Has the session told of an event.
    Tell(Tell),
}

impl std::fmt::Display for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Play(file) => write!(f, "plays {file}"),
            Self::Type(text) => write!(f, "types “{text}”"),
            Self::Press(keys) => write!(f, "presses {keys}"),
            Self::Tell(tell) => write!(f, "has `{}` told", tell.name),
        }
    }
}

/// When a cue comes, in milliseconds: exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum After {
    /// So long after the start of the call, in milliseconds: 0 to 86400000, a day.
    StartMs(#[schemars(range(min = 0, max = 86_400_000))] u32),
    /// So long after the cue before it was over, or the call began, in milliseconds: 0 to 600000.
    PreviousMs(#[schemars(range(min = 0, max = 600_000))] u32),
    /// Once the agent has spoken for so long, in milliseconds: 0 to 600000.
    AgentSpokeMs(#[schemars(range(min = 0, max = 600_000))] u32),
    /// Once the agent has spoken and then been silent for so long, in milliseconds: 0 to 600000.
    AgentSilentMs(#[schemars(range(min = 0, max = 600_000))] u32),
    /// Once the turn of the cue before is answered and the agent has had nothing more to do for so
    /// long, in milliseconds: 0 to 600000. It has while it speaks, is about to, or awaits a tool.
    AgentDoneMs(#[schemars(range(min = 0, max = 600_000))] u32),
}

impl After {
    /// The caller lets the agent finish: 600 ms is longer than a pause within a sentence.
    pub const SILENT: Self = Self::AgentSilentMs(600);
    /// The caller lets the agent finish everything: 400 ms is longer than a pause between two messages.
    pub const DONE: Self = Self::AgentDoneMs(400);
}

/// A cue as it is written.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Cue", transform = one_act)]
struct Line {
    /// Plays this WAV file, relative to the file of the cue. Exactly one of `play`, `type`, `digits`
    /// and `event` is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    play: Option<String>,
    /// Types this text. Exactly one of `play`, `type`, `digits` and `event` is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    r#type: Option<String>,
    /// Presses these keys of a telephone, one every 200 ms: 1 to 32 of 0 to 9, A to D, `*` and `#`, in
    /// quotes. Exactly one of `play`, `type`, `digits` and `event` is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = KEYS))]
    digits: Option<String>,
    /// Has the session told of this event, as a participant's page or the program that holds the call
    /// tells it. Exactly one of `play`, `type`, `digits` and `event` is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<Tell>,
    /// When. Default none: once the agent has had nothing more to do for 400 ms, where the file names
    /// a configuration, and once it has spoken and been silent for 600 ms otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<After>,
    /// How much louder the clip is than its file, in decibels: -60 to 20; only with `play`. Default
    /// 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -60, max = 20), extend("default" = 0))]
    gain_db: Option<f64>,
    /// What is expected from here to the next cue, or to the end of the call. Only `antiphon test`
    /// looks at it. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expect: Option<Box<Expect>>,
}

fn one_act(schema: &mut Schema) {
    let acts = ["play", "type", "digits", "event"].map(|key| json!({ "required": [key] }));
    schema.insert("oneOf".into(), json!(acts));
}

impl TryFrom<Line> for Cue {
    type Error = &'static str;

    fn try_from(line: Line) -> Result<Self, Self::Error> {
        let act = match (line.play, line.r#type, line.digits, line.event) {
            (Some(file), None, None, None) => Act::Play(file),
            (None, Some(text), None, None) => Act::Type(text),
            (None, None, Some(keys), None) => Act::Press(keys),
            (None, None, None, Some(tell)) => Act::Tell(tell),
            _ => return Err("a cue has exactly one of the keys `play`, `type`, `digits`, `event`"),
        };
        let Line { after, gain_db, expect, .. } = line;
        Ok(Self { act, after, gain_db: gain_db.unwrap_or(0.0), expect })
    }
}

impl From<Cue> for Line {
    fn from(Cue { act, after, gain_db, expect }: Cue) -> Self {
        let (play, r#type, digits, event) = (None, None, None, None);
        let line = Self { play, r#type, digits, event, after, gain_db: None, expect };
        match act {
            Act::Play(file) => Self { play: Some(file), gain_db: Some(gain_db), ..line },
            Act::Type(text) => Self { r#type: Some(text), ..line },
            Act::Press(keys) => Self { digits: Some(keys), ..line },
            Act::Tell(tell) => Self { event: Some(tell), ..line },
        }
    }
}
