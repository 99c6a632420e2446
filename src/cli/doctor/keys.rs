//! Whether variables of the environment are set that hold keys: their names, never what is in them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::finding::Finding;
use crate::cli::minds;
use crate::session::plan::Plan;
use crate::tool::fill::Fill;

/// The variable that configurations name by custom.
const USUAL: &str = "OPENAI_API_KEY";

/// Names, each with the places that need it.
type Variables = BTreeMap<String, BTreeSet<String>>;

pub(super) fn keys(plan: Option<&Plan>) -> Finding {
    let is_set = |name: &str| {
        std::env::var_os(name).is_some_and(|value| !value.to_string_lossy().trim().is_empty())
    };
    match plan {
        Some(plan) => judged(&needed(plan), &is_set),
        None if is_set(USUAL) => {
            Finding::ok(format!("{USUAL} is set")).with(json!({ "set": [USUAL] }))
        }
        None => Finding::skipped(
            format!("{USUAL} is not set"),
            "set it, or name a configuration, to see which variables it needs",
        ),
    }
}

/// What the calls of a plan need.
fn needed(plan: &Plan) -> Variables {
    let mut all = elsewhere(plan);
    for (name, model) in minds::used(plan) {
        let mut need = |variable: &str, place: String| {
            all.entry(variable.to_owned()).or_default().insert(place);
        };
        if let Some(variable) = &model.api_key_env {
            need(variable, format!("models.{name}"));
        }
        for (header, text) in &model.headers {
            let Ok(fill) = Fill::parse(text) else { continue };
            for variable in fill.variables() {
                need(variable, format!("models.{name}.headers.{header}"));
            }
        }
    }
    all
}

/// What tools and servers need.
#[cfg(feature = "remote")]
fn elsewhere(plan: &Plan) -> Variables {
    crate::remote::variables(&plan.config)
}

#[cfg(not(feature = "remote"))]
fn elsewhere(_plan: &Plan) -> Variables {
    Variables::new()
}

fn judged(needed: &Variables, is_set: &dyn Fn(&str) -> bool) -> Finding {
    if needed.is_empty() {
        return Finding::ok("this configuration needs none");
    }
    let (set, missing): (Vec<_>, Vec<_>) = needed.iter().partition(|(name, _)| is_set(name));
    let names = |all: &[(&String, &BTreeSet<String>)]| -> Vec<String> {
        all.iter().map(|(name, _)| (*name).clone()).collect()
    };
    let (set_names, missing_names) = (names(&set), names(&missing));
    let finding = if missing.is_empty() {
        let verb = if set_names.len() == 1 { "is" } else { "are" };
        Finding::ok(format!("{} {verb} set", set_names.join(", ")))
    } else {
        let found = missing.iter().map(|(name, places)| {
            let need = if places.len() == 1 { "needs" } else { "need" };
            let places: Vec<_> = places.iter().map(String::as_str).collect();
            format!("{name} is not set, and {} {need} it", places.join(", "))
        });
        let remedy = format!(
            "set {} in the environment of the program that holds calls",
            missing_names.join(", ")
        );
        Finding::failed(found.collect::<Vec<_>>().join("\n"), remedy)
    };
    finding.with(json!({ "set": set_names, "missing": missing_names }))
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_places_that_need_it() {
        let places = |all: &[&str]| all.iter().map(|place| (*place).to_owned()).collect();
        let needed = Variables::from([
            ("A_KEY".to_owned(), places(&["models.a", "models.b"])),
            ("B_KEY".to_owned(), places(&["mcp_servers.s.env.KEY"])),
        ]);
        let none = judged(&needed, &|name| name == "B_KEY");
        assert_eq!(none.found, "A_KEY is not set, and models.a, models.b need it");
        let State::Failed(remedy) = none.state else { panic!("it passes") };
        assert!(remedy.contains("A_KEY") && !remedy.contains("B_KEY"), "{remedy}");
        assert_eq!(judged(&needed, &|_| true).state, State::Ok);
        assert_eq!(judged(&Variables::new(), &|_| false).state, State::Ok);
    }
}
