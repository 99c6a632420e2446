//! Scenarios: what a recorded caller does in a simulated call, when, and what is expected of the agents.
//!
//! A caller alone is a list of cues, each of which plays a clip, types a text, presses keys, or has the
//! session told of an event:
//!
//! ```
//! use antiphon::config::scenario::{self, Act, After};
//!
//! let text = br#"
//! noise: noise.wav
//! cues:
//!   - { play: caller-08-barge-in.wav, after: { agent_spoke_ms: 3000 } }
//!   - { type: "how much do I owe", after: { previous_ms: 500 } }
//!   - { play: caller-10-goodbye.wav }
//!   - { digits: "12#" }
//!   - { event: { name: paid, data: { order: 7 } } }
//! "#;
//! let caller = scenario::parse(text, "caller.yaml").unwrap();
//! let case = caller.cases("caller").remove(0);
//! assert_eq!(case.after(&case.cues[0]), After::AgentSpokeMs(3000));
//! assert_eq!(case.cues[1].act, Act::Type("how much do I owe".into()));
//! assert_eq!(case.after(&case.cues[2]), After::AgentSilentMs(600));
//! assert_eq!(case.cues[3].act, Act::Press("12#".into()));
//! ```
//!
//! A scenario names a configuration, may answer for its tools, and says with each cue what is expected. A
//! file may hold several, as `tests`:
//!
//! ```
//! # use antiphon::config::scenario;
//! let text = br#"
//! config: shop.yaml
//! tools:
//!   order_status: [{ value: { state: shipped } }, { failure: the order book is closed }]
//! tests:
//!   - name: an order
//!     cues:
//!       - type: where is my order 4217
//!         expect:
//!           intent: order
//!           calls: [{ tool: order_status, with: { number: "4217" }, outcome: done }]
//!           says: ["/look/", [order, shipped]]
//! "#;
//! let file = scenario::parse(text, "shop.test.yaml").unwrap();
//! assert_eq!(file.cases("shop")[0].name, "an order");
//! ```
//!
//! **Invariant:** nothing here opens a file: the names of files are not looked up. Written by serde and
//! parsed again, a [`Scenario`] that [`parse`] returned is the same.

mod check;
mod cue;
mod expect;
mod pattern;
mod tell;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::LazyLock;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::check::against;
pub use self::cue::{Act, After, Cue};
pub use self::expect::{Answer, Called, Ends, Expect, Happens, Moved};
pub use self::pattern::Pattern;
pub use self::tell::{Tell, Told, Untold};

use super::Reply;
use super::complaint::{Complaint, Complaints};
use super::document::{self, Document, Shape};
use super::schema::{self, IDENTIFIER};
use super::yaml::Node;

/// What a caller does in a simulated call, and what is expected of the agents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Antiphon scenario", transform = cues_or_tests)]
pub struct Scenario {
    /// The configuration that is tested, relative to this file. Default none: a caller needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub config: Option<String>,
    /// The seed of the session, 0 to 2^64-1. Default none: the configuration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = u64::MAX))]
    pub seed: Option<u64>,
    /// The engines of a test. Default none: `real` where a cue plays a clip, `built_in` otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speech: Option<Engines>,
    /// What tools answer instead of being asked, call by call; the last answer is that of all further
    /// calls. Default none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "answers")]
    pub tools: BTreeMap<String, Vec<Answer>>,
    /// What models answer instead of being asked, as a canned model's `replies`. A model of others without any
    /// fails in a test: nothing is asked over the network. Default none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "replies")]
    pub models: BTreeMap<String, Vec<Reply>>,
    /// The caller's name, 1 to 64 characters. Default none: whoever reads the file chooses one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub name: Option<String>,
    /// A WAV file that is heard all the time, relative to this file. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub noise: Option<String>,
    /// How much louder the noise is than its file, in decibels: -60 to 20; only with `noise`.
    /// Default 0.
    #[serde(default)]
    #[schemars(range(min = -60, max = 20))]
    pub noise_gain_db: f64,
    /// A cue that waits for the agent comes after so long in any case, in milliseconds: 0 to
    /// 600000. Default 20000.
    #[serde(default = "patience_ms")]
    #[schemars(range(min = 0, max = 600_000))]
    pub patience_ms: u32,
    /// After the last cue, how long nobody is heard before the caller hangs up, in milliseconds: 0
    /// to 600000. Default 6000.
    #[serde(default = "hang_up_ms")]
    #[schemars(range(min = 0, max = 600_000))]
    pub hang_up_ms: u32,
    /// What is expected before the first cue; only with `cues`. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<Box<Expect>>,
    /// What the caller does, in this order: 1 to 1000 cues. Either this or `tests`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 1000))]
    pub cues: Vec<Cue>,
    /// Several calls, each on its own: 1 to 1000. Either this or `cues`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 1000))]
    pub tests: Vec<Test>,
}

