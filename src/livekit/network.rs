//! The network's thread: one for many rooms, with everything that waits for a socket.
//!
//! **Invariant:** a room that ends, or panics, takes nothing of another's with it; when the network is
//! dropped, its rooms and its thread are gone.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::bell::{Belfry, Bell, Cord};
use crate::host::watchdog::{ThreadClock, prefer};

/// Rooms that wait to be joined at most.
const ORDERS_WAITING: usize = 1_024;

/// Something to do on the network's thread.
type Order = Box<dyn FnOnce(Rc<Belfry>) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// A thread for rooms.
#[derive(Debug)]
pub struct Network {
    orders: Option<mpsc::Sender<Order>>,
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
    clock: ThreadClock,
}

impl Network {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread, socket or timer.
    pub fn start() -> io::Result<Self> {
        let (orders, ordered) = mpsc::channel(ORDERS_WAITING);
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("livekit".to_owned()).spawn(move || {
            let begun = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let local = LocalSet::new();
            // Where every core is busy, packets wait for this thread; where it is not permitted, they do.
            prefer();
            let ready = begun.and_then(|runtime| {
                let _in_runtime = runtime.enter();
                Belfry::new().map(|belfry| (belfry, runtime))
            });
            match ready {
                Ok((belfry, runtime)) => {
                    drop(tell.send(Ok((Arc::clone(belfry.bell()), ThreadClock::this()))));
                    local.block_on(&runtime, serve(belfry, ordered));
                    drop(local);
                    // A name that is being looked up is not waited for.
                    runtime.shutdown_background();
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        })?;
        let gone = || Err(io::Error::other("the network's thread is gone"));
        let (bell, clock) = told.recv().unwrap_or_else(|_| gone())?;
        Ok(Self { orders: Some(orders), bell, thread: Some(thread), clock })
    }

    /// How long the thread has been on a processor, in nanoseconds.
    #[must_use]
    pub fn busy_ns(&self) -> u64 {
        self.clock.busy_ns()
    }

    /// A cord that wakes a task of the thread.
    #[must_use]
    pub fn cord(&self) -> Cord {
        Cord::new(&self.bell)
    }

    /// Has a task done on the network's thread. False if it has too much to do already.
    pub fn spawn<F>(&self, task: impl FnOnce(Rc<Belfry>) -> F + Send + 'static) -> bool
    where
        F: Future<Output = ()> + 'static,
    {
        let order: Order = Box::new(move |belfry| Box::pin(task(belfry)));
        self.orders.as_ref().is_some_and(|orders| orders.try_send(order).is_ok())
    }
}

/// Its rooms are left at once: whoever wants them to be left in good order ends them before.
impl Drop for Network {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn serve(belfry: Rc<Belfry>, mut ordered: mpsc::Receiver<Order>) {
    let listener = Rc::clone(&belfry);
    tokio::task::spawn_local(async move { listener.listen().await });
    while let Some(order) = ordered.recv().await {
        // A panic ends its own task.
        tokio::task::spawn_local(order(Rc::clone(&belfry)));
    }
}
