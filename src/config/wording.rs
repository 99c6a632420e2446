//! Sentences for what the schema's validator finds.
//!
//! The validator speaks of keywords and pointers; a person wants to know which key is misspelt and
//! what to write. Where the schema offers a choice, the branch that was meant is found first, and
//! only its complaints are told.
//!
//! **Invariant:** every error of the validator becomes a finding; one without words is told
//! elsewhere.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value;

use super::choice::{Choice, alternatives, choose, constant, keys, plain};
use super::complaint::{COMPLAINTS_MAX, Complaint, excerpt, listed, nearest, suggestion};
use super::document::Shape;
use super::epoch::EPOCH;
use super::schema::{CONFIG_NAME, Finding, IDENTIFIER};
use super::yaml::{Node, Place};
use crate::tool::room::KEYS;

/// Adds to `findings` what `error` means.
pub(super) fn explain(
    error: &ValidationError<'_>,
    shape: &Shape,
    tree: &Node,
    findings: &mut Vec<Finding>,
) {
    let schema = &shape.schema;
    let place = place(error.instance_path().as_str());
    let found = error.instance().as_ref();
    let keyword = error.schema_path().as_str();
    let rule = keyword
        .rsplit_once('/')
        .and_then(|(parent, _)| schema.pointer(parent))
        .unwrap_or(&Value::Null);
    let mut at = Report { tree, findings };
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => {
            // Finding a key among many takes a while; one more than are shown will do.
            for key in unexpected.iter().take(COMPLAINTS_MAX + 1) {
                let remedy = elsewhere(key, &place, shape, rule)
                    .unwrap_or_else(|| suggestion(key, "keys", &keys(rule)));
                at.key(&place, key, format!("unknown key `{}`", excerpt(key)), remedy);
            }
        }
        Kind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            let known = keys(rule);
            let mut written = found.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
            if written.any(|word| {
                !known.contains(&word) && nearest(word, known.iter().copied()) == Some(key)
            }) {
                // It is there, misspelt, which is told as an unknown key.
                at.silently(place);
            } else {
                at.value(place, format!("missing key `{key}`"), format!("add `{key}: …`"));
            }
        }
        Kind::Type { .. } => {
            let several = rule["type"].as_array().map(Vec::as_slice).unwrap_or_default();
            let several: Vec<_> =
                several.iter().filter_map(Value::as_str).map(type_words).collect();
            let expected = rule["type"].as_str().unwrap_or_default();
            let remedy = match alternatives(rule).first() {
                _ if expected == "object" && place.is_empty() => {
                    format!("begin with {}", shape.opening)
                }
                Some(key) => format!("write it as `{key}: …`"),
                None => type_remedy(expected, found, &place),
            };
            let expected = match several.as_slice() {
                [] => type_words(expected).to_owned(),
                several => several.join(" or "),
            };
            at.value(place, format!("expected {expected}, found {}", words(found)), remedy);
        }
        Kind::Minimum { .. } | Kind::Maximum { .. } => {
            let what = format!(
                "expected a number {}, found {found}",
                range(&rule["minimum"], &rule["maximum"])
            );
            let nearest = if matches!(error.kind(), Kind::Minimum { .. }) {
                &rule["minimum"]
            } else {
                &rule["maximum"]
            };
            at.value(place, what, format!("the nearest is {nearest}"));
        }
        // The range is told already, and says more.
        Kind::MultipleOf { .. } if is_outside(found, rule) => at.silently(place),
        Kind::MultipleOf { multiple_of } => {
            let below = found
                .as_f64()
                .map_or(0.0, |n| (n / multiple_of).floor() * multiple_of)
                .max(*multiple_of);
            let what = format!("expected a multiple of {multiple_of}, found {found}");
            at.value(place, what, format!("the nearest are {below} and {}", below + multiple_of));
        }
        Kind::Enum { options } => {
            let options: Vec<String> =
                options.as_array().into_iter().flatten().map(plain).collect();
            at.choice(place, found, &options);
        }
        Kind::Constant { expected_value } => at.choice(place, found, &[plain(expected_value)]),
        Kind::OneOfNotValid { context }
        | Kind::OneOfMultipleValid { context }
        | Kind::AnyOf { context } => {
            let branches =
                schema.pointer(keyword).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            match choose(branches, found) {
                Choice::Branch(index) => {
                    for inner in context.get(index).into_iter().flatten() {
                        if !belongs_elsewhere(inner, branches, index, found, &place, &mut at) {
                            explain(inner, shape, tree, at.findings);
                        }
                    }
                }
                Choice::Plain(options) => at.choice(place, found, &options),
                Choice::Tag(tag, options) => match found.get(&tag) {
                    Some(value) => at.choice([place, vec![tag]].concat(), value, &options),
                    None => {
                        let what = format!("missing key `{tag}`");
                        at.value(
                            place,
                            what,
                            format!("add one of {}", named(&options, &format!("{tag}: "))),
                        );
                    }
                },
                // That it is no map, or which key nobody knows, is told already.
                Choice::Key(options) if is_told(found, rule, &options) => at.silently(place),
                Choice::Key(options) => {
                    let known: Vec<&str> = options.iter().map(String::as_str).collect();
                    // Keys that may stand beside any choice are not part of it.
                    let beside = keys(rule);
                    let chosen = |key: &&str| known.contains(key) || !beside.contains(key);
                    let written = found.as_object().map(|map| {
                        map.keys().map(String::as_str).filter(chosen).collect::<Vec<_>>()
                    });
                    let (shown, remedy) = match written.as_deref() {
                        Some([]) => ("none".into(), String::new()),
                        Some([key]) => {
                            let near = nearest(key, known.iter().copied());
                            let remedy = near.map(|name| format!("did you mean `{name}`?"));
                            (format!("`{}`", excerpt(key)), remedy.unwrap_or_default())
                        }
                        Some(keys) => (listed(keys), "keep one".into()),
                        None => (words(found), format!("write it as `{}: …`", options[0])),
                    };
                    at.value(
                        place,
                        format!(
                            "expected exactly one of the keys {}, found {shown}",
                            named(&options, "")
                        ),
                        remedy,
                    );
                }
            }
        }
        // `schema::sift` has looked at the calendar as well, and tells which part of it is wrong.
        Kind::Pattern { pattern } if pattern == EPOCH => at.silently(place),
        Kind::Pattern { pattern } => {
            at.value(
                place,
                format!("{} is no {}", words(found), pattern_words(pattern).0),
                pattern_words(pattern).1,
            );
        }
        Kind::PropertyNames { error } => {
            let key = error.instance().as_str().unwrap_or_default().to_owned();
            let (noun, remedy) = match error.kind() {
                Kind::Pattern { pattern } => pattern_words(pattern),
                _ => ("key of this map", "rename it"),
            };
            at.key(&place, &key, format!("`{}` is no {noun}", excerpt(&key)), remedy);
        }
        Kind::UniqueItems => {
            // Longer lists are refused for their length.
            const LOOKED_AT_MAX: usize = 1000;
            let items = found.as_array().map_or(&[][..], Vec::as_slice);
            let items = &items[..items.len().min(LOOKED_AT_MAX)];
            let repeated = |(index, item): &(usize, &Value)| items[..*index].contains(item);
            for (index, item) in items.iter().enumerate().filter(repeated) {
                at.value(
                    [&place[..], &[index.to_string()]].concat(),
                    format!("{} is listed twice", words(item)),
                    "remove one of the two",
                );
            }
        }
        Kind::MinLength { .. } => {
            at.value(place, "the text is empty", "write something, or remove the key");
        }
        Kind::MaxLength { limit } => {
            at.value(place, format!("the text is longer than {limit} characters"), "shorten it");
        }
        Kind::MinItems { .. } => at.value(place, "the list is empty", "add an item"),
        Kind::MaxItems { limit } => {
            at.value(place, format!("the list has more than {limit} items"), "shorten it");
        }
        Kind::MinProperties { .. } => at.value(place, "the map is empty", "add an entry"),
        Kind::MaxProperties { limit } => {
            at.value(place, format!("the map has more than {limit} entries"), "shorten it");
        }
        _ => at.value(
            place,
            excerpt(&error.masked().to_string()),
            format!("see {}", shape.reference),
        ),
    }
}

