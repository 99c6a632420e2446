//! Patterns as people write them: parameters by name, checked one by one.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::super::draft::Draft;
use super::super::fault::{Findings, Place, type_of};
use super::super::{NODES_MAX, name, read};
use super::Pattern;
use super::expand::expand;
use crate::talk::near::{excerpt, suggestion};

/// What a parameter holds.
#[derive(Clone, Copy)]
enum Shape {
    Name,
    Names,
    Flag,
    Tree,
    Levels,
    Stages,
}

/// A parameter: its name, what it holds, and whether it must be there.
type Parameter = (&'static str, Shape, bool);

const PATTERNS: [(&str, &[Parameter]); 7] = [
    (
        "hub_and_spoke",
        &[
            ("hub", Shape::Name, true),
            ("spokes", Shape::Names, true),
            ("parallel_spokes", Shape::Flag, false),
        ],
    ),
    (
        "hierarchical",
        &[
            ("tree", Shape::Tree, false),
            ("root", Shape::Name, false),
            ("levels", Shape::Levels, false),
        ],
    ),
    ("pipeline", &[("stages", Shape::Stages, true), ("parallel_within_stage", Shape::Flag, false)]),
    (
        "mesh",
        &[
            ("agents", Shape::Names, true),
            ("fully_connected", Shape::Flag, false),
            ("entry_point", Shape::Name, false),
        ],
    ),
    (
        "star",
        &[
            ("center", Shape::Name, true),
            ("points", Shape::Names, true),
            ("bidirectional", Shape::Flag, false),
        ],
    ),
    ("ring", &[("agents", Shape::Names, true), ("bidirectional", Shape::Flag, false)]),
    (
        "broadcast",
        &[
            ("broadcaster", Shape::Name, true),
            ("receivers", Shape::Names, true),
            ("allow_replies", Shape::Flag, false),
        ],
    ),
];

/// Reads a pattern, and makes what it stands for.
pub(in crate::graph::topology) fn read(map: &Map<String, Value>, findings: &mut Findings) -> Draft {
    let root = Place::ROOT;
    read::check_keys(map, &["pattern", "params", "metadata"], &root, findings);
    let metadata = read::metadata(map, &root, findings).unwrap_or_default();
    let Some(Value::String(word)) = map.get("pattern") else {
        let what = format!("`pattern` is a text, not {}", type_of(&map["pattern"]));
        findings.wrong(&root.key("pattern"), what, "write, for example, ring");
        return Draft::default();
    };
    let Some((word, parameters)) = PATTERNS.iter().find(|(name, _)| name == word) else {
        let known = PATTERNS.map(|(name, _)| name);
        let what = format!("`{}` is no pattern", excerpt(word));
        findings.wrong(&root.key("pattern"), what, suggestion(word, "patterns", &known));
        return Draft::default();
    };
    let place = root.key("params");
    let params = match map.get("params") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(params)) => params.clone(),
        Some(other) => {
            let what = format!("`params` is a map, not {}", type_of(other));
            findings.wrong(&place, what, "write the parameters of the pattern");
            return Draft::default();
        }
    };
    let known: Vec<&str> = parameters.iter().map(|(name, ..)| *name).collect();
    read::check_keys(&params, &known, &place, findings);
    let mut checked = Map::new();
    for &(name, shape, required) in *parameters {
        match params.get(name).filter(|value| !value.is_null()) {
            None if required => {
                let what = format!("`{word}` has no `{name}`");
                findings.wrong(&place, what, format!("add `{name}` to `params`"));
            }
            None => {}
            Some(value) => {
                if let Some(value) = check(value, shape, &place.key(name), findings) {
                    checked.insert(name.to_owned(), value);
                }
            }
        }
    }
    if *word == "hierarchical" {
        check_hierarchy(&checked, &place, findings);
    }
    if !findings.is_clean() {
        return Draft::default();
    }
    let written = serde_json::json!({ "pattern": word, "params": checked });
    match serde_json::from_value::<Pattern>(written) {
        Ok(pattern) => expand(pattern, metadata, findings),
        Err(error) => {
            findings.wrong(&place, error.to_string(), "correct the parameters");
            Draft::default()
        }
    }
}

fn check_hierarchy(params: &Map<String, Value>, place: &Place<'_>, findings: &mut Findings) {
    let has = |name: &str| params.contains_key(name);
    match (has("tree"), has("root"), has("levels")) {
        (true, false, false) | (false, true, true) => {}
        _ if !findings.is_clean() => {}
        (true, ..) => {
            let what = "a hierarchy is a tree or levels, not both";
            findings.wrong(place, what, "keep `tree`, or `root` and `levels`");
        }
        _ => {
            let what = "`hierarchical` has neither a `tree` nor a `root` with `levels`";
            findings.wrong(place, what, "add one of them to `params`");
        }
    }
}

