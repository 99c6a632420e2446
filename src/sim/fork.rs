//! A fork: a recorded call that goes on from one of its ticks on other settings, or with other agents.
//!
//! The fork steps the production slot from the beginning: up to its tick on the recorded configuration,
//! from there on another one. The first tick whose digest is not the recorded one is where it goes
//! another way; it and all after it are *counterfactual*: participants say what they said in the
//! recording, whatever they hear. See [`recall`](super::recall) for what is answered.
//!
//! It ends where the recording ends, since nobody knows what its participants would have done then.
//!
//! **Invariant:** a fork that changes nothing is the recording, to its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::memory::{Holders, Memory};
use super::player::{NotReplayable, plan_of};
use super::recall::{Live, Recall, Unknown, Way};
use crate::clock::Tick;
use crate::config::Config;
use crate::journal::{Header, Journal, Origin, Scribe, Transcode};
use crate::session::Session;
use crate::session::plan::Plan;
use crate::slot::{Slot, Status};

/// What a fork changes, and where.
#[derive(Debug)]
pub struct Change {
    /// The first tick on the other configuration.
    pub at: Tick,
    /// The other configuration; none to go on as before.
    pub config: Option<Config>,
    /// The name of the recording, for the fork's journal.
    pub of: String,
    /// What answers where the recording cannot.
    pub live: Option<Live>,
}

/// A recorded call that goes on in another way.
#[derive(Debug)]
pub struct Fork {
    journal: Arc<Journal>,
    slot: Slot,
    next: Option<Arc<Plan>>,
    at: Tick,
    entry: usize,
    way: Arc<Way>,
    diverged: Option<Tick>,
}

impl Fork {
    /// A fork of a recording. Each of the two decoders turns the recording's packets into frames:
    /// one while it is learnt, one while it goes on.
    ///
    /// # Errors
    /// The recording cannot be stepped, was forked itself, has no such tick, or the other configuration
    /// cannot take over there, since it lacks the agent that has the call.
    pub fn new(
        journal: Arc<Journal>,
        decoders: [Option<Box<dyn Transcode>>; 2],
        change: Change,
    ) -> Result<Self, NotReplayable> {
        let [learn, go_on] = decoders;
        let plan = Arc::new(plan_of(&journal)?);
        if !journal.changes.is_empty() {
            return Err(NotReplayable(
                "the recording is a fork with another configuration itself; fork the call that it \
                 came from"
                    .to_owned(),
            ));
        }
        let Some(last) = journal.ticks.last().map(|entry| entry.input.tick) else {
            return Err(NotReplayable(
                "the recording has no ticks: there is nothing to fork".into(),
            ));
        };
        if change.at > last {
            return Err(NotReplayable(format!(
                "the recording has no tick {}: it ends with tick {last} ({} ms)",
                change.at,
                plan.len.start_ms(last),
            )));
        }
        let (memory, holders) = Memory::of(&journal, learn, change.at)?;
        // The recorded call may have gone on with other configurations before.
        let present = holders.as_ref().map_or(&plan, |holders| &holders.plan);
        let next = change.config.map(|config| present.succeeding(config)).transpose();
        let next = next.map_err(|error| NotReplayable(error.to_string()))?.map(Arc::new);
        if let (Some(next), Some(holders)) = (&next, holders) {
            can_take_over(holders, change.at, next)?;
        }
        let way = Arc::new(Way::default());
        let recall =
            Recall::new(Arc::clone(&journal), go_on, memory, change.live, Arc::clone(&way));
        let header = Header {
            virtual_time: true,
            fork: Some(Origin { of: change.of, at: change.at }),
            ..journal.header.clone()
        };
        let session = Session::new(&plan, header.seed);
        let scribe = Some(Scribe::new(&header));
        let slot = Slot::new(plan, session, Vec::new(), Box::new(recall), scribe);
        Ok(Self { journal, slot, next, at: change.at, entry: 0, way, diverged: None })
    }

    /// Steps the next tick; `None` where the recording ends.
    pub fn tick(&mut self) -> Option<Tick> {
        let entry = self.journal.ticks.get(self.entry)?;
        let now = entry.input.tick;
        if now >= self.at
            && let Some(next) = self.next.take()
        {
            self.slot.replan(next);
            self.way.reconfigured.store(true, Ordering::Relaxed);
        }
        self.slot.tick(entry.input.skipped);
        self.entry += 1;
        if self.diverged.is_none() && self.way.parted.load(Ordering::Relaxed) {
            self.diverged = Some(now);
            if let Some(scribe) = self.slot.scribe() {
                scribe.diverged();
            }
        }
        if *self.status() != Status::Running {
            self.entry = self.journal.ticks.len();
        }
        Some(now)
    }

    /// The slot after the last tick.
    pub const fn slot(&mut self) -> &mut Slot {
        &mut self.slot
    }

    /// How the fork is: running, where the recording ended first.
    #[must_use]
    pub const fn status(&self) -> &Status {
        self.slot.status()
    }

    /// The first counterfactual tick, if there was one.
    #[must_use]
    pub const fn diverged(&self) -> Option<Tick> {
        self.diverged
    }

    /// What the recording could not answer.
    #[must_use]
    pub fn unknown(&self) -> Unknown {
        self.way.unknown()
    }
}

/// Whoever has the call, or is about to, must be there on the other configuration as well.
fn can_take_over(
    Holders { agent, next, .. }: Holders,
    at: Tick,
    plan: &Plan,
) -> Result<(), NotReplayable> {
    for id in [Some(agent), next].into_iter().flatten() {
        let name = &plan.agent(id).name;
        if !plan.config.agents.contains_key(name) {
            let known: Vec<&str> = plan.config.agents.keys().map(String::as_str).collect();
            return Err(NotReplayable(format!(
                "agent `{name}` has the call at tick {at}, and the other configuration has only {}; \
                 keep the name, or fork at another tick",
                known.join(", ")
            )));
        }
    }
    Ok(())
}