/// Where findings go.
struct Report<'a> {
    tree: &'a Node,
    findings: &'a mut Vec<Finding>,
}

impl Report<'_> {
    fn value(&mut self, place: Place, what: impl Into<String>, remedy: impl Into<String>) {
        let (mark, path) = self.tree.locate(&place);
        self.findings
            .push(Finding { complaint: Some(Complaint::at(mark, path, what, remedy)), place });
    }

    /// Something to take out without a word: what is wrong with it is told elsewhere.
    fn silently(&mut self, place: Place) {
        self.findings.push(Finding { place, complaint: None });
    }

    /// A complaint about a key rather than its value: it stands at the key and names the map.
    fn key(&mut self, map: &Place, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        let (mark, path) = (self.tree.locate_key(map, key), self.tree.locate(map).1);
        let place = [&map[..], &[key.to_owned()]].concat();
        self.findings
            .push(Finding { complaint: Some(Complaint::at(mark, path, what, remedy)), place });
    }

    fn choice(&mut self, place: Place, found: &Value, options: &[String]) {
        let near =
            found.as_str().and_then(|word| nearest(word, options.iter().map(String::as_str)));
        let remedy = near.map_or(String::new(), |name| format!("did you mean `{name}`?"));
        self.value(
            place,
            format!("expected one of {}, found {}", named(options, ""), words(found)),
            remedy,
        );
    }
}

