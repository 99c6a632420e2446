//! Agents whose answers are a model's: what the model is told, what is said of what it answers, its tools, and what
//! happens when the user speaks meanwhile or the model fails.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use std::collections::VecDeque;

use antiphon::config;
use antiphon::id::{AskId, LaneId};
use antiphon::model::minds::{Answer, Oracle};
use antiphon::session::input::Inbound;
use antiphon::sim::caller::{Part, When};
use antiphon::sim::replay::{Replayed, replay};
use antiphon::think::chat::{
    ErrorKind, FinishReason, ModelDelta, ModelError, ModelRequest, ToolChoice,
};
use antiphon::tool::Json;
use serde_json::{Value, json};
use stage::{Hears, Scene, Stage, caller, goes_on_alike, plays, types};

/// A desk with a model, a clock and a till, and a colleague.
const DESK: &str = "
name: desk
audio: { tick_ms: 20, rate_hz: 16000 }
speech:
  recogniser: { engine: pocketsphinx, latency_ms: 20 }
  synthesiser: { engine: tone, latency_ms: 20 }
  apology: Sorry about that.
start: desk
models:
  small: { provider: canned, latency_ms: 100, timeout_ms: 2000, replies: [{ say: Nothing. }] }
agents:
  desk:
    kind: model
    model: small
    instructions: 'You serve at a desk. It is {fact.day}.'
    greeting: Hello.
    tools: [clock, till, hand_over, end_call]
  bills:
    kind: model
    model: small
    instructions: You know bills.
    tools: [clock, end_call]
tools:
  clock: { description: Tells the time., canned: { otherwise: { time: noon } } }
  till:
    description: Takes money.
    parameters: { type: object, required: [amount], properties: { amount: { type: integer } }, additionalProperties: false }
    approval: Shall I take {amount} euros?
    canned: { otherwise: { paid: true } }
transitions:
  - { from: desk, to: bills, when: { decision: {} } }
";

/// How it hands over to the colleague.
const WAY: &str = "transitions:\n  - { from: desk, to: bills, when: { decision: {} } }\n";

/// A model with its answers, one for each request.
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

/// Words, one piece each.
fn says(text: &str) -> Answer {
    let mut deltas: Vec<_> =
        text.split_inclusive(' ').map(|word| ModelDelta::Text(word.to_owned())).collect();
    deltas.push(ModelDelta::Finished { reason: FinishReason::Stop, raw: None });
    (deltas, None)
}

/// Words, and then calls.
fn calls(text: &str, calls: &[(&str, &str, Value)]) -> Answer {
    let mut deltas: Vec<_> =
        text.split_inclusive(' ').map(|word| ModelDelta::Text(word.to_owned())).collect();
    for (index, (id, name, arguments)) in (0..).zip(calls) {
        deltas.push(ModelDelta::ToolCall {
            index,
            id: (*id).to_owned(),
            name: (*name).to_owned(),
            arguments: arguments.to_string(),
            provider_executed: false,
        });
    }
    deltas.push(ModelDelta::Finished { reason: FinishReason::ToolCalls, raw: None });
    (deltas, None)
}

fn fails(text: &str) -> Answer {
    let deltas = text.split_inclusive(' ').map(|word| ModelDelta::Text(word.to_owned())).collect();
    (deltas, Some(ModelError::new(ErrorKind::CutOff, "the line broke")))
}

fn quiet(name: &str) -> Part {
    Part { audio: false, hang_up_ms: 4_000, ..caller(name) }
}

