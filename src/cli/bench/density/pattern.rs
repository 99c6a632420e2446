//! What participants say: packets of real speech, made beforehand, and when each is sent.
//!
//! All participants say the same, each from another place on: packets are made once, and who sends them decodes and
//! encodes nothing.

use crate::cli::bench::talkers::clips;
use crate::clock::Rate;
use crate::host::codec::{OpusOutlet, OutletOptions};

/// Samples that are quieter at both ends of a clip are no speech.
const QUIET: u16 = 300;

/// A packet of at most so many bytes marks silence, and has no speech.
pub(in crate::cli::bench) const MARK: usize = 2;

/// A participant's packets for a while, to be repeated.
#[derive(Debug)]
pub(in crate::cli::bench) struct Pattern {
    frames: Vec<Option<Box<[u8]>>>,
}

impl Pattern {
    /// Clips one after the other, with pauses so that there is talk for this share of the time.
    pub(in crate::cli::bench) fn new(
        rate: Rate,
        talk: f64,
        options: OutletOptions,
    ) -> Result<Self, String> {
        let mut outlet = OpusOutlet::new(rate, options).map_err(|why| why.to_string())?;
        let mut frames = Vec::new();
        let silence = vec![0; rate.frame()];
        for clip in clips(rate)? {
            let spoken = speech(&clip);
            let chunks = spoken.chunks_exact(rate.frame());
            let said = chunks.len() as f64;
            let paused = (said * (1.0 - talk) / talk).round() as usize;
            let pause = std::iter::repeat_n(silence.as_slice(), paused);
            frames.extend(
                chunks
                    .chain(pause)
                    .map(|frame| outlet.encode(frame).map(|packet| packet.packet.bytes().into())),
            );
        }
        Ok(Self { frames })
    }

    /// The packet of a frame, if one is sent.
    pub(in crate::cli::bench) fn packet(&self, frame: usize) -> Option<&[u8]> {
        self.frames[frame % self.frames.len()].as_deref()
    }

    /// Where one of so many participants begins, so that their talk is spread evenly.
    pub(in crate::cli::bench) const fn begin(&self, at: usize, of: usize) -> usize {
        at * self.frames.len() / of
    }
}

/// A clip without the silence at its ends.
fn speech(clip: &[i16]) -> &[i16] {
    let loud = |sample: &i16| sample.unsigned_abs() > QUIET;
    let from = clip.iter().position(loud).unwrap_or(0);
    let to = clip.iter().rposition(loud).unwrap_or(0);
    &clip[from..to.max(from)]
}

/// Whether a packet has speech.
pub(in crate::cli::bench) const fn is_speech(packet: &[u8]) -> bool {
    packet.len() > MARK
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(talk: f64) -> f64 {
        let pattern = Pattern::new(Rate::from_hz(24_000).unwrap(), talk, OutletOptions::default());
        let pattern = pattern.unwrap();
        let spoken =
            (0..pattern.frames.len()).filter(|&at| pattern.packet(at).is_some_and(is_speech));
        spoken.count() as f64 / pattern.frames.len() as f64
    }

    #[test]
    fn there_is_talk_for_the_share_of_the_time_that_is_asked_for() {
        // An encoder pauses within a sentence, too, and ends a pause's first frames.
        for talk in [1.0, 0.4, 0.1] {
            let found = share(talk);
            assert!((found / talk - 1.0).abs() < 0.15, "{found} of {talk}");
        }
    }
}
