//! A call played again from its journal, and journals that were damaged.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use antiphon::id::{CallId, ItemId};
use antiphon::journal::{Header, Journal, NotAJournal, Scribe, Sealed, Tail};
use antiphon::pcm::Clip;
use antiphon::session::checkpoint::BUILD;
use antiphon::session::input::{Inbound, Input};
use antiphon::sim::caller::{Part, When};
use antiphon::sim::replay::{Divergence, Replayed, replay};
use antiphon::tool::{Called, Json, Outcome, ToolContext};
use serde_json::{Value, json};
use stage::{Hears, SHOP, Scene, Stage, caller, plays, types};

/// Magic and version.
const OPENING: usize = 10;

/// The bits of an entry's length; those above may check it.
const LEN_MASK: u32 = (1 << 28) - 1;

/// A call with voice, typed text, an interruption, and a tool that fails and answers.
fn a_lively_call() -> Scene {
    let yaml = SHOP
        .replace("agents:", "tools: { look: { latency_ms: 300, canned: { otherwise: 7, fails_first: 1 } } }\nagents:")
        .replace("intents:", "tools: [look]\n    intents:\n      - { name: look, phrases: [look it up], call: { tool: look }, then: 'It is {result}.' }");
    let lines = [
        plays(When::Start(200), "caller-07-policy"),
        plays(When::AgentSpoke(1_000), "caller-02-hours"),
        types(When::AgentSilent(300), "look it up"),
        types(When::AgentSilent(300), "look it up"),
    ];
    let hears =
        [Hears::Words("what is the return policy"), Hears::Words("what are your opening hours")];
    Stage::new(&yaml).caller(caller("ann"), lines).hears(hears).play()
}

/// A few ticks with a phrase: small enough to try every byte.
fn a_small_call() -> Scene {
    let yaml = SHOP.replace("fallback:", "greeting: Hi\n    fallback:");
    let part = Part { audio: false, hang_up_ms: 100, ..caller("ann") };
    Stage::new(&yaml).caller(part, [types(When::Start(40), "stop")]).at_most(12).play()
}

/// Where the entries of a journal begin, and the end.
fn entries(journal: &[u8]) -> Vec<usize> {
    let mut at = OPENING;
    let mut starts = vec![at];
    while at < journal.len() {
        let len = u32::from_le_bytes(journal[at..at + 4].try_into().unwrap()) & LEN_MASK;
        at += 8 + len as usize;
        starts.push(at);
    }
    assert_eq!(at, journal.len());
    starts
}

fn divergence(journal: &Journal) -> Divergence {
    match replay(journal, |_, _| {}).unwrap() {
        Replayed::Diverged(divergence) => *divergence,
        other => panic!("expected a divergence, got {other:?}"),
    }
}

#[test]
fn a_call_replays_sample_by_sample() {
    let scene = a_lively_call();
    for name in ["agent.interrupted", "tool.deferred", "tool.called", "user.transcript"] {
        assert!(!scene.all(name).is_empty(), "the call has {name}");
    }
    let (mut agent, mut heard, mut events) = (Vec::new(), Vec::new(), Vec::new());
    let replayed = replay(&scene.read_journal(), |_, out| {
        agent.extend_from_slice(&out.audio);
        heard.extend_from_slice(&out.heard);
        events.extend(out.events.iter().cloned());
    });
    assert_eq!(replayed, Ok(Replayed::Equal { ticks: scene.ticks.len() as u64 }));
    assert!(agent == scene.agent && heard == scene.heard);
    assert_eq!(events, scene.events);
    assert_eq!(scene.read_journal().tail, Tail::Whole);
}

