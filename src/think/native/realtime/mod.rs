//! OpenAI's Realtime protocol, without a socket: texts and facts in, texts and events out.
//!
//! ```text
//!            start ▼        connected ▼          lost, too old ▼
//!    Idle ──────▶ Connecting ──────▶ Up ──────────────────▶ Waiting ──▶ Connecting …
//!                     └── not there in time, too often ──▶ Over
//! ```
//!
//! Whoever has the socket carries out [`Action`]s, in their order, and says what became of them; what
//! the provider sends becomes [`NativeEvent`]s. [`heed`](Realtime::heed) brings back what an
//! [adapter](super::adapter) has really played. The conversation is remembered, so that a session of the
//! provider's that is lost, or too old, is followed by one that knows it.
//!
//! **Invariant:** there is one answer at a time, and nothing of one that was cut goes on; a call is made
//! once; an item sounds once; every queue is bounded.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::adapter::{Cut, TickResult};
use super::event::NativeEvent;
use crate::think::chat::{ErrorKind, Message, ModelError, ToolOutput};

mod answer;
pub mod client;
mod link;
pub mod memory;
pub mod server;
pub mod settings;

use answer::Answers;
use client::ClientEvent;
use link::Link;
use memory::Memory;
use server::ServerEvent;
use settings::Settings;

pub use link::Phase;

/// Actions that wait at most. Audio beyond is dropped; if anything else has no room, the connection takes
/// nothing and is given up.
const ACTIONS_MAX: usize = 4_096;

/// Events that wait at most. If more come, nobody takes them, and the connection is given up.
const EVENTS_MAX: usize = 4_096;

/// The user's audio that waits for a connection, in milliseconds: what is older is dropped.
pub const BACKLOG_MS: u32 = 10_000;

/// The longest words of an item, in bytes.
const WORDS_MAX: usize = 64 << 10;

/// The longest result of a call, in bytes.
const OUTPUT_MAX: usize = 128 << 10;

/// Events of ours to which an error may refer, at most: the latest.
const SENT_MAX: usize = 256;

/// What whoever has the socket is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// Make a connection, and say [`connected`](Realtime::connected) or [`lost`](Realtime::lost).
    Connect,
    /// Send [`ClientEvent::text`].
    Send {
        /// Its id, to which an error refers.
        event_id: String,
        /// What.
        event: ClientEvent,
    },
    /// Close the connection, and forget what it still brings.
    Close,
}

/// What came and was of no use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Events that nobody knows.
    pub unknown: u64,
    /// Texts that cannot be read.
    pub unreadable: u64,
    /// Pieces of answers that were cut, have ended, or were not asked for.
    pub late: u64,
    /// Calls that were made already.
    pub doubled_calls: u64,
    /// Answers that came beside one.
    pub intruders: u64,
    /// Results of calls that nobody waits for.
    pub stray_results: u64,
    /// Refusals that do no harm: there was nothing to cut.
    pub harmless: u64,
    /// Samples of the user's audio that found no connection.
    pub unheard_samples: u64,
}

/// A conversation with a provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Realtime {
    settings: Settings,
    now: u64,
    link: Link,
    /// Connections that failed in a row.
    failures: u32,
    /// There was a session before.
    again: bool,
    memory: Memory,
    answers: Answers,
    /// The user speaks, as the provider has it.
    speaking: bool,
    /// Samples of the user's in this call, and where the provider's session begins in them.
    user_samples: u64,
    session_samples: u64,
    /// Samples that are not committed.
    uncommitted: u64,
    #[serde(with = "samples")]
    backlog: VecDeque<i16>,
    /// Turns that ended while there was no connection.
    commits: u32,
    next_event: u64,
    sent: VecDeque<(u64, Sent)>,
    actions: VecDeque<Action>,
    events: VecDeque<NativeEvent>,
    counts: Counts,
}

/// What an event of ours was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Sent {
    Update,
    Respond,
    Cancel,
    Other,
}

