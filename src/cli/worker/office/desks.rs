//! The office's desks: registrations, and what servers and others are told of how the worker is.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;

use super::{CHANGE, Door, GONE_NS, LEAVING_NS, LOOK_NS, Office, Place, Registration, TELL_NS};
use crate::cli::failure::Failure;
use crate::cli::metrics::token;
use crate::cli::worker::job::Stage;
use crate::cli::worker::log::Log;
use crate::cli::worker::{Event, WorkerArgs};
use crate::config::JobKind;
use crate::host::load::{self, Load};
use crate::host::overload::{Look, Stage as Overload};
use crate::host::pace::Moment;
use crate::livekit::worker::{self, Answer, Desk, Options, Standing, TARGET_LOAD, on_the_wire};
use crate::record::{JobEnd, Meters, WorkerFigures};
use crate::web::access::guarded;
use crate::web::health::{self, Board, Health};
use crate::web::scrape;
use crate::web::server::Server;

impl Office {
    /// One registration for each agent's name and kind of job.
    pub(super) fn register(&mut self) {
        let pairs: BTreeSet<(String, JobKind)> =
            self.served.iter().map(|it| (it.agent_name.clone(), it.kind)).collect();
        for (at, (agent_name, kind)) in pairs.into_iter().enumerate() {
            let Place { address, key, tls, .. } = &self.place;
            let options = Options {
                address: address.clone(),
                key: key.clone(),
                tls: tls.clone(),
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

    pub(super) fn at_desk(&mut self, at: usize, news: worker::News) -> Result<(), Failure> {
        let Some(registration) = self.registrations.get_mut(at) else { return Ok(()) };
        match news {
            worker::News::Registered { worker, server } => {
                let name = match registration.agent_name.as_str() {
                    "" => "every room".to_owned(),
                    name => format!("the agent name `{name}`"),
                };
                let text = format!(
                    "registered as {worker} with LiveKit {server} at {}: {} jobs for {name}",
                    self.place.address,
                    registration.kind.name()
                );
                let fields = [
                    ("worker", json!(worker)),
                    ("server", json!(server)),
                    ("agent_name", json!(registration.agent_name)),
                    ("kind", json!(registration.kind.name())),
                ];
                registration.worker = Some(worker);
                registration.trouble = None;
                self.told = None;
                self.show();
                self.log.tell("worker.registered", &text, &fields);
            }
            worker::News::Offered(offer) => self.offered(at, offer),
            worker::News::Assigned { job, pass, address } => self.assigned(at, &job, pass, address),
            // Whoever is in the room is told by the room itself: a server takes an agent that joins anew for one that
            // has left, and a job whose dispatch is taken back for one whose agent is removed.
            worker::News::Terminated(id) => {
                if self.jobs.get(&id).is_some_and(|job| !job.is_in) {
                    self.end_job(&id, "the server ended the job");
                }
            }
            worker::News::Unusable(id) => {
                self.meters.job(JobEnd::Refused);
                let text = format!("refused {id}: it names no room, or has too much metadata");
                self.log.tell("job.refused", &text, &[("job", json!(id))]);
                registration.desk.order(worker::Order::Answer(id, Answer::Refused));
            }
            worker::News::Lost(why, again_ms) => {
                registration.worker = None;
                registration.trouble = Some(format!("no connection to LiveKit: {why}"));
                let text =
                    format!("no connection to LiveKit: {why}; trying again in {again_ms} ms");
                let fields = [("reason", json!(why.to_string())), ("again_ms", json!(again_ms))];
                self.jobs.retain(|_, job| job.stage != Stage::Offered || job.desk != at);
                self.show();
                self.log.tell("worker.lost", &text, &fields);
            }
            worker::News::Refused(why) => {
                return Err(Failure::input(format!("{}: {why}", self.place.address)));
            }
        }
        Ok(())
    }

    /// Looks at the load, and at what has taken too long.
    pub(super) fn look(&mut self) {
        let now = self.clock.now();
        if now.since_ns(self.looked) < LOOK_NS {
            return;
        }
        self.looked = now;
        let (shards, network) = (self.sessions.busy_ns(), self.network.busy_ns());
        self.gauge.look(now, &shards, network, self.jobs.len());
        self.jobs.retain(|_, job| !job.is_forgotten(now));
        // Another one was faster.
        self.claims.retain(|_, since| now.since_ns(*since) < LOOK_NS);
        self.bury(now);
        self.show();
        let standing = self.standing();
        let is_due = self.told.is_none_or(|(told, last)| {
            now.since_ns(told) >= TELL_NS
                || (last.load - standing.load).abs() >= CHANGE
                || last.jobs != standing.jobs
        });
        if is_due {
            self.tell_standing(now);
        }
    }

    /// Gives up jobs whose session was removed by force, and of which nobody tells that they are over; and those whose
    /// room does not say that it was left.
    pub(super) fn bury(&mut self, now: Moment) {
        let there: BTreeSet<String> = self.sessions.ids().into_iter().collect();
        let (mut gone, mut left) = (Vec::new(), Vec::new());
        for (id, job) in &mut self.jobs {
            if job.is_deserted(now) {
                job.trouble.get_or_insert_with(|| "nobody of the call is there".to_owned());
                gone.push(id.clone());
            }
            let is_gone = job.stage == Stage::Talking && !there.contains(id);
            job.gone = is_gone.then(|| job.gone.unwrap_or(now));
            if job.gone.is_some_and(|since| now.since_ns(since) >= GONE_NS) {
                job.trouble.get_or_insert_with(|| "its session does not come back".to_owned());
                job.has_files = false;
                gone.push(id.clone());
            }
            if matches!(job.stage, Stage::Leaving(since) if now.since_ns(since) >= LEAVING_NS) {
                (job.exit, job.has_files) = (None, false);
                left.push(id.clone());
            }
        }
        gone.iter().for_each(|id| self.over(id));
        left.iter().for_each(|id| self.forget(id));
    }

    pub(super) fn load(&self) -> f64 {
        let sessions = self.jobs.len();
        let load = Load { sessions, share: self.gauge.share(sessions), memory: load::memory() };
        load.of(&self.limits)
    }

    /// Whether it takes no more jobs, for now.
    pub(super) fn is_full(&self) -> bool {
        self.load() >= 1.0 || !self.meters.place().admits()
    }

    /// Something is left out, or no longer.
    pub(super) fn overloaded(&mut self, look: &Look) {
        let Look { stage, before, signs } = look;
        let left_out = match stage {
            Overload::Calm => "nothing is left out",
            Overload::Full => "no jobs are taken",
            Overload::Sparing => "no jobs are taken, pages and reports are left out",
            Overload::Strained => {
                "no jobs are taken, pages and reports are left out, calls do what is no audio less often"
            }
        };
        let text = format!(
            "overload: {before} → {stage}: {left_out}; ticks take {:.0} % of their time, {:.0} % of them are late",
            signs.worked * 100.0,
            signs.late * 100.0
        );
        let fields = [
            ("stage", json!(stage.name())),
            ("before", json!(before.name())),
            ("worked", json!(signs.worked)),
            ("late", json!(signs.late)),
            ("skipped", json!(signs.skipped)),
            ("delay_ms", json!(signs.delay_ns / 1_000_000)),
            ("jobs", json!(self.jobs.len())),
        ];
        self.log.tell("worker.overload", &text, &fields);
        self.show();
    }

    pub(super) fn standing(&self) -> Standing {
        let load = self.load();
        let draining = self.door != Door::Open;
        Standing {
            load: (load * f64::from(TARGET_LOAD)).min(1.0) as f32,
            jobs: self.jobs.len() as u32,
            full: draining || self.is_full(),
            draining,
        }
    }

    pub(super) fn tell_standing(&mut self, now: Moment) {
        let standing = self.standing();
        self.told = Some((now, standing));
        for registration in &self.registrations {
            registration.desk.order(worker::Order::Standing(standing));
        }
    }

    /// Shows how it is, to whoever looks.
    pub(super) fn show(&mut self) {
        let standing = self.standing();
        // A job that a server has nobody for is lost: it is not offered again.
        if self.told.is_some_and(|(_, told)| told.full != standing.full) {
            self.tell_standing(self.clock.now());
        }
        let draining = self.door != Door::Open;
        let registrations = self.registrations.iter();
        let worker_ids: Vec<String> =
            registrations.clone().filter_map(|it| it.worker.clone()).collect();
        let trouble = registrations.clone().find_map(|it| it.trouble.clone());
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
}

/// Serves health, and metrics where whoever asks has a token or is on this machine.
pub(super) fn serve(
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
