//! `antiphon demo` keeps what it promises: a spoken conversation with tools, hand-overs and an
//! interruption, the same each time, and understood by someone else's ears.
//!
//! It is held twice in virtual time, once as text and once with `--json`; all tests look at these two.

#[expect(dead_code, reason = "what the demo says is looked up by its events, not by its level")]
mod listen;
mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::OnceLock;

use antiphon::config;
use antiphon::model::{offline, render};
use antiphon::record::METRICS_KEYS;
use antiphon::session::plan::Plan;
use listen::Sound;
use program::{Desk, ran};
use serde_json::Value;

/// What the caller means, in the order of `audio/demo.yaml`.
const INTENTS: [&str; 11] = [
    "order", "hours", "bill", "balance", "invoice", "invoice", "return", "policy", "question",
    "refund", "goodbye",
];

/// Words that a stranger must make out in what the agents say, by how that begins.
const KEY_WORDS: [(&str, &[&str]); 11] = [
    ("Order 4", &["one", "seven", "shipped", "arrive", "monday"]),
    ("We are open", &["open", "nine", "six", "monday", "saturday"]),
    ("One moment", &["moment", "asking", "accounts"]),
    ("You owe", &["owe", "dollars", "due", "friday"]),
    ("That did not work", &["work", "mail", "server", "busy"]),
    ("The invoice", &["invoice", "way", "usual", "address"]),
    ("I will pass you on to the", &["pass", "returns", "desk"]),
    ("This is the returns", &["returns", "send", "back", "thirty", "days"]),
    ("You may return", &["return", "anything", "thirty", "days"]),
    ("Your refund", &["refund", "credit", "card", "three", "days"]),
    ("Thank you", &["thank", "you", "calling"]),
];

/// Of the key words so many must be made out, in percent: 95 were when this was written.
const MADE_OUT_MIN: usize = 75;

/// The fields of a tick as tau2 has them, and of the two chunks in it.
const TICK_FIELDS: [&str; 11] = [
    "tick_id",
    "timestamp",
    "agent_chunk",
    "user_chunk",
    "agent_tool_calls",
    "user_tool_calls",
    "agent_tool_results",
    "user_tool_results",
    "user_transcript",
    "tick_duration_seconds",
    "wall_clock_duration_seconds",
];
const CHUNK_FIELDS: [&str; 9] = [
    "role",
    "content",
    "is_audio",
    "audio_format",
    "contains_speech",
    "chunk_id",
    "utterance_ids",
    "is_final_chunk",
    "timestamp",
];

/// What two runs of the demo left.
struct Demo {
    text: String,
    json: String,
    files: [BTreeMap<String, Vec<u8>>; 2],
    events: Vec<Value>,
    plan: Plan,
}

fn demo() -> &'static Demo {
    static DEMO: OnceLock<Demo> = OnceLock::new();
    DEMO.get_or_init(|| {
        let held = |words: &str| {
            let desk = Desk::new();
            let ran = desk.run(words).exits(0);
            let listed = fs::read_dir(desk.dir.path().join("call")).expect("the folder is there");
            let file = |entry: fs::DirEntry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                (name, fs::read(entry.path()).expect("what is written can be read"))
            };
            let files = listed.map(|entry| file(entry.expect("the folder can be listed")));
            (ran.stdout, files.collect::<BTreeMap<_, _>>(), desk.events("call"))
        };
        let ((text, first, events), (json, second, _)) = std::thread::scope(|scope| {
            let other = scope.spawn(|| held("demo --fast --out call --json"));
            let one = held("demo --fast --out call");
            (one, other.join().expect("the run with --json works, too"))
        });
        let config = config::parse(include_bytes!("../configs/demo.yaml"), "configs/demo.yaml")
            .expect("the demo's configuration is sound");
        let plan = Plan::new(config).expect("it can be planned");
        Demo { text, json, files: [first, second], events, plan }
    })
}

/// An item that an agent said.
#[derive(Debug)]
struct Item<'a> {
    agent: &'a str,
    text: &'a str,
    /// From the tick in which it began to that in which it was finished or cut.
    from: usize,
    to: usize,
    finished: bool,
}

impl Demo {
    fn of_type(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.events.iter().filter(move |event| event["type"] == name)
    }

