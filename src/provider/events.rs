//! Server-sent events of a bounded length.
//!
//! **Invariant:** no event is longer than [`EVENT_MAX`] bytes and no answer longer than [`ANSWER_MAX`]; the
//! parser behind never sees a byte order mark, at which it would panic.

use bytes::Bytes;
use eventsource_stream::{EventStream, EventStreamError};
use futures_util::{Stream, StreamExt, stream};
use reqwest::Response;

use super::server::Server;
use crate::think::chat::{ErrorKind, ModelError};

/// The longest event, in bytes: an answer in one piece has at most as much (see the assembler).
pub(super) const EVENT_MAX: usize = 1 << 20;

/// The longest answer on the wire, in bytes: a token of four characters comes in 300 bytes of JSON, and an
/// answer has at most 1 MiB of characters.
pub(super) const ANSWER_MAX: usize = 96 << 20;

const MARK: &[u8] = b"\xEF\xBB\xBF";

enum Broken {
    Lost(reqwest::Error),
    TooLong,
}

/// The data of the events of an answer, one after the other. An event that the end of the answer cuts is
/// given as far as it came.
pub(super) fn events(
    server: Server,
    response: Response,
) -> impl Stream<Item = Result<String, ModelError>> + Send {
    let mut measure = Measure::default();
    let bytes = response.bytes_stream().map(move |piece| {
        let piece = piece.map_err(Broken::Lost)?;
        measure.pass(piece).ok_or(Broken::TooLong)
    });
    // Some servers leave out the empty line after the last event.
    let end = stream::once(async { Ok(Bytes::from_static(b"\n\n")) });
    EventStream::new(bytes.chain(end)).map(move |event| {
        event.map(|event| event.data).map_err(|error| match error {
            EventStreamError::Transport(Broken::Lost(error)) => server.lost(&error, true),
            EventStreamError::Transport(Broken::TooLong) => server.error(
                ErrorKind::TooLong,
                format!("an event of more than {EVENT_MAX} bytes, or an answer of more than {ANSWER_MAX}"),
            ),
            EventStreamError::Utf8(_) => server.error(ErrorKind::Malformed, "what came is not UTF-8"),
            EventStreamError::Parser(_) => {
                server.error(ErrorKind::Malformed, "what came is no stream of events")
            }
        })
    })
}

/// How much has come, and of which event.
#[derive(Default)]
struct Measure {
    /// What may be part of a byte order mark; none once that is settled.
    settled: bool,
    head: Vec<u8>,
    answer: usize,
    event: usize,
    line: usize,
    after_cr: bool,
}

impl Measure {
    /// The piece without a byte order mark at the beginning of all; none if it is too much.
    fn pass(&mut self, piece: Bytes) -> Option<Bytes> {
        self.answer += piece.len();
        for &byte in &piece {
            self.count(byte);
            if self.event > EVENT_MAX {
                return None;
            }
        }
        if self.answer > ANSWER_MAX {
            return None;
        }
        if self.settled {
            return Some(piece);
        }
        self.head.extend_from_slice(&piece);
        let mut head = Bytes::from(std::mem::take(&mut self.head));
        while head.starts_with(MARK) {
            head = head.slice(MARK.len()..);
        }
        // Another one may follow it.
        if MARK.starts_with(&head) {
            self.head = head.to_vec();
            return Some(Bytes::new());
        }
        self.settled = true;
        Some(head)
    }

    fn count(&mut self, byte: u8) {
        let is_end = match byte {
            b'\n' if self.after_cr => None,
            b'\n' | b'\r' => Some(true),
            _ => Some(false),
        };
        self.after_cr = byte == b'\r';
        match is_end {
            Some(true) => {
                self.event = if self.line == 0 { 0 } else { self.event };
                self.line = 0;
            }
            Some(false) => {
                self.line += 1;
                self.event += 1;
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(pieces: &[&[u8]]) -> Option<Vec<u8>> {
        let mut measure = Measure::default();
        let mut all = Vec::new();
        for piece in pieces {
            all.extend_from_slice(&measure.pass(Bytes::copy_from_slice(piece))?);
        }
        Some(all)
    }

    #[test]
    fn a_byte_order_mark_is_taken_off_however_it_is_cut() {
        for pieces in [
            &[b"\xEF\xBB\xBFdata: x".as_slice()][..],
            &[b"\xEF", b"\xBB", b"\xBFdata: x"],
            &[b"\xEF\xBB\xBF\xEF\xBB\xBFdata: x"],
            &[b"\xEF\xBB\xBF", b"\xEF", b"\xBB\xBFdata: x"],
            &[b"data: ", b"x"],
            &[b"d", b"ata: x"],
        ] {
            assert_eq!(passed(pieces).unwrap(), b"data: x", "{pieces:?}");
        }
        assert_eq!(passed(&[b"\xEF", b"xy"]).unwrap(), b"\xEFxy");
    }

    #[test]
    fn an_endless_event_is_too_long_and_many_short_ones_are_not() {
        let long = vec![b'x'; EVENT_MAX / 4 + 1];
        assert!(passed(&[&long, &long, &long, &long]).is_none());
        let line = [&long[..], b"\n"].concat();
        assert!(passed(&[&line, &line, &line, &line]).is_none(), "many lines are one event");
        let crlf = [&long[..], b"\r\n"].concat();
        assert!(passed(&[&crlf, &crlf, &crlf, &crlf]).is_none(), "many lines are one event");
        for end in [b"\n\n".as_slice(), b"\r\n\r\n", b"\r\r"] {
            let event = [&long[..], end].concat();
            assert!(passed(&[&event, &event, &event, &event]).is_some(), "{end:?}");
        }
    }
}
