//! Counting what follows what, and writing it down as an ARPA back-off model.
//!
//! The discount is the same everywhere: a fixed share of each distribution is kept for what was not
//! seen, and handed out in proportion to the next lower order. Phrases of a configuration are no
//! sample of what callers say, only a list of what they may, so that there is nothing finer to be
//! learnt from their frequencies.
//!
//! **Invariant:** after any two words, the probabilities of the words of the phrases add up to one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{END, PHONES, START, Word};

/// The price of a stray. Not a probability (39 of them would make two): it only has to be right
/// against the words. Measured: with 0.1 strays break into "how much do I owe"; with 0.01 they
/// explain too little of a sentence about a cake.
const STRAY: f64 = 0.05;

/// Share of probability kept for words that have not been seen after their two predecessors (and
/// again for those not seen after one). Measured: from 0.02 to 0.1 much alike; at 0.3 strays break
/// into the phrases.
const UNSEEN: f64 = 0.05;

/// What a lexicon's phrases make one expect.
#[derive(Debug, Clone)]
pub struct LanguageModel {
    /// The trigram model in ARPA form, as the recogniser reads it.
    pub arpa: String,
    pairs: BTreeSet<(String, String)>,
}

impl LanguageModel {
    /// Writes down what was counted, for all words but the absent ones.
    pub(super) fn new(words: &[String], absent: &BTreeSet<Word>, counts: Counts) -> Self {
        let spelt = |word: Word| words[word].clone();
        let pairs = counts
            .two
            .iter()
            .flat_map(|(&first, next)| {
                next.keys().map(move |&second| (spelt(first), spelt(second)))
            })
            .collect();
        let heard = (END..words.len()).filter(|word| !absent.contains(word)).collect();
        Self { arpa: Arpa { words, heard, counts }.text(), pairs }
    }

    /// How much of what was heard hangs together: the share of neighbours, counting both ends, that
    /// some phrase expects. Two phrases in a row hang together. Back-off lets any word follow any
    /// other, and this is where a sentence about something else, made of our words, is found out.
    pub fn coherence(&self, words: &[&str]) -> f32 {
        if words.is_empty() {
            return 0.0;
        }
        let seen =
            |first: &str, second: &str| self.pairs.contains(&(first.to_owned(), second.to_owned()));
        let joins =
            |first, second| seen(first, second) || (seen(first, "</s>") && seen("<s>", second));
        let line: Vec<&str> = [&["<s>"], words, &["</s>"]].concat();
        line.windows(2).filter(|pair| joins(pair[0], pair[1])).count() as f32
            / (words.len() + 1) as f32
    }
}

/// Shares of the ways that end in these last two words.
pub(super) type Histories = BTreeMap<(Option<Word>, Word), f64>;

/// How often each word, pair and triple stands in the phrases. A phrase with slots counts as one,
/// shared out over its ways.
#[derive(Default)]
pub(super) struct Counts {
    one: BTreeMap<Word, f64>,
    two: BTreeMap<Word, BTreeMap<Word, f64>>,
    three: BTreeMap<(Word, Word), BTreeMap<Word, f64>>,
}

impl Counts {
    /// Takes each way one step further, and counts what follows what.
    pub(super) fn step(
        &mut self,
        at: &Histories,
        choices: &[Vec<Word>],
        absent: &BTreeSet<Word>,
    ) -> Histories {
        let mut out = Histories::new();
        if choices.is_empty() {
            return at.clone();
        }
        for (&history, &share) in at {
            for choice in choices {
                let share = share / choices.len() as f64;
                let mut now = history;
                for &word in choice.iter().filter(|word| !absent.contains(word)) {
                    *self.one.entry(word).or_default() += share;
                    *self.two.entry(now.1).or_default().entry(word).or_default() += share;
                    if let Some(before) = now.0 {
                        *self.three.entry((before, now.1)).or_default().entry(word).or_default() +=
                            share;
                    }
                    now = (Some(now.1), word);
                }
                *out.entry(now).or_default() += share;
            }
        }
        out
    }
}

/// Writes counts as a back-off model.
struct Arpa<'a> {
    words: &'a [String],
    heard: Vec<Word>,
    counts: Counts,
}

