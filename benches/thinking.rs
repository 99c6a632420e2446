//! What Antiphon adds to a turn with a model: `cargo bench --all-features --bench thinking`.
//!
//! A session on a shard in real time, a model behind HTTP on this machine that answers at once, a synthesiser that speaks at
//! once; then a model that hears and speaks by itself, behind a WebSocket. What is measured is what lies between them: it is all that a faster model could not mend.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use antiphon::clock::Tick;
use antiphon::config;
use antiphon::generate::live::{LiveMinds, Models};
use antiphon::host::pace::{Class, Clock, Moment};
use antiphon::host::shard::{Measured, Shard, Watch};
use antiphon::host::tools::{LiveTools, WORKERS, Workers};
use antiphon::id::{ItemId, LaneId};
use antiphon::model::live::{LiveMouth, MouthPool};
use antiphon::model::{SpeechError, Synthesiser};
use antiphon::provider;
use antiphon::provider::natives::{LiveNatives, Talkers};
use antiphon::seed::Seed;
use antiphon::session::Session;
use antiphon::session::event::EventKind;
use antiphon::session::input::{Inbound, Input};
use antiphon::session::output::Output;
use antiphon::session::plan::Plan;
use antiphon::slot::{Edge, Slot, Status};
use antiphon::tool::Registry;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crossbeam_channel::{Sender, bounded};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message};

/// Turns: half of them are interrupted.
const TURNS: u32 = 60;

const TICK_MS: u64 = 20;

/// Between the end of an answer and the next turn.
const PAUSE_TICKS: u64 = 7;

/// An answer of two sentences; the first is whole with the space after it.
const ANSWER: [&str; 4] = ["One", " moment. ", "And then", " some more."];

/// When the last request came, when the piece was sent that makes the first sentence whole, and when its synthesis was asked
/// for and its first audio given; in nanoseconds of the clock, 0 if it has not been.
#[derive(Debug, Default)]
struct Marks {
    request: AtomicU64,
    sentence: AtomicU64,
    synthesis: AtomicU64,
}

fn ns(moment: Moment) -> u64 {
    moment.since_ns(moment.before_ns(u64::MAX))
}

fn mark(mark: &AtomicU64) {
    let _ =
        mark.compare_exchange(0, ns(Clock::default().now()), Ordering::Relaxed, Ordering::Relaxed);
}

/// A server that answers each request at once, and keeps its connections.
fn serve(listener: TcpListener, marks: Arc<Marks>) {
    for stream in listener.incoming() {
        let (Ok(stream), marks) = (stream, Arc::clone(&marks)) else { return };
        std::thread::spawn(move || while answer(&stream, &marks).is_some() {});
    }
}

fn answer(stream: &TcpStream, marks: &Marks) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((_, value)) =
            line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    std::io::Read::read_exact(&mut reader, &mut body).ok()?;
    let mut out = stream;
    if !first.starts_with("POST") {
        return out.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").ok();
    }
    mark(&marks.request);
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    out.write_all(head.as_bytes()).ok()?;
    for (at, text) in ANSWER.iter().enumerate() {
        let event = serde_json::json!({
            "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": null }],
        });
        let data = format!("data: {event}\n\n");
        if at == 1 {
            mark(&marks.sentence);
        }
        out.write_all(format!("{:x}\r\n{data}\r\n", data.len()).as_bytes()).ok()?;
    }
    let data = "data: [DONE]\n\n";
    out.write_all(format!("{:x}\r\n{data}\r\n0\r\n\r\n", data.len()).as_bytes()).ok()
}

/// A synthesiser that speaks half a second at once.
struct AtOnce(Arc<Marks>);

impl Synthesiser for AtOnce {
    fn rate_hz(&self) -> u32 {
        16_000
    }

    fn speak(
        &mut self,
        _: &str,
        _: &str,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), SpeechError> {
        mark(&self.0.synthesis);
        let _ = sink(&[3_000; 8_000]);
        Ok(())
    }

