//! What a schema cannot say: that names refer to something, and that parts agree with each other.
//!
//! The agents' scripts have a module of their own, [`script`](super::script).
//!
//! **Invariant:** nothing is told twice. Where the tree is incomplete because something in it was
//! refused, what seems to be missing may be what was refused, so it is not told.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::graph::verb::Verb;

use super::complaint::{COMPLAINTS_MAX, Complaint, excerpt, suggestion};
use super::constants;
use super::document::Shape;
use super::script::{self, Sources};
use super::wording;
use super::yaml::Node;
use super::{Agent, Config, Tool};
use super::{models, natives, outside, servers, topology, ways as transitions};

/// So many patterns may all agents have. Compiling one may take some milliseconds, and a file is
/// checked in seconds.
const PATTERNS_MAX: usize = 1000;

const JSON_TYPES: [&str; 7] = ["string", "number", "integer", "boolean", "object", "array", "null"];

/// Everything that is inconsistent in `config`, with the positions of `tree`.
pub(super) fn check(config: &Config, tree: &Node) -> Vec<Complaint> {
    let mut report = Report::new(tree);
    let patterns: usize = config.agents.values().map(script::pattern_count).sum();
    if patterns > PATTERNS_MAX {
        let what = format!(
            "there are {patterns} patterns, more than the {PATTERNS_MAX} that are compiled"
        );
        report.tell(&["agents"], what, "join some of them with `|`, or write phrases");
        return report.complaints;
    }
    turn(config, &mut report);
    call(config, &mut report);
    journals(config, &mut report);
    livekit(config, &mut report);
    start(config, &mut report);
    models::check(config, &mut report);
    for (name, tool) in &config.tools {
        self::tool(name, tool, &mut report);
        outside::tool(name, tool, config, &mut report);
    }
    servers::check(config, &mut report);
    for name in config.slots.keys().filter(|name| script::is_reserved(name)) {
        let remedy = "choose another name";
        report.tell(
            &["slots", name],
            format!("`{name}` has a meaning of its own in templates"),
            remedy,
        );
    }
    script::template(
        &["speech", "apology"],
        &config.speech.apology,
        &Sources::facts("`apology`"),
        &mut report,
    );
    for (name, agent) in &config.agents {
        match agent {
            Agent::Scripted(scripted) => script::check(name, scripted, config, &mut report),
            Agent::Model(thinker) => models::agent(name, thinker, config, &mut report),
            Agent::Native(native) => natives::check(name, native, config, &mut report),
            Agent::Echo(_) => {}
        }
    }
    constants::check(config, &mut report);
    let reached = transitions::reached(config);
    for (index, transition) in config.transitions.iter().enumerate() {
        transitions::check(&index.to_string(), transition, &reached, config, &mut report);
    }
    topology::check(config, &mut report);
    report.complaints
}

/// Where complaints go, and which of them are worth telling.
pub(super) struct Report<'a> {
    tree: &'a Node,
    pub(super) complaints: Vec<Complaint>,
}

impl<'a> Report<'a> {
    pub(super) fn new(tree: &'a Node) -> Self {
        Self { tree, complaints: Vec::new() }
    }

    /// Complains about the value at `place`.
    pub(super) fn tell(
        &mut self,
        place: &[&str],
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        // One more than are shown, so that the last line can say that there are more.
        if self.complaints.len() <= COMPLAINTS_MAX && !self.tree.is_incomplete(place) {
            let (mark, path) = self.tree.locate(place);
            self.complaints.push(Complaint::at(mark, path, what, remedy));
        }
    }

    /// Complains about the value at `place` unless what it lacks at `home` may have been refused.
    pub(super) fn tell_unless_lost(
        &mut self,
        place: &[&str],
        what: impl Into<String>,
        remedy: impl Into<String>,
        home: &[&str],
    ) {
        if !self.tree.is_incomplete(home) {
            self.tell(place, what, remedy);
        }
    }

    /// Complains in the schema's words about the value at `place`, which does not fit `shape`.
    pub(super) fn misfits(&mut self, place: &[&str], value: &Value, shape: &Shape) {
        let Some(node) = self.tree.get(place).filter(|_| !self.tree.is_incomplete(place)) else {
            return;
        };
        let mut findings = Vec::new();
        for error in shape.validator.iter_errors(value) {
            wording::explain(&error, shape, node, &mut findings);
        }
        let home = self.tree.locate(place).1;
        for mut complaint in findings.into_iter().filter_map(|finding| finding.complaint) {
            if self.complaints.len() <= COMPLAINTS_MAX {
                let joint = if complaint.path.is_empty() || complaint.path.starts_with('[') {
                    ""
                } else {
                    "."
                };
                complaint.path = format!("{home}{joint}{}", complaint.path);
                self.complaints.push(complaint);
            }
        }
    }

    /// Complains that `name` is none of those declared at `home`.
    pub(super) fn unknown<'b>(
        &mut self,
        place: &[&str],
        noun: &str,
        name: &str,
        known: impl Iterator<Item = &'b String>,
        home: &[&str],
    ) {
        if self.complaints.len() <= COMPLAINTS_MAX && !self.tree.is_incomplete(home) {
            let known: Vec<&str> = known.map(String::as_str).collect();
            let remedy = match known.as_slice() {
                [] => format!("there are none; add it under `{}`", home.join(".")),
                known => suggestion(name, &format!("{noun}s"), known),
            };
            self.tell(place, format!("unknown {noun} `{}`", excerpt(name)), remedy);
        }
    }
}

