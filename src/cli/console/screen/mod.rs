//! What the screen of a call shows: a model without a terminal, which takes events, beats and keys.
//!
//! [`Screen::draw`] puts it on whatever it is given, at any size.
//!
//! **Invariant:** what others say and write is kept plain: no text of a call is a command to a terminal; what is kept of a
//! call is bounded.

mod draw;
mod keys;
mod level;
#[cfg(test)]
mod tests;
mod wrap;

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};

use super::super::live::Beat;
use super::super::remark::{Names, Remark, name, plain, remark};
use crate::clock::{Tick, TickLen};
use crate::host::notice::Notice;
use crate::id::{CallId, ItemId, LaneId};
use crate::session::event::{Event, EventKind};
use crate::session::output::AgentState;
use crate::session::plan::Plan;
use crate::tool::Outcome;

pub(super) use keys::Act;
use keys::{Mic, Typing};
use level::{Lateness, Meter};

/// Entries that are kept to be looked at: an hour of talk.
const ENTRIES_MAX: usize = 1_000;

/// Items that are announced and not over; a session has 32 at most.
const ITEMS_MAX: usize = 64;

/// What a screen is of.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// There is a microphone and a loudspeaker.
    pub(super) audio: bool,
    /// Colours may be used.
    pub(super) color: bool,
    /// The terminal tells when a key is let go.
    pub(super) releases: bool,
}

/// The screen.
#[derive(Debug)]
pub(super) struct Screen {
    look: Look,
    title: String,
    len: TickLen,
    /// What is written is spoken, by a synthesiser.
    voiced: bool,
    /// A model understands without intents.
    thinks: bool,
    /// Nobody may interrupt.
    firm: bool,
    /// The longest text that can be typed, in characters.
    text_max: usize,
    names: Names,
    now: Tick,
    agent: String,
    state: AgentState,
    user_speech: bool,
    agent_speech: bool,
    you: Meter,
    them: Meter,
    lateness: Lateness,
    gauges: String,
    entries: VecDeque<Entry>,
    /// The number of the first entry that is kept.
    first: u64,
    items: BTreeMap<ItemId, Item>,
    calls: BTreeMap<CallId, u64>,
    /// What is being understood of what somebody says.
    hearing: Option<(LaneId, String)>,
    mic: Mic,
    typing: Option<Typing>,
    help: bool,
    /// What is to be known at the moment, instead of the keys.
    hint: Option<String>,
    /// The first row that is shown; none: the last ones are.
    top: Option<usize>,
    /// Rows there are, and rows that are shown, as it was drawn last.
    drawn: Cell<(usize, usize)>,
    changed: bool,
}

/// Something that the agent says or is about to say.
#[derive(Debug, Clone)]
struct Item {
    who: String,
    text: String,
    /// The entry that it has, once it is heard.
    entry: Option<u64>,
}

/// What was said or happened.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    at: Tick,
    what: What,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    /// A user's words, and what the agent understood.
    Heard {
        who: String,
        text: String,
        meant: Option<String>,
    },
    /// The agent's words, and how many bytes of them were said.
    Spoken {
        who: String,
        text: String,
        said: usize,
        fate: Fate,
    },
    Tool {
        name: String,
        arguments: String,
        came: Came,
    },
    Told(Remark),
}

/// What becomes of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Saying,
    Said,
    Cut,
}

/// What comes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Came {
    Nothing { deferred: bool },
    Value(String, u64),
    Failure(String, u64),
}

impl Screen {
    pub(super) fn new(plan: &Plan, look: Look) -> Self {
        Self {
            title: plain(&plan.config.name),
            len: plan.len,
            voiced: plan.synthesiser.is_some(),
            thinks: plan.has_models,
            firm: plan.rules.barge_in.is_none(),
            text_max: plan.limits.text,
            names: Names::new(),
            now: Tick(0),
            agent: String::new(),
            state: AgentState::Listening,
            user_speech: false,
            agent_speech: false,
            you: Meter::new(),
            them: Meter::new(),
            lateness: Lateness::new(plan.len.ms()),
            gauges: String::new(),
            entries: VecDeque::new(),
            first: 0,
            items: BTreeMap::new(),
            calls: BTreeMap::new(),
            hearing: None,
            mic: Mic::Open,
            // Without a microphone, typing is all there is.
            typing: (!look.audio).then(Typing::default),
            help: false,
            hint: None,
            top: None,
            drawn: Cell::new((0, 0)),
            changed: true,
            look,
        }
    }

