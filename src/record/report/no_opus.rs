//! The recording in a build without Opus: a WAV file of telephone quality, both sides in one.

use std::io::{self, Cursor};

use crate::clock::Rate;
use crate::pcm::resample::convert;
use crate::pcm::wav_writer::WavWriter;

/// The longest call whose sound goes into its page: 5 minutes are 5 MB.
pub const SECONDS_MAX: u64 = 5 * 60;

/// Samples a second.
const RATE_HZ: u32 = 8_000;

/// A coded file.
pub(super) struct Coded {
    pub(super) mime: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// Codes a recording frame by frame.
pub(super) struct Coder {
    rate: Rate,
    mono: Vec<i16>,
}

impl Coder {
    pub(super) fn new(rate: Rate) -> io::Result<Self> {
        Ok(Self { rate, mono: Vec::new() })
    }

    /// Takes interleaved samples.
    pub(super) fn push(&mut self, stereo: &[i16]) -> io::Result<()> {
        let both = stereo.chunks_exact(2).map(|pair| pair[0].saturating_add(pair[1]));
        self.mono.extend(both);
        Ok(())
    }

    pub(super) fn finish(self) -> io::Result<Coded> {
        let mut writer = WavWriter::new(Cursor::new(Vec::new()), RATE_HZ, 1)?;
        writer.write(&convert(&self.mono, self.rate.hz(), RATE_HZ))?;
        Ok(Coded { mime: "audio/wav", bytes: writer.finish()?.into_inner() })
    }
}
