//! Styled text in rows of a width.
//!
//! **Invariant:** no row is wider than it may be, and no character is lost, save blanks at a break.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// Rows of this width; all but the first are indented.
pub(super) fn wrap(
    pieces: &[(String, Style)],
    width: usize,
    indent: usize,
    rows: &mut Vec<Line<'static>>,
) {
    let width = width.max(1);
    // A wide character fits beside it.
    let indent = indent.min(width / 2).min(width.saturating_sub(2));
    let mut row: Vec<Span<'static>> = Vec::new();
    let (mut used, mut fresh) = (0, true);
    let mut broken = |row: &mut Vec<Span<'static>>| {
        rows.push(Line::from(std::mem::take(row)));
        row.push(Span::raw(" ".repeat(indent)));
        indent
    };
    for (text, style) in pieces {
        for word in text.split_inclusive(' ') {
            let seen = columns(word.trim_end());
            if used + seen > width && !fresh {
                used = broken(&mut row);
                fresh = true;
            }
            if used + seen <= width {
                // The blank after a word at the very end is not needed.
                let word = if used + columns(word) > width { word.trim_end() } else { word };
                used += columns(word);
                row.push(Span::styled(word.to_owned(), *style));
                fresh = false;
                continue;
            }
            // A word that is longer than a row.
            let mut part = String::new();
            for c in word.chars() {
                let wide = columns(c.encode_utf8(&mut [0; 4]));
                if used + wide > width && !(part.is_empty() && fresh) {
                    row.push(Span::styled(std::mem::take(&mut part), *style));
                    used = broken(&mut row);
                }
                fresh = false;
                used += wide;
                part.push(c);
            }
            row.push(Span::styled(part, *style));
        }
    }
    rows.push(Line::from(row));
}

/// How many columns of a terminal a text takes.
pub(super) fn columns(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { Span::raw(text).width() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, width: usize, indent: usize) -> Vec<String> {
        let mut rows = Vec::new();
        wrap(&[(text.to_owned(), Style::new())], width, indent, &mut rows);
        rows.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn words_are_kept_whole_where_they_can_be() {
        assert_eq!(rows("", 10, 2), [""]);
        assert_eq!(rows("one two three", 7, 2), ["one two", "  three"]);
        assert_eq!(rows("one two three", 5, 1), ["one ", " two ", " thre", " e"]);
        assert_eq!(rows("abcdefgh", 4, 1), ["abcd", " efg", " h"]);
        assert_eq!(rows("über ﷽ 漢字漢字", 6, 0), ["über ﷽", "漢字漢", "字"]);
    }

    #[test]
    fn no_row_is_too_wide_at_any_width() {
        let text = "a 漢字 verylongwordindeed and e\u{301}clairs, 👩‍👩‍👧 family  two blanks";
        for width in 2..40 {
            for row in rows(text, width, 4) {
                assert!(columns(row.trim_end()) <= width.max(2), "{width}: {row:?}");
            }
        }
        assert!(!rows(text, 1, 4).is_empty() && !rows(text, 0, 0).is_empty());
    }
}
