//! Events as a provider writes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub(super) fn created(response: &str) -> Value {
    json!({ "type": "response.created", "event_id": "e", "response": { "id": response, "status": "in_progress" } })
}

pub(super) fn done(response: &str, status: &str) -> Value {
    let usage = json!({ "input_tokens": 1, "output_tokens": 2, "total_tokens": 3 });
    json!({ "type": "response.done", "response": { "id": response, "status": status, "output": [], "usage": usage } })
}

/// Samples of µ-law, none of which is silence.
pub(super) fn audio(response: &str, item: &str, samples: usize) -> Value {
    json!({ "type": "response.output_audio.delta", "response_id": response, "item_id": item,
        "output_index": 0, "content_index": 0, "delta": STANDARD.encode(vec![1; samples]) })
}

pub(super) fn words(response: &str, item: &str, text: &str) -> Value {
    json!({ "type": "response.output_audio_transcript.delta", "response_id": response, "item_id": item, "delta": text })
}

pub(super) fn item_done(response: &str, item: &str) -> Value {
    json!({ "type": "response.output_item.done", "response_id": response,
        "item": { "id": item, "type": "message", "role": "assistant", "status": "completed" } })
}

pub(super) fn call(response: &str, call: &str) -> Value {
    json!({ "type": "response.output_item.done", "response_id": response, "item": {
        "id": format!("item-of-{call}"), "type": "function_call", "call_id": call, "name": "find",
        "arguments": "{}", "status": "completed" } })
}

pub(super) fn said(item: &str) -> Value {
    json!({ "type": "input_audio_buffer.committed", "item_id": item, "previous_item_id": null })
}