    fn only(&self, name: &str) -> &Value {
        let mut found = self.of_type(name);
        let event = found.next().unwrap_or_else(|| panic!("no {name}"));
        assert!(found.next().is_none(), "more than one {name}");
        event
    }

    /// The items that were heard, in order.
    fn items(&self) -> Vec<Item<'_>> {
        self.of_type("agent.message").filter_map(|event| self.heard(event)).collect()
    }

    fn heard<'a>(&'a self, message: &'a Value) -> Option<Item<'a>> {
        let of_item = |name: &'static str| {
            self.of_type(name).find(|event| event["item"] == message["item"]).map(tick)
        };
        let from = of_item("agent.speech_started")?;
        let finished = of_item("agent.speech_finished");
        let to = finished.or_else(|| of_item("agent.interrupted"))?;
        let (agent, text) = (said(message, "agent"), said(message, "text"));
        Some(Item { agent, text, from, to, finished: finished.is_some() })
    }

    fn item(&self, beginning: &str) -> Item<'_> {
        let found = self.items().into_iter().find(|item| item.text.starts_with(beginning));
        found.unwrap_or_else(|| panic!("nobody says {beginning:?}"))
    }

    /// The agent's side of the recording.
    fn agent_channel(&self) -> Vec<i16> {
        let frames = self.files[0]["conversation.wav"][44..].chunks_exact(4);
        frames.map(|frame| i16::from_le_bytes([frame[2], frame[3]])).collect()
    }
}

fn tick(event: &Value) -> usize {
    usize::try_from(event["tick"].as_u64().expect("an event has a tick")).expect("a small number")
}

fn said<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or_else(|| panic!("{field} is no text: {event}"))
}

#[test]
fn two_runs_are_the_same_byte_for_byte() {
    for name in
        ["ticks.jsonl", "events.jsonl", "transcript.json", "conversation.wav", "report.html"]
    {
        let [first, second] = demo().files.each_ref().map(|files| &files[name]);
        assert!(!first.is_empty(), "{name} is empty");
        // The bytes themselves would fill the screen.
        let differ = first.iter().zip(second).position(|(a, b)| a != b);
        assert_eq!((differ, first.len()), (None, second.len()), "{name} differs");
    }
}

#[test]
fn the_agents_understand_the_caller() {
    let meant: Vec<_> = demo().of_type("user.message").map(|event| &event["intent"]).collect();
    assert!(meant.len() >= 6, "a conversation has more turns than {meant:?}");
    let mut rest = meant.as_slice();
    let mut understood = BTreeSet::new();
    for intent in INTENTS {
        if let Some(at) = rest.iter().position(|meant| *meant == intent) {
            rest = &rest[at + 1..];
            understood.insert(intent);
        }
    }
    assert!(understood.len() >= 9, "of {INTENTS:?} these were understood, in order: {meant:?}");
}

#[test]
fn the_call_is_handed_over_to_two_others() {
    let others: BTreeSet<_> =
        demo().of_type("transition.executed").map(|event| said(event, "to")).collect();
    assert_eq!(others, BTreeSet::from(["billing", "returns"]));
}

#[test]
fn tools_answer_at_once_or_later_or_fail() {
    let demo = demo();
    let called: BTreeSet<_> =
        demo.of_type("tool.called").map(|event| said(event, "name")).collect();
    assert!(called.len() >= 3, "only {called:?} are called");
    let deferred: Vec<_> = demo.of_type("tool.deferred").map(|event| said(event, "name")).collect();
    assert!(deferred.contains(&"balance"), "the slow tool is not among {deferred:?}");
    assert!(!deferred.contains(&"order_status"), "the inline tool is among {deferred:?}");
    let failed: Vec<_> = demo
        .of_type("tool.result")
        .filter(|event| event["outcome"].get("Failed").is_some())
        .map(|event| said(event, "name"))
        .collect();
    assert_eq!(failed, ["send_invoice"]);
    let results = demo.of_type("tool.result").count();
    assert_eq!(demo.of_type("tool.called").count(), results, "every call comes to an end");
}