/// A call of a file that holds several. What it does not say is as the file says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = no_empty_cues)]
pub struct Test {
    /// What it is a test of, 1 to 100 characters.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// The seed of the session, 0 to 2^64-1. Default none: the file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = u64::MAX))]
    pub seed: Option<u64>,
    /// The engines. Default none: those of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speech: Option<Engines>,
    /// Answers of tools, which replace those of the file tool by tool. Default none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "answers")]
    pub tools: BTreeMap<String, Vec<Answer>>,
    /// Replies of models, which replace those of the file model by model. Default none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "replies")]
    pub models: BTreeMap<String, Vec<Reply>>,
    /// As `patience_ms` of the file, 0 to 600000. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 600_000))]
    pub patience_ms: Option<u32>,
    /// As `hang_up_ms` of the file, 0 to 600000. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 600_000))]
    pub hang_up_ms: Option<u32>,
    /// What is expected before the first cue. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<Box<Expect>>,
    /// What the caller does, in this order: 0 to 1000 cues. Default none: it only listens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub cues: Vec<Cue>,
}

/// Which engines a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Engines {
    /// Those of the configuration.
    Real,
    /// Those that are part of the program: no recogniser, so that only typed text is understood, and
    /// tones for speech.
    BuiltIn,
}

/// One call of a file, with everything that the file says of it.
#[derive(Clone, Debug)]
pub struct Case<'s> {
    /// What it is a test of.
    pub name: &'s str,
    /// The file.
    pub file: &'s Scenario,
    /// The seed, if not the configuration's.
    pub seed: Option<u64>,
    /// The engines.
    pub engines: Engines,
    /// The answers of tools, by their names.
    pub tools: BTreeMap<&'s str, &'s [Answer]>,
    /// The replies of models, by their names.
    pub models: BTreeMap<&'s str, &'s [Reply]>,
    /// See [`Scenario::patience_ms`].
    pub patience_ms: u32,
    /// See [`Scenario::hang_up_ms`].
    pub hang_up_ms: u32,
    /// What is expected before the first cue.
    pub opening: Option<&'s Expect>,
    /// What the caller does.
    pub cues: &'s [Cue],
}

impl Case<'_> {
    /// When a cue of this call comes.
    #[must_use]
    pub fn after(&self, cue: &Cue) -> After {
        let usual = if self.file.config.is_some() { After::DONE } else { After::SILENT };
        cue.after.unwrap_or(usual)
    }

    /// What is expected before the first cue, and from each cue on.
    pub fn expected(&self) -> impl Iterator<Item = Option<&Expect>> {
        std::iter::once(self.opening).chain(self.cues.iter().map(|cue| cue.expect.as_deref()))
    }
}

