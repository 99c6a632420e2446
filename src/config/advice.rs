//! What is allowed and yet hardly meant: agents that nobody reaches, transitions that never fire, facts
//! that nobody sets.
//!
//! **Invariant:** advice is about a configuration that has no mistakes, and each finding is told once, at
//! the place where it is mended.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use super::check::Report;
use super::complaint::excerpt;
use super::constants::may_pass;
use super::facts::Facts;
use super::topology::links;
use super::transitions::{Carry, Decision, Transition, When};
use super::yaml::Node;
use super::{Agent, Config, Intent};
use crate::graph::rules::{FACT_PREFIX, Variable};
use crate::graph::topology::{Link, LinkKind, LinkPattern};
use crate::graph::verb::Verb;
use crate::talk::near::suggestion;
use crate::talk::template::Template;

/// Everything that is hardly meant, with the positions of `tree`.
pub(super) fn advise(config: &Config, tree: &Node) -> Vec<super::Complaint> {
    let mut report = Report::new(tree);
    let links = links(config).map(|all| all.links).unwrap_or_default();
    let ways = Ways::of(config, &links);
    ways.unreached(config, &mut report);
    ways.dead_ends(config, &mut report);
    shadowed(config, &mut report);
    let followed = config.transitions.iter().filter(|way| way.results == super::Results::Follow);
    let followed: BTreeSet<&str> = followed.map(|way| way.to.as_str()).collect();
    for (index, transition) in config.transitions.iter().enumerate() {
        awaited_in_vain(&index.to_string(), transition, &followed, config, &mut report);
    }
    facts(config, &mut report);
    super::clashes::look(config, &mut report);
    super::natives::advise(config, &mut report);
    report.complaints
}

/// Who leads to whom, by any condition that may be fulfilled.
struct Ways<'a> {
    next: BTreeMap<&'a str, BTreeSet<&'a str>>,
    called: BTreeSet<&'a str>,
    /// Links that nobody takes: from whom to whom, and the tool that would.
    idle: Vec<(&'a str, &'a str, Verb)>,
}

impl<'a> Ways<'a> {
    fn of(config: &'a Config, links: &'a [Link]) -> Self {
        let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut called = BTreeSet::new();
        let transitions = config.transitions.iter();
        for way in transitions.filter(|way| !matches!(way.when, When::Custom(_))) {
            next.entry(&way.from).or_default().insert(&way.to);
        }
        let mut idle = Vec::new();
        let mut lead = |from: &'a str, to: &'a str, verb: Verb| {
            if !takes(config, from, to, verb) {
                idle.push((from, to, verb));
                return;
            }
            next.entry(from).or_default().insert(to);
            if verb == Verb::CallAgent {
                next.entry(to).or_default().insert(from);
                called.insert(to);
            }
        };
        for Link { from, to, kind, pattern, .. } in links {
            let verb = match (kind, pattern) {
                (LinkKind::Query, _) | (_, LinkPattern::Reflexive) => Verb::CallAgent,
                // Strict turns hand over by themselves.
                (_, LinkPattern::Alternating) => Verb::Now,
                _ => Verb::HandOver,
            };
            lead(from, to, verb);
            if pattern.is_two_way() && !pattern.is_call() {
                lead(to, from, verb);
            }
        }
        Self { next, called, idle }
    }

    /// All that `start` leads to, itself included, within `agents`.
    fn from(&self, start: &'a str, takes_part: &dyn Fn(&str) -> bool) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::from([start]);
        let mut ahead = VecDeque::from([start]);
        while let Some(at) = ahead.pop_front() {
            for to in self.next.get(at).into_iter().flatten() {
                if takes_part(to) && reached.insert(to) {
                    ahead.push_back(to);
                }
            }
        }
        reached
    }

