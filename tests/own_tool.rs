//! A program with a tool of its own: `examples/own_tool.rs`, as its users run it.

mod program;

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};

use program::{Desk, ran};
use serde_json::{Value, json};

const RUN: &str = "run dice.yaml --input dice-caller.yaml --out game --fast";

/// A folder with the example's files.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.put("dice.yaml", include_bytes!("../examples/dice.yaml"));
    desk.put("dice-caller.yaml", include_bytes!("../examples/dice-caller.yaml"));
    desk
}

/// The example, which `cargo test` builds beside the tests.
fn own_tool() -> PathBuf {
    let antiphon = Path::new(env!("CARGO_BIN_EXE_antiphon"));
    let folder = antiphon.parent().expect("it is in a folder").join("examples");
    let path = folder.join(format!("own_tool{EXE_SUFFIX}"));
    assert!(path.is_file(), "{} is not built; cargo build --example own_tool", path.display());
    path
}

#[test]
fn the_dice_are_thrown_and_their_sums_told() {
    let desk = desk();
    ran(&mut desk.command(own_tool(), RUN)).exits(0);
    let events = desk.events("game");
    let of_type = |name: &'static str| events.iter().filter(move |event| event["type"] == name);
    let thrown: Vec<Value> =
        of_type("tool.result").map(|event| event["outcome"]["Done"].clone()).collect();
    assert_eq!(
        thrown,
        [json!({ "throws": [3, 6, 3], "sum": 12 }), json!({ "throws": [2, 5], "sum": 7 })]
    );
    let said: Vec<_> = of_type("agent.message").map(|event| event["text"].clone()).collect();
    let sums = ["You have 12: ", "You have 7: "];
    for sum in sums {
        let told = said.iter().any(|text| text.as_str().is_some_and(|text| text.starts_with(sum)));
        assert!(told, "nobody says {sum:?}: {said:?}");
    }
}

#[test]
fn without_the_tool_it_is_named_and_nothing_is_written() {
    let desk = desk();
    let refused = desk.run(RUN).exits(2).stderr;
    for words in ["no tool `dice`", "`canned` answer", "examples/own_tool.rs"] {
        assert!(refused.contains(words), "{words:?} is not in {refused}");
    }
    assert!(!desk.dir.path().join("game").exists());
    assert!(desk.run("check dice.yaml").exits(2).stderr.contains("no tool `dice`"));
    ran(&mut desk.command(own_tool(), "check dice.yaml")).exits(0);
}

#[test]
fn every_configuration_that_comes_along_is_sound() {
    let desk = desk();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut words = String::from("check dice.yaml");
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        // Tests of configurations are no configurations.
        if name.ends_with(".test.yaml") {
            continue;
        }
        desk.put(&name, fs::read(&path).expect("it can be read"));
        words += &format!(" {name}");
    }
    let checked = ran(&mut desk.command(own_tool(), &words)).exits(0).stdout;
    assert_eq!(checked.lines().count(), words.split(' ').count() - 1, "{checked}");
    assert!(checked.contains("demo.yaml: ok: 3 agents, 4 tools, 6 transitions"), "{checked}");
}
