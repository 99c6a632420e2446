//! The handle of a conversation: what the thread of a tick has of it.
//!
//! The user's samples have a ring of their own, everything else another; each wish knows how many samples come before
//! it, so that order is kept. The third ring brings events.
//!
//! **Invariant:** nothing here locks or waits. Where a ring is full, audio is dropped and counted; a wish waits in the
//! handle, and is refused where too many do.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::task::AtomicWaker;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::think::chat::ToolOutput;
use crate::think::native::adapter::TickResult;
use crate::think::native::event::NativeEvent;

/// The user's audio that waits for the task at most, in milliseconds.
const AUDIO_MS: u32 = 2_000;

/// Wishes that wait for the task at most: ticks of two seconds at the shortest tick, and more.
const WISHES_MAX: usize = 256;

/// Wishes that wait in the handle at most while the ring is full.
const HELD_MAX: usize = 1_024;

/// Events that wait for the tick at most. While they do, nothing is read from the socket.
const EVENTS_MAX: usize = 512;

/// What is wanted of the task.
#[derive(Debug)]
pub(super) enum Wish {
    /// What was played; and how many events had been taken by then.
    Heed(Box<TickResult>, u64),
    Result(String, ToolOutput),
    Settle(String, ToolOutput),
    Ask(Option<String>),
    Write(String),
    Note(String),
    Commit,
    EndTurn,
    Clear,
    Cancel,
    Silence,
    Close,
}

/// A wish, and how many samples of the user's come before it.
pub(super) type Placed = (u64, Wish);

/// What the task has.
pub(super) struct Ends {
    pub(super) audio: Consumer<i16>,
    pub(super) wishes: Consumer<Placed>,
    pub(super) events: Producer<NativeEvent>,
    pub(super) bell: Arc<AtomicWaker>,
}

/// What found no room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples of the user's that the task did not take in time.
    pub dropped_samples: u64,
    /// Wishes that were refused.
    pub refused: u64,
}

/// A conversation. If it is dropped, the connection is closed.
pub struct Talk {
    audio: Producer<i16>,
    wishes: Producer<Placed>,
    events: Consumer<NativeEvent>,
    bell: Arc<AtomicWaker>,
    held: VecDeque<Placed>,
    samples: u64,
    taken: u64,
    /// What was told of what is played: nothing waits, as of so many events.
    settled: Option<u64>,
    closed: bool,
    counts: Counts,
}

impl std::fmt::Debug for Talk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Talk")
            .field("samples", &self.samples)
            .field("taken", &self.taken)
            .field("closed", &self.closed)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

pub(super) fn pair(hz: u32) -> (Talk, Ends) {
    let (audio, heard) = RingBuffer::new((u64::from(hz) * u64::from(AUDIO_MS) / 1_000) as usize);
    let (wishes, wished) = RingBuffer::new(WISHES_MAX);
    let (tell, events) = RingBuffer::new(EVENTS_MAX);
    let bell = Arc::new(AtomicWaker::new());
    let ends = Ends { audio: heard, wishes: wished, events: tell, bell: Arc::clone(&bell) };
    let talk = Talk {
        audio,
        wishes,
        events,
        bell,
        held: VecDeque::new(),
        samples: 0,
        taken: 0,
        settled: None,
        closed: false,
        counts: Counts::default(),
    };
    (talk, ends)
}

impl Talk {
    /// What the user said in a tick, or less.
    pub fn hear(&mut self, pcm: &[i16]) {
        self.push_held();
        // Samples behind a wish that waits must not overtake it.
        let (_, rest) = if self.held.is_empty() && !self.closed {
            self.audio.push_partial_slice(pcm)
        } else {
            (&[][..], pcm)
        };
        self.samples += (pcm.len() - rest.len()) as u64;
        if !self.closed {
            self.counts.dropped_samples += rest.len() as u64;
        }
        self.bell.wake();
    }

    /// What has happened next.
    pub fn poll(&mut self) -> Option<NativeEvent> {
        let event = self.events.pop().ok()?;
        self.taken += 1;
        // The task may wait for room.
        if self.events.is_empty() {
            self.bell.wake();
        }
        Some(event)
    }

    /// What an adapter, which has taken all events that [`poll`](Self::poll) gave, has played in a tick, and what it has
    /// cut. False if it is refused.
    pub fn heed(&mut self, result: &TickResult) -> bool {
        let settled = (result.buffered == 0).then_some(self.taken);
        let nothing = result.played.is_empty() && result.cuts.is_empty();
        if nothing && (settled.is_none() || settled == self.settled) {
            return true;
        }
        self.settled = settled;
        let told = TickResult {
            played: result.played.clone(),
            cuts: result.cuts.clone(),
            buffered: result.buffered,
            ..TickResult::default()
        };
        self.wish(Wish::Heed(Box::new(told), self.taken))
    }

    /// What came of a call. False if it is refused.
    pub fn tool_result(&mut self, call: impl Into<String>, output: ToolOutput) -> bool {
        self.wish(Wish::Result(call.into(), output))
    }

    /// The same, of which no answer need tell. False if it is refused.
    pub fn settle(&mut self, call: impl Into<String>, output: ToolOutput) -> bool {
        self.wish(Wish::Settle(call.into(), output))
    }

