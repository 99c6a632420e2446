//! Who is asked again, who stands in, who is spared; and that no key is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use antiphon::config;
use antiphon::generate::LanguageModel;
use antiphon::generate::scripted::Scripted;
use antiphon::host::pace::Clock;
use antiphon::provider::models::Build;
use antiphon::provider::{Models, Sparing};
use antiphon::think::chat::{ErrorKind, ModelRef, ModelRequest, Response};
use serde_json::json;

use super::protocol::{Answer, Server, Step, chunk};
use super::{
    KEY, ask, block_on, encrypted, env, first, hasty, model, models, pieces, said, warnings,
};

fn begun() -> Answer {
    Answer::events_without_done([chunk(&json!({ "content": "One" }), None)])
}

#[test]
fn what_fails_before_anything_was_said_is_asked_again() {
    let start = chunk(&json!({ "role": "assistant", "content": "" }), None);
    let error = json!({ "error": { "message": "overloaded" } });
    for (name, answer) in [
        ("a status", Answer::error(500, "no")),
        ("an error after a head", Answer::events_without_done([start.clone(), error])),
        ("an early end", Answer::events_without_done([start.clone()])),
        ("a closed connection", Answer::events_without_done([start]).then(Step::Break)),
        ("silence", Answer::silence()),
    ] {
        let server = Server::start([answer.clone(), answer, Answer::saying(&["Yes."])]);
        let model = config::Model { retries: 2, ..hasty(&server) };
        let (pieces, error) = block_on(pieces(&*first(&[("fast", model)]))).unwrap();
        assert_eq!((&*said(&pieces), error), ("Yes.", None), "{name}");
        assert_eq!(server.asked().len(), 3, "{name}");
        let warnings = warnings(&pieces);
        assert!(
            matches!(*warnings, [text] if text.starts_with("`fast` was asked again: ")),
            "{warnings:?}"
        );
        // What came of the attempts before is not in the answer.
        assert_eq!(
            pieces.iter().filter(|piece| format!("{piece:?}").starts_with("Started")).count(),
            1
        );
    }
}

#[test]
fn a_request_is_made_as_often_as_the_configuration_says() {
    let server = Server::start(std::iter::repeat_n(Answer::error(500, "no"), 9));
    let model = config::Model { retries: 2, ..model(&server) };
    let error = block_on(pieces(&*first(&[("fast", model)]))).unwrap_err();
    assert_eq!((error.kind, server.asked().len()), (ErrorKind::Provider, 3));
    assert!(error.message.ends_with("(attempt 3, the last)"), "{error}");
}

#[test]
fn what_the_request_is_to_blame_for_is_not_asked_again() {
    for status in [400, 401, 404] {
        let server = Server::start([Answer::error(status, "no"), Answer::saying(&["Yes."])]);
        let model = config::Model { retries: 5, ..model(&server) };
        block_on(pieces(&*first(&[("fast", model)]))).unwrap_err();
        assert_eq!(server.asked().len(), 1, "{status}");
    }
}

#[test]
fn a_server_that_wants_a_moment_gets_it() {
    let limited = Answer::error(429, "slower").header("retry-after-ms", "400");
    let server = Server::start([limited, Answer::saying(&["Yes."])]);
    let model = config::Model { retries: 1, ..model(&server) };
    let clock = Clock::default();
    let asked = clock.now();
    let (pieces, _) = block_on(pieces(&*first(&[("fast", model)]))).unwrap();
    assert_eq!(said(&pieces), "Yes.");
    assert!(clock.now().since_ns(asked) >= 400_000_000);
}

#[test]
fn a_server_that_wants_a_long_rest_has_it_while_another_answers() {
    let limited = Answer::error(429, "slower").header("retry-after", "30");
    let fast = Server::start([limited, Answer::saying(&["Too soon."])]);
    let slow = Server::start([Answer::saying(&["Yes."]), Answer::saying(&["Again."])]);
    let fast_model = config::Model { retries: 5, ..model(&fast) };
    let model = first(&[("fast", fast_model), ("slow", model(&slow))]);
    for text in ["Yes.", "Again."] {
        let (pieces, _) = block_on(pieces(&*model)).unwrap();
        assert_eq!(said(&pieces), text);
    }
    assert_eq!((fast.asked().len(), slow.asked().len()), (1, 2));
}

