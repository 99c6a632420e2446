//! The scripted agent: intents with phrases and patterns, answered by templates and tool calls.
//!
//! The best match among all intents wins, ties going to the one listed first; a pattern that matches
//! is a full match. Nothing is learned and nothing is guessed: the same words give the same thoughts.

use std::collections::BTreeMap;

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Thought;
use super::phrase::{Phrase, heard_as};
use crate::config::{self, Slot};
use crate::graph::at_path;
use crate::graph::facts::{Facts, spoken};
use crate::id::AgentId;
use crate::talk::template::Template;
use crate::tool::{Json, Outcome};

/// What a scripted agent says and understands.
#[derive(Debug, Clone)]
pub struct Script {
    greeting: Option<Template>,
    arrival: Option<Template>,
    fallback: Template,
    idle: Option<Template>,
    intents: Vec<Intent>,
}

#[derive(Debug, Clone)]
struct Intent {
    name: String,
    phrases: Vec<Phrase>,
    patterns: Vec<Regex>,
    say: Option<Template>,
    call: Option<(String, Vec<(String, Shape)>)>,
    then: Option<Template>,
    failed: Option<Template>,
    set: Vec<(String, Template)>,
    end_call: bool,
}

/// JSON whose texts are templates.
#[derive(Debug, Clone)]
enum Shape {
    Text(Template),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
    Plain(Value),
}

/// What was understood of the user's words.
#[derive(Debug, Clone, PartialEq)]
pub struct Understood {
    /// The intent's position in the script.
    intent: usize,
    /// Its name.
    pub name: String,
    /// What stood at its slots and named groups.
    pub slots: BTreeMap<String, String>,
}

/// What a scripted agent needs in order to go on when a tool has answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Whose script it is.
    pub agent: AgentId,
    /// By name, since another configuration may have it at another place.
    intent: String,
    slots: BTreeMap<String, String>,
}

/// A moment at which an agent speaks unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Moment {
    /// The call begins with this agent.
    Greeting,
    /// A hand-over has arrived here.
    Arrival,
    /// The user is away.
    Idle,
}

impl Script {
    /// Prepares a script. The configuration has been checked: what cannot be read as a template or a
    /// pattern is named in the error.
    ///
    /// # Errors
    /// The text of the template or pattern that is wrong, and why.
    pub fn new(agent: &config::Scripted, slots: &BTreeMap<String, Slot>) -> Result<Self, String> {
        let intents = agent.intents.iter().map(|intent| Intent::new(intent, slots));
        Ok(Self {
            greeting: optional(agent.greeting.as_deref())?,
            arrival: optional(agent.arrival.as_deref())?,
            fallback: template(&agent.fallback)?,
            idle: optional(agent.idle.as_deref())?,
            intents: intents.collect::<Result<_, _>>()?,
        })
    }

    /// What the agent says unasked.
    #[must_use]
    pub fn at(&self, moment: Moment, facts: &Facts) -> Option<String> {
        let template = match moment {
            Moment::Greeting => &self.greeting,
            Moment::Arrival => &self.arrival,
            Moment::Idle => &self.idle,
        };
        template.as_ref().map(|template| render(template, &BTreeMap::new(), facts, None))
    }

    /// The intent that fits the user's words best, if any fits.
    #[must_use]
    pub fn understand(&self, text: &str) -> Option<Understood> {
        let heard = heard_as(text);
        let mut best: Option<(f32, Understood)> = None;
        for (at, intent) in self.intents.iter().enumerate() {
            let Some((score, slots)) = intent.fits(text, &heard) else { continue };
            if best.as_ref().is_none_or(|(known, _)| score > *known) {
                best = Some((score, Understood { intent: at, name: intent.name.clone(), slots }));
            }
        }
        best.map(|(_, understood)| understood)
    }

    /// What to do about what was understood, or about nothing.
    #[must_use]
    pub fn reply(
        &self,
        me: AgentId,
        understood: Option<&Understood>,
        facts: &Facts,
    ) -> Vec<Thought> {
        let Some(understood) = understood else {
            return vec![Thought::Say(render(&self.fallback, &BTreeMap::new(), facts, None))];
        };
        let intent = &self.intents[understood.intent];
        let slots = &understood.slots;
        let mut thoughts = Vec::new();
        for (name, value) in intent.set.iter().filter(|(_, value)| !needs_result(value)) {
            thoughts.push(Thought::Remember(name.clone(), render(value, slots, facts, None)));
        }
        if let Some(say) = &intent.say {
            thoughts.push(Thought::Say(render(say, slots, facts, None)));
        }
        match &intent.call {
            Some((tool, with)) => {
                let fill = |t: &Template| render(t, slots, facts, None);
                let arguments = with.iter().map(|(name, shape)| (name.clone(), shape.fill(&fill)));
                thoughts.push(Thought::Call {
                    tool: tool.clone(),
                    arguments: Json(Value::Object(arguments.collect())),
                    asked: Asked { agent: me, intent: intent.name.clone(), slots: slots.clone() },
                });
            }
            None if intent.end_call => thoughts.push(Thought::EndCall),
            None => {}
        }
        thoughts
    }

    /// Whether this agent has words for the outcome of what it asked for. Failures are told in any case,
    /// but nobody counts on them.
    #[must_use]
    pub fn tells(&self, asked: &Asked) -> bool {
        let intent = self.intents.iter().find(|intent| intent.name == asked.intent);
        intent.is_some_and(|intent| intent.then.is_some())
    }

