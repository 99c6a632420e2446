//! The lookout: a thread that looks at the threads of ticks ten times a second, and says where the process stands.
//!
//! It is in the real-time class where that is permitted, so that it looks in time when it matters; whether ordinary threads
//! come to their turn another one finds out, which is one of them.
//!
//! **Invariant:** nothing that it looks at waits for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use super::{Beat, Machine, Place, Pulse, Signs, Stage, Thresholds};
use crate::host::pace::{Class, Clock, Moment, sharpen};
use crate::host::watchdog::enlist;

/// From look to look, in nanoseconds: five ticks of 20 ms, of which a shard makes up for three.
const LOOK_NS: u64 = 100_000_000;

/// For how long the ordinary thread sleeps, in nanoseconds: a tick.
const FEEL_NS: u64 = 20_000_000;

/// What a look has found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// The stage from now on.
    pub stage: Stage,
    /// The one before.
    pub before: Stage,
    /// Why.
    pub signs: Signs,
}

/// The lookout.
#[derive(Debug)]
pub struct Lookout {
    place: Place,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Lookout {
    /// Begins to look at these threads of ticks, in this class where it is permitted; `each` is called with every look, and
    /// must not take long.
    ///
    /// # Errors
    /// The system has no thread.
    pub fn start(
        beats: Vec<Arc<Beat>>,
        thresholds: Thresholds,
        wanted: Class,
        place: Place,
        each: impl FnMut(&Look) + Send + 'static,
    ) -> io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let delay_ns = Arc::new(AtomicU64::new(0));
        let mut lookout =
            Self { place: place.clone(), over: Arc::clone(&over), threads: Vec::new() };
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let (felt, ended) = (Arc::clone(&delay_ns), Arc::clone(&over));
        lookout.threads.push(thread("overload-feel").spawn(move || feel(&felt, &ended))?);
        lookout.threads.push(thread("overload").spawn(move || {
            sharpen();
            let _enlisted = match wanted {
                Class::RealTime => enlist(),
                Class::Normal => None,
            };
            watch(&beats, thresholds, &place, &delay_ns, &over, each);
        })?);
        Ok(lookout)
    }

    /// Where it says what it has found.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }
}

/// Ends within a look; then the process is calm.
impl Drop for Lookout {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// Finds out how much longer than it should an ordinary thread sleeps.
fn feel(delay_ns: &AtomicU64, over: &AtomicBool) {
    let clock = Clock::default();
    while !over.load(Ordering::Acquire) {
        let due = clock.now().after_ns(FEEL_NS);
        clock.sleep_until(due);
        delay_ns.fetch_max(clock.now().since_ns(due), Ordering::Relaxed);
    }
}

fn watch(
    beats: &[Arc<Beat>],
    thresholds: Thresholds,
    place: &Place,
    delay_ns: &AtomicU64,
    over: &AtomicBool,
    mut each: impl FnMut(&Look),
) {
    let clock = Clock::default();
    let mut machine = Machine::new(thresholds);
    let mut reading = Reading::begin(beats, clock.now());
    while !over.load(Ordering::Acquire) {
        clock.sleep_until(reading.at.after_ns(LOOK_NS));
        let signs = reading.go_on(beats, clock.now(), delay_ns.swap(0, Ordering::Relaxed));
        let before = machine.stage();
        let stage = machine.look(&signs);
        if stage != before {
            place.set(stage);
            beats.iter().for_each(|beat| beat.strain(stage == Stage::Strained));
        }
        each(&Look { stage, before, signs });
    }
    place.set(Stage::Calm);
    beats.iter().for_each(|beat| beat.strain(false));
}

/// How everything stood at the last look.
struct Reading {
    at: Moment,
    pulses: Vec<Pulse>,
}

impl Reading {
    fn begin(beats: &[Arc<Beat>], at: Moment) -> Self {
        Self { at, pulses: beats.iter().map(|beat| beat.pulse()).collect() }
    }

    /// What has happened since.
    fn go_on(&mut self, beats: &[Arc<Beat>], now: Moment, delay_ns: u64) -> Signs {
        let span = now.since_ns(self.at).max(1) as f64;
        self.at = now;
        let mut signs = Signs { delay_ns, ..Signs::default() };
        for (before, beat) in self.pulses.iter_mut().zip(beats) {
            let after = beat.pulse();
            let was = std::mem::replace(before, after);
            let ticks = after.ticks.saturating_sub(was.ticks);
            let late = after.late.saturating_sub(was.late);
            let worked = after.busy_ns.saturating_sub(was.busy_ns);
            // A step that takes longer than a look is felt at its end.
            signs.worked = signs.worked.max((worked as f64 / span).min(1.0));
            signs.late = signs.late.max(late as f64 / ticks.max(1) as f64);
            signs.skipped += after.skipped.saturating_sub(was.skipped);
        }
        signs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_those_of_the_busiest_thread_since_the_last_look() {
        let beats = [Arc::new(Beat::default()), Arc::new(Beat::default())];
        let begun = Clock::default().now();
        let mut reading = Reading::begin(&beats, begun);
        for at in 0..10 {
            beats[0].ticked(20_000_000, at * 2_000_000, 6_000_000, 0);
            beats[1].ticked(20_000_000, 0, 1_000_000, 0);
        }
        let signs = reading.go_on(&beats, begun.after_ns(LOOK_NS), 7);
        let expected = Signs { worked: 0.6, late: 0.5, skipped: 0, delay_ns: 7 };
        assert!((signs.worked - expected.worked).abs() < 1e-9, "{signs:?}");
        assert_eq!(Signs { worked: expected.worked, ..signs }, expected);
        beats[1].ticked(20_000_000, 90_000_000, 1_000_000, 4);
        let signs = reading.go_on(&beats, begun.after_ns(2 * LOOK_NS), 0);
        assert_eq!((signs.skipped, signs.late), (4, 1.0));
        assert_eq!(reading.go_on(&beats, begun.after_ns(3 * LOOK_NS), 0), Signs::default());
    }

    #[test]
    fn threads_that_do_not_come_to_their_ticks_put_sessions_under_strain_until_the_end() {
        let beat = Arc::new(Beat::default());
        let told = Arc::clone(&beat);
        let (tell, looks) = crossbeam_channel::bounded(64);
        let lookout = Lookout::start(
            vec![Arc::clone(&beat)],
            Thresholds::default(),
            Class::Normal,
            Place::default(),
            move |look| {
                // Each look finds a gap.
                told.ticked(20_000_000, 90_000_000, 1_000_000, 4);
                tell.try_send(*look).ok();
            },
        );
        let lookout = lookout.unwrap();
        let stages: Vec<Stage> = looks.iter().take(6).map(|look| look.stage).collect();
        assert!(stages.contains(&Stage::Strained), "{stages:?}");
        assert!(stages.windows(2).all(|two| two[1] as i32 - two[0] as i32 <= 1), "{stages:?}");
        assert!(beat.is_strained());
        assert!(lookout.place().sheds() && !lookout.place().admits());
        let place = lookout.place().clone();
        drop(lookout);
        assert!(place.admits() && !beat.is_strained());
    }
}
