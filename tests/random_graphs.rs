//! Random graphs and random events: no move without an edge, at most one a tick, nothing that ends the call,
//! and a path that a replay takes again.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use antiphon::graph::facts::Scope;
use antiphon::id::LaneId;
use antiphon::session::checkpoint::Checkpoint;
use antiphon::session::event::EventKind;
use antiphon::session::input::Inbound;
use antiphon::sim::caller::{Part, When};
use antiphon::sim::replay::{Replayed, replay};
use antiphon::tool::Json;
use proptest::prelude::*;
use serde_json::{Value, json};
use stage::{Scene, Stage, caller, types};

const AGENTS: usize = 5;
const WORDS: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

/// A condition of any kind, as it is written.
fn condition() -> impl Strategy<Value = String> {
    let word = prop::sample::select(WORDS.to_vec());
    prop_oneof![
        word.clone().prop_map(|word| format!("{{ intent: {word} }}")),
        word.clone().prop_map(|word| format!("{{ user_input: {{ contains: {word} }} }}")),
        word.clone().prop_map(|word| format!("{{ user_input: {{ matches: '^{word}' }} }}")),
        Just("{ tool_result: { tool: look, key: n, operator: gt, value: 1 } }".to_owned()),
        Just("{ decision: { key: mood, value: good } }".to_owned()),
        word.clone().prop_map(|word| format!("{{ event: {{ type: custom, data: {{ name: {word} }} }} }}")),
        Just("{ event: { type: participant_connected } }".to_owned()),
        (0..2_000_u32).prop_map(|ms| format!("{{ after_ms: {ms} }}")),
        (1..2_000_u32).prop_map(|ms| format!("{{ silence_ms: {ms} }}")),
        (1..5_u32).prop_map(|n| format!("{{ turns: {{ at_least: {n} }} }}")),
        (1..9_u32).prop_map(|n| format!("{{ turns: {{ of: call, at_least: {n} }} }}")),
        "[0-9*#]{1,2}".prop_map(|digits| format!("{{ digits: '{digits}' }}")),
        word.prop_map(|word| format!(
            "{{ rules: [{{ conditions: {{ any: [{{ name: user_input, operator: starts_with, value: {word} }}, {{ name: fact.seen, operator: equal_to, value: {word} }}] }}, actions: [{{ name: transition_to_agent, params: {{ agent_id: TO }} }}, {{ name: set_context_value, params: {{ key: seen, value: {word} }} }}] }}] }}"
        )),
        Just("{ custom: { of: another } }".to_owned()),
    ]
}

/// A transition of any kind, as it is written.
fn transition() -> impl Strategy<Value = String> {
    let carry = prop::sample::select(vec![
        "everything",
        "nothing",
        "{ facts: [seen, word] }",
        "{ summary: 'It was {fact.word}.' }",
    ]);
    let results = prop::sample::select(vec!["tell", "follow", "stay", "drop"]);
    (0..AGENTS, 1..AGENTS, condition(), -2..3_i32, carry, results).prop_map(
        |(from, step, when, priority, carry, results)| {
            let to = format!("a{}", (from + step) % AGENTS);
            let when = when.replace("TO", &to);
            format!(
                "  - {{ from: a{from}, to: {to}, when: {when}, priority: {priority}, carry: {carry}, results: {results} }}\n"
            )
        },
    )
}

fn config() -> impl Strategy<Value = String> {
    let transitions = prop::collection::vec(transition(), 0..25);
    let links = prop::collection::vec(
        (0..AGENTS, 1..AGENTS, prop::sample::select(vec!["->", "<->", "<=>", "<|>"])),
        0..3,
    );
    (transitions, links, 0..6_u32).prop_map(|(transitions, links, moves)| {
        let mut yaml = format!(
            "name: random\nstart: a0\ncall: {{ max_moves_per_turn: {moves} }}\ntools: {{ look: {{ latency_ms: 300, canned: {{ otherwise: {{ n: 2 }} }} }} }}\nagents:\n"
        );
        for agent in 0..AGENTS {
            yaml.push_str(&format!("  a{agent}:\n    arrival: I am a{agent}.\n    tools: [look]\n    intents:\n"));
            let next = (agent + 1) % AGENTS;
            for (word, call) in WORDS.iter().zip([
                "{ tool: look }".to_owned(),
                "{ tool: decide, with: { key: mood, value: good } }".to_owned(),
                // With a gap it is no mistake of the file that some may not call.
                format!("{{ tool: call_agent, with: {{ agent: '{{fact.no}}a{next}' }} }}"),
                "{ tool: return_value, with: { value: 1 } }".to_owned(),
            ]) {
                yaml.push_str(&format!("      - {{ name: {word}, phrases: [{word}], set: {{ word: {word} }}, call: {call}, then: 'Done.' }}\n"));
            }
        }
        let mut pairs = Vec::new();
        let links: Vec<String> = links
            .into_iter()
            .filter_map(|(from, step, arrow)| {
                let to = (from + step) % AGENTS;
                let pair = (from.min(to), from.max(to));
                (!pairs.contains(&pair)).then(|| {
                    pairs.push(pair);
                    format!("'a{from} {arrow} a{to}'")
                })
            })
            .collect();
        yaml.push_str(&format!("topology: {{ links: [{}] }}\ntransitions:\n", links.join(", ")));
        if transitions.is_empty() {
            yaml.push_str("  []\n");
        }
        yaml.push_str(&transitions.concat());
        yaml
    })
}

