//! The files of `deploy/`, read just well enough to be held against the program.

use std::path::PathBuf;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the project.
#[track_caller]
pub(crate) fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A file of `deploy/`.
#[track_caller]
pub(crate) fn file(name: &str) -> String {
    text(&format!("deploy/{name}"))
}

/// Names, each with what is said behind it, in order.
#[derive(Debug)]
pub(crate) struct Said(Vec<(String, String)>);

impl Said {
    /// The Dockerfile: its instructions.
    pub(crate) fn image() -> Self {
        let text = file("Dockerfile").replace("\\\n", " ");
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let said = lines.map(|line| {
            let (name, value) =
                line.split_once(' ').expect("an instruction has something behind it");
            (name.to_owned(), value.trim().to_owned())
        });
        Self(said.collect())
    }

    /// The unit of systemd: its settings, whatever section they are in.
    pub(crate) fn unit() -> Self {
        let text = file("antiphon.service");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let said = lines.filter_map(|line| line.split_once('='));
        Self(said.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    pub(crate) fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn one(&self, name: &str) -> &str {
        let all: Vec<&str> = self.all(name).collect();
        let [one] = all.as_slice() else { panic!("{name} is said {} times", all.len()) };
        one
    }

    /// Words in the form that needs no shell, which would keep signals to itself.
    #[track_caller]
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        serde_json::from_str(self.one(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

/// The documents of a YAML file of `deploy/`.
#[track_caller]
pub(crate) fn documents(name: &str) -> Vec<Value> {
    yaml(&file(name))
}

/// What is not finished yet, while YAML is read.
enum Open {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

/// The documents of a YAML text: no anchors, no tags, and a plain word is a number or a truth if JSON takes it for one.
#[track_caller]
pub(crate) fn yaml(text: &str) -> Vec<Value> {
    let (mut documents, mut open) = (Vec::new(), Vec::new());
    for event in Parser::new_from_str(text) {
        let (event, span) = event.unwrap_or_else(|error| panic!("{error}"));
        let done = match event {
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Map::new(), None));
                continue;
            }
            Event::Scalar(text, ScalarStyle::Plain, ..) => {
                serde_json::from_str(&text).unwrap_or_else(|_| text.into_owned().into())
            }
            Event::Scalar(text, ..) => text.into_owned().into(),
            Event::SequenceEnd | Event::MappingEnd => match open.pop().expect("it was begun") {
                Open::List(items) => items.into(),
                Open::Map(entries, _) => entries.into(),
            },
            Event::Alias(_) => panic!("an alias in line {}", span.start.line()),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => continue,
        };
        match open.last_mut() {
            None => documents.push(done),
            Some(Open::List(items)) => items.push(done),
            Some(Open::Map(entries, key)) => match key.take() {
                None => *key = Some(done.as_str().expect("a key is a text").to_owned()),
                Some(key) => {
                    assert!(entries.insert(key.clone(), done).is_none(), "{key} is there twice");
                }
            },
        }
    }
    documents
}
