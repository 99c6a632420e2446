//! Events of an answer, as pieces of it.
//!
//! The structs are not those of `async-openai`: there `id`, `created`, `object`, the index of a call and all counts
//! are required, reasons to end are a closed list, and there is no `reasoning_content`. Servers of one's own (vLLM,
//! llama.cpp, Ollama and what stands before them) leave out the former and have others of the latter.
//!
//! **Invariant:** nothing but JSON that is no chunk at all is an error; an unknown field is no concern of ours.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::provider::trouble;
use crate::think::chat::{ErrorKind, FinishReason, ModelDelta, Usage};

/// Reads the events of one answer.
#[derive(Debug, Default)]
pub(super) struct Reader {
    started: bool,
    begun: bool,
    finished: bool,
    done: bool,
    /// The number that a call gets whose server gives none, and whether there was one.
    call: Option<u32>,
    usage: Option<Usage>,
}

#[derive(Debug, Deserialize)]
struct Chunk {
    #[serde(default, deserialize_with = "lenient")]
    id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    model: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    choices: Vec<Choice>,
    #[serde(default, deserialize_with = "lenient")]
    usage: Option<Counts>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default, deserialize_with = "lenient")]
    index: Option<u32>,
    #[serde(default, deserialize_with = "nullable")]
    delta: Delta,
    /// Of an answer in one piece.
    message: Option<Delta>,
    #[serde(default, deserialize_with = "lenient")]
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Delta {
    content: Option<Value>,
    /// DeepSeek's name, which vLLM and llama.cpp took over.
    #[serde(default, deserialize_with = "lenient")]
    reasoning_content: Option<String>,
    /// OpenRouter's, Ollama's and newer vLLM's.
    #[serde(default, deserialize_with = "lenient")]
    reasoning: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    refusal: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    tool_calls: Vec<Fragment>,
}

#[derive(Debug, Deserialize)]
struct Fragment {
    #[serde(default, deserialize_with = "lenient")]
    index: Option<u32>,
    #[serde(default, deserialize_with = "lenient")]
    id: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    function: Function,
}

#[derive(Debug, Default, Deserialize)]
struct Function {
    #[serde(default, deserialize_with = "lenient")]
    name: Option<String>,
    /// Text, or with some servers the object itself.
    arguments: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Counts {
    #[serde(default, deserialize_with = "lenient")]
    prompt_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    completion_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    total_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    prompt_tokens_details: Option<Cached>,
    #[serde(default, deserialize_with = "lenient")]
    completion_tokens_details: Option<Unread>,
}

#[derive(Debug, Deserialize)]
struct Cached {
    #[serde(default, deserialize_with = "lenient")]
    cached_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Unread {
    #[serde(default, deserialize_with = "lenient")]
    reasoning_tokens: Option<u64>,
}

/// What is there and of another form is not there.
fn lenient<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).ok())
}

/// `null` is nothing.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        Self {
            prompt: counts.prompt_tokens,
            completion: counts.completion_tokens,
            total: counts.total_tokens,
            cached: counts.prompt_tokens_details.and_then(|details| details.cached_tokens),
            reasoning: counts
                .completion_tokens_details
                .and_then(|details| details.reasoning_tokens),
        }
    }
}

impl Reader {
    /// Whether anything has been said.
    pub(super) const fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether the answer has told why it ends.
    pub(super) const fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether nothing more will come.
    pub(super) const fn is_done(&self) -> bool {
        self.done
    }

    /// The pieces in an event.
    ///
    /// # Errors
    /// It is an error, or no chunk; the words are the server's own.
    pub(super) fn read(&mut self, event: &str) -> Result<Vec<ModelDelta>, (ErrorKind, String)> {
        let event = event.trim();
        let mut deltas = Vec::new();
        if event == "[DONE]" {
            self.done = true;
            if !self.finished {
                // The server said that this is the end, and not why.
                self.finish(None, &mut deltas);
            }
            return Ok(deltas);
        }
        if event.is_empty() {
            return Ok(deltas);
        }
        let value = serde_json::from_str::<Value>(event).map_err(|error| {
            if error.is_eof() {
                (ErrorKind::CutOff, "the answer ended in the middle of a piece".to_owned())
            } else {
                (ErrorKind::Malformed, format!("a piece of the answer is not JSON: {event}"))
            }
        })?;
        let is_error = value.get("error").is_some_and(|error| !error.is_null())
            || value.get("choices").is_none();
        if is_error && let Some((message, codes)) = trouble::told(&value) {
            return Err((trouble::kind_of(&codes), message));
        }
        if !value.is_object() {
            // A list would be taken for the fields of a chunk, in order.
            let what = format!("a piece of the answer is not understood: {event}");
            return Err((ErrorKind::Malformed, what));
        }
        let chunk = Chunk::deserialize(&value).map_err(|error| {
            (ErrorKind::Malformed, format!("a piece of the answer is not understood: {error}"))
        })?;
        self.chunk(chunk, &mut deltas);
        Ok(deltas)
    }

