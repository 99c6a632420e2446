//! Hearing: CMU PocketSphinx as a [`Recogniser`], for the phrases of a [`Lexicon`].
//!
//! An utterance is collected as it comes and decoded whole, when it ends or when someone asks for a
//! partial. That is not laziness. Decoded piece by piece, PocketSphinx normalises its features by a
//! mean carried over from whatever it heard before; decoded whole, it takes the mean of the
//! utterance itself. Measured on the ten demo phrases, whole against piecemeal: over a telephone
//! band 9 of 10 right against 2, at 10 dB above noise 4 against 0. It costs about 40 ms of work for
//! each second of speech once the caller has stopped, which [`Recogniser::partial`], called during
//! the pause that ends a turn, spends before anybody waits for it.
//!
//! The confidence is the share of the sound that words explain, as opposed to noises and strays
//! (see [`super::lexicon`]), times the share of word pairs that the phrases expect. What is said of
//! the phrases comes out above 0.8, a lone stray word at a half: 0.6 is a fair line between.
//! PocketSphinx has a posterior of its own, but only with the third search, which is switched off.
//!
//! **Invariant:** what is made of an utterance depends on its samples alone: not on how they were
//! cut into pieces, nor on what was heard before. Sessions are replayed from their journal, so a
//! recogniser with a memory would lie.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::lexicon::{LanguageModel, Lexicon};
use super::{Recognised, Recogniser, SpeechError};

mod ffi;

/// 30 s at 16 kHz. Nobody speaks to a front desk that long without a pause; what comes after is not
/// heard. It also bounds the time of one decoding, to 1.2 s.
const UTTERANCE_SAMPLES_MAX: usize = 30 * 16_000;

/// Less than one analysis window (25.6 ms) cannot be decoded at all.
const UTTERANCE_SAMPLES_MIN: usize = 410;

/// Nor is anything below -60 dB of full scale decoded: that is a muted microphone, and features
/// made of nothing fit any word.
const SILENCE_PEAK: u16 = 33;

/// A partial is made anew only when this much has been heard since the last one (0.3 s, about a
/// word), so that a caller who asks at every tick costs a part of a core and not several.
const PARTIAL_SAMPLES: usize = 4_800;

/// The model's folder, after the variable: Debian, a local build, Homebrew.
const MODEL_FOLDERS: [&str; 3] = [
    "/usr/share/pocketsphinx/model/en-us",
    "/usr/local/share/pocketsphinx/model/en-us",
    "/opt/homebrew/share/pocketsphinx/model/en-us",
];
const MODEL_VARIABLE: &str = "ANTIPHON_POCKETSPHINX_MODEL";

/// A decoder for one call's ear.
pub struct PocketSphinx {
    decoder: ffi::Decoder,
    expected: LanguageModel,
    missing: Vec<String>,
    heard: Vec<i16>,
    /// The last decoding, and how many samples it was made of.
    last: Option<(usize, Recognised)>,
}

impl PocketSphinx {
    /// Opens the installed library and model, with a vocabulary of just this lexicon. Takes about
    /// 40 ms, and may be called from any thread.
    ///
    /// # Errors
    /// The library or its model is missing, or the temporary folder can't be written to.
    pub fn load(lexicon: &Lexicon) -> Result<Self, SpeechError> {
        let model = Model::find(std::env::var_os(MODEL_VARIABLE).map(PathBuf::from))?;
        let cmudict = std::fs::read_to_string(&model.dictionary).map_err(|error| {
            SpeechError::Failed(format!("could not read {}: {error}", model.dictionary.display()))
        })?;
        let dictionary = lexicon.dictionary(&cmudict);
        let expected = lexicon.language_model(&dictionary.missing);

        let folder = PrivateFolder::new()?;
        let words = folder.write("words.dict", &dictionary.text)?;
        let phrases = folder.write("phrases.lm", &expected.arpa)?;
        let decoder = ffi::Decoder::open(&model.acoustic, &words, &phrases)?;
        let heard = Vec::with_capacity(UTTERANCE_SAMPLES_MAX / 4);
        Ok(Self { decoder, expected, missing: dictionary.missing, heard, last: None })
    }

    /// Words of the lexicon that the installed dictionary cannot pronounce, and which are thus
    /// never heard.
    pub fn missing_words(&self) -> &[String] {
        &self.missing
    }

    fn decode(&mut self) -> Result<Recognised, SpeechError> {
        if let Some((samples, known)) = &self.last
            && *samples == self.heard.len()
        {
            return Ok(known.clone());
        }
        let loud = self.heard.iter().any(|sample| sample.unsigned_abs() > SILENCE_PEAK);
        let sounds = match self.heard.len() {
            UTTERANCE_SAMPLES_MIN.. if loud => self.decoder.decode(&self.heard)?,
            _ => Vec::new(),
        };
        let recognised = self.weigh(&sounds);
        self.last = Some((self.heard.len(), recognised.clone()));
        Ok(recognised)
    }

