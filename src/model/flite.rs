//! Speaking: CMU Flite as a [`Synthesiser`].
//!
//! Flite turns a sentence into samples some sixty times faster than it takes to say it, so a text
//! is spoken sentence by sentence: the first is on its way to the caller while the others are still
//! letters, and an agent that is interrupted stops there. Texts come from configurations and from
//! models, so they are put into plain English letters first, and their length is bounded.
//!
//! Flite keeps its voices, its lexicon and its regular expressions in global variables without
//! locks, and its chance in the C library's. Every `Flite` of the process thus speaks through one
//! lock, held for one sentence (about 50 ms) and never while a sink runs.
//!
//! **Invariant:** the same text in the same voice gives the same samples, on whichever thread and
//! after whatever else.

use std::ops::ControlFlow;

use super::{SpeechError, Synthesiser};

/// All voices are brought to this rate; kal alone is recorded at half of it.
const RATE_HZ: u32 = 16_000;

/// Two minutes of speech. No caller listens to more in one go; what is beyond is not said.
const TEXT_CHARS_MAX: usize = 2_000;

/// Sentences are cut at a space before this many letters (some 15 s), which bounds the time the
/// lock is held.
const SENTENCE_CHARS_MAX: usize = 240;

/// Nor are they made shorter than this: "Dr. Smith" is one sentence, and "Hello." sounds better
/// with its follower.
const SENTENCE_CHARS_MIN: usize = 16;

/// 100 ms: how often a sink is asked whether to go on.
const PIECE_SAMPLES: usize = 1_600;

/// The installed voices.
#[derive(Debug, Clone)]
pub struct Flite {
    voices: Vec<&'static str>,
}

impl Flite {
    /// Opens the installed library with those of its voices that are there.
    ///
    /// # Errors
    /// The library, or every one of its voices, is missing.
    pub fn load() -> Result<Self, SpeechError> {
        ffi::voices().map(|voices| Self { voices })
    }
}

impl Synthesiser for Flite {
    fn rate_hz(&self) -> u32 {
        RATE_HZ
    }

