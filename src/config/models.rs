//! Models: who answers for an agent, hears for it or speaks for it, outside of this process.
//!
//! **Invariant:** no key stands here, only the name of the environment variable that holds it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agents::{Invocation, Thinker};
use super::check::Report;
use super::complaint::excerpt;
use super::schema::IDENTIFIER;
use super::script::{self, Sources};
use super::speech::Synthesiser;
use super::{Config, RecogniserEngine, SynthesiserEngine};
use crate::graph::verb::Verb;

/// A model, and how it is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// Who runs it. Default `openai`.
    pub provider: Provider,
    /// For `openai`: where its API begins. Default `https://api.openai.com/v1`.
    #[schemars(length(min = 1, max = 1000))]
    pub base_url: String,
    /// For `openai`: the environment variable with the key. Without it no key is sent, which suits servers
    /// of one's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = IDENTIFIER))]
    pub api_key_env: Option<String>,
    /// For `openai`: the model, as the provider calls it. Required there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub model: Option<String>,
    /// For `openai`: further headers of each request. `${NAME}` in a value is filled in from the
    /// environment. Default none.
    #[schemars(extend("maxProperties" = 50), inner(length(max = 4000)))]
    pub headers: BTreeMap<String, String>,
    /// How long a connection may take, in milliseconds: 1 to 60000. Default 3000.
    #[schemars(range(min = 1, max = 60_000))]
    pub connect_timeout_ms: u32,
    /// How long the first piece of an answer is waited for, in milliseconds: 1 to 600000. Default 8000.
    /// After that the next attempt or the next of `fallbacks` has its turn.
    #[schemars(range(min = 1, max = 600_000))]
    pub first_timeout_ms: u32,
    /// How long every further piece is waited for, in milliseconds: 1 to 600000. Default 5000.
    #[schemars(range(min = 1, max = 600_000))]
    pub stall_timeout_ms: u32,
    /// How often a request is made again that failed before anything of its answer had come: 0 to 10.
    /// Default 1.
    #[schemars(range(min = 0, max = 10))]
    pub retries: u32,
    /// The models that are asked when this one fails, in order. Default none.
    #[schemars(extend("uniqueItems" = true), length(max = 10))]
    pub fallbacks: Vec<String>,
    /// How long a session waits for the next piece of an answer from whichever model, in milliseconds: 1
    /// to 600000. Default 20000.
    #[schemars(range(min = 1, max = 600_000))]
    pub timeout_ms: u32,
    /// Time to the first piece of an answer in virtual time, in milliseconds: 0 to 60000. Default 300.
    #[schemars(range(min = 0, max = 60_000))]
    pub latency_ms: u32,
    /// How much chance there is in an answer: 0 to 2. Without it, the provider's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 2.0))]
    pub temperature: Option<f32>,
    /// The longest answer, in tokens: 1 to 1000000. Without it, the provider's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_tokens: Option<u32>,
    /// The share of likely words that are considered: 0 to 1. Without it, the provider's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub top_p: Option<f32>,
    /// The seed of the answer's chance: 0 to 2^64-1. Without it, the provider's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = u64::MAX))]
    pub seed: Option<u64>,
    /// For `canned`: what it answers. The first that fits is taken; where none fits, the model fails.
    /// Default none.
    #[schemars(length(max = 1000))]
    pub replies: Vec<Reply>,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            provider: Provider::Openai,
            base_url: "https://api.openai.com/v1".into(),
            api_key_env: None,
            model: None,
            headers: BTreeMap::new(),
            connect_timeout_ms: 3_000,
            first_timeout_ms: 8_000,
            stall_timeout_ms: 5_000,
            retries: 1,
            fallbacks: Vec::new(),
            timeout_ms: 20_000,
            latency_ms: 300,
            temperature: None,
            max_tokens: None,
            top_p: None,
            seed: None,
            replies: Vec::new(),
        }
    }
}

/// Who runs a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// A server that speaks OpenAI's protocol: its own, or one of many others.
    #[default]
    Openai,
    /// Nobody: it answers from its `replies`, for demonstrations and tests.
    Canned,
}

/// What a canned model answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reply {
    /// Words that the user's last message has to have in it, in whatever case. Without it, any do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub hears: Option<String>,
    /// The tool whose result has to be what came last. Without it, something that the user has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub after: Option<String>,
    /// The words of the answer. After a tool, `{result}` and `{result.key}` are filled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub say: Option<String>,
    /// A tool that is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<Invocation>,
    /// It fails instead, with this message, after its words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub fails: Option<String>,
}

