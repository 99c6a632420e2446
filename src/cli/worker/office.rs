//! The office: which jobs are taken, what becomes of them, and when it closes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde_json::json;

use super::choice::choose;
use super::clerk::{Clerks, Order};
use super::job::{Job, Stage};
use super::log::Log;
use super::service::{Conversation, Service};
use super::{Event, GOODBYE_TIME, Made, WorkerArgs};
use crate::cli::engines::Sizes;
use crate::cli::failure::Failure;
use crate::cli::livekit::{Ends, ends, entry, shown_name};
use crate::cli::metrics::token;
use crate::config::JobKind;
use crate::host::load::{self, Gauge, Limits, Load};
use crate::host::pace::{Class, Clock, Moment};
use crate::host::sessions::Sessions;
use crate::livekit::address::Address;
use crate::livekit::network::Network;
use crate::livekit::paths::Allowed;
use crate::livekit::room::{self, Room};
use crate::livekit::stay::End;
use crate::livekit::token::{Key, Pass};
use crate::livekit::worker::{
    self, Desk, JobState, Options, Presence, Standing, TARGET_LOAD, TlsTrust, on_the_wire,
};
use crate::record::{JobEnd, Meters, SessionEnd, SessionMeter, WorkerFigures};
use crate::session::event::EndReason;
use crate::session::input::Inbound;
use crate::tool::Registry;
use crate::web::access::guarded;
use crate::web::health::{self, Board, Health};
use crate::web::scrape;
use crate::web::server::Server;
use tokio_rustls::TlsConnector;

/// Events that wait for the office at most: some of each of thousands of jobs.
const EVENTS_WAITING: usize = 65_536;

/// How often signals are looked for while nothing happens.
const LOOK: Duration = Duration::from_millis(50);

/// How often the load is looked at, in nanoseconds.
const LOOK_NS: u64 = 500_000_000;

/// How often the server is told how the worker is at least, in nanoseconds: as often as LiveKit's own tell it.
const TELL_NS: u64 = 2_500_000_000;

/// A change of the load that is told at once.
const CHANGE: f32 = 0.05;

/// How long the end of a session that is gone is waited for, in nanoseconds: its files are being closed.
const GONE_NS: u64 = 10_000_000_000;

/// Why calls end whose worker is stopped.
const STOPPING: &str = "the worker is being stopped";

/// How often the program was asked to stop.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// A registration.
struct Registration {
    desk: Desk,
    agent_name: String,
    kind: JobKind,
    /// The worker's id, while there is one.
    worker: Option<String>,
    /// Why there is none.
    trouble: Option<String>,
}

/// Whether jobs are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    /// None are; running calls have until then.
    Draining(Moment),
    /// Running calls say goodbye; those that have not by then are ended.
    Closing(Moment),
    /// They were told to end at once.
    Closed,
}

/// The office.
pub(super) struct Office {
    log: Log,
    limits: Limits,
    drain_ns: u64,
    out: Option<std::path::PathBuf>,
    clock: Clock,
    gauge: Gauge,
    looked: Moment,
    told: Option<(Moment, Standing)>,
    door: Door,
    services: Vec<Arc<Service>>,
    registrations: Vec<Registration>,
    jobs: BTreeMap<String, Job>,
    clerks: Clerks,
    events: Receiver<Event>,
    tell: Sender<Event>,
    meters: Arc<Meters>,
    board: Board,
    server: (Address, Key, TlsConnector, Allowed),
    _http: Server,
    sessions: Sessions,
    /// Dropped last: rooms are its tasks.
    network: Network,
}

/// The cores that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

