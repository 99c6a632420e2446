//! Voice detection: is there a human voice in this frame?
//!
//! A small neural network ([`earshot`]) scores every 16 ms at 16 kHz; frames of 20 ms are carried
//! over into its windows. A score over the threshold starts a run of voice, and it goes on until the
//! score falls 0.15 below the threshold, so that a wavering score does not chop a word.
//!
//! In digital silence there is provably nobody: after a second of it the network is as new, and is asked again when there
//! is something to hear. Until then the score is 0, and a lane that is muted or pauses costs nothing.
//!
//! **Invariant:** the detector is a value: cloned, serialised and restored at any tick, it goes on
//! bit for bit.

use earshot::Detector;
use serde::{Deserialize, Serialize};

use super::mix::is_silent;

/// Samples of one score: what the network was trained on, 16 ms at 16 kHz.
const WINDOW: usize = 256;

/// How far below the threshold the score must fall for voice to end. Scores of vowels stay over 0.8
/// and pauses between words under 0.2; only soft consonants lie between.
const HYSTERESIS: f32 = 0.15;

/// After so many windows of digital silence the network is as new: a second, in which whatever was said has ended. Shorter
/// gaps, between words of a caller whose telephone sends nothing there, are heard as they are.
const REST: u8 = 63;

/// The state of voice detection on one lane.
#[derive(Clone, Serialize, Deserialize)]
pub struct Voice {
    network: Network,
    #[serde(with = "super::pcm_bytes")]
    carry: Vec<i16>,
    score: f32,
    voiced: bool,
    /// Windows of digital silence up to now, at most [`REST`].
    silent: u8,
}

impl Default for Voice {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Voice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Voice({:.2}, {})", self.score, self.voiced)
    }
}

impl Voice {
    /// A detector that has heard nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            network: Network(Box::default()),
            carry: Vec::with_capacity(2 * WINDOW),
            score: 0.0,
            voiced: false,
            silent: REST,
        }
    }

    /// Hears samples at 16 kHz and says whether there is voice, given the score over which it starts.
    pub fn hear(&mut self, pcm: &[i16], threshold: f32) -> bool {
        let mut rest = pcm;
        while !rest.is_empty() {
            let take = rest.len().min(WINDOW - self.carry.len());
            self.carry.extend_from_slice(&rest[..take]);
            rest = &rest[take..];
            if self.carry.len() == WINDOW {
                self.listen();
                self.carry.clear();
                let bar = if self.voiced { threshold - HYSTERESIS } else { threshold };
                self.voiced = self.silent < REST && self.score >= bar;
            }
        }
        self.voiced
    }

    /// Scores the window.
    fn listen(&mut self) {
        let before = self.silent;
        self.silent = if is_silent(&self.carry) { REST.min(before.saturating_add(1)) } else { 0 };
        if self.silent < REST {
            self.score = self.network.0.predict_i16(&self.carry);
        } else if before < REST {
            self.network.0.reset();
            self.score = 0.0;
        }
    }

    /// The latest score, 0 (no voice) to 1.
    #[must_use]
    pub const fn score(&self) -> f32 {
        self.score
    }
}

/// The network with its state, as bytes where it is written.
struct Network(Box<Detector>);

/// Bytes of the detector's state: window, features, spectrum and recurrent cells, all `f32` and
/// `i16`, with no padding between them.
const STATE: usize = 7_916;

// The snapshot below is sound only while the state is exactly these numbers: the dependency is pinned
// to one version, and a build in which the size differs does not compile.
const _: () = assert!(size_of::<Detector>() == 768 * 4 + 120 * 4 + 1_026 * 4 + 4 + 128 * 2);
const _: () = assert!(size_of::<Detector>() == STATE);

impl Network {
    #[expect(unsafe_code, reason = "the detector is plain numbers but offers no way to copy them")]
    fn bytes(&self) -> &[u8; STATE] {
        let detector: *const Detector = &raw const *self.0;
        // SAFETY: the size is checked above and equals the sum of the fields, so every byte is part
        // of an initialised number; the reference lives as long as `self`.
        unsafe { &*detector.cast::<[u8; STATE]>() }
    }

    #[expect(unsafe_code, reason = "see `bytes`")]
    fn from_bytes(bytes: &[u8; STATE]) -> Self {
        let mut network = Self(Box::default());
        let detector: *mut Detector = &raw mut *network.0;
        // SAFETY: as in `bytes`; every bit pattern is a valid `f32` or `i16`, and the network only
        // computes with them.
        unsafe { detector.cast::<[u8; STATE]>().write_unaligned(*bytes) };
        network
    }
}

impl Clone for Network {
    fn clone(&self) -> Self {
        Self::from_bytes(self.bytes())
    }
}

impl Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.bytes())
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Network;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{STATE} bytes of voice detector state")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Network, E> {
                let state = bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))?;
                Ok(Network::from_bytes(state))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{REST, Voice, WINDOW};

    fn noise(seed: u64, len: usize) -> Vec<i16> {
        let mut seed = crate::seed::Seed::new(seed);
        (0..len).map(|_| (seed.next_u64() >> 52) as i16).collect()
    }

    #[test]
    fn a_restored_detector_goes_on_alike() {
        let mut voice = Voice::new();
        voice.hear(&noise(1, 1_234), 0.5);
        let bytes = postcard::to_stdvec(&voice).unwrap();
        let mut restored: Voice = postcard::from_bytes(&bytes).unwrap();
        let mut cloned = voice.clone();
        for n in 2..40 {
            let pcm = noise(n, 320);
            voice.hear(&pcm, 0.5);
            restored.hear(&pcm, 0.5);
            cloned.hear(&pcm, 0.5);
            assert_eq!(voice.score().to_bits(), restored.score().to_bits());
            assert_eq!(voice.score().to_bits(), cloned.score().to_bits());
        }
    }

    #[test]
    fn after_a_second_of_silence_a_detector_is_as_new() {
        let mut voice = Voice::new();
        for n in 0..12 {
            voice.hear(&noise(n, 3_777), 0.5);
            // The rest of the window that the noise ends in, and a second.
            voice.hear(&vec![0; 256 + usize::from(REST) * WINDOW + 97 * n as usize], 0.5);
            assert_eq!((voice.score(), voice.silent), (0.0, REST));
            let mut new = Voice::new();
            new.hear(&vec![0; voice.carry.len()], 0.5);
            let pcm = noise(n + 100, 5_000);
            voice.hear(&pcm, 0.5);
            new.hear(&pcm, 0.5);
            assert_eq!(voice.score().to_bits(), new.score().to_bits());
            assert_ne!(voice.score(), 0.0);
        }
    }

    #[test]
    fn a_shorter_silence_is_heard() {
        let mut voice = Voice::new();
        voice.hear(&noise(1, 10 * WINDOW), 0.5);
        voice.hear(&vec![0; (usize::from(REST) - 1) * WINDOW], 0.5);
        assert_ne!(voice.score(), 0.0);
        // Whatever the threshold: nobody is there.
        assert!(!voice.hear(&vec![0; WINDOW], 0.0));
        assert_eq!(voice.score(), 0.0);
    }

    #[test]
    fn silence_is_not_voice() {
        let mut voice = Voice::new();
        for _ in 0..100 {
            assert!(!voice.hear(&[0; 320], 0.5));
        }
    }
}
