//! LiveKit's names for what agents do: others look for exactly these.

use crate::session::output::AgentState;

/// The attribute with an agent's state.
pub const STATE: &str = "lk.agent.state";

/// The attribute with an agent's name.
pub const NAME: &str = "lk.agent.name";

/// The state before a call, while the agent is being set up.
pub const INITIALIZING: &str = "initializing";

/// The state of an agent that waits for somebody to talk to.
pub const IDLE: &str = "idle";

/// The topic of transcripts.
pub const TRANSCRIPTION: &str = "lk.transcription";

/// The topic of typed text.
pub const CHAT: &str = "lk.chat";

/// The topic of typed text in the older form: JSON in a data packet.
pub const OLD_CHAT: &str = "lk-chat-topic";

/// What a transcript belongs to; a later one of the same id replaces it.
pub const SEGMENT: &str = "lk.segment_id";

/// The track that was transcribed.
pub const TRACK: &str = "lk.transcribed_track_id";

/// Whether a transcript will not change any more: `true` or `false`.
pub const FINAL: &str = "lk.transcription_final";

/// The value of [`STATE`] for a state.
#[must_use]
pub const fn state(state: AgentState) -> &'static str {
    match state {
        AgentState::Listening => "listening",
        AgentState::Thinking => "thinking",
        AgentState::Speaking => "speaking",
    }
}
