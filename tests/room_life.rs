//! The life of a call in a room, on LiveKit's own server: what is typed, called and sent, both ways, and what is left
//! of a call. How calls end is in `tests/room_ends.rs`.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

use std::fs;
use std::path::Path;
use std::process::Command;

use rooms::agent::Agent;
use rooms::peer::Peer;
use rooms::{PATIENCE, audio, room, shared};
use serde_json::{Value, json};

/// A desk that reads, and has a soft tone for a voice.
const DESK: &str = "
name: desk
speech: { synthesiser: { engine: tone } }
call: { alone_ms: 100 }
agents:
  desk:
    intents:
      - { name: hours, phrases: [what are your opening hours], say: From nine to six. }
      - { name: owe, phrases: [how much do I owe], say: Nothing at all. }
";

/// The configuration that shows what a page and an agent may ask of each other.
const SHOP: &str = "configs/room.yaml";

/// The largest payload of data, and of a call by RPC, in bytes.
const PAYLOAD_MAX: usize = 15 << 10;

/// Calls that are made at once: more than twice what a sender may send in a second.
const FLOOD: usize = 250;

/// Leaves, and waits for the agent to be alone for long enough; how the room was left.
#[track_caller]
fn hangs_up(mut peer: Peer, agent: &mut Agent) -> Value {
    peer.ask(json!({ "do": "leave" }));
    assert_eq!(agent.ends(PATIENCE), Some(0), "{}", agent.complaints());
    let left = agent.events("room.left");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["reason"], "the agent left the room");
    left[0].clone()
}

#[test]
fn what_is_typed_in_either_form_is_answered() {
    let (server, room) = (shared(), room("typed"));
    let mut agent = Agent::with(&server, &room, DESK);
    let mut ann = Peer::join(&server, &room, "ann");
    agent.event("user.joined", |_| true);
    ann.ask(json!({ "do": "chat", "text": "What are your opening hours?" }));
    ann.reads("agent", "nine to six");
    // As older clients do, and one of today that sends both.
    let old = |message: &Value| json!({ "do": "send", "topic": "lk-chat-topic", "text": message.to_string() });
    let text = "what are your opening hours";
    ann.ask(old(&json!({ "id": "1", "timestamp": 1, "message": text, "ignoreLegacy": true })));
    ann.ask(old(&json!({ "id": "2", "timestamp": 2, "message": "how much do I owe" })));
    ann.reads("agent", "Nothing at all.");
    let messages = agent.events("user.message");
    let messages: Vec<_> =
        messages.iter().map(|m| (&m["intent"], &m["typed"], &m["lane"])).collect();
    let (typed, lane) = (json!(true), json!(0));
    assert_eq!(messages, [(&json!("hours"), &typed, &lane), (&json!("owe"), &typed, &lane)]);
    hangs_up(ann, &mut agent);
}

#[test]
fn what_is_told_of_people_and_what_they_send_becomes_events() {
    let (server, room) = (shared(), room("told"));
    let mut agent = Agent::with(&server, &room, DESK);
    let mut ann = Peer::join(&server, &room, "ann");
    agent.event("user.joined", |_| true);
    let of_ann = |event: &Value| event["lane"] == 0;

    ann.ask(json!({ "do": "attributes", "set": { "mood": "calm", "tier": "gold" } }));
    agent.event("user.attributes", |event| {
        of_ann(event) && event["changed"] == json!({ "mood": "calm", "tier": "gold" })
    });
    ann.ask(json!({ "do": "attributes", "set": { "mood": "" } }));
    agent.event("user.attributes", |event| event["changed"] == json!({ "mood": "" }));
    ann.ask(json!({ "do": "metadata", "text": "a customer" }));
    agent.event("user.metadata", |event| of_ann(event) && event["text"] == "a customer");
    let metadata = json!({ "room": room, "metadata": "a call" });
    server.ask("RoomService/UpdateRoomMetadata", &room, &metadata);
    agent.event("room.metadata", |event| event["text"] == "a call");
    for (code, digit) in [(5, "5"), (11, "#")] {
        ann.ask(json!({ "do": "dtmf", "code": code, "digit": digit }));
        agent.event("user.digit", |event| of_ann(event) && event["digit"] == digit);
    }

    ann.ask(json!({ "do": "send", "topic": "keys", "text": "enter" }));
    let text = agent.event("data.received", |event| event["topic"] == "keys");
    assert_eq!((&text["lane"], &text["text"]), (&json!(0), &json!("enter")));
    assert_eq!((&text["bytes"], &text["reliable"]), (&json!(5), &json!(true)));
    // One that may be lost is lost only under load.
    ann.ask(json!({ "do": "send", "topic": "bytes", "base64": "/wD+", "reliable": false }));
    let bytes = agent.event("data.received", |event| event["topic"] == "bytes");
    assert_eq!((&bytes["bytes"], &bytes["reliable"]), (&json!(3), &json!(false)));
    assert_eq!(bytes["text"], Value::Null);
    // A text stream on a topic of their own is data.
    ann.ask(json!({ "do": "text", "topic": "cart", "text": "shoes" }));
    agent.event("data.received", |event| event["topic"] == "cart" && event["text"] == "shoes");
    // The server is nobody's lane.
    let data = json!({ "room": room, "kind": "RELIABLE", "topic": "shop", "data": "b3Blbg==" });
    server.ask("RoomService/SendData", &room, &data);
    let told = agent.event("data.received", |event| event["topic"] == "shop");
    assert_eq!((&told["lane"], &told["text"]), (&Value::Null, &json!("open")));

    // What is too large is counted, and what just fits comes.
    let large = "x".repeat(PAYLOAD_MAX + 1);
    ann.ask(json!({ "do": "send", "topic": "large", "text": large }));
    ann.ask(json!({ "do": "text", "topic": "long", "text": large }));
    ann.ask(json!({ "do": "send", "topic": "whole", "text": large[1..] }));
    let whole = agent.event("data.received", |event| event["topic"] == "whole");
    assert_eq!(whole["bytes"], PAYLOAD_MAX);
    let left = hangs_up(ann, &mut agent);
    assert_eq!(left["counts"]["oversized"], 2, "{left}");
    let large = |event: &Value| event["topic"] == "large" || event["topic"] == "long";
    assert!(!agent.events("data.received").iter().any(large));
}

