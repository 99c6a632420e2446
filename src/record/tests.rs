//! Scenes of a call, made by hand, and what the folder tells of them.

mod left_out;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::clock::Tick;
use crate::config;
use crate::graph::Cause;
use crate::id::{AgentId, CallId, ItemId, LaneId, TurnId, UtteranceId};
use crate::pcm::playout::Played;
use crate::pcm::wav;
use crate::session::event::{CutCause, EndReason, Event, EventKind};
use crate::session::output::Output;
use crate::session::plan::Plan;
use crate::tool::{CallRecord, FailureKind, Json, Outcome, ToolCall};

pub(super) const CONFIG: &str = "
name: test
epoch: 2026-01-01T09:00:00Z
audio: { rate_hz: 16000 }
speech: { synthesiser: { engine: flite } }
agents: { desk: { greeting: Hello there. } }
";

pub(super) const ANN: LaneId = LaneId(0);

pub(super) fn plan(config: &str) -> Arc<Plan> {
    let config = config::parse(config.as_bytes(), "test.yaml").expect("a sound configuration");
    Arc::new(Plan::new(config).expect("a checked configuration"))
}

/// A call under way: outputs by tick, silent unless something is put in.
pub(super) struct Scene(pub(super) Vec<Output>);

impl Scene {
    pub(super) fn new(plan: &Plan, ticks: usize) -> Self {
        let mut silent = Output::default();
        silent.audio.resize(plan.samples(), 0);
        silent.heard.resize(plan.samples(), 0);
        Self(vec![silent; ticks])
    }

    pub(super) fn event(&mut self, tick: u64, kind: EventKind) -> &mut Output {
        let out = &mut self.0[tick as usize];
        out.events.push(Event { seq: 0, tick: Tick(tick), kind });
        out
    }

    pub(super) fn message(&mut self, tick: u64, item: u32, text: &str) {
        let (agent, text) = ("desk".to_owned(), text.to_owned());
        self.event(tick, EventKind::AgentMessage { item: ItemId(item), agent, text });
    }

    /// Plays the bytes `from..to` of an item.
    pub(super) fn play(&mut self, tick: u64, item: u32, (from, to): (u32, u32), finished: bool) {
        let item = ItemId(item);
        if from == 0 {
            self.event(tick, EventKind::AgentSpeechStarted { item });
        }
        if finished {
            self.event(tick, EventKind::AgentSpeechFinished { item });
        }
        let out = &mut self.0[tick as usize];
        out.agent_speech = true;
        out.audio.fill(2_000);
        let (agent, started) = (AgentId(0), from == 0);
        out.played.push(Played { item, agent, samples: 320, from, to, started, finished });
    }

    pub(super) fn voice(&mut self, utterance: u32, ticks: std::ops::Range<u64>, stopped: u64) {
        let utterance = UtteranceId(utterance);
        let started = EventKind::UserSpeechStarted { lane: ANN, utterance, over_agent: false };
        self.event(ticks.start, started);
        let voiced_ms = 20 * (ticks.end - ticks.start);
        self.event(stopped, EventKind::UserSpeechStopped { lane: ANN, utterance, voiced_ms });
        for tick in ticks {
            self.0[tick as usize].user_speech = true;
            self.0[tick as usize].heard.fill(-1_000);
        }
    }

    pub(super) fn words(&mut self, tick: u64, utterance: u32, text: &str) {
        let (utterance, text) = (UtteranceId(utterance), text.to_owned());
        let kind =
            EventKind::UserTranscript { lane: ANN, utterance, text, confidence: 0.5, last: true };
        self.event(tick, kind);
    }

    pub(super) fn turn(
        &mut self,
        tick: u64,
        turn: u32,
        text: &str,
        intent: Option<&str>,
        last_voiced: Option<u64>,
    ) {
        self.event(
            tick,
            EventKind::UserMessage {
                turn: TurnId(turn),
                lane: ANN,
                text: text.to_owned(),
                intent: intent.map(str::to_owned),
                typed: last_voiced.is_none(),
                last_voiced: Tick(last_voiced.unwrap_or_default()),
            },
        );
    }