    /// What to do when a tool has answered.
    #[must_use]
    pub fn answer(&self, asked: &Asked, outcome: &Outcome, facts: &Facts) -> Vec<Thought> {
        let Some(intent) = self.intents.iter().find(|intent| intent.name == asked.intent) else {
            return Vec::new();
        };
        let mut thoughts = Vec::new();
        let say = match outcome {
            Outcome::Done(_) => {
                for (name, value) in intent.set.iter().filter(|(_, value)| needs_result(value)) {
                    let value = render(value, &asked.slots, facts, Some(outcome));
                    thoughts.push(Thought::Remember(name.clone(), value));
                }
                intent.then.as_ref()
            }
            Outcome::Failed(_) => {
                if intent.failed.is_none() {
                    thoughts.push(Thought::Apologise);
                }
                intent.failed.as_ref()
            }
        };
        if let Some(say) = say {
            thoughts.push(Thought::Say(render(say, &asked.slots, facts, Some(outcome))));
        }
        if intent.end_call && outcome.is_done() {
            thoughts.push(Thought::EndCall);
        }
        thoughts
    }
}

impl Intent {
    fn new(intent: &config::Intent, slots: &BTreeMap<String, Slot>) -> Result<Self, String> {
        let pattern = |text: &String| {
            regex::RegexBuilder::new(text)
                .size_limit(1 << 20)
                .build()
                .map_err(|e| format!("`{text}`: {e}"))
        };
        let call = intent.call.as_ref().map(|call| {
            let with = call.with.iter().map(|(name, value)| Ok((name.clone(), Shape::new(value)?)));
            Ok::<_, String>((call.tool.clone(), with.collect::<Result<_, String>>()?))
        });
        let set = intent.set.iter().map(|(name, value)| Ok((name.clone(), template(value)?)));
        Ok(Self {
            name: intent.name.clone(),
            phrases: intent.phrases.iter().map(|phrase| Phrase::new(phrase, slots)).collect(),
            patterns: intent.patterns.iter().map(pattern).collect::<Result<_, _>>()?,
            say: optional(intent.say.as_deref())?,
            call: call.transpose()?,
            then: optional(intent.then.as_deref())?,
            failed: optional(intent.failed.as_deref())?,
            set: set.collect::<Result<_, String>>()?,
            end_call: intent.end_call,
        })
    }

    fn fits(&self, text: &str, heard: &[String]) -> Option<(f32, BTreeMap<String, String>)> {
        if let Some(found) = self.patterns.iter().find_map(|pattern| groups(pattern, text)) {
            return Some((1.0, found));
        }
        let matches = self.phrases.iter().filter_map(|phrase| phrase.align(heard));
        matches.map(|found| (found.score, found.slots)).reduce(|a, b| if b.0 > a.0 { b } else { a })
    }
}

fn groups(pattern: &Regex, text: &str) -> Option<BTreeMap<String, String>> {
    let captures = pattern.captures(text)?;
    let names = pattern.capture_names().flatten();
    Some(
        names
            .filter_map(|name| Some((name.to_owned(), captures.name(name)?.as_str().to_owned())))
            .collect(),
    )
}

impl Shape {
    fn new(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => Self::Text(template(text)?),
            Value::Array(list) => Self::List(list.iter().map(Self::new).collect::<Result<_, _>>()?),
            Value::Object(map) => {
                let fields = map.iter().map(|(name, value)| Ok((name.clone(), Self::new(value)?)));
                Self::Map(fields.collect::<Result<_, String>>()?)
            }
            plain => Self::Plain(plain.clone()),
        })
    }

    fn fill(&self, render: &impl Fn(&Template) -> String) -> Value {
        match self {
            Self::Text(template) => Value::String(render(template)),
            Self::List(list) => list.iter().map(|shape| shape.fill(render)).collect(),
            Self::Map(map) => {
                let fields = map.iter().map(|(name, shape)| (name.clone(), shape.fill(render)));
                Value::Object(fields.collect())
            }
            Self::Plain(value) => value.clone(),
        }
    }
}

fn template(text: &str) -> Result<Template, String> {
    Template::parse(text).map_err(|error| format!("`{text}`: {error}"))
}

fn optional(text: Option<&str>) -> Result<Option<Template>, String> {
    text.map(template).transpose()
}

fn needs_result(template: &Template) -> bool {
    template.placeholders().any(|name| name == "result" || name.starts_with("result."))
}

/// Fills a template from slots, facts (`fact.name`) and a tool's outcome (`result…`, `error`).
pub fn render(
    template: &Template,
    slots: &BTreeMap<String, String>,
    facts: &Facts,
    outcome: Option<&Outcome>,
) -> String {
    template.render(&|name| {
        if let Some(fact) = name.strip_prefix("fact.") {
            return facts.spoken(fact);
        }
        match (name.split_once('.'), outcome) {
            (Some(("result", path)), Some(Outcome::Done(value))) => {
                at_path(&value.0, path).map(|found| spoken(found).into_owned())
            }
            (None, Some(Outcome::Done(value))) if name == "result" => {
                Some(spoken(&value.0).into_owned())
            }
            (None, Some(Outcome::Failed(failure))) if name == "error" => {
                Some(failure.message.clone())
            }
            _ => slots.get(name).cloned(),
        }
    })
}
