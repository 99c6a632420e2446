//! A WebSocket to a LiveKit server, on which protobuf messages go both ways: signalling, and a worker's line.
//!
//! **Invariant:** a message is bounded before it is read, and neither connecting nor sending takes longer
//! than its limit.

use std::fmt;
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

use super::address::Address;
use super::stream::{Stream, StreamError};

/// How long connecting may take, all in all: the official clients wait 5 to 15 seconds.
pub const CONNECT_TIME: Duration = Duration::from_secs(10);

/// How long one message may take to be handed to the system. Its buffers hold far more than is ever said: who
/// does not read is lost, and audio does not wait for that.
const SEND_TIME: Duration = Duration::from_millis(250);

/// The longest message, in bytes: a join into a room of thousands is some hundred kilobytes.
pub const MESSAGE_MAX: usize = 4 << 20;

/// The socket's read buffer: the library's 128 KiB would be cleared for each small message.
const READ_BUFFER: usize = 4 << 10;

/// Messages waiting to be written at most, in bytes.
const WRITE_BUFFER_MAX: usize = 1 << 20;

/// What is looked at of a refusal's text, in bytes: it may begin with a token, which is left out.
const REFUSAL_MAX: usize = 16 << 10;

/// What is kept of it, in characters.
const REASON_MAX: usize = 300;

/// Why a server could not be joined, or was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalError {
    /// No connection to the server.
    Unreachable(String),
    /// The encrypted connection failed: most often a certificate that is not trusted.
    Tls(String),
    /// The server said no: status and reason. 401 is a wrong key, secret or token.
    Refused(u16, String),
    /// The server does not know this way of joining.
    TooOld,
    /// It took longer than its limit.
    TooSlow,
    /// What came is not LiveKit's protocol.
    Protocol(String),
    /// The connection was closed.
    Closed,
}

impl SignalError {
    /// Whether the server means it, and says the same to whoever asks again. What a server or a proxy says of itself,
    /// 5xx, or of too many who ask, passes.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Refused(status @ 400..=499, _) if !matches!(status, 408 | 429))
    }
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "the server cannot be reached: {why}"),
            Self::Tls(why) => write!(f, "no encrypted connection: {why}"),
            Self::Refused(401, reason) => write!(
                f,
                "the server does not accept the token: {reason}; check the API key and secret, and this machine's \
                 clock"
            ),
            Self::Refused(status, reason) => write!(f, "the server refuses ({status}): {reason}"),
            Self::TooOld => f.write_str(
                "the server does not know `/rtc/v1`: it is no LiveKit server, or one before 1.9.2, which is too old",
            ),
            Self::TooSlow => {
                write!(f, "the server did not answer within {} s", CONNECT_TIME.as_secs())
            }
            Self::Protocol(why) => write!(f, "what the server sent is not LiveKit's protocol: {why}"),
            Self::Closed => f.write_str("the server closed the connection"),
        }
    }
}

impl std::error::Error for SignalError {}

impl From<StreamError> for SignalError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Unreachable(why) => Self::Unreachable(why),
            StreamError::Tls(why) => Self::Tls(why),
        }
    }
}

/// A connection on which messages go both ways.
pub struct Socket {
    socket: WebSocketStream<Stream>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket(…)")
    }
}

impl Socket {
    /// Connects to a URL of this server's, as the one who has this token.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn connect(
        address: &Address,
        url: &str,
        token: &str,
        tls: &TlsConnector,
    ) -> Result<Self, SignalError> {
        let connecting = Self::connect_unbounded(address, url, token, tls);
        timeout(CONNECT_TIME, connecting).await.unwrap_or(Err(SignalError::TooSlow))
    }

    async fn connect_unbounded(
        address: &Address,
        url: &str,
        token: &str,
        tls: &TlsConnector,
    ) -> Result<Self, SignalError> {
        let mut request = url
            .into_client_request()
            .map_err(|error| SignalError::Protocol(format!("a request of ours: {error}")))?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| SignalError::Refused(401, "it is no token".to_owned()))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
        let host = address.host.as_str();
        let stream =
            Stream::connect((host, address.port), address.tls.then_some((tls, host))).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER_MAX)
            .max_message_size(Some(MESSAGE_MAX))
            .max_frame_size(Some(MESSAGE_MAX));
        let (socket, _) =
            tokio_tungstenite::client_async_with_config(request, stream, Some(config))
                .await
                .map_err(refusal)?;
        Ok(Self { socket })
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The connection is lost or stalls.
    pub async fn send(&mut self, bytes: Vec<u8>) -> Result<(), SignalError> {
        let message = Message::Binary(Bytes::from(bytes));
        match timeout(SEND_TIME, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(SignalError::Closed),
        }
    }

    /// The next message. May be dropped while it waits.
    ///
    /// # Errors
    /// The connection is lost, or what came is too long.
    pub async fn next(&mut self) -> Result<Bytes, SignalError> {
        loop {
            let message = match self.socket.next().await {
                Some(Ok(message)) => message,
                Some(Err(tungstenite::Error::Capacity(error))) => {
                    return Err(SignalError::Protocol(error.to_string()));
                }
                Some(Err(_)) | None => return Err(SignalError::Closed),
            };
            match message {
                Message::Binary(bytes) => return Ok(bytes),
                Message::Close(_) => return Err(SignalError::Closed),
                // The library answers pings; texts are of a protocol that nobody asked for.
                Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// Closes the connection in good order, as far as the other side goes along.
    pub async fn close(mut self) {
        drop(timeout(Duration::from_millis(500), self.socket.close(None)).await);
    }
}

/// A text of the server's without tokens: it repeats the one that it does not accept.
fn without_tokens(text: &str) -> String {
    let hidden = |word: &str| {
        let start = word.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        start.starts_with("eyJ") && start.len() > 20
    };
    let words = text.split(' ').map(|word| if hidden(word) { "(a token)" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// What a server's answer means that is not the wanted one.
pub(super) fn refused(status: StatusCode, body: &[u8]) -> SignalError {
    let text = String::from_utf8_lossy(&body[..body.len().min(REFUSAL_MAX)]);
    // The text is the server's, or of somebody between: nothing that moves a cursor.
    let shown: String = text.trim().chars().filter(|c| !c.is_control()).collect();
    let reason: String = without_tokens(&shown).chars().take(REASON_MAX).collect();
    let reason = if reason.is_empty() {
        status.canonical_reason().unwrap_or("no reason given").to_owned()
    } else {
        reason
    };
    match status {
        StatusCode::NOT_FOUND if !reason.contains("room") => SignalError::TooOld,
        status => SignalError::Refused(status.as_u16(), reason),
    }
}

fn refusal(error: tungstenite::Error) -> SignalError {
    match error {
        tungstenite::Error::Http(response) => {
            refused(response.status(), response.body().as_deref().unwrap_or_default())
        }
        tungstenite::Error::Io(error) => SignalError::Unreachable(error.to_string()),
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            SignalError::Closed
        }
        other => SignalError::Protocol(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_does_not_repeat_the_token() {
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZ2VudCJ9.c2lnbmF0dXJl";
        let told = format!("invalid token: {token}, error: go-jose: wrong, \"{token}\"");
        let shown = without_tokens(&told);
        assert_eq!(shown, "invalid token: (a token) error: go-jose: wrong, (a token)");
        assert_eq!(without_tokens("no such room"), "no such room");
    }
}
