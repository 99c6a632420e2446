//! What the ticks of a session contain, as plain observations.
//!
//! An [`Observer`] looks at the output of each tick and tells what it finds: a turn, a cut, an answer
//! after so many ticks. It is the one place that defines a latency. A [`Tally`](super::Tally) collects
//! observations of a call for its `metrics.json`, a [`SessionMeter`](super::SessionMeter) adds them to
//! the figures of the process; so both always agree.
//!
//! **Invariant:** an observation is told once, in the tick in which it is known, without a lock and
//! without memory from the system: this runs on the thread of a tick as well.

use crate::clock::Tick;
use crate::id::ItemId;
use crate::session::event::{CutCause, EventKind};
use crate::session::output::Output;
use crate::session::plan::Plan;

/// Something that a tick contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// A turn of the user ended, or was typed.
    Turn,
    /// The agent spoke up: its first item since the user's last turn.
    AgentTurn,
    /// A spoken turn was answered: ticks from its last voiced one to the one in which the agent begins.
    Answered(u64),
    /// A typed turn was answered: ticks from its text to the one in which the agent begins.
    AnsweredTyped(u64),
    /// The agent was cut.
    Interruption,
    /// Ticks from the first voiced one of an interruption to the first one, from the cut on, in which
    /// the agent is not heard.
    Yielded(u64),
    /// The agent went on where it was cut.
    FalseInterruption,
    /// A short sound of attention.
    Backchannel,
    /// A hand-over from agent to agent.
    HandOver,
    /// A tool was called.
    ToolCall,
    /// A call was not back at the next tick.
    ToolDeferred,
    /// A call gave a value.
    ToolDone,
    /// A call gave none.
    ToolFailure,
    /// The recogniser gave up an utterance.
    RecogniserFailure,
    /// The synthesiser gave up an item.
    SynthesiserFailure,
    /// The pacer jumped over so many ticks.
    Skipped(u32),
    /// The journal could not be written any more.
    JournalLost,
    /// Something was refused because its bound was reached.
    LimitReached,
}

/// What has to be remembered from tick to tick.
#[derive(Debug, Clone, Copy, Default)]
pub struct Observer {
    /// The user's turn that waits for an answer.
    unanswered: Option<Unanswered>,
    /// The first voiced tick of the interruption that the agent has not yielded to.
    yielding: Option<Tick>,
    /// The last tick in which the agent was cut.
    cut: Option<Tick>,
    /// The last item that a model has begun to speak by itself.
    begun: Option<ItemId>,
    /// When it began to be heard, where nobody was known to wait: the words of a turn may be known later than its answer.
    early: Option<Tick>,
    /// Whether the agent was heard in the last tick.
    agent_speech: bool,
    /// Whether the agent has said something since the user's last turn.
    spoke_up: bool,
}

#[derive(Debug, Clone, Copy)]
struct Unanswered {
    since: Tick,
    typed: bool,
}

impl Observer {
    /// Tells what one tick contains.
    pub fn tick(
        &mut self,
        plan: &Plan,
        now: Tick,
        out: &Output,
        mut tell: impl FnMut(Observation),
    ) {
        for event in &out.events {
            self.event(plan, now, &event.kind, &mut tell);
        }
        if !out.agent_speech
            && let Some(since) = self.yielding.take()
        {
            tell(Observation::Yielded(now.since(since)));
        }
        self.agent_speech = out.agent_speech;
    }

    fn event(
        &mut self,
        plan: &Plan,
        now: Tick,
        kind: &EventKind,
        tell: &mut impl FnMut(Observation),
    ) {
        match kind {
            EventKind::UserMessage { typed, last_voiced, .. } => {
                self.spoke_up = false;
                let since = if *typed { now } else { *last_voiced };
                self.unanswered = Some(Unanswered { since, typed: *typed });
                tell(Observation::Turn);
                if let Some(early) = self.early.take().filter(|early| *early > since) {
                    self.answered(early, tell);
                }
            }
            EventKind::AgentSpeechStarted { item } => {
                let is_native = self.begun.is_some_and(|begun| *item <= begun);
                if is_native && self.unanswered.is_none() {
                    self.early.get_or_insert(now);
                }
                self.answered(now, tell);
            }
            EventKind::UserSpeechStopped { .. } => self.early = None,
            EventKind::AgentBegan { item, .. } => self.begun = Some(*item),
            // Without a voice, what is written is said; what a model speaks by itself has one.
            EventKind::AgentMessage { item, .. }
                if plan.synthesiser.is_none() && self.begun.is_none_or(|begun| begun < *item) =>
            {
                self.answered(now, tell);
            }
            // Nobody has heard any of it.
            EventKind::AgentInterrupted { cause: CutCause::Overtaken, played_ms: 0, .. } => {}
            EventKind::AgentInterrupted { cause, since, .. } => {
                // A cut is told once for every item that it cuts.
                if self.cut.replace(now) == Some(now) {
                    return;
                }
                if *cause == CutCause::Voice && self.agent_speech {
                    self.yielding = Some(*since);
                }
                tell(Observation::Interruption);
            }
            EventKind::AgentResumed => tell(Observation::FalseInterruption),
            EventKind::UserBackchannel { .. } => tell(Observation::Backchannel),
            EventKind::TransitionExecuted { .. } => tell(Observation::HandOver),
            EventKind::ToolCalled { .. } => tell(Observation::ToolCall),
            EventKind::ToolResult { outcome, .. } => tell(match outcome.is_done() {
                true => Observation::ToolDone,
                false => Observation::ToolFailure,
            }),
            EventKind::ToolDeferred { .. } => tell(Observation::ToolDeferred),
            EventKind::RecogniserFailed { .. } => tell(Observation::RecogniserFailure),
            EventKind::SynthesiserFailed { .. } => tell(Observation::SynthesiserFailure),
            EventKind::TickSkipped { count } => tell(Observation::Skipped(*count)),
            EventKind::JournalLost { .. } => tell(Observation::JournalLost),
            EventKind::LimitReached { .. } => tell(Observation::LimitReached),
            EventKind::SessionStrained { .. }
            | EventKind::SessionRelieved { .. }
            | EventKind::SessionCreated { .. }
            | EventKind::SessionEnded { .. }
            | EventKind::UserJoined { .. }
            | EventKind::UserLeft { .. }
            | EventKind::UserSpeechStarted { .. }
            | EventKind::UserTranscript { .. }
            | EventKind::UserAway
            | EventKind::UserReturned
            | EventKind::AgentStarted { .. }
            | EventKind::AgentMessage { .. }
            | EventKind::AgentWords { .. }
            | EventKind::ModelConnected { .. }
            | EventKind::ModelDisconnected { .. }
            | EventKind::AgentSpeechFinished { .. }
            | EventKind::ToolUnexpected { .. }
            | EventKind::TransitionRefused { .. }
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
            | EventKind::ApprovalAsked { .. }
            | EventKind::ApprovalGiven { .. }
            | EventKind::AgentStopped { .. }
            | EventKind::AgentError { .. }
            | EventKind::AgentDecided { .. }
            | EventKind::AgentCalled { .. }
            | EventKind::AgentReturned { .. }
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

    /// The agent begins to say something.
    fn answered(&mut self, now: Tick, tell: &mut impl FnMut(Observation)) {
        if !self.spoke_up {
            tell(Observation::AgentTurn);
        }
        self.spoke_up = true;
        let Some(Unanswered { since, typed }) = self.unanswered.take() else { return };
        let ticks = now.since(since);
        tell(if typed { Observation::AnsweredTyped(ticks) } else { Observation::Answered(ticks) });
    }
}
