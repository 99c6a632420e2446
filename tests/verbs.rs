//! The call verbs: what agents do to the call by their built-in tools, each with its outcome.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use antiphon::graph::facts::Scope;
use antiphon::id::LaneId;
use antiphon::session::input::Inbound;
use antiphon::sim::caller::{Part, When};
use antiphon::tool::{Json, Tool, ToolContext};
use serde_json::{Value, json};
use stage::{Scene, Stage, caller, types};

fn typist() -> Part {
    Part { audio: false, hang_up_ms: 3_000, ..caller("ann") }
}

/// A desk that does what it is told, and says how it went.
fn desk(call: &str) -> String {
    format!(
        "
name: desk
audio: {{ tick_ms: 20, rate_hz: 16000 }}
speech: {{ synthesiser: {{ engine: tone, latency_ms: 20 }} }}
epoch: 2026-01-01T09:00:00Z
clips: {{ tune: tune.wav }}
agents:
  desk:
    idle: Still there?
    intents:
      - {{ name: do, phrases: [do it], call: {call}, then: 'Done: {{result}}.', failed: 'No: {{error}}.' }}
      - {{ name: talk, phrases: [say something], say: Something. }}
"
    )
}

fn typed(yaml: &str, lines: &[(u32, &str)]) -> Scene {
    stage(yaml, lines).play()
}

fn stage(yaml: &str, lines: &[(u32, &str)]) -> Stage {
    let lines: Vec<_> = lines.iter().map(|(ms, text)| types(When::Start(*ms), text)).collect();
    Stage::new(yaml).caller(typist(), lines).clip_of("tune", 400)
}

/// What the only call came to.
fn outcome(scene: &Scene) -> Value {
    scene.one("tool.result")["outcome"].clone()
}

fn failure(scene: &Scene) -> String {
    outcome(scene)["Failed"]["message"].as_str().unwrap().to_owned()
}

fn tick_of(event: &Value) -> u64 {
    event["tick"].as_u64().unwrap()
}

#[test]
fn end_call_ends_it_after_the_last_word_and_says_why() {
    let yaml = desk("{ tool: end_call, with: { reason: no one to help } }");
    let scene = typed(&yaml, &[(200, "do it")]);
    assert_eq!(scene.one("session.ended")["reason"], json!({ "agent": "no one to help" }));
    assert_eq!(outcome(&scene), json!({ "Done": null }));
    let plain = typed(&desk("{ tool: end_call }"), &[(200, "do it")]);
    assert_eq!(plain.one("session.ended")["reason"], "agent_ended");
}

/// The room's side of a verb.
struct Exchange(Result<Value, String>);

impl Tool for Exchange {
    fn call(&self, _: &ToolContext, _: &Value) -> Result<Value, String> {
        self.0.clone()
    }
}

#[test]
fn a_cold_transfer_ends_the_call_and_a_warm_one_does_not() {
    let cold = desk("{ tool: transfer_call, with: { to: 'tel:+4930123' } }");
    let done = || Exchange(Ok(Value::Null));
    let scene = stage(&cold, &[(200, "do it")]).tool("transfer_call", done()).play();
    assert_eq!(scene.one("call.transferred")["to"], "tel:+4930123");
    assert_eq!(scene.one("session.ended")["reason"], json!({ "transferred": "tel:+4930123" }));

    let warm = cold.replace("+4930123'", "+4930123', mode: warm");
    let scene = stage(&warm, &[(200, "do it"), (1_500, "say something")])
        .tool("transfer_call", done())
        .play();
    assert_eq!(scene.one("call.transferred")["warm"], true);
    assert!(scene.was_heard("Something."), "the agent is still there");
}

#[test]
fn a_transfer_that_fails_leaves_the_call_as_it_is() {
    let yaml = desk("{ tool: transfer_call, with: { to: bob } }");
    let scene = typed(&yaml, &[(200, "do it"), (4_000, "say something")]);
    assert_eq!(failure(&scene), "there is no room to pass the call on from");
    assert!(scene.all("call.transferred").is_empty());
    assert!(scene.was_heard("Something."));
}

#[test]
fn keys_are_sent_by_the_room_and_checked_before() {
    let yaml = desk("{ tool: send_dtmf, with: { digits: '12#' } }");
    let done = || Exchange(Ok(Value::Null));
    let scene = stage(&yaml, &[(200, "do it")]).tool("send_dtmf", done()).play();
    assert_eq!(scene.one("digits.sent")["digits"], "12#");
    let wrong = yaml.replace("'12#'", "'{fact.no}12x'");
    let scene = stage(&wrong, &[(200, "do it")]).tool("send_dtmf", done()).play();
    assert!(failure(&scene).contains("keys are 0 to 9"), "{}", failure(&scene));
    assert!(scene.all("digits.sent").is_empty());
}

