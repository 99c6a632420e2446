//! Agents, what they understand, and how a call passes from one to the next.
//!
//! An agent listens for intents. An intent is recognised by phrases (for the recogniser and for
//! typed text) or by patterns (for text only), and answers with words, a tool call, facts, or the
//! end of the call. Transitions lead from agent to agent.
//!
//! Intents are a list whose items carry their name, not a map: their order decides ties, and a list
//! keeps its order through every reader and writer of YAML and JSON, where a map may be sorted on
//! the way.
//!
//! **Invariant:** every name used here is declared, and every template's placeholder can be filled,
//! once [`parse`](super::parse) has accepted the file.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::schema::IDENTIFIER;

/// One party to a call.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schemars(transform = kind_is_scripted_by_default)]
pub enum Agent {
    /// Answers from its intents. The default `kind`.
    Scripted(Scripted),
    /// Answers as a model does, which may call tools.
    Model(Thinker),
    /// Hears and speaks as a model does that takes audio and gives audio.
    Native(Native),
    /// Says back what it hears.
    Echo(Echo),
}

/// An agent without `kind` is scripted: most are.
impl<'de> Deserialize<'de> for Agent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let kind = fields.remove("kind").unwrap_or("scripted".into());
        let fields = Value::Object(fields);
        match kind.as_str() {
            Some("scripted") => serde_json::from_value(fields).map(Agent::Scripted),
            Some("model") => serde_json::from_value(fields).map(Agent::Model),
            Some("native") => serde_json::from_value(fields).map(Agent::Native),
            Some("echo") => serde_json::from_value(fields).map(Agent::Echo),
            _ => {
                let known = &["scripted", "model", "native", "echo"];
                return Err(D::Error::unknown_variant(&kind.to_string(), known));
            }
        }
        .map_err(D::Error::custom)
    }
}

fn kind_is_scripted_by_default(schema: &mut Schema) {
    let scripted = schema.pointer_mut("/oneOf/0/required").and_then(Value::as_array_mut);
    if let Some(required) = scripted {
        required.retain(|key| key != "kind");
    }
    if let Some(kind) =
        schema.pointer_mut("/oneOf/0/properties/kind").and_then(Value::as_object_mut)
    {
        kind.insert("default".into(), "scripted".into());
    }
}

/// The type of an agent that has no other.
const GENERAL: &str = "general";

impl Agent {
    /// What kind of agent it is, for business rules.
    #[must_use]
    pub fn agent_type(&self) -> &str {
        match self {
            Self::Scripted(scripted) => &scripted.agent_type,
            Self::Model(thinker) => &thinker.agent_type,
            Self::Native(native) => &native.agent_type,
            Self::Echo(_) => GENERAL,
        }
    }

    /// What it is for.
    #[must_use]
    pub fn description(&self) -> &str {
        match self {
            Self::Scripted(scripted) => &scripted.description,
            Self::Model(thinker) => &thinker.description,
            Self::Native(native) => &native.description,
            Self::Echo(echo) => &echo.description,
        }
    }

    /// Another name for it, in business rules.
    #[must_use]
    pub const fn id(&self) -> Option<u32> {
        match self {
            Self::Scripted(scripted) => scripted.id,
            Self::Model(thinker) => thinker.id,
            Self::Native(native) => native.id,
            Self::Echo(_) => None,
        }
    }

    /// The tools that it may call.
    #[must_use]
    pub fn tools(&self) -> &[String] {
        match self {
            Self::Scripted(scripted) => &scripted.tools,
            Self::Model(thinker) => &thinker.tools,
            Self::Native(native) => &native.tools,
            Self::Echo(_) => &[],
        }
    }
}

