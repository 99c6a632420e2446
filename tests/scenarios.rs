//! Tests that people write: `antiphon test`, and `antiphon scenario`, which makes them of calls.

mod program;
mod shown;

use std::fs;
use std::path::Path;

use antiphon::config::scenario;
use program::{Desk, Ran, ran};
use quick_xml::Reader;
use quick_xml::events::Event;
use shown::{session, snapshot};

/// A shop in which everything that can be expected happens.
const SHOP: &str = "
name: shop
start: front
speech: { synthesiser: { engine: tone } }
tools:
  look: { run: inline, canned: { by: number, answers: { '42': { state: shipped } }, failure: nothing there } }
  count: { latency_ms: 1500, canned: { otherwise: 7 } }
slots: { number: { kind: digits } }
agents:
  front:
    greeting: Good day.
    fallback: I did not understand that.
    tools: [look, count]
    intents:
      - name: order
        phrases: ['where is order {number}']
        say: Let me look.
        call: { tool: look, with: { number: '{number}' } }
        then: 'Order {number} is {result.state}.'
        failed: There is no such order.
        set: { order: '{number}' }
      - { name: count, phrases: [how many are left], call: { tool: count }, then: '{result} are left.', failed: 'No, because {error}.' }
      - { name: back, phrases: [the back please], say: I will pass you on. }
      - { name: bye, phrases: [goodbye], say: Goodbye., end_call: true }
  back: { arrival: This is the back., intents: [{ name: bye, phrases: [goodbye], say: Bye., end_call: true }] }
transitions: [{ from: front, to: back, when: { intent: back } }]
";

/// A test of it in which all goes as expected.
const SOUND: &str = "
config: shop.yaml
opening: { agent: front, says: [Good day.] }
cues:
  - type: where is order four two
    expect:
      intent: order
      says: [Let me look., [shipped, order]]
      not_says: ['/no such/']
      calls: [{ tool: look, with: { number: '42' }, outcome: done }]
      facts: { order: '42' }
      transitions: []
      within_ms: 400
  - type: how many are left
    expect:
      says: ['/^7 /']
      events: [{ type: tool.deferred }, { type: tool_result, data: { name: count, outcome: { Done: 7 } } }]
      events_any_order: [{ type: agent.speech_finished }, { type: user.message }]
      not_events: [{ type: limit.reached }]
  - type: the back please
    expect: { agent: back, transitions: [{ from: front, to: back, cause: intent back }] }
  - { type: goodbye, expect: { ends: /agent ended/ } }
";

fn desk() -> Desk {
    let desk = Desk::new();
    desk.put("shop.yaml", SHOP);
    desk.put("shop.test.yaml", SOUND);
    desk
}

/// What is measured differs from run to run.
const MEASURED: &[(&str, &str)] = &[(r"in \d+ ms", "in N ms")];

#[test]
fn a_call_that_goes_as_expected() {
    let desk = desk();
    let text = session(&desk, ["test shop.test.yaml"]);
    snapshot("test-ok", &text, MEASURED);
    desk.run("test shop.test.yaml").exits(0);
}

