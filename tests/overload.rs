//! `antiphon bench overload`, in short: the stages in their order, what each leaves out, and that everything comes back.

use std::process::{Command, Output};

use serde_json::Value;

fn run(words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antiphon"));
    command.args(["bench", "overload"]).args(words.split_whitespace());
    command.output().expect("the program runs")
}

#[track_caller]
fn number(of: &Value, path: &str) -> f64 {
    of.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {path} in {of}"))
}

#[test]
fn stages_follow_each_other_and_no_audio_has_a_gap_before_sessions_do_less() {
    let Output { status, stdout, stderr } = run("--seconds 2 --json --assert");
    let (text, complaints) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert_eq!(status.code(), Some(0), "a promise is broken:\n{text}\n{complaints}");
    let of: Value = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}"));
    assert_eq!(of["bench"], "overload", "{of}");
    let steps = of["steps"].as_array().expect("there are steps");
    let named = |name: &str| steps.iter().find(|step| step["name"] == name).expect("it is there");
    assert!(number(named("come"), "/refused") >= 1.0, "{of}");
    let most = named("far too many");
    assert_eq!(most["stage"], "strained", "{of}");
    assert_eq!(most["strained"], most["sessions"], "all of them alike: {of}");
    assert!(number(most, "/shed") >= 5.0, "{of}");
    let last = steps.last().expect("there are steps");
    assert_eq!((&last["stage"], &last["strained"]), (&"calm".into(), &0.into()), "{of}");
    assert!(of["verdicts"].as_array().is_some_and(|all| all.len() == 6), "{of}");
}

#[test]
fn what_cannot_be_measured_is_refused_in_words() {
    for (words, why) in [("--seconds 1", "2..=600"), ("--burn 300", "0..=256"), ("--most 2", "8..")]
    {
        let Output { status, stderr, .. } = run(words);
        let complaints = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(2), "{words}: {complaints}");
        assert!(complaints.contains(why), "{words}: {complaints}");
    }
}
