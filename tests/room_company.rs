//! Several people in a room with an agent, on LiveKit's own server: who is heard, who is answered, and who comes back.

mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

use listen::{Sound, missed, words};
use rooms::agent::Agent;
use rooms::peer::Peer;
use rooms::server::Server;
use rooms::{PATIENCE, audio, room, shared};
use serde_json::{Value, json};

const QUESTION: &str = "caller-08-barge-in.wav";
const HOURS: &str = "caller-02-hours.wav";
const OWE: &str = "caller-04-owe.wav";
const INVOICE: &str = "caller-05-invoice.wav";

/// A desk with a soft tone for a voice.
const DESK: &str = "
name: desk
speech: { recogniser: { engine: pocketsphinx }, synthesiser: { engine: tone } }
agents:
  desk:
    intents:
      - { name: hours, phrases: [what are your opening hours], say: From nine. }
      - { name: owe, phrases: [how much do I owe], say: Nothing. }
      - { name: invoice, phrases: [please send me the invoice], say: Done. }
";

/// What is softer than this is no speech of the agent's.
const QUIET_DBFS: f32 = -50.0;

/// An event's lane and what was meant.
fn meant(event: &Value) -> (u64, &str) {
    (event["lane"].as_u64().expect("it has a lane"), event["intent"].as_str().unwrap_or("-"))
}

/// All words that the agent made out.
fn heard(agent: &Agent) -> Vec<String> {
    agent.events("user.transcript").iter().map(Value::to_string).collect()
}

/// The sid of what somebody published last.
fn track(peer: &Peer) -> Value {
    let history = peer.history();
    history.iter().rfind(|event| event["event"] == "published").expect("it has a track")["sid"]
        .clone()
}

/// Somebody who is heard by the agent, and hears nobody. What [`Peer::publish`] waits for is the agent then, and not
/// another one in the room; and the call has begun, which nobody who hears it may begin.
#[track_caller]
fn speaker(server: &Server, room: &str, name: &str, agent: &Agent) -> Peer {
    let before = agent.events("user.published").len();
    let mut peer = Peer::start(name);
    peer.enter(server, room, json!({ "auto_subscribe": false }));
    peer.publish(None);
    agent.event_after("user.published", before);
    peer
}

/// Says something and waits until it is understood.
#[track_caller]
fn says(peer: &mut Peer, agent: &Agent, clip: &str, wanted: (u64, &str)) {
    let before = agent.events("user.message").len();
    let before_said = agent.events("agent.speech_finished").len();
    peer.play(&audio(clip));
    let message = agent.event_after("user.message", before);
    assert_eq!(meant(&message), wanted, "{:#?}", heard(agent));
    agent.event_after("agent.speech_finished", before_said);
}

/// What somebody hears of the agent, from a time on until it is silent.
#[track_caller]
fn answer(peer: &mut Peer, from_ms: u64) -> Sound {
    let to = peer.quiet("agent");
    let sound = peer.recording("agent", from_ms, to);
    let begins = sound.first_above(QUIET_DBFS).expect("the agent is heard");
    sound.part(begins, u64::MAX)
}

