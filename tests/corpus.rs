//! The corpus of the fuzz targets, given to every reader as it is.
//!
//! Files are either made below, by `ANTIPHON_BLESS=1 cargo test --test corpus`, or were found by
//! `make fuzz` and are kept because of what they once broke.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

use antiphon::journal::{Journal, Scribe};
use antiphon::sim::trial::{Cast, Trial};

/// The largest file of the corpus, and all of it.
const FILE_MAX: usize = 20 << 10;
const CORPUS_MAX: usize = 300 << 10;

/// A journal of the corpus is smaller than this.
const JOURNAL_MAX: usize = 5_000;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// Gives every file of a target's corpus to it.
fn replayed(target: &str, made: Vec<(&str, Vec<u8>)>, read: fn(&[u8])) {
    let folder = corpus(target);
    if std::env::var_os("ANTIPHON_BLESS").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in &made {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
    let (mut files, mut sum) = (0, 0);
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{target}: {error}")) {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        assert!(
            bytes.len() <= FILE_MAX,
            "{}: {} bytes; make it smaller",
            path.display(),
            bytes.len()
        );
        (files, sum) = (files + 1, sum + bytes.len());
        let broken = std::panic::catch_unwind(|| read(&bytes)).is_err();
        assert!(!broken, "{} breaks the reader of {target}", path.display());
    }
    assert!(sum <= CORPUS_MAX / 3, "{target}: {sum} bytes; make it smaller");
    for (name, _) in made {
        assert!(folder.join(name).exists(), "{name} is missing; make it with ANTIPHON_BLESS=1");
    }
    assert!(files > 0, "{target} has no corpus");
}

#[test]
fn every_journal_is_read_or_refused() {
    let mut made = Vec::new();
    let mut journals = (1..).filter_map(|seed| {
        let mut journal = Vec::new();
        let trial = Trial::any(seed, &Cast::default()).at_most(50);
        trial
            .watch(|slot| {
                if let Some(scribe) = slot.scribe() {
                    scribe.take(&mut journal);
                }
            })
            .unwrap();
        (journal.len() < JOURNAL_MAX).then_some(journal)
    });
    let whole = journals.next().unwrap();
    let mut changed = |name, change: fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        made.push((name, bytes));
    };
    changed("whole", |_| ());
    changed("nothing", Vec::clear);
    changed("magic-alone", |bytes| bytes.truncate(8));
    changed("version-alone", |bytes| bytes.truncate(10));
    changed("other-version", |bytes| bytes[8] ^= 0x40);
    changed("header-alone", |bytes| bytes.truncate(700));
    changed("torn", |bytes| bytes.truncate(bytes.len() - 5));
    changed("huge-length", |bytes| bytes[10..14].copy_from_slice(&[0xFF; 4]));
    changed("empty-entry", |bytes| bytes[10..14].copy_from_slice(&[0, 0, 0, 0xF0]));
    changed("flipped-in-header", |bytes| bytes[40] ^= 1);
    changed("flipped-at-end", |bytes| {
        let last = bytes.len() - 1;
        bytes[last] ^= 0x10;
    });
    changed("twice", |bytes| bytes.extend_from_within(..));
    changed("zeros-behind", |bytes| bytes.extend([0; 64]));
    changed("noise-behind", |bytes| bytes.extend((0..200_u8).map(|n| n.wrapping_mul(37))));
    for (name, old, new) in [
        ("no-agent", "agents", "agenda"),
        ("nonsense-tick", "\"tick_ms\":", "\"tick_ms\":9"),
        ("endless-patience", "\"reorder_ms\":", "\"reorder_ms\":9999"),
        ("endless-fade", "\"fade_ms\":", "\"fade_ms\":9999"),
        ("endless-rate", "\"rate_hz\":", "\"rate_hz\":99"),
        ("no-configuration", "{", ""),
    ] {
        made.push((name, configured(&whole, old, new)));
    }
    for name in ["whole-2", "whole-3", "whole-4"] {
        made.push((name, journals.next().unwrap()));
    }
    replayed("journal", made, targets::journal);
}

