//! Topologies made in Rust.

use serde_json::Value;

use super::draft::{Draft, End, Spot};
use super::fault::{Fault, Findings, Lenience, Place};
use super::{Link, LinkPattern, Node, Policy, Topology, read};

/// A topology in the making; see [`Topology::builder`].
#[derive(Debug, Default)]
#[must_use]
pub struct Builder {
    draft: Draft,
}

impl Topology {
    /// Begins a topology.
    ///
    /// ```
    /// use antiphon::graph::topology::{Policy, Seconds, Topology};
    ///
    /// let topology = Topology::builder()
    ///     .agent("desk")
    ///     .agent("billing")
    ///     .link("User", "desk")
    ///     .two_way("desk", "billing")
    ///     .policy(Policy::Timeout(Seconds::from_ms(300_000).unwrap()))
    ///     .build()
    ///     .unwrap();
    /// assert_eq!(topology.to_notation(), serde_json::json!({
    ///     "nodes": ["User", "billing", "desk"],
    ///     "links": ["User -> desk", "billing <-> desk"],
    ///     "policies": ["timeout(300)"],
    /// }));
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Builder {
    /// Adds an agent.
    pub fn agent(self, name: impl Into<String>) -> Self {
        self.node(Node::new(name))
    }

    /// Adds a node. One of the same name is updated.
    pub fn node(mut self, node: Node) -> Self {
        let spot = Spot::Item("nodes", self.draft.nodes.len());
        self.draft.nodes.push((node, spot));
        self
    }

    /// Adds a link by which `from` may call `to`.
    pub fn link(self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.connect(Link::new(from, to))
    }

    /// Adds a link by which each may call the other.
    pub fn two_way(self, a: impl Into<String>, b: impl Into<String>) -> Self {
        self.connect(Link::new(a, b).with_pattern(LinkPattern::TwoWay))
    }

    /// Adds a link of any kind and pattern.
    pub fn connect(mut self, link: Link) -> Self {
        let spot = Spot::Item("links", self.draft.links.len());
        self.draft.links.push((link, spot, [End::Key("from"), End::Key("to")]));
        self
    }

    /// Adds a policy.
    pub fn policy(mut self, policy: Policy) -> Self {
        let spot = Spot::Item("policies", self.draft.policies.len());
        self.draft.policies.push((policy, spot));
        self
    }

    /// Notes something about the topology.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.draft.metadata.insert(key.into(), value.into());
        self
    }

    /// Makes the topology.
    ///
    /// # Errors
    /// All that is wrong; places are `nodes`, `links` or `policies`, and how many of them were added
    /// before.
    pub fn build(mut self) -> Result<Topology, Vec<Fault>> {
        let mut findings = Findings::new(Lenience::Strict);
        let root = Place::ROOT;
        for (index, (node, _)) in self.draft.nodes.iter_mut().enumerate() {
            let list = root.key("nodes");
            reread(&mut node.name, &list.item(index), &mut findings);
            if let Some(agent) = &mut node.agent {
                reread(agent, &list.item(index).key("agent"), &mut findings);
            }
        }
        for (index, (link, ..)) in self.draft.links.iter_mut().enumerate() {
            let list = root.key("links");
            reread(&mut link.from, &list.item(index).key("from"), &mut findings);
            reread(&mut link.to, &list.item(index).key("to"), &mut findings);
        }
        let mut policies = Vec::with_capacity(self.draft.policies.len());
        for (index, (policy, spot)) in
            std::mem::take(&mut self.draft.policies).into_iter().enumerate()
        {
            match policy.checked() {
                Ok(policy) => policies.push((policy, spot)),
                Err(slip) => {
                    let list = root.key("policies");
                    findings.wrong(&list.item(index), slip.what, slip.remedy);
                }
            }
        }
        self.draft.policies = policies;
        let topology = self.draft.finish(&mut findings);
        findings.conclude(topology).map(|(topology, _)| topology)
    }
}

/// Brings a name into the form in which it is read.
fn reread(name: &mut String, place: &Place<'_>, findings: &mut Findings) {
    if let Some(plain) = read::name(name, place, findings) {
        *name = plain;
    }
}