    fn voices(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Somebody who types when the agent has been silent for a while, and every other time into its answer.
struct Typist {
    turns: u32,
    quiet: u64,
    speaks: u64,
}

impl Edge for Typist {
    fn give(&mut self, now: Tick, input: &mut Input) {
        if now == Tick(0) {
            input.inbound.push(Inbound::Joined { lane: LaneId(0), name: "ann".into() });
        }
        let due = if self.turns % 2 == 1 { self.speaks == 5 } else { self.quiet == PAUSE_TICKS };
        if self.turns == TURNS {
            if self.quiet > 50 {
                input.inbound.push(Inbound::HangUp { reason: "done".into() });
            }
        } else if due {
            self.turns += 1;
            (self.quiet, self.speaks) = (0, 0);
            input
                .inbound
                .push(Inbound::UserText { lane: LaneId(0), text: format!("turn {}", self.turns) });
        }
    }

    fn take(&mut self, _: Tick, out: &Output) {
        if out.agent_speech {
            (self.quiet, self.speaks) = (0, self.speaks + 1);
        } else {
            (self.quiet, self.speaks) = (self.quiet + 1, 0);
        }
    }
}

/// What is measured, in microseconds.
struct Figures {
    request: Histogram<u64>,
    synthesis: Histogram<u64>,
    sent: Histogram<u64>,
    silence_ticks: Histogram<u64>,
}

struct Look {
    clock: Clock,
    marks: Arc<Marks>,
    /// When the tick of the turn was due.
    turn: Option<u64>,
    cut: Option<(Tick, ItemId)>,
    figures: Arc<Mutex<Figures>>,
    done: Sender<()>,
}

impl Watch for Look {
    fn ticked(&mut self, slot: &mut Slot, measured: Measured) -> bool {
        let now_ns = ns(self.clock.now());
        let Some(now) = slot.done() else { return false };
        let mut figures = self.figures.lock().unwrap();
        let due = now_ns - measured.lateness_ns - measured.step_ns;
        let out = slot.output();
        for event in &out.events {
            match &event.kind {
                EventKind::UserMessage { .. } => {
                    for mark in [&self.marks.request, &self.marks.sentence, &self.marks.synthesis] {
                        mark.store(0, Ordering::Relaxed);
                    }
                    self.turn = Some(due);
                }
                EventKind::AgentInterrupted { item, .. } => self.cut = Some((now, *item)),
                EventKind::AgentSpeechStarted { .. } => {
                    let at = |mark: &AtomicU64| mark.load(Ordering::Relaxed);
                    let (request, sentence, synthesis) = (
                        at(&self.marks.request),
                        at(&self.marks.sentence),
                        at(&self.marks.synthesis),
                    );
                    if let Some(turn) = self.turn.take().filter(|_| synthesis > 0) {
                        let us = |from: u64, to: u64| to.saturating_sub(from) / 1_000;
                        figures.request.saturating_record(us(turn, request));
                        figures.synthesis.saturating_record(us(sentence, synthesis));
                        figures.sent.saturating_record(us(synthesis, now_ns));
                    }
                }
                _ => {}
            }
        }
        // A model that answers at once is heard in the very next tick: that is no sound of what was cut.
        let is_over = |cut: ItemId| match out.played.as_slice() {
            [] => out.audio.iter().all(|sample| *sample == 0),
            played => played.iter().all(|played| played.item > cut),
        };
        if let Some((cut, _)) = self.cut.filter(|(at, item)| *at < now && is_over(*item)) {
            figures.silence_ticks.saturating_record(now.since(cut));
            self.cut = None;
        }
        true
    }

    fn ended(&mut self, _: Slot, status: Status) {
        assert_eq!(status, Status::Ended);
        self.done.send(()).expect("somebody waits for the end");
    }
}

/// A model that hears and speaks, and answers each question at once with half a second of sound.
fn speak(listener: &TcpListener, marks: &Marks) {
    let Ok((stream, _)) = listener.accept() else { return };
    stream.set_nodelay(true).expect("a socket");
    let mut socket = tungstenite::accept(stream).expect("a client that knows how");
    let mut answers = 0;
    let sound: Vec<u8> =
        [3_000_i16; 12_000].iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let sound = STANDARD.encode(sound);
    while let Ok(message) = socket.read() {
        let Ok(text) = message.into_text() else { continue };
        let Ok(event) = serde_json::from_str::<Value>(text.as_str()) else { continue };
        let events = match event["type"].as_str() {
            Some("session.update") => vec![json!({ "type": "session.updated", "session": {} })],
            Some("response.create") => {
                mark(&marks.request);
                answers += 1;
                let (response, item) = (format!("r{answers}"), format!("i{answers}"));
                let whole =
                    json!({ "id": item, "type": "message", "role": "assistant", "content": [] });
                vec![
                    json!({ "type": "response.created", "response": { "id": response } }),
                    json!({ "type": "response.output_item.added", "response_id": response, "item": whole }),
                    json!({ "type": "response.output_audio_transcript.delta", "response_id": response, "item_id": item,
                        "delta": "One moment." }),
                    json!({ "type": "response.output_audio.delta", "response_id": response, "item_id": item, "delta": sound }),
                    json!({ "type": "response.output_item.done", "response_id": response, "item": whole }),
                    json!({ "type": "response.done", "response": { "id": response, "status": "completed", "output": [] } }),
                ]
            }
            _ => Vec::new(),
        };
        for event in events {
            if event["type"] == "response.output_audio.delta" {
                mark(&marks.sentence);
                mark(&marks.synthesis);
            }
            if socket.send(Message::text(event.to_string())).is_err() {
                return;
            }
        }
    }
}

/// Holds a call with somebody who types.
fn hold(plan: Plan, marks: Arc<Marks>, engines: Vec<Box<dyn Edge>>) -> Figures {
    let plan = Arc::new(plan);
    let mut edges: Vec<Box<dyn Edge>> = vec![Box::new(Typist { turns: 0, quiet: 0, speaks: 0 })];
    edges.extend(engines);
    let tools =
        LiveTools::new(Workers::start(Registry::default(), WORKERS), "bench".into(), bounded(1).0);
    let slot = Slot::new(Arc::clone(&plan), Session::new(&plan, 1), edges, Box::new(tools), None);
    let of = || Histogram::new_with_max(60_000_000, 3).expect("a minute, three digits");
    let figures = Figures { request: of(), synthesis: of(), sent: of(), silence_ticks: of() };
    let figures = Arc::new(Mutex::new(figures));
    let (done, finished) = bounded(1);
    let clock = Clock::default();
    let look = Look { clock, marks, turn: None, cut: None, figures: Arc::clone(&figures), done };
    let shard = Shard::start(Class::RealTime).expect("a thread");
    assert!(shard.admit(slot, Box::new(look)));
    finished.recv().expect("the call ends");
    shard.stop();
    Arc::into_inner(figures).expect("nobody looks any more").into_inner().expect("no panic")
}

fn planned(yaml: &str) -> Plan {
    let config = config::parse(yaml.as_bytes(), "bench").unwrap_or_else(|wrong| panic!("{wrong}"));
    Plan::new(config).expect("it was checked")
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let handle = runtime.handle().clone();
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));

