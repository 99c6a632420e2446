//! A worker that is stopped: running calls come to their end, or say goodbye; a rolling restart loses none.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

use std::time::Duration;

use rooms::peer::Peer;
use rooms::server::{Options, Server};
use rooms::worker::Worker;
use rooms::{PATIENCE, number, room};
use serde_json::{Value, json};

const DESK: &str = "
name: desk
speech: { synthesiser: { engine: tone } }
call: { alone_ms: 300, goodbye: We are closing now. }
agents:
  desk:
    greeting: Hello.
    intents:
      - { name: bye, phrases: [goodbye], say: Until next time., end_call: true }
      - { name: story, phrases: [a long story], say: \"Once upon a time there was a desk, and it stood in a hall, and the hall was long, and at its end there was a door, and behind the door there was another desk, and nobody had ever sat there.\" }
";

/// Somebody in a call with an agent of this worker, and the agent's identity.
#[track_caller]
fn caller(server: &Server, worker: &Worker, room: &str) -> (Peer, String) {
    let mut ann = Peer::join(server, room, "ann");
    let joined = worker.of_room("job.joined", room);
    let agent = joined["identity"].as_str().expect("it has one").to_owned();
    ann.reads(&agent, "Hello.");
    (ann, agent)
}

#[test]
fn the_first_signal_lets_calls_end_and_takes_no_more() {
    let server = Server::start(&Options::default());
    let mut worker = Worker::start(&server, &[DESK], &[]);
    let first = room("drain");
    let (mut ann, agent) = caller(&server, &worker, &first);
    worker.signal("TERM");
    let draining = worker.event("worker.draining", |_| true);
    assert_eq!(draining["jobs"], 1);
    assert_eq!(worker.page("/ready"), (503, "draining".into()));
    let (status, health) = worker.page("/worker");
    let health: Value = serde_json::from_str(&health).expect("it is JSON");
    assert_eq!((status, &health["draining"]), (200, &json!(true)));
    let refused = room("drain");
    let _bob = Peer::join(&server, &refused, "bob");
    // The call goes on as if nothing were.
    ann.ask(json!({ "do": "chat", "text": "goodbye" }));
    ann.reads(&agent, "Until next time.");
    assert_eq!(worker.stops(PATIENCE), Some(0), "{}", worker.complaints());
    let over = worker.events("job.over");
    assert_eq!((over.len(), &over[0]["reason"]), (1, &json!("the agent ended the call")));
    assert_eq!(worker.events("job.joined").len(), 1, "nobody came to {refused}");
    assert_eq!(worker.events("worker.stopped").len(), 1);
}

#[test]
fn the_second_signal_ends_calls_with_a_goodbye_that_is_heard() {
    let server = Server::start(&Options::default());
    let mut worker = Worker::start(&server, &[DESK], &["--out", "calls"]);
    let room = room("goodbye");
    let (mut ann, agent) = caller(&server, &worker, &room);
    let job = worker.of_room("job.joined", &room)["job"].as_str().expect("it has one").to_owned();
    let call = worker.folder().join("calls").join(&job);
    ann.ask(json!({ "do": "chat", "text": "a long story" }));
    // While it is being told.
    ann.event("text_stream", |event| {
        event["identity"] == agent.as_str()
            && event["text"].as_str().is_some_and(|text| text.starts_with("Once upon"))
    });
    // A worker that shares its calls with nobody leaves nothing for others.
    assert!(!call.join("journal.checkpoint").exists());
    worker.signal("TERM");
    worker.event("worker.draining", |_| true);
    worker.signal("TERM");
    ann.reads(&agent, "We are closing now.");
    ann.event("participant_left", |event| event["identity"] == agent.as_str());
    assert_eq!(worker.stops(PATIENCE), Some(0), "{}", worker.complaints());
    let over = worker.of_room("job.over", &room);
    assert_eq!(
        (&over["end"], &over["reason"]),
        (&json!("ended"), &json!("the worker is being stopped"))
    );
    assert!(worker.events("job.failed").is_empty());

    // What was being said was cut, the goodbye was heard to its end, and all files are there.
    assert_eq!(over["job"], job.as_str());
    let events = std::fs::read_to_string(call.join("events.jsonl")).expect("events are kept");
    let events: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    let cut = of("agent.interrupted");
    assert_eq!((cut.len(), &cut[0]["cause"]), (1, &json!("closed")));
    let last = of("agent.speech_finished");
    let last = last.last().expect("the goodbye was said to its end");
    let said = of("agent.message").into_iter().find(|event| event["item"] == last["item"]);
    assert_eq!(said.map(|event| &event["text"]), Some(&json!("We are closing now.")));
    for file in ["journal.antiphon", "conversation.wav", "report.html", "metrics.json"] {
        assert!(call.join(file).is_file(), "there is no {file}");
    }
}

#[test]
fn calls_that_take_longer_than_they_may_say_goodbye_too() {
    let server = Server::start(&Options::default());
    let mut worker = Worker::start(&server, &[DESK], &["--drain-timeout", "1"]);
    let room = room("late");
    let (mut ann, agent) = caller(&server, &worker, &room);
    worker.signal("TERM");
    ann.reads(&agent, "We are closing now.");
    assert_eq!(worker.stops(PATIENCE), Some(0), "{}", worker.complaints());
    assert_eq!(worker.of_room("job.over", &room)["end"], "ended");
}

/// How many rolling restarts follow each other; `make soak` asks for ten.
fn rounds() -> usize {
    number("ANTIPHON_ROUNDS").unwrap_or(1)
}

#[test]
fn a_rolling_restart_under_calls_loses_none() {
    let server = Server::start(&Options::default());
    let mut worker = Worker::start(&server, &[DESK], &[]);
    let called = |worker: &Worker| {
        let room = room("rolling");
        let (ann, agent) = caller(&server, worker, &room);
        (ann, agent, room)
    };
    let mut calls: Vec<_> = (0..3).map(|_| called(&worker)).collect();
    for _ in 0..rounds() {
        // A new one takes over new calls; the old one brings its own to their end.
        let next = Worker::start(&server, &[DESK], &[]);
        worker.signal("TERM");
        worker.event("worker.draining", |event| event["jobs"] == 3);
        let later: Vec<_> = (0..3).map(|_| called(&next)).collect();
        for (mut ann, agent, room) in std::mem::replace(&mut calls, later) {
            ann.ask(json!({ "do": "chat", "text": "goodbye" }));
            ann.reads(&agent, "Until next time.");
            assert_eq!(worker.of_room("job.over", &room)["reason"], "the agent ended the call");
            ann.event("participant_left", |event| event["identity"] == agent.as_str());
        }
        assert_eq!(worker.stops(Duration::from_secs(10)), Some(0), "{}", worker.complaints());
        assert!(worker.events("job.failed").is_empty());
        worker = next;
    }
    for (mut ann, agent, room) in calls {
        ann.ask(json!({ "do": "chat", "text": "goodbye" }));
        ann.reads(&agent, "Until next time.");
        worker.of_room("job.left", &room);
    }
    assert!(worker.events("job.failed").is_empty());
}
