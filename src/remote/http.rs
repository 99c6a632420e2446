//! Tools that are requests to HTTP servers.
//!
//! **Invariant:** a request that may have done something is not made again unless the tool is idempotent; a call
//! never chooses which server is asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::answer::{self, RESULT_MAX, excerpt};
use super::environment::Secrets;
use super::net::{Net, NoOutcome};
use crate::config::{HttpTool, Method};
use crate::tool::fill::{self, Fill};
use crate::tool::{Tool, ToolContext, ToolSpec};

/// How long a connection may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Redirects that are followed at most, all to the server that was asked.
const REDIRECTS_MAX: usize = 5;

/// The pause before the second attempt; it doubles with each.
const PAUSE_MS: u64 = 200;

/// The longest pause that a server may ask for: people wait on the line.
const RETRY_AFTER_MAX_S: u64 = 5;

/// The header with the key by which a server knows a call again.
const IDEMPOTENCY_HEADER: &str = "idempotency-key";

/// What makes requests. Redirects stay with the server that was asked, since headers go along; those that would
/// turn a POST into a GET are not followed.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    reading: Client,
    pub(super) writing: Client,
}

fn stays(attempt: &Attempt<'_>) -> bool {
    let origin = attempt.previous().first().map(Url::origin);
    attempt.previous().len() <= REDIRECTS_MAX && origin == Some(attempt.url().origin())
}

