//! Models and tools for programs without audio: text in, text out.
//!
//! [`generate`] asks a [`LanguageModel`] and runs the tools that it calls until there is an
//! answer; [`stream()`] does the same and tells each piece as it comes, of every step. A
//! [`ToolLoopAgent`] is a model with its tools and rules, to be used again and again. All of them drive the
//! one [loop](crate::think::tool_loop) that sessions drive, too.
//!
//! ```
//! use antiphon::generate::{ToolLoopAgent, scripted::Scripted};
//! use antiphon::think::chat::{Call, Message, Response};
//! use antiphon::tool::{Registry, ToolContext, ToolSpec};
//! use serde_json::{Value, json};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let mut tools = Registry::default();
//! tools.add(ToolSpec::new("now", "Tells the time"), |_: &ToolContext, _: &Value| Ok(json!("noon")))?;
//! // Stands in for a model: it calls the tool, and then answers.
//! let model = Scripted::new([Response::calling([Call::new("1", "now", json!({}))]), Response::saying("It is noon.")]);
//!
//! let agent = ToolLoopAgent::new(model).with_system("Be brief.").with_tools(tools)?;
//! let done = agent.generate(vec![Message::user("What time is it?")]).await?;
//! assert_eq!(done.text(), "It is noon.");
//! assert_eq!(done.tool_results().count(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Invariant:** one task drives a run, and nothing of it goes on when nobody wants it any more.

mod agent;
pub mod canned;
mod drive;
pub mod live;
pub mod network;
mod options;
pub mod run;
pub mod scripted;
pub mod stream;
mod tools;

pub use agent::{STEPS, ToolLoopAgent};
pub use options::{Finish, Options, SPAN, Telemetry, TelemetryEvent};
pub use run::{GenerateError, Generated, generate};
pub use stream::{StreamEvent, Streaming, stream};
pub use tools::{ToolEvent, ToolResolver};

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};

use crate::think::chat::{
    Assembler, ErrorKind, ModelDelta, ModelError, ModelRef, ModelRequest, Response,
};

/// A future of any kind.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A stream of any kind.
pub type BoxStream<'a, T> = Pin<Box<dyn Stream<Item = T> + Send + 'a>>;

/// The pieces of an answer, as they come.
pub type Deltas = BoxStream<'static, Result<ModelDelta, ModelError>>;

/// A model that answers.
pub trait LanguageModel: Send + Sync {
    /// What it is called.
    fn reference(&self) -> ModelRef;

    /// Asks it, and gives the pieces of its answer as they come. Whoever drops them wants no more.
    fn stream(&self, request: ModelRequest) -> BoxFuture<'_, Result<Deltas, ModelError>>;

    /// Asks it, and waits for the whole answer. Unless the provider has another way, the pieces are put
    /// together.
    fn generate(&self, request: ModelRequest) -> BoxFuture<'_, Result<Response, ModelError>> {
        Box::pin(async move {
            let mut deltas = self.stream(request).await?;
            let mut assembler = Assembler::default();
            while let Some(delta) = deltas.next().await {
                assembler.take(&delta?)?;
            }
            if !assembler.is_finished() {
                return Err(ModelError::new(ErrorKind::CutOff, "the model's answer was cut off"));
            }
            assembler.end("call")
        })
    }
}

/// A model that several share is one.
impl<M: LanguageModel + ?Sized> LanguageModel for Arc<M> {
    fn reference(&self) -> ModelRef {
        (**self).reference()
    }

    fn stream(&self, request: ModelRequest) -> BoxFuture<'_, Result<Deltas, ModelError>> {
        (**self).stream(request)
    }

    fn generate(&self, request: ModelRequest) -> BoxFuture<'_, Result<Response, ModelError>> {
        (**self).generate(request)
    }
}
