//! The check of a scripted agent: its words, its intents, its calls.
//!
//! **Invariant:** after it, every placeholder of every template has a source. Whether the source
//! has a value is known only in a call: a slot may be in one phrase of an intent and not in
//! another.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::check::{Report, properties, repeated};
use super::complaint::{excerpt, suggestion};
use super::{Agent, Config, Intent, Scripted};
use crate::graph::verb::Verb;
use crate::talk::template::{Gap, Template};

/// The largest compiled pattern in bytes: 1 MiB, which a dozen Unicode classes fit into and a bomb
/// of repetitions does not.
pub const PATTERN_SIZE_MAX: usize = 1 << 20;

/// Names that templates give a meaning to; slots and groups may not take them.
const RESERVED: [&str; 3] = ["error", "fact", "result"];

pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// What the gaps of a template may be filled from.
pub(super) struct Sources<'a> {
    owner: &'a str,
    words: BTreeSet<String>,
    result: bool,
    error: bool,
    open: bool,
    no_facts: bool,
}

impl<'a> Sources<'a> {
    /// Facts only, which are there in every template.
    pub(super) fn facts(owner: &'a str) -> Self {
        Self {
            owner,
            words: BTreeSet::new(),
            result: false,
            error: false,
            open: false,
            no_facts: false,
        }
    }

    /// Nothing yet.
    pub(super) fn nothing(owner: &'a str) -> Self {
        Self { no_facts: true, ..Self::facts(owner) }
    }

    /// Slots and groups as well.
    pub(super) fn with_words(self, words: BTreeSet<String>) -> Self {
        Self { words, ..self }
    }

    /// A tool's result as well.
    pub(super) fn with_result(self) -> Self {
        Self { result: true, ..self }
    }

    /// A tool's error as well.
    fn with_error(self) -> Self {
        Self { error: true, ..self }
    }

    /// Anything, since what it may name is in doubt.
    pub(super) fn open(self) -> Self {
        Self { open: true, ..self }
    }

    fn objection(&self, Gap { path, .. }: &Gap) -> Option<(String, String)> {
        let (root, key) =
            path.split_once('.').map_or((path.as_str(), None), |(root, key)| (root, Some(key)));
        let absent = |what: &str, remedy: &str| {
            Some((format!("{} has no `{{{root}}}`: {what}", self.owner), remedy.to_owned()))
        };
        match (root, key) {
            ("fact", _) if self.no_facts => {
                absent("a model is told facts in its instructions", "write what it answers")
            }
            ("fact", Some(_)) => None,
            ("fact", None) => {
                Some(("`{fact}` does not say which".into(), "write `{fact.name}`".into()))
            }
            ("result", _) if self.result => None,
            ("result", _) => absent(
                "no tool has answered by then",
                "move it to the `then` of an intent with a `call`",
            ),
            ("error", None) if self.error => None,
            ("error", Some(_)) if self.error => {
                Some(("an error is a text without keys".into(), "write `{error}`".into()))
            }
            ("error", _) => absent("nothing has failed by then", "move it to `failed`"),
            (word, None) if self.words.contains(word) => None,
            (word, Some(_)) if self.words.contains(word) => {
                Some((format!("`{word}` is a text without keys"), format!("write `{{{word}}}`")))
            }
            _ if self.open => None,
            (word, _) => {
                let mut known: Vec<&str> = self.words.iter().map(String::as_str).collect();
                known.extend(
                    [("result", self.result), ("error", self.error)]
                        .iter()
                        .filter(|(_, there)| *there)
                        .map(|(name, _)| *name),
                );
                known.extend((!self.no_facts).then_some("fact.…"));
                let what = format!("unknown placeholder `{{{}}}`", excerpt(word));
                Some((what, suggestion(word, "placeholders", &known)))
            }
        }
    }
}

/// Checks one template.
pub(super) fn template(place: &[&str], text: &str, sources: &Sources<'_>, report: &mut Report<'_>) {
    match Template::parse(text) {
        Err(error) => report.tell(
            place,
            format!("{} at character {}", error.what, error.column),
            error.remedy,
        ),
        Ok(template) => {
            let objections: BTreeSet<_> =
                template.gaps().filter_map(|gap| sources.objection(gap)).collect();
            for (what, remedy) in objections {
                report.tell(place, what, remedy);
            }
        }
    }
}

