//! What is wanted of a run besides its answer.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::think::chat::{Call, Message, Response, Usage};
use crate::think::tool_loop::{Approval, Ending, LoopOptions, Prepared, StepResult, ToolLoop};
use crate::tool::Json;

use super::stream::StreamEvent;

type OnStep = Arc<dyn Fn(&StepResult) + Send + Sync>;
type OnFinish = Arc<dyn Fn(&Finish<'_>) + Send + Sync>;
type OnAbort = Arc<dyn Fn(&[StepResult]) + Send + Sync>;
type OnChunk = Arc<dyn Fn(&StreamEvent) + Send + Sync>;
type OnCall = Arc<dyn Fn(&Call) + Send + Sync>;
type OnApproval = Arc<dyn Fn(&Call) -> Approval + Send + Sync>;
type OnPreliminary = Arc<dyn Fn(&str, &str, &Value) + Send + Sync>;
type PrepareStep = Arc<dyn Fn(u32, &ToolLoop) -> Prepared + Send + Sync>;

/// What a run may do, and who is told of it.
#[derive(Clone, Default)]
pub struct Options {
    /// Its rules. Which calls are run is the resolver's to say, and whether steps are prepared and calls
    /// approved is said by the callbacks.
    pub rules: LoopOptions,
    /// A map for whoever prepares steps.
    pub context: Option<Json>,
    /// Told of each step.
    pub on_step_finish: Option<OnStep>,
    /// Told of the end, unless it is an error or nobody wanted it.
    pub on_finish: Option<OnFinish>,
    /// Told of the steps so far, if nobody wants the rest. Streaming only.
    pub on_abort: Option<OnAbort>,
    /// Told of each piece before it is sent. Streaming only.
    pub on_chunk: Option<OnChunk>,
    /// Told of each call whose arguments are right, before anybody is asked for approval.
    pub on_tool_input: Option<OnCall>,
    /// Says whether a call may be made. Without it, tools that need approval end the run, which goes on
    /// with the answer.
    pub on_tool_approval: Option<OnApproval>,
    /// Told how far a tool is: its name, the call's id, and the value.
    pub on_preliminary_tool_result: Option<OnPreliminary>,
    /// Says what is different in a step.
    pub prepare_step: Option<PrepareStep>,
    /// Where what happened is recorded.
    pub telemetry: Option<Arc<dyn Telemetry>>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// The end of a run.
#[derive(Clone, Copy, Debug)]
pub struct Finish<'a> {
    /// The last answer.
    pub response: &'a Response,
    /// All steps, the last one last.
    pub steps: &'a [StepResult],
    /// All messages, those that the run began with included.
    pub messages: &'a [Message],
    /// What all steps have cost, if that was told.
    pub total_usage: Option<Usage>,
    /// The context.
    pub context: &'a Json,
    /// How it ended.
    pub ending: &'a Ending,
}

/// Where what happened in runs is recorded.
pub trait Telemetry: Send + Sync {
    /// Something happened.
    fn record(&self, event: TelemetryEvent);
}

/// The name of the span of a run.
pub const SPAN: &str = "ai.orchestrator.generate";

/// What happens in a run, for those who measure.
#[derive(Clone, Debug, PartialEq)]
pub enum TelemetryEvent {
    /// It begins: the span [`SPAN`].
    SpanStart {
        /// The run.
        call_id: String,
        /// Steps at most.
        max_steps: u32,
        /// Whether there are tools.
        has_tools: bool,
        /// What the run is for.
        function_id: Option<String>,
    },
    /// It is over, whatever came of it.
    SpanEnd {
        /// The run.
        call_id: String,
        /// Its steps.
        total_steps: u32,
        /// Why the last answer ended, if that was told.
        finish_reason: Option<String>,
        /// There were as many steps as there may be.
        max_steps_reached: bool,
        /// Why there is no answer.
        error: Option<String>,
    },
    /// Once at the end, after an answer.
    Orchestrated {
        /// The run.
        call_id: String,
        /// Its steps.
        total_steps: u32,
        /// What they have cost, if that was told.
        usage: Option<Usage>,
        /// How long it took, in microseconds.
        duration_us: u64,
    },
}