/// What is not as expected, by the kind of expectation.
const WRONG: &str = "
config: shop.yaml
hang_up_ms: 200
tests:
  - { name: agent, opening: { agent: back } }
  - { name: intent, cues: [{ type: how many are left, expect: { intent: order } }] }
  - { name: not understood, cues: [{ type: sing, expect: { intent: order } }] }
  - { name: words, cues: [{ type: where is order 42, expect: { says: [[order, delivered]] } }] }
  - { name: text, cues: [{ type: where is order 42, expect: { says: ['Order 42 is packed.'] } }] }
  - { name: expression, cues: [{ type: where is order 42, expect: { says: ['/^Order [0-9]{3}/'] } }] }
  - { name: order of texts, cues: [{ type: where is order 42, expect: { says: [[shipped], [look]] } }] }
  - { name: nothing said, opening: { says: [] } }
  - { name: not said, opening: { not_says: ['/day/', [night]] } }
  - { name: arguments, cues: [{ type: where is order 42, expect: { calls: [{ tool: look, with: { number: '43' } }] } }] }
  - { name: outcome, cues: [{ type: where is order 42, expect: { calls: [{ tool: look, outcome: failed }] } }] }
  - { name: no call, cues: [{ type: goodbye, expect: { calls: [{ tool: count }] } }] }
  - { name: events, cues: [{ type: goodbye, expect: { events: [{ type: user.message, data: { text: bye } }, { type: user.joined }] } }] }
  - { name: other events, cues: [{ type: goodbye, expect: { events_any_order: [{ type: user.message }, { type: user.message }], not_events: [{ type: session.ended }] } }] }
  - { name: facts, cues: [{ type: where is order 42, expect: { facts: { order: '43', name: ann } } }] }
  - { name: transitions, cues: [{ type: the back please, expect: { transitions: [{ to: back, cause: '/result/' }, { to: front }] } }] }
  - { name: end, cues: [{ type: where is order 42, expect: { ends: the agent ended the call } }, { type: goodbye }] }
  - { name: reason, cues: [{ type: goodbye, expect: { ends: /hung up/ } }] }
  - { name: within, cues: [{ type: how many are left, expect: { within_ms: 1000 } }] }
  - { name: not reached, cues: [{ type: goodbye }, { type: hello, expect: { agent: front } }] }
  - { name: right, cues: [{ type: goodbye, expect: { says: [Goodbye.] } }] }
";

