//! A stand-in for a provider of OpenAI's Realtime protocol: it accepts sockets, and a test says what it does with each.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

/// How long the stand-in waits for what it is to be sent.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whose names events have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    General,
    Beta,
}

/// A server, each of whose sockets is the next of its scripts.
pub(crate) struct Stand<T> {
    pub(crate) address: SocketAddr,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Stand<T> {
    pub(crate) fn start(script: impl FnOnce(TcpListener) -> T + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, thread: std::thread::spawn(move || script(listener)) }
    }

    /// What came of its script.
    #[track_caller]
    pub(crate) fn end(self) -> T {
        self.thread.join().unwrap_or_else(|_| panic!("the stand-in's script failed; see above"))
    }
}

/// One socket.
pub(crate) struct Line<S = TcpStream> {
    socket: WebSocket<S>,
    names: Names,
    pub(crate) uri: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Everything that was sent, but audio.
    pub(crate) sent: Vec<Value>,
    /// Samples of the user's, at 24 kHz.
    pub(crate) heard: Vec<i16>,
    events: u32,
}

pub(crate) fn accept(listener: &TcpListener, names: Names) -> Line {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    Line::greet(stream, names)
}

impl Line {
    /// Cuts the connection without a word.
    pub(crate) fn cut(self) -> (Vec<Value>, Vec<i16>) {
        self.socket.get_ref().shutdown(std::net::Shutdown::Both).unwrap();
        (self.sent, self.heard)
    }
}

