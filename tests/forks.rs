//! A recorded call goes on in another way from one of its ticks: what is reused, what is not known, and
//! where the two part.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use std::sync::Arc;

use antiphon::clock::{Tick, TickLen};
use antiphon::config::{self, Config};
use antiphon::journal::Journal;
use antiphon::model::tone::Tone;
use antiphon::model::virtual_time::VirtualMouth;
use antiphon::session::event::Event;
use antiphon::sim::caller::When;
use antiphon::sim::fork::{Change, Fork};
use antiphon::sim::recall::{Live, Unknown};
use antiphon::sim::replay::{Replayed, replay};
use antiphon::sim::tools::{Latency, VirtualTools};
use antiphon::slot::Edge;
use antiphon::tool::Registry;
use serde_json::Value;
use stage::{Hears, POLICY, SHOP, Scene, Stage, caller, plays, types};

/// A shop with a tool that fails at first, and answers then.
fn shop() -> String {
    SHOP.replace("agents:", "tools: { look: { latency_ms: 300, canned: { otherwise: 7, fails_first: 1 } } }\nagents:")
        .replace("intents:", "tools: [look]\n    intents:\n      - { name: look, phrases: [look it up], call: { tool: look }, then: 'It is {result}.', failed: Not now. }")
}

/// A caller asks for the policy, talks over the answer, and looks something up twice.
fn a_call() -> Scene {
    let lines = [
        plays(When::Start(200), "caller-07-policy"),
        plays(When::AgentSpoke(1_000), "caller-02-hours"),
        types(When::AgentSilent(300), "look it up"),
        types(When::AgentSilent(300), "look it up"),
    ];
    let hears =
        [Hears::Words("what is the return policy"), Hears::Words("what are your opening hours")];
    Stage::new(&shop()).caller(caller("ann"), lines).hears(hears).play()
}

/// What came of a fork.
struct Forked {
    events: Vec<Event>,
    digests: Vec<u64>,
    agent_speech: Vec<bool>,
    diverged: Option<Tick>,
    unknown: Unknown,
    journal: Journal,
    len: TickLen,
}

impl Forked {
    fn all(&self, name: &str) -> Vec<Value> {
        let events = self.events.iter().map(|event| event.to_json(self.len));
        events.filter(|event| event["type"] == name).collect()
    }
}

fn try_fork(
    scene: &Scene,
    at: u64,
    config: Option<Config>,
    live: Option<Live>,
) -> Result<Forked, String> {
    fork_of(scene.read_journal(), scene.plan.len, at, config, live)
}

fn fork_of(
    journal: Journal,
    len: TickLen,
    at: u64,
    config: Option<Config>,
    live: Option<Live>,
) -> Result<Forked, String> {
    let journal = Arc::new(journal);
    let change = Change { at: Tick(at), config, of: "a.antiphon".into(), live };
    let mut fork = Fork::new(journal, [None, None], change).map_err(|error| error.to_string())?;
    let (mut events, mut digests, mut agent_speech) = (Vec::new(), Vec::new(), Vec::new());
    while fork.tick().is_some() {
        let out = fork.slot().output();
        events.extend(out.events.iter().cloned());
        digests.push(out.digest);
        agent_speech.push(out.agent_speech);
    }
    let mut bytes = Vec::new();
    fork.slot().scribe().expect("a fork has a journal").take(&mut bytes);
    Ok(Forked {
        events,
        digests,
        agent_speech,
        diverged: fork.diverged(),
        unknown: fork.unknown(),
        journal: Journal::read(&bytes).expect("it is whole"),
        len,
    })
}

fn fork(scene: &Scene, at: u64, config: Option<Config>) -> Forked {
    try_fork(scene, at, config, None).unwrap_or_else(|why| panic!("{why}"))
}

fn yaml(text: &str) -> Config {
    config::parse(text.as_bytes(), "other.yaml").unwrap_or_else(|why| panic!("{why}"))
}

fn tick_of(event: &Value) -> u64 {
    event["tick"].as_u64().expect("every event has a tick")
}

