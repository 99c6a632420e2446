//! What becomes of a job: taken, assigned, in its room, over.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::{Door, Office, Place, Registration, STOPPING, plan_name};
use crate::cli::livekit::{Ends, ends, entry, shown_name};
use crate::cli::worker::choice::choose;
use crate::cli::worker::job::{Job, Stage, identity, tenant};
use crate::cli::worker::making::{Order, Taken};
use crate::cli::worker::served::{Conversation, Served};
use crate::cli::worker::{Event, Made};
use crate::config::JobKind;
use crate::livekit::address::Address;
use crate::livekit::room::{self, Room};
use crate::livekit::roster::Seat;
use crate::livekit::stay::End;
use crate::livekit::token::Pass;
use crate::livekit::worker::{self, Answer, JobState, Presence};
use crate::record::{JobEnd, SessionEnd, SessionMeter};
use crate::session::event::EndReason;
use crate::session::input::Inbound;
use crate::session::plan::Plan;

/// The longest gap that a session jumps over when it is gone on with, in milliseconds: timers of a longer one are over
/// in any case.
const GAP_MAX_MS: u64 = 600_000;

impl Office {
    /// Is this job taken?
    pub(super) fn offered(&mut self, at: usize, offer: worker::Job) {
        let now = self.clock.now();
        if let Some(job) = self.jobs.values().find(|job| job.is_again(at, &offer, now)) {
            let text = format!(
                "{} is {} once more, of which the server has forgotten",
                offer.id, job.offer.id
            );
            let fields = [
                ("job", json!(offer.id)),
                ("room", json!(offer.room)),
                ("is", json!(job.offer.id)),
            ];
            self.log.tell("job.known", &text, &fields);
            let answer = worker::Order::Answer(offer.id, Answer::Done);
            self.registrations[at].desk.order(answer);
            return;
        }
        let taken = self.taken(at, &offer).and_then(|taken| {
            // Last: what is refused for another reason counts for nobody.
            let tenant = tenant(&offer);
            let running = self.jobs.values().filter(|job| job.tenant == tenant).count();
            let admitted = self.tenants.admit(&tenant, running, now);
            admitted.map(|()| taken).map_err(|refused| refused.to_string())
        });
        let answer = match &taken {
            Ok((_, _, plan)) => Answer::Taken(Presence {
                identity: identity(&offer),
                name: shown_name(plan).to_owned(),
            }),
            Err(why) => {
                self.meters.job(JobEnd::Refused);
                let text = format!("refused {} for `{}`: {why}", offer.id, offer.room);
                let fields =
                    [("job", json!(offer.id)), ("room", json!(offer.room)), ("reason", json!(why))];
                self.log.tell("job.refused", &text, &fields);
                Answer::Refused
            }
        };
        let answer = worker::Order::Answer(offer.id.clone(), answer);
        let answered = self.registrations.get(at).is_some_and(|it| it.desk.order(answer));
        let (true, Ok(taken)) = (answered, taken) else { return };
        self.jobs.insert(offer.id.clone(), Job::new(offer, at, taken, now));
        self.show();
    }

    /// What a job would run on, if it is taken.
    pub(super) fn taken(
        &self,
        at: usize,
        offer: &worker::Job,
    ) -> Result<(Arc<Served>, Conversation, Arc<Plan>), String> {
        if self.door != Door::Open {
            return Err("the worker is draining".to_owned());
        }
        if self.is_full() {
            return Err("the worker is full".to_owned());
        }
        if self.jobs.contains_key(&offer.id) {
            return Err("it was taken already".to_owned());
        }
        let registration = self.registrations.get(at).ok_or("it is nobody's")?;
        let registered: Vec<&Arc<Served>> = self
            .served
            .iter()
            .filter(|it| it.agent_name == registration.agent_name && it.kind == registration.kind)
            .collect();
        let known: Vec<_> = registered.iter().map(|it| (it.name(), it.livekit())).collect();
        let served = registered[choose(&known, offer)?];
        let (conversation, plan) = served.plan(&offer.room, &offer.metadata)?;
        Ok((Arc::clone(served), conversation, plan))
    }

