//! The graph of a configuration: names into ids, milliseconds into ticks, texts into templates.
//!
//! A link is a way to hand over by decision, or to call; two agents who take strict turns hand over to
//! each other after each turn of the user.

use serde_json::Value;

use super::Unplanned;
use crate::clock::TickLen;
use crate::config::{self, Config, When};
use crate::graph::condition::{TurnsOf, Words};
use crate::graph::event::EventName;
use crate::graph::rules::{AgentKey, RuleSet};
use crate::graph::topology::{Link, LinkKind, LinkPattern};
use crate::graph::{AgentGraph, Carry, Condition, Rules, Transition};
use crate::id::AgentId;
use crate::talk::template::Template;

/// The graph of a configuration whose agents are known by `agent`.
pub(super) fn graph(
    config: &Config,
    links: &[Link],
    agents: usize,
    len: TickLen,
    agent: &impl Fn(&str) -> Result<AgentId, Unplanned>,
) -> Result<AgentGraph, Unplanned> {
    let mut transitions = Vec::new();
    for (written, id) in config.transitions.iter().zip(0..) {
        let lowered = transition(config, id, written, len, agent)?;
        // Those that leave the conversation are not there.
        if config.takes_part(&written.from) && config.takes_part(&written.to) {
            transitions.push(lowered);
        }
    }
    let mut calls = Vec::new();
    let mut id = config.transitions.len() as u32;
    for link in links.iter().filter(|l| config.takes_part(&l.from) && config.takes_part(&l.to)) {
        let (from, to) = (agent(&link.from)?, agent(&link.to)?);
        let mut lead = |from, to, condition| {
            transitions.push(Transition::new(id, from, to, condition));
            id += 1;
        };
        match (link.kind, link.pattern) {
            (LinkKind::Query, LinkPattern::TwoWay | LinkPattern::Symmetric) => {
                calls.extend([(from, to), (to, from)]);
            }
            (LinkKind::Query, _) | (_, LinkPattern::Reflexive) => calls.push((from, to)),
            (_, pattern) => {
                lead(from, to, decision(&link.to));
                if pattern.is_two_way() {
                    lead(to, from, decision(&link.from));
                }
                if pattern == LinkPattern::Alternating {
                    let turn = || Condition::Turns { of: TurnsOf::Agent, at_least: 1 };
                    lead(from, to, turn());
                    lead(to, from, turn());
                }
            }
        }
    }
    AgentGraph::new(agents, transitions)
        .map(|graph| graph.with_calls(calls))
        .map_err(|bad| Unplanned(format!("transition {} leads nowhere", bad.transition)))
}

/// The agent decides to hand over to this one.
fn decision(to: &str) -> Condition {
    Condition::Decision { key: "transition_to".to_owned(), value: to.into() }
}

fn transition(
    config: &Config,
    id: u32,
    transition: &config::Transition,
    len: TickLen,
    agent: &impl Fn(&str) -> Result<AgentId, Unplanned>,
) -> Result<Transition, Unplanned> {
    let template = |text: &str| {
        Template::parse(text).map_err(|error| Unplanned(format!("transition {id}: {error}")))
    };
    let (from, to) = (agent(&transition.from)?, agent(&transition.to)?);
    let condition = condition(config, transition, len, agent)
        .map_err(|why| Unplanned(format!("transition {id}: {why}")))?;
    Ok(Transition {
        priority: transition.priority,
        say: transition.say.as_deref().map(template).transpose()?,
        arrival: transition.arrival.as_deref().map(template).transpose()?,
        carry: match &transition.carry {
            config::Carry::Everything => Carry::Everything,
            config::Carry::Nothing => Carry::Nothing,
            config::Carry::Facts(names) => Carry::Facts(names.clone()),
            config::Carry::Summary(text) => Carry::Summary(template(text)?),
        },
        results: transition.results,
        ..Transition::new(id, from, to, condition)
    })
}

fn condition(
    config: &Config,
    transition: &config::Transition,
    len: TickLen,
    agent: &impl Fn(&str) -> Result<AgentId, Unplanned>,
) -> Result<Condition, String> {
    Ok(match &transition.when {
        When::Intent(name) => Condition::Intent(name.clone()),
        When::ToolResult(result) => Condition::ToolResult {
            tool: result.tool.clone(),
            key: result.key.clone(),
            operator: result.operator,
            value: result.value.clone(),
        },
        When::Event(event) => Condition::Event {
            name: EventName::read(&event.name)
                .ok_or_else(|| format!("unknown event `{}`", event.name))?,
            data: event.data.clone(),
        },
        When::UserInput(config::UserInput::Contains(part)) => {
            Condition::UserInput(Words::Contain(part.to_lowercase()))
        }
        When::UserInput(config::UserInput::Matches(pattern)) => {
            let pattern = config::compile_pattern(pattern).map_err(|error| error.to_string())?;
            Condition::UserInput(Words::Match(pattern))
        }
        When::Decision(decision) => Condition::Decision {
            key: decision.key.clone(),
            value: decision.value.clone().unwrap_or_else(|| transition.to.as_str().into()),
        },
        When::AfterMs(ms) => Condition::Timer(len.ticks(*ms)),
        When::SilenceMs(ms) => Condition::Silence(len.ticks_min_one(*ms)),
        When::Turns(turns) => Condition::Turns { of: turns.of, at_least: turns.at_least },
        When::Digits(digits) => Condition::Digits(digits.clone()),
        When::Rules(written) => {
            let set = RuleSet::new(&Value::Array(written.clone()))
                .map_err(|faults| faults.first().map_or_else(String::new, ToString::to_string))?;
            let find = |key: &AgentKey| agent(config.agent_of(key)?).ok();
            let rules = Rules::new(set, &find).map_err(|key| format!("no agent {key:?}"))?;
            Condition::Rules(rules)
        }
        When::Custom(_) => Condition::Never,
    })
}
