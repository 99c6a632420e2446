//! Opus in and out of a session.
//!
//! An [`OpusInlet`] turns one participant's packets, in whatever order they come, into 20 ms frames
//! at the session's rate: one a period, numbered without gaps. An [`OpusOutlet`] turns the agent's
//! frames into packets, and digital silence into nothing. The [`OpusLine`] is the edge with both.
//!
//! **Invariant:** after construction nothing is allocated, and no bytes, however wrong, are more than
//! a count and a concealed frame.

use std::sync::Arc;

use opus::{Application, Bitrate, Channels, Decoder, Encoder, Signal};

pub use super::inlets::Inlets;
use super::packets::{Arrival, Departure, Joining, LineCounts, PACKET_MAX, Packet, RingPacket};
use super::ring;
use crate::clock::{Rate, Tick, TickLen};
use crate::id::LaneId;
use crate::pcm::mix::is_silent;
use crate::pcm::reorder::{Pulled, Reorder, ReorderCounts};
use crate::session::input::{Coded, Inbound, Input};
use crate::session::output::Output;
use crate::slot::Edge;

/// Packets that an inlet holds at most: 640 ms.
pub(super) const PACKETS_HELD: u16 = 32;

/// Packets queued beyond the depth for a second are trimmed, one a second: 60 ms of jitter are normal.
const PACKETS_QUEUED_TARGET: u16 = 3;

/// The longest packet in milliseconds, by RFC 6716.
const PACKET_MS_MAX: u32 = 120;

/// Packets decoded for one frame at most: the shortest has 2.5 ms.
const PACKETS_A_FRAME: usize = 8;

/// Frames made up in a row: 100 ms, after which a decoder's concealment has faded to silence.
const CONCEALED_MAX: u32 = 5;

/// What a call of [`OpusInlet::pull`] brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its number; consecutive, and wrapping.
    pub seq: u16,
    /// 20 ms at the session's rate.
    pub pcm: &'a [i16],
}

/// Places for packets that wait, and one for who comes when all are there.
const SHELVES: usize = PACKETS_HELD as usize + 1;

/// A packet that waits: its place, and its length.
#[derive(Debug, Clone, Copy)]
struct Held {
    place: u8,
    len: u16,
}

impl Held {
    /// Whether it says that its sender is silent, and no more: a frame of no length (RFC 6716, 3.2.1).
    const fn is_mark(self) -> bool {
        self.len == 1
    }

    /// Where it lies.
    const fn range(self) -> std::ops::Range<usize> {
        let from = self.place as usize * PACKET_MAX;
        from..from + self.len as usize
    }
}

/// What happened to a participant's packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InletCounts {
    /// Packets that do not decode.
    pub malformed: u64,
    /// Lost frames restored from the packet after them.
    pub recovered: u64,
    /// Frames made up by the decoder, those of a pause's first 100 ms included.
    pub concealed: u64,
    /// Packets that were given up, or dropped to make up for a delay: restored or not, they are lost.
    pub missed: u64,
}

/// One participant's packets, put in order and decoded.
pub struct OpusInlet {
    order: Reorder<Held>,
    /// Where packets lie that wait: those in use are the first ones mostly, and only they take memory.
    shelf: Box<[u8]>,
    decoder: Decoder,
    frame: usize,
    target: u16,
    /// Decoded and not given yet, in the first `ready` samples; packets may be longer than a frame.
    pcm: Box<[i16]>,
    ready: usize,
    given: usize,
    /// Samples of the last packet: how much a lost one has taken away.
    packet_samples: usize,
    /// Frames made up since the last that was decoded.
    concealing: u32,
    begun: bool,
    seq: u16,
    counts: InletCounts,
}

impl std::fmt::Debug for OpusInlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpusInlet(seq {}, {:?}, {:?})", self.seq, self.counts, self.order.counts())
    }
}

/// The codec could not be set up: the system has no memory, or libopus was built without a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoCodec(pub String);

