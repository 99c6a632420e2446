//! Who calls this machine by a name of its own.
//!
//! A server on loopback is out of reach for other machines, but not for pages that a browser of this machine has
//! open. A foreign page can send a request here, and with a name that it lets point to 127.0.0.1 it could even
//! read the answer (DNS rebinding). So the name in `Host` has to be one of loopback, and what changes or mints
//! something has to come from a page of this server, as `Origin` says, or from no page at all.
//!
//! **Invariant:** a page of another origin gets neither an answer that says something nor a token.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Lets a request pass that names this machine, and says to any other what is wrong.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let Some(host) = loopback(request.headers()) else {
        let hint =
            "this page is for this machine alone: open it as http://localhost, with its port\n";
        return (StatusCode::FORBIDDEN, hint).into_response();
    };
    let only_reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !only_reads && !is_own_page(request.headers(), host) {
        return (StatusCode::FORBIDDEN, "this comes from a page of another origin\n")
            .into_response();
    }
    next.run(request).await
}

/// The one value of a header.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// What the request calls this machine, with the port, if that is a name of loopback.
fn loopback(headers: &HeaderMap) -> Option<&str> {
    let host = only(headers, header::HOST)?;
    let authority: Authority = host.parse().ok()?;
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = |address: std::net::IpAddr| address.is_loopback();
    let is_ours = name.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(is_loopback);
    // A user would make it another origin than it looks.
    (is_ours && !host.contains('@')).then_some(host)
}

/// Browsers send the origin with every request that does more than read; whoever sends none is no page.
fn is_own_page(headers: &HeaderMap, host: &str) -> bool {
    if !headers.contains_key(header::ORIGIN) {
        return true;
    }
    let origin = only(headers, header::ORIGIN).and_then(|origin| origin.strip_prefix("http://"));
    origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_names_of_loopback_are_ours() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080"] {
            assert_eq!(loopback(&headers(&[(header::HOST, host)])), Some(host));
        }
        for host in [
            "",
            "rebound.example:8080",
            "localhost.rebound.example",
            "127.0.0.1.example",
            "192.0.2.1",
            "0.0.0.0",
            "[::ffff:192.0.2.1]:80",
            "localhost@rebound.example",
            "me@localhost",
            "a b",
        ] {
            assert_eq!(loopback(&headers(&[(header::HOST, host)])), None, "{host}");
        }
        assert_eq!(loopback(&headers(&[])), None);
        let two = [(header::HOST, "localhost"), (header::HOST, "rebound.example")];
        assert_eq!(loopback(&headers(&two)), None);
    }

    #[test]
    fn only_pages_of_this_server_are_ours() {
        let is_own =
            |origin: &str| is_own_page(&headers(&[(header::ORIGIN, origin)]), "localhost:8080");
        assert!(is_own("http://localhost:8080"));
        for origin in [
            "null",
            "",
            "http://localhost:8081",
            "https://localhost:8080",
            "http://foreign.example",
        ] {
            assert!(!is_own(origin), "{origin}");
        }
        assert!(is_own_page(&HeaderMap::new(), "localhost:8080"), "a program is no page");
    }
}
