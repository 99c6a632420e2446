//! `antiphon bench pacing`: what it measures is all there, and what it cannot measure it says.
//!
//! No test looks at how late anything was: that depends on the machine, and is what the command is for.

use std::process::{Command, Output};

use serde_json::Value;

const CONTENDERS: [&str; 4] = ["shard", "bare", "tokio", "sleep"];

const PHASES: [&str; 11] =
    ["give", "admit", "hear", "wake", "think", "work", "route", "speak", "seal", "journal", "take"];

const QUANTILES: [&str; 5] = ["p50", "p90", "p99", "p99.9", "max"];

/// Runs the bench with these words.
fn bench(words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antiphon"));
    command.args(["bench", "pacing"]).args(words.split_whitespace());
    command.output().expect("the program starts")
}

/// What it printed, having done as it was told.
#[track_caller]
fn measured(words: &str) -> String {
    let Output { status, stdout, stderr } = bench(words);
    let stderr = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(0), "{words}:\n{stderr}");
    String::from_utf8(stdout).expect("what is printed is UTF-8")
}

#[track_caller]
fn object(words: &str) -> Value {
    let text = measured(words);
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}:\n{text}"))
}

/// A median between the least and the most.
fn assert_spread(of: &Value, what: &str) {
    let at = |key: &str| of[key].as_f64().unwrap_or_else(|| panic!("{what}: no {key} in {of}"));
    let (min, median, max) = (at("min"), at("median"), at("max"));
    assert!(min <= median && median <= max, "{what}: {of}");
}

/// Percentiles that grow, of so many values at least.
fn assert_quantiles(of: &Value, count: u64, what: &str) {
    assert!(of["count"].as_u64() >= Some(count), "{what}: fewer than {count} values: {of}");
    let mut before = 0.0;
    for name in QUANTILES {
        // In five parts of a few dozen values each, nobody is the worst of a thousand.
        if name == "p99.9" {
            assert!(of[name].is_null(), "{what}: {of}");
            continue;
        }
        assert_spread(&of[name], what);
        let median = of[name]["median"].as_f64().expect("a spread has a median");
        assert!(median >= before, "{what}: {name} is below the one before: {of}");
        before = median;
    }
}

#[test]
fn every_loop_and_every_phase_is_measured() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let plot = folder.path().join("pacing.svg");
    let of = object(&format!("--ticks 50 --sessions 2 --json --plot {}", plot.display()));
    assert_eq!((&of["ticks"], &of["repetitions"]), (&Value::from(50), &Value::from(5)), "{of}");
    assert_eq!((&of["sessions"], &of["len_ms"]), (&Value::from(2), &Value::from(20)), "{of}");
    assert_eq!(of["contenders"].as_object().map(serde_json::Map::len), Some(CONTENDERS.len()));
    for name in CONTENDERS {
        let contender = &of["contenders"][name];
        assert_spread(&contender["drift_us"], name);
        assert_spread(&contender["trend_ppm"], name);
        if name == "bare" {
            assert!(contender["work_us"].is_null(), "the bare loop does nothing: {contender}");
            assert!(contender["ratio_to_bare"].is_null(), "it is its own measure: {contender}");
            continue;
        }
        // A machine that is busy enough leaves no time to sleep: then there are fewer wakes, or none.
        if !contender["wake_us"].is_null() {
            assert_quantiles(&contender["wake_us"], 1, name);
        }
        let stepped = 2 * 50 - contender["skipped"].as_u64().expect("a count");
        assert_quantiles(&contender["start_us"], stepped, name);
        assert_quantiles(&contender["work_us"], stepped, name);
    }
    let phases = &of["contenders"]["shard"]["phases_us"];
    for phase in PHASES {
        assert_quantiles(&phases[phase], 1, phase);
    }
    let svg = std::fs::read_to_string(&plot).expect("the plot is written");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    assert_eq!(svg.matches("<polyline").count(), CONTENDERS.len(), "a line each");
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

