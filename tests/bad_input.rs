//! What a person may do wrong: each mistake is named, with what to do about it, before anything is
//! written.

mod program;

use std::path::Path;

use program::{Desk, Ran};

const DESK: &str = "
name: desk
speech: { synthesiser: { engine: tone } }
agents:
  desk: { greeting: Hello. }
";

const HANDED_OVER: &str = "
name: desk
start: front
agents:
  front: { intents: [{ name: bill, phrases: [my bill] }] }
  billing: {}
transitions: [{ from: front, to: biling, when: { intent: bill } }]
";

const UNKNOWN_KEYS: &str = "
name: desk
sead: 7
turn: { barge_inn: false }
agents:
  desk: { greting: Hello. }
";

const UNKNOWN_VOICE: &str = "
name: desk
speech: { synthesiser: { engine: flite } }
agents:
  desk: { voice: hal9000, greeting: Hello. }
";

const UNKNOWN_TOOL: &str = "
name: desk
tools: { oracle: { run: inline } }
agents:
  desk: { tools: [oracle], intents: [{ name: ask, phrases: [tell me], call: { tool: oracle } }] }
";

const CALLER: &str = "cues: [{ play: hours.wav, after: { start_ms: 0 } }]";

const HOURS: &[u8] = include_bytes!("../audio/caller-02-hours.wav");

