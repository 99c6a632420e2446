//! Who answers: one answer at a time, its items, and the calls in it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::client::ClientEvent;
use super::link::told;
use super::server::{Error, Item};
use super::{Realtime, WORDS_MAX};
use crate::pcm::Clip;
use crate::think::chat::{Call, ErrorKind, ModelError, Usage};
use crate::think::native::event::{NativeEvent, ResponseEnd, UsageRecord};

/// Calls, answers and items that are remembered at most, of each: the latest.
const REMEMBERED_MAX: usize = 1_024;

/// Calls that run at the same time at most; of an answer that makes more, the rest is not made.
const OPEN_MAX: usize = 128;

/// Items of an answer at most; what comes of further ones is not heard.
const ITEMS_MAX: usize = 128;

/// How long it takes until an answer is asked for again that was refused beside an unknown one, in
/// milliseconds.
const AGAIN_MS: u64 = 500;

/// How long a provider that answers by itself has to begin after the user's turn, in milliseconds.
const OWN_MS: u64 = 2_000;

/// The answers of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Answers {
    pub(super) active: Option<Active>,
    /// An answer was asked for.
    pub(super) wanted: bool,
    /// What that one is to be.
    pub(super) instructions: Option<String>,
    /// An answer that was lost on its way is to be continued.
    pub(super) continues: bool,
    /// Results of which no answer knows yet.
    owed: Vec<Owed>,
    /// Calls that run.
    open: Vec<Open>,
    /// Calls that were made.
    made: VecDeque<String>,
    /// Answers that are over.
    over: VecDeque<String>,
    /// Items that the session has, of answers that are over.
    items: VecDeque<String>,
    /// Nothing is asked for before then, in milliseconds of the call.
    not_before: u64,
}

/// The answer that there is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Active {
    /// Its id, once it has begun.
    pub(super) id: Option<String>,
    /// Nothing of it is wanted any more.
    pub(super) cut: bool,
    /// Not even its end.
    pub(super) silenced: bool,
    /// When something of it came last.
    heard_at: u64,
    items: Vec<String>,
    /// It was asked for.
    asked: bool,
    /// Not only for results.
    explicitly: bool,
    instructions: Option<String>,
    owed: Vec<Owed>,
    /// Anything of it was heard or done.
    bore: bool,
}

/// A result of which no answer knows yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Owed {
    call: String,
    /// The answer that made the call.
    response: String,
    /// The session has it.
    known: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    call: String,
    response: String,
}

fn remember(list: &mut VecDeque<String>, id: String) {
    if list.len() == REMEMBERED_MAX {
        list.pop_front();
    }
    list.push_back(id);
}

impl Answers {
    /// A result has come of which no answer need tell. False if nobody waits for it.
    pub(super) fn settled(&mut self, call: &str) -> bool {
        let before = self.open.len();
        self.open.retain(|open| open.call != call);
        self.open.len() < before
    }

    /// A result has come. False if nobody waits for it.
    pub(super) fn returned(&mut self, call: &str) -> bool {
        let Some(at) = self.open.iter().position(|open| open.call == call) else { return false };
        let Open { call, response } = self.open.remove(at);
        self.owed.push(Owed { call, response, known: false });
        true
    }

    /// The session has a result.
    pub(super) fn acknowledged(&mut self, call: &str) {
        // One that has not begun will know of it, too.
        let asked = self.active.iter_mut().filter(|active| active.id.is_none());
        let asked = asked.flat_map(|active| &mut active.owed);
        for owed in self.owed.iter_mut().chain(asked).filter(|owed| owed.call == call) {
            owed.known = true;
        }
    }

    /// An answer is to be asked for: by somebody, or for results, once all calls of an answer have one.
    pub(super) fn wants(&self) -> bool {
        let whole = |owed: &Owed| self.open.iter().all(|open| open.response != owed.response);
        self.wanted || self.continues || self.owed.iter().any(whole)
    }

