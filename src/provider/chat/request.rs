//! What is asked, as the protocol has it.
//!
//! The types are `async-openai`'s, made from the published description, so that nothing is sent that is not in it.
//!
//! **Invariant:** equal requests have equal bodies; every one asks for one answer, in pieces, and for what it costs.

use async_openai::types::chat::{
    ChatCompletionMessageToolCall, ChatCompletionMessageToolCalls, ChatCompletionNamedToolChoice,
    ChatCompletionRequestAssistantMessage, ChatCompletionRequestMessage,
    ChatCompletionRequestMessageContentPartAudio, ChatCompletionRequestMessageContentPartFile,
    ChatCompletionRequestMessageContentPartImage, ChatCompletionRequestMessageContentPartText,
    ChatCompletionRequestSystemMessage, ChatCompletionRequestToolMessage,
    ChatCompletionRequestUserMessage, ChatCompletionRequestUserMessageContent,
    ChatCompletionRequestUserMessageContentPart as UserPart, ChatCompletionStreamOptions,
    ChatCompletionTool, ChatCompletionToolChoiceOption, ChatCompletionTools,
    CreateChatCompletionRequest, FileObject, FunctionCall, FunctionName, FunctionObject, ImageUrl,
    InputAudio, InputAudioFormat, ResponseFormat, ResponseFormatJsonSchema, StopConfiguration,
    ToolChoiceOptions,
};
use serde_json::Value;

use crate::think::chat::message::words;
use crate::think::chat::{
    Declaration, Message, ModelRequest, Params, Part, Role, ToolChoice, request,
};

/// What options may not change: an answer to anything else would not be read.
const RESERVED: [&str; 3] = ["messages", "stream", "n"];

/// How deep a schema is looked into.
const DEPTH_MAX: usize = 32;

/// The body. `model` and `defaults` are the configuration's, and what the request says goes before them;
/// `is_openai` says whether it goes to OpenAI itself.
///
/// # Errors
/// An option is set that may not be.
#[expect(deprecated, reason = "servers of one's own know the older names alone")]
pub(super) fn body(
    request: &ModelRequest,
    model: &str,
    defaults: &Params,
    is_openai: bool,
) -> Result<Value, String> {
    let params = &request.params;
    let max_tokens = params.max_tokens.or(defaults.max_tokens);
    let stop = if params.stop.is_empty() { &defaults.stop } else { &params.stop };
    let model = Some(request.model.model.as_str()).filter(|name| !name.is_empty()).unwrap_or(model);
    let body = CreateChatCompletionRequest {
        model: model.to_owned(),
        messages: request.messages.iter().flat_map(messages).collect(),
        tools: (!request.tools.is_empty()).then(|| request.tools.iter().map(tool).collect()),
        tool_choice: choice(request),
        temperature: params.temperature.or(defaults.temperature),
        top_p: params.top_p.or(defaults.top_p),
        // OpenAI's newer models refuse the older name; others do not know the newer one, and answer without end.
        max_completion_tokens: max_tokens.filter(|_| is_openai),
        max_tokens: max_tokens.filter(|_| !is_openai),
        // The protocol has 63 bits for it.
        seed: params.seed.or(defaults.seed).map(|seed| (seed & (u64::MAX >> 1)) as i64),
        stop: (!stop.is_empty()).then(|| StopConfiguration::StringArray(stop.clone())),
        response_format: request.format.as_ref().map(format),
        stream: Some(true),
        stream_options: Some(ChatCompletionStreamOptions {
            include_usage: Some(true),
            include_obfuscation: None,
        }),
        ..CreateChatCompletionRequest::default()
    };
    // By way of text, in which 0.7 stays 0.7.
    let text = serde_json::to_vec(&body).map_err(|error| error.to_string())?;
    let mut body = serde_json::from_slice::<Value>(&text).map_err(|error| error.to_string())?;
    let Some(fields) = body.as_object_mut() else { return Ok(body) };
    for (name, value) in &request.provider_options {
        if RESERVED.contains(&name.as_str()) {
            return Err(format!(
                "the option `{name}` cannot be set: an answer to it would not be read; remove it"
            ));
        }
        if value.0.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), value.0.clone());
        }
    }
    Ok(body)
}

