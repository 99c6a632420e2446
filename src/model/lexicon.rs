//! What callers are expected to say, made into a recogniser's dictionary and language model.
//!
//! A general language model knows every word and expects none in particular. A front desk expects a
//! few dozen phrases, and a model of those alone is both many times faster and far more often
//! right. So the phrases of a configuration (`where is my order {number}`) are expanded here into
//! trigram counts, the counts into an ARPA model with back-off, and the words into a dictionary cut
//! out of the installed CMU one.
//!
//! The back-off matters: unlike a grammar it lets callers stop half-way, begin again or join two
//! phrases. What is not speech, or not about anything expected, is caught by *strays*: one filler
//! word for each phone of English, which explain any sound at a price, and which the recogniser
//! counts against its own confidence.
//!
//! A grammar (JSGF) of the same phrases was measured beside it. It is three times as fast and as
//! accurate, and of no use: it hears white noise as "uh", and a sentence on football as "when will
//! I get my refund", with nothing to tell them from the real thing.
//!
//! **Invariant:** text in, text out; nothing here knows of files, of native libraries or of audio.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::SpeechError;

mod arpa;

pub use arpa::LanguageModel;
use arpa::{Counts, Histories};

/// The words with which a `{slot}` of a phrase may be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotWords {
    /// One to eight spoken digits: "four two one seven".
    Digits,
    /// Any one of these, each a word or several: "blue", "navy blue".
    OneOf(Vec<String>),
}

/// The digits as callers say them; "oh" is how most people read a zero aloud.
const DIGITS: [&str; 11] =
    ["zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

/// Order and telephone numbers are read in groups of at most this many.
const DIGITS_MAX: usize = 8;

/// Sounds of listening, with their pronunciations: CMUdict lacks the hummed ones. They are part of
/// every lexicon, so that a hum comes out as a hum and not as the nearest phrase.
pub const BACKCHANNELS: [(&str, &[&str]); 5] = [
    ("mm-hmm", &["M HH M", "AH M HH AH M", "M M HH M"]),
    ("uh-huh", &["AH HH AH"]),
    ("hmm", &["HH M"]),
    ("um", &["AH M"]),
    ("uh", &["AH"]),
];

/// The phones of the CMU set; a stray stands for each.
const PHONES: [&str; 39] = [
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH",
    "IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH",
    "UW", "V", "W", "Y", "Z", "ZH",
];

/// Phrases more than this many words long are cut off, which bounds the counting.
const PHRASE_WORDS_MAX: usize = 64;

type Word = usize;
const START: Word = 0;
const END: Word = 1;

/// A closed set of phrases and the words they need.
#[derive(Debug, Clone)]
pub struct Lexicon {
    words: Vec<String>,
    phrases: Vec<Vec<Part>>,
}

/// One step of a phrase: the word sequences that may stand there.
#[derive(Debug, Clone)]
enum Part {
    Digits,
    OneOf(Vec<Vec<Word>>),
}

/// The dictionary cut out for a lexicon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dictionary {
    /// Lines of `word PHONES…`, as the recogniser reads them.
    pub text: String,
    /// Words of the phrases for which no pronunciation is known. They can't be heard.
    pub missing: Vec<String>,
}

impl Lexicon {
    /// Reads phrases such as `where is my order {number}`.
    ///
    /// # Errors
    /// A phrase names a slot that `slots` does not have.
    pub fn new(
        phrases: &[String],
        slots: &BTreeMap<String, SlotWords>,
    ) -> Result<Self, SpeechError> {
        let mut lexicon = Self { words: vec!["<s>".into(), "</s>".into()], phrases: Vec::new() };
        for (hum, _) in BACKCHANNELS {
            lexicon.add(hum, &BTreeMap::new())?;
        }
        for phrase in phrases {
            lexicon.add(phrase, slots)?;
        }
        Ok(lexicon)
    }

    fn add(
        &mut self,
        phrase: &str,
        slots: &BTreeMap<String, SlotWords>,
    ) -> Result<(), SpeechError> {
        let mut parts = Vec::new();
        for piece in phrase.split_whitespace().take(PHRASE_WORDS_MAX) {
            match piece.split_once('{').and_then(|(_, rest)| rest.split_once('}')) {
                None => parts.extend(
                    self.spell(piece).into_iter().map(|word| Part::OneOf(vec![vec![word]])),
                ),
                Some((slot, _)) => match slots.get(slot) {
                    Some(SlotWords::Digits) => {
                        for digit in DIGITS {
                            self.intern(digit);
                        }
                        parts.push(Part::Digits);
                    }
                    Some(SlotWords::OneOf(choices)) => {
                        let spelt: Vec<Vec<Word>> =
                            choices.iter().map(|words| self.spell(words)).collect();
                        parts.push(Part::OneOf(
                            spelt.into_iter().filter(|words| !words.is_empty()).collect(),
                        ));
                    }
                    None => {
                        let known: Vec<&str> = slots.keys().map(String::as_str).collect();
                        return Err(SpeechError::Failed(format!(
                            "phrase \"{phrase}\" has an unknown slot {{{slot}}}; \
                             known slots are: {}",
                            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
                        )));
                    }
                },
            }
        }
        self.phrases.push(parts);
        Ok(())
    }