/// The same journal with something else in its configuration.
fn configured(journal: &[u8], old: &str, new: &str) -> Vec<u8> {
    let mut header = Journal::read(journal).unwrap().header;
    let mut head = Vec::new();
    Scribe::new(&header).take(&mut head);
    assert!(header.config.contains(old), "{old} is not in {}", header.config);
    header.config = header.config.replacen(old, new, 1);
    let mut changed = Vec::new();
    Scribe::new(&header).take(&mut changed);
    changed.extend(&journal[head.len()..]);
    changed
}

#[test]
fn a_journal_of_the_corpus_is_a_journal() {
    let read = Journal::read(&fs::read(corpus("journal").join("whole")).unwrap());
    assert!(read.is_ok_and(|journal| !journal.ticks.is_empty()), "make it with ANTIPHON_BLESS=1");
}

/// A WAV file: tag, bits, channels, rate, what it claims to hold, what it holds.
fn wav(form: (u16, u16, u16), rate_hz: u32, claims: u32, audio: &[u8]) -> Vec<u8> {
    let (tag, bits, channels) = form;
    let mut file = b"RIFF\xFF\xFF\xFF\xFFWAVEfmt \x10\0\0\0".to_vec();
    file.extend(tag.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate_hz.to_le_bytes());
    file.extend(rate_hz.wrapping_mul(2).to_le_bytes());
    file.extend([0, 0]);
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend(claims.to_le_bytes());
    file.extend(audio);
    file
}

#[test]
fn every_wav_file_is_read_or_refused() {
    let audio: Vec<u8> = (0..640_u32).map(|n| (n * 7) as u8).collect();
    let nan: Vec<u8> =
        [f32::NAN, f32::INFINITY, -0.0, 1e38, -1e38].iter().flat_map(|f| f.to_le_bytes()).collect();
    let nan_64: Vec<u8> =
        [f64::NAN, f64::NEG_INFINITY, 1e308].iter().flat_map(|f| f.to_le_bytes()).collect();
    let plain = wav((1, 16, 1), 16_000, 640, &audio);
    let chunk = |id: &[u8], claims: u32| {
        let mut file = b"RIFF\0\0\0\0WAVE".to_vec();
        file.extend(id);
        file.extend(claims.to_le_bytes());
        file.extend(&plain[12..]);
        file
    };
    let mut extensible = plain.clone();
    extensible[20..22].copy_from_slice(&0xFFFE_u16.to_le_bytes());
    let made = vec![
        ("plain", plain.clone()),
        ("nothing", Vec::new()),
        ("riff-alone", plain[..12].to_vec()),
        ("cut-in-format", plain[..30].to_vec()),
        ("cut-in-audio", plain[..101].to_vec()),
        ("stereo-8", wav((1, 8, 2), 8_000, 640, &audio)),
        ("eight-24", wav((1, 24, 8), 48_000, 640, &audio)),
        ("32", wav((1, 32, 1), 44_100, 640, &audio)),
        ("a-law", wav((6, 8, 1), 8_000, 640, &audio)),
        ("mu-law", wav((7, 8, 1), 8_000, 640, &audio)),
        ("not-a-number", wav((3, 32, 1), 16_000, 20, &nan)),
        ("not-a-number-64", wav((3, 64, 1), 16_000, 24, &nan_64)),
        ("claims-all", wav((1, 16, 1), 16_000, u32::MAX, &audio)),
        ("claims-none", wav((1, 16, 1), 16_000, 0, &audio)),
        ("claims-more", wav((1, 16, 3), 16_000, 0x7FFF_0000, &audio)),
        ("no-channels", wav((1, 16, 0), 16_000, 640, &audio)),
        ("all-channels", wav((1, 16, u16::MAX), 16_000, 640, &audio)),
        ("no-rate", wav((1, 16, 1), 0, 640, &audio)),
        ("all-rate", wav((1, 16, 1), u32::MAX, 640, &audio)),
        ("odd-bits", wav((1, 17, 1), 16_000, 640, &audio)),
        ("huge-chunk", chunk(b"LIST", u32::MAX)),
        ("odd-chunk", chunk(b"LIST", 3)),
        ("cut-extensible", extensible),
    ];
    replayed("wav", made, targets::wav);
}

