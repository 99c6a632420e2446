//! From agent to agent: when, why, how often, and in whose voice.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use antiphon::id::LaneId;
use antiphon::session::input::Inbound;
use antiphon::session::output::{Effect, Output};
use antiphon::sim::caller::{Part, When};
use antiphon::slot::Status;
use serde_json::{Value, json};
use stage::{Scene, Stage, caller, types};

/// Three desks: north hands over by words or by a result, south by words; east only listens.
const DESKS: &str = "
name: desks
audio: { tick_ms: 20, rate_hz: 16000 }
speech: { synthesiser: { engine: tone, latency_ms: 20 } }
start: north
tools:
  weigh: { run: inline, delivery: same_tick, canned: { otherwise: { kg: 12 } } }
  weigh_slowly: { latency_ms: 500, canned: { otherwise: { kg: 12 } } }
agents:
  north:
    voice: nora
    greeting: North.
    arrival: North again.
    tools: [weigh, weigh_slowly]
    intents:
      - { name: go, phrases: [go south] }
      - { name: weigh, phrases: [weigh it], call: { tool: weigh } }
      - { name: slowly, phrases: [take your time], call: { tool: weigh_slowly }, then: 'It has {result.kg} kilos.' }
  south:
    voice: sam
    arrival: South.
    tools: [weigh_slowly]
    intents:
      - { name: go, phrases: [go north] }
      - { name: on, phrases: [go east] }
  east:
    voice: eve
    arrival: East.
transitions:
  - { from: north, to: south, when: { intent: go }, say: Over to south. }
  - { from: north, to: east, when: { tool_result: { tool: weigh, key: kg, operator: gt, value: 10 } } }
  - { from: north, to: east, when: { tool_result: { tool: weigh_slowly, key: kg, operator: gt, value: 10 } } }
  - { from: south, to: north, when: { intent: go } }
  - { from: south, to: east, when: { intent: on } }
  - { from: south, to: east, when: { tool_result: { tool: weigh_slowly, key: kg, operator: gt, value: 10 } } }
";

fn typist() -> Part {
    Part { audio: false, ..caller("ann") }
}

fn typed(yaml: &str, lines: &[(u32, &str)]) -> Scene {
    let lines: Vec<_> = lines.iter().map(|(ms, text)| types(When::Start(*ms), text)).collect();
    Stage::new(yaml).caller(typist(), lines).play()
}

fn tick_of(event: &Value) -> u64 {
    event["tick"].as_u64().unwrap()
}

#[test]
fn an_intent_hands_over_at_the_next_tick() {
    let scene = typed(DESKS, &[(200, "go south")]);
    let moved = scene.one("transition.executed");
    assert_eq!((&moved["from"], &moved["to"]), (&json!("north"), &json!("south")));
    assert_eq!((tick_of(&moved), &moved["cause"]), (10, &json!({ "intent": "go" })));
    let started = scene.all("agent.started");
    assert_eq!((tick_of(&started[1]), &started[1]["agent"]), (11, &json!("south")));
    let said: Vec<_> = scene
        .all("agent.message")
        .iter()
        .map(|m| (m["agent"].clone(), m["text"].clone()))
        .collect();
    let expected = [("north", "North."), ("north", "Over to south."), ("south", "South.")];
    assert_eq!(said, expected.map(|(agent, text)| (json!(agent), json!(text))));
}

#[test]
fn a_result_hands_over_at_the_next_tick() {
    let scene = typed(DESKS, &[(200, "weigh it")]);
    let moved = scene.one("transition.executed");
    assert_eq!(
        (tick_of(&moved), &moved["to"], &moved["transition"]),
        (10, &json!("east"), &json!(1))
    );
    let cause = json!({ "tool_result": { "tool": "weigh", "condition": "kg gt 10" } });
    assert_eq!(moved["cause"], cause);
    assert_eq!(tick_of(&scene.all("agent.started")[1]), 11);
}

#[test]
fn each_agent_speaks_with_its_own_voice() {
    let scene = typed(DESKS, &[(200, "go south")]);
    // What was asked of the synthesiser, found again by stepping the journal.
    let mut voices = Vec::new();
    let spoken = |_: &_, out: &Output| {
        voices.extend(out.effects.iter().filter_map(|effect| match effect {
            Effect::Speak { text, voice, .. } => Some((text.clone(), voice.clone())),
            _ => None,
        }));
    };
    antiphon::sim::replay::replay(&scene.read_journal(), spoken).unwrap();
    let expected = [("North.", "nora"), ("Over to south.", "nora"), ("South.", "sam")];
    assert_eq!(voices, expected.map(|(text, voice)| (text.to_owned(), voice.to_owned())));
}

#[test]
fn two_occasions_in_a_tick_are_one_move() {
    let text = |text: &str| Inbound::UserText { lane: LaneId(0), text: text.into() };
    let words = ["weigh it", "go south"].map(text);
    let scene = Stage::new(DESKS)
        .happens(10, words)
        .caller(typist(), [types(When::Start(1_500), "x")])
        .play();
    let moved = scene.one("transition.executed");
    assert_eq!(moved["to"], "south", "the transition listed first");
    assert_eq!(scene.all("agent.started").len(), 2);
}

