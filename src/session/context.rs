//! What a session knows of its call, as one JSON value: for tools, subscribers and people who ask.
//!
//! Everything in it follows from the events of the session, each counted once, and from its state.
//!
//! **Invariant:** it is bounded: the latest events, participants and results are kept, and older ones
//! dropped.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Session;
use super::event::{Event, EventKind};
use super::output::Output;
use super::plan::Plan;
use crate::clock::Tick;
use crate::id::{CallId, LaneId};
use crate::talk::transcript::{Said, Speaker};
use crate::tool::{Json, Outcome};

/// Events that are kept.
pub const EVENTS_MAX: usize = 100;

/// Participants that are kept: those who are there, and the latest who have left.
const PARTICIPANTS_MAX: usize = 64;

/// Tools whose results are kept, and results of each.
const TOOLS_MAX: usize = 64;
const RESULTS_MAX: usize = 8;

/// Decisions that are kept, by what they are about.
const DECISIONS_MAX: usize = 64;

/// What is kept of the events.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Memory {
    events: VecDeque<Event>,
    created: Tick,
    ended: Option<Tick>,
    participants: BTreeMap<LaneId, Participant>,
    agents: BTreeMap<String, Member>,
    decisions: BTreeMap<String, Json>,
    results: BTreeMap<String, VecDeque<Json>>,
    last_tool: Option<LastTool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Participant {
    name: String,
    joined: Tick,
    left: Option<Tick>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
    active: bool,
    since: Tick,
    error: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct LastTool {
    call: CallId,
    name: String,
    input: Json,
    status: String,
}

impl Memory {
    /// Takes an event in.
    fn take(&mut self, event: &Event) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event.clone());
        let tick = event.tick;
        match &event.kind {
            EventKind::SessionCreated { .. } => self.created = tick,
            EventKind::SessionEnded { .. } => self.ended = Some(tick),
            EventKind::UserJoined { lane, name } => {
                if self.participants.len() >= PARTICIPANTS_MAX {
                    let gone = self.participants.iter().filter(|(_, p)| p.left.is_some());
                    let first = gone.min_by_key(|(_, p)| p.left).map(|(lane, _)| *lane);
                    first.and_then(|lane| self.participants.remove(&lane));
                }
                let participant = Participant { name: name.clone(), joined: tick, left: None };
                self.participants.insert(*lane, participant);
            }
            EventKind::UserLeft { lane } => {
                if let Some(participant) = self.participants.get_mut(lane) {
                    participant.left = Some(tick);
                }
            }
            EventKind::AgentStarted { agent } => {
                let member = Member { active: true, since: tick, error: None };
                self.agents.insert(agent.clone(), member);
            }
            EventKind::AgentStopped { agent } => {
                if let Some(member) = self.agents.get_mut(agent) {
                    member.active = false;
                }
            }
            EventKind::AgentError { agent, cause } => {
                if let Some(member) = self.agents.get_mut(agent) {
                    member.error = Some(cause.clone());
                }
            }
            EventKind::AgentDecided { key, value, .. }
                if self.decisions.len() < DECISIONS_MAX || self.decisions.contains_key(key) =>
            {
                self.decisions.insert(key.clone(), value.clone());
            }
            EventKind::ToolCalled { call, name, arguments, .. } => {
                self.last_tool = Some(LastTool {
                    call: *call,
                    name: name.clone(),
                    input: arguments.clone(),
                    status: "called".to_owned(),
                });
            }
            EventKind::ToolResult { call, name, outcome, .. } => self.result(*call, name, outcome),
            _ => {}
        }
    }

    fn result(&mut self, call: CallId, name: &str, outcome: &Outcome) {
        if let Some(last) = self.last_tool.as_mut().filter(|last| last.call == call) {
            last.status = if outcome.is_done() { "done" } else { "failed" }.to_owned();
        }
        let Outcome::Done(value) = outcome else { return };
        if self.results.len() >= TOOLS_MAX && !self.results.contains_key(name) {
            return;
        }
        let results = self.results.entry(name.to_owned()).or_default();
        if results.len() == RESULTS_MAX {
            results.pop_front();
        }
        results.push_back(value.clone());
    }
}