const SMALL: &str = "name: a\nagents: { a: { kind: echo } }\n";

#[test]
fn every_configuration_is_planned_or_refused() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = |name: &str| fs::read(root.join(name)).unwrap();
    let text = |text: String| text.into_bytes();
    let bomb: String = (1..9).fold("a0: &a0 [x, x]\n".to_owned(), |yaml, n| {
        let alias = format!("*a{}, ", n - 1).repeat(9);
        format!("{yaml}a{n}: &a{n} [{alias}]\n")
    });
    let scripted =
        |intent: &str| text(format!("name: a\nagents: {{ a: {{ intents: [{intent}] }} }}\n"));
    let made = vec![
        ("demo", file("configs/demo.yaml")),
        ("echo", file("configs/echo.yaml")),
        ("dice", file("examples/dice.yaml")),
        ("small", text(SMALL.to_owned())),
        ("nothing", Vec::new()),
        ("deep-flow", text(format!("name: {}", "[".repeat(5_000)))),
        ("deep-block", text((0..100).map(|n| format!("{}a:\n", " ".repeat(n))).collect())),
        ("aliases", text(bomb)),
        ("alias-of-itself", text("name: &a [*a]\n".to_owned())),
        ("merge", text(format!("{SMALL}tools: {{ <<: {{ a: {{}} }} }}\n"))),
        ("not-a-number", text(format!("{SMALL}voice: {{ threshold: .nan }}\n"))),
        (
            "infinite",
            text(format!("{SMALL}voice: {{ threshold: .inf }}\ncall: {{ max_ms: -.inf }}\n")),
        ),
        (
            "huge-numbers",
            text(format!("{SMALL}seed: 99999999999999999999999\ncall: {{ max_ms: 1e400 }}\n")),
        ),
        ("negative", text(format!("{SMALL}turn: {{ gap_ms: -1 }}\n"))),
        ("fraction", text(format!("{SMALL}audio: {{ tick_ms: 20.0, rate_hz: 16000.5 }}\n"))),
        (
            "other-tag",
            text("name: !!binary aGVsbG8=\nagents: !x { a: !y { kind: echo } }\n".to_owned()),
        ),
        ("two-documents", text(format!("{SMALL}---\n{SMALL}"))),
        ("utf-16", SMALL.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("marked-utf-8", text(format!("\u{feff}{SMALL}"))),
        ("tabs", text(SMALL.replace(' ', "\t"))),
        ("null-bytes", text("name: \0\nagents:\0 { a: { kind: echo } }".to_owned())),
        ("pattern", scripted("{ name: p, patterns: ['(a{999}){999}'], say: x }")),
        (
            "group",
            scripted("{ name: p, patterns: ['(?P<n>[0-9]+)'], say: 'It is {n:digits}, {m}.' }"),
        ),
        (
            "braces",
            scripted("{ name: p, phrases: ['{', '}', '{{}', '{a:b:c}'], say: '{result.}' }"),
        ),
    ];
    replayed("config", made, targets::config);
}

