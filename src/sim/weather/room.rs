//! What a room says besides audio, drawn: of those who are there, and of one who is not.

use std::collections::BTreeMap;

use crate::id::{LaneId, RequestId};
use crate::seed::Seed;
use crate::session::input::{Inbound, LineState, Quality, TrackChange};

/// Methods that are called; a drawn configuration has the first two.
const METHODS: [&str; 3] = ["look", "ask", "nothing"];

/// A value of a room with so many participants; `number` is that of the request, if it is one.
pub(super) fn draw(seed: &mut Seed, lanes: u16, number: u32) -> Inbound {
    let lane = LaneId(seed.below(u64::from(lanes) + 1) as u16);
    let of = |seed: &mut Seed| (seed.below(3) > 0).then_some(lane);
    let text = |seed: &mut Seed| {
        ["", "\u{0}\u{202e}", "ready", "{\"n\": 1}", "[1]"][seed.below(5) as usize].to_owned()
    };
    match seed.below(14) {
        0 => {
            let changes = [
                TrackChange::Published,
                TrackChange::Unpublished,
                TrackChange::Muted,
                TrackChange::Unmuted,
                TrackChange::Refused("it is encrypted".to_owned()),
            ];
            let change = changes[seed.below(5) as usize].clone();
            Inbound::Track { lane, change }
        }
        1 => Inbound::Speaking { lane, speaking: seed.below(2) == 0 },
        2 => {
            let changed: BTreeMap<String, String> =
                (0..seed.below(90)).map(|n| (format!("key {n}"), text(seed))).collect();
            Inbound::Attributes { lane, changed }
        }
        3 => Inbound::Metadata { lane: of(seed), text: text(seed) },
        4 => {
            let bytes = [&b"plain"[..], &[0xC3, 0x28], b""][seed.below(3) as usize].to_vec();
            Inbound::Data { lane: of(seed), topic: text(seed), bytes, reliable: true }
        }
        5 => {
            let all = [Quality::Excellent, Quality::Good, Quality::Poor, Quality::Lost];
            Inbound::Quality { lane: of(seed), quality: all[seed.below(4) as usize] }
        }
        6 => Inbound::Digit { lane, digit: ['0', '9', '*', '#', 'D', 'E'][seed.below(6) as usize] },
        7 => Inbound::Line { state: LineState::Lost("the wire is cut".to_owned()) },
        8 => Inbound::Line { state: LineState::Restored },
        _ => {
            let method = METHODS[seed.below(3) as usize].to_owned();
            let (request, lane, payload) = (RequestId(number), of(seed), text(seed));
            Inbound::Request { request, lane, method, payload }
        }
    }
}
