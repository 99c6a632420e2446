//! A model with its tools and rules, to be used again and again.

use std::fmt;
use std::sync::Arc;

use super::options::Options;
use super::run::{GenerateError, Generated, generate};
use super::stream::{Streaming, stream};
use super::{LanguageModel, ToolResolver};
use crate::think::chat::Message;
use crate::think::tool_loop::{LoopTool, StopCondition};
use crate::tool::{Registry, WrongTool};

/// Steps after which an agent stops that was given no condition.
pub const STEPS: u32 = 20;

/// An agent. Its runs share nothing but what it is made of; clones are cheap.
#[derive(Clone)]
pub struct ToolLoopAgent {
    id: Option<String>,
    model: Arc<dyn LanguageModel>,
    tools: Option<Arc<dyn ToolResolver>>,
    options: Options,
}

impl fmt::Debug for ToolLoopAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolLoopAgent")
            .field("id", &self.id)
            .field("model", &self.model.reference())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl ToolLoopAgent {
    /// An agent without tools, which stops after [`STEPS`] steps.
    pub fn new(model: impl LanguageModel + 'static) -> Self {
        let mut options = Options::default();
        options.rules.stop = vec![StopCondition::StepCountIs(STEPS)];
        Self { id: None, model: Arc::new(model), tools: None, options }
    }

    /// What it is called.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// What the model is to be: before the messages of each run.
    #[must_use]
    pub fn with_system(mut self, system: impl Into<String>) -> Self {
        self.options.rules.system = Some(system.into());
        self
    }

    /// Tools of a registry, all of them declared.
    ///
    /// # Errors
    /// The parameters of one are not a JSON Schema.
    pub fn with_tools(self, tools: Registry) -> Result<Self, WrongTool> {
        let declared = tools.specs().map(LoopTool::of).collect::<Result<_, _>>()?;
        Ok(self.with_resolver(declared, tools))
    }

    /// Tools, and who runs them.
    #[must_use]
    pub fn with_resolver(
        mut self,
        declared: Vec<LoopTool>,
        tools: impl ToolResolver + 'static,
    ) -> Self {
        self.options.rules.tools = declared;
        self.tools = Some(Arc::new(tools));
        self
    }

    /// When it stops, instead of the default.
    #[must_use]
    pub fn with_stop(mut self, stop: impl IntoIterator<Item = StopCondition>) -> Self {
        self.options.rules.stop = stop.into_iter().collect();
        self
    }

    /// The same with other options. Callbacks and rules, its system and tools included, are those of
    /// `change`.
    #[must_use]
    pub fn with_options(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// What it is called, if it is called something.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Answers.
    ///
    /// # Errors
    /// The model does not answer, or the messages cannot be gone on from.
    pub async fn generate(&self, messages: Vec<Message>) -> Result<Generated, GenerateError> {
        generate(&*self.model, messages, self.tools.as_deref(), &self.options).await
    }

    /// Answers, and tells each piece as it comes.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn stream(&self, messages: Vec<Message>) -> Streaming {
        let (model, tools) = (Arc::clone(&self.model), self.tools.clone());
        stream(model, messages, tools, self.options.clone())
    }
}
