//! Whose turn it is: when a caller has finished, and what counts as one turn.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use antiphon::sim::caller::{Part, When};
use serde_json::json;
use stage::{Hears, SHOP, Scene, Stage, caller, clip, plays, types};

/// Ticks from the last voiced one of the only turn to its end.
fn silence_before_answer(scene: &Scene) -> u64 {
    let message = scene.one("user.message");
    message["tick"].as_u64().unwrap() - message["last_voiced"].as_u64().unwrap()
}

fn asks(clip: &'static str, hears: Hears) -> Scene {
    Stage::new(SHOP).caller(caller("ann"), [plays(When::Start(200), clip)]).hears([hears]).play()
}

#[test]
fn complete_words_end_the_turn_at_the_minimum_silence() {
    let scene = asks("caller-02-hours", Hears::Words("what are your opening hours"));
    assert_eq!(scene.one("user.message")["intent"], "hours");
    // 500 ms, and the tick that the recogniser takes.
    assert_eq!(silence_before_answer(&scene), 25 + 1);
    assert!(scene.was_heard("From nine to six."));
}

#[test]
fn other_words_end_the_turn_at_the_maximum_silence() {
    let scene = asks("caller-02-hours", Hears::Words("what are your plans"));
    assert_eq!(scene.one("user.message")["intent"], json!(null));
    assert_eq!(silence_before_answer(&scene), 75);
    assert!(scene.was_heard("Pardon me?"));
}

#[test]
fn a_slow_recogniser_does_not_lengthen_the_maximum_silence() {
    let slow = SHOP.replace("latency_ms: 20 }\n  synth", "latency_ms: 700 }\n  synth");
    let scene = Stage::new(&slow)
        .caller(caller("ann"), [plays(When::Start(200), "caller-02-hours")])
        .hears([Hears::Words("what are your plans")])
        .play();
    assert_eq!(silence_before_answer(&scene), 75);
}

#[test]
fn a_pause_in_the_middle_of_a_sentence_keeps_one_turn() {
    let lines =
        [plays(When::Start(200), "caller-06-return"), plays(When::Previous(500), "caller-04-owe")];
    let scene = Stage::new(SHOP)
        .caller(caller("ann"), lines)
        .hears([Hears::Words("where is my order"), Hears::Words("four two one seven")])
        .play();
    assert_eq!(scene.all("user.speech_stopped").len(), 2, "the pause parts two utterances");
    let message = scene.one("user.message");
    assert_eq!(message["text"], "where is my order four two one seven");
    assert_eq!(message["intent"], "order");
    assert_eq!(silence_before_answer(&scene), 25 + 1);
    assert!(scene.was_heard("Order 4217 is on its way."));
}

#[test]
fn typed_text_is_a_turn_at_once_and_interrupts() {
    let lines = [
        types(When::Start(200), "what is the return policy"),
        types(When::AgentSpoke(1_000), "what are your opening hours"),
    ];
    let scene = Stage::new(SHOP).caller(Part { audio: false, ..caller("ann") }, lines).play();
    assert_eq!(scene.each("user.message", "tick")[0], 10, "in the tick in which it was typed");
    assert_eq!(scene.each("user.message", "typed"), [json!(true), json!(true)]);
    let cut = scene.one("agent.interrupted");
    assert_eq!(
        (&cut["cause"], &cut["tick"]),
        (&json!("text"), &scene.each("user.message", "tick")[1])
    );
    assert!(scene.was_heard("From nine to six."));
    assert!(scene.all("agent.resumed").is_empty());
}

#[test]
fn typed_text_replaces_what_a_voice_without_words_has_cut() {
    let lines = [
        types(When::Start(200), "what is the return policy"),
        plays(When::AgentSpoke(1_000), "caller-02-hours"),
        types(When::Previous(100), "what are your opening hours"),
    ];
    let scene = Stage::new(SHOP).caller(caller("ann"), lines).hears([Hears::Words("")]).play();
    assert_eq!(scene.one("agent.interrupted")["cause"], "voice");
    assert!(scene.all("agent.resumed").is_empty(), "the typed question has taken the turn");
    assert!(scene.was_heard("From nine to six."));
}

#[test]
fn two_participants_are_one_side_with_a_lane_each() {
    let ann = Part { hang_up_ms: 60_000, ..caller("ann") };
    let scene = Stage::new(SHOP)
        .caller(ann, [plays(When::Start(200), "caller-06-return")])
        .caller(caller("ben"), [plays(When::Start(1_200), "caller-04-owe")])
        .hears([Hears::Words("where is my order"), Hears::Words("four two one seven")])
        .play();
    let last = |event: &&serde_json::Value| event["last"] == true;
    let words: Vec<_> = scene.all("user.transcript").iter().filter(last).cloned().collect();
    let words: Vec<_> = words.iter().map(|w| (w["lane"].as_u64(), w["text"].as_str())).collect();
    // Ben's shorter sentence is over later.
    assert_eq!(
        words,
        [(Some(0), Some("where is my order")), (Some(1), Some("four two one seven"))]
    );
    // One turn, and a message of each: what one says is not the other's.
    let messages = scene.all("user.message");
    let said: Vec<_> = messages.iter().map(|m| (m["lane"].as_u64(), m["text"].as_str())).collect();
    assert_eq!(said, words);
    assert_eq!(messages[0]["turn"], messages[1]["turn"]);
    assert_eq!(messages[0]["tick"], messages[1]["tick"]);
    assert_eq!(scene.each("user.joined", "name"), [json!("ann"), json!("ben")]);
}

#[test]
fn two_participants_are_heard_mixed() {
    let play = |voices: [bool; 2]| {
        let lines = |on: bool, at| on.then(|| plays(When::Start(at), "caller-06-return"));
        Stage::new(SHOP)
            .caller(Part { hang_up_ms: 60_000, ..caller("ann") }, lines(voices[0], 200))
            .caller(Part { hang_up_ms: 60_000, ..caller("ben") }, lines(voices[1], 900))
            .at_most(150)
            .play()
    };
    let (both, ann, ben) = (play([true; 2]), play([true, false]), play([false, true]));
    let sum = ann.heard.iter().zip(&ben.heard).map(|(a, b)| a.saturating_add(*b));
    assert!(both.heard.iter().copied().eq(sum), "the sum of both, sample by sample");
    let ann_alone = clip("caller-06-return", ann.plan.rate);
    assert!(
        ann.heard[10 * 320..40 * 320] == ann_alone[..30 * 320],
        "heard in the tick it was sent"
    );
}

#[test]
fn a_caller_who_is_away_is_asked_once_and_returns() {
    let away = SHOP.replace("turn: {}", "turn: { away_ms: 3000 }");
    let scene = Stage::new(&away)
        .caller(
            Part { hang_up_ms: 20_000, ..caller("ann") },
            [
                types(When::Start(0), "what are your opening hours"),
                types(When::Previous(15_000), "stop"),
            ],
        )
        .at_most(900)
        .play();
    let finished = scene.all("agent.speech_finished")[0]["tick"].as_u64().unwrap();
    assert_eq!(scene.one("user.away")["tick"], finished + 150, "3 s after the agent's last word");
    assert_eq!(scene.messages().iter().filter(|text| *text == "Still there?").count(), 1);
    let returned = scene.one("user.returned");
    assert_eq!(returned["tick"], scene.each("user.message", "tick")[1]);
}
