//! Journals in operation: how much is written, where, for how long, and what happens when it cannot be.

mod program;

use std::fs;
use std::path::Path;

use antiphon::journal::{Journal, Mode};
use program::{Desk, ran};
use serde_json::Value;

/// A desk without speech libraries: what is typed is answered in tones.
const DESK: &str = "
name: desk
speech: { synthesiser: { engine: tone } }
agents:
  desk:
    intents:
      - { name: hours, phrases: [what are your opening hours], say: From nine to six. }
      - { name: look, phrases: [look it up], call: { tool: look, with: { secret: tulip } }, then: 'It is {result}.' }
      - { name: bye, phrases: [goodbye], say: Goodbye., end_call: true }
    tools: [look]
tools: { look: { canned: { otherwise: rose } } }
";

const CALLER: &str = "
name: ann
noise: hours.wav
cues:
  - { type: what are your opening hours, after: { start_ms: 500 } }
  - { type: look it up, after: { agent_silent_ms: 300 } }
  - { type: goodbye, after: { agent_silent_ms: 300 } }
";

const RUN: &str = "run desk.yaml --input caller.yaml --out call --fast";

fn desk(more: &str) -> Desk {
    let desk = Desk::new();
    desk.put("desk.yaml", format!("{DESK}{more}"));
    desk.put("caller.yaml", CALLER);
    desk.put("hours.wav", include_bytes!("../audio/caller-02-hours.wav"));
    desk
}

fn read(path: &Path) -> Journal {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Journal::read(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn journals(desk: &Desk, folder: &str) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(desk.dir.path().join(folder)).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn lost(desk: &Desk) -> Vec<Value> {
    let events = desk.events("call");
    assert_eq!(events.last().map(|event| &event["type"]), Some(&"session.ended".into()));
    events.into_iter().filter(|event| event["type"] == "journal.lost").collect()
}

fn metrics(desk: &Desk) -> Value {
    let text = fs::read(desk.dir.path().join("call/metrics.json")).expect("a run has metrics");
    serde_json::from_slice(&text).expect("they are JSON")
}

#[test]
fn a_journal_of_events_can_be_read_and_not_replayed() {
    let desk = desk("journal: events");
    desk.run(RUN).exits(0);
    let journal = read(&desk.dir.path().join("call/journal.antiphon"));
    assert_eq!(journal.header.mode, Mode::Events);
    let told: Vec<Value> = journal
        .ticks
        .iter()
        .flat_map(|entry| &entry.outcomes.events)
        .map(|event| event.to_json(antiphon::clock::TickLen::from_ms(20).expect("20 ms")))
        .collect();
    assert_eq!(told, desk.events("call"), "every event is in it");
    assert_eq!((journal.sizes.samples, journal.sizes.speech), (0, 0), "and no sound");
    let refused = desk.run("replay call/journal.antiphon").exits(2).stderr;
    assert!(refused.contains("journal: full"), "{refused}");
    let right = desk.run("journal verify call/journal.antiphon").exits(0).stdout;
    assert!(right.contains("it is events"), "{right}");
    let timeline = desk.run("timeline call/journal.antiphon").exits(0).stdout;
    assert!(timeline.contains("user.message"), "{timeline}");
}

#[test]
fn without_a_journal_nothing_is_left_of_an_earlier_one() {
    let with = desk("");
    with.run(RUN).exits(0);
    assert!(with.dir.path().join("call/journal.antiphon").is_file());
    with.put("desk.yaml", format!("{DESK}journal: off"));
    with.run(RUN).exits(0);
    assert!(!with.dir.path().join("call/journal.antiphon").exists());
    // What was written can be told all the same.
    let timeline = with.run("timeline call").exits(0).stdout;
    assert!(timeline.contains("agent.speech_started"), "{timeline}");
}

#[test]
fn a_folder_keeps_a_journal_for_each_call_and_no_more_than_wanted() {
    let desk = desk("journals: { folder: kept, max_size_mb: 2 }");
    for _ in 0..3 {
        let told = desk.run(RUN).exits(0).stdout;
        assert!(told.contains("journal: kept"), "{told}");
    }
    let three = journals(&desk, "kept");
    assert_eq!(three.len(), 3);
    for path in &three {
        assert!(!read(path).ticks.is_empty());
        desk.run(&format!("replay {}", path.display())).exits(0);
    }
    fs::write(desk.dir.path().join("kept/a-old.antiphon"), vec![0; 2_000_000]).expect("room");
    let old = fs::File::options().write(true).open(desk.dir.path().join("kept/a-old.antiphon"));
    old.expect("it is there").set_modified(std::time::UNIX_EPOCH).expect("a date");
    desk.run(RUN).exits(0);
    let left = journals(&desk, "kept");
    assert!(left.iter().all(|path| !path.ends_with("a-old.antiphon")), "{left:?}");
    assert_eq!(left.len(), 4, "the others fit");
}

#[test]
fn a_folder_that_cannot_be_written_costs_the_journal_and_not_the_call() {
    let desk = desk("journals: { folder: desk.yaml/kept }");
    let told = desk.run(RUN).exits(1).stderr;
    assert!(told.contains("journal: "), "{told}");
    let lost = lost(&desk);
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0]["tick"], 0);
    let metrics = metrics(&desk);
    assert_eq!(metrics["journal_lost_ticks"], metrics["ticks"], "all of it is counted");
}

