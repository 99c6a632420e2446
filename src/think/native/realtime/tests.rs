use serde_json::{Value, json};

use super::client::NewItem;
use super::settings::Turns;
use super::*;
use crate::think::chat::{Call, Declaration};
use crate::think::native::adapter::{Adapter, Rules};
use crate::think::native::event::ResponseEnd;
use crate::think::native::wire::Format;
use crate::tool::Json;

mod provider;
mod random;
mod sessions;

use provider::{audio, created, done, item_done, said, words};

/// A conversation, and what it did.
pub(super) struct Bench {
    pub(super) realtime: Realtime,
    pub(super) now: u64,
}

pub(super) fn settings() -> Settings {
    Settings { format: Format::MuLaw, ..Settings::default() }
}

impl Bench {
    pub(super) fn with(settings: Settings) -> Self {
        let mut realtime = Realtime::new(settings);
        realtime.start();
        let mut bench = Self { realtime, now: 0 };
        assert_eq!(bench.actions(), [Action::Connect]);
        bench.up();
        bench
    }

    pub(super) fn new() -> Self {
        Self::with(settings())
    }

    /// A connection is made, and the session is as it is to be.
    pub(super) fn up(&mut self) -> Vec<ClientEvent> {
        self.realtime.connected();
        self.hear(json!({ "type": "session.created", "session": {} }));
        self.hear(json!({ "type": "session.updated", "session": {} }));
        self.sent()
    }

    #[expect(clippy::needless_pass_by_value, reason = "it is written in place")]
    pub(super) fn hear(&mut self, event: Value) {
        self.realtime.received(&event.to_string());
    }

    pub(super) fn hear_all(&mut self, events: impl IntoIterator<Item = Value>) {
        events.into_iter().for_each(|event| self.hear(event));
    }

    pub(super) fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.realtime.poll()).collect()
    }

    /// What is said to the provider.
    pub(super) fn sent(&mut self) -> Vec<ClientEvent> {
        let sent = self.actions().into_iter().filter_map(|action| match action {
            Action::Send { event, .. } => Some(event),
            Action::Connect | Action::Close => None,
        });
        sent.collect()
    }

    pub(super) fn events(&mut self) -> Vec<NativeEvent> {
        std::iter::from_fn(|| self.realtime.poll_event()).collect()
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now += ms;
        self.realtime.tick(self.now);
    }

    fn lost(&mut self) {
        self.realtime.lost(ModelError::new(ErrorKind::Unreachable, "the line is dead"));
    }

    fn played(&mut self, item: &str, total: u64, finished: bool) {
        let mut result = TickResult { buffered: 1, ..TickResult::default() };
        let item = item.to_owned();
        result.played.push(crate::think::native::adapter::PlayedItem {
            item,
            total,
            finished,
            ..Default::default()
        });
        self.realtime.heed(&result);
    }

    fn cut(&mut self, item: &str, samples: u64) {
        let item = item.to_owned();
        self.realtime.interrupt(&[Cut { item, samples, audio_end_ms: 0, spoken: String::new() }]);
    }

    /// An answer with a call of a tool, to its end.
    fn calls(&mut self, response: &str, calls: &[&str]) {
        self.hear(created(response));
        self.hear_all(calls.iter().map(|call| provider::call(response, call)));
        self.hear(done(response, "completed"));
    }
}

fn result(call: &str) -> ClientEvent {
    ClientEvent::Create(NewItem::Result { call: call.into(), output: "7".into() })
}

fn seven() -> ToolOutput {
    ToolOutput::Json(Json(7.into()))
}

const RESPOND: ClientEvent = ClientEvent::Respond { instructions: None };

fn is_audio(event: &NativeEvent) -> bool {
    matches!(event, NativeEvent::Audio { .. })
}