#[test]
fn the_next_one_answers_within_the_same_request() {
    let refused = "refused";
    for (name, answer, kind) in [
        ("a status", Answer::error(500, "no"), "HTTP 500"),
        ("a key", Answer::error(401, "no"), "HTTP 401"),
        ("a request", Answer::error(400, refused), refused),
        ("silence", Answer::silence(), "first_timeout_ms"),
        ("a page", Answer::bytes("text/html", "<html>"), "a page"),
    ] {
        let [fast, slow, last] =
            [[answer], [Answer::error(503, "busy")], [Answer::saying(&["Yes."])]]
                .map(Server::start);
        let mut slow_model = model(&slow);
        slow_model.model = Some("large".into());
        let chosen = first(&[("fast", hasty(&fast)), ("slow", slow_model), ("last", model(&last))]);
        let (pieces, error) = block_on(pieces(&*chosen)).unwrap();
        assert_eq!((&*said(&pieces), error), ("Yes.", None), "{name}");
        let warnings = warnings(&pieces);
        let [warning] = &*warnings else { panic!("{name}: {warnings:?}") };
        assert!(warning.starts_with("`last` answers instead: `fast` at "), "{name}: {warning}");
        assert!(warning.contains(kind) && warning.contains("`slow` at "), "{name}: {warning}");
        assert_eq!(slow.asked()[0].json()["model"], "large", "each is asked by its own name");
    }
}

#[test]
fn when_all_fail_the_error_says_what_each_failed_of() {
    let servers =
        [Server::start([Answer::error(500, "one")]), Server::start([Answer::error(429, "two")])];
    let [fast, slow] = &servers;
    let error =
        block_on(pieces(&*first(&[("fast", model(fast)), ("slow", model(slow))]))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Limited);
    assert!(
        error.message.contains("HTTP 500: one") && error.message.contains("HTTP 429: two"),
        "{error}"
    );
}

#[test]
fn once_anything_was_said_nobody_takes_over() {
    for step in [Step::Break, Step::Hang] {
        let fast = Server::start([begun().then(step), Answer::saying(&["No."])]);
        let slow = Server::start([Answer::saying(&["No."])]);
        let fast_model = config::Model { retries: 5, ..hasty(&fast) };
        let model = first(&[("fast", fast_model), ("slow", model(&slow))]);
        let (pieces, error) = block_on(pieces(&*model)).unwrap();
        assert_eq!(said(&pieces), "One");
        assert!(matches!(error.unwrap().kind, ErrorKind::CutOff | ErrorKind::Stalled));
        assert_eq!((fast.asked().len(), slow.asked().len()), (1, 0));
    }
}

#[test]
fn nobody_there_is_said_with_the_place() {
    let server = Server::start([]);
    let model = model(&server);
    drop(server);
    let error = block_on(pieces(&*first(&[("fast", model)]))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(
        error.message.contains("`fast` at 127.0.0.1:") && error.message.contains("refused"),
        "{error}"
    );
}

#[test]
fn a_server_whose_certificate_nobody_vouches_for_is_not_shown_the_key() {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let config = encrypted(&own);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        connection.complete_io(&mut stream).is_err()
    });
    let of =
        config::Model { base_url: format!("https://{address}/v1"), ..model(&Server::start([])) };
    let error = block_on(pieces(&*first(&[("fast", of)]))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(
        error.message.contains("certificate") && error.message.contains("SSL_CERT_FILE"),
        "{error}"
    );
    assert!(server.join().unwrap(), "the client left before it said anything");
}

#[test]
fn a_model_that_fails_again_and_again_is_spared() {
    let server = Server::start(std::iter::repeat_n(Answer::error(500, "no"), 9));
    let sparing = Sparing { failures: 3, rest_ms: 60_000 };
    let model = models(&[("fast", model(&server))], sparing).get("fast").unwrap();
    for _ in 0..3 {
        assert_eq!(block_on(pieces(&*model)).unwrap_err().kind, ErrorKind::Provider);
    }
    let error = block_on(pieces(&*model)).unwrap_err();
    assert_eq!((error.kind, server.asked().len()), (ErrorKind::Unavailable, 3));
    assert!(error.message.contains("spared"), "{error}");
}

#[test]
fn a_model_that_has_rested_is_tried_and_trusted_again() {
    let server = Server::start(std::iter::repeat_n(Answer::error(500, "no"), 3));
    server.will([Answer::saying(&["Yes."]), Answer::error(500, "no"), Answer::saying(&["Yes."])]);
    let sparing = Sparing { failures: 3, rest_ms: 0 };
    let model = models(&[("fast", model(&server))], sparing).get("fast").unwrap();
    let came = (0..6).map(|_| block_on(pieces(&*model)).is_ok()).collect::<Vec<_>>();
    assert_eq!(came, [false, false, false, true, false, true]);
}

#[test]
fn answers_that_break_off_count_as_failures() {
    let server = Server::start([begun().then(Step::Break), begun(), begun().then(Step::Break)]);
    let sparing = Sparing { failures: 3, rest_ms: 60_000 };
    let model = models(&[("fast", model(&server))], sparing).get("fast").unwrap();
    let errors = (0..3).map(|_| block_on(pieces(&*model)).unwrap().1.map(|error| error.kind));
    let lost = Some(ErrorKind::CutOff);
    assert_eq!(errors.collect::<Vec<_>>(), [lost, None, lost], "the second just ends");
    assert_eq!(block_on(pieces(&*model)).unwrap_err().kind, ErrorKind::Unavailable);
}

