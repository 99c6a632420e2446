//! Two calls side by side: what is alike is counted, what differs is shown.
//!
//! Ticks are compared by their number: who is heard, and what happened, in the words of the
//! [`Timeline`] and without the numbers of items, turns and calls, which differ for reasons of their own
//! once one thing more or less has happened.
//!
//! **Invariant:** a call compared with itself has no differences.

use serde_json::{Value, json};

use crate::clock::Tick;
use crate::sim::timeline::{Line, Timeline, TimelineTick, heard, seconds};

/// A stretch of ticks.
#[derive(Debug, Clone, PartialEq)]
pub enum Stretch<'t> {
    /// The same in both.
    Alike {
        /// The first tick.
        from: Tick,
        /// The last.
        to: Tick,
    },
    /// A tick in which different things happened.
    Happened {
        /// Which.
        tick: Tick,
        /// What happened in the first call alone, and who was heard; none if it has no such tick.
        left: Option<&'t TimelineTick>,
        /// The same of the second.
        right: Option<&'t TimelineTick>,
    },
    /// Nothing different happened, but others were heard.
    Heard {
        /// The first tick.
        from: Tick,
        /// The last.
        to: Tick,
        /// Who was heard in the first call: users, agent; none if it has no such ticks.
        left: Option<(bool, bool)>,
        /// The same of the second.
        right: Option<(bool, bool)>,
    },
}

/// The stretches of two calls, in order. Who was heard is compared where it is known of both.
#[must_use]
pub fn compare<'t>(left: &'t Timeline, right: &'t Timeline) -> Vec<Stretch<'t>> {
    let mut stretches: Vec<Stretch<'t>> = Vec::new();
    let (mut a, mut b) = (left.ticks().iter().peekable(), right.ticks().iter().peekable());
    let both_heard = left.is_heard() && right.is_heard();
    loop {
        let next = match (a.peek(), b.peek()) {
            (Some(a), Some(b)) => a.tick.min(b.tick),
            (Some(only), None) | (None, Some(only)) => only.tick,
            (None, None) => return stretches,
        };
        // A tick that is not there is one in which nothing happened, until the call is over.
        let over = [a.peek().is_none(), b.peek().is_none()];
        let left = a.next_if(|told| told.tick == next);
        let right = b.next_if(|told| told.tick == next);
        if !happened_alike(left, right) {
            stretches.push(Stretch::Happened { tick: next, left, right });
            continue;
        }
        let heard = |told: Option<&TimelineTick>, over: bool| match told {
            Some(told) if both_heard => Some((told.user, told.agent)),
            None if over => None,
            Some(_) | None => Some((false, false)),
        };
        let (left, right) = (heard(left, over[0]), heard(right, over[1]));
        match (stretches.last_mut(), left == right) {
            (Some(Stretch::Alike { to, .. }), true) => *to = next,
            (Some(Stretch::Heard { to, left: l, right: r, .. }), false)
                if (*l, *r) == (left, right) =>
            {
                *to = next;
            }
            (_, true) => stretches.push(Stretch::Alike { from: next, to: next }),
            (_, false) => stretches.push(Stretch::Heard { from: next, to: next, left, right }),
        }
    }
}

fn happened_alike(left: Option<&TimelineTick>, right: Option<&TimelineTick>) -> bool {
    let lines = |told: Option<&'_ TimelineTick>| told.map_or(0, |told| told.lines.len());
    let (Some(left), Some(right)) = (left, right) else { return lines(left) == lines(right) };
    left.lines.len() == right.lines.len()
        && left.lines.iter().zip(&right.lines).all(|(a, b)| are_alike(a, b))
}

fn are_alike(a: &Line, b: &Line) -> bool {
    (&a.name, &a.text) == (&b.name, &b.text)
}

