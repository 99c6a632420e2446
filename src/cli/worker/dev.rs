//! `antiphon dev`: a worker for who writes a configuration: its changes are followed, a page is at hand, and a server is
//! started where none is named.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::log::Log;
use super::office::{Office, Place};
use super::served::Served;
use super::{Event, WorkerArgs, here};
use crate::cli::failure::Failure;
use crate::cli::livekit::shown_name;
use crate::cli::local_server::DevServer;
use crate::cli::view::View;
use crate::session::event::Event as SessionEvent;
use crate::session::plan::Plan;
use crate::tool::Registry;
use crate::web::page;
use crate::web::server::Server;
use crate::web::shed::shedding;

/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Serves rooms while you write, with a page to talk from.
///
/// It is `start` for development. Calls are shown as they are held; a configuration that is saved is for calls that begin
/// from then on, and one that is wrong is told and changes nothing; the page at the printed address opens a room of its
/// own. Without a server, `livekit-server --dev` is started, if it is on the PATH, and stopped at the end.
///
/// An interrupt ends calls with a goodbye, a second one the program.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon dev configs/demo.yaml
  antiphon dev my-shop/agent.yaml --url ws://127.0.0.1:7880 --api-key devkey

Exit codes: 0 it was stopped, 1 it went wrong, 2 it could not begin.")]
pub(crate) struct DevArgs {
    #[command(flatten)]
    worker: WorkerArgs,
}

pub(crate) fn dev(args: &DevArgs, tools: Registry) -> Result<ExitCode, Failure> {
    let args = &args.worker;
    let log = Log { json: args.json, friendly: true };
    let http = args.http.unwrap_or_else(|| here(0));
    let (server, place) = if args.livekit.has_url() {
        (None, Place::of(args, None)?)
    } else {
        let (server, address, key) = DevServer::start()?;
        let url = address.to_string();
        log.tell(
            "server.started",
            &format!("started a LiveKit server at {url}"),
            &[("url", url.into())],
        );
        (Some(server), Place::of(args, Some((address, key)))?)
    };
    let office = Office::open(args, tools, log, http, place)?;
    let page = serve_page(&office, log)?;
    let watcher = Watcher::start(args.config.clone(), office.teller())
        .map_err(|error| Failure::broken(format!("no thread that looks at files: {error}")))?;
    let code = office.run();
    drop(watcher);
    drop(page);
    drop(server);
    code
}

/// Serves the page to talk from, where this program has it; says where it is.
fn serve_page(office: &Office, log: Log) -> Result<Option<Server>, Failure> {
    if page::html().is_none() {
        log.tell("page.missing", page::MISSING, &[]);
        return Ok(None);
    }
    let Some((first, address, key)) = office.first() else { return Ok(None) };
    let dispatch = Some(first.agent_name.clone()).filter(|name| !name.is_empty());
    let plan = first.plans()[&None].clone();
    let agent = shown_name(&plan).to_owned();
    let pages = page::pages(page::Options { server: address, room: None, dispatch, agent, key });
    let pages = shedding(pages, office.meters().place().clone());
    let server = Server::start(here(0), None, pages)
        .map_err(|error| Failure::input(format!("the page: {error}")))?;
    let url = format!("http://{}/", server.address());
    log.tell("page", &format!("talk to it: {url}"), &[("url", url.clone().into())]);
    Ok(Some(server))
}

/// Looks at files until it is dropped.
struct Watcher {
    stop: Option<Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What tells one state of a file from another.
type Mark = Option<(SystemTime, u64)>;

impl Watcher {
    fn start(paths: Vec<PathBuf>, tell: Sender<Event>) -> std::io::Result<Self> {
        let (stop, stopped) = bounded::<()>(0);
        let mut known: Vec<Mark> = paths.iter().map(mark).collect();
        let look = move || {
            while still(&stopped) {
                for (at, path) in paths.iter().enumerate() {
                    let now = mark(path);
                    // Editors replace files: one that is missing for a moment is on its way.
                    if now.is_some() && now != std::mem::replace(&mut known[at], now) {
                        drop(tell.send(Event::Edited(at)));
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("file watcher".to_owned()).spawn(look)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

fn still(stopped: &Receiver<()>) -> bool {
    stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout)
}

fn mark(path: &PathBuf) -> Mark {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Shows what is said in calls.
#[derive(Default)]
pub(super) struct Views {
    views: BTreeMap<String, View>,
}

impl Views {
    /// Shows an event of a call.
    pub(super) fn show(
        &mut self,
        job: &str,
        room: &str,
        plan: &Arc<Plan>,
        json: bool,
        event: &SessionEvent,
    ) {
        let several =
            self.views.len() > 1 || (self.views.len() == 1 && !self.views.contains_key(job));
        let view =
            self.views.entry(job.to_owned()).or_insert_with(|| View::labelled(plan, json, job));
        view.label(several.then_some(room));
        view.event(event);
    }

    /// A call is over.
    pub(super) fn forget(&mut self, job: &str) {
        self.views.remove(job);
    }
}

/// A configuration that was saved, ready to be served or wrong.
pub(super) type Reloaded = Result<Arc<Served>, Failure>;
