//! Calls made by hand, and what their page tells.

use serde_json::{Value, json};

use super::super::tests::{ANN, CONFIG, Scene, plan, scene};
use super::*;
use crate::graph::Cause;
use crate::id::{CallId, ItemId, UtteranceId};
use crate::session::event::CutCause;
use crate::tool::{Json, Outcome};

/// Puts something into a scene.
type Happens<'a> = &'a dyn Fn(&mut Scene);

pub(super) const NO_SOUND: Sound = Sound::None { why: String::new() };

/// Two desks, and a tool whose answer leads from one to the other.
pub(super) const DESKS: &str = "
name: desks
audio: { rate_hz: 16000 }
speech: { recogniser: { engine: pocketsphinx }, synthesiser: { engine: flite } }
start: desk
tools: { find: { canned: { otherwise: { state: lost } } } }
agents:
  desk:
    tools: [find]
    intents:
      - { name: order, phrases: [where is my order], call: { tool: find } }
      - { name: bill, phrases: [my bill] }
  lost: { arrival: Lost property. }
transitions:
  - { from: desk, to: lost, when: { intent: bill } }
  - { from: desk, to: lost, when: { tool_result: { tool: find, key: state, value: lost } }, say: Let me pass you on. }
";

pub(super) fn told(plan: &Arc<Plan>, scene: &Scene, timing: Timing) -> Report {
    let mut story = Story::new(Arc::clone(plan));
    for (tick, out) in scene.0.iter().enumerate() {
        story.tick(Tick(tick as u64), out, timing);
    }
    story.finish("the agent ended the call")
}

pub(super) fn html(report: &Report, sound: &Sound) -> String {
    String::from_utf8(report.html(sound)).unwrap()
}

