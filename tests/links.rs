//! Links, sub-agents, conversations and policies: who may hand over to whom by decision, who calls whom
//! and is returned to, and what limits them.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use antiphon::config;
use antiphon::session::checkpoint::Checkpoint;
use antiphon::session::plan::Plan;
use antiphon::sim::caller::{Part, When};
use serde_json::{Value, json};
use stage::{Scene, Stage, caller, types};

fn typist() -> Part {
    Part { audio: false, hang_up_ms: 3_000, ..caller("ann") }
}

/// Three agents who hand over, call and return as they are told.
fn firm(rest: &str) -> String {
    let agent = |name: &str| {
        let to = |to: &str, verb: &str, key: &str| {
            // With a gap it is no mistake of the file that some may not.
            let then = if verb == "call_agent" { "then: 'Got {result}.', " } else { "" };
            format!(
                "      - {{ name: {verb}_{to}, phrases: [{verb} {to}], call: {{ tool: {verb}, with: {{ {key}: '{{fact.no}}{to}' }} }}, {then}failed: 'No: {{error}}.' }}\n"
            )
        };
        let others: String = ["desk", "expert", "clerk"]
            .iter()
            .flat_map(|other| [to(other, "hand_over", "to"), to(other, "call_agent", "agent")])
            .collect();
        format!(
            "  {name}:
    arrival: This is {name}.
    fallback: It is {name}, with {{fact.topic}}.
    tools: [slow]
    intents:
{others}      - {{ name: return, phrases: [return it], call: {{ tool: return_value, with: {{ value: {{ price: 9 }} }} }} }}
      - {{ name: topic, phrases: [about shoes], set: {{ topic: shoes }}, say: Noted. }}
      - {{ name: slow, phrases: [take your time], call: {{ tool: slow }}, then: It took long., failed: 'No: {{error}}.' }}
"
        )
    };
    format!(
        "name: firm\nstart: desk\ntools: {{ slow: {{ latency_ms: 1000, canned: {{ otherwise: 1 }} }} }}\nagents:\n{}{}{}{rest}",
        agent("desk"),
        agent("expert"),
        agent("clerk")
    )
}

fn typed(yaml: &str, lines: &[&str]) -> Scene {
    let at = |n: usize| When::Start(200 + 400 * n as u32);
    let lines: Vec<_> = lines.iter().enumerate().map(|(n, text)| types(at(n), text)).collect();
    Stage::new(yaml).caller(typist(), lines).play()
}

fn to(scene: &Scene) -> Vec<Value> {
    scene.each("transition.executed", "to")
}

#[test]
fn links_lead_where_their_arrows_point() {
    for (links, expected) in [
        ("['desk -> expert']", json!(["expert"])),
        ("['desk <-> expert']", json!(["expert", "desk"])),
        ("['desk <|> expert']", json!(["expert", "desk"])),
        ("[[desk, expert]]", json!(["expert"])),
        ("[{ source: desk, target: expert, bidirectional: true }]", json!(["expert", "desk"])),
        ("['expert -> desk']", json!([])),
    ] {
        let yaml = firm(&format!("topology: {{ links: {links} }}\n"));
        let scene = typed(&yaml, &["hand_over expert", "hand_over desk", "hand_over clerk"]);
        assert_eq!(json!(to(&scene)), expected, "{links}");
    }
}

#[test]
fn two_who_take_strict_turns_hand_over_after_each() {
    let yaml = firm("topology: { links: ['desk <~> expert'] }\n");
    let scene = typed(&yaml, &["one", "two", "three"]);
    assert_eq!(to(&scene), ["expert", "desk", "expert"]);
    assert_eq!(scene.each("agent.started", "agent"), ["desk", "expert", "desk", "expert"]);
}

#[test]
fn patterns_are_topologies() {
    let pattern =
        "topology: { pattern: hub_and_spoke, params: { hub: desk, spokes: [expert, clerk] } }\n";
    let scene = typed(&firm(pattern), &["hand_over clerk", "hand_over expert", "hand_over desk"]);
    assert_eq!(to(&scene), ["clerk", "desk"], "spokes do not reach each other");
    let ring = "topology: { pattern: ring, params: { agents: [desk, expert, clerk] } }\n";
    let scene = typed(&firm(ring), &["hand_over expert", "hand_over desk", "hand_over clerk"]);
    assert_eq!(to(&scene), ["expert", "clerk"]);
}

