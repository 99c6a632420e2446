//! How agents decide what to say and do.
//!
//! An agent's thinking is a function of its script, what the user said or a tool answered, and the
//! facts known: it returns [`Thought`]s, and the session carries them out. There are agents that need
//! no model, [`script`]ed ones and the [`echo`]; and there is the loop of a model and its tools
//! ([`tool_loop`]), in the words of [`chat`]. Models that hear and speak by themselves are [`native`].
//!
//! **Invariant:** nothing here performs anything; thoughts are values.

pub mod canned;
pub mod chat;
pub mod echo;
pub mod native;
pub mod phrase;
pub mod script;
pub mod tool_loop;

use crate::tool::Json;

/// Something an agent has decided.
#[derive(Debug, Clone, PartialEq)]
pub enum Thought {
    /// Say this.
    Say(String),
    /// Say the apology.
    Apologise,
    /// Call a tool.
    Call {
        /// Its name.
        tool: String,
        /// Its arguments.
        arguments: Json,
        /// What is needed to go on when the outcome is there.
        asked: script::Asked,
    },
    /// Remember a fact.
    Remember(String, String),
    /// End the call once everything said has been played.
    EndCall,
}
