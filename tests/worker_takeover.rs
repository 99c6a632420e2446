//! Workers that share their calls: when one is killed, another goes on where its journal ends; one that only seemed to
//! be dead ends without writing.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use antiphon::host::pace::{Clock, pause};
use rooms::peer::{LOUD_DBFS, Peer};
use rooms::server::{Options, Server};
use rooms::worker::{Worker, dispatch};
use rooms::{PATIENCE, number, room};
use serde_json::{Value, json};
use tempfile::TempDir;

const DESK: &str = "
name: desk
speech: { synthesiser: { engine: tone } }
call: { alone_ms: 300 }
agents:
  desk:
    greeting: Hello.
    tools: [pay, look]
    intents:
      - { name: bye, phrases: [goodbye], say: Until next time., end_call: true }
      - { name: story, phrases: [a long story], say: \"Once upon a time there was a desk, and it stood in a hall, and the hall was long, and at its end there was a door, and behind the door there was another desk, and nobody had ever sat there.\" }
      - { name: pay, phrases: [pay], call: { tool: pay }, then: It is paid., failed: 'Nobody knows: {error}.' }
      - { name: look, phrases: [look], call: { tool: look }, then: I have looked. }
tools:
  pay: { timeout_ms: 60000, process: { command: [sh, -c, 'echo pay $ANTIPHON_IDEMPOTENCY_KEY >> $LOG; sleep 3; echo 1'], env: { LOG: '${LOG}' } } }
  look: { timeout_ms: 60000, idempotent: true, process: { command: [sh, -c, 'echo look $ANTIPHON_IDEMPOTENCY_KEY >> $LOG; sleep 3; echo 1'], env: { LOG: '${LOG}' } } }
";

/// A folder that workers share, and a server.
struct Stage {
    server: Server,
    folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Self { server: Server::start(&Options::default()), folder }
    }

    /// A worker that goes on with others' calls.
    #[track_caller]
    fn worker(&self) -> Worker {
        self.worker_of(DESK)
    }

    /// The same, with this configuration.
    #[track_caller]
    fn worker_of(&self, config: &str) -> Worker {
        let (shared, out) = (self.leases(), self.folder.path().join("calls"));
        let arguments = ["--take-over", text(&shared), "--out", text(&out)];
        let log = self.log();
        let worker = Worker::command("start", &[config], &arguments, |command| {
            rooms::program::Program::start(command.env("LOG", &log), &self.server)
        });
        worker.event("worker.registered", |_| true);
        worker
    }

    fn leases(&self) -> PathBuf {
        self.folder.path().join("shared")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("tools.log")
    }

    /// What tools were called.
    fn called(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// The files of leases.
    fn held(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.leases().join("leases"));
        let entries = entries.expect("the folder is there").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.ends_with(".lease")).collect()
    }

    /// Somebody in a call with an agent of this worker: who, the agent's identity, and the job.
    #[track_caller]
    fn caller(&self, worker: &Worker) -> Call {
        let room = room("over");
        let mut peer = Peer::join(&self.server, &room, "ann");
        let joined = worker.of_room("job.joined", &room);
        let of = |name: &str| joined[name].as_str().expect("it has one").to_owned();
        let (agent, job) = (of("identity"), of("job"));
        peer.reads(&agent, "Hello.");
        Call { peer, room, agent, job }
    }

    /// The events of a call that is over, whose journal steps alike from its beginning to its end.
    #[track_caller]
    fn journal(&self, job: &str) -> Vec<Value> {
        let journal = self.leases().join(format!("{job}.antiphon"));
        let program = env!("CARGO_BIN_EXE_antiphon");
        let replayed = Command::new(program).args(["replay", "--json"]).arg(&journal).output();
        let replayed = replayed.expect("the program runs");
        let result: Value = serde_json::from_slice(&replayed.stdout).unwrap_or_default();
        assert_eq!(result["result"], "equal", "{}", String::from_utf8_lossy(&replayed.stderr));
        let files = self.folder.path().join("calls").join(job);
        assert!(files.join("report.html").is_file(), "the files of the call are closed");
        let events = std::fs::read_to_string(files.join("events.jsonl")).expect("events are kept");
        events.lines().map(|line| serde_json::from_str(line).expect("an event a line")).collect()
    }
}

