//! Without Opus: journals of PCM alone can be stepped.

use crate::journal::{CODEC, Transcode};
use crate::session::plan::Plan;

/// What turns packets of a journal's codec into frames; nothing for PCM. `Err` with the codec's name
/// for any other.
///
/// # Errors
/// The codec is another one.
pub fn transcoder(codec: &str, _plan: &Plan) -> Result<Option<Box<dyn Transcode>>, String> {
    if codec == CODEC { Ok(None) } else { Err(codec.to_owned()) }
}
