//! Agent audio packed without loss, off the thread of the tick.
//!
//! A scribe writes clips as they are, since packing takes longer than a tick; whoever brings the bytes
//! to a disk [`shrink`]s them first. Packed is FLAC: frames of one block each, without a header. What
//! was converted to a higher rate is packed as it was before. Synthesised speech takes 0.42 of its size,
//! in 1/500 of its time.
//!
//! **Invariant:** a clip is read back bit for bit; a clip that packing does not shorten stays as it is.

use std::io::Cursor;

use flac_codec::decode::FlacStreamReader;
use flac_codec::encode::{FlacStreamWriter, Options};
use serde::{Deserialize, Serialize};

use super::write::{begin_entry, end_entry};
use super::{ENTRY_MAX, Kind, LEN_MASK, MAGIC, Sourced};
use crate::clock::Tick;
use crate::pcm::Clip;
use crate::pcm::resample::RATES_HZ;

/// Samples of a block: 96 ms at 16 kHz, the best of those tried on synthesised speech.
const BLOCK: usize = 1_536;

/// The order of prediction: more than 12 gains 1 %.
const ORDER: u8 = 12;

/// Clips shorter than this are not worth it: 20 ms at 16 kHz.
const WORTHWHILE: usize = 320;

/// FLAC wants to be told a rate, of which nothing depends.
const RATE_HZ: u32 = 24_000;

/// The last block may be short, but FLAC knows none of fewer samples.
const BLOCK_MIN: usize = 16;

/// A packed clip.
#[derive(Debug, Serialize, Deserialize)]
struct Packed<'a> {
    samples: u32,
    /// From which rate to which the samples are converted; 0 and 0 where they are the clip.
    from_hz: u32,
    to_hz: u32,
    #[serde(borrow)]
    flac: &'a [u8],
}

/// Copies a block of whole entries, as a scribe gives them, with its clips packed. The last tick that
/// has an entry in it, if one has.
pub fn shrink(block: &[u8], into: &mut Vec<u8>) -> Option<Tick> {
    let mut last = None;
    let mut rest = block;
    if block.starts_with(MAGIC) {
        let (opening, entries) = block.split_at((MAGIC.len() + 2).min(block.len()));
        into.extend_from_slice(opening);
        rest = entries;
    }
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let word = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let len = ((word & LEN_MASK) as usize).min(body.len());
        let (payload, after) = body.split_at(len);
        let packed = match payload.split_first() {
            Some((&kind, clip)) if kind == Kind::Clip as u8 => {
                postcard::from_bytes(clip).is_ok_and(|clip: Clip| pack_clip(&clip, (0, 0), into))
            }
            Some((&kind, sourced)) if kind == Kind::Source as u8 => postcard::from_bytes(sourced)
                .is_ok_and(|Sourced { from_hz, to_hz, pcm }| {
                    pack_clip(&pcm, (from_hz, to_hz), into)
                }),
            Some((&kind, of)) if kind == Kind::Tick as u8 || kind == Kind::Events as u8 => {
                // Both begin with their tick.
                last = postcard::take_from_bytes::<Tick>(of).map_or(last, |(tick, _)| Some(tick));
                false
            }
            Some(_) | None => false,
        };
        if !packed {
            into.extend_from_slice(&rest[..8 + len]);
        }
        rest = after;
    }
    into.extend_from_slice(rest);
    last
}

/// Writes a clip's entry packed. False, and nothing written, if that gains nothing.
fn pack_clip(clip: &Clip, (from_hz, to_hz): (u32, u32), into: &mut Vec<u8>) -> bool {
    let samples = clip.0.len();
    if samples < WORTHWHILE {
        return false;
    }
    let Some(flac) = pack(&clip.0).filter(|flac| flac.len() < samples * 2) else { return false };
    let from = begin_entry(into, Kind::Packed);
    let packed = Packed { samples: samples as u32, from_hz, to_hz, flac: &flac };
    let taken = std::mem::take(into);
    *into = postcard::to_extend(&packed, taken).expect("bytes have a compact form");
    end_entry(into, from);
    true
}

fn pack(pcm: &[i16]) -> Option<Vec<u8>> {
    let options = Options::best().max_lpc_order(Some(ORDER)).ok()?;
    let options = options.block_size(BLOCK as u16).ok()?;
    let mut flac = Vec::with_capacity(pcm.len());
    let mut writer = FlacStreamWriter::new(&mut flac, options);
    let mut samples = Vec::with_capacity(BLOCK);
    for block in blocks(pcm) {
        samples.clear();
        samples.extend(block.iter().map(|&sample| i32::from(sample)));
        writer.write(RATE_HZ, 1, 16, &samples).ok()?;
    }
    Some(flac)
}