impl Realtime {
    /// A conversation that has not begun.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            now: 0,
            link: Link::Idle,
            failures: 0,
            again: false,
            memory: Memory::default(),
            answers: Answers::default(),
            speaking: false,
            user_samples: 0,
            session_samples: 0,
            uncommitted: 0,
            backlog: VecDeque::new(),
            commits: 0,
            next_event: 0,
            sent: VecDeque::new(),
            actions: VecDeque::new(),
            events: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What is to be done next, and stays to be done.
    #[must_use]
    pub fn next(&self) -> Option<&Action> {
        self.actions.front()
    }

    /// What has happened next.
    pub fn poll_event(&mut self) -> Option<NativeEvent> {
        self.events.pop_front()
    }

    /// What came and was of no use.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// What is remembered.
    #[must_use]
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Time has passed: it is so many milliseconds since the call began. Ask often: what waits is done now.
    pub fn tick(&mut self, now: u64) {
        self.now = self.now.max(now);
        self.age();
        self.stall();
        self.pump();
    }

    /// Audio of the user's, at the format's rate.
    pub fn append(&mut self, pcm: &[i16]) {
        self.user_samples += pcm.len() as u64;
        self.uncommitted += pcm.len() as u64;
        if self.link.is_up() {
            self.send_audio(pcm);
            return;
        }
        self.backlog.extend(pcm);
        let bound = self.settings.format.hz() as usize / 1_000 * BACKLOG_MS as usize;
        let over = self.backlog.len().saturating_sub(bound);
        self.backlog.drain(..over);
        self.counts.unheard_samples += over as u64;
    }

    fn send_audio(&mut self, pcm: &[i16]) {
        // An empty piece would be refused.
        if pcm.is_empty() {
            return;
        }
        if self.actions.len() >= ACTIONS_MAX / 2 {
            self.counts.unheard_samples += pcm.len() as u64;
            return;
        }
        let mut bytes = Vec::with_capacity(pcm.len() * self.settings.format.width() as usize);
        self.settings.format.encode(pcm, &mut bytes);
        self.send(ClientEvent::Append(bytes));
    }

    /// The user's turn is over, for who [says so](settings::Turns::Ours): an answer is wanted. False if
    /// there is less than 100 ms of it, which a provider refuses.
    pub fn commit(&mut self) -> bool {
        let committed = self.end_turn();
        if committed {
            self.ask(None);
        }
        committed
    }

    /// The same, and no answer is wanted yet.
    pub fn end_turn(&mut self) -> bool {
        if self.uncommitted < u64::from(self.settings.format.hz() / 10) {
            self.events.push_back(NativeEvent::Committed { item: None });
            return false;
        }
        self.uncommitted = 0;
        if self.link.is_up() {
            self.send(ClientEvent::Commit);
        } else {
            self.commits += 1;
        }
        true
    }

    /// What the user said since the last turn is not wanted.
    pub fn clear(&mut self) {
        (self.uncommitted, self.commits) = (0, 0);
        self.backlog.clear();
        if self.link.is_up() {
            self.send(ClientEvent::Clear);
        }
    }

    /// The user wrote something: an answer is wanted.
    pub fn write(&mut self, text: &str) {
        self.memory.user_wrote(&text[..text.floor_char_boundary(WORDS_MAX)]);
        self.ask(None);
    }

    /// The same, and no answer is wanted yet.
    pub fn note(&mut self, text: &str) {
        self.memory.user_wrote(&text[..text.floor_char_boundary(WORDS_MAX)]);
        self.pump();
    }

    /// An answer is wanted, once there is none; what it is to be, if it is to be something of its own.
    pub fn ask(&mut self, instructions: Option<String>) {
        self.answers.wanted = true;
        self.answers.instructions = instructions.or(self.answers.instructions.take());
        self.pump();
    }

    /// What came of a call. False if nobody waits for it.
    pub fn tool_result(&mut self, call: &str, output: &ToolOutput) -> bool {
        let text = output.text();
        let text = &text[..text.floor_char_boundary(OUTPUT_MAX)];
        let known = self.answers.returned(call) && self.memory.result(call, text);
        if !known {
            self.counts.stray_results += 1;
        }
        self.pump();
        known
    }

