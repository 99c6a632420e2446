//! Models of others as engines: one that hears, and one that speaks.
//!
//! They are asked on a runtime, and waited for on the thread of the engine: those of a pool in real time, that
//! of the session in virtual time.
//!
//! **Invariant:** an engine holds nothing of an utterance beyond its end.

use std::ops::ControlFlow;
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::runtime::Handle;

use super::speech::{PCM_HZ, Utterance};
use super::transcription::Recording;
use super::{Speech, Transcription};
use crate::clock::Rate;
use crate::model::{Recognised, Recogniser, SpeechError, Synthesiser};
use crate::pcm::resample::{Resampler, ResamplerTable};
use crate::think::chat::ModelError;

/// A model that speaks, as a synthesiser. Its voices are whichever its provider has.
#[derive(Debug)]
pub struct Voice {
    speech: Arc<Speech>,
    runtime: Handle,
}

impl Voice {
    /// A voice that is asked on this runtime, which another thread drives.
    #[must_use]
    pub const fn new(speech: Arc<Speech>, runtime: Handle) -> Self {
        Self { speech, runtime }
    }
}

fn failed(error: ModelError) -> SpeechError {
    SpeechError::Failed(error.message)
}

impl Synthesiser for Voice {
    fn rate_hz(&self) -> u32 {
        PCM_HZ
    }

    fn speak(
        &mut self,
        text: &str,
        voice: &str,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), SpeechError> {
        self.runtime.block_on(async {
            let utterance = Utterance { text, voice, ..Utterance::default() };
            let mut pieces = self.speech.speak(utterance).await.map_err(failed)?;
            let mut other: Option<(ResamplerTable, Resampler)> = None;
            let mut converted = Vec::new();
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(failed)?;
                let told = if piece.rate_hz == PCM_HZ {
                    sink(&piece.samples)
                } else {
                    let (table, resampler) = other.get_or_insert_with(|| {
                        let table = ResamplerTable::new(piece.rate_hz, PCM_HZ);
                        let resampler = Resampler::new(&table);
                        (table, resampler)
                    });
                    converted.clear();
                    resampler.push(table, &piece.samples, &mut converted);
                    sink(&converted)
                };
                if told.is_break() {
                    return Ok(());
                }
            }
            if let Some((table, resampler)) = &mut other {
                converted.clear();
                resampler.flush(table, &mut converted);
                let _ = sink(&converted);
            }
            Ok(())
        })
    }

    fn voices(&self) -> Vec<String> {
        Vec::new()
    }

    fn streams(&self) -> bool {
        true
    }
}

/// A model that hears, as a recogniser: it is asked when an utterance is over.
#[derive(Debug)]
pub struct Ear {
    transcription: Arc<Transcription>,
    runtime: Handle,
    language: Option<String>,
    pcm: Vec<i16>,
}

impl Ear {
    /// An ear that is asked on this runtime, which another thread drives. `language` is what is spoken, as ISO
    /// 639-1 has it.
    #[must_use]
    pub const fn new(
        transcription: Arc<Transcription>,
        runtime: Handle,
        language: Option<String>,
    ) -> Self {
        Self { transcription, runtime, language, pcm: Vec::new() }
    }
}

impl Recogniser for Ear {
    fn begin(&mut self) -> Result<(), SpeechError> {
        self.pcm.clear();
        Ok(())
    }

    fn feed(&mut self, pcm: &[i16]) -> Result<(), SpeechError> {
        self.pcm.extend_from_slice(pcm);
        Ok(())
    }

    fn partial(&mut self) -> Option<String> {
        None
    }

    fn end(&mut self) -> Result<Recognised, SpeechError> {
        let samples = std::mem::take(&mut self.pcm);
        let recording = Recording {
            samples: &samples,
            rate_hz: Rate::SPEECH.hz(),
            language: self.language.as_deref(),
            prompt: None,
        };
        let asked = self.runtime.block_on(self.transcription.transcribe(recording));
        let heard = asked.map_err(failed)?;
        // A server that does not say how sure it is is believed.
        Ok(Recognised { text: heard.text, confidence: heard.confidence.unwrap_or(1.0) })
    }
}
