//! A network that misbehaves under a call: each trouble has an outcome that docs/network.md names.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

use std::collections::BTreeMap;
use std::time::Duration;

use rooms::agent::Agent;
use rooms::peer::Peer;
use rooms::server::{Options, Server};
use rooms::way::Way;
use rooms::{PATIENCE, audio, room};
use serde_json::{Value, json};

/// The configuration that understands what the caller's clips say.
const SHOP: &str = "configs/demo.yaml";

/// A call that has begun, by way of a way; arguments for the agent.
fn call(server: &Server, way: &Way, name: &str, arguments: &[&str]) -> (Agent, Peer, String) {
    let room = room(name);
    let url = way.url();
    let arguments = [&["--url", &url], arguments].concat();
    let agent = Agent::start(server, &room, SHOP, &arguments, &[]);
    agent.event("room.joined", |_| true);
    let mut ann = Peer::join(server, &room, "ann");
    ann.publish(None);
    let greeting = agent.event("agent.message", |_| true);
    agent.event("agent.speech_finished", |event| event["item"] == greeting["item"]);
    (agent, ann, room)
}

/// Ann asks, is understood, and hears the answer.
#[track_caller]
fn asks(agent: &Agent, ann: &mut Peer) {
    let known = agent.events("user.message").len();
    let said = agent.events("agent.speech_finished").len();
    let heard = ann.recorded_ms("agent");
    ann.play(&audio("caller-02-hours.wav"));
    let message = agent.event_after("user.message", known);
    assert_eq!(message["intent"], "hours", "{message}");
    agent.event_after("agent.speech_finished", said);
    let answer = ann.hear_out("agent", heard);
    println!("the answer at ann: {answer:?}");
}

/// The call ends in good order: everything was said once, and all that was begun was ended.
#[track_caller]
fn says_goodbye(mut agent: Agent, ann: &mut Peer) {
    ann.play(&audio("caller-10-goodbye.wav"));
    agent.event("user.message", |event| event["intent"] == "goodbye");
    assert_eq!(agent.ends(PATIENCE), Some(0), "{}", agent.complaints());
    assert_eq!(agent.events("room.left")[0]["reason"], "the agent left the room");
    let mut times: BTreeMap<u64, u32> = BTreeMap::new();
    for event in agent.events("agent.speech_finished") {
        *times.entry(event["item"].as_u64().expect("it has an item")).or_default() += 1;
    }
    assert!(times.values().all(|times| *times == 1), "something was said twice: {times:?}");
}

/// Words to the server are lost for so long, while audio goes on.
fn without_words(seconds: u64) {
    let server = Server::start(&Options::default());
    let way = Way::to(&server, true);
    let (agent, mut ann, _) = call(&server, &way, "words", &[]);
    way.words(false);
    let ms = |event: &Value| event["ms"].as_u64().expect("an event has a time");
    let since = ms(&agent.event("connection.lost", |_| true));
    // In the session's own time.
    while agent.events("agent.speech_finished").last().map_or(0, ms) < since + seconds * 1_000 {
        asks(&agent, &mut ann);
    }
    way.words(true);
    agent.event("connection.restored", |_| true);
    asks(&agent, &mut ann);
    assert_eq!(agent.events("user.left"), Vec::<Value>::new(), "nobody was gone");
    says_goodbye(agent, &mut ann);
}

#[test]
fn a_server_out_of_reach_for_3_seconds() {
    without_words(3);
}

#[test]
fn a_server_out_of_reach_for_10_seconds() {
    without_words(10);
}

#[test]
fn a_server_out_of_reach_for_30_seconds() {
    without_words(30);
}

#[test]
fn udp_that_is_lost_for_good_is_replaced_by_tcp() {
    let server = Server::start(&Options::default());
    let way = Way::to(&server, true);
    let (agent, mut ann, _) = call(&server, &way, "tcp", &[]);
    assert_eq!(agent.event("room.path", |_| true)["path"], "udp");
    way.audio(false);
    agent.complains("audio goes over TCP now");
    asks(&agent, &mut ann);
    says_goodbye(agent, &mut ann);
}