fn typed(yaml: &str, answers: impl IntoIterator<Item = Answer>, lines: &[(u32, &str)]) -> Scene {
    let lines: Vec<_> = lines.iter().map(|(ms, text)| types(When::Start(*ms), text)).collect();
    Stage::new(yaml).model("small", model(answers)).caller(quiet("ann"), lines).play()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn a_turn_is_answered_sentence_by_sentence_as_it_streams() {
    let answer = says("It is noon. We close at six. Anything else?");
    let scene = typed(DESK, [answer], &[(1_000, "what time is it")]);
    assert_eq!(scene.messages(), ["Hello.", "It is noon.", "We close at six.", "Anything else?"]);
    assert!(scene.was_heard("Anything else?"));
    let asked = scene.one("model.asked");
    let first = scene.all("agent.message").remove(1);
    let answered = scene.one("model.answered");
    // A sentence is whole with the space after it; the rest comes while it is made.
    let ticks = |event: &Value| event["tick"].as_u64().unwrap();
    assert_eq!(ticks(&first) - ticks(&asked), 5 + 2);
    assert!(ticks(&first) < ticks(&answered));
    assert_eq!(answered["first_after_ticks"], 5);
    assert_eq!(
        scene.told(),
        [["system: You serve at a desk. It is .", "assistant: Hello.", "user: what time is it"]]
    );
}

#[test]
fn a_model_calls_tools_and_goes_on_with_what_came_of_them() {
    let answers = [
        calls("Let me look. ", &[("a", "clock", json!({}))]),
        says("It is noon."),
        says("You are welcome."),
    ];
    let scene = typed(DESK, answers, &[(1_000, "what time is it"), (6_000, "thanks")]);
    assert_eq!(scene.messages()[1..], ["Let me look.", "It is noon.", "You are welcome."]);
    assert_eq!(scene.one("tool.called")["name"], "clock");
    let told = scene.told();
    assert_eq!(
        told[1][3..],
        ["assistant: Let me look.  | clock({})", "tool: clock = {\"time\":\"noon\"}"]
    );
    assert_eq!(
        told[2][2..],
        [
            "user: what time is it",
            "assistant: Let me look. | clock({})",
            "tool: clock = {\"time\":\"noon\"}",
            "assistant: It is noon.",
            "user: thanks",
        ]
    );
    assert_eq!(scene.requests[0].tools.len(), 4);
}

#[test]
fn a_hand_over_says_what_was_begun_and_the_next_agent_answers() {
    let answers = [
        calls("I will connect you. ", &[("a", "hand_over", json!({ "to": "bills" }))]),
        says("This is bills. What about it?"),
    ];
    let scene = typed(DESK, answers, &[(1_000, "my bill is wrong")]);
    assert_eq!(scene.one("transition.executed")["to"], "bills");
    assert_eq!(scene.messages()[1..], ["I will connect you.", "This is bills.", "What about it?"]);
    assert!(scene.was_heard("I will connect you."));
    let told = &scene.told()[1];
    assert_eq!(told[0], "system: You know bills.");
    assert!(told.contains(&"user: my bill is wrong".to_owned()), "{told:?}");
    // The model knows to whom it may hand over.
    let hand_over = scene.requests[0].tools.iter().find(|tool| tool.name == "hand_over").unwrap();
    assert_eq!(hand_over.parameters.0["properties"]["to"]["enum"], json!(["bills"]));
}

#[test]
fn a_call_that_needs_approval_is_made_after_a_yes_by_voice() {
    for (reply, made, said) in [
        ("yes please", true, "Thank you."),
        ("no", false, "As you like."),
        ("how much is it again", false, "Fifty."),
    ] {
        let answers = [calls("", &[("a", "till", json!({ "amount": 50 }))]), says(said)];
        let scene = typed(DESK, answers, &[(1_000, "I want to pay"), (4_000, reply)]);
        assert_eq!(scene.messages()[1..], ["Shall I take 50 euros?", said], "{reply}");
        assert_eq!(scene.all("tool.called").len(), usize::from(made), "{reply}");
        let given = scene.one("approval.given");
        assert_eq!(given["approved"], made);
        let told = scene.told();
        let last = told[1].last().unwrap();
        match reply {
            "yes please" => assert_eq!(last, "tool: till = {\"paid\":true}"),
            "no" => assert_eq!(last, "tool: till = execution denied"),
            _ => assert!(last.contains("said something else: “how much"), "{last}"),
        }
    }
}

#[test]
fn an_event_approves_denies_or_modifies_a_call() {
    for (data, amount) in [
        (json!({ "approval": 0, "approved": true }), Some(50)),
        (json!({ "approval": 0, "approved": true, "arguments": { "amount": 20 } }), Some(20)),
        (json!({ "approval": 0, "approved": false, "reason": "not today" }), None),
    ] {
        let answers = [calls("", &[("a", "till", json!({ "amount": 50 }))]), says("So.")];
        let other = Json(json!({ "approval": 7, "approved": true }));
        let custom = |data| Inbound::Custom { lane: None, name: "approval".to_owned(), data };
        let lines = [types(When::Start(1_000), "I want to pay")];
        let scene = Stage::new(DESK)
            .model("small", model(answers))
            .caller(quiet("ann"), lines)
            .happens(200, [custom(other), custom(Json(data.clone()))])
            .play();
        let called = scene.all("tool.called");
        let amounts: Vec<_> =
            called.iter().map(|call| call["arguments"]["amount"].as_i64()).collect();
        assert_eq!(amounts, amount.map(|amount| vec![Some(amount)]).unwrap_or_default(), "{data}");
        if amount.is_none() {
            assert!(scene.told()[1].last().unwrap().contains("not today"));
        }
    }
}

#[test]
fn silence_is_no_approval() {
    let answers = [calls("", &[("a", "till", json!({ "amount": 50 }))]), says("Never mind.")];
    let part = Part { hang_up_ms: 90_000, ..quiet("ann") };
    let scene = Stage::new(DESK)
        .model("small", model(answers))
        .caller(part, [types(When::Start(1_000), "I want to pay")])
        .play();
    assert_eq!(
        (scene.all("tool.called").len(), scene.one("approval.given")["approved"].clone()),
        (0, json!(false))
    );
    assert!(scene.was_heard("Never mind."));
}

const LONG: &str = "The first thing is long enough to be cut in its middle. The second one is never heard. \
     The third neither. And so is the fourth, which is not even announced.";

/// The caller asks, and is heard again a second after the long answer has begun.
fn over_the_answer(yaml: &str, second: Hears, clip: &'static str, then: &[Answer]) -> Scene {
    let answers = std::iter::once(says(LONG)).chain(then.iter().cloned());
    let yaml = yaml.replace("    greeting: Hello.\n", "");
    Stage::new(&yaml)
        .model("small", model(answers))
        .hears([Hears::Words("tell me everything"), second])
        .caller(
            caller("ann"),
            [plays(When::Start(200), "caller-07-policy"), plays(When::AgentSpoke(1_000), clip)],
        )
        .play()
}

#[test]
fn what_the_user_did_not_hear_was_never_said() {
    let stop = Hears::Words("stop that");
    let scene = over_the_answer(DESK, stop, "caller-02-hours", &[says("Of course.")]);
    assert_eq!(scene.each("agent.interrupted", "cause")[0], "voice");
    let told = scene.told();
    let heard = told[1].iter().find(|line| line.starts_with("assistant: The first")).unwrap();
    let heard = heard.trim_start_matches("assistant: ");
    assert!(LONG.starts_with(heard) && heard.len() < 60, "{heard}");
    assert_eq!(told[1].last().unwrap(), "user: stop that");
    assert_eq!(told[1].len(), 4, "{told:?}");
    assert!(!scene.messages().iter().any(|text| text.contains("fourth")), "nobody waits for it");
    assert!(scene.was_heard("Of course."));
    assert!(!scene.transcript.iter().any(|said| said.contains("second one")));
}

#[test]
fn after_a_cough_the_whole_answer_is_heard() {
    let scene = over_the_answer(DESK, Hears::Words(""), "caller-02-hours", &[]);
    assert_eq!(scene.all("agent.resumed").len(), 1);
    assert_eq!(scene.all("model.dropped").len(), 0);
    assert_eq!(scene.requests.len(), 1);
    for sentence in scene.messages() {
        assert!(scene.was_heard(&sentence), "{sentence}");
    }
    assert_eq!(scene.messages().concat().len(), LONG.len() - 3, "every word, without the spaces");
}

#[test]
fn where_nobody_may_interrupt_the_next_answer_waits() {
    let yaml = DESK.replace("start: desk", "turn: { barge_in: false }\nstart: desk");
    let then = Hears::Words("and then");
    let scene = over_the_answer(&yaml, then, "caller-02-hours", &[says("Then nothing.")]);
    assert_eq!(scene.all("agent.interrupted").len(), 0);
    assert_eq!(scene.messages().last().unwrap(), "Then nothing.");
    assert!(scene.was_heard("And so is the fourth, which is not even announced."));
}

/// A desk that asks early, of which the caller asks something by voice.
fn early(second: Option<(u32, Hears)>, answers: &[Answer]) -> Scene {
    let yaml = DESK.replace("    greeting: Hello.\n", "    preemptive: true\n").replace(
        "start: desk",
        "turn: { end_silence_min_ms: 500, end_silence_max_ms: 1500 }\nstart: desk",
    );
    let mut lines = vec![plays(When::Start(200), "caller-07-policy")];
    let mut hears = vec![Hears::Words("what is the return policy")];
    if let Some((ms, heard)) = second {
        lines.push(plays(When::Start(ms), "caller-02-hours"));
        hears.push(heard);
    }
    let stage = Stage::new(&yaml).model("small", model(answers.iter().cloned()));
    stage.hears(hears).caller(caller("ann"), lines).play()
}

#[test]
fn an_early_answer_is_spoken_when_the_turn_has_ended_with_the_same_words() {
    // The recogniser's interim words are another question, which is dropped.
    let answers = [says("One word?"), says("Thirty days. And a receipt.")];
    let scene = early(None, &answers);
    assert_eq!(scene.messages(), ["Thirty days.", "And a receipt."]);
    let (asked, turn) = (scene.all("model.asked"), scene.one("user.message"));
    assert_eq!((asked.len(), scene.all("model.answered").len()), (2, 2));
    let ticks = |event: &Value| event["tick"].as_u64().unwrap();
    assert!(ticks(&asked[1]) + 25 < ticks(&turn), "asked half a second before");
    assert_eq!(ticks(&scene.all("agent.message")[0]), ticks(&turn), "and ready when the turn ends");
    assert_eq!(scene.told()[1].last().unwrap(), "user: what is the return policy");
}

#[test]
fn an_early_answer_is_thrown_away_unheard_when_the_user_goes_on() {
    let tool = || calls("Old. ", &[("a", "clock", json!({}))]);
    let answers = [tool(), tool(), tool(), says("All of it.")];
    let second = Some((3_200, Hears::Words("and where")));
    let scene = early(second, &answers);
    assert_eq!(scene.all("tool.called").len(), 0, "nothing is done before the turn has ended");
    assert_eq!(scene.messages(), ["All of it."]);
    let ends = ["model.answered", "model.dropped"].map(|name| scene.all(name).len());
    assert_eq!((scene.requests.len(), ends[0] + ends[1]), (ends[0] + ends[1], 4));
    assert_eq!(
        scene.told().last().unwrap().last().unwrap(),
        "user: what is the return policy and where"
    );
}

/// The desk with a slow clock.
fn slow(conduct: &str) -> String {
    DESK.replace(
        "clock: { description: Tells the time., canned: { otherwise: { time: noon } } }",
        &format!(
            "clock: {{ latency_ms: 3000, {conduct}, canned: {{ otherwise: {{ time: noon }} }} }}"
        ),
    )
}

#[test]
fn a_call_that_takes_long_is_filled_once() {
    let yaml = slow("filler: One moment please., filler_after_ms: 500");
    let answers = [calls("", &[("a", "clock", json!({}))]), says("Noon.")];
    let scene = typed(&yaml, answers, &[(1_000, "what time is it")]);
    assert_eq!(scene.messages(), ["Hello.", "One moment please.", "Noon."]);
    let (called, filled) = (scene.one("tool.called"), scene.all("agent.message").remove(1));
    assert_eq!(filled["tick"].as_u64().unwrap() - called["tick"].as_u64().unwrap(), 25);
    // While the agent speaks, nobody waits in silence.
    let words = "Let me look at the clock over there, which takes a while since it is far away. ";
    let answers = [calls(words, &[("a", "clock", json!({}))]), says("Noon.")];
    let scene = typed(&yaml, answers, &[(1_000, "what time is it")]);
    assert!(!scene.messages().contains(&"One moment please.".to_owned()));
}

#[test]
fn a_model_goes_on_without_a_call_that_takes_longer_than_its_patience() {
    let answers =
        [calls("", &[("a", "clock", json!({}))]), says("I am still looking."), says("It is noon.")];
    let scene = typed(&slow("patience_ms: 500"), answers, &[(1_000, "what time is it")]);
    assert_eq!(scene.messages()[1..], ["I am still looking.", "It is noon."]);
    let told = scene.told();
    assert!(told[1].last().unwrap().contains("under way"), "{told:?}");
    assert!(told[2].iter().any(|line| line.contains("clock = <the call is under way")));
    assert_eq!(
        told[2].last().unwrap(),
        "user: <the call of `clock` has come to an end: {\"time\":\"noon\"}>"
    );
    assert_eq!(scene.all("tool.called").len(), 1, "nothing is called twice");
}

#[test]
fn a_barge_in_cancels_a_call_or_keeps_it() {
    let lines = [(1_000, "what time is it"), (2_000, "never mind")];
    let first = || calls("", &[("a", "clock", json!({}))]);
    let answers = [first(), says("As you like.")];
    let scene = typed(&slow("on_barge_in: cancel"), answers, &lines);
    let result = scene.one("tool.result");
    assert_eq!(result["outcome"]["Failed"]["kind"], "cancelled", "{result}");
    assert_eq!(scene.messages()[1..], ["As you like."]);
    let answers = [first(), says("As you like."), says("By the way, it is noon.")];
    let scene = typed(&slow("on_barge_in: keep"), answers, &lines);
    assert_eq!(scene.messages()[1..], ["As you like.", "By the way, it is noon."]);
    assert!(scene.told()[2].last().unwrap().contains("noon"));
}

/// The desk that calls its colleague, who returns.
fn calling() -> String {
    DESK.replace("tools: [clock, till, hand_over, end_call]", "tools: [call_agent]")
        .replace("tools: [clock, end_call]", "tools: [return_value]")
        .replace(WAY, "")
        + "topology: { links: [desk <=> bills] }\n"
}

#[test]
fn an_agent_that_is_called_returns_and_the_model_goes_on() {
    let yaml = calling();
    let answers = [
        calls("Let me ask. ", &[("a", "call_agent", json!({ "agent": "bills" }))]),
        says("Which bill?"),
        calls("", &[("b", "return_value", json!({ "value": { "owed": 12 } }))]),
        says("You owe twelve."),
    ];
    let scene = typed(&yaml, answers, &[(1_000, "what do I owe"), (5_000, "the last one")]);
    assert_eq!(scene.messages()[1..], ["Let me ask.", "Which bill?", "You owe twelve."]);
    assert_eq!(scene.told()[3].last().unwrap(), "tool: call_agent = {\"owed\":12}");
    assert_eq!(
        scene.requests[0].tools[0].parameters.0["properties"]["agent"]["enum"],
        json!(["bills"])
    );
}

#[test]
fn a_reply_that_the_user_has_overtaken_is_not_spoken() {
    let answers = [says("Old news. Very old news."), says("New.")];
    let lines = [(1_000, "first"), (1_040, "second")];
    let scene = typed(DESK, answers, &lines);
    assert_eq!(scene.messages(), ["Hello.", "New."]);
    assert_eq!(scene.all("model.dropped").len(), 1);
    assert_eq!(scene.told()[1][2..], ["user: first\nsecond"]);
}

#[test]
fn a_model_that_fails_is_apologised_for() {
    let scene = typed(DESK, [fails("")], &[(1_000, "hello")]);
    assert_eq!(scene.messages(), ["Hello.", "Sorry about that."]);
    assert_eq!(text(&scene.one("model.failed")["kind"]), "cut_off");
    assert_eq!(text(&scene.one("agent.error")["cause"]), "the line broke");
    // What was whole is said; half a sentence is not.
    let scene = typed(DESK, [fails("All is well. And then I wan")], &[(1_000, "hello")]);
    assert_eq!(scene.messages()[1..], ["All is well.", "Sorry about that."]);
}

#[test]
fn a_model_that_says_nothing_any_more_is_given_up() {
    struct Mute;
    impl Oracle for Mute {
        fn ask(&mut self, _: &ModelRequest) -> Answer {
            // Its answer never ends: no end is made of this failure below.
            (
                vec![ModelDelta::Text("Well ".to_owned())],
                Some(ModelError::new(ErrorKind::Stalled, "mute")),
            )
        }
    }
    let yaml =
        DESK.replace("latency_ms: 100, timeout_ms: 2000", "latency_ms: 60000, timeout_ms: 2000");
    let scene = Stage::new(&yaml)
        .model("small", Mute)
        .caller(quiet("ann"), [types(When::Start(1_000), "hello")])
        .play();
    assert_eq!(scene.messages(), ["Hello.", "Sorry about that."]);
    let (asked, failed) = (scene.one("model.asked"), scene.one("model.failed"));
    assert_eq!(failed["tick"].as_u64().unwrap() - asked["tick"].as_u64().unwrap(), 100);
    assert_eq!(text(&failed["kind"]), "timed_out");
}

#[test]
fn what_comes_after_nobody_wants_it_is_ignored() {
    let late = [
        Inbound::Model { ask: AskId(0), delta: ModelDelta::Text("Late. ".into()) },
        Inbound::ModelEnd { ask: AskId(0) },
        Inbound::ModelEnd { ask: AskId(77) },
    ];
    let lines = [types(When::Start(1_000), "hello")];
    let scene = Stage::new(DESK)
        .model("small", model([says("Well.")]))
        .caller(quiet("ann"), lines)
        .happens(120, late)
        .play();
    assert_eq!(scene.messages(), ["Hello.", "Well."]);
}

#[test]
fn a_tool_that_is_not_there_is_the_models_to_mend() {
    let answers = [
        calls("", &[("a", "cash", json!({})), ("b", "till", json!({ "amount": "much" }))]),
        says("I cannot do that."),
    ];
    let scene = typed(DESK, answers, &[(1_000, "pay")]);
    assert_eq!(scene.all("tool.called").len(), 0);
    let told = scene.told();
    let results: Vec<_> = told[1].iter().filter(|line| line.starts_with("tool: ")).collect();
    assert!(
        results[0].contains("unknown_tool") && results[0].contains("clock, till"),
        "{results:?}"
    );
    assert!(results[1].contains("invalid_args") && results[1].contains("amount"), "{results:?}");
    assert_eq!(scene.messages()[1..], ["I cannot do that."]);
}

#[test]
fn a_goodbye_is_the_end_and_no_model_is_asked_again() {
    let answers = [calls("Goodbye then. ", &[("a", "end_call", json!({}))])];
    let scene = typed(DESK, answers, &[(1_000, "goodbye")]);
    assert!(scene.was_heard("Goodbye then."));
    assert_eq!(scene.requests.len(), 1);
    assert_eq!(scene.one("session.ended")["reason"], "agent_ended");
}

#[test]
fn what_was_begun_before_the_question_was_heard_is_no_answer_to_it() {
    let answers = [calls("", &[("a", "till", json!({ "amount": 50 }))]), says("Say it again.")];
    // Typed while the question is still being synthesised.
    let yaml = DESK.replace("engine: tone, latency_ms: 20", "engine: tone, latency_ms: 2000");
    let lines = [(3_500, "I want to pay"), (4_000, "yes")];
    let scene = typed(&yaml, answers, &lines);
    assert_eq!(scene.all("tool.called").len(), 0, "{:?}", scene.all("approval.given"));
    assert!(!scene.was_heard("Shall I take 50 euros?"), "what is decided is not asked any more");
}

#[test]
fn a_yes_over_the_question_is_a_yes() {
    let answers = [calls("", &[("a", "till", json!({ "amount": 50 }))]), says("Thank you.")];
    let scene = typed(DESK, answers, &[(1_000, "I want to pay"), (1_700, "yes please do")]);
    assert_eq!(scene.all("agent.interrupted").len(), 1, "it was over the question");
    assert_eq!(scene.one("approval.given")["approved"], true);
    assert_eq!(scene.one("tool.called")["name"], "till");
    assert!(scene.was_heard("Thank you."));
}

#[test]
fn nobody_is_asked_to_approve_of_a_tool_that_the_agent_does_not_have() {
    let yaml = DESK.replace("tools: [clock, till, hand_over, end_call]", "tools: [clock]");
    let yaml = yaml.replace(WAY, "");
    let answers = [calls("", &[("a", "till", json!({ "amount": 50 }))]), says("I cannot.")];
    let scene = typed(&yaml, answers, &[(1_000, "I want to pay")]);
    assert_eq!((scene.all("approval.asked").len(), scene.all("tool.called").len()), (0, 0));
    assert_eq!(scene.messages()[1..], ["I cannot."]);
}

#[test]
fn nobody_hurries_who_is_asked_for_approval() {
    let yaml = DESK.replace("    greeting: Hello.", "    greeting: Hello.\n    idle: Still there?");
    let answers = [calls("", &[("a", "till", json!({ "amount": 50 }))]), says("Thank you.")];
    let scene = typed(&yaml, answers, &[(1_000, "I want to pay"), (20_000, "yes")]);
    assert!(!scene.messages().contains(&"Still there?".to_owned()), "{:?}", scene.messages());
    assert_eq!(scene.one("approval.given")["approved"], true);
}

#[test]
fn an_early_run_of_an_agent_that_hands_over_does_nothing() {
    let yaml = DESK
        .replace("    greeting: Hello.\n", "    preemptive: true\n")
        .replace("when: { decision: {} }", "when: { user_input: { contains: policy } }");
    let tool = || calls("Mine. ", &[("a", "clock", json!({}))]);
    let answers = [tool(), tool(), says("Bills answers."), says("Bills answers.")];
    let scene = Stage::new(&yaml)
        .model("small", model(answers))
        .hears([Hears::Words("what is the return policy")])
        .caller(caller("ann"), [plays(When::Start(200), "caller-07-policy")])
        .play();
    assert_eq!(scene.one("transition.executed")["to"], "bills");
    assert_eq!(scene.messages(), ["Bills answers."]);
    assert_eq!(scene.all("tool.called").len(), 0);
}

#[test]
fn an_answer_that_is_too_long_is_given_up() {
    let long = "word ".repeat(300_000);
    let answer = (vec![ModelDelta::Text("It is so. ".into()), ModelDelta::Text(long)], None);
    let scene = typed(DESK, [answer], &[(1_000, "hello")]);
    assert_eq!(text(&scene.one("model.failed")["kind"]), "too_long");
    assert_eq!(scene.messages()[1..], ["It is so.", "Sorry about that."]);
}

#[test]
fn on_hold_a_model_goes_on_and_takes_the_user_off() {
    let yaml = DESK.replace("tools: [clock, till,", "tools: [hold, clock, till,");
    let answers = [
        calls("One moment. ", &[("a", "hold", json!({}))]),
        calls("", &[("b", "clock", json!({}))]),
        says("It is noon."),
    ];
    let scene = typed(&yaml, answers, &[(1_000, "what time is it")]);
    assert_eq!(scene.messages()[1..], ["One moment.", "It is noon."]);
    assert_eq!((scene.all("call.held").len(), scene.all("call.resumed").len()), (1, 1));
}

#[test]
fn a_turn_does_not_end_without_a_word() {
    let yaml = DESK.replace("    greeting: Hello.", "    greeting: Hello.\n    max_steps: 3");
    let again = |id| calls("", &[(id, "clock", json!({}))]);
    let scene = typed(&yaml, [again("a"), again("b"), again("c")], &[(1_000, "hello")]);
    let last = scene.requests.last().unwrap();
    assert_eq!(
        (scene.requests.len(), &last.tool_choice),
        (3, &ToolChoice::None),
        "it has to speak"
    );
    assert_eq!(scene.messages()[1..], ["Sorry about that."]);
    let scene = typed(DESK, [says("***")], &[(1_000, "hello")]);
    assert_eq!(scene.messages()[1..], ["Sorry about that."]);
    assert!(text(&scene.one("agent.error")["cause"]).contains("without a word"));
}

#[test]
fn the_apology_is_heard_after_what_was_whole() {
    let yaml = DESK.replace("engine: tone, latency_ms: 20", "engine: tone, latency_ms: 1200");
    let scene = typed(&yaml, [fails("All is well. And then I wan")], &[(4_000, "hello")]);
    let items: Vec<_> = scene.each("agent.speech_started", "item");
    let texts = scene.all("agent.message");
    let said = |item: &Value| texts.iter().find(|it| it["item"] == *item).unwrap()["text"].clone();
    let said: Vec<Value> = items.iter().map(said).collect();
    assert_eq!(said, ["Hello.", "All is well.", "Sorry about that."]);
}

#[test]
fn who_takes_over_and_knows_nothing_speaks_all_the_same() {
    let yaml = DESK.replace("when: { decision: {} } }", "when: { decision: {} }, carry: nothing }");
    let answers = [
        calls("I will connect you. ", &[("a", "hand_over", json!({ "to": "bills" }))]),
        says("This is bills."),
    ];
    let scene = typed(&yaml, answers, &[(1_000, "my bill is wrong")]);
    assert_eq!(scene.messages()[1..], ["I will connect you.", "This is bills."]);
    let told = &scene.told()[1];
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].starts_with("user: <the call was handed over"), "{told:?}");
}

