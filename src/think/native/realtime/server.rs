//! What a provider says, read from its text.
//!
//! Names are those of OpenAI's general release; those of the beta are read as the same. What is not
//! known is [`Unknown`](ServerEvent::Unknown), and a field that is missing or of another kind is none.
//!
//! **Invariant:** what is read is bounded, and whatever comes, nothing panics.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use crate::think::chat::Usage;

/// The longest text that is read, in bytes.
pub const MESSAGE_MAX: usize = 4 << 20;

/// The longest piece of audio, in bytes of base 64: half a minute.
pub const AUDIO_MAX: usize = 2 << 20;

/// The longest id and name, in bytes.
pub const ID_MAX: usize = 256;

/// The longest arguments of a call, in bytes.
pub const ARGUMENTS_MAX: usize = 256 << 10;

/// The longest text of an error that is kept, in bytes.
const ERROR_MAX: usize = 500;

/// The calls that are read of an answer's end.
const CALLS_MAX: usize = 128;

/// Base 64 as providers write it: with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An event of the provider's.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerEvent {
    /// A session is there.
    SessionCreated,
    /// It is as it was asked for.
    SessionUpdated,
    /// Something is in the conversation.
    ItemAdded(Item),
    /// The user's words.
    UserWords {
        /// The item.
        item: String,
        /// What is added; all of them if it is the last.
        text: String,
        /// No more will come.
        last: bool,
    },
    /// The user's words cannot be written down.
    UserWordsFailed {
        /// The item.
        item: String,
    },
    /// The user began to speak.
    SpeechStarted {
        /// Where, in milliseconds of the session's audio.
        at_ms: Option<u64>,
    },
    /// The user ended.
    SpeechStopped {
        /// Where, in milliseconds of the session's audio.
        at_ms: Option<u64>,
    },
    /// The user's turn is an item.
    Committed {
        /// The item.
        item: String,
    },
    /// An answer begins.
    ResponseCreated {
        /// Its id.
        response: String,
    },
    /// An answer has ended.
    ResponseDone {
        /// Its id.
        response: String,
        /// `completed`, `cancelled`, `incomplete` or `failed`.
        status: String,
        /// Why it failed.
        error: Option<Error>,
        /// What it has cost.
        usage: Option<Usage>,
        /// The calls in it.
        calls: Vec<Item>,
    },
    /// An item of an answer begins.
    OutputAdded {
        /// The answer.
        response: String,
        /// The item.
        item: Item,
    },
    /// An item of an answer is whole.
    OutputDone {
        /// The answer.
        response: String,
        /// The item.
        item: Item,
    },
    /// A piece of audio.
    Audio {
        /// The answer.
        response: String,
        /// The item.
        item: String,
        /// Bytes of the session's format.
        bytes: Vec<u8>,
    },
    /// A piece of the words of the audio.
    Words {
        /// The answer.
        response: String,
        /// The item.
        item: String,
        /// What is added.
        text: String,
    },
    /// The arguments of a call are whole.
    Arguments {
        /// The answer.
        response: String,
        /// The call. Its name may be missing.
        item: Item,
    },
    /// Trouble.
    Error(Error),
    /// Known, and of no interest.
    Other,
    /// Not known.
    Unknown,
}

/// An item of the conversation, as far as it matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// `message`, `function_call`, `function_call_output`.
    pub kind: String,
    /// Of a message: `user`, `assistant`, `system`.
    pub role: String,
    /// Of a call and its result: the call's id.
    pub call: String,
    /// Of a call: the tool.
    pub name: String,
    /// Of a call: the arguments as text.
    pub arguments: String,
    /// `in_progress`, `completed`, `incomplete`, or nothing.
    pub status: String,
}

impl Item {
    /// Whether it is a call that was written to its end: no other is made.
    #[must_use]
    pub fn is_call(&self) -> bool {
        let whole = matches!(self.status.as_str(), "" | "completed");
        whole && self.kind == "function_call" && !self.call.is_empty() && !self.name.is_empty()
    }
}