    /// Whether it looks different from how it did when this was asked last.
    pub(super) const fn take_changed(&mut self) -> bool {
        std::mem::replace(&mut self.changed, false)
    }

    /// It has another size.
    pub(super) const fn resized(&mut self) {
        self.changed = true;
    }

    /// Takes what is shown of a tick.
    pub(super) fn beat(&mut self, beat: &Beat) {
        let second = |tick| self.len.start_ms(tick) / 1_000;
        let mut changed = second(self.now) != second(beat.now);
        self.now = beat.now;
        let (state, floor) = (beat.agent, (beat.user_speech, beat.agent_speech));
        changed |= (state, floor) != (self.state, (self.user_speech, self.agent_speech));
        (self.state, (self.user_speech, self.agent_speech)) = (state, floor);
        let ms = self.len.ms();
        let louder = self.you.feed(beat.user_peak, ms) | self.them.feed(beat.agent_peak, ms);
        changed |= louder && self.look.audio;
        changed |= self.lateness.feed(beat.timing.lateness_ns, beat.timing.skipped);
        if let Some(saying) = beat.saying {
            let entry = self.items.get(&saying.item).and_then(|item| item.entry);
            if let Some(What::Spoken { text, said, fate: Fate::Saying, .. }) =
                entry.and_then(|entry| self.entry(entry))
            {
                let spoken = text.floor_char_boundary(saying.spoken as usize);
                changed |= *said != spoken;
                *said = spoken;
            }
        }
        self.changed |= changed;
    }

    /// Takes what devices measure.
    pub(super) fn gauges(&mut self, told: &str) {
        let told = plain(told);
        self.changed |= told != self.gauges;
        self.gauges = told;
    }

    /// Takes what somebody has to tell who is no part of the session.
    pub(super) fn notice(&mut self, notice: &Notice) {
        self.push(What::Told(match notice {
            Notice::Info(text) => Remark::Aside(plain(text)),
            Notice::Warning(text) => Remark::Warning(plain(text)),
        }));
    }

    /// Takes what happened.
    pub(super) fn event(&mut self, event: &Event) {
        self.changed = true;
        self.now = self.now.max(event.tick);
        match &event.kind {
            EventKind::UserTranscript { lane, text, .. } => {
                self.hearing = (!text.trim().is_empty()).then(|| (*lane, plain(text)));
            }
            EventKind::UserMessage { lane, text, intent, .. } => {
                self.hearing = None;
                let unknown = || (!self.thinks).then(|| "nothing known".to_owned());
                let meant = intent.clone().or_else(unknown);
                let (who, text) = (name(&self.names, *lane), plain(text));
                self.push(What::Heard { who, text, meant });
            }
            EventKind::UserBackchannel { lane, text } => {
                self.hearing = None;
                let who = name(&self.names, *lane);
                let told = format!("{who}: ({}) the agent goes on", plain(text));
                self.push(What::Told(Remark::Aside(told)));
            }
            EventKind::UserDigit { lane, digit } => {
                let told = format!("{} pressed {digit}", name(&self.names, *lane));
                self.push(What::Told(Remark::Aside(told)));
            }
            EventKind::AgentStarted { agent } => self.agent = plain(agent),
            EventKind::AgentBegan { item, agent, .. } => {
                self.announce(*item, agent, "");
            }
            EventKind::AgentWords { item, text } => self.words(*item, &plain(text), false),
            EventKind::AgentMessage { item, agent, text } => {
                if self.items.contains_key(item) {
                    self.words(*item, &plain(text), true);
                } else if self.voiced {
                    self.announce(*item, agent, text);
                } else {
                    // Without a voice, what is written is said.
                    let (who, text) = (plain(agent), plain(text));
                    let said = text.len();
                    self.push(What::Spoken { who, text, said, fate: Fate::Said });
                }
            }
            EventKind::AgentSpeechStarted { item } => self.begin(*item),
            EventKind::AgentSpeechFinished { item } => {
                let entry = self.items.remove(item).and_then(|item| item.entry);
                if let Some(What::Spoken { text, said, fate, .. }) =
                    entry.and_then(|entry| self.entry(entry))
                {
                    (*said, *fate) = (text.len(), Fate::Said);
                }
            }
            EventKind::AgentInterrupted { item, spoken, .. } => self.cut(*item, &plain(spoken)),
            EventKind::AgentResumed => {
                self.resume();
                self.remark(&event.kind);
            }
            EventKind::ToolCalled { call, name, arguments, .. } => {
                let (name, arguments) = (plain(name), plain(&arguments.0.to_string()));
                let came = Came::Nothing { deferred: false };
                let entry = self.push(What::Tool { name, arguments, came });
                self.calls.insert(*call, entry);
            }
            EventKind::ToolDeferred { call, .. } => {
                self.came(*call, Came::Nothing { deferred: true });
            }
            EventKind::ToolResult { call, outcome, after_ticks, .. } => {
                let ms = self.len.span_ms(*after_ticks);
                self.came(
                    *call,
                    match outcome {
                        Outcome::Done(value) => Came::Value(plain(&value.0.to_string()), ms),
                        Outcome::Failed(failure) => Came::Failure(plain(&failure.to_string()), ms),
                    },
                );
                self.calls.remove(call);
            }
            EventKind::UserJoined { lane, name } => {
                self.names.insert(*lane, plain(name));
                self.remark(&event.kind);
            }
            other => self.remark(other),
        }
    }

