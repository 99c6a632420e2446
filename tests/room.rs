//! A room: what it says becomes events, what it asks is answered, and what it is shown follows the call.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use std::collections::BTreeMap;

use antiphon::clock::Tick;
use antiphon::id::{LaneId, RequestId};
use antiphon::journal::{Journal, redact};
use antiphon::session::input::{Inbound, LineState, Quality, TrackChange};
use antiphon::session::output::{AgentState, Effect, Output, RpcError, Saying};
use antiphon::sim::caller::{Part, When};
use antiphon::sim::replay::{Replayed, replay};
use antiphon::slot::Status;
use serde_json::{Value, json};
use stage::{Hears, POLICY, SHOP, Scene, Stage, caller, plays, types};

const ANN: LaneId = LaneId(0);

/// The desk of the shop with tools that participants may call.
fn shop() -> Stage {
    let yaml = SHOP.replace(
        "agents:",
        "livekit: { rpc: { look: look, slow: slow, late: late, sing: sing, strict: strict, long: long, whole: whole } }
tools:
  look: { run: inline, canned: { otherwise: { left: 3 } } }
  slow: { latency_ms: 300, canned: { otherwise: 7 } }
  ponder: { latency_ms: 1500, canned: { otherwise: 7 } }
  late: { latency_ms: 900, timeout_ms: 400, canned: { otherwise: 7 } }
  sing: { run: inline, canned: { fails_first: 9, failure: no voice today } }
  strict: { run: inline, parameters: { type: object, required: [n] }, canned: { otherwise: 1 } }
  long: { run: inline }
  whole: { run: inline }
  show: { rpc: { method: show } }
  note: { data: { topic: notes } }
agents:",
    );
    let yaml = yaml.replace(
        "intents:",
        "tools: [slow, ponder, show, note]
    intents:
      - { name: slow, phrases: [look it up], say: Let me see., call: { tool: ponder }, then: 'It is {result}.' }
      - { name: quiet, phrases: [never mind], call: { tool: slow } }
      - { name: show, phrases: [show me], call: { tool: show, with: { page: 3 } }, failed: 'No: {error}.' }
      - { name: note, phrases: [write it down], call: { tool: note }, failed: 'No: {error}.' }",
    );
    let long = |len: usize| move |_: &_, _: &Value| Ok(json!("x".repeat(len)));
    // With its quotes, one byte beyond what an answer may have, and just what it may have.
    Stage::new(&yaml).tool("long", long(15_359)).tool("whole", long(15_358))
}

fn joined() -> Inbound {
    Inbound::Joined { lane: ANN, name: "ann".into() }
}

fn hang_up() -> [Inbound; 1] {
    [Inbound::HangUp { reason: "enough".into() }]
}

fn typist() -> Part {
    Part { audio: false, hang_up_ms: 30_000, ..caller("ann") }
}

/// The scene ended by itself, and replays.
fn is_sound(scene: &Scene) {
    assert_eq!(scene.status, Status::Ended);
    let ticks = scene.ticks.len() as u64;
    assert_eq!(replay(&scene.read_journal(), |_, _| {}), Ok(Replayed::Equal { ticks }));
}

/// Everything that a room can say of a participant, and of nobody in particular.
fn everything(lane: LaneId) -> Vec<Inbound> {
    let some = Some(lane);
    let changed =
        BTreeMap::from([("mood".to_owned(), "good".to_owned()), ("gone".into(), String::new())]);
    let data = |lane, bytes: &[u8]| Inbound::Data {
        lane,
        topic: "notes".into(),
        bytes: bytes.to_vec(),
        reliable: true,
    };
    let track = |change| Inbound::Track { lane, change };
    vec![
        track(TrackChange::Published),
        track(TrackChange::Unpublished),
        track(TrackChange::Muted),
        track(TrackChange::Unmuted),
        track(TrackChange::Refused("it is encrypted end to end".into())),
        Inbound::Speaking { lane, speaking: true },
        Inbound::Attributes { lane, changed },
        Inbound::Metadata { lane: some, text: "hers".into() },
        data(some, "héllo".as_bytes()),
        data(some, &[0xFF, 0]),
        Inbound::Quality { lane: some, quality: Quality::Poor },
        Inbound::Digit { lane, digit: '#' },
        Inbound::Digit { lane, digit: 'E' },
    ]
}