/// Trouble, as the provider tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Error {
    /// The event of ours that it refers to.
    pub event: Option<String>,
    /// What kind of trouble: `invalid_request_error`, `server_error`.
    pub kind: String,
    /// Which: `conversation_already_has_active_response`.
    pub code: String,
    /// For a person to read.
    pub message: String,
}

/// A text that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// It is longer than [`MESSAGE_MAX`].
    TooLong,
    /// It is no JSON object with a type, or too deep.
    NoObject,
    /// An id, a name or arguments are too long, or missing where nothing can be done without.
    BadField,
    /// The audio is no base 64, or too long.
    BadAudio,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the message is longer than 4 MiB",
            Self::NoObject => "the message is no JSON object with a type",
            Self::BadField => "an id, a name or arguments of the message are missing or too long",
            Self::BadAudio => "the audio of the message is no base 64, or longer than 2 MiB",
        })
    }
}

impl std::error::Error for Unreadable {}

/// The fields of an object, as far as they are what they should be.
struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn id(&self, name: &str) -> Result<String, Unreadable> {
        let text = self.text(name);
        if text.len() > ID_MAX { Err(Unreadable::BadField) } else { Ok(text.to_owned()) }
    }

    /// An id without which nothing can be done.
    fn needed(&self, name: &str) -> Result<String, Unreadable> {
        let id = self.id(name)?;
        if id.is_empty() { Err(Unreadable::BadField) } else { Ok(id) }
    }

    fn ms(&self, name: &str) -> Option<u64> {
        let value = self.0.get(name)?;
        value.as_u64().or_else(|| value.as_f64().filter(|ms| *ms >= 0.0).map(|ms| ms as u64))
    }

    fn object(&self, name: &str) -> Option<Fields<'_>> {
        self.0.get(name).and_then(Value::as_object).map(Fields)
    }

    fn item(&self) -> Result<Item, Unreadable> {
        let arguments = self.text("arguments");
        if arguments.len() > ARGUMENTS_MAX {
            return Err(Unreadable::BadField);
        }
        Ok(Item {
            id: self.id("id")?,
            kind: self.id("type")?,
            role: self.id("role")?,
            call: self.id("call_id")?,
            name: self.id("name")?,
            arguments: arguments.to_owned(),
            status: self.id("status")?,
        })
    }

    fn error(&self) -> Error {
        let event = self.text("event_id");
        Error {
            event: (!event.is_empty()).then(|| clipped(event, ID_MAX)),
            kind: clipped(self.text("type"), ID_MAX),
            code: clipped(self.text("code"), ID_MAX),
            message: clipped(self.text("message"), ERROR_MAX),
        }
    }
}

