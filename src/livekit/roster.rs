//! Who is in the room, and on which lane of the session.
//!
//! The server sends whole descriptions of participants; this compares each with what it knew and says
//! what has changed, in the session's own values.
//!
//! People, telephones and ingress streams have lanes. Other agents and recorders do not: agents that hear
//! each other talk for ever; one who is named to be listened to is. One audio track of each participant is heard: the microphone where there
//! is one.
//!
//! **Invariant:** a lane belongs to one identity for the whole session; who comes back has the lane they
//! had.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use livekit_protocol::{
    ParticipantInfo, TrackInfo, TrackSource, TrackType, encryption, participant_info,
};

use crate::id::LaneId;
use crate::session::input::{Inbound, TrackChange};

/// Participants that are known at most; further ones are not looked at.
const PARTICIPANTS_MAX: usize = 1_024;

/// Identities that a room sees in its life at most: each has a lane of its own.
const LANES_MAX: usize = 60_000;

/// Attributes of a participant at most.
const ATTRIBUTES_MAX: usize = 64;

/// The longest metadata of a participant, in bytes: the server's own bound.
const METADATA_MAX: usize = 64 << 10;

/// The longest attribute of a participant, with its name, in bytes: the server takes 64 KiB of all of them.
const ATTRIBUTE_MAX: usize = 8 << 10;

/// What has changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A participant is there.
    Joined {
        /// Their lane.
        lane: LaneId,
        /// Their name, or their identity where they have none.
        name: String,
    },
    /// A participant has gone.
    Left {
        /// Their lane.
        lane: LaneId,
        /// Their identity.
        identity: String,
    },
    /// Something for the session to know.
    Value(Inbound),
    /// A track is to be heard.
    Subscribe {
        /// Its sid.
        track: String,
        /// Who publishes it.
        participant: String,
    },
    /// A track is not to be heard any more.
    Unsubscribe {
        /// Its sid.
        track: String,
        /// Who publishes it.
        participant: String,
    },
}

/// A participant with a lane.
#[derive(Debug, Clone)]
pub struct Participant {
    /// The sid of this stay in the room.
    pub sid: String,
    /// The identity.
    pub identity: String,
    /// The lane.
    pub lane: LaneId,
    /// The track that is heard.
    pub track: Option<String>,
    muted: bool,
    refused: bool,
    attributes: BTreeMap<String, String>,
    metadata: String,
    speaking: bool,
}

/// Whose lane it is: what somebody else needs to know who goes on with the session in this room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// The identity.
    pub identity: String,
    /// The sid of the stay in the room; empty for one who is not there.
    pub sid: String,
}

/// Everybody with a lane.
#[derive(Debug, Default)]
pub struct Roster {
    listen_to: Option<String>,
    /// Agents are heard as people are.
    agents: bool,
    present: Vec<Participant>,
    /// Every identity that has ever had a lane, in the order of the lanes, and the track heard last.
    lanes: Vec<(String, String)>,
    ignored: u64,
    /// Somebody has come or gone since the seats were told.
    moved: bool,
}

impl Roster {
    /// A roster of everybody, or of one identity alone.
    #[must_use]
    pub fn new(listen_to: Option<String>) -> Self {
        Self { listen_to, ..Self::default() }
    }

    /// The same, and agents are heard as people are: for who calls one, and does not know its identity.
    #[must_use]
    pub fn with_agents(self, agents: bool) -> Self {
        Self { agents, ..self }
    }

    /// The same, for a session that others have had: whoever has a seat has the lane that they had, and is there until
    /// the server says otherwise.
    #[must_use]
    pub fn with_seats(mut self, seats: &[Seat]) -> Self {
        let seats = seats.iter().take(LANES_MAX);
        for (lane, Seat { identity, sid }) in seats.enumerate() {
            self.lanes.push((identity.clone(), String::new()));
            if !sid.is_empty() && self.present.len() < PARTICIPANTS_MAX {
                self.present.push(Participant::new(identity, sid, LaneId(lane as u16)));
            }
        }
        self
    }

