//! The run: sessions come, too many of them, and go.
//!
//! How many make how much is measured as they come; a step names the share of the thread of ticks that it aims at.

use std::sync::{Arc, Mutex, PoisonError};

use hdrhistogram::Histogram;

use super::figures::{Gap, Run, Step};
use super::probe::{Probe, Record, histogram};
use crate::cli::bench::density::{Callers, Calls, Depth, Pattern, Stage as Course, Stages};
use crate::cli::bench::pacing::Busy;
use crate::cli::failure::Failure;
use crate::host::codec::OutletOptions;
use crate::host::overload::{Look, Lookout, Stage, Thresholds};
use crate::host::pace::{Class, Clock, Moment, pause};
use crate::host::shard::Shard;
use crate::host::watchdog::Standing;
use crate::record::{Format, Meters};
use crate::web::scrape::Page;

/// The first sessions, of which each one's share is measured.
const FIRST: usize = 4;

/// Where in the pattern of talk sessions begin: so many places.
const PLACES: usize = 64;

/// How often the page of the meters is asked for, in milliseconds: by ten scrapers of a second each.
const PAGE_MS: u32 = 100;

/// How long it may take until the process is calm again, in milliseconds: three stages of 3 s, and relapses.
const CALM_MS: u64 = 60_000;

/// Sessions that ask to come in a step in which there is no room.
const ASKING: usize = 5;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) seconds: u32,
    pub(super) burn: usize,
    pub(super) ordinary: bool,
    pub(super) most: usize,
}

/// Who comes in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whence {
    /// Those that ask, and are refused where there is no room.
    Asking,
    /// Those that were on their way: nobody is asked any more.
    UnderWay,
    /// Nobody: some go.
    Leaving,
}

/// The steps: their name, the share that they aim at, and who comes.
const STEPS: [(&str, f64, Whence); 9] = [
    ("first", 0.0, Whence::Asking),
    ("some", 0.35, Whence::Asking),
    ("more", 0.6, Whence::Asking),
    ("come", 1.0, Whence::Asking),
    ("under way", 0.84, Whence::UnderWay),
    ("too many", 0.95, Whence::UnderWay),
    ("far too many", 1.25, Whence::UnderWay),
    ("fewer", 0.6, Whence::Leaving),
    ("few", 0.3, Whence::Leaving),
];

/// What the lookout has told, with the moment.
#[derive(Default)]
struct Told {
    stages: Vec<(u64, &'static str)>,
    gaps: Vec<Gap>,
    /// What the thread of ticks had waited at the last look, and in the time before it.
    waited_ns: u64,
    before_ns: u64,
}

pub(super) struct Ramp {
    setting: Setting,
    calls: Calls,
    pattern: Arc<Pattern>,
    record: Record,
    meters: Arc<Meters>,
    page: Page,
    course: Stages,
    callers: Callers,
    told: Arc<Mutex<Told>>,
    /// Dropped before the thread that it looks at.
    lookout: Lookout,
    shard: Shard,
    sessions: usize,
    /// The numbers that were given.
    given: usize,
}

impl Ramp {
    pub(super) fn start(setting: Setting) -> Result<Self, Failure> {
        let options = OutletOptions::default();
        let calls = Calls::new(Depth::Media, setting.most, options)?;
        let pattern = Pattern::new(calls.plan().rate, 1.0, options).map_err(Failure::broken)?;
        let pattern = Arc::new(pattern);
        let class = if setting.ordinary { Class::Normal } else { Class::RealTime };
        let no_thread = |why| Failure::broken(format!("no thread: {why}"));
        let shard = Shard::start(class).map_err(no_thread)?;
        let course = Stages::default();
        let callers = Callers::start(Arc::clone(&pattern), course.clone())?;
        let record = Record::new();
        let meters = Arc::new(Meters::new());
        let told = Arc::new(Mutex::new(Told::default()));
        let (clock, into, of) = (Clock::default(), Arc::clone(&told), record.clone());
        let begun = clock.now();
        let lookout = Lookout::start(
            vec![Arc::clone(shard.beat())],
            Thresholds::default(),
            class,
            meters.place().clone(),
            move |look| note(&into, look, clock.now().since_ns(begun), of.waited_ns()),
        );
        let lookout = lookout.map_err(no_thread)?;
        let page = Page::new(Arc::clone(&meters));
        Ok(Self {
            setting,
            calls,
            pattern,
            record,
            meters,
            page,
            course,
            callers,
            told,
            lookout,
            shard,
            sessions: 0,
            given: 0,
        })
    }

