//! Sentences whose times can be clicked and whose names and quotations stand out.
//!
//! Whoever keeps a text for a sentence keeps as much as a quotation shows ([`beginning`], [`ending`]): what
//! somebody says may be long.
//!
//! A sentence is a list of pieces; the page shows each as text of its own kind and never as markup, so
//! that what callers say stays what they say.

use std::fmt::{self, Display};

use serde::Serialize;

/// Characters of a quotation that are shown; what is cut off is replaced by an ellipsis.
pub(super) const QUOTE_MAX: usize = 160;

/// The same of a short one.
const GLIMPSE_MAX: usize = 72;

/// Sentences, as pieces.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Prose(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum Piece {
    Text(String),
    /// A place in the call, in milliseconds.
    At {
        at: u64,
    },
    /// A participant, an agent or a tool.
    Name {
        name: String,
    },
    /// Somebody's words.
    Quote {
        quote: String,
    },
    /// A word of the configuration, or a value.
    Code {
        code: String,
    },
}

impl Prose {
    pub(super) fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub(super) fn text(mut self, text: impl Into<String>) -> Self {
        let mut text = text.into();
        match self.0.last_mut() {
            Some(Piece::Text(last)) => last.push_str(&text),
            Some(Piece::Quote { quote }) if quote.ends_with(['.', '?', '!']) => {
                // A quotation that ends its sentence ends ours.
                if text.starts_with('.') {
                    text.remove(0);
                }
                self.0.push(Piece::Text(text));
            }
            _ => self.0.push(Piece::Text(text)),
        }
        self
    }

    #[must_use]
    pub(super) fn at(self, ms: u64) -> Self {
        self.put(Piece::At { at: ms })
    }

    #[must_use]
    pub(super) fn name(self, name: &str) -> Self {
        self.put(Piece::Name { name: name.to_owned() })
    }

    /// The beginning of a text.
    #[must_use]
    pub(super) fn quote(self, text: &str) -> Self {
        self.put(Piece::Quote { quote: beginning(text.trim(), QUOTE_MAX) })
    }

    /// Only the first words of a text.
    #[must_use]
    pub(super) fn glimpse(self, text: &str) -> Self {
        self.put(Piece::Quote { quote: beginning(text.trim(), GLIMPSE_MAX) })
    }

    /// Only its last words.
    #[must_use]
    pub(super) fn quote_end(self, text: &str) -> Self {
        self.put(Piece::Quote { quote: ending(text.trim(), GLIMPSE_MAX / 2) })
    }

    #[must_use]
    pub(super) fn code(self, code: impl Display) -> Self {
        self.put(Piece::Code { code: beginning(&code.to_string(), QUOTE_MAX) })
    }

    fn put(mut self, piece: Piece) -> Self {
        self.0.push(piece);
        self
    }
}

/// As a reader sees it.
impl Display for Prose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::At { at } => write!(f, "{}.{:02} s", at / 1_000, at % 1_000 / 10),
            Piece::Name { name } => f.write_str(name),
            Piece::Quote { quote } => write!(f, "“{quote}”"),
            Piece::Code { code } => f.write_str(code),
        })
    }
}

/// The first words of a text.
pub(super) fn beginning(text: &str, chars: usize) -> String {
    let Some((at, _)) = text.char_indices().nth(chars) else { return text.to_owned() };
    let cut = &text[..at];
    // At the last whole word, unless that is far back.
    let cut = cut.rfind(' ').filter(|space| *space * 2 > at).map_or(cut, |space| &cut[..space]);
    format!("{}…", cut.trim_end_matches([' ', ',', '.', ';', ':']))
}

/// The last words of a text.
pub(super) fn ending(text: &str, chars: usize) -> String {
    let Some(from) = text.chars().count().checked_sub(chars).filter(|from| *from > 0) else {
        return text.to_owned();
    };
    let at = text.char_indices().nth(from).map_or(0, |(at, _)| at);
    let cut = &text[at..];
    let cut =
        cut.find(' ').filter(|space| *space * 2 < cut.len()).map_or(cut, |space| &cut[space..]);
    format!("…{}", cut.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotations_are_cut_at_words() {
        assert_eq!(beginning("one two three", 99), "one two three");
        assert_eq!(beginning("one two, three", 9), "one two…");
        assert_eq!(beginning("ééééééééééééé", 5), "ééééé…");
        assert_eq!(ending("as long as it is", 12), "…as it is");
        assert_eq!(ending("short", 12), "short");
    }

    #[test]
    fn pieces_read_as_a_sentence() {
        let prose = Prose::new().text("At ").at(77_204).text(" ").name("returns").text(" said ");
        let prose = prose.quote("wait").text(", which is ").code(serde_json::json!({"a": 1}));
        assert_eq!(prose.to_string(), "At 77.20 s returns said “wait”, which is {\"a\":1}");
        let json = serde_json::to_value(&prose).unwrap();
        assert_eq!(json[1], serde_json::json!({ "at": 77_204 }));
    }
}
