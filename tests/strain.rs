//! Sessions under strain: what is no audio is done less often, audio is not touched, and a replay does the same.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use antiphon::id::RequestId;
use antiphon::session::input::Inbound;
use antiphon::sim::caller::When;
use antiphon::sim::replay::{Replayed, replay};
use serde_json::Value;
use stage::{Hears, POLICY, SHOP, Scene, Stage, caller, goes_on_alike, plays, types};

const EVERY: u16 = 5;

const fn strain(turn: u16) -> Inbound {
    Inbound::Strain { every: EVERY, turn }
}

const RELIEF: Inbound = Inbound::Strain { every: 1, turn: 0 };

fn tick(event: &Value) -> u64 {
    event["tick"].as_u64().unwrap()
}

#[track_caller]
fn replays(scene: &Scene) {
    let journal = scene.read_journal();
    let ticks = journal.ticks.len() as u64;
    assert_eq!(replay(&journal, |_, _| {}), Ok(Replayed::Equal { ticks }));
    for checkpoint in &scene.checkpoints {
        goes_on_alike(checkpoint, &journal);
    }
}

/// Two questions by text, the second in each of five ticks, so that all places within the turn are tried.
fn typed(turn: Option<u16>, ms: u32) -> Scene {
    let quiet = antiphon::sim::caller::Part { audio: false, ..caller("ann") };
    let lines = [
        types(When::Start(400), "what are your opening hours"),
        types(When::Start(ms), "where is my order 12"),
        types(When::Start(7_000), "goodbye"),
    ];
    let stage = Stage::new(SHOP).caller(quiet, lines).checkpoint_at(u64::from(ms) / 20 + 1);
    match turn {
        Some(turn) => stage.happens(100, [strain(turn)]).happens(300, [RELIEF]).play(),
        None => stage.play(),
    }
}

#[test]
fn what_was_put_off_is_done_in_the_next_turn_and_nothing_is_lost() {
    for ms in (4_000..4_100).step_by(20) {
        let (calm, strained) = (typed(None, ms), typed(Some(3), ms));
        assert_eq!(strained.messages(), calm.messages());
        let messages = strained.all("user.message");
        let before = calm.all("user.message");
        assert_eq!(messages.len(), 3);
        assert_eq!(tick(&messages[0]), tick(&before[0]), "it is not strained yet");
        assert_eq!(tick(&messages[2]), tick(&before[2]), "it is relieved");
        let (found, asked) = (tick(&messages[1]), tick(&before[1]));
        assert_eq!(found % u64::from(EVERY), 3, "in its turn");
        assert!((asked..asked + u64::from(EVERY)).contains(&found), "{found} for {asked}");
        replays(&strained);
    }
}

#[test]
fn strain_and_relief_are_told_once_with_their_length() {
    let scene = typed(Some(0), 4_000);
    let (strained, relieved) = (scene.one("session.strained"), scene.one("session.relieved"));
    assert_eq!((tick(&strained), &strained["every"]), (100, &EVERY.into()));
    assert_eq!((tick(&relieved), &relieved["after_ticks"]), (300, &200.into()));
    assert!(scene.timeline().contains("what is no audio is done in one of 5 ticks"));
}

#[test]
fn relief_brings_what_was_put_off_at_once() {
    let quiet = antiphon::sim::caller::Part { audio: false, ..caller("ann") };
    let lines = [
        types(When::Start(4_020), "what are your opening hours"),
        types(When::Start(7_000), "goodbye"),
    ];
    let stage = Stage::new(SHOP).caller(quiet, lines);
    let calm = stage.play();
    let asked = tick(&calm.all("user.message")[0]);
    let lines = [
        types(When::Start(4_020), "what are your opening hours"),
        types(When::Start(7_000), "goodbye"),
    ];
    let quiet = antiphon::sim::caller::Part { audio: false, ..caller("ann") };
    let turn = ((asked + 4) % 5) as u16;
    let scene = Stage::new(SHOP)
        .caller(quiet, lines)
        .happens(100, [strain(turn)])
        .happens(asked + 2, [RELIEF])
        .play();
    assert_eq!(tick(&scene.all("user.message")[0]), asked + 2);
    replays(&scene);
}

#[test]
fn who_talks_over_the_agent_cuts_it_as_fast_as_ever_and_audio_has_no_gap() {
    let play = |strained: bool| {
        let lines = [
            types(When::Start(400), "what is the return policy"),
            plays(When::Start(3_000), "caller-02-hours"),
        ];
        let stage = Stage::new(SHOP).caller(caller("ann"), lines);
        let stage = stage.hears([Hears::Words("what are your opening hours")]);
        if strained { stage.happens(100, [strain(1)]).play() } else { stage.play() }
    };
    let (calm, strained) = (play(false), play(true));
    assert_eq!(strained.messages()[0], POLICY);
    let (cut, before) = (strained.one("agent.interrupted"), calm.one("agent.interrupted"));
    assert_eq!((tick(&cut), &cut["spoken"]), (tick(&before), &before["spoken"]));
    // To the end of the cut, both sound alike, sample by sample.
    for at in 0..tick(&cut) + 5 {
        assert_eq!(strained.audio_at(at), calm.audio_at(at), "tick {at}");
    }
    assert_eq!(strained.heard[..100_000], calm.heard[..100_000]);
    assert_eq!(strained.messages(), calm.messages());
    replays(&strained);
}

