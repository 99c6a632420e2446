//! Words with gaps: what an agent says, and what it passes to a tool.
//!
//! A gap is `{name}`, `{name.key.path}` or, with a filter, `{name:digits}`. Braces themselves are
//! written `{{` and `}}`. There are no conditions and no loops: what needs them is an intent or a
//! tool.
//!
//! ```text
//! template    = { text | "{{" | "}}" | "{" placeholder "}" }
//! placeholder = name { "." key } [ ":" filter ]
//! name        = letter or "_", then letters, digits, "_"
//! key         = letters, digits, "_", "-"
//! filter      = "digits"
//! ```
//!
//! **Invariant:** rendering cannot fail; a value that is not there leaves nothing, and `missing`
//! tells.

use std::fmt;
use std::str::FromStr;

use super::near::{excerpt, nearest};

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Gap(Gap),
}

/// A gap in a template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// What fills it, as it is looked up: `number`, `result.state`, `fact.name`.
    pub path: String,
    /// How the value is put into words.
    pub filter: Option<Filter>,
}

/// How a value is put into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Filter {
    /// Every letter and digit apart, other signs left out: "42-17" becomes "4 2 1 7". A synthesiser
    /// then says them one by one instead of as a large number.
    Digits,
}

impl Filter {
    const ALL: [(&'static str, Self); 1] = [("digits", Self::Digits)];

    fn apply(self, value: &str) -> String {
        match self {
            Self::Digits => {
                let mut apart = String::with_capacity(value.len() * 2);
                for sign in value.chars().filter(|sign| sign.is_alphanumeric()) {
                    if !apart.is_empty() {
                        apart.push(' ');
                    }
                    apart.push(sign);
                }
                apart
            }
        }
    }
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Where in the text, in characters from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at character {}; {}", self.what, self.column, self.remedy)
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// If a brace stands alone, a placeholder is not a name, or a filter is unknown.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..];
            let error = |what: String, remedy: &str| TemplateError {
                column: text[..text.len() - brace.len()].chars().count() + 1,
                what,
                remedy: remedy.to_owned(),
            };
            if let Some(after) = brace.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = brace.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else if let Some(after) = brace.strip_prefix('{') {
                let Some(end) = after.find(['{', '}']).filter(|end| after[*end..].starts_with('}'))
                else {
                    return Err(error(
                        "`{` is never closed".into(),
                        "write `{{` for the sign itself",
                    ));
                };
                let gap = gap(&after[..end]).map_err(|(what, remedy)| error(what, &remedy))?;
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(Part::Gap(gap));
                rest = &after[end + 1..];
            } else {
                return Err(error("`}` closes nothing".into(), "write `}}` for the sign itself"));
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// The paths that the gaps name, in order, each as often as it occurs.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.gaps().map(|gap| gap.path.as_str())
    }

    /// The gaps, in order.
    pub fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.parts.iter().filter_map(|part| match part {
            Part::Gap(gap) => Some(gap),
            Part::Text(_) => None,
        })
    }

    /// Fills the gaps. `lookup` gets each path without its filter; what it does not know leaves
    /// nothing.
    ///
    /// ```
    /// # use antiphon::talk::template::Template;
    /// let order = Template::parse("Order {number:digits} is {result.state}.")?;
    /// let said = order.render(&|path| match path {
    ///     "number" => Some("4217".into()),
    ///     "result.state" => Some("shipped".into()),
    ///     _ => None,
    /// });
    /// assert_eq!(said, "Order 4 2 1 7 is shipped.");
    /// # Ok::<(), antiphon::talk::template::TemplateError>(())
    /// ```
    #[must_use]
    pub fn render(&self, lookup: &dyn Fn(&str) -> Option<String>) -> String {
        let mut words = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => words.push_str(text),
                Part::Gap(Gap { path, filter }) => match (lookup(path), filter) {
                    (Some(value), Some(filter)) => words.push_str(&filter.apply(&value)),
                    (Some(value), None) => words.push_str(&value),
                    (None, _) => {}
                },
            }
        }
        words
    }

    /// The paths that `lookup` has no value for: what [`render`](Self::render) leaves out, for the
    /// log.
    pub fn missing(&self, lookup: &dyn Fn(&str) -> Option<String>) -> Vec<&str> {
        self.placeholders().filter(|path| lookup(path).is_none()).collect()
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        Self::parse(text)
    }
}

