//! A call is replayed from its journal alone: from virtual time and real time, without the speech
//! libraries, and as far as it goes when the program was killed.

mod program;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use antiphon::journal::Journal;
use antiphon::pcm::wav;
use program::{Desk, Ran, ran};
use serde_json::Value;

/// A desk that opens at nine: what is said is heard by PocketSphinx and answered by flite.
const DESK: &str = "
name: desk
speech: { recogniser: { engine: pocketsphinx }, synthesiser: { engine: flite } }
agents:
  desk:
    intents:
      - { name: hours, phrases: [what are your opening hours], say: From nine to six., end_call: true }
";

const CALLER: &str = "cues: [{ play: hours.wav, after: { start_ms: 100 } }]";

/// A desk that talks for longer than anybody listens, and cannot be interrupted.
const TALKER: &str = "
name: talker
turn: { barge_in: false }
speech: { recogniser: { engine: pocketsphinx }, synthesiser: { engine: flite } }
agents:
  talker:
    greeting: >-
      Welcome to the corner shop. You may return anything within thirty days, as long as it is clean and in its
      original box. Please keep the receipt, put the label on the outside, and bring the parcel to any post office.
    intents: [{ name: hours, phrases: [what are your opening hours] , say: From nine to six. }]
";

/// The caller talks on and on, so that there is always something to read from the program.
const CHATTER: &str = "
cues:
  - { play: hours.wav, after: { start_ms: 500 } }
  - { play: hours.wav, after: { previous_ms: 0 } }
  - { play: hours.wav, after: { previous_ms: 0 } }
";

const HOURS: &[u8] = include_bytes!("../audio/caller-02-hours.wav");

/// The exit codes of `antiphon replay`.
const EQUAL: i32 = 0;
const DIVERGED: i32 = 1;
const UNREADABLE: i32 = 2;
const INCOMPATIBLE: i32 = 3;

fn desk() -> Desk {
    let desk = Desk::new();
    desk.put("desk.yaml", DESK);
    desk.put("caller.yaml", CALLER);
    desk.put("hours.wav", HOURS);
    desk
}

/// The journal of a run in virtual time.
fn journal() -> &'static [u8] {
    static JOURNAL: OnceLock<Vec<u8>> = OnceLock::new();
    JOURNAL.get_or_init(|| {
        let desk = desk();
        desk.run("run desk.yaml --input caller.yaml --out call --fast").exits(0);
        let intents: Vec<_> = desk.events("call").iter().map(|e| e["intent"].clone()).collect();
        assert!(intents.contains(&"hours".into()), "the run is worth a replay");
        fs::read(desk.dir.path().join("call/journal.antiphon")).expect("a run has a journal")
    })
}

/// Replays these bytes.
fn replay(bytes: &[u8]) -> Ran {
    let desk = Desk::new();
    desk.put("journal", bytes);
    desk.run("replay journal")
}

#[test]
fn a_run_in_virtual_time_is_replayed_equal() {
    let ticks = Journal::read(journal()).expect("it is whole").ticks.len();
    let told = replay(journal()).exits(EQUAL).stdout;
    assert_eq!(told, format!("journal: equal: {ticks} ticks, every digest as recorded\n"));
    let desk = Desk::new();
    desk.put("journal", journal());
    let json = desk.run("replay journal --json").exits(EQUAL).stdout;
    let json: Value = serde_json::from_str(&json).expect("it is an object");
    assert_eq!(json, serde_json::json!({ "result": "equal", "ticks": ticks }));
}

#[test]
fn a_replay_needs_no_speech_library() {
    let desk = desk();
    desk.put("journal", journal());
    let without = |words: &str| {
        let mut command = desk.command(env!("CARGO_BIN_EXE_antiphon"), words);
        let nowhere = desk.dir.path().join("nowhere");
        for variable in
            ["ANTIPHON_POCKETSPHINX_LIB", "ANTIPHON_POCKETSPHINX_MODEL", "ANTIPHON_FLITE_LIB"]
        {
            command.env(variable, &nowhere);
        }
        ran(&mut command)
    };
    let run = without("run desk.yaml --input caller.yaml --out call --fast").exits(2);
    assert!(run.stderr.contains("libflite1"), "there are no libraries: {}", run.stderr);
    without("replay journal").exits(EQUAL);
}

