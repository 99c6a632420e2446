//! Phrases: how a caller may say something, matched against what was heard.
//!
//! A phrase such as `where is my order {number}` is aligned with the words heard, in order; words may
//! be missing or extra on both sides, since recognisers drop and invent small words. What decides is
//! how much of the phrase is there; every slot has to be.

use std::collections::BTreeMap;

use crate::config::Slot;
use crate::talk::words::{with_numbers, words};

/// The share of a phrase's weight that has to be heard. At 0.7 a phrase of four words may lose one,
/// one of seven words two; shorter ones none.
const ENOUGH: f32 = 0.7;

/// How many words a slot weighs: a phrase is mostly recognised by its slots.
const SLOT_WEIGHT: u32 = 2;

/// The longest run of words that a slot of any words takes.
const ANY_WORDS_MAX: usize = 8;

/// A phrase, ready to be matched.
#[derive(Debug, Clone, PartialEq)]
pub struct Phrase {
    elements: Vec<Element>,
    weight: u32,
}

#[derive(Debug, Clone, PartialEq)]
enum Element {
    Word(String),
    Slot { name: String, words: SlotWords },
}

#[derive(Debug, Clone, PartialEq)]
enum SlotWords {
    Digits,
    OneOf(Vec<(String, Vec<String>)>),
    Any,
}

/// A match of a phrase.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// How well it fits, 0 to 1: mostly how much of the phrase was heard, and a little how much of
    /// what was heard the phrase explains.
    pub score: f32,
    /// What stood at the slots.
    pub slots: BTreeMap<String, String>,
}

impl Phrase {
    /// Reads a phrase; `{name}` stands for the slot of that name. Unknown slots take any words.
    #[must_use]
    pub fn new(text: &str, slots: &BTreeMap<String, Slot>) -> Self {
        let mut elements = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            push_words(&mut elements, &rest[..open]);
            let close = rest[open..].find('}').map_or(rest.len(), |at| open + at);
            let name = rest[open + 1..close].to_owned();
            let words = match slots.get(&name) {
                Some(Slot::Digits) => SlotWords::Digits,
                Some(Slot::OneOf { values }) => {
                    SlotWords::OneOf(values.iter().map(|v| (v.clone(), heard_as(v))).collect())
                }
                Some(Slot::Any) | None => SlotWords::Any,
            };
            elements.push(Element::Slot { name, words });
            rest = rest.get(close + 1..).unwrap_or("");
        }
        push_words(&mut elements, rest);
        let weight = elements.iter().map(Element::weight).sum();
        Self { elements, weight }
    }

    /// Aligns the phrase with words prepared by [`heard_as`]. `None` if too little of it is there.
    #[must_use]
    pub fn align(&self, heard: &[String]) -> Option<Match> {
        if self.weight == 0 {
            return None;
        }
        let table = Table::fill(&self.elements, heard);
        let best = table.at(0, 0).weight?;
        let share = best as f32 / self.weight as f32;
        if share < ENOUGH {
            return None;
        }
        let (slots, used) = table.read(&self.elements, heard);
        let explained = used as f32 / heard.len().max(1) as f32;
        Some(Match { score: 0.8 * share + 0.2 * explained, slots })
    }
}

/// A text as the words that phrases are aligned with.
#[must_use]
pub fn heard_as(text: &str) -> Vec<String> {
    with_numbers(&words(text))
}

fn push_words(elements: &mut Vec<Element>, text: &str) {
    elements.extend(heard_as(text).into_iter().map(Element::Word));
}

impl Element {
    const fn weight(&self) -> u32 {
        match self {
            Self::Word(_) => 1,
            Self::Slot { .. } => SLOT_WEIGHT,
        }
    }

    /// In how many words the element can be found at the start of `heard`, each a possibility.
    fn lengths(&self, heard: &[String]) -> Vec<usize> {
        match self {
            Self::Word(word) => (heard.first() == Some(word)).then_some(1).into_iter().collect(),
            Self::Slot { words, .. } => match words {
                SlotWords::Digits => {
                    let digits = |w: &String| w.bytes().all(|b| b.is_ascii_digit());
                    heard.first().is_some_and(digits).then_some(1).into_iter().collect()
                }
                SlotWords::OneOf(values) => {
                    let fits = values.iter().filter(|(_, v)| !v.is_empty() && heard.starts_with(v));
                    fits.map(|(_, v)| v.len()).collect()
                }
                SlotWords::Any => (1..=heard.len().min(ANY_WORDS_MAX)).collect(),
            },
        }
    }

