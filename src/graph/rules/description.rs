//! What rules can be made of, for those who draw a form for them.

use serde_json::{Map, Value, json};

use super::action::ACTIONS;
use super::operator::Operator;
use super::variable::{FACT_PREFIX, Kind, USER_INPUT_TYPES, Variable};

/// Describes what rules can be made of.
///
/// - `variables`: a list of `name`, `field_type` (`string`, `numeric`, `boolean`, `select` or `fact`) and
///   the usual `options` of a `select`; the name `fact.`, of the type `fact`, is to be followed by that of
///   a fact.
/// - `variable_type_operators`: for each type a list of `name` and `input_type`, which is what the
///   operator compares to: `text`, `numeric`, `select_multiple` (a list of texts) or `none`.
/// - `actions`: a list of `name` and `params`, each of these with `name` and `field_type`: `agent` (a
///   name or a number), `text` or `scalar` (a text, a number or a boolean).
#[must_use]
pub fn description() -> Value {
    let fact = Variable::Fact(String::new());
    let variables: Vec<Value> = Variable::NAMED
        .iter()
        .chain([&fact])
        .map(|variable| {
            let options = match variable {
                Variable::UserInputType => &USER_INPUT_TYPES[..],
                _ => &[],
            };
            json!({
                "name": variable.word(),
                "field_type": variable.kind().name(),
                "options": options,
            })
        })
        .collect();
    debug_assert_eq!(fact.word(), FACT_PREFIX, "what a form puts the name of a fact behind");
    let mut operators = Map::new();
    for kind in [Kind::Text, Kind::Number, Kind::Boolean, Kind::Select, Kind::Fact] {
        let of_kind = Operator::of(kind)
            .iter()
            .map(|(name, operator)| json!({ "name": name, "input_type": operator.input().name() }));
        operators.insert(kind.name().to_owned(), of_kind.collect());
    }
    let actions: Vec<Value> = ACTIONS
        .iter()
        .map(|(name, params)| {
            let params: Vec<Value> = params
                .iter()
                .map(|(name, holds)| json!({ "name": name, "field_type": holds }))
                .collect();
            json!({ "name": name, "params": params })
        })
        .collect();
    json!({
        "variables": variables,
        "variable_type_operators": operators,
        "actions": actions,
    })
}
