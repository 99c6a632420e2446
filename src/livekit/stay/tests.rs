use livekit_protocol::data_packet::Value;
use livekit_protocol::{
    ConnectionQualityInfo, ConnectionQualityUpdate, DataPacket, JoinResponse, ParticipantUpdate,
    RoomUpdate, RpcRequest, SipDtmf, TrackInfo, TrackPublishedResponse, TrackSubscribed, TrackType,
    UserPacket, participant_info,
};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::host::pace::Clock;
use crate::id::RequestId;
use crate::livekit::edge::Notice;
use crate::session::output::{AgentState, RpcError};
use signal_response::Message;

fn person(identity: &str, sid: &str) -> ParticipantInfo {
    ParticipantInfo {
        identity: identity.to_owned(),
        sid: sid.to_owned(),
        state: livekit_protocol::participant_info::State::Active as i32,
        ..ParticipantInfo::default()
    }
}

fn me() -> ParticipantInfo {
    let permission = ParticipantPermission {
        can_subscribe: true,
        can_publish: true,
        can_publish_data: true,
        can_update_metadata: true,
        ..ParticipantPermission::default()
    };
    let kind = livekit_protocol::participant_info::Kind::Agent as i32;
    ParticipantInfo { permission: Some(permission), kind, ..person("agent-1", "PA_me") }
}

/// A stay in a room with ann, whose values up to then are taken.
fn stay() -> (Stay, Moment) {
    let now = Clock::default().now();
    let agent = Agent { name: "desk".into(), track: "cid".into(), ..Agent::default() };
    let mut stay = Stay::new(now, agent);
    stay.joined(
        now,
        JoinResponse {
            room: Some(Room { sid: "RM_1".into(), name: "lobby".into(), ..Room::default() }),
            participant: Some(me()),
            other_participants: vec![person("ann", "PA_ann")],
            ..JoinResponse::default()
        },
    );
    stay.signal(
        now,
        Message::TrackPublished(TrackPublishedResponse {
            cid: "cid".into(),
            track: Some(TrackInfo { sid: "TR_me".into(), ..TrackInfo::default() }),
        }),
    );
    assert_eq!(
        stay.out.changes,
        [Change::Joined { lane: LaneId(0), name: "ann".into() }],
        "who was there before has a lane"
    );
    stay.out.changes.clear();
    stay.notice(Notice::Begun);
    (stay, now)
}

fn from(identity: &str, value: Value) -> Vec<u8> {
    let participant_identity = identity.to_owned();
    DataPacket { participant_identity, value: Some(value), ..DataPacket::default() }.encode_to_vec()
}

fn user(topic: &str, payload: &[u8]) -> Value {
    Value::User(UserPacket {
        topic: Some(topic.to_owned()),
        payload: payload.to_vec(),
        ..UserPacket::default()
    })
}

fn values(stay: &mut Stay) -> Vec<Inbound> {
    let values = std::mem::take(&mut stay.out.changes).into_iter();
    values
        .filter_map(|change| match change {
            Change::Value(value) => Some(value),
            _ => None,
        })
        .collect()
}

