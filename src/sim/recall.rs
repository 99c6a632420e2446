//! The edge of a fork: participants as they were recorded, and answers as far as they are known.
//!
//! Until the fork goes another way, a tick's inputs are the recorded ones, all of them. From then on
//! participants go on as recorded, since nobody can ask them; a question that was asked in the
//! recording gets the recorded answer after the recorded time; any other is answered live where that
//! is wanted, and otherwise is a failure that says so.
//!
//! **Invariant:** as long as the outputs are those of the recording, the inputs are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::memory::{
    Answer, Answering, Asked, Memory, ModelSaid, Sound, Spoken, Words, sound_key, voiced_ms,
};
use super::player::not_recorded;
use crate::clock::Tick;
use crate::id::{AskId, ItemId, LaneId, NativeId, UtteranceId};
use crate::journal::{Journal, Transcode};
use crate::session::event::EventKind;
use crate::session::input::{Inbound, Input};
use crate::session::output::{Effect, Output};
use crate::slot::{Edge, ToolEdge};
use crate::think::chat::{ErrorKind, ModelError, ModelRequest};
use crate::think::native::event::NativeEvent;
use crate::think::native::wish::NativeWish;
use crate::tool::{Called, Hands, ToolCall};

/// What answers the questions that a recording cannot answer.
pub struct Live {
    /// Recogniser and synthesiser, in virtual time.
    pub engines: Vec<Box<dyn Edge>>,
    /// The tools.
    pub tools: Box<dyn ToolEdge>,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Live({} engines)", self.engines.len())
    }
}

/// Questions that the recording could not answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unknown {
    /// Calls of tools.
    pub calls: u64,
    /// Texts without audio.
    pub texts: u64,
    /// Utterances without words.
    pub utterances: u64,
    /// Requests to models.
    pub models: u64,
}

/// What a fork and the one who drives it both know.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// The fork has gone another way than the recording.
    pub(super) parted: AtomicBool,
    /// The fork runs on a configuration of its own, which those of the recording do not replace.
    pub(super) reconfigured: AtomicBool,
    calls: AtomicU64,
    texts: AtomicU64,
    utterances: AtomicU64,
    models: AtomicU64,
}

impl Way {
    pub(super) fn unknown(&self) -> Unknown {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (calls, texts, utterances) = (of(&self.calls), of(&self.texts), of(&self.utterances));
        Unknown { calls, texts, utterances, models: of(&self.models) }
    }
}

/// The edge.
pub(super) struct Recall {
    journal: Arc<Journal>,
    transcode: Option<Box<dyn Transcode>>,
    memory: Memory,
    asked: Asked,
    live: Option<Live>,
    way: Arc<Way>,
    /// The entry of the next tick.
    at: usize,
    now: Tick,
    /// Answers on their way, in the order of tick, kind and question.
    due: BTreeMap<(Tick, u8, u64), Inbound>,
    asked_in_all: u64,
    open: BTreeMap<(LaneId, UtteranceId), Tick>,
    /// Questions that the live engines were given.
    live_items: BTreeSet<ItemId>,
    live_asks: BTreeSet<AskId>,
    live_natives: BTreeSet<NativeId>,
    /// Conversations of the recording that have come to their end.
    lost_natives: BTreeSet<NativeId>,
    live_utterances: BTreeSet<(LaneId, UtteranceId)>,
    scratch: Output,
    given: Input,
}

/// Answers of a tick come in the order in which edges give: words, audio, models, outcomes.
const WORDS: u8 = 0;
const AUDIO: u8 = 1;
const MODEL: u8 = 2;
const OUTCOME: u8 = 3;

impl Recall {
    pub(super) fn new(
        journal: Arc<Journal>,
        transcode: Option<Box<dyn Transcode>>,
        memory: Memory,
        live: Option<Live>,
        way: Arc<Way>,
    ) -> Self {
        Self {
            journal,
            transcode,
            memory,
            asked: Asked::default(),
            live,
            way,
            at: 0,
            now: Tick(0),
            due: BTreeMap::new(),
            asked_in_all: 0,
            open: BTreeMap::new(),
            live_items: BTreeSet::new(),
            live_asks: BTreeSet::new(),
            live_natives: BTreeSet::new(),
            lost_natives: BTreeSet::new(),
            live_utterances: BTreeSet::new(),
            scratch: Output::default(),
            given: Input::default(),
        }
    }

