//! Models that hear and speak by themselves, over a WebSocket: OpenAI's Realtime protocol.
//!
//! ```text
//!   thread of the tick                        task of a runtime
//!   Talk ── samples of the user ─────ring──▶ ┐
//!        ── positions, results, wishes ring─▶│ Realtime ──▶ texts ──▶ WebSocket
//!        ◀─ NativeEvent* ─────────────ring── │          ◀── texts ◀──
//!                                            ┘ now, connected, lost
//! ```
//!
//! [`Realtime`](crate::think::native::realtime::Realtime) decides; the task has the socket and the clock, and
//! carries out what it is told. The handle is a [`Talk`]. A connection is made by the HTTP client of the other models,
//! with the same keys, headers, timeouts, authorities and errors, and becomes a socket then.
//!
//! **Invariant:** the handle takes no lock and never waits; rings are bounded, and only the user's audio is dropped where
//! one is full, which is counted; no key leaves this process but in the header of the request for a socket.

mod socket;
mod talk;
mod task;
mod voice;

pub use talk::{Counts, Talk};
pub use task::Bounds;

use tokio::runtime::Handle;

use super::server::{Clients, Server};
use crate::config::Model;
use crate::pcm::resample::RATES_HZ;
use crate::seed::Seed;
use crate::think::chat::Message;
use crate::think::native::realtime::settings::Settings;

/// A model that hears and speaks, at its server.
#[derive(Debug, Clone)]
pub struct Talker {
    server: Server,
    model: String,
    bounds: Bounds,
}

/// How a conversation begins.
#[derive(Debug, Clone)]
pub struct Opening {
    /// What its sessions are like.
    pub settings: Settings,
    /// What was said and called before.
    pub history: Vec<Message>,
    /// Samples a second of the user's audio, 8,000 to 48,000.
    pub heard_hz: u32,
    /// Samples a second of the model's audio, 8,000 to 48,000, for who takes its events and tells what was played; none:
    /// those of the format of `settings`.
    pub said_hz: Option<u32>,
}

impl Talker {
    /// A model that is called `name` in the configuration. `wss` where its `base_url` begins with `https`, `ws` where it
    /// begins with `http`; the key and what `${NAME}` stands for in headers come from `env`.
    ///
    /// # Errors
    /// Everything that is wrong with it, in words.
    pub fn new(
        name: &str,
        model: &Model,
        env: &dyn Fn(&str) -> Option<String>,
        clients: &mut Clients,
    ) -> Result<Self, Vec<String>> {
        let server = Server::new(name, model, env, clients);
        let Some(called) = &model.model else {
            let mut complaints = server.err().unwrap_or_default();
            complaints.push(format!(
                "model `{name}`: `model` is missing; write what the provider calls it, as in gpt-realtime"
            ));
            return Err(complaints);
        };
        let server = server?.of_sockets(clients).map_err(|why| vec![why])?;
        Ok(Self { server, model: called.clone(), bounds: Bounds::default() })
    }

    /// With other bounds than the usual ones.
    #[must_use]
    pub fn bounded(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// Begins a conversation, as a task of this runtime. The user's audio comes with `hz` samples a second, 8,000 to
    /// 48,000; the model's is at the rate of the format of `settings`. `jitter` is the chance in delays.
    ///
    /// # Errors
    /// The rate is none.
    pub fn talk(
        &self,
        settings: Settings,
        hz: u32,
        jitter: Seed,
        runtime: &Handle,
    ) -> Result<Talk, String> {
        let opening = Opening { settings, history: Vec::new(), heard_hz: hz, said_hz: None };
        self.begin(opening, jitter, runtime)
    }

    /// Begins a conversation that may have a history, as a task of this runtime.
    ///
    /// # Errors
    /// A rate is none.
    pub fn begin(&self, opening: Opening, jitter: Seed, runtime: &Handle) -> Result<Talk, String> {
        let wrong = |whose: &str, hz: u32| {
            format!("the {whose} audio has {hz} samples a second; give 8,000 to 48,000")
        };
        if !RATES_HZ.contains(&opening.heard_hz) {
            return Err(wrong("user's", opening.heard_hz));
        }
        if let Some(hz) = opening.said_hz.filter(|hz| !RATES_HZ.contains(hz)) {
            return Err(wrong("model's", hz));
        }
        let (talk, ends) = talk::pair(opening.heard_hz);
        let door = socket::Door { server: self.server.clone(), model: self.model.clone() };
        runtime.spawn(task::Task::new(door, opening, jitter, self.bounds, ends).run());
        Ok(talk)
    }
}
