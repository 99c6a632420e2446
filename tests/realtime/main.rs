//! Models that speak, over real sockets: the stand-in does as a test tells it, and the test drives the adapter in ticks.

mod peers;
#[path = "../providers/planted.rs"]
mod planted;
#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod stand;
mod trouble;

use std::thread::JoinHandle;

use antiphon::config;
use antiphon::host::pace::pause;
use antiphon::pcm::resample::{Resampler, ResamplerTable};
use antiphon::provider::realtime::{Bounds, Talk};
use antiphon::provider::{Clients, Talker};
use antiphon::seed::Seed;
use antiphon::think::chat::{Declaration, ToolOutput};
use antiphon::think::native::realtime::settings::{Settings, Times, Turns};
use antiphon::think::native::{Adapter, NativeEvent, Rules, TickResult};
use antiphon::tool::Json;
use planted::{KEY, client, encrypted, env};
use serde_json::{Value, json};
use stand::{Names, Stand, accept};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Ticks until a test is given up: each takes 2 ms at least.
const TICKS_MAX: u32 = 10_000;

fn at(base_url: String) -> config::Model {
    config::Model {
        base_url,
        api_key_env: Some("KEY".into()),
        model: Some("talker-1".into()),
        headers: [("x-team".to_owned(), "${PLANTED}".to_owned())].into(),
        ..config::Model::default()
    }
}

fn talker<T: Send + 'static>(stand: &Stand<T>) -> Talker {
    let model = at(format!("http://{}/v1", stand.address));
    Talker::new("voice", &model, &env, &mut Clients::default()).unwrap()
}

/// A session with little patience.
fn hasty(turns: Turns) -> Settings {
    let times = Times { pause_ms: 20, tries: 3, disconnect_ms: 2_000, ..Times::default() };
    let find = Declaration {
        name: "find".into(),
        description: "Finds.".into(),
        parameters: Json(json!({ "type": "object" })),
    };
    Settings { turns, times, tools: vec![find], ..Settings::default() }
}

fn noise(seed: u64, samples: usize) -> Vec<i16> {
    let mut seed = Seed::new(seed);
    (0..samples).map(|_| seed.below(20_000) as i16 - 10_000).collect()
}

