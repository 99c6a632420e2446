//! A provider that keeps its own account, an adapter that plays, and a network that does its worst.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::provider::{self, audio, item_done, words};
use super::{Bench, settings, seven};
use crate::think::chat::{ErrorKind, ModelError};
use crate::think::native::adapter::{Adapter, Rules, TickResult};
use crate::think::native::event::NativeEvent;
use crate::think::native::realtime::client::{ClientEvent, NewItem};
use crate::think::native::realtime::settings::{Settings, Times, Turns};
use crate::think::native::realtime::{Action, Realtime};

#[derive(Debug, Clone)]
enum Act {
    /// The provider reads what was sent.
    Read,
    Audio(usize),
    Words(String),
    Call,
    ItemDone,
    Done(bool),
    Own,
    Speech,
    Silence,
    /// Something of an answer that is over, or of none.
    Stray(u8),
    Result,
    Ask,
    Lost,
    Tick(u16),
    Write,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => Just(Act::Read),
        8 => (1..700_usize).prop_map(Act::Audio),
        5 => "[a-z ]{1,9}".prop_map(Act::Words),
        2 => Just(Act::Call),
        2 => Just(Act::ItemDone),
        3 => any::<bool>().prop_map(Act::Done),
        2 => Just(Act::Own),
        2 => Just(Act::Speech),
        3 => Just(Act::Silence),
        2 => any::<u8>().prop_map(Act::Stray),
        2 => Just(Act::Result),
        2 => Just(Act::Ask),
        1 => Just(Act::Lost),
        9 => (1..400_u16).prop_map(Act::Tick),
        1 => Just(Act::Write),
    ];
    prop::collection::vec(act, 0..150)
}

/// The provider's side.
#[derive(Default)]
struct Provider {
    up: bool,
    active: Option<String>,
    item: Option<String>,
    numbers: u32,
    ended: Vec<String>,
    /// What waits to be read.
    inbox: Vec<(String, ClientEvent)>,
    /// Calls of this session, and those with a result.
    calls: BTreeSet<String>,
    results: BTreeSet<String>,
    /// Samples of each item.
    came: BTreeMap<String, u64>,
    refused: u32,
}

impl Provider {
    fn number(&mut self, kind: &str) -> String {
        self.numbers += 1;
        format!("{kind}-{}", self.numbers)
    }

    fn begin(&mut self) -> Value {
        let response = self.number("response");
        self.active = Some(response.clone());
        self.item = None;
        provider::created(&response)
    }

    fn end(&mut self, status: &str) -> Vec<Value> {
        let Some(response) = self.active.take() else { return Vec::new() };
        self.item = None;
        self.ended.push(response.clone());
        vec![provider::done(&response, status)]
    }

    /// The item that is being said.
    fn saying(&mut self) -> Option<(String, String)> {
        let response = self.active.clone()?;
        if self.item.is_none() {
            self.item = Some(self.number("item"));
        }
        Some((response, self.item.clone()?))
    }

    fn read(&mut self) -> Vec<Value> {
        let mut said = Vec::new();
        for (event_id, event) in std::mem::take(&mut self.inbox) {
            match event {
                ClientEvent::Update(_) => said.push(json!({ "type": "session.updated" })),
                ClientEvent::Respond { .. } if self.active.is_some() => {
                    self.refused += 1;
                    said.push(json!({ "type": "error", "error": { "event_id": event_id,
                        "code": "conversation_already_has_active_response" } }));
                }
                ClientEvent::Respond { .. } => said.push(self.begin()),
                ClientEvent::Cancel { response } if response == self.active => {
                    said.extend(self.end("cancelled"));
                }
                ClientEvent::Cancel { .. } => said.push(json!({ "type": "error", "error": {
                    "event_id": event_id, "code": "response_cancel_not_active" } })),
                ClientEvent::Create(NewItem::Call { call, .. }) => {
                    assert!(self.calls.insert(call.clone()), "{call} is told twice");
                }
                ClientEvent::Create(NewItem::Result { call, .. }) => {
                    assert!(self.calls.contains(&call), "a result without its call: {call}");
                    assert!(self.results.insert(call.clone()), "{call} has two results");
                    said.push(json!({ "type": "conversation.item.added",
                        "item": { "type": "function_call_output", "call_id": call } }));
                }
                ClientEvent::Truncate { item, audio_end_ms } => {
                    let came = self.came.get(&item);
                    let came = came.unwrap_or_else(|| panic!("{item} is not of this session"));
                    assert!(audio_end_ms * 8 <= *came, "{item}: more is cut than came");
                }
                ClientEvent::Create(_)
                | ClientEvent::Append(_)
                | ClientEvent::Commit
                | ClientEvent::Clear
                | ClientEvent::Delete { .. } => {}
            }
        }
        said
    }
}