#[test]
fn a_result_for_a_former_agent_is_answered_by_its_script_and_moves_nobody() {
    let scene = typed(DESKS, &[(200, "take your time"), (400, "go south")]);
    assert_eq!(scene.one("transition.executed")["to"], "south");
    let result = tick_of(&scene.one("tool.result"));
    let said =
        scene.all("agent.message").into_iter().find(|m| m["text"] == "It has 12 kilos.").unwrap();
    assert_eq!(tick_of(&said), result);
    assert!(result > tick_of(&scene.all("agent.started")[1]));
    assert!(scene.was_heard("It has 12 kilos."));
}

/// One move a turn. The slow scale leads to east, and the outcome of a slower one follows there and
/// leads on to south.
fn firm() -> String {
    let scales = "  weigh_longer: { latency_ms: 700, canned: { otherwise: { kg: 12 } } }\nagents:";
    let longer = "intents:
      - { name: longer, phrases: [even longer], call: { tool: weigh_longer } }
      - { name: go, phrases: [go south] }";
    let east = "arrival: East.
    tools: [weigh_longer]
    intents: [{ name: go, phrases: [go south] }]";
    let slowly = "{ from: north, to: east, when: { tool_result: { tool: weigh_slowly";
    let yaml = DESKS
        .replace("agents:", scales)
        .replace("tools: [weigh, weigh_slowly]", "tools: [weigh, weigh_slowly, weigh_longer]")
        .replace("intents:\n      - { name: go, phrases: [go south] }", longer)
        .replace("arrival: East.", east)
        .replace(slowly, &slowly.replace("when", "results: follow, when"));
    let south = "when: { tool_result: { tool: weigh_longer, key: kg, operator: gt, value: 10 } }";
    let again = "when: { intent: go }";
    format!(
        "call: {{ max_moves_per_turn: 1 }}{yaml}  - {{ from: east, to: south, {south} }}\n  - {{ from: east, to: south, {again} }}\n"
    )
}

fn both_scales() -> [Inbound; 2] {
    let text = |text: &str| Inbound::UserText { lane: LaneId(0), text: text.into() };
    ["take your time", "even longer"].map(text)
}

#[test]
fn agents_cannot_hand_a_caller_round_in_circles() {
    let lines = [types(When::Start(3_000), "go south")];
    let scene = Stage::new(&firm()).happens(10, both_scales()).caller(typist(), lines).play();
    let refused = scene.one("transition.refused");
    assert_eq!((&refused["from"], &refused["to"]), (&json!("east"), &json!("south")));
    assert_eq!(tick_of(&refused), 10 + 35);
    assert_eq!(refused["cause"]["tool_result"]["tool"], "weigh_longer");
    assert_eq!(refused["reason"], "1 hand-overs within one turn");
    let moved = scene.each("transition.executed", "to");
    assert_eq!(moved, ["east", "south"], "the next turn may move again");
}

#[test]
fn a_caller_may_be_kept_where_they_are() {
    let never = firm().replace("max_moves_per_turn: 1", "max_moves_per_turn: 0");
    let scene = typed(&never, &[(200, "go south"), (2_000, "weigh it")]);
    let causes = scene.each("transition.refused", "cause");
    assert_eq!((causes.len(), &causes[0]), (2, &json!({ "intent": "go" })));
    assert!(scene.all("transition.executed").is_empty());
    assert_eq!(scene.all("agent.started").len(), 1);
    assert_eq!(scene.messages(), ["North."], "nobody announces what does not happen");
}

#[test]
fn a_hand_over_is_announced_with_the_result_that_made_it_fire() {
    // Two results in one tick, of which the first leads nowhere.
    let light = "weigh_lightly: { latency_ms: 500, canned: { otherwise: { kg: 3 } } }";
    let yaml = DESKS
        .replace("agents:", &format!("  {light}\nagents:"))
        .replace("tools: [weigh, weigh_slowly]", "tools: [weigh, weigh_slowly, weigh_lightly]")
        .replace(
            "      - { name: weigh,",
            "      - { name: light, phrases: [weigh lightly], call: { tool: weigh_lightly } }\n      - { name: weigh,",
        )
        .replace(
            "weigh_slowly, key: kg, operator: gt, value: 10 } } }\n  - { from: south, to: north",
            "weigh_slowly, key: kg, operator: gt, value: 10 } }, say: 'All {result.kg} kilos go east.' }\n  - { from: south, to: north",
        );
    let text = |text: &str| Inbound::UserText { lane: LaneId(0), text: text.into() };
    let scene = Stage::new(&yaml)
        .happens(10, ["weigh lightly", "take your time"].map(text))
        .caller(typist(), [types(When::Start(3_000), "x")])
        .play();
    let results = scene.all("tool.result");
    assert_eq!(tick_of(&results[0]), tick_of(&results[1]), "{results:?}");
    assert!(
        scene.messages().contains(&"All 12 kilos go east.".to_owned()),
        "{:?}",
        scene.messages()
    );
}

#[test]
fn an_echo_that_takes_over_lets_the_last_agent_finish() {
    let yaml =
        DESKS.replace("  east:\n    voice: eve\n    arrival: East.", "  east: { kind: echo }");
    let yaml =
        yaml.replace("when: { intent: on } }", "when: { intent: on }, say: Listen to yourself. }");
    let scene = Stage::new(&yaml)
        .caller(
            typist(),
            [types(When::Start(200), "go south"), types(When::Start(2_500), "go east")],
        )
        .at_most(1_500)
        .play();
    assert!(scene.was_heard("Listen to yourself."));
    assert_eq!(scene.status, Status::Ended, "and the call can end");
}
