//! LiveKit rooms for tests: a real server on loopback, and participants that are never ours.
//!
//! [`Server`] is LiveKit's own, started with a configuration of the test; most tests share one, see [`shared`]. [`peer::Peer`]
//! is a participant made of the official Python client, which contains libwebrtc: it is told what to do, and tells what
//! it sees and hears. A test waits for what a server or a peer tells, with a deadline, and never for a time to pass; one
//! that fails prints what was told. [`agent::Agent`] is the program in such a room.
//!
//! `scripts/setup.sh rooms` brings both; without them a test fails and says so.

pub(crate) mod agent;
pub(crate) mod gate;
pub(crate) mod peer;
pub(crate) mod program;
pub(crate) mod server;
pub(crate) mod told;
pub(crate) mod way;
pub(crate) mod worker;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use server::{Options, Server};

/// How long something is waited for: a busy machine starts a client with libwebrtc in two seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server that all tests of a binary share; what it logged is printed if the test fails that holds this.
#[derive(Debug)]
pub(crate) struct Shared {
    server: &'static Server,
    /// What it had logged before.
    logged: usize,
}

/// The shared server. Rooms of it have names of their own, see [`room`].
pub(crate) fn shared() -> Shared {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let server = SERVER.get_or_init(|| Server::start(&Options::default()));
    Shared { server, logged: server.logged() }
}

impl std::ops::Deref for Shared {
    type Target = Server;

    fn deref(&self) -> &Server {
        self.server
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.server.print_log(self.logged);
        }
    }
}

/// A name that no other room has, beginning with this.
pub(crate) fn room(name: &str) -> String {
    static ROOMS: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), ROOMS.fetch_add(1, Ordering::Relaxed))
}

/// One of the project's sound files, by name.
pub(crate) fn audio(name: &str) -> Value {
    let path = root().join("audio").join(name);
    assert!(path.is_file(), "there is no audio/{name}");
    json!(path)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A number that the environment gives.
#[track_caller]
pub(crate) fn number(name: &str) -> Option<usize> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: not a number: {text}")))
}
