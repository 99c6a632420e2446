//! What a check came to, and how it is told.

use std::fmt;

use console::{Style, Term};
use serde_json::{Map, Value, json};

/// How it is; what is not as it should be comes with what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Ok,
    /// Calls can be held, worse than they could be, or not by all ways.
    Warning(String),
    /// Calls that need this cannot be held.
    Failed(String),
    /// It was not looked at.
    Skipped(String),
}

impl State {
    /// Its name, how it looks in a terminal, and what to do.
    fn told(&self) -> (&'static str, Style, Option<&str>) {
        match self {
            Self::Ok => ("ok", Style::new().green(), None),
            Self::Warning(remedy) => ("warning", Style::new().yellow(), Some(remedy)),
            Self::Failed(remedy) => ("failed", Style::new().red().bold(), Some(remedy)),
            Self::Skipped(remedy) => ("skipped", Style::new().dim(), Some(remedy)),
        }
    }
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) state: State,
    /// What was found, for a person.
    pub(super) found: String,
    /// The same in figures, for a program; units stand last in their names.
    pub(super) figures: Map<String, Value>,
}

impl Finding {
    pub(super) fn ok(found: impl Into<String>) -> Self {
        Self::new(State::Ok, found)
    }

    pub(super) fn warning(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(State::Warning(remedy.into()), found)
    }

    pub(super) fn failed(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(State::Failed(remedy.into()), found)
    }

    pub(super) fn skipped(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(State::Skipped(remedy.into()), found)
    }

    fn new(state: State, found: impl Into<String>) -> Self {
        Self { state, found: found.into(), figures: Map::new() }
    }

    /// With these figures, an object.
    pub(super) fn with(mut self, figures: Value) -> Self {
        if let Value::Object(figures) = figures {
            self.figures.extend(figures);
        }
        self
    }
}

/// A finding under the name of its check.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    pub(super) name: &'static str,
    pub(super) finding: Finding,
}

/// Where texts begin: behind the longest state and the longest name.
const INDENT: usize = 17;

/// The narrowest terminal for which lines are broken.
const COLUMNS_MIN: usize = 50;

impl Told {
    pub(super) fn to_json(&self) -> Value {
        let Finding { state, found, figures } = &self.finding;
        let (name, _, remedy) = state.told();
        json!({
            "name": self.name, "state": name, "found": found, "remedy": remedy, "figures": figures
        })
    }
}

/// A line for what was found, and one for what to do; broken where a terminal ends.
impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { state, found, .. } = &self.finding;
        let (mark, style, remedy) = state.told();
        let terminal = Term::stdout();
        let columns = if terminal.is_term() { usize::from(terminal.size().1) } else { usize::MAX };
        let room = columns.max(COLUMNS_MIN).saturating_sub(INDENT);
        let mark = style.apply_to(format!("{mark:<7}"));
        write!(f, "{mark}  {:<7} {}", self.name, broken(found, room))?;
        match remedy {
            Some(remedy) => write!(f, "\n{:INDENT$}{}", "", broken(&format!("→ {remedy}"), room)),
            None => Ok(()),
        }
    }
}

/// A text in lines of so many characters where words allow it, all but the first indented.
fn broken(text: &str, room: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.lines() {
        let rest = paragraph.trim_start();
        let mut line = paragraph[..paragraph.len() - rest.len()].to_owned();
        for (at, word) in rest.split(' ').enumerate() {
            if at > 0 && line.chars().count() + 1 + word.chars().count() > room {
                lines.push(std::mem::take(&mut line));
            } else if at > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join(&format!("\n{:INDENT$}", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_and_its_remedy_another() {
        let told = |finding| Told { name: "disk", finding }.to_string();
        assert_eq!(told(Finding::ok("3 GB")), "ok       disk    3 GB");
        assert_eq!(
            told(Finding::failed("full", "remove\n  a.wav")),
            "failed   disk    full\n                 → remove\n                   a.wav"
        );
    }

    #[test]
    fn long_lines_are_broken_at_words() {
        assert_eq!(broken("one two three", 7), format!("one two\n{:17}three", ""));
        assert_eq!(broken("  kept as it is", 40), "  kept as it is");
        assert_eq!(broken("unbreakable", 4), "unbreakable");
    }
}