/// All of it, and what must hold of it.
struct World {
    bench: Bench,
    provider: Provider,
    adapter: Adapter,
    acts: bool,
    /// Calls that were made, and those that have no result yet.
    made: BTreeSet<String>,
    open: Vec<String>,
    /// Samples that came of each item, and were played.
    came: BTreeMap<String, u64>,
    sounded: BTreeMap<String, u64>,
}

impl World {
    fn new(acts: bool) -> Self {
        let turns = if acts { Turns::default() } else { Turns::Ours };
        let times = Times { renew_ms: 3_000, session_ms: 9_000, tries: 1_000, ..Times::default() };
        let mut realtime = Realtime::new(Settings { turns, times, ..settings() });
        realtime.start();
        let mut adapter = Adapter::new(Rules::new(8_000, 20), true).unwrap();
        adapter.connect();
        Self {
            bench: Bench { realtime, now: 0 },
            provider: Provider::default(),
            adapter,
            acts,
            made: BTreeSet::new(),
            open: Vec::new(),
            came: BTreeMap::new(),
            sounded: BTreeMap::new(),
        }
    }

    /// Carries out actions.
    fn settle(&mut self) {
        while let Some(action) = self.bench.realtime.poll() {
            match action {
                Action::Connect => {
                    let numbers = self.provider.numbers;
                    self.provider = Provider { up: true, numbers, ..Provider::default() };
                    self.bench.realtime.connected();
                }
                Action::Close => self.provider.up = false,
                Action::Send { event_id, event } => {
                    assert!(self.provider.up, "{event:?} is sent over no connection");
                    self.provider.inbox.push((event_id, event));
                }
            }
        }
        while let Some(event) = self.bench.realtime.poll_event() {
            match &event {
                NativeEvent::Call(call) => {
                    assert!(self.made.insert(call.id.clone()), "{} is made twice", call.id);
                    self.open.push(call.id.clone());
                }
                NativeEvent::Audio { item, pcm } => {
                    *self.came.entry(item.clone()).or_default() += pcm.0.len() as u64;
                }
                _ => {}
            }
            self.adapter.take(event);
        }
    }

