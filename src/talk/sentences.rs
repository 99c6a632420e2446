//! Words that come in pieces, cut into what can be spoken: as soon as a sentence is whole, and not before.
//!
//! A model writes for a screen: what is no speech, marks for bold letters, headings and bullets, is left
//! out.
//!
//! **Invariant:** however the pieces are cut, the sentences are the same, and nothing but marks is lost.

use serde::{Deserialize, Serialize};

/// A sentence without an end is cut at its last comma or word when it has so many characters: about ten
/// seconds of speech, more than anybody waits for.
pub const CHARS_MAX: usize = 160;

/// Abbreviations with a full stop that ends no sentence, in lower case.
const ABBREVIATIONS: [&str; 21] = [
    "approx", "bzw", "ca", "co", "corp", "dr", "e.g", "etc", "i.e", "inc", "jr", "ltd", "mr",
    "mrs", "ms", "nr", "prof", "sr", "st", "vs", "z.b",
];

/// Cuts a text into sentences as it comes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentences {
    text: String,
}

impl Sentences {
    /// More of the text; the sentences that are whole now. Where one ends is known only when something
    /// follows it.
    pub fn push(&mut self, piece: &str) -> Vec<String> {
        let mut whole = Vec::new();
        // One by one, so that it is no matter where pieces are cut.
        for c in piece.chars() {
            let before = self.text.len();
            self.text.push(c);
            if self.ends_before(c, before) {
                let rest = self.text.split_off(before);
                whole.extend(spoken(&std::mem::replace(&mut self.text, rest)));
            } else if self.text.len() >= CHARS_MAX && self.text.chars().count() >= CHARS_MAX {
                let at = cut(&self.text);
                let rest = self.text.split_off(at);
                whole.extend(spoken(&std::mem::replace(&mut self.text, rest)));
            }
        }
        whole
    }

