//! A server that speaks OpenAI's protocol: where it is, what it is shown, how long it is waited for.
//!
//! **Invariant:** a key leaves this process in a header of a request to the server it was meant for, and in no other
//! way: redirects are not followed, and nothing that prints a server has it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, redirect};
use tokio::time::{Instant, timeout_at};

use super::trouble::{self, Secrets, Trouble};
use crate::config::Model;
use crate::think::chat::{ErrorKind, ModelError};

/// How long a connection that nobody uses is kept, in seconds: a call has longer pauses than the usual 30 s, and
/// balancers close at 60 s and more, which is noticed.
const IDLE_SECONDS: u64 = 300;

/// How often a connection that is kept is tried, in seconds: below the 60 s after which routers forget.
const ALIVE_SECONDS: u64 = 30;

/// Connections, shared among models: one client for each server and connection timeout, and another where sockets are
/// opened.
#[derive(Debug, Default)]
pub struct Clients(BTreeMap<(String, u32, bool), Client>);

impl Clients {
    fn of(&mut self, base: &Url, connect_timeout_ms: u32, socket: bool) -> Result<Client, String> {
        let which = (base.origin().ascii_serialization(), connect_timeout_ms, socket);
        if let Some(client) = self.0.get(&which) {
            return Ok(client.clone());
        }
        let alive = Duration::from_secs(ALIVE_SECONDS);
        let mut builder = Client::builder();
        if base.scheme() == "http" {
            // Whoever needs no certificates is not to fail on a system that has none.
            builder = builder.tls_certs_only([]);
        }
        if socket {
            // A connection of HTTP/2 cannot become a socket.
            builder = builder.http1_only();
        }
        let client = builder
            .connect_timeout(Duration::from_millis(u64::from(connect_timeout_ms)))
            .redirect(redirect::Policy::none())
            .user_agent(concat!("antiphon/", env!("CARGO_PKG_VERSION")))
            .pool_idle_timeout(Duration::from_secs(IDLE_SECONDS))
            .tcp_keepalive(alive)
            .http2_keep_alive_interval(alive)
            .http2_keep_alive_while_idle(true)
            .build()
            .map_err(|error| {
                format!(
                    "no HTTPS client can be made: {}; install the system's certificates (Debian: \
                     ca-certificates), or name a file of them in SSL_CERT_FILE",
                    root(&error)
                )
            })?;
        self.0.insert(which, client.clone());
        Ok(client)
    }
}

