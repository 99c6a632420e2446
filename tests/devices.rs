//! The microphone and the speaker, with a real sound server: PulseAudio, whose null sink and pipe stand for hardware.
//!
//! Between the two is a room, with its delay, reverberation and noise, in which a recorded caller speaks. What was in
//! the room and what the session heard is compared.

mod sound;

use std::path::{Path, PathBuf};

use antiphon::host::pace::pause;
use antiphon::pcm::wav;
use serde_json::Value;
use sound::{Acoustics, Console, RATE_HZ, Room, Server};

/// Somebody of the demo's caller.
fn clip(name: &str) -> Vec<u8> {
    let path = here(&format!("audio/{name}.wav"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A configuration of the test's own, in the server's folder.
fn config(server: &Server, text: &str) -> PathBuf {
    let path = server.dir().join("config.yaml");
    std::fs::write(&path, text).expect("the folder can be written");
    path
}

/// How many minutes the long forms take; the short ones a part of one.
fn minutes() -> Option<usize> {
    std::env::var("ANTIPHON_SOUND_MINUTES")
        .ok()
        .map(|text| text.parse().expect("a number of minutes"))
}

fn power(pcm: &[f32]) -> f64 {
    pcm.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / pcm.len().max(1) as f64
}

fn db(ratio: f64) -> f64 {
    10.0 * ratio.max(1e-12).log10()
}

/// What the session heard of the user, and said, from its recording.
fn sides(out: &Path) -> (u32, [Vec<f32>; 2]) {
    let bytes = std::fs::read(out.join("conversation.wav")).expect("it was recorded");
    let rate_hz = wav::read(&bytes).expect("it is a recording").rate_hz;
    let sides = wav::read_sides(&bytes).expect("it has two sides");
    let share = |side: Vec<i16>| side.into_iter().map(|s| f32::from(s) / 32_768.0).collect();
    (rate_hz, sides.map(share))
}

/// The words of the events that say what a user said.
fn said(lines: &[Value]) -> Vec<String> {
    let said = lines.iter().filter(|line| line["type"] == "user.message");
    said.map(|line| line["text"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Frames of a side that are louder than a level, in order of time: where somebody begins and ends.
fn first_loud(pcm: &[f32], from: usize, dbfs: f64) -> Option<usize> {
    let step = RATE_HZ as usize / 100;
    (from / step..pcm.len() / step)
        .map(|at| at * step)
        .find(|&at| db(power(&pcm[at..at + step])) > dbfs)
}

/// Times that a call is held anew if the machine was late in it: what is said of audio holds where audio is in time.
const ATTEMPTS: usize = 3;

/// Does what may be disturbed by a machine that is busy, until it was not; the last attempt counts as it is. What is done
/// gives back what is wrong, and how often the machine was late.
fn in_time(attempt: impl Fn() -> (Result<(), String>, u64)) {
    for number in 1.. {
        let (done, late) = attempt();
        match done {
            Ok(()) => return,
            Err(_) if late > 0 && number < ATTEMPTS => {
                eprintln!("the machine was late {late} times: once more");
            }
            Err(why) => panic!("{why}; the machine was late {late} times, in attempt {number}"),
        }
    }
}

/// What is wrong, unless it is right.
fn insist(right: bool, wrong: impl FnOnce() -> String) -> Result<(), String> {
    if right { Ok(()) } else { Err(wrong()) }
}

#[test]
fn a_caller_in_a_room_with_open_speakers_is_understood_and_answered() {
    in_time(caller);
}

fn caller() -> (Result<(), String>, u64) {
    let server = Server::start();
    let room = Room::open(&server, Acoustics::LAPTOP);
    let clock = antiphon::host::pace::Clock::default();
    let begin = (clock.now(), room.frames());
    let mut console = Console::start(&server, &here("configs/demo.yaml"), &[]);
    console.event("agent.speech_started", 10);
    let started_ms = clock.now().since_ns(begin.0) / 1_000_000;
    // Past the greeting, which trains the canceller.
    console.event("agent.speech_finished", 10);
    let heard = room.heard();
    let first = first_loud(&heard.played, begin.1, -45.0).expect("the speaker is heard");
    let first_ms = (first - begin.1) * 1_000 / RATE_HZ as usize;
    eprintln!(
        "from the start of the program to the first sound: {first_ms} ms ({started_ms} ms by its word)"
    );
    for (name, words) in [
        ("caller-01-order", "where is my order four two one seven"),
        ("caller-02-hours", "opening hours"),
    ] {
        room.say(&clip(name), 0.5);
        let heard = console.event("user.message", 15);
        let text = heard["text"].as_str().unwrap_or_default().to_owned();
        if !text.contains(words) {
            return (Err(format!("{text:?} is not {words:?}")), console.end());
        }
        console.event("agent.speech_started", 10);
        // All that belongs to the answer, which may be several sentences.
        let mut silent_ms = 0;
        while silent_ms < 1_500 {
            pause(50);
            silent_ms = if is_speaking(&console) { 0 } else { silent_ms + 50 };
        }
    }
    let printed = console.printed();
    let said = said(&printed);
    let cut: Vec<_> = printed.iter().filter(|line| line["type"] == "agent.interrupted").collect();
    let late = console.end();
    let is_right = said.len() == 2 && cut.is_empty();
    (insist(is_right, || format!("the agent heard itself: {said:?}, {cut:?}")), late)
}

/// An agent that reads out a long text, and again whenever it is told anything.
const READER: &str = "\
name: reader
start: reader
speech:
  recogniser: { engine: pocketsphinx }
  synthesiser: { engine: flite, voice: slt }
  vocabulary: [hello, please, stop, wait]
agents:
  reader:
    voice: slt
    greeting: &text >-
      The history of the telephone begins long before the first wire. People have always wanted to speak with those who
      are not there. They used smoke, drums and mirrors. Then they learned to send a current along a wire, and to turn it
      into clicks. At last somebody thought of turning the voice itself into a current, and back again. From then on it
      took a hundred years until everybody had one, and another thirty until everybody had one in a pocket.
    fallback: *text
    intents:
      - name: question
        phrases:
          - wait stop let me ask you something else
          - go on
        say: *text
";

fn is_speaking(console: &Console) -> bool {
    let printed = console.printed();
    let last = printed.iter().rev().find(|line| {
        let kind = line["type"].as_str().unwrap_or_default();
        matches!(kind, "agent.speech_started" | "agent.speech_finished" | "agent.interrupted")
    });
    last.is_some_and(|line| line["type"] == "agent.speech_started")
}

/// Has the reader read on, if it has come to the end.
fn read_on(console: &mut Console) {
    if !is_speaking(console) && !console.awaits_answer() {
        console.write("go on");
    }
}

#[test]
fn the_agents_own_voice_neither_interrupts_nor_is_understood_and_a_caller_still_barges_in() {
    in_time(barge_in);
}

fn barge_in() -> (Result<(), String>, u64) {
    // Ten minutes and ten barge-ins in the long form.
    let barge_ins = minutes().map_or(3, |minutes| minutes.max(1));
    let quiet_s = minutes().map_or(12, |_| 55);
    let server = Server::start();
    let room = Room::open(&server, Acoustics::LAPTOP);
    let mut console = Console::start(&server, &config(&server, READER), &[]);
    console.event("agent.speech_started", 10);
    let mut confirmed = 0;
    let mut times = Vec::new();
    let is_promised = |confirmed: usize, held: usize| confirmed * 10 >= held * 9;
    // Nine of ten are promised: one of three that is not confirmed may be the tenth, and so there are ten.
    while times.len() < barge_ins || (!is_promised(confirmed, times.len()) && times.len() < 10) {
        let until = room.frames() + quiet_s * RATE_HZ as usize;
        while room.frames() < until {
            read_on(&mut console);
            pause(50);
        }
        // In the middle of a text, not in the pause between two.
        loop {
            while !is_speaking(&console) {
                read_on(&mut console);
                pause(20);
            }
            pause(1_000);
            if is_speaking(&console) {
                break;
            }
        }
        let before = console.printed().len();
        let from = room.say(&clip("caller-08-barge-in"), 0.5);
        room.wait_for_silence();
        pause(1_500);
        times.push((from, room.frames()));
        let cuts =
            console.printed()[before..].iter().filter(|l| l["type"] == "agent.interrupted").count();
        confirmed += usize::from(cuts > 0);
    }
    let printed = console.printed();
    let late = console.end();
    let is_over = |ms: u64| {
        let at = ms as usize * RATE_HZ as usize / 1_000;
        // The call begins later than the room; by no more than it takes to start the program.
        times.iter().any(|&(from, to)| at + 8 * RATE_HZ as usize >= from && at <= to)
    };
    let own: Vec<_> = printed
        .iter()
        .filter(|line| line["type"] == "agent.interrupted")
        .filter(|line| !is_over(line["ms"].as_u64().unwrap_or_default()))
        .collect();
    let held = times.len();
    eprintln!(
        "{confirmed} of {held} barge-ins confirmed; of its own: {own:?}; said: {:?}",
        said(&printed)
    );
    let is_right = own.is_empty() && is_promised(confirmed, held);
    (insist(is_right, || format!("of its own {own:?}; {confirmed} of {held} confirmed")), late)
}

#[test]
fn echo_is_suppressed_by_25_db_after_three_seconds() {
    in_time(suppression);
}

fn suppression() -> (Result<(), String>, u64) {
    let server = Server::start();
    let room = Room::open(&server, Acoustics { noise: 0.0, ..Acoustics::LAPTOP });
    let mut console = Console::start(&server, &config(&server, READER), &[]);
    console.event("agent.speech_started", 10);
    let until = room.frames() + 14 * RATE_HZ as usize;
    while room.frames() < until {
        pause(50);
    }
    let heard = room.heard();
    let out = console.out.clone();
    let late = console.end();
    let (rate_hz, [user, _]) = sides(&out);
    let first = first_loud(&heard.played, 0, -45.0).expect("the speaker is heard");
    // From three seconds after the agent began to its end; both sides have that many seconds of speech.
    let given = &heard.given[first + 3 * RATE_HZ as usize..first + 13 * RATE_HZ as usize];
    let user = &user[3 * rate_hz as usize..13 * rate_hz as usize];
    let by = db(power(given) / power(user));
    eprintln!(
        "in the microphone {:.1} dBFS, after that {:.1}: {by:.1} dB",
        db(power(given)),
        db(power(user))
    );
    (insist(by >= 25.0, || format!("{by:.1} dB")), late)
}

/// An agent that says back what it hears at once.
const ECHO: &str = "\
name: echo
agents:
  echo:
    kind: echo
    delay_ms: 0
";

#[test]
fn a_clock_that_is_fast_is_followed_and_nothing_is_heard_of_it() {
    in_time(drift);
}

fn drift() -> (Result<(), String>, u64) {
    let seconds = minutes().map_or(40, |minutes| minutes * 60);
    let server = Server::start();
    let acoustics = Acoustics { fast_ppm: 1_000.0, noise: 0.0, ..Acoustics::HEADPHONES };
    let room = Room::open(&server, acoustics);
    let mut console = Console::start(&server, &config(&server, ECHO), &["--echo", "off"]);
    console.event("user.joined", 10);
    pause(1_000);
    // A tone that goes on all the time: a sample that is missing or double is a step in it.
    room.hum(440.0, 0.2);
    let from = room.frames();
    while room.frames() < from + seconds * RATE_HZ as usize {
        pause(100);
    }
    let heard = room.heard();
    let out = console.out.clone();
    let printed = console.printed();
    let late = console.end();
    let onset = |side: &[f32]| first_loud(side, from, -30.0).expect("the tone is heard");
    let whole = onset(&heard.played) - onset(&heard.given);
    eprintln!(
        "from the microphone to the speaker, with the buffers of the server and its clients: {} ms",
        whole * 1_000 / RATE_HZ as usize
    );
    let settled = from + 12 * RATE_HZ as usize;
    let (steps, slope) =
        sound::tone::follow(&heard.given[settled..], &heard.played[settled..], 440.0);
    eprintln!(
        "largest step {steps:.5} of full scale beyond the tone's own, delay slope {slope:.3} ms a minute"
    );
    if steps >= 0.02 {
        let (rate_hz, sides) = sides(&out);
        for (side, name) in sides.iter().zip(["the session heard", "the session said"]) {
            let settled = side.len().min(14 * rate_hz as usize);
            let until = side.len().saturating_sub(rate_hz as usize);
            let (step, at) =
                sound::tone::largest_step(&side[settled..until.max(settled)], rate_hz, 440.0);
            eprintln!("in what {name}: {step:.5} at {:.2} s", at + 14.0);
        }
        let (step, at) = sound::tone::largest_step(&heard.played[settled..], RATE_HZ, 440.0);
        let at = at + (settled - from) as f64 / f64::from(RATE_HZ);
        eprintln!("in what was played: {step:.5} at {at:.2} s after the tone began");
        for line in printed.iter().rev().take(20).rev() {
            eprintln!("{line}");
        }
    }
    // Unfollowed it would be 60. Half a minute has some of the time in it in which the clock is learned.
    let bound = if minutes().is_some() { 1.0 } else { 3.0 };
    let is_right = steps < 0.02 && slope.abs() < bound;
    (insist(is_right, || format!("a step of {steps}, {slope} ms a minute")), late)
}

#[test]
fn a_sound_server_that_starts_again_is_survived() {
    let mut server = Server::start();
    let mut room = Room::open(&server, Acoustics::LAPTOP);
    let mut console = Console::start(&server, &here("configs/demo.yaml"), &[]);
    console.event("agent.speech_finished", 15);
    server.down();
    console.wait("notice of the loss", 10, |line| {
        line["type"] == "notice" && line["text"].as_str().is_some_and(|text| text.contains("lost"))
    });
    drop(room);
    server.up();
    room = Room::open(&server, Acoustics::LAPTOP);
    for _ in 0..2 {
        console.wait("notice of the return", 15, |line| {
            line["type"] == "notice"
                && line["text"].as_str().is_some_and(|text| text.contains("is back"))
        });
    }
    pause(1_500);
    let from = room.say(&clip("caller-02-hours"), 0.5);
    let heard = console.event("user.message", 15);
    assert!(heard["text"].as_str().unwrap_or_default().contains("opening hours"), "{heard}");
    console.event("agent.speech_finished", 15);
    assert!(first_loud(&room.heard().played, from, -45.0).is_some(), "the answer is heard");
    console.end();
}

#[test]
fn another_default_speaker_is_gone_over_to() {
    let server = Server::start();
    let _room = Room::open(&server, Acoustics::LAPTOP);
    let mut console = Console::start(&server, &config(&server, READER), &[]);
    console.event("agent.speech_started", 10);
    server.pactl(&["load-module", "module-null-sink", "sink_name=headset"]);
    server.pactl(&["set-default-sink", "headset"]);
    console.wait("notice of the change", 10, |line| {
        line["type"] == "notice"
            && line["text"].as_str().is_some_and(|text| text.contains("speaker is now"))
    });
    let inputs = server.pactl(&["list", "short", "sink-inputs"]);
    let sinks = server.pactl(&["list", "short", "sinks"]);
    let headset = sinks.lines().find(|line| line.contains("headset")).expect("it is there");
    let number = headset.split_whitespace().next().expect("it has a number");
    assert!(
        inputs.lines().any(|line| line.split_whitespace().nth(1) == Some(number)),
        "nothing plays on the headset:\n{inputs}\n{sinks}"
    );
    console.end();
}
