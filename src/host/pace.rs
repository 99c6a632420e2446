//! The clock of a shard: absolute deadlines on the monotonic clock.
//!
//! On Linux a deadline is slept for with `clock_nanosleep` and `TIMER_ABSTIME`, the sharpest timer
//! that an ordinary thread has, [without the slack](sharpen) that the system would add; elsewhere with the
//! standard library's sleep. The real-time class is asked for [elsewhere](super::watchdog), since whoever is in
//! it has to be watched.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is where a shard reads the clock and sleeps"
)]

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment on the monotonic clock, in nanoseconds since an arbitrary start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The moment `ns` nanoseconds later.
    #[must_use]
    pub const fn after_ns(self, ns: u64) -> Self {
        Self(self.0 + ns)
    }

    /// The moment `ns` nanoseconds earlier, or the first there is.
    #[must_use]
    pub const fn before_ns(self, ns: u64) -> Self {
        Self(self.0.saturating_sub(ns))
    }

    /// Nanoseconds from `earlier` to this one; 0 if `earlier` is later.
    #[must_use]
    pub const fn since_ns(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    #[cfg_attr(target_os = "linux", expect(dead_code, reason = "Linux has a clock of its own"))]
    start: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        // One start for the process, so that moments of any two clocks can be compared.
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        Self { start: *START }
    }
}

impl Clock {
    /// Now.
    #[must_use]
    pub fn now(&self) -> Moment {
        os::now(self)
    }

    /// Sleeps until a moment, and says when the thread ran again; `None` at once if it has passed.
    pub fn sleep_until(&self, moment: Moment) -> Option<Moment> {
        if self.now() >= moment {
            return None;
        }
        os::sleep_until(self, moment);
        Some(self.now())
    }
}

/// Milliseconds since 1970, for the head of a journal.
#[must_use]
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// Sleeps for so many milliseconds: what a tool's `pause` is in real time.
pub fn pause(ms: u32) {
    std::thread::sleep(Duration::from_millis(u64::from(ms)));
}

/// The scheduling class of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The system's ordinary class.
    Normal,
    /// First in, first out, before all ordinary threads.
    RealTime,
}

/// Takes the slack from the calling thread's timers. Linux lets an ordinary thread sleep 50 µs longer than it
/// asked for, so that wake-ups can be joined; a tick is not worth saving that.
pub fn sharpen() {
    os::sharpen();
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the standard library has no absolute sleeps")]
mod os {
    use super::{Clock, Moment};

    /// The least slack that Linux takes: 0 stands for the default.
    const SLACK_NS: libc::c_ulong = 1;

    pub(super) fn now(_clock: &Clock) -> Moment {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is valid for writing, and this clock exists on every Linux.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
        Moment(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }

    pub(super) fn sleep_until(_clock: &Clock, moment: Moment) {
        let time = libc::timespec {
            tv_sec: (moment.0 / 1_000_000_000) as libc::time_t,
            tv_nsec: (moment.0 % 1_000_000_000) as libc::c_long,
        };
        loop {
            // SAFETY: `time` is a valid time, and no remainder is asked for.
            let slept = unsafe {
                libc::clock_nanosleep(
                    libc::CLOCK_MONOTONIC,
                    libc::TIMER_ABSTIME,
                    &raw const time,
                    std::ptr::null_mut(),
                )
            };
            if slept != libc::EINTR {
                return;
            }
        }
    }

    pub(super) fn sharpen() {
        // SAFETY: this option has one argument, a number. Without it sleeps are as long as they were.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, SLACK_NS) };
    }
}

#[cfg(not(target_os = "linux"))]
mod os {
    use super::{Clock, Duration, Moment};

    pub(super) fn now(clock: &Clock) -> Moment {
        Moment(clock.start.elapsed().as_nanos() as u64)
    }

    pub(super) fn sleep_until(clock: &Clock, moment: Moment) {
        let left = moment.since_ns(now(clock));
        std::thread::sleep(Duration::from_nanos(left));
    }

    pub(super) const fn sharpen() {}
}