#[test]
fn each_kind_of_expectation_says_what_came_instead() {
    let desk = desk();
    desk.put("wrong.test.yaml", WRONG);
    let ran = desk.run("test wrong.test.yaml").exits(1);
    assert_eq!(ran.stderr, "");
    let count = WRONG.matches("- { name: ").count();
    let failed = ran.stdout.lines().filter(|line| line.starts_with("FAILED")).count();
    assert_eq!(failed, count - 1, "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("1 of {count} went as expected, {failed} FAILED")));
    snapshot("test-failed", &session(&desk, ["test wrong.test.yaml"]), MEASURED);
}

#[test]
fn a_filter_chooses_by_name_and_results_keep_their_order() {
    let desk = desk();
    desk.put("wrong.test.yaml", WRONG);
    let names = |ran: &Ran| -> Vec<String> {
        let lines = ran.stdout.lines().filter(|line| line.contains(".test.yaml: "));
        // What it came to, the name, and how long it took.
        let name = |line: &str| {
            let (_, rest) = line.split_once(' ').expect("two words");
            rest.trim_start().split("  ").next().expect("a name").to_owned()
        };
        lines.map(name).collect()
    };
    let right = desk.run("test shop.test.yaml wrong.test.yaml --filter shop|right").exits(0);
    assert_eq!(names(&right), ["shop.test.yaml: shop", "wrong.test.yaml: right"]);
    let one = desk.run("test wrong.test.yaml --jobs 1").exits(1);
    let many = desk.run("test wrong.test.yaml --jobs 8").exits(1);
    assert_eq!(names(&one), names(&many));
    let none = desk.run("test shop.test.yaml --filter nothing").exits(2);
    assert!(none.stderr.contains("no test has a name in which `nothing` is found"), "{none:?}");
}

#[test]
fn what_came_out_is_written_as_junit() {
    let desk = desk();
    desk.put("wrong.test.yaml", WRONG);
    let words = "test shop.test.yaml wrong.test.yaml --junit out.xml";
    let ran = desk.run(words).exits(1);
    let xml = fs::read_to_string(desk.dir.path().join("out.xml")).expect("it is written");
    assert!(xml.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"), "{xml}");
    // The shape that readers of JUnit rely on: who holds whom, what is counted, and what is said.
    let (mut open, mut cases, mut failures) = (Vec::<String>::new(), 0, 0);
    let mut counted = Vec::new();
    let mut reader = Reader::from_str(&xml);
    let value = |tag: &quick_xml::events::BytesStart<'_>, name: &str| {
        let found = tag.try_get_attribute(name).expect("attributes are well formed");
        let found = found.unwrap_or_else(|| panic!("no {name} in {tag:?}"));
        found.unescape_value().expect("it is text").into_owned()
    };
    let mut begin = |tag: &quick_xml::events::BytesStart<'_>, open: &[String]| {
        let name = String::from_utf8(tag.name().as_ref().to_vec()).expect("a name is ASCII");
        let inside = open.last().map_or("", String::as_str);
        match name.as_str() {
            "testsuites" | "testsuite" => {
                assert_eq!(inside, if name == "testsuites" { "" } else { "testsuites" });
                let number = |key| value(tag, key).parse::<u32>().expect("a count");
                counted.push((name.clone(), number("tests"), number("failures"), number("errors")));
                assert!(value(tag, "time").parse::<f64>().is_ok_and(|time| time >= 0.0));
            }
            "testcase" => {
                assert_eq!(inside, "testsuite");
                cases += 1;
                assert!(ran.stdout.contains(&format!(
                    "{}: {}",
                    value(tag, "classname"),
                    value(tag, "name")
                )));
            }
            "failure" => {
                assert_eq!(inside, "testcase");
                failures += 1;
                assert!(value(tag, "message").contains("expected "));
            }
            "properties" => assert_eq!(inside, "testcase"),
            "property" => assert_eq!(inside, "properties"),
            other => panic!("`{other}` is nothing that JUnit has"),
        }
        name
    };
    loop {
        match reader.read_event().expect("it is well formed") {
            Event::Start(tag) => {
                let name = begin(&tag, &open);
                open.push(name);
            }
            Event::Empty(tag) => drop(begin(&tag, &open)),
            Event::End(_) => drop(open.pop()),
            Event::Eof => break,
            _ => {}
        }
    }
    let count = u32::try_from(WRONG.matches("- { name: ").count()).expect("a few");
    assert_eq!((cases, failures), (count + 1, count - 1));
    assert_eq!(
        counted,
        [
            ("testsuites".to_owned(), count + 1, count - 1, 0),
            ("testsuite".to_owned(), 1, 0, 0),
            ("testsuite".to_owned(), count, count - 1, 0),
        ]
    );
    desk.run("test shop.test.yaml --junit new/folder/out.xml").exits(0);
    assert!(desk.dir.path().join("new/folder/out.xml").exists(), "folders are made");
    let nowhere = desk.run("test shop.test.yaml --junit shop.yaml/out.xml").exits(2);
    assert!(nowhere.stderr.contains("out.xml: cannot be written"), "{}", nowhere.stderr);
}

