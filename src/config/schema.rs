//! The schema of a document, and what to say where a file differs from it.
//!
//! The schema is derived from the structs and is the one description of names, types, ranges and
//! defaults: it checks files here, and `antiphon schema` prints it for editors. What its validator
//! finds is put into sentences by [`wording`](super::wording).
//!
//! What is refused is taken out of the tree and the rest looked at again, until the rest is sound.
//! So the checks that need a whole document still have one, and one run tells everything.
//!
//! **Invariant:** a tree that [`sift`] calls sound deserialises.

use std::cmp::Ordering;
use std::sync::LazyLock;

use jsonschema::Validator;
use regex::Regex;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::complaint::{COMPLAINTS_MAX, Complaint};
use super::document::{Document, Shape};
use super::yaml::{Content, Entry, Node, Place};
use super::{Config, Epoch, check, wording};

/// A name that may be a placeholder: letters, digits and `_`, at most 64, none of the digits first.
pub(super) const IDENTIFIER: &str = "^[A-Za-z_][A-Za-z0-9_]{0,63}$";
/// A name of a configuration, fit for a file or a URL.
pub(super) const CONFIG_NAME: &str = "^[a-z0-9_-]{1,64}$";

/// The JSON Schema (2020-12) of a configuration file.
#[must_use]
pub fn schema() -> Value {
    SHAPE.schema.clone()
}

/// Whether `text` may be the name of a configuration: 1 to 64 of a to z, 0 to 9, `_` and `-`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    static NAME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(CONFIG_NAME).expect("the pattern is a regular expression"));
    NAME.is_match(text)
}

/// Whether `text` may be the name of an agent, a tool or a fact: 1 to 64 letters, digits and `_`, not
/// beginning with a digit.
#[must_use]
pub fn is_identifier(text: &str) -> bool {
    let first = text.as_bytes().first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
    let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    first && rest && text.len() <= 64
}

static SHAPE: LazyLock<Shape> = LazyLock::new(|| {
    let (schema, validator) = derive::<Config>();
    Shape {
        noun: "configuration",
        opening: "`name:` and `agents:`",
        own: &["agents"],
        others: &[("cues", "scenario"), ("tests", "scenario")],
        elsewhere: "`antiphon test` takes it, or `--input` of `antiphon run`",
        reference: "`antiphon schema`",
        lent: Some(("name", "nameless")),
        misformed: epoch,
        schema,
        validator,
    }
});

/// The shape of a configuration.
#[cfg(test)]
pub(super) fn shape() -> &'static Shape {
    &SHAPE
}

impl Document for Config {
    fn shape() -> &'static Shape {
        &SHAPE
    }

    fn check(&self, tree: &Node) -> Vec<Complaint> {
        check::check(self, tree)
    }
}

/// The schema of `T`, and what finds where a file differs from it.
pub(super) fn derive<T: JsonSchema>() -> (Value, Validator) {
    let schema = SchemaSettings::draft2020_12()
        .with_transform(RecursiveTransform(absent_rather_than_null))
        .with_transform(RecursiveTransform(described))
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    let validator =
        jsonschema::validator_for(&schema).expect("the derived schema is valid, as the tests show");
    (schema, validator)
}

/// What is optional is left out, not set to null: a key without a value is more often forgotten
/// than meant.
fn absent_rather_than_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(mut choices)) = object.remove("anyOf") {
        choices.retain(|choice| *choice != json!({"type": "null"}));
        match choices.as_mut_slice() {
            [Value::Object(only)] => object.append(only),
            _ => {
                object.insert("anyOf".into(), choices.into());
            }
        }
    }
}

/// What an editor shows: sentences without the line breaks of their source, and for the key that tells
/// the branches of a choice apart, what its branch is.
fn described(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::String(text)) = object.get_mut("description") {
        let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
        *text = paragraphs.collect::<Vec<_>>().join("\n\n");
    }
    // `uint32` and its like are names of Rust's, of which editors warn; the ranges say more.
    if matches!(object.get("type").and_then(Value::as_str), Some("integer" | "number")) {
        object.remove("format");
    }
    for branch in object.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(meaning) = branch.get("description").cloned() else { continue };
        let properties = branch.get_mut("properties").and_then(Value::as_object_mut);
        for (_, property) in properties.into_iter().flatten() {
            if let Value::Object(property) = property {
                property.entry("description").or_insert_with(|| meaning.clone());
            }
        }
    }
}

