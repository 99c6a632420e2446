//! Files as a whole: what they become, and what is said about those that are wrong.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

/// A sound file, of which the table changes one line at a time.
const SOUND: &str = r#"name: shop
start: desk
audio: { tick_ms: 20, rate_hz: 24000 }
turn:
  gap_ms: 200
speech:
  synthesiser: { engine: flite }
tools:
  find:
    parameters: { type: object, properties: { number: { type: string } }, required: [number] }
    canned:
      by: number
      otherwise: { state: lost }
slots:
  number: { kind: digits }
  article: { kind: one_of, values: [shoes] }
agents:
  desk:
    greeting: Hello.
    tools: [find]
    intents:
      - name: order
        phrases: ["where is {number}"]
        patterns: ['order (?P<id>\d+)']
        call: { tool: find, with: { number: "{number}" } }
        then: "{number:digits} is {result.state}."
        failed: "{error}"
        set: { last: "{id}" }
      - name: bill
        phrases: [my bill]
  billing:
    arrival: Yes?
  mirror:
    kind: echo
    delay_ms: 500
transitions:
  - { from: desk, to: billing, when: { intent: bill }, say: One moment. }
  - { from: desk, to: mirror, when: { tool_result: { tool: find, key: state, operator: eq, value: lost } } }
"#;

fn complaints(text: &str) -> String {
    parse(text.as_bytes(), "f").err().map_or_else(String::new, |all| all.to_string())
}

fn configs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(".yaml"));
    files.retain(|file| !file.to_string_lossy().ends_with(".test.yaml"));
    files.sort();
    assert!(files.len() >= 2, "no configurations in {}", folder.display());
    files
}

fn load(path: &Path) -> Result<Config, Complaints> {
    read(File::open(path), &path.display().to_string())
}

#[test]
fn every_shipped_configuration_loads() {
    for file in configs() {
        load(&file).unwrap_or_else(|all| panic!("{all}"));
    }
}

