//! Faults that graphs of agents are known for, each as a test of its name: they cannot happen here.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use antiphon::config;
use antiphon::sim::caller::{Part, When};
use serde_json::{Value, json};
use stage::{Scene, Stage, caller, types};

/// The sessions of a process, and their shutting down, have a file of their own: `sessions.rs`.
const DESKS: &str = "
name: desks
start: north
tools: { weigh: { run: inline, canned: { otherwise: { kg: 12 } } } }
agents:
  north:
    tools: [weigh]
    intents:
      - { name: weigh, phrases: [weigh it], call: { tool: weigh } }
      - { name: one, phrases: [one] }
      - { name: two, phrases: [two] }
  south:
    intents: [{ name: back, phrases: [go back] }]
transitions:
";

fn typed(transitions: &str, lines: &[&str]) -> Scene {
    let part = Part { audio: false, ..caller("ann") };
    let at = |n: usize| When::Start(200 + 400 * n as u32);
    let lines: Vec<_> = lines.iter().enumerate().map(|(n, text)| types(at(n), text)).collect();
    Stage::new(&format!("{DESKS}{transitions}")).caller(part, lines).play()
}

fn moves(scene: &Scene) -> Vec<Value> {
    scene.each("transition.executed", "to")
}

#[test]
fn events_are_logged_once_and_not_once_a_handler() {
    let scene = typed("  - { from: north, to: south, when: { intent: one } }\n", &["one", "well"]);
    let log = scene.context["events"].as_array().unwrap();
    let happened: Vec<Value> = scene.events.iter().map(|e| e.to_json(scene.plan.len)).collect();
    assert_eq!(log, &happened, "each once, in order");
    let said = scene.context["conversation"].as_array().unwrap();
    assert_eq!(said.iter().filter(|entry| entry["text"] == "one").count(), 1);
}

#[test]
fn the_log_is_bounded_and_keeps_the_latest() {
    let lines = vec!["well"; 60];
    let scene = typed("  []\n", &lines);
    let log = scene.context["events"].as_array().unwrap();
    assert!(scene.events.len() > 100);
    let latest = &scene.events[scene.events.len() - 100..];
    let latest: Vec<Value> = latest.iter().map(|e| e.to_json(scene.plan.len)).collect();
    assert_eq!(log, &latest);
}

#[test]
fn conditions_on_results_match_by_the_tools_name() {
    let scene = typed(
        "  - { from: north, to: south, when: { tool_result: { tool: weigh, key: kg, operator: gt, value: 10 } } }\n",
        &["weigh it"],
    );
    assert_eq!(moves(&scene), ["south"]);
}

#[test]
fn past_events_do_not_fire_for_ever() {
    let scene = typed(
        "  - { from: north, to: south, when: { event: { type: user.message, data: { text: one } } } }
  - { from: south, to: north, when: { intent: back } }
",
        &["one", "go back", "well", "well"],
    );
    assert_eq!(moves(&scene), ["south", "north"], "the message of before is past");
}

#[test]
fn policies_that_are_written_are_kept() {
    let scene = typed("  []\npolicies: ['max_steps(2)']\n", &["well", "well", "well"]);
    assert_eq!(scene.one("policy.reached")["policy"], "max_steps(2)");
    assert_eq!(scene.one("session.ended")["reason"], json!({ "policy": "max_steps(2)" }));
    let unknown = format!("{DESKS}  []\npolicies: ['max_stpes(2)']\n");
    assert!(config::parse(unknown.as_bytes(), "a.yaml").is_err(), "and never skipped");
}

#[test]
fn parallel_transitions_both_live() {
    let both = "  - { from: north, to: south, when: { intent: one }, say: First way. }
  - { from: north, to: south, when: { intent: two }, say: Second way. }
";
    assert_eq!(typed(both, &["one"]).messages()[0], "First way.");
    assert_eq!(typed(both, &["two"]).messages()[0], "Second way.");
}

#[test]
fn the_type_of_the_current_agent_is_known() {
    let rules = "  - from: north
    to: south
    when:
      rules:
        - conditions: { all: [{ name: current_agent_type, operator: equal_to, value: gate }] }
          actions: [{ name: transition_to_agent, params: { agent_id: south } }]
";
    assert_eq!(moves(&typed(rules, &["well"])).len(), 0);
    let part = Part { audio: false, ..caller("ann") };
    let yaml = format!("{DESKS}{rules}").replace("  north:\n", "  north:\n    type: gate\n");
    let scene = Stage::new(&yaml).caller(part, [types(When::Start(200), "well")]).play();
    assert_eq!(moves(&scene), ["south"]);
    assert_eq!(scene.context["current_agent_type"], "general", "south's own");
}

#[test]
fn an_initial_agent_that_is_not_there_is_an_error_at_load() {
    let wrong = format!("{DESKS}  []\n").replace("start: north", "start: nort");
    let told = config::parse(wrong.as_bytes(), "a.yaml").unwrap_err().to_string();
    assert!(told.contains("unknown agent `nort`; did you mean `north`?"), "{told}");
}
