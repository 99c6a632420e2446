//! What a hand-over must not do: come when the call is ending or the user is on hold, hide other ways out, take along
//! what nobody gave, or leave something behind that grows.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use antiphon::config;
use antiphon::graph::facts::Scope;
use antiphon::session::input::Inbound;
use antiphon::sim::caller::{Part, When};
use antiphon::tool::Json;
use serde_json::{Value, json};
use stage::{Scene, Stage, caller, types};

fn stage(yaml: &str, lines: &[(u32, &str)]) -> Stage {
    let part = Part { audio: false, hang_up_ms: 2_000, ..caller("ann") };
    let lines: Vec<_> = lines.iter().map(|(ms, text)| types(When::Start(*ms), text)).collect();
    Stage::new(yaml).caller(part, lines)
}

fn typed(yaml: &str, lines: &[(u32, &str)]) -> Scene {
    stage(yaml, lines).play()
}

fn way(scene: &Scene) -> Vec<(Value, Value)> {
    let moves = scene.all("transition.executed").into_iter();
    moves.map(|event| (event["from"].clone(), event["to"].clone())).collect()
}

fn reached(scene: &Scene) -> Vec<String> {
    let to = way(scene).into_iter().map(|(_, to)| to.as_str().unwrap_or_default().to_owned());
    to.collect()
}

/// Three agents without a voice.
fn three(rest: &str) -> String {
    format!(
        "
name: three
start: a
agents:
  a: {{ arrival: A., intents: [{{ name: help, phrases: [help me] }}, {{ name: bye, phrases: [goodbye], say: Bye., end_call: true }}] }}
  b: {{ arrival: B., intents: [{{ name: back, phrases: [go back] }}] }}
  c: {{ arrival: C. }}
{rest}"
    )
}

const THERE_AND_BACK: [(u32, &str); 4] =
    [(200, "help me"), (700, "go back"), (1_200, "help me"), (1_700, "go back")];

#[test]
fn a_way_that_is_refused_leaves_the_others_open() {
    let yaml = three(
        "policies: ['max_turns(a <-> b, 3)']
transitions:
  - { from: a, to: b, when: { intent: help } }
  - { from: b, to: a, when: { intent: back }, priority: 5 }
  - { from: b, to: c, when: { intent: back } }
",
    );
    let scene = typed(&yaml, &THERE_AND_BACK);
    assert_eq!(scene.all("transition.refused")[0]["to"], "a");
    assert_eq!(reached(&scene).last().map(String::as_str), Some("c"), "{:?}", way(&scene));
}

#[test]
fn what_happens_while_a_way_is_looked_for_is_an_event_as_any_other() {
    let yaml = three(
        "policies: ['max_turns(a <-> b, 3)']
transitions:
  - { from: a, to: b, when: { intent: help } }
  - { from: b, to: c, when: { event: { type: transition.refused } } }
  - { from: b, to: a, when: { intent: back } }
",
    );
    let scene = typed(&yaml, &THERE_AND_BACK);
    assert_eq!(reached(&scene).last().map(String::as_str), Some("c"), "{:?}", way(&scene));
    let (refused, executed) = (scene.one("transition.refused"), scene.all("transition.executed"));
    let since =
        executed.last().unwrap()["tick"].as_u64().unwrap() - refused["tick"].as_u64().unwrap();
    assert_eq!(since, 1, "at the next tick");
}

#[test]
fn rules_that_lead_to_oneself_are_no_match() {
    let yaml = three(
        "transitions:
  - { from: a, to: b, when: { intent: help } }
  - from: a
    to: c
    when:
      rules:
        - conditions: { all: [{ name: current_agent_name, operator: equal_to, value: a }] }
          actions: [{ name: transition_to_agent, params: { agent_id: a } }]
",
    );
    assert_eq!(reached(&typed(&yaml, &[(200, "help me")])), ["b"]);
}

