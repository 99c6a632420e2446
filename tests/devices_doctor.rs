//! `antiphon doctor` at real devices: a sound server with a speaker, a microphone, and a room between them; and without.

#[expect(dead_code, reason = "the doctor writes no events")]
mod program;
#[expect(dead_code, unused_imports, reason = "nobody speaks in this room")]
mod sound;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use program::{Desk, Ran, ran};
use serde_json::Value;
use sound::{Acoustics, Room, Server};

const ANTIPHON: &str = env!("CARGO_BIN_EXE_antiphon");

/// The check of audio, with these words.
fn audio(desk: &Desk, words: &str) -> Command {
    desk.command(ANTIPHON, &format!("doctor --only audio --json {words}"))
}

/// The same where there is neither a sound server nor a sound card of ALSA's.
fn without_server(command: &mut Command, desk: &Desk) -> Ran {
    for name in ["PULSE_SERVER", "PULSE_RUNTIME_PATH", "DBUS_SESSION_BUS_ADDRESS"] {
        command.env_remove(name);
    }
    ran(command.env("XDG_RUNTIME_DIR", desk.dir.path()).env("HOME", desk.dir.path()))
}

#[track_caller]
fn finding(ran: &Ran) -> Value {
    let told: Value = serde_json::from_str(&ran.stdout).expect("the doctor's word is JSON");
    told["checks"][0].clone()
}

#[track_caller]
fn remedy(ran: &Ran, state: &str, parts: &[&str]) {
    let finding = finding(ran);
    assert_eq!(finding["state"], state, "{finding}");
    let remedy = finding["remedy"].as_str().expect("what is not well has a remedy");
    for part in parts {
        assert!(remedy.contains(part), "{part:?} is not in {remedy}");
    }
}

#[test]
fn chirps_come_back_and_are_measured() {
    let (server, desk) = (Server::start(), Desk::new());
    let acoustics = Acoustics::LAPTOP;
    let _room = Room::open(&server, acoustics);
    let mut command = audio(&desk, "");
    server.quiet(&mut command);
    let ran = ran(&mut command).exits(0);
    let found = finding(&ran);
    let figures = &found["figures"];
    let number = |name: &str| figures[name].as_f64().unwrap_or_else(|| panic!("{name}: {found}"));
    assert_eq!(number("chirps_heard"), 5.0, "{found}");
    let delay_ms = f64::from(acoustics.delay_ms) + number("added_ms");
    assert!(number("round_trip_ms") > delay_ms, "no faster than sound and filters: {found}");
    assert!(number("round_trip_ms") < 600.0, "{found}");
    let level_db = 20.0 * f64::from(acoustics.gain).log10();
    assert!((number("level_db") - level_db).abs() < 6.0, "{level_db}: {found}");
    assert!(number("noise_dbfs") < -45.0, "{found}");
    assert!(figures["input"]["off_ppm"].is_number() && figures["output"]["name"].is_string());
}

#[test]
fn with_headphones_on_no_chirp_comes_back_and_that_is_a_warning() {
    let (server, desk) = (Server::start(), Desk::new());
    let _room = Room::open(&server, Acoustics::HEADPHONES);
    let mut command = audio(&desk, "--chirps 2");
    server.quiet(&mut command);
    let ran = ran(&mut command).exits(0);
    remedy(&ran, "warning", &["muted", "headphones", "--input and --output"]);
}

#[test]
fn without_any_device_it_says_what_could_be_done() {
    let desk = Desk::new();
    let ran = without_server(&mut audio(&desk, ""), &desk).exits(1);
    remedy(
        &ran,
        "failed",
        &["there is no microphone: plug one in", "pulseaudio --start", "--no-audio"],
    );
    let none = without_server(&mut audio(&desk, "--host pulse"), &desk).exits(1);
    remedy(&none, "failed", &["PulseAudio does not answer", "start its server"]);
    let null = without_server(&mut audio(&desk, "--device null"), &desk).exits(0);
    remedy(&null, "skipped", &["--device null"]);
}

#[test]
fn a_device_that_is_missing_is_told_with_those_that_there_are() {
    let (server, desk) = (Server::start(), Desk::new());
    let mut command = audio(&desk, "--input headset --output headset");
    server.quiet(&mut command);
    let ran = ran(&mut command).exits(1);
    remedy(
        &ran,
        "failed",
        &["there is no microphone `headset`; there are:", sound::MICROPHONE, sound::SPEAKER],
    );
}

#[test]
fn a_rate_that_a_device_has_not_is_told_with_those_that_it_has() {
    let desk = Desk::new();
    // A device of ALSA's that has one rate: an encoder for cinemas, into nothing.
    desk.put(
        "alsa.conf",
        "</usr/share/alsa/alsa.conf>\n\
         pcm.cinema { type a52 rate 48000 slavepcm null hint { show on description 'Cinema' } }\n",
    );
    let mut command = audio(&desk, "--host alsa --input null --output cinema --rate 96000");
    command.env("ALSA_CONFIG_PATH", desk.dir.path().join("alsa.conf"));
    let ran = without_server(&mut command, &desk).exits(1);
    remedy(&ran, "failed", &["has no rate of 96000 Hz: leave out --rate", "48000"]);
}

#[test]
fn a_sound_server_of_somebody_else_is_known_for_that() {
    let (server, desk) = (Server::start(), Desk::new());
    let mut command = if is_root() {
        // Nobody, who has no rights that root's files do not give.
        for folder in [server.dir(), desk.dir.path()] {
            open(folder, 0o755);
        }
        let mut command = desk.command("setpriv", "--reuid=65534 --regid=65534 --clear-groups");
        command.args([ANTIPHON, "doctor", "--only", "audio", "--json"]);
        command
    } else {
        audio(&desk, "")
    };
    server.quiet(&mut command);
    open(&server.dir().join("pulse"), 0o000);
    let ran = ran(&mut command);
    open(&server.dir().join("pulse"), 0o700);
    remedy(
        &ran.exits(1),
        "failed",
        &["does not let this user in", "without sudo", "auth-anonymous"],
    );
}

fn open(folder: &Path, mode: u32) {
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).expect("it is ours");
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
