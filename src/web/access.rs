//! Who may ask: whoever is on this machine, or whoever has the token.
//!
//! **Invariant:** how long a comparison takes does not depend on how much of a guess is right.

use std::fmt;
use std::hint::black_box;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

/// The shortest token, in characters: 16 of base 64 are 96 bits, which nobody guesses over a network.
pub const TOKEN_LEN_MIN: usize = 16;

/// The longest: a head of a request has room for it.
pub const TOKEN_LEN_MAX: usize = 1_024;

/// A secret that is sent as `Authorization: Bearer …`.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token of visible ASCII characters; white space around it, like the end of a file's line, does
    /// not belong to it.
    ///
    /// # Errors
    /// It is too short, too long, or cannot be sent in a header; in words.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim_ascii();
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a token is one word of visible ASCII characters".to_owned());
        }
        if !(TOKEN_LEN_MIN..=TOKEN_LEN_MAX).contains(&text.len()) {
            return Err(format!(
                "a token has {TOKEN_LEN_MIN} to {TOKEN_LEN_MAX} characters, this one has {}",
                text.len()
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether a request has it.
    fn is_in(&self, authorization: Option<&HeaderValue>) -> bool {
        let Some((scheme, given)) =
            authorization.and_then(|value| value.as_bytes().split_at_checked("Bearer ".len()))
        else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && self.is_equal(given)
    }

    /// Looks at all of what is given, whatever comes of it.
    fn is_equal(&self, given: &[u8]) -> bool {
        let own = self.0.bytes().cycle();
        let differ = given.iter().zip(own).fold(0, |differ, (given, own)| differ | (given ^ own));
        black_box(differ) == 0 && given.len() == self.0.len()
    }
}

/// A token is not for logs.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// These pages, for who has the token.
pub fn guarded(pages: Router, token: Token) -> Router {
    pages.layer(from_fn_with_state(token, guard))
}

/// Lets a request pass that has the token, and says to any other how to send it.
pub(super) async fn guard(State(token): State<Token>, request: Request, next: Next) -> Response {
    if token.is_in(request.headers().get(header::AUTHORIZATION)) {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    let hint = "this needs a token: send it as `Authorization: Bearer TOKEN`\n";
    (StatusCode::UNAUTHORIZED, challenge, hint).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "correct-horse-battery";

    #[test]
    fn only_the_whole_token_is_let_in() {
        let token = Token::new(&format!("{SECRET}\n")).unwrap();
        let passes = |text: &str| token.is_in(Some(&HeaderValue::from_str(text).unwrap()));
        assert!(passes(&format!("Bearer {SECRET}")));
        assert!(passes(&format!("bearer {SECRET}")));
        let half = &SECRET[..10];
        for wrong in [
            String::new(),
            "Bearer ".to_owned(),
            format!("Bearer {half}"),
            format!("Bearer {SECRET}{SECRET}"),
            format!("Bearer {SECRET} "),
            format!("Basic  {SECRET}"),
            SECRET.to_owned(),
        ] {
            assert!(!passes(&wrong), "{wrong}");
        }
        assert!(!token.is_in(None));
    }

    #[test]
    fn a_token_that_cannot_be_sent_or_guards_nothing_is_refused() {
        for wrong in ["", "short", "two words are not a token", "mit-ümlaut-im-geheimnis"] {
            Token::new(wrong).unwrap_err();
        }
        assert_eq!(format!("{:?}", Token::new(SECRET).unwrap()), "Token(…)");
    }
}
