//! The account of calls, requests, hand-overs and utterances: what may follow what.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checked, hold};
use crate::clock::Tick;
use crate::id::{AskId, CallId, LaneId, NativeId, RequestId, UtteranceId};
use crate::session::Session;
use crate::session::event::EventKind;
use crate::session::input::{Inbound, Input};
use crate::session::output::{Effect, Output};
use crate::session::plan::Plan;
use crate::sim::trial::refused;
use crate::think::native::event::NativeEvent;
use crate::think::native::wish::NativeWish;

/// Requests without an answer.
#[derive(Debug, Default)]
pub(super) struct Requests {
    open: BTreeSet<RequestId>,
}

impl Requests {
    pub(super) fn arrived(&mut self, input: &Input) {
        for value in &input.inbound {
            if let Inbound::Request { request, .. } = value {
                self.open.insert(*request);
            }
        }
    }

    pub(super) fn ticked(&mut self, out: &Output) -> Checked {
        let mut answers = out.effects.iter().filter_map(|effect| match effect {
            Effect::Answer { request, answer } => Some((request, answer)),
            _ => None,
        });
        for event in &out.events {
            let EventKind::RpcAnswered { request, error, .. } = &event.kind else { continue };
            hold!(self.open.remove(request), Requests, "{request} is answered and is not open");
            let same = answers.next().is_some_and(|(answered, answer)| {
                answered == request && answer.as_ref().err() == error.as_ref()
            });
            hold!(same, Requests, "the answer of {request} is not the effect");
        }
        hold!(answers.next().is_none(), Requests, "an answer is not among the events");
        let open = self.open.first();
        hold!(!out.ended || open.is_none(), Requests, "the session ended without one of {open:?}");
        Ok(())
    }
}

/// Calls without an outcome.
#[derive(Debug, Default)]
pub(super) struct Calls {
    open: BTreeMap<CallId, Open>,
    next: u32,
}

#[derive(Debug)]
struct Open {
    since: Tick,
    deferred: bool,
}

impl Calls {
    pub(super) fn ticked(&mut self, now: Tick, out: &Output) -> Checked {
        let (mut calls, mut results) = (out.calls.iter(), out.results.iter());
        for event in &out.events {
            match &event.kind {
                EventKind::ToolCalled { call, .. } => {
                    hold!(call.0 == self.next, Calls, "{call} is not call {}", self.next);
                    self.next += 1;
                    self.open.insert(*call, Open { since: now, deferred: false });
                    let same = calls.next().is_some_and(|listed| listed.id == *call);
                    hold!(same, Calls, "{call} is an event and not in the tick's list");
                }
                EventKind::ToolDeferred { call, .. } => {
                    let known = self.open.get_mut(call);
                    let due = known.as_ref().is_some_and(|open| !open.deferred && open.since < now);
                    hold!(due, Calls, "{call} is deferred twice, too early, or when it was over");
                    if let Some(open) = known {
                        open.deferred = true;
                    }
                }
                EventKind::ToolResult { call, .. } => {
                    let open = self.open.remove(call);
                    hold!(open.is_some(), Calls, "{call} returns and is not open");
                    let same = results.next().is_some_and(|listed| listed.id == *call);
                    hold!(same, Calls, "the outcome of {call} is not in the tick's list");
                }
                _ => {}
            }
        }
        let rest = calls.len() + results.len();
        hold!(rest == 0, Calls, "{rest} calls or outcomes are not among the events");
        let open = self.open.keys().next();
        hold!(!out.ended || open.is_none(), Calls, "the session ended without one of {open:?}");
        Ok(())
    }
}

/// Who the current agent is.
#[derive(Debug, Default)]
pub(super) struct Moves {
    current: Option<String>,
    heir: Option<String>,
}

impl Moves {
    pub(super) fn ticked(&mut self, plan: &Plan, session: &Session, out: &Output) -> Checked {
        let expected = match (&self.current, self.heir.take()) {
            (_, Some(heir)) => Some(heir),
            (None, None) => Some(plan.agent(plan.start).name.clone()),
            (Some(_), None) => None,
        };
        let mut starts = expected;
        for event in &out.events {
            match &event.kind {
                EventKind::AgentStarted { agent } => {
                    let due = starts.take();
                    hold!(
                        due.as_ref() == Some(agent),
                        Moves,
                        "{agent} starts where {due:?} is due"
                    );
                    self.current = due;
                }
                EventKind::AgentMessage { agent, .. } => {
                    let current = &self.current;
                    hold!(current.as_ref() == Some(agent), Moves, "{agent} speaks for {current:?}");
                }
                EventKind::AgentCalled { agent: to, by: from, .. }
                | EventKind::AgentReturned { agent: from, to, .. } => {
                    let current = &self.current;
                    hold!(current.as_ref() == Some(from), Moves, "{from} goes, not {current:?}");
                    let second = self.heir.replace(to.clone());
                    hold!(second.is_none(), Moves, "{second:?} and {to} in one tick");
                }
                EventKind::TransitionExecuted { from, to, transition, .. } => {
                    let edge = plan.graph.transition(*transition);
                    let name = |id| &plan.agent(id).name;
                    let ends = edge.map(|edge| (name(edge.from), name(edge.to)));
                    hold!(ends == Some((from, to)), Moves, "no edge {transition} {from} → {to}");
                    let current = &self.current;
                    hold!(current.as_ref() == Some(from), Moves, "{from} goes, not {current:?}");
                    let second = self.heir.replace(to.clone());
                    hold!(second.is_none(), Moves, "{second:?} and {to} in one tick");
                }
                _ => {}
            }
        }
        hold!(starts.is_none(), Moves, "{starts:?} was to start");
        let name = &plan.agent(session.agent()).name;
        let current = &self.current;
        hold!(current.as_ref() == Some(name), Moves, "{name} is there, not {current:?}");
        Ok(())
    }
}

