//! Where a LiveKit server is: `wss://host[:port][/prefix]`.

use std::fmt;
use std::str::FromStr;

use axum::http::Uri;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

/// The longest URL of a server, in characters.
const LEN_MAX: usize = 2_048;

/// The version of the workers' protocol: the only one that there is.
const WORKER_PROTOCOL: u32 = 1;

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Whether the connection is encrypted: `wss` or `https`.
    pub tls: bool,
    /// Its name or number; of IPv6, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What stands before `/rtc`; empty, or begins with a slash and does not end with one.
    pub prefix: String,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let example = "write it as in wss://name.example or ws://127.0.0.1:7880";
        if text.len() > LEN_MAX {
            return Err(format!("the URL has more than {LEN_MAX} characters"));
        }
        let uri: Uri = text.parse().map_err(|error| format!("not a URL: {error}; {example}"))?;
        let tls = match uri.scheme_str() {
            Some("wss" | "https") => true,
            Some("ws" | "http") => false,
            Some(other) => return Err(format!("`{other}` is no scheme of LiveKit's; {example}")),
            None => return Err(format!("the URL has no scheme; {example}")),
        };
        let authority = uri.authority().ok_or_else(|| format!("the URL has no host; {example}"))?;
        if authority.as_str().contains('@') {
            return Err("a user or password in the URL is not used; leave it out".to_owned());
        }
        if uri.query().is_some() {
            return Err("leave out what follows `?`".to_owned());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(format!("the URL has no host; {example}"));
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { tls, host, port, prefix })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.authority(), self.prefix)
    }
}

impl Address {
    /// The host and the port, as a header names them.
    #[must_use]
    pub fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }

    /// Where a worker registers.
    #[must_use]
    pub fn worker_url(&self) -> String {
        format!("{self}/agent?protocol={WORKER_PROTOCOL}")
    }

    /// Where a server says whether it would let a participant with this request join: what follows its name.
    #[must_use]
    pub fn validate_path(&self, request: &[u8]) -> String {
        format!("{}/rtc/v1/validate?join_request={}", self.prefix, URL_SAFE.encode(request))
    }

    /// Where a participant joins, with its request: one connection for both directions.
    #[must_use]
    pub fn join_url(&self, request: &[u8]) -> String {
        format!("{self}/rtc/v1?join_request={}", URL_SAFE.encode(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_ports_and_prefixes() {
        let parsed = |text: &str| text.parse::<Address>().unwrap();
        let local = parsed("ws://127.0.0.1:7880");
        assert_eq!((local.tls, local.host.as_str(), local.port), (false, "127.0.0.1", 7880));
        assert_eq!(parsed("https://a.example/").to_string(), "wss://a.example");
        assert_eq!(parsed("wss://a.example:444/b/").to_string(), "wss://a.example:444/b");
        let six = parsed("ws://[::1]:7880");
        assert_eq!((six.host.as_str(), six.to_string().as_str()), ("::1", "ws://[::1]:7880"));
        assert_eq!(local.join_url(&[0xfb, 0xff]), "ws://127.0.0.1:7880/rtc/v1?join_request=-_8=");
    }

    #[test]
    fn what_is_no_address_says_why() {
        for (text, why) in [
            ("", "not a URL"),
            ("livekit.example", "no scheme"),
            ("ftp://livekit.example", "no scheme of LiveKit's"),
            ("wss://user:password@livekit.example", "leave it out"),
            ("wss://livekit.example?a=b", "leave out"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
            assert!(!error.contains("password@"), "{error}");
        }
    }
}
