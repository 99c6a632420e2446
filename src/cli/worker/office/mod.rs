//! The office: which jobs are taken, what becomes of them, and when it closes.

mod desks;
mod taking;
mod work;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use tokio_rustls::TlsConnector;

use super::clerk::Clerks;
use super::dev::{Reloaded, Views};
use super::job::Job;
use super::leases::Leases;
use super::log::Log;
use super::served::{Conversation, Served};
use super::{Event, GOODBYE_TIME, WorkerArgs};
use crate::cli::engines::Sizes;
use crate::cli::failure::Failure;
use crate::config::{Config, JobKind};
use crate::host::load::{self, Gauge, Limits};
use crate::host::overload::{Lookout, Thresholds};
use crate::host::pace::{Class, Clock, Moment};
use crate::host::sessions::Sessions;
use crate::host::tenants::{Bounds, Tenants};
use crate::host::tools::WORKERS;
use crate::livekit::address::Address;
use crate::livekit::network::Network;
use crate::livekit::paths::Allowed;
use crate::livekit::token::Key;
use crate::livekit::worker::{Desk, Standing};
use crate::record::Meters;
use crate::session::event::Event as SessionEvent;
use crate::tool::Registry;
use crate::web::health::Board;
use crate::web::server::Server;

/// Events that wait for the office at most: some of each job that there may be, since room for them is made at once,
/// and as many that are no job's.
const EVENTS_OF_ONE: usize = 8;
const EVENTS_WAITING: usize = 1_024;

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

/// Threads for tools of a configuration at most.
const WORKERS_MAX: usize = 64;

/// How long a room may take to be left, in nanoseconds, before nobody waits for it any more.
const LEAVING_NS: u64 = 60_000_000_000;

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
    out: Option<PathBuf>,
    clock: Clock,
    gauge: Gauge,
    looked: Moment,
    told: Option<(Moment, Standing)>,
    door: Door,
    served: Vec<Arc<Served>>,
    registrations: Vec<Registration>,
    jobs: BTreeMap<String, Job>,
    clerks: Clerks,
    leases: Option<Leases>,
    tenants: Tenants,
    /// Calls that this worker wants to take over, and since when.
    claims: BTreeMap<String, Moment>,
    events: Receiver<Event>,
    tell: Sender<Event>,
    meters: Arc<Meters>,
    board: Board,
    place: Place,
    tools: Registry,
    agent_name: Option<String>,
    sizes: Sizes,
    views: Views,
    _http: Server,
    /// Dropped before the threads that it looks at.
    lookout: Lookout,
    sessions: Sessions,
    /// Dropped last: rooms are its tasks.
    network: Network,
}

/// Where the server is, and what opens it.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) address: Address,
    pub(super) key: Key,
    tls: TlsConnector,
    allowed: Allowed,
}

