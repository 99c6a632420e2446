//! An address of a TURN server's that relays to and from this side (RFC 8656).
//!
//! The server keeps it for as long as it is asked to. Each of its peers gets a channel, which is a
//! permission, too; what comes for one meanwhile is kept, the latest of it.
//!
//! **Invariant:** the credentials go to the TURN server, and nowhere else.

use std::future::Future;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use str0m::Candidate;
use str0m::net::Protocol;
use tokio::net::{UdpSocket, lookup_host};
use tokio_rustls::TlsConnector;
use turn_client_proto::api::{Transmit, TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet};
use turn_client_proto::prelude::*;
use turn_client_proto::stun::Instant as TurnInstant;
use turn_client_proto::tcp::TurnClientTcp;
use turn_client_proto::types::{AddressFamily, TransportType, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

use super::frames::{DATAGRAM_MAX, Framing};
use super::servers::{Reach, Server};
use super::wire::Wire;
use crate::livekit::stream::{Stream, StreamError};

/// How long the server may take to give an address: asked twice, as it must be for its nonce, over a
/// network that loses the first packets.
const ALLOCATE_TIME: Duration = Duration::from_secs(8);

/// Peers at most: a LiveKit server has few addresses.
const PEERS_MAX: usize = 16;

/// Steps of the client's at once at most; it goes on a moment later.
const STEPS_MAX: usize = 32;

/// That moment.
const BREATH: Duration = Duration::from_millis(10);

/// Messages that are read in search of one for this side at most.
const READS_MAX: usize = 64;

/// What stands before a datagram that is relayed at most: the header of a STUN indication, with the
/// peer's address.
const HEADER_MAX: usize = 64;

turn_client_proto::impl_client!(Client, (Udp, TurnClientUdp), (Tcp, TurnClientTcp));

/// An address that relays, or is going to.
pub(super) struct Relay {
    server: Server,
    state: State,
    /// The beginning of the client's time.
    base: Instant,
    due: Instant,
    buffer: Box<[u8; DATAGRAM_MAX + HEADER_MAX]>,
}

type Opening = Pin<Box<dyn Future<Output = Result<Link, String>>>>;

enum State {
    /// The server is being looked for.
    Opening(Opening),
    /// It is asked for an address.
    Asking(Link, Client),
    /// There is one.
    Up { link: Link, client: Client, relayed: SocketAddr, peers: Vec<(SocketAddr, Peer)> },
    /// There is none, or not any more; the reason.
    Failed(String),
}

/// How a peer is sent to.
enum Peer {
    /// A channel is being bound; what is to be sent then.
    Binding(Vec<u8>),
    /// It is bound.
    Bound,
}

/// The way to the server.
struct Link {
    carrier: Carrier,
    local: SocketAddr,
    remote: SocketAddr,
}

enum Carrier {
    Udp(UdpSocket),
    Wire(Wire),
}

impl Relay {
    /// An address to be; `six` if one of IPv6 is wanted.
    #[must_use]
    pub(super) fn new(now: Instant, server: Server, tls: &TlsConnector, six: bool) -> Self {
        let opening: Opening = match server.reach {
            Reach::Udp => Box::pin(open_udp(server.host.clone(), server.port, six)),
            Reach::Tcp => Box::pin(open_stream(server.host.clone(), server.port, None)),
            Reach::Tls => {
                Box::pin(open_stream(server.host.clone(), server.port, Some(tls.clone())))
            }
        };
        Self {
            server,
            state: State::Opening(opening),
            base: now,
            due: now + ALLOCATE_TIME,
            buffer: Box::new([0; DATAGRAM_MAX + HEADER_MAX]),
        }
    }

    /// The server.
    #[must_use]
    pub(super) const fn server(&self) -> &Server {
        &self.server
    }

    /// The address, once there is one.
    #[must_use]
    pub(super) const fn relayed(&self) -> Option<SocketAddr> {
        match &self.state {
            State::Up { relayed, .. } => Some(*relayed),
            State::Opening(_) | State::Asking(..) | State::Failed(_) => None,
        }
    }

    /// The candidate, once there is one.
    #[must_use]
    pub(super) fn candidate(&self) -> Option<Candidate> {
        let State::Up { link, relayed, .. } = &self.state else { return None };
        Candidate::relayed(*relayed, link.local, Protocol::Udp).ok()
    }

    /// Why there is none, if there will not be one.
    #[must_use]
    pub(super) fn failed(&self) -> Option<&str> {
        match &self.state {
            State::Failed(why) => Some(why),
            State::Opening(_) | State::Asking(..) | State::Up { .. } => None,
        }
    }

    /// When [`Self::wake`] is due; none once it has failed.
    #[must_use]
    pub(super) fn due(&self) -> Option<Instant> {
        self.failed().is_none().then_some(self.due)
    }

    /// Ready once something has come, or it has opened or failed.
    pub(super) fn poll(&mut self, now: Instant, context: &mut Context<'_>) -> Poll<()> {
        let link = match &mut self.state {
            State::Failed(_) => return Poll::Pending,
            State::Opening(opening) => {
                let Poll::Ready(opened) = opening.as_mut().poll(context) else {
                    return Poll::Pending;
                };
                match opened {
                    Ok(link) => {
                        let client = client(&link, &self.server);
                        self.state = State::Asking(link, client);
                        self.step(now);
                    }
                    Err(why) => self.state = State::Failed(why),
                }
                return Poll::Ready(());
            }
            State::Asking(link, _) | State::Up { link, .. } => link,
        };
        match &mut link.carrier {
            Carrier::Udp(socket) => socket.poll_recv_ready(context).map(drop),
            Carrier::Wire(wire) => {
                let poll = wire.poll(context);
                if let Some(why) = wire.closed() {
                    self.state = State::Failed(why.to_owned());
                }
                poll
            }
        }
    }

    /// Time has passed.
    pub(super) fn wake(&mut self, now: Instant) {
        let is_late = now >= self.base + ALLOCATE_TIME;
        if is_late && matches!(self.state, State::Opening(_) | State::Asking(..)) {
            let waited = ALLOCATE_TIME.as_secs();
            self.state = State::Failed(format!("no answer within {waited} s"));
        } else if now >= self.due {
            self.step(now);
        }
    }

    /// Takes the next datagram that has come, into a buffer, and from which peer.
    pub(super) fn receive(&mut self, now: Instant, into: &mut [u8]) -> Option<(SocketAddr, usize)> {
        for _ in 0..READS_MAX {
            let at = self.at(now);
            let (State::Asking(link, client) | State::Up { link, client, .. }) = &mut self.state
            else {
                return None;
            };
            let (local, remote) = (link.local, link.remote);
            let (transport, message) = match &mut link.carrier {
                Carrier::Wire(wire) => (TransportType::Tcp, wire.next()?),
                Carrier::Udp(socket) => match socket.try_recv(&mut self.buffer[..]) {
                    Ok(len) => (TransportType::Udp, &self.buffer[..len]),
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                        if self.relayed().is_none() {
                            self.state = State::Failed(error.to_string());
                        }
                        continue;
                    }
                    Err(_) => return None,
                },
            };
            let transmit = Transmit::new(message, transport, remote, local);
            if let TurnRecvRet::PeerData(came) = client.recv(transmit, at) {
                let data = came.data();
                // One that is too long is no datagram of audio's.
                if let Some(place) = into.get_mut(..data.len()) {
                    place.copy_from_slice(data);
                    return Some((came.peer, data.len()));
                }
            } else {
                self.step(now);
            }
        }
        None
    }

    /// Sends a datagram to a peer; false if it is dropped.
    pub(super) fn send(&mut self, now: Instant, to: SocketAddr, datagram: &[u8]) -> bool {
        let at = self.at(now);
        let State::Up { link, client, peers, .. } = &mut self.state else { return false };
        let Some(at_peer) = peers.iter().position(|(peer, _)| *peer == to) else {
            let is_full = peers.len() >= PEERS_MAX;
            if is_full || client.bind_channel(TransportType::Udp, to, at).is_err() {
                return false;
            }
            peers.push((to, Peer::Binding(datagram.to_vec())));
            self.step(now);
            return true;
        };
        match &mut peers[at_peer].1 {
            Peer::Bound => forward(link, client, at, to, datagram, &mut self.buffer[..]),
            Peer::Binding(latest) => {
                latest.clear();
                latest.extend_from_slice(datagram);
                true
            }
        }
    }

    /// Gives the address back, as far as the server hears of it.
    pub(super) fn close(&mut self, now: Instant) {
        let at = self.at(now);
        if let State::Up { client, .. } = &mut self.state
            && client.delete(at).is_ok()
        {
            self.step(now);
        }
    }

    /// The time as the client counts it.
    fn at(&self, now: Instant) -> TurnInstant {
        let since = now.saturating_duration_since(self.base).as_nanos();
        TurnInstant::from_nanos(i64::try_from(since).unwrap_or(i64::MAX))
    }

    /// Has the client do what there is to do, and finds out when there is more.
    fn step(&mut self, now: Instant) {
        let at = self.at(now);
        self.due = now + BREATH;
        for _ in 0..STEPS_MAX {
            let (State::Asking(link, client) | State::Up { link, client, .. }) = &mut self.state
            else {
                return;
            };
            while let Some(transmit) = client.poll_transmit(at) {
                // A request that is lost is sent again.
                link.send(&transmit.data);
            }
            while let Some(event) = self.event() {
                self.happened(now, event);
            }
            let (State::Asking(_, client) | State::Up { client, .. }) = &mut self.state else {
                return;
            };
            match client.poll(at) {
                TurnPollRet::WaitUntil(until) if until > at => {
                    let wait = until.duration_since(at);
                    self.due = match self.state {
                        State::Asking(..) => (now + wait).min(self.base + ALLOCATE_TIME),
                        _ => now + wait,
                    };
                    return;
                }
                TurnPollRet::Closed => {
                    let why = "the server ended it".to_owned();
                    self.state = State::Failed(why);
                    return;
                }
                // Relayed TCP is not asked for.
                TurnPollRet::WaitUntil(_)
                | TurnPollRet::AllocateTcpSocket { .. }
                | TurnPollRet::TcpClose { .. } => {}
            }
        }
    }

    fn event(&mut self) -> Option<TurnEvent> {
        match &mut self.state {
            State::Asking(_, client) | State::Up { client, .. } => client.poll_event(),
            State::Opening(_) | State::Failed(_) => None,
        }
    }

    fn happened(&mut self, now: Instant, event: TurnEvent) {
        let at = self.at(now);
        match event {
            TurnEvent::AllocationCreated(_, relayed) => {
                let taken = std::mem::replace(&mut self.state, State::Failed(String::new()));
                self.state = match taken {
                    State::Asking(link, client) => {
                        State::Up { link, client, relayed, peers: Vec::new() }
                    }
                    other => other,
                };
            }
            TurnEvent::AllocationCreateFailed(_) => {
                self.state = State::Failed("the server gives no address".to_owned());
            }
            TurnEvent::ChannelCreated(_, to) => {
                let State::Up { link, client, peers, .. } = &mut self.state else { return };
                let Some((_, peer)) = peers.iter_mut().find(|(peer, _)| *peer == to) else {
                    return;
                };
                if let Peer::Binding(latest) = std::mem::replace(peer, Peer::Bound) {
                    forward(link, client, at, to, &latest, &mut self.buffer[..]);
                }
            }
            TurnEvent::ChannelCreateFailed(_, to) => {
                // It is asked for again when there is something to send.
                let State::Up { peers, .. } = &mut self.state else { return };
                peers.retain(|(peer, _)| *peer != to);
            }
            TurnEvent::PermissionCreated(..)
            | TurnEvent::PermissionCreateFailed(..)
            | TurnEvent::TcpConnected(_)
            | TurnEvent::TcpConnectFailed(_) => {}
        }
    }
}

