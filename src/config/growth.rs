//! How a tree grows from the YAML parser's events.
//!
//! Events are pulled one by one and the open maps and lists are kept on a stack of our own, so that
//! a hostile file meets our bounds before the parser's recursion meets the end of the machine's
//! stack.
//!
//! **Invariant:** every node that is added is counted first; there is no way to a node past
//! [`NODES_MAX`].

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use serde_json::{Number, Value};

use super::complaint::{Complaint, Mark, excerpt};
use super::document::Shape;
use super::slip::remedy;
use super::yaml::{Content, DEPTH_MAX, Entry, NODES_MAX, Node};

/// Builds the tree of a text that holds exactly one document.
pub(super) fn grow(text: &str, shape: &Shape) -> Result<(Node, Vec<Complaint>), Complaint> {
    let mut growth = Growth::new(shape);
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| not_yaml(&error, text))?;
        growth.admit(event, span)?;
    }
    match growth.root {
        Some(root) => Ok((root, growth.complaints)),
        None => {
            let remedy = format!("begin with {}", shape.opening);
            Err(Complaint::of_file("the file is empty", remedy))
        }
    }
}

fn not_yaml(error: &ScanError, text: &str) -> Complaint {
    let (mark, info) = (mark(error.marker()), error.info());
    let what = format!("not YAML: {}", excerpt_of_info(info));
    Complaint::at(mark, String::new(), what, remedy(info, text, mark))
}

/// The parser's own words, on one line and not too long: they may quote the file.
fn excerpt_of_info(info: &str) -> String {
    info.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn mark(marker: &saphyr_parser::Marker) -> Mark {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Mark { line: number(marker.line().max(1)), column: number(marker.col() + 1) }
}

struct Growth<'a> {
    shape: &'a Shape,
    root: Option<Node>,
    open: Vec<Branch>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    complaints: Vec<Complaint>,
}

/// A map or list that is still being read.
struct Branch {
    node: Node,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<Key>,
    seen: BTreeSet<String>,
}

struct Key {
    text: String,
    mark: Mark,
    /// Whether the map has it already; the first one is kept.
    repeated: bool,
}

impl<'a> Growth<'a> {
    fn new(shape: &'a Shape) -> Self {
        Self {
            shape,
            root: None,
            open: Vec::new(),
            anchors: BTreeMap::new(),
            nodes: 0,
            complaints: Vec::new(),
        }
    }

