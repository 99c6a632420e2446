//! How much a session holds, beside how much it may.

use super::Session;
use super::plan::Plan;
use crate::talk::floor::PARTS_MAX;

/// One thing of which a session holds several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// What it is.
    pub what: &'static str,
    /// How many there are.
    pub count: usize,
    /// How many there may be.
    pub limit: usize,
}

impl Session {
    /// Everything that is bounded, between two ticks. No count is ever beyond its limit: whoever tests
    /// an agent may watch that.
    #[must_use]
    pub fn held(&self, plan: &Plan) -> [Held; 10] {
        let limits = &plan.limits;
        let held = |what, count, limit| Held { what, count, limit };
        let lanes = self.lanes.iter();
        let awaited = lanes.clone().map(|lane| lane.awaited().len()).max().unwrap_or(0);
        let frames = lanes.map(|lane| lane.order().len()).max().unwrap_or(0);
        let room = self.lanes.first().map_or(0, |lane| lane.order().capacity());
        [
            held("lanes", self.lanes.len(), limits.lanes),
            held("frames of a lane", frames, room),
            held("awaited utterances of a lane", awaited, limits.utterances),
            held("items", self.playout.held().max(self.speaking.len()), limits.items),
            held("calls", self.pending.len(), limits.calls),
            held("outcomes", self.answered.len(), limits.calls),
            held("requests", self.requests.len(), limits.requests),
            held("facts", self.facts.len(), limits.facts),
            held("entries of the transcript", self.transcript.iter().count(), limits.transcript),
            held("parts of a turn", self.floor.parts(), PARTS_MAX),
        ]
    }
}
