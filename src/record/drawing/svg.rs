//! A picture as SVG, drawn here: boxes, curves, words.
//!
//! Layers go from left to right, since words lie; a long chain of agents, which would be wider than a page,
//! goes from top to bottom.
//!
//! **Invariant:** what stands in it is this file's own markup, with texts escaped between it: nothing is
//! fetched, and nothing runs.

use std::fmt::Write as _;

use super::layout::{Extent, Laid, Point, Wanted, laid};
use super::words::{Label, NAME_LINE, NAME_SIZE, Words, escaped, written};
use super::{Agent, Edge, EdgeKind, Picture, Trail, text};

/// The style of the element; its classes are all within `.graph`.
pub const CSS: &str = include_str!("picture.css");

/// Pixels that a page has: what is wider is better drawn downward.
const PAGE: f64 = 1_240.0;

const MARGIN: f64 = 20.0;

/// The length and half the width of an arrow's head.
const HEAD: (f64, f64) = (9.0, 4.5);
/// How far a way to itself goes away from its agent.
const LOOP: f64 = 22.0;
/// Half of its width.
const LOOP_HALF: f64 = 11.0;

/// Which way the layers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Toward {
    Right,
    Down,
}

/// A picture, laid out.
struct Drawing<'a> {
    picture: &'a Picture,
    trail: Option<&'a Trail>,
    words: Vec<Words>,
    labels: Vec<Label>,
    /// Positions of the edges that lead from an agent to another one.
    between: Vec<usize>,
    toward: Toward,
    laid: Laid,
}

/// A document that is complete in itself.
pub(super) fn document(picture: &Picture) -> String {
    Drawing::new(picture, None).written(true)
}

/// An element of a page.
pub(super) fn element(picture: &Picture, trail: &Trail) -> String {
    Drawing::new(picture, Some(trail)).written(false)
}

impl<'a> Drawing<'a> {
    fn new(picture: &'a Picture, trail: Option<&'a Trail>) -> Self {
        let words: Vec<Words> = picture.agents.iter().map(Words::new).collect();
        let steps = |edge: usize| -> Vec<usize> {
            let steps = trail.map_or(&[][..], |trail| &trail.steps).iter().enumerate();
            steps.filter(|(_, taken)| **taken == Some(edge)).map(|(at, _)| at + 1).collect()
        };
        let edges = picture.edges.iter().enumerate();
        let labels: Vec<Label> = edges.map(|(at, edge)| Label::new(edge, steps(at))).collect();
        let edges = picture.edges.iter().enumerate();
        let between = edges.filter(|(_, edge)| edge.from != edge.to).map(|(at, _)| at).collect();
        let mut drawing = Self {
            picture,
            trail,
            words,
            labels,
            between,
            toward: Toward::Right,
            laid: Laid::default(),
        };
        drawing.laid = laid(&drawing.wanted(Toward::Right));
        if drawing.laid.along > PAGE {
            let down = laid(&drawing.wanted(Toward::Down));
            if down.across < drawing.laid.along {
                (drawing.toward, drawing.laid) = (Toward::Down, down);
            }
        }
        drawing
    }

    fn wanted(&self, toward: Toward) -> Wanted {
        let agents = self.words.iter().enumerate().map(|(at, words)| {
            let slots: f64 = self.loops(at).map(|edge| slot(&self.labels[edge], toward)).sum();
            let Words { width, height, .. } = *words;
            let (along, across) = toward.turned(width, height);
            Extent { along: along.max(slots), before: across / 2.0, after: across / 2.0 }
        });
        let loops = (0..self.words.len()).map(|at| {
            let room = |edge: usize| {
                let Label { width, height, .. } = self.labels[edge];
                LOOP + 6.0 + toward.turned(width, height).1
            };
            self.loops(at).map(room).fold(0.0, f64::max)
        });
        let edges = self.between.iter().map(|&at| {
            let Edge { from, to, .. } = self.picture.edges[at];
            let Label { width, height, .. } = self.labels[at];
            let extent = match toward {
                Toward::Right => Extent { along: width + 8.0, before: height + 3.0, after: 5.0 },
                Toward::Down => Extent { along: height + 8.0, before: 6.0, after: width + 10.0 },
            };
            (from, to, extent)
        });
        Wanted {
            agents: agents.collect(),
            loops: loops.collect(),
            edges: edges.collect(),
            start: self.picture.agents.iter().position(|agent| agent.starts).unwrap_or(0),
            port_gap: 13.0,
        }
    }