    fn speak(
        &mut self,
        text: &str,
        voice: &str,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), SpeechError> {
        let Some(&voice) = self.voices.iter().find(|&&known| known == voice) else {
            let known = self.voices.join(", ");
            return Err(SpeechError::Failed(format!(
                "flite has no voice \"{voice}\"; it has {known}"
            )));
        };
        for sentence in sentences(&plain(text)) {
            let samples = ffi::synthesise(sentence, voice)?;
            for piece in samples.chunks(PIECE_SAMPLES) {
                if sink(piece).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn voices(&self) -> Vec<String> {
        self.voices.iter().map(|&voice| voice.to_owned()).collect()
    }
}

/// A text in the letters and signs that flite can read, without markup, of bounded length.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = match tag_length(rest) {
            Some(length) => {
                out.push(' ');
                &rest[length..]
            }
            None => {
                push_plain(&mut out, c);
                &rest[c.len_utf8()..]
            }
        };
        if out.len() > TEXT_CHARS_MAX {
            // The last word may be half a word by now.
            out.truncate(out[..TEXT_CHARS_MAX].rfind(' ').unwrap_or(TEXT_CHARS_MAX));
            break;
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The length of the tag a text begins with, if it does: `<break time="1s"/>`, but not the sign in
/// `a < b`.
fn tag_length(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('<')?;
    let named =
        inner.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
    inner.find('>').filter(|_| named).map(|end| end + 2)
}

fn push_plain(out: &mut String, c: char) {
    match c {
        ' '..='~' => out.push(c),
        '\u{2018}' | '\u{2019}' => out.push('\''),
        '\u{2013}' | '\u{2014}' => out.push_str(", "),
        '\u{2026}' => out.push_str("... "),
        '£' => out.push_str(" pounds "),
        '€' => out.push_str(" euros "),
        'à'..='å' | 'À'..='Å' => out.push('a'),
        'è'..='ë' | 'È'..='Ë' => out.push('e'),
        'ì'..='ï' | 'Ì'..='Ï' => out.push('i'),
        'ò'..='ö' | 'Ò'..='Ö' | 'ø' | 'Ø' => out.push('o'),
        'ù'..='ü' | 'Ù'..='Ü' => out.push('u'),
        'ç' | 'Ç' => out.push('c'),
        'ñ' | 'Ñ' => out.push('n'),
        'æ' | 'Æ' => out.push_str("ae"),
        'ß' => out.push_str("ss"),
        // Control characters, signs, letters of other scripts: nothing flite could say.
        _ => out.push(' '),
    }
}

/// Cuts a plain text into sentences; those with nothing to say in them are left out.
fn sentences(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let stop = rest.char_indices().zip(rest.chars().skip(1)).find_map(|((at, c), next)| {
            (at + 1 >= SENTENCE_CHARS_MIN && matches!(c, '.' | '!' | '?' | ';') && next == ' ')
                .then_some(at + 1)
        });
        let end = match stop.unwrap_or(rest.len()) {
            end if end <= SENTENCE_CHARS_MAX => end,
            _ => rest[..SENTENCE_CHARS_MAX]
                .rfind(' ')
                .filter(|&space| space > 0)
                .unwrap_or(SENTENCE_CHARS_MAX),
        };
        let (sentence, later) = rest.split_at(end);
        if sentence.contains(|c: char| c.is_ascii_alphanumeric()) {
            out.push(sentence.trim());
        }
        rest = later.trim_start();
    }
    out
}

/// The library itself. All the unsafe code is here; what it hands out is safe.
#[expect(unsafe_code, reason = "this module is the border to a C library")]
mod ffi {
    use std::ffi::{CString, c_char, c_int, c_uint, c_void};
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::{RATE_HZ, SpeechError};
    use crate::model::native::{self, Wanted};

    unsafe extern "C" {
        /// Of the C library. The breath in flite's voices is drawn from `rand`, so that no two
        /// renderings are alike; seeded for each sentence, they are. Another library that drew from
        /// it at the same moment would be heard; none that is linked here does.
        fn srand(seed: c_uint);
    }

    /// `cst_wave` of `cst_wave.h`.
    #[repr(C)]
    struct Wave {
        kind: *const c_char,
        sample_rate: c_int,
        num_samples: c_int,
        num_channels: c_int,
        samples: *mut i16,
    }

    struct Library {
        text_to_wave: unsafe extern "C" fn(*const c_char, *mut c_void) -> *mut Wave,
        resample: unsafe extern "C" fn(*mut Wave, c_int),
        delete_wave: unsafe extern "C" fn(*mut Wave),
        voices: Vec<(&'static str, *mut c_void)>,
    }

    // SAFETY: the pointers are to voices that live as long as the process and have no ties to a
    // thread; the mutex below sees to it that one thread at a time uses them.
    unsafe impl Send for Library {}

    /// The one library of the process, and the lock under which it is used.
    static LIBRARY: Mutex<Option<Library>> = Mutex::new(None);

    /// The smooth ones, made of statistics, before the rough ones, made of cut-up speech. Those two
    /// may write a line to stderr about a pair of sounds they lack; flite gives no way to stop it.
    const VOICES: [&str; 5] = ["slt", "rms", "awb", "kal16", "kal"];

    type Register = unsafe extern "C" fn(*const c_char) -> *mut c_void;

    fn locked() -> MutexGuard<'static, Option<Library>> {
        // A panic can't leave the library half-way: none can happen inside a call to it.
        LIBRARY.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn voices() -> Result<Vec<&'static str>, SpeechError> {
        let mut library = locked();
        if library.is_none() {
            *library = Some(open()?);
        }
        Ok(library
            .iter()
            .flat_map(|library| library.voices.iter().map(|&(name, _)| name))
            .collect())
    }

    fn part(stem: &str) -> Result<&'static libloading::Library, SpeechError> {
        native::open(&Wanted {
            stem,
            versions: &[1],
            variable: "ANTIPHON_FLITE_LIB",
            remedy: "install the Debian package libflite1 (Homebrew: flite)",
        })
    }

    fn open() -> Result<Library, SpeechError> {
        let base = part("flite")?;
        // The voices need these two; opened first, they are found even in a folder the system
        // doesn't search.
        part("flite_usenglish")?;
        part("flite_cmulex")?;
        let unfit = |error: libloading::Error| {
            SpeechError::Failed(format!(
                "the flite found is not version 2, or is damaged; reinstall libflite1: {error}"
            ))
        };
        let mut voices = Vec::new();
        let mut lacking = None;
        // SAFETY: each symbol is given the type its header declares, and the libraries are never
        // closed. A voice is registered once, after `flite_init`, under the lock that our caller
        // holds.
        unsafe {
            let init =
                base.get::<unsafe extern "C" fn() -> c_int>(b"flite_init\0").map_err(unfit)?;
            init();
            for name in VOICES {
                let library = match part(&format!("flite_cmu_us_{name}")) {
                    Ok(library) => library,
                    Err(error) => {
                        lacking = Some(error);
                        continue;
                    }
                };
                let register =
                    library.get::<Register>(format!("register_cmu_us_{name}\0")).map_err(unfit)?;
                let voice = register(std::ptr::null());
                if !voice.is_null() {
                    voices.push((name, voice));
                }
            }
            if voices.is_empty() {
                let nothing = || {
                    SpeechError::Failed(
                        "flite registered none of its voices; reinstall libflite1".into(),
                    )
                };
                return Err(lacking.unwrap_or_else(nothing));
            }
            Ok(Library {
                text_to_wave: *base.get(b"flite_text_to_wave\0").map_err(unfit)?,
                resample: *base.get(b"cst_wave_resample\0").map_err(unfit)?,
                delete_wave: *base.get(b"delete_wave\0").map_err(unfit)?,
                voices,
            })
        }
    }

    /// Speaks one sentence.
    pub(super) fn synthesise(sentence: &str, voice: &str) -> Result<Vec<i16>, SpeechError> {
        let failed = |what: &str| {
            SpeechError::Failed(format!(
                "flite {what} ({} letters in voice {voice})",
                sentence.len()
            ))
        };
        let text = CString::new(sentence).map_err(|_| failed("can't speak a zero byte"))?;
        let library = locked();
        let library = library.as_ref().ok_or_else(|| failed("is not open"))?;
        let Some(&(_, voice)) = library.voices.iter().find(|&&(name, _)| name == voice) else {
            return Err(failed("has no such voice"));
        };
        // SAFETY: text and voice are live during the call, which keeps neither; we hold the lock.
        // The wave is ours: its samples are copied before it is deleted, and nothing in between can
        // panic but an allocation, which aborts.
        unsafe {
            srand(1);
            let wave = (library.text_to_wave)(text.as_ptr(), voice);
            if wave.is_null() {
                return Err(failed("could not speak a sentence"));
            }
            if (*wave).sample_rate != RATE_HZ as c_int {
                (library.resample)(wave, RATE_HZ as c_int);
            }
            let length = usize::try_from((*wave).num_samples).unwrap_or(0);
            let samples = match (*wave).samples.is_null() {
                true => Vec::new(),
                false => std::slice::from_raw_parts((*wave).samples, length).to_vec(),
            };
            (library.delete_wave)(wave);
            Ok(samples)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flite() -> Flite {
        Flite::load().unwrap_or_else(|error| panic!("{error}"))
    }

    fn spoken(flite: &mut Flite, text: &str, voice: &str) -> Vec<i16> {
        let mut out = Vec::new();
        let speaking = flite.speak(text, voice, &mut |pcm| {
            out.extend_from_slice(pcm);
            ControlFlow::Continue(())
        });
        speaking.unwrap_or_else(|error| panic!("{error}"));
        out
    }

    #[test]
    fn the_same_text_gives_the_same_samples() {
        let mut flite = flite();
        for voice in flite.voices() {
            let first = spoken(&mut flite, "Your order was shipped on Monday.", &voice);
            spoken(&mut flite, "Something quite different in between: 42!", "slt");
            assert!(first.len() > 16_000, "{voice} said only {} samples", first.len());
            assert!(first.iter().any(|s| s.unsigned_abs() > 1_000), "{voice} is silent");
            let again = spoken(&mut flite, "Your order was shipped on Monday.", &voice);
            assert!(first == again, "{voice} said it otherwise the second time");
        }
    }

    #[test]
    fn four_threads_speak_at_once_and_say_what_one_would() {
        let texts = [
            "One moment, please.",
            "Your bill is twelve dollars.",
            "We open at nine.",
            "Goodbye, and thank you.",
        ];
        let alone: Vec<_> = texts.iter().map(|text| spoken(&mut flite(), text, "rms")).collect();
        let threads =
            texts.map(|text| std::thread::spawn(move || spoken(&mut flite(), text, "rms")));
        for (thread, alone) in threads.into_iter().zip(alone) {
            assert!(
                thread.join().expect("a speaking thread ends") == alone,
                "two threads mixed their voices"
            );
        }
    }

    #[test]
    fn a_sink_that_has_had_enough_is_not_called_again() {
        let mut calls = 0;
        let speaking = flite().speak(
            "The first sentence is here. The second sentence is not.",
            "slt",
            &mut |pcm| {
                assert!(pcm.len() <= PIECE_SAMPLES);
                calls += 1;
                ControlFlow::Break(())
            },
        );
        assert_eq!((speaking, calls), (Ok(()), 1));
    }

    #[test]
    fn an_unknown_voice_is_answered_with_the_known_ones() {
        let speaking = flite().speak("Hello.", "hal9000", &mut |_| ControlFlow::Continue(()));
        let Err(SpeechError::Failed(why)) = speaking else { panic!("spoke in an unknown voice") };
        assert!(why.starts_with("flite has no voice \"hal9000\"; it has slt"), "{why}");
    }

    #[test]
    fn nothing_sayable_is_silence_and_no_error() {
        for text in ["", " \n", "<speak></speak>", "\u{0}\u{7}", "日本語", "...", "<", "> <"] {
            assert!(spoken(&mut flite(), text, "slt").is_empty(), "{text:?}");
        }
    }

    #[test]
    fn texts_are_made_plain() {
        assert_eq!(
            plain("<speak>Hi\u{7}\tthere<break time=\"1s\"/>, Zoë\u{2019}s café</speak>"),
            "Hi there , Zoe's cafe"
        );
        assert_eq!(plain("is 3 < 4, or 4 > 3?"), "is 3 < 4, or 4 > 3?");
        assert_eq!(plain("one \u{2014} two"), "one , two");
        let long = plain(&"many words ".repeat(1_000));
        assert!(long.len() <= TEXT_CHARS_MAX && long.ends_with(" words many"), "{}", long.len());
        assert_eq!(plain(&"x".repeat(5_000)).len(), TEXT_CHARS_MAX);
    }

    #[test]
    fn sentences_are_neither_long_nor_very_short() {
        assert_eq!(
            sentences("Hello. I am here to help. What is it?"),
            ["Hello. I am here to help.", "What is it?"]
        );
        assert_eq!(sentences("It costs 4.50 today"), ["It costs 4.50 today"]);
        let long = "word ".repeat(400);
        let cut = sentences(&long);
        assert!(cut.iter().all(|sentence| sentence.len() <= SENTENCE_CHARS_MAX));
        assert_eq!(cut.join(" "), long.trim());
        assert_eq!(sentences(&"x".repeat(500)).concat().len(), 500);
    }
}
