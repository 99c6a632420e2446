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
      - {{ name: pass, phrases: [pass], call: {{ tool: hand_over, with: {{ to: b }} }} }}
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
    let table: [(&str, &str, &str); 14] = [
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
        ("topology: { links: ['b <=> a'] }\n  \n", "", ""),
        ("", "  - { from: a, to: b, when: { decision: {} } }\n", ""),
        ("", "  - { from: b, to: a, when: { event: { type: user.joined } } }\n", ""),
    ];
    for (more, transitions, expected) in table {
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