#[test]
fn a_session_begins_with_what_it_is_to_be() {
    let mut realtime = Realtime::new(settings());
    assert_eq!(realtime.phase(), Phase::Disconnected);
    realtime.start();
    realtime.start();
    realtime.connected();
    let mut bench = Bench { realtime, now: 0 };
    let actions = bench.actions();
    assert_eq!(actions[0], Action::Connect);
    let update = ClientEvent::Update(Box::new(settings()));
    assert!(
        matches!(&actions[1], Action::Send { event, event_id } if *event == update && event_id == "ap-0")
    );
    assert_eq!((actions.len(), bench.realtime.phase()), (2, Phase::Connected));
    bench.hear(json!({ "type": "session.updated" }));
    assert_eq!(bench.events(), [NativeEvent::Ready { again: false }]);
}

#[test]
fn n75_what_goes_on_has_a_name_for_each_of_five_phases() {
    let mut bench = Bench::new();
    assert_eq!(bench.realtime.phase(), Phase::Listening);
    bench.hear(created("r"));
    assert_eq!(bench.realtime.phase(), Phase::Processing);
    bench.hear(audio("r", "a", 800));
    assert_eq!(bench.realtime.phase(), Phase::Speaking);
    bench.hear_all([item_done("r", "a"), done("r", "completed")]);
    bench.played("a", 800, true);
    assert_eq!(bench.realtime.phase(), Phase::Listening);
    bench.lost();
    assert_eq!(bench.realtime.phase(), Phase::Disconnected);
}

#[test]
fn an_answer_becomes_audio_words_and_its_end() {
    let mut bench = Bench::new();
    bench.events();
    bench.hear_all([
        created("r"),
        audio("r", "a", 3),
        words("r", "a", "Hi"),
        item_done("r", "a"),
        done("r", "completed"),
    ]);
    let events = bench.events();
    assert!(
        matches!(&events[0], NativeEvent::Audio { item, pcm } if item == "a" && pcm.0.len() == 3)
    );
    assert_eq!(events[1], NativeEvent::Words { item: "a".into(), text: "Hi".into() });
    assert_eq!(events[2], NativeEvent::ItemDone { item: "a".into() });
    assert!(matches!(&events[3], NativeEvent::Usage(_)));
    assert_eq!(
        events[4],
        NativeEvent::ResponseDone { response: "r".into(), end: ResponseEnd::Completed }
    );
    assert_eq!(events.len(), 5);
}

#[test]
fn there_is_one_answer_at_a_time() {
    let mut bench = Bench::new();
    bench.realtime.ask(None);
    bench.realtime.ask(Some("Say hello.".into()));
    assert_eq!(bench.sent(), [RESPOND], "the second waits for the first to end");
    bench.hear_all([created("r"), created("stranger"), audio("stranger", "s", 9)]);
    let cancel = ClientEvent::Cancel { response: Some("stranger".into()) };
    assert_eq!((bench.sent(), bench.realtime.counts().intruders), (vec![cancel], 1));
    bench.events();
    bench.hear_all([done("stranger", "cancelled"), done("r", "completed")]);
    assert!(!bench.events().iter().any(is_audio));
    assert_eq!(bench.sent(), [ClientEvent::Respond { instructions: Some("Say hello.".into()) }]);
}

