//! Floods and nonsense from outside: bounded, told, and never a panic.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use antiphon::clock::Tick;
use antiphon::id::{CallId, ItemId, LaneId, UtteranceId};
use antiphon::pcm::Clip;
use antiphon::session::Session;
use antiphon::session::input::{Inbound, Input};
use antiphon::session::output::Output;
use antiphon::sim::caller::{Part, When};
use antiphon::sim::replay::{Replayed, replay};
use antiphon::slot::Status;
use antiphon::tool::{Json, NoHands, Outcome};
use serde_json::{Value, json};
use stage::{Hears, SHOP, Scene, Stage, caller, plays, types};

/// The desk of the shop with a slow tool.
fn shop() -> Stage {
    let yaml = SHOP.replace("agents:", "tools: { look: { latency_ms: 300, canned: { otherwise: 7 } } }\nagents:").replace(
        "intents:",
        "tools: [look]\n    intents:\n      - { name: look, phrases: [look it up], call: { tool: look }, then: 'It is {result}.' }",
    );
    Stage::new(&yaml)
}

fn joined(lane: u16) -> Inbound {
    Inbound::Joined { lane: LaneId(lane), name: format!("guest {lane}") }
}

fn text(text: &str) -> Inbound {
    Inbound::UserText { lane: LaneId(0), text: text.to_owned() }
}

fn hang_up() -> [Inbound; 1] {
    [Inbound::HangUp { reason: "enough".into() }]
}

/// The scene was whole: it ended by itself, and replays.
fn is_sound(scene: &Scene) {
    assert_eq!(scene.status, Status::Ended);
    let ticks = scene.ticks.len() as u64;
    assert_eq!(replay(&scene.read_journal(), |_, _| {}), Ok(Replayed::Equal { ticks }));
}

fn reached(scene: &Scene, limit: &str) -> usize {
    scene.each("limit.reached", "limit").iter().filter(|reached| **reached == limit).count()
}

#[test]
fn a_hundred_guests_are_more_than_can_be_heard() {
    let scene = shop().happens(0, (0..100).map(joined)).happens(10, hang_up()).play();
    assert_eq!(scene.all("user.joined").len(), 16);
    assert_eq!(reached(&scene, "lanes"), 84);
    is_sound(&scene);
}

#[test]
fn the_seat_of_a_guest_who_has_gone_is_free() {
    let mut stage = shop();
    for lane in 0..40 {
        stage =
            stage.happens(u64::from(lane), [joined(lane), Inbound::Left { lane: LaneId(lane) }]);
    }
    let scene = stage.happens(50, hang_up()).play();
    assert_eq!((scene.all("user.joined").len(), reached(&scene, "lanes")), (40, 0));
    is_sound(&scene);
}

#[test]
fn ten_thousand_texts_at_once_are_bounded() {
    let words = ["look it up", "stop", "what is the return policy", "nonsense"];
    let texts = (0..10_000).map(|n| text(words[n % 4]));
    let scene =
        shop().happens(5, [joined(0)].into_iter().chain(texts)).happens(6, hang_up()).play();
    assert_eq!(scene.all("tool.called").len(), 32);
    assert_eq!(scene.all("tool.result").len(), 32);
    // 32 items wait at most; the results' answers come when some have been said.
    assert!(scene.all("agent.message").len() <= 64, "{}", scene.all("agent.message").len());
    assert!(reached(&scene, "items") > 0 && reached(&scene, "calls") > 0);
    assert!(scene.transcript.len() <= 512);
    is_sound(&scene);
}

#[test]
fn answers_that_come_while_a_cut_is_undecided_are_bounded_together_with_what_was_cut() {
    // 32 answers wait to be said, and 32 calls are under way, when a voice cuts the agent.
    let yaml = SHOP.replace("agents:", "tools: { look: { latency_ms: 2500, canned: { otherwise: 7 } } }\nagents:").replace(
        "intents:",
        "tools: [look]\n    intents:\n      - { name: look, phrases: [look it up], call: { tool: look }, then: 'It is {result}.' }",
    ).replace("engine: pocketsphinx, latency_ms: 20", "engine: pocketsphinx, latency_ms: 2000");
    let texts = [&["what is the return policy"][..], &["stop"; 31], &["look it up"; 32]].concat();
    let scene = Stage::new(&yaml)
        .caller(caller("ann"), [plays(When::AgentSpoke(300), "caller-02-hours")])
        .hears([Hears::Words("")])
        .happens(5, texts.into_iter().map(text))
        .happens(400, hang_up())
        .play();
    let ms = |name: &str| scene.all(name)[0]["ms"].as_u64().unwrap();
    let answered = scene.all("tool.result")[0]["ms"].as_u64().unwrap();
    assert!(ms("agent.interrupted") < answered && answered < ms("agent.resumed"), "undecided");
    assert_eq!(scene.all("agent.message").len(), 32, "what was cut may yet be said");
    assert_eq!(reached(&scene, "items"), 32);
    is_sound(&scene);
}

