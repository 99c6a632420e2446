//! Lives through many simulated hours of random calls under invariants, and watches the memory.
//!
//! `make soak` runs it for 1,000 hours. `ANTIPHON_HOURS` sets how many, `ANTIPHON_SEED` the first seed,
//! `ANTIPHON_CASES` how many seeds instead of hours. It exits with 1 if anything failed, or if the
//! memory grew.

#![expect(clippy::disallowed_methods, reason = "it tells how long the simulated hours took")]

#[path = "../tests/soak/mod.rs"]
mod soak;

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use soak::{Totals, number};

/// Simulated hours.
const HOURS: u64 = 1_000;

/// The memory may grow by so much in a simulated hour: about 100 calls, of which one that leaked 1 KiB
/// each would be seen.
const SLOPE_MAX: f64 = 100.0 * 1_024.0;

/// Fewer hours than these after the warm-up show little but the allocator, which keeps what the largest
/// calls so far have needed: steps of ten MiB up and down.
const HOURS_MEASURED_MIN: f64 = 400.0;

/// The resident memory of the process after so many hours.
struct Sample {
    hours: f64,
    bytes: f64,
}

fn again(seed: u64) -> String {
    format!("ANTIPHON_SEED={seed} ANTIPHON_CASES=1 cargo run --release --example soak")
}

fn main() -> ExitCode {
    let (first, cases) = (number("ANTIPHON_SEED").unwrap_or(1), number("ANTIPHON_CASES"));
    let hours = number("ANTIPHON_HOURS").unwrap_or(HOURS);
    let (start, mut told) = (Instant::now(), Instant::now());
    let mut samples: Vec<Sample> = Vec::new();
    let totals = soak::soak(first, again, |totals| {
        if samples.last().is_none_or(|last| totals.hours() >= last.hours + 0.5) {
            samples.extend(resident().map(|bytes| Sample { hours: totals.hours(), bytes }));
        }
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            progress(totals, &samples, start.elapsed());
        }
        let enough = cases.map_or(totals.ms >= hours * 3_600_000, |cases| {
            totals.worlds + totals.failures.len() as u64 >= cases
        });
        if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    report(&totals, start.elapsed());
    let grows = memory(&samples);
    for failure in &totals.failures {
        println!("\n{failure}");
    }
    if totals.failures.is_empty() && !grows { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn progress(totals: &Totals, samples: &[Sample], took: Duration) {
    let mib = samples.last().map_or(0.0, |sample| sample.bytes / 1_048_576.0);
    println!(
        "{:>7.1} h  {:>7} worlds  {:>5.0} × real time  {mib:>6.1} MiB  {} failures",
        totals.hours(),
        totals.worlds,
        totals.hours() * 3_600.0 / took.as_secs_f64(),
        totals.failures.len(),
    );
}

fn report(totals: &Totals, took: Duration) {
    println!("\nevents");
    for (name, count) in &totals.events {
        println!("  {name:<26} {count:>12}");
    }
    println!("faults");
    for (fault, count) in &totals.faults {
        println!("  {:<26} {count:>12}", fault.name());
    }
    println!(
        "\n{} worlds, {:.1} simulated hours in {:.0} s: {:.0} × real time; {} failures",
        totals.worlds,
        totals.hours(),
        took.as_secs_f64(),
        totals.hours() * 3_600.0 / took.as_secs_f64(),
        totals.failures.len(),
    );
}

/// Tells how the memory went; whether it grew beyond what is bearable.
fn memory(samples: &[Sample]) -> bool {
    let Some(peak) = samples.iter().map(|sample| sample.bytes).reduce(f64::max) else {
        println!("resident memory: unknown on this system");
        return false;
    };
    let steps = (samples.len() / 10).max(1);
    for sample in samples.iter().step_by(steps) {
        println!("  after {:>7.1} h {:>8.2} MiB", sample.hours, sample.bytes / 1_048_576.0);
    }
    // The first fifth is warm-up: threads, tables, the allocator's arenas.
    let measured = &samples[samples.len() / 5..];
    let span = measured.last().map_or(0.0, |last| last.hours - measured[0].hours);
    let slope = slope(measured);
    println!("resident memory: peak {:.1} MiB", peak / 1_048_576.0);
    println!(
        "slope after warm-up: {:+.1} KiB a simulated hour, over {span:.0} h (at most {:.0})",
        slope / 1_024.0,
        SLOPE_MAX / 1_024.0,
    );
    if span < HOURS_MEASURED_MIN {
        println!("not judged: fewer than {HOURS_MEASURED_MIN:.0} h after warm-up");
        return false;
    }
    slope > SLOPE_MAX
}

/// Bytes an hour, by least squares.
fn slope(samples: &[Sample]) -> f64 {
    let count = samples.len().max(1) as f64;
    let mean = |of: fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (hours, bytes) = (mean(|sample| sample.hours), mean(|sample| sample.bytes));
    let (both, square) = samples.iter().fold((0.0, 0.0), |(both, square), sample| {
        let at = sample.hours - hours;
        (both + at * (sample.bytes - bytes), square + at * at)
    });
    if square > 0.0 { both / square } else { 0.0 }
}

/// The resident memory of this process, where the system tells it in `/proc`.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1_024.0)
}
