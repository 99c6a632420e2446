//! What a model says by itself: its items, until they are over.
//!
//! **Invariant:** the model is told of an item's end once; no item of a conversation that is over waits for more.

use serde::{Deserialize, Serialize};

use super::super::Session;
use super::super::event::EventKind;
use super::super::output::{Effect, Output};
use super::super::plan::Plan;
use crate::clock::Tick;
use crate::id::{AskId, ItemId};
use crate::pcm::Clip;
use crate::think::native::wish::NativeWish;

/// Items that are remembered at most: what comes of one that was cut is dropped as long as it is known.
pub(super) const ITEMS_MAX: usize = 64;

/// An item of the model's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    /// The model's id of it.
    pub(super) source: String,
    /// Its number in the session; none: it is not heard at all.
    pub(super) item: Option<ItemId>,
    /// The answer that it is of.
    pub(super) ask: Option<AskId>,
    /// Samples that were played.
    pub(super) played: u64,
    /// No more comes of it.
    pub(super) whole: bool,
    /// It was played to its end, or cut.
    pub(super) over: bool,
}

impl Session {
    /// No more comes of any item.
    pub(super) fn end_items(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let items = self.native.iter().flat_map(|native| &native.items);
        let open: Vec<ItemId> =
            items.filter(|it| !it.whole && !it.over).filter_map(|it| it.item).collect();
        for item in open {
            self.item_whole(plan, now, item, out);
        }
    }

    /// The model's item that has this number.
    pub(super) fn native_item(&mut self, of: ItemId) -> Option<&mut Item> {
        self.native.as_mut()?.items.iter_mut().find(|it| it.item == Some(of) && !it.over)
    }

    /// Whether the model of the current agent speaks this item.
    pub(in super::super) fn is_native(&mut self, item: ItemId) -> bool {
        self.native_item(item).is_some()
    }

    /// So many samples of an item were played, perhaps its last.
    pub(in super::super) fn native_played(
        &mut self,
        of: ItemId,
        samples: u32,
        last: bool,
        out: &mut Output,
    ) {
        let Some(item) = self.native_item(of) else { return };
        item.played += u64::from(samples);
        if last {
            item.over = true;
            let (item, samples) = (item.source.clone(), item.played);
            self.wish(NativeWish::Played { item, samples }, out);
        }
    }

    /// An item's audio is no longer wanted, whoever gives it.
    pub(in super::super) fn unwanted(&mut self, of: ItemId, out: &mut Output) {
        out.effects.push(Effect::SpeakDrop { item: of });
        let Some(item) = self.native_item(of) else { return };
        item.over = true;
        let (item, samples) = (item.source.clone(), item.played);
        self.wish(NativeWish::Cut { item, samples }, out);
    }

    /// Items were cut for good: if any is the model's, it is not to go on.
    pub(in super::super) fn native_cut(&mut self, now: Tick, gone: &[ItemId], out: &mut Output) {
        let is_its = |item: &Item| item.item.is_some_and(|item| gone.contains(&item));
        if self.native.as_ref().is_some_and(|native| native.items.iter().any(is_its)) {
            self.silence_native(now, out);
        }
    }

    /// Ends an item: no more of it comes.
    pub(super) fn item_whole(&mut self, plan: &Plan, now: Tick, of: ItemId, out: &mut Output) {
        let Some(item) = self.native_item(of).filter(|item| !item.whole) else { return };
        item.whole = true;
        self.playout.push(of, Clip::default(), true);
        let text = self.speaking.get(&of).map_or("", |speaking| &speaking.text).to_owned();
        if !text.trim().is_empty() {
            let agent = plan.agent(self.agent).name.clone();
            self.event(now, EventKind::AgentMessage { item: of, agent, text }, out);
            self.spoke(plan, now, out);
        }
    }
}
