//! The talk itself: what was said ([`transcript`]), who may speak ([`floor`]), words compared as people
//! would ([`words`]), words with gaps ([`template`]), pieces of words as whole sentences
//! ([`sentences`]), and names that are nearly another ([`near`]).
//!
//! **Invariant:** decisions are made from tick indices alone; nothing here touches audio or text
//! engines.

pub mod floor;
pub mod near;
pub mod sentences;
pub mod template;
pub mod transcript;
pub mod words;
