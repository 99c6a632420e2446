//! The usual shapes of topologies, each by its parameters.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::draft::{Draft, End, Spot};
use super::fault::{Fault, Findings, Lenience, Place, type_of};
use super::{LINKS_MAX, Link, LinkPattern, NODES_MAX, Node, Policy, Seconds, Topology, name, read};
use crate::talk::near::{excerpt, suggestion};

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

/// What a parameter holds.
#[derive(Clone, Copy)]
enum Shape {
    Name,
    Names,
    Flag,
    Tree,
    Levels,
    Stages,
}

/// A parameter: its name, what it holds, and whether it must be there.
type Parameter = (&'static str, Shape, bool);

const PATTERNS: [(&str, &[Parameter]); 7] = [
    (
        "hub_and_spoke",
        &[
            ("hub", Shape::Name, true),
            ("spokes", Shape::Names, true),
            ("parallel_spokes", Shape::Flag, false),
        ],
    ),
    (
        "hierarchical",
        &[
            ("tree", Shape::Tree, false),
            ("root", Shape::Name, false),
            ("levels", Shape::Levels, false),
        ],
    ),
    ("pipeline", &[("stages", Shape::Stages, true), ("parallel_within_stage", Shape::Flag, false)]),
    (
        "mesh",
        &[
            ("agents", Shape::Names, true),
            ("fully_connected", Shape::Flag, false),
            ("entry_point", Shape::Name, false),
        ],
    ),
    (
        "star",
        &[
            ("center", Shape::Name, true),
            ("points", Shape::Names, true),
            ("bidirectional", Shape::Flag, false),
        ],
    ),
    ("ring", &[("agents", Shape::Names, true), ("bidirectional", Shape::Flag, false)]),
    (
        "broadcast",
        &[
            ("broadcaster", Shape::Name, true),
            ("receivers", Shape::Names, true),
            ("allow_replies", Shape::Flag, false),
        ],
    ),
];

/// Reads a pattern, and makes what it stands for.
pub(super) fn read(map: &Map<String, Value>, findings: &mut Findings) -> Draft {
    let root = Place::ROOT;
    read::check_keys(map, &["pattern", "params", "metadata"], &root, findings);
    let metadata = read::metadata(map, &root, findings).unwrap_or_default();
    let Some(Value::String(word)) = map.get("pattern") else {
        let what = format!("`pattern` is a text, not {}", type_of(&map["pattern"]));
        findings.wrong(&root.key("pattern"), what, "write, for example, ring");
        return Draft::default();
    };
    let Some((word, parameters)) = PATTERNS.iter().find(|(name, _)| name == word) else {
        let known = PATTERNS.map(|(name, _)| name);
        let what = format!("`{}` is no pattern", excerpt(word));
        findings.wrong(&root.key("pattern"), what, suggestion(word, "patterns", &known));
        return Draft::default();
    };
    let place = root.key("params");
    let params = match map.get("params") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(params)) => params.clone(),
        Some(other) => {
            let what = format!("`params` is a map, not {}", type_of(other));
            findings.wrong(&place, what, "write the parameters of the pattern");
            return Draft::default();
        }
    };
    let known: Vec<&str> = parameters.iter().map(|(name, ..)| *name).collect();
    read::check_keys(&params, &known, &place, findings);
    let mut checked = Map::new();
    for &(name, shape, required) in *parameters {
        match params.get(name).filter(|value| !value.is_null()) {
            None if required => {
                let what = format!("`{word}` has no `{name}`");
                findings.wrong(&place, what, format!("add `{name}` to `params`"));
            }
            None => {}
            Some(value) => {
                if let Some(value) = check(value, shape, &place.key(name), findings) {
                    checked.insert(name.to_owned(), value);
                }
            }
        }
    }
    if *word == "hierarchical" {
        check_hierarchy(&checked, &place, findings);
    }
    if !findings.is_clean() {
        return Draft::default();
    }
    let written = serde_json::json!({ "pattern": word, "params": checked });
    match serde_json::from_value::<Pattern>(written) {
        Ok(pattern) => expand(pattern, metadata, findings),
        Err(error) => {
            findings.wrong(&place, error.to_string(), "correct the parameters");
            Draft::default()
        }
    }
}

fn check_hierarchy(params: &Map<String, Value>, place: &Place<'_>, findings: &mut Findings) {
    let has = |name: &str| params.contains_key(name);
    match (has("tree"), has("root"), has("levels")) {
        (true, false, false) | (false, true, true) => {}
        _ if !findings.is_clean() => {}
        (true, ..) => {
            let what = "a hierarchy is a tree or levels, not both";
            findings.wrong(place, what, "keep `tree`, or `root` and `levels`");
        }
        _ => {
            let what = "`hierarchical` has neither a `tree` nor a `root` with `levels`";
            findings.wrong(place, what, "add one of them to `params`");
        }
    }
}

