//! Connections that come and go, and what another session is told.

use super::*;
use crate::think::native::realtime::settings::Times;

#[test]
fn a_lost_session_is_followed_by_one_that_knows_the_conversation() {
    let mut bench = Bench::new();
    bench.hear(json!({ "type": "input_audio_buffer.committed", "item_id": "u" }));
    bench.hear_all([
        created("r"),
        audio("r", "a", 1_000),
        words("r", "a", "abcdefghij"),
        provider::call("r", "c"),
    ]);
    bench.hear(json!({ "type": "conversation.item.input_audio_transcription.completed",
        "item_id": "u", "transcript": "Where is it?" }));
    bench.hear_all([item_done("r", "a"), done("r", "completed")]);
    bench.cut("a", 500);
    bench.realtime.append(&[1; 800]);
    bench.sent();
    bench.events();
    bench.lost();
    assert!(matches!(&*bench.events(), [NativeEvent::Lost { last: false, .. }]));
    bench.realtime.append(&[1; 80]);
    bench.realtime.tool_result("c", &seven());
    assert_eq!(bench.actions(), [Action::Close]);
    bench.pass(249);
    assert_eq!(bench.actions(), []);
    bench.pass(1);
    assert_eq!(bench.actions(), [Action::Connect]);
    let sent = bench.up();
    let call = NewItem::Call { call: "c".into(), name: "find".into(), arguments: "{}".into() };
    assert_eq!(
        sent[1..],
        [
            ClientEvent::Create(NewItem::User("Where is it?".into())),
            ClientEvent::Create(NewItem::Assistant("abcde".into())),
            ClientEvent::Create(call),
            result("c"),
            ClientEvent::Append(vec![crate::pcm::g711::to_mu_law(1); 80]),
            RESPOND,
        ]
    );
    assert_eq!(bench.events(), [NativeEvent::Asked, NativeEvent::Ready { again: true }]);
    bench.hear(json!({ "type": "input_audio_buffer.speech_started", "audio_start_ms": 5 }));
    assert_eq!(
        bench.events(),
        [NativeEvent::SpeechStarted { at_ms: Some(105) }],
        "of the call's audio"
    );
    bench.cut("a", 600);
    assert_eq!(bench.sent(), [], "this session has no such item");
}

#[test]
fn what_is_heard_when_a_session_is_lost_is_played_on_and_continued() {
    let mut bench = Bench::new();
    bench.hear_all([created("r"), audio("r", "a", 1_000), words("r", "a", "abcdefghij")]);
    bench.played("a", 100, false);
    bench.sent();
    bench.events();
    bench.lost();
    assert_eq!(bench.events()[0], NativeEvent::ItemDone { item: "a".into() }, "no more comes");
    bench.pass(250);
    assert_eq!(bench.up().len(), 1, "what it knows of the item waits");
    bench.hear_all([audio("r", "a", 1_000), audio("s", "a", 1_000)]);
    assert!(!bench.events().iter().any(is_audio), "nothing is played twice");
    let mut interrupted = bench.realtime.clone();
    bench.played("a", 1_000, true);
    let told = ClientEvent::Create(NewItem::Assistant("abcdefghij".into()));
    assert_eq!(bench.sent()[0], told);
    bench.hear(done("s", "completed"));
    assert_eq!(bench.sent(), [RESPOND], "it goes on");
    // If the user cuts in, it does not.
    interrupted.interrupt(&[Cut {
        item: "a".into(),
        samples: 200,
        audio_end_ms: 25,
        spoken: "ab".into(),
    }]);
    let mut bench = Bench { realtime: interrupted, now: 250 };
    assert_eq!(bench.sent(), [ClientEvent::Create(NewItem::Assistant("ab".into()))]);
    bench.hear(done("s", "completed"));
    assert_eq!(bench.sent(), []);
}

#[test]
fn what_is_not_played_is_not_waited_for() {
    let mut bench = Bench::new();
    bench.hear_all([created("r"), audio("r", "a", 1_000), words("r", "a", "never")]);
    bench.lost();
    bench.pass(250);
    bench.up();
    bench.realtime.heed(&TickResult::default());
    assert!(bench.realtime.memory().is_playing(), "it has yet to be taken");
    bench.events();
    bench.realtime.heed(&TickResult::default());
    assert_eq!(bench.sent(), [RESPOND], "there is nothing to tell, and it goes on");
}

