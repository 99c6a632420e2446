//! The folder: files that are opened at the start, written tick by tick, and closed at the end.
//!
//! **Invariant:** a run never fails because its record does. Either the folder is there from the start,
//! or [`Folder::create`] says why it is not and leaves nothing behind; after that, what cannot be
//! written is counted and told at the end.

use std::fmt::{self, Display};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::metrics::Metrics;
use super::report::{SECONDS_MAX, Sound, Story};
use super::ticks::{COUNTERFACTUAL, TickLines, number};
use super::{Overrun, Timing};
use crate::clock::Tick;
use crate::host::pace::wall_ms;
use crate::pcm::wav_writer::WavWriter;
use crate::session::output::Output;
use crate::session::plan::Plan;

/// Bytes held before they are written. A second is 192 KB at most: 48 kHz in stereo.
const BUFFER: usize = 256 << 10;

/// The longest gap of ticks that becomes silence of the recording: beyond a minute it was no call but
/// a computer asleep.
const SILENCE_MS_MAX: u32 = 60_000;

/// Files that are written as the call goes on, in the order of [`Folder`]'s fields.
const RUNNING: [&str; 4] = ["conversation.wav", "events.jsonl", "ticks.jsonl", "timing.jsonl"];

/// What the call ran on: there from the start.
const CONFIG: &str = super::written::CONFIG;

const TRANSCRIPT: &str = "transcript.json";
const METRICS: &str = "metrics.json";
const REPORT: &str = "report.html";

/// Files that are there at the end.
const FINAL: [&str; 3] = [TRANSCRIPT, METRICS, REPORT];

/// Why there is no folder: what is wrong, where, and what to do.
#[derive(Debug)]
pub struct FolderError {
    path: PathBuf,
    cause: io::Error,
}

impl Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = &self.cause;
        let (what, remedy) = match cause.kind() {
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
                ("a file stands where a folder is needed".into(), "name another folder")
            }
            ErrorKind::IsADirectory => (
                "a folder stands where the file would be".into(),
                "remove it or name another folder",
            ),
            ErrorKind::PermissionDenied => {
                ("there is no permission to write".into(), "name a folder that you may write to")
            }
            ErrorKind::ReadOnlyFilesystem => {
                ("the file system is read-only".into(), "name a folder on another one")
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                ("the disk is full".into(), "free some space or name a folder on another disk")
            }
            _ => (cause.to_string(), "check the path of the folder"),
        };
        write!(f, "the call cannot be recorded at {}: {what}; {remedy}", self.path.display())
    }
}

impl std::error::Error for FolderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// The record of a run.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    plan: Arc<Plan>,
    virtual_time: bool,
    wav: Wav,
    events: Lines,
    ticks: Lines,
    timing: Lines,
    tick_lines: TickLines,
    line: Vec<u8>,
    story: Story,
    /// The first tick that goes another way than the recording it was forked from.
    diverged: Option<Tick>,
    /// Ticks until the lines are flushed.
    flush_in: u64,
    /// Why there will be no page.
    report_left_out: Option<String>,
}

impl Folder {
    /// Begins the record of a run in a folder, which is made if need be. Files of an earlier run there
    /// are overwritten.
    ///
    /// # Errors
    /// The folder or one of its files cannot be written; then nothing was made or changed.
    pub fn create(dir: &Path, plan: Arc<Plan>, virtual_time: bool) -> Result<Self, FolderError> {
        let mut made = Made::default();
        let files = match made.open(dir) {
            Ok(files) => files,
            Err(error) => {
                made.undo();
                return Err(error);
            }
        };
        if let Some(trouble) = put_json(dir, CONFIG, &plan.config) {
            let cause = io::Error::other(trouble);
            return Err(FolderError { path: dir.join(CONFIG), cause });
        }
        let [wav, events, ticks, timing] = files.map(|file| BufWriter::with_capacity(BUFFER, file));
        let wav = WavWriter::new(wav, plan.rate.hz(), 2)
            .map_err(|cause| FolderError { path: dir.join(RUNNING[0]), cause })?;
        let mut story = Story::new(Arc::clone(&plan));
        if !virtual_time {
            story.live_since(wall_ms());
        }
        Ok(Self {
            dir: dir.to_owned(),
            wav: Wav::new(wav),
            events: Lines::new(RUNNING[1], events),
            ticks: Lines::new(RUNNING[2], ticks),
            timing: Lines::new(RUNNING[3], timing),
            tick_lines: TickLines::new(&plan),
            line: Vec::with_capacity(1_024),
            story,
            diverged: None,
            flush_in: plan.len.ticks_min_one(1_000),
            report_left_out: None,
            plan,
            virtual_time,
        })
    }

