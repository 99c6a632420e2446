//! `antiphon journal`: what is in a journal, whether it is whole, and a copy without what was said.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::failure::Failure;
use super::replay::replayed;
use super::view::{line, plain};
use crate::clock::Tick;
use crate::journal::{Journal, MAGIC, Mode, Sizes, Tail, redact};
use crate::record::recount;
use crate::record::stamp::rfc3339;
use crate::session::event::EventKind;
use crate::sim::player::plan_of;
use crate::sim::replay::Replayed;

/// Looks into journals.
///
/// A journal is everything that came from outside during a call, tick by tick, with a digest each.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon journal info out/demo/journal.antiphon
  antiphon journal verify out/demo/journal.antiphon
  antiphon journal redact out/demo/journal.antiphon --out redacted.antiphon")]
pub(super) struct JournalArgs {
    #[command(subcommand)]
    pub(super) command: JournalCommand,
}

// Each command is described where its arguments are: a comment here would hide that.
#[derive(Debug, Subcommand)]
pub(super) enum JournalCommand {
    Info(InfoArgs),
    Verify(VerifyArgs),
    Redact(RedactArgs),
}

/// Says what is in a journal.
///
/// What wrote it and when, how long the call was and how it ended, who took part, and what takes how
/// many bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon journal info out/demo/journal.antiphon
  antiphon journal info out/demo/journal.antiphon --json

Exit codes: 0 it was read, 2 it is damaged or unreadable.")]
pub(super) struct InfoArgs {
    /// The journal.
    file: PathBuf,
    /// Prints an object instead of text.
    #[arg(long)]
    json: bool,
}

/// Checks that a journal is whole and right.
///
/// Every checksum is compared and, where this build can step it, every digest. A last entry that is
/// incomplete is what a killed program leaves, and no fault.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon journal verify out/demo/journal.antiphon

Exit codes: 0 it is right, 1 a tick differs, 2 it is damaged or unreadable, 3 its checksums are right
and another build wrote it.")]
pub(super) struct VerifyArgs {
    /// The journal.
    file: PathBuf,
    /// Prints an object instead of text.
    #[arg(long)]
    json: bool,
}

/// Writes a copy of a journal without audio and text.
///
/// Gone: audio, what was said and typed, names of participants, arguments and values of tools, digests.
/// Left: ticks, who spoke when, intents, tools by name and how their calls ended, hand-overs, and the
/// configuration with its texts.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon journal redact out/demo/journal.antiphon --out redacted.antiphon

