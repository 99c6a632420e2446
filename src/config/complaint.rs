//! What is wrong with a file, said so that it can be mended.
//!
//! A complaint says where (file, line, column, path), what happened, and what to do about it. A
//! file's complaints come all at once, in the order of the file, since one who mends a file wants
//! to do it in one go.
//!
//! **Invariant:** a [`Complaints`] that is returned as an error is not empty, is sorted, and holds
//! at most [`COMPLAINTS_MAX`] and a last one that counts the others.

use std::fmt;

use serde::Serialize;

pub(super) use crate::talk::near::{excerpt, listed, nearest, suggestion};

/// So many complaints about one file are shown: more than a person mends in one go.
pub const COMPLAINTS_MAX: usize = 100;

/// One thing that is wrong with a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Complaint {
    /// The file as it was named by the caller.
    pub file: String,
    /// The line, from 1; 0 where the file as a whole is meant.
    pub line: u32,
    /// The column in characters, from 1; 0 where the file as a whole is meant.
    pub column: u32,
    /// The way through the document, such as `agents.front_desk.intents.hours.phrases[0]`; empty at
    /// its root. Items of a list that have a `name` are shown by it.
    pub path: String,
    /// What is wrong, in words.
    pub what: String,
    /// What to do about it; empty where `what` says it all.
    pub remedy: String,
}

impl Complaint {
    /// Makes a complaint about a file as a whole.
    pub(super) fn of_file(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::at(Mark::default(), String::new(), what, remedy)
    }

    /// Makes a complaint about a place; `parse` adds the file's name.
    pub(super) fn at(
        mark: Mark,
        path: String,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            file: String::new(),
            line: mark.line,
            column: mark.column,
            path,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        f.write_str(": ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a file, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Complaints(pub Vec<Complaint>);

impl Complaints {
    /// Sorts, bounds and signs the complaints about `file`.
    pub(super) fn about(file: &str, mut complaints: Vec<Complaint>) -> Self {
        complaints.sort_by(|a, b| {
            (a.line, a.column, &a.path, &a.what).cmp(&(b.line, b.column, &b.path, &b.what))
        });
        complaints.dedup();
        let more = complaints.len().saturating_sub(COMPLAINTS_MAX);
        if more > 0 {
            complaints.truncate(COMPLAINTS_MAX);
            complaints.push(Complaint::of_file("there is more to mend", "mend these first"));
        }
        for complaint in &mut complaints {
            file.clone_into(&mut complaint.file);
        }
        Self(complaints)
    }
}

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, complaint) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            complaint.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Complaints {}

/// A position in the file, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) line: u32,
    pub(super) column: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_sorted_bounded_and_signed() {
        let at = |line| Complaint::at(Mark { line, column: 1 }, "a.b".into(), "wrong", "mend it");
        let all = Complaints::about("f.yaml", vec![at(7), at(2), at(7)]);
        assert_eq!(
            all.to_string(),
            "f.yaml:2:1: a.b: wrong; mend it\nf.yaml:7:1: a.b: wrong; mend it"
        );
        let many = Complaints::about("f.yaml", (1..=500).map(at).collect());
        assert_eq!(many.0.len(), COMPLAINTS_MAX + 1);
        assert_eq!(
            many.0[COMPLAINTS_MAX].to_string(),
            "f.yaml: there is more to mend; mend these first"
        );
    }
}