    /// Every seat in the order of the lanes, if somebody has come or gone since this was asked last.
    pub fn moved(&mut self) -> Option<Vec<Seat>> {
        std::mem::take(&mut self.moved).then(|| {
            let seat = |(identity, _): &(String, String)| {
                let sid = self.by_identity(identity).map(|known| known.sid.clone());
                Seat { identity: identity.clone(), sid: sid.unwrap_or_default() }
            };
            self.lanes.iter().map(seat).collect()
        })
    }

    /// A description of a participant comes.
    pub fn update(&mut self, info: ParticipantInfo, changes: &mut Vec<Change>) {
        let known = self.present.iter().position(|known| known.identity == info.identity);
        if info.state() == participant_info::State::Disconnected {
            // What is said of an earlier stay does not end this one.
            if let Some(at) = known.filter(|at| self.present[*at].sid == info.sid) {
                self.leave(at, changes);
            }
            return;
        }
        if !self.is_heard(&info) {
            return;
        }
        let at = match known {
            Some(at) if self.present[at].sid == info.sid => at,
            Some(at) => {
                // The same identity anew: the old stay is over, even if nobody said so.
                self.leave(at, changes);
                let Some(at) = self.join(&info, changes) else { return };
                at
            }
            None => {
                let Some(at) = self.join(&info, changes) else { return };
                at
            }
        };
        let participant = &mut self.present[at];
        participant.describe(&info, changes);
        participant.hear(&info.tracks, changes);
        if let (Some(track), Some((_, last))) =
            (&participant.track, self.lanes.get_mut(usize::from(participant.lane.0)))
        {
            last.clone_from(track);
        }
    }

    /// Whoever is named is heard, whatever they are; of everybody else, those who are no machines.
    fn is_heard(&self, info: &ParticipantInfo) -> bool {
        match &self.listen_to {
            Some(identity) => *identity == info.identity,
            None => match info.kind() {
                participant_info::Kind::Agent => self.agents,
                participant_info::Kind::Egress => false,
                participant_info::Kind::Standard
                | participant_info::Kind::Ingress
                | participant_info::Kind::Sip
                | participant_info::Kind::Connector
                | participant_info::Kind::Bridge => true,
            },
        }
    }

    fn join(&mut self, info: &ParticipantInfo, changes: &mut Vec<Change>) -> Option<usize> {
        let lane = match self.lanes.iter().position(|(identity, _)| *identity == info.identity) {
            Some(lane) => lane,
            None if self.lanes.len() < LANES_MAX
                && self.present.len() < PARTICIPANTS_MAX
                && !info.identity.is_empty() =>
            {
                self.lanes.push((info.identity.clone(), String::new()));
                self.lanes.len() - 1
            }
            None => {
                self.ignored += 1;
                return None;
            }
        };
        let lane = LaneId(lane as u16);
        let name = if info.name.is_empty() { &info.identity } else { &info.name };
        changes.push(Change::Joined { lane, name: name.clone() });
        self.present.push(Participant::new(&info.identity, &info.sid, lane));
        self.moved = true;
        Some(self.present.len() - 1)
    }

    fn leave(&mut self, at: usize, changes: &mut Vec<Change>) {
        let Participant { lane, identity, .. } = self.present.remove(at);
        self.moved = true;
        changes.push(Change::Left { lane, identity });
    }

    /// Who speaks, in the server's opinion; `spoken` are sids and whether they do.
    pub fn speaking<'a>(
        &mut self,
        spoken: impl Iterator<Item = (&'a str, bool)>,
        changes: &mut Vec<Change>,
    ) {
        for (sid, speaking) in spoken {
            let known = self.present.iter_mut().find(|known| known.sid == sid);
            if let Some(known) = known.filter(|known| known.speaking != speaking) {
                known.speaking = speaking;
                changes.push(Change::Value(Inbound::Speaking { lane: known.lane, speaking }));
            }
        }
    }