#[test]
fn who_says_goodbye_is_not_relieved() {
    for when in ["after_ms: 1000", "intent: bye", "silence_ms: 1500"] {
        let yaml = three(&format!(
            "speech: {{ synthesiser: {{ engine: tone }} }}
transitions:
  - {{ from: a, to: b, when: {{ {when} }} }}
"
        ))
        .replace("Bye.", "'Goodbye then, it was a pleasure to talk to you about all of this.'");
        let scene = typed(&yaml, &[(200, "goodbye")]);
        assert_eq!(way(&scene), [], "{when}");
        assert_eq!(scene.one("session.ended")["reason"], "agent_ended");
        assert!(!scene.messages().contains(&"B.".to_owned()));
    }
}

#[test]
fn on_hold_nobody_falls_silent_and_words_move_nobody() {
    let hold = |when: &str| {
        three(&format!("transitions: [{{ from: a, to: b, when: {when} }}]\n")).replace(
            "{ name: help, phrases: [help me] }",
            "{ name: help, phrases: [help me], call: { tool: hold, with: { max_ms: 60000 } } }",
        )
    };
    let rule = "{ rules: [{ conditions: { all: [{ name: user_input, operator: contains, value: hmm }] }, \
                actions: [{ name: transition_to_agent, params: { agent_id: b } }] }] }";
    for when in ["{ silence_ms: 2000 }", rule] {
        let part = Part { audio: false, hang_up_ms: 6_000, ..caller("ann") };
        let lines = [types(When::Start(200), "help me"), types(When::Start(1_000), "hmm")];
        let scene = Stage::new(&hold(when)).caller(part, lines).play();
        assert_eq!(way(&scene), [], "{when}");
    }
    let free = three("transitions: [{ from: a, to: b, when: { silence_ms: 2000 } }]\n");
    let part = Part { audio: false, hang_up_ms: 6_000, ..caller("ann") };
    let scene = Stage::new(&free).caller(part, [types(When::Start(200), "hmm")]).play();
    assert_eq!(reached(&scene), ["b"], "without the hold it does");
}

#[test]
fn a_summary_is_a_fact_within_the_bounds() {
    let yaml = "
name: grow
start: a
call: { max_moves_per_turn: 100 }
agents:
  a: { intents: [{ name: go, phrases: [go on] }] }
  b: { intents: [{ name: go, phrases: [go on] }] }
transitions:
  - { from: a, to: b, when: { intent: go }, carry: { summary: '{fact.summary} and {fact.summary}' } }
  - { from: b, to: a, when: { intent: go }, carry: { summary: '{fact.summary} and {fact.summary}' } }
";
    let lines: Vec<_> = (0..40).map(|n| (200 + 200 * n, "go on")).collect();
    let scene = typed(yaml, &lines);
    let set = scene.all("fact.set");
    assert_eq!(set.len(), 40, "each is told");
    let longest = set.iter().filter_map(|event| event["value"].as_str()).map(str::len).max();
    assert!(longest.unwrap() <= scene.plan.limits.text, "{longest:?}");
}

#[test]
fn who_comes_back_does_not_know_what_was_found_out_in_the_meantime() {
    let yaml = "
name: secrets
start: a
agents:
  a: { arrival: 'A knows {fact.x}.', intents: [{ name: go, phrases: [go on], set: { x: one } }] }
  b: { arrival: 'B knows {fact.x}.', intents: [{ name: secret, phrases: [a secret], set: { x: top secret } }, { name: back, phrases: [go back] }] }
transitions:
  - { from: a, to: b, when: { intent: go }, carry: nothing }
  - { from: b, to: a, when: { intent: back }, carry: CARRY }
";
    let lines = [(200, "go on"), (700, "a secret"), (1_200, "go back")];
    let nothing = typed(&yaml.replace("CARRY", "nothing"), &lines);
    assert!(!nothing.messages().concat().contains("secret."), "{:?}", nothing.messages());
    let told = typed(&yaml.replace("CARRY", "{ facts: [x] }"), &lines);
    assert_eq!(told.messages().last().unwrap(), "A knows top secret.");
}

