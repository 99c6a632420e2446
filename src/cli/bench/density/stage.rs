//! How far a measurement has come: all its threads look at one number, and none waits for another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::bench) enum Stage {
    /// Sessions come, buffers grow.
    WarmUp,
    /// Everything counts.
    Measure,
    /// Everybody ends.
    Over,
}

/// Where that stands.
#[derive(Debug, Clone, Default)]
pub(in crate::cli::bench) struct Stages(Arc<AtomicU8>);

impl Stages {
    pub(in crate::cli::bench) fn now(&self) -> Stage {
        match self.0.load(Ordering::Acquire) {
            0 => Stage::WarmUp,
            1 => Stage::Measure,
            _ => Stage::Over,
        }
    }

    pub(in crate::cli::bench) fn set(&self, stage: Stage) {
        let number = match stage {
            Stage::WarmUp => 0,
            Stage::Measure => 1,
            Stage::Over => 2,
        };
        self.0.store(number, Ordering::Release);
    }
}
