//! A folder of journals: a file for each call, and none for longer than wanted.
//!
//! A file is named after the configuration and the moment at which its call began, so that names sort by
//! age. Removing is done when a call begins, by the age of files and then by what all of them take,
//! oldest first; a journal that is being written is locked, and stays.
//!
//! **Invariant:** only files that end in `.antiphon` are looked at or removed.

#![expect(
    clippy::disallowed_methods,
    reason = "the age of a file is told by the clock on the wall"
)]

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::ink::Ink;
use crate::config::Journals;

/// What journals end in.
pub const ENDING: &str = "antiphon";

/// Calls that begin in the same millisecond at most: beyond, something else is wrong.
const NAMESAKES_MAX: u32 = 1_000;

/// What was removed, and what could not be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Files removed.
    pub removed: usize,
    /// Files that could not be, each with the reason.
    pub troubles: Vec<String>,
}

/// Opens a new journal in the folder, for a call of the configuration `name` that begins at this moment
/// (`20260101T090000.123Z` or the like).
///
/// # Errors
/// The folder or the file cannot be made.
pub fn open(folder: &Path, name: &str, moment: &str) -> io::Result<(PathBuf, Ink)> {
    fs::create_dir_all(folder)?;
    for count in 0..NAMESAKES_MAX {
        let more = if count == 0 { String::new() } else { format!("-{count}") };
        let path = folder.join(format!("{name}-{moment}{more}.{ENDING}"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(_) => return Ink::create(&path).map(|ink| (path, ink)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("there are {NAMESAKES_MAX} journals of this moment")))
}

/// Removes what is older or more than the configuration wants to keep.
#[must_use]
pub fn prune(folder: &Path, keep: &Journals) -> Pruned {
    let mut pruned = Pruned::default();
    if keep.max_age_days == 0 && keep.max_size_mb == 0 {
        return pruned;
    }
    let mut kept = journals(folder, &mut pruned.troubles);
    // Oldest first.
    kept.sort();
    let mut total: u64 = kept.iter().map(|(_, _, len)| len).sum();
    let day = Duration::from_secs(24 * 60 * 60);
    let oldest = (keep.max_age_days > 0)
        .then(|| SystemTime::now().checked_sub(day * keep.max_age_days))
        .flatten();
    let most = match keep.max_size_mb {
        0 => u64::MAX,
        mb => u64::from(mb) * 1_000_000,
    };
    for (changed, path, len) in kept {
        let is_old = oldest.is_some_and(|oldest| changed < oldest);
        if !is_old && total <= most {
            continue;
        }
        match fs::remove_file(&path) {
            Ok(()) => {
                total -= len;
                pruned.removed += 1;
            }
            Err(error) => pruned.troubles.push(format!("{}: {error}", path.display())),
        }
    }
    pruned
}

fn journals(folder: &Path, troubles: &mut Vec<String>) -> Vec<(SystemTime, PathBuf, u64)> {
    // What is being written is neither counted nor removed.
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // A folder that is not there yet has nothing to remove.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            troubles.push(format!("{}: {error}", folder.display()));
            return Vec::new();
        }
    };
    let of_ours = |entry: fs::DirEntry| {
        let path = entry.path();
        let about = entry.metadata().ok()?;
        let is_ours = about.is_file() && path.extension().is_some_and(|ending| ending == ENDING);
        Some((about.modified().ok()?, path, about.len())).filter(|_| is_ours)
    };
    entries.flatten().filter_map(of_ours).filter(|(_, path, _)| !is_written(path)).collect()
}

/// When a file was written last, in milliseconds since 1970, if that is known.
#[must_use]
pub fn modified_ms(path: &Path) -> Option<u64> {
    let modified = fs::metadata(path).and_then(|about| about.modified()).ok()?;
    let since = modified.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// Whether a call is writing to a file.
fn is_written(path: &Path) -> bool {
    let lock = File::open(path).map(|file| file.try_lock());
    matches!(lock, Ok(Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &Path, name: &str, len: usize, days_old: u64) {
        let path = folder.join(name);
        fs::write(&path, vec![0; len]).unwrap();
        let age = Duration::from_secs(days_old * 24 * 60 * 60);
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(SystemTime::now() - age)
            .unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        let mut names: Vec<_> =
            entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn keep(max_age_days: u32, max_size_mb: u32) -> Journals {
        Journals { folder: None, max_age_days, max_size_mb }
    }

    #[test]
    fn what_is_too_old_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "a.antiphon", 10, 40);
        put(folder.path(), "b.antiphon", 10, 5);
        put(folder.path(), "notes.txt", 10, 400);
        assert_eq!(prune(folder.path(), &keep(30, 0)).removed, 1);
        assert_eq!(names(folder.path()), ["b.antiphon", "notes.txt"]);
        assert_eq!(prune(folder.path(), &keep(0, 0)), Pruned::default());
    }

    #[test]
    fn the_oldest_go_until_the_rest_fits() {
        let folder = tempfile::tempdir().unwrap();
        for (name, days) in [("a", 4), ("b", 3), ("c", 2), ("d", 1)] {
            put(folder.path(), &format!("{name}.antiphon"), 600_000, days);
        }
        assert_eq!(prune(folder.path(), &keep(0, 1)).removed, 3);
        assert_eq!(names(folder.path()), ["d.antiphon"]);
    }

    #[test]
    fn a_journal_that_is_being_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (path, ink) = open(folder.path(), "shop", "now").unwrap();
        put(folder.path(), "old.antiphon", 2_000_000, 9);
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH)
            .unwrap();
        assert_eq!(prune(folder.path(), &keep(1, 1)).removed, 1);
        assert_eq!(names(folder.path()), ["shop-now.antiphon"]);
        assert_eq!(ink.finish(None), None);
        assert_eq!(prune(folder.path(), &keep(1, 0)).removed, 1);
    }

    #[test]
    fn two_calls_of_one_moment_have_a_file_each() {
        let folder = tempfile::tempdir().unwrap();
        let _ink = [open(folder.path(), "a", "t").unwrap(), open(folder.path(), "a", "t").unwrap()];
        assert_eq!(names(folder.path()), ["a-t-1.antiphon", "a-t.antiphon"]);
        assert!(open(&folder.path().join("a-t.antiphon/x"), "a", "t").is_err());
    }
}
