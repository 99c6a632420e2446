//! Weather: everything around a session fails now and then, by a seed.
//!
//! [`Weathered`] stands between a session and any edge, virtual or not, and makes results late, lost,
//! doubled or failed. [`Fate`] lets lines drop, participants come back, somebody hang up in the
//! middle, nonsense arrive, and a room talk. [`Haunted`] is a tool that fails or panics. What they did is in a
//! [`Tally`]. Frames of audio have a [`network`](super::network) of their own.
//!
//! **Invariant:** equal seeds give equal weather.

mod room;
mod tally;

use std::collections::VecDeque;
use std::sync::Arc;

pub use tally::{Fault, Tally};

use crate::clock::Tick;
use crate::id::{CallId, ItemId, LaneId, UtteranceId};
use crate::pcm::Clip;
use crate::seed::Seed;
use crate::session::input::{Inbound, Input};
use crate::session::output::Output;
use crate::session::strain::EVERY_MAX;
use crate::slot::Edge;
use crate::think::chat::{ErrorKind, ModelError};
use crate::tool::{Called, FailureKind, Hands, Outcome, Tool, ToolCall, ToolContext};

/// How bad it is, in percent of the results of engines and tools.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weather {
    /// Results that come later than they should.
    pub late_percent: f64,
    /// By how many ticks they are late at most.
    pub late_ticks_max: u64,
    /// Results that never come.
    pub lost_percent: f64,
    /// Results that come twice.
    pub doubled_percent: f64,
    /// Results that are failures instead.
    pub failed_percent: f64,
}

impl Weather {
    /// Nothing goes wrong.
    pub const FAIR: Self = Self {
        late_percent: 0.0,
        late_ticks_max: 0,
        lost_percent: 0.0,
        doubled_percent: 0.0,
        failed_percent: 0.0,
    };
}

/// An edge in weather.
#[derive(Debug)]
pub struct Weathered<E> {
    edge: E,
    weather: Weather,
    seed: Seed,
    tally: Tally,
    /// What the edge has given for this tick.
    fresh: Input,
    due: VecDeque<(Tick, Inbound)>,
}

impl<E> Weathered<E> {
    /// Puts an edge into weather.
    #[must_use]
    pub fn new(edge: E, weather: Weather, seed: Seed, tally: Tally) -> Self {
        let (fresh, due) = (Input::default(), VecDeque::new());
        Self { edge, weather, seed, tally, fresh, due }
    }

    /// Makes of a result what becomes of it.
    fn expose(&mut self, now: Tick, value: Inbound, input: &mut Input) {
        let Weather { late_percent, late_ticks_max, lost_percent, doubled_percent, failed_percent } =
            self.weather;
        if self.seed.chance(lost_percent) {
            return self.tally.add(Fault::ResultLost);
        }
        let value = match self.seed.chance(failed_percent).then(|| failed(&value)).flatten() {
            Some(failure) => {
                self.tally.add(Fault::ResultFailed);
                failure
            }
            None => value,
        };
        if self.seed.chance(doubled_percent) {
            self.tally.add(Fault::ResultDoubled);
            let delay = self.seed.below(late_ticks_max + 1);
            self.due.push_back((now.after(1 + delay), value.clone()));
        }
        if self.seed.chance(late_percent) {
            self.tally.add(Fault::ResultLate);
            let delay = self.seed.below(late_ticks_max.max(1));
            return self.due.push_back((now.after(1 + delay), value));
        }
        input.inbound.push(value);
    }
}

