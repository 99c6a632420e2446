//! The thread that waits for servers and processes, so that a worker waits for one thing only: the outcome of
//! its call, or the deadline.
//!
//! **Invariant:** when it is dropped, what it was doing is broken off, and its thread is gone.

use std::future::Future;
use std::io;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use crate::generate::network::Network;

/// The thread.
#[derive(Debug)]
pub(super) struct Net(Network);

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
        Network::start("remote tools").map(Self)
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
        drop(self.0.handle().spawn(task));
    }
}
