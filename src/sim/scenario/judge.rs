//! Whether a turn went as expected, and what came instead.
//!
//! **Invariant:** everything that is expected is compared, whatever else did not hold.

use serde_json::{Map, Value};

use super::Turn;
use crate::clock::{Tick, TickLen};
use crate::config::scenario::{Called, Case, Ends, Expect, Happens, Moved, Pattern};
use crate::graph::condition::is_part;
use crate::graph::event::EventName;
use crate::session::event::{Event, EventKind};
use crate::session::plan::Plan;
use crate::tool::Outcome;

/// Something that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The turn: 0 is the opening, 1 the first cue.
    pub turn: usize,
    /// What was looked at: a key of the expectation.
    pub key: &'static str,
    /// What was expected.
    pub expected: String,
    /// What came.
    pub got: Vec<Got>,
}

/// Something that came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Got {
    /// What.
    pub text: String,
    /// When.
    pub at: Option<Tick>,
    /// What is wrong with it, if it is the nearest to what was expected.
    pub near: Option<String>,
}

impl Got {
    fn of(text: impl Into<String>) -> Self {
        Self { text: text.into(), at: None, near: None }
    }

    fn at(text: impl Into<String>, at: Tick) -> Self {
        Self { text: text.into(), at: Some(at), near: None }
    }
}

/// Compares the turns of a call with what a case expects; nothing if all is as expected.
#[must_use]
pub fn judge(case: &Case<'_>, plan: &Plan, turns: &[Turn]) -> Vec<Mismatch> {
    let mut all = Vec::new();
    for (index, expect) in case.expected().enumerate() {
        let Some(turn) = turns.get(index) else {
            let ended = turns.iter().flat_map(|turn| &turn.events).find_map(ending);
            let got = ended.map_or_else(
                || Got::of("the call goes on"),
                |(why, at)| Got::at(format!("the call ends before: {why}"), at),
            );
            let cue = &case.cues[index - 1];
            let expected = format!("the caller {}", cue.act);
            all.push(Mismatch { turn: index, key: "cues", expected, got: vec![got] });
            // The cues after it are not reached for the same reason.
            break;
        };
        if let Some(expect) = expect {
            Judge { index, turn, plan, all: &mut all }.judge(expect);
        }
    }
    all
}

struct Judge<'t> {
    index: usize,
    turn: &'t Turn,
    plan: &'t Plan,
    all: &'t mut Vec<Mismatch>,
}

impl<'t> Judge<'t> {
    fn judge(&mut self, expect: &Expect) {
        if let Some(agent) = expect.agent.as_ref().filter(|agent| **agent != self.turn.agent) {
            self.differs("agent", agent, vec![Got::of(&self.turn.agent)]);
        }
        if let Some(intent) = &expect.intent {
            self.intent(intent);
        }
        if let Some(says) = &expect.says {
            self.says(says);
        }
        self.not_says(&expect.not_says);
        if let Some(calls) = &expect.calls {
            self.calls(calls);
        }
        self.events("events", &expect.events, true);
        self.events("events_any_order", &expect.events_any_order, false);
        self.not_events(&expect.not_events);
        for (name, value) in &expect.facts {
            self.fact(name, value);
        }
        if let Some(transitions) = &expect.transitions {
            self.transitions(transitions);
        }
        if let Some(reason) = &expect.ends {
            self.ends(reason);
        }
        if let Some(ms) = expect.within_ms {
            self.within(ms);
        }
    }

    fn differs(&mut self, key: &'static str, expected: impl Into<String>, mut got: Vec<Got>) {
        if got.is_empty() {
            got.push(Got::of("nothing"));
        }
        self.all.push(Mismatch { turn: self.index, key, expected: expected.into(), got });
    }

    fn intent(&mut self, wanted: &str) {
        let turn = self.turn;
        let understood = turn.events.iter().rev().find_map(|event| match &event.kind {
            EventKind::UserMessage { intent, text, .. } => Some((intent.clone(), text, event.tick)),
            _ => None,
        });
        match understood {
            Some((Some(intent), ..)) if intent == wanted => {}
            Some((Some(intent), text, at)) => {
                self.differs("intent", wanted, vec![Got::at(format!("{intent}, of “{text}”"), at)]);
            }
            Some((None, text, at)) => {
                self.differs(
                    "intent",
                    wanted,
                    vec![Got::at(format!("“{text}” is not understood"), at)],
                );
            }
            None => self.differs("intent", wanted, vec![Got::of("no turn of the caller")]),
        }
    }

