//! Antiphon: a real-time voice agent gateway.
//!
//! A **session** is a deterministic state machine that turns *(tick, what arrived)* into *(audio to
//! play, effects to perform)*.

pub mod clock;
pub mod id;
pub mod seed;

pub mod pcm;
pub mod talk;
pub mod tool;

pub mod config;
pub mod graph;
pub mod think;

pub mod session;

pub mod journal;
pub mod slot;
pub mod sim;

pub mod model;

pub mod host;
pub mod record;

#[cfg(feature = "cli")]
pub mod cli;
