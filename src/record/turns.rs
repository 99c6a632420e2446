//! Who said what, from when to when: the events of a call, told as a conversation.
//!
//! A turn of the user is what the session answers as a whole, with the time of its voice, from the
//! first utterance that has words in it to the last voiced tick. A turn of the agent is an item, as far
//! as it was heard: cut and resumed it is still one, and what was never heard is none. An agent without
//! a voice has said what it has written.
//!
//! **Invariant:** equal outputs give equal turns; time is ticks.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::clock::{Tick, TickLen};
use crate::id::{ItemId, LaneId, UtteranceId};
use crate::session::event::EventKind;
use crate::session::output::Output;
use crate::session::plan::Plan;

/// Utterances without words that are remembered. Those that never get any (a cough) make room for
/// later ones; a lane has eight under way at most, and few lanes speak at once.
const UTTERANCES_MAX: usize = 64;

/// What the session puts for speech that was not understood.
const UNINTELLIGIBLE: &str = "…";

/// Which side of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// A participant.
    User,
    /// An agent.
    Agent,
}

/// One thing that was said: an entry of `transcript.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// Who, as a side.
    pub speaker: Side,
    /// The name of the participant or agent.
    pub name: String,
    /// What: of an agent, the part that was heard.
    pub text: String,
    /// When it began to be heard, in milliseconds from the start of the call.
    pub from_ms: u64,
    /// When it was over.
    pub to_ms: u64,
    /// It ended before it was complete.
    pub interrupted: bool,
    /// What the agent understood, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// A short sound of attention, which did not take the turn.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub backchannel: bool,
    /// It began where the call went another way than the recording that it was forked from.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub counterfactual: bool,
}

/// The conversation so far.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    len: TickLen,
    /// Whether the agent has a voice.
    voiced: bool,
    told: Vec<Turn>,
    names: BTreeMap<LaneId, String>,
    utterances: Vec<Utterance>,
    /// Utterances with words that no turn has taken yet.
    parts: Vec<Part>,
    items: BTreeMap<ItemId, Item>,
    /// Items that are over since this tick: their text may still be asked for.
    over: Vec<ItemId>,
    /// Words of the user that became known in this tick.
    words: String,
}

#[derive(Debug, Clone, Copy)]
struct Utterance {
    lane: LaneId,
    id: UtteranceId,
    from: Tick,
    last_voiced: Tick,
    open: bool,
}

#[derive(Debug, Clone)]
struct Part {
    utterance: Utterance,
    words: String,
}

#[derive(Debug, Clone)]
struct Item {
    agent: String,
    text: String,
    heard: Option<Heard>,
    cut: Option<Tick>,
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    from: Tick,
    /// The first tick in which it was no more heard.
    to: Tick,
    /// Bytes of the text.
    shown: usize,
}

