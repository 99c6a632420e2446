//! Why a model did not answer.

use serde::{Deserialize, Serialize};

/// An error of a provider's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelError {
    /// What kind of trouble it is.
    pub kind: ErrorKind,
    /// What happened, for a person to read. No keys are in it.
    pub message: String,
}

/// The kinds of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// No connection.
    Unreachable,
    /// The key is missing or is not accepted.
    Unauthorised,
    /// The request is one that the provider does not take.
    Refused,
    /// Too many requests, or too much used.
    Limited,
    /// The provider has failed.
    Provider,
    /// No answer began within the time.
    TimedOut,
    /// An answer began, and nothing more came.
    Stalled,
    /// An answer began, and ended without its end.
    CutOff,
    /// What came is no answer.
    Malformed,
    /// An answer was longer than anybody wants.
    TooLong,
    /// Nobody is there to ask: too much is asked already, or the provider is being spared.
    Unavailable,
}

impl ModelError {
    /// An error.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Whether asking once more may help, as long as nothing of an answer has come.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self.kind {
            ErrorKind::Unreachable
            | ErrorKind::Limited
            | ErrorKind::Provider
            | ErrorKind::TimedOut
            | ErrorKind::Stalled
            | ErrorKind::CutOff
            | ErrorKind::Malformed
            | ErrorKind::Unavailable => true,
            ErrorKind::Unauthorised | ErrorKind::Refused | ErrorKind::TooLong => false,
        }
    }
}

impl ErrorKind {
    /// Its name, as events have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Unauthorised => "unauthorised",
            Self::Refused => "refused",
            Self::Limited => "limited",
            Self::Provider => "provider",
            Self::TimedOut => "timed_out",
            Self::Stalled => "stalled",
            Self::CutOff => "cut_off",
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::Unavailable => "unavailable",
        }
    }
}

impl std::fmt::Display for ModelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ModelError {}
