//! What the session says to the room: its state, both sides' transcripts, answers, calls and data.

use std::time::Duration;

use livekit_protocol::data_packet::Value;
use livekit_protocol::{DataPacket, SipDtmf, UserPacket};

use super::{End, Stay};
use crate::host::pace::Moment;
use crate::host::tools::{RoomAct, RoomCall};
use crate::id::LaneId;
use crate::livekit::edge::Notice;
use crate::livekit::herald::Source;
use crate::livekit::names;
use crate::livekit::rpc::{nobody, response};
use crate::livekit::telephone::{Dialled, Transfer};
use crate::session::output::RpcError;

impl Stay {
    /// A notice of the session's.
    pub fn notice(&mut self, notice: Notice) {
        let mut packets = Vec::new();
        match notice {
            Notice::Begun => self.begun = true,
            Notice::State(state) => self.show(names::state(state)),
            Notice::Heard { lane, utterance, text, last } => {
                // Whoever has left has still said it.
                if let (Some((identity, track)), Some(herald)) =
                    (self.roster.speaker(lane), self.herald.as_mut())
                {
                    let source = Source { identity, track };
                    herald.heard(source, (lane, utterance), (&text, last), &mut packets);
                }
            }
            Notice::Announced { item, text } => {
                if let Some(herald) = &mut self.herald {
                    herald.announced(item, text);
                }
            }
            Notice::More { item, text } => {
                if let Some(herald) = &mut self.herald {
                    herald.more(item, &text);
                }
            }
            Notice::Said { item, bytes } => {
                if let Some(herald) = &mut self.herald {
                    herald.said(item, bytes, &mut packets);
                }
            }
            Notice::Over { item, cut } => {
                if let Some(herald) = &mut self.herald {
                    herald.over(item, cut, &mut packets);
                }
            }
            Notice::Answer { request, answer } => {
                if let Some((from, id)) = self.requests.answer(request) {
                    self.to(&from, Value::RpcResponse(response(&id, answer)));
                }
            }
            Notice::Ended => self.end(End::Left),
        }
        for packet in packets {
            self.packet(true, packet);
        }
    }

    /// A call of one of the room's tools.
    pub fn call(&mut self, now: Moment, call: RoomCall) {
        match call.what.clone() {
            RoomAct::Rpc { method, to, payload, timeout_ms } => {
                let Some(to) = to.or_else(|| self.identity(call.lane)) else {
                    return call.finish(Err(nobody()));
                };
                if !self.others.contains(&to) {
                    return call.finish(Err(nobody()));
                }
                self.next_call += 1;
                let id = format!("{}-call-{}", self.me.sid, self.next_call);
                match self.calls.begin(now, id, &to, (method, payload, timeout_ms), call) {
                    Ok(request) => self.to(&to, Value::RpcRequest(request)),
                    Err((call, error)) => call.finish(Err(error)),
                }
            }
            RoomAct::Digits(digits) => {
                for digit in digits.chars() {
                    let (code, digit) = (code(digit), digit.to_string());
                    let value = Some(Value::SipDtmf(SipDtmf { code, digit }));
                    self.packet(true, DataPacket { value, ..DataPacket::default() });
                }
                call.finish(Ok("null".to_owned()));
            }
            RoomAct::Transfer { to, warm, timeout_ms } => match Dialled::read(&to) {
                Some(Ok(to)) => {
                    let room = self.room.as_ref().map(|room| room.name.clone()).unwrap_or_default();
                    let caller = self.identity(call.lane);
                    let patience = Duration::from_millis(timeout_ms.into());
                    self.out
                        .transfers
                        .push_back((Transfer { room, caller, to, warm, patience }, call));
                }
                Some(Err(why)) => call.finish(Err(RpcError::new(RpcError::APPLICATION, why))),
                None if self.others.contains(&to) => call.finish(Ok("null".to_owned())),
                None => call.finish(Err(nobody())),
            },
            RoomAct::Data { topic, reliable, to, payload } => {
                let destination_identities: Vec<String> = to.into_iter().collect();
                let user = UserPacket {
                    payload: payload.into_bytes(),
                    topic: Some(topic),
                    ..UserPacket::default()
                };
                let packet = DataPacket {
                    destination_identities,
                    value: Some(Value::User(user)),
                    ..DataPacket::default()
                };
                self.packet(reliable, packet);
            }
        }
    }

    fn identity(&self, lane: Option<LaneId>) -> Option<String> {
        let known = match lane {
            Some(lane) => self.roster.by_lane(lane),
            None => self.roster.present().first(),
        };
        known.map(|known| known.identity.clone())
    }

    /// Calls whose time is over fail.
    pub fn expire(&mut self, now: Moment) {
        while let Some((reliable, packet)) = self.early.expired(now) {
            self.used(now, reliable, packet);
        }
        for (call, error) in self.calls.expire(now) {
            call.finish(Err(error));
        }
    }

    /// When the next call expires.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        self.calls.deadline()
    }
}

/// The number of a key, as RFC 4733 has it.
fn code(digit: char) -> u32 {
    match digit {
        '*' => 10,
        '#' => 11,
        'A'..='D' => digit as u32 - 'A' as u32 + 12,
        digit => digit.to_digit(10).unwrap_or_default(),
    }
}
