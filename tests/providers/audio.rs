//! Speech from text, and text from speech.

use antiphon::config;
use antiphon::provider::speech::{Format, Utterance};
use antiphon::provider::transcription::{Detail, Recording, Transcript};
use antiphon::provider::{Clients, Server as At, Sparing, Speech, Transcription};
use antiphon::seed::Seed;
use antiphon::think::chat::{ErrorKind, ModelError};
use futures_util::StreamExt;
use serde_json::json;

use super::protocol::{Answer, Server, Step};
use super::{KEY, block_on, env, hasty, model};

pub(crate) fn speech(model: &config::Model, format: Format) -> Speech {
    let at = At::new("voice", model, &env, &mut Clients::default()).unwrap();
    Speech::new(at, model, format, Sparing::default(), Seed::new(1))
}

pub(crate) fn transcription(model: &config::Model, detail: Detail) -> Transcription {
    let at = At::new("ears", model, &env, &mut Clients::default()).unwrap();
    Transcription::new(at, model, detail, Sparing::default(), Seed::new(1))
}

fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// A WAV file as one that streams writes it: lengths are not known.
pub(crate) fn wav(samples: &[i16]) -> Vec<u8> {
    let mut file = b"RIFF\xFF\xFF\xFF\xFFWAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    file.extend_from_slice(&22_050_u32.to_le_bytes());
    file.extend_from_slice(&44_100_u32.to_le_bytes());
    file.extend_from_slice(b"\x02\0\x10\0data\xFF\xFF\xFF\xFF");
    file.extend_from_slice(&bytes(samples));
    file
}

type Heard = Result<(u32, Vec<i16>, Option<ModelError>), ModelError>;

fn spoken(speech: Speech) -> Heard {
    block_on(async move {
        let utterance = Utterance {
            text: "Good day.",
            voice: "alloy",
            instructions: Some("Gently."),
            speed: Some(1.25),
        };
        // As an edge does: on a task of its own.
        let pieces = tokio::spawn(async move { speech.speak(utterance).await });
        let mut pieces = pieces.await.unwrap()?;
        let (mut rate_hz, mut samples) = (0, Vec::new());
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => {
                    rate_hz = piece.rate_hz;
                    samples.extend(piece.samples);
                }
                Err(error) => return Ok((rate_hz, samples, Some(error))),
            }
        }
        Ok((rate_hz, samples, None))
    })
}

#[test]
fn audio_comes_as_it_is_made_whatever_packets_it_comes_in() {
    let samples: Vec<i16> = (0..1_000).map(|n| n * 30 - 15_000).collect();
    for (format, content, file, rate_hz) in [
        (Format::Pcm, "audio/pcm", bytes(&samples), 24_000),
        (Format::Pcm, "audio/pcm;rate=16000;channels=1", bytes(&samples), 16_000),
        (Format::Pcm, "application/octet-stream", bytes(&samples), 24_000),
        (Format::Wav, "audio/wav", wav(&samples), 22_050),
    ] {
        let mut answer = Answer::bytes(content, "");
        // An odd length: samples are cut in half.
        for piece in file.chunks(333) {
            answer = answer.then(Step::Send(piece.to_vec().into()));
        }
        let server = Server::start([answer]);
        let heard = spoken(speech(&model(&server), format)).unwrap();
        assert_eq!(heard, (rate_hz, samples.clone(), None), "{content}");
        let asked = &server.asked()[0];
        assert_eq!(asked.path, "/v1/audio/speech");
        assert_eq!(asked.headers["authorization"], format!("Bearer {KEY}"));
        assert_eq!(
            asked.json(),
            json!({
                "model": "small", "input": "Good day.", "voice": "alloy", "instructions": "Gently.",
                "speed": 1.25, "response_format": if format == Format::Pcm { "pcm" } else { "wav" },
            })
        );
    }
}

