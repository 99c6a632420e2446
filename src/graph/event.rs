//! The names of what happens: one closed vocabulary, in one dotted namespace.
//!
//! Every event of a session has one of these names. Configurations and events that come from other
//! systems may write them as those systems do: `USER_MESSAGE`, `user_message`, `message:received`,
//! `BranchCreated`, `participant_connected`. [`EventName::read`] knows them all; what is inside is
//! canonical.
//!
//! **Invariant:** no two names share a spelling, and each is read from what it prints.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::talk::near::{excerpt, nearest};

macro_rules! vocabulary {
    ($($(#[$doc:meta])* $variant:ident $name:literal [$($alias:literal),*] $from:ident,)*) => {
        /// The name of an event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum EventName {
            $($(#[$doc])* #[serde(rename = $name)] #[doc = concat!("`", $name, "`.")] $variant,)*
        }

        impl EventName {
            /// All names.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name as it is written in the dotted namespace.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Who emits it.
            #[must_use]
            pub const fn source(self) -> Source {
                match self { $(Self::$variant => Source::$from,)* }
            }

            /// Its spellings in other systems.
            #[must_use]
            pub const fn aliases(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($alias,)*],)* }
            }
        }
    };
}

/// Who emits an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Any session.
    Session,
    /// A session in a room.
    Room,
    /// Whoever is outside, by [`Inbound::Custom`](crate::session::input::Inbound::Custom).
    Outside,
    /// Work in the background, which no session runs: nobody, so far.
    Background,
}

vocabulary! {
    SessionCreated "session.created" ["SESSION_CREATED", "session_created", "session:created", "room_connected", "connected", "SessionCreated"] Session,
    SessionEnded "session.ended" ["SESSION_ENDED", "session_ended", "session:ended", "room_disconnected", "disconnected", "SessionEnded"] Session,
    UserJoined "user.joined" ["USER_JOINED", "user_joined", "participant:joined", "participant_connected", "participant_joined"] Session,
    UserLeft "user.left" ["USER_LEFT", "user_left", "participant:left", "participant_disconnected", "participant_left"] Session,
    UserSpeechStarted "user.speech_started" ["user_started_speaking", "speech_started"] Session,
    UserSpeechStopped "user.speech_stopped" ["user_stopped_speaking", "speech_stopped"] Session,
    UserTranscript "user.transcript" ["user_input_transcribed"] Session,
    UserMessage "user.message" ["USER_MESSAGE", "user_message", "message:received"] Session,
    UserBackchannel "user.backchannel" [] Session,
    UserAway "user.away" [] Session,
    UserReturned "user.returned" [] Session,
    UserPublished "user.published" ["track_published"] Room,
    UserUnpublished "user.unpublished" ["track_unpublished"] Room,
    UserMuted "user.muted" ["track_muted"] Room,
    UserUnmuted "user.unmuted" ["track_unmuted"] Room,
    UserUnheard "user.unheard" [] Room,
    UserSpeaking "user.speaking" ["active_speakers_changed"] Room,
    UserAttributes "user.attributes" ["participant_attributes_changed"] Room,
    UserMetadata "user.metadata" ["participant_metadata_changed"] Room,
    UserDigit "user.digit" ["sip_dtmf_received", "dtmf_received"] Room,
    RoomMetadata "room.metadata" ["room_metadata_changed"] Room,
    DataReceived "data.received" ["data_received", "data:received"] Room,
    ConnectionQuality "connection.quality" ["connection_quality_changed"] Room,
    ConnectionLost "connection.lost" ["reconnecting"] Room,
    ConnectionRestored "connection.restored" ["reconnected"] Room,
    RpcCalled "rpc.called" [] Room,
    RpcAnswered "rpc.answered" [] Room,
    AgentStarted "agent.started" ["AGENT_STARTED", "agent_started", "agent:started"] Session,
    AgentStopped "agent.stopped" ["AGENT_STOPPED", "agent_stopped", "agent:stopped"] Session,
    AgentError "agent.error" ["AGENT_ERROR", "agent_error", "agent:error"] Session,
    AgentMessage "agent.message" ["AGENT_MESSAGE", "agent_message", "message:sent"] Session,
    AgentBegan "agent.began" [] Session,
    AgentWords "agent.words" [] Session,
    AgentSpeechStarted "agent.speech_started" ["agent_started_speaking"] Session,
    AgentSpeechFinished "agent.speech_finished" ["agent_stopped_speaking"] Session,
    AgentInterrupted "agent.interrupted" ["agent_speech_interrupted"] Session,
    AgentResumed "agent.resumed" [] Session,
    AgentDecided "agent.decided" ["agent_decision"] Session,
    AgentCalled "agent.called" [] Session,
    AgentReturned "agent.returned" [] Session,
    ToolCalled "tool.called" ["TOOL_CALLED", "tool_called", "tool:called"] Session,
    ToolDeferred "tool.deferred" [] Session,
    ToolResult "tool.result" ["TOOL_RESULT", "tool_result", "tool:result", "function_tools_executed"] Session,
    ToolUnexpected "tool.unexpected" [] Session,
    ToolOrphaned "tool.orphaned" [] Session,
    ModelAsked "model.asked" [] Session,
    ModelAnswered "model.answered" [] Session,
    ModelFailed "model.failed" [] Session,
    ModelDropped "model.dropped" [] Session,
    ModelConnected "model.connected" [] Session,
    ModelDisconnected "model.disconnected" [] Session,
    ApprovalAsked "approval.asked" [] Session,
    ApprovalGiven "approval.given" [] Session,
    TransitionExecuted "transition.executed" ["agent_transition", "transition:executed"] Session,
    TransitionRefused "transition.refused" [] Session,
    RuleFailed "rule.failed" [] Session,
    FactSet "fact.set" ["context_updated"] Session,
    FactExpired "fact.expired" [] Session,
    CallTransferred "call.transferred" [] Session,
    CallHeld "call.held" [] Session,
    CallResumed "call.resumed" [] Session,
    DigitsSent "digits.sent" [] Session,
    ClipPlayed "clip.played" [] Session,
    PolicyWarned "policy.warned" [] Session,
    PolicyReached "policy.reached" [] Session,
    RecogniserFailed "recogniser.failed" [] Session,
    SynthesiserFailed "synthesiser.failed" [] Session,
    ConfigReloaded "config.reloaded" [] Session,
    ConfigRefused "config.refused" [] Session,
    TickSkipped "tick.skipped" [] Session,
    JournalLost "journal.lost" [] Session,
    LimitReached "limit.reached" [] Session,
    Custom "custom" ["CUSTOM", "Custom"] Outside,
    TaskSubmitted "task.submitted" ["TaskSubmitted", "task_submitted"] Background,
    TaskStarted "task.started" ["TaskStarted", "task_started"] Background,
    TaskCompleted "task.completed" ["TaskCompleted", "task_completed", "task_complete"] Background,
    TaskFailed "task.failed" ["TaskFailed", "task_failed"] Background,
    TaskRetrying "task.retrying" ["TaskRetrying", "task_retrying"] Background,
    WorkflowCompleted "workflow.completed" ["WorkflowCompleted", "workflow_completed"] Background,
    WorkflowFailed "workflow.failed" ["WorkflowFailed", "workflow_failed"] Background,
    BranchCreated "branch.created" ["BranchCreated", "branch_created"] Background,
    BranchCompleted "branch.completed" ["BranchCompleted", "branch_completed"] Background,
    StepCompleted "step.completed" ["StepCompleted", "step_completed"] Background,
    SessionStrained "session.strained" [] Session,
    SessionRelieved "session.relieved" [] Session,
}

