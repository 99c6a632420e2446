//! The links and policies of a configuration: its `topology` and its `policies`.
//!
//! **Invariant:** once [`parse`](super::parse) has accepted the file, every link is between agents that
//! are configured, and every policy can be kept by a session.

use serde_json::{Value, json};

use super::Config;
use super::check::Report;
use crate::graph::topology::{Fault, Lenience, Link, LinkKind, NodeKind, Policy, Topology};

/// What a configuration says of links and policies.
#[derive(Debug, Clone, Default)]
pub struct Links {
    /// The links, each between two agents by their names.
    pub links: Vec<Link>,
    /// The policies of the topology, and then the others.
    pub policies: Vec<Policy>,
}

/// The links and policies of a configuration.
///
/// # Errors
/// Everything that is wrong with them.
pub fn links(config: &Config) -> Result<Links, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut all = Links::default();
    if let Some(written) = &config.topology {
        match Topology::read(&with_agents(written, config), Lenience::Strict) {
            Ok((topology, _)) => all = of(&topology, config, &mut faults),
            Err(found) => faults.extend(found.into_iter().map(|fault| placed("topology", fault))),
        }
    }
    if !config.policies.is_empty() {
        let others = json!({ "nodes": nodes(config), "policies": config.policies });
        match Topology::read(&others, Lenience::Strict) {
            Ok((topology, _)) => all.policies.extend_from_slice(topology.policies()),
            Err(found) => faults.extend(found),
        }
    }
    for (at, text) in config.policies.iter().enumerate() {
        if let Ok(policy) = text.parse::<Policy>() {
            faults.extend(not_executable(&policy, vec!["policies".to_owned(), at.to_string()]));
        }
    }
    if faults.is_empty() { Ok(all) } else { Err(faults) }
}

/// All agents, as nodes of their names.
fn nodes(config: &Config) -> Vec<Value> {
    config.agents.keys().map(|name| name.as_str().into()).collect()
}

/// A topology whose nodes are the agents, unless it lists its own or is a pattern, which does.
fn with_agents(written: &Value, config: &Config) -> Value {
    let mut written = written.clone();
    if let Value::Object(map) = &mut written
        && !map.contains_key("nodes")
        && !map.contains_key("pattern")
    {
        map.insert("nodes".to_owned(), nodes(config).into());
    }
    written
}

fn placed(key: &str, mut fault: Fault) -> Fault {
    fault.place.insert(0, key.to_owned());
    fault
}

fn fault(place: &[&str], what: String, remedy: &str) -> Fault {
    let place = place.iter().map(|&key| key.to_owned()).collect();
    Fault { place, column: None, what, remedy: remedy.to_owned() }
}

fn of(topology: &Topology, config: &Config, faults: &mut Vec<Fault>) -> Links {
    let agent = |name: &str| topology.node(name).and_then(|node| node.agent_name());
    for node in topology.nodes().iter().filter(|node| node.kind == NodeKind::Agent) {
        let name = node.agent_name().unwrap_or(&node.name);
        if !config.agents.contains_key(name) {
            let known: Vec<&str> = config.agents.keys().map(String::as_str).collect();
            let remedy = crate::talk::near::suggestion(name, "agents", &known);
            faults.push(fault(&["topology"], format!("unknown agent `{name}`"), &remedy));
        }
        if node.convergence {
            let what = format!("`{name}` is a convergence point, which is not yet executable");
            faults.push(fault(&["topology"], what, BACKGROUND));
        }
    }
    for policy in topology.policies() {
        faults.extend(not_executable(policy, vec!["topology".to_owned(), "policies".to_owned()]));
    }
    let mut links = Vec::new();
    for link in topology.links() {
        if matches!(link.kind, LinkKind::Notify | LinkKind::Stream) {
            let what = format!("the link `{link}` is not yet executable");
            faults.push(fault(&["topology"], what, BACKGROUND));
        }
        // Links with the user are about where runs begin; a session begins at its `start`.
        if let (Some(from), Some(to)) = (agent(&link.from), agent(&link.to)) {
            let link = Link { from: from.to_owned(), to: to.to_owned(), ..link.clone() };
            links.push(link);
        }
    }
    let named = |policy: &Policy| policy.renamed(&|name| agent(name).unwrap_or(name).to_owned());
    Links { links, policies: topology.policies().iter().map(named).collect() }
}

const BACKGROUND: &str = "it needs runs in the background; remove it";

fn not_executable(policy: &Policy, place: Vec<String>) -> Option<Fault> {
    (!policy.is_executable()).then(|| Fault {
        place,
        column: None,
        what: format!("the policy `{policy}` is not yet executable"),
        remedy: BACKGROUND.to_owned(),
    })
}

/// Checks the links and policies.
pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    for fault in links(config).err().into_iter().flatten() {
        let place: Vec<&str> = fault.place.iter().map(String::as_str).collect();
        let what = match fault.column {
            Some(column) => format!("{} at character {column}", fault.what),
            None => fault.what,
        };
        report.tell(&place, what, fault.remedy);
    }
    conversations(config, report);
}

fn conversations(config: &Config, report: &mut Report<'_>) {
    for (name, conversation) in &config.conversations {
        let home = ["conversations", name.as_str()];
        for (at, agent) in conversation.agents.iter().enumerate() {
            if !config.agents.contains_key(agent) {
                let at = at.to_string();
                let place = [&home[..], &["agents", &at]].concat();
                report.unknown(&place, "agent", agent, config.agents.keys(), &["agents"]);
            }
        }
        if !conversation.agents.contains(&conversation.start) {
            let place = [&home[..], &["start"]].concat();
            let (known, list) = (conversation.agents.iter(), [&home[..], &["agents"]].concat());
            report.unknown(&place, "agent", &conversation.start, known, &list);
        }
    }
    if let Some(name) = &config.conversation
        && !config.conversations.contains_key(name)
    {
        let known = config.conversations.keys();
        report.unknown(&["conversation"], "conversation", name, known, &["conversations"]);
    }
}
