//! `antiphon report`: a call as one page to look at and listen to.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use super::failure::Failure;
use super::view::line;
use crate::record::recount::Recount;
use crate::record::report::{SECONDS_MAX, Sound, Story};
use crate::session::event::EventKind;

/// The longest sound that is put into a page with `--embed`: its page has some 60 MB.
const EMBED_SECONDS_MAX: u64 = 4 * 60 * 60;

/// Makes a page of a call, to look at and listen to.
///
/// The page is one file that needs no network: who was heard when, every hand-over and interruption with
/// its reason, the transcript to click on, latencies and lateness. A run has made it already; this is for
/// journals alone, for runs that were killed, and for long calls whose sound is to be in the page.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon report out/demo
  antiphon report call.antiphon --out report.html

Exit codes: 0 it was written, 2 the call cannot be read or the page not be written.")]
pub(super) struct ReportArgs {
    /// The folder of a run, or a journal.
    call: PathBuf,
    /// Where the page goes; by default report.html in the folder, or the journal's name with .html.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Put the sound into the page even if the call is longer than 15 minutes.
    #[arg(long)]
    embed: bool,
}

pub(super) fn report(args: &ReportArgs) -> Result<ExitCode, Failure> {
    let recount = Recount::open(&args.call).map_err(|error| Failure::input(error.to_string()))?;
    for lack in &recount.lacks {
        eprintln!("{lack}");
    }
    let out = args.out.clone().unwrap_or_else(|| {
        if args.call.is_dir() {
            args.call.join("report.html")
        } else {
            args.call.with_extension("html")
        }
    });
    // A slip of the keyboard must not cost somebody's notes.
    let is_page = |bytes: Vec<u8>| bytes.is_empty() || bytes.starts_with(b"<!");
    if fs::read(&out).is_ok_and(|bytes| !is_page(bytes)) {
        return Err(Failure::input(format!(
            "{}: it is there and no page; name another file with --out",
            out.display()
        )));
    }
    let recording = args.call.join("conversation.wav");
    let is_beside = recording.is_file() && out.parent() == Some(&args.call);
    let seconds_max = if args.embed || !is_beside { EMBED_SECONDS_MAX } else { SECONDS_MAX };

    let mut story = Story::new(Arc::clone(&recount.plan));
    if let Some(header) = &recount.header {
        story.seeded(header.seed);
        if let Some(started) = header.started_ms {
            story.live_since(started);
        }
    }
    if let Some(diverged) = recount.diverged {
        story.diverge(diverged);
    }
    let (mut end, mut next) = ("stopped", crate::clock::Tick(0));
    // Without a recording, the sound is what comes of stepping the journal.
    let samples_max = seconds_max * u64::from(recount.plan.rate.hz()) * 2;
    let mut stereo: Vec<i16> = Vec::new();
    let listens = !recording.is_file();
    let told = recount.tell(|now, out, timing| {
        story.tick(now, out, timing);
        if out.events.iter().any(|event| matches!(event.kind, EventKind::SessionEnded { .. })) {
            end = "ended";
        }
        let gap = now.since(next) as usize * recount.plan.samples() * 2;
        next = now.after(1);
        if listens && !out.audio.is_empty() && (stereo.len() + gap) as u64 <= samples_max {
            stereo.resize(stereo.len() + gap, 0);
            stereo
                .extend(out.heard.iter().zip(&out.audio).flat_map(|(&heard, &said)| [heard, said]));
        }
    });
    // What was told up to there is shown.
    if let Err(error) = told {
        eprintln!("{}: told up to here: {error}", args.call.display());
    }
    let report = story.finish(end);
    let sound = if !listens {
        Sound::of_file(&recording, seconds_max)
    } else if stereo.is_empty() {
        Sound::None { why: "The journal holds no sound.".to_owned() }
    } else {
        Sound::of_samples(recount.plan.rate, &stereo)
            .map_err(|error| Failure::broken(format!("the sound cannot be coded: {error}")))?
    };
    fs::write(&out, report.html(&sound)).map_err(|error| {
        Failure::input(format!("{}: cannot be written: {error}; name another file", out.display()))
    })?;
    line(out.display());
    Ok(ExitCode::SUCCESS)
}
