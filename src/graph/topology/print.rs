//! Topologies written out: as values, and in the notation for people.

use serde::ser::{Error as _, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Lenience, Link, Node, NodeKind, Policy, Topology, name};
use crate::tool::Json;

impl Topology {
    /// Writes the topology as people do: nodes as names, links as `A -> B`, policies as their texts;
    /// maps only where there is more to say. [`Topology::read`] makes an equal topology of it.
    #[must_use]
    pub fn to_notation(&self) -> Value {
        let described = |item: Result<Value, serde_json::Error>| item.unwrap_or_default();
        let node = |node: &Node| {
            let is_plain = node.agent.is_none()
                && node.metadata.is_empty()
                && node.kind == name::reserved(&node.name).unwrap_or(NodeKind::Agent);
            if is_plain { node.name.as_str().into() } else { described(serde_json::to_value(node)) }
        };
        let link = |link: &Link| {
            let is_plain = link.metadata.is_empty();
            if is_plain { link.to_string().into() } else { described(serde_json::to_value(link)) }
        };
        let mut map = Map::new();
        map.insert("nodes".into(), self.nodes.iter().map(node).collect());
        map.insert("links".into(), self.links.iter().map(link).collect());
        if !self.policies.is_empty() {
            let texts: Vec<String> = self.policies.iter().map(Policy::to_string).collect();
            map.insert("policies".into(), texts.into());
        }
        if !self.metadata.is_empty() {
            map.insert("metadata".into(), Value::Object(self.metadata.clone()));
        }
        Value::Object(map)
    }
}

impl Serialize for Topology {
    /// Writes a map of `nodes`, `links`, `policies` and `metadata`, the last two where there are any;
    /// in compact formats, which cannot describe values of unknown shape, the text of its JSON.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            let text = serde_json::to_string(self).map_err(S::Error::custom)?;
            return serializer.serialize_str(&text);
        }
        let (has_policies, has_metadata) = (!self.policies.is_empty(), !self.metadata.is_empty());
        let fields = 2 + usize::from(has_policies) + usize::from(has_metadata);
        let mut map = serializer.serialize_struct("Topology", fields)?;
        map.serialize_field("nodes", &self.nodes)?;
        map.serialize_field("links", &self.links)?;
        if has_policies {
            map.serialize_field("policies", &self.policies)?;
        }
        if has_metadata {
            map.serialize_field("metadata", &self.metadata)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Topology {
    /// Reads a topology in any form, strictly.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Json(value) = Json::deserialize(deserializer)?;
        let read = Self::read(&value, Lenience::Strict);
        read.map(|(topology, _)| topology).map_err(|faults| {
            let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
            serde::de::Error::custom(texts.join("\n"))
        })
    }
}