    /// It is this worker's: the agent enters the room, and a clerk makes its session meanwhile.
    pub(super) fn assigned(
        &mut self,
        at: usize,
        offer: &worker::Job,
        pass: Pass,
        address: Option<Address>,
    ) {
        let job = self.jobs.get_mut(&offer.id);
        if job.as_ref().is_some_and(|job| job.stage != Stage::Offered) {
            return;
        }
        let Some(job) = job else {
            let why = JobState::Failed("it came too late".to_owned());
            if let Some(registration) = self.registrations.get(at) {
                registration.desk.order(worker::Order::Update(offer.id.clone(), why));
            }
            return;
        };
        job.stage = Stage::Entering;
        let id = offer.id.clone();
        self.hold(&id);
        self.enter(&id, pass, address, None);
    }

    /// The agent enters the room, and a clerk makes its session meanwhile. With seats, it is a session that another
    /// worker has held.
    pub(super) fn enter(
        &mut self,
        id: &str,
        pass: Pass,
        address: Option<Address>,
        seats: Option<Vec<Seat>>,
    ) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let Place { address: own, key, tls, allowed } = &self.place;
        let Ends { edge, calls, line, cord } = match ends(&job.plan, &self.network) {
            Ok(ends) => ends,
            Err(error) => {
                job.trouble = Some(error.to_string());
                self.over(id);
                return;
            }
        };
        let address = address.unwrap_or_else(|| own.clone());
        let mut options =
            entry(&job.plan, (address, pass, Some(key.clone())), tls.clone(), *allowed);
        if job.offer.kind != JobKind::Room {
            options.listen_to.clone_from(&job.offer.participant);
        }
        options.seats.clone_from(&seats);
        options.insists = self.leases.is_some();
        let (tell, of) = (self.tell.clone(), id.to_owned());
        let tell: room::Teller =
            Arc::new(move |news| drop(tell.try_send(Event::Room(of.clone(), news))));
        job.exit = Some(Room::enter(&self.network, options, line, cord, tell));
        let leases = self.leases.as_ref();
        let order = Order {
            job: id.to_owned(),
            session: job.session_name.clone(),
            served: Arc::clone(&job.served),
            plan: Arc::clone(&job.plan),
            edge,
            calls,
            out: self.out.as_ref().map(|out| out.join(id)),
            shared: leases.map(|leases| (leases.journal(id), leases.right(id))),
            seats,
            shown: self.log.friendly,
        };
        if !self.clerks.make(order) {
            job.trouble = Some("too many calls begin at once".to_owned());
            self.over(id);
        }
    }

    pub(super) fn in_room(&mut self, id: &str, news: room::News) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let room = job.offer.room.clone();
        match news {
            room::News::Joined { .. } if matches!(job.stage, Stage::Leaving(_)) => {}
            room::News::Joined { room: sid, .. } if job.taken_over && sid != job.room_sid => {
                job.trouble = Some("the room of the call is over".to_owned());
                self.over(id);
            }
            room::News::Joined { identity, lacks, .. } => {
                job.is_in = true;
                report(&self.registrations, job, JobState::Running);
                let text = format!("{id}: in the room `{room}` as `{identity}`");
                let fields = [
                    ("job", json!(id)),
                    ("room", json!(room)),
                    ("room_sid", json!(job.offer.room_sid)),
                    ("identity", json!(identity)),
                    ("config", json!(job.served.name())),
                    ("conversation", json!(job.conversation)),
                    ("tenant", json!(job.tenant)),
                ];
                let fatal = lacks.iter().find(|lack| lack.is_fatal()).map(ToString::to_string);
                job.trouble = job.trouble.take().or(fatal);
                let is_over = job.trouble.is_some();
                self.log.tell("job.joined", &text, &fields);
                if is_over {
                    self.over(id);
                }
            }
            room::News::Heard => {
                job.heard = true;
                self.begin(id);
            }
            room::News::Path(_) => {}
            room::News::Seats(seats) => {
                if let Some(leases) = &self.leases {
                    leases.seats(id, seats);
                }
            }
            room::News::Away => {
                job.away = true;
                let text = format!("{id}: the connection to the room is lost, and tried again");
                self.log.tell("job.away", &text, &[("job", json!(id)), ("room", json!(room))]);
            }
            room::News::Back { room: sid } => {
                job.away = false;
                job.back = Some(self.clock.now());
                let fields = [("job", json!(id)), ("room", json!(room)), ("room_sid", json!(sid))];
                if let Some(leases) = self.leases.as_ref().filter(|_| job.room_sid != sid) {
                    leases.moved(id, &sid);
                }
                job.room_sid = sid;
                self.log.tell("job.back", &format!("{id}: in the room again"), &fields);
            }
            room::News::Warning(warning) => {
                let text = format!("{id}: {warning}");
                let fields = [("job", json!(id)), ("warning", json!(warning))];
                self.log.tell("job.warning", &text, &fields);
            }
            room::News::Refused(error) => {
                job.exit = None;
                job.trouble.get_or_insert_with(|| error.to_string());
                self.over(id);
                self.forget(id);
            }
            room::News::Ended(end, tally) => {
                job.exit = None;
                if !end.is_orderly() {
                    job.trouble.get_or_insert_with(|| end.to_string());
                }
                let counts: BTreeMap<_, _> = tally.named().into_iter().collect();
                let text = format!("{id}: {end}");
                let fields = [
                    ("job", json!(id)),
                    ("room", json!(room)),
                    ("reason", json!(end.to_string())),
                    ("counts", json!(counts)),
                ];
                match job.stage {
                    Stage::Leaving(_) => self.forget(id),
                    // It is told by the room itself; one that does not come back is ended by force.
                    Stage::Talking => {
                        if let Some(session) = &job.session {
                            session.end(&end.to_string());
                        }
                    }
                    Stage::Offered | Stage::Entering => {
                        // Nobody has come, or nobody is there any more: nothing went wrong.
                        if end == End::RoomClosed {
                            job.trouble = None;
                        }
                        self.over(id);
                    }
                }
                self.log.tell("job.left", &text, &fields);
            }
        }
    }

    /// Lets the session begin, if it is made and somebody hears it.
    pub(super) fn begin(&mut self, id: &str) {
        let now = self.clock.now();
        let Some(job) = self.jobs.get_mut(id) else { return };
        if job.stage != Stage::Entering || !job.heard {
            return;
        }
        let Some(made) = job.made.take() else { return };
        let Made { mut slot, mut watch, taken } = *made;
        if let Some(Taken { ticks, stepped }) = taken {
            let since_ms = now.since_ns(job.offered) / 1_000_000;
            let gap_ms = job.age_ms.saturating_add(since_ms).min(GAP_MAX_MS);
            slot.jump(slot.plan().len.ticks(gap_ms as u32) as u32);
            let text = format!("{id}: taken over: nobody held the call for {gap_ms} ms");
            let fields = [
                ("job", json!(id)),
                ("room", json!(job.offer.room)),
                ("gap_ms", json!(gap_ms)),
                ("ticks", json!(ticks)),
                ("stepped", json!(stepped)),
            ];
            self.log.tell("job.taken_over", &text, &fields);
        }
        watch.meter = Some(SessionMeter::begin(&self.meters));
        if !job.taken_over {
            self.meters.job_began(now.since_ns(job.offered));
        }
        let plan = plan_name(&job.served, &job.conversation);
        let created = self.sessions.create(id, &plan, |_| Ok((slot, Box::new(watch))));
        match created {
            Ok(created) => {
                job.stage = Stage::Talking;
                job.has_files = true;
                job.session = Some(created.session);
                let text = format!("{id}: the call begins, in `{}`", job.offer.room);
                let fields = [
                    ("job", json!(id)),
                    ("room", json!(job.offer.room)),
                    ("after_ms", json!(now.since_ns(job.offered) / 1_000_000)),
                ];
                self.log.tell("job.began", &text, &fields);
                if matches!(self.door, Door::Closing(_) | Door::Closed) {
                    self.close_job(id);
                }
            }
            Err(error) => {
                job.trouble.get_or_insert_with(|| error.to_string());
                self.over(id);
            }
        }
    }

    /// The files of a session that is over are closed.
    pub(super) fn kept(&mut self, id: &str, troubles: &[String]) {
        for trouble in troubles {
            eprintln!("{id}: {trouble}");
        }
        let Some(job) = self.jobs.get_mut(id) else { return };
        let fields =
            [("job", json!(id)), ("room", json!(job.offer.room)), ("troubles", json!(troubles))];
        job.has_files = false;
        self.log.tell("job.kept", &format!("{id}: its files are closed"), &fields);
        self.forget(id);
    }

    /// A session is over.
    pub(super) fn ended(&mut self, id: &str, reason: Option<&EndReason>, end: SessionEnd) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let why = match (end, reason) {
            (SessionEnd::Panicked, _) => {
                "the session panicked, which is a fault of the program".to_owned()
            }
            (_, Some(reason)) => reason.to_string(),
            (_, None) => "it was ended by force".to_owned(),
        };
        if end != SessionEnd::Ended {
            job.trouble.get_or_insert_with(|| why.clone());
        }
        let text = format!("{id}: the call is over: {why}");
        let fields = [
            ("job", json!(id)),
            ("room", json!(job.offer.room)),
            ("end", json!(end.name())),
            ("reason", json!(why)),
        ];
        self.log.tell("job.over", &text, &fields);
        self.over(id);
    }

    /// A job is over: the server is told, and the room is left.
    pub(super) fn over(&mut self, id: &str) {
        let now = self.clock.now();
        let Some(job) = self.jobs.get_mut(id) else { return };
        if matches!(job.stage, Stage::Leaving(_)) {
            return;
        }
        job.stage = Stage::Leaving(now);
        self.views.forget(id);
        job.session = None;
        job.made = None;
        let state = job.state();
        if let JobState::Failed(why) = &state {
            let text = format!("{id}: failed: {why}");
            let fields =
                [("job", json!(id)), ("room", json!(job.offer.room)), ("reason", json!(why))];
            self.log.tell("job.failed", &text, &fields);
        }
        let end = if state == JobState::Done { JobEnd::Done } else { JobEnd::Failed };
        self.meters.job(end);
        // Before the room is left: a server takes an agent that leaves a job under way for a failure.
        report(&self.registrations, job, state);
        match &job.exit {
            Some(exit) => exit.leave(),
            None => self.forget(id),
        }
    }

    /// Nothing is left of a job, if its room is left and its files are closed.
    pub(super) fn forget(&mut self, id: &str) {
        let is_done = |job: &Job| {
            matches!(job.stage, Stage::Leaving(_)) && job.exit.is_none() && !job.has_files
        };
        if self.jobs.get(id).is_some_and(is_done) {
            self.jobs.remove(id);
            if let Some(leases) = &self.leases {
                leases.release(id);
            }
            self.show();
        }
    }

    /// Ends a job with a goodbye.
    pub(super) fn close_job(&mut self, id: &str) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        if let Some(session) = &job.session {
            let reason = STOPPING.to_owned();
            if !session.tell(Inbound::Close { reason }) {
                session.end(STOPPING);
            }
            return;
        }
        self.end_job(id, STOPPING);
    }

    /// Ends a job at once.
    pub(super) fn end_job(&mut self, id: &str, why: &str) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        match job.stage {
            Stage::Offered => drop(self.jobs.remove(id)),
            Stage::Entering => {
                job.trouble.get_or_insert_with(|| why.to_owned());
                self.over(id);
            }
            Stage::Talking => {
                if let Some(session) = &job.session {
                    session.end(why);
                }
            }
            Stage::Leaving(_) => {}
        }
    }
}

/// Tells the server how a job is that it knows as this worker's.
fn report(registrations: &[Registration], job: &Job, state: JobState) {
    if !job.taken_over {
        registrations[job.desk].desk.order(worker::Order::Update(job.offer.id.clone(), state));
    }
}