#[test]
fn a_connection_opened_beforehand_serves_the_first_request() {
    let server = Server::start([Answer::saying(&["Yes."])]);
    let gone = Server::start([]);
    let gone_model = model(&gone);
    drop(gone);
    let mut fast = model(&server);
    fast.fallbacks = vec!["gone".into()];
    let models = models(&[("fast", fast), ("gone", gone_model)], Sparing::default());
    block_on(async {
        let failed = models.warm(&["fast", "gone", "fast"]).await;
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert_eq!(failed[0].kind, ErrorKind::Unreachable);
        pieces(&*models.get("fast").unwrap()).await.unwrap();
    });
    let [warm, asked] = server.asked().try_into().unwrap();
    assert_eq!((&*warm.method, warm.body.len()), ("HEAD", 0));
    assert_eq!(warm.from, asked.from);
}

#[test]
fn a_canned_model_stands_in_as_any_other_does() {
    let server = Server::start([Answer::error(500, "no")]);
    let mut fast = model(&server);
    fast.fallbacks = vec!["script".into()];
    let script = config::Model { provider: config::Provider::Canned, ..config::Model::default() };
    let of = BTreeMap::from([("fast".to_owned(), fast), ("script".to_owned(), script)]);
    let canned = |_: &str, _: &config::Model| -> Arc<dyn LanguageModel> {
        Arc::new(Scripted::new([Response::saying("By heart.")]))
    };
    let models = Build { canned: Some(&canned), ..Build::new(&env) }.models(&of).unwrap();
    let response = block_on(models.get("fast").unwrap().generate(ask())).unwrap();
    assert_eq!((&*response.text(), response.warnings.len()), ("By heart.", 1));
    // Without anybody who answers for it, it is complained of with everything else.
    let mut of = of;
    of.insert(
        "other".into(),
        config::Model { api_key_env: Some("NONE".into()), ..config::Model::default() },
    );
    of.get_mut("fast").unwrap().fallbacks.push("nobody".into());
    let complaints = Models::new(&of, &env).unwrap_err().join("\n");
    assert!(
        complaints.contains("`script` is canned") && complaints.contains("NONE"),
        "{complaints}"
    );
}

#[test]
fn another_model_that_is_asked_for_by_name_is_asked_for() {
    let server = Server::start([Answer::saying(&["Yes."]), Answer::saying(&["Yes."])]);
    let model = first(&[("fast", model(&server))]);
    let named = |model: ModelRef| ModelRequest { model, ..ask() };
    let large = ModelRef { provider: "openai".into(), model: "large".into() };
    for request in [named(model.reference()), named(large)] {
        block_on(model.generate(request)).unwrap();
    }
    let asked = server.asked();
    let names = asked.iter().map(|asked| asked.json()["model"].clone()).collect::<Vec<_>>();
    assert_eq!(names, ["small", "large"]);
}

#[test]
fn no_error_and_no_debug_output_has_a_key() {
    let echo = format!("the key {KEY} and planted-header-value are wrong");
    let event = json!({ "error": { "message": echo } });
    let mut told = Vec::new();
    for answer in [
        Answer::error(401, &echo),
        Answer::error(500, &echo),
        Answer { status: 400, ..Answer::bytes("text/plain", echo.clone()) },
        Answer::json(422, &json!({ "detail": [{ "msg": echo }] })),
        Answer::events_without_done([event.clone()]),
        Answer::events_without_done([chunk(&json!({ "content": "One" }), None), event]),
        Answer::bytes("text/event-stream", format!("data: {echo}\n\n")),
        Answer::bytes("application/json", format!("[{}", json!(echo))),
        Answer::error(302, &echo).header("location", &format!("http://127.0.0.1:1/{KEY}")),
        Answer::silence(),
    ] {
        let server = Server::start([answer]);
        let last = Server::start([Answer::saying(&["Yes."])]);
        let of = [("fast", hasty(&server)), ("last", model(&last))];
        told.push(format!("{of:?} {:?}", models(&of, Sparing::default())));
        // As an error, and as the warning of who stood in.
        told.push(format!("{:?}", block_on(pieces(&*first(&of)))));
        server.will([Answer::error(401, &echo)]);
        told.push(format!("{:?}", block_on(pieces(&*first(&of[..1])))));
        let asked = server.asked();
        assert!(
            asked.iter().all(|asked| asked.headers["authorization"] == format!("Bearer {KEY}"))
        );
    }
    let gone = Server::start([]);
    let mut of = model(&gone);
    of.base_url = of.base_url.replace("http://", &format!("http://user:{KEY}@"));
    drop(gone);
    told.push(format!("{:?}", block_on(pieces(&*first(&[("fast", of)])))));
    let secret = told.iter().filter(|text| text.contains("[secret] and [secret]")).count();
    assert!(secret >= 10, "the servers said it: {told:#?}");
    for text in told {
        assert!(!text.contains("sk-planted") && !text.contains("planted-header"), "{text}");
    }
}