impl Clients {
    pub(super) fn new() -> Result<Self, String> {
        let client = |policy: Policy| {
            Client::builder()
                .user_agent(concat!("antiphon/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIME)
                .redirect(policy)
                .build()
                .map_err(|error| format!("no HTTP client: {error}"))
        };
        let reading =
            Policy::custom(
                |attempt| {
                    if stays(&attempt) { attempt.follow() } else { attempt.stop() }
                },
            );
        let writing = Policy::custom(|attempt| {
            let keeps_method = matches!(
                attempt.status(),
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
            );
            if keeps_method && stays(&attempt) { attempt.follow() } else { attempt.stop() }
        });
        Ok(Self { reading: client(reading)?, writing: client(writing)? })
    }
}

/// A tool that is a request.
#[derive(Debug)]
pub(super) struct HttpCaller {
    spec: ToolSpec,
    request: Request,
    client: Client,
    secrets: Arc<Secrets>,
    net: Arc<Net>,
}

/// What is sent, with gaps.
#[derive(Debug)]
struct Request {
    method: Method,
    url: Fill,
    headers: Vec<(HeaderName, Fill)>,
    query: Vec<(String, Fill)>,
    body: Option<Value>,
    retries: u32,
    result: Option<String>,
}

/// What is sent.
#[derive(Debug, Clone)]
struct Filled {
    method: reqwest::Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
}

/// How an attempt failed.
struct Fault {
    why: String,
    /// Nothing was sent.
    unsent: bool,
    /// It may go well another time.
    passing: bool,
    /// How long the server asks to be left alone.
    after: Option<Duration>,
}

impl Fault {
    const fn lasting(why: String) -> Self {
        Self { why, unsent: false, passing: false, after: None }
    }
}

impl HttpCaller {
    pub(super) fn new(
        spec: ToolSpec,
        tool: &HttpTool,
        clients: &Clients,
        secrets: Arc<Secrets>,
        net: Arc<Net>,
    ) -> Result<Self, String> {
        let about = |why: String| format!("tool `{}`: {why}", spec.name);
        let fills = |texts: &BTreeMap<String, String>| -> Result<Vec<(String, Fill)>, String> {
            let fill = |(name, text): (&String, &String)| Ok((name.clone(), Fill::parse(text)?));
            texts.iter().map(fill).collect::<Result<_, String>>().map_err(about)
        };
        let url = Fill::parse(&tool.url).map_err(about)?;
        // What the environment holds has to be a server, whose name no argument can continue.
        let begun = url.before_arguments(&|name| secrets.get(name));
        let rest = begun.strip_prefix("https://").or_else(|| begun.strip_prefix("http://"));
        let is_sound = rest
            .is_some_and(|rest| url.arguments().next().is_none() || rest.contains(['/', '?', '#']));
        if !is_sound {
            let why = "`url` is not the address of a server once the environment has filled it in";
            return Err(about(format!(
                "{why}; it begins with https:// or http://, a name and a `/`"
            )));
        }
        let mut headers = Vec::new();
        for (name, fill) in fills(&tool.headers)? {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| about(format!("`{name}` is no name of a header")))?;
            headers.push((name, fill));
        }
        let query = fills(&tool.query)?;
        let client = if tool.method.has_body() || tool.method == Method::Delete {
            clients.writing.clone()
        } else {
            clients.reading.clone()
        };
        let (method, body) = (tool.method, tool.body.clone());
        let (retries, result) = (tool.retries, tool.result.clone());
        let request = Request { method, url, headers, query, body, retries, result };
        Ok(Self { spec, request, client, secrets, net })
    }

    fn filled(&self, arguments: &Value, key: &str) -> Result<Filled, String> {
        let Request { method, url, headers, query, body, .. } = &self.request;
        let environment = |name: &str| self.secrets.get(name);
        // One that is an argument alone is left out without it.
        let is_there = |text: &Fill| {
            text.only_argument().is_none_or(|path| fill::look_up(arguments, path).is_some())
        };
        let text = url.fill(arguments, &environment, encoded)?;
        climbs(&text)?;
        let mut url = Url::parse(&text).map_err(|error| format!("`url` is no address: {error}"))?;
        for (name, value) in query.iter().filter(|(_, value)| is_there(value)) {
            let value = value.fill(arguments, &environment, str::to_owned)?;
            url.query_pairs_mut().append_pair(name, &value);
        }
        let mut map = HeaderMap::new();
        for (name, value) in headers.iter().filter(|(_, value)| is_there(value)) {
            let value = value.fill(arguments, &environment, str::to_owned)?;
            let mut value = HeaderValue::from_str(&value).map_err(|_| {
                format!("what the call puts into the header {name} is not allowed there")
            })?;
            value.set_sensitive(true);
            map.insert(name.clone(), value);
        }
        if !map.contains_key(IDEMPOTENCY_HEADER)
            && let Ok(value) = HeaderValue::from_str(key)
        {
            map.insert(IDEMPOTENCY_HEADER, value);
        }
        let body = match (body, method.has_body()) {
            (_, false) => None,
            (Some(body), true) => Some(fill::fill_json(body, arguments, &environment)?),
            (None, true) => Some(Some(arguments.clone())),
        };
        let body = body.map(|value| value.unwrap_or_default().to_string().into_bytes());
        if body.is_some() && !map.contains_key(CONTENT_TYPE) {
            map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let method = match method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        Ok(Filled { method, url, headers: map, body })
    }
}

impl Tool for HttpCaller {
    fn call(&self, context: &ToolContext, arguments: &Value) -> Result<Value, String> {
        let key = context.idempotency_key();
        let scrubbed = |why: String| self.secrets.scrub(&why);
        let filled = self.filled(arguments, &key).map_err(scrubbed)?;
        let (client, result) = (self.client.clone(), self.request.result.clone());
        let (retries, idempotent) = (self.request.retries, self.spec.idempotent);
        let limit = Duration::from_millis(u64::from(self.spec.timeout_ms));
        let asked = self.net.wait(limit, async move {
            ask(&client, &filled, (retries, idempotent), &key, result.as_deref()).await
        });
        match asked {
            Ok(outcome) => outcome.map_err(scrubbed),
            Err(NoOutcome::Late) => {
                Err(format!("the server has not answered within {} ms", self.spec.timeout_ms))
            }
            Err(NoOutcome::Gone) => Err("the call was broken off".to_owned()),
        }
    }
}

/// Asks until there is an answer, or no sense in asking again.
async fn ask(
    client: &Client,
    filled: &Filled,
    (retries, idempotent): (u32, bool),
    key: &str,
    result: Option<&str>,
) -> Result<Value, String> {
    let mut attempt = 0;
    loop {
        let fault = match attempted(client, filled, result).await {
            Ok(value) => return Ok(value),
            Err(fault) => fault,
        };
        if attempt >= retries || !(fault.unsent || (idempotent && fault.passing)) {
            let times = attempt + 1;
            let often = if times > 1 { format!(" (asked {times} times)") } else { String::new() };
            return Err(format!("{}{often}", fault.why));
        }
        let pause = fault.after.unwrap_or_else(|| pause(key, attempt));
        tokio::time::sleep(pause).await;
        attempt += 1;
    }
}

/// The pause after an attempt: it doubles, and is up to half as long again by chance, so that callers who failed
/// together do not come back together.
fn pause(key: &str, attempt: u32) -> Duration {
    let whole = PAUSE_MS << attempt.min(6);
    let chance = xxh3_64(format!("{key} {attempt}").as_bytes()) % (whole / 2 + 1);
    Duration::from_millis(whole + chance)
}

async fn attempted(client: &Client, filled: &Filled, result: Option<&str>) -> Result<Value, Fault> {
    let Filled { method, url, headers, body } = filled.clone();
    let host = url.host_str().unwrap_or_default().to_owned();
    let mut request = client.request(method, url).headers(headers);
    if let Some(body) = body {
        request = request.body(body);
    }
    let response = request.send().await.map_err(|error| {
        let (unsent, passing) = (error.is_connect(), !error.is_builder());
        let why = if unsent {
            format!("no connection to {host}: {}", root(error))
        } else {
            format!("{host} has not answered: {}", root(error))
        };
        Fault { why, unsent, passing, after: None }
    })?;
    let status = response.status();
    let is_json = is_json(response.headers());
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|text| text.trim().parse::<u64>().ok());
    let body = read(response).await;
    if status.is_redirection() {
        let why =
            format!("{host} answers {} and sends elsewhere, which is not followed", named(status));
        return Err(Fault::lasting(why));
    }
    if !status.is_success() {
        let said =
            body.map(|body| excerpt(&String::from_utf8_lossy(&body), false)).unwrap_or_default();
        let said = if said.is_empty() { said } else { format!(": {said}") };
        let passing = matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504);
        let after = after.filter(|seconds| *seconds <= RETRY_AFTER_MAX_S).map(Duration::from_secs);
        let why = format!("{host} answers {}{said}", named(status));
        return Err(Fault { why, unsent: false, passing, after });
    }
    let body = body.map_err(|mut fault| {
        fault.why = format!("the answer of {host} {}", fault.why);
        fault
    })?;
    let wrong = |why: String| Fault::lasting(format!("the answer of {host} is {why}"));
    let text = String::from_utf8(body).map_err(|_| wrong("not UTF-8".to_owned()))?;
    let value = if text.trim().is_empty() {
        Value::Null
    } else {
        match answer::json(&text) {
            Ok(value) => value,
            // What calls itself JSON, or of which a part is wanted, has to be.
            Err(why) if is_json || result.is_some() || why.contains("deeper") => {
                return Err(wrong(why));
            }
            Err(_) => text.into(),
        }
    };
    answer::part(value, result).map_err(Fault::lasting)
}

