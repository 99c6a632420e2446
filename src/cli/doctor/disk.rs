//! Whether journals can be written, and for how long.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::finding::Finding;
use crate::config::JournalMode;
use crate::host::disk::free_bytes;
use crate::session::plan::Plan;

/// What a full journal takes in an hour, in bytes. Measured with the demo, in which somebody speaks most of the time, by
/// `antiphon demo --fast --opus && antiphon journal info out/demo`, 0.97 MB a minute (README, Figures), and the same
/// without `--opus`, 3.68: rooms send packets, a microphone or a file gives samples.
const HOUR_IN_ROOMS: u64 = 60 * 970_000;
const HOUR_OF_SAMPLES: u64 = 60 * 3_680_000;

/// Room for fewer hours in rooms is worth a word, and for less than one not enough.
const HOURS_FEW: u64 = 10;

pub(super) fn disk(plan: Option<&Plan>) -> Finding {
    let folder = match plan {
        Some(plan) if plan.config.journal == JournalMode::Off => {
            let remedy = "write `journal: full`, if calls are to be replayed";
            return Finding::skipped("this configuration writes no journals", remedy);
        }
        Some(plan) => plan.config.journals.folder.as_deref().unwrap_or("."),
        None => ".",
    };
    let folder = Path::new(folder);
    let place = nearest(folder);
    let shown = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let shown = shown.display().to_string();
    let elsewhere = if plan.is_some_and(|plan| plan.config.journals.folder.is_some()) {
        "name another folder in `journals.folder`"
    } else {
        "work in another folder, or name one in `journals.folder`"
    };
    if let Err((what, remedy)) = written(&place) {
        return Finding::failed(format!("{shown}: {what}"), format!("{remedy}, or {elsewhere}"))
            .with(json!({ "folder": shown, "writable": false }));
    }
    judged(&shown, free_bytes(&place), elsewhere)
}

/// The folder itself, or the nearest above it that there is: the others are made when a call begins.
fn nearest(folder: &Path) -> PathBuf {
    let there = folder.ancestors().find(|folder| folder.symlink_metadata().is_ok());
    there.map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Tries to write a file there; otherwise what is wrong, and what to do.
fn written(place: &Path) -> Result<(), (String, String)> {
    let shown = place.display();
    if !place.is_dir() {
        return Err((format!("{shown} is no folder"), "move it out of the way".to_owned()));
    }
    let path = place.join(format!(".antiphon-doctor-{}", std::process::id()));
    let made = File::options().write(true).create_new(true).open(&path);
    drop(std::fs::remove_file(&path));
    made.map(drop).map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::PermissionDenied => {
                "let the user of this process write there (`chown`, `chmod`)"
            }
            ErrorKind::ReadOnlyFilesystem => "mount it so that it can be written",
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "remove what is not needed",
            _ => "see that files can be made there",
        };
        (format!("no file can be made in {shown} ({error})"), remedy.to_owned())
    })
}

fn judged(folder: &str, free: Option<u64>, elsewhere: &str) -> Finding {
    let Some(free) = free else {
        return Finding::ok(format!(
            "{folder} can be written; this system does not say how full it is"
        ))
        .with(json!({ "folder": folder, "writable": true }));
    };
    let (rooms, samples) = (free / HOUR_IN_ROOMS, free / HOUR_OF_SAMPLES);
    let found = format!(
        "{folder} can be written, and has {:.1} GB left: journals of {rooms} hours of calls in rooms ({} MB an hour), of \
         {samples} with a microphone ({} MB)",
        free as f64 / 1e9,
        HOUR_IN_ROOMS / 1_000_000,
        HOUR_OF_SAMPLES / 1_000_000
    );
    let remedy = format!("remove what is not needed, bound `journals.max_size_mb`, or {elsewhere}");
    let finding = if rooms == 0 {
        Finding::failed(found, remedy)
    } else if rooms < HOURS_FEW {
        Finding::warning(found, remedy)
    } else {
        Finding::ok(found)
    };
    finding.with(json!({
        "folder": folder, "writable": true, "free_bytes": free, "hours_in_rooms": rooms, "hours_of_samples": samples
    }))
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn room_is_judged_by_the_hours_of_calls_that_it_is() {
        let state = |free| judged("calls", Some(free), "move").state;
        assert_eq!(state(100 * HOUR_IN_ROOMS), State::Ok);
        assert!(matches!(state(2 * HOUR_IN_ROOMS), State::Warning(_)));
        assert!(matches!(state(HOUR_IN_ROOMS / 2), State::Failed(_)));
        assert_eq!(judged("calls", None, "move").state, State::Ok);
    }

    #[test]
    fn a_folder_that_is_not_yet_there_is_made_where_the_nearest_is() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        assert_eq!(nearest(&inner), folder.path());
        assert_eq!(written(&nearest(&inner)), Ok(()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
        std::fs::write(folder.path().join("a"), "in the way").unwrap();
        let (what, _) = written(&nearest(&inner)).unwrap_err();
        assert!(what.ends_with("a is no folder"), "{what}");
    }
}