/// Utterances that a recogniser hears, or has heard and owes the words of.
#[derive(Debug, Default)]
pub(super) struct Ears {
    heard: BTreeMap<(LaneId, UtteranceId), Heard>,
    /// The first utterance of each lane that has not begun.
    next: BTreeMap<LaneId, u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Open,
    Ended,
}

impl Ears {
    pub(super) fn ticked(&mut self, out: &Output) -> Checked {
        let frames = (out.frames.len() / crate::session::output::SPEECH_FRAME) as u32;
        // Words that come before the end, in the same tick even, settle nothing.
        for event in &out.events {
            if let EventKind::UserTranscript { lane, utterance, last: true, .. } = event.kind
                && self.heard.get(&(lane, utterance)) == Some(&Heard::Ended)
            {
                self.heard.remove(&(lane, utterance));
            }
        }
        for effect in &out.effects {
            match *effect {
                Effect::Listen { lane, utterance, frame } => {
                    hold!(frame < frames, Listening, "frame {frame} of {frames}");
                    let next = self.next.entry(lane).or_default();
                    if utterance.0 >= *next {
                        *next = utterance.0 + 1;
                        self.heard.insert((lane, utterance), Heard::Open);
                    }
                    let open = self.heard.get(&(lane, utterance)) == Some(&Heard::Open);
                    hold!(open, Listening, "{lane} {utterance} goes on after its end");
                }
                Effect::ListenEnd { lane, utterance } => {
                    let before = self.heard.insert((lane, utterance), Heard::Ended);
                    let open = before == Some(Heard::Open);
                    hold!(open, Listening, "{lane} {utterance} ends and was {before:?}");
                }
                Effect::ListenDrop { lane, utterance } => {
                    let before = self.heard.remove(&(lane, utterance));
                    hold!(before.is_some(), Listening, "{lane} {utterance} is dropped twice");
                }
                Effect::Speak { .. }
                | Effect::SpeakDrop { .. }
                | Effect::Answer { .. }
                | Effect::Ask { .. }
                | Effect::AskDrop { .. }
                | Effect::Native { .. }
                | Effect::Play { .. } => {}
            }
        }
        Ok(())
    }
}

/// Conversations with models that hear and speak: what is wanted of them.
#[derive(Debug, Default)]
pub(super) struct Natives {
    /// Those that are open: one, and one of which words are still awaited.
    open: BTreeSet<NativeId>,
    next: u32,
    /// Calls that it has made and that have no result.
    called: BTreeSet<String>,
    /// Items of which it was told that they are over.
    over: BTreeSet<String>,
}

impl Natives {
    pub(super) fn arrived(&mut self, input: &Input) {
        for value in &input.inbound {
            if let Inbound::Native { native, event: NativeEvent::Call(call) } = value
                && self.open.contains(native)
            {
                self.called.insert(call.id.clone());
            }
        }
    }

    pub(super) fn ticked(&mut self, out: &Output) -> Checked {
        for effect in &out.effects {
            let Effect::Native { native, wish } = effect else { continue };
            if let NativeWish::Open { .. } = wish {
                hold!(native.0 == self.next, Natives, "{native} is not native-{}", self.next);
                self.next += 1;
                self.open.insert(*native);
                self.called.clear();
                self.over.clear();
                continue;
            }
            hold!(self.open.contains(native), Natives, "{wish:?} is wanted of {native}");
            match wish {
                NativeWish::Close => drop(self.open.remove(native)),
                NativeWish::Result { call, .. } => {
                    hold!(
                        self.called.remove(call),
                        Natives,
                        "{call} has a result twice, or was not made"
                    );
                }
                NativeWish::Played { item, .. } | NativeWish::Cut { item, .. } => {
                    hold!(self.over.insert(item.clone()), Natives, "{item} is over twice");
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Questions to models without an end.
#[derive(Debug, Default)]
pub(super) struct Asks {
    open: BTreeSet<AskId>,
    next: u32,
}

impl Asks {
    pub(super) fn ticked(&mut self, out: &Output) -> Checked {
        let asked = out.effects.iter().filter_map(|effect| match effect {
            Effect::Ask { ask, request, .. } => Some((*ask, request)),
            _ => None,
        });
        for event in &out.events {
            match &event.kind {
                EventKind::ModelAsked { ask, .. } => {
                    hold!(ask.0 == self.next, Asks, "{ask} is not ask-{}", self.next);
                    self.next += 1;
                    self.open.insert(*ask);
                }
                EventKind::ModelAnswered { ask, .. }
                | EventKind::ModelFailed { ask, .. }
                | EventKind::ModelDropped { ask } => {
                    hold!(self.open.remove(ask), Asks, "{ask} ends and is not open");
                }
                _ => {}
            }
        }
        for (ask, request) in asked {
            hold!(ask.0 < self.next, Asks, "{ask} is asked and is no event");
            let refused = refused(request);
            hold!(
                refused.is_none(),
                Asks,
                "{ask} would be refused: {}",
                refused.unwrap_or_default()
            );
        }
        let open = self.open.first();
        hold!(!out.ended || open.is_none(), Asks, "the session ended without an end of {open:?}");
        Ok(())
    }
}
