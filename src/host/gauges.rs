//! What a sound device knows of itself, and what it is told by keys: between the edge of the device and whoever shows it.
//!
//! **Invariant:** nobody waits: each value is an atomic of its own.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Something that a device measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gauge {
    /// From a sample that is played to the same one in what is recorded, in milliseconds.
    RoundTripMs,
    /// How much of the agent's own voice is taken out of the microphone, in decibels.
    EchoDb,
    /// How much faster the device's clock runs than the session's, in parts per million.
    DriftPpm,
    /// How often there was nothing to play, or no room for what was recorded.
    Gaps,
}

impl Gauge {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::RoundTripMs, Self::EchoDb, Self::DriftPpm, Self::Gaps];
}

/// Values of a device. What was never measured is unknown.
#[derive(Debug)]
pub struct Gauges {
    muted: AtomicBool,
    values: [AtomicU32; Gauge::ALL.len()],
}

impl Default for Gauges {
    fn default() -> Self {
        let unknown = || AtomicU32::new(f32::NAN.to_bits());
        Self { muted: AtomicBool::new(false), values: std::array::from_fn(|_| unknown()) }
    }
}

impl Gauges {
    /// Whether nothing of the microphone is to be passed on.
    #[must_use]
    pub fn is_muted(&self) -> bool {
        self.muted.load(Ordering::Relaxed)
    }

    /// Lets nothing of the microphone be passed on, or everything.
    pub fn mute(&self, muted: bool) {
        self.muted.store(muted, Ordering::Relaxed);
    }

    /// Notes what was measured.
    pub fn set(&self, gauge: Gauge, value: f32) {
        self.values[gauge as usize].store(value.to_bits(), Ordering::Relaxed);
    }

    /// What was measured last; none if nothing was.
    #[must_use]
    pub fn get(&self, gauge: Gauge) -> Option<f32> {
        let value = f32::from_bits(self.values[gauge as usize].load(Ordering::Relaxed));
        (!value.is_nan()).then_some(value)
    }
}

/// Something that a person should know of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// As it should be.
    Info(String),
    /// Not as it should be; the text says what to do.
    Warning(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_unknown() {
        let gauges = Gauges::default();
        assert!(Gauge::ALL.into_iter().all(|gauge| gauges.get(gauge).is_none()));
        gauges.set(Gauge::EchoDb, -31.5);
        assert_eq!((gauges.get(Gauge::EchoDb), gauges.get(Gauge::Gaps)), (Some(-31.5), None));
        gauges.mute(true);
        assert!(gauges.is_muted());
    }
}
