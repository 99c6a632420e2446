//! Rules read from JSON, with all that is wrong told at once.

use regex::RegexBuilder;
use serde_json::{Map, Value};

use super::action::ACTIONS;
use super::operator::{Check, Input, Operator, TextPattern};
use super::{
    ACTIONS_MAX, Action, AgentKey, CONDITIONS_MAX, Condition, DEPTH_MAX, Fault, PATTERN_SIZE_MAX,
    PATTERNS_MAX, RULES_MAX, Rule, RuleSet, Scalar, TEXT_MAX, Test, Variable,
};
use crate::graph::topology::{Findings, Lenience, Place, type_of};
use crate::talk::near::{excerpt, suggestion};

type Entries = Map<String, Value>;

pub(super) fn rule_set(value: &Value) -> Result<RuleSet, Vec<Fault>> {
    let mut reader =
        Reader { findings: Findings::new(Lenience::Strict), conditions: 0, patterns: 0 };
    let root = Place::ROOT;
    let mut rules = Vec::new();
    let items = reader.list(value, RULES_MAX, "rules", &root).unwrap_or_default();
    for (index, item) in items.iter().enumerate() {
        rules.extend(reader.rule(item, &root.item(index)));
    }
    for (count, max, what) in [
        (reader.conditions, CONDITIONS_MAX, "conditions"),
        (reader.patterns, PATTERNS_MAX, "regular expressions"),
    ] {
        if count > max {
            let what = format!("there are {count} {what}");
            reader.findings.wrong(&root, what, format!("use at most {max}"));
        }
    }
    reader.findings.conclude(RuleSet { rules }).map(|(rules, _)| rules)
}

struct Reader {
    findings: Findings,
    /// How many there are so far.
    conditions: usize,
    patterns: usize,
}

impl Reader {
    fn wrong(&mut self, place: &Place<'_>, what: impl Into<String>, remedy: impl Into<String>) {
        self.findings.wrong(place, what, remedy);
    }

    fn map<'v>(&mut self, value: &'v Value, what: &str, place: &Place<'_>) -> Option<&'v Entries> {
        if let Value::Object(map) = value {
            return Some(map);
        }
        self.wrong(
            place,
            format!("{what} is a map, not {}", type_of(value)),
            "write keys and values",
        );
        None
    }