    /// The text is over: what is left of it.
    pub fn end(&mut self) -> Option<String> {
        spoken(&std::mem::take(&mut self.text))
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Whether a sentence ends where this character, at `at`, begins.
    fn ends_before(&self, c: char, at: usize) -> bool {
        let before = &self.text[..at];
        if c == '\n' {
            return !before.trim().is_empty();
        }
        // Marks and quotes after the full stop belong to it.
        let body = before.trim_end_matches(['"', '\'', ')', ']', '”', '’', '»', '*', '_']);
        match body.chars().next_back() {
            // These are followed by no space.
            Some('。' | '！' | '？') => !matches!(c, '”' | '’' | '」' | '）'),
            Some('!' | '?' | '…') => c.is_whitespace(),
            Some('.') => c.is_whitespace() && !is_abbreviated(body),
            _ => false,
        }
    }
}

/// Whether the full stop at the end of a text ends a word and no sentence: `Mr.`, `z.B.`, `3.`, `J.`.
fn is_abbreviated(text: &str) -> bool {
    let word = text.strip_suffix('.').unwrap_or(text);
    let word = word.rsplit(char::is_whitespace).next().unwrap_or_default();
    let word = word.trim_start_matches(['(', '[', '"', '\'', '*', '_', '“', '‘']);
    let mut letters = word.chars();
    let initial = matches!((letters.next(), letters.next()), (Some(c), None) if c.is_alphabetic() && c != 'I');
    // An enumeration counts its lines, and a date its days.
    let line = text.rsplit('\n').next().unwrap_or_default().trim_start_matches(['#', '>', ' ']);
    let numbered = line.strip_suffix('.').is_some_and(|number| {
        !number.is_empty() && number.len() <= 3 && number.chars().all(|c| c.is_ascii_digit())
    });
    initial || numbered || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

/// Where a sentence without an end is cut: after its last comma in the second half, else after its last
/// word, else anywhere.
fn cut(text: &str) -> usize {
    let middle = text.char_indices().nth(CHARS_MAX / 2).map_or(0, |(at, _)| at);
    let after = |at: usize| at + text[at..].chars().next().map_or(0, char::len_utf8);
    let comma = text.rfind([',', ';', ':', '–', '，', '、']).filter(|at| *at >= middle);
    let space = text.rfind(char::is_whitespace).filter(|at| *at > 0);
    comma.or(space).map_or(text.len(), after)
}

/// What of a text is spoken; none if nothing is.
fn spoken(text: &str) -> Option<String> {
    let mut line = text.trim();
    // Headings, quotations and bullets.
    let bare = line.trim_start_matches(['#', '>']);
    if bare.len() < line.len() && (bare.is_empty() || bare.starts_with(' ')) {
        line = bare.trim_start();
    }
    for bullet in ["- ", "* ", "• ", "+ "] {
        line = line.strip_prefix(bullet).unwrap_or(line);
    }
    let words: Vec<String> = line
        .split_whitespace()
        // Rules and fences.
        .filter(|word| !word.chars().all(|c| matches!(c, '-' | '*' | '=' | '`' | '|' | '~')))
        .map(|word| word.replace("**", "").replace("__", "").replace('`', ""))
        .map(|word| word.trim_matches(['*', '_']).to_owned())
        .filter(|word| !word.is_empty())
        .collect();
    let said = words.join(" ");
    said.chars().any(char::is_alphanumeric).then_some(said)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut_up(pieces: &[&str]) -> Vec<String> {
        let mut sentences = Sentences::default();
        let mut all: Vec<String> = pieces.iter().flat_map(|piece| sentences.push(piece)).collect();
        all.extend(sentences.end());
        all
    }

    #[test]
    fn a_sentence_is_whole_when_something_follows_it() {
        let mut sentences = Sentences::default();
        assert_eq!(sentences.push("It is no"), Vec::<String>::new());
        assert_eq!(sentences.push("on."), Vec::<String>::new(), "it may be 12.30");
        assert_eq!(sentences.push(" And"), ["It is noon."]);
        assert_eq!(sentences.end().as_deref(), Some("And"));
        assert!(sentences.is_empty() && sentences.end().is_none());
    }

    #[test]
    fn full_stops_that_end_nothing() {
        for whole in [
            "Mr. Smith paid 3.50 dollars, e.g. in coins.",
            "Das ist z.B. Dr. Meier.",
            "Call J. Doe at example.org now.",
            "Is it 12:30?",
        ] {
            assert_eq!(cut_up(&[whole]), [whole]);
        }
        assert_eq!(cut_up(&["So am I. Good."]), ["So am I.", "Good."]);
        assert_eq!(
            cut_up(&["He said \"No.\" Then he left!  Really?"]),
            ["He said \"No.\"", "Then he left!", "Really?"]
        );
        assert_eq!(cut_up(&["好的。我来查。"]), ["好的。", "我来查。"]);
    }

    #[test]
    fn marks_of_a_screen_are_not_spoken() {
        let text = "## Hours\n\n- **Monday**: nine to *six*\n- Sunday: `closed`\n\n1. Come in.\n---\n```\n";
        assert_eq!(
            cut_up(&[text]),
            ["Hours", "Monday: nine to six", "Sunday: closed", "1. Come in."]
        );
        assert_eq!(cut_up(&["…", " ", "***"]), Vec::<String>::new());
    }

    #[test]
    fn a_sentence_without_an_end_is_cut_all_the_same() {
        let clause = "one and two and three and four and five, ";
        let sentences = cut_up(&[&clause.repeat(20)]);
        assert!(sentences.len() > 4 && sentences.iter().all(|it| it.chars().count() <= CHARS_MAX));
        assert!(sentences[0].ends_with("five,"), "{}", sentences[0]);
        let endless = "x".repeat(1_000);
        assert_eq!(cut_up(&[&endless]).concat(), endless);
    }

    proptest! {
        #[test]
        fn where_pieces_are_cut_is_no_matter(
            text in "([A-Za-z]{1,8}|[0-9]|[.!?,。…\"*#\n-]| ){0,120}",
            at in 0..120_usize,
        ) {
            let at = text.floor_char_boundary(at.min(text.len()));
            let (begin, end) = text.split_at(at);
            prop_assert_eq!(cut_up(&[&text]), cut_up(&[begin, end]));
            let kept = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            prop_assert_eq!(kept(&cut_up(&[&text]).concat()), kept(&text), "no word is lost");
        }
    }
}