/// The beginning of a text, of at most so many bytes.
fn clipped(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

/// Reads a text of the provider's.
///
/// # Errors
/// It is nothing that a provider would say; it is best ignored, and counted.
pub fn read(text: &str) -> Result<ServerEvent, Unreadable> {
    if text.len() > MESSAGE_MAX {
        return Err(Unreadable::TooLong);
    }
    let value: Value = serde_json::from_str(text).map_err(|_| Unreadable::NoObject)?;
    let fields = Fields(value.as_object().ok_or(Unreadable::NoObject)?);
    let inner = |name: &str| fields.object(name).ok_or(Unreadable::BadField);
    let item = || fields.needed("item_id");
    let answer = || fields.id("response_id");
    Ok(match fields.text("type") {
        "" => return Err(Unreadable::NoObject),
        "session.created" => ServerEvent::SessionCreated,
        "session.updated" => ServerEvent::SessionUpdated,
        "conversation.item.added" | "conversation.item.created" => {
            ServerEvent::ItemAdded(inner("item")?.item()?)
        }
        "conversation.item.input_audio_transcription.delta" => {
            let text = fields.text("delta").to_owned();
            ServerEvent::UserWords { item: item()?, text, last: false }
        }
        "conversation.item.input_audio_transcription.completed" => {
            let text = fields.text("transcript").to_owned();
            ServerEvent::UserWords { item: item()?, text, last: true }
        }
        "conversation.item.input_audio_transcription.failed" => {
            ServerEvent::UserWordsFailed { item: item()? }
        }
        "input_audio_buffer.speech_started" => {
            ServerEvent::SpeechStarted { at_ms: fields.ms("audio_start_ms") }
        }
        "input_audio_buffer.speech_stopped" => {
            ServerEvent::SpeechStopped { at_ms: fields.ms("audio_end_ms") }
        }
        "input_audio_buffer.committed" => ServerEvent::Committed { item: item()? },
        "response.created" => {
            ServerEvent::ResponseCreated { response: inner("response")?.needed("id")? }
        }
        "response.done" => done(&inner("response")?)?,
        "response.output_item.added" => {
            ServerEvent::OutputAdded { response: answer()?, item: inner("item")?.item()? }
        }
        "response.output_item.done" => {
            ServerEvent::OutputDone { response: answer()?, item: inner("item")?.item()? }
        }
        "response.output_audio.delta" | "response.audio.delta" => {
            let audio = fields.text("delta");
            if audio.len() > AUDIO_MAX {
                return Err(Unreadable::BadAudio);
            }
            let bytes = BASE64.decode(audio).map_err(|_| Unreadable::BadAudio)?;
            ServerEvent::Audio { response: answer()?, item: item()?, bytes }
        }
        "response.output_audio_transcript.delta" | "response.audio_transcript.delta" => {
            let text = fields.text("delta").to_owned();
            ServerEvent::Words { response: answer()?, item: item()?, text }
        }
        "response.function_call_arguments.done" => {
            let mut call = fields.item()?;
            (call.kind, call.id) = ("function_call".to_owned(), fields.id("item_id")?);
            ServerEvent::Arguments { response: answer()?, item: call }
        }
        "error" => ServerEvent::Error(inner("error")?.error()),
        "conversation.created"
        | "conversation.item.done"
        | "conversation.item.retrieved"
        | "conversation.item.truncated"
        | "conversation.item.deleted"
        | "input_audio_buffer.cleared"
        | "input_audio_buffer.timeout_triggered"
        | "response.content_part.added"
        | "response.content_part.done"
        | "response.output_audio.done"
        | "response.audio.done"
        | "response.output_audio_transcript.done"
        | "response.audio_transcript.done"
        | "response.output_text.delta"
        | "response.text.delta"
        | "response.output_text.done"
        | "response.text.done"
        | "response.function_call_arguments.delta"
        | "rate_limits.updated" => ServerEvent::Other,
        _ => ServerEvent::Unknown,
    })
}

fn done(response: &Fields<'_>) -> Result<ServerEvent, Unreadable> {
    let error = response
        .object("status_details")
        .and_then(|details| details.object("error").map(|error| error.error()));
    let output = response.0.get("output").and_then(Value::as_array).map(Vec::as_slice);
    let items = output.unwrap_or_default().iter().filter_map(Value::as_object).map(Fields);
    let usage = response.object("usage").map(|usage| {
        let cached = usage.object("input_token_details");
        Usage {
            prompt: usage.ms("input_tokens"),
            completion: usage.ms("output_tokens"),
            total: usage.ms("total_tokens"),
            cached: cached.and_then(|details| details.ms("cached_tokens")),
            reasoning: None,
        }
    });
    Ok(ServerEvent::ResponseDone {
        response: response.id("id")?,
        status: response.id("status")?,
        error,
        usage,
        calls: items
            .filter_map(|item| item.item().ok())
            .filter(Item::is_call)
            .take(CALLS_MAX)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_of_the_beta_are_the_same_as_those_of_the_general_release() {
        for (general, beta) in [
            ("response.output_audio.delta", "response.audio.delta"),
            ("response.output_audio_transcript.delta", "response.audio_transcript.delta"),
            ("response.output_text.delta", "response.text.delta"),
            ("response.output_audio.done", "response.audio.done"),
            ("conversation.item.added", "conversation.item.created"),
        ] {
            let event = |name: &str| {
                let item = json!({ "id": "i", "type": "message", "role": "user" });
                json!({ "type": name, "item_id": "i", "response_id": "r", "delta": "AQI=", "item": item })
            };
            let general = read(&event(general).to_string()).unwrap();
            assert_eq!(general, read(&event(beta).to_string()).unwrap(), "{beta}");
            assert_ne!(general, ServerEvent::Unknown);
        }
    }

    #[test]
    fn audio_is_read_with_and_without_padding() {
        for delta in ["AQIDBA==", "AQIDBA"] {
            let text = json!({ "type": "response.audio.delta", "item_id": "i", "delta": delta });
            let ServerEvent::Audio { bytes, .. } = read(&text.to_string()).unwrap() else {
                panic!()
            };
            assert_eq!(bytes, [1, 2, 3, 4]);
        }
    }

    #[test]
    fn what_is_not_known_is_no_error_and_what_is_no_message_is_one() {
        let read = |value: Value| read(&value.to_string());
        assert_eq!(read(json!({ "type": "response.hologram.delta" })), Ok(ServerEvent::Unknown));
        assert_eq!(
            read(json!({ "type": "rate_limits.updated", "rate_limits": 7 })),
            Ok(ServerEvent::Other)
        );
        assert_eq!(read(json!([])), Err(Unreadable::NoObject));
        assert_eq!(read(json!({ "type": 7 })), Err(Unreadable::NoObject));
        assert_eq!(
            read(json!({ "type": "response.created", "response": {} })),
            Err(Unreadable::BadField)
        );
        let long =
            json!({ "type": "input_audio_buffer.committed", "item_id": "x".repeat(ID_MAX + 1) });
        assert_eq!(read(long), Err(Unreadable::BadField));
        let audio = |delta: &str| json!({ "type": "response.output_audio.delta", "item_id": "i", "delta": delta });
        assert_eq!(read(audio("?!")), Err(Unreadable::BadAudio));
        assert_eq!(read(audio(&"A".repeat(AUDIO_MAX + 4))), Err(Unreadable::BadAudio));
        assert_eq!(super::read(&" ".repeat(MESSAGE_MAX + 1)), Err(Unreadable::TooLong));
        assert_eq!(super::read(&"[".repeat(100_000)), Err(Unreadable::NoObject));
        assert_eq!(super::read("{\"type\":\"error\""), Err(Unreadable::NoObject));
    }

    #[test]
    fn an_answers_end_has_its_calls_its_cost_and_its_trouble() {
        let text = json!({ "type": "response.done", "response": {
            "id": "r", "status": "failed",
            "status_details": { "error": { "code": "insufficient_quota", "message": "ä".repeat(400) } },
            "usage": { "input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "input_token_details": { "cached_tokens": 1 } },
            "output": [
                { "type": "message", "id": "m" },
                { "type": "function_call", "call_id": "c", "name": "find", "arguments": "{}", "status": "completed" },
                { "type": "function_call", "call_id": "d", "name": "find", "arguments": "{\"x", "status": "incomplete" },
            ],
        } });
        let ServerEvent::ResponseDone { error, usage, calls, status, .. } =
            read(&text.to_string()).unwrap()
        else {
            panic!()
        };
        let error = error.unwrap();
        assert_eq!((error.code.as_str(), error.message.len()), ("insufficient_quota", ERROR_MAX));
        assert_eq!((usage.unwrap().total, usage.unwrap().cached), (Some(7), Some(1)));
        assert_eq!((calls.len(), calls[0].call.as_str(), status.as_str()), (1, "c", "failed"));
    }
}