Exit codes: 0 the copy was written, 2 the journal cannot be read or the copy not be written.")]
pub(super) struct RedactArgs {
    /// The journal.
    file: PathBuf,
    /// Where the copy goes; by default the journal's name with .redacted before its ending.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The exit codes of `verify`.
const DIVERGED: u8 = 1;
const INCOMPATIBLE: u8 = 3;

pub(super) fn journal(command: &JournalCommand) -> Result<ExitCode, Failure> {
    match command {
        JournalCommand::Info(args) => info(args),
        JournalCommand::Verify(args) => verify(args),
        JournalCommand::Redact(args) => redacted(args),
    }
}

fn read(file: &Path) -> Result<Journal, Failure> {
    recount::journal(file).map_err(|error| Failure::input(error.to_string()))
}

fn info(args: &InfoArgs) -> Result<ExitCode, Failure> {
    let journal = read(&args.file)?;
    let shown = args.file.display();
    let plan = plan_of(&journal).map_err(|error| Failure::input(format!("{shown}: {error}")))?;
    let header = &journal.header;
    let ends = journal.ticks.last().map_or(Tick(0), |entry| entry.input.tick.after(1));
    let ms = plan.len.start_ms(ends);
    let events: usize = journal.ticks.iter().map(|entry| entry.outcomes.events.len()).sum();
    let participants: Vec<String> = journal
        .ticks
        .iter()
        .flat_map(|entry| &entry.outcomes.events)
        .filter_map(|event| match &event.kind {
            EventKind::UserJoined { lane, name } if name.is_empty() => Some(lane.to_string()),
            EventKind::UserJoined { name, .. } => Some(plain(name)),
            _ => None,
        })
        .collect();
    let end =
        journal.ticks.iter().flat_map(|entry| &entry.outcomes.events).find_map(
            |event| match &event.kind {
                EventKind::SessionEnded { reason } => Some(plain(&reason.to_string())),
                _ => None,
            },
        );
    let started = header.started_ms.map(|ms| String::from_utf8_lossy(&rfc3339(ms)).into_owned());
    let torn = match journal.tail {
        Tail::Whole => None,
        Tail::Torn { at } => Some(at),
    };
    let Sizes { speech, speech_unpacked, packets, samples, ticks, file } = journal.sizes;
    let a_minute = if ms == 0 { 0.0 } else { file as f64 * 60_000.0 / ms as f64 };
    if args.json {
        line(json!({
            "mode": header.mode, "name": plan.config.name, "build": header.build, "codec": header.codec,
            "seed": header.seed, "virtual_time": header.virtual_time, "started": started,
            "ticks": journal.ticks.len(), "tick_ms": plan.len.ms(), "ms": ms, "events": events,
            "participants": participants, "end": end, "torn_at": torn,
            "fork": header.fork.as_ref().map(|fork| json!({ "of": fork.of, "at": fork.at, "diverged": journal.diverged })),
            "bytes": { "file": file, "ticks": ticks, "packets": packets, "samples": samples,
                       "speech": speech, "speech_unpacked": speech_unpacked },
            "bytes_a_minute": a_minute.round(),
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![
        ("journal", format!("{} of `{}`, seed {}", header.mode, plan.config.name, header.seed)),
        ("written by", format!("{}, audio {}", header.build, header.codec)),
        ("time", started.map_or_else(|| "virtual".to_owned(), |at| format!("real, from {at}"))),
        (
            "length",
            format!(
                "{:.2} s, {} entries of {} ms ticks, {events} events",
                ms as f64 / 1_000.0,
                journal.ticks.len(),
                plan.len.ms()
            ),
        ),
        ("participants", participants.join(", ")),
        ("end", end.unwrap_or_else(|| "the session had not ended".to_owned())),
    ];
    if let Some(fork) = &header.fork {
        let diverged = match journal.diverged {
            Some(tick) => format!("counterfactual from tick {tick} on"),
            None => "which it equals".to_owned(),
        };
        rows.push(("fork", format!("of {} at tick {}, {diverged}", fork.of, fork.at)));
    }
    rows.push((
        "bytes",
        format!(
            "{file}: {:.0} kB a minute; packets {packets}, samples {samples}, agents' audio {speech} (unpacked \
             {speech_unpacked}), rest {}",
            a_minute / 1e3,
            file.saturating_sub(speech + packets + samples),
        ),
    ));
    if let Some(at) = torn {
        rows.push(("tail", format!("torn: the last entry is incomplete, from byte {at}")));
    }
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        line(format_args!("{name:<13}{value}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let journal = read(&args.file)?;
    let shown = args.file.display();
    let torn = match journal.tail {
        Tail::Whole => String::new(),
        Tail::Torn { at } => format!(
            "; its last entry is incomplete (from byte {at}), as a killed program leaves it"
        ),
    };
    let entries = journal.ticks.len();
    let (code, result, text) = if journal.header.mode == Mode::Full {
        match replayed(&journal).map_err(|error| Failure::input(format!("{shown}: {error}")))? {
            Replayed::Equal { ticks } => {
                (0, "right", format!("right: {ticks} ticks, every checksum and digest{torn}"))
            }
            Replayed::Diverged(divergence) => (
                DIVERGED,
                "diverged",
                format!("every checksum is right, but tick {} is not as recorded", divergence.tick),
            ),
            Replayed::Incompatible { build } => (
                INCOMPATIBLE,
                "incompatible",
                format!(
                    "{entries} ticks, every checksum is right{torn}; `{build}` wrote it, so that digests cannot be compared"
                ),
            ),
        }
    } else {
        let mode = journal.header.mode;
        let text = format!(
            "right: {entries} entries, every checksum; it is {mode}, without inputs to step{torn}"
        );
        (0, "right", text)
    };
    if args.json {
        let tail = if torn.is_empty() { "whole" } else { "torn" };
        line(
            json!({ "result": result, "entries": entries, "mode": journal.header.mode, "tail": tail }),
        );
    } else {
        line(format_args!("{shown}: {text}"));
    }
    Ok(ExitCode::from(code))
}

fn redacted(args: &RedactArgs) -> Result<ExitCode, Failure> {
    let journal = read(&args.file)?;
    let out = args.out.clone().unwrap_or_else(|| {
        let ending = args.file.extension().unwrap_or_default().to_string_lossy().into_owned();
        args.file.with_extension(format!("redacted.{ending}"))
    });
    let same = out.canonicalize().ok().zip(args.file.canonicalize().ok());
    if same.is_some_and(|(a, b)| a == b) {
        return Err(Failure::input(format!(
            "{}: the copy would be written over the journal; name another file with --out",
            out.display()
        )));
    }
    // A slip of the keyboard must not cost somebody's configuration.
    let is_foreign = fs::read(&out).is_ok_and(|bytes| !bytes.starts_with(MAGIC));
    if is_foreign {
        return Err(Failure::input(format!(
            "{}: it is there and no journal; name another file with --out",
            out.display()
        )));
    }
    let bytes = redact(&journal);
    write_whole(&out, &bytes)?;
    line(format_args!(
        "{}: {} bytes of {}: no audio, no text; the configuration is still in it",
        out.display(),
        bytes.len(),
        journal.sizes.file
    ));
    Ok(ExitCode::SUCCESS)
}

/// Writes a file whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    fs::write(&part, bytes).and_then(|()| fs::rename(&part, path)).map_err(|error| {
        fs::remove_file(&part).ok();
        Failure::input(format!("{}: cannot be written: {error}; name another file", path.display()))
    })
}
