//! `antiphon start` and `antiphon dev`: agents for whichever rooms a LiveKit server dispatches them to.
//!
//! One thread decides everything, the [office](office); it never waits for a server, a room or a disk. Registrations and
//! rooms are on the network's thread, sessions on shards, files with [clerks](clerk); all of them tell it what happens.
//!
//! **Invariant:** a job that was taken ends with exactly one word to the server, whatever becomes of it.

mod choice;
mod clerk;
mod dev;
mod job;
mod leases;
mod log;
mod making;
mod office;
mod served;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::failure::Failure;
use super::livekit::LivekitArgs;
use super::metrics::address;
use super::watch::LiveWatch;
use crate::config::Config;
use crate::host::overload::Look;
use crate::livekit::{room, worker};
use crate::record::SessionEnd;
use crate::session::event::{EndReason, Event as SessionEvent};
use crate::slot::Slot;
use crate::tool::Registry;
pub(super) use dev::{DevArgs, dev};
use log::Log;
use office::{Office, Place};

/// The port of LiveKit's own workers.
const PORT: u16 = 8081;

/// Serves rooms as a worker of a LiveKit server.
///
/// The worker registers with the server and is asked whether it takes a job: an agent for a room that begins, or for
/// somebody who comes. It says yes while the load is below its limits, and holds all calls in this one process. The
/// configuration is chosen by the agent's name (`livekit.agent_name`), by `{"config": NAME}` in the dispatch's metadata,
/// or by the room's name (`livekit.rooms`).
///
/// On SIGTERM or an interrupt it takes no more jobs, lets running calls come to their end, and exits. A second one ends
/// them with a goodbye (`call.goodbye`), a third the program.
///
/// The server, and a key with its secret, come from the environment (LIVEKIT_URL, LIVEKIT_API_KEY,
/// LIVEKIT_API_SECRET) or from the arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon start configs/demo.yaml
  antiphon start shoes.yaml hats.yaml --max-jobs 50 --out out/calls
  antiphon start config.yaml --agent-name receptionist --http 0.0.0.0:8081

Exit codes: 0 it was stopped, 1 it went wrong, 2 it could not begin.")]
pub(super) struct StartArgs {
    #[command(flatten)]
    worker: WorkerArgs,
}

#[derive(Debug, clap::Args)]
struct WorkerArgs {
    /// The configurations, YAML files.
    #[arg(required = true)]
    config: Vec<PathBuf>,
    /// The agent's name under which all configurations are served, instead of each one's `livekit.agent_name`. With a
    /// name, jobs come only where it is asked for.
    #[arg(long, value_name = "NAME")]
    agent_name: Option<String>,
    /// Jobs at the same time at most.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_jobs: u32,
    /// Jobs of one tenant at the same time at most: of those whose metadata has the same `{"tenant": NAME}`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    tenant_max_jobs: Option<u32>,
    /// Jobs of one tenant that begin in a minute at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    tenant_max_rate: Option<u32>,
    /// The share of its time that a thread of ticks, or the network's, works at most.
    #[arg(long, value_name = "SHARE", default_value_t = crate::host::load::SHARE_MAX, value_parser = share)]
    max_load: f64,
    /// The memory of this process at most; four fifths of what there is unless it is given.
    #[arg(long, value_name = "MB")]
    max_memory_mb: Option<u64>,
    /// Threads of ticks; one less than there are cores unless it is given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    shards: Option<u16>,
    /// Offline recognisers and synthesisers that all calls of a configuration share; two a core unless it is given.
    ///
    /// Who speaks while none is free is not understood, and the agent's fallback answers; what is to be said waits, and
    /// is the apology if it waits too long.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    engines: Option<u16>,
    /// How long running calls may take to their end after the first SIGTERM, in seconds, before they are ended with a
    /// goodbye.
    #[arg(long, value_name = "S", default_value_t = 1_800, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    drain_timeout: u32,
    /// Where health (`/`, `/ready`, `/worker`) and metrics (`/metrics`) are served.
    ///
    /// A port alone is one of this machine only; 0 is one that is free. Where other machines can ask, metrics need a
    /// token: that of --metrics-token-file, or of the environment variable ANTIPHON_METRICS_TOKEN; without one there
    /// is only health.
    #[arg(long, value_name = "ADDR|PORT", value_parser = address)]
    http: Option<SocketAddr>,
    /// A file with the token that is asked for: `Authorization: Bearer TOKEN`.
    #[arg(long, value_name = "FILE")]
    metrics_token_file: Option<PathBuf>,
    /// A folder in which each call gets one of its own, named after its job, with all files of a call. Without it there
    /// are journals, where the configuration has a folder for them.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A folder that workers share, in which one finds what it needs to go on with the calls of another that has died:
    /// its journals and leases.
    ///
    /// Each call has its journal there, whatever its configuration says of journals, and it is kept as `journals` says.
    /// Workers of the same build, with the same server and configurations, take over each other's calls within seconds,
    /// and a worker that is started anew those of its predecessor.
    #[arg(long, value_name = "DIR")]
    take_over: Option<PathBuf>,
    /// Prints an object a line instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    livekit: LivekitArgs,
}

/// A share, whose mistakes are told in words that are not the parser's.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share: &f64| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "write a share above 0, up to 1, like 0.7".to_owned())
}

/// Something that has happened, for the office.
enum Event {
    /// At a registration.
    Desk(usize, worker::News),
    /// In a room.
    Room(String, room::News),
    /// A session was made, or could not be.
    Made(String, Result<Box<Made>, String>),
    /// Something that happened in a session, to be shown.
    Happened(String, Box<SessionEvent>),
    /// A session is over.
    Ended { job: String, reason: Option<EndReason>, end: SessionEnd },
    /// Its files are closed; what went wrong with them.
    Kept { job: String, troubles: Vec<String> },
    /// The tools of a configuration are others: its place in the list, which reading of it, and it itself.
    Changed(usize, u64, Box<Config>),
    /// The file of a configuration was saved.
    Edited(usize),
    /// Of a lease.
    Lease(leases::News),
    /// The journal of a session is lost.
    Unwritten(String),
    /// A configuration was read anew.
    Loaded(usize, dev::Reloaded),
    /// There is more to do than can be done, or less than before.
    Overload(Look),
}

/// A session that may begin.
struct Made {
    slot: Slot,
    watch: LiveWatch,
    /// How it was taken over; none: it is new.
    taken: Option<making::Taken>,
}

pub(super) fn start(args: &StartArgs, tools: Registry) -> Result<ExitCode, Failure> {
    let log = Log { json: args.worker.json, friendly: false };
    let http = args.worker.http.unwrap_or_else(|| here(PORT));
    let place = Place::of(&args.worker, None)?;
    Office::open(&args.worker, tools, log, http, place)?.run()
}

fn here(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// How long a session that says goodbye may take, before it is ended without.
const GOODBYE_TIME: Duration = Duration::from_secs(15);
