//! The meters of a process: scraped over HTTP while a call lasts, printed at its end, and the same
//! figures as in the call's own `metrics.json`.

mod program;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use antiphon::clock::Tick;
use antiphon::config;
use antiphon::host::overload::{Place, Stage};
use antiphon::host::pace::{Class, Clock};
use antiphon::host::shard::{Measured, Shard, Watch};
use antiphon::host::tools::{LiveTools, Workers};
use antiphon::record::meters::{Kind, METERS, Meter};
use antiphon::record::{Format, JobEnd, Meters, SessionEnd, SessionMeter, Timing};
use antiphon::session::Session;
use antiphon::session::input::Input;
use antiphon::session::output::Output;
use antiphon::session::plan::Plan;
use antiphon::slot::{Edge, Slot, Status};
use antiphon::tool::Registry;
use antiphon::web::access::Token;
use antiphon::web::scrape::pages;
use antiphon::web::server::{CONNECTIONS_MAX, HEAD_LEN_MAX, Server, StartError};
use antiphon::web::shed::shedding;
use crossbeam_channel::{Sender, bounded};
use program::{Desk, ran};
use serde_json::Value;

/// A desk that talks in tones, and hears a voice but no words: it needs no speech library.
const DESK: &str = "
name: desk
speech: { synthesiser: { engine: tone } }
agents:
  desk:
    greeting: Welcome to the corner shop, where you may return anything within thirty days of buying it.
    intents: [{ name: hours, phrases: [when are you open], say: From nine to six., end_call: true }]
";

/// A caller who talks over the greeting, and then types.
const CALLER: &str = "
cues:
  - { play: stop.wav, after: { agent_spoke_ms: 400 } }
  - { type: when are you open, after: { previous_ms: 1000 } }
";

const STOP: &[u8] = include_bytes!("../audio/caller-08-barge-in.wav");

const SECRET: &str = "correct-horse-battery";

/// How long a test waits for a byte: far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn desk() -> Desk {
    let desk = Desk::new();
    desk.put("desk.yaml", DESK);
    desk.put("caller.yaml", CALLER);
    desk.put("stop.wav", STOP);
    desk.put("token", format!("{SECRET}\n"));
    desk
}

// ---- A call that is scraped ---------------------------------------------------------------------

/// A call in real time.
struct Live {
    child: Child,
    /// Kept, so that the program can complain.
    _stderr: BufReader<ChildStderr>,
    events: BufReader<ChildStdout>,
    port: u16,
}

impl Live {
    fn start(desk: &Desk, metrics: &str) -> Self {
        let words = format!("run desk.yaml --input caller.yaml --out call --json {metrics}");
        let mut command = desk.command(env!("CARGO_BIN_EXE_antiphon"), &words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let events = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("text");
        let url = line.strip_prefix("metrics: http://").expect(&line);
        let address = url.strip_suffix("/metrics\n").expect(&line);
        let port = address.parse::<SocketAddr>().expect(address).port();
        Self { child, _stderr: stderr, events, port }
    }

    /// Waits for an event of this type, and returns it.
    fn until(&mut self, wanted: &str) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            self.events.read_line(&mut line).expect("text");
            assert!(!line.is_empty(), "the call ended without {wanted}");
            let event: Value = serde_json::from_str(&line).expect("an event is JSON");
            if event["type"] == wanted {
                return event;
            }
        }
    }
}

