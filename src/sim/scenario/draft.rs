//! A scenario made of a call that was held: what the caller said, and everything that came of it.
//!
//! What was said is typed, whether it was typed or spoken then. Keys are pressed again, and what was told
//! from outside is told again, save data that is no text. What tools answered becomes their answers, call by
//! call. A turn that began while the agent still had something to do keeps its distance from the one
//! before; every other waits until the agent is done.
//!
//! **Invariant:** what is written is a scenario: it is read without a complaint.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::clock::{Tick, TickLen};
use crate::config::scenario::{
    Act, After, Answer, Called, Cue, Ends, Expect, Moved, Pattern, Scenario, Tell, Told,
};
use crate::graph::Transition;
use crate::graph::condition::Cause;
use crate::graph::facts::{Carry, Scope};
use crate::graph::verb::Verb;
use crate::id::CallId;
use crate::session::event::{EndReason, Event, EventKind};
use crate::session::output::Output;
use crate::session::plan::Plan;
use crate::sim::errands::Errands;
use crate::tool::{FailureKind, Outcome, is_deeper};

/// A scenario in the making.
#[derive(Debug)]
pub struct Draft {
    len: TickLen,
    name: Option<String>,
    tools: BTreeMap<String, Vec<Answer>>,
    /// The calls that have no outcome yet, and where their answers are.
    open: BTreeMap<CallId, (String, usize)>,
    opening: Expect,
    cues: Vec<Cue>,
    /// What the facts of the present turn belong to.
    scopes: BTreeMap<String, Scope>,
    /// The facts that go along with a hand-over by name, by the transition's number.
    carried: BTreeMap<u32, Vec<String>>,
    /// The facts that the last call of an agent named.
    lent: Vec<String>,
    /// The facts that go along with the hand-over that is under way.
    along: Vec<String>,
    errands: Errands,
    /// The tick of the last turn.
    turn: Tick,
    /// The agent has been asked for nothing for so long that it has spoken unasked.
    away: bool,
    /// The last tick in which there was something to do.
    busy: Tick,
    left: Option<Tick>,
}

