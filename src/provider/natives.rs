//! The models of one session that hear and speak by themselves, in real time: each conversation is a [`Talk`].
//!
//! **Invariant:** the thread of the tick waits for nothing; a conversation that is not known here is lost, and the session
//! begins another.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::runtime::Handle;

use super::realtime::{Opening, Talk, Talker};
use crate::clock::{Rate, Tick};
use crate::id::NativeId;
use crate::seed::Seed;
use crate::session::input::{Inbound, Input};
use crate::session::output::{Effect, Output};
use crate::slot::Edge;
use crate::think::chat::{ErrorKind, Message, ModelError};
use crate::think::native::adapter::{Cut, PlayedItem, TickResult};
use crate::think::native::event::NativeEvent;
use crate::think::native::realtime::settings::Settings;
use crate::think::native::wish::NativeWish;

/// The users' audio from before a turn was noticed that belongs to it, in milliseconds: what recognisers are given, too,
/// since soft beginnings of words are noticed late.
const PREROLL_MS: u32 = 300;

/// Events that are taken in a tick at most: what is beyond waits for the next.
const EVENTS_PER_TICK: usize = 256;

/// Models that hear and speak, by name.
pub type Talkers = BTreeMap<String, Talker>;

/// The conversations of one session.
pub struct LiveNatives {
    talkers: Arc<Talkers>,
    runtime: Handle,
    rate: Rate,
    jitter: Seed,
    talks: BTreeMap<NativeId, Talk>,
    /// What was heard last, for a turn that is about to be noticed.
    preroll: VecDeque<i16>,
    scratch: Vec<i16>,
    /// Whether the last tick was heard.
    hears: bool,
    at_once: VecDeque<Inbound>,
    /// Conversations with models that are not known here.
    others: BTreeSet<NativeId>,
}

impl std::fmt::Debug for LiveNatives {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LiveNatives({} models, {} open)", self.talkers.len(), self.talks.len())
    }
}

impl LiveNatives {
    /// An edge whose conversations are tasks of this runtime. `jitter` is the chance in delays.
    #[must_use]
    pub fn new(talkers: Arc<Talkers>, runtime: Handle, rate: Rate, jitter: Seed) -> Self {
        let preroll = VecDeque::with_capacity(2 * rate.samples(PREROLL_MS));
        Self {
            talkers,
            runtime,
            rate,
            jitter,
            talks: BTreeMap::new(),
            preroll,
            scratch: Vec::with_capacity(rate.samples(PREROLL_MS)),
            hears: false,
            at_once: VecDeque::new(),
            others: BTreeSet::new(),
        }
    }

    fn lost(&mut self, native: NativeId, why: &str) {
        let error = ModelError::new(ErrorKind::Unavailable, why);
        let event = NativeEvent::Lost { error, last: true };
        self.at_once.push_back(Inbound::Native { native, event });
    }

    fn open(&mut self, native: NativeId, model: &str, settings: &Settings, history: &[Message]) {
        // One that is canned is another edge's.
        let Some(talker) = self.talkers.get(model) else {
            self.others.insert(native);
            return;
        };
        let (settings, history) = (settings.clone(), history.to_vec());
        let (heard_hz, said_hz) = (self.rate.hz(), Some(self.rate.hz()));
        let opening = Opening { settings, history, heard_hz, said_hz };
        let jitter = self.jitter.branch(&native.to_string());
        match talker.begin(opening, jitter, &self.runtime) {
            Ok(talk) => drop(self.talks.insert(native, talk)),
            Err(why) => self.lost(native, &why),
        }
    }

    fn wished(&mut self, native: NativeId, wish: &NativeWish, out: &Output) {
        let talk = match wish {
            NativeWish::Open { model, settings, history } => {
                return self.open(native, model, settings, history);
            }
            NativeWish::Close => {
                self.others.remove(&native);
                if let Some(mut talk) = self.talks.remove(&native) {
                    talk.close();
                }
                return;
            }
            _ => self.talks.get_mut(&native),
        };
        let Some(talk) = talk else {
            if self.others.contains(&native) {
                return;
            }
            return self.lost(native, "the conversation is not known here: it began elsewhere");
        };
        match wish {
            NativeWish::Hear => {
                self.hears = true;
                if !self.preroll.is_empty() {
                    self.scratch.clear();
                    self.scratch.extend(self.preroll.drain(..));
                    talk.hear(&self.scratch);
                }
                talk.hear(&out.heard);
            }
            NativeWish::Commit { answer, .. } => {
                talk.end_turn();
                if *answer {
                    talk.ask(None);
                }
            }
            NativeWish::Clear => drop(talk.clear()),
            NativeWish::Write { text, answer: true } => drop(talk.write(text.as_str())),
            NativeWish::Write { text, answer: false } => drop(talk.note(text.as_str())),
            NativeWish::Ask { say } => {
                talk.ask(say.as_deref().map(NativeWish::to_say));
            }
            NativeWish::Cancel => {
                if !talk.silence() {
                    // The session waits for a word of it, whatever becomes of the wish.
                    let event = NativeEvent::Silenced;
                    self.at_once.push_back(Inbound::Native { native, event });
                }
            }
            NativeWish::Result { call, output, answer: true } => {
                talk.tool_result(call.as_str(), output.clone());
            }
            NativeWish::Result { call, output, answer: false } => {
                talk.settle(call.as_str(), output.clone());
            }
            NativeWish::Played { item, samples } => {
                let mut played = PlayedItem::default();
                (played.item, played.total, played.finished) = (item.clone(), *samples, true);
                talk.heed(&heeded(vec![played], Vec::new()));
            }
            NativeWish::Cut { item, samples } => {
                let audio_end_ms = self.rate.ms(*samples);
                let (item, samples, spoken) = (item.clone(), *samples, String::new());
                talk.heed(&heeded(Vec::new(), vec![Cut { item, samples, audio_end_ms, spoken }]));
            }
            NativeWish::Open { .. } | NativeWish::Close => {}
        }
    }

    /// Keeps what was heard and not given to a model.
    fn remember(&mut self, heard: &[i16]) {
        let bound = self.rate.samples(PREROLL_MS);
        self.preroll.extend(heard);
        let over = self.preroll.len().saturating_sub(bound);
        self.preroll.drain(..over);
    }
}

/// What was played and cut, and no word on whether anything waits: of each item the session tells by itself.
fn heeded(played: Vec<PlayedItem>, cuts: Vec<Cut>) -> TickResult {
    TickResult { played, cuts, buffered: 1, ..TickResult::default() }
}

impl Edge for LiveNatives {
    fn give(&mut self, _now: Tick, input: &mut Input) {
        input.inbound.extend(self.at_once.drain(..));
        for (&native, talk) in &mut self.talks {
            for event in std::iter::from_fn(|| talk.poll()).take(EVENTS_PER_TICK) {
                input.inbound.push(Inbound::Native { native, event });
            }
            if talk.is_over() {
                // Its task is gone, which it has said, unless that was a fault of the program.
                let error = ModelError::new(ErrorKind::Unavailable, "the conversation is over");
                let event = NativeEvent::Lost { error, last: true };
                input.inbound.push(Inbound::Native { native, event });
            }
        }
        self.talks.retain(|_, talk| !talk.is_over());
    }

    fn take(&mut self, _now: Tick, out: &Output) {
        self.hears = false;
        for effect in &out.effects {
            if let Effect::Native { native, wish } = effect {
                self.wished(*native, wish, out);
            }
        }
        if !self.hears && !self.talkers.is_empty() {
            self.remember(&out.heard);
        }
    }
}
