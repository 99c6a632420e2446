//! A configuration, prepared: names resolved, milliseconds turned into ticks, templates read.
//!
//! A plan is what many sessions share; a session is handed the plan at each step and holds none of
//! it. The configuration stays inside, since the journal carries it.
//!
//! **Invariant:** a plan is immutable and can be made again from its configuration.

mod lower;
mod native;
mod policies;
mod thinker;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use xxhash_rust::xxh3::Xxh3;

use crate::clock::{FRAME_MS, Rate, TickLen};
use crate::config::{self, Config, Links, RecogniserEngine, SynthesiserEngine};
use crate::graph::AgentGraph;
use crate::graph::verb::Verb;
use crate::id::AgentId;
use crate::pcm::resample::ResamplerTable;
use crate::talk::floor::FloorRules;
use crate::talk::template::Template;
use crate::think::script::Script;
use crate::tool::{Json, ToolSpec};

pub use native::Speaker;
pub use policies::{Kept, Policies, pair};
pub use thinker::Thinker;

/// How long a character takes to say, for items whose audio has not all come: 60 ms, unhurried speech.
const CHARACTER_MS: u32 = 60;

/// What the sessions of one configuration share.
#[derive(Debug)]
pub struct Plan {
    /// The configuration that it was made of.
    pub config: Config,
    /// The length of a tick.
    pub len: TickLen,
    /// The rate of what is heard and said.
    pub rate: Rate,
    /// The delays of the floor.
    pub rules: FloorRules,
    /// Voice detection's threshold.
    pub threshold: f32,
    /// Frames that a lane waits for a missing one.
    pub reorder: u16,
    /// Samples of the fade of a cut.
    pub fade: usize,
    /// Whether there is a recogniser, and how many ticks its words are awaited.
    pub recogniser: Option<u64>,
    /// Words of which the recogniser is less sure than this are not believed.
    pub confidence: f32,
    /// Whether there is a synthesiser, and how many ticks its audio is awaited.
    pub synthesiser: Option<u64>,
    /// The apology.
    pub apology: Template,
    /// Words that do not take the turn.
    pub backchannels: Vec<String>,
    /// The agents; an [`AgentId`] is a position here.
    pub agents: Vec<AgentPlan>,
    /// The ids of those that are configured, by name.
    ids: BTreeMap<String, AgentId>,
    /// The agent that the call begins with.
    pub start: AgentId,
    /// Who hands over to whom.
    pub graph: AgentGraph,
    /// What is known of the tools.
    pub tools: BTreeMap<String, ToolSpec>,
    /// The longest call, in ticks.
    pub call_max: Option<u64>,
    /// A call without participants ends after so many ticks.
    pub alone_max: Option<u64>,
    /// A call in which neither side is heard ends after so many ticks.
    pub silence_max: Option<u64>,
    /// The most hand-overs within a turn of the user.
    pub moves_max: u32,
    /// The most idle prompts without an answer.
    pub idle_prompts_max: u32,
    /// The longest turn of the user, in ticks.
    pub turn_max: Option<u64>,
    /// What limits the agents.
    pub policies: Policies,
    /// The name of the conversation: that which was picked, or the configuration's.
    pub conversation: String,
    /// What it is for.
    pub description: String,
    /// From the session's rate to that of speech.
    pub to_speech: ResamplerTable,
    /// How calls of tools are talked about, where anything is said of it.
    pub conducts: BTreeMap<String, Conduct>,
    /// Whether a model answers for any agent.
    pub has_models: bool,
    /// Whether a model hears and speaks for any agent.
    pub has_natives: bool,
    /// The bounds of what a session holds.
    pub limits: Limits,
    /// See [`hash`](Self::hash).
    hash: OnceLock<u64>,
}

/// How calls of a tool are talked about.
#[derive(Debug, Clone, Default)]
pub struct Conduct {
    /// Said when a call takes long.
    pub filler: Option<Template>,
    /// That is so after so many ticks.
    pub filler_after: u64,
    /// So many ticks a model's turn waits.
    pub patience: Option<u64>,
    /// What the user is asked before a model's call is made.
    pub approval: Option<Template>,
}

/// An agent, prepared.
#[derive(Debug, Clone)]
pub struct AgentPlan {
    /// Its name.
    pub name: String,
    /// What kind of agent it is, for business rules: `general` unless the configuration says otherwise.
    pub agent_type: String,
    /// Its voice.
    pub voice: String,
    /// What it does.
    pub kind: AgentKind,
}

