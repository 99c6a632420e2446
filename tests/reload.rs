//! Another configuration for a call that is under way: from a tick on, and in a replay, a fork and after
//! a checkpoint alike.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use std::sync::Arc;

use antiphon::clock::Tick;
use antiphon::config::{self, Config};
use antiphon::id::LaneId;
use antiphon::journal::{Journal, Scribe, Sealed, redact};
use antiphon::session::Session;
use antiphon::session::checkpoint::{Checkpoint, NotRestored};
use antiphon::session::event::EventKind;
use antiphon::session::input::{Inbound, Input};
use antiphon::session::output::Output;
use antiphon::session::plan::Plan;
use antiphon::session::reload::config_hash;
use antiphon::sim::caller::{Part, When};
use antiphon::sim::fork::{Change, Fork};
use antiphon::sim::player::Player;
use antiphon::sim::replay::{Remembering, Replayed, plan_of, replay};
use serde_json::{Value, json};
use stage::{SHOP, Scene, Stage, caller, types};

/// The tick from which on the other configuration holds: two seconds into the call.
const AT: u64 = 100;

const HOURS: &str = "what are your opening hours";

/// The shop is open day and night, and has an agent before the desk in the alphabet, who could begin.
fn other() -> Config {
    let yaml = SHOP
        .replace("From nine to six.", "Day and night.")
        .replace("agents:\n", "start: desk\nagents:\n  ada: { greeting: Hi. }\n");
    parse(&yaml)
}

fn parse(yaml: &str) -> Config {
    config::parse(yaml.as_bytes(), "other.yaml").unwrap_or_else(|why| panic!("{why}"))
}

fn reload(config: &Config) -> Inbound {
    Inbound::Reload { config: config.to_json() }
}

/// A caller asks before and after, and the configuration changes in between.
fn a_call(happens: impl IntoIterator<Item = Inbound>) -> Scene {
    let part = Part { audio: false, ..caller("ann") };
    let lines = [types(When::Start(200), HOURS), types(When::Start(3_000), HOURS)];
    Stage::new(SHOP).caller(part, lines).happens(AT, happens).checkpoint_at(AT + 20).play()
}

