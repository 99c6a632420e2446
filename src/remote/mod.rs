//! Tools that are carried out outside of this process: by HTTP servers, by processes, by MCP servers.
//!
//! ```text
//! Config ── start: variables, servers connected, their tools listed ──▶ Remote
//!   Remote::resolved ─▶ the configuration with the tools that were found ─▶ Plan, journal, models
//!   Remote::add_to   ─▶ Registry: each tool an ordinary one, called on a worker's thread
//!   Remote::changes  ─▶ the configuration anew, whenever a server's tools have changed
//!
//!   worker ── arguments, deadline ──▶ one thread with tokio ──▶ socket, process, MCP server
//!          ◀── value, or why not ──
//! ```
//!
//! What a model was told of an MCP server's tools stands in the configuration of the session, and so in its
//! journal: a replay asks no server.
//!
//! **Invariant:** whatever a server or a process does, a call ends by its deadline with a value of bounded size
//! and depth or with the reason why there is none; no secret is in a reason, an event or anything that is
//! printed.

mod answer;
mod environment;
mod http;
mod mcp;
mod net;
mod process;
mod resolve;
mod server;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use self::environment::Secrets;
use self::http::{Clients, HttpCaller};
use self::mcp::McpCaller;
use self::net::Net;
use self::process::ProcessCaller;
use self::resolve::Shelf;
use self::server::Link;
use crate::config::Config;
use crate::session::plan::tool_spec;
use crate::tool::Registry;
use crate::tool::fill::Environment;

pub use self::answer::{RESULT_MAX, TEXT_MAX};
pub use self::environment::variables;
pub use self::mcp::IDEMPOTENCY_META;
pub use self::process::IDEMPOTENCY_VARIABLE;

/// Configurations that wait for whoever follows changes; beyond, the oldest is dropped: the newest is what
/// counts.
const CHANGES_WAITING: usize = 4;

/// Whoever carries out the tools of a configuration that are not of this process.
///
/// When it is dropped, and with it all tools that it has added, its servers are gone with their children.
#[derive(Debug, Clone)]
pub struct Remote {
    reach: Arc<Reach>,
}

#[derive(Debug)]
struct Reach {
    secrets: Arc<Secrets>,
    clients: Clients,
    links: BTreeMap<String, Link>,
    shelf: Arc<Mutex<Shelf>>,
    changes: Receiver<Config>,
    net: Arc<Net>,
}

impl Remote {
    /// Gets everything ready that the tools of a configuration need: variables of the environment, MCP servers
    /// and the lists of their tools. Waits for servers, each as long as its `connect_timeout_ms` at most.
    ///
    /// # Errors
    /// All that is missing or wrong, at once.
    pub fn start(config: &Config, environment: Environment<'_>) -> Result<Self, Vec<String>> {
        let secrets = Secrets::of(config, environment).map_err(|missing| vec![missing])?;
        let secrets = Arc::new(secrets);
        let net = Net::start().map_err(|error| vec![format!("no thread for tools: {error}")])?;
        let clients = Clients::new().map_err(|error| vec![error])?;
        let (tell, changes) = bounded(CHANGES_WAITING);
        let shelf = Arc::new(Mutex::new(Shelf::new(config.clone())));
        let (mut links, mut wrong) = (BTreeMap::new(), Vec::new());
        let mut waiting = Vec::new();
        for (name, server) in &config.mcp_servers {
            let herald = Herald {
                server: name.clone(),
                shelf: Arc::clone(&shelf),
                tell: tell.clone(),
                told: changes.clone(),
            };
            let options = server::Options {
                name: name.clone(),
                server: server.clone(),
                secrets: Arc::clone(&secrets),
                writing: clients.writing.clone(),
            };
            let (link, first) = server::keep(&net, options, herald);
            links.insert(name.clone(), link);
            waiting.push(first);
        }
        for first in waiting {
            match first.recv() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => wrong.push(error),
                Err(_) => wrong.push("the thread for tools is gone".to_owned()),
            }
        }
        let remote = Self {
            reach: Arc::new(Reach { secrets, clients, links, shelf, changes, net: Arc::new(net) }),
        };
        if wrong.is_empty() { Ok(remote) } else { Err(wrong) }
    }

    /// The configuration with the tools that MCP servers have at the moment: `tools` has an entry for each, with
    /// what the server says of it. And what could not be taken over of them.
    #[must_use]
    pub fn resolved(&self) -> (Config, Vec<String>) {
        self.shelf().resolved()
    }

    /// The configurations that follow, each as [`resolved`](Self::resolved) as the first: a server's tools have
    /// changed. Of copies of this receiver, one gets each.
    #[must_use]
    pub fn changes(&self) -> Receiver<Config> {
        self.reach.changes.clone()
    }

    /// Adds the tools of a resolved configuration that are carried out elsewhere.
    ///
    /// # Errors
    /// All tools that cannot be, with the reasons.
    pub fn add_to(&self, config: &Config, tools: &mut Registry) -> Result<(), Vec<String>> {
        let mut wrong = Vec::new();
        for (name, tool) in &config.tools {
            let spec = tool_spec(name, tool);
            let net = Arc::clone(&self.reach.net);
            let secrets = Arc::clone(&self.reach.secrets);
            let added = if let Some(http) = &tool.http {
                HttpCaller::new(spec.clone(), http, &self.reach.clients, secrets, net)
                    .and_then(|caller| tools.add(spec, caller).map_err(|wrong| wrong.to_string()))
            } else if let Some(process) = &tool.process {
                let caller = ProcessCaller::new(spec.clone(), process.clone(), secrets, net);
                tools.add(spec, caller).map_err(|wrong| wrong.to_string())
            } else if let Some(mcp) = &tool.mcp {
                match self.reach.links.get(&mcp.server) {
                    Some(link) => {
                        let caller =
                            McpCaller::new(spec.clone(), mcp.clone(), link.clone(), secrets, net);
                        tools.add(spec, caller).map_err(|wrong| wrong.to_string())
                    }
                    None => Err(format!("tool `{name}`: there is no MCP server `{}`", mcp.server)),
                }
            } else {
                Ok(())
            };
            wrong.extend(added.err());
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.reach.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whoever follows that a server's tools are others now.
#[derive(Debug)]
struct Herald {
    server: String,
    shelf: Arc<Mutex<Shelf>>,
    tell: Sender<Config>,
    told: Receiver<Config>,
}

impl Herald {
    /// Puts what a server has listed on the shelf; tells it if it is not what stood there, and not the first.
    fn listed(&self, found: Vec<resolve::Found>) {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = !shelf.has(&self.server);
        if !shelf.put(&self.server, found) || is_first {
            return;
        }
        let (mut config, _) = shelf.resolved();
        // The newest wins: what waits is out of date.
        while let Err(TrySendError::Full(newest)) = self.tell.try_send(config) {
            drop(self.told.try_recv());
            config = newest;
        }
    }
}