/// The messages that one becomes: each result of a tool is one of its own, and one that says nothing is none.
fn messages(message: &Message) -> Vec<ChatCompletionRequestMessage> {
    match message.role {
        Role::System => {
            let content = message.words().into();
            let system = ChatCompletionRequestSystemMessage { content, name: None };
            vec![ChatCompletionRequestMessage::System(system)]
        }
        Role::User => {
            let user =
                ChatCompletionRequestUserMessage { content: user(&message.parts), name: None };
            vec![ChatCompletionRequestMessage::User(user)]
        }
        Role::Assistant => assistant(message).into_iter().collect(),
        Role::Tool => message.parts.iter().filter_map(result).collect(),
    }
}

fn user(parts: &[Part]) -> ChatCompletionRequestUserMessageContent {
    if !parts.iter().any(|part| matches!(part, Part::File { .. })) {
        return words(parts).into();
    }
    let parts = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(UserPart::Text(ChatCompletionRequestMessageContentPartText {
            text: text.clone(),
            prompt_cache_breakpoint: None,
        })),
        Part::File { media_type, data } => Some(file(media_type, data)),
        _ => None,
    });
    ChatCompletionRequestUserMessageContent::Array(parts.collect())
}

fn file(media_type: &str, data: &str) -> UserPart {
    let is_url = ["http://", "https://", "data:"].iter().any(|scheme| data.starts_with(scheme));
    let url = || {
        if is_url { data.to_owned() } else { format!("data:{media_type};base64,{data}") }
    };
    let sound = match media_type {
        "audio/wav" | "audio/x-wav" | "audio/wave" => Some(InputAudioFormat::Wav),
        "audio/mpeg" | "audio/mp3" => Some(InputAudioFormat::Mp3),
        _ => None,
    };
    match sound {
        Some(format) if !is_url => {
            UserPart::InputAudio(ChatCompletionRequestMessageContentPartAudio {
                input_audio: InputAudio { data: data.to_owned(), format },
                prompt_cache_breakpoint: None,
            })
        }
        _ if media_type.starts_with("image/") => {
            UserPart::ImageUrl(ChatCompletionRequestMessageContentPartImage {
                image_url: ImageUrl { url: url(), detail: None },
                prompt_cache_breakpoint: None,
            })
        }
        _ => UserPart::File(ChatCompletionRequestMessageContentPartFile {
            file: FileObject {
                file_data: Some(url()),
                file_id: None,
                // It is asked for along with data.
                filename: Some("file".to_owned()),
            },
            prompt_cache_breakpoint: None,
        }),
    }
}

/// The longest name of a function, as OpenAI has it.
const NAME_MAX: usize = 64;

/// A name that servers take: letters, digits, `_` and `-`. A model may have made up another.
fn legal(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let name: String = name.chars().take(NAME_MAX).map(|c| if fits(c) { c } else { '_' }).collect();
    if name.is_empty() { "_".to_owned() } else { name }
}

/// The longest id of a call, as OpenAI has it.
const ID_MAX: usize = 40;

/// An id that servers take: another server's may be too long, and stands for the same call all the same.
fn id_of(id: &str) -> String {
    if id.len() <= ID_MAX {
        return id.to_owned();
    }
    format!("call_{:016x}", xxhash_rust::xxh3::xxh3_64(id.as_bytes()))
}

/// Arguments that servers can read; what is wrong with others stands in the result.
fn arguments(call: &crate::think::chat::Call) -> String {
    if call.malformed.is_some() { "{}".to_owned() } else { call.text() }
}

/// What the model said and called. What it thought to itself, and what its provider ran, is not told again.
#[expect(deprecated, reason = "every field of the struct has to be named")]
fn assistant(message: &Message) -> Option<ChatCompletionRequestMessage> {
    let calls = message.calls().filter(|call| !call.provider_executed).map(|call| {
        ChatCompletionMessageToolCalls::Function(ChatCompletionMessageToolCall {
            id: id_of(&call.id),
            function: FunctionCall { name: legal(&call.name), arguments: arguments(call) },
        })
    });
    let calls: Vec<_> = calls.collect();
    let text = message.words();
    if calls.is_empty() && text.is_empty() {
        return None;
    }
    Some(ChatCompletionRequestMessage::Assistant(ChatCompletionRequestAssistantMessage {
        content: (!text.is_empty()).then(|| text.into()),
        refusal: None,
        name: None,
        audio: None,
        tool_calls: (!calls.is_empty()).then_some(calls),
        function_call: None,
    }))
}

fn result(part: &Part) -> Option<ChatCompletionRequestMessage> {
    let Part::ToolResult(result) = part else { return None };
    if result.provider_executed {
        return None;
    }
    Some(ChatCompletionRequestMessage::Tool(ChatCompletionRequestToolMessage {
        content: result.output.text().into(),
        tool_call_id: id_of(&result.call),
    }))
}

