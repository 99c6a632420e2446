//! Agents whose models hear and speak by themselves: what the model is given and told, what is heard of it, its calls, and
//! what happens when the user speaks meanwhile or the model fails.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use std::collections::VecDeque;

use antiphon::id::{LaneId, NativeId};
use antiphon::model::minds::{Answer, Oracle};
use antiphon::pcm::Clip;
use antiphon::session::input::Inbound;
use antiphon::sim::caller::{Part, When};
use antiphon::sim::replay::{Replayed, replay};
use antiphon::think::chat::{
    Call, ErrorKind, Message, ModelDelta, ModelError, ModelRequest, Role, ToolOutput,
};
use antiphon::think::native::event::{NativeEvent, ResponseEnd};
use antiphon::think::native::wish::NativeWish;
use serde_json::{Value, json};
use stage::{Hears, Scene, Stage, caller, goes_on_alike, plays, types};

/// A desk whose model hears and speaks, and a colleague; nobody else hears or speaks.
const DESK: &str = "
name: desk
audio: { tick_ms: 20, rate_hz: 16000 }
speech: { apology: Sorry about that. }
start: desk
models:
  voice: { provider: canned, latency_ms: 100, timeout_ms: 2000, replies: [{ say: Nothing. }] }
agents:
  desk:
    kind: native
    model: voice
    instructions: 'You serve at a desk. It is {fact.day}.'
    tools: [clock, till, slow, hand_over, end_call]
  bills:
    kind: native
    model: voice
    instructions: You know bills.
    tools: [clock]
tools:
  clock: { description: Tells the time., canned: { otherwise: { time: noon } } }
  slow:
    description: Takes its time.
    run: worker
    patience_ms: 500
    canned: { otherwise: { done: true }, takes_ms: 1500 }
  till:
    description: Takes money.
    parameters: { type: object, required: [amount], properties: { amount: { type: integer } }, additionalProperties: false }
    approval: Shall I take {amount} euros?
    canned: { otherwise: { paid: true } }
transitions:
  - { from: desk, to: bills, when: { decision: {} } }
";

/// A model with its answers, one for each that is wanted.
struct Model(VecDeque<Answer>);

impl Oracle for Model {
    fn ask(&mut self, _: &ModelRequest) -> Answer {
        let none = || (vec![], Some(ModelError::new(ErrorKind::Provider, "asked too often")));
        self.0.pop_front().unwrap_or_else(none)
    }
}

fn model(answers: impl IntoIterator<Item = Answer>) -> Model {
    Model(answers.into_iter().collect())
}

fn says(text: &str) -> Answer {
    (vec![ModelDelta::Text(text.to_owned())], None)
}

fn calls(text: &str, calls: &[(&str, &str, Value)]) -> Answer {
    let (mut deltas, _) = says(text);
    deltas.retain(|delta| *delta != ModelDelta::Text(String::new()));
    for (index, (id, name, arguments)) in (0..).zip(calls) {
        deltas.push(ModelDelta::ToolCall {
            index,
            id: (*id).to_owned(),
            name: (*name).to_owned(),
            arguments: arguments.to_string(),
            provider_executed: false,
        });
    }
    (deltas, None)
}

fn quiet(name: &str) -> Part {
    Part { audio: false, hang_up_ms: 4_000, ..caller(name) }
}

fn typed(yaml: &str, answers: impl IntoIterator<Item = Answer>, lines: &[(u32, &str)]) -> Scene {
    let lines: Vec<_> = lines.iter().map(|(ms, text)| types(When::Start(*ms), text)).collect();
    Stage::new(yaml).native("voice", model(answers)).caller(quiet("ann"), lines).play()
}

/// What was wanted of the model, without what it heard.
fn wishes(scene: &Scene) -> Vec<&NativeWish> {
    let all = scene.wishes.iter().map(|(_, _, wish)| wish);
    all.filter(|wish| **wish != NativeWish::Hear).collect()
}

fn count(scene: &Scene, of: impl Fn(&NativeWish) -> bool) -> usize {
    scene.wishes.iter().filter(|(_, _, wish)| of(wish)).count()
}

fn told(native: u32, event: NativeEvent) -> Inbound {
    Inbound::Native { native: NativeId(native), event }
}

fn audio(item: &str, samples: usize) -> NativeEvent {
    NativeEvent::Audio { item: item.to_owned(), pcm: Clip::from(vec![1_000; samples]) }
}

fn words(item: &str, text: &str) -> NativeEvent {
    NativeEvent::Words { item: item.to_owned(), text: text.to_owned() }
}

fn done(item: &str) -> NativeEvent {
    NativeEvent::ItemDone { item: item.to_owned() }
}

fn over() -> NativeEvent {
    NativeEvent::ResponseDone { response: "r".to_owned(), end: ResponseEnd::Completed }
}

fn heard(item: &str, text: &str) -> NativeEvent {
    NativeEvent::Heard { item: item.to_owned(), text: text.to_owned(), last: true }
}

fn all(native: u32, events: impl IntoIterator<Item = NativeEvent>) -> Vec<Inbound> {
    events.into_iter().map(|event| told(native, event)).collect()
}

fn tick(event: &Value) -> u64 {
    event["tick"].as_u64().unwrap()
}

