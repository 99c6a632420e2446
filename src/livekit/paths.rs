//! The ways of a media connection to the server: sockets, and the candidates that name them.
//!
//! A connection has a UDP socket of its own: the server tells participants apart by where their
//! datagrams come from.
//!
//! **Invariant:** nothing here waits but [`Paths::ready`]; what a socket does not take is dropped, as a
//! network drops it, and counted.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use str0m::Candidate;
use str0m::net::Protocol;
use tokio::net::UdpSocket;

/// The longest datagram that is read, in bytes: an Ethernet frame holds 1,500.
const DATAGRAM_MAX: usize = 2_000;

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

/// The sockets.
#[derive(Debug)]
pub struct Paths {
    udp: UdpSocket,
    /// The address under which others reach the socket.
    local: SocketAddr,
    buffer: Box<[u8; DATAGRAM_MAX]>,
    dropped: u64,
}

impl Paths {
    /// A socket on the address from which the server is reached.
    ///
    /// # Errors
    /// The system has no socket, or there is no way to the server.
    pub async fn open(server: IpAddr) -> io::Result<Self> {
        let any: IpAddr = match server {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let udp = UdpSocket::bind((any, 0)).await?;
        // A connected socket sends nothing by being connected, and knows its own end.
        let probe = UdpSocket::bind((any, 0)).await?;
        probe.connect((server, PROBED_PORT)).await?;
        let local = SocketAddr::new(probe.local_addr()?.ip(), udp.local_addr()?.port());
        Ok(Self { udp, local, buffer: Box::new([0; DATAGRAM_MAX]), dropped: 0 })
    }

    /// The candidates of the sockets.
    #[must_use]
    pub fn candidates(&self) -> Vec<Candidate> {
        Candidate::host(self.local, Protocol::Udp).into_iter().collect()
    }

    /// Sends a datagram.
    pub fn send(&mut self, proto: Protocol, destination: SocketAddr, bytes: &[u8]) {
        let sent = match proto {
            Protocol::Udp => self.udp.try_send_to(bytes, destination).is_ok(),
            Protocol::Tcp | Protocol::SslTcp | Protocol::Tls => false,
        };
        self.dropped += u64::from(!sent);
    }

    /// Waits until something may have come. May be dropped while it waits.
    pub async fn ready(&self) {
        // An error shows when reading.
        drop(self.udp.readable().await);
    }

    /// The next datagram that has come; none if there is no more at the moment.
    pub fn receive(&mut self) -> Option<Datagram<'_>> {
        let (len, source) = loop {
            match self.udp.try_recv_from(&mut self.buffer[..]) {
                Ok(received) => break received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                // What is said of an earlier datagram that did not arrive: the next may be there.
                Err(error) if is_of_another(&error) => {}
                Err(_) => return None,
            }
        };
        let (destination, proto) = (self.local, Protocol::Udp);
        Some(Datagram { proto, source, destination, bytes: &self.buffer[..len] })
    }

    /// Datagrams that no socket took.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Any port but 0: it is not sent to.
const PROBED_PORT: u16 = 9;

fn is_of_another(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}
