//! Topologies as people write them, read from values.

use serde_json::{Map, Value};

use super::draft::{Draft, End, Spot};
use super::fault::{Fault, Findings, Lenience, Place, Warning, column_of, type_of};
use super::{
    LINKS_MAX, Link, LinkKind, LinkPattern, NODES_MAX, Node, NodeKind, POLICIES_MAX, Policy,
    Topology, name, notation, pattern,
};
use crate::talk::near::{excerpt, suggestion};

type Entries = Map<String, Value>;

const KEYS: [&str; 6] = ["nodes", "links", "edges", "policies", "rules", "metadata"];
const NODE_KEYS: [&str; 8] = [
    "name",
    "kind",
    "type",
    "node_type",
    "agent",
    "convergence",
    "is_convergence_point",
    "metadata",
];
const LINK_KEYS: [&str; 10] = [
    "from",
    "source",
    "to",
    "target",
    "kind",
    "type",
    "edge_type",
    "bidirectional",
    "pattern",
    "metadata",
];

impl Topology {
    /// Reads a topology in any of its forms:
    ///
    /// - a map of `nodes`, `links` (or `edges`), `policies` (or `rules`) and `metadata`, each of which
    ///   may be missing;
    /// - a pattern: a map of `pattern`, `params` and `metadata`, see [`PatternConfig`].
    ///
    /// A node is its name, or a map of `name`, `kind`, `agent`, `convergence` and `metadata`. A link is
    /// a text such as `A -> B`, a list of two names or of these and a kind, or a map of `from` (or
    /// `source`), `to` (or `target`), `kind` (or `edge_type`), `bidirectional`, `pattern` and
    /// `metadata`. A policy is a text such as `timeout(300)`.
    ///
    /// ```
    /// use antiphon::graph::topology::{Lenience, Topology};
    ///
    /// let written = serde_json::json!({
    ///     "nodes": ["User", "Writer", "Critic"],
    ///     "edges": ["User -> Writer", { "source": "Writer", "target": "Critic", "bidirectional": true }],
    ///     "rules": ["max_turns(Writer <-> Critic, 3)"],
    /// });
    /// let (topology, _) = Topology::read(&written, Lenience::Strict).unwrap();
    /// assert_eq!(topology.links()[1].to_string(), "Critic <-> Writer");
    ///
    /// let faults = Topology::read(&serde_json::json!({ "edges": ["A => B"] }), Lenience::Strict);
    /// assert_eq!(
    ///     faults.unwrap_err()[0].to_string(),
    ///     "edges.0, character 3: `=` is not part of an arrow; \
    ///      write `A -> B`, or one of <->, <=>, <~>, <|> between the names"
    /// );
    /// ```
    ///
    /// # Errors
    /// All that is wrong, at most [`FAULTS_MAX`](super::FAULTS_MAX) and a last one that counts the
    /// others. To the lenient, items that cannot be used are warnings and are skipped, and unknown
    /// nodes are added; values of a wrong shape and excess are faults even to them.
    ///
    /// [`PatternConfig`]: super::PatternConfig
    pub fn read(value: &Value, lenience: Lenience) -> Result<(Self, Vec<Warning>), Vec<Fault>> {
        let mut findings = Findings::new(lenience);
        let draft = match value {
            Value::Object(map) if map.contains_key("pattern") => pattern::read(map, &mut findings),
            Value::Object(map) => definition(map, &mut findings),
            other => {
                let what = format!("a topology is a map, not {}", type_of(other));
                findings.wrong(&Place::ROOT, what, "write nodes and links, or a pattern");
                Draft::default()
            }
        };
        let topology = draft.finish(&mut findings);
        findings.conclude(topology)
    }
}

fn definition(map: &Entries, findings: &mut Findings) -> Draft {
    let root = Place::ROOT;
    check_keys(map, &KEYS, &root, findings);
    let mut draft = Draft::default();
    for (index, item) in list(map, "nodes", NODES_MAX, findings).iter().enumerate() {
        let place = root.key("nodes");
        if let Some(node) = node(item, &place.item(index), findings) {
            draft.nodes.push((node, Spot::Item("nodes", index)));
        }
    }
    for key in ["links", "edges"] {
        for (index, item) in list(map, key, LINKS_MAX, findings).iter().enumerate() {
            let place = root.key(key);
            if let Some((link, ends)) = link(item, &place.item(index), findings) {
                draft.links.push((link, Spot::Item(key, index), ends));
            }
        }
    }
    for key in ["policies", "rules"] {
        for (index, item) in list(map, key, POLICIES_MAX, findings).iter().enumerate() {
            let place = root.key(key);
            if let Some(policy) = policy(item, &place.item(index), findings) {
                draft.policies.push((policy, Spot::Item(key, index)));
            }
        }
    }
    draft.metadata = metadata(map, &root, findings).unwrap_or_default();
    draft
}

