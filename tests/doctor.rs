//! `antiphon doctor`: what is found, what is missing, and that each missing thing comes with what to do.
//!
//! `devices_doctor` has microphones and speakers, `room_doctor` a LiveKit server that answers.

#[expect(dead_code, reason = "the doctor writes no events")]
mod program;

#[cfg(feature = "livekit")]
use std::net::TcpListener;
use std::process::Command;

use program::{Desk, Ran, ran};
use serde_json::Value;

const ANTIPHON: &str = env!("CARGO_BIN_EXE_antiphon");

/// What nobody may read in anything that is printed.
const SECRET: &str = "sk-planted-0123456789";

/// A configuration that needs a little of everything.
const CONFIG: &str = "
name: desk
speech: { synthesiser: { engine: flite }, recogniser: { engine: pocketsphinx } }
journals: { folder: a/b }
clips: { hold: hold.wav }
models:
  main: { model: gpt, api_key_env: DESK_MODEL_KEY, headers: { X-Team: '${DESK_TEAM}' } }
  unused: { model: gpt, api_key_env: DESK_OTHER_KEY }
mcp_servers:
  stock: { command: desk-stock-server, env: { TOKEN: '${DESK_STOCK_TOKEN}' } }
agents:
  desk: { kind: model, model: main, instructions: Be brief., voice: slt, tools: [stock] }
";

fn doctor(desk: &Desk, words: &str) -> Command {
    let mut command = desk.command(ANTIPHON, &format!("doctor --no-audio {words}"));
    for name in ["LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "OPENAI_API_KEY"] {
        command.env_remove(name);
    }
    command
}

/// What was found by a check, of a run with `--json`.
#[track_caller]
fn check(ran: &Ran, name: &str) -> Value {
    let told: Value = serde_json::from_str(&ran.stdout).expect("the doctor's word is JSON");
    let all = told["checks"].as_array().expect("it has checks");
    let found = all.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {told}")).clone()
}

/// A check that came to this, and says this in what was found or in what to do.
#[track_caller]
fn told(ran: &Ran, name: &str, state: &str, parts: &[&str]) {
    let check = check(ran, name);
    assert_eq!(check["state"], state, "{check}");
    assert_eq!(check["remedy"].is_string(), state != "ok", "{check}");
    let text = format!("{} {}", check["found"], check["remedy"]);
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn every_check_is_told_by_state_name_and_remedy() {
    let desk = Desk::new();
    let text = ran(&mut doctor(&desk, "")).exits(0).stdout;
    let names: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>())
        .collect();
    let checks: Vec<_> = names.iter().map(|words| words[1]).collect();
    let all = ["class", "cgroup", "timer", "speech", "keys", "disk", "livekit", "audio"];
    assert_eq!(checks, all, "{text}");
    for words in names {
        assert!(["ok", "warning", "failed", "skipped"].contains(&words[0]), "{text}");
    }
    assert_eq!(std::fs::read_dir(desk.dir.path()).unwrap().count(), 0, "nothing is left behind");
    let ran = ran(&mut doctor(&desk, "--only tools --only clips --json")).exits(0);
    for name in ["tools", "clips"] {
        told(&ran, name, "skipped", &["no configuration was given", "name one"]);
    }
}