#[test]
fn a_typed_turn_is_answered_by_a_model_that_speaks() {
    let yaml =
        DESK.replace("    tools: [clock, till", "    greeting: Hello.\n    tools: [clock, till");
    let scene = typed(&yaml, [says("It is noon. We close at six.")], &[(2_000, "what time is it")]);
    let NativeWish::Open { model, settings, history } = wishes(&scene)[0] else { panic!() };
    assert_eq!((model.as_str(), history.len()), ("voice", 0));
    assert_eq!(settings.instructions, "You serve at a desk. It is .");
    assert_eq!(settings.tools.len(), 5);
    assert_eq!(*wishes(&scene)[1], NativeWish::Ask { say: Some("Hello.".into()) });
    assert_eq!(scene.messages(), ["Hello.", "It is noon. We close at six."]);
    assert!(scene.was_heard("Hello.") && scene.was_heard("It is noon. We close at six."));
    assert_eq!(scene.transcript, ["Hello.", "what time is it", "It is noon. We close at six."]);
    // It is heard while it is still being made, and its words are those that came.
    let began = &scene.all("agent.began")[1];
    let started = &scene.all("agent.speech_started")[1];
    let whole = &scene.all("agent.message")[1];
    assert!(tick(began) == tick(started) && tick(started) < tick(whole));
    let item = &began["item"];
    let said: Vec<String> = scene
        .all("agent.words")
        .into_iter()
        .filter(|event| event["item"] == *item)
        .map(|event| event["text"].as_str().unwrap().to_owned())
        .collect();
    assert!(said.len() > 1);
    assert_eq!(said.concat(), "It is noon. We close at six.");
    let answered = &scene.all("model.answered")[1];
    assert_eq!(answered["first_after_ticks"], 5);
    assert_eq!(scene.all("model.asked").len(), 2);
}

#[test]
fn without_a_recogniser_a_voice_is_a_turn_and_only_what_belongs_to_it_is_heard() {
    let lines = [plays(When::Start(2_000), "caller-02-hours")];
    let scene = Stage::new(DESK)
        .native("voice", model([says("From nine to six.")]))
        .caller(caller("ann"), lines)
        .play();
    let heard: Vec<u64> =
        scene.wishes.iter().filter(|(_, _, w)| *w == NativeWish::Hear).map(|(t, ..)| *t).collect();
    let (started, stopped) = (scene.one("user.speech_started"), scene.one("user.speech_stopped"));
    assert_eq!(heard.first(), Some(&tick(&started)));
    // Without a hole, to the end of the turn.
    assert_eq!(heard.len() as u64, tick(&stopped) + 1 - tick(&started));
    let commit = scene.wishes.iter().find(|(_, _, w)| matches!(w, NativeWish::Commit { .. }));
    let (at, _, commit) = commit.unwrap();
    assert_eq!(*at, tick(&stopped), "the silence that ends the utterance ends the turn");
    assert_eq!(*commit, NativeWish::Commit { words: String::new(), answer: true });
    assert!(scene.was_heard("From nine to six."));
    // The model has written down nothing.
    assert!(scene.all("user.message").is_empty());
}

#[test]
fn what_is_written_down_later_stands_where_it_was_said() {
    let lines = [plays(When::Start(1_000), "caller-02-hours")];
    let scene = Stage::new(DESK)
        .caller(caller("ann"), lines)
        .happens(260, all(0, [words("a", "From nine "), audio("a", 16_000)]))
        .happens(
            270,
            all(
                0,
                [
                    NativeEvent::Heard { item: "u".into(), text: "When do".into(), last: false },
                    words("a", "to six."),
                    done("a"),
                    heard("u", "When do you open?"),
                ],
            ),
        )
        .happens(
            330,
            all(0, [NativeEvent::Call(Call::new("c", "hand_over", json!({ "to": "bills" })))]),
        )
        .play();
    let message = scene.one("user.message");
    assert_eq!((tick(&message), &message["text"]), (270, &json!("When do you open?")));
    let written = scene.each("user.transcript", "text");
    assert_eq!(written, ["When do", "When do you open?"]);
    assert_eq!(scene.each("user.transcript", "last"), [false, true]);
    // The next agent knows it in the order in which it was said.
    let NativeWish::Open { history, settings, .. } =
        wishes(&scene).into_iter().rfind(|wish| matches!(wish, NativeWish::Open { .. })).unwrap()
    else {
        panic!()
    };
    assert_eq!(settings.instructions, "You know bills.");
    let roles: Vec<Role> = history.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::Tool]);
    assert_eq!(history[0].words(), "When do you open?");
    assert_eq!(history[1].words(), "From nine to six.");
    assert_eq!(history[1].calls().next().map(|call| call.name.as_str()), Some("hand_over"));
    let closed = count(&scene, |wish| *wish == NativeWish::Close);
    assert_eq!(closed, 2, "one at the hand-over, one at the end");
}

#[test]
fn a_barge_in_by_voice_cuts_at_once_and_the_model_learns_what_was_heard() {
    let lines = [
        plays(When::Start(1_000), "caller-07-policy"),
        plays(When::AgentSpoke(2_000), "caller-08-barge-in"),
    ];
    let long = "You may return anything within thirty days as long as it is clean and in its box.";
    let scene = Stage::new(DESK)
        .native("voice", model([says(long), says("Of course.")]))
        .caller(caller("ann"), lines)
        .play();
    let cut = scene.one("agent.interrupted");
    let (spoken, unspoken) = (cut["spoken"].as_str().unwrap(), cut["unspoken"].as_str().unwrap());
    assert!(long.starts_with(&format!("{spoken}{unspoken}")) && !spoken.is_empty());
    let (at, _, wish) =
        scene.wishes.iter().find(|(_, _, wish)| matches!(wish, NativeWish::Cut { .. })).unwrap();
    let NativeWish::Cut { samples, .. } = wish else { panic!() };
    assert_eq!(*at, tick(&cut));
    assert_eq!(samples / 16, cut["played_ms"].as_u64().unwrap());
    let next = &scene.wishes[scene.wishes.iter().position(|(_, _, of)| of == wish).unwrap() + 1];
    assert_eq!(next.2, NativeWish::Cancel);
    // From the tick after the fade on there is silence.
    assert!(scene.audio_at(at + 1).iter().all(|sample| *sample == 0));
    assert!(scene.was_heard("Of course."));
    assert_eq!(
        scene.each("model.dropped", "ask").len(),
        usize::from(unspoken.len() + spoken.len() < long.len())
    );
    assert_eq!(count(&scene, |wish| matches!(wish, NativeWish::Commit { .. })), 2);
}

