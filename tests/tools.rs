//! Tools: when their results arrive, and what every kind of trouble becomes.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use antiphon::id::LaneId;
use antiphon::session::input::Inbound;
use antiphon::sim::caller::{Part, When};
use antiphon::tool::ToolContext;
use serde_json::{Value, json};
use stage::{Scene, Stage, caller, types};

/// A desk where "one" to "seven" each call a tool.
const DESK: &str = "
name: desk
audio: { tick_ms: 20, rate_hz: 16000 }
speech: { synthesiser: { engine: tone, latency_ms: 20 }, apology: Sorry about that. }
tools:
  quick: { run: inline, canned: { otherwise: { n: 1 } } }
  prompt: { run: inline, delivery: same_tick, canned: { otherwise: { n: 2 } } }
  slow: { latency_ms: 1000, canned: { otherwise: { n: 3 } } }
  soon: { latency_ms: 20, canned: { otherwise: { n: 4 } } }
  late: { latency_ms: 1000, timeout_ms: 400, canned: { otherwise: { n: 5 } } }
  moody: { run: inline, canned: { otherwise: { n: 6 }, fails_first: 2, failure: not yet } }
  strict:
    run: inline
    parameters: { type: object, properties: { n: { type: integer } }, required: [n] }
    canned: { otherwise: { n: 7 } }
  coded: { run: inline }
  broken: { run: inline }
agents:
  desk:
    tools: [quick, prompt, slow, soon, late, moody, strict, coded, broken]
    intents:
      - { name: quick, phrases: [one], call: { tool: quick }, then: 'Quick {result.n}.', set: { n: '{result.n}' } }
      - { name: prompt, phrases: [two], call: { tool: prompt }, then: 'Prompt {result.n}.' }
      - { name: slow, phrases: [three], say: Let me think about this for a good while., call: { tool: slow },
          then: 'Slow {result.n}.' }
      - { name: soon, phrases: [four], call: { tool: soon }, then: 'Soon {result.n}.' }
      - { name: late, phrases: [five], call: { tool: late }, then: 'Late {result.n}.', failed: 'No: {error}.' }
      - { name: moody, phrases: [six], call: { tool: moody }, then: 'Moody {result.n}.', failed: 'No: {error}.' }
      - { name: strict, phrases: [seven], call: { tool: strict, with: { n: many } }, failed: 'No: {error}.' }
      - { name: coded, phrases: [eight], call: { tool: coded }, then: 'Coded {result.n}.', failed: 'No: {error}.' }
      - { name: broken, phrases: [nine], call: { tool: broken } }
";

fn desk() -> Stage {
    Stage::new(DESK)
}

/// Types words, half a second apart.
fn typed(stage: Stage, words: &[&str]) -> Scene {
    let lines =
        words.iter().enumerate().map(|(n, word)| types(When::Start(200 + 500 * n as u32), word));
    let part = Part { audio: false, hang_up_ms: 3_000, ..caller("ann") };
    stage.caller(part, lines.collect::<Vec<_>>()).play()
}

fn tick_of(event: &Value) -> u64 {
    event["tick"].as_u64().unwrap()
}

fn failure(event: &Value) -> (&str, &str) {
    let failed = &event["outcome"]["Failed"];
    (failed["kind"].as_str().unwrap(), failed["message"].as_str().unwrap())
}

#[test]
fn an_inline_result_reaches_the_agent_at_the_next_tick() {
    let scene = typed(desk(), &["one"]);
    let (called, result) = (scene.one("tool.called"), scene.one("tool.result"));
    assert_eq!((tick_of(&called), tick_of(&result)), (10, 10));
    assert_eq!(result["after_ticks"], 0);
    assert_eq!(result["outcome"]["Done"], json!({ "n": 1 }));
    let said = scene.one("agent.message");
    assert_eq!((tick_of(&said), &said["text"]), (11, &json!("Quick 1.")));
    assert!(scene.all("tool.deferred").is_empty());
}

#[test]
fn a_same_tick_result_reaches_the_agent_within_the_tick() {
    let scene = typed(desk(), &["two"]);
    let said = scene.one("agent.message");
    assert_eq!((tick_of(&said), &said["text"]), (10, &json!("Prompt 2.")));
    let seq = |name: &str| scene.one(name)["seq"].as_u64().unwrap();
    assert!(seq("tool.called") < seq("tool.result") && seq("tool.result") < seq("agent.message"));
}

