//! What the agent graph costs: to build and check a large one, and to route an event.
//!
//! `cargo bench --bench graph` prints Criterion's estimates. `large graph, planned` is 10,000 agents and
//! 100,000 transitions from parsed values to a plan that sessions run on; `large graph, checked` is the
//! search for agents that nobody reaches, transitions that never fire and facts that nobody sets, and
//! `large graph, parsed` is YAML read, validated and checked, beside them. `route` asks an agent with 20
//! transitions about one event, of which none, the last, or business rules fit.

use std::hint::black_box;
use std::time::Duration;

use antiphon::clock::Tick;
use antiphon::config::{self, Config};
use antiphon::graph::condition::Words;
use antiphon::graph::event::EventName;
use antiphon::graph::rules::RuleSet;
use antiphon::graph::topology::{Lenience, Topology};
use antiphon::graph::{AgentGraph, Condition, Occasion, Rules, Situation, Transition, route};
use antiphon::id::AgentId;
use antiphon::session::plan::Plan;
use antiphon::tool::Json;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use serde_json::json;

const AGENTS: usize = 10_000;
const TRANSITIONS: usize = 100_000;

/// A large configuration: every agent understands ten words, each of which leads to another agent.
fn large() -> String {
    let mut yaml = String::from("name: large\nstart: a0\nagents:\n");
    for agent in 0..AGENTS {
        yaml.push_str(&format!("  a{agent}:\n    intents:\n"));
        for intent in 0..TRANSITIONS / AGENTS {
            let last = if intent == 0 { ", end_call: true" } else { "" };
            yaml.push_str(&format!("      - {{ name: i{intent}, phrases: [w{intent}]{last} }}\n"));
        }
    }
    yaml.push_str("transitions:\n");
    for at in 0..TRANSITIONS {
        let (from, intent) = (at / 10, at % 10);
        let to = (from * 7 + intent * 1_009 + 1) % AGENTS;
        let to = if to == from { (to + 1) % AGENTS } else { to };
        yaml.push_str(&format!(
            "  - {{ from: a{from}, to: a{to}, when: {{ intent: i{intent} }} }}\n"
        ));
    }
    yaml
}

fn parsed(yaml: &str) -> Config {
    config::parse(yaml.as_bytes(), "large.yaml").unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn building(c: &mut Criterion) {
    let yaml = large();
    let config = parsed(&yaml);
    let mut group = c.benchmark_group("large graph");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("parsed", |b| b.iter(|| parsed(black_box(&yaml))));
    group.bench_function("planned", |b| {
        b.iter_batched(
            || config.clone(),
            |config| Plan::new(config).unwrap(),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("checked", |b| b.iter(|| config::look_over(black_box(&config))));
    let links: Vec<String> = (0..TRANSITIONS)
        .map(|at| (at / 10, (at / 10 * 7 + at % 10 * 1_009 + 1) % AGENTS))
        .filter(|(from, to)| from != to)
        .map(|(from, to)| format!("a{from} -> a{to}"))
        .collect();
    let nodes: Vec<String> = (0..AGENTS).map(|agent| format!("a{agent}")).collect();
    let written = json!({ "nodes": nodes, "links": links });
    group.bench_function("topology read", |b| {
        b.iter(|| Topology::read(black_box(&written), Lenience::Strict).unwrap());
    });
    group.finish();
}

/// An agent with 20 transitions of every kind, the last of which waits for a certain event.
fn twenty() -> Vec<Transition> {
    let mut conditions: Vec<Condition> =
        (0..6).map(|n| Condition::Intent(format!("i{n}"))).collect();
    conditions.extend((0..4).map(|n| Condition::UserInput(Words::Contain(format!("word {n}")))));
    conditions
        .extend((0..4).map(|n| Condition::Decision { key: format!("k{n}"), value: json!(n) }));
    conditions.extend((0..3).map(|n| Condition::Digits(format!("{n}#"))));
    conditions.push(Condition::Timer(1_000_000));
    conditions.push(Condition::Silence(1_000_000));
    let data = json!({ "name": "paid", "data": { "by": "card" } }).as_object().unwrap().clone();
    conditions.push(Condition::Event { name: EventName::Custom, data });
    assert_eq!(conditions.len(), 20);
    let edge = |(n, condition)| Transition::new(n, AgentId(0), AgentId(1), condition);
    (0..).zip(conditions).map(edge).collect()
}

fn routing(c: &mut Criterion) {
    let graph = AgentGraph::new(2, twenty()).unwrap();
    let event = |by: &str| {
        let data = Json(json!({ "name": "paid", "lane": null, "data": { "by": by, "sum": 12.5 } }));
        [Occasion::Event { name: EventName::Custom, seq: 7, data }]
    };
    let mut group = c.benchmark_group("route");
    for (name, occasions) in
        [("an event, the last fits", event("card")), ("an event, none fits", event("cash"))]
    {
        group.bench_function(name, |b| {
            let situation = Situation { occasions: &occasions, ..Situation::at(Tick(1)) };
            b.iter(|| route(black_box(&graph), AgentId(0), &situation, &mut Vec::new()).is_some());
        });
    }
    let words = [Occasion::Words("I would like to know where my order is, please".to_owned())];
    group.bench_function("words, none fits", |b| {
        let situation = Situation { occasions: &words, ..Situation::at(Tick(1)) };
        b.iter(|| route(black_box(&graph), AgentId(0), &situation, &mut Vec::new()).is_some());
    });
    let rules = |n: u32| {
        let set = json!([{
            "conditions": { "any": [
                { "name": "user_input", "operator": "contains", "value": format!("word {n}") },
                { "all": [
                    { "name": "conversation_turn_count", "operator": "greater_than", "value": 100 },
                    { "name": "current_agent_name", "operator": "equal_to", "value": "desk" },
                ] },
            ] },
            "actions": [{ "name": "transition_to_agent", "params": { "agent_id": "b" } }],
        }]);
        Condition::Rules(Rules::new(RuleSet::new(&set).unwrap(), &|_| Some(AgentId(1))).unwrap())
    };
    let edges = (0..20).map(|n| Transition::new(n, AgentId(0), AgentId(1), rules(n))).collect();
    let ruled = AgentGraph::new(2, edges).unwrap();
    group.bench_function("20 business rules, none fits", |b| {
        let situation = Situation { occasions: &words, ..Situation::at(Tick(1)) };
        b.iter(|| route(black_box(&ruled), AgentId(0), &situation, &mut Vec::new()).is_some());
    });
    group.finish();
}

criterion_group!(graph, building, routing);
criterion_main!(graph);
