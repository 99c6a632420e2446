//! `antiphon bench density`, in short: that it measures what it says, not how much of it there is.

use std::process::{Command, Output};

use serde_json::Value;

/// Runs the bench in the project's folder, where the tools for tests are.
fn run(words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antiphon"));
    command.args(["bench", "density"]).args(words.split_whitespace());
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    for name in ["LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"] {
        command.env_remove(name);
    }
    command.output().expect("the program runs")
}

/// Its figures.
#[track_caller]
fn bench(words: &str) -> Value {
    let Output { status, stdout, stderr } = run(&format!("{words} --json"));
    let (text, complaints) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert_eq!(status.code(), Some(0), "{words}:\n{text}\n{complaints}");
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}\n{complaints}"))
}

#[track_caller]
fn number(of: &Value, path: &str) -> f64 {
    of.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {path} in {of}"))
}

/// What every depth has to show: so many sessions, stepped all the time, whose figures fit together.
#[track_caller]
fn assert_stepped(of: &Value, depth: &str, sessions: u32, seconds: u32) {
    assert_eq!((&of["bench"], &of["depth"]), (&"density".into(), &depth.into()), "{of}");
    assert_eq!(of["sessions"], sessions, "{of}");
    let ticks = f64::from(sessions * seconds * 50);
    let found = number(of, "/ticks") + number(of, "/lateness/skipped");
    assert!((found / ticks - 1.0).abs() < 0.1, "{found} of {ticks} ticks: {of}");
    assert!(number(of, "/cpu_us") > 0.0 && number(of, "/cores") > 0.0, "{of}");
    let of_quantile = |name: &str| number(of, &format!("/lateness/{name}"));
    let all = ["p50_us", "p99_us", "p999_us", "max_us"].map(of_quantile);
    assert!(all.is_sorted(), "{of}");
    assert!(of["verdicts"].as_array().is_some_and(|verdicts| !verdicts.is_empty()), "{of}");
}

/// Nobody misses a packet but where a busy machine makes a tick late.
#[track_caller]
fn assert_heard(of: &Value, decoded_share: f64, encoded_share: f64) {
    let ticks = number(of, "/ticks");
    let (decoded, encoded) = (number(of, "/packets/decoded"), number(of, "/packets/encoded"));
    assert!(decoded > ticks * decoded_share, "{decoded} decoded: {of}");
    assert!(encoded > ticks * encoded_share, "{encoded} encoded: {of}");
    assert!(number(of, "/packets/lost") < number(of, "/packets/sent") * 0.2, "{of}");
    let bare = of["bare_us"].as_array().expect("bare Opus was measured");
    assert_eq!(bare.len(), 2, "before and after: {of}");
    assert!(bare.iter().all(|us| us.as_f64() > Some(0.0)), "{of}");
    assert!(number(of, "/bare_ratio") > 0.0, "{of}");
}

#[test]
fn bare_sessions_are_stepped_and_nobody_is_heard() {
    let of = bench("--depth bare --sessions 20 --seconds 1");
    assert_stepped(&of, "bare", 20, 1);
    assert_eq!(of["packets"]["sent"], 0, "{of}");
    assert!(of["bare_us"].is_null(), "{of}");
    assert!(number(&of, "/memory/base_kib") > 1_000.0, "{of}");
    assert!(number(&of, "/memory/session_kib") < 1_000.0, "{of}");
}

#[test]
fn media_sessions_decode_what_is_said_and_encode_the_echo() {
    let of = bench("--depth media --sessions 3 --seconds 2 --talk 1 --complexity 0");
    assert_stepped(&of, "media", 3, 2);
    assert_heard(&of, 0.8, 0.8);
    assert_eq!(of["complexity"], 0, "{of}");
}

#[test]
fn full_sessions_have_turns_and_answers() {
    let of = bench("--depth session --sessions 3 --seconds 8 --talk 0.4");
    assert_stepped(&of, "session", 3, 8);
    assert_heard(&of, 0.2, 0.1);
    assert!(number(&of, "/turns") >= 2.0, "{of}");
}

#[test]
fn the_most_sessions_are_looked_for_where_none_are_named() {
    // A few trials: of one second each, with sessions that take next to nothing.
    let of = bench("--depth bare --seconds 1 --most 64");
    let found = number(&of, "/found/sessions");
    let trials = of["trials"].as_array().expect("there were trials");
    assert!((1.0..=64.0).contains(&found), "{of}");
    assert!(trials.iter().any(|trial| trial["sessions"] == of["found"]["sessions"]), "{of}");
    assert!(number(&of, "/calm/sessions") <= found, "{of}");
}

#[test]
#[cfg(feature = "livekit")]
fn rooms_on_a_real_server_carry_speech_both_ways() {
    let of = bench("--depth livekit --sessions 3 --seconds 4 --talk 1 --complexity 0");
    assert_stepped(&of, "livekit", 3, 4);
    assert_heard(&of, 0.8, 0.5);
    let threads = of["threads_us"].as_array().expect("the worker's threads are told apart");
    for name in ["shard", "livekit"] {
        let found = threads.iter().find(|thread| thread[0] == name);
        assert!(found.is_some_and(|thread| thread[1].as_f64() > Some(0.0)), "{name}: {of}");
    }
    // Two of the three have the official Python client, where that is installed; here it is.
    assert_eq!(of["content_right"], true, "{of}");
}

#[test]
fn what_cannot_be_measured_is_refused_in_words() {
    for (words, why) in [
        ("--depth media --talk 0", "write a share from 0.01 to 1"),
        ("--depth deep", "deep"),
        ("--depth media --sessions 0", "0"),
    ] {
        let Output { status, stderr, .. } = run(words);
        let complaints = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(2), "{words}: {complaints}");
        assert!(complaints.contains(why), "{words}: {complaints}");
    }
}
