//! The recogniser and the synthesiser at the edge.
//!
//! Both are engines outside the core: audio goes out as an effect, words or audio come back as
//! inbound values. The latencies are those that virtual time applies; real time takes what it
//! takes, up to the timeout.
//!
//! **Invariant:** nothing here names a file, a device or a network address.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Speech in, speech out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Speech {
    /// From the caller's voice to words.
    pub recogniser: Recogniser,
    /// From the agent's words to voice.
    pub synthesiser: Synthesiser,
    /// What is said when an engine or a tool fails and the script has no words for it.
    /// `{fact.name}` is filled in. Default "Sorry, something went wrong. Please try again."
    #[schemars(length(min = 1, max = 4000))]
    pub apology: String,
    /// Words by which a user approves of a call that a tool's `approval` asks for. Default "yes", "yeah",
    /// "sure", "okay", "go ahead", "please do", "of course".
    #[schemars(length(min = 1, max = 100), inner(length(min = 1, max = 200)))]
    pub yes: Vec<String>,
    /// Words by which it does not; they count before those of `yes`. Default "no", "nope", "don't", "do not",
    /// "stop", "cancel", "never mind".
    #[schemars(length(min = 1, max = 100), inner(length(min = 1, max = 200)))]
    pub no: Vec<String>,
    /// Further phrases the recogniser shall expect, beyond those of the intents. Default none.
    #[schemars(length(max = 1000), inner(length(min = 1, max = 200)))]
    pub vocabulary: Vec<String>,
}

impl Default for Speech {
    fn default() -> Self {
        Self {
            recogniser: Recogniser::default(),
            synthesiser: Synthesiser::default(),
            apology: "Sorry, something went wrong. Please try again.".into(),
            yes: texts(["yes", "yeah", "sure", "okay", "go ahead", "please do", "of course"]),
            no: texts(["no", "nope", "don't", "do not", "stop", "cancel", "never mind"]),
            vocabulary: Vec::new(),
        }
    }
}

fn texts<const N: usize>(all: [&str; N]) -> Vec<String> {
    all.map(str::to_owned).into()
}

/// The engine that turns voice into words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Recogniser {
    /// Which engine. Default `none`: only typed text is understood.
    pub engine: RecogniserEngine,
    /// For `model`: which of `models`; it is asked for transcriptions. Required there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub model: Option<String>,
    /// For `model`: the language that is spoken, two letters as ISO 639-1 has them. Without it, the model finds
    /// out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 8))]
    pub language: Option<String>,
    /// Time from the end of an utterance to its words in virtual time, in milliseconds: 0 to 60000.
    /// Default 200.
    #[schemars(range(min = 0, max = 60_000))]
    pub latency_ms: u32,
    /// How long an answer is waited for, in milliseconds: 1 to 600000. Default 5000.
    #[schemars(range(min = 1, max = 600_000))]
    pub timeout_ms: u32,
    /// Words of which the recogniser is less sure than this count as unintelligible speech, or, if short, as noise: 0
    /// to 1. Default 0.6: PocketSphinx gave what it was meant to hear 0.9 and more, and everything else under 0.5.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_confidence: f64,
}

impl Default for Recogniser {
    fn default() -> Self {
        Self {
            engine: RecogniserEngine::None,
            model: None,
            language: None,
            latency_ms: 200,
            timeout_ms: 5_000,
            min_confidence: 0.6,
        }
    }
}

/// A recogniser by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecogniserEngine {
    /// No recogniser: voice is detected, words are not.
    #[default]
    None,
    /// PocketSphinx, restricted to the phrases of the present agent.
    Pocketsphinx,
    /// A model that hears: `speech.recogniser.model`.
    Model,
}

/// The engine that turns words into voice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Synthesiser {
    /// Which engine. Default `none`: the agent answers with text only.
    pub engine: SynthesiserEngine,
    /// For `model`: which of `models`; it is asked for speech. Required there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub model: Option<String>,
    /// The voice by the engine's own name, unless the agent has one of its own. Default `rms`.
    #[schemars(length(min = 1, max = 64))]
    pub voice: String,
    /// Time from text to first audio in virtual time, in milliseconds: 0 to 60000. Default 100.
    #[schemars(range(min = 0, max = 60_000))]
    pub latency_ms: u32,
    /// How long audio is waited for, in milliseconds: 1 to 600000. Default 5000.
    #[schemars(range(min = 1, max = 600_000))]
    pub timeout_ms: u32,
}

impl Default for Synthesiser {
    fn default() -> Self {
        Self {
            engine: SynthesiserEngine::None,
            model: None,
            voice: "rms".into(),
            latency_ms: 100,
            timeout_ms: 5_000,
        }
    }
}

/// A synthesiser by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SynthesiserEngine {
    /// No synthesiser.
    #[default]
    None,
    /// A tone per word: audible and deterministic, without a voice.
    Tone,
    /// Flite with its built-in voices.
    Flite,
    /// A model that speaks: `speech.synthesiser.model`.
    Model,
}
