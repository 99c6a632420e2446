//! Texts of a picture: made plain, measured, and broken into lines.
//!
//! **Invariant:** a measured width is not below what common sans-serif fonts take; the widths are those of
//! DejaVu Sans, the widest of them.

/// Characters of a text that a picture shows.
const CHARS_MAX: usize = 200;

/// A text on one line: spaces for whatever separates, U+FFFD for what no document may hold, and an ellipsis
/// for what is beyond [`CHARS_MAX`].
pub(super) fn plain(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Overrides of the direction would reorder the text beside them.
    let is_bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut chars = words.chars().map(|c| if is_bad(c) { '\u{fffd}' } else { c });
    let mut shown: String = chars.by_ref().take(CHARS_MAX).collect();
    if chars.next().is_some() {
        shown.pop();
        shown.push('…');
    }
    if shown.is_empty() { "\u{2014}".to_owned() } else { shown }
}

/// The width of a text in pixels at a font size in pixels.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(em).sum::<f64>() * size
}

/// The width of a character in its font's size.
fn em(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '\'' => 0.28,
        ' ' | ',' | '.' | ';' | ':' | '|' | '/' | 'I' | '"' => 0.40,
        'f' | 'r' | 't' | '(' | ')' | '[' | ']' | '-' => 0.42,
        'c' | 's' | 'k' | 'v' | 'x' | 'y' | 'z' | '_' | '*' => 0.60,
        'm' | 'W' | 'M' | '%' | '@' | '…' | '—' => 1.0,
        'w' | '+' | '<' | '>' | '=' | '~' | '#' | '^' => 0.84,
        c if c.is_ascii_uppercase() || c == '&' => 0.78,
        c if c.is_ascii() => 0.64,
        // Latin, Greek and Cyrillic letters are as wide as those of ASCII at most; beyond, as a square.
        '\u{a1}'..='\u{52f}' => 0.9,
        '“' | '”' | '’' => 0.52,
        _ => 1.1,
    }
}

/// A text in lines of at most `width` pixels, and at most so many lines; the last then ends with an ellipsis.
pub(super) fn lines(text: &str, size: f64, width: f64, lines_max: usize) -> Vec<String> {
    let fits = |text: &str| self::width(text, size) <= width;
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for part in parts(text) {
        if !line.is_empty() && !fits(&(line.clone() + part.trim_end())) {
            lines.push(std::mem::take(&mut line));
        }
        if fits(part.trim_end()) {
            line += part;
            continue;
        }
        // No place to break it: anywhere will do.
        for c in part.chars() {
            if !line.is_empty() && !fits(&format!("{line}{c}")) {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    lines.push(line);
    let is_cut = lines.len() > lines_max;
    lines.truncate(lines_max);
    let mut lines: Vec<String> = lines.into_iter().map(|line| line.trim().to_owned()).collect();
    if let Some(last) = lines.last_mut().filter(|_| is_cut) {
        while !last.is_empty() && !fits(&format!("{last}…")) {
            last.pop();
        }
        last.push('…');
    }
    lines
}

/// The parts between which a line may be broken, each with what separates it from the next.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive([' ', '_', '-', '.', '/', ','])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_made_plain() {
        assert_eq!(plain(" a\n b\tc "), "a b c");
        assert_eq!(plain("a\u{1b}[1m\u{202e}b"), "a\u{fffd}[1m\u{fffd}b");
        assert_eq!(plain(&"x".repeat(300)).chars().count(), CHARS_MAX);
        assert_eq!(plain("\u{20}"), "—");
    }

    #[test]
    fn lines_fit_and_lose_nothing_until_there_are_too_many() {
        let text = "customer_relations_department wants a word_without_any_place";
        for wide in [40.0, 90.0, 300.0] {
            let broken = lines(text, 12.0, wide, 99);
            assert!(broken.iter().all(|line| width(line, 12.0) <= wide), "{broken:?}");
            assert_eq!(broken.concat().replace(' ', ""), text.replace(' ', ""));
        }
        assert_eq!(lines("front_desk", 12.0, 300.0, 2), ["front_desk"]);
        let cut = lines(text, 12.0, 90.0, 2);
        assert_eq!(cut.len(), 2);
        assert!(cut[1].ends_with('…') && width(&cut[1], 12.0) <= 90.0, "{cut:?}");
    }
}