#[test]
fn a_fork_that_changes_nothing_is_the_recording_to_its_end() {
    let scene = a_call();
    for at in [0, 1, 50, scene.ticks.len() as u64 - 1] {
        let same = fork(&scene, at, None);
        assert_eq!(same.diverged, None);
        assert_eq!(same.unknown, Unknown::default());
        let digests: Vec<u64> = scene.ticks.iter().map(|seen| seen.digest).collect();
        assert!(same.digests == digests, "forked at tick {at}");
        assert_eq!(same.events, scene.events);
        // The same settings given anew are no other settings.
        assert_eq!(fork(&scene, at, Some(yaml(&shop()))).diverged, None);
    }
}

#[test]
fn with_a_longer_confirmation_time_the_agent_goes_on_speaking() {
    let scene = a_call();
    let cut = tick_of(&scene.one("agent.interrupted"));
    let longer = shop().replace("turn: {}", "turn: { barge_in_ms: 5000 }");
    let forked = fork(&scene, cut - 20, Some(yaml(&longer)));
    assert_eq!(forked.diverged, Some(Tick(cut)), "they part where the agent was cut");
    let after = cut as usize..cut as usize + 25;
    assert!(scene.ticks[after.clone()].iter().any(|seen| !seen.agent_speech), "it was silent");
    assert!(forked.agent_speech[after].iter().all(|speaks| *speaks), "it goes on");
    let cuts = forked.all("agent.interrupted");
    assert!(cuts.iter().all(|event| tick_of(event) > cut), "{cuts:?}");
    let before: Vec<&Event> = scene.events.iter().filter(|e| e.tick.0 < cut).collect();
    let same: Vec<&Event> = forked.events.iter().filter(|e| e.tick.0 < cut).collect();
    assert_eq!(before, same);
}

#[test]
fn recorded_answers_are_reused_by_name_arguments_and_occurrence() {
    let scene = a_call();
    let cut = tick_of(&scene.one("agent.interrupted"));
    let longer = shop().replace("turn: {}", "turn: { barge_in_ms: 5000 }");
    let forked = fork(&scene, cut, Some(yaml(&longer)));
    let outcomes = |events: Vec<Value>| -> Vec<Value> {
        events.into_iter().map(|mut event| event["outcome"].take()).collect()
    };
    // The first call fails and the second answers, as they did.
    assert_eq!(outcomes(forked.all("tool.result")), outcomes(scene.all("tool.result")));
    let after = |events: Vec<Value>| -> Vec<Value> {
        events.into_iter().map(|mut event| event["after_ticks"].take()).collect()
    };
    assert_eq!(after(forked.all("tool.result")), after(scene.all("tool.result")), "and as late");
    assert_eq!(forked.unknown, Unknown::default());
    let words = |events: Vec<Value>| -> Vec<Value> {
        let last = events.into_iter().filter(|event| event["last"] == true);
        last.map(|mut event| event["text"].take()).collect()
    };
    assert_eq!(words(forked.all("user.transcript")), words(scene.all("user.transcript")));
}

#[test]
fn what_was_never_recorded_is_not_known() {
    let scene = a_call();
    let other = shop()
        .replace(POLICY_IN_SHOP, "Bring it back whenever you like.")
        .replace("call: { tool: look }", "call: { tool: look, with: { what: it } }");
    assert_ne!(other, shop());
    let forked = fork(&scene, 0, Some(yaml(&other)));
    let failed = forked.all("synthesiser.failed");
    assert!(failed[0]["cause"].as_str().is_some_and(|cause| cause.contains("no (more) audio")));
    let results = forked.all("tool.result");
    assert!(!results.is_empty());
    for result in &results {
        assert_eq!(result["outcome"]["Failed"]["kind"], "not_recorded", "{result}");
    }
    assert_eq!(forked.unknown.calls, results.len() as u64);
    assert!(forked.unknown.texts >= 1);
}

/// The answer about the policy, as the shop's configuration has it.
const POLICY_IN_SHOP: &str = "You may return anything
          within thirty days as long as it is clean and in its box and please keep the receipt.";

