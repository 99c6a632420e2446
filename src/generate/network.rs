//! A thread that waits for the network, so that others wait for nothing or for one thing only.
//!
//! **Invariant:** when it is dropped, what it was doing is broken off, and its thread is gone.

use std::io;
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A thread with tokio.
#[derive(Debug)]
pub struct Network {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Network {
    /// Starts the thread under a name. It may not be dropped on itself.
    ///
    /// # Errors
    /// The system has no thread, or no sockets, to give.
    pub fn start(name: &str) -> io::Result<Self> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Told to stop, or left alone.
            drop(runtime.block_on(stopped));
            // Tasks are dropped here, and with them what they hold: processes, connections. A name that is being
            // looked up is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Where tasks are given to it.
    #[must_use]
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