#[test]
fn an_answer_of_which_nothing_came_is_asked_for_again() {
    let mut bench = Bench::new();
    bench.calls("r", &["c"]);
    bench.realtime.tool_result("c", &seven());
    bench.lost();
    bench.pass(250);
    let sent = bench.up();
    assert_eq!(sent.last(), Some(&RESPOND));
    assert_eq!(sent.iter().filter(|event| **event == RESPOND).count(), 1);
    bench.hear_all([created("s"), done("s", "completed")]);
    assert_eq!(bench.sent(), []);
}

#[test]
fn a_session_is_renewed_in_a_pause_before_the_provider_ends_it() {
    let times = Times { renew_ms: 1_000, session_ms: 5_000, ..Times::default() };
    let mut bench = Bench::with(Settings { times, ..settings() });
    bench.hear_all([
        created("r"),
        audio("r", "a", 800),
        words("r", "a", "Yes."),
        item_done("r", "a"),
        done("r", "completed"),
    ]);
    bench.sent();
    bench.pass(4_000);
    assert_eq!(bench.actions(), [], "it is heard");
    bench.played("a", 800, true);
    bench.pass(1);
    assert_eq!(bench.actions(), [Action::Close, Action::Connect]);
    let lost = |event: &NativeEvent| matches!(event, NativeEvent::Lost { .. });
    assert!(!bench.events().iter().any(lost), "nothing is wrong");
    assert_eq!(bench.up()[1..], [ClientEvent::Create(NewItem::Assistant("Yes.".into()))]);
    // While somebody speaks, only when it has to be.
    bench.hear(json!({ "type": "input_audio_buffer.speech_started" }));
    bench.pass(4_998);
    assert_eq!(bench.actions(), []);
    bench.pass(2);
    assert_eq!(bench.actions(), [Action::Close, Action::Connect]);
}

#[test]
fn n72_a_connection_that_does_not_come_is_tried_again_and_not_for_ever() {
    let mut realtime = Realtime::new(settings());
    realtime.start();
    let mut bench = Bench { realtime, now: 0 };
    let (mut tries, mut waits) = (0, Vec::new());
    loop {
        assert_eq!(bench.actions().last(), Some(&Action::Connect));
        tries += 1;
        bench.pass(29_999);
        assert_eq!(bench.events(), []);
        bench.pass(1);
        assert_eq!(bench.actions(), [Action::Close]);
        match &*bench.events() {
            [NativeEvent::Lost { error, last }] => {
                assert_eq!(error.kind, ErrorKind::TimedOut);
                if *last {
                    break;
                }
            }
            events => panic!("{events:?}"),
        }
        let from = bench.now;
        while bench.realtime.actions.is_empty() {
            bench.pass(1);
        }
        waits.push(bench.now - from);
    }
    assert_eq!((tries, waits), (6, vec![250, 500, 1_000, 2_000, 4_000]));
    bench.pass(1_000_000);
    assert_eq!(bench.actions(), []);
    bench.realtime.start();
    assert_eq!(bench.actions(), [Action::Connect], "unless somebody begins anew");
}

#[test]
fn what_no_other_attempt_would_mend_is_the_end() {
    let mut bench = Bench::new();
    bench.events();
    bench.hear(json!({ "type": "error", "error": { "type": "invalid_request_error", "code": "invalid_api_key",
        "message": "Incorrect API key provided: sk-1234567890" } }));
    let events = bench.events();
    let [NativeEvent::Lost { error, last: true }] = &*events else { panic!("{events:?}") };
    assert_eq!(error.kind, ErrorKind::Unauthorised);
    assert!(!format!("{events:?}").contains("sk-"), "the key is not repeated");
    let mut realtime = Realtime::new(settings());
    realtime.start();
    realtime.connected();
    realtime.received(
        &json!({ "type": "error", "error": { "code": "unknown_parameter", "event_id": "ap-0" } })
            .to_string(),
    );
    assert!(
        matches!(realtime.poll_event(), Some(NativeEvent::Lost { last: true, .. })),
        "what it was asked to be"
    );
}

#[test]
fn a_session_that_the_provider_ends_is_followed_by_another() {
    let mut bench = Bench::new();
    bench.events();
    bench.hear(
        json!({ "type": "error", "error": { "code": "session_expired", "message": "60 minutes" } }),
    );
    assert!(matches!(&*bench.events(), [NativeEvent::Lost { last: false, .. }]));
    assert_eq!(bench.actions(), [Action::Close]);
}
