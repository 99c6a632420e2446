//! A worker, to whom a LiveKit server dispatches jobs: an agent wanted in a room.
//!
//! A worker registers on a connection of its own and is asked whether it takes a job; who says yes is sent a
//! token for the room. What is decided is the owner's: a [`Desk`] carries the server's questions to it, and
//! its answers back, and registers anew when the connection is lost. Jobs go on meanwhile: they have
//! connections of their own.
//!
//! ```text
//!   server ── availability ──▶ Desk ── Offered ──▶ owner
//!          ◀── yes or no ─────      ◀── Answer ───
//!          ── assignment ────▶      ── Assigned ─▶   joins the room
//!          ◀── running, over ─      ◀── Update ───
//! ```
//!
//! **Invariant:** an offer is answered at most once, and an answer that comes too late is of no
//! consequence; whatever happens to the connection, the desk goes on until its owner drops it.

mod line;
mod talk;

use livekit_protocol::JobType;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

use self::talk::Said;
use super::address::Address;
use super::network::Network;
use super::signal::SignalError;
use super::token::{Key, Pass};
use crate::config::JobKind;

/// Orders on their way to the server at most: an answer, and two updates, of each of hundreds of jobs.
const ORDERS_WAITING: usize = 4_096;

/// The load at which LiveKit's server prefers another worker (its default `agents.target_load`), and above
/// which it asks none: what a worker calls its limit is reported as this.
pub const TARGET_LOAD: f32 = 0.7;

/// How to register.
#[derive(Clone)]
pub struct Options {
    /// Where the server is.
    pub address: Address,
    /// What tokens are made with.
    pub key: Key,
    /// Whom to trust, where the connection is encrypted.
    pub tls: TlsConnector,
    /// The agent's name. With one, jobs come only where it is asked for by name; the empty one stands for
    /// automatic dispatch: a job for every room.
    pub agent_name: String,
    /// Which jobs.
    pub kind: JobKind,
}

/// A kind of job, on the wire.
#[must_use]
pub const fn on_the_wire(kind: JobKind) -> JobType {
    match kind {
        JobKind::Room => JobType::JtRoom,
        JobKind::Publisher => JobType::JtPublisher,
        JobKind::Participant => JobType::JtParticipant,
    }
}

/// An agent that is wanted somewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id (`AJ_…`).
    pub id: String,
    /// The dispatch that it comes from (`AD_…`); empty where there is none.
    pub dispatch: String,
    /// Why it was made.
    pub kind: JobKind,
    /// The room's name.
    pub room: String,
    /// The room's sid.
    pub room_sid: String,
    /// The identity of the one whom it is for, unless it is for the room.
    pub participant: Option<String>,
    /// What the one who dispatched it wants the agent to know.
    pub metadata: String,
    /// The agent's name that was asked for.
    pub agent_name: String,
}

/// As whom an agent comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Its identity.
    pub identity: String,
    /// The name that is shown.
    pub name: String,
}

/// How a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// The agent is at work.
    Running,
    /// It is over.
    Done,
    /// It is over, and not in good order; why.
    Failed(String),
}

/// How a worker is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// How much of what it may take on it has taken on: from 0 to 1, its limit at [`TARGET_LOAD`].
    pub load: f32,
    /// Jobs under way.
    pub jobs: u32,
    /// It takes no more jobs.
    pub full: bool,
    /// It takes none ever again.
    pub draining: bool,
}

/// Whether a job is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is; the agent comes as this one.
    Taken(Presence),
    /// It is not: another worker may be asked.
    Refused,
    /// There is nothing to be done, for anybody: the agent is there already.
    Done,
}

/// What a server is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Whether a job is taken.
    Answer(String, Answer),
    /// How a job is.
    Update(String, JobState),
    /// How the worker is.
    Standing(Standing),
}

/// What an owner is told.
#[derive(Debug)]
pub enum News {
    /// The worker is registered.
    Registered {
        /// Its id (`AW_…`).
        worker: String,
        /// The server's version.
        server: String,
    },
    /// Is this job taken? The server waits for ten seconds.
    Offered(Job),
    /// It is this worker's.
    Assigned {
        /// The job.
        job: Job,
        /// Lets the agent into the room.
        pass: Pass,
        /// Where to, unless it is the same server; what is no address is none: the server that has sent it can be
        /// reached.
        address: Option<Address>,
    },
    /// The agent is to leave.
    Terminated(String),
    /// A job of this id was offered that cannot be one.
    Unusable(String),
    /// The connection is lost, or there is none yet: why, and in how many milliseconds it is tried again. What
    /// was offered and not assigned is of no consequence any more.
    Lost(SignalError, u64),
    /// The server lets nobody in with this key: it is not tried again.
    Refused(SignalError),
}

/// Whoever is told.
pub type Teller = Box<dyn Fn(News) + Send>;

/// Reads a message of a server's to a worker, whatever it is; the job that it is about, if it is of use.
///
/// # Errors
/// It is no message.
pub fn read(bytes: &[u8]) -> Result<Option<String>, String> {
    let Some(Said::News(news)) = talk::read(bytes)? else { return Ok(None) };
    Ok(match *news {
        News::Offered(job) | News::Assigned { job, .. } => Some(job.id),
        News::Terminated(id) | News::Unusable(id) => Some(id),
        News::Registered { .. } | News::Lost(..) | News::Refused(_) => None,
    })
}

/// A registration, for as long as this is there.
#[derive(Debug)]
pub struct Desk {
    orders: mpsc::Sender<Order>,
}

impl Desk {
    /// Registers, on the network's thread, and goes on doing so; what comes of it is told.
    #[must_use]
    pub fn open(network: &Network, options: Options, tell: Teller) -> Self {
        let (orders, ordered) = mpsc::channel(ORDERS_WAITING);
        let spawned = network.spawn(move |_| line::serve(options, ordered, tell));
        // A network that has not even begun has room for a task.
        debug_assert!(spawned, "a desk is opened before rooms are joined");
        Self { orders }
    }

    /// Tells the server something. False if that finds no room.
    pub fn order(&self, order: Order) -> bool {
        self.orders.try_send(order).is_ok()
    }
}