    pub(super) fn call(&mut self, tick: u64, id: u32, outcome: Outcome) {
        let (id, name, arguments) = (CallId(id), "find".to_owned(), Json(json!({ "number": 7 })));
        let called = EventKind::ToolCalled {
            call: id,
            name: name.clone(),
            arguments: arguments.clone(),
            occurrence: 0,
        };
        self.event(tick, called);
        let result = EventKind::ToolResult {
            call: id,
            name: name.clone(),
            outcome: outcome.clone(),
            after_ticks: 0,
        };
        let out = self.event(tick, result);
        out.calls.push(ToolCall { id, name: name.clone(), arguments, occurrence: 0, lane: None });
        out.results.push(CallRecord { id, name, outcome, deferred: false });
    }
}

/// After some noise Ann asks for her order, says "uh-huh" over the answer, and thanks by typing.
pub(super) fn scene(plan: &Plan) -> Scene {
    let mut scene = Scene::new(plan, 61);
    scene.event(0, EventKind::SessionCreated { agent: "desk".into() });
    scene.event(0, EventKind::UserJoined { lane: ANN, name: "Ann".into() });
    scene.message(0, 0, "Hello there.");
    scene.play(1, 0, (0, 6), false);
    scene.play(2, 0, (6, 12), true);
    scene.voice(0, 4..5, 5);
    scene.words(5, 0, "noise");
    scene.voice(1, 6..9, 33);
    scene.words(36, 1, "where is my order");
    scene.turn(36, 0, "where is my order", Some("order"), Some(8));
    scene.message(36, 1, "One \"moment\".");
    scene.call(36, 0, Outcome::Done(Json(json!({ "state": "lost", "days": 3 }))));
    scene.call(36, 1, Outcome::failed(FailureKind::Failed, "no such number"));
    scene.play(38, 1, (0, 4), false);
    scene.play(39, 1, (4, 8), false);
    scene.voice(2, 39..41, 44);
    let cut = |item, spoken: &str, unspoken: &str| EventKind::AgentInterrupted {
        item: ItemId(item),
        cause: CutCause::Voice,
        since: Tick(39),
        voiced_ms: 20,
        played_ms: 20 * u64::from(!spoken.is_empty()),
        spoken: spoken.into(),
        unspoken: unspoken.into(),
    };
    scene.message(39, 2, "Never heard.");
    scene.event(40, cut(1, "One \"mom", "ent\"."));
    scene.event(40, cut(2, "", "Never heard."));
    scene.words(45, 2, "uh-huh");
    scene.event(45, EventKind::UserBackchannel { lane: ANN, text: "uh-huh".into() });
    scene.event(45, EventKind::AgentResumed);
    scene.play(45, 1, (8, 13), true);
    scene.event(
        46,
        EventKind::TransitionExecuted {
            from: "desk".into(),
            to: "desk".into(),
            transition: 0,
            cause: Cause::Intent("order".into()),
        },
    );
    scene.turn(50, 1, "thanks", None, None);
    scene.message(50, 3, "Good bye to you.");
    scene.play(52, 3, (0, 9), false);
    scene.event(60, EventKind::SessionEnded { reason: EndReason::AgentEnded }).ended = true;
    scene
}

const TIMING: Timing = Timing { lateness_ns: Some(12_345), step_ns: 7_001, skipped: 0 };

fn record(dir: &Path, plan: &Arc<Plan>, scene: &Scene, timing: Timing) -> (Metrics, Vec<String>) {
    let mut folder = Folder::create(dir, Arc::clone(plan), timing.lateness_ns.is_none()).unwrap();
    for (tick, out) in scene.0.iter().enumerate() {
        folder.tick(Tick(tick as u64), out, timing);
    }
    let tool = "find".to_owned();
    folder.overrun(Overrun { tool, took_us: 9_000, budget_us: 5_000 });
    folder.finish("the agent ended the call")
}

fn text(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap()
}