impl EventName {
    /// The name that is written so: as it is here, or as another system has it.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|name| name.as_str() == text || name.aliases().contains(&text))
    }

    /// What to do about a text that is no name: the nearest one.
    #[must_use]
    pub fn suggestion(text: &str) -> String {
        let spellings = Self::ALL.iter().flat_map(|name| {
            std::iter::once((name.as_str(), *name))
                .chain(name.aliases().iter().map(|a| (*a, *name)))
        });
        let all: Vec<(&str, Self)> = spellings.collect();
        match nearest(text, all.iter().map(|(spelling, _)| *spelling)) {
            Some(near) => {
                let name = all
                    .iter()
                    .find(|(spelling, _)| *spelling == near)
                    .map_or(near, |f| f.1.as_str());
                format!("did you mean `{name}`?")
            }
            None => format!(
                "`{}` is not in the vocabulary; an event of your own is `custom` with its `name`",
                excerpt(text)
            ),
        }
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_spelling_is_one_name() {
        let mut seen = BTreeSet::new();
        for name in EventName::ALL {
            for spelling in std::iter::once(&name.as_str()).chain(name.aliases()) {
                assert!(seen.insert(*spelling), "`{spelling}` is two names");
                assert_eq!(EventName::read(spelling), Some(*name));
            }
        }
    }

    #[test]
    fn the_documents_spellings_are_known() {
        for (spelling, name) in [
            ("message:received", "user.message"),
            ("message:sent", "agent.message"),
            ("USER_MESSAGE", "user.message"),
            ("participant:joined", "user.joined"),
            ("tool:called", "tool.called"),
            ("task.completed", "task.completed"),
            ("BranchCreated", "branch.created"),
            ("session_ended", "session.ended"),
        ] {
            assert_eq!(EventName::read(spelling).map(EventName::as_str), Some(name));
        }
        assert_eq!(EventName::read("user.mesage"), None);
        assert!(EventName::suggestion("user.mesage").contains("`user.message`"));
        assert!(EventName::suggestion("USER_MESAGE").contains("`user.message`"));
        assert!(EventName::suggestion("zebra").contains("custom"));
    }
}