/// The data of a page, as its script reads it.
pub(super) fn data(page: &str) -> Value {
    let (_, rest) = page.split_once(r#"<script type="application/json" id="data">"#).unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

/// What the page says in a list of reasons, one after another.
pub(super) fn reasons(page: &str, list: &str) -> Vec<String> {
    let cards = data(page)[list].as_array().unwrap().clone();
    let text = |piece: &Value| match piece {
        Value::String(text) => text.clone(),
        Value::Object(fields) => match fields.iter().next().unwrap() {
            (kind, Value::Number(ms)) if kind == "at" => {
                format!("{:.2} s", ms.as_f64().unwrap() / 1_000.0)
            }
            (kind, Value::String(words)) if kind == "quote" => format!("“{words}”"),
            (_, Value::String(words)) => words.clone(),
            other => panic!("no piece: {other:?}"),
        },
        other => panic!("no piece: {other}"),
    };
    cards.iter().map(|card| card["told"].as_array().unwrap().iter().map(text).collect()).collect()
}

fn checked(config: &str, scene: impl Fn(&mut Scene), list: &str, expected: &[&str]) {
    let plan = plan(config);
    let mut made = Scene::new(&plan, 120);
    made.event(0, EventKind::SessionCreated { agent: "desk".into() });
    made.event(0, EventKind::AgentStarted { agent: "desk".into() });
    made.event(0, EventKind::UserJoined { lane: ANN, name: "Ann".into() });
    scene(&mut made);
    let page = html(&told(&plan, &made, Timing::default()), &NO_SOUND);
    assert_eq!(reasons(&page, list), expected);
}

pub(super) fn speaks_over(
    scene: &mut Scene,
    utterance: u32,
    from: u64,
    stopped: u64,
    voiced_ms: u64,
) {
    let utterance = UtteranceId(utterance);
    let started = EventKind::UserSpeechStarted { lane: ANN, utterance, over_agent: true };
    scene.event(from, started);
    scene.event(stopped, EventKind::UserSpeechStopped { lane: ANN, utterance, voiced_ms });
}

pub(super) fn hears(scene: &mut Scene, tick: u64, utterance: u32, text: &str, confidence: f32) {
    let (utterance, text) = (UtteranceId(utterance), text.to_owned());
    let kind = EventKind::UserTranscript { lane: ANN, utterance, text, confidence, last: true };
    scene.event(tick, kind);
}

pub(super) fn cut(scene: &mut Scene, tick: u64, cause: CutCause, since: u64) {
    scene.event(
        tick,
        EventKind::AgentInterrupted {
            item: ItemId(0),
            cause,
            since: Tick(since),
            voiced_ms: 500,
            played_ms: 700,
            spoken: "You may return anything".into(),
            unspoken: " within thirty days.".into(),
        },
    );
}

pub(super) fn says_the_policy(scene: &mut Scene) {
    scene.message(2, 0, "You may return anything within thirty days.");
    scene.play(5, 0, (0, 4), false);
}

const SAYING: &str = "From 0.10 s desk was saying “You may return anything within thirty days.” ";
const CUT: &str = "desk was cut at 0.80 s, having said “You may return anything”. ";
const BY_VOICE: &str = "Ann spoke over it from 0.30 s. After 500 ms of voice over the agent (this \
                        configuration interrupts after 500 ms) ";
const REST: &str = "The rest, “within thirty days.”, was not heard. ";

#[test]
fn an_interruption_by_voice_is_confirmed_by_its_words() {
    let scene = |scene: &mut Scene| {
        says_the_policy(scene);
        speaks_over(scene, 0, 15, 60, 800);
        cut(scene, 40, CutCause::Voice, 15);
        hears(scene, 70, 0, "wait please", 1.0);
        scene.turn(70, 0, "wait please", Some("wait"), Some(35));
    };
    let words = "At 1.40 s the words were known, “wait please”: that confirmed the interruption, so \
                 the rest was dropped and the words were answered, as the intent wait.";
    let expected = format!("{SAYING}{BY_VOICE}{CUT}{REST}{words}");
    checked(DESKS, scene, "interruptions", &[&expected]);
    checked(DESKS, scene, "overlaps", &[]);
}

#[test]
fn a_false_interruption_says_why_the_agent_went_on() {
    let ends: [(Happens, &str); 4] = [
        (&|scene| hears(scene, 70, 0, "", 0.0), "But the recogniser made out no words in it"),
        (
            &|scene| hears(scene, 70, 0, "stop", 0.2),
            "But it was short, and the recogniser was so unsure of “stop” (confidence 0.20, 0.60 are \
             needed) that it counts as noise",
        ),
        (
            &|scene| {
                hears(scene, 70, 0, "okay", 1.0);
                let text = "okay".into();
                scene.event(70, EventKind::UserBackchannel { lane: ANN, text });
            },
            "But it was only “okay”, a sound of attention that takes no turn",
        ),
        (
            &|_| {},
            "But no words of it were known 2000 ms after the voice had stopped, the configured \
             patience",
        ),
    ];
    for (end, why) in ends {
        let scene = |scene: &mut Scene| {
            says_the_policy(scene);
            speaks_over(scene, 0, 15, 60, 600);
            cut(scene, 40, CutCause::Voice, 15);
            end(scene);
            scene.event(70, EventKind::AgentResumed);
        };
        let went_on = "a false interruption, so at 1.40 s desk went on where it was cut, with \
                       “within thirty days.”";
        let expected = format!("{SAYING}{BY_VOICE}{CUT}{why}: {went_on}");
        checked(DESKS, scene, "interruptions", &[&expected]);
    }
}

#[test]
fn words_and_typed_texts_interrupt_by_rules_of_their_own() {
    let by_words = |scene: &mut Scene| {
        says_the_policy(scene);
        speaks_over(scene, 0, 15, 30, 200);
        hears(scene, 40, 0, "stop", 1.0);
        cut(scene, 40, CutCause::Words, 25);
        scene.turn(40, 0, "stop", None, Some(25));
    };
    let rule = "Ann had begun to speak at 0.30 s, without reaching the 500 ms of unbroken voice over \
                the agent that interrupt by themselves. But the words, “stop”, are more than a sound of attention, so once they \
                were known ";
    let answered = "“stop” was answered instead; no intent was understood in it.";
    let expected = format!("{SAYING}{rule}{CUT}{REST}{answered}");
    checked(DESKS, by_words, "interruptions", &[&expected]);
    checked(DESKS, by_words, "overlaps", &[]);
    let by_text = |scene: &mut Scene| {
        says_the_policy(scene);
        cut(scene, 40, CutCause::Text, 40);
        scene.turn(40, 0, "hello", Some("hello"), None);
    };
    let rule = "Ann typed a message, and typed text always takes the turn; ";
    let expected =
        format!("{SAYING}{rule}{CUT}{REST}The message was “hello”, as the intent hello.");
    checked(DESKS, by_text, "interruptions", &[&expected]);
    // Nobody says anything that could decide it; what is said later is another matter.
    let by_key = |scene: &mut Scene| {
        says_the_policy(scene);
        cut(scene, 40, CutCause::Asked, 40);
        scene.turn(90, 0, "hello", Some("hello"), None);
    };
    let rule = "The user wanted it to stop, by a key and without a word; ";
    let expected = format!("{SAYING}{rule}{CUT}{}", REST.trim_end());
    checked(DESKS, by_key, "interruptions", &[&expected]);
}

/// A recogniser on a busy machine: what it heard cut the agent by voice first, then by words.
#[test]
fn words_that_come_too_late_interrupt_anew_and_it_is_told_whose_they_are() {
    let scene = |scene: &mut Scene| {
        says_the_policy(scene);
        speaks_over(scene, 0, 15, 60, 800);
        cut(scene, 40, CutCause::Voice, 15);
        scene.event(80, EventKind::AgentResumed);
        hears(scene, 90, 0, "wait please", 1.0);
        cut(scene, 90, CutCause::Words, 55);
        scene.turn(90, 0, "wait please", None, Some(55));
    };
    let went_on = "But no words of it were known 2000 ms after the voice had stopped, the configured \
                   patience: a false interruption, so at 1.60 s desk went on where it was cut, with \
                   “within thirty days.”";
    let rule = "Ann had begun to speak at 0.30 s, which cut the agent once already, but the words came \
                too late to confirm that. Now the words, “wait please”, are more than a sound of \
                attention, so once they were known desk was cut at 1.80 s, having said “You may return \
                anything”. ";
    let answered = "“wait please” was answered instead; no intent was understood in it.";
    let first = format!("{SAYING}{BY_VOICE}{CUT}{went_on}");
    checked(DESKS, scene, "interruptions", &[&first, &format!("{SAYING}{rule}{REST}{answered}")]);
}

#[test]
fn what_is_heard_over_the_agent_and_does_not_interrupt_is_told_as_well() {
    let during = "while desk was saying “You may return anything within thirty days.”, for 200 ms of \
                  voice. That is less than the 500 ms that interrupt by voice. ";
    let ends: [(Happens, &str, &str); 4] = [
        (
            &|scene| hears(scene, 40, 0, "", 0.0),
            "something was heard from Ann",
            "The recogniser made out no words in it, so it counts as noise (a cough, a door), and \
             desk was not interrupted.",
        ),
        (
            &|scene| {
                hears(scene, 40, 0, "yeah", 1.0);
                let text = "yeah".into();
                scene.event(40, EventKind::UserBackchannel { lane: ANN, text });
            },
            "Ann said “yeah”",
            "It only shows attention and does not take the turn, so desk was not interrupted.",
        ),
        (
            &|scene| hears(scene, 40, 0, "stop", 0.1),
            "something was heard from Ann",
            "The recogniser guessed “stop” but was too unsure (confidence 0.10, 0.60 are needed), so \
             it did not interrupt.",
        ),
        (
            &|scene| hears(scene, 40, 0, "stop", 1.0),
            "Ann began to say “stop”",
            "When its words were known the agent was no longer speaking, so there was nothing to \
             interrupt; they were answered as a turn.",
        ),
    ];
    for (end, what, why) in ends {
        let scene = |scene: &mut Scene| {
            says_the_policy(scene);
            speaks_over(scene, 0, 15, 30, 200);
            end(scene);
        };
        checked(DESKS, scene, "overlaps", &[&format!("At 0.30 s {what} {during}{why}")]);
    }
}

#[test]
fn a_hand_over_names_its_intent_or_the_result_that_led_to_it() {
    let arrives = |scene: &mut Scene| {
        scene.event(51, EventKind::AgentStarted { agent: "lost".into() });
        let (item, agent, text) = (ItemId(9), "lost".to_owned(), "Lost property.".to_owned());
        scene.event(51, EventKind::AgentMessage { item, agent, text });
        scene.play(60, 9, (0, 4), false);
    };
    let moves = |transition, cause| EventKind::TransitionExecuted {
        from: "desk".into(),
        to: "lost".into(),
        transition,
        cause,
    };
    let by_intent = |scene: &mut Scene| {
        scene.turn(50, 0, "it is about my bill", Some("bill"), Some(20));
        scene.event(50, moves(0, Cause::Intent("bill".into())));
        arrives(scene);
    };
    let expected = "At 1.00 s Ann had said “it is about my bill”, which desk understood as the intent \
                    bill. The transition desk → lost (number 0 of the configuration) fires on that \
                    intent. lost had the call from 1.02 s and was first heard at 1.20 s.";
    checked(DESKS, by_intent, "hand_overs", &[expected]);
    let by_result = |scene: &mut Scene| {
        scene.turn(49, 0, "where is my order", Some("order"), None);
        scene.call(49, 0, Outcome::Done(Json(json!({ "state": "lost" }))));
        scene.message(50, 3, "Let me pass you on.");
        let (tool, condition) = ("find".into(), "state eq \"lost\"".into());
        scene.event(50, moves(1, Cause::ToolResult { tool, condition }));
        arrives(scene);
    };
    let expected = "At 1.00 s desk learnt what the tool find, called at 0.98 s after Ann typed “where \
                    is my order”, answered at 0.98 s: {\"state\":\"lost\"}. The transition desk → \
                    lost (number 1 of the configuration) fires when state in the result of find is \
                    \"lost\", and it was \"lost\". desk announced it: “Let me pass you on.” lost had \
                    the call from 1.02 s and was first heard at 1.20 s.";
    checked(DESKS, by_result, "hand_overs", &[expected]);
    let refused = |scene: &mut Scene| {
        scene.turn(50, 0, "it is about my bill", Some("bill"), Some(20));
        let (from, to, cause) = ("desk".into(), "lost".into(), Cause::Intent("bill".into()));
        let reason = "4 hand-overs within one turn".into();
        scene.event(50, EventKind::TransitionRefused { from, to, cause, reason });
    };
    let expected = "At 1.00 s Ann had said “it is about my bill”, which desk understood as the intent \
                    bill. A transition desk → lost would have fired, but it was refused: 4 hand-overs \
                    within one turn, which is as many as the configuration allows. desk kept the \
                    call.";
    checked(DESKS, refused, "hand_overs", &[expected]);
}

#[test]
fn the_parts_of_an_answer_add_up_to_what_the_metrics_count() {
    let plan = plan(CONFIG);
    let report = told(&plan, &scene(&plan), Timing::default());
    let page = data(&html(&report, &NO_SOUND));
    let parts = ["silence_ms", "recogniser_ms", "turn_ms", "thinking_ms", "voice_ms"];
    let answers: Vec<_> = page["answers"].as_array().unwrap().iter().collect();
    let of = |answer: &Value, part: &str| answer[part].as_u64().unwrap();
    let split = answers.iter().map(|answer| parts.map(|part| of(answer, part)));
    assert_eq!(split.collect::<Vec<_>>(), [[500, 60, 0, 0, 40], [0, 0, 0, 0, 40]]);
    let metrics = report.metrics();
    let counted = [metrics.response_latency_ms.max, metrics.typed_response_latency_ms.max];
    assert_eq!(counted, [600, 40].map(Some));
    assert_eq!([0, 1].map(|n| of(answers[n], "total_ms")), [600, 40]);
}

#[test]
fn tools_have_bars_and_those_that_fail_a_reason() {
    let plan = plan(CONFIG);
    let mut made = scene(&plan);
    let (call, name, arguments) = (CallId(7), "find".to_owned(), Json(json!({})));
    made.event(37, EventKind::ToolCalled { call, name, arguments, occurrence: 2 });
    made.event(38, EventKind::ToolDeferred { call, name: "find".into() });
    let page = data(&html(&told(&plan, &made, Timing::default()), &NO_SOUND));
    let calls = &page["calls"];
    assert_eq!(calls[0]["result"], json!({ "days": 3, "state": "lost" }));
    assert_eq!((&calls[0]["from_ms"], &calls[0]["to_ms"]), (&json!(720), &json!(720)));
    assert_eq!(calls[1]["failure"], "no such number");
    assert_eq!([0, 1, 2].map(|n| &calls[n]["deferred"]), [false, false, true]);
    assert_eq!(calls[2]["to_ms"], Value::Null, "no result has come");
}

/// Whoever calls may be called anything, and say it.
#[test]
fn no_text_of_a_call_becomes_markup() {
    let nasty = "</script><img src=x onerror=alert(1)><!--<script>";
    let plan = plan(CONFIG);
    let mut made = scene(&plan);
    made.event(1, EventKind::UserJoined { lane: ANN, name: nasty.into() });
    made.turn(55, 5, nasty, Some(nasty), None);
    let why = Sound::None { why: nasty.into() };
    let page = html(&told(&plan, &made, Timing::default()), &why);
    assert!(!page.contains("<img") && !page.contains("<!--"));
    assert_eq!(page.matches("</script>").count(), 2);
    let told = data(&page);
    assert_eq!(told["sound"]["why"], nasty);
    assert_eq!(told["turns"].as_array().unwrap().last().unwrap()["intent"], nasty);
    assert_eq!(told["events"].as_array().unwrap().iter().filter(|e| e["name"] == nasty).count(), 1);
    for (part, end) in
        [(include_str!("page.css"), "</style"), (include_str!("page.js"), "</script")]
    {
        assert!(!part.contains(end) && !part.contains("http:") && !part.contains("https:"));
    }
}

#[test]
fn a_page_is_the_same_however_long_its_ticks_took_in_virtual_time() {
    let plan = plan(CONFIG);
    let timed = |step_ns, lateness_ns| {
        html(&told(&plan, &scene(&plan), Timing { step_ns, lateness_ns, skipped: 0 }), &NO_SOUND)
    };
    assert!(timed(1, None) == timed(999_999, None));
    assert_eq!(data(&timed(1, None))["lateness"], Value::Null);
    let live = data(&timed(7_001, Some(12_345)));
    assert_eq!(
        live["lateness"]["bins"],
        json!([{ "from_us": 8, "to_us": 16, "ticks": 61 }]),
        "61 ticks, each 12 µs late"
    );
}

#[test]
fn a_long_call_is_told_within_its_bounds_and_what_is_left_out_is_named() {
    let plan = plan(CONFIG);
    let mut story = Story::new(Arc::clone(&plan));
    let text = "and so on ".repeat(390);
    let mut out = Output::default();
    for tick in 0..6_000 {
        out.clear();
        let kind = EventKind::UserMessage {
            turn: crate::id::TurnId(tick),
            lane: ANN,
            text: text.clone(),
            intent: None,
            typed: true,
            last_voiced: Tick(0),
        };
        let tick = Tick(u64::from(tick));
        out.events.push(Event { seq: tick.0, tick, kind });
        story.tick(tick, &out, Timing::default());
    }
    assert!(story.events.json.len() <= EVENTS_ROOM && story.events.json.len() > EVENTS_ROOM / 2);
    let left_out = data(&html(&story.finish("enough"), &NO_SOUND))["left_out"].clone();
    let left_out: Vec<_> = left_out.as_array().unwrap().iter().map(Value::to_string).collect();
    assert!(left_out[0].ends_with("events are in events.jsonl alone\""), "{left_out:?}");
    assert_eq!(left_out[1], "\"1000 turns are in transcript.json alone\"");
}

#[test]
fn the_sound_of_a_long_call_stays_beside_its_page() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("conversation.wav");
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = crate::pcm::wav_writer::WavWriter::new(file, 8_000, 2).unwrap();
    writer.write(&[5; 2 * 16_001]).unwrap();
    writer.finish().unwrap();
    assert!(matches!(Sound::of_file(&path, 3), Sound::Inside { .. }));
    let Sound::Beside { name, why } = Sound::of_file(&path, 2) else { panic!("it is too long") };
    assert_eq!(name, "conversation.wav");
    assert!(why.contains("antiphon report --embed"), "{why}");
    let plan = plan(CONFIG);
    let report = told(&plan, &scene(&plan), Timing::default());
    let beside = html(&report, &Sound::Beside { name, why });
    assert!(beside.contains("media-src 'self' file:;"));
    assert!(html(&report, &NO_SOUND).contains("media-src blob:;"));
    let missing = Sound::of_file(&dir.path().join("nowhere.wav"), 2);
    assert!(
        matches!(missing, Sound::None { why } if why.starts_with("nowhere.wav cannot be read"))
    );
}
