//! A stream that carries datagrams: connecting, open, or closed.
//!
//! **Invariant:** sending never waits. A datagram goes out whole or not at all: what the stream has not
//! taken of one goes on before the next, and what finds no room is dropped.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{DATAGRAM_MAX, Frames, Framing};
use crate::livekit::stream::{Stream, StreamError};

/// Bytes that wait to be sent at most: the longest message of a data channel, or ten seconds of a voice,
/// which is more than anybody wants to hear late.
const OUT_MAX: usize = 72 << 10;

/// A stream that is being connected.
pub(super) type Connecting = Pin<Box<dyn Future<Output = Result<Stream, StreamError>>>>;

/// A stream of datagrams.
pub(super) struct Wire {
    state: State,
    framing: Framing,
    frames: Frames,
    out: Vec<u8>,
    /// Of `out`, what the stream has taken.
    taken: usize,
    /// The stream has taken bytes, and may still hold them.
    unflushed: bool,
}

enum State {
    Connecting(Connecting),
    Open(Stream),
    Closed(String),
}

impl Wire {
    /// A stream to be.
    #[must_use]
    pub(super) fn new(framing: Framing, connecting: Connecting) -> Self {
        Self {
            state: State::Connecting(connecting),
            framing,
            frames: Frames::new(framing),
            out: Vec::with_capacity(OUT_MAX),
            taken: 0,
            unflushed: false,
        }
    }

    /// Why it is closed, if it is.
    #[must_use]
    pub(super) fn closed(&self) -> Option<&str> {
        match &self.state {
            State::Closed(why) => Some(why),
            State::Connecting(_) | State::Open(_) => None,
        }
    }

    /// Goes on with everything. Ready once a datagram is there, or it has opened or closed; what comes of
    /// it is in [`Self::next`].
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.state {
            State::Closed(_) => Poll::Pending,
            State::Connecting(connecting) => {
                let Poll::Ready(connected) = connecting.as_mut().poll(context) else {
                    return Poll::Pending;
                };
                self.state = match connected {
                    Ok(stream) => State::Open(stream),
                    Err(StreamError::Unreachable(why) | StreamError::Tls(why)) => {
                        State::Closed(why)
                    }
                };
                self.write(context);
                Poll::Ready(())
            }
            State::Open(_) => {
                self.write(context);
                self.read(context)
            }
        }
    }

    /// Takes the next datagram that has come.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        if self.closed().is_some() {
            return None;
        }
        match self.frames.take() {
            Ok(next) => next,
            Err(_) => {
                self.state = State::Closed("what comes is not of the protocol".to_owned());
                None
            }
        }
    }

    /// Sends a datagram, as soon as it is connected; false if it is dropped.
    pub(super) fn send(&mut self, datagram: &[u8]) -> bool {
        let has_room = || self.out.len() - self.taken + self.framing.len(datagram) <= OUT_MAX;
        if self.closed().is_some() || datagram.len() > DATAGRAM_MAX || !has_room() {
            return false;
        }
        if self.out.len() + self.framing.len(datagram) > OUT_MAX {
            self.out.drain(..self.taken);
            self.taken = 0;
        }
        self.framing.put(datagram, &mut self.out);
        // If the stream does not take it now, `poll` waits for it to.
        self.write(&mut Context::from_waker(Waker::noop()));
        self.closed().is_none()
    }

    fn write(&mut self, context: &mut Context<'_>) {
        let State::Open(stream) = &mut self.state else { return };
        while self.taken < self.out.len() {
            match Pin::new(&mut *stream).poll_write(context, &self.out[self.taken..]) {
                Poll::Ready(Ok(0)) => return self.close("closed by the other side"),
                Poll::Ready(Ok(len)) => {
                    self.taken += len;
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => return self.close(&error.to_string()),
                Poll::Pending => return,
            }
        }
        self.out.clear();
        self.taken = 0;
        if self.unflushed {
            match Pin::new(stream).poll_flush(context) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => self.close(&error.to_string()),
                Poll::Pending => {}
            }
        }
    }

    fn read(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.frames.has_next() {
                return Poll::Ready(());
            }
            let State::Open(stream) = &mut self.state else { return Poll::Ready(()) };
            let mut buffer = ReadBuf::new(self.frames.room());
            match Pin::new(stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    self.close("closed by the other side");
                }
                Poll::Ready(Ok(())) => {
                    let len = buffer.filled().len();
                    self.frames.filled(len);
                }
                Poll::Ready(Err(error)) => self.close(&error.to_string()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn close(&mut self, why: &str) {
        self.state = State::Closed(why.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn with_runtime(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(test);
    }

    async fn pair() -> (Wire, tokio::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let connecting = Box::pin(async move { Stream::connect(to, None).await });
        let mut wire = Wire::new(Framing::Length, connecting);
        assert!(wire.send(b"sent before it is connected"));
        let connected = poll_fn(|context| wire.poll(context));
        let (accepted, ()) = futures_util::future::join(listener.accept(), connected).await;
        (wire, accepted.unwrap().0)
    }

    #[test]
    fn what_a_stream_does_not_take_is_dropped_and_what_it_took_in_part_goes_on() {
        with_runtime(async {
            let (mut wire, mut other) = pair().await;
            // Nobody reads: the system's buffers fill, and then the stream's own.
            let mut sent: u64 = 0;
            while wire.send(&[sent as u8; 1_200]) {
                sent += 1;
            }
            assert!(wire.out.len() <= OUT_MAX && wire.out.capacity() == OUT_MAX);
            assert!(wire.closed().is_none());
            let reading = async {
                let mut header = [0; 2];
                other.read_exact(&mut header).await.unwrap();
                let mut first = vec![0; usize::from(u16::from_be_bytes(header))];
                other.read_exact(&mut first).await.unwrap();
                assert_eq!(first, b"sent before it is connected");
                for count in 0..sent {
                    other.read_exact(&mut header).await.unwrap();
                    assert_eq!(u16::from_be_bytes(header), 1_200, "{count}");
                    let mut datagram = [0; 1_200];
                    other.read_exact(&mut datagram).await.unwrap();
                    assert!(datagram.iter().all(|byte| *byte == count as u8), "{count}");
                }
                other.write_all(&[0, 3, 1, 2, 3, 0, 1, 4]).await.unwrap();
            };
            let (_, ()) =
                futures_util::future::join(reading, poll_fn(|context| wire.poll(context))).await;
            assert_eq!(wire.next(), Some(&[1, 2, 3][..]));
            assert_eq!(wire.next(), Some(&[4][..]));
            assert_eq!(wire.next(), None);
            assert!(wire.send(b"there is room again"));
        });
    }

    #[test]
    fn a_stream_that_is_closed_says_so_and_takes_nothing() {
        with_runtime(async {
            let (mut wire, other) = pair().await;
            drop(other);
            poll_fn(|context| wire.poll(context)).await;
            assert!(wire.closed().is_some());
            assert!(!wire.send(b"nobody is there"));
        });
    }
}
