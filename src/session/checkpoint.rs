//! A session at a tick, as bytes.
//!
//! A checkpoint is only good for the build that made it: it holds the detector's and the filters'
//! inner numbers. It says so itself, and another build refuses it.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::Session;
use super::plan::Plan;
use crate::clock::Tick;

/// What a build must share with another for sessions to go on alike: version, target, and the number
/// of the session's behaviour, raised whenever equal inputs give other outputs.
pub const BUILD: &str =
    concat!("antiphon ", env!("CARGO_PKG_VERSION"), " behaviour 7 ", env!("ANTIPHON_TARGET"));

/// A session at a tick boundary.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Checkpoint {
    build: String,
    /// The [hash](Plan::hash) of the plan that the session ran on last.
    config: u64,
    /// The next tick.
    pub tick: Tick,
    session: Session,
}

/// Why a checkpoint cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRestored {
    /// It is not a checkpoint, or is damaged.
    Unreadable(String),
    /// Another build made it.
    OtherBuild {
        /// The build that made it.
        made_by: String,
    },
    /// It belongs to another configuration.
    OtherConfig,
}

impl std::fmt::Display for NotRestored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "this is not a checkpoint, or it is damaged: {why}"),
            Self::OtherBuild { made_by } => {
                write!(f, "the checkpoint was made by `{made_by}`, this is `{BUILD}`")
            }
            Self::OtherConfig => f.write_str("the checkpoint belongs to another configuration"),
        }
    }
}

impl std::error::Error for NotRestored {}

impl Checkpoint {
    /// Takes a checkpoint of a session between two ticks.
    #[must_use]
    pub fn take(session: &Session, plan: &Plan) -> Self {
        let config = plan.hash();
        Self { build: BUILD.to_owned(), config, tick: session.tick(), session: session.clone() }
    }

    /// The checkpoint as bytes.
    ///
    /// # Panics
    /// Never: every part of a session has a compact form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            postcard::to_stdvec(self).expect("every part of a session has a compact form");
        bytes.extend(xxh3_64(&bytes).to_le_bytes());
        bytes
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// The bytes are damaged, or another build wrote them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotRestored> {
        let unreadable = |why: &str| NotRestored::Unreadable(why.to_owned());
        let (body, sum) = bytes.split_last_chunk::<8>().ok_or_else(|| unreadable("too short"))?;
        if xxh3_64(body) != u64::from_le_bytes(*sum) {
            return Err(unreadable("the checksum does not fit"));
        }
        let (made_by, _) =
            postcard::take_from_bytes::<String>(body).map_err(|e| unreadable(&e.to_string()))?;
        if made_by != BUILD {
            return Err(NotRestored::OtherBuild { made_by });
        }
        postcard::from_bytes(body).map_err(|error| unreadable(&error.to_string()))
    }

    /// The session, to go on with.
    ///
    /// # Errors
    /// The plan is of another configuration. After a reload it has to be the one that
    /// [succeeded](Plan::succeeding), in which agents have the ids that they had.
    pub fn restore(self, plan: &Plan) -> Result<Session, NotRestored> {
        if self.config != plan.hash() {
            return Err(NotRestored::OtherConfig);
        }
        Ok(self.session)
    }
}
