//! A participant's audio through Opus and back, as a network would carry it.
//!
//! What an edge gives as frames is encoded, and what comes of the packets is given instead: the session
//! hears what a caller of a room sounds like, and the journal keeps the packets.

use super::codec::{NoCodec, OpusInlet, OpusOutlet, OutletOptions};
use super::inlets::Inlets;
use crate::clock::{Rate, Tick};
use crate::id::LaneId;
use crate::session::input::{Coded, Inbound, Input};
use crate::session::output::Output;
use crate::session::plan::Plan;
use crate::slot::Edge;

/// An edge whose participants speak Opus.
pub struct Wire {
    edge: Box<dyn Edge>,
    encoders: Vec<(LaneId, OpusOutlet)>,
    inlets: Inlets,
    rate: Rate,
    depth: u16,
    given: Input,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wire({:?})", self.inlets)
    }
}

impl Wire {
    /// A wire from the participants of `edge`, for sessions of this plan.
    ///
    /// # Errors
    /// There is no codec.
    pub fn new(edge: Box<dyn Edge>, plan: &Plan) -> Result<Self, NoCodec> {
        // Later on a codec that is missing is a participant without audio.
        OpusInlet::new(plan.rate, plan.reorder)?;
        OpusOutlet::new(plan.rate, OutletOptions::default())?;
        Ok(Self {
            edge,
            encoders: Vec::new(),
            inlets: Inlets::new(plan.len),
            rate: plan.rate,
            depth: plan.reorder,
            given: Input::default(),
        })
    }

    fn join(&mut self, lane: LaneId) {
        let inlet = OpusInlet::new(self.rate, self.depth);
        let encoder = OpusOutlet::new(self.rate, OutletOptions::default());
        if let (Ok(inlet), Ok(encoder)) = (inlet, encoder) {
            self.inlets.join(lane, Box::new(inlet));
            self.encoders.retain(|(known, _)| *known != lane);
            self.encoders.push((lane, encoder));
        }
    }

    fn send(&mut self, lane: LaneId, from: usize, len: usize, input: &mut Input) {
        let encoder = self.encoders.iter_mut().find(|(known, _)| *known == lane);
        let (Some((_, encoder)), Some(pcm)) = (encoder, self.given.pcm.get(from..from + len))
        else {
            return;
        };
        if let Some(sent) = encoder.encode(pcm) {
            input.packet(lane, sent.seq, sent.packet.bytes());
            self.inlets.push(lane, sent.seq, sent.packet.bytes());
        }
    }
}

impl Edge for Wire {
    fn give(&mut self, now: Tick, input: &mut Input) {
        self.given.clear(now, input.skipped);
        self.edge.give(now, &mut self.given);
        let mut values = std::mem::take(&mut self.given.inbound);
        for value in values.drain(..) {
            match value {
                Inbound::Audio { lane, from, len, .. } => {
                    self.send(lane, from as usize, usize::from(len), input);
                }
                Inbound::Joined { lane, .. } => {
                    self.join(lane);
                    input.coded.push(Coded::Joined { lane });
                    input.inbound.push(value);
                }
                Inbound::Left { lane } => {
                    self.inlets.leave(lane);
                    self.encoders.retain(|(known, _)| *known != lane);
                    input.coded.push(Coded::Left { lane });
                    input.inbound.push(value);
                }
                Inbound::UserText { .. }
                | Inbound::Transcript { .. }
                | Inbound::RecogniserFailed { .. }
                | Inbound::Speech { .. }
                | Inbound::SynthesiserFailed { .. }
                | Inbound::ToolResult { .. }
                | Inbound::JournalLost { .. }
                | Inbound::HangUp { .. }
                | Inbound::Close { .. }
                | Inbound::Interrupt { .. }
                | Inbound::Track { .. }
                | Inbound::Speaking { .. }
                | Inbound::Attributes { .. }
                | Inbound::Metadata { .. }
                | Inbound::Data { .. }
                | Inbound::Quality { .. }
                | Inbound::Digit { .. }
                | Inbound::Request { .. }
                | Inbound::Line { .. }
                | Inbound::Custom { .. }
                | Inbound::Fact { .. }
                | Inbound::Model { .. }
                | Inbound::ModelEnd { .. }
                | Inbound::ModelFailed { .. }
                | Inbound::Native { .. }
                | Inbound::Strain { .. }
                | Inbound::Reload { .. } => input.inbound.push(value),
            }
        }
        self.given.inbound = values;
        self.inlets.pull(input);
    }

    fn take(&mut self, now: Tick, out: &Output) {
        self.edge.take(now, out);
    }
}