#[test]
fn calls_of_different_answers_with_one_id_are_different_calls() {
    let answers = [
        calls("", &[("call_0", "clock", json!({ "zone": "a" }))]),
        calls("", &[("call_0", "clock", json!({ "zone": "b" }))]),
        says("So."),
    ];
    let scene = typed(DESK, answers, &[(1_000, "what time is it")]);
    let zones: Vec<_> = scene.each("tool.called", "arguments");
    assert_eq!(zones, [json!({ "zone": "a" }), json!({ "zone": "b" })]);
}

#[test]
fn another_agents_question_does_not_hide_what_came_of_a_call() {
    let yaml = calling();
    let answers = [
        calls("", &[("a", "call_agent", json!({ "agent": "bills" }))]),
        says("Which bill?"),
        calls("", &[("b", "return_value", json!({ "value": { "owed": 12 } }))]),
        says("You owe twelve."),
        says("Welcome."),
    ];
    let lines = [(1_000, "what do I owe"), (5_000, "the last one"), (9_000, "thanks")];
    let scene = typed(&yaml, answers, &lines);
    let told = scene.told();
    assert!(told[4].contains(&"tool: call_agent = {\"owed\":12}".to_owned()), "{:?}", told[4]);
}

#[test]
fn a_reload_cannot_change_the_models_of_a_call() {
    let mut config = config::parse(DESK.as_bytes(), "desk").unwrap();
    config.models.get_mut("small").unwrap().latency_ms = 7;
    let reload = Inbound::Reload { config: config.to_json() };
    let scene = Stage::new(DESK)
        .model("small", model([says("Well.")]))
        .caller(quiet("ann"), [types(When::Start(1_000), "hello")])
        .happens(20, [reload])
        .play();
    assert!(text(&scene.one("config.refused")["cause"]).contains("models"));
    assert_eq!(scene.messages()[1..], ["Well."]);
}

