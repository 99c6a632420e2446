//! A call whose signalling breaks: audio goes on, and what could not be said is said afterwards.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

use rooms::agent::Agent;
use rooms::gate::Gate;
use rooms::peer::Peer;
use rooms::{audio, room, shared};
use serde_json::json;

#[test]
fn a_call_goes_on_while_the_server_cannot_be_reached() {
    let (server, room) = (shared(), room("resume"));
    let (gate, port) = Gate::to(server.port());
    let url = format!("ws://127.0.0.1:{port}");
    let mut agent = Agent::start(&server, &room, "configs/demo.yaml", &["--url", &url], &[]);
    agent.event("room.joined", |_| true);
    let mut ann = Peer::join(&server, &room, "ann");
    ann.publish(None);
    let state = |state: &'static str| {
        move |event: &serde_json::Value| {
            event["identity"] == "agent" && event["changed"]["lk.agent.state"] == state
        }
    };
    ann.event("attributes", state("speaking"));
    ann.event("attributes", state("listening"));

    // Ann is heard and answered although the server cannot be reached.
    gate.break_off();
    agent.event("connection.lost", |_| true);
    let shown =
        |ann: &Peer| ann.history().iter().filter(|event| event["event"] == "attributes").count();
    let before = shown(&ann);
    ann.forget();
    ann.play(&audio("caller-02-hours.wav"));
    agent.event("user.message", |event| event["intent"] == "hours");
    let said = agent.event("agent.message", |event| {
        event["text"].as_str().is_some_and(|text| text.contains("nine to six"))
    });
    agent.event("agent.speech_finished", |event| event["item"] == said["item"]);
    assert_eq!(shown(&ann), before, "attributes go by way of the server's signalling");

    // What was not seen is seen now, in its order, and attributes can be set again.
    gate.mend();
    agent.event("connection.restored", |_| true);
    ann.event("attributes", state("speaking"));
    ann.event("attributes", state("listening"));
    ann.play(&audio("caller-10-goodbye.wav"));
    agent.event("user.message", |event| event["intent"] == "goodbye");
    let code = agent.ends(rooms::PATIENCE);
    assert_eq!(code, Some(0), "{:?}", agent.events("room.left"));
    assert_eq!(agent.events("room.left")[0]["reason"], json!("the agent left the room"));
}