    /// The session has this seed, and not that of the configuration: the report says so.
    pub const fn seeded(&mut self, seed: u64) {
        self.story.seeded(seed);
    }

    /// The call began at this wall time, and not now.
    pub const fn live_since(&mut self, unix_ms: u64) {
        self.story.live_since(unix_ms);
    }

    /// From this tick on, the call goes another way than the recording that it was forked from: every
    /// file says so. To be called before the tick is taken.
    pub const fn diverge(&mut self, from: Tick) {
        self.diverged = Some(from);
        self.story.diverge(from);
    }

    /// Takes what came of one tick. What cannot be written is remembered for [`Folder::finish`].
    pub fn tick(&mut self, now: Tick, out: &Output, timing: Timing) {
        let counterfactual = self.diverged.is_some_and(|from| now >= from);
        self.wav.tick(&self.plan, now, out, counterfactual);
        self.story.tick(now, out, timing);
        for event in &out.events {
            self.line.clear();
            let mut json = event.to_json(self.plan.len);
            if counterfactual {
                json["counterfactual"] = true.into();
            }
            let written = serde_json::to_writer(&mut self.line, &json);
            debug_assert!(written.is_ok(), "an event has a JSON form, and memory takes it");
            self.line.push(b'\n');
            self.events.write(now, &self.line);
        }
        let wall_ns = (!self.virtual_time).then_some(timing.step_ns);
        let turns = self.story.turns();
        self.ticks.write(now, self.tick_lines.line(now, out, turns, wall_ns, counterfactual));
        self.line.clear();
        put_timing(&mut self.line, now, timing, self.virtual_time, counterfactual);
        self.timing.write(now, &self.line);
        self.flush_in -= 1;
        if self.flush_in == 0 {
            self.flush_in = self.plan.len.ticks_min_one(1_000);
            for lines in [&mut self.events, &mut self.ticks, &mut self.timing] {
                lines.flush(now);
            }
        }
    }

    /// Notes an inline call that took longer than its budget.
    pub fn overrun(&mut self, overrun: Overrun) {
        let Overrun { tool, took_us, budget_us } = overrun;
        let json = serde_json::json!({ "tool": tool, "took_us": took_us, "budget_us": budget_us });
        self.timing.write(self.wav.next, format!("{json}\n").as_bytes());
        self.story.overrun(&tool);
    }

    /// Notes that so many ticks are not in the journal.
    pub const fn journal_lost(&mut self, ticks: u64) {
        self.story.journal_lost(ticks);
    }

    /// Leaves the report out, for this reason, which the metrics tell. It takes longer to make than all other files
    /// together, and can be made from them.
    pub fn without_report(&mut self, why: &str) {
        self.report_left_out = Some(why.to_owned());
    }

