//! Opus packets between the network's threads and a shard, in bounded rings.
//!
//! A ring holds packets at the length that they have, within memory that is made once and is all there will ever be.
//! The two ends of a [`line()`] are the network's [`Trunk`] and the session's
//! [`OpusLine`].
//!
//! **Invariant:** nobody waits for the other side; what finds no room is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::codec::{OpusInlet, OpusLine, OpusOutlet};
use super::ring::{self, ring};
use crate::clock::TickLen;
use crate::id::LaneId;
use crate::session::input::Inbound;

/// The longest packet of one frame that RFC 6716 knows; longer ones do not pass most networks, either.
pub const PACKET_MAX: usize = 1_275;

/// Arrivals on their way to a session at most: 1.28 s of 20 ms packets from four participants. More
/// is a stall of the shard, after which the oldest audio is of no use.
pub const ARRIVALS_WAITING: usize = 256;

/// Their bytes at most: 128 for each, which is 51 kbit/s. Of louder codings there is room for less time.
const ARRIVALS_BYTES: usize = 128 * ARRIVALS_WAITING;

/// Packets on their way to the network at most: 1.28 s.
pub const DEPARTURES_WAITING: usize = 64;

/// Participants who have gone, on their way to be freed, at most: all that there can be, twice.
const RETIRED_WAITING: usize = 32;

/// One Opus packet, inline.
#[derive(Clone, Copy)]
pub struct Packet {
    len: u16,
    bytes: [u8; PACKET_MAX],
}

impl Packet {
    /// One without a byte.
    const EMPTY: Self = Self { len: 0, bytes: [0; PACKET_MAX] };

    /// A copy of `bytes`; none if there are more than [`PACKET_MAX`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut packet = Self { len: bytes.len() as u16, bytes: [0; PACKET_MAX] };
        packet.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(packet)
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packet({} bytes)", self.len)
    }
}

/// A packet on a ring.
#[derive(Debug, Clone, Copy)]
pub struct RingPacket {
    /// The participant that it comes from; of no meaning on the way out.
    pub lane: LaneId,
    /// Its sequence number, which wraps: RTP's.
    pub seq: u16,
    /// When it begins, in frames of 20 ms since the start; jumps over silence that was not sent.
    /// Of no meaning on the way in.
    pub frame: u64,
    /// The packet.
    pub packet: Packet,
}

/// What comes from the network for a session; a packet's bytes are with it on the ring.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A participant is there.
    Joined(Box<Joining>),
    /// A participant has gone.
    Left { lane: LaneId },
    /// A packet of a participant.
    Packet { lane: LaneId, seq: u16 },
    /// Anything else that the network has to say, in its place among the packets.
    Value(Box<Inbound>),
}

/// A participant, with the inlet that was made for it: on the network's thread, since that allocates.
#[derive(Debug)]
pub(super) struct Joining {
    pub(super) lane: LaneId,
    pub(super) name: String,
    pub(super) inlet: Box<OpusInlet>,
}

/// A packet for the network; its bytes are with it on the ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Departure {
    pub(super) seq: u16,
    pub(super) frame: u64,
}

/// What happened on a line, for metrics; each is a count since the start.
#[derive(Debug, Default)]
pub struct LineCounts {
    /// Arrivals that found the ring full: the shard has stalled.
    pub refused: AtomicU64,
    /// Packets longer than [`PACKET_MAX`].
    pub oversized: AtomicU64,
    /// Packets of a lane that nobody has joined.
    pub strangers: AtomicU64,
    /// Packets that do not decode.
    pub malformed: AtomicU64,
    /// Lost frames restored from the next packet.
    pub recovered: AtomicU64,
    /// Frames made up where nothing was to be had.
    pub concealed: AtomicU64,
    /// Packets that were lost on the way, or came too late.
    pub missed: AtomicU64,
    /// Packets for the network that found the ring full: it has stalled.
    pub unsent: AtomicU64,
}

/// The same counts, as they stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are those of `LineCounts`")]
pub struct LineTally {
    pub refused: u64,
    pub strangers: u64,
    pub malformed: u64,
    pub recovered: u64,
    pub concealed: u64,
    pub missed: u64,
    pub unsent: u64,
}

impl LineCounts {
    pub(super) fn add(count: &AtomicU64, more: u64) {
        if more > 0 {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }
}

/// The network's end of a line.
pub struct Trunk {
    arrivals: ring::Sender<Arrival>,
    departures: ring::Receiver<Departure>,
    retired: rtrb::Consumer<Box<OpusInlet>>,
    counts: Arc<LineCounts>,
}

impl std::fmt::Debug for Trunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trunk({:?})", self.counts)
    }
}

/// The rings of a line, both ways, and its counts.
struct Rings {
    trunk: Trunk,
    arriving: ring::Receiver<Arrival>,
    leaving: ring::Sender<Departure>,
    retiring: rtrb::Producer<Box<OpusInlet>>,
    counts: Arc<LineCounts>,
}

