//! `antiphon connect`: an agent in a LiveKit room.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::call::{Call, With, held};
use super::engines::Engines;
use super::failure::Failure;
use super::live::{Company, INTERRUPTED, is_stopped, stop_on_interrupt};
use super::livekit::{self, Ends, LivekitArgs, shown_name};
use super::load;
use super::metrics::{MetricsArgs, address};
use super::outside;
use super::secret::Secret;
use super::view::{View, line, plain};
use crate::config::{Config, UnknownConversation};
use crate::host::pace::Class;
use crate::host::tools::RoomCall;
use crate::livekit::edge::RoomEdge;
use crate::livekit::network::Network;
use crate::livekit::room::{News, Options, Room, Tally};
use crate::livekit::stay::End;
use crate::livekit::token::{Key, Pass};
use crate::session::plan::Plan;
use crate::slot::Edge;
use crate::tool::Registry;
use crate::web::page;
use crate::web::server::Server;

/// Joins a LiveKit room as an agent, and talks with whoever is there.
///
/// The agent is a participant of the kind AGENT: it publishes one audio track, hears everybody's
/// microphone, shows its state, and publishes the transcripts of both sides. The call begins when
/// somebody hears the agent, and ends as the configuration says: when the last participant has left,
/// after silence, by the agent itself, or with the room.
///
/// The server, and a key with its secret, come from the environment (LIVEKIT_URL, LIVEKIT_API_KEY,
/// LIVEKIT_API_SECRET) or from the arguments; with `--token`, no key is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon connect configs/demo.yaml --room lobby --page
  antiphon connect config.yaml --room lobby --url wss://livekit.example --identity agent-1
  antiphon connect config.yaml --token-file agent.token --url ws://127.0.0.1:7880 --out out/call

Exit codes: 0 the call ended, 1 it went wrong, 2 it could not begin, 130 it was interrupted.")]
pub(super) struct ConnectArgs {
    /// The configuration, a YAML file.
    config: PathBuf,
    /// The room's name; a token may name it, too.
    #[arg(long, value_name = "NAME")]
    room: Option<String>,
    /// The conversation to hold, of those in the configuration, instead of the one that the room or the
    /// token's metadata picks.
    #[arg(long, value_name = "NAME")]
    conversation: Option<String>,
    /// The agent's identity in the room; a random one unless it is given.
    #[arg(long, value_name = "IDENTITY", conflicts_with_all = ["token", "token_file"])]
    identity: Option<String>,
    /// A token of the agent's, instead of a key.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<Secret>,
    /// A file with the token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Serves a page on this machine, from which a browser's microphone joins the room.
    ///
    /// A port alone is one of this machine only; 0, or nothing, is one that is free. The page asks for a
    /// visitor's token, which is made with the key: with `--token` there is no page.
    #[arg(
        long,
        value_name = "ADDR|PORT",
        num_args = 0..=1,
        default_missing_value = "0",
        value_parser = address,
        conflicts_with_all = ["token", "token_file"]
    )]
    page: Option<SocketAddr>,
    /// The folder that the output goes to.
    #[arg(long, value_name = "DIR", default_value = "out/connect")]
    out: PathBuf,
    /// The seed, instead of the configuration's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Prints an object per event instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    livekit: LivekitArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
}

/// How long a room is waited for that is being left.
const LEAVE_TIME: Duration = Duration::from_secs(3);

/// How often an interrupt is looked for while nothing happens.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn connect(args: &ConnectArgs, tools: Registry) -> Result<ExitCode, Failure> {
    let config = args.picked(load::config(&args.config)?)?;
    let reached = outside::reach(config, tools, &mut |text| eprintln!("{text}"));
    let (config, tools, outside) = reached.map_err(|failure| failure.about(&args.config))?;
    let (plan, tools) = load::plan(config, tools).map_err(|failure| failure.about(&args.config))?;
    let Entry { options, key } = args.entry(&plan)?;
    let page = key.map(|key| args.page(&plan, &options, key)).transpose()?.flatten();
    let view = View::new(&plan, args.json);
    let engines = Engines::new(&plan, &mut |text| eprintln!("{text}"))?;
    stop_on_interrupt();
    let Some(joined) = join(&plan, options, &view, args.json, page)? else {
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let call = Call {
        seed: args.seed.unwrap_or(plan.config.seed),
        plan,
        tools,
        outside,
        with: With::Room(Box::new(joined)),
        out: args.out.clone(),
        journal: None,
        fast: false,
        opus: true,
        json: args.json,
        metering: args.metrics.start()?,
    };
    held(call, engines, view)
}

impl ConnectArgs {
    /// Everything that is given, or everything that is wrong with it.
    fn entry(&self, plan: &Plan) -> Result<Entry, Failure> {
        let mut wrong = Vec::new();
        let address = self.livekit.address(&mut wrong);
        let pass = self.pass(plan, &mut wrong);
        let tls = self.livekit.tls(&mut wrong);
        let (Some(address), Some((pass, key)), Some(tls)) = (address, pass, tls) else {
            return Err(Failure::input(wrong.join("\n")));
        };
        if !wrong.is_empty() {
            return Err(Failure::input(wrong.join("\n")));
        }
        let allowed = self.livekit.allowed();
        let options = livekit::entry(plan, (address, pass, key.clone()), tls, allowed);
        Ok(Entry { options, key })
    }

