//! Real time: sessions stepped when their ticks are due, on threads of their own.
//!
//! A [`shard`] is a thread with many slots; [`pace`] is the only place that reads a clock or sleeps;
//! [`tools`] are the hands of a live session, with workers for everything that may wait;
//! [`ink`] brings journals to disk.
//!
//! **Invariant:** the thread of a tick never waits for anything but the next tick.

pub mod ink;
pub mod pace;
pub mod shard;
pub mod tools;