#[test]
fn outcomes_that_wait_for_somebody_count_as_calls() {
    let yaml = "
name: waits
start: a
tools: { look: { latency_ms: 1000, timeout_ms: 30000, canned: { otherwise: { n: 2 } } } }
agents:
  a: { tools: [look], intents: [{ name: look, phrases: [look], call: { tool: look }, then: 'Looked.' }, { name: go, phrases: [go on] }] }
  b: { tools: [look], intents: [{ name: look, phrases: [look], call: { tool: look }, then: 'Looked.' }, { name: go, phrases: [go on] }] }
  c: { }
transitions:
  - { from: a, to: b, when: { intent: go }, results: stay }
  - { from: b, to: c, when: { intent: go }, results: stay }
";
    let mut lines: Vec<_> = (0..30).map(|n| (200 + 20 * n, "look")).collect();
    lines.push((1_000, "go on"));
    lines.extend((0..30).map(|n| (3_000 + 20 * n, "look")));
    lines.push((4_000, "go on"));
    let scene = typed(yaml, &lines);
    let orphaned = scene.all("tool.orphaned").len();
    assert!(orphaned <= scene.plan.limits.calls, "{orphaned}");
    assert_eq!(scene.all("limit.reached")[0]["limit"], "calls");
}

#[test]
fn a_hand_over_by_tool_is_decided_and_not_done_yet() {
    let yaml = three(
        "transitions:
  - { from: a, to: b, when: { decision: {} } }
  - { from: a, to: c, when: { turns: { at_least: 1 } }, priority: 3 }
",
    )
    .replace(
        "{ name: help, phrases: [help me] }",
        "{ name: help, phrases: [help me], call: { tool: hand_over, with: { to: b } }, failed: 'No: {error}.' }",
    );
    let scene = typed(&yaml, &[(200, "help me")]);
    assert_eq!(scene.one("tool.result")["outcome"]["Done"]["outcome"], "decided");
    assert_eq!(reached(&scene), ["c"], "another way had precedence");
    let bounded = yaml.replace("start: a", "start: a\ncall: { max_moves_per_turn: 0 }");
    let scene = typed(&bounded, &[(200, "help me")]);
    assert_eq!(scene.all("transition.refused")[0]["to"], "c");
    assert_eq!(scene.all("transition.refused")[1]["to"], "b", "each way out is refused once");
    assert!(way(&scene).is_empty());
}

#[test]
fn a_call_keeps_its_conversation_when_its_configuration_changes() {
    let yaml = three(
        "conversations: { help: { start: b, agents: [b, c] } }
transitions: [{ from: b, to: c, when: { intent: back } }]
",
    );
    let other = config::parse(yaml.replace("C.", "New C.").as_bytes(), "other.yaml").unwrap();
    let held = yaml.replace("conversations:", "conversation: help\nconversations:");
    let reload = Inbound::Reload { config: other.to_json() };
    let scene = stage(&held, &[(200, "hm"), (2_000, "go back")]).happens(50, [reload]).play();
    assert_eq!(scene.all("config.reloaded").len(), 1);
    assert_eq!(scene.context["conversation_name"], "help");
    assert_eq!(scene.messages().last().unwrap(), "New C.");
}

#[test]
fn a_fact_too_many_from_outside_is_told_once() {
    let yaml = three("");
    let max = Stage::new(&yaml).play().plan.limits.facts;
    let fact = |n: usize| Inbound::Fact {
        lane: None,
        name: format!("fact{n}"),
        value: Json(json!(n)),
        scope: Scope::Session,
        ttl_ms: None,
    };
    let scene = stage(&yaml, &[(200, "hm")]).happens(20, (0..=max).map(fact)).play();
    assert_eq!(scene.all("limit.reached").len(), 1, "{:?}", scene.all("limit.reached"));
}
