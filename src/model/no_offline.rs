//! The offline engines, in a build without them.

use super::lexicon::Lexicon;
use super::{Recogniser, SpeechError, Synthesiser};

fn absent(what: &str) -> SpeechError {
    SpeechError::Missing {
        what: what.to_owned(),
        remedy: "this program was built without the feature `speech`; build it with it".to_owned(),
    }
}

/// A recogniser: there is none.
///
/// # Errors
/// Always.
pub fn recogniser(_lexicon: &Lexicon) -> Result<(Box<dyn Recogniser>, Vec<String>), SpeechError> {
    Err(absent("PocketSphinx"))
}

/// A synthesiser: there is none.
///
/// # Errors
/// Always.
pub fn synthesiser() -> Result<Box<dyn Synthesiser>, SpeechError> {
    Err(absent("flite"))
}
