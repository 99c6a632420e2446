//! Another configuration for a session that is under way.
//!
//! It comes as a value like any other, [`Inbound::Reload`], and so is in the journal. Whoever steps a
//! session shows it the tick's input [before the step](Session::reload): the plan that the
//! configuration makes is good for the whole of that tick, and a replay has it at the same tick. What
//! came of it is an event, at its place among those of the input.
//!
//! **Invariant:** a configuration that is refused changes nothing.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::event::EventKind;
use super::input::{Inbound, Input};
use super::plan::Plan;
use super::{Life, Session};
use crate::config::{Config, SIZE_MAX};

/// The hash of a configuration: 16 hexadecimal digits, as `config.reloaded` has it.
#[must_use]
pub fn config_hash(config: &Config) -> String {
    format!("{:016x}", xxh3_64(config.to_json().as_bytes()))
}

impl Session {
    /// Before a tick: goes on with the configurations that have come for it, in their order. Each is
    /// prepared here, on the thread of the session: some milliseconds for one of a hundred agents.
    pub fn reload(&mut self, plan: &mut Arc<Plan>, input: &Input) {
        if self.life == Life::Ended {
            return;
        }
        for value in &input.inbound {
            let Inbound::Reload { config } = value else { continue };
            let kind = match succeeding(plan, config) {
                Ok(next) => {
                    let config = config_hash(&next.config);
                    *plan = Arc::new(next);
                    self.replan(plan);
                    EventKind::ConfigReloaded { config }
                }
                Err(cause) => EventKind::ConfigRefused { cause },
            };
            self.reloads.push_back(kind);
        }
    }

    /// What came of the next configuration of this tick.
    pub(super) fn reloaded(&mut self) -> EventKind {
        self.reloads.pop_front().unwrap_or_else(|| EventKind::ConfigRefused {
            cause: "nobody here can prepare another configuration".to_owned(),
        })
    }
}

fn succeeding(plan: &Plan, json: &str) -> Result<Plan, String> {
    if json.len() > SIZE_MAX {
        return Err(format!("it is longer than {SIZE_MAX} bytes"));
    }
    let mut config: Config =
        serde_json::from_str(json).map_err(|error| format!("it cannot be read: {error}"))?;
    // A call goes on with its conversation, as long as there is one of that name.
    let held = plan.config.conversation.as_ref();
    if let Some(held) = held.filter(|held| config.conversations.contains_key(*held)) {
        config.conversation.get_or_insert_with(|| held.clone());
    }
    // Whoever asks them knows those of the beginning alone.
    if plan.config.models != config.models {
        return Err(
            "a call that is under way cannot change its models; leave them as they were".to_owned()
        );
    }
    let next = plan.succeeding(config).map_err(|error| error.to_string())?;
    Ok(next.with_tools_of(plan))
}

impl Plan {
    /// The plan with the tools of a former one that are the program's: no configuration describes them.
    #[must_use]
    pub fn with_tools_of(mut self, former: &Self) -> Self {
        for (name, spec) in &former.tools {
            if !former.config.tools.contains_key(name) {
                self.tools.entry(name.clone()).or_insert_with(|| spec.clone());
            }
        }
        self
    }
}
