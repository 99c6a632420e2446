//! LiveKit's own server, on loopback.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use livekit_token::{AccessToken, VideoGrants};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::told::{Missing, Told};
use super::{PATIENCE, root};

/// Another process may take a port between its being found free and the server's start.
const STARTS_MAX: usize = 5;

/// What the server logs when all its sockets listen.
const IS_UP: &str = "starting LiveKit server";

/// Of the log of a failed test, in lines.
const PRINTED_MAX: usize = 60;

/// Of one of its lines, in bytes: it tells all it knows of a participant whenever one comes.
const LINE_MAX: usize = 400;

/// Runs a program until it ends or the standard input of this does. That is a pipe of the test's process: however a
/// test ends, its server does not outlive it.
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

/// How a server is set up, beyond what all have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) turn: Option<Turn>,
    /// What else its configuration says, in LiveKit's own terms: `{ "rtc": { … }, "room": { … } }`.
    pub(crate) settings: Value,
}

/// The server's embedded TURN.
#[derive(Debug, Clone)]
pub(crate) enum Turn {
    /// Over UDP.
    Udp,
    /// Over TLS, with the files of a certificate for `localhost` and of its key. Clients are told port 443, wherever it
    /// listens: this server takes it for granted that a load balancer stands before it. Its own is
    /// [`Server::turn_tls_port`].
    Tls {
        /// The certificate's chain, PEM.
        certificate: PathBuf,
        /// Its key, PEM.
        key: PathBuf,
    },
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    keeper: Child,
    log: Arc<Told<String>>,
    program: PathBuf,
    port: u16,
    udp: u16,
    turn_tls: u16,
    key: String,
    secret: String,
    folder: TempDir,
}

impl Server {
    /// Starts one, and waits until it answers.
    #[track_caller]
    pub(crate) fn start(options: &Options) -> Self {
        let program = program();
        let mut complaints = String::new();
        for _ in 0..STARTS_MAX {
            match Self::try_start(&program, options) {
                Ok(server) => return server,
                Err(complaint) => complaints += &complaint,
            }
        }
        panic!("{} did not start {STARTS_MAX} times:\n{complaints}", program.display());
    }

    fn try_start(program: &Path, options: &Options) -> Result<Self, String> {
        static SERVERS: AtomicU32 = AtomicU32::new(0);
        let mark = format!("{}-{}", std::process::id(), SERVERS.fetch_add(1, Ordering::Relaxed));
        // The server wants 32 characters. What answers to this key is this server and no other one.
        let (key, secret) =
            (format!("key-{mark}"), format!("{:a<40}", format!("not-secret-{mark}")));
        let [port, tcp, turn_tls] =
            free([0; 3].map(|_| TcpListener::bind("127.0.0.1:0")), TcpListener::local_addr);
        let [udp, turn_udp] =
            free([0; 2].map(|_| UdpSocket::bind("127.0.0.1:0")), UdpSocket::local_addr);
        let mut config = json!({
            "port": port,
            "bind_addresses": ["127.0.0.1"],
            "keys": { key.as_str(): secret },
            "rtc": {
                "node_ip": "127.0.0.1",
                "enable_loopback_candidate": true,
                // Linux's name of it, and macOS's.
                "interfaces": { "includes": ["lo", "lo0"] },
                "use_external_ip": false,
                "udp_port": udp,
                "tcp_port": tcp,
            },
            "room": { "auto_create": true, "empty_timeout": 60, "departure_timeout": 20 },
            "logging": { "level": "info" },
        });
        let turn = match &options.turn {
            None => Value::Null,
            Some(Turn::Udp) => json!({ "udp_port": turn_udp }),
            Some(Turn::Tls { certificate, key }) => {
                json!({ "tls_port": turn_tls, "cert_file": certificate, "key_file": key })
            }
        };
        if options.turn.is_some() {
            // It relays to itself, on loopback, which has to be allowed.
            config["turn"] = json!({
                "enabled": true,
                "domain": "localhost",
                "bind_addresses": ["127.0.0.1"],
                "allow_restricted_peer_cidrs": ["127.0.0.0/8"],
            });
            merge(&mut config["turn"], &turn);
        }
        merge(&mut config, &options.settings);

        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        // JSON is YAML.
        let file = folder.path().join("livekit.yaml");
        fs::write(&file, config.to_string()).map_err(|error| error.to_string())?;
        let (keeper, log) = run(program, &file)?;
        let program = program.to_owned();
        let server = Self { keeper, log, program, port, udp, turn_tls, key, secret, folder };
        server.is_up().map(|()| server)
    }

    /// Waits until it answers.
    fn is_up(&self) -> Result<(), String> {
        let server = self;
        let up = server.log.wait(0, PATIENCE, |_, line| line.contains(IS_UP).then_some(()));
        let why = match up {
            Ok(()) => match server.try_ask("RoomService/ListRooms", "", &json!({})) {
                Ok(_) => return Ok(()),
                Err(answer) => format!("it does not answer: {answer}"),
            },
            Err(Missing::Over) => "it ended".into(),
            Err(Missing::Late) => format!("it does not say \"{IS_UP}\""),
        };
        Err(format!("{why}\n{}\n", server.log.look(<[String]>::to_vec).join("\n")))
    }

    /// Ends it at once, as a machine does that loses its power.
    pub(crate) fn dies(&mut self) {
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }

