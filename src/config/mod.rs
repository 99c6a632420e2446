//! The configuration of a session: plain structs, read strictly from YAML.
//!
//! ```text
//! bytes ─ yaml, growth ─▶ tree with positions ─ schema, wording, choice ─▶ sound value
//!                                                                              │ serde
//!              Config, or all Complaints ◀─ check, script ─────────────── Config
//! ```
//!
//! Scenarios, what a caller does and what is expected then, go the same way: [`scenario`]. What is common to both kinds is
//! in `document`.
//!
//! The structs are the one description: their doc comments and ranges become the schema, the schema
//! checks the file and is printed by `antiphon schema`. What is wrong with a file is told at once,
//! each [`Complaint`] with line, column and what to do. A consequence of a mistake that was told
//! already is not told again.
//!
//! **Invariant:** nothing here opens a file. A [`Config`] that [`parse`] returns is consistent:
//! every name is declared, every template can be filled, every pattern compiles, every range holds.
//! Written by serde and parsed again it is the same.

mod advice;
mod agents;
mod audio;
mod check;
mod choice;
mod clashes;
mod complaint;
#[cfg(test)]
mod complete;
mod constants;
mod conversation;
mod document;
mod epoch;
mod facts;
mod growth;
mod journals;
mod livekit;
mod models;
mod natives;
mod outside;
pub mod scenario;
mod schema;
mod script;
mod servers;
mod slip;
mod speech;
#[cfg(test)]
mod tests;
mod tools;
mod topology;
mod transitions;
mod turn;
mod ways;
mod wording;
mod yaml;

use std::collections::BTreeMap;
use std::io::{self, Read};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::agents::{
    Agent, Choice as Calls, Echo, Intent, Invocation, Native, Scripted, Slot, Thinker,
    TurnDetection,
};
pub use self::audio::{Audio, Voice};
pub use self::complaint::{COMPLAINTS_MAX, Complaint, Complaints};
pub use self::conversation::{UnknownConversation, named};
pub use self::epoch::{Epoch, EpochError};
pub use self::journals::{JournalMode, Journals};
pub use self::livekit::{JobKind, Livekit, Publish};
pub use self::models::{Model, Provider, Reply};
pub use self::schema::{is_identifier, is_name, schema};
pub use self::script::{PATTERN_SIZE_MAX, compile as compile_pattern};
pub use self::servers::McpServer;
pub use self::speech::{Recogniser, RecogniserEngine, Speech, Synthesiser, SynthesiserEngine};
pub use self::tools::{
    Canned, Data, Delivery, HttpTool, McpTool, Method, OnBargeIn, ProcessTool, Rpc, Run, Tool,
};
pub use self::topology::{Links, links};
pub use self::transitions::{
    Carry, Decision, Event, Operator, Results, ToolResult, Transition, Turns, TurnsOf, UserInput,
    When,
};
pub use self::turn::Turn;
pub use self::yaml::{DEPTH_MAX, NODES_MAX, SIZE_MAX};

use self::schema::{CONFIG_NAME, IDENTIFIER};

/// Everything that a session is configured with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Antiphon configuration")]
pub struct Config {
    /// The name of this configuration: 1 to 64 of a to z, 0 to 9, `_` and `-`.
    #[schemars(regex(pattern = CONFIG_NAME))]
    pub name: String,
    /// What it is for. Default empty.
    #[serde(default)]
    #[schemars(length(max = 4000))]
    pub description: String,
    /// From where all randomness and all ids of a session come: 0 to 2^64-1. Default 0.
    #[serde(default)]
    #[schemars(range(max = u64::MAX))]
    pub seed: u64,
    /// The wall time of tick 0, in UTC. Default 1970-01-01T00:00:00Z.
    #[serde(default)]
    pub epoch: Epoch,
    /// The tick and the sample rate.
    #[serde(default)]
    pub audio: Audio,
    /// Voice detection.
    #[serde(default)]
    pub voice: Voice,
    /// Turn taking.
    #[serde(default)]
    pub turn: Turn,
    /// The recogniser and the synthesiser.
    #[serde(default)]
    pub speech: Speech,
    /// The agent that a call starts with. Required if there are several agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Bounds of a call.
    #[serde(default)]
    pub call: Call,
    /// What is written down of a call, so that it can be read and replayed. Default full.
    #[serde(default)]
    pub journal: JournalMode,
    /// Where journals are kept, and how long.
    #[serde(default)]
    pub journals: Journals,
    /// What the agent is in a LiveKit room. No effect outside of one.
    #[serde(default)]
    pub livekit: Livekit,
    /// Clips that the tools `play_clip` and `hold` play, from name to the path of a WAV file, relative to
    /// this file. Default none.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": IDENTIFIER}, "maxProperties" = 200), inner(length(min = 1, max = 1000)))]
    pub clips: BTreeMap<String, String>,
    /// The tools by name, besides those that are built in. Default none.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": IDENTIFIER}, "maxProperties" = 1000))]
    pub tools: BTreeMap<String, Tool>,
    /// The MCP servers by name, whose tools become tools of this configuration when a session begins. Default
    /// none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": IDENTIFIER}, "maxProperties" = 50))]
    pub mcp_servers: BTreeMap<String, McpServer>,
    /// The models by name: of agents, and of `speech`. Default none.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": IDENTIFIER}, "maxProperties" = 200))]
    pub models: BTreeMap<String, Model>,
    /// The agents by name; at least one.
    #[schemars(extend("propertyNames" = {"pattern": IDENTIFIER}, "minProperties" = 1, "maxProperties" = 10_000))]
    pub agents: BTreeMap<String, Agent>,
    /// The slots that phrases refer to, by name. Default none.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": IDENTIFIER}, "maxProperties" = 1000))]
    pub slots: BTreeMap<String, Slot>,
    /// Conversations by name: of each an agent that begins, and the agents that take part. Default none:
    /// all agents are of one conversation.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": CONFIG_NAME}, "maxProperties" = 200))]
    pub conversations: BTreeMap<String, Conversation>,
    /// The conversation that a session holds, unless its room or its dispatch picks another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Links between agents, by which they hand over and call each other by their own decision: a map of
    /// `links` such as `a -> b`, or one of the usual patterns. See the documentation of topologies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Map<String, Value>")]
    pub topology: Option<Value>,
    /// Limits of what agents do, such as `timeout(300)`, `max_steps(100)`, `max_turns(a <-> b, 10)` or
    /// `agent_timeout(a: 20, default: 30)`; times are in seconds. Default none.
    #[serde(default)]
    #[schemars(length(max = 1000), inner(length(min = 1, max = 1000)))]
    pub policies: Vec<String>,
    /// The ways from agent to agent. Default none.
    #[serde(default)]
    #[schemars(length(max = 100_000))]
    pub transitions: Vec<Transition>,
}