#[test]
fn ten_thousand_texts_in_a_row_are_bounded() {
    let mut stage = shop().happens(0, [joined(0)]);
    for tick in 0..100 {
        stage = stage.happens(tick, (0..100).map(|_| text("stop")));
    }
    let scene = stage.happens(100, hang_up()).play();
    assert!(reached(&scene, "items") > 0);
    assert!(scene.transcript.len() <= 512);
    is_sound(&scene);
}

#[test]
fn huge_texts_are_cut() {
    let huge = "é ".repeat(500_000);
    let arrive = [Inbound::Joined { lane: LaneId(0), name: huge.clone() }, text(&huge)];
    let scene = shop().happens(0, arrive).happens(10, hang_up()).play();
    for (event, field) in [("user.joined", "name"), ("user.message", "text")] {
        let text = scene.one(event)[field].as_str().unwrap().chars().count();
        assert!(text <= 4_000, "{event}: {text} characters");
    }
    is_sound(&scene);
}

#[test]
fn huge_reasons_are_cut() {
    let huge = || "x".repeat(1_000_000);
    let lines = [plays(When::Start(200), "caller-02-hours")];
    let failed =
        Inbound::RecogniserFailed { lane: LaneId(0), utterance: UtteranceId(0), cause: huge() };
    let scene = shop()
        .caller(caller("ann"), lines)
        .happens(40, [failed])
        .happens(60, [Inbound::SynthesiserFailed { item: ItemId(0), cause: huge() }])
        .happens(80, [Inbound::HangUp { reason: huge() }])
        .play();
    for event in &scene.events {
        let len = event.to_json(scene.plan.len).to_string().len();
        assert!(len < 10_000, "tick {}: an event of {len} bytes", event.tick);
    }
}

#[test]
fn audio_of_a_wrong_length_or_place_is_silence() {
    let stage = shop();
    let plan = &stage.plan;
    let (mut session, mut input, mut out) =
        (Session::new(plan, 0), Input::default(), Output::default());
    for (tick, len) in [0, 1, 319, 321, 640, 32_000, 65_535].into_iter().enumerate() {
        input.clear(Tick(tick as u64), 0);
        input.inbound.push(joined(0));
        input.audio(LaneId(0), tick as u16, &vec![9_000; len]);
        for (from, len) in [(u32::MAX, 320), (len as u32, 320), (0, u16::MAX)] {
            input.inbound.push(Inbound::Audio { lane: LaneId(0), seq: 77, from, len });
        }
        session.step(plan, &mut input, &mut NoHands, &mut out);
        assert_eq!((out.audio.len(), out.heard.len()), (320, 320));
        assert!(out.heard.iter().all(|sample| *sample == 0), "{len} samples");
    }
}

#[test]
fn numbers_that_jump_about_are_a_tick_of_audio_each_tick() {
    let stage = shop();
    let plan = &stage.plan;
    let (mut session, mut input, mut out) =
        (Session::new(plan, 0), Input::default(), Output::default());
    let mut seed = antiphon::seed::Seed::new(11);
    for tick in 0..500 {
        input.clear(Tick(tick), 0);
        if tick == 0 {
            input.inbound.push(joined(0));
        }
        for _ in 0..seed.below(60) {
            input.audio(LaneId(0), seed.next_u64() as u16, &[1_000; 320]);
        }
        session.step(plan, &mut input, &mut NoHands, &mut out);
        assert_eq!((out.audio.len(), out.heard.len()), (320, 320), "seed 11, tick {tick}");
    }
}

