//! The shape of a configuration, and what to say where a file differs from it.
//!
//! The schema is derived from the structs and is the one description of names, types, ranges and
//! defaults: it checks files here, and `antiphon schema` prints it for editors. What its validator
//! finds is put into sentences by [`wording`](super::wording).
//!
//! What is refused is taken out of the tree and the rest looked at again, until the rest is sound.
//! So the checks that need a whole configuration still have one, and one run tells everything.
//!
//! **Invariant:** a tree that [`sift`] calls sound deserialises.

use std::cmp::Ordering;
use std::sync::LazyLock;

use jsonschema::Validator;
use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Value, json};

use super::complaint::{COMPLAINTS_MAX, Complaint};
use super::yaml::{Content, Entry, Node, Place};
use super::{Config, Epoch, wording};

/// A name that may be a placeholder: letters, digits and `_`, at most 64, none of the digits first.
pub(super) const IDENTIFIER: &str = "^[A-Za-z_][A-Za-z0-9_]{0,63}$";
/// A name of a configuration, fit for a file or a URL.
pub(super) const CONFIG_NAME: &str = "^[a-z0-9_-]{1,64}$";

/// The JSON Schema (2020-12) of a configuration file.
#[must_use]
pub fn schema() -> Value {
    SCHEMA.clone()
}

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    SchemaSettings::draft2020_12()
        .with_transform(RecursiveTransform(absent_rather_than_null))
        .into_generator()
        .into_root_schema_for::<Config>()
        .to_value()
});

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    jsonschema::validator_for(&SCHEMA).expect("the derived schema is valid, as the tests show")
});

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

/// A complaint, and what has to go so that the rest is sound.
pub(super) struct Finding {
    pub(super) place: Place,
    pub(super) complaint: Option<Complaint>,
}

/// Takes out of `tree` what the schema refuses and says why. The value is what remains; none if
/// nothing does.
pub(super) fn sift(tree: &mut Node) -> (Vec<Complaint>, Option<Value>) {
    // Every pass takes something out of a map or list, or the map or list itself; the schema is 9
    // levels deep.
    const PASSES_MAX: usize = 16;
    let mut complaints = Vec::new();
    for pass in 0..PASSES_MAX {
        let value = tree.to_json();
        let mut findings = epoch(tree);
        for error in VALIDATOR.iter_errors(&value).take(COMPLAINTS_MAX + 1) {
            wording::explain(&error, &SCHEMA, tree, &mut findings);
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
            if !(tree.remove(place) || place.is_empty() && lend_name(tree)) {
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

/// Lends a configuration without a name one, so that the rest of it can be checked. False if it has
/// one.
fn lend_name(tree: &mut Node) -> bool {
    let mark = tree.mark;
    match &mut tree.content {
        Content::Map { entries, .. } if entries.iter().all(|entry| entry.key != "name") => {
            let node = Node { mark, content: Content::Scalar("nameless".into()) };
            entries.push(Entry { key: "name".into(), mark, node });
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
    use super::*;

    /// Calls `visit` with every schema inside `schema` and the way to it.
    fn walk(schema: &Value, way: &str, visit: &mut dyn FnMut(&str, &Value)) {
        visit(way, schema);
        match schema {
            Value::Object(map) => {
                map.iter().for_each(|(key, inner)| walk(inner, &format!("{way}/{key}"), visit))
            }
            Value::Array(list) => list.iter().for_each(|inner| walk(inner, way, visit)),
            _ => {}
        }
    }

    #[test]
    fn the_schema_is_valid_and_describes_every_property() {
        let schema = schema();
        assert!(jsonschema::meta::is_valid(&schema));
        walk(&schema, "", &mut |way, inner| {
            for (name, property) in
                inner.get("properties").and_then(Value::as_object).into_iter().flatten()
            {
                let tag = property.get("const").is_some()
                    || ["intent", "tool_result"].contains(&name.as_str());
                assert!(
                    tag || property.get("description").is_some(),
                    "{way}/{name} has no description"
                );
            }
        });
    }

    #[test]
    fn every_number_of_milliseconds_has_a_range() {
        walk(&schema(), "", &mut |way, inner| {
            for (name, property) in
                inner.get("properties").and_then(Value::as_object).into_iter().flatten()
            {
                if name.ends_with("_ms") {
                    assert!(property.get("maximum").is_some(), "{way}/{name} is unbounded");
                }
            }
        });
    }

    #[test]
    fn nothing_optional_is_null() {
        walk(&schema(), "", &mut |way, inner| assert!(inner != "null", "{way} may be null"));
    }
}
