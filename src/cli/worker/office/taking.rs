//! Calls of workers that have died, and of those that have lost theirs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use serde_json::json;

use super::Office;
use crate::cli::livekit::shown_name;
use crate::cli::worker::Event;
use crate::cli::worker::job::{Job, Stage, identity};
use crate::cli::worker::leases::{Call, GIVEN_UP, Lease, Leases, News};
use crate::cli::worker::served::{Conversation, Served};
use crate::config::JournalMode;
use crate::host::transcoder::opus_codec;
use crate::session::checkpoint::BUILD;
use crate::session::plan::Plan;

/// After so long without a holder, a call is gone on with by a worker that is above its limits of time and memory.
const PREFERRED: Duration = Duration::from_secs(3);

/// Why calls end that another worker has.
const TAKEN: &str = "another worker has taken the call over";

/// Opens the folder that workers share; what is wrong with that, or with what is to lie there.
pub(super) fn open(
    folder: &Path,
    served: &[Arc<Served>],
    tell: &Sender<Event>,
    wrong: &mut Vec<String>,
) -> Option<Leases> {
    for one in served {
        if one.plans().values().any(|plan| plan.config.journal == JournalMode::Events) {
            wrong.push(format!(
                "{}: `journal: events` has not what another worker needs to go on with a call: write `full`, or \
                 leave out --take-over",
                one.path.display()
            ));
        }
    }
    let tell = tell.clone();
    let opened = Leases::open(folder, move |news| match news {
        // They are told again.
        News::Free(..) | News::Trouble(_) => drop(tell.try_send(Event::Lease(news))),
        News::Claimed(..) | News::Lost(_) => drop(tell.send(Event::Lease(news))),
    });
    opened.map_err(|why| wrong.push(format!("--take-over: {why}"))).ok()
}

/// The builds that have to be the same for a session to go on alike.
fn build() -> String {
    format!("{BUILD}, {}", opus_codec())
}

impl Office {
    /// Holds a job, where workers share their calls.
    pub(super) fn hold(&self, id: &str) {
        let (Some(leases), Some(job)) = (&self.leases, self.jobs.get(id)) else { return };
        leases.hold(Call {
            job: job.offer.clone(),
            server: self.place.address.to_string(),
            config: job.served.name(),
            conversation: job.conversation.clone(),
            session: job.session_name.clone(),
            build: build(),
            seats: Vec::new(),
        });
    }

    pub(super) fn leased(&mut self, news: News) {
        match news {
            News::Free(lease, silent) => {
                // Those with more room go first; then it is better held by a worker that is full than by none.
                let has_room = !self.is_full() || silent >= PREFERRED;
                let id = lease.id().to_owned();
                let is_known = self.jobs.contains_key(&id) || self.claims.contains_key(&id);
                let may = has_room && !is_known && self.may_take(&lease.call).is_some();
                if let Some(leases) = self.leases.as_ref().filter(|_| may) {
                    self.claims.insert(id, self.clock.now());
                    leases.claim(*lease);
                }
            }
            News::Claimed(lease, age_ms) => {
                self.claims.remove(lease.id());
                self.take_over(*lease, age_ms);
            }
            News::Lost(id) => self.lost(&id),
            News::Trouble(why) => {
                let text = format!("--take-over: {why}");
                self.log.tell("leases.trouble", &text, &[("reason", json!(why))]);
            }
        }
    }

    /// What a call would go on with here, if it would.
    fn may_take(&self, call: &Call) -> Option<(usize, Arc<Served>, Conversation, Arc<Plan>)> {
        let is_ours = call.server == self.place.address.to_string() && call.build == build();
        let is_full = self.jobs.len() + self.claims.len() >= self.limits.sessions;
        if !is_ours || self.door != super::Door::Open || is_full {
            return None;
        }
        let served = self.served.iter().find(|it| {
            it.name() == call.config
                && it.kind == call.job.kind
                && it.agent_name == call.job.agent_name
        })?;
        let desk = self
            .registrations
            .iter()
            .position(|it| it.agent_name == served.agent_name && it.kind == served.kind)?;
        let plan = served.plans().get(&call.conversation)?.clone();
        Some((desk, Arc::clone(served), call.conversation.clone(), plan))
    }

    /// Goes on with a call whose worker has died.
    fn take_over(&mut self, lease: Lease, age_ms: Option<u64>) {
        let id = lease.id().to_owned();
        let Some(leases) = &self.leases else { return };
        let is_old = age_ms.is_some_and(|age_ms| Duration::from_millis(age_ms) > GIVEN_UP);
        let taken = self.may_take(&lease.call);
        let Call { job: offer, session, seats, .. } = lease.call;
        let room = offer.room.clone();
        if is_old {
            leases.release(&id);
            let why = "nobody has held it for too long";
            let text = format!("{id}: the call of a dead worker is over: {why}");
            let fields = [("job", json!(id)), ("room", json!(room)), ("reason", json!(why))];
            self.log.tell("job.abandoned", &text, &fields);
            return;
        }
        let Some((desk, served, conversation, plan)) = taken else {
            // Another one may.
            leases.give_back(&id);
            return;
        };
        let name = shown_name(&plan).to_owned();
        let pass = self.place.key.agent(&room, &identity(&offer), &name);
        let now = self.clock.now();
        let job = Job::new(offer, desk, (served, conversation, plan), now);
        let job = Job {
            stage: Stage::Entering,
            taken_over: true,
            session_name: session,
            age_ms: age_ms.unwrap_or(0),
            ..job
        };
        self.jobs.insert(id.clone(), job);
        self.meters.job_taken_over();
        let text = format!("{id}: its worker is gone: the call in `{room}` is taken over");
        let fields = [("job", json!(id)), ("room", json!(room)), ("holder", json!(lease.number))];
        self.log.tell("job.claimed", &text, &fields);
        match pass {
            Ok(pass) => self.enter(&id, pass, None, Some(seats)),
            Err(why) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.trouble = Some(why);
                }
                self.over(&id);
            }
        }
        self.show();
    }

    /// Another worker has a call of this one.
    fn lost(&mut self, id: &str) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        job.trouble.get_or_insert_with(|| TAKEN.to_owned());
        let text = format!("{id}: {TAKEN}");
        let fields = [("job", json!(id)), ("room", json!(job.offer.room))];
        self.log.tell("job.lost", &text, &fields);
        self.end_job(id, TAKEN);
    }
}
