//! What an agent in a room says, as its callers hear it, and what a call leaves behind.

use std::fs;
use std::path::Path;

use super::listen::Sound;
use super::rooms::PATIENCE;
use super::rooms::peer::Peer;

/// What is softer than this is no speech of the agent's.
const QUIET_DBFS: f32 = -50.0;

/// Waits until the agent has said a text that ends like this; where it is in the recording.
#[track_caller]
pub(crate) fn answered(caller: &mut Peer, end: &str) -> Sound {
    let from = caller.recorded_ms("agent");
    caller.expect_within(2 * PATIENCE, &format!("an answer that ends in {end:?}"), |event| {
        let is_said = event["event"] == "text_stream"
            && event["state"] == "closed"
            && event["topic"] == "lk.transcription"
            && event["identity"] == "agent";
        let text = event["text"].as_str().filter(|_| is_said)?;
        text.ends_with(end).then_some(())
    });
    let to = caller.quiet("agent");
    let sound = caller.recording("agent", from, to);
    let begins = sound.first_above(QUIET_DBFS).unwrap_or_default();
    sound.part(begins, u64::MAX)
}

/// The journal of a call, somewhere in this folder.
pub(crate) fn journal(folder: &Path) -> Option<std::path::PathBuf> {
    let entries = fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path());
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    entries.iter().find_map(|path| {
        let is_it = path.file_name().is_some_and(|it| it == "journal.antiphon");
        if path.is_dir() { journal(path) } else { is_it.then(|| path.clone()) }
    })
}

/// No file has these bytes.
pub(crate) fn without(folder: &Path, planted: &str) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            without(&path, planted);
        } else {
            let bytes = fs::read(&path).unwrap();
            let found = bytes.windows(planted.len()).any(|part| part == planted.as_bytes());
            assert!(!found, "{} has a key", path.display());
        }
    }
}
