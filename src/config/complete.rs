//! The complete example has every key, each at its default: whoever adds a key adds it there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::choice::{Choice, choose};
use super::{Config, parse, schema, yaml};

/// A key that shows something although its default is an empty text.
const SHOWN: &str = "ToolResult.key";

const TEXT: &[u8] = include_bytes!("../../configs/complete.yaml");

/// The values of every key of the schema that a document has, by `Type.key`.
struct Seen<'a> {
    root: &'a Value,
    values: BTreeMap<String, Vec<Value>>,
}

impl Seen<'_> {
    fn look(&mut self, name: &str, rule: &Value, found: &Value) {
        if let Some(reference) = rule["$ref"].as_str() {
            let name = reference.trim_start_matches("#/$defs/");
            let rule = self.root["$defs"][name].clone();
            return self.look(name, &rule, found);
        }
        if let (Some(branches), None) = (rule["oneOf"].as_array(), rule.get("properties")) {
            return match choose(branches, found) {
                Choice::Branch(at) => self.look(&branch(name, &branches[at]), &branches[at], found),
                Choice::Plain(_) => {}
                Choice::Tag(..) | Choice::Key(_) => panic!("{name} fits no branch: {found}"),
            };
        }
        for (key, value) in found.as_object().into_iter().flatten() {
            match (&rule["properties"][key], &rule["additionalProperties"]) {
                (Value::Null, entries @ Value::Object(_)) => self.look(name, entries, value),
                (Value::Null, _) => {}
                (property, _) => {
                    self.values.entry(format!("{name}.{key}")).or_default().push(value.clone());
                    self.look(&format!("{name}.{key}"), property, value);
                }
            }
        }
        for item in found.as_array().into_iter().flatten() {
            self.look(name, &rule["items"], item);
        }
    }
}

/// A branch of a choice by the keys that it has.
fn branch(name: &str, branch: &Value) -> String {
    let kind = branch["properties"]["kind"]["const"].as_str();
    kind.map_or_else(|| name.to_owned(), |kind| format!("{name}({kind})"))
}

/// Every key of a schema by `Type.key`, with its default.
fn keys(root: &Value) -> BTreeMap<String, Option<Value>> {
    let mut all = BTreeMap::new();
    let types = root["$defs"].as_object().unwrap().iter();
    for (name, rule) in types.map(|(name, rule)| (name.as_str(), rule)).chain([("", root)]) {
        let branches = rule["oneOf"].as_array().filter(|_| rule.get("properties").is_none());
        let branches = branches.map_or_else(|| vec![rule], |branches| branches.iter().collect());
        for one in branches {
            for (key, property) in one["properties"].as_object().into_iter().flatten() {
                all.insert(
                    format!("{}.{key}", branch(name, one)),
                    property.get("default").cloned(),
                );
            }
        }
    }
    all
}

#[test]
fn the_complete_example_has_every_key_at_its_default() {
    let root = schema();
    let (tree, _) = yaml::read(TEXT, super::schema::shape()).unwrap();
    let mut seen = Seen { root: &root, values: BTreeMap::new() };
    seen.look("", &root, &tree.to_json());
    let mut wrong = BTreeSet::new();
    for (key, default) in keys(&root) {
        let values = seen.values.remove(&key).unwrap_or_default();
        if values.is_empty() {
            wrong.insert(format!("`{key}` is missing"));
        }
        // Lists and maps that are empty by default show what may stand there.
        let Some(default) = default else { continue };
        let is_open = matches!(&default, Value::Object(_)) || default == Value::Array(Vec::new());
        if !is_open && key != SHOWN && !values.contains(&default) {
            wrong.insert(format!("`{key}` is never at its default {default}, but {values:?}"));
        }
    }
    assert!(wrong.is_empty(), "configs/complete.yaml: {wrong:#?}");
}

#[test]
fn the_complete_example_is_what_a_file_without_those_lines_means() {
    let complete = parse(TEXT, "configs/complete.yaml").unwrap_or_else(|all| panic!("{all}"));
    let least = parse(b"{ name: complete, agents: { desk: {} } }", "least").unwrap();
    let Config { name, description, seed, epoch, audio, voice, turn, mut speech, call, .. } =
        complete;
    // What is optional is shown.
    speech.recogniser.model = None;
    speech.recogniser.language = None;
    speech.synthesiser.model = None;
    assert_eq!((name, description, seed), (least.name, least.description, least.seed));
    assert_eq!((epoch, audio, voice), (least.epoch, least.audio, least.voice));
    assert_eq!((turn, speech, call), (least.turn, least.speech, least.call));
}