#[test]
fn a_page_and_an_agent_ask_of_each_other() {
    let (server, room) = (shared(), room("page"));
    let agent = Agent::connect(&server, &room, SHOP);
    let mut ann = Peer::join(&server, &room, "ann");
    ann.ask(json!({ "do": "answer", "method": "show", "payload": "{\"form\": 52}" }));
    ann.reads("agent", "shoe desk");

    // The page asks.
    let rpc = |method: &str, payload: &str| json!({ "do": "rpc", "to": "agent", "method": method, "payload": payload });
    ann.ask(rpc("stock", "{\"article\": \"boots\"}"));
    let answer = ann.event("rpc_answer", |event| event["method"] == "stock");
    let answer: Value = serde_json::from_str(answer["payload"].as_str().unwrap()).unwrap();
    assert_eq!(answer, json!({ "left": 12 }));
    let large = "x".repeat(PAYLOAD_MAX);
    for (method, payload, code, why) in [
        ("sing", "", 1_400, "no method `sing`"),
        ("stock", &large, 1_500, "JSON"),
        ("stock", "boots", 1_500, "JSON"),
        ("stock", "{\"article\": 7}", 1_500, "article"),
        ("stock", "{}", 1_500, "article"),
        ("stock", "{\"article\": \"hats\"}", 1_500, "no answer for hats"),
    ] {
        ann.ask(rpc(method, payload));
        let error = ann.event("rpc_error", |event| event["method"] == method);
        assert_eq!(error["code"], code, "{method} {payload}: {error}");
        assert!(error["message"].as_str().unwrap().contains(why), "{method} {payload}: {error}");
    }

    // The agent asks.
    ann.ask(json!({ "do": "chat", "text": "I want to return my shoes" }));
    let called = ann.event("rpc_called", |event| event["method"] == "show");
    assert_eq!(called["caller"], "agent");
    assert_eq!(called["payload"], "{\"article\":\"shoes\"}");
    ann.reads("agent", "form number 52");
    ann.ask(json!({ "do": "chat", "text": "please send me the invoice" }));
    let invoice = ann.event("data", |event| event["topic"] == "invoices");
    assert_eq!(
        (&invoice["identity"], &invoice["text"]),
        (&json!("agent"), &json!("{\"number\":81}"))
    );
    assert_eq!(invoice["reliable"], true);
    ann.reads("agent", "on your screen");

    // A page that refuses.
    ann.ask(json!({ "do": "answer", "method": "show", "code": 4_711, "message": "no printer" }));
    ann.ask(json!({ "do": "chat", "text": "I want to return my boots" }));
    ann.reads("agent", "cannot show you the form");
    let failed = agent.event("tool.result", |event| {
        event["name"] == "show_form" && event["outcome"]["Failed"].is_object()
    });
    assert_eq!(failed["outcome"]["Failed"]["message"], "no printer (4711)");
}

