//! Why agents hand over: every kind of condition, and that nothing fires twice or for the past.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use antiphon::id::LaneId;
use antiphon::session::input::Inbound;
use antiphon::sim::caller::{Part, When};
use antiphon::tool::Json;
use serde_json::{Value, json};
use stage::{Scene, Stage, caller, types};

fn typist() -> Part {
    Part { audio: false, hang_up_ms: 3_000, ..caller("ann") }
}

/// Two desks without a voice, and the transition between them.
fn desks(transitions: &str) -> String {
    format!(
        "
name: desks
start: north
tools:
  weigh: {{ run: inline, canned: {{ by: what, answers: {{ a: {{ kg: 3 }}, b: {{ kg: 12 }} }} }}, parameters: {{ type: object, properties: {{ what: {{ type: string }} }} }} }}
agents:
  north:
    greeting: North.
    tools: [weigh]
    intents:
      - {{ name: go, phrases: [go south] }}
      - {{ name: light, phrases: [weigh a feather], call: {{ tool: weigh, with: {{ what: a }} }} }}
      - {{ name: heavy, phrases: [weigh a stone], call: {{ tool: weigh, with: {{ what: b }} }} }}
      - {{ name: decide, phrases: [make up your mind], call: {{ tool: decide, with: {{ key: mood, value: good }} }} }}
      - {{ name: pass, phrases: [pass me on], call: {{ tool: hand_over, with: {{ to: '{{fact.no}}south' }} }}, failed: 'No: {{error}}.' }}
  south:
    arrival: South.
    intents:
      - {{ name: go, phrases: [go north] }}
transitions:
{transitions}"
    )
}

fn typed(yaml: &str, lines: &[(u32, &str)]) -> Scene {
    let lines: Vec<_> = lines.iter().map(|(ms, text)| types(When::Start(*ms), text)).collect();
    Stage::new(yaml).caller(typist(), lines).play()
}

fn happens(yaml: &str, at: &[(u64, Inbound)]) -> Scene {
    let mut stage = Stage::new(yaml).caller(typist(), [types(When::Start(2_500), "well")]);
    for (tick, value) in at {
        stage = stage.happens(*tick, [value.clone()]);
    }
    stage.play()
}

/// From, to and cause of every hand-over.
fn moves(scene: &Scene) -> Vec<(String, Value)> {
    let all = scene.all("transition.executed").into_iter();
    all.map(|e| (e["to"].as_str().unwrap().to_owned(), e["cause"].clone())).collect()
}

fn tick_of(event: &Value) -> u64 {
    event["tick"].as_u64().unwrap()
}

fn digit(digit: char) -> Inbound {
    Inbound::Digit { lane: LaneId(0), digit }
}

fn custom(name: &str, data: Value) -> Inbound {
    Inbound::Custom { lane: None, name: name.into(), data: Json(data) }
}

#[test]
fn the_words_of_the_user() {
    let yaml =
        desks("  - { from: north, to: south, when: { user_input: { contains: COMBAT } } }\n");
    let scene = typed(&yaml, &[(200, "something else"), (600, "Tell me of Combat, please")]);
    let cause = json!({ "user_input": "contain \"combat\"" });
    assert_eq!(moves(&scene), [("south".to_owned(), cause)]);
    let yaml =
        desks("  - { from: north, to: south, when: { user_input: { matches: '^c.*t$' } } }\n");
    assert_eq!(moves(&typed(&yaml, &[(200, "Combat")])).len(), 0, "patterns mind the case");
    assert_eq!(moves(&typed(&yaml, &[(200, "comb at")])).len(), 1);
}

#[test]
fn a_result_of_a_tool_by_name_and_key() {
    let yaml = desks(
        "  - { from: north, to: south, when: { tool_result: { tool: weigh, key: kg, operator: gt, value: 10 } } }\n",
    );
    let scene = typed(&yaml, &[(200, "weigh a feather"), (600, "weigh a stone")]);
    let cause = json!({ "tool_result": { "tool": "weigh", "condition": "kg gt 10" } });
    assert_eq!(moves(&scene), [("south".to_owned(), cause)]);
    assert_eq!(scene.all("tool.result").len(), 2, "the first result fits nothing");
    for (operator, value, count) in [("gte", 12, 1), ("gte", 13, 0), ("lte", 3, 1), ("lte", 2, 0)] {
        let yaml = yaml
            .replace("operator: gt, value: 10", &format!("operator: {operator}, value: {value}"));
        let scene = typed(&yaml, &[(200, "weigh a feather"), (600, "weigh a stone")]);
        assert_eq!(moves(&scene).len(), count, "{operator} {value}");
    }
}

