//! What a schema cannot say of a scenario, alone and beside the configuration that it is a test of.
//!
//! **Invariant:** whatever is wrong is told where it is written.

use std::collections::{BTreeMap, BTreeSet};

use super::{Act, Cue, Expect, Pattern, SHAPE, Scenario, Untold};
use crate::config::check::Report;
use crate::config::complaint::{COMPLAINTS_MAX, Complaint, Complaints, suggestion};
use crate::config::yaml::{self, Node};
use crate::config::{Agent, Config, models};
use crate::graph::event::EventName;
use crate::graph::verb::Verb;

/// So many regular expressions may a file have. Compiling one may take some milliseconds, and a file is
/// checked in seconds.
const EXPRESSIONS_MAX: usize = 2_000;

/// A way through the document.
type Way = Vec<String>;

fn way(before: &[String], steps: &[&str]) -> Way {
    before.iter().cloned().chain(steps.iter().map(|step| (*step).to_owned())).collect()
}

/// Everything that is inconsistent in a scenario, with the positions of `tree`.
pub(super) fn check(scenario: &Scenario, tree: &Node) -> Vec<Complaint> {
    let mut report = Report::new(tree);
    if scenario.noise.is_none() && scenario.noise_gain_db != 0.0 {
        report.tell(&["noise_gain_db"], "there is no `noise`", "add `noise: …`, or remove it");
    }
    if !scenario.tests.is_empty() && scenario.opening.is_some() {
        report.tell(&["opening"], "the file holds several tests", "write it in each of them");
    }
    let mut names = BTreeSet::new();
    for (index, test) in scenario.tests.iter().enumerate() {
        if !names.insert(&test.name) {
            let place = ["tests", &index.to_string(), "name"];
            report.tell(&place, "two tests have this name", "choose another name");
        }
    }
    for (place, cues) in lists(scenario) {
        for (index, cue) in cues.iter().enumerate() {
            let place = way(&place, &[&index.to_string()]);
            let what = match &cue.act {
                Act::Play(_) => None,
                Act::Type(_) => Some("a typed text has no gain"),
                Act::Press(_) => Some("keys have no gain"),
                Act::Tell(_) => Some("an event has no gain"),
            };
            let gain = way(&place, &["gain_db"]);
            if let Some(what) = what.filter(|_| tree.get(&gain).is_some()) {
                tell(&mut report, &gain, what, "remove it, or use `play`");
            }
            if let Act::Tell(event) = &cue.act
                && let Err(Untold { place: at, what, remedy }) = event.told()
            {
                let at: Vec<&str> =
                    std::iter::once("event").chain(at.iter().map(String::as_str)).collect();
                tell(&mut report, &way(&place, &at), what, remedy);
            }
        }
    }
    let expressions: usize =
        expectations(scenario).iter().map(|(_, expect)| expressions(expect)).sum();
    if expressions > EXPRESSIONS_MAX {
        let what = format!(
            "there are {expressions} regular expressions, more than the {EXPRESSIONS_MAX} that are compiled"
        );
        report.tell(&[], what, "write words or the very texts, or another file");
        return report.complaints;
    }
    let mut complaints = report.complaints;
    for (place, expect) in expectations(scenario) {
        // One more than are shown, so that the last line can say that there are more.
        if complaints.len() > COMPLAINTS_MAX {
            break;
        }
        self::expect(&place, expect, tree, &mut complaints);
    }
    complaints
}

fn tell(
    report: &mut Report<'_>,
    place: &[String],
    what: impl Into<String>,
    remedy: impl Into<String>,
) {
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    report.tell(&place, what, remedy);
}

/// All lists of cues, and where they are.
fn lists(scenario: &Scenario) -> Vec<(Way, &[Cue])> {
    let mut all = vec![(way(&[], &["cues"]), &*scenario.cues)];
    for (index, test) in scenario.tests.iter().enumerate() {
        all.push((way(&[], &["tests", &index.to_string(), "cues"]), &*test.cues));
    }
    all
}

