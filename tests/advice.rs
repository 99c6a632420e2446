//! What `antiphon check` finds in graphs that are allowed and hardly meant, each with its place and a
//! remedy; and that the examples give it nothing to say.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod program;

use antiphon::config;
use program::Desk;

fn advice(yaml: &str) -> Vec<String> {
    let all = config::advise(yaml.as_bytes(), "a.yaml").unwrap_or_else(|wrong| panic!("{wrong}"));
    all.0.iter().map(ToString::to_string).collect()
}

/// Two agents who lead to each other, and something besides.
fn firm(more: &str, transitions: &str) -> String {
    format!(
        "name: firm
start: a
tools: {{ look: {{ canned: {{ otherwise: 1 }} }} }}
agents:
  a:
    tools: [look]
    intents:
      - {{ name: b, phrases: [go], set: {{ topic: shoes }}, call: {{ tool: look }} }}
      - {{ name: pass, phrases: [pass], call: {{ tool: hand_over, with: {{ to: '{{fact.topic}}' }} }} }}
  b:
    intents: [{{ name: bye, phrases: [bye], end_call: true }}]
{more}transitions:
  - {{ from: a, to: b, when: {{ intent: b }} }}
{transitions}"
    )
}

#[test]
fn a_sound_graph_needs_none() {
    assert_eq!(advice(&firm("", "")), Vec::<String>::new());
}

