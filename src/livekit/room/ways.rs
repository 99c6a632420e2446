//! Where the server is, and the ways to it as they are found.

use std::net::IpAddr;
use std::time::Instant;

use livekit_protocol::TrickleRequest;
use str0m::net::Protocol;

use crate::livekit::address::Address;
use crate::livekit::media::Media;
use crate::livekit::paths::{Change, Paths};
use crate::livekit::signal::{CONNECT_TIME, SignalError};

/// Addresses of a server that are tried at most.
const ADDRESSES_MAX: usize = 8;

/// Where the server is. Addresses of IPv4 come first: a LiveKit server that has both may take audio on
/// that alone.
pub(super) async fn lookup(address: &Address) -> Result<Vec<IpAddr>, SignalError> {
    let unreachable = |why: String| SignalError::Unreachable(why);
    let found = tokio::net::lookup_host((address.host.as_str(), address.port));
    let found = tokio::time::timeout(CONNECT_TIME, found).await;
    let found = found
        .map_err(|_| SignalError::TooSlow)?
        .map_err(|error| unreachable(format!("{}: {error}", address.host)))?;
    let mut found: Vec<IpAddr> = found.map(|at| at.ip()).collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found.dedup();
    found.truncate(ADDRESSES_MAX);
    Ok(found)
}

/// Tries more ways, if it is time. What there is to try is for the media connection, and the next that
/// the server should know of is the answer; to be called until there is none.
pub(super) fn look(paths: &mut Paths, media: &mut Media, at: Instant) -> Option<TrickleRequest> {
    if paths.due().is_some_and(|due| due <= at) {
        paths.wake();
    }
    while let Some(change) = paths.change() {
        let found = match change {
            Change::Gone(candidate) => {
                media.remove_local(&candidate);
                continue;
            }
            Change::Found(candidate) => candidate,
        };
        // The server cannot connect to what does not listen.
        let json = match found.proto() {
            Protocol::Udp => serde_json::to_string(&found).ok(),
            Protocol::Tcp | Protocol::SslTcp | Protocol::Tls => None,
        };
        media.add_local(found);
        if let Some(candidate_init) = json {
            return Some(TrickleRequest { candidate_init, ..TrickleRequest::default() });
        }
    }
    None
}
