//! Datagrams on a stream of bytes: where one ends and the next begins.
//!
//! **Invariant:** memory is taken once, however long a frame says that it is; a longer one is skipped.

/// The longest datagram that is carried, in bytes: an Ethernet frame holds 1,500.
pub const DATAGRAM_MAX: usize = 2_000;

/// Bytes that were read and not yet taken at most.
const BUFFER: usize = 8 << 10;

/// The header of a STUN message (RFC 8489, 5), in bytes.
const STUN_HEADER: usize = 20;

/// The mark of a STUN message, in its fifth to eighth byte.
const STUN_MARK: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// The header of a TURN channel's message (RFC 8656, 12.4), in bytes.
const CHANNEL_HEADER: usize = 4;

/// How datagrams are marked off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Two bytes of length before each (RFC 4571), as ICE over TCP has it.
    Length,
    /// Messages of STUN and of TURN's channels, which know their length; the latter are padded to four
    /// bytes (RFC 8656, 12.5).
    Turn,
}

/// The bytes before a frame, of it, and behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    before: usize,
    len: usize,
    behind: usize,
}

/// A stream that cannot be read any further: nothing says where the next frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

impl Framing {
    /// What the first bytes say of their frame; none if they are too few.
    fn extent(self, bytes: &[u8]) -> Result<Option<Extent>, Broken> {
        let Some(&[first, second]) = bytes.first_chunk() else { return Ok(None) };
        let word = |at: usize| {
            bytes.get(at..at + 2).map(|word| usize::from(u16::from_be_bytes([word[0], word[1]])))
        };
        match (self, first >> 6) {
            (Self::Length, _) => {
                let len = usize::from(u16::from_be_bytes([first, second]));
                Ok(Some(Extent { before: 2, len, behind: 0 }))
            }
            (Self::Turn, 0b00) => match (word(2), bytes.get(4..8)) {
                (Some(len), Some(mark)) if mark == STUN_MARK && len % 4 == 0 => {
                    Ok(Some(Extent { before: 0, len: STUN_HEADER + len, behind: 0 }))
                }
                (Some(_), Some(_)) => Err(Broken),
                _ => Ok(None),
            },
            (Self::Turn, 0b01) => Ok(word(2).map(|len| Extent {
                before: 0,
                len: CHANNEL_HEADER + len,
                behind: padding(len),
            })),
            (Self::Turn, _) => Err(Broken),
        }
    }

    /// How many bytes a datagram takes on the stream.
    #[must_use]
    pub fn len(self, datagram: &[u8]) -> usize {
        match self {
            Self::Length => 2 + datagram.len(),
            Self::Turn => datagram.len() + padding(datagram.len()),
        }
    }

    /// Puts a datagram of at most [`DATAGRAM_MAX`] behind others.
    pub fn put(self, datagram: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Length => {
                out.extend_from_slice(&(datagram.len() as u16).to_be_bytes());
                out.extend_from_slice(datagram);
            }
            Self::Turn => {
                out.extend_from_slice(datagram);
                out.extend_from_slice(&[0; 3][..padding(datagram.len())]);
            }
        }
    }
}

/// What is missing to a multiple of four.
const fn padding(len: usize) -> usize {
    len.next_multiple_of(4) - len
}

/// A stream as it is read.
#[derive(Debug)]
pub struct Frames {
    framing: Framing,
    buffer: Box<[u8; BUFFER]>,
    /// What was read and not taken.
    start: usize,
    end: usize,
    /// Of a frame that is too long, the bytes that are still to come.
    skip: usize,
    oversized: u64,
}

