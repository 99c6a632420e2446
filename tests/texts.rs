//! What a newcomer reads: help, and what is said about mistakes. Each text is kept and compared; what
//! is kept is in `tests/snapshots`, and `tests/shown` tells how to change it.

#[expect(dead_code, reason = "texts are read here, not events")]
mod program;
mod shown;

use program::Desk;
use shown::{session, snapshot};

/// The words of every command that `help` lists, those inside others included.
fn commands(desk: &Desk, way: &str) -> Vec<String> {
    let help = desk.run(&format!("{way} --help")).exits(0).stdout;
    // The usage of a command that holds others says so.
    if !help.lines().any(|line| line.starts_with("Usage:") && line.ends_with("<COMMAND>")) {
        return vec![way.to_owned()];
    }
    let named = |line: &str| -> Option<String> {
        let rest = line.strip_prefix("  ").filter(|rest| !rest.starts_with([' ', '-']))?;
        let (name, about) = rest.split_once("  ")?;
        let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        (is_name && name != "help" && !about.is_empty()).then(|| format!("{way} {name}"))
    };
    let inner: Vec<String> =
        help.lines().filter_map(named).map(|way| way.trim().to_owned()).collect();
    let mut all = vec![way.to_owned()];
    all.extend(inner.iter().flat_map(|way| commands(desk, way)));
    all
}

#[test]
fn the_help_of_every_command() {
    let desk = Desk::new();
    let all = commands(&desk, "");
    assert!(all.len() > 4, "{all:?}");
    for way in all {
        let words = format!("{way} --help");
        let name = if way.is_empty() { "antiphon".into() } else { way.replace(' ', "-") };
        snapshot(&format!("help-{name}"), &session(&desk, [words.trim()]), &[]);
    }
}

#[test]
fn a_short_help_and_the_help_of_a_command_are_at_hand() {
    let desk = Desk::new();
    let help = |words| desk.run(words).exits(0).stdout;
    assert_eq!(help("help"), help("--help"));
    assert_eq!(help("help run"), help("run --help"));
    assert!(help("run -h").lines().count() < help("run --help").lines().count());
}

#[test]
fn wrong_words_on_the_command_line() {
    let desk = Desk::new();
    desk.put("desk.yaml", "{ name: desk, agents: { desk: {} } }");
    let words = [
        "chekc desk.yaml",
        "sing",
        "demo --quick",
        "demo --fats",
        "run",
        "run desk.yaml --input hello.wav",
        "run desk.yaml --input hello.wav --out call --seed seven",
        "run desk.yaml --input hello.wav --out call --seed -1",
        "run desk.yaml hello.wav --out call",
        "replay",
        "check",
        "schema configs",
        "schema cue",
        "schema --out no/such/folder/schema.json",
        "completions bsh",
        "init",
        "init shop --template shp",
        "help chekc",
    ];
    snapshot("wrong-words", &session(&desk, words), &[]);
}