#[test]
fn a_full_disk_costs_the_rest_of_the_journal_and_not_the_call() {
    let desk = desk("journals: { folder: disk/kept }");
    // A call of half a minute: it goes on for long after the disk is full.
    let again = "  - { type: what are your opening hours, after: { agent_silent_ms: 300 } }\n";
    let longer =
        CALLER.replace("  - { type: goodbye", &format!("{}  - {{ type: goodbye", again.repeat(12)));
    desk.put("caller.yaml", longer);
    fs::create_dir(desk.dir.path().join("disk")).expect("room");
    // A disk of 256 KB, of which a few seconds of PCM are enough; nobody else sees it.
    let script = format!(
        "mount -t tmpfs -o size=256k tmpfs disk && mkdir disk/kept && {} {RUN}; code=$?; cp disk/kept/*.antiphon left; \
         exit $code",
        env!("CARGO_BIN_EXE_antiphon")
    );
    let mut command = desk.command("unshare", "--mount");
    if !is_root() {
        command.arg("--map-root-user");
    }
    let ran = ran(command.args(["sh", "-c", &script]));
    assert!(
        desk.dir.path().join("left").exists(),
        "a small disk could not be mounted in a namespace of its own; run as root, or permit unprivileged user \
         namespaces (sysctl kernel.unprivileged_userns_clone=1): {}",
        ran.stderr
    );
    let told = ran.exits(1).stderr;
    assert!(told.contains("No space left"), "{told}");
    let lost = lost(&desk);
    assert_eq!(lost.len(), 1);
    assert!(lost[0]["cause"].as_str().is_some_and(|cause| cause.contains("No space left")));
    let left = read(&desk.dir.path().join("left"));
    let metrics = metrics(&desk);
    let missing = metrics["journal_lost_ticks"].as_u64().expect("a number");
    assert!(missing > 0 && !left.ticks.is_empty());
    assert_eq!(left.ticks.len() as u64 + missing, metrics["ticks"].as_u64().expect("a number"));
    desk.run("replay left").exits(0);
}

fn is_root() -> bool {
    let id = std::process::Command::new("id").arg("-u").output().expect("there is an id");
    id.stdout == b"0\n"
}

#[test]
fn one_flipped_byte_is_found_wherever_it_is() {
    let desk = desk("");
    desk.run(RUN).exits(0);
    let whole = fs::read(desk.dir.path().join("call/journal.antiphon")).expect("a journal");
    desk.run("journal verify call/journal.antiphon").exits(0);
    for at in (8..whole.len()).step_by(whole.len() / 12) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x20;
        desk.put("flipped", &flipped);
        let ran = desk.run("journal verify flipped");
        let told = format!("{}{}", ran.stdout, ran.stderr);
        // In the last entry it cannot be told from a write that was cut short.
        let torn = told.contains("incomplete");
        assert!(torn || told.contains("damaged") || told.contains("format"), "byte {at}: {told}");
        ran.exits(if torn { 0 } else { 2 });
    }
}

