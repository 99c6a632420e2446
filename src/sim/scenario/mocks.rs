//! Tools that answer as a scenario says.
//!
//! **Invariant:** the answer to a call depends on how many came before it, and on nothing else.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::scenario::{Answer, Case};
use crate::tool::{Registry, Tool, ToolContext, ToolSpec, WrongTool};

/// Puts the answers of a case in the place of its tools; `spec` knows what a tool is.
///
/// # Errors
/// The parameters of a tool are no schema.
pub fn replace(
    tools: &mut Registry,
    case: &Case<'_>,
    spec: impl Fn(&str) -> ToolSpec,
) -> Result<(), WrongTool> {
    for (name, answers) in &case.tools {
        let spec = tools.spec(name).cloned().unwrap_or_else(|| spec(name));
        tools.add(spec, Mock { answers: answers.to_vec() })?;
    }
    Ok(())
}

/// How long the calls of a case's tools take, one by one, in milliseconds.
#[must_use]
pub fn taking(case: &Case<'_>) -> BTreeMap<String, Vec<Option<u32>>> {
    let of = |answers: &[Answer]| answers.iter().map(|answer| answer.latency_ms).collect();
    case.tools.iter().map(|(name, answers)| ((*name).to_owned(), of(answers))).collect()
}

struct Mock {
    answers: Vec<Answer>,
}

impl Tool for Mock {
    fn call(&self, context: &ToolContext, _: &Value) -> Result<Value, String> {
        let answer = self.answers.get(context.occurrence as usize).or(self.answers.last());
        match answer {
            Some(Answer { failure: Some(failure), .. }) => Err(failure.clone()),
            Some(Answer { value, .. }) => Ok(value.clone().unwrap_or_default()),
            None => Err("there is no answer".to_owned()),
        }
    }
}