#[test]
fn an_agent_that_is_called_talks_and_returns_a_value() {
    let yaml = firm("topology: { links: ['desk <=> expert'] }\n");
    let scene = typed(&yaml, &["call_agent expert", "well", "return it"]);
    let called = scene.one("agent.called");
    assert_eq!((&called["agent"], &called["by"]), (&json!("expert"), &json!("desk")));
    let returned = scene.one("agent.returned");
    assert_eq!((&returned["agent"], &returned["to"]), (&json!("expert"), &json!("desk")));
    assert_eq!(scene.each("agent.started", "agent"), ["desk", "expert", "desk"]);
    let said = scene.messages();
    let expected = ["This is expert.", "It is expert, with .", "Got {\"price\":9}."];
    assert_eq!(said[..3], expected, "and no arrival on return: {said:?}");
    let results = scene.all("tool.result");
    let value = results.iter().find(|result| result["name"] == "call_agent").unwrap();
    assert_eq!(value["outcome"], json!({ "Done": { "price": 9 } }));
    assert!(scene.all("tool.deferred").is_empty(), "an agent that talks is not late");
}

#[test]
fn agents_call_only_along_their_links_and_not_for_ever() {
    let yaml = firm("topology: { links: ['desk <=> expert', 'expert <=> clerk'] }\n");
    let scene = typed(&yaml, &["call_agent clerk"]);
    assert!(scene.messages()[0].contains("`desk` may not call `clerk`"), "{:?}", scene.messages());
    let scene = typed(&yaml, &["call_agent expert", "call_agent clerk", "return it", "return it"]);
    let started = ["desk", "expert", "clerk", "expert", "desk"];
    assert_eq!(scene.each("agent.started", "agent"), started, "calls nest");
    let mutual = firm(
        "topology: { links: [{ from: desk, to: expert, kind: query }, { from: expert, to: desk, kind: query }] }\n",
    );
    let deep = ["call_agent expert", "call_agent desk"].repeat(4);
    let one = firm("topology: { links: ['desk <-> expert (query)'] }\n");
    for yaml in [mutual, one] {
        let scene = typed(&yaml, &deep);
        assert_eq!(scene.all("agent.called").len(), 5);
        assert!(scene.messages().iter().any(|text| text.contains("5 deep at most")));
    }
}

#[test]
fn a_call_goes_before_a_hand_over_of_the_same_tick() {
    let yaml = firm(
        "topology: { links: ['desk <=> expert'] }
transitions: [{ from: desk, to: clerk, when: { user_input: { contains: expert } } }]
",
    );
    let scene = typed(&yaml, &["call_agent expert", "well", "return it"]);
    assert_eq!(scene.each("agent.started", "agent"), ["desk", "expert", "desk"]);
    assert_eq!(to(&scene), Vec::<Value>::new());
}

#[test]
fn who_is_called_sees_the_facts_that_it_is_given() {
    let link = "topology: { links: ['desk <=> expert'] }\n";
    let lines = ["about shoes", "call_agent expert", "well", "return it", "well"];
    for (facts, seen) in [("[topic]", "shoes"), ("[]", "")] {
        let with = format!("call_agent, with: {{ agent: '{{fact.no}}expert', facts: {facts} }}");
        let yaml = firm(link).replace("call_agent, with: { agent: '{fact.no}expert' }", &with);
        assert!(yaml.contains(&with));
        let said = typed(&yaml, &lines).messages();
        assert_eq!(said[2], format!("It is expert, with {seen}."));
        assert_eq!(said[4], "It is desk, with shoes.", "who called knows what it knew");
    }
}

#[test]
fn a_caller_that_gets_the_call_back_otherwise_learns_that_there_is_no_value() {
    let yaml = firm(
        "topology: { links: ['desk <=> expert'] }
transitions: [{ from: expert, to: desk, when: { decision: {} } }]
",
    );
    let scene = typed(&yaml, &["call_agent expert", "hand_over desk"]);
    assert_eq!(to(&scene), ["desk"]);
    assert!(scene.messages().contains(&"No: the call came back without a value.".to_owned()));
    // And whoever ends the call in between leaves nothing open.
    let scene = typed(&yaml, &["call_agent expert"]);
    let outcome = scene.all("tool.result").pop().unwrap()["outcome"].clone();
    assert_eq!(outcome["Failed"]["kind"], "session_ended");
}

