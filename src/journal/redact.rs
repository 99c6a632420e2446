//! A journal without what was said: to hand to somebody who may know when, but not what.
//!
//! Audio, texts, names of participants, their data and digits, arguments and values of tools go; ticks,
//! who spoke when, which intent was understood, which tool was called, how it ended, and who handed over
//! to whom stay. The configuration stays as well: it is the operator's, and holds nothing of the call.
//! Digests go: with one, a guess at what was said can be tried.
//!
//! **Invariant:** what is left of an event is a number, a name from the configuration, or one of a few
//! fixed words.

use super::{Header, Journal, Mode, Scribe, Sealed};
use crate::session::event::{EndReason, Event, EventKind};
use crate::session::input::Input;
use crate::tool::{Failure, Json, Outcome};

/// The bytes of a journal without audio and text.
#[must_use]
pub fn redact(journal: &Journal) -> Vec<u8> {
    let mut header = Header { mode: Mode::Redacted, ..journal.header.clone() };
    if let Some(fork) = &mut header.fork {
        fork.of.clear();
    }
    let mut scribe = Scribe::new(&header);
    let mut changes = journal.changes.iter().peekable();
    for (at, entry) in journal.ticks.iter().enumerate() {
        while let Some(change) = changes.next_if(|change| change.before <= at) {
            scribe.changed(&change.config);
        }
        let events: Vec<Event> = entry
            .outcomes
            .events
            .iter()
            .map(|event| Event {
                kind: redacted(&event.kind, &journal.header.config),
                ..event.clone()
            })
            .collect();
        scribe.arrived(&Input { tick: entry.input.tick, ..Input::default() });
        scribe.sealed(Sealed { called: &[], events: &events, digest: 0 });
        if journal.diverged == Some(entry.input.tick) {
            scribe.diverged();
        }
    }
    let mut bytes = Vec::new();
    scribe.take(&mut bytes);
    bytes
}

/// An event without what was said in it.
fn redacted(kind: &EventKind, config: &str) -> EventKind {
    // A name that the configuration does not have was made up in the call.
    let named = |name: &mut String| {
        if !config.contains(&format!("\"{name}\"")) {
            name.clear();
        }
    };
    let mut kind = kind.clone();
    match &mut kind {
        EventKind::UserJoined { name: text, .. }
        | EventKind::UserTranscript { text, .. }
        | EventKind::UserMessage { text, .. }
        | EventKind::UserBackchannel { text, .. }
        | EventKind::AgentMessage { text, .. }
        | EventKind::AgentWords { text, .. }
        | EventKind::AgentBegan { source: text, .. }
        | EventKind::ModelDisconnected { cause: text, .. }
        | EventKind::RecogniserFailed { cause: text, .. }
        | EventKind::SynthesiserFailed { cause: text, .. }
        | EventKind::JournalLost { cause: text }
        | EventKind::UserUnheard { cause: text, .. }
        | EventKind::UserMetadata { text, .. }
        | EventKind::RoomMetadata { text }
        | EventKind::ConnectionLost { cause: text }
        | EventKind::RpcCalled { method: text, .. }
        | EventKind::AgentError { cause: text, .. }
        | EventKind::RuleFailed { cause: text, .. }
        | EventKind::ConfigRefused { cause: text }
        | EventKind::CallTransferred { to: text, .. }
        | EventKind::DigitsSent { digits: text }
        | EventKind::SessionEnded {
            reason:
                EndReason::HungUp(text)
                | EndReason::Agent(text)
                | EndReason::Transferred(text)
                | EndReason::Closed(text),
        } => text.clear(),
        EventKind::AgentDecided { key: name, value, .. }
        | EventKind::FactSet { name, value, .. } => {
            *value = Json::default();
            named(name);
        }
        EventKind::FactExpired { name }
        | EventKind::ToolDeferred { name, .. }
        | EventKind::ToolOrphaned { name, .. }
        | EventKind::ApprovalGiven { name, reason: None, .. } => named(name),
        EventKind::Custom { name, data, .. } => {
            name.clear();
            *data = Json::default();
        }
        EventKind::AgentInterrupted { spoken, unspoken, .. } => {
            spoken.clear();
            unspoken.clear();
        }
        // The names of attributes are the participant's as well.
        EventKind::UserAttributes { changed, .. } => changed.clear(),
        EventKind::DataReceived { topic, text, .. } => {
            topic.clear();
            *text = None;
        }
        EventKind::UserDigit { digit, .. } => *digit = '?',
        EventKind::RpcAnswered { error, .. } => {
            if let Some(error) = error {
                error.message.clear();
            }
        }
        EventKind::ModelFailed { cause, .. } => cause.clear(),
        EventKind::ApprovalAsked { arguments, .. } => *arguments = Json::default(),
        EventKind::ApprovalGiven { reason, .. } => *reason = None,
        EventKind::ModelAnswered { warnings, model, .. } => {
            warnings.clear();
            *model = None;
        }
        EventKind::ModelAsked { .. }
        | EventKind::ModelDropped { .. }
        | EventKind::ModelConnected { .. } => {}
        EventKind::ToolCalled { arguments, .. } => *arguments = Json::default(),
        EventKind::ToolResult { outcome, .. } => match outcome {
            Outcome::Done(value) => *value = Json::default(),
            Outcome::Failed(Failure { message, .. }) => message.clear(),
        },
        // What caused a hand-over is named as the configuration names it.
        EventKind::TransitionExecuted { .. }
        | EventKind::TransitionRefused { .. }
        | EventKind::SessionEnded {
            reason:
                EndReason::AgentEnded
                | EndReason::MaxLength
                | EndReason::Alone
                | EndReason::Silence
                | EndReason::Idle
                | EndReason::Policy(_),
        }
        | EventKind::AgentStopped { .. }
        | EventKind::AgentCalled { .. }
        | EventKind::AgentReturned { .. }
        | EventKind::CallHeld
        | EventKind::CallResumed { .. }
        | EventKind::ClipPlayed { .. }
        | EventKind::PolicyWarned { .. }
        | EventKind::PolicyReached { .. }
        | EventKind::SessionCreated { .. }
        | EventKind::UserLeft { .. }
        | EventKind::UserSpeechStarted { .. }
        | EventKind::UserSpeechStopped { .. }
        | EventKind::UserAway
        | EventKind::UserReturned
        | EventKind::AgentStarted { .. }
        | EventKind::AgentSpeechStarted { .. }
        | EventKind::AgentSpeechFinished { .. }
        | EventKind::AgentResumed
        | EventKind::ToolUnexpected { .. }
        | EventKind::TickSkipped { .. }
        | EventKind::UserPublished { .. }
        | EventKind::UserUnpublished { .. }
        | EventKind::UserMuted { .. }
        | EventKind::UserUnmuted { .. }
        | EventKind::UserSpeaking { .. }
        | EventKind::ConnectionQuality { .. }
        | EventKind::ConnectionRestored
        | EventKind::ConfigReloaded { .. }
        | EventKind::SessionStrained { .. }
        | EventKind::SessionRelieved { .. }
        | EventKind::LimitReached { .. } => {}
    }
    kind
}
