//! A model that hears and speaks by itself, and does anything: answers in pieces, halves of answers, calls that fit and
//! calls that do not, words that come late or never, connections that come and go.

use std::collections::BTreeMap;

use crate::clock::Tick;
use crate::id::NativeId;
use crate::pcm::Clip;
use crate::seed::Seed;
use crate::session::input::{Inbound, Input};
use crate::session::output::{Effect, Output};
use crate::slot::Edge;
use crate::slot::due::Due;
use crate::think::chat::{Call, ErrorKind, ModelError, Usage};
use crate::think::native::event::{NativeEvent, ResponseEnd, UsageRecord};
use crate::think::native::wish::NativeWish;

const WORDS: [&str; 8] =
    ["Well, ", "you may. ", "It is ", "é\u{fe0f} 日本 ", "three euros! ", "\n", "", "So. "];

/// Conversations drawn from a seed.
#[derive(Debug)]
pub(super) struct Natives {
    seed: Seed,
    due: Due,
    /// Samples of a tick.
    samples: u64,
    talks: BTreeMap<NativeId, Talk>,
    said: u32,
}

/// A conversation, and the tools that it was told of.
#[derive(Debug)]
struct Talk {
    tools: Vec<String>,
    items: u32,
    open: u32,
    turns: u32,
}

impl Natives {
    pub(super) const fn new(seed: Seed, samples: usize) -> Self {
        let samples = samples as u64;
        Self { seed, due: Due::new(), samples, talks: BTreeMap::new(), said: 0 }
    }

    fn tell(&mut self, at: Tick, native: NativeId, event: NativeEvent) {
        self.due.push(at, Inbound::Native { native, event });
    }

    fn lost(&mut self, at: Tick, native: NativeId, last: bool) {
        let error = ModelError::new(ErrorKind::Unavailable, "the line is dead");
        self.tell(at, native, NativeEvent::Lost { error, last });
    }

    fn wished(&mut self, now: Tick, native: NativeId, wish: &NativeWish) {
        let soon = now.after(1 + self.seed.below(8));
        if let NativeWish::Open { settings, .. } = wish {
            let tools = settings.tools.iter().map(|tool| tool.name.clone()).collect();
            self.talks.insert(native, Talk { tools, items: 0, open: 0, turns: 0 });
            if self.seed.below(12) == 0 {
                return self.lost(soon, native, true);
            }
            return self.tell(soon, native, NativeEvent::Ready { again: false });
        }
        let Some(talk) = self.talks.get_mut(&native) else { return };
        match wish {
            NativeWish::Hear if self.seed.below(150) == 0 => self.noticed(now, native),
            NativeWish::Commit { answer, .. } => {
                talk.turns += 1;
                let item = format!("user_{}", talk.turns);
                let known = self.seed.below(10) > 0;
                let committed = NativeEvent::Committed { item: known.then(|| item.clone()) };
                self.tell(now.after(1), native, committed);
                // Most of what is said is written down, some of it in halves.
                if self.seed.below(5) > 0 {
                    let at = now.after(self.seed.below(100));
                    let last = self.seed.below(6) > 0;
                    let text = ["hello", "yes", "no", "", "what is it"];
                    let text = text[self.seed.below(5) as usize].to_owned();
                    self.tell(at, native, NativeEvent::Heard { item, text, last });
                }
                if *answer {
                    self.answer(now, native);
                }
            }
            NativeWish::Write { answer: true, .. } | NativeWish::Ask { .. } => {
                self.answer(now, native);
            }
            NativeWish::Result { answer, .. } => {
                talk.open = talk.open.saturating_sub(1);
                if talk.open == 0 && *answer {
                    self.answer(now, native);
                }
            }
            NativeWish::Cancel => {
                // Some of it is on its way already.
                if self.seed.below(3) > 0 {
                    self.due.retain(|value| !is_answer(value, native));
                    self.tell(now.after(1), native, NativeEvent::Silenced);
                } else {
                    self.due.cut(soon, |value| is_answer(value, native));
                    self.tell(soon, native, NativeEvent::Silenced);
                }
            }
            NativeWish::Close => {
                self.talks.remove(&native);
                // What it still says is for nobody.
                if self.seed.below(2) == 0 {
                    self.due.retain(|value| !is_of(value, native));
                }
            }
            NativeWish::Open { .. }
            | NativeWish::Hear
            | NativeWish::Clear
            | NativeWish::Write { .. }
            | NativeWish::Played { .. }
            | NativeWish::Cut { .. } => {}
        }
    }