    /// The page, if it is wanted; says where it is.
    fn page(&self, plan: &Plan, options: &Options, key: Key) -> Result<Option<Server>, Failure> {
        let Some(at) = self.page else { return Ok(None) };
        if page::html().is_none() {
            return Err(Failure::input(format!("--page: {}", page::MISSING)));
        }
        if !at.ip().is_loopback() {
            return Err(Failure::input(format!(
                "--page: {at} can be reached from other machines, and whoever has the page gets into the room; \
                 choose an address of this machine only, like 127.0.0.1:{}",
                at.port()
            )));
        }
        let pages = page::pages(page::Options {
            server: options.address.clone(),
            room: self.room.clone(),
            dispatch: None,
            agent: shown_name(plan).to_owned(),
            key,
        });
        let server = Server::start(at, None, pages)
            .map_err(|error| Failure::input(format!("--page: {error}")))?;
        if self.json {
            let url = format!("http://{}/", server.address());
            line(serde_json::json!({ "type": "page", "url": url }));
        } else {
            line(format_args!("talk to it: http://{}/", server.address()));
        }
        Ok(Some(server))
    }

    /// The configuration for the conversation that is to be held: the one that was asked for, or that the
    /// metadata of the token or the name of the room picks.
    fn picked(&self, config: Config) -> Result<Config, Failure> {
        let unknown = |wrong: UnknownConversation| {
            Failure::input(format!("{}: {wrong}", self.config.display()))
        };
        if let Some(name) = &self.conversation {
            return config.of_conversation(name).map_err(unknown);
        }
        // What is wrong with a token is told when it is used.
        let file = self.token_file.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        let token = self.token.as_ref().map(|token| token.reveal().to_owned()).or(file);
        let pass = token.and_then(|text| Pass::given(&text).ok());
        let named = pass.as_ref().map(Pass::room).unwrap_or_default();
        let room = self.room.clone().unwrap_or(named);
        let metadata = pass.as_ref().map(Pass::metadata).unwrap_or_default();
        config.for_room(&room, &metadata).map_err(unknown)
    }

    fn pass(&self, plan: &Plan, wrong: &mut Vec<String>) -> Option<(Pass, Option<Key>)> {
        let given = match (&self.token, &self.token_file) {
            (Some(token), _) => Some(("--token".to_owned(), Ok(token.reveal().to_owned()))),
            (None, Some(path)) => {
                let shown = path.display().to_string();
                let text = std::fs::read_to_string(path);
                Some((shown, text.map_err(|error| format!("the token cannot be read: {error}"))))
            }
            (None, None) => None,
        };
        if let Some((from, text)) = given {
            return match text.and_then(|text| Pass::given(&text)) {
                Ok(pass) => self.fits(pass, wrong).map(|pass| (pass, None)),
                Err(why) => {
                    wrong.push(format!("{from}: {why}"));
                    None
                }
            };
        }
        if self.room.is_none() {
            wrong.push("no room: give --room".to_owned());
        }
        let key = self.livekit.key(", or give --token", wrong)?;
        let identity = self.identity.clone().unwrap_or_else(random_identity);
        let room = self.room.as_ref()?;
        let name = shown_name(plan);
        let made = key.agent(room, &identity, name).map(|pass| (pass, Some(key)));
        made.map_err(|why| wrong.push(why)).ok()
    }

    /// A given token, if it is one for an agent in this room.
    fn fits(&self, pass: Pass, wrong: &mut Vec<String>) -> Option<Pass> {
        let named = pass.room();
        if let Some(room) = self.room.as_ref().filter(|room| !named.is_empty() && **room != named) {
            wrong.push(format!("the token is for the room `{named}`, not for `{room}`"));
        }
        if named.is_empty() {
            wrong.push("the token names no room: make one for a room".to_owned());
        }
        for lack in pass.lacks() {
            if lack.is_fatal() {
                wrong.push(lack.to_string());
            }
        }
        Some(pass)
    }
}

/// What opens the room.
struct Entry {
    options: Options,
    /// None with a token of somebody else's.
    key: Option<Key>,
}

/// An identity that nobody else has.
fn random_identity() -> String {
    use std::hash::{BuildHasher, RandomState};
    // Seeded by the system's randomness.
    format!("agent-{:016x}", RandomState::new().hash_one(crate::host::pace::wall_ms()))
}

/// A room that was joined, in which somebody hears the agent.
pub(super) struct Joined {
    edge: RoomEdge,
    calls: Sender<RoomCall>,
    session: String,
    room: Room,
    page: Option<Server>,
    /// Dropped last: the rooms are its tasks.
    network: Network,
}

/// The room of a call, to be left at its end.
pub(super) struct Leaving {
    room: Room,
    ended: Receiver<(End, Tally)>,
    _page: Option<Server>,
    _network: Network,
}

