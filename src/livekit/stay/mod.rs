//! A stay in a room: what the server and others say, and what is to be done about it.
//!
//! A value without a socket: messages, packets and notices go in; signals, packets and values for the
//! session come out, in [`Out`].
//!
//! **Invariant:** whatever comes from outside, it is bounded, counted where it is of no use, and never
//! ends the stay unless it is the server's word.

mod data;
mod early;
mod notices;
mod people;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use livekit_protocol::leave_request::Action;
use livekit_protocol::{
    ConnectionQuality, DataPacket, DisconnectReason, LeaveRequest, ParticipantInfo,
    ParticipantPermission, RequestResponse, Room, SessionDescription, SubscriptionResponse,
    TrickleRequest, UpdateParticipantMetadata, request_response, signal_request, signal_response,
};

use self::early::Early;
use super::herald::Herald;
use super::names;
use super::roster::{Change, Roster, Seat};
use super::rpc::{Calls, Requests};
use super::streams::Streams;
use super::telephone::Transfer;
use super::token::Lack;
use crate::host::pace::Moment;
use crate::host::tools::RoomCall;
use crate::id::LaneId;
use crate::session::input::{Inbound, Quality, TrackChange};

/// Packets that wait for the data channels to open, or to take them, at most.
const PACKETS_WAITING: usize = 512;

/// Values of one sender a second at most, beside audio: a person types, an interface reports. More is a
/// flood.
const VALUES_A_SECOND: u32 = 100;

/// Identities that are known at most.
const OTHERS_MAX: usize = 4_096;

/// Why a stay is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// This side left.
    Left,
    /// The room was deleted.
    RoomDeleted,
    /// The room was closed: nobody but agents was there any more.
    RoomClosed,
    /// The agent was removed from the room.
    Removed,
    /// Somebody with the same identity joined.
    DuplicateIdentity,
    /// The agent was moved to another room.
    Moved,
    /// The server ended it for a reason that has no name here; what it said.
    Other(String),
    /// The server was joined, but there is no way for audio to it; what was tried.
    NoPath(String),
    /// The connection was lost, and did not come back.
    Lost(String),
}

impl End {
    /// Whether it is the way in which stays end in good order.
    #[must_use]
    pub const fn is_orderly(&self) -> bool {
        matches!(self, Self::Left | Self::RoomDeleted | Self::RoomClosed)
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Left => f.write_str("the agent left the room"),
            Self::RoomDeleted => f.write_str("the room was deleted"),
            Self::RoomClosed => f.write_str("the room was closed"),
            Self::Removed => f.write_str("the agent was removed from the room"),
            Self::DuplicateIdentity => {
                f.write_str("another participant joined with the agent's identity")
            }
            Self::Moved => f.write_str("the agent was moved to another room"),
            Self::Other(reason) => write!(f, "the LiveKit server ended the call: {reason}"),
            Self::NoPath(tried) => write!(f, "no way for audio to the server; tried {tried}"),
            Self::Lost(reason) => write!(f, "the connection to the room was lost: {reason}"),
        }
    }
}

/// What the media connection is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum ForMedia {
    /// Take an answer.
    Answer(SessionDescription),
    /// Take a candidate.
    Candidate(String),
    /// Have so many more sections.
    Sections(u32),
}

/// What is to be done.
#[derive(Debug, Default)]
pub struct Out {
    /// Messages for the server.
    pub signals: VecDeque<signal_request::Message>,
    /// Packets for others, on the reliable channel or not.
    pub packets: VecDeque<(bool, DataPacket)>,
    /// What the session is to know.
    pub changes: VecDeque<Change>,
    /// What the media connection is to do.
    pub media: VecDeque<ForMedia>,
    /// What the one who runs the agent should know, in words.
    pub warnings: VecDeque<String>,
    /// Calls to be passed on to telephones, and who waits for that.
    pub transfers: VecDeque<(Transfer, RoomCall)>,
    /// The stay is over.
    pub end: Option<End>,
    /// A new token for the next connection.
    pub refreshed: Option<String>,
    /// The server has lost the audio, and wants the connection to be taken up anew.
    pub resume: bool,
    /// The server knows nothing of this stay any more, or not for long: the room is to be joined anew.
    pub anew: bool,
    /// Another one of the agent's identity has put it out: the room is to be joined anew, but not at once.
    pub put_out: bool,
}

