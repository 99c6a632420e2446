//! A worker of a process of its own: `antiphon start` as it runs in production.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::guest::House;
use super::process::Process;
use crate::cli::failure::Failure;

/// What a worker has told of jobs that are over.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// Jobs whose room was left.
    pub(super) left: u32,
    /// What happened in their rooms, by name.
    pub(super) counts: BTreeMap<String, u64>,
}

/// `antiphon start`, ended with its value.
pub(super) struct Worker {
    process: Child,
    folder: PathBuf,
    told: Arc<Mutex<Told>>,
    /// Where its health and its metrics are.
    pub(super) http: String,
}

impl Worker {
    /// Starts one that serves a configuration under a name, with more words.
    pub(super) fn start(
        house: &House,
        name: &str,
        config: &str,
        words: &[&str],
    ) -> Result<Self, Failure> {
        let broken = |why: std::io::Error| Failure::broken(format!("the bench's worker: {why}"));
        let folder = std::env::temp_dir().join(format!("antiphon-worker-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(broken)?;
        let path = folder.join("bench.yaml");
        std::fs::write(&path, config).map_err(broken)?;
        let (key, secret) = house.server.key.parts();
        let process = Command::new(std::env::current_exe().map_err(broken)?)
            .args(["start", "--json", "--http", "0", "--agent-name", name])
            .args(words)
            .arg(&path)
            .env("LIVEKIT_URL", house.server.address.to_string())
            .env("LIVEKIT_API_KEY", key)
            .env("LIVEKIT_API_SECRET", secret)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(broken)?;
        let mut worker = Self { process, folder, told: Arc::default(), http: String::new() };
        let out = worker.process.stdout.take().ok_or_else(|| Failure::broken("no output"))?;
        let mut lines = BufReader::new(out).lines();
        worker.registers(&mut lines)?;
        // What it says must be read, or it would wait.
        let told = Arc::clone(&worker.told);
        std::thread::Builder::new()
            .name("worker output".to_owned())
            .spawn(move || objects(lines).for_each(|object| note(&told, &object)))
            .map_err(broken)?;
        Ok(worker)
    }

    /// Waits until it has registered, and learns where its metrics are.
    fn registers(&mut self, lines: &mut Lines<BufReader<ChildStdout>>) -> Result<(), Failure> {
        for object in objects(lines.by_ref()) {
            match object["type"].as_str() {
                Some("worker.http") => {
                    object["url"].as_str().unwrap_or_default().clone_into(&mut self.http);
                }
                Some("worker.registered") => return Ok(()),
                _ => {}
            }
        }
        Err(Failure::broken("the bench's worker does not register"))
    }

    /// Its process.
    pub(super) fn process(&self) -> Process {
        Process::of(self.process.id())
    }

    /// What it has told so far.
    pub(super) fn told(&self) -> Told {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a worker tells, an object a line.
fn objects(lines: impl Iterator<Item = std::io::Result<String>>) -> impl Iterator<Item = Value> {
    lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok())
}

fn note(told: &Mutex<Told>, object: &Value) {
    if object["type"] != "job.left" {
        return;
    }
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    told.left += 1;
    for (name, count) in object["counts"].as_object().into_iter().flatten() {
        *told.counts.entry(name.clone()).or_default() += count.as_u64().unwrap_or(0);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}
