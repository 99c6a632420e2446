//! How fast it is: virtual time, offline speech, replay, what a tick costs by part, and how late it is.
//!
//! `cargo bench --bench speed` prints tables; a name (`virtual`, `speech`, `replay`, `tick`, `pacing`) picks one;
//! `--write` puts them into `benches/RESULTS.md` with the machine that they hold for, and `speed/live_path.md` after them, which
//! is of rooms and written by hand.
//!
//! Times are medians of runs on whatever else the machine does meanwhile: compare ratios within one
//! table, not figures from two days.

#[path = "speed/pacing.rs"]
mod pacing;

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use antiphon::clock::{Tick, TickLen};
use antiphon::config::{self, RecogniserEngine, SynthesiserEngine};
use antiphon::host::ink::Ink;
use antiphon::host::pace::Clock;
use antiphon::id::{AgentId, ItemId, LaneId};
use antiphon::journal::{Header, Journal, Scribe, Sealed};
use antiphon::model::tone::Tone;
use antiphon::model::virtual_time::VirtualMouth;
use antiphon::pcm::mix::{Gain, apply_gain};
use antiphon::pcm::playout::Playout;
use antiphon::pcm::resample::{self, Resampler};
use antiphon::pcm::voice::Voice;
use antiphon::pcm::{Clip, wav};
use antiphon::record::{Folder, Timing};
use antiphon::seed::Seed;
use antiphon::session::Session;
use antiphon::session::input::{Inbound, Input};
use antiphon::session::lane::Lane;
use antiphon::session::output::Output;
use antiphon::session::plan::{Plan, tool_spec};
use antiphon::sim::caller::{Act, Caller, Cue, Part, When};
use antiphon::sim::network::{Faults, Network};
use antiphon::sim::replay::{self, Replayed};
use antiphon::sim::tools::{Latency, VirtualTools};
use antiphon::sim::world;
use antiphon::slot::{Edge, Slot};
use antiphon::tool::{Called, Hands, Outcome, Registry, ToolCall, canned::Canned};

const DEMO: &[u8] = include_bytes!("../configs/demo.yaml");

/// What it takes to hold calls in rooms, which other benches measure.
const LIVE_PATH: &str = include_str!("speed/live_path.md");

/// Half an hour of 20 ms ticks.
const TICKS: u64 = 30 * 60 * 50;
const TICK_S: f64 = 0.02;

/// Runs of each measurement; the median counts.
const RUNS: usize = 3;

type Bench = fn() -> Table;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&String> =
        arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let wanted =
        |name: &str| names.is_empty() || names.iter().any(|wanted| name.contains(wanted.as_str()));
    let benches: [(&str, Bench); 5] = [
        ("virtual", virtual_time),
        ("speech", speech),
        ("replay", replayed),
        ("tick", tick),
        ("pacing", pacing::pacing),
    ];
    let mut text = String::new();
    for (name, bench) in benches {
        if wanted(name) {
            let table = bench().markdown(name);
            println!("{table}");
            text.push_str(&table);
        }
    }
    if arguments.iter().any(|argument| argument == "--write") {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/RESULTS.md");
        let written = std::fs::write(
            &path,
            format!("# Results\n\n{}\n{}\n\n{LIVE_PATH}", machine(), text.trim_end()),
        );
        written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

// ---- Tables and times ---------------------------------------------------------------------------

struct Table {
    title: &'static str,
    /// What it does not show.
    not: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    fn markdown(&self, name: &str) -> String {
        let mut text = format!("## {}\n\n`cargo bench --bench speed -- {name}`\n\n", self.title);
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let heads: Vec<String> = self.columns.iter().map(ToString::to_string).collect();
        text.push_str(&line(&heads));
        text.push_str(&line(&vec!["---".to_owned(); heads.len()]));
        for row in &self.rows {
            text.push_str(&line(row));
        }
        let _ = writeln!(text, "\nNot shown: {}\n", self.not);
        text
    }
}

/// What a run took, in seconds: on the wall, and of all processors.
#[derive(Clone, Copy)]
struct Took {
    wall: f64,
    cpu: f64,
}

fn timed<T>(act: impl FnOnce() -> T) -> (T, Took) {
    let clock = Clock::default();
    let (begun, cpu) = (clock.now(), cpu_s());
    let value = act();
    let wall = clock.now().since_ns(begun) as f64 / 1e9;
    // Without a count of the system, the wall has to do.
    let cpu = cpu.zip(cpu_s()).map_or(wall, |(before, after)| after - before);
    (value, Took { wall, cpu })
}

/// Processor time of this process and of those it has waited for, in steps of 10 ms.
fn cpu_s() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: f64 =
        fields.split_whitespace().skip(11).take(4).filter_map(|n| n.parse::<f64>().ok()).sum();
    Some(ticks / 100.0)
}