    /// An answer is wanted; what it is to be, if it is to be something of its own. False if it is refused.
    pub fn ask(&mut self, instructions: Option<String>) -> bool {
        self.wish(Wish::Ask(instructions))
    }

    /// The user wrote something: an answer is wanted. False if it is refused.
    pub fn write(&mut self, text: impl Into<String>) -> bool {
        self.wish(Wish::Write(text.into()))
    }

    /// The same, and no answer is wanted yet. False if it is refused.
    pub fn note(&mut self, text: impl Into<String>) -> bool {
        self.wish(Wish::Note(text.into()))
    }

    /// The user's turn is over with what was heard so far, for who says so. False if it is refused.
    pub fn commit(&mut self) -> bool {
        self.wish(Wish::Commit)
    }

    /// The same, and no answer is wanted yet. False if it is refused.
    pub fn end_turn(&mut self) -> bool {
        self.wish(Wish::EndTurn)
    }

    /// What the user said since the last turn is not wanted. False if it is refused.
    pub fn clear(&mut self) -> bool {
        self.wish(Wish::Clear)
    }

    /// The answer that there is does not go on. False if it is refused.
    pub fn cancel(&mut self) -> bool {
        self.wish(Wish::Cancel)
    }

    /// The same, and no other that was wanted is; [`NativeEvent::Silenced`] comes when nothing more of it will. False if
    /// it is refused.
    pub fn silence(&mut self) -> bool {
        self.wish(Wish::Silence)
    }

    /// It is over: the connection is closed in order. What has come may still be taken.
    pub fn close(&mut self) {
        if !self.closed {
            self.wish(Wish::Close);
            self.closed = true;
        }
    }

    /// Nothing more comes: everything was taken, and the task has ended. Its connection is closed then.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.events.is_abandoned() && self.events.is_empty()
    }

    /// What found no room.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    fn wish(&mut self, wish: Wish) -> bool {
        self.push_held();
        if self.closed {
            return false;
        }
        let full = self.held.len() >= HELD_MAX;
        if full {
            self.counts.refused += 1;
        } else {
            self.held.push_back((self.samples, wish));
            self.push_held();
        }
        self.bell.wake();
        !full
    }

    fn push_held(&mut self) {
        while let Some(placed) = self.held.pop_front() {
            if let Err(rtrb::PushError::Full(placed)) = self.wishes.push(placed) {
                self.held.push_front(placed);
                break;
            }
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // Without room the task finds out by its beat.
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::think::native::adapter::PlayedItem;

    #[test]
    fn audio_without_room_is_dropped_and_counted_and_wishes_wait() {
        let (mut talk, mut ends) = pair(8_000);
        talk.hear(&[1; 16_000]);
        talk.hear(&[2; 160]);
        assert_eq!(talk.counts(), Counts { dropped_samples: 160, refused: 0 });
        let took = (0..5_000).filter(|_| talk.commit()).count();
        assert_eq!(took, WISHES_MAX + HELD_MAX);
        assert_eq!(talk.counts().refused, 5_000 - took as u64);
        // Audio does not overtake what waits.
        ends.audio.read_chunk(16_000).unwrap().commit_all();
        talk.hear(&[3; 160]);
        assert_eq!((ends.audio.slots(), talk.counts().dropped_samples), (0, 320));
        let mut came = 0;
        while let Ok((samples, wish)) = ends.wishes.pop() {
            assert!(samples == 16_000 && matches!(wish, Wish::Commit));
            came += 1;
            if ends.wishes.is_empty() {
                talk.hear(&[]);
            }
        }
        assert_eq!(came, took);
        talk.hear(&[4; 160]);
        assert_eq!(ends.audio.slots(), 160);
    }

    #[test]
    fn that_nothing_waits_is_told_once_for_what_was_taken() {
        let (mut talk, mut ends) = pair(16_000);
        let quiet = TickResult::default();
        assert!(talk.heed(&quiet) && talk.heed(&quiet));
        assert!(matches!(ends.wishes.pop(), Ok((0, Wish::Heed(_, 0)))));
        assert!(ends.wishes.pop().is_err());
        ends.events.push(NativeEvent::Interrupted).unwrap();
        assert_eq!(talk.poll(), Some(NativeEvent::Interrupted));
        talk.heed(&quiet);
        assert!(matches!(ends.wishes.pop(), Ok((0, Wish::Heed(_, 1)))));
        let played = PlayedItem { item: "i".into(), samples: 7, ..PlayedItem::default() };
        let busy = TickResult { played: vec![played], buffered: 3, audio: vec![1], ..quiet };
        talk.heed(&busy);
        let Ok((_, Wish::Heed(told, 1))) = ends.wishes.pop() else { panic!() };
        assert_eq!((told.buffered, told.played.len(), told.audio.len()), (3, 1, 0));
    }

    #[test]
    fn what_is_closed_takes_nothing_and_dropping_closes() {
        let (mut talk, mut ends) = pair(16_000);
        talk.close();
        talk.hear(&[1; 10]);
        assert!(!talk.ask(None));
        assert!(matches!(ends.wishes.pop(), Ok((0, Wish::Close))));
        assert!(ends.wishes.pop().is_err() && ends.audio.is_empty());
        let (talk, mut ends) = pair(16_000);
        drop(talk);
        assert!(matches!(ends.wishes.pop(), Ok((0, Wish::Close))));
        assert!(ends.wishes.is_abandoned());
    }
}