/// Events without what every event has.
fn bare(scene: &Scene, from: u64) -> Vec<Value> {
    let events = scene.events.iter().filter(|event| event.tick.0 == from);
    events
        .map(|event| {
            let mut json = event.to_json(scene.plan.len);
            for field in ["seq", "tick", "ms"] {
                json.as_object_mut().unwrap().remove(field);
            }
            json
        })
        .collect()
}

#[test]
fn what_a_room_says_becomes_events() {
    let scene = shop()
        .happens(0, [joined()])
        .happens(5, everything(ANN))
        .happens(
            6,
            [
                Inbound::Metadata { lane: None, text: "the room's".into() },
                Inbound::Data { lane: None, topic: String::new(), bytes: vec![], reliable: false },
                Inbound::Quality { lane: None, quality: Quality::Lost },
                Inbound::Line { state: LineState::Lost("no route".into()) },
                Inbound::Line { state: LineState::Restored },
            ],
        )
        .happens(10, hang_up())
        .play();
    let expected = json!([
        { "type": "user.published", "lane": 0 },
        { "type": "user.unpublished", "lane": 0 },
        { "type": "user.muted", "lane": 0 },
        { "type": "user.unmuted", "lane": 0 },
        { "type": "user.unheard", "lane": 0, "cause": "it is encrypted end to end" },
        { "type": "user.speaking", "lane": 0, "speaking": true },
        { "type": "user.attributes", "lane": 0, "changed": { "gone": "", "mood": "good" } },
        { "type": "user.metadata", "lane": 0, "text": "hers" },
        { "type": "data.received", "lane": 0, "topic": "notes", "text": "héllo", "bytes": 6, "reliable": true },
        { "type": "data.received", "lane": 0, "topic": "notes", "text": null, "bytes": 2, "reliable": true },
        { "type": "connection.quality", "lane": 0, "quality": "poor" },
        { "type": "user.digit", "lane": 0, "digit": "#" },
    ]);
    assert_eq!(Value::from(bare(&scene, 5)), expected);
    let expected = json!([
        { "type": "room.metadata", "text": "the room's" },
        { "type": "data.received", "lane": null, "topic": "", "text": "", "bytes": 0, "reliable": false },
        { "type": "connection.quality", "lane": null, "quality": "lost" },
        { "type": "connection.lost", "cause": "no route" },
        { "type": "connection.restored" },
    ]);
    assert_eq!(Value::from(bare(&scene, 6)), expected);
    is_sound(&scene);
}

#[test]
fn what_is_said_of_somebody_who_is_not_there_is_ignored() {
    let scene = shop()
        .happens(0, [joined(), Inbound::Left { lane: ANN }])
        .happens(5, everything(ANN))
        .happens(5, everything(LaneId(9)))
        .happens(10, hang_up())
        .play();
    assert_eq!(bare(&scene, 5), [] as [Value; 0]);
    is_sound(&scene);
}

