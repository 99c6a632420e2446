//! LiveKit rooms, in pure Rust.
pub mod address;
pub mod bell;
pub mod media;
pub mod network;
pub mod paths;
pub mod red;
pub mod seen;
pub mod signal;
pub mod tls;
pub mod token;