    fn unreached(&self, config: &'a Config, report: &mut Report<'_>) {
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        if config.conversations.is_empty() || config.start.is_some() {
            let start = config.start.as_deref().unwrap_or_else(|| config.start_agent());
            reached.extend(self.from(start, &|_| true));
        }
        for (name, conversation) in &config.conversations {
            let part = |agent: &str| conversation.agents.iter().any(|known| known == agent);
            let within = self.from(&conversation.start, &part);
            for (at, agent) in conversation.agents.iter().enumerate() {
                if !within.contains(agent.as_str()) {
                    let what = format!("nobody of this conversation hands over to `{agent}`");
                    let place = ["conversations", name, "agents", &at.to_string()];
                    report.tell(&place, what, "add a transition to it, or take it out");
                }
            }
            reached.extend(conversation.agents.iter().map(String::as_str));
        }
        for name in config.agents.keys().filter(|name| !reached.contains(name.as_str())) {
            let taken = |(from, to, _): &&(&str, &str, Verb)| to == name && reached.contains(from);
            let Some((from, _, verb)) = self.idle.iter().find(taken) else {
                let what = format!("nobody hands over to `{name}`: it is never the current agent");
                report.tell(&["agents", name], what, "add a transition to it, or remove it");
                continue;
            };
            let (does, argument) = match verb {
                Verb::CallAgent => ("calls it", "agent"),
                _ => ("hands over to it", "to"),
            };
            let what = format!(
                "only links lead to `{name}`, and no intent {does}: it is never the current agent"
            );
            let call = format!("call: {{ tool: {}, with: {{ {argument}: {name} }} }}", verb.name());
            report.tell(
                &["agents", name],
                what,
                format!("add an intent to `{from}` with `{call}`"),
            );
        }
    }

    /// Agents with which a caller is left: nobody follows, and they cannot end the call.
    fn dead_ends(&self, config: &Config, report: &mut Report<'_>) {
        if config.agents.len() < 2 {
            return;
        }
        for (name, agent) in &config.agents {
            let Agent::Scripted(scripted) = agent else { continue };
            let leads =
                self.next.contains_key(name.as_str()) || self.called.contains(name.as_str());
            if !leads && !scripted.intents.iter().any(ends) {
                let what = format!(
                    "`{name}` is a dead end: it hands over to nobody and cannot end the call"
                );
                let remedy = "add a transition from it, or an intent with `end_call: true`";
                report.tell(&["agents", name], what, remedy);
            }
        }
    }
}

/// Whether anything takes a link from an agent to another by this tool.
fn takes(config: &Config, from: &str, to: &str, verb: Verb) -> bool {
    // Whoever is in the room may decide as well, where a method lets them.
    let asked = |tool: Verb| config.livekit.rpc.values().any(|name| name == tool.name());
    match (config.agents.get(from), verb) {
        (_, Verb::Now) => true,
        (Some(Agent::Scripted(agent)), Verb::CallAgent) => {
            may_pass(agent, Verb::CallAgent, ("agent", to))
        }
        (Some(Agent::Scripted(agent)), _) => {
            may_pass(agent, Verb::HandOver, ("to", to))
                || may_pass(agent, Verb::Decide, ("value", to))
                || asked(Verb::HandOver)
                || asked(Verb::Decide)
        }
        (Some(agent @ (Agent::Model(_) | Agent::Native(_))), Verb::CallAgent) => {
            agent.tools().iter().any(|tool| tool == Verb::CallAgent.name())
        }
        (Some(agent @ (Agent::Model(_) | Agent::Native(_))), _) => {
            let has = |verb: Verb| agent.tools().iter().any(|tool| tool == verb.name());
            has(Verb::HandOver) || has(Verb::Decide) || asked(Verb::HandOver) || asked(Verb::Decide)
        }
        // An echo never decides.
        (Some(Agent::Echo(_)), _) => asked(Verb::HandOver) || asked(Verb::Decide),
        (None, _) => true,
    }
}

/// Whether an intent ends the call, or what the agent has of it.
fn ends(intent: &Intent) -> bool {
    let verb = intent.call.as_ref().and_then(|call| Verb::of(&call.tool));
    intent.end_call || matches!(verb, Some(Verb::EndCall | Verb::TransferCall | Verb::ReturnValue))
}