    /// What came of a call, of which no answer need tell. False if nobody waits for it.
    pub fn settle(&mut self, call: &str, output: &ToolOutput) -> bool {
        let text = output.text();
        let text = &text[..text.floor_char_boundary(OUTPUT_MAX)];
        let known = self.answers.settled(call) && self.memory.result(call, text);
        if !known {
            self.counts.stray_results += 1;
        }
        self.pump();
        known
    }

    /// What an adapter has played in a tick, and what it has cut.
    pub fn heed(&mut self, result: &TickResult) {
        for played in &result.played {
            self.memory.agent(&played.item, |spoken| {
                spoken.played = played.total;
                spoken.over |= played.finished;
            });
        }
        self.interrupt(&result.cuts);
        // Whatever an adapter had no place for is not waited for either.
        if result.buffered == 0 && self.events.is_empty() {
            self.memory.nothing_waits();
        }
        self.pump();
    }

    /// The agent was cut: items, and how far they were played. The answer that they are of does not go
    /// on, and the provider learns what was heard.
    pub fn interrupt(&mut self, cuts: &[Cut]) {
        for cut in cuts {
            let Some(spoken) = self.memory.spoken(&cut.item) else { continue };
            if spoken.over {
                continue;
            }
            let (received, known) = (spoken.received, self.answers.knows_item(&cut.item));
            self.memory.agent(&cut.item, |spoken| {
                (spoken.played, spoken.over) = (cut.samples.min(spoken.received), true);
            });
            let hz = u64::from(self.settings.format.hz());
            let audio_end_ms = cut.samples.min(received) * 1_000 / hz;
            // A session that was told nothing of it has nothing to cut.
            if self.link.is_up() && known {
                self.send(ClientEvent::Truncate { item: cut.item.clone(), audio_end_ms });
            }
            if self.answers.is_of_active(&cut.item) {
                self.cancel();
            }
            // What was to be continued was interrupted.
            self.answers.continues = false;
        }
        self.pump();
    }

    /// The answer that there is does not go on.
    pub fn cancel(&mut self) {
        let by_itself = self.settings.turns.acts() && self.speaking;
        let Some(active) = self.answers.active.as_mut().filter(|active| !active.cut) else {
            return;
        };
        active.cut = true;
        // One that has no name yet is cancelled when it has.
        if let Some(id) = active.id.clone().filter(|_| !by_itself) {
            self.send(ClientEvent::Cancel { response: Some(id) });
        }
    }

    /// [Cancels](Self::cancel), and says so: what has come before [`NativeEvent::Silenced`] may be of what was cancelled.
    pub fn silence(&mut self) {
        if let Some(active) = &mut self.answers.active {
            active.silenced = true;
        }
        self.cancel();
        (self.answers.wanted, self.answers.continues) = (false, false);
        self.answers.instructions = None;
        self.events.push_back(NativeEvent::Silenced);
        self.pump();
    }

    /// What was said and called before this conversation: its sessions are told.
    pub fn recall(&mut self, messages: &[Message]) {
        for message in messages {
            self.memory.recall(message);
        }
        self.pump();
    }

    fn send(&mut self, event: ClientEvent) {
        if !self.link.is_up() {
            return;
        }
        if self.actions.len() >= ACTIONS_MAX {
            let message = "the connection takes nothing: too much waits to be sent";
            self.lost(ModelError::new(ErrorKind::Stalled, message));
            return;
        }
        let what = match &event {
            ClientEvent::Append(_) => None,
            ClientEvent::Update(_) => Some(Sent::Update),
            ClientEvent::Respond { .. } => Some(Sent::Respond),
            ClientEvent::Cancel { .. } => Some(Sent::Cancel),
            ClientEvent::Commit
            | ClientEvent::Clear
            | ClientEvent::Create(_)
            | ClientEvent::Truncate { .. }
            | ClientEvent::Delete { .. } => Some(Sent::Other),
        };
        let number = self.next_event;
        self.next_event += 1;
        if let Some(what) = what {
            if self.sent.len() == SENT_MAX {
                self.sent.pop_front();
            }
            self.sent.push_back((number, what));
        }
        self.actions.push_back(Action::Send { event_id: event_id(number), event });
    }