/// The items under a key: none if it is missing.
fn list<'v>(map: &'v Entries, key: &str, max: usize, findings: &mut Findings) -> &'v [Value] {
    let place = Place::ROOT;
    match map.get(key) {
        None | Some(Value::Null) => &[],
        Some(Value::Array(items)) if items.len() <= max => items,
        Some(Value::Array(items)) => {
            let what = format!("there are {} {key}", items.len());
            findings.wrong(&place.key(key), what, format!("use at most {max}"));
            &[]
        }
        Some(other) => {
            let what = format!("`{key}` is a list, not {}", type_of(other));
            findings.wrong(&place.key(key), what, "write its items in a list");
            &[]
        }
    }
}

fn node(item: &Value, place: &Place<'_>, findings: &mut Findings) -> Option<Node> {
    let map = match item {
        Value::String(text) => return Some(Node::new(name(text, place, findings)?)),
        Value::Object(map) => map,
        other => {
            let what = format!("a node is a name or a map, not {}", type_of(other));
            findings.doubtful(place, None, what, "write the name as a text");
            return None;
        }
    };
    check_keys(map, &NODE_KEYS, place, findings);
    let (key, named) = required(map, &["name"], place, findings)?;
    let mut node = Node::new(name_in(named, &place.key(key), findings)?);
    if let Some((key, word)) = text(map, &["kind", "type", "node_type"], place, findings)? {
        let Some(kind) = NodeKind::named(word) else {
            unknown_word(word, "kind of node", &NodeKind::NAMES, &place.key(key), findings);
            return None;
        };
        node.kind = kind;
    }
    if let Some((key, agent)) = text(map, &["agent"], place, findings)? {
        node.agent = Some(name(agent, &place.key(key), findings)?);
    }
    node.convergence =
        flag(map, &["convergence", "is_convergence_point"], place, findings)?.unwrap_or_default();
    node.metadata = metadata(map, place, findings)?;
    Some(node)
}

fn link(item: &Value, place: &Place<'_>, findings: &mut Findings) -> Option<(Link, [End; 2])> {
    match item {
        Value::String(text) => match notation::read(text) {
            Ok(written) => {
                let ends = written.ends.map(|at| End::Column(column_of(text, at)));
                Some((written.link, ends))
            }
            Err(slip) => {
                findings.slip(place, text, slip);
                None
            }
        },
        Value::Array(items) => listed_link(items, place, findings),
        Value::Object(map) => described_link(map, place, findings),
        other => {
            let what = format!("a link is a text, a list or a map, not {}", type_of(other));
            findings.doubtful(place, None, what, "write `A -> B`");
            None
        }
    }
}