impl Frames {
    /// A stream from its beginning.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let buffer = Box::new([0; BUFFER]);
        Self { framing, buffer, start: 0, end: 0, skip: 0, oversized: 0 }
    }

    /// Where more is read into. Not empty, once [`Self::take`] has found no frame.
    pub fn room(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        &mut self.buffer[self.end..]
    }

    /// So much was read into the room.
    pub fn filled(&mut self, len: usize) {
        self.end = (self.end + len).min(BUFFER);
    }

    /// Whether a frame is there, or the stream is broken.
    #[must_use]
    pub fn has_next(&mut self) -> bool {
        !matches!(self.find(), Ok(None))
    }

    /// Takes the next frame; none if more must be read.
    ///
    /// # Errors
    /// There will not be any more.
    pub fn take(&mut self) -> Result<Option<&[u8]>, Broken> {
        let Some(Extent { before, len, behind }) = self.find()? else { return Ok(None) };
        let from = self.start + before;
        self.start = from + len + behind;
        Ok(Some(&self.buffer[from..from + len]))
    }

    /// Frames that were too long, and skipped.
    #[must_use]
    pub const fn oversized(&self) -> u64 {
        self.oversized
    }

    /// A frame that is there whole; those that are too long, or empty, are passed over.
    fn find(&mut self) -> Result<Option<Extent>, Broken> {
        loop {
            let skipped = self.skip.min(self.end - self.start);
            self.start += skipped;
            self.skip -= skipped;
            let extent = self.framing.extent(&self.buffer[self.start..self.end])?;
            let Some(extent) = extent else { return Ok(None) };
            let whole = extent.before + extent.len + extent.behind;
            if extent.len > DATAGRAM_MAX {
                self.oversized += 1;
                self.skip = whole;
            } else if extent.len == 0 {
                self.skip = whole;
            } else {
                return Ok((whole <= self.end - self.start).then_some(extent));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// All frames of a stream that comes in pieces, until it is broken.
    fn read(framing: Framing, stream: &[u8], pieces: &[usize]) -> (Vec<Vec<u8>>, u64) {
        let mut frames = Frames::new(framing);
        let mut found = Vec::new();
        let (mut rest, mut at) = (stream, 0);
        loop {
            loop {
                match frames.take() {
                    Ok(Some(frame)) => found.push(frame.to_vec()),
                    Ok(None) => break,
                    Err(Broken) => return (found, frames.oversized()),
                }
            }
            if rest.is_empty() {
                return (found, frames.oversized());
            }
            let room = frames.room();
            assert!(!room.is_empty());
            let piece = pieces.get(at).copied().unwrap_or(BUFFER).clamp(1, BUFFER);
            at += 1;
            let len = piece.min(rest.len()).min(room.len());
            room[..len].copy_from_slice(&rest[..len]);
            rest = &rest[len..];
            frames.filled(len);
        }
    }

    fn stun(len: usize) -> Vec<u8> {
        let mut message = vec![0x01, 0x01];
        message.extend_from_slice(&(len as u16).to_be_bytes());
        message.extend_from_slice(&STUN_MARK);
        message.resize(STUN_HEADER + len, 7);
        message
    }

    fn channel(len: usize) -> Vec<u8> {
        let mut message = vec![0x40, 0x01];
        message.extend_from_slice(&(len as u16).to_be_bytes());
        message.resize(CHANNEL_HEADER + len, 9);
        message
    }

    #[test]
    fn a_frame_that_is_too_long_is_skipped_and_the_next_is_read() {
        let mut stream = Vec::new();
        Framing::Length.put(&[1; 30], &mut stream);
        stream.extend_from_slice(&[0, 0]);
        stream.extend_from_slice(&u16::MAX.to_be_bytes());
        stream.resize(stream.len() + usize::from(u16::MAX), 3);
        Framing::Length.put(&[2; DATAGRAM_MAX], &mut stream);
        let (found, oversized) = read(Framing::Length, &stream, &[]);
        assert_eq!(found, [vec![1; 30], vec![2; DATAGRAM_MAX]]);
        assert_eq!(oversized, 1);
    }

    #[test]
    fn channels_of_turn_are_padded_and_what_is_neither_ends_the_stream() {
        let mut stream = Vec::new();
        let sent = [channel(1), stun(8), channel(4), channel(7), stun(0)];
        for message in &sent {
            Framing::Turn.put(message, &mut stream);
        }
        assert_eq!(stream.len(), 8 + 28 + 8 + 12 + 20);
        stream.extend_from_slice(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        Framing::Turn.put(&channel(1), &mut stream);
        assert_eq!(read(Framing::Turn, &stream, &[3; 40]).0, sent);
    }

    proptest! {
        #[test]
        fn what_is_put_is_read_however_it_is_cut(
            datagrams in vec(vec(any::<u8>(), 1..=DATAGRAM_MAX), 0..12),
            pieces in vec(1_usize..3_000, 0..40),
        ) {
            let mut stream = Vec::new();
            for datagram in &datagrams {
                let before = stream.len();
                Framing::Length.put(datagram, &mut stream);
                prop_assert_eq!(stream.len() - before, Framing::Length.len(datagram));
            }
            prop_assert_eq!(read(Framing::Length, &stream, &pieces), (datagrams, 0));
        }

        #[test]
        fn messages_of_turn_are_read_however_they_are_cut(
            lengths in vec((any::<bool>(), 0_usize..1_500), 0..12),
            pieces in vec(1_usize..3_000, 0..40),
        ) {
            let made = lengths.iter().map(|&(is_stun, len)| {
                if is_stun { stun(len & !3) } else { channel(len) }
            });
            let messages: Vec<Vec<u8>> = made.collect();
            let mut stream = Vec::new();
            for message in &messages {
                Framing::Turn.put(message, &mut stream);
            }
            prop_assert_eq!(read(Framing::Turn, &stream, &pieces), (messages, 0));
        }

        #[test]
        fn garbage_yields_frames_of_bounded_length(
            stream in vec(any::<u8>(), 0..20_000),
            pieces in vec(1_usize..3_000, 0..40),
            turn in any::<bool>(),
        ) {
            let framing = if turn { Framing::Turn } else { Framing::Length };
            let (found, _) = read(framing, &stream, &pieces);
            prop_assert!(found.iter().all(|frame| (1..=DATAGRAM_MAX).contains(&frame.len())));
            prop_assert!(found.iter().map(Vec::len).sum::<usize>() <= stream.len());
        }
    }
}