impl Office {
    /// Opens it: everything that is given is checked, and told at once if it is wrong.
    pub(super) fn open(
        args: &WorkerArgs,
        tools: Registry,
        log: Log,
        http: SocketAddr,
    ) -> Result<Self, Failure> {
        let mut wrong = Vec::new();
        let address = args.livekit.address(&mut wrong);
        let key = args.livekit.key("", &mut wrong);
        let tls = args.livekit.tls(&mut wrong);
        let (tell, events) = bounded(EVENTS_WAITING);
        let engines = args.engines.map_or_else(|| 2 * cores(), usize::from);
        let sizes = Sizes { ears: engines, mouths: engines, model_ears: 256, model_mouths: 256 };
        let mut services = Vec::new();
        for (at, path) in args.config.iter().enumerate() {
            let tell = tell.clone();
            let changed = move |config| drop(tell.try_send(Event::Changed(at, Box::new(config))));
            match Service::load(path, &tools, args.agent_name.as_deref(), sizes, changed) {
                Ok(service) => services.push(Arc::new(service)),
                Err(failure) => wrong.push(failure.to_string()),
            }
        }
        wrong.extend(doubles(&services));
        let (Some(address), Some(key), Some(tls), true) = (address, key, tls, wrong.is_empty())
        else {
            return Err(Failure::input(wrong.join("\n")));
        };
        let meters = Arc::new(Meters::new());
        let board = Board::default();
        let http = serve(args, http, &board, &meters, log)?;
        let broken =
            |what: &str, error: std::io::Error| Failure::broken(format!("{what}: {error}"));
        let network = Network::start().map_err(|error| broken("no thread for rooms", error))?;
        let shards = args.shards.map_or_else(|| cores().saturating_sub(1).max(1), usize::from);
        let sessions = Sessions::start(shards, Class::RealTime)
            .map_err(|error| broken("no threads for sessions", error))?;
        if sessions.ordinary() > 0 {
            eprintln!(
                "the real-time class is not permitted: ticks may be late when the machine is busy"
            );
        }
        let clerks = Clerks::start(&tell).map_err(|error| broken("no thread for files", error))?;
        let mut office = Self {
            log,
            limits: Limits {
                sessions: args.max_jobs as usize,
                share: args.max_load,
                memory: args.max_memory_mb.map_or_else(
                    || load::memory_max() / 5 * 4,
                    |megabytes| megabytes.saturating_mul(1_000_000),
                ),
            },
            drain_ns: u64::from(args.drain_timeout) * 1_000_000_000,
            out: args.out.clone(),
            clock: Clock::default(),
            gauge: Gauge::default(),
            looked: Clock::default().now(),
            told: None,
            door: Door::Open,
            services,
            registrations: Vec::new(),
            jobs: BTreeMap::new(),
            clerks,
            events,
            tell,
            meters,
            board,
            server: (address, key, tls, args.livekit.allowed()),
            _http: http,
            sessions,
            network,
        };
        for service in &office.services {
            office.load_plans(service);
        }
        office.show();
        office.register();
        Ok(office)
    }

    /// One registration for each agent's name and kind of job.
    fn register(&mut self) {
        let pairs: BTreeSet<(String, JobKind)> =
            self.services.iter().map(|it| (it.agent_name.clone(), it.kind)).collect();
        for (at, (agent_name, kind)) in pairs.into_iter().enumerate() {
            let (address, key, tls, _) = &self.server;
            let options = Options {
                address: address.clone(),
                key: key.clone(),
                tls: TlsTrust(tls.clone()),
                agent_name: agent_name.clone(),
                kind,
            };
            let tell = self.tell.clone();
            let tell = Box::new(move |news| drop(tell.try_send(Event::Desk(at, news))));
            let desk = Desk::open(&self.network, options, tell);
            let trouble = Some("not registered yet".to_owned());
            self.registrations.push(Registration { desk, agent_name, kind, worker: None, trouble });
        }
    }

    fn load_plans(&self, service: &Service) {
        for (conversation, plan) in service.plans() {
            self.sessions.plans().load(&plan_name(service, &conversation), plan);
        }
    }