#[test]
fn a_flood_of_calls_is_refused_and_the_call_goes_on() {
    let (server, room) = (shared(), room("flood"));
    let mut agent = Agent::connect(&server, &room, SHOP);
    let mut ann = Peer::join(&server, &room, "ann");
    ann.publish(None);
    ann.reads("agent", "shoe desk");
    let call = json!({ "do": "rpc", "to": "agent", "method": "stock", "payload": "{\"article\": \"shoes\"}" });
    for _ in 0..FLOOD {
        ann.tell(call.clone());
    }
    let (mut answered, mut refused) = (0, 0);
    while answered + refused < FLOOD {
        let outcome = ann.expect("the outcome of a call", |event| match event["event"].as_str() {
            Some("rpc_answer") => Some(Ok(event["payload"].clone())),
            Some("rpc_error") => Some(Err(event["code"].as_u64())),
            _ => None,
        });
        match outcome {
            Ok(payload) => {
                assert_eq!(payload, "{\"left\":3}");
                answered += 1;
            }
            Err(code) => {
                assert!(matches!(code, Some(1_500..=1_502)), "{code:?}");
                refused += 1;
            }
        }
    }
    assert!(answered > 0 && refused > 0, "{answered} answered, {refused} refused");

    ann.play(&audio("caller-02-hours.wav"));
    agent.event("user.message", |event| event["intent"] == "hours");
    ann.reads("agent", "nine to six");
    ann.play(&audio("caller-10-goodbye.wav"));
    assert_eq!(agent.ends(PATIENCE), Some(0), "{}", agent.complaints());
    let left = agent.events("room.left")[0].clone();
    println!("{answered} answered, {refused} refused: {}", left["counts"]);
    assert!(left["counts"]["flooded"].as_u64().is_some(), "{left}");

    is_replayed(&agent.folder().join("call"));
    tells_no_secret(&agent, &[server.secret(), &server.user(&room, "ann")], "nine to six");
}

/// The journal of a call is one that replays, and there is something for people to read.
fn is_replayed(call: &Path) {
    let replay = Command::new(env!("CARGO_BIN_EXE_antiphon"))
        .args(["replay", "--json"])
        .arg(call.join("journal.antiphon"))
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&replay.stdout);
    assert_eq!(replay.status.code(), Some(0), "{told}{}", String::from_utf8_lossy(&replay.stderr));
    assert!(told.contains("equal"), "{told}");
    let report = fs::read_to_string(call.join("report.html")).expect("there is a report");
    assert!(report.contains("nine to six"), "it tells what was said");
}

/// Neither a secret nor a token is in what a call left or printed. Something that was said is, so that it was looked for
/// in the right place.
fn tells_no_secret(agent: &Agent, secrets: &[&str], said: &str) {
    let token = secrets[1];
    // Every token begins alike: with what it is, and how it is signed.
    let head = token.split('.').next().expect("a token has a head");
    assert!(head.len() > 20 && head.starts_with("eyJ"), "{head:?}");
    let mut hidden: Vec<&str> = secrets.to_vec();
    hidden.push(head);
    let mut found = 0;
    let mut look = |name: &str, bytes: &[u8]| {
        let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        for text in &hidden {
            assert!(!has(text), "a secret is in {name}");
        }
        found += usize::from(has(said));
    };
    look("what it printed", agent.printed().as_bytes());
    let mut folders = vec![agent.folder().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder of a call can be read") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                look(&path.display().to_string(), &fs::read(&path).expect("a file can be read"));
            }
        }
    }
    assert!(found >= 4, "{said:?} is in {found} files only");
}

#[test]
fn an_encrypted_track_is_not_heard_and_ends_nothing() {
    let (server, room) = (shared(), room("secret"));
    let mut agent = Agent::with(&server, &room, DESK);
    let mut ann = Peer::join(&server, &room, "ann");
    agent.event("user.joined", |event| event["name"] == "ann");
    let mut eve = Peer::start("eve");
    eve.enter(&server, &room, json!({ "key": "a key of their own" }));
    let lane = agent.event("user.joined", |event| event["name"] == "eve")["lane"].clone();
    eve.ask(json!({ "do": "publish" }));
    let unheard = agent.event("user.unheard", |_| true);
    assert_eq!(unheard["lane"], lane);
    let cause = unheard["cause"].as_str().expect("it says why");
    assert!(cause.contains("end-to-end encrypted") && cause.contains("no key"), "{cause}");
    ann.ask(json!({ "do": "chat", "text": "what are your opening hours" }));
    ann.reads("agent", "nine to six");
    eve.ask(json!({ "do": "leave" }));
    hangs_up(ann, &mut agent);
    assert_eq!(agent.events("user.unheard").len(), 1);
    assert!(agent.events("user.speech_started").is_empty());
}