#[test]
fn a_sound_of_attention_does_not_interrupt_and_is_not_answered() {
    let lines =
        [plays(When::Start(1_000), "caller-07-policy"), plays(When::AgentSpoke(1_000), "mm-hmm")];
    let long = "You may return anything within thirty days as long as it is clean and in its box.";
    let scene =
        Stage::new(DESK).native("voice", model([says(long)])).caller(caller("ann"), lines).play();
    assert!(scene.was_heard(long));
    assert_eq!(count(&scene, |wish| matches!(wish, NativeWish::Commit { .. })), 1);
    assert_eq!(count(&scene, |wish| *wish == NativeWish::Clear), 1);
}

#[test]
fn with_a_recogniser_an_interruption_without_words_is_taken_back() {
    let yaml = DESK.replace(
        "speech: { apology",
        "speech: { recogniser: { engine: pocketsphinx, latency_ms: 20 }, apology",
    );
    let long = "You may return anything within thirty days as long as it is clean and in its box.";
    let lines = [
        plays(When::Start(1_000), "caller-07-policy"),
        plays(When::AgentSpoke(1_000), "caller-08-barge-in"),
    ];
    let scene = Stage::new(&yaml)
        .native("voice", model([says(long)]))
        .hears([Hears::Words("what is the policy"), Hears::Words("")])
        .caller(caller("ann"), lines)
        .play();
    let commit = wishes(&scene).into_iter().find(|wish| matches!(wish, NativeWish::Commit { .. }));
    let words = "what is the policy".to_owned();
    assert_eq!(commit, Some(&NativeWish::Commit { words, answer: true }));
    assert_eq!(scene.all("agent.resumed").len(), 1);
    assert!(scene.was_heard(long));
    assert_eq!(count(&scene, |wish| matches!(wish, NativeWish::Cut { .. })), 0);
}

#[test]
fn a_call_is_made_and_the_model_goes_on_with_what_came_of_it() {
    let answers = [
        calls("One moment.", &[("c1", "clock", json!({})), ("c2", "clock", json!({}))]),
        says("It is noon."),
    ];
    let scene = typed(DESK, answers, &[(1_000, "what time is it")]);
    assert_eq!(scene.messages(), ["One moment.", "It is noon."]);
    assert_eq!(scene.all("tool.called").len(), 2);
    let results: Vec<_> = wishes(&scene)
        .into_iter()
        .filter_map(|wish| match wish {
            NativeWish::Result { call, output, .. } => Some((call.as_str(), output.clone())),
            _ => None,
        })
        .collect();
    let noon = ToolOutput::Json(json!({ "time": "noon" }).into());
    assert_eq!(results, [("c1", noon.clone()), ("c2", noon)]);
    assert_eq!(scene.each("model.asked", "step"), [0, 1]);
}

#[test]
fn a_call_that_cannot_be_made_is_told_and_the_model_goes_on() {
    let mut broken = Call::new("c3", "clock", json!({}));
    broken.malformed = Some("no JSON".to_owned());
    let events = [
        NativeEvent::Call(Call::new("c1", "nobody", json!({}))),
        NativeEvent::Call(Call::new("c2", "till", json!({ "amount": "many" }))),
        NativeEvent::Call(broken),
        over(),
    ];
    let scene = Stage::new(DESK)
        .caller(quiet("ann"), [types(When::Start(500), "hello")])
        .happens(50, all(0, events))
        .play();
    let told: Vec<String> = wishes(&scene)
        .into_iter()
        .filter_map(|wish| match wish {
            NativeWish::Result { output, .. } => Some(output.text()),
            _ => None,
        })
        .collect();
    assert_eq!(told.len(), 3);
    assert!(told[0].contains("unknown_tool") && told[0].contains("clock"), "{told:?}");
    assert!(told[1].contains("invalid_args") && told[1].contains("amount"), "{told:?}");
    assert!(told[2].contains("no JSON"), "{told:?}");
    assert!(scene.all("tool.called").is_empty());
}

#[test]
fn a_call_that_needs_a_yes_is_made_after_a_yes_and_after_nothing_else() {
    for (answer, paid) in [("yes please", true), ("no", false), ("how much was it", false)] {
        let answers = [
            calls("", &[("c1", "till", json!({ "amount": 30 }))]),
            says(if paid { "It is paid." } else { "As you like." }),
        ];
        let scene = typed(DESK, answers, &[(500, "I want to pay"), (6_000, answer)]);
        assert!(scene.was_heard("Shall I take 30 euros?"), "{answer}");
        let given = scene.one("approval.given");
        assert_eq!((&given["approved"], tick(&given)), (&json!(paid), 300), "{answer}");
        assert_eq!(scene.all("tool.called").len(), usize::from(paid), "{answer}");
        let result = wishes(&scene).into_iter().find_map(|wish| match wish {
            NativeWish::Result { output, .. } => Some(output.clone()),
            _ => None,
        });
        let is_denied = matches!(result, Some(ToolOutput::Denied(_)));
        assert_eq!(is_denied, !paid, "{answer}: {result:?}");
    }
}

#[test]
fn a_spoken_yes_counts_when_its_words_are_written_down_and_nothing_is_answered_before() {
    let lines =
        [types(When::Start(500), "I want to pay"), plays(When::Start(4_000), "caller-10-goodbye")];
    let call = NativeEvent::Call(Call::new("c", "till", json!({ "amount": 3 })));
    let question = [words("q", "Shall I take 3 euros?"), audio("q", 16_000), done("q"), over()];
    let scene = Stage::new(DESK)
        .caller(caller("ann"), lines)
        .happens(40, all(0, [call, over()]))
        .happens(50, all(0, question))
        .happens(350, all(0, [heard("u", "Yes, please.")]))
        .happens(360, all(0, [words("d", "Done."), audio("d", 1_600), done("d"), over()]))
        .play();
    let commit = wishes(&scene).into_iter().find(|wish| matches!(wish, NativeWish::Commit { .. }));
    assert_eq!(commit, Some(&NativeWish::Commit { words: String::new(), answer: false }));
    assert_eq!(tick(&scene.one("approval.given")), 350);
    assert_eq!(scene.one("tool.called")["name"], "till");
    assert!(scene.was_heard("Done."));
}

