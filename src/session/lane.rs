//! A participant's lane: from numbered frames to a tick of audio, voice, and utterances.
//!
//! Frames are put in order, gaps concealed; from the result a 16 kHz copy is made once, for voice
//! detection and recognition. Voice opens an **utterance**, which begins a little before the voice
//! was noticed and ends after the minimum silence.
//!
//! **Invariant:** a tick of a lane is exactly one tick of audio; an utterance is open or its words
//! are awaited, never both.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::output::{Effect, Output, SPEECH_FRAME};
use super::plan::Plan;
use crate::clock::Tick;
use crate::id::{LaneId, UtteranceId};
use crate::pcm::conceal::Concealer;
use crate::pcm::pcm_bytes;
use crate::pcm::reorder::{Pulled, Pushed, Reorder, ReorderCounts};
use crate::pcm::resample::Resampler;
use crate::pcm::voice::Voice;

/// Frames kept from before the voice was noticed: 300 ms, since soft beginnings of words score low.
const PREROLL_FRAMES: usize = 15;

/// Frames that a lane holds at most: 640 ms, or four ticks where those are longer.
const FRAMES_HELD_MIN: usize = 32;

/// Queued frames beyond these for a second are trimmed, one a second: 60 ms of jitter are normal.
const FRAMES_QUEUED_TARGET: u16 = 3;

/// An utterance with less voice than this has no words: 60 ms is shorter than any syllable.
pub(super) const WORDLESS_MS: u64 = 60;

/// A participant's lane.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lane {
    /// Its id.
    pub id: LaneId,
    /// The participant's name.
    pub name: String,
    /// Whether the participant is there.
    pub present: bool,
    order: Reorder<u16>,
    /// The samples of queued frames; frame `seq` stands at `seq % held`.
    #[serde(with = "pcm_bytes")]
    frames: Vec<i16>,
    held: u16,
    concealer: Concealer,
    to_speech: Resampler,
    voice: Voice,
    #[serde(with = "pcm_bytes")]
    preroll: Vec<i16>,
    /// The lane's audio of this tick.
    #[serde(skip)]
    pub tick: Vec<i16>,
    #[serde(skip)]
    speech: Vec<i16>,
    /// Whether it is voiced in this tick.
    pub voiced: bool,
    /// Whether a frame has ever come: a lane of typed text has no audio to detect voice in.
    has_audio: bool,
    ear: Ear,
    awaited: VecDeque<Awaited>,
    utterances: u32,
}

/// Whether an utterance is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Ear {
    Quiet,
    /// The recogniser has failed in this run of voice: the next run is heard again.
    Deaf {
        last_voiced: Tick,
    },
    Open {
        utterance: UtteranceId,
        since: Tick,
        last_voiced: Tick,
        voiced: u64,
        over_agent: bool,
    },
}

/// An utterance whose words are awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// The utterance.
    pub utterance: UtteranceId,
    /// When it ended.
    pub ended: Tick,
    /// Whether it began while the agent spoke.
    pub over_agent: bool,
    /// Its voiced ticks.
    pub voiced: u64,
}

/// A change of a lane's utterance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It began.
    Opened(UtteranceId),
    /// It ended, with so many voiced ticks.
    Closed(UtteranceId, u64),
}

impl Lane {
    /// A lane for a participant who has just joined.
    #[must_use]
    pub fn new(id: LaneId, name: String, plan: &Plan) -> Self {
        // A power of two, so that positions stay apart when sequence numbers wrap.
        let held = FRAMES_HELD_MIN.max(4 * plan.len.frames() as usize).next_power_of_two() as u16;
        Self {
            id,
            name,
            present: true,
            order: Reorder::new(plan.reorder, held),
            frames: Vec::new(),
            held,
            concealer: Concealer::new(plan.rate.hz()),
            to_speech: Resampler::new(&plan.to_speech),
            voice: Voice::new(),
            preroll: Vec::with_capacity(PREROLL_FRAMES * SPEECH_FRAME),
            tick: Vec::with_capacity(plan.samples()),
            speech: Vec::with_capacity(2 * SPEECH_FRAME),
            voiced: false,
            has_audio: false,
            ear: Ear::Quiet,
            awaited: VecDeque::with_capacity(plan.limits.utterances),
            utterances: 0,
        }
    }

    /// The number that the next frame should have, if another edge goes on with this lane.
    #[must_use]
    pub fn next_frame(&self) -> u16 {
        self.order.after_last().unwrap_or(0)
    }