    fn chunk(&mut self, chunk: Chunk, deltas: &mut Vec<ModelDelta>) {
        let full = |text: Option<String>| text.filter(|text| !text.is_empty());
        let (id, model) = (full(chunk.id), full(chunk.model));
        if !self.started && (id.is_some() || model.is_some()) {
            self.started = true;
            deltas.push(ModelDelta::Started { id, model });
        }
        for choice in chunk.choices {
            // Only one was asked for.
            if choice.index.unwrap_or(0) != 0 {
                continue;
            }
            let is_whole = choice.message.is_some();
            self.delta(choice.message.unwrap_or(choice.delta), deltas);
            match choice.finish_reason.filter(|reason| !reason.is_empty()) {
                Some(reason) if !self.finished => self.finish(Some(reason), deltas),
                None if is_whole && !self.finished => self.finish(None, deltas),
                _ => {}
            }
        }
        // Some servers tell it with each piece.
        if let Some(usage) = chunk.usage.map(Usage::from)
            && usage != Usage::default()
            && self.usage != Some(usage)
        {
            self.usage = Some(usage);
            deltas.push(ModelDelta::Usage(usage));
        }
    }

    fn delta(&mut self, delta: Delta, deltas: &mut Vec<ModelDelta>) {
        let before = deltas.len();
        let reasoning = delta.reasoning_content.or(delta.reasoning);
        deltas.extend(reasoning.filter(|text| !text.is_empty()).map(ModelDelta::Reasoning));
        // A refusal is words, too: the user is to hear them.
        for text in [words(delta.content), delta.refusal.unwrap_or_default()] {
            if !text.is_empty() {
                deltas.push(ModelDelta::Text(text));
            }
        }
        deltas.extend(delta.tool_calls.into_iter().map(|fragment| self.call(fragment)));
        self.begun |= deltas.len() > before;
    }

    fn call(&mut self, fragment: Fragment) -> ModelDelta {
        let Fragment { index, id, function } = fragment;
        let name = function.name.unwrap_or_default();
        // Without a number, a name begins the next call.
        let index = index.unwrap_or_else(|| match self.call {
            Some(last) if name.is_empty() => last,
            Some(last) => last.saturating_add(1),
            None => 0,
        });
        self.call = Some(index);
        let arguments = match function.arguments {
            Some(Value::String(text)) => text,
            Some(Value::Null) | None => String::new(),
            Some(value) => value.to_string(),
        };
        let id = id.unwrap_or_default();
        ModelDelta::ToolCall { index, id, name, arguments, provider_executed: false }
    }

    fn finish(&mut self, raw: Option<String>, deltas: &mut Vec<ModelDelta>) {
        let reason = match raw.as_deref() {
            // Several servers end so after calls, too.
            Some("stop") | None if self.call.is_some() => FinishReason::ToolCalls,
            Some("stop") | None => FinishReason::Stop,
            Some("length" | "max_tokens") => FinishReason::Length,
            Some("tool_calls" | "function_call") => FinishReason::ToolCalls,
            Some("content_filter") => FinishReason::ContentFilter,
            Some(_) => FinishReason::Other,
        };
        (self.finished, self.begun) = (true, true);
        deltas.push(ModelDelta::Finished { reason, raw });
    }
}

