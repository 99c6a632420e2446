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

/// The same of the network's thread.
const NETWORK_OF_ONE: f64 = 0.003;

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
    /// Of each thread of ticks: how long it had worked then, and its share.
    shards: Vec<(u64, f64)>,
    /// The same of the network's thread.
    network: (u64, f64),
    /// Sessions whose work is in the shares: who has come since is felt little by little.
    felt: f64,
}

impl Gauge {
    /// Looks at how long each thread has worked. The first look tells nothing yet.
    pub fn look(&mut self, now: Moment, shards_ns: &[u64], network_ns: u64, sessions: usize) {
        let span = self.looked.map_or(0, |looked| now.since_ns(looked));
        self.looked = Some(now);
        if self.shards.len() != shards_ns.len() || span == 0 {
            self.shards = shards_ns.iter().map(|&busy| (busy, 0.0)).collect();
            self.network = (network_ns, 0.0);
            return;
        }
        let weight = 1.0 - (-(span as f64) / SETTLING_NS).exp();
        let follow = |(before, share): &mut (u64, f64), busy: u64| {
            let worked = busy.saturating_sub(std::mem::replace(before, busy));
            *share += weight * (worked as f64 / span as f64 - *share);
        };
        self.shards.iter_mut().zip(shards_ns).for_each(|(shard, &busy)| follow(shard, busy));
        follow(&mut self.network, network_ns);
        self.felt += weight * (sessions as f64 - self.felt);
    }

    /// The share of the busiest thread, with what so many sessions will take in the end.
    #[must_use]
    pub fn share(&self, sessions: usize) -> f64 {
        let unfelt = (sessions as f64 - self.felt).max(0.0);
        // Of less than a session nothing can be said.
        let of_one = |share: f64, least: f64| {
            if self.felt >= 1.0 { (share / self.felt).max(least / 4.0) } else { least }
        };
        let all: f64 = self.shards.iter().map(|(_, share)| share).sum();
        let busiest = self.shards.iter().map(|(_, share)| *share).fold(0.0, f64::max);
        let shards = self.shards.len().max(1) as f64;
        let ticks = busiest + unfelt * of_one(all, SHARE_OF_ONE) / shards;
        let network = self.network.1 + unfelt * of_one(self.network.1, NETWORK_OF_ONE);
        ticks.max(network)
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
            gauge.look(begun.after_ns(half_second * 500_000_000), &[worked, worked], 0, 40);
            // A fifth of each half second.
            worked += 100_000_000;
        }
        let steady = gauge.share(40);
        assert!((steady - 0.2).abs() < 0.01, "{steady}");
        let doubled = gauge.share(80);
        assert!((doubled - 0.4).abs() < 0.02, "each of two shards gets half of them: {doubled}");
        // The network's thread has them all.
        for half_second in 40..80_u64 {
            let ns = half_second * 100_000_000;
            gauge.look(begun.after_ns(half_second * 500_000_000), &[worked, worked], ns, 40);
        }
        let doubled = gauge.share(80);
        assert!((doubled - 0.4).abs() < 0.02, "{doubled}");
        assert!(Gauge::default().share(60) >= 0.6 - 1e-9, "nothing is known yet");
        // Nothing is left of those who have gone.
        for half_second in 80..160_u64 {
            gauge.look(begun.after_ns(half_second * 500_000_000), &[worked, worked], worked, 0);
        }
        assert!(gauge.share(50) >= 0.2, "{}", gauge.share(50));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_less_than_there_is() {
        let (used, most) = (memory(), memory_max());
        assert!(used > 1 << 20 && used < most, "{used} of {most}");
    }
}
