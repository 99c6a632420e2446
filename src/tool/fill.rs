//! Texts that are filled in from a call's arguments and from the environment: addresses, headers, bodies.
//!
//! ```text
//! fill        = { text | "{{" | "}}" | "{" argument "}" | "${" NAME "}" }
//! argument    = name { "." key }
//! name        = letter or "_", then letters, digits, "_"
//! key         = letters, digits, "_", "-"
//! ```
//!
//! What an argument holds is never looked through for further gaps.
//!
//! **Invariant:** a value from the environment is not part of a [`Fill`]: it is handed in when a text is
//! filled, so nothing that is printed of one can show a secret.

use serde_json::Value;

/// A text with gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Argument(String),
    Environment(String),
}

/// Where the values of `${NAME}` come from.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

fn is_name(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_key(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    !text.is_empty() && text.bytes().all(fits)
}

fn is_argument(text: &str) -> bool {
    let mut keys = text.split('.');
    keys.next().is_some_and(is_name) && keys.all(is_key)
}

impl Fill {
    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}', '$']) {
            plain.push_str(&rest[..at]);
            rest = &rest[at..];
            let twice = ["{{", "}}"].into_iter().find(|twice| rest.starts_with(twice));
            if let Some(twice) = twice {
                plain.push_str(&twice[1..]);
                rest = &rest[2..];
                continue;
            }
            let is_environment = rest.starts_with("${") && !rest.starts_with("${{");
            if rest.starts_with('$') && !is_environment {
                plain.push('$');
                rest = &rest[1..];
                continue;
            }
            if rest.starts_with('}') {
                return Err("a `}` that closes nothing; write `}}` for the sign itself".to_owned());
            }
            let begin = if is_environment { 2 } else { 1 };
            let Some(end) = rest.find('}') else {
                return Err("a `{` that is not closed; write `{{` for the sign itself".to_owned());
            };
            let name = &rest[begin..end];
            let part = match is_environment {
                true if is_name(name) => Part::Environment(name.to_owned()),
                true => {
                    return Err(format!("`${{{name}}}` names no variable of the environment"));
                }
                false if is_argument(name) => Part::Argument(name.to_owned()),
                false => return Err(format!("`{{{name}}}` names no argument")),
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(part);
            rest = &rest[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// The arguments that fill it, as paths: `city`, `address.street`.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Argument(path) => Some(path.as_str()),
            Part::Text(_) | Part::Environment(_) => None,
        })
    }

    /// The variables of the environment that fill it.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Environment(name) => Some(name.as_str()),
            Part::Text(_) | Part::Argument(_) => None,
        })
    }

    /// The path of the argument that it is altogether, if it is nothing else.
    #[must_use]
    pub fn only_argument(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Argument(path)] => Some(path),
            _ => None,
        }
    }

    /// What stands before the first argument, with what the environment fills in.
    #[must_use]
    pub fn before_arguments(&self, environment: Environment<'_>) -> String {
        let parts = self.parts.iter().take_while(|part| !matches!(part, Part::Argument(_)));
        parts
            .map(|part| match part {
                Part::Environment(name) => environment(name).unwrap_or_default(),
                Part::Text(text) | Part::Argument(text) => text.clone(),
            })
            .collect()
    }

    /// The text. What arguments hold goes through `encode`.
    ///
    /// # Errors
    /// An argument or a variable is not there.
    pub fn fill(
        &self,
        arguments: &Value,
        environment: Environment<'_>,
        encode: fn(&str) -> String,
    ) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Argument(path) => {
                    let value = look_up(arguments, path)
                        .ok_or_else(|| format!("the argument `{path}` is missing"))?;
                    text.push_str(&encode(&in_words(value)));
                }
                Part::Environment(name) => {
                    let value = environment(name)
                        .ok_or_else(|| format!("${name} is not set in the environment"))?;
                    text.push_str(&value);
                }
            }
        }
        Ok(text)
    }
}