    /// Runs until it is asked to stop and the last call is over.
    pub(super) fn run(mut self) -> Result<ExitCode, Failure> {
        stop_when_asked();
        loop {
            match self.events.recv_timeout(LOOK) {
                Ok(event) => self.happened(event)?,
                Err(RecvTimeoutError::Timeout) => {}
                // It has a sender of its own.
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.asked();
            self.look();
            if self.door != Door::Open && self.jobs.is_empty() {
                break;
            }
        }
        self.log.tell("worker.stopped", "stopped: no calls are left", &[]);
        let Self { sessions, network, .. } = self;
        drop(sessions);
        drop(network);
        Ok(ExitCode::SUCCESS)
    }

    /// Whether somebody wants it to stop, and how much.
    fn asked(&mut self) {
        let now = self.clock.now();
        let asked = ASKED.load(Ordering::Relaxed);
        let next = match self.door {
            Door::Open if asked >= 1 && self.log.friendly => Door::Closing(goodbyes(now)),
            Door::Open if asked >= 1 => Door::Draining(now.after_ns(self.drain_ns)),
            Door::Draining(until) if asked >= 2 || now >= until => Door::Closing(goodbyes(now)),
            Door::Closing(until) if now >= until => Door::Closed,
            Door::Open | Door::Draining(_) | Door::Closing(_) | Door::Closed => return,
        };
        self.door = next;
        let running = self.jobs.len();
        let text = match next {
            Door::Open => return,
            Door::Draining(_) => format!("draining: no more jobs are taken, {running} are running"),
            Door::Closing(_) => format!("closing: {running} calls end with a goodbye"),
            Door::Closed => format!("closing: {running} calls are ended"),
        };
        self.log.tell("worker.draining", &text, &[("jobs", running.into())]);
        self.tell_standing(now);
        let ids: Vec<String> = self.jobs.keys().cloned().collect();
        for id in ids {
            match next {
                Door::Open | Door::Draining(_) => {}
                Door::Closing(_) => self.close_job(&id),
                Door::Closed => self.end_job(&id, STOPPING),
            }
        }
    }

    /// Ends a job with a goodbye.
    fn close_job(&mut self, id: &str) {
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
    fn end_job(&mut self, id: &str, why: &str) {
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
            Stage::Leaving => {}
        }
    }

    /// Looks at the load, and at what has taken too long.
    fn look(&mut self) {
        let now = self.clock.now();
        if now.since_ns(self.looked) < LOOK_NS {
            return;
        }
        self.looked = now;
        let mut busy = self.sessions.busy_ns();
        busy.push(self.network.busy_ns());
        self.gauge.look(now, &busy, self.jobs.len());
        self.jobs.retain(|_, job| !job.is_forgotten(now));
        self.bury(now);
        self.show();
        let standing = self.standing();
        let is_due = self.told.is_none_or(|(told, last)| {
            now.since_ns(told) >= TELL_NS
                || (last.load - standing.load).abs() >= CHANGE
                || last.full != standing.full
                || last.jobs != standing.jobs
        });
        if is_due {
            self.tell_standing(now);
        }
    }

    /// Gives up jobs whose session was removed by force, and of which nobody tells that they are over.
    fn bury(&mut self, now: Moment) {
        let mut gone = Vec::new();
        for (id, job) in &mut self.jobs {
            let is_gone = job.stage == Stage::Talking && self.sessions.get(id).is_none();
            let since = job.gone.get_or_insert(now);
            if !is_gone {
                job.gone = None;
            } else if now.since_ns(*since) >= GONE_NS {
                job.trouble.get_or_insert_with(|| "its session does not come back".to_owned());
                gone.push(id.clone());
            }
        }
        gone.iter().for_each(|id| self.over(id));
    }

    fn load(&self) -> f64 {
        let sessions = self.jobs.len();
        let load = Load { sessions, share: self.gauge.share(sessions), memory: load::memory() };
        load.of(&self.limits)
    }

    fn standing(&self) -> Standing {
        let load = self.load();
        let draining = self.door != Door::Open;
        Standing {
            load: (load * f64::from(TARGET_LOAD)).min(1.0) as f32,
            jobs: self.jobs.len() as u32,
            full: draining || load >= 1.0,
            draining,
        }
    }

    fn tell_standing(&mut self, now: Moment) {
        let standing = self.standing();
        self.told = Some((now, standing));
        for registration in &self.registrations {
            registration.desk.order(worker::Order::Standing(standing));
        }
    }

    /// Shows how it is, to whoever looks.
    fn show(&self) {
        let standing = self.standing();
        let draining = self.door != Door::Open;
        let registrations = self.registrations.iter();
        let worker_ids: Vec<String> =
            registrations.clone().filter_map(|it| it.worker.clone()).collect();
        let none = || self.registrations.is_empty().then(|| "not registered yet".to_owned());
        let trouble = registrations.clone().find_map(|it| it.trouble.clone()).or_else(none);
        let busy = match (draining, standing.full) {
            (true, _) => Some("draining".to_owned()),
            (false, true) => Some("full".to_owned()),
            (false, false) => None,
        };
        self.meters.worker(WorkerFigures {
            load: standing.load.into(),
            registrations: worker_ids.len(),
            draining,
            jobs: self.jobs.len(),
        });
        let first = self.registrations.first();
        self.board.put(Health {
            agent_name: first.map(|it| it.agent_name.clone()).unwrap_or_default(),
            worker_type: on_the_wire(first.map_or(JobKind::Room, |it| it.kind))
                .as_str_name()
                .to_owned(),
            worker_load: f64::from((standing.load * 1_000.0).round()) / 1_000.0,
            active_jobs: self.jobs.len(),
            sdk_version: env!("CARGO_PKG_VERSION"),
            project_type: "rust",
            worker_ids,
            draining,
            trouble,
            busy,
        });
    }

    fn happened(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Desk(at, news) => self.at_desk(at, news)?,
            Event::Room(id, news) => self.in_room(&id, news),
            Event::Made(id, Ok(made)) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.made = Some(made);
                    self.begin(&id);
                }
            }
            Event::Made(id, Err(why)) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.trouble.get_or_insert(why);
                    self.over(&id);
                }
            }
            Event::Happened(id, event) => self.shown(&id, &event),
            Event::Over { job, reason, end, troubles } => {
                self.ended(&job, reason.as_ref(), end, &troubles);
            }
            Event::Changed(at, config) => self.changed(at, *config),
        }
        Ok(())
    }

    fn at_desk(&mut self, at: usize, news: worker::News) -> Result<(), Failure> {
        let Some(registration) = self.registrations.get_mut(at) else { return Ok(()) };
        match news {
            worker::News::Registered { worker, server } => {
                let name = match registration.agent_name.as_str() {
                    "" => "every room".to_owned(),
                    name => format!("the agent name `{name}`"),
                };
                let text = format!(
                    "registered as {worker} with LiveKit {server} at {}: {} jobs for {name}",
                    self.server.0,
                    registration.kind.name()
                );
                let fields = [
                    ("worker", json!(worker)),
                    ("server", json!(server)),
                    ("agent_name", json!(registration.agent_name)),
                    ("kind", json!(registration.kind.name())),
                ];
                self.log.tell("worker.registered", &text, &fields);
                registration.worker = Some(worker);
                registration.trouble = None;
                self.told = None;
                self.show();
            }
            worker::News::Offered(offer) => self.offered(at, offer),
            worker::News::Assigned { job, pass, address } => self.assigned(at, &job, pass, address),
            worker::News::Terminated(id) => self.end_job(&id, "the server ended the job"),
            worker::News::Lost(why, again_ms) => {
                registration.worker = None;
                registration.trouble = Some(format!("no connection to LiveKit: {why}"));
                let text =
                    format!("no connection to LiveKit: {why}; trying again in {again_ms} ms");
                let fields = [("reason", json!(why.to_string())), ("again_ms", json!(again_ms))];
                self.log.tell("worker.lost", &text, &fields);
                self.jobs.retain(|_, job| job.stage != Stage::Offered || job.desk != at);
                self.show();
            }
            worker::News::Refused(why) => {
                return Err(Failure::input(format!("{}: {why}", self.server.0)));
            }
        }
        Ok(())
    }

    /// Is this job taken?
    fn offered(&mut self, at: usize, offer: worker::Job) {
        let taken = self.taken(at, &offer);
        let presence = match &taken {
            Ok((_, _, plan)) => Some(Presence {
                identity: format!("agent-{}", offer.id),
                name: shown_name(plan).to_owned(),
            }),
            Err(why) => {
                self.meters.job(JobEnd::Refused);
                let text = format!("refused {} for `{}`: {why}", offer.id, offer.room);
                let fields =
                    [("job", json!(offer.id)), ("room", json!(offer.room)), ("reason", json!(why))];
                self.log.tell("job.refused", &text, &fields);
                None
            }
        };
        let answer = worker::Order::Answer(offer.id.clone(), presence);
        let answered = self.registrations.get(at).is_some_and(|it| it.desk.order(answer));
        let (true, Ok((service, conversation, plan))) = (answered, taken) else { return };
        let job = Job {
            desk: at,
            service,
            conversation,
            plan,
            offered: self.clock.now(),
            stage: Stage::Offered,
            exit: None,
            made: None,
            heard: false,
            session: None,
            gone: None,
            trouble: None,
            offer,
        };
        self.jobs.insert(job.offer.id.clone(), job);
        self.show();
    }

    /// What a job would run on, if it is taken.
    #[expect(clippy::type_complexity, reason = "it is taken apart at once")]
    fn taken(
        &self,
        at: usize,
        offer: &worker::Job,
    ) -> Result<(Arc<Service>, Conversation, Arc<crate::session::plan::Plan>), String> {
        if self.door != Door::Open {
            return Err("the worker is draining".to_owned());
        }
        if self.load() >= 1.0 {
            return Err("the worker is full".to_owned());
        }
        if self.jobs.contains_key(&offer.id) {
            return Err("it was taken already".to_owned());
        }
        let registration = self.registrations.get(at).ok_or("it is nobody's")?;
        let served: Vec<&Arc<Service>> = self
            .services
            .iter()
            .filter(|it| it.agent_name == registration.agent_name && it.kind == registration.kind)
            .collect();
        let service = choose(&served, offer)?;
        let (conversation, plan) = service.plan(&offer.room, &offer.metadata)?;
        Ok((Arc::clone(service), conversation, plan))
    }

    /// It is this worker's: the agent enters the room, and a clerk makes its session meanwhile.
    fn assigned(&mut self, at: usize, offer: &worker::Job, pass: Pass, address: Option<Address>) {
        let Some(job) = self.jobs.get_mut(&offer.id).filter(|job| job.stage == Stage::Offered)
        else {
            let why = JobState::Failed("it came too late".to_owned());
            if let Some(registration) = self.registrations.get(at) {
                registration.desk.order(worker::Order::Update(offer.id.clone(), why));
            }
            return;
        };
        job.stage = Stage::Entering;
        let id = offer.id.clone();
        let (own, key, tls, allowed) = &self.server;
        let Ends { edge, calls, line, cord } = match ends(&job.plan, &self.network) {
            Ok(ends) => ends,
            Err(error) => {
                job.trouble = Some(error.to_string());
                self.over(&id);
                return;
            }
        };
        let address = address.unwrap_or_else(|| own.clone());
        let mut options =
            entry(&job.plan, (address, pass, Some(key.clone())), tls.clone(), *allowed);
        if offer.kind != JobKind::Room {
            options.listen_to.clone_from(&offer.participant);
        }
        let (tell, of) = (self.tell.clone(), id.clone());
        let tell: room::Teller =
            Arc::new(move |news| drop(tell.try_send(Event::Room(of.clone(), news))));
        job.exit = Some(Room::enter(&self.network, options, line, cord, tell));
        let order = Order {
            job: id.clone(),
            room_sid: job.offer.room_sid.clone(),
            service: Arc::clone(&job.service),
            plan: Arc::clone(&job.plan),
            edge,
            calls,
            out: self.out.as_ref().map(|out| out.join(&id)),
            shown: self.log.friendly,
        };
        if !self.clerks.make(order) {
            job.trouble = Some("too many calls begin at once".to_owned());
            self.over(&id);
        }
    }

    fn in_room(&mut self, id: &str, news: room::News) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let room = job.offer.room.clone();
        match news {
            room::News::Joined { identity, lacks, .. } => {
                let update = worker::Order::Update(id.to_owned(), JobState::Running);
                self.registrations[job.desk].desk.order(update);
                let text = format!("{id}: in the room `{room}` as `{identity}`");
                let fields = [
                    ("job", json!(id)),
                    ("room", json!(room)),
                    ("room_sid", json!(job.offer.room_sid)),
                    ("identity", json!(identity)),
                    ("config", json!(job.service.name())),
                    ("conversation", json!(job.conversation)),
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
            room::News::Warning(warning) => {
                let text = format!("{id}: {warning}");
                let fields = [("job", json!(id)), ("warning", json!(warning))];
                self.log.tell("job.warning", &text, &fields);
            }
            room::News::Refused(error) => {
                job.exit = None;
                job.trouble.get_or_insert_with(|| error.to_string());
                self.over(id);
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
                self.log.tell("job.left", &text, &fields);
                match job.stage {
                    Stage::Leaving => drop(self.jobs.remove(id)),
                    // The session is told by the room itself, and its end follows.
                    Stage::Talking => {}
                    Stage::Offered | Stage::Entering => {
                        // Nobody has come, or nobody is there any more: nothing went wrong.
                        if end == End::RoomClosed {
                            job.trouble = None;
                        }
                        self.over(id);
                    }
                }
            }
        }
    }

    /// Lets the session begin, if it is made and somebody hears it.
    fn begin(&mut self, id: &str) {
        let now = self.clock.now();
        let Some(job) = self.jobs.get_mut(id) else { return };
        if job.stage != Stage::Entering || !job.heard {
            return;
        }
        let Some(made) = job.made.take() else { return };
        let Made { slot, mut watch } = *made;
        watch.meter = Some(SessionMeter::begin(&self.meters));
        self.meters.job_began(now.since_ns(job.offered));
        let plan = plan_name(&job.service, &job.conversation);
        let created = self.sessions.create(id, &plan, |_| Ok((slot, Box::new(watch))));
        match created {
            Ok(created) => {
                job.stage = Stage::Talking;
                job.session = Some(created.session);
                let text = format!("{id}: the call begins, in `{}`", job.offer.room);
                let fields = [
                    ("job", json!(id)),
                    ("room", json!(job.offer.room)),
                    ("after_ms", json!(now.since_ns(job.offered) / 1_000_000)),
                ];
                self.log.tell("job.began", &text, &fields);
                if self.door != Door::Open && !matches!(self.door, Door::Draining(_)) {
                    self.close_job(id);
                }
            }
            Err(error) => {
                job.trouble.get_or_insert_with(|| error.to_string());
                self.over(id);
            }
        }
    }

    /// A session is over, and its files are closed.
    fn ended(
        &mut self,
        id: &str,
        reason: Option<&EndReason>,
        end: SessionEnd,
        troubles: &[String],
    ) {
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
            ("troubles", json!(troubles)),
        ];
        self.log.tell("job.over", &text, &fields);
        for trouble in troubles {
            eprintln!("{id}: {trouble}");
        }
        self.over(id);
    }

    /// A job is over: the server is told, and the room is left.
    fn over(&mut self, id: &str) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        if job.stage == Stage::Leaving {
            return;
        }
        job.stage = Stage::Leaving;
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
        let update = worker::Order::Update(id.to_owned(), state);
        self.registrations[job.desk].desk.order(update);
        match &job.exit {
            Some(exit) => exit.leave(),
            None => drop(self.jobs.remove(id)),
        }
        self.show();
    }

    /// The tools of a configuration are others.
    fn changed(&mut self, at: usize, config: crate::config::Config) {
        let Some(service) = self.services.get(at).cloned() else { return };
        if let Err(why) = service.renew(config) {
            eprintln!("{}: {why}", service.path.display());
            return;
        }
        self.load_plans(&service);
        let of_it = self.jobs.iter().filter(|(_, job)| Arc::ptr_eq(&job.service, &service));
        for id in of_it.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            // One that has no session yet begins with what it was made with.
            self.sessions.renew(&id);
        }
    }

    fn shown(&mut self, id: &str, event: &crate::session::event::Event) {
        let _ = (id, event);
    }
}

