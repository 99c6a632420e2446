//! What a recording knows: which answer came to which question, and after how long.
//!
//! A question is a call of a tool, a text for a synthesiser, a request to a model, or an utterance for a
//! recogniser. Two
//! questions are the same if their names and arguments are, and each has been asked equally often:
//!
//! | question | name and arguments |
//! |---|---|
//! | a call | the tool and the JSON of its arguments |
//! | a text | the voice and the words |
//! | a model's answer | the model and the JSON of the request |
//! | an utterance | the lane, the tick in which it was noticed, and how much voice it had: participants are recorded, so that this is the same sound |
//!
//! **Invariant:** an answer is given at most as often as it was recorded.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Tick;
use crate::id::{AgentId, AskId, CallId, ItemId, LaneId, UtteranceId};
use crate::journal::{Journal, Transcode};
use crate::pcm::Clip;
use crate::session::event::EventKind;
use crate::session::input::Inbound;
use crate::session::output::{Effect, Output};
use crate::session::plan::Plan;
use crate::think::chat::{ModelDelta, ModelError, ModelRequest};
use crate::tool::{Called, Outcome, ToolCall};

use super::player::{NotReplayable, Player};

/// What came of a text.
#[derive(Debug, Clone, Default)]
pub(super) struct Spoken {
    /// Pieces of audio, or a failure, each so many ticks after it was asked for.
    pub(super) sounds: Vec<(u64, Sound)>,
    /// After so many ticks nobody wanted more of it.
    pub(super) dropped: Option<u64>,
}

impl Spoken {
    /// Whether its end is known.
    pub(super) fn is_whole(&self) -> bool {
        self.sounds.iter().any(|(_, sound)| !matches!(sound, Sound::Piece(_, false)))
    }
}

/// Who has the call at a tick, and who is about to.
#[derive(Debug, Clone)]
pub(super) struct Holders {
    /// The plan on which it runs there.
    pub(super) plan: Arc<Plan>,
    pub(super) agent: AgentId,
    pub(super) next: Option<AgentId>,
}

/// A piece of audio, or none.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sound {
    Piece(Clip, bool),
    Failed(String),
}

/// What a recogniser said of an utterance.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Words {
    Text { text: String, confidence: f32, last: bool },
    Failed(String),
}

/// What a model said to a question, each so many ticks after it was asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Answering {
    pub(super) said: Vec<(u64, ModelSaid)>,
}

impl Answering {
    /// Whether its end is known.
    pub(super) fn is_whole(&self) -> bool {
        self.said.iter().any(|(_, said)| !matches!(said, ModelSaid::Delta(_)))
    }
}

/// Something that a model said.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ModelSaid {
    Delta(ModelDelta),
    End,
    Failed(ModelError),
}

/// An utterance, and what was made of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard {
    /// While it was open, so many ticks after it was noticed.
    pub(super) early: Vec<(u64, Words)>,
    /// After its end, if it ended.
    pub(super) late: Option<Late>,
}

/// What was made of an utterance after its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Late {
    /// How much voice it had in milliseconds, where its end was told.
    pub(super) voiced_ms: Option<u64>,
    /// So many ticks after its end.
    pub(super) words: Vec<(u64, Words)>,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// It was done within its tick.
    AtOnce(Outcome),
    /// A worker had it, and answered so many ticks later.
    Later(u64, Outcome),
    /// A worker had it, and never answered.
    Never,
}

/// Everything that a recording knows.
#[derive(Debug, Default)]
pub(super) struct Memory {
    calls: BTreeMap<(String, String), Vec<Answer>>,
    texts: BTreeMap<(String, String), Vec<Spoken>>,
    models: BTreeMap<(String, String), Vec<Answering>>,
    utterances: BTreeMap<(LaneId, Tick), Heard>,
}

/// Questions that have been asked so far, each by how often.
#[derive(Debug, Default)]
pub(super) struct Asked {
    calls: BTreeMap<(String, String), usize>,
    texts: BTreeMap<(String, String), usize>,
    models: BTreeMap<(String, String), usize>,
}

fn call_key(call: &ToolCall) -> (String, String) {
    (call.name.clone(), call.arguments.0.to_string())
}

fn model_key(model: &str, request: &ModelRequest) -> (String, String) {
    // A request is plain data, so that this does not fail.
    (model.to_owned(), serde_json::to_string(request).unwrap_or_default())
}

fn next(asked: &mut BTreeMap<(String, String), usize>, key: &(String, String)) -> usize {
    let count = asked.entry(key.clone()).or_default();
    *count += 1;
    *count - 1
}

