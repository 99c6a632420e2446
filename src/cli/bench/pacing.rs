//! `antiphon bench pacing`: how late ticks are.
//!
//! The production shard and three other loops run one after the other, in five repetitions that begin with
//! another one each: what the machine does meanwhile falls on all of them. The bare loop is the limit of what
//! the system permits; the figures that count are ratios to it.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use super::contender::Contender;
use super::figures::Figures;
use super::recording::{Course, Recording, WARM_UP};
use super::talkers::Talkers;
use super::{plot, table};
use crate::cli::failure::Failure;
use crate::cli::view::line;
use crate::clock::TickLen;
use crate::host::pace::Class;
use crate::host::watchdog::{self, enlist};

/// Repetitions of each contender, and parts of a run in one piece.
const REPETITIONS: u64 = 5;

/// Ticks of a contender unless said otherwise, in milliseconds: four take 72 s.
const DEFAULT_MS: u64 = 18_000;

/// What is accepted.
const TICKS: std::ops::RangeInclusive<u64> = 10..=10_000_000;
const SESSIONS: std::ops::RangeInclusive<usize> = 1..=1_000;
const BUSY: std::ops::RangeInclusive<usize> = 0..=256;

/// Says how late ticks are, beside the barest loop that the system permits.
///
/// In turn, five times over: a shard as it holds calls, with sessions in which somebody talks; a bare
/// loop of absolute sleeps to the same deadlines, which is the limit; tokio's interval; and a loop that sleeps
/// for the remainder of each tick. Without options it takes a minute and a quarter: 18 s of ticks for each.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon bench pacing
  antiphon bench pacing --busy 2 --class fifo --plot pacing.svg
  antiphon bench pacing --only shard --ticks 100000     # drift: 33 minutes in one piece

Exit codes: 0 measured, 2 it cannot be measured.")]
pub(super) struct PacingArgs {
    /// Ticks of each loop, over all repetitions: 10 to 10000000 [default: 18 s of them]
    #[arg(long, value_name = "N")]
    ticks: Option<u64>,
    /// The length of a tick in milliseconds: a multiple of 20 from 20 to 1000
    #[arg(long, value_name = "MS", default_value_t = 20)]
    len: u32,
    /// Sessions, in each of which a participant talks all the time: 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 1)]
    sessions: usize,
    /// Threads of the ordinary class that compute all the time, to see what a busy machine does: 0 to 256
    #[arg(long, value_name = "N", default_value_t = 0)]
    busy: usize,
    /// The scheduling class of the loops
    #[arg(long, value_enum, default_value_t = ClassName::Normal)]
    class: ClassName,
    /// This loop alone, in one piece instead of repetitions; the spread is that of its five fifths
    #[arg(long, value_enum, value_name = "LOOP")]
    only: Option<Contender>,
    /// An object instead of text
    #[arg(long)]
    json: bool,
    /// Draws the wake lateness of each loop
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ClassName {
    /// The ordinary class
    Normal,
    /// The real-time class, SCHED_FIFO
    Fifo,
}

impl ClassName {
    const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Fifo => "fifo",
        }
    }
}

/// What is measured, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) len: TickLen,
    /// Ticks of each contender, those to warm up left out.
    pub(super) ticks: u64,
    pub(super) sessions: usize,
    pub(super) busy: usize,
    pub(super) class: &'static str,
    pub(super) cores: usize,
    pub(super) only: Option<Contender>,
}

pub(super) fn pacing(args: &PacingArgs) -> Result<ExitCode, Failure> {
    let setting = args.setting()?;
    if args.class == ClassName::Fifo {
        permitted()?;
    }
    let plot = args.plot.as_ref().map(|path| open(path)).transpose()?;
    let runs = measure(&setting, args.class)?;
    let figures = figures(&runs);
    if let Some((mut file, shown)) = plot {
        let svg = plot::svg(&setting, &figures);
        let written = file.set_len(0).and_then(|()| file.write_all(svg.as_bytes()));
        written.map_err(|why| Failure::broken(format!("{shown}: cannot be written: {why}")))?;
    }
    if args.json {
        line(object(&setting, &figures));
    } else {
        line(table::text(&setting, &figures).trim_end());
    }
    for figures in figures.iter().filter(|figures| figures.demotions > 0) {
        eprintln!(
            "{}: demoted from the real-time class {} times: it took nearly all of a core",
            figures.contender.name(),
            figures.demotions
        );
    }
    Ok(ExitCode::SUCCESS)
}