#[test]
fn both_of_two_people_are_understood_and_hear_the_answers() {
    let (server, room) = (shared(), room("two"));
    let mut people = ["ann", "bob"].map(|name| Peer::join(&server, &room, name));
    for peer in &mut people {
        peer.publish(None);
    }
    let agent = Agent::connect(&server, &room, "configs/demo.yaml");
    let [ann, bob] = &mut people;
    for peer in [&mut *ann, &mut *bob] {
        peer.reads("agent", "help you?");
        peer.quiet("agent");
    }
    // A lane each, in the order in which the server names them.
    let names = agent.events("user.joined");
    let lane = |name: &str| {
        let of = names.iter().find(|event| event["name"] == name).expect("both have joined");
        of["lane"].as_u64().expect("a number")
    };

    // One after the other; each is heard by the other one, too.
    let mut sounds = Vec::new();
    for (speaks, clip, intent, end) in
        [(0, HOURS, "hours", "Saturday."), (1, QUESTION, "question", "know?")]
    {
        let before = agent.events("user.message").len();
        let from = [&*ann, &*bob].map(|peer| peer.recorded_ms("agent"));
        let pair = [&mut *ann, &mut *bob];
        pair[speaks].play(&audio(clip));
        let message = agent.event_after("user.message", before);
        assert_eq!(meant(&message), (lane(["ann", "bob"][speaks]), intent));
        for (peer, from) in pair.into_iter().zip(from) {
            peer.reads("agent", end);
            sounds.push(answer(peer, from));
        }
    }
    for pair in sounds.chunks(2) {
        let [level, other] = [&pair[0], &pair[1]].map(Sound::dbfs);
        assert!((level - other).abs() < 3.0 && level > -35.0, "{level} and {other} dBFS");
    }
    let strangers = words(&[sounds.swap_remove(1), sounds.swap_remove(2)]);
    let hours = ["open", "nine", "monday", "saturday"];
    let question = ["course", "would", "like", "know"];
    for (text, wanted) in strangers.iter().zip([hours, question]) {
        assert!(missed(text, &wanted).len() <= 2, "{text:?} has not half of {wanted:?}");
    }

    // Both at once: one turn, a message of each.
    let before = agent.events("user.message").len();
    let said = agent.events("agent.speech_started").len();
    ann.tell(json!({ "do": "play", "wav": audio(HOURS) }));
    bob.tell(json!({ "do": "play", "wav": audio(QUESTION) }));
    let first = agent.event_after("user.message", before);
    let second = agent.event_after("user.message", before + 1);
    assert_eq!(first["turn"], second["turn"]);
    let mut both = [meant(&first), meant(&second)];
    both.sort_by_key(|(_, intent)| *intent);
    assert_eq!(both, [(lane("ann"), "hours"), (lane("bob"), "question")], "{:#?}", heard(&agent));
    for peer in [&mut *ann, &mut *bob] {
        peer.reads("agent", "Saturday.");
        peer.reads("agent", "know?");
    }
    answers_follow_the_words(&agent, &[first, second], said);

    // Each one's words are of their own track.
    for (name, words) in [("ann", "opening"), ("bob", "something")] {
        let mine = track(if name == "ann" { ann } else { bob });
        for reader in [&mut *ann, &mut *bob] {
            for _ in 0..2 {
                let transcript = reader.reads(name, words);
                assert_eq!(
                    transcript["attributes"]["lk.transcribed_track_id"], mine,
                    "{transcript}"
                );
            }
        }
    }
}

/// The agent waits until both are silent, and answers in the order of first words.
fn answers_follow_the_words(agent: &Agent, messages: &[Value; 2], said: usize) {
    let tick = |event: &Value| event["tick"].as_u64().expect("an event has a tick");
    let transcripts = agent.events("user.transcript");
    let last = |lane: &Value| {
        let of = |event: &&Value| event["lane"] == *lane && event["last"] == true;
        transcripts.iter().rfind(of).map(tick).expect("a message has words")
    };
    let known: Vec<_> = messages.iter().map(|message| last(&message["lane"])).collect();
    assert!(known[0] <= known[1], "{known:?}: {messages:?}");
    let begins = tick(&agent.event_after("agent.speech_started", said));
    for message in messages {
        let silent = message["last_voiced"].as_u64().expect("a tick");
        assert!(silent < begins, "the agent begins in tick {begins}, somebody spoke in {silent}");
    }
    let answers = agent.events("agent.message");
    let answers: Vec<_> =
        answers.iter().filter(|event| tick(event) >= tick(&messages[0])).collect();
    let at = |words: &str| {
        answers
            .iter()
            .position(|event| event["text"].as_str().is_some_and(|text| text.contains(words)))
    };
    let of = |message: &Value| {
        at(if message["intent"] == "hours" { "nine to six" } else { "Of course" })
    };
    let order = messages.each_ref().map(of);
    assert!(order[0].is_some() && order[0] < order[1], "{order:?}: {answers:?}");
}

