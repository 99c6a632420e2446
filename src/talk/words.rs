//! Words as they are compared: lower case, without punctuation, numbers spoken digit by digit as one
//! number.

/// The words of a text: lower case, split at everything but letters, digits, hyphens and apostrophes.
///
/// ```
/// use antiphon::talk::words::words;
/// assert_eq!(words("Where's my ORDER, please?"), ["where's", "my", "order", "please"]);
/// ```
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '\''))
        .map(|word| word.trim_matches(|c| c == '-' || c == '\''))
        .filter(|word| !word.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}

/// Whether the words of a phrase stand in a text, one after the other.
///
/// ```
/// use antiphon::talk::words::contains_phrase;
/// assert!(contains_phrase("Well, go ahead then.", "go ahead") && !contains_phrase("I know", "no"));
/// ```
#[must_use]
pub fn contains_phrase(text: &str, phrase: &str) -> bool {
    let (text, phrase) = (words(text), words(phrase));
    !phrase.is_empty() && text.windows(phrase.len()).any(|part| part == phrase)
}

/// Spoken digits in a row become one written number: `four two one seven` → `4217`. Words that are
/// already digits join in.
#[must_use]
pub fn with_numbers(words: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(words.len());
    let mut number = String::new();
    for word in words {
        match digits(word) {
            Some(digits) => number.push_str(digits),
            None => {
                if !number.is_empty() {
                    out.push(std::mem::take(&mut number));
                }
                out.push(word.clone());
            }
        }
    }
    if !number.is_empty() {
        out.push(number);
    }
    out
}

/// The digits that a word stands for.
fn digits(word: &str) -> Option<&str> {
    const SPOKEN: [(&str, &str); 11] = [
        ("zero", "0"),
        ("oh", "0"),
        ("one", "1"),
        ("two", "2"),
        ("three", "3"),
        ("four", "4"),
        ("five", "5"),
        ("six", "6"),
        ("seven", "7"),
        ("eight", "8"),
        ("nine", "9"),
    ];
    if word.bytes().all(|b| b.is_ascii_digit()) {
        return Some(word);
    }
    SPOKEN.iter().find(|(spoken, _)| *spoken == word).map(|(_, digit)| *digit)
}

/// Whether a text is made of `backchannels` only: sounds and words that show attention without
/// taking the turn. Hyphens and spaces inside them do not matter. An empty text is not one.
///
/// ```
/// use antiphon::talk::words::is_backchannel;
/// let known = ["mm-hmm".to_owned(), "right".to_owned()];
/// assert!(is_backchannel("Mm hmm, right.", &known));
/// assert!(!is_backchannel("right away", &known));
/// ```
#[must_use]
pub fn is_backchannel(text: &str, backchannels: &[String]) -> bool {
    let fold = |text: &str| text.to_lowercase().replace(|c: char| !c.is_alphanumeric(), "");
    let folded: Vec<String> =
        backchannels.iter().map(|known| fold(known)).filter(|known| !known.is_empty()).collect();
    let mut rest = fold(text);
    if rest.is_empty() {
        return false;
    }
    // Longest first, so that "okay" is not read as "ok" and a rest.
    while !rest.is_empty() {
        let known = folded.iter().filter(|known| rest.starts_with(known.as_str()));
        let Some(longest) = known.map(String::len).max() else { return false };
        rest.drain(..longest);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_join() {
        let text = words("order four two one 7 please, one");
        assert_eq!(with_numbers(&text), ["order", "4217", "please", "1"]);
    }

    #[test]
    fn backchannels_are_whole() {
        let known: Vec<String> = ["mm-hmm", "ok", "okay", "yeah"].map(Into::into).into();
        for (text, expected) in [
            ("mm-hmm", true),
            ("mmhmm yeah", true),
            ("Okay.", true),
            ("", false),
            ("okay stop", false),
        ] {
            assert_eq!(is_backchannel(text, &known), expected, "{text:?}");
        }
    }
}