    /// Starts it again, where it was; it knows nothing of before.
    #[track_caller]
    pub(crate) fn starts_again(&mut self) {
        let file = self.folder.path().join("livekit.yaml");
        let started = run(&self.program, &file);
        let (keeper, log) =
            started.unwrap_or_else(|why| panic!("the server does not start again: {why}"));
        (self.keeper, self.log) = (keeper, log);
        self.is_up().unwrap_or_else(|why| panic!("the server does not come up again: {why}"));
    }

    /// Its port for audio over UDP, on 127.0.0.1.
    pub(crate) fn udp_port(&self) -> u16 {
        self.udp
    }

    /// Where clients connect to.
    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// Its port for signalling and its API, on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where its TURN over TLS listens, on 127.0.0.1.
    pub(crate) fn turn_tls_port(&self) -> u16 {
        self.turn_tls
    }

    /// The key that tokens are signed by.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// And its secret.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// A token to be filled in.
    pub(crate) fn token(&self) -> AccessToken {
        AccessToken::with_api_key(&self.key, &self.secret)
    }

    /// The token of somebody who joins a room and may do what people may: publish, subscribe, name themselves.
    pub(crate) fn user(&self, room: &str, identity: &str) -> String {
        let token = self.token().with_identity(identity).with_grants(joining(room));
        token.to_jwt().expect("it names a room and an identity")
    }

    /// The token of an agent.
    pub(crate) fn agent(&self, room: &str, identity: &str) -> String {
        let grants = VideoGrants { agent: true, ..joining(room) };
        let token = self.token().with_identity(identity).with_kind("agent").with_grants(grants);
        token.to_jwt().expect("it names a room and an identity")
    }

    /// Calls the server's API as an administrator of a room: `RoomService/DeleteRoom`, `RoomService/SendData`,
    /// `AgentDispatchService/CreateDispatch` and so on, with a message of the protocol as JSON.
    #[track_caller]
    pub(crate) fn ask(&self, method: &str, room: &str, message: &Value) -> Value {
        let answer = self.try_ask(method, room, message);
        answer.unwrap_or_else(|answer| panic!("{method} {message}: {answer}"))
    }

    fn try_ask(&self, method: &str, room: &str, message: &Value) -> Result<Value, String> {
        let grants = VideoGrants {
            room_admin: true,
            room_create: true,
            room_list: true,
            room: room.into(),
            ..VideoGrants::default()
        };
        let token = self.token().with_identity("admin").with_grants(grants).to_jwt();
        let token = token.map_err(|error| error.to_string())?;
        let answer =
            post(self.port, &format!("/twirp/livekit.{method}"), &token, &message.to_string());
        let answer = answer.map_err(|error| error.to_string())?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("an answer without a body")?;
        if !head.starts_with("HTTP/1.1 200 ") {
            return Err(answer);
        }
        serde_json::from_str(body).map_err(|error| format!("{error}: {body}"))
    }

    /// Waits until it logs something.
    #[track_caller]
    pub(crate) fn logs(&self, part: &str) {
        let found = |_, line: &String| line.contains(part).then_some(());
        if self.log.wait(0, PATIENCE, found).is_err() {
            self.print_log(0);
            panic!("the server does not log \"{part}\"");
        }
    }

    /// How many lines it has logged.
    pub(crate) fn logged(&self) -> usize {
        self.log.count()
    }

    /// Prints what it has logged since, or the last of it.
    pub(crate) fn print_log(&self, since: usize) {
        self.log.look(|lines| {
            let from = since.max(lines.len().saturating_sub(PRINTED_MAX));
            eprintln!("livekit-server:\n{}", lines[from.min(lines.len())..].join("\n"));
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_log(0);
        }
        // The end of its input is the end of the server.
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}

/// Runs a server with a configuration, for as long as what is given back is held.
fn run(program: &Path, config: &Path) -> Result<(Child, Arc<Told<String>>), String> {
    let (log, writer) = io::pipe().map_err(|error| error.to_string())?;
    let keeper = Command::new("sh")
        .args(["-c", KEEPER, "sh"])
        .arg(program)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(writer.try_clone().map_err(|error| error.to_string())?)
        .stderr(writer)
        .spawn()
        .map_err(|error| error.to_string())?;
    let log = Told::by(log, |mut line| {
        line.truncate(line.floor_char_boundary(LINE_MAX));
        Some(line)
    });
    Ok((keeper, log))
}

/// Where the server is: the order is that of `scripts/setup.sh`.
fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("LIVEKIT_SERVER").filter(|named| !named.is_empty()) {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join("livekit-server"));
    let made = root().join(".tools/bin/livekit-server");
    installed.chain([made]).find(|path| path.is_file()).unwrap_or_else(|| {
        panic!(
            "no livekit-server for the tests of LiveKit rooms: run scripts/setup.sh rooms, which builds one where Go \
             is, or name one in LIVEKIT_SERVER"
        )
    })
}

/// What people may.
fn joining(room: &str) -> VideoGrants {
    VideoGrants {
        room_join: true,
        room: room.into(),
        can_update_own_metadata: Some(true),
        ..VideoGrants::default()
    }
}

/// Ports that are free and different, since all are held until all are known.
fn free<S, const N: usize>(
    held: [io::Result<S>; N],
    address: impl Fn(&S) -> io::Result<std::net::SocketAddr>,
) -> [u16; N] {
    let held = held.map(|socket| socket.expect("loopback has a free port"));
    held.each_ref().map(|socket| address(socket).expect("a bound socket has an address").port())
}

/// Lays settings over others, key by key.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (_, Value::Null) => {}
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// The whole answer to a request; the server closes the connection after it.
fn post(port: u16, path: &str, token: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