    /// Makes text and confidence of what was decoded.
    fn weigh(&self, sounds: &[Sound]) -> Recognised {
        let mut words = Vec::new();
        let (mut explained, mut strayed) = (0, 0);
        for Sound { name, frames } in sounds {
            match name.chars().next() {
                // Silence, and the ends of the utterance.
                Some('<') | None => {}
                Some('[') => strayed += frames,
                Some(_) => {
                    explained += frames;
                    // A second pronunciation of a word is named `word(2)`.
                    words.push(name.split('(').next().unwrap_or(name));
                }
            }
        }
        let share = explained as f32 / (explained + strayed).max(1) as f32;
        Recognised { text: words.join(" "), confidence: share * self.expected.coherence(&words) }
    }
}

impl Recogniser for PocketSphinx {
    fn begin(&mut self) -> Result<(), SpeechError> {
        self.heard.clear();
        self.last = None;
        Ok(())
    }

    fn feed(&mut self, pcm: &[i16]) -> Result<(), SpeechError> {
        let room = UTTERANCE_SAMPLES_MAX - self.heard.len();
        self.heard.extend_from_slice(&pcm[..pcm.len().min(room)]);
        Ok(())
    }

    fn partial(&mut self) -> Option<String> {
        let known = self.last.as_ref().map_or(0, |(samples, _)| *samples);
        let recognised = match &self.last {
            Some((_, recognised)) if self.heard.len() - known < PARTIAL_SAMPLES => {
                Ok(recognised.clone())
            }
            _ => self.decode(),
        };
        // A partial is a courtesy; what goes wrong here goes wrong again, and is reported, at the
        // end.
        recognised.ok().map(|recognised| recognised.text).filter(|text| !text.is_empty())
    }

    fn end(&mut self) -> Result<Recognised, SpeechError> {
        let recognised = self.decode();
        self.begin()?;
        recognised
    }
}

/// One word, noise or silence of a decoding.
struct Sound {
    name: String,
    frames: u32,
}

/// The parts of the installed model that are used.
struct Model {
    acoustic: PathBuf,
    dictionary: PathBuf,
}

impl Model {
    fn find(named: Option<PathBuf>) -> Result<Self, SpeechError> {
        let folders =
            named.clone().map_or(MODEL_FOLDERS.map(PathBuf::from).to_vec(), |folder| vec![folder]);
        for folder in &folders {
            let model = Self {
                acoustic: folder.join("en-us"),
                dictionary: folder.join("cmudict-en-us.dict"),
            };
            // The library ends the process when some of these are lacking, so they are looked for
            // here.
            let needed = [
                "feat.params",
                "mdef",
                "means",
                "variances",
                "transition_matrices",
                "sendump",
                "noisedict",
            ];
            if model.dictionary.is_file()
                && needed.iter().all(|file| model.acoustic.join(file).is_file())
            {
                return Ok(model);
            }
        }
        let places: Vec<String> =
            folders.iter().map(|folder| folder.display().to_string()).collect();
        Err(SpeechError::Missing {
            what: format!(
                "the English model of PocketSphinx (looked for in {})",
                places.join(", ")
            ),
            remedy: format!(
                "install the Debian packages libpocketsphinx3 and pocketsphinx-en-us (Homebrew: \
                 cmu-pocketsphinx), or set {MODEL_VARIABLE} \
                 to the folder that has en-us/ and cmudict-en-us.dict"
            ),
        })
    }
}

/// A folder of our own for the files by which the library takes its vocabulary; gone once they are
/// read.
struct PrivateFolder(PathBuf);

