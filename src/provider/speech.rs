//! Speech from text: `/audio/speech`, as it comes.
//!
//! **Invariant:** audio is given from its first sample on, and only if it is what was asked for; whatever comes is
//! mono, 16 bits, at a rate that is told, and at most [`AUDIO_MAX`] bytes.

use std::pin::Pin;

use async_openai::types::audio::{CreateSpeechRequest, SpeechModel, SpeechResponseFormat, Voice};
use futures_util::{Stream, StreamExt, stream};
use reqwest::header::CONTENT_TYPE;
use tokio::time::{Instant, timeout_at};

use super::breaker::{Permit, Sparing};
use super::resilience::{Asked, Resilience};
use super::server::Server;
use super::trouble::{self, Trouble};
use crate::config::Model;
use crate::generate::BoxStream;
use crate::seed::Seed;
use crate::think::chat::{ErrorKind, ModelError};

mod sound;

use sound::Sound;

/// The longest audio of one text, in bytes: ten minutes at 24 kHz, and more than any provider takes text for.
pub const AUDIO_MAX: usize = 32 << 20;

/// The rate of OpenAI's `pcm`, in Hz.
pub const PCM_HZ: u32 = 24_000;

/// How audio comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Samples alone, of 16 bits at [`PCM_HZ`], unless the server names another rate in its content type. The first
    /// ones come soonest.
    #[default]
    Pcm,
    /// A WAV file, which says what it has: for servers with other rates. 16 bits; several channels are made one.
    Wav,
}

/// Audio, as it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Samples a second; the same in all pieces of a text.
    pub rate_hz: u32,
    /// Mono.
    pub samples: Vec<i16>,
}

/// The pieces of a text's audio. Whoever drops them wants no more.
pub type Pieces = BoxStream<'static, Result<Piece, ModelError>>;

/// What is to be spoken, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Utterance<'a> {
    /// The text.
    pub text: &'a str,
    /// The voice, as the provider calls it.
    pub voice: &'a str,
    /// How it is to be spoken, in words, for models that can be told.
    pub instructions: Option<&'a str>,
    /// How fast, 0.25 to 4; 1 is ordinary.
    pub speed: Option<f32>,
}

/// A model that speaks.
#[derive(Debug)]
pub struct Speech {
    server: Server,
    model: String,
    format: Format,
    resilience: std::sync::Arc<Resilience>,
}

impl Speech {
    /// The model of a configuration, at its server. Its delays have their chance from `jitter`.
    #[must_use]
    pub fn new(
        server: Server,
        model: &Model,
        format: Format,
        sparing: Sparing,
        jitter: Seed,
    ) -> Self {
        let resilience = Resilience::new(model.retries, sparing, jitter).into();
        Self { server, model: model.model.clone().unwrap_or_default(), format, resilience }
    }

    /// Speaks a text, and waits for the first of it.
    ///
    /// # Errors
    /// Nothing came, however often it was asked.
    pub async fn speak(&self, utterance: Utterance<'_>) -> Result<Pieces, ModelError> {
        let attempt = || self.ask(utterance);
        let asked = self.resilience.ask(self.server.name(), attempt).await?;
        let Asked { value: (first, arriving), permit, .. } = asked;
        let spoken = Spoken { arriving, permit: Some(permit), resilience: self.resilience.clone() };
        let rest = stream::unfold(spoken, Spoken::next);
        Ok(stream::iter([Ok(first)]).chain(rest).boxed())
    }

