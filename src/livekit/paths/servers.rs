//! The TURN servers that a LiveKit server names, with the credentials for this participant.
//!
//! Servers of the kind `stun:` are passed over: the LiveKit server is where others are sent to, and it
//! learns this side's address from what comes.

use livekit_protocol::IceServer;

/// Servers that are tried at most: a LiveKit server names its own twice, and perhaps another.
const SERVERS_MAX: usize = 4;

/// The longest host, in bytes (RFC 1035, 2.3.4).
const HOST_MAX: usize = 255;

/// The longest name of a user and the longest password, in bytes (RFC 8489, 14.3: 509).
const CREDENTIAL_MAX: usize = 509;

/// How a TURN server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// `turn:…?transport=udp`
    Udp,
    /// `turn:…?transport=tcp`
    Tcp,
    /// `turns:…?transport=tcp`
    Tls,
}

/// A TURN server.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// How it is reached.
    pub(super) reach: Reach,
    /// Its name or number.
    pub(super) host: String,
    /// Its port.
    pub(super) port: u16,
    /// The user of the allocation.
    pub(super) username: String,
    /// The user's password.
    pub(super) password: String,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (scheme, transport) = match self.reach {
            Reach::Udp => ("turn", "udp"),
            Reach::Tcp => ("turn", "tcp"),
            Reach::Tls => ("turns", "tcp"),
        };
        let host = &self.host;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        write!(f, "{scheme}:{host}:{}?transport={transport}", self.port)
    }
}

/// Without the credentials.
impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({self})")
    }
}

/// The TURN servers that can be used, in the server's order.
#[must_use]
pub(super) fn read(named: &[IceServer]) -> Vec<Server> {
    let servers = named.iter().flat_map(|server| {
        let urls = server.urls.iter().take(SERVERS_MAX);
        urls.filter_map(|url| parse(url, &server.username, &server.credential))
    });
    servers.take(SERVERS_MAX).collect()
}

/// A URL of RFC 7065: `turn:host[:port][?transport=udp]`. None if it is of another kind, or has no
/// credentials.
fn parse(url: &str, username: &str, password: &str) -> Option<Server> {
    let (scheme, rest) = url.split_once(':')?;
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (tls, port) = match scheme {
        "turn" => (false, 3478),
        "turns" => (true, 5349),
        _ => return None,
    };
    let reach = match (tls, query) {
        (false, "" | "transport=udp") => Reach::Udp,
        (false, "transport=tcp") => Reach::Tcp,
        (true, "" | "transport=tcp") => Reach::Tls,
        _ => return None,
    };
    let (host, port) = match authority.strip_prefix('[') {
        Some(six) => {
            let (host, behind) = six.split_once(']')?;
            let port = match behind.strip_prefix(':') {
                Some(port) => port.parse().ok()?,
                None => behind.is_empty().then_some(port)?,
            };
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (authority, port),
        },
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let bounded = |text: &str, max: usize| (1..=max).contains(&text.len());
    if !bounded(host, HOST_MAX)
        || !host.chars().all(is_host)
        || port == 0
        || !bounded(username, CREDENTIAL_MAX)
        || !bounded(password, CREDENTIAL_MAX)
    {
        return None;
    }
    let (host, username, password) = (host.to_owned(), username.to_owned(), password.to_owned());
    Some(Server { reach, host, port, username, password })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_of_turn_servers() {
        for (url, read) in [
            ("turn:a.example:1234?transport=udp", "turn:a.example:1234?transport=udp"),
            ("turn:a.example", "turn:a.example:3478?transport=udp"),
            ("turn:10.0.0.1?transport=tcp", "turn:10.0.0.1:3478?transport=tcp"),
            ("turns:a.example:443?transport=tcp", "turns:a.example:443?transport=tcp"),
            ("turns:[::1]", "turns:[::1]:5349?transport=tcp"),
            ("turn:[::1]:80", "turn:[::1]:80?transport=udp"),
        ] {
            let server = parse(url, "user", "secret").unwrap();
            assert_eq!(server.to_string(), read);
            assert!(!format!("{server:?}").contains("secret"));
        }
        for url in [
            "stun:a.example",
            "turn:",
            "turn::80",
            "turn:a:0",
            "turn:a:99999",
            "turn:a b",
            "turn:[::1",
            "turn:[::1]x",
            "turns:a?transport=udp",
            "http://a",
        ] {
            assert_eq!(parse(url, "user", "secret"), None, "{url}");
        }
        assert_eq!(parse("turn:a.example", "", "secret"), None);
        assert_eq!(parse("turn:a.example", "user", &"a".repeat(CREDENTIAL_MAX + 1)), None);
    }

    #[test]
    fn no_more_servers_than_can_be_tried() {
        let urls = (0..100).map(|port| format!("turn:a.example:{}", 1_000 + port)).collect();
        let named = IceServer { urls, username: "user".into(), credential: "secret".into() };
        assert_eq!(read(&[named.clone(), named]).len(), SERVERS_MAX);
    }

    proptest! {
        #[test]
        fn whatever_a_url_is_it_is_read_or_not(url in "(turns?:)?[\\PC]{0,40}") {
            if let Some(server) = parse(&url, "user", "secret") {
                prop_assert_eq!(parse(&server.to_string(), "user", "secret"), Some(server));
            }
        }
    }
}
