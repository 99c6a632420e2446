//! The check of transitions: their ends, their conditions, their words.
//!
//! **Invariant:** a transition that passes can fire, as far as a file can tell.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::check::Report;
use super::complaint::excerpt;
use super::facts::Facts;
use super::schema::is_identifier;
use super::script::{self, Sources};
use super::topology::links;
use super::transitions::{Carry, Event, Operator, Transition, UserInput, When};
use super::{Agent, Config};
use crate::graph::event::{EventName, Source};
use crate::graph::rules::{Action, AgentKey, FACT_PREFIX, RuleSet, Variable};
use crate::graph::topology::LinkKind;
use crate::graph::verb::Verb;

/// To whom each agent hands over.
pub(super) type Reached = BTreeMap<String, BTreeSet<String>>;

/// To whom each agent of a configuration hands over, by transitions and by links.
pub(super) fn reached(config: &Config) -> Reached {
    let mut reached = Reached::new();
    let mut lead = |from: &str, to: &str| {
        reached.entry(from.to_owned()).or_default().insert(to.to_owned());
    };
    for way in &config.transitions {
        lead(&way.from, &way.to);
    }
    // What is wrong with links is told where they are checked.
    for link in links(config).map(|all| all.links).unwrap_or_default() {
        if link.kind == LinkKind::Query || link.pattern.is_call() {
            continue;
        }
        lead(&link.from, &link.to);
        if link.pattern.is_two_way() {
            lead(&link.to, &link.from);
        }
    }
    reached
}

/// Checks a transition.
pub(super) fn check(
    index: &str,
    transition: &Transition,
    reached: &Reached,
    config: &Config,
    report: &mut Report<'_>,
) {
    let place = |key| ["transitions", index, key];
    for (key, agent) in [("from", &transition.from), ("to", &transition.to)] {
        if !config.agents.contains_key(agent) {
            report.unknown(&place(key), "agent", agent, config.agents.keys(), &["agents"]);
        }
    }
    let from = match config.agents.get(&transition.from) {
        Some(Agent::Scripted(scripted)) => Some(scripted),
        Some(Agent::Echo(_)) => {
            let what = format!("`{}` is an echo agent, which never hands over", transition.from);
            report.tell(&place("from"), what, "remove the transition, or make it a scripted agent");
            None
        }
        // It understands no intents: what waits for one is told below.
        Some(Agent::Model(_) | Agent::Native(_)) | None => None,
    };
    if transition.from == transition.to {
        let what = format!("`{}` hands over to itself", transition.from);
        report.tell(&place("to"), what, "name another agent, or remove the transition");
    }
    let mut sources = Sources::facts("this transition");
    match &transition.when {
        When::Intent(name) => {
            match from.and_then(|from| from.intents.iter().find(|intent| intent.name == *name)) {
                Some(intent) => sources = sources.with_words(script::words(intent, config).0),
                None => {
                    if let Some(from) = from {
                        let place = ["transitions", index, "when", "intent"];
                        let home = ["agents", &transition.from, "intents"];
                        report.unknown(
                            &place,
                            "intent",
                            name,
                            from.intents.iter().map(|intent| &intent.name),
                            &home,
                        );
                    }
                    sources = sources.open();
                }
            }
        }
        When::ToolResult(result) => {
            sources = sources.with_result();
            let place = |key| ["transitions", index, "when", "tool_result", key];
            if Verb::of(&result.tool).is_some() {
                // Every agent has it.
            } else if !config.tools.contains_key(&result.tool) {
                report.unknown(
                    &place("tool"),
                    "tool",
                    &result.tool,
                    config.tools.keys(),
                    &["tools"],
                );
            } else if let Some(agent) = from {
                script::lacks(
                    &place("tool"),
                    &transition.from,
                    agent,
                    &result.tool,
                    config,
                    report,
                );
            }
            let numeric = [Operator::Gt, Operator::Lt, Operator::Gte, Operator::Lte];
            if numeric.contains(&result.operator) && !result.value.is_number() {
                let what = format!(
                    "expected a number to compare with, found {}",
                    excerpt(&result.value.to_string())
                );
                report.tell(&place("value"), what, "write a number, or use `operator: eq`");
            }
        }
        When::Event(event) => self::event(index, event, report),
        When::UserInput(UserInput::Matches(pattern)) => {
            let place = ["transitions", index, "when", "user_input", "matches"];
            script::pattern(&place, pattern, report);
        }
        When::Rules(written) => {
            let reached = reached.get(&transition.from);
            rules(index, (transition, reached), written, config, report);
        }
        When::UserInput(UserInput::Contains(_))
        | When::Decision(_)
        | When::AfterMs(_)
        | When::SilenceMs(_)
        | When::Turns(_)
        | When::Digits(_)
        | When::Custom(_) => {}
    }
    for (key, text) in [("say", &transition.say), ("arrival", &transition.arrival)] {
        if let Some(text) = text {
            script::template(&place(key), text, &sources, report);
        }
    }
    if let Carry::Summary(text) = &transition.carry {
        let place = ["transitions", index, "carry", "summary"];
        script::template(&place, text, &sources, report);
    }
}

