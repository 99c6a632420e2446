//! When a loop of model and tools stops.

use std::fmt;
use std::sync::Arc;

use super::step::StepResult;

/// A condition of a program's own.
type Holds = Arc<dyn Fn(&[StepResult]) -> bool + Send + Sync>;

/// A condition under which a loop stops. It sees all steps, the last one with the results of its tools.
/// Before the first step, none holds but `step_count_is(0)`.
#[derive(Clone)]
pub enum StopCondition {
    /// There are so many steps, or more.
    StepCountIs(u32),
    /// The last step calls this tool.
    HasToolCall(String),
    /// The last step is an answer: it calls nothing. Words are not asked for.
    HasTextResponse,
    /// The last step calls nothing.
    HasNoToolCalls,
    /// The last step has the result of a tool.
    HasToolResult,
    /// One of these holds; of none, none does.
    AnyOf(Vec<Self>),
    /// All of these hold. Of none, it does not hold: a loop that nothing stops is no wish.
    AllOf(Vec<Self>),
    /// A condition of the program's own.
    Custom(Holds),
}

impl fmt::Debug for StopCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StepCountIs(count) => write!(f, "step_count_is({count})"),
            Self::HasToolCall(name) => write!(f, "has_tool_call({name:?})"),
            Self::HasTextResponse => f.write_str("has_text_response"),
            Self::HasNoToolCalls => f.write_str("has_no_tool_calls"),
            Self::HasToolResult => f.write_str("has_tool_result"),
            Self::AnyOf(all) => f.debug_tuple("any_of").field(all).finish(),
            Self::AllOf(all) => f.debug_tuple("all_of").field(all).finish(),
            Self::Custom(_) => f.write_str("custom"),
        }
    }
}

impl StopCondition {
    /// A condition of the program's own.
    pub fn custom(holds: impl Fn(&[StepResult]) -> bool + Send + Sync + 'static) -> Self {
        Self::Custom(Arc::new(holds))
    }

    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, steps: &[StepResult]) -> bool {
        let last = |holds: &dyn Fn(&StepResult) -> bool| steps.last().is_some_and(holds);
        match self {
            Self::StepCountIs(count) => steps.len() >= *count as usize,
            Self::HasToolCall(name) => {
                last(&|step| step.tool_calls().any(|call| call.name == *name))
            }
            Self::HasTextResponse | Self::HasNoToolCalls => last(&|step| !step.has_tool_calls()),
            Self::HasToolResult => last(&StepResult::has_tool_results),
            Self::AnyOf(all) => all.iter().any(|one| one.holds(steps)),
            Self::AllOf(all) => !all.is_empty() && all.iter().all(|one| one.holds(steps)),
            Self::Custom(holds) => holds(steps),
        }
    }

    /// The largest count of steps that it asks for, anywhere in it.
    #[must_use]
    pub fn steps(&self) -> u32 {
        match self {
            Self::StepCountIs(count) => *count,
            Self::AnyOf(all) | Self::AllOf(all) => {
                all.iter().map(Self::steps).max().unwrap_or_default()
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::think::chat::{Call, CallResult, Part, ToolOutput};
    use crate::tool::Json;

    fn step(content: Vec<Part>) -> StepResult {
        StepResult { content, ..StepResult::default() }
    }

    fn called(name: &str) -> StepResult {
        let result = CallResult {
            call: "1".into(),
            name: name.into(),
            output: ToolOutput::Json(Json(json!(1))),
            provider_executed: false,
        };
        step(vec![Part::ToolCall(Call::new("1", name, json!({}))), Part::ToolResult(result)])
    }

    #[test]
    fn conditions_look_at_the_last_step_and_at_the_count() {
        use StopCondition as Stop;
        let empty: &[StepResult] = &[];
        let steps = [step(vec![Part::Text("so".into())]), called("find")];
        let find = || Stop::HasToolCall("find".into());
        for (condition, at_first, at_last) in [
            (Stop::StepCountIs(0), true, true),
            (Stop::StepCountIs(2), false, true),
            (Stop::StepCountIs(3), false, false),
            (find(), false, true),
            (Stop::HasToolCall("book".into()), false, false),
            (Stop::HasTextResponse, false, false),
            (Stop::HasNoToolCalls, false, false),
            (Stop::HasToolResult, false, true),
            (Stop::AnyOf(vec![]), false, false),
            (Stop::AllOf(vec![]), false, false),
            (Stop::AnyOf(vec![Stop::HasTextResponse, find()]), false, true),
            (Stop::AllOf(vec![Stop::HasTextResponse, find()]), false, false),
            (Stop::custom(|steps| steps.len() == 2), false, true),
        ] {
            assert_eq!(condition.holds(empty), at_first, "{condition:?} of nothing");
            assert_eq!(condition.holds(&steps), at_last, "{condition:?}");
        }
        // An answer without words is one, too.
        assert!(Stop::HasTextResponse.holds(&[step(vec![])]));
        assert_eq!(
            Stop::AnyOf(vec![Stop::StepCountIs(10), Stop::AllOf(vec![Stop::StepCountIs(15)])])
                .steps(),
            15
        );
    }
}