/// Checks a scripted agent.
pub(super) fn check(name: &str, agent: &Scripted, config: &Config, report: &mut Report<'_>) {
    let Scripted { greeting, arrival, idle, fallback, .. } = agent;
    let unasked = [("greeting", greeting), ("arrival", arrival), ("idle", idle)];
    words_of(name, unasked.map(|(key, text)| (key, text.as_ref())), report);
    words_of(name, [("fallback", Some(fallback))], report);
    tools_of(name, &agent.tools, |tool| config.tools.contains_key(tool), config, report);
    for (index, repeated) in repeated(agent.intents.iter().map(|intent| intent.name.as_str())) {
        let place = ["agents", name, "intents", &index.to_string(), "name"];
        report.tell(
            &place,
            format!("a second intent `{repeated}`"),
            "rename one, or join their phrases",
        );
    }
    for (index, intent) in agent.intents.iter().enumerate() {
        let index = index.to_string();
        self::intent(&["agents", name, "intents", &index], intent, agent, config, report);
    }
}

/// Checks what an agent says or is told of itself: templates of facts.
pub(super) fn words_of<'t>(
    name: &str,
    words: impl IntoIterator<Item = (&'static str, Option<&'t String>)>,
    report: &mut Report<'_>,
) {
    for (key, text) in words {
        if let Some(text) = text {
            template(&["agents", name, key], text, &Sources::facts(&format!("`{key}`")), report);
        }
    }
}

/// Checks that there are the tools that an agent lists.
pub(super) fn tools_of(
    name: &str,
    tools: &[String],
    is_known: impl Fn(&str) -> bool,
    config: &Config,
    report: &mut Report<'_>,
) {
    for (index, tool) in tools.iter().enumerate().filter(|(_, tool)| !is_known(tool)) {
        let place = ["agents", name, "tools", &index.to_string()];
        report.unknown(&place, "tool", tool, config.tools.keys(), &["tools"]);
    }
}

fn intent(
    place: &[&str],
    intent: &Intent,
    agent: &Scripted,
    config: &Config,
    report: &mut Report<'_>,
) {
    let at = |rest: &[&'static str]| [place, rest].concat();
    if intent.phrases.is_empty() && intent.patterns.is_empty() {
        report.tell(
            place,
            format!("intent `{}` has neither phrases nor patterns", intent.name),
            "say how callers express it",
        );
    }
    for (index, phrase) in intent.phrases.iter().enumerate() {
        self::phrase(
            &[&at(&["phrases"])[..], &[&index.to_string()]].concat(),
            phrase,
            config,
            report,
        );
    }
    for (index, pattern) in intent.patterns.iter().enumerate() {
        self::pattern(&[&at(&["patterns"])[..], &[&index.to_string()]].concat(), pattern, report);
    }
    let (words, certain) = words(intent, config);
    // What a phrase or pattern that is wrong itself would have offered is unknown.
    let sources = |owner| {
        let sources = Sources::facts(owner).with_words(words.clone());
        if certain { sources } else { sources.open() }
    };
    if let Some(say) = &intent.say {
        template(&at(&["say"]), say, &sources("`say`"), report);
    }
    let called = |sources: Sources<'static>| match intent.call {
        Some(_) => sources.with_result(),
        None => sources,
    };
    for (name, text) in &intent.set {
        template(&[place, &["set", name]].concat(), text, &called(sources("this fact")), report);
    }
    for (key, text) in [("then", &intent.then), ("failed", &intent.failed)] {
        let Some(text) = text else { continue };
        if intent.call.is_none() {
            report.tell(
                &at(&[key]),
                format!("`{key}` is never said: there is no `call`"),
                "add a `call`, or use `say`",
            );
        } else if key == "then" {
            template(&at(&[key]), text, &sources("`then`").with_result(), report);
        } else {
            template(&at(&[key]), text, &sources("`failed`").with_error(), report);
        }
    }
    let Some(call) = &intent.call else { return };
    for (argument, value) in &call.with {
        arguments(
            &[place, &["call", "with", argument]].concat(),
            value,
            &sources("`with`"),
            report,
        );
    }
    if let Some(verb) = Verb::of(&call.tool) {
        return self::call(place, call, &verb.parameters(), &[], report);
    }
    match config.tools.get(&call.tool) {
        None => report.unknown(
            &at(&["call", "tool"]),
            "tool",
            &call.tool,
            config.tools.keys(),
            &["tools"],
        ),
        Some(tool) => {
            lacks(&at(&["call", "tool"]), place[1], agent, &call.tool, config, report);
            let home = ["tools", &call.tool, "parameters"];
            self::call(place, call, &tool.parameters, &home, report);
        }
    }
}

/// Complains that `agent` does not have a tool, unless one of those it lists may be meant.
pub(super) fn lacks(
    place: &[&str],
    name: &str,
    agent: &Scripted,
    tool: &str,
    config: &Config,
    report: &mut Report<'_>,
) {
    if agent.tools.iter().all(|known| known != tool && config.tools.contains_key(known)) {
        let tools: Vec<&str> = agent.tools.iter().map(String::as_str).chain([tool]).collect();
        // Longer lists are not worth repeating.
        let remedy = if tools.len() > 8 {
            format!("add `{tool}` to its tools")
        } else {
            format!("give it `tools: [{}]`", tools.join(", "))
        };
        let what = format!("`{name}` does not have tool `{tool}`");
        report.tell_unless_lost(place, what, remedy, &["agents", name, "tools"]);
    }
}

