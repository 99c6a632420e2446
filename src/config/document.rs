//! How a file becomes a value: the one way for every kind of document.
//!
//! A kind of document is a type that derives its schema and implements [`Document`]. Its [`Shape`]
//! holds what is the same for every file of the kind.
//!
//! **Invariant:** a value that [`parse`] returns has the document's shape and passed its checks.

use std::io::{self, ErrorKind, Read};

use jsonschema::Validator;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::complaint::{Complaint, Complaints};
use super::schema::{self, Finding};
use super::yaml::{self, Node, SIZE_MAX};

/// A kind of document.
pub(super) trait Document: DeserializeOwned + JsonSchema {
    /// What is the same for every file of this kind.
    fn shape() -> &'static Shape;

    /// Everything that the schema cannot say and that is wrong, with the positions of `tree`.
    fn check(&self, tree: &Node) -> Vec<Complaint>;
}

/// What a kind of document looks like, and how complaints speak of it.
pub(super) struct Shape {
    /// What a file holds one of, such as `configuration`.
    pub(super) noun: &'static str,
    /// The keys that a file begins with, such as `` `cues:` ``.
    pub(super) opening: &'static str,
    /// Keys of which every file of this kind has one, and no other kind has any.
    pub(super) own: &'static [&'static str],
    /// Keys that only another kind of document has, and its noun.
    pub(super) others: &'static [(&'static str, &'static str)],
    /// The commands that take a file of the other kind.
    pub(super) elsewhere: &'static str,
    /// Where its keys are described, for what no complaint has words for.
    pub(super) reference: &'static str,
    /// A required key and a value for it, lent to a file without it so that the rest is checked.
    pub(super) lent: Option<(&'static str, &'static str)>,
    /// Finds texts whose form a schema cannot tell.
    pub(super) misformed: fn(&Node) -> Vec<Finding>,
    pub(super) schema: Value,
    pub(super) validator: Validator,
}

/// Reads a document from what an edge has opened: at most [`SIZE_MAX`] bytes of it.
pub(super) fn read<T: Document>(
    source: io::Result<impl Read>,
    file_name: &str,
) -> Result<T, Complaints> {
    let bound = u64::try_from(SIZE_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = Vec::new();
    match source.and_then(|source| source.take(bound).read_to_end(&mut text)) {
        Ok(_) => parse(&text, file_name),
        Err(error) => {
            let (what, remedy) = match error.kind() {
                ErrorKind::NotFound => ("there is no such file".into(), "check the path"),
                ErrorKind::IsADirectory => ("it is a folder".into(), "name a file in it"),
                _ => (format!("cannot be read: {error}"), "check the file and its permissions"),
            };
            Err(Complaints::about(file_name, vec![Complaint::of_file(what, remedy)]))
        }
    }
}

/// Reads a document from YAML text; `file_name` is what complaints call it.
pub(super) fn parse<T: Document>(text: &[u8], file_name: &str) -> Result<T, Complaints> {
    parse_with_tree(text, file_name).map(|(document, _)| document)
}

/// The same, with the positions of what was read.
pub(super) fn parse_with_tree<T: Document>(
    text: &[u8],
    file_name: &str,
) -> Result<(T, Node), Complaints> {
    let shape = T::shape();
    let refuse = |complaints| Err(Complaints::about(file_name, complaints));
    let (mut tree, mut complaints) = match yaml::read(text, shape) {
        Ok(read) => read,
        Err(complaint) => return refuse(vec![complaint]),
    };
    if let Some(noun) = other_kind(&tree, shape) {
        let what = format!("this is a {noun}, not a {}", shape.noun);
        return refuse(vec![Complaint::of_file(what, shape.elsewhere)]);
    }
    let (refused, sound) = schema::sift(&mut tree, shape);
    complaints.extend(refused);
    let Some(value) = sound else { return refuse(complaints) };
    // Whole numbers may be written as 20.0; only where serde objects is the value made over.
    let document = serde_json::from_value::<T>(value.clone())
        .or_else(|_| serde_json::from_value(schema::whole(value)));
    match document {
        Ok(document) => {
            complaints.extend(document.check(&tree));
            if complaints.is_empty() { Ok((document, tree)) } else { refuse(complaints) }
        }
        Err(error) => {
            let remedy = format!("compare with {}", shape.reference);
            complaints.push(Complaint::of_file(error.to_string(), remedy));
            refuse(complaints)
        }
    }
}

/// What a file holds one of instead, by the keys at its root.
fn other_kind(tree: &Node, shape: &Shape) -> Option<&'static str> {
    let has = |key: &str| tree.get(&[key]).is_some();
    if shape.own.iter().any(|key| has(key)) {
        return None;
    }
    shape.others.iter().find(|(key, _)| has(key)).map(|(_, noun)| *noun)
}
