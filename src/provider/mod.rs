//! Models of others, over the network: OpenAI's protocol, which servers of one's own speak, too.
//!
//! ```text
//! config::Model ─▶ Models ─▶ one LanguageModel per name
//!                              │ its own model, then its fallbacks, in order      models
//!                              │ spared? asked again? after how long?             resilience, breaker
//!                              ▼
//!                            Chat ─▶ request body ─▶ Server ─▶ HTTP               chat, server
//!                              ◀─ ModelDelta* ◀─ reader ◀─ server-sent events     chat, events
//! ```
//!
//! [`speech`] and [`transcription`] go the same way with audio: the same servers, timeouts, errors and attempts,
//! and no fallbacks.
//!
//! [`realtime`] keeps a socket open instead, on which audio goes both ways.
//!
//! What goes wrong, and what is made of it, is a table in `docs/providers.md`.
//!
//! **Invariant:** once anything of an answer has come, nobody else gives the rest of it; whatever a server
//! sends is bounded, and is an answer or an error with a kind; no key is in an error, a log or a debug output.

pub mod breaker;
pub mod chat;
pub mod engines;
mod events;
pub mod models;
pub mod natives;
pub mod realtime;
mod resilience;
pub mod server;
pub mod speech;
pub mod transcription;
mod trouble;

pub use breaker::Sparing;
pub use chat::Chat;
pub use models::Models;
pub use realtime::Talker;
pub use server::{Clients, Server};
pub use speech::Speech;
pub use transcription::Transcription;
