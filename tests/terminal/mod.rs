//! A terminal that a test holds: what a program draws on it can be read, and keys are pressed.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};

use antiphon::host::pace::{Clock, pause};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, SlavePty, native_pty_system};
use vt100::Parser;

use super::program::Desk;

/// How long something may take to be seen, in nanoseconds: much longer than it does.
const PATIENCE_NS: u64 = 30_000_000_000;

/// A program in a terminal.
pub(crate) struct Terminal {
    master: Box<dyn MasterPty + Send>,
    /// As long as it is open, the terminal can be asked how it was left.
    _slave: Box<dyn SlavePty + Send>,
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    seen: Arc<Mutex<Seen>>,
}

/// What was drawn.
struct Seen {
    parser: Parser,
    bytes: Vec<u8>,
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

impl Terminal {
    /// Starts `antiphon` with these words in a terminal of this size.
    pub(crate) fn start(
        desk: &Desk,
        words: &str,
        (columns, rows): (u16, u16),
        env: &[(&str, &str)],
    ) -> Self {
        let pair = native_pty_system().openpty(size(columns, rows)).expect("there is a terminal");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_antiphon"));
        command.args(words.split_whitespace());
        command.cwd(desk.dir.path());
        command.env("TERM", "xterm-256color");
        command.env("USER", "ann");
        command.env_remove("NO_COLOR");
        for (name, value) in env {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).expect("the program starts");
        let mut reader = pair.master.try_clone_reader().expect("a terminal can be read");
        let keys = pair.master.take_writer().expect("a terminal has keys");
        let [rows, columns] = [rows, columns].map(|n| NonZeroU16::new(n).expect("it has a size"));
        let seen = Seen { parser: Parser::new(rows, columns, 0), bytes: Vec::new() };
        let seen = Arc::new(Mutex::new(seen));
        let looks = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(len @ 1..) = reader.read(&mut bytes) {
                let mut seen = looks.lock().expect("nobody panics with it");
                seen.parser.process(&bytes[..len]);
                seen.bytes.extend_from_slice(&bytes[..len]);
            }
        });
        Self { master: pair.master, _slave: pair.slave, child, keys, seen }
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("a terminal takes keys");
        self.keys.flush().expect("a terminal takes keys");
    }

    /// Makes it larger or smaller.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let mut seen = self.seen.lock().expect("nobody panics with it");
        let [new_rows, new_columns] = [rows, columns].map(|n| NonZeroU16::new(n).expect("a size"));
        seen.parser.screen_mut().set_size(new_rows, new_columns);
        self.master.resize(size(columns, rows)).expect("a terminal can be resized");
    }

    /// What stands on it.
    pub(crate) fn text(&self) -> String {
        self.seen.lock().expect("nobody panics with it").parser.screen().contents()
    }

    /// All that was written to it.
    pub(crate) fn written(&self) -> String {
        let seen = self.seen.lock().expect("nobody panics with it");
        String::from_utf8_lossy(&seen.bytes).into_owned()
    }

    /// Waits until this is so.
    #[track_caller]
    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let clock = Clock::default();
        let start = clock.now();
        while !is_so(self) {
            let late = clock.now().since_ns(start) > PATIENCE_NS;
            assert!(!late, "{what} is awaited in vain:\n{}", self.text());
            pause(10);
        }
    }

    /// Waits until this stands on it.
    #[track_caller]
    pub(crate) fn awaits(&mut self, text: &str) {
        self.until(text, |it| it.text().contains(text));
    }

    /// Waits until this does not stand on it.
    #[track_caller]
    pub(crate) fn awaits_no(&mut self, text: &str) {
        self.until(&format!("the end of {text}"), |it| !it.text().contains(text));
    }

    /// Sends the program a signal.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.process_id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the program takes signals");
    }

    /// Waits until the program has ended: its exit code.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> u32 {
        let mut code = None;
        self.until("the end", |it| {
            code = it.child.try_wait().expect("it can be waited for").map(|it| it.exit_code());
            code.is_some()
        });
        // What it has written last is on its way.
        let mut before = 0;
        self.until("silence", |it| {
            pause(50);
            let now = it.written().len();
            std::mem::replace(&mut before, now) == now
        });
        code.expect("it has ended")
    }

    /// Insists that the terminal is as it was: lines are edited and shown, on the ordinary screen, with a cursor.
    #[track_caller]
    pub(crate) fn is_given_back(&self) {
        #[cfg(unix)]
        {
            let modes = self.master.get_termios().expect("a terminal has modes");
            let local = format!("{:?}", modes.local_flags);
            for mode in ["ECHO", "ICANON", "ISIG"] {
                assert!(local.contains(mode), "{mode} is off: {local}");
            }
        }
        let seen = self.seen.lock().expect("nobody panics with it");
        let screen = seen.parser.screen();
        assert!(!screen.alternate_screen(), "the alternate screen");
        assert!(!screen.hide_cursor(), "no cursor");
        assert!(!screen.bracketed_paste(), "pastes in brackets");
    }
}

/// Starts `antiphon` with these words in a terminal, takes the terminal away once this was written to it, and waits until
/// the program has ended.
pub(crate) fn taken_away(desk: &Desk, words: &str, awaited: &str) {
    let pair = native_pty_system().openpty(size(80, 24)).expect("there is a terminal");
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_antiphon"));
    command.args(words.split_whitespace());
    command.cwd(desk.dir.path());
    command.env("TERM", "xterm");
    let mut child = pair.slave.spawn_command(command).expect("the program starts");
    let mut reader = pair.master.try_clone_reader().expect("a terminal can be read");
    let (mut text, mut bytes) = (String::new(), [0; 4_096]);
    while !text.contains(awaited) {
        let len = reader.read(&mut bytes).expect("the program writes");
        text.push_str(&String::from_utf8_lossy(&bytes[..len]));
    }
    drop((reader, pair));
    let clock = Clock::default();
    let start = clock.now();
    while child.try_wait().expect("it can be waited for").is_none() {
        if clock.now().since_ns(start) > PATIENCE_NS {
            drop(child.kill());
            panic!("the program goes on without a terminal");
        }
        pause(10);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Where it has ended, there is nothing to end.
        drop(self.child.kill());
    }
}