#[test]
fn live_effects_answer_what_was_never_recorded() {
    let scene = a_call();
    assert!(scene.messages().contains(&POLICY.to_owned()));
    let other = shop().replace(POLICY_IN_SHOP, "Bring it back whenever you like.");
    let plan = &scene.plan;
    let mouth = VirtualMouth::new(Box::new(Tone), None, 20, plan.len, plan.rate);
    let tools =
        VirtualTools::new(Registry::default(), Latency::Declared, plan.len, "fork".to_owned());
    let engines: Vec<Box<dyn Edge>> = vec![Box::new(mouth)];
    let live = Live { engines, tools: Box::new(tools) };
    let forked = try_fork(&scene, 0, Some(yaml(&other)), Some(live)).unwrap();
    assert!(forked.all("synthesiser.failed").is_empty());
    let new = forked.all("agent.message");
    let new = new.iter().find(|event| event["text"] == "Bring it back whenever you like.");
    let item = &new.expect("it is said")["item"];
    let started = forked.all("agent.speech_started");
    assert!(started.iter().any(|event| event["item"] == *item), "and heard");
    assert_eq!(forked.unknown, Unknown::default());
}

#[test]
fn a_fork_can_have_another_agent_graph() {
    let scene = a_call();
    let graph = shop()
        .replace("agents:\n", "start: desk\nagents:\n  aftersales: { arrival: After sales. }\n")
        .replace(
            "slots:",
            "transitions: [{ from: desk, to: aftersales, when: { intent: policy } }]\nslots:",
        );
    let forked = fork(&scene, 5, Some(yaml(&graph)));
    let moved = forked.all("transition.executed");
    assert_eq!(moved[0]["to"], "aftersales");
    // An agent more that does nothing changes nothing.
    let unused = shop().replace("agents:\n", "start: desk\nagents:\n  aaa: { arrival: Never. }\n");
    assert_eq!(fork(&scene, 5, Some(yaml(&unused))).diverged, None);
}

#[test]
fn a_forks_journal_replays_and_says_what_it_is() {
    let scene = a_call();
    let cut = tick_of(&scene.one("agent.interrupted"));
    let longer = shop().replace("turn: {}", "turn: { barge_in_ms: 5000 }");
    let forked = fork(&scene, cut - 20, Some(yaml(&longer)));
    let ticks = forked.digests.len() as u64;
    assert_eq!(replay(&forked.journal, |_, _| {}), Ok(Replayed::Equal { ticks }));
    let origin = forked.journal.header.fork.as_ref().expect("it is a fork");
    assert_eq!((origin.of.as_str(), origin.at), ("a.antiphon", Tick(cut - 20)));
    assert_eq!(forked.journal.diverged, Some(Tick(cut)));
    assert_eq!(forked.journal.changes.len(), 1);
}

#[test]
fn what_cannot_change_under_a_call_is_refused() {
    let scene = a_call();
    let refused = |at: u64, text: &str| {
        let refused = try_fork(&scene, at, Some(yaml(text)), None);
        refused.err().unwrap_or_else(|| panic!("it is refused: {text}"))
    };
    let slower =
        shop().replace("tick_ms: 20", "tick_ms: 40").replace("engine: tone", "engine: none");
    let told = refused(5, &slower);
    assert!(told.contains("audio.tick_ms, speech.synthesiser.engine"), "{told}");
    let renamed = shop().replace("  desk:", "  counter:");
    let told = refused(5, &renamed);
    assert!(told.contains("agent `desk` has the call at tick 5"), "{told}");
    let late = scene.ticks.len() as u64;
    let told = try_fork(&scene, late, None, None).err().expect("there is no such tick");
    assert!(told.contains("has no tick"), "{told}");
}

#[test]
fn what_was_still_awaited_when_the_recording_ended_is_not_missed() {
    let scene = a_call();
    let asked = tick_of(&scene.all("agent.message")[0]) as usize;
    let mut journal = scene.read_journal();
    journal.ticks.truncate(asked + 1);
    // Another name for an intent: the same words from another digest on.
    let renamed = shop().replace("name: policy", "name: rules");
    let forked = fork_of(journal, scene.plan.len, 0, Some(yaml(&renamed)), None).unwrap();
    assert!(forked.diverged.is_some());
    assert!(forked.all("synthesiser.failed").is_empty());
    assert_eq!(forked.unknown, Unknown::default());
}

#[test]
fn a_fork_from_the_first_tick_begins_with_another_agent() {
    let scene = a_call();
    let other =
        shop().replace("agents:\n", "start: aaa\nagents:\n  aaa: { greeting: Good day. }\n");
    let forked = fork(&scene, 0, Some(yaml(&other)));
    assert_eq!(forked.all("session.created")[0]["agent"], "aaa");
    let ticks = forked.digests.len() as u64;
    assert_eq!(replay(&forked.journal, |_, _| {}), Ok(Replayed::Equal { ticks }));
}
