//! What to do about a text that is not YAML.
//!
//! The parser stops where it can go on no further, which is often lines after the slip, and its words are
//! those of a grammar. So the text is looked at once more: for the bracket or the quote that is still open
//! there, and for the column in which the line begins.
//!
//! **Invariant:** a line that is named is where something would be changed.

use super::complaint::Mark;

const QUOTING: &str =
    "a text that holds `: ` or ` #`, or begins with a sign such as { [ * & ! %, needs quotes";

/// What to do about something that the parser did not like, by its own words and by the text before the
/// place where it stopped.
pub(super) fn remedy(info: &str, text: &str, mark: Mark) -> String {
    let line = mark.line;
    if info.contains("tabs") {
        return format!("indent line {line} with spaces; YAML has no tabs there");
    }
    if info.contains("quoted scalar") && info.contains("trailing content") {
        return "the quotes close before the end of the text; within '…' write '' for the sign, \
                and within \"…\" write \\\""
            .to_owned();
    }
    if info.contains("quoted scalar") || info.contains("unexpected end of stream") {
        return format!("close the quotes that open in line {line}");
    }
    if let Some((bracket, opened)) = open_bracket(text, mark) {
        return format!("close the `{bracket}` of line {opened}, and part what is in it by `,`");
    }
    if info.contains("bracket") {
        return "nothing is open that this bracket closes; a text that begins with one needs quotes"
            .to_owned();
    }
    indentation(info, text, mark).unwrap_or_else(|| QUOTING.to_owned())
}

/// The bracket that is open at a place, and its line.
fn open_bracket(text: &str, mark: Mark) -> Option<(char, u32)> {
    let mut open: Vec<(char, u32)> = Vec::new();
    let mut quote: Option<char> = None;
    for (line, number) in text.lines().zip(1..=mark.line) {
        // A value begins after these; elsewhere a bracket or a quote is part of a text.
        let mut before = ' ';
        let mut begins = true;
        let end = if number == mark.line { mark.column as usize } else { usize::MAX };
        for sign in line.chars().take(end.saturating_sub(1)) {
            if let Some(closing) = quote {
                if sign == closing && (sign == '\'' || before != '\\') {
                    // Two of them in a row are one sign of the text.
                    (quote, begins) = (None, sign == '\'');
                }
            } else {
                match sign {
                    '#' if before.is_whitespace() => break,
                    '"' | '\'' if begins => quote = Some(sign),
                    '{' | '[' if begins || !open.is_empty() => open.push((sign, number)),
                    '}' | ']' => match open.pop() {
                        Some(('[', opened)) if sign == '}' => return Some(('[', opened)),
                        _ => {}
                    },
                    _ => {}
                }
                begins = match sign {
                    ':' | ',' | '-' | '[' | '{' => true,
                    sign => sign.is_whitespace() && begins,
                };
            }
            before = sign;
        }
    }
    open.pop()
}

/// What is wrong with the column in which a line begins, or with the line before it.
fn indentation(info: &str, text: &str, mark: Mark) -> Option<String> {
    let line = mark.line;
    let before: Vec<(u32, &str)> = (1..line).zip(text.lines()).filter(|(_, l)| holds(l)).collect();
    let here = text.lines().nth(line as usize - 1)?;
    let (above, written) = *before.last()?;
    let head: String = here.chars().take((mark.column as usize).saturating_sub(1)).collect();
    let (own, theirs) = (indent(here), indent(written));
    if info.contains("mapping values") && !head.contains(": ") {
        if own > theirs {
            return Some(format!(
                "line {line} begins deeper than line {above}, which has a value already: let the \
                 keys of a map begin in the same column"
            ));
        }
        if !written.contains(':') {
            return Some(format!("line {above} has no `: ` after its key"));
        }
    }
    let misses = info.contains("did not find expected");
    let others: Vec<usize> = before.iter().map(|(_, line)| indent(line)).collect();
    if misses && head.trim().is_empty() && !others.contains(&own) {
        return Some(format!(
            "line {line} begins in column {}, where no line before it does: let the keys of a map \
             begin in the same column",
            own + 1
        ));
    }
    let keys = "let the keys of a map and the items of a list begin in the same column, or put the \
                text in quotes";
    (misses && head.trim().is_empty()).then(|| keys.to_owned())
}

/// Whether a line holds more than a comment.
fn holds(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with('#')
}

fn indent(line: &str) -> usize {
    line.chars().take_while(|sign| *sign == ' ').count()
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    #[test]
    fn each_slip_has_its_remedy() {
        for (text, expected) in [
            ("agents:\n\ta: {}\n", "indent line 2 with spaces"),
            (
                "agents:\n  a:\n    greeting: Hi\n   idle: x\n",
                "line 4 begins in column 4, where no",
            ),
            (
                "agents:\n  a:\n    greeting: Hi\n      idle: x\n",
                "line 4 begins deeper than line 3",
            ),
            ("agents:\n  a:\n    - name: x\n     say: y\n", "line 4 begins in column 6, where no"),
            ("agents:\n  a:\n    greeting Hi\n    idle: x\n", "line 3 has no `: ` after its key"),
            ("agents:\n  a: { idle: Hi\n  b: {}\nslots: {}\n", "close the `{` of line 2"),
            ("agents:\n  a:\n    tools: [a, b\n    idle: x\n", "close the `[` of line 3"),
            ("agents:\n  a: { tools: [x, idle: Hi }\n", "close the `[` of line 2"),
            ("agents:\n  a: # a {\n    tools: [b\n", "close the `[` of line 3"),
            ("agents:\n  a: }\n", "nothing is open that this bracket closes"),
            ("agents:\n  a:\n    idle: \"Hi\n    say: x\n", "close the quotes that open in line 3"),
            ("agents:\n  a:\n    idle: 'It's fine'\n", "the quotes close before the end"),
            ("agents:\n  a:\n    idle: Hi: there\n", "a text that holds `: `"),
            ("agents:\n  a:\n    idle: {Hi} there\n", "a text that holds `: `"),
            ("agents:\n  a:\n    idle: *there\n", "a text that holds `: `"),
        ] {
            let told = parse(text.as_bytes(), "a.yaml").unwrap_err().to_string();
            assert!(told.contains("not YAML: ") && told.contains(expected), "{text}\n{told}");
        }
    }
}