impl PacingArgs {
    /// What the arguments say, or all that is wrong with them.
    fn setting(&self) -> Result<Setting, Failure> {
        let Self { ticks, len, sessions, busy, .. } = *self;
        let mut wrong = Vec::new();
        let tick_len = TickLen::from_ms(len);
        if tick_len.is_none() {
            wrong.push(format!("--len {len}: a tick is a multiple of 20 ms, from 20 to 1000"));
        }
        if ticks.is_some_and(|ticks| !TICKS.contains(&ticks)) {
            let ticks = ticks.unwrap_or_default();
            wrong.push(format!("--ticks {ticks}: from {} to {}", TICKS.start(), TICKS.end()));
        }
        if !SESSIONS.contains(&sessions) {
            let (min, max) = (SESSIONS.start(), SESSIONS.end());
            wrong.push(format!("--sessions {sessions}: from {min} to {max}"));
        }
        if !BUSY.contains(&busy) {
            wrong.push(format!("--busy {busy}: from {} to {}", BUSY.start(), BUSY.end()));
        }
        let Some(len) = tick_len.filter(|_| wrong.is_empty()) else {
            return Err(Failure::input(wrong.join("\n")));
        };
        let ticks = ticks.unwrap_or((DEFAULT_MS / u64::from(len.ms())).max(*TICKS.start()));
        Ok(Setting {
            len,
            ticks: ticks.div_ceil(REPETITIONS) * REPETITIONS,
            sessions,
            busy,
            class: self.class.name(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            only: self.only,
        })
    }
}

/// Whether the real-time class can be had, asked on a thread of its own.
fn permitted() -> Result<(), Failure> {
    let asked = std::thread::spawn(|| enlist().is_some()).join();
    if asked.unwrap_or(false) {
        return Ok(());
    }
    if !cfg!(target_os = "linux") {
        let remedy = "measure with --class normal";
        return Err(Failure::input(format!(
            "--class fifo: there is none on this system; {remedy}"
        )));
    }
    Err(Failure::input(format!(
        "--class fifo: the real-time class is not permitted to this process: the kernel refuses SCHED_FIFO at \
         priority {} or the watchdog's {}\nrun it as root, give it CAP_SYS_NICE, or raise the limit with \
         `ulimit -r {}`; or measure with --class normal",
        watchdog::PRIORITY,
        watchdog::WATCHDOG_PRIORITY,
        watchdog::WATCHDOG_PRIORITY
    )))
}

/// Opens the file of the plot; what was in it before goes when the figures are there.
fn open(path: &std::path::Path) -> Result<(File, String), Failure> {
    let shown = path.display().to_string();
    let file = File::options().write(true).create(true).truncate(false).open(path);
    let file = file.map_err(|why| {
        Failure::input(format!("{shown}: cannot be written: {why}; choose another place"))
    })?;
    Ok((file, shown))
}

// ---- The runs -------------------------------------------------------------------------------------

/// Runs all contenders, interleaved; the runs of each, in the order of the repetitions.
fn measure(
    setting: &Setting,
    class: ClassName,
) -> Result<Vec<(Contender, Vec<Recording>)>, Failure> {
    let class = match class {
        ClassName::Normal => Class::Normal,
        ClassName::Fifo => Class::RealTime,
    };
    let contenders = setting.only.map_or(Contender::ALL.to_vec(), |only| vec![only]);
    let (repetitions, parts) =
        if setting.only.is_some() { (1, REPETITIONS) } else { (REPETITIONS, 1) };
    let course = Course {
        ticks: setting.ticks / repetitions,
        len_ns: u64::from(setting.len.ms()) * 1_000_000,
        parts: parts as usize,
    };
    let talkers = Talkers::new(setting.len)?;
    let mut runs: Vec<(Contender, Vec<Recording>)> =
        contenders.iter().map(|contender| (*contender, Vec::new())).collect();
    let bar = progress(repetitions * contenders.len() as u64);
    let busy = Busy::start(setting.busy)?;
    for repetition in 0..repetitions as usize {
        for at in 0..runs.len() {
            let place = (repetition + at) % contenders.len();
            let (contender, of) = &mut runs[place];
            let slots = talkers.slots(setting.sessions, course.all());
            bar.set_message(contender.is());
            bar.tick();
            of.push(contender.run(course, class, slots)?);
            bar.inc(1);
        }
    }
    drop(busy);
    bar.finish_and_clear();
    Ok(runs)
}

/// Moves between runs only, and where nobody looks not at all.
fn progress(runs: u64) -> ProgressBar {
    let bar = ProgressBar::new(runs);
    let style = ProgressStyle::with_template("{pos}/{len} {wide_bar} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Threads of the ordinary class that compute.
pub(super) struct Busy {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    pub(super) fn start(count: usize) -> Result<Self, Failure> {
        let over = Arc::new(AtomicBool::new(false));
        let start = |_| {
            let over = Arc::clone(&over);
            std::thread::Builder::new().name("busy".to_owned()).spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    std::hint::black_box((0..1_000_u64).sum::<u64>());
                }
            })
        };
        let threads = (0..count).map(start).collect::<Result<_, _>>();
        let threads = threads.map_err(|why| Failure::broken(format!("no busy thread: {why}")))?;
        Ok(Self { over, threads })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

fn figures(runs: &[(Contender, Vec<Recording>)]) -> Vec<Figures> {
    let bare = runs.iter().find(|(contender, _)| *contender == Contender::Bare);
    let bare = bare.map_or(&[][..], |(_, runs)| runs);
    runs.iter().map(|(contender, runs)| Figures::new(*contender, runs, bare)).collect()
}

fn object(setting: &Setting, figures: &[Figures]) -> Value {
    let Setting { len, ticks, sessions, busy, class, cores, only } = setting;
    let contenders: Map<String, Value> = figures
        .iter()
        .map(|figures| (figures.contender.name().to_owned(), figures.to_json()))
        .collect();
    json!({
        "bench": "pacing",
        "len_ms": len.ms(),
        "ticks": ticks,
        "warm_up_ticks": WARM_UP,
        "repetitions": if only.is_some() { 1 } else { REPETITIONS },
        "parts": REPETITIONS,
        "sessions": sessions,
        "busy": busy,
        "class": class,
        "cores": cores,
        "contenders": contenders,
    })
}
