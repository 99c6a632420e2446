//! The first hour with the program: a project is made and run, an editor is given the schema, a shell
//! completes what is typed.

mod program;

use std::fs;
use std::path::Path;
use std::process::Command;

use antiphon::config::{self, scenario};
use program::{Desk, Ran, ran};
use serde_json::Value;

/// A shell in the desk's folder that finds `antiphon` by its name, and no speech library.
fn shell(desk: &Desk, program: &str, script: &str) -> Ran {
    let antiphon = Path::new(env!("CARGO_BIN_EXE_antiphon"));
    let folder = antiphon.parent().expect("a program is in a folder");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path =
        std::env::join_paths([folder.to_owned()].into_iter().chain(std::env::split_paths(&path)));
    let mut command = desk.command(program, "");
    for library in
        ["ANTIPHON_POCKETSPHINX_LIB", "ANTIPHON_POCKETSPHINX_MODEL", "ANTIPHON_FLITE_LIB"]
    {
        command.env(library, "nowhere");
    }
    ran(command.args(["-c", script]).env("PATH", path.expect("folders without a colon")))
}

/// The commands that `init` printed, to be run in the folder in which it was called.
fn printed(stdout: &str) -> String {
    let (_, next) = stdout.split_once("\nnext:\n").expect("init says what comes next");
    let lines = next.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// Who said what, in order.
fn transcript(desk: &Desk, folder: &str) -> Vec<(String, String)> {
    let path = desk.dir.path().join(folder).join("transcript.json");
    let text = fs::read_to_string(path).expect("a run writes its transcript");
    let transcript: Value = serde_json::from_str(&text).expect("it is JSON");
    let turns = transcript["turns"].as_array().or(transcript.as_array()).expect("a list of turns");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    turns.iter().map(|turn| (text(&turn["name"]), text(&turn["text"]))).collect()
}

#[test]
fn a_new_shop_runs_by_the_commands_that_init_prints() {
    let desk = Desk::new();
    let init = shell(&desk, "sh", "antiphon init my-shop").exits(0);
    let commands = printed(&init.stdout);
    assert_eq!(commands.lines().count(), 4, "{commands}");
    let ran = shell(&desk, "sh", &format!("set -e\n{commands}")).exits(0);
    assert_eq!(ran.stderr, "", "a project runs without a warning");
    assert!(ran.stdout.contains("config.yaml: ok: 2 agents, 2 tools, 1 transition"));
    assert!(ran.stdout.contains("equal: "), "{}", ran.stdout);
    let said = transcript(&desk, "my-shop/out/call");
    let conversation = [
        ("front_desk", "Welcome to the corner shop. How can I help you?"),
        ("caller", "what are your opening hours"),
        ("front_desk", "We are open from nine to six."),
        ("caller", "where is my order 4217"),
        ("front_desk", "Let me look that up."),
        ("front_desk", "Order 4 2 1 7 is shipped. It will arrive on Monday."),
        ("caller", "I have a question about my bill"),
        ("front_desk", "I will pass you on to billing."),
        ("billing", "This is billing. What is your question?"),
        ("caller", "how much do I owe"),
        ("billing", "One moment, I am asking the accounts."),
        ("billing", "You owe 42 dollars. It is due on Friday."),
        ("caller", "thank you goodbye"),
        ("billing", "Thank you for calling. Goodbye!"),
    ];
    let conversation = conversation.map(|(who, text)| (who.to_owned(), text.to_owned()));
    assert_eq!(said, conversation);
    let cut =
        desk.events("my-shop/out/call").into_iter().find(|e| e["type"] == "agent.interrupted");
    assert_eq!(cut, None, "every answer is heard to its end");
}

#[test]
fn a_new_echo_runs_by_the_commands_that_init_prints_and_says_back_what_it_hears() {
    let desk = Desk::new();
    let init = shell(&desk, "sh", "antiphon init hall --template echo").exits(0);
    let ran = shell(&desk, "sh", &format!("set -e\n{}", printed(&init.stdout))).exits(0);
    assert_eq!(ran.stderr, "", "a project runs without a warning");
    let wav =
        fs::read(desk.dir.path().join("hall/out/call/conversation.wav")).expect("it is there");
    let samples: Vec<i16> =
        wav[44..].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let side = |at: usize| samples.iter().skip(at).step_by(2).copied().collect::<Vec<i16>>();
    let (caller, echo) = (side(0), side(1));
    assert!(caller.iter().any(|sample| sample.unsigned_abs() > 5_000), "the caller is heard");
    // One second later; the samples are too many to print.
    let delay = 24_000;
    assert!(echo[delay..] == caller[..caller.len() - delay], "the echo is what the caller said");
}

#[test]
fn a_program_that_was_called_by_its_path_is_named_by_it() {
    let desk = Desk::new();
    let init = desk.run("init my-shop").exits(0);
    let commands = printed(&init.stdout);
    assert!(commands.contains(env!("CARGO_BIN_EXE_antiphon")), "{commands}");
    ran(desk.command("sh", "-ec").arg(&commands)).exits(0);
}

#[test]
fn a_project_is_what_it_says_and_its_schemas_are_those_of_the_program() {
    let desk = Desk::new();
    for template in ["shop", "echo"] {
        let init = desk.run(&format!("init {template} --template {template}")).exits(0);
        let folder = desk.dir.path().join(template);
        let read =
            |name: &str| fs::read(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let names = listing(&folder);
        for name in &names {
            assert!(
                init.stdout.contains(&format!("  {name} ")),
                "{name} is not in {}",
                init.stdout
            );
            let has = read(name).windows(12).any(|bytes| bytes == b"project-name");
            assert!(!has, "{name} still has the template's name");
        }
        assert!(names.len() >= 6, "{names:?}");
        let config = config::parse(&read("config.yaml"), "config.yaml").expect("it is sound");
        assert_eq!(config.name, template);
        scenario::parse(&read("caller.yaml"), "caller.yaml").expect("it is sound");
        for (document, file) in [("config", "config"), ("cues", "caller")] {
            let printed = desk.run(&format!("schema {document}")).exits(0).stdout;
            assert_eq!(read(&format!("schema/{document}.json")), printed.as_bytes());
            let first = format!("# yaml-language-server: $schema=schema/{document}.json\n");
            assert!(read(&format!("{file}.yaml")).starts_with(first.as_bytes()));
        }
        assert_eq!(
            read(".gitignore"),
            b"# Written by runs: recordings, events, journals.\n/out/\n"
        );
        let readme = String::from_utf8(read("README.md")).expect("it is text");
        for words in printed(&init.stdout).lines().skip(1) {
            let words = words.rsplit_once("antiphon ").expect("a command of the program").1;
            assert!(readme.contains(&format!("antiphon {words}")), "README.md lacks {words}");
        }
    }
}

#[test]
fn a_name_or_a_place_that_is_no_good_is_refused_and_nothing_is_left() {
    let desk = Desk::new();
    fs::create_dir_all(desk.dir.path().join("full/inner")).expect("it can be made");
    fs::create_dir(desk.dir.path().join("empty")).expect("it can be made");
    desk.put("a-file", "in the way");
    for (name, part) in [
        ("full", "full: the folder is there and not empty; choose another name, or empty it"),
        ("a-file", "a-file: a file of this name is there; choose another name"),
        ("My-Shop", "`My-Shop` is no name of a project; use a to z"),
        ("../shop", "`../shop` is no name of a project"),
        ("-shop", "`-shop` is no name of a project; a name that begins with `-`"),
        (".", "`.` is no name of a project"),
        (&"a".repeat(65), "is no name of a project; use a to z, 0 to 9, `_` and `-`, at most 64"),
    ] {
        let before = listing(desk.dir.path());
        let Ran { stdout, stderr, .. } = desk.run(&format!("init {name}")).exits(2);
        assert!(stderr.contains(part), "{part:?} is not in {stderr}");
        assert_eq!((stdout.as_str(), listing(desk.dir.path())), ("", before), "{name}");
    }
    desk.run("init empty").exits(0);
    assert!(listing(desk.dir.path()).contains(&"empty/config.yaml".to_owned()));
}

#[cfg(unix)]
#[test]
fn an_empty_folder_stays_as_private_as_it_was_and_a_link_is_no_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let desk = Desk::new();
    shell(&desk, "sh", "mkdir -m 700 priv && antiphon init priv").exits(0);
    let known = fs::metadata(desk.dir.path().join("priv")).expect("it is there");
    assert_eq!(known.permissions().mode() & 0o7777, 0o700);
    let refused = shell(&desk, "sh", "ln -s elsewhere link && antiphon init link").exits(2);
    let reason = "link: a link of this name is there; choose another name, or remove the link";
    assert!(refused.stderr.contains(reason), "{}", refused.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_ends_midway_leaves_nothing_behind() {
    let desk = Desk::new();
    // Files end at 8 KiB: the schema is longer, the files before it are not.
    let script = "trap '' XFSZ; ulimit -f 8; antiphon init my-shop";
    let Ran { stdout, stderr, .. } = shell(&desk, "bash", script).exits(2);
    assert!(stderr.contains("my-shop: the project cannot be written: "), "{stderr}");
    assert!(stderr.contains("nothing is left behind"), "{stderr}");
    assert_eq!((stdout.as_str(), listing(desk.dir.path())), ("", Vec::new()));
    let refused = ran(Command::new(env!("CARGO_BIN_EXE_antiphon"))
        .args(["init", "my-shop"])
        .current_dir("/proc"))
    .exits(2);
    assert!(refused.stderr.contains("my-shop: the project cannot be written: "));
}

#[test]
fn the_schema_that_is_printed_accepts_what_the_program_writes_and_refuses_what_it_refuses() {
    let desk = Desk::new();
    let of = |words: &str| -> Value {
        serde_json::from_str(&desk.run(words).exits(0).stdout).expect("it is JSON")
    };
    assert_eq!(of("schema"), of("schema config"));
    assert_eq!(of("schema"), config::schema());
    assert_eq!(of("schema cues"), scenario::schema());
    let validator = jsonschema::validator_for(&of("schema")).expect("it is a schema");
    let demo = config::parse(include_bytes!("../configs/demo.yaml"), "demo").expect("it is sound");
    let mut demo = serde_json::to_value(demo).expect("it can be written");
    assert!(validator.is_valid(&demo));
    demo["sead"] = 7.into();
    assert!(!validator.is_valid(&demo), "a key that nobody knows");
    desk.run("schema cues --out cues.json").exits(0);
    let written = fs::read_to_string(desk.dir.path().join("cues.json")).expect("it was written");
    assert_eq!(written, desk.run("schema cues").exits(0).stdout);
    let refused = desk.run("schema --out no/such/folder/x.json").exits(2).stderr;
    assert!(refused.contains("no/such/folder/x.json: the schema cannot be written"), "{refused}");
}

/// What bash would offer after these words, of which the last is incomplete.
fn offered(desk: &Desk, words: &[&str]) -> Vec<String> {
    let script = format!(
        "set -e; source <(antiphon completions bash); complete -p antiphon >/dev/null
         COMP_WORDS=({}); COMP_CWORD={}
         _antiphon antiphon '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        words.len() - 1,
        words[words.len() - 1],
        words[words.len() - 2],
    );
    shell(desk, "bash", &script).exits(0).stdout.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let desk = Desk::new();
    shell(&desk, "bash", "antiphon completions bash > script && bash -n script").exits(0);
    assert_eq!(offered(&desk, &["antiphon", "rep"])[0], "replay");
    assert_eq!(offered(&desk, &["antiphon", "run", "--fa"]), ["--fast"]);
    assert_eq!(offered(&desk, &["antiphon", "init", "--template", "e"]), ["echo"]);
    assert_eq!(offered(&desk, &["antiphon", "schema", "cu"]), ["cues"]);
}

#[test]
fn a_program_with_a_version_in_its_name_is_completed_under_all_of_it() {
    let script = "exec -a antiphon-0.4 antiphon completions bash > script && bash -n script";
    let script = format!("({script}); grep -o 'antiphon-0[.0-9]*$' script | sort -u");
    assert_eq!(shell(&Desk::new(), "bash", &script).exits(0).stdout, "antiphon-0.4\n");
}

#[test]
fn every_shell_that_is_there_accepts_its_script() {
    let desk = Desk::new();
    for (shell_name, check) in [
        ("bash", "bash -n script"),
        ("zsh", "zsh -n script"),
        ("fish", "fish --no-execute script"),
        ("powershell", ""),
        ("elvish", ""),
    ] {
        let script = desk.run(&format!("completions {shell_name}")).exits(0).stdout;
        for command in ["run", "replay", "init", "completions"] {
            assert!(script.contains(command), "{shell_name} knows no {command}");
        }
        desk.put("script", &script);
        let is_there = !check.is_empty()
            && shell(&desk, "sh", &format!("command -v {shell_name}")).code == Some(0);
        if is_there {
            let checked = shell(&desk, "sh", check).exits(0);
            assert_eq!(checked.stderr, "", "{shell_name}");
        }
    }
}

/// Every file with its path below the folder.
fn listing(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        let name = path.strip_prefix(folder).expect("it is inside").display().to_string();
        if path.is_dir() {
            all.extend(listing(&path).into_iter().map(|inner| format!("{name}/{inner}")));
        } else {
            all.push(name);
        }
    }
    all.sort();
    all
}