/// The kinds of agent.
#[derive(Debug, Clone)]
pub enum AgentKind {
    /// Says back what it hears, so many samples after the next tick.
    Echo {
        /// Samples.
        delay: usize,
    },
    /// Answers by a script.
    Scripted(Box<Script>),
    /// Answers as a model does.
    Model(Box<Thinker>),
    /// Hears and speaks as a model does.
    Native(Box<Speaker>),
}

/// The bounds of what a session holds. What is beyond is refused, and `limit.reached` says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Participants: as many as a room of talkers can be understood in.
    pub lanes: usize,
    /// Items announced and not played: half a minute of short sentences.
    pub items: usize,
    /// Calls without an outcome.
    pub calls: usize,
    /// Utterances of a lane whose words are awaited.
    pub utterances: usize,
    /// The longest utterance in milliseconds: recognisers lose their way in longer ones.
    pub utterance_ms: u32,
    /// Entries of the transcript.
    pub transcript: usize,
    /// Facts.
    pub facts: usize,
    /// Characters of a text from outside.
    pub text: usize,
    /// Requests of participants that are not answered.
    pub requests: usize,
    /// Attributes of a participant that are told at once: LiveKit's own have a dozen.
    pub attributes: usize,
    /// Entries into `think` within a tick for results delivered in the same tick.
    pub reentries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lanes: 16,
            items: 32,
            calls: 32,
            utterances: 8,
            utterance_ms: 30_000,
            transcript: 512,
            facts: 256,
            text: 4_000,
            requests: 16,
            attributes: 64,
            reentries: 4,
        }
    }
}

/// A configuration that cannot be turned into a plan: it was not checked before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unplanned(pub String);

impl std::fmt::Display for Unplanned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the configuration cannot be used: {}", self.0)
    }
}

impl std::error::Error for Unplanned {}

impl Plan {
    /// Prepares a configuration that [`config::parse`] has accepted.
    ///
    /// # Errors
    /// What the check would have found, had it been made.
    pub fn new(config: Config) -> Result<Self, Unplanned> {
        Self::after(config, Vec::new())
    }

    /// Prepares a configuration for sessions that have run on this plan so far. Agents keep their ids;
    /// one that is no longer configured stays as it was, so that what it has asked for is answered, and
    /// nobody hands over to it any more.
    ///
    /// # Errors
    /// What the check would have found; or what cannot change under a running session: the tick, the
    /// rate, and whether there is a recogniser and a synthesiser.
    pub fn succeeding(&self, config: Config) -> Result<Self, Unplanned> {
        let next = Self::after(config, self.agents.clone())?;
        let fixed = [
            (next.len == self.len, "audio.tick_ms"),
            (next.rate == self.rate, "audio.rate_hz"),
            (next.recogniser.is_some() == self.recogniser.is_some(), "speech.recogniser.engine"),
            (next.synthesiser.is_some() == self.synthesiser.is_some(), "speech.synthesiser.engine"),
        ];
        let changed: Vec<&str> =
            fixed.into_iter().filter(|(kept, _)| !kept).map(|(_, name)| name).collect();
        if changed.is_empty() {
            return Ok(next);
        }
        Err(Unplanned(format!(
            "a call that is under way cannot change {}; leave it as it was",
            changed.join(", ")
        )))
    }

    /// What tells it from the plans of other configurations, and of those in which agents are numbered otherwise: a
    /// session that has gone on with another configuration keeps the ids of the first. Made once: it takes long.
    #[must_use]
    pub fn hash(&self) -> u64 {
        *self.hash.get_or_init(|| {
            let mut hash = Xxh3::new();
            hash.update(self.config.to_json().as_bytes());
            for agent in &self.agents {
                hash.update(&[0]);
                hash.update(agent.name.as_bytes());
            }
            hash.digest()
        })
    }

