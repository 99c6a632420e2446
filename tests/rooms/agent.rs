//! The program in a room: `antiphon connect`, as a process of its own, and what it prints.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::server::Server;
use super::told::{Missing, Told};
use super::{PATIENCE, root};

/// Of what it printed, in the message of a failed test.
const SHOWN_MAX: usize = 30;

/// An agent in a room, until it ends or is dropped.
#[derive(Debug)]
pub(crate) struct Agent {
    process: Child,
    told: Arc<Told<Value>>,
    complained: Arc<Told<String>>,
    out: TempDir,
}

impl Agent {
    /// Starts one with a configuration of the project, as the participant `agent`, and waits until it is in the room.
    #[track_caller]
    pub(crate) fn connect(server: &Server, room: &str, config: &str) -> Self {
        let agent = Self::start(server, room, config, &[], &[]);
        agent.event("room.joined", |_| true);
        agent
    }

    /// Starts one with a configuration of the test's own, and waits until it is in the room.
    #[track_caller]
    pub(crate) fn with(server: &Server, room: &str, config: &str) -> Self {
        Self::with_environment(server, room, config, &[])
    }

    /// The same in an environment that has these variables as well.
    #[track_caller]
    pub(crate) fn with_environment(
        server: &Server,
        room: &str,
        config: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("agent.yaml");
        std::fs::write(&file, config).expect("the temporary folder can be written");
        let file = file.to_str().expect("temporary folders have plain names");
        // The configuration is read before the room is joined.
        let agent = Self::start(server, room, file, &[], environment);
        agent.event("room.joined", |_| true);
        agent
    }

    /// Starts one with further arguments and environment, and does not wait. The configuration is a path from the
    /// project's folder.
    #[track_caller]
    pub(crate) fn start(
        server: &Server,
        room: &str,
        config: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let out = tempfile::tempdir().expect("a temporary folder can be made");
        let process = Command::new(env!("CARGO_BIN_EXE_antiphon"))
            .arg("connect")
            .arg(root().join(config))
            .args(["--room", room, "--identity", "agent", "--json", "--out"])
            .arg(out.path().join("call"))
            .args(arguments)
            .env("LIVEKIT_URL", server.url())
            .env("LIVEKIT_API_KEY", server.key())
            .env("LIVEKIT_API_SECRET", server.secret())
            .env_remove("ANTIPHON_METRICS_TOKEN")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut process = process.unwrap_or_else(|error| panic!("antiphon: {error}"));
        let stdout = process.stdout.take().expect("it is piped");
        let stderr = process.stderr.take().expect("it is piped");
        // What is no JSON is kept as it is.
        let told = Told::by(stdout, |line| {
            Some(serde_json::from_str(&line).unwrap_or_else(|_| line.into()))
        });
        Self { process, told, complained: Told::by(stderr, Some), out }
    }

    /// All that it complained of: of one that has ended.
    #[track_caller]
    pub(crate) fn complaints(&self) -> String {
        if self.complained.wait::<()>(usize::MAX, PATIENCE, |_, _| None) == Err(Missing::Late) {
            self.fail("what it complains of has no end");
        }
        self.complained.look(|lines| lines.join("\n"))
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

    /// The folder of the call.
    pub(crate) fn folder(&self) -> &Path {
        self.out.path()
    }

    #[track_caller]
    fn fail(&self, why: &str) -> ! {
        let last = |lines: Vec<String>| lines[lines.len().saturating_sub(SHOWN_MAX)..].join("\n");
        let events = self.told.look(|events| last(events.iter().map(Value::to_string).collect()));
        let complaints = self.complained.look(|lines| last(lines.to_vec()));
        panic!("antiphon connect: {why}\nwhat it printed last:\n{events}\n{complaints}")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