/// A text with a sign in the place of each of these secrets. One that holds another goes first, so that no part
/// of it is left by the shorter one.
pub fn blotted<'s>(text: &str, secrets: impl IntoIterator<Item = &'s str>, sign: &str) -> String {
    let mut secrets: Vec<&str> = secrets.into_iter().collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret, sign))
}

/// The value at a path of keys and of numbers of list items; null counts as none.
#[must_use]
pub fn look_up<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    let found = path.split('.').try_fold(value, |value, key| match value {
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    });
    found.filter(|found| !found.is_null())
}

/// A text as it is, and anything else as JSON.
#[must_use]
pub fn in_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Every text of a JSON value, with its place.
pub fn texts<'v>(value: &'v Value, see: &mut impl FnMut(&'v str)) {
    match value {
        Value::String(text) => see(text),
        Value::Array(list) => list.iter().for_each(|item| texts(item, see)),
        Value::Object(map) => map.values().for_each(|item| texts(item, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A JSON value whose texts are filled. A text that is one argument alone becomes its value, whatever it is,
/// and what holds it is left out where the call has no such argument.
///
/// # Errors
/// A text cannot be filled.
pub fn fill_json(
    template: &Value,
    arguments: &Value,
    environment: Environment<'_>,
) -> Result<Option<Value>, String> {
    Ok(Some(match template {
        Value::String(text) => {
            let fill = Fill::parse(text)?;
            if let Some(path) = fill.only_argument() {
                return Ok(look_up(arguments, path).cloned());
            }
            fill.fill(arguments, environment, str::to_owned)?.into()
        }
        Value::Array(list) => {
            let mut filled = Vec::new();
            for item in list {
                filled.extend(fill_json(item, arguments, environment)?);
            }
            filled.into()
        }
        Value::Object(map) => {
            let mut filled = serde_json::Map::new();
            for (key, item) in map {
                if let Some(value) = fill_json(item, arguments, environment)? {
                    filled.insert(key.clone(), value);
                }
            }
            filled.into()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => template.clone(),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn environment(name: &str) -> Option<String> {
        (name == "KEY").then(|| "s3cret{a}".to_owned())
    }

    fn filled(text: &str) -> Result<String, String> {
        let arguments =
            json!({ "a": "x {b}", "n": 3, "in": { "list": [true, { "k": 1 }] }, "no": null });
        Fill::parse(text)?.fill(&arguments, &environment, str::to_owned)
    }

    #[test]
    fn gaps_are_filled_once_and_braces_written_twice() {
        let right = [
            ("", ""),
            ("plain", "plain"),
            ("{a}/{n}", "x {b}/3"),
            ("{in.list.0} {in.list.1}", "true {\"k\":1}"),
            ("Bearer ${KEY}!", "Bearer s3cret{a}!"),
            ("{{a}} costs $5, ${{a}}", "{a} costs $5, ${a}"),
        ];
        for (text, wanted) in right {
            assert_eq!(filled(text).as_deref(), Ok(wanted), "{text}");
        }
        let wrong = [
            ("{b}", "`b` is missing"),
            ("{no}", "`no` is missing"),
            ("${OTHER}", "$OTHER is not set"),
            ("{a", "not closed"),
            ("a}", "closes nothing"),
            ("{}", "names no argument"),
            ("{a b}", "names no argument"),
            ("${1}", "names no variable"),
        ];
        for (text, why) in wrong {
            let error = filled(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_text_that_is_one_argument_becomes_its_value_or_is_left_out() {
        let template =
            json!({ "to": "{name}", "n": "{n}", "gone": "{gone}", "list": ["{gone}", "no {n}"] });
        let arguments = json!({ "name": "ann", "n": 3 });
        let value = fill_json(&template, &arguments, &|_| None);
        assert_eq!(value, Ok(Some(json!({ "to": "ann", "n": 3, "list": ["no 3"] }))));
        assert!(fill_json(&json!(["a {gone}"]), &arguments, &|_| None).is_err());
    }
}
