//! A caller: a participant that plays clips, types texts and presses keys at cues, and whose application
//! tells the session of events.
//!
//! The caller hears the agent's previous tick, as the session hears the caller's: each cue waits for
//! something to have happened there. Between cues it sends its noise bed, or silence.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::clock::{Rate, Tick, TickLen};
use crate::config::scenario::Told;
use crate::id::LaneId;
use crate::session::input::{Inbound, Input};
use crate::session::output::Output;
use crate::sim::errands::Errands;
use crate::slot::Edge;
use crate::tool::Json;

use super::network::Network;

/// When a cue comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// So long after the start of the call.
    Start(u32),
    /// So long after the cue before it was over.
    Previous(u32),
    /// Once the agent has spoken for so long, without a pause, since the cue before.
    AgentSpoke(u32),
    /// Once the agent has spoken since the cue before, and then been silent for so long.
    AgentSilent(u32),
    /// Once the turn of the cue before is answered and the agent has had nothing more to do for so long.
    AgentDone(u32),
}

/// What a caller does at a cue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Plays a clip, at the session's rate.
    Play(Arc<[i16]>),
    /// Types a text.
    Type(String),
    /// Presses keys of a telephone, one every 200 ms.
    Press(String),
    /// Has the session told of an event.
    Tell(Told),
}

/// Something for a caller to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// When, in milliseconds.
    pub when: When,
    /// What.
    pub act: Act,
}

/// What a caller does in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The caller's name.
    pub name: String,
    /// Its cues, in order.
    pub cues: Vec<Cue>,
    /// Noise that it sends all the time, looped; empty for none.
    pub noise: Arc<[i16]>,
    /// A cue that waits for the agent comes after so long in any case, in milliseconds.
    pub patience_ms: u32,
    /// After the last cue, how long nobody is heard before the caller hangs up, in milliseconds.
    pub hang_up_ms: u32,
    /// Whether any audio is sent: a caller that only types has no microphone.
    pub audio: bool,
}

/// How long a cue waits for the agent at most, unless said otherwise: longer than the longest answer
/// of a demo, and short enough to see that one is missing.
pub const PATIENCE_MS: u32 = 20_000;

/// How long a caller waits for the agent after its last cue: longer than a turn's maximum silence
/// and a slow tool together.
pub const HANG_UP_MS: u32 = 6_000;

/// A key is pressed so long after the one before, in milliseconds: a tone and a pause of 100 ms each, as
/// telephones send them.
const KEY_MS: u32 = 200;

/// A caller in a call.
#[derive(Debug)]
pub struct Caller {
    part: Part,
    lane: LaneId,
    len: TickLen,
    rate: Rate,
    network: Network,
    next: usize,
    doing: Doing,
    noise_at: usize,
    seq: u16,
    agent: AgentHeard,
    errands: Errands,
    previous_over: Tick,
    stay: Stay,
    frame: Vec<i16>,
    /// Callers that are still in the call.
    company: Arc<AtomicUsize>,
    progress: Arc<Progress>,
    /// It waits for the agent to be done before it hangs up.
    polite: bool,
}

/// How far a caller has come with its cues, for whoever watches a call.
#[derive(Debug, Default)]
pub struct Progress {
    begun: AtomicUsize,
    over: AtomicUsize,
}

impl Progress {
    /// Cues that have begun.
    #[must_use]
    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Cues that are over.
    #[must_use]
    pub fn over(&self) -> usize {
        self.over.load(Ordering::Relaxed)
    }
}

/// Where a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stay {
    Coming,
    Here,
    Gone,
}

/// What a caller does that takes a while.
#[derive(Debug)]
enum Doing {
    Nothing,
    /// It plays a clip, up to this sample.
    Playing(Arc<[i16]>, usize),
    /// It presses these keys, the first of them at this tick.
    Pressing(VecDeque<char>, Tick),
}

/// What the caller has heard of the agent since its last cue.
#[derive(Debug, Clone, Copy, Default)]
struct AgentHeard {
    speaks: bool,
    since: Tick,
    ever: bool,
}

impl Caller {
    /// A caller on a lane of a session with these ticks and rate.
    #[must_use]
    pub fn new(part: Part, lane: LaneId, len: TickLen, rate: Rate, network: Network) -> Self {
        Self {
            part,
            lane,
            len,
            rate,
            network,
            next: 0,
            doing: Doing::Nothing,
            noise_at: 0,
            seq: 0,
            agent: AgentHeard::default(),
            errands: Errands::default(),
            previous_over: Tick(0),
            stay: Stay::Coming,
            frame: Vec::with_capacity(rate.frame()),
            company: Arc::new(AtomicUsize::new(1)),
            progress: Arc::default(),
            polite: false,
        }
    }

    /// One of several callers, who are counted together: the last to leave hangs up.
    #[must_use]
    pub fn among(mut self, company: Arc<AtomicUsize>) -> Self {
        self.company = company;
        self
    }

    /// One that hangs up only once the agent has nothing more to do, for as long as it has patience.
    #[must_use]
    pub const fn polite(mut self) -> Self {
        self.polite = true;
        self
    }