    fn after(config: Config, former: Vec<AgentPlan>) -> Result<Self, Unplanned> {
        let wrong = |what: &str| Unplanned(what.to_owned());
        let len = TickLen::from_ms(config.audio.tick_ms).ok_or_else(|| wrong("audio.tick_ms"))?;
        let rate = Rate::from_hz(config.audio.rate_hz).ok_or_else(|| wrong("audio.rate_hz"))?;
        // What the check refuses, and what would panic further on: a journal may bring anything.
        if config.agents.is_empty() {
            return Err(wrong("there are no agents"));
        }
        if config.voice.reorder_ms > 500 {
            return Err(wrong("voice.reorder_ms"));
        }
        if config.turn.fade_ms > 100 {
            return Err(wrong("turn.fade_ms"));
        }
        if config.agents.values().any(|a| matches!(a, config::Agent::Echo(e) if e.delay_ms > 5_000))
        {
            return Err(wrong("delay_ms"));
        }
        let mut agents = former;
        let numbered = agents.iter().zip(0..).map(|(agent, at)| (agent.name.clone(), AgentId(at)));
        let mut ids: BTreeMap<String, AgentId> = numbered.collect();
        for (name, agent) in &config.agents {
            let planned = agent_plan(name, agent, &config, (rate, len))?;
            match ids.get(name) {
                Some(id) => agents[usize::from(id.0)] = planned,
                None => {
                    let id = u16::try_from(agents.len())
                        .map_err(|_| wrong("there are more agents than a call can have"))?;
                    ids.insert(name.clone(), AgentId(id));
                    agents.push(planned);
                }
            }
        }
        ids.retain(|name, _| config.agents.contains_key(name));
        let agent = |name: &str| {
            ids.get(name).copied().ok_or_else(|| Unplanned(format!("no agent `{name}`")))
        };
        let start = agent(config.start_agent())?;
        let Links { links, policies } = config::links(&config).map_err(|faults| {
            Unplanned(faults.first().map(ToString::to_string).unwrap_or_default())
        })?;
        let graph = lower::graph(&config, &links, agents.len(), len, &agent)?;
        let policies = Policies::new(&policies, len, &agent)?;
        let limits = Limits::default();
        let speech = &config.speech;
        let mut plan = Self {
            len,
            rate,
            rules: floor_rules(&config.turn, len),
            threshold: config.voice.threshold as f32,
            reorder: (config.voice.reorder_ms / FRAME_MS) as u16,
            fade: rate.samples(config.turn.fade_ms),
            recogniser: (speech.recogniser.engine != RecogniserEngine::None)
                .then(|| len.ticks_min_one(speech.recogniser.timeout_ms)),
            confidence: speech.recogniser.min_confidence as f32,
            synthesiser: (speech.synthesiser.engine != SynthesiserEngine::None)
                .then(|| len.ticks_min_one(speech.synthesiser.timeout_ms)),
            apology: Template::parse(&speech.apology)
                .map_err(|error| Unplanned(format!("speech.apology: {error}")))?,
            backchannels: config.turn.backchannels.clone(),
            agents,
            ids,
            start,
            graph,
            tools: tools(&config),
            call_max: unless_zero(config.call.max_ms, len),
            alone_max: unless_zero(config.call.alone_ms, len),
            silence_max: unless_zero(config.call.silence_ms, len),
            moves_max: config.call.max_moves_per_turn,
            idle_prompts_max: config.call.max_idle_prompts,
            turn_max: unless_zero(config.turn.max_ms, len),
            conversation: config.conversation.as_ref().unwrap_or(&config.name).clone(),
            description: config
                .picked()
                .map_or(&config.description, |picked| &picked.description)
                .clone(),
            policies,
            to_speech: ResamplerTable::new(rate.hz(), Rate::SPEECH.hz()),
            conducts: conducts(&config, len)?,
            has_models: false,
            has_natives: false,
            limits,
            hash: OnceLock::new(),
            config,
        };
        for at in 0..plan.agents.len() {
            let mut kind = plan.agents[at].kind.clone();
            match &mut kind {
                AgentKind::Model(thinker) => thinker.acquaint(&plan, AgentId(at as u16))?,
                AgentKind::Native(speaker) => {
                    speaker.acquaint(&plan, AgentId(at as u16))?;
                    plan.has_natives = true;
                }
                AgentKind::Scripted(_) | AgentKind::Echo { .. } => continue,
            }
            plan.agents[at].kind = kind;
            plan.has_models = true;
        }
        Ok(plan)
    }

    /// The agent of an id that this plan has given out.
    #[must_use]
    pub fn agent(&self, id: AgentId) -> &AgentPlan {
        &self.agents[usize::from(id.0)]
    }

    /// The agent of this name that is configured, and not only kept from an earlier configuration.
    #[must_use]
    pub fn agent_id(&self, name: &str) -> Option<AgentId> {
        self.ids.get(name).copied().filter(|_| self.config.takes_part(name))
    }

    /// Samples that a character is expected to take, of a text whose audio has not all come.
    #[must_use]
    pub fn character(&self) -> u64 {
        self.rate.samples(CHARACTER_MS) as u64
    }

