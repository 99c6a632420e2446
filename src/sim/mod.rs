//! Virtual time: the same sessions, stepped as fast as they go.
//!
//! A [`world`] steps one slot until it ends. Its edges are virtual: a [`caller`] that plays clips and
//! types texts at cues, through a [`network`] with seeded faults; [`tools`] that are waited for; and a
//! [`replay`] that gives back what a journal has recorded.
//!
//! A [`trial`] is a random call of a configuration in bad [`weather`], under [`invariants`]: the way to
//! find out what an agent does when everything around it fails.
//!
//! **Invariant:** time waits: nothing here depends on how long anything takes.

pub mod caller;
pub mod invariants;
pub mod network;
pub mod replay;
pub mod tools;
pub mod trial;
pub mod weather;
pub mod world;
