//! Packets of others, on the data channels.

use livekit_protocol::data_packet::Value;
use livekit_protocol::{
    ChatMessage, DataPacket, RpcAck, RpcRequest, RpcResponse, SipDtmf, UserPacket,
};
use prost::Message as _;
use serde::Deserialize;

use super::Stay;
use crate::host::pace::Moment;
use crate::id::LaneId;
use crate::livekit::names;
use crate::livekit::rpc::{Requested, response};
use crate::livekit::streams::{Text, Useless};
use crate::session::input::Inbound;
use crate::session::output::RpcError;

/// The largest packet of data, in bytes: what LiveKit documents for its own clients.
const DATA_MAX: usize = 15 << 10;

/// The longest topic, in bytes.
const TOPIC_MAX: usize = 256;

impl Stay {
    /// A packet comes.
    pub fn data(&mut self, now: Moment, reliable: bool, bytes: &[u8]) {
        let Ok(packet) = DataPacket::decode(bytes) else {
            self.malformed();
            return;
        };
        let from = &packet.participant_identity;
        let is_known = *from == self.me.identity || self.others.contains(from);
        // Without an identity it is the server's own, of its API.
        if is_known || from.is_empty() || !needs_lane(&packet) {
            self.used(now, reliable, packet);
        } else {
            self.counts.unused += u64::from(!self.early.keep(now, reliable, bytes.len(), packet));
        }
    }

    /// A packet comes of somebody who is known.
    pub(super) fn used(&mut self, now: Moment, reliable: bool, packet: DataPacket) {
        let DataPacket { participant_identity: from, value: Some(value), .. } = packet else {
            self.counts.unused += 1;
            return;
        };
        if from == self.me.identity && !from.is_empty() {
            // The server does not send ours back; somebody who says so is not believed.
            self.counts.unused += 1;
            return;
        }
        let lane = self.roster.by_identity(&from).map(|known| known.lane);
        match value {
            Value::User(user) => self.user(now, reliable, (&from, lane), user),
            Value::SipDtmf(dtmf) => self.dtmf(now, &from, lane, &dtmf),
            Value::StreamHeader(header) => {
                let text = self.streams.begin(&from, header);
                self.stream(now, lane, text);
            }
            Value::StreamChunk(chunk) => {
                let added = self.streams.add(&from, &chunk).map(|()| None);
                self.stream(now, lane, added);
            }
            Value::StreamTrailer(trailer) => {
                let text = self.streams.end(&from, trailer).map(Some);
                self.stream(now, lane, text);
            }
            Value::ChatMessage(chat) => self.chat(now, &from, lane, chat),
            Value::RpcRequest(request) => self.requested(now, &from, lane, request),
            Value::RpcAck(ack) => self.calls.acknowledged(&from, &ack),
            Value::RpcResponse(answer) => self.answered(&from, answer),
            // Others' transcripts and figures are for people; what is encrypted has no key here.
            _ => self.counts.unused += 1,
        }
    }

    fn user(
        &mut self,
        now: Moment,
        reliable: bool,
        (from, lane): (&str, Option<LaneId>),
        user: UserPacket,
    ) {
        let topic = user.topic.unwrap_or_default();
        if user.payload.len() > DATA_MAX || topic.len() > TOPIC_MAX {
            self.counts.oversized += 1;
            return;
        }
        if topic == names::OLD_CHAT {
            return self.old_chat(now, from, lane, &user.payload);
        }
        self.sent(now, from, Inbound::Data { lane, topic, bytes: user.payload, reliable });
    }

    /// Typed text in the older form; a client that sends both says so.
    fn old_chat(&mut self, now: Moment, from: &str, lane: Option<LaneId>, payload: &[u8]) {
        #[derive(Deserialize)]
        struct Old {
            message: String,
            #[serde(default, rename = "ignoreLegacy")]
            ignore_legacy: bool,
        }
        match (serde_json::from_slice::<Old>(payload), lane) {
            (Ok(Old { ignore_legacy: true, .. }), _) => {}
            (Ok(Old { message: text, .. }), Some(lane)) => {
                self.sent(now, from, Inbound::UserText { lane, text });
            }
            (Ok(_), None) => self.counts.unused += 1,
            (Err(_), _) => self.malformed(),
        }
    }

