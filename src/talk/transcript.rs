//! What was said, by whom and when, as far as it was heard.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::clock::Tick;
use crate::id::{AgentId, LaneId};

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Speaker {
    /// A participant.
    User(LaneId),
    /// An agent.
    Agent(AgentId),
}

/// One thing that was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Who.
    pub speaker: Speaker,
    /// What: of an agent, the part that was played.
    pub text: String,
    /// The tick in which it began.
    pub from: Tick,
    /// The tick after which it was over.
    pub to: Tick,
    /// It ended before it was complete.
    pub interrupted: bool,
}

/// The talk so far, oldest first; beyond its bound the oldest are dropped.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Transcript {
    said: VecDeque<Said>,
    bound: usize,
    dropped: u64,
}

impl Transcript {
    /// An empty transcript that keeps the latest `bound`.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self { said: VecDeque::new(), bound: bound.max(1), dropped: 0 }
    }

    /// Appends what was said.
    pub fn push(&mut self, said: Said) {
        if self.said.len() == self.bound {
            self.said.pop_front();
            self.dropped += 1;
        }
        self.said.push_back(said);
    }

    /// What was said, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Said> {
        self.said.iter()
    }

    /// How much was dropped at the old end.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}