#[test]
fn a_run_in_real_time_is_replayed_equal() {
    let desk = desk();
    desk.run("run desk.yaml --input caller.yaml --out call").exits(0);
    let events = desk.events("call");
    let finished = events.iter().filter(|event| event["type"] == "agent.speech_finished");
    assert_eq!(finished.count(), 1, "the caller is heard and answered: {events:#?}");
    desk.run("replay call/journal.antiphon").exits(EQUAL);
}

#[test]
fn a_killed_run_leaves_a_journal_and_a_recording_up_to_its_last_second() {
    let desk = desk();
    desk.put("talker.yaml", TALKER);
    desk.put("chatter.yaml", CHATTER);
    let words = "run talker.yaml --input chatter.yaml --out call --json";
    let mut command = desk.command(env!("CARGO_BIN_EXE_antiphon"), words);
    // Nobody reads its complaints: a pipe could fill up.
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let killed_ms = killed_while_the_agent_speaks(&mut command, 2_500);

    let folder = desk.dir.path().join("call");
    let read =
        |name: &str| fs::read(folder.join(name)).expect("the files are there from the start");
    let journal = Journal::read(&read("journal.antiphon")).expect("its whole entries can be read");
    let last = journal.ticks.last().expect("it has ticks").input.tick;
    assert!(last.0 * 20 + 1_000 >= killed_ms, "it ends at {} ms of {killed_ms}", last.0 * 20);
    let told = desk.run("replay call/journal.antiphon").exits(EQUAL).stdout;
    assert!(told.contains(&format!("equal: {} ticks", journal.ticks.len())), "{told}");

    let recording = wav::read(&read("conversation.wav")).expect("the recording plays");
    assert_eq!((recording.channels, recording.truncated), (2, None));
    let ms = recording.pcm.len() as u64 * 1_000 / u64::from(recording.rate_hz);
    // A second of what is not yet written, and what is under way to the thread that writes.
    assert!(ms + 1_500 >= killed_ms, "it plays {ms} ms of {killed_ms}");
    assert!(recording.pcm.iter().any(|sample| sample.unsigned_abs() > 1_000), "it is silent");
    let events = desk.events("call");
    assert!(!events.is_empty(), "whole lines are left");
}

/// Kills a call as soon as it is so old and the agent is speaking; returns its age.
fn killed_while_the_agent_speaks(command: &mut Command, from_ms: u64) -> u64 {
    let mut child = command.spawn().expect("the program starts");
    let lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    let (mut speaks, mut ms) = (false, 0);
    for line in lines {
        let event: Value = serde_json::from_str(&line.expect("text")).expect("an event is JSON");
        match event["type"].as_str() {
            Some("agent.speech_started") => speaks = true,
            Some("agent.speech_finished") => speaks = false,
            _ => {}
        }
        ms = event["ms"].as_u64().unwrap_or(ms);
        if speaks && ms >= from_ms {
            break;
        }
    }
    child.kill().expect("it is still there");
    let status = child.wait().expect("it is ours");
    assert!(status.code().is_none(), "it ended by itself: {status}");
    assert!(speaks, "the agent never spoke");
    ms
}

