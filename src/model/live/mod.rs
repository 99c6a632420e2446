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

/// Engines left behind at most. Each keeps a thread and some megabytes; a library that hangs so
/// often is broken, and the pool shrinks instead.
pub const ABANDONED_MAX: usize = 4;
