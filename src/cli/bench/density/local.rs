//! The depths of one process: a shard with sessions, participants on a thread of their own.

use std::sync::Arc;

use super::callers::{Callers, Counts};
use super::calls::Calls;
use super::codec::{Bare, Cost};
use super::figures::{Figures, Lateness, Memory, Packets};
use super::pattern::Pattern;
use super::probe::{Probe, Record};
use super::stage::{Stage, Stages};
use super::{Depth, Setting};
use crate::cli::bench::process::Process;
use crate::cli::failure::Failure;
use crate::host::pace::{Class, Clock, pause};
use crate::host::shard::Shard;
use crate::host::watchdog::{Standing, ThreadClock};
use crate::record::Meters;
use crate::session::laps::Phase;

/// The first sessions: what they leave behind serves every other, and is not counted as theirs.
const FIRST: usize = 8;

/// How long sessions warm up, in milliseconds: longer than an echo's delay, and than the longest clip.
const WARM_UP_MS: u32 = 2_000;

/// The time of bare Opus, before and after, as a part of the sessions' time.
const BARE_PART: u32 = 4;

/// Ticks a second.
const TICKS_A_SECOND: u32 = 50;

/// Measures so many sessions.
pub(super) fn measure(setting: &Setting) -> Result<Figures, Failure> {
    let Setting { depth, sessions, talk, seconds, options, .. } = *setting;
    let count = sessions as usize;
    let calls = Calls::new(depth, count, options)?;
    let rate = calls.plan().rate;
    let pattern = Pattern::new(rate, talk, options).map_err(Failure::broken)?;
    let pattern = Arc::new(pattern);
    let mut bare = match depth {
        Depth::Bare => None,
        _ => Some(Bare::new(count, &pattern, rate, options)?),
    };
    let bare_ticks = u64::from((seconds * TICKS_A_SECOND / BARE_PART).max(TICKS_A_SECOND));
    // Both are made before, so that what they free is not what sessions take.
    let record = Record::new();
    let stages = Stages::default();
    let meters = Arc::new(Meters::new());
    let mut costs = Vec::new();
    costs.extend(bare.as_mut().map(|bare| bare.run(bare_ticks)).transpose()?);

    let shard = Shard::start(Class::RealTime)
        .map_err(|why| Failure::broken(format!("no thread for the sessions: {why}")))?;
    let real_time = shard.class() == Standing::RealTime;
    let callers = Callers::start(Arc::clone(&pattern), stages.clone())?;
    let tick_ns = u64::from(calls.plan().len.ms()) * 1_000_000;
    let process = Process::this();
    let base_kib = process.memory_kib();
    let admit = |at: usize| -> Result<(), Failure> {
        let (slot, trunk) = calls.call(at)?;
        let probe = Probe::new(&record, &stages, &meters, tick_ns);
        let admitted = shard.admit(slot, Box::new(probe))
            && trunk.is_none_or(|trunk| callers.add(trunk, pattern.begin(at, count)));
        if admitted { Ok(()) } else { Err(Failure::broken("the sessions' thread is gone")) }
    };
    let first = FIRST.min(count);
    (0..first).try_for_each(admit)?;
    pause(WARM_UP_MS);
    let first_kib = process.memory_kib();
    (first..count).try_for_each(admit)?;
    pause(WARM_UP_MS);

    let clock = Clock::default();
    let thread = record.lock().clock.unwrap_or_else(ThreadClock::this);
    let (begun, cpu_begun) = (clock.now(), thread.busy_ns());
    stages.set(Stage::Measure);
    pause(seconds * 1_000);
    let (cpu_ns, wall_ns) = (thread.busy_ns() - cpu_begun, clock.now().since_ns(begun));
    let all_kib = process.memory_kib();
    stages.set(Stage::Over);
    let counts = callers.counts()?;
    let demotions = shard.demotions();
    shard.stop();
    costs.extend(bare.as_mut().map(|bare| bare.run(bare_ticks)).transpose()?);

    let seen = record.lock();
    if let Some(why) = &seen.panicked {
        return Err(Failure::broken(format!("a session panicked: {why}")));
    }
    let steps = seen.steps.max(1) as f64;
    let Counts { decoded, encoded, sent, lost } = counts;
    // What was jumped over nobody heard, where somebody listens.
    let unheard = if sent > 0 { seen.skipped } else { 0 };
    let of_bare = |cost: &Cost| cost.of(decoded, encoded) / steps / 1e3;
    let us = |share: f64| seen.lateness.value_at_quantile(share) as f64 / 1e3;
    Ok(Figures {
        depth: depth.name().to_owned(),
        sessions,
        talk,
        seconds,
        complexity: options.complexity as u8,
        real_time,
        demotions,
        cpu_us: cpu_ns as f64 / steps / 1e3,
        cores: cpu_ns as f64 / wall_ns as f64,
        bare_us: match costs.as_slice() {
            [before, after] => Some([of_bare(before), of_bare(after)]),
            _ => None,
        },
        memory: base_kib.map(|base_kib| Memory {
            base_kib,
            session_kib: first_kib.zip(all_kib).filter(|_| count > first).map(
                |(first_kib, all)| all.saturating_sub(first_kib) as f64 / (count - first) as f64,
            ),
        }),
        lateness: Lateness {
            p50_us: us(0.5),
            p99_us: us(0.99),
            p999_us: us(0.999),
            max_us: us(1.0),
            late: seen.late,
            skipped: seen.skipped,
        },
        phases_us: Phase::ALL
            .iter()
            .zip(seen.phases_ns)
            .map(|(phase, ns)| (phase.name().to_owned(), ns as f64 / steps / 1e3))
            .collect(),
        ticks: seen.steps,
        turns: seen.turns,
        packets: Packets { decoded, encoded, sent: sent + unheard, lost: lost + unheard },
        ..Figures::default()
    })
}
