//! How a thread of the real-time class behaves, and what follows from it.
//!
//! What a thread takes of its core beyond four fifths is a debt, and what it leaves of them pays it back. At
//! 100 ms of debt it is demoted: one that spins is there after half a second, one that takes nine tenths after
//! a whole, one that takes four fifths never, since a fifth of a core is enough to log in and stop it. Linux's own
//! limit lets all others have a twentieth, and only after a second: too little to work with, and while it holds,
//! sessions do not step.
//!
//! A demoted thread returns when it has left half of its core for ten seconds: a tool that spun once should not
//! cost the calls of the next weeks their class, and one that always does takes half a second in ten, no
//! more than the kernel would have let it have.

/// What a thread may take of a core in the long run, in percent.
pub(super) const FAIR_PERCENT: u64 = 80;

/// The debt at which it is demoted: that of half a second of spinning, half as long as Linux waits.
pub(super) const DEBT_NS_MAX: u64 = 100_000_000;

/// What a demoted thread may take to be calm, in percent.
const CALM_PERCENT: u64 = 50;

/// How long it has to be calm until it returns.
const CALM_NS: u64 = 10_000_000_000;

/// What is to be done with a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Stays,
    /// It goes to the ordinary class.
    Demote,
    /// It returns to the real-time class.
    Promote,
}

/// How a thread has behaved so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conduct {
    /// In the real-time class, with so much debt.
    RealTime { debt_ns: u64 },
    /// Demoted, and calm for so long.
    Demoted { calm_ns: u64 },
}

impl Default for Conduct {
    fn default() -> Self {
        Self::RealTime { debt_ns: 0 }
    }
}

impl Conduct {
    /// Another look: in the last `wall_ns` the thread ran for `spent_ns`.
    pub(super) fn look(&mut self, wall_ns: u64, spent_ns: u64) -> Verdict {
        let (conduct, verdict) = match *self {
            Self::RealTime { debt_ns } => {
                let debt_ns = (debt_ns + spent_ns).saturating_sub(wall_ns * FAIR_PERCENT / 100);
                if debt_ns >= DEBT_NS_MAX {
                    (Self::Demoted { calm_ns: 0 }, Verdict::Demote)
                } else {
                    (Self::RealTime { debt_ns }, Verdict::Stays)
                }
            }
            Self::Demoted { calm_ns } => {
                let is_calm = spent_ns <= wall_ns * CALM_PERCENT / 100;
                let calm_ns = if is_calm { calm_ns + wall_ns } else { 0 };
                if calm_ns >= CALM_NS {
                    (Self::default(), Verdict::Promote)
                } else {
                    (Self::Demoted { calm_ns }, Verdict::Stays)
                }
            }
        };
        *self = conduct;
        verdict
    }

    /// Demoted for what it took together with others.
    pub(super) const fn demote(&mut self) {
        *self = Self::Demoted { calm_ns: 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK_NS: u64 = super::super::LOOK_MS * 1_000_000;

    /// The look, counted from 1, at which a thread that takes so many percent is no longer as it was.
    fn look_of_change(conduct: &mut Conduct, percents: impl Iterator<Item = u64>) -> Option<usize> {
        let mut verdicts = percents.map(|percent| conduct.look(LOOK_NS, LOOK_NS * percent / 100));
        verdicts.position(|verdict| verdict != Verdict::Stays).map(|at| at + 1)
    }

    fn constant(percent: u64) -> impl Iterator<Item = u64> {
        std::iter::repeat_n(percent, 10_000)
    }

    #[test]
    fn one_that_spins_is_demoted_after_half_a_second() {
        for (percent, looks) in
            [(100, Some(5)), (95, Some(7)), (90, Some(10)), (80, None), (50, None)]
        {
            let mut conduct = Conduct::default();
            assert_eq!(look_of_change(&mut conduct, constant(percent)), looks, "{percent} %");
        }
    }

    #[test]
    fn a_short_burst_is_forgiven_and_paid_back() {
        // 400 ms of spinning, then two thirds of a second of a quarter of the core, again and again.
        let bursts = [100, 100, 100, 100, 25, 25, 25, 25, 25, 25, 25].into_iter().cycle();
        assert_eq!(look_of_change(&mut Conduct::default(), bursts.take(10_000)), None);
    }

    #[test]
    fn the_kernels_own_limit_does_not_hide_a_spinner() {
        // Linux takes 50 ms from it in one look of ten.
        let throttled = [50, 100, 100, 100, 100, 100, 100, 100, 100, 100].into_iter().cycle();
        let demoted = look_of_change(&mut Conduct::default(), throttled.take(10_000));
        assert!(demoted.is_some_and(|look| look <= 6), "{demoted:?}");
    }

    #[test]
    fn a_late_look_counts_for_what_it_covers() {
        let mut conduct = Conduct::default();
        assert_eq!(conduct.look(5 * LOOK_NS, 5 * LOOK_NS), Verdict::Demote);
        let mut conduct = Conduct::default();
        assert_eq!(conduct.look(100 * LOOK_NS, 50 * LOOK_NS), Verdict::Stays);
    }

    #[test]
    fn ten_calm_seconds_bring_it_back_and_a_relapse_begins_them_anew() {
        let mut conduct = Conduct::Demoted { calm_ns: 0 };
        let restless = std::iter::repeat_n(10, 99).chain([60]).chain(constant(10));
        assert_eq!(look_of_change(&mut conduct, restless), Some(200));
        assert_eq!(conduct, Conduct::default());
        assert_eq!(look_of_change(&mut conduct, constant(100)), Some(5), "it is watched as before");
    }

    #[test]
    fn one_that_spins_for_ever_stays_demoted() {
        let mut conduct = Conduct::Demoted { calm_ns: 0 };
        assert_eq!(look_of_change(&mut conduct, constant(100)), None);
    }
}
