//! All that a session makes the world do in a tick, and the record of the tick.

use serde::{Deserialize, Serialize};

use super::event::Event;
use crate::id::{ItemId, LaneId, UtteranceId};
use crate::pcm::Clip;
use crate::pcm::playout::Played;
use crate::tool::{CallRecord, ToolCall};

/// What came of one tick. Reused from tick to tick.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// The agent's audio: exactly one tick.
    pub audio: Vec<i16>,
    /// The users' audio, all lanes mixed: exactly one tick.
    pub heard: Vec<i16>,
    /// What to do.
    pub effects: Vec<Effect>,
    /// The 16 kHz frames that [`Effect::Listen`] points to, 320 samples each.
    pub frames: Vec<i16>,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// What of the agent's items was played.
    pub played: Vec<Played>,
    /// The tools called in this tick.
    pub calls: Vec<ToolCall>,
    /// The outcomes that became known in this tick.
    pub results: Vec<CallRecord>,
    /// How loud each participant who is there is in this tick, in the order of the lanes.
    pub levels: Vec<Level>,
    /// Whether a participant is voiced in this tick.
    pub user_speech: bool,
    /// Whether the agent is heard in this tick.
    pub agent_speech: bool,
    /// The session ended in this tick.
    pub ended: bool,
    /// The digest of the session so far.
    pub digest: u64,
    /// Audio that was played to its end, to be freed by the caller.
    pub spent: Vec<Clip>,
    /// Room for mixing several lanes.
    pub(super) mixing: Vec<i32>,
}

/// How loud a participant is in a tick: for waveforms and meters. It follows from what is heard, so that
/// the digest leaves it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// The participant's lane.
    pub lane: LaneId,
    /// Whether it is voiced.
    pub voiced: bool,
    /// The loudest sample, as a magnitude: 0 to 32,768.
    pub peak: u16,
}

/// Samples of a frame at the speech rate: 20 ms at 16 kHz.
pub const SPEECH_FRAME: usize = 320;

impl Output {
    /// Empties it for the next tick.
    pub fn clear(&mut self) {
        self.audio.clear();
        self.heard.clear();
        self.effects.clear();
        self.frames.clear();
        self.events.clear();
        self.played.clear();
        self.calls.clear();
        self.results.clear();
        self.levels.clear();
        self.user_speech = false;
        self.agent_speech = false;
        self.ended = false;
        self.spent.clear();
    }

    /// The samples of a [`Effect::Listen`].
    #[must_use]
    pub fn frame(&self, index: u32) -> &[i16] {
        let from = index as usize * SPEECH_FRAME;
        &self.frames[from..from + SPEECH_FRAME]
    }
}

/// Something for the world to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Give a frame of an utterance to the recogniser; the first one begins it.
    Listen {
        /// The lane.
        lane: LaneId,
        /// The utterance.
        utterance: UtteranceId,
        /// Which of [`Output::frames`].
        frame: u32,
    },
    /// The utterance is over: its last words are wanted.
    ListenEnd {
        /// The lane.
        lane: LaneId,
        /// The utterance.
        utterance: UtteranceId,
    },
    /// The utterance's words are no longer wanted.
    ListenDrop {
        /// The lane.
        lane: LaneId,
        /// The utterance.
        utterance: UtteranceId,
    },
    /// Turn a text into audio.
    Speak {
        /// The item that it is for.
        item: ItemId,
        /// The text.
        text: String,
        /// The voice.
        voice: String,
        /// It is the apology, of which a rendering is at hand.
        apology: bool,
    },
    /// The item's audio is no longer wanted.
    SpeakDrop {
        /// The item.
        item: ItemId,
    },
}
