//! Tools of HTTP servers and processes: what they get, what becomes of what they answer, and every row of
//! docs/tools.md that is about them.

#[expect(dead_code, reason = "each file of tests uses its part")]
mod outside;

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use antiphon::tool::FailureKind;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use outside::{Reached, fifo, until_closed};
use serde_json::{Value, json};

/// Nobody else has this value, so whatever shows it has leaked it.
const SECRET: &str = "k3y-that-nobody-may-see";

/// What a server was asked.
#[derive(Debug, Clone)]
struct Asked {
    method: String,
    uri: String,
    headers: HeaderMap,
    body: String,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("it is text"))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }
}

/// A real HTTP server, which answers as it was told, and with `null` after that.
struct Server {
    at: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<VecDeque<Response>>>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Server {
    fn start(answers: impl IntoIterator<Item = Response>) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let (note, next) = (Arc::clone(&asked), Arc::clone(&answers));
        let handle = move |request: Request| {
            let (note, next) = (Arc::clone(&note), Arc::clone(&next));
            async move {
                let (head, body) = request.into_parts();
                let body = to_bytes(body, 1 << 20).await.expect("a body");
                let body = String::from_utf8(body.to_vec()).expect("UTF-8");
                let (method, uri) = (head.method.to_string(), head.uri.to_string());
                note.lock().unwrap().push(Asked { method, uri, headers: head.headers, body });
                let answer = next.lock().unwrap().pop_front();
                answer.unwrap_or_else(|| "null".into_response())
            }
        };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::sync_channel(100);
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let served = axum::serve(listener, Router::new().fallback(handle));
                tokio::select! { _ = served => {}, _ = stopped => {} }
            });
        });
        Self { at: told.recv().expect("it listens"), asked, answers, _stop: stop }
    }

    /// What was asked, and no more of it later.
    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn answers(&self, answer: impl IntoResponse) {
        self.answers.lock().unwrap().push_back(answer.into_response());
    }

    fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// A tool `x` of this server.
    fn tool(&self, keys: &str) -> Reached {
        Reached::new(
            &format!("tools:\n  x: {{ {keys} }}\n"),
            &[("AT", &self.url()), ("KEY", SECRET)],
        )
    }
}

/// A server that answers the first who comes with these bytes, and hangs up.
fn raw(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4_096];
        let _read = stream.read(&mut buffer).unwrap();
        stream.write_all(bytes).unwrap();
    });
    at
}

fn status(code: u16, text: &'static str) -> Response {
    (StatusCode::from_u16(code).unwrap(), text).into_response()
}

#[test]
fn a_request_has_what_the_call_and_the_environment_fill_in() {
    let server = Server::start([]);
    server.answers((
        [(header::CONTENT_TYPE, "application/json")],
        r#"{"data": {"items": [{"id": 4217}]}}"#,
    ));
    let desk = server.tool(
        "http: { method: PUT, url: '${AT}/orders/{order}/x?y=1', query: { q: '{word}', none: '{gone}' },
           headers: { Authorization: 'Bearer ${KEY}', X-Word: '{n}', X-None: '{gone}' },
           body: { who: 'Mr {order}', n: '{n}', list: ['{gone}'] }, result: data.items.0.id }",
    );
    let arguments = json!({ "order": "a/b ?ü..", "word": "x&y=z", "n": 7 });
    assert_eq!(desk.value("x", arguments), json!(4217));
    let asked = server.asked();
    let [asked] = asked.as_slice() else { panic!("asked {} times", asked.len()) };
    assert_eq!(asked.method, "PUT");
    assert_eq!(asked.uri, "/orders/a%2Fb%20%3F%C3%BC../x?y=1&q=x%26y%3Dz");
    assert_eq!(asked.header("authorization"), format!("Bearer {SECRET}"));
    assert_eq!((asked.header("x-word"), asked.header("x-none")), ("7", ""));
    assert_eq!(asked.header("content-type"), "application/json");
    assert_eq!(asked.header("idempotency-key"), "session-7-call-3");
    assert_eq!(asked.json(), json!({ "who": "Mr a/b ?ü..", "n": 7, "list": [] }));
}

#[test]
fn without_a_body_the_arguments_are_it_and_a_get_has_none() {
    let server = Server::start([]);
    let desk = server.tool("http: { url: '${AT}/' }");
    assert_eq!(desk.value("x", json!({ "a": [1] })), Value::Null);
    assert_eq!(server.asked()[0].json(), json!({ "a": [1] }));
    let desk = server.tool("http: { method: GET, url: '${AT}/' }");
    assert_eq!(desk.value("x", json!({ "a": [1] })), Value::Null);
    assert_eq!((server.asked()[0].method.as_str(), server.asked().len()), ("GET", 0));
}

