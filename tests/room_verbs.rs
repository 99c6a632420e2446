//! What agents do to a call in a room, on LiveKit's own server, as the official client sees it: calls passed on to
//! people and to telephones, keys that are pressed, clips and holds.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;
mod telephones;

use rooms::agent::Agent;
use rooms::peer::Peer;
use rooms::{PATIENCE, Shared, audio, room, shared};
use serde_json::{Value, json};
use telephones::{Answer, Telephones, Wanted};

/// A desk that does what it is told, and says how it went.
fn desk(call: &str) -> String {
    format!(
        "
name: desk
speech: {{ synthesiser: {{ engine: tone }} }}
call: {{ alone_ms: 100 }}
livekit: {{ sip_trunk: ST_main }}
clips: {{ tune: {tune} }}
agents:
  desk:
    intents:
      - {{ name: do, phrases: [do it], call: {call}, then: 'Done: {{result}}.', failed: 'No: {{error}}.' }}
      - {{ name: talk, phrases: [are you there], say: Still here. }}
",
        tune = audio("caller-02-hours.wav")
    )
}

/// A desk in a room of the real server, with telephones before it, and ann, who has told it to do it.
struct Scene {
    agent: Agent,
    ann: Peer,
    room: String,
    _server: Shared,
    _folder: tempfile::TempDir,
}

impl Scene {
    #[track_caller]
    fn play(name: &str, call: &str, telephones: Option<(&Shared, &Telephones)>) -> Self {
        let (server, room) = (shared(), room(name));
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("agent.yaml");
        std::fs::write(&file, desk(call)).expect("the temporary folder can be written");
        let url = telephones.map(|(_, front)| front.url());
        let environment: Vec<_> = url.iter().map(|url| ("LIVEKIT_URL", url.as_str())).collect();
        let file = file.to_str().expect("temporary folders have plain names");
        let agent = Agent::start(&server, &room, file, &[], &environment);
        agent.event("room.joined", |_| true);
        let ann = Peer::join(&server, &room, "ann");
        agent.event("user.joined", |_| true);
        Self { agent, ann, room, _server: server, _folder: folder }
    }

    fn told(&mut self, text: &str) {
        self.ann.ask(json!({ "do": "chat", "text": text }));
    }

    /// The call goes on: the agent answers.
    #[track_caller]
    fn goes_on(&mut self) {
        self.told("are you there");
        self.ann.reads("agent", "Still here.");
    }

    #[track_caller]
    fn ended(&mut self) -> Value {
        assert_eq!(self.agent.ends(PATIENCE), Some(0), "{}", self.agent.complaints());
        self.agent.events("session.ended")[0]["reason"].clone()
    }

    /// What the failed call said.
    #[track_caller]
    fn refused(&mut self, why: &str) {
        self.ann.reads("agent", why);
        assert_eq!(self.agent.events("call.transferred"), Vec::<Value>::new());
        self.goes_on();
    }
}

#[test]
fn a_cold_transfer_sends_the_callers_telephone_to_another() {
    let server = shared();
    let front = Telephones::before(server.port(), &[Answer::PickedUp]);
    let call = "{ tool: transfer_call, with: { to: 'tel:+15105550100' } }";
    let mut scene = Scene::play("cold", call, Some((&server, &front)));
    scene.told("do it");
    assert_eq!(scene.ended(), json!({ "transferred": "tel:+15105550100" }));
    let asked = front.asked();
    let [asked] = &*asked else { panic!("asked once: {asked:?}") };
    let Wanted::Transfer(request) = &asked.what else { panic!("{asked:?}") };
    assert_eq!((&*request.participant_identity, &*request.room_name), ("ann", &*scene.room));
    assert_eq!(request.transfer_to, "tel:+15105550100");
    assert_eq!(request.ringing_timeout.as_ref().map(|time| time.seconds), Some(29));
    let claims = &asked.claims;
    assert!(claims.sip.call && !claims.sip.admin && claims.video.room_admin, "{claims:?}");
    assert_eq!(claims.video.room, scene.room);
    // What opens the server's API is told to nobody.
    let printed = scene.agent.printed();
    assert!(!printed.contains("eyJ") && !printed.contains(server.secret()), "{printed}");
}

