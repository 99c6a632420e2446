//! Sparing a model that fails again and again: a circuit breaker.
//!
//! Closed, requests go through. After so many failures in a row it opens, and nobody is asked until it has
//! rested. Then one request is let through: if something of its answer comes, the circuit is closed, though
//! one failure more opens it again until an answer has come to its end; if it fails, the rest begins anew.
//!
//! **Invariant:** at most one request tries a model that rests; a request that nobody wants any more counts as
//! neither success nor failure.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::host::pace::Moment;

/// Failures in a row after which a model is spared. Five: two requests with an attempt more each are not enough to
/// judge, and a third caller should not wait for a server that is down.
pub const FAILURES: u32 = 5;

/// How long it is spared, in milliseconds: about as long as a server takes to start anew behind a balancer.
pub const REST_MS: u32 = 10_000;

/// The longest that a server may ask to be spared by `retry-after`, in milliseconds.
pub const REST_MAX_MS: u32 = 60_000;

/// When a model is spared, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sparing {
    /// Failures in a row, at least 1. Default [`FAILURES`].
    pub failures: u32,
    /// Milliseconds. Default [`REST_MS`].
    pub rest_ms: u32,
}

impl Default for Sparing {
    fn default() -> Self {
        Self { failures: FAILURES, rest_ms: REST_MS }
    }
}

#[derive(Debug, Default)]
struct State {
    /// In a row.
    failures: u32,
    /// Open, at least until then.
    until: Option<Moment>,
    /// One request is trying it.
    trial: bool,
}

/// The breaker of one model.
#[derive(Debug)]
pub(super) struct Breaker {
    sparing: Sparing,
    state: Mutex<State>,
}

impl Breaker {
    pub(super) fn new(sparing: Sparing) -> Arc<Self> {
        Arc::new(Self { sparing, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leave to ask; or for how many milliseconds more there is none, at least.
    pub(super) fn permit(self: &Arc<Self>, now: Moment) -> Result<Permit, u64> {
        let mut state = self.state();
        let mut trial = false;
        if let Some(until) = state.until {
            if now < until || state.trial {
                return Err(until.since_ns(now).div_ceil(1_000_000));
            }
            state.trial = true;
            trial = true;
        }
        drop(state);
        Ok(Permit { breaker: Arc::clone(self), trial })
    }
}

/// Leave to ask once.
#[derive(Debug)]
pub(super) struct Permit {
    breaker: Arc<Breaker>,
    trial: bool,
}

impl Permit {
    /// Something of an answer has come.
    pub(super) fn began(&mut self) {
        if std::mem::take(&mut self.trial) {
            let mut state = self.breaker.state();
            state.trial = false;
            state.until = None;
            state.failures = self.breaker.sparing.failures.saturating_sub(1);
        }
    }

    /// The answer has come to its end.
    pub(super) fn succeeded(mut self) {
        self.began();
        let mut state = self.breaker.state();
        // Whoever began before it opened does not close it.
        if state.until.is_none() {
            state.failures = 0;
        }
    }

    /// There was none, or not all of it. The server wants to be spared for so many milliseconds, if it said so.
    pub(super) fn failed(mut self, now: Moment, wanted_ms: Option<u64>) {
        let sparing = self.breaker.sparing;
        let mut state = self.breaker.state();
        state.failures = state.failures.saturating_add(1);
        let wanted = wanted_ms.map(|ms| ms.min(u64::from(REST_MAX_MS)));
        let was_trial = std::mem::take(&mut self.trial);
        if was_trial {
            state.trial = false;
        }
        if was_trial || wanted.is_some() || state.failures >= sparing.failures {
            let rest_ms = wanted.unwrap_or_else(|| u64::from(sparing.rest_ms));
            let until = now.after_ns(rest_ms * 1_000_000);
            // Requests that were under way as it opened do not make the rest longer, nor a short one shorter.
            if was_trial || state.until.is_none_or(|known| wanted.is_some() && known < until) {
                state.until = Some(until);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.trial {
            self.breaker.state().trial = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::pace::Clock;

    const MS: u64 = 1_000_000;

    fn breaker() -> (Arc<Breaker>, Moment) {
        (Breaker::new(Sparing { failures: 3, rest_ms: 100 }), Clock::default().now())
    }

    fn failing(breaker: &Arc<Breaker>, now: Moment, times: u32) {
        for _ in 0..times {
            breaker.permit(now).unwrap().failed(now, None);
        }
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_request_try() {
        let (breaker, now) = breaker();
        failing(&breaker, now, 2);
        breaker.permit(now).unwrap().succeeded();
        failing(&breaker, now, 3);
        assert_eq!(breaker.permit(now).unwrap_err(), 100);
        assert_eq!(breaker.permit(now.after_ns(99 * MS)).unwrap_err(), 1);
        let later = now.after_ns(100 * MS);
        let trial = breaker.permit(later).unwrap();
        assert_eq!(breaker.permit(later).unwrap_err(), 0, "one tries, the others wait");
        trial.failed(later, None);
        assert_eq!(breaker.permit(later).unwrap_err(), 100);
    }

    #[test]
    fn an_answer_that_begins_closes_it_and_one_that_ends_makes_it_forget() {
        let (breaker, now) = breaker();
        failing(&breaker, now, 3);
        let later = now.after_ns(100 * MS);
        let mut trial = breaker.permit(later).unwrap();
        trial.began();
        breaker.permit(later).unwrap();
        trial.failed(later, None);
        assert!(breaker.permit(later).is_err(), "it began, and broke off");
        let later = later.after_ns(100 * MS);
        breaker.permit(later).unwrap().succeeded();
        failing(&breaker, later, 2);
        assert!(breaker.permit(later).is_ok());
    }

    #[test]
    fn what_nobody_wants_any_more_counts_as_nothing() {
        let (breaker, now) = breaker();
        failing(&breaker, now, 3);
        let later = now.after_ns(100 * MS);
        drop(breaker.permit(later).unwrap());
        assert!(breaker.permit(later).is_ok(), "the next one tries");
    }

    #[test]
    fn a_server_may_ask_to_be_spared_for_a_bounded_time() {
        let (breaker, now) = breaker();
        breaker.permit(now).unwrap().failed(now, Some(20_000));
        assert_eq!(breaker.permit(now).unwrap_err(), 20_000);
        let (breaker, now) = self::breaker();
        breaker.permit(now).unwrap().failed(now, Some(u64::MAX));
        assert_eq!(breaker.permit(now).unwrap_err(), u64::from(REST_MAX_MS));
    }
}
