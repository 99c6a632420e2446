//! A synthesiser without a voice: a soft tone a word. Audible, immediate, the same everywhere.

use std::ops::ControlFlow;

use super::{SpeechError, Synthesiser};

/// Samples a second.
const RATE_HZ: u32 = 16_000;

/// Samples for each character of a word: 60 ms, the pace of unhurried speech.
const CHARACTER: usize = 960;

/// Samples between words: 80 ms.
const PAUSE: usize = 1_280;

/// Speaks in tones.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tone;

impl Synthesiser for Tone {
    fn rate_hz(&self) -> u32 {
        RATE_HZ
    }

    fn speak(
        &mut self,
        text: &str,
        _voice: &str,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), SpeechError> {
        for word in text.split_whitespace() {
            // A square wave of 125 to 235 Hz, by the word's length, at a twentieth of full scale.
            let letters = word.chars().count();
            let half = 64 - 3 * letters.min(10);
            let tone =
                (0..letters * CHARACTER).map(|n| if n / half % 2 == 0 { 1_600 } else { -1_600 });
            let pcm: Vec<i16> = tone.chain(std::iter::repeat_n(0, PAUSE)).collect();
            if sink(&pcm).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn voices(&self) -> Vec<String> {
        vec!["tone".to_owned()]
    }
}
