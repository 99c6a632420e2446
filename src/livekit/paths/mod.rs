//! The ways of a media connection to the server: sockets, and the candidates that name them.
//!
//! UDP is tried first. Where that does not get through, TCP is tried as well, and then the TURN servers
//! that the LiveKit server names; ICE picks the best of what gets through. A connection has sockets of
//! its own: the server tells participants apart by where their datagrams come from.
//!
//! **Invariant:** nothing here waits but [`Paths::ready`]; what a socket does not take is dropped, as a
//! network drops it, and counted.

pub mod frames;
mod relay;
mod servers;
mod tcp;
mod wire;

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::Poll;
use std::time::{Duration, Instant};

use livekit_protocol::IceServer;
use str0m::Candidate;
use str0m::net::Protocol;
use tokio::net::UdpSocket;
use tokio::time::Instant as Timer;
use tokio_rustls::TlsConnector;

use self::frames::DATAGRAM_MAX;
use self::relay::Relay;
use self::servers::{Reach, Server};
use self::tcp::Tcp;

/// How long UDP alone is tried: two round trips around the world.
const TCP_AFTER: Duration = Duration::from_millis(500);

/// How long there is no way before the TURN servers are asked.
const RELAY_AFTER: Duration = Duration::from_secs(1);

/// Which ways may be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Allowed {
    /// All, the best first.
    #[default]
    Auto,
    /// UDP to the server.
    Udp,
    /// TCP to the server.
    Tcp,
    /// By way of a TURN server.
    Relay,
}

/// A way that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// UDP to the server.
    Udp,
    /// TCP to the server.
    Tcp,
    /// By way of a TURN server, reached over UDP.
    RelayUdp,
    /// By way of a TURN server, reached over TCP.
    RelayTcp,
    /// By way of a TURN server, reached over TLS.
    RelayTls,
}

impl Way {
    /// Its name in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::RelayUdp => "relay/udp",
            Self::RelayTcp => "relay/tcp",
            Self::RelayTls => "relay/tls",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::RelayUdp => "a TURN server, over UDP",
            Self::RelayTcp => "a TURN server, over TCP",
            Self::RelayTls => "a TURN server, over TLS",
        })
    }
}

/// A datagram that came.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// How.
    pub proto: Protocol,
    /// From where.
    pub source: SocketAddr,
    /// To which local candidate.
    pub destination: SocketAddr,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What becomes of a local candidate.
#[derive(Debug, Clone)]
pub enum Change {
    /// There is one more.
    Found(Candidate),
    /// It is of no use any more.
    Gone(Candidate),
}

/// The sockets.
pub struct Paths {
    allowed: Allowed,
    udp: UdpSocket,
    /// The address under which others reach the socket.
    local: SocketAddr,
    tcp: Tcp,
    has_tcp: bool,
    tls: TlsConnector,
    servers: Vec<Server>,
    relays: Vec<(Relay, Option<Candidate>)>,
    changes: VecDeque<Change>,
    search: Search,
    used: Option<Way>,
    told: Option<Way>,
    buffer: Box<[u8; DATAGRAM_MAX]>,
    dropped: u64,
}

/// Whether a way is looked for.
#[derive(Debug, Clone, Copy)]
enum Search {
    /// Since then; whether the TURN servers are asked already.
    Since(Instant, bool),
    /// There is one, or nobody knows yet where the server is.
    Idle,
}

impl Paths {
    /// Sockets on the address from which the server is reached, at the first of its addresses that there
    /// is a way to. `tls` says which TURN servers are trusted.
    ///
    /// # Errors
    /// The system has no socket, or there is no way to the server.
    pub async fn open(servers: &[IpAddr], allowed: Allowed, tls: TlsConnector) -> io::Result<Self> {
        let mut opened = Err(io::Error::other("its name has no address"));
        for server in servers {
            opened = Self::open_to(*server, allowed, tls.clone()).await;
            if opened.is_ok() {
                break;
            }
        }
        opened
    }