/// What is changed in [`SOUND`], into what, and all that is said about it.
#[rustfmt::skip] // a row is a line: what is changed, into what, what is said
const TABLE: &[(&str, &str, &str)] = &[
    // keys
    ("greeting: Hello.", "greting: Hello.", "f:19:5: agents.desk: unknown key `greting`; did you mean `greeting`?"),
    ("greeting: Hello.", "banana: 1", "f:19:5: agents.desk: unknown key `banana`; the keys here are `arrival`, `description`, `fallback`, `greeting`, `id`, `idle`, `intents`, `kind`, `tools`, `type`, `voice`"),
    ("tool: find, with", "tol: find, with", "f:25:17: agents.desk.intents.order.call: unknown key `tol`; did you mean `tool`?"),
    ("audio:", "name: again\naudio:", "f:3:1: key `name` is written twice; remove one of the two"),
    ("name: shop\n", "", "f:1:1: missing key `name`; add `name: …`"),
    ("- name: order\n        phrases", "- phrases", "f:22:9: agents.desk.intents[0]: missing key `name`; add `name: …`"),
    ("  find:\n", "  find it:\n", "f:9:3: tools: `find it` is no name; use letters, digits and `_`, a digit not first, at most 64"),
    // types
    ("name: shop", "name: 4217", "f:1:7: name: expected a text, found the number 4217; put it in quotes: \"4217\""),
    ("greeting: Hello.", "greeting: {fact.name}", "f:19:15: agents.desk.greeting: expected a text, found a map; a text that begins with `{` needs quotes"),
    ("greeting: Hello.", "greeting:", "f:19:13: agents.desk.greeting: expected a text, found nothing; write a value, or remove the key"),
    ("greeting: Hello.", "greeting: ''", "f:19:15: agents.desk.greeting: the text is empty; write something, or remove the key"),
    ("tick_ms: 20", "tick_ms: 20ms", "f:3:19: audio.tick_ms: expected a whole number, found the text `20ms`; write the milliseconds as a number alone"),
    ("tick_ms: 20", "tick_ms: \"20\"", "f:3:19: audio.tick_ms: expected a whole number, found the text `20`; remove the quotes"),
    ("gap_ms: 200", "barge_in: yes", "f:5:13: turn.barge_in: expected `true` or `false`, found the text `yes`; write `true`"),
    ("tools: [find]", "tools: find", "f:20:12: agents.desk.tools: expected a list, found the text `find`; write it as a list: [find]"),
    ("arrival: Yes?", "intents: { order: {} }", "f:32:14: agents.billing.intents: expected a list, found a map; write each intent as `- name: …`; their order counts"),
    ("{ kind: digits }", "digits", "f:15:11: slots.number: expected a map, found the text `digits`; write `key: value` lines below it"),
    // ranges and shapes
    ("tick_ms: 20", "tick_ms: 30", "f:3:19: audio.tick_ms: expected a multiple of 20, found 30; the nearest are 20 and 40"),
    ("tick_ms: 20", "tick_ms: 5", "f:3:19: audio.tick_ms: expected a number from 20 to 1000, found 5; the nearest is 20"),
    ("rate_hz: 24000", "rate_hz: 44100", "f:3:32: audio.rate_hz: expected one of `8000`, `16000`, `24000`, `48000`, found the number 44100"),
    ("audio:", "seed: -1\naudio:", "f:3:7: seed: expected a number from 0 to 18446744073709551615, found -1; the nearest is 0"),
    ("audio:", "voice: { threshold: 2 }\naudio:", "f:3:21: voice.threshold: expected a number from 0.05 to 0.95, found 2; the nearest is 0.95"),
    ("audio:", "call: { max_ms: 5.5 }\naudio:", "f:3:17: call.max_ms: expected a whole number, found the number 5.5"),
    ("audio:", "epoch: 2026-02-30T00:00:00Z\naudio:", "f:3:8: epoch: `2026-02-30T00:00:00Z` is not an instant: there is no such day in that month; write UTC as in 2026-01-01T09:00:00Z"),
    ("audio:", "epoch: today\naudio:", "f:3:8: epoch: `today` is not an instant: it is not of the form 2026-01-01T09:00:00Z; write UTC as in 2026-01-01T09:00:00Z"),
    ("name: shop", "name: My Shop", "f:1:7: name: the text `My Shop` is no name of a configuration; use a to z, 0 to 9, `_` and `-`, at most 64"),
    ("tools: [find]", "tools: [find, find]", "f:20:19: agents.desk.tools[1]: the text `find` is listed twice; remove one of the two"),
    ("values: [shoes]", "values: []", "f:16:36: slots.article.values: the list is empty; add an item"),
    // choices
    ("engine: flite", "engine: flit", "f:7:26: speech.synthesiser.engine: expected one of `none`, `tone`, `flite`, `model`, found the text `flit`; did you mean `flite`?"),
    ("kind: echo", "kind: ecko", "f:34:11: agents.mirror.kind: expected one of `scripted`, `model`, `native`, `echo`, found the text `ecko`; did you mean `echo`?"),
    ("kind: echo", "kind: echo\n    greeting: hi", "f:35:5: agents.mirror: key `greeting` belongs to kind scripted, not echo; remove it, or write `kind: scripted`"),
    ("arrival: Yes?", "delay_ms: 1", "f:32:5: agents.billing: key `delay_ms` belongs to kind echo, not scripted; remove it, or write `kind: echo`"),
    ("{ kind: digits }", "{ kind: digits, values: [a] }", "f:15:27: slots.number: key `values` belongs to kind one_of, not digits; remove it, or write `kind: one_of`"),
    ("{ kind: digits }", "{ }", "f:15:11: slots.number: missing key `kind`; add one of `kind: digits`, `kind: one_of`, `kind: any`"),
    ("{ intent: bill }", "{ intnet: bill }", "f:37:38: transitions[0].when: expected exactly one of the keys `intent`, `tool_result`, `event`, `user_input`, `decision`, `after_ms`, `silence_ms`, `turns`, `digits`, `rules`, `custom`, found `intnet`; did you mean `intent`?"),
    ("{ intent: bill }", "{ }", "f:37:38: transitions[0].when: expected exactly one of the keys `intent`, `tool_result`, `event`, `user_input`, `decision`, `after_ms`, `silence_ms`, `turns`, `digits`, `rules`, `custom`, found none"),
    ("{ intent: bill }", "{ intent: bill, tool_result: { tool: find, value: 1 } }", "f:37:38: transitions[0].when: expected exactly one of the keys `intent`, `tool_result`, `event`, `user_input`, `decision`, `after_ms`, `silence_ms`, `turns`, `digits`, `rules`, `custom`, found `intent`, `tool_result`; keep one"),
    ("operator: eq", "operator: is", "f:38:88: transitions[1].when.tool_result.operator: expected one of `eq`, `neq`, `gt`, `lt`, `gte`, `lte`, `contains`, `not_contains`, found the text `is`"),
    // names
    ("start: desk\n", "", "f:1:1: there are 3 agents and no `start`; say which agent begins, as in `start: billing`"),
    ("start: desk", "start: dessk", "f:2:8: start: unknown agent `dessk`; did you mean `desk`?"),
    ("to: billing", "to: biling", "f:37:23: transitions[0].to: unknown agent `biling`; did you mean `billing`?"),
    ("intent: bill ", "intent: bil ", "f:37:48: transitions[0].when.intent: unknown intent `bil`; did you mean `bill`?"),
    ("name: order\n", "name: bill\n", "f:29:15: agents.desk.intents.bill.name: a second intent `bill`; rename one, or join their phrases"),
    ("tools: [find]", "tools: [fnd]", "f:20:13: agents.desk.tools[0]: unknown tool `fnd`; did you mean `find`?"),
    ("call: { tool: find", "call: { tool: fnd", "f:25:23: agents.desk.intents.order.call.tool: unknown tool `fnd`; did you mean `find`?"),
    ("tool_result: { tool: find", "tool_result: { tool: look_up", "f:38:60: transitions[1].when.tool_result.tool: unknown tool `look_up`; the tools here are `find`"),
    ("from: desk, to: mirror", "from: billing, to: mirror", "f:38:63: transitions[1].when.tool_result.tool: `billing` does not have tool `find`; give it `tools: [find]`"),
    ("from: desk, to: mirror", "from: mirror, to: desk", "f:38:13: transitions[1].from: `mirror` is an echo agent, which never hands over; remove the transition, or make it a scripted agent"),
    ("where is {number}", "where is {numbr}", "f:23:19: agents.desk.intents.order.phrases[0]: unknown slot `numbr`; did you mean `number`?"),
    ("with: { number:", "with: { nummer:", "f:25:45: agents.desk.intents.order.call.with.nummer: unknown argument `nummer`; did you mean `number`?"),
    (", with: { number: \"{number}\" }", "", "f:25:15: agents.desk.intents.order.call: tool `find` needs the argument `number`; add it under `with`, as in `number: …`"),
    ("by: number", "by: nuber", "f:12:11: tools.find.canned.by: unknown argument `nuber`; did you mean `number`?"),
    // templates and patterns
    ("greeting: Hello.", "greeting: \"{name}\"", "f:19:15: agents.desk.greeting: unknown placeholder `{name}`; the placeholders here are `fact.…`"),
    ("greeting: Hello.", "greeting: \"Hello {fact}\"", "f:19:15: agents.desk.greeting: `{fact}` does not say which; write `{fact.name}`"),
    ("{number:digits} is", "{nmber:digits} is", "f:26:15: agents.desk.intents.order.then: unknown placeholder `{nmber}`; did you mean `number`?"),
    ("{number:digits} is", "{number:digit} is", "f:26:15: agents.desk.intents.order.then: unknown filter `digit` at character 1; did you mean `digits`?"),
    ("{number:digits} is", "{number.x} is", "f:26:15: agents.desk.intents.order.then: `number` is a text without keys; write `{number}`"),
    ("is {result.state}.", "is {result.state.", "f:26:15: agents.desk.intents.order.then: `{` is never closed at character 20; write `{{` for the sign itself"),
    ("then: \"{number:digits} is", "say: \"{result} is", "f:26:14: agents.desk.intents.order.say: `say` has no `{result}`: no tool has answered by then; move it to the `then` of an intent with a `call`"),
    ("where is {number}", "where is {number:digits}", "f:23:19: agents.desk.intents.order.phrases[0]: a filter on `{number}`: a phrase is heard, not said; write `{number}`"),
    (r"(?P<id>\d+)", r"(?P<id>\d+", "f:24:20: agents.desk.intents.order.patterns[0]: not a regular expression: unclosed group; in YAML, single quotes keep backslashes as they are"),
    (r"(?P<id>\d+)", r"(?P<id>\w{999}{99})", "f:24:20: agents.desk.intents.order.patterns[0]: the pattern takes more than 1048576 bytes when compiled; repeat less, or use [0-9] and [a-z] instead of \\d and \\w"),
    ("        phrases: [my bill]\n", "", "f:29:9: agents.desk.intents.bill: intent `bill` has neither phrases nor patterns; say how callers express it"),
    ("phrases: [my bill]", "phrases: [my bill]\n        then: Yes.", "f:31:15: agents.desk.intents.bill.then: `then` is never said: there is no `call`; add a `call`, or use `say`"),
    ("slots:\n", "slots:\n  fact: { kind: any }\n", "f:15:9: slots.fact: `fact` has a meaning of its own in templates; choose another name"),
    // parts that disagree
    ("gap_ms: 200", "gap_ms: 600", "f:5:11: turn.gap_ms: gap_ms 600 is not below end_silence_min_ms 500: a pause that ends a turn must also break a run of voice; write less than 500"),
    ("gap_ms: 200", "end_silence_min_ms: 2000", "f:5:3: turn: end_silence_max_ms 1500 is below end_silence_min_ms 2000; write 2000 or more"),
    ("by: number\n", "answers: { a: 1 }\n", "f:12:16: tools.find.canned.answers: answers without `by`; name the argument that selects the answer, as in `by: number`"),
    ("    canned:\n", "    run: inline\n    canned:\n      takes_ms: 9\n", "f:13:17: tools.find.canned.takes_ms: an inline tool cannot sleep: it would hold up the tick; write `run: worker`, or remove `takes_ms`"),
    ("    canned:\n", "    rpc: { method: find }\n    canned:\n", "f:11:10: tools.find.rpc: a tool with `canned` and `rpc`: it is carried out in one way; remove all but one of canned, rpc"),
    ("    canned:\n      by: number\n      otherwise: { state: lost }\n", "    run: inline\n    data: { topic: finds }\n", "f:11:10: tools.find.run: an inline tool cannot wait for a room: it would hold up the tick; write `run: worker`, or leave it out"),
    ("tools:\n  find", "call: { silence_ms: 1500 }\ntools:\n  find", "f:8:21: call.silence_ms: silence_ms 1500 is not above turn.end_silence_max_ms 1500: the call would end before a turn does; write more than 1500, or 0 for never"),
    ("tools:\n  find", "livekit: { rpc: { look: fnd } }\ntools:\n  find", "f:8:25: livekit.rpc.look: unknown tool `fnd`; did you mean `find`?"),
    ("tools:\n  find", "livekit: { publish: { bitrate_bps: 5000 } }\ntools:\n  find", "f:8:36: livekit.publish.bitrate_bps: expected a number from 6000 to 510000, found 5000; the nearest is 6000"),
    ("operator: eq, value: lost", "operator: gt, value: lost", "f:38:99: transitions[1].when.tool_result.value: expected a number to compare with, found \"lost\"; write a number, or use `operator: eq`"),
    ("{ type: string }", "{ type: strin }", "f:10:63: tools.find.parameters.properties.number.type: `strin` is no type of JSON Schema; did you mean `string`?"),
    ("{ type: string }", "{ $ref: 'http://x/y' }", "f:10:17: tools.find.parameters: the schema has a `$ref` that leads nowhere, or a `pattern` that is none; schemas may refer to their own parts only, as in `#/$defs/name`"),
    ("type: object, properties", "type: array, properties", "f:10:25: tools.find.parameters.type: the arguments of a tool are a map; write `type: object`"),
    // YAML itself
    ("audio:", "a: b: c\naudio:", "f:3:5: not YAML: mapping values are not allowed in this context; a text that holds `: ` or ` #`, or begins with a sign such as { [ * & ! %, needs quotes"),
    ("audio:", "description: !x y\naudio:", "f:3:14: description: a tag stands before the value; remove it, or quote a text that begins with !"),
    ("slots:\n", "---\nslots:\n", "f:14:1: a second document begins; a file holds one configuration; remove `---`"),
];

