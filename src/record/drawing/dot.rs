//! A picture as a graph of dot, Graphviz's language.
//!
//! **Invariant:** a text is a quoted string in which dot's escapes and entities mean nothing.

use std::fmt::Write as _;

use super::{EdgeKind, Picture, text};

pub(super) fn written(picture: &Picture) -> String {
    let mut out = format!("digraph \"{}\" {{\n", escaped(&text::plain(&picture.name)));
    out += "  rankdir=LR;\n";
    out += "  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n";
    out += "  edge [fontname=\"sans-serif\", fontsize=11];\n";
    for (at, agent) in picture.agents.iter().enumerate() {
        let name = escaped(&text::plain(&agent.name));
        let label = match Picture::caption(agent) {
            "" => name,
            caption => format!("{name}\\n{caption}"),
        };
        let starts = if agent.starts { ", penwidth=3" } else { "" };
        let ends = if agent.ends { ", peripheries=2" } else { "" };
        let _ = writeln!(out, "  a{at} [label=\"{label}\"{starts}{ends}];");
    }
    for edge in &picture.edges {
        let labels: Vec<String> =
            Picture::labels(edge).iter().map(|label| escaped(label)).collect();
        let style = match edge.kind {
            EdgeKind::HandOver => "",
            EdgeKind::Call => ", style=dashed",
        };
        let label = labels.join("\\n");
        let _ = writeln!(out, "  a{} -> a{} [label=\"{label}\"{style}];", edge.from, edge.to);
    }
    out += "}\n";
    out
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;")
}
