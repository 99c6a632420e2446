//! What a model is asked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::message::Message;
use crate::tool::Json;

/// A model, as its provider names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRef {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
}

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelRequest {
    /// The model.
    pub model: ModelRef,
    /// The conversation.
    pub messages: Vec<Message>,
    /// The tools that it may call.
    pub tools: Vec<Declaration>,
    /// Whether it may, or must.
    pub tool_choice: ToolChoice,
    /// How it is to answer.
    pub params: Params,
    /// What it is to answer, if not words.
    pub format: Option<ResponseFormat>,
    /// What only this provider knows, by name.
    pub provider_options: BTreeMap<String, Json>,
}

/// A tool, as a model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Declaration {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Json,
}

/// Whether a model may call tools.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// It must call one.
    Required,
    /// It must not.
    None,
    /// It must call this one.
    Specific {
        /// The tool.
        tool_name: String,
    },
}

/// How a model is to answer. What is not set is the provider's to choose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// How much chance there is, 0 to 2.
    pub temperature: Option<f32>,
    /// The longest answer, in tokens.
    pub max_tokens: Option<u32>,
    /// The share of likely words that are considered, 0 to 1.
    pub top_p: Option<f32>,
    /// The seed of chance.
    pub seed: Option<u64>,
    /// An answer ends where one of these comes.
    pub stop: Vec<String>,
}

/// JSON that fits a schema, instead of words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResponseFormat {
    /// What it is called.
    pub name: String,
    /// The schema.
    pub schema: Json,
}
