//! Systems on which no class is asked for: there is no thread to watch.

/// No thread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thread {
    pub(super) id: i32,
    pub(super) cpu_clock: i32,
}

impl Thread {
    pub(super) const fn this() -> Option<Self> {
        None
    }
}

pub(super) const fn cpu_ns(_clock: i32) -> Option<u64> {
    None
}

pub(super) const fn promote(_thread: i32, _priority: i32) -> bool {
    false
}

pub(super) const fn demote(_thread: i32) -> bool {
    false
}

pub(super) const fn core(_thread: i32) -> Option<usize> {
    None
}