/// Rings, with room for so many bytes of packets for the network.
fn rings(departing: usize) -> Rings {
    let (arrivals, arriving) = ring(ARRIVALS_WAITING, ARRIVALS_BYTES);
    let (leaving, departures) = ring(DEPARTURES_WAITING, departing);
    let (retiring, retired) = rtrb::RingBuffer::new(RETIRED_WAITING);
    let counts = Arc::new(LineCounts::default());
    let trunk = Trunk { arrivals, departures, retired, counts: Arc::clone(&counts) };
    Rings { trunk, arriving, leaving, retiring, counts }
}

/// A line for a session: the network's end, and the edge.
#[must_use]
pub fn line(outlet: OpusOutlet, len: TickLen) -> (Trunk, OpusLine) {
    let Rings { trunk, arriving, leaving, retiring, counts } =
        rings(DEPARTURES_WAITING * outlet.packet_bytes());
    (trunk, OpusLine::new(arriving, leaving, retiring, outlet, len, counts))
}

/// A line for who has packets already and decodes none: the network's end, and the other.
#[must_use]
pub fn plain_line() -> (Trunk, PlainLine) {
    let Rings { trunk, arriving, leaving, counts, .. } = rings(ARRIVALS_BYTES);
    (trunk, PlainLine { arriving, leaving, seq: 0, frame: 0, counts })
}

/// The end of a line where nothing is decoded or encoded.
#[derive(Debug)]
pub struct PlainLine {
    arriving: ring::Receiver<Arrival>,
    leaving: ring::Sender<Departure>,
    seq: u16,
    frame: u64,
    counts: Arc<LineCounts>,
}

impl PlainLine {
    /// Sends the packet of the next 20 ms, or nothing. Whether there was room for it.
    pub fn send(&mut self, packet: Option<&[u8]>) -> bool {
        let frame = self.frame;
        self.frame += 1;
        let Some(bytes) = packet else { return true };
        let seq = self.seq;
        self.seq = seq.wrapping_add(1);
        let sent = self.leaving.push(Departure { seq, frame }, bytes);
        LineCounts::add(&self.counts.unsent, u64::from(sent.is_err()));
        sent.is_ok()
    }

    /// The next packet that has come, if there is one; whatever else comes is let go.
    pub fn receive(&mut self) -> Option<RingPacket> {
        let mut packet = Packet::EMPTY;
        loop {
            let (arrival, len) = self.arriving.pop(&mut packet.bytes)?;
            if let Arrival::Packet { lane, seq } = arrival {
                packet.len = len as u16;
                return Some(RingPacket { lane, seq, frame: 0, packet });
            }
        }
    }
}

impl Trunk {
    /// Announces a participant. False if the ring is full: try again later.
    pub fn join(&mut self, lane: LaneId, name: String, inlet: Box<OpusInlet>) -> bool {
        self.bury();
        self.push(Arrival::Joined(Box::new(Joining { lane, name, inlet })), &[])
    }

    /// Says that a participant has gone. False if the ring is full: try again later.
    pub fn leave(&mut self, lane: LaneId) -> bool {
        self.push(Arrival::Left { lane }, &[])
    }

    /// Gives the session a value of the network's own. It comes back if the ring is full: try again
    /// later.
    pub fn tell(&mut self, value: Box<Inbound>) -> Option<Box<Inbound>> {
        match self.arrivals.push(Arrival::Value(value), &[]) {
            Err(Arrival::Value(value)) => Some(value),
            Ok(()) | Err(_) => None,
        }
    }

    /// Sends a packet to the session. One that finds no room is dropped, and so is one that is too
    /// long: false.
    pub fn send(&mut self, lane: LaneId, seq: u16, bytes: &[u8]) -> bool {
        if bytes.len() > PACKET_MAX {
            LineCounts::add(&self.counts.oversized, 1);
            return false;
        }
        self.push(Arrival::Packet { lane, seq }, bytes)
    }

    /// The next packet for the network, if there is one.
    pub fn receive(&mut self) -> Option<RingPacket> {
        let mut packet = Packet::EMPTY;
        let (Departure { seq, frame }, len) = self.departures.pop(&mut packet.bytes)?;
        packet.len = len as u16;
        Some(RingPacket { lane: LaneId::default(), seq, frame, packet })
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> &LineCounts {
        &self.counts
    }

    /// What happened so far, as plain numbers.
    #[must_use]
    pub fn tally(&self) -> LineTally {
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.counts;
        LineTally {
            refused: now(&counts.refused),
            strangers: now(&counts.strangers),
            malformed: now(&counts.malformed),
            recovered: now(&counts.recovered),
            concealed: now(&counts.concealed),
            missed: now(&counts.missed),
            unsent: now(&counts.unsent),
        }
    }

    fn push(&mut self, arrival: Arrival, bytes: &[u8]) -> bool {
        let pushed = self.arrivals.push(arrival, bytes).is_ok();
        LineCounts::add(&self.counts.refused, u64::from(!pushed));
        pushed
    }

    /// Frees the inlets of those who have gone: not on the thread of a tick.
    fn bury(&mut self) {
        while self.retired.pop().is_ok() {}
    }
}