#[test]
fn a_redacted_journal_has_nothing_of_what_a_room_said() {
    let secret = "zebra";
    let text = || secret.to_owned();
    let request = |method: &str, payload: &str| Inbound::Request {
        request: RequestId(0),
        lane: Some(ANN),
        method: method.into(),
        payload: payload.into(),
    };
    let scene = shop()
        .happens(0, [joined()])
        .happens(
            5,
            [
                Inbound::Attributes { lane: ANN, changed: BTreeMap::from([(text(), text())]) },
                Inbound::Metadata { lane: Some(ANN), text: text() },
                Inbound::Metadata { lane: None, text: text() },
                Inbound::Data { lane: None, topic: text(), bytes: text().into(), reliable: true },
                Inbound::Track { lane: ANN, change: TrackChange::Refused(text()) },
                Inbound::Digit { lane: ANN, digit: '7' },
                request(secret, ""),
                request("look", "{\"a\": \"zebra\"}"),
                Inbound::Line { state: LineState::Lost(text()) },
            ],
        )
        .happens(10, hang_up())
        .play();
    let redacted = Journal::read(&redact(&scene.read_journal())).unwrap();
    let events = redacted.ticks.iter().flat_map(|entry| &entry.outcomes.events);
    let json: Vec<String> = events.map(|event| event.to_json(scene.plan.len).to_string()).collect();
    assert_eq!(json.len(), scene.events.len());
    for line in &json {
        assert!(!line.contains(secret) && !line.contains("\"7\""), "{line}");
    }
}

#[test]
fn what_a_room_says_is_bounded() {
    let huge = || "é".repeat(10_000);
    let changed = (0..100).map(|n| (format!("{n}{}", huge()), huge())).collect();
    let scene = shop()
        .happens(0, [joined()])
        .happens(
            5,
            [
                Inbound::Attributes { lane: ANN, changed },
                Inbound::Metadata { lane: Some(ANN), text: huge() },
                Inbound::Data { lane: None, topic: huge(), bytes: huge().into(), reliable: true },
                Inbound::Track { lane: ANN, change: TrackChange::Refused(huge()) },
                Inbound::Line { state: LineState::Lost(huge()) },
            ],
        )
        .happens(10, hang_up())
        .play();
    let attributes = scene.one("user.attributes");
    assert_eq!(attributes["changed"].as_object().unwrap().len(), 64);
    assert_eq!(scene.each("limit.reached", "limit"), ["attributes"]);
    for (event, field) in [
        ("user.metadata", "text"),
        ("data.received", "text"),
        ("data.received", "topic"),
        ("user.unheard", "cause"),
        ("connection.lost", "cause"),
    ] {
        assert_eq!(scene.one(event)[field].as_str().unwrap().chars().count(), 4_000, "{event}");
    }
    is_sound(&scene);
}

#[test]
fn a_digit_shows_that_the_user_is_there() {
    let yaml =
        SHOP.replace("turn: {}", "turn: { away_ms: 1000 }").replace("    idle: Still there?\n", "");
    let scene = Stage::new(&yaml)
        .happens(0, [joined()])
        .happens(40, [Inbound::Digit { lane: ANN, digit: '1' }])
        .happens(100, [Inbound::Digit { lane: ANN, digit: '1' }])
        .happens(110, hang_up())
        .play();
    assert_eq!(scene.each("user.away", "tick"), [90], "a second after the first digit");
    assert_eq!(scene.each("user.returned", "tick"), [100]);
}

/// What was shown in each tick of a scene.
fn shown(stage: Stage) -> (Scene, Vec<(Tick, AgentState, Option<Saying>)>) {
    let mut shown = Vec::new();
    let scene =
        stage.play_before(|now, out: &Output| shown.push((now, out.agent_state, out.saying)));
    (scene, shown)
}