/// The failure that stands for a result; frames, people and typed text do not fail.
fn failed(value: &Inbound) -> Option<Inbound> {
    let cause = || "the weather".to_owned();
    match *value {
        Inbound::Transcript { lane, utterance, .. } => {
            Some(Inbound::RecogniserFailed { lane, utterance, cause: cause() })
        }
        Inbound::Speech { item, .. } => Some(Inbound::SynthesiserFailed { item, cause: cause() }),
        Inbound::ToolResult { call, .. } => {
            let outcome = Outcome::failed(FailureKind::Failed, cause());
            Some(Inbound::ToolResult { call, outcome })
        }
        Inbound::Model { ask, .. } => {
            let error = ModelError::new(ErrorKind::Provider, cause());
            Some(Inbound::ModelFailed { ask, error })
        }
        Inbound::ModelEnd { .. }
        | Inbound::ModelFailed { .. }
        | Inbound::Native { .. }
        | Inbound::Joined { .. }
        | Inbound::Left { .. }
        | Inbound::Audio { .. }
        | Inbound::UserText { .. }
        | Inbound::RecogniserFailed { .. }
        | Inbound::SynthesiserFailed { .. }
        | Inbound::JournalLost { .. }
        | Inbound::HangUp { .. }
        | Inbound::Close { .. }
        | Inbound::Interrupt { .. }
        | Inbound::Track { .. }
        | Inbound::Speaking { .. }
        | Inbound::Attributes { .. }
        | Inbound::Metadata { .. }
        | Inbound::Data { .. }
        | Inbound::Quality { .. }
        | Inbound::Digit { .. }
        | Inbound::Request { .. }
        | Inbound::Line { .. }
        | Inbound::Custom { .. }
        | Inbound::Fact { .. }
        | Inbound::Strain { .. }
        | Inbound::Reload { .. } => None,
    }
}

impl<E: Edge> Edge for Weathered<E> {
    fn give(&mut self, now: Tick, input: &mut Input) {
        self.fresh.clear(now, input.skipped);
        self.edge.give(now, &mut self.fresh);
        let mut at = 0;
        while at < self.due.len() {
            if self.due[at].0 > now {
                at += 1;
            } else {
                input.inbound.extend(self.due.remove(at).map(|(_, value)| value));
            }
        }
        for value in std::mem::take(&mut self.fresh.inbound) {
            match value {
                Inbound::Audio { lane, seq, from, len } => {
                    let from = from as usize;
                    let frame = self.fresh.pcm.get(from..from + usize::from(len));
                    input.audio(lane, seq, frame.unwrap_or_default());
                }
                Inbound::Joined { .. }
                | Inbound::Left { .. }
                | Inbound::UserText { .. }
                | Inbound::JournalLost { .. }
                | Inbound::HangUp { .. }
                | Inbound::Close { .. }
                | Inbound::Interrupt { .. }
                | Inbound::Track { .. }
                | Inbound::Speaking { .. }
                | Inbound::Attributes { .. }
                | Inbound::Metadata { .. }
                | Inbound::Data { .. }
                | Inbound::Quality { .. }
                | Inbound::Digit { .. }
                | Inbound::Request { .. }
                | Inbound::Line { .. }
                | Inbound::Custom { .. }
                | Inbound::Fact { .. }
                | Inbound::Strain { .. }
                | Inbound::Reload { .. } => input.inbound.push(value),
                result => self.expose(now, result, input),
            }
        }
    }

    fn take(&mut self, now: Tick, out: &Output) {
        self.edge.take(now, out);
    }
}

impl<E: Hands> Hands for Weathered<E> {
    fn call(&mut self, call: &ToolCall) -> Called {
        self.edge.call(call)
    }
}

/// What a haunted tool says when it panics: whoever prints panics may leave it out.
pub const HAUNTED: &str = "a haunted tool panics by intention";

/// A tool that now and then fails or panics instead of answering.
pub struct Haunted {
    /// The tool.
    pub tool: Arc<dyn Tool>,
    /// Calls that fail, in percent.
    pub fails_percent: f64,
    /// Calls that panic, in percent.
    pub panics_percent: f64,
    /// By which seed.
    pub seed: Seed,
    /// Where it is counted.
    pub tally: Tally,
}

impl std::fmt::Debug for Haunted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Haunted({} % fail, {} % panic)", self.fails_percent, self.panics_percent)
    }
}

impl Tool for Haunted {
    fn call(
        &self,
        context: &ToolContext,
        arguments: &serde_json::Value,
    ) -> Result<serde_json::Value, String> {
        let mut seed = self.seed.branch(&context.call);
        if seed.chance(self.panics_percent) {
            self.tally.add(Fault::ToolPanicked);
            panic!("{HAUNTED}");
        }
        if seed.chance(self.fails_percent) {
            self.tally.add(Fault::ResultFailed);
            return Err("the tool is haunted".to_owned());
        }
        self.tool.call(context, arguments)
    }
}

/// What happens to a session from outside, by tick.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fate {
    happens: VecDeque<(Tick, Inbound)>,
}

impl Fate {
    /// A fate of these values, in the order of their ticks.
    #[must_use]
    pub fn new(mut happens: Vec<(Tick, Inbound)>) -> Self {
        happens.sort_by_key(|(tick, _)| *tick);
        Self { happens: happens.into() }
    }

