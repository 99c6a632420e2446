//! `report.html`: a call as one page that a stranger can read.
//!
//! A [`Story`] is fed tick by tick, like a [`Tally`]; at its end it is a [`Report`], which writes the page:
//! one file with everything in it, the recording included, that loads nothing from anywhere. It shows
//! who spoke when, and says in plain words why each hand-over and each interruption happened, and why a
//! cough was none.
//!
//! What a story holds is bounded, whatever the length of the call: waveforms get coarser,
//! lists take so many and count the rest, events fill 8 MB. The page tells what it
//! left out. The transcript alone grows with the talk, as that of the folder does.
//!
//! Texts of callers, tools and configurations are data in the page, never markup: the script shows them
//! with `textContent` alone, the picture of the agents has them escaped, and the page's policy lets no other
//! script run.
//!
//! **Invariant:** equal outputs and recordings give equal pages; what was measured stands in it only
//! where the lateness of ticks was.

mod answers;
mod calls;
#[cfg(feature = "opus")]
mod coded;
#[cfg(not(feature = "opus"))]
#[path = "no_opus.rs"]
mod coded;
mod cuts;
mod kept;
mod lateness;
mod moves;
mod overlaps;
mod page;
mod path;
mod peaks;
mod prose;
#[cfg(test)]
mod several_tests;
mod sound;
mod stage;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::Timing;
use super::metrics::{Metrics, Tally};
use super::turns::{Turn, Turns};
use crate::clock::Tick;
use crate::pcm::mix;
use crate::session::event::{Event, EventKind};
use crate::session::output::Output;
use crate::session::plan::Plan;

use answers::Answers;
use calls::{Call, Calls};
use cuts::{CutItem, Cuts};
use kept::Kept;
use lateness::Lateness;
use moves::{Moves, Way};
use overlaps::Overlaps;
use path::{How, Path};
use peaks::Peaks;
use prose::{QUOTE_MAX, beginning};
use stage::{Said, Stage, Words};

pub use sound::{SECONDS_MAX, Sound};

/// Bytes of events that a page holds: an hour of lively talk. Words that are not the last fill half of
/// it at most.
const EVENTS_ROOM: usize = 8 << 20;

/// Agents' times with the call that are told one by one.
const SPANS_MAX: usize = 1_000;

/// A call, as far as it has gone.
#[derive(Debug, Clone)]
pub struct Story {
    plan: Arc<Plan>,
    seed: u64,
    /// The wall time of tick 0, where the call is held in real time.
    live_since_ms: Option<u64>,
    diverged: Option<Tick>,
    tally: Tally,
    turns: Turns,
    lateness: Lateness,
    peaks: Peaks,
    stage: Stage,
    answers: Answers,
    calls: Calls,
    moves: Moves,
    path: Path,
    cuts: Cuts,
    overlaps: Overlaps,
    /// Who had the call from when on.
    agents: Kept<(Tick, String)>,
    events: Events,
    /// The first tick after the last.
    end: Tick,
}

/// Events as JSON, one after another with commas between.
#[derive(Debug, Clone, Default)]
struct Events {
    json: Vec<u8>,
    lost: u64,
}