impl Link {
    fn send(&mut self, message: &[u8]) -> bool {
        match &mut self.carrier {
            Carrier::Udp(socket) => socket.try_send(message).is_ok(),
            Carrier::Wire(wire) => wire.send(message),
        }
    }
}

fn forward(
    link: &mut Link,
    client: &mut Client,
    at: TurnInstant,
    to: SocketAddr,
    datagram: &[u8],
    buffer: &mut [u8],
) -> bool {
    let Ok(Some(build)) = client.send_to(TransportType::Udp, to, datagram, at) else {
        return false;
    };
    let Some(place) = buffer.get_mut(..build.data.len()) else { return false };
    build.write_into(place);
    link.send(place)
}

fn client(link: &Link, server: &Server) -> Client {
    let credentials = TurnCredentials::new(&server.username, &server.password);
    let mut config = TurnConfig::new(credentials);
    if link.remote.is_ipv6() {
        config.set_address_family(AddressFamily::IPV6);
    }
    match link.carrier {
        Carrier::Udp(_) => Client::Udp(TurnClientUdp::allocate(link.local, link.remote, config)),
        Carrier::Wire(_) => Client::Tcp(TurnClientTcp::allocate(link.local, link.remote, config)),
    }
}

/// A socket to the server, at an address of the family that is wanted if it has one.
async fn open_udp(host: String, port: u16, six: bool) -> Result<Link, String> {
    let found = lookup_host((host.as_str(), port)).await.map_err(|error| error.to_string())?;
    let found: Vec<SocketAddr> = found.collect();
    let wanted = found.iter().find(|address| address.is_ipv6() == six).or(found.first());
    let remote = *wanted.ok_or("its name has no address")?;
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let open = async {
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(remote).await?;
        let local = socket.local_addr()?;
        Ok(Link { carrier: Carrier::Udp(socket), local, remote })
    };
    open.await.map_err(|error: std::io::Error| error.to_string())
}

