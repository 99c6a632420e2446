//! Hand-overs, and why.

use super::calls::{Answered, Calls};
use super::kept::Kept;
use super::prose::Prose;
use super::stage::{Said, Stage};
use crate::clock::{Tick, TickLen};
use crate::graph::{Cause, Condition, Transition};
use crate::session::plan::Plan;

/// Hand-overs that are told one by one.
const MOVES_MAX: usize = 1_000;

/// A hand-over, or one that was refused.
#[derive(Debug, Clone)]
pub(super) struct Move {
    pub(super) at: Tick,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) cause: Cause,
    pub(super) fate: Fate,
    /// The turn of a user that led to it.
    turn: Option<Said>,
    /// The tool's value that led to it.
    answered: Option<Answered>,
}

#[derive(Debug, Clone)]
pub(super) enum Fate {
    /// It happened.
    Executed {
        /// Which edge of the graph.
        transition: u32,
        /// What the agent that hands over said of it.
        announced: Option<String>,
        /// When the other had the call.
        arrived: Option<Tick>,
        /// When the other was first heard.
        heard: Option<Tick>,
    },
    /// It did not.
    Refused(String),
}

/// From whom to whom, and why.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) cause: &'a Cause,
}

/// The hand-overs so far.
#[derive(Debug, Clone)]
pub(super) struct Moves {
    pub(super) list: Kept<Move>,
    /// The last one, until the agent that took over is heard.
    arriving: Option<usize>,
}

impl Moves {
    pub(super) const fn new() -> Self {
        Self { list: Kept::new(MOVES_MAX), arriving: None }
    }

    pub(super) fn executed(
        &mut self,
        now: Tick,
        way: Way<'_>,
        transition: u32,
        plan: &Plan,
        stage: &Stage,
        calls: &Calls,
    ) {
        let says = edge(plan, transition).is_some_and(|edge| edge.say.is_some());
        let announced = stage.announced_last(now).filter(|item| says && item.agent == way.from);
        let announced = announced.map(|item| item.text.clone());
        let fate = Fate::Executed { transition, announced, arrived: None, heard: None };
        let answered = calls.led_to(now, transition, way.from);
        self.arriving = self.push(now, way, fate, stage, answered);
    }

    pub(super) fn refused(
        &mut self,
        now: Tick,
        way: Way<'_>,
        reason: &str,
        plan: &Plan,
        stage: &Stage,
        calls: &Calls,
    ) {
        let name = |id| plan.agent(id).name.as_str();
        let mut edges = plan.graph.transitions().iter();
        let edge = edges.find(|edge| {
            (name(edge.from), name(edge.to)) == (way.from, way.to)
                && edge.condition.is_cause(way.cause)
        });
        let answered = edge.and_then(|edge| calls.led_to(now, edge.id, way.from));
        self.push(now, way, Fate::Refused(reason.to_owned()), stage, answered);
    }

    fn push(
        &mut self,
        now: Tick,
        Way { from, to, cause }: Way<'_>,
        fate: Fate,
        stage: &Stage,
        answered: Option<Answered>,
    ) -> Option<usize> {
        let turn = match cause {
            Cause::Intent(name) => stage.turn_with(now, name),
            Cause::ToolResult { .. } => answered.as_ref().and_then(|known| known.turn.as_ref()),
            _ => None,
        };
        let (from, to) = (from.to_owned(), to.to_owned());
        let (cause, turn) = (cause.clone(), turn.cloned());
        self.list.push(Move { at: now, from, to, cause, fate, turn, answered })
    }

    /// An agent has the call.
    pub(super) fn arrived(&mut self, now: Tick, agent: &str) {
        let Some(Move { to, fate: Fate::Executed { arrived, .. }, .. }) = self.last() else {
            return;
        };
        if to == agent {
            arrived.get_or_insert(now);
        }
    }

    /// An agent begins to say something.
    pub(super) fn heard(&mut self, now: Tick, agent: &str) {
        let Some(Move { to, fate: Fate::Executed { heard, .. }, .. }) = self.last() else { return };
        if to == agent {
            *heard = Some(now);
            self.arriving = None;
        }
    }

    fn last(&mut self) -> Option<&mut Move> {
        self.list.get_mut(self.arriving?)
    }
}

fn edge(plan: &Plan, id: u32) -> Option<&Transition> {
    plan.graph.transitions().iter().find(|edge| edge.id == id)
}

impl Move {
    /// What sets it off, in a word or two.
    pub(super) fn badge(&self) -> String {
        match (&self.fate, &self.cause) {
            (Fate::Refused(_), _) => "refused".into(),
            (Fate::Executed { .. }, Cause::Intent(name)) => format!("intent {name}"),
            (Fate::Executed { .. }, Cause::ToolResult { tool, .. }) => format!("result of {tool}"),
            (Fate::Executed { .. }, Cause::Event { name, .. }) => format!("event {name}"),
            (Fate::Executed { .. }, Cause::UserInput(_)) => "words".into(),
            (Fate::Executed { .. }, Cause::Decision { .. }) => "decision".into(),
            (Fate::Executed { .. }, Cause::Timer(_)) => "time".into(),
            (Fate::Executed { .. }, Cause::Silence(_)) => "silence".into(),
            (Fate::Executed { .. }, Cause::Turns(_)) => "turns".into(),
            (Fate::Executed { .. }, Cause::Digits(digits)) => format!("keys {digits}"),
            (Fate::Executed { .. }, Cause::Rule(_)) => "business rule".into(),
        }
    }