/// A server, as one model is asked there. Clones share connections.
#[derive(Clone)]
pub struct Server {
    /// What the model is called in the configuration.
    name: String,
    /// Where it is, for people: host and port.
    host: String,
    base: Url,
    client: Client,
    headers: HeaderMap,
    secrets: Secrets,
    key_env: Option<String>,
    connect_ms: u32,
    first: Duration,
    stall: Duration,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("name", &self.name)
            .field("host", &self.host)
            .field("key_env", &self.key_env)
            .field("first", &self.first)
            .field("stall", &self.stall)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// The server of a model that is called `name`. Keys and what `${NAME}` stands for in headers come from `env`.
    ///
    /// # Errors
    /// Everything that is wrong with it, in words.
    pub fn new(
        name: &str,
        model: &Model,
        env: &dyn Fn(&str) -> Option<String>,
        clients: &mut Clients,
    ) -> Result<Self, Vec<String>> {
        let mut complaints = Vec::new();
        let mut secrets = Secrets::default();
        let mut headers = HeaderMap::new();
        if let Some(variable) = &model.api_key_env {
            match env(variable).filter(|key| !key.trim().is_empty()) {
                None => complaints.push(format!(
                    "model `{name}`: the environment variable {variable}, which is to hold its key, is not \
                     set; set it, or remove `api_key_env`"
                )),
                Some(key) => {
                    let key = key.trim();
                    secrets.add(key);
                    match sensitive(&format!("Bearer {key}")) {
                        Some(value) => drop(headers.insert(AUTHORIZATION, value)),
                        None => complaints.push(format!(
                            "model `{name}`: {variable} holds what cannot be a key; it may have no line breaks and \
                             no characters but those of ASCII"
                        )),
                    }
                }
            }
        }
        for (header, template) in &model.headers {
            let at = format!("model `{name}`: header `{header}`");
            let value = match filled(template, env, &mut secrets) {
                Ok(value) => value,
                Err(why) => {
                    complaints.extend(why.into_iter().map(|why| format!("{at}: {why}")));
                    continue;
                }
            };
            secrets.add(&value);
            match (HeaderName::from_bytes(header.as_bytes()), sensitive(&value)) {
                (Ok(name), Some(value)) => drop(headers.insert(name, value)),
                (Err(_), _) => complaints.push(format!("{at}: no header can be called that")),
                (_, None) => complaints
                    .push(format!("{at}: its value has characters that no header may have")),
            }
        }
        let base = match Url::parse(&model.base_url) {
            Ok(base) if base.has_host() && matches!(base.scheme(), "http" | "https") => Some(base),
            _ => {
                complaints.push(format!(
                    "model `{name}`: `base_url` is not the address of a server; write one as in \
                     https://api.openai.com/v1"
                ));
                None
            }
        };
        let client = base.as_ref().map(|base| clients.of(base, model.connect_timeout_ms, false));
        let client = match client {
            Some(Err(why)) => {
                complaints.push(format!("model `{name}`: {why}"));
                None
            }
            client => client.and_then(Result::ok),
        };
        let (Some(base), Some(client), true) = (base, client, complaints.is_empty()) else {
            return Err(complaints);
        };
        if let Some(password) = base.password() {
            secrets.add(password);
        }
        let host = match (base.host_str().unwrap_or_default(), base.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let ms = |ms| Duration::from_millis(u64::from(ms));
        Ok(Self {
            name: name.to_owned(),
            host,
            base,
            client,
            headers,
            secrets,
            key_env: model.api_key_env.clone(),
            connect_ms: model.connect_timeout_ms,
            first: ms(model.first_timeout_ms),
            stall: ms(model.stall_timeout_ms),
        })
    }

    /// The same server, for connections that become sockets.
    pub(super) fn of_sockets(self, clients: &mut Clients) -> Result<Self, String> {
        let client = clients.of(&self.base, self.connect_ms, true);
        let client = client.map_err(|why| format!("model `{}`: {why}", self.name))?;
        Ok(Self { client, ..self })
    }

    /// What its model is called in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens a connection, so that the first request finds one. A question about the list of models without a
    /// body, which no provider charges for; whatever is answered, the connection is there.
    ///
    /// # Errors
    /// There is no connection, or no answer within the time for the first piece.
    pub async fn warm(&self) -> Result<(), ModelError> {
        let request = self.client.head(self.url("models")).headers(self.headers.clone());
        match timeout_at(Instant::now() + self.first, request.send()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.lost(&error, false)),
            Err(_) => Err(self.late()),
        }
    }

