//! A run that is listened to.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use super::drive::{Driver, Listener};
use super::options::Options;
use super::run::{GenerateError, Generated, finished};
use super::{LanguageModel, ToolResolver};
use crate::think::chat::{Call, CallResult, Message, ModelDelta, Usage};
use crate::think::tool_loop::StepResult;

/// Pieces that wait for a listener at most; the model waits with them.
pub const EVENTS_WAITING: usize = 64;

/// A piece of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamEvent {
    /// A piece of an answer.
    Delta(ModelDelta),
    /// The model begins to write a call.
    ToolInputStart {
        /// Which of the answer's calls.
        index: u32,
        /// Its id; empty if the provider gives none.
        id: String,
        /// The tool.
        name: String,
    },
    /// More of the arguments of a call.
    ToolInputDelta {
        /// Which of the answer's calls.
        index: u32,
        /// The text.
        text: String,
    },
    /// A call is run.
    ToolCall(Call),
    /// How far a tool is.
    Preliminary {
        /// The call.
        call: String,
        /// The tool.
        name: String,
        /// What it tells.
        value: Value,
    },
    /// What came of a call.
    ToolResult(CallResult),
    /// Somebody has to approve of a call.
    ApprovalRequest {
        /// The id of the request.
        id: String,
        /// The call.
        call: String,
    },
    /// A step is done.
    StepEnd {
        /// Which, from 0.
        step: u32,
    },
}

impl StreamEvent {
    /// What is told of a piece; `begun` are the calls that have begun in this answer.
    pub(super) fn of(delta: &ModelDelta, begun: &mut Vec<(u32, String)>) -> Vec<Self> {
        let ModelDelta::ToolCall { index, id, name, arguments, .. } = delta else {
            return vec![Self::Delta(delta.clone())];
        };
        let mut events = Vec::new();
        let known = |(at, of): &(u32, String)| at == index && (id.is_empty() || of == id);
        if !begun.iter().any(known) {
            begun.push((*index, id.clone()));
            let (id, name) = (id.clone(), name.clone());
            events.push(Self::ToolInputStart { index: *index, id, name });
        }
        if !arguments.is_empty() {
            events.push(Self::ToolInputDelta { index: *index, text: arguments.clone() });
        }
        events
    }
}

/// A run under way. Dropping it ends the run.
#[derive(Debug)]
pub struct Streaming {
    events: mpsc::Receiver<Result<StreamEvent, GenerateError>>,
    cancel: watch::Sender<bool>,
    /// All steps, once it is over, whatever came of it.
    pub steps: oneshot::Receiver<Vec<StepResult>>,
    /// What all steps have cost, once it is over.
    pub total_usage: oneshot::Receiver<Option<Usage>>,
    /// What came of it; nothing if it failed or was cancelled.
    pub generated: oneshot::Receiver<Generated>,
}

impl Streaming {
    /// Nobody wants the rest. It is over at the next piece.
    pub fn cancel(&self) {
        self.cancel.send_replace(true);
    }

    /// The next piece; none when it is over. An error is the last one.
    pub async fn next(&mut self) -> Option<Result<StreamEvent, GenerateError>> {
        self.events.recv().await
    }
}

impl Stream for Streaming {
    type Item = Result<StreamEvent, GenerateError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_recv(context)
    }
}

/// Sends pieces to a listener.
struct Sending<'a> {
    options: &'a Options,
    events: mpsc::Sender<Result<StreamEvent, GenerateError>>,
    cancelled: watch::Receiver<bool>,
}

/// Waits until nobody wants the rest.
async fn unwanted<T>(events: mpsc::Sender<T>, mut cancelled: watch::Receiver<bool>) {
    tokio::select! {
        // An error is a listener that is gone.
        _ = cancelled.wait_for(|cancelled| *cancelled) => {}
        () = events.closed() => {}
    }
}

impl Listener for Sending<'_> {
    async fn tell(&mut self, event: StreamEvent) -> bool {
        if *self.cancelled.borrow() {
            return false;
        }
        if let Some(told) = &self.options.on_chunk {
            told(&event);
        }
        self.events.send(Ok(event)).await.is_ok()
    }

    const LISTENS: bool = true;
}

/// Asks a model, runs the tools that it calls, and tells each piece of every step as it comes. The run has
/// a task of its own, on the runtime that this is called in.
///
/// # Panics
/// Outside of a tokio runtime.
#[must_use]
pub fn stream(
    model: Arc<dyn LanguageModel>,
    messages: Vec<Message>,
    tools: Option<Arc<dyn ToolResolver>>,
    options: Options,
) -> Streaming {
    let (events, listener) = mpsc::channel(EVENTS_WAITING);
    let (cancel, cancelled) = watch::channel(false);
    let (tell_steps, steps) = oneshot::channel();
    let (tell_usage, total_usage) = oneshot::channel();
    let (tell_generated, generated) = oneshot::channel();
    tokio::spawn(async move {
        let mut driver = Driver::new(&*model, messages, tools.as_deref(), &options);
        let unwanted = unwanted(events.clone(), cancelled.clone());
        let mut sending = Sending { options: &options, events, cancelled };
        let ended = tokio::select! {
            ended = driver.drive(&mut sending) => ended,
            // A model or a tool that is silent is not waited for.
            () = unwanted => Err(GenerateError::Cancelled),
        };
        match ended {
            Ok(()) => {
                let made = Generated::of(&driver.run, &options);
                finished(&driver.run, &made.response, &options);
                drop(tell_generated.send(made));
            }
            Err(GenerateError::Cancelled) => {
                if let Some(told) = &options.on_abort {
                    told(driver.run.steps());
                }
            }
            Err(error) => drop(sending.events.send(Err(error)).await),
        }
        drop(tell_steps.send(driver.run.steps().to_vec()));
        tell_usage.send(driver.run.usage()).ok();
    });
    Streaming { events: listener, cancel, steps, total_usage, generated }
}
