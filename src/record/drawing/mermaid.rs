//! A picture as a flowchart of Mermaid.
//!
//! **Invariant:** a text is a quoted string in which every character that means something to Mermaid or to
//! HTML is written as its number.

use std::fmt::Write as _;

use super::{EdgeKind, Picture, text};

pub(super) fn written(picture: &Picture) -> String {
    let mut out = String::from("flowchart LR\n");
    for (at, agent) in picture.agents.iter().enumerate() {
        let mut lines = vec![escaped(&text::plain(&agent.name))];
        lines
            .extend(Some(Picture::caption(agent).to_owned()).filter(|caption| !caption.is_empty()));
        let label = lines.join("<br/>");
        let (open, close) = match (agent.starts, agent.ends) {
            (true, _) => ("([", "])"),
            (false, true) => ("[[", "]]"),
            (false, false) => ("[", "]"),
        };
        let _ = writeln!(out, "  a{at}{open}\"{label}\"{close}");
    }
    for edge in &picture.edges {
        let arrow = match edge.kind {
            EdgeKind::HandOver => "-->",
            EdgeKind::Call => "-.->",
        };
        let labels = Picture::labels(edge).iter().map(|label| escaped(label)).collect::<Vec<_>>();
        let label = labels.join("<br/>");
        let _ = writeln!(out, "  a{} {arrow}|\"{label}\"| a{}", edge.from, edge.to);
    }
    if let Some(at) = picture.agents.iter().position(|agent| agent.starts) {
        let _ = writeln!(out, "  style a{at} stroke-width:3px");
    }
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Mermaid turns `#35;` into the character of this number.
        let is_safe = !c.is_ascii() || c.is_ascii_alphanumeric() || " _-.,".contains(c);
        if is_safe { out.push(c) } else { write!(out, "#{};", c as u32).unwrap_or_default() }
    }
    out
}