#[test]
fn what_others_send_becomes_values() {
    let (mut stay, now) = stay();
    let lane = LaneId(0);
    stay.data(now, false, &from("ann", user("pointer", b"[1,2]")));
    stay.data(now, true, &from("ann", user("lk-chat-topic", br#"{"message":"hi"}"#)));
    let both = br#"{"message":"hi","ignoreLegacy":true}"#;
    stay.data(now, true, &from("ann", user("lk-chat-topic", both)));
    let five = SipDtmf { code: 5, ..SipDtmf::default() };
    stay.data(now, true, &from("ann", Value::SipDtmf(five)));
    let hash = SipDtmf { code: 0, digit: "#".into() };
    stay.data(now, true, &from("ann", Value::SipDtmf(hash)));
    let data = |lane, topic: &str, bytes: &[u8], reliable| {
        let (topic, bytes) = (topic.to_owned(), bytes.to_vec());
        Inbound::Data { lane, topic, bytes, reliable }
    };
    assert_eq!(
        values(&mut stay),
        [
            data(Some(lane), "pointer", b"[1,2]", false),
            Inbound::UserText { lane, text: "hi".into() },
            Inbound::Digit { lane, digit: '5' },
            Inbound::Digit { lane, digit: '#' },
        ]
    );
    // The server's own data has no identity.
    stay.data(now, true, &from("", user("news", b"x")));
    assert_eq!(values(&mut stay), [data(None, "news", b"x", true)]);
}

#[test]
fn what_is_of_no_use_is_counted_and_ends_nothing() {
    let (mut stay, now) = stay();
    stay.data(now, true, &[0xff; 40]);
    stay.data(now, true, &DataPacket::default().encode_to_vec());
    stay.data(now, true, &from("agent-1", user("x", b"said in the agent's name")));
    stay.data(now, true, &from("ann", user("x", &vec![0; 16 << 10])));
    stay.data(now, true, &from("ann", user("lk-chat-topic", b"no json")));
    let odd = SipDtmf { code: 99, ..SipDtmf::default() };
    stay.data(now, true, &from("ann", Value::SipDtmf(odd)));
    assert_eq!(values(&mut stay), []);
    let counts = stay.counts();
    assert_eq!((counts.malformed, counts.unused, counts.oversized), (3, 2, 1));
    assert_eq!(stay.out.end, None);
}

#[test]
fn a_flood_is_cut_off_and_others_are_heard() {
    let (mut stay, now) = stay();
    for _ in 0..1_000 {
        stay.data(now, false, &from("ann", user("x", b"1")));
    }
    stay.data(now, false, &from("bob", user("x", b"2")));
    assert_eq!(values(&mut stay).len(), VALUES_A_SECOND as usize + 1);
    assert_eq!(stay.counts().flooded, 1_000 - u64::from(VALUES_A_SECOND));
    stay.data(now.after_ns(1_000_000_000), false, &from("ann", user("x", b"1")));
    assert_eq!(values(&mut stay).len(), 1, "a second later, there is room again");
}

#[test]
fn a_request_is_acknowledged_given_to_the_session_and_answered() {
    let (mut stay, now) = stay();
    let request = |id: &str, payload: &str| {
        Value::RpcRequest(RpcRequest {
            id: id.into(),
            method: "look".into(),
            payload: payload.into(),
            response_timeout_ms: 5_000,
            version: 1,
            ..RpcRequest::default()
        })
    };
    stay.data(now, true, &from("ann", request("a", "{}")));
    let expected = Inbound::Request {
        request: RequestId(0),
        lane: Some(LaneId(0)),
        method: "look".into(),
        payload: "{}".into(),
    };
    assert_eq!(values(&mut stay), [expected]);
    stay.notice(Notice::Answer { request: RequestId(0), answer: Ok("7".into()) });
    let sent: Vec<_> = stay.out.packets.drain(..).map(|(_, packet)| packet).collect();
    assert!(sent.iter().all(|packet| packet.destination_identities == ["ann"]));
    assert!(matches!(sent[0].value, Some(Value::RpcAck(_))));
    let Some(Value::RpcResponse(response)) = &sent[1].value else { panic!("{:?}", sent[1]) };
    assert_eq!(response.request_id, "a");
    // One that is too large is answered without the session.
    stay.data(now, true, &from("ann", request("b", &"x".repeat(16 << 10))));
    assert_eq!(values(&mut stay), []);
    let refused = stay.out.packets.iter().any(|(_, packet)| {
        matches!(&packet.value, Some(Value::RpcResponse(response))
            if matches!(&response.value, Some(livekit_protocol::rpc_response::Value::Error(error))
                if error.code == RpcError::REQUEST_TOO_LARGE))
    });
    assert!(refused);
    assert_eq!(stay.counts().requests_refused, 1);
}

#[test]
fn the_state_is_shown_once_it_changes_and_only_where_permitted() {
    let (mut stay, now) = stay();
    stay.notice(Notice::State(AgentState::Speaking));
    stay.notice(Notice::State(AgentState::Speaking));
    let shown: Vec<_> = stay.out.signals.drain(..).collect();
    let [signal_request::Message::UpdateMetadata(update)] = shown.as_slice() else {
        panic!("{shown:?}")
    };
    assert_eq!(update.attributes[names::STATE], "speaking");
    // The server takes the permission away.
    let mut without = me();
    without.permission = Some(ParticipantPermission::default());
    stay.signal(now, Message::Update(ParticipantUpdate { participants: vec![without] }));
    stay.notice(Notice::State(AgentState::Listening));
    assert!(stay.out.signals.is_empty());
    assert_eq!(stay.lacks(), [Lack::Publish, Lack::Subscribe, Lack::Data, Lack::Attributes]);
}

#[test]
fn somebody_hears_the_agent_once_its_track_is_subscribed_to() {
    let (mut stay, now) = stay();
    assert!(stay.has_company() && !stay.is_heard());
    stay.signal(now, Message::TrackSubscribed(TrackSubscribed { track_sid: "TR_other".into() }));
    assert!(!stay.is_heard());
    stay.signal(now, Message::TrackSubscribed(TrackSubscribed { track_sid: "TR_me".into() }));
    assert!(stay.is_heard());
}

#[test]
fn a_microphone_is_subscribed_to_as_soon_as_it_is_there() {
    let (mut stay, now) = stay();
    let track =
        TrackInfo { sid: "TR_ann".into(), r#type: TrackType::Audio as i32, ..TrackInfo::default() };
    let ann = ParticipantInfo { tracks: vec![track], ..person("ann", "PA_ann") };
    stay.signal(now, Message::Update(ParticipantUpdate { participants: vec![ann] }));
    let signals: Vec<_> = stay.out.signals.drain(..).collect();
    let [signal_request::Message::Subscription(update)] = signals.as_slice() else {
        panic!("{signals:?}")
    };
    assert!(update.subscribe);
    assert_eq!(update.track_sids, ["TR_ann"]);
    assert_eq!(stay.roster().lane_of_track("TR_ann"), Some(LaneId(0)));
}

#[test]
fn messages_about_another_room_are_dropped_and_counted() {
    let (mut stay, now) = stay();
    let room = |sid: &str, metadata: &str| {
        let (sid, metadata) = (sid.to_owned(), metadata.to_owned());
        Message::RoomUpdate(RoomUpdate { room: Some(Room { sid, metadata, ..Room::default() }) })
    };
    stay.signal(now, room("RM_2", "elsewhere"));
    assert_eq!((values(&mut stay), stay.counts().other_room), (vec![], 1));
    stay.signal(now, room("RM_1", "here"));
    assert_eq!(values(&mut stay), [Inbound::Metadata { lane: None, text: "here".into() }]);
    let quality = |sid: &str| ConnectionQualityInfo {
        participant_sid: sid.to_owned(),
        quality: ConnectionQuality::Poor as i32,
        ..ConnectionQualityInfo::default()
    };
    let updates = vec![quality("PA_me"), quality("PA_ann"), quality("PA_nobody")];
    stay.signal(now, Message::ConnectionQuality(ConnectionQualityUpdate { updates }));
    let told = |lane| Inbound::Quality { lane, quality: Quality::Poor };
    assert_eq!(values(&mut stay), [told(None), told(Some(LaneId(0)))]);
}

#[test]
fn every_way_out_has_a_name() {
    for (reason, end) in [
        (DisconnectReason::RoomDeleted, End::RoomDeleted),
        (DisconnectReason::ParticipantRemoved, End::Removed),
        (DisconnectReason::DuplicateIdentity, End::DuplicateIdentity),
        (DisconnectReason::RoomClosed, End::RoomClosed),
        (DisconnectReason::UserRejected, End::Other("user_rejected".into())),
    ] {
        let (mut stay, now) = stay();
        let leave = LeaveRequest { reason: reason as i32, ..LeaveRequest::default() };
        stay.signal(now, Message::Leave(leave));
        stay.end(End::Left);
        assert_eq!(stay.out.end, Some(end), "the first reason stands");
    }
}

#[test]
fn a_server_that_has_lost_the_audio_wants_it_taken_up_anew() {
    let (mut stay, now) = stay();
    let leave = LeaveRequest {
        reason: DisconnectReason::ConnectionTimeout as i32,
        action: Action::Resume as i32,
        ..LeaveRequest::default()
    };
    stay.signal(now, Message::Leave(leave));
    assert_eq!((stay.out.resume, stay.out.end.clone()), (true, None));
}

#[test]
fn who_types_before_the_server_tells_of_them_is_heard() {
    let (mut stay, now) = stay();
    let chat = |from: &str, text: &str| DataPacket {
        participant_identity: from.into(),
        value: Some(Value::ChatMessage(livekit_protocol::ChatMessage {
            message: text.into(),
            ..livekit_protocol::ChatMessage::default()
        })),
        ..DataPacket::default()
    };
    for text in ["hello", "is anybody there"] {
        stay.data(now, true, &chat("bob", text).encode_to_vec());
    }
    // A flood of somebody else's finds no room, and takes none of his.
    for _ in 0..1_000 {
        stay.data(now, true, &chat("nobody", "x").encode_to_vec());
    }
    assert_eq!(values(&mut stay), []);
    let participants = vec![person("bob", "PA_bob")];
    stay.signal(now, Message::Update(ParticipantUpdate { participants }));
    let typed = |text: &str| Inbound::UserText { lane: LaneId(1), text: text.into() };
    assert_eq!(values(&mut stay), [typed("hello"), typed("is anybody there")]);
    let unused = stay.counts().unused;
    stay.expire(now.after_ns(6_000_000_000));
    assert_eq!(values(&mut stay), []);
    assert!(stay.counts().unused > unused, "of the one who never came");
}

#[test]
fn a_server_that_does_not_mean_the_call_to_end_is_joined_anew() {
    for reason in [
        DisconnectReason::ServerShutdown,
        DisconnectReason::StateMismatch,
        DisconnectReason::ConnectionTimeout,
    ] {
        for action in [Action::Disconnect, Action::Reconnect] {
            let (mut stay, now) = stay();
            let (reason, action) = (reason as i32, action as i32);
            let leave = LeaveRequest { reason, action, ..LeaveRequest::default() };
            stay.signal(now, Message::Leave(leave));
            assert_eq!((stay.out.anew, stay.out.end.clone()), (true, None), "{reason} {action}");
        }
    }
}

#[test]
fn who_is_joined_anew_finds_the_same_people_on_the_same_lanes() {
    let (mut stay, now) = stay();
    let track = |sid: &str| TrackInfo {
        sid: sid.into(),
        r#type: TrackType::Audio as i32,
        ..TrackInfo::default()
    };
    let with =
        |identity: &str, sid: &str, tracks| ParticipantInfo { tracks, ..person(identity, sid) };
    let ann = with("ann", "PA_ann", vec![track("TR_ann")]);
    let bob = with("bob", "PA_bob", vec![track("TR_bob")]);
    let people = vec![ann.clone(), bob, person("cleo", "PA_cleo")];
    stay.signal(now, Message::Update(ParticipantUpdate { participants: people }));
    let lanes = |stay: &Stay| -> Vec<(String, u16)> {
        let present = stay.roster().present().iter();
        present.map(|known| (known.identity.clone(), known.lane.0)).collect()
    };
    let before = lanes(&stay);
    stay.out = Out::default();

    // Ann is as she was, Bob has come anew as well, Cleo is gone, and Dan has come.
    let bob = with("bob", "PA_bob_2", vec![track("TR_bob_2")]);
    let join = JoinResponse {
        participant: Some(person("agent", "PA_me_2")),
        room: Some(Room { sid: "RM_2".into(), ..Room::default() }),
        other_participants: vec![ann, bob, person("dan", "PA_dan")],
        ..JoinResponse::default()
    };
    stay.joined_anew(now, join);
    assert_eq!(stay.me().sid, "PA_me_2");
    let asked: Vec<String> = stay
        .out
        .signals
        .iter()
        .filter_map(|signal| match signal {
            signal_request::Message::Subscription(update) => Some(update.track_sids[0].clone()),
            _ => None,
        })
        .collect();
    assert_eq!(asked, ["TR_ann", "TR_bob_2"], "each track is asked for on this connection");
    let mut told = Vec::new();
    for change in &stay.out.changes {
        match change {
            Change::Joined { lane, .. } => told.push(("joined", lane.0)),
            Change::Left { lane, .. } => told.push(("left", lane.0)),
            _ => {}
        }
    }
    let lane =
        |who: &str| before.iter().find(|(identity, _)| identity == who).map(|(_, lane)| *lane);
    let (Some(of_bob), Some(of_cleo)) = (lane("bob"), lane("cleo")) else { panic!("{before:?}") };
    let dan = lanes(&stay).iter().find(|(identity, _)| identity == "dan").map(|(_, lane)| *lane);
    assert_eq!(
        told,
        [("left", of_cleo), ("left", of_bob), ("joined", of_bob), ("joined", dan.unwrap_or(0))],
        "of Ann there is nothing to tell"
    );
}

#[test]
fn what_somebody_who_has_left_has_said_is_published() {
    let (mut stay, now) = stay();
    let track =
        TrackInfo { sid: "TR_ann".into(), r#type: TrackType::Audio as i32, ..TrackInfo::default() };
    let ann = ParticipantInfo { tracks: vec![track], ..person("ann", "PA_ann") };
    let gone = ParticipantInfo {
        state: participant_info::State::Disconnected as i32,
        ..person("ann", "PA_ann")
    };
    stay.signal(now, Message::Update(ParticipantUpdate { participants: vec![ann, gone] }));
    let utterance = crate::id::UtteranceId(0);
    stay.notice(Notice::Heard { lane: LaneId(0), utterance, text: "bye".into(), last: true });
    let sent = stay.out.packets.iter().find_map(|(_, packet)| match &packet.value {
        Some(Value::StreamHeader(header)) => Some((packet, header)),
        _ => None,
    });
    let (packet, header) = sent.unwrap();
    assert_eq!(packet.participant_identity, "ann");
    assert_eq!(header.attributes[names::TRACK], "TR_ann");
}

#[test]
fn whoever_comes_after_everybody_has_left_has_not_heard_the_agent() {
    let (mut stay, now) = stay();
    stay.signal(now, Message::TrackSubscribed(TrackSubscribed { track_sid: "TR_me".into() }));
    let gone = ParticipantInfo {
        state: participant_info::State::Disconnected as i32,
        ..person("ann", "PA_ann")
    };
    let bob = person("bob", "PA_bob");
    stay.signal(now, Message::Update(ParticipantUpdate { participants: vec![gone, bob] }));
    assert!(stay.has_company() && !stay.is_heard());
}

#[test]
fn a_flood_of_attributes_is_cut_off_and_the_last_ones_are_known_later() {
    let (mut stay, now) = stay();
    let ann = |value: u32| {
        let attributes = [("a".to_owned(), value.to_string())].into();
        let info = ParticipantInfo { attributes, ..person("ann", "PA_ann") };
        Message::Update(ParticipantUpdate { participants: vec![info] })
    };
    (0..1_000).for_each(|value| stay.signal(now, ann(value)));
    assert_eq!(values(&mut stay).len(), VALUES_A_SECOND as usize);
    stay.signal(now.after_ns(1_000_000_000), ann(999));
    assert_eq!(values(&mut stay).len(), 1);
}

#[test]
fn a_request_before_the_call_begins_is_refused() {
    let now = Clock::default().now();
    let agent = Agent { name: "desk".into(), track: "cid".into(), ..Agent::default() };
    let mut stay = Stay::new(now, agent);
    let request = RpcRequest { id: "a".into(), version: 1, ..RpcRequest::default() };
    stay.data(now, true, &from("ann", Value::RpcRequest(request)));
    assert_eq!(stay.out.packets.len(), 2, "an acknowledgement, and an error");
    assert_eq!(values(&mut stay), []);
}

proptest! {
    #[test]
    fn whatever_comes_nothing_grows_without_bound(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..100),
    ) {
        let (mut stay, now) = stay();
        for packet in &packets {
            stay.data(now, true, packet);
            if let Ok(Some(message)) = super::super::signal::read(packet) {
                stay.signal(now, message);
            }
        }
        prop_assert!(stay.out.packets.len() <= PACKETS_WAITING);
        prop_assert!(stay.out.changes.len() <= 2 * packets.len());
    }
}