    pub(super) fn is_of_active(&self, item: &str) -> bool {
        self.active.as_ref().is_some_and(|active| active.items.iter().any(|of| of == item))
    }

    /// Whether the session has an item of the model's.
    pub(super) fn knows_item(&self, item: &str) -> bool {
        self.is_of_active(item) || self.items.iter().any(|known| known == item)
    }

    /// The provider is about to answer by itself: nothing is asked for beside that.
    pub(super) fn provider_answers(&mut self, now: u64) {
        self.not_before = now.saturating_add(OWN_MS);
    }

    /// What we asked for was refused. True if its end is of interest.
    pub(super) fn refused(&mut self) -> bool {
        let refused = self.active.take_if(|active| active.asked);
        refused.is_none_or(|active| !active.silenced)
    }

    /// What we asked for was refused since there is another: it is asked for again afterwards.
    pub(super) fn refused_beside_another(&mut self, now: u64) {
        let Some(active) = self.active.as_mut().filter(|active| active.asked) else { return };
        active.asked = false;
        let owed = std::mem::take(&mut active.owed);
        let instructions = active.instructions.take();
        self.wanted |= active.explicitly;
        // It knows of the results that the session had before it began.
        self.owed.extend(owed.into_iter().filter(|owed| !owed.known));
        self.instructions = self.instructions.take().or(instructions);
        if active.id.is_none() {
            self.active = None;
            self.not_before = now.saturating_add(AGAIN_MS);
        }
    }

    /// The session is lost. Gives the items that will not come to their end.
    pub(super) fn abandon(&mut self) -> Vec<String> {
        self.items.clear();
        self.not_before = 0;
        for owed in &mut self.owed {
            owed.known = false;
        }
        let Some(active) = self.active.take() else { return Vec::new() };
        if let Some(id) = active.id {
            remember(&mut self.over, id);
        }
        if !active.cut {
            self.continues = true;
            if !active.bore {
                self.owed.extend(active.owed);
                self.instructions = self.instructions.take().or(active.instructions);
            }
        }
        active.items
    }
}

impl Realtime {
    /// Asks for an answer if one is wanted and may be asked for. What the session does not know is told
    /// before.
    pub(super) fn pump(&mut self) {
        if !self.link.is_up() {
            return;
        }
        self.tell();
        let answers = &mut self.answers;
        let free = answers.active.is_none() && !self.speaking && self.now >= answers.not_before;
        if !free || !answers.wants() || !self.memory.is_known() {
            return;
        }
        let instructions = answers.instructions.take();
        answers.active = Some(Active {
            heard_at: self.now,
            asked: true,
            explicitly: answers.wanted || answers.continues,
            instructions: instructions.clone(),
            owed: std::mem::take(&mut answers.owed),
            ..Active::default()
        });
        (answers.wanted, answers.continues) = (false, false);
        self.events.push_back(NativeEvent::Asked);
        self.send(ClientEvent::Respond { instructions });
    }

    pub(super) fn response_created(&mut self, id: &str) {
        if self.answers.over.iter().any(|over| over == id) {
            self.counts.late += 1;
            return;
        }
        self.answers.not_before = 0;
        match &mut self.answers.active {
            Some(active) if active.id.as_deref() == Some(id) => {}
            Some(active) if active.id.is_none() => {
                (active.id, active.heard_at) = (Some(id.to_owned()), self.now);
                if active.cut {
                    // It was cut before it had a name.
                    self.send(ClientEvent::Cancel { response: Some(id.to_owned()) });
                }
            }
            Some(active) if !active.cut => {
                self.counts.intruders += 1;
                remember(&mut self.answers.over, id.to_owned());
                self.send(ClientEvent::Cancel { response: Some(id.to_owned()) });
            }
            _ => {
                self.close_active();
                // It knows of the results that the session had before it began.
                self.answers.owed.retain(|owed| !owed.known);
                self.answers.active = Some(Active {
                    id: Some(id.to_owned()),
                    heard_at: self.now,
                    ..Active::default()
                });
            }
        }
    }

