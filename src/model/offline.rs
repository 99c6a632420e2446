//! The offline engines, where the build has them.

use super::flite::Flite;
use super::lexicon::Lexicon;
use super::pocketsphinx::PocketSphinx;
use super::{Recogniser, SpeechError, Synthesiser};

/// A recogniser for a lexicon, and the words of it that it cannot pronounce.
///
/// # Errors
/// The library or its model is not installed.
pub fn recogniser(lexicon: &Lexicon) -> Result<(Box<dyn Recogniser>, Vec<String>), SpeechError> {
    let engine = PocketSphinx::load(lexicon)?;
    let missing = engine.missing_words().to_vec();
    Ok((Box::new(engine), missing))
}

/// A synthesiser.
///
/// # Errors
/// The library is not installed.
pub fn synthesiser() -> Result<Box<dyn Synthesiser>, SpeechError> {
    Ok(Box::new(Flite::load()?))
}