#[test]
fn a_warm_transfer_brings_a_telephone_into_the_room_and_the_agent_stays() {
    let server = shared();
    let front = Telephones::before(server.port(), &[]);
    let call = "{ tool: transfer_call, with: { to: 'tel:+1 510 555 0100', mode: warm } }";
    let mut scene = Scene::play("blanks", call, Some((&server, &front)));
    scene.told("do it");
    scene.refused("no telephone's address");
    assert!(front.asked().is_empty());

    let call = "{ tool: transfer_call, with: { to: 'tel:+1-510-555-0100', mode: warm } }";
    let mut scene = Scene::play("warm", call, Some((&server, &front)));
    scene.told("do it");
    scene.ann.reads("agent", "sip_+15105550100");
    let told = scene.agent.event("call.transferred", |_| true);
    assert_eq!((&told["to"], &told["warm"]), (&json!("tel:+1-510-555-0100"), &json!(true)));
    let asked = front.asked();
    let [asked] = &*asked else { panic!("asked once: {asked:?}") };
    let Wanted::Create(request) = &asked.what else { panic!("{asked:?}") };
    assert_eq!((&*request.sip_trunk_id, &*request.sip_call_to), ("ST_main", "+15105550100"));
    assert_eq!(request.room_name, scene.room);
    assert!(request.wait_until_answered && asked.claims.sip.call);
    scene.goes_on();
}

#[test]
fn a_transfer_that_the_server_refuses_leaves_the_call_as_it_is() {
    let server = shared();
    let busy = Answer::Refused(503, r#"{"code":"unavailable","msg":"sip status: 486: Busy here"}"#);
    let garbage = Answer::Refused(500, "<html>");
    let front = Telephones::before(server.port(), &[busy, garbage, Answer::Closed]);
    let call = "{ tool: transfer_call, with: { to: 'sip:desk@example.org', mode: warm } }";
    let mut scene = Scene::play("busy", call, Some((&server, &front)));
    for why in ["(503): sip status: 486: Busy here", "(500): no reason given", "was lost"] {
        scene.told("do it");
        scene.refused(why);
    }
    assert_eq!(front.asked().len(), 3, "nothing is tried twice by itself");

    // The real one, which has no SIP service beside it.
    let mut scene = Scene::play("none", call, None);
    scene.told("do it");
    scene.refused("the server refuses");
}

#[test]
fn a_call_is_passed_on_to_somebody_who_is_there() {
    let call = "{ tool: transfer_call, with: { to: bob } }";
    let mut scene = Scene::play("bob", call, None);
    scene.told("do it");
    scene.refused("no such participant");
    let server = shared();
    let _bob = Peer::join(&server, &scene.room, "bob");
    scene.agent.event_after("user.joined", 1);
    scene.told("do it");
    assert_eq!(scene.ended(), json!({ "transferred": "bob" }));
    scene.ann.event("participant_left", |event| event["identity"] == "agent");
}

#[test]
fn keys_that_the_agent_presses_arrive_in_their_order() {
    let mut scene = Scene::play("keys", "{ tool: send_dtmf, with: { digits: '1*#D' } }", None);
    scene.told("do it");
    for (digit, code) in [("1", 1), ("*", 10), ("#", 11), ("D", 15)] {
        let key = scene.ann.event("dtmf", |event| event["digit"] == digit);
        assert_eq!((&key["code"], &key["identity"]), (&json!(code), &json!("agent")));
    }
    let pressed: Vec<Value> = scene.ann.history();
    let pressed: Vec<_> = pressed
        .iter()
        .filter(|event| event["event"] == "dtmf")
        .map(|event| event["digit"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(pressed, ["1", "*", "#", "D"]);
    assert_eq!(scene.agent.event("digits.sent", |_| true)["digits"], "1*#D");
}

#[test]
fn a_clip_and_a_hold_are_heard() {
    let mut scene = Scene::play("clip", "{ tool: play_clip, with: { clip: tune } }", None);
    let before = scene.ann.recorded_ms("agent");
    scene.told("do it");
    scene.agent.event("clip.played", |_| true);
    let heard = scene.ann.hear_out("agent", before);
    assert!(heard.sound.dbfs() > -40.0, "{} dBFS", heard.sound.dbfs());

    let call = "{ tool: hold, with: { clip: tune, max_ms: 2500 } }";
    let mut scene = Scene::play("hold", call, None);
    scene.told("do it");
    let held = scene.agent.event("call.held", |_| true);
    let resumed = scene.agent.event("call.resumed", |_| true);
    let ticks = resumed["tick"].as_u64().unwrap() - held["tick"].as_u64().unwrap();
    assert!(ticks > 0, "{held} {resumed}");
    scene.goes_on();
}