#[test]
fn arguments_that_do_not_fit_are_never_sent() {
    let server = Server::start([]);
    let desk = server.tool(
        "http: { url: '${AT}/{n}' }, parameters: { type: object, properties: { n: { type: integer } }, required: [n] }",
    );
    assert_eq!(desk.failure("x", json!({ "n": "one" })).0, FailureKind::InvalidArguments);
    assert_eq!(desk.failure("x", json!({})).0, FailureKind::InvalidArguments);
    assert!(server.asked().is_empty());
}

#[test]
fn arguments_that_lead_elsewhere_are_never_sent() {
    let server = Server::start([]);
    let desk =
        server.tool("http: { method: GET, url: '${AT}/a/{part}/b', headers: { X-A: '{head}' } }");
    desk.fails("x", json!({ "part": "..", "head": "a" }), "another place");
    desk.fails("x", json!({ "part": "a", "head": "a\r\nX-B: c" }), "not allowed");
    desk.fails("x", json!({ "head": "a" }), "`part` is missing");
    assert!(server.asked().is_empty());
}

#[test]
fn no_connection_is_tried_again_and_then_told() {
    // A port that nobody listens at any more.
    let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let desk = Reached::new(
        &format!("tools: {{ x: {{ http: {{ url: 'http://{at}/', retries: 1 }} }} }}"),
        &[],
    );
    desk.fails("x", json!({}), "no connection to 127.0.0.1");
    desk.fails("x", json!({}), "(asked 2 times)");
}

#[test]
fn a_call_that_may_have_been_done_is_made_again_only_if_that_does_no_harm() {
    let server = Server::start([status(503, "busy"), status(503, "busy")]);
    let desk = server.tool("http: { url: '${AT}/' }");
    desk.fails("x", json!({}), "answers 503 Service Unavailable: busy");
    assert_eq!(server.asked().len(), 1);
    let desk = server.tool("http: { url: '${AT}/' }, idempotent: true");
    server.answers(status(429, "slowly"));
    server.answers("7");
    assert_eq!(desk.value("x", json!({})), json!(7));
    let asked = server.asked();
    assert_eq!(asked.len(), 3);
    for one in asked {
        assert_eq!(one.header("idempotency-key"), "session-7-call-3", "the same at each attempt");
    }
}