    /// A text of the provider's.
    pub fn received(&mut self, text: &str) {
        if !self.link.is_up() {
            self.counts.late += 1;
            return;
        }
        if self.events.len() >= EVENTS_MAX {
            let message = "nobody takes what the provider sends: too much waits";
            self.lost(ModelError::new(ErrorKind::Stalled, message));
            return;
        }
        match server::read(text) {
            Ok(event) => self.admit(event),
            Err(_) => self.counts.unreadable += 1,
        }
        self.pump();
    }

    /// Milliseconds of the session's audio as those of the call's.
    fn call_ms(&self, session_ms: Option<u64>) -> Option<u64> {
        let before = self.session_samples * 1_000 / u64::from(self.settings.format.hz());
        session_ms.map(|ms| before.saturating_add(ms))
    }

    fn admit(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::SessionCreated | ServerEvent::Other => {}
            ServerEvent::SessionUpdated => self.ready(),
            ServerEvent::ItemAdded(item) => {
                if item.kind == "function_call_output" {
                    self.answers.acknowledged(&item.call);
                }
            }
            ServerEvent::UserWords { item, text, last } => {
                let text = text[..text.floor_char_boundary(WORDS_MAX)].to_owned();
                self.memory.user_words(&item, &text, last);
                self.events.push_back(NativeEvent::Heard { item, text, last });
            }
            ServerEvent::UserWordsFailed { item } => {
                self.memory.user_words(&item, "", true);
                self.events.push_back(NativeEvent::Heard { item, text: String::new(), last: true });
            }
            ServerEvent::SpeechStarted { at_ms } => {
                self.speaking = true;
                let at_ms = self.call_ms(at_ms);
                self.events.push_back(NativeEvent::SpeechStarted { at_ms });
            }
            ServerEvent::SpeechStopped { at_ms } => {
                self.speaking = false;
                if self.settings.turns.acts() {
                    self.answers.provider_answers(self.now);
                }
                let at_ms = self.call_ms(at_ms);
                self.events.push_back(NativeEvent::SpeechStopped { at_ms });
            }
            ServerEvent::Committed { item } => {
                self.uncommitted = 0;
                self.memory.user_spoke(&item);
                self.events.push_back(NativeEvent::Committed { item: Some(item) });
            }
            ServerEvent::ResponseCreated { response } => self.response_created(&response),
            ServerEvent::ResponseDone { response, status, error, usage, calls } => {
                self.response_done(&response, &status, error, usage, calls);
            }
            ServerEvent::OutputAdded { response, item } => self.output_added(&response, &item),
            ServerEvent::OutputDone { response, item } => self.output_done(&response, item),
            ServerEvent::Audio { response, item, bytes } => self.audio(&response, item, &bytes),
            ServerEvent::Words { response, item, text } => self.words(&response, item, text),
            ServerEvent::Arguments { response, item } => self.call(&response, item),
            ServerEvent::Error(error) => self.error(error),
            ServerEvent::Unknown => self.counts.unknown += 1,
        }
    }
}

/// The id of an event of ours.
fn event_id(number: u64) -> String {
    format!("ap-{number}")
}

/// The number of an event of ours.
fn event_number(id: &str) -> Option<u64> {
    id.strip_prefix("ap-")?.parse().ok()
}

/// A queue of samples, written as bytes (serde's `with`).
mod samples {
    use std::collections::VecDeque;

    use serde::{Deserializer, Serializer};

    use crate::pcm::pcm_bytes;

    pub(super) fn serialize<S: Serializer>(
        pcm: &VecDeque<i16>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        pcm_bytes::serialize(&pcm.iter().copied().collect::<Vec<_>>(), serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<VecDeque<i16>, D::Error> {
        pcm_bytes::deserialize(deserializer).map(Into::into)
    }
}

#[cfg(test)]
mod tests;
