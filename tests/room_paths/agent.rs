//! The program in a room, with options of the test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use super::rooms::PATIENCE;
use super::rooms::server::Server;

/// Lines that wait to be looked at at most: a call of a minute tells less.
const LINES_MAX: usize = 10_000;

/// An agent that says back what it hears, until it ends or is dropped.
pub(crate) struct Agent {
    process: Child,
    out: Receiver<String>,
    err: Receiver<String>,
    told: Vec<Value>,
    complained: Vec<String>,
    _folder: TempDir,
}

impl Agent {
    /// Starts one, and waits until it is in the room.
    #[track_caller]
    pub(crate) fn connect(server: &Server, room: &str, options: &[&str]) -> Self {
        let mut agent = Self::start(&server.url(), server, room, options, &[]);
        agent.event("room.joined");
        agent
    }

    /// Starts one, with more options and environment.
    #[track_caller]
    pub(crate) fn start(
        url: &str,
        server: &Server,
        room: &str,
        options: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut process = Command::new(env!("CARGO_BIN_EXE_antiphon"))
            .args(["connect", "configs/echo.yaml", "--json", "--identity", "agent"])
            .args(["--url", url, "--room", room])
            .arg("--out")
            .arg(folder.path().join("call"))
            .args(options)
            .env("LIVEKIT_API_KEY", server.key())
            .env("LIVEKIT_API_SECRET", server.secret())
            .envs(environment.iter().copied())
            .env_remove("ANTIPHON_METRICS_TOKEN")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program is built before its tests");
        let out = lines(process.stdout.take().expect("it is piped"));
        let err = lines(process.stderr.take().expect("it is piped"));
        Self { process, out, err, told: Vec::new(), complained: Vec::new(), _folder: folder }
    }

    /// Waits for an event of a type; it may have been told before.
    #[track_caller]
    pub(crate) fn event(&mut self, kind: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(event) = self.told.iter().find(|event| event["type"] == kind) {
                return event.clone();
            }
            match self.out.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.told.extend(serde_json::from_str::<Value>(&line).ok()),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("in {PATIENCE:?} there was no \"{kind}\": {}", self.complaints())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it has ended without \"{kind}\": {}", self.complaints())
                }
            }
        }
    }

    /// Waits until it ends; its exit code.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> Option<i32> {
        let until = Instant::now() + 2 * PATIENCE;
        loop {
            match self.out.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.told.extend(serde_json::from_str::<Value>(&line).ok()),
                Err(RecvTimeoutError::Timeout) => panic!("it goes on: {}", self.complaints()),
                Err(RecvTimeoutError::Disconnected) => {
                    let ended = self.process.wait().expect("it is our child");
                    self.complained.extend(self.err.iter());
                    return ended.code();
                }
            }
        }
    }

    /// What it has complained of so far.
    pub(crate) fn complaints(&mut self) -> String {
        self.complained.extend(self.err.try_iter());
        self.complained.join("\n")
    }

    /// Whether it has printed a text.
    pub(crate) fn said(&mut self, text: &str) -> bool {
        self.complaints().contains(text)
            || self.told.iter().any(|event| event.to_string().contains(text))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The lines of a stream, read to its end.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, told) = sync_channel(LINES_MAX);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    told
}