/// Everything that is expected, and where.
fn expectations(scenario: &Scenario) -> Vec<(Way, &Expect)> {
    let mut all = Vec::new();
    if let Some(opening) = &scenario.opening {
        all.push((way(&[], &["opening"]), &**opening));
    }
    for (index, test) in scenario.tests.iter().enumerate() {
        if let Some(opening) = &test.opening {
            all.push((way(&[], &["tests", &index.to_string(), "opening"]), &**opening));
        }
    }
    for (place, cues) in lists(scenario) {
        for (index, cue) in cues.iter().enumerate() {
            if let Some(expect) = &cue.expect {
                all.push((way(&place, &[&index.to_string(), "expect"]), &**expect));
            }
        }
    }
    all
}

/// How many regular expressions there are.
fn expressions(expect: &Expect) -> usize {
    let moved = expect.transitions.iter().flatten().filter_map(|moved| moved.cause.as_ref());
    let says = expect.says.iter().flatten().chain(&expect.not_says);
    says.chain(moved).chain(&expect.ends).filter(|pattern| pattern.is_expression()).count()
}

/// What is wrong with a pattern or the name of an event is no consequence of anything else.
fn expect(place: &[String], expect: &Expect, tree: &Node, complaints: &mut Vec<Complaint>) {
    let mut tell = |place: &[String], what: String, remedy: String| {
        let (mark, path) = tree.locate(place);
        complaints.push(Complaint::at(mark, path, what, remedy));
    };
    let mut patterns: Vec<(Way, &Pattern)> = Vec::new();
    let lists = [("says", expect.says.as_deref()), ("not_says", Some(&*expect.not_says))];
    for (key, list) in lists {
        for (index, pattern) in list.into_iter().flatten().enumerate() {
            patterns.push((way(place, &[key, &index.to_string()]), pattern));
        }
    }
    for (index, moved) in expect.transitions.iter().flatten().enumerate() {
        let place = way(place, &["transitions", &index.to_string(), "cause"]);
        patterns.extend(moved.cause.as_ref().map(|cause| (place, cause)));
    }
    patterns.extend(expect.ends.as_ref().map(|ends| (way(place, &["ends"]), ends)));
    for (place, pattern) in patterns {
        if let Some(wrong) = pattern.wrong() {
            let remedy = match pattern {
                Pattern::Text(_) => "correct it; without slashes it is the very text",
                Pattern::Words(_) => "write words, or remove it",
            };
            tell(&place, wrong, remedy.to_owned());
        }
    }
    let events = [
        ("events", &expect.events),
        ("events_any_order", &expect.events_any_order),
        ("not_events", &expect.not_events),
    ];
    for (key, list) in events {
        for (index, event) in list.iter().enumerate() {
            if EventName::read(&event.name).is_none() {
                let place = way(place, &[key, &index.to_string(), "type"]);
                let what = "this event does not exist".to_owned();
                tell(&place, what, EventName::suggestion(&event.name));
            }
        }
    }
}

