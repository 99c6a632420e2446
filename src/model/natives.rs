//! Models that hear and speak by themselves, of which nothing is real: what they answer is an [`Oracle`]'s, and how it
//! sounds a synthesiser's.
//!
//! They hear what a recogniser of the session's has understood, since nobody else would. What they say comes faster than
//! it is heard, in pieces, with the words beside it, as of a provider.
//!
//! **Invariant:** equal wishes give equal events, in virtual time; in real time the thread of the tick renders nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::minds::{Canned, Oracle};
use super::{Synthesiser, render};
use crate::clock::{Rate, Tick, TickLen};
use crate::config::{self, Provider};
use crate::id::NativeId;
use crate::pcm::Clip;
use crate::session::input::{Inbound, Input};
use crate::session::output::{Effect, Output};
use crate::slot::Edge;
use crate::slot::due::Due;
use crate::think::chat::{
    Call, CallResult, ErrorKind, Message, ModelDelta, ModelError, ModelRef, ModelRequest, Part,
};
use crate::think::native::event::{NativeEvent, ResponseEnd};
use crate::think::native::wish::NativeWish;

/// Ticks of audio in a piece: five times as fast as it is heard.
const PIECE_TICKS: usize = 5;

/// Texts on their way to the thread that renders them at most.
const TEXTS_WAITING: usize = 64;

/// Turns texts into audio, at once or aside.
pub trait Voice: Send {
    /// Wants a text as audio.
    fn render(&mut self, number: u64, text: &str);

    /// What has become of one, by its number.
    fn rendered(&mut self) -> Option<(u64, Result<Clip, String>)>;
}

/// Renders at once: for virtual time.
pub struct AtOnce {
    engine: Box<dyn Synthesiser>,
    voice: String,
    rate: Rate,
    done: VecDeque<(u64, Result<Clip, String>)>,
}

impl AtOnce {
    /// A voice of an engine.
    #[must_use]
    pub fn new(engine: Box<dyn Synthesiser>, voice: &str, rate: Rate) -> Self {
        Self { engine, voice: voice.to_owned(), rate, done: VecDeque::new() }
    }
}

impl Voice for AtOnce {
    fn render(&mut self, number: u64, text: &str) {
        let made = render(self.engine.as_mut(), text, &self.voice, self.rate);
        self.done.push_back((number, made.map_err(|error| error.to_string())));
    }

    fn rendered(&mut self) -> Option<(u64, Result<Clip, String>)> {
        self.done.pop_front()
    }
}

/// Renders on a thread of its own, which ends with it: for real time.
pub struct Aside {
    texts: Sender<(u64, String)>,
    done: Receiver<(u64, Result<Clip, String>)>,
    refused: VecDeque<u64>,
}

impl Aside {
    /// A voice of an engine.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(engine: Box<dyn Synthesiser>, voice: &str, rate: Rate) -> std::io::Result<Self> {
        let (texts, wanted) = bounded::<(u64, String)>(TEXTS_WAITING);
        let (give, done) = bounded(TEXTS_WAITING);
        let mut voice = AtOnce::new(engine, voice, rate);
        std::thread::Builder::new().name("canned voice".into()).spawn(move || {
            for (number, text) in wanted {
                voice.render(number, &text);
                while let Some(made) = voice.rendered() {
                    if give.send(made).is_err() {
                        return;
                    }
                }
            }
        })?;
        Ok(Self { texts, done, refused: VecDeque::new() })
    }
}

impl Voice for Aside {
    fn render(&mut self, number: u64, text: &str) {
        if self.texts.try_send((number, text.to_owned())).is_err() {
            self.refused.push_back(number);
        }
    }

    fn rendered(&mut self) -> Option<(u64, Result<Clip, String>)> {
        let refused = self.refused.pop_front();
        let refused = refused.map(|number| (number, Err("too much is to be said".to_owned())));
        refused.or_else(|| self.done.try_recv().ok())
    }
}

