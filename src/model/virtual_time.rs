//! Engines in virtual time: each runs to its end at once, and its result is admitted after the
//! declared latency, in the order of tick, edge and sequence.

use std::collections::BTreeMap;

use super::{Recogniser, SpeechError, Synthesiser, render};
use crate::clock::{Rate, Tick, TickLen};
use crate::id::{LaneId, UtteranceId};
use crate::pcm::Clip;
use crate::session::input::{Inbound, Input};
use crate::session::output::{Effect, Output};
use crate::slot::Edge;
use crate::slot::due::Due;

/// Makes a recogniser: one for each lane that speaks.
pub type NewRecogniser = Box<dyn Fn() -> Result<Box<dyn Recogniser>, SpeechError> + Send>;

/// Frames between looks at what the recogniser makes of an utterance so far: 200 ms.
const INTERIM_FRAMES: u32 = 10;

/// Recognisers in virtual time.
pub struct VirtualEar {
    new: NewRecogniser,
    latency: u64,
    lanes: BTreeMap<LaneId, Hearing>,
    due: Due,
}

struct Hearing {
    engine: Box<dyn Recogniser>,
    utterance: Option<UtteranceId>,
    frames: u32,
    interim: String,
}

impl VirtualEar {
    /// Recognisers whose words come `latency_ms` after the end of an utterance.
    #[must_use]
    pub const fn new(new: NewRecogniser, latency_ms: u32, len: TickLen) -> Self {
        Self {
            new,
            latency: len.ticks_min_one(latency_ms),
            lanes: BTreeMap::new(),
            due: Due::new(),
        }
    }

    fn listen(
        &mut self,
        now: Tick,
        lane: LaneId,
        utterance: UtteranceId,
        pcm: &[i16],
    ) -> Result<(), SpeechError> {
        if !self.lanes.contains_key(&lane) {
            let hearing = Hearing {
                engine: (self.new)()?,
                utterance: None,
                frames: 0,
                interim: String::new(),
            };
            self.lanes.insert(lane, hearing);
        }
        let Some(hearing) = self.lanes.get_mut(&lane) else { return Ok(()) };
        if hearing.utterance != Some(utterance) {
            hearing.engine.begin()?;
            hearing.utterance = Some(utterance);
            hearing.frames = 0;
            hearing.interim.clear();
        }
        hearing.engine.feed(pcm)?;
        hearing.frames += 1;
        if !hearing.frames.is_multiple_of(INTERIM_FRAMES) {
            return Ok(());
        }
        if let Some(text) = hearing.engine.partial().filter(|text| *text != hearing.interim) {
            hearing.interim.clone_from(&text);
            let value = Inbound::Transcript { lane, utterance, text, confidence: 0.0, last: false };
            self.due.push(now.after(1), value);
        }
        Ok(())
    }

    fn end(&mut self, now: Tick, lane: LaneId, utterance: UtteranceId) -> Result<(), SpeechError> {
        let Some(hearing) = self.lanes.get_mut(&lane) else { return Ok(()) };
        if hearing.utterance.take() != Some(utterance) {
            return Ok(());
        }
        let heard = hearing.engine.end()?;
        let (text, confidence) = (heard.text, heard.confidence);
        let value = Inbound::Transcript { lane, utterance, text, confidence, last: true };
        self.due.push(now.after(self.latency), value);
        Ok(())
    }

    fn perform(&mut self, now: Tick, effect: &Effect, out: &Output) {
        let (lane, utterance, done) = match *effect {
            Effect::Listen { lane, utterance, frame } => {
                (lane, utterance, self.listen(now, lane, utterance, out.frame(frame)))
            }
            Effect::ListenEnd { lane, utterance } => {
                (lane, utterance, self.end(now, lane, utterance))
            }
            Effect::ListenDrop { lane, utterance } => {
                let hearing = self.lanes.get_mut(&lane);
                if let Some(hearing) =
                    hearing.filter(|hearing| hearing.utterance == Some(utterance))
                {
                    hearing.utterance = None;
                    // Its words are not wanted; its failure is not of interest, either.
                    drop(hearing.engine.end());
                }
                return;
            }
            Effect::Speak { .. }
            | Effect::SpeakDrop { .. }
            | Effect::Answer { .. }
            | Effect::Ask { .. }
            | Effect::AskDrop { .. }
            | Effect::Native { .. }
            | Effect::Play { .. } => return,
        };
        if let Err(error) = done {
            // A broken engine is replaced at the next utterance.
            self.lanes.remove(&lane);
            let value = Inbound::RecogniserFailed { lane, utterance, cause: error.to_string() };
            self.due.push(now.after(1), value);
        }
    }
}

impl Edge for VirtualEar {
    fn give(&mut self, now: Tick, input: &mut Input) {
        self.due.give(now, input);
    }

    fn take(&mut self, now: Tick, out: &Output) {
        for effect in &out.effects {
            self.perform(now, effect, out);
        }
    }
}

/// A synthesiser in virtual time.
pub struct VirtualMouth {
    engine: Box<dyn Synthesiser>,
    apology: Option<Clip>,
    latency: u64,
    rate: Rate,
    due: Due,
}

impl VirtualMouth {
    /// A synthesiser whose audio comes `latency_ms` after the text, and an apology at hand.
    #[must_use]
    pub fn new(
        engine: Box<dyn Synthesiser>,
        apology: Option<Clip>,
        latency_ms: u32,
        len: TickLen,
        rate: Rate,
    ) -> Self {
        Self { engine, apology, latency: len.ticks_min_one(latency_ms), rate, due: Due::new() }
    }
}

impl Edge for VirtualMouth {
    fn give(&mut self, now: Tick, input: &mut Input) {
        self.due.give(now, input);
    }

    fn take(&mut self, now: Tick, out: &Output) {
        for effect in &out.effects {
            let Effect::Speak { item, text, voice, apology } = effect else { continue };
            let ready = self.apology.as_ref().filter(|_| *apology);
            let made = match ready {
                Some(clip) => Ok(clip.clone()),
                None => render(self.engine.as_mut(), text, voice, self.rate),
            };
            let value = match made {
                Ok(pcm) => Inbound::Speech { item: *item, pcm, last: true },
                Err(error) => Inbound::SynthesiserFailed { item: *item, cause: error.to_string() },
            };
            self.due.push(now.after(if ready.is_some() { 1 } else { self.latency }), value);
        }
    }
}
