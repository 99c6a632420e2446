//! Synthesisers on threads.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::LeftBehind;
use crate::clock::{Rate, Tick};
use crate::id::ItemId;
use crate::model::{SpeechError, Synthesiser, render};
use crate::pcm::Clip;
use crate::pcm::resample::{Resampler, ResamplerTable};
use crate::session::input::{Inbound, Input};
use crate::session::output::{Effect, Output};
use crate::slot::Edge;

/// Texts that wait for a synthesiser at most.
const TEXTS_WAITING: usize = 64;

/// How much audio is given at once when it comes in pieces, in milliseconds.
const PIECE_MS: u32 = 100;

/// Clips that wait for a session's tick at most.
const CLIPS_WAITING: usize = 64;

type NewSynthesiser = dyn Fn() -> Result<Box<dyn Synthesiser>, SpeechError> + Send + Sync;

/// A bounded number of synthesisers, each on its thread.
#[derive(Clone)]
pub struct MouthPool {
    shared: Arc<Shared>,
}

struct Shared {
    new: Box<NewSynthesiser>,
    texts: (Sender<Text>, Receiver<Text>),
    left_behind: LeftBehind,
}

struct Text {
    item: ItemId,
    text: String,
    voice: String,
    rate: Rate,
    /// Whether the session still waits for it.
    wanted: Arc<AtomicBool>,
    reply: Sender<Inbound>,
}

impl MouthPool {
    /// Starts `count` synthesisers.
    ///
    /// # Errors
    /// The first that could not be made.
    pub fn start(
        count: usize,
        new: impl Fn() -> Result<Box<dyn Synthesiser>, SpeechError> + Send + Sync + 'static,
    ) -> Result<Self, SpeechError> {
        Self::with_queue(count, TEXTS_WAITING, new)
    }

    /// The same for many sessions, of which so many texts may wait.
    ///
    /// # Errors
    /// The first that could not be made.
    pub fn with_queue(
        count: usize,
        waiting: usize,
        new: impl Fn() -> Result<Box<dyn Synthesiser>, SpeechError> + Send + Sync + 'static,
    ) -> Result<Self, SpeechError> {
        let shared = Arc::new(Shared {
            new: Box::new(new),
            texts: bounded(waiting.max(1)),
            left_behind: LeftBehind::default(),
        });
        let pool = Self { shared };
        for _ in 0..count {
            pool.add()?;
        }
        Ok(pool)
    }

    fn add(&self) -> Result<(), SpeechError> {
        let mut engine = (self.shared.new)()?;
        let (texts, shared) = (self.shared.texts.1.clone(), Arc::downgrade(&self.shared));
        std::thread::Builder::new()
            .name("synthesiser".to_owned())
            .spawn(move || {
                // The queue's own sender lives in the pool: without the pool nothing more comes.
                while shared.strong_count() > 0 {
                    match texts.recv_timeout(std::time::Duration::from_secs(1)) {
                        Ok(text) => speak(engine.as_mut(), text),
                        Err(crossbeam_channel::RecvTimeoutError::Timeout) => {}
                        Err(crossbeam_channel::RecvTimeoutError::Disconnected) => return,
                    }
                }
            })
            .map_err(|error| {
                SpeechError::Failed(format!("no thread for a synthesiser: {error}"))
            })?;
        Ok(())
    }

    /// Leaves a hung engine behind and starts another.
    fn abandon(&self) {
        let pool = self.clone();
        // A library that can no longer be loaded leaves the pool smaller.
        self.shared.left_behind.replace("synthesiser", move || drop(pool.add()));
    }

    /// How many engines have been left behind.
    #[must_use]
    pub fn abandoned(&self) -> usize {
        self.shared.left_behind.count()
    }
}

fn speak(engine: &mut dyn Synthesiser, text: Text) {
    let Text { item, text, voice, rate, wanted, reply } = text;
    if !wanted.load(Ordering::Relaxed) {
        return;
    }
    if engine.streams() {
        return stream(engine, (item, &text, &voice, rate), &wanted, &reply);
    }
    let value = match render(engine, &text, &voice, rate) {
        Ok(pcm) => Inbound::Speech { item, pcm, last: true },
        Err(error) => Inbound::SynthesiserFailed { item, cause: error.to_string() },
    };
    // A session that is gone does not want it any more.
    drop(reply.send(value));
}