#[test]
fn a_flipped_byte_is_damage_and_is_named() {
    let journal = a_small_call().journal.clone();
    let starts = entries(&journal);
    let last = starts[starts.len() - 2];
    for (start, end) in starts.iter().zip(&starts[1..]) {
        // The length stands before the checksum and the payload.
        for at in start + 4..*end {
            let mut bytes = journal.clone();
            bytes[at] ^= 0x10;
            match Journal::read(&bytes) {
                Err(NotAJournal::Damaged { at: named, .. }) => {
                    assert_eq!(named, *start, "byte {at}");
                }
                Ok(read) => {
                    assert_eq!((read.tail, *start), (Tail::Torn { at: last }, last), "byte {at}");
                }
                other => panic!("byte {at}: {other:?}"),
            }
        }
    }
    for at in 0..OPENING {
        let mut bytes = journal.clone();
        bytes[at] ^= 0x10;
        let wrong = Journal::read(&bytes).unwrap_err();
        assert_eq!(matches!(wrong, NotAJournal::Version(_)), at >= 8, "byte {at}: {wrong}");
    }
}

#[test]
fn a_flipped_length_is_damage_and_not_taken_for_the_end() {
    let journal = a_small_call().journal.clone();
    let starts = entries(&journal);
    let mut silent = Vec::new();
    for start in &starts[..starts.len() - 2] {
        for bit in 0..32 {
            let mut bytes = journal.clone();
            bytes[start + bit / 8] ^= 1 << (bit % 8);
            match Journal::read(&bytes) {
                Err(NotAJournal::Damaged { at, .. }) => assert_eq!(at, *start),
                Ok(read) => silent.push((start, bit, read.tail)),
                other => panic!("bit {bit} at {start}: {other:?}"),
            }
        }
    }
    let few = &silent[..silent.len().min(4)];
    assert!(silent.is_empty(), "{} flips hide all that follows, such as {few:?}", silent.len());
}

#[test]
fn a_torn_file_replays_to_its_last_whole_entry() {
    let scene = a_small_call();
    let starts = entries(&scene.journal);
    let whole = scene.read_journal();
    let mut replayed = 0;
    for end in 0..=scene.journal.len() {
        let bytes = &scene.journal[..end];
        if end < starts[1] {
            assert!(Journal::read(bytes).is_err(), "without a header at {end}");
            continue;
        }
        let read = Journal::read(bytes).unwrap();
        let kept = *starts.iter().rfind(|start| **start <= end).unwrap();
        let tail = if kept == end { Tail::Whole } else { Tail::Torn { at: kept } };
        assert_eq!(read.tail, tail);
        assert_eq!(read.ticks[..], whole.ticks[..read.ticks.len()]);
        if kept == end {
            let ticks = read.ticks.len() as u64;
            assert_eq!(replay(&read, |_, _| {}), Ok(Replayed::Equal { ticks }));
            replayed = replayed.max(ticks);
        }
    }
    assert_eq!(replayed, scene.ticks.len() as u64);
}

#[test]
fn a_changed_digest_is_where_the_timelines_part() {
    let mut journal = a_lively_call().read_journal();
    journal.ticks[37].outcomes.digest ^= 1;
    let parted = divergence(&journal);
    assert_eq!((parted.tick, parted.heard_alike), (37, true));
    assert_eq!(parted.digests[0] ^ parted.digests[1], 1);
    assert_eq!(parted.events[0], parted.events[1]);
}

#[test]
fn a_changed_input_parts_at_its_tick() {
    let mut journal = a_lively_call().read_journal();
    let is_text = |value: &Inbound| matches!(value, Inbound::UserText { .. });
    let at =
        journal.ticks.iter().position(|entry| entry.input.inbound.iter().any(is_text)).unwrap();
    let value = journal.ticks[at].input.inbound.iter_mut().find(|value| is_text(value)).unwrap();
    let Inbound::UserText { text, .. } = value else { panic!("found above") };
    text.push('?');
    let parted = divergence(&journal);
    assert_eq!((parted.tick, parted.heard_alike), (at as u64, true));
    assert_ne!(parted.events[0], parted.events[1]);

    let mut journal = a_lively_call().read_journal();
    journal.ticks[30].input.pcm[100] ^= 1;
    let parted = divergence(&journal);
    assert_eq!((parted.tick, parted.heard_alike), (30, false), "another sample was heard");
}