    /// What was said in the turn, and when.
    fn said(&self) -> Vec<(&'t str, Tick)> {
        let said = self.turn.events.iter().filter_map(|event| match &event.kind {
            EventKind::AgentMessage { text, .. } => Some((text.as_str(), event.tick)),
            _ => None,
        });
        said.collect()
    }

    fn says(&mut self, wanted: &[Pattern]) {
        let said = self.said();
        let all = || said.iter().map(|(text, at)| Got::at(format!("“{text}”"), *at)).collect();
        if wanted.is_empty() && !said.is_empty() {
            let got = all();
            return self.differs("says", "nothing", got);
        }
        let mut missed = Vec::new();
        let mut from = 0;
        for pattern in wanted {
            if let Some(at) = said[from..].iter().position(|(text, _)| pattern.fits(text)) {
                from += at + 1;
                continue;
            }
            let mut got: Vec<Got> = all();
            let near = said.iter().enumerate().filter_map(|(at, (text, _))| {
                if pattern.fits(text) {
                    return Some((0, at, "it comes before what is expected before it".to_owned()));
                }
                let (distance, why) = distance(pattern, text)?;
                Some((distance + 1, at, why))
            });
            if let Some((_, at, why)) = near.min() {
                got[at].near = Some(why);
            }
            missed.push((pattern.to_string(), got));
        }
        for (expected, got) in missed {
            self.differs("says", expected, got);
        }
    }

    fn not_says(&mut self, unwanted: &[Pattern]) {
        for pattern in unwanted {
            let said = self.said();
            let fit = said.iter().filter(|(text, _)| pattern.fits(text));
            let got: Vec<Got> = fit.map(|(text, at)| Got::at(format!("“{text}”"), *at)).collect();
            if !got.is_empty() {
                self.differs("not_says", format!("not {pattern}"), got);
            }
        }
    }

    fn calls(&mut self, wanted: &[Called]) {
        let made: Vec<Made> =
            self.turn.events.iter().filter_map(|event| self.made(event)).collect();
        let all = || made.iter().map(Made::got).collect::<Vec<Got>>();
        if wanted.is_empty() && !made.is_empty() {
            let got = all();
            return self.differs("calls", "none", got);
        }
        let mut missed = Vec::new();
        let mut from = 0;
        for called in wanted {
            if let Some(at) = made[from..].iter().position(|made| made.wrong(called).is_none()) {
                from += at + 1;
                continue;
            }
            let mut got = all();
            let near = made.iter().position(|made| made.name == called.tool);
            if let Some((at, why)) = near.and_then(|at| Some((at, made[at].wrong(called)?))) {
                got[at].near = Some(why);
            }
            missed.push((shown_call(called), got));
        }
        for (expected, got) in missed {
            self.differs("calls", expected, got);
        }
    }

    fn made(&self, event: &Event) -> Option<Made> {
        let EventKind::ToolCalled { call, name, arguments, .. } = &event.kind else { return None };
        let outcome = self.turn.events.iter().find_map(|event| match &event.kind {
            EventKind::ToolResult { call: of, outcome, .. } if of == call => Some(outcome.clone()),
            _ => None,
        });
        let arguments = arguments.0.as_object().cloned().unwrap_or_default();
        Some(Made { name: name.clone(), arguments, outcome, at: event.tick })
    }

    fn events(&mut self, key: &'static str, wanted: &[Happens], in_order: bool) {
        let mut used = vec![false; self.turn.events.len()];
        let mut from = 0;
        for happens in wanted {
            let fits = |at: &usize| !used[*at] && is_it(happens, &self.turn.events[*at]);
            if let Some(at) = (from..used.len()).find(fits) {
                used[at] = true;
                from = if in_order { at + 1 } else { 0 };
                continue;
            }
            let name = EventName::read(&happens.name);
            let same = self.turn.events.iter().filter(|event| Some(event.kind.name()) == name);
            let mut got: Vec<Got> = same
                .map(|event| {
                    let near = if is_it(happens, event) {
                        "it comes before what is expected before it"
                    } else {
                        "its data differs"
                    };
                    Got { near: Some(near.to_owned()), ..shown_event(event) }
                })
                .collect();
            if got.is_empty() {
                got = self.names();
            }
            self.differs(key, shown_happens(happens), got);
        }
    }

