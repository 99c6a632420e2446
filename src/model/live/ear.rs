//! Recognisers on threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{ABANDONED_MAX, LeftBehind};
use crate::clock::Tick;
use crate::id::{LaneId, UtteranceId};
use crate::model::{Recogniser, SpeechError};
use crate::session::input::{Inbound, Input};
use crate::session::output::{Effect, Output, SPEECH_FRAME};
use crate::slot::Edge;

/// Frames that wait for an engine at most: 10 s, far more than a session has patience for.
const FRAMES_WAITING: usize = 500;

/// Results that wait for a session's tick at most; beyond, interim results are dropped.
const RESULTS_WAITING: usize = 64;

/// Frames between looks at what the recogniser makes of an utterance so far: 200 ms.
const INTERIM_FRAMES: u32 = 10;

type NewRecogniser = dyn Fn() -> Result<Box<dyn Recogniser>, SpeechError> + Send + Sync;

/// A bounded number of recognisers, each on its thread.
#[derive(Clone)]
pub struct EarPool {
    shared: Arc<Shared>,
}

struct Shared {
    new: Box<NewRecogniser>,
    free: (Sender<Ear>, Receiver<Ear>),
    left_behind: LeftBehind,
}

/// The way to one recogniser's thread.
#[derive(Clone)]
struct Ear {
    line: Sender<ToEar>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "frames are nearly all that is sent, and are not to be boxed"
)]
enum ToEar {
    Begin { lane: LaneId, utterance: UtteranceId, reply: Sender<Inbound>, quiet: Arc<AtomicBool> },
    Frame([i16; SPEECH_FRAME]),
    End,
    Drop,
}

impl EarPool {
    /// Starts `count` recognisers.
    ///
    /// # Errors
    /// The first that could not be made.
    pub fn start(
        count: usize,
        new: impl Fn() -> Result<Box<dyn Recogniser>, SpeechError> + Send + Sync + 'static,
    ) -> Result<Self, SpeechError> {
        // Room for every engine that can ever be given back, hung ones that recover included.
        let shared = Arc::new(Shared {
            new: Box::new(new),
            free: bounded(count + ABANDONED_MAX),
            left_behind: LeftBehind::default(),
        });
        let pool = Self { shared };
        for _ in 0..count {
            pool.add()?;
        }
        Ok(pool)
    }

    fn add(&self) -> Result<(), SpeechError> {
        let engine = (self.shared.new)()?;
        // The last two places are for the end, which is never lost.
        let (line, work) = bounded(FRAMES_WAITING + 2);
        let ear = Ear { line };
        let home = Home { shared: Arc::downgrade(&self.shared), ear: ear.clone() };
        std::thread::Builder::new()
            .name("recogniser".to_owned())
            .spawn(move || serve(engine, &work, &home))
            .map_err(|error| SpeechError::Failed(format!("no thread for a recogniser: {error}")))?;
        drop(self.shared.free.0.try_send(ear));
        Ok(())
    }

    /// Leaves a hung engine behind and starts another.
    fn abandon(&self) {
        let pool = self.clone();
        // A library that can no longer be loaded leaves the pool smaller.
        self.shared.left_behind.replace("recogniser", move || drop(pool.add()));
    }

    /// How many engines have been left behind.
    #[must_use]
    pub fn abandoned(&self) -> usize {
        self.shared.left_behind.count()
    }
}

/// Where a recogniser goes between utterances, while there is a pool.
struct Home {
    shared: Weak<Shared>,
    ear: Ear,
}

impl Home {
    fn is_there(&self) -> bool {
        self.shared.strong_count() > 0
    }

    fn take_back(&self) -> bool {
        self.shared.upgrade().is_some_and(|shared| shared.free.0.try_send(self.ear.clone()).is_ok())
    }
}

/// How often an idle engine looks whether its pool is still there.
const IDLE: Duration = Duration::from_secs(1);

