//! What a session tells of its call when it is asked: one value, which follows from the events.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use antiphon::id::LaneId;
use antiphon::session::input::Inbound;
use antiphon::sim::caller::{Part, When};
use serde_json::{Value, json};
use stage::{Scene, Stage, caller, types};

const DESKS: &str = "
name: desks
description: Two desks.
start: north
tools:
  weigh: { run: inline, canned: { by: what, answers: { a: { kg: 3 }, b: { kg: 12 } } }, parameters: { type: object, properties: { what: { type: string } } } }
  fail: { run: inline, canned: { failure: broken } }
agents:
  north:
    greeting: North.
    tools: [weigh, fail]
    intents:
      - { name: a, phrases: [weigh a feather], set: { what: feather }, call: { tool: weigh, with: { what: a } } }
      - { name: b, phrases: [weigh a stone], call: { tool: weigh, with: { what: b } } }
      - { name: fail, phrases: [break it], call: { tool: fail }, failed: Broken. }
      - { name: go, phrases: [go south] }
  south:
    type: warm
    arrival: South.
transitions:
  - { from: north, to: south, when: { intent: go } }
";

fn played(lines: &[&str], happens: &[(u64, Inbound)]) -> Scene {
    let part = Part { audio: false, hang_up_ms: 1_000, ..caller("ann") };
    let at = |n: usize| When::Start(200 + 400 * n as u32);
    let lines: Vec<_> = lines.iter().enumerate().map(|(n, text)| types(at(n), text)).collect();
    let mut stage = Stage::new(DESKS).caller(part, lines);
    for (tick, value) in happens {
        stage = stage.happens(*tick, [value.clone()]);
    }
    stage.play()
}

#[test]
fn the_beginning() {
    let context = played(&["hm"], &[]).context.clone();
    assert_eq!(context["conversation_name"], "desks");
    assert_eq!(context["conversation_description"], "Two desks.");
    assert_eq!(
        (&context["initial_agent_name"], &context["current_agent_name"]),
        (&json!("north"), &json!("north"))
    );
    assert_eq!(context["current_agent_type"], "general");
    assert_eq!((&context["tool_results"], &context["agent_decisions"]), (&json!({}), &json!({})));
}

#[test]
fn turns_words_and_agents() {
    let context = played(&["hm", "go south", "well"], &[]).context.clone();
    assert_eq!(context["turn_count"], 3, "the agent's own words are no turns");
    assert_eq!(context["user_input"], "well");
    assert_eq!(context["current_agent_name"], "south");
    assert_eq!(context["current_agent_type"], "warm");
    assert_eq!(context["agents"]["north"]["active"], false);
    assert_eq!(context["agents"]["south"]["active"], true);
    let said: Vec<(&Value, &Value)> = context["conversation"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["role"], &entry["text"]))
        .collect();
    assert_eq!(said[0], (&json!("agent"), &json!("North.")));
    assert_eq!(said[1], (&json!("user"), &json!("hm")));
    assert_eq!(context["conversation"][0]["agent"], "north");
}

#[test]
fn tools_by_name_the_latest_last() {
    let context = played(&["weigh a feather", "weigh a stone", "break it"], &[]).context.clone();
    assert_eq!(context["tool_results"], json!({ "weigh": [{ "kg": 3 }, { "kg": 12 }] }));
    assert_eq!(context["last_tool_result"], json!({ "kg": 12 }), "a failure is no result");
    assert_eq!(
        (&context["last_tool_name"], &context["last_tool_status"]),
        (&json!("fail"), &json!("failed"))
    );
    assert_eq!(context["facts"], json!({ "what": "feather" }));
    let many = vec!["weigh a stone"; 20];
    let kept = played(&many, &[]).context["tool_results"]["weigh"].as_array().unwrap().len();
    assert_eq!(kept, 8, "bounded");
}

#[test]
fn participants_come_and_go_and_unknown_ones_are_ignored() {
    let joined = |lane: u16, name: &str| Inbound::Joined { lane: LaneId(lane), name: name.into() };
    let left = |lane: u16| Inbound::Left { lane: LaneId(lane) };
    let scene = played(&["hm"], &[(5, joined(4, "bob")), (9, left(4)), (9, left(7))]);
    let participants = scene.context["session"]["participants"].as_array().unwrap();
    let bob = participants.iter().find(|p| p["name"] == "bob").unwrap();
    assert_eq!(
        (&bob["active"], &bob["joined_ms"], &bob["left_ms"]),
        (&json!(false), &json!(100), &json!(180))
    );
    assert_eq!(participants.len(), 2);
    assert_eq!(scene.context["session"]["active"], false);
    assert!(scene.context["session"]["ended_ms"].is_u64());
}
