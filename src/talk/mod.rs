//! The talk itself: what was said ([`transcript`]), who may speak ([`floor`]), and words compared as
//! people would ([`words`]).
//!
//! **Invariant:** decisions are made from tick indices alone; nothing here touches audio or text
//! engines.

pub mod floor;
pub mod transcript;
pub mod words;