#[test]
fn a_goodbye_is_heard_to_its_end_and_its_call_is_not_answered() {
    let answers = [calls("Goodbye, and thank you.", &[("c", "end_call", json!({}))])];
    let scene = typed(DESK, answers, &[(1_000, "bye")]);
    assert!(scene.was_heard("Goodbye, and thank you."));
    assert_eq!(scene.one("session.ended")["reason"], "agent_ended");
    assert_eq!(count(&scene, |wish| matches!(wish, NativeWish::Result { .. })), 0);
    assert_eq!(wishes(&scene).last(), Some(&&NativeWish::Close));
}

#[test]
fn the_model_goes_on_without_a_slow_call_and_is_told_later() {
    let answers =
        [calls("", &[("c", "slow", json!({}))]), says("I am still looking."), says("There it is.")];
    let scene = typed(DESK, answers, &[(500, "look it up")]);
    assert_eq!(scene.messages(), ["I am still looking.", "There it is."]);
    let written = wishes(&scene).into_iter().rev().find_map(|wish| match wish {
        NativeWish::Write { text, .. } => Some(text.clone()),
        _ => None,
    });
    let written = written.unwrap();
    assert!(written.contains("`slow`") && written.contains("\"done\":true"), "{written}");
    assert_eq!(count(&scene, |wish| matches!(wish, NativeWish::Result { .. })), 1);
}

#[test]
fn where_the_provider_detects_turns_it_alone_cuts_and_nothing_is_committed() {
    let yaml = DESK
        .replace(
            "provider: canned, latency_ms: 100, timeout_ms: 2000, replies: [{ say: Nothing. }]",
            "model: m, timeout_ms: 2000",
        )
        .replace(
            "    model: voice\n    instructions: 'You",
            "    model: voice\n    turn_detection: server\n    instructions: 'You",
        )
        .replace("[clock, till, slow,", "[clock, slow,");
    let lines = [plays(When::Start(1_000), "caller-08-barge-in")];
    let scene = Stage::new(&yaml)
        .caller(caller("ann"), lines)
        .happens(40, all(0, [words("a", "One two three four five."), audio("a", 48_000)]))
        .happens(130, all(0, [NativeEvent::SpeechStarted { at_ms: Some(1_100) }]))
        .happens(132, all(0, [audio("a", 16_000), done("a"), over(), NativeEvent::Silenced]))
        .happens(170, all(0, [NativeEvent::SpeechStopped { at_ms: Some(2_000) }]))
        .happens(190, all(0, [words("b", "Yes?"), audio("b", 1_600), done("b"), over()]))
        .play();
    let cut = scene.one("agent.interrupted");
    assert_eq!(tick(&cut), 130, "not by the voice, which was there before");
    assert!(tick(&scene.one("user.speech_started")) < 110);
    assert_eq!(count(&scene, |wish| matches!(wish, NativeWish::Commit { .. })), 0);
    // It hears everything, from the first tick on.
    let hears = count(&scene, |wish| *wish == NativeWish::Hear);
    assert_eq!(hears, scene.ticks.len());
    // What still comes of what was cut is never heard.
    assert_eq!(scene.each("agent.began", "source"), ["a", "b"]);
    assert!(scene.was_heard("Yes?"));
    let settings = wishes(&scene).into_iter().find_map(|wish| match wish {
        NativeWish::Open { settings, .. } => Some(settings.clone()),
        _ => None,
    });
    assert!(settings.unwrap().turns.acts());
}

#[test]
fn what_comes_of_an_answer_that_was_cut_is_not_heard_until_the_model_is_silent() {
    let scene = Stage::new(DESK)
        .caller(quiet("ann"), [types(When::Start(200), "one"), types(When::Start(1_000), "two")])
        .happens(20, all(0, [words("a", "First."), audio("a", 64_000)]))
        .happens(51, all(0, [words("b", "Late."), audio("b", 16_000), done("b")]))
        .happens(52, all(0, [NativeEvent::Silenced]))
        .happens(60, all(0, [words("c", "Second."), audio("c", 16_000), done("c"), over()]))
        .play();
    assert_eq!(scene.each("agent.began", "source"), ["a", "c"]);
    assert_eq!(scene.each("agent.interrupted", "cause"), ["text"]);
    assert!(scene.was_heard("Second."));
    // One typed text cuts what is heard, and its turn silences what has not come.
    assert_eq!(count(&scene, |wish| *wish == NativeWish::Cancel), 1);
}

#[test]
fn a_model_of_which_nothing_comes_is_apologised_for() {
    let scene = Stage::new(DESK).caller(quiet("ann"), [types(When::Start(1_000), "hello")]).play();
    let failed = scene.one("model.failed");
    assert_eq!((tick(&failed), &failed["kind"]), (50 + 100, &json!("timed_out")));
    assert_eq!(scene.messages(), ["Sorry about that."]);
    assert_eq!(wishes(&scene).iter().filter(|wish| ***wish == NativeWish::Cancel).count(), 1);
}

#[test]
fn an_answer_that_fails_is_apologised_for_and_the_talk_goes_on() {
    let trouble = ModelError::new(ErrorKind::Limited, "slow down");
    let failed = NativeEvent::ResponseDone { response: "r".to_owned(), end: ResponseEnd::Failed };
    let scene = Stage::new(DESK)
        .caller(quiet("ann"), [types(When::Start(200), "one"), types(When::Start(1_000), "two")])
        .happens(20, all(0, [NativeEvent::Trouble(trouble), failed]))
        .happens(
            60,
            all(
                0,
                [NativeEvent::Silenced, words("c", "Here."), audio("c", 1_600), done("c"), over()],
            ),
        )
        .play();
    assert_eq!(scene.one("model.failed")["cause"], "slow down");
    assert_eq!(scene.messages(), ["Sorry about that.", "Here."]);
}

