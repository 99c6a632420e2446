//! The way into a room: a connection to the server, and everything that media will go over.

use std::collections::HashMap;
use std::time::Duration;

use livekit_protocol::{JoinRequest, JoinResponse, signal_response};

use super::{Options, request, ways};
use crate::host::pace::wall_ms;
use crate::livekit::media::Media;
use crate::livekit::paths::Paths;
use crate::livekit::signal::{CONNECT_TIME, Signal, SignalError};
use crate::livekit::token::{Lack, Pass};
use tokio::time::{Instant as Timer, timeout};

/// A room that lets the agent in.
pub(super) struct Entered {
    pub(super) signal: Signal,
    pub(super) media: Media,
    pub(super) paths: Paths,
    pub(super) join: JoinResponse,
}

/// Joins a room, with a track of this id and these attributes.
pub(super) async fn enter(
    options: Options,
    track: String,
    attributes: HashMap<String, String>,
) -> Result<Entered, SignalError> {
    let servers = ways::lookup(&options.address).await?;
    let paths = Paths::open(&servers, options.allowed, options.tls.clone())
        .await
        .map_err(|error| SignalError::Unreachable(error.to_string()))?;
    let now = Timer::now().into_std();
    let (media, offer) = Media::new(now, &paths.candidates(), &track, options.red);
    // Who asks for attributes without the permission is not let in.
    let may = !options.pass.lacks().contains(&Lack::Attributes);
    let request = JoinRequest {
        add_track_requests: vec![options.track(track)],
        publisher_offer: Some(offer),
        participant_attributes: if may { attributes } else { HashMap::new() },
        ..request()
    };
    let mut signal =
        Signal::connect(&options.address, &options.pass, &options.tls, &request).await?;
    let first = timeout(CONNECT_TIME, signal.next()).await;
    match first.unwrap_or(Err(SignalError::TooSlow))? {
        signal_response::Message::Join(join) => Ok(Entered { signal, media, paths, join }),
        signal_response::Message::Leave(leave) => {
            let reason = leave.reason().as_str_name().to_lowercase();
            Err(SignalError::Refused(403, reason))
        }
        _ => Err(SignalError::Protocol("it did not begin with a join".to_owned())),
    }
}

/// The token that there is; where it has run out, one for the same room and identity, if there is a key to make it.
pub(super) fn fresh(options: &Options) -> Pass {
    let Options { pass, telephones, name, .. } = options;
    if !pass.has_run_out(wall_ms() / 1_000) {
        return pass.clone();
    }
    let made = telephones.key.as_ref().and_then(|key| {
        let (room, identity) = (pass.room(), pass.identity());
        key.agent(&room, &identity, name).ok()
    });
    made.unwrap_or_else(|| pass.clone())
}

/// The time that a new way to the server may take to come about, and an old one to come back.
pub(super) const MEDIA_TIME: Duration = Duration::from_secs(15);
