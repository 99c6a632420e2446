//! An agent whose answers are a model's, prepared: its words, its model, its tools.

use serde_json::{Value, json};

use super::{Plan, Unplanned, tool_spec};
use crate::clock::TickLen;
use crate::config::{self, Calls, Config};
use crate::graph::Condition;
use crate::graph::verb::Verb;
use crate::id::AgentId;
use crate::talk::template::Template;
use crate::think::chat::{ModelRef, Params, ToolChoice};
use crate::think::script::Script;
use crate::think::tool_loop::{LoopOptions, LoopTool, Resolver, StopCondition};

/// What a model needs to be told, to answer for an agent.
#[derive(Debug, Clone)]
pub struct Thinker {
    /// What the agent says unasked.
    pub script: Script,
    /// The model, by its name in the configuration.
    pub model: String,
    /// What the model is told to be and to do.
    pub instructions: Template,
    /// What is the same for all its answers.
    pub options: LoopOptions,
    /// Whether it has to call a tool first.
    pub first: ToolChoice,
    /// How many ticks the next piece of an answer is awaited.
    pub patience: u64,
    /// Whether it is asked before it is known that the user has finished.
    pub preemptive: bool,
}

impl Thinker {
    /// Prepares an agent. What it may be told of other agents comes later: [`Self::acquaint`].
    pub(super) fn new(
        agent: &config::Thinker,
        config: &Config,
        len: TickLen,
    ) -> Result<Self, Unplanned> {
        let template = |text: &str| {
            Template::parse(text).map_err(|error| Unplanned(format!("instructions: {error}")))
        };
        let unasked = config::Scripted {
            greeting: agent.greeting.clone(),
            arrival: agent.arrival.clone(),
            idle: agent.idle.clone(),
            ..config::Scripted::default()
        };
        let model = config.models.get(&agent.model);
        let model = model.ok_or_else(|| Unplanned(format!("no model `{}`", agent.model)))?;
        let mut tools = Vec::new();
        for name in tools_of(&agent.tools, config) {
            tools.push(tool(name, config)?);
        }
        let stop = agent.stop_after.iter().cloned().map(StopCondition::HasToolCall);
        Ok(Self {
            script: Script::new(&unasked, &config.slots).map_err(Unplanned)?,
            model: agent.model.clone(),
            instructions: template(&agent.instructions)?,
            options: LoopOptions {
                model: ModelRef {
                    provider: agent.model.clone(),
                    model: model.model.clone().unwrap_or_default(),
                },
                tools,
                // Calls of tools that are not there are answered, so that the model can mend them.
                resolver: Some(Resolver::All),
                params: Params {
                    temperature: model.temperature,
                    max_tokens: model.max_tokens,
                    top_p: model.top_p,
                    seed: model.seed,
                    stop: Vec::new(),
                },
                max_steps: agent.max_steps,
                stop: stop.collect(),
                prepares: true,
                approves: true,
                ..LoopOptions::default()
            },
            first: match agent.tool_choice {
                Calls::Auto => ToolChoice::Auto,
                Calls::Required => ToolChoice::Required,
                Calls::None => ToolChoice::None,
            },
            patience: len.ticks_min_one(model.timeout_ms),
            preemptive: agent.preemptive,
        })
    }

    /// Tells the model to whom it may hand over, and whom it may call.
    pub(super) fn acquaint(&mut self, plan: &Plan, me: AgentId) -> Result<(), Unplanned> {
        acquaint(&mut self.options.tools, plan, me)
    }
}

/// Tells a model to whom it may hand over, and whom it may call: that stands in the declarations of its tools.
pub(super) fn acquaint(tools: &mut [LoopTool], plan: &Plan, me: AgentId) -> Result<(), Unplanned> {
    let known = |ids: Vec<AgentId>| {
        let mut names: Vec<&str> = Vec::new();
        for id in ids {
            let name = plan.agent(id).name.as_str();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    };
    let leaving = plan.graph.leaving(me).iter();
    let by_decision = leaving.filter(
        |way| matches!(&way.condition, Condition::Decision { key, .. } if key == "transition_to"),
    );
    let reached = known(by_decision.map(|way| way.to).collect());
    let all = (0..plan.agents.len()).map(|at| AgentId(at as u16));
    let callable = known(all.filter(|to| plan.graph.may_call(me, *to)).collect());
    for tool in tools {
        let (argument, names) = match Verb::of(&tool.declaration.name) {
            Some(Verb::HandOver) => ("to", &reached),
            Some(Verb::CallAgent) => ("agent", &callable),
            _ => continue,
        };
        let mut declaration = tool.declaration.clone();
        for name in names {
            let what = plan.config.agents.get(*name).map_or("", config::Agent::description);
            if !what.is_empty() {
                declaration.description.push_str(&format!(" {name}: {what}"));
            }
        }
        if let Some(Value::Object(property)) =
            declaration.parameters.0.pointer_mut(&format!("/properties/{argument}"))
            && !names.is_empty()
        {
            property.insert("enum".to_owned(), json!(names));
        }
        *tool = LoopTool::new(declaration).map_err(|wrong| Unplanned(wrong.to_string()))?;
    }
    Ok(())
}

/// The tools of an agent, each once; the name of an MCP server stands for all tools that are found there.
pub(super) fn tools_of<'c>(listed: &'c [String], config: &'c Config) -> Vec<&'c str> {
    let mut names: Vec<&str> = Vec::new();
    let mut add = |name: &'c str| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    for name in listed {
        if !config.mcp_servers.contains_key(name) {
            add(name);
            continue;
        }
        let is_there =
            |tool: &config::Tool| tool.mcp.as_ref().is_some_and(|mcp| mcp.server == *name);
        config.tools.iter().filter(|(_, tool)| is_there(tool)).for_each(|(name, _)| add(name));
    }
    names
}

pub(super) fn tool(name: &str, config: &Config) -> Result<LoopTool, Unplanned> {
    let spec = match (Verb::of(name), config.tools.get(name)) {
        (Some(verb), _) => verb.spec(),
        (None, Some(tool)) => tool_spec(name, tool),
        (None, None) => return Err(Unplanned(format!("no tool `{name}`"))),
    };
    LoopTool::of(&spec).map_err(|wrong| Unplanned(wrong.to_string()))
}