/// Gives a text's audio piece by piece, until nobody wants it any more.
fn stream(
    engine: &mut dyn Synthesiser,
    (item, text, voice, rate): (ItemId, &str, &str, Rate),
    wanted: &AtomicBool,
    reply: &Sender<Inbound>,
) {
    let table = ResamplerTable::new(engine.rate_hz(), rate.hz());
    let mut resampler = Resampler::new(&table);
    let mut waiting = Vec::new();
    // The first piece is heard at once; the others need not come one by one.
    let mut enough = rate.frame();
    let spoken = engine.speak(text, voice, &mut |piece| {
        resampler.push(&table, piece, &mut waiting);
        if waiting.len() >= enough {
            enough = rate.samples(PIECE_MS);
            let pcm = Clip::from(std::mem::take(&mut waiting));
            if reply.send(Inbound::Speech { item, pcm, last: false }).is_err() {
                return ControlFlow::Break(());
            }
        }
        if wanted.load(Ordering::Relaxed) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    resampler.flush(&table, &mut waiting);
    let value = match spoken {
        Ok(()) => Inbound::Speech { item, pcm: Clip::from(waiting), last: true },
        Err(error) => Inbound::SynthesiserFailed { item, cause: error.to_string() },
    };
    drop(reply.send(value));
}

/// The synthesisers of one session, in real time.
pub struct LiveMouth {
    pool: MouthPool,
    apology: Option<Clip>,
    rate: Rate,
    patience: u64,
    reply: Sender<Inbound>,
    clips: Receiver<Inbound>,
    at_once: Vec<Inbound>,
    /// Items whose audio has not come, and since when.
    waiting: Vec<Waiting>,
}

/// An item whose audio has not all come.
struct Waiting {
    item: ItemId,
    since: Tick,
    wanted: Arc<AtomicBool>,
}

impl LiveMouth {
    /// An edge that gives its texts to a pool, with an apology at hand. An item that is dropped after
    /// `patience` ticks without audio means that a synthesiser hangs.
    #[must_use]
    pub fn new(pool: MouthPool, apology: Option<Clip>, rate: Rate, patience: u64) -> Self {
        let (reply, clips) = bounded(CLIPS_WAITING);
        let (at_once, waiting) = (Vec::new(), Vec::new());
        Self { pool, apology, rate, patience, reply, clips, at_once, waiting }
    }

    fn speak(&mut self, now: Tick, item: ItemId, text: &str, voice: &str, apology: bool) {
        if let Some(pcm) = self.apology.clone().filter(|_| apology) {
            return self.at_once.push(Inbound::Speech { item, pcm, last: true });
        }
        let wanted = Arc::new(AtomicBool::new(true));
        let text = Text {
            item,
            text: text.to_owned(),
            voice: voice.to_owned(),
            rate: self.rate,
            wanted: Arc::clone(&wanted),
            reply: self.reply.clone(),
        };
        if self.pool.shared.texts.0.try_send(text).is_err() {
            let cause = "no synthesiser is free".to_owned();
            self.at_once.push(Inbound::SynthesiserFailed { item, cause });
        } else {
            self.waiting.push(Waiting { item, since: now, wanted });
        }
    }

    fn drop_item(&mut self, now: Tick, dropped: ItemId) {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.item == dropped) else {
            return;
        };
        let Waiting { since, wanted, .. } = self.waiting.swap_remove(at);
        wanted.store(false, Ordering::Relaxed);
        if now.since(since) >= self.patience {
            self.pool.abandon();
        }
    }
}

impl Edge for LiveMouth {
    fn give(&mut self, now: Tick, input: &mut Input) {
        input.inbound.append(&mut self.at_once);
        for value in self.clips.try_iter() {
            match &value {
                Inbound::Speech { item, last, .. } => {
                    let waiting = self.waiting.iter().position(|waiting| waiting.item == *item);
                    match (waiting, last) {
                        (Some(at), true) => drop(self.waiting.swap_remove(at)),
                        // Who gives something does not hang.
                        (Some(at), false) => self.waiting[at].since = now,
                        (None, _) => {}
                    }
                }
                Inbound::SynthesiserFailed { item, .. } => {
                    self.waiting.retain(|waiting| waiting.item != *item);
                }
                _ => {}
            }
            input.inbound.push(value);
        }
    }

    fn take(&mut self, now: Tick, out: &Output) {
        for effect in &out.effects {
            match effect {
                Effect::Speak { item, text, voice, apology } => {
                    self.speak(now, *item, text, voice, *apology);
                }
                Effect::SpeakDrop { item } => self.drop_item(now, *item),
                Effect::Listen { .. }
                | Effect::ListenEnd { .. }
                | Effect::ListenDrop { .. }
                | Effect::Answer { .. }
                | Effect::Ask { .. }
                | Effect::AskDrop { .. }
                | Effect::Native { .. }
                | Effect::Play { .. } => {}
            }
        }
    }
}
