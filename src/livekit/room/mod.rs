//! A room, joined: the task that carries everything between the server, the media connection and the
//! session's line.
//!
//! ```text
//! server ── signals ──▶ Stay ── values ──▶ Trunk ──▶ session's RoomEdge
//!    │                   ▲                   ▲            │
//!    └── datagrams ──▶ Media ── packets ─────┘            │
//!                        ◀── packets, notices ────────────┘
//! ```
//!
//! **Invariant:** one task owns all of it; it waits for everything at once, and never for one thing alone
//! but when it joins and leaves.

mod backlog;
mod carrier;
mod entry;
mod link;
mod timers;
mod transfers;
mod trouble;
mod ways;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crossbeam_channel::{Receiver, Sender, bounded};
use livekit_protocol::{
    AddTrackRequest, AudioTrackFeature, ClientInfo, ConnectionSettings, JoinRequest, TrackSource,
    TrackType, client_info,
};
use tokio_rustls::TlsConnector;

use self::carrier::Carrier;
use super::address::Address;
use super::bell::{Belfry, Cord};
use super::edge::Notice;
use super::media::MediaCounts;
use super::network::Network;
use super::paths::{Allowed, Way};
use super::roster::Seat;
use super::signal::SignalError;
use super::stay::{End, StayCounts};
use super::telephone::Telephones;
use super::token::{Lack, Pass};
use crate::clock::Rate;
use crate::host::pace::Moment;
use crate::host::packets::{LineTally, Trunk};
use crate::host::tools::RoomCall;

/// The version of the signalling protocol. With 18, data needs channels that are negotiated beforehand.
const PROTOCOL: i32 = 17;

/// What other participants may send in: 0, texts in pieces and RPC in packets, which every client can.
const CLIENT_PROTOCOL: i32 = 0;

/// News for the owner at most.
const NEWS_WAITING: usize = 64;

/// How to join.
#[derive(Clone)]
pub struct Options {
    /// Where the server is.
    pub address: Address,
    /// The token.
    pub pass: Pass,
    /// What is shown as the agent's name.
    pub name: String,
    /// Whom to listen to, if not everybody.
    pub listen_to: Option<String>,
    /// Whether other agents are listened to: no agent does, or two would talk for ever.
    pub agents: bool,
    /// Redundant audio, where the server takes it.
    pub red: bool,
    /// The agent's audio pauses in silence.
    pub dtx: bool,
    /// Whom to trust, where the connection is encrypted.
    pub tls: TlsConnector,
    /// Which ways audio may go.
    pub allowed: Allowed,
    /// The session's rate.
    pub rate: Rate,
    /// How many packets a missing one is waited for.
    pub reorder: u16,
    /// The server's API, by which calls are passed on to telephones.
    pub telephones: Telephones,
    /// Whose lanes the session has already, if others have had it before: it runs on with them. None: it begins.
    pub seats: Option<Vec<Seat>>,
    /// Whether the agent comes back when somebody of its identity has put it out, a few times: its owner has the right to
    /// be there, and says when it has not any more. The other one was lost by the network, and is about to learn that.
    pub insists: bool,
}

/// What the owner of a room is told.
#[derive(Debug)]
pub enum News {
    /// The agent is in the room.
    Joined {
        /// The room's sid.
        room: String,
        /// The agent's identity.
        identity: String,
        /// The server's version.
        server: String,
        /// What the token does not allow.
        lacks: Vec<Lack>,
    },
    /// Audio goes this way now.
    Path(Way),
    /// Somebody hears the agent: the session may begin.
    Heard,
    /// The connection to the server is lost, and is tried again.
    Away,
    /// It is there again.
    Back {
        /// The room's sid, which is another one if the server knew nothing of the room any more.
        room: String,
    },
    /// Somebody with a lane has come or gone: all seats, in the order of the lanes.
    Seats(Vec<Seat>),
    /// Something to know.
    Warning(String),
    /// The stay is over.
    Ended(End, Tally),
    /// The room could not be joined.
    Refused(SignalError),
}

/// What happened in a stay, as counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Of messages and packets that were of no use.
    pub stay: StayCounts,
    /// Of audio packets.
    pub media: MediaCounts,
    /// Datagrams that no socket took.
    pub unsent: u64,
    /// Values for the session that were dropped: it has stalled.
    pub untold: u64,
    /// Notices of the session's that were dropped: the network has stalled.
    pub unnoted: u64,
    /// Of the rings between the network and the session.
    pub line: LineTally,
}