/// Models that hear and speak, of which nothing is real.
pub struct CannedNatives {
    models: BTreeMap<String, (Box<dyn Oracle>, u64)>,
    voice: Box<dyn Voice>,
    samples: usize,
    talks: BTreeMap<NativeId, Talk>,
    /// What is to be said, until it is audio.
    saying: BTreeMap<u64, Saying>,
    said: u64,
    due: Due,
    /// Conversations with models that are not known here, and why they are not.
    others: BTreeSet<NativeId>,
    absent: Option<&'static str>,
}

/// A conversation.
struct Talk {
    model: String,
    messages: Vec<Message>,
    /// Calls without a result.
    open: BTreeSet<String>,
    items: u64,
    /// What it is asked for, and not yet.
    wants: VecDeque<Want>,
    /// An answer is under way: until then, once that is known.
    answers: Option<Option<Tick>>,
}

/// What a model is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Want {
    Answer,
    Say(String),
}

impl Talk {
    /// Several that are wanted beside each other are one.
    fn want(&mut self, want: Want) {
        if self.wants.back() != Some(&Want::Answer) || want != Want::Answer {
            self.wants.push_back(want);
        }
    }
}

/// An answer, until it is audio.
struct Saying {
    native: NativeId,
    at: Tick,
    item: String,
    text: String,
    calls: Vec<Call>,
    error: Option<ModelError>,
}

impl CannedNatives {
    /// The canned models of a configuration, with this voice.
    #[must_use]
    pub fn canned(
        models: &BTreeMap<String, config::Model>,
        voice: Box<dyn Voice>,
        (len, samples): (TickLen, usize),
    ) -> Self {
        let mut natives = Self::new(voice, samples);
        for (name, model) in models.iter().filter(|(_, model)| model.provider == Provider::Canned) {
            natives.add(name, Box::new(Canned(model.replies.clone())), model.latency_ms, len);
        }
        natives
    }

    /// No models yet; a tick has so many samples.
    #[must_use]
    pub fn new(voice: Box<dyn Voice>, samples: usize) -> Self {
        Self {
            models: BTreeMap::new(),
            voice,
            samples,
            talks: BTreeMap::new(),
            saying: BTreeMap::new(),
            said: 0,
            due: Due::new(),
            others: BTreeSet::new(),
            absent: None,
        }
    }

    /// Adds a model that begins to answer `latency_ms` after it was asked.
    pub fn add(&mut self, name: &str, model: Box<dyn Oracle>, latency_ms: u32, len: TickLen) {
        self.models.insert(name.to_owned(), (model, len.ticks_min_one(latency_ms)));
    }

    /// Says why there is no other model, where nobody else has one.
    #[must_use]
    pub const fn alone(mut self, why: &'static str) -> Self {
        self.absent = Some(why);
        self
    }

    fn tell(&mut self, at: Tick, native: NativeId, event: NativeEvent) {
        self.due.push(at, Inbound::Native { native, event });
    }

