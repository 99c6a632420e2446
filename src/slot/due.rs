//! Values on their way to a session in virtual time, each with the tick at which it arrives.
//!
//! **Invariant:** values arrive in the order of their ticks, and within a tick in that in which they were sent.

use std::collections::VecDeque;

use crate::clock::Tick;
use crate::session::input::{Inbound, Input};

/// What is on its way.
#[derive(Debug, Clone, Default)]
pub struct Due(VecDeque<(Tick, Inbound)>);

impl Due {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Sends a value.
    pub fn push(&mut self, at: Tick, value: Inbound) {
        let behind = self.0.partition_point(|(due, _)| *due <= at);
        self.0.insert(behind, (at, value));
    }

    /// Gives what has arrived by now.
    pub fn give(&mut self, now: Tick, input: &mut Input) {
        while self.0.front().is_some_and(|(due, _)| *due <= now) {
            input.inbound.extend(self.0.pop_front().map(|(_, value)| value));
        }
    }

    /// Takes out what would arrive from a tick on and is like this.
    pub fn cut(&mut self, from: Tick, mut unwanted: impl FnMut(&Inbound) -> bool) {
        self.0.retain(|(due, value)| *due < from || !unwanted(value));
    }

    /// Keeps only what somebody still wants.
    pub fn retain(&mut self, mut wanted: impl FnMut(&Inbound) -> bool) {
        self.0.retain(|(_, value)| wanted(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_later_may_arrive_first_and_in_its_tick_nothing_overtakes() {
        let mut due = Due::new();
        for (at, reason) in [(3, "c"), (1, "a"), (3, "d"), (2, "b")] {
            due.push(Tick(at), Inbound::HangUp { reason: reason.to_owned() });
        }
        due.retain(|value| !matches!(value, Inbound::HangUp { reason } if reason == "b"));
        let mut input = Input::default();
        due.give(Tick(2), &mut input);
        assert_eq!(input.inbound.len(), 1);
        due.give(Tick(3), &mut input);
        let reasons: Vec<_> = input.inbound.iter().map(|value| format!("{value:?}")).collect();
        assert!(reasons[1].contains("\"c\"") && reasons[2].contains("\"d\""), "{reasons:?}");
    }
}
