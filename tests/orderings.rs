//! Orderings that are easy to get wrong, each as a scene: what is heard, what is asked for, and who has the
//! call are decided in one total order.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use antiphon::id::LaneId;
use antiphon::session::input::Inbound;
use antiphon::sim::caller::{Part, When};
use antiphon::tool::Json;
use serde_json::{Value, json};
use stage::{Hears, Scene, Stage, caller, plays, types};

fn typist() -> Part {
    Part { audio: false, ..caller("ann") }
}

/// Two desks with voices; the first looks things up, slowly or at once.
const DESKS: &str = "
name: desks
audio: { tick_ms: 20, rate_hz: 16000 }
speech: { recogniser: { engine: pocketsphinx, latency_ms: 20 }, synthesiser: { engine: tone, latency_ms: 20 } }
start: north
tools:
  slow: { latency_ms: 1000, canned: { otherwise: { ok: true } } }
  quick: { run: inline, canned: { otherwise: { ok: true } } }
agents:
  north:
    voice: nora
    tools: [slow, quick]
    intents:
      - { name: go, phrases: [go south] }
      - { name: long, phrases: [tell me everything], say: One two three four five six seven eight nine ten eleven twelve thirteen. }
      - { name: slow, phrases: [look it up], say: Let me look., call: { tool: slow }, then: It is there. }
      - { name: quick, phrases: [look and go], call: { tool: quick }, then: Found it. }
      - { name: both, phrases: [look it up and go], call: { tool: slow }, then: It is there. }
  south:
    voice: sam
    arrival: South is here.
    intents: [{ name: bye, phrases: [goodbye], say: Bye., end_call: true }]
transitions:
  - { from: north, to: south, when: { intent: go }, say: Over to south we go now. }
  - { from: north, to: south, when: { intent: both } }
  - { from: north, to: south, when: { tool_result: { tool: quick, key: ok, value: true } }, say: Passing you on. }
";

fn tick_of(event: &Value) -> u64 {
    event["tick"].as_u64().unwrap()
}

fn item_of(scene: &Scene, text: &str) -> Value {
    let messages = scene.all("agent.message");
    let found = messages.iter().find(|message| message["text"] == text);
    found.unwrap_or_else(|| panic!("nobody says {text}"))["item"].clone()
}

fn about(scene: &Scene, name: &str, item: &Value) -> u64 {
    let all = scene.all(name);
    tick_of(all.iter().find(|event| event["item"] == *item).unwrap_or_else(|| panic!("{name}")))
}

#[test]
fn an_interruption_keeps_what_was_played_and_nothing_more() {
    let scene = Stage::new(DESKS)
        .hears([Hears::Words("go south")])
        .caller(
            caller("ann"),
            [
                types(When::Start(100), "tell me everything"),
                plays(When::AgentSpoke(1_500), "caller-08-barge-in"),
            ],
        )
        .play();
    let cut = scene.one("agent.interrupted");
    let (spoken, unspoken) = (cut["spoken"].as_str().unwrap(), cut["unspoken"].as_str().unwrap());
    assert!(!spoken.is_empty() && !unspoken.is_empty());
    assert!(scene.transcript.contains(&spoken.to_owned()), "{:?}", scene.transcript);
    assert!(!scene.transcript.iter().any(|said| said.contains(unspoken)));
    let heard = scene.context["conversation"].as_array().unwrap();
    assert!(heard.iter().any(|said| said["interrupted"] == true && said["text"] == spoken));
}

#[test]
fn a_result_that_comes_with_the_hand_over_is_told_by_the_one_who_takes_over() {
    let scene =
        Stage::new(DESKS).caller(typist(), [types(When::Start(200), "look it up and go")]).play();
    let moved = tick_of(&scene.one("transition.executed"));
    assert_eq!(tick_of(&scene.one("tool.called")), moved, "asked for and handed over in one tick");
    let result = scene.all("tool.result").pop().unwrap();
    assert!(tick_of(&result) > moved + 1);
    assert_eq!(result["outcome"]["Done"], json!({ "ok": true }), "the call is not lost");
    let told =
        scene.all("agent.message").into_iter().find(|m| m["text"] == "It is there.").unwrap();
    assert_eq!((&told["agent"], tick_of(&told)), (&json!("south"), tick_of(&result)));
    assert!(scene.was_heard("It is there."));
}

#[test]
fn an_outcome_and_a_turn_in_one_tick_are_answered_in_that_order() {
    let text = |text: &str| Inbound::UserText { lane: LaneId(0), text: text.into() };
    let scene = Stage::new(DESKS)
        .happens(10, [text("look and go")])
        .happens(11, [text("tell me everything")])
        .caller(typist(), [types(When::Start(4_000), "goodbye")])
        .play();
    // The outcome of tick 10 is told in tick 11, before the turn of tick 11, and moves.
    let told = |text: &str| scene.messages().iter().position(|said| said.contains(text)).unwrap();
    assert!(told("Found it.") < told("One two three"));
    assert_eq!(tick_of(&scene.one("transition.executed")), 11);
    assert_eq!(scene.one("transition.executed")["cause"]["tool_result"]["tool"], "quick");
}