impl Arpa<'_> {
    fn p1(&self, word: Word) -> f64 {
        let total: f64 = self.counts.one.values().sum();
        let seen = self.counts.one.get(&word).copied().unwrap_or(0.0) / total.max(1e-9);
        (1.0 - UNSEEN) * seen + UNSEEN / self.heard.len() as f64
    }

    fn p2(&self, before: Word, word: Word) -> f64 {
        match self.counts.two.get(&before) {
            None => self.p1(word),
            Some(next) => match next.get(&word) {
                Some(count) => (1.0 - UNSEEN) * count / next.values().sum::<f64>(),
                None => self.backoff2(before) * self.p1(word),
            },
        }
    }

    /// What is kept for unseen words, spread over the share those words have one order lower.
    fn backoff2(&self, before: Word) -> f64 {
        self.counts.two.get(&before).map_or(1.0, |next| {
            UNSEEN / (1.0 - next.keys().map(|&word| self.p1(word)).sum::<f64>()).max(1e-3)
        })
    }

    fn backoff3(&self, (first, second): (Word, Word)) -> f64 {
        self.counts.three.get(&(first, second)).map_or(1.0, |next| {
            UNSEEN / (1.0 - next.keys().map(|&word| self.p2(second, word)).sum::<f64>()).max(1e-3)
        })
    }

    fn text(&self) -> String {
        let (two, three) = (&self.counts.two, &self.counts.three);
        let (n1, n2, n3) = (
            self.heard.len() + 1 + PHONES.len(),
            two.values().map(BTreeMap::len).sum::<usize>(),
            three.values().map(BTreeMap::len).sum::<usize>(),
        );
        let w = |word: Word| self.words[word].as_str();
        let mut out = format!("\\data\\\nngram 1={n1}\nngram 2={n2}\nngram 3={n3}\n\n\\1-grams:\n");
        // A model never speaks its own start; -99 is how ARPA writes zero.
        let _ = writeln!(out, "-99 <s> {:.5}", self.backoff2(START).log10());
        for &word in &self.heard {
            let _ = writeln!(
                out,
                "{:.5} {} {:.5}",
                self.p1(word).log10(),
                w(word),
                self.backoff2(word).log10()
            );
        }
        for phone in PHONES {
            let _ = writeln!(out, "{:.5} [{phone}] 0.0", STRAY.log10());
        }
        out.push_str("\n\\2-grams:\n");
        for (&before, next) in two {
            for &word in next.keys() {
                let (p, back) = (self.p2(before, word), self.backoff3((before, word)));
                let _ =
                    writeln!(out, "{:.5} {} {} {:.5}", p.log10(), w(before), w(word), back.log10());
            }
        }
        out.push_str("\n\\3-grams:\n");
        for (&(first, second), next) in three {
            let total: f64 = next.values().sum();
            for (&word, count) in next {
                let p = (1.0 - UNSEEN) * count / total;
                let _ = writeln!(out, "{:.5} {} {} {}", p.log10(), w(first), w(second), w(word));
            }
        }
        out.push_str("\n\\end\\\n");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::lexicon::{Lexicon, SlotWords};

    fn desk() -> Lexicon {
        let phrases = ["Hello!", "where is my order {number}", "I want to return my {item}"]
            .map(String::from);
        let items = SlotWords::OneOf(vec!["shoes".into(), "blue shirt".into()]);
        let slots =
            BTreeMap::from([("number".to_owned(), SlotWords::Digits), ("item".to_owned(), items)]);
        Lexicon::new(&phrases, &slots).expect("the slots are known")
    }

    /// The probability the ARPA text gives to a line of words, by the rules of back-off.
    fn probability(arpa: &str, line: &[&str]) -> f64 {
        let mut grams = BTreeMap::new();
        for entry in arpa.lines() {
            let fields: Vec<&str> = entry.split_whitespace().collect();
            let Some(p) = fields.first().and_then(|field| field.parse::<f64>().ok()) else {
                continue;
            };
            let back = fields.last().and_then(|field| field.parse::<f64>().ok());
            let words: Vec<&str> =
                fields[1..].iter().filter(|field| field.parse::<f64>().is_err()).copied().collect();
            grams.insert(words, (p, back.unwrap_or(0.0)));
        }
        let mut sum = 0.0;
        for at in 1..line.len() {
            let mut first = at.saturating_sub(2);
            while !grams.contains_key(&line[first..=at]) {
                sum += grams.get(&line[first..at]).map_or(0.0, |&(_, back)| back);
                first += 1;
            }
            sum += grams[&line[first..=at]].0;
        }
        10f64.powf(sum)
    }

    #[test]
    fn after_every_history_the_words_share_one() {
        let model = desk().language_model(&[]);
        let words: Vec<&str> = model
            .arpa
            .lines()
            .skip_while(|line| *line != "\\1-grams:")
            .skip(1)
            .take_while(|l| !l.is_empty())
            .map(|line| line.split(' ').nth(1).expect("a unigram has a word"))
            .filter(|word| *word != "<s>" && !word.starts_with('['))
            .collect();
        for history in [
            ["<s>", "where"],
            ["my", "order"],
            ["four", "two"],
            ["order", "hello"],
            ["to", "return"],
        ] {
            let before = probability(&model.arpa, &history);
            let total: f64 = words
                .iter()
                .map(|word| probability(&model.arpa, &[history[0], history[1], word]) / before)
                .sum();
            assert!((total - 1.0).abs() < 0.01, "{history:?} {total}");
        }
    }

    #[test]
    fn every_length_of_number_is_expected_and_nonsense_is_not() {
        let arpa = desk().language_model(&[]).arpa;
        let said = |text: &str| {
            let line: Vec<&str> =
                ["<s>"].into_iter().chain(text.split(' ')).chain(["</s>"]).collect();
            probability(&arpa, &line).log10()
        };
        assert!(said("where is my order four") > -3.5, "{}", said("where is my order four"));
        assert!(said("where is my order four two one seven") > -7.0);
        assert!(said("i want to return my blue shirt") > -2.0);
        assert!(said("order shirt where blue hello") < -10.0);
    }

    #[test]
    fn phrases_hang_together_and_salads_do_not() {
        let model = desk().language_model(&[]);
        let coherence = |text: &str| model.coherence(&text.split_whitespace().collect::<Vec<_>>());
        assert_eq!(coherence("where is my order four two"), 1.0);
        assert_eq!(coherence("um hello where is my order one"), 1.0);
        assert_eq!(coherence("is where to my"), 0.0);
        assert_eq!(coherence(""), 0.0);
    }
}