impl Tally {
    /// What happened, by name; nothing where nothing did.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        let Self { stay, media, unsent, untold, unnoted, line } = *self;
        let all = [
            ("malformed", stay.malformed + media.malformed),
            ("unused", stay.unused),
            ("oversized", stay.oversized + media.oversized),
            ("flooded", stay.flooded),
            ("other_room", stay.other_room),
            ("requests_refused", stay.requests_refused),
            ("participants_ignored", stay.ignored),
            ("packets_unsent", stay.unsent),
            ("audio_unknown", media.unknown),
            ("audio_repeated", media.repeated),
            ("datagrams_unsent", unsent),
            ("values_dropped", untold),
            ("notices_dropped", unnoted),
            ("packets_refused", line.refused),
            ("packets_of_nobody", line.strangers),
            ("packets_undecodable", line.malformed),
            ("packets_missed", line.missed),
            ("frames_restored", line.recovered),
            ("frames_concealed", line.concealed),
            ("frames_unsent", line.unsent),
        ];
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

/// The session's end of a room that is being joined.
#[derive(Debug)]
pub struct Line {
    /// Packets, both ways.
    pub trunk: Trunk,
    /// What the session says.
    pub notices: rtrb::Consumer<Notice>,
    /// Notices that were lost.
    pub lost: Arc<AtomicU64>,
    /// Calls of the room's tools.
    pub calls: Receiver<RoomCall>,
    /// Where the times of packets go, for a bench; dropped where it is full.
    pub stamps: Option<Sender<Stamp>>,
}

/// When something happened to a packet of audio on the network's thread.
#[derive(Debug, Clone, Copy)]
pub enum Stamp {
    /// It came from somebody.
    Came {
        /// Its datagram was read.
        read: Moment,
        /// The session's ring has it.
        kept: Moment,
    },
    /// It was handed to the socket.
    Sent(Moment),
}

/// Whoever is told what happens in a room: called on the network's thread, where nothing may wait.
pub type Teller = Arc<dyn Fn(News) + Send + Sync>;

/// A room, for its owner.
#[derive(Debug)]
pub struct Room {
    /// What happens.
    pub news: Receiver<News>,
    exit: Exit,
}

/// The way out of a room.
#[derive(Debug)]
pub struct Exit {
    leave: Sender<()>,
    cord: Cord,
}

impl Exit {
    /// Leaves the room in good order; the news say when that is done.
    pub fn leave(&self) {
        self.leave.try_send(()).ok();
        self.cord.ring();
    }
}

impl Room {
    /// Joins a room on the network's thread; what comes of it is in the news.
    #[must_use]
    pub fn join(network: &Network, options: Options, line: Line, cord: Cord) -> Self {
        let (sender, news) = bounded(NEWS_WAITING);
        // An owner that does not listen is not waited for.
        let tell: Teller = Arc::new(move |what| drop(sender.try_send(what)));
        let exit = Self::enter(network, options, line, cord, tell);
        Self { news, exit }
    }

    /// The same for an owner of many rooms, who is told what happens in each. Where too many are being joined at once,
    /// nothing is told but that.
    #[must_use]
    pub fn enter(
        network: &Network,
        options: Options,
        line: Line,
        cord: Cord,
        tell: Teller,
    ) -> Exit {
        let (leave, left) = bounded(1);
        let rope = cord.clone();
        let told = Arc::clone(&tell);
        let spawned = network.spawn(move |belfry| run(belfry, options, line, rope, left, told));
        if !spawned {
            let why = "too many rooms are being joined at once".to_owned();
            tell(News::Refused(SignalError::Unreachable(why)));
        }
        Exit { leave, cord }
    }

    /// Leaves the room in good order; the news say when that is done.
    pub fn leave(&self) {
        self.exit.leave();
    }
}

async fn run(
    belfry: Rc<Belfry>,
    options: Options,
    line: Line,
    cord: Cord,
    left: Receiver<()>,
    tell: Teller,
) {
    let ear = belfry.listen_for(&cord);
    let mut last = LastWord { tell: Arc::clone(&tell), told: false };
    match Carrier::join(options, line, ear, left, Arc::clone(&tell)).await {
        Ok(carrier) => carrier.run().await,
        Err(error) => tell(News::Refused(error)),
    }
    last.told = true;
}

/// Tells the owner that a room is over whose task was ended by a fault of the program.
struct LastWord {
    tell: Teller,
    told: bool,
}

impl Drop for LastWord {
    fn drop(&mut self) {
        if !self.told {
            let why = "the room's own task is gone, which is a fault of the program".to_owned();
            (self.tell)(News::Ended(End::Lost(why), Tally::default()));
        }
    }
}

impl Options {
    fn track(&self, cid: String) -> AddTrackRequest {
        let features = (!self.dtx).then_some(AudioTrackFeature::TfNoDtx as i32);
        AddTrackRequest {
            cid,
            name: "agent".to_owned(),
            r#type: TrackType::Audio as i32,
            source: TrackSource::Microphone as i32,
            disable_red: !self.red,
            audio_features: features.into_iter().collect(),
            ..AddTrackRequest::default()
        }
    }
}

pub(super) fn request() -> JoinRequest {
    JoinRequest {
        client_info: Some(ClientInfo {
            sdk: client_info::Sdk::Rust as i32,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
            os: std::env::consts::OS.to_owned(),
            client_protocol: CLIENT_PROTOCOL,
            ..ClientInfo::default()
        }),
        connection_settings: Some(ConnectionSettings {
            auto_subscribe: false,
            ..ConnectionSettings::default()
        }),
        ..JoinRequest::default()
    }
}
