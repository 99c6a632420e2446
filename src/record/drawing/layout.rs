//! Where everything of a picture goes: agents in layers, and lines between them that pass through layers of
//! words.
//!
//! An agent's layer is the length of the longest way to it from where the call begins. Ways that lead back
//! are turned round for this, and drawn in their own direction. Layers of agents alternate with layers of
//! labels; a line takes a place of its own in each layer that it passes, so that it runs beside agents and
//! words, never through them.
//!
//! `along` is the direction of the layers, `across` the other; who draws says which of them is x.
//!
//! **Invariant:** no two things in a layer overlap; equal graphs get equal layouts.

use super::{order, place};

/// The room that something takes: along the layers, and across them before and after its line.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Extent {
    pub(super) along: f64,
    pub(super) before: f64,
    pub(super) after: f64,
}

/// A place.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Point {
    pub(super) along: f64,
    pub(super) across: f64,
}

/// What is to be laid out. Of ways from an agent to itself the room is, they are not.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The agents' boxes.
    pub(super) agents: Vec<Extent>,
    /// The room of each agent's ways to itself, before its box.
    pub(super) loops: Vec<f64>,
    /// From, to, and the label's extent.
    pub(super) edges: Vec<(usize, usize, Extent)>,
    /// The agent that is in the first layer.
    pub(super) start: usize,
    /// Across, between two lines that end at the same side of an agent.
    pub(super) port_gap: f64,
}

/// Where it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Laid {
    /// The middles of the agents' boxes.
    pub(super) agents: Vec<Point>,
    /// The boxes, which may have become larger across for the lines that end at them.
    pub(super) boxes: Vec<Extent>,
    /// Of each way the straight pieces from its beginning to its end; curves join them.
    pub(super) routes: Vec<Vec<(Point, Point)>>,
    /// Where each label is: the middle of its layer, on its line.
    pub(super) labels: Vec<Point>,
    /// The size of all.
    pub(super) along: f64,
    pub(super) across: f64,
}

/// Something in a layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) layer: usize,
    pub(super) extent: Extent,
    pub(super) is_agent: bool,
}

/// A piece of a line between two neighbouring layers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// In the earlier layer.
    pub(super) upper: usize,
    /// In the later one.
    pub(super) lower: usize,
    /// Where it ends at the items, from their middles.
    pub(super) upper_port: f64,
    pub(super) lower_port: f64,
}

/// The items of all layers and the pieces between them.
#[derive(Debug, Clone, Default)]
pub(super) struct Layers {
    pub(super) items: Vec<Item>,
    pub(super) pieces: Vec<Piece>,
    /// The items of each layer, in their order across.
    pub(super) layers: Vec<Vec<usize>>,
}

/// Along, between two layers, for lines that hardly bend.
const GAP_MIN: f64 = 22.0;

/// The same for lines that bend a lot.
const GAP_MAX: f64 = 80.0;

/// Along, the straight end of a line at an agent: an arrow's head and a bit.
const ARROW: f64 = 12.0;

/// The room of a line that passes a layer.
const PASSING: Extent = Extent { along: 0.0, before: 6.0, after: 6.0 };