    /// Words as a recogniser spells them: lower case, without the punctuation of writing.
    fn spell(&mut self, text: &str) -> Vec<Word> {
        let kept = |c: char| if c == '’' { '\'' } else { c };
        let text = text.to_lowercase().chars().map(kept).collect::<String>();
        text.split(|c: char| !(c.is_alphanumeric() || c == '\'' || c == '-'))
            .map(|word| word.trim_matches(['\'', '-']))
            .filter(|word| !word.is_empty())
            .take(PHRASE_WORDS_MAX)
            .map(|word| self.intern(word))
            .collect()
    }

    fn intern(&mut self, word: &str) -> Word {
        // A configuration has some hundred words; a map would not be felt.
        self.words.iter().position(|known| known == word).unwrap_or_else(|| {
            self.words.push(word.to_owned());
            self.words.len() - 1
        })
    }

    /// Cuts the needed words, with all their pronunciations, out of the text of a CMU dictionary.
    pub fn dictionary(&self, cmudict: &str) -> Dictionary {
        let wanted: BTreeSet<&str> = self.words[END + 1..].iter().map(String::as_str).collect();
        let mut found = BTreeSet::new();
        let mut text = String::new();
        for (hum, pronunciations) in BACKCHANNELS {
            found.insert(hum);
            for (nth, phones) in pronunciations.iter().enumerate() {
                let _ = match nth {
                    0 => writeln!(text, "{hum} {phones}"),
                    _ => writeln!(text, "{hum}({}) {phones}", nth + 1),
                };
            }
        }
        for phone in PHONES {
            let _ = writeln!(text, "[{phone}] {phone}");
        }
        let hums = found.clone();
        for line in cmudict.lines() {
            let Some((entry, _)) = line.split_once(char::is_whitespace) else { continue };
            // The second and further pronunciations of a word are listed as `word(2)`.
            let word = entry.split_once('(').map_or(entry, |(word, _)| word);
            if let Some(&word) = wanted.get(word)
                && !hums.contains(word)
            {
                found.insert(word);
                let _ = writeln!(text, "{line}");
            }
        }
        Dictionary {
            text,
            missing: wanted.difference(&found).map(|&word| word.to_owned()).collect(),
        }
    }

    /// What the phrases make one expect, leaving out the words in `missing`.
    pub fn language_model(&self, missing: &[String]) -> LanguageModel {
        let absent: BTreeSet<Word> =
            (0..self.words.len()).filter(|&word| missing.contains(&self.words[word])).collect();
        let mut counts = Counts::default();
        for phrase in &self.phrases {
            self.count(phrase, &absent, &mut counts);
        }
        LanguageModel::new(&self.words, &absent, counts)
    }

    /// Walks every way through a phrase at once: the histories so far, each with its share of one.
    fn count(&self, phrase: &[Part], absent: &BTreeSet<Word>, counts: &mut Counts) {
        let digits: Vec<Vec<Word>> = (0..self.words.len())
            .filter(|&word| DIGITS.contains(&self.words[word].as_str()) && !absent.contains(&word))
            .map(|word| vec![word])
            .collect();
        let mut at = Histories::from([((None, START), 1.0)]);
        for part in phrase {
            at = match part {
                Part::OneOf(choices) => counts.step(&at, choices, absent),
                Part::Digits => {
                    let mut out = Histories::new();
                    for round in 0..DIGITS_MAX {
                        at = counts.step(&at, &digits, absent);
                        // Every length is as likely as another: of eight rounds an eighth stops
                        // after the first, a seventh of the rest after the second, and so on.
                        let stop = 1.0 / (DIGITS_MAX - round) as f64;
                        for (&history, share) in &mut at {
                            *out.entry(history).or_default() += *share * stop;
                            *share *= 1.0 - stop;
                        }
                    }
                    out
                }
            };
        }
        counts.step(&at, &[vec![END]], absent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_has_all_pronunciations_of_the_needed_words_and_a_list_of_the_others() {
        let phrases = ["The zyxxy desk’s \"order\", please"].map(String::from);
        let lexicon = Lexicon::new(&phrases, &BTreeMap::new()).expect("there are no slots");
        let cmudict = "desk's D EH S K S\norder AO R D ER\nordered AO R D ER D\n\
                       the DH AH\nthe(2) DH IY\nuh UH\n";
        let dictionary = lexicon.dictionary(cmudict);
        assert_eq!(dictionary.missing, ["please", "zyxxy"]);
        for line in [
            "order AO R D ER",
            "the DH AH",
            "the(2) DH IY",
            "desk's D EH S K S",
            "uh-huh AH HH AH",
            "[ZH] ZH",
        ] {
            assert!(dictionary.text.lines().any(|known| known == line), "{line}");
        }
        assert!(!dictionary.text.contains("ordered") && !dictionary.text.contains("uh UH"));
        let arpa = lexicon.language_model(&dictionary.missing).arpa;
        assert!(
            arpa.contains(" the desk's\n") || arpa.contains(" the desk's "),
            "the gap closes: {arpa}"
        );
        assert!(!arpa.contains("zyxxy") && !arpa.contains("please"));
    }

    #[test]
    fn an_unknown_slot_is_named_with_the_known_ones() {
        let slots = BTreeMap::from([("number".to_owned(), SlotWords::Digits)]);
        let Err(SpeechError::Failed(why)) = Lexicon::new(&["order {nubmer}".into()], &slots) else {
            panic!("accepted")
        };
        assert_eq!(
            why,
            "phrase \"order {nubmer}\" has an unknown slot {nubmer}; known slots are: number"
        );
    }
}