/// Business rules are sound, and lead where a transition does.
fn rules(
    index: &str,
    (transition, reached): (&Transition, Option<&BTreeSet<String>>),
    written: &[Value],
    config: &Config,
    report: &mut Report<'_>,
) {
    let home = ["transitions", index, "when", "rules"];
    let set = match RuleSet::new(&Value::Array(written.to_vec())) {
        Ok(set) => set,
        Err(faults) => {
            for mut fault in faults {
                if let Some(fact) = misnamed(written, &fault.place, config) {
                    fault.remedy = format!("did you mean `{FACT_PREFIX}{fact}`?");
                }
                let place = fault.place.iter().map(String::as_str);
                let place: Vec<&str> = home.into_iter().chain(place).collect();
                report.tell(&place, fault.what, fault.remedy);
            }
            return;
        }
    };
    for (at, rule) in set.rules().iter().enumerate() {
        let at = at.to_string();
        let place = [&home[..], &[&at, "actions"]].concat();
        for action in &rule.actions {
            if let Action::SetContextValue { key, .. } = action
                && !is_identifier(key)
            {
                let what = format!("`{}` is no name of a fact", excerpt(key));
                report.tell(&place, what, "use letters, digits and `_`, 64 at most");
            }
            let Action::TransitionToAgent { agent: key } = action else { continue };
            let told = match key {
                AgentKey::Name(name) => name.clone(),
                AgentKey::Number(id) => id.to_string(),
            };
            match config.agent_of(key) {
                None => {
                    report.unknown(&place, "agent", &told, config.agents.keys(), &["agents"]);
                }
                Some(name)
                    if name != transition.from
                        && !reached.is_some_and(|reached| reached.contains(name)) =>
                {
                    let what =
                        format!("no transition leads from `{}` to `{name}`", transition.from);
                    report.tell(
                        &place,
                        what,
                        format!("add one, or hand over to `{}`", transition.to),
                    );
                }
                Some(_) => {}
            }
        }
    }
}

/// The fact that is meant where a condition names no variable, if one of that name is set somewhere.
fn misnamed<'w>(written: &'w [Value], place: &[String], config: &Config) -> Option<&'w str> {
    let (last, conditions) = place.split_last().filter(|(last, _)| *last == "name")?;
    let (first, rest) = conditions.split_first()?;
    let rule = written.get(first.parse::<usize>().ok()?)?;
    let at = |value: &'w Value, key: &String| match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    };
    let name = at(rest.iter().try_fold(rule, at)?, last)?.as_str()?;
    let is_condition = rest.first().is_some_and(|key| key == "conditions");
    let is_fact = || Facts::of(config).names.contains(name);
    (is_condition && Variable::named(name).is_none() && is_fact()).then_some(name)
}

/// An event that is waited for has a name of the vocabulary, and somebody emits it.
fn event(index: &str, event: &Event, report: &mut Report<'_>) {
    let place = ["transitions", index, "when", "event", "type"];
    match EventName::read(&event.name) {
        None => {
            let what = format!("unknown event `{}`", excerpt(&event.name));
            report.tell(&place, what, EventName::suggestion(&event.name));
        }
        Some(name) if name.source() == Source::Background => {
            let what = format!("nobody emits `{name}` in a session");
            report.tell(&place, what, "wait for an event of the session, or for `custom`");
        }
        Some(_) => {}
    }
}
