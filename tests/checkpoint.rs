//! Random calls: equal inputs give equal digests, from the start, from the journal, from a checkpoint.
//!
//! Each case is drawn from one number. `ANTIPHON_CASES` sets how many are played, `ANTIPHON_SEED` the
//! first one, so that a case that failed can be played alone.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use std::collections::BTreeMap;

use antiphon::journal::Journal;
use antiphon::seed::Seed;
use antiphon::session::checkpoint::{Checkpoint, NotRestored};
use antiphon::session::event::EventKind;
use antiphon::session::output::Output;
use antiphon::session::plan::Plan;
use antiphon::sim::caller::{Part, When};
use antiphon::sim::network::Faults;
use antiphon::sim::replay::{Remembering, Replayed, plan_of, replay};
use antiphon::slot::Status;
use stage::{Hears, Line, Scene, Stage, Voice, caller, plays, types};

/// What is not drawn: the desks, their tools, and the ways between them.
const DESKS: &str = "
start: front
agents:
  front:
    greeting: Good day.
    arrival: Front again.
    idle: Hello?
    tools: [inline, same, slow, broken]
    intents:
      - { name: inline, phrases: [one], call: { tool: inline }, then: 'One {result}.', set: { one: '{result}' } }
      - { name: same, phrases: [two], say: Two., call: { tool: same }, then: 'Two {result}.', failed: No. }
      - { name: slow, phrases: [three], say: Let me see., call: { tool: slow }, then: 'Three {result}.' }
      - { name: broken, phrases: [four], call: { tool: broken } }
      - { name: long, phrases: [five], say: A long answer that can be interrupted at nearly any time of it. }
      - { name: back, phrases: [six], say: Over to the back. }
      - { name: bye, phrases: [goodbye], say: Bye., end_call: true }
  back:
    arrival: This is the back.
    tools: [slow]
    intents:
      - { name: slow, phrases: [three], call: { tool: slow }, then: 'Three {result}.', failed: Not now. }
      - { name: front, phrases: [six], say: To the front. }
      - { name: echo, phrases: [seven] }
  mirror: { kind: echo, delay_ms: 100 }
transitions:
  - { from: front, to: back, when: { intent: back } }
  - { from: front, to: back, when: { tool_result: { tool: slow, operator: gt, value: 2 } }, priority: 3 }
  - { from: back, to: front, when: { intent: front }, say: I will bring you back. }
  - { from: back, to: mirror, when: { intent: echo } }
";

const WORDS: [&str; 11] =
    ["one", "two", "three", "two", "three", "four", "five", "six", "seven", "goodbye", "nonsense"];

const CLIPS: [&str; 5] =
    ["caller-04-owe", "caller-02-hours", "caller-10-goodbye", "mm-hmm", "cough"];

/// Draws from a case's seed.
struct Draw(Seed);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    fn ms(&mut self, from: u64, to: u64) -> u32 {
        (from + self.below(to - from)) as u32
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    fn yaml(&mut self) -> String {
        let (tick, rate) =
            (self.of(&[20, 40, 100, 200]), self.of(&[8_000, 16_000, 24_000, 48_000]));
        let min = self.ms(200, 700);
        let (max, gap) = (min + self.ms(0, 800), self.ms(0, 200).min(min - 1));
        let (barge_in, barge_in_ms) = (self.below(5) > 0, self.ms(0, 700));
        let (resume, away, fade) =
            (self.of(&[0, 400, 1_500]), self.of(&[0, 2_000]), self.ms(0, 30));
        let (ear, mouth) = (self.ms(0, 600), self.ms(0, 400));
        let (slow, timeout, fails) = (self.ms(0, 1_500), self.ms(300, 2_000), self.below(3));
        format!(
            "name: drawn\naudio: {{ tick_ms: {tick}, rate_hz: {rate} }}\n\
             voice: {{ reorder_ms: {} }}\n\
             turn: {{ end_silence_min_ms: {min}, end_silence_max_ms: {max}, gap_ms: {gap}, barge_in: {barge_in}, \
             barge_in_ms: {barge_in_ms}, false_interruption_ms: {resume}, away_ms: {away}, fade_ms: {fade} }}\n\
             speech:\n  recogniser: {{ engine: pocketsphinx, latency_ms: {ear}, timeout_ms: 900 }}\n  \
             synthesiser: {{ engine: tone, latency_ms: {mouth}, timeout_ms: 900 }}\n\
             call: {{ max_moves_per_turn: {} }}\n\
             tools:\n  inline: {{ run: inline, canned: {{ otherwise: 1 }} }}\n  \
             same: {{ run: inline, delivery: same_tick, canned: {{ otherwise: 2, fails_first: {fails} }} }}\n  \
             slow: {{ latency_ms: {slow}, timeout_ms: {timeout}, canned: {{ otherwise: 3, fails_first: {fails} }} }}\n  \
             broken: {{ run: inline }}\n{DESKS}",
            self.of(&[0, 20, 60, 200]),
            self.below(3),
        )
    }