#[test]
fn a_refusal_is_final_and_told_in_a_line() {
    let server = Server::start([]);
    let desk = server.tool("http: { url: '${AT}/' }, idempotent: true");
    server.answers((StatusCode::NOT_FOUND, format!("no\nsuch {}", "order ".repeat(1_000))));
    desk.fails("x", json!({}), "127.0.0.1 answers 404 Not Found: no such order order");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn redirects_stay_with_the_server_that_was_asked() {
    let (server, other) = (Server::start([]), Server::start([]));
    let to = |at: String, code: u16| {
        (StatusCode::from_u16(code).unwrap(), [(header::LOCATION, at)]).into_response()
    };
    let get = server.tool("http: { method: GET, url: '${AT}/', headers: { X-Key: '${KEY}' } }");
    server.answers(to("/there".to_owned(), 302));
    server.answers("1");
    assert_eq!(get.value("x", json!({})), json!(1));
    assert_eq!(server.asked()[1].uri, "/there");
    server.answers(to(other.url(), 307));
    get.fails("x", json!({}), "sends elsewhere");
    for _ in 0..10 {
        server.answers(to("/round".to_owned(), 302));
    }
    get.fails("x", json!({}), "sends elsewhere");
    server.answers.lock().unwrap().clear();
    server.asked();
    // A POST that became a GET would have lost its arguments.
    let post = server.tool("http: { url: '${AT}/' }");
    server.answers(to("/there".to_owned(), 302));
    post.fails("x", json!({}), "sends elsewhere");
    server.answers(to("/there".to_owned(), 307));
    server.answers("2");
    assert_eq!(post.value("x", json!({ "a": 1 })), json!(2));
    let asked = server.asked();
    assert_eq!((asked.len(), asked[2].json()), (3, json!({ "a": 1 })));
    assert!(other.asked().is_empty(), "another server was asked, and has the key");
}

#[test]
fn answers_are_bounded_and_have_to_be_what_they_say() {
    let server = Server::start([]);
    let kind = |kind: &'static str| [(header::CONTENT_TYPE, kind)];
    let desk = server.tool("http: { method: GET, url: '${AT}/' }");
    server.answers("x".repeat((1 << 20) + 1));
    desk.fails("x", json!({}), "the answer of 127.0.0.1 is longer than 1048576 bytes");
    for depth in [101, 10_000] {
        server.answers(format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        desk.fails("x", json!({}), "nested deeper than 100");
    }
    server.answers((kind("application/json; charset=utf-8"), "<html>"));
    desk.fails("x", json!({}), "no JSON");
    server.answers((kind("application/problem+json"), "{\"a\""));
    desk.fails("x", json!({}), "no JSON");
    server.answers(Body::from(vec![0xff, 0xfe]).into_response());
    desk.fails("x", json!({}), "not UTF-8");
    server.answers("It rains.");
    assert_eq!(desk.value("x", json!({})), json!("It rains."));
    server.answers(StatusCode::NO_CONTENT);
    assert_eq!(desk.value("x", json!({})), Value::Null);
    let part = server.tool("http: { method: GET, url: '${AT}/', result: a.b }");
    server.answers("{\"a\": {}}");
    part.fails("x", json!({}), "there is no `a.b` in the answer");
    server.answers("It rains.");
    part.fails("x", json!({}), "no JSON");
}

#[test]
fn an_answer_that_breaks_off_or_is_no_http_fails() {
    let at = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\": ");
    let tool = |at: SocketAddr| {
        Reached::new(&format!("tools: {{ x: {{ http: {{ url: 'http://{at}/' }} }} }}"), &[])
    };
    tool(at).fails("x", json!({}), "was broken off");
    tool(raw(b"SSH-2.0-none\r\n")).fails("x", json!({}), "has not answered");
    tool(raw(b"")).fails("x", json!({}), "has not answered");
}

#[test]
fn a_server_that_hangs_is_waited_for_as_long_as_the_tool_says() {
    // It accepts, since the system does, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let desk = Reached::new(
        &format!("tools: {{ x: {{ timeout_ms: 300, http: {{ url: 'http://{at}/' }} }} }}"),
        &[],
    );
    desk.fails("x", json!({}), "has not answered within 300 ms");
}

#[test]
fn variables_that_are_missing_are_named_at_once_and_secrets_never_shown() {
    let yaml = "
tools:
  a: { http: { url: '${NO_AT}/', headers: { A: '${NO_KEY}', B: '${KEY}' } } }
  b: { process: { command: [x], env: { A: '${NO_KEY}' } } }
mcp_servers:
  c: { command: x, env: { T: '${NO_TOKEN}' } }
";
    let wrong =
        Reached::tried(yaml, &[("KEY", SECRET), ("NO_TOKEN", "")]).err().expect("it cannot");
    let told = wrong.join("\n");
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        [
            "NO_AT is not set in the environment; tools.a.http.url needs it",
            "NO_KEY is not set in the environment; tools.a.http.headers.A, tools.b.process.env.A need it",
            "NO_TOKEN is not set in the environment; mcp_servers.c.env.T needs it",
        ]
    );
    assert!(!told.contains(SECRET));
    // Whatever a server says back, and whatever of the tools is printed.
    let server = Server::start([]);
    let desk = server
        .tool("http: { url: '${AT}/?key=${KEY}', headers: { Authorization: 'Bearer ${KEY}' } }");
    server.answers((StatusCode::UNAUTHORIZED, format!("wrong key {SECRET}")));
    let (_, message) = desk.failure("x", json!({}));
    assert!(message.contains("wrong key …"), "{message}");
    let shown = format!("{message} {:?} {:?} {:?}", desk.remote, desk.tools, desk.config);
    assert!(!shown.contains(SECRET), "{shown}");
    assert!(!desk.config.to_json().contains(SECRET));
    // An address of the environment that is none is not shown either.
    let bad = [("AT", SECRET), ("KEY", SECRET)];
    let wrong =
        Reached::tried("tools: { x: { http: { url: '${AT}/' } } }", &bad).err().expect("it cannot");
    assert!(
        wrong[0].contains("not the address of a server") && !wrong[0].contains(SECRET),
        "{wrong:?}"
    );
}

// ---- Processes ----------------------------------------------------------------------------------