impl Draft {
    /// Nothing yet, of a call that begins on this plan.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let named = |transition: &Transition| match &transition.carry {
            Carry::Facts(names) => Some((transition.id, names.clone())),
            Carry::Everything | Carry::Summary(_) | Carry::Nothing => None,
        };
        Self {
            len: plan.len,
            scopes: BTreeMap::new(),
            carried: plan.graph.transitions().iter().filter_map(named).collect(),
            lent: Vec::new(),
            along: Vec::new(),
            name: None,
            tools: BTreeMap::new(),
            open: BTreeMap::new(),
            opening: Expect::default(),
            cues: Vec::new(),
            errands: Errands::default(),
            turn: Tick(0),
            away: false,
            busy: Tick(0),
            left: None,
        }
    }

    /// Takes what came of a tick.
    pub fn tick(&mut self, now: Tick, out: &Output) {
        for event in &out.events {
            self.happened(event);
        }
        self.errands.take(now, out);
        if self.errands.free_since().is_none() {
            self.busy = now;
        }
    }

    fn happened(&mut self, event: &Event) {
        let now = event.tick;
        match &event.kind {
            EventKind::UserJoined { name, .. } => {
                self.name.get_or_insert_with(|| name.clone());
            }
            EventKind::UserLeft { .. } => {
                self.left = Some(now);
                // Whose facts they are is not told.
                self.forget(Scope::User, &[]);
            }
            EventKind::UserMessage { text, intent, typed, .. } => {
                self.acted(now, Act::Type(text.to_owned()), *typed);
                self.expect().intent.clone_from(intent);
            }
            EventKind::UserAway => self.away = true,
            EventKind::UserDigit { digit, .. } => self.pressed(now, *digit),
            EventKind::Custom { name, data, .. } => {
                self.told(now, &Told::Custom { name: name.clone(), data: data.0.clone() });
            }
            EventKind::DataReceived { topic, text: Some(text), .. } => {
                self.told(now, &Told::Data { topic: topic.clone(), text: text.clone() });
            }
            EventKind::UserAttributes { changed, .. } => {
                self.told(now, &Told::Attributes(changed.clone()));
            }
            EventKind::UserMetadata { text, .. } => self.told(now, &Told::Metadata(text.clone())),
            EventKind::RoomMetadata { text } => self.told(now, &Told::RoomMetadata(text.clone())),
            EventKind::AgentStarted { agent } => self.expect().agent = Some(agent.clone()),
            EventKind::AgentCalled { .. } => self.along = std::mem::take(&mut self.lent),
            EventKind::AgentStopped { .. } => {
                let along = std::mem::take(&mut self.along);
                self.forget(Scope::Agent, &along);
            }
            EventKind::ConfigReloaded { .. } => self.carried.clear(),
            EventKind::AgentMessage { text, .. } => {
                let says = self.expect().says.get_or_insert_with(Vec::new);
                says.push(Pattern::exactly(text));
            }
            EventKind::ToolCalled { call, name, arguments, .. } => {
                let with = arguments.0.as_object().cloned().unwrap_or_default();
                if Verb::of(name) == Some(Verb::CallAgent) {
                    let named = with.get("facts").and_then(Value::as_array).into_iter().flatten();
                    self.lent = named.filter_map(Value::as_str).map(str::to_owned).collect();
                }
                let called = Called { tool: name.clone(), with, outcome: None };
                self.expect().calls.get_or_insert_with(Vec::new).push(called);
                let answers = self.tools.entry(name.clone()).or_default();
                // If it never answers: as long as any tool is waited for.
                let failure = Some("there is no answer".to_owned());
                answers.push(Answer { value: None, failure, latency_ms: Some(NEVER_MS) });
                self.open.insert(*call, (name.clone(), answers.len() - 1));
            }
            EventKind::ToolResult { call, outcome, after_ticks, .. } => {
                self.answered(*call, outcome, *after_ticks);
            }
            EventKind::TransitionExecuted { from, to, cause, transition } => {
                self.along = self.carried.get(transition).cloned().unwrap_or_default();
                let cause = Some(reason(cause));
                let moved = Moved { from: Some(from.clone()), to: to.clone(), cause };
                self.expect().transitions.get_or_insert_with(Vec::new).push(moved);
            }
            EventKind::FactSet { name, scope, value } => {
                self.scopes.insert(name.clone(), *scope);
                self.expect().facts.insert(name.clone(), value.0.clone());
            }
            EventKind::FactExpired { name } => drop(self.expect().facts.remove(name)),
            EventKind::SessionEnded { reason } => {
                // What ended the call for the other side may not happen again.
                let again = !matches!(reason, EndReason::HungUp(_)) || self.left.is_some();
                self.expect().ends = again.then(|| Pattern::exactly(&reason.to_string()));
            }
            _ => {}
        }
    }

    /// Facts of the present turn end that belong to an agent, or a user, save those that go along: no
    /// event says so.
    fn forget(&mut self, ended: Scope, along: &[String]) {
        let scopes = std::mem::take(&mut self.scopes);
        let facts = &mut self.expect().facts;
        for (name, _) in scopes.iter().filter(|(_, scope)| **scope == ended) {
            if !along.contains(name) {
                facts.remove(name);
            }
        }
        self.scopes = scopes;
    }

    /// What is expected of the present turn.
    fn expect(&mut self) -> &mut Expect {
        match self.cues.last_mut() {
            None => &mut self.opening,
            Some(cue) => cue.expect.get_or_insert_with(Box::default),
        }
    }

    /// The caller did something, `apart` if its distance from what it did before says something.
    fn acted(&mut self, now: Tick, act: Act, apart: bool) {
        let waits = self.errands.free_since().is_some() && !self.away;
        let gap = self.len.span_ms(now.since(self.turn)).min(600_000) as u32;
        // Spoken words take their time, so that a distance says nothing of typed ones.
        let after = (apart && !waits).then_some(After::PreviousMs(gap));
        let agent = self.expect().agent.clone();
        let expect = Expect { agent, ..Expect::default() };
        self.cues.push(Cue { act, after, gain_db: 0.0, expect: Some(Box::new(expect)) });
        (self.turn, self.away) = (now, false);
        self.scopes.clear();
    }

    /// A key, which belongs to those before it if nothing has come of them.
    fn pressed(&mut self, now: Tick, digit: char) {
        let near = self.len.span_ms(now.since(self.turn)) <= KEYS_APART_MS;
        if let Some(Cue { act: Act::Press(keys), expect: Some(expect), .. }) = self.cues.last_mut()
            && near
            && keys.len() < KEYS_MAX
            && **expect == (Expect { agent: expect.agent.clone(), ..Expect::default() })
        {
            keys.push(digit);
            self.turn = now;
            return;
        }
        self.acted(now, Act::Press(digit.to_string()), true);
    }

    fn told(&mut self, now: Tick, told: &Told) {
        let is_deep = matches!(told, Told::Custom { data, .. } if is_deeper(data, DATA_DEPTH_MAX));
        if let Some(tell) = Tell::of(told).filter(|_| !is_deep) {
            self.acted(now, Act::Tell(tell), true);
        }
    }

    fn answered(&mut self, call: CallId, outcome: &Outcome, after_ticks: u64) {
        let Some((name, at)) = self.open.remove(&call) else { return };
        let ends = if outcome.is_done() { Ends::Done } else { Ends::Failed };
        // Only where the call was made in this turn, its outcome is of this turn.
        let calls = self.expect().calls.iter_mut().flatten();
        let open = calls.filter(|called| called.tool == name && called.outcome.is_none());
        if let Some(called) = open.last() {
            called.outcome = Some(ends);
        }
        let Some(answer) = self.tools.get_mut(&name).and_then(|answers| answers.get_mut(at)) else {
            return;
        };
        let latency_ms = self.len.span_ms(after_ticks).min(u64::from(NEVER_MS)) as u32;
        *answer = match outcome {
            Outcome::Done(value) => {
                Answer { value: Some(value.0.clone()), failure: None, latency_ms: Some(latency_ms) }
            }
            Outcome::Failed(failure) => {
                let late =
                    matches!(failure.kind, FailureKind::TimedOut | FailureKind::SessionEnded);
                let latency_ms = Some(if late { NEVER_MS } else { latency_ms });
                Answer { value: None, failure: Some(failure.message.clone()), latency_ms }
            }
        };
    }

    /// The scenario, of a call of this configuration and with this seed.
    #[must_use]
    pub fn finish(mut self, config: &str, seed: u64) -> Scenario {
        // The session itself does what most verbs say.
        let own = |name: &str| Verb::of(name).is_some_and(|verb| verb.room().is_none());
        self.tools.retain(|name, _| !own(name));
        let hangs_up = self.left.map(|left| {
            let since = self.busy.max(self.turn);
            self.len.span_ms(left.0.saturating_sub(since.0)).min(600_000) as u32
        });
        let opening = (self.opening != Expect::default()).then(|| Box::new(self.opening));
        let (cues, tests) = (self.cues, Vec::new());
        Scenario {
            models: std::collections::BTreeMap::new(),
            config: Some(config.to_owned()),
            seed: Some(seed),
            speech: None,
            tools: self.tools,
            name: self.name.filter(|name| (1..=64).contains(&name.chars().count())),
            noise: None,
            noise_gain_db: 0.0,
            patience_ms: 20_000,
            hang_up_ms: hangs_up.unwrap_or(6_000),
            opening,
            cues,
            tests,
        }
    }
}

