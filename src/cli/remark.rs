//! What is told of a call beside the conversation: hand-overs, warnings, what happens to the call itself.
//!
//! Who says what, and which tools are called, everyone shows in its own way; the rest is worded here, once.
//!
//! **Invariant:** what somebody else has said or written is on one line, and holds no command to a terminal.

use std::collections::BTreeMap;

use crate::clock::TickLen;
use crate::id::LaneId;
use crate::session::event::EventKind;

/// A line about a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Remark {
    /// Beside everything.
    Aside(String),
    /// Something that is not as it should be, or was not to be expected.
    Warning(String),
    /// Something that somebody does to the call: in a word, in a text, and what is known of it besides.
    Deed(&'static str, String, String),
}

/// The names of participants.
pub(super) type Names = BTreeMap<LaneId, String>;

/// The name of the one on a lane.
pub(super) fn name(names: &Names, lane: LaneId) -> String {
    names.get(&lane).cloned().unwrap_or_else(|| lane.to_string())
}

/// What somebody else has said or written, on one line and without commands to the terminal, nor marks that turn
/// around what stands beside it.
pub(super) fn plain(text: &str) -> String {
    let is_bidi = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|c| !is_bidi(*c)).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn warning(text: impl AsRef<str>) -> Option<Remark> {
    Some(Remark::Warning(plain(text.as_ref())))
}

fn aside(text: impl AsRef<str>) -> Option<Remark> {
    Some(Remark::Aside(plain(text.as_ref())))
}

fn deed(what: &'static str, text: impl AsRef<str>, beside: impl AsRef<str>) -> Option<Remark> {
    Some(Remark::Deed(what, plain(text.as_ref()), plain(beside.as_ref())))
}

