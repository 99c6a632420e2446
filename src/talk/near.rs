//! Names that are nearly another: what to suggest to one who has mistyped something.

/// The candidate that `word` was most likely meant to be.
///
/// A third of the letters may be wrong: enough for slips of the finger, too little to offer another
/// word.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing costs the product of both lengths; a name longer than this is no slip of the
    // finger.
    const NAME_MAX: usize = 64;
    let length = word.chars().count();
    if length > NAME_MAX {
        return None;
    }
    let slack = (length / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= NAME_MAX)
        .map(|candidate| {
            (strsim::osa_distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate)
        })
        .filter(|(distance, candidate)| *distance <= slack && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What to do about an unknown name: the nearest one, or all there are.
pub fn suggestion(word: &str, what: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => format!("there are no {what} here"),
        None => format!("the {what} here are {}", listed(known)),
    }
}

/// Names for a sentence: `` `a`, `b` and 3 more ``.
pub fn listed(names: &[&str]) -> String {
    // Fifteen names fill two lines of a terminal; all keys of the largest map here fit.
    const SHOWN_MAX: usize = 15;
    let shown: Vec<String> =
        names.iter().take(SHOWN_MAX).map(|name| format!("`{}`", excerpt(name))).collect();
    match names.len().saturating_sub(SHOWN_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The beginning of a text that may be long or hold line breaks, for a message of one line.
pub fn excerpt(text: &str) -> String {
    // Forty characters identify a sentence and leave room for the message around it.
    const SHOWN_MAX: usize = 40;
    let mut shown: String =
        text.chars().take(SHOWN_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_near_or_absent() {
        let keys = ["greeting", "arrival", "fallback", "tools"];
        assert_eq!(nearest("greting", keys), Some("greeting"));
        assert_eq!(nearest("Tool", keys), Some("tools"));
        assert_eq!(nearest("arival", keys), Some("arrival"));
        assert_eq!(nearest("banana", keys), None);
        assert_eq!(nearest("x", ["y"]), None, "a name that shares no letter is no suggestion");
        assert_eq!(suggestion("banana", "keys", &["a", "b"]), "the keys here are `a`, `b`");
    }
}