/// Pieces of at most [`BLOCK`] samples, the last two evened out where the last would be too short.
fn blocks(pcm: &[i16]) -> impl Iterator<Item = &[i16]> {
    let tail = pcm.len() % BLOCK;
    let whole = if tail > 0 && tail < BLOCK_MIN { pcm.len() - tail - BLOCK / 2 } else { pcm.len() };
    let (head, rest) = pcm.split_at(whole.min(pcm.len()));
    head.chunks(BLOCK).chain((!rest.is_empty()).then_some(rest))
}

/// Reads a packed clip's payload; more samples than `bound` are refused.
pub(super) fn unpack(payload: &[u8], bound: usize) -> Result<Clip, String> {
    let Packed { samples, from_hz, to_hz, flac } =
        postcard::from_bytes::<Packed<'_>>(payload).map_err(|error| error.to_string())?;
    let samples = samples as usize;
    believable(samples, (from_hz, to_hz), bound)?;
    let mut pcm = Vec::with_capacity(samples);
    let mut reader = FlacStreamReader::new(Cursor::new(flac));
    while pcm.len() < samples {
        let frame = reader.read().map_err(|error| format!("packed audio: {error}"))?;
        if frame.channels != 1 || pcm.len() + frame.samples.len() > samples {
            return Err("packed audio of another length".to_owned());
        }
        for &sample in frame.samples {
            pcm.push(i16::try_from(sample).map_err(|_| "packed audio of another depth")?);
        }
    }
    Ok(converted(pcm, (from_hz, to_hz)))
}

/// Reads the payload of what a clip was converted from.
pub(super) fn convert(payload: &[u8], bound: usize) -> Result<Clip, String> {
    let Sourced { from_hz, to_hz, pcm } =
        postcard::from_bytes(payload).map_err(|error| error.to_string())?;
    believable(pcm.0.len(), (from_hz, to_hz), bound)?;
    Ok(converted(pcm.0.to_vec(), (from_hz, to_hz)))
}

fn converted(pcm: Vec<i16>, (from_hz, to_hz): (u32, u32)) -> Clip {
    if from_hz == 0 { Clip::from(pcm) } else { Clip::converted(pcm, from_hz, to_hz) }
}

/// Whether a clip of so many samples, once it is converted, is no longer than is believed.
fn believable(samples: usize, rates: (u32, u32), bound: usize) -> Result<(), String> {
    let most = bound.min(ENTRY_MAX / 2) as u64;
    let samples = match rates {
        (0, 0) => samples as u64,
        (from, to) if RATES_HZ.contains(&from) && RATES_HZ.contains(&to) => {
            samples as u64 * u64::from(to) / u64::from(from) + samples as u64
        }
        (from, to) => return Err(format!("audio converted from {from} to {to} Hz")),
    };
    if samples > most {
        return Err(format!("a clip of {samples} samples is not believed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seed::Seed;

    fn packed(pcm: &[i16]) -> Result<Clip, String> {
        let flac = pack(pcm).expect("any samples can be packed");
        let packed = Packed { samples: pcm.len() as u32, from_hz: 0, to_hz: 0, flac: &flac };
        unpack(&postcard::to_stdvec(&packed).unwrap(), usize::MAX)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_packed_clip_is_the_same_bit_for_bit(len in 320_usize..7_000, seed: u64, shift in 0_u32..16) {
            let mut seed = Seed::new(seed);
            let pcm: Vec<i16> = (0..len).map(|_| (seed.next_u64() as i16) >> shift).collect();
            prop_assert_eq!(packed(&pcm).unwrap().0.to_vec(), pcm);
        }

        #[test]
        fn no_bytes_make_unpacking_panic(
            bytes: Vec<u8>, samples in 0_u32..5_000, from_hz in 0_u32..50_000, to_hz: u32
        ) {
            let packed = Packed { samples, from_hz, to_hz, flac: &bytes };
            let _ = unpack(&postcard::to_stdvec(&packed).unwrap(), 10_000);
            let _ = unpack(&bytes, 10_000);
        }
    }

    #[test]
    fn what_was_converted_is_packed_as_it_was_before() {
        let pcm: Vec<i16> = (0..16_000).map(|n| ((n * n) % 9_000) as i16).collect();
        let clip = Clip::converted(pcm, 16_000, 24_000);
        let source = clip.source().unwrap();
        let before = Clip::from(source.pcm.to_vec());
        let mut bytes = Vec::new();
        assert!(pack_clip(&before, (source.from_hz, source.to_hz), &mut bytes));
        assert_eq!(unpack(&bytes[9..], usize::MAX).unwrap(), clip);
        assert!(unpack(&bytes[9..], 39_000).unwrap_err().contains("is not believed"));
    }

    #[test]
    fn lengths_around_a_block_are_kept() {
        for len in [BLOCK - 1, BLOCK, BLOCK + 1, BLOCK + 15, BLOCK + 16, 2 * BLOCK + 3] {
            let pcm: Vec<i16> = (0..len).map(|n| (n * 37) as i16).collect();
            assert_eq!(packed(&pcm).unwrap().0.to_vec(), pcm, "{len}");
        }
        assert_eq!(packed(&vec![0; 100_000]).unwrap().0.len(), 100_000);
    }
}