/// Where a key at the root of a document belongs, if it is no misspelling: another kind of document,
/// or a section of this one.
fn elsewhere(key: &str, place: &Place, shape: &Shape, rule: &Value) -> Option<String> {
    if !place.is_empty() || nearest(key, keys(rule)).is_some() {
        return None;
    }
    if let Some((_, noun)) = shape.others.iter().find(|(other, _)| *other == key) {
        return Some(format!("it is a key of a {noun}: is this the right file?"));
    }
    let mut homes = Vec::new();
    sections(key, &shape.schema, rule, &[], &mut homes);
    (!homes.is_empty()).then(|| format!("write it under {}", homes.join(" or ")))
}

/// The sections of a document that have a key, such as `turn` and `speech.recogniser`.
fn sections(key: &str, root: &Value, rule: &Value, way: &[&str], homes: &mut Vec<String>) {
    // Sections have sections of their own, and those have none.
    const DEPTH_MAX: usize = 2;
    for (name, property) in rule["properties"].as_object().into_iter().flatten() {
        let reference = property["$ref"].as_str().and_then(|way| way.strip_prefix('#'));
        let Some(section) = reference.and_then(|way| root.pointer(way)) else { continue };
        let way = [way, &[name.as_str()]].concat();
        if keys(section).contains(&key) {
            homes.push(format!("`{}`", way.join(".")));
        }
        if way.len() < DEPTH_MAX {
            sections(key, root, section, &way, homes);
        }
    }
}

/// Tells a key that another branch has from one that none has: `greeting` on an echo agent is no
/// misspelling.
fn belongs_elsewhere(
    error: &ValidationError<'_>,
    branches: &[Value],
    chosen: usize,
    found: &Value,
    place: &Place,
    at: &mut Report<'_>,
) -> bool {
    let Kind::AdditionalProperties { unexpected } = error.kind() else { return false };
    let owner = |key: &String| {
        branches
            .iter()
            .find(|branch| keys(branch).contains(&key.as_str()))
            .and_then(|branch| constant(Some(branch)))
    };
    if self::place(error.instance_path().as_str()) != *place
        || !unexpected.iter().any(|key| owner(key).is_some())
    {
        return false;
    }
    let Some((tag, kind)) = constant(branches.get(chosen)) else { return false };
    for key in unexpected.iter().take(COMPLAINTS_MAX + 1) {
        match owner(key) {
            Some((_, other)) => {
                let what =
                    format!("key `{key}` belongs to {tag} {}, not {}", plain(other), plain(kind));
                at.key(place, key, what, format!("remove it, or write `{tag}: {}`", plain(other)));
            }
            None => {
                let known = keys(&branches[chosen]);
                at.key(
                    place,
                    key,
                    format!("unknown key `{}`", excerpt(key)),
                    suggestion(key, "keys", &known),
                );
            }
        }
    }
    debug_assert!(found.is_object(), "only a map has keys");
    true
}