/// Checks the models.
pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    speech(config, report);
    for (name, model) in &config.models {
        let at = |key| ["models", name.as_str(), key];
        match model.provider {
            Provider::Openai if model.model.is_none() => {
                let what = format!("`{name}` does not say which model of its provider it is");
                report.tell(&["models", name], what, "add `model`, as the provider calls it");
            }
            Provider::Openai if !model.replies.is_empty() => {
                let what = "only a canned model has `replies`";
                report.tell(&at("replies"), what, "write `provider: canned`, or remove them");
            }
            Provider::Canned if model.replies.is_empty() => {
                let what = format!("`{name}` is canned and has no `replies`: it would always fail");
                report.tell(
                    &["models", name],
                    what,
                    "add what it answers, as in `replies: [{say: Hello.}]`",
                );
            }
            Provider::Openai | Provider::Canned => {}
        }
        let url = &model.base_url;
        if !(url.starts_with("https://") || url.starts_with("http://")) {
            let what = format!("`{}` is not the address of a server", excerpt(url));
            report.tell(&at("base_url"), what, "write it with `https://` or `http://`");
        }
        for (index, fallback) in model.fallbacks.iter().enumerate() {
            let index = index.to_string();
            let place = ["models", name, "fallbacks", &index];
            if fallback == name {
                let what = format!("`{name}` falls back to itself");
                report.tell(&place, what, "name another model, or write `retries`");
            } else if !config.models.contains_key(fallback) {
                report.unknown(&place, "model", fallback, config.models.keys(), &["models"]);
            }
        }
        for (index, reply) in model.replies.iter().enumerate() {
            let index = index.to_string();
            let place = ["models", name, "replies", &index];
            if let Some((what, remedy)) = nothing(reply) {
                report.tell(&place, what, remedy);
            }
            // What a model calls may be wrong on purpose; what it waits for would never come.
            let after = reply.after.as_ref();
            let is_known =
                |tool: &&String| config.tools.contains_key(*tool) || Verb::of(tool).is_some();
            if let Some(tool) = after.filter(|tool| !is_known(tool)) {
                let place = [&place[..], &["after"]].concat();
                report.unknown(&place, "tool", tool, config.tools.keys(), &["tools"]);
            }
            if let Some(say) = &reply.say {
                let sources = Sources::nothing("`say` of a model");
                let sources = if reply.after.is_some() { sources.with_result() } else { sources };
                script::template(&[&place[..], &["say"]].concat(), say, &sources, report);
            }
        }
    }
}

/// Checks that models stand where engines are models, and nowhere else.
fn speech(config: &Config, report: &mut Report<'_>) {
    let (ear, mouth) = (&config.speech.recogniser, &config.speech.synthesiser);
    let engines = [
        ("recogniser", ear.engine == RecogniserEngine::Model, &ear.model),
        ("synthesiser", mouth.engine == SynthesiserEngine::Model, &mouth.model),
    ];
    for (engine, is_model, named) in engines {
        let place = ["speech", engine, "model"];
        match named {
            None if is_model => {
                let what = format!("the {engine} is a model, and it is not said which");
                report.tell(&["speech", engine], what, "add `model`, one of `models`");
            }
            Some(name) => match config.models.get(name) {
                None => report.unknown(&place, "model", name, config.models.keys(), &["models"]),
                Some(model) if is_model && model.provider == Provider::Canned => {
                    let what = format!("`{name}` is canned: it neither hears nor speaks");
                    report.tell(&place, what, "name a model of a provider");
                }
                Some(_) => {}
            },
            None => {}
        }
    }
    if mouth.engine == SynthesiserEngine::Model && mouth.voice == Synthesiser::default().voice {
        let what = format!("`{}` is a voice of flite's", mouth.voice);
        let remedy = "write one of the model's, as in `voice: alloy`";
        report.tell(&["speech", "synthesiser"], what, remedy);
    }
}

/// What is wrong with a reply of nothing.
pub(super) fn nothing(reply: &Reply) -> Option<(&'static str, &'static str)> {
    let is_nothing = reply.say.is_none() && reply.call.is_none() && reply.fails.is_none();
    is_nothing.then_some(("a reply of nothing", "give it `say`, `call` or `fails`"))
}

/// The words of an agent that has a model, by their keys.
type Unasked<'a> = [(&'static str, Option<&'a String>); 4];

/// Checks what every agent has that has a model: its model, its words, its tools.
pub(super) fn of_agent(
    name: &str,
    (model, words, tools): (&str, Unasked<'_>, &[String]),
    config: &Config,
    report: &mut Report<'_>,
) {
    if !config.models.contains_key(model) {
        let place = ["agents", name, "model"];
        report.unknown(&place, "model", model, config.models.keys(), &["models"]);
    }
    script::words_of(name, words, report);
    let is_known = |tool: &str| {
        let is_server = config.mcp_servers.contains_key(tool);
        config.tools.contains_key(tool) || Verb::of(tool).is_some() || is_server
    };
    script::tools_of(name, tools, is_known, config, report);
}

/// Checks an agent whose answers are a model's.
pub(super) fn agent(name: &str, agent: &Thinker, config: &Config, report: &mut Report<'_>) {
    let words = [
        ("instructions", Some(&agent.instructions)),
        ("greeting", agent.greeting.as_ref()),
        ("arrival", agent.arrival.as_ref()),
        ("idle", agent.idle.as_ref()),
    ];
    of_agent(name, (&agent.model, words, &agent.tools), config, report);
    for (index, tool) in agent.stop_after.iter().enumerate() {
        // What a server brings is known when a session begins.
        let has_server = agent.tools.iter().any(|name| config.mcp_servers.contains_key(name));
        if !agent.tools.contains(tool) && !has_server {
            let place = ["agents", name, "stop_after", &index.to_string()];
            report.unknown(&place, "tool", tool, agent.tools.iter(), &["agents", name, "tools"]);
        }
    }
}
