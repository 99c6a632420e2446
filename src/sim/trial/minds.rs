//! A model that says anything: sentences, calls that fit and calls that do not, halves of answers, and nothing.

use std::collections::BTreeSet;

use crate::clock::Tick;
use crate::id::AskId;
use crate::seed::Seed;
use crate::session::input::{Inbound, Input};
use crate::session::output::{Effect, Output};
use crate::slot::Edge;
use crate::slot::due::Due;
use crate::think::chat::{
    ErrorKind, FinishReason, ModelDelta, ModelError, ModelRequest, Part, Role, Usage,
};

const WORDS: [&str; 12] = [
    "Well, ",
    "you ",
    "may. ",
    "It is 3.50 ",
    "euros! ",
    "Mr. ",
    "Smith ",
    "says so. ",
    "Is it? ",
    "\n- ",
    "**Yes.** ",
    "really ",
];

/// Answers drawn from a seed.
#[derive(Debug)]
pub(super) struct Minds {
    seed: Seed,
    due: Due,
    /// What nobody wants any more, and goes on all the same.
    stubborn: BTreeSet<AskId>,
    asked: u32,
}

impl Minds {
    pub(super) const fn new(seed: Seed) -> Self {
        Self { seed, due: Due::new(), stubborn: BTreeSet::new(), asked: 0 }
    }

    fn words(&mut self, count: u64) -> Vec<ModelDelta> {
        let mut words = Vec::new();
        for _ in 0..count {
            let at = self.seed.below(WORDS.len() as u64) as usize;
            words.push(ModelDelta::Text(WORDS[at].to_owned()));
        }
        words
    }

    /// A call, in pieces; of a tool that was declared, mostly.
    fn call(&mut self, index: u32, request: &ModelRequest) -> Vec<ModelDelta> {
        let at = self.seed.below(request.tools.len() as u64 + 1) as usize;
        let name = request.tools.get(at).map_or("nobody", |tool| tool.name.as_str());
        let arguments = match (self.seed.below(6), name) {
            (0, _) => "{\"a\": ".to_owned(),
            (1, _) => "[]".to_owned(),
            (_, "hand_over") => "{\"to\": \"other\"}".to_owned(),
            (_, "call_agent") => "{\"agent\": \"helper\"}".to_owned(),
            (_, "return_value") => "{\"value\": 7}".to_owned(),
            _ => "{}".to_owned(),
        };
        // Now and then an id that was used before, or none.
        let id = match self.seed.below(8) {
            0 => "again".to_owned(),
            1 => String::new(),
            _ => format!("call-{}-{index}", self.asked),
        };
        let piece = |id: &str, name: &str, arguments: &str| ModelDelta::ToolCall {
            index,
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            provider_executed: false,
        };
        let half = arguments.len() / 2;
        vec![piece(&id, name, &arguments[..half]), piece("", "", &arguments[half..])]
    }

    fn ask(&mut self, now: Tick, ask: AskId, request: &ModelRequest) {
        self.asked += 1;
        let mut deltas = Vec::new();
        let kind = self.seed.below(12);
        let count = self.seed.below(40);
        if kind != 0 {
            deltas.extend(self.words(count));
        }
        if kind > 5 {
            for index in 0..=(self.seed.below(3) as u32) {
                deltas.extend(self.call(index, request));
            }
        }
        if kind == 3 {
            deltas.push(ModelDelta::Reasoning("hm".to_owned()));
            deltas.push(ModelDelta::Usage(Usage { total: Some(9), ..Usage::default() }));
        }
        let end = match kind {
            1 => {
                let error = ModelError::new(ErrorKind::CutOff, "the line broke");
                Some(Inbound::ModelFailed { ask, error })
            }
            // It never ends.
            2 => None,
            _ => {
                let reason = if kind > 5 { FinishReason::ToolCalls } else { FinishReason::Stop };
                deltas.push(ModelDelta::Finished { reason, raw: None });
                Some(Inbound::ModelEnd { ask })
            }
        };
        let mut at = now.after(1 + self.seed.below(40));
        for delta in deltas {
            self.due.push(at, Inbound::Model { ask, delta });
            at = at.after(self.seed.below(3));
        }
        if let Some(end) = end {
            self.due.push(at, end);
        }
    }
}

impl Edge for Minds {
    fn give(&mut self, now: Tick, input: &mut Input) {
        self.due.give(now, input);
    }

    fn take(&mut self, now: Tick, out: &Output) {
        for effect in &out.effects {
            match effect {
                Effect::Ask { ask, request, .. } => self.ask(now, *ask, request),
                Effect::AskDrop { ask } => {
                    if self.seed.below(4) == 0 {
                        self.stubborn.insert(*ask);
                    } else {
                        self.due.retain(|value| value.ask() != Some(*ask));
                    }
                }
                _ => {}
            }
        }
    }
}

/// What a provider would refuse of a request: each call has its results right after it, and nothing else has.
pub(crate) fn refused(request: &ModelRequest) -> Option<String> {
    let mut open: Vec<&str> = Vec::new();
    for message in &request.messages {
        let results = message.parts.iter().filter_map(|part| match part {
            Part::ToolResult(result) => Some(result.call.as_str()),
            _ => None,
        });
        for call in results {
            let Some(at) = open.iter().position(|known| *known == call) else {
                return Some(format!("a result of `{call}`, which was not called before it"));
            };
            open.remove(at);
        }
        if message.role != Role::Tool && !open.is_empty() {
            return Some(format!("{open:?} have no results before the next message"));
        }
        if message.parts.is_empty() {
            return Some("a message of nothing".to_owned());
        }
        for call in message.calls() {
            if call.id.is_empty() || call.name.is_empty() {
                return Some(format!("a call without id or name: {call:?}"));
            }
            open.push(&call.id);
        }
    }
    (!open.is_empty()).then(|| format!("{open:?} have no results"))
}