    /// The sids and identities of those with a lane who are not among these.
    #[must_use]
    pub fn missing(&self, here: &BTreeSet<String>) -> Vec<(String, String)> {
        let missing = self.present.iter().filter(|known| !here.contains(&known.identity));
        missing.map(|known| (known.sid.clone(), known.identity.clone())).collect()
    }

    /// The participant of a sid.
    #[must_use]
    pub fn by_sid(&self, sid: &str) -> Option<&Participant> {
        self.present.iter().find(|known| known.sid == sid)
    }

    /// The participant of an identity.
    #[must_use]
    pub fn by_identity(&self, identity: &str) -> Option<&Participant> {
        self.present.iter().find(|known| known.identity == identity)
    }

    /// The participant on a lane.
    #[must_use]
    pub fn by_lane(&self, lane: LaneId) -> Option<&Participant> {
        self.present.iter().find(|known| known.lane == lane)
    }

    /// The identity on a lane and the track that was heard of it last, even of somebody who has left.
    #[must_use]
    pub fn speaker(&self, lane: LaneId) -> Option<(&str, &str)> {
        let (identity, track) = self.lanes.get(usize::from(lane.0))?;
        Some((identity, track))
    }

    /// The lane on which a track is heard.
    #[must_use]
    pub fn lane_of_track(&self, track: &str) -> Option<LaneId> {
        self.present.iter().find(|known| known.track.as_deref() == Some(track)).map(|p| p.lane)
    }

    /// Everybody with a lane, in the order in which they came.
    #[must_use]
    pub fn present(&self) -> &[Participant] {
        &self.present
    }

    /// Participants that were one too many.
    #[must_use]
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }
}

impl Participant {
    /// One of whom nothing else is known yet.
    fn new(identity: &str, sid: &str, lane: LaneId) -> Self {
        Self {
            sid: sid.to_owned(),
            identity: identity.to_owned(),
            lane,
            track: None,
            muted: false,
            refused: false,
            attributes: BTreeMap::new(),
            metadata: String::new(),
            speaking: false,
        }
    }

    fn describe(&mut self, info: &ParticipantInfo, changes: &mut Vec<Change>) {
        let lane = self.lane;
        let now: BTreeMap<&String, &String> = info.attributes.iter_bounded();
        let mut changed = BTreeMap::new();
        for (key, value) in &now {
            if self.attributes.get(*key) != Some(value) {
                changed.insert((*key).clone(), (*value).clone());
            }
        }
        for key in self.attributes.keys().filter(|key| !now.contains_key(key)) {
            changed.insert(key.clone(), String::new());
        }
        if !changed.is_empty() {
            self.attributes = now.into_iter().map(|(k, v)| (k.clone(), v.clone())).collect();
            changes.push(Change::Value(Inbound::Attributes { lane, changed }));
        }
        if self.metadata != info.metadata && info.metadata.len() <= METADATA_MAX {
            self.metadata.clone_from(&info.metadata);
            let text = info.metadata.clone();
            changes.push(Change::Value(Inbound::Metadata { lane: Some(lane), text }));
        }
    }

