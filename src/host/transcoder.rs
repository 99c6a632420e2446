//! What turns a journal's packets into frames, by the name of the codec.

use super::inlets::OpusTranscoder;
use super::wire::Wire;
use crate::journal::{CODEC, Transcode};
use crate::session::plan::Plan;
use crate::slot::Edge;

/// The codec of a session whose participants send Opus, with its build: another one may decode a
/// packet to other samples.
#[must_use]
pub fn opus_codec() -> String {
    format!("opus {}", opus::version())
}

/// What turns packets of a journal's codec into frames; nothing for PCM. `Err` with the codec's name
/// if this program has it not, or another build of it.
///
/// # Errors
/// The codec is another one.
pub fn transcoder(codec: &str, plan: &Plan) -> Result<Option<Box<dyn Transcode>>, String> {
    if codec == CODEC {
        return Ok(None);
    }
    if codec != opus_codec() {
        return Err(codec.to_owned());
    }
    let opus = OpusTranscoder::new(plan).map_err(|error| error.to_string())?;
    Ok(Some(Box::new(opus)))
}

/// A participant whose audio comes through Opus, as from a network.
///
/// # Errors
/// There is no codec; the reason.
pub fn through_opus(edge: Box<dyn Edge>, plan: &Plan) -> Result<Box<dyn Edge>, String> {
    Wire::new(edge, plan).map(|wire| Box::new(wire) as _).map_err(|error| error.to_string())
}
