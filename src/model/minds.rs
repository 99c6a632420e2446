//! Models in virtual time: each answers to its end at once, and what it says is admitted from the declared
//! latency on, a piece a tick.

use std::collections::BTreeMap;

use crate::clock::{Tick, TickLen};
use crate::config::{self, Provider, Reply};
use crate::id::AskId;
use crate::session::input::{Inbound, Input};
use crate::session::output::{Effect, Output};
use crate::slot::Edge;
use crate::slot::due::Due;
use crate::think::canned;
use crate::think::chat::{ErrorKind, ModelDelta, ModelError, ModelRequest};

/// The pieces of an answer, and why it broke off, if it did.
pub type Answer = (Vec<ModelDelta>, Option<ModelError>);

/// A model that is asked and waited for.
pub trait Oracle: Send {
    /// All of its answer.
    fn ask(&mut self, request: &ModelRequest) -> Answer;
}

/// A canned model.
#[derive(Debug, Clone)]
pub struct Canned(pub Vec<Reply>);

impl Oracle for Canned {
    fn ask(&mut self, request: &ModelRequest) -> Answer {
        canned::answer(&self.0, request)
    }
}

/// Models in virtual time.
pub struct VirtualMinds {
    models: BTreeMap<String, (Box<dyn Oracle>, u64)>,
    due: Due,
}

impl VirtualMinds {
    /// No models yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { models: BTreeMap::new(), due: Due::new() }
    }

    /// The canned models of a configuration.
    #[must_use]
    pub fn canned(models: &BTreeMap<String, config::Model>, len: TickLen) -> Self {
        let mut minds = Self::new();
        for (name, model) in models.iter().filter(|(_, model)| model.provider == Provider::Canned) {
            minds.add(name, Box::new(Canned(model.replies.clone())), model.latency_ms, len);
        }
        minds
    }

    /// Adds a model that begins to answer `latency_ms` after it was asked.
    pub fn add(&mut self, name: &str, model: Box<dyn Oracle>, latency_ms: u32, len: TickLen) {
        self.models.insert(name.to_owned(), (model, len.ticks_min_one(latency_ms)));
    }

    fn ask(&mut self, now: Tick, ask: AskId, model: &str, request: &ModelRequest) {
        let Some((oracle, latency)) = self.models.get_mut(model) else {
            let error =
                ModelError::new(ErrorKind::Unavailable, format!("there is no model `{model}`"));
            return self.due.push(now.after(1), Inbound::ModelFailed { ask, error });
        };
        let (deltas, error) = oracle.ask(request);
        let mut at = now.after(*latency);
        for delta in deltas {
            self.due.push(at, Inbound::Model { ask, delta });
            at = at.after(1);
        }
        let end = match error {
            Some(error) => Inbound::ModelFailed { ask, error },
            None => Inbound::ModelEnd { ask },
        };
        self.due.push(at, end);
    }
}

impl Default for VirtualMinds {
    fn default() -> Self {
        Self::new()
    }
}

impl Edge for VirtualMinds {
    fn give(&mut self, now: Tick, input: &mut Input) {
        self.due.give(now, input);
    }

    fn take(&mut self, now: Tick, out: &Output) {
        for effect in &out.effects {
            match effect {
                Effect::Ask { ask, model, request } => self.ask(now, *ask, model, request),
                Effect::AskDrop { ask } => self.due.retain(|value| value.ask() != Some(*ask)),
                _ => {}
            }
        }
    }
}