#[test]
fn what_nobody_knows_is_ignored() {
    let transcript = |lane, utterance, confidence| Inbound::Transcript {
        lane: LaneId(lane),
        utterance: UtteranceId(utterance),
        text: "\u{0}\u{202e}stop".into(),
        confidence,
        last: true,
    };
    let outcome = Outcome::Done(Json(json!(1)));
    let nonsense = [
        Inbound::Left { lane: LaneId(9) },
        Inbound::Audio { lane: LaneId(9), seq: 0, from: 0, len: 320 },
        transcript(9, 0, 1.0),
        transcript(0, 99, f32::NAN),
        Inbound::RecogniserFailed {
            lane: LaneId(9),
            utterance: UtteranceId(0),
            cause: String::new(),
        },
        Inbound::RecogniserFailed {
            lane: LaneId(0),
            utterance: UtteranceId(7),
            cause: String::new(),
        },
        Inbound::Speech { item: ItemId(99), pcm: Clip::from(vec![9; 320]), last: false },
        Inbound::SynthesiserFailed { item: ItemId(99), cause: String::new() },
    ];
    let result = Inbound::ToolResult { call: CallId(99), outcome };
    let scene = shop()
        .happens(0, [joined(0)])
        .happens(3, nonsense)
        .happens(4, [result])
        .happens(9, hang_up())
        .play();
    let names: Vec<Value> =
        scene.events.iter().map(|event| event.to_json(scene.plan.len)["type"].clone()).collect();
    let expected =
        ["session.created", "agent.started", "user.joined", "tool.unexpected", "session.ended"];
    assert_eq!(names, expected);
    is_sound(&scene);
}

#[test]
fn garbage_for_a_real_utterance_is_survived() {
    let part = Part { hang_up_ms: 3_000, ..caller("ann") };
    let words = |confidence, last| Inbound::Transcript {
        lane: LaneId(0),
        utterance: UtteranceId(0),
        text: "\u{0}\u{fffd}\n\r\t'\u{202e}".into(),
        confidence,
        last,
    };
    let all =
        [f32::NAN, f32::INFINITY, -1.0].into_iter().flat_map(|c| [words(c, false), words(c, true)]);
    let scene = shop()
        .caller(part, [plays(When::Start(200), "caller-02-hours")])
        .hears([Hears::Words("what are your opening hours")])
        // The first time it is open, the second time its words are awaited.
        .happens(60, all.clone())
        .happens(134, all)
        .play();
    assert!(scene.all("user.transcript").len() >= 6);
    is_sound(&scene);
}

#[test]
fn skipped_ticks_are_recorded_and_replay() {
    let lines =
        [plays(When::Start(200), "caller-02-hours"), types(When::AgentSilent(500), "look it up")];
    let scene = shop()
        .caller(caller("ann"), lines)
        .hears([Hears::Words("what are your opening hours")])
        .skips(0, 2)
        .skips(40, 3)
        .skips(100, 30)
        .play();
    assert_eq!(scene.each("tick.skipped", "count"), [2, 3, 30]);
    assert_eq!(scene.each("tick.skipped", "tick"), [2, 43, 130]);
    assert_eq!(scene.all("user.joined").len(), 1);
    assert_eq!(scene.one("tool.result")["outcome"]["Done"], 7);
    assert!(scene.ticks.windows(2).all(|pair| pair[0].tick < pair[1].tick));
    is_sound(&scene);
}

#[test]
fn a_jump_of_days_is_one_tick() {
    let scene =
        shop().happens(0, [joined(0)]).skips(10, 20_000_000).happens(20_000_020, hang_up()).play();
    assert_eq!(scene.one("tick.skipped")["count"], 20_000_000);
    assert!(scene.ticks.iter().all(|seen| seen.lens == [320, 320]));
    is_sound(&scene);
}

#[test]
fn the_longest_call_ends_however_busy_the_caller_is() {
    let yaml = format!("call: {{ max_ms: 3000 }}{SHOP}");
    let questions = (0..60).map(|n| types(When::Start(n * 2_000), "what is the return policy"));
    let part = Part { audio: false, ..caller("ann") };
    let scene = Stage::new(&yaml).caller(part, questions.collect::<Vec<_>>()).play();
    assert_eq!(scene.one("session.ended")["reason"], "max_length");
    let ended_ms = scene.one("session.ended")["ms"].as_u64().unwrap();
    assert!(ended_ms < 30_000, "a call of 3 s took {ended_ms} ms");
}

#[test]
fn every_call_has_an_outcome_even_if_the_caller_hangs_up_first() {
    let scene = shop().happens(0, [joined(0), text("look it up")]).happens(3, hang_up()).play();
    assert_eq!(scene.all("tool.called").len(), 1);
    assert_eq!(scene.all("tool.result").len(), 1, "a call has exactly one outcome");
}
