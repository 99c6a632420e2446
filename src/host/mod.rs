//! Real time: sessions stepped when their ticks are due, on threads of their own.
//!
//! A [`shard`] is a thread with many slots; [`pace`] is the only place that reads a clock or sleeps; a
//! [`watchdog`] sees to it that a shard in the real-time class leaves something of the machine to
//! others; [`overload`] says what is left out when there is too much to do; [`sessions`] are the directory of those of several shards; [`laps`] are the times of a tick's phases; [`tools`] are the hands of a live session, with
//! workers for everything that may wait; [`ink`] brings journals to disk, and an [`archive`] keeps them
//! for as long as it is told; `codec`, `inlets`, `packets` and `wire`, where Opus is built in, carry
//! audio to and from a network.
//!
//! **Invariant:** the thread of a tick never waits for anything but the next tick.

pub mod archive;
pub mod budget;
#[cfg(feature = "opus")]
pub mod codec;
pub mod disk;
pub mod ink;
#[cfg(feature = "opus")]
pub mod inlets;
pub mod laps;
pub mod load;
pub mod notice;
pub mod overload;
pub mod pace;
#[cfg(feature = "opus")]
pub mod packets;
#[cfg(feature = "opus")]
mod ring;
pub mod sessions;
pub mod shard;
pub mod standby;
pub mod tenants;
pub mod tools;
#[cfg(feature = "opus")]
pub mod transcoder;
#[cfg(not(feature = "opus"))]
#[path = "no_transcoder.rs"]
pub mod transcoder;
pub mod watchdog;
#[cfg(feature = "opus")]
pub mod wire;
mod workers;
