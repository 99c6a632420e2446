//! A LiveKit server for a bench: one that is named, or one of its own on loopback.

use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustls::crypto::aws_lc_rs;

use crate::cli::failure::Failure;
use crate::cli::livekit::key;
use crate::cli::local_server::{comes_up, program};
use crate::cli::secret::Secret;
use crate::livekit::address::Address;
use crate::livekit::token::Key;

/// Where the server is, and what opens it.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ServerArgs {
    /// A server that runs already; without one, the bench starts one of its own on this machine
    #[arg(long, value_name = "URL", env = "LIVEKIT_URL", hide_env_values = true)]
    url: Option<String>,
    /// The server's API key
    #[arg(long, value_name = "KEY", env = "LIVEKIT_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// The API key's secret
    #[arg(long, value_name = "SECRET", env = "LIVEKIT_API_SECRET", hide_env_values = true)]
    api_secret: Option<Secret>,
}

/// A server, for as long as a bench lasts.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: Address,
    pub(super) key: Key,
    own: Option<(Child, PathBuf)>,
}

/// Tries to find ports that nobody else takes in between.
const TRIES: usize = 3;

impl ServerArgs {
    /// The server that is named, or one that is started.
    pub(super) fn server(&self) -> Result<Server, Failure> {
        let Some(url) = &self.url else { return start() };
        let address =
            url.parse::<Address>().map_err(|why| Failure::input(format!("--url: {why}")))?;
        let key = key(self.api_key.as_deref(), self.api_secret.as_ref(), "");
        let key = key.map_err(Failure::input)?;
        Ok(Server { address, key, own: None })
    }
}

impl ServerArgs {
    /// Has another bench's process reach the same server.
    pub(super) fn pass_on(&self, command: &mut Command) {
        let named = [
            ("LIVEKIT_URL", self.url.as_deref()),
            ("LIVEKIT_API_KEY", self.api_key.as_deref()),
            ("LIVEKIT_API_SECRET", self.api_secret.as_ref().map(Secret::reveal)),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
    }
}

fn start() -> Result<Server, Failure> {
    let program = program().ok_or_else(|| {
        Failure::input(
            "no livekit-server: put one on the PATH, name one in LIVEKIT_SERVER, name a server that runs with --url, \
             or run scripts/setup.sh rooms",
        )
    })?;
    let mut why = String::new();
    for _ in 0..TRIES {
        match try_start(&program) {
            Ok(server) => return Ok(server),
            Err(failed) => why = failed,
        }
    }
    Err(Failure::broken(format!("{}: {why}", program.display())))
}

fn try_start(program: &Path) -> Result<Server, String> {
    let io = |error: std::io::Error| error.to_string();
    let held = (
        TcpListener::bind("127.0.0.1:0").map_err(io)?,
        TcpListener::bind("127.0.0.1:0").map_err(io)?,
        UdpSocket::bind("127.0.0.1:0").map_err(io)?,
    );
    let port = held.0.local_addr().map_err(io)?.port();
    let (tcp, udp) =
        (held.1.local_addr().map_err(io)?.port(), held.2.local_addr().map_err(io)?.port());
    drop(held);
    let mut random = [0; 24];
    let provider = aws_lc_rs::default_provider();
    provider.secure_random.fill(&mut random).map_err(|_| "no randomness".to_owned())?;
    let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let folder = std::env::temp_dir().join(format!("antiphon-bench-{}-{port}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(io)?;
    let config = folder.join("livekit.yaml");
    let text = format!(
        "port: {port}\nbind_addresses: [127.0.0.1]\nkeys: {{ bench: {secret} }}\nlogging: {{ level: warn }}\n\
         rtc:\n  node_ip: 127.0.0.1\n  enable_loopback_candidate: true\n  use_external_ip: false\n  \
         interfaces: {{ includes: [lo, lo0] }}\n  tcp_port: {tcp}\n  udp_port: {udp}\n"
    );
    std::fs::write(&config, text).map_err(io)?;
    let log = File::create(folder.join("livekit.log")).map_err(io)?;
    let child = Command::new(program)
        .arg("--config")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(io)?)
        .stderr(log)
        .spawn()
        .map_err(io)?;
    let address = format!("ws://127.0.0.1:{port}").parse::<Address>()?;
    let key = Key::new("bench", &secret)?;
    let mut server = Server { address, key, own: Some((child, folder)) };
    match &mut server.own {
        Some((child, _)) => comes_up(port, child).map(|()| server),
        None => Ok(server),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((mut child, folder)) = self.own.take() {
            child.kill().ok();
            child.wait().ok();
            std::fs::remove_dir_all(folder).ok();
        }
    }
}