/// The median run by processor time.
fn median(mut runs: Vec<Took>) -> Took {
    runs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    runs[runs.len() / 2]
}

/// The median time of an act in microseconds, after a hundred to warm up.
fn median_us(clock: Clock, mut act: impl FnMut(usize)) -> f64 {
    let mut times: Vec<u64> = (0..2_000)
        .map(|n| {
            let begun = clock.now();
            act(n);
            clock.now().since_ns(begun)
        })
        .skip(100)
        .collect();
    times.sort_unstable();
    times[times.len() / 2] as f64 / 1e3
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    format!(
        "Written by `cargo bench --bench speed -- --write`. The machine: {}, {cores} cores, {}, {} build \
         with {}. Shared with other work: compare within a table.\n",
        model.trim_start_matches([' ', '\t', ':']),
        std::env::consts::OS,
        if cfg!(debug_assertions) { "debug" } else { "release" },
        rustc.unwrap_or_else(|_| "an unknown compiler".to_owned()),
    )
}

// ---- A conversation in virtual time ---------------------------------------------------------------

/// What the caller types, in a circle through all three agents.
const TEXTS: [&str; 10] = [
    "where is my order 4217",
    "what are your opening hours",
    "I have a question about my bill",
    "how much do I owe",
    "please send me the invoice",
    "try again",
    "I want to return my shoes",
    "what is the return policy",
    "when will I get my refund",
    "take me back to the front desk",
];

/// The demo's agents without a recogniser, speaking in tones.
fn plan() -> (Arc<Plan>, Registry) {
    let mut config =
        config::parse(DEMO, "configs/demo.yaml").expect("the demo's configuration is right");
    config.speech.recogniser.engine = RecogniserEngine::None;
    config.speech.synthesiser.engine = SynthesiserEngine::Tone;
    let mut tools = Registry::default();
    for (name, tool) in &config.tools {
        let Some(canned) = tool.canned.clone() else { continue };
        let answers = Canned {
            by: canned.by,
            answers: canned.answers,
            otherwise: canned.otherwise,
            takes_ms: canned.takes_ms,
            fails_first: canned.fails_first,
            failure: canned.failure,
        };
        tools.add(tool_spec(name, tool), answers).expect("the demo's tools are right");
    }
    (Arc::new(Plan::new(config).expect("the demo's configuration is right")), tools)
}

fn clip(bytes: &[u8], plan: &Plan, gain_db: f32) -> Vec<i16> {
    let wav = wav::read(bytes).expect("a clip of the repository");
    let mut pcm = resample::convert(&wav.pcm, wav.rate_hz, plan.rate.hz());
    apply_gain(&mut pcm, Gain::from_db(gain_db));
    pcm
}

fn noise(plan: &Plan) -> Vec<i16> {
    clip(include_bytes!("../audio/noise.wav"), plan, 0.0)
}

fn voice(plan: &Plan) -> Vec<i16> {
    clip(include_bytes!("../audio/caller-08-barge-in.wav"), plan, 0.0)
}

/// What a run writes and hears.
#[derive(Clone, Copy, PartialEq)]
enum Extent {
    /// The caller only types; nothing is written.
    Typed,
    /// The caller's room is heard, too.
    Heard,
    /// A journal is written.
    Journal,
    /// And all files.
    Files,
}

