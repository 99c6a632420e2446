//! `--metrics`: the meters of a call, served while it lasts and printed at its end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::failure::Failure;
use crate::record::{Format, Meters, SessionMeter};
use crate::web::access::Token;
use crate::web::scrape::{METRICS, pages};
use crate::web::server::{Server, StartError};

/// The variable that holds the token, where no file does.
const TOKEN_VARIABLE: &str = "ANTIPHON_METRICS_TOKEN";

#[derive(Debug, clap::Args)]
pub(super) struct MetricsArgs {
    /// Serves metrics for Prometheus while the call lasts, and prints them at its end.
    ///
    /// A port alone is one of this machine only; 0, or nothing, is one that is free. Where other
    /// machines can ask, they need a token: that of --metrics-token-file, or of the environment
    /// variable ANTIPHON_METRICS_TOKEN.
    #[arg(
        long,
        value_name = "ADDR|PORT",
        num_args = 0..=1,
        default_missing_value = "0",
        value_parser = address
    )]
    metrics: Option<SocketAddr>,
    /// A file with the token that is asked for: `Authorization: Bearer TOKEN`.
    #[arg(long, value_name = "FILE", requires = "metrics")]
    metrics_token_file: Option<PathBuf>,
}

/// Meters that are served.
pub(super) struct Metering {
    meters: Arc<Meters>,
    server: Server,
}

impl MetricsArgs {
    /// Begins to serve, if that is wanted, and says where.
    pub(super) fn start(&self) -> Result<Option<Metering>, Failure> {
        let Some(address) = self.metrics else { return Ok(None) };
        let token = token(self.metrics_token_file.as_deref())?;
        let meters = Arc::new(Meters::new());
        let server = Server::start(address, token, pages(Arc::clone(&meters)));
        let server = server.map_err(|error| {
            Failure::input(match error {
                StartError::Unguarded(_) => format!(
                    "--metrics: {error}; set {TOKEN_VARIABLE}, name a --metrics-token-file, or \
                     choose an address of this machine only, like 127.0.0.1:{}",
                    address.port()
                ),
                StartError::System(..) => format!("--metrics: {error}"),
            })
        })?;
        eprintln!("metrics: http://{}{METRICS}", server.address());
        Ok(Some(Metering { meters, server }))
    }
}

/// The token of the file, or else of the environment.
pub(super) fn token(file: Option<&Path>) -> Result<Option<Token>, Failure> {
    let (text, origin) = match file {
        Some(path) => {
            let shown = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|error| {
                Failure::input(format!("{shown}: the token cannot be read: {error}"))
            })?;
            (text, shown)
        }
        None => match std::env::var_os(TOKEN_VARIABLE) {
            Some(text) => (text.to_string_lossy().into_owned(), TOKEN_VARIABLE.to_owned()),
            None => return Ok(None),
        },
    };
    let token = Token::new(&text);
    token.map(Some).map_err(|wrong| Failure::input(format!("{origin}: {wrong}")))
}

impl Metering {
    /// A meter for a session that begins.
    pub(super) fn session(&self) -> SessionMeter {
        SessionMeter::begin(&self.meters)
    }

    /// Ends the server; how the meters stand then.
    pub(super) fn finish(self) -> String {
        drop(self.server);
        self.meters.text(Format::Prometheus)
    }
}

/// An address with a port, or a port of this machine.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let here = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let port = text.strip_prefix("localhost:").unwrap_or(text);
    port.parse().map(here).or_else(|_| text.parse()).map_err(|_| {
        "it is neither a port, from 0 to 65535, nor an address with one, like 127.0.0.1:9100 or \
         [::1]:9100"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_of_this_machine() {
        for (text, means) in [
            ("9100", "127.0.0.1:9100"),
            ("0", "127.0.0.1:0"),
            ("localhost:9100", "127.0.0.1:9100"),
            ("0.0.0.0:9100", "0.0.0.0:9100"),
            ("[::1]:9100", "[::1]:9100"),
        ] {
            assert_eq!(address(text).unwrap().to_string(), means);
        }
        for text in ["", "65536", "-1", "127.0.0.1", "example.com:80", "configs/demo.yaml"] {
            assert!(address(text).unwrap_err().contains("like 127.0.0.1:9100"), "{text}");
        }
    }
}