    async fn open_to(server: IpAddr, allowed: Allowed, tls: TlsConnector) -> io::Result<Self> {
        let any: IpAddr = match server {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let udp = UdpSocket::bind((any, 0)).await?;
        // A connected socket sends nothing by being connected, and knows its own end.
        let probe = UdpSocket::bind((any, 0)).await?;
        probe.connect((server, PROBED_PORT)).await?;
        let local = SocketAddr::new(probe.local_addr()?.ip(), udp.local_addr()?.port());
        Ok(Self {
            allowed,
            udp,
            local,
            tcp: Tcp::default(),
            has_tcp: allowed == Allowed::Tcp,
            tls,
            servers: Vec::new(),
            relays: Vec::new(),
            changes: VecDeque::new(),
            search: Search::Idle,
            used: None,
            told: None,
            buffer: Box::new([0; DATAGRAM_MAX]),
            dropped: 0,
        })
    }

    /// The candidates from the beginning.
    #[must_use]
    pub fn candidates(&self) -> Vec<Candidate> {
        let candidate = match self.allowed {
            Allowed::Auto | Allowed::Udp => Candidate::host(self.local, Protocol::Udp).ok(),
            Allowed::Tcp => tcp::candidate(self.local.ip()),
            Allowed::Relay => None,
        };
        candidate.into_iter().collect()
    }

    /// The server has answered, and named TURN servers: the search for a way begins.
    pub fn begin(&mut self, servers: &[IceServer]) {
        self.servers = servers::read(servers);
        self.search = Search::Since(now(), false);
        self.wake();
    }

    /// There is a way: no more is looked for.
    pub fn settled(&mut self) {
        self.search = Search::Idle;
    }

    /// There is none any more: the search begins anew.
    pub fn lost(&mut self) {
        if let Search::Idle = self.search {
            self.search = Search::Since(now(), false);
        }
    }

    /// ICE begins anew: connections of before are of no use.
    pub fn restart(&mut self) {
        self.tcp.clear();
    }

    /// When [`Self::wake`] is due.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let searches = match self.search {
            Search::Idle => None,
            Search::Since(since, asked) => {
                let tcp = self.allowed == Allowed::Auto && !self.has_tcp;
                let relay = self.allows_relays() && !asked;
                let tcp = tcp.then_some(since + TCP_AFTER);
                tcp.into_iter().chain(relay.then(|| since + self.relay_after())).min()
            }
        };
        self.relays.iter().filter_map(|(relay, _)| relay.due()).chain(searches).min()
    }

    /// Time has passed: more is tried, if there is no way yet.
    pub fn wake(&mut self) {
        let at = now();
        if let Search::Since(since, asked) = self.search {
            if self.allowed == Allowed::Auto && !self.has_tcp && at >= since + TCP_AFTER {
                self.has_tcp = true;
                self.changes.extend(tcp::candidate(self.local.ip()).map(Change::Found));
            }
            if self.allows_relays() && !asked && at >= since + self.relay_after() {
                self.search = Search::Since(since, true);
                self.ask(at);
            }
        }
        for (relay, _) in &mut self.relays {
            relay.wake(at);
        }
        self.note();
    }

    const fn allows_relays(&self) -> bool {
        matches!(self.allowed, Allowed::Auto | Allowed::Relay)
    }

    const fn relay_after(&self) -> Duration {
        match self.allowed {
            Allowed::Relay => Duration::ZERO,
            Allowed::Auto | Allowed::Udp | Allowed::Tcp => RELAY_AFTER,
        }
    }

    /// Asks the TURN servers of which there is no address.
    fn ask(&mut self, at: Instant) {
        self.note();
        self.relays.retain(|(relay, _)| relay.failed().is_none());
        for server in &self.servers {
            if !self.relays.iter().any(|(relay, _)| relay.server() == server) {
                let relay = Relay::new(at, server.clone(), &self.tls, self.local.is_ipv6());
                self.relays.push((relay, None));
            }
        }
    }

    /// Notes which relays have come up or failed.
    fn note(&mut self) {
        for (relay, known) in &mut self.relays {
            match (relay.candidate(), &known) {
                (Some(candidate), None) => {
                    self.changes.push_back(Change::Found(candidate.clone()));
                    *known = Some(candidate);
                }
                (None, Some(_)) => self.changes.extend(known.take().map(Change::Gone)),
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
    }

    /// What has become of local candidates.
    pub fn change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// The way that is used, if it is another than before.
    pub fn used(&mut self) -> Option<Way> {
        if self.used == self.told {
            return None;
        }
        self.told = self.used;
        self.told
    }

    /// Sends a datagram from a local candidate.
    pub fn send(
        &mut self,
        proto: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) {
        let relay = self.relays.iter_mut().find(|(relay, _)| relay.relayed() == Some(source));
        let (way, sent) = match (proto, relay) {
            (Protocol::Udp, Some((relay, _))) => {
                let way = match relay.server().reach {
                    Reach::Udp => Way::RelayUdp,
                    Reach::Tcp => Way::RelayTcp,
                    Reach::Tls => Way::RelayTls,
                };
                (way, relay.send(now(), destination, bytes))
            }
            (Protocol::Udp, None) => {
                // Of a relay that is gone, it is nobody's.
                let own = source == self.local;
                (Way::Udp, own && self.udp.try_send_to(bytes, destination).is_ok())
            }
            (Protocol::Tcp, _) => (Way::Tcp, self.tcp.send(now(), destination, bytes)),
            (Protocol::SslTcp | Protocol::Tls, _) => return self.dropped += 1,
        };
        if sent && !is_stun(bytes) {
            self.used = Some(way);
        }
        self.dropped += u64::from(!sent);
    }

    /// Waits until something may have come. May be dropped while it waits.
    pub async fn ready(&mut self) {
        poll_fn(|context| {
            // An error shows when reading.
            let mut ready = self.udp.poll_recv_ready(context).is_ready();
            ready |= self.tcp.poll(context).is_ready();
            let at = now();
            for (relay, _) in &mut self.relays {
                ready |= relay.poll(at, context).is_ready();
            }
            if ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        self.note();
    }

    /// The next datagram that has come; none if there is no more at the moment.
    pub fn receive(&mut self) -> Option<Datagram<'_>> {
        let (proto, source, destination, len) = self.take()?;
        Some(Datagram { proto, source, destination, bytes: &self.buffer[..len] })
    }

    /// The same, into the buffer.
    fn take(&mut self) -> Option<(Protocol, SocketAddr, SocketAddr, usize)> {
        loop {
            match self.udp.try_recv_from(&mut self.buffer[..]) {
                Ok((len, source)) => return Some((Protocol::Udp, source, self.local, len)),
                // What is said of an earlier datagram that did not arrive: the next may be there.
                Err(error) if is_of_another(&error) => {}
                Err(_) => break,
            }
        }
        if let Some((source, bytes)) = self.tcp.next() {
            let len = bytes.len();
            self.buffer[..len].copy_from_slice(bytes);
            return Some((Protocol::Tcp, source, tcp::local(self.local.ip()), len));
        }
        let at = now();
        for (relay, _) in &mut self.relays {
            if let Some((source, len)) = relay.receive(at, &mut self.buffer[..])
                && let Some(relayed) = relay.relayed()
            {
                return Some((Protocol::Udp, source, relayed, len));
            }
        }
        self.note();
        None
    }

    /// Gives back what others hold for this side.
    pub fn close(&mut self) {
        let at = now();
        for (relay, _) in &mut self.relays {
            relay.close(at);
        }
    }

    /// Datagrams that no socket took.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What was tried to find a way, and what became of it, in words.
    #[must_use]
    pub fn tried(&self) -> String {
        let udp = || "UDP (no answer)".to_owned();
        let tcp = || self.tcp.tried();
        let relay = || {
            if self.relays.is_empty() {
                return "TURN (the server names none)".to_owned();
            }
            let each = self.relays.iter().map(|(relay, _)| {
                let why = match (relay.failed(), relay.relayed()) {
                    (Some(why), _) => why,
                    (None, Some(_)) => "it gives an address, over which the server does not answer",
                    (None, None) => "no answer yet",
                };
                format!("{}: {why}", relay.server())
            });
            format!("TURN ({})", each.collect::<Vec<_>>().join("; "))
        };
        match self.allowed {
            Allowed::Auto => [udp(), tcp(), relay()].join(", "),
            Allowed::Udp => udp(),
            Allowed::Tcp => tcp(),
            Allowed::Relay => relay(),
        }
    }
}

/// The time as the timers have it.
fn now() -> Instant {
    Timer::now().into_std()
}

/// Any port but 0: it is not sent to.
const PROBED_PORT: u16 = 9;

/// Whether a datagram is one of ICE's own (RFC 7983, 7).
fn is_stun(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| *first < 4)
}

fn is_of_another(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}