#[test]
fn the_machine_is_told_in_figures() {
    let desk = Desk::new();
    let ran = ran(&mut doctor(&desk, "--json --only class --only timer --only cgroup --only disk"));
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(told["checks"].as_array().map(Vec::len), Some(4), "{told}");
    assert_eq!(told["version"], env!("CARGO_PKG_VERSION"));
    let figures = |name| check(&ran, name)["figures"].clone();
    assert!(figures("cgroup")["cores"].as_u64() >= Some(1), "{told}");
    assert!(figures("disk")["free_bytes"].as_u64() > Some(0), "{told}");
    if cfg!(target_os = "linux") {
        assert!(figures("class")["permitted"].is_boolean(), "{told}");
        let ordinary = &figures("timer")["ordinary_us"];
        let (p50, p99, max) = (&ordinary["p50"], &ordinary["p99"], &ordinary["max"]);
        assert!(p50.as_f64() > Some(0.0) && p50.as_f64() <= p99.as_f64(), "{told}");
        assert!(p99.as_f64() <= max.as_f64(), "{told}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn without_the_right_to_the_real_time_class_it_says_how_to_get_it() {
    let desk = Desk::new();
    // Root has it by a capability, which can be left at the door.
    let mut command = desk.command("setpriv", "--inh-caps=-sys_nice --bounding-set=-sys_nice");
    let is_root = ran(Command::new("id").arg("-u")).stdout.trim() == "0";
    if !is_root {
        command = desk.command("prlimit", "--rtprio=0:0");
    }
    let ran = ran(command.args([ANTIPHON, "doctor", "--only", "class", "--json"])).exits(0);
    told(&ran, "class", "warning", &["ulimit -r 11", "LimitRTPRIO=11", "--cap-add SYS_NICE"]);
}

#[cfg(feature = "remote")]
#[test]
fn what_a_configuration_needs_is_looked_for_and_no_value_is_printed() {
    let desk = Desk::new();
    desk.put("config.yaml", CONFIG);
    let checks = "--only keys --only tools --only clips --only disk";
    let none = ran(&mut doctor(&desk, &format!("config.yaml --json {checks}"))).exits(1);
    told(&none, "keys", "failed", &["DESK_MODEL_KEY is not set, and models.main needs it"]);
    told(&none, "keys", "failed", &["DESK_TEAM", "models.main.headers.X-Team"]);
    let all = check(&none, "keys").to_string();
    assert!(!all.contains("DESK_OTHER_KEY"), "nobody uses that model: {all}");
    told(&none, "tools", "failed", &["there is no program `desk-stock-server`", "PATH"]);
    told(&none, "clips", "failed", &["hold.wav", "there is no such file"]);
    told(&none, "disk", "ok", &["a/b can be written"]);
    assert!(!desk.dir.path().join("a").exists(), "nothing was made");

    desk.put("hold.wav", include_bytes!("../audio/caller-02-hours.wav"));
    let mut command = doctor(&desk, &format!("config.yaml {checks}"));
    for name in ["DESK_MODEL_KEY", "DESK_TEAM", "DESK_STOCK_TOKEN", "OPENAI_API_KEY"] {
        command.env(name, SECRET);
    }
    desk.put("desk-stock-server", "#!/bin/sh\n");
    allowed(&desk, "desk-stock-server");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([desk.dir.path().to_owned()]);
    command.env("PATH", std::env::join_paths(folders).expect("folders without a colon"));
    for words in [&[][..], &["--json"]] {
        let ran = ran(command.args(words)).exits(0);
        assert!(!ran.stdout.contains(SECRET) && !ran.stderr.contains(SECRET), "{ran:?}");
        assert!(ran.stdout.contains("DESK_MODEL_KEY"), "{ran:?}");
    }
    let ran = ran(&mut command);
    told(&ran, "keys", "ok", &["DESK_MODEL_KEY, ", " are set"]);
    told(&ran, "tools", "ok", &["desk-stock-server ("]);
    told(&ran, "clips", "ok", &["1 file can be played"]);
}

#[cfg(all(unix, feature = "remote"))]
fn allowed(desk: &Desk, name: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = desk.dir.path().join(name);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
}

#[test]
fn keys_of_the_environment_are_told_by_their_presence() {
    let desk = Desk::new();
    let set = ran(doctor(&desk, "--only keys --json").env("OPENAI_API_KEY", SECRET)).exits(0);
    told(&set, "keys", "ok", &["OPENAI_API_KEY is set"]);
    assert!(!set.stdout.contains(SECRET) && !set.stderr.contains(SECRET), "{set:?}");
    let blank = ran(doctor(&desk, "--only keys --json").env("OPENAI_API_KEY", " ")).exits(0);
    told(&blank, "keys", "skipped", &["OPENAI_API_KEY is not set"]);
}

#[test]
fn speech_libraries_that_are_missing_are_named_with_their_packages() {
    let desk = Desk::new();
    desk.put("config.yaml", CONFIG);
    let nowhere = desk.dir.path().join("nowhere");
    let hidden = |words: &str| {
        let mut command = doctor(&desk, words);
        for name in
            ["ANTIPHON_POCKETSPHINX_LIB", "ANTIPHON_POCKETSPHINX_MODEL", "ANTIPHON_FLITE_LIB"]
        {
            command.env(name, &nowhere);
        }
        ran(&mut command)
    };
    let packages = if cfg!(feature = "speech") {
        &["pocketsphinx-en-us", "libflite1"][..]
    } else {
        &["the feature `speech`"]
    };
    told(&hidden("config.yaml --only speech --json").exits(1), "speech", "failed", packages);
    told(&hidden("--only speech --json").exits(0), "speech", "warning", packages);
    desk.put(
        "tone.yaml",
        "{ name: desk, speech: { synthesiser: { engine: tone } }, agents: { desk: {} } }",
    );
    told(&hidden("tone.yaml --only speech --json").exits(0), "speech", "ok", &["needs no library"]);
}

#[cfg(feature = "speech")]
#[test]
fn speech_libraries_that_are_there_are_told_and_voices_looked_for() {
    let desk = Desk::new();
    desk.put("config.yaml", CONFIG);
    desk.put("wrong.yaml", CONFIG.replace("voice: slt", "voice: hal9000"));
    let only = "--only speech --json";
    let ran = |config: &str| ran(&mut doctor(&desk, &format!("{config} {only}")));
    told(
        &ran("config.yaml").exits(0),
        "speech",
        "ok",
        &["PocketSphinx hears", "flite speaks", "slt"],
    );
    told(&ran("").exits(0), "speech", "ok", &["PocketSphinx hears", "flite speaks"]);
    told(&ran("wrong.yaml").exits(1), "speech", "failed", &["no voice `hal9000`", "in `voice`"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_told_before_a_call_needs_it() {
    let desk = Desk::new();
    desk.put("a-file", "in the way");
    let at = |folder: &str| {
        let text =
            format!("name: desk\njournals: {{ folder: {folder} }}\nagents: {{ desk: {{}} }}\n");
        desk.put("config.yaml", text);
        ran(&mut doctor(&desk, "config.yaml --only disk --json"))
    };
    let remedy = "name another folder in `journals.folder`";
    told(
        &at("a-file/calls").exits(1),
        "disk",
        "failed",
        &["a-file is no folder", "out of the way", remedy],
    );
    if cfg!(target_os = "linux") {
        // Where nobody makes files, whoever it is.
        told(
            &at("/proc/calls").exits(1),
            "disk",
            "failed",
            &["no file can be made in /proc", remedy],
        );
    }
    told(&at("calls").exits(0), "disk", "ok", &["hours of calls in rooms"]);
    desk.put("off.yaml", "{ name: desk, journal: off, agents: { desk: {} } }");
    let off = ran(&mut doctor(&desk, "off.yaml --only disk --json")).exits(0);
    told(&off, "disk", "skipped", &["writes no journals"]);
}

#[cfg(feature = "livekit")]
#[test]
fn a_server_that_is_not_reached_is_told_by_what_is_in_the_way() {
    let desk = Desk::new();
    let at = |url: &str| {
        let mut command = doctor(&desk, "--only livekit --json");
        command.env("LIVEKIT_URL", url).env("LIVEKIT_API_KEY", "key");
        let ran = ran(command.env("LIVEKIT_API_SECRET", SECRET));
        assert!(!ran.stdout.contains(SECRET) && !ran.stderr.contains(SECRET), "{ran:?}");
        ran
    };
    let silent = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let silent_port = silent.local_addr().expect("it is bound").port();
    // One that was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let closed_port = closed.expect("loopback has a free port").port();
    for (url, parts) in [
        (format!("ws://127.0.0.1:{closed_port}"), ["nobody listens there", "start the server"]),
        (
            format!("ws://127.0.0.1:{silent_port}"),
            ["an answer did not come within 3 s", "what its log says"],
        ),
        ("ftp://127.0.0.1".to_owned(), ["cannot be asked", "no scheme of LiveKit's"]),
    ] {
        told(&at(&url).exits(1), "livekit", "failed", &parts);
    }
    // Where name servers are out of reach, it takes as long as it may.
    told(&at("ws://no-such-host.invalid").exits(1), "livekit", "failed", &["address", "getent"]);
    let mut keyless = doctor(&desk, "--only livekit --json --url ws://127.0.0.1:1");
    told(&ran(&mut keyless).exits(1), "livekit", "failed", &["no key: set LIVEKIT_API_KEY"]);
    let unnamed = ran(&mut doctor(&desk, "--only livekit --json")).exits(0);
    told(&unnamed, "livekit", "skipped", &["no server is named", "LIVEKIT_URL"]);
}

/// What stands for a server, and gives everybody this answer, of another day.
#[cfg(feature = "livekit")]
fn answering(status: &'static str, body: &'static str) -> u16 {
    use std::io::{Read as _, Write as _};
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4_096]);
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nDate: Wed, 01 Jan 2025 00:00:00 GMT\r\nContent-Length: {length}\r\n\r\n{body}"
            );
        }
    });
    port
}

