//! Virtual time: the same sessions, stepped as fast as they go.
//!
//! A [`world`] steps one slot until it ends. Its edges are virtual: a [`caller`] that plays clips and
//! types texts at cues, through a [`network`] with seeded faults; [`tools`] that are waited for; and what a
//! journal has recorded: stepped by a [`player`], compared by a [`replay`], continued by a [`fork`], taken over by a [`resume`].
//!
//! A [`timeline`] is a call as text, the one text of it: for terminals, failing tests and documents.
//!
//! A [`trial`] is a random call of a configuration in bad [`weather`], under [`invariants`]: the way to
//! find out what an agent does when everything around it fails.
//!
//! A [`scenario`] is a call and what is expected of it, judged by its events.
//!
//! **Invariant:** time waits: nothing here depends on how long anything takes.

pub mod caller;
pub mod errands;
pub mod fork;
pub mod invariants;
mod memory;
pub mod network;
pub mod owed;
pub mod player;
pub mod recall;
pub mod replay;
pub mod resume;
pub mod scenario;
pub mod timeline;
pub mod tools;
pub mod trial;
pub mod weather;
pub mod world;