    /// Why it happened, for who has never seen the configuration.
    pub(super) fn told(&self, plan: &Plan) -> Prose {
        let Self { from, to, .. } = self;
        let ms = |tick| plan.len.start_ms(tick);
        let prose = self.occasion(plan.len);
        match &self.fate {
            Fate::Refused(reason) => prose
                .text(" A transition ")
                .name(from)
                .text(" → ")
                .name(to)
                .text(format!(
                    " would have fired, but it was refused: {reason}, which is as many as the \
                     configuration allows. "
                ))
                .name(from)
                .text(" kept the call."),
            Fate::Executed { transition, announced, arrived, heard } => {
                let edge = edge(plan, *transition);
                let mut prose = prose.text(" The transition ").name(from).text(" → ").name(to);
                prose = prose.text(format!(" (number {transition} of the configuration) fires "));
                prose = self.condition(edge, prose);
                if let Some(words) = announced {
                    prose = prose.text(" ").name(from).text(" announced it: ").quote(words);
                    prose = prose.text(".");
                }
                prose = match arrived {
                    Some(tick) => {
                        prose.text(" ").name(to).text(" had the call from ").at(ms(*tick))
                    }
                    None => prose.text(" The call ended before ").name(to).text(" had it"),
                };
                match heard {
                    Some(tick) => prose.text(" and was first heard at ").at(ms(*tick)).text("."),
                    None => prose.text("."),
                }
            }
        }
    }

    /// What happened just before.
    fn occasion(&self, len: TickLen) -> Prose {
        let prose = Prose::new().text("At ").at(len.start_ms(self.at)).text(" ");
        match (&self.cause, &self.turn, &self.answered) {
            (Cause::Intent(intent), Some(turn), _) => {
                let verb = if turn.typed { " typed " } else { " had said " };
                let prose = prose.name(&turn.who).text(verb).quote(&turn.text).text(", which ");
                prose.name(&self.from).text(" understood as the intent ").code(intent).text(".")
            }
            (Cause::Intent(intent), None, _) => {
                prose.name(&self.from).text(" understood the intent ").code(intent).text(".")
            }
            (Cause::ToolResult { tool, .. }, turn, Some(answered)) => {
                let prose = prose.name(&self.from).text(" learnt what the tool ").name(tool);
                let prose = prose.text(", called at ").at(len.start_ms(answered.called));
                let prose = match turn {
                    Some(turn) => {
                        let verb = if turn.typed { " typed " } else { " said " };
                        prose.text(" after ").name(&turn.who).text(verb).quote(&turn.text)
                    }
                    None => prose,
                };
                let prose = prose.text(", answered at ").at(len.start_ms(answered.at));
                prose.text(": ").code(&answered.value).text(".")
            }
            (Cause::ToolResult { tool, .. }, _, None) => {
                prose.name(&self.from).text(" learnt a result of the tool ").name(tool).text(".")
            }
            (cause, _, _) => happened(prose, &self.from, cause),
        }
    }

    /// When the edge fires, to follow "fires ".
    fn condition(&self, edge: Option<&Transition>, prose: Prose) -> Prose {
        match (edge.map(|edge| &edge.condition), &self.cause) {
            (Some(Condition::ToolResult { tool, key, operator, value }), _) => {
                let prose = prose.text("when ");
                let prose = match key.as_str() {
                    "" => prose.text("the result"),
                    key => prose.code(key).text(" in the result"),
                };
                let prose = prose.text(" of ").name(tool).text(format!(" {} ", operator.words()));
                let prose = prose.code(value);
                match self.answered.as_ref().and_then(Answered::found) {
                    Some(found) => prose.text(", and it was ").code(found).text("."),
                    None => prose.text("."),
                }
            }
            (_, Cause::Intent(_)) => prose.text("on that intent."),
            (_, Cause::ToolResult { condition, .. }) => {
                prose.text("when ").code(condition).text(".")
            }
            _ => prose.text("on that."),
        }
    }
}

/// What happened just before, where it was no intent and no result.
fn happened(prose: Prose, agent: &str, cause: &Cause) -> Prose {
    let prose = match cause {
        Cause::Event { name, .. } => prose.text("the event ").code(name).text(" happened"),
        Cause::UserInput(condition) => prose.text("the user said words that ").code(condition),
        Cause::Decision { key, value } => {
            prose.name(agent).text(" decided ").code(key).text(": ").code(value)
        }
        Cause::Timer(ms) => prose.name(agent).text(format!(" had had the call for {ms} ms")),
        Cause::Silence(ms) => prose.text(format!("neither side had been heard for {ms} ms")),
        Cause::Turns(1) => prose.text("the user had had a turn"),
        Cause::Turns(count) => prose.text(format!("the user had had {count} turns")),
        Cause::Digits(digits) => prose.text("the user had pressed ").code(digits),
        Cause::Rule(at) => prose.text(format!("the business rule {at} was triggered")),
        Cause::Intent(_) | Cause::ToolResult { .. } => prose,
    };
    prose.text(".")
}
