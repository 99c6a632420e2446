//! The page to talk to an agent, made with LiveKit's own components, and the tokens of its visitors.
//!
//! The page is one file, built by `make page` from the folder `page` and then carried inside the binary. It asks
//! for nothing but `POST /token`, which answers in the form of LiveKit's token endpoints:
//!
//! | in | is |
//! |---|---|
//! | `participant_name` | what others see, at most [`NAME_LEN_MAX`] characters; may be missing |
//!
//! | out | is |
//! |---|---|
//! | `server_url` | the LiveKit server |
//! | `participant_token` | lets one visitor into this room, with a microphone; good for [`TOKEN_TTL`](crate::livekit::token::TOKEN_TTL) |
//! | `participant_identity` | `visitor-` and 32 random hexadecimal digits |
//! | `participant_name`, `room_name`, `agent_name` | as they were given |
//!
//! **Invariant:** the key's secret stays in the process, and a page of another origin gets no token.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::aws_lc_rs;
use serde::{Deserialize, Serialize};

use super::local;
use crate::livekit::address::Address;
use crate::livekit::token::Key;

/// What is said where a page is asked for that this binary has not got.
pub const MISSING: &str = "this binary was built without the page to talk to the agent; \
                           run `make page`, which needs Node.js, and build again";

/// The longest name of a visitor, in characters: the page's own field takes no more.
pub const NAME_LEN_MAX: usize = 64;

/// The longest body of a request, in bytes: a name at its longest, escaped throughout, is half of it.
const BODY_LEN_MAX: usize = 2_048;

/// The page, unless this binary was built without it.
#[must_use]
pub fn html() -> Option<&'static str> {
    // Empty where it was not built: see build.rs.
    const HTML: &str = include_str!(concat!(env!("OUT_DIR"), "/page.html"));
    (!HTML.is_empty()).then_some(HTML)
}

/// Whom the page lets talk to whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// The LiveKit server, as a browser of this machine reaches it.
    pub server: Address,
    /// The only room that visitors get into; without one, each gets one of their own.
    pub room: Option<String>,
    /// The name under which the agent is asked for to come to that room, where it does not come by itself.
    pub dispatch: Option<String>,
    /// The agent's name, as it is shown.
    pub agent: String,
    /// What tokens are minted with.
    pub key: Key,
}

/// The page at `/`, tokens at `/token`, and a hint everywhere else; for who calls this machine by a name of loopback.
pub fn pages(options: Options) -> Router {
    let elsewhere = async || (StatusCode::NOT_FOUND, "there is no such page: see /\n");
    let otherwise =
        async || (StatusCode::METHOD_NOT_ALLOWED, "GET / is the page, POST /token a token\n");
    Router::new()
        .route("/", get(page))
        .route("/token", post(token))
        .method_not_allowed_fallback(otherwise)
        .fallback(elsewhere)
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
        .layer(from_fn(local::guard))
        .with_state(Arc::new(options))
}

async fn page(State(options): State<Arc<Options>>) -> Response {
    answered(html(), &options).unwrap_or_else(IntoResponse::into_response)
}

/// The page with a nonce of its own, or where to get one that this binary has not got.
fn answered(html: Option<&str>, options: &Options) -> Result<Response, Trouble> {
    let html = html.ok_or_else(|| (StatusCode::NOT_FOUND, format!("{MISSING}\n")))?;
    let nonce = STANDARD.encode(random()?);
    Ok(shown(html, options, &nonce).into_response())
}

/// The page with what only the server knows, and the rules that a browser holds it to.
fn shown(html: &str, options: &Options, nonce: &str) -> impl IntoResponse + use<> {
    let html = html
        .replacen("{{agent}}", &escaped(&options.agent), 1)
        .replacen("{{room}}", &escaped(options.room.as_deref().unwrap_or_default()), 1)
        .replace("{{nonce}}", nonce);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; \
         connect-src 'self' {}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        sources(&options.server)
    );
    let head = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    (head, html)
}

/// What the policy lets the page connect to: the room's signalling, and the same server over HTTP, where LiveKit's
/// client asks why a connection was refused.
fn sources(server: &Address) -> String {
    let schemes = if server.tls { ["wss", "https"] } else { ["ws", "http"] };
    // A policy cannot name an address of IPv6, nor anything else that is no plain name: then the scheme has to do.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_named = server.host.bytes().all(is_plain);
    let source = |scheme: &str| match is_named {
        true => format!("{scheme}://{}:{}", server.host, server.port),
        false => format!("{scheme}:"),
    };
    schemes.map(source).join(" ")
}

/// A text inside an attribute of HTML, and no mark of the template's.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '<' | '>' | '"' | '\'' | '{' | '}' => {
                write!(escaped, "&#{};", u32::from(c)).expect("a string takes everything");
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// Who comes; other fields of LiveKit's endpoints ask for what is not the visitor's to choose.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Visitor {
    participant_name: String,
}

#[derive(Serialize)]
struct Ticket<'a> {
    server_url: String,
    participant_token: &'a str,
    participant_identity: &'a str,
    participant_name: &'a str,
    room_name: &'a str,
    agent_name: &'a str,
}

async fn token(State(options): State<Arc<Options>>, body: Bytes) -> Response {
    minted(&options, &body).unwrap_or_else(IntoResponse::into_response)
}

/// Why there is no token, or no page.
type Trouble = (StatusCode, String);

fn minted(options: &Options, body: &[u8]) -> Result<Response, Trouble> {
    let wrong = |what: String| (StatusCode::BAD_REQUEST, what);
    let visitor: Visitor = match body.trim_ascii() {
        [] => Visitor::default(),
        body => serde_json::from_slice(body).map_err(|error| {
            wrong(format!("the body is not {{\"participant_name\": \"…\"}}: {error}\n"))
        })?,
    };
    let name = visitor.participant_name.trim();
    if name.chars().count() > NAME_LEN_MAX || name.chars().any(char::is_control) {
        return Err(wrong(format!("a name is at most {NAME_LEN_MAX} characters on one line\n")));
    }
    let identity = random()?.iter().fold("visitor-".to_owned(), |mut identity, byte| {
        write!(identity, "{byte:02x}").expect("a string takes everything");
        identity
    });
    let room = match &options.room {
        Some(room) => room.clone(),
        None => identity.replacen("visitor-", "room-", 1),
    };
    let pass = options
        .key
        .visitor(&room, &identity, name, options.dispatch.as_deref())
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")))?;
    let ticket = Ticket {
        server_url: options.server.to_string(),
        participant_token: pass.secret(),
        participant_identity: &identity,
        participant_name: name,
        room_name: &room,
        agent_name: &options.agent,
    };
    let ticket = serde_json::to_vec(&ticket).expect("texts can be written");
    let head = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((head, ticket).into_response())
}

/// 128 bits that nobody can guess.
fn random() -> Result<[u8; 16], Trouble> {
    let mut bytes = [0; 16];
    match aws_lc_rs::default_provider().secure_random.fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err((
            StatusCode::INTERNAL_SERVER_ERROR,
            "the system gives no random numbers\n".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_without_the_page_says_how_to_get_it() {
        let options = Options {
            server: "ws://127.0.0.1:7880".parse().unwrap(),
            room: Some("lobby".to_owned()),
            dispatch: None,
            agent: "Ann".to_owned(),
            key: Key::new("devkey", "a secret of thirty-two characters").unwrap(),
        };
        let (status, text) = answered(None, &options).unwrap_err();
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(text.contains("make page") && text.contains("build again"), "{text}");
        assert!(answered(Some("<p>{{agent}}</p>"), &options).is_ok());
    }
}