    /// Whether it is OpenAI's own.
    pub(super) fn is_openai(&self) -> bool {
        let host = self.base.host_str().unwrap_or_default();
        ["openai.com", "openai.azure.com"].iter().any(|own| {
            host.strip_suffix(own).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }

    pub(super) const fn stall(&self) -> Duration {
        self.stall
    }

    /// When the first piece of an answer is too late that is asked for now.
    pub(super) fn first_until(&self) -> Instant {
        Instant::now() + self.first
    }

    /// What is below the base, whose query stays.
    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        url
    }

    /// A request for a socket; whoever sends it says for which model.
    pub(super) fn socket(&self, path: &str, model: &str) -> RequestBuilder {
        let mut url = self.url(path);
        url.query_pairs_mut().append_pair("model", model);
        self.client.get(url).headers(self.headers.clone())
    }

    pub(super) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.url(path)).headers(self.headers.clone())
    }

    /// Sends a request, and gives the answer if it is one.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        until: Instant,
    ) -> Result<Response, Trouble> {
        let response = match timeout_at(until, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.lost(&error, false).into()),
            Err(_) => return Err(self.late().into()),
        };
        let status = response.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let after = trouble::retry_after(response.headers());
        // What cannot be read of it does not change what it is.
        let body = self.body(response, trouble::BODY_MAX, until).await.unwrap_or_default();
        let told = serde_json::from_slice(&body).ok().and_then(|body| trouble::told(&body));
        let message = match &told {
            Some((message, _)) => self.secrets.scrub(message),
            // A page for people says nothing in 300 characters.
            None if body.first() == Some(&b'<') => String::new(),
            None => self.secrets.scrub(&String::from_utf8_lossy(&body)),
        };
        let mut what = format!("HTTP {}", status.as_u16());
        if message.is_empty() {
            what.extend(status.canonical_reason().map(|reason| format!(" {reason}")));
        } else {
            what = format!("{what}: {message}");
        }
        if let Some(remedy) = trouble::remedy(status, self.key_env.as_deref()) {
            what = format!("{what}; {remedy}");
        }
        // Money that is used up does not come back in a moment.
        let is_used_up = told.is_some_and(|(_, codes)| codes.contains("insufficient_quota"));
        let after = if is_used_up { Some(Duration::from_secs(86_400)) } else { after };
        Err(Trouble { error: self.error(trouble::kind(status), what), after })
    }

    /// A body of bounded length; what is longer is cut.
    pub(super) async fn body(
        &self,
        response: Response,
        max: usize,
        until: Instant,
    ) -> Result<Vec<u8>, ModelError> {
        let mut body = Vec::new();
        let mut pieces = response.bytes_stream();
        while body.len() < max {
            match timeout_at(until, pieces.next()).await {
                Ok(Some(Ok(piece))) => body.extend_from_slice(&piece),
                Ok(Some(Err(error))) => return Err(self.lost(&error, true)),
                Ok(None) => break,
                Err(_) => return Err(self.late()),
            }
        }
        body.truncate(max);
        Ok(body)
    }

    /// An error that names model and server.
    pub(super) fn error(&self, kind: ErrorKind, what: impl fmt::Display) -> ModelError {
        ModelError::new(kind, format!("`{}` at {}: {what}", self.name, self.host))
    }

    /// An error in the server's own words.
    pub(super) fn quoted(&self, kind: ErrorKind, message: &str) -> ModelError {
        self.error(kind, self.secrets.scrub(message))
    }

    /// An error that somebody else has made, as one that names model and server, once.
    pub(super) fn named(&self, error: ModelError) -> ModelError {
        let place = format!("`{}` at {}: ", self.name, self.host);
        let what = error.message.strip_prefix(&place).unwrap_or(&error.message);
        self.quoted(error.kind, what)
    }

    pub(super) fn late(&self) -> ModelError {
        let ms = self.first.as_millis();
        self.error(
            ErrorKind::TimedOut,
            format!("nothing of an answer within {ms} ms; `first_timeout_ms` says how long"),
        )
    }

    pub(super) fn stalled(&self) -> ModelError {
        let ms = self.stall.as_millis();
        self.error(
            ErrorKind::Stalled,
            format!("nothing more came for {ms} ms; `stall_timeout_ms` says how long"),
        )
    }

    /// The connection did not come about, or is gone.
    pub(super) fn lost(&self, error: &reqwest::Error, begun: bool) -> ModelError {
        let cause = self.secrets.scrub(&root(error));
        if error.is_connect() && error.is_timeout() {
            let ms = self.connect_ms;
            let what = format!("no connection within {ms} ms; `connect_timeout_ms` says how long");
            self.error(ErrorKind::Unreachable, what)
        } else if error.is_connect() && cause.contains("certificate") {
            let what = format!("{cause}; SSL_CERT_FILE names a file with authorities of one's own");
            self.error(ErrorKind::Unreachable, what)
        } else if error.is_connect() {
            self.error(ErrorKind::Unreachable, format!("no connection: {cause}; is it running?"))
        } else if begun {
            self.error(ErrorKind::CutOff, format!("the connection was lost in the middle: {cause}"))
        } else {
            self.error(ErrorKind::Unreachable, format!("the connection was lost: {cause}"))
        }
    }
}