impl Place {
    /// What the arguments say, or all that is wrong with it; `own` is a server of this program's own.
    pub(super) fn of(args: &WorkerArgs, own: Option<(Address, Key)>) -> Result<Self, Failure> {
        let mut wrong = Vec::new();
        let (address, key) = match own {
            Some((address, key)) => (Some(address), Some(key)),
            None => (args.livekit.address(&mut wrong), args.livekit.key("", &mut wrong)),
        };
        let tls = args.livekit.tls(&mut wrong);
        let (Some(address), Some(key), Some(tls)) = (address, key, tls) else {
            return Err(Failure::input(wrong.join("\n")));
        };
        Ok(Self { address, key, tls, allowed: args.livekit.allowed() })
    }
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
        place: Place,
    ) -> Result<Self, Failure> {
        let mut wrong = Vec::new();
        let (tell, events) = bounded(EVENTS_WAITING + EVENTS_OF_ONE * args.max_jobs as usize);
        let engines = args.engines.map_or_else(|| 2 * cores(), usize::from);
        let calls = args.max_jobs as usize;
        let sizes = Sizes {
            ears: engines,
            mouths: engines,
            model_ears: 256,
            model_mouths: 256,
            // A greeting or a goodbye of each call at once, and something else.
            texts: 2 * calls,
            workers: (calls / 8).clamp(WORKERS, WORKERS_MAX),
        };
        let mut all_served = Vec::new();
        for (at, path) in args.config.iter().enumerate() {
            let changed = changes(at, &tell);
            match Served::load(path, &tools, args.agent_name.as_deref(), sizes, changed) {
                Ok(served) => all_served.push(Arc::new(served)),
                Err(failure) => wrong.push(failure.to_string()),
            }
        }
        wrong.extend(doubles(&all_served));
        let leases = match &args.take_over {
            Some(folder) => taking::open(folder, &all_served, &tell, &mut wrong),
            None => None,
        };
        if !wrong.is_empty() {
            return Err(Failure::input(wrong.join("\n")));
        }
        let meters = Arc::new(Meters::new());
        let board = Board::default();
        let http = desks::serve(args, http, &board, &meters, log)?;
        let broken =
            |what: &str, error: std::io::Error| Failure::broken(format!("{what}: {error}"));
        let network = Network::start(Class::RealTime)
            .map_err(|error| broken("no thread for rooms", error))?;
        let shards = args.shards.map_or_else(|| cores().saturating_sub(1).max(1), usize::from);
        let sessions = Sessions::start(shards, Class::RealTime)
            .map_err(|error| broken("no threads for sessions", error))?;
        if sessions.ordinary() > 0 {
            eprintln!(
                "the real-time class is not permitted: ticks may be late when the machine is busy"
            );
        }
        let overload = tell.clone();
        let lookout = Lookout::start(
            sessions.beats(),
            Thresholds::from_full(args.max_load),
            Class::RealTime,
            meters.place().clone(),
            move |look| {
                if look.stage != look.before {
                    overload.try_send(Event::Overload(*look)).ok();
                }
            },
        );
        let lookout =
            lookout.map_err(|error| broken("no thread that looks for overload", error))?;
        let clerks = Clerks::start(&tell, meters.place())
            .map_err(|error| broken("no thread for files", error))?;
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
            served: all_served,
            registrations: Vec::new(),
            jobs: BTreeMap::new(),
            clerks,
            leases,
            tenants: Tenants::new(Bounds {
                sessions: args.tenant_max_jobs,
                a_minute: args.tenant_max_rate,
            }),
            claims: BTreeMap::new(),
            events,
            tell,
            meters,
            board,
            place,
            tools,
            agent_name: args.agent_name.clone(),
            sizes,
            views: Views::default(),
            _http: http,
            lookout,
            sessions,
            network,
        };
        for served in &office.served {
            office.load_plans(served);
        }
        office.register();
        office.show();
        Ok(office)
    }

    fn load_plans(&self, served: &Served) {
        for (conversation, plan) in served.plans() {
            self.sessions.plans().load(&plan_name(served, &conversation), plan);
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
        let Self { lookout, sessions, network, leases, .. } = self;
        drop(leases);
        drop(lookout);
        drop(sessions);
        drop(network);
        Ok(ExitCode::SUCCESS)
    }

    /// Whether somebody wants it to stop, and how much.
    fn asked(&mut self) {
        let now = self.clock.now();
        let asked = ASKED.load(Ordering::Relaxed);
        let next = match self.door {
            Door::Open if asked >= 1 && self.log.friendly => {
                // Who develops is used to that: a second one is enough.
                ASKED.fetch_max(2, Ordering::Relaxed);
                Door::Closing(goodbyes(now))
            }
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
        self.tell_standing(now);
        self.show();
        self.log.tell("worker.draining", &text, &[("jobs", running.into())]);
        let ids: Vec<String> = self.jobs.keys().cloned().collect();
        for id in ids {
            match next {
                Door::Open | Door::Draining(_) => {}
                Door::Closing(_) => self.close_job(&id),
                Door::Closed => self.end_job(&id, STOPPING),
            }
        }
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
            Event::Ended { job, reason, end } => self.ended(&job, reason.as_ref(), end),
            Event::Kept { job, troubles } => self.kept(&job, &troubles),
            Event::Changed(at, reading, config) => self.changed(at, reading, *config),
            Event::Lease(news) => self.leased(news),
            Event::Unwritten(id) => {
                // Whoever went on with it would not know what has happened since.
                if let Some(leases) = &self.leases {
                    leases.release(&id);
                }
            }
            Event::Edited(at) => self.edited(at),
            Event::Loaded(at, loaded) => self.loaded(at, loaded),
            Event::Overload(look) => self.overloaded(&look),
        }
        Ok(())
    }

    /// The tools of a configuration are others.
    fn changed(&mut self, at: usize, reading: u64, config: Config) {
        // A former reading of it is followed while calls are held with it.
        let Some(served) = self.served.get(at).filter(|it| it.reading == reading).cloned() else {
            return;
        };
        if let Err(why) = served.renew(config) {
            eprintln!("{}: {why}", served.path.display());
            return;
        }
        self.load_plans(&served);
        let of_it = self.jobs.iter().filter(|(_, job)| Arc::ptr_eq(&job.served, &served));
        for id in of_it.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            // One that has no session yet begins with what it was made with.
            self.sessions.renew(&id);
        }
    }

    /// A file was saved: a clerk reads it.
    fn edited(&mut self, at: usize) {
        let Some(served) = self.served.get(at) else { return };
        let (path, tools, sizes) = (served.path.clone(), self.tools.clone(), self.sizes);
        let (agent_name, changed) = (self.agent_name.clone(), changes(at, &self.tell));
        self.clerks.load(at, move || {
            Served::load(&path, &tools, agent_name.as_deref(), sizes, changed).map(Arc::new)
        });
    }

    /// A configuration was read anew: it is for calls that begin from now on.
    fn loaded(&mut self, at: usize, loaded: Reloaded) {
        let Some(former) = self.served.get(at) else { return };
        let path = former.path.display().to_string();
        let fields = [("file", path.clone().into())];
        match loaded {
            Err(failure) => {
                let text = format!("{failure}\n{path} stays as it was");
                let wrong = [("file", path.into()), ("wrong", failure.to_string().into())];
                self.log.lines("config.refused", &text, &wrong);
            }
            Ok(new) if (&new.agent_name, new.kind) != (&former.agent_name, former.kind) => {
                let text = format!(
                    "{path} stays as it was: another `livekit.agent_name` or `livekit.job` needs a restart"
                );
                self.log.tell("config.refused", &text, &fields);
            }
            Ok(new) => {
                self.load_plans(&new);
                self.served[at] = new;
                let text = format!("{path} was reloaded: calls that begin from now on have it");
                self.log.tell("config.reloaded", &text, &fields);
            }
        }
    }

    /// What tells the office of events.
    pub(super) fn teller(&self) -> Sender<Event> {
        self.tell.clone()
    }

    /// The meters of this process.
    pub(super) const fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    /// The first configuration, and where its server is.
    pub(super) fn first(&self) -> Option<(Arc<Served>, Address, Key)> {
        let first = Arc::clone(self.served.first()?);
        Some((first, self.place.address.clone(), self.place.key.clone()))
    }

    fn shown(&mut self, id: &str, event: &SessionEvent) {
        let Some(job) = self.jobs.get(id) else { return };
        self.views.show(id, &job.offer.room, &job.plan, self.log.json, event);
    }
}

/// What is told of a configuration whose tools are others.
fn changes(at: usize, tell: &Sender<Event>) -> impl Fn(u64, Config) + Send + 'static {
    let tell = tell.clone();
    move |reading, config| drop(tell.try_send(Event::Changed(at, reading, Box::new(config))))
}

/// The name of a plan among those of all sessions.
fn plan_name(served: &Served, conversation: &Conversation) -> String {
    let path = served.path.display();
    match conversation {
        Some(conversation) => format!("{path}#{conversation}"),
        None => path.to_string(),
    }
}

fn goodbyes(now: Moment) -> Moment {
    now.after_ns(GOODBYE_TIME.as_nanos() as u64)
}

/// Configurations that cannot be told apart.
fn doubles(all: &[Arc<Served>]) -> Vec<String> {
    let mut known: BTreeMap<(String, JobKind, String), &Served> = BTreeMap::new();
    let mut wrong = Vec::new();
    for served in all {
        let key = (served.agent_name.clone(), served.kind, served.name());
        if let Some(other) = known.insert(key, served) {
            wrong.push(format!(
                "{}: `name` is the same as in {}: give one of them another, by which jobs can name it",
                served.path.display(),
                other.path.display()
            ));
        }
    }
    wrong
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