fn conversation(extent: Extent, folder: &Path) -> u64 {
    let (plan, tools) = plan();
    let cue =
        |text: &&str| Cue { when: When::AgentSilent(1_500), act: Act::Type((*text).to_owned()) };
    let audio = extent != Extent::Typed;
    let part = Part {
        name: "caller".to_owned(),
        cues: TEXTS.iter().cycle().take(1_000).map(cue).collect(),
        noise: if audio { noise(&plan).into() } else { Arc::default() },
        patience_ms: 20_000,
        hang_up_ms: 6_000,
        audio,
    };
    let network = Network::new(Faults::NONE, Seed::new(1));
    let edges: Vec<Box<dyn Edge>> = vec![
        Box::new(Caller::new(part, LaneId(0), plan.len, plan.rate, network)),
        Box::new(VirtualMouth::new(Box::new(Tone), None, 100, plan.len, plan.rate)),
    ];
    let writes = extent == Extent::Journal || extent == Extent::Files;
    let mut ink =
        writes.then(|| Ink::create(&folder.join("journal.antiphon")).expect("a folder of our own"));
    let mut files = (extent == Extent::Files)
        .then(|| Folder::create(folder, Arc::clone(&plan), true).expect("the same"));
    let scribe = writes.then(|| Scribe::new(&Header::new(&plan, 1)));
    let hands = VirtualTools::new(tools, Latency::Declared, plan.len, "bench".to_owned());
    let session = Session::new(&plan, 1);
    let mut slot = Slot::new(plan, session, edges, Box::new(hands), scribe);
    let ran = world::run(&mut slot, TICKS, |slot| {
        let now = Tick(slot.session().tick().0 - 1);
        if let Some(files) = &mut files {
            files.tick(now, slot.output(), Timing::default());
        }
        if let (Some(ink), Some(scribe)) =
            (&mut ink, slot.scribe().filter(|scribe| scribe.waiting() > 1 << 16))
        {
            ink.flow_waiting(scribe);
        }
        true
    });
    if let (Some(mut ink), Some(scribe)) = (ink, slot.scribe()) {
        ink.flow_waiting(scribe);
        assert_eq!(ink.finish(None), None);
    }
    if let Some(files) = files {
        assert!(files.finish("stopped").1.is_empty());
    }
    ran.ticks
}

fn virtual_time() -> Table {
    let folder = tempfile::tempdir().expect("a folder for files");
    let extents = [
        (Extent::Typed, "typed text alone, nothing written"),
        (Extent::Heard, "and a room's noise all the time: voice detection"),
        (Extent::Journal, "and the journal"),
        (Extent::Files, "and all other files: the whole"),
    ];
    let rows = extents.map(|(extent, what)| {
        let runs = (0..RUNS).map(|_| {
            let (ticks, took) = timed(|| conversation(extent, folder.path()));
            assert_eq!(ticks, TICKS, "the conversation ended early");
            took
        });
        let took = median(runs.collect());
        let real = TICKS as f64 * TICK_S;
        let us = took.cpu * 1e6 / TICKS as f64;
        vec![
            what.to_owned(),
            format!("{us:.1}"),
            format!("{:.0}", real / took.cpu),
            format!("{:.0}", real / took.wall),
        ]
    });
    Table {
        title: "Half an hour of conversation in virtual time",
        not: "speech engines (the agent speaks in tones, the caller types), Opus, more than one participant. \
              Processor time is of all threads: the journal's writer is a second one.",
        columns: &[
            "what",
            "µs of processor a tick",
            "× real time on one core",
            "× real time on the wall",
        ],
        rows: rows.to_vec(),
    }
}

// ---- Offline speech -------------------------------------------------------------------------------

fn speech() -> Table {
    let folder = tempfile::tempdir().expect("a folder for files");
    let mut rows = Vec::new();
    let program = option_env!("CARGO_BIN_EXE_antiphon");
    let run = |out: &Path| {
        let mut demo = Command::new(program?);
        demo.args(["demo", "--fast", "--out"])
            .arg(out)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Some(demo.output().expect("the program starts"))
    };
    let mut runs = Vec::new();
    let mut ticks = 0;
    for _ in 0..RUNS {
        let (done, took) = timed(|| run(folder.path()));
        match done {
            Some(done) if done.status.success() => {
                let journal = std::fs::read(folder.path().join("journal.antiphon"))
                    .expect("the demo's journal");
                ticks = Journal::read(&journal).expect("the demo's journal").ticks.len();
                runs.push(took);
            }
            Some(done) => {
                let why =
                    String::from_utf8_lossy(&done.stderr).lines().next().unwrap_or("").to_owned();
                rows.push(vec![
                    format!("not measured: {why}"),
                    String::new(),
                    String::new(),
                    String::new(),
                ]);
                break;
            }
            None => {
                let why = "not measured: built without the command line".to_owned();
                rows.push(vec![why, String::new(), String::new(), String::new()]);
                break;
            }
        }
    }
    if runs.len() == RUNS {
        let took = median(runs);
        let real = ticks as f64 * TICK_S;
        let what = format!("`antiphon demo --fast`: {real:.0} s of a call, PocketSphinx and flite");
        let seconds = format!("{:.1}", took.cpu);
        rows.push(vec![
            what,
            seconds,
            format!("{:.1}", real / took.cpu),
            format!("{:.1}", real / took.wall),
        ]);
    }
    Table {
        title: "The demo call, recognised and synthesised offline",
        not: "other recognisers, which cost what they cost. The start of the program and the loading of \
              models are in it.",
        columns: &[
            "what",
            "seconds of processor",
            "× real time on one core",
            "× real time on the wall",
        ],
        rows,
    }
}