    fn list<'v>(
        &mut self,
        value: &'v Value,
        max: usize,
        what: &str,
        place: &Place<'_>,
    ) -> Option<&'v [Value]> {
        match value {
            Value::Array(items) if items.len() <= max => return Some(items),
            Value::Array(items) => {
                let what = format!("there are {} {what}", items.len());
                self.wrong(place, what, format!("use at most {max}"));
            }
            other => {
                let what = format!("{what} stand in a list, not in {}", type_of(other));
                self.wrong(place, what, "write a list");
            }
        }
        None
    }

    fn keys(&mut self, map: &Entries, known: &[&str], place: &Place<'_>) {
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            let what = format!("there is no key `{}` here", excerpt(key));
            self.wrong(&place.key(key), what, suggestion(key, "keys", known));
        }
    }

    fn required<'v>(
        &mut self,
        map: &'v Entries,
        key: &str,
        place: &Place<'_>,
    ) -> Option<&'v Value> {
        let found = map.get(key);
        if found.is_none() {
            self.wrong(place, format!("`{key}` is missing"), "add it");
        }
        found
    }

    fn text<'v>(&mut self, value: &'v Value, what: &str, place: &Place<'_>) -> Option<&'v str> {
        match value {
            Value::String(text) if text.len() <= TEXT_MAX => return Some(text),
            Value::String(text) => {
                let what = format!("{what} has {} bytes", text.len());
                self.wrong(place, what, format!("use at most {TEXT_MAX}"));
            }
            other => {
                let what = format!("{what} is a text, not {}", type_of(other));
                self.wrong(place, what, "write a text");
            }
        }
        None
    }

    fn rule(&mut self, item: &Value, place: &Place<'_>) -> Option<Rule> {
        let map = self.map(item, "a rule", place)?;
        self.keys(map, &["conditions", "actions"], place);
        let conditions = self
            .required(map, "conditions", place)
            .and_then(|value| self.condition(value, 1, &place.key("conditions")));
        let mut actions = Vec::new();
        if let Some(value) = self.required(map, "actions", place) {
            let place = place.key("actions");
            let items = self.list(value, ACTIONS_MAX, "actions", &place).unwrap_or_default();
            for (index, item) in items.iter().enumerate() {
                actions.extend(self.action(item, &place.item(index)));
            }
        }
        Some(Rule { conditions: conditions?, actions })
    }

    fn condition(&mut self, value: &Value, depth: usize, place: &Place<'_>) -> Option<Condition> {
        self.conditions += 1;
        if self.conditions > CONDITIONS_MAX {
            return None;
        }
        let map = self.map(value, "a condition", place)?;
        let groups = ["all", "any"].map(|key| map.get(key).map(|value| (key, value)));
        let (key, value) = match groups {
            [None, None] => return self.test(map, place).map(Condition::Test),
            [Some(group), None] | [None, Some(group)] if map.len() == 1 => group,
            _ => {
                let what = "`all` or `any` stands alone in its map";
                self.wrong(place, what, "put what stands beside it into a list of its own");
                return None;
            }
        };
        let place = place.key(key);
        if depth >= DEPTH_MAX {
            let what = format!("conditions nest deeper than {DEPTH_MAX}");
            self.wrong(&place, what, "write two rules");
            return None;
        }
        let items = self.list(value, CONDITIONS_MAX, "conditions", &place)?;
        if items.is_empty() {
            self.wrong(&place, format!("`{key}` of nothing"), "add a condition");
            return None;
        }
        let mut conditions = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            conditions.extend(self.condition(item, depth + 1, &place.item(index)));
        }
        Some(if key == "all" { Condition::All(conditions) } else { Condition::Any(conditions) })
    }

    fn test(&mut self, map: &Entries, place: &Place<'_>) -> Option<Test> {
        if map.contains_key("not") {
            let remedy = "use the contrary operator, or another order of rules";
            self.wrong(&place.key("not"), "there is no `not`", remedy);
            return None;
        }
        self.keys(map, &["name", "operator", "value"], place);
        let name = self.required(map, "name", place);
        let operator = self.required(map, "operator", place);
        let name = self.text(name?, "the name of a variable", &place.key("name"))?;
        let Some(variable) = Variable::named(name) else {
            let mut known = Variable::NAMED.map(|variable| variable.word()).to_vec();
            known.push("fact.NAME");
            let what = format!("there is no variable `{}`", excerpt(name));
            let remedy = match name.starts_with(super::FACT_PREFIX) {
                true => "write the name of the fact after the dot".to_owned(),
                false => suggestion(name, "variables", &known),
            };
            self.wrong(&place.key("name"), what, remedy);
            return None;
        };
        let word = self.text(operator?, "an operator", &place.key("operator"))?;
        let operators = Operator::of(variable.kind());
        // Of two of one name the value tells which is meant.
        let value = map.get("value").unwrap_or(&Value::Null);
        let mut named = operators.iter().filter(|(name, _)| *name == word);
        let (first, second) = (named.next(), named.next());
        let Some((_, operator)) = second.filter(|_| value.is_number()).or(first) else {
            let mut known: Vec<&str> = operators.iter().map(|(name, _)| *name).collect();
            known.dedup();
            let what = format!("`{}` is no operator for `{}`", excerpt(word), excerpt(name));
            self.wrong(&place.key("operator"), what, suggestion(word, "operators", &known));
            return None;
        };
        let check = self.check(*operator, value, place)?;
        Some(Test { variable, check })
    }

    fn check(&mut self, operator: Operator, value: &Value, test: &Place<'_>) -> Option<Check> {
        let place = test.key("value");
        let what = "the value of this operator";
        Some(match operator {
            Operator::Text(operator) => {
                Check::Text(operator, self.text(value, what, &place)?.to_owned())
            }
            Operator::Select(operator) => {
                Check::Select(operator, self.text(value, what, &place)?.to_owned())
            }
            Operator::Matches => {
                let pattern = self.text(value, what, &place)?;
                Check::Matches(self.pattern(pattern, &place)?)
            }
            Operator::Number(operator) => {
                let Some(number) = value.as_f64() else {
                    let what = format!("{what} is a number, not {}", type_of(value));
                    self.wrong(&place, what, "write a number, without quotes");
                    return None;
                };
                Check::Number(operator, number)
            }
            Operator::Shared(operator) => {
                let items = match value {
                    // As in a variable, a plain text is one element.
                    Value::String(_) => std::slice::from_ref(value),
                    _ => self.list(value, CONDITIONS_MAX, "the values of this operator", &place)?,
                };
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    list.push(self.text(item, "a value", &place.item(index))?.to_owned());
                }
                Check::Shared(operator, list)
            }
            Operator::NonEmpty | Operator::Boolean(_) => {
                debug_assert_eq!(operator.input(), Input::Nothing);
                // What forms put there who have a field for it in any case.
                let means_nothing = match value {
                    Value::Null | Value::Bool(true) => true,
                    Value::String(text) => text.is_empty(),
                    _ => false,
                };
                if !means_nothing {
                    let what = "this operator has no value";
                    self.wrong(&place, what, "remove it, or use the contrary operator");
                    return None;
                }
                match operator {
                    Operator::Boolean(wanted) => Check::Boolean(wanted),
                    _ => Check::NonEmpty,
                }
            }
        })
    }

    fn pattern(&mut self, pattern: &str, place: &Place<'_>) -> Option<TextPattern> {
        self.patterns += 1;
        if self.patterns > PATTERNS_MAX {
            return None;
        }
        match RegexBuilder::new(pattern).size_limit(PATTERN_SIZE_MAX).build() {
            Ok(regex) => return Some(TextPattern { regex }),
            Err(regex::Error::CompiledTooBig(_)) => {
                let what =
                    format!("the pattern takes more than {PATTERN_SIZE_MAX} bytes when compiled");
                let remedy = "repeat less, or use [0-9] and [a-z] instead of \\d and \\w";
                self.wrong(place, what, remedy);
            }
            Err(error) => {
                // The crate draws a picture of the pattern first; its last line says what is wrong.
                let message = error.to_string();
                let reason =
                    message.lines().last().unwrap_or_default().trim_start_matches("error: ");
                let what = format!("not a regular expression: {reason}");
                self.wrong(place, what, "correct the pattern");
            }
        }
        None
    }

    fn action(&mut self, item: &Value, place: &Place<'_>) -> Option<Action> {
        let map = self.map(item, "an action", place)?;
        self.keys(map, &["name", "params"], place);
        let name = self.required(map, "name", place)?;
        let name = self.text(name, "the name of an action", &place.key("name"))?;
        let Some((name, params)) = ACTIONS.iter().find(|(known, _)| *known == name) else {
            let known = ACTIONS.map(|(name, _)| name);
            let what = format!("there is no action `{}`", excerpt(name));
            self.wrong(&place.key("name"), what, suggestion(name, "actions", &known));
            return None;
        };
        let none = Map::new();
        let place = place.key("params");
        let given = match map.get("params") {
            None | Some(Value::Null) => &none,
            Some(value) => self.map(value, "`params`", &place)?,
        };
        let known: Vec<&str> = params.iter().map(|(name, _)| *name).collect();
        self.keys(given, &known, &place);
        let values: Vec<Option<&Value>> =
            known.iter().map(|key| self.required(given, key, &place)).collect();
        match (*name, values.as_slice()) {
            ("transition_to_agent", [agent]) => {
                let agent = self.agent((*agent)?, &place.key("agent_id"))?;
                Some(Action::TransitionToAgent { agent })
            }
            ("set_context_value", [key, value]) => {
                let key = key.and_then(|key| self.text(key, "a key", &place.key("key")));
                if key == Some("") {
                    self.wrong(&place.key("key"), "the key is empty", "name a fact");
                }
                let value = value.and_then(|value| self.scalar(value, &place.key("value")));
                Some(Action::SetContextValue { key: key?.to_owned(), value: value? })
            }
            _ => Some(Action::LogTransition),
        }
    }

    fn agent(&mut self, value: &Value, place: &Place<'_>) -> Option<AgentKey> {
        match value {
            Value::Number(number) => {
                if let Some(number) = number.as_u64() {
                    return Some(AgentKey::Number(number));
                }
                let what = format!("{number} is no number of an agent");
                self.wrong(place, what, "write a whole number from 0, or a name");
                None
            }
            Value::String(text) if text.trim().is_empty() => {
                self.wrong(place, "the name of the agent is empty", "name an agent");
                None
            }
            Value::String(_) => {
                let name = self.text(value, "the name of an agent", place)?;
                Some(AgentKey::Name(name.to_owned()))
            }
            other => {
                let what = format!("an agent is a name or a number, not {}", type_of(other));
                self.wrong(place, what, "write the name of an agent");
                None
            }
        }
    }

    fn scalar(&mut self, value: &Value, place: &Place<'_>) -> Option<Scalar> {
        match value {
            Value::Bool(flag) => Some(Scalar::Boolean(*flag)),
            Value::Number(number) => Some(Scalar::Number(number.clone())),
            Value::String(_) => {
                self.text(value, "a value", place).map(|text| Scalar::Text(text.to_owned()))
            }
            other => {
                let what =
                    format!("a value is a text, a number or a boolean, not {}", type_of(other));
                self.wrong(place, what, "write one of these");
                None
            }
        }
    }
}
