//! What a model is asked, and what is made of its answer.

use antiphon::generate::ToolLoopAgent;
use antiphon::think::chat::{
    Call, ErrorKind, FinishReason, Message, ModelDelta, ModelRequest, Params, Part, ResponseFormat,
    Usage,
};
use antiphon::tool::{Json, Registry, ToolContext, ToolSpec};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::protocol::{Answer, Server, Step, chunk, fragment, usage};
use super::{KEY, ask, block_on, first, hasty, model, pieces, said};

#[test]
fn an_answer_comes_in_pieces_with_what_it_has_cost() {
    let server = Server::start([Answer::saying(&["Hello", " there."])]);
    let (pieces, error) = block_on(pieces(&*first(&[("fast", model(&server))]))).unwrap();
    let usage = Usage {
        prompt: Some(12),
        completion: Some(7),
        total: Some(19),
        cached: Some(5),
        reasoning: Some(3),
    };
    let started =
        ModelDelta::Started { id: Some("chatcmpl-1".into()), model: Some("small-2026".into()) };
    assert_eq!(error, None);
    assert_eq!(
        pieces,
        [
            started,
            ModelDelta::Text("Hello".into()),
            ModelDelta::Text(" there.".into()),
            ModelDelta::Finished { reason: FinishReason::Stop, raw: Some("stop".into()) },
            ModelDelta::Usage(usage),
        ]
    );
    let asked = server.asked();
    let [asked] = &*asked else { panic!("{asked:?}") };
    assert_eq!((&*asked.method, &*asked.path), ("POST", "/v1/chat/completions"));
    assert_eq!(asked.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(asked.headers["x-team"], "planted-header-value");
    assert_eq!(
        asked.json(),
        json!({
            "model": "small",
            "messages": [{ "role": "user", "content": "hello" }],
            "stream": true,
            "stream_options": { "include_usage": true },
        })
    );
}

#[test]
fn parameters_of_the_configuration_and_the_format_are_asked_for() {
    let server = Server::start([Answer::saying(&["{}"])]);
    let mut model = model(&server);
    (model.temperature, model.max_tokens, model.seed) = (Some(0.3), Some(40), Some(7));
    let schema = json!({ "type": "object", "properties": {}, "additionalProperties": false });
    let mut request = ModelRequest {
        params: Params { temperature: Some(0.7), ..Params::default() },
        format: Some(ResponseFormat { name: "nothing".into(), schema: Json(schema.clone()) }),
        ..ask()
    };
    request.provider_options.insert("top_k".into(), Json(json!(5)));
    let response = block_on(first(&[("fast", model)]).generate(request)).unwrap();
    assert_eq!((&*response.text(), response.finish_reason), ("{}", Some(FinishReason::Stop)));
    let body = server.asked()[0].json();
    let expected = json!({ "temperature": 0.7, "max_tokens": 40, "seed": 7, "top_k": 5 });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&body[key], value, "{key}");
    }
    assert_eq!(
        body["response_format"],
        json!({ "type": "json_schema", "json_schema": { "name": "nothing", "schema": schema, "strict": true } })
    );
}

#[test]
fn a_call_in_a_hundred_fragments_and_another_beside_it_are_two_calls() {
    let arguments = json!({ "q": "x".repeat(200) }).to_string();
    let mut events = vec![
        chunk(&json!({ "role": "assistant", "content": null }), None),
        fragment(0, Some("call_a"), Some("find"), ""),
        fragment(1, Some("call_b"), Some("book"), ""),
    ];
    for piece in arguments.as_bytes().chunks(2) {
        events.push(fragment(0, None, None, std::str::from_utf8(piece).unwrap()));
    }
    events.insert(50, fragment(1, None, None, "{\"n\": 2}"));
    events.extend([chunk(&json!({}), Some("tool_calls")), usage()]);
    assert!(events.len() > 100);
    let server = Server::start([Answer::events(events)]);
    let response = block_on(first(&[("fast", model(&server))]).generate(ask())).unwrap();
    let arguments = serde_json::from_str::<Value>(&arguments).unwrap();
    assert_eq!(
        response.parts,
        [
            Part::ToolCall(Call::new("call_a", "find", arguments)),
            Part::ToolCall(Call::new("call_b", "book", json!({ "n": 2 }))),
        ]
    );
    assert_eq!(response.finish_reason, Some(FinishReason::ToolCalls));
}

