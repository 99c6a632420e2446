//! A network between a caller and a session, with seeded faults.

use std::collections::VecDeque;

use crate::id::LaneId;
use crate::seed::Seed;
use crate::session::input::Input;

use super::weather::{Fault, Tally};

/// How bad a network is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Faults {
    /// Frames lost, in percent.
    pub loss_percent: f64,
    /// Frames doubled, in percent.
    pub duplicate_percent: f64,
    /// Frames delayed, in percent, by up to `delay_frames_max` frames.
    pub delay_percent: f64,
    /// The longest delay of a delayed frame, in frames.
    pub delay_frames_max: u64,
}

impl Faults {
    /// A network that delivers everything in time.
    pub const NONE: Self =
        Self { loss_percent: 0.0, duplicate_percent: 0.0, delay_percent: 0.0, delay_frames_max: 0 };
}

/// Frames on their way.
#[derive(Debug)]
pub struct Network {
    faults: Faults,
    seed: Seed,
    /// Frames sent so far: the network's time.
    sent: u64,
    tally: Tally,
    under_way: VecDeque<(u64, LaneId, u16, Vec<i16>)>,
}

impl Network {
    /// A network with these faults, drawn from this seed.
    #[must_use]
    pub fn new(faults: Faults, seed: Seed) -> Self {
        Self { faults, seed, sent: 0, tally: Tally::default(), under_way: VecDeque::new() }
    }

    /// Counts its faults there.
    #[must_use]
    pub fn counted(mut self, tally: Tally) -> Self {
        self.tally = tally;
        self
    }

    /// Sends a frame, and delivers what is due.
    pub fn send(&mut self, lane: LaneId, seq: u16, frame: &[i16], input: &mut Input) {
        self.sent += 1;
        let Faults { loss_percent, duplicate_percent, delay_percent, delay_frames_max } =
            self.faults;
        if self.faults == Faults::NONE {
            return input.audio(lane, seq, frame);
        }
        let copies = match (self.seed.chance(loss_percent), self.seed.chance(duplicate_percent)) {
            (true, _) => 0,
            (false, true) => 2,
            (false, false) => 1,
        };
        match copies {
            0 => self.tally.add(Fault::FrameLost),
            2 => self.tally.add(Fault::FrameDoubled),
            _ => {}
        }
        for _ in 0..copies {
            let late = self.seed.chance(delay_percent);
            if late {
                self.tally.add(Fault::FrameDelayed);
            }
            let delay = if late { 1 + self.seed.below(delay_frames_max.max(1)) } else { 0 };
            self.under_way.push_back((self.sent + delay, lane, seq, frame.to_vec()));
        }
        let sent = self.sent;
        self.under_way.retain(|(due, lane, seq, frame)| {
            let arrives = *due <= sent;
            if arrives {
                input.audio(*lane, *seq, frame);
            }
            !arrives
        });
    }
}
