//! The usual shapes of topologies, each by its parameters.
//!
//! **Invariant:** a pattern means what its nodes and links written out mean; nothing remembers that it
//! was one.

mod check;
mod expand;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(super) use check::read;

use super::{Fault, Lenience, Topology};

/// A pattern and what else is known of it.
///
/// ```
/// use antiphon::graph::topology::{Pattern, PatternConfig};
///
/// let hub = PatternConfig::from(Pattern::hub_and_spoke("desk", ["billing", "sales"], false));
/// let topology = hub.topology().unwrap();
/// let links: Vec<String> = topology.links().iter().map(ToString::to_string).collect();
/// assert_eq!(links, ["User -> desk", "billing <-> desk", "desk <-> sales"]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PatternConfig {
    /// The pattern with its parameters.
    #[serde(flatten)]
    pub pattern: Pattern,
    /// `timeout`, in seconds, limits a run; `entry_point` is the agent of a mesh or a ring that the
    /// user calls; all else becomes the topology's metadata.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

/// A usual shape of a topology. Lists of agents are not empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "pattern", content = "params", rename_all = "snake_case")]
pub enum Pattern {
    /// The user calls the hub, which converses with each spoke.
    HubAndSpoke {
        /// The agent in the middle.
        hub: String,
        /// The agents around it.
        spokes: Vec<String>,
        /// Whether the spokes work at the same time.
        #[serde(default)]
        parallel_spokes: bool,
    },
    /// The user calls those at the top, and each calls those below it.
    Hierarchical(Hierarchy),
    /// The user calls the first stage, and each agent of a stage all of the next.
    Pipeline {
        /// The stages in their order.
        stages: Vec<Stage>,
        /// Whether the agents of a stage work at the same time.
        #[serde(default)]
        parallel_within_stage: bool,
    },
    /// Each converses with each.
    Mesh {
        /// The agents.
        agents: Vec<String>,
        /// False leaves them without links.
        #[serde(default = "yes")]
        fully_connected: bool,
        /// The agent that the user calls.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entry_point: Option<String>,
    },
    /// The user calls the center, which calls each point.
    Star {
        /// The agent in the middle.
        center: String,
        /// The agents around it.
        points: Vec<String>,
        /// Whether the points may call the center.
        #[serde(default = "yes")]
        bidirectional: bool,
    },
    /// Each calls the next, and the last the first.
    Ring {
        /// The agents in their order.
        agents: Vec<String>,
        /// Whether each may call the one before it.
        #[serde(default)]
        bidirectional: bool,
    },
    /// The user calls the broadcaster, which calls all receivers at the same time.
    Broadcast {
        /// The agent that calls.
        broadcaster: String,
        /// The agents that are called.
        receivers: Vec<String>,
        /// Whether the receivers may call the broadcaster.
        #[serde(default)]
        allow_replies: bool,
    },
}

/// Who is above whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Hierarchy {
    /// Those below each agent.
    Tree {
        /// Agents, and those below each.
        tree: BTreeMap<String, Vec<String>>,
    },
    /// Levels, of which each agent calls all of the next.
    Levels {
        /// The one at the top.
        root: String,
        /// The levels below it, from high to low.
        levels: Vec<Vec<String>>,
    },
}

/// A stage of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its agents.
    pub agents: Vec<String>,
}

const fn yes() -> bool {
    true
}

fn texts(names: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}

impl Pattern {
    /// A hub with its spokes.
    pub fn hub_and_spoke(
        hub: impl Into<String>,
        spokes: impl IntoIterator<Item = impl Into<String>>,
        parallel_spokes: bool,
    ) -> Self {
        Self::HubAndSpoke { hub: hub.into(), spokes: texts(spokes), parallel_spokes }
    }

    /// A hierarchy of agents and those below each.
    pub fn tree<N: Into<String>>(
        tree: impl IntoIterator<Item = (N, impl IntoIterator<Item = impl Into<String>>)>,
    ) -> Self {
        let below = tree.into_iter().map(|(above, below)| (above.into(), texts(below)));
        Self::Hierarchical(Hierarchy::Tree { tree: below.collect() })
    }

    /// A hierarchy of levels.
    pub fn levels<L: IntoIterator<Item = impl Into<String>>>(
        root: impl Into<String>,
        levels: impl IntoIterator<Item = L>,
    ) -> Self {
        let levels = levels.into_iter().map(texts).collect();
        Self::Hierarchical(Hierarchy::Levels { root: root.into(), levels })
    }

    /// A pipeline of stages.
    pub fn pipeline<S: IntoIterator<Item = impl Into<String>>>(
        stages: impl IntoIterator<Item = S>,
        parallel_within_stage: bool,
    ) -> Self {
        let stages = stages.into_iter().map(|agents| Stage { name: None, agents: texts(agents) });
        Self::Pipeline { stages: stages.collect(), parallel_within_stage }
    }

    /// A mesh, in which each converses with each.
    pub fn mesh(agents: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::Mesh { agents: texts(agents), fully_connected: true, entry_point: None }
    }

    /// A star.
    pub fn star(
        center: impl Into<String>,
        points: impl IntoIterator<Item = impl Into<String>>,
        bidirectional: bool,
    ) -> Self {
        Self::Star { center: center.into(), points: texts(points), bidirectional }
    }

    /// A ring.
    pub fn ring(agents: impl IntoIterator<Item = impl Into<String>>, bidirectional: bool) -> Self {
        Self::Ring { agents: texts(agents), bidirectional }
    }

    /// A broadcast.
    pub fn broadcast(
        broadcaster: impl Into<String>,
        receivers: impl IntoIterator<Item = impl Into<String>>,
        allow_replies: bool,
    ) -> Self {
        Self::Broadcast {
            broadcaster: broadcaster.into(),
            receivers: texts(receivers),
            allow_replies,
        }
    }
}

impl From<Pattern> for PatternConfig {
    fn from(pattern: Pattern) -> Self {
        Self { pattern, metadata: Map::new() }
    }
}

impl PatternConfig {
    /// The topology of the pattern.
    ///
    /// # Errors
    /// All that is wrong with the parameters.
    pub fn topology(&self) -> Result<Topology, Vec<Fault>> {
        let value = serde_json::to_value(self).unwrap_or_default();
        Topology::read(&value, Lenience::Strict).map(|(topology, _)| topology)
    }
}