    /// Whether something of an answer is wanted. An answer that begins without a word has begun.
    fn is_wanted(&mut self, response: &str) -> bool {
        if !response.is_empty() && self.answers.active.as_ref().is_none_or(|a| a.id.is_none()) {
            self.response_created(response);
        }
        let active = self.answers.active.as_mut();
        let active = active.filter(|a| response.is_empty() || a.id.as_deref() == Some(response));
        let Some(active) = active else {
            self.counts.late += 1;
            return false;
        };
        active.heard_at = self.now;
        if active.cut {
            self.counts.late += 1;
        }
        !active.cut
    }

    /// Whether something of an item is wanted; its place in the conversation is made.
    fn is_wanted_item(&mut self, response: &str, item: &str) -> bool {
        if !self.is_wanted(response) {
            return false;
        }
        let Some(active) = &mut self.answers.active else { return false };
        if !active.items.iter().any(|of| of == item) {
            // An item belongs to one answer, and sounds once.
            if active.items.len() == ITEMS_MAX || self.memory.spoken(item).is_some() {
                self.counts.late += 1;
                return false;
            }
            active.items.push(item.to_owned());
            self.memory.agent_begins(item);
        }
        let wanted = self.memory.spoken(item).is_some_and(|spoken| !spoken.whole && !spoken.over);
        if !wanted {
            self.counts.late += 1;
        }
        wanted
    }

    pub(super) fn output_added(&mut self, response: &str, item: &Item) {
        if item.kind == "message" && !item.id.is_empty() {
            self.is_wanted_item(response, &item.id);
        } else {
            self.is_wanted(response);
        }
    }

    pub(super) fn output_done(&mut self, response: &str, item: Item) {
        if item.is_call() {
            self.call(response, item);
        } else if item.kind == "message" && self.is_wanted_item(response, &item.id) {
            self.memory.agent(&item.id, |spoken| spoken.whole = true);
            self.events.push_back(NativeEvent::ItemDone { item: item.id });
        }
    }

    pub(super) fn audio(&mut self, response: &str, item: String, bytes: &[u8]) {
        if !self.is_wanted_item(response, &item) {
            return;
        }
        let mut pcm = Vec::new();
        let format = self.settings.format;
        self.memory.agent(&item, |spoken| {
            format.decode(bytes, &mut spoken.half, &mut pcm);
            spoken.received += pcm.len() as u64;
        });
        if !pcm.is_empty() {
            if let Some(active) = &mut self.answers.active {
                active.bore = true;
            }
            self.events.push_back(NativeEvent::Audio { item, pcm: Clip::from(pcm) });
        }
    }

    pub(super) fn words(&mut self, response: &str, item: String, text: String) {
        if !self.is_wanted_item(response, &item) {
            return;
        }
        let known = self.memory.spoken(&item).map_or(0, |spoken| spoken.text.len());
        if known + text.len() <= WORDS_MAX {
            self.memory.agent(&item, |spoken| spoken.text.push_str(&text));
            self.events.push_back(NativeEvent::Words { item, text });
        }
    }

    /// A call is whole: it is made, once.
    pub(super) fn call(&mut self, response: &str, item: Item) {
        if !item.is_call() || !self.is_wanted(response) {
            return;
        }
        let answers = &mut self.answers;
        if answers.made.contains(&item.call) {
            self.counts.doubled_calls += 1;
            return;
        }
        let Some(active) = &mut answers.active else { return };
        if answers.open.len() == OPEN_MAX {
            let message =
                format!("the model makes more than {OPEN_MAX} calls: the rest is not made");
            self.events
                .push_back(NativeEvent::Trouble(ModelError::new(ErrorKind::TooLong, message)));
            return;
        }
        active.bore = true;
        let response = active.id.clone().unwrap_or_default();
        remember(&mut answers.made, item.call.clone());
        answers.open.push(Open { call: item.call.clone(), response });
        let Item { call, name, arguments, .. } = item;
        let call = made(call, name, &arguments);
        self.memory.called(&call.id, &call.name, &call.text());
        self.events.push_back(NativeEvent::Call(call));
    }