    fn remark(&mut self, kind: &EventKind) {
        if let Some(remark) = remark(kind, &self.names, self.len) {
            self.push(What::Told(remark));
        }
    }

    /// The number of a new entry.
    fn push(&mut self, what: What) -> u64 {
        self.changed = true;
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
            self.first += 1;
        }
        self.entries.push_back(Entry { at: self.now, what });
        self.first + self.entries.len() as u64 - 1
    }

    fn entry(&mut self, number: u64) -> Option<&mut What> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.entries.get_mut(at).map(|entry| &mut entry.what)
    }

    fn announce(&mut self, item: ItemId, agent: &str, text: &str) {
        if self.items.len() >= ITEMS_MAX {
            self.items.pop_first();
        }
        self.items.insert(item, Item { who: plain(agent), text: plain(text), entry: None });
    }

    /// More words of an item whose words come along with its audio, or all of them.
    fn words(&mut self, item: ItemId, words: &str, all: bool) {
        let Some(known) = self.items.get_mut(&item) else { return };
        if all {
            words.clone_into(&mut known.text);
        } else {
            known.text.push_str(words);
        }
        let (entry, whole) = (known.entry, known.text.clone());
        if let Some(What::Spoken { text, said, .. }) = entry.and_then(|entry| self.entry(entry)) {
            *text = whole;
            *said = text.floor_char_boundary((*said).min(text.len()));
        }
    }

    fn begin(&mut self, item: ItemId) {
        // A clip has no words.
        let Some(Item { who, text, .. }) = self.items.get(&item).cloned() else { return };
        let entry = self.push(What::Spoken { who, text, said: 0, fate: Fate::Saying });
        if let Some(item) = self.items.get_mut(&item) {
            item.entry = Some(entry);
        }
    }

    /// It is cut, and may go on.
    fn cut(&mut self, item: ItemId, spoken: &str) {
        let entry = self.items.get(&item).and_then(|item| item.entry);
        if let Some(What::Spoken { text, said, fate, .. }) =
            entry.and_then(|entry| self.entry(entry))
        {
            (*said, *fate) = (whole_words(text, spoken.len()), Fate::Cut);
        }
    }

    fn resume(&mut self) {
        let entries: Vec<u64> = self.items.values().filter_map(|item| item.entry).collect();
        for entry in entries {
            if let Some(What::Spoken { fate, .. }) = self.entry(entry)
                && *fate == Fate::Cut
            {
                *fate = Fate::Saying;
            }
        }
    }

    fn came(&mut self, call: CallId, of_it: Came) {
        let entry = self.calls.get(&call).copied();
        if let Some(What::Tool { came, .. }) = entry.and_then(|entry| self.entry(entry)) {
            *came = of_it;
        }
    }

    /// Who has the floor.
    const fn floor(&self) -> &'static str {
        match (self.user_speech, self.agent_speech) {
            (true, true) => "both",
            (true, false) => "user",
            (false, true) => "agent",
            (false, false) => "nobody",
        }
    }
}

/// Where the last whole word ends of so many bytes.
fn whole_words(text: &str, bytes: usize) -> usize {
    let end = text.floor_char_boundary(bytes.min(text.len()));
    let (before, after) = text.split_at(end);
    if after.is_empty() || after.starts_with(' ') || before.ends_with(' ') {
        return end;
    }
    before.rfind(' ').map_or(0, |at| at + 1)
}
