//! What the threads of the real-time class together take of a core.
//!
//! Each alone may be fair and all of them too much: two that take half of the same core leave nobody anything of
//! it. So each core has a debt as each thread has: what is taken of it beyond four fifths. At the same debt the one
//! of its threads that took most of late is demoted, and the core begins anew: if that was not enough, the next
//! one follows.
//!
//! A thread counts for the core on which it ran last. One that moves counts now for the one core and now for the
//! other, and no core for more than there is of it: what is fair on each does not become too much by moving.

use super::conduct::{DEBT_NS_MAX, FAIR_PERCENT};

/// Cores that are told apart: Linux's own limit is of this order. What runs on others is watched thread by thread.
pub(super) const CORES: usize = 1_024;

/// What a thread of the real-time class took between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// Where it ran last.
    pub(super) core: usize,
    pub(super) spent_ns: u64,
    /// What it took of late: the less the longer ago.
    pub(super) recent_ns: u64,
}

/// The debts of the cores.
#[derive(Debug)]
pub(super) struct Cores {
    debts_ns: [u64; CORES],
}

impl Default for Cores {
    fn default() -> Self {
        Self { debts_ns: [0; CORES] }
    }
}

impl Cores {
    /// Another look, `wall_ns` after the last: the seats whose threads are to be demoted, one a core at most.
    pub(super) fn look<const SEATS: usize>(
        &mut self,
        wall_ns: u64,
        shares: &[Option<Share>; SEATS],
    ) -> [bool; SEATS] {
        let mut taken_ns = [0; CORES];
        for share in shares.iter().flatten() {
            if let Some(taken_ns) = taken_ns.get_mut(share.core) {
                *taken_ns += share.spent_ns;
            }
        }
        let mut demoted = [false; SEATS];
        for (core, (debt_ns, taken_ns)) in self.debts_ns.iter_mut().zip(taken_ns).enumerate() {
            let fair_ns = wall_ns * FAIR_PERCENT / 100;
            *debt_ns = (*debt_ns + taken_ns.min(wall_ns)).saturating_sub(fair_ns);
            if *debt_ns < DEBT_NS_MAX {
                continue;
            }
            *debt_ns = 0;
            let here =
                shares.iter().enumerate().filter_map(|(seat, share)| Some((seat, (*share)?)));
            let most = here
                .filter(|(_, share)| share.core == core)
                .max_by_key(|(_, share)| share.recent_ns);
            if let Some((seat, _)) = most {
                demoted[seat] = true;
            }
        }
        demoted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK_NS: u64 = super::super::LOOK_MS * 1_000_000;

    /// So many percent on a core.
    fn share(core: usize, percent: u64) -> Option<Share> {
        let spent_ns = LOOK_NS * percent / 100;
        Some(Share { core, spent_ns, recent_ns: 2 * spent_ns })
    }

    /// The look, counted from 1, at which somebody is demoted, and who.
    fn first_demoted<const SEATS: usize>(
        looks: impl IntoIterator<Item = [Option<Share>; SEATS]>,
    ) -> Option<(usize, [bool; SEATS])> {
        let mut cores = Cores::default();
        let demoted = looks.into_iter().map(|shares| cores.look(LOOK_NS, &shares));
        demoted
            .enumerate()
            .find(|(_, demoted)| demoted.contains(&true))
            .map(|(at, of)| (at + 1, of))
    }

    fn constant<T: Clone>(shares: T) -> impl Iterator<Item = T> {
        std::iter::repeat_n(shares, 10_000)
    }

    #[test]
    fn two_that_share_a_core_and_leave_nothing_of_it_lose_the_greedier() {
        let found = first_demoted(constant([share(0, 45), share(3, 55), share(3, 45)]));
        assert_eq!(found, Some((5, [false, true, false])));
        // Linux's own limit leaves a twentieth.
        let found = first_demoted(constant([share(0, 47), share(0, 48)]));
        assert_eq!(found, Some((7, [false, true])));
    }

    #[test]
    fn a_core_of_its_own_for_each_is_fair() {
        assert_eq!(first_demoted(constant([share(0, 75), share(1, 75)])), None);
        assert_eq!(first_demoted(constant([share(5, 40), share(5, 40)])), None);
        assert_eq!(first_demoted(constant([None, share(0, 80), None])), None);
    }

    #[test]
    fn threads_that_move_are_not_too_much_by_moving() {
        // Both were last seen on the same core, in turns: a core is not taken more than whole.
        let together = |core| [share(core, 75), share(core, 75)];
        let looks = [together(0), together(1)].into_iter().cycle().take(10_000);
        assert_eq!(first_demoted(looks), None);
    }

    #[test]
    fn many_small_ones_are_demoted_until_a_fifth_is_left() {
        let mut cores = Cores::default();
        let mut shares = [share(0, 25); 4];
        for _ in 0..1_000 {
            let demoted = cores.look(LOOK_NS, &shares);
            for (share, demoted) in shares.iter_mut().zip(demoted) {
                *share = share.filter(|_| !demoted);
            }
        }
        assert_eq!(shares.iter().flatten().count(), 3, "three quarters are fair");
    }

    #[test]
    fn a_core_that_is_not_told_apart_is_nobodys() {
        assert_eq!(first_demoted(constant([share(CORES, 50), share(CORES, 50)])), None);
    }
}
