//! JSON out of words.

use serde_json::Value;

/// Reads the JSON that a model was to answer with: the whole text, or what is in its first code fence, held
/// against a schema.
///
/// # Errors
/// There is none that fits; in words.
pub fn read(text: &str, schema: &Value) -> Result<Option<Value>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let validator = jsonschema::validator_for(schema)
        .map_err(|error| format!("the schema is none: {error}"))?;
    let whole = serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
    let fits = |value: Value| match validator.validate(&value) {
        Ok(()) => Ok(Some(value)),
        Err(error) => Err(format!("the answer does not fit its schema: {error}")),
    };
    match (whole, fenced(text)) {
        (Ok(value), _) => fits(value),
        (Err(_), Some(inner)) => {
            let value = serde_json::from_str(inner)
                .map_err(|error| format!("the answer's code fence is not JSON: {error}"))?;
            fits(value)
        }
        (Err(error), None) => Err(format!("the answer is not JSON: {error}")),
    }
}

/// What is in the first code fence.
fn fenced(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("```")?;
    // The first line may name the language.
    let (_, rest) = rest.split_once('\n')?;
    let (inner, _) = rest.split_once("```")?;
    Some(inner.trim())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_read_bare_or_fenced_and_held_against_its_schema() {
        let schema = json!({ "type": "object", "required": ["n"] });
        let value = Ok(Some(json!({ "n": 1 })));
        assert_eq!(read("{\"n\": 1}", &schema), value);
        assert_eq!(read("Here it is:\n```json\n{\"n\": 1}\n```\nSo.", &schema), value);
        assert_eq!(read("```\n{\"n\": 1}\n```", &schema), value);
        assert_eq!(read("  ", &schema), Ok(None));
        for (text, why) in
            [("n is 1", "not JSON"), ("```json\n{n}\n```", "code fence"), ("{}", "does not fit")]
        {
            assert!(read(text, &schema).unwrap_err().contains(why), "{text}");
        }
    }
}
