//! The nodes and links that a pattern stands for.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::super::draft::{Draft, End, Spot};
use super::super::fault::{Findings, Place};
use super::super::{LINKS_MAX, Link, LinkPattern, Node, Policy, Seconds, name};
use super::{Hierarchy, Pattern};
use crate::talk::near::excerpt;

/// Nodes and links of a pattern in the making.
#[derive(Default)]
struct Expansion {
    draft: Draft,
}

impl Expansion {
    fn node(&mut self, name: &str) {
        self.draft.nodes.push((Node::new(name), Spot::Whole));
    }

    fn link(&mut self, from: &str, to: &str, both_ways: bool) {
        let pattern = if both_ways { LinkPattern::TwoWay } else { LinkPattern::None };
        let link = Link::new(from, to).with_pattern(pattern);
        self.draft.links.push((link, Spot::Whole, [End::Item; 2]));
    }

    fn called_by_user(&mut self, name: &str) {
        self.node("User");
        self.node(name);
        self.link("User", name, false);
    }

    fn around(&mut self, middle: &str, names: &[String], both_ways: bool) {
        self.called_by_user(middle);
        for name in names {
            self.node(name);
            self.link(middle, name, both_ways);
        }
    }

    fn parallel(&mut self, names: &[String]) {
        if names.len() > 1 {
            let mut names = names.to_vec();
            names.sort_by(|a, b| name::order(a, b));
            self.draft.policies.push((Policy::Parallel(names), Spot::Whole));
        }
    }
}

/// How many links a pattern has, at most.
fn links_of(pattern: &Pattern) -> usize {
    let between = |layers: &mut dyn Iterator<Item = usize>| {
        let (mut links, mut above) = (0_usize, 1_usize);
        for below in layers {
            links = links.saturating_add(above.saturating_mul(below));
            above = below;
        }
        links
    };
    match pattern {
        Pattern::HubAndSpoke { spokes: names, .. }
        | Pattern::Star { points: names, .. }
        | Pattern::Broadcast { receivers: names, .. }
        | Pattern::Ring { agents: names, .. } => names.len() + 1,
        Pattern::Mesh { agents, .. } => agents.len().saturating_mul(agents.len()) / 2 + 1,
        Pattern::Pipeline { stages, .. } => between(&mut stages.iter().map(|s| s.agents.len())),
        Pattern::Hierarchical(Hierarchy::Levels { levels, .. }) => {
            between(&mut levels.iter().map(Vec::len)).saturating_add(1)
        }
        Pattern::Hierarchical(Hierarchy::Tree { tree }) => {
            tree.len() + tree.values().map(Vec::len).sum::<usize>()
        }
    }
}

pub(super) fn expand(
    pattern: Pattern,
    mut metadata: Map<String, Value>,
    findings: &mut Findings,
) -> Draft {
    let root = Place::ROOT;
    let links = links_of(&pattern);
    if links > LINKS_MAX {
        let what = format!("the pattern has up to {links} links");
        findings.wrong(&root.key("params"), what, format!("use at most {LINKS_MAX}"));
        return Draft::default();
    }
    let mut made = Expansion::default();
    let mut entry = metadata.remove("entry_point").map(|value| (value, "metadata"));
    match pattern {
        Pattern::HubAndSpoke { hub, spokes, parallel_spokes } => {
            made.around(&hub, &spokes, true);
            if parallel_spokes {
                made.parallel(&spokes);
            }
        }
        Pattern::Hierarchical(Hierarchy::Tree { tree }) => {
            let below: BTreeSet<&String> = tree.values().flatten().collect();
            for (above, agents) in &tree {
                made.node(above);
                if !below.contains(above) {
                    made.called_by_user(above);
                }
                for agent in agents {
                    made.node(agent);
                    made.link(above, agent, false);
                }
            }
        }
        Pattern::Hierarchical(Hierarchy::Levels { root, levels }) => {
            made.called_by_user(&root);
            layers(&mut made, vec![root], levels);
        }
        Pattern::Pipeline { stages, parallel_within_stage } => {
            if parallel_within_stage {
                stages.iter().for_each(|stage| made.parallel(&stage.agents));
            }
            made.node("User");
            let stages = stages.into_iter().map(|stage| stage.agents);
            layers(&mut made, vec!["User".to_owned()], stages);
        }
        Pattern::Mesh { agents, fully_connected, entry_point } => {
            for (index, agent) in agents.iter().enumerate() {
                made.node(agent);
                let others = agents[index + 1..].iter().filter(|_| fully_connected);
                others.for_each(|other| made.link(agent, other, true));
            }
            let own = entry_point.map(|name| (Value::String(name), "params"));
            enter(&mut made, own.or(entry.take()), &agents, findings);
        }
        Pattern::Star { center, points, bidirectional } => {
            made.around(&center, &points, bidirectional);
        }
        Pattern::Ring { agents, bidirectional } => {
            let next = agents.iter().cycle().skip(1);
            for (agent, next) in agents.iter().zip(next) {
                made.node(agent);
                if agent != next {
                    made.link(agent, next, bidirectional);
                }
            }
            enter(&mut made, entry.take(), &agents, findings);
        }
        Pattern::Broadcast { broadcaster, receivers, allow_replies } => {
            made.around(&broadcaster, &receivers, allow_replies);
            made.parallel(&receivers);
        }
    }
    if let Some((value, _)) = entry {
        metadata.insert("entry_point".into(), value);
    }
    if let Some(value) = metadata.remove("timeout") {
        match Seconds::read(&value.to_string()) {
            Ok(seconds) => made.draft.policies.push((Policy::Timeout(seconds), Spot::Whole)),
            Err(what) => {
                let place = root.key("metadata");
                findings.wrong(&place.key("timeout"), what, "write seconds, such as 300 or 0.5");
            }
        }
    }
    made.draft.metadata = metadata;
    made.draft
}

/// Links each layer to all of the next.
fn layers(made: &mut Expansion, top: Vec<String>, layers: impl IntoIterator<Item = Vec<String>>) {
    let mut above = top;
    for below in layers {
        for agent in &below {
            made.node(agent);
            above.iter().for_each(|caller| made.link(caller, agent, false));
        }
        above = below;
    }
}

/// Lets the user call the entry point, if there is one.
fn enter(
    made: &mut Expansion,
    entry: Option<(Value, &str)>,
    agents: &[String],
    findings: &mut Findings,
) {
    let Some((value, section)) = entry else { return };
    let named = value.as_str().and_then(|text| name::read(text).ok());
    match named.filter(|name| agents.contains(name)) {
        Some(name) => made.called_by_user(&name),
        None => {
            let place = Place::ROOT.key(section);
            let what =
                format!("the entry point {} is not among the agents", excerpt(&value.to_string()));
            findings.wrong(&place.key("entry_point"), what, "name one of the agents");
        }
    }
}