#[test]
fn the_agent_talks_on_while_a_slow_tool_works() {
    let demo = demo();
    let at = |name: &str| {
        let found = demo.of_type(name).find(|event| event["name"] == "balance");
        tick(found.unwrap_or_else(|| panic!("no {name} of the slow tool")))
    };
    let [called, result] = ["tool.called", "tool.result"].map(at);
    assert!(result - called >= 125, "it takes 2.5 s, not {} ticks", result - called);
    let [moment, answer] = ["One moment", "You owe"].map(|beginning| demo.item(beginning));
    assert!(moment.from - called <= 10, "it begins {} ticks after the call", moment.from - called);
    assert!(moment.to >= result, "it is over before the tool is");
    assert!(answer.from - moment.to <= 1, "{} ticks of silence follow", answer.from - moment.to);
}

/// If a single sample were late, lost or doubled anywhere in the call, this would fail: under a slow
/// tool, a cough, a hum, a hand-over.
#[test]
fn what_the_agents_say_is_heard_whole_and_without_a_gap() {
    let demo = demo();
    let channel = demo.agent_channel();
    let mut flite = offline::synthesiser().unwrap_or_else(|error| panic!("{error}"));
    let items = demo.items();
    assert!(items.len() >= 12, "the agents say more than {items:?}");
    for item in items.iter().filter(|item| item.finished) {
        let agent = demo.plan.agents.iter().find(|agent| agent.name == item.agent);
        let voice = &agent.expect("an agent of the plan").voice;
        let clip = render(flite.as_mut(), item.text, voice, demo.plan.rate);
        let clip = clip.unwrap_or_else(|error| panic!("{error}")).0;
        // It may begin within its first tick, where another ended.
        let from = item.from * demo.plan.samples();
        let is_there = |at: &usize| channel.get(*at..at + clip.len()) == Some(&*clip);
        let at = (from..from + demo.plan.samples()).find(is_there);
        assert!(at.is_some(), "{:?} is not heard as {voice} says it", item.text);
    }
}

#[test]
fn talked_over_the_agent_falls_silent_at_once() {
    let demo = demo();
    let cut = demo.only("agent.interrupted");
    assert_eq!(cut["cause"], "voice", "{cut}");
    let channel = demo.agent_channel();
    let samples = demo.plan.samples();
    let since = usize::try_from(cut["since"].as_u64().expect("a tick")).expect("a small number");
    let barge_in = demo.plan.len.ticks(demo.plan.config.turn.barge_in_ms);
    let silent_from = since + barge_in as usize + 2;
    let next = demo.items().iter().map(|item| item.from).find(|from| *from > silent_from);
    let next = next.expect("the agent speaks again");
    assert!(next - silent_from > 50, "the caller needs more than {} ticks", next - silent_from);
    let quiet = &channel[silent_from * samples..next * samples];
    let sound = quiet.iter().position(|sample| *sample != 0);
    assert_eq!(sound, None, "samples after it had to be silent");
    let before = &channel[(since - 10) * samples..since * samples];
    assert!(before.iter().any(|sample| sample.unsigned_abs() > 1_000), "nothing was cut");
    let whole = demo.item("You may return").text;
    let (spoken, unspoken) = (said(cut, "spoken"), said(cut, "unspoken"));
    assert_eq!(format!("{spoken}{unspoken}"), whole);
    assert!(spoken.len() > 20 && unspoken.len() > 20, "it was cut in the middle: {spoken:?}");
}

#[test]
fn a_cough_and_a_hum_do_not_stop_the_agent() {
    let demo = demo();
    let over: Vec<_> =
        demo.of_type("user.speech_started").filter(|event| event["over_agent"] == true).collect();
    assert_eq!(over.len(), 3, "a cough, a hum and an interruption: {over:#?}");
    let items = demo.items();
    for (sound, event) in ["the cough", "the hum"].into_iter().zip(&over) {
        let under = items.iter().find(|item| (item.from..=item.to).contains(&tick(event)));
        let under = under.unwrap_or_else(|| panic!("{sound} falls into silence"));
        assert!(under.finished, "{sound} stopped {:?}", under.text);
    }
    assert_eq!(items.iter().filter(|item| !item.finished).count(), 1);
    let hum = demo.only("user.backchannel");
    assert_eq!(hum["text"], "mm-hmm");
    assert!(tick(hum) > tick(over[1]) && tick(hum) < tick(over[2]), "{hum}");
}

