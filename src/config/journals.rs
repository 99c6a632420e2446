//! What is written down of a call, and for how long it is kept.
//!
//! **Invariant:** nothing here opens a folder; a path means what the program's working directory makes
//! of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much of a call its journal holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JournalMode {
    /// Nothing: there is no journal.
    Off,
    /// What happened, with a digest at least once a second: enough to read, too little to replay.
    Events,
    /// Everything that came from outside: the call can be replayed and forked.
    #[default]
    Full,
}

/// Where journals are kept, and how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Journals {
    /// A folder for the journals of all calls, a file each, which is made if need be. Default none: a
    /// journal lies beside the other files of its call.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub folder: Option<String>,
    /// Journals older than this are removed from the folder when a call begins, in days: 0 to 36500.
    /// Default 0: however old.
    #[schemars(range(min = 0, max = 36_500))]
    pub max_age_days: u32,
    /// Beyond so much the oldest are removed when a call begins, in megabytes (a million bytes): 0 to
    /// 10000000. Default 0: however much.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub max_size_mb: u32,
}