fn gap(inner: &str) -> Result<Gap, (String, String)> {
    let (path, filter) = match inner.split_once(':') {
        Some((path, filter)) => (path, Some(filter)),
        None => (inner, None),
    };
    let word = |text: &str, more: &[u8]| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    let mut keys = path.split('.');
    let name = keys.next().unwrap_or_default();
    if !word(name, b"_")
        || name.starts_with(|c: char| c.is_ascii_digit())
        || !keys.all(|key| word(key, b"_-"))
    {
        let what = format!("`{{{}}}` is not a placeholder", excerpt(inner));
        return Err((
            what,
            "write `{name}`, `{name.key}` or `{name:digits}`, without spaces".into(),
        ));
    }
    let filter = match filter {
        None => None,
        Some(text) => match Filter::ALL.iter().find(|(name, _)| *name == text) {
            Some((_, filter)) => Some(*filter),
            None => {
                let known = Filter::ALL.map(|(name, _)| name);
                let remedy = match nearest(text, known) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("there is `{}`", known.join("`, `")),
                };
                return Err((format!("unknown filter `{}`", excerpt(text)), remedy));
            }
        },
    };
    Ok(Gap { path: path.to_owned(), filter })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lookup(path: &str) -> Option<String> {
        match path {
            "number" => Some("42-17".into()),
            "result.day-2.0" => Some("Monday".into()),
            _ => None,
        }
    }

    #[test]
    fn gaps_are_filled_and_missing_ones_reported() {
        let table = [
            ("plain", "plain", ""),
            ("", "", ""),
            ("{number}!", "42-17!", ""),
            ("{number:digits} on {result.day-2.0}", "4 2 1 7 on Monday", ""),
            ("{{{number}}} and }}{{", "{42-17} and }{", ""),
            ("a {nobody}, b {fact.x}", "a , b ", "nobody fact.x"),
        ];
        for (text, said, missing) in table {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.render(&lookup), said, "{text}");
            assert_eq!(template.missing(&lookup).join(" "), missing, "{text}");
        }
    }

    #[test]
    fn errors_say_where_and_what_to_do() {
        let table = [
            ("é{", "`{` is never closed at character 2; write `{{` for the sign itself"),
            ("a}b", "`}` closes nothing at character 2; write `}}` for the sign itself"),
            ("{a{b}}", "`{` is never closed at character 1; write `{{` for the sign itself"),
            ("{a:digit}", "unknown filter `digit` at character 1; did you mean `digits`?"),
            ("{a:money}", "unknown filter `money` at character 1; there is `digits`"),
            (
                "{a b}",
                "`{a b}` is not a placeholder at character 1; write `{name}`, `{name.key}` or `{name:digits}`, without spaces",
            ),
            (
                "{}",
                "`{}` is not a placeholder at character 1; write `{name}`, `{name.key}` or `{name:digits}`, without spaces",
            ),
            (
                "{4}",
                "`{4}` is not a placeholder at character 1; write `{name}`, `{name.key}` or `{name:digits}`, without spaces",
            ),
            (
                "{a..b}",
                "`{a..b}` is not a placeholder at character 1; write `{name}`, `{name.key}` or `{name:digits}`, without spaces",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(Template::parse(text).unwrap_err().to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_or_complains(text in "[a{}:. é]{0,20}") {
            if let Ok(template) = Template::parse(&text) {
                let gaps = template.placeholders().count();
                prop_assert_eq!(template.missing(&|_| None).len(), gaps);
            }
        }

        #[test]
        fn doubled_braces_keep_any_text(text in ".{0,40}") {
            let escaped = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(Template::parse(&escaped).unwrap().render(&|_| None), text);
        }
    }
}