    fn admit(&mut self, event: Event<'_>, span: Span) -> Result<(), Complaint> {
        let here = mark(&span.start);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => Err(self.refuse(
                here,
                "a second document begins",
                format!("a file holds one {}; remove `---`", self.shape.noun),
            )),
            Event::DocumentStart(_) => Ok(()),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(here, tag.is_some());
                if self.awaits_key() {
                    self.take_key(&text, here);
                    return Ok(());
                }
                let value = scalar(&text, style)
                    .map_err(|what| self.refuse(here, what, "JSON has no such number"))?;
                self.add(Node { mark: here, content: Content::Scalar(value) }, anchor, 1)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(here, tag.is_some());
                self.begin(Content::List(Vec::new()), here, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(here, tag.is_some());
                self.begin(Content::Map { entries: Vec::new(), incomplete: false }, here, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Branch { node, anchor, .. }) => self.add(node, anchor, 1),
                None => Ok(()),
            },
            Event::Alias(anchor) => self.repeat(anchor, here),
        }
    }

    fn awaits_key(&self) -> bool {
        self.open.last().is_some_and(|branch| {
            branch.key.is_none() && matches!(branch.node.content, Content::Map { .. })
        })
    }

    fn take_key(&mut self, key: &str, here: Mark) {
        let Some(branch) = self.open.last_mut() else { return };
        let repeated = !branch.seen.insert(key.to_owned());
        if repeated {
            let what = format!("key `{}` is written twice", excerpt(key));
            let complaint = self.refuse(here, what, "remove one of the two");
            self.complaints.push(complaint);
        }
        if let Some(branch) = self.open.last_mut() {
            branch.key = Some(Key { text: key.to_owned(), mark: here, repeated });
        }
    }

    fn begin(&mut self, content: Content, here: Mark, anchor: usize) -> Result<(), Complaint> {
        if self.awaits_key() {
            return Err(self.refuse(
                here,
                "a key is a list or a map",
                "a key is a text; one that begins with { or [ needs quotes",
            ));
        }
        if self.open.len() >= DEPTH_MAX {
            let what = format!("lists and maps nest deeper than {DEPTH_MAX}");
            return Err(self.refuse(
                here,
                what,
                format!("nothing in a {} is that deep", self.shape.noun),
            ));
        }
        self.open.push(Branch {
            node: Node { mark: here, content },
            anchor,
            key: None,
            seen: BTreeSet::new(),
        });
        Ok(())
    }

    /// Repeats an anchored value; it counts as if it were written out, and shows as standing where
    /// the alias stands.
    fn repeat(&mut self, anchor: usize, here: Mark) -> Result<(), Complaint> {
        if self.awaits_key() {
            return Err(self.refuse(
                here,
                "a key is an alias",
                "write the key out; a text that begins with * needs quotes",
            ));
        }
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(self.refuse(
                here,
                "an alias stands inside the value that it repeats",
                "write the value out",
            ));
        };
        let (size, depth) = measure(anchored);
        if self.open.len() + depth > DEPTH_MAX {
            let what = format!("with this alias, lists and maps nest deeper than {DEPTH_MAX}");
            return Err(self.refuse(here, what, "write the value out"));
        }
        self.count(size, here)?;
        let node = Node { mark: here, content: self.anchors[&anchor].content.clone() };
        self.add(node, 0, 0)
    }

    /// Adds a finished value, which counts for `size`, to the branch that is open.
    fn add(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), Complaint> {
        self.count(size, node.mark)?;
        if anchor > 0 {
            // The copy kept for aliases counts too: nested anchors would otherwise multiply the
            // tree by its depth.
            self.count(measure(&node).0, node.mark)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(branch) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut branch.node.content {
            Content::List(items) => items.push((items.len(), node)),
            Content::Map { entries, incomplete } => match branch.key.take() {
                Some(key) if key.repeated => *incomplete = true,
                Some(key) => entries.push(Entry { key: key.text, mark: key.mark, node }),
                None => {}
            },
            Content::Scalar(_) => unreachable!("only maps and lists are opened"),
        }
        Ok(())
    }

    fn count(&mut self, size: usize, here: Mark) -> Result<(), Complaint> {
        self.nodes += size;
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        let what = format!(
            "the file holds more than {NODES_MAX} values, those that aliases repeat included"
        );
        Err(self.refuse(here, what, format!("repeat less, or split the {}", self.shape.noun)))
    }

    fn refuse_tag(&mut self, here: Mark, tagged: bool) {
        if tagged {
            let complaint = self.refuse(
                here,
                "a tag stands before the value",
                "remove it, or quote a text that begins with !",
            );
            self.complaints.push(complaint);
        }
    }

    /// A complaint with the path of what is being read.
    fn refuse(&self, here: Mark, what: impl Into<String>, remedy: impl Into<String>) -> Complaint {
        let mut path = String::new();
        for branch in &self.open {
            match (&branch.node.content, &branch.key) {
                (Content::List(items), _) => path.extend(["[", &items.len().to_string(), "]"]),
                (_, Some(key)) => {
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(&excerpt(&key.text));
                }
                (_, None) => {}
            }
        }
        Complaint::at(here, path, what, remedy)
    }
}

/// How many nodes a tree holds, and how deep it is.
fn measure(node: &Node) -> (usize, usize) {
    let add = |(size, depth): (usize, usize), child: &Node| {
        let (more, below) = measure(child);
        (size + more, depth.max(below + 1))
    };
    match &node.content {
        Content::Scalar(_) => (1, 0),
        Content::List(items) => items.iter().map(|(_, node)| node).fold((1, 1), add),
        Content::Map { entries, .. } => entries.iter().map(|entry| &entry.node).fold((1, 1), add),
    }
}

/// The value of a scalar by the core schema of YAML 1.2: `yes` and `on` are texts, `0x1f` is a
/// number.
fn scalar(text: &str, style: ScalarStyle) -> Result<Value, &'static str> {
    if style != ScalarStyle::Plain {
        return Ok(text.into());
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(Value::from);
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => true.into(),
        "false" | "False" | "FALSE" => false.into(),
        ".nan" | ".NaN" | ".NAN" => return Err("`.nan` is not a number"),
        _ if matches!(text.trim_start_matches(['-', '+']), ".inf" | ".Inf" | ".INF") => {
            return Err("infinity is no value");
        }
        // Rust's own reader would also take "inf", "nan" and "infinity", which are words here.
        _ if !text.bytes().any(|b| b.is_ascii_digit()) => text.into(),
        _ => None
            .or_else(|| text.strip_prefix("0x").and_then(|digits| radix(digits, 16)))
            .or_else(|| text.strip_prefix("0o").and_then(|digits| radix(digits, 8)))
            .or_else(|| unsigned.parse::<u64>().ok().map(Value::from))
            .or_else(|| text.parse::<i64>().ok().map(Value::from))
            .or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64).map(Value::from))
            .unwrap_or_else(|| text.into()),
    })
}