    /// How far it has come, from now on.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    fn is_due(&self, when: When, now: Tick) -> bool {
        let after = |since: Tick, ms: u32| now.since(since) >= self.len.ticks(ms);
        let agent = self.agent;
        match when {
            When::Start(ms) => now.0 >= self.len.ticks(ms),
            When::Previous(ms) => after(self.previous_over, ms),
            When::AgentSpoke(_) | When::AgentSilent(_) | When::AgentDone(_)
                if after(self.previous_over, self.part.patience_ms) =>
            {
                true
            }
            When::AgentSpoke(ms) => agent.speaks && after(agent.since, ms),
            When::AgentSilent(ms) => agent.ever && !agent.speaks && after(agent.since, ms),
            When::AgentDone(ms) => {
                let free = self.errands.free_since();
                free.is_some_and(|since| after(since.max(self.previous_over), ms))
            }
        }
    }

    fn act(&mut self, now: Tick, input: &mut Input) {
        self.press(now, input);
        while matches!(self.doing, Doing::Nothing) {
            let Some(cue) = self.part.cues.get(self.next) else { return };
            if !self.is_due(cue.when, now) {
                return;
            }
            self.progress.begun.fetch_add(1, Ordering::Relaxed);
            match &cue.act {
                Act::Play(clip) => {
                    self.errands.expect_turn();
                    self.doing = Doing::Playing(Arc::clone(clip), 0);
                }
                Act::Type(text) => {
                    self.errands.expect_turn();
                    input.inbound.push(Inbound::UserText { lane: self.lane, text: text.clone() });
                    self.over(now);
                }
                // Keys and events are no turn: nobody waits for their answer.
                Act::Press(keys) => {
                    self.doing = Doing::Pressing(keys.chars().collect(), now);
                    self.press(now, input);
                }
                Act::Tell(told) => {
                    input.inbound.push(inbound(told, self.lane));
                    self.over(now);
                }
            }
            self.next += 1;
        }
    }

    /// Presses a key, if one is due.
    fn press(&mut self, now: Tick, input: &mut Input) {
        let Doing::Pressing(keys, next) = &mut self.doing else { return };
        if now < *next {
            return;
        }
        if let Some(digit) = keys.pop_front() {
            input.inbound.push(Inbound::Digit { lane: self.lane, digit });
            *next = now.after(self.len.ticks_min_one(KEY_MS));
        }
        if keys.is_empty() {
            self.doing = Doing::Nothing;
            self.over(now);
        }
    }

    /// A cue is over: what the next one waits for counts from here.
    fn over(&mut self, now: Tick) {
        self.previous_over = now;
        self.progress.over.fetch_add(1, Ordering::Relaxed);
        // An agent that is still speaking is heard speaking from here on.
        self.agent.since = now;
        self.agent.ever = self.agent.speaks;
    }

    /// The next 20 ms of what the caller sends.
    fn fill_frame(&mut self, now: Tick) {
        let len = self.rate.frame();
        self.frame.clear();
        self.frame.resize(len, 0);
        let noise = &self.part.noise;
        if !noise.is_empty() {
            let mut rest = &mut self.frame[..];
            while !rest.is_empty() {
                let len = rest.len().min(noise.len() - self.noise_at);
                let (now, later) = rest.split_at_mut(len);
                now.copy_from_slice(&noise[self.noise_at..self.noise_at + len]);
                self.noise_at = (self.noise_at + len) % noise.len();
                rest = later;
            }
        }
        let Doing::Playing(clip, at) = &mut self.doing else { return };
        let to = (*at + len).min(clip.len());
        for (sample, &voice) in self.frame.iter_mut().zip(&clip[*at..to]) {
            *sample = sample.saturating_add(voice);
        }
        *at = to;
        if to == clip.len() {
            self.doing = Doing::Nothing;
            self.over(now);
        }
    }
}

/// What comes of an event that is told: of the participant on this lane, where it is about one.
fn inbound(told: &Told, lane: LaneId) -> Inbound {
    match told.clone() {
        Told::Custom { name, data } => Inbound::Custom { lane: None, name, data: Json(data) },
        Told::Data { topic, text } => {
            Inbound::Data { lane: Some(lane), topic, bytes: text.into_bytes(), reliable: true }
        }
        Told::Attributes(changed) => Inbound::Attributes { lane, changed },
        Told::Metadata(text) => Inbound::Metadata { lane: Some(lane), text },
        Told::RoomMetadata(text) => Inbound::Metadata { lane: None, text },
    }
}

impl Edge for Caller {
    fn give(&mut self, now: Tick, input: &mut Input) {
        match self.stay {
            Stay::Gone => return,
            Stay::Here => {}
            Stay::Coming => {
                self.stay = Stay::Here;
                input
                    .inbound
                    .push(Inbound::Joined { lane: self.lane, name: self.part.name.clone() });
            }
        }
        // Ticks that the pacer jumped over were lived by the caller, too.
        for _ in 0..=input.skipped {
            self.act(now, input);
            if self.part.audio {
                for _ in 0..self.len.frames() {
                    self.fill_frame(now);
                    self.network.send(self.lane, self.seq, &self.frame, input);
                    self.seq = self.seq.wrapping_add(1);
                }
            }
        }
        let done = self.next == self.part.cues.len() && matches!(self.doing, Doing::Nothing);
        let quiet = now.since(self.previous_over.max(self.agent.since))
            >= self.len.ticks(self.part.hang_up_ms);
        let polite =
            self.polite && now.since(self.previous_over) < self.len.ticks(self.part.patience_ms);
        let waits = polite && self.errands.free_since().is_none();
        if done && quiet && !self.agent.speaks && !waits {
            self.stay = Stay::Gone;
            input.inbound.push(Inbound::Left { lane: self.lane });
            if self.company.fetch_sub(1, Ordering::Relaxed) == 1 {
                let reason = format!("{} hung up", self.part.name);
                input.inbound.push(Inbound::HangUp { reason });
            }
        }
    }

    fn take(&mut self, now: Tick, out: &Output) {
        if out.agent_speech != self.agent.speaks {
            self.agent.speaks = out.agent_speech;
            self.agent.since = now;
        }
        self.agent.ever |= out.agent_speech;
        self.errands.take(now, out);
    }
}