impl std::fmt::Display for NoCodec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "opus: {}", self.0)
    }
}

impl std::error::Error for NoCodec {}

impl From<opus::Error> for NoCodec {
    fn from(error: opus::Error) -> Self {
        Self(error.to_string())
    }
}

impl OpusInlet {
    /// An inlet that waits `depth` packets for a missing one. 0 gives up at once; error correction
    /// is in the next packet, so that it needs at least 1.
    ///
    /// # Errors
    /// The decoder cannot be made.
    pub fn new(rate: Rate, depth: u16) -> Result<Self, NoCodec> {
        let depth = depth.min(PACKETS_HELD - 1);
        let longest = rate.samples(PACKET_MS_MAX);
        Ok(Self {
            order: Reorder::new(depth, PACKETS_HELD),
            shelf: vec![0; SHELVES * PACKET_MAX].into_boxed_slice(),
            decoder: Decoder::new(rate.hz(), Channels::Mono)?,
            frame: rate.frame(),
            target: PACKETS_QUEUED_TARGET.max(depth),
            // The longest packet after the rest of a frame.
            pcm: vec![0; longest + rate.frame()].into_boxed_slice(),
            ready: 0,
            given: 0,
            packet_samples: rate.frame(),
            concealing: 0,
            begun: false,
            seq: 0,
            counts: InletCounts::default(),
        })
    }

    /// The same, whose frames are numbered from here on: it goes on where another one stopped.
    #[must_use]
    pub const fn numbered(mut self, seq: u16) -> Self {
        self.seq = seq;
        self
    }

    /// The number of its next frame.
    pub(super) const fn next_frame(&self) -> u16 {
        self.seq
    }

    /// Takes in a packet, with RTP's sequence number. One of more than [`PACKET_MAX`] bytes is none.
    pub fn push(&mut self, seq: u16, packet: &[u8]) {
        debug_assert!(packet.len() <= PACKET_MAX, "a line lets no such packet in");
        let taken = self.order.queued().fold(0_u64, |taken, held| taken | 1 << held.place);
        let held = Held { place: taken.trailing_ones() as u8, len: packet.len() as u16 };
        let Some(place) = self.shelf.get_mut(held.range()) else { return };
        place.copy_from_slice(packet);
        self.order.push(seq, held);
    }