pub(super) fn laid(wanted: &Wanted) -> Laid {
    let count = wanted.agents.len();
    let is_back = back(wanted);
    let forward: Vec<(usize, usize)> = wanted
        .edges
        .iter()
        .zip(&is_back)
        .map(|(&(from, to, _), &back)| if back { (to, from) } else { (from, to) })
        .collect();
    let ranks = ranks(count, &forward);
    let mut layers = Layers::default();
    for (extent, rank) in wanted.agents.iter().zip(&ranks) {
        layers.items.push(Item { layer: 2 * rank, extent: *extent, is_agent: true });
    }
    // The pieces of each way, in the direction of the layers; its label's item.
    let mut chains: Vec<Vec<usize>> = Vec::new();
    let mut labelled = Vec::new();
    for (&(upper, lower), &(_, _, label)) in forward.iter().zip(&wanted.edges) {
        let (first, last) = (2 * ranks[upper] + 1, 2 * ranks[lower] - 1);
        // Labels are in odd layers, this one in the middle.
        let middle = usize::midpoint(first, last) | 1;
        let (mut chain, mut above) = (Vec::new(), upper);
        for layer in first..=last {
            let extent = if layer == middle { label } else { PASSING };
            layers.items.push(Item { layer, extent, is_agent: false });
            let item = layers.items.len() - 1;
            if layer == middle {
                labelled.push(item);
            }
            chain.push(layers.connect(above, item));
            above = item;
        }
        chain.push(layers.connect(above, lower));
        chains.push(chain);
    }
    let depth = layers.items.iter().map(|item| item.layer + 1).max().unwrap_or(0);
    layers.layers = vec![Vec::new(); depth];
    order::arrange(&mut layers, wanted.start);
    let boxes = ports(&mut layers, wanted);
    let across = place::across(&layers);
    let (starts, lengths) = along(&layers, &across);

    let point = |item: usize| {
        let Item { layer, .. } = layers.items[item];
        Point { along: starts[layer] + lengths[layer] / 2.0, across: across[item] }
    };
    let routes = chains.iter().zip(&is_back).map(|(chain, &back)| {
        let mut route = Vec::new();
        for (n, &piece) in chain.iter().enumerate() {
            let Piece { upper, lower, upper_port, lower_port } = layers.pieces[piece];
            if n == 0 {
                let (at, layer) = (point(upper), layers.items[upper].layer);
                let across = at.across + upper_port;
                let edge = at.along + layers.items[upper].extent.along / 2.0;
                let end = starts[layer] + lengths[layer];
                route.push((Point { along: edge, across }, Point { along: end, across }));
            }
            let (at, layer) = (point(lower), layers.items[lower].layer);
            let across = at.across + lower_port;
            let from = Point { along: starts[layer], across };
            let end = if n + 1 == chain.len() {
                at.along - layers.items[lower].extent.along / 2.0
            } else {
                starts[layer] + lengths[layer]
            };
            route.push((from, Point { along: end, across }));
        }
        if back {
            route.reverse();
            route.iter_mut().for_each(|(from, to)| std::mem::swap(from, to));
        }
        route
    });
    let routes = routes.collect();
    let end = |item: usize| across[item] + layers.items[item].extent.after;
    Laid {
        agents: (0..count).map(point).collect(),
        boxes,
        routes,
        labels: labelled.iter().map(|&item| point(item)).collect(),
        along: starts.last().zip(lengths.last()).map_or(0.0, |(start, length)| start + length),
        across: (0..layers.items.len()).map(end).fold(0.0, f64::max),
    }
}

impl Layers {
    fn connect(&mut self, upper: usize, lower: usize) -> usize {
        self.pieces.push(Piece { upper, lower, upper_port: 0.0, lower_port: 0.0 });
        self.pieces.len() - 1
    }
}

/// Which ways lead back: from what is further from the start to what is nearer to it, and among agents that
/// are equally far those that would close a circle.
fn back(wanted: &Wanted) -> Vec<bool> {
    let count = wanted.agents.len();
    let mut leaving = vec![Vec::new(); count];
    for &(from, to, _) in &wanted.edges {
        leaving[from].push(to);
    }
    let mut far = vec![usize::MAX; count];
    let roots = std::iter::once(wanted.start).chain(0..count).filter(|root| *root < count);
    for root in roots {
        if far[root] != usize::MAX {
            continue;
        }
        far[root] = 0;
        let mut queue = std::collections::VecDeque::from([root]);
        while let Some(at) = queue.pop_front() {
            for &to in &leaving[at] {
                if far[to] == usize::MAX {
                    far[to] = far[at] + 1;
                    queue.push_back(to);
                }
            }
        }
    }
    // A numbering of the agents in which what is equally far stands as a search in depth leaves it.
    let mut left = Vec::new();
    let mut seen = vec![false; count];
    for root in 0..count {
        let mut stack = vec![(root, 0)];
        while let Some((at, next)) = stack.pop() {
            if next == 0 && std::mem::replace(&mut seen[at], true) {
                continue;
            }
            match leaving[at].get(next) {
                Some(&to) => {
                    stack.push((at, next + 1));
                    if far[to] == far[at] && !seen[to] {
                        stack.push((to, 0));
                    }
                }
                None => left.push(at),
            }
        }
    }
    let mut finished = vec![0; count];
    for (n, &at) in left.iter().enumerate() {
        finished[at] = n;
    }
    let is_back = |&(from, to, _): &(usize, usize, Extent)| {
        far[to] < far[from] || (far[to] == far[from] && finished[to] > finished[from])
    };
    wanted.edges.iter().map(is_back).collect()
}

