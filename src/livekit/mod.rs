//! LiveKit rooms, in pure Rust: the agent as a participant like any other.
//!
//! ```text
//!              network's thread (tokio, one for many rooms)                 │  a shard's thread
//!                                                                           │
//!  server ══ WebSocket ══ signal ── messages ──▶ stay ──── values ────────▶ │ ┌─ edge ─┐
//!    ║                               ▲            │ ▲                       │ │        │
//!    ║                            signals ────────┘ │ data                  │ │  line  │──▶ Slot
//!    ╚═ UDP, TCP, TURN ══ paths ── datagrams ──▶ media ──── packets ──────▶ │ │        │
//!                                                   ▲                       │ └────────┘
//!                                                   └──── packets, notices ─┤◀──── bell
//! ```
//!
//! [`signal`] speaks the server's protocol, [`media`] WebRTC, [`paths`] has the sockets; none of them
//! knows what a participant is. [`stay`] is a room as one participant sees it, with the
//! [`roster`](roster::Roster) of the others, their text [`streams`] and [`rpc`]; [`herald`] publishes both
//! sides' transcripts under LiveKit's [`names`]. `signal`, `media` and `stay` are values: bytes and
//! messages go in, bytes and messages come out. [`room`] is the one task that carries things between
//! them, on the thread of the [`network`]; [`edge`] is the session's end.
//!
//! There is no libwebrtc in it: `str0m` is the WebRTC, and the messages' types and tokens are those of
//! LiveKit's own crates. Audio and data, no video.
//!
//! **Invariant:** what a network sends is bounded before it is kept, is used or counted, and ends no
//! session but its own; nothing here makes a session's tick wait.

pub mod address;
pub mod api;
pub mod bell;
pub mod edge;
pub mod herald;
pub mod media;
pub mod names;
pub mod network;
pub mod paths;
pub mod reach;
pub mod red;
pub mod room;
pub mod roster;
pub mod rpc;
pub mod seen;
pub mod signal;
pub mod socket;
pub mod splice;
pub mod stay;
pub mod stream;
pub mod streams;
pub mod telephone;
pub mod tls;
pub mod token;
pub mod worker;
