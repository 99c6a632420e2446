//! What a loop of model and tools may do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::stop::StopCondition;
use crate::think::chat::{Declaration, Message, ModelRef, Params, ResponseFormat, ToolChoice};
use crate::tool::{Json, ToolSpec, WrongTool, schema_of};

/// Steps of a run at most, where nothing else is said.
pub const MAX_STEPS: u32 = 8;

/// What is the same for all steps of a run, and for all runs of an agent.
#[derive(Clone, Debug)]
pub struct LoopOptions {
    /// The model.
    pub model: ModelRef,
    /// What the model is to be: goes before the messages.
    pub system: Option<String>,
    /// The tools that are declared to it.
    pub tools: Vec<LoopTool>,
    /// Who runs calls; none: they are told and nothing more.
    pub resolver: Option<Resolver>,
    /// Whether the model may call tools.
    pub tool_choice: ToolChoice,
    /// Of the tools, those that are declared; none: all.
    pub active_tools: Option<Vec<String>>,
    /// How it is to answer.
    pub params: Params,
    /// What it is to answer, if not words.
    pub format: Option<ResponseFormat>,
    /// What only the provider knows.
    pub provider_options: BTreeMap<String, Json>,
    /// Steps at most; 0 is 1. A larger [`StopCondition::StepCountIs`] raises it.
    pub max_steps: u32,
    /// Any of these stops it.
    pub stop: Vec<StopCondition>,
    /// Whether [`Todo::Prepare`](super::Todo::Prepare) is asked before each step.
    pub prepares: bool,
    /// Whether [`Todo::Approve`](super::Todo::Approve) is asked before each call.
    pub approves: bool,
    /// Whether each step keeps its request: for people who look at it.
    pub keeps_requests: bool,
    /// What the run is for, as its owner says.
    pub function_id: Option<String>,
    /// What its owner wants to be told along.
    pub metadata: Option<Json>,
}

impl Default for LoopOptions {
    fn default() -> Self {
        Self {
            model: ModelRef::default(),
            system: None,
            tools: Vec::new(),
            resolver: None,
            tool_choice: ToolChoice::Auto,
            active_tools: None,
            params: Params::default(),
            format: None,
            provider_options: BTreeMap::new(),
            max_steps: MAX_STEPS,
            stop: Vec::new(),
            prepares: false,
            approves: false,
            keeps_requests: false,
            function_id: None,
            metadata: None,
        }
    }
}

impl LoopOptions {
    /// Steps at most: what a condition waits for is not cut short by a smaller bound.
    #[must_use]
    pub fn steps(&self) -> u32 {
        let waited = self.stop.iter().map(StopCondition::steps).max().unwrap_or_default();
        self.max_steps.max(1).max(waited)
    }

    pub(super) fn tool(&self, name: &str) -> Option<&LoopTool> {
        self.tools.iter().find(|tool| tool.declaration.name == name)
    }
}

/// Which calls are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolver {
    /// Those of declared tools, and of these.
    Known(BTreeSet<String>),
    /// All: whoever runs them says of a tool that is not there that it is not.
    All,
}

impl Resolver {
    pub(super) fn knows(&self, name: &str) -> bool {
        match self {
            Self::Known(names) => names.contains(name),
            Self::All => true,
        }
    }
}

/// A tool of a loop.
#[derive(Clone, Debug)]
pub struct LoopTool {
    /// As a model sees it.
    pub declaration: Declaration,
    /// Whether somebody has to approve of each call.
    pub needs_approval: bool,
    schema: Arc<jsonschema::Validator>,
}

impl LoopTool {
    /// A tool.
    ///
    /// # Errors
    /// Its parameters are not a JSON Schema.
    pub fn new(declaration: Declaration) -> Result<Self, WrongTool> {
        let schema = schema_of(&declaration.name, &declaration.parameters)?;
        Ok(Self { declaration, needs_approval: false, schema: Arc::new(schema) })
    }

    /// A tool of a registry.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of(spec: &ToolSpec) -> Result<Self, WrongTool> {
        Self::new(Declaration {
            name: spec.name.clone(),
            description: spec.description.clone(),
            parameters: spec.parameters.clone(),
        })
    }

    /// The same, with approval.
    #[must_use]
    pub const fn approved(mut self) -> Self {
        self.needs_approval = true;
        self
    }

    /// What is wrong with arguments.
    #[must_use]
    pub fn wrong(&self, arguments: &Json) -> Option<String> {
        let error = self.schema.validate(&arguments.0).err()?;
        let at = error.instance_path().to_string();
        Some(if at.is_empty() { error.to_string() } else { format!("at {at}: {error}") })
    }
}

/// What is different in one step. What is not set stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prepared {
    /// The model, for this step alone.
    pub model: Option<ModelRef>,
    /// Whether it may call tools, for this step alone.
    pub tool_choice: Option<ToolChoice>,
    /// The tools that are declared, for this step alone: unknown names are none, no names no tools.
    pub active_tools: Option<Vec<String>>,
    /// A system message before the others, for this step alone.
    pub system: Option<String>,
    /// The messages, for this step's request alone: the history stays as it is.
    pub messages: Option<Vec<Message>>,
    /// The context, from now on: a map.
    pub context: Option<Json>,
    /// Over those of the options, map by map.
    pub provider_options: BTreeMap<String, Json>,
}

/// What somebody says of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Approval {
    /// It may be made, with these arguments.
    Approve(Json),
    /// It may be made, with these arguments instead.
    Modify(Json),
    /// It may not.
    Deny {
        /// Why, for the model to read.
        reason: Option<String>,
    },
}
