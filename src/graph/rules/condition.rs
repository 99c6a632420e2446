//! When a rule is triggered.

use serde_json::{Value, json};

use super::operator::Check;
use super::variable::{Variable, Variables};

/// When a rule is triggered.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// All of these hold; at least one.
    All(Vec<Self>),
    /// Any of these holds; at least one.
    Any(Vec<Self>),
    /// This holds.
    Test(Test),
}

/// A comparison of a variable with a value. Its operator is one for the variable's kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    pub(super) variable: Variable,
    pub(super) check: Check,
}

impl Test {
    /// What is compared.
    #[must_use]
    pub const fn variable(&self) -> &Variable {
        &self.variable
    }

    /// How, and with what.
    #[must_use]
    pub const fn check(&self) -> &Check {
        &self.check
    }
}

/// A variable that holds what a condition cannot be about.
pub(super) type Misfit<'r> = (&'r Variable, &'static str);

impl Condition {
    /// Whether it holds now.
    pub(super) fn holds(&self, now: &dyn Variables) -> Result<bool, Misfit<'_>> {
        match self {
            Self::All(conditions) => {
                for condition in conditions {
                    if !condition.holds(now)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Any(conditions) => {
                for condition in conditions {
                    if condition.holds(now)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Test(Test { variable, check }) => {
                let held = variable.value(now).map_err(|found| (variable, found))?;
                Ok(check.holds(&held))
            }
        }
    }

    pub(super) fn to_value(&self) -> Value {
        let list = |conditions: &[Self]| conditions.iter().map(Self::to_value).collect::<Value>();
        match self {
            Self::All(conditions) => json!({ "all": list(conditions) }),
            Self::Any(conditions) => json!({ "any": list(conditions) }),
            Self::Test(Test { variable, check }) => {
                let (operator, value) = check.written(variable.kind());
                json!({ "name": variable.to_string(), "operator": operator, "value": value })
            }
        }
    }
}
