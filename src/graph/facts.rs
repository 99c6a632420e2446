//! What a session knows: named values, each with a scope and perhaps an end.
//!
//! A fact belongs to a scope, by which facts are listed and cleared. Two scopes end by themselves: what
//! belongs to an *agent* is forgotten when that agent hands over, unless the hand-over names it; what
//! belongs to a *user* when that participant leaves. A fact with a time to live is forgotten when its
//! time is over.
//!
//! Not every agent sees every fact: a hand-over says what [goes along](Carry). An agent that was given
//! everything sees everything; one that was given less sees what it was given, what it has set itself,
//! and, when it comes back, what it knew before.
//!
//! **Invariant:** equal sequences of calls give equal facts; what an agent does not see, it cannot
//! read by any template.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Tick;
use crate::id::{AgentId, LaneId};
use crate::talk::template::Template;
use crate::tool::Json;

/// What a fact belongs to.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The session as a whole.
    #[default]
    Session,
    /// The conversation that it holds.
    Conversation,
    /// The agent that is current when it is set: forgotten when that agent hands over.
    Agent,
    /// The participant whose turn is being answered: forgotten when that participant leaves.
    User,
    /// A tool: what is kept of its results.
    Tool,
    /// Anything else.
    Custom,
}

/// Something that is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// Its value: any JSON.
    pub value: Json,
    /// What it belongs to.
    pub scope: Scope,
    /// When it was set.
    pub set: Tick,
    /// From this tick on it is forgotten.
    pub until: Option<Tick>,
    /// The participant to whom a fact of the scope `user` belongs.
    pub lane: Option<LaneId>,
    /// More about it, for those who ask: where it came from, for one.
    pub metadata: BTreeMap<String, String>,
}

impl Fact {
    /// A fact of the session, without end.
    #[must_use]
    pub fn new(value: Value, set: Tick) -> Self {
        Self {
            value: Json(value),
            scope: Scope::Session,
            set,
            until: None,
            lane: None,
            metadata: BTreeMap::new(),
        }
    }

    /// The value as it is said: texts without quotes, lists with commas.
    #[must_use]
    pub fn spoken(&self) -> Cow<'_, str> {
        spoken(&self.value.0)
    }
}

/// A JSON value as it is said: texts without quotes, lists with commas.
#[must_use]
pub fn spoken(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Array(list) => Cow::Owned(list.iter().map(spoken).collect::<Vec<_>>().join(", ")),
        other => Cow::Owned(other.to_string()),
    }
}

/// What goes along with a hand-over.
#[derive(Debug, Clone, Default)]
pub enum Carry {
    /// All that the agent knows that hands over, and what was said.
    #[default]
    Everything,
    /// These facts, and not what was said.
    Facts(Vec<String>),
    /// A text made of facts, as the fact `summary`; not what was said.
    Summary(Template),
    /// Neither facts nor what was said.
    Nothing,
}

/// The facts of a session, and which agent sees which.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    all: BTreeMap<String, Fact>,
    current: AgentId,
    /// The agents that do not see everything, and what they see.
    views: BTreeMap<AgentId, BTreeSet<String>>,
    /// The earliest end of a fact, so that a tick without one costs a comparison.
    next_end: Option<Tick>,
}

