//! A worker: `antiphon start`, as a process of its own, and what it prints.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::Program;
use super::server::Server;
use super::{PATIENCE, root};

/// A worker, until it ends or is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    program: Program,
    folder: TempDir,
}

impl std::ops::Deref for Worker {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.program
    }
}

impl std::ops::DerefMut for Worker {
    fn deref_mut(&mut self) -> &mut Program {
        &mut self.program
    }
}

impl Worker {
    /// Starts one with configurations of the test's own, and waits until it is registered as often as it is to be.
    #[track_caller]
    pub(crate) fn start(server: &Server, configs: &[&str], arguments: &[&str]) -> Self {
        let worker = Self::begin(server, configs, arguments);
        worker.event("worker.registered", |_| true);
        worker
    }

    /// The same, without waiting.
    #[track_caller]
    pub(crate) fn begin(server: &Server, configs: &[&str], arguments: &[&str]) -> Self {
        Self::command("start", configs, arguments, |command| Program::start(command, server))
    }

    /// Starts a command that is a worker. Configurations of the test's own are `agent-0.yaml` … in its folder.
    #[track_caller]
    pub(crate) fn command(
        name: &str,
        configs: &[&str],
        arguments: &[&str],
        start: impl FnOnce(&mut Command) -> Program,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut command = Command::new(env!("CARGO_BIN_EXE_antiphon"));
        command.arg(name).arg("--json");
        if !arguments.contains(&"--http") {
            command.args(["--http", "0"]);
        }
        for (number, config) in configs.iter().enumerate() {
            // A configuration of the project's, or a text.
            if config.contains('\n') {
                let file = folder.path().join(format!("agent-{number}.yaml"));
                std::fs::write(&file, config).expect("the temporary folder can be written");
                command.arg(file);
            } else {
                command.arg(root().join(config));
            }
        }
        command.args(arguments).current_dir(folder.path());
        Self { program: start(&mut command), folder }
    }

    /// Its working directory.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Sends it a signal, by the name that `kill` has for it.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name} does not work");
    }

    /// A page of its own server: the status, and the body.
    #[track_caller]
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        self.ask(path, "")
    }

    /// The same, for who has this token.
    #[track_caller]
    pub(crate) fn page_with(&self, path: &str, token: &str) -> (u16, String) {
        self.ask(path, &format!("Authorization: Bearer {token}\r\n"))
    }

    #[track_caller]
    fn ask(&self, path: &str, more: &str) -> (u16, String) {
        let url =
            self.event("worker.http", |_| true)["url"].as_str().unwrap_or_default().to_owned();
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        let address = address.replace("0.0.0.0", "127.0.0.1");
        let mut stream = TcpStream::connect(&address).expect("it serves health");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has a timeout");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{more}\r\n")
            .expect("it reads a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("an answer has a status"), body.to_owned())
    }

    /// Waits for an event of a job in this room.
    #[track_caller]
    pub(crate) fn of_room(&self, kind: &str, room: &str) -> Value {
        self.event(kind, |event| event["room"] == room)
    }

    /// Waits for the end of the program; its exit code.
    #[track_caller]
    pub(crate) fn stops(&mut self, patience: Duration) -> Option<i32> {
        self.ends(patience)
    }
}

/// Asks a server to dispatch an agent to a room, by its name and with what it is to know.
#[track_caller]
pub(crate) fn dispatch(server: &Server, room: &str, agent_name: &str, metadata: &Value) -> Value {
    let metadata = if metadata.is_null() { String::new() } else { metadata.to_string() };
    let request = json!({ "agent_name": agent_name, "room": room, "metadata": metadata });
    server.ask("AgentDispatchService/CreateDispatch", room, &request)
}