fn listed_link(
    items: &[Value],
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<(Link, [End; 2])> {
    let (from, to, kind) = match items {
        [from, to] => (from, to, None),
        [from, to, kind] => (from, to, Some(kind)),
        other => {
            let what = format!("a link in a list has two or three items, not {}", other.len());
            findings.doubtful(place, None, what, "write [A, B] or [A, B, notify]");
            return None;
        }
    };
    let from = name_in(from, &place.item(0), findings);
    let to = name_in(to, &place.item(1), findings);
    let kind = kind.map_or(Some(LinkKind::Invoke), |kind| kind_in(kind, &place.item(2), findings));
    Some((Link::new(from?, to?).with_kind(kind?), [End::Index(0), End::Index(1)]))
}

fn described_link(
    map: &Entries,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<(Link, [End; 2])> {
    check_keys(map, &LINK_KEYS, place, findings);
    let from = required(map, &["from", "source"], place, findings);
    let to = required(map, &["to", "target"], place, findings);
    let from_name = from.and_then(|(key, value)| name_in(value, &place.key(key), findings));
    let to_name = to.and_then(|(key, value)| name_in(value, &place.key(key), findings));
    let kind = match first_of(map, &["kind", "edge_type", "type"], place, findings) {
        None => Some(LinkKind::Invoke),
        Some((key, value)) => kind_in(value, &place.key(key), findings),
    };
    let both = flag(map, &["bidirectional"], place, findings);
    let pattern = match text(map, &["pattern"], place, findings)? {
        None => None,
        Some((key, word)) => {
            let named = LinkPattern::named(word);
            if named.is_none() {
                let place = place.key(key);
                unknown_word(word, "pattern of a link", &LinkPattern::NAMES, &place, findings);
                return None;
            }
            named
        }
    };
    let metadata = metadata(map, place, findings)?;
    let pattern = match (both?, pattern) {
        (Some(true), None) => LinkPattern::TwoWay,
        (_, None) => LinkPattern::None,
        (Some(both), Some(pattern)) if both != pattern.is_two_way() => {
            let what = format!("`bidirectional: {both}` contradicts the pattern");
            findings.doubtful(&place.key("bidirectional"), None, what, "remove one of the two");
            return None;
        }
        (_, Some(pattern)) => pattern,
    };
    let ends = [End::Key(from?.0), End::Key(to?.0)];
    let mut link = Link::new(from_name?, to_name?).with_kind(kind?).with_pattern(pattern);
    link.metadata = metadata;
    Some((link, ends))
}

fn policy(item: &Value, place: &Place<'_>, findings: &mut Findings) -> Option<Policy> {
    let Value::String(text) = item else {
        let what = format!("a policy is a text, not {}", type_of(item));
        findings.doubtful(place, None, what, "write, for example, timeout(300)");
        return None;
    };
    match Policy::read(text) {
        Ok(policy) => Some(policy),
        Err(slip) => {
            findings.slip(place, text, slip);
            None
        }
    }
}

/// Tells of keys that mean nothing.
pub(super) fn check_keys(
    map: &Entries,
    known: &[&str],
    place: &Place<'_>,
    findings: &mut Findings,
) {
    for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
        let what = format!("there is no key `{}` here", excerpt(key));
        findings.doubtful(&place.key(key), None, what, suggestion(key, "keys", known));
    }
}

/// The value under the first of several names for the same; null counts as missing.
fn first_of<'v>(
    map: &'v Entries,
    keys: &[&'static str],
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<(&'static str, &'v Value)> {
    let present = |key: &&'static str| Some((*key, map.get(*key).filter(|v| !v.is_null())?));
    let mut found = keys.iter().filter_map(present);
    let first = found.next()?;
    if let Some((key, _)) = found.next() {
        let what = format!("`{key}` and `{}` are names for the same", first.0);
        findings.doubtful(&place.key(key), None, what, "keep one of them");
    }
    Some(first)
}

fn required<'v>(
    map: &'v Entries,
    keys: &[&'static str],
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<(&'static str, &'v Value)> {
    let found = first_of(map, keys, place, findings);
    if found.is_none() {
        let what = format!("`{}` is missing", keys[0]);
        findings.doubtful(place, None, what, "add it");
    }
    found
}

/// The text under a key: none inside if it is missing, none at all if it is no text.
fn text<'v>(
    map: &'v Entries,
    keys: &[&'static str],
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<Option<(&'static str, &'v str)>> {
    match first_of(map, keys, place, findings) {
        None => Some(None),
        Some((key, Value::String(text))) => Some(Some((key, text))),
        Some((key, other)) => {
            let what = format!("`{key}` is a text, not {}", type_of(other));
            findings.doubtful(&place.key(key), None, what, "write a text");
            None
        }
    }
}

fn flag(
    map: &Entries,
    keys: &[&'static str],
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<Option<bool>> {
    match first_of(map, keys, place, findings) {
        None => Some(None),
        Some((_, Value::Bool(flag))) => Some(Some(*flag)),
        Some((key, other)) => {
            let what = format!("`{key}` is true or false, not {}", type_of(other));
            findings.doubtful(&place.key(key), None, what, "write true or false");
            None
        }
    }
}

pub(super) fn metadata(
    map: &Entries,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<Entries> {
    match map.get("metadata") {
        None | Some(Value::Null) => Some(Map::new()),
        Some(Value::Object(metadata)) => Some(metadata.clone()),
        Some(other) => {
            let what = format!("`metadata` is a map, not {}", type_of(other));
            findings.wrong(&place.key("metadata"), what, "write keys and values");
            None
        }
    }
}

fn name_in(value: &Value, place: &Place<'_>, findings: &mut Findings) -> Option<String> {
    match value {
        Value::String(text) => name(text, place, findings),
        other => {
            let what = format!("a name is a text, not {}", type_of(other));
            findings.doubtful(place, None, what, "write it as a text, in quotes if need be");
            None
        }
    }
}

pub(super) fn name(text: &str, place: &Place<'_>, findings: &mut Findings) -> Option<String> {
    match name::read(text) {
        Ok(name) => Some(name),
        Err(slip) => {
            findings.slip(place, text, slip);
            None
        }
    }
}

fn kind_in(value: &Value, place: &Place<'_>, findings: &mut Findings) -> Option<LinkKind> {
    let Value::String(word) = value else {
        let what = format!("the kind of a link is a text, not {}", type_of(value));
        findings.doubtful(place, None, what, "write, for example, notify");
        return None;
    };
    let kind = LinkKind::named(word);
    if kind.is_none() {
        unknown_word(word, "kind of link", &LinkKind::NAMES, place, findings);
    }
    kind
}

fn unknown_word(
    word: &str,
    what: &str,
    known: &[&str],
    place: &Place<'_>,
    findings: &mut Findings,
) {
    let told = format!("`{}` is no {what}", excerpt(word));
    findings.doubtful(place, None, told, suggestion(word, "words", known));
}
