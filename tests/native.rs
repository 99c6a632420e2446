//! Agents whose models hear and speak by themselves: what the model is given and told, what is heard of it, its calls, and
//! what happens when the user speaks meanwhile or the model fails.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use std::collections::VecDeque;

use antiphon::id::NativeId;
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
            NativeWish::Result { call, output } => Some((call.as_str(), output.clone())),
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
        NativeWish::Write(text) => Some(text.clone()),
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
