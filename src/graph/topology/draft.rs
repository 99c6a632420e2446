//! A topology in the making: what was written, with its places, and how it becomes canonical.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Map, Value};

use super::fault::{Findings, Place};
use super::{
    LINKS_MAX, Link, LinkKind, LinkPattern, NODES_MAX, Node, POLICIES_MAX, Policy, Topology, name,
};
use crate::talk::near::{excerpt, nearest};

/// What was written, in the order in which it was.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) nodes: Vec<(Node, Spot)>,
    pub(super) links: Vec<(Link, Spot, [End; 2])>,
    pub(super) policies: Vec<(Policy, Spot)>,
    pub(super) metadata: Map<String, Value>,
}

/// Where an item was written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spot {
    /// It follows from the whole.
    Whole,
    /// In a list.
    Item(&'static str, usize),
}

/// Where in its item a link's end was written.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// Nowhere in particular.
    Item,
    /// At this character of a text, from 1.
    Column(usize),
    /// At this position of a list.
    Index(usize),
    /// Under this key.
    Key(&'static str),
}

impl Spot {
    fn with<T>(self, tell: impl FnOnce(&Place<'_>) -> T) -> T {
        match self {
            Self::Whole => tell(&Place::ROOT),
            Self::Item(list, index) => tell(&Place::ROOT.key(list).item(index)),
        }
    }
}

/// Links as positions of nodes.
struct Way {
    /// The earlier and the later end in the order of nodes.
    pair: (usize, usize),
    /// Whether it leads from the later to the earlier.
    backward: bool,
    link: Link,
    spot: Spot,
}

impl Way {
    /// What it is one with. A call that returns is no hand-over, and stands beside one of the same two.
    const fn group(&self) -> ((usize, usize), LinkKind, bool) {
        (self.pair, self.link.kind, self.link.pattern.is_call())
    }
}

/// So many names are compared for a suggestion; more would cost more than they help.
const SUGGESTED_FROM_MAX: usize = 1_000;

impl Draft {
    /// Makes the topology, and tells what cannot be part of it.
    pub(super) fn finish(mut self, findings: &mut Findings) -> Topology {
        let mut nodes = self.distinct_nodes(findings);
        if findings.is_lenient() {
            self.spell_reserved(findings);
        }
        self.ends_exist(&mut nodes, findings);
        self.names_exist(&mut nodes, findings);
        for (count, max, what) in [
            (nodes.len(), NODES_MAX, "nodes"),
            (self.links.len(), LINKS_MAX, "links"),
            (self.policies.len(), POLICIES_MAX, "policies"),
        ] {
            if count > max {
                let what = format!("there are {count} {what}");
                findings.wrong(&Place::ROOT, what, format!("use at most {max}"));
            }
        }
        let policies = distinct_policies(self.policies, &mut nodes, findings);
        let mut nodes: Vec<Node> = nodes.into_values().collect();
        nodes.sort_by(|a, b| name::order(&a.name, &b.name));
        let mut topology = Topology { nodes, links: Vec::new(), policies, metadata: self.metadata };
        topology.links = distinct_links(self.links, &topology, findings);
        topology
    }

    fn distinct_nodes(&mut self, findings: &mut Findings) -> BTreeMap<String, Node> {
        let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
        for (mut node, spot) in self.nodes.drain(..) {
            spot.with(|place| check_node(&mut node, place, findings));
            let Some(known) = nodes.get_mut(&node.name) else {
                nodes.insert(node.name.clone(), node);
                continue;
            };
            let name = excerpt(&node.name);
            if node.kind != known.kind {
                let what = format!(
                    "`{name}` is listed as {} and as {}",
                    known.kind.name(),
                    node.kind.name()
                );
                spot.with(|place| findings.doubtful(place, None, what, "keep one"));
                known.kind = node.kind;
            }
            if let Some(agent) = node.agent {
                if known.agent.as_ref().is_some_and(|before| *before != agent) {
                    let what = format!("`{name}` stands for two agents");
                    spot.with(|place| findings.doubtful(place, None, what, "keep one"));
                }
                known.agent = Some(agent);
            }
            known.convergence |= node.convergence;
            merge(&mut known.metadata, node.metadata);
        }
        nodes
    }

    /// Names of links and policies that differ from a reserved one in case alone become that one: no
    /// node may have them.
    fn spell_reserved(&mut self, findings: &mut Findings) {
        for (link, spot, _) in &mut self.links {
            for name in [&mut link.from, &mut link.to] {
                if let Some(word) = name::reserved_but_for_case(name) {
                    spot.with(|place| tell_reserved(name, word, place, findings));
                    word.clone_into(name);
                }
            }
        }
        for (policy, spot) in &mut self.policies {
            let mut is_meant = false;
            for name in policy.names() {
                if let Some(word) = name::reserved_but_for_case(name) {
                    spot.with(|place| tell_reserved(name, word, place, findings));
                    is_meant = true;
                }
            }
            let spelt = |name: &str| name::reserved_but_for_case(name).unwrap_or(name).to_owned();
            // Read again: its names have an order.
            if is_meant && let Ok(again) = policy.renamed(&spelt).to_string().parse() {
                *policy = again;
            }
        }
    }