impl Facts {
    /// No facts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the current agent knows by this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Fact> {
        self.all.get(name).filter(|_| self.sees(name))
    }

    /// The same as it is said.
    #[must_use]
    pub fn spoken(&self, name: &str) -> Option<String> {
        self.get(name).map(|fact| fact.spoken().into_owned())
    }

    fn sees(&self, name: &str) -> bool {
        self.views.get(&self.current).is_none_or(|view| view.contains(name))
    }

    /// All facts by name, those that the current agent does not see included.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Fact)> {
        self.all.iter().map(|(name, fact)| (name.as_str(), fact))
    }

    /// The facts that the current agent sees, by name.
    pub fn seen(&self) -> impl Iterator<Item = (&str, &Fact)> {
        self.iter().filter(|(name, _)| self.sees(name))
    }

    /// The facts of a scope, by name.
    pub fn of(&self, scope: Scope) -> impl Iterator<Item = (&str, &Fact)> {
        self.iter().filter(move |(_, fact)| fact.scope == scope)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether there is one of this name, seen or not.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    /// Sets a fact; the current agent sees it. Who knew it as it was before, and is not current, does not
    /// know it as it is now.
    pub fn set(&mut self, name: &str, fact: Fact) {
        for (agent, view) in &mut self.views {
            if *agent == self.current {
                view.insert(name.to_owned());
            } else {
                view.remove(name);
            }
        }
        if let Some(end) = fact.until {
            self.next_end = Some(self.next_end.map_or(end, |known| known.min(end)));
        }
        self.all.insert(name.to_owned(), fact);
    }

    /// Forgets the facts of a scope.
    pub fn clear(&mut self, scope: Scope) {
        self.forget(|fact| fact.scope == scope);
    }

    /// Forgets the facts whose time is over at `now`, and says which.
    pub fn expire(&mut self, now: Tick) -> Vec<String> {
        if self.next_end.is_none_or(|end| end > now) {
            return Vec::new();
        }
        let gone = self.forget(|fact| fact.until.is_some_and(|end| end <= now));
        self.next_end = self.all.values().filter_map(|fact| fact.until).min();
        gone
    }

    /// A participant has left: what belonged to it is forgotten.
    pub fn left(&mut self, lane: LaneId) {
        self.forget(|fact| fact.scope == Scope::User && fact.lane == Some(lane));
    }

    fn forget(&mut self, gone: impl Fn(&Fact) -> bool) -> Vec<String> {
        let names: Vec<String> =
            self.all.iter().filter(|(_, fact)| gone(fact)).map(|(name, _)| name.clone()).collect();
        for name in &names {
            self.remove(name);
        }
        names
    }

    fn remove(&mut self, name: &str) {
        self.all.remove(name);
        for view in self.views.values_mut() {
            view.remove(name);
        }
    }

    /// The current agent, without a hand-over: a call begins.
    pub fn begin(&mut self, agent: AgentId) {
        self.current = agent;
    }

    /// The current agent hands over to `to`, which takes these facts along; `None` is all that it sees.
    /// What belonged to the agent itself goes only if it is named.
    pub fn hand_over(&mut self, to: AgentId, along: Option<&[String]>) {
        let named = |name: &str| along.is_some_and(|along| along.iter().any(|known| known == name));
        let own: Vec<String> = self
            .of(Scope::Agent)
            .filter(|(name, _)| !named(name))
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in &own {
            self.remove(name);
        }
        let given: Option<BTreeSet<String>> = match along {
            None => self.views.get(&self.current).cloned(),
            Some(along) => Some(along.iter().filter(|name| self.sees(name)).cloned().collect()),
        };
        // Who comes back later knows what it knew, and not what was found out in the meantime.
        let known = self.seen().map(|(name, _)| name.to_owned()).collect();
        self.views.insert(self.current, known);
        match given {
            None => drop(self.views.remove(&to)),
            Some(given) => self.views.entry(to).or_default().extend(given),
        }
        self.current = to;
    }

    /// The facts as JSON: by name, each with `value`, `scope`, `set`, `until`, `lane` and `metadata`.
    ///
    /// # Panics
    /// Never: facts are plain data.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let all = self.all.iter().map(|(name, fact)| {
            let Fact { value, scope, set, until, lane, metadata } = fact;
            let fact = json!({
                "value": value.0, "scope": scope, "set": set, "until": until, "lane": lane,
                "metadata": metadata,
            });
            (name.clone(), fact)
        });
        Value::Object(all.collect())
    }

    /// The facts that [`to_json`](Self::to_json) has written, all of them seen by everybody.
    ///
    /// # Errors
    /// The name of the first that is no fact.
    pub fn from_json(json: &Value) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            value: Value,
            #[serde(default)]
            scope: Scope,
            #[serde(default)]
            set: Tick,
            #[serde(default)]
            until: Option<Tick>,
            #[serde(default)]
            lane: Option<LaneId>,
            #[serde(default)]
            metadata: BTreeMap<String, String>,
        }
        let map = json.as_object().ok_or_else(|| "facts are a map".to_owned())?;
        let mut facts = Self::new();
        for (name, fact) in map {
            let Written { value, scope, set, until, lane, metadata } =
                Written::deserialize(fact).map_err(|error| format!("`{name}`: {error}"))?;
            facts.set(name, Fact { value: Json(value), scope, set, until, lane, metadata });
        }
        Ok(facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Fact {
        Fact::new(value.into(), Tick(0))
    }

    fn seen(facts: &Facts) -> Vec<&str> {
        facts.seen().map(|(name, _)| name).collect()
    }

    #[test]
    fn an_agent_sees_what_it_was_given_what_it_set_and_what_it_knew() {
        let mut facts = Facts::new();
        facts.begin(AgentId(0));
        facts.set("order", text("4217"));
        facts.set("name", text("ann"));
        facts.hand_over(AgentId(1), Some(&["order".to_owned(), "nothing".to_owned()]));
        assert_eq!(seen(&facts), ["order"]);
        assert_eq!(facts.get("name"), None);
        facts.set("price", text("9"));
        assert_eq!(seen(&facts), ["order", "price"]);
        facts.hand_over(AgentId(0), Some(&[]));
        assert_eq!(seen(&facts), ["name", "order"], "what it knew, and not the price");
        facts.hand_over(AgentId(1), None);
        assert_eq!(seen(&facts), ["name", "order", "price"], "what it was given, too");
        assert_eq!(facts.len(), 3, "nothing was lost");
    }

    #[test]
    fn one_who_sees_everything_passes_everything_on() {
        let mut facts = Facts::new();
        facts.set("a", text("1"));
        facts.hand_over(AgentId(1), None);
        facts.set("b", text("2"));
        facts.hand_over(AgentId(0), None);
        facts.set("c", text("3"));
        assert_eq!(seen(&facts), ["a", "b", "c"]);
    }

    #[test]
    fn scopes_end_with_what_they_belong_to() {
        let mut facts = Facts::new();
        let scoped = |scope, lane| Fact { scope, lane, ..text("x") };
        facts.set("mine", scoped(Scope::Agent, None));
        facts.set("kept", scoped(Scope::Agent, None));
        facts.set("hers", scoped(Scope::User, Some(LaneId(1))));
        facts.set("his", scoped(Scope::User, Some(LaneId(2))));
        facts.set("ours", scoped(Scope::Conversation, None));
        facts.left(LaneId(1));
        assert!(!facts.contains("hers") && facts.contains("his"));
        facts.hand_over(AgentId(1), Some(&["kept".to_owned()]));
        assert!(!facts.contains("mine") && facts.contains("kept"));
        facts.clear(Scope::Conversation);
        assert_eq!(facts.of(Scope::Conversation).count(), 0);
    }

    #[test]
    fn what_has_an_end_ends() {
        let mut facts = Facts::new();
        let until = |tick| Fact { until: Some(Tick(tick)), ..text("x") };
        facts.set("a", until(5));
        facts.set("b", until(9));
        assert_eq!(facts.expire(Tick(4)), Vec::<String>::new());
        assert_eq!(facts.expire(Tick(5)), ["a"]);
        assert!(facts.contains("b"));
        assert_eq!(facts.expire(Tick(20)), ["b"]);
    }

    #[test]
    fn json_is_read_as_what_it_was() {
        let mut facts = Facts::new();
        let metadata = BTreeMap::from([("from".to_owned(), "crm".to_owned())]);
        let fact = Fact {
            until: Some(Tick(7)),
            metadata,
            scope: Scope::Tool,
            ..Fact::new(json!([1, "a"]), Tick(3))
        };
        facts.set("list", fact);
        facts.set("plain", text("x"));
        assert_eq!(Facts::from_json(&facts.to_json()), Ok(facts.clone()));
        assert_eq!(
            facts.get("list").map(|fact| fact.spoken().into_owned()),
            Some("1, a".to_owned())
        );
        assert!(Facts::from_json(&json!({ "a": 1 })).unwrap_err().contains("`a`"));
    }
}
