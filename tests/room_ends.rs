//! How calls in a room end, on LiveKit's own server: each way with a reason, an exit code and all its files.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

use rooms::agent::Agent;
use rooms::peer::Peer;
use rooms::{PATIENCE, room, shared};
use serde_json::{Value, json};

/// A desk that reads, and has a soft tone for a voice.
const DESK: &str = "
name: desk
speech: { synthesiser: { engine: tone } }
agents:
  desk:
    intents:
      - { name: goodbye, phrases: [goodbye], say: Thank you for calling the desk and goodbye., end_call: true }
";

/// The agent's own leaving.
const LEFT: &str = "the agent left the room";

/// How it ended: the exit code, why the session was over, and why the room was left.
#[track_caller]
fn ended(agent: &mut Agent) -> (Option<i32>, Value, String) {
    let code = agent.ends(PATIENCE);
    let over = agent.events("session.ended");
    assert_eq!(over.len(), 1, "{over:?}");
    let left = agent.events("room.left");
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0]["counts"].is_object(), "{left:?}");
    let call = agent.folder().join("call");
    for file in ["journal.antiphon", "report.html", "events.jsonl", "metrics.json"] {
        assert!(call.join(file).is_file(), "there is no {file}");
    }
    let reason = left[0]["reason"].as_str().expect("there is a reason").to_owned();
    (code, over[0]["reason"].clone(), reason)
}

/// A call that has begun.
#[track_caller]
fn begun(name: &str, config: &str) -> (rooms::Shared, String, Agent, Peer) {
    let (server, room) = (shared(), room(name));
    let agent = Agent::with(&server, &room, config);
    let ann = Peer::join(&server, &room, "ann");
    agent.event("user.joined", |_| true);
    (server, room, agent, ann)
}

#[test]
fn when_the_last_one_has_left() {
    let config = format!("{DESK}call: {{ alone_ms: 300 }}\n");
    let (server, room, mut agent, mut ann) = begun("alone", &config);
    let mut bob = Peer::join(&server, &room, "bob");
    agent.event("user.joined", |event| event["name"] == "bob");
    ann.ask(json!({ "do": "leave" }));
    agent.event("user.left", |event| event["lane"] == 0);
    bob.ask(json!({ "do": "leave" }));
    assert_eq!(ended(&mut agent), (Some(0), json!("alone"), LEFT.into()));
    let tick = |event: &Value| event["tick"].as_u64().expect("an event has a tick");
    let gone = tick(&agent.events("user.left")[1]);
    let over = tick(&agent.events("session.ended")[0]);
    assert_eq!(over - gone, 15, "300 ms are 15 ticks");
}

#[test]
fn when_nobody_says_anything() {
    let config = format!("{DESK}call: {{ silence_ms: 2000 }}\n");
    let (_server, _, mut agent, mut ann) = begun("silent", &config);
    assert_eq!(ended(&mut agent), (Some(0), json!("silence"), LEFT.into()));
    ann.event("participant_left", |event| event["identity"] == "agent");
}

#[test]
fn when_the_agent_has_said_its_last_word_and_it_was_heard() {
    let (_server, _, mut agent, mut ann) = begun("goodbye", DESK);
    ann.ask(json!({ "do": "chat", "text": "goodbye" }));
    assert_eq!(ended(&mut agent), (Some(0), json!("agent_ended"), LEFT.into()));
    ann.event("recorded", |event| event["identity"] == "agent");
    ann.event("participant_left", |event| event["identity"] == "agent");

    // The whole text was there before the agent was gone.
    let history = ann.history();
    let at = |what: &str, is_it: &dyn Fn(&Value) -> bool| {
        history.iter().position(is_it).unwrap_or_else(|| panic!("no {what}: {history:#?}"))
    };
    let closed = at("final transcript", &|event| {
        event["event"] == "text_stream"
            && event["state"] == "closed"
            && event["identity"] == "agent"
            && event["attributes"]["lk.transcription_final"] == "true"
            && event["text"] == "Thank you for calling the desk and goodbye."
    });
    let gone = at("leaving", &|event| event["event"] == "participant_left");
    assert!(closed < gone, "event {closed} comes after {gone}");

    // And all of its sound.
    let ms = |kind: &str| agent.events(kind)[0]["ms"].as_u64().expect("an event has a time");
    let said = ms("agent.speech_finished") - ms("agent.speech_started");
    let sound = ann.recording("agent", 0, u64::MAX);
    let loud = sound.pcm.iter().filter(|sample| sample.unsigned_abs() > 300).count() as u64;
    let first = sound.pcm.iter().position(|sample| sample.unsigned_abs() > 300);
    let last = sound.pcm.iter().rposition(|sample| sample.unsigned_abs() > 300);
    let (Some(first), Some(last)) = (first, last) else { panic!("nothing was heard") };
    let heard = (last - first) as u64 * 1_000 / u64::from(sound.rate_hz);
    println!("{heard} ms of {said} ms, {} ms loud", loud * 1_000 / u64::from(sound.rate_hz));
    // The pause after the last word is the synthesiser's, and so are a few soft milliseconds.
    assert!(heard + 200 >= said, "{heard} ms were heard of {said} ms");
}

#[test]
fn when_the_room_is_deleted() {
    let (server, room, mut agent, _ann) = begun("deleted", DESK);
    server.ask("RoomService/DeleteRoom", &room, &json!({ "room": room }));
    let why = "the room was deleted";
    assert_eq!(ended(&mut agent), (Some(0), json!({ "hung_up": why }), why.into()));
}

#[test]
fn when_the_agent_is_removed() {
    let (server, room, mut agent, _ann) = begun("removed", DESK);
    let who = json!({ "room": room, "identity": "agent" });
    server.ask("RoomService/RemoveParticipant", &room, &who);
    let why = "the agent was removed from the room";
    assert_eq!(ended(&mut agent), (Some(1), json!({ "hung_up": why }), why.into()));
    assert!(agent.complaints().contains(why), "{}", agent.complaints());
}

#[test]
fn when_another_takes_its_identity() {
    let (server, room, mut agent, _ann) = begun("identity", DESK);
    let mut other = Peer::start("agent");
    other.ask(json!({ "do": "join", "url": server.url(), "token": server.agent(&room, "agent") }));
    let why = "another participant joined with the agent's identity";
    assert_eq!(ended(&mut agent), (Some(1), json!({ "hung_up": why }), why.into()));
    assert!(agent.complaints().contains(why), "{}", agent.complaints());
}