    fn parted(&self) -> bool {
        self.way.parted.load(Ordering::Relaxed)
    }

    fn answer(&mut self, after: u64, kind: u8, value: Inbound) {
        self.asked_in_all += 1;
        self.due.insert((self.now.after(after), kind, self.asked_in_all), value);
    }

    /// What the live engines have to say about the questions that are theirs.
    fn give_live(&mut self, now: Tick, input: &mut Input) {
        let Some(live) = &mut self.live else { return };
        self.given.clear(now, input.skipped);
        for engine in &mut live.engines {
            engine.give(now, &mut self.given);
        }
        let (items, utterances) = (&self.live_items, &self.live_utterances);
        let (asks, natives) = (&self.live_asks, &self.live_natives);
        self.given.inbound.retain(|value| match value {
            Inbound::Transcript { lane, utterance, .. }
            | Inbound::RecogniserFailed { lane, utterance, .. } => {
                utterances.contains(&(*lane, *utterance))
            }
            Inbound::Speech { item, .. } | Inbound::SynthesiserFailed { item, .. } => {
                items.contains(item)
            }
            Inbound::Native { native, .. } => natives.contains(native),
            _ => value.ask().is_some_and(|ask| asks.contains(&ask)),
        });
        live.tools.give(now, &mut self.given);
        input.inbound.append(&mut self.given.inbound);
    }

    fn spoken(&mut self, item: ItemId, voice: &str, text: &str) {
        let spoken = self.memory.text(&mut self.asked, voice, text).cloned();
        let is_whole = spoken.as_ref().is_some_and(Spoken::is_whole);
        if !is_whole && self.live.is_some() && self.parted() {
            self.live_items.insert(item);
            return;
        }
        // A text that was never asked for is not known at once; one that was dropped, from there on; and
        // of one that was still awaited when the recording ended, nothing more can be missed.
        let mut unknown = spoken.is_none().then_some(0);
        if let Some(Spoken { sounds, dropped }) = spoken {
            unknown = dropped.filter(|_| !is_whole);
            for (ticks, sound) in sounds {
                let value = match sound {
                    Sound::Piece(pcm, last) => Inbound::Speech { item, pcm, last },
                    Sound::Failed(cause) => Inbound::SynthesiserFailed { item, cause },
                };
                self.answer(ticks, AUDIO, value);
            }
        }
        if let Some(after) = unknown {
            self.texts_unknown();
            let cause = "the recording has no (more) audio of these words".to_owned();
            self.answer(after + 1, AUDIO, Inbound::SynthesiserFailed { item, cause });
        }
    }

    fn asked_model(&mut self, ask: AskId, model: &str, request: &ModelRequest) {
        let answer = self.memory.model(&mut self.asked, model, request).cloned();
        let is_whole = answer.as_ref().is_some_and(Answering::is_whole);
        if !is_whole && self.live.is_some() && self.parted() {
            self.live_asks.insert(ask);
            return;
        }
        let is_unknown = answer.is_none();
        for (ticks, said) in answer.into_iter().flat_map(|answer| answer.said) {
            let value = match said {
                ModelSaid::Delta(delta) => Inbound::Model { ask, delta },
                ModelSaid::End => Inbound::ModelEnd { ask },
                ModelSaid::Failed(error) => Inbound::ModelFailed { ask, error },
            };
            self.answer(ticks, MODEL, value);
        }
        if is_unknown {
            self.way.models.fetch_add(u64::from(self.parted()), Ordering::Relaxed);
            let why = "the recording has no answer to this request";
            let error = ModelError::new(ErrorKind::Unavailable, why);
            self.answer(1, MODEL, Inbound::ModelFailed { ask, error });
        }
    }