/// The length of the longest way to each agent; the ways have no circle.
fn ranks(count: usize, forward: &[(usize, usize)]) -> Vec<usize> {
    let mut ranks = vec![0; count];
    let mut arriving = vec![0; count];
    let mut leaving = vec![Vec::new(); count];
    for &(upper, lower) in forward {
        arriving[lower] += 1;
        leaving[upper].push(lower);
    }
    let mut ready: Vec<usize> = (0..count).filter(|&at| arriving[at] == 0).collect();
    while let Some(at) = ready.pop() {
        for &lower in &leaving[at] {
            ranks[lower] = ranks[lower].max(ranks[at] + 1);
            arriving[lower] -= 1;
            if arriving[lower] == 0 {
                ready.push(lower);
            }
        }
    }
    ranks
}

/// Gives every line that ends at an agent its own place on the agent's side, in the order of where it comes
/// from, and the agents room for them. Returns the boxes.
fn ports(layers: &mut Layers, wanted: &Wanted) -> Vec<Extent> {
    let gap = wanted.port_gap;
    let mut position = vec![0; layers.items.len()];
    for layer in &layers.layers {
        for (at, &item) in layer.iter().enumerate() {
            position[item] = at;
        }
    }
    let mut boxes = Vec::new();
    for (agent, room_of_loops) in wanted.loops.iter().enumerate() {
        let mut most = 0;
        for is_upper in [true, false] {
            let ends = layers.pieces.iter().enumerate();
            let mut ends: Vec<(usize, usize)> = ends
                .filter(|(_, piece)| agent == if is_upper { piece.upper } else { piece.lower })
                .map(|(n, piece)| (position[if is_upper { piece.lower } else { piece.upper }], n))
                .collect();
            ends.sort_unstable();
            most = most.max(ends.len());
            let middle = (ends.len() as f64 - 1.0) / 2.0;
            for (n, (_, piece)) in ends.into_iter().enumerate() {
                let port = (n as f64 - middle) * gap;
                let piece = &mut layers.pieces[piece];
                if is_upper { piece.upper_port = port } else { piece.lower_port = port }
            }
        }
        let extent = &mut layers.items[agent].extent;
        let room = (most as f64 * gap + 4.0) / 2.0;
        extent.before = extent.before.max(room);
        extent.after = extent.after.max(room);
        boxes.push(*extent);
        extent.before += room_of_loops;
    }
    boxes
}

/// Where each layer begins along, and how long it is. The more lines bend between two layers, the further
/// they are apart.
fn along(layers: &Layers, across: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let count = layers.layers.len();
    let (mut lengths, mut bends) = (vec![0.0_f64; count], vec![0.0_f64; count]);
    for item in &layers.items {
        let beside = if item.is_agent { 2.0 * ARROW } else { 0.0 };
        lengths[item.layer] = lengths[item.layer].max(item.extent.along + beside);
    }
    for piece in &layers.pieces {
        let bend =
            (across[piece.upper] + piece.upper_port) - (across[piece.lower] + piece.lower_port);
        let layer = layers.items[piece.upper].layer;
        bends[layer] = bends[layer].max(bend.abs());
    }
    let mut starts = Vec::with_capacity(count);
    let mut at = 0.0;
    for (length, bend) in lengths.iter().zip(&bends) {
        starts.push(at);
        at += length + (GAP_MIN + bend * 0.2).min(GAP_MAX);
    }
    (starts, lengths)
}
