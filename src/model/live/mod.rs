//! Engines in real time: threads from bounded pools.
//!
//! A recogniser is taken for an utterance and given back after it; a synthesiser takes texts from a
//! queue. When none is free, or the queue is full, the session is told so at once. An engine that
//! hangs is abandoned when the session has lost patience, and a fresh one takes its place, at most
//! [`ABANDONED_MAX`] times: a native call cannot be stopped, only left behind.
//!
//! **Invariant:** nothing here makes a tick wait: frames and texts are handed over without blocking.

mod ear;
mod mouth;

pub use ear::{EarPool, LiveEar};
pub use mouth::{LiveMouth, MouthPool};

use std::sync::atomic::{AtomicUsize, Ordering};

/// Engines left behind at most. Each keeps a thread and some megabytes; a library that hangs so
/// often is broken, and the pool shrinks instead.
pub const ABANDONED_MAX: usize = 4;

/// The engines of a pool that hang and were left behind.
#[derive(Debug, Default)]
struct LeftBehind(AtomicUsize);

impl LeftBehind {
    /// One more is left behind. If not too many have been, `start` starts another, on a thread of its
    /// own: loading an engine takes a fraction of a second, too long for the thread of a tick.
    fn replace(&self, name: &str, start: impl FnOnce() + Send + 'static) {
        if self.0.fetch_add(1, Ordering::Relaxed) < ABANDONED_MAX {
            drop(std::thread::Builder::new().name(name.to_owned()).spawn(start));
        }
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