    /// Closes the files of a call that ended for this reason. Returns its metrics, and what could not
    /// be written, in sentences.
    pub fn finish(self, end: &str) -> (Metrics, Vec<String>) {
        let report = self.story.finish(end);
        let now = self.wav.next;
        let mut troubles = Vec::new();
        troubles.extend(self.wav.finish(now));
        for lines in [self.events, self.ticks, self.timing] {
            troubles.extend(lines.finish(now));
        }
        troubles.extend(put_json(&self.dir, TRANSCRIPT, &report.transcript()));
        let report_left_out = self.report_left_out;
        let metrics = Metrics { report_left_out, ..report.metrics().clone() };
        troubles.extend(put_json(&self.dir, METRICS, &metrics));
        if metrics.report_left_out.is_none() {
            let sound = Sound::of_file(&self.dir.join(RUNNING[0]), SECONDS_MAX);
            troubles.extend(put(&self.dir, REPORT, &report.html(&sound)));
        }
        (metrics, troubles)
    }

    pub(super) const fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }
}

/// Microseconds are told to the nanosecond: a step takes only a few.
fn put_timing(
    line: &mut Vec<u8>,
    now: Tick,
    timing: Timing,
    virtual_time: bool,
    counterfactual: bool,
) {
    let us = |line: &mut Vec<u8>, ns: u64| {
        number(line, ns / 1_000);
        let rest = ns % 1_000;
        line.extend([
            b'.',
            b'0' + (rest / 100) as u8,
            b'0' + (rest / 10 % 10) as u8,
            b'0' + (rest % 10) as u8,
        ]);
    };
    line.extend_from_slice(b"{\"tick\":");
    number(line, now.0);
    if !virtual_time {
        line.extend_from_slice(b",\"lateness_us\":");
        match timing.lateness_ns {
            Some(ns) => us(line, ns),
            None => line.extend_from_slice(b"null"),
        }
    }
    line.extend_from_slice(b",\"step_us\":");
    us(line, timing.step_ns);
    if !virtual_time {
        line.extend_from_slice(b",\"skipped\":");
        number(line, u64::from(timing.skipped));
    }
    line.extend_from_slice(if counterfactual { COUNTERFACTUAL } else { b"" });
    line.extend_from_slice(b"}\n");
}

fn put_json(dir: &Path, name: &str, value: &impl serde::Serialize) -> Option<String> {
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    debug_assert!(!text.is_empty(), "what is known of a call has a JSON form");
    text.push(b'\n');
    put(dir, name, &text)
}

fn put(dir: &Path, name: &str, bytes: &[u8]) -> Option<String> {
    let written = fs::write(dir.join(name), bytes);
    written.err().map(|error| format!("{name} was not written: {error}"))
}

/// What was made for a folder, so that it can be taken back.
#[derive(Debug, Default)]
struct Made {
    dirs: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Made {
    /// Opens the running files, and empties them only when all are open.
    fn open(&mut self, dir: &Path) -> Result<[File; 4], FolderError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |cause| FolderError { path, cause }
        };
        let missing =
            dir.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
        self.dirs = missing.map(Path::to_owned).collect();
        fs::create_dir_all(dir).map_err(at(dir))?;
        for name in [CONFIG].into_iter().chain(FINAL) {
            // They come later: whether they can is asked now.
            self.file(dir.join(name)).map(drop)?;
        }
        let [wav, events, ticks, timing] = RUNNING.map(|name| self.file(dir.join(name)));
        let files = [wav?, events?, ticks?, timing?];
        for (file, name) in files.iter().zip(RUNNING) {
            file.set_len(0).map_err(at(&dir.join(name)))?;
        }
        for name in [CONFIG].into_iter().chain(FINAL) {
            let path = dir.join(name);
            fs::remove_file(&path).map_err(at(&path))?;
        }
        Ok(files)
    }

    fn file(&mut self, path: PathBuf) -> Result<File, FolderError> {
        let is_new = !path.exists();
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        match opened {
            Ok(file) => {
                self.files.extend(is_new.then_some(path));
                Ok(file)
            }
            Err(cause) => Err(FolderError { path, cause }),
        }
    }

    /// Takes back what was made; what cannot be taken back was never there.
    fn undo(self) {
        for file in self.files {
            let _ = fs::remove_file(file);
        }
        // The innermost comes first.
        for dir in self.dirs {
            let _ = fs::remove_dir(dir);
        }
    }
}

