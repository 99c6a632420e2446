//! An agent whose model hears and speaks, prepared: its words, its model, its tools, its settings.

use super::thinker::{acquaint, tool, tools_of};
use super::{Plan, Unplanned};
use crate::clock::TickLen;
use crate::config::{self, Calls, Config, TurnDetection};
use crate::id::AgentId;
use crate::talk::template::Template;
use crate::think::chat::ToolChoice;
use crate::think::native::realtime::settings::{Settings, Transcription, Turns};
use crate::think::native::wire::Format;
use crate::think::script::Script;
use crate::think::tool_loop::LoopTool;

/// What a model that hears and speaks needs to be told, to be an agent.
#[derive(Debug, Clone)]
pub struct Speaker {
    /// What the agent says unasked.
    pub script: Script,
    /// The model, by its name in the configuration.
    pub model: String,
    /// What the model is told to be and to do.
    pub instructions: Template,
    /// What its sessions are like, but for instructions and tools.
    pub settings: Settings,
    /// The tools that it may call.
    pub tools: Vec<LoopTool>,
    /// How many ticks the next piece of an answer is awaited.
    pub patience: u64,
}

impl Speaker {
    /// Prepares an agent. What it may be told of other agents comes later: [`Self::acquaint`].
    pub(super) fn new(
        agent: &config::Native,
        config: &Config,
        len: TickLen,
    ) -> Result<Self, Unplanned> {
        let unasked = config::Scripted {
            greeting: agent.greeting.clone(),
            arrival: agent.arrival.clone(),
            idle: agent.idle.clone(),
            ..config::Scripted::default()
        };
        let model = config.models.get(&agent.model);
        let model = model.ok_or_else(|| Unplanned(format!("no model `{}`", agent.model)))?;
        let tools = tools_of(&agent.tools, config);
        let tools = tools.into_iter().map(|name| tool(name, config)).collect::<Result<_, _>>()?;
        // What the provider takes for the end of a turn is what the gateway takes for it.
        let silence_ms = config.turn.end_silence_min_ms;
        let turns = match agent.turn_detection {
            TurnDetection::Own => Turns::Ours,
            TurnDetection::Server => match Turns::default() {
                Turns::Server { threshold, prefix_ms, acts, .. } => {
                    Turns::Server { threshold, prefix_ms, silence_ms, acts }
                }
                other => other,
            },
            TurnDetection::Semantic => Turns::Semantic { eagerness: "auto".into(), acts: true },
        };
        let transcription = (!agent.transcription.is_empty()).then(|| Transcription {
            model: agent.transcription.clone(),
            language: config.speech.recogniser.language.clone(),
        });
        let settings = Settings {
            voice: agent.voice.clone(),
            speed: agent.speed,
            format: Format::Pcm16,
            turns,
            transcription,
            tool_choice: match agent.tool_choice {
                Calls::Auto => ToolChoice::Auto,
                Calls::Required => ToolChoice::Required,
                Calls::None => ToolChoice::None,
            },
            max_tokens: model.max_tokens.and_then(|tokens| u16::try_from(tokens).ok()),
            ..Settings::default()
        };
        Ok(Self {
            script: Script::new(&unasked, &config.slots).map_err(Unplanned)?,
            model: agent.model.clone(),
            instructions: Template::parse(&agent.instructions)
                .map_err(|error| Unplanned(format!("instructions: {error}")))?,
            settings,
            tools,
            patience: len.ticks_min_one(model.timeout_ms),
        })
    }

    /// Tells the model to whom it may hand over, and whom it may call.
    pub(super) fn acquaint(&mut self, plan: &Plan, me: AgentId) -> Result<(), Unplanned> {
        acquaint(&mut self.tools, plan, me)
    }

    /// Whether the provider finds out when the users begin and end, and answers by itself.
    #[must_use]
    pub const fn acts(&self) -> bool {
        self.settings.turns.acts()
    }
}