fn tool(tool: &Declaration) -> ChatCompletionTools {
    let parameters = match &tool.parameters.0 {
        // Several servers want an object, even of nothing.
        Value::Null => serde_json::json!({ "type": "object", "properties": {} }),
        parameters => parameters.clone(),
    };
    ChatCompletionTools::Function(ChatCompletionTool {
        function: FunctionObject {
            name: tool.name.clone(),
            description: Some(tool.description.clone()).filter(|text| !text.is_empty()),
            parameters: Some(parameters),
            strict: None,
        },
    })
}

/// As the model likes is what not saying it means; some servers refuse the word.
fn choice(request: &ModelRequest) -> Option<ChatCompletionToolChoiceOption> {
    if request.tools.is_empty() {
        return None;
    }
    match &request.tool_choice {
        ToolChoice::Auto => None,
        ToolChoice::Required => {
            Some(ChatCompletionToolChoiceOption::Mode(ToolChoiceOptions::Required))
        }
        ToolChoice::None => Some(ChatCompletionToolChoiceOption::Mode(ToolChoiceOptions::None)),
        ToolChoice::Specific { tool_name } => {
            Some(ChatCompletionToolChoiceOption::Function(ChatCompletionNamedToolChoice {
                function: FunctionName { name: tool_name.clone() },
            }))
        }
    }
}

fn format(format: &request::ResponseFormat) -> ResponseFormat {
    ResponseFormat::JsonSchema {
        json_schema: ResponseFormatJsonSchema {
            description: None,
            name: format.name.clone(),
            schema: format.schema.0.clone(),
            strict: is_closed(&format.schema.0, 0).then_some(true),
        },
    }
}

