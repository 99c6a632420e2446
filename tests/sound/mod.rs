//! A sound server of its own, with a speaker and a microphone that are not there, and a room between them.
//!
//! PulseAudio stands for the hardware: a null sink is the speaker, a pipe is the microphone. What the speaker plays goes
//! through a [`Room`] into the microphone: later, weaker, with reverberation, by another clock, and somebody in the room
//! may speak.

mod console;
mod room;
pub(crate) mod tone;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use antiphon::host::pace::{Clock, pause};
use tempfile::TempDir;

pub(crate) use console::Console;
pub(crate) use room::{Acoustics, Room};

/// The rate of both devices.
pub(crate) const RATE_HZ: u32 = 48_000;

/// The speaker's name, and the microphone's.
pub(crate) const SPEAKER: &str = "speaker";
pub(crate) const MICROPHONE: &str = "microphone";

/// How long the server is waited for.
const PATIENCE_MS: u64 = 15_000;

/// A program that stands for hardware, which is never late: it comes before ordinary ones, where that is permitted.
pub(crate) fn hardware(program: &str) -> Command {
    let mut chrt = Command::new("chrt");
    let is_permitted =
        chrt.args(["-f", "10", "true"]).output().is_ok_and(|out| out.status.success());
    if !is_permitted {
        return Command::new(program);
    }
    let mut command = Command::new("chrt");
    command.args(["-f", "10", program]);
    command
}

/// One at a time: two cores are few for several servers, rooms and calls in real time.
static ONE: Mutex<()> = Mutex::new(());

/// A sound server, which ends when it is dropped.
pub(crate) struct Server {
    dir: TempDir,
    running: Option<Child>,
    _one: MutexGuard<'static, ()>,
}

impl Server {
    /// Starts one with a speaker and a microphone.
    pub(crate) fn start() -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        let mut server = Self { dir, running: None, _one: one };
        server.up();
        server
    }

    /// Starts it again, after it went [`down`](Self::down).
    pub(crate) fn up(&mut self) {
        let log = fs::File::create(self.dir.path().join("log")).expect("a log can be written");
        let pipe = self.pipe();
        let shown = pipe.display();
        let mut command = Command::new("pulseaudio");
        command
            // Hardware is never late.
            .args(["--realtime=yes", "--high-priority=yes"])
            .args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--log-target=stderr"])
            .args(["--disable-shm=yes", "--use-pid-file=no", "-L", "module-native-protocol-unix auth-anonymous=1"])
            .arg("-L")
            .arg(format!("module-null-sink sink_name={SPEAKER} rate={RATE_HZ} channels=2 format=s16le"))
            .arg("-L")
            .arg(format!(
                "module-pipe-source source_name={MICROPHONE} file={shown} rate={RATE_HZ} channels=1 format=s16le"
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.quiet(&mut command);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("pulseaudio cannot be started: {error}; run scripts/setup.sh sound")
        });
        self.running = Some(child);
        let clock = Clock::default();
        let begin = clock.now();
        loop {
            let known = self.pactl(&["list", "short", "sources"]);
            if known.contains(MICROPHONE) && known.contains(SPEAKER) {
                break;
            }
            let waited_ms = clock.now().since_ns(begin) / 1_000_000;
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(waited_ms < PATIENCE_MS, "the sound server does not come up:\n{log}");
            pause(20);
        }
        self.pactl(&["set-default-sink", SPEAKER]);
        self.pactl(&["set-default-source", MICROPHONE]);
    }

    /// Ends it, as a crash would.
    pub(crate) fn down(&mut self) {
        if let Some(mut child) = self.running.take() {
            drop(child.kill());
            drop(child.wait());
        }
        // What a crash leaves behind is in the way of the next one.
        drop(fs::remove_dir_all(self.dir.path().join("pulse")));
        drop(fs::remove_file(self.pipe()));
    }

    /// The pipe that the microphone records from.
    pub(crate) fn pipe(&self) -> PathBuf {
        self.dir.path().join("microphone.pipe")
    }

    /// Has a program know this server, and no other.
    pub(crate) fn quiet(&self, command: &mut Command) {
        let dir = self.dir.path();
        command
            .env("XDG_RUNTIME_DIR", dir)
            .env("HOME", dir)
            .env_remove("PULSE_SERVER")
            .env_remove("PULSE_RUNTIME_PATH")
            .env_remove("DBUS_SESSION_BUS_ADDRESS");
    }

    /// Where the server's files are.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Asks the server for something, or tells it something; empty if it does not answer.
    pub(crate) fn pactl(&self, words: &[&str]) -> String {
        let mut command = Command::new("pactl");
        self.quiet(&mut command);
        let output = command.args(words).stdin(Stdio::null()).output().unwrap_or_else(|error| {
            panic!("pactl cannot be run: {error}; run scripts/setup.sh sound")
        });
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.down();
    }
}
