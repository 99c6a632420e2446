//! `antiphon bench rooms`: what is left of rooms that were joined and left.
//!
//! Each has a session on a shard, the media connection and its sockets, as in a call. What a process holds is
//! read from the system, not from an allocator.

use std::process::ExitCode;

use crossbeam_channel::Receiver;
use serde_json::json;

use super::guest::{House, plan, until};
use super::process::Process;
use super::server::ServerArgs;
use crate::cli::failure::Failure;
use crate::cli::view::line;
use crate::host::pace::Clock;
use crate::livekit::edge::RoomEdge;
use crate::livekit::room::{News, Stamp};
use crate::slot::Edge;

/// Rooms that are joined before the first look: what is made once is there then.
const WARM_UP: usize = 20;

/// Rooms a look at the memory.
const LOOK: usize = 10;

/// Joins rooms and leaves them, and says what is left in the process.
///
/// One room after the other is joined with a session, waits until audio can flow, and is left. The slope of the
/// memory is a least-squares line over the second half; descriptors and threads are counted before the first and after
/// the last. The server is one of its own unless one is named.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon bench rooms
  antiphon bench rooms --count 100 --json

Exit codes: 0 measured, 1 a room failed, 2 it cannot be measured.")]
pub(super) struct RoomsArgs {
    /// Rooms to join and leave
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    count: u32,
    /// An object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

const PLAN: &str =
    "name: rooms\ncall: { alone_ms: 0 }\nturn: { away_ms: 0 }\nagents: { echo: { kind: echo } }\n";

pub(super) fn rooms(args: &RoomsArgs) -> Result<ExitCode, Failure> {
    if held().is_none() {
        return Err(Failure::input(
            "this system does not say what a process holds: it needs Linux's /proc",
        ));
    }
    let plan = plan(PLAN)?;
    let house = House::new(args.server.server()?)?;
    let clock = Clock::default();
    let visit = |at: usize| -> Result<(), Failure> {
        let plain = |edge: RoomEdge, _: &Receiver<Stamp>| Box::new(edge) as Box<dyn Edge>;
        let agent = house.agent(&plan, &format!("bench-{at}"), false, plain)?;
        until(&agent.room, |news| matches!(news, News::Path(_)))?;
        agent.leave()
    };
    (0..WARM_UP).try_for_each(visit)?;
    let before = held().unwrap_or_default();
    let begun = clock.now();
    let mut looks = Vec::new();
    let count = args.count as usize;
    for at in 0..count {
        visit(WARM_UP + at)?;
        if (at + 1) % LOOK == 0 || at + 1 == count {
            looks.push((at as f64, held().unwrap_or_default().memory_kib as f64));
        }
    }
    let seconds = clock.now().since_ns(begun) as f64 / 1e9;
    let after = held().unwrap_or_default();
    let slope = slope(&looks[looks.len() / 2..]);
    if args.json {
        line(json!({
            "rooms": count, "seconds": seconds, "slope_kib_a_room": slope,
            "memory_kib": [before.memory_kib, after.memory_kib],
            "descriptors": [before.descriptors, after.descriptors],
            "threads": [before.threads, after.threads],
        }));
    } else {
        line(format_args!(
            "{count} rooms joined and left in {seconds:.0} s, {:.1} ms each\n\
             memory {:.1} MiB before, {:.1} MiB after; slope over the second half {slope:.3} KiB a room\n\
             descriptors {} before, {} after; threads {} before, {} after",
            seconds * 1e3 / count as f64,
            before.memory_kib as f64 / 1_024.0,
            after.memory_kib as f64 / 1_024.0,
            before.descriptors,
            after.descriptors,
            before.threads,
            after.threads,
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// What the process holds.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    memory_kib: u64,
    descriptors: usize,
    threads: usize,
}

/// None where the system does not say.
fn held() -> Option<Held> {
    let memory_kib = Process::this().memory_kib()?;
    let count = |path: &str| std::fs::read_dir(path).ok().map(Iterator::count);
    Some(Held {
        memory_kib,
        descriptors: count("/proc/self/fd")?,
        threads: count("/proc/self/task")?,
    })
}

/// The slope of a line through points, by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / n, y + point.1 / n));
    let (over, under) = points.iter().fold((0.0, 0.0), |(over, under), point| {
        (over + (point.0 - x) * (point.1 - y), under + (point.0 - x) * (point.0 - x))
    });
    if under > 0.0 { over / under } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_that_of_the_line() {
        let points: Vec<_> = (0..10).map(|n| (f64::from(n), 3.0 + 0.5 * f64::from(n))).collect();
        assert!((slope(&points) - 0.5).abs() < 1e-9);
        assert!(slope(&points[..1]).abs() < 1e-9);
    }
}