    /// What happened, by its names alone.
    fn names(&self) -> Vec<Got> {
        let names: Vec<&str> = self.turn.events.iter().map(|e| e.kind.name().as_str()).collect();
        if names.is_empty() { Vec::new() } else { vec![Got::of(names.join(", "))] }
    }

    fn not_events(&mut self, unwanted: &[Happens]) {
        for happens in unwanted {
            let found = self.turn.events.iter().filter(|event| is_it(happens, event));
            let got: Vec<Got> = found.map(shown_event).collect();
            if !got.is_empty() {
                self.differs("not_events", format!("no {}", shown_happens(happens)), got);
            }
        }
    }

    fn fact(&mut self, name: &str, wanted: &Value) {
        let got = match self.turn.facts.get(name) {
            Some(found) if is_same(wanted, found) => return,
            Some(found) => Got::of(format!("{name}: {found}")),
            None => {
                let known: Vec<&str> = self.turn.facts.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
                Got::of(format!("{name} is not known; known is {known}"))
            }
        };
        self.differs("facts", format!("{name}: {wanted}"), vec![got]);
    }

    fn transitions(&mut self, wanted: &[Moved]) {
        let turn = self.turn;
        let moves: Vec<(&str, &str, String, Tick)> = turn
            .events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::TransitionExecuted { from, to, cause, .. } => {
                    Some((from.as_str(), to.as_str(), cause.to_string(), event.tick))
                }
                _ => None,
            })
            .collect();
        let all = || -> Vec<Got> {
            let told = |(from, to, cause, at): &(&str, &str, String, Tick)| {
                Got::at(format!("{from} → {to} because of {cause}"), *at)
            };
            moves.iter().map(told).collect()
        };
        if wanted.is_empty() && !moves.is_empty() {
            let got = all();
            return self.differs("transitions", "none", got);
        }
        let mut missed = Vec::new();
        let mut next = 0;
        for moved in wanted {
            let fits = |(from, to, cause, _): &(&str, &str, String, Tick)| {
                moved.from.as_deref().is_none_or(|wanted| wanted == *from)
                    && moved.to == *to
                    && moved.cause.as_ref().is_none_or(|wanted| wanted.fits(cause))
            };
            match moves[next..].iter().position(fits) {
                Some(at) => next += at + 1,
                None => {
                    let mut got = all();
                    if let Some(at) = moves.iter().position(|(_, to, ..)| moved.to == *to) {
                        let (from, ..) = &moves[at];
                        let other = moved.from.as_deref().is_some_and(|wanted| wanted != *from);
                        let why = if other { "from another agent" } else { "for another reason" };
                        let near = if fits(&moves[at]) {
                            "it comes before what is expected before it"
                        } else {
                            why
                        };
                        got[at].near = Some(near.to_owned());
                    }
                    missed.push((shown_move(moved), got));
                }
            }
        }
        for (expected, got) in missed {
            self.differs("transitions", expected, got);
        }
    }

    fn ends(&mut self, wanted: &Pattern) {
        let got = match self.turn.events.iter().find_map(ending) {
            Some((why, _)) if wanted.fits(&why) => return,
            Some((why, at)) => Got::at(format!("“{why}”"), at),
            None => Got::of("the call goes on"),
        };
        self.differs("ends", wanted.to_string(), vec![got]);
    }

    fn within(&mut self, wanted_ms: u32) {
        let since = self.turn.over.unwrap_or(self.turn.begun);
        let spoken = self.plan.synthesiser.is_some();
        let begins = self.turn.events.iter().find(|event| match event.kind {
            EventKind::AgentSpeechStarted { .. } => spoken,
            EventKind::AgentMessage { .. } => !spoken,
            _ => false,
        });
        let len: TickLen = self.plan.len;
        let got = match begins {
            Some(event) => {
                let ms = len.span_ms(event.tick.0.saturating_sub(since.0));
                if ms <= u64::from(wanted_ms) {
                    return;
                }
                Got::at(format!("{ms} ms"), event.tick)
            }
            None => Got::of("no answer"),
        };
        self.differs("within_ms", format!("an answer within {wanted_ms} ms"), vec![got]);
    }
}

/// A call that was made.
struct Made {
    name: String,
    arguments: Map<String, Value>,
    outcome: Option<Outcome>,
    at: Tick,
}

