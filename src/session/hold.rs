//! The user on hold: what it says is heard and written down, and not answered.
//!
//! **Invariant:** a hold ends: when the agent speaks, when it is taken back, or when its time is over.

use serde::{Deserialize, Serialize};

use super::Session;
use super::event::EventKind;
use super::output::Output;
use super::plan::Plan;
use crate::clock::Tick;
use crate::id::ItemId;

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OnHold {
    since: Tick,
    until: Tick,
    /// What is played over and over.
    clip: Option<String>,
    playing: Option<ItemId>,
}

impl Session {
    /// Puts the user on hold.
    pub(super) fn hold(&mut self, now: Tick, ticks: u64, clip: Option<String>, out: &mut Output) {
        let until = now.after(ticks);
        match &mut self.hold {
            Some(hold) => (hold.until, hold.clip) = (until, clip),
            None => {
                self.hold = Some(OnHold { since: now, until, clip, playing: None });
                self.event(now, EventKind::CallHeld, out);
            }
        }
    }

    /// Since when the user is on hold.
    pub(super) fn held_since(&self) -> Option<Tick> {
        self.hold.as_ref().map(|hold| hold.since)
    }

    /// Takes the user off hold; false if it was not on hold.
    pub(super) fn take_off_hold(&mut self, now: Tick, out: &mut Output) -> bool {
        let Some(OnHold { since, playing, .. }) = self.hold.take() else { return false };
        if let Some(item) = playing {
            self.stop_clip(item, out);
        }
        self.floor.noticed(now);
        self.event(now, EventKind::CallResumed { after_ticks: now.since(since) }, out);
        true
    }

    /// Ends a hold whose time is over, and plays its clip anew where it has ended.
    pub(super) fn wake_hold(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let Some(hold) = &self.hold else { return };
        if now >= hold.until {
            self.take_off_hold(now, out);
            return;
        }
        let over = hold.playing.is_none_or(|item| !self.speaking.contains_key(&item));
        let Some(clip) = hold.clip.clone().filter(|_| over && self.playout.is_idle()) else {
            return;
        };
        let item = self.play_clip(plan, now, clip, out);
        if let Some(hold) = &mut self.hold {
            hold.playing = item;
            if item.is_none() {
                hold.clip = None;
            }
        }
    }
}
