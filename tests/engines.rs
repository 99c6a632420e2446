//! Speech engines that fail, die or never answer: the call goes on, and says that it is sorry once.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use antiphon::id::{LaneId, UtteranceId};
use antiphon::session::input::Inbound;
use antiphon::sim::caller::{Part, When};
use antiphon::slot::Status;
use serde_json::Value;
use stage::{Hears, POLICY, SHOP, Scene, Stage, Voice, caller, plays, types};

const APOLOGY: &str = "Sorry about that.";

/// The shop with engines that are waited for a second.
fn impatient() -> String {
    SHOP.replace("latency_ms: 20 }", "latency_ms: 20, timeout_ms: 1000 }")
}

fn tick_of(event: &Value) -> u64 {
    event["tick"].as_u64().unwrap()
}

fn apologies(scene: &Scene) -> usize {
    scene.messages().iter().filter(|text| *text == APOLOGY).count()
}

#[test]
fn after_a_recogniser_that_fails_or_hangs_the_next_utterance_works() {
    for (trouble, ticks) in [(Hears::Fails, 1), (Hears::Hangs, 50)] {
        let lines = [
            plays(When::Start(200), "caller-07-policy"),
            plays(When::AgentSilent(500), "caller-02-hours"),
        ];
        let scene = Stage::new(&impatient())
            .caller(caller("ann"), lines)
            .hears([trouble, Hears::Words("what are your opening hours")])
            .play();
        let failed = scene.one("recogniser.failed");
        let stopped = tick_of(&scene.all("user.speech_stopped")[0]);
        assert_eq!(tick_of(&failed), stopped + ticks, "{failed}");
        assert_eq!(apologies(&scene), 1);
        assert!(scene.was_heard(APOLOGY));
        assert_eq!(scene.one("user.message")["intent"], "hours");
        assert!(scene.was_heard("From nine to six."));
    }
}

#[test]
fn after_a_recogniser_that_dies_in_mid_sentence_the_next_utterance_works() {
    let died = Inbound::RecogniserFailed {
        lane: LaneId(0),
        utterance: UtteranceId(0),
        cause: "it died".into(),
    };
    let lines = [
        plays(When::Start(200), "caller-07-policy"),
        plays(When::AgentSilent(1_000), "caller-02-hours"),
    ];
    let scene = Stage::new(SHOP)
        .caller(caller("ann"), lines)
        .hears([Hears::Words("what are your opening hours"); 3])
        .happens(40, [died])
        .play();
    let failed = scene.one("recogniser.failed");
    assert_eq!((&failed["cause"], tick_of(&failed)), (&Value::from("it died"), 40));
    assert!(scene.was_heard(APOLOGY));
    let last = scene.all("user.message").pop().unwrap();
    assert_eq!(last["intent"], "hours");
    assert!(
        tick_of(&last) > tick_of(&scene.all("agent.speech_finished")[0]),
        "the second sentence"
    );
    assert!(scene.was_heard("From nine to six."));
}

#[test]
fn a_recogniser_that_always_dies_is_no_flood() {
    let scene = Stage::new(SHOP)
        .caller(caller("ann"), [plays(When::Start(200), "caller-02-hours")])
        .hears([Hears::Dies; 5_000])
        .play();
    assert!(scene.was_heard(APOLOGY));
    assert_eq!(scene.status, Status::Ended);
    let failures = scene.all("recogniser.failed").len();
    assert!(failures <= 3, "one sentence of two seconds failed {failures} times");
}

#[test]
fn after_a_synthesiser_that_fails_or_hangs_the_apology_is_ready() {
    let fails: fn(&str) -> Voice = |text| if text == POLICY { Voice::Fails } else { Voice::Speaks };
    let hangs: fn(&str) -> Voice = |text| if text == POLICY { Voice::Hangs } else { Voice::Speaks };
    for (voice, ticks) in [(fails, 1), (hangs, 50)] {
        let lines = [
            types(When::Start(200), "what is the return policy"),
            types(When::AgentSilent(500), "stop"),
        ];
        let scene = Stage::new(&impatient()).caller(caller("ann"), lines).voice(voice).play();
        let failed = scene.one("synthesiser.failed");
        assert_eq!((tick_of(&failed), &failed["item"]), (10 + ticks, &Value::from(0)));
        assert_eq!(tick_of(&scene.all("agent.speech_started")[0]), 10 + ticks + 1, "it is at hand");
        assert_eq!(apologies(&scene), 1);
        assert!(scene.was_heard(APOLOGY));
        assert!(scene.was_heard("Of course."));
        assert!(!scene.was_heard(POLICY));
    }
}

#[test]
fn an_apology_that_fails_too_is_an_event_and_no_loop() {
    let fails: fn(&str) -> Voice = |_| Voice::Fails;
    let hangs: fn(&str) -> Voice = |_| Voice::Hangs;
    for voice in [fails, hangs] {
        let part = Part { hang_up_ms: 10_000, ..caller("ann") };
        let scene = Stage::new(&impatient())
            .caller(part, [types(When::Start(200), "what is the return policy")])
            .voice(voice)
            .without_ready_apology()
            .play();
        assert_eq!(apologies(&scene), 1);
        let failed = scene.each("synthesiser.failed", "item");
        // The answer, the apology; and the question whether anybody is still there comes later.
        assert_eq!(failed, [0, 1]);
        assert!(scene.agent.iter().all(|sample| *sample == 0));
        assert_eq!(scene.status, Status::Ended, "the call ends all the same");
    }
}

#[test]
fn an_apology_names_what_the_agent_remembers() {
    let yaml = SHOP
        .replace("apology: Sorry about that.", "apology: 'Sorry, {fact.name}.'")
        .replace("phrases: [stop], say: Of course.", "phrases: [stop], set: { name: Ada }");
    let fails: fn(&str) -> Voice = |text| if text == POLICY { Voice::Fails } else { Voice::Speaks };
    let lines =
        [types(When::Start(200), "stop"), types(When::Start(400), "what is the return policy")];
    let scene = Stage::new(&yaml).caller(caller("ann"), lines).voice(fails).play();
    assert_eq!(scene.messages()[1], "Sorry, Ada.");
}
