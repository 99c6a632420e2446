//! What others send back, made a value of bounded size and depth.
//!
//! **Invariant:** nothing here panics, whatever the bytes are.

use serde_json::Value;

use crate::tool::fill::look_up;
use crate::tool::{DEPTH_MAX, is_deeper};

/// The longest result of a call, in bytes: far more than a model reads, and little for a process with many
/// sessions.
pub const RESULT_MAX: usize = 1 << 20;

/// The longest text of somebody else's in a reason, in bytes.
pub const TEXT_MAX: usize = 400;

/// A text in one line, at most [`TEXT_MAX`] bytes of its end or its beginning.
pub(super) fn excerpt(text: &str, of_its_end: bool) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if !word.is_empty() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    if line.len() <= TEXT_MAX {
        return line;
    }
    if of_its_end {
        let from = line.ceil_char_boundary(line.len() - TEXT_MAX);
        return format!("… {}", &line[from..]);
    }
    line.truncate(line.floor_char_boundary(TEXT_MAX));
    line.push_str(" …");
    line
}

/// JSON of bounded depth.
pub(super) fn json(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| match error.classify() {
        // The reader itself stops at 128.
        serde_json::error::Category::Syntax if error.to_string().contains("recursion") => {
            too_deep()
        }
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Data
        | serde_json::error::Category::Eof => format!("no JSON: {error}"),
    })?;
    if is_deeper(&value, DEPTH_MAX) { Err(too_deep()) } else { Ok(value) }
}

fn too_deep() -> String {
    format!("nested deeper than {DEPTH_MAX}")
}

/// The part of a value that is wanted, if one is.
pub(super) fn part(value: Value, path: Option<&str>) -> Result<Value, String> {
    let Some(path) = path else { return Ok(value) };
    look_up(&value, path).cloned().ok_or_else(|| format!("there is no `{path}` in the answer"))
}

/// That a result is too long.
pub(super) fn too_long() -> String {
    format!("longer than {RESULT_MAX} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_somebody_else_becomes_a_line_of_bounded_length() {
        assert_eq!(excerpt(" a\n\tb\u{7}c ", false), "a b c");
        let long = "ä".repeat(TEXT_MAX);
        let (begin, end) = (excerpt(&long, false), excerpt(&long, true));
        assert!(begin.len() < TEXT_MAX + 10 && begin.ends_with(" …"), "{begin}");
        assert!(end.len() < TEXT_MAX + 10 && end.starts_with("… "), "{end}");
    }

    #[test]
    fn json_is_bounded_in_depth() {
        let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(json(&nested(DEPTH_MAX)).is_ok());
        for depth in [DEPTH_MAX + 1, 127, 128, 100_000] {
            assert!(json(&nested(depth)).unwrap_err().contains("deeper"), "{depth}");
        }
        assert!(json("{").unwrap_err().starts_with("no JSON"));
    }
}