/// A complaint, and what has to go so that the rest is sound.
pub(super) struct Finding {
    pub(super) place: Place,
    pub(super) complaint: Option<Complaint>,
}

/// Takes out of `tree` what the schema refuses and says why. The value is what remains; none if
/// nothing does.
pub(super) fn sift(tree: &mut Node, shape: &Shape) -> (Vec<Complaint>, Option<Value>) {
    // Every pass takes something out of a map or list, or the map or list itself; the deepest
    // schema has 9 levels.
    const PASSES_MAX: usize = 16;
    let mut complaints = Vec::new();
    for pass in 0..PASSES_MAX {
        let value = tree.to_json();
        let mut findings = (shape.misformed)(tree);
        for error in shape.validator.iter_errors(&value).take(COMPLAINTS_MAX + 1) {
            wording::explain(&error, shape, tree, &mut findings);
        }
        if findings.is_empty() {
            return (complaints, Some(value));
        }
        let mut places = Vec::new();
        for Finding { place, complaint } in findings {
            places.push(place);
            // Later passes find only what the removals of the first have caused.
            if pass == 0 {
                complaints.extend(complaint);
            }
        }
        if complaints.len() > COMPLAINTS_MAX {
            break;
        }
        // Backwards, so that no removal moves what is still to be removed.
        places.sort_by(|a, b| document_order(b, a));
        places.dedup();
        for place in &places {
            if !(tree.remove(place) || place.is_empty() && lend(tree, shape)) {
                return (complaints, None);
            }
        }
    }
    (complaints, None)
}

fn document_order(a: &Place, b: &Place) -> Ordering {
    let steps = a.iter().zip(b).map(|(a, b)| match (a.parse::<usize>(), b.parse::<usize>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    });
    steps.fold(Ordering::Equal, Ordering::then).then(a.len().cmp(&b.len()))
}

/// Lends a document a key that it lacks, so that the rest of it can be checked. False if there is
/// none to lend.
fn lend(tree: &mut Node, shape: &Shape) -> bool {
    let Some((key, value)) = shape.lent else { return false };
    let mark = tree.mark;
    match &mut tree.content {
        Content::Map { entries, .. } if entries.iter().all(|entry| entry.key != key) => {
            let node = Node { mark, content: Content::Scalar(value.into()) };
            entries.push(Entry { key: key.into(), mark, node });
            true
        }
        Content::Map { .. } | Content::List(_) | Content::Scalar(_) => false,
    }
}

/// The one text whose shape a schema cannot tell: a calendar has months of different lengths.
fn epoch(tree: &Node) -> Vec<Finding> {
    let place = vec!["epoch".to_owned()];
    match tree.get(&place).map(|node| &node.content) {
        Some(Content::Scalar(Value::String(text))) => match text.parse::<Epoch>() {
            Ok(_) => Vec::new(),
            Err(reason) => {
                let what =
                    format!("`{}` is not an instant: {reason}", super::complaint::excerpt(text));
                let (mark, path) = tree.locate(&place);
                let complaint =
                    Complaint::at(mark, path, what, "write UTC as in 2026-01-01T09:00:00Z");
                vec![Finding { place, complaint: Some(complaint) }]
            }
        },
        _ => Vec::new(),
    }
}

