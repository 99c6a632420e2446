//! An MCP server: connected, its tools listed, listed anew when it says so, and started anew when it is gone.
//!
//! **Invariant:** a server is started anew a bounded number of times without having been well in between, with
//! growing pauses; a process that was started is ended with its children before the next is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::model::{ClientConfig, Implementation, PaginatedRequestParams};
use rmcp::service::{NotificationContext, RunningService};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientHandler, Peer, RoleClient, ServiceExt};
use tokio::sync::{Notify, watch};

use super::Herald;
use super::answer::excerpt;
use super::environment::Secrets;
use super::mcp::why;
use super::net::Net;
use super::process::{Group, command, tail, unstarted};
use super::resolve::Found;
use crate::config::McpServer;
use crate::tool::fill::Fill;

/// How often in a row a server is started anew that does not stay.
const RESTARTS_MAX: u32 = 10;

/// The first pause before it is; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(500);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A server that has been there for so long was well: what comes then is counted anew.
const WELL: Duration = Duration::from_secs(60);

/// Tools that are taken over of a server at most.
const TOOLS_MAX: usize = 200;

/// Pages of its list at most.
const PAGES_MAX: usize = 50;

/// The longest answer of a server over HTTP, in bytes: four results of the longest that is taken, so that their
/// framing has room.
const ANSWER_MAX: usize = 4 * super::RESULT_MAX;

/// What is needed to reach a server.
pub(super) struct Options {
    pub(super) name: String,
    pub(super) server: McpServer,
    pub(super) secrets: Arc<Secrets>,
    pub(super) writing: reqwest::Client,
}

/// Where a server is at the moment.
#[derive(Debug, Clone)]
enum State {
    Starting,
    Up(Peer<RoleClient>),
    Down(String),
}

/// The way to a server.
#[derive(Debug, Clone)]
pub(super) struct Link {
    state: watch::Receiver<State>,
}

impl Link {
    /// The server, once it is there. One that is being started is waited for; one that is down is not.
    pub(super) async fn peer(&mut self) -> Result<Peer<RoleClient>, String> {
        let settled = self.state.wait_for(|state| !matches!(state, State::Starting)).await;
        match settled.as_deref() {
            Ok(State::Up(peer)) => Ok(peer.clone()),
            Ok(State::Down(why)) => Err(why.clone()),
            Ok(State::Starting) | Err(_) => Err("the MCP server is not there".to_owned()),
        }
    }
}

/// Hears what a server says unasked: that its tools have changed.
struct Ear {
    changed: Arc<Notify>,
}

impl ClientHandler for Ear {
    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        // However often it says so, it is listed once.
        self.changed.notify_one();
    }

    fn get_info(&self) -> ClientConfig {
        let me = Implementation::new("antiphon", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(rmcp::model::ClientCapabilities::default(), me)
    }
}

/// Connects a server and keeps it. What came of the first attempt is told once; after a failed one nothing more
/// is tried.
pub(super) fn keep(
    net: &Net,
    options: Options,
    herald: Herald,
) -> (Link, std::sync::mpsc::Receiver<Result<(), String>>) {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let (state, watched) = watch::channel(State::Starting);
    net.spawn(async move {
        let (mut failures, mut is_first) = (0, true);
        loop {
            let begun = tokio::time::Instant::now();
            let ended = attend(&options, &herald, &state, is_first.then_some(&tell)).await;
            if is_first && let Err(why) = &ended {
                drop(tell.try_send(Err(why.clone())));
                return;
            }
            is_first = false;
            if begun.elapsed() >= WELL {
                failures = 0;
            }
            let name = &options.name;
            let why =
                ended.err().unwrap_or_else(|| format!("the MCP server `{name}` has gone away"));
            if failures >= RESTARTS_MAX {
                let why = format!(
                    "{why}; it was started {RESTARTS_MAX} times in vain, and is left alone"
                );
                state.send_replace(State::Down(why));
                return;
            }
            let pause = PAUSE.saturating_mul(1 << failures.min(16)).min(PAUSE_MAX);
            failures += 1;
            let why = format!("{why}; it is started anew in {} ms", pause.as_millis());
            state.send_replace(State::Down(why));
            tokio::time::sleep(pause).await;
            state.send_replace(State::Starting);
        }
    });
    (Link { state: watched }, told)
}