fn lines(dir: &Path, name: &str) -> Vec<Value> {
    text(dir, name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn json_of(dir: &Path, name: &str) -> Value {
    serde_json::from_str(&text(dir, name)).unwrap()
}

fn recorded() -> (tempfile::TempDir, Metrics) {
    let (dir, plan) = (tempfile::tempdir().unwrap(), plan(CONFIG));
    let virtually = Timing { lateness_ns: None, ..TIMING };
    let (metrics, troubles) = record(dir.path(), &plan, &scene(&plan), virtually);
    assert_eq!(troubles, [""; 0]);
    (dir, metrics)
}

#[test]
fn a_silent_tick_is_told_in_full() {
    let (dir, _) = recorded();
    let expected = r#"{"tick_id":3,"timestamp":"2026-01-01T09:00:00.060Z","agent_chunk":{"role":"assistant","content":null,"is_audio":true,"audio_format":{"rate_hz":16000,"encoding":"pcm_s16le","samples":320},"contains_speech":false,"chunk_id":3,"utterance_ids":[],"is_final_chunk":true,"timestamp":"2026-01-01T09:00:00.060Z"},"user_chunk":{"role":"user","content":null,"is_audio":true,"audio_format":{"rate_hz":16000,"encoding":"pcm_s16le","samples":320},"contains_speech":false,"chunk_id":3,"utterance_ids":[],"is_final_chunk":true,"timestamp":"2026-01-01T09:00:00.060Z"},"agent_tool_calls":[],"user_tool_calls":[],"agent_tool_results":[],"user_tool_results":[],"user_transcript":null,"tick_duration_seconds":0.02,"wall_clock_duration_seconds":null}"#;
    assert_eq!(text(dir.path(), "ticks.jsonl").lines().nth(3), Some(expected));
}

#[test]
fn ticks_tell_both_sides() {
    let (dir, _) = recorded();
    let ticks = lines(dir.path(), "ticks.jsonl");
    assert_eq!(ticks.len(), 61);
    let agent = |tick: usize| {
        let chunk = &ticks[tick]["agent_chunk"];
        json!([
            chunk["content"],
            chunk["contains_speech"],
            chunk["utterance_ids"],
            chunk["is_final_chunk"]
        ])
    };
    assert_eq!(agent(1), json!(["Hello ", true, ["item-0"], false]));
    assert_eq!(agent(2), json!(["there.", true, ["item-0"], true]));
    assert_eq!(agent(39), json!(["\"mom", true, ["item-1"], false]));
    assert_eq!(agent(40), json!([null, false, [], true]));
    assert_eq!(agent(45), json!(["ent\".", true, ["item-1"], true]));
    let user = &ticks[7]["user_chunk"];
    assert_eq!((&user["contains_speech"], &user["is_final_chunk"]), (&json!(true), &json!(false)));
    assert_eq!(user["utterance_ids"], json!(["lane-0/utterance-1"]));
    let known =
        |tick: usize| (&ticks[tick]["user_chunk"]["content"], &ticks[tick]["user_transcript"]);
    assert_eq!(known(36), (&json!("where is my order"), &json!("where is my order")));
    assert_eq!(known(50), (&json!("thanks"), &json!("thanks")));
    assert_eq!(
        ticks[36]["agent_tool_calls"][0],
        json!({ "id": "call-0", "name": "find", "arguments": { "number": 7 }, "requestor": "assistant" })
    );
    let result = |id: &str, content: &str, error: bool| {
        json!({
            "id": id, "role": "tool", "content": content, "requestor": "assistant", "error": error,
            "timestamp": "2026-01-01T09:00:00.720Z",
        })
    };
    let results = &ticks[36]["agent_tool_results"];
    assert_eq!(results[0], result("call-0", r#"{"days":"3","state":"lost"}"#, false));
    assert_eq!(results[1], result("call-1", "Error: no such number", true));
}

#[test]
fn the_recording_has_users_left_and_the_agent_right() {
    let (dir, _) = recorded();
    let file = fs::read(dir.path().join("conversation.wav")).unwrap();
    assert_eq!(file.len(), 44 + 61 * 320 * 4);
    assert_eq!(file[22..24], 2_u16.to_le_bytes(), "channels");
    let frame = |tick: usize| {
        let at = 44 + tick * 320 * 4;
        let sample = |at: usize| i16::from_le_bytes([file[at], file[at + 1]]);
        (sample(at), sample(at + 2))
    };
    assert_eq!(
        (frame(1), frame(3), frame(7), frame(39)),
        ((0, 2_000), (0, 0), (-1_000, 0), (-1_000, 2_000))
    );
}

#[test]
fn the_transcript_has_what_was_heard_in_order_of_start() {
    let (dir, _) = recorded();
    let user = |text: &str, from: u64, to: u64| json!({ "speaker": "user", "name": "Ann", "text": text, "from_ms": from, "to_ms": to, "interrupted": false });
    let agent = |text: &str, from: u64, to: u64, interrupted: bool| {
        json!({
            "speaker": "agent", "name": "desk", "text": text, "from_ms": from, "to_ms": to,
            "interrupted": interrupted,
        })
    };
    let mut order = user("where is my order", 120, 180);
    order["intent"] = "order".into();
    let mut attention = user("uh-huh", 780, 820);
    attention["backchannel"] = true.into();
    let expected = json!([
        agent("Hello there.", 20, 60, false),
        order,
        agent("One \"moment\".", 760, 920, false),
        attention,
        user("thanks", 1_000, 1_000),
        agent("Good bye ", 1_040, 1_060, true),
    ]);
    assert_eq!(json_of(dir.path(), "transcript.json"), expected);
}

#[test]
fn what_was_cut_for_good_ends_where_it_was_cut() {
    let (dir, plan) = (tempfile::tempdir().unwrap(), plan(CONFIG));
    let mut scene = scene(&plan);
    for out in &mut scene.0[41..] {
        out.events.clear();
        out.played.clear();
    }
    record(dir.path(), &plan, &scene, Timing::default());
    let transcript = json_of(dir.path(), "transcript.json");
    let last = transcript.as_array().unwrap().last().unwrap();
    assert_eq!((&last["text"], &last["to_ms"]), (&json!("One \"mom"), &json!(800)));
    assert_eq!(last["interrupted"], true);
}

#[test]
fn metrics_come_from_ticks() {
    let (dir, metrics) = recorded();
    let latency = |ms: u64| metrics::Latency {
        mean: Some(ms as f64),
        p50: Some(ms),
        p95: Some(ms),
        max: Some(ms),
        count: 1,
    };
    let expected = Metrics {
        end: "the agent ended the call".into(),
        turns: 2,
        agent_turns: 3,
        response_latency_ms: latency(600),
        typed_response_latency_ms: latency(40),
        yield_latency_ms: latency(20),
        interruptions: 1,
        false_interruptions: 1,
        backchannels: 1,
        hand_overs: 1,
        tool_calls: 2,
        tool_failures: 1,
        overruns: [("find".to_owned(), 1)].into(),
        ticks: 61,
        call_ms: 1_220,
        step_us: metrics.step_us,
        ..Metrics::default()
    };
    assert_eq!(metrics, expected);
    assert_eq!(json_of(dir.path(), "metrics.json"), serde_json::to_value(metrics).unwrap());
}

#[test]
fn every_metric_is_documented_and_no_other() {
    let (dir, plan) = (tempfile::tempdir().unwrap(), plan(CONFIG));
    record(dir.path(), &plan, &scene(&plan), TIMING);
    let mut keys = Vec::new();
    for (key, value) in json_of(dir.path(), "metrics.json").as_object().unwrap() {
        match value {
            Value::Object(fields) if key != "overruns" => {
                keys.extend(fields.keys().map(|field| format!("{key}.{field}")));
            }
            _ => keys.push(key.clone()),
        }
    }
    let mut documented: Vec<_> = METRICS_KEYS.iter().map(|(key, ..)| (*key).to_owned()).collect();
    keys.sort();
    documented.sort();
    assert_eq!(keys, documented);
}

#[test]
fn timing_has_what_was_measured() {
    let (dir, plan) = (tempfile::tempdir().unwrap(), plan(CONFIG));
    let (metrics, _) = record(dir.path(), &plan, &scene(&plan), TIMING);
    let timing = text(dir.path(), "timing.jsonl");
    let first = r#"{"tick":0,"lateness_us":12.345,"step_us":7.001,"skipped":0}"#;
    assert_eq!(timing.lines().next(), Some(first));
    let overrun = r#"{"budget_us":5000,"took_us":9000,"tool":"find"}"#;
    assert_eq!(timing.lines().last(), Some(overrun));
    assert_eq!(metrics.lateness_us.unwrap().max, 12.345);
    let tick = text(dir.path(), "ticks.jsonl");
    assert!(
        tick.lines().next().unwrap().ends_with(r#""wall_clock_duration_seconds":0.000007001}"#)
    );
    let (dir, metrics) = recorded();
    assert_eq!(
        text(dir.path(), "timing.jsonl").lines().next(),
        Some(r#"{"tick":0,"step_us":7.001}"#)
    );
    assert_eq!(metrics.lateness_us, None);
}

const FILES: [&str; 7] = [
    "conversation.wav",
    "events.jsonl",
    "ticks.jsonl",
    "timing.jsonl",
    "transcript.json",
    "metrics.json",
    "report.html",
];

#[test]
fn two_runs_give_the_same_bytes_on_a_thread_or_not() {
    let plan = plan(CONFIG);
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [one.path(), other.path()] {
        fs::write(dir.join("ticks.jsonl"), "of an earlier run, and longer\n".repeat(9_999))
            .unwrap();
    }
    record(one.path(), &plan, &scene(&plan), Timing::default());
    let folder = Folder::create(other.path(), Arc::clone(&plan), true).unwrap();
    let mut thread = FolderThread::spawn(folder);
    for (tick, out) in scene(&plan).0.iter().enumerate() {
        thread.tick(Tick(tick as u64), out, Timing::default());
    }
    thread.overrun(Overrun { tool: "find".into(), took_us: 9_000, budget_us: 5_000 });
    let (_, troubles) = thread.finish("the agent ended the call");
    assert_eq!(troubles, [""; 0]);
    for name in FILES {
        let [one, other] = [&one, &other].map(|dir| fs::read(dir.path().join(name)).unwrap());
        assert!(one == other, "{name} differs");
    }
}

#[test]
fn from_where_a_fork_goes_another_way_every_file_says_so() {
    let plan = plan(CONFIG);
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    record(one.path(), &plan, &scene(&plan), Timing::default());
    let mut folder = Folder::create(other.path(), Arc::clone(&plan), true).unwrap();
    for (tick, out) in scene(&plan).0.iter().enumerate() {
        if tick == 40 {
            folder.diverge(Tick(40));
        }
        folder.tick(Tick(tick as u64), out, Timing::default());
    }
    let (metrics, troubles) = folder.finish("the agent ended the call");
    assert_eq!(troubles, [""; 0]);
    assert_eq!(metrics.counterfactual_from_tick, Some(Tick(40)));
    assert_eq!(json_of(other.path(), "metrics.json")["counterfactual_from_tick"], 40);
    assert_eq!(json_of(one.path(), "metrics.json")["counterfactual_from_tick"], Value::Null);
    for name in ["events.jsonl", "ticks.jsonl", "timing.jsonl"] {
        let field = if name == "ticks.jsonl" { "tick_id" } else { "tick" };
        let known = lines(one.path(), name);
        for (line, before) in lines(other.path(), name).iter().zip(&known) {
            let mut expected = before.clone();
            if expected[field].as_u64().unwrap() >= 40 {
                expected["counterfactual"] = true.into();
            }
            assert_eq!(line, &expected, "{name}");
        }
    }
    let marked = json_of(other.path(), "transcript.json");
    let marked = marked.as_array().unwrap().iter().map(|turn| turn["counterfactual"] == true);
    assert_eq!(marked.collect::<Vec<_>>(), [false, false, false, false, true, true]);
    let [plain, marked] =
        [&one, &other].map(|dir| fs::read(dir.path().join("conversation.wav")).unwrap());
    assert_eq!(plain[8..], marked[8..plain.len()], "the same sound");
    let cue = &marked[plain.len()..];
    assert!(cue.starts_with(b"cue ") && cue[16..20] == (40_u32 * 320).to_le_bytes());
    assert_eq!(wav::read(&marked).unwrap(), wav::read(&plain).unwrap());
    assert!(text(other.path(), "report.html").contains(r#""counterfactual_from_ms":800"#));
}

#[test]
fn a_thread_that_falls_behind_drops_and_says_so() {
    let (dir, plan) = (tempfile::tempdir().unwrap(), plan(CONFIG));
    let silent = Scene::new(&plan, 1);
    let mut thread =
        FolderThread::spawn(Folder::create(dir.path(), Arc::clone(&plan), true).unwrap());
    let ticks = 5_000;
    for tick in 0..ticks {
        thread.tick(Tick(tick), &silent.0[0], Timing::default());
    }
    let (metrics, troubles) = thread.finish("enough");
    let dropped = ticks - metrics.ticks;
    assert!(
        dropped == 0 || troubles[0].contains(&format!(" {dropped} ticks from tick ")),
        "{troubles:?}"
    );
}

#[test]
fn a_killed_process_leaves_a_recording_that_plays_and_whole_lines() {
    let (dir, plan) = (tempfile::tempdir().unwrap(), plan(CONFIG));
    let silent = Scene::new(&plan, 1);
    let mut folder = Folder::create(dir.path(), Arc::clone(&plan), true).unwrap();
    for tick in 0..120 {
        folder.tick(Tick(tick), &silent.0[0], Timing::default());
    }
    // The folder is still open: the disk has what it would have if the process were killed here.
    let file = fs::read(dir.path().join("conversation.wav")).unwrap();
    let wav = wav::read(&file).expect("a playable file");
    assert_eq!((wav.channels, wav.rate_hz, wav.truncated), (2, 16_000, None));
    assert_eq!(file.len(), 44 + 100 * 320 * 4);
    assert_eq!(lines(dir.path(), "ticks.jsonl").len(), 100);
    assert!(!dir.path().join("metrics.json").exists());
    drop(folder);
}

#[test]
fn jumped_ticks_are_silence_and_no_lines() {
    let (dir, plan) = (tempfile::tempdir().unwrap(), plan(CONFIG));
    let mut scene = Scene::new(&plan, 1);
    let mut folder = Folder::create(dir.path(), Arc::clone(&plan), true).unwrap();
    folder.tick(Tick(0), &scene.0[0], Timing::default());
    scene.0[0].events.push(Event {
        seq: 0,
        tick: Tick(5),
        kind: EventKind::TickSkipped { count: 4 },
    });
    folder.tick(Tick(5), &scene.0[0], Timing { skipped: 4, ..Timing::default() });
    // A session that panicked leaves an empty output.
    folder.tick(Tick(6), &Output::default(), Timing::default());
    let (metrics, troubles) = folder.finish("it panicked");
    assert_eq!((metrics.ticks, metrics.skipped_ticks, metrics.call_ms), (3, 4, 140));
    assert_eq!(troubles, [""; 0]);
    assert_eq!(fs::metadata(dir.path().join("conversation.wav")).unwrap().len(), 44 + 7 * 320 * 4);
    assert_eq!(lines(dir.path(), "ticks.jsonl").len(), 3);
}

#[test]
fn an_agent_without_a_voice_has_said_what_it_wrote() {
    let (dir, plan) =
        (tempfile::tempdir().unwrap(), plan("name: test\nagents: { desk: { greeting: Hi. } }"));
    let mut scene = Scene::new(&plan, 2);
    scene.turn(0, 0, "hello", None, None);
    scene.message(0, 0, "Good day.");
    let (metrics, _) = record(dir.path(), &plan, &scene, Timing::default());
    assert_eq!((metrics.typed_response_latency_ms.max, metrics.agent_turns), (Some(0), 1));
    let ticks = lines(dir.path(), "ticks.jsonl");
    assert_eq!(ticks[0]["agent_chunk"]["content"], "Good day.");
    assert_eq!(ticks[1]["agent_chunk"]["content"], Value::Null);
    let transcript = json_of(dir.path(), "transcript.json");
    let texts: Vec<_> = transcript.as_array().unwrap().iter().map(|turn| &turn["text"]).collect();
    assert_eq!(texts, ["hello", "Good day."]);
}

#[test]
fn a_folder_that_cannot_be_is_refused_and_nothing_is_left() {
    let (dir, plan) = (tempfile::tempdir().unwrap(), plan(CONFIG));
    let refused = |path: &Path| {
        let folder = Folder::create(path, Arc::clone(&plan), true);
        folder.expect_err("it cannot be").to_string()
    };
    let file = dir.path().join("file");
    fs::write(&file, "precious").unwrap();
    for path in [file.clone(), file.join("inner/most")] {
        let expected = format!(
            "the call cannot be recorded at {}: a file stands where a folder is needed; name another folder",
            path.display()
        );
        assert_eq!(refused(&path), expected);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");

    let earlier = dir.path().join("earlier");
    fs::create_dir_all(earlier.join("ticks.jsonl")).unwrap();
    fs::write(earlier.join("events.jsonl"), "precious").unwrap();
    let error = refused(&earlier);
    assert!(error.contains("ticks.jsonl: a folder stands where the file would be"), "{error}");
    assert_eq!(fs::read_to_string(earlier.join("events.jsonl")).unwrap(), "precious");
    assert_eq!(fs::read_dir(&earlier).unwrap().count(), 2, "what was made is taken back");
}

#[cfg(target_os = "linux")]
#[test]
fn a_parent_that_cannot_be_written_is_named() {
    let error = Folder::create(Path::new("/proc/antiphon/run"), plan(CONFIG), true).unwrap_err();
    let error = error.to_string();
    assert!(error.starts_with("the call cannot be recorded at /proc/antiphon/run: "), "{error}");
}