struct Call {
    peer: Peer,
    room: String,
    agent: String,
    job: String,
}

impl Call {
    #[track_caller]
    fn types(&mut self, text: &str) {
        self.peer.ask(json!({ "do": "chat", "text": text }));
    }

    /// Waits until the agent has begun with something.
    #[track_caller]
    fn begins(&mut self, words: &str) {
        let agent = self.agent.clone();
        self.peer.event("text_stream", |event| {
            event["identity"] == agent.as_str()
                && event["text"].as_str().is_some_and(|text| text.starts_with(words))
        });
    }

    /// Waits until the agent sounds again, held by this worker.
    #[track_caller]
    fn goes_on(&mut self, worker: &Worker) {
        let agent = self.agent.clone();
        let loud = |event: &Value| {
            let loud = event["event"] == "level"
                && event["identity"] == agent.as_str()
                && event["dbfs"].as_f64()? > LOUD_DBFS;
            loud.then(|| event["t"].as_f64()).flatten()
        };
        self.peer.event("participant_left", |event| event["identity"] == agent.as_str());
        let before = self.peer.history().iter().rev().find_map(loud).unwrap_or_default();
        self.peer.forget();
        let after = self.sounds();
        let taken = worker.of_room("job.taken_over", &self.room);
        let gap_ms = taken["gap_ms"].as_u64().unwrap_or_default();
        println!("gap: {:.0} ms at the caller, {gap_ms} ms in the call", after - before);
    }

