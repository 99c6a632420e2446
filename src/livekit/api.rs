//! The server's API: requests in Twirp's form, each on a connection of its own.
//!
//! **Invariant:** what the server answers is bounded, and no token is part of what is told of a failure.

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HOST};
use axum::http::{HeaderValue, Method, Request, StatusCode};
use bytes::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use prost::Message;
use serde::Deserialize;
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::stream::{Stream, StreamError};

/// The longest answer, in bytes: it describes one participant, or one dispatch.
const ANSWER_MAX: usize = 64 << 10;

/// What the server says of a request that failed.
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: String,
    #[serde(default)]
    msg: String,
}

/// One request of Twirp's: a message there, and one back.
///
/// # Errors
/// The server cannot be reached, or refuses; in words.
pub async fn ask(
    address: &Address,
    tls: &TlsConnector,
    service: &str,
    method: &str,
    (token, message): (&str, &impl Message),
) -> Result<Vec<u8>, String> {
    let host = address.host.as_str();
    let stream = Stream::connect((host, address.port), address.tls.then_some((tls, host)));
    let stream = stream.await.map_err(|error| match error {
        StreamError::Unreachable(why) | StreamError::Tls(why) => {
            format!("the server cannot be reached: {why}")
        }
    })?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{}/twirp/livekit.{service}/{method}", address.prefix))
        .header(HOST, address.authority())
        .header(AUTHORIZATION, bearer(token)?)
        .header(CONTENT_TYPE, "application/protobuf")
        .body(Body::from(message.encode_to_vec()))
        .map_err(|error| format!("a request of ours: {error}"))?;
    let Answer { status, body, .. } = exchange(stream, request).await?;
    if status == StatusCode::OK {
        return Ok(body.to_vec());
    }
    let refusal: Option<Refusal> = serde_json::from_slice(&body).ok();
    let said = refusal.map(|Refusal { code, msg }| if msg.is_empty() { code } else { msg });
    let said = said.unwrap_or_else(|| "no reason given".to_owned());
    // The text is the server's, or of somebody between: nothing that moves a cursor.
    let said: String = said.chars().filter(|c| !c.is_control()).collect();
    Err(format!("the server refuses ({}): {said}", status.as_u16()))
}

/// What opens the server's doors.
pub(super) fn bearer(token: &str) -> Result<HeaderValue, String> {
    let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| "the token is none".to_owned())?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

/// What a server answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// When, by the server's clock, as it wrote it.
    pub(super) date: Option<String>,
    pub(super) body: Bytes,
}

/// One request on a connection, and what is answered; in words, why there is nothing.
pub(super) async fn exchange(stream: Stream, request: Request<Body>) -> Result<Answer, String> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| lost(&error))?;
    let answering = async {
        let response = sender.send_request(request).await.map_err(|error| lost(&error))?;
        let status = response.status();
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let date = date.map(str::to_owned);
        let body = axum::body::to_bytes(Body::new(response.into_body()), ANSWER_MAX).await;
        let cut = |_| "the server's answer is cut off or too long".to_owned();
        Ok::<_, String>(Answer { status, date, body: body.map_err(cut)? })
    };
    tokio::pin!(answering);
    tokio::select! {
        answer = &mut answering => answer,
        // The connection ends when the answer is there, which may be before it is looked at.
        _ = connection => answering.await,
    }
}

fn lost(error: &hyper::Error) -> String {
    format!("the connection to the server was lost: {error}")
}
