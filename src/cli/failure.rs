//! Why a command stopped.

use std::path::Path;
use std::process::ExitCode;

/// A command's failure: what it says, and the code that it exits with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    /// Something given to the command is wrong: exit code 2.
    pub(super) fn input(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 2 }
    }

    /// Something went wrong on the way: exit code 1.
    pub(super) fn broken(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 1 }
    }

    /// The same, said of a file.
    pub(super) fn about(self, path: &Path) -> Self {
        Self { text: format!("{}: {}", path.display(), self.text), ..self }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}
