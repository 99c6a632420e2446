//! A way between an agent and a server, for its words and for its audio, that a test can break and mend.
//!
//! Words are messages on a WebSocket: what says where audio comes from is changed on the way, so that audio over UDP
//! has to come through here too. TCP is left as it is, unless there is to be none.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use futures_util::{SinkExt, StreamExt};
use livekit_protocol::{
    JoinRequest, SignalRequest, SignalResponse, WrappedJoinRequest, signal_request, signal_response,
};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::http::{Request, Uri};
use tokio_tungstenite::{accept_hdr_async, client_async};

use super::server::Server;

/// The longest datagram.
const DATAGRAM_MAX: usize = 2_048;

/// A way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Way {
    port: u16,
    words: watch::Sender<bool>,
    audio: Arc<AtomicBool>,
    tokens: Arc<Mutex<Vec<String>>>,
}

/// What is known of both ends.
#[derive(Debug, Clone, Copy)]
struct Ends {
    server: u16,
    udp: u16,
    proxy: u16,
    tcp: bool,
}

impl Way {
    /// A way to a server; whether audio may go over TCP, past this.
    pub(crate) fn to(server: &Server, tcp: bool) -> Self {
        let (words, open) = watch::channel(true);
        let audio = Arc::new(AtomicBool::new(true));
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let tokens = Arc::new(Mutex::new(Vec::new()));
        let shown = Arc::clone(&tokens);
        let (ports, flows) = ((server.port(), server.udp_port()), Arc::clone(&audio));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be made");
            LocalSet::new().block_on(&runtime, async move {
                let proxy = UdpSocket::bind("127.0.0.1:0").await.expect("loopback has a free port");
                let listener =
                    TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
                let port =
                    |address: std::io::Result<SocketAddr>| address.expect("it is bound").port();
                let ends =
                    Ends { server: ports.0, udp: ports.1, proxy: port(proxy.local_addr()), tcp };
                tell.send(port(listener.local_addr())).expect("somebody waits for it");
                spawn_local(carry_audio(proxy, ends.udp, flows));
                // It ends with the test's process, or when nobody holds the way any more.
                while open.has_changed().is_ok() {
                    let Ok((stream, _)) = listener.accept().await else { break };
                    if *open.borrow() {
                        spawn_local(carry_words(stream, ends, open.clone(), Arc::clone(&shown)));
                    }
                }
            });
        });
        Self { port: told.recv().expect("it comes up"), words, audio, tokens }
    }

    /// Where it begins.
    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// Lets words through, or no longer: what is open is closed.
    pub(crate) fn words(&self, open: bool) {
        // Without anybody on the way there is nobody to tell.
        self.words.send(open).ok();
    }

    /// The tokens that were shown to come in, in order.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.tokens.lock().expect("no test panics while it holds it").clone()
    }

    /// Lets audio over UDP through, or no longer.
    pub(crate) fn audio(&self, open: bool) {
        self.audio.store(open, Ordering::Relaxed);
    }
}

/// Carries datagrams both ways: a socket for each who sends from here, as the server tells them apart.
async fn carry_audio(proxy: UdpSocket, server: u16, open: Arc<AtomicBool>) {
    let proxy = Arc::new(proxy);
    let mut clients: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut buffer = [0; DATAGRAM_MAX];
    loop {
        let Ok((len, client)) = proxy.recv_from(&mut buffer).await else { continue };
        let socket = match clients.entry(client) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(place) => {
                let socket =
                    UdpSocket::bind("127.0.0.1:0").await.expect("loopback has a free port");
                socket.connect(("127.0.0.1", server)).await.expect("loopback is there");
                let socket = Arc::clone(place.insert(Arc::new(socket)));
                spawn_local(carry_back(
                    Arc::clone(&socket),
                    Arc::clone(&proxy),
                    client,
                    Arc::clone(&open),
                ));
                socket
            }
        };
        if open.load(Ordering::Relaxed) {
            drop(socket.send(&buffer[..len]).await);
        }
    }
}

/// Carries what the server sends back to a client.
async fn carry_back(
    socket: Arc<UdpSocket>,
    proxy: Arc<UdpSocket>,
    client: SocketAddr,
    open: Arc<AtomicBool>,
) {
    let mut buffer = [0; DATAGRAM_MAX];
    loop {
        let Ok(len) = socket.recv(&mut buffer).await else { continue };
        if open.load(Ordering::Relaxed) {
            drop(proxy.send_to(&buffer[..len], client).await);
        }
    }
}