/// `value` with numbers such as `20.0` made whole: the schema takes them for whole numbers, serde
/// does not.
pub(super) fn whole(value: Value) -> Value {
    // Up to here every whole number has its own f64.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => match number.as_f64() {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the range and the fraction are checked"
            )]
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT_MAX => {
                (float as i64).into()
            }
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(whole).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, whole(value))).collect(),
        Value::Null | Value::Bool(_) | Value::String(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario;
    use super::*;

    /// Calls `visit` with every schema inside `schema` and the way to it.
    fn walk(schema: &Value, way: &str, visit: &mut dyn FnMut(&str, &Value)) {
        visit(way, schema);
        match schema {
            Value::Object(map) => {
                map.iter().for_each(|(key, inner)| walk(inner, &format!("{way}/{key}"), visit));
            }
            Value::Array(list) => list.iter().for_each(|inner| walk(inner, way, visit)),
            _ => {}
        }
    }

    fn both() -> [Value; 2] {
        [schema(), scenario::schema()]
    }

    fn walk_both(visit: &mut dyn FnMut(&str, &Value)) {
        both().iter().for_each(|schema| walk(schema, "", visit));
    }

    /// Calls `visit` with every property, the way to it, and the schema that it is part of.
    fn walk_properties(visit: &mut dyn FnMut(&str, &Value, &Value)) {
        for root in both() {
            walk(&root, "", &mut |way, inner| {
                let properties = inner.get("properties").and_then(Value::as_object);
                for (name, property) in properties.into_iter().flatten() {
                    visit(&format!("{way}/{name}"), property, &root);
                }
            });
        }
    }

    #[test]
    fn the_schema_is_valid_and_describes_itself_and_every_property() {
        for schema in both() {
            assert!(jsonschema::meta::is_valid(&schema));
            assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
            for key in ["title", "description"] {
                let text = schema[key].as_str().unwrap_or_default();
                assert!(!text.is_empty() && !text.contains('\n'), "{key}: {text:?}");
            }
        }
        walk_properties(&mut |way, property, _| {
            let description = property.get("description").and_then(Value::as_str);
            assert!(description.is_some_and(|text| !text.is_empty()), "{way} has no description");
        });
    }

    #[test]
    fn every_number_has_a_range_that_its_description_tells() {
        walk_properties(&mut |way, property, _| {
            if !matches!(property["type"].as_str(), Some("integer" | "number")) {
                return;
            }
            let text = property["description"].as_str().unwrap_or_default();
            if let Some(options) = property["enum"].as_array() {
                assert!(options.iter().all(|option| text.contains(&option.to_string())), "{way}");
                return;
            }
            for keyword in ["minimum", "maximum"] {
                let bound = property[keyword].as_f64();
                let bound = bound.unwrap_or_else(|| panic!("{way} has no {keyword}"));
                let told = text.contains(&bound.to_string()) || text.contains("2^64-1");
                assert!(told, "{way} does not tell its bound {bound}: {text}");
            }
        });
    }

    #[test]
    fn every_default_is_told_is_sound_and_is_there_where_it_is_told() {
        walk_properties(&mut |way, property, root| {
            let text = property["description"].as_str().unwrap_or_default();
            let told = text.contains("Default ") || text.contains("default `");
            match property.get("default") {
                None => assert!(
                    !told || text.contains("Default none"),
                    "{way} tells a default that the schema does not have: {text}"
                ),
                Some(default) => {
                    // A section's default is that of each of its keys, and none of a list or map.
                    let is_whole =
                        default.is_object() || default.as_array().is_some_and(Vec::is_empty);
                    assert!(told || is_whole, "{way} does not tell its default {default}: {text}");
                    let alone = json!({ "$defs": root["$defs"], "allOf": [property] });
                    let sound = jsonschema::validate(&alone, default);
                    assert!(sound.is_ok(), "{way}: its default {default} is refused: {sound:?}");
                }
            }
        });
    }

    #[test]
    fn what_is_printed_for_editors_accepts_every_file_that_comes_along() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let [config, cues] = both().map(|schema| jsonschema::validator_for(&schema).unwrap());
        let (mut configs, mut callers) = (0, 0);
        for folder in ["configs", "examples", "audio", "templates/shop", "templates/echo"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_none_or(|ending| ending != "yaml") {
                    continue;
                }
                let text = std::fs::read(&path).unwrap();
                let (tree, complaints) = super::super::yaml::read(&text, &SHAPE).unwrap();
                assert_eq!(complaints, [], "{}", path.display());
                let value = tree.to_json();
                let (validator, count) = match value.get("cues").or(value.get("tests")) {
                    Some(_) => (&cues, &mut callers),
                    None => (&config, &mut configs),
                };
                let found: Vec<_> = validator.iter_errors(&value).map(|e| e.to_string()).collect();
                assert!(found.is_empty(), "{}: {found:#?}", path.display());
                *count += 1;
            }
        }
        assert!(configs >= 6 && callers >= 4, "{configs} configurations, {callers} callers");
    }

    #[test]
    fn nothing_optional_is_null() {
        walk_both(&mut |way, inner| assert!(inner != "null", "{way} may be null"));
    }
}
