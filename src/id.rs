//! Names of the things in a session: small numbers, one type each.
//!
//! **Invariant:** ids are handed out by the session that owns the things, in order, so that two runs
//! of the same inputs name everything alike.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(
            Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

id!(
    /// A participant's lane: its audio, voice activity, recogniser and transcript.
    LaneId(u16), "lane-"
);
id!(
    /// A stretch of a participant's speech, as given to a recogniser.
    UtteranceId(u32), "utterance-"
);
id!(
    /// Something the agent says: one text and its audio.
    ItemId(u32), "item-"
);
id!(
    /// A turn of the user: what is answered as a whole.
    TurnId(u32), "turn-"
);
id!(
    /// A call of a tool.
    CallId(u32), "call-"
);
id!(
    /// A question to a model.
    AskId(u32), "ask-"
);
id!(
    /// A conversation with a model that hears and speaks by itself.
    NativeId(u32), "native-"
);
id!(
    /// A request of a participant, by remote procedure call; numbered by the edge that brings it.
    RequestId(u32), "request-"
);
id!(
    /// An agent of a plan, by its position there.
    AgentId(u16), "agent-"
);