    /// Drops links to nothing and to themselves; the lenient are given the nodes.
    fn ends_exist(&mut self, nodes: &mut BTreeMap<String, Node>, findings: &mut Findings) {
        let mut unknown: BTreeMap<String, ()> = BTreeMap::new();
        self.links.retain(|(link, spot, ends)| {
            let mut keep = true;
            for (name, end) in [(&link.from, ends[0]), (&link.to, ends[1])] {
                if nodes.contains_key(name) {
                    continue;
                }
                if name::reserved(name).is_some() {
                    nodes.insert(name.clone(), Node::new(name.as_str()));
                    continue;
                }
                if unknown.insert(name.clone(), ()).is_none() {
                    let (what, remedy) = unknown_node(name, nodes, findings);
                    spot.with(|place| match end {
                        End::Item => findings.doubtful(place, None, what, remedy),
                        End::Column(at) => findings.doubtful(place, Some(at), what, remedy),
                        End::Index(at) => findings.doubtful(&place.item(at), None, what, remedy),
                        End::Key(key) => findings.doubtful(&place.key(key), None, what, remedy),
                    });
                }
                if findings.is_lenient() {
                    nodes.insert(name.clone(), Node::new(name.as_str()));
                } else {
                    keep = false;
                }
            }
            if link.from == link.to {
                let what = format!("`{}` is linked to itself", excerpt(&link.from));
                let remedy = "an agent goes on by itself; remove the link";
                spot.with(|place| findings.doubtful(place, None, what, remedy));
                keep = false;
            }
            keep
        });
    }

    /// Drops policies about nothing; the lenient are given the nodes.
    fn names_exist(&mut self, nodes: &mut BTreeMap<String, Node>, findings: &mut Findings) {
        self.policies.retain(|(policy, spot)| {
            let mut keep = true;
            for name in policy.names() {
                if nodes.contains_key(name) {
                    continue;
                }
                let (what, remedy) = unknown_node(name, nodes, findings);
                spot.with(|place| findings.doubtful(place, None, what, remedy));
                if findings.is_lenient() {
                    nodes.insert(name.to_owned(), Node::new(name));
                } else {
                    keep = false;
                }
            }
            keep
        });
    }
}

fn check_node(node: &mut Node, place: &Place<'_>, findings: &mut Findings) {
    let shown = excerpt(&node.name);
    if let Some(kind) = name::reserved(&node.name).filter(|kind| *kind != node.kind) {
        let what = format!("`{shown}` is reserved for the kind {}", kind.name());
        findings.doubtful(place, None, what, "give the node another name, or that kind");
        node.kind = kind;
    }
    if let Some(word) = name::reserved_but_for_case(&node.name) {
        tell_reserved(&node.name, word, place, findings);
        // The lenient mean that one.
        word.clone_into(&mut node.name);
        node.kind = name::reserved(word).unwrap_or_default();
    }
    if node.agent.as_deref() == Some(&node.name) {
        node.agent = None;
    }
    if node.agent.is_some() && node.agent_name().is_none() {
        let what = format!("`{shown}` is no agent and stands for none");
        findings.doubtful(place, None, what, "remove `agent`, or give it the kind agent");
        node.agent = None;
    }
}

fn tell_reserved(name: &str, word: &str, place: &Place<'_>, findings: &mut Findings) {
    let shown = excerpt(name);
    let what = format!("`{shown}` differs from the reserved name `{word}` in case alone");
    findings.doubtful(place, None, what, format!("write `{word}`, or another name"));
}

fn unknown_node(
    name: &str,
    nodes: &BTreeMap<String, Node>,
    findings: &Findings,
) -> (String, String) {
    let known = nodes.keys().map(String::as_str).take(SUGGESTED_FROM_MAX);
    let near = findings.has_room().then(|| nearest(name, known)).flatten();
    let what = format!("`{}` is not among the nodes", excerpt(name));
    let remedy = near.map_or_else(
        || "add it to the nodes, or correct the name".to_owned(),
        |near| format!("did you mean `{near}`? otherwise add it to the nodes"),
    );
    (what, remedy)
}

/// Adds entries to a map; of two values for a key the smaller text stays, so that order is no matter.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match into.get_mut(&key) {
            Some(known) => {
                let (kept, other) = (known.to_string(), value.to_string());
                if other < kept {
                    *known = value;
                }
            }
            None => {
                into.insert(key, value);
            }
        }
    }
}

