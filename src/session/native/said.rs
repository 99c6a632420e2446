//! What a model that hears and speaks has to tell.

use super::super::event::{CutCause, EventKind};
use super::super::hear::clip;
use super::super::output::Output;
use super::super::plan::Plan;
use super::super::{Session, Speaking};
use super::Asking;
use super::items::{ITEMS_MAX, Item};
use crate::clock::Tick;
use crate::id::{ItemId, NativeId};
use crate::pcm::Clip;
use crate::think::chat::{ErrorKind, FinishReason};
use crate::think::native::event::{NativeEvent, ResponseEnd, UsageRecord};
use crate::think::native::wish::NativeWish;

/// The longest id of an item, in bytes: providers use a few dozen.
const SOURCE_MAX: usize = 256;

/// The longest text of an item, in bytes: an hour of speech.
const TEXT_MAX: usize = 64 << 10;

impl Session {
    /// Takes what a model has to tell; nothing of a conversation that was closed.
    pub(in super::super) fn native_told(
        &mut self,
        plan: &Plan,
        now: Tick,
        (id, event): (NativeId, NativeEvent),
        out: &mut Output,
    ) {
        if self.leaving.as_ref().is_some_and(|leaving| leaving.id == id) {
            return self.told_in_leaving(plan, now, event, out);
        }
        let known = self.native.as_mut().filter(|native| native.id == id && !native.gone);
        let Some(native) = known else { return };
        match event {
            NativeEvent::Ready { again } => {
                let renewed = again && !std::mem::take(&mut native.down);
                if renewed {
                    // Nobody writes down any more what another session has heard.
                    self.words_lost(plan, now, true, out);
                }
                self.event(now, EventKind::ModelConnected { native: id, again }, out);
            }
            NativeEvent::Audio { item, pcm } => self.native_audio(plan, now, &item, pcm, out),
            NativeEvent::Words { item, text } => self.native_words(plan, now, &item, text, out),
            NativeEvent::ItemDone { item } => self.native_done(plan, now, &item, out),
            NativeEvent::SpeechStarted { .. } | NativeEvent::Interrupted => {
                let may_cut = plan.rules.barge_in.is_some() && self.hold.is_none();
                if self.provider_decides(plan) && may_cut && !self.playout.is_idle() {
                    self.cut(plan, now, CutCause::Voice, (now, 0), out);
                    self.forget_cut(plan, now, out);
                }
            }
            NativeEvent::SpeechStopped { .. } => {
                if self.provider_decides(plan) && self.answers() {
                    self.await_answer(plan, now, out);
                }
            }
            NativeEvent::Asked => self.answer_begins(plan, now, out),
            NativeEvent::Committed { item } => self.turn_committed(plan, now, item, out),
            NativeEvent::Heard { item, text, last } => {
                self.words_written(plan, now, (&item, text, last), out);
            }
            NativeEvent::Call(call) => self.native_call(plan, now, call, out),
            NativeEvent::Usage(UsageRecord::Delta { scope, usage }) if scope == "response" => {
                native.usage = Some(usage);
            }
            NativeEvent::Usage(_) => {}
            NativeEvent::ResponseDone { end, .. } => self.answer_over(plan, now, end, out),
            NativeEvent::Silenced => native.silenced = native.silenced.saturating_sub(1),
            NativeEvent::Trouble(error) => {
                let cause = clip(error.message, plan.limits.text);
                let agent = plan.agent(self.agent).name.clone();
                native.trouble = Some((error.kind, cause.clone()));
                self.event(now, EventKind::AgentError { agent, cause }, out);
            }
            NativeEvent::Lost { error, last } => {
                let cause = clip(error.message, plan.limits.text);
                let kind = EventKind::ModelDisconnected { native: id, cause: cause.clone(), last };
                self.event(now, kind, out);
                if let Some(native) = &mut self.native {
                    native.down = true;
                }
                self.words_lost(plan, now, false, out);
                if last {
                    self.native_gone(plan, now, error.kind, cause, out);
                }
            }
        }
    }

    /// Nobody makes a connection any more: what has come is said, and the rest is not awaited.
    fn native_gone(
        &mut self,
        plan: &Plan,
        now: Tick,
        kind: ErrorKind,
        cause: String,
        out: &mut Output,
    ) {
        self.end_items(plan, now, out);
        let Some(native) = &mut self.native else { return };
        native.gone = true;
        native.silenced = 0;
        // Calls go on; what comes of them is told to the next conversation.
        native.calls.clear();
        let agent = plan.agent(self.agent).name.clone();
        let error = EventKind::AgentError { agent, cause: cause.clone() };
        self.drop_approvals(now, "the model is gone", out);
        self.event(now, error, out);
        self.fail_answer(plan, now, kind, cause, out);
        self.drop_answers(now, out);
    }

    /// Something of the answer that is under way has come.
    pub(super) fn answer_heard(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        if self.native.as_ref().is_some_and(|native| native.answer.is_none()) {
            // The provider has begun by itself.
            self.await_answer(plan, now, out);
            self.answer_begins(plan, now, out);
        }
        let Some(native) = &mut self.native else { return };
        if let Some(answer) = &mut native.answer {
            answer.heard = now;
            answer.first.get_or_insert(now);
        }
    }