/// Keys that are pressed so soon after each other are one row, in milliseconds: people who look for the
/// next digit take a second or two.
const KEYS_APART_MS: u64 = 2_000;

/// The most keys of a cue.
const KEYS_MAX: usize = 32;

/// Data that is deeper does not fit a file, in which a few keys are above it.
const DATA_DEPTH_MAX: usize = 50;

/// Longer than any tool is waited for.
const NEVER_MS: u32 = 600_000;

/// A cause that fits in a call in which events have other numbers.
fn reason(cause: &Cause) -> Pattern {
    match cause {
        Cause::Event { name, .. } => Pattern::Text(format!("/^event {} /", regex::escape(name))),
        other => Pattern::exactly(&other.to_string()),
    }
}

/// A scenario as one writes it: a cue a block, its expectations below it.
#[must_use]
pub fn yaml(scenario: &Scenario) -> String {
    let value = serde_json::to_value(scenario).unwrap_or_default();
    let mut text = String::new();
    if let Value::Object(map) = value {
        let keys =
            ["config", "seed", "name", "patience_ms", "hang_up_ms", "tools", "opening", "cues"];
        let usual = Map::from_iter([("patience_ms".to_owned(), json!(20_000))]);
        let shown = keys.iter().filter_map(|key| Some((*key, map.get(*key)?)));
        for (key, value) in shown.filter(|(key, value)| usual.get(*key) != Some(value)) {
            entry(&mut text, 0, key, value);
        }
    }
    text
}

