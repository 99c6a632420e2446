//! What follows from a topology: where runs begin, part, meet and end.

use serde::Serialize;

use super::{LinkPattern, NodeKind, Policy, Topology};

/// What follows from a topology. Names are in the order of nodes.
///
/// A link that leads both ways counts as one in each direction, and links of several kinds between
/// two nodes as one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Analysis {
    /// Nodes from which more than one other is called: a run may part there.
    pub divergence: Vec<String>,
    /// Nodes where branches meet: those that are marked, and those that are called by two or more
    /// others with which they do not converse.
    pub convergence: Vec<String>,
    /// Pairs that converse.
    pub conversations: Vec<Conversation>,
    /// Where runs begin: nodes with links that nothing calls, and `start` and the user where they
    /// call somebody. If there is none, the nodes of divergence; failing these, the first agent, or
    /// the first node. Without any link all nodes are entries.
    pub entries: Vec<String>,
    /// Whether nothing is an entry by its links, so that one was chosen: most often a mistake.
    pub entry_chosen: bool,
    /// The agents that act first: the entries, with `start` and the user replaced by those that they
    /// call.
    pub first_agents: Vec<String>,
    /// Where runs end: nodes with links that call nothing, and `end` and the user where somebody calls
    /// them.
    pub exits: Vec<String>,
    /// Nodes without a link, in a topology that has any: most often a mistake.
    pub isolated: Vec<String>,
    /// The groups that work in parallel, in the order of their policies.
    pub parallel: Vec<ParallelGroup>,
}

/// Two nodes that converse.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conversation {
    /// The first; the caller, where one is.
    pub first: String,
    /// The second.
    pub second: String,
    /// How they take turns.
    pub pattern: LinkPattern,
}

/// Nodes that work at the same time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParallelGroup {
    /// The nodes.
    pub members: Vec<String>,
    /// Nodes outside the group that call each of them: what may set the group off.
    pub triggers: Vec<String>,
}

/// For each node the others that it calls, or that call it: positions, sorted, each once.
struct Neighbours(Vec<Vec<usize>>);

impl Neighbours {
    fn of(nodes: usize, arcs: impl Iterator<Item = (usize, usize)>) -> Self {
        let mut lists = vec![Vec::new(); nodes];
        for (at, other) in arcs {
            lists[at].push(other);
        }
        for list in &mut lists {
            list.sort_unstable();
            list.dedup();
        }
        Self(lists)
    }

    fn has(&self, at: usize, other: usize) -> bool {
        self.0[at].binary_search(&other).is_ok()
    }

    fn any(&self, at: usize) -> bool {
        !self.0[at].is_empty()
    }
}

impl Topology {
    /// Tells what follows from the links, in time that grows with their number alone.
    #[must_use]
    pub fn analysis(&self) -> Analysis {
        let count = self.nodes.len();
        let mut arcs: Vec<(usize, usize)> = Vec::with_capacity(2 * self.links.len());
        let mut conversations = Vec::new();
        for link in &self.links {
            // Both are among the nodes: the invariant of a topology.
            let ends = (self.position(&link.from), self.position(&link.to));
            let (Some(from), Some(to)) = ends else { continue };
            arcs.push((from, to));
            if link.pattern.is_two_way() {
                arcs.push((to, from));
                conversations.push((from.min(to), from.max(to), link));
            }
        }
        let called = Neighbours::of(count, arcs.iter().copied());
        let callers = Neighbours::of(count, arcs.iter().map(|&(from, to)| (to, from)));
        let both_ways = conversations.iter().flat_map(|&(a, b, _)| [(a, b), (b, a)]);
        let partners = Neighbours::of(count, both_ways);
        let is_linked = |at: usize| called.any(at) || callers.any(at);

        let divergence: Vec<usize> = (0..count).filter(|&at| called.0[at].len() > 1).collect();
        let meet = |at: usize| {
            let callers = callers.0[at].iter().filter(|&&caller| !partners.has(at, caller));
            self.nodes[at].convergence || callers.take(2).count() == 2
        };
        let begins = |at: usize| match self.nodes[at].kind {
            NodeKind::Start | NodeKind::User => called.any(at),
            NodeKind::Agent | NodeKind::End => called.any(at) && !callers.any(at),
        };
        let ends = |at: usize| match self.nodes[at].kind {
            NodeKind::End | NodeKind::User => callers.any(at),
            NodeKind::Agent | NodeKind::Start => callers.any(at) && !called.any(at),
        };
        let mut entries: Vec<usize> = (0..count).filter(|&at| begins(at)).collect();
        let entry_chosen = entries.is_empty() && !arcs.is_empty();
        if entry_chosen {
            entries.clone_from(&divergence);
        }
        if entries.is_empty() {
            let agent = |at: &usize| self.nodes[*at].kind == NodeKind::Agent;
            let first = (0..count).find(agent).or_else(|| (count > 0).then_some(0));
            entries = if entry_chosen { first.into_iter().collect() } else { (0..count).collect() };
        }
        let mut first_agents: Vec<usize> = Vec::new();
        for &at in &entries {
            match self.nodes[at].kind {
                NodeKind::Agent => first_agents.push(at),
                NodeKind::Start | NodeKind::User => first_agents.extend(&called.0[at]),
                NodeKind::End => {}
            }
        }
        first_agents.retain(|&at| self.nodes[at].kind == NodeKind::Agent);
        first_agents.sort_unstable();
        first_agents.dedup();

        conversations.dedup_by_key(|(a, b, link)| (*a, *b, link.pattern, link.from.clone()));
        let all = || 0..count;
        Analysis {
            convergence: self.names(all().filter(|&at| meet(at))),
            divergence: self.names(divergence),
            conversations: conversations
                .into_iter()
                .map(|(_, _, link)| Conversation {
                    first: link.from.clone(),
                    second: link.to.clone(),
                    pattern: link.pattern,
                })
                .collect(),
            entries: self.names(entries),
            entry_chosen,
            first_agents: self.names(first_agents),
            exits: self.names(all().filter(|&at| ends(at))),
            isolated: self.names(all().filter(|&at| !arcs.is_empty() && !is_linked(at))),
            parallel: self.groups(&callers),
        }
    }

    fn groups(&self, callers: &Neighbours) -> Vec<ParallelGroup> {
        let mut groups = Vec::new();
        for policy in &self.policies {
            let Policy::Parallel(members) = policy else { continue };
            let positions: Vec<usize> =
                members.iter().filter_map(|name| self.position(name)).collect();
            // The callers of the member that has the fewest: each other member has at least as many.
            let fewest = positions.iter().min_by_key(|&&at| callers.0[at].len());
            let candidates = fewest.map_or(&[][..], |&at| &callers.0[at]);
            let calls_all = |caller: &&usize| {
                positions.binary_search(caller).is_err()
                    && positions.iter().all(|&at| callers.has(at, **caller))
            };
            let triggers = self.names(candidates.iter().filter(calls_all).copied());
            groups.push(ParallelGroup { members: members.clone(), triggers });
        }
        groups
    }

    fn names(&self, positions: impl IntoIterator<Item = usize>) -> Vec<String> {
        positions.into_iter().map(|at| self.nodes[at].name.clone()).collect()
    }
}
