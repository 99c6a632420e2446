//! What the one who holds a call should know of what is around it, as it happens.

/// Something that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// As it should be.
    Info(String),
    /// Not as it should be; the text says what to do.
    Warning(String),
}
