//! A program of this project as a process of its own, and what it prints: an object a line.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::PATIENCE;
use super::server::Server;
use super::told::{Missing, Told};

/// Of what it printed, in the message of a failed test.
const SHOWN_MAX: usize = 30;

/// The token of a program's own metrics.
pub(crate) const METRICS_TOKEN: &str = "ANTIPHON_METRICS_TOKEN";

/// A program, until it ends or is dropped.
#[derive(Debug)]
pub(crate) struct Program {
    process: Child,
    told: Arc<Told<Value>>,
    complained: Arc<Told<String>>,
}

impl Program {
    /// Starts it, with what opens rooms of this server.
    #[track_caller]
    pub(crate) fn start(command: &mut Command, server: &Server) -> Self {
        let opens = [
            ("LIVEKIT_URL", server.url()),
            ("LIVEKIT_API_KEY", server.key().to_owned()),
            ("LIVEKIT_API_SECRET", server.secret().to_owned()),
        ];
        for (name, value) in opens {
            // What the test says itself stands.
            if !command.get_envs().any(|(known, _)| known == name) {
                command.env(name, value);
            }
        }
        Self::spawn(command)
    }

    /// Starts it as it is.
    #[track_caller]
    pub(crate) fn spawn(command: &mut Command) -> Self {
        // What the developer has set up is no matter of the test.
        if !command.get_envs().any(|(known, value)| known == METRICS_TOKEN && value.is_some()) {
            command.env_remove(METRICS_TOKEN);
        }
        let process =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut process = process.unwrap_or_else(|error| panic!("antiphon: {error}"));
        let stdout = process.stdout.take().expect("it is piped");
        let stderr = process.stderr.take().expect("it is piped");
        // What is no JSON is kept as it is.
        let told = Told::by(stdout, |line| {
            Some(serde_json::from_str(&line).unwrap_or_else(|_| line.into()))
        });
        Self { process, told, complained: Told::by(stderr, Some) }
    }

    /// Its number, for signals.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// All that it complained of: of one that has ended.
    #[track_caller]
    pub(crate) fn complaints(&self) -> String {
        if self.complained.wait::<()>(usize::MAX, PATIENCE, |_, _| None) == Err(Missing::Late) {
            self.fail("what it complains of has no end");
        }
        self.complained.look(|lines| lines.join("\n"))
    }

    /// Waits until it complains of something.
    #[track_caller]
    pub(crate) fn complains(&self, part: &str) {
        let found = |_, line: &String| line.contains(part).then_some(());
        if self.complained.wait(0, PATIENCE, found).is_err() {
            self.fail(&format!("it does not complain of \"{part}\""));
        }
    }

    /// Everything that it printed so far, in lines.
    pub(crate) fn printed(&self) -> String {
        let told = self.told.look(|events| events.iter().map(Value::to_string).collect::<Vec<_>>());
        [told, self.complained.look(<[String]>::to_vec)].concat().join("\n")
    }

    /// Waits for an event of this type for which something holds; it may have been told before.
    #[track_caller]
    pub(crate) fn event(&self, kind: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.wait(kind, holds)
    }

    /// Waits until there are more events of this type than these; the first that is new.
    #[track_caller]
    pub(crate) fn event_after(&self, kind: &str, known: usize) -> Value {
        let mut seen = 0;
        self.wait(kind, |_| {
            seen += 1;
            seen > known
        })
    }

    #[track_caller]
    fn wait(&self, kind: &str, mut holds: impl FnMut(&Value) -> bool) -> Value {
        let found =
            |_, event: &Value| (event["type"] == kind && holds(event)).then(|| event.clone());
        match self.told.wait(0, PATIENCE, found) {
            Ok(event) => event,
            Err(Missing::Over) => self.fail(&format!("it has ended without \"{kind}\"")),
            Err(Missing::Late) => self.fail(&format!("in {PATIENCE:?} there was no \"{kind}\"")),
        }
    }

    /// All events of a type so far.
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        self.told
            .look(|events| events.iter().filter(|event| event["type"] == kind).cloned().collect())
    }

    /// Waits for the end of the call, which is told by a summary, and for the program's; its exit code.
    #[track_caller]
    pub(crate) fn ends(&mut self, patience: Duration) -> Option<i32> {
        match self.told.wait(0, patience, |_, event| (event["type"] == "summary").then_some(())) {
            Ok(()) | Err(Missing::Over) => {}
            Err(Missing::Late) => self.fail(&format!("it goes on after {patience:?}")),
        }
        // Its output is closed when it is over.
        let over = self.told.wait::<()>(usize::MAX, patience, |_, _| None);
        if over == Err(Missing::Late) {
            self.fail("it has ended the call, and is still there");
        }
        self.process.wait().expect("it is our child").code()
    }

    #[track_caller]
    pub(crate) fn fail(&self, why: &str) -> ! {
        let last = |lines: Vec<String>| lines[lines.len().saturating_sub(SHOWN_MAX)..].join("\n");
        let events = self.told.look(|events| last(events.iter().map(Value::to_string).collect()));
        let complaints = self.complained.look(|lines| last(lines.to_vec()));
        panic!("antiphon: {why}\nwhat it printed last:\n{events}\n{complaints}")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
