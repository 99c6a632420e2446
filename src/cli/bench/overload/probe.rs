//! Looks on while sessions run: how late each tick is, and for how long each session did less.

use std::fs::{read_link, read_to_string};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;

use crate::host::shard::{Measured, Watch};
use crate::record::{Meters, SessionMeter, Timing};
use crate::session::event::EventKind;
use crate::slot::{Slot, Status};

/// The longest lateness that is told apart, in nanoseconds: a minute.
const NS_MAX: u64 = 60_000_000_000;

/// What was seen.
pub(super) struct Seen {
    /// From the deadline to the tick, in nanoseconds, since somebody took it.
    pub(super) lateness: Histogram<u32>,
    pub(super) skipped: u64,
    /// Of each session that has ended: whether it was there before any did less, for how many ticks it did, and how often.
    pub(super) ended: Vec<(usize, bool, u64, u64)>,
    /// Where Linux tells of the thread of ticks.
    thread: Option<PathBuf>,
    /// Some session has done less.
    strained: bool,
    /// What a session panicked with.
    pub(super) panicked: Option<String>,
}

/// Shared by the sessions of the shard; all are on its thread.
#[derive(Clone)]
pub(super) struct Record {
    seen: Arc<Mutex<Seen>>,
    /// Sessions of this number and above hang up.
    most: Arc<AtomicUsize>,
}

/// A new histogram.
pub(super) fn histogram() -> Histogram<u32> {
    Histogram::new_with_bounds(1, NS_MAX, 3).expect("bounds in order")
}

impl Record {
    pub(super) fn new() -> Self {
        let seen = Seen {
            lateness: histogram(),
            skipped: 0,
            ended: Vec::new(),
            thread: None,
            strained: false,
            panicked: None,
        };
        Self { seen: Arc::new(Mutex::new(seen)), most: Arc::new(AtomicUsize::new(usize::MAX)) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ticks that were jumped over.
    pub(super) fn skipped(&self) -> u64 {
        self.lock().skipped
    }

    /// Only so many stay.
    pub(super) fn keep(&self, sessions: usize) {
        self.most.store(sessions, Ordering::Release);
    }

    /// For how long the thread of ticks was ready and had no processor, in nanoseconds; 0 where the system does not say.
    pub(super) fn waited_ns(&self) -> u64 {
        let Some(thread) = self.lock().thread.clone() else { return 0 };
        let counts = read_to_string(thread.join("schedstat")).unwrap_or_default();
        counts.split_whitespace().nth(1).and_then(|ns| ns.parse().ok()).unwrap_or(0)
    }
}

/// Looks on at one session.
pub(super) struct Probe {
    record: Record,
    meter: Option<SessionMeter>,
    number: usize,
    /// It was there before any did less.
    whole: Option<bool>,
    /// Ticks for which it did less, and how often it was told to.
    strained: u64,
    episodes: u64,
}

impl Probe {
    pub(super) fn new(record: &Record, meters: &Arc<Meters>, number: usize) -> Self {
        let (record, meter) = (record.clone(), Some(SessionMeter::begin(meters)));
        Self { record, meter, number, whole: None, strained: 0, episodes: 0 }
    }
}

impl Watch for Probe {
    fn ticked(&mut self, slot: &mut Slot, measured: Measured) -> bool {
        let Measured { lateness_ns, wake_ns: _, step_ns, skipped, excess: _ } = measured;
        let Some(now) = slot.done() else { return false };
        let timing = Timing { lateness_ns: Some(lateness_ns), step_ns, skipped };
        if let Some(meter) = &mut self.meter {
            meter.tick(slot.plan(), now, slot.output(), timing);
        }
        let mut seen = self.record.lock();
        if seen.thread.is_none() {
            seen.thread =
                read_link("/proc/thread-self").ok().map(|to| PathBuf::from("/proc").join(to));
        }
        seen.lateness.saturating_record(lateness_ns.max(1));
        seen.skipped += u64::from(skipped);
        seen.strained |= slot.output().strained;
        self.whole.get_or_insert(!seen.strained);
        drop(seen);
        for event in &slot.output().events {
            match event.kind {
                EventKind::SessionStrained { .. } => self.episodes += 1,
                EventKind::SessionRelieved { after_ticks } => self.strained += after_ticks,
                _ => {}
            }
        }
        slot.output_mut().spent.clear();
        self.number < self.record.most.load(Ordering::Acquire)
    }

    fn ended(&mut self, slot: Slot, status: Status) {
        drop(slot);
        self.meter = None;
        let mut seen = self.record.lock();
        let whole = self.whole == Some(true);
        seen.ended.push((self.number, whole, self.strained, self.episodes));
        if let Status::Panicked(why) = status {
            seen.panicked.get_or_insert(why);
        }
    }
}
