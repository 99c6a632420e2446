//! Virtual time: the same sessions, stepped as fast as they go.
//!
//! A [`world`] steps one slot until it ends. Its edges are virtual: a [`caller`] that plays clips and
//! types texts at cues, through a [`network`] with seeded faults; [`tools`] that are waited for; and a
//! [`replay`] that gives back what a journal has recorded.
//!
//! **Invariant:** time waits: nothing here depends on how long anything takes.

pub mod caller;
pub mod network;
pub mod replay;
pub mod tools;
pub mod world;