    fn lines(&mut self) -> Vec<(When, Line)> {
        let count = 1 + self.below(9);
        let mut lines = Vec::new();
        for _ in 0..count {
            let ms = self.ms(0, 1_200);
            let when = self.of(&[
                When::Start(ms),
                When::Previous(ms),
                When::AgentSpoke(ms / 2),
                When::AgentSilent(ms),
            ]);
            let by_voice = self.below(5) < 3;
            lines.push(if by_voice {
                plays(when, self.of(&CLIPS))
            } else {
                types(when, self.of(&WORDS))
            });
        }
        lines
    }

    fn hears(&mut self) -> Hears {
        match self.below(12) {
            0 => Hears::Fails,
            1 => Hears::Hangs,
            2 => Hears::Dies,
            3 => Hears::Words("mm-hmm"),
            4 => Hears::Words(""),
            5 => Hears::Unsure("one", 0.3),
            _ => Hears::Words(self.of(&WORDS)),
        }
    }

    fn faults(&mut self) -> Faults {
        if self.below(3) == 0 {
            return Faults::NONE;
        }
        let percent = |draw: &mut Self| draw.below(200) as f64 / 10.0;
        Faults {
            loss_percent: percent(self),
            duplicate_percent: percent(self),
            delay_percent: percent(self),
            delay_frames_max: self.below(20),
        }
    }
}

/// The scene of a case; the same each time it is drawn.
fn scene_of(case: u64) -> Stage {
    let mut draw = Draw(Seed::new(case));
    let mut stage = Stage::new(&draw.yaml()).seed(case);
    let voices: [fn(&str) -> Voice; 4] = [
        |_| Voice::Speaks,
        |_| Voice::Speaks,
        |text| if text.contains("long") { Voice::Fails } else { Voice::Speaks },
        |text| if text.len() < 6 { Voice::Hangs } else { Voice::Speaks },
    ];
    stage = stage.voice(draw.of(&voices));
    if draw.below(4) == 0 {
        stage = stage.without_ready_apology();
    }
    for name in ["ann", "ben"].into_iter().take(1 + draw.below(3) as usize / 2) {
        let part = Part {
            hang_up_ms: 1_500,
            patience_ms: 3_000,
            audio: draw.below(6) > 0,
            ..caller(name)
        };
        let (faults, lines) = (draw.faults(), draw.lines());
        stage = stage.caller_over(faults, part, lines);
    }
    stage = stage.hears((0..40).map(|_| draw.hears()).collect::<Vec<_>>());
    let len = u64::from(stage.plan.len.ms());
    if draw.below(3) == 0 {
        stage = stage.skips(draw.below(4_000 / len), 1 + draw.below(8) as u32);
    }
    stage.at_most(15_000 / len)
}

fn check(case: u64) {
    let scene = scene_of(case).play();
    assert!(!matches!(scene.status, Status::Panicked(_)), "{:?}", scene.status);
    is_in_order(&scene);

    let count = scene.ticks.len() as u64;
    let mut draw = Seed::new(case).branch("checkpoints");
    let mut stage = scene_of(case);
    for _ in 0..3 {
        stage = stage.checkpoint_at(scene.ticks[draw.below(count) as usize].tick.0);
    }
    let again = stage.play();
    assert!(scene.ticks == again.ticks, "two runs, equal digests");
    assert!(scene.journal == again.journal, "and equal journals");

    let journal = scene.read_journal();
    assert_eq!(replay(&journal, |_, _| {}), Ok(Replayed::Equal { ticks: count }));
    for bytes in &again.checkpoints {
        goes_on_alike(bytes, &journal);
    }
}

/// Restores a checkpoint and steps what the journal has from there on.
fn goes_on_alike(checkpoint: &[u8], journal: &Journal) {
    let plan = plan_of(journal).unwrap();
    let restored = Checkpoint::from_bytes(checkpoint).unwrap();
    let at = restored.tick;
    let mut session = restored.restore(&plan).unwrap();
    let mut out = Output::default();
    let rest = journal.ticks.iter().filter(|entry| entry.input.tick >= at);
    assert_eq!(session.tick(), at);
    for entry in rest {
        let mut hands = Remembering { called: entry.outcomes.called.iter().cloned().collect() };
        session.step(&plan, &mut entry.input.clone(), &mut hands, &mut out);
        let tick = entry.input.tick;
        assert_eq!(out.digest, entry.outcomes.digest, "restored at tick {at}, tick {tick}");
        assert_eq!(out.events, entry.outcomes.events);
    }
}

