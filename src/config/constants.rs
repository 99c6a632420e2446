//! What an intent gives to a built-in tool, as far as it is known before any call: arguments without
//! placeholders.
//!
//! **Invariant:** what is told here would fail in every call of every conversation. What fails in some
//! is left to the call, where the agent says so.

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::Value;

use super::check::{Report, properties};
use super::complaint::excerpt;
use super::document::Shape;
use super::topology::links;
use super::transitions::When;
use super::{Agent, Config, Intent, Scripted};
use crate::graph::topology::{LinkKind, LinkPattern};
use crate::graph::verb::Verb;
use crate::talk::template::Template;

/// Who may hand over to whom by decision, and who may call whom.
struct Leads<'a> {
    decisions: BTreeSet<(&'a str, &'a str)>,
    calls: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Leads<'a> {
    /// Those of a configuration; nothing where its links are wrong themselves.
    fn of(config: &'a Config) -> Option<Self> {
        let (mut decisions, mut calls) = (BTreeSet::new(), BTreeSet::new());
        for way in &config.transitions {
            let When::Decision(decision) = &way.when else { continue };
            if decision.key == "transition_to" {
                let to = decision.value.as_ref().map_or(Some(&*way.to), Value::as_str);
                // It leads where the transition does, and only that decision is for its agent.
                if to == Some(&*way.to) {
                    decisions.insert((way.from.as_str(), way.to.as_str()));
                }
            }
        }
        for link in links(config).ok()?.links {
            let known = |name: &str| config.agents.get_key_value(name).map(|(name, _)| &**name);
            let (Some(from), Some(to)) = (known(&link.from), known(&link.to)) else { continue };
            let back = link.pattern.is_two_way() && !link.pattern.is_call();
            match (link.kind, link.pattern) {
                (LinkKind::Query, _) | (_, LinkPattern::Reflexive) => {
                    calls.insert((from, to));
                    if back && link.pattern != LinkPattern::Alternating {
                        calls.insert((to, from));
                    }
                }
                _ => {
                    decisions.insert((from, to));
                    if back {
                        decisions.insert((to, from));
                    }
                }
            }
        }
        Some(Self { decisions, calls })
    }
}

/// Checks the arguments of every call of a built-in tool.
pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let leads = Leads::of(config);
    for (name, agent) in &config.agents {
        let Agent::Scripted(scripted) = agent else { continue };
        for (at, intent) in scripted.intents.iter().enumerate() {
            let at = at.to_string();
            self::intent(&["agents", name, "intents", &at], intent, config, report);
            if let Some(leads) = &leads {
                target(&["agents", name, "intents", &at], intent, (config, leads), report);
            }
        }
    }
}

fn intent(place: &[&str], intent: &Intent, config: &Config, report: &mut Report<'_>) {
    let Some(call) = &intent.call else { return };
    let Some(verb) = Verb::of(&call.tool) else { return };
    let parameters = verb.parameters();
    for (argument, value) in &call.with {
        let Some(schema) = properties(&parameters).and_then(|known| known.get(argument)) else {
            continue;
        };
        let Some(value) = constant(value) else { continue };
        let place = [place, &["call", "with", argument]].concat();
        let Ok(validator) = jsonschema::draft202012::new(schema) else { continue };
        if !validator.is_valid(&value) {
            report.misfits(&place, &value, &shape(schema.clone(), validator));
            continue;
        }
        let Some(text) = value.as_str() else { continue };
        match (verb, argument.as_str()) {
            (Verb::PlayClip | Verb::Hold, "clip") if !config.clips.contains_key(text) => {
                report.unknown(&place, "clip", text, config.clips.keys(), &["clips"]);
            }
            (Verb::SetFact, "name") if !super::is_identifier(text) => {
                let what = format!("`{}` is no name of a fact", excerpt(text));
                let remedy = "use letters, digits and `_`, a digit not first, at most 64";
                report.tell(&place, what, remedy);
            }
            _ => {}
        }
    }
}

/// The agent that a call names, and whether anything leads to it.
fn target(
    place: &[&str],
    intent: &Intent,
    (config, leads): (&Config, &Leads<'_>),
    report: &mut Report<'_>,
) {
    let Some(call) = &intent.call else { return };
    let (argument, calls) = match Verb::of(&call.tool) {
        Some(Verb::HandOver) => ("to", false),
        Some(Verb::CallAgent) => ("agent", true),
        _ => return,
    };
    let Some(Value::String(to)) = call.with.get(argument).and_then(constant) else { return };
    let (from, place) = (place[1], [place, &["call", "with", argument]].concat());
    if !config.agents.contains_key(&to) {
        report.unknown(&place, "agent", &to, config.agents.keys(), &["agents"]);
    } else if calls && !leads.calls.contains(&(from, &*to)) {
        let what = format!("`{from}` may not call `{to}`: there is no link `{from} <=> {to}`");
        let remedy = format!("write `topology: {{ links: [\"{from} <=> {to}\"] }}`");
        report.tell_unless_lost(&place, what, remedy, &["topology"]);
    } else if !calls && from != to && !leads.decisions.contains(&(from, &*to)) {
        let what = format!("no transition by decision leads from `{from}` to `{to}`");
        let remedy = "add one with `when: { decision: {} }`, or a link to `topology`";
        report.tell_unless_lost(&place, what, remedy, &["transitions"]);
    }
}

/// What an argument is in every call; nothing if it depends on the call.
pub(super) fn constant(value: &Value) -> Option<Value> {
    Some(match value {
        Value::String(text) => {
            let template = Template::parse(text).ok()?;
            if template.gaps().next().is_some() {
                return None;
            }
            template.render(&|_| None).into()
        }
        Value::Array(items) => Value::Array(items.iter().map(constant).collect::<Option<_>>()?),
        Value::Object(map) => {
            let fields = map.iter().map(|(key, item)| Some((key.clone(), constant(item)?)));
            Value::Object(fields.collect::<Option<_>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

/// What an argument looks like, for the words of what is wrong with one.
fn shape(schema: Value, validator: Validator) -> Shape {
    Shape {
        noun: "call",
        opening: "a value",
        own: &[],
        others: &[],
        elsewhere: "",
        reference: "the call verbs of the documentation",
        lent: None,
        misformed: |_| Vec::new(),
        schema,
        validator,
    }
}

/// Whether an intent of an agent calls a built-in tool with this argument, so far as a file can tell: what
/// only a call knows may be anything.
pub(super) fn may_pass(agent: &Scripted, verb: Verb, argument: (&str, &str)) -> bool {
    let (argument, value) = argument;
    let calls = agent.intents.iter().filter_map(|intent| intent.call.as_ref());
    calls.filter(|call| Verb::of(&call.tool) == Some(verb)).any(|call| {
        let passed = call.with.get(argument);
        passed.is_some_and(|passed| constant(passed).is_none_or(|passed| passed == value))
    })
}