/// What is wrong with a configuration, by the name of its file.
const WRONG_CONFIGS: &[(&str, &str)] = &[
    ("empty", ""),
    ("only-comments", "# agents will follow\n"),
    ("a-list", "- name: desk\n- agents: []\n"),
    ("a-letter", "Dear sir or madam,\nthis is a letter.\n"),
    ("cues", "name: caller\ncues:\n  - { play: hello.wav }\n"),
    ("no-agents", "name: desk\n"),
    ("no-agent", "name: desk\nagents: {}\n"),
    ("tabs", "name: desk\nagents:\n\tdesk:\n\t\tgreeting: Hello.\n"),
    ("indent", "name: desk\nagents:\n  desk:\n    greeting: Hello.\n   idle: Hm?\n"),
    ("colon", "name: desk\nagents:\n  desk:\n    greeting: Note: we are closed.\n"),
    ("open-quote", "name: desk\nagents:\n  desk:\n    greeting: \"Hello.\n"),
    ("open-brace", "name: desk\nagents: { desk: { greeting: Hello. }\n"),
    ("twice", "name: desk\nagents:\n  desk: {}\nname: other\n"),
    ("bad-name", "name: My Desk\nagents: { desk: {} }\n"),
    (
        "keys",
        "name: desk\nsead: 7\nturn: { barge_inn: false }\nagents: { desk: { greting: Hello. } }\n",
    ),
    ("elsewhere", "name: desk\nbarge_in: false\nagents: { desk: {} }\n"),
    (
        "types",
        "name: 7\nseed: seven\nturn: { barge_in: yes, away_ms: 15s }\nagents: { desk: { greeting: [Hello.], tools: order } }\n",
    ),
    (
        "ranges",
        "name: desk\nseed: -1\naudio: { tick_ms: 30, rate_hz: 44100 }\nvoice: { threshold: 5 }\nturn: { fade_ms: 101 }\nagents: { desk: {} }\n",
    ),
    (
        "choices",
        "name: desk\nspeech: { recogniser: { engine: whisper }, synthesiser: { engine: flight } }\nagents: { desk: {} }\n",
    ),
    (
        "kinds",
        "name: desk\nslots: { n: { kind: number }, m: digits }\nagents: { desk: { kind: ecko }, echo: { kind: echo, greeting: Hello. } }\nstart: desk\n",
    ),
    ("start", "name: desk\nagents: { desk: {}, billing: {} }\n"),
    (
        "names",
        "name: desk\nstart: dsek\nagents:\n  desk:\n    tools: [oder]\n    intents:\n      - { name: bill, phrases: [\"my bill {number}\"], call: { tool: order }, say: \"{nmae}\" }\n      - { name: empty }\ntools: { order: { canned: { otherwise: 1 } } }\ntransitions:\n  - { from: desk, to: biling, when: { intent: bil } }\n",
    ),
    (
        "when",
        "name: desk\nagents: { a: {}, b: {} }\nstart: a\ntransitions:\n  - { from: a, to: b }\n  - { from: a, to: b, when: bill }\n  - { from: a, to: b, when: { intnet: bill } }\n",
    ),
    (
        "templates",
        "name: desk\nagents:\n  desk:\n    greeting: \"Hello {name}\"\n    idle: \"{\"\n    intents:\n      - { name: a, phrases: [a], then: Done., patterns: ['('] }\n      - { name: b, phrases: [b], say: \"{result}\" }\n",
    ),
    ("turns", "name: desk\nturn: { gap_ms: 600, end_silence_max_ms: 400 }\nagents: { desk: {} }\n"),
    (
        "tools",
        "name: desk\ntools:\n  a: { parameters: { type: strin } }\n  b: { run: inline, canned: { otherwise: 1, takes_ms: 10 } }\n  c: { canned: { answers: { x: 1 } } }\nagents: { desk: {} }\n",
    ),
    (
        "no-tool",
        "name: desk\ntools: { oracle: { run: inline } }\nagents: { desk: { tools: [oracle] } }\n",
    ),
    (
        "long-call",
        "name: desk\ncall: { max_ms: 86400001, max_moves_per_turn: 101 }\nepoch: 2026-02-30T09:00:00Z\nagents: { desk: {} }\n",
    ),
];

#[test]
fn wrong_configurations() {
    let desk = Desk::new();
    let mut text = String::new();
    for (name, wrong) in WRONG_CONFIGS {
        let file = format!("{name}.yaml");
        desk.put(&file, wrong);
        text += &format!("{wrong}{}", session(&desk, [format!("check {file}").as_str()]));
    }
    text +=
        &session(&desk, ["check lost.yaml", "check .", "check lost.yaml empty.yaml turns.yaml"]);
    snapshot("wrong-configurations", &text, &[]);
}

/// What is wrong with a file of cues, by its name.
const WRONG_CUES: &[(&str, &str)] = &[
    ("empty", ""),
    ("no-cues", "name: anna\n"),
    ("none", "cues: []\n"),
    ("a-config", "name: desk\nagents: { desk: {} }\n"),
    (
        "words",
        "cues:\n  - hello.wav\n  - { ply: hello.wav }\n  - { say: hello }\n  - { play: hello.wav, type: hello }\n",
    ),
    (
        "when",
        "cues:\n  - { type: a, after: 500 }\n  - { type: b, after: { silent_ms: 500 } }\n  - { type: c, after: { agent_spoke_ms: 1s } }\n",
    ),
    (
        "gain",
        "noise_gain_db: 3\ncues:\n  - { type: a, gain_db: 3 }\n  - { play: hello.wav, gain_db: 99 }\n",
    ),
    (
        "clips",
        "noise: hum.wav\ncues:\n  - { play: lost.wav }\n  - { play: letter.wav }\n  - { play: song.mp3 }\n",
    ),
];