/// Checks a scenario that was parsed from `text` beside the configuration that it is a test of; `tools`
/// are those that the program has besides.
///
/// # Errors
/// Every agent, intent and tool in it that the configuration does not have.
pub fn against(
    scenario: &Scenario,
    text: &[u8],
    file_name: &str,
    config: &Config,
    tools: &[&str],
) -> Result<(), Complaints> {
    let Ok((tree, _)) = yaml::read(text, &SHAPE) else { return Ok(()) };
    let mut report = Report::new(&tree);
    let intents = config.agents.values().flat_map(|agent| match agent {
        Agent::Scripted(scripted) => scripted.intents.iter().map(|i| i.name.as_str()).collect(),
        Agent::Model(_) | Agent::Native(_) | Agent::Echo(_) => Vec::new(),
    });
    let known = Known {
        agents: config.agents.keys().map(String::as_str).collect(),
        intents: intents.collect(),
        tools: config.tools.keys().map(String::as_str).chain(tools.iter().copied()).collect(),
    };
    let mut answers: Vec<(Way, &BTreeMap<String, _>)> =
        vec![(way(&[], &["tools"]), &scenario.tools)];
    for (index, test) in scenario.tests.iter().enumerate() {
        answers.push((way(&[], &["tests", &index.to_string(), "tools"]), &test.tools));
    }
    for (place, tools) in answers {
        for name in tools.keys() {
            known.tool(way(&place, &[name]), name, &mut report);
            // What the session does itself, nobody can stand in for.
            if Verb::of(name).is_some_and(|verb| verb.room().is_none()) {
                let what = format!("`{name}` is done by the session itself");
                let remedy = "remove the answers: it is done in a test as well".to_owned();
                tell(&mut report, &way(&place, &[name]), what, remedy);
            }
        }
    }
    let mut replies: Vec<(Way, &BTreeMap<String, _>)> =
        vec![(way(&[], &["models"]), &scenario.models)];
    for (index, test) in scenario.tests.iter().enumerate() {
        replies.push((way(&[], &["tests", &index.to_string(), "models"]), &test.models));
    }
    let models: BTreeSet<&str> = config.models.keys().map(String::as_str).collect();
    for (place, replied) in replies {
        for (name, replies) in replied {
            if !models.contains(name.as_str()) {
                unknown(&way(&place, &[name]), "model", name, &models, &mut report);
            }
            for (index, reply) in replies.iter().enumerate() {
                let place = way(&place, &[name, &index.to_string()]);
                if let Some(after) = &reply.after {
                    known.tool(way(&place, &["after"]), after, &mut report);
                }
                if let Some((what, remedy)) = models::nothing(reply) {
                    tell(&mut report, &place, what.to_owned(), remedy.to_owned());
                }
            }
        }
    }
    for (place, expect) in expectations(scenario) {
        known.check(&place, expect, &mut report);
    }
    if report.complaints.is_empty() {
        return Ok(());
    }
    Err(Complaints::about(file_name, report.complaints))
}

/// The names that a configuration has.
struct Known<'c> {
    agents: BTreeSet<&'c str>,
    intents: BTreeSet<&'c str>,
    tools: BTreeSet<&'c str>,
}

impl Known<'_> {
    fn check(&self, place: &[String], expect: &Expect, report: &mut Report<'_>) {
        let mut named = |steps: &[&str], noun, name: &str, known: &BTreeSet<&str>| {
            if !known.contains(name) {
                unknown(&way(place, steps), noun, name, known, report);
            }
        };
        if let Some(agent) = &expect.agent {
            named(&["agent"], "agent", agent, &self.agents);
        }
        if let Some(intent) = &expect.intent {
            named(&["intent"], "intent", intent, &self.intents);
        }
        for (index, moved) in expect.transitions.iter().flatten().enumerate() {
            let index = index.to_string();
            if let Some(from) = &moved.from {
                named(&["transitions", &index, "from"], "agent", from, &self.agents);
            }
            named(&["transitions", &index, "to"], "agent", &moved.to, &self.agents);
        }
        for (index, called) in expect.calls.iter().flatten().enumerate() {
            self.tool(way(place, &["calls", &index.to_string(), "tool"]), &called.tool, report);
        }
    }

    fn tool(&self, place: Way, name: &str, report: &mut Report<'_>) {
        if !self.tools.contains(name) && Verb::of(name).is_none() {
            unknown(&place, "tool", name, &self.tools, report);
        }
    }
}

fn unknown(
    place: &[String],
    noun: &str,
    name: &str,
    known: &BTreeSet<&str>,
    report: &mut Report<'_>,
) {
    let known: Vec<&str> = known.iter().copied().collect();
    let remedy = suggestion(name, &format!("{noun}s of the configuration"), &known);
    tell(report, place, format!("the configuration has no {noun} `{name}`"), remedy);
}