#[test]
fn what_goes_along_is_said_by_the_transition() {
    let carry = |carry: &str| {
        let yaml = firm(&format!(
            "transitions:\n  - {{ from: desk, to: expert, when: {{ decision: {{}} }}, carry: {carry}, say: Leaving., arrival: Arriving. }}\n  - {{ from: expert, to: desk, when: {{ decision: {{}} }} }}\n"
        ));
        typed(&yaml, &["about shoes", "hand_over expert", "well"])
    };
    let scene = carry("everything");
    assert_eq!(scene.messages()[1..], ["Leaving.", "Arriving.", "It is expert, with shoes."]);
    assert_eq!(carry("nothing").messages()[3], "It is expert, with .");
    assert_eq!(carry("{ facts: [topic] }").messages()[3], "It is expert, with shoes.");
    assert_eq!(carry("{ facts: [price] }").messages()[3], "It is expert, with .", "the named only");
    let scene = carry("{ summary: 'They asked about {fact.topic}.' }");
    assert_eq!(scene.messages()[3], "It is expert, with .");
    assert_eq!(scene.context["facts"], json!({ "summary": "They asked about shoes." }));
}

#[test]
fn what_was_said_goes_along_with_everything_alone() {
    for (carry, goes) in [
        ("everything", true),
        ("nothing", false),
        ("{ facts: [topic] }", false),
        ("{ summary: Shoes. }", false),
    ] {
        let yaml = firm(&format!(
            "transitions: [{{ from: desk, to: expert, when: {{ decision: {{}} }}, carry: {carry} }}]\n"
        ));
        let lines = [(200, "about shoes"), (600, "hand_over expert"), (1_000, "well")];
        let lines = lines.map(|(ms, text)| types(When::Start(ms), text));
        let scene = Stage::new(&yaml).caller(typist(), lines).checkpoint_at(100).play();
        let checkpoint = Checkpoint::from_bytes(&scene.checkpoints[0]).unwrap();
        let session = checkpoint.restore(&scene.plan).unwrap();
        let known = |text: &str| session.history().any(|said| said.text == text);
        assert_eq!((known("about shoes"), known("well")), (goes, true), "{carry}");
    }
}

#[test]
fn outcomes_that_are_awaited_at_a_hand_over() {
    let play = |results: &str, lines: &[&str]| {
        let yaml = firm(&format!(
            "transitions:
  - {{ from: desk, to: expert, when: {{ decision: {{}} }}, results: {results} }}
  - {{ from: expert, to: desk, when: {{ decision: {{}} }} }}
  - {{ from: expert, to: clerk, when: {{ tool_result: {{ tool: slow, value: 1 }} }} }}
"
        ));
        typed(&yaml, lines)
    };
    let there = ["take your time", "hand_over expert", "well", "well", "well"];
    let told = |scene: &Scene| scene.messages().iter().filter(|t| *t == "It took long.").count();
    let scene = play("tell", &there);
    assert_eq!((told(&scene), to(&scene).len()), (1, 1), "told, and nobody moves");
    let scene = play("follow", &there);
    assert_eq!((told(&scene), to(&scene).len()), (1, 2), "told, and the expert hands over");
    let scene = play("drop", &there);
    assert_eq!((told(&scene), scene.one("tool.orphaned")["name"].clone()), (0, json!("slow")));
    let scene = play("stay", &there);
    assert_eq!(told(&scene), 0, "told only at the desk");
    assert_eq!(scene.one("tool.orphaned")["name"], "slow", "which is never reached");
    let back = ["take your time", "hand_over expert", "well", "well", "hand_over desk", "well"];
    let scene = play("stay", &back);
    assert_eq!(told(&scene), 1);
    let said = scene.messages();
    let at = |text: &str| said.iter().position(|said| said == text).unwrap();
    assert!(at("It took long.") > at("This is desk."), "{said:?}");
}

#[test]
fn a_conversation_has_its_agents_and_its_beginning() {
    let yaml = firm(
        "conversations:
  help: { start: expert, agents: [expert, desk] }
topology: { links: ['desk -> expert', 'expert -> desk', 'expert -> clerk'] }
transitions: [{ from: expert, to: clerk, when: { turns: { at_least: 1 } } }]
conversation: help
",
    );
    let scene = typed(&yaml, &["hand_over clerk", "hand_over desk"]);
    assert_eq!(scene.one("session.created")["agent"], "expert");
    assert_eq!(to(&scene), ["desk"], "the clerk is not of it");
    assert!(scene.messages()[0].contains("there is no agent `clerk`"), "{:?}", scene.messages());
    assert_eq!(scene.context["conversation_name"], "help");
}

