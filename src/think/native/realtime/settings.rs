//! What a session of the provider's is to be like.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::think::chat::{Declaration, ToolChoice};
use crate::think::native::wire::Format;

/// What is asked of the provider. The model and the key are the connection's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What the model is to be.
    pub instructions: String,
    /// The voice, as the provider names it.
    pub voice: String,
    /// How fast it speaks, 0.25 to 1.5; 1: as it likes.
    pub speed: f32,
    /// How audio is written, both ways.
    pub format: Format,
    /// Who says when the user's turn is over.
    pub turns: Turns,
    /// Who writes down what the user says; none: nobody.
    pub transcription: Option<Transcription>,
    /// The tools that it may call.
    pub tools: Vec<Declaration>,
    /// Whether it may, or must.
    pub tool_choice: ToolChoice,
    /// The longest answer, in tokens; none: as long as it likes.
    pub max_tokens: Option<u16>,
    /// How long things may take.
    pub times: Times,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            instructions: String::new(),
            voice: "marin".to_owned(),
            speed: 1.0,
            format: Format::Pcm16,
            turns: Turns::default(),
            transcription: None,
            tools: Vec::new(),
            tool_choice: ToolChoice::Auto,
            max_tokens: None,
            times: Times::default(),
        }
    }
}

/// Who says when the user's turn is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Turns {
    /// We do: by [`commit`](super::Realtime::commit).
    Ours,
    /// The provider, by how loud it is.
    Server {
        /// How loud is speech, 0 to 1.
        threshold: f32,
        /// Audio before it that belongs to it, in milliseconds.
        prefix_ms: u32,
        /// Silence after it that ends it, in milliseconds.
        silence_ms: u32,
        /// The provider answers and cuts by itself.
        acts: bool,
    },
    /// The provider, by what is said.
    Semantic {
        /// `low`, `medium`, `high` or `auto`.
        eagerness: String,
        /// The provider answers and cuts by itself.
        acts: bool,
    },
}

/// OpenAI's defaults.
impl Default for Turns {
    fn default() -> Self {
        Self::Server { threshold: 0.5, prefix_ms: 300, silence_ms: 500, acts: true }
    }
}

impl Turns {
    /// Whether the provider answers and cuts by itself.
    #[must_use]
    pub const fn acts(&self) -> bool {
        match self {
            Self::Ours => false,
            Self::Server { acts, .. } | Self::Semantic { acts, .. } => *acts,
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Ours => Value::Null,
            Self::Server { threshold, prefix_ms, silence_ms, acts } => json!({
                "type": "server_vad",
                "threshold": threshold,
                "prefix_padding_ms": prefix_ms,
                "silence_duration_ms": silence_ms,
                "create_response": acts,
                "interrupt_response": acts,
            }),
            Self::Semantic { eagerness, acts } => json!({
                "type": "semantic_vad",
                "eagerness": eagerness,
                "create_response": acts,
                "interrupt_response": acts,
            }),
        }
    }
}

/// Who writes down what the user says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcription {
    /// The model.
    pub model: String,
    /// The language, by ISO 639-1; none: any.
    pub language: Option<String>,
}

/// How long things may take, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// A connection that is not there by then will not be.
    pub connect_ms: u64,
    /// A connection that is not closed by then is left to itself. The edge goes by it.
    pub disconnect_ms: u64,
    /// An answer of which nothing has come for so long has stalled.
    pub patience_ms: u64,
    /// From this age on a session is renewed in a pause.
    pub renew_ms: u64,
    /// At this age it is renewed whatever happens: the provider would end it soon. OpenAI does so after
    /// 60 minutes.
    pub session_ms: u64,
    /// Connections that are tried in a row, before nobody tries again.
    pub tries: u32,
    /// The wait before the second of them, which doubles with each, up to 32 times as long.
    pub pause_ms: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            connect_ms: 30_000,
            disconnect_ms: 5_000,
            patience_ms: 30_000,
            renew_ms: 50 * 60_000,
            session_ms: 59 * 60_000,
            tries: 6,
            pause_ms: 250,
        }
    }
}

fn format_json(format: Format) -> Value {
    match format {
        Format::Pcm16 => json!({ "type": "audio/pcm", "rate": 24_000 }),
        Format::MuLaw => json!({ "type": "audio/pcmu" }),
        Format::ALaw => json!({ "type": "audio/pcma" }),
    }
}

impl Settings {
    /// The session, as `session.update` has it: the shape of OpenAI's general release.
    #[must_use]
    pub fn json(&self) -> Value {
        let tool = |tool: &Declaration| {
            json!({
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters.0,
            })
        };
        let choice = match &self.tool_choice {
            ToolChoice::Auto => json!("auto"),
            ToolChoice::Required => json!("required"),
            ToolChoice::None => json!("none"),
            ToolChoice::Specific { tool_name } => json!({ "type": "function", "name": tool_name }),
        };
        let transcription = self.transcription.as_ref().map(|by| {
            let mut value = json!({ "model": by.model });
            if let Some(language) = &by.language {
                value["language"] = json!(language);
            }
            value
        });
        let mut session = json!({
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": self.instructions,
            "audio": {
                "input": {
                    "format": format_json(self.format),
                    "turn_detection": self.turns.json(),
                    "transcription": transcription,
                },
                "output": {
                    "format": format_json(self.format),
                    "voice": self.voice,
                    "speed": self.speed,
                },
            },
            "tools": self.tools.iter().map(tool).collect::<Vec<_>>(),
            "tool_choice": choice,
        });
        if let Some(tokens) = self.max_tokens {
            session["max_output_tokens"] = json!(tokens);
        }
        session
    }
}