    /// Waits until the agent sounds, and nothing of what was before counts.
    #[track_caller]
    fn sounds(&mut self) -> f64 {
        let agent = self.agent.clone();
        self.peer.expect("the agent sounding", |event| {
            let loud = event["event"] == "level"
                && event["identity"] == agent.as_str()
                && event["dbfs"].as_f64()? > LOUD_DBFS;
            loud.then(|| event["t"].as_f64()).flatten()
        })
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of letters")
}

#[test]
fn a_call_goes_on_when_its_worker_is_killed() {
    let stage = Stage::new();
    let first = stage.worker();
    let mut call = stage.caller(&first);
    let second = stage.worker();
    call.types("a long story");
    call.begins("Once upon");
    call.sounds();
    first.signal("KILL");
    call.goes_on(&second);

    // The same identity, and the same conversation: the story is told to its end, once.
    let joined = second.of_room("job.joined", &call.room);
    assert_eq!(joined["identity"], call.agent.as_str());
    call.peer.event("attributes", |event| {
        event["identity"] == call.agent.as_str() && event["all"]["lk.agent.state"] == "listening"
    });
    call.types("goodbye");
    call.peer.reads(&call.agent, "Until next time.");
    let over = second.of_room("job.over", &call.room);
    assert_eq!(
        (&over["end"], &over["reason"]),
        (&json!("ended"), &json!("the agent ended the call"))
    );
    second.of_room("job.kept", &call.room);
    let events = stage.journal(&call.job);
    let of = |kind: &str| of(&events, kind);
    let story =
        |event: &&&Value| event["text"].as_str().is_some_and(|text| text.starts_with("Once upon"));
    assert_eq!(of("agent.message").iter().filter(story).count(), 1);
    assert_eq!(of("agent.speech_finished").len(), 3, "greeting, story and goodbye");
    assert_eq!(of("session.created").len(), 1);
    assert_eq!((of("connection.lost").len(), of("connection.restored").len()), (1, 1));
    assert_eq!(of("user.joined").len(), 1, "ann was there all the time");
    second.signal("TERM");
    let mut second = second;
    assert_eq!(second.stops(PATIENCE), Some(0), "{}", second.complaints());
    assert_eq!(stage.held(), Vec::<String>::new());
}

#[test]
fn an_agent_that_waits_for_somebody_waits_elsewhere() {
    let stage = Stage::new();
    let named = format!("{DESK}livekit: {{ agent_name: desk }}\n");
    let first = stage.worker_of(&named);
    let room = room("waits");
    dispatch(&stage.server, &room, "desk", &json!({}));
    first.of_room("job.joined", &room);
    let second = stage.worker_of(&named);
    first.signal("KILL");
    let joined = second.of_room("job.joined", &room);
    let agent = joined["identity"].as_str().expect("it has one").to_owned();
    let mut ann = Peer::join(&stage.server, &room, "ann");
    ann.reads(&agent, "Hello.");
    ann.ask(json!({ "do": "chat", "text": "goodbye" }));
    ann.reads(&agent, "Until next time.");
    second.of_room("job.kept", &room);
    wait("the lease being given back", || stage.held().is_empty());
}

#[test]
fn a_long_call_goes_on_from_its_last_checkpoint() {
    let stage = Stage::new();
    let shared = stage.leases();
    let start = || {
        let arguments = ["--take-over", text(&shared)];
        let log = stage.log();
        let worker = Worker::command("start", &[DESK], &arguments, |command| {
            rooms::program::Program::start(command.env("LOG", &log), &stage.server)
        });
        worker.event("worker.registered", |_| true);
        worker
    };
    let first = start();
    let mut call = stage.caller(&first);
    call.peer.publish(None);
    // At rest there is a checkpoint, and since then there are frames.
    let named = |ending: &str| {
        let entries = std::fs::read_dir(&shared).expect("the folder is there").flatten();
        let mut paths = entries.map(|entry| entry.path());
        paths.find(|path| path.extension().is_some_and(|known| known == ending))
    };
    wait("a checkpoint", || named("checkpoint").is_some());
    let kept = || named("frames").and_then(|path| path.metadata().ok()).map_or(0, |it| it.len());
    call.peer.play(&json!(concat!(env!("CARGO_MANIFEST_DIR"), "/audio/caller-08-barge-in.wav")));
    wait("frames", || kept() > 10_000);
    call.types("a long story");
    call.begins("Once upon");
    let second = start();
    first.signal("KILL");
    let taken = second.of_room("job.taken_over", &call.room);
    let of = |name: &str| taken[name].as_u64().unwrap_or_else(|| panic!("{taken}"));
    assert!(of("stepped") < of("ticks"), "{taken}");
    call.peer.forget();
    call.types("goodbye");
    call.peer.reads(&call.agent.clone(), "Until next time.");
    second.of_room("job.kept", &call.room);
    let journal = shared.join(format!("{}.antiphon", call.job));
    let replayed =
        Command::new(env!("CARGO_BIN_EXE_antiphon")).arg("replay").arg(&journal).output();
    let replayed = replayed.expect("the program runs");
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stdout));
    assert!(named("checkpoint").is_none() && named("frames").is_none(), "nobody needs them");
}

#[test]
fn take_overs_in_a_row_lose_no_call() {
    // `make soak` asks for ten.
    let rounds = number("ANTIPHON_ROUNDS").unwrap_or(2);
    let stage = Stage::new();
    let mut worker = stage.worker();
    let mut calls: Vec<Call> = (0..4).map(|_| stage.caller(&worker)).collect();
    let mut gaps = Vec::new();
    for _ in 0..rounds {
        for call in &mut calls {
            call.types("a long story");
        }
        let next = stage.worker();
        worker.signal("KILL");
        for call in &mut calls {
            let taken = next.of_room("job.taken_over", &call.room);
            gaps.push(taken["gap_ms"].as_u64().unwrap_or_default());
            call.peer.forget();
            call.types("a long story");
            call.begins("Once upon");
        }
        worker = next;
    }
    for call in &mut calls {
        call.types("goodbye");
        call.peer.reads(&call.agent.clone(), "Until next time.");
        let over = worker.of_room("job.over", &call.room);
        assert_eq!(over["reason"], "the agent ended the call");
        worker.of_room("job.kept", &call.room);
        call.peer.event("participant_left", |event| event["identity"] == call.agent.as_str());
        let events = stage.journal(&call.job);
        assert_eq!(of(&events, "connection.restored").len(), rounds);
    }
    worker.signal("TERM");
    assert_eq!(worker.stops(PATIENCE), Some(0), "{}", worker.complaints());
    assert_eq!(stage.held(), Vec::<String>::new());
    gaps.sort_unstable();
    println!("{rounds} take-overs of {} calls each: gaps in ms: {gaps:?}", calls.len());
}