    /// The next 20 ms; called once a frame period. Nothing before the first packet, and nothing once
    /// a pause of the sender has been concealed for 100 ms, marks of silence or not: the numbers go on
    /// where they stopped.
    pub fn pull(&mut self) -> Option<Frame<'_>> {
        self.pcm.copy_within(self.given..self.ready, 0);
        self.ready -= self.given;
        self.given = 0;
        let trimmed = if self.ready < self.frame { self.order.trim(self.target) } else { None };
        if let Some(held) = trimmed {
            // Not heard, but the decoder goes on from it.
            self.counts.missed += 1;
            let ready = self.ready;
            self.decode(held);
            self.ready = ready;
        }
        for _ in 0..PACKETS_A_FRAME {
            if self.ready >= self.frame {
                break;
            }
            match self.order.pull() {
                Pulled::Item(held) => {
                    // Between sounds a decoder makes noise of a mark, which nobody has sent.
                    if self.begun && self.concealing >= CONCEALED_MAX && held.is_mark() {
                        return None;
                    }
                    self.begun = true;
                    self.decode(held);
                }
                Pulled::Lost => self.recover(),
                Pulled::Waiting => {
                    if !self.begun || self.concealing >= CONCEALED_MAX {
                        return None;
                    }
                    self.conceal(self.frame - self.ready % self.frame);
                }
            }
        }
        if self.ready < self.frame {
            // Only short packets that are missing or wrong lead here.
            self.pcm[self.ready..self.frame].fill(0);
            self.ready = self.frame;
        }
        self.given = self.frame;
        let seq = self.seq;
        self.seq = seq.wrapping_add(1);
        Some(Frame { seq, pcm: &self.pcm[..self.frame] })
    }

    /// What happened to its packets as values.
    #[must_use]
    pub const fn counts(&self) -> InletCounts {
        self.counts
    }

    /// What happened to its packets on the way.
    #[must_use]
    pub fn order(&self) -> ReorderCounts {
        self.order.counts()
    }

    fn decode(&mut self, held: Held) {
        // To the decoder, no bytes mean a lost packet.
        let decoded = match &self.shelf[held.range()] {
            [] => None,
            bytes => self.decoder.decode(bytes, &mut self.pcm[self.ready..], false).ok(),
        };
        match decoded {
            Some(samples) => {
                self.packet_samples = samples;
                self.ready += samples;
                self.concealing = 0;
            }
            None => {
                self.counts.malformed += 1;
                self.conceal(self.packet_samples);
            }
        }
    }

    /// Restores a lost packet from the next one, as far as that has it.
    fn recover(&mut self) {
        self.counts.missed += 1;
        let room = self.ready..(self.ready + self.packet_samples).min(self.pcm.len());
        let next = self.order.peek_next().map(|next| &self.shelf[next.range()]);
        let restored = next.filter(|next| has_correction(next)).is_some_and(|next| {
            self.decoder.decode(next, &mut self.pcm[room.clone()], true).is_ok()
        });
        if restored {
            self.counts.recovered += 1;
            self.concealing = 0;
            self.ready = room.end;
        } else {
            self.conceal(self.packet_samples);
        }
    }

    fn conceal(&mut self, samples: usize) {
        self.counts.concealed += 1;
        self.concealing += 1;
        let to = (self.ready + samples).min(self.pcm.len());
        let room = &mut self.pcm[self.ready..to];
        if self.decoder.decode(&[], room, false).is_err() {
            room.fill(0);
        }
        self.ready = to;
    }
}

/// Whether a packet carries a copy of the one before it, of lower quality (RFC 6716, 4.2.3): a bit
/// after those that say which of its frames have voice. Only packets of one frame are looked at;
/// others are rare, and are concealed.
fn has_correction(packet: &[u8]) -> bool {
    let &[toc, first, ..] = packet else { return false };
    let (config, stereo, one_frame) = (toc >> 3, toc & 4 != 0, toc & 3 == 0);
    // SILK of 10, 20, 40 and 60 ms in three bandwidths, then hybrids of 10 and 20 ms in two.
    let frames = match config {
        0..12 => [1, 1, 2, 3][usize::from(config % 4)],
        12..16 => 1,
        _ => return false,
    };
    let side = |above: u32| first >> (7 - above) & 1 == 1;
    one_frame && (side(frames) || (stereo && side(2 * frames + 1)))
}

/// How the agent's audio is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutletOptions {
    /// Bits a second.
    pub bitrate_bps: i32,
    /// 0 to 10: what the encoder tries. 5 costs 25 % less than 10 and nobody has heard a difference
    /// in speech.
    pub complexity: i32,
    /// Packets that the network is expected to lose, in percent; above 0, each packet carries a copy
    /// of the one before it.
    pub loss_percent: i32,
    /// Discontinuous transmission: near silence is coded in a few bytes, and digital silence is marked
    /// by one byte every 400 ms. Without it, nothing at all is sent for digital silence.
    pub dtx: bool,
}

impl Default for OutletOptions {
    fn default() -> Self {
        Self { bitrate_bps: 32_000, complexity: 5, loss_percent: 5, dtx: true }
    }
}

/// Room for a packet at least, in bytes: with correction, coarse codings have as much.
const PACKET_ROOM_MIN: usize = 128;

