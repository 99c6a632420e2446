//! The tick, the sample rate, and how voice is told from silence.
//!
//! A session advances in ticks of one length and speaks at one rate; both are fixed when it begins,
//! so both are written here and nowhere else.
//!
//! **Invariant:** a tick holds a whole number of 20 ms frames, so `tick_ms` is a multiple of 20.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The clock and the sample rate of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Audio {
    /// Length of a tick in milliseconds: 20 to 1000, a multiple of 20 (one frame). Default 20, the
    /// shortest a packet network delivers without waste.
    #[schemars(range(min = 20, max = 1000), extend("multipleOf" = 20))]
    pub tick_ms: u32,
    /// Samples per second of everything the session hears and says: 8000, 16000, 24000 or 48000.
    /// Default 24000, at which Opus is coded without resampling.
    #[schemars(extend("enum" = [8000, 16000, 24000, 48000]))]
    pub rate_hz: u32,
}

impl Default for Audio {
    fn default() -> Self {
        Self { tick_ms: 20, rate_hz: 24_000 }
    }
}

/// Voice detection, and patience with late frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Voice {
    /// Probability above which a frame counts as voiced: 0.05 to 0.95. Default 0.5. Higher ignores
    /// more noise and more quiet speech.
    #[schemars(range(min = 0.05, max = 0.95))]
    pub threshold: f64,
    /// How long a lane waits for a missing frame before it conceals it, in milliseconds: 0 to 500.
    /// Default 60, three frames.
    #[schemars(range(min = 0, max = 500))]
    pub reorder_ms: u32,
}

impl Default for Voice {
    fn default() -> Self {
        Self { threshold: 0.5, reorder_ms: 60 }
    }
}
