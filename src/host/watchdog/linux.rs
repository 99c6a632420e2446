//! Classes and processor time of threads, on Linux.

#![expect(unsafe_code, reason = "the standard library has neither classes nor clocks of threads")]

/// A thread, as the system knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thread {
    pub(super) id: i32,
    pub(super) cpu_clock: i32,
}

impl Thread {
    /// The calling one.
    pub(super) fn this() -> Option<Self> {
        let mut cpu_clock = 0;
        // SAFETY: the calling thread is alive, and `cpu_clock` is valid for writing.
        let got = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut cpu_clock) };
        // SAFETY: it has no arguments and cannot fail.
        let id = unsafe { libc::gettid() };
        (got == 0).then_some(Self { id, cpu_clock })
    }
}

/// How long the thread of a clock has run; `None` if it has ended.
pub(super) fn cpu_ns(clock: i32) -> Option<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing; a clock that is gone is an error.
    let got = unsafe { libc::clock_gettime(clock, &raw mut time) };
    (got == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Puts a thread into the real-time class.
pub(super) fn promote(thread: i32, priority: i32) -> bool {
    schedule(thread, libc::SCHED_FIFO, priority)
}

/// Puts a thread into the ordinary class.
pub(super) fn demote(thread: i32) -> bool {
    schedule(thread, libc::SCHED_OTHER, 0)
}

fn schedule(thread: i32, policy: i32, priority: i32) -> bool {
    let param = libc::sched_param { sched_priority: priority };
    // What a thread of the class starts, engines and workers, must not compete with it: the class ends there.
    // The flag stays when the class goes, since taking it away is permitted to few.
    let policy = policy | libc::SCHED_RESET_ON_FORK;
    // SAFETY: `param` is valid for reading; a thread that has ended is an error.
    unsafe { libc::sched_setscheduler(thread, policy, &raw const param) == 0 }
}
