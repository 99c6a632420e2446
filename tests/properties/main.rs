//! What holds of the parts of the audio path and of the floor, whatever is done with them.
//!
//! Playout and floor are played beside a model of a few lines that has none of their cleverness; the
//! same operations go to both, and what comes out must be the same.

mod floor;
mod jitter;
mod playout;
mod rates;
