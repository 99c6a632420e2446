//! Redundant audio, RFC 2198: each packet repeats the ones before it.
//!
//! ```text
//! 1 block PT (7) | timestamp offset (14) | length (10)   one for each repeated packet, oldest first
//! 0 block PT (7)                                         for the packet itself
//! the blocks, in that order
//! ```
//!
//! **Invariant:** whatever comes, reading it neither panics nor looks beyond it.

/// The most repeated packets in one: browsers send one or two.
pub const REPEATED_MAX: usize = 8;

/// The largest offset that 14 bits hold, in samples at 48 kHz: 341 ms.
const OFFSET_MAX: u32 = (1 << 14) - 1;

/// The longest block that 10 bits hold.
const BLOCK_MAX: usize = (1 << 10) - 1;

/// The longest payload that repeats something, in bytes: with headers it stays below what networks carry whole.
const PAYLOAD_MAX: usize = 1_100;

/// What a payload holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redundant<'a> {
    /// The packet itself.
    pub primary: &'a [u8],
    /// Packets before it: by how many samples at 48 kHz each is older, oldest first.
    pub repeated: Vec<(u32, &'a [u8])>,
}

/// Reads a payload; none if it is malformed.
#[must_use]
pub fn read(payload: &[u8]) -> Option<Redundant<'_>> {
    let mut headers = Vec::new();
    let mut rest = payload;
    loop {
        let (&first, after) = rest.split_first()?;
        if first & 0x80 == 0 {
            rest = after;
            break;
        }
        let &[a, b, c] = after.first_chunk::<3>()?;
        let offset = u32::from(a) << 6 | u32::from(b) >> 2;
        let len = usize::from(b & 3) << 8 | usize::from(c);
        if headers.len() == REPEATED_MAX {
            return None;
        }
        headers.push((offset, len));
        rest = &after[3..];
    }
    let mut repeated = Vec::with_capacity(headers.len());
    for (offset, len) in headers {
        let (block, after) = rest.split_at_checked(len)?;
        repeated.push((offset, block));
        rest = after;
    }
    Some(Redundant { primary: rest, repeated })
}

/// Makes payloads that repeat the packet before.
#[derive(Debug, Default)]
pub struct Repeater {
    before: Vec<u8>,
    time: u32,
}

impl Repeater {
    /// The payload of a packet whose own payload type is `kind`, at a time in samples at 48 kHz. The
    /// packet before is repeated where the format can say how much older it is.
    pub fn wrap(&mut self, kind: u8, time: u32, packet: &[u8], payload: &mut Vec<u8>) {
        payload.clear();
        let offset = time.wrapping_sub(self.time);
        let fits = !self.before.is_empty() && self.before.len() <= BLOCK_MAX;
        let whole = 5 + self.before.len() + packet.len();
        if fits && whole <= PAYLOAD_MAX && (1..=OFFSET_MAX).contains(&offset) {
            let len = self.before.len() as u32;
            let header = 1 << 31 | u32::from(kind & 0x7f) << 24 | offset << 10 | len;
            payload.extend_from_slice(&header.to_be_bytes());
            payload.push(kind & 0x7f);
            payload.extend_from_slice(&self.before);
        } else {
            payload.push(kind & 0x7f);
        }
        payload.extend_from_slice(packet);
        self.before.clear();
        self.before.extend_from_slice(packet);
        self.time = time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_wrapped_is_read_again() {
        let mut repeater = Repeater::default();
        let mut payload = Vec::new();
        repeater.wrap(111, 960, b"one", &mut payload);
        assert_eq!(read(&payload), Some(Redundant { primary: b"one", repeated: vec![] }));
        repeater.wrap(111, 1_920, b"second", &mut payload);
        let expected = Redundant { primary: b"second", repeated: vec![(960, &b"one"[..])] };
        assert_eq!(read(&payload), Some(expected));
        // What would not pass a network whole is not repeated.
        let long = vec![7; 600];
        repeater.wrap(111, 2_880, &long, &mut payload);
        repeater.wrap(111, 3_840, &long, &mut payload);
        assert_eq!(read(&payload), Some(Redundant { primary: &long, repeated: vec![] }));
        // After a pause, the one before is of no use.
        repeater.wrap(111, 48_000, b"third", &mut payload);
        assert_eq!(read(&payload).unwrap().repeated, []);
    }

    #[test]
    fn a_cut_payload_is_malformed() {
        let mut repeater = Repeater::default();
        let mut payload = Vec::new();
        repeater.wrap(111, 960, b"one", &mut payload);
        repeater.wrap(111, 1_920, b"second", &mut payload);
        for len in 0..8 {
            assert_eq!(read(&payload[..len]), None, "{len}");
        }
        assert_eq!(read(&[0xff; 64]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(redundant) = read(&bytes) {
                let blocks: usize = redundant.repeated.iter().map(|(_, block)| block.len()).sum();
                prop_assert!(blocks + redundant.primary.len() < bytes.len());
            }
        }
    }
}