/// A test that fails leaves no call behind.
impl Drop for Live {
    fn drop(&mut self) {
        // Where it has ended, there is nothing to kill.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_live_call_is_scraped_while_it_lasts_and_printed_when_it_is_over() {
    let desk = desk();
    let mut live = Live::start(&desk, "--metrics 0");
    live.until("agent.speech_started");
    let early = live.scrape();
    assert_eq!(early.value("antiphon_sessions_active"), 1.0);
    assert_eq!(early.value("antiphon_interruptions_total"), 0.0);
    let lateness = "antiphon_tick_lateness_seconds_count";
    assert!(early.value(lateness) > 0.0, "ticks are measured");

    live.until("agent.interrupted");
    let late = live.scrape();
    assert_eq!(late.value("antiphon_interruptions_total"), 1.0);
    // The caller waited for 400 ms of speech: twenty ticks.
    assert!(late.value(lateness) >= early.value(lateness) + 20.0);

    let summary = live.until("summary");
    assert_eq!(live.child.wait().expect("it is ours").code(), Some(0));
    let text = summary["prometheus"].as_str().expect("the text is in the summary");
    let told = Text::check(text, Format::Prometheus);
    assert_eq!(told.value("antiphon_sessions_active"), 0.0);
    assert_eq!(told.value("antiphon_sessions_total{end=\"ended\"}"), 1.0);
    told.agrees_with(&metrics_json(&desk));
    assert!(told.value("antiphon_turns_total") >= 1.0, "the caller was understood");
    assert!(told.value("antiphon_interrupt_to_silence_seconds_count") >= 1.0);
    let late = told.value(lateness);
    assert_eq!(late, told.value("antiphon_ticks_total"), "each tick is measured");
    TcpStream::connect(("127.0.0.1", live.port)).expect_err("the server is gone");
}

#[test]
fn a_call_that_is_scraped_from_elsewhere_asks_for_the_token_of_a_file() {
    let desk = desk();
    let mut live = Live::start(&desk, "--metrics 0.0.0.0:0 --metrics-token-file token");
    live.until("agent.speech_started");
    let (head, body) = ask(live.port, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
    assert!(body.contains("Authorization: Bearer"), "{body}");
    let with =
        format!("GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\n\r\n");
    let (head, body) = ask(live.port, &with);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(!body.contains(SECRET));
    assert_eq!(Text::check(&body, Format::Prometheus).value("antiphon_sessions_active"), 1.0);

    let signal = Command::new("kill").args(["-INT", &live.child.id().to_string()]).status();
    assert!(signal.expect("there is a kill").success());
    let summary = live.until("summary");
    assert_eq!(live.child.wait().expect("it is ours").code(), Some(130));
    let text = summary["prometheus"].as_str().expect("the text is in the summary");
    let told = Text::check(text, Format::Prometheus);
    assert_eq!(told.value("antiphon_sessions_total{end=\"stopped\"}"), 1.0);
}

#[test]
fn the_demo_in_virtual_time_prints_what_its_metrics_say() {
    let desk = Desk::new();
    let ran = desk.run("demo --fast --out call --metrics").exits(0);
    assert!(ran.stderr.contains("metrics: http://127.0.0.1:"), "{}", ran.stderr);
    let begin = ran.stdout.find("# HELP").expect("the text comes after the summary");
    assert!(ran.stdout[..begin].ends_with("look at it: call/report.html\n"));
    let told = Text::check(&ran.stdout[begin..], Format::Prometheus);
    told.agrees_with(&metrics_json(&desk));
    assert!(told.value("antiphon_user_end_to_agent_start_seconds_count") >= 10.0);
    let events = desk.events("call");
    let moves = events.iter().filter(|event| event["type"] == "transition.executed");
    assert_eq!(told.value("antiphon_hand_overs_total"), moves.count() as f64);
    assert!(told.value("antiphon_tool_calls_total{outcome=\"failed\"}") >= 1.0);
    assert_eq!(told.value("antiphon_tick_lateness_seconds_count"), 0.0, "nothing is due");
}

// ---- Sessions without a folder ------------------------------------------------------------------

/// Looks on for so many ticks, and writes nothing.
struct Metered {
    meter: Option<SessionMeter>,
    ticks: u32,
    done: Sender<()>,
}

impl Watch for Metered {
    fn ticked(&mut self, slot: &mut Slot, measured: Measured) -> bool {
        let Measured { lateness_ns, step_ns, skipped, .. } = measured;
        let timing = Timing { lateness_ns: Some(lateness_ns), step_ns, skipped };
        let now = Tick(slot.session().tick().0.saturating_sub(1));
        if let Some(meter) = &mut self.meter {
            meter.tick(slot.plan(), now, slot.output(), timing);
        }
        self.ticks -= 1;
        self.ticks > 0
    }

    fn ended(&mut self, _slot: Slot, status: Status) {
        if let Some(meter) = self.meter.take() {
            meter.end(SessionEnd::from(&status));
        }
        self.done.try_send(()).expect("there is room for each session");
    }
}

/// An edge that fails its session in its third tick.
struct Faulty;

impl Edge for Faulty {
    fn give(&mut self, now: Tick, _input: &mut Input) {
        assert!(now < Tick(2), "on purpose");
    }

    fn take(&mut self, _now: Tick, _out: &Output) {}
}

#[test]
fn sessions_of_several_shards_feed_the_same_meters_without_a_folder() {
    const SESSIONS: u32 = 8;
    const TICKS: u32 = 10;
    let config = config::parse(b"{ name: echo, agents: { echo: { kind: echo } } }", "echo.yaml");
    let plan = Arc::new(Plan::new(config.expect("it is one")).expect("it can be planned"));
    let meters = Arc::new(Meters::new());
    let value =
        |name: &str| Text::check(&meters.text(Format::Prometheus), Format::Prometheus).value(name);
    let workers = Workers::start(Registry::default(), 1);
    let (done, ended) = bounded(SESSIONS as usize);
    let sessions: Vec<_> = (0..SESSIONS)
        .map(|number| {
            let session = Session::new(&plan, u64::from(number));
            let edges: Vec<Box<dyn Edge>> =
                if number == 0 { vec![Box::new(Faulty)] } else { Vec::new() };
            let (overruns, _) = bounded(1);
            let tools = LiveTools::new(workers.clone(), number.to_string(), overruns);
            let slot = Slot::new(Arc::clone(&plan), session, edges, Box::new(tools), None);
            let meter = Some(SessionMeter::begin(&meters));
            (slot, Metered { meter, ticks: TICKS, done: done.clone() })
        })
        .collect();
    assert_eq!(value("antiphon_sessions_active"), f64::from(SESSIONS));

    let shards = [(); 2].map(|()| Shard::start(Class::Normal).expect("there is a thread"));
    for (number, (slot, watch)) in sessions.into_iter().enumerate() {
        assert!(shards[number % 2].admit(slot, Box::new(watch)));
    }
    for _ in 0..SESSIONS {
        ended.recv_timeout(PATIENCE).expect("each session ends");
    }
    assert_eq!(value("antiphon_sessions_active"), 0.0);
    assert_eq!(value("antiphon_sessions_total{end=\"panicked\"}"), 1.0);
    assert_eq!(value("antiphon_sessions_total{end=\"stopped\"}"), f64::from(SESSIONS - 1));
    let ticks = f64::from((SESSIONS - 1) * TICKS + 3);
    for name in ["antiphon_ticks_total", "antiphon_tick_lateness_seconds_count"] {
        assert_eq!(value(name), ticks, "{name}");
    }
}

// ---- What is refused ----------------------------------------------------------------------------

#[test]
fn a_call_whose_metrics_cannot_be_served_does_not_begin() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let port = taken.local_addr().expect("it is bound").port();
    let desk = desk();
    desk.put("short", "abc");
    for (metrics, words) in [
        (
            format!("--metrics {port}"),
            format!("127.0.0.1:{port} cannot be served: the port is taken"),
        ),
        ("--metrics 0.0.0.0:0".into(), "set ANTIPHON_METRICS_TOKEN".into()),
        ("--metrics [::]:0".into(), "can be reached from other machines".into()),
        ("--metrics here".into(), "like 127.0.0.1:9100".into()),
        ("--metrics 65536".into(), "from 0 to 65535".into()),
        ("--metrics 0 --metrics-token-file no".into(), "no: the token cannot be read".into()),
        ("--metrics 0 --metrics-token-file short".into(), "short: a token has 16".into()),
        ("--metrics-token-file token".into(), "--metrics".into()),
    ] {
        let run = format!("run desk.yaml --input caller.yaml --out call --fast {metrics}");
        let ran = desk.run(&run).exits(2);
        assert!(ran.stderr.contains(&words), "{metrics}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{metrics}");
        assert!(!desk.dir.path().join("call").exists(), "{metrics}: nothing is written");
    }
}

#[test]
fn a_token_of_the_environment_guards_as_one_of_a_file() {
    let desk = desk();
    let run = |token: &str| {
        let words = "run desk.yaml --input caller.yaml --out call --fast --metrics 0.0.0.0:0";
        let mut command = desk.command(env!("CARGO_BIN_EXE_antiphon"), words);
        ran(command.env("ANTIPHON_METRICS_TOKEN", token))
    };
    let refused = run("a token of many words").exits(2).stderr;
    assert!(refused.contains("ANTIPHON_METRICS_TOKEN: a token is one word"), "{refused}");
    run(SECRET).exits(0);
}

// ---- The server ---------------------------------------------------------------------------------

/// A server of meters at zero.
fn server() -> Server {
    let pages = pages(Arc::new(Meters::new()));
    Server::start(here(), None, pages).expect("there is a free port")
}

fn here() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[test]
fn only_the_page_of_the_meters_is_there_and_only_read() {
    let server = server();
    let port = server.address().port();
    let request = |line: &str| ask(port, &format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let (get, body) = request("GET /metrics");
    assert!(get.starts_with("HTTP/1.1 200 OK\r\n"), "{get}");
    assert!(get.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{get}");
    Text::check(&body, Format::Prometheus);

    let (head, nothing) = request("HEAD /metrics");
    let without_date = |head: &str| -> Vec<String> {
        head.lines().filter(|line| !line.starts_with("date:")).map(str::to_owned).collect()
    };
    assert_eq!(without_date(&head), without_date(&get), "the head is that of a GET");
    assert_eq!(nothing, "");

    let (post, hint) = request("POST /metrics");
    assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("allow: GET,HEAD\r\n"), "{post}");
    assert!(hint.contains("GET"), "{hint}");
    for path in ["/", "/metric", "/metrics/", "/../metrics"] {
        let (missing, hint) = request(&format!("GET {path}"));
        assert!(missing.starts_with("HTTP/1.1 404 "), "{path}: {missing}");
        assert!(hint.contains("/metrics"), "{path}: {hint}");
    }
}

#[test]
fn who_asks_for_openmetrics_gets_it() {
    let server = server();
    // What Prometheus sends.
    let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2";
    let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n");
    let (head, body) = ask(server.address().port(), &request);
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    Text::check(&body, Format::OpenMetrics);
}

#[test]
fn while_there_is_too_much_to_do_the_page_is_one_of_some_seconds_ago_and_says_so() {
    let meters = Arc::new(Meters::new());
    let server = Server::start(here(), None, pages(Arc::clone(&meters))).expect("a free port");
    let get = || ask(server.address().port(), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    meters.place().set(Stage::Full);
    meters.job(JobEnd::Refused);
    let refused = "antiphon_jobs_total{outcome=\"refused\"}";
    let (_, body) = get();
    let found = Text::check(&body, Format::Prometheus);
    assert_eq!((found.value(refused), found.value("antiphon_overload_stage")), (1.0, 1.0));

    meters.place().set(Stage::Sparing);
    let (_, first) = get();
    meters.job(JobEnd::Refused);
    let (head, second) = get();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("age: "), "{head}");
    assert_eq!(second, first, "it is made once");
    assert_eq!(meters.place().shed(), 1);
    let openmetrics =
        "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\n\r\n";
    let (_, other) = ask(server.address().port(), openmetrics);
    let other = Text::check(&other, Format::OpenMetrics);
    assert_eq!(other.value(refused), 2.0, "each format has its own");

    meters.place().set(Stage::Calm);
    let (_, body) = get();
    let found = Text::check(&body, Format::Prometheus);
    assert_eq!((found.value(refused), found.value("antiphon_overload_shed_total")), (2.0, 1.0));
}

#[test]
fn a_page_that_is_left_out_says_when_to_come_again() {
    let place = Place::default();
    let shown = shedding(pages(Arc::new(Meters::new())), place.clone());
    let server = Server::start(here(), None, shown).expect("a free port");
    let get = || ask(server.address().port(), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    place.set(Stage::Full);
    assert!(get().0.starts_with("HTTP/1.1 200 "));
    place.set(Stage::Sparing);
    let (head, why) = get();
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after: 5\r\n"), "{head}");
    assert!(why.contains("come again"), "{why}");
    assert_eq!(place.shed(), 1);
}

#[test]
fn an_address_of_all_networks_is_served_to_the_token_alone() {
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let pages = || pages(Arc::new(Meters::new()));
    let refused = Server::start(everywhere, None, pages());
    assert!(matches!(refused, Err(StartError::Unguarded(_))), "{refused:?}");

    let token = Token::new(SECRET).expect("it is one");
    let server = Server::start(everywhere, Some(token), pages()).expect("there is a free port");
    let port = server.address().port();
    let status = |path: &str, header: &str| {
        let (head, _) = ask(port, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n"));
        head.split(' ').nth(1).expect("a status").to_owned()
    };
    let right = format!("Authorization: Bearer {SECRET}\r\n");
    let wrong = format!("Authorization: Bearer {}x\r\n", &SECRET[..SECRET.len() - 1]);
    assert_eq!(status("/metrics", ""), "401");
    assert_eq!(status("/metrics", &wrong), "401");
    // Who has no token does not learn what is there.
    assert_eq!(status("/nothing", ""), "401");
    assert_eq!(status("/metrics", &right), "200");
    assert_eq!(status("/nothing", &right), "404");
}

#[test]
fn slow_clients_are_shown_out_and_others_get_their_page() {
    let server = server();
    let port = server.address().port();
    let mut slow: Vec<_> = (0..CONNECTIONS_MAX).map(|_| connect(port)).collect();
    for client in &mut slow {
        client.write_all(b"GET /metrics HTTP/1.1\r\nHost: ").expect("it is taken");
    }
    // All places are taken; this one waits for the first that is free.
    let (head, _) = ask(port, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    for mut client in slow {
        let mut rest = String::new();
        client.read_to_string(&mut rest).expect("it is closed, within the test's patience");
        assert!(!rest.contains("antiphon_"), "{rest}");
    }
}

#[test]
fn those_who_hold_places_and_come_back_do_not_keep_a_scraper_out() {
    const HOGS: usize = 200;
    const SCRAPE_NS_MAX: u64 = 2_000_000_000;
    let server = server();
    let port = server.address().port();
    let over = Arc::new(AtomicBool::new(false));
    let (came, connected) = bounded(HOGS);
    let hog = |_| {
        let (over, came) = (Arc::clone(&over), came.clone());
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                // At the end nobody is there to connect to.
                let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return };
                // It may have been shown out already.
                drop(stream.write_all(b"GET /metrics HTTP/1.1\r\n"));
                came.try_send(()).ok();
                drop(stream.read_to_end(&mut Vec::new()));
            }
        })
    };
    let hogs: Vec<_> = (0..HOGS).map(hog).collect();
    (0..HOGS).for_each(|_| connected.recv_timeout(PATIENCE).expect("they come"));

    let clock = Clock::default();
    for _ in 0..3 {
        let begun = clock.now();
        let (head, _) = ask(port, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        let took_ns = clock.now().since_ns(begun);
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        println!("a scrape took {} ms", took_ns / 1_000_000);
        assert!(took_ns < SCRAPE_NS_MAX, "a scrape took {took_ns} ns");
    }
    over.store(true, Ordering::Relaxed);
    drop(server);
    hogs.into_iter().for_each(|hog| hog.join().expect("a hog leaves"));
}

#[test]
fn a_head_without_end_is_refused() {
    let server = server();
    let mut client = connect(server.address().port());
    client.write_all(b"GET /metrics HTTP/1.1\r\n").expect("it is taken");
    let line = [b"X: ".as_slice(), &[b'x'; 1_000], b"\r\n"].concat();
    // The server may close before all is sent.
    let sent = (0..2 * HEAD_LEN_MAX / line.len()).all(|_| client.write_all(&line).is_ok());
    let mut answer = Vec::new();
    let read = client.read_to_end(&mut answer);
    let is_shut_out = read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
    let is_refused = answer.starts_with(b"HTTP/1.1 431 ") || !sent || is_shut_out;
    assert!(is_refused, "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn a_server_is_gone_when_it_is_dropped_whoever_is_connected() {
    let server = server();
    let port = server.address().port();
    let mut idle = connect(port);
    idle.write_all(b"GET").expect("it is taken");
    drop(server);
    idle.read_to_end(&mut Vec::new()).ok();
    TcpStream::connect(("127.0.0.1", port)).expect_err("nobody listens");
    TcpListener::bind(("127.0.0.1", port)).expect("the port is free again");
}

// ---- Asking -------------------------------------------------------------------------------------

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server is there");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    stream
}

/// Sends a request; the head of the answer, and its body.
fn ask(port: u16, request: &str) -> (String, String) {
    let mut stream = connect(port);
    stream.write_all(request.as_bytes()).expect("it is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text, and the connection is closed after it");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    (format!("{head}\r\n"), body.to_owned())
}

impl Live {
    fn scrape(&self) -> Text {
        let (head, body) = ask(self.port, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        Text::check(&body, Format::Prometheus)
    }
}

fn metrics_json(desk: &Desk) -> Value {
    let path = desk.dir.path().join("call/metrics.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("a call has metrics")).expect("JSON")
}

// ---- The format ---------------------------------------------------------------------------------

/// A text of meters that a scraper can read.
struct Text(Vec<(String, f64)>);

impl Text {
    /// Insists on the rules of the format, and on all meters in their order.
    #[track_caller]
    fn check(text: &str, format: Format) -> Self {
        let mut samples = Vec::new();
        let mut rest = text;
        for meter in METERS {
            rest = check_meter(rest, meter, format, &mut samples);
        }
        let end = if format == Format::OpenMetrics { "# EOF\n" } else { "" };
        assert_eq!(rest, end, "what follows the last meter");
        Self(samples)
    }

    #[track_caller]
    fn value(&self, name: &str) -> f64 {
        let found = self.0.iter().find(|(sample, _)| sample == name);
        found.unwrap_or_else(|| panic!("no sample {name}")).1
    }

    /// Insists on the counts, and on the number and the sum of the latencies, of the call's own metrics.
    #[track_caller]
    fn agrees_with(&self, metrics: &Value) {
        for (name, key) in [
            ("antiphon_ticks_total", "ticks"),
            ("antiphon_tick_skipped_total", "skipped_ticks"),
            ("antiphon_turns_total", "turns"),
            ("antiphon_interruptions_total", "interruptions"),
            ("antiphon_false_interruptions_total", "false_interruptions"),
            ("antiphon_backchannels_total", "backchannels"),
            ("antiphon_hand_overs_total", "hand_overs"),
            ("antiphon_tool_calls_total{outcome=\"failed\"}", "tool_failures"),
            ("antiphon_tool_deferred_total", "deferred"),
            ("antiphon_recogniser_failures_total", "recogniser_failures"),
            ("antiphon_synthesiser_failures_total", "synthesiser_failures"),
        ] {
            assert_eq!(Some(self.value(name)), metrics[key].as_f64(), "{name} and {key}");
        }
        for (name, key) in [
            ("antiphon_user_end_to_agent_start_seconds", "response_latency_ms"),
            ("antiphon_interrupt_to_silence_seconds", "yield_latency_ms"),
        ] {
            let count = self.value(&format!("{name}_count"));
            assert_eq!(Some(count), metrics[key]["count"].as_f64(), "{name} and {key}");
            let mean_ms = metrics[key]["mean"].as_f64().unwrap_or(0.0);
            let sum_ms = self.value(&format!("{name}_sum")) * 1_000.0;
            // The mean is told to a tenth.
            assert!((sum_ms - mean_ms * count).abs() <= 0.05 * count + 1e-6, "{name}: {sum_ms}");
        }
    }
}

/// Takes one meter from the text, with what the format says of its kind; the rest.
#[track_caller]
fn check_meter<'a>(
    text: &'a str,
    meter: &Meter,
    format: Format,
    samples: &mut Vec<(String, f64)>,
) -> &'a str {
    let Meter { name, kind, unit, help } = *meter;
    let is_name = |name: &str| {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
        name.chars().all(legal) && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    assert!(is_name(name), "{name}");
    // OpenMetrics names the family, Prometheus the sample.
    let open = format == Format::OpenMetrics;
    let family =
        if open { name.trim_end_matches("_total").trim_end_matches("_info") } else { name };
    let told = if kind == Kind::Info && !open { Kind::Gauge } else { kind };
    let mut head = format!("# HELP {family} {help}.\n# TYPE {family} {told}\n");
    if open && kind == Kind::Histogram {
        assert!(family.ends_with(unit), "{family} ends with its unit");
        writeln!(head, "# UNIT {family} {unit}").expect("a string takes all");
    }
    let rest = text.strip_prefix(&head);
    let rest = rest.unwrap_or_else(|| panic!("no {head:?} at the beginning of {text:?}"));
    let end = rest.find("# ").unwrap_or(rest.len());
    let (lines, rest) = rest.split_at(end);
    let (mut bucket, mut bound) = (0.0, f64::NEG_INFINITY);
    let mut found: Vec<(String, f64)> = Vec::new();
    for line in lines.lines() {
        let (sample, value) = line.rsplit_once(' ').expect(line);
        let value: f64 = value.parse().expect(line);
        assert!(value >= 0.0 && value.is_finite(), "{line}");
        let (base, labels) = sample.split_once('{').unwrap_or((sample, "}"));
        let labels = labels.strip_suffix('}').expect(line);
        let label = labels.split_once("=\"").map(|(key, value)| {
            let value = value.strip_suffix('"').expect(line);
            assert!(is_name(key) && !value.contains(['"', '\\', '\n', ',']), "{line}");
            (key, value)
        });
        match kind {
            Kind::Counter => assert!(base == name && value.fract() == 0.0, "{line}"),
            Kind::Gauge => assert_eq!((base, label), (name, None), "{line}"),
            Kind::Info => assert!(base == name && value == 1.0 && label.is_some(), "{line}"),
            Kind::Histogram => match base.strip_prefix(name) {
                Some("_bucket") => {
                    let ("le", le) = label.expect(line) else { panic!("{line}") };
                    let le: f64 = le.parse().expect(line);
                    assert!(le > bound && value >= bucket, "{line} is out of order");
                    (bound, bucket) = (le, value);
                }
                Some("_sum" | "_count") => assert_eq!(label, None, "{line}"),
                _ => panic!("{line} is no sample of {name}"),
            },
        }
        assert!(found.iter().all(|(other, _)| other != sample), "{sample} is there twice");
        found.push((sample.to_owned(), value));
    }
    assert!(!found.is_empty(), "{name} has no sample");
    if kind == Kind::Histogram {
        assert_eq!(bound, f64::INFINITY, "{name} has a bucket for all");
        let count = found.iter().find(|(sample, _)| *sample == format!("{name}_count"));
        assert_eq!(count.expect("a histogram has a count").1, bucket, "{name}");
    }
    samples.append(&mut found);
    rest
}