    fn wished(&mut self, now: Tick, native: NativeId, wish: &NativeWish) {
        if let NativeWish::Open { model, history, .. } = wish {
            return self.open(now, native, model, history);
        }
        let Some(talk) = self.talks.get_mut(&native) else {
            if *wish != NativeWish::Close && !self.others.contains(&native) {
                let error =
                    ModelError::new(ErrorKind::Unavailable, "the conversation is not known");
                self.tell(now.after(1), native, NativeEvent::Lost { error, last: true });
            }
            return;
        };
        match wish {
            NativeWish::Open { .. } | NativeWish::Hear | NativeWish::Clear => {}
            NativeWish::Commit { words, answer } => {
                let item = format!("user_{}", talk.messages.len());
                talk.messages.push(Message::user(words.clone()));
                if *answer {
                    talk.want(Want::Answer);
                }
                let committed = NativeEvent::Committed { item: Some(item.clone()) };
                self.tell(now.after(1), native, committed);
                let heard = NativeEvent::Heard { item, text: words.clone(), last: true };
                self.tell(now.after(1), native, heard);
            }
            NativeWish::Write { text, answer } => {
                talk.messages.push(Message::user(text.clone()));
                if *answer {
                    talk.want(Want::Answer);
                }
            }
            NativeWish::Ask { say: Some(text) } => talk.want(Want::Say(text.clone())),
            NativeWish::Ask { say: None } => talk.want(Want::Answer),
            NativeWish::Cancel => {
                talk.wants.clear();
                talk.answers = None;
                // Calls that were not told are not waited for.
                talk.open.clear();
                self.saying.retain(|_, saying| saying.native != native);
                self.due.retain(|value| !is_of(value, native));
                self.tell(now.after(1), native, NativeEvent::Silenced);
            }
            NativeWish::Result { call, output, answer } => {
                let calls = talk.messages.iter().rev().flat_map(Message::calls);
                let name = calls.filter(|made| made.id == *call).map(|made| made.name.clone());
                let (name, call) = (name.last().unwrap_or_default(), call.clone());
                talk.open.remove(&call);
                let (output, provider_executed) = (output.clone(), false);
                let result = CallResult { call, name, output, provider_executed };
                talk.messages.push(Message::result(result));
                if *answer && talk.open.is_empty() {
                    talk.want(Want::Answer);
                }
            }
            NativeWish::Played { .. } | NativeWish::Cut { .. } => {}
            NativeWish::Close => {
                self.talks.remove(&native);
                self.others.remove(&native);
                self.saying.retain(|_, saying| saying.native != native);
                self.due.retain(|value| !is_of(value, native));
            }
        }
    }

    fn open(&mut self, now: Tick, native: NativeId, model: &str, history: &[Message]) {
        if !self.models.contains_key(model) {
            self.others.insert(native);
            // In real time, another edge has it.
            let Some(why) = self.absent else { return };
            let error = ModelError::new(ErrorKind::Unavailable, format!("`{model}`: {why}"));
            return self.tell(now.after(1), native, NativeEvent::Lost { error, last: true });
        }
        let (model, messages) = (model.to_owned(), history.to_vec());
        let (open, wants) = (BTreeSet::new(), VecDeque::new());
        let talk = Talk { model, messages, open, items: 0, wants, answers: None };
        self.talks.insert(native, talk);
        self.tell(now.after(1), native, NativeEvent::Ready { again: false });
    }

    /// Begins what is wanted, where nothing is under way.
    fn go_on(&mut self, now: Tick, native: NativeId) {
        let Some(talk) = self.talks.get_mut(&native) else { return };
        if talk.answers.flatten().is_some_and(|until| until < now) {
            talk.answers = None;
        }
        if talk.answers.is_some() {
            return;
        }
        let Some(want) = talk.wants.pop_front() else { return };
        talk.answers = Some(None);
        self.tell(now.after(1), native, NativeEvent::Asked);
        match want {
            Want::Say(text) => self.say(now, native, (text, Vec::new(), None)),
            Want::Answer => self.answer(now, native),
        }
    }

    /// Answers what was said.
    fn answer(&mut self, now: Tick, native: NativeId) {
        let Some(talk) = self.talks.get_mut(&native) else { return };
        let Some((oracle, _)) = self.models.get_mut(&talk.model) else { return };
        let model = ModelRef { provider: talk.model.clone(), model: String::new() };
        let request =
            ModelRequest { model, messages: talk.messages.clone(), ..ModelRequest::default() };
        let (deltas, error) = oracle.ask(&request);
        let (mut text, mut calls) = (String::new(), Vec::new());
        for delta in deltas {
            match delta {
                ModelDelta::Text(more) => text.push_str(&more),
                ModelDelta::ToolCall { id, name, arguments, .. } => {
                    calls.push(Call::written(id, name, &arguments));
                }
                _ => {}
            }
        }
        self.say(now, native, (text, calls, error));
    }