/// A thread on which the tasks of calls run, until it is dropped.
struct Network {
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Network {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (stop, stopped) = oneshot::channel();
        let handle = runtime.handle().clone();
        let thread = std::thread::spawn(move || drop(runtime.block_on(stopped)));
        Self { runtime: handle, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// A call: the handle and the adapter, in ticks of 20 ms, ten times as fast as they last.
struct Call {
    talk: Talk,
    adapter: Adapter,
    hz: u32,
    /// What the user says, a tick of it at a time, and silence then.
    says: Vec<i16>,
    /// The whole of what was played, and of everything that was told.
    played: Vec<i16>,
    transcript: String,
    events: Vec<NativeEvent>,
    results: Vec<TickResult>,
    _network: Network,
}

impl Call {
    fn begin(talker: &Talker, settings: Settings, hz: u32) -> Self {
        let network = Network::start();
        let rules = Rules::new(settings.format.hz(), 20);
        let talk = talker.talk(settings, hz, Seed::new(1), &network.runtime).unwrap();
        Self {
            talk,
            adapter: Adapter::new(rules, true).unwrap(),
            hz,
            says: Vec::new(),
            played: Vec::new(),
            transcript: String::new(),
            events: Vec::new(),
            results: Vec::new(),
            _network: network,
        }
    }

    /// A tick; before there is a connection it is none.
    fn tick(&mut self) -> Option<&TickResult> {
        pause(2);
        while let Some(event) = self.talk.poll() {
            self.events.push(event.clone());
            self.adapter.take(event);
        }
        let mut result = TickResult::default();
        self.adapter.tick(480, &mut result).ok()?;
        let len = (self.hz / 50) as usize;
        let mut pcm: Vec<i16> = self.says.drain(..len.min(self.says.len())).collect();
        pcm.resize(len, 0);
        self.talk.hear(&pcm);
        assert!(self.talk.heed(&result));
        let samples: u32 = result.played.iter().map(|played| played.samples).sum();
        self.played.extend(&result.audio[..samples as usize]);
        if !result.transcript.is_empty() && !self.transcript.is_empty() {
            self.transcript.push('|');
        }
        self.transcript.push_str(&result.transcript);
        self.results.push(result);
        self.results.last()
    }

    /// Ticks until something holds.
    #[track_caller]
    fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        for _ in 0..TICKS_MAX {
            if holds(self) {
                return;
            }
            self.tick();
        }
        panic!("{what} did not come; played {}, {:?}", self.played.len(), self.told());
    }

    /// Events but audio.
    fn told(&self) -> Vec<&NativeEvent> {
        let audio = |event: &&NativeEvent| matches!(event, NativeEvent::Audio { .. });
        self.events.iter().filter(|event| !audio(event)).collect()
    }

    fn readies(&self) -> Vec<bool> {
        let ready = |event: &NativeEvent| match event {
            NativeEvent::Ready { again } => Some(*again),
            _ => None,
        };
        self.events.iter().filter_map(ready).collect()
    }

    fn lost(&self) -> Vec<(String, bool)> {
        let lost = |event: &NativeEvent| match event {
            NativeEvent::Lost { error, last } => Some((error.message.clone(), *last)),
            _ => None,
        };
        self.events.iter().filter_map(lost).collect()
    }

    /// Closes, and waits until nothing more comes.
    #[track_caller]
    fn hang_up(&mut self) {
        self.talk.close();
        self.until("the end", |call| call.talk.is_over());
    }
}

fn kinds(sent: &[Value]) -> Vec<&str> {
    sent.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

/// Where a part begins in a whole.
fn find(part: &[i16], whole: &[i16]) -> Option<usize> {
    whole.windows(part.len()).position(|window| window == part)
}

#[test]
fn a_whole_exchange_is_heard_sample_by_sample_on_both_sides() {
    for names in [Names::General, Names::Beta] {
        let answer = noise(7, 24_000);
        let said = answer.clone();
        let stand = Stand::start(move |listener| {
            let mut line = accept(&listener, names).ready();
            line.hear(12_000);
            line.tell(json!({ "type": "input_audio_buffer.speech_started", "audio_start_ms": 20, "item_id": "u" }));
            line.tell(json!({ "type": "input_audio_buffer.speech_stopped", "audio_end_ms": 500, "item_id": "u" }));
            line.tell(json!({ "type": "input_audio_buffer.committed", "item_id": "u", "previous_item_id": null }));
            line.tell(json!({ "type": "conversation.item.input_audio_transcription.completed", "item_id": "u",
                "content_index": 0, "transcript": "Good day." }));
            line.answer("r", "i", "And to you.", &said);
            let (uri, key, team) = (
                line.uri.clone(),
                line.header("authorization").map(str::to_owned),
                line.header("x-team").map(str::to_owned),
            );
            line.hear(36_000);
            let heard = line.heard.clone();
            (uri, key, team, heard, line.ended())
        });
        let talker = talker(&stand);
        let mut call = Call::begin(&talker, hasty(Turns::default()), 24_000);
        let user = noise(3, 12_000);
        call.says.clone_from(&user);
        call.until("the answer", |call| call.played.len() >= 24_000);
        call.until("a while", |call| call.results.len() >= 100);
        call.hang_up();
        let (uri, key, team, heard, (closed, sent)) = stand.end();
        assert_eq!(uri, "/v1/realtime?model=talker-1");
        assert_eq!(key, Some(format!("Bearer {KEY}")));
        assert_eq!(team.as_deref(), Some("planted-header-value"));
        assert_eq!(call.played, answer, "{names:?}");
        assert_eq!(call.transcript.replace('|', ""), "And to you.");
        assert_eq!(&heard[..12_000], &user[..]);
        assert!(heard[12_000..].iter().all(|&sample| sample == 0));
        assert!(closed && kinds(&sent) == ["session.update"], "{sent:?}");
        let words = |event: &&NativeEvent| matches!(event, NativeEvent::Heard { text, .. } if text == "Good day.");
        assert_eq!(call.told().into_iter().filter(words).count(), 1);
        assert_eq!(call.adapter.ledger.sum("response").total, Some(7));
        assert_eq!(call.talk.counts().dropped_samples, 0);
        let shown = format!("{talker:?} {:?} {:?}", call.talk, call.events);
        assert!(!shown.contains("planted"), "{shown}");
    }
}

#[test]
fn audio_of_16_khz_becomes_24_khz_at_the_edge() {
    let stand = Stand::start(|listener| {
        let mut line = accept(&listener, Names::General).ready();
        line.hear(24_000);
        line.heard[..24_000].to_vec()
    });
    let mut call = Call::begin(&talker(&stand), hasty(Turns::default()), 16_000);
    let user = noise(5, 16_000);
    call.says.clone_from(&user);
    call.until("all of it", |call| call.results.len() >= 60);
    let table = ResamplerTable::new(16_000, 24_000);
    let mut meant = Vec::new();
    Resampler::new(&table).push(&table, &user, &mut meant);
    assert_eq!(stand.end(), meant);
}

#[test]
fn a_turn_of_ones_own_is_committed_after_its_last_sample() {
    let stand = Stand::start(|listener| {
        let mut line = accept(&listener, Names::General).ready();
        line.until("input_audio_buffer.commit");
        let heard = line.heard.len();
        line.until("response.create");
        line.answer("r", "i", "Yes.", &noise(2, 4_800));
        line.until("input_audio_buffer.clear");
        (heard, line.ended())
    });
    let mut call = Call::begin(&talker(&stand), hasty(Turns::Ours), 24_000);
    call.until("a connection", |call| call.results.len() >= 30);
    let spoken = call.results.len() * 480;
    assert!(call.talk.commit());
    call.until("the answer", |call| call.played.len() >= 4_800);
    assert!(call.talk.clear());
    call.tick();
    call.hang_up();
    let (heard, (closed, sent)) = stand.end();
    assert_eq!(heard, spoken);
    let meant = [
        "session.update",
        "input_audio_buffer.commit",
        "response.create",
        "input_audio_buffer.clear",
    ];
    assert_eq!((closed, kinds(&sent)), (true, meant.to_vec()));
    assert_eq!(sent[0]["session"]["audio"]["input"]["turn_detection"], Value::Null);
}

#[test]
fn a_call_is_made_and_its_result_is_told() {
    let stand = Stand::start(|listener| {
        let mut line = accept(&listener, Names::General).ready();
        line.until("response.create");
        line.call("r-1", "c", "{\"x\":1}");
        let result = line.until("conversation.item.create");
        line.until("response.create");
        line.answer("r-2", "i", "Seven.", &noise(4, 4_800));
        drop(line.ended());
        result
    });
    let mut call = Call::begin(&talker(&stand), hasty(Turns::default()), 16_000);
    assert!(call.talk.write("How many?"));
    call.until("the call", |call| call.results.last().is_some_and(|tick| !tick.calls.is_empty()));
    let made = call.results.last().unwrap().calls[0].clone();
    assert_eq!((&*made.id, &*made.name, &made.arguments.0), ("c", "find", &json!({ "x": 1 })));
    assert!(call.talk.tool_result(made.id, ToolOutput::Text("7".into())));
    call.until("the answer", |call| call.played.len() >= 4_800);
    call.hang_up();
    let result = stand.end();
    assert_eq!(result["item"]["type"], "function_call_output");
    assert_eq!((&result["item"]["call_id"], &result["item"]["output"]), (&json!("c"), &json!("7")));
}

#[test]
fn a_barge_in_cuts_at_what_was_really_played() {
    let answer = noise(9, 96_000);
    let said = answer.clone();
    let stand = Stand::start(move |listener| {
        let mut line = accept(&listener, Names::General).ready();
        line.until("response.create");
        line.begin("r", "i");
        line.words("r", "i", "One two three four five six seven eight.");
        line.say("r", "i", &said);
        line.hear(24_000);
        line.tell(json!({ "type": "input_audio_buffer.speech_started", "audio_start_ms": 900, "item_id": "u" }));
        // What is on its way is not heard any more.
        line.say("r", "i", &noise(1, 9_600));
        let cut = line.until("conversation.item.truncate");
        line.tell(
            json!({ "type": "conversation.item.truncated", "item_id": "i", "content_index": 0,
            "audio_end_ms": cut["audio_end_ms"] }),
        );
        line.tell(
            json!({ "type": "response.done", "response": { "id": "r", "status": "cancelled" } }),
        );
        line.tell(json!({ "type": "input_audio_buffer.speech_stopped", "audio_end_ms": 1_500, "item_id": "u" }));
        line.answer("r-2", "i-2", "Nine.", &noise(6, 4_800));
        drop(line.ended());
        cut
    });
    let mut call = Call::begin(&talker(&stand), hasty(Turns::default()), 24_000);
    assert!(call.talk.ask(None));
    call.until("the cut", |call| call.results.iter().any(|tick| tick.truncated));
    let heard = call.played.len();
    assert!((2_400..96_000).contains(&heard), "{heard}");
    assert_eq!(call.played, answer[..heard]);
    call.until("the other answer", |call| call.played.len() >= heard + 4_800);
    call.hang_up();
    let cut = stand.end();
    assert_eq!((&cut["item_id"], &cut["content_index"]), (&json!("i"), &json!(0)));
    assert_eq!(cut["audio_end_ms"], json!(heard as u64 / 24));
    assert_eq!(call.played[heard..], noise(6, 4_800));
    assert!(!call.transcript.contains("eight"), "{}", call.transcript);
}
