//! A participant made of the official Python client: `tests/peers/peer.py`, which says what it can be told.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::server::Server;
use super::told::{Missing, Told};
use super::{PATIENCE, root};
use crate::listen::Sound;

/// What is louder than this is a sound, and not the noise of a room.
pub(crate) const LOUD_DBFS: f64 = -35.0;

/// Between words of one answer there is less quiet than this.
const PAUSE_MS: u64 = 700;

/// How long an answer may be waited for and last.
const ANSWER_MAX: Duration = Duration::from_secs(40);

/// Of what a peer told, in the message of a failed test.
const SHOWN_MAX: usize = 30;

/// A participant that is told what to do.
#[derive(Debug)]
pub(crate) struct Peer {
    name: String,
    process: Child,
    to: ChildStdin,
    told: Arc<Told<Value>>,
    complained: Arc<Told<String>>,
    asked: u64,
    /// Events before this one are not looked at any more, nor are those that were found.
    behind: usize,
    found: BTreeSet<usize>,
    recordings: TempDir,
}

/// What a peer heard of somebody, between two silences.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Where it begins and ends in the recording.
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
    pub(crate) sound: Sound,
}

impl Peer {
    /// Starts one, in no room yet; what it hears will be recorded.
    #[track_caller]
    pub(crate) fn start(name: &str) -> Self {
        let python = root().join(".tools/python/bin/python");
        let script = root().join("tests/peers/peer.py");
        let process = Command::new(&python)
            .arg("-B")
            .arg(&script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut process = process.unwrap_or_else(|error| match error.kind() {
            ErrorKind::NotFound => panic!(
                "the Python client of LiveKit is not there; run scripts/setup.sh rooms, which installs it into .tools"
            ),
            _ => panic!("{}: {error}", python.display()),
        });
        let to = process.stdin.take().expect("it is piped");
        let stdout = process.stdout.take().expect("it is piped");
        let stderr = process.stderr.take().expect("it is piped");
        let recordings = tempfile::tempdir().expect("a temporary folder can be made");
        let mut peer = Self {
            name: name.to_owned(),
            process,
            to,
            told: Told::by(stdout, |line| serde_json::from_str(&line).ok()),
            complained: Told::by(stderr, Some),
            asked: 0,
            behind: 0,
            found: BTreeSet::new(),
            recordings,
        };
        peer.event("ready", |_| true);
        let dir = json!({ "do": "record", "dir": peer.recordings.path() });
        peer.ask(dir);
        peer
    }

    /// Starts one that has joined a room as a user of this name.
    #[track_caller]
    pub(crate) fn join(server: &Server, room: &str, name: &str) -> Self {
        let mut peer = Self::start(name);
        peer.enter(server, room, json!({}));
        peer
    }

    /// Sends its process a signal, by the name that `kill` has for it.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name} does not work");
    }

    /// Joins as a user, with further options of `join`.
    #[track_caller]
    pub(crate) fn enter(&mut self, server: &Server, room: &str, options: Value) {
        let mut join = options;
        join["do"] = json!("join");
        join["url"] = json!(server.url());
        join["token"] = json!(server.user(room, &self.name));
        self.ask(join);
    }

    /// Tells it to do something, and does not wait; the number of its answer.
    #[track_caller]
    pub(crate) fn tell(&mut self, mut command: Value) -> u64 {
        self.asked += 1;
        command["id"] = json!(self.asked);
        if let Err(error) = writeln!(self.to, "{command}") {
            self.fail(&format!("{} cannot be told: {error}", without_token(&command)));
        }
        self.asked
    }

    /// Tells it to do something, and waits until it is done.
    #[track_caller]
    pub(crate) fn ask(&mut self, command: Value) {
        let what = without_token(&command);
        if let Err(message) = self.try_ask(command) {
            self.fail(&format!("{what}: {message}"));
        }
    }

    /// The same; what goes wrong is the client's own message.
    #[track_caller]
    pub(crate) fn try_ask(&mut self, command: Value) -> Result<(), String> {
        let what = format!("the answer to {}", without_token(&command));
        let id = self.tell(command);
        self.expect(&what, |event| {
            (event["id"] == id).then(|| match event["event"].as_str() {
                Some("done") => Ok(()),
                _ => Err(event["message"].as_str().unwrap_or_default().to_owned()),
            })
        })
    }

    /// Waits for an event of which `found` makes something: among those that were told and not found before, and then
    /// among new ones.
    #[track_caller]
    pub(crate) fn expect<T>(&mut self, what: &str, found: impl FnMut(&Value) -> Option<T>) -> T {
        self.expect_within(PATIENCE, what, found)
    }

    /// The same, with a patience of its own.
    #[track_caller]
    pub(crate) fn expect_within<T>(
        &mut self,
        patience: Duration,
        what: &str,
        mut found: impl FnMut(&Value) -> Option<T>,
    ) -> T {
        let seen = &self.found;
        let waited = self.told.wait(self.behind, patience, |at, event| {
            let made = if seen.contains(&at) { None } else { found(event) };
            made.map(|made| (at, made))
        });
        match waited {
            Ok((at, made)) => {
                self.found.insert(at);
                made
            }
            Err(Missing::Over) => self.fail(&format!("it has ended; expected was {what}")),
            Err(Missing::Late) => self.fail(&format!("in {patience:?} there was not {what}")),
        }
    }

    /// Waits for an event of this name for which something holds.
    #[track_caller]
    pub(crate) fn event(&mut self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let what = format!("an event \"{name}\" of the kind wanted");
        self.expect(&what, |event| (event["event"] == name && holds(event)).then(|| event.clone()))
    }