#[test]
fn each_finding_has_its_place_and_its_remedy() {
    let table: &[(&str, &str, &str)] = &[
        (
            "  c:\n    intents: [{ name: x, phrases: [x], end_call: true }]\n",
            "",
            "agents.c: nobody hands over to `c`: it is never the current agent; add a transition to it, or remove it",
        ),
        (
            "  c: {}\n",
            "  - { from: b, to: c, when: { intent: bye } }\n",
            "agents.c: `c` is a dead end: it hands over to nobody and cannot end the call; add a transition from it, or an intent with `end_call: true`",
        ),
        (
            "",
            "  - { from: a, to: b, when: { intent: b }, say: Again. }\n",
            "transitions[1]: it never fires: transition 0, which is tried before, has the same condition; remove one of the two, or change its condition",
        ),
        (
            "",
            "  - { from: a, to: b, when: { after_ms: 0 }, priority: 9 }\n",
            "transitions[0]: it never fires: transition 1, which is tried before, always does",
        ),
        (
            "",
            "  - { from: b, to: a, when: { decision: { key: mood, value: bad } } }\n",
            "transitions[1].when.decision: `b` never decides `mood` so",
        ),
        (
            "",
            "  - { from: b, to: a, when: { custom: {} } }\n",
            "transitions[1].when.custom: a condition of another system never fires",
        ),
        (
            "",
            "  - { from: a, to: b, when: { intent: pass }, say: 'About {fact.topc}.' }\n",
            "transitions[1].say: nothing here sets the fact `topc`; did you mean `topic`?",
        ),
        (
            "",
            "  - { from: a, to: b, when: { intent: pass }, carry: { facts: [price] } }\n",
            "nothing here sets the fact `price`",
        ),
        (
            "",
            "  - { from: a, to: b, when: { rules: [{ conditions: { all: [{ name: fact.tier, operator: equal_to, value: gold }] }, actions: [{ name: transition_to_agent, params: { agent_id: b } }] }] } }\n",
            "nothing here sets the fact `tier`",
        ),
        (
            "conversations: { x: { start: a, agents: [a, b] }, y: { start: b, agents: [b, a] } }\n",
            "",
            "conversations.y.agents[1]: nobody of this conversation hands over to `a`",
        ),
        (
            "  c:\n    tools: [look]\n    intents: [{ name: x, phrases: [x], end_call: true }]\n",
            "  - { from: b, to: c, when: { intent: bye } }\n  - { from: c, to: a, when: { tool_result: { tool: look, value: 1 } } }\n",
            "transitions[2].when.tool_result.tool: `c` never calls `look`",
        ),
        (
            "  c: { intents: [{ name: x, phrases: [x], end_call: true }] }\ntopology: { links: [b -> c] }\n",
            "",
            "agents.c: only links lead to `c`, and no intent hands over to it: it is never the current agent; add an intent to `b` with `call: { tool: hand_over, with: { to: c } }`",
        ),
        (
            "  c: { intents: [{ name: x, phrases: [x], end_call: true }] }\ntopology: { links: ['b <=> c'] }\n",
            "",
            "agents.c: only links lead to `c`, and no intent calls it: it is never the current agent; add an intent to `b` with `call: { tool: call_agent, with: { agent: c } }`",
        ),
        (
            "  c: { intents: [{ name: x, phrases: [x], end_call: true }] }\ntopology: { links: [a -> c] }\n",
            "",
            "",
        ),
        (
            "  c: { intents: [{ name: x, phrases: [x], end_call: true }] }\ntopology: { links: [b <~> c] }\n",
            "",
            "",
        ),
        (
            "  c: { intents: [{ name: x, phrases: [x], end_call: true }] }\ntopology: { links: [b -> c] }\nlivekit: { rpc: { pass: hand_over } }\n",
            "",
            "",
        ),
        (
            "  c: { idle: Well?, intents: [{ name: x, phrases: [x], end_call: true }] }\nturn: { away_ms: 0 }\n",
            "  - { from: b, to: c, when: { event: { type: user.joined } } }\n",
            "agents.c.idle: it is never said: with `turn.away_ms: 0` nobody counts as away",
        ),
        (
            "  c: { idle: Well?, intents: [{ name: x, phrases: [x], end_call: true }] }\ncall: { max_idle_prompts: 2 }\n",
            "  - { from: b, to: c, when: { event: { type: user.joined } } }\n  - { from: c, to: b, when: { silence_ms: 15001 } }\n",
            "transitions[2].when.silence_ms: it never fires: after 15000 ms `idle` of `c` is said, and the silence begins anew; write less than `turn.away_ms`, which is 15000",
        ),
        (
            "  c: { idle: Well?, intents: [{ name: x, phrases: [x], end_call: true }] }\n",
            "  - { from: b, to: c, when: { event: { type: user.joined } } }\n  - { from: c, to: b, when: { silence_ms: 15000 } }\n",
            "it fires at the moment at which `idle` of `c` is said",
        ),
        (
            "  c: { idle: Well?, intents: [{ name: x, phrases: [x], end_call: true }] }\n",
            "  - { from: b, to: c, when: { event: { type: user.joined } } }\n  - { from: c, to: b, when: { silence_ms: 20000 } }\n",
            "",
        ),
        (
            "  c: { intents: [{ name: x, phrases: [x], end_call: true }, { name: y, phrases: [z, ' X'], say: Y. }] }\n",
            "  - { from: b, to: c, when: { event: { type: user.joined } } }\n",
            "agents.c.intents.y.phrases[1]: ` X` is a phrase of `x` as well, which is listed first and wins; remove one of the two, or add a word",
        ),
        (
            "",
            "  - { from: b, to: a, when: { intent: bye } }\n",
            "agents.b.intents.bye.end_call: the call ends with this intent, and transition 1 hands it over to `a`; remove one of the two",
        ),
        (
            "  c:\n    tools: [look]\n    intents: [{ name: x, phrases: [x], call: { tool: look }, then: 'So {result}.' }]\n",
            "  - { from: b, to: c, when: { event: { type: user.joined } } }\n  - { from: c, to: a, when: { tool_result: { tool: look, value: 1 } }, say: I pass you on. }\n",
            "agents.c.intents.x.then: it is said as well as `say` when transition 2 fires on the same result; say it in one place",
        ),
        ("topology: { links: ['b <=> a'] }\n  \n", "", ""),
        ("", "  - { from: a, to: b, when: { decision: {} } }\n", ""),
        ("", "  - { from: b, to: a, when: { event: { type: user.joined } } }\n", ""),
    ];
    for &(more, transitions, expected) in table {
        let found = advice(&firm(more, transitions));
        match expected {
            "" => assert_eq!(found, Vec::<String>::new(), "{more}{transitions}"),
            _ => assert!(
                found.iter().any(|told| told.contains(expected)),
                "{more}{transitions}: {found:#?}"
            ),
        }
    }
}