#[test]
fn an_answer_refused_beside_another_is_asked_for_afterwards() {
    let mut bench = Bench::new();
    bench.realtime.ask(Some("Greet.".into()));
    let Some(Action::Send { event_id, .. }) = bench.realtime.poll() else { panic!() };
    // The provider answered by itself before it read ours.
    bench.hear(created("own"));
    bench.hear(json!({ "type": "error", "error": {
        "type": "invalid_request_error", "code": "conversation_already_has_active_response",
        "message": "…", "event_id": event_id,
    } }));
    bench.hear(audio("own", "a", 5));
    assert!(bench.events().iter().any(is_audio), "the other goes on");
    assert_eq!(bench.sent(), []);
    bench.hear(done("own", "completed"));
    assert_eq!(bench.sent(), [ClientEvent::Respond { instructions: Some("Greet.".into()) }]);
    // Beside one that nobody has told of: after a while.
    let refused =
        json!({ "type": "error", "error": { "code": "conversation_already_has_active_response" } });
    bench.hear(refused);
    assert_eq!(bench.sent(), []);
    bench.pass(499);
    assert_eq!(bench.sent(), []);
    bench.pass(1);
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn results_that_another_answer_knew_are_not_answered_again() {
    for known in [true, false] {
        let mut bench = Bench::new();
        bench.calls("r", &["c"]);
        bench.realtime.tool_result("c", &seven());
        let actions = bench.actions();
        let Some(Action::Send { event_id, event: RESPOND }) = actions.last() else {
            panic!("{actions:?}")
        };
        if known {
            bench.hear(json!({ "type": "conversation.item.added",
                "item": { "type": "function_call_output", "call_id": "c" } }));
        }
        bench.hear(created("own"));
        bench.hear(json!({ "type": "error", "error": {
            "code": "conversation_already_has_active_response", "event_id": event_id } }));
        bench.hear(done("own", "completed"));
        assert_eq!(bench.sent(), if known { vec![] } else { vec![RESPOND] });
    }
}

#[test]
fn nothing_of_an_answer_that_was_cut_goes_on() {
    let mut bench = Bench::new();
    bench.hear_all([created("r"), audio("r", "a", 1_600), words("r", "a", "Well")]);
    bench.played("a", 400, false);
    bench.cut("a", 800);
    let truncate = ClientEvent::Truncate { item: "a".into(), audio_end_ms: 100 };
    let cancel = ClientEvent::Cancel { response: Some("r".into()) };
    assert_eq!(bench.sent(), [truncate, cancel]);
    bench.events();
    bench.hear_all([
        audio("r", "a", 9),
        audio("r", "b", 9),
        words("r", "a", "x"),
        provider::call("r", "c"),
    ]);
    assert_eq!(bench.events(), []);
    assert_eq!(bench.realtime.counts().late, 4);
    bench.hear(done("r", "cancelled"));
    bench.hear_all([audio("r", "a", 9), created("r")]);
    assert!(!bench.events().iter().any(is_audio), "nor after its end");
    bench.cut("a", 900);
    assert_eq!(bench.sent(), [], "once");
    bench.hear_all([created("next"), audio("next", "n", 9)]);
    assert!(bench.events().iter().any(is_audio));
}

#[test]
fn a_cut_is_never_behind_the_audio_that_came() {
    let mut bench = Bench::new();
    bench.hear_all([created("r"), audio("r", "a", 83)]);
    bench.cut("a", 10_000);
    assert_eq!(bench.sent()[0], ClientEvent::Truncate { item: "a".into(), audio_end_ms: 10 });
}

#[test]
fn a_provider_that_cuts_by_itself_is_only_told_how_far_it_was_heard() {
    let mut bench = Bench::new();
    bench.hear_all([created("r"), audio("r", "a", 1_600)]);
    bench.hear(json!({ "type": "input_audio_buffer.speech_started", "audio_start_ms": 40, "item_id": "u" }));
    bench.cut("a", 800);
    assert!(matches!(&*bench.sent(), [ClientEvent::Truncate { .. }]));
    bench.hear(done("r", "cancelled"));
    let end = NativeEvent::ResponseDone { response: "r".into(), end: ResponseEnd::Cancelled };
    assert_eq!(bench.events().last(), Some(&end));
}

#[test]
fn a_cut_of_what_is_over_is_no_trouble() {
    let mut bench = Bench::with(Settings { turns: Turns::Ours, ..settings() });
    bench.hear(created("r"));
    bench.realtime.cancel();
    bench.realtime.cancel();
    let Some(Action::Send { event_id, event }) = bench.realtime.poll() else { panic!() };
    assert!(matches!(event, ClientEvent::Cancel { .. }) && bench.realtime.poll().is_none());
    bench.events();
    bench.hear(json!({ "type": "error", "error": { "code": "response_cancel_not_active", "event_id": event_id } }));
    assert_eq!((bench.events(), bench.realtime.counts().harmless), (vec![], 1));
    bench.realtime.ask(None);
    assert_eq!(bench.sent(), [RESPOND]);
    // One that is cut before it has a name.
    bench.realtime.cancel();
    assert_eq!(bench.sent(), []);
    bench.hear(created("s"));
    assert_eq!(bench.sent(), [ClientEvent::Cancel { response: Some("s".into()) }]);
}

#[test]
fn a_call_is_made_once_and_arguments_that_are_none_are_empty() {
    let mut bench = Bench::new();
    bench.events();
    bench.hear(created("r"));
    let broken = json!({ "type": "response.output_item.done", "response_id": "r", "item": {
        "type": "function_call", "call_id": "c", "name": "find", "arguments": "{\"x", "status": "completed" } });
    let list = json!({ "type": "response.function_call_arguments.done", "response_id": "r", "item_id": "i",
        "call_id": "d", "name": "find", "arguments": "[1]" });
    let torn = json!({ "type": "response.output_item.done", "response_id": "r", "item": {
        "type": "function_call", "call_id": "e", "name": "find", "arguments": "{}", "status": "incomplete" } });
    bench.hear_all([broken.clone(), broken, list, torn]);
    let calls: Vec<Call> = bench
        .events()
        .into_iter()
        .filter_map(|event| match event {
            NativeEvent::Call(call) => Some(call),
            _ => None,
        })
        .collect();
    assert_eq!(calls.iter().map(|call| call.id.as_str()).collect::<Vec<_>>(), ["c", "d"]);
    assert!(calls.iter().all(|call| call.arguments.0 == json!({}) && call.malformed.is_some()));
    assert_eq!(bench.realtime.counts().doubled_calls, 1);
    // The same call in another answer, and in another session.
    bench.hear(done("r", "completed"));
    bench.calls("s", &["c"]);
    bench.lost();
    bench.pass(250);
    bench.up();
    bench.calls("t", &["d"]);
    assert!(!bench.events().iter().any(|event| matches!(event, NativeEvent::Call(_))));
}

#[test]
fn n66_the_model_goes_on_when_all_calls_of_an_answer_have_a_result() {
    let mut bench = Bench::new();
    bench.calls("r", &["c", "d"]);
    assert!(bench.realtime.tool_result("c", &seven()));
    assert_eq!(bench.sent(), [result("c")]);
    assert!(bench.realtime.tool_result("d", &seven()));
    assert_eq!(bench.sent(), [result("d"), RESPOND]);
    assert!(!bench.realtime.tool_result("d", &seven()), "once");
    assert!(!bench.realtime.tool_result("x", &seven()), "nobody called it");
    assert_eq!((bench.sent(), bench.realtime.counts().stray_results), (vec![], 2));
    bench.hear_all([created("s"), done("s", "completed")]);
    assert_eq!(bench.sent(), [], "it was told");
}

#[test]
fn a_result_that_comes_while_the_model_speaks_waits_for_its_end() {
    let mut bench = Bench::new();
    bench.hear_all([created("r"), provider::call("r", "c"), audio("r", "a", 9)]);
    bench.realtime.tool_result("c", &seven());
    assert_eq!(bench.sent(), [result("c")]);
    bench.hear(done("r", "completed"));
    assert_eq!(bench.sent(), [RESPOND]);
}

#[test]
fn an_answer_of_the_providers_own_knows_of_the_results_that_it_had() {
    for known in [true, false] {
        let mut bench = Bench::new();
        bench.calls("r", &["c"]);
        bench.hear(json!({ "type": "input_audio_buffer.speech_started" }));
        bench.realtime.tool_result("c", &seven());
        assert_eq!(bench.sent(), [result("c")], "the user speaks");
        let added = json!({ "type": "conversation.item.added",
            "item": { "type": "function_call_output", "call_id": "c", "output": "7" } });
        if known {
            bench.hear(added.clone());
        }
        bench.hear(json!({ "type": "input_audio_buffer.speech_stopped" }));
        let mut idle = bench.realtime.clone();
        assert_eq!(bench.sent(), [], "the provider is about to answer");
        bench.hear_all([created("own"), added, done("own", "completed")]);
        assert_eq!(bench.sent(), if known { vec![] } else { vec![RESPOND] });
        // If it does not, it is asked.
        idle.tick(1_999);
        assert_eq!(idle.poll(), None);
        idle.tick(2_000);
        assert!(matches!(idle.poll(), Some(Action::Send { event, .. }) if event == RESPOND));
    }
}

#[test]
fn an_answer_that_stalls_is_given_up() {
    let mut bench = Bench::new();
    bench.hear_all([created("r"), audio("r", "a", 5)]);
    bench.pass(29_999);
    bench.hear(words("r", "a", "still here"));
    bench.pass(29_999);
    bench.events();
    bench.sent();
    bench.pass(1);
    assert_eq!(bench.sent(), [ClientEvent::Cancel { response: Some("r".into()) }]);
    let events = bench.events();
    assert_eq!(events[0], NativeEvent::ItemDone { item: "a".into() });
    assert!(matches!(&events[1], NativeEvent::Trouble(error) if error.kind == ErrorKind::Stalled));
    bench.hear(audio("r", "a", 5));
    assert_eq!(bench.events(), []);
}

#[test]
fn a_failed_answer_is_trouble_and_the_call_goes_on() {
    let mut bench = Bench::new();
    bench.events();
    bench.hear(created("r"));
    bench.hear(json!({ "type": "response.done", "response": { "id": "r", "status": "failed",
        "status_details": { "error": { "code": "rate_limit_exceeded", "message": "slow down" } } } }));
    let events = bench.events();
    assert!(
        matches!(&events[0], NativeEvent::Trouble(error) if error.kind == ErrorKind::Limited),
        "{events:?}"
    );
    bench.realtime.ask(None);
    assert_eq!(bench.sent(), [RESPOND]);
}

#[test]
fn turns_that_are_ours_are_committed_and_answered() {
    let mut bench = Bench::with(Settings { turns: Turns::Ours, ..settings() });
    bench.realtime.append(&[0; 799]);
    assert!(!bench.realtime.commit(), "a provider refuses less than 100 ms");
    bench.realtime.append(&[0; 1]);
    assert!(bench.realtime.commit());
    assert_eq!(bench.sent()[2..], [ClientEvent::Commit, RESPOND]);
    bench.realtime.append(&[0; 800]);
    bench.realtime.clear();
    assert!(!bench.realtime.commit());
    bench.sent();
    bench.hear_all([created("r"), done("r", "completed")]);
    bench.realtime.write("and this");
    assert_eq!(bench.sent(), [ClientEvent::Create(NewItem::User("and this".into())), RESPOND]);
}

#[test]
fn what_waits_is_bounded() {
    let mut bench = Bench::new();
    for _ in 0..10_000 {
        bench.realtime.append(&[0; 160]);
    }
    assert!(
        bench.realtime.actions.len() <= ACTIONS_MAX && bench.realtime.counts().unheard_samples > 0
    );
    bench.hear(created("r"));
    for _ in 0..10_000 {
        bench.hear(audio("r", "a", 1));
    }
    assert!(bench.realtime.events.len() <= EVENTS_MAX + 8, "{}", bench.realtime.events.len());
    assert!(!bench.realtime.link.is_up(), "nobody takes it");
    for _ in 0..100 {
        bench.realtime.append(&[0; 8_000]);
    }
    assert_eq!(bench.realtime.backlog.len(), 80_000);
    for n in 0..10_000 {
        bench.realtime.write(&n.to_string());
    }
    assert!(bench.realtime.memory.len() <= memory::ENTRIES_MAX);
}

#[test]
fn what_nobody_knows_is_counted() {
    let mut bench = Bench::new();
    bench.events();
    bench.hear(json!({ "type": "response.hologram.delta" }));
    bench.realtime.received("no JSON");
    assert_eq!((bench.events(), bench.sent()), (vec![], vec![]));
    let Counts { unknown, unreadable, .. } = bench.realtime.counts();
    assert_eq!((unknown, unreadable), (1, 1));
}

#[test]
fn an_adapter_cuts_and_the_provider_learns_what_was_played() {
    let mut bench = Bench::with(Settings {
        tools: vec![Declaration {
            name: "find".into(),
            description: String::new(),
            parameters: Json(json!({})),
        }],
        ..settings()
    });
    let mut adapter = Adapter::new(Rules::new(8_000, 20), true).unwrap();
    let mut result = TickResult::default();
    let mut tick = |bench: &mut Bench| {
        bench.realtime.append(&[0; 160]);
        bench.events().into_iter().for_each(|event| adapter.take(event));
        adapter.tick(160, &mut result).unwrap();
        bench.realtime.heed(&result);
        result.clone()
    };
    bench.hear_all([
        created("r"),
        audio("r", "a", 1_600),
        words("r", "a", "abcdefghij"),
        item_done("r", "a"),
    ]);
    assert_eq!(tick(&mut bench).transcript, "a");
    tick(&mut bench);
    // The third tick begins at 40 ms.
    bench.hear(json!({ "type": "input_audio_buffer.speech_started", "audio_start_ms": 45, "item_id": "u" }));
    let cut = tick(&mut bench);
    assert_eq!((cut.truncated_samples, &*cut.cuts[0].spoken), (1_600 - 360, "abc"));
    let truncate = ClientEvent::Truncate { item: "a".into(), audio_end_ms: 45 };
    assert!(bench.sent().contains(&truncate));
    assert_eq!(bench.realtime.memory().spoken("a").unwrap().heard(), "abc");
    bench.hear_all([said("u"), done("r", "cancelled")]);
    assert!(!tick(&mut bench).is_speech);
}

#[test]
fn an_answer_that_was_silenced_is_not_told_to_end() {
    let mut bench = Bench::new();
    bench.realtime.write("one");
    bench.hear(created("r1"));
    bench.realtime.silence();
    bench.realtime.write("two");
    bench.hear(done("r1", "cancelled"));
    let events = bench.events();
    let ends = events.iter().filter(|e| matches!(e, NativeEvent::ResponseDone { .. })).count();
    assert_eq!(ends, 0, "{events:?}");
}

#[test]
fn wishes_beside_an_answer_are_one() {
    let mut bench = Bench::new();
    bench.realtime.write("one");
    bench.hear(created("r1"));
    bench.sent();
    bench.realtime.write("two");
    bench.realtime.write("three");
    bench.hear(done("r1", "completed"));
    bench.hear(created("r2"));
    bench.hear(done("r2", "completed"));
    let asked =
        bench.sent().into_iter().filter(|e| matches!(e, ClientEvent::Respond { .. })).count();
    assert_eq!(asked, 1);
}

#[test]
fn nobody_is_cut_off_in_the_midst_of_a_sentence_by_a_renewal() {
    let mut bench = Bench::with(Settings { turns: Turns::Ours, ..settings() });
    let renew = bench.realtime.settings.times.renew_ms;
    bench.pass(renew - 10);
    bench.actions();
    bench.realtime.append(&[1; 8_000]);
    bench.actions();
    bench.pass(20);
    assert!(!bench.actions().contains(&Action::Connect), "one second of the user's is lost");
}

#[test]
fn a_result_and_a_turn_have_one_answer() {
    let mut bench = Bench::with(Settings { turns: Turns::Ours, ..settings() });
    bench.realtime.write("one");
    bench.hear(created("r1"));
    bench.hear(provider::call("r1", "c"));
    bench.hear(done("r1", "completed"));
    bench.sent();
    // A typed no is told, and what came of it is answered.
    bench.realtime.tool_result("c", &ToolOutput::Denied(None));
    bench.realtime.note("no");
    let first =
        bench.sent().into_iter().filter(|e| matches!(e, ClientEvent::Respond { .. })).count();
    bench.hear(created("r2"));
    bench.hear(done("r2", "completed"));
    let second =
        bench.sent().into_iter().filter(|e| matches!(e, ClientEvent::Respond { .. })).count();
    assert_eq!((first, second), (1, 0));
}