// ---- Replay ---------------------------------------------------------------------------------------

fn replayed() -> Table {
    let folder = tempfile::tempdir().expect("a folder for files");
    conversation(Extent::Journal, folder.path());
    let bytes = std::fs::read(folder.path().join("journal.antiphon")).expect("just written");
    let real = TICKS as f64 * TICK_S;
    let (mut reads, mut steps) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (journal, took) = timed(|| Journal::read(&bytes).expect("just written"));
        reads.push(took);
        let (replayed, took) = timed(|| replay::replay(&journal, |_, _| {}));
        assert_eq!(replayed, Ok(Replayed::Equal { ticks: TICKS }));
        steps.push(took);
    }
    let row = |what: String, took: Took| {
        let us = took.cpu * 1e6 / TICKS as f64;
        vec![what, format!("{us:.1}"), format!("{:.0}", real / took.cpu)]
    };
    let megabytes = bytes.len() as f64 / 1e6;
    Table {
        title: "Half an hour replayed from its journal",
        not: "reading the file from a disk.",
        columns: &["what", "µs of processor a tick", "× real time"],
        rows: vec![
            row(format!("reading {megabytes:.0} MB of journal from memory"), median(reads)),
            row("stepping and comparing every digest".to_owned(), median(steps)),
        ],
    }
}

// ---- A tick by part -------------------------------------------------------------------------------

struct NoHands;

impl Hands for NoHands {
    fn call(&mut self, call: &ToolCall) -> Called {
        Called::Done(Outcome::failed(antiphon::tool::FailureKind::NoWorker, call.name.clone()))
    }
}