#[test]
fn mistakes_are_mistakes_and_not_advice() {
    for (more, transitions, expected) in [
        ("", "  - { from: a, to: c, when: { intent: b } }\n", "unknown agent `c`"),
        ("", "  - { from: a, to: a, when: { intent: b } }\n", "hands over to itself"),
        (
            "",
            "  - { from: a, to: b, when: { event: { type: task.completed } } }\n",
            "nobody emits `task.completed`",
        ),
        (
            "",
            "  - { from: a, to: b, when: { event: { type: user.mesage } } }\n",
            "did you mean `user.message`?",
        ),
        (
            "",
            "  - { from: a, to: b, when: { user_input: { matches: '(' } } }\n",
            "not a regular expression",
        ),
        (
            "",
            "  - { from: a, to: b, when: { rules: [{ conditions: { not: [] }, actions: [] }] } }\n",
            "transitions[1].when.rules",
        ),
        (
            "",
            "  - { from: a, to: b, when: { rules: [{ conditions: { all: [{ name: user_inptu, operator: contains, value: x }] }, actions: [] }] } }\n",
            "did you mean `user_input`?",
        ),
        (
            "",
            "  - { from: a, to: b, when: { rules: [{ conditions: { all: [{ name: user_input, operator: cntains, value: x }] }, actions: [] }] } }\n",
            "did you mean `contains`?",
        ),
        (
            "",
            "  - { from: a, to: b, when: { rules: [{ conditions: { all: [{ name: topic, operator: greater_than_or_equal_to, value: 1000 }] }, actions: [] }] } }\n",
            "there is no variable `topic`; did you mean `fact.topic`?",
        ),
        (
            "",
            "  - { from: a, to: b, when: { rules: [{ conditions: { name: points, operator: less_than, value: 1000 }, actions: [] }] } }\n",
            "`last_tool_result`, `fact.NAME`",
        ),
        (
            "",
            "  - { from: a, to: b, when: { rules: [{ conditions: { name: fact.topic, operator: less_than, value: '9' }, actions: [] }] } }\n",
            "the value of this operator is a number, not a text",
        ),
        (
            "",
            "  - { from: a, to: b, when: { tool_result: { tool: lok, value: 1 } } }\n",
            "did you mean `look`?",
        ),
        ("", "  - { from: a, to: b, when: { intent: bb } }\n", "unknown intent `bb`"),
        (
            "",
            "  - { from: a, to: b, when: { intent: b }, say: 'The {size}.' }\n",
            "unknown placeholder `{size}`",
        ),
        ("", "  - { from: a, to: b, when: { digits: 12x } }\n", "transitions[1].when.digits"),
    ] {
        let yaml = firm(more, transitions);
        let wrong = config::parse(yaml.as_bytes(), "a.yaml").unwrap_err().to_string();
        assert!(wrong.contains(expected), "{transitions}: {wrong}");
        let place = format!("a.yaml:{}:", yaml.lines().count());
        assert!(wrong.starts_with(&place), "with line and column: {wrong}");
    }
}

