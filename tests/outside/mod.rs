//! Tools that are carried out elsewhere, as a session has them: a configuration, an environment, calls.

use std::collections::BTreeMap;

use antiphon::config::{self, Config};
use antiphon::id::CallId;
use antiphon::remote::Remote;
use antiphon::tool::{FailureKind, Json, Outcome, Registry, ToolCall, ToolContext};
use serde_json::Value;

/// A configuration whose tools can be called.
pub(crate) struct Reached {
    pub(crate) remote: Remote,
    pub(crate) config: Config,
    pub(crate) tools: Registry,
    pub(crate) warnings: Vec<String>,
}

/// A configuration with one silent agent.
#[track_caller]
pub(crate) fn parsed(yaml: &str) -> Config {
    let text = format!("name: desk\nagents: {{ desk: {{}} }}\n{yaml}");
    config::parse(text.as_bytes(), "desk.yaml").unwrap_or_else(|all| panic!("{all}"))
}

impl Reached {
    /// Reaches everything, with these variables in the environment.
    #[track_caller]
    pub(crate) fn new(yaml: &str, environment: &[(&str, &str)]) -> Self {
        Self::tried(yaml, environment).unwrap_or_else(|wrong| panic!("{}", wrong.join("\n")))
    }

    #[track_caller]
    pub(crate) fn tried(yaml: &str, environment: &[(&str, &str)]) -> Result<Self, Vec<String>> {
        let environment: BTreeMap<&str, &str> = environment.iter().copied().collect();
        let lookup = |name: &str| environment.get(name).map(|value| (*value).to_owned());
        let remote = Remote::start(&parsed(yaml), &lookup)?;
        let (config, warnings) = remote.resolved();
        let mut tools = Registry::default();
        remote.add_to(&config, &mut tools)?;
        Ok(Self { remote, config, tools, warnings })
    }

    /// Makes the third call of a session.
    pub(crate) fn outcome(&self, tool: &str, arguments: Value) -> Outcome {
        let context = ToolContext {
            session: "session-7".into(),
            call: "call-3".into(),
            occurrence: 0,
            pause: |_| (),
        };
        let (id, name, arguments) = (CallId(3), tool.to_owned(), Json(arguments));
        self.tools.execute(&context, &ToolCall { id, name, arguments, occurrence: 0, lane: None })
    }

    /// The value of a call.
    #[track_caller]
    pub(crate) fn value(&self, tool: &str, arguments: Value) -> Value {
        match self.outcome(tool, arguments) {
            Outcome::Done(value) => value.0,
            Outcome::Failed(failure) => panic!("{tool}: {failure}"),
        }
    }

    /// Why a call failed.
    #[track_caller]
    pub(crate) fn failure(&self, tool: &str, arguments: Value) -> (FailureKind, String) {
        match self.outcome(tool, arguments) {
            Outcome::Failed(failure) => (failure.kind, failure.message),
            Outcome::Done(value) => panic!("{tool} is done: {}", value.0),
        }
    }

    /// Insists that a call fails and says so.
    #[track_caller]
    pub(crate) fn fails(&self, tool: &str, arguments: Value, words: &str) {
        let (kind, message) = self.failure(tool, arguments);
        assert_eq!(kind, FailureKind::Failed, "{message}");
        assert!(message.contains(words), "{words:?} is not in {message:?}");
        assert!(message.len() < 700, "{} bytes: {message}", message.len());
    }
}

/// Waits until all who have a named pipe open for writing are gone, and says what they wrote.
#[cfg(unix)]
pub(crate) fn until_closed(fifo: std::path::PathBuf) -> String {
    let (tell, told) = std::sync::mpsc::sync_channel(100);
    std::thread::spawn(move || tell.send(std::fs::read_to_string(fifo)));
    let read = told.recv_timeout(std::time::Duration::from_secs(20));
    read.expect("a process is still there").expect("the pipe can be read")
}

/// A named pipe in a folder.
#[cfg(unix)]
pub(crate) fn fifo(folder: &std::path::Path) -> std::path::PathBuf {
    let path = folder.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
    assert!(made.success(), "mkfifo fails");
    path
}