#[test]
fn a_call_with_a_model_replays_and_goes_on_from_a_checkpoint() {
    let play = || {
        let answers = [
            calls("Let me look. ", &[("a", "clock", json!({}))]),
            says("It is noon. Is that all?"),
            calls("", &[("b", "till", json!({ "amount": 5 }))]),
            says("Paid."),
        ];
        let lines = [
            types(When::Start(1_000), "what time is it"),
            types(When::Start(5_000), "let me pay"),
            types(When::Start(8_000), "yes"),
        ];
        let stage = Stage::new(DESK).model("small", model(answers)).caller(quiet("ann"), lines);
        (50..500).step_by(25).fold(stage, Stage::checkpoint_at).play()
    };
    let (scene, again) = (play(), play());
    let digests = |scene: &Scene| scene.ticks.iter().map(|seen| seen.digest).collect::<Vec<_>>();
    assert_eq!(digests(&scene), digests(&again));
    let journal = scene.read_journal();
    let ticks = scene.ticks.len() as u64;
    assert_eq!(replay(&journal, |_, _| {}), Ok(Replayed::Equal { ticks }), "without any model");
    for bytes in &scene.checkpoints {
        goes_on_alike(bytes, &journal);
    }
}

#[test]
fn a_model_that_is_asked_to_stop_is_not_listened_to_and_the_next_turn_is_answered() {
    let stop = [Inbound::Interrupt { lane: LaneId(0) }];
    // In the middle of its first sentence, and before its answer has begun.
    for (tick, words) in [(120, "One. Two is said later. Three as well."), (52, "One.")] {
        let answers = [says(words), says("Noon.")];
        let lines = [types(When::Start(1_000), "count"), types(When::Start(8_000), "the time")];
        let scene = Stage::new(DESK)
            .model("small", model(answers))
            .caller(Part { audio: false, ..caller("ann") }, lines)
            .happens(tick, stop.clone())
            .checkpoint_at(tick + 1)
            .play();
        assert_eq!(scene.all("model.dropped").len(), usize::from(tick == 52));
        assert!(!scene.was_heard("Three as well."));
        assert!(scene.was_heard("Noon."), "the next turn is answered");
        let ticks = scene.ticks.len() as u64;
        assert_eq!(replay(&scene.read_journal(), |_, _| {}), Ok(Replayed::Equal { ticks }));
        goes_on_alike(&scene.checkpoints[0], &scene.read_journal());
    }
}