#[test]
fn constants_of_built_in_tools_are_checked() {
    let firm = |call: &str| {
        let other = "      - { name: pass, phrases: [pass], call: { tool: hand_over, with: { to: '{fact.topic}' } } }\n";
        let call = format!("      - {{ name: pass, phrases: [pass], call: {{ {call} }} }}\n");
        let decided = "  - { from: a, to: b, when: { decision: {} } }\n";
        firm("", decided)
            .replace(other, &call)
            .replace("start: a", "start: a\nclips: { jingle: a.wav }")
    };
    let with = "agents.a.intents.pass.call.with";
    for (call, place, expected) in [
        (
            "tool: transfer_call, with: { to: 'tel:1', mode: blind }",
            "mode",
            "expected one of `cold`, `warm`, found the text `blind`",
        ),
        (
            "tool: send_dtmf, with: { digits: 12x }",
            "digits",
            "the text `12x` is no row of keys; write 0 to 9, A to D",
        ),
        ("tool: send_dtmf, with: { digits: 12 }", "digits", "expected a text, found the number 12"),
        (
            "tool: hold, with: { max_ms: 0 }",
            "max_ms",
            "a number from 1 to 3600000, found 0; the nearest is 1",
        ),
        (
            "tool: hold, with: { on: 'yes' }",
            "on",
            "expected `true` or `false`, found the text `yes`; write `true`",
        ),
        (
            "tool: hold, with: { clip: jingel }",
            "clip",
            "unknown clip `jingel`; did you mean `jingle`?",
        ),
        ("tool: play_clip, with: { clip: jingel }", "clip", "did you mean `jingle`?"),
        ("tool: set_fact, with: { name: a b, value: 1 }", "name", "`a b` is no name of a fact"),
        (
            "tool: set_fact, with: { name: a, value: 1, scope: sesion }",
            "scope",
            "did you mean `session`?",
        ),
        (
            "tool: hand_over, with: { to: bb }",
            "to",
            "unknown agent `bb`; the agents here are `a`, `b`",
        ),
        (
            "tool: call_agent, with: { agent: bb }",
            "agent",
            "unknown agent `bb`; the agents here are `a`, `b`",
        ),
        (
            "tool: call_agent, with: { agent: b }",
            "agent",
            "`a` may not call `b`: there is no link `a <=> b`",
        ),
        (
            "tool: call_agent, with: { agent: '{fact.topic}', facts: [1] }",
            "facts[0]",
            "expected a text, found the number 1",
        ),
        ("tool: hand_over, with: { to: '{fact.topic}' }", "", ""),
        ("tool: send_dtmf, with: { digits: '{fact.topic}x' }", "", ""),
        ("tool: hand_over, with: { to: b }", "", ""),
        ("tool: play_clip, with: { clip: jingle }", "", ""),
        ("tool: now, with: { utc_offset_minutes: 60 }", "", ""),
    ] {
        let told = config::parse(firm(call).as_bytes(), "a.yaml").err();
        let told = told.map(|wrong| wrong.to_string()).unwrap_or_default();
        match expected {
            "" => assert_eq!(told, "", "{call}"),
            _ => assert!(
                told.starts_with("a.yaml:10:")
                    && told.contains(&format!("{with}.{place}: "))
                    && told.contains(expected)
                    && !told.contains('\n'),
                "{call}: {told}"
            ),
        }
    }
    // Who hands over needs a way that a decision opens: a transition or a link, in this direction.
    let none = firm("tool: hand_over, with: { to: b }")
        .replace("when: { decision: {} }", "when: { turns: { at_least: 1 } }");
    let told = config::parse(none.as_bytes(), "a.yaml").unwrap_err().to_string();
    assert!(told.contains("no transition by decision leads from `a` to `b`; add one"), "{told}");
    for (link, is_right) in
        [("a -> b", true), ("b -> a", false), ("b <-> a", true), ("a <=> b", false)]
    {
        let yaml = format!("{none}topology: {{ links: ['{link}'] }}\n");
        assert_eq!(config::parse(yaml.as_bytes(), "a.yaml").is_ok(), is_right, "{link}");
    }
}