/// An agent whose answers are a model's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Thinker {
    /// What this agent is for. Default empty.
    #[serde(default)]
    #[schemars(length(max = 4000))]
    pub description: String,
    /// What kind of agent it is, for business rules. Default `general`.
    #[serde(rename = "type", default = "general")]
    #[schemars(length(min = 1, max = 64))]
    pub agent_type: String,
    /// Another name for it, in business rules: 0 to 1000000000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub id: Option<u32>,
    /// Its voice, instead of `speech.synthesiser.voice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub voice: Option<String>,
    /// The model, one of `models`.
    #[schemars(length(min = 1, max = 64))]
    pub model: String,
    /// What the model is told to be and to do. A template of facts. Default empty.
    #[serde(default)]
    #[schemars(length(max = 20_000))]
    pub instructions: String,
    /// Said when the call starts with this agent. A template of facts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub greeting: Option<String>,
    /// Said when a hand-over arrives here. A template of facts. Without it, the model answers what was said
    /// last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub arrival: Option<String>,
    /// Said when the caller is away. A template of facts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub idle: Option<String>,
    /// The tools it may call. Default none.
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true), length(max = 200))]
    pub tools: Vec<String>,
    /// Whether it may call tools, or has to in its first step. Default `auto`.
    #[serde(default)]
    pub tool_choice: Choice,
    /// Tools after whose results the model is not asked again in this turn. Default none.
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true), length(max = 200))]
    pub stop_after: Vec<String>,
    /// How often the model is asked in a turn at most: 1 to 100. Default 8.
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 100))]
    pub max_steps: u32,
    /// Whether the model is asked as soon as there are words, before it is known that the user has
    /// finished. What it says is not heard before; if the user goes on, it is thrown away. Default false.
    #[serde(default)]
    pub preemptive: bool,
}

/// An agent whose model takes audio and gives audio: no recogniser stands before it, and no synthesiser behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Native {
    /// What this agent is for. Default empty.
    #[serde(default)]
    #[schemars(length(max = 4000))]
    pub description: String,
    /// What kind of agent it is, for business rules. Default `general`.
    #[serde(rename = "type", default = "general")]
    #[schemars(length(min = 1, max = 64))]
    pub agent_type: String,
    /// Another name for it, in business rules: 0 to 1000000000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub id: Option<u32>,
    /// Its voice, as the provider calls it. Default `marin`.
    #[serde(default = "marin")]
    #[schemars(length(min = 1, max = 64))]
    pub voice: String,
    /// How fast it speaks: 0.25 to 1.5. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0.25, max = 1.5))]
    pub speed: f32,
    /// The model, one of `models`.
    #[schemars(length(min = 1, max = 64))]
    pub model: String,
    /// What the model is told to be and to do. A template of facts. Default empty.
    #[serde(default)]
    #[schemars(length(max = 20_000))]
    pub instructions: String,
    /// What the model is asked to say when the call starts with this agent. A template of facts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub greeting: Option<String>,
    /// What it is asked to say when a hand-over arrives here. A template of facts. Without it, the model answers what was
    /// said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub arrival: Option<String>,
    /// What it is asked to say when the caller is away. A template of facts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub idle: Option<String>,
    /// The tools it may call. Default none.
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true), length(max = 200))]
    pub tools: Vec<String>,
    /// Whether it may call tools, or has to. Default `auto`.
    #[serde(default)]
    pub tool_choice: Choice,
    /// Who finds out when the caller begins and ends. Default `own`.
    #[serde(default)]
    pub turn_detection: TurnDetection,
    /// The provider's model that writes down what the caller says. Empty: nobody does, so that it is in no transcript,
    /// and not known after a hand-over or in another session. Default `gpt-4o-mini-transcribe`.
    #[serde(default = "transcriber")]
    #[schemars(length(max = 200))]
    pub transcription: String,
}

/// Who finds out when the caller of an audio-native agent begins and ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TurnDetection {
    /// The gateway, by `voice` and `turn`, as for all other agents.
    #[default]
    Own,
    /// The provider, by how loud it is; it answers, and interrupts, by itself.
    Server,
    /// The provider, by what is said; it answers, and interrupts, by itself.
    Semantic,
}

fn marin() -> String {
    "marin".to_owned()
}

const fn one() -> f32 {
    1.0
}

fn transcriber() -> String {
    "gpt-4o-mini-transcribe".to_owned()
}

/// Whether a model may call tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// As it likes.
    #[default]
    Auto,
    /// It has to call one in its first step.
    Required,
    /// It must not.
    None,
}

