//! Chat completions that stream: a request becomes a body, events become pieces of an answer.
//!
//! **Invariant:** an answer is given from its first word, call or end on, and not before: until then whoever
//! asked may still ask somebody else.

mod reader;
mod request;

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use reqwest::header::CONTENT_TYPE;
use tokio::time::{Instant, timeout_at};

use super::events::{EVENT_MAX, events};
use super::server::Server;
use super::trouble::Trouble;
use crate::config::Model;
use crate::generate::{BoxFuture, Deltas, LanguageModel};
use crate::think::chat::{ErrorKind, ModelDelta, ModelError, ModelRef, ModelRequest, Params};
use reader::Reader;

/// How long what an answer has cost is waited for once it has said that it ends: whoever waits for the answer waits
/// with it, and servers send both together or not at all.
const TAIL: Duration = Duration::from_secs(1);

/// Pieces before the first that says something at most: there are an id and warnings.
const HELD_MAX: usize = 256;

/// What `provider` is in a [`ModelRef`].
const PROVIDER: &str = "openai";

/// A model at a server. It is asked once, and asks nobody else: that is [`Models`](super::Models)' work.
#[derive(Clone, Debug)]
pub struct Chat {
    server: Server,
    model: String,
    params: Params,
}

impl Chat {
    /// The model of a configuration, at its server.
    #[must_use]
    pub fn new(server: Server, model: &Model) -> Self {
        let params = Params {
            temperature: model.temperature,
            max_tokens: model.max_tokens,
            top_p: model.top_p,
            seed: model.seed,
            stop: Vec::new(),
        };
        Self { server, model: model.model.clone().unwrap_or_default(), params }
    }

    /// Its server.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// Asks it, and waits until something of an answer has come.
    pub(super) async fn ask(&self, request: &ModelRequest) -> Result<Deltas, Trouble> {
        let body = request::body(request, &self.model, &self.params, self.server.is_openai())
            .map_err(|what| self.server.error(ErrorKind::Refused, what))?;
        let until = self.server.first_until();
        let response =
            self.server.send(self.server.post("chat/completions").json(&body), until).await?;
        let mut answer = Answer::of(self.server.clone(), response)?;
        let mut held = Vec::new();
        loop {
            let delta = match answer.next(Some(until)).await {
                Some(delta) => delta?,
                None => return Err(answer.nothing().into()),
            };
            let says = says(&delta);
            held.push(Ok(delta));
            if says {
                break;
            }
            if held.len() > HELD_MAX {
                let what = "what came is endless, and no answer";
                return Err(self.server.error(ErrorKind::Malformed, what).into());
            }
        }
        let rest = stream::unfold(answer, async |mut answer| {
            let delta = answer.next(None).await?;
            Some((delta, answer))
        });
        Ok(stream::iter(held).chain(rest).boxed())
    }
}

impl LanguageModel for Chat {
    fn reference(&self) -> ModelRef {
        ModelRef { provider: PROVIDER.to_owned(), model: self.model.clone() }
    }

    fn stream(&self, request: ModelRequest) -> BoxFuture<'_, Result<Deltas, ModelError>> {
        Box::pin(async move { self.ask(&request).await.map_err(|trouble| trouble.error) })
    }
}

/// Whether a piece is part of what somebody hears, reads or runs, or the end of it.
pub(super) const fn says(delta: &ModelDelta) -> bool {
    !matches!(
        delta,
        ModelDelta::Started { .. }
            | ModelDelta::Usage(_)
            | ModelDelta::Warning(_)
            | ModelDelta::Metadata(_)
    )
}

/// An answer under way.
struct Answer {
    server: Server,
    events: Pin<Box<dyn Stream<Item = Result<String, ModelError>> + Send>>,
    reader: Reader,
    waiting: VecDeque<ModelDelta>,
    over: bool,
    any: bool,
}

impl Answer {
    fn of(server: Server, response: reqwest::Response) -> Result<Self, ModelError> {
        let content = response.headers().get(CONTENT_TYPE);
        let content = content.and_then(|content| content.to_str().ok()).unwrap_or_default();
        let content = content.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let events: Pin<Box<dyn Stream<Item = _> + Send>> = match content.as_str() {
            // Some servers do not stream, or not answers that call tools.
            "application/json" => {
                let (server, until) = (server.clone(), server.first_until());
                Box::pin(stream::once(async move {
                    let body = server.body(response, EVENT_MAX, until).await?;
                    Ok(String::from_utf8_lossy(&body).into_owned())
                }))
            }
            "text/html" => {
                let what = "a page came instead of an answer; check `base_url`";
                return Err(server.error(ErrorKind::Malformed, what));
            }
            _ => Box::pin(events(server.clone(), response)),
        };
        let (reader, waiting) = (Reader::default(), VecDeque::new());
        Ok(Self { server, events, reader, waiting, over: false, any: false })
    }

    /// The next piece. Without a moment until when, it is waited for as long as pieces of answers are.
    async fn next(&mut self, until: Option<Instant>) -> Option<Result<ModelDelta, ModelError>> {
        loop {
            if let Some(delta) = self.waiting.pop_front() {
                return Some(Ok(delta));
            }
            if self.over {
                return None;
            }
            let is_complete = self.reader.is_finished();
            let wait = if is_complete { TAIL } else { self.server.stall() };
            let until = until.unwrap_or_else(|| Instant::now() + wait);
            let read = match timeout_at(until, self.events.next()).await {
                Ok(Some(Ok(event))) => {
                    self.any = true;
                    self.reader.read(&event)
                }
                // All has been said; whatever happens to the connection now is nobody's concern.
                _ if is_complete => {
                    self.over = true;
                    continue;
                }
                Ok(Some(Err(error))) => return self.fail(error),
                Ok(None) => {
                    self.over = true;
                    continue;
                }
                Err(_) if self.reader.has_begun() => return self.fail(self.server.stalled()),
                Err(_) => return self.fail(self.server.late()),
            };
            match read {
                Ok(deltas) => {
                    self.waiting.extend(deltas);
                    self.over |= self.reader.is_done();
                }
                Err((kind, what)) => return self.fail(self.server.quoted(kind, &what)),
            }
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is what is returned where it is called")]
    fn fail(&mut self, error: ModelError) -> Option<Result<ModelDelta, ModelError>> {
        self.over = true;
        Some(Err(error))
    }

    /// What it is when it ended with nothing.
    fn nothing(&self) -> ModelError {
        if self.any {
            self.server.error(ErrorKind::CutOff, "the answer ended before anything was said")
        } else {
            self.server.error(ErrorKind::Malformed, "what came is no stream of events")
        }
    }
}