#[test]
fn tools_are_declared_run_and_answered_for_in_the_next_request() {
    let server = Server::start([
        Answer::events([
            fragment(0, Some("call_a"), Some("twice"), "{\"n\": 21}"),
            chunk(&json!({}), Some("tool_calls")),
        ]),
        Answer::saying(&["42."]),
    ]);
    let mut tools = Registry::default();
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } } });
    let spec = ToolSpec::new("twice", "Doubles").parameters(schema.clone());
    tools
        .add(spec, |_: &ToolContext, v: &Value| Ok(json!(2 * v["n"].as_i64().unwrap_or(0))))
        .unwrap();
    let agent = ToolLoopAgent::new(first(&[("fast", model(&server))]))
        .with_system("Count.")
        .with_tools(tools)
        .unwrap();
    let done = block_on(agent.generate(vec![Message::user("Twice 21?")])).unwrap();
    assert_eq!(done.text(), "42.");
    let [first, second] = server.asked().try_into().unwrap();
    assert_eq!(first.json()["tools"][0]["function"]["name"], "twice");
    assert_eq!(
        second.json()["messages"],
        json!([
            { "role": "system", "content": "Count." },
            { "role": "user", "content": "Twice 21?" },
            { "role": "assistant", "tool_calls": [
                { "id": "call_a", "type": "function", "function": { "name": "twice", "arguments": "{\"n\":21}" } },
            ] },
            { "role": "tool", "tool_call_id": "call_a", "content": "42" },
        ])
    );
    assert_eq!(first.from, second.from, "one connection serves both");
}

#[test]
fn thoughts_come_apart_from_words() {
    let server = Server::start([Answer::events([
        chunk(&json!({ "reasoning_content": "Hm." }), None),
        chunk(&json!({ "content": "Yes." }), None),
        chunk(&json!({}), Some("stop")),
    ])]);
    let response = block_on(first(&[("fast", model(&server))]).generate(ask())).unwrap();
    assert_eq!(response.parts, [Part::Reasoning("Hm.".into()), Part::Text("Yes.".into())]);
}

#[test]
fn an_answer_that_has_finished_needs_no_done_and_no_open_connection() {
    let events = || [chunk(&json!({ "content": "Yes." }), None), chunk(&json!({}), Some("stop"))];
    let last = r#"data: {"choices":[{"delta":{"content":" Indeed."},"finish_reason":"stop"}]}"#;
    let server = Server::start([
        Answer::events_without_done(events()),
        Answer::events_without_done(events()).then(Step::Break),
        Answer::events_without_done(events()).then(Step::Hang),
        // Nor an empty line after the last event.
        Answer::events_without_done([events()[0].clone()]).then(Step::Send(last.into())),
    ]);
    let model = first(&[("fast", model(&server))]);
    for text in ["Yes.", "Yes.", "Yes.", "Yes. Indeed."] {
        let (pieces, error) = block_on(pieces(&*model)).unwrap();
        assert_eq!((&*said(&pieces), error), (text, None));
        assert!(matches!(pieces.last(), Some(ModelDelta::Finished { .. })), "{pieces:?}");
    }
}

#[test]
fn a_server_that_does_not_stream_is_understood() {
    let message = json!({ "role": "assistant", "content": "Yes." });
    let choices = json!([{ "index": 0, "message": message, "finish_reason": "stop" }]);
    let server = Server::start([Answer::json(200, &json!({ "id": "a", "choices": choices }))]);
    let response = block_on(first(&[("fast", model(&server))]).generate(ask())).unwrap();
    assert_eq!((&*response.text(), response.finish_reason), ("Yes.", Some(FinishReason::Stop)));
}

#[test]
fn what_breaks_off_in_the_middle_keeps_its_words_and_has_a_kind() {
    let word = || chunk(&json!({ "content": "One" }), None);
    let begun = || Answer::events_without_done([word()]);
    let send = |bytes: &'static [u8]| Step::Send(bytes.into());
    for (name, answer, kind, part) in [
        ("closed", begun().then(Step::Break), ErrorKind::CutOff, "in the middle"),
        ("silent", begun().then(Step::Hang), ErrorKind::Stalled, "stall_timeout_ms"),
        (
            "comments alone",
            begun().then(send(b": still here\n\n")).then(Step::Hang),
            ErrorKind::Stalled,
            "stall_timeout_ms",
        ),
        (
            "an error",
            begun().then(send(b"data: {\"error\":{\"message\":\"out of memory\"}}\n\n")),
            ErrorKind::Provider,
            "out of memory",
        ),
        (
            "half a piece",
            begun().then(send(b"data: {\"choices\":[{")),
            ErrorKind::CutOff,
            "a piece",
        ),
        ("no JSON", begun().then(send(b"data: what?\n\n")), ErrorKind::Malformed, "what?"),
        ("no text", begun().then(send(b"data: \xFF\xFE\n\n")), ErrorKind::Malformed, "UTF-8"),
    ] {
        let server = Server::start([answer]);
        let (pieces, error) = block_on(pieces(&*first(&[("fast", hasty(&server))]))).unwrap();
        let error = error.unwrap_or_else(|| panic!("{name}: {pieces:?}"));
        assert_eq!((&*said(&pieces), error.kind), ("One", kind), "{name}: {error}");
        assert!(error.message.contains("`fast` at 127.0.0.1:"), "{name}: {error}");
        assert!(error.message.contains(part), "{name}: {error}");
    }
}

