//! Without Opus: journals of PCM alone can be stepped.

use crate::journal::{CODEC, Transcode};
use crate::session::plan::Plan;
use crate::slot::Edge;

/// What turns packets of a journal's codec into frames; nothing for PCM. `Err` with the codec's name
/// for any other.
///
/// # Errors
/// The codec is another one.
pub fn transcoder(codec: &str, _plan: &Plan) -> Result<Option<Box<dyn Transcode>>, String> {
    if codec == CODEC { Ok(None) } else { Err(codec.to_owned()) }
}

/// The codec of a session whose participants send Opus: there are none.
#[must_use]
pub fn opus_codec() -> String {
    CODEC.to_owned()
}

/// A participant whose audio comes through Opus.
///
/// # Errors
/// Always: this program is built without it.
pub fn through_opus(_edge: Box<dyn Edge>, _plan: &Plan) -> Result<Box<dyn Edge>, String> {
    Err("this program is built without Opus; build it with the feature `opus`".to_owned())
}