    fn chat(&mut self, now: Moment, from: &str, lane: Option<LaneId>, chat: ChatMessage) {
        // What is edited, taken back or a transcript was not typed now.
        if chat.deleted || chat.generated || chat.edit_timestamp.is_some() {
            self.counts.unused += 1;
            return;
        }
        match lane {
            Some(_) if chat.message.len() > DATA_MAX => self.counts.oversized += 1,
            Some(lane) => self.sent(now, from, Inbound::UserText { lane, text: chat.message }),
            None => self.counts.unused += 1,
        }
    }

    fn dtmf(&mut self, now: Moment, from: &str, lane: Option<LaneId>, dtmf: &SipDtmf) {
        let digit = digit(dtmf);
        match (lane, digit) {
            (Some(lane), Some(digit)) => self.sent(now, from, Inbound::Digit { lane, digit }),
            (None, Some(_)) => self.counts.unused += 1,
            (_, None) => self.malformed(),
        }
    }

    fn stream(&mut self, now: Moment, lane: Option<LaneId>, text: Result<Option<Text>, Useless>) {
        match text {
            Ok(None) => {}
            Ok(Some(text)) => self.text(now, lane, text),
            Err(Useless::Bytes | Useless::Compressed | Useless::Stray) => self.counts.unused += 1,
            Err(Useless::Oversized) => self.counts.oversized += 1,
            Err(Useless::Malformed) => self.malformed(),
        }
    }

    fn text(&mut self, now: Moment, lane: Option<LaneId>, text: Text) {
        let Text { topic, from, text, .. } = text;
        if topic == names::CHAT {
            match lane {
                Some(lane) => self.sent(now, &from, Inbound::UserText { lane, text }),
                None => self.counts.unused += 1,
            }
        } else if topic == names::TRANSCRIPTION {
            // Another agent's.
            self.counts.unused += 1;
        } else if text.len() > DATA_MAX {
            self.counts.oversized += 1;
        } else {
            let value = Inbound::Data { lane, topic, bytes: text.into_bytes(), reliable: true };
            self.sent(now, &from, value);
        }
    }

    fn requested(&mut self, now: Moment, from: &str, lane: Option<LaneId>, request: RpcRequest) {
        if !self.may_send(now, from) {
            return;
        }
        let id = request.id.clone();
        if !self.begun {
            let error = RpcError::new(RpcError::APPLICATION, "the call has not begun");
            return self.refuse(from, id, error);
        }
        match self.requests.take(now, from, &request) {
            Requested::Again => {}
            Requested::New(number) => {
                self.to(from, Value::RpcAck(RpcAck { request_id: id }));
                let RpcRequest { method, payload, .. } = request;
                self.value(Inbound::Request { request: number, lane, method, payload });
            }
            Requested::Refused(error) => self.refuse(from, id, error),
        }
    }

    fn refuse(&mut self, from: &str, id: String, error: RpcError) {
        let short = id.chars().take(TOPIC_MAX).collect::<String>();
        self.to(from, Value::RpcAck(RpcAck { request_id: short.clone() }));
        self.to(from, Value::RpcResponse(response(&short, Err(error))));
    }

    fn answered(&mut self, from: &str, answer: RpcResponse) {
        match self.calls.answered(from, answer) {
            Some((call, answer)) => call.finish(answer),
            None => self.counts.unused += 1,
        }
    }

    /// Sends a packet to one participant.
    pub(super) fn to(&mut self, identity: &str, value: Value) {
        let destination_identities = vec![identity.to_owned()];
        let packet =
            DataPacket { destination_identities, value: Some(value), ..DataPacket::default() };
        self.packet(true, packet);
    }
}

/// Whether a packet is of use only if it is known whose lane it belongs to: what is typed or pressed.
fn needs_lane(packet: &DataPacket) -> bool {
    match &packet.value {
        Some(Value::User(user)) => user.topic.as_deref() == Some(names::OLD_CHAT),
        Some(
            Value::StreamHeader(_)
            | Value::StreamChunk(_)
            | Value::StreamTrailer(_)
            | Value::ChatMessage(_)
            | Value::SipDtmf(_),
        ) => true,
        _ => false,
    }
}

/// The key that was pressed: by its name, or by its code (RFC 4733).
fn digit(dtmf: &SipDtmf) -> Option<char> {
    const KEYS: &str = "0123456789*#ABCD";
    let mut named = dtmf.digit.chars();
    match (named.next(), named.next()) {
        (Some(key), None) => KEYS.chars().find(|known| *known == key.to_ascii_uppercase()),
        (None, _) => KEYS.chars().nth(dtmf.code as usize),
        (Some(_), Some(_)) => None,
    }
}
