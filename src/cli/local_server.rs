//! LiveKit's own server, where it is installed on this machine.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::failure::Failure;
use crate::host::pace::pause;
use crate::livekit::address::Address;
use crate::livekit::token::Key;

/// Where a server for development listens, and what opens it: LiveKit's own defaults.
const PORT: u16 = 7880;
const KEY: &str = "devkey";
const SECRET: &str = "secret";

/// Runs a program until it ends or the standard input of this does, which is a pipe of this process: however that ends,
/// its server does not outlive it.
const KEEPER: &str = r#"
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
( cat <&3; kill -9 $server ) >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait $server
kill $watch
"#;

/// How often a server that is starting is asked whether it is up, and how many times.
const ASK_MS: u64 = 50;
const ASKS: usize = 200;

/// The server's program, in the order of `scripts/setup.sh`; none if there is none.
pub(super) fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("LIVEKIT_SERVER").filter(|named| !named.is_empty()) {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join("livekit-server"));
    let made = PathBuf::from(".tools/bin/livekit-server");
    installed.chain([made]).find(|path| path.is_file())
}

/// Whether something that listens at this port comes up while a process runs.
pub(super) fn comes_up(port: u16, process: &mut Child) -> Result<(), String> {
    for _ in 0..ASKS {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        if !matches!(process.try_wait(), Ok(None)) {
            return Err("it ended at once".to_owned());
        }
        pause(ASK_MS as u32);
    }
    Err("it does not come up".to_owned())
}

/// A server for development, until it is dropped.
#[derive(Debug)]
pub(super) struct DevServer {
    process: Child,
}

impl DevServer {
    /// Starts `livekit-server --dev` on loopback; where it is, and what opens it.
    pub(super) fn start() -> Result<(Self, Address, Key), Failure> {
        let program = program().ok_or_else(|| {
            Failure::input(
                "no server: give --url or set LIVEKIT_URL; or put livekit-server on the PATH, and one is started",
            )
        })?;
        if TcpStream::connect(("127.0.0.1", PORT)).is_ok() {
            return Err(Failure::input(format!(
                "no server can be started: something listens on port {PORT} already; if it is a LiveKit server, set \
                 LIVEKIT_URL=ws://127.0.0.1:{PORT}, LIVEKIT_API_KEY and LIVEKIT_API_SECRET"
            )));
        }
        let broken = |why: String| Failure::broken(format!("{}: {why}", program.display()));
        let mut process = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(&program)
            .args(["--dev", "--bind", "127.0.0.1", "--node-ip", "127.0.0.1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| broken(error.to_string()))?;
        let up = comes_up(PORT, &mut process);
        let server = Self { process };
        up.map_err(broken)?;
        let address = format!("ws://127.0.0.1:{PORT}").parse().map_err(Failure::broken)?;
        let key = Key::new(KEY, SECRET).map_err(Failure::broken)?;
        Ok((server, address, key))
    }
}

impl Drop for DevServer {
    fn drop(&mut self) {
        // The end of its input is the end of the server.
        drop(self.process.stdin.take());
        self.process.wait().ok();
    }
}