/// A second recogniser, with a model of general English and no knowledge of the demo's phrases,
/// listens to the agents' side of the recording.
#[test]
fn a_stranger_makes_out_what_the_agents_say() {
    let demo = demo();
    let channel = demo.agent_channel();
    let sound = |beginning: &str| {
        let item = demo.item(beginning);
        let samples = demo.plan.samples();
        let pcm = channel[item.from * samples..(item.to + 1) * samples].into();
        Sound { rate_hz: demo.plan.rate.hz(), pcm }
    };
    let sounds = KEY_WORDS.map(|(beginning, _)| sound(beginning));
    let (mut table, mut made_out, mut all) = (String::new(), 0, 0);
    for ((_, words), text) in KEY_WORDS.iter().zip(listen::words(&sounds)) {
        let missed = listen::missed(&text, words);
        table += &format!("{text:<80} missed {missed:?}\n");
        all += words.len();
        made_out += words.len() - missed.len();
    }
    println!("{table}{made_out} of {all} key words");
    assert!(made_out * 100 >= all * MADE_OUT_MIN, "{made_out} of {all} key words:\n{table}");
}

#[test]
fn the_metrics_are_those_that_are_documented() {
    let metrics: Value =
        serde_json::from_slice(&demo().files[0]["metrics.json"]).expect("metrics are JSON");
    let mut found = BTreeSet::new();
    for (key, value) in metrics.as_object().expect("an object") {
        match value {
            // Calls by tool: its keys are names.
            Value::Object(inner) if key != "overruns" => {
                found.extend(inner.keys().map(|inner_key| format!("{key}.{inner_key}")));
            }
            // Not there, as a whole.
            Value::Null => {
                let known = METRICS_KEYS.iter().map(|(key, ..)| *key);
                let prefix = format!("{key}.");
                let is_of_it = |known: &&str| known == key || known.starts_with(&prefix);
                found.extend(known.filter(is_of_it).map(String::from));
            }
            _ => drop(found.insert(key.clone())),
        }
    }
    let documented: BTreeSet<_> = METRICS_KEYS.iter().map(|(key, ..)| String::from(*key)).collect();
    assert_eq!(found, documented);
    assert_eq!(metrics["interruptions"], 1);
    assert_eq!(metrics["backchannels"], 1);
    assert_eq!(metrics["hand_overs"], 2);
    assert_eq!(metrics["lateness_us"], Value::Null, "virtual time is never late");
    assert_eq!(metrics["counterfactual_from_tick"], Value::Null, "it is no fork");
}

#[test]
fn every_tick_has_the_fields_of_tau2() {
    let demo = demo();
    let text = std::str::from_utf8(&demo.files[0]["ticks.jsonl"]).expect("ticks are text");
    let keys = |value: &Value| -> BTreeSet<String> {
        value.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default()
    };
    let tick_fields: BTreeSet<_> = TICK_FIELDS.map(String::from).into();
    let chunk_fields: BTreeSet<_> = CHUNK_FIELDS.map(String::from).into();
    let mut ticks = 0;
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).expect("a tick is JSON");
        assert_eq!(value["tick_id"], ticks);
        assert_eq!(keys(&value), tick_fields, "{line}");
        for chunk in ["agent_chunk", "user_chunk"] {
            let missing: Vec<_> = chunk_fields.difference(&keys(&value[chunk])).cloned().collect();
            assert_eq!(missing, Vec::<String>::new(), "{line}");
        }
        ticks += 1;
    }
    assert_eq!(demo.agent_channel().len(), ticks as usize * demo.plan.samples());
}

