//! An event that an application tells a session, as it is written in a cue, and what it comes to.
//!
//! **Invariant:** what [`Tell::told`] makes of an event, a session can be told from outside.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::graph::event::EventName;
use crate::talk::near::{excerpt, nearest, suggestion};

/// The longest name of an event in a cue, in characters: longer than any of the vocabulary.
const NAME_MAX: usize = 64;

/// An event that an application tells the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ToldEvent")]
pub struct Tell {
    /// Its name, 1 to 64 characters: one of your own, which comes as `custom`, or one of `custom`,
    /// `data.received`, `user.attributes`, `user.metadata`, `room.metadata`. The spellings of other
    /// systems are understood as well.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// What it holds: of your own event any JSON; of `custom` a map of `name` and `data`, of
    /// `data.received` of `topic` and `text`, of `user.attributes` of `changed`, of the others of `text`.
    /// Default none: null.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

/// What a session is told from outside, by a participant's page or by the program that holds the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// An event of somebody's own: `custom`.
    Custom {
        /// What it is called.
        name: String,
        /// What it holds: any JSON.
        data: Value,
    },
    /// Data of a participant, which is a text.
    Data {
        /// What it is about.
        topic: String,
        /// The text.
        text: String,
    },
    /// Attributes of a participant that have changed: from name to value.
    Attributes(BTreeMap<String, String>),
    /// The metadata of a participant.
    Metadata(String),
    /// The metadata of the room.
    RoomMetadata(String),
}

/// Why an event cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    /// Where, as keys below the event.
    pub place: Vec<String>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Untold {
    fn new(place: &[&str], what: impl Into<String>, remedy: impl Into<String>) -> Self {
        let place = place.iter().map(|&key| key.to_owned()).collect();
        Self { place, what: what.into(), remedy: remedy.into() }
    }
}

/// The events of the vocabulary that are told from outside, and what each holds.
const TOLD: [EventName; 5] = [
    EventName::Custom,
    EventName::DataReceived,
    EventName::UserAttributes,
    EventName::UserMetadata,
    EventName::RoomMetadata,
];

impl Tell {
    /// The event as one writes it that comes to this; none if it cannot be written.
    #[must_use]
    pub fn of(told: &Told) -> Option<Self> {
        let event = |name: EventName, data| Self { name: name.to_string(), data };
        let tell = match told {
            Told::Custom { name, data } => {
                let own = Self { name: name.clone(), data: data.clone() };
                // A name that the vocabulary has, or nearly has, is one of `custom`.
                let is_own = own.told().as_ref() == Ok(told) && name.chars().count() <= NAME_MAX;
                let held = || json!({ "name": name, "data": data });
                if is_own { own } else { event(EventName::Custom, held()) }
            }
            Told::Data { topic, text } => {
                event(EventName::DataReceived, json!({ "topic": topic, "text": text }))
            }
            Told::Attributes(changed) => {
                event(EventName::UserAttributes, json!({ "changed": changed }))
            }
            Told::Metadata(text) => event(EventName::UserMetadata, json!({ "text": text })),
            Told::RoomMetadata(text) => event(EventName::RoomMetadata, json!({ "text": text })),
        };
        (tell.told().as_ref() == Ok(told)).then_some(tell)
    }

    /// What the session is told.
    ///
    /// # Errors
    /// The event is not told from outside, or does not hold such data.
    pub fn told(&self) -> Result<Told, Untold> {
        let Self { name, data } = self;
        match EventName::read(name) {
            None if name.is_empty() => {
                Err(Untold::new(&["name"], "the text is empty", "name the event"))
            }
            None => self.own(),
            Some(EventName::Custom) => {
                let held = Held::new(data, &["name", "data"])?;
                let name = held.text("name")?;
                if name.is_empty() {
                    let place = ["data", "name"];
                    return Err(Untold::new(&place, "the text is empty", "name the event"));
                }
                let data = held.map.get("data").cloned().unwrap_or_default();
                Ok(Told::Custom { name, data })
            }
            Some(EventName::DataReceived) => {
                let held = Held::new(data, &["topic", "text"])?;
                Ok(Told::Data { topic: held.text("topic")?, text: held.text("text")? })
            }
            Some(EventName::UserAttributes) => {
                Held::new(data, &["changed"])?.texts("changed").map(Told::Attributes)
            }
            Some(EventName::UserMetadata) => {
                Held::new(data, &["text"])?.text("text").map(Told::Metadata)
            }
            Some(EventName::RoomMetadata) => {
                Held::new(data, &["text"])?.text("text").map(Told::RoomMetadata)
            }
            Some(other) => Err(not_told(name, other)),
        }
    }

    /// An event of somebody's own, unless one of those that are told was meant.
    fn own(&self) -> Result<Told, Untold> {
        let spellings = TOLD
            .iter()
            .flat_map(|name| std::iter::once(name.as_str()).chain(name.aliases().iter().copied()));
        let meant = nearest(&self.name, spellings).and_then(EventName::read);
        match meant {
            Some(near) => {
                let what =
                    format!("`{}` is nearly an event of the vocabulary", excerpt(&self.name));
                let remedy = format!("did you mean `{near}`? {}", own_name(&self.name));
                Err(Untold::new(&["name"], what, remedy))
            }
            None => Ok(Told::Custom { name: self.name.clone(), data: self.data.clone() }),
        }
    }
}

