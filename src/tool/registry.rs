//! All tools of a process, by name, and the one way to run them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::Value;

use super::{FailureKind, Json, Outcome, ToolCall, ToolSpec, unknown};

/// What a tool may know of the call besides its arguments.
#[derive(Debug, Clone)]
pub struct ToolContext {
    /// The session that calls.
    pub session: String,
    /// The call's id within the session, the same in a replay.
    pub call: String,
    /// How many calls of this tool came before it in the session.
    pub occurrence: u32,
    /// Sleeps for so many milliseconds in real time, and not at all in virtual time.
    pub pause: fn(u32),
}

impl ToolContext {
    /// What a server knows the call again by, when it is made again: of the session and the call alone, and so
    /// the same however often it is tried and whoever goes on with the session.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        format!("{}-{}", self.session, self.call)
    }
}

/// Code that an agent can call.
///
/// Closures are tools; functions of typed arguments are, too: [`Registry::add_fn`].
///
/// ```
/// use antiphon::tool::{Registry, ToolContext, ToolSpec};
/// use serde_json::{Value, json};
///
/// let mut tools = Registry::default();
/// let schema = json!({ "type": "object", "required": ["a", "b"] });
/// tools
///     .add(ToolSpec::new("add", "Adds two numbers").parameters(schema).inline(), |_: &ToolContext, arguments: &Value| {
///         Ok(json!(arguments["a"].as_f64().unwrap_or(0.0) + arguments["b"].as_f64().unwrap_or(0.0)))
///     })
///     .unwrap();
/// assert!(tools.spec("add").is_some());
/// ```
pub trait Tool: Send + Sync {
    /// Runs the call. The arguments fit the tool's schema.
    ///
    /// # Errors
    /// The reason of a failure, as the agent may say it.
    fn call(&self, context: &ToolContext, arguments: &Value) -> Result<Value, String>;
}

impl<F> Tool for F
where
    F: Fn(&ToolContext, &Value) -> Result<Value, String> + Send + Sync,
{
    fn call(&self, context: &ToolContext, arguments: &Value) -> Result<Value, String> {
        self(context, arguments)
    }
}

/// Why a tool could not be added to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongTool {
    /// The tool's name.
    pub tool: String,
    /// What is wrong with it.
    pub reason: String,
}

impl std::fmt::Display for WrongTool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tool `{}`: {}", self.tool, self.reason)
    }
}

impl std::error::Error for WrongTool {}

#[derive(Clone)]
struct Entry {
    spec: ToolSpec,
    tool: Arc<dyn Tool>,
    schema: Arc<jsonschema::Validator>,
}

/// The deepest value of a tool, and the deepest arguments from outside: readers of JSON, the journal's
/// among them, stop at 128.
pub const DEPTH_MAX: usize = 100;