#[test]
fn a_decision_by_any_key() {
    let yaml =
        desks("  - { from: north, to: south, when: { decision: { key: mood, value: good } } }\n");
    let scene = typed(&yaml, &[(200, "make up your mind")]);
    let cause = json!({ "decision": { "key": "mood", "value": "\"good\"" } });
    assert_eq!(moves(&scene), [("south".to_owned(), cause)]);
    assert_eq!(scene.one("agent.decided")["agent"], "north");
    assert_eq!(scene.context["agent_decisions"], json!({ "mood": "good" }));
    let yaml =
        yaml.replace("decision: { key: mood, value: good }", "decision: { key: mood, value: bad }");
    assert_eq!(moves(&typed(&yaml, &[(200, "make up your mind")])).len(), 0);
}

#[test]
fn an_agents_own_tool_hands_over_where_an_edge_leads() {
    let yaml = desks("  - { from: north, to: south, when: { decision: {} } }\n");
    let scene = typed(&yaml, &[(200, "pass me on")]);
    let cause = json!({ "decision": { "key": "transition_to", "value": "\"south\"" } });
    assert_eq!(moves(&scene), [("south".to_owned(), cause)]);
    let outcome = &scene.one("tool.result")["outcome"];
    assert_eq!(outcome["Done"], json!({ "agent": "south", "outcome": "decided" }));

    let yaml = desks("  - { from: north, to: south, when: { intent: go } }\n");
    let scene = typed(&yaml, &[(200, "pass me on")]);
    assert_eq!(moves(&scene).len(), 0, "no move without an edge");
    let told = scene.messages().pop().unwrap();
    assert!(told.contains("no transition by decision leads from `north` to `south`"), "{told}");
}

#[test]
fn handing_over_to_oneself_or_to_nobody_moves_nobody() {
    let yaml = desks("  - { from: north, to: south, when: { decision: {} } }\n");
    for (to, expected) in [
        ("north", json!({ "Done": { "agent": "north", "outcome": "no_transition" } })),
        ("west", json!({ "Failed": { "kind": "failed", "message": "there is no agent `west`" } })),
    ] {
        let scene = typed(
            &yaml.replace("{fact.no}south", &format!("{{fact.no}}{to}")),
            &[(200, "pass me on")],
        );
        assert_eq!(scene.one("tool.result")["outcome"], expected);
        assert_eq!(moves(&scene).len(), 0);
        assert_eq!(scene.context["current_agent_name"], "north");
    }
}

#[test]
fn events_by_name_and_by_what_they_hold() {
    let yaml = desks(
        "  - { from: north, to: south, when: { event: { type: custom, data: { name: paid, data: { by: card } } } } }\n",
    );
    let paid = |by: &str| custom("paid", json!({ "by": by, "sum": 3 }));
    let scene = happens(&yaml, &[(10, paid("cash")), (30, paid("card")), (50, paid("card"))]);
    let [(to, cause)] = &moves(&scene)[..] else { panic!("one move") };
    assert_eq!((to.as_str(), &cause["event"]["name"]), ("south", &json!("custom")));
    let event = &scene.events[cause["event"]["seq"].as_u64().unwrap() as usize];
    assert_eq!(event.tick.0, 30, "the cause names the event");
}

#[test]
fn other_systems_spellings_are_understood() {
    for spelling in ["user.joined", "participant:joined", "USER_JOINED", "participant_connected"] {
        let yaml = desks(&format!(
            "  - {{ from: north, to: south, when: {{ event: {{ type: '{spelling}', data: {{ name: ann }} }} }} }}\n"
        ));
        let scene = typed(&yaml, &[(200, "hello")]);
        assert_eq!(moves(&scene).len(), 1, "{spelling}");
        assert_eq!(moves(&scene)[0].1["event"]["name"], "user.joined");
    }
}

#[test]
fn what_happened_before_an_agent_came_fires_nothing_and_nothing_fires_twice() {
    let yaml = desks(
        "  - { from: north, to: south, when: { event: { type: custom } } }
  - { from: south, to: north, when: { event: { type: custom } } }
",
    );
    // Two in one tick: the first moves, the second belongs to the past of the one who comes.
    let two = [(20, custom("a", Value::Null)), (20, custom("b", Value::Null))];
    let scene = happens(&yaml, &two);
    assert_eq!(moves(&scene).len(), 1);
    let scene = happens(&yaml, &[(20, custom("a", Value::Null)), (40, custom("b", Value::Null))]);
    let moved: Vec<String> = moves(&scene).into_iter().map(|(to, _)| to).collect();
    assert_eq!(moved, ["south", "north"]);
    assert_eq!(scene.all("custom").len(), 2, "each event once");
    // North stops in the tick in which south begins, and before it.
    let stopped = desks(
        "  - { from: north, to: south, when: { intent: go } }
  - { from: south, to: north, when: { event: { type: agent.stopped } } }
",
    );
    assert_eq!(moves(&typed(&stopped, &[(200, "go south"), (600, "well")])).len(), 1);
}

