//! Clips that the session plays: audio from files, at hand from the beginning.
//!
//! A clip comes whole, at the tick after it was asked for, in real time as in virtual time.
//!
//! **Invariant:** every clip that is asked for gets audio or a failure.

use std::collections::{BTreeMap, VecDeque};

use crate::clock::Tick;
use crate::id::ItemId;
use crate::pcm::Clip;
use crate::session::input::{Inbound, Input};
use crate::session::output::{Effect, Output};
use crate::slot::Edge;

/// The clips of a configuration, at the session's rate, by name.
#[derive(Debug, Clone, Default)]
pub struct Clips {
    clips: BTreeMap<String, Clip>,
    due: VecDeque<(ItemId, Inbound)>,
}

impl Clips {
    /// These clips.
    #[must_use]
    pub const fn new(clips: BTreeMap<String, Clip>) -> Self {
        Self { clips, due: VecDeque::new() }
    }
}

impl Edge for Clips {
    fn give(&mut self, _now: Tick, input: &mut Input) {
        input.inbound.extend(self.due.drain(..).map(|(_, value)| value));
    }

    fn take(&mut self, _now: Tick, out: &Output) {
        for effect in &out.effects {
            match effect {
                Effect::Play { item, clip } => {
                    let value = match self.clips.get(clip) {
                        Some(pcm) => Inbound::Speech { item: *item, pcm: pcm.clone(), last: true },
                        None => Inbound::SynthesiserFailed {
                            item: *item,
                            cause: format!("there is no clip `{clip}`"),
                        },
                    };
                    self.due.push_back((*item, value));
                }
                Effect::SpeakDrop { item } => self.due.retain(|(due, _)| due != item),
                _ => {}
            }
        }
    }
}