/// Joins, and waits for somebody to talk to. None if it was interrupted before.
fn join(
    plan: &Arc<Plan>,
    options: Options,
    view: &View,
    json: bool,
    page: Option<Server>,
) -> Result<Option<Joined>, Failure> {
    let network = Network::start(Class::RealTime)
        .map_err(|error| Failure::broken(format!("no thread for the network: {error}")))?;
    let Ends { edge, calls, line: line_to, cord } =
        livekit::ends(plan, &network).map_err(|error| Failure::input(error.to_string()))?;
    let server = options.address.to_string();
    let room = Room::join(&network, options, line_to, cord);
    let mut session = String::new();
    loop {
        match room.news.recv_timeout(LOOK) {
            Ok(News::Joined { room: sid, identity, server: version, lacks }) => {
                session = format!("livekit:{sid}");
                if json {
                    line(serde_json::json!({
                        "type": "room.joined", "room": sid, "identity": identity, "server": version
                    }));
                } else {
                    let text = format!(
                        "in the room as `{identity}` ({session}, LiveKit {version}); waiting for somebody"
                    );
                    line(plain(&text));
                }
                if let Some(fatal) = lacks.iter().find(|lack| lack.is_fatal()) {
                    room.leave();
                    wait(&room.news);
                    return Err(Failure::input(fatal.to_string()));
                }
                for lack in lacks {
                    view.warn(&lack.to_string());
                }
            }
            Ok(News::Path(way)) => {
                if json {
                    line(serde_json::json!({ "type": "room.path", "path": way.name() }));
                } else {
                    line(format_args!("audio goes over {way}"));
                }
            }
            Ok(News::Heard) => {
                return Ok(Some(Joined { edge, calls, session, room, page, network }));
            }
            Ok(News::Warning(warning)) => view.warn(&warning),
            Ok(News::Away) => view.warn("the connection to the server is lost, and tried again"),
            Ok(News::Back { .. } | News::Seats(_)) => {}
            Ok(News::Refused(error)) => {
                return Err(Failure::input(format!("{server}: {error}")));
            }
            Ok(News::Ended(End::Left, _)) | Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Ok(News::Ended(end @ End::NoPath(_), _)) => {
                return Err(Failure::input(format!("{server}: {end}")));
            }
            Ok(News::Ended(end, _)) => return Err(Failure::broken(end.to_string())),
            Err(RecvTimeoutError::Timeout) if is_stopped() => {
                room.leave();
                wait(&room.news);
                return Ok(None);
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Waits until the room is left.
fn wait(news: &Receiver<News>) -> Option<(End, Tally)> {
    loop {
        match news.recv_timeout(LEAVE_TIME) {
            Ok(News::Ended(end, tally)) => return Some((end, tally)),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

impl Joined {
    /// What a call needs of the room, and what is needed to leave it.
    pub(super) fn company(self) -> (Company, Leaving) {
        let Self { edge, calls, session, room, page, network } = self;
        let (warn, warnings) = bounded(64);
        let (tell, ended) = bounded(1);
        let news = room.news.clone();
        let listen = move || {
            for news in news {
                match news {
                    News::Warning(warning) => drop(warn.try_send(warning)),
                    News::Path(way) => drop(warn.try_send(format!("audio goes over {way} now"))),
                    News::Ended(end, tally) => {
                        drop(tell.try_send((end, tally)));
                        return;
                    }
                    // The session tells of connections that come and go.
                    News::Joined { .. }
                    | News::Heard
                    | News::Refused(_)
                    | News::Away
                    | News::Seats(_)
                    | News::Back { .. } => {}
                }
            }
        };
        // Without it, warnings are not shown.
        drop(std::thread::Builder::new().name("room news".to_owned()).spawn(listen));
        let edges: Vec<Box<dyn Edge>> = vec![Box::new(edge)];
        let company = Company { edges, session, calls: Some(calls), warnings };
        (company, Leaving { room, ended, _page: page, _network: network })
    }
}

impl Leaving {
    /// Leaves the room, and says what was lost on the way. Whether it ended in good order.
    pub(super) fn left(self, json: bool) -> bool {
        self.room.leave();
        match self.ended.recv_timeout(LEAVE_TIME) {
            Ok((end, tally)) => {
                let counts = tally.named();
                if !end.is_orderly() {
                    eprintln!("{end}");
                }
                if json {
                    let counts: BTreeMap<_, _> = counts.into_iter().collect();
                    line(serde_json::json!({
                        "type": "room.left", "reason": end.to_string(), "counts": counts
                    }));
                    return end.is_orderly();
                }
                if !end.is_orderly() {
                    eprintln!("{}", plain(&end.to_string()));
                }
                if !counts.is_empty() {
                    let counts = counts.iter().map(|(name, count)| format!("{name} {count}"));
                    line(format_args!("room: {}", counts.collect::<Vec<_>>().join(", ")));
                }
                end.is_orderly()
            }
            Err(_) => {
                eprintln!("the room was not left in time");
                false
            }
        }
    }
}