impl Session {
    /// Takes the events of this tick into the memory.
    pub(super) fn memorise(&mut self, out: &Output) {
        for event in &out.events {
            self.memory.take(event);
        }
    }

    /// The latest events, oldest first: at most [`EVENTS_MAX`].
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.memory.events.iter()
    }

    /// What the current agent knows of what was said: what it has heard itself, and before it what it was
    /// given.
    pub fn history(&self) -> impl Iterator<Item = &Said> {
        self.transcript.iter().filter(|said| said.to >= self.tenure.history)
    }

    /// The context: the conversation and its agents, who is there, what was said, called and decided,
    /// the facts, and the latest events.
    #[must_use]
    pub fn context(&self, plan: &Plan) -> Value {
        let Memory { events, created, ended, participants, agents, decisions, results, last_tool } =
            &self.memory;
        let ms = |tick: Tick| plan.len.start_ms(tick);
        let agent = plan.agent(self.agent);
        let start = plan.agent(plan.start);
        let participants = participants.iter().map(|(lane, p)| {
            json!({
                "lane": lane, "name": p.name, "joined_ms": ms(p.joined), "active": p.left.is_none(),
                "left_ms": p.left.map(ms),
            })
        });
        let agents = agents.iter().map(|(name, member)| {
            let Member { active, since, error } = member;
            let member = json!({ "active": active, "since_ms": ms(*since), "error": error });
            (name.clone(), member)
        });
        let said = self.transcript.iter().map(|said| {
            let speaker = match said.speaker {
                Speaker::User(lane) => json!({ "role": "user", "lane": lane }),
                Speaker::Agent(id) => json!({ "role": "agent", "agent": plan.agent(id).name }),
            };
            let mut entry = speaker;
            entry["text"] = said.text.as_str().into();
            entry["at_ms"] = ms(said.from).into();
            entry["interrupted"] = said.interrupted.into();
            entry
        });
        let values =
            |all: &VecDeque<Json>| all.iter().map(|value| value.0.clone()).collect::<Value>();
        let results = results.iter().map(|(name, all)| (name.clone(), values(all)));
        let facts = self.facts.seen().map(|(name, fact)| (name.to_owned(), fact.value.0.clone()));
        json!({
            "conversation_id": plan.conversation,
            "conversation_name": plan.conversation,
            "conversation_description": plan.description,
            "initial_agent_id": plan.start.0,
            "initial_agent_name": start.name,
            "current_agent_id": self.agent.0,
            "current_agent_name": agent.name,
            "current_agent_type": agent.agent_type,
            "turn_count": self.turn_count,
            "user_input": self.tenure.input,
            "last_tool_name": last_tool.as_ref().map(|last| &last.name),
            "last_tool_input": last_tool.as_ref().map(|last| &last.input.0),
            "last_tool_status": last_tool.as_ref().map(|last| &last.status),
            "last_tool_result": self.tenure.result.as_ref().map(|(_, value)| &value.0),
            "tool_results": Value::Object(results.collect()),
            "agent_decisions": Value::Object(
                decisions.iter().map(|(key, value)| (key.clone(), value.0.clone())).collect()
            ),
            "facts": Value::Object(facts.collect()),
            "session": {
                "active": !self.has_ended(), "created_ms": ms(*created), "ended_ms": ended.map(ms),
                "participants": participants.collect::<Value>(),
            },
            "agents": Value::Object(agents.collect::<Map<_, _>>()),
            "conversation": said.collect::<Value>(),
            "events": events.iter().map(|event| event.to_json(plan.len)).collect::<Value>(),
        })
    }
}