/// The encoder of an agent's audio.
pub(crate) fn encoder(rate: Rate, options: OutletOptions) -> opus::Result<Encoder> {
    let mut encoder = Encoder::new(rate.hz(), Channels::Mono, Application::Voip)?;
    encoder.set_bitrate(Bitrate::Bits(options.bitrate_bps))?;
    encoder.set_complexity(options.complexity)?;
    encoder.set_signal(Signal::Voice)?;
    encoder.set_inband_fec(options.loss_percent > 0)?;
    encoder.set_packet_loss_perc(options.loss_percent)?;
    encoder.set_dtx(options.dtx)?;
    Ok(encoder)
}

/// Frames of digital silence that are still encoded: the first has the end of what came before (the
/// encoder looks 6.5 ms ahead), the others let the far decoder conceal with silence.
const SILENCE_ENCODED: u64 = 3;

/// Frames between two marks of silence: 400 ms, as libopus does it.
const SILENCE_MARKED: u64 = 20;

/// The agent's audio, encoded.
pub struct OpusOutlet {
    encoder: Encoder,
    rate: Rate,
    bitrate_bps: i32,
    dtx: bool,
    bytes: Box<[u8; PACKET_MAX]>,
    /// Frames of digital silence up to now.
    silent: u64,
    /// The first byte of the last packet, which says how it is coded.
    toc: u8,
    frame: u64,
    seq: u16,
}

impl std::fmt::Debug for OpusOutlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpusOutlet(seq {}, frame {})", self.seq, self.frame)
    }
}

impl OpusOutlet {
    /// An outlet at the session's rate.
    ///
    /// # Errors
    /// The encoder cannot be made, or refuses an option.
    pub fn new(rate: Rate, options: OutletOptions) -> Result<Self, NoCodec> {
        Ok(Self {
            encoder: encoder(rate, options)?,
            rate,
            bitrate_bps: options.bitrate_bps,
            dtx: options.dtx,
            bytes: Box::new([0; PACKET_MAX]),
            silent: 0,
            toc: 0,
            frame: 0,
            seq: 0,
        })
    }

    /// Room for a packet, in bytes, where there are many: twice what the bitrate comes to, since the encoder spends it
    /// as it is needed.
    pub(super) fn packet_bytes(&self) -> usize {
        (self.bitrate_bps.unsigned_abs() as usize / 8 / 50 * 2).clamp(PACKET_ROOM_MIN, PACKET_MAX)
    }

    /// Encodes the next 20 ms. Digital silence costs the encoder more than speech does, so after a
    /// few frames of it there is no packet, but for a mark now and then.
    pub fn encode(&mut self, pcm: &[i16]) -> Option<RingPacket> {
        debug_assert_eq!(pcm.len(), self.rate.frame(), "an outlet takes frames of 20 ms");
        let frame = self.frame;
        self.frame += 1;
        self.silent = if is_silent(pcm) { self.silent + 1 } else { 0 };
        let packet = if self.silent <= SILENCE_ENCODED {
            let len = self.encoder.encode(pcm, &mut self.bytes[..]).unwrap_or(0);
            self.toc = self.bytes[0];
            Packet::new(&self.bytes[..len]).filter(|_| len > 0)
        } else if self.dtx && (self.silent - SILENCE_ENCODED).is_multiple_of(SILENCE_MARKED) {
            // One frame of no length: discontinuous transmission, in the words of RFC 6716, 3.2.1.
            Packet::new(&[self.toc & !3])
        } else {
            None
        }?;
        let seq = self.seq;
        self.seq = seq.wrapping_add(1);
        Some(RingPacket { lane: LaneId::default(), seq, frame, packet })
    }
}

/// The edge of participants who speak and hear Opus.
///
/// What arrives waits in a ring of 256 and what leaves in one of 64 ([`super::packets`]). A full
/// ring drops the newest: the far side conceals what is missing, and the count says so.
pub struct OpusLine {
    arriving: ring::Receiver<Arrival>,
    leaving: ring::Sender<Departure>,
    /// Where a packet is read to.
    bytes: Box<[u8; PACKET_MAX]>,
    /// Inlets on their way to be freed elsewhere.
    retiring: rtrb::Producer<Box<OpusInlet>>,
    inlets: Inlets,
    outlet: OpusOutlet,
    counts: Arc<LineCounts>,
    /// Lanes that were there before this edge was, for the next tick.
    taken_up: Vec<Coded>,
}

