//! Where the time of an echo goes between two datagrams.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::Receiver;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::clock::Tick;
use crate::host::pace::{Clock, Moment};
use crate::livekit::edge::RoomEdge;
use crate::livekit::room::Stamp;
use crate::session::input::{Inbound, Input};
use crate::session::output::Output;
use crate::slot::Edge;

/// The stages, in the order in which audio passes them.
const NAMES: [&str; 6] = [
    "receive: datagram read → session's ring",
    "wait for the next tick",
    "reorder: held back by whole ticks",
    "decode and step",
    "encode",
    "send: end of the tick → socket",
];

const RECEIVE: usize = 0;
const WAIT: usize = 1;
const REORDER: usize = 2;
const STEP: usize = 3;
const ENCODE: usize = 4;
const SEND: usize = 5;

/// A tick of the bench, in nanoseconds.
const TICK_NS: u64 = 20_000_000;

/// The longest stage that is told apart, in nanoseconds.
const LONGEST_NS: u64 = 10_000_000_000;

/// How long each stage took.
pub(super) struct Stages([Histogram<u64>; 6]);

impl Default for Stages {
    fn default() -> Self {
        let empty =
            || Histogram::new_with_max(LONGEST_NS, 3).expect("the bounds are those of a histogram");
        Self(std::array::from_fn(|_| empty()))
    }
}

impl Stages {
    fn note(&mut self, stage: usize, ns: u64) {
        self.0[stage].saturating_record(ns);
    }

    /// The stages as objects, in microseconds.
    pub(super) fn figures(&self) -> Value {
        let stages = NAMES.iter().zip(&self.0).map(|(name, times)| {
            let at = |share| times.value_at_quantile(share) as f64 / 1e3;
            json!({ "stage": name, "p50": at(0.5), "p99": at(0.99), "count": times.len() })
        });
        stages.collect()
    }
}

/// An edge of a room that notes how long things take, by a clock that only a bench has.
pub(super) struct Timed {
    edge: RoomEdge,
    stamps: Receiver<Stamp>,
    stages: Arc<Mutex<Stages>>,
    clock: Clock,
    /// When packets came that were not given to the session yet.
    waiting: VecDeque<Moment>,
    given: Moment,
    /// The ends of ticks whose packets were not sent yet.
    encoded: VecDeque<Moment>,
}

impl Timed {
    pub(super) fn new(edge: RoomEdge, stamps: Receiver<Stamp>, stages: Arc<Mutex<Stages>>) -> Self {
        let clock = Clock::default();
        let given = clock.now();
        let (waiting, encoded) = (VecDeque::new(), VecDeque::new());
        Self { edge, stamps, stages, clock, waiting, given, encoded }
    }
}

impl Edge for Timed {
    fn give(&mut self, now: Tick, input: &mut Input) {
        self.given = self.clock.now();
        self.edge.give(now, input);
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        for stamp in self.stamps.try_iter() {
            match stamp {
                Stamp::Came { read, kept } => {
                    stages.note(RECEIVE, kept.since_ns(read));
                    self.waiting.push_back(kept);
                }
                Stamp::Sent(at) => {
                    if let Some(end) = self.encoded.pop_front() {
                        stages.note(SEND, at.since_ns(end));
                    }
                }
            }
        }
        let frames =
            input.inbound.iter().filter(|value| matches!(value, Inbound::Audio { .. })).count();
        for _ in 0..frames {
            // One that was made up had no packet.
            let Some(kept) = self.waiting.pop_front() else { break };
            let waited = self.given.since_ns(kept);
            stages.note(WAIT, waited % TICK_NS);
            stages.note(REORDER, waited / TICK_NS * TICK_NS);
        }
    }

    fn take(&mut self, now: Tick, out: &Output) {
        let stepped = self.clock.now();
        self.edge.take(now, out);
        let end = self.clock.now();
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        stages.note(STEP, stepped.since_ns(self.given));
        stages.note(ENCODE, end.since_ns(stepped));
        if out.audio.iter().any(|sample| *sample != 0) {
            self.encoded.push_back(end);
        }
    }
}
