//! How late ticks are: `antiphon bench pacing`, idle and busy, in both classes.
//!
//! The program is run, as a person would run it, and its object read: what is in the table is what the
//! command says.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::Table;

/// Ticks of each loop, over the five repetitions: 20 s, so that a table takes eight minutes.
const TICKS: &str = "1000";

/// A session's loops of all kinds, and the shard with many sessions beside the bare loop.
const LOOPS: [&str; 4] = ["shard", "bare", "tokio", "sleep"];
const MANY: &str = "100";

pub(super) fn pacing() -> Table {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let all_cores = cores.to_string();
    let mut rows = Vec::new();
    for class in ["normal", "fifo"] {
        for (load, busy) in [("idle", "0"), ("every core busy", all_cores.as_str())] {
            let told = format!("{class}, {load}");
            match run(&["--class", class, "--busy", busy]) {
                Ok(object) => rows.extend(LOOPS.map(|name| row(&told, name, &object))),
                Err(why) => rows.push(not_measured(&told, &why)),
            }
        }
        let told = format!("{class}, idle, {MANY} sessions");
        match run(&["--class", class, "--sessions", MANY]) {
            Ok(object) => rows.extend(["shard", "bare"].map(|name| row(&told, name, &object))),
            Err(why) => rows.push(not_measured(&told, &why)),
        }
    }
    Table {
        title: "How late ticks of 20 ms are",
        not: "a network or a disk: the sessions' callers talk from memory, and journals are not written to a file. \
              Nor drift over a long time, for which there is `antiphon bench pacing --only shard --ticks 100000`. \
              The bare loop (`clock_nanosleep` to absolute deadlines, no work) is the limit; `tokio` is \
              `tokio::time::interval`, `sleep` works and then sleeps for what is left of the tick. Each figure is \
              the median of five interleaved repetitions, with the least and the most of them; they have 200 ticks \
              each, so that of one session the 99.9th percentile is the largest value. No loop's thread has timer \
              slack.",
        columns: &[
            "class, load",
            "loop",
            "wake p50 µs",
            "wake p99 µs",
            "wake p99.9 µs",
            "wake max µs",
            "p50 and p99 to bare",
            "session start max µs",
            "drift µs",
            "skipped",
        ],
        rows,
    }
}

/// The object that the command prints, or why there is none.
fn run(words: &[&str]) -> Result<Value, String> {
    let program = option_env!("CARGO_BIN_EXE_antiphon").ok_or("built without the command line")?;
    let mut command = Command::new(program);
    command.args(["bench", "pacing", "--json", "--ticks", TICKS]).args(words);
    let done = command.stderr(Stdio::piped()).output().map_err(|why| why.to_string())?;
    if !done.status.success() {
        let why = String::from_utf8_lossy(&done.stderr);
        return Err(why.lines().next().unwrap_or("it says nothing").to_owned());
    }
    serde_json::from_slice(&done.stdout).map_err(|why| why.to_string())
}

fn row(told: &str, name: &str, object: &Value) -> Vec<String> {
    let of = &object["contenders"][name];
    let wake = |quantile: &str| spread(&of["wake_us"][quantile], 0);
    let ratio = &of["ratio_to_bare"];
    let ratios = if ratio.is_null() {
        String::new()
    } else {
        format!("{}, {}", spread(&ratio["wake_p50"], 2), spread(&ratio["wake_p99"], 2))
    };
    vec![
        told.to_owned(),
        name.to_owned(),
        wake("p50"),
        wake("p99"),
        wake("p99.9"),
        wake("max"),
        ratios,
        spread(&of["start_us"]["max"], 0),
        spread(&of["drift_us"], 0),
        of["skipped"].to_string(),
    ]
}

/// A median with its least and most; nothing where nothing was measured.
fn spread(of: &Value, digits: usize) -> String {
    let at = |key: &str| of[key].as_f64();
    let (Some(median), Some(min), Some(max)) = (at("median"), at("min"), at("max")) else {
        return String::new();
    };
    format!("{median:.digits$} ({min:.digits$}–{max:.digits$})")
}

fn not_measured(told: &str, why: &str) -> Vec<String> {
    let mut row = vec![told.to_owned(), format!("not measured: {why}")];
    row.resize(10, String::new());
    row
}