    fn hear(&mut self, said: Vec<Value>) {
        if self.provider.up {
            self.bench.hear_all(said);
        }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Read => {
                let said = self.provider.read();
                self.hear(said);
            }
            Act::Audio(samples) => {
                if let Some((response, item)) = self.provider.saying() {
                    *self.provider.came.entry(item.clone()).or_default() += *samples as u64;
                    self.hear(vec![audio(&response, &item, *samples)]);
                }
            }
            Act::Words(text) => {
                if let Some((response, item)) = self.provider.saying() {
                    self.hear(vec![words(&response, &item, text)]);
                }
            }
            Act::Call => {
                if let Some(response) = self.provider.active.clone() {
                    let call = self.provider.number("call");
                    self.provider.calls.insert(call.clone());
                    let said = provider::call(&response, &call);
                    self.hear(vec![said.clone(), said]);
                }
            }
            Act::ItemDone => {
                if let Some((response, item)) = self.provider.saying() {
                    self.provider.item = None;
                    self.hear(vec![item_done(&response, &item)]);
                }
            }
            Act::Done(whole) => {
                let said = self.provider.end(if *whole { "completed" } else { "incomplete" });
                self.hear(said);
            }
            Act::Own => {
                if self.acts && self.provider.up && self.provider.active.is_none() {
                    let said = self.provider.begin();
                    self.hear(vec![said]);
                }
            }
            Act::Speech => {
                let mut said = vec![json!({ "type": "input_audio_buffer.speech_started" })];
                if self.acts {
                    said.extend(self.provider.end("cancelled"));
                }
                self.hear(said);
            }
            Act::Silence => {
                self.hear(vec![json!({ "type": "input_audio_buffer.speech_stopped" })]);
            }
            Act::Stray(n) => {
                let response = self.provider.ended.iter().nth_back(usize::from(*n % 3));
                let response = response.cloned().unwrap_or_else(|| "of-old".to_owned());
                let item = format!("item-{n}");
                // An answer that nobody has begun is one; those that are over are none.
                if response != "of-old" {
                    self.hear(vec![audio(&response, &item, 9), provider::call(&response, "x")]);
                }
            }
            Act::Result => {
                if let Some(call) = self.open.pop() {
                    self.bench.realtime.tool_result(&call, &seven());
                }
            }
            Act::Ask => self.bench.realtime.ask(None),
            Act::Lost => {
                self.provider.up = false;
                let error = ModelError::new(ErrorKind::Unreachable, "the line is dead");
                self.bench.realtime.lost(error);
            }
            Act::Write => self.bench.realtime.write("and this"),
            Act::Tick(ms) => {
                self.bench.pass(u64::from(*ms));
                self.settle();
                self.tick();
            }
        }
        self.settle();
    }

    fn tick(&mut self) {
        let mut out = TickResult::default();
        self.bench.realtime.append(&[0; 160]);
        self.adapter.tick(160, &mut out).unwrap();
        assert_eq!(out.audio.len(), 160);
        for played in &out.played {
            let sounded = self.sounded.entry(played.item.clone()).or_default();
            *sounded += u64::from(played.samples);
            assert_eq!(*sounded, played.total);
        }
        self.bench.realtime.heed(&out);
        for (item, sounded) in &self.sounded {
            let came = self.came[item];
            assert!(*sounded <= came, "{item} sounds {sounded} samples of {came}");
            if let Some(spoken) = self.bench.realtime.memory().spoken(item) {
                assert_eq!((spoken.played, spoken.received), (*sounded, came), "{item}");
            }
        }
    }

    /// Everything comes to rest.
    fn rest(&mut self) {
        for _ in 0..200 {
            for call in std::mem::take(&mut self.open) {
                self.bench.realtime.tool_result(&call, &seven());
            }
            self.act(&Act::Silence);
            self.act(&Act::Read);
            self.act(&Act::Done(true));
            self.act(&Act::Tick(100));
        }
        // It may have been renewed just now.
        self.act(&Act::Read);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_happens_the_account_is_right(acts in acts(), own: bool) {
        let mut world = World::new(own);
        world.settle();
        for act in &acts {
            world.act(act);
        }
        world.rest();
        let realtime = &world.bench.realtime;
        prop_assert!(world.provider.up, "there is a session in the end");
        prop_assert!(realtime.memory().is_known() && !realtime.memory().is_playing());
        for call in &world.made {
            prop_assert!(world.provider.results.contains(call), "{call} has no result in the last session");
        }
        if !own {
            prop_assert_eq!(world.provider.refused, 0, "an answer was asked for beside another");
            prop_assert_eq!(realtime.counts().intruders, 0);
        }
    }

    #[test]
    fn what_is_restored_goes_on_alike(acts in acts(), own: bool, at in 0..150_usize) {
        let (mut one, mut other) = (World::new(own), World::new(own));
        for (n, act) in acts.iter().enumerate() {
            if n == at {
                let bytes = postcard::to_allocvec(&other.bench.realtime).unwrap();
                other.bench.realtime = postcard::from_bytes(&bytes).unwrap();
            }
            one.act(act);
            other.act(act);
        }
        prop_assert_eq!(&one.bench.realtime, &other.bench.realtime);
        prop_assert_eq!(one.sounded, other.sounded);
    }
}