/// What an event comes to, if that is told in a line of its own.
pub(super) fn remark(kind: &EventKind, names: &Names, len: TickLen) -> Option<Remark> {
    let after = |ticks: u64| format!("after {} ms", len.span_ms(ticks));
    match kind {
        EventKind::UserJoined { lane, .. } => aside(format!("{} joined", name(names, *lane))),
        EventKind::UserAway => aside("the user is away"),
        EventKind::AgentResumed => warning("that was no interruption: the agent goes on"),
        EventKind::ModelAnswered { warnings, .. } if !warnings.is_empty() => {
            warning(format!("model: {}", warnings.join("; ")))
        }
        // What becomes of it is told by what the agent cannot do.
        EventKind::ModelDisconnected { last: true, .. } => None,
        EventKind::ModelDisconnected { cause, .. } => {
            warning(format!("model: {cause}; it is tried again"))
        }
        EventKind::ModelFailed { cause, .. } => warning(format!("model: {cause}")),
        EventKind::ApprovalAsked { name, arguments, .. } => {
            deed("tool", format!("may {name}({}) be called?", arguments.0), "")
        }
        EventKind::ApprovalGiven { name, approved, .. } => {
            let how = if *approved { "approved" } else { "denied" };
            deed("tool", format!("{name} is {how}"), "")
        }
        EventKind::TransitionExecuted { from, to, cause, .. } => {
            deed("hand-over", format!("{from} → {to}"), format!("because of {cause}"))
        }
        EventKind::TransitionRefused { to, reason, .. } => {
            warning(format!("no hand-over to {to}: {reason}"))
        }
        EventKind::RecogniserFailed { cause, .. } => warning(format!("recogniser: {cause}")),
        EventKind::SynthesiserFailed { cause, .. } => warning(format!("synthesiser: {cause}")),
        EventKind::TickSkipped { count } => warning(format!("{count} ticks skipped")),
        EventKind::JournalLost { cause } => warning(format!("the journal is lost: {cause}")),
        EventKind::LimitReached { limit } => warning(format!("limit reached: {limit}")),
        EventKind::SessionStrained { every } => {
            warning(format!("overload: what is no audio is done in one of {every} ticks"))
        }
        EventKind::SessionRelieved { after_ticks } => {
            let span = after(*after_ticks);
            warning(format!("all is done in every tick again, {span}"))
        }
        EventKind::SessionEnded { reason } => aside(format!("ended: {reason}")),
        EventKind::UserUnheard { lane, cause } => {
            warning(format!("{} is not heard: {cause}", name(names, *lane)))
        }
        EventKind::ConnectionLost { cause } => warning(format!("the connection is lost: {cause}")),
        EventKind::ConnectionRestored => warning("the connection is back"),
        EventKind::RpcCalled { request, lane, method } => {
            let who = lane.map_or_else(|| "somebody".to_owned(), |lane| name(names, lane));
            deed("method", method, format!("called by {who}  {request}"))
        }
        EventKind::AgentError { agent, cause } => {
            warning(format!("{agent} cannot answer: {cause}"))
        }
        EventKind::AgentCalled { agent, by, .. } => {
            deed("hand-over", format!("{by} calls {agent}"), "")
        }
        EventKind::AgentReturned { agent, to, .. } => {
            deed("hand-over", format!("{agent} returns to {to}"), "")
        }
        EventKind::ToolOrphaned { name, .. } => {
            warning(format!("nobody learns the outcome of {name}"))
        }
        EventKind::RuleFailed { transition, cause } => {
            warning(format!("the rules of transition {transition}: {cause}"))
        }
        EventKind::CallTransferred { to, warm } => {
            let how = if *warm { "with the agent" } else { "without the agent" };
            deed("call", format!("passed on to {to}"), how)
        }
        EventKind::CallHeld => deed("call", "on hold", ""),
        EventKind::CallResumed { after_ticks } => deed("call", "off hold", after(*after_ticks)),
        EventKind::DigitsSent { digits } => deed("call", format!("keys {digits}"), ""),
        EventKind::ClipPlayed { clip, .. } => deed("call", format!("plays {clip}"), ""),
        EventKind::PolicyWarned { policy, percent } => {
            warning(format!("{percent} % of the policy {policy} is used"))
        }
        EventKind::PolicyReached { policy } => warning(format!("policy reached: {policy}")),
        EventKind::ConfigReloaded { config } => {
            aside(format!("configuration {config} from here on"))
        }
        EventKind::ConfigRefused { cause } => {
            warning(format!("the other configuration is refused: {cause}"))
        }
        EventKind::Custom { name, .. } => aside(format!("event {name}")),
        // What is said, and the tools that are called.
        EventKind::UserMessage { .. }
        | EventKind::UserBackchannel { .. }
        | EventKind::UserTranscript { .. }
        | EventKind::UserDigit { .. }
        | EventKind::AgentStarted { .. }
        | EventKind::AgentBegan { .. }
        | EventKind::AgentWords { .. }
        | EventKind::AgentMessage { .. }
        | EventKind::AgentSpeechStarted { .. }
        | EventKind::AgentSpeechFinished { .. }
        | EventKind::AgentInterrupted { .. }
        | EventKind::ToolCalled { .. }
        | EventKind::ToolDeferred { .. }
        | EventKind::ToolResult { .. } => None,
        // What only files hold.
        EventKind::ModelConnected { .. }
        | EventKind::ModelAsked { .. }
        | EventKind::ModelAnswered { .. }
        | EventKind::ModelDropped { .. }
        | EventKind::SessionCreated { .. }
        | EventKind::AgentStopped { .. }
        | EventKind::AgentDecided { .. }
        | EventKind::FactSet { .. }
        | EventKind::FactExpired { .. }
        | EventKind::UserPublished { .. }
        | EventKind::UserUnpublished { .. }
        | EventKind::UserMuted { .. }
        | EventKind::UserUnmuted { .. }
        | EventKind::UserSpeaking { .. }
        | EventKind::UserAttributes { .. }
        | EventKind::UserMetadata { .. }
        | EventKind::RoomMetadata { .. }
        | EventKind::DataReceived { .. }
        | EventKind::ConnectionQuality { .. }
        | EventKind::RpcAnswered { .. }
        | EventKind::UserLeft { .. }
        | EventKind::UserReturned
        | EventKind::UserSpeechStarted { .. }
        | EventKind::UserSpeechStopped { .. }
        | EventKind::ToolUnexpected { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::event::EndReason;

    #[test]
    fn texts_of_others_command_no_terminal() {
        let nasty = "a\u{1b}[2Jb\u{9b}31mc\u{202e}d\r\ne";
        assert_eq!(plain(nasty), "a [2Jb 31mcd  e");
        let len = TickLen::from_ms(20).unwrap();
        let kind = EventKind::SessionEnded { reason: EndReason::HungUp(nasty.into()) };
        let Some(Remark::Aside(text)) = remark(&kind, &Names::new(), len) else { panic!() };
        assert!(!text.contains(['\u{1b}', '\u{9b}', '\n']), "{text:?}");
    }
}