#[test]
fn speech_is_asked_for_again_until_the_first_of_it_has_come() {
    let audio = || Answer::bytes("audio/pcm", bytes(&[1, 2, 3]));
    let server = Server::start([
        Answer::error(500, "no"),
        Answer::silence(),
        Answer::bytes("audio/pcm", ""),
        Answer::json(200, &json!({ "error": { "message": "no such voice" } })),
        audio(),
    ]);
    let model = config::Model { retries: 4, ..hasty(&server) };
    assert_eq!(spoken(speech(&model, Format::Pcm)).unwrap(), (24_000, vec![1, 2, 3], None));
    assert_eq!(server.asked().len(), 5);
    for (step, kind) in [(Step::Hang, ErrorKind::Stalled), (Step::Break, ErrorKind::CutOff)] {
        let server = Server::start([audio().then(step), audio()]);
        let model = config::Model { retries: 4, ..hasty(&server) };
        let (_, samples, error) = spoken(speech(&model, Format::Pcm)).unwrap();
        assert_eq!((samples, error.unwrap().kind), (vec![1, 2, 3], kind));
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn what_is_no_speech_has_a_kind() {
    for (format, answer, kind, part) in [
        (Format::Pcm, Answer::error(404, "no such model"), ErrorKind::Refused, "no such model"),
        (Format::Pcm, Answer::bytes("text/html", "<html>"), ErrorKind::Malformed, "no audio"),
        (Format::Pcm, Answer::json(200, &json!({ "ok": true })), ErrorKind::Malformed, "no audio"),
        (Format::Wav, Answer::bytes("audio/mpeg", "ID3 and so on"), ErrorKind::Malformed, "no WAV"),
        (Format::Wav, Answer::bytes("audio/wav", wav(&[])), ErrorKind::CutOff, "before any audio"),
        (Format::Wav, Answer::bytes("audio/wav", "RIFF"), ErrorKind::CutOff, "header"),
    ] {
        let server = Server::start([answer]);
        let error = spoken(speech(&model(&server), format)).unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(
            error.message.contains("`voice` at 127.0.0.1:") && error.message.contains(part),
            "{error}"
        );
    }
}

fn heard(transcription: Transcription) -> Result<Transcript, ModelError> {
    let samples: Vec<i16> = (0..1_600).collect();
    let recording = Recording {
        samples: &samples,
        rate_hz: 16_000,
        language: Some("en"),
        prompt: Some("Order seven."),
    };
    block_on(transcription.transcribe(recording))
}

#[test]
fn an_utterance_is_sent_as_a_file_and_comes_back_as_words() {
    let verbose = json!({
        "task": "transcribe", "language": "english", "duration": 0.1, "text": " My order. ",
        "segments": [{ "id": 0, "seek": 0, "start": 0.0, "end": 0.1, "text": " My order.", "tokens": [1],
            "temperature": 0.0, "avg_logprob": -0.25, "compression_ratio": 1.0, "no_speech_prob": 0.0 }],
    });
    for (detail, body, format, sure, language) in [
        (Detail::Words, json!({ "text": "My order." }), "json", None, None),
        (Detail::Segments, verbose, "verbose_json", Some((-0.25_f32).exp()), Some("english")),
        (
            Detail::Tokens,
            json!({ "text": "My order.", "logprobs": [{ "token": "My", "logprob": 0.0 }] }),
            "json",
            Some(1.0),
            None,
        ),
    ] {
        let server = Server::start([Answer::error(500, "no"), Answer::json(200, &body)]);
        let model = config::Model { retries: 1, ..model(&server) };
        let transcript = heard(transcription(&model, detail)).unwrap();
        assert_eq!(transcript.text, "My order.");
        assert_eq!(transcript.language.as_deref(), language);
        assert_eq!(transcript.confidence, sure);
        let asked = server.asked();
        assert_eq!((&*asked[1].path, asked.len()), ("/v1/audio/transcriptions", 2));
        let text = String::from_utf8_lossy(&asked[1].body).into_owned();
        for part in [
            "name=\"file\"; filename=\"utterance.wav\"",
            "RIFF",
            "small",
            "Order seven.",
            "\r\nen\r\n",
            format,
        ] {
            assert!(text.contains(part), "{part}");
        }
        assert_eq!(text.contains("include[]"), detail == Detail::Tokens);
    }
}

#[test]
fn what_is_no_transcript_has_a_kind() {
    for (answer, kind, part) in [
        (Answer::error(401, "no"), ErrorKind::Unauthorised, "KEY"),
        (Answer::json(200, &json!({ "words": "x" })), ErrorKind::Malformed, "no transcript"),
        (
            Answer::json(200, &json!({ "error": "out of memory" })),
            ErrorKind::Provider,
            "out of memory",
        ),
        (Answer::bytes("text/html", "<html>"), ErrorKind::Malformed, "no transcript"),
        (Answer::silence(), ErrorKind::TimedOut, "first_timeout_ms"),
        (Answer::bytes("application/json", "{").then(Step::Hang), ErrorKind::TimedOut, "first"),
    ] {
        let server = Server::start([answer]);
        let error = heard(transcription(&hasty(&server), Detail::Words)).unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(
            error.message.contains("`ears` at 127.0.0.1:") && error.message.contains(part),
            "{error}"
        );
    }
    let server = Server::start([]);
    let long = vec![0; 301 * 100];
    let recording = Recording { samples: &long, rate_hz: 100, ..Recording::default() };
    let error = block_on(transcription(&model(&server), Detail::Words).transcribe(recording));
    assert_eq!((error.unwrap_err().kind, server.asked().len()), (ErrorKind::TooLong, 0));
}