/// Something that happens at a tick.
fn happening() -> impl Strategy<Value = (u64, Inbound)> {
    let word = prop::sample::select(WORDS.to_vec());
    let value = prop_oneof![
        word.clone().prop_map(|word| Inbound::UserText { lane: LaneId(0), text: word.into() }),
        word.clone().prop_map(|word| Inbound::Custom {
            lane: Some(LaneId(0)),
            name: word.into(),
            data: Json(json!({ "deep": [word, 1, null] })),
        }),
        prop::sample::select(vec!['0', '7', '*', '#', 'x'])
            .prop_map(|digit| Inbound::Digit { lane: LaneId(0), digit }),
        (
            word,
            prop::sample::select(vec![
                json!("alpha"),
                json!(["list"]),
                json!({ "a": 1 }),
                Value::Null
            ])
        )
            .prop_map(|(name, value)| Inbound::Fact {
                lane: None,
                name: if name == "alpha" { "seen".into() } else { name.into() },
                value: Json(value),
                scope: Scope::User,
                ttl_ms: Some(500),
            }),
    ];
    (5..300_u64, value)
}

fn played(yaml: &str, happenings: &[(u64, Inbound)]) -> Scene {
    let part = Part { audio: false, hang_up_ms: 500, ..caller("ann") };
    let mut sorted = happenings.to_vec();
    sorted.sort_by_key(|(tick, _)| *tick);
    let mut stage =
        Stage::new(yaml).caller(part, [types(When::Start(6_500), "well")]).checkpoint_at(150);
    for (tick, value) in sorted {
        stage = stage.happens(tick, [value]);
    }
    stage.at_most(2_000).play()
}

/// Who the current agent is at each start, and that each was led to by an edge or a call of the tick before.
fn follow_the_path(scene: &Scene) {
    let mut heir: Option<(u64, String)> = None;
    let mut current: Option<String> = None;
    for event in &scene.events {
        let tick = event.tick.0;
        match &event.kind {
            EventKind::TransitionExecuted { from, to, transition, .. } => {
                assert!(heir.is_none(), "two moves in tick {tick}");
                let edge = scene.plan.graph.transition(*transition).expect("an edge");
                let name = |id| scene.plan.agent(id).name.as_str();
                assert_eq!((name(edge.from), name(edge.to)), (from.as_str(), to.as_str()));
                assert_eq!(current.as_deref(), Some(from.as_str()));
                heir = Some((tick, to.clone()));
            }
            EventKind::AgentCalled { agent, by, .. } => {
                assert!(heir.is_none(), "two moves in tick {tick}");
                let id = |name: &str| scene.plan.agent_id(name).unwrap();
                assert!(scene.plan.graph.may_call(id(by), id(agent)));
                heir = Some((tick, agent.clone()));
            }
            EventKind::AgentReturned { to, .. } => {
                assert!(heir.is_none(), "two moves in tick {tick}");
                heir = Some((tick, to.clone()));
            }
            EventKind::AgentStarted { agent } => {
                if current.is_some() {
                    let (decided, to) = heir.take().expect("nobody starts unasked");
                    assert_eq!((decided + 1, &to), (tick, agent));
                }
                current = Some(agent.clone());
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn every_path_is_along_edges_and_can_be_replayed(
        yaml in config(),
        happenings in prop::collection::vec(happening(), 0..40),
    ) {
        let scene = played(&yaml, &happenings);
        let ended = scene.all("session.ended");
        prop_assert_eq!(ended.len(), 1);
        prop_assert_eq!(&ended[0]["reason"]["hung_up"], "ann hung up", "by the caller and nothing else");
        follow_the_path(&scene);
        let journal = scene.read_journal();
        let again = replay(&journal, |_, _| {}).unwrap();
        prop_assert!(matches!(again, Replayed::Equal { .. }), "{:?}", again);
        for bytes in &scene.checkpoints {
            let restored = Checkpoint::from_bytes(bytes).unwrap().restore(&scene.plan);
            prop_assert!(restored.is_ok());
        }
    }
}
