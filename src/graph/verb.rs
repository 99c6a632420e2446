//! Call verbs: the built-in tools that every agent has.
//!
//! Most are done by the session itself, within the tick, from nothing but its own state, so that a
//! replay does the same. Two need the room, [`TransferCall`](Verb::TransferCall) and
//! [`SendDtmf`](Verb::SendDtmf): their outcome is recorded like any other tool's.
//!
//! **Invariant:** no configured tool has one of these names.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::facts::Scope;
use crate::tool::room::{Digits, KEYS, RoomTool, Transfer};
use crate::tool::{FailureKind, Outcome, Registry, Run, ToolSpec, misfit};

/// A built-in tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Ends the call once everything said has been played.
    EndCall,
    /// Passes the call on.
    TransferCall,
    /// Presses keys of the telephone at the other end.
    SendDtmf,
    /// Plays a clip.
    PlayClip,
    /// Puts the user on hold, or takes it off.
    Hold,
    /// Remembers a fact.
    SetFact,
    /// Tells date and time.
    Now,
    /// Hands over to another agent.
    HandOver,
    /// Decides something, for the conditions of transitions.
    Decide,
    /// Calls another agent, which returns a value.
    CallAgent,
    /// Returns a value to the agent that called this one.
    ReturnValue,
}

/// The arguments of [`Verb::EndCall`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EndCall {
    /// Why, for a person to read.
    pub reason: Option<String>,
}

/// The arguments of [`Verb::PlayClip`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlayClip {
    /// The clip, by its name under `clips`.
    pub clip: String,
}

/// The arguments of [`Verb::Hold`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hold {
    /// False takes the user off hold.
    pub on: bool,
    /// A clip that is played over and over.
    pub clip: Option<String>,
    /// The longest time on hold, in milliseconds.
    pub max_ms: u32,
}

/// How long a user is on hold unless the call says otherwise: a minute, after which most hang up.
const HOLD_MS: u32 = 60_000;

impl Default for Hold {
    fn default() -> Self {
        Self { on: true, clip: None, max_ms: HOLD_MS }
    }
}

/// The arguments of [`Verb::SetFact`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetFact {
    /// The fact's name.
    pub name: String,
    /// Its value: any JSON.
    pub value: Value,
    /// What it belongs to.
    #[serde(default)]
    pub scope: Scope,
    /// After so long it is forgotten, in milliseconds.
    #[serde(default)]
    pub ttl_ms: Option<u32>,
}

/// The arguments of [`Verb::Now`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Now {
    /// How far the clock is ahead of UTC, in minutes: -720 to 840.
    pub utc_offset_minutes: i32,
}

/// The arguments of [`Verb::HandOver`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    /// The agent that takes over, by name.
    pub to: String,
}

/// The arguments of [`Verb::Decide`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    /// About what.
    pub key: String,
    /// For what: any JSON.
    pub value: Value,
}

/// The arguments of [`Verb::CallAgent`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallAgent {
    /// The agent that is called, by name.
    pub agent: String,
    /// The facts that it is given. Without it, all.
    #[serde(default)]
    pub facts: Option<Vec<String>>,
}

/// The arguments of [`Verb::ReturnValue`].
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReturnValue {
    /// The value: any JSON.
    pub value: Value,
}

impl Verb {
    /// All built-in tools.
    pub const ALL: [Self; 11] = [
        Self::EndCall,
        Self::TransferCall,
        Self::SendDtmf,
        Self::PlayClip,
        Self::Hold,
        Self::SetFact,
        Self::Now,
        Self::HandOver,
        Self::Decide,
        Self::CallAgent,
        Self::ReturnValue,
    ];