async fn open_stream(host: String, port: u16, tls: Option<TlsConnector>) -> Result<Link, String> {
    let tls = tls.as_ref().map(|tls| (tls, host.as_str()));
    let opened = Stream::connect((host.as_str(), port), tls).await;
    let stream = opened.map_err(|(StreamError::Unreachable(why) | StreamError::Tls(why))| why)?;
    let (local, remote) = stream.ends().map_err(|error| error.to_string())?;
    let wire = Wire::new(Framing::Turn, Box::pin(std::future::ready(Ok(stream))));
    Ok(Link { carrier: Carrier::Wire(wire), local, remote })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn garbage_of_a_server_gives_no_address_and_no_panic(
            messages in vec(vec(any::<u8>(), 0..200), 0..20),
            tcp in any::<bool>(),
            stun in any::<bool>(),
        ) {
            let (local, remote) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
            let config = TurnConfig::new(TurnCredentials::new("user", "secret"));
            let mut client = if tcp {
                Client::Tcp(TurnClientTcp::allocate(local, remote, config))
            } else {
                Client::Udp(TurnClientUdp::allocate(local, remote, config))
            };
            let at = TurnInstant::from_nanos(0);
            while client.poll_transmit(at).is_some() {}
            let mut frames = super::super::frames::Frames::new(Framing::Turn);
            let transport = if tcp { TransportType::Tcp } else { TransportType::Udp };
            for mut message in messages {
                if stun && message.len() >= 20 {
                    let len = (message.len() as u16 - 20) & !3;
                    message[0] &= 0x3f;
                    message[2..4].copy_from_slice(&len.to_be_bytes());
                    message[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
                    message.truncate(20 + usize::from(len));
                }
                // A stream is cut into messages first, as it is where it is read.
                let message = if tcp {
                    let room = frames.room();
                    room[..message.len()].copy_from_slice(&message);
                    frames.filled(message.len());
                    match frames.take() {
                        Ok(Some(message)) => message,
                        Ok(None) => continue,
                        Err(_) => break,
                    }
                } else {
                    &message
                };
                let got = client.recv(Transmit::new(message, transport, remote, local), at);
                prop_assert!(!matches!(got, TurnRecvRet::PeerData(_)));
                while client.poll_transmit(at).is_some() {}
            }
            prop_assert_eq!(client.relayed_addresses().count(), 0);
        }
    }
}
