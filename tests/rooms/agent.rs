//! The program in a room: `antiphon connect`, as a process of its own, and what it prints.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::program::Program;
use super::root;
use super::server::Server;

/// An agent in a room, until it ends or is dropped.
#[derive(Debug)]
pub(crate) struct Agent {
    program: Program,
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
        let mut command = Command::new(env!("CARGO_BIN_EXE_antiphon"));
        command
            .arg("connect")
            .arg(root().join(config))
            .args(["--room", room, "--identity", "agent", "--json", "--out"])
            .arg(out.path().join("call"))
            .args(arguments)
            .envs(environment.iter().copied());
        Self { program: Program::start(&mut command, server), out }
    }

    /// Starts one with a token of the test's own, which has no key.
    #[track_caller]
    pub(crate) fn with_token(server: &Server, config: &str, url: &str, token: &str) -> Self {
        let out = tempfile::tempdir().expect("a temporary folder can be made");
        let mut command = Command::new(env!("CARGO_BIN_EXE_antiphon"));
        command
            .arg("connect")
            .arg(root().join(config))
            .args(["--url", url, "--token", token, "--json", "--out"])
            .arg(out.path().join("call"));
        Self { program: Program::start(&mut command, server), out }
    }

    /// The folder of the call.
    pub(crate) fn folder(&self) -> &Path {
        self.out.path()
    }
}

impl std::ops::Deref for Agent {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.program
    }
}

impl std::ops::DerefMut for Agent {
    fn deref_mut(&mut self) -> &mut Program {
        &mut self.program
    }
}