    async fn ask(&self, utterance: Utterance<'_>) -> Result<(Piece, Arriving), Trouble> {
        let request = CreateSpeechRequest {
            input: utterance.text.to_owned(),
            model: SpeechModel::Other(self.model.clone()),
            voice: Voice::Other(utterance.voice.to_owned()),
            instructions: utterance.instructions.map(str::to_owned),
            response_format: Some(match self.format {
                Format::Pcm => SpeechResponseFormat::Pcm,
                Format::Wav => SpeechResponseFormat::Wav,
            }),
            speed: utterance.speed,
            stream_format: None,
        };
        let until = self.server.first_until();
        let response =
            self.server.send(self.server.post("audio/speech").json(&request), until).await?;
        let content = response.headers().get(CONTENT_TYPE);
        let content = content.and_then(|content| content.to_str().ok()).unwrap_or_default();
        let content = content.to_ascii_lowercase();
        let kind = content.split([';', '/']).next().unwrap_or_default().trim();
        if kind == "text" || content.starts_with("application/json") {
            let body = self.server.body(response, trouble::BODY_MAX, until).await?;
            let told = serde_json::from_slice(&body).ok().and_then(|body| trouble::told(&body));
            let error = match told {
                Some((message, codes)) => self.server.quoted(trouble::kind_of(&codes), &message),
                None => self.server.error(
                    ErrorKind::Malformed,
                    "what came is text and no audio; check `base_url` and `model`",
                ),
            };
            return Err(error.into());
        }
        let sound = match self.format {
            Format::Pcm => Sound::pcm(rate(&content).unwrap_or(PCM_HZ)),
            Format::Wav => Sound::wav(),
        };
        let bytes = Box::pin(response.bytes_stream());
        let mut arriving = Arriving { server: self.server.clone(), bytes, sound, came: 0 };
        match arriving.next(Some(until)).await {
            Some(piece) => Ok((piece?, arriving)),
            None => {
                let what = "the answer ended before any audio came";
                Err(self.server.error(ErrorKind::CutOff, what).into())
            }
        }
    }
}

/// The rate that a content type names, as in `audio/pcm;rate=16000`.
fn rate(content: &str) -> Option<u32> {
    let parameters = content.split(';').skip(1);
    let rate = parameters.filter_map(|parameter| parameter.trim().strip_prefix("rate=")).next()?;
    rate.parse().ok().filter(sound::is_rate)
}

type Bytes = Pin<Box<dyn Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>;

/// Audio under way.
struct Arriving {
    server: Server,
    bytes: Bytes,
    sound: Sound,
    came: usize,
}

impl Arriving {
    async fn next(&mut self, until: Option<Instant>) -> Option<Result<Piece, ModelError>> {
        loop {
            let is_first = until.is_some();
            let until = until.unwrap_or_else(|| Instant::now() + self.server.stall());
            let bytes = match timeout_at(until, self.bytes.next()).await {
                Ok(Some(Ok(bytes))) => bytes,
                Ok(Some(Err(error))) => return Some(Err(self.server.lost(&error, true))),
                Ok(None) => {
                    return self
                        .sound
                        .ended()
                        .map(|what| Err(self.server.error(ErrorKind::CutOff, what)));
                }
                Err(_) if is_first => return Some(Err(self.server.late())),
                Err(_) => return Some(Err(self.server.stalled())),
            };
            self.came += bytes.len();
            if self.came > AUDIO_MAX {
                let what = format!("more than {AUDIO_MAX} bytes of audio for one text");
                return Some(Err(self.server.error(ErrorKind::TooLong, what)));
            }
            match self.sound.take(&bytes) {
                Ok(Some(piece)) => return Some(Ok(piece)),
                Ok(None) => {}
                Err(what) => return Some(Err(self.server.error(ErrorKind::Malformed, what))),
            }
        }
    }
}

/// The rest of a text, whose end is told to the breaker.
struct Spoken {
    arriving: Arriving,
    permit: Option<Permit>,
    resilience: std::sync::Arc<Resilience>,
}

impl Spoken {
    async fn next(mut self) -> Option<(Result<Piece, ModelError>, Self)> {
        // Without a permit it has failed already.
        let permit = self.permit.take()?;
        match self.arriving.next(None).await {
            Some(Ok(piece)) => {
                self.permit = Some(permit);
                Some((Ok(piece), self))
            }
            Some(Err(error)) => {
                self.resilience.failed(permit, &error, None);
                Some((Err(error), self))
            }
            None => {
                permit.succeeded();
                None
            }
        }
    }
}
