//! What a server says has gone wrong, as an error with a kind.
//!
//! **Invariant:** what a server says goes through [`Secrets::scrub`] and is cut before anybody reads it: a server may
//! repeat the key that it was sent.

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::think::chat::{ErrorKind, ModelError};
use crate::tool::fill::blotted;

/// Characters of a server's own message in an error at most.
pub(super) const MESSAGE_MAX: usize = 300;

/// The longest body of an error that is read, in bytes.
pub(super) const BODY_MAX: usize = 64 << 10;

/// A secret that is shorter would blot out ordinary words, and is none.
const SECRET_MIN: usize = 4;

/// An error, and when the server wants to be asked again.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) error: ModelError,
    pub(super) after: Option<Duration>,
}

impl From<ModelError> for Trouble {
    fn from(error: ModelError) -> Self {
        Self { error, after: None }
    }
}

/// What must not be read anywhere: keys, and the values of headers.
#[derive(Clone, Default)]
pub(super) struct Secrets(Vec<String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    pub(super) fn add(&mut self, secret: &str) {
        if secret.len() >= SECRET_MIN {
            self.0.push(secret.to_owned());
        }
    }

    /// The text without secrets and line breaks, cut.
    pub(super) fn scrub(&self, text: &str) -> String {
        let text = blotted(text, self.0.iter().map(String::as_str), "[secret]");
        let mut short = String::new();
        let mut length = 0;
        for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
            if word.is_empty() {
                continue;
            }
            let gap = usize::from(length > 0);
            let room = MESSAGE_MAX.saturating_sub(length + gap);
            let is_longer = word.chars().nth(room).is_some();
            short.push_str(if gap == 1 { " " } else { "" });
            short.extend(word.chars().take(room.saturating_sub(usize::from(is_longer))));
            if is_longer {
                short.push('…');
                break;
            }
            length += gap + word.chars().count();
        }
        short
    }
}

/// What a body says of an error: the message, and the code or the type. OpenAI's form, and what servers of one's
/// own have instead.
pub(super) fn told(body: &Value) -> Option<(String, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let code = |value: &Value| match value {
        Value::String(code) => Some(code.clone()),
        Value::Number(code) => Some(code.to_string()),
        _ => None,
    };
    // Google's is the only one of a list.
    let body = body.get(0).unwrap_or(body);
    match body.get("error") {
        Some(Value::String(message)) => return Some((message.clone(), String::new())),
        Some(Value::Object(error)) => {
            let codes =
                ["code", "type"].into_iter().filter_map(|key| error.get(key).and_then(code));
            let codes = codes.collect::<Vec<_>>().join(" ");
            let message = error.get("message").and_then(text).unwrap_or_else(|| codes.clone());
            return Some((message, codes));
        }
        Some(Value::Null) | None => {}
        Some(other) => return Some((other.to_string(), String::new())),
    }
    let detail = body.get("detail");
    let first = detail.and_then(|detail| detail.get(0)).and_then(|first| first.get("msg"));
    let message = body.get("message").or(first).or(detail)?;
    let codes = ["code", "type"].into_iter().filter_map(|key| body.get(key).and_then(code));
    Some((
        text(message).unwrap_or_else(|| message.to_string()),
        codes.collect::<Vec<_>>().join(" "),
    ))
}

/// The kind of an error that came in the middle of an answer, where there is no status any more.
pub(super) fn kind_of(codes: &str) -> ErrorKind {
    let has = |words: &[&str]| words.iter().any(|word| codes.contains(word));
    if has(&["401", "403", "api_key", "authentication", "permission"]) {
        ErrorKind::Unauthorised
    } else if has(&["429", "rate_limit", "quota"]) {
        ErrorKind::Limited
    } else if has(&["400", "404", "422", "invalid_request", "context_length", "BadRequest"]) {
        ErrorKind::Refused
    } else {
        ErrorKind::Provider
    }
}

/// The kind of a status that is not success.
pub(super) fn kind(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        401 | 403 => ErrorKind::Unauthorised,
        429 => ErrorKind::Limited,
        // Slow to send or to let in, which another attempt may not meet.
        408 | 409 | 425 => ErrorKind::Provider,
        300..=499 => ErrorKind::Refused,
        _ => ErrorKind::Provider,
    }
}

/// What can be done about it, if something can.
pub(super) fn remedy(status: StatusCode, key_env: Option<&str>) -> Option<String> {
    let text = match (status.as_u16(), key_env) {
        (401 | 403, Some(name)) => format!("check the key in {name}"),
        (401 | 403, None) => "name the environment variable with the key in `api_key_env`".into(),
        (404, _) => "check `base_url` and `model`".into(),
        (300..=399, _) => "write the address that it leads to as `base_url`".into(),
        _ => return None,
    };
    Some(text)
}

/// After how long the server wants to be asked again: `retry-after-ms` as some tell it, or `retry-after` in seconds.
/// A date is not understood, and one's own delay serves.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok()?;
        (value.is_finite() && value >= 0.0).then_some(value)
    };
    let seconds = number("retry-after-ms").map(|ms| ms / 1_000.0).or_else(|| number("retry-after"));
    // A day stands for ever.
    seconds.map(|seconds| Duration::from_secs_f64(seconds.min(86_400.0)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_servers_say_is_found_in_every_form() {
        for (body, message, codes) in [
            (
                json!({ "error": { "message": "no", "type": "invalid", "code": "c" } }),
                "no",
                "c invalid",
            ),
            (json!({ "error": { "message": "no", "code": 429 } }), "no", "429"),
            (json!({ "error": { "type": "overloaded" } }), "overloaded", "overloaded"),
            (json!({ "error": "no such model" }), "no such model", ""),
            (json!({ "object": "error", "message": "no", "code": 400 }), "no", "400"),
            (json!([{ "error": { "message": "no", "code": 400 } }]), "no", "400"),
            (json!({ "detail": "Not Found" }), "Not Found", ""),
            (json!({ "detail": [{ "msg": "field required" }] }), "field required", ""),
        ] {
            assert_eq!(told(&body), Some((message.to_owned(), codes.to_owned())), "{body}");
        }
        assert_eq!(told(&json!({ "choices": [], "error": null })), None);
    }

    #[test]
    fn secrets_are_blotted_out_before_the_text_is_cut() {
        let mut secrets = Secrets::default();
        secrets.add("sk-1");
        secrets.add("sk-1234567890");
        secrets.add("a");
        let long = format!("a\nbad key {}sk-1234567890", "x".repeat(285));
        let text = secrets.scrub(&long);
        assert!(text.starts_with("a bad key xxx") && !text.contains("sk-1"), "{text}");
        assert_eq!(text.chars().count(), MESSAGE_MAX);
        assert_eq!(secrets.scrub("key sk-1234567890!"), "key [secret]!");
        assert_eq!(format!("{secrets:?}"), "Secrets(2)");
        let short = "é".repeat(300);
        assert_eq!(secrets.scrub(&short), short);
    }

    #[test]
    fn a_delay_is_read_in_seconds_and_milliseconds() {
        let headers = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(headers("retry-after", "2"), Some(Duration::from_secs(2)));
        assert_eq!(headers("retry-after-ms", "150"), Some(Duration::from_millis(150)));
        assert_eq!(headers("retry-after", "1e300"), Some(Duration::from_secs(86_400)));
        for wrong in ["-1", "NaN", "Wed, 21 Oct 2026 07:28:00 GMT", ""] {
            assert_eq!(headers("retry-after", wrong), None, "{wrong}");
        }
    }
}
