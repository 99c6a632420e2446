//! A job on its way: offered, assigned, in its room, over.

use std::sync::Arc;

use super::Made;
use super::served::{Conversation, Served};
use crate::config::{JobKind, named};
use crate::host::pace::Moment;
use crate::host::sessions::Handle;
use crate::host::tenants::NAME_MAX;
use crate::livekit::room::Exit;
use crate::livekit::worker::{self, JobState};
use crate::session::plan::Plan;

/// How long a job that was taken is waited for, in nanoseconds: the server itself waits for ten seconds.
pub(super) const ASSIGNED_NS: u64 = 12_000_000_000;

/// How long after a room was joined anew an offer for it is taken for the same job, in nanoseconds: others come back to
/// it in that time, and the server asks for agents when the first of them does.
const AGAIN_NS: u64 = 30_000_000_000;

/// How long somebody is waited for in the room of a call that was taken over, in nanoseconds.
const DESERTED_NS: u64 = 15_000_000_000;

/// As whom an agent comes for a job: the same whichever worker holds it, so that a server lets only one of them be there.
pub(super) fn identity(offer: &worker::Job) -> String {
    format!("agent-{}", offer.id)
}

/// Whoever a job is for: the metadata's `tenant`. Of one whose name is longer than any, its beginning.
pub(super) fn tenant(offer: &worker::Job) -> String {
    let name = named(&offer.metadata, "tenant").unwrap_or_default();
    name.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect()
}

/// A job.
pub(super) struct Job {
    pub(super) offer: worker::Job,
    /// By which registration it came.
    pub(super) desk: usize,
    pub(super) served: Arc<Served>,
    pub(super) conversation: Conversation,
    pub(super) plan: Arc<Plan>,
    /// Whoever it is held for; empty if nobody is named.
    pub(super) tenant: String,
    pub(super) offered: Moment,
    pub(super) stage: Stage,
    /// Another worker has held it, which is dead; the server that made it knows nothing of it as this worker's.
    pub(super) taken_over: bool,
    /// How long nobody had held it when it was taken over, in milliseconds.
    pub(super) age_ms: u64,
    /// The way out of the room.
    pub(super) exit: Option<Exit>,
    /// The session, before it begins.
    pub(super) made: Option<Box<Made>>,
    /// Somebody hears the agent: the session may begin.
    pub(super) heard: bool,
    /// The session, once it has begun.
    pub(super) session: Option<Handle>,
    /// What its session is called by tools, wherever it goes on.
    pub(super) session_name: String,
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
            tenant: tenant(&offer),
            offered,
            stage: Stage::Offered,
            taken_over: false,
            age_ms: 0,
            exit: None,
            made: None,
            heard: false,
            session: None,
            session_name: format!("livekit:{}:{}", offer.room_sid, offer.id),
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

    /// Whether nobody is left of a call that was taken over.
    pub(super) fn is_deserted(&self, now: Moment) -> bool {
        self.taken_over
            && self.stage == Stage::Entering
            && !self.heard
            && now.since_ns(self.offered) >= DESERTED_NS
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