#[test]
fn every_list_of_cues_and_every_scenario_is_read_or_refused() {
    let text = |text: &str| text.as_bytes().to_vec();
    let file = |name: &str| fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let made = vec![
        ("demo", file("audio/demo.yaml")),
        ("orders", file("configs/orders.test.yaml")),
        ("triage", file("configs/triage.test.yaml")),
        ("booking", file("configs/booking.test.yaml")),
        ("dice", file("examples/dice-caller.yaml")),
        (
            "keys",
            text("cues: [{ digits: '0123456789*#ABCD' }, { digits: '#', expect: { agent: a } }]"),
        ),
        ("no-keys", text("cues: [{ digits: 12 }, { digits: 'e' }, { digits: '', type: a }]")),
        (
            "told",
            text(
                "config: c.yaml
cues:
  - { event: { name: paid, data: [1.0, { a: null }] } }
  - { event: { name: CUSTOM, data: { name: connected } } }
  - { event: { name: data:received, data: { topic: a, text: '{}' } } }
  - { event: { name: user.attributes, data: { changed: { vip: 'yes' } } } }
  - { event: { name: room.metadata, data: { text: '' } } }
",
            ),
        ),
        (
            "not-told",
            text(
                "cues:
  - { event: { name: user.message } }
  - { event: { name: custom, data: { name: '' } } }
  - { event: { name: data.received, data: { txt: 1 } } }
  - { event: { name: user.attributes, data: { changed: { a: { b: c } } } } }
  - { event: { name: data.recieved, data: .nan } }
",
            ),
        ),
        (
            "everything",
            text(
                "config: c.yaml
seed: 18446744073709551615
speech: built_in
tools: { t: [{ value: null }, { failure: no, latency_ms: 600000 }], own: [{ value: { a: [1.5] } }] }
opening: { agent: a, says: [] }
cues:
  - type: hello
    after: { agent_done_ms: 0 }
    expect:
      intent: i
      says: [Hello., '/^h.*o$/', [two words, one]]
      not_says: ['/(?i)no/']
      calls: [{ tool: t, with: { n: '1' }, outcome: failed }]
      events: [{ type: user_message, data: { text: hello } }]
      not_events: [{ type: limit.reached }]
      facts: { y: 1, no: '', a: { b: [null] } }
      transitions: [{ from: a, to: b, cause: /event/ }]
      within_ms: 1
      ends: /hung up/
",
            ),
        ),
        (
            "signs",
            text("config: \"\\x7f\"\ncues: [{ type: \"\\u2028 \\u0085 \\ufeff \\ufffe \\x9f\" }]"),
        ),
        (
            "pattern",
            text("cues: [{ type: a, expect: { says: ['/(a{999}){999}/', '/(/', ['!'], ''] } }]"),
        ),
        (
            "tests-alone",
            text("tests: [{ name: a }, { name: a, opening: { agent: zz, intent: q } }]"),
        ),
        ("nothing", Vec::new()),
        ("plays", text("cues: [{ play: a.wav, after: { start_ms: 0 }, gain_db: -3.5 }]")),
        ("types", text("name: a\ncues: [{ type: hello, after: { agent_silent_ms: 600000 } }]")),
        ("both", text("cues: [{ play: a.wav, type: hello }]")),
        ("neither", text("cues: [{ after: { previous_ms: 1 } }]")),
        (
            "not-a-number",
            text("noise: n.wav\nnoise_gain_db: .nan\ncues: [{ play: a.wav, gain_db: .inf }]"),
        ),
        (
            "minus-zero",
            text("noise: n.wav\nnoise_gain_db: -0.0\ncues: [{ play: a.wav, gain_db: -0 }]"),
        ),
        ("quotes", text("cues: [{ type: \"\\0\\x07\\u202e\\U0001F600 \\\" ' : # - \" }]")),
        ("scalar", text("cues: &a\n  - *a\n")),
        ("many", format!("cues: [{}]", "{ play: a }, ".repeat(1_001)).into_bytes()),
    ];
    replayed("cues", made, targets::cues);
}