    /// The built-in tool of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name() == name)
    }

    /// The name by which agents call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EndCall => "end_call",
            Self::TransferCall => "transfer_call",
            Self::SendDtmf => "send_dtmf",
            Self::PlayClip => "play_clip",
            Self::Hold => "hold",
            Self::SetFact => "set_fact",
            Self::Now => "now",
            Self::HandOver => "hand_over",
            Self::Decide => "decide",
            Self::CallAgent => "call_agent",
            Self::ReturnValue => "return_value",
        }
    }

    /// What it does, for people and models.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::EndCall => "Ends the call once everything said has been played.",
            Self::TransferCall => {
                "Passes the call on to a telephone number, a SIP address or a participant of the \
                 room. Cold: the agent leaves. Warm: the other one is brought in, and the agent stays."
            }
            Self::SendDtmf => "Presses keys of the telephone at the other end.",
            Self::PlayClip => "Plays a clip.",
            Self::Hold => {
                "Puts the user on hold: what it says is not answered until the agent speaks again."
            }
            Self::SetFact => "Remembers a fact.",
            Self::Now => "Tells date and time.",
            Self::HandOver => "Hands over to another agent.",
            Self::Decide => "Decides something, for the conditions of transitions.",
            Self::CallAgent => "Calls another agent, which talks to the user and returns a value.",
            Self::ReturnValue => "Returns a value to the agent that called this one.",
        }
    }

    /// JSON Schema of its arguments.
    #[must_use]
    pub fn parameters(self) -> Value {
        let text = json!({ "type": "string" });
        let (properties, required): (Value, &[&str]) = match self {
            Self::EndCall => (json!({ "reason": text }), &[]),
            Self::TransferCall => (
                json!({
                    "to": { "type": "string", "description": "`tel:` and a number, `sip:` and an address, or a participant's identity." },
                    "mode": { "enum": ["cold", "warm"] },
                }),
                &["to"],
            ),
            Self::SendDtmf => {
                (json!({ "digits": { "type": "string", "pattern": KEYS } }), &["digits"])
            }
            Self::PlayClip => (json!({ "clip": text }), &["clip"]),
            Self::Hold => (
                json!({
                    "on": { "type": "boolean" },
                    "clip": text,
                    "max_ms": { "type": "integer", "minimum": 1, "maximum": 3_600_000 },
                }),
                &[],
            ),
            Self::SetFact => (
                json!({
                    "name": text,
                    "value": {},
                    "scope": { "enum": ["session", "conversation", "agent", "user", "tool", "custom"] },
                    "ttl_ms": { "type": "integer", "minimum": 1, "maximum": 86_400_000 },
                }),
                &["name", "value"],
            ),
            Self::Now => (
                json!({ "utc_offset_minutes": { "type": "integer", "minimum": -720, "maximum": 840 } }),
                &[],
            ),
            Self::HandOver => (json!({ "to": text }), &["to"]),
            Self::Decide => (json!({ "key": text, "value": {} }), &["key", "value"]),
            Self::CallAgent => {
                (json!({ "agent": text, "facts": { "type": "array", "items": text } }), &["agent"])
            }
            Self::ReturnValue => (json!({ "value": {} }), &[]),
        };
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }

    /// What finds out whether arguments fit.
    fn validator(self) -> &'static Validator {
        static ALL: LazyLock<[Validator; Verb::ALL.len()]> = LazyLock::new(|| {
            Verb::ALL.map(|verb| {
                jsonschema::validator_for(&verb.parameters())
                    .expect("it is a schema, as a test shows")
            })
        });
        &ALL[self as usize]
    }

    /// What is asked of the room, if it is the room that carries it out.
    #[must_use]
    pub fn room(self) -> Option<RoomTool> {
        match self {
            Self::TransferCall => Some(RoomTool::Transfer),
            Self::SendDtmf => Some(RoomTool::Digits),
            _ => None,
        }
    }

    /// What is known of it besides its code.
    #[must_use]
    pub fn spec(self) -> ToolSpec {
        let spec = ToolSpec::new(self.name(), self.description()).parameters(self.parameters());
        match self.room() {
            Some(room) => ToolSpec { room: Some(room), run: Run::Worker, ..spec },
            None => spec.inline(),
        }
    }

    /// Adds those that a room carries out, as far as no tool stands in for them.
    pub fn add_to(tools: &mut Registry) {
        for verb in Self::ALL {
            if let Some(room) = verb.room().filter(|_| tools.spec(verb.name()).is_none()) {
                let added = tools.add(verb.spec(), room);
                debug_assert!(added.is_ok(), "the schema is one: {added:?}");
            }
        }
    }
}