    let marks = Arc::new(Marks::default());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/v1", listener.local_addr().expect("it is bound"));
    let served = Arc::clone(&marks);
    std::thread::spawn(move || serve(listener, served));
    let plan = planned(&format!(
        "{{ name: bench, audio: {{ tick_ms: {TICK_MS}, rate_hz: 16000 }}, speech: {{ synthesiser: {{ engine: tone }} }}, \
         models: {{ m: {{ base_url: '{url}', model: m }} }}, agents: {{ a: {{ kind: model, model: m }} }} }}"
    ));
    let models = provider::Models::new(&plan.config.models, &|_| None).expect("they need no key");
    let models: Models =
        models.names().filter_map(|name| Some((name.to_owned(), models.get(name)?))).collect();
    let (spoken, rate) = (Arc::clone(&marks), plan.rate);
    let pool = MouthPool::start(2, move || Ok(Box::new(AtOnce(Arc::clone(&spoken)))));
    let engines: Vec<Box<dyn Edge>> = vec![
        Box::new(LiveMouth::new(pool.expect("it has no needs"), None, rate, 500)),
        Box::new(LiveMinds::new(Arc::new(models), handle.clone())),
    ];
    let figures = hold(plan, marks, engines);
    println!("a model behind HTTP, and a synthesiser");
    line("tick of the turn's end, due → request at the server", &figures.request, "≤ 25 ms");
    line("piece that ends a sentence, sent → synthesis asked for", &figures.synthesis, "≤ 25 ms");
    line("first audio, made → given to be sent", &figures.sent, "≤ 25 ms");
    silence(&figures.silence_ticks);

    let marks = Arc::new(Marks::default());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/v1", listener.local_addr().expect("it is bound"));
    let served = Arc::clone(&marks);
    std::thread::spawn(move || speak(&listener, &served));
    let plan = planned(&format!(
        "{{ name: bench, audio: {{ tick_ms: {TICK_MS}, rate_hz: 16000 }}, models: {{ m: {{ base_url: '{url}', model: m }} }}, \
         agents: {{ a: {{ kind: native, model: m }} }} }}"
    ));
    let talker = provider::Talker::new(
        "m",
        &plan.config.models["m"],
        &|_| None,
        &mut provider::Clients::default(),
    );
    let talkers = Talkers::from([("m".to_owned(), talker.expect("it needs no key"))]);
    let natives = LiveNatives::new(Arc::new(talkers), handle, plan.rate, Seed::new(1));
    let figures = hold(plan, marks, vec![Box::new(natives)]);
    println!("a model that hears and speaks, behind a WebSocket");
    line("tick of the turn's end, due → request at the server", &figures.request, "≤ 25 ms");
    line("first audio at the server → given to be sent", &figures.sent, "≤ 25 ms");
    silence(&figures.silence_ticks);
}

fn line(what: &str, of: &Histogram<u64>, bound: &str) {
    let ms = |us: u64| us as f64 / 1_000.0;
    println!(
        "  {what:<56} p50 {:>6.1}  p90 {:>6.1}  p99 {:>6.1}  max {:>6.1} ms   {bound}   n = {}",
        ms(of.value_at_quantile(0.5)),
        ms(of.value_at_quantile(0.9)),
        ms(of.value_at_quantile(0.99)),
        ms(of.max()),
        of.len()
    );
}

fn silence(ticks: &Histogram<u64>) {
    println!(
        "  interruption, confirmed → silence: at most {} ticks, p50 {}   ≤ 2 ticks   n = {}",
        ticks.max(),
        ticks.value_at_quantile(0.5),
        ticks.len()
    );
}
