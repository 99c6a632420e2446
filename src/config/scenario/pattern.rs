//! What a text is compared with.
//!
//! **Invariant:** a pattern that a reader accepted compiles.

use std::borrow::Cow;
use std::fmt;

use regex::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::talk::words::words;

/// A regular expression is at most so large when it is compiled, in bytes: as those of intents.
const COMPILED_MAX: usize = super::super::PATTERN_SIZE_MAX;

/// What a text is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Pattern {
    /// A regular expression that is found in it, if it stands between slashes; otherwise the very text.
    Text(String),
    /// Words that are all in it, in any order.
    Words(Vec<String>),
}

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What a text is compared with: the very text, a regular expression between \
                            slashes that is found in it, or a list of words that are all in it, in any order.",
            "type": ["string", "array"],
            "minLength": 1,
            "maxLength": 4000,
            "minItems": 1,
            "maxItems": 50,
            "items": { "type": "string", "minLength": 1, "maxLength": 200 },
        })
    }
}

impl Pattern {
    /// The pattern that is this very text.
    #[must_use]
    pub fn exactly(text: &str) -> Self {
        let text = text.trim();
        if expression(text).is_some() {
            Self::Text(format!("/^{}$/", regex::escape(text)))
        } else {
            Self::Text(text.to_owned())
        }
    }

    /// Whether a text fits.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        match self {
            Self::Words(_) => self.missing(text).is_empty(),
            Self::Text(wanted) => match expression(wanted) {
                Some(pattern) => compile(pattern).is_ok_and(|pattern| pattern.is_match(text)),
                None => wanted.trim() == text.trim(),
            },
        }
    }

    /// The words that are wanted and not in a text; none of a pattern without words.
    #[must_use]
    pub fn missing(&self, text: &str) -> Vec<&str> {
        let Self::Words(wanted) = self else { return Vec::new() };
        let found = words(text);
        let is_in = |word: &String| {
            let word = words(word);
            !word.is_empty() && found.windows(word.len()).any(|part| part == word)
        };
        wanted.iter().filter(|word| !is_in(word)).map(String::as_str).collect()
    }

    /// Whether it has to be compiled.
    pub(super) fn is_expression(&self) -> bool {
        matches!(self, Self::Text(text) if expression(text).is_some())
    }

    /// Why it cannot be compared with anything.
    pub(super) fn wrong(&self) -> Option<String> {
        match self {
            Self::Text(text) => expression(text).and_then(|pattern| compile(pattern).err()),
            Self::Words(wanted) => wanted
                .iter()
                .find(|word| words(word).is_empty())
                .map(|word| format!("`{word}` has no word in it")),
        }
    }
}

/// As it is written: the words in brackets, the expression between slashes, the text in quotation marks.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) if expression(text).is_some() => f.write_str(text),
            Self::Text(text) => write!(f, "“{}”", text.trim()),
            Self::Words(wanted) => write!(f, "the words [{}]", wanted.join(", ")),
        }
    }
}

/// What stands between slashes.
fn expression(text: &str) -> Option<&str> {
    text.strip_prefix('/')?.strip_suffix('/').filter(|pattern| !pattern.is_empty())
}

fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(COMPILED_MAX).build().map_err(|error| {
        let told = error.to_string();
        let last = told.lines().last().unwrap_or_default();
        last.trim_start_matches("error: ").to_owned()
    })
}
