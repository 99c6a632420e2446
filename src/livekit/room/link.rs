//! The signalling connection of a stay, and the tries to have it again once it is lost.
//!
//! **Invariant:** while the server is tried again, nothing else waits for it: audio goes on.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use livekit_protocol::{
    JoinRequest, SyncState, TrackPublishedResponse, UpdateSubscription, signal_request,
    signal_response,
};

use super::Options;
use crate::livekit::media::Media;
use crate::livekit::signal::{Signal, SignalError};
use crate::livekit::stay::Stay;

/// How long a lost signalling connection is tried again before the call is lost: the server forgets a
/// participant after 30 s or less.
const RESUME_TIME: Duration = Duration::from_secs(25);

/// The pause between two tries.
const RESUME_PAUSE: Duration = Duration::from_millis(500);

/// What is heard of the server.
pub(super) enum Heard {
    /// A message.
    Message(Box<signal_response::Message>),
    /// Something that is no message of the protocol.
    Malformed,
    /// The connection is lost.
    Lost,
    /// There is a connection again.
    Again,
    /// There is none, and there will not be one; the reason.
    Over(String),
}

type Connecting = Pin<Box<dyn Future<Output = Result<Signal, SignalError>>>>;

/// The connection.
pub(super) enum Link {
    /// It is there.
    Up(Box<Signal>),
    /// It was lost, and is tried again at some time.
    Down { since: Instant, next: Instant },
    /// It is being tried.
    Trying { since: Instant, again: Connecting },
}

impl Link {
    /// The connection is lost.
    pub(super) fn lose(&mut self, now: Instant) {
        *self = Self::Down { since: now, next: now };
    }

    /// Whether it is there.
    pub(super) const fn is_up(&self) -> bool {
        matches!(self, Self::Up(_))
    }

    /// When it is tried again.
    pub(super) const fn due(&self) -> Option<Instant> {
        match self {
            Self::Down { next, .. } => Some(*next),
            Self::Up(_) | Self::Trying { .. } => None,
        }
    }

    /// Tries again, if it is time; the request says who wants to go on.
    pub(super) fn wake(&mut self, now: Instant, options: &Options, request: JoinRequest) {
        let Self::Down { since, next } = *self else { return };
        if next <= now {
            let Options { address, pass, tls, .. } = options.clone();
            let again = async move { Signal::connect(&address, &pass, &tls, &request).await };
            *self = Self::Trying { since, again: Box::pin(again) };
        }
    }

    /// What is heard next. May be dropped while it waits.
    pub(super) async fn next(&mut self, now: impl Fn() -> Instant) -> Heard {
        let (since, tried) = match self {
            Self::Up(signal) => {
                return match signal.next().await {
                    Ok(message) => Heard::Message(Box::new(message)),
                    Err(SignalError::Protocol(_)) => Heard::Malformed,
                    Err(_) => Heard::Lost,
                };
            }
            Self::Down { .. } => std::future::pending().await,
            Self::Trying { since, again } => (*since, again.as_mut().await),
        };
        match tried {
            Ok(signal) => {
                *self = Self::Up(Box::new(signal));
                Heard::Again
            }
            // What a server or a proxy says of itself, 5xx, or of too many who ask, passes.
            Err(SignalError::Refused(status @ 400..=499, reason))
                if ![408, 429].contains(&status) =>
            {
                *self = Self::Down { since, next: now() + RESUME_TIME };
                Heard::Over(format!("the server does not resume it: {reason}"))
            }
            Err(error) if since + RESUME_TIME <= now() => {
                *self = Self::Down { since, next: now() + RESUME_TIME };
                Heard::Over(error.to_string())
            }
            Err(_) => {
                *self = Self::Down { since, next: now() + RESUME_PAUSE };
                std::future::pending().await
            }
        }
    }

    /// Sends a message, if there is a connection. False if it is lost.
    pub(super) async fn send(&mut self, message: signal_request::Message) -> bool {
        match self {
            Self::Up(signal) => signal.send(message).await.is_ok(),
            Self::Down { .. } | Self::Trying { .. } => true,
        }
    }

    /// Closes it in good order.
    pub(super) async fn close(self) {
        if let Self::Up(signal) = self {
            signal.close().await;
        }
    }
}

/// What the server is told when the connection is there again: how things stand for this side.
pub(super) fn sync_state(media: &mut Media, stay: &Stay) -> SyncState {
    let (offer, answer) = media.described().cloned().unzip();
    let tracks: Vec<String> =
        stay.roster().present().iter().filter_map(|known| known.track.clone()).collect();
    let published = stay.track().map(|sid| TrackPublishedResponse {
        cid: stay.agent_track().to_owned(),
        track: Some(livekit_protocol::TrackInfo {
            sid: sid.to_owned(),
            ..livekit_protocol::TrackInfo::default()
        }),
    });
    SyncState {
        answer,
        offer,
        subscription: Some(UpdateSubscription {
            track_sids: tracks,
            subscribe: true,
            participant_tracks: Vec::new(),
        }),
        publish_tracks: published.into_iter().collect(),
        data_channels: media.channels(),
        ..SyncState::default()
    }
}
