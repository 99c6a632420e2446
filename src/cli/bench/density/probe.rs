//! Looks on while sessions run on a shard: how late each tick is, and how many there are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;

use super::stage::{Stage, Stages};
use crate::cli::bench::talkers::drain;
use crate::host::laps::LapTimes;
use crate::host::pace::Clock;
use crate::host::shard::{Measured, Watch};
use crate::host::watchdog::ThreadClock;
use crate::record::{Meters, SessionMeter, Timing};
use crate::session::event::EventKind;
use crate::session::laps::Phase;
use crate::slot::{Slot, Status};

/// The longest lateness that is told apart, in nanoseconds: a minute.
const NS_MAX: u64 = 60_000_000_000;

/// What was seen.
pub(super) struct Seen {
    /// From the deadline to the step, in nanoseconds.
    pub(super) lateness: Histogram<u32>,
    pub(super) steps: u64,
    /// Ticks that began a tick or more late.
    pub(super) late: u64,
    pub(super) skipped: u64,
    /// Ticks in which the user's turn ended: something was said, and is answered.
    pub(super) turns: u64,
    /// How long each phase of a tick took, all together, in nanoseconds.
    pub(super) phases_ns: [u64; Phase::ALL.len()],
    /// The time of the thread of ticks.
    pub(super) clock: Option<ThreadClock>,
    /// What a session panicked with.
    pub(super) panicked: Option<String>,
}

/// Shared by the sessions of a shard: all are on its thread, so that nobody ever waits for it.
#[derive(Clone)]
pub(super) struct Record(Arc<Mutex<Seen>>);

impl Record {
    pub(super) fn new() -> Self {
        let mut lateness = Histogram::new_with_bounds(1, NS_MAX, 3).expect("bounds in order");
        // Written to, so that the system gives the memory before it is needed.
        lateness.clear();
        Self(Arc::new(Mutex::new(Seen {
            lateness,
            steps: 0,
            late: 0,
            skipped: 0,
            turns: 0,
            phases_ns: [0; Phase::ALL.len()],
            clock: None,
            panicked: None,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks on at one session.
pub(super) struct Probe {
    record: Record,
    stages: Stages,
    meter: SessionMeter,
    block: Vec<u8>,
    tick_ns: u64,
    laps: LapTimes,
}

impl Probe {
    pub(super) fn new(
        record: &Record,
        stages: &Stages,
        meters: &Arc<Meters>,
        tick_ns: u64,
    ) -> Self {
        Self {
            record: record.clone(),
            stages: stages.clone(),
            meter: SessionMeter::begin(meters),
            block: Vec::new(),
            tick_ns,
            laps: LapTimes::new(Clock::default()),
        }
    }
}

impl Watch for Probe {
    fn laps(&mut self) -> Option<&mut LapTimes> {
        Some(&mut self.laps)
    }

    fn ticked(&mut self, slot: &mut Slot, measured: Measured) -> bool {
        let Measured { lateness_ns, wake_ns: _, step_ns, skipped, excess: _ } = measured;
        let stage = self.stages.now();
        if let Some(now) = slot.done() {
            let timing = Timing { lateness_ns: Some(lateness_ns), step_ns, skipped };
            self.meter.tick(slot.plan(), now, slot.output(), timing);
        }
        let turns = slot
            .output()
            .events
            .iter()
            .filter(|event| matches!(event.kind, EventKind::UserMessage { .. }))
            .count();
        let mut seen = self.record.lock();
        if seen.clock.is_none() {
            seen.clock = Some(ThreadClock::this());
        }
        if stage == Stage::Measure {
            seen.lateness.saturating_record(lateness_ns.max(1));
            seen.steps += 1;
            seen.late += u64::from(lateness_ns >= self.tick_ns);
            seen.skipped += u64::from(skipped);
            seen.turns += turns as u64;
            for (sum, phase) in seen.phases_ns.iter_mut().zip(Phase::ALL) {
                *sum += self.laps.ns(phase);
            }
        }
        drop(seen);
        drain(slot, &mut self.block);
        slot.output_mut().spent.clear();
        stage != Stage::Over
    }

    fn ended(&mut self, slot: Slot, status: Status) {
        drop(slot);
        if let Status::Panicked(why) = status {
            self.record.lock().panicked.get_or_insert(why);
        }
    }
}
