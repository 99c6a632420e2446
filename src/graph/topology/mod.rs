//! The topology of agents: who may call whom, and within which limits.
//!
//! People write it in many ways, with arrows, pairs, maps, or as one of the usual [`Pattern`]s;
//! [`Topology::read`] makes of each the same canonical value, and tells all that is wrong at once, each
//! with its place. In Rust there is a [`builder`](Topology::builder). What follows from a topology,
//! such as where a run begins, is told by [`Topology::analysis`].
//!
//! | written | means |
//! |---|---|
//! | `A -> B` | A may call B |
//! | `A <-> B` | each may call the other: a conversation |
//! | `A <=> B` | A calls B, and control returns to A |
//! | `A <~> B` | they take strict turns |
//! | `A <\|> B` | they are peers |
//!
//! A kind other than `invoke` follows in parentheses: `A -> B (notify)`.
//!
//! The names `User`, `start` and `end` are reserved, spelt exactly so: they stand for the user, and
//! for where runs begin and end. They need not be listed. Names that differ from them in case alone
//! are refused; the lenient are given the reserved ones.
//!
//! **Invariant:** equal topologies are equal values, however they were written: nodes, links and
//! policies are sorted, each stands there once, and every name in a link or a policy is that of a
//! node.

mod analysis;
mod builder;
mod draft;
mod fault;
mod name;
mod notation;
mod pattern;
mod policy;
mod print;
mod read;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use analysis::{Analysis, Conversation, ParallelGroup};
pub use builder::Builder;
pub use fault::{FAULTS_MAX, Fault, Lenience, Warning};
pub(in crate::graph) use fault::{Findings, Place, type_of};
pub use name::NAME_MAX;
pub use pattern::{Hierarchy, Pattern, PatternConfig, Stage};
pub use policy::{COUNT_MAX, Policy, Seconds};

/// The most nodes of a topology.
pub const NODES_MAX: usize = 10_000;

/// The most links of a topology: ten for each of the most nodes.
pub const LINKS_MAX: usize = 100_000;

/// The most policies of a topology.
pub const POLICIES_MAX: usize = 1_000;

/// Agents, the links between them, and the limits of what they do. Its JSON form is canonical, too.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    nodes: Vec<Node>,
    links: Vec<Link>,
    policies: Vec<Policy>,
    metadata: Map<String, Value>,
}

/// A node of a topology.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// Its name, by which links refer to it: at most [`NAME_MAX`] characters.
    pub name: String,
    /// What it is.
    #[serde(skip_serializing_if = "NodeKind::is_agent")]
    pub kind: NodeKind,
    /// The agent that it stands for, where that has another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Whether branches that arrive here are waited for and merged.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub convergence: bool,
    /// What else is known of it.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

impl Node {
    /// A node of this name, of the kind that the name stands for.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let kind = name::reserved(&name).unwrap_or_default();
        Self { name, kind, agent: None, convergence: false, metadata: Map::new() }
    }

    /// The name of the agent that it stands for; none if it is not an agent.
    #[must_use]
    pub fn agent_name(&self) -> Option<&str> {
        match self.kind {
            NodeKind::Agent => Some(self.agent.as_deref().unwrap_or(&self.name)),
            NodeKind::User | NodeKind::Start | NodeKind::End => None,
        }
    }
}

/// What a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// Where runs begin.
    Start,
    /// The user.
    User,
    /// An agent.
    #[default]
    Agent,
    /// Where runs end.
    End,
}

impl NodeKind {
    const NAMES: [&'static str; 4] = ["agent", "user", "start", "end"];

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "agent" => Self::Agent,
            "user" => Self::User,
            "start" => Self::Start,
            "end" => Self::End,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::User => "user",
            Self::Start => "start",
            Self::End => "end",
        }
    }

    fn is_agent(&self) -> bool {
        *self == Self::Agent
    }
}

/// A link between two nodes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Link {
    /// The node that calls; where both do alike, the first in the order of nodes.
    pub from: String,
    /// The node that is called.
    pub to: String,
    /// What passes along it.
    pub kind: LinkKind,
    /// Whether and how the other end may speak.
    #[serde(skip_serializing_if = "LinkPattern::is_none")]
    pub pattern: LinkPattern,
    /// What else is known of it.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

impl Link {
    /// A link by which `from` may call `to`.
    #[must_use]
    pub fn new(from: impl Into<String>, to: impl Into<String>) -> Self {
        Self {
            from: from.into(),
            to: to.into(),
            kind: LinkKind::Invoke,
            pattern: LinkPattern::None,
            metadata: Map::new(),
        }
    }

    /// The same link with this kind.
    #[must_use]
    pub fn with_kind(mut self, kind: LinkKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same link with this pattern.
    #[must_use]
    pub fn with_pattern(mut self, pattern: LinkPattern) -> Self {
        self.pattern = pattern;
        self
    }

    /// Puts the ends into their order where they are alike.
    fn ordered(mut self) -> Self {
        if self.pattern.has_equal_ends() && name::order(&self.from, &self.to).is_gt() {
            std::mem::swap(&mut self.from, &mut self.to);
        }
        self
    }
}

/// What passes along a link.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// The other is called, and its answer used.
    #[default]
    Invoke,
    /// The other is told something.
    Notify,
    /// The other is asked something.
    Query,
    /// The other is sent parts as they come.
    Stream,
}

impl LinkKind {
    const NAMES: [&'static str; 4] = ["invoke", "notify", "query", "stream"];

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "invoke" => Self::Invoke,
            "notify" => Self::Notify,
            "query" => Self::Query,
            "stream" => Self::Stream,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Invoke => "invoke",
            Self::Notify => "notify",
            Self::Query => "query",
            Self::Stream => "stream",
        }
    }
}

/// Whether and how the other end of a link may speak.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum LinkPattern {
    /// It may not: the link leads one way.
    #[default]
    None,
    /// Each may call the other.
    TwoWay,
    /// It is called, and control returns to the caller.
    Reflexive,
    /// They take strict turns.
    Alternating,
    /// They are peers; either may speak at any time.
    Symmetric,
}

impl LinkPattern {
    const NAMES: [&'static str; 5] = ["none", "two_way", "reflexive", "alternating", "symmetric"];

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "none" => Self::None,
            "two_way" => Self::TwoWay,
            "reflexive" => Self::Reflexive,
            "alternating" => Self::Alternating,
            "symmetric" => Self::Symmetric,
            _ => return None,
        })
    }

    /// Whether the link leads both ways.
    #[must_use]
    pub const fn is_two_way(self) -> bool {
        !matches!(self, Self::None)
    }

    /// Whether control returns by itself, which is no hand-over.
    #[must_use]
    pub const fn is_call(self) -> bool {
        matches!(self, Self::Reflexive)
    }

    /// Whether the two ends may be exchanged.
    const fn has_equal_ends(self) -> bool {
        matches!(self, Self::TwoWay | Self::Alternating | Self::Symmetric)
    }

    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl Topology {
    /// The nodes: `start`, `User`, the others by name, `end`.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The links, by the order of their nodes, then by kind: at most one hand-over and one call that
    /// returns of a kind between two nodes in one direction, and one that leads both ways stands for both.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The policies, sorted. Each node that is marked as a convergence has its
    /// [`Policy::ConvergencePoint`] here, and each of these its mark.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// What else is known of the topology.
    #[must_use]
    pub fn metadata(&self) -> &Map<String, Value> {
        &self.metadata
    }

    /// The node of a name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.position(name).map(|at| &self.nodes[at])
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.nodes.binary_search_by(|node| name::order(&node.name, name)).ok()
    }
}
