//! PCM audio: 16-bit mono samples at one of four rates, in frames of 20 ms.
//!
//! What the session hears comes through [`reorder`], [`conceal`], [`resample`] and [`voice`]; what it
//! says leaves through [`playout`]; several participants meet in [`mix`]; files are read and written
//! by [`wav`]; telephones talk [`g711`].
//!
//! **Invariant:** no clock, no threads, no files; every state is a serialisable value, and equal
//! inputs give equal samples.

pub mod conceal;
pub mod g711;
pub mod mix;
pub mod playout;
pub mod reorder;
pub mod resample;
pub mod voice;
pub mod wav;
pub mod wav_writer;

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A piece of mono PCM that changes owner without being copied.
///
/// In compact formats it is written as little-endian bytes, two a sample.
#[derive(Clone, Default)]
pub struct Clip(pub Arc<[i16]>, Option<Arc<Source>>);

/// What a clip was [converted](resample::convert) from: fewer samples say the same.
#[derive(Debug)]
pub struct Source {
    /// The samples before the conversion.
    pub pcm: Box<[i16]>,
    /// Their rate.
    pub from_hz: u32,
    /// The clip's.
    pub to_hz: u32,
}

impl Clip {
    /// Whole audio at one rate, for sessions of another.
    ///
    /// # Panics
    /// If a rate is outside [`resample::RATES_HZ`].
    #[must_use]
    pub fn converted(pcm: Vec<i16>, from_hz: u32, to_hz: u32) -> Self {
        if from_hz == to_hz {
            return Self::from(pcm);
        }
        let converted = Arc::from(resample::convert(&pcm, from_hz, to_hz));
        let source = Source { pcm: pcm.into_boxed_slice(), from_hz, to_hz };
        Self(converted, Some(Arc::new(source)))
    }

    /// What it was converted from, if it was.
    #[must_use]
    pub fn source(&self) -> Option<&Source> {
        self.1.as_deref()
    }
}

/// Two clips are the same if they sound the same, wherever they come from.
impl PartialEq for Clip {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Clip {}

impl std::fmt::Debug for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clip({} samples)", self.0.len())
    }
}

impl From<Vec<i16>> for Clip {
    fn from(pcm: Vec<i16>) -> Self {
        Self(Arc::from(pcm), None)
    }
}

impl Serialize for Clip {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        pcm_bytes::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Clip {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        pcm_bytes::deserialize(deserializer).map(Self::from)
    }
}

/// Samples written as little-endian bytes (serde's `with`).
pub mod pcm_bytes {
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    /// Samples turned into bytes at once; larger runs are turned in pieces of this many samples.
    const STACK: usize = 2_048;

    /// Writes `pcm` as bytes.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(pcm: &[i16], serializer: S) -> Result<S::Ok, S::Error> {
        if pcm.len() <= STACK {
            // On the stack, so that a tick's journal entry needs no allocation.
            let mut bytes = [0u8; STACK * 2];
            for (pair, sample) in bytes.chunks_exact_mut(2).zip(pcm) {
                pair.copy_from_slice(&sample.to_le_bytes());
            }
            return serializer.serialize_bytes(&bytes[..pcm.len() * 2]);
        }
        let bytes: Vec<u8> = pcm.iter().flat_map(|s| s.to_le_bytes()).collect();
        serializer.serialize_bytes(&bytes)
    }

    /// Reads samples written by [`serialize`].
    ///
    /// # Errors
    /// An odd number of bytes, or those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<i16>, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<i16>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an even number of bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<i16>, E> {
                if !bytes.len().is_multiple_of(2) {
                    return Err(E::invalid_length(bytes.len(), &self));
                }
                Ok(bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect())
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}
