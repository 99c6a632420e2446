//! Text from speech: `/audio/transcriptions`, an utterance at a time.
//!
//! What comes is read by structs of our own: `async-openai`'s want `usage`, `tokens` and other fields that servers of
//! one's own leave out.
//!
//! **Invariant:** a transcript is what the server says of one whole utterance; nothing is guessed of what it does not
//! say.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use serde::Deserialize;

use super::breaker::Sparing;
use super::events::EVENT_MAX;
use super::resilience::{Asked, Resilience};
use super::server::Server;
use super::trouble::{self, Trouble};
use crate::config::Model;
use crate::seed::Seed;
use crate::think::chat::{ErrorKind, ModelError};

/// The longest utterance that is sent: OpenAI takes 25 MB, and nobody speaks for five minutes without a pause.
pub const UTTERANCE_MAX: Duration = Duration::from_mins(5);

/// How much is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// The words. Every server can.
    #[default]
    Words,
    /// Segments, too, with how sure the model is of each: `verbose_json`, which Whisper and its servers have.
    Segments,
    /// How sure it is of each token: `include[]=logprobs`, which OpenAI's `gpt-4o-transcribe` has.
    Tokens,
}

/// What was heard.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcript {
    /// The words; empty if there are none.
    pub text: String,
    /// How sure the model is, 0 to 1: the geometric mean of its tokens' probabilities. None if it did not say.
    pub confidence: Option<f32>,
    /// The language, as the server calls it, if it told one.
    pub language: Option<String>,
}

/// What is to be heard.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recording<'a> {
    /// Mono.
    pub samples: &'a [i16],
    /// Samples a second.
    pub rate_hz: u32,
    /// The language that is spoken, as ISO 639-1 has it.
    pub language: Option<&'a str>,
    /// Words that are likely, for models that can be told.
    pub prompt: Option<&'a str>,
}

/// A model that hears.
#[derive(Debug)]
pub struct Transcription {
    server: Server,
    model: String,
    detail: Detail,
    resilience: Resilience,
}

#[derive(Debug, Deserialize)]
struct Heard {
    text: String,
    language: Option<String>,
    segments: Option<Vec<Segment>>,
    logprobs: Option<Vec<Token>>,
}

#[derive(Debug, Deserialize)]
struct Segment {
    #[serde(default)]
    start: f64,
    #[serde(default)]
    end: f64,
    avg_logprob: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Token {
    logprob: Option<f64>,
}

impl Transcription {
    /// The model of a configuration, at its server. Its delays have their chance from `jitter`.
    #[must_use]
    pub fn new(
        server: Server,
        model: &Model,
        detail: Detail,
        sparing: Sparing,
        jitter: Seed,
    ) -> Self {
        let resilience = Resilience::new(model.retries, sparing, jitter);
        Self { server, model: model.model.clone().unwrap_or_default(), detail, resilience }
    }

    /// Hears one utterance.
    ///
    /// # Errors
    /// No transcript came, however often it was asked; or the utterance is too long.
    pub async fn transcribe(&self, recording: Recording<'_>) -> Result<Transcript, ModelError> {
        let seconds = recording.samples.len() as f64 / f64::from(recording.rate_hz.max(1));
        if seconds > UTTERANCE_MAX.as_secs_f64() {
            let what =
                format!("an utterance of {seconds:.0} s, more than {} s", UTTERANCE_MAX.as_secs());
            return Err(self.server.error(ErrorKind::TooLong, what));
        }
        let wav: bytes::Bytes = wav(recording.samples, recording.rate_hz).into();
        let attempt = || self.ask(recording, wav.clone());
        let asked = self.resilience.ask(self.server.name(), attempt).await?;
        let Asked { value, permit, .. } = asked;
        permit.succeeded();
        Ok(value)
    }