/// What was of no use, as counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StayCounts {
    /// Messages and packets that cannot be read.
    pub malformed: u64,
    /// Packets of a kind that is not used: encrypted ones, bytes, compressed texts.
    pub unused: u64,
    /// Packets that are larger than what is taken.
    pub oversized: u64,
    /// Values beyond what one sender may send a second.
    pub flooded: u64,
    /// Messages about another room.
    pub other_room: u64,
    /// Packets for others that found no room.
    pub unsent: u64,
    /// Requests by RPC that were refused for what they are.
    pub requests_refused: u64,
    /// Participants beyond those who can have a lane.
    pub ignored: u64,
}

/// What the stay is told about the agent.
#[derive(Debug, Clone, Default)]
pub struct Agent {
    /// The name that is shown, in [`names::NAME`].
    pub name: String,
    /// The client's own id of the track.
    pub track: String,
    /// Whom to listen to, if not everybody.
    pub listen_to: Option<String>,
    /// Whether other agents are listened to.
    pub agents: bool,
    /// Whose lanes the session has already, if others have had it before.
    pub seats: Vec<Seat>,
    /// How often it comes back when another one of its identity has come.
    pub insists: u32,
}

/// The stay.
#[derive(Debug)]
pub struct Stay {
    agent: Agent,
    room: Option<Room>,
    me: ParticipantInfo,
    track: Option<String>,
    roster: Roster,
    streams: Streams,
    requests: Requests,
    calls: Calls<RoomCall>,
    herald: Option<Herald>,
    state: &'static str,
    /// Attributes cannot be set: it was said once.
    mute_attributes: bool,
    request: u32,
    /// Somebody hears the agent's track.
    heard: bool,
    /// The session runs.
    begun: bool,
    /// Everybody in the room but the agent, with a lane or without.
    others: BTreeSet<String>,
    /// What came of those of whom nothing is known yet.
    early: Early,
    second: Moment,
    values: BTreeMap<String, u32>,
    next_call: u64,
    counts: StayCounts,
    pub(super) out: Out,
}

impl Stay {
    /// A stay that begins.
    #[must_use]
    pub fn new(now: Moment, agent: Agent) -> Self {
        let roster = Roster::new(agent.listen_to.clone()).with_agents(agent.agents);
        let roster = roster.with_seats(&agent.seats);
        Self {
            agent,
            room: None,
            me: ParticipantInfo::default(),
            track: None,
            roster,
            streams: Streams::default(),
            requests: Requests::default(),
            calls: Calls::default(),
            herald: None,
            state: names::INITIALIZING,
            mute_attributes: false,
            request: 0,
            heard: false,
            begun: false,
            others: BTreeSet::new(),
            early: Early::default(),
            second: now,
            values: BTreeMap::new(),
            next_call: 0,
            counts: StayCounts::default(),
            out: Out::default(),
        }
    }

    /// What is to be done.
    pub const fn out(&mut self) -> &mut Out {
        &mut self.out
    }

    /// What was of no use.
    #[must_use]
    pub fn counts(&self) -> StayCounts {
        let (requests_refused, ignored) = (self.requests.refused(), self.roster.ignored());
        StayCounts { requests_refused, ignored, ..self.counts }
    }

    /// Counts a packet that could not be sent.
    pub const fn unsent(&mut self) {
        self.counts.unsent += 1;
    }

    /// Counts something that could not be read.
    pub const fn malformed(&mut self) {
        self.counts.malformed += 1;
    }

    /// The room's sid; empty until it was joined.
    #[must_use]
    pub fn room_sid(&self) -> String {
        self.room.as_ref().map(|room| room.sid.clone()).unwrap_or_default()
    }

    /// The agent as the server knows it.
    #[must_use]
    pub const fn me(&self) -> &ParticipantInfo {
        &self.me
    }

    /// The sid of the agent's track, once it is published.
    #[must_use]
    pub fn track(&self) -> Option<&str> {
        self.track.as_deref()
    }

    /// The client's own id of the agent's track.
    #[must_use]
    pub fn agent_track(&self) -> &str {
        &self.agent.track
    }

    /// Everybody with a lane.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Whose lanes the session has, if that has changed since it was asked last.
    pub fn moved(&mut self) -> Option<Vec<Seat>> {
        self.roster.moved()
    }

