//! The models of one session, in real time: each question is a task, whose pieces are inputs of the session.
//!
//! **Invariant:** the thread of the tick waits for nothing; a question that is dropped has no task any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use futures_util::StreamExt;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::LanguageModel;
use crate::clock::Tick;
use crate::id::AskId;
use crate::session::input::{Inbound, Input};
use crate::session::output::{Effect, Output};
use crate::slot::Edge;
use crate::think::chat::{ErrorKind, ModelError, ModelRequest};

/// Pieces that wait for a session's tick at most: a second of the quickest models.
const PIECES_WAITING: usize = 1_024;

/// How long a task waits before it looks again whether the session has taken its pieces, in milliseconds:
/// the shortest tick.
const FULL_MS: u64 = 10;

/// Questions that are open at the same time at most: a session has one, or two where one is overtaken.
const QUESTIONS_MAX: usize = 16;

/// Models by name.
pub type Models = BTreeMap<String, Arc<dyn LanguageModel>>;

/// The models of one session.
pub struct LiveMinds {
    models: Arc<Models>,
    runtime: Handle,
    reply: Sender<Inbound>,
    pieces: Receiver<Inbound>,
    asked: BTreeMap<AskId, AbortHandle>,
    at_once: Vec<Inbound>,
}

impl std::fmt::Debug for LiveMinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LiveMinds({} models, {} questions)", self.models.len(), self.asked.len())
    }
}

impl LiveMinds {
    /// An edge whose questions are tasks of this runtime.
    #[must_use]
    pub fn new(models: Arc<Models>, runtime: Handle) -> Self {
        let (reply, pieces) = bounded(PIECES_WAITING);
        Self { models, runtime, reply, pieces, asked: BTreeMap::new(), at_once: Vec::new() }
    }

    fn ask(&mut self, ask: AskId, name: &str, request: ModelRequest) {
        let failed = |why: String| {
            let error = ModelError::new(ErrorKind::Unavailable, why);
            Inbound::ModelFailed { ask, error }
        };
        let Some(model) = self.models.get(name) else {
            return self.at_once.push(failed(format!("there is no model `{name}`")));
        };
        if self.asked.len() >= QUESTIONS_MAX {
            return self.at_once.push(failed("too many questions are open".to_owned()));
        }
        let task = self.runtime.spawn(answer(Arc::clone(model), ask, request, self.reply.clone()));
        self.asked.insert(ask, task.abort_handle());
    }
}

async fn answer(
    model: Arc<dyn LanguageModel>,
    ask: AskId,
    request: ModelRequest,
    reply: Sender<Inbound>,
) {
    let end = match model.stream(request).await {
        Err(error) => Inbound::ModelFailed { ask, error },
        Ok(mut deltas) => loop {
            match deltas.next().await {
                Some(Ok(delta)) => tell(&reply, Inbound::Model { ask, delta }).await,
                Some(Err(error)) => break Inbound::ModelFailed { ask, error },
                None => break Inbound::ModelEnd { ask },
            }
        },
    };
    tell(&reply, end).await;
}

/// Gives a piece to the session, once it has room.
async fn tell(reply: &Sender<Inbound>, mut value: Inbound) {
    while let Err(TrySendError::Full(back)) = reply.try_send(value) {
        value = back;
        tokio::time::sleep(std::time::Duration::from_millis(FULL_MS)).await;
    }
}

impl Edge for LiveMinds {
    fn give(&mut self, _now: Tick, input: &mut Input) {
        input.inbound.append(&mut self.at_once);
        for value in self.pieces.try_iter() {
            let Some(ask) = value.ask().filter(|ask| self.asked.contains_key(ask)) else {
                continue;
            };
            if matches!(value, Inbound::ModelEnd { .. } | Inbound::ModelFailed { .. }) {
                self.asked.remove(&ask);
            }
            input.inbound.push(value);
        }
    }

    fn take(&mut self, _now: Tick, out: &Output) {
        for effect in &out.effects {
            match effect {
                Effect::Ask { ask, model, request } => {
                    self.ask(*ask, model, ModelRequest::clone(request));
                }
                Effect::AskDrop { ask } => {
                    if let Some(task) = self.asked.remove(ask) {
                        task.abort();
                    }
                }
                _ => {}
            }
        }
    }
}

impl Drop for LiveMinds {
    fn drop(&mut self) {
        self.asked.values().for_each(AbortHandle::abort);
    }
}
