//! The session's end of a room: packets both ways, values in, notices out.
//!
//! **Invariant:** nothing here waits; a tick in which nothing happens but audio allocates nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bell::Cord;
use crate::clock::Tick;
use crate::host::codec::{OpusInlet, OpusLine};
use crate::id::{ItemId, LaneId, RequestId, UtteranceId};
use crate::session::event::EventKind;
use crate::session::input::{Inbound, Input};
use crate::session::output::{AgentState, Effect, Output, RpcError};
use crate::slot::Edge;

/// Notices on their way to the network at most: five seconds of an agent that speaks, which says in each tick how far it
/// has come.
pub const NOTICES_WAITING: usize = 256;

/// What the room is to be told.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// The session runs, in this tick of its own: packets count from here.
    Begun,
    /// What the agent does.
    State(AgentState),
    /// A participant's words.
    Heard {
        /// Whose.
        lane: LaneId,
        /// Which utterance.
        utterance: UtteranceId,
        /// All its words so far.
        text: String,
        /// No more will come.
        last: bool,
    },
    /// The agent has something to say.
    Announced {
        /// Its number.
        item: ItemId,
        /// The whole text.
        text: String,
    },
    /// More words of an item that has begun without them.
    More {
        /// Its number.
        item: ItemId,
        /// What is added to its text.
        text: String,
    },
    /// So many bytes of the text have been said.
    Said {
        /// Its number.
        item: ItemId,
        /// Up to where.
        bytes: u32,
    },
    /// The text has been said, all of it or up to where it was cut.
    Over {
        /// Its number.
        item: ItemId,
        /// Up to where, if it was cut.
        cut: Option<u32>,
    },
    /// The answer to a request.
    Answer {
        /// Which.
        request: RequestId,
        /// What.
        answer: Result<String, RpcError>,
    },
    /// The session is over.
    Ended,
}

/// The edge of a session in a room.
#[derive(Debug)]
pub struct RoomEdge {
    line: OpusLine,
    notices: rtrb::Producer<Notice>,
    cord: Cord,
    /// Notices that found the ring full: the network has stalled.
    lost: Arc<AtomicU64>,
    state: Option<AgentState>,
    saying: Option<(ItemId, u32)>,
    /// The last item that has begun without its words.
    begun: Option<ItemId>,
    has_news: bool,
    /// The session was told that the room is over.
    is_gone: bool,
}

impl RoomEdge {
    /// The edge, and where its notices come out.
    #[must_use]
    pub fn new(line: OpusLine, cord: Cord) -> (Self, rtrb::Consumer<Notice>, Arc<AtomicU64>) {
        let (notices, noted) = rtrb::RingBuffer::new(NOTICES_WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let edge = Self {
            line,
            notices,
            cord,
            lost: Arc::clone(&lost),
            state: None,
            saying: None,
            begun: None,
            has_news: false,
            is_gone: false,
        };
        (edge, noted, lost)
    }

    /// Goes on with a lane of a session that another edge has had: see [`OpusLine::take_up`].
    pub fn take_up(&mut self, lane: LaneId, inlet: OpusInlet) {
        self.line.take_up(lane, inlet);
    }

    fn note(&mut self, notice: Notice) {
        self.has_news = true;
        if self.notices.push(notice).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What is announced in this tick, before what is said of it.
    fn announced(&mut self, out: &Output) {
        for event in &out.events {
            match &event.kind {
                // Of what has begun without its words, each is told as it comes.
                EventKind::AgentMessage { item, text, .. }
                    if self.begun.is_none_or(|begun| begun < *item) =>
                {
                    self.note(Notice::Announced { item: *item, text: text.clone() });
                }
                EventKind::AgentBegan { item, .. } => {
                    self.begun = Some(*item);
                    self.note(Notice::Announced { item: *item, text: String::new() });
                }
                EventKind::AgentWords { item, text } => {
                    self.note(Notice::More { item: *item, text: text.clone() });
                }
                _ => {}
            }
        }
    }

    fn events(&mut self, out: &Output) {
        for event in &out.events {
            match &event.kind {
                EventKind::UserTranscript { lane, utterance, text, last, .. } => {
                    self.note(Notice::Heard {
                        lane: *lane,
                        utterance: *utterance,
                        text: text.clone(),
                        last: *last,
                    });
                }
                EventKind::AgentSpeechFinished { item } => {
                    self.note(Notice::Over { item: *item, cut: None });
                }
                EventKind::AgentInterrupted { item, spoken, .. } => {
                    self.note(Notice::Over { item: *item, cut: Some(spoken.len() as u32) });
                }
                EventKind::SessionEnded { .. } => self.note(Notice::Ended),
                _ => {}
            }
        }
    }
}

impl Edge for RoomEdge {
    fn give(&mut self, now: Tick, input: &mut Input) {
        self.line.give(now, input);
        // The room's last word may come in the very tick in which its task is gone, and stands.
        let said = |value: &Inbound| matches!(value, Inbound::HangUp { .. });
        self.is_gone |= input.inbound.iter().any(said);
        if !self.is_gone && self.line.is_abandoned() {
            self.is_gone = true;
            let reason = "the room's own task is gone, which is a fault of the program".to_owned();
            input.inbound.push(Inbound::HangUp { reason });
        }
    }

    fn take(&mut self, now: Tick, out: &Output) {
        let sent = self.line.next_seq();
        self.line.take(now, out);
        self.has_news = self.line.next_seq() != sent;
        if self.state.is_none() {
            self.note(Notice::Begun);
        }
        self.announced(out);
        if let Some(saying) = out.saying
            && self.saying != Some((saying.item, saying.spoken))
        {
            self.saying = Some((saying.item, saying.spoken));
            self.note(Notice::Said { item: saying.item, bytes: saying.spoken });
        }
        self.events(out);
        for effect in &out.effects {
            if let Effect::Answer { request, answer } = effect {
                self.note(Notice::Answer { request: *request, answer: answer.clone() });
            }
        }
        if self.state != Some(out.agent_state) {
            self.state = Some(out.agent_state);
            self.note(Notice::State(out.agent_state));
        }
        // Calls of the room's tools come another way, and are few.
        if self.has_news || !out.calls.is_empty() {
            self.cord.ring();
        }
    }
}