impl Config {
    /// The configuration as JSON, as a journal holds it.
    ///
    /// # Panics
    /// Never: a configuration is plain data.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a configuration is plain data")
    }

    /// The name of the agent that a call starts with: `start`, or the only one.
    #[must_use]
    pub fn start_agent(&self) -> &str {
        if let Some(picked) = self.picked() {
            return &picked.start;
        }
        let only = || self.agents.keys().next().map_or("", String::as_str);
        self.start.as_deref().unwrap_or_else(only)
    }
}

/// Agents that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    /// What it is for. Default empty.
    #[serde(default)]
    #[schemars(length(max = 4000))]
    pub description: String,
    /// The agent that it begins with: one of `agents`.
    pub start: String,
    /// The agents that take part. Transitions and links between others are not there.
    #[schemars(length(min = 1, max = 10_000))]
    pub agents: Vec<String>,
    /// The rooms in which it is held, by name; `*` stands for any characters. Default none.
    #[serde(default)]
    #[schemars(length(max = 100), inner(length(min = 1, max = 200)))]
    pub rooms: Vec<String>,
}

/// Bounds of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Call {
    /// Longest call in milliseconds: 0 to 86400000, a day. Default 0: no limit.
    #[schemars(range(min = 0, max = 86_400_000))]
    pub max_ms: u32,
    /// So many hand-overs may follow one utterance of the caller: 0 to 100. Default 4. Further ones
    /// are refused, so that agents cannot hand a caller round in circles.
    #[schemars(range(min = 0, max = 100))]
    pub max_moves_per_turn: u32,
    /// The call ends so long after the last participant has left, if nobody came in the meantime, in
    /// milliseconds: 0 to 3600000. Default 10000, so that one who has lost the connection can come
    /// back. 0: never.
    #[schemars(range(min = 0, max = 3_600_000))]
    pub alone_ms: u32,
    /// The call ends when neither side was heard for so long, in milliseconds: 0 to 3600000, above
    /// `turn.end_silence_max_ms`. Default 0: never.
    #[schemars(range(min = 0, max = 3_600_000))]
    pub silence_ms: u32,
    /// The call ends after so many idle prompts, each after `turn.away_ms` without a sound, that the
    /// user does not answer: 0 to 100. Default 0: one prompt, and then nothing.
    #[schemars(range(min = 0, max = 100))]
    pub max_idle_prompts: u32,
    /// What the agent says when the call has to end for a reason that is not the conversation's: the program is being
    /// stopped. At most 200 characters, and nobody interrupts it. Empty: nothing. Default "I have to end this call now. Goodbye."
    #[schemars(length(max = 200))]
    pub goodbye: String,
}

impl Default for Call {
    fn default() -> Self {
        Self {
            max_ms: 0,
            max_moves_per_turn: 4,
            alone_ms: 10_000,
            silence_ms: 0,
            max_idle_prompts: 0,
            goodbye: "I have to end this call now. Goodbye.".into(),
        }
    }
}

/// Reads a configuration from what an edge has opened: at most [`SIZE_MAX`] bytes of it. A file
/// that cannot be opened is a complaint as well, so an edge calls `config::read(File::open(path),
/// &path.display().to_string())`.
///
/// # Errors
/// If it cannot be read, or for everything that [`parse`] complains about.
pub fn read(source: io::Result<impl Read>, file_name: &str) -> Result<Config, Complaints> {
    document::read(source, file_name)
}

/// What is allowed and yet hardly meant in a configuration: agents that nobody reaches, transitions that
/// never fire, facts that nobody sets. `file_name` is what the advice calls it.
///
/// # Errors
/// All that is wrong with it, as [`parse`] tells it.
pub fn advise(text: &[u8], file_name: &str) -> Result<Complaints, Complaints> {
    let (config, tree) = document::parse_with_tree::<Config>(text, file_name)?;
    Ok(Complaints::about(file_name, advice::advise(&config, &tree)))
}

/// The same advice about a configuration that was not read from a file: without lines and columns.
#[must_use]
pub fn look_over(config: &Config) -> Complaints {
    Complaints::about("", advice::advise(config, &yaml::Node::empty()))
}

/// Reads a configuration from YAML text; `file_name` is what complaints call it.
///
/// # Errors
/// All that is wrong with it, at once and in the order of the file.
pub fn parse(text: &[u8], file_name: &str) -> Result<Config, Complaints> {
    document::parse(text, file_name)
}