#[test]
fn the_command_warns_and_is_strict_when_asked() {
    let desk = Desk::new();
    desk.put("firm.yaml", firm("  c: {}\n", ""));
    let told = desk.run("check firm.yaml");
    assert_eq!(told.code, Some(0));
    assert!(told.stderr.contains("warning: firm.yaml:"), "{}", told.stderr);
    assert!(told.stderr.contains("`c` is a dead end"), "{}", told.stderr);
    assert_eq!(desk.run("check --strict firm.yaml").code, Some(2));
    let examples = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/configs")).unwrap();
    for example in examples.map(|entry| entry.unwrap().path()) {
        // The complete example shows every key, sensible or not.
        let name = example.file_name().unwrap().to_string_lossy().into_owned();
        if name != "complete.yaml" && !name.contains(".test.") && name.ends_with(".yaml") {
            let told = desk.run(&format!("check --strict {}", example.display()));
            assert_eq!(told.code, Some(0), "{name}: {}", told.stderr);
        }
    }
}

/// What is wrong with a configuration, in one text.
fn wrong_with(yaml: &str) -> String {
    config::parse(yaml.as_bytes(), "a.yaml")
        .err()
        .map(|wrong| wrong.to_string())
        .unwrap_or_default()
}

#[test]
fn rules_lead_where_links_do_and_set_what_can_be_a_fact() {
    let yaml = |key: &str, topology: &str| {
        format!(
            "
name: ruled
start: a
agents: {{ a: {{}}, b: {{}}, c: {{}} }}
{topology}
transitions:
  - from: a
    to: b
    when:
      rules:
        - conditions: {{ all: [{{ name: user_input, operator: contains, value: x }}] }}
          actions: [{{ name: transition_to_agent, params: {{ agent_id: c }} }}, {{ name: set_context_value, params: {{ key: '{key}', value: 1 }} }}]
"
        )
    };
    assert_eq!(wrong_with(&yaml("why", "topology: { links: ['a -> c'] }")), "");
    let none = wrong_with(&yaml("why", ""));
    assert!(none.contains("no transition leads from `a` to `c`"), "{none}");
    let call = wrong_with(&yaml("why", "topology: { links: ['a <=> c'] }"));
    assert!(call.contains("no transition leads"), "a call is no hand-over: {call}");
    let key = wrong_with(&yaml("the why", "topology: { links: ['a -> c'] }"));
    assert!(key.contains("`the why` is no name of a fact"), "{key}");
}

#[test]
fn the_result_of_a_built_in_tool_may_be_waited_for() {
    let yaml = "
name: built-in
start: a
agents: { a: {}, b: {} }
transitions: [{ from: a, to: b, when: { tool_result: { tool: call_agent, key: ok, value: true } } }]
";
    assert_eq!(wrong_with(yaml), "");
    let unknown = wrong_with(&yaml.replace("tool: call_agent", "tool: call_agnet"));
    assert!(unknown.contains("unknown tool `call_agnet`"), "{unknown}");
}

#[test]
fn who_does_not_hear_among_those_who_hear_by_themselves_is_named() {
    let yaml = "
name: desk
start: desk
models: { voice: { model: gpt-realtime } }
agents:
  desk: { kind: native, model: voice, tools: [hand_over] }
  clerk: { greeting: Hello., intents: [{ name: bye, phrases: [bye], end_call: true }] }
transitions:
  - { from: desk, to: clerk, when: { decision: {} } }
";
    let all = advice(yaml);
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[0].contains("`clerk` does not hear what callers say"), "{all:?}");
    assert!(all[1].contains("nobody hears what `clerk` says"), "{all:?}");
    let speech = "speech: { recogniser: { engine: pocketsphinx }, synthesiser: { engine: flite } }";
    let heard = yaml.replace("start: desk", &format!("start: desk\n{speech}"));
    assert_eq!(advice(&heard), Vec::<String>::new());
}