#[test]
fn what_ends_in_the_tick_of_a_move_is_past_as_well() {
    // Both wait for the end of the greeting; north hands over in the tick in which it ends.
    let yaml = desks(
        "  - { from: north, to: south, when: { event: { type: custom } } }
  - { from: north, to: south, when: { event: { type: agent.speech_finished, data: { item: 9 } } } }
  - { from: south, to: north, when: { event: { type: agent.speech_finished, data: { item: 0 } } } }
",
    )
    .replace(
        "start: north",
        "start: north\nspeech: { synthesiser: { engine: tone, latency_ms: 20 } }",
    );
    let greeted = |scene: &Scene| {
        let mut ends = scene.all("agent.speech_finished").into_iter();
        tick_of(&ends.find(|end| end["item"] == 0).unwrap())
    };
    let end = greeted(&happens(&yaml, &[]));
    let scene = happens(&yaml, &[(end, custom("go", Value::Null))]);
    assert_eq!((greeted(&scene), tick_of(&scene.one("transition.executed"))), (end, end));
}

#[test]
fn keys_one_after_the_other() {
    let yaml = desks("  - { from: north, to: south, when: { digits: '12#' } }\n");
    let pressed = |keys: &str| -> Vec<(u64, Inbound)> {
        (10..).step_by(5).zip(keys.chars()).map(|(tick, key)| (tick, digit(key))).collect()
    };
    let scene = happens(&yaml, &pressed("4112#9"));
    assert_eq!(moves(&scene), [("south".to_owned(), json!({ "digits": "12#" }))]);
    assert_eq!(tick_of(&scene.one("transition.executed")), 30);
    assert_eq!(moves(&happens(&yaml, &pressed("1212"))).len(), 0);
    // South counts those that were pressed since it came.
    let both =
        yaml.replace("12#", "12") + "  - { from: south, to: north, when: { digits: '2#' } }\n";
    assert_eq!(moves(&happens(&both, &pressed("12#"))).len(), 1);
    assert_eq!(moves(&happens(&both, &pressed("12#2#"))).len(), 2);
}

#[test]
fn time_as_the_current_agent() {
    let yaml = desks("  - { from: north, to: south, when: { after_ms: 1000 } }\n");
    let scene = typed(&yaml, &[(200, "well"), (2_000, "well")]);
    assert_eq!(moves(&scene), [("south".to_owned(), json!({ "timer": 1_000 }))]);
    assert_eq!(tick_of(&scene.one("transition.executed")), 50);
    let yaml = yaml.replace("after_ms: 1000", "after_ms: 0");
    let scene = typed(&yaml, &[(200, "well")]);
    assert_eq!(tick_of(&scene.one("transition.executed")), 0, "0 is at once");
}

#[test]
fn silence_of_both_sides_counts_from_the_agents_beginning() {
    let yaml = desks(
        "  - { from: north, to: south, when: { silence_ms: 1500 } }
  - { from: south, to: north, when: { silence_ms: 1500 } }\n",
    )
    .replace("start: north", "start: north\nturn: { away_ms: 0 }");
    let scene = typed(&yaml, &[(1_000, "well"), (5_000, "bye")]);
    let ticks: Vec<u64> = scene.all("transition.executed").iter().map(tick_of).collect();
    let words = tick_of(&scene.all("user.message")[0]);
    assert_eq!(ticks[0], words + 75, "from the last words on");
    // South begins a tick after, and says so.
    assert_eq!(ticks[1], ticks[0] + 1 + 75);
    // Where it says nothing, the silence of before is not its own.
    let mute = yaml.replace("    arrival: South.\n", "");
    let scene = typed(&mute, &[(1_000, "well"), (5_000, "bye")]);
    let ticks: Vec<u64> = scene.all("transition.executed").iter().map(tick_of).collect();
    assert_eq!(ticks[1], ticks[0] + 1 + 75);
}