impl Memory {
    /// Steps a recording from its beginning to its end, and remembers; also who has the call at a tick.
    ///
    /// # Errors
    /// The journal cannot be stepped. A session that panics is remembered up to there.
    pub(super) fn of(
        journal: &Journal,
        transcode: Option<Box<dyn Transcode>>,
        at: Tick,
    ) -> Result<(Self, Option<Holders>), NotReplayable> {
        let mut player = Player::new(journal, transcode)?;
        let mut learning = Learning::default();
        let mut holders = None;
        loop {
            let session = player.session();
            if holders.is_none() && session.tick() >= at && at > Tick(0) {
                let (agent, next) = (session.agent(), session.next_agent());
                holders = Some(Holders { plan: Arc::clone(player.plan()), agent, next });
            }
            let entry = match player.tick() {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                Err(_) if player.has_panicked() => break,
                Err(error) => return Err(error),
            };
            let now = entry.input.tick;
            learning.answers(now, &entry.input.inbound);
            learning.questions(now, player.output(), &entry.outcomes.called);
        }
        Ok((learning.memory, holders))
    }

    pub(super) fn call(&self, asked: &mut Asked, call: &ToolCall) -> Option<&Answer> {
        let key = call_key(call);
        let at = next(&mut asked.calls, &key);
        self.calls.get(&key)?.get(at)
    }

    pub(super) fn text(&self, asked: &mut Asked, voice: &str, text: &str) -> Option<&Spoken> {
        let key = (voice.to_owned(), text.to_owned());
        let at = next(&mut asked.texts, &key);
        self.texts.get(&key)?.get(at)
    }

    pub(super) fn model(
        &self,
        asked: &mut Asked,
        model: &str,
        request: &ModelRequest,
    ) -> Option<&Answering> {
        let key = model_key(model, request);
        let at = next(&mut asked.models, &key);
        self.models.get(&key)?.get(at)
    }

    /// What was made of an utterance that was noticed at this tick.
    pub(super) fn utterance(&self, lane: LaneId, noticed: Tick) -> Option<&Heard> {
        self.utterances.get(&(lane, noticed))
    }
}

/// A recording while it is being learnt: who waits for which answer.
#[derive(Debug, Default)]
struct Learning {
    memory: Memory,
    calls: BTreeMap<CallId, (Tick, (String, String), usize)>,
    items: BTreeMap<ItemId, (Tick, (String, String), usize)>,
    asks: BTreeMap<AskId, (Tick, (String, String), usize)>,
    utterances: BTreeMap<(LaneId, UtteranceId), Listened>,
}

#[derive(Debug, Clone, Copy)]
struct Listened {
    noticed: Tick,
    ended: Option<Tick>,
}

impl Learning {
    fn answers(&mut self, now: Tick, inbound: &[Inbound]) {
        for value in inbound {
            match value {
                Inbound::ToolResult { call, outcome } => {
                    let Some((since, key, at)) = self.calls.remove(call) else { continue };
                    if let Some(answers) = self.memory.calls.get_mut(&key) {
                        answers[at] = Answer::Later(now.since(since), outcome.clone());
                    }
                }
                Inbound::Speech { item, pcm, last } => {
                    self.sound(now, *item, Sound::Piece(pcm.clone(), *last));
                }
                Inbound::SynthesiserFailed { item, cause } => {
                    self.sound(now, *item, Sound::Failed(cause.clone()));
                }
                Inbound::Transcript { lane, utterance, text, confidence, last } => {
                    let (text, confidence, last) = (text.clone(), *confidence, *last);
                    self.words(now, (*lane, *utterance), Words::Text { text, confidence, last });
                }
                Inbound::RecogniserFailed { lane, utterance, cause } => {
                    self.words(now, (*lane, *utterance), Words::Failed(cause.clone()));
                }
                Inbound::Model { ask, delta } => {
                    self.model(now, *ask, ModelSaid::Delta(delta.clone()));
                }
                Inbound::ModelEnd { ask } => self.model(now, *ask, ModelSaid::End),
                Inbound::ModelFailed { ask, error } => {
                    self.model(now, *ask, ModelSaid::Failed(error.clone()));
                }
                // What it said belongs to what it heard: a call that goes another way has another conversation with it.
                Inbound::Native { .. }
                | Inbound::Joined { .. }
                | Inbound::Left { .. }
                | Inbound::Audio { .. }
                | Inbound::UserText { .. }
                | Inbound::JournalLost { .. }
                | Inbound::HangUp { .. }
                | Inbound::Close { .. }
                | Inbound::Interrupt { .. }
                | Inbound::Track { .. }
                | Inbound::Speaking { .. }
                | Inbound::Attributes { .. }
                | Inbound::Metadata { .. }
                | Inbound::Data { .. }
                | Inbound::Quality { .. }
                | Inbound::Digit { .. }
                | Inbound::Request { .. }
                | Inbound::Line { .. }
                | Inbound::Custom { .. }
                | Inbound::Fact { .. }
                | Inbound::Strain { .. }
                | Inbound::Reload { .. } => {}
            }
        }
    }

