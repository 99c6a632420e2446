//! What commands that join rooms have in common: where the server is, what opens it, and how an agent enters.

use std::path::PathBuf;

use crossbeam_channel::{Sender, bounded};
use tokio_rustls::TlsConnector;

use super::secret::Secret;
use crate::config::{Livekit, Publish};
use crate::host::codec::{NoCodec, OpusOutlet, OutletOptions};
use crate::host::packets;
use crate::host::tools::RoomCall;
use crate::livekit::address::Address;
use crate::livekit::bell::Cord;
use crate::livekit::edge::RoomEdge;
use crate::livekit::network::Network;
use crate::livekit::paths::Allowed;
use crate::livekit::room::{Line, Options};
use crate::livekit::telephone::Telephones;
use crate::livekit::tls;
use crate::livekit::token::{Key, Pass};
use crate::session::plan::Plan;

/// Calls of a room's tools that are on their way to it at most.
const CALLS_WAITING: usize = 64;

/// Where a server is, and what opens it.
#[derive(Debug, clap::Args)]
pub(super) struct ServerArgs {
    /// The server: ws:// or wss://, with a port where it is not the usual one.
    #[arg(long, value_name = "URL", env = "LIVEKIT_URL", hide_env_values = true)]
    url: Option<String>,
    /// The server's API key.
    #[arg(long, value_name = "KEY", env = "LIVEKIT_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// The API key's secret; better in the environment, where no list of processes shows it.
    #[arg(long, value_name = "SECRET", env = "LIVEKIT_API_SECRET", hide_env_values = true)]
    api_secret: Option<Secret>,
    /// A file with certificates of authorities (PEM) to trust beside the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct LivekitArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The ways that audio may go to the server: `udp` for as short a way as possible or none, `tcp` for a
    /// network that forbids UDP, `relay` for one that lets nothing through but to a TURN server.
    ///
    /// With `auto`, TCP is tried after half a second without UDP, and TURN after a second.
    #[arg(long, value_name = "WAY", value_enum, default_value = "auto")]
    path: PathArg,
}

/// [`Allowed`], as an argument.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum PathArg {
    Auto,
    Udp,
    Tcp,
    Relay,
}

impl From<PathArg> for Allowed {
    fn from(arg: PathArg) -> Self {
        match arg {
            PathArg::Auto => Self::Auto,
            PathArg::Udp => Self::Udp,
            PathArg::Tcp => Self::Tcp,
            PathArg::Relay => Self::Relay,
        }
    }
}

impl ServerArgs {
    /// Whether a server is named.
    pub(super) const fn has_url(&self) -> bool {
        self.url.is_some()
    }

    /// Where the server is, or what is wrong with that.
    pub(super) fn address(&self, wrong: &mut Vec<String>) -> Option<Address> {
        let Some(url) = &self.url else {
            wrong.push("no server: give --url, or set LIVEKIT_URL".to_owned());
            return None;
        };
        url.parse().map_err(|why| wrong.push(format!("--url: {why}"))).ok()
    }

    /// The key with its secret, or what is wrong; `otherwise` says what else would do.
    pub(super) fn key(&self, otherwise: &str, wrong: &mut Vec<String>) -> Option<Key> {
        let key = key(self.api_key.as_deref(), self.api_secret.as_ref(), otherwise);
        key.map_err(|why| wrong.push(why)).ok()
    }

    /// Whom to trust, or what is wrong with that.
    pub(super) fn tls(&self, wrong: &mut Vec<String>) -> Option<TlsConnector> {
        tls::connector(self.ca.as_deref()).map_err(|why| wrong.push(format!("--ca: {why}"))).ok()
    }
}

impl LivekitArgs {
    /// Whether a server is named.
    pub(super) const fn has_url(&self) -> bool {
        self.server.has_url()
    }

    /// Where the server is, or what is wrong with that.
    pub(super) fn address(&self, wrong: &mut Vec<String>) -> Option<Address> {
        self.server.address(wrong)
    }

    /// The key with its secret, or what is wrong; `otherwise` says what else would do.
    pub(super) fn key(&self, otherwise: &str, wrong: &mut Vec<String>) -> Option<Key> {
        self.server.key(otherwise, wrong)
    }

    /// Whom to trust, or what is wrong with that.
    pub(super) fn tls(&self, wrong: &mut Vec<String>) -> Option<TlsConnector> {
        self.server.tls(wrong)
    }

    /// The ways that audio may go.
    pub(super) fn allowed(&self) -> Allowed {
        self.path.into()
    }
}

/// A key with its secret, or what is wrong; `otherwise` says what else would do.
pub(super) fn key(
    key: Option<&str>,
    secret: Option<&Secret>,
    otherwise: &str,
) -> Result<Key, String> {
    let (Some(key), Some(secret)) = (key, secret) else {
        return Err(format!("no key: set LIVEKIT_API_KEY and LIVEKIT_API_SECRET{otherwise}"));
    };
    Key::new(key, secret.reveal())
}

/// The name that others see.
pub(super) fn shown_name(plan: &Plan) -> &str {
    plan.config.livekit.name.as_ref().unwrap_or(&plan.config.name)
}

/// How an agent of this plan enters a room.
pub(super) fn entry(
    plan: &Plan,
    (address, pass, key): (Address, Pass, Option<Key>),
    tls: TlsConnector,
    allowed: Allowed,
) -> Options {
    let Livekit { listen_to, publish, sip_trunk, .. } = &plan.config.livekit;
    Options {
        address,
        pass,
        tls,
        allowed,
        name: shown_name(plan).to_owned(),
        listen_to: listen_to.clone(),
        agents: false,
        red: publish.red,
        dtx: publish.dtx,
        rate: plan.rate,
        reorder: plan.reorder,
        telephones: Telephones { key, trunk: sip_trunk.clone() },
        seats: None,
        insists: false,
    }
}

/// A line between a session and a room: the session's edge, where its calls go, and the room's end.
pub(super) struct Ends {
    pub(super) edge: RoomEdge,
    pub(super) calls: Sender<RoomCall>,
    pub(super) line: Line,
    pub(super) cord: Cord,
}

/// Makes a line for a session of this plan.
pub(super) fn ends(plan: &Plan, network: &Network) -> Result<Ends, NoCodec> {
    let outlet = OpusOutlet::new(plan.rate, coding(&plan.config.livekit.publish))?;
    let (trunk, opus) = packets::line(outlet, plan.len);
    let cord = network.cord();
    let (edge, notices, lost) = RoomEdge::new(opus, cord.clone());
    let (calls, called) = bounded(CALLS_WAITING);
    let line = Line { trunk, notices, lost, calls: called, stamps: None };
    Ok(Ends { edge, calls, line, cord })
}

/// How the agent's audio is coded.
fn coding(publish: &Publish) -> OutletOptions {
    OutletOptions {
        bitrate_bps: publish.bitrate_bps.cast_signed(),
        complexity: publish.complexity.cast_signed(),
        loss_percent: publish.loss_percent.cast_signed(),
        dtx: publish.dtx,
    }
}