    /// Takes a frame. One of the wrong length is dropped: false.
    pub fn push(&mut self, plan: &Plan, seq: u16, frame: &[i16]) -> bool {
        let len = plan.rate.frame();
        if frame.len() != len {
            return false;
        }
        if !self.has_audio {
            self.has_audio = true;
            self.frames.resize(usize::from(self.held) * len, 0);
        }
        match self.order.push(seq, seq) {
            Pushed::Queued | Pushed::Overflow => {
                let at = usize::from(seq % self.held) * len;
                self.frames[at..at + len].copy_from_slice(frame);
            }
            Pushed::Duplicate | Pushed::Late => {}
        }
        true
    }

    /// Hears this tick, and `skipped` ticks that were jumped over before it: all of it goes to voice
    /// detection, the latest tick of it to the mix. Returns a change of the utterance.
    pub fn hear(
        &mut self,
        plan: &Plan,
        now: Tick,
        skipped: u32,
        agent_speaks: bool,
        out: &mut Output,
    ) -> Option<Change> {
        self.voiced = false;
        self.tick.clear();
        if !self.has_audio {
            self.tick.resize(plan.samples(), 0);
            return None;
        }
        let frames = plan.len.frames();
        for frame in 0..frames * (1 + skipped.min(u32::from(self.held) / frames)) {
            if frame % frames == 0 {
                self.tick.clear();
            }
            self.pull_frame(plan);
            self.speech.clear();
            let from = self.tick.len() - plan.rate.frame();
            self.to_speech.push(&plan.to_speech, &self.tick[from..], &mut self.speech);
            self.voiced |= self.voice.hear(&self.speech, plan.threshold);
            self.remember();
            if let Ear::Open { utterance, .. } = self.ear {
                listen(plan, self.id, utterance, &self.speech, out);
            }
        }
        self.segment(plan, now, agent_speaks, out)
    }

    fn pull_frame(&mut self, plan: &Plan) {
        let (from, len) = (self.tick.len(), plan.rate.frame());
        let target = FRAMES_QUEUED_TARGET.max(plan.reorder).max(plan.len.frames() as u16);
        self.order.trim(target);
        match self.order.pull() {
            Pulled::Item(seq) => {
                let at = usize::from(seq % self.held) * len;
                self.tick.extend_from_slice(&self.frames[at..at + len]);
                self.concealer.receive(&mut self.tick[from..]);
            }
            Pulled::Lost | Pulled::Waiting => {
                self.tick.resize(from + len, 0);
                self.concealer.conceal(&mut self.tick[from..]);
            }
        }
    }

    fn remember(&mut self) {
        let bound = PREROLL_FRAMES * SPEECH_FRAME;
        let excess = (self.preroll.len() + self.speech.len()).saturating_sub(bound);
        self.preroll.drain(..excess.min(self.preroll.len()));
        self.preroll.extend_from_slice(&self.speech);
    }

    /// Opens, extends or closes the utterance.
    fn segment(
        &mut self,
        plan: &Plan,
        now: Tick,
        agent_speaks: bool,
        out: &mut Output,
    ) -> Option<Change> {
        match &mut self.ear {
            Ear::Quiet if self.voiced && self.awaited.len() < plan.limits.utterances => {
                let utterance = UtteranceId(self.utterances);
                self.utterances += 1;
                self.ear = Ear::Open {
                    utterance,
                    since: now,
                    last_voiced: now,
                    voiced: 1,
                    over_agent: agent_speaks,
                };
                listen(plan, self.id, utterance, &self.preroll, out);
                Some(Change::Opened(utterance))
            }
            Ear::Quiet => None,
            Ear::Deaf { last_voiced } => {
                if self.voiced {
                    *last_voiced = now;
                } else if now.since(*last_voiced) >= plan.rules.end_silence_min {
                    self.ear = Ear::Quiet;
                }
                None
            }
            Ear::Open { utterance, since, last_voiced, voiced, over_agent } => {
                if self.voiced {
                    *last_voiced = now;
                    *voiced += 1;
                }
                let silent = now.since(*last_voiced) >= plan.rules.end_silence_min;
                let endless = now.since(*since) >= plan.len.ticks(plan.limits.utterance_ms);
                if !silent && !endless {
                    return None;
                }
                let (utterance, voiced, over_agent) = (*utterance, *voiced, *over_agent);
                self.ear = Ear::Quiet;
                self.close(plan, Awaited { utterance, ended: now, over_agent, voiced }, out);
                Some(Change::Closed(utterance, voiced))
            }
        }
    }