    /// The ways from an agent to itself.
    fn loops(&self, agent: usize) -> impl Iterator<Item = usize> {
        let edges = self.picture.edges.iter().enumerate();
        edges.filter(move |(_, edge)| (edge.from, edge.to) == (agent, agent)).map(|(at, _)| at)
    }

    fn written(&self, is_document: bool) -> String {
        let (width, height) = self.toward.turned(self.laid.along, self.laid.across);
        let (width, height) = ((width + 2.0 * MARGIN).ceil(), (height + 2.0 * MARGIN).ceil());
        let (class, role) = match self.trail {
            None => ("graph", "img"),
            Some(_) => ("graph trail", "group"),
        };
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"{class}\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"{role}\" \
             aria-labelledby=\"graph-title graph-desc\">\n"
        );
        let name = escaped(&text::plain(&self.picture.name));
        let _ = writeln!(out, "<title id=\"graph-title\">The agents of {name}</title>");
        let _ = writeln!(out, "<desc id=\"graph-desc\">{}</desc>", escaped(&self.told()));
        if is_document {
            let _ = writeln!(out, "<style>\n{CSS}</style>");
            out += "<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n";
        }
        for (at, edge) in self.picture.edges.iter().enumerate() {
            let taken = if self.labels[at].steps.is_empty() { "" } else { " taken" };
            let calls = if edge.kind == EdgeKind::Call { " calls" } else { "" };
            let _ = write!(out, "<g class=\"edge{calls}{taken}\"><title>");
            let [from, to] =
                [edge.from, edge.to].map(|at| text::plain(&self.picture.agents[at].name));
            let labels = Picture::labels(edge).join(", ");
            let _ = write!(out, "{}</title>", escaped(&format!("{from} → {to}: {labels}")));
            match self.between.iter().position(|known| *known == at) {
                Some(n) => self.way(&mut out, n, at),
                None => self.way_to_itself(&mut out, at),
            }
            out += "</g>\n";
        }
        for at in 0..self.words.len() {
            self.agent(&mut out, at);
        }
        out += "</svg>\n";
        out
    }

    /// What is to be seen, in a sentence.
    fn told(&self) -> String {
        let agents = &self.picture.agents;
        let plural = if agents.len() == 1 { "" } else { "s" };
        let mut told = format!("{} agent{plural}", agents.len());
        let names = |is_one: fn(&Agent) -> bool| {
            let names = agents.iter().filter(|agent| is_one(agent));
            names.map(|agent| text::plain(&agent.name)).collect::<Vec<_>>().join(", ")
        };
        let (starts, ends) = (names(|agent| agent.starts), names(|agent| agent.ends));
        if !starts.is_empty() {
            let _ = write!(told, "; the call begins with {starts}");
        }
        if !ends.is_empty() {
            let _ = write!(told, "; it may be ended by {ends}");
        }
        for edge in &self.picture.edges {
            let [from, to] = [edge.from, edge.to].map(|at| text::plain(&agents[at].name));
            let _ = write!(told, "; {from} to {to}: {}", Picture::labels(edge).join(", "));
        }
        told + "."
    }

    /// The page's place of a place of the layout.
    fn at(&self, point: Point) -> (f64, f64) {
        let (x, y) = self.toward.turned(point.along, point.across);
        (x + MARGIN, y + MARGIN)
    }

    fn way(&self, out: &mut String, n: usize, edge: usize) {
        let mut route = self.laid.routes[n].clone();
        let Some((from, tip)) = route.last_mut() else { return };
        let forth = if tip.along >= from.along { 1.0 } else { -1.0 };
        let end = *tip;
        tip.along -= forth * (HEAD.0 - 1.0);
        let mut path = String::new();
        let mut last: Option<Point> = None;
        for (from, to) in route {
            match last {
                None => {
                    let (x, y) = self.at(from);
                    let _ = write!(path, "M{x:.1} {y:.1}");
                }
                Some(last) => {
                    let middle = f64::midpoint(last.along, from.along);
                    let turn = [last, from].map(|point| self.at(Point { along: middle, ..point }));
                    let ([(ax, ay), (bx, by)], (x, y)) = (turn, self.at(from));
                    let _ = write!(path, "C{ax:.1} {ay:.1} {bx:.1} {by:.1} {x:.1} {y:.1}");
                }
            }
            let (x, y) = self.at(to);
            let _ = write!(path, "L{x:.1} {y:.1}");
            last = Some(to);
        }
        let _ = write!(out, "<path class=\"way\" d=\"{path}\"/>");
        let back = end.along - forth * HEAD.0;
        let sides =
            [-HEAD.1, HEAD.1].map(|side| self.at(Point { along: back, across: end.across + side }));
        head(out, self.at(end), sides);

        let (x, y) = self.at(self.laid.labels[n]);
        let label = &self.labels[edge];
        match self.toward {
            Toward::Right => label.write(out, "label", x, y - 5.0 - label.height),
            Toward::Down => label.write(out, "label beside", x + 7.0, y - label.height / 2.0),
        }
    }

    fn way_to_itself(&self, out: &mut String, edge: usize) {
        let agent = self.picture.edges[edge].from;
        let slots: Vec<(usize, f64)> =
            self.loops(agent).map(|edge| (edge, slot(&self.labels[edge], self.toward))).collect();
        let before: f64 = slots.iter().take_while(|slot| slot.0 != edge).map(|slot| slot.1).sum();
        let all: f64 = slots.iter().map(|slot| slot.1).sum();
        let label = &self.labels[edge];
        let place = self.laid.agents[agent];
        let middle = place.along - all / 2.0 + before + slot(label, self.toward) / 2.0;
        let side = place.across - self.laid.boxes[agent].before;
        let at = |along: f64, across: f64| {
            self.at(Point { along: middle + along, across: side - across })
        };
        let (ax, ay) = at(-LOOP_HALF, 0.0);
        let (bx, by) = at(-LOOP_HALF, LOOP * 1.3);
        let (cx, cy) = at(LOOP_HALF, LOOP * 1.3);
        let (dx, dy) = at(LOOP_HALF, HEAD.0 - 1.0);
        let _ = write!(
            out,
            "<path class=\"way\" d=\"M{ax:.1} {ay:.1}C{bx:.1} {by:.1} {cx:.1} {cy:.1} {dx:.1} {dy:.1}\"/>"
        );
        let sides = [-HEAD.1, HEAD.1].map(|half| at(LOOP_HALF + half, HEAD.0));
        head(out, at(LOOP_HALF, 0.0), sides);
        let (x, y) = at(0.0, LOOP + 4.0);
        match self.toward {
            Toward::Right => label.write(out, "label", x, y - label.height),
            Toward::Down => label.write(out, "label aside-label", x, y - label.height / 2.0),
        }
    }

    fn agent(&self, out: &mut String, at: usize) {
        let (agent, words) = (&self.picture.agents[at], &self.words[at]);
        let visited = self.trail.is_some_and(|trail| trail.visited.contains(&at));
        let mut class = "agent".to_owned();
        for (is, name) in [(agent.starts, " starts"), (agent.ends, " ends"), (visited, " visited")]
        {
            class += if is { name } else { "" };
        }
        let Extent { along, before, after } = self.laid.boxes[at];
        let (width, height) = self.toward.turned(along, before + after);
        let (x, y) = self.at(self.laid.agents[at]);
        let (left, top) = (x - width / 2.0, y - height / 2.0);
        let _ = write!(
            out,
            "<g class=\"{class}\"><title>{}</title>",
            escaped(&text::plain(&agent.name))
        );
        let _ = write!(
            out,
            "<rect class=\"box\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"9\"/>"
        );
        if agent.ends {
            let _ = write!(
                out,
                "<rect class=\"inner\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"6\"/>",
                left + 4.0,
                top + 4.0,
                width - 8.0,
                height - 8.0
            );
        }
        let mut base = y - words.written_height() / 2.0 + NAME_SIZE;
        for line in &words.name {
            written(out, "name", x, base, line);
            base += NAME_LINE;
        }
        if !words.caption.is_empty() {
            written(out, "caption", x, base - 1.0, words.caption);
        }
        out.push_str("</g>\n");
    }
}

impl Toward {
    /// Along and across as x and y, and the other way round.
    const fn turned(self, a: f64, b: f64) -> (f64, f64) {
        match self {
            Self::Right => (a, b),
            Self::Down => (b, a),
        }
    }
}

/// The room along of a way to itself.
fn slot(label: &Label, toward: Toward) -> f64 {
    let (along, _) = toward.turned(label.width, label.height);
    along.max(2.0 * LOOP_HALF + 2.0 * HEAD.1) + 10.0
}

fn head(out: &mut String, (x, y): (f64, f64), [(ax, ay), (bx, by)]: [(f64, f64); 2]) {
    let _ = write!(
        out,
        "<path class=\"arrow\" d=\"M{x:.1} {y:.1}L{ax:.1} {ay:.1}L{bx:.1} {by:.1}Z\"/>"
    );
}
