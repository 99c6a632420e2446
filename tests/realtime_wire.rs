//! OpenAI's Realtime protocol beside the types that async-openai has made from its published
//! description: what we write they read, and what they write we read.

use antiphon::think::chat::{Declaration, ToolChoice, ToolOutput};
use antiphon::think::native::NativeEvent;
use antiphon::think::native::realtime::client::{ClientEvent, NewItem};
use antiphon::think::native::realtime::server::{self, ServerEvent};
use antiphon::think::native::realtime::settings::{Settings, Transcription, Turns};
use antiphon::think::native::realtime::{Action, Realtime};
use antiphon::think::native::wire::Format;
use antiphon::tool::Json;
use async_openai::types::realtime as theirs;
use async_openai::types::realtime::{RealtimeClientEvent, RealtimeServerEvent};
use serde_json::{Value, json};

/// What we write, as they read it and write it again.
fn written(event: &ClientEvent) -> (RealtimeClientEvent, Value) {
    let text = event.text("e-1");
    let read: RealtimeClientEvent =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let again = serde_json::to_value(&read).unwrap();
    assert_eq!(again["event_id"], "e-1", "{text}");
    (read, again)
}

/// What they write, as we read it.
fn read(event: &RealtimeServerEvent) -> ServerEvent {
    let text = serde_json::to_string(event).unwrap();
    server::read(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn all_of_it(turns: Turns, format: Format) -> Settings {
    Settings {
        instructions: "Be brief.".into(),
        turns,
        format,
        transcription: Some(Transcription { model: "t".into(), language: Some("de".into()) }),
        tools: vec![Declaration {
            name: "find".into(),
            description: "Finds.".into(),
            parameters: Json(json!({ "type": "object" })),
        }],
        tool_choice: ToolChoice::Specific { tool_name: "find".into() },
        max_tokens: Some(500),
        ..Settings::default()
    }
}

#[test]
fn a_session_is_read_as_it_was_meant() {
    let semantic = Turns::Semantic { eagerness: "low".into(), acts: true };
    for (turns, format, kind) in [
        (Turns::default(), Format::Pcm16, "audio/pcm"),
        (semantic, Format::MuLaw, "audio/pcmu"),
        (Turns::Ours, Format::ALaw, "audio/pcma"),
    ] {
        let settings = all_of_it(turns.clone(), format);
        let (_, again) = written(&ClientEvent::Update(Box::new(settings.clone())));
        let (session, meant) = (&again["session"], settings.json());
        for name in ["type", "instructions", "output_modalities", "tools", "max_output_tokens"] {
            assert_eq!(session[name], meant[name], "{name}");
        }
        assert_eq!(session["tool_choice"]["name"], "find");
        let (input, output) = (&session["audio"]["input"], &session["audio"]["output"]);
        assert_eq!(
            (&input["format"]["type"], &output["format"]["type"]),
            (&json!(kind), &json!(kind))
        );
        assert_eq!(input["turn_detection"], meant["audio"]["input"]["turn_detection"]);
        assert_eq!(input["transcription"]["language"], "de");
        assert_eq!(output["voice"], "marin");
    }
}

#[test]
fn everything_that_we_write_is_an_event_of_theirs() {
    let user = NewItem::User("hello".into());
    let call = NewItem::Call { call: "c".into(), name: "find".into(), arguments: "{}".into() };
    let result = NewItem::Result { call: "c".into(), output: "7".into() };
    for (event, kind) in [
        (ClientEvent::Append(vec![1, 2]), "input_audio_buffer.append"),
        (ClientEvent::Commit, "input_audio_buffer.commit"),
        (ClientEvent::Clear, "input_audio_buffer.clear"),
        (ClientEvent::Create(user), "conversation.item.create"),
        (ClientEvent::Create(NewItem::Assistant("yes".into())), "conversation.item.create"),
        (ClientEvent::Create(call), "conversation.item.create"),
        (ClientEvent::Create(result), "conversation.item.create"),
        (ClientEvent::Truncate { item: "i".into(), audio_end_ms: 7 }, "conversation.item.truncate"),
        (ClientEvent::Delete { item: "i".into() }, "conversation.item.delete"),
        (ClientEvent::Respond { instructions: None }, "response.create"),
        (ClientEvent::Cancel { response: Some("r".into()) }, "response.cancel"),
        (ClientEvent::Cancel { response: None }, "response.cancel"),
    ] {
        let (_, again) = written(&event);
        assert_eq!(again["type"], kind);
        let ours: Value = serde_json::from_str(&event.text("e-1")).unwrap();
        // Nothing of ours is lost in their reading.
        let mut missing = Vec::new();
        missing_in("", &ours, &again, &mut missing);
        assert_eq!(missing, [""; 0], "{again}");
    }
}

/// The paths of what is in one value and not in another.
fn missing_in(path: &str, ours: &Value, theirs: &Value, missing: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (name, value) in ours {
                let none = Value::Null;
                missing_in(
                    &format!("{path}.{name}"),
                    value,
                    theirs.get(name).unwrap_or(&none),
                    missing,
                );
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                missing_in(&format!("{path}[{at}]"), ours, theirs, missing);
            }
        }
        (ours, theirs) if ours == theirs => {}
        _ => missing.push(path.to_owned()),
    }
}

