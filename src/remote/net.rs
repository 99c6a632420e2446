//! The thread that waits for servers and processes, so that a worker waits for one thing only: the outcome of
//! its call, or the deadline.
//!
//! **Invariant:** when it is dropped, what it was doing is broken off, and its thread is gone.

use std::future::Future;
use std::io;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A thread with tokio.
#[derive(Debug)]
pub(super) struct Net {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Why nothing came of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoOutcome {
    /// The deadline was first.
    Late,
    /// The thread is being stopped, or the task has panicked.
    Gone,
}

impl Net {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread =
            std::thread::Builder::new().name("remote tools".to_owned()).spawn(move || {
                // Told to stop, or left alone.
                drop(runtime.block_on(stopped));
                // Tasks are dropped here, and with them the processes that they hold. A name that is being looked
                // up is not waited for.
                runtime.shutdown_background();
            })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Has a task done, and waits for its outcome. Not to be called on the thread itself.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        limit: Duration,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, NoOutcome> {
        let (tell, told) = sync_channel(1);
        self.spawn(async move {
            let outcome = tokio::time::timeout(limit, task).await;
            drop(tell.try_send(outcome));
        });
        match told.recv() {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) => Err(NoOutcome::Late),
            Err(_) => Err(NoOutcome::Gone),
        }
    }

    /// Has a task done.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(task));
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