    pub(super) fn run(mut self) -> Result<Run, Failure> {
        let real_time = self.shard.class() == Standing::RealTime;
        let mut steps = Vec::new();
        let mut share_of_one = 0.0;
        let mut burn = None;
        for (name, share, whence) in STEPS {
            let is_too_much = matches!(name, "too many" | "far too many");
            burn = match (burn.take(), is_too_much) {
                (None, true) => Some(Busy::start(self.setting.burn)?),
                (burn, true) => burn,
                (_, false) => None,
            };
            let wanted = match share_of_one > 0.0 {
                true => (share / share_of_one).round() as usize,
                false => FIRST,
            };
            let wanted = wanted.clamp(FIRST, self.setting.most);
            let step = self.step(name, wanted, whence)?;
            // As they are with others beside them; a thread without a processor tells nothing.
            if matches!(name, "first" | "some" | "more" | "come") && self.sessions > 0 {
                share_of_one = step.share / self.sessions as f64;
            }
            steps.push(step);
        }
        drop(burn);
        let Self { record, course, callers, told, lookout, shard, .. } = self;
        let demotions = shard.demotions();
        drop(lookout);
        course.set(Course::Over);
        record.keep(0);
        callers.counts()?;
        shard.stop();
        let seen = record.lock();
        if let Some(why) = &seen.panicked {
            return Err(Failure::broken(format!("a session panicked: {why}")));
        }
        let staying = steps.last().map_or(0, |step| step.sessions);
        let whole = seen.ended.iter().filter(|(number, whole, ..)| *number < staying && *whole);
        let strained_ticks = whole.clone().map(|(_, _, ticks, _)| *ticks).collect();
        let episodes = whole.map(|(.., episodes)| *episodes).max().unwrap_or(0);
        let told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
        let Told { stages, gaps, .. } = told;
        let burn = self.setting.burn;
        Ok(Run { real_time, demotions, burn, steps, stages, gaps, strained_ticks, episodes })
    }

    /// So many sessions are wanted; what happens then.
    fn step(&mut self, name: &'static str, wanted: usize, whence: Whence) -> Result<Step, Failure> {
        let clock = Clock::default();
        let begun = clock.now();
        let span_ns = u64::from(self.setting.seconds) * 1_000_000_000;
        let shed_before = self.meters.place().shed();
        let skipped_before = self.record.skipped();
        let mut refused = 0;
        if whence == Whence::Leaving {
            self.sessions = self.sessions.min(wanted);
            self.record.keep(self.sessions);
        }
        // They come during the first half, and the second is measured.
        let coming = wanted.saturating_sub(self.sessions);
        let asking = if whence == Whence::UnderWay { ASKING } else { 0 };
        let mut arrivals = 0;
        let (mut half, mut paged) = (None, begun);
        loop {
            let now = clock.now();
            let since_ns = now.since_ns(begun);
            let due = (coming + asking) as u64 * since_ns.min(span_ns / 2) / (span_ns / 2);
            while arrivals < due {
                arrivals += 1;
                let asks = whence == Whence::Asking || arrivals <= asking as u64;
                if asks && !self.meters.place().admits() {
                    refused += 1;
                } else if !asks || whence == Whence::Asking {
                    self.admit()?;
                }
            }
            if half.is_none() && since_ns >= span_ns / 2 {
                self.taken();
                half = Some((now, self.shard.busy_ns(), self.record.waited_ns()));
            }
            if now >= paged {
                paged = paged.after_ns(u64::from(PAGE_MS) * 1_000_000);
                drop(self.page.text(Format::Prometheus));
            }
            if since_ns >= span_ns && self.may_end(name, begun, now) {
                break;
            }
            pause(10);
        }
        let (from, busy, waited) = half.unwrap_or((begun, 0, 0));
        let span = clock.now().since_ns(from).max(1) as f64;
        let lateness = self.taken();
        let us = |share: f64| lateness.value_at_quantile(share) as f64 / 1e3;
        Ok(Step {
            name,
            sessions: self.sessions,
            share: (self.shard.busy_ns() - busy) as f64 / span,
            p50_us: us(0.5),
            p99_us: us(0.99),
            max_us: us(1.0),
            stage: self.meters.place().stage().name(),
            refused,
            shed: self.meters.place().shed() - shed_before,
            strained: self.meters.strained(),
            skipped: self.record.skipped() - skipped_before,
            waited: (self.record.waited_ns() - waited) as f64 / span,
        })
    }

    /// Whether a step is over that has lasted long enough: the last one waits until everything is back.
    fn may_end(&self, name: &str, begun: Moment, now: Moment) -> bool {
        let is_calm = self.meters.place().stage() == Stage::Calm && self.meters.strained() == 0;
        name != "few" || is_calm || now.since_ns(begun) / 1_000_000 >= CALM_MS
    }

    /// How late ticks were since somebody took it. The lock is held for a moment: the thread of ticks wants it.
    fn taken(&self) -> Histogram<u32> {
        let mut fresh = histogram();
        std::mem::swap(&mut self.record.lock().lateness, &mut fresh);
        fresh
    }

    fn admit(&mut self) -> Result<(), Failure> {
        let number = self.given;
        let (slot, trunk) = self.calls.call(number)?;
        let probe = Probe::new(&self.record, &self.meters, number);
        let begin = self.pattern.begin(number % PLACES, PLACES);
        let admitted = self.shard.admit(slot, Box::new(probe))
            && trunk.is_none_or(|trunk| self.callers.add(trunk, begin));
        if !admitted {
            return Err(Failure::broken("the sessions' thread takes nobody in"));
        }
        self.given += 1;
        self.sessions += 1;
        Ok(())
    }
}

/// Notes what a look has found.
fn note(told: &Mutex<Told>, look: &Look, since_ns: u64, waited_ns: u64) {
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    let ms = since_ns / 1_000_000;
    let waited = waited_ns.saturating_sub(told.waited_ns);
    let both_ns = waited + std::mem::replace(&mut told.before_ns, waited);
    told.waited_ns = waited_ns;
    if told.stages.is_empty() {
        told.stages.push((0, look.before.name()));
    }
    if look.signs.skipped > 0 {
        told.gaps.push(Gap {
            ms,
            skipped: look.signs.skipped,
            stage: look.before.name(),
            waited_ms: both_ns / 1_000_000,
        });
    }
    if look.stage != look.before {
        told.stages.push((ms, look.stage.name()));
    }
}