impl Turns {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            len: plan.len,
            voiced: plan.synthesiser.is_some(),
            told: Vec::new(),
            names: BTreeMap::new(),
            utterances: Vec::new(),
            parts: Vec::new(),
            items: BTreeMap::new(),
            over: Vec::new(),
            words: String::new(),
        }
    }

    /// Hears one tick.
    pub(super) fn tick(&mut self, now: Tick, out: &Output) {
        self.words.clear();
        for item in self.over.drain(..) {
            self.items.remove(&item);
        }
        for event in &out.events {
            self.note(now, &event.kind);
        }
        for played in out.played.iter().filter(|played| played.samples > 0) {
            if let Some(item) = self.items.get_mut(&played.item) {
                let heard = item.heard.get_or_insert(Heard { from: now, to: now, shown: 0 });
                heard.to = now.after(1);
                heard.shown = heard.shown.max(played.to as usize);
            }
        }
        // Only now: the event of an item's end is in the tick of its last samples.
        for event in &out.events {
            if let EventKind::AgentSpeechFinished { item } = event.kind {
                self.end(item, false);
            }
        }
        if out.user_speech {
            for utterance in self.utterances.iter_mut().filter(|utterance| utterance.open) {
                utterance.last_voiced = now;
            }
        }
    }

    fn note(&mut self, now: Tick, kind: &EventKind) {
        match kind {
            EventKind::UserJoined { lane, name } => {
                self.names.insert(*lane, name.clone());
                self.utterances.retain(|utterance| utterance.lane != *lane);
            }
            EventKind::UserLeft { lane } => {
                let left = self.utterances.iter_mut().filter(|utterance| utterance.lane == *lane);
                left.for_each(|utterance| utterance.open = false);
            }
            EventKind::UserSpeechStarted { lane, utterance, .. } => {
                if self.utterances.len() == UTTERANCES_MAX {
                    self.utterances.remove(0);
                }
                let (lane, id) = (*lane, *utterance);
                self.utterances.push(Utterance {
                    lane,
                    id,
                    from: now,
                    last_voiced: now,
                    open: true,
                });
            }
            EventKind::UserSpeechStopped { lane, utterance, .. } => {
                if let Some(at) = self.find(*lane, *utterance) {
                    self.utterances[at].open = false;
                }
            }
            EventKind::UserTranscript { lane, utterance, text, last: true, .. } => {
                self.transcript(*lane, *utterance, text);
            }
            EventKind::RecogniserFailed { lane, utterance, .. } => {
                if let Some(at) = self.find(*lane, *utterance) {
                    self.utterances.remove(at);
                }
            }
            EventKind::UserBackchannel { lane, text } => {
                // Its words have just come, and are no part of a turn.
                let at = self.parts.iter().rposition(|part| part.utterance.lane == *lane);
                let span =
                    at.map(|at| self.parts.remove(at).utterance.span()).unwrap_or((now, now));
                self.user(*lane, text, span, None, true);
            }
            EventKind::UserMessage { lane, text, intent, typed: true, .. } => {
                append(&mut self.words, text);
                self.parts.clear();
                self.user(*lane, text, (now, now), intent.clone(), false);
            }
            EventKind::UserMessage { lane, text, intent, typed: false, last_voiced, .. } => {
                let to = last_voiced.after(1);
                let from = self.began(text).unwrap_or(to);
                self.user(*lane, text, (from, to.max(from)), intent.clone(), false);
            }
            EventKind::AgentBegan { item, agent, .. } => {
                let (agent, text) = (agent.clone(), String::new());
                self.items.insert(*item, Item { agent, text, heard: None, cut: None });
            }
            EventKind::AgentWords { item, text } => {
                if let Some(item) = self.items.get_mut(item) {
                    item.text.push_str(text);
                }
            }
            // It has begun, and all its words are known.
            EventKind::AgentMessage { item, .. } if self.items.contains_key(item) => {}
            EventKind::AgentMessage { item, agent, text } => {
                let heard =
                    (!self.voiced).then_some(Heard { from: now, to: now, shown: text.len() });
                let said = Item { agent: agent.clone(), text: text.clone(), heard, cut: None };
                self.items.insert(*item, said);
                if !self.voiced {
                    self.end(*item, false);
                }
            }
            EventKind::AgentInterrupted { item, .. } => self.cut(now, *item),
            EventKind::AgentResumed => self.items.values_mut().for_each(|item| item.cut = None),
            EventKind::SynthesiserFailed { item, .. } => self.end(*item, true),
            EventKind::SessionCreated { .. }
            | EventKind::SessionEnded { .. }
            | EventKind::UserTranscript { last: false, .. }
            | EventKind::UserAway
            | EventKind::UserReturned
            | EventKind::AgentStarted { .. }
            | EventKind::AgentSpeechStarted { .. }
            | EventKind::AgentSpeechFinished { .. }
            | EventKind::ToolCalled { .. }
            | EventKind::ToolDeferred { .. }
            | EventKind::ToolResult { .. }
            | EventKind::ToolUnexpected { .. }
            | EventKind::TransitionExecuted { .. }
            | EventKind::TransitionRefused { .. }
            | EventKind::TickSkipped { .. }
            | EventKind::JournalLost { .. }
            | EventKind::SessionStrained { .. }
            | EventKind::SessionRelieved { .. }
            | EventKind::LimitReached { .. }
            | EventKind::UserPublished { .. }
            | EventKind::UserUnpublished { .. }
            | EventKind::UserMuted { .. }
            | EventKind::UserUnmuted { .. }
            | EventKind::UserUnheard { .. }
            | EventKind::UserSpeaking { .. }
            | EventKind::UserAttributes { .. }
            | EventKind::UserMetadata { .. }
            | EventKind::RoomMetadata { .. }
            | EventKind::DataReceived { .. }
            | EventKind::ConnectionQuality { .. }
            | EventKind::UserDigit { .. }
            | EventKind::RpcCalled { .. }
            | EventKind::RpcAnswered { .. }
            | EventKind::ConnectionLost { .. }
            | EventKind::ConnectionRestored
            | EventKind::ModelAsked { .. }
            | EventKind::ModelAnswered { .. }
            | EventKind::ModelFailed { .. }
            | EventKind::ModelDropped { .. }
            | EventKind::ModelConnected { .. }
            | EventKind::ModelDisconnected { .. }
            | EventKind::ApprovalAsked { .. }
            | EventKind::ApprovalGiven { .. }
            | EventKind::AgentStopped { .. }
            | EventKind::AgentError { .. }
            | EventKind::AgentDecided { .. }
            | EventKind::AgentCalled { .. }
            | EventKind::AgentReturned { .. }
            | EventKind::ToolOrphaned { .. }
            | EventKind::RuleFailed { .. }
            | EventKind::FactSet { .. }
            | EventKind::FactExpired { .. }
            | EventKind::CallTransferred { .. }
            | EventKind::CallHeld
            | EventKind::CallResumed { .. }
            | EventKind::DigitsSent { .. }
            | EventKind::ClipPlayed { .. }
            | EventKind::PolicyWarned { .. }
            | EventKind::PolicyReached { .. }
            | EventKind::ConfigReloaded { .. }
            | EventKind::ConfigRefused { .. }
            | EventKind::Custom { .. } => {}
        }
    }

    fn find(&self, lane: LaneId, id: UtteranceId) -> Option<usize> {
        self.utterances.iter().position(|utterance| utterance.lane == lane && utterance.id == id)
    }

    /// The last words of an utterance. While it is open they are not the last, whatever they say.
    fn transcript(&mut self, lane: LaneId, id: UtteranceId, text: &str) {
        let Some(at) = self.find(lane, id).filter(|&at| !self.utterances[at].open) else { return };
        let utterance = self.utterances.remove(at);
        if !text.trim().is_empty() {
            append(&mut self.words, text);
            self.parts.push(Part { utterance, words: text.to_owned() });
        }
    }

    /// When a turn of these words began: with its first utterance. Utterances whose words are not in
    /// it were noise, as the session has found.
    fn began(&mut self, mut words: &str) -> Option<Tick> {
        let mut from = None;
        for part in self.parts.drain(..).rev() {
            let before =
                words.strip_suffix(&*part.words).or_else(|| words.strip_suffix(UNINTELLIGIBLE));
            if let Some(before) = before {
                words = before.trim_end();
                from = Some(part.utterance.from);
            }
        }
        from
    }

    fn user(
        &mut self,
        lane: LaneId,
        text: &str,
        (from, to): (Tick, Tick),
        intent: Option<String>,
        backchannel: bool,
    ) {
        self.told.push(Turn {
            speaker: Side::User,
            name: self.names.get(&lane).cloned().unwrap_or_else(|| lane.to_string()),
            text: text.to_owned(),
            from_ms: self.len.start_ms(from),
            to_ms: self.len.start_ms(to),
            interrupted: false,
            intent,
            backchannel,
            counterfactual: false,
        });
    }

    /// A cut replaces what an earlier one has kept: those items will never go on.
    fn cut(&mut self, now: Tick, item: ItemId) {
        let earlier = |cut: Option<Tick>| cut.is_some_and(|cut| cut < now);
        let lost = self.items.iter().filter(|(_, item)| earlier(item.cut)).map(|(id, _)| *id);
        for id in lost.collect::<Vec<_>>() {
            self.end(id, true);
        }
        if let Some(item) = self.items.get_mut(&item) {
            item.cut = Some(now);
        }
    }

    fn end(&mut self, id: ItemId, interrupted: bool) {
        if self.over.contains(&id) {
            return;
        }
        let Some(item) = self.items.get(&id) else { return };
        self.told.extend(item.told(self.len, interrupted));
        self.over.push(id);
    }

    /// The words of the user that became known in this tick.
    pub(super) fn words(&self) -> Option<&str> {
        (!self.words.is_empty()).then_some(&*self.words)
    }

    /// The utterances that are open in this tick.
    pub(super) fn open(&self) -> impl Iterator<Item = (LaneId, UtteranceId)> {
        self.utterances
            .iter()
            .filter(|utterance| utterance.open)
            .map(|utterance| (utterance.lane, utterance.id))
    }

    /// What the items say of which something is heard in this tick, or all of it if there is no voice.
    pub(super) fn spoken(&self, out: &Output, into: &mut String) {
        into.clear();
        for played in &out.played {
            let text = self.items.get(&played.item).map_or("", |item| &*item.text);
            append(into, text.get(played.from as usize..played.to as usize).unwrap_or_default());
        }
        if !self.voiced {
            self.over
                .iter()
                .filter_map(|id| self.items.get(id))
                .for_each(|item| append(into, &item.text));
        }
    }

    /// All turns, in the order in which they began. What is being said ends here. Those from
    /// `diverged` on are counterfactual.
    pub(super) fn finish(mut self, diverged: Option<Tick>) -> Vec<Turn> {
        for id in self.items.keys().copied().collect::<Vec<_>>() {
            self.end(id, true);
        }
        self.told.sort_by_key(|turn| turn.from_ms);
        if let Some(from) = diverged {
            let from_ms = self.len.start_ms(from);
            self.told.iter_mut().for_each(|turn| turn.counterfactual = turn.from_ms >= from_ms);
        }
        self.told
    }
}

impl Utterance {
    const fn span(self) -> (Tick, Tick) {
        (self.from, self.last_voiced.after(1))
    }
}

impl Item {
    fn told(&self, len: TickLen, interrupted: bool) -> Option<Turn> {
        let heard = self.heard?;
        Some(Turn {
            speaker: Side::Agent,
            name: self.agent.clone(),
            text: self.text.get(..heard.shown).unwrap_or(&self.text).to_owned(),
            from_ms: len.start_ms(heard.from),
            to_ms: len.start_ms(heard.to),
            interrupted,
            intent: None,
            backchannel: false,
            counterfactual: false,
        })
    }
}

/// Adds a text after a space.
fn append(all: &mut String, text: &str) {
    if !all.is_empty() && !text.is_empty() {
        all.push(' ');
    }
    all.push_str(text);
}
