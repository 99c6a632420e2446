//! What is due when, in a stay.

use std::time::{Duration, Instant};

use super::entry::MEDIA_TIME;

/// When something is due.
pub(super) struct Timers {
    pub(super) media: Instant,
    pub(super) ping: Instant,
    pub(super) ping_every: Duration,
    /// The server was heard of.
    pub(super) heard: Instant,
    pub(super) ping_patience: Duration,
    /// By then there must be a way to the server.
    pub(super) path: Option<Instant>,
    /// The next try to find another.
    pub(super) restart: Option<Instant>,
    /// Since when somebody is there.
    pub(super) company: Option<Instant>,
    /// Since when there is a connection to the server.
    pub(super) up: Instant,
    /// When the room was joined anew last.
    pub(super) anew: Option<Instant>,
}

impl Timers {
    /// Those of a connection that has just come about.
    pub(super) fn new(at: Instant) -> Self {
        Self {
            media: at,
            ping: at + Duration::from_secs(5),
            ping_every: Duration::from_secs(5),
            heard: at,
            ping_patience: Duration::from_secs(15),
            path: Some(at + MEDIA_TIME),
            restart: None,
            company: None,
            up: at,
            anew: None,
        }
    }
}
