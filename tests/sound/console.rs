//! `antiphon console` in a room, as a person runs it: what it prints is waited for.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use antiphon::host::pace::{Clock, pause};
use serde_json::Value;

use super::Server;

/// A console that is running.
pub(crate) struct Console {
    child: Child,
    /// While it is open the call goes on.
    keys: Option<ChildStdin>,
    lines: Arc<Mutex<Vec<Value>>>,
    /// The folder that is recorded to.
    pub(crate) out: PathBuf,
    /// Lines that were waited for already.
    seen: usize,
    /// Lines that there were when something was typed last.
    written: usize,
}

impl Console {
    /// Starts it with a configuration and more words, and has it record to a folder.
    pub(crate) fn start(server: &Server, config: &Path, words: &[&str]) -> Self {
        let out = server.dir().join("out");
        drop(std::fs::remove_dir_all(&out));
        let mut command = Command::new(env!("CARGO_BIN_EXE_antiphon"));
        server.quiet(&mut command);
        let mut child = command
            .arg("console")
            .arg(config)
            .args(["--json", "--record"])
            .arg(&out)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program can be started");
        let stdout = child.stdout.take().expect("it is piped");
        let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
        let shared = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(value) = serde_json::from_str(&line) {
                    shared.lock().expect("nobody panics with it").push(value);
                }
            }
        });
        let keys = child.stdin.take();
        Self { child, keys, lines, out, seen: 0, written: 0 }
    }

    /// All that was printed so far.
    pub(crate) fn printed(&self) -> Vec<Value> {
        self.lines.lock().expect("nobody panics with it").clone()
    }

    /// Waits for a line after those that were waited for.
    #[track_caller]
    pub(crate) fn wait(
        &mut self,
        what: &str,
        seconds: u64,
        is_it: impl Fn(&Value) -> bool,
    ) -> Value {
        let clock = Clock::default();
        let begin = clock.now();
        loop {
            let lines = self.printed();
            for (at, line) in lines.iter().enumerate().skip(self.seen) {
                if is_it(line) {
                    self.seen = at + 1;
                    return line.clone();
                }
            }
            let waited = clock.now().since_ns(begin) / 1_000_000_000;
            if waited >= seconds || matches!(self.child.try_wait(), Ok(Some(_))) {
                let last: Vec<_> =
                    lines.iter().rev().take(30).rev().map(ToString::to_string).collect();
                panic!("no {what} within {seconds} s; the last lines:\n{}", last.join("\n"));
            }
            pause(10);
        }
    }

    /// Waits for an event of this kind.
    #[track_caller]
    pub(crate) fn event(&mut self, kind: &str, seconds: u64) -> Value {
        self.wait(kind, seconds, |line| line["type"] == kind)
    }

    /// Types a line.
    pub(crate) fn write(&mut self, text: &str) {
        let keys = self.keys.as_mut().expect("it is open while the call goes on");
        writeln!(keys, "{text}").expect("the console reads");
        self.written = self.printed().len();
    }

    /// Whether the agent has not spoken since a line was typed.
    pub(crate) fn awaits_answer(&self) -> bool {
        self.written > 0
            && !self.printed()[self.written..].iter().any(|l| l["type"] == "agent.speech_finished")
    }

    /// Ends the call as an interrupt does. Gives back how often a device had nothing, or too much: times at which the
    /// machine was late.
    pub(crate) fn end(mut self) -> u64 {
        let pid = i32::try_from(self.child.id()).expect("a process has a small number");
        // Once for a goodbye, twice to hang up.
        for _ in 0..2 {
            drop(Command::new("kill").args(["-INT", &pid.to_string()]).status());
            pause(200);
        }
        drop(self.child.wait());
        pause(100);
        drop(self.keys.take());
        let printed = self.printed();
        let Some(devices) = printed.iter().find(|line| line["type"] == "devices") else { return 0 };
        eprintln!("{devices}");
        let count = |side: &str, name: &str| devices[side][name].as_u64().unwrap_or_default();
        ["microphone", "loudspeaker"]
            .map(|side| count(side, "missed") + count(side, "jumps"))
            .iter()
            .sum()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