/// A recogniser's thread: one utterance after the other, until the pool is gone.
fn serve(mut engine: Box<dyn Recogniser>, work: &Receiver<ToEar>, home: &Home) {
    while home.is_there() {
        let Ok(ToEar::Begin { lane, utterance, reply, quiet }) = work.recv_timeout(IDLE) else {
            continue;
        };
        let outcome = hear(engine.as_mut(), work, (lane, utterance), &reply, &quiet);
        match outcome {
            Ok(Some(value)) => drop(reply.send(value)),
            Ok(None) => {}
            Err(error) => {
                let value = Inbound::RecogniserFailed { lane, utterance, cause: error.to_string() };
                drop(reply.send(value));
            }
        }
        if !home.take_back() {
            return;
        }
    }
}

fn hear(
    engine: &mut dyn Recogniser,
    work: &Receiver<ToEar>,
    (lane, utterance): (LaneId, UtteranceId),
    reply: &Sender<Inbound>,
    quiet: &AtomicBool,
) -> Result<Option<Inbound>, SpeechError> {
    let begun = engine.begin();
    let (mut frames, mut interim) = (0u32, String::new());
    let mut trouble = begun.err();
    loop {
        match work.recv() {
            Ok(ToEar::Frame(pcm)) => {
                frames += 1;
                if trouble.is_none() {
                    trouble = engine.feed(&pcm).err();
                }
                let wanted =
                    frames.is_multiple_of(INTERIM_FRAMES) && !quiet.load(Ordering::Relaxed);
                if trouble.is_none() && wanted {
                    let Some(text) = engine.partial().filter(|text| *text != interim) else {
                        continue;
                    };
                    interim.clone_from(&text);
                    let value =
                        Inbound::Transcript { lane, utterance, text, confidence: 0.0, last: false };
                    // An interim result that finds no room is no loss: another follows.
                    drop(reply.try_send(value));
                }
            }
            Ok(ToEar::End) => {
                let heard = match trouble {
                    Some(error) => return Err(error),
                    None => engine.end()?,
                };
                let (text, confidence) = (heard.text, heard.confidence);
                return Ok(Some(Inbound::Transcript {
                    lane,
                    utterance,
                    text,
                    confidence,
                    last: true,
                }));
            }
            Ok(ToEar::Drop | ToEar::Begin { .. }) | Err(_) => {
                if trouble.is_none() {
                    drop(engine.end());
                }
                return Ok(None);
            }
        }
    }
}

/// The recognisers of one session, in real time.
pub struct LiveEar {
    pool: EarPool,
    reply: Sender<Inbound>,
    results: Receiver<Inbound>,
    lines: BTreeMap<(LaneId, UtteranceId), Line>,
    failed: Vec<Inbound>,
    /// Nobody wants words of utterances that are not over.
    quiet: Arc<AtomicBool>,
}

struct Line {
    ear: Option<Ear>,
    ended: bool,
}

impl LiveEar {
    /// An edge that takes its recognisers from a pool.
    #[must_use]
    pub fn new(pool: EarPool) -> Self {
        let (reply, results) = bounded(RESULTS_WAITING);
        Self {
            pool,
            reply,
            results,
            lines: BTreeMap::new(),
            failed: Vec::new(),
            quiet: Arc::default(),
        }
    }

    fn listen(&mut self, lane: LaneId, utterance: UtteranceId, pcm: &[i16]) {
        let key = (lane, utterance);
        let Self { pool, reply, lines, failed, quiet, .. } = self;
        let line = lines.entry(key).or_insert_with(|| {
            let ear = pool.shared.free.1.try_recv().ok();
            match &ear {
                Some(ear) => {
                    let begin = ToEar::Begin {
                        lane,
                        utterance,
                        reply: reply.clone(),
                        quiet: Arc::clone(quiet),
                    };
                    drop(ear.line.try_send(begin));
                }
                None => failed.push(failure(lane, utterance, "no recogniser is free")),
            }
            Line { ear, ended: false }
        });
        let Some(ear) = &line.ear else { return };
        let Ok(frame) = pcm.try_into() else { return };
        if ear.line.len() >= FRAMES_WAITING || ear.line.try_send(ToEar::Frame(frame)).is_err() {
            drop(ear.line.try_send(ToEar::Drop));
            line.ear = None;
            pool.abandon();
            failed.push(failure(lane, utterance, "the recogniser does not keep up"));
        }
    }