    /// The active answer is over; its items come to their end.
    fn close_active(&mut self) {
        let Some(active) = self.answers.active.take() else { return };
        if let Some(id) = active.id {
            remember(&mut self.answers.over, id);
        }
        for item in active.items {
            let mut ended = false;
            self.memory.agent(&item, |spoken| ended = !std::mem::replace(&mut spoken.whole, true));
            remember(&mut self.answers.items, item.clone());
            if ended {
                self.events.push_back(NativeEvent::ItemDone { item });
            }
        }
    }

    /// The active answer was cut, and the provider says that there is none.
    pub(super) fn drop_cut(&mut self) {
        if self.answers.active.as_ref().is_some_and(|active| active.cut) {
            self.close_active();
        }
    }

    pub(super) fn response_done(
        &mut self,
        id: &str,
        status: &str,
        error: Option<Error>,
        usage: Option<Usage>,
        calls: Vec<Item>,
    ) {
        let silenced = self.answers.active.as_ref().is_some_and(|active| active.silenced);
        if let Some(usage) = usage.filter(|_| !silenced) {
            let record = UsageRecord::Delta { scope: "response".to_owned(), usage };
            self.events.push_back(NativeEvent::Usage(record));
        }
        let nameless = |id: &str| {
            self.answers.active.as_ref().is_some_and(|a| a.id.is_none()) && !id.is_empty()
        };
        if nameless(id) {
            self.response_created(id);
        }
        let is_active = |a: &Active| id.is_empty() || a.id.as_deref() == Some(id);
        if !self.answers.active.as_ref().is_some_and(is_active) {
            self.counts.late += 1;
            return;
        }
        let end = match status {
            "cancelled" => ResponseEnd::Cancelled,
            "incomplete" => ResponseEnd::Incomplete,
            "failed" => ResponseEnd::Failed,
            _ => ResponseEnd::Completed,
        };
        if end == ResponseEnd::Completed {
            // Providers that tell of calls only here.
            for call in calls {
                if !self.answers.made.contains(&call.call) {
                    self.call(id, call);
                }
            }
        }
        let silenced = self.answers.active.as_ref().is_some_and(|active| active.silenced);
        self.close_active();
        if silenced {
            return;
        }
        if end == ResponseEnd::Failed {
            let error = error.unwrap_or_default();
            self.events.push_back(NativeEvent::Trouble(told(&error)));
        }
        self.events.push_back(NativeEvent::ResponseDone { response: id.to_owned(), end });
    }

    /// An answer of which nothing comes any more is given up.
    pub(super) fn stall(&mut self) {
        let patience = self.settings.times.patience_ms;
        let Some(active) = &self.answers.active else { return };
        if !self.link.is_up() || self.now < active.heard_at.saturating_add(patience) {
            return;
        }
        let (id, silenced) = (active.id.clone().unwrap_or_default(), active.silenced);
        if !id.is_empty() {
            self.send(ClientEvent::Cancel { response: Some(id.clone()) });
        }
        self.close_active();
        if silenced {
            return;
        }
        let message = format!("nothing of an answer came for {patience} ms: it is given up");
        self.events.push_back(NativeEvent::Trouble(ModelError::new(ErrorKind::Stalled, message)));
        self.failed(id);
    }

    /// An answer has failed, of which trouble was told.
    pub(super) fn failed(&mut self, response: String) {
        self.events.push_back(NativeEvent::ResponseDone { response, end: ResponseEnd::Failed });
    }
}

/// A call as it is made. Arguments that are no JSON object are an empty one.
fn made(id: String, name: String, arguments: &str) -> Call {
    let call = Call::written(id, name, arguments);
    if call.arguments.0.is_object() {
        return call;
    }
    let malformed = call.malformed.or_else(|| Some("the arguments are no object".to_owned()));
    Call { malformed, ..Call::new(call.id, call.name, serde_json::json!({})) }
}