#[test]
fn an_interrupted_run_ends_in_good_order() {
    let desk = desk();
    desk.put("talker.yaml", TALKER);
    desk.put("chatter.yaml", CHATTER);
    let words = "run talker.yaml --input chatter.yaml --out call --json";
    let mut command = desk.command(env!("CARGO_BIN_EXE_antiphon"), words);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    let mut events = lines.by_ref().map(|line| line.expect("text"));
    assert!(events.any(|line| line.contains("agent.speech_started")), "the agent never spoke");
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(signal.expect("there is a kill").success());
    let summary = lines.map(|line| line.expect("text")).last().expect("there is a summary");
    assert!(summary.contains(r#""type":"summary""#), "{summary}");
    assert_eq!(child.wait().expect("it is ours").code(), Some(130));
    for file in ["transcript.json", "metrics.json", "conversation.wav"] {
        assert!(desk.dir.path().join("call").join(file).is_file(), "{file}");
    }
    desk.run("replay call/journal.antiphon").exits(EQUAL);
}

#[test]
fn a_torn_end_is_left_out_and_told() {
    let whole = journal();
    let ran = replay(&whole[..whole.len() - 100]).exits(EQUAL);
    assert!(ran.stderr.contains("the last entry is incomplete"), "{}", ran.stderr);
}

#[test]
fn a_changed_digest_is_a_divergence() {
    let mut bytes = journal().to_vec();
    let ticks = Journal::read(&bytes).expect("it is whole").ticks;
    let (_, ends) = entries(&bytes);
    let last = &ticks[ticks.len() - 1];
    // An entry ends with the digest and a number of variable length.
    let at = ends[ends.len() - 1] - varint(last.outcomes.heard.into()) - 8;
    bytes[at] ^= 1;
    mend(&mut bytes);
    let told = replay(&bytes).exits(DIVERGED).stdout;
    let tick = last.input.tick;
    for words in [
        format!("diverged at tick {tick} ({} ms); the audio heard is the same", tick.0 * 20),
        format!("recorded: digest {:016x}", last.outcomes.digest ^ 1),
        format!("replayed: digest {:016x}", last.outcomes.digest),
        "session.ended".into(),
    ] {
        assert!(told.contains(&words), "{words:?} is not in:\n{told}");
    }
}

#[test]
fn what_is_no_journal_is_not_replayed() {
    let mut flipped = journal().to_vec();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    let random: Vec<u8> =
        (0..5_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let later = [b"ANTIPHON".as_slice(), &[9, 0], &journal()[10..]].concat();
    let table: [(&str, &[u8], &str); 6] = [
        ("text", b"a letter, not a journal", "this is not a journal"),
        ("random bytes", &random, "this is not a journal"),
        ("nothing", b"", "this is not a journal"),
        ("a head alone", b"ANTIPHON\x02\x00", "it has no header"),
        ("another format", &later, "has format 9, this program reads format 2"),
        ("a flipped byte", &flipped, "the checksum does not fit"),
    ];
    for (what, bytes, words) in table {
        let ran = replay(bytes).exits(UNREADABLE);
        assert!(ran.stderr.contains(words), "{what}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("journal: "), "{what}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{what}");
    }
    let missing = Desk::new().run("replay no/such.antiphon").exits(UNREADABLE).stderr;
    assert!(
        missing.contains("no/such.antiphon") && missing.contains("check the path"),
        "{missing}"
    );
}

#[test]
fn another_build_is_not_compared() {
    let mut bytes = journal().to_vec();
    let build = Journal::read(&bytes).expect("it is whole").header.build;
    // The first thing in a journal that reads like the build is the header's.
    let at = bytes.windows(build.len()).position(|window| window == build.as_bytes());
    bytes[at.expect("the header has it")] = b'X';
    mend(&mut bytes);
    let told = replay(&bytes).exits(INCOMPATIBLE).stdout;
    let other = format!("X{}", &build[1..]);
    assert!(told.contains(&format!("another build: `{other}`; this is `{build}`")), "{told}");
}

/// Where entries begin and end: after eight letters and a version of two bytes, each has a length
/// and a checksum of four bytes and then so many bytes.
fn entries(bytes: &[u8]) -> (Vec<usize>, Vec<usize>) {
    let (mut begins, mut ends, mut at) = (Vec::new(), Vec::new(), 10);
    while at < bytes.len() {
        let len = bytes[at..at + 4].try_into().expect("four bytes");
        begins.push(at);
        // The upper four bits check the others.
        at += 8 + (u32::from_le_bytes(len) & 0x0FFF_FFFF) as usize;
        ends.push(at);
    }
    (begins, ends)
}

/// Makes the checksums fit again.
fn mend(bytes: &mut [u8]) {
    let (begins, ends) = entries(bytes);
    for (begin, end) in begins.into_iter().zip(ends) {
        let sum = crc32fast::hash(&bytes[begin + 8..end]);
        bytes[begin + 4..begin + 8].copy_from_slice(&sum.to_le_bytes());
    }
}

/// How many bytes a number takes: seven bits in each.
fn varint(number: u64) -> usize {
    (64 - number.leading_zeros() as usize).div_ceil(7).max(1)
}
