//! What a process has told so far, line by line, and waiting for it to tell more.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is kept of one process: a peer that records three tracks for half an hour tells less. What comes after is read,
/// so that nobody is held up, and dropped.
const KEPT_MAX: usize = 100_000;

/// The lines of a stream, read by a thread of its own.
#[derive(Debug)]
pub(crate) struct Told<T> {
    so_far: Mutex<SoFar<T>>,
    more: Condvar,
}

#[derive(Debug)]
struct SoFar<T> {
    lines: Vec<T>,
    is_over: bool,
}

/// Why a line has not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Nothing more will come.
    Over,
    /// It did not come in time.
    Late,
}

impl<T: Send + 'static> Told<T> {
    /// Reads a stream to its end; a line that `read` makes nothing of is passed over.
    pub(crate) fn by(
        stream: impl Read + Send + 'static,
        read: fn(String) -> Option<T>,
    ) -> Arc<Self> {
        let so_far = Mutex::new(SoFar { lines: Vec::new(), is_over: false });
        let told = Arc::new(Self { so_far, more: Condvar::new() });
        let writer = Arc::clone(&told);
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok).filter_map(read) {
                let mut so_far = writer.so_far();
                if so_far.lines.len() < KEPT_MAX {
                    so_far.lines.push(line);
                    writer.more.notify_all();
                }
            }
            writer.so_far().is_over = true;
            writer.more.notify_all();
        });
        told
    }

    /// How many lines there are.
    pub(crate) fn count(&self) -> usize {
        self.so_far().lines.len()
    }

    /// What is made of the lines so far.
    pub(crate) fn look<R>(&self, made: impl FnOnce(&[T]) -> R) -> R {
        made(&self.so_far().lines)
    }

    /// Waits for a line of which `found` makes something. It is asked about each line once, in order, from one on.
    pub(crate) fn wait<R>(
        &self,
        from: usize,
        patience: Duration,
        mut found: impl FnMut(usize, &T) -> Option<R>,
    ) -> Result<R, Missing> {
        let (mut next, mut result) = (from, None);
        let goes_on = |so_far: &mut SoFar<T>| {
            while result.is_none() && next < so_far.lines.len() {
                result = found(next, &so_far.lines[next]);
                next += 1;
            }
            result.is_none() && !so_far.is_over
        };
        let waited = self.more.wait_timeout_while(self.so_far(), patience, goes_on);
        let is_late = waited.unwrap_or_else(PoisonError::into_inner).1.timed_out();
        result.ok_or(if is_late { Missing::Late } else { Missing::Over })
    }

    /// A test that fails while it looks spoils nothing for the others.
    fn so_far(&self) -> MutexGuard<'_, SoFar<T>> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