/// Transitions that never fire, since an earlier one of the same agent always does.
fn shadowed(config: &Config, report: &mut Report<'_>) {
    let mut by_agent: BTreeMap<&str, Vec<(usize, &Transition)>> = BTreeMap::new();
    for (index, transition) in config.transitions.iter().enumerate() {
        by_agent.entry(&transition.from).or_default().push((index, transition));
    }
    for mut ways in by_agent.into_values() {
        ways.sort_by_key(|(index, way)| {
            (!matches!(way.when, When::Rules(_)), std::cmp::Reverse(way.priority), *index)
        });
        let mut always = None;
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for (index, way) in ways {
            let place = ["transitions", &index.to_string()];
            let condition = match &way.when {
                // By default the decision is for the agent that takes over.
                When::Decision(Decision { key, value: None }) => {
                    let value = Some(way.to.as_str().into());
                    serde_json::to_string(&When::Decision(Decision { key: key.clone(), value }))
                }
                when => serde_json::to_string(when),
            };
            let condition = condition.unwrap_or_default();
            if let Some(first) = always {
                let what = format!(
                    "it never fires: transition {first}, which is tried before, always does"
                );
                report.tell(&place, what, "remove it, or give it a higher priority");
            } else if let Some(first) = seen.get(&condition) {
                let what = format!(
                    "it never fires: transition {first}, which is tried before, has the same condition"
                );
                report.tell(&place, what, "remove one of the two, or change its condition");
            }
            seen.entry(condition).or_insert(index);
            if matches!(way.when, When::AfterMs(0)) {
                always.get_or_insert(index);
            }
        }
    }
}

/// A condition that nothing in the configuration can fulfil.
fn awaited_in_vain(
    index: &str,
    transition: &Transition,
    followed: &BTreeSet<&str>,
    config: &Config,
    report: &mut Report<'_>,
) {
    let Some(Agent::Scripted(from)) = config.agents.get(&transition.from) else { return };
    let calls = || from.intents.iter().filter_map(|intent| intent.call.as_ref());
    match &transition.when {
        When::ToolResult(result) => {
            let follows = followed.contains(transition.from.as_str());
            if !follows && !calls().any(|call| call.tool == result.tool) {
                let what = format!("`{}` never calls `{}`", transition.from, result.tool);
                let place = ["transitions", index, "when", "tool_result", "tool"];
                report.tell(&place, what, "add an intent with this `call`, or another condition");
            }
        }
        When::Decision(decision)
            if !calls().any(|call| decides(call, decision, &transition.to)) =>
        {
            let what = format!("`{}` never decides `{}` so", transition.from, decision.key);
            let remedy = "add an intent that calls `decide` or `hand_over`, or another condition";
            report.tell(&["transitions", index, "when", "decision"], what, remedy);
        }
        When::Custom(_) => {
            let place = ["transitions", index, "when", "custom"];
            report.tell(
                &place,
                "a condition of another system never fires",
                "write one that is known",
            );
        }
        _ => {}
    }
}

/// Whether a call may decide so: a text with gaps may be anything.
fn decides(call: &super::Invocation, decision: &Decision, to: &str) -> bool {
    let may_be = |found: Option<&Value>, wanted: &Value| {
        let open = |text: &str| text.contains('{');
        found.is_some_and(|found| found == wanted || found.as_str().is_some_and(open))
    };
    let value = decision.value.clone().unwrap_or_else(|| to.into());
    match Verb::of(&call.tool) {
        Some(Verb::HandOver) => {
            decision.key == "transition_to" && may_be(call.with.get("to"), &value)
        }
        Some(Verb::Decide) => {
            may_be(call.with.get("key"), &decision.key.as_str().into())
                && may_be(call.with.get("value"), &value)
        }
        _ => false,
    }
}

