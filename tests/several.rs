//! Several callers in one call: each is heard by itself and known by name.

mod program;

use program::Desk;
use serde_json::Value;

const DESK: &str = "
name: desk
speech: { recogniser: { engine: pocketsphinx }, synthesiser: { engine: tone } }
agents:
  desk:
    intents:
      - { name: hours, phrases: [what are your opening hours], say: From nine to six. }
      - { name: owe, phrases: [how much do I owe], say: Nothing at all. }
      - { name: goodbye, phrases: [thank you goodbye], say: Goodbye. }
";

fn desk() -> Desk {
    let desk = Desk::new();
    desk.put("desk.yaml", DESK);
    desk.put("hours.wav", include_bytes!("../audio/caller-02-hours.wav"));
    desk.put("owe.wav", include_bytes!("../audio/caller-04-owe.wav"));
    desk
}

/// What each of the callers was understood to mean: names and intents in order.
fn understood(events: &[Value]) -> Vec<(String, String)> {
    let of_type = |name: &'static str| events.iter().filter(move |event| event["type"] == name);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = |lane: &Value| {
        let joined = of_type("user.joined").find(|event| event["lane"] == *lane);
        text(&joined.expect("who speaks has joined")["name"])
    };
    of_type("user.message").map(|event| (name(&event["lane"]), text(&event["intent"]))).collect()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(name, intent)| (name.to_owned(), intent.to_owned())).into()
}

#[test]
fn two_who_take_turns_are_both_understood() {
    let desk = desk();
    desk.put("anna.yaml", "name: anna\ncues: [{ play: hours.wav, after: { start_ms: 200 } }]");
    desk.put("ben.yaml", "cues: [{ play: owe.wav, after: { agent_silent_ms: 500 } }]");
    let words = "run desk.yaml --input anna.yaml --input ben.yaml --out call --fast";
    let told = desk.run(words).exits(0).stdout;
    let events = desk.events("call");
    // Who has no name in the file is called after it.
    assert_eq!(understood(&events), pairs([("anna", "hours"), ("ben", "owe")]));
    let lanes: Vec<_> =
        events.iter().filter(|e| e["type"] == "user.joined").map(|e| &e["lane"]).collect();
    assert_eq!(lanes, [0, 1]);
    for line in ["anna: what are your opening hours", "ben: how much do i owe"] {
        assert!(told.contains(line), "{line:?} is not in:\n{told}");
    }
}

#[test]
fn two_who_speak_at_once_are_told_apart() {
    let desk = desk();
    let words = "run desk.yaml --input hours.wav --input owe.wav --out call --fast";
    desk.run(words).exits(0);
    let events = desk.events("call");
    let mut heard: Vec<_> = events
        .iter()
        .filter(|event| event["type"] == "user.transcript" && event["last"] == true)
        .map(|event| (event["lane"].as_u64(), event["text"].as_str().unwrap_or_default()))
        .collect();
    heard.sort_unstable();
    assert_eq!(heard, [(Some(0), "what are your opening hours"), (Some(1), "how much do i owe")]);
}

#[test]
fn the_call_lasts_until_the_last_caller_hangs_up() {
    let desk = desk();
    desk.put("anna.yaml", "cues: [{ play: hours.wav, after: { start_ms: 200 } }]");
    desk.put("ben.yaml", "cues: [{ play: owe.wav, after: { start_ms: 15000 } }]");
    desk.run("run desk.yaml --input anna.yaml --input ben.yaml --out call --fast").exits(0);
    let events = desk.events("call");
    assert_eq!(understood(&events), pairs([("anna", "hours"), ("ben", "owe")]));
    let ended = events.iter().find(|event| event["type"] == "session.ended");
    assert_eq!(ended.expect("it ends")["reason"], serde_json::json!({ "hung_up": "ben hung up" }));
}
