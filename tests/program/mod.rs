//! The program as a person runs it: words on a command line in, an exit code, texts and files out.

use std::ffi::OsStr;
use std::fs;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// A folder in which the program is run.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) dir: TempDir,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Desk {
    /// An empty folder, gone when it is dropped.
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary folder can be made") }
    }

    /// Puts a file there.
    pub(crate) fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.dir.path().join(name), bytes).expect("the temporary folder can be written");
    }

    /// The events that a run wrote to a folder.
    pub(crate) fn events(&self, folder: &str) -> Vec<Value> {
        let path = self.dir.path().join(folder).join("events.jsonl");
        let text = fs::read_to_string(&path).expect("a run writes its events");
        text.lines().map(|line| serde_json::from_str(line).expect("an event is JSON")).collect()
    }

    /// A program with these words, to be run in the folder.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>, words: &str) -> Command {
        let mut command = Command::new(program);
        command.args(words.split_whitespace()).current_dir(self.dir.path());
        // What the developer has set up is no matter of the test.
        command.env_remove("ANTIPHON_METRICS_TOKEN");
        command
    }

    /// Runs `antiphon` with these words.
    pub(crate) fn run(&self, words: &str) -> Ran {
        ran(&mut self.command(env!("CARGO_BIN_EXE_antiphon"), words))
    }
}

/// Runs a command to its end.
pub(crate) fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes| String::from_utf8(bytes).expect("what is printed is UTF-8");
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Ran {
    /// Insists on an exit code; otherwise what the program said, a remedy perhaps, is the failure.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        let Self { code: found, stdout, stderr } = &self;
        assert_eq!(*found, Some(code), "the exit code\n{stdout}\n{stderr}");
        self
    }
}
