//! All that a session makes the world do in a tick, and the record of the tick.

use serde::{Deserialize, Serialize};

use super::event::Event;
use crate::id::{AskId, ItemId, LaneId, NativeId, RequestId, UtteranceId};
use crate::pcm::Clip;
use crate::pcm::playout::Played;
use crate::think::chat::ModelRequest;
use crate::think::native::wish::NativeWish;
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
    /// What the agent is doing.
    pub agent_state: AgentState,
    /// What of its words is being said.
    pub saying: Option<Saying>,
    /// The session is under [strain](super::input::Inbound::Strain): edges leave out what is no audio and can be. It
    /// follows from what has arrived, so that the digest leaves it out.
    pub strained: bool,
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

/// What the agent is doing in a tick: for whoever shows it. It follows from the session's state, so that
/// the digest leaves it out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum AgentState {
    /// It waits for what the user has to say.
    #[default]
    Listening,
    /// It has something to say that is not heard yet, or awaits an outcome of which it will tell.
    Thinking,
    /// It is heard; pauses inside of what it says included.
    Speaking,
}

impl AgentState {
    /// Its name: `listening`, `thinking` or `speaking`, as LiveKit's clients know them.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listening => "listening",
            Self::Thinking => "thinking",
            Self::Speaking => "speaking",
        }
    }
}

/// How far the agent has come with an item: for transcripts that are shown word by word. It follows from
/// what was played, so that the digest leaves it out.
///
/// It is told in every tick from the item's first sample to its last. An item that ends in the tick in
/// which the next one begins is told by its `agent.speech_finished` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saying {
    /// The item.
    pub item: ItemId,
    /// Bytes of its text that are spoken, at the end of a word: the whole words of what
    /// `agent.interrupted` would give as `spoken`. It never goes back.
    pub spoken: u32,
}

/// The longest payload of a request or an answer by remote procedure call, in bytes: LiveKit's bound.
pub const RPC_PAYLOAD_MAX: usize = 15 << 10;

/// The longest message of an [`RpcError`], in bytes: LiveKit's bound.
const RPC_MESSAGE_MAX: usize = 256;

/// Why the call of a method gave no value. Codes and meanings are LiveKit's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RpcError {
    /// What kind of trouble.
    pub code: u32,
    /// The reason, for a person to read.
    pub message: String,
}

impl RpcError {
    /// No such method.
    pub const UNSUPPORTED_METHOD: u32 = 1400;
    /// The request is longer than [`RPC_PAYLOAD_MAX`].
    pub const REQUEST_TOO_LARGE: u32 = 1402;
    /// The method failed.
    pub const APPLICATION: u32 = 1500;
    /// No answer came in time.
    pub const TIMED_OUT: u32 = 1502;
    /// The answer is longer than [`RPC_PAYLOAD_MAX`].
    pub const RESPONSE_TOO_LARGE: u32 = 1504;

    /// An error with a message, of which at most 256 bytes are kept.
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        let mut message = message.into();
        message.truncate(message.floor_char_boundary(RPC_MESSAGE_MAX));
        Self { code, message }
    }
}

impl std::fmt::Display for RpcError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for RpcError {}

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
        self.agent_state = AgentState::Listening;
        self.saying = None;
        self.strained = false;
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Answer a participant's [request](super::input::Inbound::Request).
    Answer {
        /// The request.
        request: RequestId,
        /// The value as JSON, at most [`RPC_PAYLOAD_MAX`] bytes, or why there is none.
        answer: Result<String, RpcError>,
    },
    /// Give a clip's audio for an item, as if it were spoken.
    Play {
        /// The item that it is for.
        item: ItemId,
        /// The clip, by its name.
        clip: String,
    },
    /// Ask a model.
    Ask {
        /// The question.
        ask: AskId,
        /// The model, by its name in the configuration.
        model: String,
        /// What it is asked.
        request: Box<ModelRequest>,
    },
    /// The answer of a model is no longer wanted.
    AskDrop {
        /// The question.
        ask: AskId,
    },
    /// Something for a model that hears and speaks.
    Native {
        /// The conversation.
        native: NativeId,
        /// What.
        wish: NativeWish,
    },
}