fn distinct_links(
    links: Vec<(Link, Spot, [End; 2])>,
    topology: &Topology,
    findings: &mut Findings,
) -> Vec<Link> {
    let mut arcs: Vec<Way> = Vec::with_capacity(links.len());
    for (link, spot, _) in links {
        let ends = (topology.position(&link.from), topology.position(&link.to));
        let (Some(from), Some(to)) = ends else { continue };
        let backward = from > to && !link.pattern.has_equal_ends();
        arcs.push(Way { pair: (from.min(to), from.max(to)), backward, link, spot });
    }
    // Stable: of what contradicts itself, the lenient keep what was written first.
    arcs.sort_by_key(Way::group);
    let mut distinct: Vec<(usize, usize, Link)> = Vec::with_capacity(arcs.len());
    let mut group: Vec<Way> = Vec::new();
    for arc in arcs {
        if group.first().is_some_and(|first| first.group() != arc.group()) {
            distinct.extend(one_of(std::mem::take(&mut group), topology, findings));
        }
        group.push(arc);
    }
    distinct.extend(one_of(group, topology, findings));
    distinct.sort_by_key(|(from, to, link)| (*from, *to, link.kind, link.pattern.is_call()));
    distinct.into_iter().map(|(_, _, link)| link).collect()
}

/// The one link that says what all links of a kind between two nodes say.
fn one_of(
    group: Vec<Way>,
    topology: &Topology,
    findings: &mut Findings,
) -> Option<(usize, usize, Link)> {
    let (pair, kind) = group.first().map(|arc| (arc.pair, arc.link.kind))?;
    let mut ways = [false; 2];
    let mut both: Option<(LinkPattern, bool)> = None;
    let mut metadata = Map::new();
    for arc in group {
        let pattern = arc.link.pattern;
        if !pattern.is_two_way() {
            ways[usize::from(arc.backward)] = true;
        } else if both.is_none() {
            both = Some((pattern, arc.backward));
        } else if both != Some((pattern, arc.backward)) {
            let what = format!("`{}` contradicts another link of the two", arc.link);
            arc.spot.with(|place| findings.doubtful(place, None, what, "keep one of them"));
            continue;
        }
        merge(&mut metadata, arc.link.metadata);
    }
    let (pattern, backward) = match (both, ways) {
        (Some(both), _) => both,
        (None, [true, true]) => (LinkPattern::TwoWay, false),
        (None, [_, backward]) => (LinkPattern::None, backward),
    };
    let (from, to) = if backward { (pair.1, pair.0) } else { pair };
    let name = |at: usize| topology.nodes[at].name.clone();
    Some((from, to, Link { from: name(from), to: name(to), kind, pattern, metadata }))
}

/// Each policy once, sorted, with the marks of nodes and their policies made alike.
fn distinct_policies(
    written: Vec<(Policy, Spot)>,
    nodes: &mut BTreeMap<String, Node>,
    findings: &mut Findings,
) -> Vec<Policy> {
    let mut distinct: BTreeMap<(u8, Vec<String>), Policy> = BTreeMap::new();
    for (policy, spot) in written {
        if let Policy::ConvergencePoint(name) = &policy {
            if let Some(node) = nodes.get_mut(name) {
                node.convergence = true;
            }
            continue;
        }
        let shown = policy.to_string();
        match distinct.entry(subject(&policy)) {
            Entry::Vacant(free) => {
                free.insert(policy);
            }
            Entry::Occupied(mut known) => {
                if !unite(known.get_mut(), policy) {
                    let what = format!("`{}` contradicts an earlier policy", excerpt(&shown));
                    spot.with(|place| findings.doubtful(place, None, what, "keep one of them"));
                }
            }
        }
    }
    let marked = nodes.values().filter(|node| node.convergence);
    let marks: Vec<Policy> =
        marked.map(|node| Policy::ConvergencePoint(node.name.clone())).collect();
    let mut policies: Vec<Policy> = distinct.into_values().chain(marks).collect();
    policies.sort();
    policies
}

/// What a policy is about: of two about the same one remains.
fn subject(policy: &Policy) -> (u8, Vec<String>) {
    match policy {
        Policy::Timeout(_) => (0, Vec::new()),
        Policy::MaxAgents(_) => (1, Vec::new()),
        Policy::MaxSteps(_) => (2, Vec::new()),
        Policy::MaxTurns { between, .. } => (3, between.to_vec()),
        Policy::Parallel(names) => (4, names.clone()),
        Policy::ConvergencePoint(name) => (5, vec![name.clone()]),
        Policy::AgentTimeout { .. } => (6, Vec::new()),
    }
}

/// Takes up the later of two policies about the same; false if they contradict each other.
fn unite(known: &mut Policy, later: Policy) -> bool {
    match (known, later) {
        (
            Policy::AgentTimeout { agents, default },
            Policy::AgentTimeout { agents: more, default: other },
        ) => {
            let mut agree = true;
            for (agent, seconds) in more {
                agree &= agents.insert(agent, seconds).is_none_or(|before| before == seconds);
            }
            if let Some(seconds) = other {
                agree &= default.replace(seconds).is_none_or(|before| before == seconds);
            }
            agree
        }
        (known, later) => {
            let agree = *known == later;
            *known = later;
            agree
        }
    }
}
