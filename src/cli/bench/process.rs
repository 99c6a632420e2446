//! What a process holds, and what its threads have taken of the processors: read from the system.
//!
//! Nothing of it is there where the system does not say, which is elsewhere than on Linux.

#[cfg(feature = "livekit")]
use std::collections::BTreeMap;
use std::fs::read_to_string;

/// A process, of which Linux says something under this name.
#[derive(Debug, Clone)]
pub(super) struct Process(String);

impl Process {
    /// This one.
    pub(super) fn this() -> Self {
        Self("self".to_owned())
    }

    /// One of this number.
    #[cfg(feature = "livekit")]
    pub(super) fn of(number: u32) -> Self {
        Self(number.to_string())
    }

    /// What it holds.
    pub(super) fn memory_kib(&self) -> Option<u64> {
        let status = read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// Nanoseconds of processors, by the names of its threads.
    #[cfg(feature = "livekit")]
    pub(super) fn threads_ns(&self) -> BTreeMap<String, u64> {
        let mut threads = BTreeMap::new();
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.0));
        for task in tasks.into_iter().flatten().flatten() {
            let read = |file: &str| read_to_string(task.path().join(file)).unwrap_or_default();
            let name = read("comm").trim().to_owned();
            let ran = read("schedstat");
            let ns = ran.split(' ').next().and_then(|ns| ns.parse::<u64>().ok());
            *threads.entry(name).or_default() += ns.unwrap_or(0);
        }
        threads
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::Process;

    #[test]
    fn this_process_holds_something() {
        assert!(Process::this().memory_kib() > Some(1_000));
    }

    #[cfg(feature = "livekit")]
    #[test]
    fn a_thread_of_this_process_has_run_for_some_time() {
        let threads = Process::of(std::process::id()).threads_ns();
        assert!(threads.values().any(|&ns| ns > 0), "{threads:?}");
    }
}