#[test]
fn turns_of_the_agent_and_of_the_call() {
    let yaml = desks(
        "  - { from: north, to: south, when: { turns: { at_least: 2 } } }
  - { from: south, to: north, when: { turns: { of: call, at_least: 3 } } }
",
    );
    let scene = typed(&yaml, &[(200, "one"), (600, "two"), (1_000, "three"), (1_400, "four")]);
    let expected =
        [("south", 2), ("north", 3)].map(|(to, n)| (to.to_owned(), json!({ "turns": n })));
    assert_eq!(moves(&scene), expected);
    assert_eq!(scene.context["turn_count"], 4);
}

#[test]
fn a_condition_of_another_system_never_fires() {
    let yaml = desks("  - { from: north, to: south, when: { custom: { expression: 'true' } } }\n");
    assert_eq!(moves(&typed(&yaml, &[(200, "go south")])).len(), 0);
}

#[test]
fn descending_priority_then_as_listed_and_at_most_one_move_a_tick() {
    let yaml = desks(
        "  - { from: north, to: south, when: { user_input: { contains: go } }, say: First. }
  - { from: north, to: south, when: { intent: go }, say: Second., priority: 5 }
  - { from: north, to: south, when: { intent: go }, say: Third., priority: 5 }
",
    );
    let scene = typed(&yaml, &[(200, "go south")]);
    assert_eq!(scene.one("transition.executed")["transition"], 1);
    assert_eq!(scene.messages(), ["North.", "Second.", "South."]);
}

#[test]
fn no_way_there_and_back_within_a_tick() {
    let yaml = desks(
        "  - { from: north, to: south, when: { after_ms: 0 } }
  - { from: south, to: north, when: { after_ms: 0 } }
",
    );
    let scene = typed(&yaml, &[(1_000, "well")]);
    let ticks: Vec<u64> = scene.all("transition.executed").iter().map(tick_of).collect();
    let mut unique = ticks.clone();
    unique.dedup();
    assert_eq!(ticks, unique, "one a tick");
    // Four moves, a refusal, and quiet until the user's next turn: then again.
    let refused: Vec<u64> = scene.all("transition.refused").iter().map(tick_of).collect();
    assert_eq!((ticks.len(), refused.len()), (8, 2), "{ticks:?} {refused:?}");
}

/// Rules on the way from north to south: if the user says `word`, to `agent`.
fn ruled(word: &str, agent: &str) -> String {
    format!(
        "  - from: north
    to: south
    when:
      rules:
        - conditions: {{ all: [{{ name: user_input, operator: contains, value: {word} }}] }}
          actions:
            - {{ name: transition_to_agent, params: {{ agent_id: {agent} }} }}
            - {{ name: set_context_value, params: {{ key: topic, value: {word} }} }}
"
    )
}

#[test]
fn business_rules_hand_over_and_set_facts() {
    let yaml = desks(&ruled("stone", "south"));
    let scene = typed(&yaml, &[(200, "a feather"), (600, "a stone")]);
    assert_eq!(moves(&scene), [("south".to_owned(), json!({ "rule": 0 }))]);
    assert_eq!(scene.context["facts"], json!({ "topic": "stone" }));
    let asked = tick_of(&scene.all("user.message")[1]);
    assert_eq!(tick_of(&scene.one("transition.executed")), asked, "at once");
    let numbered = desks(&ruled("stone", "7")).replace("  south:\n", "  south:\n    id: 7\n");
    assert_eq!(moves(&typed(&numbered, &[(600, "a stone")])).len(), 1);
}

#[test]
fn rules_compare_facts_as_numbers() {
    let rule = "{ name: fact.points, operator: greater_than_or_equal_to, value: 1000 }";
    let then = "{ name: transition_to_agent, params: { agent_id: south } }";
    let yaml = desks(&format!(
        "  - {{ from: north, to: south, when: {{ rules: [{{ conditions: {{ all: [{rule}] }}, actions: [{then}] }}] }} }}\n"
    ));
    for (value, expected) in
        [(json!(999), 0), (json!(1_000), 1), (json!("1200"), 1), (json!("plenty"), 0)]
    {
        let fact = Inbound::Fact {
            lane: None,
            name: "points".into(),
            value: antiphon::tool::Json(value.clone()),
            scope: antiphon::graph::facts::Scope::Session,
            ttl_ms: None,
        };
        let scene = happens(&yaml, &[(5, fact)]);
        assert_eq!(moves(&scene).len(), expected, "{value}");
        assert!(scene.all("rule.failed").is_empty(), "what is no number is no match");
    }
}

#[test]
fn rules_go_before_other_conditions_whatever_the_priority() {
    let yaml = desks(&format!(
        "  - {{ from: north, to: south, when: {{ intent: go }}, priority: 1000 }}\n{}",
        ruled("go", "south").replace("    when:", "    priority: -1000\n    when:")
    ));
    let scene = typed(&yaml, &[(200, "go south")]);
    assert_eq!(scene.one("transition.executed")["transition"], 1);
}

