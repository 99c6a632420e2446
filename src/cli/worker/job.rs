//! A job on its way: offered, assigned, in its room, over.

use std::sync::Arc;

use super::Made;
use super::served::{Conversation, Served};
use crate::config::JobKind;
use crate::host::pace::Moment;
use crate::host::sessions::Handle;
use crate::livekit::room::Exit;
use crate::livekit::worker::{self, JobState};
use crate::session::plan::Plan;

/// How long a job that was taken is waited for, in nanoseconds: the server itself waits for ten seconds.
pub(super) const ASSIGNED_NS: u64 = 12_000_000_000;

/// How long after a room was joined anew an offer for it is taken for the same job, in nanoseconds: others come back to
/// it in that time, and the server asks for agents when the first of them does.
const AGAIN_NS: u64 = 30_000_000_000;

/// A job.
pub(super) struct Job {
    pub(super) offer: worker::Job,
    /// By which registration it came.
    pub(super) desk: usize,
    pub(super) served: Arc<Served>,
    pub(super) conversation: Conversation,
    pub(super) plan: Arc<Plan>,
    pub(super) offered: Moment,
    pub(super) stage: Stage,
    /// The way out of the room.
    pub(super) exit: Option<Exit>,
    /// The session, before it begins.
    pub(super) made: Option<Box<Made>>,
    /// Somebody hears the agent: the session may begin.
    pub(super) heard: bool,
    /// The session, once it has begun.
    pub(super) session: Option<Handle>,
    /// The sid of the room that the agent is in now: another than was offered once a server has forgotten that one.
    pub(super) room_sid: String,
    /// The agent was in the room.
    pub(super) is_in: bool,
    /// A session has begun, and its files are not closed yet.
    pub(super) has_files: bool,
    /// The connection to the room is lost, and tried again.
    pub(super) away: bool,
    /// When it came back last.
    pub(super) back: Option<Moment>,
    /// Since when the session is in no directory any more.
    pub(super) gone: Option<Moment>,
    /// Why it is not as it should be, for the server.
    pub(super) trouble: Option<String>,
}

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It was taken, and is not this worker's yet.
    Offered,
    /// The agent is on its way into the room, or waits there for somebody.
    Entering,
    /// The session runs.
    Talking,
    /// It is over, and the server knows; since then the room is being left.
    Leaving(Moment),
}

impl Job {
    /// One that came by a registration, and was taken.
    pub(super) fn new(
        offer: worker::Job,
        desk: usize,
        (served, conversation, plan): (Arc<Served>, Conversation, Arc<Plan>),
        offered: Moment,
    ) -> Self {
        Self {
            desk,
            served,
            conversation,
            plan,
            offered,
            stage: Stage::Offered,
            exit: None,
            made: None,
            heard: false,
            session: None,
            room_sid: offer.room_sid.clone(),
            is_in: false,
            has_files: false,
            away: false,
            back: None,
            gone: None,
            trouble: None,
            offer,
        }
    }

    /// Whether the server may still give it to another.
    pub(super) fn is_forgotten(&self, now: Moment) -> bool {
        self.stage == Stage::Offered && now.since_ns(self.offered) >= ASSIGNED_NS
    }

    /// Whether another offer is this job once more: a server that was started anew asks for an agent for the room in
    /// which this one still is, or will be.
    pub(super) fn is_again(&self, desk: usize, offer: &worker::Job, now: Moment) -> bool {
        let (own, new) = (&self.offer, offer);
        let same = self.desk == desk
            && (&own.room, own.kind, &own.participant) == (&new.room, new.kind, &new.participant)
            && own.metadata == new.metadata;
        let is_there = matches!(self.stage, Stage::Entering | Stage::Talking);
        let just_back = self.back.is_some_and(|back| now.since_ns(back) < AGAIN_NS);
        let forgotten = self.room_sid == new.room_sid && own.room_sid != new.room_sid;
        // Somebody for whom there is an agent has come again: the server asks for one each time.
        let for_one =
            own.kind != JobKind::Room && !own.dispatch.is_empty() && own.dispatch == new.dispatch;
        same && is_there && (for_one || self.away || (forgotten && just_back))
    }

    /// How it is, at its end.
    pub(super) fn state(&self) -> JobState {
        match &self.trouble {
            None => JobState::Done,
            Some(why) => JobState::Failed(why.clone()),
        }
    }
}
