//! Which packets of a stream have come already.

/// Packets that are remembered: 1.28 s of 20 ms packets, more than any repetition reaches back.
const WINDOW: u16 = 64;

/// A window over the sequence numbers of a stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    stream: Option<u32>,
    /// The newest.
    top: u16,
    /// Bit n: whether `top - n` has come.
    come: u64,
}

impl Seen {
    /// A packet comes. False if it came before. Another stream starts anew.
    pub fn add(&mut self, stream: u32, seq: u16) -> bool {
        let ahead = seq.wrapping_sub(self.top);
        if self.stream != Some(stream) || (WINDOW..=u16::MAX - WINDOW).contains(&ahead) {
            *self = Self { stream: Some(stream), top: seq, come: 1 };
            return true;
        }
        if ahead == 0 {
            return self.mark(0);
        }
        if ahead < WINDOW {
            self.come = self.come.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
            self.top = seq;
            return true;
        }
        self.mark(self.top.wrapping_sub(seq))
    }

    /// A packet comes late, as a repetition. False if it came before, or is of a time that is not
    /// remembered: what came before the stream was heard first is of no use.
    pub fn add_earlier(&mut self, stream: u32, seq: u16) -> bool {
        if self.stream != Some(stream) {
            return false;
        }
        let ahead = seq.wrapping_sub(self.top);
        // The one next to the newest is not an old one, but one whose own packet was lost.
        if (1..WINDOW).contains(&ahead) {
            return self.add(stream, seq);
        }
        self.mark(self.top.wrapping_sub(seq))
    }

    fn mark(&mut self, behind: u16) -> bool {
        if behind >= WINDOW {
            return false;
        }
        let bit = 1 << behind;
        let is_new = self.come & bit == 0;
        self.come |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_packet_is_new_once() {
        let mut seen = Seen::default();
        assert!(!seen.add_earlier(1, 9), "nothing is repeated before there is a stream");
        assert!(seen.add(1, 65_535));
        assert!(seen.add(1, 1), "over the wrap");
        assert!(seen.add_earlier(1, 0));
        assert!(!seen.add_earlier(1, 0) && !seen.add(1, 0) && !seen.add(1, 1));
        assert!(!seen.add_earlier(1, 65_535));
        assert!(seen.add_earlier(1, 2), "its own packet was lost");
        assert!(!seen.add(1, 2));
    }

    #[test]
    fn another_stream_or_a_jump_starts_anew() {
        let mut seen = Seen::default();
        assert!(seen.add(1, 5) && seen.add(2, 5) && !seen.add(2, 5));
        assert!(seen.add(2, 30_000) && !seen.add(2, 30_000));
    }

    proptest! {
        #[test]
        fn what_comes_twice_within_the_window_is_noticed(start: u16, steps in prop::collection::vec(0_u16..4, 1..200)) {
            let mut seen = Seen::default();
            let mut seq = start;
            seen.add(7, seq);
            for step in steps {
                seq = seq.wrapping_add(step);
                prop_assert_eq!(seen.add(7, seq), step > 0);
            }
        }
    }
}