#[test]
fn a_connection_that_is_lost_is_told_and_one_that_is_lost_for_good_is_begun_anew() {
    let lost = |last| NativeEvent::Lost {
        error: ModelError::new(ErrorKind::Unavailable, "the line is dead"),
        last,
    };
    let lines = [types(When::Start(200), "one"), plays(When::Start(2_000), "caller-02-hours")];
    let scene = Stage::new(DESK)
        .caller(caller("ann"), lines)
        .happens(5, all(0, [NativeEvent::Ready { again: false }]))
        .happens(20, all(0, [words("a", "First."), audio("a", 3_200)]))
        .happens(21, all(0, [lost(false)]))
        .happens(30, all(0, [NativeEvent::Ready { again: true }]))
        .happens(40, all(0, [done("a"), over(), lost(true)]))
        .happens(41, all(0, [words("z", "From beyond."), audio("z", 3_200)]))
        .happens(300, all(1, [words("b", "Again."), audio("b", 3_200), done("b"), over()]))
        .play();
    assert_eq!(scene.each("model.disconnected", "last"), [false, true]);
    assert_eq!(scene.each("model.connected", "again"), [false, true]);
    assert_eq!(scene.messages(), ["First.", "Again."]);
    // Nobody has waited for anything: there is nothing to apologise for.
    assert!(scene.all("model.failed").is_empty());
    let opens: Vec<&(u64, NativeId, NativeWish)> =
        scene.wishes.iter().filter(|(_, _, w)| matches!(w, NativeWish::Open { .. })).collect();
    assert_eq!(opens.len(), 2);
    assert_eq!(opens[1].0, tick(&scene.one("user.speech_started")), "before the voice is lost");
    let NativeWish::Open { history, .. } = &opens[1].2 else { panic!() };
    let said: Vec<String> = history.iter().map(Message::words).collect();
    assert_eq!(said, ["one", "First."]);
}

#[test]
fn a_call_with_a_model_that_speaks_replays_and_goes_on_from_any_checkpoint() {
    let lines = [
        plays(When::Start(1_000), "caller-07-policy"),
        plays(When::AgentSpoke(1_500), "caller-08-barge-in"),
        types(When::AgentSilent(1_500), "what time is it"),
    ];
    let long = "You may return anything within thirty days as long as it is clean and in its box.";
    let answers = [
        says(long),
        says("Of course."),
        calls("One moment.", &[("c1", "clock", json!({}))]),
        says("It is noon."),
    ];
    let mut stage = Stage::new(DESK).native("voice", model(answers)).caller(caller("ann"), lines);
    for at in (20..700).step_by(40) {
        stage = stage.checkpoint_at(at);
    }
    let scene = stage.play();
    assert!(scene.was_heard("It is noon."), "{:?}", scene.messages());
    let journal = scene.read_journal();
    let ticks = scene.ticks.len() as u64;
    assert_eq!(replay(&journal, |_, _| {}), Ok(Replayed::Equal { ticks }), "without any model");
    assert!(scene.checkpoints.len() > 10);
    for bytes in &scene.checkpoints {
        goes_on_alike(bytes, &journal);
    }
}

fn lost(last: bool) -> NativeEvent {
    let error = ModelError::new(ErrorKind::Unavailable, "the line is dead");
    NativeEvent::Lost { error, last }
}

#[test]
fn words_after_a_lost_connection_are_those_of_their_own_turn() {
    let lines = [
        plays(When::Start(500), "caller-02-hours"),
        plays(When::Start(5_000), "caller-10-goodbye"),
    ];
    let scene = Stage::new(DESK)
        .caller(Part { hang_up_ms: 6_000, ..caller("ann") }, lines)
        .happens(
            200,
            all(0, [lost(false), words("a", "Nine."), audio("a", 1_600), done("a"), over()]),
        )
        .happens(390, all(0, [heard("u2", "Goodbye.")]))
        .play();
    let stopped = scene.each("user.speech_stopped", "utterance");
    let transcript = scene.one("user.transcript");
    assert_eq!(transcript["utterance"], stopped[1], "these are the words of the second utterance");
}

#[test]
fn what_is_said_on_hold_does_not_shift_later_words() {
    let yaml = DESK.replace("slow, hand_over", "slow, hold, hand_over");
    let lines = [
        plays(When::Start(1_000), "caller-02-hours"),
        plays(When::Start(6_000), "caller-10-goodbye"),
    ];
    let hold = |id: &str, on: bool| NativeEvent::Call(Call::new(id, "hold", json!({ "on": on })));
    let scene = Stage::new(&yaml)
        .caller(Part { hang_up_ms: 6_000, ..caller("ann") }, lines)
        .happens(20, all(0, [hold("h1", true), over()]))
        .happens(25, all(0, [over()]))
        .happens(250, all(0, [hold("h2", false), over()]))
        .happens(255, all(0, [over()]))
        .happens(440, all(0, [heard("u2", "Goodbye.")]))
        .play();
    let stopped = scene.all("user.speech_stopped");
    let message = scene.one("user.transcript");
    assert_eq!(message["utterance"], stopped[1]["utterance"]);
}

#[test]
fn a_yes_before_the_question_was_heard_is_none() {
    let call = NativeEvent::Call(Call::new("c", "till", json!({ "amount": 3000 })));
    let scene = Stage::new(DESK)
        .caller(
            quiet("ann"),
            [types(When::Start(500), "I want to pay"), types(When::Start(1_500), "yes")],
        )
        // A burst: what is said first, and the call, come within a tick.
        .happens(
            40,
            all(0, [words("m", "Is it the blue one?"), audio("m", 8_000), done("m"), call, over()]),
        )
        .play();
    assert!(scene.all("approval.asked").len() == 1);
    assert_eq!(scene.each("approval.given", "approved"), [false]);
    assert!(scene.all("tool.called").is_empty(), "nobody has heard the question");
}

#[test]
fn the_end_of_an_answer_that_was_cut_is_not_that_of_the_next() {
    let scene = Stage::new(DESK)
        .caller(
            quiet("ann"),
            [
                types(When::Start(200), "one"),
                types(When::Start(600), "two"),
                types(When::Start(1_000), "three"),
            ],
        )
        .happens(31, all(0, [NativeEvent::Silenced]))
        .happens(
            52,
            all(0, [words("b", "Two."), audio("b", 3_200), done("b"), NativeEvent::Silenced]),
        )
        .happens(60, all(0, [words("c", "Three."), audio("c", 3_200), done("c"), over()]))
        .play();
    assert_eq!(
        count(&scene, |wish| *wish == NativeWish::Cancel),
        2,
        "the answer to `two` is overtaken"
    );
}