fn named(status: StatusCode) -> String {
    let reason = status.canonical_reason().unwrap_or_default();
    format!("{} {reason}", status.as_u16()).trim_end().to_owned()
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

/// The body, if it is not too long.
async fn read(mut response: Response) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await.map_err(|error| Fault {
            why: format!("was broken off: {}", root(error)),
            unsent: false,
            passing: true,
            after: None,
        })?;
        let Some(chunk) = chunk else { return Ok(body) };
        if body.len() + chunk.len() > RESULT_MAX {
            return Err(Fault::lasting(format!("is {}", answer::too_long())));
        }
        body.extend_from_slice(&chunk);
    }
}

/// What is at the bottom of an error, without the address: it may hold a secret.
fn root(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    excerpt(&cause.to_string(), false)
}

/// Everything but letters, digits and four signs percent-encoded, so that an argument stays one part of a path.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Whether a part of the path leads up: an argument must not choose another place of the server.
fn climbs(url: &str) -> Result<(), String> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    if path.split('/').any(|part| matches!(part, "." | "..")) {
        return Err("the arguments lead to another place of the server".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_stays_one_part_of_a_path() {
        assert_eq!(encoded("a b/c?d#e&f=%2f.."), "a%20b%2Fc%3Fd%23e%26f%3D%252f..");
        assert_eq!(encoded("Zürich-1_2~"), "Z%C3%BCrich-1_2~");
        assert!(climbs("https://a.example/x/../y").is_err());
        assert!(climbs("https://a.example/x/..y/...?q=/../").is_ok());
    }

    #[test]
    fn pauses_double_and_differ() {
        let (first, third) = (pause("a", 0).as_millis(), pause("a", 2).as_millis());
        assert!((200..=300).contains(&first) && (800..=1200).contains(&third), "{first} {third}");
        assert_ne!(pause("call-1", 3), pause("call-2", 3));
    }
}
