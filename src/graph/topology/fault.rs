//! What is wrong with a value that people wrote, and where in it.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// So many faults of one value are told, and as many warnings: more than a person mends in one go.
pub const FAULTS_MAX: usize = 100;

/// One thing that is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// The keys and positions that lead to it, from the root of the value; positions count from 0.
    pub place: Vec<String>,
    /// The character in the text there, from 1; none where the value as a whole is meant.
    pub column: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// A fault that was passed over, and how.
pub type Warning = Fault;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}", self.place.join("."))?;
        }
        if let Some(column) = self.column {
            let comma = if self.place.is_empty() { "" } else { ", " };
            write!(f, "{comma}character {column}")?;
        }
        if !self.place.is_empty() || self.column.is_some() {
            f.write_str(": ")?;
        }
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for Fault {}

/// What becomes of items that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lenience {
    /// They are faults, and there is no topology.
    #[default]
    Strict,
    /// They are skipped with a warning, and unknown nodes are added.
    Lenient,
}

/// A slip in a text: the byte where it begins, what is wrong and what to do.
#[derive(Debug)]
pub(in crate::graph) struct Slip {
    pub(in crate::graph) at: usize,
    pub(in crate::graph) what: String,
    pub(in crate::graph) remedy: String,
}

impl Slip {
    pub(super) fn new(at: usize, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { at, what: what.into(), remedy: remedy.into() }
    }

    /// The same slip in a text that has `by` bytes before the one looked at.
    pub(super) fn shifted(mut self, by: usize) -> Self {
        self.at += by;
        self
    }

    pub(super) fn in_text(self, text: &str) -> Fault {
        let column = Some(column_of(text, self.at));
        Fault { place: Vec::new(), column, what: self.what, remedy: self.remedy }
    }
}

/// The character, from 1, at a byte of a text.
pub(super) fn column_of(text: &str, at: usize) -> usize {
    text.char_indices().take_while(|(start, _)| *start < at).count() + 1
}

/// A place in a value, made of borrowed keys: a path is written only when there is a fault.
#[derive(Clone, Copy, Debug)]
pub(in crate::graph) struct Place<'a> {
    parent: Option<&'a Self>,
    key: Key<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Key<'a> {
    Root,
    Name(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    pub(in crate::graph) const ROOT: Self = Self { parent: None, key: Key::Root };

    pub(in crate::graph) const fn key(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), key: Key::Name(name) }
    }

    pub(in crate::graph) const fn item(&'a self, index: usize) -> Self {
        Self { parent: Some(self), key: Key::Index(index) }
    }

    fn path(&self) -> Vec<String> {
        let mut path = Vec::new();
        let mut at = Some(self);
        while let Some(place) = at {
            match place.key {
                Key::Root => {}
                Key::Name(name) => path.push(name.to_owned()),
                Key::Index(index) => path.push(index.to_string()),
            }
            at = place.parent;
        }
        path.reverse();
        path
    }
}

/// All that was found while a value was read.
#[derive(Debug)]
pub(in crate::graph) struct Findings {
    lenience: Lenience,
    faults: Told,
    warnings: Told,
}

#[derive(Debug, Default)]
struct Told {
    list: Vec<Fault>,
    more: usize,
}

impl Told {
    fn push(&mut self, fault: Fault) {
        if self.list.len() < FAULTS_MAX {
            self.list.push(fault);
        } else {
            self.more += 1;
        }
    }

    fn into_list(mut self, word: &str) -> Vec<Fault> {
        if self.more > 0 {
            let what = format!("there are {} more {word}", self.more);
            let remedy = "mend those above first".to_owned();
            self.list.push(Fault { place: Vec::new(), column: None, what, remedy });
        }
        self.list
    }
}

impl Findings {
    pub(in crate::graph) fn new(lenience: Lenience) -> Self {
        Self { lenience, faults: Told::default(), warnings: Told::default() }
    }

    pub(super) fn is_lenient(&self) -> bool {
        self.lenience == Lenience::Lenient
    }

    /// Whether another fault would still be told; who asks may spare a costly suggestion.
    pub(super) fn has_room(&self) -> bool {
        self.faults.list.len().max(self.warnings.list.len()) < FAULTS_MAX
    }

    /// Whether nothing is wrong so far.
    pub(in crate::graph) fn is_clean(&self) -> bool {
        self.faults.list.is_empty()
    }

    /// Tells what no lenience passes over.
    pub(in crate::graph) fn wrong(
        &mut self,
        place: &Place<'_>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (what, remedy) = (what.into(), remedy.into());
        self.faults.push(Fault { place: place.path(), column: None, what, remedy });
    }

    /// Tells what is a fault, or a warning to the lenient.
    pub(in crate::graph) fn doubtful(
        &mut self,
        place: &Place<'_>,
        column: Option<usize>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let fault = Fault { place: place.path(), column, what: what.into(), remedy: remedy.into() };
        match self.lenience {
            Lenience::Strict => self.faults.push(fault),
            Lenience::Lenient => self.warnings.push(fault),
        }
    }

    /// Tells of a slip in the text at a place: a fault, or a warning to the lenient.
    pub(super) fn slip(&mut self, place: &Place<'_>, text: &str, slip: Slip) {
        let column = Some(column_of(text, slip.at));
        self.doubtful(place, column, slip.what, slip.remedy);
    }

    /// What was read, with the warnings, if there was no fault.
    pub(in crate::graph) fn conclude<T>(self, read: T) -> Result<(T, Vec<Warning>), Vec<Fault>> {
        if self.faults.list.is_empty() {
            Ok((read, self.warnings.into_list("warnings")))
        } else {
            Err(self.faults.into_list("faults"))
        }
    }
}

/// What a value is, for a sentence.
pub(in crate::graph) const fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