#[test]
fn a_model_of_which_nothing_comes_after_a_cut_is_apologised_for() {
    let scene = Stage::new(DESK)
        .caller(
            Part { hang_up_ms: 8_000, ..quiet("ann") },
            [types(When::Start(200), "one"), types(When::Start(600), "two")],
        )
        .happens(31, all(0, [NativeEvent::Silenced]))
        .play();
    assert_eq!(scene.messages(), ["Sorry about that."]);
}

#[test]
fn the_next_agent_knows_what_was_said_last() {
    let lines = [plays(When::Start(1_000), "caller-03-billing")];
    let call = NativeEvent::Call(Call::new("c", "hand_over", json!({ "to": "bills" })));
    let scene = Stage::new(DESK)
        .caller(Part { hang_up_ms: 5_000, ..caller("ann") }, lines)
        .happens(255, all(0, [call, over()]))
        .happens(262, all(0, [heard("u", "I have a question about my bill.")]))
        .play();
    assert_eq!(scene.each("user.message", "text"), ["I have a question about my bill."]);
}

#[test]
fn a_conversation_that_is_lost_for_good_is_closed() {
    let lines = [plays(When::Start(1_000), "caller-02-hours")];
    let scene =
        Stage::new(DESK).caller(caller("ann"), lines).happens(20, all(0, [lost(true)])).play();
    let closed: Vec<u32> = scene
        .wishes
        .iter()
        .filter(|(_, _, w)| *w == NativeWish::Close)
        .map(|(_, n, _)| n.0)
        .collect();
    assert_eq!(closed, [0, 1]);
}

#[test]
fn who_talks_too_long_is_answered() {
    // caller-02-hours is heard from tick 31 to 132; 2,200 ms are over in tick 141, within the silence behind it.
    for (max, limit) in [(1_000, 81), (2_200, 141)] {
        let yaml =
            DESK.replace("start: desk\n", &format!("turn: {{ max_ms: {max} }}\nstart: desk\n"));
        let scene = Stage::new(&yaml)
            .native("voice", model([says("From nine to six."), says("Again.")]))
            .caller(
                Part { hang_up_ms: 8_000, ..caller("ann") },
                [plays(When::Start(500), "caller-02-hours")],
            )
            .play();
        assert_eq!(tick(&scene.one("limit.reached")), limit);
        let commit =
            scene.wishes.iter().find(|(_, _, wish)| matches!(wish, NativeWish::Commit { .. }));
        assert_eq!(commit.map(|(at, ..)| *at), Some(limit), "{max}");
    }
}

#[test]
fn a_typed_no_is_answered_once() {
    let answers = [
        calls("", &[("c1", "till", json!({ "amount": 30 }))]),
        says("As you like."),
        says("And another answer."),
    ];
    let scene = typed(DESK, answers, &[(500, "I want to pay"), (6_000, "no")]);
    assert_eq!(scene.messages(), ["Shall I take 30 euros?", "As you like."]);
}

#[test]
fn an_agent_that_becomes_native_by_a_reload_answers() {
    let desk = "
name: desk
audio: { tick_ms: 20, rate_hz: 16000 }
models:
  voice: { provider: canned, latency_ms: 100, timeout_ms: 2000, replies: [{ say: Nothing. }] }
agents:
  desk: ";
    let before = format!("{desk}{{ greeting: Hello. }}\n");
    let after = format!("{desk}{{ kind: native, model: voice }}\n");
    let after = antiphon::config::parse(after.as_bytes(), "after.yaml").unwrap();
    let scene = Stage::new(&before)
        .native("voice", model([says("Here I am.")]))
        .caller(Part { hang_up_ms: 8_000, ..quiet("ann") }, [types(When::Start(4_000), "hello")])
        .happens(100, [Inbound::Reload { config: after.to_json() }])
        .play();
    assert_eq!(scene.all("config.reloaded").len(), 1);
    assert!(scene.was_heard("Here I am."), "{:?}", scene.messages());
}

#[test]
fn two_things_that_are_told_at_once_have_one_answer() {
    // Both notes come while an answer is under way: the protocol asks for one answer after it.
    let call = |id: &str| NativeEvent::Call(Call::new(id, "slow", json!({})));
    let scene = Stage::new(DESK)
        .caller(Part { hang_up_ms: 6_000, ..quiet("ann") }, [types(When::Start(200), "look it up")])
        .happens(20, all(0, [call("c1"), call("c2"), over()]))
        .happens(60, all(0, [words("a", "I am still looking."), audio("a", 32_000)]))
        .happens(110, all(0, [done("a"), over()]))
        .happens(
            125,
            all(0, [words("b", "Both are there."), audio("b", 16_000), done("b"), over()]),
        )
        .play();
    assert_eq!(scene.messages(), ["I am still looking.", "Both are there."]);
}

#[test]
fn what_is_decided_is_not_asked_any_more() {
    let call = NativeEvent::Call(Call::new("c", "till", json!({ "amount": 3 })));
    let question = [words("q", "Shall I take 3 euros?"), audio("q", 16_000), done("q"), over()];
    let yes = Inbound::Custom {
        lane: None,
        name: "approval".into(),
        data: json!({ "approval": 0, "approved": true }).into(),
    };
    let scene = Stage::new(DESK)
        .caller(quiet("ann"), [types(When::Start(500), "I want to pay")])
        .happens(40, all(0, [call, over()]))
        .happens(45, [yes])
        .happens(50, all(0, question))
        .play();
    assert_eq!(tick(&scene.one("tool.called")), 45);
    assert!(!scene.was_heard("Shall I take 3 euros?"), "it is paid already");
}