fn complaints(rest: &str) -> String {
    match config::parse(firm(rest).as_bytes(), "firm.yaml") {
        Ok(config) => Plan::new(config).map_or_else(|wrong| wrong.to_string(), |_| String::new()),
        Err(wrong) => wrong.to_string(),
    }
}

#[test]
fn what_is_wrong_is_told_where_it_is_written() {
    for (rest, expected) in [
        ("topology: { links: ['desk -> expret'] }\n", "did you mean `expert`?"),
        ("topology: { links: ['desk > expert'] }\n", "topology.links[0]"),
        ("topology: { links: ['desk -> expert (notify)'] }\n", "not yet executable"),
        ("topology: { policies: ['parallel(desk, expert)'] }\n", "not yet executable"),
        ("policies: ['max_agents(3)']\n", "not yet executable"),
        ("policies: ['convergence_point(desk)']\n", "not yet executable"),
        ("policies: ['timout(3)']\n", "did you mean `timeout`?"),
        ("policies: ['max_turns(desk <-> x, 3)']\n", "`x`"),
        ("topology: { pattern: ring, params: {} }\n", "agents"),
        ("conversations: { a: { start: x, agents: [desk] } }\n", "unknown agent `x`"),
        ("conversation: b\n", "unknown conversation `b`"),
    ] {
        let told = complaints(rest);
        assert!(told.contains(expected), "{rest}: {told}");
        assert!(told.starts_with("firm.yaml:"), "with its place: {told}");
    }
}

#[test]
fn a_timeout_counts_work_and_not_the_user() {
    let yaml = firm("policies: ['timeout(2)']\n");
    let scene = typed(
        &yaml,
        &[
            "take your time",
            "well",
            "well",
            "well",
            "take your time",
            "well",
            "take your time",
            "well",
        ],
    );
    assert_eq!(scene.one("policy.warned")["percent"], 80);
    assert_eq!(scene.one("policy.reached")["policy"], "timeout(2)");
    assert_eq!(scene.one("session.ended")["reason"], json!({ "policy": "timeout(2)" }));
    let quiet = typed(&yaml, &["well", "well", "well", "well", "well", "well", "well", "well"]);
    assert!(quiet.all("policy.reached").is_empty(), "longer, and without work");
}

#[test]
fn steps_are_bounded() {
    let yaml = firm("policies: ['max_steps(3)']\n");
    let scene = typed(&yaml, &["one", "two", "three", "four"]);
    assert_eq!(scene.one("policy.reached")["policy"], "max_steps(3)");
    assert_eq!(scene.messages().len(), 3);
    let yaml = firm("policies: ['max_steps(10)']\n");
    assert_eq!(typed(&yaml, &["well"; 9]).one("policy.warned")["percent"], 90);
    // An outcome that is told is a step as well.
    let told = typed(&firm("policies: ['max_steps(2)']\n"), &["take your time"]);
    assert_eq!(told.one("session.ended")["reason"], json!({ "policy": "max_steps(2)" }));
}

#[test]
fn messages_between_two_agents_are_bounded_and_then_they_stop() {
    let yaml = firm(
        "topology: { links: ['desk <-> expert', 'expert -> clerk'], policies: ['max_turns(desk <-> expert, 3)'] }\n",
    );
    let scene =
        typed(&yaml, &["hand_over expert", "well", "hand_over desk", "hand_over expert", "well"]);
    // Arrival and answer of the expert, arrival of the desk: three.
    assert_eq!(scene.one("policy.reached")["policy"], "max_turns(desk <-> expert, 3)");
    let refused = scene.one("transition.refused");
    assert_eq!(refused["reason"], "the policy max_turns(desk <-> expert, 3)");
    assert_eq!(to(&scene), ["expert", "desk"]);
    assert!(scene.messages().contains(&"It is desk, with .".to_owned()), "the call goes on");
}

#[test]
fn what_an_agent_asks_for_takes_no_longer_than_its_policy() {
    let yaml = firm("policies: ['agent_timeout(desk: 0.5, default: 60)']\n");
    let scene = typed(&yaml, &["take your time", "well", "well"]);
    assert_eq!(scene.one("policy.reached")["policy"], "agent_timeout(desk: 0.5)");
    assert!(scene.messages().iter().any(|text| text.contains("gave no answer in time")));
    assert_eq!(scene.all("tool.unexpected").len(), 1, "what comes later is noted");
    let others = firm("policies: ['agent_timeout(expert: 60, default: 0.5)']\n");
    let scene = typed(&others, &["take your time", "well", "well"]);
    assert_eq!(scene.one("policy.reached")["policy"], "agent_timeout(default: 0.5)");
}