    /// Samples in a tick, at the session's rate.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.rate.frame() * self.len.frames() as usize
    }
}

/// A delay in ticks; 0 is none.
fn unless_zero(ms: u32, len: TickLen) -> Option<u64> {
    (ms > 0).then(|| len.ticks_min_one(ms))
}

fn floor_rules(turn: &config::Turn, len: TickLen) -> FloorRules {
    FloorRules {
        end_silence_min: len.ticks_min_one(turn.end_silence_min_ms),
        end_silence_max: len.ticks_min_one(turn.end_silence_max_ms),
        barge_in: turn.barge_in.then(|| len.ticks_min_one(turn.barge_in_ms)),
        gap: len.ticks(turn.gap_ms),
        false_interruption: unless_zero(turn.false_interruption_ms, len),
        away: unless_zero(turn.away_ms, len),
    }
}

fn agent_plan(
    name: &str,
    agent: &config::Agent,
    config: &Config,
    (rate, len): (Rate, TickLen),
) -> Result<AgentPlan, Unplanned> {
    let default_voice = config.speech.synthesiser.voice.clone();
    let (voice, kind) = match agent {
        config::Agent::Echo(echo) => {
            (default_voice, AgentKind::Echo { delay: rate.samples(echo.delay_ms) })
        }
        config::Agent::Scripted(scripted) => {
            let script = Script::new(scripted, &config.slots)
                .map_err(|what| Unplanned(format!("agent `{name}`: {what}")))?;
            let voice = scripted.voice.clone().unwrap_or(default_voice);
            (voice, AgentKind::Scripted(Box::new(script)))
        }
        config::Agent::Native(native) => {
            let prepared = Speaker::new(native, config, len)
                .map_err(|Unplanned(what)| Unplanned(format!("agent `{name}`: {what}")))?;
            (default_voice, AgentKind::Native(Box::new(prepared)))
        }
        config::Agent::Model(thinker) => {
            let prepared = Thinker::new(thinker, config, len)
                .map_err(|Unplanned(what)| Unplanned(format!("agent `{name}`: {what}")))?;
            let voice = thinker.voice.clone().unwrap_or(default_voice);
            (voice, AgentKind::Model(Box::new(prepared)))
        }
    };
    let agent_type = agent.agent_type().to_owned();
    Ok(AgentPlan { name: name.to_owned(), agent_type, voice, kind })
}

fn conducts(config: &Config, len: TickLen) -> Result<BTreeMap<String, Conduct>, Unplanned> {
    let spoken = config.tools.iter().filter(|(_, tool)| {
        tool.filler.is_some() || tool.approval.is_some() || tool.patience_ms > 0
    });
    let conduct = |(name, tool): (&String, &config::Tool)| {
        let template = |text: &Option<String>| {
            let parsed = text.as_deref().map(Template::parse).transpose();
            parsed.map_err(|error| Unplanned(format!("tool `{name}`: {error}")))
        };
        let conduct = Conduct {
            filler: template(&tool.filler)?,
            filler_after: len.ticks_min_one(tool.filler_after_ms),
            patience: unless_zero(tool.patience_ms, len),
            approval: template(&tool.approval)?,
        };
        Ok((name.clone(), conduct))
    };
    spoken.map(conduct).collect()
}

fn tools(config: &Config) -> BTreeMap<String, ToolSpec> {
    let verbs = Verb::ALL.into_iter().map(|verb| (verb.name().to_owned(), verb.spec()));
    let configured = config.tools.iter().map(|(name, tool)| (name.clone(), tool_spec(name, tool)));
    verbs.chain(configured).collect()
}

/// What a configuration says of a tool.
#[must_use]
pub fn tool_spec(name: &str, tool: &config::Tool) -> ToolSpec {
    // A canned tool that takes its time in reality takes it in virtual time, too.
    let canned_ms = tool.canned.as_ref().map_or(0, |canned| canned.takes_ms);
    ToolSpec {
        name: name.to_owned(),
        description: tool.description.clone(),
        parameters: Json(tool.parameters.clone()),
        run: tool.run,
        budget_ms: tool.budget_ms,
        latency_ms: tool.latency_ms.max(canned_ms),
        timeout_ms: tool.timeout_ms,
        delivery: tool.delivery,
        idempotent: tool.idempotent,
        room: tool.room(),
        max_concurrent: (tool.max_concurrent > 0).then_some(tool.max_concurrent),
        on_barge_in: tool.on_barge_in,
    }
}