    fn say(
        &mut self,
        now: Tick,
        native: NativeId,
        (text, calls, error): (String, Vec<Call>, Option<ModelError>),
    ) {
        let Some(talk) = self.talks.get_mut(&native) else { return };
        let latency = self.models.get(&talk.model).map_or(1, |(_, latency)| *latency);
        let item = format!("{native}_{}", talk.items);
        talk.items += 1;
        let words = (!text.is_empty()).then(|| Part::Text(text.clone()));
        let parts: Vec<Part> =
            words.into_iter().chain(calls.iter().cloned().map(Part::ToolCall)).collect();
        if !parts.is_empty() {
            talk.messages.push(Message { role: crate::think::chat::Role::Assistant, parts });
        }
        talk.open.extend(calls.iter().map(|call| call.id.clone()));
        let number = self.said;
        self.said += 1;
        let saying = Saying { native, at: now.after(latency), item, text, calls, error };
        if saying.text.is_empty() {
            return self.told(now, saying, Clip::default());
        }
        self.voice.render(number, &saying.text);
        self.saying.insert(number, saying);
    }

    /// An answer has a sound: it comes in pieces, its words beside it.
    fn told(&mut self, now: Tick, saying: Saying, pcm: Clip) {
        let Saying { native, at, item, text, calls, error } = saying;
        let mut at = at.max(now.after(1));
        let pieces: Vec<&[i16]> = pcm.0.chunks(self.samples * PIECE_TICKS).collect();
        let mut words = text.split_inclusive(' ');
        let each = text.split(' ').count().div_ceil(pieces.len().max(1));
        for piece in pieces {
            let some: String = words.by_ref().take(each).collect();
            if !some.is_empty() {
                self.tell(at, native, NativeEvent::Words { item: item.clone(), text: some });
            }
            let pcm = Clip::from(piece.to_vec());
            self.tell(at, native, NativeEvent::Audio { item: item.clone(), pcm });
            at = at.after(1);
        }
        if !text.is_empty() {
            self.tell(at, native, NativeEvent::ItemDone { item });
        }
        for call in calls {
            self.tell(at, native, NativeEvent::Call(call));
        }
        let failed = error.is_some();
        if let Some(error) = error {
            self.tell(at, native, NativeEvent::Trouble(error));
        }
        let end = if failed { ResponseEnd::Failed } else { ResponseEnd::Completed };
        if let Some(talk) = self.talks.get_mut(&native) {
            talk.answers = Some(Some(at));
        }
        self.tell(at, native, NativeEvent::ResponseDone { response: String::new(), end });
    }
}

/// Whether a value is of a conversation's answers.
fn is_of(value: &Inbound, of: NativeId) -> bool {
    match value {
        Inbound::Native { native, event } => {
            let stays = matches!(
                event,
                NativeEvent::Ready { .. }
                    | NativeEvent::Heard { .. }
                    | NativeEvent::Committed { .. }
                    | NativeEvent::Silenced
            );
            *native == of && !stays
        }
        _ => false,
    }
}

impl Edge for CannedNatives {
    fn give(&mut self, now: Tick, input: &mut Input) {
        while let Some((number, made)) = self.voice.rendered() {
            let Some(mut saying) = self.saying.remove(&number) else { continue };
            let pcm = made.unwrap_or_else(|why| {
                saying.error = Some(ModelError::new(ErrorKind::Unavailable, why));
                Clip::default()
            });
            self.told(now, saying, pcm);
        }
        self.due.give(now, input);
    }

    fn take(&mut self, now: Tick, out: &Output) {
        for effect in &out.effects {
            if let Effect::Native { native, wish } = effect {
                self.wished(now, *native, wish);
            }
        }
        let talks: Vec<NativeId> = self.talks.keys().copied().collect();
        for native in talks {
            self.go_on(now, native);
        }
    }
}