/// A tool `x` that is a shell script.
fn script(script: &str, more: &str) -> Reached {
    let script = serde_json::to_string(script).unwrap();
    let yaml = format!("tools:\n  x: {{ process: {{ command: [sh, -c, {script}] }}{more} }}\n");
    Reached::new(&yaml, &[])
}

#[test]
fn a_process_gets_its_arguments_as_a_line_and_an_environment_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "tools:
  x:
    process:
      command: [python3, -c, \"import json, os, sys; given = json.loads(sys.stdin.readline()); print(json.dumps(\
         dict(given=given, rest=sys.stdin.read(), env=dict(os.environ), cwd=os.getcwd())))\"]
      env: {{ TOKEN: '${{KEY}}', MODE: fast }}
      cwd: {}
",
        folder.path().display()
    );
    let desk = Reached::new(&yaml, &[("KEY", SECRET)]);
    let told = desk.value("x", json!({ "text": "a\nb", "n": 1 }));
    assert_eq!((&told["given"], &told["rest"]), (&json!({ "text": "a\nb", "n": 1 }), &json!("")));
    let env = &told["env"];
    assert_eq!((&env["TOKEN"], &env["MODE"]), (&json!(SECRET), &json!("fast")));
    assert_eq!(env["ANTIPHON_IDEMPOTENCY_KEY"], "session-7-call-3");
    assert!(env["PATH"].is_string());
    // What cargo has set for this test is nothing for a tool.
    assert!(env.as_object().unwrap().keys().all(|name| !name.starts_with("CARGO")), "{env}");
    let cwd = std::path::Path::new(told["cwd"].as_str().unwrap()).canonicalize().unwrap();
    assert_eq!(cwd, folder.path().canonicalize().unwrap());
}

#[test]
fn a_process_that_fails_says_why_in_a_line() {
    script("echo one >&2; echo two >&2; exit 3", "").fails(
        "x",
        json!({}),
        "`sh` failed with exit code 3: one two",
    );
    script("kill -9 $$", "").fails("x", json!({}), "`sh` was ended by signal 9");
    script("yes | head -c 1000000 >&2; echo the end >&2; exit 1", "").fails(
        "x",
        json!({}),
        "y y the end",
    );
    let desk = Reached::new("tools: { x: { process: { command: [no-such-program] } } }", &[]);
    desk.fails("x", json!({}), "`no-such-program` cannot be started: there is no such program");
}

#[test]
fn a_process_that_shows_its_secret_is_not_quoted() {
    let yaml = "tools: { x: { process: { command: [sh, -c, 'echo bad $TOKEN >&2; exit 1'], env: { TOKEN: '${KEY}' } } } }";
    let desk = Reached::new(yaml, &[("KEY", SECRET)]);
    desk.fails("x", json!({}), "exit code 1: bad …");
}

#[test]
fn what_a_process_writes_is_bounded_and_has_to_be_json() {
    assert_eq!(script("cat", "").value("x", json!({ "a": 1 })), json!({ "a": 1 }));
    assert_eq!(script("true", "").value("x", json!({})), Value::Null);
    script("echo hello", "").fails("x", json!({}), "the result of `sh` is no JSON");
    script("printf '\\377'", "").fails("x", json!({}), "the result of `sh` is not UTF-8");
    // It would write for ever, and is ended.
    script("yes", "").fails("x", json!({}), "the result of `sh` is longer than 1048576 bytes");
    script("python3 -c 'print(\"[\" * 5000 + \"]\" * 5000)'", "").fails(
        "x",
        json!({}),
        "deeper than 100",
    );
}

#[test]
fn a_process_that_is_late_is_ended_with_all_that_it_has_started() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = fifo(folder.path());
    let lines = format!("exec 3> '{}'; echo begun >&3; sleep 1000 & wait", pipe.display());
    let desk = script(&lines, ", timeout_ms: 3000");
    let closed = std::thread::spawn(move || until_closed(pipe));
    desk.fails("x", json!({}), "`sh` was not done within 3000 ms, and was ended");
    assert_eq!(closed.join().unwrap(), "begun\n");
}

#[test]
fn what_a_process_leaves_behind_is_ended_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = fifo(folder.path());
    // It has the pipe open before it starts who is left behind.
    let lines = format!("exec 3> '{}'; sleep 1000 & sleep 1000 & echo 7", pipe.display());
    let desk = script(&lines, "");
    let closed = std::thread::spawn(move || until_closed(pipe));
    assert_eq!(desk.value("x", json!({})), json!(7));
    closed.join().unwrap();
}
