//! Comparisons with JSON values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// Equal.
    #[default]
    Eq,
    /// Not equal.
    Neq,
    /// Greater than; numbers only.
    Gt,
    /// Less than; numbers only.
    Lt,
    /// A text contains the text, or a list the value.
    Contains,
    /// The contrary of `contains`.
    NotContains,
}

/// The value at a path of keys (or list positions) joined by dots; the whole for an empty path.
#[must_use]
pub fn at_path<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').filter(|key| !key.is_empty()).try_fold(value, |value, key| match value {
        Value::Object(map) => map.get(key),
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Compares as the operator says; values of types that it cannot compare do not match.
pub(super) fn compare(found: &Value, operator: Operator, wanted: &Value) -> bool {
    let numbers = || Some((found.as_f64()?, wanted.as_f64()?));
    let contains = || match (found, wanted) {
        (Value::String(text), Value::String(part)) => Some(text.contains(part.as_str())),
        (Value::Array(list), item) => Some(list.contains(item)),
        _ => None,
    };
    match operator {
        Operator::Eq => equal(found, wanted),
        Operator::Neq => !equal(found, wanted),
        Operator::Gt => numbers().is_some_and(|(a, b)| a > b),
        Operator::Lt => numbers().is_some_and(|(a, b)| a < b),
        Operator::Contains => contains() == Some(true),
        Operator::NotContains => contains() == Some(false),
    }
}

/// Equal as JSON, with numbers compared by value: 1 equals 1.0.
fn equal(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= f64::EPSILON * a.abs().max(b.abs()),
        _ => a == b,
    }
}

pub(super) const fn name_of(operator: Operator) -> &'static str {
    match operator {
        Operator::Eq => "eq",
        Operator::Neq => "neq",
        Operator::Gt => "gt",
        Operator::Lt => "lt",
        Operator::Contains => "contains",
        Operator::NotContains => "not_contains",
    }
}
