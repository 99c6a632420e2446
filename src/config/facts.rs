//! The facts that a configuration sets, so far as it names them.
//!
//! **Invariant:** a fact that is none of these is set from outside, or nowhere.

use std::collections::BTreeSet;

use serde_json::Value;

use super::constants::constant;
use super::transitions::When;
use super::{Agent, Config};
use crate::graph::rules::{Action, RuleSet};
use crate::graph::verb::Verb;

/// The fact that a hand-over with a summary sets.
const SUMMARY: &str = "summary";

/// The facts that are set somewhere.
pub(super) struct Facts {
    /// By name.
    pub(super) names: BTreeSet<String>,
    /// Whether a call may choose the name of another, so that any may be set.
    pub(super) any: bool,
}

impl Facts {
    /// Those of a configuration.
    pub(super) fn of(config: &Config) -> Self {
        let (mut names, mut any) = (BTreeSet::from([SUMMARY.to_owned()]), false);
        for agent in config.agents.values() {
            let Agent::Scripted(agent) = agent else { continue };
            for intent in &agent.intents {
                names.extend(intent.set.keys().cloned());
                let Some(call) = &intent.call else { continue };
                if Verb::of(&call.tool) == Some(Verb::SetFact) {
                    match call.with.get("name").map(constant) {
                        Some(Some(Value::String(name))) => _ = names.insert(name),
                        _ => any = true,
                    }
                }
            }
        }
        for way in &config.transitions {
            let When::Rules(rules) = &way.when else { continue };
            let Ok(set) = RuleSet::new(&Value::Array(rules.clone())) else { continue };
            for action in set.rules().iter().flat_map(|rule| &rule.actions) {
                if let Action::SetContextValue { key, .. } = action {
                    names.insert(key.clone());
                }
            }
        }
        Self { names, any }
    }

    /// The names, for a suggestion.
    pub(super) fn known(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }
}