fn response(status: theirs::RealtimeResponseStatus) -> theirs::RealtimeResponse {
    let call = theirs::RealtimeConversationItemFunctionCall {
        arguments: "{\"x\":1}".into(),
        name: "find".into(),
        call_id: "c".into(),
        id: Some("i".into()),
        object: None,
        status: "completed".into(),
    };
    theirs::RealtimeResponse {
        audio: None,
        conversation_id: None,
        id: "r".into(),
        max_output_tokens: theirs::MaxOutputTokens::Inf,
        metadata: None,
        object: "realtime.response".into(),
        output: vec![theirs::RealtimeConversationItem::FunctionCall(call)],
        output_modalities: vec!["audio".into()],
        status,
        status_details: None,
        usage: Some(theirs::RealtimeResponseUsage {
            input_tokens: 3,
            output_tokens: 4,
            total_tokens: 7,
            ..Default::default()
        }),
    }
}

#[test]
fn what_they_write_is_read_as_it_was_meant() {
    let (response_id, item_id) = ("r".to_owned(), "i".to_owned());
    let audio = theirs::RealtimeServerEventResponseAudioDelta {
        response_id: response_id.clone(),
        item_id: item_id.clone(),
        delta: "AQID".into(),
        ..Default::default()
    };
    assert_eq!(
        read(&RealtimeServerEvent::ResponseOutputAudioDelta(audio)),
        ServerEvent::Audio { response: "r".into(), item: "i".into(), bytes: vec![1, 2, 3] }
    );
    let words = theirs::RealtimeServerEventResponseAudioTranscriptDelta {
        response_id: response_id.clone(),
        item_id: item_id.clone(),
        delta: "Hi".into(),
        ..Default::default()
    };
    assert_eq!(
        read(&RealtimeServerEvent::ResponseOutputAudioTranscriptDelta(words)),
        ServerEvent::Words { response: "r".into(), item: "i".into(), text: "Hi".into() }
    );
    let started = theirs::RealtimeServerEventInputAudioBufferSpeechStarted {
        audio_start_ms: 40,
        item_id: item_id.clone(),
        ..Default::default()
    };
    assert_eq!(
        read(&RealtimeServerEvent::InputAudioBufferSpeechStarted(started)),
        ServerEvent::SpeechStarted { at_ms: Some(40) }
    );
    let committed =
        theirs::RealtimeServerEventInputAudioBufferCommitted { item_id, ..Default::default() };
    assert_eq!(
        read(&RealtimeServerEvent::InputAudioBufferCommitted(committed)),
        ServerEvent::Committed { item: "i".into() }
    );
    let error = theirs::RealtimeServerEventError {
        event_id: "theirs".into(),
        error: theirs::RealtimeAPIError {
            r#type: "invalid_request_error".into(),
            code: Some("conversation_already_has_active_response".into()),
            message: "no".into(),
            param: None,
            event_id: Some("ap-7".into()),
        },
    };
    let ServerEvent::Error(error) = read(&RealtimeServerEvent::Error(error)) else { panic!() };
    assert_eq!(
        (error.event.as_deref(), &*error.code),
        (Some("ap-7"), "conversation_already_has_active_response")
    );
    let done = theirs::RealtimeServerEventResponseDone {
        event_id: "e".into(),
        response: response(theirs::RealtimeResponseStatus::Completed),
    };
    let ServerEvent::ResponseDone { status, usage, calls, .. } =
        read(&RealtimeServerEvent::ResponseDone(done))
    else {
        panic!()
    };
    assert_eq!((&*status, usage.unwrap().total, &*calls[0].call), ("completed", Some(7), "c"));
    let arguments = theirs::RealtimeServerEventResponseFunctionCallArgumentsDone {
        response_id,
        call_id: "c".into(),
        name: "find".into(),
        arguments: "{}".into(),
        ..Default::default()
    };
    let ServerEvent::Arguments { item, .. } =
        read(&RealtimeServerEvent::ResponseFunctionCallArgumentsDone(arguments))
    else {
        panic!()
    };
    assert!(item.is_call());
}

