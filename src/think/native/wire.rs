//! Audio as providers take and give it: bytes, of which a tick has a whole number.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::pcm::g711;

/// Milliseconds of audio that are sent at once, unless all of it is.
pub const PACKET_MS: u32 = 20;

/// The agent's tick where nobody says how long it is, in milliseconds.
pub const TICK_MS: u32 = 1_000;

/// How samples are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// 16 bits, little-endian, 24,000 a second: what OpenAI calls `audio/pcm`.
    Pcm16,
    /// G.711 µ-law, 8,000 a second: `audio/pcmu`.
    MuLaw,
    /// G.711 A-law, 8,000 a second: `audio/pcma`.
    ALaw,
}

/// The format of telephones, where nobody says otherwise.
impl Default for Format {
    fn default() -> Self {
        Self::MuLaw
    }
}

/// A tick without length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTick;

impl std::fmt::Display for NoTick {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a tick of 0 ms has no audio: give one of 1 to 60,000 ms")
    }
}

impl std::error::Error for NoTick {}

impl Format {
    /// Samples a second.
    #[must_use]
    pub const fn hz(self) -> u32 {
        match self {
            Self::Pcm16 => 24_000,
            Self::MuLaw | Self::ALaw => 8_000,
        }
    }

    /// Bytes of a sample.
    #[must_use]
    pub const fn width(self) -> u32 {
        match self {
            Self::Pcm16 => 2,
            Self::MuLaw | Self::ALaw => 1,
        }
    }

    /// Bytes a second.
    #[must_use]
    pub const fn bytes_per_second(self) -> u32 {
        self.hz() * self.width()
    }

    /// Bytes of a tick, rounded down.
    ///
    /// # Errors
    /// The tick has no length, or more than a minute.
    pub const fn bytes_per_tick(self, tick_ms: u32) -> Result<usize, NoTick> {
        if tick_ms == 0 || tick_ms > 60_000 {
            return Err(NoTick);
        }
        Ok((self.bytes_per_second() as u64 * tick_ms as u64 / 1_000) as usize)
    }

    /// The byte of which silence is made.
    #[must_use]
    pub const fn silence(self) -> u8 {
        match self {
            Self::Pcm16 => 0,
            Self::MuLaw => g711::MU_LAW_SILENCE,
            Self::ALaw => g711::A_LAW_SILENCE,
        }
    }

    /// Appends samples as bytes.
    pub fn encode(self, pcm: &[i16], out: &mut Vec<u8>) {
        match self {
            Self::Pcm16 => out.extend(pcm.iter().flat_map(|sample| sample.to_le_bytes())),
            Self::MuLaw => out.extend(pcm.iter().map(|&sample| g711::to_mu_law(sample))),
            Self::ALaw => out.extend(pcm.iter().map(|&sample| g711::to_a_law(sample))),
        }
    }

    /// Appends bytes as samples. Half a sample at the end waits in `half` for the next piece.
    pub fn decode(self, mut bytes: &[u8], half: &mut Option<u8>, out: &mut Vec<i16>) {
        match self {
            Self::Pcm16 => {
                if let (Some(low), [high, rest @ ..]) = (*half, bytes) {
                    out.push(i16::from_le_bytes([low, *high]));
                    (*half, bytes) = (None, rest);
                }
                let (pairs, rest) = bytes.as_chunks();
                out.extend(pairs.iter().map(|&pair| i16::from_le_bytes(pair)));
                *half = rest.first().copied().or(*half);
            }
            Self::MuLaw => out.extend(bytes.iter().map(|&byte| g711::from_mu_law(byte))),
            Self::ALaw => out.extend(bytes.iter().map(|&byte| g711::from_a_law(byte))),
        }
    }

    /// When which of `len` bytes are sent: in packets of 20 ms, each as long after the one before; or all
    /// of them now.
    pub fn packets(self, len: usize, instant: bool) -> impl Iterator<Item = (u32, Range<usize>)> {
        let packet = (self.bytes_per_second() / 1_000 * PACKET_MS) as usize;
        let packet = if instant { len.max(1) } else { packet };
        (0..len.div_ceil(packet))
            .map(move |n| (n as u32 * PACKET_MS, n * packet..((n + 1) * packet).min(len)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_has_the_bytes_of_its_time_rounded_down() {
        assert_eq!(Format::default().bytes_per_tick(200), Ok(1_600));
        assert_eq!(Format::default().bytes_per_tick(TICK_MS), Ok(8_000));
        assert_eq!(Format::Pcm16.bytes_per_tick(20), Ok(960));
        assert_eq!(Format::MuLaw.bytes_per_tick(1), Ok(8));
        assert_eq!(Format::MuLaw.bytes_per_tick(0), Err(NoTick));
        assert!(NoTick.to_string().contains("give one"));
    }

    #[test]
    fn the_users_audio_goes_in_packets_of_20_ms_or_all_at_once() {
        let packets: Vec<_> = Format::MuLaw.packets(400, false).collect();
        assert_eq!(packets, [(0, 0..160), (20, 160..320), (40, 320..400)]);
        assert_eq!(Format::MuLaw.packets(400, true).collect::<Vec<_>>(), [(0, 0..400)]);
        assert_eq!(Format::MuLaw.packets(0, true).count(), 0);
    }

    #[test]
    fn samples_may_be_cut_in_half() {
        let pcm = [1, -2, 300, i16::MIN];
        let mut bytes = Vec::new();
        Format::Pcm16.encode(&pcm, &mut bytes);
        for cut in 1..9 {
            let (mut half, mut out) = (None, Vec::new());
            for piece in bytes.chunks(cut) {
                Format::Pcm16.decode(piece, &mut half, &mut out);
            }
            assert_eq!((out.as_slice(), half), (&pcm[..], None), "in pieces of {cut}");
        }
    }

    #[test]
    fn what_is_silent_sounds_like_nothing() {
        for format in [Format::Pcm16, Format::MuLaw, Format::ALaw] {
            let mut out = Vec::new();
            format.decode(&[format.silence(); 4], &mut None, &mut out);
            assert!(out.iter().all(|sample| sample.abs() <= 8), "{format:?}: {out:?}");
        }
    }
}