#[test]
fn words_of_an_utterance_that_is_not_over_are_left_out() {
    let play = |strained: bool| {
        let lines = [plays(When::Start(1_000), "caller-07-policy")];
        let stage = Stage::new(SHOP).caller(caller("ann"), lines);
        let stage = stage.hears([Hears::Words("what is the return policy")]);
        if strained { stage.happens(10, [strain(0)]).play() } else { stage.play() }
    };
    let interim = |scene: &Scene| {
        let all = scene.all("user.transcript");
        all.iter().filter(|words| words["last"] == false).count()
    };
    let (calm, strained) = (play(false), play(true));
    assert!(interim(&calm) > 0);
    assert_eq!(interim(&strained), 0);
    assert_eq!(strained.messages(), calm.messages());
    replays(&strained);
}

#[test]
fn no_model_is_asked_before_the_turn_has_ended() {
    const DESK: &str = "
name: desk
audio: { tick_ms: 20, rate_hz: 16000 }
speech:
  recogniser: { engine: pocketsphinx, latency_ms: 20 }
  synthesiser: { engine: tone, latency_ms: 20 }
turn: { end_silence_min_ms: 500, end_silence_max_ms: 1500 }
models:
  small: { provider: canned, latency_ms: 100, timeout_ms: 2000, replies: [{ say: Thirty days. }] }
agents:
  desk: { kind: model, model: small, instructions: You serve., preemptive: true }
";
    let play = |strained: Option<u64>| {
        let lines = [plays(When::Start(200), "caller-07-policy")];
        let stage = Stage::new(DESK).caller(caller("ann"), lines);
        let stage = stage.hears([Hears::Words("what is the return policy")]);
        match strained {
            Some(tick) => stage.happens(tick, [strain(2)]).play(),
            None => stage.play(),
        }
    };
    let (calm, strained) = (play(None), play(Some(5)));
    let asked = |scene: &Scene| scene.all("model.asked").iter().map(tick).collect::<Vec<_>>();
    let turn = tick(&calm.one("user.message"));
    assert!(asked(&calm)[0] < turn, "{:?} before {turn}", asked(&calm));
    let turn = tick(&strained.one("user.message"));
    assert_eq!(asked(&strained), [turn], "in the tick of the turn, and never before");
    assert_eq!(strained.messages(), calm.messages());
    replays(&strained);
    // What was asked early when strain comes is dropped, and asked anew.
    let early = *asked(&calm).last().unwrap();
    let late = play(Some(early + 1));
    assert_eq!(late.all("model.dropped").len(), 1);
    assert_eq!(asked(&late).len(), asked(&calm).len() + 1);
    assert_eq!(late.messages(), calm.messages());
    replays(&late);
}

#[test]
fn a_jump_over_its_turn_does_not_put_work_off_for_longer() {
    let quiet = antiphon::sim::caller::Part { audio: false, ..caller("ann") };
    let lines = [
        types(When::Start(4_000), "what are your opening hours"),
        types(When::Start(7_000), "goodbye"),
    ];
    let scene = Stage::new(SHOP)
        .caller(quiet, lines)
        .happens(100, [strain(3)])
        .skips(203, 2)
        .skips(208, 2)
        .play();
    let found = tick(&scene.all("user.message")[0]);
    assert!((200..=210).contains(&found), "{found}");
    replays(&scene);
}

#[test]
fn a_call_that_ends_outside_of_its_turn_answers_what_was_asked_in_the_same_tick() {
    let tools = "livekit: { rpc: { status: status } }
tools: { status: { run: inline, canned: { otherwise: sent } } }
agents:";
    let config = SHOP.replace("agents:", tools);
    for at in 200..205 {
        let asks = Inbound::Request {
            request: RequestId(7),
            lane: None,
            method: "status".to_owned(),
            payload: String::new(),
        };
        let ends = Inbound::HangUp { reason: "enough".to_owned() };
        let scene = Stage::new(&config)
            .caller(caller("ann"), [types(When::Start(7_000), "goodbye")])
            .happens(100, [strain(3)])
            .happens(at, [asks, ends])
            .play();
        assert_eq!(tick(&scene.one("session.ended")), at);
        assert_eq!(tick(&scene.one("rpc.answered")), at);
        replays(&scene);
    }
}
