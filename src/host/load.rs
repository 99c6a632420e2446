//! How much a process has taken on, beside how much it may.
//!
//! Three things are limited: sessions, the share of a tick's time that a shard (or the network's thread)
//! works, and memory. The load is the largest of their shares; at 1 the process is full.
//!
//! **Invariant:** what was taken on and is not felt yet counts as if it were.

use super::pace::Moment;

/// How much of its time a thread may work: LiveKit's own workers take no more jobs beyond this, since
/// sessions do not all work at the same moment.
pub const SHARE_MAX: f64 = 0.7;

/// What a session is taken to need while nothing is known, as a share of a thread: a call with two-way speech
/// through Opus, on a machine of today.
const SHARE_OF_ONE: f64 = 0.01;

/// How fast the shares follow, in nanoseconds: a moment's load is not the load.
const SETTLING_NS: f64 = 2e9;

/// Limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Sessions at most.
    pub sessions: usize,
    /// The share of its time that a thread works at most: above 0, to 1.
    pub share: f64,
    /// Memory at most, in bytes.
    pub memory: u64,
}

/// What has been taken on.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Sessions, those on their way included.
    pub sessions: usize,
    /// The share of its time that the busiest thread works.
    pub share: f64,
    /// Memory, in bytes; 0 where the system does not say.
    pub memory: u64,
}

impl Load {
    /// The largest share of a limit: from 0, and 1 or more when the process is full.
    #[must_use]
    pub fn of(&self, limits: &Limits) -> f64 {
        let part = |used: f64, limit: f64| if limit > 0.0 { used / limit } else { 1.0 };
        let sessions = part(self.sessions as f64, limits.sessions as f64);
        let memory = part(self.memory as f64, limits.memory as f64);
        sessions.max(memory).max(part(self.share, limits.share))
    }
}

/// Follows how busy threads are.
#[derive(Debug, Default)]
pub struct Gauge {
    looked: Option<Moment>,
    /// Of each thread: how long it had worked then, and its share.
    threads: Vec<(u64, f64)>,
    /// Sessions whose work is in the shares.
    felt: usize,
}

impl Gauge {
    /// Looks at how long each thread has worked. The first look tells nothing yet.
    pub fn look(&mut self, now: Moment, busy_ns: &[u64], sessions: usize) {
        let span = self.looked.map_or(0, |looked| now.since_ns(looked));
        self.looked = Some(now);
        if self.threads.len() != busy_ns.len() || span == 0 {
            self.threads = busy_ns.iter().map(|&busy| (busy, 0.0)).collect();
            return;
        }
        let weight = 1.0 - (-(span as f64) / SETTLING_NS).exp();
        for ((before, share), &busy) in self.threads.iter_mut().zip(busy_ns) {
            let worked = busy.saturating_sub(std::mem::replace(before, busy));
            *share += weight * (worked as f64 / span as f64 - *share);
        }
        // Who has come since is felt little by little, and counts in full until then.
        let felt = self.felt as f64;
        self.felt = (felt + weight * (sessions as f64 - felt)).round() as usize;
    }

    /// The share of the busiest thread, with what so many sessions will take in the end.
    #[must_use]
    pub fn share(&self, sessions: usize) -> f64 {
        let busiest = self.threads.iter().map(|(_, share)| *share).fold(0.0, f64::max);
        let of_one = if self.felt > 0 { busiest / self.felt as f64 } else { SHARE_OF_ONE };
        let unfelt = sessions.saturating_sub(self.felt);
        // Those to come are spread over the threads that step them; one of them is the network's.
        let spread = self.threads.len().saturating_sub(1).max(1);
        busiest + unfelt as f64 * of_one.max(SHARE_OF_ONE / 4.0) / spread as f64
    }
}

/// The memory of this process, in bytes; 0 where the system does not say.
#[must_use]
pub fn memory() -> u64 {
    os::memory()
}

/// The memory that there is for this process, in bytes; `u64::MAX` where the system does not say.
#[must_use]
pub fn memory_max() -> u64 {
    os::memory_max()
}

#[cfg(target_os = "linux")]
mod os {
    use std::fs::read_to_string;

    /// Bytes of a page: what Linux has on every machine that this is made for.
    const PAGE: u64 = 4_096;

    pub(super) fn memory() -> u64 {
        let statm = read_to_string("/proc/self/statm").unwrap_or_default();
        let resident = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
        resident.unwrap_or(0) * PAGE
    }

    pub(super) fn memory_max() -> u64 {
        let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        let limits = group.iter().filter_map(|path| read_to_string(path).ok());
        let of_group = limits.filter_map(|text| text.trim().parse::<u64>().ok()).min();
        let meminfo = read_to_string("/proc/meminfo").unwrap_or_default();
        let of_machine = meminfo.lines().find_map(|line| {
            let kilobytes = line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?;
            kilobytes.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1_024)
        });
        of_group.unwrap_or(u64::MAX).min(of_machine.unwrap_or(u64::MAX))
    }
}

#[cfg(not(target_os = "linux"))]
mod os {
    pub(super) const fn memory() -> u64 {
        0
    }

    pub(super) const fn memory_max() -> u64 {
        u64::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::pace::Clock;

    const LIMITS: Limits = Limits { sessions: 100, share: 0.7, memory: 1_000_000 };

    #[test]
    fn the_load_is_the_largest_share_of_a_limit() {
        let load = |sessions, share, memory| Load { sessions, share, memory }.of(&LIMITS);
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}");
        close(load(50, 0.07, 0), 0.5);
        close(load(1, 0.35, 0), 0.5);
        close(load(1, 0.0, 900_000), 0.9);
        close(load(100, 0.0, 0), 1.0);
        let none = Limits { sessions: 0, ..LIMITS };
        assert!(Load::default().of(&none) >= 1.0, "a worker for no sessions is full");
    }

    #[test]
    fn shares_follow_and_who_has_just_come_counts_in_full() {
        let begun = Clock::default().now();
        let mut gauge = Gauge::default();
        let mut worked = 0;
        for half_second in 0..40_u64 {
            gauge.look(begun.after_ns(half_second * 500_000_000), &[worked, 0], 20);
            // A fifth of each half second.
            worked += 100_000_000;
        }
        let steady = gauge.share(20);
        assert!((steady - 0.2).abs() < 0.01, "{steady}");
        let doubled = gauge.share(40);
        assert!((doubled - 0.4).abs() < 0.02, "{doubled}");
        assert!(Gauge::default().share(60) >= 0.6 - 1e-9, "nothing is known yet");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_less_than_there_is() {
        let (used, most) = (memory(), memory_max());
        assert!(used > 1 << 20 && used < most, "{used} of {most}");
    }
}
