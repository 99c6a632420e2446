//! Arguments that are shown nowhere.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// A secret from the command line or the environment.
#[derive(Clone)]
pub(super) struct Secret(String);

impl Secret {
    /// The secret itself.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

/// It is not for logs.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}