    /// Decides which track is heard.
    fn hear(&mut self, tracks: &[TrackInfo], changes: &mut Vec<Change>) {
        let (lane, participant) = (self.lane, self.sid.clone());
        let audio = || tracks.iter().filter(|track| track.r#type() == TrackType::Audio);
        let open = |track: &&TrackInfo| track.encryption() == encryption::Type::None;
        let best = audio().filter(open).min_by_key(|track| rank(track.source()));
        let refused = best.is_none() && audio().next().is_some();
        let mut tell = |change| changes.push(Change::Value(Inbound::Track { lane, change }));
        if refused && !self.refused {
            tell(TrackChange::Refused(ENCRYPTED.to_owned()));
        }
        self.refused = refused;
        let sid = best.map(|track| track.sid.clone());
        if sid != self.track {
            if self.track.is_some() {
                tell(TrackChange::Unpublished);
            }
            if sid.is_some() {
                tell(TrackChange::Published);
            }
            self.muted = false;
        }
        let muted = best.is_some_and(|track| track.muted);
        if muted != self.muted && sid.is_some() {
            tell(if muted { TrackChange::Muted } else { TrackChange::Unmuted });
        }
        self.muted = muted;
        if sid != self.track {
            if let Some(track) = self.track.take() {
                let participant = participant.clone();
                changes.push(Change::Unsubscribe { track, participant });
            }
            if let Some(track) = sid.clone() {
                changes.push(Change::Subscribe { track, participant });
            }
            self.track = sid;
        }
    }
}

/// Why an encrypted track is not heard.
const ENCRYPTED: &str = "the track is end-to-end encrypted, and this agent has no key";

/// Which of several tracks is heard: the lowest.
const fn rank(source: TrackSource) -> u8 {
    match source {
        TrackSource::Microphone => 0,
        TrackSource::Unknown => 1,
        TrackSource::ScreenShareAudio => 2,
        TrackSource::Camera | TrackSource::ScreenShare => 3,
    }
}

/// Attributes in an order of their own, no more than a session takes.
trait IterBounded {
    fn iter_bounded(&self) -> BTreeMap<&String, &String>;
}

impl IterBounded for std::collections::HashMap<String, String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the protocol's own map; what is collected is in order, whatever the map's"
    )]
    fn iter_bounded(&self) -> BTreeMap<&String, &String> {
        let mut all: BTreeMap<_, _> =
            self.iter().filter(|(key, value)| key.len() + value.len() <= ATTRIBUTE_MAX).collect();
        while all.len() > ATTRIBUTES_MAX {
            all.pop_last();
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn info(identity: &str, sid: &str) -> ParticipantInfo {
        let (identity, sid) = (identity.to_owned(), sid.to_owned());
        let state = participant_info::State::Active as i32;
        ParticipantInfo { identity, sid, state, ..ParticipantInfo::default() }
    }

    fn track(sid: &str, source: TrackSource) -> TrackInfo {
        let (sid, source) = (sid.to_owned(), source as i32);
        TrackInfo { sid, source, r#type: TrackType::Audio as i32, ..TrackInfo::default() }
    }

    fn update(roster: &mut Roster, info: ParticipantInfo) -> Vec<Change> {
        let mut changes = Vec::new();
        roster.update(info, &mut changes);
        changes
    }

    fn gone(info: ParticipantInfo) -> ParticipantInfo {
        ParticipantInfo { state: participant_info::State::Disconnected as i32, ..info }
    }

    #[test]
    fn who_comes_back_has_the_lane_they_had() {
        let mut roster = Roster::default();
        let joined = |lane, name: &str| Change::Joined { lane: LaneId(lane), name: name.into() };
        assert_eq!(update(&mut roster, info("ann", "P1")), [joined(0, "ann")]);
        let bob = ParticipantInfo { name: "Bob".into(), ..info("bob", "P2") };
        assert_eq!(update(&mut roster, bob), [joined(1, "Bob")]);
        assert_eq!(update(&mut roster, info("ann", "P1")), []);
        let left = Change::Left { lane: LaneId(0), identity: "ann".into() };
        assert_eq!(update(&mut roster, gone(info("ann", "P1"))), std::slice::from_ref(&left));
        assert_eq!(update(&mut roster, gone(info("ann", "P1"))), []);
        assert_eq!(update(&mut roster, info("ann", "P3")), [joined(0, "ann")]);
        // A new stay replaces the old one; the old one's end is no news then.
        assert_eq!(update(&mut roster, info("ann", "P4")), [left, joined(0, "ann")]);
        assert_eq!(update(&mut roster, gone(info("ann", "P3"))), []);
        assert_eq!(roster.by_identity("ann").map(|ann| ann.lane), Some(LaneId(0)));
    }

    #[test]
    fn agents_recorders_and_others_than_the_chosen_have_no_lane() {
        let mut roster = Roster::default();
        for kind in [participant_info::Kind::Agent, participant_info::Kind::Egress] {
            let other = ParticipantInfo { kind: kind as i32, ..info("x", "P1") };
            assert_eq!(update(&mut roster, other), []);
        }
        let mut roster = Roster::new(Some("ann".into()));
        assert_eq!(update(&mut roster, info("bob", "P1")), []);
        let kind = participant_info::Kind::Agent as i32;
        let named = ParticipantInfo { kind, ..info("ann", "P2") };
        assert_eq!(update(&mut roster, named).len(), 1, "who is named is heard, whatever they are");
    }

    #[test]
    fn one_track_is_heard_and_its_changes_are_told() {
        let mut roster = Roster::default();
        let with = |tracks| ParticipantInfo { tracks, ..info("ann", "P1") };
        update(&mut roster, with(vec![]));
        let lane = LaneId(0);
        let tell = |change| Change::Value(Inbound::Track { lane, change });
        let subscribe =
            |track: &str| Change::Subscribe { track: track.into(), participant: "P1".into() };
        let unsubscribe =
            |track: &str| Change::Unsubscribe { track: track.into(), participant: "P1".into() };
        let screen = track("T1", TrackSource::ScreenShareAudio);
        assert_eq!(
            update(&mut roster, with(vec![screen.clone()])),
            [tell(TrackChange::Published), subscribe("T1")]
        );
        let microphone = track("T2", TrackSource::Microphone);
        assert_eq!(
            update(&mut roster, with(vec![screen.clone(), microphone.clone()])),
            [
                tell(TrackChange::Unpublished),
                tell(TrackChange::Published),
                unsubscribe("T1"),
                subscribe("T2")
            ]
        );
        assert_eq!(roster.lane_of_track("T2"), Some(lane));
        let muted = TrackInfo { muted: true, ..microphone.clone() };
        assert_eq!(update(&mut roster, with(vec![muted.clone()])), [tell(TrackChange::Muted)]);
        assert_eq!(update(&mut roster, with(vec![muted])), []);
        assert_eq!(update(&mut roster, with(vec![microphone])), [tell(TrackChange::Unmuted)]);
        assert_eq!(
            update(&mut roster, with(vec![])),
            [tell(TrackChange::Unpublished), unsubscribe("T2")]
        );
    }

    #[test]
    fn an_encrypted_track_is_refused_once() {
        let mut roster = Roster::default();
        let secret = TrackInfo {
            encryption: encryption::Type::Gcm as i32,
            ..track("T1", TrackSource::Microphone)
        };
        let with = ParticipantInfo { tracks: vec![secret], ..info("ann", "P1") };
        let changes = update(&mut roster, with.clone());
        let refused = TrackChange::Refused(ENCRYPTED.into());
        let told = Change::Value(Inbound::Track { lane: LaneId(0), change: refused });
        assert_eq!(changes[1..], [told]);
        assert_eq!(update(&mut roster, with), []);
    }

    #[test]
    fn attributes_are_told_as_they_change() {
        let mut roster = Roster::default();
        let with = |pairs: &[(&str, &str)]| {
            let attributes: HashMap<String, String> =
                pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            ParticipantInfo { attributes, ..info("ann", "P1") }
        };
        update(&mut roster, with(&[]));
        let told = |pairs: &[(&str, &str)]| {
            let changed = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            [Change::Value(Inbound::Attributes { lane: LaneId(0), changed })]
        };
        let both = [("a", "1"), ("b", "2")];
        assert_eq!(update(&mut roster, with(&both)), told(&both));
        assert_eq!(update(&mut roster, with(&both)), []);
        assert_eq!(update(&mut roster, with(&[("a", "3")])), told(&[("a", "3"), ("b", "")]));
    }
}
