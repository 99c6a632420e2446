//! Who is there and what is being said: what the reasons refer to.

use std::collections::BTreeMap;

use super::prose::{QUOTE_MAX, beginning};
use crate::clock::Tick;
use crate::config::{Agent, Config, Scripted};
use crate::id::{ItemId, LaneId, UtteranceId};

/// Items that are announced and not over; a session has half as many.
const ITEMS_MAX: usize = 64;

/// Utterances whose words are not known; a lane has eight under way at most.
const UTTERANCES_MAX: usize = 64;

/// Characters of a name that are shown.
const NAME_MAX: usize = 80;

/// The stage of a call.
#[derive(Debug, Clone, Default)]
pub(super) struct Stage {
    names: BTreeMap<LaneId, String>,
    /// The agent that has the call.
    pub(super) agent: String,
    items: BTreeMap<ItemId, Item>,
    utterances: Vec<Utterance>,
    /// The turns of users that ended last, all in one tick.
    turns: Vec<Said>,
    /// The last words of an utterance that became known last.
    pub(super) words: Option<Words>,
}

/// Something that an agent says.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) agent: String,
    pub(super) text: String,
    pub(super) announced: Tick,
    pub(super) started: Option<Tick>,
}

/// A stretch of a participant's speech.
#[derive(Debug, Clone)]
pub(super) struct Utterance {
    pub(super) lane: LaneId,
    pub(super) id: UtteranceId,
    pub(super) since: Tick,
    /// When it was over, and how long it was voiced.
    pub(super) stopped: Option<(Tick, u64)>,
}

/// A turn of a user.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) at: Tick,
    pub(super) who: String,
    pub(super) text: String,
    pub(super) intent: Option<String>,
    pub(super) typed: bool,
    /// It is known which call it led to.
    pub(super) asked: bool,
}

/// The recogniser's last words on an utterance.
#[derive(Debug, Clone)]
pub(super) struct Words {
    pub(super) at: Tick,
    /// When the utterance began.
    pub(super) since: Tick,
    pub(super) lane: LaneId,
    pub(super) utterance: UtteranceId,
    pub(super) text: String,
    pub(super) confidence: f32,
}

impl Stage {
    pub(super) fn join(&mut self, lane: LaneId, name: &str) {
        self.names.insert(lane, beginning(name, NAME_MAX));
        self.utterances.retain(|utterance| utterance.lane != lane);
    }

    /// The name of who is on a lane.
    pub(super) fn name(&self, lane: LaneId) -> String {
        self.names.get(&lane).cloned().unwrap_or_else(|| lane.to_string())
    }

    pub(super) fn turn(&mut self, said: Said) {
        self.turns.retain(|turn| turn.at == said.at);
        self.turns.push(Said { text: beginning(&said.text, QUOTE_MAX), ..said });
    }

    /// The first turn of this tick that was understood as this intent.
    pub(super) fn turn_with(&self, now: Tick, intent: &str) -> Option<&Said> {
        let mut turns = self.turns.iter().filter(|turn| turn.at == now);
        turns.find(|turn| turn.intent.as_deref() == Some(intent))
    }

    /// The turn of this tick that asked for a call of this tool: turns ask in the order of their calls.
    pub(super) fn asking(&mut self, now: Tick, tool: &str, config: &Config) -> Option<Said> {
        let Some(Agent::Scripted(Scripted { intents, .. })) = config.agents.get(&self.agent) else {
            return None;
        };
        let calls_it = |turn: &&mut Said| {
            turn.at == now
                && !turn.asked
                && intents.iter().any(|intent| {
                    turn.intent.as_ref() == Some(&intent.name)
                        && intent.call.as_ref().is_some_and(|call| call.tool == tool)
                })
        };
        let turn = self.turns.iter_mut().find(calls_it)?;
        turn.asked = true;
        Some(turn.clone())
    }

    pub(super) fn opened(&mut self, now: Tick, lane: LaneId, id: UtteranceId) {
        if self.utterances.len() == UTTERANCES_MAX {
            self.utterances.remove(0);
        }
        self.utterances.push(Utterance { lane, id, since: now, stopped: None });
    }

    pub(super) fn closed(&mut self, now: Tick, lane: LaneId, id: UtteranceId, voiced_ms: u64) {
        let mut known = self.utterances.iter_mut();
        if let Some(known) = known.find(|known| known.lane == lane && known.id == id) {
            known.stopped = Some((now, voiced_ms));
        }
    }

    /// Takes an utterance out whose words are known, or never will be.
    pub(super) fn settled(&mut self, lane: LaneId, id: UtteranceId) -> Option<Utterance> {
        let is_it = |known: &Utterance| known.lane == lane && known.id == id;
        let at = self.utterances.iter().position(is_it)?;
        Some(self.utterances.remove(at))
    }

    /// The utterances that are still being spoken.
    pub(super) fn speaking(&self) -> impl Iterator<Item = &Utterance> {
        self.utterances.iter().filter(|utterance| utterance.stopped.is_none())
    }

    pub(super) fn announced(&mut self, now: Tick, item: ItemId, agent: &str, text: &str) {
        if self.items.len() == ITEMS_MAX {
            self.items.pop_first();
        }
        let (agent, text) = (agent.to_owned(), beginning(text, QUOTE_MAX));
        self.items.insert(item, Item { agent, text, announced: now, started: None });
    }

    /// More words of an item.
    pub(super) fn more(&mut self, item: ItemId, text: &str) {
        if let Some(item) = self.items.get_mut(&item) {
            item.text = beginning(&format!("{}{text}", item.text), QUOTE_MAX);
        }
    }

    pub(super) fn started(&mut self, now: Tick, item: ItemId) {
        if let Some(item) = self.items.get_mut(&item) {
            item.started.get_or_insert(now);
        }
    }

    pub(super) fn item(&self, item: ItemId) -> Option<&Item> {
        self.items.get(&item)
    }

    pub(super) fn over(&mut self, item: ItemId) {
        self.items.remove(&item);
    }

    /// What an agent is saying.
    pub(super) fn being_said(&self) -> Option<&Item> {
        self.items.values().rfind(|item| item.started.is_some())
    }

    /// What was announced last in this tick.
    pub(super) fn announced_last(&self, now: Tick) -> Option<&Item> {
        self.items.values().next_back().filter(|item| item.announced == now)
    }
}