/// The name of a plan among those of all sessions.
fn plan_name(service: &Service, conversation: &Conversation) -> String {
    let path = service.path.display();
    match conversation {
        Some(conversation) => format!("{path}#{conversation}"),
        None => path.to_string(),
    }
}

fn goodbyes(now: Moment) -> Moment {
    now.after_ns(GOODBYE_TIME.as_nanos() as u64)
}

/// Configurations that cannot be told apart.
fn doubles(services: &[Arc<Service>]) -> Vec<String> {
    let mut known: BTreeMap<(String, JobKind, String), &Service> = BTreeMap::new();
    let mut wrong = Vec::new();
    for service in services {
        let key = (service.agent_name.clone(), service.kind, service.name());
        if let Some(other) = known.insert(key, service) {
            wrong.push(format!(
                "{}: `name` is the same as in {}: give one of them another, by which jobs can name it",
                service.path.display(),
                other.path.display()
            ));
        }
    }
    wrong
}

/// Serves health, and metrics where whoever asks has a token or is on this machine.
fn serve(
    args: &WorkerArgs,
    at: SocketAddr,
    board: &Board,
    meters: &Arc<Meters>,
    log: Log,
) -> Result<Server, Failure> {
    let metrics = scrape::only(Arc::clone(meters));
    let pages = health::pages(board.clone());
    let pages = match token(args.metrics_token_file.as_deref())? {
        Some(token) => pages.merge(guarded(metrics, token)),
        None if at.ip().is_loopback() => pages.merge(metrics),
        None => pages,
    };
    let server = Server::start_open(at, pages)
        .map_err(|error| Failure::input(format!("--http: {error}")))?;
    let at = format!("http://{}/", server.address());
    log.tell("worker.http", &format!("health and metrics: {at}"), &[("url", json!(at))]);
    Ok(server)
}

/// The first time it drains, the second it says goodbye, the third it is gone.
fn stop_when_asked() {
    let handler = || {
        if ASKED.fetch_add(1, Ordering::Relaxed) >= 2 {
            #[expect(clippy::exit, reason = "it was asked for three times")]
            std::process::exit(130);
        }
    };
    // Where it cannot be set, a signal ends the program at once; journals are kept all the same.
    drop(ctrlc::set_handler(handler));
}