#[test]
fn a_redacted_journal_has_no_word_of_the_call_and_all_of_its_timing() {
    let desk = desk("");
    desk.run(RUN).exits(0);
    let path = desk.dir.path().join("call/journal.antiphon");
    desk.run("journal redact call/journal.antiphon --out redacted").exits(0);
    let (whole, redacted) = (read(&path), read(&desk.dir.path().join("redacted")));
    assert_eq!(redacted.header.mode, Mode::Redacted);
    let kinds = |journal: &Journal| -> Vec<(u64, u64, String)> {
        let events = journal.ticks.iter().flat_map(|entry| &entry.outcomes.events);
        events
            .map(|event| {
                let kind = serde_json::to_value(&event.kind).expect("an event is JSON");
                let name = kind.as_str().map(str::to_owned);
                let name = name.or_else(|| kind.as_object()?.keys().next().cloned());
                (event.seq, event.tick.0, name.expect("a name"))
            })
            .collect()
    };
    assert_eq!(kinds(&whole), kinds(&redacted));
    // Everything but the header, which has the configuration.
    let bytes = fs::read(desk.dir.path().join("redacted")).expect("it is there");
    let header = &bytes[10..18];
    let len = u32::from_le_bytes(header[..4].try_into().expect("four bytes")) & 0x0FFF_FFFF;
    let body = String::from_utf8_lossy(&bytes[18 + len as usize..]).into_owned();
    for word in ["opening", "From nine", "ann", "tulip", "rose", "goodbye", "Goodbye", "hung up"] {
        assert!(!body.contains(word), "{word:?} is still in it");
    }
    for word in ["hours", "look", "desk"] {
        assert!(body.contains(word), "the decision {word:?} is still in it");
    }
    desk.run("journal verify redacted").exits(0);
    desk.run("replay redacted").exits(2);
    let same = desk.run("journal redact call/journal.antiphon --out call/journal.antiphon");
    assert!(same.exits(2).stderr.contains("over the journal"));
}

#[test]
fn a_call_in_opus_replays_from_its_packets() {
    let desk = desk("");
    desk.run(&format!("{RUN} --opus")).exits(0);
    let journal = read(&desk.dir.path().join("call/journal.antiphon"));
    assert!(journal.header.codec.starts_with("opus "), "{}", journal.header.codec);
    assert!(journal.sizes.packets > 1_000 && journal.sizes.samples == 0, "{:?}", journal.sizes);
    desk.run("replay call/journal.antiphon").exits(0);
    desk.run("fork call/journal.antiphon --at 1s --out again").exits(0);
    let again = read(&desk.dir.path().join("again/journal.antiphon"));
    assert_eq!(again.diverged, None);
    assert_eq!(again.sizes.packets, journal.sizes.packets, "a fork keeps the packets as well");
}

#[test]
fn what_a_journal_holds_is_told() {
    let desk = desk("");
    desk.run(RUN).exits(0);
    let told = desk.run("journal info call/journal.antiphon --json").exits(0).stdout;
    let told: Value = serde_json::from_str(&told).expect("it is an object");
    assert_eq!((&told["mode"], &told["name"]), (&"full".into(), &"desk".into()));
    assert_eq!(told["participants"], serde_json::json!(["ann"]));
    assert_eq!(told["end"], "the agent ended the call");
    let text = desk.run("journal info call/journal.antiphon").exits(0).stdout;
    assert!(text.contains("kB a minute"), "{text}");
    let none = desk.run("journal info no/such").exits(2).stderr;
    assert!(none.contains("check the path"), "{none}");
}

/// Entries of a journal file as they are: length, checksum, payload.
fn entries(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut at, mut entries) = (10, Vec::new());
    while at < bytes.len() {
        let word = bytes[at..at + 4].try_into().expect("four bytes");
        let len = 8 + (u32::from_le_bytes(word) & 0x0FFF_FFFF) as usize;
        entries.push(&bytes[at..at + len]);
        at += len;
    }
    entries
}

#[test]
fn a_guess_at_what_was_said_cannot_be_tried_on_a_redacted_journal() {
    let redacted = |pin: &str| {
        let desk = desk("");
        let typed = CALLER.replace("what are your opening hours", &format!("my pin is {pin}"));
        desk.put("caller.yaml", typed.replace("noise: hours.wav\n", ""));
        desk.run(RUN).exits(0);
        desk.run("journal redact call/journal.antiphon --out redacted").exits(0);
        fs::read(desk.dir.path().join("redacted")).expect("it is there")
    };
    assert!(redacted("4711") == redacted("4712"), "they differ in nothing that is left");
}

