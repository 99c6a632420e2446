//! Several workers at one server: jobs are spread among them, and go to those that are left when one dies.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

use rooms::peer::Peer;
use rooms::room;
use rooms::server::{Options, Server};
use rooms::worker::Worker;
use serde_json::json;

const DESK: &str = "
name: desk
speech: { synthesiser: { engine: tone } }
call: { alone_ms: 300 }
agents: { desk: { greeting: Hello. } }
";

/// Somebody in a room of their own, and which of the workers has sent an agent.
#[track_caller]
fn arrives(server: &Server, workers: &[&Worker]) -> (Peer, usize) {
    let room = room("pair");
    let mut ann = Peer::join(server, &room, "ann");
    let agent = ann.expect("an agent", |event| {
        let is_agent = event["event"] == "participant_joined" && event["kind"] == "agent";
        is_agent.then(|| event["identity"].as_str().expect("it has one").to_owned())
    });
    ann.reads(&agent, "Hello.");
    let of = workers.iter().position(|worker| {
        worker.events("job.joined").iter().any(|joined| joined["room"] == room.as_str())
    });
    (ann, of.expect("one of the workers has it"))
}

#[test]
fn jobs_are_spread_by_load_and_go_to_who_is_left() {
    let server = Server::start(&Options::default());
    // Two jobs are all that each may have: the third and fourth go to whoever has room, whatever chance says.
    let limits = ["--max-jobs", "2"];
    let first = Worker::start(&server, &[DESK], &limits);
    let second = Worker::start(&server, &[DESK], &limits);
    let workers = [&first, &second];
    let mut calls = Vec::new();
    let mut of = [0, 0];
    for _ in 0..4 {
        let (ann, at) = arrives(&server, &workers);
        of[at] += 1;
        calls.push(ann);
    }
    assert_eq!(of, [2, 2], "each has as many as it may");
    for ann in &mut calls {
        ann.ask(json!({ "do": "leave" }));
    }

    // One is gone without a word: whoever comes next is the other's.
    for worker in workers {
        worker.event("job.left", |_| true);
        worker.event_after("job.left", 1);
    }
    first.signal("KILL");
    server.logs("closing worker");
    for _ in 0..2 {
        let (_ann, at) = arrives(&server, &workers);
        assert_eq!(at, 1, "the second is the only one");
    }
}