#[test]
fn another_outcome_of_a_call_parts_at_its_tick() {
    let mut journal = a_lively_call().read_journal();
    let at = journal.ticks.iter().position(|entry| !entry.outcomes.called.is_empty()).unwrap();
    journal.ticks[at].outcomes.called.clear();
    assert_eq!(divergence(&journal).tick, at as u64);
    journal.ticks[at].outcomes.called =
        vec![(CallId(0), Called::Done(Outcome::Done(Json(Value::from(8)))))];
    assert_eq!(divergence(&journal).tick, at as u64);
}

#[test]
fn a_missing_tick_is_named() {
    let mut journal = a_small_call().read_journal();
    journal.ticks.remove(5);
    let wrong = replay(&journal, |_, _| {}).unwrap_err();
    assert_eq!(wrong.to_string(), "tick 5 is missing from the journal");
}

#[test]
fn another_build_is_not_replayed() {
    let mut journal = a_small_call().read_journal();
    assert_eq!(journal.header.build, BUILD);
    journal.header.build = "antiphon 0.0.9".into();
    let build = "antiphon 0.0.9".to_owned();
    assert_eq!(replay(&journal, |_, _| {}), Ok(Replayed::Incompatible { build }));
}

#[test]
fn a_phrase_is_stored_once() {
    let size = |times: usize| {
        let lines =
            (0..times).map(|_| types(When::AgentSilent(100), "what are your opening hours"));
        let first = [types(When::Start(0), "what are your opening hours")];
        let part = Part { audio: false, ..caller("ann") };
        let scene = Stage::new(SHOP).caller(part, first.into_iter().chain(lines)).play();
        assert_eq!(scene.all("agent.speech_finished").len(), times + 1);
        (scene.journal.len(), scene.ticks.len())
    };
    let ((once, ticks), (often, more)) = (size(0), size(9));
    // Nine times the phrase would be nine times 36 kB; a silent tick is some 40 bytes.
    assert!(often - once < (more - ticks) * 50 + 9 * 500, "{once} bytes, then {often}");
}

fn empty_scribe() -> Scribe {
    let config = antiphon::config::parse(SHOP.as_bytes(), "shop").unwrap();
    let plan = antiphon::session::plan::Plan::new(config).unwrap();
    Scribe::new(&Header::new(&plan, 0))
}

#[test]
fn more_phrases_than_are_remembered_are_written_again() {
    let mut scribe = empty_scribe();
    let mut input = Input::default();
    let phrase = |n: u32| Clip::from(vec![(n % 30_000) as i16, (n / 30_000) as i16]);
    let mut ticks = Vec::new();
    for tick in 0..3_000 {
        input.clear(antiphon::clock::Tick(tick), 0);
        // Three at a time, so that one tick stands across the bound of 4,096.
        let phrases = (0..3).map(|n| tick as u32 * 3 + n);
        input.inbound.extend(phrases.map(|n| Inbound::Speech {
            item: ItemId(n),
            pcm: phrase(n),
            last: true,
        }));
        scribe.arrived(&input);
        scribe.sealed(Sealed { called: &[], events: &[], digest: tick });
        ticks.push(input.clone());
    }
    let mut bytes = Vec::new();
    scribe.take(&mut bytes);
    let journal = Journal::read(&bytes).unwrap();
    assert!(journal.ticks.iter().map(|entry| &entry.input).eq(&ticks));
}

#[test]
fn a_deeply_nested_result_can_be_read_back() {
    let yaml = SHOP.replace("agents:", "tools: { dig: { run: inline } }\nagents:").replace(
        "intents:",
        "tools: [dig]\n    intents:\n      - { name: dig, phrases: [dig], call: { tool: dig } }",
    );
    let dig = |_: &ToolContext, _: &Value| Ok((0..200).fold(json!(1), |inner, _| json!([inner])));
    let scene = Stage::new(&yaml)
        .tool("dig", dig)
        .caller(caller("ann"), [types(When::Start(0), "dig")])
        .play();
    let journal = Journal::read(&scene.journal).unwrap_or_else(|wrong| panic!("{wrong}"));
    let ticks = scene.ticks.len() as u64;
    assert_eq!(replay(&journal, |_, _| {}), Ok(Replayed::Equal { ticks }));
}
