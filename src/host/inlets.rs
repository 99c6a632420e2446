//! The inlets of a session's participants, and a journal's packets turned into frames again.
//!
//! **Invariant:** equal packets in equal ticks give equal frames, whether they come from a network or
//! from a journal.

use super::codec::{Frame, InletCounts, NoCodec, OpusInlet, PACKETS_HELD};
use super::packets::PACKET_MAX;
use crate::clock::{Rate, TickLen};
use crate::id::LaneId;
use crate::journal::Transcode;
use crate::session::input::{Coded, Inbound, Input, UNDECODED};
use crate::session::plan::Plan;

/// Inlets of a session at most, as many as it has lanes.
const INLETS_MAX: usize = 16;

/// The inlets of a session's participants, in the order in which they joined.
#[derive(Debug)]
pub struct Inlets {
    inlets: Vec<(LaneId, Box<OpusInlet>)>,
    frames_a_tick: u32,
}

impl Inlets {
    /// No inlets yet, for ticks of this length.
    #[must_use]
    pub fn new(len: TickLen) -> Self {
        Self { inlets: Vec::with_capacity(INLETS_MAX), frames_a_tick: len.frames() }
    }

    /// A participant joins. Gives back an inlet that is of no use any more: the lane's former one, or
    /// this one if there are too many; the session refuses such a participant, and says so. Who joins
    /// without having left is the same participant, and the numbers of the frames go on.
    pub fn join(&mut self, lane: LaneId, inlet: Box<OpusInlet>) -> Option<Box<OpusInlet>> {
        let former = self.leave(lane);
        let inlet = match &former {
            Some(former) => Box::new(inlet.numbered(former.next_frame())),
            None => inlet,
        };
        if self.inlets.len() == INLETS_MAX {
            return Some(inlet);
        }
        self.inlets.push((lane, inlet));
        former
    }

    /// A participant leaves. Gives back its inlet.
    pub fn leave(&mut self, lane: LaneId) -> Option<Box<OpusInlet>> {
        let at = self.inlets.iter().position(|(known, _)| *known == lane)?;
        Some(self.inlets.remove(at).1)
    }

    /// A packet comes. False if nobody has joined on its lane.
    pub fn push(&mut self, lane: LaneId, seq: u16, packet: &[u8]) -> bool {
        let inlet = self.inlets.iter_mut().find(|(known, _)| *known == lane);
        inlet.map(|(_, inlet)| inlet.push(seq, packet)).is_some()
    }

    /// Adds the frames of a tick to its input; what happened to packets meanwhile.
    pub fn pull(&mut self, input: &mut Input) -> InletCounts {
        // Ticks that were jumped over had their frames, too; more than an inlet holds there are not.
        let ticks = input.skipped.saturating_add(1).min(u32::from(PACKETS_HELD));
        let mut happened = InletCounts::default();
        for (lane, inlet) in &mut self.inlets {
            let before = inlet.counts();
            for _ in 0..ticks * self.frames_a_tick {
                let Some(Frame { seq, pcm }) = inlet.pull() else { break };
                input.audio(*lane, seq, pcm);
            }
            let after = inlet.counts();
            happened.malformed += after.malformed - before.malformed;
            happened.recovered += after.recovered - before.recovered;
            happened.concealed += after.concealed - before.concealed;
            happened.missed += after.missed - before.missed;
        }
        happened
    }
}

/// A journal's Opus packets, decoded as they were when they came.
#[derive(Debug)]
pub struct OpusTranscoder {
    inlets: Inlets,
    rate: Rate,
    depth: u16,
    decoded: Input,
}

impl OpusTranscoder {
    /// A transcoder for a journal of this plan's sessions.
    ///
    /// # Errors
    /// There is no decoder.
    pub fn new(plan: &Plan) -> Result<Self, NoCodec> {
        OpusInlet::new(plan.rate, plan.reorder)?;
        let inlets = Inlets::new(plan.len);
        Ok(Self { inlets, rate: plan.rate, depth: plan.reorder, decoded: Input::default() })
    }

    fn follow(&mut self, coded: Coded, packets: &[u8]) {
        match coded {
            // Without a decoder its frames are missing, which shows as a difference in what is heard.
            Coded::Joined { lane } => drop(
                OpusInlet::new(self.rate, self.depth)
                    .map(|inlet| self.inlets.join(lane, Box::new(inlet))),
            ),
            Coded::Left { lane } => drop(self.inlets.leave(lane)),
            Coded::Packet { lane, seq, from, len } => {
                let bytes = packets.get(from as usize..).and_then(|b| b.get(..usize::from(len)));
                if let Some(packet) = bytes.filter(|bytes| bytes.len() <= PACKET_MAX) {
                    self.inlets.push(lane, seq, packet);
                }
            }
        }
    }
}

impl Transcode for OpusTranscoder {
    fn fill(&mut self, input: &mut Input) {
        for at in 0..input.coded.len() {
            self.follow(input.coded[at], &input.packets);
        }
        self.decoded.clear(input.tick, input.skipped);
        self.inlets.pull(&mut self.decoded);
        let Input { inbound, pcm, .. } = input;
        for value in inbound {
            let Inbound::Audio { lane, seq, from, len } = value else { continue };
            if *from != UNDECODED {
                continue;
            }
            let frame = self.decoded.inbound.iter().find_map(|frame| match *frame {
                Inbound::Audio { lane: of, seq: number, from, len }
                    if (of, number) == (*lane, *seq) =>
                {
                    Some((from as usize, len))
                }
                _ => None,
            });
            if let Some((at, samples)) = frame {
                *from = pcm.len() as u32;
                *len = samples;
                pcm.extend_from_slice(&self.decoded.pcm[at..at + usize::from(samples)]);
            }
        }
    }
}
