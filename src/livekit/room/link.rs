//! The signalling connection of a stay, and the tries to have it again once it is lost: taken up where it was, or else
//! begun anew.
//!
//! **Invariant:** while the server is tried again, nothing else waits for it: audio goes on where it has a way.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use livekit_protocol::{
    JoinRequest, SyncState, TrackPublishedResponse, UpdateSubscription, signal_request,
    signal_response,
};

use tokio::net::TcpStream;
use tokio::time::sleep;

use super::Options;
use super::entry::{Entered, enter, fresh};
use crate::host::pace::wall_ms;
use crate::livekit::address::Address;
use crate::livekit::media::Media;
use crate::livekit::signal::{Signal, SignalError};
use crate::livekit::stay::Stay;
use crate::seed::Seed;

/// How long a connection that was lost is tried to be had again before the call is lost: a server restarts in less.
pub(super) const TROUBLE_TIME: Duration = Duration::from_secs(60);

/// The pause between two tries, at first and at most.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// What is heard of the server.
pub(super) enum Heard {
    /// A message.
    Message(Box<signal_response::Message>),
    /// Something that is no message of the protocol.
    Malformed,
    /// The connection is lost.
    Lost,
    /// It was taken up again.
    Again,
    /// The room was joined anew.
    Anew(Box<Entered>),
    /// A try has failed, and another follows.
    Failed,
    /// There is none, and there will not be one; the reason.
    Over(String),
}

/// A connection that is there again.
pub(super) enum Tried {
    /// The one that was lost, taken up.
    Resumed(Box<Signal>),
    /// Another one.
    Entered(Box<Entered>),
}

/// How it is tried.
pub(super) enum How {
    /// Taken up, with this request.
    Resume(Box<JoinRequest>),
    /// Anew, with a track of this id and these attributes.
    Anew(String, HashMap<String, String>),
}

type Connecting = Pin<Box<dyn Future<Output = Result<Tried, SignalError>>>>;

/// The connection.
pub(super) enum Link {
    /// It is there.
    Up(Box<Signal>),
    /// It was lost, and is tried again at some time.
    Down(Loss, Instant),
    /// It is being tried.
    Trying(Loss, Connecting),
}

/// A connection that was lost.
#[derive(Clone, Copy)]
pub(super) struct Loss {
    since: Instant,
    /// It cannot be taken up.
    anew: bool,
    /// How often it was tried.
    tries: u32,
}

impl Link {
    /// The connection is lost; whether there is nothing to be taken up, and whether it is tried at once.
    pub(super) fn lose(&mut self, now: Instant, anew: bool, at_once: bool) {
        let since = match self {
            Self::Up(_) => now,
            Self::Down(loss, _) | Self::Trying(loss, _) => loss.since,
        };
        let next = if at_once { now } else { now + PAUSE };
        *self = Self::Down(Loss { since, anew, tries: 0 }, next);
    }

    /// Whether it is there.
    pub(super) const fn is_up(&self) -> bool {
        matches!(self, Self::Up(_))
    }

    /// Whether the room has to be joined anew.
    pub(super) const fn is_anew(&self) -> bool {
        matches!(self, Self::Down(loss, _) | Self::Trying(loss, _) if loss.anew)
    }

    /// When it is tried again.
    pub(super) const fn due(&self) -> Option<Instant> {
        match self {
            Self::Down(_, next) => Some(*next),
            Self::Up(_) | Self::Trying(..) => None,
        }
    }

    /// Tries again, if it is time.
    pub(super) fn wake(&mut self, now: Instant, options: &Options, how: How) {
        let Self::Down(loss, next) = *self else { return };
        if next > now {
            return;
        }
        let mut options = options.clone();
        // Others have lost the same server.
        let wait = match loss.tries {
            0 => Duration::ZERO,
            tries => pause(tries).mul_f64(share_of(&options.pass.identity()) / 2.0),
        };
        let trying: Connecting = match how {
            How::Resume(request) => Box::pin(async move {
                sleep(wait).await;
                let Options { address, pass, tls, .. } = options;
                let signal = Signal::connect(&address, &pass, &tls, &request).await?;
                Ok(Tried::Resumed(Box::new(signal)))
            }),
            How::Anew(track, attributes) => Box::pin(async move {
                sleep(wait).await;
                // Not much is made for a server that is not there.
                let Address { host, port, .. } = &options.address;
                let there = TcpStream::connect((host.as_str(), *port)).await;
                drop(there.map_err(|error| SignalError::Unreachable(error.to_string()))?);
                options.pass = fresh(&options);
                let entered = enter(options, track, attributes).await?;
                Ok(Tried::Entered(Box::new(entered)))
            }),
        };
        *self = Self::Trying(Loss { tries: loss.tries + 1, ..loss }, trying);
    }

    /// What is heard next. May be dropped while it waits.
    pub(super) async fn next(&mut self, now: impl Fn() -> Instant) -> Heard {
        let (loss, tried) = match self {
            Self::Up(signal) => {
                return match signal.next().await {
                    Ok(message) => Heard::Message(Box::new(message)),
                    Err(SignalError::Protocol(_)) => Heard::Malformed,
                    Err(_) => Heard::Lost,
                };
            }
            Self::Down(..) => std::future::pending().await,
            Self::Trying(loss, trying) => (*loss, trying.as_mut().await),
        };
        let error = match tried {
            Ok(Tried::Resumed(signal)) => {
                *self = Self::Up(signal);
                return Heard::Again;
            }
            // The connection in it is the link's from now on: see `up`.
            Ok(Tried::Entered(entered)) => {
                *self = Self::Down(loss, now() + TROUBLE_TIME);
                return Heard::Anew(entered);
            }
            Err(error) => error,
        };
        let at = now();
        // A no to who wants to take up what was is none to who comes anew.
        let is_final = error.is_final();
        let over = loss.since + TROUBLE_TIME <= at || (is_final && loss.anew);
        let next = if over { at + TROUBLE_TIME } else { at + pause(loss.tries) };
        *self = Self::Down(Loss { anew: loss.anew || is_final, ..loss }, next);
        if over { Heard::Over(error.to_string()) } else { Heard::Failed }
    }

    /// It is this one from now on.
    pub(super) fn up(&mut self, signal: Signal) {
        *self = Self::Up(Box::new(signal));
    }

    /// Sends a message, if there is a connection. False if it is lost.
    pub(super) async fn send(&mut self, message: signal_request::Message) -> bool {
        match self {
            Self::Up(signal) => signal.send(message).await.is_ok(),
            Self::Down(..) | Self::Trying(..) => true,
        }
    }

    /// Closes it in good order.
    pub(super) async fn close(self) {
        if let Self::Up(signal) = self {
            signal.close().await;
        }
    }
}

/// The pause after so many tries.
fn pause(tries: u32) -> Duration {
    PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(8)).min(PAUSE_MAX)
}

/// A share below 1 that is another for each identity, and each time.
fn share_of(identity: &str) -> f64 {
    Seed::new(wall_ms()).branch(identity).below(1_000) as f64 / 1_000.0
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