/// Whether a schema is one that OpenAI holds a model to (`strict`): each object says that it has no other
/// properties, and requires all it has. Any other would be refused with it.
fn is_closed(schema: &Value, depth: usize) -> bool {
    if depth > DEPTH_MAX {
        return false;
    }
    match schema {
        Value::Object(fields) => {
            let properties = fields.get("properties").and_then(Value::as_object);
            let required = fields.get("required").and_then(Value::as_array);
            let requires = |name: &String| {
                required.is_some_and(|all| all.iter().any(|known| known.as_str() == Some(name)))
            };
            let is_object = properties.is_some() || fields.get("type") == Some(&"object".into());
            let fits = !is_object
                || (fields.get("additionalProperties") == Some(&false.into())
                    && properties.is_none_or(|all| all.keys().all(requires)));
            fits && fields.values().all(|value| is_closed(value, depth + 1))
        }
        Value::Array(values) => values.iter().all(|value| is_closed(value, depth + 1)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::think::chat::{Call, CallResult, ModelRef, ToolOutput};
    use crate::tool::Json;

    fn made(request: &ModelRequest) -> Value {
        body(request, "small", &Params::default(), false).unwrap()
    }

    #[test]
    fn a_conversation_with_tools_is_told_as_the_protocol_has_it() {
        let mut said = Message::assistant("One moment.");
        said.parts.push(Part::Reasoning("hm".into()));
        said.parts.push(Part::ToolCall(Call::new("1", "find", json!({ "x": 1 }))));
        said.parts.push(Part::ToolCall(Call::written("2", "find", "{\"x\": ")));
        let result = |call: &str, output| {
            Message::result(CallResult {
                call: call.into(),
                name: "find".into(),
                output,
                provider_executed: false,
            })
        };
        let thought = Message { role: Role::Assistant, parts: vec![Part::Reasoning("x".into())] };
        let request = ModelRequest {
            messages: vec![
                Message::system("Be brief."),
                Message::user("Find it."),
                said,
                result("1", ToolOutput::Json(Json(json!([1])))),
                result("2", ToolOutput::failed("no")),
                thought,
            ],
            tools: vec![Declaration {
                name: "find".into(),
                description: "Finds".into(),
                parameters: Json(json!({ "type": "object" })),
            }],
            tool_choice: ToolChoice::Specific { tool_name: "find".into() },
            ..ModelRequest::default()
        };
        assert_eq!(
            made(&request),
            json!({
                "model": "small",
                "messages": [
                    { "role": "system", "content": "Be brief." },
                    { "role": "user", "content": "Find it." },
                    { "role": "assistant", "content": "One moment.", "tool_calls": [
                        { "id": "1", "type": "function", "function": { "name": "find", "arguments": "{\"x\":1}" } },
                        { "id": "2", "type": "function", "function": { "name": "find", "arguments": "{}" } },
                    ] },
                    { "role": "tool", "tool_call_id": "1", "content": "[1]" },
                    { "role": "tool", "tool_call_id": "2", "content": "<tool error: no>" },
                ],
                "tools": [{ "type": "function", "function": {
                    "name": "find", "description": "Finds", "parameters": { "type": "object" },
                } }],
                "tool_choice": { "type": "function", "function": { "name": "find" } },
                "stream": true,
                "stream_options": { "include_usage": true },
            })
        );
    }

    #[test]
    fn names_and_ids_that_servers_refuse_are_put_into_others() {
        let long = "x".repeat(60);
        let mut said = Message::assistant("");
        said.parts.push(Part::ToolCall(Call::new(&*long, "shop.find it", json!({}))));
        let result = Message::result(CallResult {
            call: long.clone(),
            name: "shop.find it".into(),
            output: ToolOutput::Text("no such tool".into()),
            provider_executed: false,
        });
        let request = ModelRequest { messages: vec![said, result], ..ModelRequest::default() };
        let messages = made(&request)["messages"].take();
        let call = &messages[0]["tool_calls"][0];
        assert_eq!(call["function"]["name"], "shop_find_it");
        assert!(call["id"].as_str().is_some_and(|id| id.len() <= ID_MAX), "{call}");
        assert_eq!(messages[1]["tool_call_id"], call["id"]);
    }

    #[test]
    fn what_the_request_says_goes_before_the_configuration() {
        let params =
            Params { temperature: Some(0.7), stop: vec!["END".into()], ..Params::default() };
        let defaults = Params {
            temperature: Some(0.2),
            max_tokens: Some(50),
            top_p: Some(0.9),
            seed: Some(u64::MAX),
            ..Params::default()
        };
        let model = ModelRef { provider: "openai".into(), model: "large".into() };
        let request = ModelRequest { params, model, ..ModelRequest::default() };
        let body = |is_openai| body(&request, "small", &defaults, is_openai).unwrap();
        let (own, openai) = (body(false), body(true));
        assert_eq!((&own["model"], &own["stop"]), (&json!("large"), &json!(["END"])));
        assert_eq!((&own["temperature"], &own["top_p"]), (&json!(0.7), &json!(0.9)));
        assert_eq!(own["seed"], json!(i64::MAX));
        assert_eq!((&own["max_tokens"], &own["max_completion_tokens"]), (&json!(50), &Value::Null));
        assert_eq!(
            (&openai["max_tokens"], &openai["max_completion_tokens"]),
            (&Value::Null, &json!(50))
        );
    }

    #[test]
    fn options_change_the_body_but_not_how_it_is_answered() {
        let with = |name: &str, value: Value| {
            let mut request = ModelRequest::default();
            request.provider_options.insert(name.into(), Json(value));
            body(&request, "small", &Params::default(), false)
        };
        assert_eq!(with("top_k", json!(4)).unwrap()["top_k"], 4);
        assert!(with("stream_options", Value::Null).unwrap().get("stream_options").is_none());
        for name in RESERVED {
            assert!(with(name, json!(false)).unwrap_err().contains(name));
        }
    }

    #[test]
    fn files_go_as_pictures_sounds_or_data() {
        let of =
            |media_type: &str, data: &str| serde_json::to_value(file(media_type, data)).unwrap();
        assert_eq!(of("image/png", "AAAA")["image_url"]["url"], "data:image/png;base64,AAAA");
        assert_eq!(of("image/png", "https://x/y")["image_url"]["url"], "https://x/y");
        assert_eq!(
            of("audio/wav", "AAAA")["input_audio"],
            json!({ "data": "AAAA", "format": "wav" })
        );
        assert_eq!(
            of("application/pdf", "AA")["file"]["file_data"],
            "data:application/pdf;base64,AA"
        );
    }

    #[test]
    fn a_schema_is_strict_only_if_it_can_be() {
        let closed = json!({ "type": "object", "properties": { "a": { "type": "string" } },
            "required": ["a"], "additionalProperties": false });
        assert!(is_closed(&closed, 0));
        for (key, value) in [("additionalProperties", json!(true)), ("required", json!([]))] {
            let mut open = closed.clone();
            open[key] = value;
            assert!(!is_closed(&open, 0), "{key}");
            assert!(!is_closed(&json!({ "type": "array", "items": open }), 0), "{key}");
        }
        let mut deep = json!({});
        for _ in 0..100 {
            deep = json!({ "items": deep });
        }
        assert!(!is_closed(&deep, 0));
    }
}