/// Connects, and stays as long as the server does. An error is what kept it from being connected.
async fn attend(
    options: &Options,
    herald: &Herald,
    state: &watch::Sender<State>,
    first: Option<&std::sync::mpsc::SyncSender<Result<(), String>>>,
) -> Result<(), String> {
    let changed = Arc::new(Notify::new());
    let said = Arc::new(Mutex::new(Vec::new()));
    let limit = Duration::from_millis(u64::from(options.server.connect_timeout_ms));
    let mut group = None;
    let ready = tokio::time::timeout(limit, async {
        let running = connect(options, Arc::clone(&changed), Arc::clone(&said), &mut group).await?;
        let found = list(&options.name, running.peer()).await?;
        Ok((running, found))
    });
    let about = |why: String| {
        let said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let said = excerpt(&String::from_utf8_lossy(&said), true);
        let said = if said.is_empty() { said } else { format!("; it says: {said}") };
        options.secrets.scrub(&format!("mcp_servers.{}: {why}{said}", options.name))
    };
    let (running, found) = match ready.await {
        Ok(Ok(ready)) => ready,
        Ok(Err(why)) => return Err(about(why)),
        Err(_) => {
            let ms = options.server.connect_timeout_ms;
            return Err(about(format!("it has not listed its tools within {ms} ms")));
        }
    };
    herald.listed(found);
    let peer = running.peer().clone();
    state.send_replace(State::Up(peer.clone()));
    if let Some(first) = first {
        drop(first.try_send(Ok(())));
    }
    let mut ended = std::pin::pin!(running.waiting());
    loop {
        tokio::select! {
            _ = &mut ended => break,
            () = changed.notified() => {
                // What cannot be listed stays as it was.
                if let Ok(Ok(found)) = tokio::time::timeout(limit, list(&options.name, &peer)).await {
                    herald.listed(found);
                }
            }
        }
    }
    drop(group);
    Ok(())
}

type Running = RunningService<RoleClient, Ear>;

async fn connect(
    options: &Options,
    changed: Arc<Notify>,
    said: Arc<Mutex<Vec<u8>>>,
    group: &mut Option<Group>,
) -> Result<Running, String> {
    let Options { server, secrets, writing, .. } = options;
    let ear = Ear { changed };
    if let Some(program) = &server.command {
        let mut command = command(program, &server.args, server.cwd.as_deref());
        command.envs(secrets.process(&server.env));
        let (process, stderr) = TokioChildProcess::builder(command)
            .stderr(std::process::Stdio::piped())
            .spawn()
            .map_err(|error| unstarted(program, &error))?;
        *group = Some(Group::of(process.id()));
        drop(tokio::spawn(async move { tail(stderr, &said).await }));
        return ear.serve(process).await.map_err(|error| refused(&error));
    }
    let url = server.url.as_deref().unwrap_or_default();
    let url = Fill::parse(url).and_then(|fill| secrets.fill(&fill))?;
    let mut headers = HashMap::new();
    for (name, text) in &server.headers {
        let text = Fill::parse(text).and_then(|fill| secrets.fill(&fill))?;
        let key = reqwest::header::HeaderName::from_bytes(name.as_bytes());
        let value = reqwest::header::HeaderValue::from_str(&text);
        let (Ok(key), Ok(mut value)) = (key, value) else {
            return Err(format!("the header `{name}` cannot be sent"));
        };
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    let config = StreamableHttpClientTransportConfig::with_uri(url)
        .custom_headers(headers)
        .max_sse_event_size(ANSWER_MAX)
        .max_json_response_size(ANSWER_MAX)
        .reinit_on_expired_session(true);
    let transport = StreamableHttpClientTransport::with_client(writing.clone(), config);
    ear.serve(transport).await.map_err(|error| refused(&error))
}

/// What is at the bottom of an error.
fn refused(error: &(dyn std::error::Error + 'static)) -> String {
    let (mut cause, mut texts) = (error, vec![error.to_string()]);
    while let Some(deeper) = cause.source() {
        cause = deeper;
        texts.push(cause.to_string());
    }
    texts.dedup();
    format!("it cannot be talked to: {}", excerpt(&texts.join(": "), false))
}

/// All tools of a server, page by page.
async fn list(name: &str, peer: &Peer<RoleClient>) -> Result<Vec<Found>, String> {
    let (mut found, mut cursor) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let mut params = PaginatedRequestParams::default();
        params.cursor = cursor.take();
        let page = peer.list_tools(Some(params)).await.map_err(|error| why(name, &error))?;
        for tool in page.tools {
            if found.len() == TOOLS_MAX {
                return Err(format!("it has more than {TOOLS_MAX} tools"));
            }
            found.push(Found {
                tool: tool.name.into_owned(),
                description: tool.description.unwrap_or_default().into_owned(),
                parameters: serde_json::Value::Object((*tool.input_schema).clone()),
            });
        }
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(found),
        }
    }
    Err(format!("its list of tools has more than {PAGES_MAX} pages"))
}