impl PrivateFolder {
    fn new() -> Result<Self, SpeechError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("antiphon-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let mut folder = std::fs::DirBuilder::new();
        // The phrases are a customer's business. An existing folder is refused: someone else may
        // have put it there.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
        match folder.create(&path) {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(SpeechError::Failed(format!(
                "could not make the folder {}: {error}",
                path.display()
            ))),
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, SpeechError> {
        let path = self.0.join(name);
        match std::fs::write(&path, text) {
            Ok(()) => Ok(path),
            Err(error) => {
                Err(SpeechError::Failed(format!("could not write {}: {error}", path.display())))
            }
        }
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // Nothing can be done about a temporary file that won't go; the system clears them away.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ops::ControlFlow;

    use super::*;
    use crate::model::Synthesiser;
    use crate::model::flite::Flite;
    use crate::model::lexicon::SlotWords;

    fn ear() -> PocketSphinx {
        let phrases = [
            "where is my order {number}",
            "what are your opening hours",
            "I want to return my shoes",
            "thank you, goodbye",
        ];
        let slots = BTreeMap::from([("number".to_owned(), SlotWords::Digits)]);
        let lexicon =
            Lexicon::new(&phrases.map(String::from), &slots).expect("the slots are known");
        PocketSphinx::load(&lexicon).unwrap_or_else(|error| panic!("{error}"))
    }

    fn said(text: &str) -> Vec<i16> {
        let mut flite = Flite::load().unwrap_or_else(|error| panic!("{error}"));
        let mut pcm = vec![0; 3_200];
        let speaking = flite.speak(text, "slt", &mut |piece| {
            pcm.extend_from_slice(piece);
            ControlFlow::Continue(())
        });
        speaking.unwrap_or_else(|error| panic!("{error}"));
        pcm
    }

    /// White noise from a small congruential generator, fading from a start: a cough, when short.
    fn burst(samples: usize, peak: i32) -> Vec<i16> {
        let mut state = 7_u32;
        let mut pcm = vec![0; 3_200];
        pcm.extend((0..samples).map(|at| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 16) as i32 - 32_768;
            (noise * peak / 32_768 * (samples - at) as i32 / samples as i32) as i16
        }));
        pcm.extend([0; 3_200]);
        pcm
    }

    fn heard(ear: &mut PocketSphinx, pcm: &[i16], piece: usize) -> Recognised {
        let mut hear = || {
            ear.begin()?;
            pcm.chunks(piece).try_for_each(|piece| ear.feed(piece))?;
            ear.end()
        };
        hear().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn phrases_are_heard_with_confidence() {
        let mut ear = ear();
        for text in [
            "where is my order four two one seven",
            "what are your opening hours",
            "i want to return my shoes",
        ] {
            let recognised = heard(&mut ear, &said(text), 320);
            assert_eq!(recognised.text, text);
            assert!(recognised.confidence > 0.8, "{recognised:?}");
        }
    }

    #[test]
    fn an_utterance_is_heard_alike_in_any_pieces_and_after_any_other() {
        let mut ear = self::ear();
        let (order, hours) =
            (said("where is my order four two one seven"), said("what are your opening hours"));
        let loud: Vec<i16> = hours.iter().map(|sample| sample.saturating_mul(3)).collect();
        let first = heard(&mut ear, &order, 320);
        heard(&mut ear, &loud, 320);
        heard(&mut ear, &burst(16_000, 20_000), 320);
        assert_eq!(heard(&mut ear, &order, 320), first, "after others");
        assert_eq!(heard(&mut ear, &order, 3_200), first, "in pieces of 200 ms");
        assert_eq!(heard(&mut ear, &order, 777), first, "in odd pieces");
        assert_eq!(
            heard(&mut self::ear(), &order, order.len()),
            first,
            "by another decoder, at once"
        );
    }

    #[test]
    fn noise_is_not_a_phrase_and_a_hum_is_a_hum() {
        let mut ear = ear();
        for (what, pcm) in [
            ("silence", vec![0; 16_000]),
            ("cough", burst(4_000, 20_000)),
            ("noise", burst(32_000, 3_000)),
        ] {
            let recognised = heard(&mut ear, &pcm, 320);
            assert!(
                recognised.text.is_empty() || recognised.confidence < 0.6,
                "{what}: {recognised:?}"
            );
        }
        assert_eq!(heard(&mut ear, &said("uh huh"), 320).text, "uh-huh");
    }

    #[test]
    fn talk_about_something_else_is_doubted() {
        let recognised =
            heard(&mut ear(), &said("my neighbour keeps seventeen rabbits in his garden"), 320);
        assert!(recognised.confidence < 0.6, "{recognised:?}");
    }

    #[test]
    fn a_partial_grows_and_an_empty_utterance_is_nothing() {
        let mut ear = ear();
        ear.begin().expect("begins");
        assert_eq!(ear.partial(), None);
        let pcm = said("what are your opening hours");
        ear.feed(&pcm[..pcm.len() / 2]).expect("hears");
        let half = ear.partial().expect("half a phrase is something");
        ear.feed(&pcm[pcm.len() / 2..]).expect("hears");
        let whole = ear.partial().expect("a phrase is something");
        assert!(half.len() < whole.len(), "{half:?} {whole:?}");
        assert_eq!(ear.end().expect("ends").text, whole);
        ear.begin().expect("begins again");
        assert_eq!(ear.end(), Ok(Recognised { text: String::new(), confidence: 0.0 }));
    }

    #[test]
    fn an_endless_utterance_is_cut_and_not_kept() {
        let mut ear = ear();
        ear.begin().expect("begins");
        for _ in 0..40 {
            ear.feed(&[0; 16_000]).expect("hears");
        }
        assert_eq!(ear.heard.len(), UTTERANCE_SAMPLES_MAX);
        assert_eq!(ear.end().expect("ends").text, "");
    }

    #[test]
    fn a_missing_model_says_what_to_install() {
        let Err(SpeechError::Missing { what, remedy }) = Model::find(Some("/nowhere".into()))
        else {
            panic!("found one")
        };
        assert_eq!(what, "the English model of PocketSphinx (looked for in /nowhere)");
        assert!(
            remedy.starts_with(
                "install the Debian packages libpocketsphinx3 and pocketsphinx-en-us (Homebrew: cmu-pocketsphinx)"
            ),
            "{remedy}"
        );
    }
}
