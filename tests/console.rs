//! A talk with the agent at this machine: by lines from a pipe, and on a terminal with keys.

#[expect(dead_code, reason = "the program is not run to its end without lines here")]
mod program;
mod terminal;

use std::fs;
use std::io::Write;
use std::process::Stdio;

use antiphon::journal::Journal;
use antiphon::sim::replay::{Replayed, replay};
use program::{Desk, Ran};
use serde_json::Value;
use terminal::Terminal;

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/demo.yaml");

/// A desk whose model speaks by itself, for a while.
const SLOW: &str = "
name: desk
models:
  voice:
    provider: canned
    replies:
      - { hears: stop, say: Yes. }
      - { say: You may return anything within thirty days as long as it is clean and in its box and please keep the receipt and bring the parcel to any post office. }
agents:
  desk: { kind: native, model: voice, instructions: You serve at a desk. }
";

/// Runs the program with these lines at its standard input.
fn piped(desk: &Desk, words: &str, lines: &str) -> Ran {
    let mut command = desk.command(env!("CARGO_BIN_EXE_antiphon"), words);
    // The speech libraries are not asked for.
    for library in ["ANTIPHON_POCKETSPHINX_LIB", "ANTIPHON_FLITE_LIB"] {
        command.env(library, "nowhere");
    }
    command.env("USER", "ann").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    // Who ends the call early reads no more.
    drop(stdin.write_all(lines.as_bytes()));
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("what is printed is UTF-8");
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// What was said, in order, of what was printed.
fn said(ran: &Ran) -> Vec<&str> {
    let talks = |line: &&str| {
        ["ann: ", "front_desk: ", "billing: "].iter().any(|who| line.starts_with(who))
    };
    ran.stdout
        .lines()
        .filter_map(|line| line.trim_start().split_once("s "))
        .map(|(_, it)| it)
        .filter(talks)
        .collect()
}

fn names(desk: &Desk) -> Vec<String> {
    let entries = fs::read_dir(desk.dir.path()).expect("the folder is there");
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

const TALK: &str = "what are your opening hours\n\nI have a question about my bill\nhow much do I owe\ngoodbye\nhello?\n";

#[test]
fn a_whole_conversation_can_be_piped_in_and_nothing_is_written() {
    let desk = Desk::new();
    let ran = piped(&desk, &format!("console {DEMO} --text"), TALK).exits(0);
    let talk = [
        "front_desk: Welcome to the corner shop. How can I help you?",
        "ann: what are your opening hours  → hours",
        "front_desk: We are open from nine to six, Monday to Saturday.",
        "ann: I have a question about my bill  → bill",
        "front_desk: I will pass you on to billing.",
        "billing: This is billing. What is your question?",
        "ann: how much do I owe  → balance",
        "billing: One moment, I am asking the accounts.",
        "billing: You owe 42 dollars. It is due on Friday.",
        "ann: goodbye  → goodbye",
        "billing: Thank you for calling. Goodbye!",
    ];
    assert_eq!(said(&ran), talk, "{}", ran.stdout);
    assert!(!ran.stdout.contains('\u{1b}'), "no colours where there is no terminal");
    assert!(ran.stdout.contains("4 turns, 1 hand-overs, 1 tool calls"), "{}", ran.stdout);
    assert!(ran.stderr.contains("before 1 more lines were said"), "{}", ran.stderr);
    assert!(!ran.stdout.contains("written to"), "{}", ran.stdout);
    assert_eq!(names(&desk), [""; 0]);
}

#[test]
fn the_end_of_the_lines_is_the_end_of_the_call_once_the_agent_is_done() {
    let desk = Desk::new();
    let ran = piped(
        &desk,
        &format!("console {DEMO} --text"),
        "I have a question about my bill\nhow much do I owe",
    );
    let ran = ran.exits(0);
    let talk = said(&ran);
    assert_eq!(talk.last(), Some(&"billing: You owe 42 dollars. It is due on Friday."), "{talk:?}");
    assert!(ran.stdout.contains("ended: ann hung up"), "{}", ran.stdout);
    // Nothing at all is a call, too.
    let ran = piped(&desk, &format!("console {DEMO} --text"), "").exits(0);
    assert_eq!(said(&ran), ["front_desk: Welcome to the corner shop. How can I help you?"]);
}

#[test]
fn a_recorded_talk_is_a_folder_of_a_run_whose_journal_replays() {
    let desk = Desk::new();
    let words = format!("console {DEMO} --text --record out/call --seed 9 --json");
    let ran = piped(&desk, &words, "what are your opening hours\ngoodbye\n").exits(0);
    let lines: Vec<Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let (summary, events) = lines.split_last().unwrap();
    assert_eq!((&summary["type"], &summary["metrics"]["turns"]), (&"summary".into(), &2.into()));
    assert_eq!(events, desk.events("out/call"), "the same events as in the folder");
    let folder = desk.dir.path().join("out/call");
    for name in
        ["conversation.wav", "transcript.json", "metrics.json", "report.html", "config.json"]
    {
        assert!(folder.join(name).is_file(), "{name}");
    }
    let journal = fs::read(folder.join("journal.antiphon")).unwrap();
    let journal = Journal::read(&journal).unwrap();
    assert_eq!(journal.header.seed, 9);
    let ticks = journal.ticks.len() as u64;
    assert_eq!(replay(&journal, |_, _| {}), Ok(Replayed::Equal { ticks }));
}

#[test]
fn what_is_wrong_is_told_before_anything_is_written() {
    let desk = Desk::new();
    desk.put("typo.yaml", "name: desk\nagents: { desk: { greting: Hello. } }\n");
    desk.put("file", "");
    for (words, told) in [
        ("console typo.yaml --text --record out", "greting"),
        ("console nowhere.yaml --text", "nowhere.yaml"),
        (&*format!("console {DEMO} --text --conversation evening"), "evening"),
        (&*format!("console {DEMO} --text --record file"), "file"),
    ] {
        let ran = piped(&desk, words, "hello\n").exits(2);
        assert!(ran.stderr.contains(told), "{words}: {}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
    let mut names = names(&desk);
    names.sort();
    assert_eq!(names, ["file", "typo.yaml"]);
}

#[test]
fn a_text_is_typed_and_answered_on_the_screen_and_the_terminal_is_given_back() {
    let desk = Desk::new();
    let mut terminal = Terminal::start(&desk, &format!("console {DEMO} --text"), (80, 24), &[]);
    terminal.awaits("front_desk: Welcome to the corner shop.");
    terminal.awaits("late p50");
    terminal.press("what are your openong\u{7f}\u{7f}\u{7f}ing hours");
    terminal.awaits("> what are your opening hours");
    terminal.press("\r");
    terminal.awaits("ann: what are your opening hours  → hours");
    terminal.awaits("front_desk: We are open from nine to six");
    terminal.press("how are you\u{1b}");
    terminal.awaits("t to type");
    // A key that is pressed while the size changes may wait for the next one: crossterm loses its edge.
    terminal.resize(60, 12);
    terminal.awaits_no("────────");
    terminal.press("?");
    terminal.awaits("ends the call");
    terminal.press("?");
    terminal.awaits_no("ends the call");
    terminal.resize(100, 30);
    terminal.awaits(&"─".repeat(100));
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
    terminal.is_given_back();
    let left = terminal.text();
    for line in [
        "ann: what are your opening hours  → hours",
        "front_desk: I have to end this call now. Goodbye.",
        "ended: ann ended the call",
        "1 turns, 0 hand-overs",
    ] {
        assert!(left.contains(line), "{line} is left on the terminal:\n{left}");
    }
    assert_eq!(names(&desk), [""; 0]);
}

#[test]
fn what_the_agent_says_is_interrupted_by_a_key() {
    let desk = Desk::new();
    desk.put("slow.yaml", SLOW);
    let mut terminal =
        Terminal::start(&desk, "console slow.yaml --text --record out", (80, 24), &[]);
    terminal.press("what is the policy\r");
    terminal.awaits("desk: You may return");
    terminal.awaits("speaking  floor: agent");
    // The first leaves the typing, the second interrupts.
    terminal.press("\u{1b}");
    terminal.awaits("t to type");
    terminal.press("i");
    terminal.awaits("[cut]");
    terminal.awaits("listening  floor: nobody");
    terminal.press("tstop\r");
    terminal.awaits("desk: Yes.");
    terminal.press("\u{3}");
    terminal.ends();
    terminal.is_given_back();
    let cut = desk.events("out").into_iter().find(|event| event["type"] == "agent.interrupted");
    let cut = cut.expect("it was cut");
    assert_eq!(cut["cause"], "asked");
    let journal =
        Journal::read(&fs::read(desk.dir.path().join("out/journal.antiphon")).unwrap()).unwrap();
    let ticks = journal.ticks.len() as u64;
    assert_eq!(replay(&journal, |_, _| {}), Ok(Replayed::Equal { ticks }));
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_call_in_good_order_and_gives_the_terminal_back() {
    let desk = Desk::new();
    let words = format!("console {DEMO} --text --record out");
    let mut terminal = Terminal::start(&desk, &words, (80, 24), &[]);
    terminal.awaits("Welcome");
    terminal.signal("TERM");
    assert_eq!(terminal.ends(), 130);
    terminal.is_given_back();
    let last = desk.events("out").pop().unwrap();
    assert_eq!(
        (&last["type"], &last["reason"]["closed"]),
        (&"session.ended".into(), &"ann ended the call".into())
    );
}

#[cfg(unix)]
#[test]
fn a_terminal_that_is_gone_ends_the_call_and_its_files_are_whole() {
    let desk = Desk::new();
    terminal::taken_away(&desk, &format!("console {DEMO} --text --record out"), "Welcome");
    assert_eq!(desk.events("out").pop().unwrap()["type"], "session.ended");
    assert!(desk.dir.path().join("out/report.html").is_file());
}

#[test]
fn a_dumb_terminal_gets_lines_and_who_wants_no_colour_gets_none() {
    let desk = Desk::new();
    let words = format!("console {DEMO} --text");
    let mut terminal =
        Terminal::start(&desk, &words, (80, 24), &[("TERM", "dumb"), ("NO_COLOR", "1")]);
    terminal.awaits("front_desk: Welcome");
    terminal.press("goodbye\r");
    terminal.awaits("front_desk: Thank you for calling. Goodbye!");
    assert_eq!(terminal.ends(), 0);
    assert!(!terminal.written().contains('\u{1b}'), "{:?}", terminal.written());
    let mut terminal = Terminal::start(&desk, &words, (80, 24), &[("NO_COLOR", "1")]);
    terminal.awaits("front_desk: Welcome");
    terminal.press("goodbye\r");
    assert_eq!(terminal.ends(), 0);
    let colours =
        ["\u{1b}[3", "\u{1b}[38;", "\u{1b}[4"].map(|code| terminal.written().matches(code).count());
    assert!(terminal.written().contains("\u{1b}[?1049h"), "it was a screen");
    assert!(!terminal.written().contains("\u{1b}[38;5;"), "{colours:?}");
    terminal.is_given_back();
}

#[test]
fn the_picture_in_the_guide_is_the_screen() {
    let read = |path: &str| {
        fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).expect("it is there")
    };
    let snapshot = read("tests/snapshots/console-80x24.snap");
    let picture = snapshot.splitn(3, "---\n").nth(2).expect("a snapshot has a head").trim_end();
    let remedy = "put tests/snapshots/console-80x24.snap into docs/console.md";
    assert!(read("docs/console.md").contains(picture), "{remedy}");
}
