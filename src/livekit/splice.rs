//! One numbering for all streams of a participant.
//!
//! Somebody who unplugs a microphone and takes another publishes a new stream, whose numbers begin
//! anywhere. The session's inlet puts packets in order by their numbers, and would take those for ones
//! that come late.

/// The numbering of one participant.
#[derive(Debug, Clone, Copy, Default)]
pub struct Splice {
    stream: Option<u32>,
    offset: u16,
    /// The number after the highest that was given.
    next: u16,
}

impl Splice {
    /// The number of a packet in the one numbering: a new stream goes on where the one before ended.
    pub fn number(&mut self, stream: u32, seq: u16) -> u16 {
        if self.stream != Some(stream) {
            let first = self.stream.is_none();
            self.stream = Some(stream);
            self.offset = if first { 0 } else { self.next.wrapping_sub(seq) };
            self.next = seq.wrapping_add(self.offset);
        }
        let number = seq.wrapping_add(self.offset);
        let ahead = number.wrapping_sub(self.next);
        if ahead < u16::MAX / 2 {
            self.next = number.wrapping_add(1);
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_stream_goes_on_where_the_one_before_ended() {
        let mut splice = Splice::default();
        assert_eq!(splice.number(1, 65_534), 65_534);
        assert_eq!(splice.number(1, 0), 0);
        assert_eq!(splice.number(1, 65_535), 65_535, "one that comes late keeps its number");
        assert_eq!(splice.number(2, 40_000), 1);
        assert_eq!(splice.number(2, 40_002), 3);
        assert_eq!(splice.number(2, 40_001), 2);
        assert_eq!(splice.number(3, 7), 4);
        assert_eq!(splice.number(3, 8), 5);
    }
}