#[test]
fn no_event_of_theirs_is_unknown_but_those_of_others_tools_and_telephones() {
    let of = |kind: &str| {
        let response =
            serde_json::to_value(response(theirs::RealtimeResponseStatus::Cancelled)).unwrap();
        let item = json!({ "type": "message", "role": "user", "id": "i", "content": [] });
        json!({
            "type": kind, "event_id": "e", "response_id": "r", "item_id": "i", "call_id": "c", "name": "find",
            "delta": "AQID", "text": "t", "transcript": "t", "arguments": "{}", "output_index": 0, "content_index": 0,
            "audio_start_ms": 1, "audio_end_ms": 2, "response": response, "item": item, "rate_limits": [],
            "part": { "type": "text", "text": "t" }, "error": { "type": "x", "message": "m" },
            "session": { "type": "realtime" }, "usage": { "type": "duration", "seconds": 1.0 },
            "id": "x", "speaker": "s", "start": 0.0, "end": 1.0,
        })
    };
    let known = "error session.created session.updated conversation.item.added conversation.item.done
        conversation.item.retrieved conversation.item.input_audio_transcription.completed
        conversation.item.input_audio_transcription.delta conversation.item.input_audio_transcription.failed
        conversation.item.truncated conversation.item.deleted input_audio_buffer.committed input_audio_buffer.cleared
        input_audio_buffer.speech_started input_audio_buffer.speech_stopped input_audio_buffer.timeout_triggered
        response.created response.done response.output_item.added response.output_item.done
        response.content_part.added response.content_part.done response.output_text.delta response.output_text.done
        response.output_audio_transcript.delta response.output_audio_transcript.done response.output_audio.delta
        response.output_audio.done response.function_call_arguments.delta response.function_call_arguments.done
        rate_limits.updated";
    for kind in known.split_whitespace() {
        let event: RealtimeServerEvent = serde_json::from_value(of(kind))
            .unwrap_or_else(|error| panic!("{kind} is no event of theirs: {error}"));
        assert_ne!(read(&event), ServerEvent::Unknown, "{kind}");
    }
    for kind in ["mcp_list_tools.completed", "output_audio_buffer.started"] {
        let event: RealtimeServerEvent = serde_json::from_value(of(kind)).unwrap();
        assert_eq!(read(&event), ServerEvent::Unknown, "{kind}");
    }
}

#[test]
fn a_conversation_in_their_types_from_beginning_to_end() {
    let mut realtime = Realtime::new(all_of_it(Turns::default(), Format::Pcm16));
    realtime.start();
    assert_eq!(realtime.poll(), Some(Action::Connect));
    realtime.connected();
    let created = theirs::RealtimeServerEventResponseCreated {
        event_id: "e".into(),
        response: response(theirs::RealtimeResponseStatus::InProgress),
    };
    let done = theirs::RealtimeServerEventResponseDone {
        event_id: "e".into(),
        response: response(theirs::RealtimeResponseStatus::Completed),
    };
    for event in
        [RealtimeServerEvent::ResponseCreated(created), RealtimeServerEvent::ResponseDone(done)]
    {
        realtime.received(&serde_json::to_string(&event).unwrap());
    }
    let events: Vec<NativeEvent> = std::iter::from_fn(|| realtime.poll_event()).collect();
    let call = events.iter().find_map(|event| match event {
        NativeEvent::Call(call) => Some(call),
        _ => None,
    });
    assert_eq!(call.unwrap().arguments.0, json!({ "x": 1 }));
    assert!(realtime.tool_result("c", &ToolOutput::Text("found".into())));
    let mut kinds = Vec::new();
    while let Some(action) = realtime.poll() {
        let Action::Send { event_id, event } = action else { panic!("{action:?}") };
        let event: RealtimeClientEvent = serde_json::from_str(&event.text(&event_id)).unwrap();
        kinds.push(serde_json::to_value(&event).unwrap()["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(kinds, ["session.update", "conversation.item.create", "response.create"]);
}