fn own_name(name: &str) -> String {
    format!(
        "an event of your own with this name is `custom`, with `data: {{ name: {} }}`",
        excerpt(name)
    )
}

/// What to do instead of telling an event that the session itself emits.
fn not_told(written: &str, name: EventName) -> Untold {
    let what = format!("`{name}` is not told from outside");
    let remedy = match name {
        EventName::UserMessage | EventName::UserTranscript => "write `type: …`".to_owned(),
        EventName::UserDigit => "write `digits: …`".to_owned(),
        EventName::UserJoined | EventName::UserLeft | EventName::SessionEnded => {
            "the caller comes before its first cue, and hangs up `hang_up_ms` after its last"
                .to_owned()
        }
        _ => {
            let told: Vec<String> = TOLD.iter().map(|name| format!("`{name}`")).collect();
            format!("these are: {}; {}", told.join(", "), own_name(written))
        }
    };
    Untold::new(&["name"], what, remedy)
}

/// What an event of the vocabulary holds.
struct Held<'d> {
    map: &'d Map<String, Value>,
}

impl<'d> Held<'d> {
    fn new(data: &'d Value, keys: &[&str]) -> Result<Self, Untold> {
        let named = || keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" and ");
        let Value::Object(map) = data else {
            let what = "this event holds a map";
            return Err(Untold::new(&["data"], what, format!("write {}", named())));
        };
        match map.keys().find(|key| !keys.contains(&key.as_str())) {
            Some(key) => {
                let what = format!("this event holds no `{}`", excerpt(key));
                Err(Untold::new(&["data", key], what, suggestion(key, "keys", keys)))
            }
            None => Ok(Self { map }),
        }
    }

    fn text(&self, key: &str) -> Result<String, Untold> {
        match self.map.get(key) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(Untold::new(&["data", key], "it is no text", "put it in quotes")),
            None => Err(Untold::new(&["data"], format!("it has no `{key}`"), "add it")),
        }
    }

    fn texts(&self, key: &str) -> Result<BTreeMap<String, String>, Untold> {
        let Some(found) = self.map.get(key) else {
            return Err(Untold::new(&["data"], format!("it has no `{key}`"), "add it"));
        };
        let Value::Object(map) = found else {
            let remedy = "write `name: value` lines below it";
            return Err(Untold::new(&["data", key], "it is no map", remedy));
        };
        let mut texts = BTreeMap::new();
        for (name, value) in map {
            let Value::String(text) = value else {
                let place = ["data", key, name];
                return Err(Untold::new(&place, "it is no text", "put it in quotes"));
            };
            texts.insert(name.clone(), text.clone());
        }
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(name: &str, data: Value) -> Result<Told, Untold> {
        Tell { name: name.to_owned(), data }.told()
    }

    #[test]
    fn events_are_told_by_any_spelling() {
        let custom = |name: &str, data| Ok(Told::Custom { name: name.to_owned(), data });
        assert_eq!(tell("paid", json!({ "order": 7 })), custom("paid", json!({ "order": 7 })));
        for spelling in ["custom", "CUSTOM"] {
            assert_eq!(
                tell(spelling, json!({ "name": "connected" })),
                custom("connected", Value::Null)
            );
        }
        let data = Ok(Told::Data { topic: "cart".into(), text: "[1]".into() });
        for spelling in ["data.received", "data_received", "data:received"] {
            assert_eq!(tell(spelling, json!({ "topic": "cart", "text": "[1]" })), data);
        }
        let changed = BTreeMap::from([("vip".to_owned(), "yes".to_owned())]);
        assert_eq!(
            tell("participant_attributes_changed", json!({ "changed": { "vip": "yes" } })),
            Ok(Told::Attributes(changed))
        );
        assert_eq!(tell("user.metadata", json!({ "text": "a" })), Ok(Told::Metadata("a".into())));
        assert_eq!(
            tell("room.metadata", json!({ "text": "a" })),
            Ok(Told::RoomMetadata("a".into()))
        );
    }

    #[test]
    fn what_a_session_emits_itself_is_not_told() {
        for name in EventName::ALL.iter().filter(|name| !TOLD.contains(name)) {
            let untold = tell(name.as_str(), Value::Null).unwrap_err();
            assert_eq!(
                (untold.place, untold.what),
                (vec!["name".to_owned()], format!("`{name}` is not told from outside"))
            );
        }
    }

    #[test]
    fn whatever_is_told_is_written_and_read_again() {
        let custom =
            |name: &str| Told::Custom { name: name.into(), data: json!([1, { "a": null }]) };
        let long = "x".repeat(NAME_MAX + 1);
        for told in [
            custom("paid"),
            custom("custom"),
            custom("connected"),
            custom("data.recieved"),
            custom(&long),
            Told::Data { topic: String::new(), text: String::new() },
            Told::Attributes(BTreeMap::new()),
            Told::Metadata("{}".into()),
            Told::RoomMetadata("a".into()),
        ] {
            let written = Tell::of(&told).unwrap_or_else(|| panic!("{told:?}"));
            assert!(written.name.chars().count() <= NAME_MAX);
            assert_eq!(written.told(), Ok(told));
        }
        assert_eq!(Tell::of(&custom("")), None, "an event without a name cannot be written");
    }
}