#[test]
fn every_topology_is_read_or_refused() {
    let text = |text: &str| text.as_bytes().to_vec();
    let lines = "a -> b\na <-> b\na <=> b (query)\na <~> b\na <|> b (notify)\nUser -> a\nMr. O'Neil -> b&b\n\
        timeout(300)\ntimeout(0.1)\nparallel(a, b)\nmax_turns(a <-> b, 10)\nconvergence_point(a)\n\
        agent_timeout(a: 20, default: 30)\nmax_agents(3)\nmax_steps(100)";
    let wrong = "a => b\na->\n-> b\na <- b\na -> b -> c\na -> b (\na -> b (shout)\nuser -> a\n <-> \n\
        timeout()\ntimeout(1e9)\ntimeout(.5)\nmax_turns(a, 1)\nmax_turns(a <-> b, -1)\nagent_timeout(a)\n\
        agent_timeout(a: 1, a: 2)\nparallel(a\nmax_steps(99999999999999999999)\n\u{202e} -> \u{1f600}";
    let made = vec![
        ("nothing", Vec::new()),
        ("lines", text(lines)),
        ("wrong-lines", text(wrong)),
        ("links", text(r#"{ "links": ["a -> b", "b <=> c", "c <|> a"] }"#)),
        (
            "links-in-yaml",
            text(
                "links: [\"a -> b\", \"b <=> c\"]\npolicies:\n  - timeout(600)\n  - max_turns(a <-> b, 9)\n",
            ),
        ),
        (
            "whole",
            text(
                r#"{ "nodes": ["User", "a", { "name": "B", "agent": "b", "convergence": true, "metadata": { "x": [1.5] } }],
  "edges": ["User -> a", ["a", "B"], ["a", "B", "notify"], { "source": "B", "target": "a", "bidirectional": true, "metadata": { "k": null } }],
  "rules": ["max_turns(a <-> B, 3)", "agent_timeout(a: 2, default: 0.5)"], "metadata": { "by": "hand" } }"#,
            ),
        ),
        (
            "hub",
            text(
                r#"{ "pattern": "hub_and_spoke", "params": { "hub": "a", "spokes": ["b", "c"], "parallel_spokes": true } }"#,
            ),
        ),
        (
            "tree",
            text(
                r#"{ "pattern": "hierarchical", "params": { "tree": { "a": ["b", "c"], "b": ["a"], "c": [] } } }"#,
            ),
        ),
        (
            "levels",
            text(
                r#"{ "pattern": "hierarchical", "params": { "root": "a", "levels": [["b"], ["c", "b"]] } }"#,
            ),
        ),
        (
            "pipeline",
            text(
                r#"{ "pattern": "pipeline", "params": { "stages": [{ "name": "one", "agents": ["a"] }, { "agents": ["b", "c"] }] } }"#,
            ),
        ),
        (
            "mesh",
            text(
                r#"{ "pattern": "mesh", "params": { "agents": ["a", "b", "c"], "entry_point": "b" } }"#,
            ),
        ),
        (
            "star",
            text(
                r#"{ "pattern": "star", "params": { "center": "a", "points": ["b", "c"], "bidirectional": false } }"#,
            ),
        ),
        (
            "ring",
            text(
                r#"{ "pattern": "ring", "params": { "agents": ["a"], "bidirectional": true }, "metadata": {} }"#,
            ),
        ),
        (
            "broadcast",
            text(
                r#"{ "pattern": "broadcast", "params": { "broadcaster": "a", "receivers": ["b"], "allow_replies": true } }"#,
            ),
        ),
        ("pattern-in-yaml", text("pattern: ring\nparams: { agents: [a, b, c] }\n")),
        ("no-pattern", text(r#"{ "pattern": "rng", "params": [] }"#)),
        (
            "wrong-shapes",
            text(
                r#"{ "nodes": "a", "links": [1, [], ["a"], {}, null], "policies": {}, "metadata": [], "edges": [{ "from": "a" }] }"#,
            ),
        ),
        (
            "reserved",
            text(
                r#"{ "nodes": ["USER", "start", "end", "a", "a", ""], "links": ["end -> start", "a -> a", "x -> y"] }"#,
            ),
        ),
        (
            "deep",
            format!(
                r#"{{ "metadata": {}{} }}"#,
                r#"{"a":"#.repeat(60),
                "}".repeat(60).replacen('}', "1}", 1)
            )
            .into_bytes(),
        ),
        (
            "many-faults",
            format!(r#"{{ "links": [{}"a -> b"] }}"#, r#""=","#.repeat(200)).into_bytes(),
        ),
        ("list", text(r#"["a -> b"]"#)),
    ];
    replayed("topology", made, targets::topology);
}

#[test]
fn every_set_of_business_rules_is_read_or_refused() {
    let text = |text: &str| text.as_bytes().to_vec();
    let rule = |condition: &str, action: &str| {
        format!(r#"[{{ "conditions": {condition}, "actions": [{action}] }}]"#).into_bytes()
    };
    let (always, go) = (
        r#"{ "all": [{ "name": "is_first_turn", "operator": "is_false" }] }"#,
        r#"{ "name": "transition_to_agent", "params": { "agent_id": "b" } }"#,
    );
    let nested =
        |depth: usize| format!("{}{always}{}", r#"{ "any": ["#.repeat(depth), "] }".repeat(depth));
    let orders = "- conditions:
    all:
      - { name: conversation_turn_count, operator: greater_than_or_equal_to, value: 3 }
      - { name: current_agent_type, operator: equal_to, value: gate }
      - { name: last_tool_result, operator: contains, value: \"false\" }
  actions:
    - { name: transition_to_agent, params: { agent_id: b } }
    - { name: set_context_value, params: { key: why, value: not verified } }
";
    let tests = r#"{ "all": [
  { "name": "user_input", "operator": "contains", "value": "invoice" },
  { "name": "user_input", "operator": "matches_regex", "value": "in.*ce" },
  { "any": [
    { "name": "fact.tier", "operator": "equal_to", "value": "gold" },
    { "name": "fact.age", "operator": "equal_to", "value": "7" },
    { "name": "fact.orders", "operator": "non_empty" } ] } ] }"#;
    let made = vec![
        ("nothing", Vec::new()),
        ("none", text("[]")),
        ("orders", text(orders)),
        ("always", rule(always, go)),
        ("tests", rule(tests, go)),
        (
            "notes",
            rule(
                always,
                r#"{ "name": "set_context_value", "params": { "key": "a", "value": 1.5 } }, { "name": "log_transition", "params": {} }"#,
            ),
        ),
        ("nested", rule(&nested(14), go)),
        ("too-deep", rule(&nested(40), go)),
        (
            "fact-list",
            rule(r#"{ "name": "fact.orders", "operator": "contains", "value": "1" }"#, go),
        ),
        (
            "expression",
            rule(
                r#"{ "name": "user_input", "operator": "matches_regex", "value": "(a{999}){999}" }"#,
                go,
            ),
        ),
        (
            "no-expression",
            rule(r#"{ "name": "user_input", "operator": "matches_regex", "value": "(" }"#, go),
        ),
        (
            "unknown",
            rule(
                r#"{ "name": "user_inptu", "operator": "contians", "value": 7 }"#,
                r#"{ "name": "transition" }"#,
            ),
        ),
        ("both", rule(r#"{ "all": [], "any": [] }"#, go)),
        (
            "huge-number",
            rule(
                r#"{ "name": "conversation_turn_count", "operator": "less_than", "value": 1e308 }"#,
                go,
            ),
        ),
        (
            "no-fact",
            rule(
                r#"{ "name": "fact.", "operator": "is_true" }"#,
                r#"{ "name": "set_context_value", "params": { "key": "", "value": {} } }"#,
            ),
        ),
        (
            "wrong-shapes",
            text(
                r#"[7, {}, { "conditions": [], "actions": {} }, { "conditions": { "all": 1 }, "actions": [] }]"#,
            ),
        ),
        ("map", text(r#"{ "conditions": {} }"#)),
        ("torn", text(r#"[{ "conditions": { "all": [{ "name": "user_input", "#)),
    ];
    replayed("rules", made, targets::rules);
}

#[test]
fn whatever_a_provider_that_speaks_sends_is_used_or_counted() {
    let lines = |lines: &[&str]| lines.join("\n").into_bytes();
    let updated = r#"{"type":"session.updated"}"#;
    let created = r#"{"type":"response.created","response":{"id":"r"}}"#;
    let audio = r#"{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":"AQIDBA=="}"#;
    let beta =
        r#"{"type":"response.audio.delta","response_id":"r","item_id":"i","delta":"AQIDBA"}"#;
    let words = r#"{"type":"response.output_audio_transcript.delta","response_id":"r","item_id":"i","delta":"Grüße"}"#;
    let call = r#"{"type":"response.output_item.done","response_id":"r","item":{"type":"function_call","call_id":"c","name":"f","arguments":"{\"x\":"}}"#;
    let done = r#"{"type":"response.done","response":{"id":"r","status":"completed","usage":{"total_tokens":7},"output":[{"type":"function_call","call_id":"d","name":"f","arguments":"[]"}]}}"#;
    let speech =
        r#"{"type":"input_audio_buffer.speech_started","audio_start_ms":30,"item_id":"u"}"#;
    let stopped = r#"{"type":"input_audio_buffer.speech_stopped","audio_end_ms":1e300}"#;
    let heard = r#"{"type":"conversation.item.input_audio_transcription.completed","item_id":"u","transcript":"hello"}"#;
    let refused = r#"{"type":"error","error":{"code":"conversation_already_has_active_response","event_id":"ap-2"}}"#;
    let expired = r#"{"type":"error","error":{"code":"session_expired"}}"#;
    let made = vec![
        ("nothing", Vec::new()),
        ("answer", lines(&["!1", updated, created, audio, words, "!1", call, "!1", done, "!3"])),
        (
            "cut",
            lines(&[
                "!1", updated, created, audio, beta, words, "!0", speech, "!2", audio, stopped,
                heard, "!1",
            ]),
        ),
        (
            "lost",
            lines(&[
                "!1", updated, heard, created, audio, words, "!lost", "!20", created, audio,
                updated, "!1",
            ]),
        ),
        ("cancel", lines(&["!1", updated, created, "!cancel", audio, done, "!1", created, audio])),
        (
            "errors",
            lines(&[
                "!1",
                updated,
                refused,
                expired,
                "!20",
                "!20",
                updated,
                r#"{"type":"error","error":7}"#,
            ]),
        ),
        ("doubled", lines(&["!1", created, created, call, call, done, done, call])),
        (
            "wrong-shapes",
            lines(&[
                "!1",
                r#"{"type":"response.done","response":{"id":7,"status":[],"output":[null,{"type":"function_call"}],"usage":1}}"#,
                r#"{"type":"response.created","response":"r"}"#,
                r#"{"type":"input_audio_buffer.speech_started","audio_start_ms":-1}"#,
                r#"{"type":"response.audio.delta","item_id":"","delta":"AQ"}"#,
                r#"{"type":"response.audio.delta","item_id":"i","delta":"?"}"#,
                "[[[[",
                "7",
                "{}",
                r#"{"type":"new.event"}"#,
            ]),
        ),
    ];
    replayed("realtime", made, targets::realtime);
}

/// A piece for the target `room`: for whom it is, its length, and its bytes.
#[cfg(feature = "livekit")]
fn piece(whom: u8, bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[whom, len[0], len[1]], bytes].concat()
}

#[cfg(feature = "livekit")]
#[test]
fn whatever_a_room_sends_is_used_or_counted() {
    use livekit_protocol::data_packet::Value;
    use livekit_protocol::data_stream::header::ContentHeader;
    use livekit_protocol::data_stream::{Chunk, Header, TextHeader, Trailer};
    use livekit_protocol::signal_response::Message;
    use livekit_protocol::*;
    use prost::Message as _;

    let data = |value| {
        let packet = DataPacket {
            participant_identity: "ann".into(),
            value: Some(value),
            ..DataPacket::default()
        };
        piece(0, &packet.encode_to_vec())
    };
    let signal = |message| {
        let response = SignalResponse { message: Some(message) };
        piece(1, &response.encode_to_vec())
    };
    let user = |topic: &str, payload: &[u8]| {
        data(Value::User(UserPacket {
            topic: Some(topic.into()),
            payload: payload.to_vec(),
            ..UserPacket::default()
        }))
    };
    let text = Some(ContentHeader::TextHeader(TextHeader::default()));
    let stream = [
        data(Value::StreamHeader(Header {
            stream_id: "s".into(),
            topic: "lk.chat".into(),
            content_header: text,
            ..Header::default()
        })),
        data(Value::StreamChunk(Chunk {
            stream_id: "s".into(),
            content: b"hello".to_vec(),
            ..Chunk::default()
        })),
        data(Value::StreamTrailer(Trailer { stream_id: "s".into(), ..Trailer::default() })),
    ];
    let rpc = data(Value::RpcRequest(RpcRequest {
        id: "r".into(),
        method: "m".into(),
        payload: "{}".into(),
        version: 1,
        ..RpcRequest::default()
    }));
    let digit = data(Value::SipDtmf(SipDtmf { code: 11, ..SipDtmf::default() }));
    let track = TrackInfo { sid: "TR".into(), muted: true, ..TrackInfo::default() };
    let bob = ParticipantInfo {
        identity: "bob".into(),
        sid: "PA_bob".into(),
        tracks: vec![track],
        attributes: [("a".to_owned(), "b".to_owned())].into(),
        ..ParticipantInfo::default()
    };
    let update = signal(Message::Update(ParticipantUpdate { participants: vec![bob] }));
    let leave = signal(Message::Leave(LeaveRequest { reason: 5, ..LeaveRequest::default() }));
    let red = piece(2, &[0x80 | 111, 0x0f, 0x00, 0x02, 111, 1, 2, 3, 4]);
    replayed(
        "room",
        vec![
            ("data", [user("x", b"y"), user("lk-chat-topic", br#"{"message":"hi"}"#)].concat()),
            ("stream", stream.concat()),
            ("rpc", rpc),
            ("digit", digit),
            ("people", [update, leave].concat()),
            ("red", red),
            ("token", piece(3, b"eyJhbGciOiJIUzI1NiJ9.e30.AAAA")),
            ("address", piece(4, b"wss://[::1]:443/a/")),
            ("garbage", [piece(0, &[0xff; 9]), piece(1, &[0x08; 40]), vec![0, 255, 255]].concat()),
        ],
        targets::room,
    );
}

#[cfg(feature = "livekit")]
#[test]
fn whatever_a_stream_carries_is_cut_into_datagrams() {
    let length = |len: usize| [&(len as u16).to_be_bytes()[..], &vec![7; len]].concat();
    let stun = |len: u8| {
        let header = [&[1, 1, 0, len, 0x21, 0x12, 0xa4, 0x42][..], &[5; 12]].concat();
        [header, vec![7; usize::from(len)]].concat()
    };
    let channel = |len: u8| {
        let padded = usize::from(len).next_multiple_of(4);
        [&[0x40, 1, 0, len][..], &vec![7; padded]].concat()
    };
    let begins = |how: u8, pieces: &[Vec<u8>]| [&[how][..], &pieces.concat()].concat();
    replayed(
        "frames",
        vec![
            ("datagrams", begins(0, &[length(1), length(0), length(1_200), length(3)])),
            ("too-long", begins(250, &[length(2_001), length(9)])),
            ("cut", begins(10, &[length(5), vec![0, 9, 1, 2]])),
            (
                "turn",
                begins(9, &[stun(0), channel(1), channel(4), stun(8), channel(0), channel(7)]),
            ),
            ("not-turn", begins(1, &[stun(4), b"HTTP/1.1 400 Bad Request".to_vec()])),
        ],
        targets::frames,
    );
}
