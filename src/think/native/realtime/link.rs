//! The connection: how it comes and goes, and what another one is told.

use serde::{Deserialize, Serialize};

use super::client::ClientEvent;
use super::server::Error;
use super::settings::Turns;
use super::{Action, Realtime, Sent, event_number};
use crate::think::chat::{ErrorKind, ModelError};
use crate::think::native::event::NativeEvent;

/// The connection. Times are milliseconds of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Link {
    Idle,
    Connecting { since: u64 },
    Up { since: u64, ready: bool },
    Waiting { until: u64 },
    Over,
}

impl Link {
    pub(super) const fn is_up(self) -> bool {
        matches!(self, Self::Up { .. })
    }
}

/// What goes on, in the words of a cascade of recogniser, model and synthesiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// There is no connection.
    Disconnected,
    /// There is one, and the session is not yet as it is to be.
    Connected,
    /// It waits for what the user says.
    Listening,
    /// An answer is made, and nothing of it is heard yet.
    Processing,
    /// An answer is heard.
    Speaking,
}

impl Realtime {
    /// What goes on.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.link {
            _ if self.memory.is_playing() => Phase::Speaking,
            Link::Up { ready: false, .. } => Phase::Connected,
            Link::Up { .. } if self.answers.active.is_some() => Phase::Processing,
            Link::Up { .. } => Phase::Listening,
            Link::Idle | Link::Connecting { .. } | Link::Waiting { .. } | Link::Over => {
                Phase::Disconnected
            }
        }
    }

    /// Begins. Does nothing if it has begun; after its end it begins anew.
    pub fn start(&mut self) {
        if matches!(self.link, Link::Idle | Link::Over) {
            self.failures = 0;
            self.connect();
        }
    }

    fn connect(&mut self) {
        self.link = Link::Connecting { since: self.now };
        self.actions.push_back(Action::Connect);
    }

    /// There is a connection.
    pub fn connected(&mut self) {
        if !matches!(self.link, Link::Connecting { .. }) {
            return;
        }
        self.link = Link::Up { since: self.now, ready: false };
        self.send(ClientEvent::Update(Box::new(self.settings.clone())));
        self.tell();
        let backlog: Vec<i16> = self.backlog.drain(..).collect();
        self.session_samples = self.user_samples - backlog.len() as u64;
        // Pieces of half a second: a provider has bounds, too.
        for pcm in backlog.chunks(self.settings.format.hz() as usize / 2) {
            self.send_audio(pcm);
        }
        let commits = std::mem::take(&mut self.commits);
        if commits > 0 {
            // Turns that ended meanwhile are one.
            let lost = (1..commits).map(|_| NativeEvent::Committed { item: None });
            self.events.extend(lost);
            self.send(ClientEvent::Commit);
        }
        self.pump();
    }

    /// The session is as it was asked for.
    pub(super) fn ready(&mut self) {
        let Link::Up { ready, .. } = &mut self.link else { return };
        if !std::mem::replace(ready, true) {
            self.failures = 0;
            let again = std::mem::replace(&mut self.again, true);
            self.events.push_back(NativeEvent::Ready { again });
        }
    }

    /// Tells the session what it does not know.
    pub(super) fn tell(&mut self) {
        let mut told = Vec::new();
        self.memory.tell(|item| told.push(item));
        for item in told {
            self.send(ClientEvent::Create(item));
        }
    }

    /// The connection is lost, or there never was one.
    pub fn lost(&mut self, error: ModelError) {
        if !matches!(self.link, Link::Connecting { .. } | Link::Up { .. }) {
            return;
        }
        let times = self.settings.times;
        self.abandon();
        self.failures += 1;
        let last = !error.may_pass() || self.failures >= times.tries;
        self.events.push_back(NativeEvent::Lost { error, last });
        self.actions.push_back(Action::Close);
        self.link = if last {
            Link::Over
        } else {
            let pause = times.pause_ms.saturating_mul(1 << (self.failures - 1).min(5));
            Link::Waiting { until: self.now.saturating_add(pause) }
        };
    }

    /// Nothing more comes over this connection, and what waits for it is for another one.
    fn abandon(&mut self) {
        self.actions.clear();
        self.sent.clear();
        self.speaking = false;
        self.uncommitted = 0;
        self.memory.unknown();
        for item in self.answers.abandon() {
            self.events.push_back(NativeEvent::ItemDone { item });
        }
    }

    /// It is over: the connection is closed, and nothing more is said.
    pub fn stop(&mut self) {
        if matches!(self.link, Link::Connecting { .. } | Link::Up { .. }) {
            self.abandon();
            self.actions.push_back(Action::Close);
        }
        self.link = Link::Over;
    }

    /// A session that is too old is followed by another: in a pause, or before the provider ends it.
    pub(super) fn age(&mut self) {
        let times = self.settings.times;
        match self.link {
            Link::Waiting { until } if self.now >= until => self.connect(),
            Link::Connecting { since } if self.now >= since.saturating_add(times.connect_ms) => {
                let message = format!("no connection within {} ms", times.connect_ms);
                self.lost(ModelError::new(ErrorKind::TimedOut, message));
            }
            Link::Up { since, ready: false }
                if self.now >= since.saturating_add(times.connect_ms) =>
            {
                let message = format!("the session was not there within {} ms", times.connect_ms);
                self.lost(ModelError::new(ErrorKind::TimedOut, message));
            }
            Link::Up { since, .. } => {
                let age = self.now.saturating_sub(since);
                if age >= times.session_ms || (age >= times.renew_ms && self.is_pause()) {
                    self.abandon();
                    self.actions.push_back(Action::Close);
                    self.connect();
                }
            }
            Link::Idle | Link::Connecting { .. } | Link::Waiting { .. } | Link::Over => {}
        }
    }

    /// Nobody speaks, and nobody is about to.
    fn is_pause(&self) -> bool {
        // Where the turns are ours, nobody says when the user begins.
        let listens = self.settings.turns == Turns::Ours && self.uncommitted > 0;
        !self.speaking
            && !listens
            && self.answers.active.is_none()
            && !self.answers.wants()
            && !self.memory.is_playing()
    }

    /// Trouble that the provider tells.
    pub(super) fn error(&mut self, error: Error) {
        let number = error.event.as_deref().and_then(event_number);
        let at = number.and_then(|n| self.sent.iter().position(|&(sent, _)| sent == n));
        let sent = at.and_then(|at| self.sent.remove(at)).map(|(_, sent)| sent);
        match (sent, error.code.as_str()) {
            (Some(Sent::Respond) | None, "conversation_already_has_active_response") => {
                self.counts.harmless += 1;
                self.answers.refused_beside_another(self.now);
            }
            (Some(Sent::Respond), _) => {
                if self.answers.refused() {
                    self.events.push_back(NativeEvent::Trouble(told(&error)));
                    self.failed(String::new());
                }
            }
            // There is nothing to cut any more.
            (Some(Sent::Cancel), _) => {
                self.counts.harmless += 1;
                self.drop_cut();
            }
            // Whatever is wrong with what we asked for is as wrong the next time.
            (Some(Sent::Update), _) => {
                let ModelError { message, .. } = told(&error);
                self.lost(ModelError::new(ErrorKind::Refused, message));
            }
            (None, "session_expired") => self.lost(told(&error)),
            (Some(Sent::Other) | None, _) => {
                let error = told(&error);
                if error.kind == ErrorKind::Unauthorised {
                    self.lost(error);
                } else {
                    self.events.push_back(NativeEvent::Trouble(error));
                }
            }
        }
    }
}

/// Trouble of the provider's in our words. What may hold a key is not repeated.
pub(super) fn told(error: &Error) -> ModelError {
    let Error { kind, code, message, .. } = error;
    let one_of = |names: &[&str]| names.iter().any(|name| code == name || kind == name);
    let kind = if one_of(&["invalid_api_key", "authentication_error", "permission_denied"]) {
        let message = "the provider does not accept the key: check it";
        return ModelError::new(ErrorKind::Unauthorised, message);
    } else if one_of(&["rate_limit_exceeded", "rate_limit_error", "insufficient_quota"]) {
        ErrorKind::Limited
    } else if one_of(&["session_expired"]) {
        ErrorKind::CutOff
    } else if one_of(&["invalid_request_error"]) {
        ErrorKind::Refused
    } else {
        ErrorKind::Provider
    };
    let what = if code.is_empty() { "an error without a code" } else { code };
    ModelError::new(kind, format!("the provider says {what}: {message}"))
}
