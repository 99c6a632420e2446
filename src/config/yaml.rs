//! YAML as a tree that remembers where everything stood.
//!
//! The tree is built from the parser's events rather than taken from a loader, because three things
//! have to hold together: every key and value keeps its line and column, every duplicate key is
//! reported (not only the first), and nothing that a file can say makes the reader use more than a
//! bounded amount of memory or stack.
//!
//! The tree can also be pruned: what a schema refuses is taken out, so that the rest can still be
//! checked. A map that lost something is `incomplete`, and what seems wrong only because of that is
//! not reported.
//!
//! **Invariant:** no tree is deeper than [`DEPTH_MAX`] or holds more than [`NODES_MAX`] nodes,
//! aliases included.

use serde_json::Value;

use super::complaint::{Complaint, Mark};
use super::document::Shape;

/// The largest file that is read, in bytes: twice what 10,000 agents and 100,000 transitions take.
pub const SIZE_MAX: usize = 16 << 20;
/// So deep may maps and lists nest. The deepest key of a configuration lies at 9; the rest is for
/// JSON in tools.
pub const DEPTH_MAX: usize = 64;
/// So many values may a file hold, those that aliases repeat included: as many as fit into
/// [`SIZE_MAX`] when written in a sensible way.
pub const NODES_MAX: usize = 1_600_000;

/// A way through the tree: keys, and positions in lists as decimal text. A node's own kind decides
/// which is meant.
pub(super) type Place = Vec<String>;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) mark: Mark,
    pub(super) content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Null, a boolean, a number or a text.
    Scalar(Value),
    /// Values, each with the position that it has in the file.
    List(Vec<(usize, Node)>),
    /// Entries in the order of the file.
    Map { entries: Vec<Entry>, incomplete: bool },
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) mark: Mark,
    pub(super) node: Node,
}

impl Node {
    /// The same value without positions.
    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(|(_, node)| node.to_json()).collect(),
            Content::Map { entries, .. } => {
                entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect()
            }
        }
    }

    /// The tree of no file: what is told about it has a path and no position.
    pub(super) fn empty() -> Self {
        Self { mark: Mark::default(), content: Content::Scalar(Value::Null) }
    }

    fn is_empty(&self) -> bool {
        matches!(self.content, Content::Scalar(Value::Null)) && self.mark == Mark::default()
    }

    /// Position and readable path of a value, or of the deepest value on the way to it that exists.
    pub(super) fn locate(&self, place: &[impl AsRef<str>]) -> (Mark, String) {
        if self.is_empty() {
            let steps: Vec<&str> = place.iter().map(AsRef::as_ref).collect();
            return (self.mark, steps.join("."));
        }
        let (mut node, mut path) = (self, String::new());
        for step in place {
            let Some((next, shown)) = node.step(step.as_ref()) else { break };
            if !path.is_empty() && !shown.starts_with('[') {
                path.push('.');
            }
            path.push_str(&shown);
            node = next;
        }
        (node.mark, path)
    }

    /// Position of the key that leads to a value.
    pub(super) fn locate_key(&self, map: &[impl AsRef<str>], key: &str) -> Mark {
        match self.get(map).map(|node| &node.content) {
            Some(Content::Map { entries, .. }) => {
                entries.iter().find(|entry| entry.key == key).map(|entry| entry.mark)
            }
            _ => None,
        }
        .unwrap_or_else(|| self.locate(map).0)
    }

    pub(super) fn get(&self, place: &[impl AsRef<str>]) -> Option<&Self> {
        place.iter().try_fold(self, |node, step| node.step(step.as_ref()).map(|(next, _)| next))
    }

    fn step(&self, step: &str) -> Option<(&Self, String)> {
        match &self.content {
            Content::Scalar(_) => None,
            Content::List(items) => {
                let (index, node) = items.get(step.parse::<usize>().ok()?)?;
                Some((node, node.name().map_or_else(|| format!("[{index}]"), str::to_owned)))
            }
            Content::Map { entries, .. } => {
                let entry = entries.iter().find(|entry| entry.key == step)?;
                Some((&entry.node, shown_key(step)))
            }
        }
    }

    fn name(&self) -> Option<&str> {
        match &self.step("name")?.0.content {
            Content::Scalar(Value::String(name)) if shown_key(name) == *name => Some(name),
            _ => None,
        }
    }

    /// Takes a value out of the tree; the map nearest to it becomes incomplete. False if there is
    /// no such value.
    pub(super) fn remove(&mut self, place: &[String]) -> bool {
        let Some((last, before)) = place.split_last() else { return false };
        // The nearest map is the holder, or what holds the list that holds the value.
        for depth in (0..=before.len()).rev() {
            if let Some(Content::Map { incomplete, .. }) = self.content_mut(&before[..depth]) {
                *incomplete = true;
                break;
            }
        }
        match self.content_mut(before) {
            Some(Content::Map { entries, .. }) => {
                let length = entries.len();
                entries.retain(|entry| entry.key != *last);
                entries.len() < length
            }
            Some(Content::List(items)) => match last.parse::<usize>() {
                Ok(position) if position < items.len() => {
                    items.remove(position);
                    true
                }
                _ => false,
            },
            Some(Content::Scalar(_)) | None => false,
        }
    }

    fn content_mut(&mut self, place: &[String]) -> Option<&mut Content> {
        let mut node = self;
        for step in place {
            node = match &mut node.content {
                Content::Scalar(_) => return None,
                Content::List(items) => &mut items.get_mut(step.parse::<usize>().ok()?)?.1,
                Content::Map { entries, .. } => {
                    &mut entries.iter_mut().find(|entry| entry.key == *step)?.node
                }
            };
        }
        Some(&mut node.content)
    }

    /// Whether the map at `place`, or the nearest above it that exists, has lost something: what is
    /// missing there may be what was lost.
    pub(super) fn is_incomplete(&self, place: &[impl AsRef<str>]) -> bool {
        let (mut node, mut nearest) = (self, false);
        for step in place.iter().map(Some).chain([None]) {
            if let Content::Map { incomplete, .. } = node.content {
                nearest = incomplete;
            }
            match step.and_then(|step| node.step(step.as_ref())) {
                Some((next, _)) => node = next,
                None => break,
            }
        }
        nearest
    }
}

/// A key as a path shows it: quoted where it would be misread.
fn shown_key(key: &str) -> String {
    let plain = !key.is_empty()
        && key.len() <= 64
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-$".contains(&b));
    if plain { key.to_owned() } else { format!("[{:?}]", super::complaint::excerpt(key)) }
}

/// Reads one YAML document. Complaints that do not keep the tree from being built come with it; a
/// complaint that does is the error.
pub(super) fn read(text: &[u8], shape: &Shape) -> Result<(Node, Vec<Complaint>), Complaint> {
    if text.len() > SIZE_MAX {
        let what =
            format!("the file has {} bytes, more than the {SIZE_MAX} that are read", text.len());
        let remedy = format!("a {} is a small text; is this the right file?", shape.noun);
        return Err(Complaint::of_file(what, remedy));
    }
    let text = std::str::from_utf8(text).map_err(|error| not_utf8(text, error.valid_up_to()))?;
    super::growth::grow(text.strip_prefix('\u{feff}').unwrap_or(text), shape)
}

fn not_utf8(bytes: &[u8], at: usize) -> Complaint {
    let before = &bytes[..at];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    let mark = Mark {
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(column).unwrap_or(u32::MAX),
    };
    let what = format!("not YAML: byte {at} is not UTF-8 text");
    Complaint::at(mark, String::new(), what, "save the file as UTF-8; is this the right file?")
}
