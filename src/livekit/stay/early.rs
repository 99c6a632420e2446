//! Packets of somebody of whom the server has not told yet.
//!
//! A server tells of those who publish nothing every three seconds only, and their packets go another way: who types
//! at once would not be heard.
//!
//! **Invariant:** what waits is bounded in number, size and time; what waits too long is used as it is.

use std::collections::VecDeque;

use livekit_protocol::DataPacket;

use crate::host::pace::Moment;

/// Packets that wait at most, of all identities.
const PACKETS_MAX: usize = 64;

/// Their size at most, in bytes.
const BYTES_MAX: usize = 256 << 10;

/// How long one waits, in nanoseconds: longer than the server takes to tell.
const WAIT_NS: u64 = 5_000_000_000;

/// The packets that wait, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Early {
    waiting: VecDeque<(Moment, bool, usize, DataPacket)>,
    bytes: usize,
}

impl Early {
    /// Keeps a packet of so many bytes. False if there is no room.
    pub(super) fn keep(
        &mut self,
        now: Moment,
        reliable: bool,
        size: usize,
        packet: DataPacket,
    ) -> bool {
        if self.waiting.len() >= PACKETS_MAX || self.bytes + size > BYTES_MAX {
            return false;
        }
        self.bytes += size;
        self.waiting.push_back((now, reliable, size, packet));
        true
    }

    /// Those of an identity that is known now.
    pub(super) fn of(&mut self, identity: &str) -> Vec<(bool, DataPacket)> {
        let is_of = |packet: &DataPacket| packet.participant_identity == identity;
        if !self.waiting.iter().any(|(_, _, _, packet)| is_of(packet)) {
            return Vec::new();
        }
        let mut of_it = Vec::new();
        for (since, reliable, size, packet) in std::mem::take(&mut self.waiting) {
            if is_of(&packet) {
                self.bytes -= size;
                of_it.push((reliable, packet));
            } else {
                self.waiting.push_back((since, reliable, size, packet));
            }
        }
        of_it
    }

    /// The next that has waited for too long: of somebody of whom the server does not tell.
    pub(super) fn expired(&mut self, now: Moment) -> Option<(bool, DataPacket)> {
        let (since, ..) = self.waiting.front()?;
        if now.since_ns(*since) < WAIT_NS {
            return None;
        }
        let (_, reliable, size, packet) = self.waiting.pop_front()?;
        self.bytes -= size;
        Some((reliable, packet))
    }
}