    async fn ask(
        &self,
        recording: Recording<'_>,
        wav: bytes::Bytes,
    ) -> Result<Transcript, Trouble> {
        let length = wav.len() as u64;
        let file = Part::stream_with_length(wav, length)
            .file_name("utterance.wav")
            .mime_str("audio/wav")
            .map_err(|error| self.server.lost(&error, false))?;
        let format = if self.detail == Detail::Segments { "verbose_json" } else { "json" };
        let mut form = Form::new()
            .part("file", file)
            .text("model", self.model.clone())
            .text("response_format", format);
        for (name, value) in [("language", recording.language), ("prompt", recording.prompt)] {
            if let Some(value) = value {
                form = form.text(name, value.to_owned());
            }
        }
        if self.detail == Detail::Tokens {
            form = form.text("include[]", "logprobs");
        }
        let until = self.server.first_until();
        let request = self.server.post("audio/transcriptions").multipart(form);
        let response = self.server.send(request, until).await?;
        let body = self.server.body(response, EVENT_MAX, until).await?;
        match serde_json::from_slice::<Heard>(&body) {
            Ok(heard) => Ok(heard.transcript()),
            Err(error) => {
                let told = serde_json::from_slice(&body).ok().and_then(|body| trouble::told(&body));
                let error = match told {
                    Some((message, codes)) => {
                        self.server.quoted(trouble::kind_of(&codes), &message)
                    }
                    None => self.server.quoted(
                        ErrorKind::Malformed,
                        &format!("what came is no transcript: {error}"),
                    ),
                };
                Err(error.into())
            }
        }
    }
}

impl Heard {
    fn transcript(self) -> Transcript {
        let segments = self.segments.iter().flatten().filter_map(|segment| {
            Some((segment.avg_logprob?, (segment.end - segment.start).max(0.0)))
        });
        let tokens = self.logprobs.iter().flatten().filter_map(|token| Some((token.logprob?, 1.0)));
        let confidence = mean(segments.collect()).or_else(|| mean(tokens.collect()));
        let language = self.language.filter(|language| !language.is_empty());
        Transcript { text: self.text.trim().to_owned(), confidence, language }
    }
}

/// The probability that a mean of logarithms stands for, weighted.
fn mean(all: Vec<(f64, f64)>) -> Option<f32> {
    let weight = all.iter().map(|(_, weight)| weight).sum::<f64>();
    let count = all.len() as f64;
    let mean = if weight > 0.0 {
        all.iter().map(|(log, weight)| log * weight).sum::<f64>() / weight
    } else {
        // Segments without a length count alike.
        all.iter().map(|(log, _)| log).sum::<f64>() / count
    };
    mean.is_finite().then(|| mean.exp().clamp(0.0, 1.0) as f32)
}

/// A WAV file: mono, 16 bits.
fn wav(samples: &[i16], rate_hz: u32) -> Vec<u8> {
    let size = (samples.len() * 2) as u32;
    let mut bytes = Vec::with_capacity(44 + samples.len() * 2);
    bytes.extend_from_slice(b"RIFF");
    bytes.extend_from_slice(&(36 + size).to_le_bytes());
    bytes.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend_from_slice(&rate_hz.to_le_bytes());
    bytes.extend_from_slice(&(rate_hz * 2).to_le_bytes());
    bytes.extend_from_slice(b"\x02\0\x10\0data");
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcm;

    fn heard(text: &str) -> Transcript {
        serde_json::from_str::<Heard>(text).unwrap().transcript()
    }

    #[test]
    fn how_sure_a_model_is_comes_from_what_it_tells() {
        let verbose = r#"{"text":" Hello. ","language":"english","segments":[
            {"start":0.0,"end":3.0,"avg_logprob":-0.1},{"start":3.0,"end":4.0,"avg_logprob":-0.5}]}"#;
        let transcript = heard(verbose);
        assert_eq!(
            (&*transcript.text, transcript.language.as_deref()),
            ("Hello.", Some("english"))
        );
        assert!((transcript.confidence.unwrap() - (-0.2_f32).exp()).abs() < 1e-6);
        let tokens =
            heard(r#"{"text":"Hi","logprobs":[{"token":"H","logprob":-1.0},{"logprob":-3.0}]}"#);
        assert!((tokens.confidence.unwrap() - (-2.0_f32).exp()).abs() < 1e-6);
        let alike =
            heard(r#"{"text":"Hi","segments":[{"avg_logprob":-1.0},{"avg_logprob":-3.0},{}]}"#);
        assert_eq!(alike.confidence, tokens.confidence);
        for unsure in
            [r#"{"text":"Hi"}"#, r#"{"text":"Hi","segments":[{"avg_logprob":null}],"logprobs":[]}"#]
        {
            assert_eq!(heard(unsure).confidence, None, "{unsure}");
        }
    }

    #[test]
    fn what_is_sent_is_a_file_that_readers_read() {
        let samples = [0, 1, -1, i16::MAX, i16::MIN];
        let read = pcm::wav::read(&wav(&samples, 16_000)).unwrap();
        assert_eq!((read.pcm, read.rate_hz), (samples.to_vec(), 16_000));
    }
}
