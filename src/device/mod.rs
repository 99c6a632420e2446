//! This machine's microphone and speaker, through `cpal`.
//!
//! ```text
//!  microphone ── streams ── ring ── capture ─┐                       thread of the tick
//!                                            ├─ echo ── line ──▶ frames of a lane
//!      what was played ──── ring ── capture ─┘          line ◀── the agent's audio
//!  speaker ───── streams ── ring ── playback ◀────────────┘
//!                    └── keeper: opens, closes, opens anew
//! ```
//!
//! A device has a clock of its own ([`beat`]). Ticks are paced by the system's; what is recorded, what was really
//! played and what is to be played are resampled to it, each by what its device is off at the moment, so that delays
//! stay as they are for hours, and echo is where it was. Echo is taken out at the edge: the session hears a participant
//! like any other, and a call with a microphone replays as any other does.
//!
//! **Invariant:** the thread of the tick waits for no device, and no device's thread waits for it.

pub mod beat;
pub mod capture;
pub mod choice;
pub mod echo;
pub mod follow;
pub mod keeper;
pub mod line;
pub mod playback;
pub mod probe;
mod server;
mod streams;
pub mod trouble;
