//! Servers of this process, over HTTP.
//!
//! A [`Server`](server::Server) has a thread of its own with everything that waits; [`access`] says who
//! may ask; [`scrape`] are the pages of the [meters](crate::record::Meters), [`health`] those of a worker, [`shed`] leaves pages out while there is too much to do, `page` is the page to talk to an agent
//! in a LiveKit room (feature `livekit`).
//!
//! **Invariant:** what can be reached from another machine asks for a token, and no client, however slow,
//! holds more than one of a bounded number of places for a bounded time.

pub mod access;
pub mod health;
#[cfg(feature = "livekit")]
mod local;
#[cfg(feature = "livekit")]
pub mod page;
mod places;
pub mod scrape;
pub mod server;
pub mod shed;
