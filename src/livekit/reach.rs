//! Whether a server can be reached and would let an agent in, without joining a room.
//!
//! It is asked what it asks itself before a participant joins: its `validate`, with an agent's token for a room that
//! there is not, and which does not come to be by that.
//!
//! **Invariant:** it takes no longer than [`TIME`], and neither a key nor a token is in what is told.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{Method, Request, StatusCode};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::api::{bearer, exchange};
use super::room::request;
use super::signal::wrapped;
use super::socket::{SignalError, refused};
use super::stream::{Stream, StreamError};
use super::token::Key;
use crate::config::Epoch;
use crate::host::pace::{Clock, wall_ms};

/// How long all of it may take.
pub const TIME: Duration = Duration::from_secs(3);

/// By how much two clocks may differ, in milliseconds: a token is good for ten minutes, and servers allow for a minute.
const SKEW_MAX_MS: i64 = 60_000;

/// A server that was reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reached {
    /// Until there was a connection, encryption included, in milliseconds.
    pub connect_ms: f64,
    /// Until it had answered, in milliseconds.
    pub answer_ms: f64,
    /// By how much this machine's clock is ahead of the server's, in milliseconds, to a second; none if the server does
    /// not tell.
    pub ahead_ms: Option<i64>,
}

/// Why there is nothing of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreached {
    /// The name stands for no address.
    Name(String),
    /// There is no connection; whether somebody refused it.
    Connection {
        /// Whether the machine is there, and nobody listens.
        refused: bool,
        /// The system's words.
        why: String,
    },
    /// The connection cannot be trusted.
    Tls(String),
    /// Nothing came within the time.
    Late(Step),
    /// The server does not accept the token, in its words.
    Unauthorised(String),
    /// The server does not accept the token, and the clocks differ: by how much this machine's is ahead.
    Clock(i64),
    /// It answers otherwise than LiveKit's servers do.
    Other(String),
}

/// What is waited for, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// What the name stands for.
    Address,
    /// Somebody who listens.
    Connection,
    /// Somebody who can be trusted.
    Encryption,
    /// The server's word.
    Answer,
}

/// Asks a server whether it would let in an agent that has this key.
///
/// # Errors
/// It cannot be reached, or would not.
pub async fn reach(address: &Address, tls: &TlsConnector, key: &Key) -> Result<Reached, Unreached> {
    let mut step = Step::Address;
    let asking = ask(address, tls, key, &mut step);
    match timeout(TIME, asking).await {
        Ok(told) => told,
        Err(_) => Err(Unreached::Late(step)),
    }
}

async fn ask(
    address: &Address,
    tls: &TlsConnector,
    key: &Key,
    step: &mut Step,
) -> Result<Reached, Unreached> {
    let clock = Clock::default();
    let begin = clock.now();
    let since_ms = || clock.now().since_ns(begin) as f64 / 1e6;
    let host = address.host.as_str();
    let name = |error: io::Error| Unreached::Name(error.to_string());
    let addresses: Vec<_> = lookup_host((host, address.port)).await.map_err(name)?.collect();
    if addresses.is_empty() {
        return Err(Unreached::Name("it has no address".to_owned()));
    }
    *step = Step::Connection;
    let stream = TcpStream::connect(addresses.as_slice()).await.map_err(|error| {
        let refused = error.kind() == io::ErrorKind::ConnectionRefused;
        Unreached::Connection { refused, why: error.to_string() }
    })?;
    *step = Step::Encryption;
    let stream = Stream::over(stream, address.tls.then_some((tls, host))).await;
    let stream = stream.map_err(|error| match error {
        StreamError::Unreachable(why) | StreamError::Tls(why) => Unreached::Tls(why),
    })?;
    let connect_ms = since_ms();
    *step = Step::Answer;
    let room = format!("antiphon-doctor-{:x}", wall_ms());
    let pass = key.agent(&room, "antiphon-doctor", "doctor").map_err(Unreached::Other)?;
    let request = Request::builder()
        .method(Method::GET)
        .uri(address.validate_path(&wrapped(&request())))
        .header(HOST, address.authority())
        .header(AUTHORIZATION, bearer(pass.secret()).map_err(Unreached::Other)?)
        .body(Body::empty())
        .map_err(|error| Unreached::Other(format!("a request of ours: {error}")))?;
    let answer = exchange(stream, request).await.map_err(Unreached::Other)?;
    let theirs = answer.date.as_deref().and_then(unix_ms);
    // Theirs is of the second that had begun.
    let ahead_ms = theirs.map(|theirs| (wall_ms() as i64).saturating_sub(theirs as i64 + 500));
    match answer.status {
        StatusCode::OK => Ok(Reached { connect_ms, answer_ms: since_ms(), ahead_ms }),
        StatusCode::UNAUTHORIZED => match ahead_ms {
            Some(ahead) if ahead.abs() > SKEW_MAX_MS => Err(Unreached::Clock(ahead)),
            _ => Err(match refused(answer.status, &answer.body) {
                SignalError::Refused(_, why) => Unreached::Unauthorised(why),
                other => Unreached::Other(other.to_string()),
            }),
        },
        status => Err(Unreached::Other(refused(status, &answer.body).to_string())),
    }
}

/// The moment that a header's date means, in milliseconds since 1970.
fn unix_ms(date: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = date.split_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = words[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let instant: Epoch = format!("{year}-{month:02}-{day:0>2}T{time}Z").parse().ok()?;
    Some(instant.unix_ms())
}

#[cfg(test)]
mod tests {
    use super::unix_ms;

    #[test]
    fn a_headers_date_is_a_moment() {
        assert_eq!(unix_ms("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        assert_eq!(unix_ms("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        for wrong in ["", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET"] {
            assert_eq!(unix_ms(wrong), None, "{wrong}");
        }
    }
}