/// The states of the agent, each with the tick in which it begins.
fn states(shown: &[(Tick, AgentState, Option<Saying>)]) -> Vec<(u64, &'static str)> {
    let mut states: Vec<(u64, &'static str)> = Vec::new();
    for (tick, state, _) in shown {
        if states.last().is_none_or(|(_, last)| *last != state.as_str()) {
            states.push((tick.0, state.as_str()));
        }
    }
    states
}

fn tick_of(event: &Value) -> u64 {
    event["tick"].as_u64().unwrap()
}

#[test]
fn an_agent_listens_thinks_and_speaks() {
    let lines = [types(When::Start(200), "look it up")];
    let (scene, shown) = shown(shop().caller(typist(), lines).happens(300, hang_up()));
    let (asked, spoken) = (scene.all("user.message"), scene.all("agent.speech_started"));
    let over = scene.all("agent.speech_finished");
    let expected = [
        (0, "listening"),
        (tick_of(&asked[0]), "thinking"),
        (tick_of(&spoken[0]), "speaking"),
        (tick_of(&over[0]) + 1, "thinking"),
        (tick_of(&spoken[1]), "speaking"),
        (tick_of(&over[1]) + 1, "listening"),
    ];
    // “Let me see.” is over before the tool answers.
    assert_eq!(states(&shown), expected);
}

#[test]
fn an_outcome_of_which_nothing_will_be_said_is_not_thought_about() {
    let lines = [types(When::Start(200), "never mind")];
    let (scene, shown) = shown(shop().caller(typist(), lines).happens(100, hang_up()));
    assert_eq!(scene.one("tool.result")["after_ticks"], 15);
    assert_eq!(states(&shown), [(0, "listening")]);
}

#[test]
fn a_cut_agent_listens_and_an_interruption_that_was_none_lets_it_speak_on() {
    let lines = [
        plays(When::Start(200), "caller-02-hours"),
        plays(When::AgentSpoke(800), "caller-02-hours"),
    ];
    let stage = Stage::new(SHOP)
        .caller(caller("ann"), lines)
        .hears([Hears::Words("what is the return policy"), Hears::Words("")]);
    let (scene, shown) = shown(stage);
    let at = |name: &str| tick_of(&scene.all(name)[0]);
    let states = states(&shown);
    let is_at = |name: &str, tick: u64| {
        states.iter().rev().find(|(from, _)| *from <= tick).unwrap().1 == name
    };
    assert!(is_at("speaking", at("agent.interrupted") - 1), "{states:?}");
    assert!(is_at("listening", at("agent.interrupted")), "{states:?}");
    assert!(is_at("speaking", at("agent.resumed")), "{states:?}");
}

#[test]
fn the_words_being_said_agree_with_what_a_cut_leaves() {
    let lines = [
        types(When::Start(200), "what is the return policy"),
        types(When::AgentSpoke(2_000), "stop"),
    ];
    let (scene, shown) = shown(Stage::new(SHOP).caller(typist(), lines).happens(600, hang_up()));
    let cut = scene.one("agent.interrupted");
    let spoken = cut["spoken"].as_str().unwrap();
    let said: Vec<usize> = shown
        .iter()
        .filter_map(|(_, _, saying)| saying.filter(|saying| saying.item.0 == 0))
        .map(|saying| saying.spoken as usize)
        .collect();
    assert!(said.is_sorted(), "it never goes back: {said:?}");
    for end in &said {
        let (words, rest) = POLICY.split_at(*end);
        assert!(!words.ends_with(' ') && (rest.is_empty() || rest.starts_with(' ') || *end == 0));
    }
    let words = &POLICY[..*said.last().unwrap()];
    assert!(spoken.starts_with(words), "“{words}” of “{spoken}”");
    assert!(!spoken[words.len()..].trim_start().contains(' '), "“{words}” of “{spoken}”");
    assert_eq!(shown[tick_of(&cut) as usize].2, None, "a cut agent says nothing");
    let over = scene.one("agent.speech_finished");
    let whole = shown[tick_of(&over) as usize].2.unwrap();
    assert_eq!(
        (whole.item.0, whole.spoken),
        (1, "Of course.".len() as u32),
        "all of “stop”’s answer"
    );
}

/// A scene in which `ann` joins at once and something happens; its end and reason.
fn ends(call: &str, happens: &[(u64, Inbound)], at_most: u64) -> Option<(u64, Value)> {
    let yaml = SHOP.replace("turn: {}", &format!("turn: {{ away_ms: 0 }}\ncall: {{ {call} }}"));
    let mut stage = Stage::new(&yaml).at_most(at_most);
    for (tick, value) in happens {
        stage = stage.happens(*tick, [value.clone()]);
    }
    let scene = stage.play();
    let end = scene.all("session.ended").pop()?;
    is_sound(&scene);
    Some((tick_of(&end), end["reason"].clone()))
}

#[test]
fn a_call_ends_some_time_after_the_last_participant_has_left() {
    let left = || Inbound::Left { lane: ANN };
    let alone = |tick| Some((tick, json!("alone")));
    assert_eq!(ends("alone_ms: 1000", &[(0, joined()), (20, left())], 500), alone(70));
    assert_eq!(ends("", &[(0, joined()), (20, left())], 900), alone(520), "ten seconds");
    // Nobody has been there; nobody is missed.
    assert_eq!(ends("alone_ms: 1000", &[], 500), None);
    assert_eq!(ends("alone_ms: 0", &[(0, joined()), (20, left())], 900), None);
    // One who comes back is not missed either.
    let back = [(0, joined()), (20, left()), (69, joined()), (100, left())];
    assert_eq!(ends("alone_ms: 1000", &back, 500), alone(150));
    let ben = Inbound::Joined { lane: LaneId(1), name: "ben".into() };
    let both = [(0, joined()), (1, ben), (20, left()), (300, Inbound::Left { lane: LaneId(1) })];
    assert_eq!(ends("alone_ms: 1000", &both, 500), alone(350), "one of two is company");
}

#[test]
fn a_call_ends_when_neither_side_was_heard_for_too_long() {
    let silent = |tick| Some((tick, json!("silence")));
    assert_eq!(ends("silence_ms: 2000", &[(0, joined())], 900), silent(100));
    assert_eq!(ends("silence_ms: 0", &[(0, joined())], 900), None);
    let digit = Inbound::Digit { lane: ANN, digit: '0' };
    assert_eq!(ends("silence_ms: 2000", &[(0, joined()), (50, digit)], 900), silent(150));
    let yaml = SHOP.replace("turn: {}", "call: { silence_ms: 2000 }");
    let lines = [types(When::Start(1_000), "what are your opening hours")];
    let scene = Stage::new(&yaml).caller(typist(), lines).play();
    let (over, end) = (scene.one("agent.speech_finished"), scene.one("session.ended"));
    assert_eq!(end["reason"], "silence");
    assert_eq!(tick_of(&end), tick_of(&over) + 100, "from the agent's last sound");
}

/// An answer: in which tick, of which request, and what.
type Answer = (u64, u32, Result<String, RpcError>);

/// A scene with requests, and the answers in their order with the ticks in which they came.
fn requests(requests: &[(u64, &str, &str)]) -> (Scene, Vec<Answer>) {
    let mut stage = shop().happens(0, [joined()]);
    for (number, (tick, method, payload)) in (0..).zip(requests) {
        stage = stage.happens(
            *tick,
            [Inbound::Request {
                request: RequestId(number),
                lane: Some(ANN),
                method: (*method).to_owned(),
                payload: (*payload).to_owned(),
            }],
        );
    }
    let mut answers = Vec::new();
    let scene = stage.happens(60, hang_up()).play_before(|now, out| {
        for effect in &out.effects {
            if let Effect::Answer { request, answer } = effect {
                answers.push((now.0, request.0, answer.clone()));
            }
        }
    });
    is_sound(&scene);
    let told: Vec<Value> = scene.each("rpc.answered", "request");
    let given: Vec<u32> = answers.iter().map(|(_, request, _)| *request).collect();
    assert_eq!(json!(told), json!(given), "each answer is an event");
    assert_eq!(scene.messages(), [] as [String; 0], "nothing of it is said");
    (scene, answers)
}

#[test]
fn a_request_is_a_call_of_the_same_tick_and_its_outcome_the_answer() {
    let (scene, answers) =
        requests(&[(5, "look", "{\"article\": \"shoes\"}"), (6, "slow", ""), (7, "whole", "{}")]);
    let whole = format!("\"{}\"", "x".repeat(15_358));
    let expected = [(5, 0, "{\"left\":3}"), (7, 2, &whole), (21, 1, "7")];
    let expected = expected.map(|(tick, request, value)| (tick, request, Ok(value.to_owned())));
    assert_eq!(answers, expected);
    let called = scene.all("tool.called");
    assert_eq!((tick_of(&called[0]), &called[0]["arguments"]), (5, &json!({ "article": "shoes" })));
    assert_eq!(called[1]["arguments"], json!({}), "an empty payload has no arguments");
    assert_eq!(scene.all("rpc.called")[1]["method"], "slow");
    assert_eq!(scene.each("rpc.answered", "after_ticks"), [0, 0, 15]);
}

#[test]
fn every_trouble_with_a_request_is_an_error_with_its_code() {
    let huge = format!("{{\"a\": \"{}\"}}", "x".repeat(16_000));
    let deep = format!("{{\"a\": {}1{}}}", "[".repeat(110), "]".repeat(110));
    let (_, answers) = requests(&[
        (5, "nothing", ""),
        (5, "look", &huge),
        (5, "look", "[1]"),
        (5, "look", "{\"a\": "),
        (5, "look", &deep),
        (6, "sing", ""),
        (6, "strict", "{}"),
        (6, "long", ""),
        (7, "late", ""),
        (50, "slow", ""),
    ]);
    let codes: Vec<(u32, u32, String)> = answers
        .into_iter()
        .map(|(_, request, answer)| {
            let error = answer.unwrap_err();
            (request, error.code, error.message)
        })
        .collect();
    let expected = [
        (0, 1400, "no method `nothing`"),
        (1, 1402, "more than 15360"),
        (2, 1500, "no JSON object"),
        (3, 1500, "no JSON object"),
        (4, 1500, "nested deeper"),
        (5, 1500, "no voice today"),
        (6, 1500, "arguments of `strict`"),
        (7, 1504, "15361 bytes"),
        (8, 1502, "no answer in time"),
        (9, 1500, "session ended"),
    ];
    assert_eq!(codes.len(), expected.len());
    for ((request, code, message), (id, number, part)) in codes.iter().zip(expected) {
        assert_eq!((*request, *code), (id, number), "{message}");
        assert!(message.contains(part) && message.len() <= 256, "{message}");
    }
}

#[test]
fn sixteen_requests_wait_for_their_answers_and_no_more() {
    let (scene, answers) = requests(&[(5, "slow", "{}"); 20]);
    let refused: Vec<u32> = answers
        .iter()
        .filter_map(|(_, request, answer)| Some((*request, answer.as_ref().err()?)))
        .inspect(|(_, error)| assert_eq!(error.message, "too many requests are under way"))
        .map(|(request, _)| request)
        .collect();
    assert_eq!(refused, [16, 17, 18, 19]);
    assert_eq!(scene.all("tool.called").len(), 16);
}

#[test]
fn a_request_of_somebody_without_a_lane_is_answered_too() {
    let ask = |request, lane| Inbound::Request {
        request: RequestId(request),
        lane,
        method: "look".into(),
        payload: String::new(),
    };
    let asked = [ask(0, None), ask(1, Some(LaneId(9)))];
    let scene = shop().happens(5, asked).happens(10, hang_up()).play();
    assert_eq!(scene.each("rpc.called", "lane"), [Value::Null, Value::Null]);
    assert_eq!(scene.each("rpc.answered", "error"), [Value::Null, Value::Null]);
    is_sound(&scene);
}

#[test]
fn a_tool_of_the_room_fails_where_there_is_no_room() {
    let lines = [types(When::Start(200), "show me"), types(When::Start(3_000), "write it down")];
    let scene = shop().caller(typist(), lines).happens(500, hang_up()).play();
    let said = scene.messages();
    assert_eq!(
        said,
        [
            "No: there is no room whose participants could answer method `show`.",
            "No: there is no room whose participants could receive data on `notes`.",
        ]
    );
    is_sound(&scene);
}
