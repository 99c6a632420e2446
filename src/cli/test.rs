//! `antiphon test`: scenarios in virtual time, and whether they go as expected.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use regex::Regex;

use super::failure::Failure;
use super::junit::{self, Wrong};
use super::tested::{Ran, Suite, Verdict};
use super::view::line;
use crate::tool::Registry;

/// Holds calls in virtual time and says which did not go as expected.
///
/// A test file names a configuration and says what a caller does, when, and what is expected then: what the
/// agents say, which tools they call, who takes over, what is known (`antiphon schema cues` describes it).
/// Tools can be given answers, call by call. Texts need no speech engine: unless a clip is played, the
/// configuration's engines are replaced by those that are part of the program.
///
/// Of a call that did not go as expected, each turn is shown with what was expected (-), what came (+) and
/// what happened around it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon test configs/demo.test.yaml
  antiphon test *.test.yaml --filter 'order|bill' --junit out/tests.xml --keep out/failed

Exit codes: 0 all went as expected, 1 at least one did not, 2 something given is wrong.
A file that is wrong does not keep the others from being held.")]
pub(super) struct TestArgs {
    /// The test files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only tests in whose name (as it is printed) this regular expression is found.
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    filter: Option<Regex>,
    /// Writes what came out as JUnit XML, for other programs.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Writes the output of each call that did not go as expected to a folder of its own in here: what
    /// `antiphon run` writes, the journal included.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// So many calls at a time; by default as many as there are processors.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// The seed of all calls, instead of those of files and configurations.
    #[arg(long, value_name = "N", value_parser = super::args::seed, allow_negative_numbers = true)]
    seed: Option<u64>,
}

fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| {
        let told = error.to_string();
        told.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
}

pub(super) fn test(args: &TestArgs, tools: &Registry) -> Result<ExitCode, Failure> {
    let (mut suites, mut wrong) = (Vec::new(), Vec::new());
    let is_wrong = |path: &Path, failure: &Failure| Wrong {
        file: path.display().to_string(),
        test: "(the file)".to_owned(),
        told: failure.to_string(),
    };
    for path in &args.files {
        match Suite::open(path) {
            Ok(suite) => suites.push(suite),
            Err(failure) => wrong.push(is_wrong(path, &failure)),
        }
    }
    // All that is wrong with any file is told before any call is held; the others are held all the same.
    let mut tests = Vec::new();
    for suite in &suites {
        let is_chosen =
            |name: &str| args.filter.as_ref().is_none_or(|filter| filter.is_match(name));
        match suite.tests(tools, args.seed, &is_chosen) {
            Ok(found) => tests.extend(found),
            Err(failure) => wrong.push(is_wrong(suite.path(), &failure)),
        }
    }
    if let Some(junit) = &args.junit {
        // What cannot be written is told before the calls are held.
        write(junit, &junit::xml(&[], &wrong))?;
    }
    let told: Vec<&str> = wrong.iter().map(|wrong| wrong.told.as_str()).collect();
    if tests.is_empty() && !wrong.is_empty() {
        return Err(Failure::input(told.join("\n")));
    }
    if tests.is_empty() {
        let filter = args.filter.as_ref().map_or("", Regex::as_str);
        return Err(Failure::input(format!(
            "no test has a name in which `{filter}` is found; without --filter all are held"
        )));
    }
    for told in told {
        eprintln!("{told}");
    }
    let unheld = wrong.len();
    let one = |test: &super::tested::Test<'_>| {
        let mut ran = test.run(None)?;
        if let Some(keep) = args.keep.as_ref().filter(|_| !ran.verdict.is_ok()) {
            let place = keep.join(slug(&test.name()));
            // The same call once more: nothing of it depends on how it is watched.
            test.run(Some(&place))?;
            ran.kept = Some(place);
        }
        Ok(ran)
    };
    let all = at_a_time(&tests, jobs(args.jobs), one, |ran: &Result<Ran, Failure>| {
        if let Ok(ran) = ran {
            show(ran);
        }
    });
    let (mut ran, mut broken) = (Vec::new(), Vec::new());
    for (test, result) in tests.iter().zip(all) {
        match result {
            Ok(result) => ran.push(result),
            Err(failure) => {
                let (file, told) = (test.file(), failure.to_string());
                broken.push(told.clone());
                wrong.push(Wrong { file, test: test.title().to_owned(), told });
            }
        }
    }
    let failed = ran.iter().filter(|ran| !ran.verdict.is_ok()).count();
    if let Some(path) = &args.junit {
        write(path, &junit::xml(&ran, &wrong))?;
    }
    line(format_args!(
        "{} of {} went as expected{}",
        ran.len() - failed,
        ran.len(),
        if failed == 0 { String::new() } else { format!(", {failed} FAILED") }
    ));
    if !broken.is_empty() {
        return Err(Failure::broken(broken.join("\n")));
    }
    if unheld > 0 {
        return Err(Failure::input(format!(
            "{unheld} of {} files could not be held; what is wrong with them stands above",
            args.files.len()
        )));
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn jobs(wanted: Option<u16>) -> usize {
    let own = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    wanted.map_or_else(own, usize::from)
}

/// Does the same with each of `all`, several at a time; `each` sees what comes of them in their order.
fn at_a_time<T: Sync, R: Send>(
    all: &[T],
    jobs: usize,
    one: impl Fn(&T) -> R + Sync,
    mut each: impl FnMut(&R),
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let (done, ended) = mpsc::sync_channel(all.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(all.len()) {
            let (next, done, one) = (&next, done.clone(), &one);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = all.get(at) else { break };
                    // Nobody is there to take it only if this ends all the same.
                    if done.send((at, one(item))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(done);
        let mut results: Vec<Option<R>> = all.iter().map(|_| None).collect();
        let mut shown = 0;
        for (at, result) in ended {
            results[at] = Some(result);
            while let Some(Some(result)) = results.get(shown) {
                each(result);
                shown += 1;
            }
        }
        results.into_iter().flatten().collect()
    })
}

fn show(ran: &Ran) {
    let word = if ran.verdict.is_ok() { "ok" } else { "FAILED" };
    line(format_args!(
        "{word:<6}  {}  {:.2} s of call in {} ms",
        ran.name(),
        ran.call_ms as f64 / 1_000.0,
        ran.wall.as_millis(),
    ));
    if let Verdict::Failed { told, .. } = &ran.verdict {
        line(told.trim_end());
    }
    if let Some(kept) = &ran.kept {
        line(format_args!("  kept in {}", kept.display()));
    }
    if !ran.verdict.is_ok() {
        line("");
    }
}

/// A name as that of a folder.
fn slug(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let parts: String = name.chars().map(plain).collect();
    parts.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// Writes a file, and the folders that it stands in.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder.and_then(|()| std::fs::write(path, text)).map_err(|error| {
        let shown = path.display();
        Failure::input(format!("{shown}: cannot be written: {error}; choose another place"))
    })
}