#[test]
fn every_mistake_has_one_complaint_that_tells_how_to_mend_it() {
    assert_eq!(complaints(SOUND), "");
    for (sound, wrong, expected) in TABLE {
        assert!(SOUND.contains(sound), "the sound file does not hold {sound:?}");
        assert_eq!(&complaints(&SOUND.replacen(sound, wrong, 1)), expected, "{wrong:?}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_whatever_their_kind() {
    let changes = [
        ("start: desk", "start: dessk"),
        ("tick_ms: 20", "tick_ms: 30"),
        ("gap_ms: 200", "gap_ms: 600"),
        ("greeting: Hello.", "greting: Hello."),
        ("{number:digits} is", "{nmber:digits} is"),
        ("to: billing", "to: biling"),
    ];
    let text =
        changes.iter().fold(SOUND.to_owned(), |text, (sound, wrong)| text.replace(sound, wrong));
    let all = parse(text.as_bytes(), "f").unwrap_err();
    let places: Vec<_> = all.0.iter().map(|complaint| (complaint.line, complaint.column)).collect();
    assert_eq!(places, [(2, 8), (3, 19), (5, 11), (19, 5), (26, 15), (37, 23)], "{all}");
}

#[test]
fn consequences_of_a_mistake_are_not_told() {
    // Without its name, the tool is unknown wherever it is used; a second complaint would not help.
    let renamed = complaints(&SOUND.replace("  find:\n", "  find it:\n"));
    assert_eq!(renamed.lines().count(), 1, "{renamed}");
    let misspelt = complaints(&SOUND.replace("\nagents:", "\nagnets:"));
    let expected = "f:1:1: missing key `agents`; add `agents: …`";
    assert!(!misspelt.contains(expected) && misspelt.lines().count() == 1, "{misspelt}");
}

#[test]
fn what_is_no_configuration_gets_one_clear_complaint() {
    let table: [(&[u8], &str); 8] = [
        (b"", "f: the file is empty; begin with `name:` and `agents:`"),
        (b"# nothing\n", "f: the file is empty; begin with `name:` and `agents:`"),
        (
            b"hello",
            "f:1:1: expected a map, found the text `hello`; begin with `name:` and `agents:`",
        ),
        (
            b"ok: 1\n\xc3\xa9: \xff",
            "f:2:4: not YAML: byte 10 is not UTF-8 text; save the file as UTF-8; is this the right file?",
        ),
        (
            b"\x00\x01",
            "f:1:1: not YAML: found unprintable character; a text that holds `: ` or ` #`, or begins with a sign such as { [ * & ! %, needs quotes",
        ),
        (
            b"{a: b}: c",
            "f:1:1: a key is a list or a map; a key is a text; one that begins with { or [ needs quotes",
        ),
        (
            b"a: &x [*x]",
            "f:1:8: a[0]: an alias stands inside the value that it repeats; write the value out",
        ),
        (b"name: a", "f:1:1: missing key `agents`; add `agents: …`"),
    ];
    for (bytes, expected) in table {
        assert_eq!(parse(bytes, "f").unwrap_err().to_string(), expected);
    }
    assert_eq!(
        load(Path::new("no/such.yaml")).unwrap_err().to_string(),
        "no/such.yaml: there is no such file; check the path"
    );
}

#[cfg(unix)]
#[test]
fn a_folder_is_no_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = load(folder).unwrap_err();
    assert_eq!(all.0[0].what, "it is a folder");
}

#[test]
fn hostile_files_are_bounded() {
    let complaint = |text: &str| complaints(text).lines().next().unwrap_or_default().to_owned();
    assert!(complaint(&" ".repeat(SIZE_MAX + 1)).contains("more than the 16777216 that are read"));
    for opening in ["[", "{", "- ", "a: [", "&a [", "? "] {
        let deep = opening.repeat(SIZE_MAX / opening.len());
        assert!(complaint(&deep).starts_with("f:1:"), "{opening}: {}", complaint(&deep));
    }
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..20 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    assert!(complaint(&bomb).contains("more than 1600000 values"), "{}", complaint(&bomb));
    let chain: String = (1..200).map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1)).collect();
    assert!(complaint(&format!("a0: &a0 x\n{chain}")).contains("nest deeper than 64"));
    let keys: String = (0..50_000).map(|n| format!("k{n}: 1\n")).collect();
    let all = parse(keys.as_bytes(), "f").unwrap_err();
    assert_eq!(all.0.len(), COMPLAINTS_MAX + 1);
    let pattern = r"'\w{20}', ".repeat(50);
    let intents: String =
        (0..100).map(|n| format!("{{name: i{n}, patterns: [{pattern}]}}, ")).collect();
    let patterns = complaint(&format!("name: a\nagents: {{a: {{intents: [{intents}]}}}}"));
    assert!(patterns.contains("5000 patterns, more than the 1000"), "{patterns}");
}