#[test]
fn an_answer_that_ends_without_its_end_is_words_for_who_listens_and_cut_off_for_who_waits() {
    let begun = || Answer::events_without_done([chunk(&json!({ "content": "One" }), None)]);
    let server = Server::start([begun(), begun()]);
    let model = first(&[("fast", model(&server))]);
    let (pieces, error) = block_on(pieces(&*model)).unwrap();
    assert_eq!((&*said(&pieces), error), ("One", None));
    assert!(!pieces.iter().any(|piece| matches!(piece, ModelDelta::Finished { .. })));
    assert_eq!(block_on(model.generate(ask())).unwrap_err().kind, ErrorKind::CutOff);
}

#[test]
fn what_is_no_answer_at_all_has_a_kind() {
    let long = "x".repeat(1 << 18);
    let mut endless = Answer::bytes("text/event-stream", "data: ");
    for _ in 0..8 {
        endless = endless.then(Step::Send(long.clone().into()));
    }
    let mark = "\u{feff}data: {\"choices\":[{\"delta\":{\"content\":\"\"}}]}\n\n";
    for (name, answer, kind, part) in [
        ("a page", Answer::bytes("text/html", "<html>"), ErrorKind::Malformed, "base_url"),
        ("nothing", Answer::bytes("text/event-stream", ""), ErrorKind::Malformed, "no stream"),
        (
            "noise",
            Answer::bytes("text/event-stream", "hello\nyou\n"),
            ErrorKind::Malformed,
            "no stream",
        ),
        (
            "a mark and nothing said",
            Answer::bytes("text/event-stream", mark),
            ErrorKind::CutOff,
            "before",
        ),
        ("endless", endless, ErrorKind::TooLong, "bytes"),
        ("closed", Answer::events_without_done([]).then(Step::Break), ErrorKind::CutOff, "lost"),
        ("silent", Answer::silence(), ErrorKind::TimedOut, "first_timeout_ms"),
        (
            "only a head",
            Answer::events_without_done([]).then(Step::Hang),
            ErrorKind::TimedOut,
            "first",
        ),
        (
            "an error with success",
            Answer::json(200, &json!({ "error": { "message": "no such model", "code": 404 } })),
            ErrorKind::Refused,
            "no such model",
        ),
    ] {
        let server = Server::start([answer]);
        let error = block_on(pieces(&*first(&[("fast", hasty(&server))]))).unwrap_err();
        assert_eq!(error.kind, kind, "{name}: {error}");
        assert!(error.message.contains(part), "{name}: {error}");
    }
}

#[test]
fn who_wants_no_more_closes_the_connection() {
    let begun = Answer::events_without_done([chunk(&json!({ "content": "One" }), None)]);
    let server = Server::start([begun.then(Step::Hang)]);
    let model = first(&[("fast", model(&server))]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut deltas = model.stream(ask()).await.unwrap();
        while !matches!(deltas.next().await, Some(Ok(ModelDelta::Text(_)))) {}
        drop(deltas);
        // The connection belongs to a task of this runtime.
        tokio::task::spawn_blocking(move || server.over(1)).await.unwrap();
    });
}

#[test]
fn statuses_have_kinds_and_say_what_can_be_done() {
    for (status, kind, part) in [
        (302, ErrorKind::Refused, "base_url"),
        (400, ErrorKind::Refused, "HTTP 400: the server's words"),
        (401, ErrorKind::Unauthorised, "check the key in KEY"),
        (403, ErrorKind::Unauthorised, "check the key in KEY"),
        (404, ErrorKind::Refused, "`model`"),
        (422, ErrorKind::Refused, "HTTP 422"),
        (429, ErrorKind::Limited, "HTTP 429"),
        (500, ErrorKind::Provider, "HTTP 500"),
        (503, ErrorKind::Provider, "HTTP 503"),
    ] {
        let answer =
            Answer::error(status, "the server's words").header("location", "http://127.0.0.1:1/");
        let server = Server::start([answer]);
        let error = block_on(pieces(&*first(&[("fast", model(&server))]))).unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(part), "{error}");
    }
}

#[test]
fn a_servers_words_are_cut_and_a_page_is_left_out() {
    let server = Server::start([
        Answer::error(500, &"word ".repeat(1_000)),
        Answer { status: 502, ..Answer::bytes("text/html", "<html><body>nginx") },
    ]);
    let model = first(&[("fast", model(&server))]);
    let error = block_on(pieces(&*model)).unwrap_err();
    assert!(error.message.chars().count() < 400 && error.message.contains('…'), "{error}");
    let error = block_on(pieces(&*model)).unwrap_err();
    assert!(error.message.ends_with("HTTP 502 Bad Gateway"), "{error}");
}
