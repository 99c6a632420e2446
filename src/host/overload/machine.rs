//! The stages as a state machine: signs in, a stage out. It knows no clock but the number of looks.
//!
//! Up it goes quickly, since whoever waits for seconds has lost them: a few looks in a row that ask for more, and then a
//! stage with each look. Down it goes slowly, a stage a time, after seconds of looks that would be content with less by a
//! margin; and slower each time that going down was a mistake.
//!
//! **Invariant:** a look moves it by one stage at most; signs that waver about a threshold move it once.

use super::Stage;

/// Looks in a row that have to ask for more: with a look each 100 ms, 300 ms, so that one long step is no overload.
const ASKING: u32 = 3;

/// Looks in a row that have to be content with less: 3 s, longer than the shares of the load take to settle (2 s), so that
/// what was let go is felt before more is.
const CONTENT: u32 = 30;

/// Whoever comes back up within so many looks of going down waits twice as long the next time: 30 s.
const RELAPSE: u32 = 300;

/// So many times longer at most: 24 s.
const PATIENCE_MAX: u32 = 8;

/// By how much less a share has to be for a stage to be left: a tenth of the time, which is ten sessions of a hundredth; or
/// half of it, where it is less than two of those.
const MARGIN: f64 = 0.1;

/// Of which share of ticks that are half a tick late each stage is entered. 999 of 1000 ticks begin less than a tick late
/// where all is well (docs/density.md); one of twenty that is half as late is far from that, and one of five is on its way
/// to the three ticks that are made up for, after which audio has a gap. Each is left at half of it.
const LATE: [f64; 3] = [0.05, 0.1, 0.2];

/// How much longer than it should an ordinary thread sleeps when the first two stages are entered, in nanoseconds: threads
/// that share a core take turns of some milliseconds, and a person sees a page that comes 100 ms later. It is no reason for
/// strain: a session that does less gives an ordinary thread little. Each is left at half of it.
const DELAY_NS: [u64; 2] = [50_000_000, 100_000_000];

/// What one look has found, of the time since the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Signs {
    /// The share of its time that the busiest thread of ticks has worked.
    pub worked: f64,
    /// The share of ticks that began half a tick late or later, of the thread with the most.
    pub late: f64,
    /// Ticks that were jumped over.
    pub skipped: u64,
    /// How much longer than it should an ordinary thread has slept at most, in nanoseconds.
    pub delay_ns: u64,
}

/// Of which share of its time a thread of ticks works when each stage is entered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    worked: [f64; 3],
}

impl Thresholds {
    /// From the share at which no more sessions are admitted: the others divide what is left into thirds. With 0.7 they
    /// are 0.8, from where on the [watchdog](crate::host::watchdog) takes the real-time class from a thread, and 0.9.
    #[must_use]
    pub fn from_full(full: f64) -> Self {
        let full = full.clamp(0.0, 1.0);
        let left = 1.0 - full;
        Self { worked: [full, full + left / 3.0, full + left * 2.0 / 3.0] }
    }

    /// The shares, from the first stage on.
    #[must_use]
    pub const fn worked(&self) -> [f64; 3] {
        self.worked
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self::from_full(crate::host::load::SHARE_MAX)
    }
}

impl Signs {
    /// The stage that they ask for; `leaving`: the one that they would keep.
    fn stage(&self, thresholds: &Thresholds, leaving: bool) -> Stage {
        let part = if leaving { 0.5 } else { 1.0 };
        let reached = |at: usize| {
            let share = thresholds.worked[at];
            let share = if leaving { (share - MARGIN).max(share * part) } else { share };
            let delay = DELAY_NS.get(at).map_or(f64::INFINITY, |ns| *ns as f64 * part);
            self.skipped > 0
                || self.worked >= share
                || self.late >= LATE[at] * part
                || self.delay_ns as f64 >= delay
        };
        match (reached(2), reached(1), reached(0)) {
            (true, ..) => Stage::Strained,
            (_, true, _) => Stage::Sparing,
            (.., true) => Stage::Full,
            _ => Stage::Calm,
        }
    }
}

/// The machine.
#[derive(Debug, Clone)]
pub struct Machine {
    thresholds: Thresholds,
    stage: Stage,
    /// Looks in a row that ask for more.
    asking: u32,
    /// Looks in a row that would be content with less.
    content: u32,
    /// Looks since it went down last.
    since_down: u32,
    /// How many times as long it waits before it goes down.
    patience: u32,
}

impl Machine {
    /// Calm.
    #[must_use]
    pub const fn new(thresholds: Thresholds) -> Self {
        let stage = Stage::Calm;
        Self { thresholds, stage, asking: 0, content: 0, since_down: RELAPSE, patience: 1 }
    }