/// The first cause: what wraps it says where in a library it happened, and may have the address.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    match cause.downcast_ref::<reqwest::Error>() {
        Some(_) if error.is_timeout() => "it took too long".to_owned(),
        Some(_) => "the request could not be sent".to_owned(),
        None => cause.to_string(),
    }
}

/// A value that no debug output shows.
fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A text with `${NAME}` filled in from the environment.
fn filled(
    template: &str,
    env: &dyn Fn(&str) -> Option<String>,
    secrets: &mut Secrets,
) -> Result<String, Vec<String>> {
    let (mut text, mut complaints) = (String::new(), Vec::new());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        text.push_str(before);
        let Some((variable, after)) = after.split_once('}') else {
            complaints.push("`${` without `}`; write `${NAME}`".to_owned());
            rest = "";
            break;
        };
        match env(variable).filter(|value| !value.is_empty()) {
            Some(value) => {
                secrets.add(&value);
                text.push_str(&value);
            }
            None => complaints.push(format!(
                "the environment variable {variable} is not set; set it, or take it out of the value"
            )),
        }
        rest = after;
    }
    text.push_str(rest);
    if complaints.is_empty() { Ok(text) } else { Err(complaints) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "KEY" => Some("sk-planted-key".to_owned()),
            "TEAM" => Some("blue".to_owned()),
            "BROKEN" => Some("two\nlines".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn server(model: &Model) -> Result<Server, Vec<String>> {
        Server::new("fast", model, &env, &mut Clients::default())
    }

    fn at(base_url: &str) -> Model {
        Model { base_url: base_url.to_owned(), ..Model::default() }
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once_and_without_values() {
        let mut model = at("ftp://x");
        model.api_key_env = Some("NONE".into());
        for (name, value) in [
            ("a", "${MISSING}"),
            ("b b", "x"),
            ("c", "${BROKEN}"),
            ("d", "${KEY"),
            ("e", "${EMPTY}"),
        ] {
            model.headers.insert(name.into(), value.into());
        }
        let complaints = server(&model).unwrap_err();
        let all = complaints.join("\n");
        assert_eq!(complaints.len(), 7, "{all}");
        for part in ["NONE", "MISSING", "`b b`", "`c`", "without `}`", "EMPTY", "`base_url`"] {
            assert!(all.contains(part), "{part}: {all}");
        }
        assert!(complaints.iter().all(|complaint| complaint.starts_with("model `fast`")), "{all}");
        assert!(!all.contains("two"), "{all}");
        let broken = Model { api_key_env: Some("BROKEN".into()), ..at("http://x") };
        let complaints = server(&broken).unwrap_err().join("\n");
        assert!(complaints.contains("BROKEN") && !complaints.contains("two"), "{complaints}");
    }

    #[test]
    fn headers_are_filled_in_and_no_debug_output_has_them() {
        let mut model =
            Model { api_key_env: Some("KEY".into()), ..at("http://host:81/v1/?version=2") };
        model.headers.insert("x-team".into(), "team ${TEAM} of ${TEAM}".into());
        let server = server(&model).unwrap();
        assert_eq!(server.headers["x-team"], "team blue of blue");
        assert_eq!(server.headers[AUTHORIZATION], "Bearer sk-planted-key");
        let request = server.post("chat/completions");
        let shown = format!("{server:?} {request:?} {:?}", server.headers);
        assert!(!shown.contains("planted") && !shown.contains("blue"), "{shown}");
        let url = request.build().unwrap().url().to_string();
        assert_eq!(url, "http://host:81/v1/chat/completions?version=2");
    }

    #[test]
    fn models_of_one_server_share_its_connections() {
        let mut clients = Clients::default();
        for base in ["http://host/v1", "http://host/v2", "http://other/v1"] {
            Server::new("m", &at(base), &env, &mut clients).unwrap();
        }
        assert_eq!(clients.0.len(), 2);
    }

    #[test]
    fn openai_itself_is_known_by_its_host() {
        let is = |base: &str| server(&at(base)).unwrap().is_openai();
        assert!(is("https://api.openai.com/v1") && is("https://x.openai.azure.com/openai/v1"));
        assert!(!is("https://notopenai.com/v1") && !is("http://localhost:8000/v1"));
    }
}