#[test]
fn wrong_callers() {
    let desk = Desk::new();
    desk.put("desk.yaml", "{ name: desk, agents: { desk: {} } }");
    desk.put("letter.wav", "Dear sir or madam,\nthis is a letter.\n");
    desk.put("song.mp3", b"ID3\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    let run = |input: &str| format!("run desk.yaml --input {input} --out call --fast");
    let mut text = String::new();
    for (name, wrong) in WRONG_CUES {
        let file = format!("{name}.yaml");
        desk.put(&file, wrong);
        text += &format!("{wrong}{}", session(&desk, [run(&file).as_str()]));
    }
    for input in ["lost.yaml", "lost.wav", "letter.wav", "song.mp3", "."] {
        text += &session(&desk, [run(input).as_str()]);
    }
    snapshot("wrong-callers", &text, &[]);
}

#[test]
fn places_that_cannot_be_written_and_journals_that_cannot_be_read() {
    let desk = Desk::new();
    desk.put("desk.yaml", "{ name: desk, agents: { desk: {} } }");
    desk.put("caller.yaml", "{ hang_up_ms: 0, cues: [{ type: hello, after: { start_ms: 0 } }] }");
    desk.put("a-file", "in the way");
    let run = "run desk.yaml --input caller.yaml --fast";
    let words = [
        format!("{run} --out a-file"),
        format!("{run} --out a-file/call"),
        format!("{run} --out call --journal no/such/folder/journal"),
        format!("{run} --out call --journal caller.yaml"),
        "replay lost.antiphon".into(),
        "replay .".into(),
        "replay desk.yaml".into(),
        "replay a-file".into(),
    ];
    let text = session(&desk, words.iter().map(String::as_str));
    snapshot("places-and-journals", &text, &[]);
}

#[test]
fn what_check_says_about_sound_files() {
    let desk = Desk::new();
    for (name, text) in [
        ("demo.yaml", include_str!("../configs/demo.yaml")),
        ("echo.yaml", include_str!("../configs/echo.yaml")),
        ("complete.yaml", include_str!("../configs/complete.yaml")),
        ("room.yaml", include_str!("../configs/room.yaml")),
        ("wrong.yaml", "name: desk\nagents: { desk: { greting: Hello. } }\n"),
    ] {
        desk.put(name, text);
    }
    let words = ["check demo.yaml echo.yaml complete.yaml room.yaml", "check demo.yaml wrong.yaml"];
    snapshot("check", &session(&desk, words), &[]);
}

#[test]
fn what_init_says() {
    let desk = Desk::new();
    desk.put("a-file", "in the way");
    let words = [
        "init my-shop",
        "init my-shop",
        "init my-echo --template echo",
        "init a-file",
        "init My-Shop",
        "init ../shop",
        "init --shop",
    ];
    // The program is called by its path here.
    snapshot("init", &session(&desk, words), &[(r"(?m)^  \S+/antiphon ", "  antiphon ")]);
}

#[test]
fn the_timeline_of_a_call_and_of_its_fork() {
    let desk = Desk::new();
    desk.put(
        "desk.yaml",
        "
name: desk
speech: { synthesiser: { engine: tone } }
tools: { look: { latency_ms: 300, canned: { otherwise: 7, fails_first: 1 } } }
start: front
agents:
  front:
    greeting: Good day.
    tools: [look]
    intents:
      - { name: look, phrases: [look it up], call: { tool: look }, then: 'It is {result}.', failed: Not now. }
      - { name: long, phrases: [tell me more], say: There is a lot to tell and it takes a while to say it all. }
      - { name: back, phrases: [the back please], say: I will pass you on. }
  back: { arrival: This is the back. }
transitions: [{ from: front, to: back, when: { intent: back } }]
",
    );
    desk.put(
        "caller.yaml",
        "
name: ann
hang_up_ms: 500
cues:
  - { type: look it up, after: { agent_silent_ms: 200 } }
  - { type: tell me more, after: { agent_silent_ms: 200 } }
  - { type: look it up, after: { agent_spoke_ms: 600 } }
  - { type: the back please, after: { agent_silent_ms: 200 } }
",
    );
    let words = [
        "run desk.yaml --input caller.yaml --out call --fast",
        "timeline call",
        "fork call/journal.antiphon --at 2s --set turn.barge_in=false --out fork",
        "timeline fork --from 2s --to 4s",
        "diff call fork",
    ];
    snapshot("timeline", &session(&desk, words), &[]);
}