#[cfg(feature = "livekit")]
#[test]
fn a_clock_that_is_wrong_is_told_from_a_key_that_is() {
    let desk = Desk::new();
    let at = |port: u16| {
        let mut command = doctor(&desk, "--only livekit --json");
        command.env("LIVEKIT_URL", format!("ws://127.0.0.1:{port}"));
        ran(command.env("LIVEKIT_API_KEY", "key").env("LIVEKIT_API_SECRET", SECRET))
    };
    let refused = at(answering("401 Unauthorized", "invalid token: eyJhbGciOiJIUzI1NiJ9.e30.c2ln"));
    told(&refused.exits(1), "livekit", "failed", &["ahead of the server's", "timedatectl"]);
    let accepted = at(answering("200 OK", "success")).exits(0);
    told(&accepted, "livekit", "warning", &["lets an agent in", "ahead of", "timedatectl"]);
    let other = at(answering("404 Not Found", "404 page not found")).exits(1);
    told(&other, "livekit", "failed", &["no LiveKit server", "1.9.2 or later"]);
}

#[test]
fn what_is_wrong_with_the_words_is_told_before_anything_is_looked_at() {
    let desk = Desk::new();
    desk.put("wrong.yaml", "{ name: desk, agents: { desk: { greting: Hello. } } }");
    for (words, part) in [
        ("lost.yaml", "lost.yaml"),
        ("wrong.yaml", "greting"),
        ("--only teeth", "teeth"),
        ("--chirps 0", "--chirps"),
    ] {
        let ran = ran(&mut doctor(&desk, words)).exits(2);
        assert!(ran.stderr.contains(part) && ran.stdout.is_empty(), "{ran:?}");
    }
}