#[test]
fn a_call_of_an_answer_that_was_cut_is_not_made() {
    let call = NativeEvent::Call(Call::new("c", "clock", json!({})));
    let scene = Stage::new(DESK)
        .caller(
            quiet("ann"),
            [types(When::Start(200), "one"), types(When::Start(1_000), "stop, do not")],
        )
        .happens(20, all(0, [words("a", "First."), audio("a", 64_000)]))
        .happens(51, all(0, [call]))
        .happens(52, all(0, [NativeEvent::Silenced]))
        .play();
    assert!(scene.all("tool.called").is_empty());
}

#[test]
fn where_the_provider_detects_turns_a_noise_does_not_keep_the_agent_silent() {
    let yaml = DESK
        .replace(
            "provider: canned, latency_ms: 100, timeout_ms: 2000, replies: [{ say: Nothing. }]",
            "model: m, timeout_ms: 2000",
        )
        .replace(
            "    model: voice\n    instructions: 'You",
            "    model: voice\n    turn_detection: server\n    instructions: 'You",
        )
        .replace("[clock, till, slow,", "[clock, slow,");
    let lines = [plays(When::Start(1_000), "caller-08-barge-in")];
    let scene = Stage::new(&yaml)
        .caller(caller("ann"), lines)
        .happens(80, all(0, [NativeEvent::SpeechStopped { at_ms: Some(1_400) }]))
        .happens(90, all(0, [words("b", "Yes?"), audio("b", 16_000), done("b"), over()]))
        .play();
    let began = tick(&scene.one("agent.began"));
    let started = tick(&scene.one("agent.speech_started"));
    println!(
        "began {began} started {started} stopped {:?}",
        scene.all("user.speech_stopped").iter().map(tick).collect::<Vec<_>>()
    );
    assert_eq!(began, started);
}

#[test]
fn in_a_canned_model_a_call_that_was_cancelled_does_not_hold_up_others() {
    let answers = [
        calls("", &[("c1", "clock", json!({}))]),
        calls("", &[("c2", "clock", json!({}))]),
        says("It is noon."),
    ];
    let scene = typed(DESK, answers, &[(500, "one"), (540, "two")]);
    assert_eq!(scene.messages(), ["It is noon."]);
}

#[test]
fn a_model_that_answers_early_answers_what_was_asked() {
    let yaml = DESK
        .replace(
            "provider: canned, latency_ms: 100, timeout_ms: 2000, replies: [{ say: Nothing. }]",
            "model: m, timeout_ms: 2000",
        )
        .replace(
            "    model: voice\n    instructions: 'You",
            "    model: voice\n    turn_detection: semantic\n    instructions: 'You",
        )
        .replace("[clock, till, slow,", "[clock, slow,");
    let lines = [plays(When::Start(1_000), "caller-02-hours")];
    let call = NativeEvent::Call(Call::new("c", "hand_over", json!({ "to": "bills" })));
    let scene = Stage::new(&yaml)
        .caller(caller("ann"), lines)
        // The session's own detector ends the utterance in tick 182.
        .happens(
            165,
            all(
                0,
                [
                    NativeEvent::SpeechStopped { at_ms: None },
                    NativeEvent::Committed { item: Some("u".into()) },
                ],
            ),
        )
        .happens(175, all(0, [words("a", "From nine to six."), audio("a", 16_000)]))
        .happens(200, all(0, [done("a"), over(), heard("u", "When do you open?")]))
        .happens(260, all(0, [call]))
        .play();
    let history = wishes(&scene).into_iter().rev().find_map(|wish| match wish {
        NativeWish::Open { history, .. } => Some(history.clone()),
        _ => None,
    });
    let said: Vec<String> = history.unwrap().iter().map(Message::words).collect();
    assert_eq!(said[..2], ["When do you open?", "From nine to six."]);
}

#[test]
fn a_noise_that_the_provider_does_not_notice_does_not_shift_words() {
    let yaml = DESK
        .replace(
            "provider: canned, latency_ms: 100, timeout_ms: 2000, replies: [{ say: Nothing. }]",
            "model: m, timeout_ms: 2000",
        )
        .replace(
            "    model: voice\n    instructions: 'You",
            "    model: voice\n    turn_detection: server\n    instructions: 'You",
        )
        .replace("[clock, till, slow,", "[clock, slow,");
    let lines = [plays(When::Start(500), "cough"), plays(When::Start(4_000), "caller-02-hours")];
    let scene = Stage::new(&yaml)
        .caller(Part { hang_up_ms: 6_000, ..caller("ann") }, lines)
        .happens(
            335,
            all(
                0,
                [
                    NativeEvent::SpeechStopped { at_ms: None },
                    NativeEvent::Committed { item: Some("u".into()) },
                ],
            ),
        )
        .happens(
            360,
            all(
                0,
                [
                    heard("u", "When do you open?"),
                    words("a", "At nine."),
                    audio("a", 3_200),
                    done("a"),
                    over(),
                ],
            ),
        )
        .play();
    let stops = scene.all("user.speech_stopped");
    assert_eq!(stops.len(), 2);
    assert_eq!(scene.one("user.transcript")["utterance"], stops[1]["utterance"]);
}

#[test]
fn without_anybody_who_writes_down_a_yes_a_tool_cannot_need_one() {
    let yaml = DESK.replace(
        "    model: voice\n    instructions: 'You",
        "    model: voice\n    transcription: ''\n    instructions: 'You",
    );
    let wrong = antiphon::config::parse(yaml.as_bytes(), "a.yaml").unwrap_err().to_string();
    assert!(wrong.contains("nobody writes down whether the user says yes"), "{wrong}");
}

#[test]
fn who_answers_a_question_and_is_lost_is_asked_or_heard() {
    let lines = [
        types(When::Start(500), "I want to pay"),
        plays(When::Start(4_000), "caller-10-goodbye"),
        plays(When::Start(9_000), "caller-02-hours"),
    ];
    let call = NativeEvent::Call(Call::new("c", "till", json!({ "amount": 3 })));
    let question = [words("q", "Shall I take 3 euros?"), audio("q", 16_000), done("q"), over()];
    let scene = Stage::new(DESK)
        .caller(Part { hang_up_ms: 30_000, ..caller("ann") }, lines)
        .happens(40, all(0, [call, over()]))
        .happens(50, all(0, question))
        .happens(310, all(0, [lost(false)]))
        .happens(330, all(0, [NativeEvent::Ready { again: true }]))
        .play();
    let wanted = count(&scene, |wish| {
        matches!(
            wish,
            NativeWish::Commit { answer: true, .. }
                | NativeWish::Ask { .. }
                | NativeWish::Result { .. }
        )
    });
    assert!(wanted > 1, "{}", scene.timeline());
}