#[test]
fn a_broken_file_does_not_keep_the_others_from_being_held() {
    let desk = desk();
    desk.put("broken.test.yaml", "config: shop.yaml\ncues: [{ tpye: hello }]\n");
    desk.put(
        "strange.test.yaml",
        "config: shop.yaml\ncues: [{ type: hello, expect: { agent: nobody } }]\n",
    );
    let words = "test broken.test.yaml shop.test.yaml strange.test.yaml --junit out.xml";
    let ran = desk.run(words).exits(2);
    assert!(ran.stdout.contains("1 of 1 went as expected"), "{}", ran.stdout);
    for part in ["broken.test.yaml:2:", "strange.test.yaml:2:", "2 of 3 files could not be held"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    let xml = fs::read_to_string(desk.dir.path().join("out.xml")).expect("it is written");
    assert!(xml.contains(r#"tests="3" failures="0" errors="2""#), "{xml}");
    assert_eq!(xml.matches("<error message=").count(), 2, "{xml}");
    // None can be held: what is wrong is told once.
    let none = desk.run("test broken.test.yaml --junit none.xml").exits(2);
    assert_eq!((none.stdout.as_str(), none.stderr.lines().count()), ("", 1), "{}", none.stderr);
    assert!(fs::read_to_string(desk.dir.path().join("none.xml")).unwrap().contains("<error "));
}

#[test]
fn a_call_that_failed_is_kept_and_can_be_replayed() {
    let desk = desk();
    desk.put("wrong.test.yaml", WRONG);
    let ran = desk.run("test wrong.test.yaml --filter (words|right)$ --keep kept").exits(1);
    assert!(ran.stdout.contains("kept in kept/wrong-test-yaml-words"), "{}", ran.stdout);
    let kept: Vec<_> = fs::read_dir(desk.dir.path().join("kept")).expect("it is there").collect();
    assert_eq!(kept.len(), 1, "a call that went as expected is not kept");
    desk.run("replay kept/wrong-test-yaml-words/journal.antiphon").exits(0);
    desk.run("report kept/wrong-test-yaml-words").exits(0);
}

#[test]
fn answers_of_tools_come_call_by_call_and_take_their_time() {
    let desk = desk();
    desk.put(
        "mocks.test.yaml",
        "
config: shop.yaml
tools:
  count: [{ failure: closed }, { value: 1, latency_ms: 0 }, { value: [2], latency_ms: 3000 }]
tests:
  - name: of the file
    cues:
      - { type: how many are left, expect: { says: ['No, because closed.'], events: [{ type: tool.deferred }] } }
      - { type: how many are left, expect: { says: [1 are left.], within_ms: 300, not_events: [{ type: tool.deferred }] } }
      - { type: how many are left, expect: { says: [2 are left.], events: [{ type: tool.result, data: { after_ticks: 150 } }] } }
      - { type: how many are left, expect: { says: [2 are left.] } }
  - name: of its own
    tools: { count: [{ value: many }], look: [{ value: { state: lost } }] }
    cues:
      - { type: how many are left, expect: { says: [many are left.] } }
      - { type: where is order 1, expect: { says: [Let me look., Order 1 is lost.] } }
",
    );
    desk.run("test mocks.test.yaml").exits(0);
}

#[test]
fn a_seed_is_taken_from_the_command_line_then_the_test_then_the_file() {
    let desk = desk();
    desk.put(
        "seeds.test.yaml",
        "
config: shop.yaml
seed: 5
tests:
  - { name: of the file, opening: { agent: back } }
  - { name: of its own, seed: 6, opening: { agent: back } }
",
    );
    let seed = |words: &str, name: &str| {
        desk.run(&format!("test seeds.test.yaml --keep kept {words}")).exits(1);
        let info = desk.run(&format!("journal info kept/seeds-test-yaml-{name}/journal.antiphon"));
        let info = info.exits(0).stdout;
        let line = info.lines().find(|line| line.contains("seed ")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("no seed in:\n{info}"))
    };
    assert!(seed("", "of-the-file").ends_with(" 5"));
    assert!(seed("", "of-its-own").ends_with(" 6"));
    assert!(seed("--seed 7", "of-its-own").ends_with(" 7"));
}

/// What is wrong with a test file, by its name.
const BAD: &[(&str, &str)] = &[
    ("no-config", "cues: [{ type: hello }]\n"),
    ("lost-config", "config: lost.yaml\ncues: [{ type: hello }]\n"),
    ("both", "config: shop.yaml\ncues: [{ type: hello }]\ntests: [{ name: a }]\n"),
    (
        "keys",
        "config: shop.yaml\ncues:\n  - { type: hello, expect: { say: [hello], agnet: front } }\n  - { type: hello, expect: {} }\n  - { type: hello, expect: { says: Hello., ends: 4, within_ms: 0 } }\n",
    ),
    (
        "names",
        "config: shop.yaml\ntools: { coutn: [{ value: 1 }] }\nopening: { agent: frnt }\ncues:\n  - type: hello\n    expect:\n      intent: oder\n      calls: [{ tool: lok }]\n      transitions: [{ from: front, to: bak }]\n",
    ),
    (
        "patterns",
        "config: shop.yaml\ncues:\n  - type: hello\n    expect:\n      says: ['/(/', ['!'], 42]\n      events: [{ type: user.mesage }, { type: zebra }]\n      ends: '/[/'\n",
    ),
    (
        "answers",
        "config: shop.yaml\ntools:\n  look: []\n  count: [{ }, { value: 1, failure: no }, { latency_ms: 1 }, 7]\ncues: [{ type: hello }]\n",
    ),
    (
        "acts",
        "config: shop.yaml\ncues:\n  - { digits: 12 }\n  - { digits: '12 3' }\n  - { digits: '1', type: one }\n  - { event: { name: user.message } }\n  - { event: { name: data:received, data: { topic: cart } } }\n  - { event: { data: 1 } }\n",
    ),
    (
        "tests",
        "config: shop.yaml\nopening: { says: [] }\ntests:\n  - { name: a }\n  - { name: a, cues: [{ type: hello, gain_db: 1 }] }\n  - { cues: [] }\n",
    ),
];

#[test]
fn everything_that_is_wrong_with_a_test_file_is_told() {
    let desk = desk();
    let mut text = String::new();
    for (name, bad) in BAD {
        let file = format!("{name}.test.yaml");
        desk.put(&file, bad);
        text += &format!("{bad}{}", session(&desk, [format!("test {file}").as_str()]));
    }
    text += &session(
        &desk,
        [
            "test",
            "test lost.test.yaml no-config.test.yaml patterns.test.yaml",
            "test shop.test.yaml --filter (",
            "test shop.yaml",
            "run shop.yaml --input shop.test.yaml --out call --fast --jsn",
            "scenario lost",
            "scenario shop.yaml",
        ],
    );
    snapshot("wrong-tests", &text, &[]);
}

/// What a caller types, some of it before the agent is done.
const CALLER: &str = "
name: ann
hang_up_ms: 900
cues:
  - { type: where is order 42 }
  - { type: how many are left }
  - { type: where is order 43, after: { previous_ms: 300 } }
  - { type: 'say \"it\" \\\\ again: # {ok}' }
  - { type: how many are left }
  - { type: the back please, after: { agent_silent_ms: 3000 } }
";

#[test]
fn a_test_made_of_a_typed_call_goes_as_expected() {
    let desk = desk();
    desk.put("ann.yaml", CALLER);
    for (goodbye, ends) in
        [("", "ann hung up"), ("  - { type: goodbye }\n", "the agent ended the call")]
    {
        desk.put("caller.yaml", format!("{CALLER}{goodbye}"));
        desk.run("run shop.yaml --input caller.yaml --out call --fast --seed 9").exits(0);
        let made = desk.run("scenario call -o made.test.yaml").exits(0);
        assert!(made.stdout.contains("made.test.yaml"), "{}", made.stdout);
        let text = fs::read(desk.dir.path().join("made.test.yaml")).expect("it is written");
        let scenario = scenario::parse(&text, "made.test.yaml").expect("it is sound");
        assert_eq!((scenario.name.as_deref(), scenario.seed), (Some("ann"), Some(9)));
        assert_eq!(scenario.config.as_deref(), Some("made.config.yaml"));
        assert_eq!(scenario.tools["look"].len(), 2);
        assert_eq!(scenario.tools["count"].len(), 2);
        let last = scenario.cues.last().and_then(|cue| cue.expect.as_ref()).expect("an end");
        let reason = last.ends.as_ref().expect("the call ended");
        assert!(reason.fits(ends), "{reason}");
        let ran = desk.run("test made.test.yaml").exits(0);
        assert!(ran.stdout.starts_with("ok "), "{}", ran.stdout);
    }
    // Once the agents say something else, it does not.
    desk.put("shop.yaml", SHOP.replace("Bye.", "So long."));
    let made =
        desk.run("scenario call/journal.antiphon --config shop.yaml -o other.test.yaml").exits(0);
    assert_eq!(made.stderr, "");
    let ran = desk.run("test other.test.yaml").exits(1);
    assert!(
        ran.stdout.contains("- “Bye.”") && ran.stdout.contains("+ “So long.”"),
        "{}",
        ran.stdout
    );
    // Without a place for it, it is printed.
    let printed = desk.run("scenario call --config shop.yaml").exits(0).stdout;
    let written =
        fs::read_to_string(desk.dir.path().join("other.test.yaml")).expect("it is written");
    let body = |text: &str| text.lines().skip(1).collect::<Vec<_>>().join("\n");
    assert_eq!(body(&printed), body(&written));
    snapshot("scenario", &printed, &[]);
}

/// A switchboard that hears keys and what an application tells.
const KEYS: &str = "
name: keys
start: menu
speech: { synthesiser: { engine: tone } }
agents:
  menu: { greeting: Press a key., fallback: Pardon?, intents: [{ name: hello, phrases: [hello], say: Hello. }] }
  vip: { arrival: Welcome back., intents: [{ name: bye, phrases: [goodbye], say: Bye., end_call: true }] }
  bill: { arrival: The bill., intents: [{ name: bye, phrases: [goodbye], say: Bye., end_call: true }] }
  cart: { arrival: Your cart. }
transitions:
  - { from: menu, to: bill, when: { digits: '12#' } }
  - { from: bill, to: menu, when: { digits: '*' } }
  - { from: menu, to: vip, when: { event: { type: custom, data: { name: signed_in, data: { vip: true } } } } }
  - { from: menu, to: cart, when: { event: { type: data.received, data: { topic: cart, text: '[7]', lane: 0 } } } }
  - { from: cart, to: vip, when: { event: { type: user.attributes, data: { changed: { vip: 'yes' } } } } }
";

/// What a caller's side does besides speaking.
const ACTS: &str = "
name: ann
cues:
  - { digits: '12#', after: { agent_spoke_ms: 200 }, expect: { agent: bill, says: [The bill.] } }
  - { digits: '*', expect: { agent: menu, transitions: [{ from: bill, to: menu, cause: 'keys *' }] } }
  - { event: { name: signed_in, data: { vip: false } }, expect: { agent: menu, says: [] } }
  - type: hello
    expect: { says: [Hello.] }
  - { digits: '1' }
  - { digits: '2', after: { previous_ms: 3000 } }
  - { event: { name: 'data:received', data: { topic: cart, text: '[7]' } }, expect: { agent: cart } }
  - { event: { name: room.metadata, data: { text: shop } }, after: { previous_ms: 100 } }
  - { event: { name: participant_metadata_changed, data: { text: gold } }, after: { previous_ms: 100 } }
  - { event: { name: custom, data: { name: connected, data: 4 } }, after: { previous_ms: 100 } }
  - { event: { name: user.attributes, data: { changed: { vip: 'yes' } } }, expect: { agent: vip } }
  - { type: goodbye, expect: { ends: /agent ended/ } }
";

#[test]
fn a_caller_presses_keys_and_an_application_tells() {
    let desk = Desk::new();
    desk.put("keys.yaml", KEYS);
    desk.put("keys.test.yaml", format!("config: keys.yaml{ACTS}"));
    let ran = desk.run("test keys.test.yaml").exits(0);
    assert!(ran.stdout.starts_with("ok "), "{}", ran.stdout);
    // The same is a caller of any call. Keys come one after the other.
    desk.run("run keys.yaml --input keys.test.yaml --out call --fast").exits(0);
    let events = desk.events("call");
    let keys: Vec<_> = events.iter().filter(|event| event["type"] == "user.digit").collect();
    let pressed: String = keys.iter().filter_map(|event| event["digit"].as_str()).collect();
    assert_eq!(pressed, "12#*12");
    let tick = |event: &serde_json::Value| event["tick"].as_u64().expect("a tick");
    assert_eq!((tick(keys[1]) - tick(keys[0]), tick(keys[2]) - tick(keys[1])), (10, 10));
    let own: Vec<_> = events.iter().filter(|event| event["type"] == "custom").collect();
    assert_eq!(
        own.iter().map(|event| &event["name"]).collect::<Vec<_>>(),
        ["signed_in", "connected"]
    );
    assert_eq!(own[0]["data"], serde_json::json!({ "vip": false }));
}

#[test]
fn a_test_made_of_a_call_with_keys_and_events_goes_as_expected() {
    let desk = Desk::new();
    desk.put("keys.yaml", KEYS);
    desk.put("ann.yaml", ACTS);
    desk.run("run keys.yaml --input ann.yaml --out call --fast").exits(0);
    desk.run("scenario call --config keys.yaml -o made.test.yaml").exits(0);
    let read = |name: &str| {
        let text = fs::read(desk.dir.path().join(name)).expect("it is written");
        scenario::parse(&text, name).unwrap_or_else(|all| panic!("{all}"))
    };
    // In its own words, each act is that of the call.
    let acts = |file: &scenario::Scenario| -> Vec<_> {
        let told = |act: &scenario::Act| match act {
            scenario::Act::Tell(event) => format!("{:?}", event.told()),
            act => act.to_string(),
        };
        file.cues.iter().map(|cue| told(&cue.act)).collect()
    };
    let made = read("made.test.yaml");
    assert_eq!(acts(&made), acts(&read("ann.yaml")));
    let ran = desk.run("test made.test.yaml").exits(0);
    assert!(ran.stdout.starts_with("ok "), "{}", ran.stdout);
    snapshot("scenario-keys", &desk.run("scenario call --config keys.yaml").exits(0).stdout, &[]);
}

/// Facts that end by themselves, and some that do not.
const FACTS: &str = "
name: facts
start: front
speech: { synthesiser: { engine: tone } }
agents:
  front:
    intents:
      - { name: seat, phrases: [a seat], call: { tool: set_fact, with: { name: seat, value: '4', scope: agent } }, then: Yes. }
      - { name: name, phrases: [a name], call: { tool: set_fact, with: { name: name, value: ann, scope: user } }, then: Yes. }
      - { name: along, phrases: [one that goes along], call: { tool: set_fact, with: { name: kept, value: 1, scope: agent } }, then: Yes. }
      - { name: lost, phrases: [one that is lost], call: { tool: set_fact, with: { name: lost, value: 2, scope: agent } }, then: Yes. }
  back:
    intents:
      - { name: again, phrases: [again], call: { tool: hand_over, with: { to: front } } }
      - { name: mine, phrases: [mine], call: { tool: set_fact, with: { name: mine, value: 3, scope: user } }, then: Yes. }
transitions:
  - { from: front, to: back, when: { intent: along }, carry: { facts: [kept] } }
  - { from: front, to: back, when: { intent: lost } }
  - { from: back, to: front, when: { decision: {} } }
";

#[test]
fn facts_are_expected_as_long_as_they_last() {
    let desk = Desk::new();
    desk.put("facts.yaml", FACTS);
    let lines = ["a seat", "a name", "one that goes along", "again", "one that is lost", "mine"];
    let cues = lines.map(|line| format!("  - {{ type: {line} }}\n")).concat();
    desk.put("ann.yaml", format!("config: facts.yaml\ncues:\n{cues}"));
    desk.run("run facts.yaml --input ann.yaml --out call --fast").exits(0);
    desk.run("scenario call --config facts.yaml -o made.test.yaml").exits(0);
    let text = fs::read(desk.dir.path().join("made.test.yaml")).expect("it is written");
    let made = scenario::parse(&text, "made.test.yaml").unwrap_or_else(|all| panic!("{all}"));
    let facts = |cue: &scenario::Cue| serde_json::json!(cue.expect.as_ref().map(|e| &e.facts));
    // The last is gone with the caller, who hangs up in that turn.
    assert_eq!(
        made.cues.iter().map(facts).collect::<Vec<_>>(),
        [
            serde_json::json!({ "seat": "4" }),
            serde_json::json!({ "name": "ann" }),
            serde_json::json!({ "kept": 1 }),
            serde_json::json!({}),
            serde_json::json!({}),
            serde_json::json!({}),
        ],
        "{}",
        String::from_utf8_lossy(&text)
    );
    let ran = desk.run("test made.test.yaml").exits(0);
    assert!(ran.stdout.starts_with("ok "), "{}", ran.stdout);
}

#[test]
fn a_redacted_journal_makes_no_test() {
    let desk = desk();
    desk.put("caller.yaml", CALLER);
    desk.run("run shop.yaml --input caller.yaml --out call --fast").exits(0);
    desk.run("journal redact call/journal.antiphon --out redacted.antiphon").exits(0);
    let ran = desk.run("scenario redacted.antiphon").exits(2);
    assert!(ran.stderr.contains("it is redacted"), "{}", ran.stderr);
}

#[test]
fn a_list_of_cues_is_a_scenario_and_a_scenario_is_a_caller() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read(root.join(name)).expect("it comes along");
    let demo = scenario::parse(&read("audio/demo.yaml"), "demo.yaml").expect("it is sound");
    assert_eq!((demo.config.as_deref(), demo.cues.len()), (None, 13));
    // What is expected is of no matter to a call that is held with this caller.
    let desk = desk();
    desk.run("run shop.yaml --input shop.test.yaml --out call --fast").exits(0);
    let said = desk.events("call").iter().filter(|event| event["type"] == "user.message").count();
    assert_eq!(said, 4);
    desk.put("several.test.yaml", "config: shop.yaml\ntests: [{ name: a }, { name: b }]\n");
    let ran = desk.run("run shop.yaml --input several.test.yaml --out call --fast").exits(2);
    assert!(ran.stderr.contains("it holds 2 tests"), "{}", ran.stderr);
}

/// Configurations that no call is held on: this one shows every key.
const UNTESTED: [&str; 1] = ["complete.yaml"];

#[test]
fn every_configuration_that_comes_along_is_tested() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).expect("the folder is there") {
        let name = entry.expect("it can be listed").file_name().to_string_lossy().into_owned();
        let is_config = name.ends_with(".yaml") && !name.ends_with(".test.yaml");
        if !is_config || UNTESTED.contains(&name.as_str()) {
            continue;
        }
        let test = folder.join(name.replace(".yaml", ".test.yaml"));
        assert!(test.is_file(), "{name} has no tests: write {}", test.display());
        let text = fs::read(&test).expect("it can be read");
        let scenario = scenario::parse(&text, &name).unwrap_or_else(|all| panic!("{all}"));
        assert_eq!(scenario.config.as_deref(), Some(name.as_str()));
        files.push(test);
    }
    assert!(files.len() >= 3, "{files:?}");
    let desk = Desk::new();
    let mut command = desk.command(env!("CARGO_BIN_EXE_antiphon"), "test");
    ran(command.args(&files)).exits(0);
}

/// The demo's caller speaks: what it was understood to say is typed, and all goes as it went, apart from
/// the answer that it interrupts by voice.
#[cfg(feature = "speech")]
#[test]
fn a_test_made_of_the_demo_goes_as_expected() {
    let desk = Desk::new();
    desk.run("demo --fast").exits(0);
    desk.run("scenario out/demo -o made.test.yaml").exits(0);
    desk.run("scenario out/demo -o new/folder/made.test.yaml").exits(0);
    assert!(desk.dir.path().join("new/folder/made.config.yaml").exists(), "folders are made");
    desk.run("test made.test.yaml").exits(0);
}