impl Scenario {
    /// The calls of this file; one without a name of its own has the name given.
    #[must_use]
    pub fn cases<'s>(&'s self, name: &'s str) -> Vec<Case<'s>> {
        let plays = |cues: &[Cue]| cues.iter().any(|cue| matches!(cue.act, Act::Play(_)));
        let usual = |cues| if plays(cues) { Engines::Real } else { Engines::BuiltIn };
        let tools = |all: &'s BTreeMap<String, Vec<Answer>>| {
            all.iter().map(|(name, answers)| (name.as_str(), answers.as_slice()))
        };
        let models = |all: &'s BTreeMap<String, Vec<Reply>>| {
            all.iter().map(|(name, replies)| (name.as_str(), replies.as_slice()))
        };
        let of = |test: Option<&'s Test>| {
            let cues = test.map_or(&*self.cues, |test| &*test.cues);
            let engines = test.and_then(|test| test.speech).or(self.speech);
            Case {
                name: test.map_or(name, |test| &test.name),
                file: self,
                seed: test.and_then(|test| test.seed).or(self.seed),
                engines: engines.unwrap_or_else(|| usual(cues)),
                tools: tools(&self.tools)
                    .chain(test.into_iter().flat_map(|t| tools(&t.tools)))
                    .collect(),
                models: models(&self.models)
                    .chain(test.into_iter().flat_map(|t| models(&t.models)))
                    .collect(),
                patience_ms: test.and_then(|test| test.patience_ms).unwrap_or(self.patience_ms),
                hang_up_ms: test.and_then(|test| test.hang_up_ms).unwrap_or(self.hang_up_ms),
                opening: test.map_or(&self.opening, |test| &test.opening).as_deref(),
                cues,
            }
        };
        if self.tests.is_empty() {
            return vec![of(None)];
        }
        self.tests.iter().map(|test| of(Some(test))).collect()
    }
}

fn patience_ms() -> u32 {
    20_000
}

fn hang_up_ms() -> u32 {
    6_000
}

fn answers(generator: &mut schemars::SchemaGenerator) -> Schema {
    let answer = generator.subschema_for::<Answer>();
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": { "type": "array", "items": answer, "minItems": 1, "maxItems": 1000 },
        "propertyNames": { "pattern": IDENTIFIER },
        "maxProperties": 1000,
    })
}

fn replies(generator: &mut schemars::SchemaGenerator) -> Schema {
    let reply = generator.subschema_for::<Reply>();
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": { "type": "array", "items": reply, "minItems": 1, "maxItems": 1000 },
        "propertyNames": { "pattern": IDENTIFIER },
        "maxProperties": 200,
    })
}

fn cues_or_tests(schema: &mut Schema) {
    schema.insert("oneOf".into(), json!([{"required": ["cues"]}, {"required": ["tests"]}]));
    no_empty_cues(schema);
}

/// What is left out is no empty list.
fn no_empty_cues(schema: &mut Schema) {
    for key in ["cues", "tests"] {
        let property = schema.pointer_mut(&format!("/properties/{key}"));
        property.and_then(Value::as_object_mut).map(|property| property.remove("default"));
    }
}

static SHAPE: LazyLock<Shape> = LazyLock::new(|| {
    let (schema, validator) = schema::derive::<Scenario>();
    Shape {
        noun: "scenario",
        opening: "`cues:`",
        own: &["cues", "tests"],
        others: &[("agents", "configuration")],
        elsewhere: "`antiphon check` and `antiphon run` take it; a test names it with `config:`",
        reference: "`antiphon schema cues`",
        lent: None,
        misformed: |_| Vec::new(),
        schema,
        validator,
    }
});

impl Document for Scenario {
    fn shape() -> &'static Shape {
        &SHAPE
    }

    fn check(&self, tree: &Node) -> Vec<Complaint> {
        check::check(self, tree)
    }
}

/// The JSON Schema (2020-12) of a scenario.
#[must_use]
pub fn schema() -> Value {
    SHAPE.schema.clone()
}

/// Reads a scenario from what an edge has opened, as [`read`](super::read()) does a configuration.
///
/// # Errors
/// If it cannot be read, or for everything that [`parse`] complains about.
pub fn read(source: io::Result<impl Read>, file_name: &str) -> Result<Scenario, Complaints> {
    document::read(source, file_name)
}

/// Reads a scenario from YAML text; `file_name` is what complaints call it.
///
/// # Errors
/// All that is wrong with it, at once and in the order of the file.
pub fn parse(text: &[u8], file_name: &str) -> Result<Scenario, Complaints> {
    document::parse(text, file_name)
}