#[test]
fn the_transcript_reads_as_the_conversation() {
    let demo = demo();
    let transcript: Value =
        serde_json::from_slice(&demo.files[0]["transcript.json"]).expect("it is JSON");
    let turns = transcript.as_array().expect("a list of turns");
    let texts = |speaker: &str| -> Vec<&str> {
        let of = turns.iter().filter(|turn| turn["speaker"] == speaker);
        of.map(|turn| said(turn, "text")).collect()
    };
    let heard: Vec<_> = demo
        .events
        .iter()
        .filter(|event| event["type"] == "user.message" || event["type"] == "user.backchannel")
        .map(|event| said(event, "text"))
        .collect();
    assert_eq!(texts("user"), heard);
    let spoken: Vec<_> =
        demo.items()
            .iter()
            .map(|item| {
                if item.finished {
                    item.text
                } else {
                    said(demo.only("agent.interrupted"), "spoken")
                }
            })
            .collect();
    assert_eq!(texts("agent"), spoken);
    let names: BTreeSet<_> = turns.iter().map(|turn| said(turn, "name")).collect();
    assert_eq!(names, BTreeSet::from(["billing", "caller", "front_desk", "returns"]));
    let ms = |turn: &Value, field: &str| turn[field].as_u64().expect("a time");
    for turn in turns {
        assert!(ms(turn, "from_ms") < ms(turn, "to_ms"), "{turn}");
    }
    // Who was asked answers: after each turn of the caller an agent comes next.
    let asks = |turn: &Value| turn["speaker"] == "user" && turn.get("backchannel").is_none();
    for pair in turns.windows(2).filter(|pair| asks(&pair[0])) {
        assert_eq!(pair[1]["speaker"], "agent", "nobody answers {}", pair[0]);
    }
    assert_eq!(turns.iter().filter(|turn| turn["interrupted"] == true).count(), 1);
    assert!(turns.last().is_some_and(|turn| said(turn, "text").contains("Goodbye")));
}

#[test]
fn json_is_an_object_a_line_and_a_summary() {
    let demo = demo();
    let mut lines: Vec<&str> = demo.json.lines().collect();
    let summary: Value =
        serde_json::from_str(lines.pop().unwrap_or_default()).expect("the last line is JSON");
    assert_eq!(summary["type"], "summary");
    assert_eq!(summary["end"], "ended");
    assert_eq!(summary["metrics"]["hand_overs"], 2);
    let events = std::str::from_utf8(&demo.files[1]["events.jsonl"]).expect("events are text");
    assert_eq!(lines, events.lines().collect::<Vec<_>>());
}

#[test]
fn piped_text_is_for_eyes_and_has_no_colours() {
    let demo = demo();
    for printed in [&demo.text, &demo.json] {
        assert!(!printed.contains('\u{1b}'), "escape codes in a pipe: {printed}");
    }
    for told in [
        "front_desk: Welcome to the corner shop.",
        "caller: what are your opening hours  → hours",
        "(mm-hmm) the agent goes on",
        "front_desk → billing",
        "balance takes longer than a tick: deferred",
        "failed: the mail server is busy",
        "returns: interrupted after “…",
        "ended: the agent ended the call",
        "2 hand-overs, 5 tool calls (3 deferred, 1 failed)",
        "written to call",
    ] {
        assert!(demo.text.contains(told), "{told:?} is not in:\n{}", demo.text);
    }
}

#[test]
fn without_the_libraries_it_says_what_to_install() {
    let desk = Desk::new();
    let mut command = desk.command(env!("CARGO_BIN_EXE_antiphon"), "demo --fast --out call");
    let nowhere = desk.dir.path().join("nowhere");
    for variable in
        ["ANTIPHON_POCKETSPHINX_LIB", "ANTIPHON_POCKETSPHINX_MODEL", "ANTIPHON_FLITE_LIB"]
    {
        command.env(variable, &nowhere);
    }
    let ran = ran(&mut command).exits(2);
    for package in ["pocketsphinx-en-us", "libflite1"] {
        assert!(ran.stderr.contains(package), "{package} is not named:\n{}", ran.stderr);
    }
    assert!(!desk.dir.path().join("call").exists(), "a folder without a call");
}

