//! Classes and processor time of threads, on Linux.

#![expect(unsafe_code, reason = "the standard library has neither classes nor clocks of threads")]

use std::io::Write as _;

/// Room for the path of a thread's `stat`, and for the line in it.
const PATH_LEN: usize = 48;
const STAT_LEN: usize = 1_024;

/// The field of that line which says where the thread ran last, counted from the one after its name.
const CORE_FIELD: usize = 36;

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

/// The core on which a thread of this process ran last; `None` if it has ended, or the system does not say.
///
/// This opens a file, which the kernel makes up, and asks for no memory of the process.
pub(super) fn core(thread: i32) -> Option<usize> {
    let mut path = [0; PATH_LEN];
    write!(path.as_mut_slice(), "/proc/self/task/{thread}/stat\0").ok()?;
    let mut stat = [0_u8; STAT_LEN];
    // SAFETY: `path` ends with a zero, `stat` is valid for writing so many bytes, and what is opened is closed.
    let len = unsafe {
        let file = libc::open(path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return None;
        }
        let len = libc::read(file, stat.as_mut_ptr().cast(), STAT_LEN);
        libc::close(file);
        len
    };
    core_in(stat.get(..usize::try_from(len).ok()?)?)
}

/// The core in a line of `stat`. The name of the thread, in brackets, may hold anything.
fn core_in(stat: &[u8]) -> Option<usize> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    fields.split_ascii_whitespace().nth(CORE_FIELD)?.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_is_found_behind_any_name() {
        let stat = b"41 (a) 7 (b)) S 1 41 41 0 -1 4194304 1 0 0 0 1 2 0 0 20 0 1 0 5 6 7 \
            18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 3 10 1 0 0 0 0 0 0 0 0 0 0 0\n";
        assert_eq!(core_in(stat), Some(3));
        assert_eq!(core_in(b"41 (a) S 1"), None);
        assert_eq!(core_in(b""), None);
    }

    #[test]
    fn a_thread_that_stays_is_found_where_it_stays() {
        let found = std::thread::spawn(|| {
            // SAFETY: a set of cores is plain data and valid for reading; the rest has no arguments.
            let here = unsafe {
                let here = usize::try_from(libc::sched_getcpu()).unwrap();
                let mut cores: libc::cpu_set_t = std::mem::zeroed();
                libc::CPU_SET(here, &mut cores);
                let set = libc::sched_setaffinity(0, size_of_val(&cores), &raw const cores);
                assert_eq!(set, 0);
                here
            };
            (here, core(Thread::this().unwrap().id))
        });
        let (here, found) = found.join().unwrap();
        assert_eq!(found, Some(here));
        assert_eq!(core(-1), None);
    }
}
