//! What is said to the provider.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::settings::Settings;

/// An event for the provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ClientEvent {
    /// What the session is to be like.
    Update(Box<Settings>),
    /// The user's audio, as bytes of the session's format.
    Append(Vec<u8>),
    /// What was appended is the user's turn.
    Commit,
    /// What was appended is forgotten.
    Clear,
    /// Something is added to the conversation.
    Create(NewItem),
    /// Of an item so much was heard, in milliseconds.
    Truncate {
        /// The item.
        item: String,
        /// Milliseconds.
        audio_end_ms: u64,
    },
    /// An item is taken out of the conversation.
    Delete {
        /// The item.
        item: String,
    },
    /// Answer.
    Respond {
        /// What this answer is to be, instead of what the session says.
        instructions: Option<String>,
    },
    /// Do not go on with an answer.
    Cancel {
        /// Which; none: the one that there is.
        response: Option<String>,
    },
}

/// Something that is added to a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NewItem {
    /// What the user said, in words.
    User(String),
    /// What was heard of the model, in words.
    Assistant(String),
    /// A call that the model made.
    Call {
        /// Its id.
        call: String,
        /// The tool.
        name: String,
        /// The arguments, as JSON.
        arguments: String,
    },
    /// What came of a call.
    Result {
        /// The call's id.
        call: String,
        /// What the model is told.
        output: String,
    },
}

impl NewItem {
    fn json(&self) -> Value {
        match self {
            Self::User(text) => json!({
                "type": "message",
                "role": "user",
                "content": [{ "type": "input_text", "text": text }],
            }),
            Self::Assistant(text) => json!({
                "type": "message",
                "role": "assistant",
                "content": [{ "type": "output_text", "text": text }],
            }),
            Self::Call { call, name, arguments } => json!({
                "type": "function_call",
                "call_id": call,
                "name": name,
                "arguments": arguments,
                "status": "completed",
            }),
            Self::Result { call, output } => json!({
                "type": "function_call_output",
                "call_id": call,
                "output": output,
                "status": "completed",
            }),
        }
    }
}

impl ClientEvent {
    /// Its text, with the id by which an error refers to it.
    #[must_use]
    pub fn text(&self, event_id: &str) -> String {
        let mut value = match self {
            Self::Update(settings) => {
                json!({ "type": "session.update", "session": settings.json() })
            }
            Self::Append(bytes) => json!({
                "type": "input_audio_buffer.append",
                "audio": STANDARD.encode(bytes),
            }),
            Self::Commit => json!({ "type": "input_audio_buffer.commit" }),
            Self::Clear => json!({ "type": "input_audio_buffer.clear" }),
            Self::Create(item) => {
                json!({ "type": "conversation.item.create", "item": item.json() })
            }
            Self::Truncate { item, audio_end_ms } => json!({
                "type": "conversation.item.truncate",
                "item_id": item,
                "content_index": 0,
                "audio_end_ms": audio_end_ms,
            }),
            Self::Delete { item } => json!({ "type": "conversation.item.delete", "item_id": item }),
            Self::Respond { instructions: None } => json!({ "type": "response.create" }),
            Self::Respond { instructions: Some(text) } => json!({
                "type": "response.create",
                "response": { "instructions": text },
            }),
            Self::Cancel { response: None } => json!({ "type": "response.cancel" }),
            Self::Cancel { response: Some(id) } => json!({
                "type": "response.cancel",
                "response_id": id,
            }),
        };
        value["event_id"] = json!(event_id);
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::think::chat::Declaration;
    use crate::think::native::realtime::settings::{Transcription, Turns};
    use crate::think::native::wire::Format;
    use crate::tool::Json;

    fn said(event: &ClientEvent) -> Value {
        serde_json::from_str(&event.text("e-1")).unwrap()
    }

    #[test]
    fn a_session_has_the_shape_of_the_general_release() {
        let settings = Settings {
            instructions: "Be brief.".into(),
            transcription: Some(Transcription { model: "t".into(), language: Some("de".into()) }),
            tools: vec![Declaration {
                name: "find".into(),
                description: "Finds.".into(),
                parameters: Json(json!({ "type": "object" })),
            }],
            ..Settings::default()
        };
        let said = said(&ClientEvent::Update(Box::new(settings)));
        assert_eq!((&said["type"], &said["event_id"]), (&json!("session.update"), &json!("e-1")));
        let session = &said["session"];
        assert_eq!(session["type"], "realtime");
        assert_eq!(
            session["audio"]["input"]["format"],
            json!({ "type": "audio/pcm", "rate": 24_000 })
        );
        assert_eq!(session["audio"]["input"]["turn_detection"]["type"], "server_vad");
        assert_eq!(session["audio"]["input"]["transcription"]["language"], "de");
        assert_eq!(session["audio"]["output"]["voice"], "marin");
        assert_eq!(session["tools"][0]["name"], "find");
    }

    #[test]
    fn who_ends_a_turn_is_told_and_nobody_is_told_as_null() {
        let turns = |turns| {
            let settings = Settings { turns, format: Format::MuLaw, ..Settings::default() };
            said(&ClientEvent::Update(Box::new(settings)))["session"]["audio"]["input"].clone()
        };
        let ours = turns(Turns::Ours);
        assert_eq!(
            (&ours["turn_detection"], &ours["format"]["type"]),
            (&Value::Null, &json!("audio/pcmu"))
        );
        let semantic = turns(Turns::Semantic { eagerness: "low".into(), acts: false });
        assert_eq!(semantic["turn_detection"]["type"], "semantic_vad");
        assert_eq!(semantic["turn_detection"]["create_response"], false);
    }

    #[test]
    fn a_result_refers_to_its_call_and_a_cut_to_its_item() {
        let result = NewItem::Result { call: "c".into(), output: "{}".into() };
        let item = said(&ClientEvent::Create(result))["item"].clone();
        assert_eq!(
            (&item["type"], &item["call_id"]),
            (&json!("function_call_output"), &json!("c"))
        );
        let cut = said(&ClientEvent::Truncate { item: "i".into(), audio_end_ms: 1_234 });
        assert_eq!(
            (&cut["item_id"], &cut["content_index"], &cut["audio_end_ms"]),
            (&json!("i"), &json!(0), &json!(1_234))
        );
    }
}