#[test]
fn aliases_and_numbers_are_read_as_meant() {
    let text = "name: a\nseed: 18446744073709551615\naudio: { tick_ms: 40.0 }\n\
                agents: { a: &echo { kind: echo, delay_ms: 0x10 }, b: *echo }\nstart: b\n";
    let config = parse(text.as_bytes(), "f").unwrap();
    assert_eq!((config.seed, config.audio.tick_ms, config.start_agent()), (u64::MAX, 40, "b"));
    assert_eq!(config.agents["b"], Agent::Echo(Echo { description: String::new(), delay_ms: 16 }));
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let config = parse(b"name: a\nagents: { only: {} }", "f").unwrap();
    assert_eq!(config.start_agent(), "only");
    assert_eq!(config.agents["only"], Agent::Scripted(Scripted::default()));
    assert_eq!((config.audio, config.turn), (Audio::default(), Turn::default()));
    assert_eq!(config.epoch.to_string(), "1970-01-01T00:00:00Z");
}

#[test]
fn an_answer_of_null_is_an_answer() {
    let text = "name: a\nagents: {a: {}}\ntools: { t: { canned: { otherwise: null } }, u: { canned: {} } }";
    let config = parse(text.as_bytes(), "f").unwrap();
    let otherwise = |tool: &str| config.tools[tool].canned.clone().unwrap().otherwise;
    assert_eq!((otherwise("t"), otherwise("u")), (Some(serde_json::Value::Null), None));
}

