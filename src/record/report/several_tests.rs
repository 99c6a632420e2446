//! Calls of two people by hand: what their page says of each is that one's.

use serde_json::{Value, json};

use super::super::tests::{ANN, Scene, plan};
use super::tests::{
    DESKS, NO_SOUND, cut, data, hears, html, reasons, says_the_policy, speaks_over, told,
};
use super::*;
use crate::graph::Cause;
use crate::id::{CallId, LaneId, TurnId, UtteranceId};
use crate::session::event::CutCause;
use crate::tool::{Json, Outcome};

const BOB: LaneId = LaneId(7);

fn says(scene: &mut Scene, tick: u64, lane: LaneId, text: &str, intent: Option<&str>, typed: bool) {
    let (text, intent) = (text.to_owned(), intent.map(str::to_owned));
    let (turn, last_voiced) = (TurnId(tick as u32), Tick(tick));
    scene.event(tick, EventKind::UserMessage { turn, lane, text, intent, typed, last_voiced });
}

fn joins(scene: &mut Scene, tick: u64, lane: LaneId, name: &str) {
    scene.event(tick, EventKind::UserJoined { lane, name: name.into() });
}

/// A call of Ann and Bob.
fn held(scene: impl Fn(&mut Scene)) -> (Report, String) {
    let plan = plan(DESKS);
    let mut made = Scene::new(&plan, 120);
    made.event(0, EventKind::SessionCreated { agent: "desk".into() });
    made.event(0, EventKind::AgentStarted { agent: "desk".into() });
    joins(&mut made, 0, ANN, "Ann");
    joins(&mut made, 0, BOB, "Bob");
    scene(&mut made);
    let report = told(&plan, &made, Timing::default());
    let page = html(&report, &NO_SOUND);
    (report, page)
}

/// Both ask in one tick, and both answers come in one tick.
fn both_ask(scene: &mut Scene, results: [Value; 2]) {
    for (n, (lane, text)) in [(ANN, "are there boots"), (BOB, "are there shoes")].iter().enumerate()
    {
        says(scene, 40, *lane, text, Some("order"), true);
        let (call, name, arguments) = (CallId(n as u32), "find".to_owned(), Json(json!({})));
        scene.event(40, EventKind::ToolCalled { call, name, arguments, occurrence: n as u32 });
    }
    for (n, value) in results.into_iter().enumerate() {
        let (call, name, outcome) = (CallId(n as u32), "find".into(), Outcome::Done(Json(value)));
        scene.event(60, EventKind::ToolResult { call, name, outcome, after_ticks: 20 });
    }
}

fn by_result() -> Cause {
    Cause::ToolResult { tool: "find".into(), condition: "state eq \"lost\"".into() }
}

fn moves(scene: &mut Scene) {
    let (from, to, cause) = ("desk".into(), "lost".into(), by_result());
    scene.event(60, EventKind::TransitionExecuted { from, to, transition: 1, cause });
}

#[test]
fn of_two_results_the_one_that_fits_is_the_reason_and_who_asked_for_it_is_named() {
    let (here, lost) = (json!({ "state": "here" }), json!({ "state": "lost" }));
    for (results, text) in [
        ([here.clone(), lost.clone()], "Bob typed “are there shoes”"),
        ([lost, here], "Ann typed “are there boots”"),
    ] {
        let refused = |scene: &mut Scene| {
            let (from, to, cause) = ("desk".into(), "lost".into(), by_result());
            let reason = "4 hand-overs within one turn".into();
            scene.event(60, EventKind::TransitionRefused { from, to, cause, reason });
        };
        let (_, page) = held(|scene| {
            both_ask(scene, results.clone());
            moves(scene);
            refused(scene);
        });
        let told = reasons(&page, "hand_overs");
        assert!(
            told[0].contains("when state in the result of find is \"lost\", and it was \"lost\".")
        );
        for told in told {
            assert!(told.contains(text) && told.contains(": {\"state\":\"lost\"}."), "{told}");
        }
    }
}

