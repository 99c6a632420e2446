//! Engines and providers: speech in, speech out.
//!
//! A [`Recogniser`] turns one utterance after the other into words, a [`Synthesiser`] texts into
//! audio. The session never sees them: they sit behind edges. Each edge has a live driver, with
//! threads from a bounded pool ([`live`]), and a virtual one that runs the engine to its end at once
//! and admits the result after the declared latency ([`virtual_time`]).
//!
//! **Invariant:** an engine's trouble is a value for the session, never an error of the program.

pub mod clips;
#[cfg(feature = "speech")]
pub mod flite;
pub mod lexicon;
pub mod live;
pub mod minds;
#[cfg(feature = "speech")]
mod native;
pub mod natives;
#[cfg(feature = "speech")]
pub mod offline;
#[cfg(not(feature = "speech"))]
#[path = "no_offline.rs"]
pub mod offline;
#[cfg(feature = "speech")]
pub mod pocketsphinx;
pub mod tone;
pub mod virtual_time;

use std::ops::ControlFlow;

use crate::clock::Rate;
use crate::pcm::Clip;

/// Why a speech engine could not do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpeechError {
    /// Something that it needs is not installed.
    Missing {
        /// What is missing.
        what: String,
        /// How to get it.
        remedy: String,
    },
    /// It failed at its work.
    Failed(String),
}

impl std::fmt::Display for SpeechError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing { what, remedy } => write!(f, "{what} is missing; {remedy}"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for SpeechError {}

/// What a recogniser made of one utterance.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognised {
    /// Its words; empty if there are none.
    pub text: String,
    /// How sure the recogniser is, 0 to 1.
    pub confidence: f32,
}

/// A streaming recogniser: one utterance at a time, mono at 16 kHz.
pub trait Recogniser: Send {
    /// Begins an utterance.
    ///
    /// # Errors
    /// The engine cannot take one.
    fn begin(&mut self) -> Result<(), SpeechError>;

    /// Hears more of it, in pieces of any length.
    ///
    /// # Errors
    /// The engine failed; the utterance is lost.
    fn feed(&mut self, pcm: &[i16]) -> Result<(), SpeechError>;

    /// What it makes of the utterance so far.
    fn partial(&mut self) -> Option<String>;

    /// Ends the utterance.
    ///
    /// # Errors
    /// The engine failed; the utterance is lost.
    fn end(&mut self) -> Result<Recognised, SpeechError>;
}

/// Turns texts into mono audio.
pub trait Synthesiser: Send {
    /// Samples a second of what it makes.
    fn rate_hz(&self) -> u32;

    /// Speaks a text in pieces; stops early when `sink` breaks.
    ///
    /// # Errors
    /// The engine failed; what was given to `sink` before is all there is.
    fn speak(
        &mut self,
        text: &str,
        voice: &str,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), SpeechError>;

    /// The voices it has.
    fn voices(&self) -> Vec<String>;

    /// Whether the first pieces come long before the last: then they are played as they come.
    fn streams(&self) -> bool {
        false
    }
}

/// Speaks a whole text into one clip at the rate of a session.
///
/// # Errors
/// The engine failed.
pub fn render(
    engine: &mut dyn Synthesiser,
    text: &str,
    voice: &str,
    rate: Rate,
) -> Result<Clip, SpeechError> {
    let mut pcm = Vec::new();
    engine.speak(text, voice, &mut |piece| {
        pcm.extend_from_slice(piece);
        ControlFlow::Continue(())
    })?;
    Ok(Clip::converted(pcm, engine.rate_hz(), rate.hz()))
}