fn said(scene: &Scene) -> Vec<String> {
    let texts = scene.each("agent.message", "text");
    texts.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn assert_replays(journal: &Journal) {
    let ticks = journal.ticks.len() as u64;
    assert_eq!(replay(journal, |_, _| {}), Ok(Replayed::Equal { ticks }));
}

/// A fork's digests, and where it parted.
fn fork(
    scene: &Scene,
    at: u64,
    config: Option<Config>,
) -> (Vec<u64>, Option<Tick>, Vec<String>, Journal) {
    let change = Change { at: Tick(at), config, of: "a.antiphon".into(), live: None };
    let mut fork = Fork::new(Arc::new(scene.read_journal()), [None, None], change).unwrap();
    let (mut digests, mut said) = (Vec::new(), Vec::new());
    while fork.tick().is_some() {
        let out = fork.slot().output();
        digests.push(out.digest);
        said.extend(out.events.iter().filter_map(|event| match &event.kind {
            // The recording has no sound of words that it does not know.
            EventKind::AgentMessage { text, .. } if text != "Sorry about that." => {
                Some(text.clone())
            }
            _ => None,
        }));
    }
    let mut bytes = Vec::new();
    fork.slot().scribe().unwrap().take(&mut bytes);
    (digests, fork.diverged(), said, Journal::read(&bytes).unwrap())
}

fn digests(scene: &Scene) -> Vec<u64> {
    scene.ticks.iter().map(|seen| seen.digest).collect()
}

#[test]
fn a_call_goes_on_with_another_configuration_and_replays() {
    let scene = a_call([reload(&other())]);
    assert_eq!(said(&scene), ["From nine to six.", "Day and night."]);
    let told = scene.one("config.reloaded");
    assert_eq!((told["tick"].as_u64(), &told["config"]), (Some(AT), &json!(config_hash(&other()))));
    assert_replays(&scene.read_journal());

    // A replay that is not given it says something else.
    let mut without = scene.read_journal();
    without.ticks[AT as usize].input.inbound.clear();
    assert!(
        matches!(replay(&without, |_, _| {}), Ok(Replayed::Diverged(found)) if found.tick == AT)
    );
}

#[test]
fn a_checkpoint_after_a_reload_goes_on_alike_and_belongs_to_its_plan() {
    let scene = a_call([reload(&other())]);
    let journal = scene.read_journal();
    let mut player = Player::new(&journal, None).unwrap();
    for _ in 0..AT + 20 {
        player.tick().unwrap().unwrap();
    }
    let plan = player.plan();
    let checkpoint = || Checkpoint::from_bytes(&scene.checkpoints[0]).unwrap();
    let mut session = checkpoint().restore(plan).unwrap();
    let mut out = Output::default();
    for entry in &journal.ticks[(AT + 20) as usize..] {
        let mut hands = Remembering { called: entry.outcomes.called.iter().cloned().collect() };
        session.step(plan, &mut entry.input.clone(), &mut hands, &mut out);
        assert_eq!(out.digest, entry.outcomes.digest, "tick {}", entry.input.tick);
    }
    assert!(session.has_ended());
    // Neither on the configuration of before, nor with agents that are numbered otherwise.
    let refused = |plan: &Plan| checkpoint().restore(plan).map(|_| ());
    assert_eq!(refused(&plan_of(&journal).unwrap()), Err(NotRestored::OtherConfig));
    assert_eq!(refused(&Plan::new(other()).unwrap()), Err(NotRestored::OtherConfig));
    assert_eq!(refused(&plan_of(&journal).unwrap().succeeding(other()).unwrap()), Ok(()));
}

#[test]
fn a_fork_of_a_reloaded_call_is_the_call_until_it_changes_something() {
    let scene = a_call([reload(&other())]);
    for at in [0, 1, AT - 1, AT, AT + 1, scene.ticks.len() as u64 - 1] {
        let (same, diverged, ..) = fork(&scene, at, None);
        assert_eq!(diverged, None, "forked at tick {at}");
        assert!(same == digests(&scene), "forked at tick {at}");
    }
    // The reloaded configuration given anew, where it holds, is no other one.
    let (same, diverged, _, journal) = fork(&scene, AT + 1, Some(other()));
    assert_eq!(diverged, None);
    assert!(same == digests(&scene));
    assert_replays(&journal);
    // A configuration of the fork's own is not replaced by that of the recording,
    let night = parse(&SHOP.replace("From nine to six.", "By night."));
    let (_, diverged, words, journal) = fork(&scene, AT - 1, Some(night.clone()));
    assert_eq!(diverged, Some(Tick(AT)), "the recording has an event there");
    assert_eq!(words, ["From nine to six.", "By night."]);
    assert_replays(&journal);
    // and replaces that one where it comes after.
    let (_, diverged, words, journal) = fork(&scene, AT + 1, Some(night));
    assert!(diverged.is_some_and(|tick| tick > Tick(AT)));
    assert_eq!(words, ["From nine to six.", "By night."]);
    assert_replays(&journal);
}

#[test]
fn what_cannot_be_used_is_refused_and_changes_nothing() {
    let rate = parse(&SHOP.replace("rate_hz: 16000", "rate_hz: 48000"));
    let long = " ".repeat(config::SIZE_MAX + 1);
    let bad = ["{", "{}", &rate.to_json(), &long];
    let scene = a_call(bad.map(|config| Inbound::Reload { config: config.to_owned() }));
    let causes = scene.each("config.refused", "cause");
    assert_eq!(causes.len(), bad.len());
    for (cause, part) in causes.iter().zip(["cannot be read", "missing field", "rate_hz", "longer"])
    {
        assert!(cause.as_str().is_some_and(|cause| cause.contains(part)), "{cause} without {part}");
    }
    assert!(scene.all("config.reloaded").is_empty());
    assert_eq!(said(&scene), ["From nine to six.", "From nine to six."]);
    assert_replays(&scene.read_journal());
    let redacted = Journal::read(&redact(&scene.read_journal())).unwrap();
    let told = redacted.ticks.iter().flat_map(|entry| &entry.outcomes.events);
    let causes: Vec<&str> = told
        .filter_map(|event| match &event.kind {
            EventKind::ConfigRefused { cause } => Some(cause.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(causes, [""; 4]);
}

#[test]
fn of_several_in_a_tick_each_is_told_and_the_last_that_can_be_used_holds() {
    let noon = parse(&SHOP.replace("From nine to six.", "At noon."));
    let broken = Inbound::Reload { config: "[]".to_owned() };
    let scene = a_call([reload(&other()), broken, reload(&noon), reload(&other())]);
    let names: Vec<&str> = scene
        .events
        .iter()
        .map(|event| event.kind.name().as_str())
        .filter(|name| name.starts_with("config."))
        .collect();
    let reloaded = "config.reloaded";
    assert_eq!(names, [reloaded, "config.refused", reloaded, reloaded]);
    assert_eq!(said(&scene), ["From nine to six.", "Day and night."]);
    assert_replays(&scene.read_journal());
}

#[test]
fn an_agent_that_is_no_longer_configured_keeps_its_call() {
    let alone = parse(&SHOP.replace("  desk:", "  ada:").replace("From nine to six.", "Never."));
    let scene = a_call([reload(&alone)]);
    assert_eq!(scene.all("config.reloaded").len(), 1);
    assert_eq!(said(&scene), ["From nine to six.", "From nine to six."]);
    assert_replays(&scene.read_journal());
}

#[test]
fn it_holds_for_the_whole_of_its_tick() {
    let asks = Inbound::UserText { lane: LaneId(0), text: HOURS.to_owned() };
    let scene = a_call([asks, reload(&other())]);
    assert_eq!(said(&scene), ["From nine to six.", "Day and night.", "Day and night."]);
    let answered = &scene.all("agent.message")[1];
    assert_eq!(answered["tick"].as_u64(), Some(AT));
    assert_replays(&scene.read_journal());
}

#[test]
fn tools_of_the_program_outlive_the_configuration() {
    let mut plan = Plan::new(parse(SHOP)).unwrap();
    let spec = plan.tools.values().next().expect("a shop has tools").clone();
    plan.tools.insert("of_the_program".to_owned(), spec);
    let (mut plan, input) =
        (Arc::new(plan), Input { inbound: vec![reload(&other())], ..Input::default() });
    Session::new(&plan, 1).reload(&mut plan, &input);
    assert_eq!(config_hash(&plan.config), config_hash(&other()));
    assert!(plan.tools.contains_key("of_the_program"));
}

#[test]
fn a_call_that_has_not_begun_begins_with_who_is_first_now() {
    let ada = "start: ada\nagents:\n  ada: { greeting: Hi. }\n";
    let with_ada = parse(&SHOP.replace("agents:\n", ada));
    let part = Part { audio: false, ..caller("ann") };
    let lines = [types(When::Start(200), HOURS)];
    let scene = Stage::new(SHOP).caller(part, lines).happens(0, [reload(&with_ada)]).play();
    assert_eq!(scene.one("session.created")["agent"], "ada");
    assert_eq!(said(&scene)[0], "Hi.");
    assert_replays(&scene.read_journal());
}

#[test]
fn who_steps_a_session_and_prepares_nothing_is_told_so() {
    let plan = Plan::new(parse(SHOP)).unwrap();
    let mut session = Session::new(&plan, 1);
    let mut input = Input { inbound: vec![reload(&other())], ..Input::default() };
    let mut out = Output::default();
    session.step(&plan, &mut input, &mut Remembering { called: [].into() }, &mut out);
    let told = |kind: &EventKind| matches!(kind, EventKind::ConfigRefused { .. });
    assert_eq!(out.events.iter().filter(|event| told(&event.kind)).count(), 1);
}

#[test]
fn a_journal_keeps_a_reload_as_it_came() {
    let plan = Plan::new(parse(SHOP)).unwrap();
    let mut scribe = Scribe::new(&antiphon::journal::Header::new(&plan, 1));
    let inbound = vec![reload(&other()), Inbound::Left { lane: LaneId(0) }];
    let input = Input { inbound, ..Input::default() };
    scribe.arrived(&input);
    scribe.sealed(Sealed { called: &[], events: &[], digest: 0 });
    let mut bytes = Vec::new();
    scribe.take(&mut bytes);
    assert_eq!(Journal::read(&bytes).unwrap().ticks[0].input, input);
}