/// A parameter's value with its names in their plain form.
fn check(value: &Value, shape: Shape, place: &Place<'_>, findings: &mut Findings) -> Option<Value> {
    match (shape, value) {
        (Shape::Name, Value::String(text)) => agent(text, place, findings).map(Value::String),
        (Shape::Flag, Value::Bool(_)) => Some(value.clone()),
        (Shape::Names | Shape::Levels | Shape::Stages, Value::Array(items)) => {
            if items.is_empty() {
                findings.wrong(place, "the list is empty", "name at least one");
            }
            if items.len() > NODES_MAX {
                let what = format!("there are {} items", items.len());
                findings.wrong(place, what, format!("use at most {NODES_MAX}"));
                return None;
            }
            let mut seen = BTreeSet::new();
            let mut checked = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                let place = place.item(index);
                let item = match shape {
                    Shape::Levels => check(item, Shape::Names, &place, findings),
                    Shape::Stages => check_stage(item, &place, findings),
                    _ => check(item, Shape::Name, &place, findings),
                };
                if let Some(Value::String(name)) = &item
                    && !seen.insert(name.clone())
                {
                    let what = format!("`{}` is named twice", excerpt(name));
                    findings.wrong(&place, what, "keep one of them");
                }
                checked.extend(item);
            }
            Some(checked.into())
        }
        (Shape::Tree, Value::Object(map)) => check_tree(map, place, findings),
        (shape, other) => {
            let wanted = match shape {
                Shape::Name => "the name of an agent",
                Shape::Names => "a list of names",
                Shape::Flag => "true or false",
                Shape::Tree => "a map of agents to lists of those below them",
                Shape::Levels => "a list of lists of names",
                Shape::Stages => "a list of maps of `name` and `agents`",
            };
            let what = format!("{} stands where there is {wanted}", type_of(other));
            findings.wrong(place, what, format!("write {wanted}"));
            None
        }
    }
}

/// A name of an agent; the names of users, beginnings and ends are none.
fn agent(text: &str, place: &Place<'_>, findings: &mut Findings) -> Option<String> {
    let (what, remedy) = match name::read(text) {
        Ok(name) if name::reserved(&name).is_none() => return Some(name),
        Ok(name) => {
            (format!("`{name}` is a reserved name"), "name an agent; patterns add the user".into())
        }
        Err(slip) => (slip.what, slip.remedy),
    };
    findings.wrong(place, what, remedy);
    None
}

fn check_stage(item: &Value, place: &Place<'_>, findings: &mut Findings) -> Option<Value> {
    let Value::Object(map) = item else {
        let what = format!("a stage is a map, not {}", type_of(item));
        findings.wrong(place, what, "write `agents`, and a `name` if you like");
        return None;
    };
    read::check_keys(map, &["name", "agents"], place, findings);
    let mut stage = Map::new();
    match map.get("name") {
        None | Some(Value::Null) => {}
        Some(Value::String(name)) => {
            stage.insert("name".into(), name.as_str().into());
        }
        Some(other) => {
            let what = format!("the name of a stage is a text, not {}", type_of(other));
            findings.wrong(&place.key("name"), what, "write a text");
        }
    }
    let Some(agents) = map.get("agents") else {
        findings.wrong(place, "the stage has no `agents`", "add a list of names");
        return None;
    };
    stage.insert("agents".into(), check(agents, Shape::Names, &place.key("agents"), findings)?);
    Some(Value::Object(stage))
}

fn check_tree(
    map: &Map<String, Value>,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<Value> {
    let mut tree = Map::new();
    let mut below = BTreeSet::new();
    for (above, agents) in map {
        let name = agent(above, &place.key(above), findings)?;
        // A leaf may be listed with nobody below it.
        let agents = match agents {
            Value::Array(items) if items.is_empty() => agents.clone(),
            _ => check(agents, Shape::Names, &place.key(above), findings)?,
        };
        below.extend(
            agents.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned),
        );
        if tree.insert(name, agents).is_some() {
            findings.wrong(&place.key(above), "the agent is named twice", "keep one of them");
        }
    }
    if tree.keys().all(|name| below.contains(name)) {
        findings.wrong(place, "the tree has no root", "name an agent that is below none");
        return None;
    }
    Some(Value::Object(tree))
}

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

fn expand(pattern: Pattern, mut metadata: Map<String, Value>, findings: &mut Findings) -> Draft {
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