fn turn(config: &Config, report: &mut Report<'_>) {
    let turn = &config.turn;
    let (min, max, gap) = (turn.end_silence_min_ms, turn.end_silence_max_ms, turn.gap_ms);
    if max < min {
        let what = format!("end_silence_max_ms {max} is below end_silence_min_ms {min}");
        report.tell(&["turn", "end_silence_max_ms"], what, format!("write {min} or more"));
    }
    if gap >= min {
        let what = format!("gap_ms {gap} is not below end_silence_min_ms {min}");
        let why = "a pause that ends a turn must also break a run of voice";
        report.tell(
            &["turn", "gap_ms"],
            format!("{what}: {why}"),
            format!("write less than {min}"),
        );
    }
}

fn call(config: &Config, report: &mut Report<'_>) {
    let (silence, turn) = (config.call.silence_ms, config.turn.end_silence_max_ms);
    if silence > 0 && silence <= turn {
        let what = format!(
            "silence_ms {silence} is not above turn.end_silence_max_ms {turn}: the call would end \
             before a turn does"
        );
        let remedy = format!("write more than {turn}, or 0 for never");
        report.tell(&["call", "silence_ms"], what, remedy);
    }
}

fn livekit(config: &Config, report: &mut Report<'_>) {
    for (method, tool) in &config.livekit.rpc {
        if !config.tools.contains_key(tool) && Verb::of(tool).is_none() {
            let place = ["livekit", "rpc", method];
            report.unknown(&place, "tool", tool, config.tools.keys(), &["tools"]);
        }
    }
}

fn journals(config: &Config, report: &mut Report<'_>) {
    let journals = &config.journals;
    let bounds = [("max_age_days", journals.max_age_days), ("max_size_mb", journals.max_size_mb)];
    for (name, bound) in bounds {
        if bound > 0 && journals.folder.is_none() {
            let what = format!("`{name}` without a folder: nothing would be removed");
            report.tell(&["journals", name], what, "name one, as in `folder: journals`");
        }
    }
}

fn start(config: &Config, report: &mut Report<'_>) {
    match &config.start {
        Some(name) if config.agents.contains_key(name) => {}
        Some(name) => report.unknown(&["start"], "agent", name, config.agents.keys(), &["agents"]),
        None if config.agents.len() > 1 && config.conversation.is_none() => {
            let first = config.agents.keys().next().map_or("", String::as_str);
            let what = format!("there are {} agents and no `start`", config.agents.len());
            report.tell(&[], what, format!("say which agent begins, as in `start: {first}`"));
        }
        None => {}
    }
}

fn tool(name: &str, tool: &Tool, report: &mut Report<'_>) {
    let place = ["tools", name, "parameters"];
    if Verb::of(name).is_some() {
        let what = format!("`{name}` is built in");
        report.tell(&["tools", name], what, "give your tool another name");
    }
    parameters(&place, &tool.parameters, report);
    let Some(canned) = &tool.canned else { return };
    match &canned.by {
        Some(by) => {
            if let Some(known) =
                properties(&tool.parameters).filter(|known| !known.contains_key(by))
            {
                report.unknown(
                    &["tools", name, "canned", "by"],
                    "argument",
                    by,
                    known.keys(),
                    &place,
                );
            }
        }
        None if !canned.answers.is_empty() => {
            let remedy = "name the argument that selects the answer, as in `by: number`";
            report.tell(&["tools", name, "canned", "answers"], "answers without `by`", remedy);
        }
        None => {}
    }
    if canned.takes_ms > 0 && tool.run == super::Run::Inline {
        let what = "an inline tool cannot sleep: it would hold up the tick";
        report.tell(
            &["tools", name, "canned", "takes_ms"],
            what,
            "write `run: worker`, or remove `takes_ms`",
        );
    }
}

/// Checks the schema of a tool's arguments.
fn parameters(place: &[&str], schema: &Value, report: &mut Report<'_>) {
    // A schema that is wrong in more places than this is wrong altogether.
    const SHOWN_MAX: usize = 10;
    let mut wrong = BTreeSet::new();
    let validator = jsonschema::draft202012::meta::validator();
    for error in validator.iter_errors(schema).take(SHOWN_MAX) {
        let inner = wording::place(error.instance_path().as_str());
        let place: Vec<&str> =
            place.iter().copied().chain(inner.iter().map(String::as_str)).collect();
        if !wrong.insert(inner.clone()) {
            continue;
        }
        match (inner.last().map(String::as_str), error.instance().as_str()) {
            (Some("type"), Some(name)) => {
                let what = format!("`{}` is no type of JSON Schema", excerpt(name));
                report.tell(&place, what, suggestion(name, "types", &JSON_TYPES));
            }
            _ => {
                let what =
                    format!("not a valid JSON Schema: {}", excerpt(&error.masked().to_string()));
                report.tell(&place, what, "see json-schema.org, draft 2020-12");
            }
        }
    }
    if !wrong.is_empty() {
        return;
    }
    if schema.get("type").is_some_and(|kind| kind != "object") {
        let place = [place, &["type"]].concat();
        report.tell(&place, "the arguments of a tool are a map", "write `type: object`");
    }
    // A schema of the right form may still refer to what is not there, or hold a pattern that is
    // none.
    if jsonschema::draft202012::new(schema).is_err() {
        let what = "the schema has a `$ref` that leads nowhere, or a `pattern` that is none";
        report.tell(place, what, "schemas may refer to their own parts only, as in `#/$defs/name`");
    }
}

/// The arguments that a tool lists, if it lists any.
pub(super) fn properties(parameters: &Value) -> Option<&Map<String, Value>> {
    parameters.get("properties")?.as_object()
}

/// The names that occur more than once, with the position of each repetition.
pub(super) fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(usize, &'a str)> {
    let mut seen = BTreeSet::new();
    names.enumerate().filter(|(_, name)| !seen.insert(*name)).collect()
}