/// Words, or parts that are words.
fn words(content: Option<Value>) -> String {
    match content {
        Some(Value::String(text)) => text,
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(chunks: &[Value]) -> Vec<ModelDelta> {
        let mut reader = Reader::default();
        chunks.iter().flat_map(|chunk| reader.read(&chunk.to_string()).unwrap()).collect()
    }

    fn saying(delta: &Value) -> Value {
        json!({ "choices": [{ "delta": delta }] })
    }

    fn call(index: u32, id: &str, name: &str, arguments: &str) -> ModelDelta {
        let (id, name, arguments) = (id.to_owned(), name.to_owned(), arguments.to_owned());
        ModelDelta::ToolCall { index, id, name, arguments, provider_executed: false }
    }

    #[test]
    fn what_servers_leave_out_or_have_as_null_does_no_harm() {
        let deltas = read(&[
            json!({ "choices": null }),
            json!({ "id": 7, "choices": [{ "delta": null }] }),
            json!({ "id": "a", "choices": [{ "index": 0, "delta": { "content": null, "tool_calls": null } }] }),
            json!({ "id": "a", "choices": [{ "index": 1, "delta": { "content": "another" } }] }),
            saying(&json!({ "content": [{ "type": "text", "text": "Hello" }], "what": {} })),
            json!({ "choices": [{ "finish_reason": "eos" }], "usage": { "prompt_tokens": "3", "total_tokens": 5 } }),
        ]);
        assert_eq!(
            deltas,
            [
                ModelDelta::Started { id: Some("a".into()), model: None },
                ModelDelta::Text("Hello".into()),
                ModelDelta::Finished { reason: FinishReason::Other, raw: Some("eos".into()) },
                ModelDelta::Usage(Usage { total: Some(5), ..Usage::default() }),
            ]
        );
    }

    #[test]
    fn thoughts_have_two_names_and_a_refusal_is_words() {
        let deltas = read(&[
            saying(&json!({ "reasoning_content": "Hm." })),
            saying(&json!({ "reasoning": " So.", "content": "" })),
            saying(&json!({ "refusal": "No." })),
        ]);
        let [a, b, c] = ["Hm.", " So.", "No."].map(str::to_owned);
        let expected = [ModelDelta::Reasoning(a), ModelDelta::Reasoning(b), ModelDelta::Text(c)];
        assert_eq!(deltas, expected);
    }

    #[test]
    fn calls_without_a_number_are_told_apart_by_their_names() {
        let fragment = |name: Option<&str>, arguments: &Value| {
            saying(
                &json!({ "tool_calls": [{ "function": { "name": name, "arguments": arguments } }] }),
            )
        };
        let deltas = read(&[
            fragment(Some("a"), &json!({ "x": 1 })),
            fragment(Some("b"), &json!("{\"y\"")),
            fragment(None, &json!(": 2}")),
        ]);
        let expected =
            [call(0, "", "a", "{\"x\":1}"), call(1, "", "b", "{\"y\""), call(1, "", "", ": 2}")];
        assert_eq!(deltas, expected);
    }

    #[test]
    fn a_whole_answer_is_read_as_pieces_are() {
        let calls = json!([{ "id": "1", "type": "function", "function": { "name": "a", "arguments": "{}" } }]);
        let message = json!({ "role": "assistant", "content": "Yes.", "tool_calls": calls });
        let whole =
            json!({ "model": "m", "choices": [{ "message": message, "finish_reason": "stop" }] });
        let deltas = read(&[whole]);
        assert_eq!(
            deltas,
            [
                ModelDelta::Started { id: None, model: Some("m".into()) },
                ModelDelta::Text("Yes.".into()),
                call(0, "1", "a", "{}"),
                ModelDelta::Finished { reason: FinishReason::ToolCalls, raw: Some("stop".into()) },
            ]
        );
    }

    #[test]
    fn an_error_in_the_middle_has_a_kind_and_the_servers_words() {
        let read = |event: &str| Reader::default().read(event).unwrap_err();
        for (event, kind, words) in [
            (
                r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#,
                ErrorKind::Limited,
                "slow down",
            ),
            (r#"{"error":{"message":"bad","code":400}}"#, ErrorKind::Refused, "bad"),
            (
                r#"{"error":{"message":"out of memory","type":"server_error"}}"#,
                ErrorKind::Provider,
                "out of memory",
            ),
            (r#"{"error":"no"}"#, ErrorKind::Provider, "no"),
            (r#"{"choices":[],"error":{"code":502}}"#, ErrorKind::Provider, "502"),
            (r#"{"object":"error","message":"gone","code":404}"#, ErrorKind::Refused, "gone"),
            ("<html>", ErrorKind::Malformed, "<html>"),
            (r#"{"choices":{}}"#, ErrorKind::Malformed, "not understood"),
            ("[1]", ErrorKind::Malformed, "not understood"),
            (r#"{"choices":[{"del"#, ErrorKind::CutOff, "in the middle"),
        ] {
            let (found, message) = read(event);
            assert_eq!(found, kind, "{event}: {message}");
            assert!(message.contains(words), "{event}: {message}");
        }
    }

    #[test]
    fn done_without_a_reason_is_an_end_all_the_same() {
        let mut reader = Reader::default();
        reader.read(&saying(&json!({ "content": "Hi" })).to_string()).unwrap();
        let finished = ModelDelta::Finished { reason: FinishReason::Stop, raw: None };
        assert_eq!(reader.read("[DONE]").unwrap(), [finished]);
        assert!(reader.is_done() && reader.is_finished());
    }
}