/// Lists and maps that fit a line are on one.
const LINE_MAX: usize = 100;

fn entry(text: &mut String, depth: usize, key: &str, value: &Value) {
    let pad = "  ".repeat(depth);
    let flow = flow(value);
    let open = matches!(key, "cues" | "expect" | "opening");
    let fits = pad.len() + key.len() + 2 + flow.len() <= LINE_MAX && !open;
    match value {
        Value::Object(map) if !fits && !map.is_empty() => {
            *text += &format!("{pad}{}:\n", plain(key));
            for (key, value) in ordered(map) {
                entry(text, depth + 1, key, value);
            }
        }
        Value::Array(items) if !fits && !items.is_empty() => {
            *text += &format!("{pad}{}:\n", plain(key));
            for value in items {
                item(text, depth + 1, value, open);
            }
        }
        _ => *text += &format!("{pad}{}: {flow}\n", plain(key)),
    }
}

fn item(text: &mut String, depth: usize, value: &Value, open: bool) {
    let pad = "  ".repeat(depth);
    match value {
        Value::Object(map) if open => {
            let mut inner = String::new();
            for (key, value) in ordered(map) {
                entry(&mut inner, depth + 1, key, value);
            }
            *text += &format!("{pad}- {}", inner.trim_start());
        }
        _ => *text += &format!("{pad}- {}\n", flow(value)),
    }
}

/// What the caller does comes first, what is expected last.
fn ordered(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let rank = |key: &str| match key {
        "play" | "type" | "digits" | "event" | "tool" | "name" | "from" | "agent" | "value"
        | "failure" => 0,
        "to" | "with" | "intent" | "after" => 1,
        "expect" => 3,
        _ => 2,
    };
    let mut all: Vec<_> = map.iter().collect();
    all.sort_by_key(|(key, _)| rank(key));
    all
}

/// A value on one line. Every text is in quotes, as in JSON, which is YAML as well.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let entries = ordered(map).into_iter();
            let entries = entries.map(|(key, value)| format!("{}: {}", plain(key), flow(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Array(list) => {
            format!("[{}]", list.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        plain => plain.to_string(),
    }
}

/// A key, in quotes where it has to be.
fn plain(key: &str) -> String {
    let begins = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let simple = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    // What YAML takes for a truth value or for nothing.
    let word = matches!(
        key.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
    );
    if begins && simple && !word { key.to_owned() } else { Value::from(key).to_string() }
}
