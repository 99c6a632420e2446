//! The echo agent: it says back what it hears, sample by sample.
//!
//! The simplest agent that has audio both ways: what it returns shows the delay and the loss of
//! everything around it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Samples on their way back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Echo {
    line: VecDeque<i16>,
}

impl Echo {
    /// An echo `delay` samples later than the next tick; ticks have `tick` samples.
    #[must_use]
    pub fn new(delay: usize, tick: usize) -> Self {
        let mut line = VecDeque::with_capacity(delay + 2 * tick);
        line.extend(std::iter::repeat_n(0, delay));
        Self { line }
    }

    /// Hears a tick of audio, and fills the tick that is played now.
    pub fn reflect(&mut self, heard: &[i16], out: &mut [i16]) {
        self.line.extend(heard);
        for sample in out {
            *sample = self.line.pop_front().unwrap_or(0);
        }
    }
}
