//! A TCP connection, encrypted or not.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tls;

/// Why there is no connection; in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamError {
    /// Nobody answers there, or not any more.
    Unreachable(String),
    /// Somebody does, who is not trusted or does not speak TLS.
    Tls(String),
}

/// A connection.
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Connects; encrypted to whoever proves to be `host`, if `tls` is given.
    ///
    /// # Errors
    /// There is no connection, or it is not one to trust.
    pub async fn connect(
        to: impl ToSocketAddrs,
        tls: Option<(&TlsConnector, &str)>,
    ) -> Result<Self, StreamError> {
        let unreachable = |error: io::Error| StreamError::Unreachable(error.to_string());
        let stream = TcpStream::connect(to).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        Self::over(stream, tls).await
    }

    /// Over a connection that there is; encrypted to whoever proves to be `host`, if `tls` is given.
    ///
    /// # Errors
    /// It is not one to trust.
    pub async fn over(
        stream: TcpStream,
        tls: Option<(&TlsConnector, &str)>,
    ) -> Result<Self, StreamError> {
        let Some((connector, host)) = tls else { return Ok(Self::Plain(stream)) };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| StreamError::Tls(error.to_string()))?;
        let stream = connector.connect(name, stream).await;
        let stream = stream.map_err(|error| StreamError::Tls(tls::explain(&error, host)))?;
        Ok(Self::Tls(Box::new(stream)))
    }

    /// Both ends: this one's address, and the other's.
    ///
    /// # Errors
    /// It is closed already.
    pub fn ends(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        Ok((stream.local_addr()?, stream.peer_addr()?))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
