//! The frames that participants were heard with, for whoever goes on from a checkpoint: a decoder would have to hear all
//! that came before it.
//!
//! **Invariant:** what was kept comes back as it was; of what is torn nothing does.

use std::collections::BTreeMap;

use super::Transcode;
use crate::session::input::{Inbound, Input, UNDECODED};

/// Bytes before the samples of a frame.
const HEAD: usize = 8 + 2 + 2 + 2;

/// Adds the frames of a tick, as they are written.
pub(super) fn encode(input: &Input, into: &mut Vec<u8>) {
    for value in &input.inbound {
        let Inbound::Audio { lane, seq, from, len } = *value else { continue };
        let frame = input.pcm.get(from as usize..).and_then(|pcm| pcm.get(..usize::from(len)));
        let Some(frame) = frame else { continue };
        into.extend_from_slice(&input.tick.0.to_le_bytes());
        for number in [lane.0, seq, len] {
            into.extend_from_slice(&number.to_le_bytes());
        }
        into.extend(frame.iter().flat_map(|sample| sample.to_le_bytes()));
    }
}

/// Frames that were kept, by tick, lane and number.
#[derive(Debug, Default)]
pub struct Kept(BTreeMap<(u64, u16, u16), Vec<i16>>);

impl Kept {
    /// Those of a file, up to the first that is not whole.
    #[must_use]
    pub fn of(mut bytes: &[u8]) -> Self {
        let mut kept = Self::default();
        while let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() {
            let [t0, t1, t2, t3, t4, t5, t6, t7, l0, l1, s0, s1, n0, n1] = *head;
            let len = 2 * usize::from(u16::from_le_bytes([n0, n1]));
            let Some((samples, after)) = rest.split_at_checked(len) else { break };
            let pcm = samples.as_chunks::<2>().0.iter().map(|two| i16::from_le_bytes(*two));
            let tick = u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
            let key = (tick, u16::from_le_bytes([l0, l1]), u16::from_le_bytes([s0, s1]));
            kept.0.insert(key, pcm.collect());
            bytes = after;
        }
        kept
    }
}

impl Transcode for Kept {
    fn fill(&mut self, input: &mut Input) {
        let Input { tick, inbound, pcm, .. } = input;
        for value in inbound {
            let Inbound::Audio { lane, seq, from, len } = value else { continue };
            if *from != UNDECODED {
                continue;
            }
            if let Some(frame) = self.0.remove(&(tick.0, lane.0, *seq)) {
                (*from, *len) = (pcm.len() as u32, frame.len() as u16);
                pcm.extend_from_slice(&frame);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Tick;
    use crate::id::LaneId;

    fn input(tick: u64) -> Input {
        let mut input = Input { tick: Tick(tick), ..Input::default() };
        input.audio(LaneId(1), 65_535, &[1, -2, 3]);
        input.audio(LaneId(2), 7, &[]);
        input
    }

    #[test]
    fn frames_come_back_as_they_were_heard_up_to_where_the_file_is_torn() {
        let mut bytes = Vec::new();
        encode(&input(5), &mut bytes);
        let whole = bytes.len();
        encode(&input(6), &mut bytes);
        for cut in [whole, whole + 1, whole + HEAD + 5] {
            let mut kept = Kept::of(&bytes[..cut]);
            let mut bare = input(5);
            bare.pcm.clear();
            for value in &mut bare.inbound {
                if let Inbound::Audio { from, len, .. } = value {
                    (*from, *len) = (UNDECODED, 0);
                }
            }
            kept.fill(&mut bare);
            assert_eq!(bare, input(5));
            assert!(kept.0.is_empty(), "nothing of the torn tick");
        }
        for noise in 0..255_u8 {
            drop(Kept::of(&vec![noise; 300]));
        }
    }
}