/// Whether a value is nested deeper than `max` lists and maps.
#[must_use]
pub fn is_deeper(value: &Value, max: usize) -> bool {
    match value {
        Value::Array(list) => max == 0 || list.iter().any(|item| is_deeper(item, max - 1)),
        Value::Object(map) => max == 0 || map.values().any(|item| is_deeper(item, max - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// What finds out whether arguments fit a tool's parameters.
///
/// # Errors
/// The parameters are not a valid JSON Schema.
pub fn schema_of(tool: &str, parameters: &Json) -> Result<jsonschema::Validator, WrongTool> {
    jsonschema::validator_for(&parameters.0).map_err(|error| WrongTool {
        tool: tool.to_owned(),
        reason: format!("`parameters` is not a JSON Schema: {error}"),
    })
}

/// The outcome of calling a tool with arguments that do not fit its schema, if they do not.
#[must_use]
pub fn misfit(tool: &str, schema: &jsonschema::Validator, arguments: &Value) -> Option<Outcome> {
    let error = schema.validate(arguments).err()?;
    let at = error.instance_path().to_string();
    let place = if at.is_empty() { String::new() } else { format!(" at {at}") };
    let message = format!("the arguments of `{tool}` are wrong{place}: {error}");
    Some(Outcome::failed(FailureKind::InvalidArguments, message))
}

/// Tools by name. A copy costs next to nothing.
#[derive(Clone, Default)]
pub struct Registry {
    // Shared, so that a registry can be handed to whoever makes a call.
    tools: Arc<BTreeMap<String, Entry>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.tools.keys()).finish()
    }
}

impl Registry {
    /// Adds a tool. One of the same name is replaced.
    ///
    /// # Errors
    /// The spec's `parameters` are not a valid JSON Schema.
    pub fn add(&mut self, spec: ToolSpec, tool: impl Tool + 'static) -> Result<(), WrongTool> {
        let schema = schema_of(&spec.name, &spec.parameters)?;
        let entry = Entry { tool: Arc::new(tool), schema: Arc::new(schema), spec };
        Arc::make_mut(&mut self.tools).insert(entry.spec.name.clone(), entry);
        Ok(())
    }

    /// The same tools, each with something around its code.
    #[must_use]
    pub fn wrapped<T: Tool + 'static>(&self, wrap: impl Fn(Arc<dyn Tool>) -> T) -> Self {
        let around = |entry: &Entry| Entry {
            tool: Arc::new(wrap(Arc::clone(&entry.tool))),
            ..entry.clone()
        };
        let tools = self.tools.iter().map(|(name, entry)| (name.clone(), around(entry)));
        Self { tools: Arc::new(tools.collect()) }
    }

    /// What is known of a tool.
    #[must_use]
    pub fn spec(&self, name: &str) -> Option<&ToolSpec> {
        self.tools.get(name).map(|entry| &entry.spec)
    }

    /// The specs of all tools, by name.
    pub fn specs(&self) -> impl Iterator<Item = &ToolSpec> {
        self.tools.values().map(|entry| &entry.spec)
    }

    /// Whether a call can be run: its tool is there, and its arguments fit.
    ///
    /// # Errors
    /// The outcome of the call otherwise.
    pub fn check(&self, call: &ToolCall) -> Result<(), Outcome> {
        self.checked(call).map(|_| ())
    }

    fn checked(&self, call: &ToolCall) -> Result<&Entry, Outcome> {
        let entry = self.tools.get(&call.name).ok_or_else(|| unknown(&call.name))?;
        match misfit(&call.name, &entry.schema, &call.arguments.0) {
            None => Ok(entry),
            Some(outcome) => Err(outcome),
        }
    }

    /// Runs a call to its end, on the caller's thread.
    pub fn execute(&self, context: &ToolContext, call: &ToolCall) -> Outcome {
        let entry = match self.checked(call) {
            Ok(entry) => entry,
            Err(outcome) => return outcome,
        };
        let run = AssertUnwindSafe(|| entry.tool.call(context, &call.arguments.0));
        match catch_unwind(run) {
            Ok(Ok(value)) if is_deeper(&value, DEPTH_MAX) => Outcome::failed(
                FailureKind::Failed,
                format!("tool `{}` gave a value nested deeper than {DEPTH_MAX}", call.name),
            ),
            Ok(Ok(value)) => Outcome::Done(Json(value)),
            Ok(Err(reason)) => Outcome::failed(FailureKind::Failed, reason),
            Err(panic) => {
                let said = panic
                    .downcast_ref::<&str>()
                    .map(ToString::to_string)
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_else(|| "no message".to_owned());
                Outcome::failed(
                    FailureKind::Panicked,
                    format!("tool `{}` panicked: {said}", call.name),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::id::CallId;

    fn run(name: &str, arguments: Value) -> Outcome {
        let mut tools = Registry::default();
        let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"] });
        let spec = ToolSpec::new("half", "Halves").parameters(schema);
        tools
            .add(spec, |_: &ToolContext, arguments: &Value| match arguments["n"].as_i64() {
                Some(13) => panic!("unlucky"),
                Some(n) if n % 2 == 0 => Ok(json!(n / 2)),
                _ => Err("odd".to_owned()),
            })
            .unwrap();
        let context = ToolContext {
            session: "s".into(),
            call: "call-0".into(),
            occurrence: 0,
            pause: |_| (),
        };
        let call = ToolCall {
            id: CallId(0),
            name: name.into(),
            arguments: Json(arguments),
            occurrence: 0,
            lane: None,
        };
        tools.execute(&context, &call)
    }

    fn failure(outcome: Outcome) -> (FailureKind, String) {
        match outcome {
            Outcome::Failed(failure) => (failure.kind, failure.message),
            Outcome::Done(value) => panic!("expected a failure, got {value:?}"),
        }
    }

    #[test]
    fn every_trouble_is_an_outcome() {
        assert_eq!(run("half", json!({ "n": 8 })), Outcome::Done(Json(json!(4))));
        assert_eq!(failure(run("half", json!({ "n": 7 }))), (FailureKind::Failed, "odd".into()));
        assert_eq!(failure(run("third", json!({}))).0, FailureKind::UnknownTool);
        let (kind, message) = failure(run("half", json!({ "n": "x" })));
        assert_eq!(kind, FailureKind::InvalidArguments);
        assert!(message.contains("/n"), "{message}");
        let (kind, message) = failure(run("half", json!({ "n": 13 })));
        assert_eq!((kind, message.contains("unlucky")), (FailureKind::Panicked, true));
    }

    #[test]
    fn a_wrong_schema_is_refused() {
        let spec = ToolSpec::new("t", "").parameters(json!({ "type": 7 }));
        let wrong = Registry::default().add(spec, |_: &ToolContext, _: &Value| Ok(Value::Null));
        assert!(wrong.unwrap_err().to_string().contains("tool `t`"));
    }
}