#[test]
fn a_slow_tool_leaves_no_gap_in_the_audio() {
    let scene = typed(desk(), &["three"]);
    let called = tick_of(&scene.one("tool.called"));
    assert_eq!(tick_of(&scene.one("tool.deferred")), called + 1);
    let result = scene.one("tool.result");
    assert_eq!((tick_of(&result), &result["after_ticks"]), (called + 50, &json!(50)));
    let (from, to) =
        (&scene.all("agent.speech_started")[0], &scene.all("agent.speech_finished")[0]);
    assert!(
        tick_of(from) < called + 2 && tick_of(to) > called + 50,
        "the agent speaks all the while"
    );
    assert!(
        scene.ticks[tick_of(from) as usize..=tick_of(to) as usize]
            .iter()
            .all(|seen| seen.agent_speech)
    );
    assert!(scene.ticks.iter().all(|seen| seen.lens == [320, 320]), "a tick of audio each tick");
    assert_eq!(tick_of(&scene.all("agent.message")[1]), called + 50, "the agent learns it at once");
    assert!(scene.was_heard("Slow 3."));
}

#[test]
fn a_result_at_the_very_next_tick_is_not_deferred() {
    let scene = typed(desk(), &["four"]);
    assert_eq!(scene.one("tool.result")["after_ticks"], 1);
    assert!(scene.all("tool.deferred").is_empty());
    assert!(scene.was_heard("Soon 4."));
}

#[test]
fn a_timeout_is_a_failure_and_the_late_result_is_unexpected() {
    let scene = typed(desk(), &["five"]);
    let result = scene.one("tool.result");
    assert_eq!((result["after_ticks"].as_u64(), failure(&result).0), (Some(20), "timed_out"));
    let unexpected = scene.one("tool.unexpected");
    assert_eq!((tick_of(&unexpected), &unexpected["call"]), (10 + 50, &result["call"]));
    assert_eq!(scene.messages(), ["No: tool `late` gave no answer in time."]);
}

#[test]
fn a_tool_that_fails_at_first_works_later() {
    let scene = typed(desk(), &["six", "six", "six"]);
    assert_eq!(scene.messages(), ["No: not yet.", "No: not yet.", "Moody 6."]);
    assert_eq!(scene.each("tool.called", "occurrence"), [json!(0), json!(1), json!(2)]);
}

#[test]
fn wrong_arguments_never_reach_the_tool() {
    let scene = typed(desk(), &["seven"]);
    let result = scene.one("tool.result");
    assert_eq!(failure(&result).0, "invalid_arguments");
    assert!(failure(&result).1.contains("/n"), "{result}");
    assert_eq!(scene.all("agent.message").len(), 1);
}

#[test]
fn a_tool_that_fails_panics_or_does_not_exist_is_a_failed_outcome() {
    let fails = |_: &ToolContext, _: &Value| Err("no such luck".to_owned());
    let panics = |_: &ToolContext, _: &Value| panic!("oh no");
    let scene = typed(desk().tool("coded", fails), &["eight"]);
    assert_eq!(failure(&scene.one("tool.result")), ("failed", "no such luck"));
    assert!(scene.was_heard("No: no such luck."));
    let scene = typed(desk().tool("coded", panics), &["eight"]);
    assert_eq!(failure(&scene.one("tool.result")), ("panicked", "tool `coded` panicked: oh no"));
    // Nobody has registered it.
    let scene = typed(desk(), &["nine"]);
    assert_eq!(failure(&scene.one("tool.result")).0, "unknown_tool");
    assert!(scene.was_heard("Sorry about that."), "the script has no words for it");
}

#[test]
fn calls_of_one_tick_are_made_and_answered_in_their_order() {
    let text = |text: &str| Inbound::UserText { lane: LaneId(0), text: text.into() };
    let words = ["three", "one", "two", "one"].map(text);
    let scene = typed(desk().happens(5, words), &[]);
    let names = |event: &str| scene.each(event, "name");
    assert_eq!(names("tool.called"), ["slow", "quick", "prompt", "quick"]);
    assert_eq!(scene.each("tool.called", "call"), [json!(0), json!(1), json!(2), json!(3)]);
    assert_eq!(names("tool.result"), ["quick", "prompt", "quick", "slow"]);
    let said = scene.messages();
    assert_eq!(said[1..], ["Prompt 2.", "Quick 1.", "Quick 1.", "Slow 3."]);
}

#[test]
fn a_tool_knows_which_call_it_is() {
    let tells = |context: &ToolContext, _: &Value| Ok(json!({ "n": context.occurrence }));
    let scene = typed(desk().tool("coded", tells), &["one", "eight", "eight"]);
    assert_eq!(scene.messages(), ["Quick 1.", "Coded 0.", "Coded 1."]);
}
