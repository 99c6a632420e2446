//! A worker of a real LiveKit server: dispatch by itself and by name, choice of the configuration, and what is told of it.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

use rooms::peer::Peer;
use rooms::server::{Options, Server};
use rooms::worker::{Worker, dispatch};
use rooms::{PATIENCE, room};
use serde_json::{Value, json};

/// A desk that reads, has a soft tone for a voice, and says hello.
fn desk(name: &str, more: &str) -> String {
    format!(
        "
name: {name}
speech: {{ synthesiser: {{ engine: tone }} }}
call: {{ alone_ms: 300 }}
{more}
agents:
  desk:
    greeting: Hello from the {name} desk.
    intents:
      - {{ name: bye, phrases: [goodbye], say: Goodbye., end_call: true }}
"
    )
}

#[test]
fn an_agent_comes_to_every_room_by_itself() {
    let server = Server::start(&Options::default());
    let worker = Worker::start(&server, &[&desk("corner", "")], &[]);
    let (first, second) = (room("auto"), room("auto"));
    let mut ann = Peer::join(&server, &first, "ann");
    let mut bob = Peer::join(&server, &second, "bob");
    let joined = worker.of_room("job.joined", &first);
    let identity = joined["identity"].as_str().expect("it has one").to_owned();
    assert_eq!(identity, format!("agent-{}", joined["job"].as_str().unwrap_or_default()));
    ann.reads(&identity, "Hello from the corner desk.");
    worker.of_room("job.began", &second);
    ann.ask(json!({ "do": "chat", "text": "goodbye" }));
    let over = worker.of_room("job.over", &first);
    assert_eq!(
        (&over["end"], &over["reason"]),
        (&json!("ended"), &json!("the agent ended the call"))
    );
    ann.event("participant_left", |event| event["identity"] == identity.as_str());
    bob.ask(json!({ "do": "leave" }));
    let over = worker.of_room("job.over", &second);
    assert_eq!(over["reason"], "the last participant has left");
    worker.of_room("job.left", &second);
    let failed = worker.events("job.failed");
    assert!(failed.is_empty(), "{failed:?}");
}