    /// A model that hears and speaks has heard something else in the recording: a live one goes on from the beginning of
    /// its own conversation, and any other is lost.
    fn wished(&mut self, native: NativeId, wish: &NativeWish) {
        let opens = matches!(wish, NativeWish::Open { .. });
        if opens && self.live.is_some() {
            self.live_natives.insert(native);
        }
        let known = self.live_natives.contains(&native) || *wish == NativeWish::Close;
        if known || !self.lost_natives.insert(native) {
            return;
        }
        self.way.models.fetch_add(1, Ordering::Relaxed);
        let why = "the recording has no more of this conversation";
        let error = ModelError::new(ErrorKind::Unavailable, why);
        let event = NativeEvent::Lost { error, last: true };
        self.answer(1, MODEL, Inbound::Native { native, event });
    }

    fn texts_unknown(&self) {
        self.way.texts.fetch_add(u64::from(self.parted()), Ordering::Relaxed);
    }

    fn words(&mut self, after: u64, (lane, utterance): (LaneId, UtteranceId), words: Words) {
        let value = match words {
            Words::Text { text, confidence, last } => {
                Inbound::Transcript { lane, utterance, text, confidence, last }
            }
            Words::Failed(cause) => Inbound::RecogniserFailed { lane, utterance, cause },
        };
        self.answer(after, WORDS, value);
    }

    fn noticed(&mut self, of: (LaneId, UtteranceId)) {
        self.open.insert(of, self.now);
        match self.memory.utterance(of.0, self.now).map(|heard| heard.early.clone()) {
            Some(early) => {
                for (after, words) in early {
                    self.words(after, of, words);
                }
            }
            None => drop(self.live.is_some() && self.live_utterances.insert(of)),
        }
    }

    fn ended(&mut self, of: (LaneId, UtteranceId), voiced_ms: Option<u64>) {
        let Some(noticed) = self.open.remove(&of) else { return };
        self.forget_words(of);
        let heard = self.memory.utterance(of.0, noticed);
        let late = heard.and_then(|heard| heard.late.clone());
        match late.filter(|late| late.voiced_ms == voiced_ms) {
            Some(late) => {
                self.live_utterances.remove(&of);
                for (after, words) in late.words {
                    self.words(after, of, words);
                }
            }
            None if self.live.is_some() => drop(self.live_utterances.insert(of)),
            None => {
                self.way.utterances.fetch_add(1, Ordering::Relaxed);
                let cause = "the recording has no words for this utterance".to_owned();
                self.words(1, of, Words::Failed(cause));
            }
        }
    }

    /// Words that were on their way for an utterance that is over.
    fn forget_words(&mut self, of: (LaneId, UtteranceId)) {
        self.due.retain(|(due, kind, _), value| {
            let of_it = match value {
                Inbound::Transcript { lane, utterance, .. }
                | Inbound::RecogniserFailed { lane, utterance, .. } => (*lane, *utterance) == of,
                _ => false,
            };
            !(*kind == WORDS && of_it && *due > self.now)
        });
    }

    /// Hands the live engines what is theirs. They hear every utterance, since it is known at its end
    /// alone whether the recording has its words.
    fn take_live(&mut self, now: Tick, out: &Output) {
        let Some(live) = &mut self.live else { return };
        self.scratch.effects.clear();
        self.scratch.frames.clone_from(&out.frames);
        for effect in &out.effects {
            let theirs = match effect {
                Effect::Speak { item, .. }
                | Effect::Play { item, .. }
                | Effect::SpeakDrop { item } => self.live_items.contains(item),
                Effect::Listen { .. } | Effect::ListenEnd { .. } | Effect::ListenDrop { .. } => {
                    true
                }
                Effect::Ask { ask, .. } | Effect::AskDrop { ask } => self.live_asks.contains(ask),
                Effect::Native { native, .. } => self.live_natives.contains(native),
                // Whoever asked is in the recording, and hears nothing.
                Effect::Answer { .. } => false,
            };
            if theirs {
                self.scratch.effects.push(effect.clone());
            }
        }
        for engine in &mut live.engines {
            engine.take(now, &self.scratch);
        }
        live.tools.take(now, out);
    }
}

