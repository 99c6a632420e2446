//! The files of leases.
//!
//! **Invariant:** a lease's file is made by one worker and is whole or empty; what cannot be read is nobody's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Lease;
use crate::host::archive::{ENDING, modified_ms};
use crate::host::pace::wall_ms;

/// The longest lease that is read, in bytes: its metadata and a thousand participants.
const LEASE_LEN_MAX: u64 = 4 << 20;

/// Files that are looked at: more are not ours.
const FILES_MAX: usize = 100_000;

/// The folder, and what this worker holds of it.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    /// Where journals are; leases are in a folder of it, since journals may be many.
    journals: Arc<PathBuf>,
    folder: Arc<PathBuf>,
    name: Arc<str>,
    rights: Arc<Mutex<Rights>>,
}

/// What this worker holds, and what it has held.
#[derive(Debug, Default)]
pub(super) struct Rights {
    /// Numbers of the leases held, by job.
    pub(super) held: BTreeMap<String, u32>,
    /// Jobs that others have taken over.
    pub(super) lost: BTreeSet<String>,
}

/// What is in the folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The numbers of the leases of each job, in order.
    pub(super) leases: BTreeMap<String, Vec<u32>>,
    /// The workers that have a file.
    pub(super) workers: BTreeSet<String>,
}

impl Shared {
    /// Opens the folder under a name that no other worker has.
    pub(super) fn open(journals: &Path) -> Result<Self, String> {
        let folder = &journals.join("leases");
        let shown = folder.display();
        let wrong = |error: io::Error| format!("{shown}: {error}");
        fs::create_dir_all(folder).map_err(wrong)?;
        let (process, mut moment) = (std::process::id(), wall_ms());
        loop {
            let name = format!("{moment:x}-{process:x}");
            match make(&folder.join(format!("{name}.worker"))) {
                Ok(true) => {
                    let folder = Arc::new(folder.to_owned());
                    let journals = Arc::new(journals.to_owned());
                    return Ok(Self {
                        journals,
                        folder,
                        name: name.into(),
                        rights: Arc::default(),
                    });
                }
                // Another one of this moment, on another machine.
                Ok(false) => moment += 1,
                Err(error) => return Err(wrong(error)),
            }
        }
    }

    /// This worker's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn journal(&self, job: &str) -> PathBuf {
        self.journals.join(format!("{job}.{ENDING}"))
    }

    fn lease(&self, job: &str, number: u32) -> PathBuf {
        self.folder.join(format!("{job}.{number}.lease"))
    }

    fn worker(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.worker"))
    }

    /// Whether nobody has taken the job over. Where nobody can tell, it is not this worker's.
    pub(super) fn holds(&self, job: &str) -> bool {
        let rights = self.rights();
        let (own, lost) = (rights.held.get(job).copied(), rights.lost.contains(job));
        drop(rights);
        let is_there = |own| self.look().is_ok_and(|found| highest(&found, job) == Some(own));
        // One for which there never was a lease is nobody else's.
        !lost && own.is_none_or(is_there)
    }

    /// How long ago the journal of a job was written, in milliseconds, by the clock of the folder: compared with this
    /// worker's own file. None if nothing was written.
    pub(super) fn age_ms(&self, job: &str) -> Option<u64> {
        let journal = self.journal(job);
        fs::metadata(&journal).ok().filter(|about| about.len() > 0)?;
        let (own, written) = (modified_ms(&self.worker(&self.name))?, modified_ms(&journal)?);
        Some(own.saturating_sub(written))
    }

    /// What this worker holds.
    pub(super) fn rights(&self) -> MutexGuard<'_, Rights> {
        self.rights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that this worker is there.
    pub(super) fn renew(&self, count: u64) -> io::Result<()> {
        fs::write(self.worker(&self.name), count.to_string())
    }

    /// The names of everything that is there.
    pub(super) fn look(&self) -> io::Result<Found> {
        let mut found = Found::default();
        for entry in fs::read_dir(&*self.folder)?.flatten().take(FILES_MAX) {
            let name = entry.file_name();
            let Some((stem, ending)) = name.to_str().and_then(|name| name.rsplit_once('.')) else {
                continue;
            };
            match ending {
                "worker" => drop(found.workers.insert(stem.to_owned())),
                "lease" => {
                    let named = stem.rsplit_once('.');
                    if let Some((job, number)) =
                        named.and_then(|(job, n)| Some((job, n.parse().ok()?)))
                    {
                        found.leases.entry(job.to_owned()).or_default().push(number);
                    }
                }
                _ => {}
            }
        }
        found.leases.values_mut().for_each(|numbers| numbers.sort_unstable());
        Ok(found)
    }

    /// What a worker's file says.
    pub(super) fn says(&self, worker: &str) -> String {
        fs::read_to_string(self.worker(worker)).unwrap_or_default()
    }

    /// A lease as its file has it; none if it is not whole, or there is none.
    pub(super) fn read(&self, job: &str, number: u32) -> Option<Lease> {
        if job.is_empty() || job.starts_with('.') {
            return None;
        }
        let path = self.lease(job, number);
        let len = fs::metadata(&path).ok()?.len();
        let text = (len <= LEASE_LEN_MAX).then(|| fs::read(&path).ok()).flatten()?;
        let lease: Lease = serde_json::from_slice(&text).ok()?;
        (lease.id() == job && lease.number == number).then_some(lease)
    }

    /// Makes the file of a lease, whole; false if somebody else has made it.
    pub(super) fn put(&self, lease: &Lease) -> io::Result<bool> {
        let path = self.lease(lease.id(), lease.number);
        if !make(&path)? {
            return Ok(false);
        }
        self.write(lease)?;
        self.rights().held.insert(lease.id().to_owned(), lease.number);
        Ok(true)
    }

    /// Writes a lease that is this worker's anew. Whoever reads it finds the one or the other.
    pub(super) fn write(&self, lease: &Lease) -> io::Result<()> {
        let path = self.lease(lease.id(), lease.number);
        let fresh = path.with_extension("new");
        fs::write(&fresh, serde_json::to_vec(lease)?)?;
        fs::rename(&fresh, &path)
    }

    /// Removes the file of a lease.
    pub(super) fn remove(&self, job: &str, number: u32) {
        drop(fs::remove_file(self.lease(job, number)));
    }

    /// Removes the file of a worker.
    pub(super) fn bury(&self, worker: &str) {
        drop(fs::remove_file(self.worker(worker)));
    }
}

/// The highest number of a job's leases.
pub(super) fn highest(found: &Found, job: &str) -> Option<u32> {
    found.leases.get(job)?.last().copied()
}

/// Makes an empty file; false if there is one.
fn make(path: &Path) -> io::Result<bool> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}