    fn sound(&mut self, now: Tick, item: ItemId, sound: Sound) {
        let Some((since, key, at)) = self.items.get(&item) else { return };
        if let Some(spoken) = self.memory.texts.get_mut(key) {
            spoken[*at].sounds.push((now.since(*since), sound));
        }
    }

    fn model(&mut self, now: Tick, ask: AskId, said: ModelSaid) {
        let Some((since, key, at)) = self.asks.get(&ask) else { return };
        if let Some(answers) = self.memory.models.get_mut(key) {
            answers[*at].said.push((now.since(*since), said));
        }
    }

    fn words(&mut self, now: Tick, of: (LaneId, UtteranceId), words: Words) {
        let Some(Listened { noticed, ended }) = self.utterances.get(&of) else { return };
        let Some(heard) = self.memory.utterances.get_mut(&(of.0, *noticed)) else { return };
        match (ended, &mut heard.late) {
            (Some(ended), Some(late)) => late.words.push((now.since(*ended), words)),
            _ => heard.early.push((now.since(*noticed), words)),
        }
    }

    fn questions(&mut self, now: Tick, out: &Output, called: &[(CallId, Called)]) {
        for call in &out.calls {
            let key = call_key(call);
            let answers = self.memory.calls.entry(key.clone()).or_default();
            let recorded = called.iter().find(|(id, _)| *id == call.id).map(|(_, called)| called);
            answers.push(match recorded {
                Some(Called::Done(outcome)) => Answer::AtOnce(outcome.clone()),
                Some(Called::Submitted) | None => Answer::Never,
            });
            self.calls.insert(call.id, (now, key, answers.len() - 1));
        }
        for event in &out.events {
            if let EventKind::UserSpeechStarted { lane, utterance, .. } = event.kind {
                self.memory.utterances.insert((lane, now), Heard::default());
                self.utterances.insert((lane, utterance), Listened { noticed: now, ended: None });
            }
        }
        for effect in &out.effects {
            match effect {
                Effect::Speak { item, .. } | Effect::Play { item, .. } => {
                    let Some(key) = sound_key(effect) else { continue };
                    let spoken = self.memory.texts.entry(key.clone()).or_default();
                    spoken.push(Spoken::default());
                    self.items.insert(*item, (now, key, spoken.len() - 1));
                }
                Effect::ListenEnd { lane, utterance } => {
                    let Some(listened) = self.utterances.get_mut(&(*lane, *utterance)) else {
                        continue;
                    };
                    listened.ended = Some(now);
                    let noticed = (*lane, listened.noticed);
                    if let Some(heard) = self.memory.utterances.get_mut(&noticed) {
                        let voiced_ms = voiced_ms(out, *lane, *utterance);
                        heard.late = Some(Late { voiced_ms, words: Vec::new() });
                    }
                }
                Effect::SpeakDrop { item } => {
                    let Some((since, key, at)) = self.items.get(item) else { continue };
                    if let Some(spoken) = self.memory.texts.get_mut(key) {
                        spoken[*at].dropped = Some(now.since(*since));
                    }
                }
                Effect::Ask { ask, model, request } => {
                    let key = model_key(model, request);
                    let answers = self.memory.models.entry(key.clone()).or_default();
                    answers.push(Answering::default());
                    self.asks.insert(*ask, (now, key, answers.len() - 1));
                }
                Effect::Listen { .. }
                | Effect::ListenDrop { .. }
                | Effect::AskDrop { .. }
                | Effect::Native { .. }
                | Effect::Answer { .. } => {}
            }
        }
    }
}

/// How much voice an utterance had that ends in this tick; none if its participant has left.
pub(super) fn voiced_ms(out: &Output, lane: LaneId, utterance: UtteranceId) -> Option<u64> {
    out.events.iter().find_map(|event| match event.kind {
        EventKind::UserSpeechStopped { lane: of, utterance: id, voiced_ms }
            if (of, id) == (lane, utterance) =>
        {
            Some(voiced_ms)
        }
        _ => None,
    })
}

/// What a piece of sound is of: a voice and its words, or a clip, which has no voice.
pub(super) fn sound_key(effect: &Effect) -> Option<(String, String)> {
    match effect {
        Effect::Speak { voice, text, .. } => Some((voice.clone(), text.clone())),
        Effect::Play { clip, .. } => Some((String::new(), clip.clone())),
        _ => None,
    }
}