impl Story {
    /// The story of a call that is about to begin.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            seed: plan.config.seed,
            live_since_ms: None,
            diverged: None,
            tally: Tally::new(),
            turns: Turns::new(&plan),
            lateness: Lateness::default(),
            peaks: Peaks::new(plan.len),
            stage: Stage::default(),
            answers: Answers::new(),
            calls: Calls::new(),
            moves: Moves::new(),
            path: Path::new(),
            cuts: Cuts::new(),
            overlaps: Overlaps::new(),
            agents: Kept::new(SPANS_MAX),
            events: Events::default(),
            end: Tick(0),
            plan,
        }
    }

    /// The session has this seed, and not that of the configuration.
    pub const fn seeded(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// The call is held in real time, and began at this wall time.
    pub const fn live_since(&mut self, unix_ms: u64) {
        self.live_since_ms = Some(unix_ms);
    }

    /// From this tick on, the call goes another way than the recording that it was forked from.
    pub const fn diverge(&mut self, from: Tick) {
        self.diverged = Some(from);
        self.tally.diverge(from);
    }

    /// Hears one tick.
    pub fn tick(&mut self, now: Tick, out: &Output, timing: Timing) {
        self.tally.tick(&self.plan, now, out);
        self.tally.timing(timing);
        self.turns.tick(now, out);
        self.lateness.note(timing.lateness_ns, timing.skipped);
        for event in &out.events {
            self.events.put(event, &self.plan, self.diverged);
            self.note(now, &event.kind);
        }
        self.overlaps.settle();
        for level in &out.levels {
            self.peaks.lane(now, level.lane, level.peak, level.voiced);
        }
        self.peaks.agent(now, mix::peak(&out.audio), out.agent_speech);
        self.end = now.after(1);
    }

    /// Counts an inline call that took longer than its budget.
    pub fn overrun(&mut self, tool: &str) {
        self.tally.overrun(tool);
    }

    /// Notes that so many ticks are not in the journal.
    pub const fn journal_lost(&mut self, ticks: u64) {
        self.tally.journal_lost(ticks);
    }

    /// The call is over, for this reason.
    #[must_use]
    pub fn finish(mut self, end: &str) -> Report {
        self.overlaps.finish();
        let metrics = self.tally.metrics(&self.plan, end);
        let turns = std::mem::replace(&mut self.turns, Turns::new(&self.plan));
        let transcript = turns.finish(self.diverged);
        Report { story: self, metrics, transcript }
    }

    pub(super) const fn turns(&self) -> &Turns {
        &self.turns
    }

    fn note(&mut self, now: Tick, kind: &EventKind) {
        let confidence_min = self.plan.confidence;
        let Self { stage, answers, calls, moves, path, cuts, overlaps, .. } = self;
        match kind {
            EventKind::UserJoined { lane, name } => {
                stage.join(*lane, name);
                cuts.join(*lane);
                self.peaks.join(*lane, &stage.name(*lane));
            }
            EventKind::UserSpeechStarted { lane, utterance, over_agent } => {
                stage.opened(now, *lane, *utterance);
                if *over_agent {
                    overlaps.began(now, *lane, *utterance, stage);
                }
            }
            EventKind::UserSpeechStopped { lane, utterance, voiced_ms } => {
                stage.closed(now, *lane, *utterance, *voiced_ms);
                answers.stopped(now);
            }
            EventKind::UserTranscript { lane, utterance, text, confidence, last: true } => {
                answers.words(now);
                // While an utterance is open, no words are its last, whatever they say.
                let is_open =
                    stage.speaking().any(|known| known.lane == *lane && known.id == *utterance);
                let settled = if is_open { None } else { stage.settled(*lane, *utterance) };
                if let Some(known) = settled {
                    let (since, lane) = (known.since, *lane);
                    let (text, confidence) = (beginning(text, QUOTE_MAX), *confidence);
                    let utterance = *utterance;
                    let words = Words { at: now, since, lane, utterance, text, confidence };
                    overlaps.words(&known, &words, confidence_min);
                    cuts.words(&words);
                    stage.words = Some(words);
                }
            }
            EventKind::RecogniserFailed { lane, utterance, cause } => {
                if let Some(known) = stage.settled(*lane, *utterance) {
                    overlaps.failed(&known, cause);
                }
                cuts.failed(now, (*lane, *utterance), &stage.name(*lane), cause);
            }
            EventKind::UserBackchannel { lane, text } => {
                cuts.attention(now, *lane);
                overlaps.attention(*lane, text);
            }
            EventKind::UserMessage { lane, text, intent, typed, last_voiced, .. } => {
                let who = stage.name(*lane);
                let message = (text.as_str(), intent.as_deref());
                cuts.turn(now, (*lane, &who, *typed), message, confidence_min);
                answers.turn(now, &who, text, *typed, if *typed { now } else { *last_voiced });
                let (text, intent, typed) = (text.clone(), intent.clone(), *typed);
                stage.turn(Said { at: now, who, text, intent, typed, asked: false });
            }
            EventKind::AgentStarted { agent } => {
                stage.agent.clone_from(agent);
                moves.arrived(now, agent);
                path.arrived(agent);
                self.agents.push((now, agent.clone()));
            }
            EventKind::AgentBegan { item, agent, .. } => {
                stage.announced(now, *item, agent, "");
                answers.began(now, *item, agent);
            }
            EventKind::AgentWords { item, text } => stage.more(*item, text),
            // It has begun, and all its words are known.
            EventKind::AgentMessage { item, .. } if stage.item(*item).is_some() => {}
            EventKind::AgentMessage { item, agent, text } => {
                stage.announced(now, *item, agent, text);
                answers.announced(now, *item, agent);
                if self.plan.synthesiser.is_none() {
                    answers.heard(now, *item);
                    moves.heard(now, agent);
                }
            }
            EventKind::AgentSpeechStarted { item } => {
                stage.started(now, *item);
                answers.heard(now, *item);
                let agent = stage.item(*item).map_or("", |item| &*item.agent);
                moves.heard(now, agent);
            }
            EventKind::AgentSpeechFinished { item } => stage.over(*item),
            EventKind::SynthesiserFailed { item, .. } => stage.over(*item),
            EventKind::AgentInterrupted {
                item,
                cause,
                since,
                voiced_ms,
                spoken,
                unspoken,
                played_ms: _,
            } => {
                let (item, cause, since, voiced_ms) = (*item, *cause, *since, *voiced_ms);
                let cut = CutItem { item, cause, since, voiced_ms, spoken, unspoken };
                overlaps.cut(cause, stage);
                cuts.cut(now, cut, stage);
            }
            EventKind::AgentResumed => cuts.resumed(now, confidence_min),
            EventKind::ToolCalled { call, name, arguments, .. } => {
                let turn = stage.asking(now, name, &self.plan.config);
                let call = Call {
                    id: *call,
                    tool: name.clone(),
                    arguments: arguments.0.clone(),
                    agent: stage.agent.clone(),
                    at: now,
                    deferred: false,
                    result: None,
                };
                calls.called(call, turn);
            }
            EventKind::ToolDeferred { call, .. } => calls.deferred(*call),
            EventKind::ToolResult { call, name, outcome, after_ticks } => {
                calls.result(now, *call, name, outcome, *after_ticks, &self.plan);
            }
            EventKind::TransitionExecuted { from, to, transition, cause } => {
                path.step(now, (from, to), How::HandedOver(*transition, cause.clone()));
                let way = Way { from, to, cause };
                moves.executed(now, way, *transition, &self.plan, stage, calls);
            }
            EventKind::TransitionRefused { from, to, cause, reason } => {
                moves.refused(now, Way { from, to, cause }, reason, &self.plan, stage, calls);
            }
            EventKind::AgentCalled { agent, by, .. } => {
                path.step(now, (by, agent), How::Called);
            }
            EventKind::AgentReturned { agent, to, .. } => {
                path.step(now, (agent, to), How::Returned);
            }
            EventKind::SessionCreated { .. }
            | EventKind::SessionEnded { .. }
            | EventKind::UserLeft { .. }
            | EventKind::UserTranscript { last: false, .. }
            | EventKind::UserAway
            | EventKind::UserReturned
            | EventKind::ToolUnexpected { .. }
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
}

impl Events {
    fn put(&mut self, event: &Event, plan: &Plan, diverged: Option<Tick>) {
        let is_partial = matches!(event.kind, EventKind::UserTranscript { last: false, .. });
        let room = if is_partial { EVENTS_ROOM / 2 } else { EVENTS_ROOM };
        let mut json = event.to_json(plan.len);
        if diverged.is_some_and(|from| event.tick >= from) {
            json["counterfactual"] = true.into();
        }
        let text = json.to_string();
        if self.json.len() + text.len() > room {
            self.lost += 1;
            return;
        }
        if !self.json.is_empty() {
            self.json.push(b',');
        }
        self.json.extend_from_slice(text.as_bytes());
    }
}

/// A call that is over, ready to be shown.
#[derive(Debug, Clone)]
pub struct Report {
    story: Story,
    metrics: Metrics,
    transcript: Vec<Turn>,
}

impl Report {
    /// What was counted and measured.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Who said what.
    #[must_use]
    pub fn transcript(&self) -> &[Turn] {
        &self.transcript
    }

    /// The page.
    #[must_use]
    pub fn html(&self, sound: &Sound) -> Vec<u8> {
        page::html(self, sound)
    }
}