    /// Draws what happens to `lanes` participants within `ticks`: lines that drop and come back,
    /// nonsense, perhaps somebody who hangs up, what a room says and asks, and a process that has too much to do.
    #[must_use]
    pub fn draw(seed: &mut Seed, lanes: u16, ticks: u64, tally: &Tally) -> Self {
        let mut happens = Vec::new();
        for lane in (0..lanes).map(LaneId) {
            for _ in 0..seed.below(4).saturating_sub(1) {
                tally.add(Fault::LineDropped);
                let gone = Tick(seed.below(ticks));
                happens.push((gone, Inbound::Left { lane }));
                let back = gone.after(seed.below(1 + ticks / 4));
                let name = format!("caller {} again", lane.0);
                happens.push((back, Inbound::Joined { lane, name }));
            }
        }
        for _ in 0..seed.below(6) {
            tally.add(Fault::Nonsense);
            happens.push((Tick(seed.below(ticks)), nonsense(seed)));
        }
        if seed.below(5) == 0 {
            tally.add(Fault::HungUp);
            let reason = "somebody hung up".to_owned();
            happens.push((Tick(seed.below(ticks)), Inbound::HangUp { reason }));
        }
        if seed.below(8) == 0 {
            tally.add(Fault::Closed);
            let reason = "the program is being stopped".to_owned();
            happens.push((Tick(seed.below(ticks)), Inbound::Close { reason }));
        }
        // A quiet room, or one in which a lot happens.
        let most = if seed.below(4) == 0 { 200 } else { 12 };
        for number in 0..seed.below(most) as u32 {
            happens.push((Tick(seed.below(ticks)), room::draw(seed, lanes, number)));
        }
        if seed.below(3) == 0 {
            tally.add(Fault::Strained);
            let begun = Tick(seed.below(ticks));
            let every = 2 + seed.below(u64::from(EVERY_MAX)) as u16;
            let turn = seed.below(u64::from(EVERY_MAX)) as u16;
            happens.push((begun, Inbound::Strain { every, turn }));
            if seed.below(4) > 0 {
                let over = begun.after(1 + seed.below(1 + ticks / 2));
                happens.push((over, Inbound::Strain { every: 1, turn: 0 }));
            }
        }
        Self::new(happens)
    }
}

/// Something that nobody has asked for, about things that may be there.
fn nonsense(seed: &mut Seed) -> Inbound {
    let lane = LaneId(seed.below(6) as u16);
    let utterance = UtteranceId(seed.below(8) as u32);
    let item = ItemId(seed.below(12) as u32);
    let text = ["\u{0}\u{202e}stop", "", "mm-hmm", "goodbye"][seed.below(4) as usize].to_owned();
    match seed.below(10) {
        0 => Inbound::Left { lane },
        1 => Inbound::Audio {
            lane,
            seq: seed.next_u64() as u16,
            from: seed.below(900) as u32,
            len: 320,
        },
        2 => Inbound::UserText { lane, text },
        3 | 4 => {
            let confidence = [f32::NAN, -1.0, 0.3, f32::INFINITY][seed.below(4) as usize];
            Inbound::Transcript { lane, utterance, text, confidence, last: seed.below(2) == 0 }
        }
        5 => Inbound::RecogniserFailed { lane, utterance, cause: text },
        6 => {
            let pcm = Clip::from(vec![77; seed.below(3_000) as usize]);
            // Never of an item to come: no edge knows its number before it is announced.
            let item = ItemId(100_000 + item.0);
            Inbound::Speech { item, pcm, last: seed.below(2) == 0 }
        }
        7 => Inbound::SynthesiserFailed { item, cause: text },
        8 => Inbound::Interrupt { lane },
        _ => {
            let outcome = Outcome::failed(FailureKind::NotRecorded, text);
            Inbound::ToolResult { call: CallId(seed.below(6) as u32), outcome }
        }
    }
}

impl Edge for Fate {
    fn give(&mut self, now: Tick, input: &mut Input) {
        while self.happens.front().is_some_and(|(tick, _)| *tick <= now) {
            input.inbound.extend(self.happens.pop_front().map(|(_, value)| value));
        }
    }

    fn take(&mut self, _now: Tick, _out: &Output) {}
}
