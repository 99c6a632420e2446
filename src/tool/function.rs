//! Functions as tools: the arguments are a type, and the schema is derived from it.
//!
//! **Invariant:** what a function is called with fits its schema and has become its type.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Json, Registry, ToolContext, ToolSpec, WrongTool};

/// The JSON Schema (2020-12) of a type of arguments, with its parts in place wherever they can be: models
/// read such schemas better.
///
/// ```
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Order {
///     /// Its number.
///     number: u32,
/// }
/// let schema = antiphon::tool::parameters_of::<Order>();
/// assert_eq!(schema["properties"]["number"]["description"], "Its number.");
/// assert_eq!(schema["required"], serde_json::json!(["number"]));
/// ```
#[must_use]
pub fn parameters_of<A: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<A>().to_value();
    if let Value::Object(map) = &mut schema {
        // The type's name in Rust is nobody's business.
        map.remove("title");
    }
    schema
}

impl Registry {
    /// Adds a function. Its arguments are whatever type it takes: their schema becomes the tool's
    /// `parameters`, and doc comments on the fields become the descriptions that a model reads. One of the
    /// same name is replaced.
    ///
    /// ```
    /// use antiphon::id::CallId;
    /// use antiphon::tool::{Json, Outcome, Registry, ToolCall, ToolContext, ToolSpec};
    /// use schemars::JsonSchema;
    /// use serde::Deserialize;
    /// use serde_json::json;
    ///
    /// #[derive(Deserialize, JsonSchema)]
    /// struct Add {
    ///     /// The first number.
    ///     a: i64,
    ///     /// The second number.
    ///     b: i64,
    /// }
    ///
    /// let mut tools = Registry::default();
    /// let spec = ToolSpec::new("add", "Adds two numbers").inline();
    /// tools.add_fn(spec, |_: &ToolContext, Add { a, b }: Add| Ok(a + b))?;
    ///
    /// let spec = tools.spec("add").unwrap();
    /// assert_eq!(spec.parameters.0["properties"]["b"]["description"], "The second number.");
    ///
    /// let context =
    ///     ToolContext { session: "demo".into(), call: "call-0".into(), occurrence: 0, pause: |_| () };
    /// let arguments = Json(json!({ "a": 2, "b": 3 }));
    /// let call = ToolCall { id: CallId(0), name: "add".into(), arguments, occurrence: 0, lane: None };
    /// assert_eq!(tools.execute(&context, &call), Outcome::Done(Json(json!(5))));
    /// # Ok::<(), antiphon::tool::WrongTool>(())
    /// ```
    ///
    /// # Errors
    /// The arguments are not an object: they are a struct with named fields, or a map.
    pub fn add_fn<A, O, F>(&mut self, mut spec: ToolSpec, function: F) -> Result<(), WrongTool>
    where
        A: DeserializeOwned + JsonSchema + 'static,
        O: Serialize + 'static,
        F: Fn(&ToolContext, A) -> Result<O, String> + Send + Sync + 'static,
    {
        let schema = parameters_of::<A>();
        if schema["type"] != "object" {
            let reason =
                "its arguments are no object; take a struct with named fields, which may have none";
            return Err(WrongTool { tool: spec.name, reason: reason.to_owned() });
        }
        spec.parameters = Json(schema);
        self.add(spec, move |context: &ToolContext, arguments: &Value| {
            // A type may be stricter than its schema can say.
            let typed = A::deserialize(arguments)
                .map_err(|error| format!("the arguments cannot be used: {error}"))?;
            let value = function(context, typed)?;
            serde_json::to_value(value).map_err(|error| format!("the result is no JSON: {error}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::id::CallId;
    use crate::tool::{FailureKind, Outcome, ToolCall};

    #[derive(Deserialize, JsonSchema)]
    struct Booking {
        /// How many people come.
        guests: u8,
        /// Where they sit.
        seats: Option<Vec<Seat>>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Seat {
        Inside,
        Outside,
    }

    #[derive(Deserialize, JsonSchema)]
    struct Nothing {}

    #[derive(Serialize)]
    struct Booked {
        number: u32,
        outside: usize,
    }

    fn called(arguments: Value) -> Outcome {
        let mut tools = Registry::default();
        tools
            .add_fn(
                ToolSpec::new("book", "Books a table"),
                |context: &ToolContext, asked: Booking| {
                    if asked.guests > 8 {
                        return Err("there is no table for so many".to_owned());
                    }
                    let seats = asked.seats.unwrap_or_default();
                    let outside = seats.iter().filter(|seat| matches!(seat, Seat::Outside)).count();
                    Ok(Booked { number: context.occurrence + 1, outside })
                },
            )
            .unwrap();
        let context =
            ToolContext { session: "s".into(), call: "c".into(), occurrence: 6, pause: |_| () };
        let (id, name, arguments) = (CallId(0), "book".to_owned(), Json(arguments));
        tools.execute(&context, &ToolCall { id, name, arguments, occurrence: 6, lane: None })
    }

    #[test]
    fn a_function_is_called_with_its_type_and_answers_with_another() {
        let done = called(json!({ "guests": 2, "seats": ["outside", "inside"] }));
        assert_eq!(done, Outcome::Done(Json(json!({ "number": 7, "outside": 1 }))));
        let Outcome::Failed(refused) = called(json!({ "guests": 9 })) else { panic!("it is done") };
        assert_eq!(refused.message, "there is no table for so many");
    }

    #[test]
    fn what_does_not_fit_the_type_never_reaches_the_function() {
        let wrong = [
            json!({}),
            json!({ "guests": "two" }),
            json!({ "guests": 300 }),
            json!({ "guests": 2, "seats": ["roof"] }),
        ];
        for arguments in wrong {
            let Outcome::Failed(failure) = called(arguments) else { panic!("it is done") };
            assert_eq!(failure.kind, FailureKind::InvalidArguments, "{}", failure.message);
        }
    }

    #[test]
    fn a_schema_has_descriptions_and_no_references() {
        let schema = parameters_of::<Booking>();
        assert_eq!(schema["properties"]["guests"]["description"], "How many people come.");
        assert!(!schema.to_string().contains("$ref"), "{schema}");
        assert!(schema.get("$schema").is_none() && schema.get("title").is_none(), "{schema}");
    }

    #[test]
    fn arguments_are_an_object_which_may_be_empty() {
        let mut tools = Registry::default();
        let spec = |name| ToolSpec::new(name, "");
        tools.add_fn(spec("now"), |_: &ToolContext, Nothing {}: Nothing| Ok(1)).unwrap();
        let wrong = tools.add_fn(spec("list"), |_: &ToolContext, list: Vec<u8>| Ok(list.len()));
        assert!(wrong.unwrap_err().to_string().contains("a struct with named fields"));
        assert!(tools.spec("now").is_some() && tools.spec("list").is_none());
    }
}