impl<S: Read + Write> Line<S> {
    #[expect(clippy::result_large_err, reason = "the library's own kind of error")]
    pub(crate) fn greet(stream: S, names: Names) -> Self {
        let (mut uri, mut headers) = (String::new(), Vec::new());
        let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            uri = request.uri().to_string();
            let text = |value: &tungstenite::http::HeaderValue| {
                String::from_utf8_lossy(value.as_bytes()).into_owned()
            };
            headers = request.headers().iter().map(|(n, v)| (n.to_string(), text(v))).collect();
            Ok(response)
        };
        let socket = tungstenite::accept_hdr(stream, note).unwrap();
        Self { socket, names, uri, headers, sent: Vec::new(), heard: Vec::new(), events: 0 }
    }

    /// The same, up to the session that was asked for.
    pub(crate) fn ready(mut self) -> Self {
        self.tell(json!({ "type": "session.created", "session": session() }));
        self.until("session.update");
        self.tell(json!({ "type": "session.updated", "session": session() }));
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Sends an event, under the name that it has here.
    pub(crate) fn tell(&mut self, mut event: Value) {
        if self.names == Names::Beta {
            let beta = match event["type"].as_str().unwrap() {
                "response.output_audio.delta" => "response.audio.delta",
                "response.output_audio.done" => "response.audio.done",
                "response.output_audio_transcript.delta" => "response.audio_transcript.delta",
                "response.output_audio_transcript.done" => "response.audio_transcript.done",
                "conversation.item.added" => "conversation.item.created",
                same => same,
            };
            event["type"] = json!(beta);
        }
        self.events += 1;
        event["event_id"] = json!(format!("event_{}", self.events));
        self.raw(Message::text(event.to_string()));
    }

    pub(crate) fn raw(&mut self, message: Message) {
        self.socket.send(message).unwrap();
    }

    /// Sends what the other side may not want to hear to its end.
    pub(crate) fn too_much(&mut self, bytes: usize) {
        drop(self.socket.send(Message::text("x".repeat(bytes))));
    }

    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.socket.close(Some(frame)).unwrap();
    }

    /// The next event of this kind; audio before it is noted, and so is everything else.
    #[track_caller]
    pub(crate) fn until(&mut self, kind: &str) -> Value {
        loop {
            let event =
                self.next().unwrap_or_else(|| panic!("closed before {kind}: {:?}", self.sent));
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// Waits until it has heard so many samples.
    pub(crate) fn hear(&mut self, samples: usize) {
        while self.heard.len() < samples {
            assert!(self.next().is_some(), "closed after {} samples", self.heard.len());
        }
    }

    /// Whether the other side closes in order, and whatever it says before that is noted.
    pub(crate) fn ended(mut self) -> (bool, Vec<Value>) {
        while self.next().is_some() {}
        (!self.socket.can_read(), self.sent)
    }

    /// The next event; none if the other side closes.
    fn next(&mut self) -> Option<Value> {
        loop {
            let message = match self.socket.read() {
                Ok(message) => message,
                Err(tungstenite::Error::ConnectionClosed) => return None,
                Err(error) => panic!("{error}; so far {:?}", self.sent),
            };
            let Message::Text(text) = message else { continue };
            let event: Value = serde_json::from_str(&text).unwrap();
            if event["type"] == "input_audio_buffer.append" {
                let bytes = STANDARD.decode(event["audio"].as_str().unwrap()).unwrap();
                let samples = bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]]));
                self.heard.extend(samples);
            } else {
                self.sent.push(event.clone());
            }
            return Some(event);
        }
    }

    pub(crate) fn begin(&mut self, response: &str, item: &str) {
        self.tell(
            json!({ "type": "response.created", "response": answer(response, "in_progress", &[]) }),
        );
        self.item(response, item);
    }

    pub(crate) fn item(&mut self, response: &str, item: &str) {
        let whole = message(item, "in_progress");
        self.tell(json!({ "type": "response.output_item.added", "response_id": response, "output_index": 0,
            "item": whole }));
        self.tell(
            json!({ "type": "conversation.item.added", "previous_item_id": null, "item": whole }),
        );
    }

    /// Audio of an item, in pieces of 100 ms.
    pub(crate) fn say(&mut self, response: &str, item: &str, pcm: &[i16]) {
        for piece in pcm.chunks(2_400) {
            let bytes: Vec<u8> = piece.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            self.tell(json!({ "type": "response.output_audio.delta", "response_id": response, "item_id": item,
                "output_index": 0, "content_index": 0, "delta": STANDARD.encode(bytes) }));
        }
    }

    pub(crate) fn words(&mut self, response: &str, item: &str, text: &str) {
        self.tell(
            json!({ "type": "response.output_audio_transcript.delta", "response_id": response,
            "item_id": item, "output_index": 0, "content_index": 0, "delta": text }),
        );
    }

    /// The end of an item.
    pub(crate) fn whole(&mut self, response: &str, item: &str) -> Value {
        let whole = message(item, "completed");
        self.tell(
            json!({ "type": "response.output_audio.done", "response_id": response, "item_id": item,
            "output_index": 0, "content_index": 0 }),
        );
        self.tell(
            json!({ "type": "response.output_item.done", "response_id": response, "output_index": 0,
            "item": whole }),
        );
        whole
    }

    pub(crate) fn done(&mut self, response: &str, item: &str) {
        let whole = self.whole(response, item);
        self.over(response, "completed", &[whole]);
    }

    /// The end of an answer.
    pub(crate) fn over(&mut self, response: &str, status: &str, output: &[Value]) {
        self.tell(json!({ "type": "response.done", "response": answer(response, status, output) }));
    }

    /// The user's turn is an item.
    pub(crate) fn committed(&mut self, item: &str) {
        self.tell(json!({ "type": "input_audio_buffer.committed", "previous_item_id": null, "item_id": item }));
    }

    /// What the user said in it.
    pub(crate) fn written(&mut self, item: &str, text: &str) {
        self.tell(json!({ "type": "conversation.item.input_audio_transcription.completed", "item_id": item,
            "content_index": 0, "transcript": text, "usage": { "type": "duration", "seconds": 1 } }));
    }

    /// A whole answer.
    pub(crate) fn answer(&mut self, response: &str, item: &str, words: &str, pcm: &[i16]) {
        self.begin(response, item);
        self.words(response, item, words);
        self.say(response, item, pcm);
        self.done(response, item);
    }

    pub(crate) fn call(&mut self, response: &str, call: &str, arguments: &str) {
        self.calls(response, (call, "find"), arguments);
    }

    /// A call, in an answer that has begun or begins with it, and its end.
    pub(crate) fn calls(&mut self, response: &str, (call, name): (&str, &str), arguments: &str) {
        let item = json!({ "id": format!("item_{call}"), "object": "realtime.item", "type": "function_call",
            "status": "completed", "call_id": call, "name": name, "arguments": arguments });
        self.tell(
            json!({ "type": "response.created", "response": answer(response, "in_progress", &[]) }),
        );
        self.tell(json!({ "type": "response.function_call_arguments.done", "response_id": response,
            "item_id": item["id"], "output_index": 0, "call_id": call, "name": name, "arguments": arguments }));
        self.tell(
            json!({ "type": "response.output_item.done", "response_id": response, "output_index": 0,
            "item": item }),
        );
        self.tell(
            json!({ "type": "response.done", "response": answer(response, "completed", &[item]) }),
        );
    }

    pub(crate) fn error(&mut self, kind: &str, code: &str, message: &str, event: Option<&str>) {
        self.tell(json!({ "type": "error", "error": { "type": kind, "code": code, "message": message, "param": null,
            "event_id": event } }));
    }
}

fn session() -> Value {
    json!({ "type": "realtime", "object": "realtime.session", "id": "sess_1", "model": "talker-1",
        "output_modalities": ["audio"] })
}

fn message(item: &str, status: &str) -> Value {
    json!({ "id": item, "object": "realtime.item", "type": "message", "role": "assistant", "status": status,
        "content": [] })
}

fn answer(response: &str, status: &str, output: &[Value]) -> Value {
    json!({ "id": response, "object": "realtime.response", "status": status, "status_details": null,
        "output": output, "usage": { "input_tokens": 3, "output_tokens": 4, "total_tokens": 7 } })
}
