//! The stage of all room tests: LiveKit's server and its Python client, without anything of ours between them. What
//! fails here is no fault of the gateway's.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

use listen::{missed, words};
use rooms::peer::Peer;
use rooms::server::{Options, Server, Turn};
use rooms::{audio, room, shared};
use serde_json::json;

/// What two people say, and words of it that a stranger must make out.
const ORDER: (&str, [&str; 4]) = ("caller-01-order.wav", ["my", "order", "two", "seven"]);
const HOURS: (&str, [&str; 3]) = ("caller-02-hours.wav", ["your", "opening", "hours"]);

#[test]
fn two_people_hear_each_other_over_the_noise_of_their_rooms() {
    let (server, room) = (shared(), room("talk"));
    let mut ann = Peer::join(&server, &room, "ann");
    let mut bob = Peer::join(&server, &room, "bob");
    let noise = audio("noise.wav");
    ann.publish(Some(&noise));
    bob.publish(Some(&noise));
    let published = bob.event("track_subscribed", |event| event["identity"] == "ann");
    assert_eq!(
        (&published["source"], &published["mime"]),
        (&json!("microphone"), &json!("audio/red"))
    );

    ann.tell(json!({ "do": "play", "wav": audio(ORDER.0) }));
    bob.tell(json!({ "do": "play", "wav": audio(HOURS.0) }));
    let order = bob.hear_out("ann", 0);
    let hours = ann.hear_out("bob", 0);
    for heard in [&order, &hours] {
        assert!((-30.0..-10.0).contains(&heard.sound.dbfs()), "{} dBFS", heard.sound.dbfs());
    }
    let texts = words(&[order.sound, hours.sound]);
    let all: Vec<_> = [missed(&texts[0], &ORDER.1), missed(&texts[1], &HOURS.1)].concat();
    assert!(all.len() <= 1, "{texts:?} miss {all:?}");
    let speaks = json!("ann");
    bob.event("active_speakers", |event| {
        event["identities"].as_array().is_some_and(|speakers| speakers.contains(&speaks))
    });

    // Noise goes on after the words; a muted microphone does not.
    let from = bob.recorded_ms("ann");
    ann.ask(json!({ "do": "mute" }));
    let muted = bob.event("track_muted", |event| event["identity"] == "ann");
    assert_eq!(muted["sid"], published["sid"]);
    let noisy = bob.recording("ann", order.to_ms, from);
    assert!((-50.0..-35.0).contains(&noisy.dbfs()), "a bed of {} dBFS", noisy.dbfs());
    bob.event("level", |event| event["identity"] == "ann" && event["dbfs"].as_f64() < Some(-80.0));
    ann.ask(json!({ "do": "unmute" }));
    bob.event("track_unmuted", |event| event["identity"] == "ann");
    bob.forget();
    bob.event("level", |event| event["identity"] == "ann" && event["dbfs"].as_f64() > Some(-50.0));

    ann.ask(json!({ "do": "unpublish" }));
    bob.event("track_unpublished", |event| event["sid"] == published["sid"]);
    let recorded = bob.event("recorded", |event| event["identity"] == "ann");
    assert_eq!(recorded["sid"], published["sid"]);
    ann.ask(json!({ "do": "leave" }));
    let left = bob.event("participant_left", |event| event["identity"] == "ann");
    assert_eq!(left["reason"], "client_initiated");
}

