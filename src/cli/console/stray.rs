//! What is printed past the screen: sound libraries complain on the standard error, whoever holds the terminal.
//!
//! While the terminal is taken, the standard error is a pipe whose lines are told on the screen. What is written before
//! and after goes where it always went.
//!
//! **Invariant:** who prints is never held up, and what is kept is bounded.

use std::sync::{Mutex, PoisonError};

use super::super::remark::plain;

/// Lines that are told of a call at most; what follows is not news any more.
const LINES_MAX: usize = 32;

/// The longest line that is told, in characters.
const LINE_MAX: usize = 400;

/// What was printed and is not told yet.
static STRAY: Mutex<Stray> = Mutex::new(Stray { lines: Vec::new(), seen: 0 });

struct Stray {
    lines: Vec<String>,
    seen: usize,
}

/// Keeps a line to be told.
pub(super) fn keep(line: &str) {
    let line = plain(line);
    if line.trim().is_empty() {
        return;
    }
    let mut stray = STRAY.lock().unwrap_or_else(PoisonError::into_inner);
    stray.seen += 1;
    if stray.seen < LINES_MAX {
        stray.lines.push(line.chars().take(LINE_MAX).collect());
    } else if stray.seen == LINES_MAX {
        stray.lines.push("what else is printed past the screen is not shown".to_owned());
    }
}

/// What was printed since this was asked last.
pub(super) fn taken() -> Vec<String> {
    std::mem::take(&mut STRAY.lock().unwrap_or_else(PoisonError::into_inner).lines)
}

#[cfg(unix)]
pub(super) use unix::{divert, restore};

#[cfg(unix)]
mod unix {
    use std::io::{self, BufRead, BufReader, Read};
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
    use std::sync::{Mutex, PoisonError};

    /// Where the standard error went.
    static BEFORE: Mutex<Option<OwnedFd>> = Mutex::new(None);

    /// The longest piece that is read without the end of a line, in bytes.
    const PIECE_MAX: u64 = 4_096;

    /// Diverts the standard error to the screen.
    pub(in super::super) fn divert() -> io::Result<()> {
        let (reader, writer) = io::pipe()?;
        let before = io::stderr().as_fd().try_clone_to_owned()?;
        std::thread::Builder::new().name("stray lines".to_owned()).spawn(move || {
            let (mut reader, mut bytes) = (BufReader::new(reader), Vec::new());
            while let Ok(1..) = reader.by_ref().take(PIECE_MAX).read_until(b'\n', &mut bytes) {
                super::keep(&String::from_utf8_lossy(&bytes));
                bytes.clear();
            }
        })?;
        direct(writer.as_fd())?;
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        Ok(())
    }

    /// Lets the standard error go where it went before.
    pub(in super::super) fn restore() {
        let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(before) = before {
            drop(direct(before.as_fd()));
        }
    }

    #[expect(unsafe_code, reason = "the standard library does not redirect the standard error")]
    fn direct(to: BorrowedFd<'_>) -> io::Result<()> {
        // SAFETY: both are open: the one is borrowed, the other is the standard error, which is replaced at once.
        match unsafe { libc::dup2(to.as_raw_fd(), libc::STDERR_FILENO) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

#[cfg(not(unix))]
pub(super) fn divert() -> std::io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
pub(super) const fn restore() {}