/// The arguments of a built-in tool as its struct.
///
/// # Errors
/// The outcome of a call with such arguments, in the words of any other tool: an agent may say them.
pub fn read<T: DeserializeOwned>(tool: &str, arguments: &Value) -> Result<T, Outcome> {
    if let Some(verb) = Verb::of(tool)
        && let Some(outcome) = misfit(tool, verb.validator(), arguments)
    {
        return Err(outcome);
    }
    // A whole number may be written as 20.0, which the schema allows and a reader of numbers does not.
    T::deserialize(arguments).or_else(|_| T::deserialize(whole(arguments))).map_err(|_| {
        let message = format!("the arguments of `{tool}` are wrong");
        Outcome::failed(FailureKind::InvalidArguments, message)
    })
}

/// The same arguments, with whole numbers as such.
fn whole(arguments: &Value) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and far below 2^53")]
    let number = |value: &Value| match value.as_f64() {
        Some(n) if value.is_f64() && n.fract() == 0.0 && n.abs() < 1e15 => Value::from(n as i64),
        _ => value.clone(),
    };
    match arguments {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), number(value))).collect(),
        other => other.clone(),
    }
}

/// The arguments of a transfer.
///
/// # Errors
/// As [`read`].
pub fn transfer(arguments: &Value) -> Result<Transfer, Outcome> {
    read(Verb::TransferCall.name(), arguments)
}

/// The arguments of sending keys.
///
/// # Errors
/// As [`read`], or there is something else than keys.
pub fn digits(arguments: &Value) -> Result<Digits, Outcome> {
    let name = Verb::SendDtmf.name();
    // Keys are named in words rather than as a pattern.
    let written = arguments.get("digits").and_then(Value::as_str);
    if written.is_none_or(|written| Digits { digits: written.to_owned() }.are_keys()) {
        return read(name, arguments);
    }
    let message = format!("`{name}`: keys are 0 to 9, A to D, * and #, 1 to 32 of them");
    Err(Outcome::failed(FailureKind::InvalidArguments, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for verb in Verb::ALL {
            assert_eq!(Verb::of(verb.name()), Some(verb));
            assert!(jsonschema::draft202012::new(&verb.parameters()).is_ok());
            assert_eq!(Verb::ALL[verb as usize], verb, "validators are found by it");
        }
        assert_eq!(Verb::of("order_status"), None);
    }

    #[test]
    fn arguments_are_read_strictly() {
        let wrong = json!({ "to": "desk", "too": 1 });
        assert!(read::<HandOver>("hand_over", &wrong).is_err());
        assert!(digits(&json!({ "digits": "12#" })).is_ok());
        assert!(digits(&json!({ "digits": "1x" })).is_err());
        assert!(digits(&json!({ "digits": "" })).is_err());
        assert_eq!(transfer(&json!({ "to": "tel:+1" })).map(|t| t.is_warm()), Ok(false));
        assert_eq!(
            read("hold", &json!({ "max_ms": 20.0 })),
            Ok(Hold { max_ms: 20, ..Hold::default() })
        );
        let Err(Outcome::Failed(wrong)) = transfer(&json!({ "to": "tel:+1", "mode": "blind" }))
        else {
            panic!("a mode that is none")
        };
        assert!(wrong.message.starts_with("the arguments of `transfer_call` are wrong at /mode: "));
        assert!(!wrong.message.contains("variant"), "{}", wrong.message);
    }
}