    fn end(&mut self, lane: LaneId, utterance: UtteranceId) {
        let Some(line) = self.lines.get_mut(&(lane, utterance)) else { return };
        line.ended = true;
        if let Some(ear) = &line.ear {
            drop(ear.line.try_send(ToEar::End));
        }
    }

    fn drop_line(&mut self, lane: LaneId, utterance: UtteranceId) {
        let Some(line) = self.lines.remove(&(lane, utterance)) else { return };
        match line.ear {
            // Its end was asked for and never came: it hangs.
            Some(_) if line.ended => self.pool.abandon(),
            Some(ear) => drop(ear.line.try_send(ToEar::Drop)),
            None => {}
        }
    }
}

fn failure(lane: LaneId, utterance: UtteranceId, cause: &str) -> Inbound {
    Inbound::RecogniserFailed { lane, utterance, cause: cause.to_owned() }
}

/// A session that is gone gives back the engines that it was speaking to.
impl Drop for LiveEar {
    fn drop(&mut self) {
        for line in std::mem::take(&mut self.lines).into_values().filter(|line| !line.ended) {
            if let Some(ear) = line.ear {
                drop(ear.line.try_send(ToEar::Drop));
            }
        }
    }
}

impl Edge for LiveEar {
    fn give(&mut self, _now: Tick, input: &mut Input) {
        input.inbound.append(&mut self.failed);
        while let Ok(value) = self.results.try_recv() {
            if let Inbound::Transcript { lane, utterance, last: true, .. }
            | Inbound::RecogniserFailed { lane, utterance, .. } = &value
            {
                self.lines.remove(&(*lane, *utterance));
            }
            input.inbound.push(value);
        }
    }

    fn take(&mut self, _now: Tick, out: &Output) {
        self.quiet.store(out.strained, Ordering::Relaxed);
        for effect in &out.effects {
            match *effect {
                Effect::Listen { lane, utterance, frame } => {
                    self.listen(lane, utterance, out.frame(frame));
                }
                Effect::ListenEnd { lane, utterance } => self.end(lane, utterance),
                Effect::ListenDrop { lane, utterance } => self.drop_line(lane, utterance),
                Effect::Speak { .. }
                | Effect::SpeakDrop { .. }
                | Effect::Answer { .. }
                | Effect::Ask { .. }
                | Effect::AskDrop { .. }
                | Effect::Native { .. }
                | Effect::Play { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Recognised;

    /// Has other words each time that it is asked.
    struct Counts(u32);

    impl Recogniser for Counts {
        fn begin(&mut self) -> Result<(), SpeechError> {
            Ok(())
        }

        fn feed(&mut self, _pcm: &[i16]) -> Result<(), SpeechError> {
            Ok(())
        }

        fn partial(&mut self) -> Option<String> {
            self.0 += 1;
            Some(self.0.to_string())
        }

        fn end(&mut self) -> Result<Recognised, SpeechError> {
            Ok(Recognised { text: format!("asked {} times", self.0), confidence: 1.0 })
        }
    }

    #[test]
    fn a_session_under_strain_asks_for_no_words_before_the_end() {
        for (strained, expected) in [(false, "asked 5 times"), (true, "asked 0 times")] {
            let mut ear = LiveEar::new(EarPool::start(1, || Ok(Box::new(Counts(0)))).unwrap());
            let (lane, utterance) = (LaneId(0), UtteranceId(0));
            let mut out = Output::default();
            (out.strained, out.frames) = (strained, vec![0; SPEECH_FRAME]);
            out.effects = vec![Effect::Listen { lane, utterance, frame: 0 }];
            (0..5 * u64::from(INTERIM_FRAMES)).for_each(|tick| ear.take(Tick(tick), &out));
            out.effects = vec![Effect::ListenEnd { lane, utterance }];
            ear.take(Tick(50), &out);
            let last = loop {
                match ear.results.recv_timeout(Duration::from_secs(10)).expect("it answers") {
                    Inbound::Transcript { text, last: true, .. } => break text,
                    other => assert!(!strained, "{other:?}"),
                }
            };
            assert_eq!(last, expected);
        }
    }
}