#[test]
fn a_clip_is_played_in_its_turn() {
    let yaml = desk("{ tool: play_clip, with: { clip: tune } }");
    let scene = typed(&yaml, &[(200, "do it")]);
    let item = scene.one("clip.played")["item"].clone();
    assert_eq!(outcome(&scene)["Done"]["item"], item);
    let started = scene.all("agent.speech_started").into_iter().find(|e| e["item"] == item);
    let finished = scene.all("agent.speech_finished").into_iter().find(|e| e["item"] == item);
    let (started, finished) = (tick_of(&started.unwrap()), tick_of(&finished.unwrap()));
    assert_eq!(finished - started, 400 / 20 - 1);
    assert!(scene.audio_at(started + 5).iter().all(|sample| *sample == 1_000), "it sounds");
    assert!(!scene.transcript.contains(&String::new()), "a clip is nothing that was said");
    let unknown = typed(&yaml.replace("clip: tune }", "clip: '{fact.no}tun' }"), &[(200, "do it")]);
    assert_eq!(failure(&unknown), "there is no clip `tun`");
}

#[test]
fn on_hold_a_tune_is_played_over_and_over_and_nothing_is_answered() {
    let yaml = desk("{ tool: hold, with: { clip: tune, max_ms: 3000 } }")
        .replace(", then: 'Done: {result}.'", "");
    let scene =
        stage(&yaml, &[(200, "do it"), (1_000, "say something"), (4_000, "say something")]).play();
    let (held, resumed) = (tick_of(&scene.one("call.held")), tick_of(&scene.one("call.resumed")));
    assert_eq!(resumed - held, 3_000 / 20);
    assert_eq!(scene.one("call.resumed")["after_ticks"], 150);
    assert!(scene.all("clip.played").len() >= 5, "{}", scene.all("clip.played").len());
    assert_eq!(scene.messages(), ["Something."], "answered after the hold alone");
    assert_eq!(scene.all("user.message").len(), 3, "and heard during it");
    assert!(scene.all("agent.interrupted").is_empty(), "a tune is not interrupted");
}

#[test]
fn what_the_agent_says_ends_a_hold() {
    let yaml = desk("{ tool: hold }");
    let scene = typed(&yaml, &[(200, "do it")]);
    assert_eq!(tick_of(&scene.one("call.resumed")), tick_of(&scene.one("call.held")) + 1);
    let off = desk("{ tool: hold, with: { on: false } }");
    assert_eq!(failure(&typed(&off, &[(200, "do it")])), "nobody is on hold");
}

#[test]
fn a_fact_is_remembered_and_forgotten_when_its_time_is_over() {
    let yaml = desk("{ tool: set_fact, with: { name: code, value: 7, ttl_ms: 500 } }")
        .replace("say: Something.", "say: 'It is {fact.code}.'");
    let scene = typed(&yaml, &[(200, "do it"), (400, "say something"), (2_000, "say something")]);
    let set = scene.one("fact.set");
    assert_eq!(
        (&set["name"], &set["value"], &set["scope"]),
        (&json!("code"), &json!(7), &json!("session"))
    );
    assert_eq!(tick_of(&scene.one("fact.expired")), tick_of(&set) + 25);
    let said = scene.messages();
    assert!(
        said.contains(&"It is 7.".to_owned()) && said.contains(&"It is .".to_owned()),
        "{said:?}"
    );
}

#[test]
fn a_fact_from_outside_is_a_fact() {
    let yaml = desk("{ tool: now }").replace("say: Something.", "say: 'Hello {fact.name}.'");
    let fact = Inbound::Fact {
        lane: None,
        name: "name".into(),
        value: antiphon::tool::Json(json!("ann")),
        scope: antiphon::graph::facts::Scope::User,
        ttl_ms: None,
    };
    let scene = stage(&yaml, &[(400, "say something")]).happens(5, [fact.clone()]).play();
    assert_eq!(scene.messages(), ["Hello ann."]);
    assert_eq!(scene.one("fact.set")["scope"], "user");
    assert!(scene.all("fact.expired").is_empty());
    let Inbound::Fact { name, value, scope, .. } = fact else { panic!("a fact") };
    let brief = Inbound::Fact { lane: None, name, value, scope, ttl_ms: Some(200) };
    let scene = stage(&yaml, &[(400, "say something")]).happens(5, [brief]).play();
    assert_eq!(tick_of(&scene.one("fact.expired")), 5 + 200 / 20);
    assert_eq!(scene.messages(), ["Hello ."]);
}