#[test]
fn texts_values_and_calls_arrive_as_they_were_sent() {
    let (server, room) = (shared(), room("values"));
    let mut ann = Peer::join(&server, &room, "ann");
    let mut bob = Peer::join(&server, &room, "bob");
    let joined = ann.event("participant_joined", |event| event["identity"] == "bob");
    assert_eq!(joined["kind"], "standard");

    ann.ask(json!({ "do": "chat", "text": "good morning" }));
    let opened = bob.event("text_stream", |event| event["state"] == "opened");
    let closed = bob.event("text_stream", |event| event["state"] == "closed");
    assert_eq!((&opened["topic"], &opened["identity"]), (&json!("lk.chat"), &json!("ann")));
    assert_eq!((&closed["text"], &closed["id"]), (&json!("good morning"), &opened["id"]));

    let attributes = json!({ "lk.segment_id": "SG_1", "lk.transcription_final": "true" });
    ann.ask(json!({ "do": "text", "topic": "lk.transcription", "text": "x".repeat(20_000), "attributes": attributes }));
    let long = bob.event("text_stream", |event| event["state"] == "closed");
    assert_eq!(long["attributes"], attributes);
    assert_eq!(long["text"].as_str().map(str::len), Some(20_000));

    ann.ask(json!({ "do": "attributes", "set": { "mood": "calm" } }));
    let changed = bob.event("attributes", |event| event["identity"] == "ann");
    assert_eq!(
        (&changed["changed"], &changed["all"]),
        (&json!({ "mood": "calm" }), &json!({ "mood": "calm" }))
    );
    ann.ask(json!({ "do": "metadata", "text": "a customer" }));
    bob.event("metadata", |event| event["text"] == "a customer");
    server.ask(
        "RoomService/UpdateRoomMetadata",
        &room,
        &json!({ "room": room, "metadata": "a call" }),
    );
    bob.event("room_metadata", |event| event["text"] == "a call");

    ann.ask(json!({ "do": "send", "topic": "keys", "text": "enter" }));
    let text = bob.event("data", |event| event["topic"] == "keys");
    assert_eq!((&text["text"], &text["reliable"]), (&json!("enter"), &json!(true)));
    // One that may be lost is lost only under load.
    ann.ask(json!({ "do": "send", "topic": "bytes", "base64": "/wD+", "reliable": false }));
    let bytes = bob.event("data", |event| event["topic"] == "bytes");
    assert_eq!((&bytes["base64"], &bytes["reliable"]), (&json!("/wD+"), &json!(false)));
    ann.ask(json!({ "do": "dtmf", "code": 5, "digit": "5" }));
    bob.event("dtmf", |event| event["digit"] == "5" && event["code"] == 5);

    bob.ask(json!({ "do": "answer", "method": "greet", "payload": "good evening" }));
    bob.ask(json!({ "do": "answer", "method": "refuse", "code": 4711, "message": "no" }));
    for method in ["greet", "refuse", "unknown"] {
        ann.ask(json!({ "do": "rpc", "to": "bob", "method": method, "payload": "hello" }));
    }
    ann.event("rpc_answer", |event| {
        event["method"] == "greet" && event["payload"] == "good evening"
    });
    ann.event("rpc_error", |event| event["method"] == "refuse" && event["code"] == 4711);
    ann.event("rpc_error", |event| event["method"] == "unknown" && event["code"] == 1_400);
    bob.event("rpc_called", |event| {
        event["method"] == "greet" && event["payload"] == "hello" && event["caller"] == "ann"
    });
}

#[test]
fn an_agent_comes_late_and_a_room_that_is_deleted_is_left() {
    let (server, room) = (shared(), room("agent"));
    let mut ann = Peer::join(&server, &room, "ann");
    ann.ask(json!({ "do": "attributes", "set": { "mood": "calm" } }));
    let mut agent = Peer::start("agent");
    agent.ask(json!({ "do": "join", "url": server.url(), "token": server.agent(&room, "agent") }));
    let joined = ann.event("participant_joined", |event| event["identity"] == "agent");
    assert_eq!(joined["kind"], "agent");
    let there = agent.event("participant_joined", |event| event["identity"] == "ann");
    assert_eq!(there["attributes"], json!({ "mood": "calm" }));

    ann.ask(json!({ "do": "reconnect", "how": "resume" }));
    ann.event("reconnected", |_| true);
    let there = server.ask("RoomService/ListParticipants", &room, &json!({ "room": room }));
    assert_eq!(there["participants"].as_array().map(Vec::len), Some(2), "{there}");
    server.ask("RoomService/DeleteRoom", &room, &json!({ "room": room }));
    for peer in [&mut ann, &mut agent] {
        peer.event("disconnected", |event| event["reason"] == "room_deleted");
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let server = shared();
    let mut ann = Peer::start("ann");
    let unknown = ann.try_ask(json!({ "do": "sing" })).unwrap_err();
    assert!(unknown.contains("no such command") && unknown.contains("play"), "{unknown}");
    let argument = ann.try_ask(json!({ "do": "chat", "txt": "?" })).unwrap_err();
    assert!(argument.contains("txt"), "{argument}");
    let nothing = ann.try_ask(json!({ "do": "mute" })).unwrap_err();
    assert!(nothing.contains("nothing is published"), "{nothing}");
    let refused = ann.try_ask(json!({ "do": "join", "url": server.url(), "token": "none" }));
    assert!(refused.unwrap_err().contains("401"));
    // And it goes on.
    ann.enter(&server, &room("after"), json!({}));
    ann.event("joined", |event| event["identity"] == "ann");
}

#[test]
fn a_server_of_its_own_relays_and_shows_what_is_encrypted() {
    let server = Server::start(&Options { turn: Some(Turn::Udp), ..Options::default() });
    let room = room("relay");
    let mut ann = Peer::start("ann");
    ann.enter(&server, &room, json!({ "relay": true, "key": "of both" }));
    let mut bob = Peer::start("bob");
    bob.enter(&server, &room, json!({ "relay": true, "key": "of both" }));
    ann.publish(None);
    let track = bob.event("track_subscribed", |event| event["identity"] == "ann");
    assert_eq!(track["encrypted"], true);
    ann.play(&audio(ORDER.0));
    let heard = bob.hear_out("ann", 0);
    assert!(heard.sound.dbfs() > -30.0, "{} dBFS", heard.sound.dbfs());
}
