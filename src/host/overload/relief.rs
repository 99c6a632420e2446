//! When a session is told of strain: at once when it comes, and spread over a second when it goes.
//!
//! **Invariant:** all sessions of a shard are told in the same order, and none is under strain for more than a second longer
//! than another that was there as long.

use crate::session::input::Inbound;
use crate::session::strain::EVERY_MAX;

/// How often a session under strain does what is no audio, in nanoseconds: people answer each other after some 200 ms, and
/// do not hear a half of that. With 20 ms, it is one of five ticks.
const WORK_NS: u64 = 100_000_000;

/// Over how long the relief of a shard's sessions is spread, in nanoseconds: all at once would ask, in the very tick in
/// which there is little time, for everything that was left out.
const SPREAD_NS: u64 = 1_000_000_000;

/// From one session to the next within the spread, in parts of it: near the golden ratio, so that neighbours are apart.
const STEP: u64 = 31;
const PARTS: u64 = 50;

/// What a session was told, and how long until it is told that it is over.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Relief {
    told: bool,
    left: Option<u64>,
}

impl Relief {
    /// What the session at this place of its shard is to be told before its next tick of so many nanoseconds, where
    /// sessions are to be under strain or not.
    pub(in super::super) fn tell(
        &mut self,
        strained: bool,
        at: usize,
        tick_ns: u64,
    ) -> Option<Inbound> {
        let at = at as u64;
        let tick_ns = tick_ns.max(1);
        match (strained, self.told) {
            (false, false) => None,
            (true, true) => {
                self.left = None;
                None
            }
            (true, false) => {
                self.told = true;
                let every = (WORK_NS / tick_ns).clamp(2, EVERY_MAX.into()) as u16;
                Some(Inbound::Strain { every, turn: (at % u64::from(every)) as u16 })
            }
            (false, true) => {
                let spread = SPREAD_NS / tick_ns;
                let left = self.left.get_or_insert(at * STEP % PARTS * spread / PARTS);
                if *left > 0 {
                    *left -= 1;
                    return None;
                }
                *self = Self::default();
                Some(Inbound::Strain { every: 1, turn: 0 })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK_NS: u64 = 20_000_000;

    #[test]
    fn strain_comes_at_once_and_relief_is_spread() {
        let mut all = [Relief::default(); 100];
        for (at, one) in all.iter_mut().enumerate() {
            assert_eq!(one.tell(false, at, TICK_NS), None);
            let turn = (at % 5) as u16;
            assert_eq!(one.tell(true, at, TICK_NS), Some(Inbound::Strain { every: 5, turn }));
            assert_eq!(one.tell(true, at, TICK_NS), None);
        }
        let mut relieved = [0; 100];
        for _ in 0..50 {
            let told = all.iter_mut().enumerate();
            let told = told.filter_map(|(at, one)| one.tell(false, at, TICK_NS).map(|_| at));
            let told: Vec<usize> = told.collect();
            assert!(told.len() <= 2, "{told:?}");
            told.into_iter().for_each(|at| relieved[at] += 1);
        }
        assert_eq!(relieved, [1; 100], "each once, within a second");
    }

    #[test]
    fn strain_that_comes_back_keeps_those_that_were_not_relieved() {
        let mut one = Relief::default();
        assert!(one.tell(true, 1, TICK_NS).is_some());
        assert_eq!(one.tell(false, 1, TICK_NS), None, "later");
        assert_eq!(one.tell(true, 1, TICK_NS), None, "it is under strain");
        let told = (0..50).filter_map(|_| one.tell(false, 1, TICK_NS)).count();
        assert_eq!(told, 1);
    }
}