#[test]
fn the_limit_wakes_for_every_session_of_the_shard() {
    let of = object("--only bare --ticks 10 --sessions 20 --json");
    let wakes = of["contenders"]["bare"]["wakes"].as_u64().expect("a count");
    // Sixteen a tick, unless the machine was too busy to let it sleep.
    assert!((11..=160).contains(&wakes), "{wakes} wakes in 10 ticks");
}

#[test]
fn one_loop_can_be_measured_alone_in_longer_ticks() {
    let of = object("--only shard --ticks 20 --len 40 --busy 1 --json");
    assert_eq!(of["contenders"].as_object().map(serde_json::Map::len), Some(1), "{of}");
    assert_eq!((&of["repetitions"], &of["parts"]), (&Value::from(1), &Value::from(5)));
    assert_eq!((&of["len_ms"], &of["busy"]), (&Value::from(40), &Value::from(1)));
    assert_spread(&of["contenders"]["shard"]["drift_us"], "the drift over all of it");
    assert!(of["contenders"]["shard"]["ratio_to_bare"].is_null(), "nothing to compare it with");
}

#[test]
fn a_person_can_read_it() {
    let text = measured("--ticks 10");
    let words =
        ["wakes", "wake lateness", "session start lateness", "work by phase", "drift", "skipped"];
    for word in words.into_iter().chain(CONTENDERS).chain(PHASES).chain(QUANTILES) {
        assert!(text.contains(word), "{word} is not in:\n{text}");
    }
}

#[test]
fn what_cannot_be_measured_is_refused_all_at_once() {
    let refused: [(&str, &[&str]); 6] = [
        ("--len 30", &["--len 30", "multiple of 20"]),
        ("--len 1020", &["--len 1020", "to 1000"]),
        (
            "--ticks 9 --sessions 0 --busy 257 --len 0",
            &["--ticks 9", "--sessions 0", "--busy 257", "--len 0"],
        ),
        ("--ticks many", &["--ticks", "many"]),
        ("--class batch", &["--class", "normal", "fifo"]),
        ("--plot no/such/folder/p.svg", &["no/such/folder/p.svg: cannot be written", "choose"]),
    ];
    for (words, expected) in refused {
        let Output { status, stdout, stderr } = bench(words);
        let stderr = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(2), "{words}:\n{stderr}");
        assert!(stdout.is_empty(), "{words}: complaints belong to stderr");
        for part in expected {
            assert!(stderr.contains(part), "{words}: {part:?} is not in:\n{stderr}");
        }
    }
}

/// Neither root's privilege nor the limit permits the class to this program.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "privileges of a process are the system's")]
fn without_real_time(command: &mut Command) {
    use std::os::unix::process::CommandExt;

    /// CAP_SYS_NICE, by its number in the kernel's list.
    const SYS_NICE: libc::c_ulong = 23;
    let give_up = || {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `none` is valid for reading. Who is not root has nothing to drop: that may fail.
        let limited = unsafe {
            libc::prctl(libc::PR_CAPBSET_DROP, SYS_NICE);
            libc::setrlimit(libc::RLIMIT_RTPRIO, &raw const none)
        };
        if limited == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec it makes two system calls and takes no memory.
    unsafe { command.pre_exec(give_up) };
}

#[cfg(target_os = "linux")]
#[test]
fn a_class_that_is_not_permitted_is_refused_with_what_to_do() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antiphon"));
    command.args(["bench", "pacing", "--class", "fifo", "--ticks", "10", "--only", "bare"]);
    without_real_time(&mut command);
    let Output { status, stderr, .. } = command.output().expect("the program starts");
    let stderr = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(2), "{stderr}");
    for part in ["SCHED_FIFO", "root", "CAP_SYS_NICE", "ulimit -r 11", "--class normal"] {
        assert!(stderr.contains(part), "{part:?} is not in:\n{stderr}");
    }
}