/// Whether two calls differ at all.
#[must_use]
pub fn differ(stretches: &[Stretch<'_>]) -> bool {
    stretches.iter().any(|stretch| !matches!(stretch, Stretch::Alike { .. }))
}

/// Columns of time and tick before the two sides.
const BEFORE: usize = 19;

/// The comparison as text, in columns for a terminal of this width; at least 70 are taken.
#[must_use]
pub fn side_by_side(
    stretches: &[Stretch<'_>],
    [left, right]: [(&str, &Timeline); 2],
    width: usize,
) -> String {
    let len = left.1.tick_len();
    let mut table =
        Table { text: String::new(), column: (width.max(70) - BEFORE - 2) / 2, last: None };
    table.row(None, left.0, right.0);
    for stretch in stretches {
        match stretch {
            Stretch::Alike { from, to } => {
                let ticks = to.0 - from.0 + 1;
                let to = seconds(len, to.after(1));
                let alike = format!("… {ticks} ticks alike, to {to} s");
                table.row(Some((len.start_ms(*from), *from)), &alike, "");
            }
            Stretch::Heard { from, to, left, right } => {
                let to = seconds(len, to.after(1));
                let told = |heard: &Option<(bool, bool)>| match heard {
                    Some(heard) => format!("{}, to {to} s", speak(*heard)),
                    None => "(the call is over)".to_owned(),
                };
                table.row(Some((len.start_ms(*from), *from)), &told(left), &told(right));
            }
            Stretch::Happened { tick, left, right } => {
                let at = Some((len.start_ms(*tick), *tick));
                let none: &[Line] = &[];
                let [a, b] = [left, right].map(|side| side.map_or(none, |told| &told.lines));
                for (a, b) in paired(a, b) {
                    let [a, b] = [(a, left), (b, right)].map(|(line, side)| {
                        line.map_or_else(String::new, |line| told(line, *side))
                    });
                    table.row(at, &a, &b);
                }
            }
        }
    }
    table.text
}

/// Lines of a tick, those that are alike beside each other.
fn paired<'t>(mut a: &'t [Line], mut b: &'t [Line]) -> Vec<(Option<&'t Line>, Option<&'t Line>)> {
    let mut rows = Vec::new();
    loop {
        match (a.split_first(), b.split_first()) {
            (None, None) => return rows,
            (Some((one, rest_a)), Some((other, rest_b))) if are_alike(one, other) => {
                rows.push((Some(one), Some(other)));
                (a, b) = (rest_a, rest_b);
            }
            // What comes later on the other side waits for it.
            (Some((one, rest)), _) if !b.iter().any(|other| are_alike(one, other)) => {
                rows.push((Some(one), None));
                a = rest;
            }
            (_, Some((other, rest))) => {
                rows.push((None, Some(other)));
                b = rest;
            }
            (Some((one, rest)), None) => {
                rows.push((Some(one), None));
                a = rest;
            }
        }
    }
}

/// The comparison as JSON: a list of what differs.
#[must_use]
pub fn to_json(stretches: &[Stretch<'_>], left: &Timeline) -> Value {
    let len = left.tick_len();
    let speakers = |heard: &Option<(bool, bool)>| {
        heard.map(|(user, agent)| json!({ "user_speech": user, "agent_speech": agent }))
    };
    let happened = |moment: &Option<&TimelineTick>| {
        moment.map(|moment| {
            let lines = moment.lines.iter();
            let events: Vec<Value> =
                lines.map(|line| json!({ "type": line.name, "text": line.text })).collect();
            json!({ "user_speech": moment.user, "agent_speech": moment.agent, "events": events })
        })
    };
    let differences = stretches.iter().filter_map(|stretch| match stretch {
        Stretch::Alike { .. } => None,
        Stretch::Heard { from, to, left, right } => Some(json!({
            "tick": from, "ms": len.start_ms(*from), "ticks": to.0 - from.0 + 1,
            "left": speakers(left), "right": speakers(right),
        })),
        Stretch::Happened { tick, left, right } => Some(json!({
            "tick": tick, "ms": len.start_ms(*tick), "ticks": 1,
            "left": happened(left), "right": happened(right),
        })),
    });
    differences.collect()
}

const fn speak((user, agent): (bool, bool)) -> &'static str {
    match (user, agent) {
        (true, true) => "both speak",
        (true, false) => "the user speaks",
        (false, true) => "the agent speaks",
        (false, false) => "silence",
    }
}

fn told(line: &Line, moment: Option<&TimelineTick>) -> String {
    let (user, agent) = moment.map_or(('-', '-'), heard);
    format!("{user}{agent} {} {}", line.name, line.text).trim_end().to_owned()
}

/// Rows of two sides, each wrapped in its column.
struct Table {
    text: String,
    column: usize,
    last: Option<Tick>,
}

impl Table {
    fn row(&mut self, at: Option<(u64, Tick)>, left: &str, right: &str) {
        let (left, right) = (self.wrapped(left), self.wrapped(right));
        let column = self.column;
        for n in 0..left.len().max(right.len()) {
            let side = |lines: &[String]| lines.get(n).cloned().unwrap_or_default();
            let before = match at.filter(|(_, tick)| n == 0 && self.last != Some(*tick)) {
                Some((ms, tick)) => {
                    format!("{:>5}.{:02} s {tick:>6}", ms / 1_000, ms % 1_000 / 10)
                }
                None => String::new(),
            };
            let line = format!("{before:<BEFORE$}{:<column$}  {}", side(&left), side(&right));
            self.text.push_str(line.trim_end());
            self.text.push('\n');
        }
        self.last = at.map(|(_, tick)| tick);
    }

    /// A text in lines of the column's width, broken between words where there are any.
    fn wrapped(&self, text: &str) -> Vec<String> {
        let mut lines = vec![String::new()];
        for word in text.split(' ') {
            let chars: Vec<char> = word.chars().collect();
            for piece in chars.chunks(self.column.max(1)) {
                let line = lines.last_mut().expect("there is always a line");
                let used = line.chars().count();
                let gap = usize::from(used > 0);
                if used + gap + piece.len() > self.column {
                    lines.push(piece.iter().collect());
                } else {
                    line.extend((gap == 1).then_some(' '));
                    line.extend(piece);
                }
            }
        }
        lines
    }
}