#[test]
fn what_rules_set_without_a_hand_over_is_dropped() {
    let rules = ruled("stone", "south")
        .replace("            - { name: transition_to_agent, params: { agent_id: south } }\n", "");
    let scene = typed(&desks(&rules), &[(200, "a stone")]);
    assert_eq!((moves(&scene).len(), &scene.context["facts"]), (0, &json!({})));
    // Nor is anything set by rules that lead to where the call is, or where it may not go now.
    let stay = desks(&ruled("stone", "north"));
    let refused = desks(&ruled("stone", "south"))
        .replace("start: north", "start: north\ncall: { max_moves_per_turn: 0 }");
    for yaml in [stay, refused] {
        let scene = typed(&yaml, &[(200, "a stone")]);
        assert_eq!((moves(&scene).len(), &scene.context["facts"]), (0, &json!({})));
    }
}

#[test]
fn rules_look_at_what_came_since_the_agent_did_and_once_a_second() {
    // The words that led to south do not lead back.
    let back =
        ruled("stone", "north").replace("from: north\n    to: south", "from: south\n    to: north");
    let scene =
        typed(&desks(&(ruled("stone", "south") + &back)), &[(200, "a stone"), (2_500, "well")]);
    assert_eq!(moves(&scene).len(), 1);
    // A fact from outside is no turn and no result: it is looked at within a second.
    let rules = ruled("x", "south")
        .replace("name: user_input, operator: contains", "name: fact.paid, operator: equal_to");
    let fact = Inbound::Fact {
        lane: None,
        name: "paid".into(),
        value: Json("x".into()),
        scope: antiphon::graph::facts::Scope::Session,
        ttl_ms: None,
    };
    let scene = happens(&desks(&rules), &[(60, fact)]);
    assert_eq!(tick_of(&scene.one("transition.executed")), 100, "at the next second");
}

#[test]
fn rules_look_at_the_latest_result_and_only_at_ones_own() {
    let heavy = |from: &str, to: &str| {
        let result = "name: last_tool_result, operator: contains, value: '12'";
        ruled("x", to)
            .replace("name: user_input, operator: contains, value: x", result)
            .replace("from: north\n    to: south", &format!("from: {from}\n    to: {to}"))
    };
    let yaml = desks(&(heavy("north", "south") + &heavy("south", "north")));
    let lines = [(200, "weigh a feather"), (600, "weigh a stone"), (2_500, "well")];
    let scene = typed(&yaml, &lines);
    assert_eq!(moves(&scene), [("south".to_owned(), json!({ "rule": 0 }))]);
    assert_eq!(
        tick_of(&scene.one("transition.executed")),
        tick_of(&scene.all("tool.result")[1]) + 1
    );
}

#[test]
fn rules_that_cannot_be_evaluated_are_no_match_and_told_once() {
    let rules = ruled("x", "south").replace("name: user_input", "name: fact.list");
    let yaml = desks(&format!("{rules}  - {{ from: north, to: south, when: {{ intent: go }} }}\n"));
    let fact = Inbound::Fact {
        lane: None,
        name: "list".into(),
        value: Json(json!(["x"])),
        scope: antiphon::graph::facts::Scope::Session,
        ttl_ms: None,
    };
    let scene = Stage::new(&yaml)
        .happens(5, [fact])
        .caller(typist(), [types(When::Start(200), "a"), types(When::Start(3_000), "go south")])
        .play();
    assert_eq!(scene.one("rule.failed")["transition"], 0);
    assert_eq!(moves(&scene), [("south".to_owned(), json!({ "intent": "go" }))]);
}

#[test]
fn an_idle_prompt_begins_the_silence_anew() {
    // Prompts that come again do not let a longer silence last; after a single one it does.
    for (prompts, silence, moved) in [(0, 1_200, 1), (2, 1_200, 0), (2, 800, 1)] {
        let when = format!("when: {{ silence_ms: {silence} }}");
        let yaml = desks(&format!("  - {{ from: north, to: south, {when} }}\n"))
            .replace("greeting: North.", "greeting: North.\n    idle: Still there?")
            .replace("start: north", &format!("start: north\nturn: {{ away_ms: 1000 }}\ncall: {{ max_idle_prompts: {prompts} }}"));
        let part = Part { hang_up_ms: 20_000, ..typist() };
        let scene = Stage::new(&yaml).caller(part, [types(When::Start(200), "hello")]).play();
        assert_eq!(moves(&scene).len(), moved, "{prompts} {silence}");
    }
}