#[test]
fn written_and_parsed_again_a_configuration_is_the_same() {
    let mut all: Vec<Config> = configs().iter().map(|file| load(file).unwrap()).collect();
    all.push(parse(SOUND.as_bytes(), "f").unwrap());
    for config in all {
        let text = serde_json::to_string_pretty(&config).unwrap();
        assert_eq!(parse(text.as_bytes(), "again").unwrap_or_else(|all| panic!("{all}")), config);
        let value = serde_json::to_value(&config).unwrap();
        assert_eq!(serde_json::from_value::<Config>(value).unwrap(), config);
    }
}

proptest! {
    #[test]
    fn random_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let all = parse(&bytes, "f").unwrap_err();
        prop_assert!(!all.0.is_empty());
    }

    #[test]
    fn random_yaml_is_refused_without_a_panic(text in r#"[a&*!:{}\[\],'"\-\n #|>0.%]{0,60}"#) {
        prop_assert!(parse(text.as_bytes(), "f").is_err());
    }

    /// One sign of a sound file is another: it is still sound, or every complaint has a place.
    #[test]
    fn a_slip_of_the_finger_never_panics(at in 0..SOUND.len(), sign in r#"[a-z{}:\-\[\]"'\n 0-9]"#) {
        let text = [&SOUND[..at], &sign, &SOUND[at + 1..]].concat();
        if let Err(all) = parse(text.as_bytes(), "f") {
            prop_assert!(all.0.iter().all(|complaint| complaint.line > 0), "{}", all);
        }
    }
}