/// Whether a choice between `options`, beside other keys of the same map, is wrong because of
/// something else that is told: there is no map, or one of the options under another name.
fn is_told(found: &Value, rule: &Value, options: &[String]) -> bool {
    let known = keys(rule);
    if known.is_empty() {
        return false;
    }
    let Some(map) = found.as_object() else { return true };
    let mut unknown = map.keys().filter(|key| !known.contains(&key.as_str()));
    !options.iter().any(|option| map.contains_key(option))
        && unknown.any(|key| {
            nearest(key, known.iter().copied())
                .is_none_or(|near| options.iter().any(|option| option == near))
        })
}

/// The way that a JSON pointer describes.
pub(super) fn place(pointer: &str) -> Place {
    pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
}

fn named(options: &[String], before: &str) -> String {
    options.iter().map(|option| format!("`{before}{option}`")).collect::<Vec<_>>().join(", ")
}

fn range(minimum: &Value, maximum: &Value) -> String {
    match (minimum, maximum) {
        (minimum, Value::Null) => format!("of at least {minimum}"),
        (Value::Null, maximum) => format!("of at most {maximum}"),
        (minimum, maximum) => format!("from {minimum} to {maximum}"),
    }
}

fn is_outside(found: &Value, rule: &Value) -> bool {
    let found = found.as_f64();
    let below = rule["minimum"].as_f64().is_some_and(|minimum| found < Some(minimum));
    below || rule["maximum"].as_f64().is_some_and(|maximum| found > Some(maximum))
}

fn pattern_words(pattern: &str) -> (&'static str, &'static str) {
    match pattern {
        IDENTIFIER => ("name", "use letters, digits and `_`, a digit not first, at most 64"),
        CONFIG_NAME => ("name of a configuration", "use a to z, 0 to 9, `_` and `-`, at most 64"),
        KEYS => ("row of keys", "write 0 to 9, A to D, `*` and `#`, 1 to 32 of them"),
        _ => ("text of the expected form", "see its description in the schema"),
    }
}

fn type_words(name: &str) -> &'static str {
    match name {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "`true` or `false`",
        "array" => "a list",
        "object" => "a map",
        _ => "another type",
    }
}

/// A value in the middle of a sentence.
fn words(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(value) => format!("the number {value}"),
        Value::String(text) => format!("the text `{}`", excerpt(text)),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a map".into(),
    }
}

fn type_remedy(expected: &str, found: &Value, place: &Place) -> String {
    let key = place.last().map_or("", String::as_str);
    match (expected, found) {
        (_, Value::Null) => "write a value, or remove the key".into(),
        ("string", Value::Object(_)) => "a text that begins with `{` needs quotes".into(),
        ("string", Value::Array(_)) => "a text that begins with `[` needs quotes".into(),
        ("string", value) => format!("put it in quotes: \"{value}\""),
        ("array", Value::Object(_)) if key == "intents" => {
            "write each intent as `- name: …`; their order counts".into()
        }
        ("array", Value::Object(_)) => "write each item after `- `".into(),
        ("array", value) => format!("write it as a list: [{}]", excerpt(&plain(value))),
        ("boolean", Value::String(text)) => match text.to_lowercase().as_str() {
            "yes" | "on" | "true" => "write `true`".into(),
            "no" | "off" | "false" => "write `false`".into(),
            _ => String::new(),
        },
        ("integer" | "number", Value::String(text)) => match text.trim().parse::<f64>() {
            Ok(_) => "remove the quotes".into(),
            Err(_) if key.ends_with("_ms") => "write the milliseconds as a number alone".into(),
            Err(_) => String::new(),
        },
        ("object", Value::Array(_)) => "write `name: …` instead of `- `".into(),
        ("object", _) => "write `key: value` lines below it".into(),
        _ => String::new(),
    }
}