impl Made {
    /// Why it is not the one that is expected.
    fn wrong(&self, called: &Called) -> Option<String> {
        if self.name != called.tool {
            return Some("another tool".to_owned());
        }
        if !is_part(&called.with, &self.arguments) {
            let differs = called.with.iter().find(|(name, value)| {
                let part = Map::from_iter([((*name).clone(), (*value).clone())]);
                !is_part(&part, &self.arguments)
            });
            return Some(match differs {
                Some((name, _)) if !self.arguments.contains_key(name) => {
                    format!("no argument {name}")
                }
                Some((name, _)) => format!("another {name}"),
                None => "other arguments".to_owned(),
            });
        }
        let wanted = called.outcome?;
        let fits = match &self.outcome {
            None => false,
            Some(outcome) => outcome.is_done() == (wanted == Ends::Done),
        };
        (!fits).then(|| format!("not {}", wanted.as_str()))
    }

    fn got(&self) -> Got {
        let outcome = match &self.outcome {
            None => "no outcome in this turn".to_owned(),
            Some(Outcome::Done(value)) => value.0.to_string(),
            Some(Outcome::Failed(failure)) => format!("failed: {failure}"),
        };
        let arguments = Value::Object(self.arguments.clone());
        Got::at(format!("{}({arguments}) → {outcome}", self.name), self.at)
    }
}

/// How far a text is from a pattern, and what is wrong with it.
fn distance(pattern: &Pattern, text: &str) -> Option<(usize, String)> {
    match pattern {
        Pattern::Words(wanted) => {
            let missing = pattern.missing(text);
            let told = format!("missing: {}", missing.join(", "));
            (missing.len() < wanted.len()).then_some((missing.len(), told))
        }
        Pattern::Text(wanted) if wanted.starts_with('/') => None,
        Pattern::Text(wanted) => {
            // Comparing costs the product of both lengths.
            const COMPARED_MAX: usize = 500;
            if wanted.len() > COMPARED_MAX || text.len() > COMPARED_MAX {
                return None;
            }
            let distance = strsim::osa_distance(wanted, text);
            let same = wanted.chars().zip(text.chars()).take_while(|(a, b)| a == b).count();
            let rest: String = text.chars().skip(same).take(20).collect();
            let told = if rest.is_empty() {
                "it ends too early".to_owned()
            } else {
                format!("differs from “{rest}” on")
            };
            (distance * 2 < wanted.chars().count().max(2)).then_some((distance, told))
        }
    }
}

fn is_it(happens: &Happens, event: &Event) -> bool {
    EventName::read(&happens.name) == Some(event.kind.name())
        && is_part(&happens.data, &event.kind.data())
}

/// Whether a value has what is wanted of it; numbers are compared by value.
fn is_same(wanted: &Value, found: &Value) -> bool {
    let whole = |value: &Value| Map::from_iter([("value".to_owned(), value.clone())]);
    is_part(&whole(wanted), &whole(found)) && is_part(&whole(found), &whole(wanted))
}

fn ending(event: &Event) -> Option<(String, Tick)> {
    match &event.kind {
        EventKind::SessionEnded { reason } => Some((reason.to_string(), event.tick)),
        _ => None,
    }
}

fn shown_call(called: &Called) -> String {
    let Called { tool, with, outcome } = called;
    let with = Value::Object(with.clone());
    let outcome = outcome.map_or_else(String::new, |outcome| format!(" → {}", outcome.as_str()));
    format!("{tool}({with}){outcome}")
}

fn shown_happens(happens: &Happens) -> String {
    let name = EventName::read(&happens.name);
    let name = name.map_or_else(|| happens.name.clone(), |name| name.to_string());
    if happens.data.is_empty() {
        return name;
    }
    format!("{name} {}", Value::Object(happens.data.clone()))
}

fn shown_event(event: &Event) -> Got {
    let data = event.kind.data();
    let name = event.kind.name();
    let text =
        if data.is_empty() { name.to_string() } else { format!("{name} {}", Value::Object(data)) };
    Got::at(text, event.tick)
}

fn shown_move(moved: &Moved) -> String {
    let Moved { from, to, cause } = moved;
    let from = from.as_deref().unwrap_or("any agent");
    let cause = cause.as_ref().map_or_else(String::new, |cause| format!(" because of {cause}"));
    format!("{from} → {to}{cause}")
}