fn general() -> String {
    GENERAL.to_owned()
}

const fn eight() -> u32 {
    8
}

/// An agent that says back what it hears.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Echo {
    /// What this agent is for. Default empty.
    #[schemars(length(max = 4000))]
    pub description: String,
    /// How much later the echo is heard, in milliseconds: 0 to 5000. Default 0, the next tick.
    #[schemars(range(min = 0, max = 5_000))]
    pub delay_ms: u32,
}

/// An agent that answers from its intents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Scripted {
    /// What this agent is for. Default empty.
    #[schemars(length(max = 4000))]
    pub description: String,
    /// What kind of agent it is, for business rules. Default `general`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 64))]
    pub agent_type: String,
    /// Another name for it, in business rules: 0 to 1000000000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub id: Option<u32>,
    /// Its voice, instead of `speech.synthesiser.voice`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub voice: Option<String>,
    /// Said when the call starts with this agent. A template of facts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub greeting: Option<String>,
    /// Said when a hand-over arrives here. A template of facts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub arrival: Option<String>,
    /// Said when no intent matches. A template of facts. Default "Sorry, I did not understand
    /// that."
    #[schemars(length(min = 1, max = 4000))]
    pub fallback: String,
    /// Said when the caller is away. A template of facts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub idle: Option<String>,
    /// The tools it may call. Default none.
    #[schemars(extend("uniqueItems" = true), length(max = 200))]
    pub tools: Vec<String>,
    /// What it understands. The best match wins; among equals the one listed first. Default none.
    #[schemars(length(max = 200))]
    pub intents: Vec<Intent>,
}

impl Default for Scripted {
    fn default() -> Self {
        Self {
            description: String::new(),
            agent_type: GENERAL.into(),
            id: None,
            voice: None,
            greeting: None,
            arrival: None,
            fallback: "Sorry, I did not understand that.".into(),
            idle: None,
            tools: Vec::new(),
            intents: Vec::new(),
        }
    }
}

/// Something a caller may want, and what is done about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// Its name, unique within the agent: letters, digits and `_`.
    #[schemars(regex(pattern = IDENTIFIER))]
    pub name: String,
    /// How callers say it. `{slot}` stands for the words of a slot. Phrases or patterns are
    /// required.
    #[serde(default)]
    #[schemars(length(max = 200), inner(length(min = 1, max = 400)))]
    pub phrases: Vec<String>,
    /// Regular expressions over the text, in the syntax of the `regex` crate. A named group is a
    /// placeholder. At most 1 MiB when compiled.
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(min = 1, max = 1000)))]
    pub patterns: Vec<String>,
    /// Said at once. A template of slots, groups and facts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub say: Option<String>,
    /// A tool to call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Invocation>,
    /// Said with the result of `call`. A template that may also name `{result}` or
    /// `{result.key.path}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub then: Option<String>,
    /// Said if `call` fails. A template that may also name `{error}`. Without it, `speech.apology`
    /// is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub failed: Option<String>,
    /// Facts to remember, from name to template; `{fact.name}` recalls one. A template that names
    /// `result` is filled when the result is there, the others at once. Default none.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": IDENTIFIER}, "maxProperties" = 50))]
    pub set: BTreeMap<String, String>,
    /// Whether the call ends after what is said has been played. Default false.
    #[serde(default)]
    pub end_call: bool,
}

/// A call of a tool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Invocation {
    /// Which tool; the agent must list it in its `tools`.
    pub tool: String,
    /// Its arguments. Every text in them is a template of slots, groups and facts. Default none.
    #[serde(default)]
    pub with: BTreeMap<String, Value>,
}

/// What words may stand at a `{slot}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Slot {
    /// One or more digits, spoken or typed.
    Digits,
    /// One of the listed values.
    OneOf {
        /// The words to choose from.
        #[schemars(length(min = 1, max = 1000), inner(length(min = 1, max = 200)))]
        values: Vec<String>,
    },
    /// Any words. Matched in typed text and by patterns only: a recogniser cannot expect
    /// everything.
    Any,
}