/// A result may be a book: a story keeps what is told of it.
#[test]
fn a_long_result_is_kept_as_far_as_it_is_told() {
    let book = json!({ "state": "lost", "text": "word ".repeat(100_000) });
    let (report, page) = held(|scene| {
        both_ask(scene, [book.clone(), book.clone()]);
        moves(scene);
    });
    assert!(reasons(&page, "hand_overs")[0].contains("and it was \"lost\"."));
    let Story { moves, calls, .. } = &report.story;
    for kept in [format!("{moves:?}"), format!("{calls:?}")] {
        assert!(kept.len() < 10_000, "{} bytes are kept", kept.len());
    }
}

fn cut_by_ann(end: impl Fn(&mut Scene)) -> String {
    let (_, page) = held(|scene| {
        says_the_policy(scene);
        speaks_over(scene, 0, 15, 60, 800);
        cut(scene, 40, CutCause::Voice, 15);
        end(scene);
    });
    reasons(&page, "interruptions").remove(0)
}

#[test]
fn what_another_said_or_what_was_typed_does_not_confirm_a_voice() {
    let of_bob = |scene: &mut Scene| {
        let (lane, utterance) = (BOB, UtteranceId(0));
        let started = EventKind::UserSpeechStarted { lane, utterance, over_agent: false };
        scene.event(45, started);
        scene.event(50, EventKind::UserSpeechStopped { lane, utterance, voiced_ms: 100 });
    };
    let end = |by: &str| {
        format!(
            "Before its words were known, at 1.40 s, {by} “two words”, and that was answered instead"
        )
    };
    for (lane, typed, by) in
        [(ANN, true, "Ann typed"), (BOB, true, "Bob typed"), (BOB, false, "Bob had said")]
    {
        let told = cut_by_ann(|scene| {
            if !typed {
                of_bob(scene);
                let (utterance, text) = (UtteranceId(0), "two words".into());
                let (confidence, last) = (1.0, true);
                let words = EventKind::UserTranscript { lane, utterance, text, confidence, last };
                scene.event(65, words);
            }
            says(scene, 70, lane, "two words", None, typed);
            // Too late to be of any account.
            hears(scene, 90, 0, "wait please", 1.0);
            says(scene, 90, ANN, "wait please", None, false);
        });
        assert!(told.contains(&end(by)) && !told.contains("confirmed"), "{told}");
    }
    let told = cut_by_ann(|scene| {
        of_bob(scene);
        let (lane, utterance, cause) = (BOB, UtteranceId(0), "it broke".into());
        scene.event(66, EventKind::RecogniserFailed { lane, utterance, cause });
    });
    let failed = "At 1.32 s the recogniser gave up on what Bob said meanwhile (it broke), so desk apologised";
    assert!(told.contains(failed), "{told}");
}

#[test]
fn words_that_cut_are_confirmed_by_themselves_even_if_a_turn_has_those_of_two() {
    let told = cut_by_ann(|scene| {
        hears(scene, 65, 0, "wait please", 1.0);
        says(scene, 70, BOB, "two words", None, true);
        says(scene, 70, ANN, "wait please", None, true);
    });
    assert!(
        told.contains("At 1.30 s the words were known, “wait please”: that confirmed"),
        "{told}"
    );
}

#[test]
fn a_track_has_the_names_of_all_who_were_on_its_lane() {
    let (_, page) = held(|scene| {
        joins(scene, 50, ANN, "Cara");
        joins(scene, 60, ANN, "Ann");
        for (tick, name) in [(70, "D"), (71, "E"), (72, "F")] {
            joins(scene, tick, BOB, name);
        }
        joins(scene, 73, BOB, "G");
    });
    let names: Vec<_> =
        data(&page)["tracks"].as_array().unwrap().iter().map(|t| t["name"].clone()).collect();
    assert_eq!(names, ["Ann, Cara", "Bob, D, E, F and 1 more", "agent"]);
}