impl std::fmt::Debug for OpusLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpusLine({:?}, {:?})", self.inlets, self.outlet)
    }
}

impl OpusLine {
    pub(super) fn new(
        arriving: ring::Receiver<Arrival>,
        leaving: ring::Sender<Departure>,
        retiring: rtrb::Producer<Box<OpusInlet>>,
        outlet: OpusOutlet,
        len: TickLen,
        counts: Arc<LineCounts>,
    ) -> Self {
        let (inlets, bytes) = (Inlets::new(len), Box::new([0; PACKET_MAX]));
        let taken_up = Vec::new();
        Self { arriving, leaving, bytes, retiring, inlets, outlet, counts, taken_up }
    }

    /// Goes on with a lane of a session that another edge has had: the participant is there already. To be called
    /// before the first tick; the numbers of the inlet's frames follow those that the lane has had.
    pub fn take_up(&mut self, lane: LaneId, inlet: OpusInlet) {
        self.taken_up.push(Coded::Joined { lane });
        drop(self.inlets.join(lane, Box::new(inlet)));
    }

    /// The number that the next packet for the network has, which wraps: it has changed once something
    /// was sent.
    #[must_use]
    pub const fn next_seq(&self) -> u16 {
        self.outlet.seq
    }

    /// Whether the network's end is gone, and all that it sent was taken.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.arriving.is_over()
    }

    /// Admits what has come; of a packet, `len` bytes were read.
    fn admit(&mut self, arrival: Arrival, len: usize, input: &mut Input) {
        match arrival {
            Arrival::Value(value) => input.inbound.push(*value),
            Arrival::Joined(joining) => {
                let Joining { lane, name, inlet } = *joining;
                input.coded.push(Coded::Joined { lane });
                if let Some(other) = self.inlets.join(lane, inlet) {
                    self.free(other);
                }
                input.inbound.push(Inbound::Joined { lane, name });
            }
            Arrival::Left { lane } => {
                input.coded.push(Coded::Left { lane });
                if let Some(inlet) = self.inlets.leave(lane) {
                    self.free(inlet);
                }
                input.inbound.push(Inbound::Left { lane });
            }
            Arrival::Packet { lane, seq } => {
                let packet = &self.bytes[..len];
                input.packet(lane, seq, packet);
                if !self.inlets.push(lane, seq, packet) {
                    LineCounts::add(&self.counts.strangers, 1);
                }
            }
        }
    }

    fn free(&mut self, inlet: Box<OpusInlet>) {
        // Where nobody collects them, it is freed here.
        drop(self.retiring.push(inlet));
    }
}

impl Edge for OpusLine {
    fn give(&mut self, _now: Tick, input: &mut Input) {
        input.coded.append(&mut self.taken_up);
        for _ in 0..self.arriving.len() {
            let Some((arrival, len)) = self.arriving.pop(&mut self.bytes[..]) else { break };
            self.admit(arrival, len, input);
        }
        let happened = self.inlets.pull(input);
        LineCounts::add(&self.counts.malformed, happened.malformed);
        LineCounts::add(&self.counts.recovered, happened.recovered);
        LineCounts::add(&self.counts.concealed, happened.concealed);
        LineCounts::add(&self.counts.missed, happened.missed);
    }

    fn take(&mut self, _now: Tick, out: &Output) {
        for pcm in out.audio.chunks_exact(self.outlet.rate.frame()) {
            let Some(RingPacket { seq, frame, packet, .. }) = self.outlet.encode(pcm) else {
                continue;
            };
            let pushed = self.leaving.push(Departure { seq, frame }, packet.bytes());
            LineCounts::add(&self.counts.unsent, u64::from(pushed.is_err()));
        }
    }
}

#[cfg(test)]
mod tests;
