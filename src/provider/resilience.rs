//! Asking again: how often, and after how long.
//!
//! **Invariant:** a request is made again only if nothing of its answer has come; the chance in the delays comes
//! from a seed that was given.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::breaker::{Breaker, Permit, Sparing};
use super::trouble::Trouble;
use crate::host::pace::Clock;
use crate::seed::Seed;
use crate::think::chat::{ErrorKind, ModelError};

/// The delay before the second attempt at most, in milliseconds; before each further one it is twice as long.
/// A tenth of a second: a caller waits with it.
const DELAY_MS: u64 = 100;

/// The longest delay, in milliseconds.
const DELAY_MAX_MS: u64 = 2_000;

/// The longest `retry-after` that is waited for. Whoever wants more is spared for so long, and the next model is
/// asked.
const AFTER_MAX: Duration = Duration::from_secs(2);

/// How a model is asked again.
#[derive(Debug)]
pub(super) struct Resilience {
    retries: u32,
    breaker: Arc<Breaker>,
    jitter: Mutex<Seed>,
    clock: Clock,
}

/// What came of asking.
#[derive(Debug)]
pub(super) struct Asked<T> {
    pub(super) value: T,
    pub(super) permit: Permit,
    /// The errors of the attempts before.
    pub(super) failed: Vec<ModelError>,
}

impl Resilience {
    pub(super) fn new(retries: u32, sparing: Sparing, jitter: Seed) -> Self {
        let jitter = Mutex::new(jitter);
        Self { retries, breaker: Breaker::new(sparing), jitter, clock: Clock::default() }
    }

    /// Asks until something comes, as often as may be.
    pub(super) async fn ask<T, F>(
        &self,
        name: &str,
        mut attempt: impl FnMut() -> F,
    ) -> Result<Asked<T>, ModelError>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let mut failed = Vec::new();
        loop {
            let mut permit = match self.breaker.permit(self.clock.now()) {
                Ok(permit) => permit,
                Err(ms) => return Err(ended(failed).unwrap_or_else(|| spared(name, ms))),
            };
            let trouble = match attempt().await {
                Ok(value) => {
                    permit.began();
                    return Ok(Asked { value, permit, failed });
                }
                Err(trouble) => trouble,
            };
            let Trouble { error, after } = trouble;
            let wants_rest = after.filter(|after| *after > AFTER_MAX);
            self.failed(permit, &error, wants_rest);
            let is_last = failed.len() as u32 == self.retries || !error.may_pass();
            failed.push(error);
            if is_last || wants_rest.is_some() {
                return Err(ended(failed).expect("one was pushed"));
            }
            let delay = self.delay(failed.len() as u32 - 1);
            tokio::time::sleep(after.map_or(delay, |after| after.max(delay))).await;
        }
    }

    /// An answer did not come, or not to its end.
    pub(super) fn failed(&self, permit: Permit, error: &ModelError, rest: Option<Duration>) {
        // What a request is to blame for says nothing of the server.
        if !matches!(error.kind, ErrorKind::Refused | ErrorKind::TooLong) {
            permit.failed(self.clock.now(), rest.map(|rest| rest.as_millis() as u64));
        }
    }

    /// Between half of the delay and all of it, so that not all who failed together ask together again.
    fn delay(&self, attempt: u32) -> Duration {
        let most = (DELAY_MS << attempt.min(16)).min(DELAY_MAX_MS);
        let mut jitter = self.jitter.lock().unwrap_or_else(PoisonError::into_inner);
        Duration::from_millis(most / 2 + jitter.below(most / 2 + 1))
    }
}

/// The last error, which says how often was asked.
fn ended(failed: Vec<ModelError>) -> Option<ModelError> {
    let attempts = failed.len();
    let last = failed.into_iter().next_back()?;
    if attempts == 1 {
        return Some(last);
    }
    let message = format!("{} (attempt {attempts}, the last)", last.message);
    Some(ModelError { message, ..last })
}

fn spared(name: &str, ms: u64) -> ModelError {
    let message = format!(
        "`{name}` has failed again and again and is spared for another {} s; see what its earlier errors say",
        ms.div_ceil(1_000)
    );
    ModelError::new(ErrorKind::Unavailable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resilience(retries: u32, seed: u64) -> Resilience {
        Resilience::new(retries, Sparing::default(), Seed::new(seed))
    }

    #[test]
    fn delays_grow_to_a_bound_and_repeat_with_their_seed() {
        let delays = |seed| {
            let resilience = resilience(10, seed);
            (0..12).map(|attempt| resilience.delay(attempt).as_millis() as u64).collect::<Vec<_>>()
        };
        assert_eq!(delays(1), delays(1));
        assert_ne!(delays(1), delays(2));
        for (attempt, delay) in delays(3).into_iter().enumerate() {
            let most = (DELAY_MS << attempt).min(DELAY_MAX_MS);
            assert!((most / 2..=most).contains(&delay), "{attempt}: {delay}");
        }
    }

    #[test]
    fn what_will_not_pass_is_not_asked_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for (kind, times) in
            [(ErrorKind::Refused, 1), (ErrorKind::Unauthorised, 1), (ErrorKind::Provider, 3)]
        {
            let (resilience, mut asked) = (resilience(2, 1), 0);
            let error = runtime.block_on(resilience.ask("m", || {
                asked += 1;
                std::future::ready(Err::<(), Trouble>(ModelError::new(kind, "no").into()))
            }));
            assert_eq!((error.unwrap_err().kind, asked), (kind, times));
        }
    }

    #[test]
    fn who_wants_a_long_rest_gets_it_and_is_not_waited_for() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (resilience, mut asked) = (resilience(5, 1), 0);
        let mut ask = || {
            runtime.block_on(resilience.ask("m", || {
                asked += 1;
                let error = ModelError::new(ErrorKind::Limited, "slower");
                std::future::ready(Err::<(), Trouble>(Trouble {
                    error,
                    after: Some(Duration::from_secs(30)),
                }))
            }))
        };
        assert_eq!(ask().unwrap_err().kind, ErrorKind::Limited);
        let spared = ask().unwrap_err();
        assert_eq!((spared.kind, asked), (ErrorKind::Unavailable, 1));
        assert!(spared.message.contains("30 s"), "{spared}");
    }
}