fn tick() -> Table {
    let (plan, _) = plan();
    let clock = Clock::default();
    let pcm = voice(&plan);
    let frames: Vec<&[i16]> = pcm.chunks_exact(plan.rate.frame()).collect();
    let frame = |n: usize| frames[n % frames.len()];
    let mut rows = Vec::new();
    let mut row = |part: &str, us: f64| rows.push(vec![part.to_owned(), format!("{us:.1}")]);

    #[cfg(feature = "opus")]
    opus(&plan, clock, &frames, &mut row);

    let mut resampler = Resampler::new(&plan.to_speech);
    let mut out = Vec::with_capacity(1_000);
    row(
        "24 to 16 kHz",
        median_us(clock, |n| {
            out.clear();
            resampler.push(&plan.to_speech, frame(n), &mut out);
        }),
    );
    let speech = resample::convert(&pcm, plan.rate.hz(), 16_000);
    let speech: Vec<&[i16]> = speech.chunks_exact(320).collect();
    let mut detector = Voice::new();
    row(
        "voice detection",
        median_us(clock, |n| {
            black_box(detector.hear(speech[n % speech.len()], 0.5));
        }),
    );
    let mut lane = Lane::new(LaneId(0), "ada".to_owned(), &plan);
    let mut output = Output::default();
    row(
        "a lane's tick: order, conceal, to 16 kHz, voice",
        median_us(clock, |n| {
            lane.push(&plan, n as u16, frame(n));
            output.clear();
            black_box(lane.hear(&plan, Tick(n as u64), 0, false, &mut output));
        }),
    );
    row(
        "the same while nothing comes",
        median_us(clock, |n| {
            output.clear();
            black_box(lane.hear(&plan, Tick(n as u64), 0, false, &mut output));
        }),
    );
    let mut playout = Playout::default();
    playout.queue(
        ItemId(0),
        AgentId(0),
        "A long text that is spoken for a minute.".to_owned(),
        Tick(0),
        0,
    );
    playout.push(ItemId(0), Clip::from(vec![1; plan.rate.samples(60_000)]), true);
    let mut audio = vec![0; plan.samples()];
    let (mut played, mut spent) = (Vec::new(), Vec::new());
    row(
        "playout",
        median_us(clock, |n| {
            played.clear();
            playout.pull(Tick(n as u64), true, &mut audio, &mut played, &mut spent);
        }),
    );

    let mut session = Session::new(&plan, 1);
    let mut input = Input::default();
    row(
        "the step of a session that nobody has joined: the digest mostly",
        median_us(clock, |n| {
            input.clear(Tick(n as u64), 0);
            session.step(&plan, &mut input, &mut NoHands, &mut output);
        }),
    );
    let mut session = Session::new(&plan, 1);
    let mut step = |n: usize, input: &mut Input, output: &mut Output| {
        input.clear(Tick(n as u64), 0);
        if n == 0 {
            input.inbound.push(Inbound::Joined { lane: LaneId(0), name: "ada".to_owned() });
            let pcm = Clip::from(vec![1; plan.rate.samples(60_000)]);
            input.inbound.push(Inbound::Speech { item: ItemId(0), pcm, last: true });
        }
        input.audio(LaneId(0), n as u16, frame(n));
        session.step(&plan, input, &mut NoHands, output);
    };
    row(
        "the step of a session in which a participant talks",
        median_us(clock, |n| step(n, &mut input, &mut output)),
    );

    let mut scribe = Scribe::new(&Header::new(&plan, 1));
    let mut block = Vec::with_capacity(1 << 20);
    row(
        "the journal's entry of that",
        median_us(clock, |n| {
            input.clear(Tick(n as u64), 0);
            input.audio(LaneId(0), n as u16, frame(n));
            scribe.arrived(&input);
            scribe.sealed(Sealed { called: &[], events: &[], digest: 1 });
            block.clear();
            scribe.take(&mut block);
        }),
    );
    let folder = tempfile::tempdir().expect("a folder for files");
    let mut files =
        Folder::create(folder.path(), Arc::clone(&plan), true).expect("a folder of our own");
    row(
        "all other files of that",
        median_us(clock, |n| {
            files.tick(Tick(n as u64), &output, Timing::default());
        }),
    );
    assert_eq!(plan.len, TickLen::from_ms(20).expect("the demo's tick"));
    Table {
        title: "A tick of 20 ms by part, at 24 kHz",
        not: "cold caches: with hundreds of sessions on a core, each part costs some percent more.",
        columns: &["part", "µs, median"],
        rows,
    }
}

#[cfg(feature = "opus")]
fn opus(plan: &Plan, clock: Clock, frames: &[&[i16]], row: &mut impl FnMut(&str, f64)) {
    use antiphon::host::codec::{OpusInlet, OpusOutlet, OutletOptions};

    let frame = |n: usize| frames[n % frames.len()];
    let options = OutletOptions { dtx: false, ..OutletOptions::default() };
    let mut outlet = OpusOutlet::new(plan.rate, options).expect("a codec");
    let packets: Vec<_> = (0..2_000).filter_map(|n| outlet.encode(frame(n))).collect();
    let mut inlet = OpusInlet::new(plan.rate, plan.reorder).expect("a codec");
    row(
        "Opus: decode a packet",
        median_us(clock, |n| {
            inlet.push(n as u16, packets[n % packets.len()].packet.bytes());
            black_box(inlet.pull());
        }),
    );
    for complexity in [5, 0] {
        let options = OutletOptions { complexity, ..options };
        let mut outlet = OpusOutlet::new(plan.rate, options).expect("a codec");
        let name = format!("Opus: encode at 32 kbit/s with correction, complexity {complexity}");
        row(
            &name,
            median_us(clock, |n| {
                black_box(outlet.encode(frame(n)));
            }),
        );
    }
    let silence = vec![0; plan.rate.frame()];
    row(
        "Opus: silence, which is not encoded",
        median_us(clock, |_| {
            black_box(outlet.encode(&silence));
        }),
    );
}
