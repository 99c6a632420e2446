//! The terminal, taken for a screen and given back.
//!
//! **Invariant:** it is given back however the screen ends: at the end, at an error, at a panic of the thread that draws,
//! and before the program is left at a signal. What other threads print of a panic meanwhile is kept for the screen.

use std::io::{self, Stdout, stdout};
use std::sync::Mutex;
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

use super::super::remark::plain;
use crate::host::shard::SHARD;

/// Whether the terminal is taken.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether it was asked to tell when keys are let go.
static TELLS_RELEASES: AtomicBool = AtomicBool::new(false);

/// What threads have said of their panics while the terminal was taken, at most so many.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

const PANICS_MAX: usize = 16;

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

    /// What threads have said of their panics since this was asked last.
    pub(super) fn panics() -> Vec<String> {
        PANICS.lock().map_or_else(|_| Vec::new(), |mut panics| std::mem::take(&mut *panics))
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
            let told = plain(&panic.to_string());
            if let Ok(mut panics) = PANICS.lock()
                && panics.len() < PANICS_MAX
            {
                panics.push(told);
            }
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
        assert_eq!(Taken::panics().len(), 1);
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
        assert!(!text.contains("somebody else"), "that is kept for the screen: {text}");
        assert!(modes.contains("ICANON") && modes.contains("ECHO"), "{modes}");
    }
}
