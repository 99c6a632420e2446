//! The benches of rooms, in short: that they measure what they say, not how long it takes.

use std::process::Command;

use serde_json::Value;

/// Runs a bench in the project's folder, where the tools for tests are; its figures.
fn bench(words: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antiphon"));
    command.args(["bench"]).args(words.split_whitespace()).arg("--json");
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    for name in ["LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"] {
        command.env_remove(name);
    }
    let output = command.output().expect("the program runs");
    let (text, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{text}\n{complaints}");
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}\n{complaints}"))
}

#[test]
fn clicks_come_back_to_every_client_and_every_stage_has_a_time() {
    let figures = bench("latency --repetitions 1 --clicks 3 --joins 1");
    for client in ["python_hears_antiphon_ms", "python_hears_raw_sdk_ms", "rust_hears_antiphon_ms"]
    {
        let figure = &figures[client];
        assert!(figure["clicks"].as_u64() >= Some(1), "{client}: {figures}");
        // An echo takes a frame, a little less where the click lies at the frame's end, and an answer that
        // takes two seconds is another click's.
        let median = figure["p50"]["median"].as_f64().unwrap_or_default();
        assert!((15.0..2_000.0).contains(&median), "{client}: {figures}");
    }
    let stages = figures["stages_us"].as_array().expect("a list");
    assert_eq!(stages.len(), 6);
    assert!(stages.iter().all(|stage| stage["count"].as_u64() > Some(0)), "{figures}");
    assert_eq!(figures["join_to_audio_ms"]["one"]["joins"], 1);
    assert_eq!(figures["join_to_audio_ms"]["twenty"]["joins"], 20);
}

#[test]
fn rooms_that_were_left_leave_nothing_behind() {
    let figures = bench("rooms --count 20");
    assert_eq!(figures["rooms"], 20);
    assert_eq!(figures["descriptors"][0], figures["descriptors"][1], "{figures}");
    assert_eq!(figures["threads"][0], figures["threads"][1], "{figures}");
}
