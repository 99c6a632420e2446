//! Names of nodes: what may stand in them, and in which order they come.

use std::cmp::Ordering;

use super::NodeKind;
use super::fault::Slip;
use crate::talk::near::excerpt;

/// The longest name of a node, in characters: what a line of a picture or a log has room for.
pub const NAME_MAX: usize = 64;

/// Names that have a meaning of their own, spelt exactly so.
pub(super) const RESERVED: [(&str, NodeKind); 3] =
    [("start", NodeKind::Start), ("User", NodeKind::User), ("end", NodeKind::End)];

/// The kind that a reserved name stands for.
pub(super) fn reserved(name: &str) -> Option<NodeKind> {
    RESERVED.iter().find(|(word, _)| *word == name).map(|(_, kind)| *kind)
}

/// The reserved name that differs from this one in case alone.
pub(super) fn reserved_but_for_case(name: &str) -> Option<&'static str> {
    let is_it = |word: &&str| *word != name && word.eq_ignore_ascii_case(name);
    RESERVED.iter().map(|(word, _)| *word).find(is_it)
}

/// The order of names everywhere: `start`, `User`, the agents by name, `end`.
pub(super) fn order(a: &str, b: &str) -> Ordering {
    let rank = |name: &str| match reserved(name) {
        Some(NodeKind::Start) => 0,
        Some(NodeKind::User) => 1,
        Some(NodeKind::Agent) | None => 2,
        Some(NodeKind::End) => 3,
    };
    rank(a).cmp(&rank(b)).then_with(|| a.cmp(b))
}

/// Whether a name may begin and end with the character.
fn is_letter(c: char) -> bool {
    c == '_' || c.is_alphanumeric() || (!c.is_ascii() && !c.is_whitespace() && !c.is_control())
}

/// Reads a name: white space around it goes, and within it is one space.
pub(super) fn read(text: &str) -> Result<String, Slip> {
    const REMEDY: &str = "names begin and end with a letter, a digit or `_`; between them spaces and \
                          any of -.'&/@+# are fine";
    let name = text.trim();
    let at = text.len() - text.trim_start().len();
    if name.is_empty() {
        return Err(Slip::new(at, "a name is missing", "write the name of a node"));
    }
    let fits = |c: char| is_letter(c) || c.is_whitespace() || "-.'&/@+#".contains(c);
    let wrong = |at: usize, c: char| {
        let shown = if c.is_control() { ' ' } else { c };
        Slip::new(at, format!("`{shown}` cannot stand here in a name"), REMEDY)
    };
    if let Some((offset, c)) = name.char_indices().find(|(_, c)| !fits(*c)) {
        return Err(wrong(at + offset, c));
    }
    let ends = name.char_indices().next().into_iter().chain(name.char_indices().next_back());
    if let Some((offset, c)) = ends.into_iter().find(|(_, c)| !is_letter(*c)) {
        return Err(wrong(at + offset, c));
    }
    let plain = name.split_whitespace().collect::<Vec<_>>().join(" ");
    let length = plain.chars().count();
    if length > NAME_MAX {
        let what = format!("the name `{}` has {length} characters", excerpt(&plain));
        return Err(Slip::new(at, what, format!("use at most {NAME_MAX}")));
    }
    Ok(plain)
}
