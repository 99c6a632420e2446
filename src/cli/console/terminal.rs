//! The terminal, taken for a screen and given back.
//!
//! **Invariant:** it is given back however the screen ends: at the end, at an error, at a panic of the thread that draws,
//! and before the program is left at a signal. What other threads print of a panic meanwhile is kept for the screen.

use std::io::{self, Stdout, stdout};
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{
    DisableBracketedPaste, EnableBracketedPaste, KeyboardEnhancementFlags,
    PopKeyboardEnhancementFlags, PushKeyboardEnhancementFlags,
};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
    supports_keyboard_enhancement,
};
use ratatui::crossterm::{execute, queue};

use super::stray;
use crate::host::shard::SHARD;

/// Whether the terminal is taken.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether it was asked to tell when keys are let go.
static TELLS_RELEASES: AtomicBool = AtomicBool::new(false);

/// A terminal that is taken. It is given back when this is dropped.
pub(super) struct Taken {
    pub(super) terminal: Terminal<CrosstermBackend<Stdout>>,
    /// It tells when keys are let go.
    pub(super) releases: bool,
}

impl Taken {
    /// Takes the terminal; where it can, it tells when keys are let go, if that is wanted.
    pub(super) fn take(wants_releases: bool) -> io::Result<Self> {
        keep_panics();
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::Relaxed);
        // Without it, what is printed spoils the screen until it is drawn anew.
        drop(stray::divert());
        let taken = Self::opened(wants_releases);
        if taken.is_err() {
            give_back();
        }
        taken
    }

    fn opened(wants_releases: bool) -> io::Result<Self> {
        execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)?;
        // A terminal that does not answer is asked for two seconds: only who needs it asks.
        let releases = wants_releases && supports_keyboard_enhancement().unwrap_or(false);
        if releases {
            TELLS_RELEASES.store(true, Ordering::Relaxed);
            let flags = KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES
                | KeyboardEnhancementFlags::REPORT_EVENT_TYPES;
            execute!(stdout(), PushKeyboardEnhancementFlags(flags))?;
        }
        let terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(Self { terminal, releases })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back, if it is taken. Nobody is left to be told what cannot be written.
pub(super) fn give_back() {
    if !TAKEN.swap(false, Ordering::Relaxed) {
        return;
    }
    if TELLS_RELEASES.swap(false, Ordering::Relaxed) {
        drop(queue!(stdout(), PopKeyboardEnhancementFlags));
    }
    drop(execute!(stdout(), DisableBracketedPaste, LeaveAlternateScreen, Show));
    drop(disable_raw_mode());
    stray::restore();
}

/// While the terminal is taken, a panic of the thread that draws gives it back before it is printed; those of others,
/// which are told in other ways, are kept.
fn keep_panics() {
    let print = std::panic::take_hook();
    let main = std::thread::current().id();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        if TAKEN.load(Ordering::Relaxed) && thread.id() != main {
            // A session's panic is told as its end.
            if thread.name() == Some(SHARD) {
                return;
            }
            stray::keep(&panic.to_string());
            return;
        }
        give_back();
        print(panic);
    }));
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read;

    use portable_pty::{CommandBuilder, PtySize, native_pty_system};

    use super::*;

    /// Run by the test below, in a terminal of its own.
    #[test]
    #[ignore = "it takes the terminal, and panics"]
    fn who_draws_panics() {
        let _taken = Taken::take(false).unwrap();
        let other = std::thread::spawn(|| panic!("somebody else panics"));
        assert!(other.join().is_err());
        // It is kept at once, and what is printed comes through a pipe.
        eprintln!("printed past the screen");
        let mut kept = stray::taken();
        for _ in 0..10_000 {
            kept.extend(stray::taken());
            if kept.len() >= 2 {
                break;
            }
            crate::host::pace::pause(1);
        }
        assert!(kept[0].contains("somebody else panics") && kept[1].contains("past the screen"));
        panic!("who draws panics");
    }

    #[test]
    fn a_panic_is_told_on_a_terminal_that_is_given_back() {
        let pair = native_pty_system().openpty(PtySize::default()).unwrap();
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        let name = "cli::console::terminal::tests::who_draws_panics";
        command.args([name, "--exact", "--ignored", "--nocapture"]);
        command.env("TERM", "xterm");
        let mut reader = pair.master.try_clone_reader().unwrap();
        let mut child = pair.slave.spawn_command(command).unwrap();
        let reading = std::thread::spawn(move || {
            let mut text = Vec::new();
            // A terminal that nobody holds any more is an error.
            drop(reader.read_to_end(&mut text));
            String::from_utf8_lossy(&text).into_owned()
        });
        assert!(!child.wait().unwrap().success());
        let modes = format!("{:?}", pair.master.get_termios().unwrap().local_flags);
        drop(pair);
        let text = reading.join().unwrap();
        let (taken, left) = text.split_once("\u{1b}[?1049l").expect("the screen is left");
        assert!(taken.contains("\u{1b}[?1049h") && !taken.contains("panics\r"), "{text}");
        assert!(left.contains("who draws panics"), "{text}");
        for kept in ["somebody else", "past the screen"] {
            assert!(!text.contains(kept), "that is for the screen: {text}");
        }
        assert!(modes.contains("ICANON") && modes.contains("ECHO"), "{modes}");
    }
}
