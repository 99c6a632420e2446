//! Who holds the turn: when a caller has finished, and when the agent yields.
//!
//! Every delay counts from the caller's last voiced tick, so that a slow recogniser cannot lengthen
//! it.
//!
//! **Invariant:** `gap_ms` < `end_silence_min_ms` ≤ `end_silence_max_ms`; a pause that ends a turn
//! also breaks a run of voice, never the other way round.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Turn taking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Turn {
    /// Silence after which a turn that sounds complete ends, in milliseconds: 1 to 10000. Default
    /// 500.
    #[schemars(range(min = 1, max = 10_000))]
    pub end_silence_min_ms: u32,
    /// Silence after which any turn ends, in milliseconds: 1 to 30000, at least
    /// `end_silence_min_ms`. Default 1500.
    #[schemars(range(min = 1, max = 30_000))]
    pub end_silence_max_ms: u32,
    /// Whether the caller may interrupt the agent. Default true.
    pub barge_in: bool,
    /// Voiced time over the agent's speech that confirms an interruption, in milliseconds: 0 to
    /// 5000. Default 500.
    #[schemars(range(min = 0, max = 5_000))]
    pub barge_in_ms: u32,
    /// Pauses shorter than this do not break a run of voice, in milliseconds: 0 to 5000, below
    /// `end_silence_min_ms`. Default 200, about the length of a stop consonant with the breath
    /// around it.
    #[schemars(range(min = 0, max = 5_000))]
    pub gap_ms: u32,
    /// Words with which a caller only shows attention: a short utterance over the agent's speech
    /// that consists of these does not take the turn. Default "mm-hmm", "uh-huh", "yeah", "okay",
    /// "right". An empty list: every word takes the turn.
    #[schemars(length(max = 200), inner(length(min = 1, max = 100)))]
    pub backchannels: Vec<String>,
    /// After the agent was cut: without words from the caller by then, it resumes, in milliseconds:
    /// 0 to 60000. Default 2000. 0: it never resumes.
    #[schemars(range(min = 0, max = 60_000))]
    pub false_interruption_ms: u32,
    /// Silence of both sides after which the caller counts as away, in milliseconds: 0 to 3600000.
    /// Default 15000. 0: never.
    #[schemars(range(min = 0, max = 3_600_000))]
    pub away_ms: u32,
    /// Longest turn of the caller, in milliseconds: 0 to 3600000. Whoever talks longer is answered with
    /// what was understood by then. Default 0: no limit.
    #[schemars(range(min = 0, max = 3_600_000))]
    pub max_ms: u32,
    /// Length of the fade-out of a cut, in milliseconds: 0 to 100. Default 10, enough to avoid a
    /// click.
    #[schemars(range(min = 0, max = 100))]
    pub fade_ms: u32,
}

impl Default for Turn {
    fn default() -> Self {
        Self {
            end_silence_min_ms: 500,
            end_silence_max_ms: 1_500,
            barge_in: true,
            barge_in_ms: 500,
            gap_ms: 200,
            backchannels: ["mm-hmm", "uh-huh", "yeah", "okay", "right"].map(String::from).to_vec(),
            false_interruption_ms: 2_000,
            away_ms: 15_000,
            max_ms: 0,
            fade_ms: 10,
        }
    }
}
