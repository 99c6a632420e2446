//! `antiphon console`: a talk with the agent at this machine.
//!
//! ```text
//! keys, lines ─▶ Desk ─┐                       ┌─▶ Screen (drawn by this thread)
//! microphone  ─▶ Sound ┴▶ the session's shard ─┴─▶ lines, where there is no terminal
//! ```
//!
//! **Invariant:** without `--record` nothing is written anywhere; the thread of the ticks never waits for the terminal.

#[cfg_attr(not(feature = "device"), path = "no_audio.rs")]
mod audio;
mod desk;
mod screen;
mod show;
mod stray;
mod terminal;

use std::io::{BufRead, IsTerminal, Read, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::args::seed;
use super::call::{Ending, deaf};
use super::engines::Engines;
use super::failure::Failure;
use super::journalled;
use super::live::{Company, INTERRUPTED, Live, Setting, session_name};
use super::load;
use super::metrics::{Metering, MetricsArgs};
use super::outside;
use super::view::{View, complain, line, plain};
use crate::config::{Config, RecogniserEngine, SynthesiserEngine};
use crate::host::notice::Notice;
use crate::slot::Edge;
use crate::tool::Registry;
use desk::{Desk, Lines, Wishes};

/// Talks with your agent on this machine.
///
/// In a terminal it shows who has the floor, what is said as it is said, and tools as they are
/// called; keys type, interrupt, mute and end the call, and `?` shows them. Elsewhere it prints
/// lines, as `antiphon run` does. Nothing is written anywhere unless `--record` says where.
///
/// With `--text` nothing is heard or spoken: what you type is understood, and what the agent says is
/// written, so that no microphone and no speech engine is needed. Lines from a file or a pipe are
/// said one by one, each when the agent is done with the one before; their end is the end of the
/// call.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon console configs/demo.yaml
  antiphon console configs/demo.yaml --text
  antiphon console config.yaml --text --record out/call --seed 7 < questions.txt

Exit codes: 0 the call ended, 1 it went wrong, 2 it could not begin, 130 it was interrupted.")]
pub(super) struct ConsoleArgs {
    /// The configuration, a YAML file.
    config: PathBuf,
    /// Types and reads instead of speaking and hearing.
    #[arg(long)]
    text: bool,
    /// Leaves the output folder of a run here, with the journal.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// The conversation to hold, of those in the configuration.
    #[arg(long, value_name = "NAME")]
    conversation: Option<String>,
    /// The seed, instead of the configuration's.
    #[arg(long, value_name = "N", value_parser = seed, allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Prints an object per event instead of a screen or lines.
    #[arg(long)]
    json: bool,
    /// What is done about the agent's own voice in the microphone.
    #[cfg(feature = "device")]
    #[arg(long, value_name = "HOW", value_enum, default_value_t = audio::EchoArg::Cancel)]
    echo: audio::EchoArg,
    #[cfg(feature = "device")]
    #[command(flatten)]
    devices: super::devices::ChoiceArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
}

/// The longest line that is taken whole, in bytes; a longer one is taken in parts.
const LINE_MAX: u64 = 64 << 10;

/// Lines that are read ahead at most.
const LINES_AHEAD: usize = 64;

/// The longest name of who sits here, in characters.
const NAME_MAX: usize = 32;

/// What is heard and spoken at this machine.
pub(super) struct Sound {
    /// The edges of its devices, on the [lane](desk::LANE) of who sits here; they tell of the track.
    pub(super) edges: Vec<Box<dyn Edge>>,
    /// What is to be known of them, as it happens.
    pub(super) notices: Receiver<Notice>,
    /// The microphone and the loudspeaker, if there are any.
    pub(super) devices: Option<Box<dyn Devices>>,
}

/// Sound devices, which are open as long as this is held.
pub(super) trait Devices {
    /// Lets nothing of the microphone be passed on, or everything. The session is told by the desk.
    fn mute(&self, muted: bool);

    /// What they measure, for the last line of the screen; asked thirty times a second.
    fn glance(&self) -> String;

    /// How they were, in lines for the end of a call.
    fn told(&self) -> Vec<String>;

    /// The same as values.
    fn figures(&self) -> serde_json::Value;
}

impl Sound {
    /// No sound.
    fn none() -> Self {
        Self { edges: Vec::new(), notices: crossbeam_channel::never(), devices: None }
    }
}

pub(super) fn console(args: &ConsoleArgs, tools: Registry) -> Result<ExitCode, Failure> {
    let mut warn = |text: String| eprintln!("{text}");
    let mut config = load::conversation(&args.config, args.conversation.as_deref())?;
    if args.text {
        written(&mut config);
    }
    let reached = outside::reach(config, tools, &mut warn);
    let (config, tools, outside) = reached.map_err(|failure| failure.about(&args.config))?;
    let (plan, tools) = load::plan(config, tools).map_err(|failure| failure.about(&args.config))?;
    if !args.text {
        deaf(&plan).into_iter().for_each(&mut warn);
    }
    let engines = Engines::new(&plan, &mut warn)?;
    let mut sound = if args.text { Sound::none() } else { audio::audio(&plan, args)? };
    let seed = args.seed.unwrap_or(plan.config.seed);
    let metering = args.metrics.start()?;
    let files = args.record.as_deref().map(|out| {
        let about = journalled::About {
            plan: &plan,
            out,
            named: None,
            seed,
            virtual_time: false,
            opus: false,
            shared: false,
        };
        journalled::open(&about)
    });
    let files = files.transpose()?;
    let (desk, wishes) = Desk::new(sitter(), plan.len);
    let on_screen = !args.json && has_screen();
    let (desk, lines) = if on_screen { (desk, None) } else { read_along(desk, args.text)? };
    let interrupted = close_on_interrupt(&wishes);
    let mut edges: Vec<Box<dyn Edge>> = vec![Box::new(desk)];
    edges.append(&mut sound.edges);
    let company = Company {
        edges,
        session: session_name(outside.is_some()),
        calls: None,
        warnings: crossbeam_channel::never(),
    };
    let meter = metering.as_ref().map(Metering::session);
    let setting = Setting { plan: Arc::clone(&plan), tools, outside, seed, meter };
    // Without a screen, nobody looks at meters.
    let beat_ticks = if on_screen { 1 } else { plan.len.ticks_min_one(1_000) };
    let mut live = Live::begin(setting, company, engines, files, beat_ticks)?;
    let mut view = View::lines(&plan, args.json);
    let mut shown = Ok(());
    if on_screen {
        let color = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        shown = show::screen(&mut live, &plan, &sound, &wishes, color);
    } else {
        live.remark().into_iter().for_each(|remark| view.warn(remark));
        show::lines(&mut live, &mut view, &sound);
    }
    let held = live.put_away()?;
    if let Some(devices) = &sound.devices {
        if args.json {
            line(devices.figures());
        } else {
            devices.told().into_iter().for_each(line);
        }
    }
    let unsaid = lines.map_or(0, |lines| lines.len());
    if unsaid > 0 {
        complain(format_args!("the call was over before {unsaid} more lines were said"));
    }
    let ending = Ending { json: args.json, out: args.record.clone(), metering };
    let code = ending.tell(&view, held)?;
    if let Err(error) = shown {
        let remedy = "TERM=dumb prints lines instead";
        return Err(Failure::broken(format!("the screen could not be drawn: {error}; {remedy}")));
    }
    if code == ExitCode::SUCCESS && interrupted.load(Ordering::Relaxed) {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(code)
}

/// Nothing is heard or spoken: what is typed is understood, and what is said is written at once.
fn written(config: &mut Config) {
    let speech = &mut config.speech;
    speech.recogniser.engine = RecogniserEngine::None;
    (speech.recogniser.model, speech.recogniser.language) = (None, None);
    speech.synthesiser.engine = SynthesiserEngine::None;
    speech.synthesiser.model = None;
}

/// The name of who sits here, as the system knows it.
fn sitter() -> String {
    let named =
        ["USER", "LOGNAME", "USERNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let named = named.map(|name| plain(&name).trim().chars().take(NAME_MAX).collect::<String>());
    named.into_iter().find(|name| !name.is_empty()).unwrap_or_else(|| "you".to_owned())
}

/// Whether there is a terminal that a screen can be drawn on, and keys come from.
fn has_screen() -> bool {
    let term = std::env::var_os("TERM");
    let is_dumb = term.map_or(cfg!(unix), |term| term.is_empty() || term == "dumb");
    stdin().is_terminal() && stdout().is_terminal() && !is_dumb
}

/// Lets the one who sits here say the lines of the standard input. What comes from a terminal is said at once; whatever
/// else, when the agent is done with the line before.
fn read_along(desk: Desk, text: bool) -> Result<(Desk, Option<Receiver<String>>), Failure> {
    let (tell, lines) = bounded(LINES_AHEAD);
    let reading = std::thread::Builder::new().name("typed lines".to_owned());
    reading
        .spawn(move || read_lines(stdin().lock(), &tell))
        .map_err(|error| Failure::broken(format!("no thread to read lines: {error}")))?;
    let rest = lines.clone();
    // Without a microphone there is nothing more to come.
    let lines = Lines { lines, in_turn: !stdin().is_terminal(), end_call: text };
    Ok((desk.reads(lines), Some(rest)))
}

fn read_lines(mut input: impl BufRead, tell: &Sender<String>) {
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match input.by_ref().take(LINE_MAX).read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned();
        if tell.send(line).is_err() {
            return;
        }
    }
}

/// The first signal ends the call as a key does, with a goodbye and its files complete; the second at once, and the third
/// ends the program.
fn close_on_interrupt(wishes: &Wishes) -> Arc<AtomicBool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let (wishes, noted) = (wishes.clone(), Arc::clone(&interrupted));
    let mut signals = 0;
    let handler = move || {
        noted.store(true, Ordering::Relaxed);
        signals += 1;
        // Signals alone count: a terminal that is gone has asked for the end already, and then sends one or two.
        if signals > 2 {
            terminal::give_back();
            #[expect(clippy::exit, reason = "it was asked for three times")]
            std::process::exit(i32::from(INTERRUPTED));
        }
        wishes.quit();
    };
    // Where it cannot be set, an interrupt ends the program at once; the journal is kept all the same.
    drop(ctrlc::set_handler(handler));
    interrupted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_whole_without_their_ends() {
        let (tell, lines) = bounded(8);
        read_lines(&b"one\r\n\ntw\xffo\nlast"[..], &tell);
        drop(tell);
        assert_eq!(lines.iter().collect::<Vec<_>>(), ["one", "", "tw\u{fffd}o", "last"]);
        let (tell, lines) = bounded(8);
        let long = vec![b'a'; LINE_MAX as usize + 3];
        read_lines(&long[..], &tell);
        drop(tell);
        assert_eq!(lines.iter().map(|line| line.len()).collect::<Vec<_>>(), [LINE_MAX as usize, 3]);
    }
}
