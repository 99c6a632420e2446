//! How a socket to a model is opened, and closed in order.
//!
//! **Invariant:** opening and closing have an end in time, and a message is bounded before it is read.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use reqwest::{StatusCode, Upgraded};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use super::super::server::Server;
use super::super::trouble::Trouble;
use crate::think::chat::{ErrorKind, ModelError};
use crate::think::native::realtime::server::MESSAGE_MAX;

/// Bytes that wait to be written at most: far more than the longest message of ours, of which one waits at a time.
const WRITE_BUFFER_MAX: usize = 8 << 20;

/// The socket's read buffer, in bytes: a piece of audio is some ten thousand.
const READ_BUFFER: usize = 16 << 10;

/// A socket.
pub(super) type Socket = WebSocketStream<Upgraded>;

/// Where sockets to a model are opened.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub(super) server: Server,
    pub(super) model: String,
}

impl Door {
    /// Opens a socket, within the time for a connection and for the first piece of an answer.
    pub(super) async fn open(self) -> Result<Box<Socket>, Trouble> {
        let key = generate_key();
        let value = |text: &str| {
            HeaderValue::from_str(text).map_err(|_| {
                self.server.error(ErrorKind::Refused, "no key for a socket could be made")
            })
        };
        let request = self
            .server
            .socket("realtime", &self.model)
            .header(CONNECTION, HeaderValue::from_static("Upgrade"))
            .header(UPGRADE, HeaderValue::from_static("websocket"))
            .header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
            .header(SEC_WEBSOCKET_KEY, value(&key)?);
        let response = self.server.send(request, self.server.first_until()).await?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let what = format!(
                "HTTP {}, and no WebSocket; check that `base_url` leads to a server of the Realtime protocol",
                status.as_u16()
            );
            return Err(self.server.error(ErrorKind::Refused, what).into());
        }
        let accept = response.headers().get(SEC_WEBSOCKET_ACCEPT);
        if accept
            .is_none_or(|accept| accept.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes())
        {
            let what = "what answers does not know WebSockets; is there something between?";
            return Err(self.server.error(ErrorKind::Malformed, what).into());
        }
        let stream = response.upgrade().await.map_err(|error| self.server.lost(&error, false))?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER_MAX)
            .max_message_size(Some(MESSAGE_MAX))
            .max_frame_size(Some(MESSAGE_MAX));
        Ok(Box::new(WebSocketStream::from_raw_socket(stream, Role::Client, Some(config)).await))
    }

    /// The server has closed the socket.
    pub(super) fn closed(&self, frame: Option<&CloseFrame>) -> ModelError {
        let Some(frame) = frame else {
            return self.server.error(ErrorKind::CutOff, "the connection was closed");
        };
        let code = u16::from(frame.code);
        let kind = match frame.code {
            // As they are registered: unauthorised, forbidden.
            _ if matches!(code, 3_000 | 3_003) => ErrorKind::Unauthorised,
            CloseCode::Size => ErrorKind::TooLong,
            _ => ErrorKind::CutOff,
        };
        let remedy = if kind == ErrorKind::Unauthorised { "; check the key" } else { "" };
        let what = format!("the connection was closed ({code}): {}", frame.reason.as_str());
        let error = self.server.quoted(kind, &what);
        ModelError { message: error.message + remedy, ..error }
    }

    /// The socket has failed.
    pub(super) fn broken(&self, error: &tungstenite::Error) -> ModelError {
        match error {
            tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
                self.closed(None)
            }
            tungstenite::Error::Capacity(error) => {
                let what = format!("a message that is longer than {MESSAGE_MAX} bytes: {error}");
                self.server.quoted(ErrorKind::Malformed, &what)
            }
            tungstenite::Error::Utf8(_) => {
                self.server.error(ErrorKind::Malformed, "a message that is no text")
            }
            error => {
                let what = format!("the connection was lost: {error}");
                self.server.quoted(ErrorKind::CutOff, &what)
            }
        }
    }
}

/// Closes a socket in order, as far as the other side goes along within the time.
pub(super) async fn close(mut socket: Socket, within: Duration) {
    let closing = async {
        // The answer to a closing that has come may still wait to be written.
        drop(socket.flush().await);
        drop(socket.close(None).await);
        // What still comes belongs to nobody, but a socket that leaves it unread is reset.
        while let Some(Ok(_)) = socket.next().await {}
    };
    drop(timeout(within, closing).await);
}