#[test]
fn only_the_chosen_one_is_heard() {
    let (server, room) = (shared(), room("chosen"));
    let config = format!("{DESK}livekit: {{ listen_to: ann }}\n");
    let mut agent = Agent::with(&server, &room, &config);
    let mut ann = speaker(&server, &room, "ann", &agent);
    // Somebody hears bob: ann does, who is in the room for that.
    let mut bob = Peer::join(&server, &room, "bob");
    let bobs = ann.event("participant_joined", |event| event["identity"] == "bob");
    assert_eq!(bobs["kind"], "standard");
    bob.ask(json!({ "do": "publish" }));
    let sid = ann.event("track_published", |event| event["identity"] == "bob")["sid"].clone();
    ann.ask(json!({ "do": "subscribe", "sid": sid }));
    bob.event("local_track_subscribed", |_| true);

    bob.play(&audio(HOURS));
    ann.hear_out("bob", 0);
    says(&mut ann, &agent, OWE, (0, "owe"));
    bob.ask(json!({ "do": "leave" }));
    ann.event("participant_left", |event| event["identity"] == "bob");
    server.ask("RoomService/DeleteRoom", &room, &json!({ "room": room }));
    agent.ends(PATIENCE);
    let names: Vec<_> = agent.events("user.joined").iter().map(|e| e["name"].clone()).collect();
    assert_eq!(names, ["ann"]);
    assert_eq!(agent.events("user.message").len(), 1);
    assert_eq!(agent.events("user.speech_started").len(), 1);
}

#[test]
fn who_comes_late_or_comes_back_is_understood() {
    let (server, room) = (shared(), room("back"));
    let agent = Agent::with(&server, &room, DESK);
    let mut ann = speaker(&server, &room, "ann", &agent);
    says(&mut ann, &agent, HOURS, (0, "hours"));
    let mut bob = speaker(&server, &room, "bob", &agent);
    says(&mut bob, &agent, OWE, (1, "owe"));
    ann.reads("bob", "owe");

    bob.ask(json!({ "do": "leave" }));
    agent.event("user.left", |event| event["lane"] == 1);
    let first = track(&bob);
    drop(bob);
    ann.forget();
    let mut bob = speaker(&server, &room, "bob", &agent);
    says(&mut bob, &agent, OWE, (1, "owe"));
    let again = ann.reads("bob", "owe");
    assert_eq!(again["attributes"]["lk.transcribed_track_id"], track(&bob));
    assert_ne!(first, track(&bob));
    let joined = agent.events("user.joined");
    let joined: Vec<_> = joined.iter().map(|event| (&event["lane"], &event["name"])).collect();
    let (ann, bob) = ((&json!(0), &json!("ann")), (&json!(1), &json!("bob")));
    assert_eq!(joined, [ann, bob, bob]);
}

#[test]
fn a_microphone_that_is_muted_or_replaced_is_heard_again() {
    let (server, room) = (shared(), room("muted"));
    let agent = Agent::with(&server, &room, DESK);
    let mut ann = speaker(&server, &room, "ann", &agent);
    let of_ann = |event: &Value| event["lane"] == 0;
    agent.event("user.published", of_ann);
    ann.ask(json!({ "do": "mute" }));
    agent.event("user.muted", of_ann);
    // Nobody hears it.
    ann.play(&audio(OWE));
    ann.ask(json!({ "do": "unmute" }));
    agent.event("user.unmuted", of_ann);
    says(&mut ann, &agent, INVOICE, (0, "invoice"));

    // Another stream, whose numbers begin anywhere.
    let first = track(&ann);
    ann.ask(json!({ "do": "unpublish" }));
    agent.event("user.unpublished", of_ann);
    ann.forget();
    ann.publish(None);
    agent.event_after("user.published", 1);
    says(&mut ann, &agent, HOURS, (0, "hours"));
    let transcript = ann.reads("ann", "opening");
    assert_eq!(transcript["attributes"]["lk.transcribed_track_id"], track(&ann));
    assert_ne!(first, track(&ann));
    assert_eq!(agent.events("user.message").len(), 2);
    assert_eq!(agent.events("user.joined").len(), 1);
}