#[test]
fn a_journal_that_was_lost_on_the_way_does_not_shorten_the_call_that_is_told() {
    let desk = desk("");
    desk.run(RUN).exits(0);
    let whole = desk.run("timeline call").exits(0).stdout;
    let path = desk.dir.path().join("call/journal.antiphon");
    let bytes = fs::read(&path).expect("a journal");
    let all = entries(&bytes);
    let half = [&bytes[..10], &all[..all.len() / 2].concat()].concat();
    fs::write(&path, half).expect("room");
    let ran = desk.run("timeline call").exits(0);
    assert!(ran.stderr.contains("told from the other files"), "{}", ran.stderr);
    let events = |text: &str| text.lines().filter(|line| line.contains(" s ")).count();
    assert_eq!(events(&ran.stdout), events(&whole));
}

#[test]
fn a_journal_elsewhere_leaves_none_of_an_earlier_call_behind() {
    let desk = desk("");
    desk.run(RUN).exits(0);
    desk.run(&format!("{RUN} --journal elsewhere")).exits(0);
    assert!(!desk.dir.path().join("call/journal.antiphon").exists());
    assert!(!read(&desk.dir.path().join("elsewhere")).ticks.is_empty());
}

#[test]
fn a_fork_that_cannot_be_made_leaves_its_folder_as_it_was() {
    let desk = desk("");
    desk.run(RUN).exits(0);
    desk.run(&RUN.replace("--out call", "--out other")).exits(0);
    let files = || -> Vec<(std::path::PathBuf, Vec<u8>)> {
        journals(&desk, "other")
            .into_iter()
            .map(|path| (path.clone(), fs::read(path).expect("a file")))
            .collect()
    };
    let before = files();
    desk.put("counter.yaml", DESK.replace("  desk:\n", "  counter:\n"));
    let told =
        desk.run("fork call/journal.antiphon --at 1s --config counter.yaml --out other").exits(2);
    assert!(told.stderr.contains("agent `desk` has the call"), "{}", told.stderr);
    assert!(before == files());
    let told = desk.run("fork call/journal.antiphon --at 1s --out call").exits(2).stderr;
    assert!(told.contains("over the recording"), "{told}");
}

#[test]
fn a_loss_is_counted_in_ticks_whatever_the_journal_holds() {
    for mode in ["full", "events"] {
        let desk = desk(&format!("journal: {mode}"));
        desk.run(&format!("{RUN} --journal /dev/full")).exits(1);
        let metrics = metrics(&desk);
        assert_eq!(metrics["journal_lost_ticks"], metrics["ticks"], "{mode}");
    }
}

#[test]
fn a_call_is_like_itself_whatever_is_known_of_it() {
    let desk = desk("");
    desk.run(RUN).exits(0);
    desk.put("desk.yaml", format!("{DESK}journal: events"));
    desk.run(&format!("{} --journal of-events", RUN.replace("--out call", "--out other"))).exits(0);
    for sides in ["of-events of-events", "call of-events", "of-events call", "call call"] {
        let told = desk.run(&format!("diff {sides}")).exits(0).stdout;
        assert!(told.contains("ticks alike"), "{sides}: {told}");
    }
}

#[test]
fn a_slip_of_the_keyboard_costs_nobody_a_file() {
    let desk = desk("");
    desk.run(RUN).exits(0);
    for words in ["journal redact call --out desk.yaml", "report call --out desk.yaml"] {
        let told = desk.run(words).exits(2).stderr;
        assert!(told.contains("desk.yaml: it is there and no"), "{told}");
    }
    let kept = fs::read_to_string(desk.dir.path().join("desk.yaml")).expect("it is still there");
    assert_eq!(kept, DESK);
    // A copy and a page are made anew, and a folder stands for its journal.
    for _ in 0..2 {
        desk.run("journal redact call --out copy").exits(0);
        desk.run("report call --out page.html").exits(0);
    }
    desk.run("replay call").exits(0);
    desk.run("journal verify call").exits(0);
    let told = desk.run("timeline call --from 81s --to 77s").exits(2).stderr;
    assert!(told.contains("the call ends with tick"), "{told}");
}
