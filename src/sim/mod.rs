//! Virtual time: the same sessions, stepped as fast as they go.
//!
//! A [`world`] steps one slot until it ends. Its edges are virtual: a [`caller`] that plays clips and
//! types texts at cues, through a [`network`] with seeded faults; [`tools`] that are waited for; and what a
//! journal has recorded: stepped by a [`player`], compared by a [`replay`], continued by a [`fork`].
//!
//! **Invariant:** time waits: nothing here depends on how long anything takes.

pub mod caller;
pub mod fork;
mod memory;
pub mod network;
pub mod player;
pub mod recall;
pub mod replay;
pub mod tools;
pub mod world;