/// The recording. After an error it ends: what would follow could be out of step.
#[derive(Debug)]
struct Wav {
    writer: Option<WavWriter<BufWriter<File>>>,
    stereo: Vec<i16>,
    /// The tick that follows what was written.
    next: Tick,
    /// The place where the call left its recording is marked.
    marked: bool,
    trouble: Option<String>,
}

/// What the mark says.
const MARK: &str = "counterfactual from here on";

impl Wav {
    const fn new(writer: WavWriter<BufWriter<File>>) -> Self {
        let writer = Some(writer);
        Self { writer, stereo: Vec::new(), next: Tick(0), marked: false, trouble: None }
    }

    fn tick(&mut self, plan: &Plan, now: Tick, out: &Output, counterfactual: bool) {
        let gap = now.since(self.next);
        self.next = now.after(1);
        let silence = gap.min(plan.len.ticks_min_one(SILENCE_MS_MAX));
        if silence < gap {
            let ms = plan.len.span_ms(gap - silence);
            self.trouble.get_or_insert_with(|| {
                format!("{} lacks {ms} ms of silence before tick {now}", RUNNING[0])
            });
        }
        self.stereo.clear();
        self.stereo.resize(plan.samples() * 2, 0);
        for _ in 0..silence {
            self.write(now);
        }
        if counterfactual && !self.marked {
            self.marked = true;
            self.writer.iter_mut().for_each(|writer| writer.mark(MARK));
        }
        // A session that panicked has no audio: the tick stays silent.
        for (pair, &heard) in self.stereo.chunks_exact_mut(2).zip(&out.heard) {
            pair[0] = heard;
        }
        for (pair, &said) in self.stereo.chunks_exact_mut(2).zip(&out.audio) {
            pair[1] = said;
        }
        self.write(now);
    }

    fn write(&mut self, now: Tick) {
        let Some(writer) = &mut self.writer else { return };
        let Err(error) = writer.write(&self.stereo) else { return };
        self.trouble = Some(format!("{} ends before tick {now}: {error}", RUNNING[0]));
        // The header, at least, may still go through.
        self.writer.take().map(WavWriter::finish);
    }

    fn finish(self, now: Tick) -> Option<String> {
        let closed = self.writer.map_or(Ok(()), |writer| writer.finish().map(drop));
        let at_end = |error| format!("{} may lack its end before tick {now}: {error}", RUNNING[0]);
        self.trouble.or_else(|| closed.err().map(at_end))
    }
}

/// A file of lines.
#[derive(Debug)]
struct Lines {
    name: &'static str,
    sink: BufWriter<File>,
    failed: u64,
    first: Option<(Tick, io::Error)>,
}

impl Lines {
    const fn new(name: &'static str, sink: BufWriter<File>) -> Self {
        Self { name, sink, failed: 0, first: None }
    }

    fn write(&mut self, now: Tick, line: &[u8]) {
        let written = self.sink.write_all(line);
        self.note(now, written);
    }

    fn flush(&mut self, now: Tick) {
        let flushed = self.sink.flush();
        self.note(now, flushed);
    }

    fn note(&mut self, now: Tick, done: io::Result<()>) {
        if let Err(error) = done {
            self.failed += 1;
            self.first.get_or_insert((now, error));
        }
    }

    fn finish(mut self, now: Tick) -> Option<String> {
        self.flush(now);
        let (tick, error) = self.first?;
        let Self { name, failed, .. } = self;
        Some(format!(
            "{name} is incomplete: {failed} writes failed, the first at tick {tick}: {error}"
        ))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_once_and_stops_nothing() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut lines = Lines::new("ticks.jsonl", BufWriter::with_capacity(8, full));
        (3..6).for_each(|tick| lines.write(Tick(tick), b"a line\n"));
        let trouble = lines.finish(Tick(6)).unwrap();
        assert!(
            trouble
                .starts_with("ticks.jsonl is incomplete: 3 writes failed, the first at tick 4: ")
        );
    }
}
