//! Links as people write them: `A -> B`, `A <-> B`, `A <=> B`, `A <~> B`, `A <|> B`.

use std::fmt;
use std::str::FromStr;

use serde_json::Map;

use super::fault::{Fault, Slip};
use super::{Link, LinkKind, LinkPattern, name};
use crate::talk::near::{excerpt, suggestion};

/// Arrows; one that contains another stands before it.
pub(super) const ARROWS: [(&str, LinkPattern); 5] = [
    ("<->", LinkPattern::TwoWay),
    ("<=>", LinkPattern::Reflexive),
    ("<~>", LinkPattern::Alternating),
    ("<|>", LinkPattern::Symmetric),
    ("->", LinkPattern::None),
];

const REMEDY: &str = "write `A -> B`, or one of <->, <=>, <~>, <|> between the names";

/// A link as it was written.
pub(super) struct Written {
    pub(super) link: Link,
    /// The bytes where the names begin.
    pub(super) ends: [usize; 2],
}

/// A name as it was written, and the byte where it begins.
pub(super) fn name_at(text: &str, from: usize, to: usize) -> Result<(String, usize), Slip> {
    let part = &text[from..to];
    let name = name::read(part).map_err(|slip| slip.shifted(from))?;
    Ok((name, from + part.len() - part.trim_start().len()))
}

/// The one arrow in a text: where it begins and ends.
pub(super) fn arrow_in(text: &str) -> Result<(usize, usize, LinkPattern), Slip> {
    let mut found = None;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let arrow = ARROWS.iter().find(|(arrow, _)| text[at..].starts_with(arrow));
        match (arrow, found) {
            (Some((arrow, pattern)), None) => {
                found = Some((at, at + arrow.len(), *pattern));
                at += arrow.len();
            }
            (Some((arrow, _)), Some(_)) => {
                let what = format!("`{arrow}` is a second arrow");
                return Err(Slip::new(at, what, "write one link per item"));
            }
            (None, _) if matches!(c, '<' | '>' | '=' | '~' | '|') => {
                return Err(Slip::new(at, format!("`{c}` is not part of an arrow"), REMEDY));
            }
            (None, _) => at += c.len_utf8(),
        }
    }
    let what = || format!("`{}` has no arrow", excerpt(text.trim()));
    found.ok_or_else(|| Slip::new(text.len() - text.trim_start().len(), what(), REMEDY))
}

/// Reads a link: two names with an arrow between them, and its kind in parentheses unless it is
/// `invoke`.
pub(super) fn read(text: &str) -> Result<Written, Slip> {
    let (begin, end, pattern) = arrow_in(text)?;
    let (names_end, kind) = match text[end..].find('(') {
        None => (text.len(), LinkKind::Invoke),
        Some(open) => (end + open, kind_in(text, end + open)?),
    };
    let (from, from_at) = name_at(text, 0, begin)?;
    let (to, to_at) = name_at(text, end, names_end)?;
    let link = Link { from, to, kind, pattern, metadata: Map::new() };
    Ok(Written { link, ends: [from_at, to_at] })
}

/// The kind in the parentheses that open at a byte.
fn kind_in(text: &str, open: usize) -> Result<LinkKind, Slip> {
    let Some(word) = text[open + 1..].trim_end().strip_suffix(')') else {
        return Err(Slip::new(open, "the parenthesis is not closed", "end the link with `)`"));
    };
    LinkKind::named(word.trim()).ok_or_else(|| {
        let what = format!("`{}` is no kind of link", excerpt(word.trim()));
        Slip::new(open + 1, what, suggestion(word.trim(), "kinds", &LinkKind::NAMES))
    })
}

impl FromStr for Link {
    type Err = Fault;

    /// Reads `A -> B` and its like; what cannot be read is told with the character.
    fn from_str(text: &str) -> Result<Self, Fault> {
        read(text).map(|written| written.link.ordered()).map_err(|slip| slip.in_text(text))
    }
}

impl fmt::Display for Link {
    /// Writes the link as it is read; metadata is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.from, self.pattern.arrow(), self.to)?;
        match self.kind {
            LinkKind::Invoke => Ok(()),
            LinkKind::Notify | LinkKind::Query | LinkKind::Stream => {
                write!(f, " ({})", self.kind.name())
            }
        }
    }
}

impl LinkPattern {
    /// The arrow that it is written with.
    #[must_use]
    pub const fn arrow(self) -> &'static str {
        match self {
            Self::None => "->",
            Self::TwoWay => "<->",
            Self::Reflexive => "<=>",
            Self::Alternating => "<~>",
            Self::Symmetric => "<|>",
        }
    }
}