/// What holds of every call.
fn is_in_order(scene: &Scene) {
    let samples = scene.plan.samples();
    let mut next = 0;
    for seen in &scene.ticks {
        assert!(seen.tick.0 >= next, "time goes on");
        next = seen.tick.0 + 1;
        assert_eq!(seen.lens, [samples; 2], "exactly a tick of audio in tick {}", seen.tick);
    }
    let mut calls: BTreeMap<_, usize> = BTreeMap::new();
    let (mut agent, mut heir) = (String::new(), None);
    for (seq, event) in scene.events.iter().enumerate() {
        assert_eq!(event.seq, seq as u64, "events are numbered without gaps");
        match &event.kind {
            EventKind::ToolCalled { call, .. } => {
                assert_eq!(calls.insert(*call, 0), None, "{call} twice");
            }
            EventKind::ToolResult { call, .. } => *calls.get_mut(call).expect("it was called") += 1,
            EventKind::AgentStarted { agent: name } => {
                assert!(
                    agent.is_empty() || heir.take() == Some((event.tick.0, name.clone())),
                    "{name}"
                );
                agent.clone_from(name);
            }
            EventKind::TransitionExecuted { from, to, transition, .. } => {
                let edge = &scene.plan.config.transitions[usize::from(*transition)];
                assert_eq!(
                    (from, to, from),
                    (&edge.from, &edge.to, &agent),
                    "there is such an edge"
                );
                let after = scene.ticks.iter().find(|seen| seen.tick > event.tick);
                let moved = heir.replace((after.map_or(0, |seen| seen.tick.0), to.clone()));
                assert_eq!(moved, None, "one move a tick");
            }
            EventKind::AgentInterrupted { item, spoken, unspoken, .. } => {
                let said = scene.events.iter().find_map(|event| match &event.kind {
                    EventKind::AgentMessage { item: known, text, .. } if known == item => {
                        Some(text)
                    }
                    _ => None,
                });
                assert_eq!(said, Some(&format!("{spoken}{unspoken}")));
            }
            _ => {}
        }
    }
    let open = scene.status == Status::Running;
    for (call, results) in calls {
        assert!(results == 1 || (open && results == 0), "{call} has {results} results");
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: not a number: {text}")))
}

#[test]
fn random_calls_go_on_alike_from_journal_and_checkpoint() {
    let first = number("ANTIPHON_SEED").unwrap_or(1);
    for case in first..first + number("ANTIPHON_CASES").unwrap_or(40) {
        let told = Told(case);
        check(case);
        drop(told);
    }
}

/// Says which case failed.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("play it alone with ANTIPHON_CASES=1 ANTIPHON_SEED={}", self.0);
        }
    }
}

#[test]
fn random_calls_are_worth_checking() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for case in 1..=40 {
        let scene = scene_of(case).play();
        for event in &scene.events {
            let json = event.to_json(scene.plan.len);
            *seen.entry(json["type"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    for name in [
        "agent.interrupted",
        "agent.resumed",
        "recogniser.failed",
        "synthesiser.failed",
        "tick.skipped",
        "tool.deferred",
        "transition.executed",
        "transition.refused",
        "user.away",
        "user.backchannel",
    ] {
        assert!(seen.contains_key(name), "no {name} in {seen:?}");
    }
}

fn a_checkpoint() -> (Stage, Vec<u8>) {
    let mut scene = scene_of(3).checkpoint_at(20).at_most(30).play();
    (scene_of(3), scene.checkpoints.remove(0))
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let (_, bytes) = a_checkpoint();
    assert!(Checkpoint::from_bytes(&bytes).is_ok());
    for at in (0..bytes.len()).step_by(97) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 4;
        let refused = Checkpoint::from_bytes(&bytes).unwrap_err();
        assert!(matches!(refused, NotRestored::Unreadable(_)), "byte {at}: {refused}");
        assert!(Checkpoint::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn a_checkpoint_belongs_to_its_configuration() {
    let (stage, bytes) = a_checkpoint();
    let mut config = stage.plan.config.clone();
    config.turn.fade_ms += 1;
    let other = Plan::new(config).unwrap();
    let restored = Checkpoint::from_bytes(&bytes).unwrap().restore(&other);
    assert_eq!(restored.map(|_| ()), Err(NotRestored::OtherConfig));
}
