//! Who is in the room, as the server tells it: at the beginning, anew, and as people come and go.

use std::collections::BTreeSet;

use livekit_protocol::{
    JoinResponse, ParticipantInfo, ParticipantTracks, UpdateSubscription, participant_info,
    signal_request,
};

use super::{OTHERS_MAX, Stay};
use crate::host::pace::Moment;
use crate::livekit::roster::Change;
use crate::livekit::streams::Streams;
use crate::session::input::Inbound;

impl Stay {
    /// The server has let the agent in.
    pub fn joined(&mut self, now: Moment, join: JoinResponse) {
        self.me = join.participant.unwrap_or_default();
        let metadata = join.room.as_ref().map(|room| room.metadata.clone()).unwrap_or_default();
        self.room = join.room;
        if !metadata.is_empty() {
            self.value(Inbound::Metadata { lane: None, text: metadata });
        }
        self.missing(now, &join.other_participants);
        for info in join.other_participants {
            self.participant(now, info);
        }
    }

    /// The server has let the agent in anew: the session goes on with whoever is there now.
    pub fn joined_anew(&mut self, now: Moment, join: JoinResponse) {
        self.me = join.participant.unwrap_or_default();
        self.track = None;
        // Of the former connection: what was asked of the server, and texts that will not be finished.
        self.out.signals.clear();
        self.out.media.clear();
        // The state may have changed since the request was made that this answers.
        let state = std::mem::take(&mut self.state);
        self.show(state);
        self.streams = Streams::default();
        self.room_is(join.room);
        let here = self.missing(now, &join.other_participants);
        self.others = self.others.intersection(&here).cloned().collect();
        for info in join.other_participants {
            let heard_before =
                self.roster.by_identity(&info.identity).and_then(|known| known.track.clone());
            let participant = info.sid.clone();
            self.participant(now, info);
            // Nothing of it has changed, but this connection has not asked for it yet.
            if let Some(track) = heard_before.filter(|track| {
                self.roster
                    .by_sid(&participant)
                    .is_some_and(|known| known.track.as_ref() == Some(track))
            }) {
                self.subscribe(track, participant, true);
            }
        }
    }

    /// Whoever had a lane and is not among these has gone. The identities of these.
    fn missing(&mut self, now: Moment, here: &[ParticipantInfo]) -> BTreeSet<String> {
        let here: BTreeSet<String> = here.iter().map(|info| info.identity.clone()).collect();
        for (sid, identity) in self.roster.missing(&here) {
            let state = participant_info::State::Disconnected as i32;
            let gone = ParticipantInfo { sid, identity, state, ..ParticipantInfo::default() };
            self.participant(now, gone);
        }
        here
    }

    pub(super) fn participant(&mut self, now: Moment, info: ParticipantInfo) {
        if info.identity == self.me.identity {
            if info.sid == self.me.sid {
                self.me = info;
            }
            return;
        }
        let identity = info.identity.clone();
        if info.state() == participant_info::State::Disconnected {
            self.others.remove(&identity);
        } else if self.roster.by_identity(&identity).is_some() && !self.may_send(now, &identity) {
            // The next one says all that this one does.
            return;
        } else if self.others.len() < OTHERS_MAX {
            self.others.insert(identity.clone());
        }
        let mut changes = Vec::new();
        self.roster.update(info, &mut changes);
        for change in changes {
            match change {
                Change::Subscribe { track, participant } => {
                    self.subscribe(track, participant, true);
                }
                Change::Unsubscribe { track, participant } => {
                    self.subscribe(track, participant, false);
                }
                Change::Left { .. } => {
                    // Whoever comes next has not heard it yet, as far as anybody knows.
                    self.heard &= self.has_company();
                    self.streams.forget(&identity);
                    for (call, error) in self.calls.gone(&identity) {
                        call.finish(Err(error));
                    }
                    self.out.changes.push_back(change);
                }
                Change::Joined { .. } | Change::Value(_) => self.out.changes.push_back(change),
            }
        }
        if self.others.contains(&identity) {
            for (reliable, packet) in self.early.of(&identity) {
                self.used(now, reliable, packet);
            }
        }
    }

    pub(super) fn subscribe(&mut self, track: String, participant: String, subscribe: bool) {
        let update = UpdateSubscription {
            track_sids: vec![track.clone()],
            subscribe,
            participant_tracks: vec![ParticipantTracks {
                participant_sid: participant,
                track_sids: vec![track],
            }],
        };
        self.out.signals.push_back(signal_request::Message::Subscription(update));
    }
}
