//! Who runs the calls of a model.

use futures_util::{StreamExt, stream};
use serde_json::Value;

use super::BoxStream;
use crate::host::pace::pause;
use crate::id::CallId;
use crate::think::chat::Call;
use crate::tool::{Json, Outcome, Registry, ToolCall, ToolContext};

/// What a tool tells while it runs.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolEvent {
    /// How far it is: for people who wait, and not for the model.
    Preliminary(Value),
    /// What came of it. Nothing that follows is looked at.
    Final(Result<Value, String>),
}

/// Runs the calls of a model.
pub trait ToolResolver: Send + Sync {
    /// Whether it runs calls of this name.
    fn knows(&self, name: &str) -> bool;

    /// Runs a call. What it tells ends with [`ToolEvent::Final`]; without one, the call has failed.
    fn run<'a>(&'a self, call: &'a Call) -> BoxStream<'a, ToolEvent>;
}

/// Tools of a registry run on the threads for blocking work, one call at a time.
impl ToolResolver for Registry {
    fn knows(&self, name: &str) -> bool {
        self.spec(name).is_some()
    }

    fn run<'a>(&'a self, call: &'a Call) -> BoxStream<'a, ToolEvent> {
        let registry = self.clone();
        let context =
            ToolContext { session: String::new(), call: call.id.clone(), occurrence: 0, pause };
        let call = ToolCall {
            id: CallId(0),
            name: call.name.clone(),
            arguments: Json(call.arguments.0.clone()),
            occurrence: 0,
            lane: None,
        };
        let run = tokio::task::spawn_blocking(move || registry.execute(&context, &call));
        let done = async move {
            ToolEvent::Final(match run.await {
                Ok(Outcome::Done(value)) => Ok(value.0),
                Ok(Outcome::Failed(failure)) => Err(failure.message),
                Err(_) => Err("the tool was stopped".to_owned()),
            })
        };
        stream::once(done).boxed()
    }
}