impl Edge for Recall {
    fn give(&mut self, now: Tick, input: &mut Input) {
        self.now = now;
        let Some(entry) = self.journal.ticks.get(self.at) else { return };
        let mut recorded = entry.input.clone();
        if let Some(transcode) = &mut self.transcode {
            transcode.fill(&mut recorded);
        }
        let parted = self.parted();
        input.pcm.append(&mut recorded.pcm);
        input.coded.append(&mut recorded.coded);
        input.packets.append(&mut recorded.packets);
        let reconfigured = self.way.reconfigured.load(Ordering::Relaxed);
        input.inbound.extend(recorded.inbound.into_iter().filter(|value| match value {
            Inbound::Reload { .. } => !reconfigured,
            _ => !parted || is_participants(value),
        }));
        let later = self.due.split_off(&(now.after(1), 0, 0));
        let due = std::mem::replace(&mut self.due, later);
        if parted {
            input.inbound.extend(due.into_values());
        }
        let before = input.inbound.len();
        self.give_live(now, input);
        debug_assert!(parted || input.inbound.len() == before, "all is known before they part");
    }

    fn take(&mut self, now: Tick, out: &Output) {
        let recorded = self.journal.ticks.get(self.at).map(|entry| entry.outcomes.digest);
        if recorded != Some(out.digest) {
            self.way.parted.store(true, Ordering::Relaxed);
        }
        self.at += 1;
        for event in &out.events {
            if let EventKind::UserSpeechStarted { lane, utterance, .. } = event.kind {
                self.noticed((lane, utterance));
            }
        }
        for effect in &out.effects {
            match effect {
                Effect::Speak { item, .. } | Effect::Play { item, .. } => {
                    if let Some((voice, text)) = sound_key(effect) {
                        self.spoken(*item, &voice, &text);
                    }
                }
                Effect::ListenEnd { lane, utterance } => {
                    self.ended((*lane, *utterance), voiced_ms(out, *lane, *utterance));
                }
                Effect::ListenDrop { lane, utterance } => {
                    self.open.remove(&(*lane, *utterance));
                    self.forget_words((*lane, *utterance));
                }
                Effect::SpeakDrop { item } => self.due.retain(|_, value| match value {
                    Inbound::Speech { item: of, .. }
                    | Inbound::SynthesiserFailed { item: of, .. } => of != item,
                    _ => true,
                }),
                Effect::Ask { ask, model, request } => self.asked_model(*ask, model, request),
                Effect::AskDrop { ask } => self.due.retain(|_, value| value.ask() != Some(*ask)),
                Effect::Native { native, wish } if self.parted() => self.wished(*native, wish),
                Effect::Native { .. } => {}
                Effect::Listen { .. } | Effect::Answer { .. } => {}
            }
        }
        self.take_live(now, out);
    }
}

impl Hands for Recall {
    fn call(&mut self, call: &ToolCall) -> Called {
        match self.memory.call(&mut self.asked, call).cloned() {
            Some(Answer::AtOnce(outcome)) => Called::Done(outcome),
            Some(Answer::Later(after, outcome)) => {
                self.answer(after, OUTCOME, Inbound::ToolResult { call: call.id, outcome });
                Called::Submitted
            }
            Some(Answer::Never) => Called::Submitted,
            None => match &mut self.live {
                Some(live) => live.tools.call(call),
                None => {
                    self.way.calls.fetch_add(1, Ordering::Relaxed);
                    Called::Done(not_recorded(&call.name))
                }
            },
        }
    }
}

/// Whether a value comes from a participant, the room or the operator, who go on as recorded.
const fn is_participants(value: &Inbound) -> bool {
    match value {
        Inbound::Joined { .. }
        | Inbound::Left { .. }
        | Inbound::Audio { .. }
        | Inbound::UserText { .. }
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
        // What the machine had too much to do with goes on as well: nobody else would say that it is over.
        | Inbound::Strain { .. }
        | Inbound::Reload { .. } => true,
        Inbound::Transcript { .. }
        | Inbound::RecogniserFailed { .. }
        | Inbound::Speech { .. }
        | Inbound::SynthesiserFailed { .. }
        | Inbound::ToolResult { .. }
        | Inbound::Model { .. }
        | Inbound::ModelEnd { .. }
        | Inbound::ModelFailed { .. }
        | Inbound::Native { .. }
        | Inbound::JournalLost { .. } => false,
    }
}