/// Bytes that look like nothing.
fn random() -> Vec<u8> {
    (0..5_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// A folder with everything that is right, and everything that is wrong.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.put("desk.yaml", DESK);
    desk.put("handed-over.yaml", HANDED_OVER);
    desk.put("unknown-keys.yaml", UNKNOWN_KEYS);
    desk.put("unknown-voice.yaml", UNKNOWN_VOICE);
    desk.put("unknown-tool.yaml", UNKNOWN_TOOL);
    desk.put("caller.yaml", CALLER);
    desk.put("no-clip.yaml", "cues: [{ play: hours.wav }, { play: lost.wav }, { play: gone.wav }]");
    desk.put("wrong-cue.yaml", "cues: [{ pley: hours.wav }]");
    desk.put("hours.wav", HOURS);
    desk.put("cut.wav", &HOURS[..HOURS.len() / 2]);
    desk.put("empty.wav", "");
    desk.put("text.wav", "Dear sir or madam,\nthis is a letter.\n");
    desk.put("random.wav", random());
    desk.put("random.yaml", random());
    desk.put("empty.yaml", "");
    desk.put("a-file", "in the way");
    desk
}

/// What is run, and the words that the complaint must have.
type Mistake = (&'static str, &'static [&'static str]);

const MISTAKES: &[Mistake] = &[
    // what is heard
    ("run desk.yaml --input lost.wav", &["lost.wav: cannot be read", "check the path"]),
    ("run desk.yaml --input empty.wav", &["empty.wav: ", "empty"]),
    ("run desk.yaml --input text.wav", &["text.wav: ", "not a WAV", "looks like"]),
    ("run desk.yaml --input random.wav", &["random.wav: ", "not a WAV"]),
    ("run desk.yaml --input .", &[".: cannot be read"]),
    ("run desk.yaml --input no-clip.yaml", &["lost.wav: cannot be read", "gone.wav: cannot"]),
    ("run desk.yaml --input random.yaml", &["random.yaml:1:", "is this the right file?"]),
    ("run desk.yaml --input wrong-cue.yaml", &["wrong-cue.yaml:1:", "did you mean `play`?"]),
    ("run desk.yaml --input lost.yaml", &["lost.yaml: there is no such file; check the path"]),
    ("run desk.yaml", &["--input <FILE>", "required"]),
    ("run desk.yaml --input hours.wav --input lost.wav", &["lost.wav: cannot be read"]),
    (
        "run desk.yaml --input empty.wav --input caller.yaml --input text.wav --input no-clip.yaml",
        &["empty.wav: ", "text.wav: ", "lost.wav: ", "gone.wav: "],
    ),
    // the configuration
    ("run lost.yaml --input hours.wav", &["lost.yaml: there is no such file; check the path"]),
    ("run random.yaml --input hours.wav", &["random.yaml:1:", "is this the right file?"]),
    ("run empty.yaml --input hours.wav", &["empty.yaml: the file is empty", "`name:`"]),
    ("run hours.wav --input hours.wav", &["hours.wav:1:", "is this the right file?"]),
    ("run handed-over.yaml --input hours.wav", &["biling", "did you mean `billing`?"]),
    (
        "run unknown-keys.yaml --input hours.wav",
        &["did you mean `seed`?", "did you mean `barge_in`?", "did you mean `greeting`?"],
    ),
    ("run unknown-voice.yaml --input hours.wav", &["agents.desk: ", "no voice `hal9000`", "slt"]),
    ("run unknown-tool.yaml --input hours.wav", &["no tool `oracle`", "canned"]),
];

/// Where the call goes, and the words of the complaint that it cannot.
const PLACES: &[Mistake] = &[
    ("--out a-file", &["a-file: a file stands where a folder is needed; name another folder"]),
    ("--out a-file/call", &["a-file/call: a file stands where", "name another folder"]),
    ("--out /proc/antiphon", &["/proc/antiphon: "]),
    ("--out call --journal no/such/folder/j", &["j: the journal cannot be written", "choose"]),
    ("--out call --journal a-file/j", &["a-file/j: the journal cannot be written"]),
    ("--out new --journal new/deeper/j", &["new/deeper/j: the journal cannot be written"]),
    ("--out call --journal hours.wav", &["hours.wav: the journal would be written over it"]),
    ("--out call --journal .", &[".: the journal cannot be written"]),
    ("--out new/call --journal /proc/antiphon", &["/proc/antiphon: the journal cannot be"]),
];

/// Runs something that must be refused with these words, and leaves the folder as it was.
fn refused(desk: &Desk, words: &str, expected: &[&str]) {
    let before = listing(desk.dir.path());
    let Ran { stdout, stderr, .. } = desk.run(words).exits(2);
    for part in expected {
        assert!(stderr.contains(part), "{words}: {part:?} is not in:\n{stderr}");
    }
    assert!(!stderr.contains("panicked"), "{words}:\n{stderr}");
    assert_eq!(stdout, "", "{words}: complaints belong to stderr");
    assert_eq!(listing(desk.dir.path()), before, "{words}: something was written");
}

/// Every file and folder with its size.
fn listing(folder: &Path) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        let name = path.display().to_string();
        let found = path.metadata().expect("it can be looked at");
        if found.is_dir() {
            all.push((name, 0));
            all.extend(listing(&path));
        } else {
            all.push((name, found.len()));
        }
    }
    all.sort();
    all
}

#[test]
fn every_mistake_is_named_and_nothing_is_written() {
    let desk = desk();
    for (words, expected) in MISTAKES {
        for fast in ["", " --fast"] {
            refused(&desk, &format!("{words} --out call{fast}"), expected);
        }
    }
}

#[test]
fn a_place_that_cannot_be_written_is_named_and_nothing_is_written() {
    let desk = desk();
    for (place, expected) in PLACES {
        refused(&desk, &format!("run desk.yaml --input hours.wav {place} --fast"), expected);
    }
    refused(&desk, "demo --fast --out a-file", PLACES[0].1);
}

#[test]
fn an_earlier_call_survives_a_mistake() {
    let desk = desk();
    desk.run("run desk.yaml --input hours.wav --out call --fast").exits(0);
    let wrong = "run desk.yaml --input hours.wav --out call --journal a-file/j --fast";
    refused(&desk, wrong, &["a-file/j: the journal cannot be written"]);
    desk.put("earlier", "what was here before");
    let wrong = "run desk.yaml --input hours.wav --out a-file --journal earlier --fast";
    refused(&desk, wrong, &["a-file: a file stands where a folder is needed"]);
    let folder = desk.dir.path().join("call/journal.antiphon");
    std::fs::remove_file(&folder).and_then(|()| std::fs::create_dir(&folder)).expect("it is ours");
    let wrong = "run desk.yaml --input hours.wav --out call --fast";
    refused(&desk, wrong, &["call/journal.antiphon: the journal cannot be written"]);
    refused(&desk, "run desk.yaml --input lost.wav --out call", &["lost.wav"]);
}

#[test]
fn a_journal_may_lie_in_the_folder_that_is_made() {
    let desk = desk();
    desk.run("run desk.yaml --input hours.wav --out call --journal call/mine --fast").exits(0);
    desk.run("replay call/mine").exits(0);
    assert!(!desk.dir.path().join("call/journal.antiphon").exists());
}

#[test]
fn who_stops_reading_misses_lines_and_stops_nothing() {
    let desk = desk();
    let antiphon = env!("CARGO_BIN_EXE_antiphon");
    let run = "run desk.yaml --input hours.wav --out call --fast";
    for words in [run, &format!("{run} --json"), "check desk.yaml", "replay call/journal.antiphon"]
    {
        let (reader, writer) = std::io::pipe().expect("there are pipes");
        drop(reader);
        let mut child = desk.command(antiphon, words).stdout(writer).spawn().expect("it starts");
        let status = child.wait().expect("it is ours");
        assert!(status.success(), "{words}: {status}");
    }
}

#[test]
fn check_names_the_mistakes_of_every_file() {
    let desk = desk();
    let Ran { stdout, stderr, .. } = desk
        .run("check handed-over.yaml desk.yaml unknown-keys.yaml unknown-tool.yaml lost.yaml")
        .exits(2);
    for part in ["`billing`?", "`seed`?", "`barge_in`?", "`greeting`?", "`oracle`", "lost.yaml: "] {
        assert!(stderr.contains(part), "{part:?} is not in:\n{stderr}");
    }
    assert_eq!(stdout, "desk.yaml: ok: 1 agent, 0 tools, 0 transitions\n");
}

#[test]
fn another_kind_of_file_is_told_in_one_line() {
    let desk = desk();
    desk.put(
        "desk.test.yaml",
        "config: desk.yaml\ntests: [{ name: a, cues: [{ type: hello }] }]\n",
    );
    for (words, expected) in [
        (
            "check desk.test.yaml",
            "desk.test.yaml: this is a scenario, not a configuration; `antiphon test` takes it, or `--input` of `antiphon run`\n",
        ),
        (
            "test desk.yaml",
            "desk.yaml: this is a configuration, not a scenario; `antiphon check` and `antiphon run` take it; a test names it with `config:`\n",
        ),
    ] {
        assert_eq!(desk.run(words).exits(2).stderr, expected, "{words}");
    }
}

#[test]
fn a_truncated_wav_is_played_as_far_as_it_goes() {
    let desk = desk();
    let ran = desk.run("run desk.yaml --input cut.wav --out call --fast").exits(0);
    assert!(ran.stderr.contains("cut.wav: the file is truncated: "), "{}", ran.stderr);
    let events = desk.events("call");
    let stopped = events.iter().find(|event| event["type"] == "user.speech_stopped");
    let voiced_ms = stopped.expect("half a question is heard")["voiced_ms"].as_u64();
    assert!(voiced_ms.is_some_and(|ms| (900..=1_200).contains(&ms)), "{voiced_ms:?}");
}

#[test]
fn words_that_mean_nothing_are_explained() {
    let desk = desk();
    for (words, part) in [
        ("", "Usage"),
        ("sing", "unrecognized subcommand 'sing'"),
        ("demo --quick", "'--quick'"),
        ("run", "<CONFIG>"),
        ("run desk.yaml --input hours.wav", "--out <DIR>"),
        ("run desk.yaml --input hours.wav --out call --seed seven", "--seed <N>"),
        ("replay", "<JOURNAL>"),
        ("check", "<CONFIG>"),
    ] {
        refused(&desk, words, &[part]);
    }
}