/// Facts that are named where nobody sets them.
fn facts(config: &Config, report: &mut Report<'_>) {
    let known = Facts::of(config);
    let mut used: Vec<(Vec<String>, String)> = Vec::new();
    let mut text = |place: &[&str], text: &str| {
        let Ok(template) = Template::parse(text) else { return };
        for fact in template.placeholders().filter_map(|name| name.strip_prefix("fact.")) {
            let name = fact.split('.').next().unwrap_or(fact);
            used.push((place.iter().map(|&key| key.to_owned()).collect(), name.to_owned()));
        }
    };
    text(&["speech", "apology"], &config.speech.apology);
    for (name, agent) in &config.agents {
        let Agent::Scripted(agent) = agent else { continue };
        let own = [
            ("greeting", &agent.greeting),
            ("arrival", &agent.arrival),
            ("idle", &agent.idle),
            ("fallback", &Some(agent.fallback.clone())),
        ];
        for (key, said) in own {
            said.iter().for_each(|said| text(&["agents", name, key], said));
        }
        for (at, intent) in agent.intents.iter().enumerate() {
            let at = at.to_string();
            let place = |rest: &[&'static str]| -> Vec<String> {
                let home = ["agents", name.as_str(), "intents", at.as_str()];
                home.iter().chain(rest).map(|&key| key.to_owned()).collect()
            };
            for (key, said) in
                [("say", &intent.say), ("then", &intent.then), ("failed", &intent.failed)]
            {
                let place = place(&[key]);
                let place: Vec<&str> = place.iter().map(String::as_str).collect();
                said.iter().for_each(|said| text(&place, said));
            }
            let place = place(&[]);
            let place: Vec<&str> = place.iter().map(String::as_str).collect();
            for (fact, value) in &intent.set {
                text(&[&place[..], &["set", fact]].concat(), value);
            }
            let Some(call) = &intent.call else { continue };
            for (argument, value) in &call.with {
                each_text(value, &mut |value| {
                    text(&[&place[..], &["call", "with", argument]].concat(), value);
                });
            }
        }
    }
    let mut named = Vec::new();
    for (index, way) in config.transitions.iter().enumerate() {
        let index = index.to_string();
        for (key, said) in [("say", &way.say), ("arrival", &way.arrival)] {
            said.iter().for_each(|said| text(&["transitions", &index, key], said));
        }
        match &way.carry {
            Carry::Summary(summary) => text(&["transitions", &index, "carry", "summary"], summary),
            Carry::Facts(facts) => named.extend(facts.iter().enumerate().map(|(at, fact)| {
                let place = ["transitions", &index, "carry", "facts", &at.to_string()];
                (place.map(str::to_owned).to_vec(), fact.clone())
            })),
            Carry::Everything | Carry::Nothing => {}
        }
        if let When::Rules(rules) = &way.when {
            let place = ["transitions", &index, "when", "rules"].map(str::to_owned).to_vec();
            let looked = rules.iter().flat_map(variables);
            named.extend(looked.map(|fact| (place.clone(), fact)));
        }
    }
    used.append(&mut named);
    for (place, fact) in used {
        if !known.names.contains(&fact) && !known.any {
            let place: Vec<&str> = place.iter().map(String::as_str).collect();
            let what = format!("nothing here sets the fact `{}`", excerpt(&fact));
            report.tell(&place, what, suggestion(&fact, "facts", &known.known()));
        }
    }
}

fn each_text(value: &Value, tell: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => tell(text),
        Value::Array(items) => items.iter().for_each(|item| each_text(item, tell)),
        Value::Object(map) => map.values().for_each(|item| each_text(item, tell)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The facts that the conditions of a rule look at.
fn variables(rule: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut ahead = vec![&rule["conditions"]];
    while let Some(condition) = ahead.pop() {
        for key in ["all", "any"] {
            ahead.extend(condition[key].as_array().into_iter().flatten());
        }
        let name = condition["name"].as_str().filter(|name| name.starts_with(FACT_PREFIX));
        if let Some(Variable::Fact(fact)) = name.and_then(Variable::named) {
            found.push(fact);
        }
    }
    found
}
