//! A server that speaks OpenAI's protocol as it is published, does what a test has told it, and remembers what it was
//! asked. What it says of itself is held against the official client by `tests/peers/models.py`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// How long a test waits for what the server is to notice.
const PATIENCE: Duration = Duration::from_secs(20);

const BODY_MAX: usize = 4 << 20;

/// What happens while an answer is given.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Bytes are sent.
    Send(Bytes),
    /// Nothing more comes, and the connection stays.
    Hang,
    /// The connection is closed in the middle.
    Break,
}

/// An answer to one request.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) steps: Vec<Step>,
    /// Nothing at all comes.
    pub(crate) silent: bool,
}

impl Answer {
    fn of(status: u16, content: &str, steps: Vec<Step>) -> Self {
        let headers = vec![("content-type", content.to_owned())];
        Self { status, headers, steps, silent: false }
    }

    /// Bytes of a content type.
    pub(crate) fn bytes(content: &str, bytes: impl Into<Bytes>) -> Self {
        Self::of(200, content, vec![Step::Send(bytes.into())])
    }

    /// JSON with a status.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::of(status, "application/json", vec![Step::Send(body.to_string().into())])
    }

    /// An error as OpenAI has it.
    pub(crate) fn error(status: u16, message: &str) -> Self {
        let error =
            json!({ "message": message, "type": "some_error", "param": null, "code": null });
        Self::json(status, &json!({ "error": error }))
    }

    /// Events with this data, and the end of the stream.
    pub(crate) fn events(events: impl IntoIterator<Item = Value>) -> Self {
        let mut answer = Self::events_without_done(events);
        answer.steps.push(Step::Send("data: [DONE]\n\n".into()));
        answer
    }

    pub(crate) fn events_without_done(events: impl IntoIterator<Item = Value>) -> Self {
        let steps = events.into_iter().map(|event| Step::Send(format!("data: {event}\n\n").into()));
        Self::of(200, "text/event-stream; charset=utf-8", steps.collect())
    }

    /// Words, the end, and what it cost.
    pub(crate) fn saying(words: &[&str]) -> Self {
        let mut events = vec![chunk(&json!({ "role": "assistant", "content": "" }), None)];
        events.extend(words.iter().map(|word| chunk(&json!({ "content": word }), None)));
        events.push(chunk(&json!({}), Some("stop")));
        events.push(usage());
        Self::events(events)
    }

    /// It never answers.
    pub(crate) fn silence() -> Self {
        Self { silent: true, ..Self::of(200, "text/plain", Vec::new()) }
    }

    pub(crate) fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// A chunk of an answer, as published.
pub(crate) fn chunk(delta: &Value, finish: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "small-2026",
        "system_fingerprint": "fp_1",
        "choices": [{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }],
    })
}

/// The chunk that tells what an answer has cost.
pub(crate) fn usage() -> Value {
    let mut chunk = chunk(&json!({}), None);
    chunk["choices"] = json!([]);
    chunk["usage"] = json!({
        "prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19,
        "prompt_tokens_details": { "cached_tokens": 5, "audio_tokens": 0 },
        "completion_tokens_details": { "reasoning_tokens": 3, "audio_tokens": 0 },
    });
    chunk
}

/// A piece of a call.
pub(crate) fn fragment(index: u32, id: Option<&str>, name: Option<&str>, arguments: &str) -> Value {
    let mut call = json!({ "index": index, "function": { "arguments": arguments } });
    if let (Some(id), Some(name)) = (id, name) {
        call["id"] = json!(id);
        call["type"] = json!("function");
        call["function"]["name"] = json!(name);
    }
    chunk(&json!({ "tool_calls": [call] }), None)
}

/// What the server was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) from: SocketAddr,
}

impl Asked {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }
}

#[derive(Debug, Default)]
struct Known {
    answers: VecDeque<Answer>,
    asked: Vec<Asked>,
    /// Answers that are over, whoever ended them.
    over: usize,
}

#[derive(Debug, Clone, Default)]
struct Shared(Arc<(Mutex<Known>, Condvar)>);

/// Tells that an answer is over, when it is dropped.
struct Over(Shared);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.0.0.lock().unwrap().over += 1;
        self.0.0.1.notify_all();
    }
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    shared: Shared,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts one with its answers, in order. When it has no more, it says so with status 599.
    pub(crate) fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket that tokio takes");
        let address = listener.local_addr().expect("an address");
        let shared = Shared::default();
        shared.0.0.lock().unwrap().answers.extend(answers);
        let app = Router::new().fallback(answer).with_state(shared.clone());
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    ended = axum::serve(listener, app) => ended.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Where its API begins.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Further answers.
    pub(crate) fn will(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.0.0.lock().unwrap().answers.extend(answers);
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.0.0.lock().unwrap().asked.clone()
    }

    /// Waits until so many answers are over.
    #[track_caller]
    pub(crate) fn over(&self, count: usize) {
        let (known, told) = &*self.shared.0;
        let known = known.lock().unwrap();
        let (_known, late) =
            told.wait_timeout_while(known, PATIENCE, |known| known.over < count).unwrap();
        assert!(!late.timed_out(), "{count} answers are not over after {PATIENCE:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

async fn answer(
    State(shared): State<Shared>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, Infallible> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, BODY_MAX).await.unwrap_or_default();
    let over = Over(shared.clone());
    let next = {
        let mut known = shared.0.0.lock().unwrap();
        let (method, path) = (head.method.to_string(), head.uri.path().to_owned());
        let is_head = method == "HEAD";
        known.asked.push(Asked { method, path, headers: head.headers, body, from });
        if is_head { None } else { Some(known.answers.pop_front()) }
    };
    // Whoever opens a connection beforehand takes no answer from the script.
    let Some(next) = next else { return Ok(Response::new(Body::empty())) };
    let next = next.unwrap_or_else(|| Answer::error(599, "the script has no more answers"));
    if next.silent {
        std::future::pending::<()>().await;
    }
    let status = StatusCode::from_u16(next.status).unwrap();
    let mut response = Response::builder().status(status);
    for (name, value) in &next.headers {
        response = response.header(*name, value);
    }
    let steps = stream::unfold((next.steps.into_iter(), over), async |(mut steps, over)| {
        let sent = match steps.next()? {
            Step::Send(bytes) => Ok(bytes),
            Step::Hang => std::future::pending().await,
            Step::Break => Err(std::io::Error::other("told to")),
        };
        // Each piece is a packet of its own, as far as that can be said.
        tokio::task::yield_now().await;
        Some((sent, (steps, over)))
    });
    Ok(response.body(Body::from_stream(steps)).unwrap())
}
