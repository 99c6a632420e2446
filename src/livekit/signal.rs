//! The signalling of a room: protobuf messages on a WebSocket.
//!
//! One request joins, offers the media connection, announces the microphone track and sets the first
//! attributes; the answer says who is there. What follows are messages both ways until one side leaves.

use livekit_protocol::{
    JoinRequest, SignalRequest, SignalResponse, WrappedJoinRequest, signal_request,
    signal_response, wrapped_join_request,
};
use prost::Message as _;
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::socket::Socket;
pub use super::socket::{CONNECT_TIME, SignalError};
use super::token::Pass;

/// A signalling connection.
#[derive(Debug)]
pub struct Signal {
    socket: Socket,
}

impl Signal {
    /// Connects and asks to join.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn connect(
        address: &Address,
        pass: &Pass,
        tls: &TlsConnector,
        join: &JoinRequest,
    ) -> Result<Self, SignalError> {
        let url = address.join_url(&wrapped(join));
        Ok(Self { socket: Socket::connect(address, &url, pass.secret(), tls).await? })
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The connection is lost or stalls.
    pub async fn send(&mut self, message: signal_request::Message) -> Result<(), SignalError> {
        self.socket.send(SignalRequest { message: Some(message) }.encode_to_vec()).await
    }

    /// The next message. May be dropped while it waits.
    ///
    /// # Errors
    /// The connection is lost, or what came is no message.
    pub async fn next(&mut self) -> Result<signal_response::Message, SignalError> {
        loop {
            if let Some(message) = read(&self.socket.next().await?)? {
                return Ok(message);
            }
        }
    }

    /// Closes the connection in good order, as far as the other side goes along.
    pub async fn close(self) {
        self.socket.close().await;
    }
}

/// A request to join, as it stands in a URL.
pub(super) fn wrapped(join: &JoinRequest) -> Vec<u8> {
    let wrapped = WrappedJoinRequest {
        compression: wrapped_join_request::Compression::None as i32,
        join_request: join.encode_to_vec(),
    };
    wrapped.encode_to_vec()
}

/// Reads a message; none if it is of a kind that this program does not know.
///
/// # Errors
/// It is malformed.
pub fn read(bytes: &[u8]) -> Result<Option<signal_response::Message>, SignalError> {
    let response =
        SignalResponse::decode(bytes).map_err(|error| SignalError::Protocol(error.to_string()))?;
    Ok(response.message)
}