/// The events of a call of a kind.
fn of<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

#[test]
fn a_worker_that_only_seemed_to_be_dead_ends_without_writing() {
    let stage = Stage::new();
    let mut first = stage.worker();
    let mut call = stage.caller(&first);
    let mut second = stage.worker();
    call.types("a long story");
    call.begins("Once upon");
    call.sounds();
    first.signal("STOP");
    call.goes_on(&second);
    first.signal("CONT");
    first.of_room("job.lost", &call.room);
    first.of_room("job.over", &call.room);
    first.of_room("job.kept", &call.room);
    // Whoever comes back does not put the other one out.
    call.types("goodbye");
    call.peer.reads(&call.agent, "Until next time.");
    second.of_room("job.kept", &call.room);
    let events = stage.journal(&call.job);
    assert_eq!(
        of(&events, "agent.speech_finished").len(),
        2,
        "greeting and goodbye: the story was cut"
    );
    for worker in [&mut first, &mut second] {
        worker.signal("TERM");
        assert_eq!(worker.stops(PATIENCE), Some(0), "{}", worker.complaints());
    }
    assert_eq!(stage.held(), Vec::<String>::new());
}

#[test]
fn calls_of_tools_that_were_under_way_are_told_of_or_made_again() {
    let stage = Stage::new();
    let first = stage.worker();
    let (mut pays, mut looks) = (stage.caller(&first), stage.caller(&first));
    pays.types("pay");
    looks.types("look");
    let second = stage.worker();
    let begun = || stage.called().len() >= 2;
    wait("both tools are at work", begun);
    first.signal("KILL");
    pays.peer.reads(&pays.agent.clone(), "Nobody knows");
    looks.peer.reads(&looks.agent.clone(), "I have looked.");
    let called = stage.called();
    let of_tool = |name: &str| {
        called.iter().filter(|line| line.starts_with(name)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(of_tool("pay").len(), 1, "it is not made again: {called:?}");
    let looked = of_tool("look");
    assert_eq!((looked.len(), &looked[0]), (2, looked.last().expect("two")), "one key for both");
    for call in [&mut pays, &mut looks] {
        call.types("goodbye");
        call.peer.reads(&call.agent.clone(), "Until next time.");
        second.of_room("job.kept", &call.room);
    }
    let events = stage.journal(&pays.job);
    let result = of(&events, "tool.result");
    assert_eq!(result.len(), 1);
    assert!(result[0].to_string().contains("interrupted"), "{}", result[0]);
    stage.journal(&looks.job);
}

#[test]
fn a_worker_that_is_started_anew_has_the_calls_of_the_one_before() {
    let stage = Stage::new();
    let first = stage.worker();
    let mut call = stage.caller(&first);
    first.signal("KILL");
    let second = stage.worker();
    second.of_room("job.taken_over", &call.room);
    call.types("goodbye");
    call.peer.reads(&call.agent.clone(), "Until next time.");
    assert_eq!(second.of_room("job.over", &call.room)["reason"], "the agent ended the call");
    second.of_room("job.kept", &call.room);
    stage.journal(&call.job);
    let (status, metrics) = second.page("/metrics");
    assert_eq!(status, 200);
    assert!(metrics.contains("antiphon_jobs_taken_over_total 1"), "{metrics}");
}

/// Waits until something is so of which nobody tells.
#[track_caller]
fn wait(what: &str, is_so: impl Fn() -> bool) {
    let clock = Clock::default();
    let begun = clock.now();
    while !is_so() {
        let waited = Duration::from_nanos(clock.now().since_ns(begun));
        assert!(waited < PATIENCE, "in {PATIENCE:?} there was not: {what}");
        pause(20);
    }
}
