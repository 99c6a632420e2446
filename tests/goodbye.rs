//! A call that is ended from outside in good order: what is being said is cut, the goodbye is heard, and nothing else.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use antiphon::id::LaneId;
use antiphon::session::input::Inbound;
use antiphon::sim::caller::Part;
use antiphon::sim::caller::When;
use antiphon::sim::replay::{Replayed, replay};
use antiphon::slot::Status;
use serde_json::{Value, json};
use stage::{SHOP, Scene, Stage, caller, goes_on_alike, types};

const GOODBYE: &str = "I have to end this call now. Goodbye.";

fn close() -> [Inbound; 1] {
    [Inbound::Close { reason: "the worker is being stopped".into() }]
}

/// It ended as it was to, replays, and goes on alike from a checkpoint.
#[track_caller]
fn is_sound(scene: &Scene, reason: &Value) {
    assert_eq!(scene.status, Status::Ended);
    assert_eq!(scene.one("session.ended")["reason"], *reason);
    let ticks = scene.ticks.len() as u64;
    assert_eq!(replay(&scene.read_journal(), |_, _| {}), Ok(Replayed::Equal { ticks }));
}

fn closed() -> Value {
    json!({ "closed": "the worker is being stopped" })
}

fn listener() -> Part {
    Part { audio: false, ..caller("ann") }
}

#[test]
fn what_is_being_said_is_cut_and_the_goodbye_is_heard() {
    let scene = Stage::new(SHOP)
        .caller(listener(), [types(When::Start(200), "what is the return policy")])
        .happens(100, close())
        .checkpoint_at(101)
        .play();
    let cut = scene.one("agent.interrupted");
    assert_eq!((&cut["cause"], &cut["tick"]), (&json!("closed"), &json!(100)));
    assert!(scene.was_heard(GOODBYE), "{}", scene.timeline());
    assert_eq!(scene.messages().last().map(String::as_str), Some(GOODBYE));
    assert!(scene.all("agent.resumed").is_empty());
    is_sound(&scene, &closed());
    goes_on_alike(&scene.checkpoints[0], &scene.read_journal());
}

#[test]
fn whatever_comes_in_the_meantime_is_not_answered() {
    let text = |text: &str| [Inbound::UserText { lane: LaneId(0), text: text.into() }];
    let scene = Stage::new(SHOP)
        .caller(listener(), [types(When::Start(200), "what are your opening hours")])
        .happens(60, close())
        .happens(62, text("where is my order 4217"))
        .happens(64, close())
        .play();
    assert!(scene.was_heard(GOODBYE));
    assert!(!scene.was_heard("Order 4217 is on its way."));
    let said = scene.messages().into_iter().filter(|said| said == GOODBYE).count();
    assert_eq!(said, 1, "it says goodbye once");
    is_sound(&scene, &closed());
}

#[test]
fn without_a_goodbye_it_ends_at_once() {
    let yaml = SHOP.replace("turn: {}", "turn: {}\ncall: { goodbye: '' }");
    let scene = Stage::new(&yaml)
        .caller(listener(), [types(When::Start(200), "what is the return policy")])
        .happens(100, close())
        .play();
    assert_eq!(scene.one("session.ended")["tick"], 100);
    is_sound(&scene, &closed());
}

#[test]
fn a_call_that_is_ending_already_ends_as_it_was_going_to() {
    let scene = Stage::new(SHOP)
        .caller(listener(), [types(When::Start(200), "goodbye")])
        .happens(14, close())
        .play();
    assert!(scene.was_heard("Goodbye."));
    assert!(!scene.was_heard(GOODBYE));
    is_sound(&scene, &json!("agent_ended"));
}

#[test]
fn who_hangs_up_waits_for_no_goodbye() {
    let scene = Stage::new(SHOP)
        .caller(listener(), [types(When::Start(200), "what is the return policy")])
        .happens(100, close())
        .happens(110, [Inbound::HangUp { reason: "enough".into() }])
        .play();
    assert_eq!(scene.one("session.ended")["tick"], 110);
    is_sound(&scene, &json!({ "hung_up": "enough" }));
}
