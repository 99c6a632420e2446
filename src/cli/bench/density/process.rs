//! What a process holds, and what its threads have taken of the processors: read from the system.
//!
//! Nothing of it is there where the system does not say, which is elsewhere than on Linux.

use std::collections::BTreeMap;
use std::fs::{read_dir, read_to_string};

use crate::cli::bench::rooms::memory_kib;

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
        memory_kib(&self.0)
    }

    /// Nanoseconds of processors, by the names of its threads.
    #[cfg(feature = "livekit")]
    pub(super) fn threads_ns(&self) -> BTreeMap<String, u64> {
        let mut threads = BTreeMap::new();
        let tasks = read_dir(format!("/proc/{}/task", self.0)).into_iter().flatten().flatten();
        for task in tasks {
            let read = |file: &str| read_to_string(task.path().join(file)).unwrap_or_default();
            let name = read("comm").trim().to_owned();
            let ran = read("schedstat");
            let ns = ran.split(' ').next().and_then(|ns| ns.parse::<u64>().ok());
            *threads.entry(name).or_default() += ns.unwrap_or(0);
        }
        threads
    }
}