#[test]
fn on_hold_the_model_says_so_and_the_hold_stays() {
    let yaml = DESK.replace("slow, hand_over", "slow, hold, hand_over");
    let answers = [
        calls("", &[("h", "hold", json!({ "on": true, "max_ms": 5000 }))]),
        says("I have put you on hold."),
    ];
    let scene = Stage::new(&yaml)
        .native("voice", model(answers))
        .caller(
            Part { hang_up_ms: 9_000, ..quiet("ann") },
            [types(When::Start(500), "hold the line")],
        )
        .play();
    let resumed = scene.one("call.resumed");
    assert_eq!(resumed["after_ticks"], 250, "{}", scene.timeline());
}

#[test]
fn the_next_answer_has_its_own_time() {
    let yaml = DESK.replace("start: desk\n", "turn: { barge_in: false }\nstart: desk\n");
    let mut stage = Stage::new(&yaml).caller(
        Part { hang_up_ms: 6_000, ..quiet("ann") },
        [types(When::Start(200), "one"), types(When::Start(600), "two")],
    );
    for at in (20..180).step_by(20) {
        stage = stage.happens(at, all(0, [words("a", "One "), audio("a", 8_000)]));
    }
    let scene = stage
        .happens(180, all(0, [done("a"), over()]))
        .happens(200, all(0, [words("b", "Two."), audio("b", 8_000), done("b"), over()]))
        .play();
    assert!(scene.was_heard("Two."), "{:?}", scene.messages());
}

#[test]
fn two_outcomes_at_a_return() {
    let yaml = "
name: desk
audio: { tick_ms: 20, rate_hz: 16000 }
speech: { apology: Sorry about that. }
start: desk
models:
  voice: { provider: canned, latency_ms: 100, timeout_ms: 2000, replies: [{ say: Nothing. }] }
agents:
  desk: { kind: native, model: voice, tools: [slow, call_agent] }
  bills: { kind: native, model: voice, tools: [return_value] }
tools:
  slow: { description: Takes its time., run: worker, canned: { otherwise: { done: true }, takes_ms: 1500 } }
topology:
  links: ['desk <=> bills']
";
    let parsed = antiphon::config::parse(yaml.as_bytes(), "a.yaml");
    if let Err(why) = parsed {
        panic!("{why}");
    }
    let call = |id: &str, name: &str, a: Value| NativeEvent::Call(Call::new(id, name, a));
    let scene = Stage::new(yaml)
        .caller(Part { hang_up_ms: 8_000, ..quiet("ann") }, [types(When::Start(200), "one")])
        .happens(
            20,
            all(
                0,
                [
                    call("c1", "slow", json!({})),
                    call("c2", "call_agent", json!({ "agent": "bills" })),
                    over(),
                ],
            ),
        )
        .happens(120, all(1, [call("c3", "return_value", json!({ "value": 7 })), over()]))
        .happens(140, all(2, [words("b", "Both."), audio("b", 8_000), done("b"), over()]))
        .play();
    assert_eq!(
        count(&scene, |w| matches!(w, NativeWish::Ask { .. })),
        2,
        "one for the arrival, one for the return"
    );
}

#[test]
fn a_turn_that_is_written_down_after_its_answer_has_its_latency_all_the_same() {
    use antiphon::record::observe::{Observation, Observer};
    use antiphon::session::output::Output;

    let scene = Stage::new(DESK)
        .caller(caller("ann"), [plays(When::Start(1_000), "caller-02-hours")])
        .happens(200, all(0, [words("a", "At nine."), audio("a", 16_000), done("a"), over()]))
        .happens(230, all(0, [heard("u", "When do you open?")]))
        .play();
    let mut observer = Observer::default();
    let mut told = Vec::new();
    let mut out = Output::default();
    for event in &scene.events {
        out.events = vec![event.clone()];
        observer.tick(&scene.plan, event.tick, &out, |what| told.push(what));
    }
    let last_voiced = scene.one("user.message")["last_voiced"].as_u64().unwrap();
    let started = tick(&scene.one("agent.speech_started"));
    assert!(started < tick(&scene.one("user.message")));
    let answered = Observation::Answered(started - last_voiced);
    assert_eq!(told.iter().filter(|what| matches!(what, Observation::Answered(_))).count(), 1);
    assert!(told.contains(&answered), "{told:?}");
}

#[test]
fn a_model_that_is_asked_to_stop_is_silenced_and_answers_the_next_turn() {
    let stop = [Inbound::Interrupt { lane: LaneId(0) }];
    // While it is heard, and before anything of its answer has come.
    for tick in [40, 12] {
        let lines = [types(When::Start(200), "one"), types(When::Start(8_000), "two")];
        let scene = Stage::new(DESK)
            .native("voice", model([says("A long answer to the first."), says("Two.")]))
            .caller(quiet("ann"), lines)
            .happens(tick, stop.clone())
            .checkpoint_at(tick + 1)
            .play();
        assert_eq!(count(&scene, |wish| matches!(wish, NativeWish::Cancel)), 1, "at {tick}");
        let causes = scene.each("agent.interrupted", "cause");
        assert!(causes.iter().all(|cause| cause == "asked"), "{causes:?}");
        assert_eq!(causes.len(), usize::from(tick == 40));
        assert!(!scene.was_heard("A long answer to the first."));
        assert!(scene.was_heard("Two."));
        let ticks = scene.ticks.len() as u64;
        assert_eq!(replay(&scene.read_journal(), |_, _| {}), Ok(Replayed::Equal { ticks }));
        goes_on_alike(&scene.checkpoints[0], &scene.read_journal());
    }
}