/// Compares the arguments of a call with those that the tool lists.
fn call(
    place: &[&str],
    call: &super::Invocation,
    parameters: &Value,
    home: &[&str],
    report: &mut Report<'_>,
) {
    let known = properties(parameters);
    let is_known = |argument: &&String| known.is_none_or(|known| known.contains_key(*argument));
    for argument in call.with.keys().filter(|argument| !is_known(argument)) {
        let place = [place, &["call", "with", argument]].concat();
        let known = known.into_iter().flatten().map(|(name, _)| name);
        report.unknown(&place, "argument", argument, known, home);
    }
    if !call.with.keys().all(|argument| is_known(&argument)) {
        // What is needed may be what is misspelt.
        return;
    }
    let required = parameters.get("required").and_then(Value::as_array).into_iter().flatten();
    for argument in required.filter_map(Value::as_str) {
        if !call.with.contains_key(argument) {
            let what = format!("tool `{}` needs the argument `{}`", call.tool, excerpt(argument));
            let remedy = format!("add it under `with`, as in `{argument}: …`");
            report.tell_unless_lost(&[place, &["call"]].concat(), what, remedy, home);
        }
    }
}

fn arguments(place: &[&str], value: &Value, sources: &Sources<'_>, report: &mut Report<'_>) {
    match value {
        Value::String(text) => template(place, text, sources, report),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                arguments(&[place, &[&index.to_string()]].concat(), item, sources, report);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                arguments(&[place, &[key]].concat(), item, sources, report);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn phrase(place: &[&str], phrase: &str, config: &Config, report: &mut Report<'_>) {
    match Template::parse(phrase) {
        Err(error) => report.tell(
            place,
            format!("{} at character {}", error.what, error.column),
            error.remedy,
        ),
        Ok(template) => {
            for Gap { path, filter } in template.gaps() {
                if filter.is_some() {
                    report.tell(
                        place,
                        format!("a filter on `{{{path}}}`: a phrase is heard, not said"),
                        format!("write `{{{path}}}`"),
                    );
                } else if !config.slots.contains_key(path) {
                    report.unknown(place, "slot", path, config.slots.keys(), &["slots"]);
                }
            }
        }
    }
}

pub(super) fn pattern(place: &[&str], pattern: &str, report: &mut Report<'_>) {
    match compile(pattern) {
        Ok(regex) => {
            for name in regex.capture_names().flatten().filter(|name| is_reserved(name)) {
                report.tell(
                    place,
                    format!("`{name}` has a meaning of its own in templates"),
                    "give the group another name",
                );
            }
        }
        Err(regex::Error::CompiledTooBig(_)) => {
            let what =
                format!("the pattern takes more than {PATTERN_SIZE_MAX} bytes when compiled");
            report.tell(place, what, "repeat less, or use [0-9] and [a-z] instead of \\d and \\w");
        }
        Err(error) => {
            // The crate draws a picture of the pattern first; its last line says what is wrong.
            let message = error.to_string();
            let reason = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
            report.tell(
                place,
                format!("not a regular expression: {reason}"),
                "in YAML, single quotes keep backslashes as they are",
            );
        }
    }
}

/// A pattern, within the bound of [`PATTERN_SIZE_MAX`].
///
/// # Errors
/// It is no regular expression, or too large.
pub fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(PATTERN_SIZE_MAX).build()
}

/// How many patterns an agent has.
pub(super) fn pattern_count(agent: &Agent) -> usize {
    match agent {
        Agent::Scripted(scripted) => {
            scripted.intents.iter().map(|intent| intent.patterns.len()).sum()
        }
        Agent::Model(_) | Agent::Native(_) | Agent::Echo(_) => 0,
    }
}

/// The slots and named groups of an intent, and whether these are all: false if a phrase or pattern
/// is wrong itself.
pub(super) fn words(intent: &Intent, config: &Config) -> (BTreeSet<String>, bool) {
    let (mut words, mut certain) = (BTreeSet::new(), true);
    for phrase in &intent.phrases {
        match Template::parse(phrase) {
            Ok(template) => {
                certain &= template.placeholders().all(|slot| config.slots.contains_key(slot));
                words.extend(template.placeholders().map(str::to_owned));
            }
            Err(_) => certain = false,
        }
    }
    for pattern in &intent.patterns {
        match compile(pattern) {
            Ok(regex) => words.extend(regex.capture_names().flatten().map(str::to_owned)),
            Err(_) => certain = false,
        }
    }
    (words, certain)
}