    /// Whether somebody is there, and hears the agent.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.heard && self.has_company()
    }

    /// Whether somebody is there.
    #[must_use]
    pub fn has_company(&self) -> bool {
        !self.roster.present().is_empty()
    }

    /// What the agent is in need of, as the server says. None before it was joined.
    #[must_use]
    pub fn lacks(&self) -> Vec<Lack> {
        let Some(may) = &self.me.permission else { return Vec::new() };
        let ParticipantPermission { can_subscribe, can_publish, can_publish_data, .. } = *may;
        let is_agent = self.me.kind() == livekit_protocol::participant_info::Kind::Agent;
        let lacks = [
            (Lack::Kind, is_agent),
            (Lack::Publish, can_publish),
            (Lack::Subscribe, can_subscribe),
            (Lack::Data, can_publish_data),
            (Lack::Attributes, may.can_update_metadata),
        ];
        lacks.into_iter().filter(|(_, granted)| !granted).map(|(lack, _)| lack).collect()
    }

    /// A message of the server's.
    pub fn signal(&mut self, now: Moment, message: signal_response::Message) {
        use signal_response::Message;
        match message {
            Message::Join(_) | Message::Pong(_) | Message::PongResp(_) | Message::Offer(_) => {}
            Message::Answer(answer) => self.out.media.push_back(ForMedia::Answer(answer)),
            Message::Trickle(TrickleRequest { candidate_init, .. }) => {
                self.out.media.push_back(ForMedia::Candidate(candidate_init));
            }
            Message::MediaSectionsRequirement(required) => {
                self.out.media.push_back(ForMedia::Sections(required.num_audios));
            }
            Message::Update(update) => {
                for info in update.participants {
                    self.participant(now, info);
                }
            }
            Message::TrackPublished(published) => {
                if published.cid == self.agent.track
                    && let Some(track) = published.track
                {
                    match &mut self.herald {
                        Some(herald) => herald.moved(&track.sid),
                        None => {
                            let (sid, me) = (&self.me.sid, &self.me.identity);
                            self.herald = Some(Herald::new(sid, me, &track.sid));
                        }
                    }
                    self.track = Some(track.sid);
                }
            }
            Message::TrackSubscribed(subscribed) => {
                self.heard |= self.track.as_ref() == Some(&subscribed.track_sid);
            }
            Message::SpeakersChanged(changed) => {
                let mut changes = Vec::new();
                let speakers = changed.speakers.iter().map(|s| (s.sid.as_str(), s.active));
                self.roster.speaking(speakers, &mut changes);
                self.out.changes.extend(changes);
            }
            Message::RoomUpdate(update) => {
                if let Some(room) = update.room {
                    self.room_changed(room);
                }
            }
            Message::ConnectionQuality(update) => {
                for quality in update.updates {
                    self.quality(&quality.participant_sid, quality.quality());
                }
            }
            Message::SubscriptionResponse(response) => self.subscription(&response),
            Message::SubscriptionPermissionUpdate(update) if !update.allowed => {
                if let Some(lane) = self.roster.lane_of_track(&update.track_sid) {
                    self.refused(lane, "the participant does not let the agent hear the track");
                }
            }
            Message::RequestResponse(response) => self.response(&response),
            Message::RefreshToken(token) => self.out.refreshed = Some(token),
            Message::RoomMoved(_) => self.end(End::Moved),
            Message::Leave(leave) => self.leave(&leave),
            // Of video, of data tracks, of what others do with ours.
            _ => {}
        }
    }

    fn room_changed(&mut self, room: Room) {
        let known = self.room.as_ref();
        if known.is_some_and(|known| !known.sid.is_empty() && known.sid != room.sid) {
            self.counts.other_room += 1;
            return;
        }
        self.room_is(Some(room));
    }

    /// The room is this one from now on; its metadata is told, if it is other than it was.
    fn room_is(&mut self, room: Option<Room>) {
        let former = std::mem::replace(&mut self.room, room);
        let Some(room) = &self.room else { return };
        if former.is_none_or(|former| former.metadata != room.metadata) {
            let text = room.metadata.clone();
            self.value(Inbound::Metadata { lane: None, text });
        }
    }

    fn quality(&mut self, sid: &str, quality: ConnectionQuality) {
        let lane = if sid == self.me.sid {
            None
        } else {
            let Some(known) = self.roster.by_sid(sid) else { return };
            Some(known.lane)
        };
        let quality = match quality {
            ConnectionQuality::Excellent => Quality::Excellent,
            ConnectionQuality::Good => Quality::Good,
            ConnectionQuality::Poor => Quality::Poor,
            ConnectionQuality::Lost => Quality::Lost,
        };
        self.value(Inbound::Quality { lane, quality });
    }

    fn subscription(&mut self, response: &SubscriptionResponse) {
        let Some(lane) = self.roster.lane_of_track(&response.track_sid) else { return };
        let why = format!("the server does not give the track: {}", response.err().as_str_name());
        self.refused(lane, &why);
    }

    fn refused(&mut self, lane: LaneId, why: &str) {
        let change = TrackChange::Refused(why.to_owned());
        self.value(Inbound::Track { lane, change });
    }

    fn response(&mut self, response: &RequestResponse) {
        if matches!(
            response.reason(),
            request_response::Reason::Ok | request_response::Reason::Queued
        ) {
            return;
        }
        let reason = response.reason().as_str_name();
        let of_attributes =
            matches!(response.request, Some(request_response::Request::UpdateMetadata(_)) | None);
        if of_attributes {
            if !std::mem::replace(&mut self.mute_attributes, true) {
                let why = format!("attributes cannot be set ({reason}): the state is not shown");
                self.out.warnings.push_back(why);
            }
        } else {
            let shown: String =
                response.message.chars().filter(|c| !c.is_control()).take(200).collect();
            self.out.warnings.push_back(format!("the server refused a request ({reason}) {shown}"));
        }
    }

    fn leave(&mut self, leave: &LeaveRequest) {
        if leave.action() == Action::Resume {
            self.out.resume = true;
            return;
        }
        let end = match leave.reason() {
            DisconnectReason::RoomDeleted => End::RoomDeleted,
            DisconnectReason::RoomClosed => End::RoomClosed,
            DisconnectReason::ParticipantRemoved => End::Removed,
            DisconnectReason::DuplicateIdentity if self.agent.insists > 0 => {
                self.agent.insists -= 1;
                self.out.put_out = true;
                return;
            }
            DisconnectReason::DuplicateIdentity => End::DuplicateIdentity,
            // Nobody means the call to end: the server restarts, or has lost its own state of it.
            DisconnectReason::ServerShutdown
            | DisconnectReason::Migration
            | DisconnectReason::ConnectionTimeout
            | DisconnectReason::StateMismatch
            | DisconnectReason::SignalClose
            | DisconnectReason::MediaFailure => {
                self.out.anew = true;
                return;
            }
            _ if leave.action() == Action::Reconnect => {
                self.out.anew = true;
                return;
            }
            other => End::Other(other.as_str_name().to_lowercase()),
        };
        self.end(end);
    }

    /// It is over; the first reason stands.
    pub fn end(&mut self, end: End) {
        self.out.end.get_or_insert(end);
    }

    /// Sets the agent's state, where others see it.
    pub fn show(&mut self, state: &'static str) {
        if self.state == state || self.me.sid.is_empty() {
            return;
        }
        self.state = state;
        let may = self.me.permission.as_ref().is_some_and(|may| may.can_update_metadata);
        if !may || self.mute_attributes {
            return;
        }
        self.request += 1;
        let attributes = HashMap::from([(names::STATE.to_owned(), state.to_owned())]);
        let update = UpdateParticipantMetadata {
            attributes,
            request_id: self.request,
            ..UpdateParticipantMetadata::default()
        };
        self.out.signals.push_back(signal_request::Message::UpdateMetadata(update));
    }

    /// The attributes with which the agent joins.
    #[must_use]
    pub fn first_attributes(&self) -> HashMap<String, String> {
        HashMap::from([
            (names::STATE.to_owned(), self.state.to_owned()),
            (names::NAME.to_owned(), self.agent.name.clone()),
        ])
    }

    fn value(&mut self, value: Inbound) {
        self.out.changes.push_back(Change::Value(value));
    }

    /// A value that somebody sent of their own accord, which may be too often.
    fn sent(&mut self, now: Moment, from: &str, value: Inbound) {
        if self.may_send(now, from) {
            self.value(value);
        }
    }

    fn may_send(&mut self, now: Moment, from: &str) -> bool {
        if now.since_ns(self.second) >= 1_000_000_000 {
            self.second = now;
            self.values.clear();
        }
        let sent = self.values.entry(from.to_owned()).or_default();
        *sent += 1;
        let may = *sent <= VALUES_A_SECOND;
        self.counts.flooded += u64::from(!may);
        may
    }

    fn packet(&mut self, reliable: bool, packet: DataPacket) {
        if self.out.packets.len() >= PACKETS_WAITING {
            self.counts.unsent += 1;
            return;
        }
        self.out.packets.push_back((reliable, packet));
    }
}
