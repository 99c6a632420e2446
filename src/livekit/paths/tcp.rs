//! ICE over TCP (RFC 6544): connections of this side's to the addresses that the server listens on.
//!
//! A connection is made when there is something to send to an address. The server tells participants
//! apart by the first message of each.
//!
//! **Invariant:** no more connections than [`WIRES_MAX`].

use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use str0m::Candidate;
use str0m::net::TcpType;

use super::frames::Framing;
use super::wire::Wire;
use crate::livekit::stream::Stream;

/// Connections at most: a server listens on one port, on few addresses.
const WIRES_MAX: usize = 4;

/// The port of a candidate that connects and does not listen, whatever port it connects from (RFC 6544,
/// 4.5: the discard port).
const ACTIVE_PORT: u16 = 9;

/// The pause before a connection that was closed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Connections to the server.
#[derive(Default)]
pub(super) struct Tcp {
    wires: Vec<(SocketAddr, Instant, Wire)>,
}

/// The address of this side, which stands for all connections.
pub(super) fn local(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, ACTIVE_PORT)
}

/// The candidate of this side.
pub(super) fn candidate(ip: IpAddr) -> Option<Candidate> {
    Candidate::builder().tcp().host(local(ip)).tcptype(TcpType::Active).build().ok()
}

impl Tcp {
    /// Sends a datagram; false if it is dropped.
    pub(super) fn send(&mut self, now: Instant, to: SocketAddr, datagram: &[u8]) -> bool {
        let known = self.wires.iter().position(|(other, ..)| *other == to);
        let at = match known {
            Some(at) => {
                let (_, since, wire) = &self.wires[at];
                if wire.closed().is_some() {
                    if now < *since + RETRY {
                        return false;
                    }
                    self.wires[at] = open(now, to);
                }
                at
            }
            None if self.wires.len() < WIRES_MAX => {
                self.wires.push(open(now, to));
                self.wires.len() - 1
            }
            None => return false,
        };
        self.wires[at].2.send(datagram)
    }

    /// Ready once a datagram is there, or a connection has opened or closed.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut poll = Poll::Pending;
        for (_, _, wire) in &mut self.wires {
            if wire.poll(context).is_ready() {
                poll = Poll::Ready(());
            }
        }
        poll
    }

    /// Takes the next datagram that has come, and from where.
    pub(super) fn next(&mut self) -> Option<(SocketAddr, &[u8])> {
        for (from, _, wire) in &mut self.wires {
            if let Some(datagram) = wire.next() {
                return Some((*from, datagram));
            }
        }
        None
    }

    /// Closes all connections: the server knows each by the credentials of its first message, which are
    /// others after a restart of ICE.
    pub(super) fn clear(&mut self) {
        self.wires.clear();
    }

    /// What became of the connections, in words.
    pub(super) fn tried(&self) -> String {
        if self.wires.is_empty() {
            return "TCP (the server offers none)".to_owned();
        }
        let each = self.wires.iter().map(|(to, _, wire)| match wire.closed() {
            Some(why) => format!("{to}: {why}"),
            None => format!("{to}: no answer"),
        });
        format!("TCP ({})", each.collect::<Vec<_>>().join("; "))
    }
}

fn open(now: Instant, to: SocketAddr) -> (SocketAddr, Instant, Wire) {
    let connecting = Box::pin(async move { Stream::connect(to, None).await });
    (to, now, Wire::new(Framing::Length, connecting))
}