#[test]
fn forked_at_the_barge_in_with_a_longer_confirmation_time_the_agent_goes_on_speaking() {
    let demo = demo();
    let cut = demo.events.iter().find(|event| event["type"] == "agent.interrupted");
    let cut = cut.and_then(|event| event["tick"].as_u64()).expect("the demo has a barge-in");
    let desk = Desk::new();
    desk.put("demo.antiphon", &demo.files[0]["journal.antiphon"]);

    let same = desk.run(&format!("fork demo.antiphon --at {cut} --out same")).exits(0).stdout;
    assert!(same.contains("equal to the end of the recording"), "{same}");
    let alike = desk.run("diff demo.antiphon same").exits(0).stdout;
    assert!(alike.contains("4987 ticks alike"), "{alike}");

    let longer = format!("fork demo.antiphon --at {cut} --set turn.barge_in_ms=4000 --out longer");
    let told = desk.run(&longer).exits(0).stdout;
    assert!(told.contains(&format!("counterfactual from there (tick {cut}) on")), "{told}");
    let diff = desk.run("diff demo.antiphon longer").exits(1).stdout;
    let goes_on = diff.lines().find(|line| line.contains("the user speaks, to"));
    let goes_on = goes_on.unwrap_or_else(|| panic!("the recording's agent is silent: {diff}"));
    assert!(goes_on.contains("both speak, to"), "the fork's agent goes on: {diff}");

    // Every file says from where on it is not what happened.
    let file = |name: &str| {
        let path = desk.dir.path().join("longer").join(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let lines = |name: &str| -> Vec<Value> {
        let text = String::from_utf8(file(name)).expect("lines are text");
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    };
    for (name, key) in
        [("events.jsonl", "tick"), ("ticks.jsonl", "tick_id"), ("timing.jsonl", "tick")]
    {
        let lines = lines(name);
        assert!(lines.iter().any(|line| line["counterfactual"] == true), "{name}");
        for line in lines {
            let after = line[key].as_u64().is_some_and(|tick| tick >= cut);
            assert_eq!(line["counterfactual"] == true, after, "{name}: {line}");
        }
    }
    let metrics: Value = serde_json::from_slice(&file("metrics.json")).expect("it is JSON");
    assert_eq!(metrics["counterfactual_from_tick"], cut);
    let transcript: Value = serde_json::from_slice(&file("transcript.json")).expect("it is JSON");
    let turns = transcript.as_array().expect("a list of turns");
    assert!(turns.iter().any(|turn| turn["counterfactual"] == true));
    assert!(turns.iter().any(|turn| turn["counterfactual"] != true));
    let page = String::from_utf8(file("report.html")).expect("a page is text");
    assert!(page.contains("counterfactual"), "the report says so");
    let info = desk.run("journal info longer/journal.antiphon").exits(0).stdout;
    assert!(info.contains(&format!("counterfactual from tick {cut} on")), "{info}");
    desk.run("replay longer/journal.antiphon").exits(0);
}

#[test]
fn heard_through_opus_a_full_journal_takes_less_than_a_megabyte_a_minute() {
    let desk = Desk::new();
    desk.run("demo --fast --opus --out call").exits(0);
    let told = desk.run("journal info call/journal.antiphon --json").exits(0).stdout;
    let told: Value = serde_json::from_str(&told).expect("it is an object");
    let a_minute = told["bytes_a_minute"].as_f64().expect("a number");
    println!("{a_minute} bytes a minute: {}", told["bytes"]);
    assert!(a_minute < 1_000_000.0, "{told}");
    let events = desk.events("call");
    let intents = events.iter().filter_map(|event| event["intent"].as_str());
    assert_eq!(intents.collect::<Vec<_>>(), INTENTS, "the caller is understood through Opus");
    desk.run("replay call/journal.antiphon").exits(0);
}

#[test]
fn what_the_readme_quotes_of_the_demo_is_what_is_printed() {
    let desk = Desk::new();
    let folder = desk.dir.path().join("out/demo");
    fs::create_dir_all(&folder).expect("room");
    for (name, bytes) in &demo().files[0] {
        fs::write(folder.join(name), bytes).expect("room");
    }
    let readme = include_str!("../README.md");
    let blocks = readme.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut quoted = 0;
    for block in blocks.filter(|block| block.starts_with("$ antiphon ")) {
        for session in block.split("$ antiphon ").skip(1) {
            let (words, expected) = session.split_once('\n').expect("a command is a line");
            let ran = desk.run(words);
            assert_eq!(ran.stdout.trim_end(), expected.trim_end(), "antiphon {words}");
            quoted += 1;
        }
    }
    assert!(quoted >= 3, "timeline, fork and diff are quoted");
}