    /// The model was asked: what was wanted is under way.
    fn answer_begins(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let Some(native) = self.native.as_mut().filter(|native| native.silenced == 0) else {
            return;
        };
        if native.answer.is_some() && native.wanted.is_none() {
            // It is continued, in another session.
            return;
        }
        if native.wanted.is_none() {
            self.await_answer(plan, now, out);
        }
        let Some(native) = &mut self.native else { return };
        let mut wanted = native.wanted.take();
        if let Some(wanted) = &mut wanted {
            wanted.heard = now;
        }
        // Of one before it nothing more comes.
        if let Some(Asking { ask, .. }) = std::mem::replace(&mut native.answer, wanted) {
            self.event(now, EventKind::ModelDropped { ask }, out);
        }
    }

    fn answer_over(&mut self, plan: &Plan, now: Tick, end: ResponseEnd, out: &mut Output) {
        let Some(native) = self.native.as_mut().filter(|native| native.silenced == 0) else {
            return;
        };
        let (usage, trouble) = (native.usage.take(), native.trouble.take());
        if end == ResponseEnd::Failed {
            let why = || (ErrorKind::Unavailable, "the model's answer has failed".to_owned());
            let (kind, cause) = trouble.unwrap_or_else(why);
            return self.fail_answer(plan, now, kind, cause, out);
        }
        let Some(Asking { ask, since, first, .. }) = self.take_answer(now) else { return };
        let finish = match end {
            ResponseEnd::Completed => FinishReason::Stop,
            ResponseEnd::Incomplete => FinishReason::Length,
            ResponseEnd::Cancelled | ResponseEnd::Failed => {
                return self.event(now, EventKind::ModelDropped { ask }, out);
            }
        };
        let kind = EventKind::ModelAnswered {
            ask,
            model: None,
            first_after_ticks: first.map(|first| first.since(since)),
            after_ticks: now.since(since),
            finish: Some(finish),
            usage,
            warnings: Vec::new(),
        };
        self.event(now, kind, out);
    }

    /// The item that the model calls so; a new one begins, unless the model was told to be silent.
    fn native_item_of(
        &mut self,
        plan: &Plan,
        now: Tick,
        source: &str,
        out: &mut Output,
    ) -> Option<ItemId> {
        let native = self.native.as_mut()?;
        if let Some(known) = native.items.iter().find(|item| item.source == source) {
            let due = known.item.filter(|_| !known.over && !known.whole)?;
            self.answer_heard(plan, now, out);
            return Some(due);
        }
        if source.len() > SOURCE_MAX {
            return None;
        }
        if native.items.len() >= ITEMS_MAX {
            let over = native.items.iter().position(|item| item.over)?;
            native.items.remove(over);
        }
        let mut item = None;
        if native.silenced == 0 {
            self.answer_heard(plan, now, out);
            // Who was asked before the hold has nothing to say that ends it.
            let since = self.native.as_ref()?.answer.as_ref().map_or(now, |answer| answer.since);
            if self.held_since().is_none_or(|held| since > held) {
                self.take_off_hold(now, out);
            }
            item = self.next_item(plan, now, out);
        }
        let source = source.to_owned();
        let native = self.native.as_mut()?;
        native.items.push_back(Item {
            source: source.clone(),
            item,
            ask: native.answer.as_ref().map(|answer| answer.ask),
            played: 0,
            whole: false,
            over: item.is_none(),
        });
        let Some(item) = item else {
            self.wish(NativeWish::Cut { item: source, samples: 0 }, out);
            return None;
        };
        let agent = plan.agent(self.agent).name.clone();
        self.event(now, EventKind::AgentBegan { item, agent, source }, out);
        self.playout.queue(item, self.agent, String::new(), now, 0);
        self.dialogue.agent(Some(item), "");
        let text = String::new();
        self.speaking.insert(item, Speaking { from: now, text, apology: false });
        Some(item)
    }

    fn native_audio(&mut self, plan: &Plan, now: Tick, source: &str, pcm: Clip, out: &mut Output) {
        if let Some(item) = self.native_item_of(plan, now, source, out) {
            self.playout.push(item, pcm, false);
        }
    }

    fn native_words(
        &mut self,
        plan: &Plan,
        now: Tick,
        source: &str,
        text: String,
        out: &mut Output,
    ) {
        let Some(item) = self.native_item_of(plan, now, source, out) else { return };
        let Some(speaking) = self.speaking.get_mut(&item) else { return };
        if text.is_empty() || speaking.text.len() + text.len() > TEXT_MAX {
            return;
        }
        speaking.text.push_str(&text);
        self.playout.words(item, &text, plan.character());
        self.dialogue.words(item, &text);
        // What comes of an item within a tick is told at once.
        if let Some(EventKind::AgentWords { item: of, text: all }) =
            out.events.last_mut().map(|event| &mut event.kind)
            && *of == item
        {
            return all.push_str(&text);
        }
        self.event(now, EventKind::AgentWords { item, text }, out);
    }

    fn native_done(&mut self, plan: &Plan, now: Tick, source: &str, out: &mut Output) {
        let Some(native) = &self.native else { return };
        let known = native.items.iter().find(|item| item.source == source);
        if let Some(item) = known.and_then(|item| item.item) {
            self.item_whole(plan, now, item, out);
        }
    }
}