    /// The stage.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// A look: the stage from now on.
    pub fn look(&mut self, signs: &Signs) -> Stage {
        self.since_down = self.since_down.saturating_add(1);
        if self.stage == Stage::Calm && self.since_down >= RELAPSE {
            self.patience = 1;
        }
        let asked = signs.stage(&self.thresholds, false);
        if asked > self.stage {
            self.content = 0;
            self.asking += 1;
            // A gap is proof.
            if self.asking >= ASKING || signs.skipped > 0 {
                if self.since_down < RELAPSE {
                    self.patience = (self.patience * 2).min(PATIENCE_MAX);
                    self.since_down = RELAPSE;
                }
                self.stage = self.stage.up();
                if self.stage == asked {
                    self.asking = 0;
                }
            }
            return self.stage;
        }
        self.asking = 0;
        if signs.stage(&self.thresholds, true) >= self.stage {
            self.content = 0;
            return self.stage;
        }
        self.content += 1;
        if self.content >= CONTENT * self.patience {
            self.content = 0;
            self.since_down = 0;
            self.stage = self.stage.down();
        }
        self.stage
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn working(worked: f64) -> Signs {
        Signs { worked, ..Signs::default() }
    }

    fn machine() -> Machine {
        Machine::new(Thresholds::default())
    }

    /// After how many looks like this it is in a stage.
    fn looks_until(machine: &mut Machine, signs: Signs, stage: Stage) -> u32 {
        (1..10_000).find(|_| machine.look(&signs) == stage).expect("it comes there")
    }

    #[test]
    fn it_goes_up_within_some_hundred_milliseconds_and_down_within_seconds() {
        let mut machine = machine();
        assert_eq!(looks_until(&mut machine, working(0.75), Stage::Full), 3);
        assert_eq!(looks_until(&mut machine, working(0.95), Stage::Strained), 4);
        assert_eq!(looks_until(&mut machine, working(0.1), Stage::Sparing), 30);
        assert_eq!(looks_until(&mut machine, working(0.1), Stage::Full), 30);
        assert_eq!(looks_until(&mut machine, working(0.1), Stage::Calm), 30);
    }

    #[test]
    fn the_thresholds_are_what_is_said_of_them() {
        let shares = Thresholds::default().worked();
        for (found, expected) in shares.iter().zip([0.7, 0.8, 0.9]) {
            assert!((found - expected).abs() < 1e-9, "{found}");
        }
        assert_eq!(Thresholds::from_full(1.0).worked(), [1.0; 3]);
    }

    #[test]
    fn a_stage_is_left_however_low_its_threshold_is() {
        let mut machine = Machine::new(Thresholds::from_full(0.001));
        looks_until(&mut machine, working(0.02), Stage::Full);
        assert_eq!(looks_until(&mut machine, Signs::default(), Stage::Calm), 30);
    }

    #[test]
    fn one_long_step_is_no_overload_and_a_gap_is() {
        let mut machine = machine();
        for _ in 0..100 {
            machine.look(&working(1.0));
            machine.look(&working(1.0));
            assert_eq!(machine.look(&working(0.3)), Stage::Calm);
        }
        let gap = Signs { skipped: 1, ..working(0.2) };
        assert_eq!(machine.look(&gap), Stage::Full);
        assert_eq!(machine.look(&gap), Stage::Sparing);
        assert_eq!(machine.look(&gap), Stage::Strained);
    }

    #[test]
    fn signs_that_waver_about_a_threshold_move_it_once() {
        for (about, stage) in [(0.7, Stage::Full), (0.8, Stage::Sparing), (0.9, Stage::Strained)] {
            let mut machine = machine();
            let mut moves = 0;
            let mut seed = Seed::new(1);
            for _ in 0..10_000 {
                let before = machine.stage();
                let noise = (seed.next_u64() % 1_000) as f64 / 1_000.0 - 0.5;
                machine.look(&working(about + noise * 0.15));
                moves += u32::from(machine.stage() != before);
            }
            assert_eq!((machine.stage(), moves), (stage, stage as u32), "about {about}");
        }
    }

    #[test]
    fn an_ordinary_thread_that_waits_is_no_reason_for_strain() {
        let mut machine = machine();
        let starved = Signs { delay_ns: 2_000_000_000, ..working(0.2) };
        for _ in 0..100 {
            machine.look(&starved);
        }
        assert_eq!(machine.stage(), Stage::Sparing);
        let late = Signs { late: 0.3, ..starved };
        assert_eq!(looks_until(&mut machine, late, Stage::Strained), 3);
    }

    #[test]
    fn who_comes_back_at_once_waits_longer_the_next_time() {
        let mut machine = machine();
        let mut waits = Vec::new();
        for _ in 0..6 {
            looks_until(&mut machine, working(0.75), Stage::Full);
            waits.push(looks_until(&mut machine, working(0.2), Stage::Calm));
        }
        assert_eq!(waits, [30, 60, 120, 240, 240, 240]);
        for _ in 0..400 {
            machine.look(&working(0.2));
        }
        looks_until(&mut machine, working(0.75), Stage::Full);
        assert_eq!(looks_until(&mut machine, working(0.2), Stage::Calm), 30, "it is forgiven");
    }

    #[test]
    fn whatever_the_signs_are_no_stage_is_left_out_and_none_is_left_soon() {
        for seed in 0..200 {
            let mut seed = Seed::new(seed);
            let mut machine = machine();
            let mut since_change = 0;
            let mut signs = Signs::default();
            for _ in 0..2_000 {
                let draw = |seed: &mut Seed, of: u64| seed.next_u64() % of;
                if draw(&mut seed, 8) == 0 {
                    signs = Signs {
                        worked: draw(&mut seed, 120) as f64 / 100.0,
                        late: draw(&mut seed, 40) as f64 / 100.0,
                        skipped: u64::from(draw(&mut seed, 20) == 0),
                        delay_ns: draw(&mut seed, 200_000_000),
                    };
                }
                let before = machine.stage();
                let after = machine.look(&signs);
                since_change += 1;
                assert!((before as i32 - after as i32).abs() <= 1, "{before} to {after}");
                if after < before {
                    assert!(since_change >= CONTENT, "{before} to {after} after {since_change}");
                }
                if after != before {
                    since_change = 0;
                }
            }
        }
    }
}
