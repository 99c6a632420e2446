//! Which branch of a choice was meant.
//!
//! Where a schema says `oneOf`, a validator finds that no branch fits and lists what is wrong with
//! each. Only one of them was meant: the one whose tag was written, or the one without a tag, or
//! the one whose key is there. The keys may also stand in one map with others; then the map requires
//! exactly one of them.
//!
//! **Invariant:** a branch is chosen by what was written, never by how well it fits.

use serde_json::Value;

/// What a choice in the schema turns on, given what was found.
pub(super) enum Choice {
    /// This branch was meant.
    Branch(usize),
    /// One of these words.
    Plain(Vec<String>),
    /// The value of this key decides, and is none of these.
    Tag(String, Vec<String>),
    /// The key itself decides, and is not one of these.
    Key(Vec<String>),
}

/// Finds out what was meant by `found`, where the schema offers `branches`.
pub(super) fn choose(branches: &[Value], found: &Value) -> Choice {
    let words: Vec<String> =
        branches.iter().filter_map(|branch| branch.get("const")).map(plain).collect();
    // Words, and maps beside them: a map was meant to be one of those.
    let keyed =
        found.is_object() && branches.iter().any(|branch| required(branch).next().is_some());
    if !words.is_empty() && !keyed {
        return Choice::Plain(words);
    }
    let Some((tag, _)) = constant(branches.first()) else {
        let options: Vec<String> = branches.iter().flat_map(required).map(str::to_owned).collect();
        let written =
            found.as_object().filter(|map| map.len() == 1).and_then(|map| map.keys().next());
        let branch = written.and_then(|written| {
            branches.iter().position(|branch| required(branch).any(|key| key == written))
        });
        return branch.map_or(Choice::Key(options), Choice::Branch);
    };
    let options: Vec<&Value> = branches
        .iter()
        .filter_map(|branch| constant(Some(branch)))
        .map(|(_, value)| value)
        .collect();
    let optional = |branch: &Value| {
        branch["required"].as_array().is_none_or(|keys| keys.iter().all(|key| key != tag))
    };
    let branch = match (found, found.get(tag)) {
        (_, Some(value)) => options.iter().position(|option| *option == value),
        (Value::Object(_), None) => branches.iter().position(optional),
        // Every branch says that a map is expected; one says it once.
        _ => Some(0),
    };
    branch.map_or_else(
        || Choice::Tag(tag.to_owned(), options.into_iter().map(plain).collect()),
        Choice::Branch,
    )
}

/// The property of a branch that tells it from the others, and its value.
pub(super) fn constant(branch: Option<&Value>) -> Option<(&str, &Value)> {
    let properties = branch?.get("properties")?.as_object()?;
    properties.iter().find_map(|(name, property)| Some((name.as_str(), property.get("const")?)))
}

/// The keys that a schema lists.
pub(super) fn keys(schema: &Value) -> Vec<&str> {
    schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

/// The keys of a map one of which must be there, where a schema says so beside its properties.
pub(super) fn alternatives(schema: &Value) -> Vec<&str> {
    match (&schema["properties"], &schema["oneOf"]) {
        (Value::Object(_), Value::Array(branches)) => branches.iter().flat_map(required).collect(),
        _ => Vec::new(),
    }
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// A value as it is written in YAML.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