    fn value(&self, heard: &[String]) -> String {
        match self {
            Self::Slot { words: SlotWords::OneOf(values), .. } => values
                .iter()
                .find(|(_, v)| v == heard)
                .map(|(value, _)| value.clone())
                .unwrap_or_default(),
            Self::Word(_) | Self::Slot { .. } => heard.join(" "),
        }
    }
}

/// The best alignment of every rest of the phrase with every rest of the words.
struct Table {
    cells: Vec<Cell>,
    width: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    /// The weight matched from here on; `None` if a slot cannot be filled.
    weight: Option<u32>,
    step: Step,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Step {
    #[default]
    End,
    SkipElement,
    SkipWord,
    Take(usize),
}

impl Table {
    fn fill(elements: &[Element], heard: &[String]) -> Self {
        let width = heard.len() + 1;
        let mut table = Self { cells: vec![Cell::default(); (elements.len() + 1) * width], width };
        for j in 0..width {
            table.cells[elements.len() * width + j] = Cell { weight: Some(0), step: Step::End };
        }
        for i in (0..elements.len()).rev() {
            for j in (0..width).rev() {
                let mut best = Cell::default();
                let mut offer = |weight: Option<u32>, step| {
                    if weight > best.weight {
                        best = Cell { weight, step };
                    }
                };
                // The order prefers matching early, and short slots over long ones.
                for len in elements[i].lengths(&heard[j..]) {
                    let rest = table.at(i + 1, j + len).weight;
                    offer(rest.map(|rest| rest + elements[i].weight()), Step::Take(len));
                }
                if matches!(elements[i], Element::Word(_)) {
                    offer(table.at(i + 1, j).weight, Step::SkipElement);
                }
                if j < heard.len() {
                    offer(table.at(i, j + 1).weight, Step::SkipWord);
                }
                table.cells[i * width + j] = best;
            }
        }
        table
    }

    fn at(&self, element: usize, word: usize) -> Cell {
        self.cells[element * self.width + word]
    }

    /// The slots of the best alignment, and how many words it used.
    fn read(&self, elements: &[Element], heard: &[String]) -> (BTreeMap<String, String>, usize) {
        let (mut i, mut j, mut used, mut slots) = (0, 0, 0, BTreeMap::new());
        loop {
            match self.at(i, j).step {
                Step::End => return (slots, used),
                Step::SkipElement => i += 1,
                Step::SkipWord => j += 1,
                Step::Take(len) => {
                    if let Element::Slot { name, .. } = &elements[i] {
                        slots.insert(name.clone(), elements[i].value(&heard[j..j + len]));
                    }
                    used += len;
                    i += 1;
                    j += len;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn align(phrase: &str, text: &str) -> Option<(f32, BTreeMap<String, String>)> {
        let slots = BTreeMap::from([
            ("number".to_owned(), Slot::Digits),
            ("thing".to_owned(), Slot::OneOf { values: vec!["shoes".into(), "blue shirt".into()] }),
            ("name".to_owned(), Slot::Any),
        ]);
        Phrase::new(phrase, &slots).align(&heard_as(text)).map(|m| (m.score, m.slots))
    }

    fn slot(phrase: &str, text: &str, name: &str) -> Option<String> {
        align(phrase, text).and_then(|(_, slots)| slots.get(name).cloned())
    }

    #[test]
    fn slots_are_filled() {
        let phrase = "where is my order {number}";
        assert_eq!(
            slot(phrase, "Hello, where is my order four two one seven?", "number").unwrap(),
            "4217"
        );
        assert_eq!(
            slot(phrase, "where is order 99", "number").unwrap(),
            "99",
            "a word may be missing"
        );
        assert_eq!(align(phrase, "where is my order"), None, "a slot may not");
        assert_eq!(
            slot("return my {thing}", "I return my blue shirt", "thing").unwrap(),
            "blue shirt"
        );
        assert_eq!(slot("my name is {name}", "my name is Ada", "name").unwrap(), "ada");
    }

    #[test]
    fn the_better_phrase_scores_higher() {
        let score = |phrase: &str, text: &str| align(phrase, text).map_or(0.0, |m| m.0);
        let text = "what is the return policy";
        assert!(score("what is the return policy", text) > score("return policy", text));
        assert_eq!(score("i want to return my shoes", text), 0.0);
        assert_eq!(score("goodbye", "good"), 0.0);
        assert_eq!(score("", "anything"), 0.0);
    }
}