    /// Ends the utterance that is open, in the midst of it: its words are wanted now.
    pub fn cut(&mut self, plan: &Plan, now: Tick, out: &mut Output) -> Option<(UtteranceId, u64)> {
        let Ear::Open { utterance, voiced, over_agent, .. } = &self.ear else { return None };
        let (utterance, voiced, over_agent) = (*utterance, *voiced, *over_agent);
        self.ear = Ear::Quiet;
        self.close(plan, Awaited { utterance, ended: now, over_agent, voiced }, out);
        Some((utterance, voiced))
    }

    fn close(&mut self, plan: &Plan, awaited: Awaited, out: &mut Output) {
        if plan.recogniser.is_none() {
            return;
        }
        let (lane, Awaited { utterance, voiced, .. }) = (self.id, awaited);
        if plan.len.span_ms(voiced) < WORDLESS_MS {
            out.effects.push(Effect::ListenDrop { lane, utterance });
            return;
        }
        out.effects.push(Effect::ListenEnd { lane, utterance });
        self.awaited.push_back(awaited);
    }

    /// Takes an utterance out of those whose words are awaited.
    pub fn settle(&mut self, utterance: UtteranceId) -> Option<Awaited> {
        let at = self.awaited.iter().position(|awaited| awaited.utterance == utterance)?;
        self.awaited.remove(at)
    }

    /// Whether this utterance is open, or its words are awaited.
    #[must_use]
    pub fn knows(&self, asked: UtteranceId) -> bool {
        let open = matches!(self.ear, Ear::Open { utterance, .. } if utterance == asked);
        open || self.awaited.iter().any(|awaited| awaited.utterance == asked)
    }

    /// Ends an open utterance without words: the recogniser has given it up.
    pub fn give_up(&mut self, asked: UtteranceId) -> bool {
        if let Ear::Open { utterance, last_voiced, .. } = self.ear
            && utterance == asked
        {
            self.ear = Ear::Deaf { last_voiced };
            return true;
        }
        self.settle(asked).is_some()
    }

    /// Takes the place of the same participant's earlier lane: what was awaited there is dropped, and
    /// utterances are numbered on.
    pub fn follow(&mut self, before: &mut Self, plan: &Plan, out: &mut Output) {
        let open = match before.ear {
            Ear::Open { utterance, .. } => Some(utterance),
            Ear::Quiet | Ear::Deaf { .. } => None,
        };
        let lane = self.id;
        let heard = open.filter(|_| plan.recogniser.is_some());
        for utterance in before.awaited.drain(..).map(|awaited| awaited.utterance).chain(heard) {
            out.effects.push(Effect::ListenDrop { lane, utterance });
        }
        self.utterances = before.utterances;
    }

    /// The participant has gone: an open utterance ends, and its words are still wanted.
    pub fn leave(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        self.present = false;
        self.has_audio = false;
        self.voiced = false;
        if let Ear::Open { utterance, voiced, over_agent, .. } = self.ear {
            self.ear = Ear::Quiet;
            self.close(plan, Awaited { utterance, ended: now, over_agent, voiced }, out);
        }
    }

    /// The first utterance whose words have been awaited for `patience` ticks.
    #[must_use]
    pub fn overdue(&self, now: Tick, patience: u64) -> Option<UtteranceId> {
        let first = self.awaited.front()?;
        (now.since(first.ended) >= patience).then_some(first.utterance)
    }

    /// Whether an utterance is open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.ear, Ear::Open { .. })
    }

    /// Whether an utterance is open, or words are awaited.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        matches!(self.ear, Ear::Open { .. }) || !self.awaited.is_empty()
    }

    /// The utterances whose words are awaited.
    #[must_use]
    pub const fn awaited(&self) -> &VecDeque<Awaited> {
        &self.awaited
    }

    /// The order of its frames.
    #[must_use]
    pub const fn order(&self) -> &Reorder<u16> {
        &self.order
    }

    /// What became of its frames.
    #[must_use]
    pub fn counts(&self) -> ReorderCounts {
        self.order.counts()
    }
}

/// Gives samples to the recogniser, a frame an effect.
fn listen(plan: &Plan, lane: LaneId, utterance: UtteranceId, speech: &[i16], out: &mut Output) {
    if plan.recogniser.is_none() {
        return;
    }
    for samples in speech.chunks_exact(SPEECH_FRAME) {
        let frame = (out.frames.len() / SPEECH_FRAME) as u32;
        out.frames.extend_from_slice(samples);
        out.effects.push(Effect::Listen { lane, utterance, frame });
    }
}