/// A parameter's value with its names in their plain form.
fn check(value: &Value, shape: Shape, place: &Place<'_>, findings: &mut Findings) -> Option<Value> {
    match (shape, value) {
        (Shape::Name, Value::String(text)) => agent(text, place, findings).map(Value::String),
        (Shape::Flag, Value::Bool(_)) => Some(value.clone()),
        (Shape::Names | Shape::Levels | Shape::Stages, Value::Array(items)) => {
            if items.is_empty() {
                findings.wrong(place, "the list is empty", "name at least one");
            }
            if items.len() > NODES_MAX {
                let what = format!("there are {} items", items.len());
                findings.wrong(place, what, format!("use at most {NODES_MAX}"));
                return None;
            }
            let mut seen = BTreeSet::new();
            let mut checked = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                let place = place.item(index);
                let item = match shape {
                    Shape::Levels => check(item, Shape::Names, &place, findings),
                    Shape::Stages => check_stage(item, &place, findings),
                    _ => check(item, Shape::Name, &place, findings),
                };
                if let Some(Value::String(name)) = &item
                    && !seen.insert(name.clone())
                {
                    let what = format!("`{}` is named twice", excerpt(name));
                    findings.wrong(&place, what, "keep one of them");
                }
                checked.extend(item);
            }
            Some(checked.into())
        }
        (Shape::Tree, Value::Object(map)) => check_tree(map, place, findings),
        (shape, other) => {
            let wanted = match shape {
                Shape::Name => "the name of an agent",
                Shape::Names => "a list of names",
                Shape::Flag => "true or false",
                Shape::Tree => "a map of agents to lists of those below them",
                Shape::Levels => "a list of lists of names",
                Shape::Stages => "a list of maps of `name` and `agents`",
            };
            let what = format!("{} stands where there is {wanted}", type_of(other));
            findings.wrong(place, what, format!("write {wanted}"));
            None
        }
    }
}

/// A name of an agent; the names of users, beginnings and ends are none.
fn agent(text: &str, place: &Place<'_>, findings: &mut Findings) -> Option<String> {
    let (what, remedy) = match name::read(text) {
        Ok(name) if name::reserved(&name).is_none() => return Some(name),
        Ok(name) => {
            (format!("`{name}` is a reserved name"), "name an agent; patterns add the user".into())
        }
        Err(slip) => (slip.what, slip.remedy),
    };
    findings.wrong(place, what, remedy);
    None
}

fn check_stage(item: &Value, place: &Place<'_>, findings: &mut Findings) -> Option<Value> {
    let Value::Object(map) = item else {
        let what = format!("a stage is a map, not {}", type_of(item));
        findings.wrong(place, what, "write `agents`, and a `name` if you like");
        return None;
    };
    read::check_keys(map, &["name", "agents"], place, findings);
    let mut stage = Map::new();
    match map.get("name") {
        None | Some(Value::Null) => {}
        Some(Value::String(name)) => {
            stage.insert("name".into(), name.as_str().into());
        }
        Some(other) => {
            let what = format!("the name of a stage is a text, not {}", type_of(other));
            findings.wrong(&place.key("name"), what, "write a text");
        }
    }
    let Some(agents) = map.get("agents") else {
        findings.wrong(place, "the stage has no `agents`", "add a list of names");
        return None;
    };
    stage.insert("agents".into(), check(agents, Shape::Names, &place.key("agents"), findings)?);
    Some(Value::Object(stage))
}

fn check_tree(
    map: &Map<String, Value>,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<Value> {
    let mut tree = Map::new();
    let mut below = BTreeSet::new();
    for (above, agents) in map {
        let name = agent(above, &place.key(above), findings)?;
        // A leaf may be listed with nobody below it.
        let agents = match agents {
            Value::Array(items) if items.is_empty() => agents.clone(),
            _ => check(agents, Shape::Names, &place.key(above), findings)?,
        };
        below.extend(
            agents.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned),
        );
        if tree.insert(name, agents).is_some() {
            findings.wrong(&place.key(above), "the agent is named twice", "keep one of them");
        }
    }
    if tree.keys().all(|name| below.contains(name)) {
        findings.wrong(place, "the tree has no root", "name an agent that is below none");
        return None;
    }
    Some(Value::Object(tree))
}