/// Carries messages both ways, until the way is broken or one side ends.
async fn carry_words(
    stream: TcpStream,
    ends: Ends,
    mut open: watch::Receiver<bool>,
    tokens: Arc<Mutex<Vec<String>>>,
) -> Option<()> {
    let mut asked: Option<Request<()>> = None;
    #[expect(clippy::result_large_err, reason = "the library's own type of an answer")]
    let note = |request: &Request<()>, response| {
        asked = Some(request.clone());
        Ok(response)
    };
    let mut client = accept_hdr_async(stream, note).await.ok()?;
    let request = passed_on(asked?, ends)?;
    let token = request.headers().get("authorization")?.to_str().ok()?;
    let token = token.trim_start_matches("Bearer ").to_owned();
    tokens.lock().expect("no test panics while it holds it").push(token);
    let upstream = TcpStream::connect(("127.0.0.1", ends.server)).await.ok()?;
    let (mut server, _) = client_async(request, upstream).await.ok()?;
    loop {
        tokio::select! {
            changed = open.changed() => {
                if changed.is_err() || !*open.borrow() {
                    return None;
                }
            }
            message = client.next() => {
                let message = match message?.ok()? {
                    Message::Binary(bytes) => Message::Binary(from_client(&bytes).into()),
                    other => other,
                };
                server.send(message).await.ok()?;
            }
            message = server.next() => {
                let message = match message?.ok()? {
                    Message::Binary(bytes) => {
                        let Some(bytes) = from_server(&bytes, ends) else { continue };
                        Message::Binary(bytes.into())
                    }
                    other => other,
                };
                client.send(message).await.ok()?;
            }
        }
    }
}

/// The request as the server gets it: nothing in it says where the client is.
fn passed_on(asked: Request<()>, ends: Ends) -> Option<Request<()>> {
    let mut path = asked.uri().to_string();
    if let Some((before, wrapped)) = path.clone().split_once("join_request=") {
        let wrapped = URL_SAFE.decode(wrapped).ok()?;
        let mut wrapped = WrappedJoinRequest::decode(&*wrapped).ok()?;
        let mut join = JoinRequest::decode(&*wrapped.join_request).ok()?;
        if let Some(offer) = &mut join.publisher_offer {
            offer.sdp = without_candidates(&offer.sdp);
        }
        wrapped.join_request = join.encode_to_vec();
        path = format!("{before}join_request={}", URL_SAFE.encode(wrapped.encode_to_vec()));
    }
    let host = format!("127.0.0.1:{}", ends.server);
    let uri: Uri = format!("ws://{host}{path}").parse().ok()?;
    let authorization = asked.headers().get("authorization")?.clone();
    Request::builder()
        .uri(uri)
        .header("host", host)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", generate_key())
        .header("authorization", authorization)
        .body(())
        .ok()
}

fn without_candidates(sdp: &str) -> String {
    sdp.lines()
        .filter(|line| !line.starts_with("a=candidate:"))
        .map(|line| format!("{line}\r\n"))
        .collect()
}

fn from_client(bytes: &[u8]) -> Vec<u8> {
    let Ok(mut request) = SignalRequest::decode(bytes) else { return bytes.to_vec() };
    match &mut request.message {
        Some(signal_request::Message::Offer(offer)) => offer.sdp = without_candidates(&offer.sdp),
        Some(signal_request::Message::SyncState(state)) => {
            if let Some(offer) = &mut state.offer {
                offer.sdp = without_candidates(&offer.sdp);
            }
        }
        _ => {}
    }
    request.encode_to_vec()
}

/// A message as the client gets it; none if it has nothing in it any more.
fn from_server(bytes: &[u8], ends: Ends) -> Option<Vec<u8>> {
    let Ok(mut response) = SignalResponse::decode(bytes) else { return Some(bytes.to_vec()) };
    let here = |line: &str| {
        let (before, after) = (format!(" {} typ", ends.udp), format!(" {} typ", ends.proxy));
        line.replace(&before, &after)
    };
    match &mut response.message {
        Some(signal_response::Message::Answer(answer)) => {
            let lines = answer.sdp.lines().filter(|line| ends.tcp || !line.contains(" tcp "));
            answer.sdp = lines.map(|line| format!("{}\r\n", here(line))).collect();
        }
        Some(signal_response::Message::Trickle(trickle)) => {
            if !ends.tcp && trickle.candidate_init.contains(" tcp ") {
                return None;
            }
            trickle.candidate_init = here(&trickle.candidate_init);
        }
        _ => {}
    }
    Some(response.encode_to_vec())
}