    /// Everything told so far is not looked at any more, so that what comes next is new.
    pub(crate) fn forget(&mut self) {
        self.behind = self.told.count();
    }

    /// All events so far.
    pub(crate) fn history(&self) -> Vec<Value> {
        self.told.look(<[Value]>::to_vec)
    }

    /// Plays a sound file to its end. Nobody may hear the beginning before somebody has subscribed: see
    /// [`Self::publish`].
    #[track_caller]
    pub(crate) fn play(&mut self, wav: &Value) {
        self.ask(json!({ "do": "play", "wav": wav }));
        self.event("played", |event| event["wav"] == *wav);
    }

    /// Publishes a microphone, with a bed of noise or none, and waits until somebody has subscribed to it.
    #[track_caller]
    pub(crate) fn publish(&mut self, noise: Option<&Value>) {
        self.ask(json!({ "do": "publish" }));
        if let Some(wav) = noise {
            self.ask(json!({ "do": "noise", "wav": wav }));
        }
        self.event("local_track_subscribed", |_| true);
    }

    /// Waits for the end of a transcript of somebody's that contains this; its event.
    #[track_caller]
    pub(crate) fn reads(&mut self, identity: &str, part: &str) -> Value {
        let what = format!("{identity} being transcribed with {part:?}");
        self.expect(&what, |event| {
            let is_it = event["event"] == "text_stream"
                && event["state"] == "closed"
                && event["topic"] == "lk.transcription"
                && event["identity"] == identity
                && event["attributes"]["lk.transcription_final"] == "true"
                && event["text"].as_str().is_some_and(|text| text.contains(part));
            is_it.then(|| event.clone())
        })
    }

    /// How much of somebody's track is recorded, in milliseconds; of the latest, if there were several.
    pub(crate) fn recorded_ms(&self, identity: &str) -> u64 {
        self.told.look(|events| {
            // A recording that has just begun has no level yet.
            let kinds = ["level", "recording"].map(Value::from);
            let of =
                |event: &&Value| kinds.contains(&event["event"]) && event["identity"] == identity;
            let last = events.iter().rev().find(of);
            last.and_then(|event| event["until_ms"].as_u64()).unwrap_or_default()
        })
    }

    /// What is recorded of somebody between two times, or up to now.
    #[track_caller]
    pub(crate) fn recording(&self, identity: &str, from_ms: u64, to_ms: u64) -> Sound {
        let file = self.told.look(|events| {
            let of =
                |event: &&Value| event["event"] == "recording" && event["identity"] == identity;
            events
                .iter()
                .rev()
                .find(of)
                .and_then(|event| Some(PathBuf::from(event["file"].as_str()?)))
        });
        let file = file.unwrap_or_else(|| self.fail(&format!("nothing is recorded of {identity}")));
        Sound::read(&file).part(from_ms, to_ms)
    }

    /// Waits until somebody makes a sound, after a time in their recording, and then is quiet again for longer than
    /// between words.
    #[track_caller]
    pub(crate) fn hear_out(&mut self, identity: &str, from_ms: u64) -> Heard {
        let (mut loud_from, mut loud_to) = (None, 0);
        let what = format!("{identity} speaking and falling silent, after {from_ms} ms");
        let (from_ms, to_ms) = self.expect_within(ANSWER_MAX, &what, |event| {
            if event["event"] != "level" || event["identity"] != identity {
                return None;
            }
            let until = event["until_ms"].as_u64()?;
            if until > from_ms && event["dbfs"].as_f64()? > LOUD_DBFS {
                loud_from.get_or_insert(until);
                loud_to = until;
            }
            loud_from.filter(|_| until > loud_to + PAUSE_MS).map(|from| (from, loud_to))
        });
        // A level is that of the 100 ms before it; soft beginnings and ends belong to it.
        let (from_ms, to_ms) = (from_ms.saturating_sub(300), to_ms + 200);
        Heard { from_ms, to_ms, sound: self.recording(identity, from_ms, to_ms) }
    }

    /// Waits until somebody has been quiet, from now on, for longer than between words, or is gone; when that is, in
    /// their recording.
    #[track_caller]
    pub(crate) fn quiet(&mut self, identity: &str) -> u64 {
        let mut loud_to = self.recorded_ms(identity);
        self.expect_within(ANSWER_MAX, &format!("{identity} falling silent"), |event| {
            if event["identity"] != identity {
                return None;
            }
            if event["event"] == "recorded" {
                return Some(loud_to);
            }
            let until = event["until_ms"].as_u64()?;
            if event["dbfs"].as_f64()? > LOUD_DBFS {
                loud_to = loud_to.max(until);
            }
            (until > loud_to + PAUSE_MS).then_some(until)
        })
    }

    /// Fails the test, and says what was told.
    #[track_caller]
    fn fail(&self, why: &str) -> ! {
        let events = self.told.look(|events| {
            let worth = events.iter().filter(|event| event["event"] != "level");
            let lines: Vec<String> = worth.map(ToString::to_string).collect();
            lines[lines.len().saturating_sub(SHOWN_MAX)..].join("\n")
        });
        let complaints =
            self.complained.look(|lines| lines[lines.len().saturating_sub(SHOWN_MAX)..].join("\n"));
        panic!("{}: {why}\nwhat it told last:\n{events}\n{complaints}", self.name)
    }
}

/// A command to be printed.
fn without_token(command: &Value) -> String {
    let mut command = command.clone();
    if let Some(token) = command.get_mut("token") {
        *token = json!("…");
    }
    command.to_string()
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