#[test]
fn a_fact_of_a_user_is_forgotten_when_that_participant_leaves() {
    let yaml = desk("{ tool: set_fact, with: { name: code, value: 7, scope: user } }")
        .replace("say: Something.", "say: 'It is {fact.code}.'")
        .replace(", then: 'Done: {result}.'", "");
    let bob = LaneId(4);
    let text = |text: &str| Inbound::UserText { lane: bob, text: text.into() };
    let scene = stage(&yaml, &[(2_000, "say something")])
        .happens(5, [Inbound::Joined { lane: bob, name: "bob".into() }, text("do it")])
        .happens(40, [text("say something")])
        .happens(70, [Inbound::Left { lane: bob }])
        .play();
    assert_eq!(scene.one("fact.set")["scope"], "user");
    assert_eq!(scene.messages(), ["It is 7.", "It is ."]);

    let outside = Inbound::Fact {
        lane: Some(bob),
        name: "code".into(),
        value: Json(json!(8)),
        scope: Scope::User,
        ttl_ms: None,
    };
    let scene = stage(&yaml, &[(2_000, "say something")])
        .happens(5, [Inbound::Joined { lane: bob, name: "bob".into() }, outside])
        .happens(40, [text("say something")])
        .happens(70, [Inbound::Left { lane: bob }])
        .play();
    assert_eq!(scene.messages(), ["It is 8.", "It is ."], "from outside as well");
}

#[test]
fn the_time_is_that_of_the_call() {
    let yaml = desk("{ tool: now, with: { utc_offset_minutes: 330 } }");
    let scene = typed(&yaml, &[(200, "do it")]);
    let time = &outcome(&scene)["Done"];
    assert_eq!((&time["date"], &time["time"]), (&json!("2026-01-01"), &json!("14:30")));
    assert_eq!(time["weekday"], "Thursday");
    let ms = scene.one("tool.called")["ms"].as_u64().unwrap();
    assert_eq!(time["unix_ms"], 1_767_258_000_000_u64 + ms);
}

#[test]
fn wrong_arguments_are_told_and_do_nothing() {
    for (call, message) in [
        // A gap is filled in the call, so these are no mistakes of the file.
        ("{ tool: set_fact, with: { name: '{fact.no}a b', value: 1 } }", "no name of a fact"),
        (
            "{ tool: set_fact, with: { name: a, value: 1, scope: '{fact.no}galaxy' } }",
            "the arguments of `set_fact` are wrong at /scope: \"galaxy\" is not one of",
        ),
        ("{ tool: play_clip, with: { clip: '{fact.no}lost' } }", "there is no clip `lost`"),
        (
            "{ tool: hold, with: { max_ms: '{fact.no}5' } }",
            "the arguments of `hold` are wrong at /max_ms: \"5\" is not of type",
        ),
        (
            "{ tool: transfer_call, with: { to: desk, mode: '{fact.no}blind' } }",
            "the arguments of `transfer_call` are wrong at /mode: \"blind\" is not one of",
        ),
        ("{ tool: return_value, with: { value: 1 } }", "no agent waits for a value"),
        ("{ tool: call_agent, with: { agent: '{fact.no}desk' } }", "may not call"),
    ] {
        let scene = typed(&desk(call), &[(200, "do it")]);
        assert!(failure(&scene).contains(message), "{call}: {}", failure(&scene));
        assert_eq!(scene.context["facts"], json!({}));
    }
}

#[test]
fn idle_prompts_come_again_and_then_the_call_ends() {
    let yaml = desk("{ tool: now }")
        .replace("epoch:", "turn: { away_ms: 1000 }\ncall: { max_idle_prompts: 2 }\nepoch:");
    let ann = Part { hang_up_ms: 60_000, ..typist() };
    let scene =
        Stage::new(&yaml).caller(ann.clone(), [types(When::Start(200), "say something")]).play();
    assert_eq!(scene.messages(), ["Something.", "Still there?", "Still there?"]);
    assert_eq!(scene.one("session.ended")["reason"], "idle");
    assert_eq!(scene.all("user.away").len(), 1);
    // Whoever answers has as many prompts again.
    let lines =
        [types(When::Start(200), "say something"), types(When::Start(4_500), "say something")];
    let scene = Stage::new(&yaml).caller(ann, lines).play();
    let said = scene.messages();
    let answered = said.iter().rposition(|text| text == "Something.").unwrap();
    assert!(said[..answered].contains(&"Still there?".to_owned()), "{said:?}");
    assert_eq!(said[answered + 1..], ["Still there?", "Still there?"]);
}

#[test]
fn whoever_talks_for_too_long_is_answered_in_the_midst() {
    let yaml = desk("{ tool: now }").replace(
        "speech: {",
        "turn: { max_ms: 1500 }\nspeech: { recogniser: { engine: pocketsphinx, latency_ms: 20 },",
    );
    let scene = Stage::new(&yaml)
        .hears([stage::Hears::Words("say something"), stage::Hears::Words("and more")])
        .caller(caller("ann"), [stage::plays(When::Start(100), "caller-08-barge-in")])
        .play();
    assert_eq!(scene.all("limit.reached")[0]["limit"], "turn");
    let cut = tick_of(&scene.all("limit.reached")[0]);
    let answered = tick_of(&scene.all("user.message")[0]);
    assert!(answered > cut && answered <= cut + 5, "{cut} {answered}");
    let started = tick_of(&scene.all("agent.speech_started")[0]);
    assert!(started <= answered + 3, "the agent does not wait: {answered} {started}");
    assert_eq!(scene.all("user.message")[0]["lane"], json!(LaneId(0)));
}