#[test]
fn audio_that_is_lost_for_a_while_comes_back() {
    let server = Server::start(&Options::default());
    let way = Way::to(&server, false);
    let (agent, mut ann, _) = call(&server, &way, "audio", &[]);
    asks(&agent, &mut ann);
    way.audio(false);
    // The server notices first or this side does: either way it is looked for anew.
    agent.event("connection.quality", |event| event["quality"] == "lost");
    way.audio(true);
    asks(&agent, &mut ann);
    says_goodbye(agent, &mut ann);
}

#[test]
fn a_network_that_is_gone_altogether_for_a_while_comes_back() {
    let server = Server::start(&Options::default());
    let way = Way::to(&server, false);
    let (agent, mut ann, _) = call(&server, &way, "dark", &[]);
    ann.forget();
    way.words(false);
    way.audio(false);
    agent.event("connection.lost", |_| true);
    // Until the server has given the agent up, and Ann has seen that.
    ann.expect_within(Duration::from_secs(60), "the agent's leaving", |event| {
        (event["event"] == "participant_left" && event["identity"] == "agent").then_some(())
    });
    way.audio(true);
    way.words(true);
    agent.event("connection.restored", |_| true);
    ann.event("participant_joined", |event| event["identity"] == "agent");
    ann.event("recording", |event| event["identity"] == "agent");
    asks(&agent, &mut ann);
    assert_eq!(agent.events("user.left"), Vec::<Value>::new(), "Ann was there all the time");
    says_goodbye(agent, &mut ann);
}

#[test]
fn a_server_that_restarts_finds_the_agent_again() {
    let mut server = Server::start(&Options::default());
    let room = room("restart");
    let agent = Agent::start(&server, &room, SHOP, &[], &[]);
    agent.event("room.joined", |_| true);
    let mut ann = Peer::join(&server, &room, "ann");
    ann.publish(None);
    asks(&agent, &mut ann);
    server.dies();
    agent.event("connection.lost", |_| true);
    drop(ann);
    server.starts_again();
    agent.event("connection.restored", |_| true);
    let mut ann = Peer::join(&server, &room, "ann");
    ann.publish(None);
    agent.event_after("user.joined", 1);
    asks(&agent, &mut ann);
    let greetings = agent.events("session.created");
    assert_eq!(greetings.len(), 1, "it is the same session");
    says_goodbye(agent, &mut ann);
}

#[test]
fn a_token_that_has_run_out_is_replaced_by_the_servers_own() {
    let server = Server::start(&Options::default());
    let way = Way::to(&server, true);
    let room = room("token");
    let token = server
        .token()
        .with_identity("agent")
        .with_kind("agent")
        .with_ttl(Duration::from_secs(2))
        .with_grants(livekit_token::VideoGrants {
            room_join: true,
            room: room.clone(),
            agent: true,
            can_update_own_metadata: Some(true),
            ..livekit_token::VideoGrants::default()
        })
        .to_jwt()
        .expect("it names a room and an identity");
    let runs_out = |token: &str| {
        let claims = livekit_token::Claims::from_unverified(token).expect("it is a token");
        claims.exp
    };
    let mut agent = Agent::with_token(&server, SHOP, &way.url(), &token);
    agent.event("room.joined", |_| true);
    let mut ann = Peer::join(&server, &room, "ann");
    ann.publish(None);
    asks(&agent, &mut ann);
    way.words(false);
    agent.event("connection.lost", |_| true);
    asks(&agent, &mut ann);
    way.words(true);
    agent.event("connection.restored", |_| true);
    asks(&agent, &mut ann);
    let shown = way.tokens();
    assert_eq!(shown[0], token);
    let last = shown.last().expect("it has come back");
    // The server takes tokens that ran out less than a minute ago: which one was shown is what counts.
    assert!(runs_out(last) > runs_out(&token) + 60, "it came back with the token that had run out");
    ann.ask(json!({ "do": "leave" }));
    assert_eq!(agent.ends(PATIENCE), Some(0), "{}", agent.complaints());
}

#[test]
fn somebody_who_stalls_is_waited_for_and_heard_again() {
    let server = Server::start(&Options::default());
    let way = Way::to(&server, true);
    let (agent, mut ann, _) = call(&server, &way, "stall", &[]);
    ann.signal("STOP");
    // The server tells of it.
    agent.event("connection.quality", |event| event["lane"] == 0 && event["quality"] == "lost");
    ann.signal("CONT");
    asks(&agent, &mut ann);
    says_goodbye(agent, &mut ann);
}