    /// The provider hears somebody, and may be wrong.
    fn noticed(&mut self, now: Tick, native: NativeId) {
        let event = match self.seed.below(9) {
            0 => NativeEvent::SpeechStopped { at_ms: None },
            1 => NativeEvent::Interrupted,
            2 => {
                let last = self.seed.below(3) == 0;
                return self.lost(now.after(1), native, last);
            }
            3 => NativeEvent::Ready { again: true },
            4 => NativeEvent::Trouble(ModelError::new(ErrorKind::Provider, "so what")),
            5 => return self.answer(now, native),
            6 => {
                let item = format!("heard_{}", self.seed.below(100));
                let heard =
                    NativeEvent::Heard { item: item.clone(), text: "so".to_owned(), last: true };
                self.tell(now.after(20), native, heard);
                NativeEvent::Committed { item: Some(item) }
            }
            _ => NativeEvent::SpeechStarted { at_ms: Some(self.seed.below(100_000)) },
        };
        self.tell(now.after(1), native, event);
    }

    fn call(&mut self, native: NativeId) -> NativeEvent {
        let talk = self.talks.get(&native);
        let tools = talk.map_or(&[][..], |talk| &talk.tools);
        let at = self.seed.below(tools.len() as u64 + 1) as usize;
        let name = tools.get(at).map_or("nobody", String::as_str).to_owned();
        let arguments = match &*name {
            "hand_over" => serde_json::json!({ "to": "other" }),
            "call_agent" => serde_json::json!({ "agent": "helper" }),
            "hold" => serde_json::json!({ "on": self.seed.below(2) == 0 }),
            _ => serde_json::json!({}),
        };
        self.said += 1;
        let mut call = Call::new(format!("call_{}", self.said), name, arguments);
        if self.seed.below(10) == 0 {
            call.malformed = Some("no JSON".to_owned());
        }
        NativeEvent::Call(call)
    }

    /// An answer: items with words and audio in any order, calls, and an end, mostly.
    fn answer(&mut self, now: Tick, native: NativeId) {
        let mut at = now.after(1 + self.seed.below(60));
        let kind = self.seed.below(14);
        // Nothing comes.
        if kind == 0 {
            return;
        }
        if self.seed.below(8) > 0 {
            self.tell(at, native, NativeEvent::Asked);
        }
        for _ in 0..=self.seed.below(2) {
            let Some(talk) = self.talks.get_mut(&native) else { return };
            talk.items += 1;
            let item = format!("{native}_{}", talk.items);
            for _ in 0..self.seed.below(20) {
                let event = if self.seed.below(3) == 0 {
                    let text = WORDS[self.seed.below(WORDS.len() as u64) as usize].to_owned();
                    NativeEvent::Words { item: item.clone(), text }
                } else {
                    let len = self.seed.below(self.samples * 4) as usize;
                    let sample = self.seed.below(2_000) as i16 - 1_000;
                    NativeEvent::Audio { item: item.clone(), pcm: Clip::from(vec![sample; len]) }
                };
                self.tell(at, native, event);
                at = at.after(self.seed.below(3));
            }
            if kind != 1 {
                self.tell(at, native, NativeEvent::ItemDone { item });
            }
        }
        if kind > 8 {
            for _ in 0..=self.seed.below(3) {
                let call = self.call(native);
                self.tell(at, native, call);
                if let Some(talk) = self.talks.get_mut(&native) {
                    talk.open += 1;
                }
            }
        }
        let usage = Usage { total: Some(9), ..Usage::default() };
        let usage = UsageRecord::Delta { scope: "response".to_owned(), usage };
        self.tell(at, native, NativeEvent::Usage(usage));
        let end = match kind {
            // It never ends.
            2 => return,
            3 => ResponseEnd::Failed,
            4 => ResponseEnd::Cancelled,
            5 => ResponseEnd::Incomplete,
            _ => ResponseEnd::Completed,
        };
        self.tell(at, native, NativeEvent::ResponseDone { response: String::new(), end });
    }
}

fn is_of(value: &Inbound, of: NativeId) -> bool {
    matches!(value, Inbound::Native { native, .. } if *native == of)
}

/// Whether a value is of a conversation's answers, and no call: those were made.
fn is_answer(value: &Inbound, of: NativeId) -> bool {
    let Inbound::Native { native, event } = value else { return false };
    let is_answer = matches!(
        event,
        NativeEvent::Words { .. }
            | NativeEvent::Audio { .. }
            | NativeEvent::ItemDone { .. }
            | NativeEvent::ResponseDone { .. }
    );
    *native == of && is_answer
}

impl Edge for Natives {
    fn give(&mut self, now: Tick, input: &mut Input) {
        self.due.give(now, input);
    }

    fn take(&mut self, now: Tick, out: &Output) {
        for effect in &out.effects {
            if let Effect::Native { native, wish } = effect {
                self.wished(now, *native, wish);
            }
        }
    }
}