#[test]
fn who_hands_over_finishes_speaking_before_the_other_begins() {
    let scene = Stage::new(DESKS).caller(typist(), [types(When::Start(200), "go south")]).play();
    let (leaving, arriving) =
        (item_of(&scene, "Over to south we go now."), item_of(&scene, "South is here."));
    let started = tick_of(&scene.all("agent.started")[1]);
    let finished = about(&scene, "agent.speech_finished", &leaving);
    assert!(started < finished, "south has the call while north is still heard");
    assert!(about(&scene, "agent.speech_started", &arriving) > finished);
    assert_eq!(scene.all("agent.interrupted").len(), 0);
}

#[test]
fn a_user_who_speaks_as_the_reply_is_ready_is_not_talked_over() {
    let scene = Stage::new(DESKS)
        .hears([Hears::Words("go south")])
        .caller(
            caller("ann"),
            [
                types(When::Start(100), "look it up"),
                // Begins while the outcome is on its way, and is still speaking when it comes.
                plays(When::Start(900), "caller-08-barge-in"),
            ],
        )
        .play();
    let result = tick_of(&scene.one("tool.result"));
    let spoken = scene.ticks.iter().find(|seen| seen.tick.0 == result).unwrap();
    assert!(spoken.user_speech, "the outcome comes in the midst of the user's words");
    let reply = item_of(&scene, "It is there.");
    let stopped = tick_of(&scene.all("user.speech_stopped")[0]);
    let begun = scene.all("agent.speech_started");
    let begun = begun.iter().find(|event| event["item"] == reply);
    assert!(begun.is_none_or(|event| tick_of(event) >= stopped - 30), "it waits for the user");
    let both = |seen: &&stage::Seen| seen.tick.0 >= result && seen.user_speech && seen.agent_speech;
    assert_eq!(scene.ticks.iter().filter(both).count(), 0, "nobody talks over the other");
}

#[test]
fn a_hand_over_to_one_who_has_nothing_to_say_is_a_hand_over_all_the_same() {
    let silent = DESKS.replace("    arrival: South is here.\n", "");
    let lines = [types(When::Start(200), "go south"), types(When::Start(3_000), "goodbye")];
    let scene = Stage::new(&silent).caller(typist(), lines).play();
    assert_eq!(scene.each("agent.started", "agent"), ["north", "south"]);
    assert_eq!(scene.messages(), ["Over to south we go now.", "Bye."]);
    assert_eq!(scene.one("session.ended")["reason"], "agent_ended", "and south answers");
}

#[test]
fn an_orphaned_call_is_named_and_its_late_outcome_disturbs_nobody() {
    let slow = DESKS.replace("when: { intent: both } }", "when: { intent: both }, results: drop }");
    let phrase = "phrases: [look it up and go], call: { tool: ";
    // The outcome of the second is there at the hand-over, and not told yet.
    let quick = slow.replace(&format!("{phrase}slow"), &format!("{phrase}quick"));
    for (yaml, tool) in [(slow, "slow"), (quick, "quick")] {
        let lines =
            [types(When::Start(200), "look it up and go"), types(When::Start(4_000), "goodbye")];
        let scene = Stage::new(&yaml).caller(typist(), lines).play();
        let (call, orphan) = (scene.one("tool.called")["call"].clone(), scene.one("tool.orphaned"));
        assert_eq!((&orphan["call"], &orphan["name"]), (&call, &json!(tool)));
        assert!(!scene.messages().contains(&"It is there.".to_owned()));
        assert_eq!(scene.all("tool.result").len(), 1, "the call has its outcome all the same");
    }
}

#[test]
fn events_of_one_tick_have_one_order_whatever_brings_them() {
    let text = |text: &str| Inbound::UserText { lane: LaneId(0), text: text.into() };
    let custom =
        |name: &str| Inbound::Custom { lane: None, name: name.into(), data: Json(Value::Null) };
    let play = |values: [Inbound; 3]| {
        Stage::new(DESKS)
            .happens(10, values)
            .caller(typist(), [types(When::Start(3_000), "goodbye")])
            .play()
    };
    let scene = play([custom("a"), text("go south"), custom("b")]);
    let at_ten: Vec<String> = scene
        .events
        .iter()
        .filter(|event| event.tick.0 == 10)
        .map(|event| event.kind.name().to_string())
        .collect();
    assert_eq!(
        at_ten,
        ["custom", "custom", "user.message", "agent.message", "transition.executed"]
    );
    assert_eq!(scene.each("custom", "name"), ["a", "b"], "as they came");
    let seqs: Vec<u64> = scene.events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (0..seqs.len() as u64).collect::<Vec<_>>(), "numbered without gaps");
    let again = play([custom("a"), text("go south"), custom("b")]);
    assert_eq!(scene.ticks, again.ticks, "and the same each time");
}
