//! What a thread has used, on Linux.

#![expect(unsafe_code, reason = "the standard library does not know what a thread has used")]

use super::Usage;

/// Of the calling thread so far.
pub(super) fn usage() -> Option<Usage> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is valid for writing, and all zeros are a value of it.
    let usage = unsafe {
        if libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) != 0 {
            return None;
        }
        usage.assume_init()
    };
    let ns = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1_000;
    Some(Usage {
        cpu_ns: ns(usage.ru_utime) + ns(usage.ru_stime),
        waited: usage.ru_nvcsw as u64,
        preempted: usage.ru_nivcsw as u64,
    })
}
